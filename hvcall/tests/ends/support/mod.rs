//! Guest memory for tests.

pub(crate) mod guest;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use hvcall::{GuestMemory, MemoryError};

#[repr(C, align(4096))]
struct Page([AtomicU32; 1024]);

/// Words of memory from an address on, which threads can share.
pub(crate) struct FakeMemory {
    base: u64,
    pages: Vec<Page>,
}

impl FakeMemory {
    pub(crate) fn new(base: u64, pages: usize) -> Self {
        assert_eq!(base % 4, 0);
        Self {
            base,
            pages: (0..pages)
                .map(|_| Page([const { AtomicU32::new(0) }; 1024]))
                .collect(),
        }
    }

    /// Where the first page really is.
    pub(crate) fn first_page(&self) -> NonNull<[u8; 4096]> {
        NonNull::from(&self.pages[0]).cast()
    }

    /// Puts bytes there, as a host without manners does.
    pub(crate) fn put(&self, offset: u64, bytes: &[u8]) {
        self.write(self.base + offset, bytes).unwrap();
    }

    /// The word there.
    pub(crate) fn u32(&self, offset: u64) -> u32 {
        self.load_u32(self.base + offset).unwrap()
    }

    fn word(&self, gpa: u64, len: usize) -> Result<&AtomicU32, MemoryError> {
        let failed = MemoryError { gpa, len };
        let offset = gpa.checked_sub(self.base).ok_or(failed)?;
        let word = usize::try_from(offset / 4).unwrap();
        self.pages
            .get(word / 1024)
            .map(|page| &page.0[word % 1024])
            .ok_or(failed)
    }

    fn aligned(&self, gpa: u64) -> Result<&AtomicU32, MemoryError> {
        if !gpa.is_multiple_of(4) {
            return Err(MemoryError { gpa, len: 4 });
        }
        self.word(gpa, 4)
    }

    fn byte(&self, gpa: u64, index: usize) -> Result<(&AtomicU32, u32), MemoryError> {
        let gpa = gpa
            .checked_add(index as u64)
            .ok_or(MemoryError { gpa, len: index })?;
        Ok((self.word(gpa, 1)?, u32::try_from(gpa % 4).unwrap() * 8))
    }
}

impl GuestMemory for FakeMemory {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        for (i, byte) in dst.iter_mut().enumerate() {
            let (word, shift) = self.byte(gpa, i)?;
            *byte = (word.load(Ordering::Relaxed) >> shift) as u8;
        }
        Ok(())
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        for (i, &byte) in src.iter().enumerate() {
            let (word, shift) = self.byte(gpa, i)?;
            let others = word.load(Ordering::Relaxed) & !(0xff << shift);
            word.store(others | u32::from(byte) << shift, Ordering::Relaxed);
        }
        Ok(())
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        Ok(self.aligned(gpa)?.load(Ordering::Acquire))
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        self.aligned(gpa)?.store(value, Ordering::Release);
        Ok(())
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        Ok(self.aligned(gpa)?.fetch_or(bits, Ordering::SeqCst))
    }
}

/// A memory that runs something before each access of the host, such as a step of the guest.
pub(crate) struct Watched<'a, F: Fn()> {
    pub(crate) memory: &'a FakeMemory,
    pub before_access: F,
}

impl<F: Fn()> GuestMemory for Watched<'_, F> {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        (self.before_access)();
        self.memory.read(gpa, dst)
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        (self.before_access)();
        self.memory.write(gpa, src)
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        (self.before_access)();
        self.memory.load_u32(gpa)
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        (self.before_access)();
        self.memory.store_u32(gpa, value)
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        (self.before_access)();
        self.memory.fetch_or_u32(gpa, bits)
    }
}
