//! What a VMM lends: copies to and from guest-physical addresses.

use core::sync::atomic::{Ordering, fence};

use thiserror::Error;

/// Copies to and from guest-physical addresses.
///
/// The guest's processors change the same memory at the same time, so there is no reference into it here: bytes are
/// copied out once, and judged then. [`read`](Self::read) and [`write`](Self::write) promise nothing about the order
/// of their bytes; what is shared with the guest as a synchronisation variable goes through the three atomic methods.
///
/// With the feature `vm-memory`, `GuestMemoryMmap` of the crate `vm-memory` implements this, and the wrapper
/// `VmMemory` does so for everything that implements `vm_memory::GuestMemory`.
///
/// # Contract
///
/// * A range that is not wholly backed by guest RAM fails with [`MemoryError`]; what was copied before the failure is
///   not said.
/// * The address of the atomic methods is a multiple of 4. An implementation fails for any other with
///   [`MemoryError`].
/// * The atomic methods are single machine accesses to the mapped memory, as the guest's own atomic instructions are.
///   Values are as the guest sees them: little-endian.
pub trait GuestMemory {
    /// Copies from `gpa` on into the whole of `dst`.
    ///
    /// # Errors
    /// When some of the range is not guest RAM.
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError>;

    /// Copies the whole of `src` to `gpa` and on.
    ///
    /// # Errors
    /// When some of the range is not guest RAM that may be written.
    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError>;

    /// Reads an aligned 32-bit word with acquire ordering.
    ///
    /// # Errors
    /// When the word is not guest RAM, or not aligned.
    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError>;

    /// Writes an aligned 32-bit word with release ordering.
    ///
    /// # Errors
    /// When the word is not guest RAM that may be written, or not aligned.
    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError>;

    /// Sets bits of an aligned 32-bit word, sequentially consistent, and returns the word as it was before.
    ///
    /// # Errors
    /// When the word is not guest RAM that may be written, or not aligned.
    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError>;

    /// A full barrier: what this thread wrote before it is there for the guest before this thread reads on. A memory
    /// that is a model has its own.
    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

impl<T: GuestMemory + ?Sized> GuestMemory for &T {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        (**self).read(gpa, dst)
    }

    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        (**self).write(gpa, src)
    }

    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        (**self).load_u32(gpa)
    }

    fn store_u32(&self, gpa: u64, value: u32) -> Result<(), MemoryError> {
        (**self).store_u32(gpa, value)
    }

    fn fetch_or_u32(&self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
        (**self).fetch_or_u32(gpa, bits)
    }

    fn fence(&self) {
        (**self).fence();
    }
}

/// A range of guest-physical addresses that could not be accessed.
///
/// Whether that is the guest's fault (it named the address) or the VMM's (it did) only the caller knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no access to {len} bytes of guest memory at {gpa:#x}")]
pub struct MemoryError {
    /// First address of the range.
    pub gpa: u64,
    /// Bytes of the range.
    pub len: usize,
}
