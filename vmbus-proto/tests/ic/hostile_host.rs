//! A guest against hosts of other versions, and against what a host should not send.

use proptest::collection::vec;
use proptest::prelude::*;
use vmbus_proto::ic::Breach;
use vmbus_proto::ic::guest::{
    Event, Fault, FileCopy, Heartbeat, Kvp, Refusal, Shutdown, TimeSync, TimeUpdate, Vss,
};
use vmbus_proto::ic::wire::{
    Body, DecodeError, Envelope, FRAMEWORKS, Frame, GuestMessage, HeartbeatData, HostMessage, HostTime,
    IpInfo, IpText, KvpPool, MessageFlags, MessageType, PACKET_MAX, Service, ShutdownData, Status,
    TimeReference, TimeSample, TimeSync as Sample, TimeSyncFlags, Version, VersionChoice, VersionOffer,
    Versions,
};
use vmbus_proto::ringbuf::{Descriptor, PacketType};

use crate::support::{NEWEST, Peer, channel, scratch};

/// A guest's service, and a host that is made up.
macro_rules! rig {
    ($service:ident) => {{
        let (host, guest) = channel();
        (Peer::new(host), $service::new(guest, scratch()).unwrap())
    }};
}

fn offer(versions: Versions) -> [Version; 2] {
    [versions.framework, versions.message]
}

/// Negotiates these versions.
macro_rules! agree {
    ($host:ident, $guest:ident, $versions:expr) => {{
        let versions = $versions;
        let [framework, message] = offer(versions);
        let offered = VersionOffer {
            frameworks: &[framework],
            messages: &[message],
        };
        $host.ask(Versions::default(), 0, &HostMessage::Negotiate(offered));
        assert_eq!($guest.poll().unwrap().event, Some(Event::Ready(versions)));
        let (_, payload) = $host.received().unwrap();
        let (envelope, message) = GuestMessage::decode(&payload).unwrap();
        assert_eq!(message, GuestMessage::Negotiate(VersionChoice(Some(versions))));
        assert_eq!(envelope.flags, MessageFlags::TRANSACTION | MessageFlags::RESPONSE);
    }};
}

/// What the guest answered.
fn answer(host: &mut Peer) -> (Envelope, MessageType) {
    let (_, payload) = host.received().unwrap();
    let frame = Frame::decode(&payload).unwrap();
    (frame.envelope(), frame.header.message_type)
}

#[test]
fn every_version_of_every_service_is_agreed_on() {
    macro_rules! every {
        ($($service:ident $facts:ident),*) => {$(
            for framework in FRAMEWORKS {
                for message in Service::$facts.versions {
                    let (mut host, mut guest) = rig!($service);
                    let versions = Versions { framework: *framework, message: *message };
                    agree!(host, guest, versions);
                }
            }
        )*};
    }
    every!(Heartbeat HEARTBEAT, Shutdown SHUTDOWN, TimeSync TIME_SYNC, Kvp KVP, Vss VSS, FileCopy FILE_COPY);
}

#[test]
fn no_version_in_common_is_answered_with_none_and_may_be_tried_again() {
    let (mut host, mut guest) = rig!(Heartbeat);
    let offered = VersionOffer {
        frameworks: &[Version::new(3, 0)],
        messages: &[Version::new(9, 0)],
    };
    host.ask(Versions::default(), 3, &HostMessage::Negotiate(offered));
    assert_eq!(
        guest.poll().unwrap().event,
        Some(Event::Refused(Refusal::NoVersion))
    );
    let (_, payload) = host.received().unwrap();
    let (envelope, message) = GuestMessage::decode(&payload).unwrap();
    assert_eq!(message, GuestMessage::Negotiate(VersionChoice(None)));
    assert_eq!(envelope.transaction_id, 3);
    agree!(host, guest, NEWEST);
    // And again, by a host that was restored.
    agree!(host, guest, NEWEST);
}

