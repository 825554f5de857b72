//! The NIC under a driver that does what Linux's does.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod support;

use netvsc_proto::host::{
    Checksums, MacAddress, NicConfig, Offloads, ReceiveError, ReceiveInfo, Received, Refusal, Spreader,
};
use netvsc_proto::wire::ndis::{ObjectHeader, Statistics};
use netvsc_proto::wire::nvsp::{self, ChannelType, NO_SECTION, Status, Version};
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use netvsc_proto::wire::offload::{Offload, OffloadParameters};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::ppi::{
    ChecksumTransmit, LargeSend, PpiList, PpiType, PpiWalk, ReceiveChecksums, TransmitChecksums, Vlan,
};
use netvsc_proto::wire::rndis::{self, PacketFilter};
use netvsc_proto::wire::rndis_message::{self, HostMessage as RndisHost};
use netvsc_proto::wire::rss::{HashInfo, ReceiveScaleCapabilities};
use netvsc_proto::wire::status::RndisStatus;
use support::{MAC, Rig, frame, packet};
use zerocopy::{FromBytes, IntoBytes};

fn config() -> NicConfig {
    NicConfig::new(MAC)
}

#[test]
fn bring_up_as_linux_does() {
    let mut rig = Rig::<4096>::new(config());
    rig.connect();
    assert_eq!(rig.nic.version(), Some(Version::V6_1));
    let complete = rig.initialize();
    assert_eq!(complete.max_packets_per_message.get(), 8);
    assert_eq!(complete.packet_alignment_factor.get(), 3);
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 1500);
    assert_eq!(rig.query(Oid::ETHERNET_PERMANENT_ADDRESS).unwrap(), MAC.0);
    assert_eq!(rig.query(Oid::GEN_FRIENDLY_NAME).unwrap().len(), 512);
    let offload =
        Offload::read_from_bytes(&rig.query(Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES).unwrap()).unwrap();
    assert_eq!((offload.header.revision, offload.header.size.get()), (3, 156));
    assert_eq!(offload.checksum, Default::default());
    let parameters = OffloadParameters {
        header: ObjectHeader::new(netvsc_proto::wire::ndis::ObjectType::DEFAULT, 3, 28),
        ipv4_checksum: netvsc_proto::wire::offload::ChecksumSetting::DISABLED,
        ..Default::default()
    };
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, parameters.as_bytes()),
        RndisStatus::SUCCESS
    );
    // What is on now is told.
    let (status, info) = rig.guest[0].indications.pop_front().unwrap();
    assert_eq!(
        (status, info.len()),
        (RndisStatus::TASK_OFFLOAD_CURRENT_CONFIG, 156)
    );
    assert_eq!(rig.query_u32(Oid::GEN_MEDIA_CONNECT_STATUS), 0);
    assert_eq!(rig.query_u32(Oid::GEN_LINK_SPEED), 100_000_000);
    let caps = rig.query(Oid::GEN_RECEIVE_SCALE_CAPABILITIES).unwrap();
    let caps = ReceiveScaleCapabilities::read_from_bytes(&caps).unwrap();
    assert_eq!((caps.queue_count.get(), caps.table_len.get()), (1, 128));
    rig.set_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST);
    assert_eq!(rig.refused, []);
}

#[test]
fn every_version_comes_up() {
    for version in [
        Version::V1,
        Version::V2,
        Version::V4,
        Version::V5,
        Version::V6,
        Version::V6_1,
    ] {
        let mut rig = Rig::<4096>::new(NicConfig {
            max_version: version,
            ..config()
        });
        rig.connect();
        assert_eq!(rig.nic.version(), Some(version));
        rig.initialize();
        rig.set_filter(PacketFilter::DIRECTED);
        let sizes = [(Version::V5, 156), (Version::V4, 144), (Version::V1, 112)];
        let size = sizes.iter().find(|(since, _)| version >= *since).unwrap().1;
        assert_eq!(
            rig.query(Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES).unwrap().len(),
            size
        );
        assert_eq!(
            rig.send_section(0, 0, &packet(&[], &frame(MAC, 1, 60))),
            Status::SUCCESS
        );
        rig.queues[0]
            .receive(&frame(MAC, 2, 60), &ReceiveInfo::NONE)
            .unwrap();
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        assert_eq!(
            (rig.net.take().len(), rig.guest[0].frames.len()),
            (1, 1),
            "{version}"
        );
    }
}

#[test]
fn versions_that_are_not_spoken_are_refused() {
    let mut rig = Rig::<4096>::new(NicConfig {
        max_version: Version::V5,
        ..config()
    });
    for version in [
        Version::V6_1,
        Version::V6,
        Version::new(0x3_0000),
        Version::new(7),
        Version::new(0),
    ] {
        assert_eq!(rig.init(version), Status::NONE, "{version}");
    }
    assert_eq!(rig.nic.version(), None);
    assert_eq!(rig.init(Version::V5), Status::SUCCESS);
    // Once is enough.
    assert_eq!(rig.init(Version::V4), Status::NONE);
    assert_eq!(rig.nic.version(), Some(Version::V5));
}

#[test]
fn a_range_of_versions_gets_the_highest() {
    let mut rig = Rig::<4096>::new(config());
    let range = nvsp::Init {
        min_version: Version::V2,
        max_version: Version::new(0x5_0001),
    };
    rig.ask(&GuestMessage::Init(range));
    assert_eq!(rig.nic.version(), Some(Version::V5));
}

