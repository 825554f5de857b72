//! A host that breaks the protocol once the NIC is up, and rings that are full.

use netvsc_proto::guest::{Event, Fault, TransmitInfo};
use netvsc_proto::wire::DecodeError;
use netvsc_proto::wire::nvsp::{self, ChannelType, MessageType, NO_SECTION, Status, Version};
use netvsc_proto::wire::nvsp_message::HostMessage;
use netvsc_proto::wire::ppi::{PpiFault, PpiType};
use netvsc_proto::wire::rndis::{self, MessageType as Rndis, PacketFilter};
use netvsc_proto::wire::rndis_message::HostMessage as RndisHost;
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::ringbuf::{ControlWord, Descriptor, PacketType, RangeFault, RingFault, TransferPageRange};

use crate::pair::DEPTH;
use crate::scripted::{Ask, RECEIVE_LEN, Script};
use crate::support::{MAC, frame, packet, rndis_packet};

fn ppi_record(size: u32, kind: u32, offset: u32) -> Vec<u8> {
    [size, kind, offset, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
}

fn plain(tag: u8) -> Vec<u8> {
    packet(&[], &frame(MAC, tag, 60))
}

/// The guest faults over a transfer with these bytes, after the frames that came before the breach.
fn faults(bytes: &[u8], fault: Fault, before: usize) {
    let mut script = Script::<4096>::up();
    script.host.give(7, bytes);
    assert_eq!(script.poll(), Err(fault));
    assert_eq!(script.frames.len(), before);
    script.host.serve(&mut |_, _, _| false);
    assert_eq!(script.host.returned, [], "a breach is not acknowledged");
    script.dead(fault);
}

#[test]
fn case_01_per_packet_info_that_makes_no_sense() {
    let size = |size, remaining| Fault::Ppi(PpiFault::Size { size, remaining });
    let cases = [
        (ppi_record(0, 6, 12), size(0, 16)),
        (ppi_record(11, 6, 12), size(11, 16)),
        (ppi_record(17, 6, 12), size(17, 16)),
        (ppi_record(u32::MAX, 6, 12), size(u32::MAX, 16)),
        (
            ppi_record(16, 6, 16),
            Fault::Ppi(PpiFault::Offset { offset: 16, size: 16 }),
        ),
        (
            ppi_record(16, 6, 11),
            Fault::Ppi(PpiFault::Offset { offset: 11, size: 16 }),
        ),
        (
            ppi_record(16, 6, u32::MAX),
            Fault::Ppi(PpiFault::Offset {
                offset: u32::MAX,
                size: 16,
            }),
        ),
        (vec![0; 11], Fault::Ppi(PpiFault::Remainder { remaining: 11 })),
        (
            ppi_record(16, 0, 13),
            Fault::PpiLength {
                kind: PpiType::CHECKSUM,
                len: 3,
            },
        ),
        (
            ppi_record(16, 6, 15),
            Fault::PpiLength {
                kind: PpiType::VLAN,
                len: 1,
            },
        ),
        (
            ppi_record(16, 8, 14),
            Fault::PpiLength {
                kind: PpiType::HASH_VALUE,
                len: 2,
            },
        ),
    ];
    for (ppi, fault) in cases {
        let second = packet(&ppi, &frame(MAC, 2, 60));
        faults(&[plain(1), second].concat(), fault, 1);
    }
    // A type that nobody knows is passed over.
    let mut script = Script::<4096>::up();
    script
        .host
        .give(7, &packet(&ppi_record(16, 99, 12), &frame(MAC, 1, 60)));
    script.run().unwrap();
    script.alive();
}

#[test]
fn case_02_range_counts_that_cannot_be() {
    for count in [u32::MAX - 2, u32::MAX - 1, u32::MAX, 2, 0x1000_0000, 0x2000_0001] {
        let mut script = Script::<4096>::up();
        let at = script
            .host
            .rings
            .outgoing
            .mem()
            .word(ControlWord::WriteIndex)
            .load(std::sync::atomic::Ordering::SeqCst);
        script.host.give(7, &plain(1));
        // The count stands at byte 20 of the packet.
        let ring = script.host.rings.outgoing.mem();
        vmbus_proto::ringbuf::RingMem::write(ring, at + 20, &count.to_le_bytes());
        let fault = Fault::Ranges(RangeFault::Count { count, len: 8 });
        assert_eq!(script.poll(), Err(fault));
        script.host.serve(&mut |_, _, _| false);
        assert_eq!((script.host.returned.len(), script.frames.len()), (0, 0));
        script.dead(fault);
    }
}

#[test]
fn case_02_more_ranges_than_a_host_may_send() {
    let mut script = Script::<4096>::up();
    let range = script.host.put(&plain(1));
    script.host.transfer(7, ChannelType::DATA, &vec![range; 375]);
    // Every range is read once: here all are the same.
    let message = script.poll();
    assert!(
        matches!(message, Err(Fault::Rndis(_))),
        "the second range has changed: {message:?}"
    );

    for (count, fault) in [
        (
            376,
            Fault::RangeCount {
                count: 376,
                limit: 375,
            },
        ),
        (
            383,
            Fault::RangeCount {
                count: 383,
                limit: 375,
            },
        ),
        (
            562,
            Fault::PacketTooLarge {
                len: 8 + 562 * 8 + 40,
            },
        ),
    ] {
        let mut script = Script::<4096>::up();
        let ranges = vec![TransferPageRange::new(0, 60); count];
        script.host.transfer(7, ChannelType::DATA, &ranges);
        assert_eq!(script.poll(), Err(fault));
        script.dead(fault);
    }
}

#[test]
fn as_many_ranges_as_a_host_may_send() {
    let mut script = Script::<4096>::up();
    let bytes = packet(&[], &frame(MAC, 1, 60));
    let at = |index: u32| index * 200;
    for index in 0..375 {
        vmbus_proto::ringbuf::SharedMem::write(&script.host.receive, at(index) as usize, &bytes).unwrap();
    }
    let ranges: Vec<_> = (0..375)
        .map(|index| TransferPageRange::new(at(index), bytes.len() as u32))
        .collect();
    script.host.transfer(7, ChannelType::DATA, &ranges);
    script.run().unwrap();
    assert_eq!((script.frames.len(), script.host.returned.len()), (375, 1));
    // None is as good as one that is not looked at.
    script.host.transfer(8, ChannelType::DATA, &[]);
    script.run().unwrap();
    assert_eq!(script.host.returned.pop(), Some((8, Status::SUCCESS)));
    script.alive();
}

#[test]
fn ranges_that_are_not_in_the_receive_buffer() {
    for (offset, len) in [
        (RECEIVE_LEN, 1),
        (RECEIVE_LEN - 60, 61),
        (u32::MAX, 2),
        (u32::MAX - 59, 60),
        (0, RECEIVE_LEN + 1),
        (0, u32::MAX),
    ] {
        let mut script = Script::<4096>::up();
        let first = script.host.put(&plain(1));
        script.host.transfer(
            7,
            ChannelType::DATA,
            &[first, TransferPageRange::new(offset, len)],
        );
        let fault = Fault::Range {
            offset,
            len,
            buffer: RECEIVE_LEN,
        };
        assert_eq!(script.poll(), Err(fault));
        // All is judged before anything is taken.
        assert_eq!(script.frames.len(), 0);
        script.dead(fault);
    }
    let mut script = Script::<4096>::up();
    let ranges = [script.host.put(&plain(1))];
    let message = rndis_packet(ChannelType::DATA, NO_SECTION, 0);
    script.host.write(
        7,
        Descriptor::TransferPages {
            set_id: 0xcaff,
            ranges: &ranges,
        },
        &message,
    );
    let fault = Fault::ReceiveSet { set_id: 0xcaff };
    assert_eq!(script.poll(), Err(fault));
    script.dead(fault);
}

#[test]
fn case_05_completions_of_what_the_host_does_not_have() {
    for id in [
        0,
        DEPTH as u64,
        DEPTH as u64 + 1,
        2,
        1 << 32,
        u64::MAX - 1,
        u64::from(u32::MAX),
    ] {
        let mut script = Script::<4096>::up();
        let submitted = script
            .queue
            .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
            .unwrap();
        assert_ne!(submitted.id.number(), id);
        script.host.complete_transfer(id, Status::SUCCESS);
        let fault = Fault::Completion { transaction_id: id };
        assert_eq!(script.poll(), Err(fault));
        assert_eq!(script.events, [] as [&str; 0]);
        assert_eq!(
            script
                .queue
                .abort()
                .map(|aborted| (aborted.id, aborted.pages_lent)),
            Some((submitted.id, false))
        );
        assert_eq!(script.queue.abort(), None);
        script.dead(fault);
    }
    // An answer to nothing.
    let mut script = Script::<4096>::up();
    script.host.complete_transfer(u64::MAX, Status::SUCCESS);
    let fault = Fault::Unexpected {
        message: MessageType::SEND_RNDIS_PACKET_COMPLETE,
        version: Version::V6_1,
    };
    assert_eq!(script.poll(), Err(fault));
    script.dead(fault);
}

#[test]
fn case_05_a_completion_twice_and_a_stale_one() {
    let mut script = Script::<4096>::up();
    let first = script
        .queue
        .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
        .unwrap()
        .id;
    script.host.complete_transfer(first.number(), Status::SUCCESS);
    script.poll().unwrap();
    assert_eq!(
        script.events,
        [format!(
            "{:?}",
            Event::Transmitted {
                id: first,
                status: Status::SUCCESS
            }
        )]
    );
    let second = script
        .queue
        .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
        .unwrap()
        .id;
    assert_eq!((second.place(), second == first), (first.place(), false));
    script.host.complete_transfer(first.number(), Status::SUCCESS);
    let fault = Fault::Completion {
        transaction_id: first.number(),
    };
    assert_eq!(script.poll(), Err(fault));
    assert_eq!(script.queue.abort().map(|aborted| aborted.id), Some(second));
    script.dead(fault);
}

#[test]
fn a_completion_that_is_no_completion_ends_nothing() {
    let mut script = Script::<4096>::up();
    let id = script
        .queue
        .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
        .unwrap()
        .id;
    script
        .host
        .complete(id.number(), &HostMessage::InitComplete(Default::default()));
    let fault = Fault::Unexpected {
        message: MessageType::INIT_COMPLETE,
        version: Version::V6_1,
    };
    assert_eq!(script.poll(), Err(fault));
    assert_eq!(script.queue.abort().map(|aborted| aborted.id), Some(id));
    script.dead(fault);
}

#[test]
fn case_08_bytes_that_change_are_read_once() {
    let mut script = Script::<4096>::up();
    // In memory where what was read once reads otherwise the second time, everything works.
    let transfer: Vec<u8> = (1..=8)
        .flat_map(|tag| packet(&ppi_record(16, 8, 12), &frame(MAC, tag, 100)))
        .collect();
    script.host.give(7, &transfer);
    script.run().unwrap();
    assert_eq!(
        script.frames,
        (1..=8).map(|tag| frame(MAC, tag, 100)).collect::<Vec<_>>()
    );
    let id = script.nic.keepalive().unwrap();
    script.run().unwrap();
    assert_eq!(
        script.events,
        [format!(
            "{:?}",
            Event::Answered {
                id,
                status: RndisStatus::SUCCESS,
                info: &[]
            }
        )]
    );
    assert_eq!(script.reads.borrow().iter().copied().max(), Some(1));
    script.alive();
}

#[test]
fn case_09_a_completion_before_the_call_has_returned() {
    let mut script = Script::<4096>::up();
    // The host guesses which id comes next, and is faster than the guest: the second place was never used.
    let first = script
        .queue
        .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
        .unwrap()
        .id;
    assert_eq!(first.place(), 0);
    let next = 2;
    script.host.complete_transfer(next, Status::SUCCESS);
    let second = script
        .queue
        .transmit(&frame(MAC, 2, 60), &TransmitInfo::NONE)
        .unwrap()
        .id;
    assert_eq!(second.number(), next);
    script.poll().unwrap();
    assert_eq!(
        script.events,
        [format!(
            "{:?}",
            Event::Transmitted {
                id: second,
                status: Status::SUCCESS
            }
        )]
    );
    assert_eq!(script.queue.outstanding(), 1);
}

#[test]
fn case_13_more_sub_channels_than_asked_for() {
    for granted in [3, 4, u32::MAX, 0x1_0001] {
        let mut script = Script::<4096>::up();
        script.nic.create_sub_channels(2).unwrap();
        let answer = script.run_with(&mut |host, id, ask| {
            if !matches!(ask, Ask::Nvsp(_)) {
                return false;
            }
            let complete = nvsp::SubchannelComplete {
                status: Status::SUCCESS,
                count: granted.into(),
            };
            host.complete(id, &HostMessage::Subchannel(complete));
            true
        });
        let fault = Fault::SubChannels { asked: 2, granted };
        assert_eq!(answer, Err(fault));
        script.dead(fault);
    }
    // Refused, it can be asked again.
    let mut script = Script::<4096>::up();
    script.nic.create_sub_channels(3).unwrap();
    let refused = Status::FAILURE;
    script
        .run_with(&mut |host, id, _| {
            let complete = nvsp::SubchannelComplete {
                status: refused,
                count: 9.into(),
            };
            host.complete(id, &HostMessage::Subchannel(complete));
            true
        })
        .unwrap();
    assert_eq!(
        script.events,
        [format!(
            "{:?}",
            Event::SubChannels {
                status: refused,
                count: 0
            }
        )]
    );
    script.nic.create_sub_channels(3).unwrap();
    script.run().unwrap();
    assert_eq!(script.nic.sub_channels(), 3);
    script.alive();
}

#[test]
fn case_13_send_tables_that_lead_nowhere() {
    let mut script = Script::<4096>::up();
    let mut entries = [0_u32; 16];
    entries[1] = 3;
    entries[2] = 64;
    entries[3] = u32::MAX;
    script
        .host
        .tell(&HostMessage::SendIndirectionTable(entries.map(Into::into)));
    script.run().unwrap();
    let table = *script.nic.send_table();
    assert_eq!(table.entries()[..4], [0, 3, 64, u16::MAX]);
    for open in 1..=4 {
        assert!((0..64).all(|hash| table.queue_for(hash, open) < open));
    }
    assert_eq!((table.queue_for(1, 4), table.queue_for(0x31, 4)), (3, 3));
    script.alive();

    // An old host's offset is wrong; a count that is not 16 is no table.
    let mut bytes = [0; 104];
    bytes[..12].copy_from_slice([134_u32, 16, 36].map(u32::to_le_bytes).as_flattened());
    bytes[44..48].copy_from_slice(&2_u32.to_le_bytes());
    let mut old = Script::<4096>::new(|config| config.max_version = Version::V5);
    old.run().unwrap();
    old.host.write(0, Descriptor::InBand, &bytes);
    old.run().unwrap();
    assert_eq!(old.nic.send_table().queue_for(1, 4), 2);
    for (count, offset) in [
        (0, 40),
        (15, 40),
        (17, 40),
        (u32::MAX, 40),
        (16, 41),
        (16, u32::MAX),
        (16, 104),
    ] {
        let mut script = Script::<4096>::up();
        bytes[..12].copy_from_slice([134_u32, count, offset].map(u32::to_le_bytes).as_flattened());
        script.host.write(0, Descriptor::InBand, &bytes);
        let Err(fault @ Fault::Message(_)) = script.poll() else {
            panic!("{count} {offset}")
        };
        script.dead(fault);
    }
}

#[test]
fn case_15_a_full_ring_keeps_completions_for_later() {
    // 1 KiB of ring towards the host.
    let mut script = Script::<128>::up();
    while script
        .queue
        .transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE)
        .is_ok()
    {}
    let mut given = 0;
    // The guest takes frames for as long as it can keep completions, and not one more.
    for round in 0..60 {
        let range = script.host.put(&plain(round));
        let message = rndis_packet(ChannelType::DATA, NO_SECTION, 0);
        let outgoing = vmbus_proto::ringbuf::Outgoing {
            transaction_id: 100 + u64::from(round),
            request_completion: true,
            descriptor: Descriptor::TransferPages {
                set_id: nvsp::RECEIVE_BUFFER_ID,
                ranges: &[range],
            },
            payload: &[&message],
        };
        if script.host.rings.outgoing.write(&outgoing).is_ok() {
            given += 1;
        }
        script.poll().unwrap();
    }
    let taken = script.frames.len();
    assert!(taken >= 32 && taken < given, "{taken} of {given}");
    assert_eq!(script.host.returned.len(), 0);
    script.run().unwrap();
    assert_eq!(script.frames.len(), given);
    let ids: Vec<_> = script.host.returned.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (100..100 + given as u64).collect::<Vec<_>>());
    assert!(script.queue.stats().completions_delayed >= 32);
    script.host.returned.clear();
    for id in core::mem::take(&mut script.host.frames) {
        script.host.complete_transfer(id, Status::SUCCESS);
    }
    script.run().unwrap();
    script.alive();
}

