//! What the sending end knows.

use super::{Moved, Span};
use crate::fault::RingFault;

/// The sending end's indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender {
    span: Span,
    next: u32,
    pub(super) published: u32,
    pub(super) peer_read: u32,
    /// From `next` to `peer_read`; 0 in a corrupt ring, where nothing fits any more.
    free: u32,
}

impl Sender {
    /// The sending end of a ring whose indices are `write` and `read` now.
    ///
    /// # Errors
    ///
    /// An index that is no position in `span`.
    pub const fn new(span: Span, write: u32, read: u32) -> Result<Self, RingFault> {
        if let Err(fault) = span.judge_write(write) {
            return Err(fault);
        }
        if let Err(fault) = span.judge_read(read) {
            return Err(fault);
        }
        Ok(Self {
            span,
            next: write,
            published: write,
            peer_read: read,
            free: span.free(write, read),
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

    /// Bytes that are free for all that this end knows; there may be more.
    #[inline]
    pub const fn free(&self) -> u32 {
        self.free
    }

    /// Whether a packet that takes `needed` bytes fits for all that this end knows.
    #[inline]
    pub const fn fits(&self, needed: u32) -> bool {
        self.free > needed
    }

    /// Takes `needed` bytes, which must [fit](Self::fits).
    #[inline]
    pub const fn take(&mut self, needed: u32) {
        self.next = self.span.advance(self.next, needed);
        self.free = self.free.wrapping_sub(needed);
    }

    /// Whether packets were taken that are not published.
    #[inline]
    pub const fn has_unpublished(&self) -> bool {
        self.next != self.published
    }

    /// Publishes what was taken. `None` if that is nothing.
    #[inline]
    pub const fn publish(&mut self) -> Option<Moved> {
        if self.next == self.published {
            return None;
        }
        let moved = Moved {
            from: self.published,
            to: self.next,
        };
        self.published = self.next;
        Some(moved)
    }

    /// Gives back what was taken and not published.
    #[inline]
    pub const fn abandon(&mut self) {
        if self.next != self.published {
            self.next = self.published;
            self.free = self.span.free(self.next, self.peer_read);
        }
    }

    /// Gives back what was not published, and lets nothing fit any more: the ring is corrupt.
    pub const fn poison(&mut self) {
        self.next = self.published;
        self.free = 0;
    }

    /// Takes note of the peer's read index.
    ///
    /// # Errors
    ///
    /// An index that is no position, or that moved otherwise than forwards, up to what is published.
    #[inline]
    pub const fn observe_read(&mut self, read: u32) -> Result<(), RingFault> {
        if let Err(fault) = self.span.judge_read(read) {
            return Err(fault);
        }
        let free = self.span.free(self.next, read);
        // What is not published was not read. The first test spares the usual case the second.
        let unread = self.next != self.published && free > self.span.free(self.next, self.published);
        if free < self.free || unread {
            return Err(RingFault::ReadIndexMoved {
                from: self.peer_read,
                to: read,
                written: self.published,
            });
        }
        self.peer_read = read;
        self.free = free;
        Ok(())
    }

    /// Whether the peer had read all that was published before `moved`: it may sleep, and is to be signalled. To be
    /// asked once the peer's read index was [observed](Self::observe_read) after a full barrier after publishing.
    #[inline]
    pub const fn was_empty(&self, moved: Moved) -> bool {
        self.peer_read == moved.from
    }
}