#[test]
fn time_has_the_form_of_the_version_that_was_agreed_on() {
    for (version, reference) in [(1, false), (3, false), (4, true)] {
        let (mut host, mut guest) = rig!(TimeSync);
        let message = Version::new(version, 0);
        agree!(host, guest, Versions { message, ..NEWEST });
        let sample = if reference {
            Sample::Reference(TimeReference {
                host_time: 7.into(),
                reference_time: 9.into(),
                flags: 2,
                ..TimeReference::default()
            })
        } else {
            Sample::Sample(TimeSample {
                host_time: 7.into(),
                flags: 2,
                ..TimeSample::default()
            })
        };
        // Linux goes by what was agreed on, not by the header.
        host.ask(
            Versions::default(),
            1,
            &HostMessage::Request(Body::TimeSync(sample)),
        );
        let update = TimeUpdate {
            host_time: HostTime(7),
            reference_time: reference.then_some(9),
            flags: TimeSyncFlags::SAMPLE,
        };
        assert_eq!(guest.poll().unwrap().event, Some(Event::Request(update)));
        assert_eq!(update.at(19).0, if reference { 17 } else { 7 });
        assert_eq!(answer(&mut host).0.status, Status::SUCCESS);
    }
}

#[test]
fn addresses_as_text_are_taken_before_5_0() {
    let (mut host, mut guest) = rig!(Kvp);
    let versions = Versions {
        message: Version::new(4, 0),
        ..NEWEST
    };
    agree!(host, guest, versions);
    let asked = IpText::default();
    let request = vmbus_proto::ic::wire::Kvp::GetIpInfo(KvpPool::EXTERNAL, IpInfo::Text(&asked));
    host.ask(versions, 1, &HostMessage::Request(Body::Kvp(request)));
    assert!(matches!(guest.poll().unwrap().event, Some(Event::Request(_))));
    let told = IpText {
        addresses: vmbus_proto::ic::wire::Text::new("10.0.2.15").unwrap(),
        ..IpText::default()
    };
    let _ = guest.answer_ip_info(IpInfo::Text(&told)).unwrap();
    let (_, payload) = host.received().unwrap();
    let (_, message) = GuestMessage::decode(&payload).unwrap();
    let told = vmbus_proto::ic::wire::Kvp::GetIpInfo(KvpPool::EXTERNAL, IpInfo::Text(&told));
    assert_eq!(message, GuestMessage::Response(Body::Kvp(told)));
}

#[test]
fn what_the_pipe_carries_beyond_the_body_is_left_out() {
    let (mut host, mut guest) = rig!(Kvp);
    agree!(host, guest, NEWEST);
    let asked = IpText::default();
    let request = vmbus_proto::ic::wire::Kvp::GetIpInfo(KvpPool::EXTERNAL, IpInfo::Text(&asked));
    let mut out = vec![0; PACKET_MAX];
    let envelope = Envelope {
        framework: NEWEST.framework,
        version: NEWEST.message,
        ..Envelope::default()
    };
    let message = HostMessage::Request(Body::Kvp(request));
    let good = message.encode(&envelope, &mut out).unwrap();
    let mut packet = [good, &[0x5a; 12]].concat();
    let size = u32::try_from(packet.len() - 8).unwrap();
    packet[4..8].copy_from_slice(&size.to_le_bytes());
    host.send(1, Descriptor::InBand, &packet);
    assert!(matches!(guest.poll().unwrap().event, Some(Event::Request(_))));
    assert!(guest.request() == Some(request), "it can be read");
    let _ = guest.answer_ip_info(IpInfo::Text(&asked)).unwrap();
    let (_, payload) = host.received().unwrap();
    assert_eq!(payload.len(), good.len().next_multiple_of(8));
    let (_, message) = GuestMessage::decode(&payload).unwrap();
    assert_eq!(message, GuestMessage::Response(Body::Kvp(request)));
}

#[test]
fn a_heartbeat_without_its_reserved_bytes_is_answered() {
    let (mut host, mut guest) = rig!(Heartbeat);
    agree!(host, guest, NEWEST);
    guest.set_state(vmbus_proto::ic::wire::ApplicationState::HEALTHY);
    host.ask(
        NEWEST,
        1,
        &HostMessage::Request(Body::Other(MessageType::HEARTBEAT, &u64::MAX.to_le_bytes())),
    );
    assert!(matches!(guest.poll().unwrap().event, Some(Event::Request(_))));
    let (id, payload) = host.received().unwrap();
    assert_eq!(id, 101, "the ring's transaction too");
    assert_eq!(payload[28..36], [0; 8]);
}

