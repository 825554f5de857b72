//! The loop between engine and VMM, with a guest whose rings carry packets.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::string::ToString;
use std::vec;
use std::vec::Vec;

use hvcall::host::synic::Delivery;
use hvcall::synic::MessageType;
use hvcall::{ConnectionId, HvStatus, Message, VpIndex};
use vmbus_ringbuf::{Descriptor, Halves, Outgoing, RingPair};

use super::*;
use crate::testing::Ring;
use crate::wire::{MESSAGE_CONNECTION, MESSAGE_CONNECTION_5_0};

/// A VMM with one virtual processor's slot and event flags, and memory by page.
#[derive(Default)]
struct TestVmm {
    slot: RefCell<Option<Message>>,
    flags: RefCell<Vec<ChannelSignal>>,
    /// Rings by the address of their first page.
    rings: RefCell<HashMap<u64, Halves<Ring>>>,
    no_pages: Cell<bool>,
    no_slot: Cell<bool>,
}

impl Vmm for TestVmm {
    type Ring = Ring;
    type Region = u64;
    type Error = &'static str;

    fn post(&self, target: MessageTarget, message: &Message) -> Result<Delivery, &'static str> {
        assert_eq!(
            target,
            MessageTarget {
                vp: VpIndex(0),
                sint: Sint::VMBUS
            }
        );
        assert_eq!(message.message_type(), MessageType::VMBUS);
        if self.no_slot.get() {
            return Err("no message page");
        }
        let mut slot = self.slot.borrow_mut();
        if slot.is_some() {
            return Ok(Delivery::SlotBusy);
        }
        *slot = Some(*message);
        Ok(Delivery::Delivered)
    }

    fn signal(&self, signal: ChannelSignal) -> Result<(), &'static str> {
        self.flags.borrow_mut().push(signal);
        Ok(())
    }

    fn map_rings(&self, pages: &RingPages<'_>) -> Result<Halves<Ring>, &'static str> {
        if self.no_pages.get() {
            return Err("no such pages");
        }
        let first = pages.addresses().next().unwrap();
        let halves = Halves {
            to_host: Ring::new(pages.downstream()),
            to_guest: Ring::new(pages.count() - pages.downstream()),
        };
        self.rings.borrow_mut().insert(first, halves.clone());
        Ok(halves)
    }

    fn map_region(&self, memory: &GpadlView<'_>) -> Result<u64, &'static str> {
        if self.no_pages.get() {
            Err("no such pages")
        } else {
            Ok(memory.total_bytes())
        }
    }
}

type TestBus<'a> = Bus<'a, &'a TestVmm, 6, 5, 4>;

/// The guest posts.
fn post(bus: &mut TestBus<'_>, message: &GuestMessage<'_>) {
    let payload = message.encode().unwrap();
    bus.post(MESSAGE_CONNECTION_5_0, MessageType::VMBUS, &payload)
        .unwrap();
}

/// The guest takes the message out of its slot.
fn fetch(vmm: &TestVmm) -> Option<HostMessage> {
    let message = vmm.slot.borrow_mut().take()?;
    Some(HostMessage::decode(message.payload().unwrap()).unwrap())
}

/// All messages, and all events in between.
fn turn<'a>(bus: &mut TestBus<'a>, vmm: &TestVmm) -> (Vec<HostMessage>, Vec<BusEvent<Ring, &'static str>>) {
    let (mut messages, mut events) = (Vec::new(), Vec::new());
    loop {
        let event = bus.poll();
        let message = fetch(vmm);
        if event.is_none() && message.is_none() {
            assert!(!bus.is_blocked());
            return (messages, events);
        }
        events.extend(event);
        messages.extend(message);
    }
}

