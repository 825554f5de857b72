//! Ranges of guest memory, as a GPA direct packet and a GPADL message list them.
//!
//! [`GpaRanges::parse`] judges all of them at once; what it returns can be walked without further errors, range by
//! range, or as [`Segments`]: runs of guest-physical memory in which neighbouring pages are one.

use core::mem::size_of;

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, transmute};

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
fn judge_pfns(range: u32, pfns: &[U64]) -> Result<(), RangeFault> {
    let all = pfns.iter().fold(0, |all, pfn| all | pfn.get());
    if all >> (u64::BITS.wrapping_sub(PAGE_SHIFT)) == 0 {
        Ok(())
    } else {
        Err(RangeFault::Pfn { range })
    }
}

/// What a range's header says: start within the first page, and length, both in bytes.
#[inline]
fn header(word: &U64) -> (u32, u32) {
    let GpaRangeHeader {
        byte_count,
        byte_offset,
    } = transmute!(*word);
    (byte_offset.get(), byte_count.get())
}

/// Takes the next range off `words`.
#[inline]
fn next_range<'a>(range: u32, words: &mut &'a [U64]) -> Result<GpaRange<'a>, RangeFault> {
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
            judge_pfns(range, decoded.pfns)?;
            total = total.saturating_add(u64::from(decoded.byte_count));
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
        Segments {
            remaining: self.total,
            words: self.words,
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
        let range = next_range(0, &mut self.words).ok()?;
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
        Self {
            words: &[],
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

#[cfg(test)]
mod tests {
    #![allow(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        reason = "small numbers of the tests' own"
    )]

    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// A range as the tests make it: offset, bytes, PFNs.
    type Plain = (u32, u32, Vec<u64>);

    fn encode(ranges: &[Plain]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (byte_offset, byte_count, pfns) in ranges {
            bytes.extend(byte_count.to_le_bytes());
            bytes.extend(byte_offset.to_le_bytes());
            bytes.extend(pfns.iter().flat_map(|pfn| pfn.to_le_bytes()));
        }
        bytes
    }

    /// Well-formed, with neighbouring pages often.
    fn range() -> impl Strategy<Value = Plain> {
        (
            0..4096u32,
            1..20_000u32,
            prop::collection::vec((any::<bool>(), 0..1u64 << 52), 1..8),
            0..1u64 << 50,
        )
            .prop_map(|(offset, count, jumps, first)| {
                let needed = (offset + count).div_ceil(4096) as usize;
                let mut pfn = first;
                let mut pfns = vec![];
                for page in 0..needed {
                    let (jump, to) = jumps[page % jumps.len()];
                    pfn = if jump { to } else { pfn + 1 };
                    pfns.push(pfn);
                }
                (offset, count, pfns)
            })
    }

    /// Every byte's address.
    fn addresses(ranges: &[Plain]) -> Vec<u64> {
        let bytes = |(offset, count, pfns): &Plain| {
            let pfns = pfns.clone();
            (*offset..offset + count).map(move |at| pfns[at as usize / 4096] * 4096 + u64::from(at) % 4096)
        };
        ranges.iter().flat_map(bytes).collect()
    }

    fn flatten(segments: Segments<'_>) -> Vec<u64> {
        segments.flat_map(|(gpa, len)| gpa..gpa + len as u64).collect()
    }

    proptest! {
        #[test]
        fn ranges_survive_and_segments_name_every_byte(
            ranges in prop::collection::vec(range(), 0..5),
            slack in prop::collection::vec(any::<u8>(), 0..30),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut bytes = encode(&ranges);
            let wire_len = bytes.len();
            bytes.extend(slack);
            let parsed = GpaRanges::parse(ranges.len() as u32, &bytes).unwrap();
            prop_assert_eq!(parsed.wire_len(), wire_len);
            prop_assert_eq!(parsed.len(), ranges.len());
            let back: Vec<Plain> = parsed
                .clone()
                .map(|range| (range.byte_offset(), range.byte_count(), range.pfns().iter().map(|pfn| pfn.get()).collect()))
                .collect();
            prop_assert_eq!(&back, &ranges);

            let addresses = addresses(&ranges);
            prop_assert_eq!(parsed.total_bytes(), addresses.len() as u64);
            prop_assert_eq!(flatten(parsed.segments()), &addresses[..]);
            // Neighbours are one run: no run goes on where the last one ended.
            let runs: Vec<_> = parsed.segments().collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0].0 + pair[0].1 as u64 != pair[1].0));

            let at = cut.index(addresses.len() + 1);
            let (first, rest) = parsed.segments().split_at(at as u64);
            prop_assert_eq!((first.total_bytes(), rest.total_bytes()), (at as u64, (addresses.len() - at) as u64));
            prop_assert_eq!(flatten(first), &addresses[..at]);
            prop_assert_eq!(flatten(rest), &addresses[at..]);
        }

        #[test]
        fn a_sent_range_takes_what_it_says(plain in range()) {
            let (offset, count, pfns) = plain;
            let pfns: Vec<U64> = pfns.into_iter().map(U64::new).collect();
            let range = GpaRange::new(offset, count, &pfns).unwrap();
            prop_assert_eq!(range.wire_len(), 8 + 8 * pfns.len());
            let short = GpaRange::new(offset, count, &pfns[1..]);
            prop_assert_eq!(
                short,
                Err(RangeFault::Pfns { range: 0, needed: pfns.len() as u32, present: pfns.len() - 1 })
            );
        }

        #[test]
        fn any_bytes_are_ranges_or_a_fault(count in any::<u32>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for count in [count, count % 8] {
                if let Ok(ranges) = GpaRanges::parse(count, &bytes) {
                    prop_assert_eq!(ranges.len(), count as usize);
                    let total = ranges.total_bytes();
                    prop_assert_eq!(ranges.segments().map(|(_, len)| len as u64).sum::<u64>(), total);
                }
            }
        }
    }

    #[test]
    fn ill_formed_ranges_are_told_by_their_values() {
        let fault = |ranges: &[Plain]| GpaRanges::parse(ranges.len() as u32, &encode(ranges)).unwrap_err();
        let good = (0, 4096, vec![1]);
        assert_eq!(
            fault(&[good.clone(), (4096, 1, vec![1])]),
            RangeFault::ByteOffset {
                range: 1,
                byte_offset: 4096
            }
        );
        assert_eq!(fault(&[(0, 0, vec![1])]), RangeFault::Empty { range: 0 });
        assert_eq!(
            fault(&[(1, 4096, vec![1])]),
            RangeFault::Pfns {
                range: 0,
                needed: 2,
                present: 1
            }
        );
        assert_eq!(
            fault(&[good.clone(), (0, 1, vec![1 << 52])]),
            RangeFault::Pfn { range: 1 }
        );
        // Case 4 of what broke elsewhere: a byte count that wraps with its offset.
        assert_eq!(
            fault(&[(0, 0xffff_f000, vec![1])]),
            RangeFault::Pfns {
                range: 0,
                needed: 0xf_ffff,
                present: 1
            }
        );
        assert_eq!(
            fault(&[(0xfff, u32::MAX, vec![1])]),
            RangeFault::Pfns {
                range: 0,
                needed: 0x10_0001,
                present: 1
            }
        );
        assert_eq!(
            GpaRanges::parse(u32::MAX, &[0; 64]).unwrap_err(),
            RangeFault::Count {
                count: u32::MAX,
                len: 64
            }
        );
        assert_eq!(
            GpaRanges::parse(1, &[0; 15]).unwrap_err(),
            RangeFault::Count { count: 1, len: 15 }
        );
        assert_eq!(GpaRanges::parse(0, &[]).unwrap().segments().next(), None);
    }

    #[test]
    fn a_count_beyond_the_ranges_is_refused() {
        let mut bytes = encode(&[(0, 4096, vec![1])]);
        bytes.extend([0; 8]);
        // 24 bytes could not be two ranges; 32 could, if the first had not taken more than its share.
        assert_eq!(
            GpaRanges::parse(2, &bytes).unwrap_err(),
            RangeFault::Count { count: 2, len: 24 }
        );
        let bytes = encode(&[(0, 3 * 4096, vec![1, 2, 3])]);
        assert_eq!(
            GpaRanges::parse(2, &bytes).unwrap_err(),
            RangeFault::Count { count: 2, len: 0 }
        );
    }

    #[test]
    fn the_last_page_of_all_joins_nothing() {
        let ranges = [(0, 4096, vec![(1 << 52) - 1]), (0, 4096, vec![0])];
        let bytes = encode(&ranges);
        let parsed = GpaRanges::parse(2, &bytes).unwrap();
        let runs: Vec<_> = parsed.segments().collect();
        assert_eq!(runs, [(!0xfff, 4096), (0, 4096)]);
    }
}