#[test]
fn frames_from_the_guest_by_section_pages_and_both() {
    let mut rig = Rig::<4096>::up(config());
    let frames: Vec<_> = (0..8)
        .map(|tag| frame(MacAddress::BROADCAST, tag, 60 + usize::from(tag) * 5))
        .collect();
    let transfer: Vec<u8> = frames.iter().flat_map(|frame| packet(&[], frame)).collect();
    assert_eq!(rig.send_section(0, 3, &transfer), Status::SUCCESS);
    assert_eq!(rig.net.take(), frames);

    // Larger than a section: in pages, the header across a page's end.
    let large = frame(MAC, 9, 1514);
    let id = rig.id();
    rig.send_pages(0, id, ChannelType::DATA, (NO_SECTION, 0), &packet(&[], &large));
    rig.run();
    assert_eq!(rig.transfer_status(0, id), Status::SUCCESS);
    assert_eq!(rig.net.take(), std::slice::from_ref(&large));

    // A batch and the next frame's header in a section, that frame in pages.
    let whole = packet(&[], &large);
    let mut section = packet(&[], &frames[0]);
    section.extend(&whole[..44]);
    vmbus_proto::ringbuf::SharedMem::write(&rig.send, 6144, &section).unwrap();
    let id = rig.id();
    rig.send_pages(0, id, ChannelType::DATA, (1, section.len() as u32), &whole[44..]);
    rig.run();
    assert_eq!(rig.transfer_status(0, id), Status::SUCCESS);
    assert_eq!(rig.net.take(), [frames[0].clone(), large]);

    let stats = *rig.queues[0].stats();
    assert_eq!(stats.transmitted.broadcast_frames, 9);
    assert_eq!(stats.transmitted.directed_bytes, 2 * 1514);
    assert_eq!(stats.transmit_refused, 0);
}

#[test]
fn frames_for_the_guest_come_in_batches_and_sections_come_back() {
    let mut rig = Rig::<4096>::up(config());
    let free = rig.queues[0].receive_capacity();
    let frames: Vec<_> = (0..50)
        .map(|tag| frame(MAC, tag, 60 + usize::from(tag)))
        .collect();
    for frame in &frames {
        assert_eq!(
            rig.queues[0].receive(frame, &ReceiveInfo::NONE).unwrap(),
            Received::Staged
        );
    }
    assert!(rig.queues[0].flush().unwrap().is_needed());
    assert_eq!(rig.queues[0].outstanding(), 50);
    rig.run();
    let got: Vec<_> = rig.guest[0].frames.drain(..).map(|got| got.data).collect();
    assert_eq!(got, frames);
    assert_eq!(rig.queues[0].receive_capacity(), free);
    assert_eq!(rig.queues[0].stats().received.directed_frames, 50);
}

#[test]
fn nothing_is_signalled_twice() {
    let mut rig = Rig::<4096>::up(config());
    rig.queues[0]
        .receive(&frame(MAC, 0, 60), &ReceiveInfo::NONE)
        .unwrap();
    assert!(rig.queues[0].flush().unwrap().is_needed());
    rig.queues[0]
        .receive(&frame(MAC, 1, 60), &ReceiveInfo::NONE)
        .unwrap();
    assert!(!rig.queues[0].flush().unwrap().is_needed());
    assert!(!rig.queues[0].flush().unwrap().is_needed());
}

#[test]
fn filter_and_lists_decide_what_is_delivered() {
    let mut rig = Rig::<4096>::up(config());
    let group = MacAddress([0x01, 0, 0x5e, 0, 0, 1]);
    let other = MacAddress([2, 2, 2, 2, 2, 2]);
    let delivered = |rig: &mut Rig, to: MacAddress| {
        rig.queues[0]
            .receive(&frame(to, 0, 60), &ReceiveInfo::NONE)
            .unwrap()
            == Received::Staged
    };
    let cases = [
        (PacketFilter::empty(), [false, false, false, false]),
        (PacketFilter::DIRECTED, [true, false, false, false]),
        (PacketFilter::BROADCAST, [false, true, false, false]),
        (PacketFilter::ALL_MULTICAST, [false, false, true, false]),
        (PacketFilter::MULTICAST, [false, false, false, false]),
        (PacketFilter::PROMISCUOUS, [true, true, true, true]),
    ];
    for (filter, expected) in cases {
        rig.set_filter(filter);
        let got = [MAC, MacAddress::BROADCAST, group, other].map(|to| delivered(&mut rig, to));
        assert_eq!(got, expected, "{filter:?}");
    }
    rig.set_filter(PacketFilter::MULTICAST);
    assert_eq!(
        rig.set(Oid::ETHERNET_MULTICAST_LIST, &group.0),
        RndisStatus::SUCCESS
    );
    assert!(delivered(&mut rig, group));
    assert_eq!(
        rig.set(Oid::ETHERNET_DELETE_MULTICAST_ADDRESS, &group.0),
        RndisStatus::SUCCESS
    );
    assert!(!delivered(&mut rig, group));
    assert_eq!(
        rig.set(Oid::ETHERNET_ADD_MULTICAST_ADDRESS, &group.0),
        RndisStatus::SUCCESS
    );
    assert!(delivered(&mut rig, group));
    assert_eq!(rig.query(Oid::ETHERNET_MULTICAST_LIST).unwrap(), group.0);
    assert_eq!(
        rig.set(Oid::ETHERNET_MULTICAST_LIST, &[1; 7]),
        RndisStatus::INVALID_LENGTH
    );
    assert_eq!(
        rig.set(Oid::ETHERNET_MULTICAST_LIST, &MAC.0),
        RndisStatus::INVALID_DATA
    );
    // What was refused changed nothing.
    assert!(delivered(&mut rig, group));
}

#[test]
fn case_19_more_multicast_addresses_than_there_is_room_for() {
    let mut rig = Rig::<4096>::up(config());
    let group = |number: u8| [1, 0, 0x5e, 0, 0, number];
    assert_eq!(
        rig.set(Oid::ETHERNET_MULTICAST_LIST, &[1; 33 * 6]),
        RndisStatus::MULTICAST_FULL
    );
    for number in 0..32 {
        let status = rig.set(Oid::ETHERNET_ADD_MULTICAST_ADDRESS, &group(number));
        assert_eq!(status, RndisStatus::SUCCESS);
    }
    assert_eq!(
        rig.set(Oid::ETHERNET_ADD_MULTICAST_ADDRESS, &group(32)),
        RndisStatus::MULTICAST_FULL
    );
    // Nothing is lost of what there is.
    let list = rig.query(Oid::ETHERNET_MULTICAST_LIST).unwrap();
    assert_eq!(list, (0..32).flat_map(group).collect::<Vec<_>>());
}

#[test]
fn case_15_filter_0_stops_reception() {
    let mut rig = Rig::<4096>::up(config());
    rig.set_filter(PacketFilter::empty());
    for to in [MAC, MacAddress::BROADCAST] {
        assert_eq!(
            rig.queues[0]
                .receive(&frame(to, 0, 60), &ReceiveInfo::NONE)
                .unwrap(),
            Received::Filtered
        );
    }
    let _ = rig.queues[0].flush().unwrap();
    rig.run();
    assert!(rig.guest[0].frames.is_empty());
    assert_eq!(rig.queues[0].stats().receive_filtered, 2);
}

