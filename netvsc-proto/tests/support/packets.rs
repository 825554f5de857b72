//! Packets and frames as bytes.

use netvsc_proto::host::MacAddress;
use netvsc_proto::wire::nvsp::{self, ChannelType, Version};
use netvsc_proto::wire::nvsp_message::GuestMessage;
use netvsc_proto::wire::rndis_message::{self, Framed, PacketMessage};

pub(crate) fn rndis_packet(channel_type: ChannelType, section: u32, size: u32) -> Vec<u8> {
    let message = GuestMessage::SendRndisPacket(nvsp::SendRndisPacket {
        channel_type,
        section_index: section.into(),
        section_size: size.into(),
    });
    let mut bytes = [0; 64];
    message.encode(Version::V6_1, &mut bytes).unwrap().to_vec()
}

/// A packet message, padded to a multiple of 8 as Linux pads all but the last of a transfer.
pub(crate) fn packet(ppi: &[u8], frame: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 44 + ppi.len() + frame.len()];
    let message = rndis_message::GuestMessage::Packet(PacketMessage { ppi, data: frame });
    message.encode(&mut bytes).unwrap();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let len = u32::try_from(bytes.len()).unwrap();
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
    assert!(Framed::split(&bytes).unwrap().rest.is_empty());
    bytes
}

/// A frame of `len` bytes to `destination`, of which each byte tells its place and `tag`.
pub(crate) fn frame(destination: MacAddress, tag: u8, len: usize) -> Vec<u8> {
    let mut frame = destination.0.to_vec();
    frame.extend([2, 0, 0, 0, 0, tag, 0x88, 0xb5]);
    frame.extend((14..len).map(|at| u8::try_from(at % 251).unwrap() ^ tag));
    frame
}
