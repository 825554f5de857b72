//! Sense data: why a command ended as it did.

use thiserror::Error;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::macros::{open_code, wire_struct};

open_code! {
    /// The class of the reason: four bits.
    pub struct SenseKey(u8) {
        /// None.
        NO_SENSE = 0x0 => "NO SENSE",
        /// Done, with some recovery.
        RECOVERED_ERROR = 0x1 => "RECOVERED ERROR",
        /// Not ready.
        NOT_READY = 0x2 => "NOT READY",
        /// The medium.
        MEDIUM_ERROR = 0x3 => "MEDIUM ERROR",
        /// The device, not the medium.
        HARDWARE_ERROR = 0x4 => "HARDWARE ERROR",
        /// The command is wrong.
        ILLEGAL_REQUEST = 0x5 => "ILLEGAL REQUEST",
        /// Something changed before the command, which was not run.
        UNIT_ATTENTION = 0x6 => "UNIT ATTENTION",
        /// Protected.
        DATA_PROTECT = 0x7 => "DATA PROTECT",
        /// A blank medium.
        BLANK_CHECK = 0x8 => "BLANK CHECK",
        /// The vendor's own.
        VENDOR_SPECIFIC = 0x9 => "VENDOR SPECIFIC",
        /// A copy was given up.
        COPY_ABORTED = 0xa => "COPY ABORTED",
        /// Given up; to be tried again.
        ABORTED_COMMAND = 0xb => "ABORTED COMMAND",
        /// The volume is full.
        VOLUME_OVERFLOW = 0xd => "VOLUME OVERFLOW",
        /// Not the same.
        MISCOMPARE = 0xe => "MISCOMPARE",
        /// Done; sense data tells something about it.
        COMPLETED = 0xf => "COMPLETED",
    }
}

