//! Frames, either way.

use netvsc_proto::guest::{ReceiveInfo, TransmitError, TransmitInfo};
use netvsc_proto::host::{Checksums, NicConfig, Offloads};
use netvsc_proto::nic::MacAddress;
use netvsc_proto::wire::nvsp::Status;
use netvsc_proto::wire::ppi::{ChecksumTransmit, LargeSend, ReceiveChecksums, TransmitChecksums, Vlan};

use crate::pair::{DEPTH, Happened, Pair};
use crate::support::{MAC, frame};

#[test]
fn frames_by_copy_and_in_pages() {
    let mut pair = Pair::<4096>::up(NicConfig::new(MAC));
    for tag in 0..100_u8 {
        let sent = frame(MacAddress::BROADCAST, tag, 14 + usize::from(tag) * 15);
        let submitted = if tag % 2 == 0 {
            pair.queues[0].transmit(&sent, &TransmitInfo::NONE).unwrap()
        } else {
            pair.transmit_pages(0, &sent, &TransmitInfo::NONE).unwrap()
        };
        pair.run();
        assert_eq!(pair.rig.net.take(), [sent]);
        assert_eq!(
            pair.events.pop_front(),
            Some(Happened::Transmitted(submitted.id, Status::SUCCESS))
        );
        assert_eq!(pair.events.len(), 0);
    }
    let stats = *pair.queues[0].stats();
    assert_eq!(
        (stats.transmitted.broadcast_frames, stats.transmit_failed),
        (100, 0)
    );
    assert_eq!(stats.transmitted, pair.rig.queues[0].stats().transmitted);
    assert_eq!(pair.rig.refused, []);
}

#[test]
fn every_head_can_be_used_wherever_it_lies() {
    let mut pair = Pair::<4096>::up(NicConfig::new(MAC));
    for _ in 0..3 {
        let mut ids = vec![];
        for tag in 0..DEPTH {
            // The same frame each time, as they share their pages.
            ids.push(
                pair.transmit_pages(0, &frame(MAC, 5, 1000), &TransmitInfo::NONE)
                    .unwrap()
                    .id,
            );
            assert_eq!(pair.queues[0].outstanding(), tag + 1);
        }
        let full = pair.transmit_pages(0, &frame(MAC, 5, 1000), &TransmitInfo::NONE);
        assert_eq!(full, Err(TransmitError::NoRoom { under_way: DEPTH }));
        pair.run();
        assert_eq!(pair.rig.net.take(), vec![frame(MAC, 5, 1000); DEPTH]);
        let done: Vec<_> = ids
            .iter()
            .map(|id| Happened::Transmitted(*id, Status::SUCCESS))
            .collect();
        assert_eq!(pair.events, done);
        pair.events.clear();
    }
    assert_eq!(pair.queues[0].stats().transmit_no_room, 3);
}

#[test]
fn sections_are_used_again_and_never_twice() {
    let mut pair = Pair::<4096>::up(NicConfig::new(MAC));
    for round in 0..5 {
        let capacity = pair.queues[0].transmit_capacity();
        assert_eq!(capacity, DEPTH);
        let frames: Vec<_> = (0..capacity)
            .map(|tag| frame(MAC, tag as u8, 100 + 7 * tag + round))
            .collect();
        for frame in &frames {
            let _ = pair.queues[0].transmit(frame, &TransmitInfo::NONE).unwrap();
        }
        let full = pair.queues[0].transmit(&frames[0], &TransmitInfo::NONE);
        assert_eq!(full, Err(TransmitError::NoRoom { under_way: DEPTH }));
        pair.run();
        assert_eq!(pair.rig.net.take(), frames);
    }
}

/// While all that may be under way is, in pages, the sections are free: they were lost one by one.
#[test]
fn a_frame_that_finds_no_place_takes_no_section() {
    let mut pair = Pair::<4096>::up(NicConfig::new(MAC));
    for _ in 0..DEPTH {
        let _ = pair
            .transmit_pages(0, &frame(MAC, 1, 60), &TransmitInfo::NONE)
            .unwrap();
    }
    for _ in 0..=DEPTH {
        let full = pair.queues[0].transmit(&frame(MAC, 2, 60), &TransmitInfo::NONE);
        assert_eq!(full, Err(TransmitError::NoRoom { under_way: DEPTH }));
    }
    pair.run();
    assert_eq!(pair.queues[0].transmit_capacity(), DEPTH);
    pair.alive();
}