fn connected<'a>(vmm: &'a TestVmm, storage: &'a mut [u64]) -> (TestBus<'a>, ChannelId) {
    let mut bus = Bus::new(Host::new(HostConfig::new(VP_COUNT), storage), vmm);
    let channel = bus.offer(device(1)).unwrap();
    post(&mut bus, &say::initiate_contact(Version::IRON));
    post(&mut bus, &GuestMessage::RequestOffers);
    let (messages, events) = turn(&mut bus, vmm);
    assert!(matches!(
        messages[..],
        [
            HostMessage::VersionResponse(_),
            HostMessage::OfferChannel(_),
            HostMessage::AllOffersDelivered
        ]
    ));
    assert!(matches!(events[..], [BusEvent::Connected(_)]));
    (bus, channel)
}

fn lend(bus: &mut TestBus<'_>, vmm: &TestVmm, channel: ChannelId, gpadl: GpadlId, pages: u32) {
    let values = say::range(0x1000, pages);
    let bytes = u16::try_from(values.len() * 8).unwrap();
    post(bus, &say::header(channel.relid(), gpadl, bytes, 1, &values));
    assert_eq!(
        turn(bus, vmm).0,
        [created(channel.relid(), gpadl, Status::SUCCESS)]
    );
}

fn open(bus: &mut TestBus<'_>, vmm: &TestVmm, channel: ChannelId) -> OpenedChannel<Ring> {
    lend(bus, vmm, channel, RING, 6);
    post(bus, &say::open_channel(say::open(channel.relid(), RING)));
    let (messages, mut events) = turn(bus, vmm);
    assert_eq!(messages, []);
    match events.remove(0) {
        BusEvent::ChannelOpened(opened) => opened,
        other => panic!("{other:?}"),
    }
}

impl core::fmt::Debug for Ring {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Ring")
    }
}

#[test]
fn packets_go_both_ways() {
    let (vmm, mut storage) = (TestVmm::default(), vec![0; 64]);
    let (mut bus, channel) = connected(&vmm, &mut storage);
    let mut opened_channel = open(&mut bus, &vmm, channel);
    bus.accept(opened_channel.ticket).unwrap();
    assert_eq!(vmm.flags.borrow().len(), 0);
    assert_eq!(turn(&mut bus, &vmm).0, [opened(channel.relid(), Status::SUCCESS)]);
    // Once more after the open.
    assert_eq!(*vmm.flags.borrow(), [opened_channel.signal]);

    let mut guest = RingPair::guest(vmm.rings.borrow()[&0x100_0000].clone()).unwrap();
    let hello = Outgoing {
        transaction_id: 7,
        request_completion: true,
        descriptor: Descriptor::InBand,
        payload: &[b"hello, host"],
    };
    assert!(guest.outgoing.write(&hello).unwrap().is_needed());
    let mut scratch = [0; 256];
    let packet = opened_channel.rings.incoming.read(&mut scratch).unwrap().unwrap();
    assert_eq!(
        (packet.transaction_id(), &packet.payload()[..11]),
        (7, &b"hello, host"[..])
    );
    let answer = Outgoing {
        descriptor: Descriptor::Completion,
        request_completion: false,
        ..hello
    };
    assert!(opened_channel.rings.outgoing.write(&answer).unwrap().is_needed());
    assert_eq!(
        guest
            .incoming
            .read(&mut scratch)
            .unwrap()
            .unwrap()
            .transaction_id(),
        7
    );

    post(&mut bus, &say::modify(channel.relid(), 3));
    let (_, mut events) = turn(&mut bus, &vmm);
    let BusEvent::ChannelMoved { ticket, signal, .. } = events.remove(0) else {
        panic!()
    };
    assert_eq!(signal.vp, Some(VpIndex(3)));
    bus.moved(ticket);
    assert_eq!(
        turn(&mut bus, &vmm).0,
        [modified(channel.relid(), Status::SUCCESS)]
    );

    post(&mut bus, &say::close_channel(channel.relid()));
    post(&mut bus, &say::teardown(channel.relid(), RING));
    let (messages, mut events) = turn(&mut bus, &vmm);
    assert_eq!(messages, []);
    let BusEvent::ChannelClosed { ticket, .. } = events.remove(0) else {
        panic!()
    };
    drop(opened_channel.rings);
    bus.closed(ticket).unwrap();
    assert_eq!(turn(&mut bus, &vmm).0, [torndown(RING)]);
}