open_code! {
    /// The reason: the additional sense code in the high byte, its qualifier in the low one.
    pub struct AdditionalSense(u16) {
        /// None.
        NONE = 0x0000 => "NO ADDITIONAL SENSE INFORMATION",
        /// Not ready, and why is not told.
        NOT_READY = 0x0400 => "LOGICAL UNIT NOT READY, CAUSE NOT REPORTABLE",
        /// Soon ready.
        BECOMING_READY = 0x0401 => "LOGICAL UNIT IS IN PROCESS OF BECOMING READY",
        /// A write failed.
        WRITE_ERROR = 0x0c00 => "WRITE ERROR",
        /// A read failed.
        UNRECOVERED_READ_ERROR = 0x1100 => "UNRECOVERED READ ERROR",
        /// The parameter list is shorter than what it has to hold.
        PARAMETER_LIST_LENGTH_ERROR = 0x1a00 => "PARAMETER LIST LENGTH ERROR",
        /// A comparison failed.
        MISCOMPARE_DURING_VERIFY = 0x1d00 => "MISCOMPARE DURING VERIFY OPERATION",
        /// The command is not known.
        INVALID_COMMAND_OPERATION_CODE = 0x2000 => "INVALID COMMAND OPERATION CODE",
        /// Beyond the last block.
        LBA_OUT_OF_RANGE = 0x2100 => "LOGICAL BLOCK ADDRESS OUT OF RANGE",
        /// A field of the CDB has a value that the LUN does not take.
        INVALID_FIELD_IN_CDB = 0x2400 => "INVALID FIELD IN CDB",
        /// There is nothing at this LUN.
        LOGICAL_UNIT_NOT_SUPPORTED = 0x2500 => "LOGICAL UNIT NOT SUPPORTED",
        /// A field of the parameter list has a value that the LUN does not take.
        INVALID_FIELD_IN_PARAMETER_LIST = 0x2600 => "INVALID FIELD IN PARAMETER LIST",
        /// Write protected.
        WRITE_PROTECTED = 0x2700 => "WRITE PROTECTED",
        /// No room for what was to be written.
        SPACE_ALLOCATION_FAILED = 0x2707 => "SPACE ALLOCATION FAILED WRITE PROTECT",
        /// A medium came. Linux looks at it anew.
        MEDIUM_MAY_HAVE_CHANGED = 0x2800 => "NOT READY TO READY CHANGE, MEDIUM MAY HAVE CHANGED",
        /// Power on or a reset. Linux prints a warning.
        POWER_ON_OR_RESET = 0x2900 => "POWER ON, RESET, OR BUS DEVICE RESET OCCURRED",
        /// Mode pages changed.
        MODE_PARAMETERS_CHANGED = 0x2a01 => "MODE PARAMETERS CHANGED",
        /// The capacity changed. Linux's storvsc looks at the disk again.
        CAPACITY_DATA_HAS_CHANGED = 0x2a09 => "CAPACITY DATA HAS CHANGED",
        /// The medium is none that the drive can read.
        INCOMPATIBLE_MEDIUM_INSTALLED = 0x3000 => "INCOMPATIBLE MEDIUM INSTALLED",
        /// Mode pages cannot be saved.
        SAVING_PARAMETERS_NOT_SUPPORTED = 0x3900 => "SAVING PARAMETERS NOT SUPPORTED",
        /// No medium.
        MEDIUM_NOT_PRESENT = 0x3a00 => "MEDIUM NOT PRESENT",
        /// No medium, and the tray is closed.
        MEDIUM_NOT_PRESENT_TRAY_CLOSED = 0x3a01 => "MEDIUM NOT PRESENT - TRAY CLOSED",
        /// No medium, and the tray is open.
        MEDIUM_NOT_PRESENT_TRAY_OPEN = 0x3a02 => "MEDIUM NOT PRESENT - TRAY OPEN",
        /// Something about the disk changed. Linux's storvsc looks at the disk again.
        TARGET_OPERATING_CONDITIONS_HAVE_CHANGED = 0x3f00 => "TARGET OPERATING CONDITIONS HAVE CHANGED",
        /// What INQUIRY tells changed.
        INQUIRY_DATA_HAS_CHANGED = 0x3f03 => "INQUIRY DATA HAS CHANGED",
        /// LUNs came or went. Linux prints a warning.
        REPORTED_LUNS_DATA_HAS_CHANGED = 0x3f0e => "REPORTED LUNS DATA HAS CHANGED",
        /// The target failed.
        INTERNAL_TARGET_FAILURE = 0x4400 => "INTERNAL TARGET FAILURE",
        /// A host said that the medium has to stay.
        MEDIUM_REMOVAL_PREVENTED = 0x5302 => "MEDIUM REMOVAL PREVENTED",
        /// The user wants the medium out.
        OPERATOR_MEDIUM_REMOVAL_REQUEST = 0x5a01 => "OPERATOR MEDIUM REMOVAL REQUEST",
        /// An optical disc's track is not of the kind that the command wants.
        ILLEGAL_MODE_FOR_THIS_TRACK = 0x6400 => "ILLEGAL MODE FOR THIS TRACK",
    }
}

impl AdditionalSense {
    /// The additional sense code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// Its qualifier.
    #[must_use]
    pub const fn qualifier(self) -> u8 {
        self.0.to_be_bytes()[1]
    }
}

/// Which field is wrong, in the CDB or in the parameter list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FieldPointer {
    /// Whether it is in the CDB, rather than in the parameter list.
    pub in_cdb: bool,
    /// The first byte of the field.
    pub byte: u16,
    /// The highest bit of the field in that byte, where it is less than a byte.
    pub bit: Option<u8>,
}

/// Sense data, decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Sense {
    /// The class of the reason.
    pub key: SenseKey,
    /// The reason.
    pub additional: AdditionalSense,
    /// Whether it is about an earlier command.
    pub deferred: bool,
    /// The address of the block where the command failed.
    pub information: Option<u64>,
    /// The field that is wrong.
    pub field: Option<FieldPointer>,
}

wire_struct! {
    /// The fixed format. Source: SPC-4, table 53.
    pub struct FixedSense, 18 bytes {
        /// 0x70 or, for an earlier command, 0x71; bit 7 says that [`information`](Self::information) is valid.
        0: response_code: u8,
        /// Obsolete.
        1: obsolete: u8,
        /// [`SenseKey`] in the low four bits.
        2: key: u8,
        /// The address of the failing block, where it fits.
        3: information: U32,
        /// How many bytes follow this one: 10.
        7: additional_length: u8,
        /// Of no use here.
        8: command_specific: U32,
        /// [`AdditionalSense`].
        12: additional: U16,
        /// Of no use here.
        14: replaceable_unit: u8,
        /// Bit 7: valid; bit 6: in the CDB; bit 3: the bit is valid; bits 2 to 0: the bit.
        15: field_flags: u8,
        /// The byte of the field.
        16: field_byte: U16,
    }
}

