//! A ring whose data area is contiguous.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::{Control, LayoutError, PagePtr, copy, data_len, halves};
use crate::memory::{RingMem, write_packet_by_parts};
use crate::pair::Halves;
use crate::wire::{ControlWord, PAGE_SIZE};

/// A control page and a contiguous data area.
#[derive(Debug)]
pub struct ContiguousRing {
    control: Control,
    data: PagePtr,
    len: u32,
    /// Two threads must not copy into the same bytes: a ring's end is one thread's at a time.
    _not_sync: PhantomData<Cell<()>>,
}

impl ContiguousRing {
    /// A ring with its control page at `control` and `len` bytes of data at `data`.
    ///
    /// # Errors
    ///
    /// `control` is not aligned to 4096, `data` not to 8, or `len` can be no ring's.
    ///
    /// # Safety
    ///
    /// For as long as the value lives:
    ///
    /// - `control` is valid for reads and writes of 4096 bytes, `data` of `len`, and they do not overlap.
    /// - In this program, nothing accesses these bytes but values of this module's types, of which one is used to send and
    ///   one to receive; and no slice that is passed to their methods overlaps them. What is not this program, such
    ///   as a guest or another process, may do as it likes.
    pub unsafe fn new(control: NonNull<u8>, data: NonNull<u8>, len: usize) -> Result<Self, LayoutError> {
        // SAFETY: the caller's promise covers the control page.
        let control = unsafe { Control::new(PagePtr(control)) }?;
        Ok(Self {
            control,
            data: PagePtr(data).aligned(8)?,
            len: data_len(len)?,
            _not_sync: PhantomData,
        })
    }

    /// Both rings of a channel in `pages` contiguous pages at `base`, the second from page `downstream` on.
    ///
    /// # Errors
    ///
    /// `base` is not aligned to 4096, or `downstream` does not leave two pages at least on either side.
    ///
    /// # Safety
    ///
    /// As for [`new`](Self::new), with `pages * 4096` bytes at `base`.
    pub unsafe fn pair(
        base: NonNull<u8>,
        pages: usize,
        downstream: u32,
    ) -> Result<Halves<Self>, LayoutError> {
        let (first, second) = halves(pages, downstream)?;
        let ring = |page: usize, pages: usize| {
            // SAFETY: `page + pages` is at most what the caller promised, and `pages` is at least 2.
            unsafe {
                let control = base.add(page.wrapping_mul(PAGE_SIZE));
                Self::new(
                    control,
                    control.add(PAGE_SIZE),
                    pages.wrapping_sub(1).saturating_mul(PAGE_SIZE),
                )
            }
        };
        Ok(Halves {
            to_host: ring(0, first)?,
            to_guest: ring(first, second)?,
        })
    }

    /// Where `len` bytes from `offset` on lie, if they are not split by the end of the data area.
    #[inline]
    fn whole(&self, offset: u32, len: usize) -> Option<*mut u8> {
        let end = (offset as usize).checked_add(len)?;
        if end > self.len as usize {
            return None;
        }
        // SAFETY: `offset` is at most the area's length.
        Some(unsafe { self.data.get().as_ptr().add(offset as usize) })
    }

    /// Calls `copy` with each piece of `len` bytes from `offset` on: where it lies in the area, and where and how long it
    /// is in the caller's buffer.
    fn pieces(&self, offset: u32, len: usize, mut copy: impl FnMut(*mut u8, usize, usize)) {
        let area = self.len as usize;
        let mut at = (offset as usize).checked_rem(area).unwrap_or(0);
        let mut done = 0usize;
        while done < len {
            let piece = len.wrapping_sub(done).min(area.wrapping_sub(at));
            // SAFETY: `at` is below the area's length.
            copy(unsafe { self.data.get().as_ptr().add(at) }, done, piece);
            done = done.wrapping_add(piece);
            at = 0;
        }
    }

