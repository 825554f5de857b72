//! Messages of NVSP: round trips, and lengths and offsets that are not right.

use netvsc_proto::wire::nvsp::Version;
use netvsc_proto::wire::{DecodeError, nvsp_message, packet_direct};
use proptest::prelude::*;
use zerocopy::IntoBytes;

use crate::any_wire;

fn version() -> impl Strategy<Value = Version> {
    prop::sample::select(Version::NAMED)
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
