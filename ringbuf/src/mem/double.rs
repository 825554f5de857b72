//! A ring whose data area is mapped twice in a row.

use core::cell::Cell;
use core::marker::PhantomData;
use core::ptr::NonNull;

use super::{Control, LayoutError, PagePtr, copy, data_len};
use crate::memory::{RingMem, write_packet_by_parts};
use crate::wire::ControlWord;

/// A control page, and a data area that is mapped twice in a row: what goes over its end comes out at its start, and no
/// access is ever split.
#[derive(Debug)]
pub struct DoubleMappedRing {
    control: Control,
    data: PagePtr,
    len: u32,
    /// Two threads must not copy into the same bytes: a ring's end is one thread's at a time.
    _not_sync: PhantomData<Cell<()>>,
}

impl DoubleMappedRing {
    /// A ring with its control page at `control`, and `len` bytes of data that are mapped at `data` and again at
    /// `data + len`.
    ///
    /// # Errors
    ///
    /// `control` is not aligned to 4096, `data` not to 8, or `len` can be no ring's.
    ///
    /// # Safety
    ///
    /// For as long as the value lives:
    ///
    /// - `control` is valid for reads and writes of 4096 bytes, `data` of `2 * len`, and they do not overlap.
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

    /// Where `offset` lies, and how many of `len` bytes from there on are the ring's: all, but for a caller that keeps
    /// to no contract.
    #[inline]
    fn at(&self, offset: u32, len: usize) -> (*mut u8, usize) {
        let offset = if offset < self.len {
            offset
        } else {
            offset.checked_rem(self.len).unwrap_or(0)
        };
        // SAFETY: `offset` is below the area's length.
        (
            unsafe { self.data.get().as_ptr().add(offset as usize) },
            len.min(self.len as usize),
        )
    }
}

impl RingMem for DoubleMappedRing {
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
        let (src, len) = self.at(offset, dst.len());
        if let Some(dst) = dst.get_mut(..len) {
            // SAFETY: `at` lies in the first mapping, and at most as many bytes as one has follow.
            unsafe { copy::read(src, dst) }
        }
    }

    #[inline]
    fn write(&self, offset: u32, src: &[u8]) {
        let (dst, len) = self.at(offset, src.len());
        if let Some(src) = src.get(..len) {
            // SAFETY: `at` lies in the first mapping, and at most as many bytes as one has follow.
            unsafe { copy::write(dst, src) }
        }
    }

    #[inline]
    fn read_head(&self, offset: u32) -> [u64; 2] {
        if offset.is_multiple_of(8) {
            // SAFETY: `at` lies in the first mapping, which has 32 bytes at least, and is a multiple of 8 as the area is.
            return unsafe { copy::read_head(self.at(offset, 16).0) };
        }
        let mut bytes = [[0; 8]; 2];
        self.read(offset, bytes.as_flattened_mut());
        bytes.map(u64::from_le_bytes)
    }

    #[inline]
    fn write_head(&self, offset: u32, words: [u64; 2]) {
        if offset.is_multiple_of(8) {
            // SAFETY: as in `read_head`.
            return unsafe { copy::write_head(self.at(offset, 16).0, words) };
        }
        self.write(offset, words.map(u64::to_le_bytes).as_flattened());
    }

    #[inline]
    fn write_word(&self, offset: u32, value: u64) {
        if offset.is_multiple_of(8) {
            // SAFETY: as in `read_head`.
            return unsafe { copy::write_word(self.at(offset, 8).0, value) };
        }
        self.write(offset, &value.to_le_bytes());
    }

    #[inline]
    fn write_packet(&self, offset: u32, head: [u64; 2], payload: &[u8], trailer: u64) {
        let len = copy::packet_len(payload.len());
        match self.at(offset, len) {
            // SAFETY: `at` lies in the first mapping, and at most as many bytes as one has follow; area and offset are
            // multiples of 8.
            (dst, whole) if whole == len && offset.is_multiple_of(8) => unsafe {
                copy::write_packet(dst, head, payload, trailer);
            },
            _ => write_packet_by_parts(self, offset, head, payload, trailer),
        }
    }
}