#[test]
fn case_15_frames_that_come_in_spite_of_filter_0() {
    let mut script = Script::<4096>::up();
    let id = script.nic.set_packet_filter(PacketFilter::empty()).unwrap();
    // Until it is answered they may come.
    script.alive();
    script.run().unwrap();
    assert_eq!(
        script.events,
        [format!(
            "{:?}",
            Event::Answered {
                id,
                status: RndisStatus::SUCCESS,
                info: &[]
            }
        )]
    );
    script.frames.clear();
    script.host.give(7, &plain(1));
    script.run().unwrap();
    assert_eq!(
        (script.frames.len(), script.host.returned.pop()),
        (0, Some((7, Status::SUCCESS)))
    );
    assert_eq!(script.queue.stats().receive_unwanted, 1);
    // A filter that the host refuses changes nothing.
    script.nic.set_packet_filter(PacketFilter::DIRECTED).unwrap();
    script
        .run_with(&mut |host, id, ask| {
            let Ask::Rndis(netvsc_proto::wire::rndis_message::GuestMessage::Set(request, _)) = ask else {
                return false;
            };
            host.complete_transfer(id, Status::SUCCESS);
            let complete = rndis::Complete {
                request_id: request.request_id,
                status: RndisStatus::FAILURE,
            };
            host.reply(&RndisHost::SetComplete(complete));
            true
        })
        .unwrap();
    script.host.give(8, &plain(1));
    script.run().unwrap();
    assert_eq!(
        (script.frames.len(), script.nic.packet_filter()),
        (0, PacketFilter::empty())
    );
    script.nic.set_packet_filter(PacketFilter::DIRECTED).unwrap();
    script.run().unwrap();
    script.host.returned.clear();
    script.alive();
}

