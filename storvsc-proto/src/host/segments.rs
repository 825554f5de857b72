//! Where a request's data is in guest memory.

use vmbus_proto::hvcall::{GuestMemory, MemoryError};
use vmbus_proto::ringbuf::gpa;

/// Pieces of guest memory, `(gpa, len)` in bytes, in the order of the data; an iterator.
///
/// Neighbouring pages are one piece. No piece is empty, and the lengths add up to
/// [`total_bytes`](Self::total_bytes). Addresses are the guest's word: whether there is memory at them shows
/// when they are used.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    once: gpa::Segments<'a>,
    rest: gpa::Segments<'a>,
    remaining: u64,
}

impl<'a> From<gpa::Segments<'a>> for Segments<'a> {
    #[inline]
    fn from(once: gpa::Segments<'a>) -> Self {
        Self {
            rest: once.clone(),
            remaining: once.total_bytes(),
            once,
        }
    }
}

impl<'a> Segments<'a> {
    /// No memory.
    #[must_use]
    #[inline]
    pub const fn empty() -> Self {
        Self {
            once: gpa::Segments::empty(),
            rest: gpa::Segments::empty(),
            remaining: 0,
        }
    }

    /// Bytes that remain.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.remaining
    }

    /// Only the first `len` bytes, or all if there are fewer.
    #[must_use]
    #[inline]
    pub fn limit(self, len: u64) -> Self {
        gpa::Segments::limit(self.rest, len.min(self.remaining)).into()
    }

    /// The same memory over and over until `len` bytes are reached: what WRITE SAME writes.
    #[must_use]
    pub(crate) fn repeated(self, len: u64) -> Self {
        let remaining = if self.rest.total_bytes() == 0 { 0 } else { len };
        Self {
            once: self.rest.clone(),
            rest: self.rest,
            remaining,
        }
    }

    /// Copies `bytes` to the memory, as many as there is room for; returns how many.
    ///
    /// # Errors
    /// When there is no memory at an address.
    #[inline]
    pub fn write<M: GuestMemory + ?Sized>(self, memory: &M, bytes: &[u8]) -> Result<usize, MemoryError> {
        let mut left = bytes;
        for (gpa, len) in self {
            let (piece, rest) = left.split_at_checked(len).unwrap_or((left, &[]));
            memory.write(gpa, piece)?;
            left = rest;
            if left.is_empty() {
                break;
            }
        }
        Ok(bytes.len().saturating_sub(left.len()))
    }

    /// Copies from the memory into `bytes`, as many as there are; returns how many.
    ///
    /// # Errors
    /// When there is no memory at an address.
    #[inline]
    pub fn read<M: GuestMemory + ?Sized>(self, memory: &M, bytes: &mut [u8]) -> Result<usize, MemoryError> {
        let mut done = 0_usize;
        for (gpa, len) in self {
            let rest = bytes.get_mut(done..).unwrap_or_default();
            let piece = rest.get_mut(..len.min(rest.len())).unwrap_or_default();
            memory.read(gpa, piece)?;
            done = done.saturating_add(piece.len());
            if done >= bytes.len() {
                break;
            }
        }
        Ok(done)
    }
}

impl Iterator for Segments<'_> {
    type Item = (u64, usize);

    #[inline]
    fn next(&mut self) -> Option<(u64, usize)> {
        if self.remaining == 0 {
            return None;
        }
        let (gpa, len) = match self.rest.next() {
            Some(piece) => piece,
            None => {
                self.rest = self.once.clone();
                self.rest.next()?
            }
        };
        let len = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(len);
        self.remaining = self
            .remaining
            .saturating_sub(u64::try_from(len).unwrap_or(u64::MAX));
        Some((gpa, len))
    }
}
