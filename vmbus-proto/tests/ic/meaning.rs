//! What messages mean: versions, kinds, values, text, and the words of a trace.

use vmbus_proto::ic::wire::{
    Body, Envelope, FRAMEWORKS, FileCopy, FileCopyFlags, FileStart, Frame, GuestMessage, HostMessage,
    IpBinary, IpInfo, Kvp, KvpItem, KvpPair, KvpPool, KvpValue, MessageFlags, MessageType, PACKET_MAX,
    SERVICES, ShutdownData, ShutdownKind, Status, Text, TimeReference, TimeSync, Version, VersionChoice,
    VersionOffer, Versions, Vss, VssData, VssOperation,
};
use vmbus_proto::wire::PipeHeader;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

#[test]
fn the_first_of_ones_own_versions_is_chosen() {
    let version = Version::new;
    let offer = VersionOffer {
        frameworks: &[version(1, 0), version(3, 0)],
        messages: &[version(1, 0), version(3, 0), version(3, 2), version(9, 9)],
    };
    let chosen = offer.choose(
        &[version(3, 0), version(1, 0)],
        &[version(4, 0), version(3, 2), version(3, 0)],
    );
    assert_eq!(
        chosen,
        Some(Versions {
            framework: version(3, 0),
            message: version(3, 2)
        })
    );
    assert_eq!(offer.choose(&[version(2, 0)], &[version(3, 0)]), None);
    assert_eq!(offer.choose(&[version(3, 0)], &[version(2, 0)]), None);
    assert!(version(3, 10) > version(3, 2) && version(4, 0) > version(3, 10));
}

#[test]
fn a_kind_of_shutdown_is_one_thing() {
    for (flags, kind) in [
        (0, Some(ShutdownKind::PowerOff)),
        (1, Some(ShutdownKind::PowerOff)),
        (2, Some(ShutdownKind::Restart)),
        (3, Some(ShutdownKind::Restart)),
        (4, Some(ShutdownKind::Hibernate)),
        (5, Some(ShutdownKind::Hibernate)),
        (6, None),
        (8, None),
        (u32::MAX, None),
    ] {
        let data = ShutdownData {
            flags: U32::new(flags),
            ..ShutdownData::default()
        };
        assert_eq!(data.kind(), kind, "{flags}");
    }
}

#[test]
fn values_have_a_meaning_by_their_type() {
    let text = KvpPair::text("OSName", "Línux").unwrap();
    assert_eq!((text.key_size.get(), text.value_size.get()), (14, 12));
    assert!(matches!(text.value(), KvpValue::Text(text) if text.is("Línux")));
    assert_eq!(KvpPair::u32("n", 7).unwrap().value(), KvpValue::U32(7));
    let mut number = KvpPair::u64("n", u64::MAX - 1).unwrap();
    assert_eq!(number.value(), KvpValue::U64(u64::MAX - 1));
    number.value_type = 8.into();
    assert_eq!(number.value(), KvpValue::U64(u64::MAX - 1));
    number.value_size = U32::new(7);
    assert_eq!(
        number.value(),
        KvpValue::Other(&[254, 255, 255, 255, 255, 255, 255])
    );
    number.value_type = 77.into();
    assert_eq!(number.to_string(), "n = 7 bytes of type 77");
    let long = "x".repeat(256);
    assert_eq!(
        KvpPair::key(&long).unwrap_err().to_string(),
        "text of 256 units of UTF-16 in a field of 256, one of them for its NUL"
    );
    assert!(KvpPair::text("k", &"x".repeat(1024)).is_err());
    assert!(KvpPair::text("k", &"x".repeat(1023)).is_ok());
}

