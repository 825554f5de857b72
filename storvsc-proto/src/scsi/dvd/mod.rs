//! Commands of an optical drive, beside those that it shares with a disk. Facts are those of MMC-6 by T10.
//!
//! A drive reads with the disk's READ(10) and (12), in blocks of 2048 bytes, and answers INQUIRY, MODE SENSE, READ CAPACITY(10),
//! START STOP UNIT (which ejects) and TEST UNIT READY as a disk does: [`Command`](super::Command). What it has of its own is
//! [`DvdCommand`].
//!
//! ```
//! use storvsc_proto::scsi::dvd::{DvdCommand, EventClasses};
//!
//! let ask = DvdCommand::GetEventStatus { classes: EventClasses::MEDIA, allocation: 8 };
//! let cdb = ask.to_cdb();
//! assert_eq!(cdb.as_bytes(), [0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0]);
//! assert_eq!(DvdCommand::parse(&cdb), Ok(ask));
//! assert_eq!(ask.to_string(), "GET EVENT STATUS NOTIFICATION classes 0x10, at most 8 bytes");
//! ```

mod cdb;
mod data;

use core::fmt;

use zerocopy::FromBytes;
use zerocopy::big_endian::{U16, U32};

pub use cdb::{
    GetConfigurationCdb, GetEventStatusCdb, MechanismStatusCdb, PreventRemovalCdb, ReadDiscInformationCdb,
    ReadDiscStructureCdb, ReadTocCdb, ReadTrackInformationCdb, SetCdSpeedCdb,
};
pub use data::{
    DiscInformation, EventClasses, EventHeader, Feature, FeatureDescriptor, FeatureHeader, LEAD_OUT_TRACK,
    MechanismStatus, MediaEvent, MediaEventCode, Profile, ProfileDescriptor, TocFormat, TocHeader, TocTrack,
};

use super::{Cdb, CdbError, OperationCode};

/// A command of an optical drive's own, with fields that are legal by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DvdCommand {
    /// READ TOC/PMA/ATIP.
    ReadToc {
        /// Addresses as minutes, seconds and frames, not as blocks.
        msf: bool,
        /// What is wanted.
        format: TocFormat,
        /// The first track, or the session.
        track: u8,
        /// Most bytes to return.
        allocation: u16,
    },
    /// GET CONFIGURATION.
    GetConfiguration {
        /// Which of the features from the first wanted on.
        which: FeatureSelection,
        /// The first that is wanted.
        feature: Feature,
        /// Most bytes to return.
        allocation: u16,
    },
    /// GET EVENT STATUS NOTIFICATION, answered at once.
    GetEventStatus {
        /// What is wanted.
        classes: EventClasses,
        /// Most bytes to return.
        allocation: u16,
    },
    /// READ DISC INFORMATION, the standard one.
    ReadDiscInformation {
        /// Most bytes to return.
        allocation: u16,
    },
    /// READ TRACK INFORMATION.
    ReadTrackInformation {
        /// What the number is: 0 a block, 1 a track, 2 a session.
        kind: u8,
        /// The number.
        number: u32,
        /// Most bytes to return.
        allocation: u16,
    },
    /// PREVENT ALLOW MEDIUM REMOVAL.
    PreventRemoval {
        /// The disc has to stay.
        prevent: bool,
        /// Even where an eject button asks first.
        persistent: bool,
    },
    /// READ DISC STRUCTURE of a DVD.
    ReadDiscStructure {
        /// What is wanted.
        format: u8,
        /// Of which layer.
        layer: u8,
        /// Most bytes to return.
        allocation: u16,
    },
    /// MECHANISM STATUS.
    MechanismStatus {
        /// Most bytes to return.
        allocation: u16,
    },
    /// SET CD SPEED.
    SetCdSpeed {
        /// kB/s; 0xffff is the fastest.
        read: u16,
        /// kB/s; 0xffff is the fastest.
        write: u16,
    },
}

/// Which features GET CONFIGURATION is to return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureSelection {
    /// All.
    All,
    /// Those in force.
    Current,
    /// The one that is named.
    One,
}

/// READ TOC: addresses as minutes, seconds and frames.
const MSF: u8 = 0x02;
/// GET EVENT STATUS NOTIFICATION: answered at once.
const POLLED: u8 = 0x01;

