//! The part of SCSI that a disk on a storage channel speaks: operation codes, CDBs, sense data and the tables
//! that commands move.
//!
//! As in [`wire`](crate::wire), raw and judged forms are two types: a [`Cdb`] is the bytes that came,
//! [`Command::parse`] judges them, and what it returns is legal as far as the bytes alone can tell. The disk
//! then checks it against its own size and state. Numbers here are big-endian, as SCSI has them.
//!
//! Facts are those of SPC-4 (primary commands) and SBC-3 (block commands) by T10. What an optical drive has beside is [`dvd`].

mod cdb;
mod command;
mod data;
pub mod dvd;
mod opcode;
mod sense;

pub use cdb::{
    Cdb, Cdb6, Cdb10, Cdb12, Cdb16, CdbLengthError, InquiryCdb, ModeSense6Cdb, ModeSense10Cdb, ReportLunsCdb,
    RequestSenseCdb, ServiceActionIn16Cdb, StartStopCdb, UnmapCdb, WriteSame16Cdb,
};
pub use command::{CdbError, Command, PageControl};
pub use data::{
    BlockLimitsPage, CachingPage, ControlPage, DesignatorHeader, InquiryData, LunListHeader,
    ModeBlockDescriptor, ModeHeader6, ModeHeader10, ProvisioningPage, ReadCapacity10Data, ReadCapacity16Data,
    RotationPage, UnmapDescriptor, UnmapHeader, VpdHeader, VpdPage,
};
pub use opcode::{OperationCode, ScsiStatus};
pub use sense::{AdditionalSense, DescriptorSense, FieldPointer, FixedSense, Sense, SenseError, SenseKey};
