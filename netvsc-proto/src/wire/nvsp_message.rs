//! NVSP messages as two enums: what a guest sends and what a host sends. The wrong one does not decode.

use core::fmt;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::error::{BufferTooSmall, DecodeError};
use super::nvsp::{
    Init, InitComplete, MAX_MESSAGE_LEN, MessageType, OidQueryEx, OidQueryExComplete, RevokeBuffer,
    SEND_TABLE_LEN, SEND_TABLE_OFFSET, SendBuffer, SendIndirectionTable, SendNdisConfig, SendNdisVersion,
    SendReceiveBufferComplete, SendRndisPacket, SendRndisPacketComplete, SendSendBufferComplete,
    SendVfAssociation, SubchannelComplete, SubchannelRequest, SwitchDataPath, Version,
};
use super::packet_direct::{PdBuffer, PdComplete, PdPostBatch, PdRequest};

/// Bytes of the type that every message begins with.
const TYPE_LEN: usize = 4;

/// Bytes of a message with the send indirection table.
pub const SEND_TABLE_MESSAGE_LEN: usize = SEND_TABLE_OFFSET + SEND_TABLE_LEN * 4;

/// What a guest sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestMessage<'a> {
    /// Asks for a version.
    Init(Init),
    /// Tells its NDIS version.
    SendNdisVersion(SendNdisVersion),
    /// Lends a receive buffer.
    SendReceiveBuffer(SendBuffer),
    /// Takes it back.
    RevokeReceiveBuffer(RevokeBuffer),
    /// Lends a send buffer.
    SendSendBuffer(SendBuffer),
    /// Takes it back.
    RevokeSendBuffer(RevokeBuffer),
    /// RNDIS messages.
    SendRndisPacket(SendRndisPacket),
    /// Completes RNDIS messages of the host: the payload of a completion packet.
    SendRndisPacketComplete(SendRndisPacketComplete),
    /// Tells its MTU and capabilities.
    SendNdisConfig(SendNdisConfig),
    /// Chooses a data path.
    SwitchDataPath(SwitchDataPath),
    /// Asks an OID.
    OidQueryEx(OidQueryEx),
    /// Asks for sub-channels.
    Subchannel(SubchannelRequest),
    /// PacketDirect control.
    PdApi(PdRequest),
    /// PacketDirect buffers.
    PdPostBatch(PdBatch<'a>),
}

/// What a host sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostMessage<'a> {
    /// Answers [`GuestMessage::Init`].
    InitComplete(InitComplete),
    /// Answers [`GuestMessage::SendReceiveBuffer`].
    SendReceiveBufferComplete(SendReceiveBufferComplete),
    /// Answers [`GuestMessage::SendSendBuffer`].
    SendSendBufferComplete(SendSendBufferComplete),
    /// RNDIS messages.
    SendRndisPacket(SendRndisPacket),
    /// Completes RNDIS messages of the guest.
    SendRndisPacketComplete(SendRndisPacketComplete),
    /// A virtual function came or went.
    SendVfAssociation(SendVfAssociation),
    /// The data path was changed.
    SwitchDataPath(SwitchDataPath),
    /// Answers [`GuestMessage::OidQueryEx`].
    OidQueryExComplete(OidQueryExComplete),
    /// Answers [`GuestMessage::Subchannel`].
    Subchannel(SubchannelComplete),
    /// Which channel to send on.
    SendIndirectionTable([U32; SEND_TABLE_LEN]),
    /// Answers [`GuestMessage::PdApi`].
    PdApi(PdComplete),
    /// PacketDirect buffers.
    PdPostBatch(PdBatch<'a>),
}

/// A batch of PacketDirect buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PdBatch<'a> {
    /// [`PdBatchFlags`](super::packet_direct::PdBatchFlags).
    pub flags: U16,
    /// The buffers.
    pub buffers: &'a [PdBuffer],
}

/// Reads a message of fixed size, whose end may be padding up to [`MAX_MESSAGE_LEN`].
#[inline]
fn fixed<T: FromBytes + KnownLayout + Immutable>(what: &'static str, bytes: &[u8]) -> Result<T, DecodeError> {
    let got = bytes.len();
    if got > MAX_MESSAGE_LEN {
        return Err(DecodeError::Long {
            what,
            limit: MAX_MESSAGE_LEN,
            got,
        });
    }
    let needed = size_of::<T>().saturating_add(TYPE_LEN);
    bytes
        .get(TYPE_LEN..)
        .and_then(|body| T::read_from_prefix(body).ok())
        .map(|(body, _)| body)
        .ok_or(DecodeError::Short { what, needed, got })
}

