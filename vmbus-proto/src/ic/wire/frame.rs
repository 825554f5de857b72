//! Framing: the two headers before every message, its status, and why a packet holds none.

use core::fmt;

use thiserror::Error;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{NoRoom, Version};
use crate::wire::macros::{wire_number, wire_struct};
use crate::wire::writer::Writer;
use crate::wire::{PipeError, PipeHeader};

/// Bytes of the longest packet of any service.
///
/// Source: OpenVMM `hyperv_ic_protocol`, `MAX_MESSAGE_SIZE`.
pub const PACKET_MAX: usize = 13_312;

/// Bytes of the two headers.
pub const HEADERS_SIZE: usize = size_of::<PipeHeader>().saturating_add(size_of::<MessageHeader>());
const _: () = assert!(HEADERS_SIZE == 28);

wire_number! {
    /// Which service a message is of, or that it negotiates versions.
    ///
    /// Sources: Linux `include/linux/hyperv.h`, `ICMSGTYPE_*`; OpenVMM `hyperv_ic_protocol` for 6 and 8.
    pub struct MessageType(U16: u16), "{}" {
        /// Framework and message versions, on the channel of any service.
        NEGOTIATE = 0,
        /// Heartbeat.
        HEARTBEAT = 1,
        /// Key-value pairs.
        KVP_EXCHANGE = 2,
        /// Orderly shutdown, restart, hibernation.
        SHUTDOWN = 3,
        /// Time.
        TIME_SYNC = 4,
        /// Volume snapshots for backup.
        VSS = 5,
        /// Remote desktop virtualization.
        REMOTE_DESKTOP = 6,
        /// File copy.
        FILE_COPY = 7,
        /// Sessions between VM and host.
        VM_SESSION = 8,
    }
}

wire_number! {
    /// How a request went: an HRESULT, 0 for success.
    ///
    /// Sources: Linux `include/uapi/linux/hyperv.h`, `HV_*`; OpenVMM `hyperv_ic_protocol`.
    pub struct Status(U32: u32), "{:#x}" {
        /// Done.
        SUCCESS = 0,
        /// No such GUID: an adapter, for instance.
        GUID_NOT_FOUND = 0x8004_1002,
        /// Failed, no more is known.
        FAIL = 0x8000_4005,
        /// The guest knows no such request.
        NOT_SUPPORTED = 0x8007_0032,
        /// The file is there already.
        ALREADY_EXISTS = 0x8007_0050,
        /// The request makes no sense.
        INVALID_ARGUMENT = 0x8007_0057,
        /// No room for the file.
        DISK_FULL = 0x8007_0070,
        /// An enumeration is at its end. Linux names it `HV_S_CONT`.
        NO_MORE_ITEMS = 0x8007_0103,
        /// The device is not connected.
        DEVICE_NOT_CONNECTED = 0x8007_048f,
        /// The machine is locked.
        MACHINE_LOCKED = 0x8007_04f7,
    }
}

bitflags::bitflags! {
    /// What a message is in its transaction.
    ///
    /// Source: Linux `ICMSGHDRFLAG_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MessageFlags: u8 {
        /// It is one of a pair, request and response.
        const TRANSACTION = 0x1;
        /// It is the request.
        const REQUEST = 0x2;
        /// It is the response.
        const RESPONSE = 0x4;
        const _ = !0;
    }
}

wire_struct! {
    /// The header of a message, after the pipe's.
    ///
    /// Source: Linux `struct icmsg_hdr`.
    pub struct MessageHeader at 0, 20 bytes {
        /// Version of the framework that was agreed on; zero while it is negotiated.
        0: framework: Version,
        /// What the message is.
        4: message_type: MessageType,
        /// Version of the service's messages that was agreed on; zero while it is negotiated.
        6: version: Version,
        /// Bytes of the body.
        10: size: U16,
        /// In a response, how the request went.
        12: status: Status,
        /// In a response, that of the request.
        16: transaction_id: u8,
        /// [`MessageFlags`].
        17: flags: u8,
        /// 0.
        18: reserved: [u8; 2],
    }
}

impl MessageHeader {
    /// The flags, unknown ones included.
    #[must_use]
    pub const fn flags(&self) -> MessageFlags {
        MessageFlags::from_bits_retain(self.flags)
    }
}

/// Who a message is for and what it belongs to: all of the header that does not follow from the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Version of the framework.
    pub framework: Version,
    /// Version of the service's messages.
    pub version: Version,
    /// In a response, how the request went.
    pub status: Status,
    /// In a response, that of the request.
    pub transaction_id: u8,
    /// Flags; which of the two directions it is follows from the message.
    pub flags: MessageFlags,
}

/// A packet taken apart. The body is as it came, and none of the directions is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The message's header.
    pub header: MessageHeader,
    /// As many bytes as the header says.
    pub body: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Takes the headers off a packet's payload, which therefore must be a private copy.
    ///
    /// # Errors
    /// When a header is not all there, or says that more bytes follow than do.
    pub fn decode(payload: &'a [u8]) -> Result<Self, DecodeError> {
        let (_, message) = PipeHeader::split(payload)?;
        let (header, rest) = MessageHeader::read_from_prefix(message).map_err(|_| DecodeError::NoHeader {
            len: message.len(),
            needed: size_of::<MessageHeader>(),
        })?;
        let size = header.size.get();
        match rest.get(..usize::from(size)) {
            Some(body) => Ok(Self { header, body }),
            None => Err(DecodeError::Size {
                message_type: header.message_type,
                size,
                len: rest.len(),
            }),
        }
    }

    /// What the header says besides type and size.
    #[must_use]
    pub const fn envelope(&self) -> Envelope {
        Envelope {
            framework: self.header.framework,
            version: self.header.version,
            status: self.header.status,
            transaction_id: self.header.transaction_id,
            flags: self.header.flags(),
        }
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("header", &self.header)
            .field("body_len", &self.body.len())
            .finish()
    }
}

