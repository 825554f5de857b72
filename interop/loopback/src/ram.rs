//! The guest's memory: an array of pages, whose guest-physical addresses are offsets.
//!
//! Everything in this process that touches it does so through `ringbuf`'s memory types and through atomics. That is what makes it sound
//! for two threads to be at it at the same time, and what each block of `unsafe` here argues by.

use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hvcall::guest::SharedPage;
use hvcall::{GuestMemory, MemoryError};
use vmbus_proto::guest::{PageRange, Pages};
use vmbus_proto::ringbuf::mem::{PageList, PageListRing, PagePtr};
use vmbus_proto::ringbuf::{Halves, SharedMem};
use zerocopy::little_endian::U64;

use crate::error::PlatformError;

/// A ring in the guest's memory, for either end.
pub(crate) type Ring = PageListRing<Arc<[PagePtr]>>;
/// Another region of the guest's memory, for either end.
pub(crate) type Region = PageList<Arc<[PagePtr]>>;

/// Bytes of a page.
pub(crate) const PAGE: usize = 4096;
/// The same, as packets count.
pub(crate) const PAGE_BYTES: u32 = 4096;

/// A page, or bytes aligned as one.
#[derive(Clone, Copy)]
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// The guest's memory. It lasts for as long as the process, as rings and regions lead into it.
#[derive(Debug)]
pub(crate) struct Ram {
    pages: Arc<[PagePtr]>,
    whole: Region,
    /// Which pages the guest's allocator has given away.
    taken: Mutex<Vec<bool>>,
}

impl Ram {
    /// So many pages of zeros.
    ///
    /// # Errors
    /// None that a number of pages above 0 gives cause to.
    pub(crate) fn new(pages: usize) -> Result<&'static Self, PlatformError> {
        let memory: &'static mut [MaybeUninit<Page>] = Box::leak(Box::new_zeroed_slice(pages));
        let start = NonNull::from(memory).cast::<u8>();
        let pages: Arc<[PagePtr]> = (0..pages)
            .filter_map(|page| NonNull::new(start.as_ptr().wrapping_add(page.saturating_mul(PAGE))))
            .map(PagePtr::new)
            .collect();
        let len = pages.len().saturating_mul(PAGE);
        // SAFETY: the pages are initialised (to zeros), valid for ever, since they are leaked, and all pointers are derived from the one to
        // the whole slice. Nobody has a reference to it any more, and everything else that accesses it is in this file.
        let whole = unsafe { PageList::new(Arc::clone(&pages), 0, len) }?;
        let mut taken = vec![false; pages.len()];
        // Address 0 stands for no page in too many places.
        if let Some(first) = taken.first_mut() {
            *first = true;
        }
        let taken = Mutex::new(taken);
        Ok(Box::leak(Box::new(Self { pages, whole, taken })))
    }

    fn taken(&self) -> MutexGuard<'_, Vec<bool>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes pages of zeros that follow one another, for the guest.
    ///
    /// # Errors
    /// There are not so many.
    pub(crate) fn allocate(&'static self, count: usize) -> Result<Frames, PlatformError> {
        let mut taken = self.taken();
        let none = PlatformError::NoFrames { count };
        let first = taken
            .windows(count.max(1))
            .position(|run| run.iter().all(|taken| !taken))
            .ok_or(none)?;
        let run = taken.get_mut(first..).and_then(|rest| rest.get_mut(..count));
        run.ok_or(none)?.fill(true);
        drop(taken);
        let frames = Frames {
            ram: self,
            first,
            count,
        };
        for page in 0..count {
            self.whole.write((first + page) * PAGE, &[0; PAGE])?;
        }
        Ok(frames)
    }

    fn page(&self, gpa: u64) -> Result<PagePtr, MemoryError> {
        let no_page = MemoryError { gpa, len: PAGE };
        let index = usize::try_from(gpa / PAGE as u64).map_err(|_| no_page)?;
        let page = self.pages.get(index).filter(|_| gpa.is_multiple_of(PAGE as u64));
        page.copied().ok_or(no_page)
    }

    fn pages(&self, addresses: impl Iterator<Item = u64>) -> Result<Arc<[PagePtr]>, MemoryError> {
        addresses.map(|gpa| self.page(gpa)).collect()
    }

    /// A channel's rings, in pages at these addresses.
    ///
    /// Both ends make such a pair once for each opening of a channel, so that each ring has one sender and one receiver.
    pub(crate) fn rings(
        &'static self,
        addresses: impl Iterator<Item = u64>,
        downstream: u32,
    ) -> Result<Halves<Ring>, PlatformError> {
        let pages = self.pages(addresses)?;
        // SAFETY: the pages are this memory's: valid for ever, neighbours in it derived from one pointer, and accessed by the memory
        // types of `ringbuf` and by atomics alone.
        Ok(unsafe { PageListRing::pair(pages, downstream) }?)
    }

    /// A region in pages at these addresses: `len` bytes from byte `offset` of the first page on.
    pub(crate) fn region(
        &'static self,
        addresses: impl Iterator<Item = u64>,
        offset: usize,
        len: usize,
    ) -> Result<Region, PlatformError> {
        let pages = self.pages(addresses)?;
        // SAFETY: as for the rings.
        Ok(unsafe { PageList::new(pages, offset, len) }?)
    }

    /// The word at an address.
    fn word(&self, gpa: u64) -> Result<&AtomicU32, MemoryError> {
        let no_word = MemoryError { gpa, len: 4 };
        let in_page = gpa % PAGE as u64;
        let page = self.page(gpa - in_page).map_err(|_| no_word)?;
        let in_page = usize::try_from(in_page).map_err(|_| no_word)?;
        if !in_page.is_multiple_of(4) {
            return Err(no_word);
        }
        let word = page.get().as_ptr().wrapping_add(in_page).cast();
        // SAFETY: it lies in a page, which is valid for ever; it is aligned to 4, so that it ends in the page; and everybody else
        // accesses it by atomics too, or as `ringbuf`'s copies do, which no reference is harmed by.
        Ok(unsafe { AtomicU32::from_ptr(word) })
    }
}

