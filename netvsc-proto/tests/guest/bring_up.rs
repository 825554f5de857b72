//! Coming up and going away.

use netvsc_proto::guest::{ConfigError, ControlError, Event, Nic, PollError, TransmitError, TransmitInfo};
use netvsc_proto::host::{NicConfig, Offloads};
use netvsc_proto::nic::OutOfRange;
use netvsc_proto::wire::nvsp::{NdisCapabilities, Version};
use netvsc_proto::wire::rndis::PacketFilter;

use crate::pair::{Pair, guest_config, other, pages, requests};
use crate::support::{MAC, Mem, frame};

#[test]
fn every_version_comes_up_and_carries_frames() {
    for &version in Version::NAMED {
        let config = NicConfig {
            max_version: version,
            max_queues: 4,
            mtu: 1400,
            link_speed: 1_000_000_000,
            ..NicConfig::new(MAC)
        };
        let mut pair = Pair::<4096>::new(config, |config| config.max_queues = 4);
        assert_eq!(
            pair.queues[0].transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE),
            Err(TransmitError::NotReady)
        );
        assert_eq!(
            pair.nic.set_packet_filter(PacketFilter::DIRECTED),
            Err(ControlError::NotReady)
        );
        pair.run();
        let properties = pair.ready();
        assert_eq!(pair.nic.properties(), Some(&properties));
        assert_eq!(
            (properties.version, properties.mac, properties.mtu),
            (version, MAC, 1400)
        );
        assert_eq!((properties.link_up, properties.link_speed), (true, 1_000_000_000));
        assert_eq!(
            properties.offloads,
            Offloads {
                vlan: version >= Version::V2,
                ..Offloads::NONE
            }
        );
        let rss = properties.rss.map(|rss| (rss.queues, rss.table_len));
        assert_eq!(rss, (version >= Version::V5).then_some((4, 128)));
        assert_eq!(pair.rig.nic.version(), Some(version));
        if version >= Version::V2 {
            assert_eq!(
                pair.rig.nic.capabilities(),
                NdisCapabilities::IEEE_8021Q | NdisCapabilities::TEAMING
            );
        }
        pair.set_filter(PacketFilter::DIRECTED);
        pair.alive();
        assert_eq!((&pair.events, &pair.rig.refused), (&[].into(), &vec![]));
    }
}

#[test]
fn the_highest_version_that_the_guest_wants_is_asked_for() {
    for &version in Version::NAMED {
        let mut pair = Pair::<4096>::new(NicConfig::new(MAC), |config| config.max_version = version);
        pair.run();
        assert_eq!(pair.ready().version, version);
    }
}

#[test]
fn an_mtu_is_the_smaller_of_the_two() {
    for (guest, host, agreed) in [
        (1500, 9000, 1500),
        (9000, 1500, 1500),
        (9000, 9000, 9000),
        (600, 576, 576),
    ] {
        let mut pair = Pair::<4096>::up_with(
            NicConfig {
                mtu: host,
                ..NicConfig::new(MAC)
            },
            |config| config.mtu = guest,
        );
        assert_eq!(pair.nic.properties().unwrap().mtu, agreed);
        let longest = frame(MAC, 3, agreed as usize + 18);
        pair.give(0, &longest, &Default::default());
        pair.run();
        assert_eq!(pair.frames[0].pop().unwrap().0, longest);
        let error = pair.transmit_pages(0, &frame(MAC, 3, agreed as usize + 19), &TransmitInfo::NONE);
        let limit = agreed + 18;
        assert_eq!(
            error,
            Err(TransmitError::FrameLength {
                len: u64::from(limit) + 1,
                limit
            })
        );
        let _ = pair.transmit_pages(0, &longest, &TransmitInfo::NONE).unwrap();
        pair.run();
        assert_eq!(pair.rig.net.take(), [longest]);
        pair.alive();
    }
}

