//! A host against guests of other versions, and against what a guest should not send.

use core::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use vmbus_proto::ic::Breach;
use vmbus_proto::ic::host::{
    Beat, Clocks, Event, Fault, FileCopy, Heartbeat, Kvp, RequestError, Shutdown, ShutdownOrder, TimeSync,
    Vss,
};
use vmbus_proto::ic::wire::{
    Body, DecodeError, Envelope, FRAMEWORKS, GuestMessage, HeartbeatData, HostMessage, IpBinary, IpInfo,
    IpText, KvpPair, KvpPool, MessageFlags, MessageType, PACKET_MAX, Service, ShutdownData, ShutdownKind,
    Status, TimeSync as Sample, Version, VersionChoice, Versions, VssData, VssOperation,
};
use vmbus_proto::ringbuf::Descriptor;

use crate::support::{NEWEST, Peer, channel, scratch};

/// A host's service, and a guest that is made up.
macro_rules! rig {
    ($service:ident) => {{
        let (host, guest) = channel();
        (Peer::new(guest), $service::new(host, scratch()).unwrap())
    }};
}

fn response(versions: Versions, transaction_id: u8) -> Envelope {
    Envelope {
        framework: versions.framework,
        version: versions.message,
        transaction_id,
        flags: MessageFlags::TRANSACTION | MessageFlags::RESPONSE,
        ..Envelope::default()
    }
}

/// What the host asked: its transaction, and its payload.
fn asked(guest: &mut Peer) -> (u8, Vec<u8>) {
    let (_, payload) = guest.received().expect("a request");
    let (envelope, _) = HostMessage::decode(&payload).unwrap();
    assert_eq!(envelope.flags, MessageFlags::TRANSACTION | MessageFlags::REQUEST);
    (envelope.transaction_id, payload)
}

/// Takes the host's offer and chooses these versions.
macro_rules! agree {
    ($guest:ident, $host:ident, $versions:expr, $($clock:expr)?) => {{
        let _ = $host.poll($($clock)?).unwrap();
        let (id, _) = asked(&mut $guest);
        let versions: Versions = $versions;
        let choice = GuestMessage::Negotiate(VersionChoice(Some(versions)));
        $guest.answer(response(Versions::default(), id), &choice);
        assert_eq!($host.poll($($clock)?).unwrap().event, Some(Event::Ready(versions)));
    }};
}

fn versions(service: &Service, message: usize) -> Versions {
    Versions {
        message: service.versions[message],
        ..NEWEST
    }
}

#[test]
fn the_offer_lists_every_version() {
    let (mut guest, mut host) = rig!(Shutdown);
    let _ = host.poll().unwrap();
    let (_, payload) = asked(&mut guest);
    let (_, HostMessage::Negotiate(offer)) = HostMessage::decode(&payload).unwrap() else {
        panic!("{payload:?}")
    };
    assert_eq!(offer.frameworks, FRAMEWORKS);
    assert_eq!(offer.messages, Service::SHUTDOWN.versions);
    let _ = host.poll().unwrap();
    assert_eq!(guest.received(), None, "it is offered once");
    assert_eq!(host.ask(ShutdownOrder::default()), Err(RequestError::NotReady));
}

#[test]
fn a_choice_is_one_of_the_offered() {
    let odd = Version::new(9, 9);
    let good = versions(&Service::VSS, 0);
    for (choice, fault) in [
        (None, Fault::NoVersion),
        (
            Some(Versions {
                framework: odd,
                ..good
            }),
            Fault::NotOffered {
                versions: Versions {
                    framework: odd,
                    ..good
                },
            },
        ),
        (
            Some(Versions { message: odd, ..good }),
            Fault::NotOffered {
                versions: Versions { message: odd, ..good },
            },
        ),
    ] {
        let (mut guest, mut host) = rig!(Vss);
        let _ = host.poll().unwrap();
        let (id, _) = asked(&mut guest);
        guest.answer(
            response(Versions::default(), id),
            &GuestMessage::Negotiate(VersionChoice(choice)),
        );
        assert_eq!(host.poll(), Err(fault));
        assert_eq!(host.poll(), Err(fault), "it stays");
        assert_eq!(host.ask(VssOperation::FREEZE), Err(RequestError::Fault(fault)));
        assert_eq!(host.fault(), Some(fault));
    }
}

