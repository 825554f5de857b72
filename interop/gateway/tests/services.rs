//! The gateway's protocols, spoken by another stack in simulated time.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod common;

use common::{CLIENT, CLIENT_MAC, End, GATEWAY, Talk, Wire, World};
use gateway::services::{
    ECHO_PORT, HASH_PORT, MAX_HASHED, Pattern, Request, SINK_PORT, SOURCE_PORT, Summary,
};
use gateway::{Checksums, Config, DhcpConfig};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use smoltcp::iface::SocketHandle;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{dhcpv4, icmp, tcp};
use smoltcp::time::Duration;
use smoltcp::wire::{Icmpv4Packet, Icmpv4Repr, IpAddress};

fn world() -> World {
    World::new(&Config::default(), Wire::PERFECT, 1)
}

fn summary(bytes: &[u8]) -> Summary {
    Summary {
        len: bytes.len() as u64,
        sha256: Sha256::digest(bytes).into(),
    }
}

fn pattern(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    Pattern::new(seed).fill(&mut bytes);
    bytes
}

fn request(len: usize, seed: u64) -> String {
    format!(
        "{}\n",
        Request {
            len: len as u64,
            seed
        }
    )
}

/// Lets the last acknowledgement arrive.
fn settle(world: &mut World) {
    world.run_for(Duration::from_millis(10));
}

/// Has one exchange and gives what was heard and how it ended.
fn talk(world: &mut World, port: u16, say: impl Into<Vec<u8>>) -> (Vec<u8>, End) {
    let mut talk = Talk::new(&mut world.client, port, say);
    let end = world.run_until("a connection's end", |client| talk.go_on(client));
    settle(world);
    (talk.heard, end)
}

#[test]
fn a_dhcp_client_gets_its_address() {
    let dns = vec!["9.9.9.9".parse().unwrap()];
    let dhcp = DhcpConfig {
        dns,
        ..DhcpConfig::default()
    };
    let config = Config {
        dhcp: Some(dhcp),
        ..Config::default()
    };
    let mut world = World::without_address(&config, Wire::PERFECT, 1);
    let handle = world.client.sockets.add(dhcpv4::Socket::new());
    let lease = world.run_until("a lease", |client| {
        match client.sockets.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
            Some(dhcpv4::Event::Configured(lease)) => {
                Some((lease.address, lease.router, lease.dns_servers.to_vec()))
            }
            _ => None,
        }
    });
    assert_eq!(
        lease,
        (
            "10.0.2.15/24".parse().unwrap(),
            Some(GATEWAY),
            vec!["9.9.9.9".parse().unwrap()]
        )
    );
    world.client.set_address(CLIENT);
    // The client renews at half of a day, by unicast.
    world.run_for(Duration::from_secs(13 * 3600));
    let statistics = world.gateway.statistics().dhcp;
    assert_eq!((statistics.offers, statistics.acks, statistics.naks), (1, 2, 0));
}

#[test]
fn pings_come_back_whole() {
    let mut world = world();
    let buffer = || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 8], vec![0; 1 << 16]);
    let mut socket = icmp::Socket::new(buffer(), buffer());
    socket.bind(icmp::Endpoint::Ident(7)).unwrap();
    let handle = world.client.sockets.add(socket);
    // The last is more than a frame holds: it goes and comes in fragments.
    for (seq_no, len) in [(1, 0), (2, 56), (3, 1472), (4, 9000)] {
        let data = pattern(len, seq_no.into());
        let echo = Icmpv4Repr::EchoRequest {
            ident: 7,
            seq_no,
            data: &data,
        };
        let socket = world.client.sockets.get_mut::<icmp::Socket<'_>>(handle);
        let payload = socket.send(echo.buffer_len(), IpAddress::Ipv4(GATEWAY)).unwrap();
        echo.emit(
            &mut Icmpv4Packet::new_unchecked(payload),
            &ChecksumCapabilities::default(),
        );
        let answer = world.run_until("a ping's answer", |client| {
            let (payload, from) = client.sockets.get_mut::<icmp::Socket<'_>>(handle).recv().ok()?;
            Some((payload.to_vec(), from))
        });
        assert_eq!(answer.1, IpAddress::Ipv4(GATEWAY));
        let packet = Icmpv4Packet::new_checked(&answer.0[..]).unwrap();
        let reply = Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()).unwrap();
        assert_eq!(
            reply,
            Icmpv4Repr::EchoReply {
                ident: 7,
                seq_no,
                data: &data
            }
        );
    }
}

#[test]
fn echo_gives_everything_back_and_closes() {
    let mut world = world();
    for len in [0, 1, 1_500_000] {
        let bytes = pattern(len, 5);
        assert_eq!(talk(&mut world, ECHO_PORT, bytes.clone()), (bytes, End::Closed));
    }
    let statistics = world.gateway.statistics().tcp;
    assert_eq!(
        (
            statistics.accepted,
            statistics.closed,
            statistics.aborted,
            statistics.open
        ),
        (3, 3, 0, 0)
    );
}

