//! Messages: what is encoded decodes again, and what is no message is refused with its sizes.

use proptest::collection::vec;
use proptest::prelude::*;
use vmbus_proto::ic::wire::{
    Body, DecodeError, Envelope, FRAGMENT_MAX, FileCopy, FileCopyHeader, FileStart, GuestMessage,
    HEADERS_SIZE, HeartbeatData, HostMessage, IpBinary, IpInfo, IpText, Kvp, KvpHeader, KvpItem, KvpKey,
    KvpOperation, KvpPair, KvpPool, MessageFlags, MessageType, PACKET_MAX, ShutdownData, Status,
    TimeReference, TimeSample, TimeSync, Version, VersionChoice, VersionOffer, Versions, Vss, VssData,
};
use vmbus_proto::wire::PipeError;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

/// A body that owns what a [`Body`] borrows.
#[derive(Clone, Debug)]
enum Owned {
    Heartbeat(HeartbeatData),
    Shutdown(Box<ShutdownData>),
    TimeSync(TimeSync),
    Pair(bool, KvpPool, Box<KvpPair>),
    Key(KvpPool, Box<KvpKey>),
    Item(KvpPool, Box<KvpItem>),
    Text(bool, KvpPool, Box<IpText>),
    Binary(bool, KvpPool, Box<IpBinary>),
    OtherKvp(KvpHeader, Vec<u8>),
    Vss(VssData, Vec<u8>),
    Start(Box<FileStart>),
    Write(u64, Vec<u8>),
    Complete,
    Cancel,
    OtherCopy(FileCopyHeader, Vec<u8>),
    Other(MessageType, Vec<u8>),
}

impl Owned {
    fn body(&self) -> Body<'_> {
        match self {
            Self::Heartbeat(data) => Body::Heartbeat(*data),
            Self::Shutdown(data) => Body::Shutdown(data),
            Self::TimeSync(time) => Body::TimeSync(*time),
            Self::Pair(false, pool, pair) => Body::Kvp(Kvp::Get(*pool, pair)),
            Self::Pair(true, pool, pair) => Body::Kvp(Kvp::Set(*pool, pair)),
            Self::Key(pool, key) => Body::Kvp(Kvp::Delete(*pool, key)),
            Self::Item(pool, item) => Body::Kvp(Kvp::Enumerate(*pool, item)),
            Self::Text(false, pool, info) => Body::Kvp(Kvp::GetIpInfo(*pool, IpInfo::Text(info))),
            Self::Text(true, pool, info) => Body::Kvp(Kvp::SetIpInfo(*pool, IpInfo::Text(info))),
            Self::Binary(false, pool, info) => Body::Kvp(Kvp::GetIpInfo(*pool, IpInfo::Binary(info))),
            Self::Binary(true, pool, info) => Body::Kvp(Kvp::SetIpInfo(*pool, IpInfo::Binary(info))),
            Self::OtherKvp(header, rest) => Body::Kvp(Kvp::Other(*header, rest)),
            Self::Vss(data, tail) => Body::Vss(Vss { data: *data, tail }),
            Self::Start(start) => Body::FileCopy(FileCopy::Start(start)),
            Self::Write(offset, data) => Body::FileCopy(FileCopy::Write {
                offset: *offset,
                data,
            }),
            Self::Complete => Body::FileCopy(FileCopy::Complete),
            Self::Cancel => Body::FileCopy(FileCopy::Cancel),
            Self::OtherCopy(header, rest) => Body::FileCopy(FileCopy::Other(*header, rest)),
            Self::Other(message_type, body) => Body::Other(*message_type, body),
        }
    }

    /// A version in which the body has this form.
    fn version(&self) -> Version {
        match self {
            Self::TimeSync(TimeSync::Reference(_)) => TimeSync::REFERENCE_SINCE,
            Self::Binary(..) => IpInfo::BINARY_SINCE,
            _ => Version::new(3, 0),
        }
    }
}

/// Any value of a wire type.
fn any_of<T: FromBytes + std::fmt::Debug>() -> impl Strategy<Value = Box<T>> {
    vec(any::<u8>(), size_of::<T>()).prop_map(|bytes| Box::new(T::read_from_bytes(&bytes).unwrap()))
}

fn pair() -> impl Strategy<Value = Box<KvpPair>> {
    (any_of::<KvpPair>(), 0..=512_u32, 0..=2048_u32).prop_map(|(mut pair, key, value)| {
        pair.key_size = U32::new(key);
        pair.value_size = U32::new(value);
        pair
    })
}