#[test]
fn linux_answers_with_the_request_filled_in_and_its_length_as_it_was() {
    // The answer has as many bytes as the offer, its counts and size say less.
    let (mut guest, mut host) = rig!(Kvp);
    let _ = host.poll().unwrap();
    let (id, mut payload) = asked(&mut guest);
    payload[18..20].copy_from_slice(&16_u16.to_le_bytes());
    payload[24] = id;
    payload[25] = 5;
    payload[28..32].copy_from_slice(&[1, 0, 1, 0]);
    payload[36..44].copy_from_slice(&[3, 0, 0, 0, 4, 0, 0, 0]);
    guest.send(id.into(), Descriptor::InBand, &payload);
    let ready = Versions {
        message: Version::new(4, 0),
        ..NEWEST
    };
    assert_eq!(host.poll().unwrap().event, Some(Event::Ready(ready)));
}

#[test]
fn case_05_an_answer_is_that_of_the_request_under_way() {
    let good = versions(&Service::SHUTDOWN, 0);
    let data = ShutdownData::default();
    let answer = GuestMessage::Response(Body::Shutdown(&data));
    let unasked = |message_type, transaction_id| Fault::Unasked {
        message_type,
        transaction_id,
    };
    // Nothing was asked.
    let (mut guest, mut host) = rig!(Shutdown);
    agree!(guest, host, good,);
    guest.answer(response(good, 0), &answer);
    assert_eq!(host.poll(), Err(unasked(MessageType::SHUTDOWN, 0)));
    // Another transaction.
    let (mut guest, mut host) = rig!(Shutdown);
    agree!(guest, host, good,);
    let _ = host.ask(ShutdownOrder::default()).unwrap();
    let (id, _) = asked(&mut guest);
    guest.answer(response(good, id.wrapping_add(1)), &answer);
    assert_eq!(
        host.poll(),
        Err(unasked(MessageType::SHUTDOWN, id.wrapping_add(1)))
    );
    // Twice.
    let (mut guest, mut host) = rig!(Shutdown);
    agree!(guest, host, good,);
    let _ = host.ask(ShutdownOrder::default()).unwrap();
    let (id, _) = asked(&mut guest);
    for _ in 0..2 {
        guest.answer(response(good, id), &answer);
    }
    assert_eq!(host.poll().unwrap().event, Some(Event::Answered(Status::SUCCESS)));
    assert_eq!(host.poll(), Err(unasked(MessageType::SHUTDOWN, id)));
    // Another service's.
    let (mut guest, mut host) = rig!(Shutdown);
    agree!(guest, host, good,);
    let _ = host.ask(ShutdownOrder::default()).unwrap();
    let (id, _) = asked(&mut guest);
    guest.answer(
        response(good, id),
        &GuestMessage::Response(Body::Heartbeat(HeartbeatData::new(1))),
    );
    assert_eq!(host.poll(), Err(unasked(MessageType::HEARTBEAT, id)));
    // Versions, once more.
    let (mut guest, mut host) = rig!(Shutdown);
    agree!(guest, host, good,);
    guest.answer(
        response(good, 0),
        &GuestMessage::Negotiate(VersionChoice(Some(good))),
    );
    assert_eq!(host.poll(), Err(unasked(MessageType::NEGOTIATE, 0)));
    // A request.
    let (mut guest, mut host) = rig!(Shutdown);
    agree!(guest, host, good,);
    guest.ask(good, 1, &HostMessage::Request(Body::Shutdown(&data)));
    assert!(matches!(
        host.poll(),
        Err(Fault::Breach(Breach::Message(DecodeError::WrongDirection { .. })))
    ));
}