#[test]
fn the_sink_tells_count_and_hash() {
    let mut world = world();
    for len in [0, 1, 1_500_000] {
        let bytes = pattern(len, 6);
        let (line, end) = talk(&mut world, SINK_PORT, bytes.clone());
        assert_eq!((Summary::parse(&line), end), (Some(summary(&bytes)), End::Closed));
        assert_eq!(line.last(), Some(&b'\n'));
    }
}

#[test]
fn the_source_sends_what_the_hash_service_hashes() {
    let mut world = world();
    for (len, seed) in [(0, 0), (1, 1), (65_537, 2), (1_500_000, u64::MAX)] {
        let bytes = pattern(len, seed);
        let (heard, end) = talk(&mut world, SOURCE_PORT, request(len, seed));
        assert!(heard == bytes, "{len} {seed}: {} bytes came", heard.len());
        assert_eq!(end, End::Closed);
        let (line, end) = talk(&mut world, HASH_PORT, request(len, seed));
        assert_eq!((Summary::parse(&line), end), (Some(summary(&bytes)), End::Closed));
    }
}

#[test]
fn a_client_may_close_late_or_talk_on() {
    let mut world = world();
    let bytes = pattern(1_200_000, 3);
    let mut patient = Talk::new(&mut world.client, SOURCE_PORT, request(1_200_000, 3)).patient();
    let end = world.run_until("the source's FIN", |client| patient.go_on(client));
    assert!(patient.heard == bytes);
    assert_eq!(end, End::Closed);

    let mut chatty = request(1_200_000, 3).into_bytes();
    chatty.extend(pattern(1_000_000, 4));
    let (heard, end) = talk(&mut world, SOURCE_PORT, chatty);
    assert!(heard == bytes);
    assert_eq!(end, End::Closed);
}

#[test]
fn a_request_without_its_line_feed_ends_with_the_fin() {
    let mut world = world();
    assert_eq!(
        talk(&mut world, SOURCE_PORT, "10 4"),
        (pattern(10, 4), End::Closed)
    );
}

#[test]
fn what_is_no_request_is_refused() {
    let mut world = world();
    for line in [&b""[..], b"\n", b"all of it\n", &[b'1'; 1000]] {
        assert_eq!(
            talk(&mut world, SOURCE_PORT, line),
            (vec![], End::Reset),
            "{line:?}"
        );
        let (answer, end) = talk(&mut world, HASH_PORT, line);
        assert!(
            answer.starts_with(b"error: ") && answer.ends_with(b"\n"),
            "{line:?}"
        );
        assert_eq!(end, End::Closed);
    }
    let (answer, end) = talk(&mut world, HASH_PORT, format!("{} 1\n", MAX_HASHED + 1));
    assert!(answer.starts_with(b"error: more than"));
    assert_eq!(end, End::Closed);
    // A port without a service.
    assert_eq!(
        talk(&mut world, 80, "GET / HTTP/1.0\r\n\r\n"),
        (vec![], End::Reset)
    );
}

#[test]
fn connections_run_side_by_side_and_leave_their_slots() {
    let mut world = world();
    let services = [ECHO_PORT, SINK_PORT, SOURCE_PORT, HASH_PORT];
    for round in 0..3 {
        let mut talks = Vec::new();
        for seed in 0..8 {
            for port in services {
                let say = match port {
                    ECHO_PORT | SINK_PORT => pattern(300_000, seed),
                    _ => request(300_000, seed).into_bytes(),
                };
                talks.push((port, seed, Talk::new(&mut world.client, port, say), None));
            }
        }
        world.run_until("the end of all connections", |client| {
            for (_, _, talk, end) in &mut talks {
                *end = end.or_else(|| talk.go_on(client));
            }
            talks.iter().all(|(.., end)| end.is_some()).then_some(())
        });
        settle(&mut world);
        for (port, seed, talk, end) in talks {
            let bytes = pattern(300_000, seed);
            let expected = match port {
                ECHO_PORT | SOURCE_PORT => bytes,
                _ => format!("{}\n", summary(&bytes)).into_bytes(),
            };
            assert!(talk.heard == expected, "round {round}, port {port}, seed {seed}");
            assert_eq!(end, Some(End::Closed), "round {round}, port {port}, seed {seed}");
            world.client.sockets.remove(talk.handle);
        }
        let statistics = world.gateway.statistics().tcp;
        assert_eq!((statistics.closed, statistics.open), (32 * (round + 1), 0));
    }
}

