//! Messages and events that a guest sends.

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::ConnectionId;
use crate::macros::wire_struct;
use crate::synic::{MESSAGE_PAYLOAD_MAX, Message, MessageError, MessageType};

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

wire_struct! {
    /// Input of [`POST_MESSAGE_DIRECT`](crate::CallCode::POST_MESSAGE_DIRECT): a whole message into a processor's slot,
    /// without a port. For a paravisor.
    ///
    /// Source: OpenVMM hvdef `PostMessageDirect`.
    pub struct PostMessageDirectInput, 280 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The [`VpIndex`](crate::VpIndex) of the processor.
        8: vp_index: U32,
        /// The virtual trust level, 0 to 15.
        12: vtl: u8,
        /// Zero.
        13: padding0: [u8; 3],
        /// The [`Sint`](crate::Sint).
        16: sint: u8,
        /// Zero.
        17: padding1: [u8; 3],
        /// The message. It stands at no multiple of 8.
        20: message: Message,
        /// Zero. Older versions of OpenVMM lack it: 276 bytes.
        276: padding2: U32,
    }
}

wire_struct! {
    /// Input of [`SIGNAL_EVENT_DIRECT`](crate::CallCode::SIGNAL_EVENT_DIRECT): a flag of a processor's event page,
    /// without a port. For a paravisor.
    ///
    /// Source: OpenVMM hvdef `SignalEventDirect`.
    pub struct SignalEventDirectInput, 16 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The [`VpIndex`](crate::VpIndex) of the processor.
        8: vp_index: U32,
        /// The virtual trust level, 0 to 15.
        12: vtl: u8,
        /// The [`Sint`](crate::Sint).
        13: sint: u8,
        /// Which flag, 0 to 2047.
        14: flag_number: U16,
    }
}

wire_struct! {
    /// Output of [`SIGNAL_EVENT_DIRECT`](crate::CallCode::SIGNAL_EVENT_DIRECT).
    ///
    /// Source: OpenVMM hvdef `SignalEventDirectOutput`.
    pub struct SignalEventDirectOutput, 8 bytes {
        /// Not 0: the flag was clear before.
        0: newly_signaled: u8,
        /// Zero.
        1: reserved: [u8; 7],
    }
}
