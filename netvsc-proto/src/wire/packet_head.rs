//! The head of a packet message, as both ends put it before a frame.

use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use super::ppi::{PPI_RECORD_LEN, PpiList};
use super::rndis::{MessageHeader, MessageType, PACKET_HEADER_LEN};
use super::rndis_message::packet_head;

/// Records that any packet message of this crate has, at most: checksums or large send, VLAN, hash.
pub(crate) const MAX_RECORDS: usize = 4;

/// Bytes of the longest head.
pub(crate) const MAX_HEAD_LEN: usize = PACKET_HEADER_LEN + MAX_RECORDS * PPI_RECORD_LEN;

/// Header, packet and per-packet info of a packet message. The frame follows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacketHead {
    bytes: [u8; MAX_HEAD_LEN],
    len: usize,
    message_len: u32,
}

impl PacketHead {
    /// The head of a frame of `frame_len` bytes. Records beyond [`MAX_RECORDS`] are no list's of this crate.
    #[inline]
    pub(crate) fn new<const N: usize>(records: &PpiList<N>, frame_len: u32) -> Self {
        const { assert!(N <= MAX_RECORDS) };
        let ppi = size_of_val(records.records());
        let ppi_len = u32::try_from(ppi).unwrap_or_default();
        let len = PACKET_HEADER_LEN.saturating_add(ppi);
        let message_len = u32::try_from(len).unwrap_or_default().saturating_add(frame_len);
        let header = MessageHeader {
            message_type: MessageType::PACKET,
            message_length: U32::new(message_len),
        };
        let packet = packet_head(ppi_len, frame_len);
        let mut bytes = [0; MAX_HEAD_LEN];
        // All of it is of known length, and fits.
        if let Some((head, rest)) = bytes.split_first_chunk_mut::<PACKET_HEADER_LEN>() {
            let _ = header.write_to_prefix(head);
            let _ = packet.write_to_suffix(head);
            let (places, _) = rest.as_chunks_mut();
            for (place, record) in places.iter_mut().zip(records.records()) {
                *place = *record;
            }
        }
        Self {
            bytes,
            len,
            message_len,
        }
    }

    #[inline]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Bytes of the message, the frame included.
    #[inline]
    pub(crate) const fn message_len(&self) -> u32 {
        self.message_len
    }
}