#[test]
fn text_is_what_a_peer_made_of_it() {
    let mut text = Text::<4>::new("a\u{1F600}").unwrap();
    assert_eq!((text.to_string().as_str(), text.size()), ("a\u{1F600}", 8));
    text.as_mut_bytes()[4..6].copy_from_slice(b"\n\0");
    assert_eq!(text.to_string(), "a\u{fffd}\\n");
    assert_eq!(format!("{text:?}"), "\"a\u{fffd}\\n\"");
    text.as_mut_bytes()[..4].copy_from_slice(b"\"\0\\\0");
    assert_eq!(format!("{text:?}"), r#""\"\\\n""#);
    let full = Text::<2>::read_from_bytes(U16::new(0x41).as_bytes().repeat(2).as_slice()).unwrap();
    assert_eq!((full.to_string().as_str(), full.size()), ("AA", 4));
}

#[test]
fn a_trace_reads_well() {
    let start = FileStart::new("a.txt", "/tmp", FileCopyFlags::OVERWRITE, 12).unwrap();
    let text = KvpPair::text("OSName", "Linux").unwrap();
    let item = KvpItem {
        index: U32::new(3),
        pair: text,
    };
    let mut info = IpBinary {
        ipv4_count: U32::new(1),
        ..IpBinary::default()
    };
    info.ipv4[0].0 = [10, 0, 2, 15];
    info.ipv4_subnets[0].0 = [255, 255, 255, 0];
    info.adapter = Text::new("{1}").unwrap();
    let shutdown = ShutdownData {
        flags: U32::new(3),
        timeout: U32::new(60),
        reason: 0x8000_0000.into(),
        ..ShutdownData::default()
    };
    let reference = TimeReference {
        host_time: 116_444_736_010_000_001.into(),
        reference_time: 77.into(),
        flags: 1,
        ..TimeReference::default()
    };
    let freeze = Vss {
        data: VssData::new(VssOperation::FREEZE),
        tail: &[],
    };
    for (body, text) in [
        (
            Body::Shutdown(&shutdown),
            "SHUTDOWN restart by force, reason PLANNED, timeout 60 s",
        ),
        (
            Body::TimeSync(TimeSync::Reference(reference)),
            "TIME_SYNC sync unix 1.0000001 reference 77",
        ),
        (
            Body::Kvp(Kvp::Set(KvpPool::GUEST, &text)),
            "KVP_EXCHANGE SET GUEST OSName = \"Linux\"",
        ),
        (
            Body::Kvp(Kvp::Enumerate(KvpPool::AUTO, &item)),
            "KVP_EXCHANGE ENUMERATE AUTO 3 OSName = \"Linux\"",
        ),
        (
            Body::Kvp(Kvp::GetIpInfo(KvpPool::EXTERNAL, IpInfo::Binary(&info))),
            "KVP_EXCHANGE GET_IP_INFO EXTERNAL {1} dhcp 0 10.0.2.15/255.255.255.0",
        ),
        (Body::Vss(freeze), "VSS FREEZE flags 0x0"),
        (
            Body::FileCopy(FileCopy::Start(&start)),
            "FILE_COPY START \"a.txt\" in \"/tmp\", 12 bytes, flags 0x1",
        ),
        (
            Body::FileCopy(FileCopy::Write {
                offset: 6144,
                data: &[1; 20],
            }),
            "FILE_COPY WRITE 20 bytes at 6144",
        ),
        (
            Body::Other(MessageType::new(300), &[0xab; 17]),
            "300 17 bytes abababababababababababababababab...",
        ),
    ] {
        assert_eq!(HostMessage::Request(body).to_string(), text);
        assert_eq!(GuestMessage::Response(body).to_string(), text);
    }
    let offer = VersionOffer {
        frameworks: &[Version::new(1, 0), Version::new(3, 0)],
        messages: &[Version::new(4, 0)],
    };
    assert_eq!(
        HostMessage::Negotiate(offer).to_string(),
        "NEGOTIATE framework 1.0 3.0, messages 4.0"
    );
    assert_eq!(
        GuestMessage::Negotiate(VersionChoice(None)).to_string(),
        "NEGOTIATE no version in common"
    );
    // Fields of 2 KiB are not shown in full.
    assert!(format!("{:?}", Body::Shutdown(&shutdown)).len() < 200);
}

#[test]
fn every_service_has_room_for_its_packets() {
    for service in SERVICES {
        assert!(service.packet_max <= PACKET_MAX, "{}", service.name);
        assert!(service.versions.is_sorted_by(|a, b| a > b), "{}", service.name);
        let mut out = vec![0; service.packet_max];
        let offer = VersionOffer {
            frameworks: FRAMEWORKS,
            messages: service.versions,
        };
        assert!(
            HostMessage::Negotiate(offer)
                .encode(&Envelope::default(), &mut out)
                .is_ok()
        );
    }
}

#[test]
fn headers_stand_where_linux_has_them() {
    let envelope = Envelope {
        framework: Version::new(3, 0),
        version: Version::new(3, 2),
        status: Status::FAIL,
        transaction_id: 9,
        flags: MessageFlags::TRANSACTION,
    };
    let mut out = [0; 128];
    let failed = GuestMessage::Failed(MessageType::SHUTDOWN, &[0xaa]);
    let payload = failed.encode(&envelope, &mut out).unwrap();
    let expected = [
        1, 0, 0, 0, 21, 0, 0, 0, 3, 0, 0, 0, 3, 0, 3, 0, 2, 0, 1, 0, 0x05, 0x40, 0, 0x80, 9, 5, 0, 0, 0xaa,
    ];
    assert_eq!(payload, expected);
    assert_eq!(PipeHeader::split(payload).unwrap().1.len(), 21);
    assert_eq!(Frame::decode(payload).unwrap().body, [0xaa]);
}