wire_struct! {
    /// The descriptor format, with the two descriptors that are in use here. Source: SPC-4, table 27.
    pub struct DescriptorSense, 28 bytes {
        /// 0x72 or, for an earlier command, 0x73.
        0: response_code: u8,
        /// [`SenseKey`] in the low four bits.
        1: key: u8,
        /// [`AdditionalSense`].
        2: additional: U16,
        /// 0.
        4: reserved: [u8; 3],
        /// How many bytes follow this one.
        7: additional_length: u8,
        /// Type 0, information: its type, the bytes that follow (10), the flags (bit 7: valid), 0.
        8: information_header: [u8; 4],
        /// The address of the failing block.
        12: information: U64,
        /// Type 2, the key's own: its type, the bytes that follow (6), 0, 0.
        20: field_header: [u8; 4],
        /// As in [`FixedSense::field_flags`].
        24: field_flags: u8,
        /// As in [`FixedSense::field_byte`].
        25: field_byte: U16,
        /// 0.
        27: reserved2: u8,
    }
}

/// Why bytes are no sense data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SenseError {
    /// Fewer bytes than the format has before its additional length.
    #[error("{len} bytes of sense data, fewer than 8")]
    TooShort {
        /// Bytes that there are.
        len: usize,
    },
    /// Neither fixed nor descriptor format.
    #[error("sense data with response code {code:#x}")]
    ResponseCode {
        /// The code.
        code: u8,
    },
}

impl Sense {
    /// A reason with nothing more.
    #[must_use]
    pub const fn new(key: SenseKey, additional: AdditionalSense) -> Self {
        Self {
            key,
            additional,
            deferred: false,
            information: None,
            field: None,
        }
    }

    /// The request is wrong, for this reason.
    #[must_use]
    pub const fn illegal_request(additional: AdditionalSense) -> Self {
        Self::new(SenseKey::ILLEGAL_REQUEST, additional)
    }

    /// A field of the CDB is wrong.
    #[must_use]
    pub const fn invalid_cdb_field(byte: u16, bit: Option<u8>) -> Self {
        let mut sense = Self::illegal_request(AdditionalSense::INVALID_FIELD_IN_CDB);
        sense.field = Some(FieldPointer {
            in_cdb: true,
            byte,
            bit,
        });
        sense
    }

    /// A field of the parameter list is wrong.
    #[must_use]
    pub const fn invalid_parameter_field(byte: u16) -> Self {
        let mut sense = Self::illegal_request(AdditionalSense::INVALID_FIELD_IN_PARAMETER_LIST);
        sense.field = Some(FieldPointer {
            in_cdb: false,
            byte,
            bit: None,
        });
        sense
    }

    /// A block beyond the last.
    #[must_use]
    pub const fn lba_out_of_range(lba: u64) -> Self {
        let mut sense = Self::illegal_request(AdditionalSense::LBA_OUT_OF_RANGE);
        sense.information = Some(lba);
        sense
    }

    /// In the fixed format: 18 bytes. An address of more than 32 bits is left out.
    #[must_use]
    pub fn to_fixed(&self) -> [u8; size_of::<FixedSense>()] {
        let information = self.information.and_then(|lba| u32::try_from(lba).ok());
        let (field_flags, field_byte) = self.field.map_or((0, 0), field_bytes);
        let sense = FixedSense {
            response_code: 0x70 | u8::from(self.deferred) | if information.is_some() { 0x80 } else { 0 },
            obsolete: 0,
            key: self.key.0 & 0xf,
            information: U32::new(information.unwrap_or(0)),
            additional_length: 10,
            command_specific: U32::ZERO,
            additional: U16::new(self.additional.0),
            replaceable_unit: 0,
            field_flags,
            field_byte: U16::new(field_byte),
        };
        zerocopy::transmute!(sense)
    }