#[test]
fn link_changes_are_told() {
    let mut rig = Rig::<4096>::up(config());
    let told = |rig: &mut Rig| rig.guest[0].indications.pop_front();
    assert_eq!(told(&mut rig), None);
    rig.net.link.set(false);
    rig.run();
    assert_eq!(told(&mut rig), Some((RndisStatus::MEDIA_DISCONNECT, vec![])));
    assert_eq!(rig.query_u32(Oid::GEN_MEDIA_CONNECT_STATUS), 1);
    rig.net.link.set(true);
    rig.run();
    assert_eq!(told(&mut rig), Some((RndisStatus::MEDIA_CONNECT, vec![])));
    rig.nic.set_link_speed(1_000_000_000);
    rig.run();
    assert_eq!(
        told(&mut rig),
        Some((
            RndisStatus::LINK_SPEED_CHANGE,
            10_000_000_u32.to_le_bytes().to_vec()
        ))
    );
    rig.run();
    assert_eq!(told(&mut rig), None);
}

#[test]
fn mac_can_be_changed_where_the_embedder_allows() {
    let new = MacAddress([2, 1, 2, 3, 4, 0xaf]);
    let parameter = |text: &str| {
        let utf16 = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>()
        };
        let (name, value) = (utf16("NetworkAddress"), utf16(text));
        let words = [20, name.len(), 2, 20 + name.len(), value.len()].map(|word| (word as u32).to_le_bytes());
        [words.concat(), name, value].concat()
    };
    let mut rig = Rig::<4096>::up(config());
    assert_eq!(
        rig.set(Oid::GEN_RNDIS_CONFIG_PARAMETER, &parameter("0201020304AF")),
        RndisStatus::NOT_SUPPORTED
    );
    assert_eq!(
        rig.set(Oid::ETHERNET_CURRENT_ADDRESS, &new.0),
        RndisStatus::NOT_SUPPORTED
    );
    assert_eq!(
        rig.set(Oid::ETHERNET_CURRENT_ADDRESS, &MAC.0),
        RndisStatus::SUCCESS
    );

    let mut rig = Rig::<4096>::up(NicConfig {
        mac_may_change: true,
        ..config()
    });
    assert_eq!(
        rig.set(Oid::GEN_RNDIS_CONFIG_PARAMETER, &parameter("0201020304AF")),
        RndisStatus::SUCCESS
    );
    assert_eq!(rig.query(Oid::ETHERNET_CURRENT_ADDRESS).unwrap(), new.0);
    assert_eq!(rig.query(Oid::ETHERNET_PERMANENT_ADDRESS).unwrap(), MAC.0);
    assert_eq!(
        rig.queues[0]
            .receive(&frame(new, 0, 60), &ReceiveInfo::NONE)
            .unwrap(),
        Received::Staged
    );
    for bad in [
        "",
        "0201020304A",
        "0201020304AFF",
        "0201020304AG",
        "010203040506",
        "000000000000",
    ] {
        let status = rig.set(Oid::GEN_RNDIS_CONFIG_PARAMETER, &parameter(bad));
        assert_eq!(status, RndisStatus::INVALID_DATA, "{bad}");
    }
    let mut cut = parameter("0201020304AF");
    cut.pop();
    assert_eq!(
        rig.set(Oid::GEN_RNDIS_CONFIG_PARAMETER, &cut),
        RndisStatus::INVALID_DATA
    );
}

#[test]
fn subchannels_are_granted_offered_and_used() {
    let mut rig = Rig::<4096>::up(NicConfig {
        max_queues: 4,
        ..config()
    });
    let ask = |rig: &mut Rig, operation, count: u32| {
        let request = nvsp::SubchannelRequest {
            operation,
            count: count.into(),
        };
        let payload = rig.ask(&GuestMessage::Subchannel(request));
        match Rig::<4096>::host_message(&payload) {
            HostMessage::Subchannel(complete) => (complete.status, complete.count.get()),
            other => panic!("{other}"),
        }
    };
    use nvsp::SubchannelOperation as Operation;
    assert_eq!(ask(&mut rig, Operation::NONE, 1), (Status::FAILURE, 0));
    assert_eq!(ask(&mut rig, Operation::ALLOCATE, 63), (Status::SUCCESS, 3));
    assert_eq!(rig.offered, 3);
    assert_eq!(ask(&mut rig, Operation::ALLOCATE, 1), (Status::FAILURE, 0));
    for _ in 0..3 {
        assert!(rig.guest[0].messages.is_empty());
        rig.open_subchannel();
        rig.run();
    }
    let message = rig.guest[0].messages.pop_front().unwrap();
    let HostMessage::SendIndirectionTable(table) = HostMessage::decode(&message, Version::V6).unwrap() else {
        panic!()
    };
    assert_eq!(
        table.map(|entry| entry.get()),
        [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3]
    );

    for channel in 0..4 {
        let tag = channel as u8;
        assert_eq!(
            rig.send_section(channel, 2, &packet(&[], &frame(MAC, tag, 100))),
            Status::SUCCESS
        );
        rig.queues[channel]
            .receive(&frame(MAC, tag, 90), &ReceiveInfo::NONE)
            .unwrap();
        assert!(rig.queues[channel].flush().unwrap().is_needed());
        rig.run();
        assert_eq!(
            rig.guest[channel].frames.pop_front().unwrap().data,
            frame(MAC, tag, 90)
        );
    }
    let queues: Vec<_> = rig
        .net
        .frames
        .borrow()
        .iter()
        .map(|(_, info)| info.queue)
        .collect();
    assert_eq!(queues, [0, 1, 2, 3]);
}

#[test]
fn case_13_never_more_subchannels_than_asked_for() {
    for (asked, granted) in [(0, 0), (1, 1), (2, 2), (7, 7), (8, 7), (u32::MAX, 7)] {
        let mut rig = Rig::<4096>::up(NicConfig {
            max_queues: 8,
            sections_per_queue: 16,
            ..config()
        });
        let operation = nvsp::SubchannelOperation::ALLOCATE;
        let request = nvsp::SubchannelRequest {
            operation,
            count: asked.into(),
        };
        let payload = rig.ask(&GuestMessage::Subchannel(request));
        let HostMessage::Subchannel(complete) = Rig::<4096>::host_message(&payload) else {
            panic!()
        };
        assert_eq!(
            (complete.status, complete.count.get()),
            (Status::SUCCESS, granted)
        );
        assert_eq!(u32::from(rig.offered), granted);
    }
}

