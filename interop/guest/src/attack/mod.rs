//! Malformed input of every kind for a host, from a seed: what it gets to read in a message, in a ring's indices, in a packet's head, in its
//! list of pages, and in what devices make of all that.
//!
//! The generators are plain functions from dice to bytes; [`ring`] and the checks bring them to the host.

pub mod bytes;
pub mod messages;
pub mod packets;
pub mod payloads;
#[cfg(target_arch = "x86_64")]
pub mod ring;
