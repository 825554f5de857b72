//! A disk whose blocks are a file: a raw image, or a block device of the host's.

use crate::error::{Error, Result};
use crate::memory::Ram;
use crate::vectored::{TransferError, Way, transfer};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use storvsc_proto::host::{
    BlockBackend, BlockError, BlockSize, Discard, Geometry, Identity, Segments, Serial,
};
use tracing::warn;
use vmm_sys_util::fallocate::{FallocateMode, fallocate};

/// A disk as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskConfig {
    /// The image.
    pub path: PathBuf,
    /// The guest may not write it.
    pub read_only: bool,
    /// The SCSI controller that it hangs on.
    pub controller: u8,
    /// Its LUN; the lowest free one where it is `None`.
    pub lun: Option<u8>,
    /// Bytes of a block.
    pub block_size: BlockSize,
}

/// An open image.
#[derive(Debug)]
pub struct Image {
    file: File,
    path: PathBuf,
    geometry: Geometry,
    controller: u8,
    lun: u8,
}

/// The first bytes of a world-wide name of Microsoft's: NAA 6, OUI 00-22-48. Hyper-V's disks have such names.
const NAA_MICROSOFT: [u8; 4] = [0x60, 0x02, 0x24, 0x80];
/// Bytes of zero that are written at a time where a hole cannot be punched.
static ZEROES: [u8; 1 << 16] = [0; 1 << 16];

