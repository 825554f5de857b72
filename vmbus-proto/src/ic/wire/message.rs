//! Whole messages: one type for each direction.

use core::fmt;

use zerocopy::IntoBytes;

use super::frame::{encode, padded, prefix};
use super::{
    DecodeError, Envelope, FileCopy, Frame, HeartbeatData, Kvp, MessageFlags, MessageType, NoRoom,
    ShutdownData, Status, TimeSync, Version, VersionChoice, VersionOffer, Vss,
};
use crate::wire::writer::Writer;

/// The body of a service's message. Both directions have the same: a guest answers with the request's body, filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body<'a> {
    /// HEARTBEAT
    Heartbeat(HeartbeatData),
    /// SHUTDOWN
    Shutdown(&'a ShutdownData),
    /// TIME_SYNC
    TimeSync(TimeSync),
    /// KVP_EXCHANGE
    Kvp(Kvp<'a>),
    /// VSS
    Vss(Vss<'a>),
    /// FILE_COPY
    FileCopy(FileCopy<'a>),
    /// A type that this module gives no meaning.
    Other(MessageType, &'a [u8]),
}

impl<'a> Body<'a> {
    /// Reads a body. `version` is that of the service's messages: bodies of TIME_SYNC and KVP_EXCHANGE are not alike in all.
    ///
    /// # Errors
    /// When it is too short or too long for its type, or says of itself what does not fit into it.
    pub fn read(message_type: MessageType, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        Ok(match message_type {
            MessageType::HEARTBEAT => {
                let most = size_of::<HeartbeatData>();
                Self::Heartbeat(padded(message_type, body, HeartbeatData::LEAST, most)?)
            }
            MessageType::SHUTDOWN => Self::Shutdown(prefix(message_type, body, size_of::<ShutdownData>())?.0),
            MessageType::TIME_SYNC => Self::TimeSync(TimeSync::read(body, version)?),
            MessageType::KVP_EXCHANGE => Self::Kvp(Kvp::read(body, version)?),
            MessageType::VSS => Self::Vss(Vss::read(body)?),
            MessageType::FILE_COPY => Self::FileCopy(FileCopy::read(body)?),
            _ => Self::Other(message_type, body),
        })
    }

    fn write(&self, out: &mut Writer<'_>) -> Result<(), NoRoom> {
        match self {
            Self::Heartbeat(data) => out.put(data.as_bytes()),
            Self::Shutdown(data) => out.put(data.as_bytes()),
            Self::TimeSync(time) => time.write(out),
            Self::Kvp(kvp) => kvp.write(out),
            Self::Vss(vss) => vss.write(out),
            Self::FileCopy(copy) => copy.write(out),
            Self::Other(_, body) => out.put(body),
        }
    }

    /// The type of the message.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::Heartbeat(_) => MessageType::HEARTBEAT,
            Self::Shutdown(_) => MessageType::SHUTDOWN,
            Self::TimeSync(_) => MessageType::TIME_SYNC,
            Self::Kvp(_) => MessageType::KVP_EXCHANGE,
            Self::Vss(_) => MessageType::VSS,
            Self::FileCopy(_) => MessageType::FILE_COPY,
            Self::Other(message_type, _) => *message_type,
        }
    }
}

impl fmt::Display for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heartbeat(data) => data.fmt(f),
            Self::Shutdown(data) => data.fmt(f),
            Self::TimeSync(time) => time.fmt(f),
            Self::Kvp(kvp) => kvp.fmt(f),
            Self::Vss(vss) => vss.fmt(f),
            Self::FileCopy(copy) => copy.fmt(f),
            Self::Other(_, body) => {
                write!(f, "{} bytes ", body.len())?;
                super::bytes::hex(body, f)
            }
        }
    }
}

