//! The guest's memory: one mapping below the hole that ends at 4 GiB, one above it where there is more.

use crate::error::{Error, Result};
use crate::layout;
use vm_memory::{GuestAddress, GuestMemoryMmap};

/// The guest's memory, mapped into this process.
pub type Ram = GuestMemoryMmap<()>;

/// Maps `mib` MiB of guest memory.
///
/// # Errors
/// [`Error::Memory`] where the host does not give that much.
pub fn allocate(mib: u64) -> Result<Ram> {
    let no_memory = |source| Error::Memory { mib, source };
    let ranges = ranges(mib)
        .into_iter()
        .map(|(start, len)| Ok((GuestAddress(start), usize::try_from(len)?)))
        .collect::<std::result::Result<Vec<_>, std::num::TryFromIntError>>()
        .map_err(|error| no_memory(std::io::Error::other(error)))?;
    Ram::from_ranges(&ranges).map_err(|error| no_memory(std::io::Error::other(error)))
}

/// Start and length of each range of memory in a machine of `mib` MiB.
fn ranges(mib: u64) -> Vec<(u64, u64)> {
    let bytes = mib.saturating_mul(1 << 20);
    match bytes.checked_sub(layout::HOLE) {
        None | Some(0) => vec![(0, bytes)],
        Some(above) => vec![(0, layout::HOLE), (layout::HOLE_END, above)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_leaves_the_hole_below_4_gib_free() {
        assert_eq!(ranges(512), [(0, 512 << 20)]);
        assert_eq!(ranges(3072), [(0, layout::HOLE)]);
        assert_eq!(ranges(4096), [(0, layout::HOLE), (layout::HOLE_END, 1 << 30)]);
    }
}