/// Parameters as `rndis_set_rss_param_msg` has them.
fn rss(flags: u16, hash_info: HashInfo, table: &[u32], key: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x89, 2, 40, 0];
    bytes.extend(flags.to_le_bytes());
    bytes.extend([0; 2]);
    bytes.extend(hash_info.bits().to_le_bytes());
    bytes.extend((table.len() as u32 * 4).to_le_bytes());
    bytes.extend(40_u32.to_le_bytes());
    bytes.extend((key.len() as u32).to_le_bytes());
    bytes.extend((40 + table.len() as u32 * 4).to_le_bytes());
    bytes.extend([0; 12]);
    bytes.extend(table.as_bytes());
    bytes.extend(key);
    bytes
}

#[test]
fn rss_spreads_as_the_guest_says() {
    let mut rig = Rig::<4096>::up(NicConfig {
        max_queues: 4,
        ..config()
    });
    rig.tell(&GuestMessage::Subchannel(nvsp::SubchannelRequest {
        operation: nvsp::SubchannelOperation::ALLOCATE,
        count: 3.into(),
    }));
    for _ in 0..3 {
        rig.open_subchannel();
    }
    let tcp = |port: u16| {
        let mut frame = frame(MAC, 0, 54);
        frame[12..14].copy_from_slice(&[0x08, 0x00]);
        frame[14] = 0x45;
        frame[20..22].fill(0);
        frame[23] = 6;
        frame[34..36].copy_from_slice(&port.to_be_bytes());
        frame
    };
    assert_eq!(Spreader::new(rig.nic.data_path()).queue_for(&tcp(1)), 0);
    let info = HashInfo::TOEPLITZ | HashInfo::IPV4 | HashInfo::TCP_IPV4 | HashInfo::IPV6 | HashInfo::TCP_IPV6;
    let table: Vec<u32> = (0..128).map(|index| index % 4).collect();
    let key: Vec<u8> = (0..40_u8).map(|byte| byte.wrapping_mul(37) ^ 11).collect();
    // Linux switches off first, with everything else filled in.
    assert_eq!(
        rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &rss(0x10, info, &table, &key)),
        RndisStatus::SUCCESS
    );
    assert_eq!(rig.nic.data_path().rss, None);
    assert_eq!(
        rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &rss(0, info, &table, &key)),
        RndisStatus::SUCCESS
    );
    let spreader = Spreader::new(rig.nic.data_path());
    let mut hits = [0; 4];
    for port in 0..400 {
        let queue = spreader.queue_for(&tcp(port));
        assert_eq!(u32::from(queue), spreader.hash(&tcp(port)).unwrap() % 128 % 4);
        hits[usize::from(queue)] += 1;
    }
    assert!(hits.iter().all(|hits| *hits > 40), "{hits:?}");
    // Only the table changes: what is said to be unchanged is kept.
    let only_one = rss(0x2 | 0x8, HashInfo::empty(), &[3], &[]);
    assert_eq!(
        rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &only_one),
        RndisStatus::SUCCESS
    );
    assert_eq!(Spreader::new(rig.nic.data_path()).queue_for(&tcp(5)), 3);
    // Switched off again, everything goes to the primary channel.
    assert_eq!(
        rig.set(
            Oid::GEN_RECEIVE_SCALE_PARAMETERS,
            &rss(0, HashInfo::empty(), &[], &[])
        ),
        RndisStatus::SUCCESS
    );
    assert_eq!(Spreader::new(rig.nic.data_path()).queue_for(&tcp(5)), 0);
}

#[test]
fn case_13_rss_tables_that_cannot_be() {
    let mut rig = Rig::<4096>::up(NicConfig {
        max_queues: 2,
        ..config()
    });
    let info = HashInfo::TOEPLITZ | HashInfo::IPV4;
    let key = [7; 40];
    let mut refused = |bytes: &[u8], expected| {
        assert_eq!(rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, bytes), expected);
        assert_eq!(rig.nic.data_path().rss, None);
    };
    refused(&rss(0, info, &[], &key), RndisStatus::INVALID_LENGTH);
    refused(&rss(0, info, &[0, 1, 2], &key), RndisStatus::INVALID_DATA);
    refused(&rss(0, info, &[0, u32::MAX], &key), RndisStatus::INVALID_DATA);
    refused(&rss(0, info, &[0x1_0000], &key), RndisStatus::INVALID_DATA);
    refused(&rss(0, info, &[0; 129], &key), RndisStatus::INVALID_LENGTH);
    refused(&rss(0, info, &[0, 1], &key[..39]), RndisStatus::INVALID_DATA);
    refused(&rss(0, info, &[0, 1], &[7; 41]), RndisStatus::INVALID_DATA);
    refused(&rss(0x4, info, &[], &key), RndisStatus::INVALID_DATA);
    refused(&rss(0x8, info, &[0], &[]), RndisStatus::INVALID_DATA);
    refused(&rss(0x2, info, &[0], &key), RndisStatus::INVALID_DATA);
    refused(
        &rss(0, HashInfo::from_bits_retain(0x102), &[0], &key),
        RndisStatus::NOT_SUPPORTED,
    );
    refused(&rss(0, info, &[0], &key)[..27], RndisStatus::BUFFER_TOO_SHORT);
    let mut odd = rss(0, info, &[0, 1], &key);
    odd[12] = 7;
    refused(&odd, RndisStatus::INVALID_LENGTH);
    for (at, what) in [(16, "table"), (24, "key")] {
        for offset in [86_u32, 0x7fff_ffff, u32::MAX] {
            let mut outside = rss(0, info, &[0, 1], &key);
            outside[at..at + 4].copy_from_slice(&offset.to_le_bytes());
            assert_eq!(
                rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &outside),
                RndisStatus::INVALID_DATA,
                "{what}"
            );
        }
    }
    assert_eq!(
        rig.set(Oid::GEN_RECEIVE_SCALE_PARAMETERS, &rss(0, info, &[0, 1], &key)),
        RndisStatus::SUCCESS
    );
}

