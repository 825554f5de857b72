//! A peer that breaks the protocol, and memory that changes between any two accesses.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod corrupt;
mod random;
mod ranges;
mod tampered;

use vmbus_ringbuf::mem::ArrayRing;
use vmbus_ringbuf::{ControlWord, Descriptor, Outgoing, PacketType, RingMem};

const WORDS: usize = 32;
const LEN: u32 = WORDS as u32 * 8;

fn in_band<'a>(transaction_id: u64, payload: &'a [&'a [u8]]) -> Outgoing<'a> {
    Outgoing {
        transaction_id,
        request_completion: true,
        descriptor: Descriptor::InBand,
        payload,
    }
}

/// The first word of a descriptor.
fn head(kind: PacketType, offset8: u16, len8: u16) -> u64 {
    u64::from(kind.0) | u64::from(offset8) << 16 | u64::from(len8) << 32
}

/// Puts raw words at the start of an empty ring, and publishes `available` bytes.
fn ring(words: &[u64], available: u32) -> ArrayRing<WORDS> {
    let ring = ArrayRing::new();
    for (at, word) in words.iter().enumerate() {
        ring.write_word(at as u32 * 8, *word);
    }
    ring.store(ControlWord::WriteIndex, available);
    ring
}

fn set(ring: &ArrayRing<WORDS>, word: ControlWord, value: u32) {
    ring.store(word, value);
}
