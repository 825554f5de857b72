//! The host's side: what a VMM needs to answer a guest's hypercalls and to reach its SynIC.
//!
//! [`decode`] turns registers and memory into a [`Request`] or the status that refuses it, [`synic`] delivers
//! messages and events. Both are written for a VMM that leaves the SynIC's registers, interrupts and most hypercalls
//! to KVM, and gets from it what KVM does not answer itself.
//!
//! # Bounds
//!
//! Nothing is kept between calls. Whatever a guest asks for, [`decode`] makes two accesses to its memory at most and copies 256
//! bytes at most, and a [`Request`] is a value of 264 bytes; a rep count makes nothing longer. [`synic::post_message`] makes four accesses,
//! [`synic::set_event_flag`] one.

mod decode;
mod input;
pub mod synic;

pub use decode::{Payload, Request, answer_query_capabilities, decode};
pub use input::{CallRegisters, FAST_INPUT_MAX, XMM_REGISTERS, check_output, read_input};
