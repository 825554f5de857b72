//! The SCSI request block, in which a command travels to the host and its outcome back.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::macros::{open_code, wire_struct};
use crate::scsi::{Cdb, CdbLengthError, ScsiStatus};
use crate::wire::{NtStatus, PacketForm};

open_code! {
    /// How a request went, as the adapter sees it: six bits. Values of the Windows storage port.
    ///
    /// Sources: OpenVMM `scsi_defs/src/srb.rs`; Linux `SRB_STATUS_*` (for 0x30).
    pub struct SrbStatus(u8) {
        /// Not answered yet.
        PENDING = 0x00 => "PENDING",
        /// Done.
        SUCCESS = 0x01 => "SUCCESS",
        /// Given up.
        ABORTED = 0x02 => "ABORTED",
        /// Could not be given up.
        ABORT_FAILED = 0x03 => "ABORT_FAILED",
        /// Failed; sense data tells why.
        ERROR = 0x04 => "ERROR",
        /// Busy.
        BUSY = 0x05 => "BUSY",
        /// The request is wrong. Some versions of Linux took status codes for bit masks, in which this is
        /// aborted and error.
        INVALID_REQUEST = 0x06 => "INVALID_REQUEST",
        /// No such path.
        INVALID_PATH_ID = 0x07 => "INVALID_PATH_ID",
        /// No such device.
        NO_DEVICE = 0x08 => "NO_DEVICE",
        /// Took too long.
        TIMEOUT = 0x09 => "TIMEOUT",
        /// The target did not answer.
        SELECTION_TIMEOUT = 0x0a => "SELECTION_TIMEOUT",
        /// The command took too long.
        COMMAND_TIMEOUT = 0x0b => "COMMAND_TIMEOUT",
        /// A message was rejected.
        MESSAGE_REJECTED = 0x0d => "MESSAGE_REJECTED",
        /// A reset of the bus ended it.
        BUS_RESET = 0x0e => "BUS_RESET",
        /// Parity.
        PARITY_ERROR = 0x0f => "PARITY_ERROR",
        /// Sense data could not be had.
        REQUEST_SENSE_FAILED = 0x10 => "REQUEST_SENSE_FAILED",
        /// No adapter.
        NO_HBA = 0x11 => "NO_HBA",
        /// Another amount of data than the buffer's. The only failure at which Linux reads the transfer
        /// length.
        DATA_OVERRUN = 0x12 => "DATA_OVERRUN",
        /// The bus became free.
        UNEXPECTED_BUS_FREE = 0x13 => "UNEXPECTED_BUS_FREE",
        /// Phases out of order.
        PHASE_SEQUENCE_FAILURE = 0x14 => "PHASE_SEQUENCE_FAILURE",
        /// The block's length is wrong.
        BAD_SRB_BLOCK_LENGTH = 0x15 => "BAD_SRB_BLOCK_LENGTH",
        /// Flushed from the queue.
        REQUEST_FLUSHED = 0x16 => "REQUEST_FLUSHED",
        /// No such LUN. Linux takes its disk at this LUN away.
        INVALID_LUN = 0x20 => "INVALID_LUN",
        /// No such target.
        INVALID_TARGET_ID = 0x21 => "INVALID_TARGET_ID",
        /// No such function.
        BAD_FUNCTION = 0x22 => "BAD_FUNCTION",
        /// In recovery.
        ERROR_RECOVERY = 0x23 => "ERROR_RECOVERY",
        /// No power.
        NOT_POWERED = 0x24 => "NOT_POWERED",
        /// No link.
        LINK_DOWN = 0x25 => "LINK_DOWN",
        /// The host failed. Seen from hosts that ran out of memory.
        INTERNAL_ERROR = 0x30 => "INTERNAL_ERROR",
    }
}

impl SrbStatus {
    /// The packet's status that goes with it.
    ///
    /// Source: OpenVMM `convert_srb_status_to_nt_status`.
    #[must_use]
    #[inline]
    pub const fn nt_status(self) -> NtStatus {
        match self {
            Self::SUCCESS => NtStatus::SUCCESS,
            Self::BUSY => NtStatus::DEVICE_BUSY,
            Self::INVALID_LUN | Self::INVALID_TARGET_ID | Self::NO_DEVICE | Self::NO_HBA => {
                NtStatus::DEVICE_DOES_NOT_EXIST
            }
            Self::COMMAND_TIMEOUT | Self::TIMEOUT => NtStatus::IO_TIMEOUT,
            Self::SELECTION_TIMEOUT => NtStatus::DEVICE_NOT_CONNECTED,
            Self::BAD_FUNCTION | Self::BAD_SRB_BLOCK_LENGTH => NtStatus::INVALID_DEVICE_REQUEST,
            Self::DATA_OVERRUN => NtStatus::BUFFER_OVERFLOW,
            Self::REQUEST_FLUSHED => NtStatus::UNSUCCESSFUL,
            Self::ABORTED => NtStatus::CANCELLED,
            _ => NtStatus::IO_DEVICE_ERROR,
        }
    }
}

