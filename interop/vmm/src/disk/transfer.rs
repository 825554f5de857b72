//! Copies between a file and guest memory, by the kernel and without a buffer between. All `unsafe` of the disks is here.

use crate::memory::Ram;
use hvcall::MemoryError;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use storvsc_proto::host::{BlockError, Segments};
use vm_memory::{GuestAddress, GuestMemory as _, Permissions};

/// Pieces that one call takes at most; the kernel's own limit is 1024.
const BATCH: usize = 128;

/// Where a transfer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the file into guest memory.
    Read,
    /// From guest memory into the file.
    Write,
}

/// Copies between the file from `offset` on and the pieces of guest memory, all of them.
///
/// # Errors
/// A piece that is no memory, or what the file's errors mean for a disk.
pub(super) fn transfer(
    direction: Direction,
    file: &File,
    mut offset: u64,
    ram: &Ram,
    segments: Segments<'_>,
) -> Result<(), BlockError> {
    let access = match direction {
        Direction::Read => Permissions::Write,
        Direction::Write => Permissions::Read,
    };
    let mut batch = Vec::with_capacity(BATCH);
    for (gpa, len) in segments {
        let no_memory = MemoryError { gpa, len };
        let slices = ram
            .get_slices(GuestAddress(gpa), len, access)
            .map_err(|_| no_memory)?;
        for slice in slices {
            let slice = slice.map_err(|_| no_memory)?;
            if batch.len() == BATCH {
                offset = flush(direction, file, offset, &mut batch)?;
            }
            batch.push(libc::iovec {
                iov_base: slice.ptr_guard_mut().as_ptr().cast(),
                iov_len: slice.len(),
            });
        }
    }
    flush(direction, file, offset, &mut batch).map(|_| ())
}

/// Carries the pieces in `batch` out and empties it. Returns the offset behind them.
fn flush(
    direction: Direction,
    file: &File,
    mut offset: u64,
    batch: &mut Vec<libc::iovec>,
) -> Result<u64, BlockError> {
    let mut rest = batch.as_mut_slice();
    while !rest.is_empty() {
        let at = libc::off_t::try_from(offset).map_err(|_| BlockError::OutOfRange)?;
        let count = libc::c_int::try_from(rest.len()).unwrap_or(libc::c_int::MAX);
        // SAFETY: each piece was found in guest memory just before, which stays mapped for as long as the process lives, so the
        // kernel may read and write it; `count` is no more than there are. Nothing in this process has a reference into guest
        // memory that these writes could surprise.
        let done = unsafe {
            match direction {
                Direction::Read => libc::preadv(file.as_raw_fd(), rest.as_ptr(), count, at),
                Direction::Write => libc::pwritev(file.as_raw_fd(), rest.as_ptr(), count, at),
            }
        };
        match usize::try_from(done) {
            // The file ends early: somebody cut it.
            Ok(0) => return Err(BlockError::Medium),
            Ok(done) => {
                offset = offset.saturating_add(done as u64);
                rest = advance(rest, done);
            }
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(meaning(&error));
                }
            }
        }
    }
    batch.clear();
    Ok(offset)
}

/// Leaves out the first `done` bytes.
fn advance(pieces: &mut [libc::iovec], mut done: usize) -> &mut [libc::iovec] {
    let whole = pieces
        .iter()
        .take_while(|piece| {
            let passed = done >= piece.iov_len;
            if passed {
                done = done.saturating_sub(piece.iov_len);
            }
            passed
        })
        .count();
    let rest = pieces.get_mut(whole..).unwrap_or_default();
    if let Some(first) = rest.first_mut() {
        first.iov_base = first.iov_base.cast::<u8>().wrapping_add(done).cast();
        first.iov_len = first.iov_len.saturating_sub(done);
    }
    rest
}

/// What an error of a file's means for the disk that it stands for.
pub(super) fn meaning(error: &io::Error) -> BlockError {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => BlockError::NoSpace,
        Some(libc::EROFS | libc::EPERM | libc::EBADF) => BlockError::ReadOnly,
        Some(libc::EOPNOTSUPP) => BlockError::Unsupported,
        Some(libc::EIO | libc::ENXIO | libc::ENODEV) => BlockError::Medium,
        _ => BlockError::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(lens: &[usize]) -> Vec<libc::iovec> {
        lens.iter()
            .map(|&iov_len| libc::iovec {
                iov_base: std::ptr::without_provenance_mut(0x1000),
                iov_len,
            })
            .collect()
    }

    #[test]
    fn a_short_transfer_goes_on_where_it_ended() {
        for (done, left) in [
            (0, vec![(0x1000, 4), (0x1000, 8)]),
            (3, vec![(0x1003, 1), (0x1000, 8)]),
            (4, vec![(0x1000, 8)]),
            (5, vec![(0x1001, 7)]),
            (12, vec![]),
        ] {
            let mut given = pieces(&[4, 8]);
            let rest = advance(&mut given, done);
            let rest: Vec<_> = rest
                .iter()
                .map(|piece| (piece.iov_base.addr(), piece.iov_len))
                .collect();
            assert_eq!(rest, left, "{done}");
        }
    }

    #[test]
    fn errors_of_the_file_become_errors_of_the_disk() {
        for (errno, meant) in [
            (libc::ENOSPC, BlockError::NoSpace),
            (libc::EROFS, BlockError::ReadOnly),
            (libc::EIO, BlockError::Medium),
            (libc::EOPNOTSUPP, BlockError::Unsupported),
            (libc::ENOMEM, BlockError::Internal),
        ] {
            assert_eq!(meaning(&io::Error::from_raw_os_error(errno)), meant);
        }
    }
}
