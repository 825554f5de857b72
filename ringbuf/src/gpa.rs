//! Ranges of guest memory, as a GPA direct packet and a GPADL message list them.
//!
//! [`GpaRanges::parse`] judges all of them at once; what it returns can be walked without further errors, range by
//! range, or as [`Segments`]: runs of guest-physical memory in which neighbouring pages are one.

use core::mem::size_of;

use zerocopy::FromBytes;
use zerocopy::little_endian::U64;

use crate::fault::RangeFault;
use crate::wire::{GpaRangeHeader, PAGE_BYTES};

const PFN: usize = size_of::<U64>();
const PAGE_SHIFT: u32 = PAGE_BYTES.trailing_zeros();

/// One range of guest memory: `byte_count` bytes from `byte_offset` of the first page on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpaRange<'a> {
    byte_offset: u32,
    byte_count: u32,
    pfns: &'a [U64],
}

impl<'a> GpaRange<'a> {
    /// A range to be sent.
    ///
    /// # Errors
    ///
    /// An offset beyond the first page, no bytes, another number of PFNs than the bytes touch pages, or a PFN of 2^52
    /// or more; the `range` in the error is 0.
    pub fn new(byte_offset: u32, byte_count: u32, pfns: &'a [U64]) -> Result<Self, RangeFault> {
        let needed = pages(0, byte_offset, byte_count)?;
        if pfns.len() != needed as usize {
            return Err(RangeFault::Pfns {
                range: 0,
                needed,
                present: pfns.len(),
            });
        }
        judge_pfns(0, pfns)?;
        Ok(Self {
            byte_offset,
            byte_count,
            pfns,
        })
    }

    /// Start within the first page, in bytes; below 4096.
    #[inline]
    pub const fn byte_offset(&self) -> u32 {
        self.byte_offset
    }

    /// Length in bytes; not 0.
    #[inline]
    pub const fn byte_count(&self) -> u32 {
        self.byte_count
    }

    /// Page frame numbers, one for each page that the range touches, each below 2^52.
    #[inline]
    pub const fn pfns(&self) -> &'a [U64] {
        self.pfns
    }

    /// Bytes that the range takes on the wire.
    #[inline]
    pub(crate) fn wire_len(&self) -> usize {
        size_of::<GpaRangeHeader>().saturating_add(size_of_val(self.pfns))
    }
}

/// Number of pages that `range`, the range with this number, touches.
fn pages(range: u32, byte_offset: u32, byte_count: u32) -> Result<u32, RangeFault> {
    if byte_offset >= PAGE_BYTES {
        return Err(RangeFault::ByteOffset { range, byte_offset });
    }
    if byte_count == 0 {
        return Err(RangeFault::Empty { range });
    }
    // byte_offset + byte_count may exceed 32 bits, the number of pages does not.
    let last = u64::from(byte_offset)
        .saturating_add(u64::from(byte_count))
        .saturating_sub(1);
    Ok(u32::try_from(last >> PAGE_SHIFT)
        .unwrap_or(u32::MAX)
        .saturating_add(1))
}

fn judge_pfns(range: u32, pfns: &[U64]) -> Result<(), RangeFault> {
    let all = pfns.iter().fold(0, |all, pfn| all | pfn.get());
    if all >> (u64::BITS.wrapping_sub(PAGE_SHIFT)) == 0 {
        Ok(())
    } else {
        Err(RangeFault::Pfn { range })
    }
}

/// Takes the next range off `bytes`.
#[inline]
fn next_range<'a>(range: u32, bytes: &mut &'a [u8]) -> Result<GpaRange<'a>, RangeFault> {
    let Ok((header, rest)) = GpaRangeHeader::ref_from_prefix(bytes) else {
        return Err(RangeFault::Count {
            count: range.saturating_add(1),
            len: bytes.len(),
        });
    };
    let (byte_offset, byte_count) = (header.byte_offset.get(), header.byte_count.get());
    let needed = pages(range, byte_offset, byte_count)?;
    let Ok((pfns, rest)) = <[U64]>::ref_from_prefix_with_elems(rest, needed as usize) else {
        let present = rest.len() / PFN;
        return Err(RangeFault::Pfns {
            range,
            needed,
            present,
        });
    };
    *bytes = rest;
    Ok(GpaRange {
        byte_offset,
        byte_count,
        pfns,
    })
}