#[test]
fn a_nic_that_goes_away_gives_everything_back() {
    for &version in Version::NAMED {
        let config = NicConfig {
            max_version: version,
            ..NicConfig::new(MAC)
        };
        let mut pair = Pair::<4096>::up(config);
        pair.alive();
        assert!(pair.nic.lent().receive_buffer && pair.nic.lent().send_buffer);
        let submitted = pair.queues[0]
            .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
            .unwrap();
        pair.nic.shut_down();
        pair.nic.shut_down();
        pair.run();
        let done =
            crate::pair::Happened::Transmitted(submitted.id, netvsc_proto::wire::nvsp::Status::SUCCESS);
        assert_eq!(pair.events, [done, other(&Event::ShutDown)]);
        assert_eq!(pair.rig.nic.receive_layout(), None);
        assert_eq!(pair.rig.nic.send_layout(), None);
        assert!(!pair.rig.nic.data_path().initialized);
        assert_eq!(
            pair.queues[0].transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE),
            Err(TransmitError::NotReady)
        );
        assert_eq!(pair.nic.keepalive(), Err(ControlError::NotReady));
        assert_eq!(pair.rig.refused, []);
    }
}

#[test]
fn a_nic_can_go_away_while_it_comes_up() {
    for calls in 0..40 {
        let mut pair = Pair::<4096>::new(NicConfig::new(MAC), |_| ());
        for _ in 0..calls {
            pair.poll_once(0);
            pair.rig.serve(0).unwrap();
        }
        pair.events.clear();
        pair.nic.shut_down();
        pair.run();
        assert_eq!(pair.events, [other(&Event::ShutDown)], "after {calls} calls");
        assert_eq!(
            (pair.rig.nic.receive_layout(), pair.rig.nic.send_layout()),
            (None, None)
        );
    }
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    let ram = Mem::new(1 << 16);
    let config = guest_config(1 << 20, 1 << 20);
    let mut changed = [config; 5];
    changed[0].mtu = 575;
    changed[1].mtu = 65522;
    changed[2].max_queues = 0;
    changed[3].max_queues = 65;
    changed[4].max_version = Version::new(1);
    for config in changed {
        assert!(Nic::new(config, requests(&ram)).is_err(), "{config:?}");
    }
    let mut coalescing = config;
    coalescing.capabilities |= NdisCapabilities::RSC_OVER_VMBUS;
    let refused = Err(ConfigError::Capabilities(NdisCapabilities::RSC_OVER_VMBUS));
    assert_eq!(Nic::new(coalescing, requests(&ram)).map(drop), refused);
    let small = Nic::new(config, pages(&ram, 0x1000, 1023)).map(drop);
    assert_eq!(
        small,
        Err(ConfigError::Range(OutOfRange {
            what: "bytes for requests",
            value: 1023,
            min: 1024,
            max: u32::MAX
        }))
    );
}

#[test]
fn a_buffer_that_is_too_small_loses_nothing() {
    let mut pair = Pair::<4096>::up(NicConfig::new(MAC));
    pair.give(0, &frame(MAC, 7, 1514), &Default::default());
    let needed = pair.nic.receive_len();
    let mut short = vec![0; needed - 1];
    let error = pair.nic.poll(&mut pair.queues[0], &mut short);
    assert_eq!(
        error,
        Err(PollError::BufferTooSmall {
            needed,
            len: needed - 1
        })
    );
    pair.run();
    assert_eq!(pair.frames[0].len(), 1);
}

#[test]
fn one_place_for_requests_is_enough() {
    let mut pair = Pair::<4096>::new(NicConfig::new(MAC), |_| ());
    pair.nic = Nic::new(
        guest_config(1 << 20, 16 * 6144),
        pages(&pair.rig.ram, 0x8f00, 1024),
    )
    .unwrap();
    pair.run();
    pair.ready();
    let _ = pair.nic.keepalive().unwrap();
    assert_eq!(pair.nic.keepalive(), Err(ControlError::Busy { under_way: 1 }));
    pair.run();
    assert_eq!(pair.events.len(), 1);
}

/// What the documentation says.
#[test]
fn memory_is_as_documented() {
    type Memory = &'static vmbus_proto::ringbuf::mem::ArrayRegion<1>;
    fn queue<const DEPTH: usize>() -> usize {
        size_of::<netvsc_proto::guest::Queue<'static, Memory, Memory, DEPTH>>()
    }
    println!(
        "{} {} {} {}",
        size_of::<Nic<'static, Memory>>(),
        queue::<64>(),
        queue::<65>(),
        queue::<1>()
    );
}