/// What a host sends. A message that says that it is a response is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostMessage<'a> {
    /// The versions that it speaks.
    Negotiate(VersionOffer<'a>),
    /// What it asks or tells.
    Request(Body<'a>),
}

impl<'a> HostMessage<'a> {
    /// Reads a packet's payload, which must be a private copy. The version of its body is the one that its header says.
    ///
    /// # Errors
    /// When it is no message of a host's.
    pub fn decode(payload: &'a [u8]) -> Result<(Envelope, Self), DecodeError> {
        let frame = Frame::decode(payload)?;
        let message = Self::of(&frame, frame.header.version)?;
        Ok((frame.envelope(), message))
    }

    /// Reads a frame whose body has this version, whatever its header says.
    ///
    /// # Errors
    /// When it is no message of a host's.
    pub fn of(frame: &Frame<'a>, version: Version) -> Result<Self, DecodeError> {
        let message_type = frame.header.message_type;
        let flags = frame.header.flags;
        if frame.header.flags().contains(MessageFlags::RESPONSE) {
            return Err(DecodeError::WrongDirection { message_type, flags });
        }
        if message_type == MessageType::NEGOTIATE {
            return VersionOffer::read(frame.body).map(Self::Negotiate);
        }
        Body::read(message_type, frame.body, version).map(Self::Request)
    }

    /// Puts the packet's payload into `out`, and gives it. A request asks for its response.
    ///
    /// # Errors
    /// When `out` is too small, or a part of the message longer than can be told.
    pub fn encode<'o>(&self, envelope: &Envelope, out: &'o mut [u8]) -> Result<&'o [u8], NoRoom> {
        let flags = envelope.flags.difference(MessageFlags::RESPONSE);
        encode(out, envelope, self.message_type(), flags, |out| match self {
            Self::Negotiate(offer) => offer.write(out),
            Self::Request(body) => body.write(out),
        })
    }

    /// The type of the message.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::Negotiate(_) => MessageType::NEGOTIATE,
            Self::Request(body) => body.message_type(),
        }
    }
}

impl fmt::Display for HostMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.message_type())?;
        match self {
            Self::Negotiate(offer) => offer.fmt(f),
            Self::Request(body) => body.fmt(f),
        }
    }
}

/// What a guest sends: responses alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestMessage<'a> {
    /// The versions that it chose.
    Negotiate(VersionChoice),
    /// The request's body, filled in.
    Response(Body<'a>),
    /// A request was not done. What its body holds then is not told, so that nobody looks at it.
    Failed(MessageType, &'a [u8]),
}

impl<'a> GuestMessage<'a> {
    /// Reads a packet's payload, which must be a private copy. The version of its body is the one that its header says.
    ///
    /// # Errors
    /// When it is no message of a guest's.
    pub fn decode(payload: &'a [u8]) -> Result<(Envelope, Self), DecodeError> {
        let frame = Frame::decode(payload)?;
        let message = Self::of(&frame, frame.header.version)?;
        Ok((frame.envelope(), message))
    }

    /// Reads a frame whose body has this version, whatever its header says.
    ///
    /// # Errors
    /// When it is no message of a guest's.
    pub fn of(frame: &Frame<'a>, version: Version) -> Result<Self, DecodeError> {
        let message_type = frame.header.message_type;
        let flags = frame.header.flags;
        if !frame.header.flags().contains(MessageFlags::RESPONSE) {
            return Err(DecodeError::WrongDirection { message_type, flags });
        }
        if message_type == MessageType::NEGOTIATE {
            return VersionChoice::read(frame.body).map(Self::Negotiate);
        }
        if frame.header.status != Status::SUCCESS {
            return Ok(Self::Failed(message_type, frame.body));
        }
        Body::read(message_type, frame.body, version).map(Self::Response)
    }

    /// Puts the packet's payload into `out`, and gives it.
    ///
    /// # Errors
    /// When `out` is too small, or a part of the message longer than can be told.
    pub fn encode<'o>(&self, envelope: &Envelope, out: &'o mut [u8]) -> Result<&'o [u8], NoRoom> {
        let flags = envelope.flags | MessageFlags::RESPONSE;
        encode(out, envelope, self.message_type(), flags, |out| match self {
            Self::Negotiate(choice) => choice.write(out),
            Self::Response(body) => body.write(out),
            Self::Failed(_, body) => out.put(body),
        })
    }

    /// The type of the message.
    #[must_use]
    pub const fn message_type(&self) -> MessageType {
        match self {
            Self::Negotiate(_) => MessageType::NEGOTIATE,
            Self::Response(body) => body.message_type(),
            Self::Failed(message_type, _) => *message_type,
        }
    }
}

impl fmt::Display for GuestMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.message_type())?;
        match self {
            Self::Negotiate(choice) => choice.fmt(f),
            Self::Response(body) => body.fmt(f),
            Self::Failed(..) => f.write_str("failed"),
        }
    }
}

impl fmt::Display for Envelope {
    /// Transaction and status: what stands beside a message in a trace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.transaction_id)?;
        if self.status == Status::SUCCESS {
            Ok(())
        } else {
            write!(f, " {}", self.status)
        }
    }
}
