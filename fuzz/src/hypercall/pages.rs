//! The pages that a guest lends its hypervisor.

use std::ptr::NonNull;

use hvcall::guest::SharedPage;
use hvcall::{GuestMemory, MemoryError};

use crate::memory::Pages;

/// Where the first of them is for the hypervisor.
const BASE: u64 = 0x7_0000;

/// What for.
#[derive(Clone, Copy)]
pub enum Page {
    Code,
    Messages,
    Events,
    Time,
    Input,
}

impl Page {
    const ALL: [Self; 5] = [Self::Code, Self::Messages, Self::Events, Self::Time, Self::Input];

    /// Any of them.
    pub fn nth(index: u8) -> Self {
        Self::ALL[usize::from(index) % Self::ALL.len()]
    }

    /// Its guest-physical address.
    pub fn gpa(self) -> u64 {
        BASE + ((self as u64) << 12)
    }
}

/// Pages that lie apart, so that the address sanitizer sees who goes beyond one.
pub struct GuestPages([Pages; Page::ALL.len()]);

impl Default for GuestPages {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Pages::new(1)))
    }
}

impl GuestPages {
    /// The guest's value of a page, of which there is one at a time.
    pub fn lend(&self, page: Page) -> SharedPage {
        let memory = self.0[page as usize].page(0).cast();
        // SAFETY: the guest is gone before these pages are. Both reach them on one thread, and neither has a reference.
        unsafe { SharedPage::new(memory, page.gpa()) }.expect("a page at a page's address")
    }

    /// What stands in a page.
    pub fn bytes(&self, page: Page, at: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read(page.gpa() + at as u64, &mut bytes)
            .expect("in the page");
        bytes
    }

    /// Writes there, as far as there is a page.
    pub fn put(&self, page: Page, at: usize, bytes: &[u8]) {
        let at = at % 4096;
        let len = bytes.len().min(4096 - at);
        self.write(page.gpa() + at as u64, &bytes[..len])
            .expect("in the page");
    }

    fn pointer(&self, gpa: u64, len: usize) -> Result<NonNull<u8>, MemoryError> {
        let failed = MemoryError { gpa, len };
        let at = usize::try_from(gpa.checked_sub(BASE).ok_or(failed)?).map_err(|_| failed)?;
        let page = self.0.get(at >> 12).ok_or(failed)?;
        if len > 4096 - at % 4096 {
            return Err(failed);
        }
        // SAFETY: within the page.
        Ok(unsafe { page.page(0).add(at % 4096) })
    }

    fn word<T>(&self, gpa: u64, act: impl FnOnce(&mut u32) -> T) -> Result<T, MemoryError> {
        let mut bytes = [0; 4];
        self.read(gpa, &mut bytes)?;
        let mut word = u32::from_le_bytes(bytes);
        let result = act(&mut word);
        self.write(gpa, &word.to_le_bytes())?;
        Ok(result)
    }
}

impl GuestMemory for GuestPages {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        let (from, len) = (self.pointer(gpa, dst.len())?, dst.len());
        // SAFETY: so many bytes are within the page, to which there is no reference.
        unsafe { from.copy_to_nonoverlapping(NonNull::from(dst).cast(), len) };
        Ok(())
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        let to = self.pointer(gpa, src.len())?;
        // SAFETY: so many bytes are within the page, to which there is no reference.
        unsafe { to.copy_from_nonoverlapping(NonNull::from(src).cast(), src.len()) };
        Ok(())
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        self.word(gpa, |word| *word)
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        self.word(gpa, |word| *word = value)
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        self.word(gpa, |word| {
            let before = *word;
            *word |= bits;
            before
        })
    }
}