fn binary() -> impl Strategy<Value = Box<IpBinary>> {
    (
        any_of::<IpBinary>(),
        [0..=64_u32, 0..=64, 0..=5, 0..=5, 0..=64, 0..=64],
    )
        .prop_map(|(mut info, counts)| {
            info.as_mut_bytes()[..24].copy_from_slice(counts.map(U32::new).as_bytes());
            info
        })
}

fn pool() -> impl Strategy<Value = KvpPool> {
    any::<u8>().prop_map(KvpPool::new)
}

fn owned() -> impl Strategy<Value = Owned> {
    let sample = any_of::<TimeSample>().prop_map(|sample| Owned::TimeSync(TimeSync::Sample(*sample)));
    let reference = any_of::<TimeReference>().prop_map(|time| Owned::TimeSync(TimeSync::Reference(*time)));
    let rest = || vec(any::<u8>(), 0..64);
    prop_oneof![
        any_of().prop_map(|data| Owned::Heartbeat(*data)),
        any_of().prop_map(Owned::Shutdown),
        sample,
        reference,
        (any::<bool>(), pool(), pair()).prop_map(|(set, pool, pair)| Owned::Pair(set, pool, pair)),
        (pool(), any_of::<KvpKey>(), 0..=512_u32).prop_map(|(pool, mut key, size)| {
            key.size = U32::new(size);
            Owned::Key(pool, key)
        }),
        (pool(), any::<u32>(), pair()).prop_map(|(pool, index, pair)| {
            let index = U32::new(index);
            Owned::Item(pool, Box::new(KvpItem { index, pair: *pair }))
        }),
        (any::<bool>(), pool(), any_of()).prop_map(|(set, pool, info)| Owned::Text(set, pool, info)),
        (any::<bool>(), pool(), binary()).prop_map(|(set, pool, info)| Owned::Binary(set, pool, info)),
        (6_u8.., pool(), rest()).prop_map(|(operation, pool, rest)| {
            let operation = KvpOperation::new(operation);
            Owned::OtherKvp(KvpHeader { operation, pool }, rest)
        }),
        (any_of::<VssData>(), rest()).prop_map(|(data, tail)| Owned::Vss(*data, tail)),
        any_of::<FileStart>().prop_map(|mut start| {
            start.header.operation = 0.into();
            Owned::Start(start)
        }),
        (any::<u64>(), vec(any::<u8>(), 0..=FRAGMENT_MAX))
            .prop_map(|(offset, data)| Owned::Write(offset, data)),
        Just(Owned::Complete),
        Just(Owned::Cancel),
        (4_u32.., any_of::<FileCopyHeader>(), rest()).prop_map(|(operation, mut header, rest)| {
            header.operation = operation.into();
            Owned::OtherCopy(*header, rest)
        }),
        (8_u16.., rest()).prop_map(|(number, body)| Owned::Other(MessageType::new(number), body)),
    ]
}

fn version() -> impl Strategy<Value = Version> {
    any::<(u16, u16)>().prop_map(|(major, minor)| Version::new(major, minor))
}

fn envelope() -> impl Strategy<Value = Envelope> {
    (version(), version(), any::<u32>(), any::<u8>(), any::<u8>()).prop_map(
        |(framework, version, status, transaction_id, flags)| Envelope {
            framework,
            version,
            status: Status::new(status),
            transaction_id,
            flags: MessageFlags::from_bits_retain(flags),
        },
    )
}

fn request(envelope: Envelope, version: Version) -> Envelope {
    Envelope {
        version,
        flags: envelope.flags - MessageFlags::RESPONSE,
        ..envelope
    }
}

fn response(envelope: Envelope, version: Version) -> Envelope {
    Envelope {
        version,
        status: Status::SUCCESS,
        flags: envelope.flags | MessageFlags::RESPONSE,
        ..envelope
    }
}

