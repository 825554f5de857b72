//! Versions and their negotiation, which is the first message on every channel.

use core::cmp::Ordering;
use core::fmt;

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::frame::prefix;
use super::{DecodeError, MessageType, NoRoom, PACKET_MAX};
use crate::wire::macros::wire_struct;
use crate::wire::writer::Writer;

wire_struct! {
    /// A version of the framework, or of a service's messages. They compare in order.
    ///
    /// Source: Linux `struct ic_version`.
    #[derive(Default, Hash)]
    pub struct Version at 0, 4 bytes {
        /// The major number.
        0: major: U16,
        /// The minor number.
        2: minor: U16,
    }
}

impl Version {
    /// The version `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        Self {
            major: U16::from_bytes(major.to_le_bytes()),
            minor: U16::from_bytes(minor.to_le_bytes()),
        }
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major.get(), self.minor.get()).cmp(&(other.major.get(), other.minor.get()))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A version of each kind: what both ends have agreed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Versions {
    /// Of the framework.
    pub framework: Version,
    /// Of the service's messages.
    pub message: Version,
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "framework {}, messages {}", self.framework, self.message)
    }
}

wire_struct! {
    /// The body of NEGOTIATE, before the versions.
    ///
    /// Source: Linux `struct icmsg_negotiate`.
    pub struct NegotiateHeader at 0, 8 bytes {
        /// Framework versions, which come first.
        0: frameworks: U16,
        /// Message versions, which come after them.
        2: messages: U16,
        /// 0.
        4: reserved: U32,
    }
}

/// What a host can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionOffer<'a> {
    /// Versions of the framework.
    pub frameworks: &'a [Version],
    /// Versions of the service's messages.
    pub messages: &'a [Version],
}

impl<'a> VersionOffer<'a> {
    pub(crate) fn read(body: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, versions) = prefix::<NegotiateHeader>(MessageType::NEGOTIATE, body, PACKET_MAX)?;
        let (frameworks, messages) = (header.frameworks.get(), header.messages.get());
        let counts = DecodeError::VersionCounts {
            frameworks,
            messages,
            len: versions.len(),
        };
        let take = |bytes: &'a [u8], count: u16| {
            <[Version]>::ref_from_prefix_with_elems(bytes, usize::from(count)).map_err(|_| counts)
        };
        let (frameworks, rest) = take(versions, frameworks)?;
        let (messages, _) = take(rest, messages)?;
        Ok(Self { frameworks, messages })
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), NoRoom> {
        let count = |versions: &[Version]| {
            let len = versions.len();
            u16::try_from(len).map(U16::new).map_err(|_| NoRoom { len })
        };
        let header = NegotiateHeader {
            frameworks: count(self.frameworks)?,
            messages: count(self.messages)?,
            reserved: U32::ZERO,
        };
        out.put(header.as_bytes())?;
        out.put(self.frameworks.as_bytes())?;
        out.put(self.messages.as_bytes())
    }

    /// The versions to agree on, by one's own lists, the most wanted first: of each kind the first that the host has too.
    #[must_use]
    pub fn choose(&self, frameworks: &[Version], messages: &[Version]) -> Option<Versions> {
        let first = |own: &[Version], theirs: &[Version]| {
            own.iter().copied().find(|version| theirs.contains(version))
        };
        Some(Versions {
            framework: first(frameworks, self.frameworks)?,
            message: first(messages, self.messages)?,
        })
    }
}

impl fmt::Display for VersionOffer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, versions: &[Version]| {
            versions.iter().try_for_each(|version| write!(f, " {version}"))
        };
        f.write_str("framework")?;
        list(f, self.frameworks)?;
        f.write_str(", messages")?;
        list(f, self.messages)
    }
}

/// The guest's choice; `None` when it speaks nothing of what was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionChoice(pub Option<Versions>);

impl VersionChoice {
    /// Bytes of the body, whatever was offered.
    ///
    /// Source: Linux `vmbus_prep_negotiate_resp`, which also leaves two versions in the body where it chose none.
    pub const SIZE: usize = 16;

    pub(crate) fn read(body: &[u8]) -> Result<Self, DecodeError> {
        let (header, versions) = prefix::<NegotiateHeader>(MessageType::NEGOTIATE, body, PACKET_MAX)?;
        let (frameworks, messages) = (header.frameworks.get(), header.messages.get());
        match (frameworks, messages) {
            (0, 0) => Ok(Self(None)),
            (1, 1) => match <[Version; 2]>::ref_from_prefix(versions) {
                Ok((&[framework, message], _)) => Ok(Self(Some(Versions { framework, message }))),
                Err(_) => Err(DecodeError::VersionCounts {
                    frameworks,
                    messages,
                    len: versions.len(),
                }),
            },
            _ => Err(DecodeError::Choice { frameworks, messages }),
        }
    }

    pub(crate) fn write(&self, out: &mut Writer<'_>) -> Result<(), NoRoom> {
        let count = U16::new(u16::from(self.0.is_some()));
        let versions = self.0.unwrap_or_default();
        let header = NegotiateHeader {
            frameworks: count,
            messages: count,
            reserved: U32::ZERO,
        };
        out.put(header.as_bytes())?;
        out.put(versions.framework.as_bytes())?;
        out.put(versions.message.as_bytes())
    }
}

impl fmt::Display for VersionChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(versions) => versions.fmt(f),
            None => f.write_str("no version in common"),
        }
    }
}
