//! `smoltcp` on both ends: on the guest's NIC, and on the network behind the host's.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

#[path = "guest/pair.rs"]
#[allow(dead_code, reason = "the guest's own tests use the rest")]
mod pair;
mod support;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use netvsc_proto::guest::smoltcp::Device as NicDevice;
use netvsc_proto::guest::{Event, Fault, Nic, PollError, Queue};
use netvsc_proto::host::{NicConfig, ReceiveError};
use netvsc_proto::nic::ReceiveInfo;
use netvsc_proto::wire::rndis::PacketFilter;
use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetAddress, HardwareAddress, IpAddress, IpCidr};
use vmbus_proto::ringbuf::{ControlWord, SharedMem};

use pair::{View, guest_config, memory, requests};
use support::{MAC, Rig, Ring};

/// The network behind the host: frames either way.
#[derive(Clone, Default)]
struct Wire {
    to_peer: Rc<RefCell<VecDeque<Vec<u8>>>>,
    to_guest: Rc<RefCell<VecDeque<Vec<u8>>>>,
}

struct Rx(Vec<u8>);
struct Tx(Wire);

impl RxToken for Rx {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Tx {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.to_guest.borrow_mut().push_back(frame);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Rx;
    type TxToken<'a> = Tx;
    fn receive(&mut self, _: Instant) -> Option<(Rx, Tx)> {
        let frame = self.to_peer.borrow_mut().pop_front()?;
        Some((Rx(frame), Tx(self.clone())))
    }
    fn transmit(&mut self, _: Instant) -> Option<Tx> {
        Some(Tx(self.clone()))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 1514;
        capabilities
    }
}

fn interface(device: &mut impl Device, mac: [u8; 6], last: u8) -> Interface {
    let address = HardwareAddress::Ethernet(EthernetAddress(mac));
    let mut interface = Interface::new(Config::new(address), device, Instant::ZERO);
    interface.update_ip_addrs(|addresses| {
        addresses
            .push(IpCidr::new(IpAddress::v4(10, 0, 0, last), 24))
            .unwrap();
    });
    interface
}

fn socket() -> tcp::Socket<'static> {
    tcp::Socket::new(
        tcp::SocketBuffer::new(vec![0; 40_000]),
        tcp::SocketBuffer::new(vec![0; 40_000]),
    )
}

const WORDS: usize = 512;

fn parts(
    rig: &mut Rig<WORDS>,
) -> (
    Nic<'static, View>,
    Queue<'static, Ring<WORDS>, View, { pair::DEPTH }>,
) {
    let rings = rig.guest.remove(0).rings;
    let config = guest_config(SharedMem::len(&rig.receive), SharedMem::len(&rig.send));
    let nic = Nic::new(config, requests(&rig.ram)).unwrap();
    (
        nic,
        Queue::primary(rings, memory(&rig.ram, &rig.receive, &rig.send, 0)),
    )
}