#[test]
fn a_busy_slot_keeps_messages_in_order() {
    let (vmm, mut storage) = (TestVmm::default(), vec![0; 64]);
    let mut bus: TestBus<'_> = Bus::new(Host::new(HostConfig::new(VP_COUNT), &mut storage), &vmm);
    bus.offer(device(1)).unwrap();
    post(&mut bus, &say::initiate_contact(Version::IRON));
    assert!(matches!(bus.poll(), Some(BusEvent::Connected(_))));
    post(&mut bus, &GuestMessage::RequestOffers);
    for _ in 0..10 {
        assert!(bus.poll().is_none());
        assert!(bus.is_blocked());
    }
    assert!(matches!(fetch(&vmm), Some(HostMessage::VersionResponse(_))));
    assert_eq!(fetch(&vmm), None);
    assert!(bus.poll().is_none());
    assert!(matches!(fetch(&vmm), Some(HostMessage::OfferChannel(_))));
    assert!(bus.poll().is_none());
    assert_eq!(fetch(&vmm), Some(HostMessage::AllOffersDelivered));
    assert!(bus.poll().is_none());
    assert!(!bus.is_blocked());
}

#[test]
fn case_12_rings_that_cannot_be_mapped() {
    let (vmm, mut storage) = (TestVmm::default(), vec![0; 64]);
    let (mut bus, channel) = connected(&vmm, &mut storage);
    lend(&mut bus, &vmm, channel, RING, 6);
    vmm.no_pages.set(true);
    post(&mut bus, &say::open_channel(say::open(channel.relid(), RING)));
    let (messages, events) = turn(&mut bus, &vmm);
    assert_eq!(messages, [opened(channel.relid(), Status::UNSUCCESSFUL)]);
    let [BusEvent::Failed(error)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(
        error.to_string(),
        "the rings of channel 1 were not mapped: no such pages"
    );
    assert_eq!(*vmm.flags.borrow(), []);
    // The next time they can.
    vmm.no_pages.set(false);
    post(&mut bus, &say::open_channel(say::open(channel.relid(), RING)));
    assert!(matches!(turn(&mut bus, &vmm).1[..], [BusEvent::ChannelOpened(_)]));
}

#[test]
fn case_12_a_refused_channel() {
    let (vmm, mut storage) = (TestVmm::default(), vec![0; 64]);
    let (mut bus, channel) = connected(&vmm, &mut storage);
    let opened_channel = open(&mut bus, &vmm, channel);
    bus.refuse(opened_channel.ticket, Status::SUCCESS).unwrap();
    assert_eq!(
        turn(&mut bus, &vmm).0,
        [opened(channel.relid(), Status::UNSUCCESSFUL)]
    );
}

#[test]
fn rings_that_are_torn_down_while_they_are_opened() {
    let (vmm, mut storage) = (TestVmm::default(), vec![0; 64]);
    let (mut bus, channel) = connected(&vmm, &mut storage);
    lend(&mut bus, &vmm, channel, RING, 6);
    post(&mut bus, &say::open_channel(say::open(channel.relid(), RING)));
    post(&mut bus, &say::teardown(channel.relid(), RING));
    let (messages, events) = turn(&mut bus, &vmm);
    assert_eq!(
        messages,
        [opened(channel.relid(), Status::UNSUCCESSFUL), torndown(RING)]
    );
    assert!(events.is_empty(), "{events:?}");
}

#[test]
fn memory_for_a_device() {
    let (vmm, mut storage) = (TestVmm::default(), vec![0; 64]);
    let (mut bus, channel) = connected(&vmm, &mut storage);
    assert_eq!(
        bus.map_gpadl(channel, GPADL),
        Err(MapError::UnknownGpadl {
            channel,
            gpadl: GPADL
        })
    );
    lend(&mut bus, &vmm, channel, GPADL, 5);
    vmm.no_pages.set(true);
    let error = bus.map_gpadl(channel, GPADL).unwrap_err();
    assert_eq!(
        error.to_string(),
        "gpadl 0xe1e10 of channel 1 was not mapped: no such pages"
    );
    vmm.no_pages.set(false);
    let (region, ticket) = bus.map_gpadl(channel, GPADL).unwrap();
    assert_eq!(region, 5 * 4096);
    post(&mut bus, &say::teardown(channel.relid(), GPADL));
    let (messages, events) = turn(&mut bus, &vmm);
    assert_eq!(messages, []);
    assert!(matches!(
        events[..],
        [BusEvent::GpadlTeardown { gpadl: GPADL, .. }]
    ));
    bus.release_gpadl(ticket).unwrap();
    assert_eq!(turn(&mut bus, &vmm).0, [torndown(GPADL)]);
}

#[test]
fn a_message_that_cannot_be_delivered_is_dropped_and_told() {
    let (vmm, mut storage) = (TestVmm::default(), vec![0; 64]);
    let mut bus: TestBus<'_> = Bus::new(Host::new(HostConfig::new(VP_COUNT), &mut storage), &vmm);
    vmm.no_slot.set(true);
    post(&mut bus, &say::initiate_contact(Version::IRON));
    let Some(BusEvent::Failed(error)) = bus.poll() else {
        panic!()
    };
    assert_eq!(
        error.to_string(),
        "a message to vp 0 sint 2 was dropped: no message page"
    );
    vmm.no_slot.set(false);
    assert!(matches!(bus.poll(), Some(BusEvent::Connected(_))));
    assert!(!bus.is_blocked());
}

#[test]
fn case_18_the_status_of_a_post_tells_the_guest_what_to_do() {
    let (vmm, mut storage) = (TestVmm::default(), vec![0; 64]);
    let (mut bus, channel) = connected(&vmm, &mut storage);
    let unload = GuestMessage::Unload.encode().unwrap();
    let status = |bus: &mut TestBus<'_>, connection, message_type, payload: &[u8]| {
        bus.post(connection, message_type, payload)
            .map_or_else(|error| error.status(), |()| HvStatus::SUCCESS)
    };
    let vmbus = MessageType::VMBUS;
    assert_eq!(
        status(&mut bus, ConnectionId(99), vmbus, &unload),
        HvStatus::INVALID_CONNECTION_ID
    );
    assert_eq!(
        status(&mut bus, MESSAGE_CONNECTION, MessageType(2), &unload),
        HvStatus::INVALID_PARAMETER
    );
    // Taken and refused is taken.
    assert_eq!(
        status(&mut bus, MESSAGE_CONNECTION, vmbus, b"garbage of some length"),
        HvStatus::SUCCESS
    );
    let lend = say::range(1, 1);
    let lend = say::header(channel.relid(), GPADL, 16, 1, &lend)
        .encode()
        .unwrap();
    for _ in 0..4 {
        assert_eq!(
            status(&mut bus, MESSAGE_CONNECTION, vmbus, &lend),
            HvStatus::SUCCESS
        );
    }
    assert_eq!(
        status(&mut bus, MESSAGE_CONNECTION, vmbus, &lend),
        HvStatus::INSUFFICIENT_BUFFERS
    );
    assert!(HvStatus::INSUFFICIENT_BUFFERS.is_passing_for_post());
    assert_eq!(
        status(&mut bus, MESSAGE_CONNECTION, vmbus, &unload),
        HvStatus::SUCCESS
    );
}