#[test]
fn connections_are_bounded_and_come_free_again() {
    let mut world = world();
    let mut held: Vec<_> = (0..9).map(|_| world.client.connect(ECHO_PORT)).collect();
    world.run_until("eight connections and a refusal", |client| {
        let count = |state, client: &mut common::Client| {
            held.iter()
                .filter(|handle| client.socket(**handle).state() == state)
                .count()
        };
        (count(tcp::State::Established, client) == 8 && count(tcp::State::Closed, client) == 1).then_some(())
    });
    settle(&mut world);
    assert_eq!(world.gateway.statistics().tcp.open, 8);
    let handle = held.swap_remove(0);
    world.client.socket(handle).abort();
    settle(&mut world);
    assert_eq!(
        talk(&mut world, ECHO_PORT, "again"),
        (b"again".to_vec(), End::Closed)
    );
    assert_eq!(world.gateway.statistics().tcp.aborted, 1);
}

/// A connection that is there for so many seconds yet, and then no more.
fn loses_its_slot(world: &mut World, handle: SocketHandle, seconds: u64) {
    world.run_for(Duration::from_secs(seconds));
    assert_eq!(world.gateway.statistics().tcp.open, 1);
    world.run_for(Duration::from_secs(20));
    let statistics = world.gateway.statistics().tcp;
    assert_eq!((statistics.open, statistics.aborted), (0, 1));
    assert_eq!(
        world.client.socket(handle).state(),
        tcp::State::Closed,
        "the client was told"
    );
}

#[test]
fn a_client_that_never_closes_loses_its_slot() {
    let mut world = world();
    let handle = world.client.connect(SOURCE_PORT);
    world.run_until("all bytes", |client| {
        let socket = client.socket(handle);
        if socket.may_send() && socket.send_queue() == 0 && socket.recv_queue() == 0 {
            socket.send_slice(b"5 5\n").unwrap();
        }
        (socket.recv_queue() == 5).then_some(())
    });
    loses_its_slot(&mut world, handle, 50);
}

#[test]
fn a_client_that_falls_silent_loses_its_slot() {
    let mut world = world();
    let handle = world.client.connect(ECHO_PORT);
    world.run_until("a connection", |client| {
        client.socket(handle).may_send().then_some(())
    });
    loses_its_slot(&mut world, handle, 290);
}

#[test]
fn large_frames_carry_everything_too() {
    let config = Config {
        mtu: 9000,
        ..Config::default()
    };
    let mut world = World::new(&config, Wire::PERFECT, 2);
    let bytes = pattern(1_200_000, 8);
    assert_eq!(talk(&mut world, ECHO_PORT, bytes.clone()), (bytes, End::Closed));
}

#[test]
fn offloaded_checksums_are_neither_needed_nor_made() {
    let config = Config {
        checksums: Checksums::Offloaded,
        ..Config::default()
    };
    let mut world = World::new(&config, Wire::PERFECT, 2);
    let bytes = pattern(100_000, 8);
    assert_eq!(talk(&mut world, ECHO_PORT, bytes.clone()), (bytes, End::Closed));
}

#[test]
fn the_client_is_known_by_its_arp_request() {
    let mut world = world();
    talk(&mut world, ECHO_PORT, "hello");
    assert_eq!(
        world.gateway.statistics().ignored,
        0,
        "{CLIENT_MAC} was taken for a stranger"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Frames are lost, doubled, late or bent: TCP mends it, and the hashes agree.
    #[test]
    fn a_bad_wire_changes_nothing(
        seed: u64,
        lost in 0_u64..60,
        doubled in 0_u64..50,
        late in 0_u64..50,
        bent in 0_u64..30,
        len in 0_usize..200_000,
    ) {
        let wire = Wire { latency: Duration::from_millis(1), lost, doubled, late, bent };
        let mut world = World::new(&Config::default(), wire, seed);
        let bytes = pattern(len, seed);
        let mut echo = Talk::new(&mut world.client, ECHO_PORT, bytes.clone());
        let mut sink = Talk::new(&mut world.client, SINK_PORT, bytes.clone());
        let mut source = Talk::new(&mut world.client, SOURCE_PORT, request(len, seed));
        let mut hash = Talk::new(&mut world.client, HASH_PORT, request(len, seed));
        let mut ends = [None; 4];
        world.run_until("the end of all connections", |client| {
            for (talk, end) in [&mut echo, &mut sink, &mut source, &mut hash].into_iter().zip(&mut ends) {
                *end = end.or_else(|| talk.go_on(client));
            }
            ends.iter().all(Option::is_some).then_some(())
        });
        let line = format!("{}\n", summary(&bytes)).into_bytes();
        // A connection may end with a reset here, when the last acknowledgements were lost again and again.
        prop_assert!(echo.heard == bytes);
        prop_assert!(source.heard == bytes);
        prop_assert_eq!(&sink.heard, &line);
        prop_assert_eq!(&hash.heard, &line);
    }
}