impl DvdCommand {
    /// The command in a CDB.
    ///
    /// # Errors
    /// When it is none of a drive's own, is too short, or has a field with a value that is not supported.
    pub fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let invalid = |byte, bit| Err(CdbError::InvalidField { byte, bit: Some(bit) });
        let operation = cdb.operation();
        Ok(match operation {
            OperationCode::READ_TOC => {
                let cdb: ReadTocCdb = form(cdb)?;
                // Hosts from before MMC-2 have the format in the last byte.
                let format = match (cdb.format & 0xf, cdb.control >> 6) {
                    (0, old) => old,
                    (format, _) => format,
                };
                Self::ReadToc {
                    msf: cdb.flags & MSF != 0,
                    format: TocFormat(format),
                    track: cdb.track,
                    allocation: cdb.allocation.get(),
                }
            }
            OperationCode::GET_CONFIGURATION => {
                let cdb: GetConfigurationCdb = form(cdb)?;
                Self::GetConfiguration {
                    which: match cdb.flags & 3 {
                        0 => FeatureSelection::All,
                        1 => FeatureSelection::Current,
                        2 => FeatureSelection::One,
                        _ => return invalid(1, 1),
                    },
                    feature: Feature(cdb.feature.get()),
                    allocation: cdb.allocation.get(),
                }
            }
            OperationCode::GET_EVENT_STATUS_NOTIFICATION => {
                let cdb: GetEventStatusCdb = form(cdb)?;
                if cdb.flags & POLLED == 0 {
                    return invalid(1, 0);
                }
                Self::GetEventStatus {
                    classes: EventClasses::from_bits_retain(cdb.classes),
                    allocation: cdb.allocation.get(),
                }
            }
            OperationCode::READ_DISC_INFORMATION => {
                let cdb: ReadDiscInformationCdb = form(cdb)?;
                if cdb.data_type & 7 != 0 {
                    return invalid(1, 2);
                }
                Self::ReadDiscInformation {
                    allocation: cdb.allocation.get(),
                }
            }
            OperationCode::READ_TRACK_INFORMATION => {
                let cdb: ReadTrackInformationCdb = form(cdb)?;
                if cdb.flags & 3 == 3 {
                    return invalid(1, 1);
                }
                Self::ReadTrackInformation {
                    kind: cdb.flags & 3,
                    number: cdb.number.get(),
                    allocation: cdb.allocation.get(),
                }
            }
            OperationCode::PREVENT_ALLOW_MEDIUM_REMOVAL => {
                let cdb: PreventRemovalCdb = form(cdb)?;
                Self::PreventRemoval {
                    prevent: cdb.prevent & 1 != 0,
                    persistent: cdb.prevent & 2 != 0,
                }
            }
            OperationCode::READ_DISC_STRUCTURE => {
                let cdb: ReadDiscStructureCdb = form(cdb)?;
                if cdb.media_type & 0xf != 0 {
                    return invalid(1, 3);
                }
                Self::ReadDiscStructure {
                    format: cdb.format,
                    layer: cdb.layer,
                    allocation: cdb.allocation.get(),
                }
            }
            OperationCode::MECHANISM_STATUS => {
                let cdb: MechanismStatusCdb = form(cdb)?;
                Self::MechanismStatus {
                    allocation: cdb.allocation.get(),
                }
            }
            OperationCode::SET_CD_SPEED => {
                let cdb: SetCdSpeedCdb = form(cdb)?;
                Self::SetCdSpeed {
                    read: cdb.read_speed.get(),
                    write: cdb.write_speed.get(),
                }
            }
            _ => return Err(CdbError::UnknownOperation { operation }),
        })
    }

    /// Which operation it is.
    #[must_use]
    pub const fn operation(&self) -> OperationCode {
        match self {
            Self::ReadToc { .. } => OperationCode::READ_TOC,
            Self::GetConfiguration { .. } => OperationCode::GET_CONFIGURATION,
            Self::GetEventStatus { .. } => OperationCode::GET_EVENT_STATUS_NOTIFICATION,
            Self::ReadDiscInformation { .. } => OperationCode::READ_DISC_INFORMATION,
            Self::ReadTrackInformation { .. } => OperationCode::READ_TRACK_INFORMATION,
            Self::PreventRemoval { .. } => OperationCode::PREVENT_ALLOW_MEDIUM_REMOVAL,
            Self::ReadDiscStructure { .. } => OperationCode::READ_DISC_STRUCTURE,
            Self::MechanismStatus { .. } => OperationCode::MECHANISM_STATUS,
            Self::SetCdSpeed { .. } => OperationCode::SET_CD_SPEED,
        }
    }

    /// The CDB of this command.
    #[must_use]
    pub fn to_cdb(&self) -> Cdb {
        let operation = self.operation().0;
        match *self {
            Self::ReadToc {
                msf,
                format,
                track,
                allocation,
            } => Cdb::of(&ReadTocCdb {
                operation,
                flags: if msf { MSF } else { 0 },
                format: format.0 & 0xf,
                reserved: [0; 3],
                track,
                allocation: U16::new(allocation),
                control: 0,
            }),
            Self::GetConfiguration {
                which,
                feature,
                allocation,
            } => Cdb::of(&GetConfigurationCdb {
                operation,
                flags: match which {
                    FeatureSelection::All => 0,
                    FeatureSelection::Current => 1,
                    FeatureSelection::One => 2,
                },
                feature: U16::new(feature.0),
                reserved: [0; 3],
                allocation: U16::new(allocation),
                control: 0,
            }),
            Self::GetEventStatus { classes, allocation } => Cdb::of(&GetEventStatusCdb {
                operation,
                flags: POLLED,
                reserved: [0; 2],
                classes: classes.bits(),
                reserved2: [0; 2],
                allocation: U16::new(allocation),
                control: 0,
            }),
            Self::ReadDiscInformation { allocation } => Cdb::of(&ReadDiscInformationCdb {
                operation,
                data_type: 0,
                reserved: [0; 5],
                allocation: U16::new(allocation),
                control: 0,
            }),
            Self::ReadTrackInformation {
                kind,
                number,
                allocation,
            } => Cdb::of(&ReadTrackInformationCdb {
                operation,
                flags: kind & 3,
                number: U32::new(number),
                reserved: 0,
                allocation: U16::new(allocation),
                control: 0,
            }),
            Self::PreventRemoval { prevent, persistent } => Cdb::of(&PreventRemovalCdb {
                operation,
                reserved: [0; 3],
                prevent: u8::from(prevent) | u8::from(persistent) << 1,
                control: 0,
            }),
            Self::ReadDiscStructure {
                format,
                layer,
                allocation,
            } => Cdb::of(&ReadDiscStructureCdb {
                operation,
                media_type: 0,
                address: U32::ZERO,
                layer,
                format,
                allocation: U16::new(allocation),
                grant: 0,
                control: 0,
            }),
            Self::MechanismStatus { allocation } => Cdb::of(&MechanismStatusCdb {
                operation,
                reserved: [0; 7],
                allocation: U16::new(allocation),
                reserved2: 0,
                control: 0,
            }),
            Self::SetCdSpeed { read, write } => Cdb::of(&SetCdSpeedCdb {
                operation,
                rotation: 0,
                read_speed: U16::new(read),
                write_speed: U16::new(write),
                reserved: [0; 5],
                control: 0,
            }),
        }
    }
}

