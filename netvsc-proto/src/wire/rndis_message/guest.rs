//! What a guest sends.

use core::fmt;

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::bytes;
use super::framed::{Framed, head, info};
use super::packet::{PacketMessage, packet, put_packet};
use super::put::{length_of, put};
use crate::wire::error::{BufferTooSmall, DecodeError};
use crate::wire::rndis::{
    Complete, HaltRequest, InitializeRequest, KeepaliveRequest, MessageType, OidRequest, ResetRequest,
};

/// What a guest sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestMessage<'a> {
    /// A frame.
    Packet(PacketMessage<'a>),
    /// Begins.
    Initialize(InitializeRequest),
    /// Ends.
    Halt(HaltRequest),
    /// Asks an OID; the information buffer may qualify the question.
    Query(OidRequest, &'a [u8]),
    /// Sets an OID to the information buffer.
    Set(OidRequest, &'a [u8]),
    /// Asks for a reset.
    Reset(ResetRequest),
    /// Is anyone there.
    Keepalive(KeepaliveRequest),
    /// Sets an OID and wants data back.
    SetEx(OidRequest, &'a [u8]),
    /// Answers [`HostMessage::Keepalive`](super::HostMessage::Keepalive).
    KeepaliveComplete(Complete),
}

impl<'a> Framed<'a> {
    /// Decodes the message as a guest's.
    ///
    /// # Errors
    ///
    /// The body is too short, an offset leads out of it, or no guest sends this type.
    #[inline]
    pub fn guest(&self) -> Result<GuestMessage<'a>, DecodeError> {
        let body = self.body;
        Ok(match self.message_type {
            MessageType::PACKET => GuestMessage::Packet(packet(body)?),
            MessageType::INITIALIZE => GuestMessage::Initialize(head("INITIALIZE", body)?),
            MessageType::HALT => GuestMessage::Halt(head("HALT", body)?),
            MessageType::QUERY => {
                let request: OidRequest = head("QUERY", body)?;
                GuestMessage::Query(
                    request,
                    info("QUERY buffer", body, request.info_offset, request.info_length)?,
                )
            }
            MessageType::SET => {
                let request: OidRequest = head("SET", body)?;
                GuestMessage::Set(
                    request,
                    info("SET buffer", body, request.info_offset, request.info_length)?,
                )
            }
            MessageType::RESET => GuestMessage::Reset(head("RESET", body)?),
            MessageType::KEEPALIVE => GuestMessage::Keepalive(head("KEEPALIVE", body)?),
            MessageType::KEEPALIVE_COMPLETE => {
                GuestMessage::KeepaliveComplete(head("KEEPALIVE_CMPLT", body)?)
            }
            MessageType::SET_EX => {
                let request: OidRequest = head("SET_EX", body)?;
                GuestMessage::SetEx(
                    request,
                    info("SET_EX buffer", body, request.info_offset, request.info_length)?,
                )
            }
            other => return Err(DecodeError::RndisType(other)),
        })
    }
}

fn put_oid<'o>(
    out: &'o mut [u8],
    message_type: MessageType,
    request: &OidRequest,
    buffer: &[u8],
) -> Result<&'o [u8], BufferTooSmall> {
    let request = OidRequest {
        info_length: length_of(buffer),
        info_offset: U32::new(20),
        ..*request
    };
    put(out, message_type, request.as_bytes(), [buffer, &[]])
}

impl<'a> GuestMessage<'a> {
    /// Reads one message that fills all of `bytes`.
    ///
    /// # Errors
    ///
    /// See [`Framed::split`] and [`Framed::guest`]; bytes after the message are refused, too.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Framed::alone(bytes)?.guest()
    }

    /// The type of this message.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Packet(_) => MessageType::PACKET,
            Self::Initialize(_) => MessageType::INITIALIZE,
            Self::Halt(_) => MessageType::HALT,
            Self::Query(..) => MessageType::QUERY,
            Self::Set(..) => MessageType::SET,
            Self::Reset(_) => MessageType::RESET,
            Self::Keepalive(_) => MessageType::KEEPALIVE,
            Self::KeepaliveComplete(_) => MessageType::KEEPALIVE_COMPLETE,
            Self::SetEx(..) => MessageType::SET_EX,
        }
    }

    /// Writes the message to the start of `out`. Lengths and offsets are computed.
    ///
    /// # Errors
    ///
    /// `out` is too small.
    pub fn encode<'o>(&self, out: &'o mut [u8]) -> Result<&'o [u8], BufferTooSmall> {
        let message_type = self.message_type();
        match self {
            Self::Packet(packet) => put_packet(out, packet),
            Self::Initialize(body) => put(out, message_type, body.as_bytes(), [&[], &[]]),
            Self::Halt(body) => put(out, message_type, body.as_bytes(), [&[], &[]]),
            Self::Query(request, buffer) | Self::Set(request, buffer) | Self::SetEx(request, buffer) => {
                put_oid(out, message_type, request, buffer)
            }
            Self::Reset(body) => put(out, message_type, body.as_bytes(), [&[], &[]]),
            Self::Keepalive(body) => put(out, message_type, body.as_bytes(), [&[], &[]]),
            Self::KeepaliveComplete(body) => put(out, message_type, body.as_bytes(), [&[], &[]]),
        }
    }
}

impl fmt::Display for GuestMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message_type())?;
        match self {
            Self::Packet(packet) => write!(f, "{packet}"),
            Self::Initialize(m) => {
                let (major, minor) = (m.major_version, m.minor_version);
                write!(
                    f,
                    " id {} version {major}.{minor} max transfer {}",
                    m.request_id, m.max_transfer_size
                )
            }
            Self::Halt(m) => write!(f, " id {}", m.request_id),
            Self::Query(m, buffer) | Self::Set(m, buffer) | Self::SetEx(m, buffer) => {
                write!(f, " id {} {}", m.request_id, m.oid)?;
                bytes(f, buffer)
            }
            Self::Reset(_) => Ok(()),
            Self::Keepalive(m) => write!(f, " id {}", m.request_id),
            Self::KeepaliveComplete(m) => write!(f, " id {} {}", m.request_id, m.status),
        }
    }
}
