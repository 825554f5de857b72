//! A page that the hypervisor has a hand in.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering, fence};

use thiserror::Error;

use crate::guest::words::Words;
use crate::wire::PAGE_SIZE;

/// Words of 4 bytes in a page.
const WORDS: u16 = 1024;
const _: () = assert!(WORDS as usize * size_of::<u32>() == PAGE_SIZE);

/// A page of the guest's that the hypervisor, and so the host, may read and write at any time: a SynIC page, the
/// reference TSC page, the hypercall page, or one through which parameters of a call go.
///
/// It is known by the address at which this program reaches it, and by the guest-physical address at which the
/// hypervisor does. This program reaches it by atomic words of 4 bytes alone; there is never a reference to its bytes.
///
/// The page is lent for good: dropping the value does not take it back, as a register may still name it. Only
/// [`into_raw`](Self::into_raw) does.
#[derive(Debug)]
pub struct SharedPage {
    page: NonNull<AtomicU32>,
    gpa: u64,
}

// SAFETY: the page is this value's wherever the value is; nothing of it belongs to a thread.
unsafe impl Send for SharedPage {}
// SAFETY: `&self` gives nothing but atomic accesses.
unsafe impl Sync for SharedPage {}

impl SharedPage {
    /// Hands a page over.
    ///
    /// # Errors
    ///
    /// One of the addresses is no multiple of 4096.
    ///
    /// # Safety
    ///
    /// From now until [`into_raw`](Self::into_raw) gives the page back, for ever if it never does:
    ///
    /// - `page` is valid for reads and writes of 4096 bytes, mapped as ordinary cached memory at the same address on
    ///   every processor that uses the value, and `gpa` is the guest-physical address of the same page. In a guest that
    ///   is isolated from its host, the page is shared with it.
    /// - This program accesses the page in no other way than through this value, and never has a reference to it.
    ///   What is not this program, the hypervisor and the host above all, may read and write it as they like.
    pub unsafe fn new(page: NonNull<[u8; PAGE_SIZE]>, gpa: u64) -> Result<Self, PageError> {
        let address = page.addr().get();
        if !address.is_multiple_of(PAGE_SIZE) {
            return Err(PageError::Address { address });
        }
        if gpa & 0xfff != 0 {
            return Err(PageError::Gpa { gpa });
        }
        Ok(Self {
            page: page.cast(),
            gpa,
        })
    }

    /// Takes the page back. It has to be off in every register that named it, which is what the `disable` of the types
    /// that hold pages is for.
    #[must_use]
    pub fn into_raw(self) -> (NonNull<[u8; PAGE_SIZE]>, u64) {
        (self.page.cast(), self.gpa)
    }

    /// The guest-physical address.
    #[must_use]
    pub const fn gpa(&self) -> u64 {
        self.gpa
    }

    /// The address at which this program reaches it.
    #[must_use]
    pub const fn as_ptr(&self) -> NonNull<[u8; PAGE_SIZE]> {
        self.page.cast()
    }

    /// The word with this index; only the low 10 bits of the index count.
    fn word(&self, index: u16) -> &AtomicU32 {
        // SAFETY: the masked index is below the page's 1024 words. The page is valid and aligned by `new`'s contract,
        // and reached by atomics only, whose bytes may change under a shared reference.
        unsafe { self.page.add(usize::from(index & WORDS.wrapping_sub(1))).as_ref() }
    }

    /// Copies bytes in, from the word with this index on; a last word is filled up with zero.
    pub(crate) fn write(&mut self, index: u16, src: &[u8]) {
        for (index, bytes) in (index..WORDS).zip(src.chunks(4)) {
            let mut word = [0; 4];
            for (to, from) in word.iter_mut().zip(bytes) {
                *to = *from;
            }
            self.word(index)
                .store(u32::from_ne_bytes(word), Ordering::Relaxed);
        }
    }

    /// Clears the whole page.
    pub(crate) fn clear(&mut self) {
        (0..WORDS).for_each(|index| self.word(index).store(0, Ordering::Relaxed));
    }
}

impl Words for SharedPage {
    fn load(&self, index: u16) -> u32 {
        u32::from_le(self.word(index).load(Ordering::Relaxed))
    }

    fn load_acquire(&self, index: u16) -> u32 {
        u32::from_le(self.word(index).load(Ordering::Acquire))
    }

    fn store_release(&self, index: u16, value: u32) {
        self.word(index).store(value.to_le(), Ordering::Release);
    }

    fn clear_bits(&self, index: u16, mask: u32) -> u32 {
        u32::from_le(self.word(index).fetch_and(!mask.to_le(), Ordering::AcqRel))
    }

    fn read(&self, index: u16, dst: &mut [u8]) {
        for (index, bytes) in (index..WORDS).zip(dst.chunks_mut(4)) {
            let word = self.word(index).load(Ordering::Relaxed).to_ne_bytes();
            for (to, from) in bytes.iter_mut().zip(word) {
                *to = from;
            }
        }
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

/// Addresses that are no page's: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PageError {
    /// The address at which this program reaches it.
    #[error("address {address:#x} is no multiple of 4096")]
    Address {
        /// The address.
        address: usize,
    },
    /// The guest-physical address.
    #[error("guest-physical address {gpa:#x} is no multiple of 4096")]
    Gpa {
        /// The address.
        gpa: u64,
    },
}
