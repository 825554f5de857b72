//! Reads and writes between a file and guest memory, without a copy. One of the three places with `unsafe`.

use crate::memory::Ram;
use hvcall::MemoryError;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use vm_memory::{GuestAddress, GuestMemoryBackend};

/// The most pieces that Linux takes at once (`IOV_MAX`).
const MOST_PIECES: usize = 1024;

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the file to the guest.
    Read,
    /// From the guest to the file.
    Write,
}

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// The guest named what is no memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The file ends before the transfer does.
    #[error("the file ends there")]
    End,
    /// The file failed.
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Transfers all of `segments`, pieces of guest memory as address and length, from or to `file` at `offset`.
///
/// # Errors
/// Where it stopped short. How many bytes went is not told.
pub fn transfer(
    file: &File,
    mut offset: u64,
    ram: &'static Ram,
    segments: impl Iterator<Item = (u64, usize)>,
    way: Way,
) -> Result<(), TransferError> {
    let mut pieces = pieces(ram, segments)?;
    let mut next = 0;
    while let Some(rest) = pieces.get_mut(next..).filter(|rest| !rest.is_empty()) {
        let count = rest.len().min(MOST_PIECES);
        let mut moved = step(file, offset, rest.get(..count).unwrap_or_default(), way)?;
        offset = offset.saturating_add(moved as u64);
        for piece in rest {
            let taken = moved.min(piece.iov_len);
            piece.iov_base = piece.iov_base.wrapping_byte_add(taken);
            piece.iov_len -= taken;
            moved -= taken;
            if piece.iov_len > 0 {
                break;
            }
            next += 1;
        }
    }
    Ok(())
}

/// Where `segments` lie in this process.
fn pieces(
    ram: &'static Ram,
    segments: impl Iterator<Item = (u64, usize)>,
) -> Result<Vec<libc::iovec>, MemoryError> {
    let mut pieces = Vec::new();
    for (gpa, len) in segments {
        for slice in ram.get_slices(GuestAddress(gpa), len) {
            let slice = slice.map_err(|_| MemoryError { gpa, len })?;
            let iov_base = slice.ptr_guard_mut().as_ptr().cast();
            pieces.push(libc::iovec {
                iov_base,
                iov_len: slice.len(),
            });
        }
    }
    Ok(pieces)
}

/// One system call; returns how many bytes it moved, which is none when it was interrupted.
fn step(file: &File, offset: u64, pieces: &[libc::iovec], way: Way) -> Result<usize, TransferError> {
    let offset = libc::off_t::try_from(offset).map_err(|_| TransferError::End)?;
    let count = libc::c_int::try_from(pieces.len()).map_err(io::Error::other)?;
    // SAFETY: `count` is the number of `pieces`. Each of them is guest memory, which is mapped for reading and writing for as long as
    // the process lives, and which nothing in it makes a reference to; that the guest accesses it meanwhile is the guest's affair.
    let moved = unsafe {
        match way {
            Way::Read => libc::preadv(file.as_raw_fd(), pieces.as_ptr(), count, offset),
            Way::Write => libc::pwritev(file.as_raw_fd(), pieces.as_ptr(), count, offset),
        }
    };
    match usize::try_from(moved) {
        Ok(0) => Err(TransferError::End),
        Ok(moved) => Ok(moved),
        Err(_) => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => Ok(0),
            error => Err(error.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;
    use vm_memory::Bytes;
    use vmm_sys_util::tempfile::TempFile;

    const PAGE: usize = 4096;

    fn ram() -> &'static Ram {
        Box::leak(Box::new(crate::memory::allocate(16).unwrap()))
    }

    #[test]
    fn scattered_pages_are_written_and_read_in_order() {
        // More pieces than one system call takes, each shorter than the distance to the next.
        let segments: Vec<(u64, usize)> = (0u16..2500)
            .map(|page| (u64::from(page) * 4096 + 7, 600 + usize::from(page) % 9))
            .collect();
        let len: usize = segments.iter().map(|(_, len)| len).sum();
        let bytes: Vec<u8> = (0..=250).cycle().take(len).collect();
        let (ram, file) = (ram(), TempFile::new().unwrap().into_file());
        file.write_all_at(&bytes, 512).unwrap();
        transfer(&file, 512, ram, segments.iter().copied(), Way::Read).unwrap();
        transfer(&file, 1 << 22, ram, segments.iter().copied(), Way::Write).unwrap();
        let mut back = vec![0; len];
        file.read_exact_at(&mut back, 1 << 22).unwrap();
        assert_eq!(back, bytes);
    }

    #[test]
    fn the_end_of_the_file_is_told() {
        let (ram, file) = (ram(), TempFile::new().unwrap().into_file());
        file.set_len(PAGE as u64).unwrap();
        let read = |offset, len| transfer(&file, offset, ram, [(0, len)].into_iter(), Way::Read);
        read(0, PAGE).unwrap();
        assert!(matches!(read(0, PAGE + 1), Err(TransferError::End)));
        assert!(matches!(read(u64::MAX, 1), Err(TransferError::End)));
    }

    #[test]
    fn what_is_no_memory_is_not_touched() {
        let (ram, file) = (ram(), TempFile::new().unwrap().into_file());
        file.write_all_at(&[7; PAGE], 0).unwrap();
        let hole = [(0, 8), ((16 << 20) - 4, 8)];
        let error = transfer(&file, 0, ram, hole.into_iter(), Way::Read).unwrap_err();
        assert!(matches!(
            error,
            TransferError::Memory(MemoryError {
                gpa: 0xFF_FFFC,
                len: 8
            })
        ));
        assert_eq!(
            ram.read_obj::<u64>(GuestAddress(0)).unwrap(),
            0,
            "not even the piece before"
        );
    }
}
