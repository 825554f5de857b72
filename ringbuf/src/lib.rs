//! The VMBus ring buffer between two partitions that distrust each other.
//!
//! | type | is |
//! |---|---|
//! | [`Producer`] | the sender's end of a ring: writes packets, alone or in [batches](Batch), and tells whether to [signal](Signal) |
//! | [`Consumer`] | the receiver's end: copies a packet out once, gives room back, and tells whether to signal |
//! | [`RingPair`] | both rings of a channel, as one end holds them |
//! | [`RingMem`] | a ring's memory; [`mem`] has it for contiguous memory, a double mapping and a list of pages |
//! | [`wire`], [`gpa`] | the control page, packet headers and ranges of guest memory |
//! | [`model`] | the arithmetic of indices, apart from any memory |
//!
//! An end's own index is private, and what stands in shared memory is only published from it. What the peer writes is read once and
//! judged then; a ring that breaks the rules is corrupt from then on, and says so by a [`RingFault`].
//!
//! # Memory
//!
//! Both rings stand in memory that the embedder lends: a control page each, and data of whole pages. The ends themselves are small
//! values, and reading a packet takes a scratch buffer that the caller brings:
//!
//! ```
//! use vmbus_ringbuf::RingPair;
//! use vmbus_ringbuf::mem::ContiguousRing;
//!
//! assert!(size_of::<RingPair<ContiguousRing>>() <= 256);
//! ```
//!
//! # Bounds
//!
//! Whatever the peer writes (`tests/bounds.rs`):
//!
//! | value | holds at most | does at most in one call |
//! |---|---|---|
//! | [`Producer`] | 64 bytes besides the memory's handle, and no packet: what does not fit is refused | writes one packet (a [`Batch`]: those that it is given), and a few words of the control page |
//! | [`Consumer`] | 64 bytes besides the memory's handle, and no packet | copies one packet, which is shorter than the ring, and touches a few words of the control page |
//! | [`Transactions`] | `DEPTH` requests, 16 bytes and the caller's own for each; beyond, [`next`](Transactions::next) gives no id | looks at one place, or at all of them when they are given up |
#![no_std]
#![deny(unsafe_code)]

#[cfg(test)]
extern crate std;

mod consumer;
mod fault;
pub mod gpa;
#[allow(unsafe_code, reason = "the island: each block has its argument")]
pub mod mem;
mod memory;
pub mod model;
mod outgoing;
mod packet;
mod pair;
mod producer;
mod transactions;
pub mod wire;

pub use consumer::Consumer;
pub use fault::{OutOfBounds, RangeFault, ReadError, RingFault, WriteError};
pub use memory::{RingMem, SharedMem};
pub use outgoing::{Descriptor, Outgoing, in_band_size};
pub use packet::Packet;
pub use pair::{Halves, RingPair};
pub use producer::{Batch, PacketWriter, Producer};
pub use transactions::{TransactionId, Transactions};
pub use wire::{ControlWord, PacketFlags, PacketType, TransferPageRange};

/// Whether the other end has to be signalled.
#[must_use = "a peer that is not signalled sleeps on"]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// It may sleep: signal it.
    Needed,
    /// It is awake, or does not want to be woken.
    NotNeeded,
}

impl Signal {
    /// Whether a signal is needed.
    #[inline]
    pub const fn is_needed(self) -> bool {
        matches!(self, Self::Needed)
    }
}

impl core::ops::BitOr for Signal {
    type Output = Self;

    /// One signal for two reasons.
    #[inline]
    fn bitor(self, other: Self) -> Self {
        if self.is_needed() { self } else { other }
    }
}