/// Well-formed ranges of guest memory; an iterator over them.
#[derive(Clone, Debug)]
pub struct GpaRanges<'a> {
    bytes: &'a [u8],
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
    pub fn parse(count: u32, bytes: &'a [u8]) -> Result<Self, RangeFault> {
        // A range has a header and at least one PFN.
        const MIN_RANGE: usize = size_of::<GpaRangeHeader>() + PFN;
        if count as usize > bytes.len() / MIN_RANGE {
            return Err(RangeFault::Count {
                count,
                len: bytes.len(),
            });
        }
        let mut rest = bytes;
        let mut total = 0u64;
        for range in 0..count {
            let decoded = next_range(range, &mut rest)?;
            judge_pfns(range, decoded.pfns)?;
            total = total.saturating_add(u64::from(decoded.byte_count));
        }
        let used = bytes.len().saturating_sub(rest.len());
        Ok(Self {
            bytes: bytes.get(..used).unwrap_or(bytes),
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
        self.bytes.len()
    }

    /// The memory that the ranges cover, in order, as runs in which neighbouring pages are one.
    #[inline]
    pub fn segments(&self) -> Segments<'a> {
        Segments {
            remaining: self.total,
            ranges: self.clone(),
            pfns: &[],
            offset: 0,
            in_range: 0,
        }
    }
}

impl<'a> Iterator for GpaRanges<'a> {
    type Item = GpaRange<'a>;

    #[inline]
    fn next(&mut self) -> Option<GpaRange<'a>> {
        self.count = self.count.checked_sub(1)?;
        let range = next_range(0, &mut self.bytes).ok()?;
        self.total = self.total.saturating_sub(u64::from(range.byte_count));
        Some(range)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.count as usize, Some(self.count as usize))
    }
}

impl ExactSizeIterator for GpaRanges<'_> {}

/// Runs of guest-physical memory, `(gpa, len)` in bytes, in the order of the data; an iterator.
///
/// Neighbouring pages are one run, across ranges too. No run is empty.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    ranges: GpaRanges<'a>,
    /// Of the range that is being walked: the pages from the current one on, where in the first of them the data goes
    /// on, and how many bytes are left.
    pfns: &'a [U64],
    offset: u32,
    in_range: u32,
    /// Bytes left in all, the limit considered.
    remaining: u64,
}

impl<'a> Segments<'a> {
    /// No memory.
    pub const fn empty() -> Self {
        Self {
            ranges: GpaRanges {
                bytes: &[],
                count: 0,
                total: 0,
            },
            pfns: &[],
            offset: 0,
            in_range: 0,
            remaining: 0,
        }
    }

    /// Bytes that remain.
    #[inline]
    pub const fn total_bytes(&self) -> u64 {
        self.remaining
    }

    /// Only the first `len` bytes, or all if there are fewer.
    #[must_use]
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

    fn enter_range(&mut self) -> bool {
        match self.ranges.next() {
            Some(range) => {
                self.pfns = range.pfns;
                self.offset = range.byte_offset;
                self.in_range = range.byte_count;
                true
            }
            None => false,
        }
    }

    /// Moves on by `len` bytes, at most those left in the range.
    #[inline]
    fn step(&mut self, len: u32) {
        let at = u64::from(self.offset).saturating_add(u64::from(len));
        let pages = usize::try_from(at >> PAGE_SHIFT).unwrap_or(usize::MAX);
        self.pfns = self.pfns.get(pages..).unwrap_or(&[]);
        // Below a page, so nothing is lost.
        self.offset = u32::try_from(at & u64::from(PAGE_BYTES.wrapping_sub(1))).unwrap_or(0);
        self.in_range = self.in_range.saturating_sub(len);
    }

    /// The piece within one page that comes next.
    #[inline]
    fn piece(&mut self) -> Option<(u64, u32)> {
        if self.remaining == 0 || (self.in_range == 0 && !self.enter_range()) {
            return None;
        }
        let page = self.pfns.first()?.get() << PAGE_SHIFT;
        let len = PAGE_BYTES.wrapping_sub(self.offset).min(self.in_range);
        let len = u32::try_from(self.remaining).unwrap_or(u32::MAX).min(len);
        Some((page | u64::from(self.offset), len))
    }
}

impl Iterator for Segments<'_> {
    type Item = (u64, usize);

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