#[test]
fn few_sections_bound_what_is_copied() {
    // 16 sections of 6144 bytes for 8 queues: 2 for each.
    let mut pair = Pair::<4096>::up_with(NicConfig::new(MAC), |config| config.max_queues = 8);
    assert_eq!(pair.queues[0].transmit_capacity(), 2);
    for _ in 0..2 {
        let _ = pair.queues[0]
            .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
            .unwrap();
    }
    let full = pair.queues[0].transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE);
    assert_eq!(full, Err(TransmitError::NoRoom { under_way: 2 }));
    // In pages there is room.
    let _ = pair
        .transmit_pages(0, &frame(MAC, 2, 60), &TransmitInfo::NONE)
        .unwrap();
    pair.run();
    assert_eq!(pair.rig.net.take().len(), 3);
    pair.alive();
}

#[test]
fn what_a_frame_cannot_be_is_refused() {
    let mut pair = Pair::<4096>::up_with(
        NicConfig {
            mtu: 9000,
            ..NicConfig::new(MAC)
        },
        |config| config.mtu = 9000,
    );
    let queue = &mut pair.queues[0];
    let length = |len, limit| Err(TransmitError::FrameLength { len, limit });
    assert_eq!(queue.transmit(&[0; 13], &TransmitInfo::NONE), length(13, 9018));
    assert_eq!(
        queue.transmit(&[0; 9019], &TransmitInfo::NONE),
        length(9019, 9018)
    );
    // Longer than a section: in pages only.
    assert_eq!(
        queue.transmit(&[0; 6101], &TransmitInfo::NONE),
        length(6101, 6100)
    );
    assert_eq!(
        queue.transmit_pages(MAC, &[], &TransmitInfo::NONE),
        length(0, 9018)
    );
    let pfn = [1_u64.into()];
    let piece = vmbus_proto::ringbuf::gpa::GpaRange::new(0, 1, &pfn).unwrap();
    let pieces = vec![piece; 32];
    assert_eq!(
        queue.transmit_pages(MAC, &pieces, &TransmitInfo::NONE),
        Err(TransmitError::Pieces {
            pieces: 32,
            limit: 31
        })
    );
    let offload = TransmitInfo {
        checksum: Some(ChecksumTransmit::new(TransmitChecksums::TCP, 34)),
        ..TransmitInfo::NONE
    };
    assert_eq!(queue.transmit(&[0; 60], &offload), Err(TransmitError::Offload));
    let offload = TransmitInfo {
        large_send: Some(LargeSend::v2(1460, 34, false)),
        ..TransmitInfo::NONE
    };
    assert_eq!(queue.transmit(&[0; 60], &offload), Err(TransmitError::Offload));

    assert_eq!((queue.outstanding(), queue.transmit_capacity()), (0, DEPTH));
    let _ = pair
        .transmit_pages(0, &frame(MAC, 1, 6101), &TransmitInfo::NONE)
        .unwrap();
    pair.run();
    assert_eq!(pair.rig.net.take(), [frame(MAC, 1, 6101)]);
    pair.alive();
}

#[test]
fn received_frames_come_in_order_with_what_is_known_of_them() {
    let offloads = Offloads {
        receive: Checksums::ALL,
        ..Offloads::NONE
    };
    let mut pair = Pair::<4096>::up(NicConfig {
        offloads,
        ..NicConfig::new(MAC)
    });
    let id = pair.nic.set_offloads(&offloads).unwrap();
    pair.run();
    assert!(pair.events.contains(&Happened::Answered(
        id,
        netvsc_proto::wire::status::RndisStatus::SUCCESS,
        vec![]
    )));
    let infos = [
        ReceiveInfo::NONE,
        ReceiveInfo {
            vlan: Some(Vlan::new(3, true, 0x123)),
            ..ReceiveInfo::NONE
        },
        ReceiveInfo {
            hash: Some(0x1234_5678),
            ..ReceiveInfo::NONE
        },
        ReceiveInfo {
            vlan: Some(Vlan::new(7, false, 4095)),
            checksums: ReceiveChecksums::IP_SUCCEEDED | ReceiveChecksums::TCP_SUCCEEDED,
            hash: Some(1),
        },
    ];
    let mut sent = vec![];
    for tag in 0..90_u8 {
        let info = infos[usize::from(tag) % 4];
        let frame = frame(MAC, tag, 60 + usize::from(tag) * 16);
        let _ = pair.rig.queues[0].receive(&frame, &info).unwrap();
        sent.push((frame, info));
    }
    let _ = pair.rig.queues[0].flush().unwrap();
    pair.run();
    assert_eq!(pair.frames[0], sent);
    assert_eq!(pair.rig.queues[0].outstanding(), 0);
    assert_eq!(
        pair.queues[0].stats().received,
        pair.rig.queues[0].stats().received
    );
    assert_eq!(pair.rig.queues[0].stats().receive_rejected, 0);
}

