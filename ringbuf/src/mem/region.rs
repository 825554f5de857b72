//! A region whose pages lie anywhere.

use super::{LayoutError, PagePtr, copy, run_len};
use crate::fault::OutOfBounds;
use crate::memory::SharedMem;
use crate::wire::PAGE_SIZE;

/// A region in pages of its own each, as a GPADL lists them: netvsc's receive and send buffers.
///
/// `P` lends the pointers, as for [`PageListRing`](super::PageListRing). A region can be shared between threads:
/// copies that race yield a mixture of bytes, and nothing worse.
#[derive(Clone, Debug)]
pub struct PageList<P> {
    pages: P,
    start: usize,
    len: usize,
}

impl<P: AsRef<[PagePtr]>> PageList<P> {
    /// `len` bytes, from byte `offset` of the first page on.
    ///
    /// # Errors
    ///
    /// `offset` is not within the first page, the pages are too few for `len`, or one is not aligned to 4096.
    ///
    /// # Safety
    ///
    /// For as long as the value, or a clone of it, lives:
    ///
    /// - `pages` always lends the same pointers, and clones of it lend them too.
    /// - Each is valid for reads and writes of 4096 bytes, and of more where the next page follows in memory: neighbours
    ///   are accessed as one, so their pointers are derived from one that is valid for both.
    /// - In this program, nothing accesses these bytes but values of this module's types; and no slice that is passed to
    ///   their methods overlaps them. What is not this program, such as a guest or another process, may do as it likes.
    pub unsafe fn new(pages: P, offset: usize, len: usize) -> Result<Self, LayoutError> {
        let list = pages.as_ref();
        let error = LayoutError::Region {
            offset,
            len,
            pages: list.len(),
        };
        let end = offset.checked_add(len).ok_or(error)?;
        if offset >= PAGE_SIZE || end > list.len().saturating_mul(PAGE_SIZE) {
            return Err(error);
        }
        for page in list {
            page.aligned(PAGE_SIZE)?;
        }
        Ok(Self {
            pages,
            start: offset,
            len,
        })
    }

    /// Calls `copy` with each piece of `len` bytes from `offset` on: where it lies in a page, and where and how long it
    /// is in the caller's buffer.
    #[inline]
    fn pieces(
        &self,
        offset: usize,
        len: usize,
        mut copy: impl FnMut(*mut u8, usize, usize),
    ) -> Result<(), OutOfBounds> {
        match offset.checked_add(len) {
            Some(end) if end <= self.len => {}
            _ => {
                return Err(OutOfBounds {
                    offset,
                    len,
                    region: self.len,
                });
            }
        }
        let pages = self.pages.as_ref();
        let mut at = self.start.wrapping_add(offset);
        let mut done = 0usize;
        while done < len {
            let Some(pages) = pages.get(at / PAGE_SIZE..) else {
                break;
            };
            let Some(page) = pages.first() else { break };
            let in_page = at & (PAGE_SIZE - 1);
            let left = len.wrapping_sub(done);
            let piece = run_len(pages, in_page.saturating_add(left)).wrapping_sub(in_page);
            // SAFETY: within the run of pages that `piece` goes by.
            copy(unsafe { page.get().as_ptr().add(in_page) }, done, piece);
            done = done.wrapping_add(piece);
            at = at.wrapping_add(piece);
        }
        Ok(())
    }
}

impl<P: AsRef<[PagePtr]>> SharedMem for PageList<P> {
    #[inline]
    fn len(&self) -> usize {
        self.len
    }

    #[inline]
    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        self.pieces(offset, dst.len(), |src, at, len| {
            if let Some(dst) = dst.get_mut(at..).and_then(|dst| dst.get_mut(..len)) {
                // SAFETY: the piece lies in its page.
                unsafe { copy::read(src, dst) }
            }
        })
    }

    #[inline]
    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        self.pieces(offset, src.len(), |dst, at, len| {
            if let Some(src) = src.get(at..).and_then(|src| src.get(..len)) {
                // SAFETY: the piece lies in its page.
                unsafe { copy::write(dst, src) }
            }
        })
    }
}