#[test]
fn messages_that_may_not_follow_one_another() {
    let mut nine = vec![];
    (0..9).for_each(|tag| nine.extend(plain(tag)));
    faults(&nine, Fault::TooManyPackets { limit: 8 }, 8);
    let mut indicate = [0; 24];
    let status = rndis::IndicateStatus {
        status: RndisStatus::MEDIA_CONNECT,
        ..Default::default()
    };
    let indicate = RndisHost::IndicateStatus(status, &[])
        .encode(&mut indicate)
        .unwrap();
    faults(
        &[&plain(1), indicate].concat(),
        Fault::Misplaced(Rndis::INDICATE_STATUS),
        1,
    );
    faults(&[plain(1), vec![9; 8]].concat(), short(0x0909_0909, 8), 1);
    // What is too short for a header, or zero, is padding.
    for padding in [vec![9; 7], vec![0; 8], vec![0; 100]] {
        let mut script = Script::<4096>::up();
        script.host.give(7, &[plain(1), padding].concat());
        script.run().unwrap();
        assert_eq!((script.frames.len(), script.host.returned.len()), (1, 1));
        script.alive();
    }
}

fn short(needed: usize, got: usize) -> Fault {
    Fault::Rndis(DecodeError::Short {
        what: "RNDIS message",
        needed,
        got,
    })
}

