//! A disk in memory.

use std::sync::Mutex;

use storvsc_proto::host::{
    BlockBackend, BlockError, BlockSize, Discard, Geometry, Identity, Segments, Serial,
};

use super::Ram;

/// What a disk was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read(u64, u64),
    Write(u64, u64),
    Flush,
    Discard(u64, u64),
    WriteZeroes(u64, u64),
}

/// A disk in memory. A discarded byte reads as zero.
#[derive(Debug)]
pub(crate) struct RamDisk {
    pub(crate) data: Mutex<Vec<u8>>,
    pub(crate) geometry: Mutex<Geometry>,
    pub(crate) identity: Identity,
    pub(crate) ops: Mutex<Vec<Op>>,
    pub(crate) fail: Mutex<Option<BlockError>>,
}

impl RamDisk {
    pub(crate) fn new(blocks: u64) -> Self {
        Self::with(Geometry {
            blocks,
            write_cache: true,
            discard: Some(Discard {
                granularity: 4096,
                reads_zero: true,
            }),
            ..Geometry::default()
        })
    }

    pub(crate) fn with(geometry: Geometry) -> Self {
        // A disk that pretends to be huge has no data to go with it.
        let len = (u128::from(geometry.blocks) * u128::from(geometry.block_size.bytes())).min(1 << 22);
        Self {
            data: Mutex::new(vec![0; len as usize]),
            geometry: Mutex::new(geometry),
            identity: Identity {
                serial: Serial::new("SN-0001").unwrap(),
                ..Identity::default()
            },
            ops: Mutex::default(),
            fail: Mutex::default(),
        }
    }

    pub(crate) fn take_ops(&self) -> Vec<Op> {
        std::mem::take(&mut self.ops.lock().unwrap())
    }

    fn begin(&self, op: Op) -> Result<(), BlockError> {
        self.ops.lock().unwrap().push(op);
        self.fail.lock().unwrap().map_or(Ok(()), Err)
    }

    fn zero(&self, offset: u64, len: u64) {
        let mut data = self.data.lock().unwrap();
        let end = (offset.saturating_add(len) as usize).min(data.len());
        if let Some(range) = data.get_mut(offset as usize..end) {
            range.fill(0);
        }
    }
}

impl BlockBackend for RamDisk {
    type Memory = Ram;

    fn geometry(&self) -> Geometry {
        *self.geometry.lock().unwrap()
    }

    fn identity(&self) -> Identity {
        self.identity
    }

    fn read(&self, offset: u64, memory: &Ram, segments: Segments<'_>) -> Result<(), BlockError> {
        let total = segments.total_bytes();
        self.begin(Op::Read(offset, total))?;
        let data = self.data.lock().unwrap();
        let range = data
            .get(offset as usize..(offset + total) as usize)
            .ok_or(BlockError::OutOfRange)?;
        assert_eq!(segments.write(memory, range)? as u64, total);
        Ok(())
    }

    fn write(&self, offset: u64, memory: &Ram, segments: Segments<'_>) -> Result<(), BlockError> {
        let total = segments.total_bytes();
        self.begin(Op::Write(offset, total))?;
        let mut data = self.data.lock().unwrap();
        let range = data
            .get_mut(offset as usize..(offset + total) as usize)
            .ok_or(BlockError::OutOfRange)?;
        assert_eq!(segments.read(memory, range)? as u64, total);
        Ok(())
    }

    fn flush(&self) -> Result<(), BlockError> {
        self.begin(Op::Flush)
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.begin(Op::Discard(offset, len))?;
        self.zero(offset, len);
        Ok(())
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.begin(Op::WriteZeroes(offset, len))?;
        self.zero(offset, len);
        Ok(())
    }
}

pub(crate) fn large_blocks() -> Geometry {
    Geometry {
        blocks: 512,
        block_size: BlockSize::B4096,
        physical_block_size: BlockSize::B4096,
        write_cache: true,
        ..Geometry::default()
    }
}
