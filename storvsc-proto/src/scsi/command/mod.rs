//! CDBs as commands: the judged form.

mod encode;

use thiserror::Error;

use super::cdb::{
    Cdb, Cdb6, Cdb10, Cdb12, Cdb16, InquiryCdb, ModeSense6Cdb, ModeSense10Cdb, ReportLunsCdb,
    RequestSenseCdb, ServiceActionIn16Cdb, StartStopCdb, UnmapCdb,
};
use super::{AdditionalSense, OperationCode, Sense, VpdPage};

/// Which values of a mode page MODE SENSE is to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageControl {
    /// Those in force.
    Current,
    /// A mask of the bits that can be changed.
    Changeable,
    /// Those at power on.
    Default,
    /// Those saved.
    Saved,
}

/// A command that this crate knows, with fields that are legal by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// TEST UNIT READY.
    TestUnitReady,
    /// REQUEST SENSE.
    RequestSense {
        /// In the descriptor format.
        descriptor: bool,
        /// Most bytes to return.
        allocation: u8,
    },
    /// INQUIRY.
    Inquiry {
        /// A page of vital product data, or else the standard data.
        page: Option<VpdPage>,
        /// Most bytes to return.
        allocation: u16,
    },
    /// MODE SENSE(6) and (10).
    ModeSense {
        /// The form of 10 bytes, whose answer has a longer header.
        long: bool,
        /// No block descriptor in the answer.
        no_block_descriptor: bool,
        /// Which values.
        control: PageControl,
        /// Which page; 0x3f for all.
        page: u8,
        /// Which subpage; 0xff for all.
        subpage: u8,
        /// Most bytes to return.
        allocation: u16,
    },
    /// START STOP UNIT.
    StartStopUnit {
        /// Start rather than stop.
        start: bool,
        /// Load or eject the medium.
        load_eject: bool,
        /// The power condition to go to, or 0 to start or stop.
        power_condition: u8,
    },
    /// READ CAPACITY(10).
    ReadCapacity10,
    /// READ CAPACITY(16).
    ReadCapacity16 {
        /// Most bytes to return.
        allocation: u32,
    },
    /// REPORT LUNS.
    ReportLuns {
        /// Those with an ordinary address are wanted, not the well known ones alone.
        ordinary: bool,
        /// Most bytes to return.
        allocation: u32,
    },
    /// READ(6), (10), (12) and (16).
    Read {
        /// First block.
        lba: u64,
        /// Blocks.
        blocks: u32,
        /// From the medium, not from a cache.
        force_unit_access: bool,
    },
    /// WRITE(6), (10), (12) and (16).
    Write {
        /// First block.
        lba: u64,
        /// Blocks.
        blocks: u32,
        /// On the medium before the answer.
        force_unit_access: bool,
    },
    /// VERIFY(10), (12) and (16), without comparison.
    Verify {
        /// First block.
        lba: u64,
        /// Blocks.
        blocks: u32,
    },
    /// SYNCHRONIZE CACHE(10) and (16).
    SynchronizeCache {
        /// First block.
        lba: u64,
        /// Blocks; 0 for all from the first on.
        blocks: u32,
    },
    /// WRITE SAME(10) and (16).
    WriteSame {
        /// First block.
        lba: u64,
        /// Blocks; 0 for all from the first on.
        blocks: u32,
        /// The blocks may be unmapped where that gives the same data.
        unmap: bool,
        /// No block is sent: zeroes are written.
        no_data_out: bool,
    },
    /// UNMAP.
    Unmap {
        /// Bytes of the parameter list.
        parameter_length: u16,
    },
}

/// Why a CDB is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CdbError {
    /// An operation that is not supported.
    #[error("not supported")]
    UnknownOperation {
        /// The operation.
        operation: OperationCode,
    },
    /// Fewer bytes than the operation has.
    #[error("{len} bytes of {needed}")]
    TooShort {
        /// Bytes that there are.
        len: usize,
        /// Bytes that there should be.
        needed: usize,
    },
    /// A field with a value that is not supported.
    #[error("field at byte {byte} not supported")]
    InvalidField {
        /// The field's first byte.
        byte: u16,
        /// The field's highest bit, where it is less than a byte.
        bit: Option<u8>,
    },
}

