//! All ranges of a list, judged at once.

use core::mem::size_of;

use zerocopy::FromBytes;
use zerocopy::little_endian::U64;

use super::range::{judge_pfns, next_range};
use super::{GpaRange, Segments};
use crate::fault::RangeFault;
use crate::wire::GpaRangeHeader;

const PFN: usize = size_of::<U64>();

/// Well-formed ranges of guest memory; an iterator over them.
#[derive(Clone, Debug)]
pub struct GpaRanges<'a> {
    /// Of each range its header, then its PFNs: a word each.
    words: &'a [U64],
    count: u32,
    total: u64,
}

impl<'a> GpaRanges<'a> {
    /// Judges `count` ranges at the start of `bytes`: a [`GpaRangeHeader`] and its PFNs each. Bytes after the last
    /// range do not matter.
    ///
    /// # Errors
    ///
    /// The first range that starts behind its first page, is empty, has too few PFNs, or one that is 2^52 or more; or
    /// a count that cannot be. Takes time by the bytes that there are, not by what the count says.
    #[inline]
    pub fn parse(count: u32, bytes: &'a [u8]) -> Result<Self, RangeFault> {
        // A range has a header and at least one PFN.
        const MIN_RANGE: usize = size_of::<GpaRangeHeader>() + PFN;
        let len = bytes.len();
        if count as usize > len / MIN_RANGE {
            return Err(RangeFault::Count { count, len });
        }
        let words = <[U64]>::ref_from_prefix_with_elems(bytes, len / PFN);
        let (words, _) = words.map_err(|_| RangeFault::Count { count, len })?;
        let mut rest = words;
        let mut total = 0u64;
        for range in 0..count {
            let decoded = next_range(range, &mut rest)?;
            judge_pfns(range, decoded.pfns())?;
            total = total.saturating_add(u64::from(decoded.byte_count()));
        }
        let used = words.len().saturating_sub(rest.len());
        Ok(Self {
            words: words.get(..used).unwrap_or(words),
            count,
            total,
        })
    }

    /// Bytes of all ranges that the iterator has not yet returned.
    #[inline]
    pub const fn total_bytes(&self) -> u64 {
        self.total
    }

    /// Bytes that the ranges take on the wire, headers and PFNs.
    #[inline]
    pub const fn wire_len(&self) -> usize {
        size_of_val(self.words)
    }

    /// The memory that the ranges cover, in order, as runs in which neighbouring pages are one.
    #[inline]
    pub fn segments(&self) -> Segments<'a> {
        Segments::of(self.words, self.total)
    }
}

impl<'a> Iterator for GpaRanges<'a> {
    type Item = GpaRange<'a>;

    #[inline]
    fn next(&mut self) -> Option<GpaRange<'a>> {
        self.count = self.count.checked_sub(1)?;
        let range = next_range(0, &mut self.words).ok()?;
        self.total = self.total.saturating_sub(u64::from(range.byte_count()));
        Some(range)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count as usize, Some(self.count as usize))
    }
}

impl ExactSizeIterator for GpaRanges<'_> {}
