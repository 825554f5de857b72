//! Ranges of the receive buffer, and what is in them.

use netvsc_proto::guest::Fault;
use netvsc_proto::wire::nvsp::{ChannelType, NO_SECTION, Status};
use vmbus_proto::ringbuf::{ControlWord, Descriptor, RangeFault, RingMem, TransferPageRange};

use super::plain;
use crate::scripted::{RECEIVE_LEN, Script};
use crate::support::{MAC, frame, packet, rndis_packet};

#[test]
fn case_02_range_counts_that_cannot_be() {
    for count in [u32::MAX - 2, u32::MAX - 1, u32::MAX, 2, 0x1000_0000, 0x2000_0001] {
        let mut script = Script::<4096>::up();
        let at = RingMem::load(script.host.rings.outgoing.mem(), ControlWord::WriteIndex);
        script.host.give(7, &plain(1));
        // The count stands at byte 20 of the packet.
        script
            .host
            .rings
            .outgoing
            .mem()
            .write(at + 20, &count.to_le_bytes());
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