#[test]
fn reset_keepalive_and_halt() {
    let mut rig = Rig::<4096>::up(config());
    let keepalive = rndis::KeepaliveRequest {
        request_id: 0x77.into(),
    };
    let reply = rig.request(&rndis_message::GuestMessage::Keepalive(keepalive));
    let RndisHost::KeepaliveComplete(complete) = RndisHost::decode(&reply).unwrap() else {
        panic!()
    };
    assert_eq!(
        (complete.request_id.get(), complete.status),
        (0x77, RndisStatus::SUCCESS)
    );

    let reply = rig.request(&rndis_message::GuestMessage::Reset(rndis::ResetRequest::default()));
    let RndisHost::ResetComplete(complete) = RndisHost::decode(&reply).unwrap() else {
        panic!()
    };
    assert_eq!(
        (complete.status, complete.addressing_reset.get()),
        (RndisStatus::SUCCESS, 1)
    );
    assert_eq!(rig.query_u32(Oid::GEN_CURRENT_PACKET_FILTER), 0);

    let request = rndis::OidRequest {
        request_id: 5.into(),
        ..Default::default()
    };
    let reply = rig.request(&rndis_message::GuestMessage::SetEx(request, &[1]));
    let RndisHost::SetExComplete(complete, _) = RndisHost::decode(&reply).unwrap() else {
        panic!()
    };
    assert_eq!(
        (complete.request_id.get(), complete.status),
        (5, RndisStatus::NOT_SUPPORTED)
    );

    let mut bytes = [0; 16];
    let halt = rndis_message::GuestMessage::Halt(rndis::HaltRequest { request_id: 9.into() });
    let bytes = halt.encode(&mut bytes).unwrap().to_vec();
    assert_eq!(rig.control(&bytes), Status::SUCCESS);
    assert!(rig.guest[0].replies.is_empty(), "there is no answer to HALT");
    assert_eq!(
        rig.query(Oid::GEN_LINK_SPEED),
        Err(RndisStatus::ADAPTER_NOT_READY)
    );
    assert_eq!(
        rig.set(Oid::GEN_CURRENT_PACKET_FILTER, &[1, 0, 0, 0]),
        RndisStatus::ADAPTER_NOT_READY
    );
    assert_eq!(
        rig.send_section(0, 0, &packet(&[], &frame(MAC, 1, 60))),
        Status::FAILURE
    );
    rig.initialize();
    rig.set_filter(PacketFilter::DIRECTED);
    assert_eq!(
        rig.send_section(0, 0, &packet(&[], &frame(MAC, 1, 60))),
        Status::SUCCESS
    );
}

#[test]
fn a_driver_that_is_loaded_again() {
    let mut rig = Rig::<4096>::up(NicConfig {
        mac_may_change: true,
        ..config()
    });
    assert_eq!(
        rig.set(Oid::ETHERNET_CURRENT_ADDRESS, &[2, 0, 0, 0, 0, 1]),
        RndisStatus::SUCCESS
    );
    for round in 0..3 {
        rig.queues[0]
            .receive(&frame(MacAddress::BROADCAST, round, 60), &ReceiveInfo::NONE)
            .unwrap();
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        assert_eq!(rig.guest[0].frames.len(), 1);
        rig.remove();
        assert_eq!(
            rig.queues[0]
                .receive(&frame(MacAddress::BROADCAST, round, 60), &ReceiveInfo::NONE)
                .unwrap(),
            Received::Filtered
        );
        rig.reopen();
        assert_eq!(rig.nic.data_path().mac, MAC);
        rig.connect();
        rig.initialize();
        rig.set_filter(PacketFilter::BROADCAST);
        assert_eq!(
            rig.send_section(0, 0, &packet(&[], &frame(MAC, 1, 60))),
            Status::SUCCESS
        );
    }
    assert_eq!(rig.net.take().len(), 3);
}

#[test]
fn buffers_can_be_lent_again_on_the_same_channel() {
    let mut rig = Rig::<4096>::up(config());
    rig.remove();
    rig.lend_buffers();
    rig.initialize();
    rig.set_filter(PacketFilter::DIRECTED);
    assert_eq!(
        rig.send_section(0, 0, &packet(&[], &frame(MAC, 1, 60))),
        Status::SUCCESS
    );
}

#[test]
fn a_revoke_is_completed_when_the_embedder_has_let_go() {
    let mut rig = Rig::<4096>::up(config());
    let revoke = GuestMessage::RevokeReceiveBuffer(nvsp::RevokeBuffer {
        id: nvsp::RECEIVE_BUFFER_ID.into(),
    });
    let id = rig.id();
    rig.guest[0].message(id, true, &revoke);
    let _ = rig.serve_once(0).unwrap();
    rig.guest[0].poll(&rig.receive);
    assert_eq!(rig.completion(0, id), None);
    assert!(
        rig.queues[0].take_receive_buffer().is_none(),
        "the queue has let go by itself"
    );
    rig.run();
    assert_eq!(rig.completion(0, id), Some(vec![]));
}

#[test]
fn buffers_that_are_too_small_or_refused() {
    let lend = |rig: &mut Rig| {
        let buffer = nvsp::SendBuffer {
            gpadl: support::RECEIVE_GPADL.into(),
            id: 0xcafe.into(),
        };
        let payload = rig.ask(&GuestMessage::SendReceiveBuffer(buffer));
        match Rig::<4096>::host_message(&payload) {
            HostMessage::SendReceiveBufferComplete(complete) => complete.status,
            other => panic!("{other}"),
        }
    };
    let mut rig = Rig::<4096>::new(NicConfig {
        max_queues: 4,
        ..config()
    });
    rig.init(Version::V6_1);
    rig.receive = support::Mem::new(4 * 8 * 1664 - 1);
    assert_eq!(lend(&mut rig), Status::FAILURE);
    rig.receive = support::Mem::new(4 * 8 * 1664);
    assert_eq!(lend(&mut rig), Status::SUCCESS);
    assert_eq!(rig.nic.receive_layout().unwrap().sections_per_queue, 8);
    // A second one, while there is one.
    assert_eq!(lend(&mut rig), Status::FAILURE);
    assert_eq!(
        rig.refused,
        [Refusal::Buffer(nvsp::MessageType::SEND_RECEIVE_BUFFER)]
    );

    let mut rig = Rig::<4096>::new(config());
    rig.init(Version::V6_1);
    let buffer = nvsp::SendBuffer {
        gpadl: 7.into(),
        id: 0.into(),
    };
    let id = rig.id();
    rig.guest[0].message(id, true, &GuestMessage::SendSendBuffer(buffer));
    let _ = rig.serve_once(0).unwrap();
    assert!(rig.nic.poll_event().is_some());
    rig.nic.send_buffer_refused();
    rig.run();
    let payload = rig.completion(0, id).unwrap();
    let HostMessage::SendSendBufferComplete(complete) = Rig::<4096>::host_message(&payload) else {
        panic!()
    };
    assert_eq!(complete.status, Status::FAILURE);
}

