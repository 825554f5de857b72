//! A data area that the operating system maps twice.

use std::ptr::NonNull;

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, mmap_anonymous, munmap};
use vmbus_ringbuf::mem::DoubleMappedRing;

use super::Pages;

/// A control page, and data pages that are mapped twice in a row.
pub(crate) struct DoubleMapping {
    control: Pages,
    data: NonNull<u8>,
    len: usize,
}

impl DoubleMapping {
    pub(crate) fn new(pages: usize) -> Self {
        let len = pages * 4096;
        let memory = memfd_create("ring", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memory, len as u64).unwrap();
        // SAFETY: takes a range of addresses that nothing uses, then maps over that.
        let data = unsafe {
            let protection = ProtFlags::READ | ProtFlags::WRITE;
            let range = mmap_anonymous(std::ptr::null_mut(), 2 * len, protection, MapFlags::PRIVATE).unwrap();
            for at in [range, range.byte_add(len)] {
                mmap(
                    at,
                    len,
                    protection,
                    MapFlags::SHARED | MapFlags::FIXED,
                    &memory,
                    0,
                )
                .unwrap();
            }
            NonNull::new(range.cast()).unwrap()
        };
        Self {
            control: Pages::new(1),
            data,
            len,
        }
    }

    pub(crate) fn ring(&self) -> DoubleMappedRing {
        // SAFETY: tests keep the mapping as long as the ring.
        unsafe { DoubleMappedRing::new(self.control.page(0), self.data, self.len) }.unwrap()
    }
}

impl Drop for DoubleMapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and not used any more.
        unsafe { munmap(self.data.as_ptr().cast(), 2 * self.len) }.unwrap();
    }
}