/// The SRB's status byte: a six-bit [`SrbStatus`] under two flags.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct SrbStatusByte(pub u8);

impl SrbStatusByte {
    /// Sense data in the SRB is valid. Source: Linux `SRB_STATUS_AUTOSENSE_VALID`.
    pub const AUTOSENSE_VALID: u8 = 0x80;
    /// The queue of the LUN stands still until the guest releases it. Source: Linux
    /// `SRB_STATUS_QUEUE_FROZEN`.
    pub const QUEUE_FROZEN: u8 = 0x40;

    /// The byte of a status, without flags.
    #[must_use]
    #[inline]
    pub const fn new(status: SrbStatus) -> Self {
        Self(status.0 & !(Self::AUTOSENSE_VALID | Self::QUEUE_FROZEN))
    }

    /// The same with [`AUTOSENSE_VALID`](Self::AUTOSENSE_VALID).
    #[must_use]
    #[inline]
    pub const fn with_autosense(self) -> Self {
        Self(self.0 | Self::AUTOSENSE_VALID)
    }

    /// The status without the flags.
    #[must_use]
    #[inline]
    pub const fn status(self) -> SrbStatus {
        SrbStatus(self.0 & !(Self::AUTOSENSE_VALID | Self::QUEUE_FROZEN))
    }

    /// Whether sense data is valid.
    #[must_use]
    #[inline]
    pub const fn autosense_valid(self) -> bool {
        self.0 & Self::AUTOSENSE_VALID != 0
    }

    /// Whether the queue stands still.
    #[must_use]
    pub const fn queue_frozen(self) -> bool {
        self.0 & Self::QUEUE_FROZEN != 0
    }
}

impl core::fmt::Debug for SrbStatusByte {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "SrbStatusByte({:#x} {self})", self.0)
    }
}

impl core::fmt::Display for SrbStatusByte {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}", self.status())?;
        if self.autosense_valid() {
            f.write_str("+sense")?;
        }
        if self.queue_frozen() {
            f.write_str("+frozen")?;
        }
        Ok(())
    }
}

open_code! {
    /// Which way the data of an SRB goes.
    ///
    /// Source: Linux `enum storvsc_request_type`. A host takes the direction from the command: guests have
    /// been seen to send [`NONE`](Self::NONE) and [`OUT`](Self::OUT) for the same thing.
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
    pub struct DataDirection(u8) {
        /// Guest to device.
        OUT = 0 => "out",
        /// Device to guest.
        IN = 1 => "in",
        /// No data. Linux says so; Windows says [`OUT`](Self::OUT) with a length of 0.
        NONE = 2 => "none",
    }
}

open_code! {
    /// How the command is queued at the LUN. Source: Linux `SRB_*_TAG_REQUEST`.
    #[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
    pub struct QueueAction(u8) {
        /// Unqueued, or said by [`SrbFlags`].
        NONE = 0 => "none",
        /// In any order.
        SIMPLE = 0x20 => "simple",
        /// Before all others.
        HEAD_OF_QUEUE = 0x21 => "head of queue",
        /// After all before it.
        ORDERED = 0x22 => "ordered",
    }
}

bitflags! {
    /// Flags of an SRB, since 5.1. A host may ignore all of them.
    ///
    /// Source: Linux `SRB_FLAGS_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SrbFlags: u32 {
        /// The queue tag and action are valid.
        const QUEUE_ACTION_ENABLE = 0x2;
        /// Do not disconnect.
        const DISABLE_DISCONNECT = 0x4;
        /// Transfer asynchronously.
        const DISABLE_SYNCH_TRANSFER = 0x8;
        /// Run even if the queue stands still.
        const BYPASS_FROZEN_QUEUE = 0x10;
        /// Sense data is not wanted.
        const DISABLE_AUTOSENSE = 0x20;
        /// Device to guest.
        const DATA_IN = 0x40;
        /// Guest to device.
        const DATA_OUT = 0x80;
        /// A failure is not to stop the queue.
        const NO_QUEUE_FREEZE = 0x100;
        /// The adapter may cache.
        const ADAPTER_CACHE_ENABLE = 0x200;
        /// The sense buffer is to be freed.
        const FREE_SENSE_BUFFER = 0x400;
        /// Part of going to the power state D3.
        const D3_PROCESSING = 0x800;
        /// In the works.
        const IS_ACTIVE = 0x1_0000;
        /// The port's own.
        const ALLOCATED_FROM_ZONE = 0x2_0000;
        /// The port's own.
        const SGLIST_FROM_POOL = 0x4_0000;
        /// Run even if the queue is locked.
        const BYPASS_LOCKED_QUEUE = 0x8_0000;
        /// No reason to stay awake.
        const NO_KEEP_AWAKE = 0x10_0000;
        /// The port allocates the sense buffer.
        const PORT_DRIVER_ALLOCSENSE = 0x20_0000;
        /// The sense buffer names the port.
        const PORT_DRIVER_SENSEHASPORT = 0x40_0000;
        /// Do not start the next.
        const DONT_START_NEXT_PACKET = 0x80_0000;
        const _ = !0;
    }
}