proptest! {
    #[test]
    fn requests_and_responses_are_round_trips(owned in owned(), envelope in envelope(), tail in 0..64_usize) {
        let mut out = vec![0xee; PACKET_MAX];
        let body = owned.body();

        let asked = request(envelope, owned.version());
        let message = HostMessage::Request(body);
        let len = message.encode(&asked, &mut out).unwrap().len();
        prop_assert_eq!(HostMessage::decode(&out[..len]), Ok((asked, message)));
        // What the ring rounds up by, and what Linux sends beyond, means nothing.
        prop_assert_eq!(HostMessage::decode(&out[..len + tail]), Ok((asked, message)));
        prop_assert!(GuestMessage::decode(&out[..len]).is_err());

        let answered = response(envelope, owned.version());
        let message = GuestMessage::Response(body);
        let len = message.encode(&answered, &mut out).unwrap().len();
        prop_assert_eq!(GuestMessage::decode(&out[..len]), Ok((answered, message)));
        prop_assert!(HostMessage::decode(&out[..len]).is_err());
        // A trace keeps to its line.
        let shown = [message.to_string(), format!("{message:?}")];
        prop_assert!(shown.iter().all(|line| !line.contains('\n')));
    }

    #[test]
    fn case_17_a_packet_cut_off_is_refused(owned in owned(), cut in any::<prop::sample::Index>()) {
        let mut out = vec![0; PACKET_MAX];
        let envelope = request(Envelope::default(), owned.version());
        let len = HostMessage::Request(owned.body()).encode(&envelope, &mut out).unwrap().len();
        let cut = cut.index(len);
        let error = HostMessage::decode(&out[..cut]).unwrap_err();
        let told = if cut < 8 {
            DecodeError::Pipe(PipeError::NoHeader { len: cut, needed: 8 })
        } else {
            DecodeError::Pipe(PipeError::Size { size: u32::try_from(len - 8).unwrap(), len: cut - 8 })
        };
        prop_assert_eq!(error, told);
    }

    #[test]
    fn negotiation_is_a_round_trip(
        frameworks in vec(version(), 0..100),
        messages in vec(version(), 0..100),
        chosen in any::<Option<()>>(),
        envelope in envelope(),
    ) {
        let mut out = vec![0; PACKET_MAX];
        let offer = HostMessage::Negotiate(VersionOffer { frameworks: &frameworks, messages: &messages });
        let asked = request(envelope, envelope.version);
        let payload = offer.encode(&asked, &mut out).unwrap();
        prop_assert_eq!(HostMessage::decode(payload), Ok((asked, offer)));

        let versions = chosen.map(|()| Versions { framework: asked.framework, message: asked.version });
        let choice = GuestMessage::Negotiate(VersionChoice(versions));
        let answered = Envelope { flags: envelope.flags | MessageFlags::RESPONSE, ..envelope };
        let payload = choice.encode(&answered, &mut out).unwrap();
        prop_assert_eq!(payload.len(), HEADERS_SIZE + VersionChoice::SIZE);
        prop_assert_eq!(GuestMessage::decode(payload), Ok((answered, choice)));
    }

    #[test]
    fn a_failure_keeps_its_body(status in 1_u32.., number in 1_u16.., body in vec(any::<u8>(), 0..600)) {
        let mut out = vec![0; PACKET_MAX];
        let envelope = Envelope { status: Status::new(status), flags: MessageFlags::RESPONSE, ..Envelope::default() };
        let failed = GuestMessage::Failed(MessageType::new(number), &body);
        let payload = failed.encode(&envelope, &mut out).unwrap();
        prop_assert_eq!(GuestMessage::decode(payload), Ok((envelope, failed)));
    }

    #[test]
    fn no_bytes_do_harm(
        mut bytes in vec(any::<u8>(), 0..9000),
        number in 0..9_u16,
        version in prop::sample::select(vec![Version::new(1, 0), Version::new(4, 0), Version::new(5, 0)]),
        operation in 0..7_u8,
    ) {
        // Headers that fit, so that the body is reached.
        if bytes.len() >= 40 {
            let len = bytes.len();
            bytes[4..8].copy_from_slice(&u32::try_from(len - 8).unwrap().to_le_bytes());
            bytes[12..14].copy_from_slice(&number.to_le_bytes());
            bytes[14..18].copy_from_slice(version.as_bytes());
            bytes[18..20].copy_from_slice(&u16::try_from(len - 28).unwrap().to_le_bytes());
            bytes[28] = operation;
            bytes[29..32].fill(0);
        }
        let mut out = vec![0; PACKET_MAX];
        if let Ok((envelope, message)) = HostMessage::decode(&bytes) {
            let payload = message.encode(&envelope, &mut out).unwrap();
            prop_assert_eq!(HostMessage::decode(payload), Ok((envelope, message)));
        }
        if let Ok((envelope, message)) = GuestMessage::decode(&bytes) {
            let payload = message.encode(&envelope, &mut out).unwrap();
            prop_assert_eq!(GuestMessage::decode(payload), Ok((envelope, message)));
        }
    }
}

