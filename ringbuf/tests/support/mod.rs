//! Memory for the tests.
#![allow(dead_code, unused_imports, reason = "each test uses its part")]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

use vmbus_ringbuf::mem::{ContiguousRing, PageListRing, PagePtr};

#[cfg(target_os = "linux")]
mod double;
#[cfg(target_os = "linux")]
pub(crate) use double::DoubleMapping;

/// Zeroed pages, freed with the value.
pub(crate) struct Pages {
    base: NonNull<u8>,
    count: usize,
}

// SAFETY: the value owns its memory.
unsafe impl Send for Pages {}
// SAFETY: it only tells addresses.
unsafe impl Sync for Pages {}

impl Pages {
    pub(crate) fn new(count: usize) -> Self {
        // SAFETY: the layout is not empty.
        let base = NonNull::new(unsafe { alloc_zeroed(Self::layout(count)) }).unwrap();
        Self { base, count }
    }

    fn layout(count: usize) -> Layout {
        Layout::from_size_align(count * 4096, 4096).unwrap()
    }

    pub(crate) fn page(&self, index: usize) -> NonNull<u8> {
        assert!(index < self.count);
        // SAFETY: within the allocation.
        unsafe { self.base.add(index * 4096) }
    }

    /// A ring over all pages.
    pub(crate) fn contiguous(&self) -> ContiguousRing {
        // SAFETY: tests keep the pages as long as the ring, and use one of its ends of each kind.
        unsafe { ContiguousRing::new(self.page(0), self.page(1), (self.count - 1) * 4096) }.unwrap()
    }

    /// The pages' pointers, the data pages in an order in which no two are neighbours.
    pub(crate) fn scattered(&self) -> Vec<PagePtr> {
        let data = (1..self.count)
            .filter(|i| i % 2 == 0)
            .chain((1..self.count).filter(|i| i % 2 == 1));
        [0].into_iter()
            .chain(data)
            .map(|i| PagePtr::new(self.page(i)))
            .collect()
    }

    /// A ring over all pages, scattered.
    pub(crate) fn page_list(&self) -> PageListRing<Vec<PagePtr>> {
        // SAFETY: as above.
        unsafe { PageListRing::new(self.scattered()) }.unwrap()
    }

    /// A ring over all pages in their order, of which the ring does not know beforehand that they are neighbours.
    pub(crate) fn ordered_list(&self) -> PageListRing<Vec<PagePtr>> {
        let pages = (0..self.count)
            .map(|page| PagePtr::new(self.page(page)))
            .collect();
        // SAFETY: as above.
        unsafe { PageListRing::new(pages) }.unwrap()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout.
        unsafe { dealloc(self.base.as_ptr(), Self::layout(self.count)) }
    }
}
