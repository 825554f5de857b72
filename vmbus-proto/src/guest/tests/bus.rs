//! The loop between engine and platform, against the host's: both ends of a channel in one program, with rings that carry packets.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::vec;
use std::vec::Vec;

use core::time::Duration;
use hvcall::host::synic::Delivery;
use hvcall::synic::MessageType;
use hvcall::{ConnectionId, HvStatus, Message};
use vmbus_ringbuf::{ControlWord, Descriptor, Halves, Outgoing, RingMem, Signal};

use super::*;
use crate::host;
use crate::testing::Ring;
use crate::wire::{Guid, Version, interface};

/// A machine of one virtual processor: what the hypervisor has of messages and flags, and memory by page.
#[derive(Default)]
struct Machine {
    now: Cell<Duration>,
    posts: RefCell<VecDeque<(ConnectionId, Vec<u8>)>>,
    /// What hypercalls that post are answered with, in place of success.
    refusals: RefCell<VecDeque<HvStatus>>,
    slot: RefCell<Option<Message>>,
    flags: RefCell<Vec<u16>>,
    /// Connections that the guest signalled.
    signals: RefCell<Vec<ChannelSignal>>,
    /// Rings by the frame number of their first page.
    rings: RefCell<HashMap<u64, Halves<Ring>>>,
    /// First pages of what the host may access.
    shared: RefCell<Vec<u64>>,
    no_rings: Cell<bool>,
    no_share: Cell<bool>,
    no_unshare: Cell<bool>,
}

impl Machine {
    fn rings(&self, first_pfn: u64, pages: u32, downstream: u32) -> Halves<Ring> {
        self.rings
            .borrow_mut()
            .entry(first_pfn)
            .or_insert_with(|| Halves {
                to_host: Ring::new(downstream),
                to_guest: Ring::new(pages - downstream),
            })
            .clone()
    }
}

impl Hal for Machine {
    type Memory = Contiguous;
    type Ring = Ring;
    type Error = &'static str;

    fn post(&self, connection: ConnectionId, payload: &[u8]) -> HvStatus {
        if let Some(status) = self.refusals.borrow_mut().pop_front() {
            return status;
        }
        self.posts.borrow_mut().push_back((connection, payload.to_vec()));
        HvStatus::SUCCESS
    }

    fn signal(&self, signal: ChannelSignal) -> Result<(), &'static str> {
        self.signals.borrow_mut().push(signal);
        Ok(())
    }

    fn now(&self) -> Duration {
        self.now.get()
    }

    fn share(&self, memory: &Contiguous) -> Result<(), &'static str> {
        if self.no_share.get() {
            return Err("not to be shared");
        }
        self.shared.borrow_mut().push(memory.first_pfn);
        Ok(())
    }

    fn unshare(&self, memory: &Contiguous) -> Result<(), &'static str> {
        if self.no_unshare.get() {
            return Err("it stays shared");
        }
        let mut shared = self.shared.borrow_mut();
        let index = shared.iter().position(|pfn| *pfn == memory.first_pfn);
        shared.swap_remove(index.expect("it was shared"));
        Ok(())
    }

    fn rings(&self, memory: &Contiguous, downstream: u32) -> Result<Halves<Ring>, &'static str> {
        if self.no_rings.get() {
            return Err("no rings");
        }
        Ok(self.rings(memory.first_pfn, memory.pages, downstream))
    }
}

impl host::Vmm for Machine {
    type Ring = Ring;
    type Region = ();
    type Error = &'static str;

