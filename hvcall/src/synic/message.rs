//! Messages: what stands in a slot of the SynIC message page (SIMP).

use core::fmt;
use core::mem::{offset_of, size_of};

use thiserror::Error;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{MessageType, SINT_COUNT};

/// Bytes of payload that a message can carry.
pub const MESSAGE_PAYLOAD_MAX: usize = 240;
/// Bytes of a message and of a slot of the message page.
pub const MESSAGE_SIZE: usize = 256;

/// Flags of a message in its slot.
///
/// Source: TLFS "SynIC Message Flags"; Linux `union hv_message_flags`.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct MessageFlags(u8);

bitflags::bitflags! {
    impl MessageFlags: u8 {
        /// More messages wait for this slot: after clearing the message type, the guest must write EOM.
        const PENDING = 1 << 0;
        const _ = !0;
    }
}

impl fmt::Debug for MessageFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageFlags(")?;
        bitflags::parser::to_writer(self, &mut *f)?;
        f.write_str(")")
    }
}

/// The first 16 bytes of a slot.
///
/// Source: TLFS "SynIC Message Format"; Linux `struct hv_message_header`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct MessageHeader {
    /// What the message is, as a [`MessageType`]; 0 while the slot is free. It is written last by the host and
    /// cleared by the guest.
    pub message_type: U32,
    /// Bytes of the payload that count, 0 to 240.
    pub payload_size: u8,
    /// [`MessageFlags`].
    pub flags: MessageFlags,
    /// Zero.
    pub reserved: U16,
    /// Who sent it: the port's id for a posted message (low 24 bits), the partition's id for an intercept, 0 for a
    /// timer.
    pub sender: U64,
}

const _: () = {
    assert!(size_of::<MessageHeader>() == 16);
    assert!(offset_of!(MessageHeader, message_type) == 0);
    assert!(offset_of!(MessageHeader, payload_size) == 4);
    assert!(offset_of!(MessageHeader, flags) == 5);
    assert!(offset_of!(MessageHeader, reserved) == 6);
    assert!(offset_of!(MessageHeader, sender) == 8);
};

/// A message as it stands in a slot of the message page, 256 bytes.
///
/// Source: TLFS "SynIC Message Format"; Linux `struct hv_message`.
#[derive(Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Message {
    /// Type, size, flags and sender.
    pub header: MessageHeader,
    /// The payload; only the first [`payload_size`](MessageHeader::payload_size) bytes count.
    pub payload: [u8; MESSAGE_PAYLOAD_MAX],
}

const _: () = {
    assert!(size_of::<Message>() == MESSAGE_SIZE);
    assert!(offset_of!(Message, header) == 0);
    assert!(offset_of!(Message, payload) == 16);
};

impl Message {
    /// A message of this type, from this port or sender, with a copy of `payload`.
    ///
    /// # Errors
    /// When the payload is longer than [`MESSAGE_PAYLOAD_MAX`], or the type says that there is no message.
    pub fn new(message_type: MessageType, port_or_sender: u64, payload: &[u8]) -> Result<Self, MessageError> {
        if message_type == MessageType::NONE {
            return Err(MessageError::NoType);
        }
        let too_long = MessageError::PayloadTooLong { len: payload.len() };
        let mut bytes = [0; MESSAGE_PAYLOAD_MAX];
        bytes
            .get_mut(..payload.len())
            .ok_or(too_long)?
            .copy_from_slice(payload);
        Ok(Self {
            header: MessageHeader {
                message_type: U32::new(message_type.0),
                payload_size: u8::try_from(payload.len()).map_err(|_| too_long)?,
                flags: MessageFlags::empty(),
                reserved: U16::ZERO,
                sender: U64::new(port_or_sender),
            },
            payload: bytes,
        })
    }

    /// What the message is.
    #[must_use]
    pub fn message_type(&self) -> MessageType {
        MessageType(self.header.message_type.get())
    }

    /// The bytes of the payload that count, or `None` when the header claims more than a message can hold.
    #[must_use]
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.get(..usize::from(self.header.payload_size))
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("message_type", &self.message_type())
            .field("flags", &self.header.flags)
            .field("sender", &self.header.sender.get())
            .field("payload_size", &self.header.payload_size)
            .field("payload", &self.payload().unwrap_or(&self.payload))
            .finish()
    }
}

/// What the caller gave makes no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The payload does not fit.
    #[error("a payload of {len} bytes does not fit a message, which holds {MESSAGE_PAYLOAD_MAX}")]
    PayloadTooLong {
        /// Bytes of the payload.
        len: usize,
    },
    /// The type is [`MessageType::NONE`], which stands for a free slot.
    #[error("a message of type 0 would look like a free slot")]
    NoType,
    /// The type is one that only the hypervisor sends, and a guest would post it.
    #[error("a guest cannot post a message of type {message_type}")]
    HypervisorType {
        /// The type.
        message_type: MessageType,
    },
}

/// The message page (SIMP): a slot for each SINT.
///
/// Source: TLFS "SIM Page"; Linux `struct hv_message_page`.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct MessagePage {
    /// The slots, by SINT.
    pub slots: [Message; SINT_COUNT],
}

const _: () = assert!(size_of::<MessagePage>() == 4096);
