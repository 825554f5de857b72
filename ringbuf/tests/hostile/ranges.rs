//! Counts of ranges that cannot be, and lists where there are none.

use vmbus_ringbuf::mem::ArrayRing;
use vmbus_ringbuf::{Consumer, ControlWord, PacketType, RangeFault, RingMem, TransferPageRange};

use crate::{head, ring};

#[test]
fn case_02_absurd_range_counts_are_refused_and_can_be_answered() {
    for count in [0xffff_fffd_u32, 0xffff_fffe, 0xffff_ffff, 3] {
        let counted = u64::from(count) << 32;
        for (kind, fits) in [(PacketType::TRANSFER_PAGES, 2), (PacketType::GPA_DIRECT, 1)] {
            // A descriptor with 16 bytes of ranges, and 8 bytes of payload.
            let bad = [head(kind, 5, 6), 77, counted | 0xcafe, 1 << 32 | 1, 0, 0, 0];
            let mut ring = ring(&bad, 56);
            let mut consumer = Consumer::new(&ring).unwrap();
            let mut scratch = [0; 64];
            let packet = consumer.read(&mut scratch).unwrap().unwrap();
            assert_eq!(packet.transaction_id(), 77);
            let fault = RangeFault::Count { count, len: 16 };
            match kind {
                PacketType::TRANSFER_PAGES => assert_eq!(packet.transfer_ranges(), Err(fault)),
                _ => assert_eq!(packet.gpa_ranges().unwrap_err(), fault),
            }
            // The ring goes on.
            assert_eq!(consumer.read(&mut scratch), Ok(None));
            assert_eq!(consumer.fault(), None);
            // The most that there is room for is no fault of the count.
            ring = ArrayRing::new();
            ring.write_word(0, head(kind, 5, 6));
            ring.write_word(16, fits << 32);
            ring.store(ControlWord::WriteIndex, 56);
            let mut consumer = Consumer::new(&ring).unwrap();
            let packet = consumer.read(&mut scratch).unwrap().unwrap();
            match kind {
                PacketType::TRANSFER_PAGES => assert_eq!(
                    packet.transfer_ranges(),
                    Ok(&[TransferPageRange::new(0, 0); 2][..])
                ),
                _ => assert_eq!(packet.gpa_ranges().unwrap_err(), RangeFault::Empty { range: 0 }),
            }
        }
    }
}

#[test]
fn lists_are_only_in_packets_of_their_type() {
    let ring = ring(
        &[
            head(PacketType::IN_BAND, 2, 2),
            1,
            0,
            head(PacketType::GPA_DIRECT, 2, 3),
            2,
            0,
            0,
        ],
        56,
    );
    let mut consumer = Consumer::new(&ring).unwrap();
    let mut scratch = [0; 64];
    let packet = consumer.read(&mut scratch).unwrap().unwrap();
    let kind = RangeFault::Kind {
        kind: PacketType::IN_BAND,
    };
    assert_eq!(packet.gpa_ranges().unwrap_err(), kind);
    assert_eq!(packet.transfer_ranges().unwrap_err(), kind);
    assert_eq!(packet.transfer_set_id().unwrap_err(), kind);
    let packet = consumer.read(&mut scratch).unwrap().unwrap();
    assert_eq!(packet.gpa_ranges().unwrap_err(), RangeFault::NoCount { len: 0 });
}