#[test]
fn what_is_wrong_with_a_request_is_answered_and_told() {
    let (mut host, mut guest) = rig!(Shutdown);
    let good = ShutdownData::default();
    host.ask(NEWEST, 1, &HostMessage::Request(Body::Shutdown(&good)));
    assert_eq!(
        guest.poll().unwrap().event,
        Some(Event::Refused(Refusal::NotNegotiated))
    );
    assert_eq!(answer(&mut host).0.status, Status::FAIL);
    agree!(host, guest, NEWEST);

    host.ask(
        NEWEST,
        2,
        &HostMessage::Request(Body::Other(MessageType::SHUTDOWN, &[0; 100])),
    );
    let length = DecodeError::Length {
        message_type: MessageType::SHUTDOWN,
        len: 100,
        least: 2060,
        most: 2060,
    };
    assert_eq!(
        guest.poll().unwrap().event,
        Some(Event::Refused(Refusal::Body(length)))
    );
    let (envelope, message_type) = answer(&mut host);
    assert_eq!(
        (envelope.status, envelope.transaction_id, message_type),
        (Status::INVALID_ARGUMENT, 2, MessageType::SHUTDOWN)
    );

    for message_type in [MessageType::HEARTBEAT, MessageType::new(99)] {
        host.ask(
            NEWEST,
            3,
            &HostMessage::Request(Body::Other(message_type, &[0; 40])),
        );
        assert_eq!(
            guest.poll().unwrap().event,
            Some(Event::Refused(Refusal::MessageType { message_type }))
        );
        assert_eq!(answer(&mut host).0.status, Status::NOT_SUPPORTED);
    }

    for flags in [6, 8, u32::MAX] {
        let odd = ShutdownData {
            flags: flags.into(),
            ..good
        };
        host.ask(NEWEST, 4, &HostMessage::Request(Body::Shutdown(&odd)));
        assert_eq!(
            guest.poll().unwrap().event,
            Some(Event::Refused(Refusal::ShutdownFlags { flags }))
        );
        assert_eq!(answer(&mut host).0.status, Status::INVALID_ARGUMENT);
    }
    // The channel goes on.
    host.ask(NEWEST, 5, &HostMessage::Request(Body::Shutdown(&good)));
    assert!(matches!(guest.poll().unwrap().event, Some(Event::Request(_))));
}

#[test]
fn case_17_sizes_beyond_the_packet_have_no_answer() {
    let mut out = vec![0; PACKET_MAX];
    let beat = HostMessage::Request(Body::Heartbeat(HeartbeatData::new(1)));
    let good = beat.encode(&Envelope::default(), &mut out).unwrap().to_vec();
    // The pipe's size, beyond what the ring pads the packet by, and the message's.
    for (at, size) in [(4, 65_u32), (4, u32::MAX), (18, 41), (18, 0xffff)] {
        let (mut host, mut guest) = rig!(Heartbeat);
        agree!(host, guest, NEWEST);
        let mut packet = good.clone();
        let bytes = if at == 4 { 4 } else { 2 };
        packet[at..at + bytes].copy_from_slice(&size.to_le_bytes()[..bytes]);
        host.send(1, Descriptor::InBand, &packet);
        let fault = guest.poll().unwrap_err();
        assert!(matches!(
            fault,
            Fault::Breach(Breach::Message(DecodeError::Pipe(_) | DecodeError::Size { .. }))
        ));
        assert_eq!((guest.poll(), guest.fault()), (Err(fault), Some(fault)));
        assert_eq!(host.received(), None, "nobody is answered");
    }
}