#[test]
fn rndis_messages_that_make_no_sense() {
    let with = |at: usize, value: u32| {
        let mut bytes = plain(1);
        bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        bytes
    };
    let len = plain(1).len();
    faults(&[], short(8, 0), 0);
    faults(&[0; 7], short(8, 7), 0);
    faults(&with(4, 0), short(8, len), 0);
    faults(&with(4, 7), short(8, len), 0);
    faults(&with(4, len as u32 + 1), short(len + 1, len), 0);
    faults(&with(4, u32::MAX), short(u32::MAX as usize, len), 0);
    let outside = |what, offset, length| {
        Fault::Rndis(DecodeError::OutOfBounds {
            what,
            offset,
            length,
            within: len - 8,
        })
    };
    faults(&with(8, 41), outside("PACKET data", 41, 60), 0);
    faults(&with(8, 35), outside("PACKET data", 35, 60), 0);
    faults(&with(8, u32::MAX), outside("PACKET data", u32::MAX, 60), 0);
    faults(&with(12, u32::MAX), outside("PACKET data", 36, u32::MAX), 0);
    faults(&with(12, 13), Fault::FrameLength { len: 13 }, 0);
    faults(&with(12, 0), Fault::FrameLength { len: 0 }, 0);
    faults(
        &with(32, u32::MAX),
        outside("PACKET per-packet info", 0, u32::MAX),
        0,
    );
    for message_type in [0, 2, 3, 4, 9, 0x8000_0001, u32::MAX] {
        faults(
            &with(0, message_type),
            Fault::Rndis(DecodeError::RndisType(Rndis::new(message_type))),
            0,
        );
    }
    // A part of a coalesced frame; a record that says that the frame is whole does not matter.
    let part = |flags: u8| [16, 0, 0, 0, 1, 0, 0, 0x80, 12, 0, 0, 0, 1, flags, 0, 0];
    faults(
        &packet(&part(3), &frame(MAC, 1, 60)),
        Fault::Coalesced { flags: 3 },
        0,
    );
    let mut script = Script::<4096>::up();
    script.host.give(7, &packet(&part(6), &frame(MAC, 1, 60)));
    script.run().unwrap();
    assert_eq!(script.frames.len(), 1);
}

