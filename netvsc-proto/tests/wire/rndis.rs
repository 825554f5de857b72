//! Messages of RNDIS: round trips, every truncation, and lengths and offsets that are not right.

use netvsc_proto::wire::rndis::{self, PACKET_HEADER_LEN};
use netvsc_proto::wire::rndis_message::{Framed, PacketMessage};
use netvsc_proto::wire::{DecodeError, rndis_message};
use proptest::prelude::*;

use crate::any_wire;

proptest! {
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