    #[cold]
    fn read_split(&self, offset: u32, dst: &mut [u8]) {
        self.pieces(offset, dst.len(), |src, at, len| {
            if let Some(dst) = dst.get_mut(at..).and_then(|dst| dst.get_mut(..len)) {
                // SAFETY: `pieces` vouches for the bytes.
                unsafe { copy::read(src, dst) }
            }
        });
    }

    #[cold]
    fn write_packet_split(&self, offset: u32, first: u64, second: u64, payload: &[u8], trailer: u64) {
        write_packet_by_parts(self, offset, [first, second], payload, trailer);
    }

    #[cold]
    fn write_split(&self, offset: u32, src: &[u8]) {
        self.pieces(offset, src.len(), |dst, at, len| {
            if let Some(src) = src.get(at..).and_then(|src| src.get(..len)) {
                // SAFETY: `pieces` vouches for the bytes.
                unsafe { copy::write(dst, src) }
            }
        });
    }
}

impl RingMem for ContiguousRing {
    #[inline]
    fn data_len(&self) -> u32 {
        self.len
    }

    #[inline]
    fn load(&self, word: ControlWord) -> u32 {
        self.control.load(word)
    }

    #[inline]
    fn store(&self, word: ControlWord, value: u32) {
        self.control.store(word, value);
    }

    #[inline]
    fn fence(&self) {
        Control::fence();
    }

    #[inline]
    fn read(&self, offset: u32, dst: &mut [u8]) {
        match self.whole(offset, dst.len()) {
            // SAFETY: `whole` vouches for the bytes.
            Some(src) => unsafe { copy::read(src, dst) },
            None => self.read_split(offset, dst),
        }
    }

    #[inline]
    fn write(&self, offset: u32, src: &[u8]) {
        match self.whole(offset, src.len()) {
            // SAFETY: `whole` vouches for the bytes.
            Some(dst) => unsafe { copy::write(dst, src) },
            None => self.write_split(offset, src),
        }
    }

    #[inline]
    fn read_head(&self, offset: u32) -> [u64; 2] {
        match self.whole(offset, 16) {
            // SAFETY: `whole` vouches for the bytes; area and offset are multiples of 8.
            Some(src) if offset.is_multiple_of(8) => unsafe { copy::read_head(src) },
            _ => {
                let mut bytes = [[0; 8]; 2];
                self.read_split(offset, bytes.as_flattened_mut());
                bytes.map(u64::from_le_bytes)
            }
        }
    }

    #[inline]
    fn write_head(&self, offset: u32, words: [u64; 2]) {
        match self.whole(offset, 16) {
            // SAFETY: `whole` vouches for the bytes; area and offset are multiples of 8.
            Some(dst) if offset.is_multiple_of(8) => unsafe { copy::write_head(dst, words) },
            _ => self.write_split(offset, words.map(u64::to_le_bytes).as_flattened()),
        }
    }

    #[inline]
    fn write_word(&self, offset: u32, value: u64) {
        match self.whole(offset, 8) {
            // SAFETY: `whole` vouches for the bytes; area and offset are multiples of 8.
            Some(dst) if offset.is_multiple_of(8) => unsafe { copy::write_word(dst, value) },
            _ => self.write_split(offset, &value.to_le_bytes()),
        }
    }

    #[inline]
    fn write_packet(&self, offset: u32, head: [u64; 2], payload: &[u8], trailer: u64) {
        // One by one, as an array would be laid down in memory for each packet, for the call that hardly one needs.
        let [first, second] = head;
        match self.whole(offset, copy::packet_len(payload.len())) {
            // SAFETY: `whole` vouches for the bytes; area and offset are multiples of 8.
            Some(dst) if offset.is_multiple_of(8) => unsafe {
                copy::write_packet(dst, [first, second], payload, trailer);
            },
            _ => self.write_packet_split(offset, first, second, payload, trailer),
        }
    }
}
