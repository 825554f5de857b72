//! A ring whose pages lie anywhere.

use core::cell::Cell;

use super::{Control, LayoutError, PagePtr, copy, data_len, halves, run_len};
use crate::memory::{RingMem, write_packet_by_parts};
use crate::pair::Halves;
use crate::wire::{ControlWord, PAGE_BYTES, PAGE_SIZE};

/// A ring in pages of its own each, as a GPADL lists them: the control page, then the data pages.
///
/// `P` lends the pointers: a `Box<[PagePtr]>` where there is an allocator, a `&[PagePtr]` where there is none, an
/// `Arc<[PagePtr]>` for both rings of a channel.
#[derive(Debug)]
pub struct PageListRing<P> {
    control: Control,
    pages: P,
    /// Where in `pages` the data starts.
    first: usize,
    len: u32,
    /// Where the last access was, as the next one usually is near. Keeps the value from being shared between threads,
    /// too: two of them must not copy into the same bytes, so a ring's end is one thread's at a time.
    window: Cell<Window>,
}

/// A run of pages that follow one another in memory as they do in the ring.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Where in the data area the run starts, and its bytes.
    start: u32,
    len: u32,
    /// Where in memory it starts.
    base: PagePtr,
}

impl<P: AsRef<[PagePtr]>> PageListRing<P> {
    /// A ring in `pages`: the control page, then the data pages.
    ///
    /// # Errors
    ///
    /// A page that is not aligned to 4096, or not two pages at least.
    ///
    /// # Safety
    ///
    /// For as long as the value lives:
    ///
    /// - `pages` always lends the same pointers.
    /// - Each is valid for reads and writes of 4096 bytes, and of more where the next page follows in memory: neighbours
    ///   are accessed as one, so their pointers are derived from one that is valid for both.
    /// - In this program, nothing accesses these bytes but values of this module's types, of which one is used to send and
    ///   one to receive; and no slice that is passed to their methods overlaps them. What is not this program, such
    ///   as a guest or another process, may do as it likes.
    ///
    /// A page may be listed several times, as a hostile guest can: that ring just garbles its data.
    pub unsafe fn new(pages: P) -> Result<Self, LayoutError> {
        let count = pages.as_ref().len();
        // SAFETY: the caller's promise.
        unsafe { Self::part(pages, 0, count) }
    }

    /// Both rings of a channel in `pages`, the second from page `downstream` on.
    ///
    /// # Errors
    ///
    /// A page that is not aligned to 4096, or `downstream` does not leave two pages at least on either side.
    ///
    /// # Safety
    ///
    /// As for [`new`](Self::new), with all of `pages`, which clones lend alike.
    pub unsafe fn pair(pages: P, downstream: u32) -> Result<Halves<Self>, LayoutError>
    where
        P: Clone,
    {
        let (first, second) = halves(pages.as_ref().len(), downstream)?;
        // SAFETY: the caller's promise.
        unsafe {
            Ok(Halves {
                to_host: Self::part(pages.clone(), 0, first)?,
                to_guest: Self::part(pages, first, second)?,
            })
        }
    }

    /// # Safety
    ///
    /// As for [`new`](Self::new), with the `count` pages from `start` on.
    unsafe fn part(pages: P, start: usize, count: usize) -> Result<Self, LayoutError> {
        let part = pages.as_ref().get(start..).and_then(|pages| pages.get(..count));
        let Some((control, data)) = part.and_then(<[PagePtr]>::split_first) else {
            return Err(LayoutError::DataLen { len: 0 });
        };
        // SAFETY: the caller's promise covers the control page.
        let control = unsafe { Control::new(*control) }?;
        for page in data {
            page.aligned(PAGE_SIZE)?;
        }
        let len = data_len(data.len().saturating_mul(PAGE_SIZE))?;
        let Some(base) = data.first().copied() else {
            return Err(LayoutError::DataLen { len: 0 });
        };
        // Empty, so that the first access looks its page up.
        let window = Cell::new(Window {
            start: 0,
            len: 0,
            base,
        });
        Ok(Self {
            control,
            pages,
            first: start.wrapping_add(1),
            len,
            window,
        })
    }

