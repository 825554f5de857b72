//! Ready-made memory: the crate's only `unsafe` code.
//!
//! | type | for |
//! |---|---|
//! | [`ContiguousRing`] | a control page and a data area that is contiguous: a guest's own ring, or a VMM that maps it so |
//! | [`DoubleMappedRing`] | a data area that is mapped twice in a row, so that no access is ever split |
//! | [`PageListRing`] | pages by pointer, as a GPADL lists them: a VMM over guest memory |
//! | [`PageList`] | pages by pointer as a plain region: netvsc's buffers |
//! | [`ArrayRing`], [`ArrayRegion`] | atomics, in safe code: tests, and both ends in one program |
//!
//! # Why racing with a hostile peer is sound here
//!
//! The peer may change any byte at any time. Three things make that harmless.
//!
//! 1. **No reference.** No `&T` or `&mut T` to the data area exists; it is reached by raw pointers, inside one call.
//!    The words of the control page are reached as atomics, which may change under a shared reference.
//! 2. **An honest peer does not race.** It writes bytes before it publishes the index (release) and this end reads them
//!    after it loaded that index (acquire), and the other way round for bytes that are given back. So between two ends
//!    that keep the protocol, every access to the data area is ordered by the indices.
//! 3. **A dishonest peer gets no undefined behaviour out of a race.** It is no thread of this program: it is
//!    another partition, or another process. All that it can do is have a copy yield bytes of its choice. The compiler
//!    must not read the source twice in place of the copy, which would let the bytes change after they were judged:
//!    `copy.rs` sees to that.
//!
//! The contract of each `unsafe fn new` says what remains for the caller: the memory is valid for as long as the value
//! lives, and other code of the same program keeps off it.

mod array;
mod contiguous;
mod copy;
mod double;
mod page_list;
mod region;

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use thiserror::Error;

use crate::wire::{ControlWord, PAGE_SIZE};

pub use array::{ArrayRegion, ArrayRing};
pub use contiguous::ContiguousRing;
pub use double::DoubleMappedRing;
pub use page_list::PageListRing;
pub use region::PageList;

/// The memory lent cannot be used: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// The data area's length can be no ring's: see [`Span::new`](crate::model::Span::new).
    #[error("a ring of {len} data bytes is not possible")]
    DataLen {
        /// Bytes of the data area.
        len: usize,
    },
    /// A pointer is not aligned to what is accessed through it: 4096 bytes for a page, 8 for a data area.
    #[error("address {address:#x} is no multiple of {align}")]
    Unaligned {
        /// The address.
        address: usize,
        /// What it has to be a multiple of.
        align: usize,
    },
    /// The downstream offset does not leave two pages at least on either side of it.
    #[error("downstream offset {offset} in {pages} pages")]
    Downstream {
        /// The offset, in pages.
        offset: u32,
        /// Pages of both rings.
        pages: usize,
    },
    /// A region that starts behind its first page, or ends after its last.
    #[error("{len} bytes from byte {offset} on in {pages} pages")]
    Region {
        /// Start of the region in the first page.
        offset: usize,
        /// Bytes of the region.
        len: usize,
        /// Pages that there are.
        pages: usize,
    },
}

/// A pointer to shared memory: to a page, or to the start of an area.
///
/// Having one allows nothing: what accesses memory by it are the types of this module, under the contracts of their
/// `unsafe` constructors. So it can be sent and shared between threads as a number can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct PagePtr(NonNull<u8>);

// SAFETY: the value is an address. Nothing safe reads or writes through it.
unsafe impl Send for PagePtr {}
// SAFETY: as above.
unsafe impl Sync for PagePtr {}

impl PagePtr {
    /// Wraps a pointer.
    #[inline]
    pub const fn new(ptr: NonNull<u8>) -> Self {
        Self(ptr)
    }

    /// The pointer.
    #[inline]
    pub const fn get(self) -> NonNull<u8> {
        self.0
    }

    fn aligned(self, align: usize) -> Result<Self, LayoutError> {
        let address = self.0.addr().get();
        if address.is_multiple_of(align) {
            Ok(self)
        } else {
            Err(LayoutError::Unaligned { address, align })
        }
    }
}

impl From<NonNull<u8>> for PagePtr {
    fn from(ptr: NonNull<u8>) -> Self {
        Self(ptr)
    }
}

/// The control page of a ring.
#[derive(Clone, Copy, Debug)]
struct Control(PagePtr);

impl Control {
    /// # Safety
    ///
    /// `page` is valid for reads and writes of its first 68 bytes for as long as the value is used, and this program
    /// accesses these bytes in no other way than by the types of this module.
    unsafe fn new(page: PagePtr) -> Result<Self, LayoutError> {
        // More than the words need; a control page that is no page is a mistake.
        Ok(Self(page.aligned(PAGE_SIZE)?))
    }

    #[inline]
    fn word(&self, word: ControlWord) -> &AtomicU32 {
        // SAFETY: `new`'s contract: the page is valid, and only accessed by atomics. It is aligned to 4096, every
        // word's offset is a multiple of 4 and below 68.
        unsafe { AtomicU32::from_ptr(self.0.get().as_ptr().add(word.offset()).cast()) }
    }

    #[inline]
    fn load(&self, word: ControlWord) -> u32 {
        u32::from_le(self.word(word).load(Ordering::Acquire))
    }

    #[inline]
    fn store(&self, word: ControlWord, value: u32) {
        self.word(word).store(value.to_le(), Ordering::Release);
    }

    #[inline]
    fn fence() {
        fence(Ordering::SeqCst);
    }
}

/// The length of a data area, if it can be a ring's.
fn data_len(len: usize) -> Result<u32, LayoutError> {
    let error = LayoutError::DataLen { len };
    let len = u32::try_from(len).map_err(|_| error)?;
    crate::model::Span::new(len).map_err(|_| error)?;
    Ok(len)
}

/// The page counts of a channel's two rings, whose second starts `offset` pages after the first. Each has a control page
/// and one page of data at least.
fn halves(pages: usize, offset: u32) -> Result<(usize, usize), LayoutError> {
    let first = offset as usize;
    match pages.checked_sub(first) {
        Some(second) if first >= 2 && second >= 2 => Ok((first, second)),
        _ => Err(LayoutError::Downstream { offset, pages }),
    }
}

/// Bytes from the first of `pages` on that follow one another in memory, at most `most`.
fn run_len(pages: &[PagePtr], most: usize) -> usize {
    let mut len = PAGE_SIZE;
    let mut rest = pages;
    while let [page, following @ ..] = rest
        && let [next, ..] = following
        && len < most
        && page.get().as_ptr().wrapping_add(PAGE_SIZE) == next.get().as_ptr()
    {
        len = len.wrapping_add(PAGE_SIZE);
        rest = following;
    }
    len.min(most)
}
