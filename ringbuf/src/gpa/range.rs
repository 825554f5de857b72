//! One range: its header, and its page frame numbers.

use core::mem::size_of;

use zerocopy::little_endian::U64;
use zerocopy::transmute;

use super::PAGE_SHIFT;
use crate::fault::RangeFault;
use crate::wire::{GpaRangeHeader, PAGE_BYTES};

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
    #[inline]
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
#[inline]
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

#[inline]
pub(super) fn judge_pfns(range: u32, pfns: &[U64]) -> Result<(), RangeFault> {
    let all = pfns.iter().fold(0, |all, pfn| all | pfn.get());
    if all >> (u64::BITS.wrapping_sub(PAGE_SHIFT)) == 0 {
        Ok(())
    } else {
        Err(RangeFault::Pfn { range })
    }
}

/// What a range's header says: start within the first page, and length, both in bytes.
#[inline]
pub(super) fn header(word: &U64) -> (u32, u32) {
    let GpaRangeHeader {
        byte_count,
        byte_offset,
    } = transmute!(*word);
    (byte_offset.get(), byte_count.get())
}

/// Takes the next range off `words`.
#[inline]
pub(super) fn next_range<'a>(range: u32, words: &mut &'a [U64]) -> Result<GpaRange<'a>, RangeFault> {
    let Some((first, rest)) = words.split_first() else {
        let (count, len) = (range.saturating_add(1), 0);
        return Err(RangeFault::Count { count, len });
    };
    let (byte_offset, byte_count) = header(first);
    let needed = pages(range, byte_offset, byte_count)?;
    let Some((pfns, rest)) = rest.split_at_checked(needed as usize) else {
        let present = rest.len();
        return Err(RangeFault::Pfns {
            range,
            needed,
            present,
        });
    };
    *words = rest;
    Ok(GpaRange {
        byte_offset,
        byte_count,
        pfns,
    })
}
