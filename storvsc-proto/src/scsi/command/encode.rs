//! From a command to its CDB.

use zerocopy::big_endian::{U16, U32, U64};

use super::{Command, PageControl, flag};
use crate::scsi::OperationCode;
use crate::scsi::cdb::{
    Cdb, Cdb10, Cdb16, InquiryCdb, ModeSense6Cdb, ModeSense10Cdb, ReportLunsCdb, RequestSenseCdb,
    ServiceActionIn16Cdb, StartStopCdb, UnmapCdb,
};

impl Command {
    /// The CDB of this command. Of commands with several forms it is the one of 10 bytes where the range
    /// fits, else the one of 16.
    #[must_use]
    #[inline]
    pub fn to_cdb(&self) -> Cdb {
        match *self {
            Self::TestUnitReady => Cdb::of(&[OperationCode::TEST_UNIT_READY.0, 0, 0, 0, 0, 0]),
            Self::RequestSense {
                descriptor,
                allocation,
            } => Cdb::of(&RequestSenseCdb {
                operation: OperationCode::REQUEST_SENSE.0,
                flags: if descriptor { flag::DESCRIPTOR } else { 0 },
                reserved: [0; 2],
                allocation,
                control: 0,
            }),
            Self::Inquiry { page, allocation } => Cdb::of(&InquiryCdb {
                operation: OperationCode::INQUIRY.0,
                flags: if page.is_some() {
                    flag::VITAL_PRODUCT_DATA
                } else {
                    0
                },
                page: page.unwrap_or_default().0,
                allocation: U16::new(allocation),
                control: 0,
            }),
            Self::ModeSense {
                long,
                no_block_descriptor,
                control,
                page,
                subpage,
                allocation,
            } => {
                let flags = if no_block_descriptor {
                    flag::NO_BLOCK_DESCRIPTOR
                } else {
                    0
                };
                let control = match control {
                    PageControl::Current => 0,
                    PageControl::Changeable => 0x40,
                    PageControl::Default => 0x80,
                    PageControl::Saved => 0xc0,
                };
                let page = control | (page & 0x3f);
                match u8::try_from(allocation) {
                    Ok(allocation) if !long => Cdb::of(&ModeSense6Cdb {
                        operation: OperationCode::MODE_SENSE_6.0,
                        flags,
                        page,
                        subpage,
                        allocation,
                        control: 0,
                    }),
                    _ => Cdb::of(&ModeSense10Cdb {
                        operation: OperationCode::MODE_SENSE_10.0,
                        flags,
                        page,
                        subpage,
                        reserved: [0; 3],
                        allocation: U16::new(allocation),
                        control: 0,
                    }),
                }
            }
            Self::StartStopUnit {
                start,
                load_eject,
                power_condition,
            } => Cdb::of(&StartStopCdb {
                operation: OperationCode::START_STOP_UNIT.0,
                flags: 0,
                reserved: 0,
                modifier: 0,
                action: (power_condition << 4) | (u8::from(load_eject) << 1) | u8::from(start),
                control: 0,
            }),
            Self::ReadCapacity10 => range(
                OperationCode::READ_CAPACITY_10,
                OperationCode::READ_CAPACITY_10,
                0,
                0,
                0,
            ),
            Self::ReadCapacity16 { allocation } => Cdb::of(&ServiceActionIn16Cdb {
                operation: OperationCode::SERVICE_ACTION_IN_16.0,
                action: ServiceActionIn16Cdb::READ_CAPACITY,
                lba: U64::ZERO,
                allocation: U32::new(allocation),
                flags: 0,
                control: 0,
            }),
            Self::ReportLuns { ordinary, allocation } => Cdb::of(&ReportLunsCdb {
                operation: OperationCode::REPORT_LUNS.0,
                reserved: 0,
                select: u8::from(!ordinary),
                reserved2: [0; 3],
                allocation: U32::new(allocation),
                reserved3: 0,
                control: 0,
            }),
            Self::Read {
                lba,
                blocks,
                force_unit_access,
            } => {
                let flags = if force_unit_access {
                    flag::FORCE_UNIT_ACCESS
                } else {
                    0
                };
                range(OperationCode::READ_10, OperationCode::READ_16, flags, lba, blocks)
            }
            Self::Write {
                lba,
                blocks,
                force_unit_access,
            } => {
                let flags = if force_unit_access {
                    flag::FORCE_UNIT_ACCESS
                } else {
                    0
                };
                range(
                    OperationCode::WRITE_10,
                    OperationCode::WRITE_16,
                    flags,
                    lba,
                    blocks,
                )
            }
            Self::Verify { lba, blocks } => {
                range(OperationCode::VERIFY_10, OperationCode::VERIFY_16, 0, lba, blocks)
            }
            Self::SynchronizeCache { lba, blocks } => range(
                OperationCode::SYNCHRONIZE_CACHE_10,
                OperationCode::SYNCHRONIZE_CACHE_16,
                0,
                lba,
                blocks,
            ),
            Self::WriteSame {
                lba,
                blocks,
                unmap,
                no_data_out,
            } => {
                let unmap = if unmap { flag::WRITE_SAME_UNMAP } else { 0 };
                if no_data_out {
                    // Only the long form can say so.
                    return long(
                        OperationCode::WRITE_SAME_16,
                        unmap | flag::WRITE_SAME_NO_DATA_OUT,
                        lba,
                        blocks,
                    );
                }
                range(
                    OperationCode::WRITE_SAME_10,
                    OperationCode::WRITE_SAME_16,
                    unmap,
                    lba,
                    blocks,
                )
            }
            Self::Unmap { parameter_length } => Cdb::of(&UnmapCdb {
                operation: OperationCode::UNMAP.0,
                flags: 0,
                reserved: [0; 4],
                group: 0,
                parameter_length: U16::new(parameter_length),
                control: 0,
            }),
        }
    }
}

#[inline]
fn range(short: OperationCode, long_form: OperationCode, flags: u8, lba: u64, blocks: u32) -> Cdb {
    match (u32::try_from(lba), u16::try_from(blocks)) {
        (Ok(lba), Ok(blocks)) => Cdb::of(&Cdb10 {
            operation: short.0,
            flags,
            lba: U32::new(lba),
            group: 0,
            blocks: U16::new(blocks),
            control: 0,
        }),
        _ => long(long_form, flags, lba, blocks),
    }
}

#[inline]
fn long(operation: OperationCode, flags: u8, lba: u64, blocks: u32) -> Cdb {
    Cdb::of(&Cdb16 {
        operation: operation.0,
        flags,
        lba: U64::new(lba),
        blocks: U32::new(blocks),
        group: 0,
        control: 0,
    })
}
