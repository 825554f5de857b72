//! What is asked of a NIC that is up, and what the host tells by itself.

use netvsc_proto::guest::{ControlError, Event, ReceiveInfo, TransmitInfo};
use netvsc_proto::host::{Checksums, NicConfig, Offloads, Received, Spreader};
use netvsc_proto::nic::{MacAddress, Rss};
use netvsc_proto::wire::nvsp::{Status, SubchannelComplete, Version};
use netvsc_proto::wire::nvsp_message::HostMessage;
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::PacketFilter;
use netvsc_proto::wire::rss::HashInfo;
use netvsc_proto::wire::status::RndisStatus;

use crate::pair::{Happened, Pair, other};
use crate::scripted::{Ask, Script};
use crate::support::{MAC, frame};

const GROUP: MacAddress = MacAddress([1, 0, 0x5e, 0, 0, 1]);

fn answered<const WORDS: usize>(
    pair: &mut Pair<WORDS>,
    id: netvsc_proto::guest::RequestId,
) -> (RndisStatus, Vec<u8>) {
    pair.run();
    match pair.events.pop_front() {
        Some(Happened::Answered(answered, status, info)) if answered == id => (status, info),
        other => panic!("{other:?}"),
    }
}

fn ok() -> (RndisStatus, Vec<u8>) {
    (RndisStatus::SUCCESS, vec![])
}

#[test]
fn case_15_filter_0_stops_reception() {
    let mut pair = Pair::<4096>::up(NicConfig::new(MAC));
    pair.alive();
    pair.frames[0].clear();
    // What was under way when the filter was set is not told.
    let id = pair.nic.set_packet_filter(PacketFilter::empty()).unwrap();
    assert_eq!(answered(&mut pair, id), ok());
    assert_eq!(
        pair.rig.queues[0].receive(&frame(MAC, 2, 60), &ReceiveInfo::NONE),
        Ok(Received::Filtered)
    );
    pair.run();
    assert_eq!(pair.frames[0].len(), 0);
    // Sending goes on.
    let _ = pair.queues[0]
        .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
        .unwrap();
    pair.run();
    assert_eq!(pair.rig.net.take().len(), 1);
    pair.events.clear();
    pair.set_filter(PacketFilter::DIRECTED);
    pair.alive();
}

#[test]
fn links_come_and_go() {
    let mut pair = Pair::<4096>::up(NicConfig::new(MAC));
    for up in [false, true, false] {
        pair.rig.net.link.set(up);
        pair.run();
        assert_eq!(pair.events.pop_front(), Some(other(&Event::Link { up })));
        assert_eq!(pair.nic.properties().unwrap().link_up, up);
    }
    pair.rig.nic.set_link_speed(2_500_000_000);
    pair.run();
    assert_eq!(
        pair.events.pop_front(),
        Some(other(&Event::LinkSpeed {
            bits_per_second: 2_500_000_000
        }))
    );
    assert_eq!(pair.events.len(), 0);
    // A link that was never there is told with the rest.
    let mut pair = Pair::<4096>::new(NicConfig::new(MAC), |_| ());
    pair.rig.net.link.set(false);
    pair.run();
    assert!(!pair.ready().link_up);
}

#[test]
fn oids_are_asked_and_set() {
    let mut pair = Pair::<4096>::up(NicConfig {
        mac_may_change: true,
        ..NicConfig::new(MAC)
    });
    let id = pair.nic.query(Oid::GEN_MAXIMUM_TOTAL_SIZE, &[]).unwrap();
    assert_eq!(
        answered(&mut pair, id),
        (RndisStatus::SUCCESS, 1514_u32.to_le_bytes().to_vec())
    );
    let id = pair.nic.query(Oid::new(0x1234), &[]).unwrap();
    assert_eq!(answered(&mut pair, id), (RndisStatus::NOT_SUPPORTED, vec![]));
    let id = pair.nic.set(Oid::GEN_CURRENT_LOOKAHEAD, &[0; 4]).unwrap();
    assert_eq!(answered(&mut pair, id), ok());
    assert_eq!(
        pair.nic.set(Oid::GEN_CURRENT_PACKET_FILTER, &[0; 4]),
        Err(ControlError::NotSupported)
    );
    let long = ControlError::TooLong {
        len: 28 + 1000,
        limit: 1024,
    };
    assert_eq!(pair.nic.set(Oid::GEN_MACHINE_NAME, &[0; 1000]), Err(long));

    let mac = MacAddress([0x52, 0xab, 0, 1, 0xfe, 9]);
    let id = pair.nic.set_mac(mac).unwrap();
    assert_eq!(answered(&mut pair, id), ok());
    assert_eq!(pair.rig.nic.data_path().mac, mac);

    let list = [GROUP, MacAddress([0x33, 0x33, 0, 0, 0, 1])];
    let id = pair.nic.set_multicast(&list).unwrap();
    assert_eq!(answered(&mut pair, id), ok());
    assert_eq!(pair.rig.nic.data_path().multicast.as_slice(), list);
    let many = vec![GROUP; 171];
    assert!(matches!(
        pair.nic.set_multicast(&many),
        Err(ControlError::TooLong { .. })
    ));

    let id = pair.nic.keepalive().unwrap();
    assert_eq!(answered(&mut pair, id), ok());
    // What was refused takes no place.
    let ids: Vec<_> = (0..4).map(|_| pair.nic.keepalive().unwrap()).collect();
    assert_eq!(pair.nic.keepalive(), Err(ControlError::Busy { under_way: 4 }));
    for id in ids {
        assert_eq!(answered(&mut pair, id), ok());
    }
    pair.set_filter(PacketFilter::PROMISCUOUS);
    pair.alive();
}