#[test]
fn case_17_sizes_beyond_the_packet() {
    let mut out = vec![0; PACKET_MAX];
    // The pipe's size, beyond what the ring pads the packet by, and the message's.
    for (at, size) in [(4, 65_u32), (4, u32::MAX), (18, 41), (18, 0xffff)] {
        let (mut guest, mut host) = rig!(Heartbeat);
        agree!(guest, host, NEWEST, Duration::ZERO);
        let _ = host.poll(Duration::ZERO).unwrap();
        let (id, _) = asked(&mut guest);
        let beat = GuestMessage::Response(Body::Heartbeat(HeartbeatData::new(1)));
        let mut packet = beat.encode(&response(NEWEST, id), &mut out).unwrap().to_vec();
        let bytes = if at == 4 { 4 } else { 2 };
        packet[at..at + bytes].copy_from_slice(&size.to_le_bytes()[..bytes]);
        guest.send(id.into(), Descriptor::InBand, &packet);
        let fault = host.poll(Duration::ZERO).unwrap_err();
        assert!(matches!(
            fault,
            Fault::Breach(Breach::Message(DecodeError::Pipe(_) | DecodeError::Size { .. }))
        ));
        assert_eq!(host.poll(Duration::ZERO), Err(fault), "it stays");
    }
}

#[test]
fn case_17_counts_and_sizes_beyond_the_body() {
    let spoiled = |versions: Versions, id, message_type, body: &[u8]| {
        let mut out = vec![0; PACKET_MAX];
        let message = GuestMessage::Response(Body::Other(message_type, body));
        message
            .encode(&response(versions, id), &mut out)
            .unwrap()
            .to_vec()
    };
    // More versions than one of each, or than there are bytes for.
    for (frameworks, messages, len) in [(1, 1, 7), (2, 1, 16), (u16::MAX, u16::MAX, 16), (0, 1, 8)] {
        let (mut guest, mut host) = rig!(Vss);
        let _ = host.poll().unwrap();
        let (id, _) = asked(&mut guest);
        let mut body = vec![0; 8 + len];
        body[..2].copy_from_slice(&u16::to_le_bytes(frameworks));
        body[2..4].copy_from_slice(&u16::to_le_bytes(messages));
        let packet = spoiled(Versions::default(), id, MessageType::NEGOTIATE, &body);
        guest.send(id.into(), Descriptor::InBand, &packet);
        let fault = host.poll().unwrap_err();
        assert!(
            matches!(
                fault,
                Fault::Breach(Breach::Message(
                    DecodeError::VersionCounts { .. } | DecodeError::Choice { .. }
                ))
            ),
            "{fault}"
        );
        assert_eq!((host.poll(), host.versions()), (Err(fault), None));
    }
    // A value that is longer than its field: sizes stand at 8 and 12 of the answer to ENUMERATE.
    let good = versions(&Service::KVP, 0);
    for (at, size) in [(8, 513_u32), (8, u32::MAX), (12, 2049)] {
        let (mut guest, mut host) = rig!(Kvp);
        agree!(guest, host, good,);
        let _ = host.get(KvpPool::GUEST, "k").unwrap();
        let (id, _) = asked(&mut guest);
        let mut body = vec![0; 2580];
        body[at..at + 4].copy_from_slice(&size.to_le_bytes());
        let packet = spoiled(good, id, MessageType::KVP_EXCHANGE, &body);
        guest.send(id.into(), Descriptor::InBand, &packet);
        let fault = host.poll().unwrap_err();
        assert!(
            matches!(fault, Fault::Breach(Breach::Message(DecodeError::Field { count, .. })) if count == size),
            "{fault}"
        );
        assert_eq!(host.poll(), Err(fault));
    }
}