fn offloading() -> Offloads {
    Offloads {
        transmit: Checksums::ALL,
        receive: Checksums::ALL,
        large_send_ipv4: 60000,
        large_send_ipv6: 50000,
        vlan: true,
    }
}

#[test]
fn offloads_are_declared_as_linux_looks_for_them() {
    let mut rig = Rig::<4096>::up(NicConfig {
        offloads: offloading(),
        ..config()
    });
    let offload =
        Offload::read_from_bytes(&rig.query(Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES).unwrap()).unwrap();
    let checksum = offload.checksum;
    assert_eq!(checksum.ipv4_transmit.get() & 0x14, 0x14, "TCP with options");
    assert_eq!(
        checksum.ipv6_transmit.get() & 0x15,
        0x15,
        "TCP with options and extension headers"
    );
    assert_eq!(
        checksum.ipv4_transmit.get() & checksum.ipv6_transmit.get() & 0x40,
        0x40,
        "UDP"
    );
    assert_eq!(offload.large_send_v2.ipv4_encapsulation.get() & 2, 2);
    assert_eq!(offload.large_send_v2.ipv4_max_size.get(), 60000);
    assert_eq!(offload.large_send_v2.ipv6_options.get() & 5, 5);
    assert_eq!(
        rig.query(Oid::TCP_OFFLOAD_CURRENT_CONFIG).unwrap()[4..112],
        [0; 108]
    );

    let mut parameters = [0; 28];
    parameters[..4].copy_from_slice(&[0x80, 3, 28, 0]);
    parameters[5] = 4; // TCP over IPv4, both ways
    parameters[6] = 2; // UDP over IPv4, transmit only
    parameters[11] = 2; // large send over IPv4
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, &parameters),
        RndisStatus::SUCCESS
    );
    let enabled = rig.nic.data_path().enabled;
    let tcp4 = Checksums {
        tcp4: true,
        ..Checksums::NONE
    };
    assert_eq!(
        (enabled.receive, enabled.transmit),
        (tcp4, Checksums { udp4: true, ..tcp4 })
    );
    assert_eq!((enabled.large_send_ipv4, enabled.large_send_ipv6), (60000, 0));
    // With NVSP 4 and before Linux sends 22 bytes.
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, &parameters[..22]),
        RndisStatus::SUCCESS
    );
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, &parameters[..19]),
        RndisStatus::BUFFER_TOO_SHORT
    );
    parameters[5] = 5;
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, &parameters),
        RndisStatus::INVALID_DATA
    );
    assert_eq!(rig.nic.data_path().enabled, enabled);
}

#[test]
fn per_packet_info_reaches_a_backend_that_offered_it() {
    let mut rig = Rig::<4096>::up(NicConfig {
        offloads: offloading(),
        ..config()
    });
    let mut ppi = PpiList::<4>::new();
    let flags = TransmitChecksums::IS_IPV4 | TransmitChecksums::TCP;
    ppi.push(PpiType::CHECKSUM, &ChecksumTransmit::new(flags, 34))
        .unwrap();
    ppi.push(PpiType::LARGE_SEND, &LargeSend::v2(1448, 34, false))
        .unwrap();
    ppi.push(PpiType::VLAN, &Vlan::new(3, false, 42)).unwrap();
    ppi.push(PpiType::HASH_VALUE, &0xdead_beef_u32.to_le_bytes())
        .unwrap();
    let large = frame(MAC, 1, 20000);
    let id = rig.id();
    rig.send_pages(
        0,
        id,
        ChannelType::DATA,
        (NO_SECTION, 0),
        &packet(ppi.as_bytes(), &large),
    );
    rig.run();
    assert_eq!(rig.transfer_status(0, id), Status::SUCCESS);
    let (sent, info) = rig.net.frames.borrow_mut().pop().unwrap();
    assert_eq!(sent, large);
    assert_eq!(info.checksum.unwrap().flags(), flags);
    assert_eq!(info.checksum.unwrap().transport_offset(), 34);
    assert_eq!(info.large_send.unwrap().mss(), 1448);
    assert_eq!(info.vlan.unwrap().tci(), 3 << 13 | 42);
    assert_eq!(info.hash, Some(0xdead_beef));
}

#[test]
fn a_backend_that_offered_nothing_gets_complete_frames() {
    let mut rig = Rig::<4096>::up(config());
    let plain = frame(MAC, 1, 100);
    let mut ppi = PpiList::<2>::new();
    ppi.push(PpiType::VLAN, &Vlan::new(5, true, 100)).unwrap();
    // A checksum record that asks for nothing is no offload.
    ppi.push(
        PpiType::CHECKSUM,
        &ChecksumTransmit::new(TransmitChecksums::IS_IPV4, 34),
    )
    .unwrap();
    let transfer = [
        packet(&[], &plain),
        packet(ppi.as_bytes(), &plain),
        packet(&[], &plain),
    ]
    .concat();
    assert_eq!(rig.send_section(0, 0, &transfer), Status::SUCCESS);
    let mut tagged = plain.clone();
    tagged.splice(12..12, [0x81, 0, 0xb0, 100]);
    assert_eq!(rig.net.take(), [plain.clone(), tagged, plain.clone()]);
    for (kind, value) in [
        (
            PpiType::CHECKSUM,
            ChecksumTransmit::new(TransmitChecksums::TCP, 34).value,
        ),
        (
            PpiType::CHECKSUM,
            ChecksumTransmit::new(TransmitChecksums::IS_IPV6 | TransmitChecksums::UDP, 54).value,
        ),
        (
            PpiType::CHECKSUM,
            ChecksumTransmit::new(TransmitChecksums::IP_HEADER, 0).value,
        ),
        (PpiType::LARGE_SEND, LargeSend::v1(1000, 34).value),
        (PpiType::LARGE_SEND, LargeSend::v2(1000, 54, true).value),
    ] {
        let mut ppi = PpiList::<1>::new();
        ppi.push(kind, &value).unwrap();
        assert_eq!(
            rig.send_section(0, 0, &packet(ppi.as_bytes(), &plain)),
            Status::FAILURE
        );
        assert_eq!(rig.refused.pop(), Some(Refusal::Offload));
    }
    assert!(rig.net.take().is_empty());
}

