//! What the fuzz targets run: a module for each crate, and in it a module for each target.
//!
//! A target's input is a sequence of steps: what the peer does, what the embedder does, and what becomes of shared memory.
//! Each is an enum of [`steps!`], which reads it from the fuzzer's bytes and writes it as bytes, so that a corpus can be
//! made from what was seen on a real bus. After each step the target checks what has to hold then.

pub mod channel;
pub mod decode;
pub mod hypercall;
pub mod input;
pub mod memory;
pub mod netvsc;
pub mod ring;
pub mod storvsc;
pub mod vmbus;
