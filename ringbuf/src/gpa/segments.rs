//! The memory that ranges cover, without the bounds of pages and ranges.

use zerocopy::little_endian::U64;

use super::PAGE_SHIFT;
use super::range::header;
use crate::wire::PAGE_BYTES;

/// Runs of guest-physical memory, `(gpa, len)` in bytes, in the order of the data; an iterator.
///
/// Neighbouring pages are one run, across ranges too. No run is empty.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    /// The pages of the range that is being walked, from the current one on, and the ranges after it.
    words: &'a [U64],
    /// Of the range that is being walked: where in the current page the data goes on, and how many bytes are left.
    offset: u32,
    in_range: u32,
    /// Bytes left in all, the limit considered.
    remaining: u64,
}

impl<'a> Segments<'a> {
    /// No memory.
    #[inline]
    pub const fn empty() -> Self {
        Self::of(&[], 0)
    }

    /// The memory of well-formed ranges, which have so many bytes in all.
    #[inline]
    pub(super) const fn of(words: &'a [U64], total_bytes: u64) -> Self {
        Self {
            words,
            offset: 0,
            in_range: 0,
            remaining: total_bytes,
        }
    }

    /// Bytes that remain.
    #[inline]
    pub const fn total_bytes(&self) -> u64 {
        self.remaining
    }

    /// Only the first `len` bytes, or all if there are fewer.
    #[must_use]
    #[inline]
    pub fn limit(mut self, len: u64) -> Self {
        self.remaining = self.remaining.min(len);
        self
    }

    /// What comes after the first `len` bytes: nothing if there are fewer.
    #[must_use]
    pub fn skip_bytes(mut self, len: u64) -> Self {
        let mut len = len.min(self.remaining);
        self.remaining = self.remaining.saturating_sub(len);
        while len > 0 {
            if self.in_range == 0 && !self.enter_range() {
                break;
            }
            let step = u32::try_from(len).unwrap_or(u32::MAX).min(self.in_range);
            self.step(step);
            len = len.saturating_sub(u64::from(step));
        }
        self
    }

    /// The first `len` bytes, and what comes after them.
    pub fn split_at(&self, len: u64) -> (Self, Self) {
        (self.clone().limit(len), self.clone().skip_bytes(len))
    }

    #[inline]
    fn enter_range(&mut self) -> bool {
        let Some((first, rest)) = self.words.split_first() else {
            return false;
        };
        (self.offset, self.in_range) = header(first);
        self.words = rest;
        true
    }

    /// Moves on by `len` bytes, at most those left in the range.
    #[inline]
    fn step(&mut self, len: u32) {
        self.in_range = self.in_range.saturating_sub(len);
        let at = u64::from(self.offset).saturating_add(u64::from(len));
        // Behind the range's end comes the next one's header, whether the last page is used up or not.
        let spare = if self.in_range == 0 {
            PAGE_BYTES.wrapping_sub(1)
        } else {
            0
        };
        let pages = usize::try_from(at.saturating_add(u64::from(spare)) >> PAGE_SHIFT).unwrap_or(usize::MAX);
        self.words = self.words.get(pages..).unwrap_or(&[]);
        // Below a page, so nothing is lost.
        self.offset = u32::try_from(at & u64::from(PAGE_BYTES.wrapping_sub(1))).unwrap_or(0);
    }

    /// The piece within one page that comes next.
    #[inline]
    fn piece(&mut self) -> Option<(u64, u32)> {
        if self.remaining == 0 || (self.in_range == 0 && !self.enter_range()) {
            return None;
        }
        let page = self.words.first()?.get() << PAGE_SHIFT;
        let len = PAGE_BYTES.wrapping_sub(self.offset).min(self.in_range);
        let len = u32::try_from(self.remaining).unwrap_or(u32::MAX).min(len);
        Some((page | u64::from(self.offset), len))
    }
}

impl Iterator for Segments<'_> {
    type Item = (u64, usize);

    #[inline]
    fn next(&mut self) -> Option<(u64, usize)> {
        let (gpa, first) = self.piece()?;
        let mut len = 0usize;
        let mut piece = first;
        loop {
            self.step(piece);
            self.remaining = self.remaining.saturating_sub(u64::from(piece));
            len = len.saturating_add(piece as usize);
            match self.piece() {
                // The address after the last page of all is 0 and starts no run that goes on.
                Some((next, more)) if Some(next) == gpa.checked_add(len as u64) => piece = more,
                _ => return Some((gpa, len)),
            }
        }
    }
}