#[inline]
fn message_type(bytes: &[u8]) -> Result<MessageType, DecodeError> {
    MessageType::read_from_prefix(bytes)
        .map(|(message_type, _)| message_type)
        .map_err(|_| DecodeError::Short {
            what: "NVSP message",
            needed: TYPE_LEN,
            got: bytes.len(),
        })
}

fn batch(bytes: &[u8]) -> Result<PdBatch<'_>, DecodeError> {
    let what = "PD_POST_BATCH";
    let got = bytes.len();
    let head = size_of::<PdPostBatch>().saturating_add(TYPE_LEN);
    let (batch, rest) = bytes
        .get(TYPE_LEN..)
        .and_then(|body| PdPostBatch::read_from_prefix(body).ok())
        .ok_or(DecodeError::Short {
            what,
            needed: head,
            got,
        })?;
    let count = usize::from(batch.count.get());
    let (buffers, _) =
        <[PdBuffer]>::ref_from_prefix_with_elems(rest, count).map_err(|_| DecodeError::Short {
            what,
            needed: size_of::<PdBuffer>().saturating_mul(count).saturating_add(head),
            got,
        })?;
    Ok(PdBatch {
        flags: batch.flags,
        buffers,
    })
}

/// Reads the send indirection table. Hosts up to version 6 may send a wrong offset; a message of theirs that is long
/// enough has the table behind the largest message (Linux `netvsc_send_table`).
fn send_table(bytes: &[u8], version: Version) -> Result<[U32; SEND_TABLE_LEN], DecodeError> {
    let what = "send indirection table";
    let got = bytes.len();
    let head = size_of::<SendIndirectionTable>().saturating_add(TYPE_LEN);
    let table = bytes
        .get(TYPE_LEN..)
        .and_then(|body| SendIndirectionTable::read_from_prefix(body).ok())
        .map(|(table, _)| table)
        .ok_or(DecodeError::Short {
            what,
            needed: head,
            got,
        })?;
    let count = table.count.get();
    if usize::try_from(count) != Ok(SEND_TABLE_LEN) {
        return Err(DecodeError::Count {
            what,
            limit: 16,
            got: count,
        });
    }
    if got > SEND_TABLE_MESSAGE_LEN {
        return Err(DecodeError::Long {
            what,
            limit: SEND_TABLE_MESSAGE_LEN,
            got,
        });
    }
    let believed = version > Version::V6 || got < SEND_TABLE_MESSAGE_LEN;
    let offset = if believed {
        usize::try_from(table.offset.get()).ok()
    } else {
        Some(SEND_TABLE_OFFSET)
    };
    offset
        .and_then(|offset| bytes.get(offset..))
        .and_then(|rest| <[U32; SEND_TABLE_LEN]>::read_from_prefix(rest).ok())
        .map(|(entries, _)| entries)
        .ok_or(DecodeError::OutOfBounds {
            what,
            offset: table.offset.get(),
            length: 64,
            within: got,
        })
}

/// Puts type and body into `out` and zeroes after them up to `length`. Inlined, so that each body is of known length.
#[inline(always)]
fn put<'o>(
    out: &'o mut [u8],
    message_type: MessageType,
    body: &[u8],
    tail: &[u8],
    length: usize,
) -> Result<&'o [u8], BufferTooSmall> {
    let used = TYPE_LEN.saturating_add(body.len()).saturating_add(tail.len());
    let needed = used.max(length);
    let got = out.len();
    let message = out.get_mut(..needed).ok_or(BufferTooSmall { needed, got })?;
    let mut rest = &mut *message;
    for part in [message_type.as_bytes(), body, tail] {
        // The message has room for all of them.
        let (target, after) = rest.split_at_mut_checked(part.len()).unwrap_or_default();
        if target.len() == part.len() {
            target.copy_from_slice(part);
        }
        rest = after;
    }
    rest.fill(0);
    Ok(message)
}

