//! A disk in memory.

use std::cell::{Cell, RefCell};

use storvsc_proto::host::{BlockBackend, BlockError, BlockSize, Discard, Geometry, Lun, Segments};

use crate::memory::Ram;

/// Bytes that a disk has at most, whatever it says.
const MOST: u128 = 1 << 15;

/// A disk, that fails when it is told to.
#[derive(Debug)]
pub struct Disk {
    geometry: Geometry,
    data: RefCell<Vec<u8>>,
    /// How it fails, if it does.
    pub fails: Cell<Option<BlockError>>,
}

impl Disk {
    /// A disk of zeros.
    pub fn new(geometry: Geometry) -> Self {
        let len = (u128::from(geometry.blocks) * u128::from(geometry.block_size.bytes())).min(MOST);
        Self {
            geometry,
            data: RefCell::new(vec![0; len as usize]),
            fails: Cell::new(None),
        }
    }

    /// Disks of every kind, at LUNs from 0 on.
    pub fn all() -> Vec<Lun<Self>> {
        let plain = Geometry {
            blocks: 64,
            write_cache: true,
            discard: Some(Discard {
                granularity: 4096,
                reads_zero: true,
            }),
            ..Geometry::default()
        };
        let large = Geometry {
            blocks: 8,
            block_size: BlockSize::B4096,
            physical_block_size: BlockSize::B4096,
            rotational: true,
            ..Geometry::default()
        };
        let geometries = [
            plain,
            Geometry {
                read_only: true,
                ..plain
            },
            large,
            Geometry::default(),
            Geometry {
                blocks: u64::MAX,
                ..plain
            },
        ];
        (0..)
            .zip(geometries)
            .map(|(lun, geometry)| Lun::new(lun, Self::new(geometry)))
            .collect()
    }

    /// The bytes that were asked for, judged by what the disk says it is.
    fn range<T>(&self, offset: u64, len: u64, act: impl FnOnce(&mut [u8]) -> T) -> Result<T, BlockError> {
        if let Some(error) = self.fails.get() {
            return Err(error);
        }
        let block = u64::from(self.geometry.block_size.bytes());
        let size = u128::from(self.geometry.blocks) * u128::from(block);
        assert!(
            u128::from(offset) + u128::from(len) <= size,
            "{len} bytes at {offset} of a disk of {size}"
        );
        assert!(offset.is_multiple_of(block) && len.is_multiple_of(block));
        let mut data = self.data.borrow_mut();
        let offset = usize::try_from(offset).map_err(|_| BlockError::OutOfRange)?;
        let end = usize::try_from(len).ok().and_then(|len| offset.checked_add(len));
        end.and_then(|end| data.get_mut(offset..end))
            .map(act)
            .ok_or(BlockError::OutOfRange)
    }

    fn writable(&self) {
        assert!(!self.geometry.read_only, "a read-only disk is not written to");
    }
}

impl BlockBackend for Disk {
    type Memory = Ram;

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read(&self, offset: u64, memory: &Ram, segments: Segments<'_>) -> Result<(), BlockError> {
        let total = segments.total_bytes();
        self.range(offset, total, |bytes| segments.write(memory, bytes))??;
        Ok(())
    }

    fn write(&self, offset: u64, memory: &Ram, segments: Segments<'_>) -> Result<(), BlockError> {
        self.writable();
        let total = segments.total_bytes();
        let read = self.range(offset, total, |bytes| segments.read(memory, bytes))??;
        assert_eq!(read as u64, total);
        Ok(())
    }

    fn flush(&self) -> Result<(), BlockError> {
        self.range(0, 0, |_| ())
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.writable();
        assert!(self.geometry.discard.is_some(), "not offered");
        self.range(offset, len, |bytes| bytes.fill(0))
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.writable();
        self.range(offset, len, |bytes| bytes.fill(0))
    }
}
