//! Commands about ranges of blocks.

use vmbus_proto::hvcall::GuestMemory;

use super::{Call, Job, Outcome, Plan, Step, failure, ready, writable};
use crate::host::Geometry;
use crate::scsi::Sense;

/// Most bytes that one WRITE SAME writes. Long enough that its overhead does not show, short enough not to
/// keep a channel from its other requests for long.
pub(super) const MAX_WRITE_SAME_BYTES: u32 = 32 << 20;

/// A range in bytes that lies on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

/// The bytes of `blocks` blocks from `lba` on, which must all be on the disk. A range of no blocks may start
/// at its end.
#[inline]
pub(super) fn range(geometry: &Geometry, lba: u64, blocks: u64) -> Step<Range> {
    let block = u64::from(geometry.block_size.bytes());
    let out_of_range = || Outcome::from(Sense::lba_out_of_range(lba));
    let end = lba
        .checked_add(blocks)
        .filter(|end| *end <= geometry.blocks)
        .ok_or_else(out_of_range)?;
    // If the end fits, so do the start and the length.
    end.checked_mul(block).ok_or_else(out_of_range)?;
    let offset = lba.checked_mul(block).ok_or_else(out_of_range)?;
    let len = blocks.checked_mul(block).ok_or_else(out_of_range)?;
    Ok(Range { offset, len })
}

/// As [`range`], where 0 blocks stand for all from `lba` on.
pub(super) fn range_or_rest(geometry: &Geometry, lba: u64, blocks: u32) -> Step<Range> {
    match blocks {
        0 => range(geometry, lba, geometry.blocks.saturating_sub(lba)),
        _ => range(geometry, lba, u64::from(blocks)),
    }
}

impl<'a, M: GuestMemory + ?Sized> Call<'a, M> {
    /// The length of a range that the guest's buffer has to hold.
    #[inline]
    fn transfer(&self, range: Range) -> Step<u32> {
        if range.len > self.buffer.total_bytes() {
            return Err(Outcome::overrun());
        }
        u32::try_from(range.len).map_err(|_| Outcome::overrun())
    }

    #[inline]
    pub(super) fn read(&self, geometry: &Geometry, lba: u64, blocks: u32) -> Step<Plan<'a>> {
        ready(geometry)?;
        let range = range(geometry, lba, u64::from(blocks))?;
        let transferred = self.transfer(range)?;
        if transferred == 0 {
            return Err(Outcome::good(0));
        }
        let job = Job::Read(range);
        Ok(Plan { job, transferred })
    }

    #[inline]
    pub(super) fn write(&self, geometry: &Geometry, lba: u64, blocks: u32, through: bool) -> Step<Plan<'a>> {
        writable(geometry)?;
        let range = range(geometry, lba, u64::from(blocks))?;
        let transferred = self.transfer(range)?;
        if transferred == 0 {
            return Err(Outcome::good(0));
        }
        let job = Job::Write {
            range,
            // Without a write cache it is stable anyway.
            durable: through && geometry.write_cache,
        };
        Ok(Plan { job, transferred })
    }

    pub(super) fn write_same(
        &self,
        geometry: &Geometry,
        lba: u64,
        blocks: u32,
        unmap: bool,
        no_data_out: bool,
    ) -> Step<Plan<'a>> {
        writable(geometry)?;
        let block = geometry.block_size.bytes();
        let range = range(geometry, lba, u64::from(blocks))?;
        // The page 0xb0 says that it takes at least one block, and so many at most.
        if blocks == 0 || range.len > u64::from(MAX_WRITE_SAME_BYTES) {
            let byte = if self.cdb.as_bytes().len() > 10 { 10 } else { 7 };
            return Err(Sense::invalid_cdb_field(byte, None).into());
        }
        if unmap && geometry.discard.is_none() {
            return Err(Sense::invalid_cdb_field(1, Some(3)).into());
        }
        let zeroes = Job::WriteZeroes(range);
        if no_data_out {
            return Ok(Plan {
                job: zeroes,
                transferred: 0,
            });
        }
        if self.buffer.total_bytes() < u64::from(block) {
            return Err(Outcome::overrun());
        }
        let mut copy = [0; 4096];
        let copy = copy
            .get_mut(..usize::try_from(block).unwrap_or(0))
            .unwrap_or_default();
        let one = self.buffer.clone().limit(u64::from(block));
        one.read(self.memory, copy)
            .map_err(|error| failure(error.into(), true))?;
        let job = if copy.iter().all(|byte| *byte == 0) {
            zeroes
        } else {
            // Data that is not zero is written, unmap bit or not: unmapping would not give it back.
            Job::WriteSame { range, block }
        };
        Ok(Plan {
            job,
            transferred: block,
        })
    }
}