impl<'a> GuestMessage<'a> {
    /// Reads what a guest sent. Padding at the end is left alone; Linux always sends [`MAX_MESSAGE_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// The bytes are too few or too many for the message, or no guest sends this type.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(match message_type(bytes)? {
            MessageType::INIT => Self::Init(fixed("INIT", bytes)?),
            MessageType::SEND_NDIS_VERSION => Self::SendNdisVersion(fixed("SEND_NDIS_VER", bytes)?),
            MessageType::SEND_RECEIVE_BUFFER => Self::SendReceiveBuffer(fixed("SEND_RECV_BUF", bytes)?),
            MessageType::REVOKE_RECEIVE_BUFFER => Self::RevokeReceiveBuffer(fixed("REVOKE_RECV_BUF", bytes)?),
            MessageType::SEND_SEND_BUFFER => Self::SendSendBuffer(fixed("SEND_SEND_BUF", bytes)?),
            MessageType::REVOKE_SEND_BUFFER => Self::RevokeSendBuffer(fixed("REVOKE_SEND_BUF", bytes)?),
            MessageType::SEND_RNDIS_PACKET => Self::SendRndisPacket(fixed("SEND_RNDIS_PKT", bytes)?),
            MessageType::SEND_RNDIS_PACKET_COMPLETE => {
                Self::SendRndisPacketComplete(fixed("SEND_RNDIS_PKT_COMPLETE", bytes)?)
            }
            MessageType::SEND_NDIS_CONFIG => Self::SendNdisConfig(fixed("SEND_NDIS_CONFIG", bytes)?),
            MessageType::SWITCH_DATA_PATH => Self::SwitchDataPath(fixed("SWITCH_DATA_PATH", bytes)?),
            MessageType::OID_QUERY_EX => Self::OidQueryEx(fixed("OID_QUERY_EX", bytes)?),
            MessageType::SUBCHANNEL => Self::Subchannel(fixed("SUBCHANNEL", bytes)?),
            MessageType::PD_API => Self::PdApi(fixed("PD_API", bytes)?),
            MessageType::PD_POST_BATCH => Self::PdPostBatch(batch(bytes)?),
            other => return Err(DecodeError::NvspType(other)),
        })
    }

    /// The type of this message.
    #[inline]
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Init(_) => MessageType::INIT,
            Self::SendNdisVersion(_) => MessageType::SEND_NDIS_VERSION,
            Self::SendReceiveBuffer(_) => MessageType::SEND_RECEIVE_BUFFER,
            Self::RevokeReceiveBuffer(_) => MessageType::REVOKE_RECEIVE_BUFFER,
            Self::SendSendBuffer(_) => MessageType::SEND_SEND_BUFFER,
            Self::RevokeSendBuffer(_) => MessageType::REVOKE_SEND_BUFFER,
            Self::SendRndisPacket(_) => MessageType::SEND_RNDIS_PACKET,
            Self::SendRndisPacketComplete(_) => MessageType::SEND_RNDIS_PACKET_COMPLETE,
            Self::SendNdisConfig(_) => MessageType::SEND_NDIS_CONFIG,
            Self::SwitchDataPath(_) => MessageType::SWITCH_DATA_PATH,
            Self::OidQueryEx(_) => MessageType::OID_QUERY_EX,
            Self::Subchannel(_) => MessageType::SUBCHANNEL,
            Self::PdApi(_) => MessageType::PD_API,
            Self::PdPostBatch(_) => MessageType::PD_POST_BATCH,
        }
    }

    /// Writes the message to the start of `out`, padded to the length that `version` has.
    ///
    /// # Errors
    ///
    /// `out` is too small; [`MAX_MESSAGE_LEN`] bytes do for everything but a batch.
    #[inline]
    pub fn encode<'o>(&self, version: Version, out: &'o mut [u8]) -> Result<&'o [u8], BufferTooSmall> {
        let length = version.message_len();
        let mut put =
            |body: &[u8], tail: &[u8]| put(out, self.message_type(), body, tail, length).map(<[u8]>::len);
        let written = match self {
            Self::Init(body) => put(body.as_bytes(), &[]),
            Self::SendNdisVersion(body) => put(body.as_bytes(), &[]),
            Self::SendReceiveBuffer(body) | Self::SendSendBuffer(body) => put(body.as_bytes(), &[]),
            Self::RevokeReceiveBuffer(body) | Self::RevokeSendBuffer(body) => put(body.as_bytes(), &[]),
            Self::SendRndisPacket(body) => put(body.as_bytes(), &[]),
            Self::SendRndisPacketComplete(body) => put(body.as_bytes(), &[]),
            Self::SendNdisConfig(body) => put(body.as_bytes(), &[]),
            Self::SwitchDataPath(body) => put(body.as_bytes(), &[]),
            Self::OidQueryEx(body) => put(body.as_bytes(), &[]),
            Self::Subchannel(body) => put(body.as_bytes(), &[]),
            Self::PdApi(body) => put(body.as_bytes(), &[]),
            Self::PdPostBatch(batch) => put(batch.head().as_bytes(), batch.counted().as_bytes()),
        }?;
        Ok(out.get(..written).unwrap_or_default())
    }
}

