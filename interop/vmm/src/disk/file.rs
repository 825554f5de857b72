//! A raw image file, or a block device, as a disk.

use super::DiskSpec;
use super::transfer::{Direction, meaning, transfer};
use crate::error::{Error, Result};
use crate::memory::Ram;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use storvsc_proto::host::{
    BlockBackend, BlockError, BlockSize, Discard, Geometry, Identity, Segments, Serial,
};
use vmm_sys_util::fallocate::{FallocateMode, fallocate};

/// Space is given up in pages: what file systems on x86-64 manage it in.
const DISCARD_GRANULARITY: u32 = 4096;

/// A raw image file, or a block device, as a disk.
///
/// Reads and writes go through the host's page cache, and a flush is an `fdatasync`: what was flushed survives the end of this
/// process, whichever way it ends, and of the host too. The file is locked, so that no two machines write it.
#[derive(Debug)]
pub struct FileDisk {
    file: File,
    geometry: Geometry,
    identity: Identity,
}

impl FileDisk {
    /// Opens the image that `spec` names.
    ///
    /// # Errors
    /// It cannot be opened, is in use, or is no whole number of blocks.
    pub fn open(spec: &DiskSpec) -> Result<Self> {
        let failed = |source| Error::File {
            what: if spec.read_only {
                "disk image"
            } else {
                "disk image that may be written, or say ,ro"
            },
            path: spec.path.clone(),
            source,
        };
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(!spec.read_only)
            .open(&spec.path)
            .map_err(failed)?;
        let locked = if spec.read_only {
            file.try_lock_shared()
        } else {
            file.try_lock()
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::ImageInUse {
                    path: spec.path.clone(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // The metadata of a block device tells no length.
        let len = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let block = u64::from(spec.block_size.bytes());
        if len == 0 {
            return Err(Error::EmptyImage {
                path: spec.path.clone(),
            });
        }
        if !len.is_multiple_of(block) {
            return Err(Error::Image {
                path: spec.path.clone(),
                len,
                block,
            });
        }
        let inode = file.metadata().map_err(failed)?;
        Ok(Self {
            geometry: Geometry {
                blocks: len / block,
                block_size: spec.block_size,
                physical_block_size: BlockSize::B4096,
                read_only: spec.read_only,
                write_cache: true,
                rotational: false,
                discard: (!spec.read_only).then_some(Discard {
                    granularity: DISCARD_GRANULARITY,
                    reads_zero: true,
                }),
            },
            identity: identity(inode.dev(), inode.ino()),
            file,
        })
    }

    /// Makes a hole, which reads as zeroes and takes no space; writes zeroes where the file system knows no holes.
    fn zero(&self, offset: u64, len: u64) -> std::result::Result<(), BlockError> {
        let fallocate = |mode| fallocate(&self.file, mode, true, offset, len);
        let done = fallocate(FallocateMode::PunchHole).or_else(|error| match error.errno() {
            libc::EOPNOTSUPP => fallocate(FallocateMode::ZeroRange),
            _ => Err(error),
        });
        done.map_err(|error| meaning(&error.into()))
    }
}

/// Names that are the same each time that this file is used, and no other disk's on this host.
fn identity(device: u64, inode: u64) -> Identity {
    let mut hasher = DefaultHasher::new();
    (device, inode).hash(&mut hasher);
    let unique = hasher.finish();
    let mut naa = [0; 16];
    // NAA 6, then a company id, which none was assigned for: this number identifies nothing outside this host.
    naa[0] = 0x60;
    naa[8..].copy_from_slice(&unique.to_be_bytes());
    Identity {
        // 16 hexadecimal digits are a serial number.
        serial: Serial::new(&format!("{unique:016x}")).unwrap_or_default(),
        naa: Some(naa),
        ..Identity::default()
    }
}

impl BlockBackend for FileDisk {
    type Memory = Ram;

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn identity(&self) -> Identity {
        self.identity
    }

    fn read(&self, offset: u64, memory: &Ram, segments: Segments<'_>) -> std::result::Result<(), BlockError> {
        transfer(Direction::Read, &self.file, offset, memory, segments)
    }

    fn write(
        &self,
        offset: u64,
        memory: &Ram,
        segments: Segments<'_>,
    ) -> std::result::Result<(), BlockError> {
        transfer(Direction::Write, &self.file, offset, memory, segments)
    }

    fn flush(&self) -> std::result::Result<(), BlockError> {
        self.file.sync_data().map_err(|error| meaning(&error))
    }

    fn discard(&self, offset: u64, len: u64) -> std::result::Result<(), BlockError> {
        self.zero(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> std::result::Result<(), BlockError> {
        self.zero(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory;
    use std::io::Write as _;
    use std::path::Path;
    use vm_memory::{Bytes as _, GuestAddress};
    use vmbus_proto::ringbuf::gpa::GpaRanges;
    use zerocopy::IntoBytes as _;

    const PAGE: u64 = 4096;

    fn spec(path: &Path, options: &str) -> DiskSpec {
        format!("{}{options}", path.display()).parse().unwrap()
    }

    fn image(len: usize) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&vec![0x5a; len]).unwrap();
        file
    }

    /// A range of a page and a half: from the middle of page 3, then the whole of page 9.
    fn with_segments(run: impl FnOnce(Segments<'_>)) {
        let range = [(PAGE + PAGE / 2) | (PAGE / 2) << 32, 3, 9];
        let ranges = GpaRanges::parse(1, range.as_bytes()).unwrap();
        run(ranges.segments().into());
    }

    #[test]
    fn data_goes_between_the_image_and_scattered_pages() {
        let file = image(64 << 10);
        let disk = FileDisk::open(&spec(file.path(), "")).unwrap();
        assert_eq!(disk.geometry().blocks, 128);
        let ram = memory::allocate(1).unwrap();
        let data: Vec<u8> = (0..6144_u32).map(|at| (at % 251) as u8).collect();
        ram.write_slice(&data[..2048], GuestAddress(3 * PAGE + 2048))
            .unwrap();
        ram.write_slice(&data[2048..], GuestAddress(9 * PAGE)).unwrap();
        with_segments(|segments| disk.write(512, &ram, segments).unwrap());
        disk.flush().unwrap();
        let on_disk = std::fs::read(file.path()).unwrap();
        assert_eq!(on_disk[512..6656], data);
        assert!(
            on_disk[..512]
                .iter()
                .chain(&on_disk[6656..])
                .all(|&byte| byte == 0x5a)
        );

        let other = memory::allocate(1).unwrap();
        with_segments(|segments| disk.read(512, &other, segments).unwrap());
        let mut back = vec![0; 6144];
        other
            .read_slice(&mut back[..2048], GuestAddress(3 * PAGE + 2048))
            .unwrap();
        other
            .read_slice(&mut back[2048..], GuestAddress(9 * PAGE))
            .unwrap();
        assert_eq!(back, data);
    }

    #[test]
    fn memory_that_is_none_is_the_guests_fault() {
        let file = image(64 << 10);
        let disk = FileDisk::open(&spec(file.path(), "")).unwrap();
        let ram = memory::allocate(1).unwrap();
        let range = [PAGE, 1 << 20];
        let ranges = GpaRanges::parse(1, range.as_bytes()).unwrap();
        let error = disk.read(0, &ram, ranges.segments().into()).unwrap_err();
        assert!(
            matches!(error, BlockError::Memory(at) if at.gpa == 1 << 32),
            "{error:?}"
        );
    }

    #[test]
    fn an_image_that_was_cut_is_a_medium_error() {
        let file = image(64 << 10);
        let disk = FileDisk::open(&spec(file.path(), "")).unwrap();
        file.as_file().set_len(1024).unwrap();
        let ram = memory::allocate(1).unwrap();
        with_segments(|segments| assert_eq!(disk.read(0, &ram, segments), Err(BlockError::Medium)));
    }

    #[test]
    fn a_discarded_range_reads_zero_and_takes_no_space() {
        let file = image(1 << 20);
        let disk = FileDisk::open(&spec(file.path(), "")).unwrap();
        disk.flush().unwrap();
        let before = file.as_file().metadata().unwrap().blocks();
        disk.discard(PAGE, 64 * PAGE).unwrap();
        disk.write_zeroes(512, 512).unwrap();
        let content = std::fs::read(file.path()).unwrap();
        assert_eq!(content.len(), 1 << 20);
        assert!(content[4096..65 * 4096].iter().all(|&byte| byte == 0));
        assert!(content[512..1024].iter().all(|&byte| byte == 0));
        assert!(
            content[..512]
                .iter()
                .chain(&content[1024..4096])
                .all(|&byte| byte == 0x5a)
        );
        assert!(file.as_file().metadata().unwrap().blocks() < before);
    }

    #[test]
    fn a_read_only_image_is_not_opened_for_writing() {
        let file = image(4096);
        let disk = FileDisk::open(&spec(file.path(), ",ro")).unwrap();
        assert!(disk.geometry().read_only && disk.geometry().discard.is_none());
        let ram = memory::allocate(1).unwrap();
        // A target asks the geometry first; a backend that is asked all the same changes nothing.
        let range = [512_u64, 3];
        let ranges = GpaRanges::parse(1, range.as_bytes()).unwrap();
        assert_eq!(
            disk.write(0, &ram, ranges.segments().into()),
            Err(BlockError::ReadOnly)
        );
        assert_eq!(std::fs::read(file.path()).unwrap(), [0x5a; 4096]);
    }

    #[test]
    fn what_is_no_image_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let odd = image(1000);
        let empty = image(0);
        let used = image(4096);
        let _user = FileDisk::open(&spec(used.path(), "")).unwrap();
        for (path, options, said) in [
            (folder.path().join("none"), "", "readable disk image"),
            (
                odd.path().into(),
                "",
                "1000 bytes are no whole number of 512-byte blocks",
            ),
            (used.path().into(), "", "in use"),
            (used.path().into(), ",ro", "in use"),
            (empty.path().into(), "", "empty"),
        ] {
            let error = FileDisk::open(&spec(&path, options)).unwrap_err().to_string();
            assert!(
                error.contains(said) && error.contains(path.to_str().unwrap()),
                "{error}"
            );
            assert!(!error.contains('\n'));
        }
    }

    #[test]
    fn names_differ_between_images_and_stay_between_runs() {
        let (one, other) = (image(512), image(512));
        let name =
            |file: &tempfile::NamedTempFile| FileDisk::open(&spec(file.path(), ",ro")).unwrap().identity();
        assert_eq!(name(&one), name(&one));
        assert_ne!(name(&one).naa, name(&other).naa);
        assert_ne!(name(&one).serial, name(&other).serial);
    }
}