#[test]
fn case_17_counts_and_sizes_beyond_the_body_are_answered() {
    // More versions than there are bytes for.
    let (mut host, mut guest) = rig!(Heartbeat);
    for (frameworks, messages) in [(3, 2), (u16::MAX, u16::MAX), (0, 5), (5, 0)] {
        let mut body = [0; 8 + 4 * 4];
        body[..2].copy_from_slice(&u16::to_le_bytes(frameworks));
        body[2..4].copy_from_slice(&u16::to_le_bytes(messages));
        let offer = HostMessage::Request(Body::Other(MessageType::NEGOTIATE, &body));
        host.ask(Versions::default(), 1, &offer);
        let counts = DecodeError::VersionCounts {
            frameworks,
            messages,
            len: 16,
        };
        assert_eq!(
            guest.poll().unwrap().event,
            Some(Event::Refused(Refusal::Body(counts)))
        );
        assert_eq!(answer(&mut host).0.status, Status::INVALID_ARGUMENT);
        assert_eq!(guest.versions(), None);
    }
    agree!(host, guest, NEWEST);

    // A key that is longer than its field: of SET, whose sizes stand at 8 and 12, and of DELETE.
    let (mut host, mut guest) = rig!(Kvp);
    let message = Version::new(4, 0);
    agree!(host, guest, Versions { message, ..NEWEST });
    for (operation, at, size) in [(1, 8, 513_u32), (1, 8, u32::MAX), (1, 12, 2049), (2, 4, 513)] {
        let mut body = vec![0; 2580];
        body[0] = operation;
        body[at..at + 4].copy_from_slice(&size.to_le_bytes());
        let request = HostMessage::Request(Body::Other(MessageType::KVP_EXCHANGE, &body));
        host.ask(Versions { message, ..NEWEST }, 2, &request);
        let event = guest.poll().unwrap().event;
        assert!(
            matches!(event, Some(Event::Refused(Refusal::Body(DecodeError::Field { count, .. }))) if count == size),
            "{event:?}"
        );
        assert_eq!(answer(&mut host).0.status, Status::INVALID_ARGUMENT);
    }

    // More of a file than was sent.
    let (mut host, mut guest) = rig!(FileCopy);
    let message = Service::FILE_COPY.versions[0];
    agree!(host, guest, Versions { message, ..NEWEST });
    for size in [101_u32, u32::MAX] {
        let mut body = vec![0; 52 + 100];
        body[0] = 1;
        body[48..52].copy_from_slice(&size.to_le_bytes());
        let request = HostMessage::Request(Body::Other(MessageType::FILE_COPY, &body));
        host.ask(Versions { message, ..NEWEST }, 3, &request);
        let event = guest.poll().unwrap().event;
        assert!(
            matches!(event, Some(Event::Refused(Refusal::Body(_)))),
            "{event:?}"
        );
        assert_eq!(answer(&mut host).0.status, Status::INVALID_ARGUMENT);
    }
}

#[test]
fn case_19_a_second_request_waits_for_the_answer_to_the_first() {
    let (mut host, mut guest) = rig!(Shutdown);
    agree!(host, guest, NEWEST);
    let data = ShutdownData::default();
    for id in 1..=2 {
        host.ask(NEWEST, id, &HostMessage::Request(Body::Shutdown(&data)));
    }
    assert!(matches!(guest.poll().unwrap().event, Some(Event::Request(_))));
    let waits = guest.poll().unwrap();
    assert_eq!((waits.event, waits.again), (None, false));
    let _ = guest.answer(Status::SUCCESS).unwrap();
    assert_eq!(answer(&mut host).0.transaction_id, 1);
    assert!(matches!(guest.poll().unwrap().event, Some(Event::Request(_))));
}

#[test]
fn case_15_a_full_ring_loses_no_answer() {
    let (mut host, mut guest) = rig!(Heartbeat);
    agree!(host, guest, NEWEST);
    let mut asked = 0_u8;
    let mut ask = |host: &mut Peer| {
        asked += 1;
        let beat = Body::Heartbeat(HeartbeatData::new(asked.into()));
        host.ask(NEWEST, asked, &HostMessage::Request(beat));
    };
    // The host takes nothing, until the guest's ring is full: then one answer waits for room, and one request for that.
    loop {
        ask(&mut host);
        let polled = guest.poll().unwrap();
        if polled.event.is_none() {
            assert!(!polled.again);
            break;
        }
    }
    assert!(asked > 20);
    let mut answered = Vec::new();
    while let Some((_, payload)) = host.received() {
        answered.push(GuestMessage::decode(&payload).unwrap().0.transaction_id);
        let _ = guest.poll().unwrap();
    }
    assert_eq!(answered, (1..=asked).collect::<Vec<_>>());
}

