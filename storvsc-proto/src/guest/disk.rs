//! A front for block devices: from blocks to commands.

use thiserror::Error;
use zerocopy::IntoBytes;
use zerocopy::big_endian::{U16, U32, U64};

use crate::scsi::{Cdb, Command, UnmapDescriptor, UnmapHeader};
use crate::wire::LunAddress;

/// A disk, as [`Identify`](super::Identify) found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    pub(super) address: LunAddress,
    pub(super) blocks: u64,
    pub(super) block_len: u32,
    pub(super) physical_block_len: u32,
    pub(super) max_transfer_bytes: u32,
    pub(super) read_only: bool,
    pub(super) write_cache: bool,
    pub(super) max_discard_ranges: u32,
    pub(super) max_discard_blocks: u32,
    pub(super) discard_granularity: u32,
}

/// A command for a disk, and how long its buffer is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The CDB.
    pub cdb: Cdb,
    /// Bytes of the buffer.
    pub len: u32,
}

/// Blocks that cannot be asked for. The caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RangeError {
    /// Beyond the last block, or none at all.
    #[error("{count} blocks from {lba} on, of {blocks}")]
    OutOfRange {
        /// First block.
        lba: u64,
        /// Blocks.
        count: u32,
        /// Blocks of the disk.
        blocks: u64,
    },
    /// More than one command transfers.
    #[error("{count} blocks, of which {most} are the most")]
    TooLong {
        /// Blocks.
        count: u32,
        /// The most there may be.
        most: u32,
    },
    /// The disk is not to be written.
    #[error("the disk is read only")]
    ReadOnly,
    /// The disk does not give up blocks, or not so many ranges at once.
    #[error("{count} ranges to be given up, of which {most} are the most")]
    Discard {
        /// Ranges.
        count: u32,
        /// The most there may be; 0 when the disk does not give up blocks.
        most: u32,
    },
}

impl Disk {
    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> LunAddress {
        self.address
    }

    /// Blocks.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Bytes of a block: a power of two from 512 on.
    #[must_use]
    pub const fn block_len(&self) -> u32 {
        self.block_len
    }

    /// Bytes of a physical block. Writes of whole ones are best.
    #[must_use]
    pub const fn physical_block_len(&self) -> u32 {
        self.physical_block_len
    }

    /// Most blocks of a read or write.
    #[must_use]
    #[inline]
    pub fn max_transfer_blocks(&self) -> u32 {
        self.max_transfer_bytes.checked_div(self.block_len).unwrap_or(0)
    }

    /// Whether it cannot be written.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whether writes are volatile until a [`flush`](Self::flush).
    #[must_use]
    pub const fn has_write_cache(&self) -> bool {
        self.write_cache
    }

    /// Most ranges that one [`discard`](Self::discard) takes; 0 when blocks cannot be given up.
    #[must_use]
    pub const fn max_discard_ranges(&self) -> u32 {
        self.max_discard_ranges
    }

    /// Blocks of the units in which space is given up.
    #[must_use]
    pub const fn discard_granularity(&self) -> u32 {
        self.discard_granularity
    }

    #[inline]
    fn judge(&self, lba: u64, count: u32) -> Result<(), RangeError> {
        let end = lba
            .checked_add(u64::from(count))
            .filter(|end| count > 0 && *end <= self.blocks);
        end.map(|_| ()).ok_or(RangeError::OutOfRange {
            lba,
            count,
            blocks: self.blocks,
        })
    }

    #[inline]
    fn transfer(&self, lba: u64, count: u32) -> Result<u32, RangeError> {
        self.judge(lba, count)?;
        let most = self.max_transfer_blocks();
        let len = count.checked_mul(self.block_len).filter(|_| count <= most);
        len.ok_or(RangeError::TooLong { count, most })
    }

