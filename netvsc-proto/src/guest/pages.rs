//! Memory that the host finds by its address.

use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{OutOfBounds, RangeFault, SharedMem};
use zerocopy::little_endian::U64;

const PAGE: u32 = 4096;

/// Memory that the engine writes and the host reads where its pages are. It is no GPADL: each packet names the part
/// that is meant.
#[derive(Clone, Copy, Debug)]
pub struct Pages<'p, B> {
    memory: B,
    offset: u32,
    pfns: &'p [U64],
}

impl<'p, B: SharedMem> Pages<'p, B> {
    /// All of `memory`, which begins at byte `offset` of the first of the pages `pfns`: guest-physical addresses
    /// divided by 4096, in order.
    ///
    /// # Errors
    ///
    /// The memory is empty or larger than 4 GiB, `offset` is not within a page, or the pages are not as many as the
    /// memory touches.
    pub fn new(memory: B, offset: u32, pfns: &'p [U64]) -> Result<Self, RangeFault> {
        let len = u32::try_from(memory.len()).unwrap_or(u32::MAX);
        GpaRange::new(offset, len, pfns)?;
        Ok(Self { memory, offset, pfns })
    }

    pub(super) fn len(&self) -> usize {
        self.memory.len()
    }

    /// The pages of `len` bytes from `at` on: one range, whether it crosses from one page to the next or not.
    pub(super) fn range(&self, at: u32, len: u32) -> Option<GpaRange<'p>> {
        let start = self.offset.checked_add(at)?;
        let last = start.checked_add(len)?.checked_sub(1)?;
        let pfns = self.pfns.get((start / PAGE) as usize..=(last / PAGE) as usize)?;
        GpaRange::new(start % PAGE, len, pfns).ok()
    }

    pub(super) fn write(&self, at: u32, bytes: &[u8]) -> Result<(), OutOfBounds> {
        self.memory.write(at as usize, bytes)
    }
}
