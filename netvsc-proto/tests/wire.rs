//! Wire formats: round trips, every truncation, hostile bytes.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test may panic"
)]

use netvsc_proto::wire::nvsp::{self, Version};
use netvsc_proto::wire::ppi::{
    ChecksumTransmit, LargeSend, PPI_RECORD_LEN, PpiFault, PpiList, PpiType, PpiWalk, TransmitChecksums, Vlan,
};
use netvsc_proto::wire::rndis::{self, PACKET_HEADER_LEN};
use netvsc_proto::wire::rndis_message::{Framed, PacketMessage};
use netvsc_proto::wire::{DecodeError, nvsp_message, packet_direct, rndis_message};
use proptest::prelude::*;
use zerocopy::{FromBytes, IntoBytes, Unaligned};

const VERSIONS: [Version; 6] = [
    Version::V1,
    Version::V2,
    Version::V4,
    Version::V5,
    Version::V6,
    Version::V6_1,
];

/// Any value of a wire structure: all of its bytes are free.
fn any_wire<T: FromBytes + Unaligned + core::fmt::Debug>() -> impl Strategy<Value = T> {
    prop::collection::vec(any::<u8>(), size_of::<T>()).prop_map(|bytes| T::read_from_bytes(&bytes).unwrap())
}

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(&VERSIONS[..])
}

fn nvsp_guest() -> impl Strategy<Value = nvsp_message::GuestMessage<'static>> {
    use nvsp_message::GuestMessage as M;
    prop_oneof![
        any_wire().prop_map(M::Init),
        any_wire().prop_map(M::SendNdisVersion),
        any_wire().prop_map(M::SendReceiveBuffer),
        any_wire().prop_map(M::RevokeReceiveBuffer),
        any_wire().prop_map(M::SendSendBuffer),
        any_wire().prop_map(M::RevokeSendBuffer),
        any_wire().prop_map(M::SendRndisPacket),
        any_wire().prop_map(M::SendRndisPacketComplete),
        any_wire().prop_map(M::SendNdisConfig),
        any_wire().prop_map(M::SwitchDataPath),
        any_wire().prop_map(M::OidQueryEx),
        any_wire().prop_map(M::Subchannel),
        any_wire().prop_map(M::PdApi),
    ]
}

fn nvsp_host() -> impl Strategy<Value = nvsp_message::HostMessage<'static>> {
    use nvsp_message::HostMessage as M;
    prop_oneof![
        any_wire().prop_map(M::InitComplete),
        any_wire().prop_map(M::SendReceiveBufferComplete),
        any_wire().prop_map(M::SendSendBufferComplete),
        any_wire().prop_map(M::SendRndisPacket),
        any_wire().prop_map(M::SendRndisPacketComplete),
        any_wire().prop_map(M::SendVfAssociation),
        any_wire().prop_map(M::SwitchDataPath),
        any_wire().prop_map(M::OidQueryExComplete),
        any_wire().prop_map(M::Subchannel),
        any_wire().prop_map(M::SendIndirectionTable),
        any_wire().prop_map(M::PdApi),
    ]
}

