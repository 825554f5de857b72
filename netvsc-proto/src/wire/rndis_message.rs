//! RNDIS messages as two enums: what a guest sends and what a host sends. The wrong one does not decode.

use core::fmt;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::error::{BufferTooSmall, DecodeError};
use super::ppi::PpiWalk;
use super::rndis::{
    Complete, HEADER_LEN, HaltRequest, IndicateStatus, InitializeComplete, InitializeRequest,
    KeepaliveRequest, MessageHeader, MessageType, OidRequest, Packet, QueryComplete, ResetComplete,
    ResetRequest,
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
    /// Answers [`HostMessage::Keepalive`].
    KeepaliveComplete(Complete),
}

/// What a host sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostMessage<'a> {
    /// A frame.
    Packet(PacketMessage<'a>),
    /// Answers [`GuestMessage::Initialize`].
    InitializeComplete(InitializeComplete),
    /// Answers [`GuestMessage::Query`] with the information buffer; its offset and length fields are computed when
    /// the message is encoded.
    QueryComplete(QueryComplete, &'a [u8]),
    /// Answers [`GuestMessage::Set`].
    SetComplete(Complete),
    /// Answers [`GuestMessage::Reset`].
    ResetComplete(ResetComplete),
    /// Tells of a change, with the status buffer.
    IndicateStatus(IndicateStatus, &'a [u8]),
    /// Answers [`GuestMessage::Keepalive`].
    KeepaliveComplete(Complete),
    /// Answers [`GuestMessage::SetEx`].
    SetExComplete(QueryComplete, &'a [u8]),
    /// Is anyone there.
    Keepalive(KeepaliveRequest),
}

/// A frame and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketMessage<'a> {
    /// Per-packet info.
    pub ppi: &'a [u8],
    /// The frame.
    pub data: &'a [u8],
}

impl<'a> PacketMessage<'a> {
    /// The per-packet info records.
    pub fn records(&self) -> PpiWalk<'a> {
        PpiWalk::new(self.ppi)
    }
}

/// One message of a transfer, not yet decoded, and what follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// Which message.
    pub message_type: MessageType,
    /// The message after its header, padding included.
    pub body: &'a [u8],
    /// What follows the message.
    pub rest: &'a [u8],
}

impl<'a> Framed<'a> {
    /// Splits the first message off.
    ///
    /// # Errors
    ///
    /// The header is cut off, or the length in it is below a header or beyond the bytes.
    #[inline]
    pub fn split(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let what = "RNDIS message";
        let got = bytes.len();
        let (header, _) = MessageHeader::read_from_prefix(bytes).map_err(|_| DecodeError::Short {
            what,
            needed: HEADER_LEN,
            got,
        })?;
        let needed = usize::try_from(header.message_length.get()).unwrap_or(usize::MAX);
        let (message, rest) =
            bytes
                .split_at_checked(needed)
                .ok_or(DecodeError::Short { what, needed, got })?;
        let body = message.get(HEADER_LEN..).ok_or(DecodeError::Short {
            what,
            needed: HEADER_LEN,
            got: needed,
        })?;
        Ok(Self {
            message_type: header.message_type,
            body,
            rest,
        })
    }

    /// Refuses bytes after the message.
    fn alone(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let framed = Self::split(bytes)?;
        if framed.rest.is_empty() {
            return Ok(framed);
        }
        let limit = bytes.len().saturating_sub(framed.rest.len());
        Err(DecodeError::Long {
            what: "RNDIS message",
            limit,
            got: bytes.len(),
        })
    }

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

fn head<T: FromBytes + KnownLayout + Immutable>(what: &'static str, body: &[u8]) -> Result<T, DecodeError> {
    T::read_from_prefix(body)
        .map(|(head, _)| head)
        .map_err(|_| DecodeError::Short {
            what,
            needed: size_of::<T>().saturating_add(HEADER_LEN),
            got: body.len().saturating_add(HEADER_LEN),
        })
}

/// The part of a body that an offset and a length name. With length 0 the offset means nothing.
fn info<'a>(what: &'static str, body: &'a [u8], offset: U32, length: U32) -> Result<&'a [u8], DecodeError> {
    let (offset, length) = (offset.get(), length.get());
    if length == 0 {
        return Ok(&[]);
    }
    usize::try_from(offset)
        .ok()
        .zip(usize::try_from(length).ok())
        .and_then(|(offset, length)| body.get(offset..)?.get(..length))
        .ok_or(DecodeError::OutOfBounds {
            what,
            offset,
            length,
            within: body.len(),
        })
}

/// As [`info`], and not inside of the packet's own head, where no sender puts it.
fn after_head<'a>(
    what: &'static str,
    body: &'a [u8],
    offset: U32,
    length: U32,
) -> Result<&'a [u8], DecodeError> {
    let inside = usize::try_from(offset.get()).is_ok_and(|offset| offset < size_of::<Packet>());
    if inside && length.get() != 0 {
        let (offset, length) = (offset.get(), length.get());
        return Err(DecodeError::OutOfBounds {
            what,
            offset,
            length,
            within: body.len(),
        });
    }
    info(what, body, offset, length)
}