#[test]
fn frames_that_are_too_long_are_dropped() {
    let mut script = Script::<4096>::up();
    let most = frame(MAC, 1, 1518);
    for bytes in [packet(&[], &frame(MAC, 1, 1519)), packet(&[], &most)] {
        script.host.give(7, &bytes);
    }
    // Longer than the buffer of the driver's.
    let long = packet(&[], &frame(MAC, 1, 10_000));
    vmbus_proto::ringbuf::SharedMem::write(&script.host.receive, 0x8000, &long).unwrap();
    script.host.transfer(
        8,
        ChannelType::DATA,
        &[TransferPageRange::new(0x8000, long.len() as u32)],
    );
    script.run().unwrap();
    assert_eq!(script.frames, [most]);
    assert_eq!(
        (script.queue.stats().receive_too_long, script.host.returned.len()),
        (2, 3)
    );
    script.host.returned.clear();
    script.alive();
}

#[test]
fn case_05_answers_to_what_was_not_asked() {
    let complete = |request_id: u32| rndis::Complete {
        request_id: request_id.into(),
        status: RndisStatus::SUCCESS,
    };
    let query = |request_id: u32| rndis::QueryComplete {
        request_id: request_id.into(),
        ..Default::default()
    };
    for id in [0, 1, 0x101, 4, 5, 0xff, 0xffff_ff01, u32::MAX] {
        let messages = [
            (RndisHost::QueryComplete(query(id), &[]), Rndis::QUERY_COMPLETE),
            (RndisHost::SetComplete(complete(id)), Rndis::SET_COMPLETE),
            (
                RndisHost::KeepaliveComplete(complete(id)),
                Rndis::KEEPALIVE_COMPLETE,
            ),
            (RndisHost::SetExComplete(query(id), &[]), Rndis::SET_EX_COMPLETE),
            (
                RndisHost::InitializeComplete(crate::scripted::initialize_complete(id)),
                Rndis::INITIALIZE_COMPLETE,
            ),
        ];
        for (message, message_type) in messages {
            let mut script = Script::<4096>::up();
            script.host.reply(&message);
            let fault = Fault::Answer {
                message: message_type,
                request_id: id,
            };
            assert_eq!(script.poll(), Err(fault));
            script.dead(fault);
        }
    }
    let mut script = Script::<4096>::up();
    script.host.reply(&RndisHost::ResetComplete(Default::default()));
    let fault = Fault::Answer {
        message: Rndis::RESET_COMPLETE,
        request_id: 0,
    };
    assert_eq!(script.poll(), Err(fault));
}

