//! The wire as a whole: every message of the table, in every size.

extern crate std;
use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;
use zerocopy::little_endian::{U16, U32, U64};

use super::*;

/// Bytes of a message of this type and length, its body random, its padding as sent.
fn message(message_type: MessageType, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(message_type.value().to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

/// Decodes in the direction, and gives the bytes that come out again and the line of the trace.
fn round_trip(direction: Direction, bytes: &[u8]) -> Result<(Vec<u8>, String), DecodeError> {
    Ok(match direction {
        Direction::FromHost => {
            let message = HostMessage::decode(bytes)?;
            (message.encode().to_vec(), message.to_string())
        }
        Direction::FromGuest => {
            let message = GuestMessage::decode(bytes)?;
            (message.encode().unwrap().to_vec(), message.to_string())
        }
    })
}

fn sizes(info: &MessageInfo) -> Vec<usize> {
    (0..=MESSAGE_MAX)
        .filter(|len| info.sizes.contains(*len))
        .collect()
}

#[test]
fn the_table_has_each_number_once() {
    let mut numbers: Vec<u32> = TABLE.iter().map(|info| info.message_type.value()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=29).collect::<Vec<u32>>());
}

#[test]
fn every_size_fits_a_synic_message() {
    for info in TABLE {
        assert!(info.sizes.least() >= HEADER_SIZE, "{}", info.name);
        assert!(info.sizes.most() <= MESSAGE_MAX, "{}", info.name);
        assert_eq!(sizes(info).first(), Some(&info.sizes.least()), "{}", info.name);
        assert_eq!(sizes(info).last(), Some(&info.sizes.most()), "{}", info.name);
    }
}

#[test]
fn a_wrong_size_is_refused_with_the_sizes() {
    for info in TABLE {
        for len in HEADER_SIZE..=MESSAGE_MAX + 16 {
            let bytes = message(info.message_type, &std::vec![0xa5; len - HEADER_SIZE]);
            let result = round_trip(info.direction, &bytes).map(drop);
            if info.sizes.contains(len) || is_rounded_up(info, len) {
                assert_eq!(result, Ok(()), "{} of {len}", info.name);
            } else {
                let error = DecodeError::Length {
                    message_type: info.message_type,
                    len,
                    sizes: info.sizes,
                };
                assert_eq!(result, Err(error));
            }
        }
    }
}

fn is_rounded_up(info: &MessageInfo, len: usize) -> bool {
    sizes(info).iter().any(|size| size.next_multiple_of(8) == len)
}

#[test]
fn a_size_rounded_up_to_8_is_taken_and_the_rest_ignored() {
    // QEMU sends all messages so.
    for info in TABLE {
        for size in sizes(info) {
            let bytes = message(info.message_type, &std::vec![0x5a; size - HEADER_SIZE]);
            let mut padded = bytes.clone();
            padded.resize(size.next_multiple_of(8), 0xff);
            if info.sizes.contains(padded.len()) {
                continue;
            }
            assert_eq!(
                round_trip(info.direction, &padded),
                round_trip(info.direction, &bytes),
                "{}",
                info.name
            );
        }
    }
    let opened = message(MessageType::OPEN_CHANNEL_RESULT, &[0; 16]);
    assert_eq!(round_trip(Direction::FromHost, &opened).unwrap().0.len(), 20);
    assert!(
        round_trip(
            Direction::FromHost,
            &message(MessageType::OPEN_CHANNEL_RESULT, &[0; 20])
        )
        .is_err()
    );
}

#[test]
fn the_wrong_direction_is_refused() {
    for info in TABLE {
        let other = match info.direction {
            Direction::FromGuest => Direction::FromHost,
            Direction::FromHost => Direction::FromGuest,
        };
        let bytes = message(info.message_type, &std::vec![0; info.sizes.least() - HEADER_SIZE]);
        let error = DecodeError::WrongDirection {
            message_type: info.message_type,
            direction: info.direction,
        };
        assert_eq!(round_trip(other, &bytes), Err(error));
    }
}

#[test]
fn an_unknown_number_and_a_cut_header_are_refused() {
    for number in [0, 30, 31, 0x0100_0003, u32::MAX] {
        let message_type = MessageType::new(number);
        let bytes = message(message_type, &[]);
        assert_eq!(
            HostMessage::decode(&bytes),
            Err(DecodeError::UnknownType { message_type })
        );
        assert_eq!(
            GuestMessage::decode(&bytes),
            Err(DecodeError::UnknownType { message_type })
        );
    }
    for len in 0..HEADER_SIZE {
        let bytes = &message(MessageType::UNLOAD, &[])[..len];
        assert_eq!(GuestMessage::decode(bytes), Err(DecodeError::NoHeader { len }));
    }
}

#[test]
fn garbage_in_the_header_is_ignored() {
    let mut bytes = message(MessageType::UNLOAD, &[]);
    bytes[4..8].fill(0xcc);
    assert_eq!(GuestMessage::decode(&bytes), Ok(GuestMessage::Unload));
}

#[test]
fn version_and_feature_decide_what_is_allowed() {
    let modify = MessageInfo::of(MessageType::MODIFY_CONNECTION).unwrap();
    assert!(modify.is_allowed(Version::COPPER, FeatureFlags::MODIFY_CONNECTION));
    assert!(!modify.is_allowed(Version::COPPER, FeatureFlags::PAUSE_RESUME));
    assert!(!modify.is_allowed(Version::IRON, FeatureFlags::MODIFY_CONNECTION));
    let open = MessageInfo::of(MessageType::OPEN_CHANNEL).unwrap();
    assert!(open.is_allowed(Version::V1, FeatureFlags::empty()));
}

#[test]
fn lists_longer_than_a_message_are_refused() {
    let values = [U64::ZERO; BODY_VALUES_MAX + 1];
    let request = GpadlRequest {
        relid: RelId::new(1),
        gpadl: GpadlId::new(2),
        range_bytes: U16::ZERO,
        range_count: U16::ZERO,
    };
    let header = |values| GuestMessage::GpadlHeader(GpadlHeader { request, values }).encode();
    assert_eq!(header(&values[..HEADER_VALUES_MAX]).unwrap().len(), 236);
    let message_type = MessageType::GPADL_HEADER;
    assert_eq!(
        header(&values[..28]),
        Err(ListTooLong {
            message_type,
            values: 28,
            most: 27
        })
    );
    let more = GpadlMore {
        message_number: U32::ZERO,
        gpadl: GpadlId::new(2),
    };
    let body = |values| GuestMessage::GpadlBody(GpadlBody { more, values }).encode();
    assert_eq!(body(&values[..BODY_VALUES_MAX]).unwrap().len(), 240);
    let message_type = MessageType::GPADL_BODY;
    assert_eq!(
        body(&values),
        Err(ListTooLong {
            message_type,
            values: 29,
            most: 28
        })
    );
}

#[test]
fn version_response_is_told_apart_by_its_size() {
    let body: Vec<u8> = (0..32).map(|byte| if byte == 0 { 1 } else { byte }).collect();
    let decode = |len: usize| {
        let bytes = message(MessageType::VERSION_RESPONSE, &body[..len - HEADER_SIZE]);
        match HostMessage::decode(&bytes).unwrap() {
            HostMessage::VersionResponse(response) => response,
            other => panic!("{other}"),
        }
    };
    assert_eq!(decode(9), VersionResponse::Bare { version_supported: 1 });
    assert_eq!(
        decode(10).connection_state(),
        Some(ConnectionState::FAILED_LOW_RESOURCES)
    );
    assert_eq!(
        decode(16).answer().unwrap().connection_id_or_version.get(),
        0x0706_0504
    );
    assert_eq!(decode(16).features(), FeatureFlags::empty());
    assert_eq!(decode(20).features().bits(), 0x0b0a_0908);
    assert_eq!(decode(20).monitor_pages(), None);
    let pages = decode(40);
    let pages = pages.monitor_pages().unwrap();
    assert_eq!(pages.parent_to_child.get(), 0x1716_1514_1312_1110);
    assert_eq!(pages.child_to_parent.get(), 0x1f1e_1d1c_1b1a_1918);
}

#[test]
fn contact_says_by_its_version_what_stands_at_16() {
    let request = |version| ContactRequest {
        version,
        target_vp: U32::ZERO,
        interrupt_page_or_target: [2, 1, 0, 0, 8, 0, 0, 0],
        parent_to_child_monitor_page: U64::ZERO,
        child_to_parent_monitor_page: U64::ZERO,
    };
    let old = request(Version::WIN10_RS3_0);
    assert_eq!(old.interrupt_page(), Some(0x0000_0008_0000_0102));
    assert_eq!(old.target_info(), None);
    let new = request(Version::WIN10_RS3_1);
    assert_eq!(new.interrupt_page(), None);
    assert_eq!(new.target_info().map(|info| (info.sint, info.vtl)), Some((2, 1)));
    assert_eq!(new.features(), FeatureFlags::empty());
    assert_eq!(request(Version::COPPER).features(), FeatureFlags::CLIENT_ID);
}

#[test]
fn offer_flags_mean_what_the_version_says() {
    let all = OfferFlags::from_bits_retain(0xffff);
    let old = OfferFlags::ENUMERATE_DEVICE_INTERFACE | OfferFlags::NAMED_PIPE_MODE;
    assert_eq!(all.for_version(Version::WIN8_1, FeatureFlags::all()), old);
    assert_eq!(
        all.for_version(Version::IRON, FeatureFlags::all()),
        old | OfferFlags::TRANSPORT_PROVIDER
    );
    let confidential = OfferFlags::CONFIDENTIAL_RING_BUFFER | OfferFlags::CONFIDENTIAL_EXTERNAL_MEMORY;
    assert_eq!(
        all.for_version(Version::COPPER, FeatureFlags::CONFIDENTIAL_CHANNELS),
        old | OfferFlags::TRANSPORT_PROVIDER | confidential
    );
    assert!(
        all.for_version(Version::COPPER, FeatureFlags::GPA_PINNING)
            .contains(OfferFlags::PINNED_EXTERNAL_MEMORY)
    );
}

#[test]
fn a_trace_line_names_what_matters() {
    let open = GuestMessage::OpenChannel(OpenChannel {
        request: OpenRequest {
            relid: RelId::new(3),
            open_id: U32::new(3),
            ring_gpadl: GpadlId::new(0xe1e13),
            target_vp: U32::new(1),
            downstream_page_offset: U32::new(4),
            user_data: [0; USER_DEFINED_SIZE],
        },
        signal: None,
    });
    assert_eq!(
        open.to_string(),
        "OPEN_CHANNEL relid 3 open id 3 gpadl 0xe1e13 vp 1 downstream at page 4"
    );
    assert_eq!(GuestMessage::Unload.to_string(), "UNLOAD");
    let refusal = HostMessage::VersionResponse(VersionResponse::REFUSAL);
    assert_eq!(refusal.to_string(), "VERSION_RESPONSE refused");
    assert_eq!(refusal.encode().len(), 16);
    let created = GpadlCreated {
        relid: RelId::new(1),
        gpadl: GpadlId::new(0xe1e10),
        status: Status::INSUFFICIENT_RESOURCES,
    };
    assert_eq!(
        HostMessage::GpadlCreated(created).to_string(),
        "GPADL_CREATED relid 1 gpadl 0xe1e10 INSUFFICIENT_RESOURCES"
    );
}

fn any_message() -> impl Strategy<Value = (&'static MessageInfo, Vec<u8>)> {
    proptest::sample::select(TABLE).prop_flat_map(|info| {
        let info = MessageInfo::of(info.message_type).unwrap();
        proptest::sample::select(sizes(info)).prop_flat_map(move |len| {
            proptest::collection::vec(any::<u8>(), len - HEADER_SIZE)
                .prop_map(move |body| (info, message(info.message_type, &body)))
        })
    })
}

proptest! {
    #[test]
    fn what_decodes_encodes_to_the_same_bytes((info, bytes) in any_message()) {
        let (again, line) = round_trip(info.direction, &bytes).unwrap();
        prop_assert_eq!(again, bytes);
        prop_assert!(line.starts_with(info.name));
        prop_assert!(!line.contains('\n'));
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(number in 0u32..32, body in proptest::collection::vec(any::<u8>(), 0..260)) {
        let bytes = message(MessageType::new(number), &body);
        let _ = round_trip(Direction::FromHost, &bytes);
        let _ = round_trip(Direction::FromGuest, &bytes);
        let _ = round_trip(Direction::FromHost, &body);
        let _ = round_trip(Direction::FromGuest, &body);
    }
}
