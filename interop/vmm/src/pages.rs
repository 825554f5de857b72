//! Memory that the guest lends, as pointers into this process: rings and buffers by their lists of pages. One of the three places
//! with `unsafe`.

use crate::memory::Ram;
use std::ptr::NonNull;
use std::sync::Arc;
use vm_memory::{GuestAddress, GuestMemoryBackend};
use vmbus_proto::host::{GpadlView, RingPages};
use vmbus_proto::ringbuf::Halves;
use vmbus_proto::ringbuf::mem::{LayoutError, PageList, PageListRing, PagePtr};

/// A ring in the guest's memory.
pub type GuestRing = PageListRing<Arc<[PagePtr]>>;
/// Another region of the guest's memory.
pub type GuestRegion = PageList<Arc<[PagePtr]>>;

const PAGE: usize = 4096;

/// Why the guest's memory was not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// A page that the guest named is no memory.
    #[error("there is no memory at {gpa:#x}")]
    NoMemory {
        /// Its address.
        gpa: u64,
    },
    /// A device's buffer has one range, and the guest lent several.
    #[error("the buffer has {ranges} ranges instead of one")]
    Ranges {
        /// How many.
        ranges: usize,
    },
    /// The pages make no ring or region.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Maps a channel's rings.
///
/// # Errors
/// A page is no memory.
pub fn rings(ram: &'static Ram, pages: &RingPages<'_>) -> Result<Halves<GuestRing>, MapError> {
    let pointers = pointers(ram, pages.addresses())?;
    // SAFETY: each pointer leads to 4096 bytes of guest memory, which stays mapped for as long as the process lives (`ram` is
    // borrowed for ever). Everything in this process that touches guest memory does so through raw pointers: this crate
    // through `vm-memory`'s volatile copies and through system calls, which are to the ring what the guest's processors are.
    Ok(unsafe { PageListRing::pair(pointers, pages.downstream()) }?)
}

/// Maps a region.
///
/// # Errors
/// A page is no memory, or the region is not in one range.
pub fn region(ram: &'static Ram, memory: &GpadlView<'_>) -> Result<GuestRegion, MapError> {
    let mut ranges = memory.ranges();
    let (Some(range), 0) = (ranges.next(), ranges.clone().count()) else {
        return Err(MapError::Ranges {
            ranges: memory.ranges().count(),
        });
    };
    let pointers = pointers(
        ram,
        range
            .pfns()
            .iter()
            .map(|pfn| pfn.get().saturating_mul(PAGE as u64)),
    )?;
    // SAFETY: as for `rings`.
    Ok(unsafe {
        PageList::new(
            pointers,
            range.byte_offset() as usize,
            range.byte_count() as usize,
        )
    }?)
}

fn pointers(ram: &Ram, addresses: impl Iterator<Item = u64>) -> Result<Arc<[PagePtr]>, MapError> {
    addresses
        .map(|gpa| {
            // The whole page is in one region when it is one slice.
            let slice = ram
                .get_slice(GuestAddress(gpa), PAGE)
                .map_err(|_| MapError::NoMemory { gpa })?;
            let pointer = NonNull::new(slice.ptr_guard_mut().as_ptr()).ok_or(MapError::NoMemory { gpa })?;
            Ok(PagePtr::new(pointer))
        })
        .collect()
}
