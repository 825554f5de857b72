//! The VMBus ring buffer between two partitions that distrust each other.
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
