//! CDBs as bytes: the raw form.

use thiserror::Error;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{Command, OperationCode};
use crate::macros::layout;
use crate::wire::MAX_CDB_LEN;

/// A command descriptor block of 1 to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cdb {
    bytes: [u8; MAX_CDB_LEN],
    len: u8,
}

/// A CDB that is empty, or longer than an SRB holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a CDB of {len} bytes, not 1 to {MAX_CDB_LEN}")]
pub struct CdbLengthError {
    /// Bytes that it has.
    pub len: usize,
}

impl Cdb {
    /// A CDB of these bytes.
    ///
    /// # Errors
    /// When there are none, or more than 16.
    #[inline]
    pub fn new(bytes: &[u8]) -> Result<Self, CdbLengthError> {
        let error = CdbLengthError { len: bytes.len() };
        if bytes.is_empty() || bytes.len() > MAX_CDB_LEN {
            return Err(error);
        }
        let len = u8::try_from(bytes.len()).map_err(|_| error)?;
        let mut padded = [0; MAX_CDB_LEN];
        for (to, from) in padded.iter_mut().zip(bytes) {
            *to = *from;
        }
        Ok(Self { bytes: padded, len })
    }

    /// The first `len` of these bytes.
    ///
    /// # Errors
    /// When that is none, or more than 16.
    #[inline]
    pub(crate) fn first(bytes: [u8; MAX_CDB_LEN], len: u8) -> Result<Self, CdbLengthError> {
        let missing = u32::try_from(MAX_CDB_LEN)
            .ok()
            .and_then(|most| most.checked_sub(len.into()));
        let Some(missing) = missing.filter(|_| len > 0) else {
            return Err(CdbLengthError { len: len.into() });
        };
        // Of fewer than 16 missing bytes, so that not all bits are shifted out.
        let kept = u128::MAX >> missing.wrapping_mul(u8::BITS);
        Ok(Self {
            bytes: (u128::from_le_bytes(bytes) & kept).to_le_bytes(),
            len,
        })
    }

    #[inline]
    pub(super) fn of<T: IntoBytes + Immutable>(form: &T) -> Self {
        const { assert!(size_of::<T>() <= MAX_CDB_LEN, "a CDB has 16 bytes at most") };
        let mut bytes = [0; MAX_CDB_LEN];
        let _ = form.write_to_prefix(&mut bytes);
        // Compared above.
        let len = u8::try_from(size_of::<T>()).unwrap_or(u8::MAX);
        Self { bytes, len }
    }

    /// How many bytes there are.
    pub(crate) const fn length(&self) -> u8 {
        self.len
    }

    /// The bytes, and zeros up to 16.
    pub(crate) const fn padded(&self) -> &[u8; MAX_CDB_LEN] {
        &self.bytes
    }

    /// The bytes.
    #[must_use]
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&self.bytes)
    }

    /// The first byte.
    #[must_use]
    #[inline]
    pub const fn operation(&self) -> OperationCode {
        OperationCode(self.bytes[0])
    }

    /// The bytes as one of the forms below; what the CDB lacks is zero.
    #[must_use]
    #[inline]
    pub fn form<T: FromBytes>(&self) -> T {
        T::read_from_prefix(&self.bytes).map_or_else(|_| T::new_zeroed(), |(form, _)| form)
    }
}

impl core::fmt::Debug for Cdb {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Cdb({:02x?})", self.as_bytes())
    }
}

impl core::fmt::Display for Cdb {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.operation())?;
        match Command::parse(self) {
            Ok(command) => command.fmt_operands(f),
            Err(error) => write!(f, " ({error})"),
        }
    }
}

/// READ(6) and WRITE(6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Cdb6 {
    /// The operation.
    pub operation: u8,
    /// The address's 21 bits, from the low five of the first byte on.
    pub lba: [u8; 3],
    /// Blocks; 0 stands for 256.
    pub blocks: u8,
    /// Control.
    pub control: u8,
}
layout!(Cdb6, size 6, operation @ 0, lba @ 1, blocks @ 4, control @ 5);

/// Commands of 10 bytes about a range of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Cdb10 {
    /// The operation.
    pub operation: u8,
    /// The operation's flags.
    pub flags: u8,
    /// The first block.
    pub lba: U32,
    /// Group.
    pub group: u8,
    /// Blocks.
    pub blocks: U16,
    /// Control.
    pub control: u8,
}
layout!(Cdb10, size 10, operation @ 0, flags @ 1, lba @ 2, group @ 6, blocks @ 7, control @ 9);

/// Commands of 12 bytes about a range of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Cdb12 {
    /// The operation.
    pub operation: u8,
    /// The operation's flags.
    pub flags: u8,
    /// The first block.
    pub lba: U32,
    /// Blocks.
    pub blocks: U32,
    /// Group.
    pub group: u8,
    /// Control.
    pub control: u8,
}
layout!(Cdb12, size 12, operation @ 0, flags @ 1, lba @ 2, blocks @ 6, group @ 10, control @ 11);