    fn post(&self, _: host::MessageTarget, message: &Message) -> Result<Delivery, &'static str> {
        let mut slot = self.slot.borrow_mut();
        if slot.is_some() {
            return Ok(Delivery::SlotBusy);
        }
        *slot = Some(*message);
        Ok(Delivery::Delivered)
    }

    fn signal(&self, signal: host::ChannelSignal) -> Result<(), &'static str> {
        self.flags.borrow_mut().push(signal.flag);
        Ok(())
    }

    fn map_rings(&self, pages: &host::RingPages<'_>) -> Result<Halves<Ring>, &'static str> {
        let first = pages.addresses().next().unwrap() >> 12;
        assert!(self.shared.borrow().contains(&first), "of what is not shared");
        Ok(self.rings(first, pages.count(), pages.downstream()))
    }

    fn map_region(&self, _: &host::GpadlView<'_>) -> Result<(), &'static str> {
        Ok(())
    }
}

type GuestBus<'a> = Bus<&'a Machine, 4, 4>;
type HostBus<'a> = host::Bus<'a, &'a Machine>;
type Told = BusEvent<Machine>;

fn guest_bus(machine: &Machine) -> GuestBus<'_> {
    Bus::new(Guest::new(config()), machine)
}

fn host_bus<'a>(machine: &'a Machine, storage: &'a mut [u64]) -> HostBus<'a> {
    let mut bus = host::Bus::new(host::Host::new(host::HostConfig::new(4), storage), machine);
    bus.offer(host::OfferParams::new(interface::SCSI, Guid::new(0, 0, 0, 1)))
        .unwrap();
    bus
}

/// Lets both ends go on until neither has anything to do. Gives what the guest's embedder was told, and the host's rings.
fn run(guest: &mut GuestBus<'_>, host: &mut HostBus<'_>) -> (Vec<Told>, Vec<host::OpenedChannel<Ring>>) {
    let machine = *guest.hal();
    let (mut told, mut opened) = (Vec::new(), Vec::new());
    loop {
        let mut idle = true;
        while let Some(event) = guest.poll() {
            told.push(event);
            idle = false;
        }
        if let Some((connection, payload)) = machine.posts.borrow_mut().pop_front() {
            host.post(connection, MessageType::VMBUS, &payload).unwrap();
            idle = false;
        }
        while let Some(event) = host.poll() {
            match event {
                host::BusEvent::ChannelOpened(channel) => opened.push(channel),
                host::BusEvent::ChannelClosed { ticket, .. } => host.closed(ticket).unwrap(),
                _ => (),
            }
            idle = false;
        }
        let message = machine.slot.borrow_mut().take();
        if let Some(message) = message {
            guest.handle_message(&message).unwrap();
            idle = false;
        }
        if idle {
            return (told, opened);
        }
    }
}