proptest! {
    #[test]
    fn nvsp_guest_round_trip(message in nvsp_guest(), version in version()) {
        let mut out = [0xff; 64];
        let bytes = message.encode(version, &mut out).unwrap();
        prop_assert!(bytes.len() >= version.message_len());
        prop_assert_eq!(nvsp_message::GuestMessage::decode(bytes).unwrap(), message);
    }

    #[test]
    fn nvsp_host_round_trip(message in nvsp_host(), version in version()) {
        let mut out = [0xff; 128];
        let bytes = message.encode(version, &mut out).unwrap();
        prop_assert!(bytes.len() >= version.message_len());
        prop_assert_eq!(nvsp_message::HostMessage::decode(bytes, version).unwrap(), message);
    }

    #[test]
    fn nvsp_batch_round_trip(buffers in prop::collection::vec(any_wire::<packet_direct::PdBuffer>(), 0..40)) {
        let message = nvsp_message::GuestMessage::PdPostBatch(nvsp_message::PdBatch {
            flags: 1.into(),
            buffers: &buffers,
        });
        let mut out = [0; 512];
        let bytes = message.encode(Version::V6_1, &mut out).unwrap();
        prop_assert_eq!(nvsp_message::GuestMessage::decode(bytes).unwrap(), message);
    }

    #[test]
    fn nvsp_raw_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..160), version in version()) {
        if let Ok(message) = nvsp_message::GuestMessage::decode(&bytes) {
            let _ = message.to_string();
        }
        if let Ok(message) = nvsp_message::HostMessage::decode(&bytes, version) {
            let _ = message.to_string();
        }
    }

    /// A type that is known makes the bytes behind it count.
    #[test]
    fn nvsp_known_types_with_raw_bytes(
        kind in prop_oneof![0_u32..3, 100_u32..138],
        body in prop::collection::vec(any::<u8>(), 0..120),
        version in version(),
    ) {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend(body);
        let _ = nvsp_message::GuestMessage::decode(&bytes).map(|m| m.to_string());
        let _ = nvsp_message::HostMessage::decode(&bytes, version).map(|m| m.to_string());
    }

    #[test]
    fn rndis_guest_round_trip(
        request in any_wire::<rndis::OidRequest>(),
        init in any_wire(),
        ppi in prop::collection::vec(any::<u8>(), 0..64),
        data in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        use rndis_message::GuestMessage as M;
        let request = rndis::OidRequest {
            info_length: (data.len() as u32).into(),
            info_offset: 20.into(),
            ..request
        };
        let messages = [
            M::Packet(PacketMessage { ppi: &ppi, data: &data }),
            M::Initialize(init),
            M::Halt(rndis::HaltRequest { request_id: request.request_id }),
            M::Query(request, &data),
            M::Set(request, &data),
            M::SetEx(request, &data),
            M::Reset(rndis::ResetRequest { reserved: request.oid.value().into() }),
            M::Keepalive(rndis::KeepaliveRequest { request_id: request.request_id }),
            M::KeepaliveComplete(rndis::Complete { request_id: request.request_id, ..Default::default() }),
        ];
        for message in messages {
            let mut out = [0; 512];
            let bytes = message.encode(&mut out).unwrap();
            prop_assert_eq!(M::decode(bytes).unwrap(), message);
            let mut longer = bytes.to_vec();
            longer.push(0);
            prop_assert_eq!(
                M::decode(&longer),
                Err(DecodeError::Long { what: "RNDIS message", limit: bytes.len(), got: longer.len() })
            );
            for cut in 0..bytes.len() {
                prop_assert!(matches!(M::decode(&bytes[..cut]), Err(DecodeError::Short { .. })), "cut at {}", cut);
            }
        }
    }

    #[test]
    fn rndis_host_round_trip(
        answer in any_wire::<rndis::QueryComplete>(),
        init in any_wire(),
        status in any_wire::<rndis::IndicateStatus>(),
        ppi in prop::collection::vec(any::<u8>(), 0..64),
        data in prop::collection::vec(any::<u8>(), 1..200),
    ) {
        use rndis_message::HostMessage as M;
        let length = (data.len() as u32).into();
        let answer = rndis::QueryComplete { info_length: length, info_offset: 16.into(), ..answer };
        let status = rndis::IndicateStatus { buffer_length: length, buffer_offset: 12.into(), ..status };
        let complete = rndis::Complete { request_id: answer.request_id, status: answer.status };
        let reset = rndis::ResetComplete { status: answer.status, addressing_reset: 1.into() };
        let messages = [
            M::Packet(PacketMessage { ppi: &ppi, data: &data }),
            M::InitializeComplete(init),
            M::QueryComplete(answer, &data),
            M::SetExComplete(answer, &data),
            M::SetComplete(complete),
            M::KeepaliveComplete(complete),
            M::Keepalive(rndis::KeepaliveRequest { request_id: answer.request_id }),
            M::ResetComplete(reset),
            M::IndicateStatus(status, &data),
        ];
        for message in messages {
            let mut out = [0; 512];
            let bytes = message.encode(&mut out).unwrap();
            prop_assert_eq!(M::decode(bytes).unwrap(), message);
            prop_assert!(!message.to_string().is_empty());
        }
    }

    #[test]
    fn rndis_raw_bytes_never_panic(
        kind in prop_oneof![0_u32..12, 0x8000_0000_u32..0x8000_000c, any::<u32>()],
        length in prop_oneof![0_u32..120, any::<u32>()],
        body in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut bytes = kind.to_le_bytes().to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(body);
        let _ = rndis_message::GuestMessage::decode(&bytes).map(|m| m.to_string());
        let _ = rndis_message::HostMessage::decode(&bytes).map(|m| m.to_string());
        if let Ok(framed) = Framed::split(&bytes) {
            prop_assert_eq!(8 + framed.body.len() + framed.rest.len(), bytes.len());
        }
    }

    /// Case 1: whatever stands there, the walk ends, within as many steps as heads fit, and a fault is its last word.
    #[test]
    fn case_01_walk_over_raw_bytes_ends(bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(12), Just(16), any::<u8>()], 0..256)) {
        let steps: Vec<_> = PpiWalk::new(&bytes).collect();
        prop_assert!(steps.len() <= bytes.len() / 12 + 1);
        prop_assert!(steps.iter().rev().skip(1).all(Result::is_ok));
    }

    #[test]
    fn packed_words_round_trip(
        mss in 0_u32..0x10_0000,
        offset in 0_u16..0x400,
        ipv6 in any::<bool>(),
        tci in any::<u16>(),
        flags in 0_u32..0x20,
    ) {
        let send = LargeSend::v2(mss, offset, ipv6);
        prop_assert_eq!((send.mss(), send.tcp_offset(), send.is_ipv6(), send.is_v2()), (mss, offset, ipv6, true));
        let send = LargeSend::v1(mss, offset);
        prop_assert_eq!((send.mss(), send.tcp_offset(), send.is_ipv6(), send.is_v2()), (mss, offset, false, false));
        let vlan = Vlan::from_tci(tci);
        prop_assert_eq!(vlan.tci(), tci);
        prop_assert_eq!(Vlan::new(vlan.priority(), vlan.drop_eligible(), vlan.id()), vlan);
        let flags = TransmitChecksums::from_bits_truncate(flags);
        let checksum = ChecksumTransmit::new(flags, offset);
        prop_assert_eq!((checksum.flags(), checksum.transport_offset()), (flags, offset));
    }
}

