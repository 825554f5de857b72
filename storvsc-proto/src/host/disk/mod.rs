//! A SCSI disk: turns a CDB into an answer, or into work for the disk behind it.

mod blocks;
mod inquiry;
mod mode;
mod unmap;
mod work;

pub use unmap::{DiscardRanges, MAX_UNMAP_DESCRIPTORS};
pub use work::Work;

pub(crate) use inquiry::standard as standard_inquiry;
pub(crate) use unmap::ParameterList;
pub(crate) use work::Job;

use vmbus_proto::hvcall::GuestMemory;
use zerocopy::{Immutable, IntoBytes};

use super::lun::Lun;
use super::outcome::{Outcome, failure};
use super::{BlockBackend, Geometry, Segments};
use crate::scsi::{AdditionalSense, Cdb, CdbError, Command, Sense, SenseKey};

/// A command at a LUN, and what it may use.
pub(crate) struct Call<'a, M: GuestMemory + ?Sized> {
    /// The CDB.
    pub(crate) cdb: Cdb,
    /// The guest's buffer, exactly as long as the SRB says.
    pub(crate) buffer: Segments<'a>,
    /// The guest's memory.
    pub(crate) memory: &'a M,
    /// Most bytes that an SRB transfers.
    pub(crate) max_transfer_bytes: u32,
}

/// What the disk has to do for a command. When it has, so many bytes were transferred.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) job: Job<'a>,
    pub(crate) transferred: u32,
}

/// What a CDB says.
pub(crate) type Parsed = Result<Command, CdbError>;

/// What a command ends with when it does not go on: it failed, or there is nothing for the disk to do.
pub(crate) type Step<T> = Result<T, Outcome>;

impl<'a, M: GuestMemory + ?Sized> Call<'a, M> {
    /// Judges the command, and runs it as far as that goes without the disk.
    #[inline]
    pub(crate) fn plan<B: BlockBackend<Memory = M>>(
        &self,
        lun: &Lun<B>,
        command: &Parsed,
        parameters: &'a mut ParameterList,
    ) -> Step<Plan<'a>> {
        // These three run whatever happened (SAM-5).
        let exempt = matches!(
            command,
            Ok(Command::Inquiry { .. } | Command::ReportLuns { .. } | Command::RequestSense { .. })
        );
        let attention = if exempt { None } else { lun.take_attention() };
        if let Some(attention) = attention {
            return Err(attention.sense().into());
        }
        let backend = lun.backend();
        let geometry = backend.geometry();
        let command = command.as_ref().map_err(|error| Outcome::from(*error))?;
        match *command {
            Command::TestUnitReady => {
                ready(&geometry)?;
                Err(Outcome::good(0))
            }
            Command::RequestSense {
                descriptor,
                allocation,
            } => {
                let sense = lun
                    .take_attention()
                    .map_or_else(Sense::default, |attention| attention.sense());
                let allocation = u32::from(allocation);
                if descriptor {
                    Err(self.answer(&sense.to_descriptor(), allocation))
                } else {
                    Err(self.answer(&sense.to_fixed(), allocation))
                }
            }
            Command::Inquiry {
                page: None,
                allocation,
            } => Err(self.answer(&inquiry::standard(&backend.identity()), u32::from(allocation))),
            Command::Inquiry {
                page: Some(page),
                allocation,
            } => {
                let table = inquiry::page(page, &backend.identity(), &geometry, self.max_transfer_bytes)?;
                Err(self.answer(table.as_slice(), u32::from(allocation)))
            }
            Command::ModeSense {
                long,
                no_block_descriptor,
                control,
                page,
                subpage,
                allocation,
            } => {
                let wanted = mode::Wanted {
                    long,
                    no_block_descriptor,
                    control,
                    page,
                    subpage,
                };
                let table = mode::sense(&wanted, &geometry)?;
                Err(self.answer(table.as_slice(), u32::from(allocation)))
            }
            Command::ReadCapacity10 => {
                ready(&geometry)?;
                Err(self.answer(&inquiry::capacity10(&geometry), u32::MAX))
            }
            Command::ReadCapacity16 { allocation } => {
                ready(&geometry)?;
                Err(self.answer(&inquiry::capacity16(&geometry), allocation))
            }
            Command::StartStopUnit { load_eject: true, .. } => {
                Err(Sense::invalid_cdb_field(4, Some(1)).into())
            }
            // Stopping makes a drive flush; there is nothing else to stop.
            Command::StartStopUnit {
                start: false,
                power_condition: 0,
                ..
            } => Ok(Plan {
                job: Job::Flush,
                transferred: 0,
            }),
            Command::StartStopUnit { .. } => Err(Outcome::good(0)),
            Command::Read { lba, blocks, .. } => self.read(&geometry, lba, blocks),
            Command::Write {
                lba,
                blocks,
                force_unit_access,
            } => self.write(&geometry, lba, blocks, force_unit_access),
            Command::Verify { lba, blocks } => {
                ready(&geometry)?;
                blocks::range(&geometry, lba, u64::from(blocks))?;
                Err(Outcome::good(0))
            }
            Command::SynchronizeCache { lba, blocks } => {
                ready(&geometry)?;
                // The whole cache is flushed, whatever part of it was meant.
                blocks::range_or_rest(&geometry, lba, blocks)?;
                Ok(Plan {
                    job: Job::Flush,
                    transferred: 0,
                })
            }
            Command::WriteSame {
                lba,
                blocks,
                unmap,
                no_data_out,
            } => self.write_same(&geometry, lba, blocks, unmap, no_data_out),
            Command::Unmap { parameter_length } => self.unmap(&geometry, parameter_length, parameters),
            // The controller answers it, for all of its LUNs.
            Command::ReportLuns { .. } => {
                Err(Sense::illegal_request(AdditionalSense::INVALID_COMMAND_OPERATION_CODE).into())
            }
        }
    }

    /// Returns a table to the guest: at most `allocation` bytes, and what the buffer has room for.
    fn answer<T: IntoBytes + Immutable + ?Sized>(&self, table: &T, allocation: u32) -> Outcome {
        answer(&self.buffer, self.memory, table.as_bytes(), allocation)
    }
}

/// Returns a table to the guest: at most `allocation` bytes, and what the buffer has room for.
pub(crate) fn answer<M: GuestMemory + ?Sized>(
    buffer: &Segments<'_>,
    memory: &M,
    table: &[u8],
    allocation: u32,
) -> Outcome {
    let len = usize::try_from(allocation).unwrap_or(usize::MAX).min(table.len());
    match buffer.clone().write(memory, table.get(..len).unwrap_or(table)) {
        Ok(written) => Outcome::good(u32::try_from(written).unwrap_or(u32::MAX)),
        Err(error) => failure(error.into(), false),
    }
}

/// Refuses what needs a medium when there is none.
#[inline]
fn ready(geometry: &Geometry) -> Step<()> {
    if geometry.blocks == 0 {
        return Err(Sense::new(SenseKey::NOT_READY, AdditionalSense::MEDIUM_NOT_PRESENT).into());
    }
    Ok(())
}

/// Refuses what writes when the disk is not to be written.
#[inline]
fn writable(geometry: &Geometry) -> Step<()> {
    ready(geometry)?;
    if geometry.read_only {
        return Err(Sense::new(SenseKey::DATA_PROTECT, AdditionalSense::WRITE_PROTECTED).into());
    }
    Ok(())
}
