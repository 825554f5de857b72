//! Volume snapshots: the host asks the guest to hold its file systems still for a backup.

use core::fmt;

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::frame::prefix;
use super::{Bytes, DecodeError, MessageType, NoRoom};
use crate::wire::macros::{Byte, wire_number, wire_struct};
use crate::wire::writer::Writer;

/// Bytes of the longest body that is taken; Linux reads two pages.
pub const VSS_MAX: usize = 8192 - super::HEADERS_SIZE;

wire_number! {
    /// What is asked.
    ///
    /// Source: Linux `enum hv_vss_op`.
    pub struct VssOperation(Byte: u8), "{}" {
        /// Make a snapshot.
        CREATE = 0,
        /// Delete a snapshot.
        DELETE = 1,
        /// Whether a backup can be made while the guest runs; the answer is in [`VssFlags`].
        HOT_BACKUP = 2,
        /// What the guest's disks are like.
        GET_DM_INFO = 3,
        /// The backup is complete.
        BACKUP_COMPLETE = 4,
        /// Hold the file systems still.
        FREEZE = 5,
        /// Let them go again.
        THAW = 6,
        /// Recover.
        AUTO_RECOVER = 7,
    }
}

wire_number! {
    /// What the guest can do, as the answer to HOT_BACKUP.
    ///
    /// Source: Linux `VSS_HBU_*`.
    pub struct VssFlags(U32: u32), "{:#x}" {
        /// Backup while it runs, without recovery by itself afterwards: the one thing that Linux says.
        NO_AUTO_RECOVERY = 5,
    }
}

wire_struct! {
    /// The body of VSS, as far as it is known.
    ///
    /// Source: Linux `struct hv_vss_msg`.
    #[derive(Default)]
    pub struct VssData at 0, 12 bytes {
        /// What is asked.
        0: operation: VssOperation,
        /// 0.
        1: reserved: Bytes<7>,
        /// The answer to HOT_BACKUP and GET_DM_INFO.
        8: flags: VssFlags,
    }
}

impl VssData {
    /// What asks for this.
    #[must_use]
    pub fn new(operation: VssOperation) -> Self {
        Self {
            operation,
            ..Self::default()
        }
    }
}

/// The body of VSS, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vss<'a> {
    /// What is asked, and the answer.
    pub data: VssData,
    /// What a host sends beyond, which a guest sends back.
    pub tail: &'a [u8],
}

impl<'a> Vss<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (data, tail) = prefix::<VssData>(MessageType::VSS, body, VSS_MAX)?;
        Ok(Self { data: *data, tail })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), NoRoom> {
        out.put(self.data.as_bytes())?;
        out.put(self.tail)
    }
}

impl fmt::Display for Vss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} flags {}", self.data.operation, self.data.flags)?;
        match self.tail.len() {
            0 => Ok(()),
            len => write!(f, ", {len} bytes more"),
        }
    }
}