#[test]
fn a_body_is_that_of_the_operation() {
    let good = versions(&Service::KVP, 0);
    let (mut guest, mut host) = rig!(Kvp);
    agree!(guest, host, good,);
    let _ = host.get(KvpPool::GUEST, "k").unwrap();
    let (id, _) = asked(&mut guest);
    let pair = KvpPair::key("k").unwrap();
    let set = vmbus_proto::ic::wire::Kvp::Set(KvpPool::GUEST, &pair);
    guest.answer(response(good, id), &GuestMessage::Response(Body::Kvp(set)));
    assert_eq!(host.poll(), Err(Fault::Mismatch));

    let good = versions(&Service::VSS, 0);
    let (mut guest, mut host) = rig!(Vss);
    agree!(guest, host, good,);
    let _ = host.ask(VssOperation::FREEZE).unwrap();
    let (id, _) = asked(&mut guest);
    let thaw = vmbus_proto::ic::wire::Vss {
        data: VssData::new(VssOperation::THAW),
        tail: &[],
    };
    guest.answer(response(good, id), &GuestMessage::Response(Body::Vss(thaw)));
    assert_eq!(host.poll(), Err(Fault::Mismatch));

    let good = versions(&Service::FILE_COPY, 0);
    let (mut guest, mut host) = rig!(FileCopy);
    agree!(guest, host, good,);
    let _ = host.complete().unwrap();
    let (id, _) = asked(&mut guest);
    let cancel = GuestMessage::Response(Body::FileCopy(vmbus_proto::ic::wire::FileCopy::Cancel));
    guest.answer(response(good, id), &cancel);
    assert_eq!(host.poll(), Err(Fault::Mismatch));
}

#[test]
fn older_guests_are_not_asked_for_what_they_do_not_have() {
    let old = Versions {
        message: Version::new(3, 0),
        ..NEWEST
    };
    let (mut guest, mut host) = rig!(Shutdown);
    agree!(guest, host, old,);
    let order = ShutdownOrder {
        kind: ShutdownKind::Hibernate,
        ..ShutdownOrder::default()
    };
    let refused = Err(RequestError::Version { version: old.message });
    assert_eq!(host.ask(order), refused);
    assert!(host.ask(ShutdownOrder::default()).is_ok());

    let (mut guest, mut host) = rig!(Kvp);
    agree!(guest, host, old,);
    let (text, binary) = (IpText::default(), IpBinary::default());
    assert_eq!(host.get_ip_info(KvpPool::GUEST, IpInfo::Binary(&binary)), refused);
    assert!(host.get_ip_info(KvpPool::GUEST, IpInfo::Text(&text)).is_ok());

    for (version, reference) in [(1, false), (3, false), (4, true)] {
        let (mut guest, mut host) = rig!(TimeSync);
        let versions = Versions {
            message: Version::new(version, 0),
            ..NEWEST
        };
        agree!(guest, host, versions, Clocks::default());
        let (_, payload) = asked(&mut guest);
        let (envelope, message) = HostMessage::decode(&payload).unwrap();
        assert_eq!(envelope.version, versions.message);
        let HostMessage::Request(Body::TimeSync(sample)) = message else {
            panic!("{message}")
        };
        assert_eq!(matches!(sample, Sample::Reference(_)), reference);
        // A guest that never acknowledges is told the time all the same.
        let _ = host
            .poll(Clocks {
                now: Duration::from_secs(5),
                ..Clocks::default()
            })
            .unwrap();
        asked(&mut guest);
    }
}

#[test]
fn a_failure_is_told_whatever_its_body_is() {
    let (mut guest, mut host) = rig!(Heartbeat);
    agree!(guest, host, NEWEST, Duration::ZERO);
    let _ = host.poll(Duration::ZERO).unwrap();
    let (id, _) = asked(&mut guest);
    let envelope = Envelope {
        status: Status::NOT_SUPPORTED,
        ..response(NEWEST, id)
    };
    guest.answer(
        envelope,
        &GuestMessage::Failed(MessageType::HEARTBEAT, &[1, 2, 3]),
    );
    assert_eq!(
        host.poll(Duration::ZERO).unwrap().event,
        Some(Event::Answered(Beat::Failed(Status::NOT_SUPPORTED)))
    );
}