/// Why a packet is no message of the expected direction: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The pipe's header is not all there, or says that more follows than does.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// Fewer bytes than the message's header has.
    #[error("a message of {len} bytes, of which its header takes {needed}")]
    NoHeader {
        /// Bytes of the message.
        len: usize,
        /// Bytes of the header.
        needed: usize,
    },
    /// The header says that more bytes follow than there are.
    #[error("{message_type} says that its body has {size} bytes, and {len} are there")]
    Size {
        /// The message's type.
        message_type: MessageType,
        /// Bytes that the header says.
        size: u16,
        /// Bytes that there are.
        len: usize,
    },
    /// A response where requests come, or the other way round.
    #[error("{message_type} with flags {flags:#x} goes the other way")]
    WrongDirection {
        /// The message's type.
        message_type: MessageType,
        /// Its flags.
        flags: u8,
    },
    /// The body is shorter or longer than such a body can be.
    #[error("{message_type} with a body of {len} bytes; it has {least} to {most}")]
    Length {
        /// The message's type.
        message_type: MessageType,
        /// Bytes of the body.
        len: usize,
        /// The fewest that it may have.
        least: usize,
        /// The most.
        most: usize,
    },
    /// More versions than there are bytes for.
    #[error("{frameworks} framework and {messages} message versions in {len} bytes")]
    VersionCounts {
        /// Framework versions.
        frameworks: u16,
        /// Message versions.
        messages: u16,
        /// Bytes that hold them.
        len: usize,
    },
    /// An answer to a negotiation that chooses neither one version of each nor none.
    #[error("{frameworks} framework and {messages} message versions are chosen, not one of each")]
    Choice {
        /// Framework versions.
        frameworks: u16,
        /// Message versions.
        messages: u16,
    },
    /// A field's size or an array's count goes beyond it.
    #[error("{message_type} says that {field} has {count}, of which {most} are the most")]
    Field {
        /// The message's type.
        message_type: MessageType,
        /// Which field.
        field: &'static str,
        /// What is said of it.
        count: u32,
        /// The most there can be.
        most: usize,
    },
}

/// Puts a message with its headers into `out`: those of a body of unknown length are filled in after it.
pub(crate) fn encode<'o>(
    out: &'o mut [u8],
    envelope: &Envelope,
    message_type: MessageType,
    flags: MessageFlags,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), NoRoom>,
) -> Result<&'o [u8], NoRoom> {
    let room = out.len();
    let no_room = NoRoom { len: room };
    let (head, rest) = out.split_at_mut_checked(HEADERS_SIZE).ok_or(no_room)?;
    let mut writer = Writer::new(rest);
    body(&mut writer)?;
    let len = writer.len();
    let size = u16::try_from(len).map_err(|_| no_room)?;
    let header = MessageHeader {
        framework: envelope.framework,
        message_type,
        version: envelope.version,
        size: U16::new(size),
        status: envelope.status,
        transaction_id: envelope.transaction_id,
        flags: flags.bits(),
        reserved: [0; 2],
    };
    let pipe = PipeHeader::data(len.saturating_add(size_of::<MessageHeader>())).ok_or(no_room)?;
    let mut headers = Writer::new(head);
    headers.put(pipe.as_bytes())?;
    headers.put(header.as_bytes())?;
    out.get(..HEADERS_SIZE.saturating_add(len)).ok_or(no_room)
}

/// A body of fixed size whose end may be missing, and then is zeros: `least` to `most` bytes came, of which those beyond `T` mean nothing.
pub(crate) fn padded<T: FromZeros + IntoBytes + FromBytes>(
    message_type: MessageType,
    body: &[u8],
    least: usize,
    most: usize,
) -> Result<T, DecodeError> {
    judge(message_type, body, least, most)?;
    let mut value = T::new_zeroed();
    for (to, from) in value.as_mut_bytes().iter_mut().zip(body) {
        *to = *from;
    }
    Ok(value)
}

/// A body that begins with a `T`, and may have up to `most` bytes.
pub(crate) fn prefix<T: FromBytes + KnownLayout + Immutable + Unaligned>(
    message_type: MessageType,
    body: &[u8],
    most: usize,
) -> Result<(&T, &[u8]), DecodeError> {
    let least = size_of::<T>();
    judge(message_type, body, least, most)?;
    T::ref_from_prefix(body).map_err(|_| length(message_type, body, least, most))
}

fn judge(message_type: MessageType, body: &[u8], least: usize, most: usize) -> Result<(), DecodeError> {
    if (least..=most).contains(&body.len()) {
        Ok(())
    } else {
        Err(length(message_type, body, least, most))
    }
}

const fn length(message_type: MessageType, body: &[u8], least: usize, most: usize) -> DecodeError {
    DecodeError::Length {
        message_type,
        len: body.len(),
        least,
        most,
    }
}

/// Judges a size or count that stands beside a field.
pub(crate) fn within(
    message_type: MessageType,
    field: &'static str,
    count: u32,
    most: usize,
) -> Result<(), DecodeError> {
    match usize::try_from(count) {
        Ok(count) if count <= most => Ok(()),
        _ => Err(DecodeError::Field {
            message_type,
            field,
            count,
            most,
        }),
    }
}
