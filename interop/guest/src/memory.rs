//! Pages of memory: what a kernel's page allocator is to the drivers, here from a static area.

use core::cell::{Cell, UnsafeCell};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, Ordering};

use vmbus_proto::ringbuf::mem::{PageList, PagePtr};
use zerocopy::little_endian::U64;

/// Bytes of a page.
pub const PAGE_SIZE: usize = 4096;
/// Pages that there are.
const PAGES: usize = 3072;

#[repr(C, align(4096))]
struct Area(UnsafeCell<[[u8; PAGE_SIZE]; PAGES]>);

// SAFETY: its bytes are reached through `Block`s alone, each of which has pages of its own.
unsafe impl Sync for Area {}

static AREA: Area = Area(UnsafeCell::new([[0; PAGE_SIZE]; PAGES]));
static TAKEN: AtomicBool = AtomicBool::new(false);

/// All pages, and which of them are free.
#[derive(Debug)]
pub struct Memory {
    pointers: [PagePtr; PAGES],
    pfns: [U64; PAGES],
    /// Whether somebody has the page.
    used: [Cell<bool>; PAGES],
    most_used: Cell<usize>,
}

/// Pages that follow one another, zeroed when they are taken. Dropping it gives them back, so whoever lends them to the host keeps it.
#[derive(Debug)]
pub struct Block<'m> {
    memory: &'m Memory,
    first: usize,
    count: usize,
}

impl Memory {
    /// The static area, once. Guest-physical addresses are those of this program.
    #[must_use]
    pub fn take() -> Option<Self> {
        if TAKEN.swap(true, Ordering::Relaxed) {
            return None;
        }
        let base = NonNull::new(AREA.0.get())?.cast::<u8>();
        let pointer = |page: usize| {
            // SAFETY: the area has so many pages.
            PagePtr::new(unsafe { base.add(page * PAGE_SIZE) })
        };
        Some(Self {
            pointers: core::array::from_fn(pointer),
            pfns: core::array::from_fn(|page| {
                let address = pointer(page).get().as_ptr().expose_provenance();
                U64::new((address / PAGE_SIZE) as u64)
            }),
            used: [const { Cell::new(false) }; PAGES],
            most_used: Cell::new(0),
        })
    }

    /// Takes pages, zeroed; `None` when there are not so many in one piece.
    pub fn block(&self, count: usize) -> Option<Block<'_>> {
        let first = first_run(&self.used, count)?;
        let pages = self.used.get(first..)?.get(..count)?;
        pages.iter().for_each(|page| page.set(true));
        let used = self.used.iter().filter(|page| page.get()).count();
        self.most_used.set(self.most_used.get().max(used));
        let base = self.pointers.get(first)?.get().as_ptr();
        // SAFETY: these pages were free, so nothing else reaches them.
        unsafe { base.write_bytes(0, count * PAGE_SIZE) };
        Some(Block {
            memory: self,
            first,
            count,
        })
    }

    /// The most bytes that were in use at a time.
    pub fn most_used(&self) -> usize {
        self.most_used.get() * PAGE_SIZE
    }
}

/// Where so many in a row are free.
fn first_run(used: &[Cell<bool>], count: usize) -> Option<usize> {
    if count == 0 {
        return None;
    }
    let mut run = 0;
    for (index, page) in used.iter().enumerate() {
        run = if page.get() { 0 } else { run + 1 };
        if run == count {
            return Some(index + 1 - count);
        }
    }
    None
}

impl<'m> Block<'m> {
    /// How many pages.
    #[must_use]
    pub const fn pages(&self) -> usize {
        self.count
    }

    /// Bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count * PAGE_SIZE
    }

    /// Whether there are no pages; never so.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A pointer to each page.
    #[must_use]
    pub fn pointers(&self) -> &'m [PagePtr] {
        self.memory
            .pointers
            .get(self.first..self.first + self.count)
            .unwrap_or_default()
    }

    /// The frame number of each page.
    #[must_use]
    pub fn pfns(&self) -> &'m [U64] {
        self.memory
            .pfns
            .get(self.first..self.first + self.count)
            .unwrap_or_default()
    }

    /// The first page.
    #[must_use]
    pub fn base(&self) -> Option<NonNull<u8>> {
        self.pointers().first().map(|page| page.get())
    }

    /// Memory for this program alone, for good.
    #[must_use]
    pub fn into_private(self) -> &'m mut [u8] {
        let Some(base) = self.base() else {
            return Default::default();
        };
        let len = self.len();
        core::mem::forget(self);
        // SAFETY: the block was the only one to have these pages, and as it is not dropped, nobody will. They are initialised.
        unsafe { core::slice::from_raw_parts_mut(base.as_ptr(), len) }
    }

    /// The same bytes as a region to copy into and out of.
    ///
    /// # Errors
    ///
    /// None: pages are pages.
    ///
    /// # Safety
    ///
    /// The region is not used any more when the block is dropped, nor is any other view of the pages but such regions.
    pub unsafe fn region(&self) -> Option<PageList<&'m [PagePtr]>> {
        // SAFETY: the pointers are those of one area, and the caller answers for the rest.
        unsafe { PageList::new(self.pointers(), 0, self.len()) }.ok()
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        let pages = self.memory.used.iter().skip(self.first).take(self.count);
        pages.for_each(|page| page.set(false));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmbus_proto::ringbuf::SharedMem as _;

    #[test]
    fn runs_are_found_where_they_fit_first() {
        let used = [true, false, false, true, false, false, false].map(Cell::new);
        assert_eq!(first_run(&used, 1), Some(1));
        assert_eq!(first_run(&used, 3), Some(4));
        assert_eq!(first_run(&used, 4), None);
        assert_eq!(first_run(&used, 0), None);
    }

    // One test, as the area is one.
    #[test]
    fn blocks_are_apart_zeroed_and_given_back() {
        let memory = std::boxed::Box::new(Memory::take().unwrap());
        assert!(Memory::take().is_none(), "it is there once");
        let (one, other) = (memory.block(2).unwrap(), memory.block(3).unwrap());
        assert_eq!((one.pages(), other.len()), (2, 3 * PAGE_SIZE));
        assert_eq!(one.pfns()[1].get() + 1, other.pfns()[0].get());
        // SAFETY: the region is gone before the block.
        let region = unsafe { one.region() }.unwrap();
        region.write(PAGE_SIZE - 1, &[1, 2]).unwrap();
        drop(one);

        let again = memory.block(2).unwrap();
        assert_eq!(again.pfns()[0].get() + 2, other.pfns()[0].get());
        let mut bytes = [9; 2];
        // SAFETY: as above.
        let region = unsafe { again.region() }.unwrap();
        region.read(PAGE_SIZE - 1, &mut bytes).unwrap();
        assert_eq!(bytes, [0, 0]);
        assert!(memory.block(PAGES).is_none());
        assert_eq!(memory.most_used(), 5 * PAGE_SIZE);
    }
}