impl<'a> HostMessage<'a> {
    /// Reads what a host sent. `version` is the negotiated one: old hosts send a wrong table offset.
    ///
    /// # Errors
    ///
    /// The bytes are too few or too many for the message, the table lies outside of it, or no host sends this type.
    #[inline]
    pub fn decode(bytes: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        Ok(match message_type(bytes)? {
            MessageType::INIT_COMPLETE => Self::InitComplete(fixed("INIT_COMPLETE", bytes)?),
            MessageType::SEND_RECEIVE_BUFFER_COMPLETE => {
                Self::SendReceiveBufferComplete(fixed("SEND_RECV_BUF_COMPLETE", bytes)?)
            }
            MessageType::SEND_SEND_BUFFER_COMPLETE => {
                Self::SendSendBufferComplete(fixed("SEND_SEND_BUF_COMPLETE", bytes)?)
            }
            MessageType::SEND_RNDIS_PACKET => Self::SendRndisPacket(fixed("SEND_RNDIS_PKT", bytes)?),
            MessageType::SEND_RNDIS_PACKET_COMPLETE => {
                Self::SendRndisPacketComplete(fixed("SEND_RNDIS_PKT_COMPLETE", bytes)?)
            }
            MessageType::SEND_VF_ASSOCIATION => Self::SendVfAssociation(fixed("SEND_VF_ASSOCIATION", bytes)?),
            MessageType::SWITCH_DATA_PATH => Self::SwitchDataPath(fixed("SWITCH_DATA_PATH", bytes)?),
            MessageType::OID_QUERY_EX_COMPLETE => {
                Self::OidQueryExComplete(fixed("OID_QUERY_EX_COMP", bytes)?)
            }
            MessageType::SUBCHANNEL => Self::Subchannel(fixed("SUBCHANNEL", bytes)?),
            MessageType::SEND_INDIRECTION_TABLE => Self::SendIndirectionTable(send_table(bytes, version)?),
            MessageType::PD_API => Self::PdApi(fixed("PD_API", bytes)?),
            MessageType::PD_POST_BATCH => Self::PdPostBatch(batch(bytes)?),
            other => return Err(DecodeError::NvspType(other)),
        })
    }

    /// The type of this message.
    #[inline]
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::InitComplete(_) => MessageType::INIT_COMPLETE,
            Self::SendReceiveBufferComplete(_) => MessageType::SEND_RECEIVE_BUFFER_COMPLETE,
            Self::SendSendBufferComplete(_) => MessageType::SEND_SEND_BUFFER_COMPLETE,
            Self::SendRndisPacket(_) => MessageType::SEND_RNDIS_PACKET,
            Self::SendRndisPacketComplete(_) => MessageType::SEND_RNDIS_PACKET_COMPLETE,
            Self::SendVfAssociation(_) => MessageType::SEND_VF_ASSOCIATION,
            Self::SwitchDataPath(_) => MessageType::SWITCH_DATA_PATH,
            Self::OidQueryExComplete(_) => MessageType::OID_QUERY_EX_COMPLETE,
            Self::Subchannel(_) => MessageType::SUBCHANNEL,
            Self::SendIndirectionTable(_) => MessageType::SEND_INDIRECTION_TABLE,
            Self::PdApi(_) => MessageType::PD_API,
            Self::PdPostBatch(_) => MessageType::PD_POST_BATCH,
        }
    }

    /// Writes the message to the start of `out`, padded to the length that `version` has. Linux drops an answer
    /// that is shorter than 28 bytes.
    ///
    /// # Errors
    ///
    /// `out` is too small; [`SEND_TABLE_MESSAGE_LEN`] bytes do for everything but a batch.
    #[inline]
    pub fn encode<'o>(&self, version: Version, out: &'o mut [u8]) -> Result<&'o [u8], BufferTooSmall> {
        let length = version.message_len();
        let mut put =
            |body: &[u8], tail: &[u8]| put(out, self.message_type(), body, tail, length).map(<[u8]>::len);
        let written = match self {
            Self::InitComplete(body) => put(body.as_bytes(), &[]),
            Self::SendReceiveBufferComplete(body) => put(body.as_bytes(), &[]),
            Self::SendSendBufferComplete(body) => put(body.as_bytes(), &[]),
            Self::SendRndisPacket(body) => put(body.as_bytes(), &[]),
            Self::SendRndisPacketComplete(body) => put(body.as_bytes(), &[]),
            Self::SendVfAssociation(body) => put(body.as_bytes(), &[]),
            Self::SwitchDataPath(body) => put(body.as_bytes(), &[]),
            Self::OidQueryExComplete(body) => put(body.as_bytes(), &[]),
            Self::Subchannel(body) => put(body.as_bytes(), &[]),
            Self::SendIndirectionTable(table) => {
                let mut body = [0; SEND_TABLE_OFFSET - TYPE_LEN];
                let head = SendIndirectionTable {
                    count: U32::new(16),
                    offset: U32::new(40),
                };
                for (target, byte) in body.iter_mut().zip(head.as_bytes()) {
                    *target = *byte;
                }
                put(&body, table.as_bytes())
            }
            Self::PdApi(body) => put(body.as_bytes(), &[]),
            Self::PdPostBatch(batch) => put(batch.head().as_bytes(), batch.counted().as_bytes()),
        }?;
        Ok(out.get(..written).unwrap_or_default())
    }
}

