//! A guest that sends whatever it likes: nothing panics, hangs or grows, and honest connections work afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod common;

use std::collections::HashMap;
use std::net::Ipv4Addr;

use common::{CLIENT, CLIENT_MAC, Chance, End, GATEWAY, Talk, Wire, World};
use gateway::services::{ECHO_PORT, HASH_PORT, SINK_PORT, SOURCE_PORT};
use gateway::{Checksums, Config, FrameError, Gateway, Instant};
use proptest::prelude::*;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr,
    IpProtocol, Ipv4Packet, Ipv4Repr, TcpPacket,
};

const GATEWAY_MAC: EthernetAddress = EthernetAddress([2, 0, 10, 0, 2, 2]);
const SERVICES: [u16; 4] = [ECHO_PORT, SINK_PORT, SOURCE_PORT, HASH_PORT];
/// More frames than may ever wait.
const TOO_MANY: usize = 512;

/// No checksum is looked at, so that arbitrary contents come as deep as they can.
fn open_config() -> Config {
    Config {
        checksums: Checksums::Offloaded,
        seed: 1,
        buffer: 1 << 16,
        ..Config::default()
    }
}

fn ethernet(protocol: EthernetProtocol, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; 14 + payload.len()];
    let repr = EthernetRepr {
        src_addr: CLIENT_MAC,
        dst_addr: GATEWAY_MAC,
        ethertype: protocol,
    };
    let mut packet = EthernetFrame::new_unchecked(&mut frame[..]);
    repr.emit(&mut packet);
    packet.payload_mut().copy_from_slice(payload);
    frame
}

fn ip(from: Ipv4Addr, protocol: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: from,
        dst_addr: GATEWAY,
        next_header: protocol,
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut packet = vec![0; 20 + payload.len()];
    repr.emit(
        &mut Ipv4Packet::new_unchecked(&mut packet[..]),
        &ChecksumCapabilities::default(),
    );
    packet[20..].copy_from_slice(payload);
    ethernet(EthernetProtocol::Ipv4, &packet)
}

fn arp(host: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: CLIENT_MAC,
        source_protocol_addr: host,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: GATEWAY,
    };
    let mut packet = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut packet[..]));
    ethernet(EthernetProtocol::Arp, &packet)
}

/// A TCP segment with every field as given, and no checksum.
#[derive(Clone, Debug)]
struct Segment {
    from: u16,
    to: u16,
    sequence: u32,
    acknowledged: u32,
    flags: u8,
    window: u16,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Segment {
    fn frame(&self, host: Ipv4Addr) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4).min(40), 0);
        let mut packet = Vec::new();
        packet.extend(self.from.to_be_bytes());
        packet.extend(self.to.to_be_bytes());
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.acknowledged.to_be_bytes());
        packet.push(((5 + options.len() / 4) as u8) << 4);
        packet.push(self.flags);
        packet.extend(self.window.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(options);
        packet.extend(&self.payload);
        ip(host, IpProtocol::Tcp, &packet)
    }
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Everything that must hold whatever was sent.
fn check(gateway: &mut Gateway, now: Instant) -> Vec<Vec<u8>> {
    gateway.poll(now);
    assert!(gateway.outgoing().len() <= TOO_MANY);
    assert!(gateway.statistics().tcp.open <= 4 * 8);
    let frames: Vec<_> = gateway.outgoing().iter().map(<[u8]>::to_vec).collect();
    gateway.outgoing().clear();
    for frame in &frames {
        assert!(frame.len() <= 1514);
        assert_eq!(frame[6..12], GATEWAY_MAC.0);
    }
    frames
}

/// An honest client comes after all that, and finds everything working.
fn still_works(gateway: Gateway, config: &Config, now: Instant) {
    let mut world = World::new(config, Wire::PERFECT, 3);
    world.gateway = gateway;
    world.now = now;
    // Whoever held a connection has fallen silent.
    for _ in 0..3 {
        world.now += Duration::from_secs(400);
        check(&mut world.gateway, world.now);
    }
    let mut talk = Talk::new(&mut world.client, ECHO_PORT, "still there?");
    let end = world.run_until("the echo", |client| talk.go_on(client));
    assert_eq!((&talk.heard[..], end), (&b"still there?"[..], End::Closed));
}

#[test]
fn impossible_lengths_are_told() {
    let mut gateway = Gateway::new(&Config::default()).unwrap();
    for len in [0, 1, 13] {
        assert_eq!(
            gateway.handle_frame(Instant::ZERO, &vec![0; len]),
            Err(FrameError::TooShort { len })
        );
    }
    for len in [1515, 70_000] {
        let error = FrameError::TooLong { len, max: 1514 };
        assert_eq!(gateway.handle_frame(Instant::ZERO, &vec![0; len]), Err(error));
    }
    let mut gateway = Gateway::new(&Config {
        large_send: true,
        ..Config::default()
    })
    .unwrap();
    assert_eq!(gateway.handle_frame(Instant::ZERO, &[0; 65_549]), Ok(()));
    assert!(gateway.handle_frame(Instant::ZERO, &[0; 65_550]).is_err());
}