#[test]
fn a_reset_loses_settings_and_says_so() {
    let mut pair = Pair::<4096>::up(NicConfig::new(MAC));
    let id = pair.nic.reset().unwrap();
    assert_eq!(pair.nic.reset(), Err(ControlError::Busy { under_way: 1 }));
    pair.run();
    let event = Event::Reset {
        id,
        status: RndisStatus::SUCCESS,
        addressing_lost: true,
    };
    assert_eq!(pair.events.pop_front(), Some(other(&event)));
    assert_eq!(pair.nic.packet_filter(), PacketFilter::empty());
    pair.set_filter(PacketFilter::DIRECTED);
    pair.alive();
}

#[test]
fn offloads_are_on_once_the_host_says_so() {
    let offered = Offloads {
        transmit: Checksums {
            udp6: false,
            ..Checksums::ALL
        },
        receive: Checksums::ALL,
        large_send_ipv4: 60000,
        large_send_ipv6: 0,
        vlan: true,
    };
    for max_version in [Version::V4, Version::V6_1] {
        let mut pair = Pair::<4096>::up(NicConfig {
            offloads: offered,
            max_version,
            ..NicConfig::new(MAC)
        });
        assert_eq!(pair.nic.properties().unwrap().offloads, offered);
        let too_much = Offloads {
            transmit: Checksums::ALL,
            ..offered
        };
        assert_eq!(pair.nic.set_offloads(&too_much), Err(ControlError::NotSupported));
        let wanted = Offloads {
            receive: Checksums::NONE,
            ..offered
        };
        let id = pair.nic.set_offloads(&wanted).unwrap();
        assert_eq!(
            pair.nic.data_path().offloads,
            Offloads {
                vlan: true,
                ..Offloads::NONE
            }
        );
        assert_eq!(answered(&mut pair, id), ok());
        assert_eq!(pair.nic.data_path().offloads, wanted);
        assert_eq!(
            pair.rig.nic.data_path().enabled,
            Offloads {
                vlan: false,
                ..wanted
            }
        );
        assert_eq!(pair.events.pop_front(), Some(other(&Event::Offloads(wanted))));
        pair.alive();
    }
}

#[test]
fn sub_channels_are_asked_for_opened_and_used() {
    let config = NicConfig {
        max_queues: 4,
        sections_per_queue: 64,
        ..NicConfig::new(MAC)
    };
    let mut pair = Pair::<4096>::up_with(config, |config| config.max_queues = 4);
    let refused = ControlError::SubChannels { count: 4, limit: 3 };
    assert_eq!(pair.nic.create_sub_channels(4), Err(refused));
    pair.open_sub_channels(3);
    assert_eq!(
        pair.nic.create_sub_channels(1),
        Err(ControlError::Busy { under_way: 1 })
    );
    let Some(Happened::SendTable(table)) = pair.events.pop_front() else {
        panic!("{:?}", pair.events)
    };
    assert_eq!(table.entries(), &[0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]);
    assert_eq!(pair.nic.send_table(), &table);
    assert_eq!(
        (
            table.queue_for(6, 4),
            table.queue_for(6, 2),
            table.queue_for(6, 0)
        ),
        (2, 0, 0)
    );
    pair.alive();

    // 16 sections, 4 for each: no queue touches another's.
    let mut all = vec![];
    for index in 0..4 {
        for tag in 0..4 {
            let frame = frame(MAC, index * 4 + tag, 200);
            let _ = pair.queues[usize::from(index)]
                .transmit(&frame, &TransmitInfo::NONE)
                .unwrap();
            all.push(frame);
        }
    }
    pair.run();
    assert_eq!(pair.rig.net.take(), all);
    assert_eq!(pair.rig.refused, []);

    // Sub-channels stop with the filter too.
    pair.events.clear();
    pair.set_filter(PacketFilter::empty());
    assert!(pair.queues.iter().all(|queue| queue.receive_len() == 2048));
    pair.set_filter(PacketFilter::DIRECTED);
    pair.alive();
}