impl CdbError {
    /// The sense data that answers it.
    #[must_use]
    pub const fn sense(&self) -> Sense {
        match *self {
            Self::UnknownOperation { .. } => {
                Sense::illegal_request(AdditionalSense::INVALID_COMMAND_OPERATION_CODE)
            }
            Self::TooShort { .. } => Sense::illegal_request(AdditionalSense::INVALID_FIELD_IN_CDB),
            Self::InvalidField { byte, bit } => Sense::invalid_cdb_field(byte, bit),
        }
    }
}

/// Bits of the second byte.
mod flag {
    /// INQUIRY: a page of vital product data.
    pub(super) const VITAL_PRODUCT_DATA: u8 = 0x01;
    /// MODE SENSE: no block descriptor.
    pub(super) const NO_BLOCK_DESCRIPTOR: u8 = 0x08;
    /// READ and WRITE: past the cache.
    pub(super) const FORCE_UNIT_ACCESS: u8 = 0x08;
    /// READ, WRITE, VERIFY, WRITE SAME: protection information, which no disk here has.
    pub(super) const PROTECT: u8 = 0xe0;
    /// Addresses relative to those of a linked command: obsolete.
    pub(super) const RELATIVE: u8 = 0x01;
    /// VERIFY: compare.
    pub(super) const BYTE_CHECK: u8 = 0x06;
    /// WRITE SAME: anchor.
    pub(super) const WRITE_SAME_ANCHOR: u8 = 0x10;
    /// WRITE SAME: unmap.
    pub(super) const WRITE_SAME_UNMAP: u8 = 0x08;
    /// WRITE SAME(10): put the block's address into it, obsolete.
    pub(super) const WRITE_SAME_NUMBERED: u8 = 0x06;
    /// WRITE SAME(16): no block is sent.
    pub(super) const WRITE_SAME_NO_DATA_OUT: u8 = 0x01;
    /// UNMAP: anchor.
    pub(super) const UNMAP_ANCHOR: u8 = 0x01;
    /// REQUEST SENSE: in the descriptor format.
    pub(super) const DESCRIPTOR: u8 = 0x01;
}

fn refuse(flags: u8, mask: u8) -> Result<(), CdbError> {
    let wrong = flags & mask;
    if wrong == 0 {
        return Ok(());
    }
    let bit = u8::try_from(wrong.checked_ilog2().unwrap_or(0)).ok();
    Err(CdbError::InvalidField { byte: 1, bit })
}

/// A range of blocks, from any of the forms that have one.
struct Blocks {
    flags: u8,
    lba: u64,
    blocks: u32,
}

impl From<Cdb10> for Blocks {
    fn from(cdb: Cdb10) -> Self {
        Self {
            flags: cdb.flags,
            lba: u64::from(cdb.lba.get()),
            blocks: u32::from(cdb.blocks.get()),
        }
    }
}

impl From<Cdb12> for Blocks {
    fn from(cdb: Cdb12) -> Self {
        Self {
            flags: cdb.flags,
            lba: u64::from(cdb.lba.get()),
            blocks: cdb.blocks.get(),
        }
    }
}

impl From<Cdb16> for Blocks {
    fn from(cdb: Cdb16) -> Self {
        Self {
            flags: cdb.flags,
            lba: cdb.lba.get(),
            blocks: cdb.blocks.get(),
        }
    }
}

impl From<Cdb6> for Blocks {
    fn from(cdb: Cdb6) -> Self {
        let [high, middle, low] = cdb.lba;
        let blocks = if cdb.blocks == 0 {
            256
        } else {
            u32::from(cdb.blocks)
        };
        Self {
            flags: 0,
            lba: u64::from(u32::from_be_bytes([0, high & 0x1f, middle, low])),
            blocks,
        }
    }
}