fn packet(body: &[u8]) -> Result<PacketMessage<'_>, DecodeError> {
    let packet: Packet = head("PACKET", body)?;
    after_head(
        "PACKET out-of-band data",
        body,
        packet.oob_offset,
        packet.oob_length,
    )?;
    Ok(PacketMessage {
        ppi: after_head(
            "PACKET per-packet info",
            body,
            packet.ppi_offset,
            packet.ppi_length,
        )?,
        data: after_head("PACKET data", body, packet.data_offset, packet.data_length)?,
    })
}

/// Writes header, body and tails to the start of `out`.
fn put<'o>(
    out: &'o mut [u8],
    message_type: MessageType,
    body: &[u8],
    tails: [&[u8]; 2],
) -> Result<&'o [u8], BufferTooSmall> {
    let got = out.len();
    let needed = tails
        .iter()
        .fold(HEADER_LEN.saturating_add(body.len()), |sum, tail| {
            sum.saturating_add(tail.len())
        });
    let message = out.get_mut(..needed).ok_or(BufferTooSmall { needed, got })?;
    let message_length = u32::try_from(needed).map_err(|_| BufferTooSmall { needed, got })?;
    let header = MessageHeader {
        message_type,
        message_length: U32::new(message_length),
    };
    let parts = header
        .as_bytes()
        .iter()
        .chain(body)
        .chain(tails.into_iter().flatten());
    for (target, byte) in message.iter_mut().zip(parts) {
        *target = *byte;
    }
    Ok(message)
}

fn length_of(bytes: &[u8]) -> U32 {
    U32::new(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
}

/// The head of a packet message with per-packet info first and the frame behind it.
pub(crate) fn packet_head(ppi_length: u32, data_length: u32) -> Packet {
    let head = 36;
    Packet {
        data_offset: U32::new(ppi_length.saturating_add(head)),
        data_length: U32::new(data_length),
        ppi_offset: U32::new(if ppi_length == 0 { 0 } else { head }),
        ppi_length: U32::new(ppi_length),
        ..Packet::default()
    }
}

fn put_packet<'o>(out: &'o mut [u8], packet: &PacketMessage<'_>) -> Result<&'o [u8], BufferTooSmall> {
    let head = packet_head(length_of(packet.ppi).get(), length_of(packet.data).get());
    put(
        out,
        MessageType::PACKET,
        head.as_bytes(),
        [packet.ppi, packet.data],
    )
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

impl fmt::Display for PacketMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " {} bytes", self.data.len())?;
        for record in self.records() {
            match record {
                Ok(ppi) => write!(f, " {}", ppi.kind)?,
                Err(fault) => write!(f, " ({fault})")?,
            }
        }
        Ok(())
    }
}

/// The first bytes of a buffer in hexadecimal, and how many there are.
fn bytes(f: &mut fmt::Formatter<'_>, buffer: &[u8]) -> fmt::Result {
    if buffer.is_empty() {
        return Ok(());
    }
    write!(f, " {} bytes", buffer.len())?;
    for (index, byte) in buffer.iter().take(16).enumerate() {
        write!(f, "{}{byte:02x}", if index % 4 == 0 { " " } else { "" })?;
    }
    f.write_str(if buffer.len() > 16 { " .." } else { "" })
}

/// Numbers in a row.
pub(super) fn array(f: &mut fmt::Formatter<'_>, numbers: &[U32]) -> fmt::Result {
    for number in numbers {
        write!(f, " {number}")?;
    }
    Ok(())
}