#[test]
fn a_flood_of_syns_takes_no_more_than_the_slots() {
    let config = open_config();
    let mut gateway = Gateway::new(&config).unwrap();
    let mut chance = Chance::new(7);
    let mut now = Instant::ZERO;
    let mut refused = 0;
    for _ in 0..20_000 {
        let syn = Segment {
            from: chance.below(65_535) as u16 + 1,
            to: SERVICES[chance.below(4) as usize],
            sequence: chance.below(1 << 32) as u32,
            acknowledged: 0,
            flags: SYN,
            window: 1000,
            options: Vec::new(),
            payload: Vec::new(),
        };
        let host = Ipv4Addr::new(10, 0, 2, 20 + chance.below(200) as u8);
        gateway.handle_frame(now, &arp(host)).unwrap();
        gateway.handle_frame(now, &syn.frame(host)).unwrap();
        for frame in check(&mut gateway, now) {
            let reset = frame[12..14] == [8, 0] && TcpPacket::new_unchecked(&frame[34..]).rst();
            refused += u32::from(reset);
        }
        now += Duration::from_micros(500);
    }
    assert!(refused > 15_000, "{refused}");
    let statistics = gateway.statistics().tcp;
    assert_eq!((statistics.accepted, statistics.open), (0, 0));
    // The flood lasted ten seconds, and each second gave up what was half open.
    assert!(statistics.half_open >= 4 * 8 * 8, "{statistics:?}");

    // While it lasts, an honest client gets in again and again; here just after it.
    let mut world = World::new(&config, Wire::PERFECT, 3);
    world.gateway = gateway;
    world.now = now + Duration::from_millis(1100);
    let mut talk = Talk::new(&mut world.client, ECHO_PORT, "me too");
    assert_eq!(
        world.run_until("the echo", |client| talk.go_on(client)),
        End::Closed
    );
    assert_eq!(talk.heard, b"me too");
}

#[test]
fn answers_that_nobody_takes_are_dropped_and_counted() {
    let mut gateway = Gateway::new(&open_config()).unwrap();
    for _ in 0..TOO_MANY + 100 {
        gateway.handle_frame(Instant::ZERO, &arp(CLIENT)).unwrap();
        gateway.poll(Instant::ZERO);
    }
    assert_eq!(gateway.outgoing().len(), TOO_MANY);
    assert_eq!(gateway.statistics().unanswered, 100);
}

#[test]
fn senders_that_cannot_be_are_ignored() {
    let mut gateway = Gateway::new(&open_config()).unwrap();
    let echo_request = [8, 0, 0xf7, 0xff, 0, 0, 0, 0];
    let hosts = [
        "0.0.0.0",
        "10.0.2.0",
        "10.0.2.255",
        "10.0.2.2",
        "127.0.0.1",
        "224.0.0.1",
        "192.168.1.1",
    ];
    for host in hosts.map(|host| host.parse().unwrap()) {
        gateway
            .handle_frame(Instant::ZERO, &ip(host, IpProtocol::Icmp, &echo_request))
            .unwrap();
        gateway.handle_frame(Instant::ZERO, &arp(host)).unwrap();
        assert_eq!(
            check(&mut gateway, Instant::ZERO),
            Vec::<Vec<u8>>::new(),
            "{host}"
        );
    }
    assert_eq!(gateway.statistics().ignored, 2 * 7);
    gateway.handle_frame(Instant::ZERO, &arp(CLIENT)).unwrap();
    gateway
        .handle_frame(Instant::ZERO, &ip(CLIENT, IpProtocol::Icmp, &echo_request))
        .unwrap();
    assert_eq!(
        check(&mut gateway, Instant::ZERO).len(),
        2,
        "the same from a possible sender"
    );
}

