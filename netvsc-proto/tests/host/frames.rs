//! Frames both ways, what of them is delivered, and what is told of them.

use netvsc_proto::host::{MacAddress, NicConfig, ReceiveInfo, Received};
use netvsc_proto::wire::ndis::Statistics;
use netvsc_proto::wire::nvsp::{ChannelType, NO_SECTION, Status};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::PacketFilter;
use netvsc_proto::wire::status::RndisStatus;
use zerocopy::FromBytes;

use crate::config;
use crate::support::{MAC, Rig, frame, packet};

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