/// Records as a driver writes them, with chosen size and offset.
fn record(size: u32, offset: u32) -> Vec<u8> {
    [size, 6, offset, 0x1234]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

#[test]
fn case_01_record_of_size_zero() {
    let bytes = [record(16, 12), record(0, 12), record(16, 12)].concat();
    let steps: Vec<_> = PpiWalk::new(&bytes).collect();
    assert_eq!(steps.len(), 2);
    assert!(steps[0].is_ok());
    assert_eq!(
        steps[1],
        Err(PpiFault::Size {
            size: 0,
            remaining: 32
        })
    );
}

#[test]
fn case_01_record_larger_than_what_remains() {
    for size in [17, 0x8000_0000, u32::MAX] {
        let bytes = record(size, 12);
        let steps: Vec<_> = PpiWalk::new(&bytes).collect();
        assert_eq!(steps, [Err(PpiFault::Size { size, remaining: 16 })]);
    }
}

#[test]
fn case_01_data_offset_at_or_behind_the_end() {
    for offset in [0, 11, 16, 17, u32::MAX] {
        let bytes = record(16, offset);
        let steps: Vec<_> = PpiWalk::new(&bytes).collect();
        assert_eq!(steps, [Err(PpiFault::Offset { offset, size: 16 })]);
    }
}

#[test]
fn case_01_remainder_that_is_no_head() {
    let bytes = [record(16, 12), vec![1; 11]].concat();
    let steps: Vec<_> = PpiWalk::new(&bytes).collect();
    assert_eq!(steps[1], Err(PpiFault::Remainder { remaining: 11 }));
    assert_eq!(steps.len(), 2);
}

#[test]
fn ppi_list_is_what_drivers_read() {
    let mut list = PpiList::<2>::new();
    list.push(PpiType::VLAN, &Vlan::new(5, false, 100)).unwrap();
    list.push(PpiType::HASH_VALUE, &0x1234_5678_u32.to_le_bytes())
        .unwrap();
    assert_eq!(list.push(PpiType::CHECKSUM, &0_u32), Err(PpiType::CHECKSUM));
    assert_eq!(list.as_bytes().len(), 2 * PPI_RECORD_LEN);
    let records: Vec<_> = PpiWalk::new(list.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(records[0].kind, PpiType::VLAN);
    assert_eq!(records[0].read::<Vlan>().unwrap().tci(), 5 << 13 | 100);
    assert_eq!(records[1].data, [0x78, 0x56, 0x34, 0x12]);
}

#[test]
fn nvsp_lengths_are_told() {
    let mut init = 1_u32.to_le_bytes().to_vec();
    assert_eq!(
        nvsp_message::GuestMessage::decode(&init[..3]),
        Err(DecodeError::Short {
            what: "NVSP message",
            needed: 4,
            got: 3
        })
    );
    init.resize(11, 0);
    assert_eq!(
        nvsp_message::GuestMessage::decode(&init),
        Err(DecodeError::Short {
            what: "INIT",
            needed: 12,
            got: 11
        })
    );
    init.resize(41, 0);
    assert_eq!(
        nvsp_message::GuestMessage::decode(&init),
        Err(DecodeError::Long {
            what: "INIT",
            limit: 40,
            got: 41
        })
    );
}

#[test]
fn the_other_direction_does_not_decode() {
    use nvsp::MessageType;
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
    let halt = rndis::MessageType::HALT;
    assert_eq!(
        rndis_message::HostMessage::decode(&bytes),
        Err(DecodeError::RndisType(halt))
    );
}

#[test]
fn send_table_offset_of_old_hosts_is_put_right() {
    let table: Vec<u32> = (0..16).collect();
    let build = |offset: u32, at: usize| {
        let mut bytes = vec![0; at];
        bytes[0] = 134;
        bytes[4] = 16;
        bytes[8..12].copy_from_slice(&offset.to_le_bytes());
        bytes.extend(table.as_bytes());
        bytes
    };
    let decode = |bytes: &[u8], version| match nvsp_message::HostMessage::decode(bytes, version) {
        Ok(nvsp_message::HostMessage::SendIndirectionTable(table)) => {
            Ok(table.map(|entry| entry.get()).to_vec())
        }
        Ok(other) => panic!("{other}"),
        Err(error) => Err(error),
    };
    assert_eq!(decode(&build(40, 40), Version::V6_1).unwrap(), table);
    // The wrong offset: counted from another place, in a message that is long enough.
    assert_eq!(decode(&build(36, 40), Version::V6).unwrap(), table);
    assert!(decode(&build(36, 40), Version::V6_1).unwrap() != table);
    // A short message of an old host: its offset is all there is.
    assert_eq!(decode(&build(28, 28), Version::V5).unwrap(), table);
    assert!(matches!(
        decode(&build(41, 40), Version::V6_1),
        Err(DecodeError::OutOfBounds { offset: 41, .. })
    ));
    assert!(matches!(
        decode(&build(u32::MAX, 28), Version::V5),
        Err(DecodeError::OutOfBounds { .. })
    ));
    let mut bytes = build(40, 40);
    bytes[4] = 17;
    assert!(matches!(
        decode(&bytes, Version::V6_1),
        Err(DecodeError::Count { got: 17, .. })
    ));
}

#[test]
fn rndis_offsets_are_checked() {
    let packet = |data: (u32, u32), ppi: (u32, u32), oob: (u32, u32)| {
        let mut words = vec![
            1,
            PACKET_HEADER_LEN as u32 + 64,
            data.0,
            data.1,
            oob.0,
            oob.1,
            0,
            ppi.0,
            ppi.1,
            0,
            0,
        ];
        words.extend([0; 16]);
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let decode = |bytes: &[u8]| rndis_message::GuestMessage::decode(bytes).map(|_| ());
    assert_eq!(decode(&packet((52, 48), (36, 16), (0, 0))), Ok(()));
    for bad in [(36, 65), (100, 1), (35, 1), (0, 1), (u32::MAX, 1), (36, u32::MAX)] {
        assert!(
            matches!(
                decode(&packet(bad, (0, 0), (0, 0))),
                Err(DecodeError::OutOfBounds { .. })
            ),
            "{bad:?}"
        );
        assert!(
            matches!(
                decode(&packet((36, 1), bad, (0, 0))),
                Err(DecodeError::OutOfBounds { .. })
            ),
            "{bad:?}"
        );
        assert!(
            matches!(
                decode(&packet((36, 1), (0, 0), bad)),
                Err(DecodeError::OutOfBounds { .. })
            ),
            "{bad:?}"
        );
    }
    // With length 0 an offset means nothing.
    assert_eq!(decode(&packet((36, 1), (u32::MAX, 0), (7, 0))), Ok(()));
}

#[test]
fn rndis_length_below_a_header() {
    for length in 0..8_u32 {
        let bytes = [2_u32.to_le_bytes(), length.to_le_bytes(), [0; 4], [0; 4]].concat();
        let got = length as usize;
        let expected = DecodeError::Short {
            what: "RNDIS message",
            needed: 8,
            got,
        };
        assert_eq!(rndis_message::GuestMessage::decode(&bytes), Err(expected));
    }
}

#[test]
fn codes_keep_unknown_values_and_name_known_ones() {
    use netvsc_proto::wire::oid::Oid;
    assert_eq!(Oid::GEN_LINK_SPEED.to_string(), "OID_GEN_LINK_SPEED");
    assert_eq!(Oid::new(0xdead_beef).to_string(), "0xdeadbeef");
    assert_eq!(Oid::new(0xdead_beef).value(), 0xdead_beef);
    for (names, what) in [
        (Oid::NAMED.len(), "OIDs"),
        (nvsp::MessageType::NAMED.len(), "messages"),
    ] {
        assert!(names > 30, "{what}");
    }
    let mut numbers: Vec<_> = Oid::NAMED.iter().map(|oid| oid.value()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), Oid::NAMED.len());
}

#[test]
fn traces_read_well() {
    use netvsc_proto::wire::oid::Oid;
    let mut out = [0; 128];
    let query = rndis_message::GuestMessage::Query(
        rndis::OidRequest {
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
    let message = nvsp_message::GuestMessage::SendRndisPacket(nvsp::SendRndisPacket {
        channel_type: nvsp::ChannelType::DATA,
        section_index: 3.into(),
        section_size: 104.into(),
    });
    assert_eq!(message.to_string(), "SEND_RNDIS_PKT DATA section 3 size 104");
}