fn packet<'a>(payload: &'a [&'a [u8]]) -> Outgoing<'a> {
    Outgoing {
        transaction_id: 7,
        request_completion: false,
        descriptor: Descriptor::InBand,
        payload,
    }
}

#[test]
fn packets_flow_between_both_ends_in_one_program() {
    let machine = Machine::default();
    let mut storage = vec![0; 64];
    let (mut guest, mut host) = (guest_bus(&machine), host_bus(&machine, &mut storage));
    guest.connect().unwrap();
    let (told, _) = run(&mut guest, &mut host);
    let [
        Ok(Event::Connected(connected)),
        Ok(Event::Offered(offer)),
        Ok(Event::AllOffersDelivered),
    ] = told.as_slice()
    else {
        panic!("{told:?}");
    };
    assert_eq!(connected.version, Version::COPPER);
    let channel = offer.channel;
    guest.open(channel, memory(0x100, 4), params()).unwrap();
    let (told, mut served) = run(&mut guest, &mut host);
    assert!(told.is_empty(), "{told:?}");
    let mut served = served.pop().expect("the guest opens");
    host.accept(served.ticket).unwrap();
    let (mut told, _) = run(&mut guest, &mut host);
    let Some(Ok(Event::Opened(mut opened))) = told.pop() else {
        panic!("{told:?}");
    };
    // There, with a signal, and back.
    let signal = opened.rings.outgoing.write(&packet(&[b"ask a dev"])).unwrap();
    guest.signal(channel, signal).unwrap();
    assert_eq!(*machine.signals.borrow(), [opened.signal]);
    assert_eq!(opened.signal.connection_id, served.connection_id);
    let mut scratch = [0; 64];
    let asked = served.rings.incoming.read(&mut scratch).unwrap().unwrap();
    assert_eq!(&asked.payload()[..9], b"ask a dev");
    assert!(
        served
            .rings
            .outgoing
            .write(&packet(&[b"answer!!"]))
            .unwrap()
            .is_needed()
    );
    for flag in machine.flags.borrow().iter() {
        assert_eq!(guest.flagged(*flag), Flagged::Channel(channel));
    }
    let answer = opened.rings.incoming.read(&mut scratch).unwrap().unwrap();
    assert_eq!(answer.payload(), b"answer!!");
    drop(opened.rings);
    guest.unload().unwrap();
    let (told, _) = run(&mut guest, &mut host);
    let [
        Ok(Event::MemoryReturned {
            reason: ReturnReason::Unloaded,
            ..
        }),
        Ok(Event::Disconnected(DisconnectReason::Unloaded)),
    ] = told.as_slice()
    else {
        panic!("{told:?}");
    };
    assert!(machine.shared.borrow().is_empty());
    // And all anew.
    guest.connect().unwrap();
    let (told, _) = run(&mut guest, &mut host);
    assert!(matches!(
        told.as_slice(),
        [
            Ok(Event::Connected(_)),
            Ok(Event::Offered(_)),
            Ok(Event::AllOffersDelivered)
        ]
    ));
}

/// Both ends, with the channel offered.
fn offered<'a>(machine: &'a Machine, storage: &'a mut [u64]) -> (GuestBus<'a>, HostBus<'a>, ChannelOffer) {
    let (mut guest, mut host) = (guest_bus(machine), host_bus(machine, storage));
    guest.connect().unwrap();
    let (told, _) = run(&mut guest, &mut host);
    let offer = told.into_iter().find_map(|event| match event {
        Ok(Event::Offered(offer)) => Some(offer),
        _ => None,
    });
    (guest, host, offer.expect("an offer"))
}

#[test]
fn memory_is_shared_while_it_is_lent_and_only_then() {
    let machine = Machine::default();
    let mut storage = vec![0; 64];
    let (mut guest, mut host, offer) = offered(&machine, &mut storage);
    machine.no_share.set(true);
    let rejected = guest.lend(offer.channel, RINGS).unwrap_err();
    assert_eq!(rejected.memory, RINGS);
    assert_eq!(rejected.error, BusCallError::Share("not to be shared"));
    machine.no_share.set(false);
    // Two rings do not fit.
    let rejected = guest.open(offer.channel, memory(0x100, 3), params()).unwrap_err();
    assert!(matches!(rejected.error, BusCallError::Call(CallError::Memory(_))));
    assert!(machine.shared.borrow().is_empty());
    let gpadl = guest.lend(offer.channel, RINGS).unwrap();
    assert_eq!(*machine.shared.borrow(), [0x100]);
    run(&mut guest, &mut host);
    guest.teardown(gpadl).unwrap();
    assert_eq!(*machine.shared.borrow(), [0x100]);
    let (told, _) = run(&mut guest, &mut host);
    assert!(matches!(told[..], [Ok(Event::MemoryReturned { .. })]));
    assert!(machine.shared.borrow().is_empty());
    // What stays shared is told, with the memory.
    let gpadl = guest.lend(offer.channel, RINGS).unwrap();
    run(&mut guest, &mut host);
    guest.teardown(gpadl).unwrap();
    machine.no_unshare.set(true);
    let (told, _) = run(&mut guest, &mut host);
    let [Err(BusError::Unshare { memory: RINGS, .. })] = told[..] else {
        panic!("{told:?}");
    };
}