impl Image {
    /// Opens a disk's image as the LUN `lun`.
    ///
    /// # Errors
    /// The image cannot be opened, is in use, or has no whole number of blocks.
    pub fn open(config: &DiskConfig, lun: u8) -> Result<Self> {
        let path = config.path.clone();
        let failed = |source| Error::File {
            what: "disk image",
            path: path.clone(),
            source,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(!config.read_only)
            .open(&path)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let lock = if config.read_only {
            file.try_lock_shared()
        } else {
            file.try_lock()
        };
        match lock {
            Err(TryLockError::WouldBlock) => return Err(Error::ImageInUse { path }),
            // A file system that has no locks.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        // The length in the metadata of a block device is 0.
        let len = file.seek(SeekFrom::End(0)).map_err(failed)?;
        let block = config.block_size.bytes();
        if len == 0 || len % u64::from(block) != 0 {
            return Err(Error::ImageLength { path, len, block });
        }
        let granularity = u32::try_from(metadata.blksize()).unwrap_or(0);
        let geometry = Geometry {
            blocks: len / u64::from(block),
            block_size: config.block_size,
            // What the file system underneath writes at least.
            physical_block_size: BlockSize::B4096,
            read_only: config.read_only,
            write_cache: true,
            rotational: false,
            discard: (!config.read_only).then_some(Discard {
                granularity,
                reads_zero: true,
            }),
        };
        Ok(Self {
            file,
            path,
            geometry,
            controller: config.controller,
            lun,
        })
    }

    /// The controller that it hangs on.
    pub fn controller(&self) -> u8 {
        self.controller
    }

    /// Its LUN.
    pub fn lun(&self) -> u8 {
        self.lun
    }

    fn transfer(&self, offset: u64, ram: &'static Ram, segments: Segments<'_>, way: Way) -> Answer {
        transfer(&self.file, offset, ram, segments, way).map_err(|error| match error {
            TransferError::Memory(error) => error.into(),
            TransferError::End => BlockError::OutOfRange,
            TransferError::File(error) => self.failed(&error),
        })
    }

    /// What the guest is told of an error of the file's; the host's log has all of it.
    fn failed(&self, error: &io::Error) -> BlockError {
        warn!("{}: {error}", self.path.display());
        match error.raw_os_error() {
            Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => BlockError::NoSpace,
            Some(libc::EROFS | libc::EPERM | libc::EBADF) => BlockError::ReadOnly,
            Some(libc::EIO) => BlockError::Medium,
            _ => BlockError::Internal,
        }
    }

    /// Makes bytes zero by giving up their space, or where the file system cannot do that, by writing.
    fn zero(&self, offset: u64, len: u64) -> Answer {
        match fallocate(&self.file, FallocateMode::PunchHole, true, offset, len) {
            Ok(()) => Ok(()),
            Err(error) if matches!(error.errno(), libc::EOPNOTSUPP | libc::ENOSYS) => self
                .write_zero_bytes(offset, len)
                .map_err(|error| self.failed(&error)),
            Err(error) => Err(self.failed(&error.into())),
        }
    }

    fn write_zero_bytes(&self, mut offset: u64, mut len: u64) -> io::Result<()> {
        while len > 0 {
            let step = usize::try_from(len).unwrap_or(usize::MAX).min(ZEROES.len());
            self.file
                .write_all_at(ZEROES.get(..step).unwrap_or(&ZEROES), offset)?;
            offset += step as u64;
            len -= step as u64;
        }
        Ok(())
    }
}

type Answer = std::result::Result<(), BlockError>;

/// Guest memory is borrowed for ever, as transfers go to where it is mapped.
impl BlockBackend for Image {
    type Memory = &'static Ram;

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn identity(&self) -> Identity {
        let mut naa = [0; 16];
        let mut hasher = DefaultHasher::new();
        (&self.path, self.controller, self.lun).hash(&mut hasher);
        let name = NAA_MICROSOFT
            .into_iter()
            .chain(hasher.finish().to_be_bytes())
            .chain([0, 0, self.controller, self.lun]);
        naa.iter_mut().zip(name).for_each(|(to, from)| *to = from);
        let serial = Serial::new(&format!("vmm-disk-{}-{}", self.controller, self.lun)).unwrap_or_default();
        Identity {
            serial,
            naa: Some(naa),
            ..Identity::default()
        }
    }

    fn read(&self, offset: u64, memory: &Self::Memory, segments: Segments<'_>) -> Answer {
        self.transfer(offset, memory, segments, Way::Read)
    }

    fn write(&self, offset: u64, memory: &Self::Memory, segments: Segments<'_>) -> Answer {
        self.transfer(offset, memory, segments, Way::Write)
    }

    fn flush(&self) -> Answer {
        self.file.sync_data().map_err(|error| self.failed(&error))
    }

    fn discard(&self, offset: u64, len: u64) -> Answer {
        self.zero(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Answer {
        self.zero(offset, len)
    }
}

/// The LUN of each disk: what was asked for, else the lowest that is free on its controller.
///
/// # Errors
/// Two disks ask for the same LUN, or there are more disks than LUNs.
pub fn assign_luns(disks: &[DiskConfig]) -> Result<Vec<u8>> {
    let mut taken = BTreeSet::new();
    for disk in disks {
        if let Some(lun) = disk.lun.filter(|lun| !taken.insert((disk.controller, *lun))) {
            return Err(Error::LunTaken {
                lun,
                path: disk.path.clone(),
            });
        }
    }
    let mut assign = |disk: &DiskConfig| {
        disk.lun
            .or_else(|| (0..=u8::MAX).find(|&lun| taken.insert((disk.controller, lun))))
    };
    disks
        .iter()
        .map(|disk| {
            assign(disk).ok_or_else(|| Error::TooManyDisks {
                path: disk.path.clone(),
            })
        })
        .collect()
}

/// Opens every disk's image.
///
/// # Errors
/// As [`Image::open`], and as [`assign_luns`].
pub fn open_all(disks: &[DiskConfig]) -> Result<Vec<Image>> {
    assign_luns(disks)?
        .into_iter()
        .zip(disks)
        .map(|(lun, disk)| Image::open(disk, lun))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;
    use std::io::{BufRead, BufReader, Read};
    use std::path::Path;
    use std::process::{Command, Stdio};
    use vm_memory::{Bytes, GuestAddress};
    use vmm_sys_util::tempfile::TempFile;

    fn disk(path: &Path) -> DiskConfig {
        DiskConfig {
            path: path.to_owned(),
            read_only: false,
            controller: 0,
            lun: None,
            block_size: BlockSize::B512,
        }
    }

    fn image(len: u64) -> TempFile {
        let file = TempFile::new().unwrap();
        file.as_file().set_len(len).unwrap();
        file
    }

    #[test]
    fn an_image_has_a_whole_number_of_blocks() {
        for (len, block_size, fits) in [
            (0, BlockSize::B512, false),
            (1000, BlockSize::B512, false),
            (1024, BlockSize::B512, true),
            (1024, BlockSize::B4096, false),
            (8192, BlockSize::B4096, true),
        ] {
            let file = image(len);
            let result = Image::open(
                &DiskConfig {
                    block_size,
                    ..disk(file.as_path())
                },
                0,
            );
            match result {
                Ok(image) => assert!(fits && image.geometry().blocks == len / u64::from(block_size.bytes())),
                Err(error) => assert!(!fits && matches!(error, Error::ImageLength { .. }), "{error}"),
            }
        }
    }

    #[test]
    fn an_image_that_is_written_is_used_once() {
        let file = image(512);
        let writable = disk(file.as_path());
        let read_only = DiskConfig {
            read_only: true,
            ..writable.clone()
        };
        let first = Image::open(&writable, 0).unwrap();
        assert!(matches!(Image::open(&writable, 1), Err(Error::ImageInUse { .. })));
        assert!(matches!(
            Image::open(&read_only, 1),
            Err(Error::ImageInUse { .. })
        ));
        drop(first);
        let _reader = Image::open(&read_only, 0).unwrap();
        let _another = Image::open(&read_only, 1).unwrap();
    }

    #[test]
    fn what_is_given_up_reads_as_zero_and_frees_its_space() {
        let file = image(1 << 20);
        file.as_file().write_all_at(&[7; 1 << 20], 0).unwrap();
        file.as_file().sync_all().unwrap();
        let before = file.as_file().metadata().unwrap().blocks();
        let image = Image::open(&disk(file.as_path()), 0).unwrap();
        image.discard(1 << 19, 1 << 18).unwrap();
        image.write_zero_bytes(100, 70_000).unwrap();
        let mut bytes = vec![0; 1 << 20];
        file.as_file().read_exact_at(&mut bytes, 0).unwrap();
        for (at, byte) in bytes.iter().enumerate() {
            let zero = (1 << 19..(1 << 19) + (1 << 18)).contains(&at) || (100..70_100).contains(&at);
            assert_eq!(*byte, if zero { 0 } else { 7 }, "at {at}");
        }
        assert!(file.as_file().metadata().unwrap().blocks() < before);
        assert_eq!(file.as_file().metadata().unwrap().len(), 1 << 20);
    }

    /// Names the image to the process that is killed.
    const VICTIM_IMAGE: &str = "VMM_TEST_IMAGE";

    /// Half of the process's life of [`what_was_flushed_outlives_the_vmm`]: writes as the guest has it write, flushes, tells, and waits
    /// for its end.
    #[test]
    #[ignore = "what_was_flushed_outlives_the_vmm runs it, and kills it"]
    fn victim() {
        let image = Image::open(&disk(Path::new(&env::var_os(VICTIM_IMAGE).unwrap())), 0).unwrap();
        let ram: &'static Ram = Box::leak(Box::new(crate::memory::allocate(16).unwrap()));
        ram.write_slice(&[0x5A; 8192], GuestAddress(4096)).unwrap();
        transfer(&image.file, 512, ram, [(4096, 8192)].into_iter(), Way::Write).unwrap();
        image.flush().unwrap();
        println!("flushed");
        // Ends with the process, or with the test that should have killed it.
        let _end = io::stdin().read_to_end(&mut Vec::new());
    }

    #[test]
    fn what_was_flushed_outlives_the_vmm() {
        let file = image(1 << 20);
        let mut victim = Command::new(env::current_exe().unwrap())
            .args(["--exact", "image::tests::victim", "--ignored", "--nocapture"])
            .env(VICTIM_IMAGE, file.as_path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stdout.take().unwrap()).lines();
        let flushed = lines.any(|line| line.unwrap().ends_with("flushed"));
        victim.kill().unwrap();
        assert!(!victim.wait().unwrap().success(), "it was killed");
        assert!(flushed, "it was killed after its flush");
        let mut bytes = vec![0; 8192];
        file.as_file().read_exact_at(&mut bytes, 512).unwrap();
        assert_eq!(bytes, [0x5A; 8192]);
    }

    #[test]
    fn luns_are_those_asked_for_else_the_lowest_free() {
        let with = |lun| DiskConfig {
            lun,
            ..disk(Path::new("disk"))
        };
        assert_eq!(
            assign_luns(&[with(None), with(Some(0)), with(None), with(Some(2))]).unwrap(),
            [1, 0, 3, 2]
        );
        assert!(matches!(
            assign_luns(&[with(Some(5)), with(Some(5))]),
            Err(Error::LunTaken { lun: 5, .. })
        ));
        assert!(matches!(
            assign_luns(&vec![with(None); 257]),
            Err(Error::TooManyDisks { .. })
        ));
    }
}