/// The offer of a sub-channel and the answer on the primary channel have no order.
#[test]
fn a_sub_channel_that_is_open_before_the_answer_is_told_what_changes() {
    let mut script = Script::<4096>::up();
    script.nic.create_sub_channels(1).unwrap();
    let mut asked = None;
    script
        .run_with(&mut |_, id, ask| {
            let is_nvsp = matches!(ask, Ask::Nvsp(_));
            asked = asked.or(is_nvsp.then_some(id));
            is_nvsp
        })
        .unwrap();
    // What was offered is open now, with a copy of how it is.
    let copy = *script.nic.data_path();
    script.nic.set_packet_filter(PacketFilter::empty()).unwrap();
    script.run().unwrap();
    assert_ne!(script.nic.data_path(), &copy);
    let changed = format!("{:?}", Event::DataPathChanged);
    assert!(script.events.contains(&changed), "{:?}", script.events);
    script.events.clear();
    let (status, count) = (Status::SUCCESS, 1);
    let complete = SubchannelComplete {
        status,
        count: 1.into(),
    };
    let id = asked.expect("the request");
    script.host.complete(id, &HostMessage::Subchannel(complete));
    script.run().unwrap();
    script.told_only(&Event::SubChannels { status, count });
}

#[test]
fn receive_scaling_spreads_as_the_guest_says() {
    let config = NicConfig {
        max_queues: 4,
        sections_per_queue: 64,
        ..NicConfig::new(MAC)
    };
    let mut pair = Pair::<4096>::up_with(config, |config| config.max_queues = 4);
    pair.open_sub_channels(3);
    pair.events.clear();
    let mut rss = Rss {
        hash_info: HashInfo::TOEPLITZ | HashInfo::IPV4 | HashInfo::TCP_IPV4,
        key: [7; 40],
        table: [0; 128],
    };
    for (index, entry) in rss.table.iter_mut().enumerate() {
        *entry = (index % 4) as u16;
    }
    let id = pair.nic.set_rss(Some(&rss)).unwrap();
    assert_eq!(answered(&mut pair, id), ok());
    assert_eq!(pair.rig.nic.data_path().rss, Some(rss));
    assert_eq!(Spreader::new(pair.rig.nic.data_path()).queue_of(3), 3);
    let id = pair.nic.set_rss(None).unwrap();
    assert_eq!(answered(&mut pair, id), ok());
    assert_eq!(pair.rig.nic.data_path().rss, None);
}

#[test]
fn case_13_receive_scaling_entries_that_lead_nowhere_are_not_asked_for() {
    let config = NicConfig {
        max_queues: 4,
        sections_per_queue: 64,
        ..NicConfig::new(MAC)
    };
    let mut pair = Pair::<4096>::up_with(config, |config| config.max_queues = 4);
    for open in [0, 3] {
        if open > 0 {
            pair.open_sub_channels(open);
        }
        for (index, channel) in [(0, open + 1), (127, open + 1), (64, u16::MAX)] {
            let mut rss = Rss {
                hash_info: HashInfo::TOEPLITZ | HashInfo::IPV4,
                key: [7; 40],
                table: [0; 128],
            };
            rss.table[index] = channel;
            let queues = open + 1;
            let refused = ControlError::TableEntry {
                index,
                channel,
                queues,
            };
            assert_eq!(pair.nic.set_rss(Some(&rss)), Err(refused));
        }
        pair.run();
        assert_eq!(pair.rig.nic.data_path().rss, None);
    }
}

#[test]
fn versions_without_sub_channels_and_hosts_with_one_queue() {
    let config = NicConfig {
        max_queues: 4,
        max_version: Version::V4,
        ..NicConfig::new(MAC)
    };
    let mut pair = Pair::<4096>::up_with(config, |config| config.max_queues = 4);
    assert_eq!(pair.nic.create_sub_channels(1), Err(ControlError::NotSupported));
    assert_eq!(pair.nic.set_rss(None), Err(ControlError::NotSupported));
    // Asked for all the same, it grants none.
    let mut pair = Pair::<4096>::up_with(NicConfig::new(MAC), |config| config.max_queues = 4);
    assert_eq!(pair.nic.properties().unwrap().rss, None);
    pair.open_sub_channels_none();
    pair.alive();
}

impl<const WORDS: usize> Pair<WORDS> {
    fn open_sub_channels_none(&mut self) {
        self.nic.create_sub_channels(2).unwrap();
        self.run();
        let event = Event::SubChannels {
            status: Status::SUCCESS,
            count: 0,
        };
        assert_eq!(self.events.pop_front(), Some(other(&event)));
    }
}