#[test]
fn case_05_an_answer_of_the_wrong_kind_and_one_that_comes_twice() {
    let mut script = Script::<4096>::up();
    let id = script.nic.keepalive().unwrap();
    let mut asked = 0;
    let answer = script.run_with(&mut |host, _, ask| {
        let Ask::Rndis(netvsc_proto::wire::rndis_message::GuestMessage::Keepalive(request)) = ask else {
            return false;
        };
        asked = request.request_id.get();
        let complete = rndis::Complete {
            request_id: request.request_id,
            status: RndisStatus::SUCCESS,
        };
        host.reply(&RndisHost::SetComplete(complete));
        true
    });
    let fault = Fault::Answer {
        message: Rndis::SET_COMPLETE,
        request_id: asked,
    };
    assert_eq!(answer, Err(fault));
    assert_eq!((script.nic.abort(), script.nic.abort()), (Some(id), None));
    script.dead(fault);

    let mut script = Script::<4096>::up();
    let id = script.nic.keepalive().unwrap();
    let answer = script.run_with(&mut |host, _, ask| {
        let Ask::Rndis(netvsc_proto::wire::rndis_message::GuestMessage::Keepalive(request)) = ask else {
            return false;
        };
        asked = request.request_id.get();
        // Answered before it is taken, and again.
        for _ in 0..2 {
            let complete = rndis::Complete {
                request_id: request.request_id,
                status: RndisStatus::SUCCESS,
            };
            host.reply(&RndisHost::KeepaliveComplete(complete));
        }
        true
    });
    let fault = Fault::Answer {
        message: Rndis::KEEPALIVE_COMPLETE,
        request_id: asked,
    };
    assert_eq!(answer, Err(fault));
    assert_eq!(
        script.events,
        [format!(
            "{:?}",
            Event::Answered {
                id,
                status: RndisStatus::SUCCESS,
                info: &[]
            }
        )]
    );
    assert_eq!(script.nic.abort(), None);
    script.dead(fault);
}