#[test]
fn offsets_move_with_a_tag_that_is_put_in() {
    let mut rig = Rig::<4096>::up(NicConfig {
        offloads: Offloads {
            vlan: false,
            ..offloading()
        },
        ..config()
    });
    for (send, moved) in [
        (LargeSend::v2(1448, 34, false), LargeSend::v2(1448, 38, false)),
        (LargeSend::v2(1428, 54, true), LargeSend::v2(1428, 58, true)),
        (LargeSend::v1(1448, 34), LargeSend::v1(1448, 38)),
    ] {
        let mut ppi = PpiList::<3>::new();
        let flags = TransmitChecksums::IS_IPV4 | TransmitChecksums::TCP;
        ppi.push(PpiType::CHECKSUM, &ChecksumTransmit::new(flags, 34))
            .unwrap();
        ppi.push(PpiType::LARGE_SEND, &send).unwrap();
        ppi.push(PpiType::VLAN, &Vlan::new(0, false, 9)).unwrap();
        assert_eq!(
            rig.send_section(0, 0, &packet(ppi.as_bytes(), &frame(MAC, 1, 3000))),
            Status::SUCCESS
        );
        let (sent, info) = rig.net.frames.borrow_mut().pop().unwrap();
        assert_eq!((sent.len(), &sent[12..16]), (3004, &[0x81, 0, 0, 9][..]));
        assert_eq!((info.vlan, info.large_send), (None, Some(moved)));
        assert_eq!(info.checksum, Some(ChecksumTransmit::new(flags, 38)));
    }
}

#[test]
fn what_is_known_of_a_received_frame_is_told() {
    let mut rig = Rig::<4096>::up(NicConfig {
        offloads: offloading(),
        ..config()
    });
    let info = ReceiveInfo {
        vlan: Some(Vlan::new(1, false, 7)),
        checksums: ReceiveChecksums::TCP_SUCCEEDED | ReceiveChecksums::IP_SUCCEEDED,
        hash: Some(0x1234_5678),
    };
    let records = |rig: &mut Rig, info: &ReceiveInfo| {
        rig.queues[0].receive(&frame(MAC, 0, 60), info).unwrap();
        let _ = rig.queues[0].flush().unwrap();
        rig.run();
        let got = rig.guest[0].frames.pop_front().unwrap();
        assert_eq!(got.data, frame(MAC, 0, 60));
        let word = |data: &[u8]| u32::from_le_bytes(data.try_into().unwrap());
        PpiWalk::new(&got.ppi)
            .map(|ppi| ppi.map(|ppi| (ppi.kind, word(ppi.data))).unwrap())
            .collect::<Vec<_>>()
    };
    let (vlan, hash) = ((PpiType::VLAN, 7 << 4 | 1), (PpiType::HASH_VALUE, 0x1234_5678));
    // Checksums only once the guest has switched them on.
    assert_eq!(records(&mut rig, &info), [vlan, hash]);
    let mut parameters = [0; 28];
    parameters[..4].copy_from_slice(&[0x80, 3, 28, 0]);
    parameters[5] = 3;
    assert_eq!(
        rig.set(Oid::TCP_OFFLOAD_PARAMETERS, &parameters),
        RndisStatus::SUCCESS
    );
    assert_eq!(records(&mut rig, &info), [(PpiType::CHECKSUM, 0x8), vlan, hash]);
    assert_eq!(records(&mut rig, &ReceiveInfo::NONE), []);
}

#[test]
fn statistics_add_up() {
    let mut rig = Rig::<4096>::up(NicConfig {
        max_queues: 2,
        ..config()
    });
    rig.send_section(0, 0, &packet(&[], &frame(MacAddress::BROADCAST, 0, 60)));
    rig.net.drops.set(true);
    rig.send_section(0, 0, &packet(&[], &frame(MAC, 0, 61)));
    rig.send_section(0, 0, &[0; 3]);
    rig.queues[0]
        .receive(&frame(MAC, 0, 62), &ReceiveInfo::NONE)
        .unwrap();
    rig.queues[0].count_dropped();
    let _ = rig.queues[0].flush().unwrap();
    rig.run();
    let mut others = *rig.queues[0].stats();
    others.transmit_refused = 0;
    rig.nic.set_subchannel_stats(&others);
    let statistics = Statistics::read_from_bytes(&rig.query(Oid::GEN_STATISTICS).unwrap()).unwrap();
    assert_eq!(
        (statistics.out_broadcast_frames.get(), statistics.out_bytes.get()),
        (2, 120)
    );
    assert_eq!(
        (
            statistics.in_directed_frames.get(),
            statistics.in_directed_bytes.get()
        ),
        (2, 124)
    );
    assert_eq!(
        (statistics.out_discards.get(), statistics.out_errors.get()),
        (2, 1)
    );
    assert_eq!(statistics.in_discards.get(), 2);
    assert_eq!(rig.query_u32(Oid::GEN_XMIT_OK), 2);
    assert_eq!(rig.query(Oid::GEN_BYTES_RCV).unwrap(), 124_u64.to_le_bytes());
}

