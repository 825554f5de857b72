//! Wire formats: round trips, every truncation, hostile bytes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic"
)]

mod nvsp;
mod ppi;
mod rndis;

use netvsc_proto::wire::nvsp::{ChannelType, MessageType, SendRndisPacket, Version};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::ppi::{PpiList, PpiType};
use netvsc_proto::wire::rndis::{MessageType as RndisType, OidRequest};
use netvsc_proto::wire::rndis_message::PacketMessage;
use netvsc_proto::wire::{DecodeError, nvsp_message, rndis_message};
use proptest::prelude::*;
use zerocopy::{FromBytes, Unaligned};

/// Any value of a wire structure: all of its bytes are free.
pub(crate) fn any_wire<T: FromBytes + Unaligned + core::fmt::Debug>() -> impl Strategy<Value = T> {
    prop::collection::vec(any::<u8>(), size_of::<T>()).prop_map(|bytes| T::read_from_bytes(&bytes).unwrap())
}

#[test]
fn the_other_direction_does_not_decode() {
    let message = |code: MessageType| {
        let mut bytes = code.value().to_le_bytes().to_vec();
        bytes.resize(28, 0);
        bytes
    };
    let wrong = MessageType::INIT_COMPLETE;
    assert_eq!(
        nvsp_message::GuestMessage::decode(&message(wrong)),
        Err(DecodeError::NvspType(wrong))
    );
    let wrong = MessageType::INIT;
    assert_eq!(
        nvsp_message::HostMessage::decode(&message(wrong), Version::V5),
        Err(DecodeError::NvspType(wrong))
    );
    let chimney = MessageType::SEND_CHIMNEY_PACKET;
    assert_eq!(
        nvsp_message::GuestMessage::decode(&message(chimney)),
        Err(DecodeError::NvspType(chimney))
    );
    let bytes = [3_u32, 12, 0].map(u32::to_le_bytes).concat();
    let halt = RndisType::HALT;
    assert_eq!(
        rndis_message::HostMessage::decode(&bytes),
        Err(DecodeError::RndisType(halt))
    );
}

#[test]
fn codes_keep_unknown_values_and_name_known_ones() {
    assert_eq!(Oid::GEN_LINK_SPEED.to_string(), "OID_GEN_LINK_SPEED");
    assert_eq!(Oid::new(0xdead_beef).to_string(), "0xdeadbeef");
    assert_eq!(Oid::new(0xdead_beef).value(), 0xdead_beef);
    for (names, what) in [(Oid::NAMED.len(), "OIDs"), (MessageType::NAMED.len(), "messages")] {
        assert!(names > 30, "{what}");
    }
    let mut numbers: Vec<_> = Oid::NAMED.iter().map(|oid| oid.value()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), Oid::NAMED.len());
}

#[test]
fn traces_read_well() {
    let mut out = [0; 128];
    let query = rndis_message::GuestMessage::Query(
        OidRequest {
            request_id: 7.into(),
            oid: Oid::GEN_STATISTICS,
            ..Default::default()
        },
        &[1, 2, 3, 4, 5],
    );
    let bytes = query.encode(&mut out).unwrap();
    let text = rndis_message::GuestMessage::decode(bytes).unwrap().to_string();
    assert_eq!(text, "QUERY id 7 OID_GEN_STATISTICS 5 bytes 01020304 05");
    let mut ppi = PpiList::<2>::new();
    ppi.push(PpiType::CHECKSUM, &0_u32).unwrap();
    let packet = rndis_message::GuestMessage::Packet(PacketMessage {
        ppi: ppi.as_bytes(),
        data: &[0; 60],
    });
    assert_eq!(packet.to_string(), "PACKET 60 bytes checksum");
    let message = nvsp_message::GuestMessage::SendRndisPacket(SendRndisPacket {
        channel_type: ChannelType::DATA,
        section_index: 3.into(),
        section_size: 104.into(),
    });
    assert_eq!(message.to_string(), "SEND_RNDIS_PKT DATA section 3 size 104");
}