#[test]
fn what_has_no_answer_is_a_fault_that_stays() {
    let mut out = vec![0; PACKET_MAX];
    let beat = HostMessage::Request(Body::Heartbeat(HeartbeatData::new(1)));
    let good = beat.encode(&Envelope::default(), &mut out).unwrap().to_vec();
    let spoiled = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    let too_long = vec![0; 300];
    type Expect = fn(&Breach) -> bool;
    let cases: [(&[u8], Descriptor<'_>, Expect); 7] = [
        (&[], Descriptor::InBand, |b| {
            matches!(b, Breach::Message(DecodeError::Pipe(_)))
        }),
        (&good[..24], Descriptor::InBand, |b| {
            matches!(b, Breach::Message(DecodeError::Pipe(_)))
        }),
        (&spoiled(4, 200), Descriptor::InBand, |b| {
            matches!(b, Breach::Message(DecodeError::Pipe(_)))
        }),
        (&spoiled(18, 200), Descriptor::InBand, |b| {
            matches!(b, Breach::Message(DecodeError::Size { size: 200, .. }))
        }),
        (&spoiled(25, 4), Descriptor::InBand, |b| {
            matches!(b, Breach::Message(DecodeError::WrongDirection { .. }))
        }),
        (&good, Descriptor::Completion, |b| {
            matches!(
                b,
                Breach::PacketType {
                    kind: PacketType::COMPLETION,
                    ..
                }
            )
        }),
        (&too_long, Descriptor::InBand, |b| {
            matches!(b, Breach::PacketTooLong { len: 304, most: 288 })
        }),
    ];
    for (payload, descriptor, expect) in cases {
        let (host, guest) = channel();
        let mut host = Peer::new(host);
        let scratch = Box::leak(vec![0; Service::HEARTBEAT.packet_max].into_boxed_slice());
        let mut guest = Heartbeat::new(guest, scratch).unwrap();
        host.send(1, descriptor, payload);
        let fault = guest.poll().unwrap_err();
        let Fault::Breach(breach) = fault else {
            panic!("{fault}")
        };
        assert!(expect(&breach), "{breach}");
        assert_eq!((guest.poll(), guest.fault()), (Err(fault), Some(fault)));
        assert_eq!(host.received(), None, "nobody is answered");
    }
}

proptest! {
    #[test]
    fn whatever_a_host_sends_each_service_goes_on_or_faults(
        packets in vec((0..9_u16, vec(any::<u8>(), 0..2600), any::<bool>(), 0..8_u8), 1..12),
        negotiated in any::<bool>(),
        version in 0..4_usize,
    ) {
        macro_rules! survives {
            ($service:ident $facts:ident, $answer:expr) => {{
                let (mut host, mut guest) = rig!($service);
                if negotiated {
                    let versions = Service::$facts.versions;
                    let message = versions[version % versions.len()];
                    agree!(host, guest, Versions { message, ..NEWEST });
                }
                let mut out = vec![0; PACKET_MAX];
                for (number, body, framed, flags) in &packets {
                    if *framed {
                        let envelope = Envelope {
                            flags: MessageFlags::from_bits_retain(*flags),
                            ..Envelope::default()
                        };
                        let message = HostMessage::Request(Body::Other(MessageType::new(*number), body));
                        let payload = message.encode(&envelope, &mut out).unwrap();
                        host.try_send(payload);
                    } else {
                        host.try_send(body);
                    }
                    // Every poll either takes something, waits, or finds a fault for good.
                    for _ in 0..4 {
                        match guest.poll() {
                            Ok(polled) => {
                                #[allow(clippy::redundant_closure_call, reason = "each service has its own")]
                                ($answer)(&mut guest);
                                if !polled.again {
                                    break;
                                }
                            }
                            Err(fault) => {
                                prop_assert_eq!(guest.poll(), Err(fault));
                                break;
                            }
                        }
                    }
                    while host.received().is_some() {}
                }
            }};
        }
        survives!(Heartbeat HEARTBEAT, |_: &mut Heartbeat<'_, _>| {});
        survives!(TimeSync TIME_SYNC, |_: &mut TimeSync<'_, _>| {});
        survives!(Shutdown SHUTDOWN, |guest: &mut Shutdown<'_, _>| {
                let _ = guest.answer(Status::FAIL);
            });
        survives!(Kvp KVP, |guest: &mut Kvp<'_, _>| {
                let _ = guest.answer(Status::FAIL);
            });
        survives!(Vss VSS, |guest: &mut Vss<'_, _>| {
                let _ = guest.answer(Status::FAIL);
            });
        survives!(FileCopy FILE_COPY, |guest: &mut FileCopy<'_, _>| {
                let _ = guest.answer(Status::FAIL);
            });
    }
}