/// What a VMM is lent.
impl GuestMemory for Ram {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        let failed = MemoryError { gpa, len: dst.len() };
        let offset = usize::try_from(gpa).map_err(|_| failed)?;
        self.whole.read(offset, dst).map_err(|_| failed)
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        let failed = MemoryError { gpa, len: src.len() };
        let offset = usize::try_from(gpa).map_err(|_| failed)?;
        self.whole.write(offset, src).map_err(|_| failed)
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        Ok(u32::from_le(self.word(gpa)?.load(Ordering::Acquire)))
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        self.word(gpa)?.store(value.to_le(), Ordering::Release);
        Ok(())
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        let before = self.word(gpa)?.fetch_or(bits.to_le(), Ordering::SeqCst);
        Ok(u32::from_le(before))
    }
}

/// Pages that the guest has, which follow one another. Dropping the value gives them back to the allocator.
#[derive(Debug)]
pub(crate) struct Frames {
    ram: &'static Ram,
    first: usize,
    count: usize,
}

impl Frames {
    /// Bytes.
    pub(crate) fn len(&self) -> usize {
        self.count * PAGE
    }

    /// The guest-physical address of the first byte.
    pub(crate) fn gpa(&self) -> u64 {
        (self.first * PAGE) as u64
    }

    /// The address of each page.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = u64> + use<> {
        let (gpa, count) = (self.gpa(), self.count as u64);
        (0..count).map(move |page| gpa + page * PAGE as u64)
    }

    /// The page frame numbers, as packets list them.
    pub(crate) fn pfns(&self) -> Vec<U64> {
        self.addresses().map(|gpa| U64::new(gpa / PAGE as u64)).collect()
    }

    /// All of it as a region, whose uses end before the pages are given back.
    pub(crate) fn region(&self) -> Result<Region, PlatformError> {
        self.ram.region(self.addresses(), 0, self.len())
    }

    /// The rings in it.
    pub(crate) fn rings(&self, downstream: u32) -> Result<Halves<Ring>, PlatformError> {
        self.ram.rings(self.addresses(), downstream)
    }

    /// The first page, for the hypervisor to have a hand in. It is never given back.
    ///
    /// # Errors
    /// There is no page.
    pub(crate) fn into_shared_page(self) -> Result<SharedPage, PlatformError> {
        let gpa = self.gpa();
        let page = self.ram.page(gpa)?.get().cast();
        std::mem::forget(self);
        // SAFETY: the page is valid for ever and at this address. The allocator gives it to nobody else any more, so that what accesses it
        // besides the value is the other end and the hypervisor, which use atomics and `ringbuf`'s copies as someone outside would.
        Ok(unsafe { SharedPage::new(page, gpa) }?)
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        let mut taken = self.ram.taken();
        if let Some(run) = taken
            .get_mut(self.first..)
            .and_then(|rest| rest.get_mut(..self.count))
        {
            run.fill(false);
        }
    }
}

/// Memory to lend.
impl Pages for Frames {
    fn range(&self, index: u16) -> Option<PageRange> {
        let byte_count = u32::try_from(self.len()).unwrap_or(u32::MAX);
        (index == 0).then_some(PageRange {
            byte_offset: 0,
            byte_count,
        })
    }

    fn pfn(&self, _: u16, page: u32) -> u64 {
        self.first as u64 + u64::from(page)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn pages_are_given_once_and_zeroed() {
        let ram = Ram::new(8).unwrap();
        let (a, b) = (ram.allocate(3).unwrap(), ram.allocate(4).unwrap());
        assert_eq!((a.gpa(), b.gpa()), (0x1000, 0x4000));
        assert!(matches!(
            ram.allocate(1),
            Err(PlatformError::NoFrames { count: 1 })
        ));
        ram.write(0x1ffe, &[7; 4]).unwrap();
        drop(a);
        let again = ram.allocate(2).unwrap();
        let mut bytes = [1; 4];
        ram.read(0x1ffe, &mut bytes).unwrap();
        assert_eq!((again.gpa(), bytes), (0x1000, [0; 4]));
    }

    #[test]
    fn what_is_no_memory_is_refused() {
        let ram = Ram::new(4).unwrap();
        let len = 4 * PAGE as u64;
        assert!(ram.read(len - 3, &mut [0; 4]).is_err() && ram.write(u64::MAX, &[0]).is_err());
        for gpa in [len, len - 2, 2, u64::MAX - 3] {
            assert!(ram.load_u32(gpa).is_err(), "{gpa:#x}");
        }
        assert!(ram.rings([0x1000, 0x2000, 0x3000, len].into_iter(), 2).is_err());
        assert!(ram.region([0x1001].into_iter(), 0, 1).is_err());
        assert_eq!(ram.fetch_or_u32(len - 4, 5), Ok(0));
        assert_eq!(ram.load_u32(len - 4), Ok(5));
    }
}