/// Commands of 16 bytes about a range of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Cdb16 {
    /// The operation.
    pub operation: u8,
    /// The operation's flags.
    pub flags: u8,
    /// The first block.
    pub lba: U64,
    /// Blocks.
    pub blocks: U32,
    /// Group.
    pub group: u8,
    /// Control.
    pub control: u8,
}
layout!(Cdb16, size 16, operation @ 0, flags @ 1, lba @ 2, blocks @ 10, group @ 14, control @ 15);

/// WRITE SAME(16) has the form of the other commands of 16 bytes; bit 0 of its flags says that no block is
/// sent.
pub type WriteSame16Cdb = Cdb16;

/// INQUIRY.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct InquiryCdb {
    /// The operation.
    pub operation: u8,
    /// Bit 0: a page of vital product data.
    pub flags: u8,
    /// Which page.
    pub page: u8,
    /// Most bytes to return.
    pub allocation: U16,
    /// Control.
    pub control: u8,
}
layout!(InquiryCdb, size 6, operation @ 0, flags @ 1, page @ 2, allocation @ 3, control @ 5);

/// REQUEST SENSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RequestSenseCdb {
    /// The operation.
    pub operation: u8,
    /// Bit 0: in the descriptor format.
    pub flags: u8,
    /// 0.
    pub reserved: [u8; 2],
    /// Most bytes to return.
    pub allocation: u8,
    /// Control.
    pub control: u8,
}
layout!(RequestSenseCdb, size 6, operation @ 0, flags @ 1, reserved @ 2, allocation @ 4, control @ 5);

/// MODE SENSE(6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ModeSense6Cdb {
    /// The operation.
    pub operation: u8,
    /// Bit 3: no block descriptor.
    pub flags: u8,
    /// Bits 7 and 6: which values; bits 5 to 0: which page.
    pub page: u8,
    /// Which subpage.
    pub subpage: u8,
    /// Most bytes to return.
    pub allocation: u8,
    /// Control.
    pub control: u8,
}
layout!(ModeSense6Cdb, size 6, operation @ 0, flags @ 1, page @ 2, subpage @ 3, allocation @ 4, control @ 5);

/// MODE SENSE(10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ModeSense10Cdb {
    /// The operation.
    pub operation: u8,
    /// Bit 3: no block descriptor; bit 4: a long one may be returned.
    pub flags: u8,
    /// As in [`ModeSense6Cdb`].
    pub page: u8,
    /// Which subpage.
    pub subpage: u8,
    /// 0.
    pub reserved: [u8; 3],
    /// Most bytes to return.
    pub allocation: U16,
    /// Control.
    pub control: u8,
}
layout!(
    ModeSense10Cdb, size 10,
    operation @ 0, flags @ 1, page @ 2, subpage @ 3, reserved @ 4, allocation @ 7, control @ 9,
);

/// START STOP UNIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct StartStopCdb {
    /// The operation.
    pub operation: u8,
    /// Bit 0: answer at once.
    pub flags: u8,
    /// 0.
    pub reserved: u8,
    /// Modifies the power condition.
    pub modifier: u8,
    /// Bits 7 to 4: power condition; bit 2: no flush; bit 1: load or eject; bit 0: start.
    pub action: u8,
    /// Control.
    pub control: u8,
}
layout!(StartStopCdb, size 6, operation @ 0, flags @ 1, reserved @ 2, modifier @ 3, action @ 4, control @ 5);

/// UNMAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct UnmapCdb {
    /// The operation.
    pub operation: u8,
    /// Bit 0: keep the blocks anchored.
    pub flags: u8,
    /// 0.
    pub reserved: [u8; 4],
    /// Group.
    pub group: u8,
    /// Bytes of the parameter list.
    pub parameter_length: U16,
    /// Control.
    pub control: u8,
}
layout!(
    UnmapCdb, size 10,
    operation @ 0, flags @ 1, reserved @ 2, group @ 6, parameter_length @ 7, control @ 9,
);

/// SERVICE ACTION IN(16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ServiceActionIn16Cdb {
    /// The operation.
    pub operation: u8,
    /// Low five bits: which.
    pub action: u8,
    /// Obsolete in READ CAPACITY(16).
    pub lba: U64,
    /// Most bytes to return.
    pub allocation: U32,
    /// Obsolete in READ CAPACITY(16).
    pub flags: u8,
    /// Control.
    pub control: u8,
}
layout!(
    ServiceActionIn16Cdb, size 16,
    operation @ 0, action @ 1, lba @ 2, allocation @ 10, flags @ 14, control @ 15,
);

impl ServiceActionIn16Cdb {
    /// The service action of READ CAPACITY(16).
    pub const READ_CAPACITY: u8 = 0x10;
}

/// REPORT LUNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ReportLunsCdb {
    /// The operation.
    pub operation: u8,
    /// 0.
    pub reserved: u8,
    /// Which: 0 those with an ordinary address, 1 the well known ones, 2 all.
    pub select: u8,
    /// 0.
    pub reserved2: [u8; 3],
    /// Most bytes to return.
    pub allocation: U32,
    /// 0.
    pub reserved3: u8,
    /// Control.
    pub control: u8,
}
layout!(
    ReportLunsCdb, size 12,
    operation @ 0, reserved @ 1, select @ 2, reserved2 @ 3, allocation @ 6, reserved3 @ 10, control @ 11,
);