/// A step of a TCP peer that knows the sequence numbers and does not care.
#[derive(Clone, Debug)]
struct Step {
    connection: u8,
    service: usize,
    flags: u8,
    /// Added to the sequence number that the gateway expects.
    ahead: i32,
    /// Added to what the gateway has sent.
    beyond: i32,
    window: u16,
    options: Vec<u8>,
    payload: Vec<u8>,
    wait: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let flags = prop_oneof![
        4 => Just(SYN),
        8 => Just(ACK),
        2 => Just(ACK | FIN),
        1 => Just(RST),
        1 => Just(ACK | RST),
        1 => Just(SYN | ACK),
        2 => any::<u8>(),
    ];
    let near = || prop_oneof![6 => Just(0), 2 => -3_i32..3, 1 => -70_000_i32..70_000, 1 => any::<i32>()];
    let options = prop_oneof![
        3 => Just(Vec::new()),
        // MSS of every size, window scale of every size.
        2 => any::<u16>().prop_map(|mss| [vec![2, 4], mss.to_be_bytes().to_vec()].concat()),
        1 => any::<u8>().prop_map(|scale| vec![3, 3, scale]),
        1 => prop::collection::vec(any::<u8>(), 0..40),
    ];
    let payload = prop_oneof![
        2 => Just(Vec::new()),
        1 => Just(b"100000 7\n".to_vec()),
        1 => Just(b"18446744073709551615 7\n".to_vec()),
        1 => Just(b"30000000 7\n".to_vec()),
        2 => prop::collection::vec(any::<u8>(), 0..1400),
    ];
    let wait = prop_oneof![6 => Just(0), 3 => 0_u64..2_000, 1 => 0_u64..2_000_000];
    (
        0_u8..6,
        0_usize..4,
        flags,
        near(),
        near(),
        any::<u16>(),
        options,
        payload,
        wait,
    )
        .prop_map(
            |(connection, service, flags, ahead, beyond, window, options, payload, wait)| Step {
                connection,
                service,
                flags,
                ahead,
                beyond,
                window,
                options,
                payload,
                wait,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_bytes_are_a_frame(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..50)) {
        let mut gateway = Gateway::new(&open_config()).unwrap();
        for frame in frames {
            let _ = gateway.handle_frame(Instant::ZERO, &frame);
            check(&mut gateway, Instant::ZERO);
        }
    }

    /// Behind correct addresses anything may follow.
    #[test]
    fn any_bytes_are_a_packet(
        packets in prop::collection::vec(
            (0_usize..6, prop::collection::vec(any::<u8>(), 0..400), 0_u64..3_000_000), 0..60,
        ),
    ) {
        let config = open_config();
        let mut gateway = Gateway::new(&config).unwrap();
        let mut now = Instant::ZERO;
        for (layer, bytes, wait) in packets {
            let frame = match layer {
                0 => ethernet(EthernetProtocol::Arp, &bytes),
                1 => ethernet(EthernetProtocol::Ipv4, &bytes),
                2 => ip(CLIENT, IpProtocol::Icmp, &bytes),
                3 => ip(CLIENT, IpProtocol::Tcp, &bytes),
                // To the DHCP server, with a length that fits.
                4 => {
                    let len = (8 + bytes.len() as u16).to_be_bytes();
                    let udp = [&[0, 68, 0, 67, len[0], len[1], 0, 0][..], &bytes].concat();
                    ip(CLIENT, IpProtocol::Udp, &udp)
                }
                _ => ip(CLIENT, IpProtocol::from(bytes.first().copied().unwrap_or(0)), &bytes),
            };
            gateway.handle_frame(now, &frame).unwrap();
            check(&mut gateway, now);
            now += Duration::from_micros(wait);
        }
    }

    /// Fragments with any offsets, of which some are put together.
    #[test]
    fn any_fragments(
        fragments in prop::collection::vec((0_u16..4, any::<u16>(), 0_usize..1480), 0..60),
    ) {
        let mut gateway = Gateway::new(&open_config()).unwrap();
        gateway.handle_frame(Instant::ZERO, &arp(CLIENT)).unwrap();
        for (id, offset, len) in fragments {
            let mut frame = ip(CLIENT, IpProtocol::Icmp, &vec![8; len]);
            frame[18..20].copy_from_slice(&id.to_be_bytes());
            // Half of the time an offset that others lie beside.
            let offset = if offset & 0x8000 == 0 { (offset & 0x2000) | (offset % 16 * 92) } else { offset };
            frame[20..22].copy_from_slice(&offset.to_be_bytes());
            gateway.handle_frame(Instant::ZERO, &frame).unwrap();
            check(&mut gateway, Instant::ZERO);
        }
    }

    #[test]
    fn a_tcp_peer_without_manners(steps in prop::collection::vec(step(), 1..120)) {
        let config = open_config();
        let mut gateway = Gateway::new(&config).unwrap();
        let mut now = Instant::ZERO;
        gateway.handle_frame(now, &arp(CLIENT)).unwrap();
        // What the gateway expects and has sent, by the peer's port.
        let mut known: HashMap<u16, (u32, u32)> = HashMap::new();
        for step in steps {
            let from = 1000 + u16::from(step.connection);
            let (expected, sent) = known.get(&from).copied().unwrap_or((0, 0));
            let segment = Segment {
                from,
                to: SERVICES[step.service],
                sequence: expected.wrapping_add_signed(step.ahead),
                acknowledged: sent.wrapping_add_signed(step.beyond),
                flags: step.flags,
                window: step.window,
                options: step.options,
                payload: step.payload,
            };
            gateway.handle_frame(now, &segment.frame(CLIENT)).unwrap();
            for frame in check(&mut gateway, now) {
                if frame[12..14] == [8, 0] {
                    let packet = TcpPacket::new_unchecked(&frame[34..]);
                    let end = packet.seq_number() + packet.segment_len();
                    known.insert(packet.dst_port(), (packet.ack_number().0.cast_unsigned(), end.0.cast_unsigned()));
                }
            }
            now += Duration::from_micros(step.wait);
        }
        still_works(gateway, &config, now);
    }
}
