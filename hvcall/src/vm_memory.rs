//! Guest memory of the `vm-memory` crate.

use core::mem::size_of;
use core::ops::Deref;
use core::sync::atomic::{AtomicU32, Ordering};

use vm_memory::bitmap::Bitmap;
use vm_memory::{Bytes, GuestAddress, GuestMemoryRegion, GuestRegionCollection, Permissions, VolatileMemory};

use crate::{GuestMemory, MemoryError};

/// Guest memory of the `vm-memory` crate, by reference or in a smart pointer.
///
/// `GuestMemoryMmap` itself implements [`GuestMemory`], too; this is for everything else that implements
/// `vm_memory::GuestMemory`, for example memory behind an IOMMU.
///
/// The atomic methods are atomic instructions on the mapped memory, and mark what they write in the dirty bitmap.
///
/// ```
/// use std::sync::Arc;
/// use hvcall::{GuestMemory, VmMemory};
/// use vm_memory::{GuestAddress, GuestMemoryMmap};
///
/// let memory = Arc::new(GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap());
/// let memory = VmMemory(memory);
/// memory.store_u32(0x10, 7)?;
/// assert_eq!(memory.fetch_or_u32(0x10, 8)?, 7);
/// # Ok::<(), hvcall::MemoryError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct VmMemory<P>(pub P);

/// Implements [`GuestMemory`] for a type by way of the memory that `$memory` is an expression for.
macro_rules! by_vm_memory {
    ([$($generics:tt)*] $for:ty, $self:ident => $memory:expr) => {
        impl<$($generics)*> GuestMemory for $for {
            fn read(&$self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
                let failed = MemoryError { gpa, len: dst.len() };
                $memory.read_slice(dst, GuestAddress(gpa)).map_err(|_| failed)
            }

            fn write(&$self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
                let failed = MemoryError { gpa, len: src.len() };
                $memory.write_slice(src, GuestAddress(gpa)).map_err(|_| failed)
            }

            fn load_u32(&$self, gpa: u64) -> Result<u32, MemoryError> {
                let load = |word: &AtomicU32| word.load(Ordering::Acquire);
                with_word($memory, gpa, Permissions::Read, load).map(u32::from_le)
            }

            fn store_u32(&$self, gpa: u64, value: u32) -> Result<(), MemoryError> {
                let store = |word: &AtomicU32| word.store(value.to_le(), Ordering::Release);
                with_word($memory, gpa, Permissions::Write, store)
            }

            fn fetch_or_u32(&$self, gpa: u64, bits: u32) -> Result<u32, MemoryError> {
                let or = |word: &AtomicU32| word.fetch_or(bits.to_le(), Ordering::SeqCst);
                with_word($memory, gpa, Permissions::ReadWrite, or).map(u32::from_le)
            }
        }
    };
}

by_vm_memory!([P: Deref<Target: vm_memory::GuestMemory>] VmMemory<P>, self => &*self.0);
by_vm_memory!([R: GuestMemoryRegion] GuestRegionCollection<R>, self => self);

/// Runs `access` on the aligned word at `gpa`.
fn with_word<T>(
    memory: &(impl vm_memory::GuestMemory + ?Sized),
    gpa: u64,
    permissions: Permissions,
    access: impl FnOnce(&AtomicU32) -> T,
) -> Result<T, MemoryError> {
    const WORD: usize = size_of::<u32>();
    let failed = MemoryError { gpa, len: WORD };
    let mut slices = memory
        .get_slices(GuestAddress(gpa), WORD, permissions)
        .map_err(|_| failed)?;
    let slice = slices.next().ok_or(failed)?.map_err(|_| failed)?;
    // A word that the first slice does not hold wholly, or that is not aligned, is refused here.
    let word = slice.get_atomic_ref::<AtomicU32>(0).map_err(|_| failed)?;
    let result = access(word);
    if permissions != Permissions::Read {
        slice.bitmap().mark_dirty(0, WORD);
    }
    Ok(result)
}
