//! CDBs as bytes: the raw form.

use thiserror::Error;
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::{Command, OperationCode};
use crate::macros::wire_struct;
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
        let kept = u128::MAX.unbounded_shr(missing.saturating_mul(u8::BITS));
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

wire_struct! {
    /// READ(6) and WRITE(6).
    pub struct Cdb6, 6 bytes {
        /// The operation.
        0: operation: u8,
        /// The address's 21 bits, from the low five of the first byte on.
        1: lba: [u8; 3],
        /// Blocks; 0 stands for 256.
        4: blocks: u8,
        /// Control.
        5: control: u8,
    }
}

wire_struct! {
    /// Commands of 10 bytes about a range of blocks.
    pub struct Cdb10, 10 bytes {
        /// The operation.
        0: operation: u8,
        /// The operation's flags.
        1: flags: u8,
        /// The first block.
        2: lba: U32,
        /// Group.
        6: group: u8,
        /// Blocks.
        7: blocks: U16,
        /// Control.
        9: control: u8,
    }
}

wire_struct! {
    /// Commands of 12 bytes about a range of blocks.
    pub struct Cdb12, 12 bytes {
        /// The operation.
        0: operation: u8,
        /// The operation's flags.
        1: flags: u8,
        /// The first block.
        2: lba: U32,
        /// Blocks.
        6: blocks: U32,
        /// Group.
        10: group: u8,
        /// Control.
        11: control: u8,
    }
}

wire_struct! {
    /// Commands of 16 bytes about a range of blocks.
    pub struct Cdb16, 16 bytes {
        /// The operation.
        0: operation: u8,
        /// The operation's flags.
        1: flags: u8,
        /// The first block.
        2: lba: U64,
        /// Blocks.
        10: blocks: U32,
        /// Group.
        14: group: u8,
        /// Control.
        15: control: u8,
    }
}

/// WRITE SAME(16) has the form of the other commands of 16 bytes; bit 0 of its flags says that no block is
/// sent.
pub type WriteSame16Cdb = Cdb16;

wire_struct! {
    /// INQUIRY.
    pub struct InquiryCdb, 6 bytes {
        /// The operation.
        0: operation: u8,
        /// Bit 0: a page of vital product data.
        1: flags: u8,
        /// Which page.
        2: page: u8,
        /// Most bytes to return.
        3: allocation: U16,
        /// Control.
        5: control: u8,
    }
}

wire_struct! {
    /// REQUEST SENSE.
    pub struct RequestSenseCdb, 6 bytes {
        /// The operation.
        0: operation: u8,
        /// Bit 0: in the descriptor format.
        1: flags: u8,
        /// 0.
        2: reserved: [u8; 2],
        /// Most bytes to return.
        4: allocation: u8,
        /// Control.
        5: control: u8,
    }
}

wire_struct! {
    /// MODE SENSE(6).
    pub struct ModeSense6Cdb, 6 bytes {
        /// The operation.
        0: operation: u8,
        /// Bit 3: no block descriptor.
        1: flags: u8,
        /// Bits 7 and 6: which values; bits 5 to 0: which page.
        2: page: u8,
        /// Which subpage.
        3: subpage: u8,
        /// Most bytes to return.
        4: allocation: u8,
        /// Control.
        5: control: u8,
    }
}

wire_struct! {
    /// MODE SENSE(10).
    pub struct ModeSense10Cdb, 10 bytes {
        /// The operation.
        0: operation: u8,
        /// Bit 3: no block descriptor; bit 4: a long one may be returned.
        1: flags: u8,
        /// As in [`ModeSense6Cdb`].
        2: page: u8,
        /// Which subpage.
        3: subpage: u8,
        /// 0.
        4: reserved: [u8; 3],
        /// Most bytes to return.
        7: allocation: U16,
        /// Control.
        9: control: u8,
    }
}

wire_struct! {
    /// START STOP UNIT.
    pub struct StartStopCdb, 6 bytes {
        /// The operation.
        0: operation: u8,
        /// Bit 0: answer at once.
        1: flags: u8,
        /// 0.
        2: reserved: u8,
        /// Modifies the power condition.
        3: modifier: u8,
        /// Bits 7 to 4: power condition; bit 2: no flush; bit 1: load or eject; bit 0: start.
        4: action: u8,
        /// Control.
        5: control: u8,
    }
}

wire_struct! {
    /// UNMAP.
    pub struct UnmapCdb, 10 bytes {
        /// The operation.
        0: operation: u8,
        /// Bit 0: keep the blocks anchored.
        1: flags: u8,
        /// 0.
        2: reserved: [u8; 4],
        /// Group.
        6: group: u8,
        /// Bytes of the parameter list.
        7: parameter_length: U16,
        /// Control.
        9: control: u8,
    }
}

wire_struct! {
    /// SERVICE ACTION IN(16).
    pub struct ServiceActionIn16Cdb, 16 bytes {
        /// The operation.
        0: operation: u8,
        /// Low five bits: which.
        1: action: u8,
        /// Obsolete in READ CAPACITY(16).
        2: lba: U64,
        /// Most bytes to return.
        10: allocation: U32,
        /// Obsolete in READ CAPACITY(16).
        14: flags: u8,
        /// Control.
        15: control: u8,
    }
}

impl ServiceActionIn16Cdb {
    /// The service action of READ CAPACITY(16).
    pub const READ_CAPACITY: u8 = 0x10;
}

wire_struct! {
    /// REPORT LUNS.
    pub struct ReportLunsCdb, 12 bytes {
        /// The operation.
        0: operation: u8,
        /// 0.
        1: reserved: u8,
        /// Which: 0 those with an ordinary address, 1 the well known ones, 2 all.
        2: select: u8,
        /// 0.
        3: reserved2: [u8; 3],
        /// Most bytes to return.
        6: allocation: U32,
        /// 0.
        10: reserved3: u8,
        /// Control.
        11: control: u8,
    }
}
