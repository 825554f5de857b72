//! Parameters of the calls that a VMM answers, as they stand in guest memory.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ConnectionId;
use crate::synic::{MESSAGE_PAYLOAD_MAX, MessageError, MessageType};

/// Bytes of the pages that the hypervisor deals in, whatever the guest's own page size is.
pub const PAGE_SIZE: usize = 4096;

/// Input of [`POST_MESSAGE`](crate::CallCode::POST_MESSAGE), 256 bytes in memory; too long for the fast form.
///
/// Sources: TLFS "HvCallPostMessage"; Linux `struct hv_input_post_message`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PostMessageInput {
    /// The [`ConnectionId`] to post to.
    pub connection_id: U32,
    /// Zero.
    pub reserved: U32,
    /// The [`MessageType`] that the message will have; neither 0 nor with the top bit.
    /// VMBus: 1.
    pub message_type: U32,
    /// Bytes of the payload that count, 0 to 240.
    pub payload_size: U32,
    /// The payload.
    pub payload: [u8; MESSAGE_PAYLOAD_MAX],
}

const _: () = {
    assert!(size_of::<PostMessageInput>() == 256);
    assert!(offset_of!(PostMessageInput, connection_id) == 0);
    assert!(offset_of!(PostMessageInput, reserved) == 4);
    assert!(offset_of!(PostMessageInput, message_type) == 8);
    assert!(offset_of!(PostMessageInput, payload_size) == 12);
    assert!(offset_of!(PostMessageInput, payload) == 16);
};

impl PostMessageInput {
    /// The input for a message to this connection, with a copy of the payload.
    ///
    /// # Errors
    /// When the payload is longer than [`MESSAGE_PAYLOAD_MAX`], or the type is 0 or one of the hypervisor's.
    pub fn new(
        connection: ConnectionId,
        message_type: MessageType,
        payload: &[u8],
    ) -> Result<Self, MessageError> {
        if message_type == MessageType::NONE {
            return Err(MessageError::NoType);
        }
        if message_type.is_hypervisor() {
            return Err(MessageError::HypervisorType { message_type });
        }
        let too_long = MessageError::PayloadTooLong { len: payload.len() };
        let mut input = Self {
            connection_id: U32::new(connection.0),
            reserved: U32::ZERO,
            message_type: U32::new(message_type.0),
            payload_size: U32::new(u32::try_from(payload.len()).map_err(|_| too_long)?),
            payload: [0; MESSAGE_PAYLOAD_MAX],
        };
        input
            .payload
            .get_mut(..payload.len())
            .ok_or(too_long)?
            .copy_from_slice(payload);
        Ok(input)
    }
}

/// Input of [`SIGNAL_EVENT`](crate::CallCode::SIGNAL_EVENT), 8 bytes: in memory, or in the fast form in the first
/// register.
///
/// Sources: TLFS "HvCallSignalEvent"; QEMU `hyperv_signal_event_input`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct SignalEventInput {
    /// The [`ConnectionId`] to signal on.
    pub connection_id: U32,
    /// Which flag, counted from the port's first.
    pub flag_number: U16,
    /// Zero.
    pub reserved: U16,
}

const _: () = {
    assert!(size_of::<SignalEventInput>() == 8);
    assert!(offset_of!(SignalEventInput, connection_id) == 0);
    assert!(offset_of!(SignalEventInput, flag_number) == 4);
    assert!(offset_of!(SignalEventInput, reserved) == 6);
};

impl SignalEventInput {
    /// The input as the register of the fast form holds it: connection id in bits 31:0, flag number in 47:32.
    #[must_use]
    pub fn to_register(self) -> u64 {
        u64::from_le_bytes(zerocopy::transmute!(self))
    }

    /// The input from the register of the fast form.
    #[must_use]
    pub fn from_register(value: u64) -> Self {
        zerocopy::transmute!(value.to_le_bytes())
    }
}

/// Input of [`POST_DEBUG_DATA`](crate::CallCode::POST_DEBUG_DATA), 8 bytes, followed by the data.
///
/// Source: QEMU `hyperv_post_debug_data_input`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct PostDebugDataInput {
    /// Bytes of data behind this header, at most [`DEBUG_DATA_MAX`].
    pub count: U32,
    /// Bit 0: try again until all is sent.
    pub options: U32,
}

/// Bytes of debug data that fit a page behind the header.
pub const DEBUG_DATA_MAX: u32 = 4088;

const _: () = {
    assert!(size_of::<PostDebugDataInput>() == 8);
    assert!(offset_of!(PostDebugDataInput, count) == 0);
    assert!(offset_of!(PostDebugDataInput, options) == 4);
    assert!(PAGE_SIZE.checked_sub(size_of::<PostDebugDataInput>()).unwrap() == DEBUG_DATA_MAX as usize);
};

/// Output of [`POST_DEBUG_DATA`](crate::CallCode::POST_DEBUG_DATA), 4 bytes.
///
/// Source: QEMU `hyperv_post_debug_data_output`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct PostDebugDataOutput {
    /// Bytes that were not sent.
    pub pending_count: U32,
}

