//! The GPADLs that guests lend, in storage that the embedder lends.

use core::cell::Cell;

use vmbus_ringbuf::RangeFault;
use vmbus_ringbuf::gpa::GpaRanges;
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use crate::wire::{GpadlId, RelId};

/// Where a GPADL is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// More values are to come.
    Filling,
    /// Whole and well-formed.
    Ready,
    /// The guest wants the memory back, and waits for the answer.
    TearingDown,
    /// The guest has forgotten it, but a device still uses the memory.
    Orphan,
}

/// Whether devices are to stop using a GPADL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recall {
    No,
    /// They are, and the embedder is still to be told, should there be any.
    Wanted,
    /// The embedder was told.
    Announced,
}

/// A GPADL. Its values are those of the storage from `start` on.
#[derive(Debug)]
pub(super) struct Gpadl {
    pub(super) relid: RelId,
    pub(super) id: GpadlId,
    pub(super) state: State,
    pub(super) recall: Recall,
    /// Devices that use it.
    pub(super) uses: u32,
    /// Never the same for two GPADLs, in the time that tickets live.
    pub(super) serial: u32,
    range_count: u16,
    start: usize,
    len: usize,
    filled: usize,
}

impl Gpadl {
    fn end(&self) -> usize {
        // Both are within the storage.
        self.start.saturating_add(self.len)
    }

    pub(super) fn missing(&self) -> usize {
        self.len.saturating_sub(self.filled)
    }

    pub(super) fn is_orphan(&self) -> bool {
        self.state == State::Orphan
    }

    /// Has devices stop using it.
    pub(super) fn recall(&mut self) {
        if self.recall == Recall::No {
            self.recall = Recall::Wanted;
        }
    }
}

/// Why a GPADL is not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    Entries,
    Storage { free: usize },
}

/// All GPADLs.
#[derive(Debug)]
pub(super) struct GpadlTable<'a, const GPADLS: usize> {
    entries: heapless::Vec<Gpadl, GPADLS>,
    /// The values of GPADLs as they stand in messages, little-endian.
    storage: &'a mut [u64],
    last_serial: u32,
}