#[test]
fn what_is_to_be_done_with_a_frame_reaches_the_backend() {
    let offloads = Offloads {
        transmit: Checksums::ALL,
        large_send_ipv4: 60000,
        large_send_ipv6: 60000,
        vlan: true,
        ..Offloads::NONE
    };
    let mut pair = Pair::<4096>::up(NicConfig {
        offloads,
        ..NicConfig::new(MAC)
    });
    assert_eq!(pair.nic.properties().unwrap().offloads, offloads);
    pair.nic.set_offloads(&offloads).unwrap();
    pair.run();
    let checksum = ChecksumTransmit::new(TransmitChecksums::IS_IPV4 | TransmitChecksums::TCP, 34);
    let infos = [
        TransmitInfo {
            vlan: Some(Vlan::new(1, false, 7)),
            ..TransmitInfo::NONE
        },
        TransmitInfo {
            checksum: Some(checksum),
            ..TransmitInfo::NONE
        },
        TransmitInfo {
            hash: Some(99),
            ..TransmitInfo::NONE
        },
        TransmitInfo {
            large_send: Some(LargeSend::v2(1460, 34, false)),
            ..TransmitInfo::NONE
        },
        TransmitInfo {
            vlan: Some(Vlan::new(1, true, 8)),
            checksum: Some(checksum),
            hash: Some(1),
            large_send: None,
        },
        TransmitInfo {
            vlan: Some(Vlan::new(1, true, 8)),
            checksum: None,
            hash: Some(1),
            large_send: Some(LargeSend::v2(500, 54, true)),
        },
    ];
    for info in infos {
        let len = if info.large_send.is_some() { 40_000 } else { 1000 };
        let sent = frame(MAC, 1, len);
        let _ = pair.transmit_pages(0, &sent, &info).unwrap();
        pair.run();
        let (got, told) = pair.rig.net.frames.borrow_mut().pop().unwrap();
        assert_eq!(got, sent);
        assert_eq!(
            (told.vlan, told.checksum, told.large_send, told.hash),
            (info.vlan, info.checksum, info.large_send, info.hash)
        );
    }
    assert_eq!(pair.rig.refused, []);
}

#[test]
fn a_full_ring_takes_nothing_and_loses_nothing() {
    // 512 bytes of ring: a few packets.
    let mut pair = Pair::<128>::up(NicConfig::new(MAC));
    let mut frames = vec![];
    let refused = loop {
        let next = frame(MAC, frames.len() as u8, 60 + frames.len());
        match pair.queues[0].transmit(&next, &TransmitInfo::NONE) {
            Ok(_) => frames.push(next),
            Err(error) => break error,
        }
        assert!(frames.len() < 50);
    };
    assert_eq!(
        refused,
        if frames.len() < DEPTH {
            TransmitError::RingFull
        } else {
            TransmitError::NoRoom { under_way: DEPTH }
        }
    );
    assert_eq!(pair.queues[0].outstanding(), frames.len());
    pair.run();
    assert_eq!(pair.rig.net.take(), frames);
    assert_eq!(pair.queues[0].transmit_capacity(), DEPTH);
    pair.alive();
}

#[test]
fn a_packet_that_never_fits_is_told_from_one_that_waits() {
    let mut pair = Pair::<64>::up(NicConfig::new(MAC));
    let pfn = [1_u64.into()];
    let piece = vmbus_proto::ringbuf::gpa::GpaRange::new(0, 20, &pfn).unwrap();
    let refused = pair.queues[0].transmit_pages(MAC, &[piece; 31], &TransmitInfo::NONE);
    assert!(
        matches!(refused, Err(TransmitError::PacketTooLarge { needed, max }) if needed > max.into()),
        "{refused:?}"
    );
    assert_eq!(pair.queues[0].outstanding(), 0);
    pair.alive();
}