impl<'a> PdBatch<'a> {
    /// The buffers that the count can name.
    fn counted(&self) -> &'a [PdBuffer] {
        self.buffers.get(..usize::from(u16::MAX)).unwrap_or(self.buffers)
    }

    fn head(&self) -> PdPostBatch {
        let count = u16::try_from(self.counted().len()).unwrap_or(u16::MAX);
        PdPostBatch {
            count: U16::new(count),
            flags: self.flags,
        }
    }
}

impl fmt::Display for GuestMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message_type())?;
        match self {
            Self::Init(m) => write!(f, " version {} to {}", m.min_version, m.max_version),
            Self::SendNdisVersion(m) => write!(f, " {}.{}", m.major, m.minor),
            Self::SendReceiveBuffer(m) | Self::SendSendBuffer(m) => {
                write!(f, " gpadl {} id {:#x}", m.gpadl, m.id.get())
            }
            Self::RevokeReceiveBuffer(m) | Self::RevokeSendBuffer(m) => write!(f, " id {:#x}", m.id.get()),
            Self::SendRndisPacket(m) => rndis_packet(f, m),
            Self::SendRndisPacketComplete(m) => write!(f, " {}", m.status),
            Self::SendNdisConfig(m) => write!(f, " mtu {} {:?}", m.mtu, m.capabilities()),
            Self::SwitchDataPath(m) => write!(f, " {}", m.active),
            Self::OidQueryEx(m) => write!(f, " {}", m.oid),
            Self::Subchannel(m) => write!(f, " {} {}", m.operation, m.count),
            Self::PdApi(m) => write!(f, " {}", m.operation),
            Self::PdPostBatch(m) => write!(f, " {} buffers", m.buffers.len()),
        }
    }
}

impl fmt::Display for HostMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message_type())?;
        match self {
            Self::InitComplete(m) => write!(f, " {}", m.status),
            Self::SendReceiveBufferComplete(m) => {
                let section = &m.section;
                write!(
                    f,
                    " {} {} x {} bytes",
                    m.status, section.part_count, section.part_size
                )
            }
            Self::SendSendBufferComplete(m) => {
                write!(f, " {} sections of {} bytes", m.status, m.section_size)
            }
            Self::SendRndisPacket(m) => rndis_packet(f, m),
            Self::SendRndisPacketComplete(m) => write!(f, " {}", m.status),
            Self::SendVfAssociation(m) => write!(f, " allocated {} serial {}", m.allocated, m.serial),
            Self::SwitchDataPath(m) => write!(f, " {}", m.active),
            Self::OidQueryExComplete(m) => write!(f, " status {:#x} {} bytes", m.status.get(), m.bytes),
            Self::Subchannel(m) => write!(f, " {} {}", m.status, m.count),
            Self::SendIndirectionTable(table) => array(f, table),
            Self::PdApi(m) => write!(f, " {} status {:#x}", m.operation, m.status.get()),
            Self::PdPostBatch(m) => write!(f, " {} buffers", m.buffers.len()),
        }
    }
}

fn rndis_packet(f: &mut fmt::Formatter<'_>, packet: &SendRndisPacket) -> fmt::Result {
    write!(f, " {}", packet.channel_type)?;
    match packet.section_index.get() {
        super::nvsp::NO_SECTION => Ok(()),
        index => write!(f, " section {index} size {}", packet.section_size),
    }
}

/// Numbers in a row.
fn array(f: &mut fmt::Formatter<'_>, numbers: &[U32]) -> fmt::Result {
    for number in numbers {
        write!(f, " {number}")?;
    }
    Ok(())
}