impl<'a, const GPADLS: usize> GpadlTable<'a, GPADLS> {
    pub(super) fn new(storage: &'a mut [u64]) -> Self {
        Self {
            entries: heapless::Vec::new(),
            storage,
            last_serial: 0,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Gpadl> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Gpadl> {
        self.entries.iter_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn capacity(&self) -> usize {
        self.storage.len()
    }

    fn free(&self) -> usize {
        let taken = self
            .entries
            .iter()
            .fold(0usize, |taken, gpadl| taken.saturating_add(gpadl.len));
        self.storage.len().saturating_sub(taken)
    }

    /// The GPADL that the guest knows by these ids.
    pub(super) fn find(&self, relid: RelId, id: GpadlId) -> Option<&Gpadl> {
        self.entries
            .iter()
            .find(|gpadl| gpadl.relid == relid && gpadl.id == id && !gpadl.is_orphan())
    }

    pub(super) fn find_mut(&mut self, relid: RelId, id: GpadlId) -> Option<&mut Gpadl> {
        self.entries
            .iter_mut()
            .find(|gpadl| gpadl.relid == relid && gpadl.id == id && !gpadl.is_orphan())
    }

    /// The GPADL that GPADL_BODY messages with this id go to.
    pub(super) fn filling(&self, id: GpadlId) -> Option<&Gpadl> {
        self.entries
            .iter()
            .find(|gpadl| gpadl.id == id && gpadl.state == State::Filling)
    }

    pub(super) fn by_serial(&mut self, serial: u32) -> Option<&mut Gpadl> {
        self.entries.iter_mut().find(|gpadl| gpadl.serial == serial)
    }

    /// Takes up a GPADL of `len` values, none of which is there yet.
    pub(super) fn add(
        &mut self,
        relid: RelId,
        id: GpadlId,
        range_count: u16,
        len: usize,
    ) -> Result<&mut Gpadl, Full> {
        if self.entries.is_full() {
            return Err(Full::Entries);
        }
        let start = match self.run(len) {
            Some(start) => start,
            None => {
                let free = self.free();
                if free < len {
                    return Err(Full::Storage { free });
                }
                // What is free is in pieces. All of it is enough, so after this it is one piece at the end.
                self.compact()
            }
        };
        self.last_serial = self.last_serial.wrapping_add(1);
        let serial = self.last_serial;
        let gpadl = Gpadl {
            relid,
            id,
            state: State::Filling,
            recall: Recall::No,
            uses: 0,
            serial,
            range_count,
            start,
            len,
            filled: 0,
        };
        self.entries.push(gpadl).map_err(|_| Full::Entries)?;
        self.entries.last_mut().ok_or(Full::Entries)
    }

    /// The first run of free values of this length.
    fn run(&self, len: usize) -> Option<usize> {
        let mut start = 0usize;
        loop {
            let end = start.checked_add(len).filter(|end| *end <= self.storage.len())?;
            // Each turn passes an entry, and none is passed twice.
            match self
                .entries
                .iter()
                .find(|gpadl| gpadl.len > 0 && gpadl.start < end && start < gpadl.end())
            {
                Some(in_the_way) => start = in_the_way.end(),
                None => return Some(start),
            }
        }
    }

    /// Moves all values to the front, and gives where they end.
    fn compact(&mut self) -> usize {
        let mut end = 0;
        for _ in 0..self.entries.len() {
            // The next one by its place; those before `end` are done.
            let Some(next) = self
                .entries
                .iter_mut()
                .filter(|gpadl| gpadl.len > 0 && gpadl.start >= end)
                .min_by_key(|gpadl| gpadl.start)
            else {
                break;
            };
            // Forwards, one by one, as both runs may have values in common; `end` is not after the start.
            let cells = Cell::from_mut(&mut *self.storage).as_slice_of_cells();
            let (from, to) = (cells.get(next.start..next.end()), cells.get(end..));
            for (from, to) in from.into_iter().flatten().zip(to.into_iter().flatten()) {
                to.set(from.get());
            }
            next.start = end;
            end = next.end();
        }
        end
    }

    /// Appends values to a GPADL that was found to miss at least as many.
    pub(super) fn fill(&mut self, serial: u32, values: &[U64]) {
        let Some(gpadl) = self.entries.iter_mut().find(|gpadl| gpadl.serial == serial) else {
            return;
        };
        let from = gpadl.start.saturating_add(gpadl.filled);
        let room = self.storage.get_mut(from..gpadl.end()).unwrap_or_default();
        for (to, value) in room.iter_mut().zip(values) {
            *to = u64::from_ne_bytes(value.to_bytes());
            gpadl.filled = gpadl.filled.saturating_add(1);
        }
    }

    /// The ranges of a GPADL all of whose values are there.
    pub(super) fn ranges(&self, gpadl: &Gpadl) -> Result<GpaRanges<'_>, RangeFault> {
        let values = self.storage.get(gpadl.start..gpadl.end()).unwrap_or_default();
        GpaRanges::parse(u32::from(gpadl.range_count), values.as_bytes())
    }

    /// Forgets the first GPADL that this is true of, and gives its id.
    pub(super) fn remove(&mut self, mut which: impl FnMut(&Gpadl) -> bool) -> Option<GpadlId> {
        let index = self.entries.iter().position(&mut which)?;
        Some(self.entries.swap_remove(index).id)
    }

    /// Has the guest forget the GPADLs that this is true of: those that a device uses become orphans, the others are gone.
    pub(super) fn forget(&mut self, which: impl Fn(&Gpadl) -> bool) {
        self.entries.retain(|gpadl| gpadl.uses > 0 || !which(gpadl));
        for gpadl in self
            .entries
            .iter_mut()
            .filter(|gpadl| !gpadl.is_orphan() && which(gpadl))
        {
            gpadl.state = State::Orphan;
            gpadl.recall();
            // The device has its own list of the pages.
            gpadl.len = 0;
            gpadl.filled = 0;
        }
    }
}

/// Memory that the guest lent: ranges of pages.
#[derive(Clone, Debug)]
pub struct GpadlView<'a> {
    pub(super) ranges: GpaRanges<'a>,
}

impl<'a> GpadlView<'a> {
    /// The ranges.
    #[must_use]
    pub fn ranges(&self) -> GpaRanges<'a> {
        self.ranges.clone()
    }

    /// Bytes of all ranges.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.ranges.total_bytes()
    }
}

/// Bytes of a page, in this protocol always.
const PAGE: u32 = 4096;

/// The pages of a channel's two rings: first the ring from guest to host, then the one from host to guest; of each first the control
/// page.
#[derive(Clone, Debug)]
pub struct RingPages<'a> {
    ranges: GpaRanges<'a>,
    pages: u32,
    downstream: u32,
}

impl<'a> RingPages<'a> {
    /// The pages, if two rings can be in them.
    pub(super) fn new(ranges: GpaRanges<'a>, downstream: u32) -> Result<Self, u32> {
        let whole = ranges
            .clone()
            .all(|range| range.byte_offset() == 0 && range.byte_count().is_multiple_of(PAGE));
        let pages = u32::try_from(ranges.total_bytes() >> PAGE.trailing_zeros()).unwrap_or(u32::MAX);
        if !whole {
            return Err(0);
        }
        // A ring has a control page, and one page for data at least.
        if downstream < 2 || pages.saturating_sub(downstream) < 2 {
            return Err(pages);
        }
        Ok(Self {
            ranges,
            pages,
            downstream,
        })
    }

    /// The guest-physical address of each page.
    pub fn addresses(&self) -> impl Iterator<Item = u64> + use<'a> {
        self.ranges
            .clone()
            .flat_map(|range| range.pfns())
            .map(|pfn| pfn.get() << PAGE.trailing_zeros())
    }

    /// How many pages there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.pages
    }

    /// At which page the ring from host to guest begins: 2 at least, and 2 less than there are at most.
    #[must_use]
    pub const fn downstream(&self) -> u32 {
        self.downstream
    }
}