#[test]
fn a_stream_of_bytes_there_and_back() {
    let mut rig = Rig::<WORDS>::new(NicConfig::new(MAC));
    let (nic, queue) = parts(&mut rig);
    let mut receive = vec![0; nic.receive_len()];
    let mut transmit = vec![0; 1514];
    let mut told = Vec::new();
    let mut device = NicDevice::new(nic, queue, &mut receive, &mut transmit, |nic, event| {
        if let Event::Ready(properties) = event {
            assert_eq!(properties.mac, MAC);
            nic.set_packet_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST)
                .unwrap();
        }
        if !matches!(event, Event::Transmitted { .. }) {
            told.push(format!("{event:?}"));
        }
    });
    while device.nic().packet_filter().is_empty() {
        device.poll().unwrap();
        rig.serve(0).unwrap();
    }
    assert_eq!(device.capabilities().max_transmission_unit, 1514);

    let mut wire = Wire::default();
    let (mut guest, mut peer) = (
        interface(&mut device, MAC.0, 2),
        interface(&mut wire, [2, 0, 0, 0, 0, 1], 1),
    );
    let (mut guest_sockets, mut peer_sockets) = (SocketSet::new(vec![]), SocketSet::new(vec![]));
    let (client, server) = (guest_sockets.add(socket()), peer_sockets.add(socket()));
    peer_sockets.get_mut::<tcp::Socket<'_>>(server).listen(7).unwrap();
    guest_sockets
        .get_mut::<tcp::Socket<'_>>(client)
        .connect(guest.context(), (IpAddress::v4(10, 0, 0, 1), 7), 50_000)
        .unwrap();

    let total = 300_000;
    let byte = |at: usize| (at % 251) as u8;
    let (mut sent, mut back) = (0, vec![]);
    for tick in 0.. {
        assert!(tick < 100_000, "{sent} sent, {} back", back.len());
        let now = Instant::from_millis(tick);
        guest.poll(now, &mut device, &mut guest_sockets);
        // Called without a signal too, as an embedder that serves others may.
        let _ = device.take_signal();
        rig.serve(0).unwrap();
        wire.to_peer.borrow_mut().extend(rig.net.take());
        peer.poll(now, &mut wire, &mut peer_sockets);
        let mut waiting = wire.to_guest.borrow_mut();
        while let Some(frame) = waiting.front() {
            match rig.queues[0].receive(frame, &ReceiveInfo::NONE) {
                Ok(_) => drop(waiting.pop_front()),
                Err(ReceiveError::RingFull | ReceiveError::NoBuffer) => break,
                Err(error) => panic!("{error}"),
            }
        }
        let _ = rig.queues[0].flush().unwrap();

        let client = guest_sockets.get_mut::<tcp::Socket<'_>>(client);
        if client.can_send() && sent < total {
            sent += client
                .send(|buffer| {
                    let len = buffer.len().min(total - sent);
                    buffer[..len]
                        .iter_mut()
                        .enumerate()
                        .for_each(|(at, to)| *to = byte(sent + at));
                    (len, len)
                })
                .unwrap();
        }
        if client.can_recv() {
            let bytes = client.recv(|bytes| (bytes.len(), bytes.to_vec())).unwrap();
            back.extend(bytes);
        }
        let server = peer_sockets.get_mut::<tcp::Socket<'_>>(server);
        if server.can_recv() && server.can_send() {
            let room = server.send_capacity() - server.send_queue();
            let bytes = server
                .recv(|bytes| (bytes.len().min(room), bytes[..bytes.len().min(room)].to_vec()))
                .unwrap();
            assert_eq!(server.send_slice(&bytes), Ok(bytes.len()));
        }
        if back.len() == total {
            break;
        }
    }
    assert!(back.iter().enumerate().all(|(at, got)| *got == byte(at)));
    let stats = *device.queue().stats();
    assert_eq!(stats.transmitted, rig.queues[0].stats().transmitted);
    assert!(stats.transmitted.bytes() > total as u64 && stats.received.bytes() > total as u64);
    drop(device);
    assert!(
        told[0].starts_with("Ready") && told[1].starts_with("Answered") && told.len() == 2,
        "{told:?}"
    );
}

#[test]
fn frames_are_refused_while_there_is_no_room_and_dropped_when_they_are_too_long() {
    let mut rig = Rig::<WORDS>::new(NicConfig::new(MAC));
    let (nic, queue) = parts(&mut rig);
    let mut receive = vec![0; nic.receive_len()];
    let mut transmit = vec![0; 100];
    let mut device = NicDevice::new(nic, queue, &mut receive, &mut transmit, |_, _| ());
    assert!(device.transmit(Instant::ZERO).is_none(), "the NIC is not up");
    while device.nic().properties().is_none() {
        device.poll().unwrap();
        rig.serve(0).unwrap();
    }
    assert_eq!(device.capabilities().max_transmission_unit, 100);
    // Nothing that is longer than the buffer is sent.
    device
        .transmit(Instant::ZERO)
        .unwrap()
        .consume(101, |frame| assert_eq!(frame.len(), 100));
    assert_eq!((device.dropped(), device.queue().outstanding()), (1, 0));
    let mut sent = 0;
    while let Some(token) = device.transmit(Instant::ZERO) {
        token.consume(60, |frame| frame.fill(sent));
        sent += 1;
    }
    assert_eq!(usize::from(sent), pair::DEPTH);
    rig.serve(0).unwrap();
    assert_eq!(rig.net.take().len(), usize::from(sent));
    // What is complete makes room.
    assert!(device.transmit(Instant::ZERO).is_some());
}

#[test]
fn a_fault_is_the_end_of_the_device() {
    let mut rig = Rig::<WORDS>::new(NicConfig::new(MAC));
    let ring: Ring<WORDS> = *rig.guest[0].rings.incoming.mem();
    let (nic, queue) = parts(&mut rig);
    let mut receive = vec![0; nic.receive_len()];
    let mut transmit = vec![0; 1514];
    let mut device = NicDevice::new(nic, queue, &mut receive, &mut transmit, |_, _| ());
    ring.word(ControlWord::WriteIndex)
        .store(3, std::sync::atomic::Ordering::SeqCst);
    assert!(device.receive(Instant::ZERO).is_none());
    let fault = device.poll().unwrap_err();
    assert!(matches!(fault, PollError::Fault(Fault::Ring(_))));
    assert!(device.transmit(Instant::ZERO).is_none());
    let (_, queue) = device.into_parts();
    assert_eq!(Some(fault), queue.fault().map(PollError::Fault));
}