#[test]
fn rings_that_cannot_be_made_close_the_channel_again() {
    for broken in [false, true] {
        let machine = Machine::default();
        let mut storage = vec![0; 64];
        let (mut guest, mut host, offer) = offered(&machine, &mut storage);
        machine.no_rings.set(!broken);
        guest.open(offer.channel, RINGS, params()).unwrap();
        let (_, mut served) = run(&mut guest, &mut host);
        let served = served.pop().unwrap();
        if broken {
            // The host's end says that it has written where no ring is.
            let halves = machine.rings(RINGS.first_pfn, RINGS.pages, 2);
            halves.to_guest.store(ControlWord::WriteIndex, 5);
        }
        host.accept(served.ticket).unwrap();
        let (told, _) = run(&mut guest, &mut host);
        let channel = offer.channel;
        let [Err(error), Ok(Event::MemoryReturned { memory: RINGS, .. })] = &told[..] else {
            panic!("{told:?}");
        };
        match error {
            BusError::Rings { channel: of, .. } => assert!(broken && *of == channel),
            BusError::MapRings { channel: of, .. } => assert!(!broken && *of == channel),
            other => panic!("{other}"),
        }
        assert_eq!(
            guest.signal(channel, Signal::Needed),
            Err(BusCallError::Call(CallError::UnknownChannel { channel }))
        );
        assert_eq!(guest.signal(channel, Signal::NotNeeded), Ok(()));
    }
}

#[test]
fn what_the_hypervisor_refuses_is_repeated_or_told() {
    let machine = Machine::default();
    let mut storage = vec![0; 64];
    let (mut guest, mut host) = (guest_bus(&machine), host_bus(&machine, &mut storage));
    machine
        .refusals
        .borrow_mut()
        .push_back(HvStatus::INSUFFICIENT_BUFFERS);
    guest.connect().unwrap();
    assert!(guest.poll().is_none());
    assert!(machine.posts.borrow().is_empty());
    let again = guest.poll_timeout().expect("it waits");
    assert!(again > Duration::ZERO);
    machine.now.set(again);
    let (told, _) = run(&mut guest, &mut host);
    assert!(matches!(told[..], [Ok(Event::Connected(_)), ..]));
    machine.refusals.borrow_mut().push_back(HvStatus::ACCESS_DENIED);
    guest.unload().unwrap();
    let (told, _) = run(&mut guest, &mut host);
    let [
        Err(BusError::Post {
            status: HvStatus::ACCESS_DENIED,
            ..
        }),
        Ok(Event::Disconnected(DisconnectReason::NoAnswer)),
    ] = told[..]
    else {
        panic!("{told:?}");
    };
}

#[test]
fn time_is_that_of_the_platform() {
    let machine = Machine::default();
    let mut guest = guest_bus(&machine);
    machine.now.set(seconds(7));
    guest.connect().unwrap();
    assert!(guest.poll().is_none());
    assert_eq!(guest.poll_timeout(), Some(seconds(17)));
    machine.now.set(seconds(17));
    let told = guest.poll();
    assert!(matches!(
        told,
        Some(Ok(Event::ConnectFailed(ConnectError::NoAnswer { .. })))
    ));
    assert_eq!(guest.poll_timeout(), None);
}

#[test]
fn messages_that_are_none_of_the_bus_are_told_apart() {
    let machine = Machine::default();
    let mut guest = guest_bus(&machine);
    let message_type = MessageType::TIMER_EXPIRED;
    let timer = Message::new(message_type, 0, &[0; 24]).unwrap();
    assert_eq!(
        guest.handle_message(&timer),
        Err(MessageError::NotVmbus { message_type })
    );
    let mut long = Message::new(MessageType::VMBUS, 0, &[0; 8]).unwrap();
    long.header.payload_size = 241;
    assert_eq!(
        guest.handle_message(&long),
        Err(MessageError::Length { len: 241 })
    );
    let other = Message::new(MessageType::VMBUS, 0, &[0; 8]).unwrap();
    assert!(matches!(
        guest.handle_message(&other),
        Err(MessageError::Message(HandleError::Breach(_)))
    ));
    assert_eq!(guest.guest().breaches(), 1);
}
