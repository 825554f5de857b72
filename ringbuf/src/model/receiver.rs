//! What the receiving end knows.

use super::{Moved, Span};
use crate::fault::RingFault;

/// The receiving end's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receiver {
    span: Span,
    next: u32,
    released: u32,
    /// From `next` to the peer's write index as it was last seen.
    available: u32,
}

impl Receiver {
    /// The receiving end of a ring whose indices are `write` and `read` now.
    ///
    /// # Errors
    ///
    /// An index that is no position in `span`.
    pub const fn new(span: Span, write: u32, read: u32) -> Result<Self, RingFault> {
        if let Err(fault) = span.judge_read(read) {
            return Err(fault);
        }
        if let Err(fault) = span.judge_write(write) {
            return Err(fault);
        }
        Ok(Self {
            span,
            next: read,
            released: read,
            available: span.used(write, read),
        })
    }

    /// The data area.
    #[inline]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// Where the next packet starts.
    #[inline]
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Bytes that can be read for all that this end knows; there may be more.
    #[inline]
    pub const fn available(&self) -> u32 {
        self.available
    }

    /// Takes `len` bytes, of those that are [available](Self::available).
    #[inline]
    pub const fn take(&mut self, len: u32) {
        self.next = self.span.advance(self.next, len);
        self.available = self.available.wrapping_sub(len);
    }

    /// Whether packets were taken that are not released.
    #[inline]
    pub const fn has_unreleased(&self) -> bool {
        self.next != self.released
    }

    /// Bytes that were taken and are not released.
    #[inline]
    pub const fn unreleased(&self) -> u32 {
        self.span.used(self.next, self.released)
    }

    /// Releases what was taken. `None` if that is nothing.
    #[inline]
    pub const fn release(&mut self) -> Option<Moved> {
        if self.next == self.released {
            return None;
        }
        let moved = Moved {
            from: self.released,
            to: self.next,
        };
        self.released = self.next;
        Some(moved)
    }

    /// Lets nothing be available or released any more: the ring is corrupt.
    pub const fn poison(&mut self) {
        self.released = self.next;
        self.available = 0;
    }

    /// Takes note of the peer's write index.
    ///
    /// # Errors
    ///
    /// An index that is no position, or that moved otherwise than forwards, up to what is released.
    #[inline]
    pub const fn observe_write(&mut self, write: u32) -> Result<(), RingFault> {
        if let Err(fault) = self.span.judge_write(write) {
            return Err(fault);
        }
        let available = self.span.used(write, self.next);
        // What is not released was not written over. The first test spares the usual case the second.
        let overrun = self.next != self.released
            && available
                > self
                    .span
                    .max_packet()
                    .wrapping_sub(self.span.used(self.next, self.released));
        if available < self.available || overrun {
            return Err(RingFault::WriteIndexMoved {
                from: self.span.advance(self.next, self.available),
                to: write,
                read: self.released,
            });
        }
        self.available = available;
        Ok(())
    }
}