const _: () = {
    assert!(size_of::<PostDebugDataOutput>() == 4);
    assert!(offset_of!(PostDebugDataOutput, pending_count) == 0);
};

/// Input of [`RETRIEVE_DEBUG_DATA`](crate::CallCode::RETRIEVE_DEBUG_DATA), 16 bytes.
///
/// Source: QEMU `hyperv_retrieve_debug_data_input`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct RetrieveDebugDataInput {
    /// Bytes that the caller wants.
    pub count: U32,
    /// Bit 0: wait until there is data; bit 1: only ask whether the debugger is there.
    pub options: U32,
    /// How long to wait.
    pub timeout: U64,
}

const _: () = {
    assert!(size_of::<RetrieveDebugDataInput>() == 16);
    assert!(offset_of!(RetrieveDebugDataInput, count) == 0);
    assert!(offset_of!(RetrieveDebugDataInput, options) == 4);
    assert!(offset_of!(RetrieveDebugDataInput, timeout) == 8);
};

/// Output of [`RETRIEVE_DEBUG_DATA`](crate::CallCode::RETRIEVE_DEBUG_DATA), 8 bytes, followed by the data.
///
/// Source: QEMU `hyperv_retrieve_debug_data_output`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct RetrieveDebugDataOutput {
    /// Bytes of data behind this header.
    pub retrieved_count: U32,
    /// Bytes of those that the caller wanted which did not come.
    pub remaining_count: U32,
}

const _: () = {
    assert!(size_of::<RetrieveDebugDataOutput>() == 8);
    assert!(offset_of!(RetrieveDebugDataOutput, retrieved_count) == 0);
    assert!(offset_of!(RetrieveDebugDataOutput, remaining_count) == 4);
};

/// Input of [`RESET_DEBUG_SESSION`](crate::CallCode::RESET_DEBUG_SESSION), 4 bytes, padded to 8.
///
/// Source: QEMU `hyperv_reset_debug_session_input`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ResetDebugSessionInput {
    /// Bit 0: drop data that came; bit 1: drop data that was not sent.
    pub options: U32,
}

const _: () = {
    assert!(size_of::<ResetDebugSessionInput>() == 4);
    assert!(offset_of!(ResetDebugSessionInput, options) == 0);
};

/// Output of [`RESET_DEBUG_SESSION`](crate::CallCode::RESET_DEBUG_SESSION), 24 bytes: between which two the debugger
/// talks.
///
/// Source: QEMU `hyperv_reset_debug_session_output`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ResetDebugSessionOutput {
    /// IPv4 address of the debugger.
    pub host_ip: U32,
    /// IPv4 address of the guest.
    pub target_ip: U32,
    /// UDP port of the debugger.
    pub host_port: U16,
    /// UDP port of the guest.
    pub target_port: U16,
    /// MAC address of the debugger.
    pub host_mac: [u8; 6],
    /// MAC address of the guest.
    pub target_mac: [u8; 6],
}

const _: () = {
    assert!(size_of::<ResetDebugSessionOutput>() == 24);
    assert!(offset_of!(ResetDebugSessionOutput, host_ip) == 0);
    assert!(offset_of!(ResetDebugSessionOutput, target_ip) == 4);
    assert!(offset_of!(ResetDebugSessionOutput, host_port) == 8);
    assert!(offset_of!(ResetDebugSessionOutput, target_port) == 10);
    assert!(offset_of!(ResetDebugSessionOutput, host_mac) == 12);
    assert!(offset_of!(ResetDebugSessionOutput, target_mac) == 18);
};

bitflags::bitflags! {
    /// Output of [`EXT_QUERY_CAPABILITIES`](crate::CallCode::EXT_QUERY_CAPABILITIES), 8 bytes: which other extended
    /// calls there are.
    ///
    /// Source: TLFS "HvExtCallQueryCapabilities".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ExtendedCapabilities: u64 {
        /// [`EXT_GET_BOOT_ZEROED_MEMORY`](crate::CallCode::EXT_GET_BOOT_ZEROED_MEMORY).
        const GET_BOOT_ZEROED_MEMORY = 1 << 0;
        /// [`EXT_MEMORY_HEAT_HINT`](crate::CallCode::EXT_MEMORY_HEAT_HINT).
        const MEMORY_HEAT_HINT = 1 << 1;
        /// [`EXT_EPF_SETUP`](crate::CallCode::EXT_EPF_SETUP).
        const EPF_SETUP = 1 << 2;
        /// Set up the scheduler's assistance.
        const SCHEDULER_ASSIST_SETUP = 1 << 3;
        /// [`EXT_MEMORY_HEAT_HINT_ASYNC`](crate::CallCode::EXT_MEMORY_HEAT_HINT_ASYNC).
        const MEMORY_HEAT_HINT_ASYNC = 1 << 4;
        /// Memory told as cold is given back to the host. Source: Linux `HV_EXT_CAPABILITY_MEMORY_COLD_DISCARD_HINT`.
        const MEMORY_COLD_DISCARD_HINT = 1 << 8;
        const _ = !0;
    }
}
