//! RNDIS messages and per-packet info that make no sense.

use netvsc_proto::guest::{Event, Fault};
use netvsc_proto::wire::DecodeError;
use netvsc_proto::wire::nvsp::ChannelType;
use netvsc_proto::wire::ppi::{PpiFault, PpiType};
use netvsc_proto::wire::rndis::{self, MessageType as Rndis};
use netvsc_proto::wire::rndis_message::HostMessage as RndisHost;
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::ringbuf::TransferPageRange;

use super::plain;
use crate::scripted::Script;
use crate::support::{MAC, frame, packet};

fn ppi_record(size: u32, kind: u32, offset: u32) -> Vec<u8> {
    [size, kind, offset, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect()
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
    script.told_only(&Event::Answered {
        id,
        status: RndisStatus::SUCCESS,
        info: &[],
    });
    assert_eq!(script.reads.borrow().iter().copied().max(), Some(1));
    script.alive();
}
