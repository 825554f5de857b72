//! The arithmetic of the indices, apart from memory.
//!
//! [`Span`] is the data area as a circle of bytes; [`Sender`] and [`Receiver`] are what each end knows: its own index,
//! which nobody else can change, how far that is published, and what it last saw of the peer's. They tell what fits,
//! what moved, and when the other end has to be signalled. Nothing here reads memory, so that everything here can be
//! tested against a plain queue.

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use crate::fault::RingFault;

pub use receiver::Receiver;
pub use sender::Sender;

/// Length of a ring's data area, and the arithmetic of positions in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    len: u32,
}

impl Span {
    /// The smallest ring: one packet without payload takes 24 bytes, and one unit stays free.
    pub const MIN_LEN: u32 = 32;
    /// The largest ring, so that a position and a length add up in 32 bits.
    pub const MAX_LEN: u32 = 1 << 31;

    /// A data area of `len` bytes: a multiple of 8, from [`MIN_LEN`](Self::MIN_LEN) to [`MAX_LEN`](Self::MAX_LEN).
    pub const fn new(len: u32) -> Result<Self, RingFault> {
        if len.is_multiple_of(8) && len >= Self::MIN_LEN && len <= Self::MAX_LEN {
            Ok(Self { len })
        } else {
            Err(RingFault::DataLen { len })
        }
    }

    /// Bytes of the data area.
    #[inline]
    pub const fn len(self) -> u32 {
        self.len
    }

    /// Whether the data area is empty: it never is.
    #[inline]
    pub const fn is_empty(self) -> bool {
        false
    }

    /// The most that one packet with its trailer can take: a full ring looks like an empty one, so 8 bytes stay free.
    #[inline]
    pub const fn max_packet(self) -> u32 {
        self.len.wrapping_sub(8)
    }

    /// Whether `index` is a position where a packet can start.
    #[inline]
    pub const fn holds(self, index: u32) -> bool {
        index < self.len && index & 7 == 0
    }

    /// Refuses a write index that is no position.
    #[inline]
    const fn judge_write(self, index: u32) -> Result<(), RingFault> {
        if self.holds(index) {
            Ok(())
        } else {
            Err(RingFault::WriteIndex {
                index,
                data_len: self.len,
            })
        }
    }

    /// Refuses a read index that is no position.
    #[inline]
    const fn judge_read(self, index: u32) -> Result<(), RingFault> {
        if self.holds(index) {
            Ok(())
        } else {
            Err(RingFault::ReadIndex {
                index,
                data_len: self.len,
            })
        }
    }

    /// Bytes between the read and the write index. Both must be [held](Self::holds).
    #[inline]
    pub const fn used(self, write: u32, read: u32) -> u32 {
        let distance = write.wrapping_sub(read);
        if write >= read {
            distance
        } else {
            distance.wrapping_add(self.len)
        }
    }

    /// Bytes that are not used. Both indices must be [held](Self::holds). At least 8.
    #[inline]
    pub const fn free(self, write: u32, read: u32) -> u32 {
        self.len.wrapping_sub(self.used(write, read))
    }

    /// The position `by` bytes after `index`, with `index` below the length and `by` at most the length.
    #[inline]
    pub const fn advance(self, index: u32, by: u32) -> u32 {
        let end = index.wrapping_add(by);
        if end >= self.len {
            end.wrapping_sub(self.len)
        } else {
            end
        }
    }

    /// Whether a receiver that moved its read index from `from` to `to` has to signal a sender that waits for `pending`
    /// bytes. `write` is the write index as read *after* the pending send size.
    ///
    /// Senders do not agree on what they wait for. Linux goes on when more than `pending` bytes are free, QEMU
    /// when at least `pending` are, and Windows sets the ring's size less one for "all of it". So the low 3 bits do not
    /// count, both ways of crossing do, and what is more than the whole ring means the whole ring.
    pub const fn room_crossed(self, write: u32, from: u32, to: u32, pending: u32) -> bool {
        if pending == 0 {
            return false;
        }
        let wanted = if pending > self.len {
            self.len
        } else {
            pending & !7
        };
        self.free(write, from) <= wanted && self.free(write, to) >= wanted
    }
}

/// What [`Sender::publish`] and [`Receiver::release`] moved: the index to store, and the one that it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The index as the peer last saw it.
    pub from: u32,
    /// The index that the peer is to see now.
    pub to: u32,
}