#[test]
fn every_listed_oid_is_answered_and_others_are_not() {
    let mut rig = Rig::<4096>::up(config());
    let list = rig.query(Oid::GEN_SUPPORTED_LIST).unwrap();
    let oids = <[Oid]>::ref_from_bytes(&list).unwrap();
    assert!(oids.len() > 60);
    let settable = [
        Oid::GEN_PROTOCOL_OPTIONS,
        Oid::GEN_NETWORK_LAYER_ADDRESSES,
        Oid::GEN_RNDIS_CONFIG_PARAMETER,
        Oid::GEN_LINK_PARAMETERS,
        Oid::ETHERNET_ADD_MULTICAST_ADDRESS,
        Oid::ETHERNET_DELETE_MULTICAST_ADDRESS,
        Oid::TCP_OFFLOAD_PARAMETERS,
        Oid::GEN_RECEIVE_SCALE_PARAMETERS,
    ];
    for oid in oids {
        assert_eq!(rig.query(*oid).is_err(), settable.contains(oid), "{oid}");
    }
    for oid in [
        Oid::new(0),
        Oid::new(0xdead_beef),
        Oid::GEN_MACHINE_NAME,
        Oid::PNP_QUERY_POWER,
    ] {
        assert_eq!(rig.query(oid), Err(RndisStatus::NOT_SUPPORTED), "{oid}");
    }
    for oid in [
        Oid::new(0),
        Oid::GEN_LINK_SPEED,
        Oid::GEN_STATISTICS,
        Oid::ETHERNET_PERMANENT_ADDRESS,
    ] {
        assert_eq!(rig.set(oid, &[0; 8]), RndisStatus::NOT_SUPPORTED, "{oid}");
    }
    assert_eq!(
        rig.set(Oid::GEN_NETWORK_LAYER_ADDRESSES, &[0; 100]),
        RndisStatus::SUCCESS
    );
    assert_eq!(
        rig.set(Oid::GEN_CURRENT_PACKET_FILTER, &[0; 3]),
        RndisStatus::INVALID_LENGTH
    );
}

#[test]
fn sections_follow_the_mtu() {
    let mut rig = Rig::<4096>::new(NicConfig {
        mtu: 9000,
        ..config()
    });
    rig.init(Version::V6_1);
    rig.tell(&GuestMessage::SendNdisConfig(nvsp::SendNdisConfig {
        mtu: 9014.into(),
        ..Default::default()
    }));
    rig.lend_buffers();
    rig.initialize();
    rig.set_filter(PacketFilter::DIRECTED);
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 9000);
    let largest = frame(MAC, 1, 9018);
    rig.queues[0].receive(&largest, &ReceiveInfo::NONE).unwrap();
    let error = rig.queues[0]
        .receive(&frame(MAC, 1, 9019), &ReceiveInfo::NONE)
        .unwrap_err();
    assert_eq!(
        error,
        ReceiveError::FrameLength {
            length: 9019,
            limit: 9018
        }
    );
    let error = rig.queues[0].receive(&MAC.0, &ReceiveInfo::NONE).unwrap_err();
    assert_eq!(
        error,
        ReceiveError::FrameLength {
            length: 6,
            limit: 9018
        }
    );
    let _ = rig.queues[0].flush().unwrap();
    rig.run();
    assert_eq!(rig.guest[0].frames.pop_front().unwrap().data, largest);
    // A new MTU is in force from the next opening on.
    rig.nic.set_mtu(1400).unwrap();
    assert!(rig.nic.set_mtu(100).is_err());
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 9000);
    rig.reopen();
    rig.connect();
    rig.initialize();
    assert_eq!(rig.query_u32(Oid::GEN_MAXIMUM_FRAME_SIZE), 1400);
}

#[test]
fn what_is_told_is_completed_when_that_is_asked_for() {
    let mut rig = Rig::<4096>::new(config());
    assert_eq!(rig.init(Version::V6_1), Status::SUCCESS);
    let ndis = nvsp::SendNdisVersion {
        major: 6.into(),
        minor: 30.into(),
    };
    assert!(rig.ask(&GuestMessage::SendNdisVersion(ndis)).is_empty());
    let config = nvsp::SendNdisConfig {
        mtu: 1514.into(),
        ..Default::default()
    };
    assert!(rig.ask(&GuestMessage::SendNdisConfig(config)).is_empty());
    // Linux does not ask.
    rig.tell(&GuestMessage::SendNdisConfig(config));
    assert!(rig.guest[0].completed.is_empty());
}

#[test]
fn requests_that_have_no_use_here_are_answered() {
    let mut rig = Rig::<4096>::up(config());
    let vf = nvsp::SwitchDataPath {
        active: nvsp::DataPath::VF,
    };
    assert!(
        rig.ask(&GuestMessage::SwitchDataPath(vf)).is_empty(),
        "Linux waits for an empty completion"
    );
    let payload = rig.ask(&GuestMessage::OidQueryEx(nvsp::OidQueryEx::default()));
    let HostMessage::OidQueryExComplete(complete) = Rig::<4096>::host_message(&payload) else {
        panic!()
    };
    assert_eq!(complete.status.get(), RndisStatus::NOT_SUPPORTED.value());
    let request = netvsc_proto::wire::packet_direct::PdRequest {
        operation: netvsc_proto::wire::packet_direct::PdOperation::CONFIGURATION,
        body: [0; 30],
    };
    let payload = rig.ask(&GuestMessage::PdApi(request));
    let HostMessage::PdApi(complete) = Rig::<4096>::host_message(&payload) else {
        panic!()
    };
    let body: netvsc_proto::wire::packet_direct::PdConfigurationComplete = complete.body().unwrap();
    assert_eq!((body.is_supported, body.is_enabled), (0, 0));
}

#[test]
fn a_backend_that_is_not_ready_leaves_frames_in_the_ring() {
    let mut rig = Rig::<4096>::up(config());
    rig.net.ready.set(false);
    let id = rig.id();
    rig.post_section(0, id, 0, &packet(&[], &frame(MAC, 1, 60)));
    let outcome = rig.serve_once(0).unwrap();
    assert!(outcome.backend_busy && !outcome.again);
    assert_eq!(outcome.packets, 0);
    rig.net.ready.set(true);
    rig.run();
    assert_eq!(rig.transfer_status(0, id), Status::SUCCESS);
}

#[test]
fn a_budget_is_kept_and_the_rest_asked_for() {
    let mut rig = Rig::<4096>::up(config());
    rig.budget = 4;
    for _ in 0..10 {
        let id = rig.id();
        rig.post_section(0, id, 0, &packet(&[], &frame(MAC, 1, 60)));
    }
    let outcome = rig.serve_once(0).unwrap();
    assert_eq!((outcome.packets, outcome.again), (4, true));
    let outcome = rig.serve_once(0).unwrap();
    assert_eq!((outcome.packets, outcome.again), (4, true));
    let outcome = rig.serve_once(0).unwrap();
    assert_eq!((outcome.packets, outcome.again), (2, false));
    assert_eq!(rig.net.take().len(), 10);
}