#[test]
fn case_09_an_answer_before_the_request_is_taken() {
    let mut script = Script::<4096>::up();
    for _ in 0..10 {
        let id = script.nic.keepalive().unwrap();
        script
            .run_with(&mut |host, transaction, ask| {
                let Ask::Rndis(netvsc_proto::wire::rndis_message::GuestMessage::Keepalive(request)) = ask
                else {
                    return false;
                };
                let complete = rndis::Complete {
                    request_id: request.request_id,
                    status: RndisStatus::SUCCESS,
                };
                host.reply(&RndisHost::KeepaliveComplete(complete));
                host.complete_transfer(transaction, Status::SUCCESS);
                true
            })
            .unwrap();
        let answered = Event::Answered {
            id,
            status: RndisStatus::SUCCESS,
            info: &[],
        };
        assert_eq!(script.events.pop(), Some(format!("{answered:?}")));
    }
    assert_eq!(script.queue.outstanding(), 0);
    script.host.returned.clear();
    script.alive();
}

#[test]
fn a_request_that_the_host_does_not_take() {
    let mut script = Script::<4096>::up();
    let id = script.nic.set_packet_filter(PacketFilter::PROMISCUOUS).unwrap();
    script
        .run_with(&mut |host, transaction, _| {
            host.complete_transfer(transaction, Status::BUSY);
            true
        })
        .unwrap();
    assert_eq!(
        script.events,
        [format!(
            "{:?}",
            Event::RequestFailed {
                id,
                status: Status::BUSY
            }
        )]
    );
    assert_eq!(script.nic.packet_filter(), PacketFilter::DIRECTED);
    script.alive();
}

#[test]
fn packets_that_no_host_sends() {
    let cases: [(Descriptor<'_>, Vec<u8>, Fault); 6] = [
        (
            Descriptor::InBand,
            vec![],
            Fault::Message(DecodeError::Short {
                what: "NVSP message",
                needed: 4,
                got: 0,
            }),
        ),
        (
            Descriptor::InBand,
            vec![107, 0, 0, 0, 0, 0, 0, 0],
            Fault::Message(DecodeError::Short {
                what: "SEND_RNDIS_PKT",
                needed: 16,
                got: 8,
            }),
        ),
        (
            Descriptor::InBand,
            vec![1, 0, 0, 0, 0, 0, 0, 0],
            Fault::Message(DecodeError::NvspType(MessageType::INIT)),
        ),
        (
            Descriptor::InBand,
            rndis_packet(ChannelType::DATA, NO_SECTION, 0),
            unexpected(MessageType::SEND_RNDIS_PACKET),
        ),
        (
            Descriptor::InBand,
            [&[133, 0, 0, 0, 1, 0, 0, 0], &[0; 32][..]].concat(),
            unexpected(MessageType::SUBCHANNEL),
        ),
        (
            Descriptor::GpaDirect(&[]),
            vec![0; 40],
            Fault::PacketType(PacketType::GPA_DIRECT),
        ),
    ];
    for (descriptor, payload, fault) in cases {
        let mut script = Script::<4096>::up();
        script.host.write(0, descriptor, &payload);
        assert_eq!(script.poll(), Err(fault));
        script.dead(fault);
    }
    // The message of a transfer is one of RNDIS's.
    let mut script = Script::<4096>::up();
    let ranges = [script.host.put(&plain(1))];
    script.host.write(
        7,
        Descriptor::TransferPages {
            set_id: nvsp::RECEIVE_BUFFER_ID,
            ranges: &ranges,
        },
        &[[128, 0, 0, 0], [0; 4], [0; 4], [0; 4]].concat(),
    );
    assert_eq!(script.poll(), Err(unexpected(MessageType::SEND_VF_ASSOCIATION)));
    // A virtual function that comes is told.
    let mut script = Script::<4096>::up();
    let association = nvsp::SendVfAssociation {
        allocated: 1.into(),
        serial: 77.into(),
    };
    script.host.tell(&HostMessage::SendVfAssociation(association));
    script.run().unwrap();
    assert_eq!(
        script.events,
        [format!(
            "{:?}",
            Event::VirtualFunction {
                present: true,
                serial: 77
            }
        )]
    );
}

fn unexpected(message: MessageType) -> Fault {
    Fault::Unexpected {
        message,
        version: Version::V6_1,
    }
}

#[test]
fn case_07_a_host_that_moves_its_indices() {
    let mut script = Script::<4096>::up();
    let ring = script.host.rings.outgoing.mem();
    let data_len = vmbus_proto::ringbuf::RingMem::data_len(ring);
    ring.word(ControlWord::WriteIndex)
        .store(data_len + 8, std::sync::atomic::Ordering::SeqCst);
    let fault = Fault::Ring(RingFault::WriteIndex {
        index: data_len + 8,
        data_len,
    });
    assert_eq!(script.poll(), Err(fault));
    script.dead(fault);
    // Found while sending: the frame is not under way.
    let mut script = Script::<128>::up();
    script
        .host
        .rings
        .incoming
        .mem()
        .word(ControlWord::ReadIndex)
        .store(3, std::sync::atomic::Ordering::SeqCst);
    let mut sent = 0;
    let error = loop {
        match script.queue.transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE) {
            Ok(_) => sent += 1,
            Err(error) => break error,
        }
    };
    let fault = Fault::Ring(RingFault::ReadIndex {
        index: 3,
        data_len: 1024,
    });
    assert_eq!((error, script.queue.outstanding()), (fault.into(), sent));
    script.dead(fault);
}