/// Where a LUN is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LunAddress {
    /// The path: Linux's "channel". 0 on every known controller.
    pub path: u8,
    /// The target: 0 on every known controller; a guest may scan others.
    pub target: u8,
    /// The LUN.
    pub lun: u8,
}

impl LunAddress {
    /// This LUN of path 0 and target 0, where disks of a SCSI controller are.
    #[must_use]
    pub const fn lun(lun: u8) -> Self {
        Self {
            path: 0,
            target: 0,
            lun,
        }
    }
}

impl core::fmt::Display for LunAddress {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}:{}:{}", self.path, self.target, self.lun)
    }
}

/// Most bytes of a CDB in an SRB.
pub const MAX_CDB_LEN: usize = 16;

wire_struct! {
    /// The SCSI request block, in its long form. The short form ends before [`reserved2`](Self::reserved2).
    ///
    /// Source: Linux `struct vmscsi_request`.
    #[derive(Default)]
    pub struct ScsiRequest, 52 bytes {
        /// Bytes of this structure, 52 or 36. Hosts do not look at it.
        0: length: U16,
        /// In an answer: how the request went.
        2: srb_status: SrbStatusByte,
        /// In an answer: what the device said.
        3: scsi_status: ScsiStatus,
        /// Linux's number of the adapter. Of no meaning to a host.
        4: port: u8,
        /// See [`LunAddress::path`].
        5: path: u8,
        /// See [`LunAddress::target`].
        6: target: u8,
        /// See [`LunAddress::lun`].
        7: lun: u8,
        /// Bytes of the CDB, at most 16.
        8: cdb_length: u8,
        /// In a request, how much sense data the guest takes; in an answer, how much there is. At most 20, or 18
        /// in the short form.
        9: sense_length: u8,
        /// Which way data goes.
        10: direction: DataDirection,
        /// Undocumented. OpenVMM names it `properties`.
        11: reserved: u8,
        /// In a request, bytes of the buffer that the GPA ranges describe; in an answer, bytes transferred.
        12: transfer_length: U32,
        /// In a request the CDB, in an answer sense data, either from the first byte on.
        16: cdb_or_sense: [u8; 20],
        /// 0. From here on since 5.1.
        36: reserved2: U16,
        /// The tag, or 0xff for none.
        38: queue_tag: u8,
        /// How the command is queued.
        39: queue_action: QueueAction,
        /// [`SrbFlags`].
        40: flags: U32,
        /// Seconds until the guest gives up.
        44: timeout: U32,
        /// A hint for the order of commands.
        48: queue_sort_key: U32,
    }
}

impl ScsiRequest {
    /// Where the LUN is.
    #[must_use]
    #[inline]
    pub const fn address(&self) -> LunAddress {
        LunAddress {
            path: self.path,
            target: self.target,
            lun: self.lun,
        }
    }

    /// The flags.
    #[must_use]
    pub fn flags(&self) -> SrbFlags {
        SrbFlags::from_bits_retain(self.flags.get())
    }

    /// The CDB of a request.
    ///
    /// # Errors
    /// When its length is 0 or beyond [`MAX_CDB_LEN`].
    #[inline]
    pub fn cdb(&self) -> Result<Cdb, CdbLengthError> {
        let [bytes @ .., _, _, _, _] = self.cdb_or_sense;
        Cdb::first(bytes, self.cdb_length)
    }

    /// The sense data of an answer, or `None` when its length is beyond what the form has room for. Empty
    /// without autosense.
    #[must_use]
    pub fn sense(&self, form: PacketForm) -> Option<&[u8]> {
        if !self.srb_status.autosense_valid() {
            return Some(&[]);
        }
        let len = usize::from(self.sense_length);
        if len > form.sense_len() {
            None
        } else {
            self.cdb_or_sense.get(..len)
        }
    }
}
