//! What stands before the payload on a channel in pipe mode.

use core::fmt;

use thiserror::Error;
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use super::macros::{wire_number, wire_struct};

wire_number! {
    /// What a packet of a pipe holds.
    ///
    /// Sources: Linux `drivers/hid/hid-hyperv.c`, `enum pipe_prot_msg_type`; in Linux `struct vmbuspipe_hdr` the same word is named
    /// `flags`, and nobody reads it there.
    pub struct PipePacketType(U32: u32), "{:#x}" {
        /// A message of the device's.
        DATA = 1,
    }
}

wire_struct! {
    /// The first 8 bytes of a packet on a channel in pipe mode.
    ///
    /// Sources: Linux `struct vmbuspipe_hdr` and `struct pipe_msg_hdr`.
    pub struct PipeHeader at 0, 8 bytes {
        /// What follows.
        0: packet_type: PipePacketType,
        /// Bytes of it. The ring rounds a packet up to a multiple of 8 bytes, so that it may be shorter than what is left of it.
        4: size: U32,
    }
}

/// A packet that a pipe does not carry: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PipeError {
    /// Fewer bytes than the header has.
    #[error("a packet of {len} bytes, of which the pipe's header takes {needed}")]
    NoHeader {
        /// Bytes of the packet.
        len: usize,
        /// Bytes of the header.
        needed: usize,
    },
    /// The header says that more bytes follow than there are.
    #[error("{size} bytes in a pipe's packet that has {len} after its header")]
    Size {
        /// Bytes that the header says.
        size: u32,
        /// Bytes that there are.
        len: usize,
    },
}

impl PipeHeader {
    /// The header of a message of so many bytes; `None` for more than it can tell.
    #[must_use]
    pub fn data(size: usize) -> Option<Self> {
        Some(Self {
            packet_type: PipePacketType::DATA,
            size: U32::new(u32::try_from(size).ok()?),
        })
    }

    /// Takes the message out of a packet's payload.
    ///
    /// The packet's type is for the caller to judge: no driver of integration services looks at it.
    ///
    /// # Errors
    /// When the packet is shorter than the header, or than the header says.
    pub fn split(payload: &[u8]) -> Result<(Self, &[u8]), PipeError> {
        let needed = size_of::<Self>();
        let len = payload.len();
        let (header, rest) =
            Self::read_from_prefix(payload).map_err(|_| PipeError::NoHeader { len, needed })?;
        let size = header.size.get();
        let message = usize::try_from(size).ok().and_then(|size| rest.get(..size));
        match message {
            Some(message) => Ok((header, message)),
            None => Err(PipeError::Size {
                size,
                len: rest.len(),
            }),
        }
    }
}

impl fmt::Display for PipeHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} bytes", self.packet_type, self.size)
    }
}
