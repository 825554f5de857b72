//! The messages of dynamic memory, keyboard and mouse.
//!
//! Only the mouse's channel is in [pipe mode](crate::wire::PipeHeader); its messages' own header stands behind the pipe's.

pub mod dynamic_memory;
pub mod keyboard;
pub mod mouse;

use core::fmt;

use thiserror::Error;
use zerocopy::FromBytes;

use crate::wire::PipeError;

/// A version of a device's protocol: the major number in the high half, the minor number in the low half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceVersion(pub u32);

impl DeviceVersion {
    /// The version `major.minor`.
    #[must_use]
    pub const fn new(major: u16, minor: u16) -> Self {
        let ([a, b], [c, d]) = (minor.to_le_bytes(), major.to_le_bytes());
        Self(u32::from_le_bytes([a, b, c, d]))
    }
}

impl fmt::Display for DeviceVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 16, self.0 & 0xffff)
    }
}

/// Why a packet is no message of the expected direction: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The pipe's header is not all there, or says that more follows than does.
    #[error(transparent)]
    Pipe(#[from] PipeError),
    /// Fewer bytes than the header has.
    #[error("a message of {len} bytes, of which its header takes {needed}")]
    NoHeader {
        /// Bytes of the message.
        len: usize,
        /// Bytes of the header.
        needed: usize,
    },
    /// A type that is unknown, or goes the other way.
    #[error("no message of this direction has the type {message_type}")]
    Type {
        /// The type.
        message_type: u32,
    },
    /// The header says more bytes than there are, or fewer than it has itself.
    #[error("a message says that it has {size} bytes, and {len} are there")]
    Size {
        /// Bytes that the header says.
        size: u32,
        /// Bytes that there are.
        len: usize,
    },
    /// Fewer bytes than the message has.
    #[error("a message of type {message_type} with {len} bytes; it has {least} at least")]
    Length {
        /// The type.
        message_type: u32,
        /// Bytes of the message.
        len: usize,
        /// The fewest that it may have.
        least: usize,
    },
    /// An array with more items than there are bytes for.
    #[error("{count} items in {len} bytes")]
    Count {
        /// Items.
        count: u32,
        /// Bytes that hold them.
        len: usize,
    },
}

/// The part of a message after its header.
fn body<T: FromBytes>(message_type: u32, header: usize, bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    T::read_from_prefix(bytes).map_err(|_| DecodeError::Length {
        message_type,
        len: bytes.len().saturating_add(header),
        least: size_of::<T>().saturating_add(header),
    })
}