#[test]
fn case_19_a_host_that_asks_whether_anyone_is_there() {
    let mut script = Script::<4096>::up();
    let ask = |request_id: u32| {
        RndisHost::Keepalive(rndis::KeepaliveRequest {
            request_id: request_id.into(),
        })
    };
    let mut answers = vec![];
    let mut run = |script: &mut Script<4096>| {
        script
            .run_with(&mut |host, id, ask| {
                let Ask::Rndis(netvsc_proto::wire::rndis_message::GuestMessage::KeepaliveComplete(complete)) =
                    ask
                else {
                    return false;
                };
                assert_eq!(complete.status, RndisStatus::SUCCESS);
                host.complete_transfer(id, Status::SUCCESS);
                answers.push(complete.request_id.get());
                true
            })
            .unwrap();
    };
    for request_id in [1, 0, u32::MAX, 7, 7, 7, 7, 7] {
        script.host.reply(&ask(request_id));
        run(&mut script);
    }
    // While every place is taken, one question waits; the last one counts.
    let ids: Vec<_> = (0..4).map(|_| script.nic.keepalive().unwrap()).collect();
    script.host.reply(&ask(8));
    script.host.reply(&ask(9));
    script.poll().unwrap();
    run(&mut script);
    assert_eq!(answers, [1, 0, u32::MAX, 7, 7, 7, 7, 7, 9]);
    assert_eq!(script.answered, ids);
    assert_eq!((script.queue.outstanding(), script.events.len()), (0, 4));
    script.alive();
}

#[test]
fn messages_that_nobody_knows_are_passed_over() {
    let mut script = Script::<4096>::up();
    for number in [130_u32, 137, 0x1_0000] {
        script
            .host
            .write(0, Descriptor::InBand, &[number.to_le_bytes(), [0; 4]].concat());
        script.run().unwrap();
        let event = Event::UnknownMessage(MessageType::new(number));
        assert_eq!(script.events.pop(), Some(format!("{event:?}")));
    }
    script.alive();
    // As an answer it is a breach.
    script
        .host
        .write(u64::MAX, Descriptor::Completion, &[137, 0, 0, 0, 0, 0, 0, 0]);
    let fault = Fault::Message(DecodeError::NvspType(MessageType::new(137)));
    assert_eq!(script.poll(), Err(fault));
    script.dead(fault);
}

#[test]
fn frames_that_come_before_the_filter_is_answered() {
    let mut script = Script::<4096>::new(|_| ());
    script.run().unwrap();
    script.nic.set_packet_filter(PacketFilter::DIRECTED).unwrap();
    script
        .run_with(&mut |host, _, _| {
            host.give(7, &plain(1));
            false
        })
        .unwrap();
    assert_eq!(script.frames, [frame(MAC, 1, 60)]);
}

#[test]
fn case_05_an_answer_with_the_id_of_an_older_request() {
    for other in [0x100_u32, 0x8000_0000, 0x200] {
        let mut script = Script::<4096>::up();
        let id = script.nic.keepalive().unwrap();
        let mut named = 0;
        let answer = script.run_with(&mut |host, transaction, ask| {
            let Ask::Rndis(netvsc_proto::wire::rndis_message::GuestMessage::Keepalive(request)) = ask else {
                return false;
            };
            host.complete_transfer(transaction, Status::SUCCESS);
            named = request.request_id.get() ^ other;
            let complete = rndis::Complete {
                request_id: named.into(),
                status: RndisStatus::SUCCESS,
            };
            host.reply(&RndisHost::KeepaliveComplete(complete));
            true
        });
        let fault = Fault::Answer {
            message: Rndis::KEEPALIVE_COMPLETE,
            request_id: named,
        };
        assert_eq!(answer, Err(fault));
        assert_eq!(script.nic.abort(), Some(id));
        script.dead(fault);
    }
}
