//! The header that every packet starts with.

use bitflags::bitflags;
use zerocopy::little_endian::U32;

use crate::macros::{open_code, wire_struct};

open_code! {
    /// What a packet asks for, or that it answers.
    ///
    /// Sources: Linux `enum vstor_packet_operation`; OpenVMM `storvsp/src/protocol.rs` (for 14).
    pub struct Operation(u32) {
        /// Host to guest: the answer to any request.
        COMPLETE_IO = 1 => "COMPLETE_IO",
        /// Host to guest, unasked: a device went away.
        REMOVE_DEVICE = 2 => "REMOVE_DEVICE",
        /// Guest to host: run a SCSI command.
        EXECUTE_SRB = 3 => "EXECUTE_SRB",
        /// Guest to host: reset one LUN.
        RESET_LUN = 4 => "RESET_LUN",
        /// Guest to host: reset the adapter.
        RESET_ADAPTER = 5 => "RESET_ADAPTER",
        /// Guest to host: reset one bus. The only reset that Linux sends.
        RESET_BUS = 6 => "RESET_BUS",
        /// Guest to host: the first message on a primary channel.
        BEGIN_INITIALIZATION = 7 => "BEGIN_INITIALIZATION",
        /// Guest to host: the last message of the negotiation.
        END_INITIALIZATION = 8 => "END_INITIALIZATION",
        /// Guest to host: whether the host speaks one version.
        QUERY_PROTOCOL_VERSION = 9 => "QUERY_PROTOCOL_VERSION",
        /// Guest to host: what the channel can do.
        QUERY_PROPERTIES = 10 => "QUERY_PROPERTIES",
        /// Host to guest, unasked: devices came or went, look again. Since 4.2.
        ENUMERATE_BUS = 11 => "ENUMERATE_BUS",
        /// Guest to host: the names of a fibre-channel adapter. Also host to guest, when they change.
        FC_HBA_DATA = 12 => "FC_HBA_DATA",
        /// Guest to host: offer so many sub-channels. Since 5.1.
        CREATE_SUB_CHANNELS = 13 => "CREATE_SUB_CHANNELS",
        /// Host to guest, unasked: something happened at one LUN.
        EVENT_NOTIFICATION = 14 => "EVENT_NOTIFICATION",
    }
}

open_code! {
    /// The status of an answer: an NTSTATUS, of which these are in use.
    ///
    /// Source: OpenVMM `storvsp/src/protocol.rs`; the numbers are those of the Windows SDK's `ntstatus.h`.
    /// Guests look at it for the operations of the negotiation only; for an SRB they go by what stands in the
    /// SRB.
    pub struct NtStatus(u32) {
        /// Done.
        SUCCESS = 0 => "SUCCESS",
        /// More data than the buffer holds.
        BUFFER_OVERFLOW = 0x8000_0005 => "BUFFER_OVERFLOW",
        /// Busy, ask again.
        DEVICE_BUSY = 0x8000_0011 => "DEVICE_BUSY",
        /// Failed, no more is known.
        UNSUCCESSFUL = 0xc000_0001 => "UNSUCCESSFUL",
        /// A parameter has a value that the operation does not take.
        INVALID_PARAMETER = 0xc000_000d => "INVALID_PARAMETER",
        /// The operation is not one for this device.
        INVALID_DEVICE_REQUEST = 0xc000_0010 => "INVALID_DEVICE_REQUEST",
        /// The version asked for is not spoken.
        REVISION_MISMATCH = 0xc000_0059 => "REVISION_MISMATCH",
        /// The device did not answer to its selection.
        DEVICE_NOT_CONNECTED = 0xc000_009d => "DEVICE_NOT_CONNECTED",
        /// The request took too long.
        IO_TIMEOUT = 0xc000_00b5 => "IO_TIMEOUT",
        /// No such device.
        DEVICE_DOES_NOT_EXIST = 0xc000_00c0 => "DEVICE_DOES_NOT_EXIST",
        /// The request was given up.
        CANCELLED = 0xc000_0120 => "CANCELLED",
        /// The operation is not one for this moment.
        INVALID_DEVICE_STATE = 0xc000_0184 => "INVALID_DEVICE_STATE",
        /// The device failed.
        IO_DEVICE_ERROR = 0xc000_0185 => "IO_DEVICE_ERROR",
    }
}

bitflags! {
    /// Flags of a packet.
    ///
    /// Source: Linux `REQUEST_COMPLETION_FLAG`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PacketFlags: u32 {
        /// The sender wants an answer. What counts on the ring is the flag of the ring's own packet header.
        const REQUEST_COMPLETION = 0x1;
        const _ = !0;
    }
}

wire_struct! {
    /// The header of every packet. Source: Linux `struct vstor_packet`.
    pub struct PacketHeader, 12 bytes {
        /// The [`Operation`].
        0: operation: U32,
        /// [`PacketFlags`].
        4: flags: U32,
        /// In an answer, the [`NtStatus`]; in a request 0.
        8: status: U32,
    }
}

impl PacketHeader {
    /// A header with these values.
    #[must_use]
    #[inline]
    pub const fn new(operation: Operation, flags: PacketFlags, status: NtStatus) -> Self {
        Self {
            operation: U32::new(operation.0),
            flags: U32::new(flags.bits()),
            status: U32::new(status.0),
        }
    }
}

/// How large packets and SRBs are: Windows 8 made the SRB longer.
///
/// A sender picks the form by the version negotiated, and keeps it: Windows guests require that every packet
/// has exactly this length, whatever it carries (OpenVMM `send_vmbus_packet`). Before a version is known, new
/// Linux sends the long form and old Linux the short one, so a host answers each packet in the form in which
/// it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PacketForm {
    /// Versions before 5.1: 48 bytes, of which 36 are the SRB; sense data has room for 18 bytes.
    Short,
    /// Versions from 5.1 on: 64 bytes, of which 52 are the SRB; sense data has room for 20 bytes.
    Long,
}

impl PacketForm {
    /// Bytes of a packet, the header included.
    #[must_use]
    #[inline]
    pub const fn packet_len(self) -> usize {
        match self {
            Self::Short => 48,
            Self::Long => 64,
        }
    }

    /// Bytes of a packet's body: an SRB, or anything else padded with zeroes to the SRB's length.
    #[must_use]
    #[inline]
    pub const fn body_len(self) -> usize {
        match self {
            Self::Short => 36,
            Self::Long => 52,
        }
    }

    /// Most bytes of sense data in an SRB.
    #[must_use]
    #[inline]
    pub const fn sense_len(self) -> usize {
        match self {
            Self::Short => 18,
            Self::Long => 20,
        }
    }

    /// The form that holds a payload of this many bytes completely: [`Long`](Self::Long) from 64 bytes on.
    #[must_use]
    #[inline]
    pub const fn of_packet_len(len: usize) -> Self {
        if len >= Self::Long.packet_len() {
            Self::Long
        } else {
            Self::Short
        }
    }
}

/// Bytes of the longest packet.
pub const MAX_PACKET_LEN: usize = PacketForm::Long.packet_len();

/// Bytes of the longest body.
pub const MAX_BODY_LEN: usize = PacketForm::Long.body_len();
