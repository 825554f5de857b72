//! What either end of a service holds and does at most.

use core::time::Duration;

use vmbus_proto::ic::wire::{
    Body, Envelope, Frame, GuestMessage, HeartbeatData, HostMessage, MessageFlags, PACKET_MAX, Service,
    VersionChoice, VersionOffer,
};
use vmbus_proto::ic::{guest, host};

use crate::support::{NEWEST, Peer, Ring, channel, scratch};

#[test]
fn engines_are_of_a_fixed_size() {
    // As their documentation says, on a 64-bit machine.
    let sizes = [
        size_of::<guest::Heartbeat<'_, &Ring>>(),
        size_of::<guest::Shutdown<'_, &Ring>>(),
        size_of::<guest::TimeSync<'_, &Ring>>(),
        size_of::<guest::Kvp<'_, &Ring>>(),
        size_of::<guest::Vss<'_, &Ring>>(),
        size_of::<guest::FileCopy<'_, &Ring>>(),
        size_of::<host::Heartbeat<'_, &Ring>>(),
        size_of::<host::Shutdown<'_, &Ring>>(),
        size_of::<host::TimeSync<'_, &Ring>>(),
        size_of::<host::Kvp<'_, &Ring>>(),
        size_of::<host::Vss<'_, &Ring>>(),
        size_of::<host::FileCopy<'_, &Ring>>(),
    ];
    assert!(sizes.into_iter().all(|size| size <= 256), "{sizes:?}");
    // And the scratch, which takes the longest packet of the service.
    let services = [
        Service::HEARTBEAT,
        Service::SHUTDOWN,
        Service::TIME_SYNC,
        Service::KVP,
        Service::VSS,
        Service::FILE_COPY,
    ];
    assert!(services.iter().all(|service| service.packet_max <= PACKET_MAX));
}

#[test]
fn a_poll_takes_one_request_however_many_there_are() {
    let (host, guest) = channel();
    let (mut host, mut guest) = (Peer::new(host), guest::Heartbeat::new(guest, scratch()).unwrap());
    let offer = VersionOffer {
        frameworks: &[NEWEST.framework],
        messages: &[NEWEST.message],
    };
    host.ask(NEWEST, 0, &HostMessage::Negotiate(offer));
    for number in 1..=9_u8 {
        let beat = Body::Heartbeat(HeartbeatData::new(number.into()));
        host.ask(NEWEST, number, &HostMessage::Request(beat));
    }
    for number in 0..=9 {
        let polled = guest.poll().unwrap();
        assert!(polled.event.is_some() && polled.again);
        let (_, payload) = host.received().unwrap();
        assert_eq!(Frame::decode(&payload).unwrap().envelope().transaction_id, number);
        assert_eq!(host.received(), None);
    }
    assert_eq!(guest.poll().unwrap().event, None);
}

#[test]
fn a_host_asks_once_until_it_is_answered() {
    let (host, guest) = channel();
    let (mut host, mut guest) = (host::Heartbeat::new(host, scratch()).unwrap(), Peer::new(guest));
    let mut poll = |seconds| host.poll(Duration::from_secs(seconds)).unwrap();
    let _ = poll(0);
    let (_, payload) = guest.received().unwrap();
    let envelope = Frame::decode(&payload).unwrap().envelope();
    let choice = VersionChoice(Some(NEWEST));
    let answer = Envelope {
        flags: MessageFlags::TRANSACTION | MessageFlags::RESPONSE,
        ..envelope
    };
    guest.answer(answer, &GuestMessage::Negotiate(choice));
    for seconds in 0..1000 {
        let _ = poll(seconds);
    }
    // However late it is: one request, which waits.
    assert!(guest.received().is_some());
    assert_eq!(guest.received(), None);
}