    /// In the descriptor format: 28 bytes, with descriptors for the address and for the field, which say when
    /// they are not valid.
    #[must_use]
    pub fn to_descriptor(&self) -> [u8; size_of::<DescriptorSense>()] {
        let (field_flags, field_byte) = self.field.map_or((0, 0), field_bytes);
        let sense = DescriptorSense {
            response_code: 0x72 | u8::from(self.deferred),
            key: self.key.0 & 0xf,
            additional: U16::new(self.additional.0),
            reserved: [0; 3],
            additional_length: 20,
            information_header: [0, 10, if self.information.is_some() { 0x80 } else { 0 }, 0],
            information: U64::new(self.information.unwrap_or(0)),
            field_header: [2, 6, 0, 0],
            field_flags,
            field_byte: U16::new(field_byte),
            reserved2: 0,
        };
        zerocopy::transmute!(sense)
    }

    /// Decodes either format. What is cut off is taken as absent, and other descriptors are passed over.
    ///
    /// # Errors
    /// When there are fewer than 8 bytes, or the response code is that of neither format.
    pub fn decode(bytes: &[u8]) -> Result<Self, SenseError> {
        let code = *bytes.first().ok_or(SenseError::TooShort { len: 0 })?;
        if bytes.len() < 8 {
            return Err(SenseError::TooShort { len: bytes.len() });
        }
        match code & 0x7f {
            0x70 | 0x71 => Ok(Self::decode_fixed(bytes)),
            0x72 | 0x73 => Ok(Self::decode_descriptor(bytes)),
            _ => Err(SenseError::ResponseCode { code }),
        }
    }

    fn decode_fixed(bytes: &[u8]) -> Self {
        let mut fixed = FixedSense::new_zeroed();
        let length = bytes
            .get(7)
            .map_or(0, |&additional| usize::from(additional).saturating_add(8));
        for (to, from) in fixed.as_mut_bytes().iter_mut().zip(bytes.iter().take(length)) {
            *to = *from;
        }
        Self {
            key: SenseKey(fixed.key & 0xf),
            additional: AdditionalSense(fixed.additional.get()),
            deferred: fixed.response_code & 1 != 0,
            information: (fixed.response_code & 0x80 != 0).then(|| u64::from(fixed.information.get())),
            field: field_pointer(fixed.field_flags, fixed.field_byte.get()),
        }
    }

    fn decode_descriptor(bytes: &[u8]) -> Self {
        let mut sense = Self::default();
        if let [code, key, asc, qualifier, _, _, _, additional, rest @ ..] = bytes {
            sense.deferred = code & 1 != 0;
            sense.key = SenseKey(key & 0xf);
            sense.additional = AdditionalSense(u16::from_be_bytes([*asc, *qualifier]));
            let mut rest = rest.get(..usize::from(*additional)).unwrap_or(rest);
            // Each round takes two bytes at least, so the walk ends.
            while let [kind, len, tail @ ..] = rest {
                let Some((body, next)) = tail.split_at_checked(usize::from(*len)) else {
                    break;
                };
                match (kind, body) {
                    (0, [flags, _, address @ ..]) if flags & 0x80 != 0 => {
                        sense.information = U64::read_from_bytes(address).ok().map(U64::get);
                    }
                    (2, [_, _, flags, high, low, ..]) => {
                        sense.field = field_pointer(*flags, u16::from_be_bytes([*high, *low]));
                    }
                    _ => {}
                }
                rest = next;
            }
        }
        sense
    }
}

fn field_bytes(field: FieldPointer) -> (u8, u16) {
    let mut flags = 0x80;
    if field.in_cdb {
        flags |= 0x40;
    }
    if let Some(bit) = field.bit {
        flags |= 0x8 | (bit & 0x7);
    }
    (flags, field.byte)
}

fn field_pointer(flags: u8, byte: u16) -> Option<FieldPointer> {
    (flags & 0x80 != 0).then_some(FieldPointer {
        in_cdb: flags & 0x40 != 0,
        byte,
        bit: (flags & 0x8 != 0).then_some(flags & 0x7),
    })
}

impl core::fmt::Display for Sense {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{}, {} ({:02x}/{:02x})",
            self.key,
            self.additional,
            self.additional.code(),
            self.additional.qualifier()
        )?;
        if let Some(lba) = self.information {
            write!(f, " at block {lba}")?;
        }
        if let Some(field) = self.field {
            write!(f, " at byte {}", field.byte)?;
        }
        Ok(())
    }
}
