//! The message that carries a frame, either way.

use core::fmt;

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::framed::{head, info};
use super::put::{length_of, put};
use crate::wire::error::{BufferTooSmall, DecodeError};
use crate::wire::ppi::PpiWalk;
use crate::wire::rndis::{MessageType, Packet};

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

pub(super) fn packet(body: &[u8]) -> Result<PacketMessage<'_>, DecodeError> {
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

pub(super) fn put_packet<'o>(
    out: &'o mut [u8],
    packet: &PacketMessage<'_>,
) -> Result<&'o [u8], BufferTooSmall> {
    let head = packet_head(length_of(packet.ppi).get(), length_of(packet.data).get());
    put(
        out,
        MessageType::PACKET,
        head.as_bytes(),
        [packet.ppi, packet.data],
    )
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
