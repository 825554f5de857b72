//! Memory that a guest lends, as a GPADL lists it.

use zerocopy::little_endian::U64;

use super::fault::MemoryError;
use crate::wire::RANGE_PFNS_MAX;

/// Bytes of a page, in this protocol always.
pub(super) const PAGE: u32 = 4096;

/// Bytes that follow one another in a list of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageRange {
    /// Where they begin in the first page; below 4096.
    pub byte_offset: u32,
    /// How many there are; not 0.
    pub byte_count: u32,
}

impl PageRange {
    /// Pages that the range touches.
    fn pages(self) -> Result<u32, MemoryError> {
        let Self {
            byte_offset,
            byte_count,
        } = self;
        let bytes = byte_offset.checked_add(byte_count);
        match bytes {
            Some(bytes) if byte_offset < PAGE && byte_count > 0 => Ok(bytes.div_ceil(PAGE)),
            _ => Err(MemoryError::Range {
                byte_offset,
                byte_count,
            }),
        }
    }
}

/// Memory that a guest lends to its host.
///
/// The engine owns such a value for as long as the host may touch the memory, and gives it back then, so it should stand for the memory:
/// a `Box` of pages, or a guard of a kernel's page allocator. It is looked at while GPADL messages are made, so no list of pages is
/// ever kept beside it. What it tells must stay the same meanwhile.
///
/// [`Contiguous`] is ready-made.
pub trait Pages {
    /// The range with this index; `None` from their number on. Memory of one range is usual.
    fn range(&self, index: u16) -> Option<PageRange>;

    /// The page frame number, which is the guest-physical address divided by 4096, of a page of a range. `page` counts from the page that
    /// the range begins in.
    fn pfn(&self, range: u16, page: u32) -> u64;
}

/// Whole pages that follow one another in guest-physical memory.
///
/// ```
/// use vmbus_proto::guest::{Contiguous, PageRange, Pages};
///
/// let memory = Contiguous { first_pfn: 0x1000, pages: 16 };
/// assert_eq!(memory.range(0), Some(PageRange { byte_offset: 0, byte_count: 65536 }));
/// assert_eq!((memory.range(1), memory.pfn(0, 3)), (None, 0x1003));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contiguous {
    /// The first page's frame number.
    pub first_pfn: u64,
    /// How many pages there are.
    pub pages: u32,
}

impl Pages for Contiguous {
    fn range(&self, index: u16) -> Option<PageRange> {
        (index == 0).then_some(PageRange {
            byte_offset: 0,
            byte_count: self.pages.saturating_mul(PAGE),
        })
    }

    fn pfn(&self, _: u16, page: u32) -> u64 {
        self.first_pfn.saturating_add(page.into())
    }
}

/// What a GPADL of some memory comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) ranges: u16,
    /// Values of 8 bytes: one for each range and one for each page.
    pub(super) values: u16,
    /// Pages, if all are whole ones.
    pub(super) whole_pages: Option<u32>,
}

/// Values that the 16 bits of a GPADL's length can count.
const VALUES_MAX: u32 = 8191;
const _: () = assert!(VALUES_MAX as usize == RANGE_PFNS_MAX.saturating_add(1));

impl Shape {
    pub(super) fn of(memory: &impl Pages) -> Result<Self, MemoryError> {
        let (mut ranges, mut values, mut whole_pages) = (0u16, 0u32, Some(0u32));
        while let Some(range) = memory.range(ranges) {
            let pages = range.pages()?;
            values = values.saturating_add(pages).saturating_add(1);
            if values > VALUES_MAX {
                return Err(MemoryError::TooLong { values });
            }
            let whole = range.byte_offset == 0 && range.byte_count.is_multiple_of(PAGE);
            whole_pages = whole_pages
                .filter(|_| whole)
                .and_then(|sum| sum.checked_add(pages));
            // Each range has taken 2 values at least.
            ranges = ranges.saturating_add(1);
        }
        if ranges == 0 {
            return Err(MemoryError::Nothing);
        }
        let values = u16::try_from(values).map_err(|_| MemoryError::TooLong { values })?;
        Ok(Self {
            ranges,
            values,
            whole_pages,
        })
    }
}

/// Where in the values of a GPADL its messages have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    range: u16,
    /// 0 is the range's header, then come its pages.
    at: u32,
}

impl Cursor {
    /// The next value, and the place after it. Nothing bad comes of memory that now tells something else: the host will refuse it.
    pub(super) fn next(self, memory: &impl Pages) -> (U64, Self) {
        let range = memory.range(self.range);
        let pages = range.map_or(0, |range| range.pages().unwrap_or(0));
        let value = match self.at.checked_sub(1) {
            Some(page) => memory.pfn(self.range, page),
            None => range.map_or(0, |range| {
                u64::from(range.byte_count) | u64::from(range.byte_offset) << u32::BITS
            }),
        };
        let next = if self.at < pages {
            Self {
                range: self.range,
                at: self.at.saturating_add(1),
            }
        } else {
            Self {
                range: self.range.saturating_add(1),
                at: 0,
            }
        };
        (U64::new(value), next)
    }
}