impl Command {
    /// Judges a CDB.
    ///
    /// # Errors
    /// When the operation is not one of these, the CDB is shorter than the operation's, or a field has a
    /// value that no disk here supports; [`CdbError::sense`] is the answer.
    pub fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let operation = cdb.operation();
        let command = Self::of_operation(operation, cdb)?;
        let bytes = cdb.as_bytes();
        let needed = operation.cdb_len().unwrap_or(0);
        if bytes.len() < needed {
            return Err(CdbError::TooShort {
                len: bytes.len(),
                needed,
            });
        }
        // The last byte is the control byte. Its bit 2 asks that a failure stops the queue, which no disk
        // here does.
        let control = needed.saturating_sub(1);
        if bytes.get(control).is_some_and(|byte| byte & 0x4 != 0) {
            return Err(CdbError::InvalidField {
                byte: u16::try_from(control).unwrap_or(0),
                bit: Some(2),
            });
        }
        Ok(command)
    }

    fn of_operation(operation: OperationCode, cdb: &Cdb) -> Result<Self, CdbError> {
        Ok(match operation {
            OperationCode::TEST_UNIT_READY => Self::TestUnitReady,
            OperationCode::REQUEST_SENSE => {
                let form: RequestSenseCdb = cdb.form();
                Self::RequestSense {
                    descriptor: form.flags & flag::DESCRIPTOR != 0,
                    allocation: form.allocation,
                }
            }
            OperationCode::INQUIRY => Self::inquiry(&cdb.form())?,
            OperationCode::MODE_SENSE_6 => {
                let form: ModeSense6Cdb = cdb.form();
                Self::mode_sense(
                    false,
                    form.flags,
                    form.page,
                    form.subpage,
                    u16::from(form.allocation),
                )
            }
            OperationCode::MODE_SENSE_10 => {
                let form: ModeSense10Cdb = cdb.form();
                Self::mode_sense(true, form.flags, form.page, form.subpage, form.allocation.get())
            }
            OperationCode::START_STOP_UNIT => {
                let form: StartStopCdb = cdb.form();
                Self::StartStopUnit {
                    start: form.action & 0x1 != 0,
                    load_eject: form.action & 0x2 != 0,
                    power_condition: form.action >> 4,
                }
            }
            OperationCode::READ_CAPACITY_10 => {
                let form: Cdb10 = cdb.form();
                if form.lba.get() != 0 {
                    return Err(CdbError::InvalidField { byte: 2, bit: None });
                }
                Self::ReadCapacity10
            }
            OperationCode::SERVICE_ACTION_IN_16 => Self::service_action_in(&cdb.form())?,
            OperationCode::REPORT_LUNS => {
                let form: ReportLunsCdb = cdb.form();
                if form.select > 2 {
                    return Err(CdbError::InvalidField { byte: 2, bit: None });
                }
                Self::ReportLuns {
                    ordinary: form.select != 1,
                    allocation: form.allocation.get(),
                }
            }
            OperationCode::READ_6 => Self::read(cdb.form::<Cdb6>().into())?,
            OperationCode::READ_10 => Self::read(cdb.form::<Cdb10>().into())?,
            OperationCode::READ_12 => Self::read(cdb.form::<Cdb12>().into())?,
            OperationCode::READ_16 => Self::read(cdb.form::<Cdb16>().into())?,
            OperationCode::WRITE_6 => Self::write(cdb.form::<Cdb6>().into())?,
            OperationCode::WRITE_10 => Self::write(cdb.form::<Cdb10>().into())?,
            OperationCode::WRITE_12 => Self::write(cdb.form::<Cdb12>().into())?,
            OperationCode::WRITE_16 => Self::write(cdb.form::<Cdb16>().into())?,
            OperationCode::VERIFY_10 => Self::verify(cdb.form::<Cdb10>().into())?,
            OperationCode::VERIFY_12 => Self::verify(cdb.form::<Cdb12>().into())?,
            OperationCode::VERIFY_16 => Self::verify(cdb.form::<Cdb16>().into())?,
            OperationCode::SYNCHRONIZE_CACHE_10 => Self::synchronize(cdb.form::<Cdb10>().into())?,
            OperationCode::SYNCHRONIZE_CACHE_16 => Self::synchronize(cdb.form::<Cdb16>().into())?,
            OperationCode::WRITE_SAME_10 => {
                let blocks = Blocks::from(cdb.form::<Cdb10>());
                refuse(blocks.flags, flag::RELATIVE)?;
                Self::write_same(blocks)?
            }
            OperationCode::WRITE_SAME_16 => Self::write_same(cdb.form::<Cdb16>().into())?,
            OperationCode::UNMAP => {
                let form: UnmapCdb = cdb.form();
                refuse(form.flags, flag::UNMAP_ANCHOR)?;
                Self::Unmap {
                    parameter_length: form.parameter_length.get(),
                }
            }
            _ => return Err(CdbError::UnknownOperation { operation }),
        })
    }

    fn inquiry(form: &InquiryCdb) -> Result<Self, CdbError> {
        refuse(form.flags, !flag::VITAL_PRODUCT_DATA)?;
        let page = (form.flags & flag::VITAL_PRODUCT_DATA != 0).then_some(VpdPage(form.page));
        if page.is_none() && form.page != 0 {
            return Err(CdbError::InvalidField { byte: 2, bit: None });
        }
        Ok(Self::Inquiry {
            page,
            allocation: form.allocation.get(),
        })
    }

    fn mode_sense(long: bool, flags: u8, page: u8, subpage: u8, allocation: u16) -> Self {
        let control = match page >> 6 {
            0 => PageControl::Current,
            1 => PageControl::Changeable,
            2 => PageControl::Default,
            _ => PageControl::Saved,
        };
        let no_block_descriptor = flags & flag::NO_BLOCK_DESCRIPTOR != 0;
        Self::ModeSense {
            long,
            no_block_descriptor,
            control,
            page: page & 0x3f,
            subpage,
            allocation,
        }
    }

    fn service_action_in(form: &ServiceActionIn16Cdb) -> Result<Self, CdbError> {
        if form.action & 0x1f != ServiceActionIn16Cdb::READ_CAPACITY {
            return Err(CdbError::InvalidField {
                byte: 1,
                bit: Some(4),
            });
        }
        if form.lba.get() != 0 {
            return Err(CdbError::InvalidField { byte: 2, bit: None });
        }
        Ok(Self::ReadCapacity16 {
            allocation: form.allocation.get(),
        })
    }

    fn read(range: Blocks) -> Result<Self, CdbError> {
        refuse(range.flags, flag::PROTECT | flag::RELATIVE)?;
        let force_unit_access = range.flags & flag::FORCE_UNIT_ACCESS != 0;
        Ok(Self::Read {
            lba: range.lba,
            blocks: range.blocks,
            force_unit_access,
        })
    }

    fn write(range: Blocks) -> Result<Self, CdbError> {
        refuse(range.flags, flag::PROTECT | flag::RELATIVE)?;
        let force_unit_access = range.flags & flag::FORCE_UNIT_ACCESS != 0;
        Ok(Self::Write {
            lba: range.lba,
            blocks: range.blocks,
            force_unit_access,
        })
    }

    fn verify(range: Blocks) -> Result<Self, CdbError> {
        refuse(range.flags, flag::PROTECT | flag::RELATIVE | flag::BYTE_CHECK)?;
        Ok(Self::Verify {
            lba: range.lba,
            blocks: range.blocks,
        })
    }

    fn synchronize(range: Blocks) -> Result<Self, CdbError> {
        // Whether to answer at once is left open: it is always answered when it is done.
        refuse(range.flags, flag::RELATIVE)?;
        Ok(Self::SynchronizeCache {
            lba: range.lba,
            blocks: range.blocks,
        })
    }

    fn write_same(range: Blocks) -> Result<Self, CdbError> {
        refuse(
            range.flags,
            flag::PROTECT | flag::WRITE_SAME_ANCHOR | flag::WRITE_SAME_NUMBERED,
        )?;
        Ok(Self::WriteSame {
            lba: range.lba,
            blocks: range.blocks,
            unmap: range.flags & flag::WRITE_SAME_UNMAP != 0,
            no_data_out: range.flags & flag::WRITE_SAME_NO_DATA_OUT != 0,
        })
    }

    pub(super) fn fmt_operands(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            Self::TestUnitReady | Self::RequestSense { .. } | Self::ReadCapacity10 => Ok(()),
            Self::Inquiry { page: Some(page), .. } => write!(f, " page {page}"),
            Self::Inquiry { page: None, .. } => Ok(()),
            Self::ModeSense {
                page,
                subpage,
                control,
                ..
            } => write!(f, " page {page:#x}/{subpage:#x} {control:?}"),
            Self::StartStopUnit { start, .. } => f.write_str(if start { " start" } else { " stop" }),
            Self::ReadCapacity16 { .. } => f.write_str(" READ CAPACITY(16)"),
            Self::ReportLuns { .. } => Ok(()),
            Self::Read {
                lba,
                blocks,
                force_unit_access,
            }
            | Self::Write {
                lba,
                blocks,
                force_unit_access,
            } => {
                write!(f, " block {lba} count {blocks}")?;
                if force_unit_access {
                    f.write_str(" FUA")
                } else {
                    Ok(())
                }
            }
            Self::Verify { lba, blocks } | Self::SynchronizeCache { lba, blocks } => {
                write!(f, " block {lba} count {blocks}")
            }
            Self::WriteSame {
                lba, blocks, unmap, ..
            } => {
                write!(f, " block {lba} count {blocks}")?;
                if unmap { f.write_str(" unmap") } else { Ok(()) }
            }
            Self::Unmap { parameter_length } => write!(f, " list of {parameter_length} bytes"),
        }
    }
}