/// A packet with this body, as a host sends it.
fn packet(message_type: MessageType, version: Version, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0; PACKET_MAX + body.len()];
    let envelope = Envelope {
        version,
        ..Envelope::default()
    };
    let message = HostMessage::Request(Body::Other(message_type, body));
    let len = message.encode(&envelope, &mut out).unwrap().len();
    out.truncate(len);
    out
}

#[test]
fn case_17_every_body_has_its_sizes() {
    // Type, version, first byte of the body, the fewest bytes and the most.
    let sizes = [
        (MessageType::HEARTBEAT, 3, 0, 8, 40),
        (MessageType::SHUTDOWN, 3, 0, 2060, 2060),
        (MessageType::TIME_SYNC, 3, 0, 25, 32),
        (MessageType::TIME_SYNC, 4, 0, 22, 24),
        (MessageType::KVP_EXCHANGE, 3, 0, 2576, 7432),
        (MessageType::KVP_EXCHANGE, 3, 1, 2576, 7432),
        (MessageType::KVP_EXCHANGE, 3, 2, 520, 7432),
        (MessageType::KVP_EXCHANGE, 3, 3, 2580, 7432),
        (MessageType::KVP_EXCHANGE, 4, 4, 7428, 7432),
        (MessageType::KVP_EXCHANGE, 4, 5, 7428, 7432),
        (MessageType::KVP_EXCHANGE, 5, 4, 4740, 7432),
        (MessageType::KVP_EXCHANGE, 5, 5, 4740, 7432),
        (MessageType::KVP_EXCHANGE, 5, 9, 2, 7432),
        (MessageType::VSS, 5, 5, 12, 8164),
        (MessageType::FILE_COPY, 1, 0, 1088, 6196),
        (MessageType::FILE_COPY, 1, 1, 52, 6196),
        (MessageType::FILE_COPY, 1, 2, 36, 6196),
        (MessageType::FILE_COPY, 1, 3, 36, 6196),
        (MessageType::FILE_COPY, 1, 4, 36, 6196),
    ];
    for (message_type, major, first, least, most) in sizes {
        for len in [
            0,
            1,
            least - 1,
            least,
            least + 1,
            most - 1,
            most,
            most + 1,
            most + 1000,
        ] {
            let mut body = vec![0; len];
            if let Some(byte) = body.first_mut() {
                *byte = first;
            }
            let packet = packet(message_type, Version::new(major, 0), &body);
            match HostMessage::decode(&packet) {
                Ok(_) => assert!((least..=most).contains(&len), "{message_type} {first} of {len}"),
                Err(DecodeError::Length {
                    message_type: told,
                    len: told_len,
                    ..
                }) => {
                    assert!(!(least..=most).contains(&len), "{message_type} {first} of {len}");
                    assert_eq!((told, told_len), (message_type, len));
                }
                Err(error) => panic!("{message_type} {first} of {len}: {error}"),
            }
        }
    }
    let error = HostMessage::decode(&packet(MessageType::SHUTDOWN, Version::new(3, 0), &[0; 7])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "SHUTDOWN with a body of 7 bytes; it has 2060 to 2060"
    );
}

#[test]
fn case_17_sizes_and_counts_beyond_the_packet_are_refused() {
    let good = packet(MessageType::HEARTBEAT, Version::new(3, 0), &[0; 40]);
    let spoil = |at: usize, bytes: &[u8]| {
        let mut packet = good.clone();
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        HostMessage::decode(&packet).unwrap_err().to_string()
    };
    assert_eq!(
        spoil(4, &61_u32.to_le_bytes()),
        "61 bytes in a pipe's packet that has 60 after its header"
    );
    assert_eq!(
        spoil(4, &u32::MAX.to_le_bytes()),
        "4294967295 bytes in a pipe's packet that has 60 after its header"
    );
    assert_eq!(
        spoil(4, &19_u32.to_le_bytes()),
        "a message of 19 bytes, of which its header takes 20"
    );
    assert_eq!(
        spoil(18, &41_u16.to_le_bytes()),
        "HEARTBEAT says that its body has 41 bytes, and 40 are there"
    );
    assert_eq!(
        spoil(18, &u16::MAX.to_le_bytes()),
        "HEARTBEAT says that its body has 65535 bytes, and 40 are there"
    );

    let negotiate = |frameworks: u16, messages: u16, len: usize| {
        let mut body = vec![0; 8 + len];
        body[..2].copy_from_slice(&frameworks.to_le_bytes());
        body[2..4].copy_from_slice(&messages.to_le_bytes());
        packet(MessageType::NEGOTIATE, Version::default(), &body)
    };
    for (frameworks, messages, len, good) in [
        (2, 3, 20, true),
        (0, 0, 0, true),
        (2, 3, 19, false),
        (6, 0, 20, false),
        (0, 6, 20, false),
        (u16::MAX, u16::MAX, 20, false),
        (1, u16::MAX, 20, false),
    ] {
        let packet = negotiate(frameworks, messages, len);
        let decoded = HostMessage::decode(&packet);
        assert_eq!(decoded.is_ok(), good, "{frameworks} and {messages} in {len}");
        if let Err(error) = decoded {
            let text = error.to_string();
            let told = format!("{frameworks} framework and {messages} message versions in ");
            assert!(text.starts_with(&told), "{text}");
        }
    }
    for (frameworks, messages) in [(0, 1), (1, 0), (2, 1), (1, 2), (u16::MAX, u16::MAX)] {
        let mut packet = negotiate(frameworks, messages, 8);
        packet[25] = MessageFlags::RESPONSE.bits();
        let told = DecodeError::Choice { frameworks, messages };
        assert_eq!(GuestMessage::decode(&packet), Err(told));
    }
    let mut packet = negotiate(1, 1, 7);
    packet[25] = MessageFlags::RESPONSE.bits();
    assert!(matches!(
        GuestMessage::decode(&packet),
        Err(DecodeError::VersionCounts { len: 7, .. })
    ));
}