#[test]
fn a_guest_that_takes_nothing_is_lost_and_nobody_spins() {
    let (mut guest, mut host) = rig!(Heartbeat);
    agree!(guest, host, NEWEST, Duration::ZERO);
    // It guesses the transactions and answers them, and never gives back the room of what it was sent.
    let mut now = Duration::ZERO;
    let mut transaction_id = 0_u8;
    let lost = loop {
        match host.poll(now).unwrap().event {
            Some(Event::Answered(Beat::Lost { silent })) => break silent,
            Some(Event::Answered(_)) => now += Duration::from_secs(2),
            None => {
                if host.is_busy() {
                    transaction_id += 1;
                    let beat = GuestMessage::Response(Body::Heartbeat(HeartbeatData::new(0)));
                    guest.answer(response(NEWEST, transaction_id), &beat);
                } else {
                    let next = host.poll_timeout().expect("it is told in time");
                    assert!(next > now, "a VMM that waits until then does not spin");
                    now = next;
                }
            }
            event => panic!("{event:?}"),
        }
    };
    assert_eq!(lost, Duration::from_secs(10));
    assert_eq!(host.poll_timeout(), None);
    assert!(host.beats() > 20);

    // Time is told to nobody then, and nobody spins for it.
    let (mut guest, mut host) = rig!(TimeSync);
    let versions = versions(&Service::TIME_SYNC, 0);
    agree!(guest, host, versions, Clocks::default());
    let mut clocks = Clocks::default();
    for _ in 0..300 {
        host.resync();
        clocks.now += Duration::from_secs(1);
        let _ = host.poll(clocks).unwrap();
        assert!(host.poll_timeout().unwrap() > clocks.now);
    }
    assert!(host.messages() < 200);
}

proptest! {
    #[test]
    fn whatever_a_guest_sends_each_service_goes_on_or_faults(
        packets in vec((0..9_u16, vec(any::<u8>(), 0..2600), any::<bool>(), 0..4_u8, any::<bool>()), 1..8),
        version in 0..4_usize,
    ) {
        macro_rules! survives {
            ($service:ident $facts:ident, $ask:expr, $($clock:expr)?) => {{
                let (mut guest, mut host) = rig!($service);
                let all = Service::$facts.versions;
                agree!(guest, host, versions(&Service::$facts, version % all.len()), $($clock)?);
                let mut out = vec![0; PACKET_MAX];
                for (number, body, framed, transaction_id, success) in &packets {
                    #[allow(clippy::redundant_closure_call, reason = "each service has its own")]
                    ($ask)(&mut host);
                    if *framed {
                        let status = if *success { Status::SUCCESS } else { Status::FAIL };
                        let envelope = Envelope { status, ..response(NEWEST, *transaction_id) };
                        let message = GuestMessage::Response(Body::Other(MessageType::new(*number), body));
                        guest.try_send(message.encode(&envelope, &mut out).unwrap());
                    } else {
                        guest.try_send(body);
                    }
                    for _ in 0..4 {
                        match host.poll($($clock)?) {
                            Ok(polled) if polled.again => {}
                            Ok(_) => break,
                            Err(fault) => {
                                prop_assert_eq!(host.poll($($clock)?), Err(fault));
                                break;
                            }
                        }
                    }
                    while guest.received().is_some() {}
                }
            }};
        }
        survives!(Heartbeat HEARTBEAT, |_: &mut Heartbeat<'_, _>| {}, Duration::ZERO);
        survives!(TimeSync TIME_SYNC, |host: &mut TimeSync<'_, _>| host.resync(), Clocks::default());
        survives!(Shutdown SHUTDOWN, |host: &mut Shutdown<'_, _>| {
                let _ = host.ask(ShutdownOrder::default());
            },);
        survives!(Kvp KVP, |host: &mut Kvp<'_, _>| {
                let _ = host.enumerate(KvpPool::AUTO, 1);
            },);
        survives!(Vss VSS, |host: &mut Vss<'_, _>| {
                let _ = host.ask(VssOperation::FREEZE);
            },);
        survives!(FileCopy FILE_COPY, |host: &mut FileCopy<'_, _>| {
                let _ = host.write(0, &[1]);
            },);
    }
}