/// The CDB's bytes as this form, all of which have to be there.
fn form<T: FromBytes>(cdb: &Cdb) -> Result<T, CdbError> {
    let bytes = cdb.as_bytes();
    T::read_from_prefix(bytes)
        .map(|(form, _)| form)
        .map_err(|_| CdbError::TooShort {
            len: bytes.len(),
            needed: size_of::<T>(),
        })
}

impl fmt::Display for DvdCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.operation())?;
        let allocation = match *self {
            Self::ReadToc {
                msf,
                format,
                track,
                allocation,
            } => {
                write!(f, " {format} from {track}{}", if msf { " in msf" } else { "" })?;
                allocation
            }
            Self::GetConfiguration {
                which,
                feature,
                allocation,
            } => {
                write!(f, " {which:?} from {feature}")?;
                allocation
            }
            Self::GetEventStatus { classes, allocation } => {
                write!(f, " classes {:#x}", classes.bits())?;
                allocation
            }
            Self::ReadTrackInformation {
                kind,
                number,
                allocation,
            } => {
                write!(f, " kind {kind} number {number}")?;
                allocation
            }
            Self::ReadDiscStructure {
                format,
                layer,
                allocation,
            } => {
                write!(f, " format {format:#x} layer {layer}")?;
                allocation
            }
            Self::ReadDiscInformation { allocation } | Self::MechanismStatus { allocation } => allocation,
            Self::PreventRemoval { prevent, persistent } => {
                f.write_str(if prevent { " prevent" } else { " allow" })?;
                return f.write_str(if persistent { ", persistent" } else { "" });
            }
            Self::SetCdSpeed { read, write } => return write!(f, " read {read} write {write} kB/s"),
        };
        write!(f, ", at most {allocation} bytes")
    }
}