    /// Where `len` bytes from `offset` on lie, if they are all in one run of pages.
    #[inline]
    fn whole(&self, offset: u32, len: usize) -> Option<*mut u8> {
        let window = self.window.get();
        // Far beyond the window for what lies before it.
        let at = offset.wrapping_sub(window.start) as usize;
        match at.checked_add(len) {
            // SAFETY: at most the window's length.
            Some(end) if end <= window.len as usize => Some(unsafe { window.base.get().as_ptr().add(at) }),
            _ => self.look_up(offset, len),
        }
    }

    /// Moves the window to the run of pages from that on which holds `offset`.
    #[inline(never)]
    fn look_up(&self, offset: u32, len: usize) -> Option<*mut u8> {
        let window = self.window.get();
        if offset.wrapping_sub(window.start) < window.len {
            // The access goes over the end of the run.
            return None;
        }
        let left = self.len.checked_sub(offset).filter(|left| *left > 0)?;
        let in_page = offset & (PAGE_BYTES - 1);
        let index = self.first.wrapping_add(offset as usize / PAGE_SIZE);
        let pages = self.pages.as_ref().get(index..)?;
        let run = run_len(pages, left.wrapping_add(in_page) as usize);
        let window = Window {
            start: offset.wrapping_sub(in_page),
            // At most what is left of the ring.
            len: u32::try_from(run).ok()?,
            base: *pages.first()?,
        };
        self.window.set(window);
        let end = (in_page as usize).checked_add(len)?;
        // SAFETY: at most the window's length.
        (end <= run).then(|| unsafe { window.base.get().as_ptr().add(in_page as usize) })
    }

    /// Calls `copy` with each piece of `len` bytes from `offset` on: where it lies in a page, and where and how long it
    /// is in the caller's buffer.
    fn pieces(&self, offset: u32, len: usize, mut copy: impl FnMut(*mut u8, usize, usize)) {
        let mut at = offset.checked_rem(self.len).unwrap_or(0);
        let mut done = 0usize;
        while done < len {
            // Finds the run that holds `at`, whether the rest is in it or not.
            let Some(run) = self.whole(at, 1) else { return };
            let window = self.window.get();
            let rest = window.len.wrapping_sub(at.wrapping_sub(window.start)) as usize;
            let piece = len.wrapping_sub(done).min(rest);
            copy(run, done, piece);
            done = done.wrapping_add(piece);
            // A piece that does not end the loop ends its run.
            let next = window.start.wrapping_add(window.len);
            at = if next >= self.len { 0 } else { next };
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

impl<P: AsRef<[PagePtr]>> RingMem for PageListRing<P> {
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
            // SAFETY: `whole` vouches for the bytes; pages are aligned to 4096 and the offset to 8.
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
            // SAFETY: `whole` vouches for the bytes; pages are aligned to 4096 and the offset to 8.
            Some(dst) if offset.is_multiple_of(8) => unsafe { copy::write_head(dst, words) },
            _ => self.write_split(offset, words.map(u64::to_le_bytes).as_flattened()),
        }
    }

    #[inline]
    fn write_word(&self, offset: u32, value: u64) {
        match self.whole(offset, 8) {
            // SAFETY: `whole` vouches for the bytes; pages are aligned to 4096 and the offset to 8.
            Some(dst) if offset.is_multiple_of(8) => unsafe { copy::write_word(dst, value) },
            _ => self.write_split(offset, &value.to_le_bytes()),
        }
    }

    #[inline]
    fn write_packet(&self, offset: u32, head: [u64; 2], payload: &[u8], trailer: u64) {
        // One by one, as an array would be laid down in memory for each packet, for the call that hardly one needs.
        let [first, second] = head;
        match self.whole(offset, copy::packet_len(payload.len())) {
            // SAFETY: `whole` vouches for the bytes; pages are aligned to 4096 and the offset to 8.
            Some(dst) if offset.is_multiple_of(8) => unsafe {
                copy::write_packet(dst, [first, second], payload, trailer);
            },
            _ => self.write_packet_split(offset, first, second, payload, trailer),
        }
    }
}
