//! Messages by their lengths, and the parts of a body by their offsets.

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::wire::error::DecodeError;
use crate::wire::rndis::{HEADER_LEN, MessageHeader, MessageType};

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
    pub(super) fn alone(bytes: &'a [u8]) -> Result<Self, DecodeError> {
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
}

pub(super) fn head<T: FromBytes + KnownLayout + Immutable>(
    what: &'static str,
    body: &[u8],
) -> Result<T, DecodeError> {
    T::read_from_prefix(body)
        .map(|(head, _)| head)
        .map_err(|_| DecodeError::Short {
            what,
            needed: size_of::<T>().saturating_add(HEADER_LEN),
            got: body.len().saturating_add(HEADER_LEN),
        })
}

/// The part of a body that an offset and a length name. With length 0 the offset means nothing.
pub(super) fn info<'a>(
    what: &'static str,
    body: &'a [u8],
    offset: U32,
    length: U32,
) -> Result<&'a [u8], DecodeError> {
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