#[test]
fn case_17_sizes_and_counts_beyond_the_field_are_refused() {
    let field = |body: &[u8], version| {
        let packet = packet(MessageType::KVP_EXCHANGE, Version::new(version, 0), body);
        match HostMessage::decode(&packet) {
            Ok(_) => None,
            Err(DecodeError::Field {
                field, count, most, ..
            }) => Some((field, count, most)),
            Err(error) => panic!("{error}"),
        }
    };
    // SET: key size at 8, value size at 12.
    let mut body = vec![0; 2580];
    body[0] = 1;
    for (at, name, most) in [(8, "a key's size", 512_u32), (12, "a value's size", 2048)] {
        for (count, good) in [(most, true), (most + 1, false), (u32::MAX, false)] {
            body[at..at + 4].copy_from_slice(&count.to_le_bytes());
            let told = (!good).then_some((name, count, most as usize));
            assert_eq!(field(&body, 4), told);
        }
        body[at..at + 4].fill(0);
    }
    // DELETE: key size at 4.
    body[0] = 2;
    body[4..8].copy_from_slice(&513_u32.to_le_bytes());
    assert_eq!(field(&body, 4), Some(("a key's size", 513, 512)));
    // SET_IP_INFO: six counts from 4 on.
    let mut body = vec![0; 7428];
    body[0] = 5;
    for (at, most) in [(4, 64_u32), (8, 64), (12, 5), (16, 5), (20, 64), (24, 64)] {
        for (count, good) in [(most, true), (most + 1, false), (u32::MAX, false)] {
            body[at..at + 4].copy_from_slice(&count.to_le_bytes());
            assert_eq!(field(&body, 5).is_none(), good, "{count} at {at}");
        }
        body[at..at + 4].fill(0);
    }
    // WRITE: size at 48.
    for (len, size, good) in [
        (100, 100_u32, true),
        (100, 101, false),
        (100, u32::MAX, false),
        (0, 1, false),
        (FRAGMENT_MAX, 6144, true),
    ] {
        let mut body = vec![0; 52 + len];
        body[0] = 1;
        body[48..52].copy_from_slice(&size.to_le_bytes());
        let packet = packet(MessageType::FILE_COPY, Version::new(1, 1), &body);
        assert_eq!(HostMessage::decode(&packet).is_ok(), good, "{size} of {len}");
    }
}

#[test]
fn what_does_not_fit_is_not_encoded() {
    let mut small = [0; 67];
    let beat = HostMessage::Request(Body::Heartbeat(HeartbeatData::new(1)));
    assert!(beat.encode(&Envelope::default(), &mut small).is_err());
    assert!(beat.encode(&Envelope::default(), &mut [0; 27]).is_err());
    let mut large = vec![0; 1 << 17];
    let long = vec![0; FRAGMENT_MAX + 1];
    let write = FileCopy::Write {
        offset: 0,
        data: &long,
    };
    let write = HostMessage::Request(Body::FileCopy(write));
    assert!(write.encode(&Envelope::default(), &mut large).is_err());
    let long = vec![0; 1 << 16];
    let other = HostMessage::Request(Body::Other(MessageType::new(99), &long));
    assert!(other.encode(&Envelope::default(), &mut large).is_err());
}
