//! What a host sends.

use core::fmt;

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::bytes;
use super::framed::{Framed, head, info};
use super::packet::{PacketMessage, packet, put_packet};
use super::put::{length_of, put};
use crate::wire::error::{BufferTooSmall, DecodeError};
use crate::wire::rndis::{
    Complete, IndicateStatus, InitializeComplete, KeepaliveRequest, MessageType, QueryComplete, ResetComplete,
};

/// What a host sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostMessage<'a> {
    /// A frame.
    Packet(PacketMessage<'a>),
    /// Answers [`GuestMessage::Initialize`](super::GuestMessage::Initialize).
    InitializeComplete(InitializeComplete),
    /// Answers [`GuestMessage::Query`](super::GuestMessage::Query) with the information buffer; its offset and length
    /// fields are computed when the message is encoded.
    QueryComplete(QueryComplete, &'a [u8]),
    /// Answers [`GuestMessage::Set`](super::GuestMessage::Set).
    SetComplete(Complete),
    /// Answers [`GuestMessage::Reset`](super::GuestMessage::Reset).
    ResetComplete(ResetComplete),
    /// Tells of a change, with the status buffer.
    IndicateStatus(IndicateStatus, &'a [u8]),
    /// Answers [`GuestMessage::Keepalive`](super::GuestMessage::Keepalive).
    KeepaliveComplete(Complete),
    /// Answers [`GuestMessage::SetEx`](super::GuestMessage::SetEx).
    SetExComplete(QueryComplete, &'a [u8]),
    /// Is anyone there.
    Keepalive(KeepaliveRequest),
}

impl<'a> Framed<'a> {
    /// Decodes the message as a host's.
    ///
    /// # Errors
    ///
    /// The body is too short, an offset leads out of it, or no host sends this type.
    #[inline]
    pub fn host(&self) -> Result<HostMessage<'a>, DecodeError> {
        let body = self.body;
        Ok(match self.message_type {
            MessageType::PACKET => HostMessage::Packet(packet(body)?),
            MessageType::INITIALIZE_COMPLETE => {
                HostMessage::InitializeComplete(head("INITIALIZE_CMPLT", body)?)
            }
            MessageType::QUERY_COMPLETE => {
                let answer: QueryComplete = head("QUERY_CMPLT", body)?;
                let buffer = info("QUERY_CMPLT buffer", body, answer.info_offset, answer.info_length)?;
                HostMessage::QueryComplete(answer, buffer)
            }
            MessageType::SET_COMPLETE => HostMessage::SetComplete(head("SET_CMPLT", body)?),
            MessageType::RESET_COMPLETE => HostMessage::ResetComplete(head("RESET_CMPLT", body)?),
            MessageType::INDICATE_STATUS => {
                let status: IndicateStatus = head("INDICATE", body)?;
                let buffer = info(
                    "INDICATE buffer",
                    body,
                    status.buffer_offset,
                    status.buffer_length,
                )?;
                HostMessage::IndicateStatus(status, buffer)
            }
            MessageType::KEEPALIVE_COMPLETE => HostMessage::KeepaliveComplete(head("KEEPALIVE_CMPLT", body)?),
            MessageType::KEEPALIVE => HostMessage::Keepalive(head("KEEPALIVE", body)?),
            MessageType::SET_EX_COMPLETE => {
                let answer: QueryComplete = head("SET_EX_CMPLT", body)?;
                let buffer = info(
                    "SET_EX_CMPLT buffer",
                    body,
                    answer.info_offset,
                    answer.info_length,
                )?;
                HostMessage::SetExComplete(answer, buffer)
            }
            other => return Err(DecodeError::RndisType(other)),
        })
    }
}

fn put_answer<'o>(
    out: &'o mut [u8],
    message_type: MessageType,
    answer: &QueryComplete,
    buffer: &[u8],
) -> Result<&'o [u8], BufferTooSmall> {
    let answer = QueryComplete {
        info_length: length_of(buffer),
        info_offset: U32::new(16),
        ..*answer
    };
    put(out, message_type, answer.as_bytes(), [buffer, &[]])
}

impl<'a> HostMessage<'a> {
    /// Reads one message that fills all of `bytes`.
    ///
    /// # Errors
    ///
    /// See [`Framed::split`] and [`Framed::host`]; bytes after the message are refused, too.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Framed::alone(bytes)?.host()
    }

    /// The type of this message.
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Packet(_) => MessageType::PACKET,
            Self::InitializeComplete(_) => MessageType::INITIALIZE_COMPLETE,
            Self::QueryComplete(..) => MessageType::QUERY_COMPLETE,
            Self::SetComplete(_) => MessageType::SET_COMPLETE,
            Self::ResetComplete(_) => MessageType::RESET_COMPLETE,
            Self::IndicateStatus(..) => MessageType::INDICATE_STATUS,
            Self::Keepalive(_) => MessageType::KEEPALIVE,
            Self::KeepaliveComplete(_) => MessageType::KEEPALIVE_COMPLETE,
            Self::SetExComplete(..) => MessageType::SET_EX_COMPLETE,
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
            Self::InitializeComplete(body) => put(out, message_type, body.as_bytes(), [&[], &[]]),
            Self::QueryComplete(answer, buffer) | Self::SetExComplete(answer, buffer) => {
                put_answer(out, message_type, answer, buffer)
            }
            Self::Keepalive(body) => put(out, message_type, body.as_bytes(), [&[], &[]]),
            Self::SetComplete(body) | Self::KeepaliveComplete(body) => {
                put(out, message_type, body.as_bytes(), [&[], &[]])
            }
            Self::ResetComplete(body) => put(out, message_type, body.as_bytes(), [&[], &[]]),
            Self::IndicateStatus(status, buffer) => {
                let offset = if buffer.is_empty() { 0 } else { 12 };
                let body = IndicateStatus {
                    status: status.status,
                    buffer_length: length_of(buffer),
                    buffer_offset: U32::new(offset),
                };
                put(out, message_type, body.as_bytes(), [buffer, &[]])
            }
        }
    }
}

impl fmt::Display for HostMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message_type())?;
        match self {
            Self::Packet(packet) => write!(f, "{packet}"),
            Self::InitializeComplete(m) => {
                let (packets, align) = (m.max_packets_per_message, m.packet_alignment_factor);
                write!(
                    f,
                    " id {} {} packets {packets} align 2^{align}",
                    m.request_id, m.status
                )
            }
            Self::QueryComplete(m, buffer) | Self::SetExComplete(m, buffer) => {
                write!(f, " id {} {}", m.request_id, m.status)?;
                bytes(f, buffer)
            }
            Self::Keepalive(m) => write!(f, " id {}", m.request_id),
            Self::SetComplete(m) | Self::KeepaliveComplete(m) => {
                write!(f, " id {} {}", m.request_id, m.status)
            }
            Self::ResetComplete(m) => write!(f, " {} addressing reset {}", m.status, m.addressing_reset),
            Self::IndicateStatus(m, buffer) => {
                write!(f, " {}", m.status)?;
                bytes(f, buffer)
            }
        }
    }
}