    /// Reads blocks.
    ///
    /// # Errors
    /// When they are not on the disk, or too many.
    #[inline]
    pub fn read(&self, lba: u64, count: u32) -> Result<Request, RangeError> {
        let len = self.transfer(lba, count)?;
        Ok(Request {
            cdb: Command::Read {
                lba,
                blocks: count,
                force_unit_access: false,
            }
            .to_cdb(),
            len,
        })
    }

    /// Writes blocks; `durable`: stable when it is complete, without a flush.
    ///
    /// # Errors
    /// When they are not on the disk, or too many, or the disk is read only.
    #[inline]
    pub fn write(&self, lba: u64, count: u32, durable: bool) -> Result<Request, RangeError> {
        if self.read_only {
            return Err(RangeError::ReadOnly);
        }
        let len = self.transfer(lba, count)?;
        let force_unit_access = durable && self.write_cache;
        Ok(Request {
            cdb: Command::Write {
                lba,
                blocks: count,
                force_unit_access,
            }
            .to_cdb(),
            len,
        })
    }

    /// Makes all that is written stable. Not needed where there is no [write cache](Self::has_write_cache).
    #[must_use]
    pub fn flush(&self) -> Request {
        Request {
            cdb: Command::SynchronizeCache { lba: 0, blocks: 0 }.to_cdb(),
            len: 0,
        }
    }

    /// Gives ranges up, each `(lba, count)`. The buffer is to hold what [`unmap_list`] makes of them.
    ///
    /// # Errors
    /// When a range is not on the disk, there are too many, or the disk is read only or does not give up blocks.
    pub fn discard(&self, ranges: &[(u64, u32)]) -> Result<Request, RangeError> {
        let count = u32::try_from(ranges.len()).unwrap_or(u32::MAX);
        let most = self.max_discard_ranges;
        let refused = RangeError::Discard { count, most };
        if count == 0 || count > most {
            return Err(refused);
        }
        if self.read_only {
            return Err(RangeError::ReadOnly);
        }
        let mut blocks = 0_u32;
        for (lba, count) in ranges {
            self.judge(*lba, *count)?;
            blocks = blocks.saturating_add(*count);
        }
        if blocks > self.max_discard_blocks {
            return Err(RangeError::TooLong {
                count: blocks,
                most: self.max_discard_blocks,
            });
        }
        let parameter_length = list_len(ranges.len())
            .and_then(|len| u16::try_from(len).ok())
            .ok_or(refused)?;
        Ok(Request {
            cdb: Command::Unmap { parameter_length }.to_cdb(),
            len: u32::from(parameter_length),
        })
    }
}

fn list_len(ranges: usize) -> Option<usize> {
    ranges
        .checked_mul(size_of::<UnmapDescriptor>())?
        .checked_add(size_of::<UnmapHeader>())
}

/// Fills `buffer` with the parameter list of an UNMAP of these ranges, each `(lba, count)`. Returns how many bytes it
/// has: 8 and 16 for each range; `None` when the buffer is shorter, or there are more than a list can hold.
#[must_use]
pub fn unmap_list(ranges: &[(u64, u32)], buffer: &mut [u8]) -> Option<usize> {
    let len = list_len(ranges.len())?;
    let length = u16::try_from(len).ok()?;
    let (header, rest) = buffer
        .get_mut(..len)?
        .split_at_mut_checked(size_of::<UnmapHeader>())?;
    // Both lengths count what follows them.
    UnmapHeader {
        length: U16::new(length.checked_sub(2)?),
        descriptors_length: U16::new(length.checked_sub(8)?),
        reserved: [0; 4],
    }
    .write_to(header)
    .ok()?;
    for (descriptor, (lba, count)) in rest.chunks_exact_mut(size_of::<UnmapDescriptor>()).zip(ranges) {
        UnmapDescriptor {
            lba: U64::new(*lba),
            blocks: U32::new(*count),
            reserved: U32::ZERO,
        }
        .write_to(descriptor)
        .ok()?;
    }
    Some(len)
}
