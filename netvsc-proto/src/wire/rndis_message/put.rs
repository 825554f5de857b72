//! Messages as bytes.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use crate::wire::error::BufferTooSmall;
use crate::wire::rndis::{HEADER_LEN, MessageHeader, MessageType};

/// Writes header, body and tails to the start of `out`.
pub(super) fn put<'o>(
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

pub(super) fn length_of(bytes: &[u8]) -> U32 {
    U32::new(u32::try_from(bytes.len()).unwrap_or(u32::MAX))
}
