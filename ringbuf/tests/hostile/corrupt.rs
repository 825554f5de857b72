//! Indices and lengths that cannot be: an end finds the ring corrupt, and leaves it alone from then on.

use vmbus_ringbuf::mem::ArrayRing;
use vmbus_ringbuf::{Consumer, ControlWord, PacketType, Producer, ReadError, RingFault, RingMem, WriteError};

use crate::{LEN, WORDS, head, in_band, ring, set};

#[test]
fn case_06_an_own_index_is_private_and_wins() {
    for garbage in [0, 8, 16, 24, LEN - 8, LEN, 7, u32::MAX] {
        let ring = ArrayRing::<WORDS>::new();
        let mut producer = Producer::new(&ring).unwrap();
        let mut consumer = Consumer::new(&ring).unwrap();
        let mut scratch = [0; 64];
        let mut at = 0;
        for id in 0..50 {
            set(&ring, ControlWord::WriteIndex, garbage);
            let _ = producer.write(&in_band(id, &[&[id as u8; 16]])).unwrap();
            at = (at + 40) % LEN;
            assert_eq!(
                ring.load(ControlWord::WriteIndex),
                at,
                "published from the private index"
            );
            set(&ring, ControlWord::ReadIndex, garbage);
            let packet = consumer.read(&mut scratch).unwrap().unwrap();
            assert_eq!(
                (packet.transaction_id(), packet.payload()),
                (id, &[id as u8; 16][..])
            );
            let _ = consumer.release();
            assert_eq!(
                ring.load(ControlWord::ReadIndex),
                at,
                "published from the private index"
            );
        }
    }
}

#[test]
fn case_07_a_consumer_finds_the_ring_corrupt_and_it_stays_so() {
    let in_band = PacketType::IN_BAND;
    let (at, data_len) = (0, LEN);
    let cases = [
        // What is available, len8 and offset8, and what that is.
        (
            40,
            2,
            5,
            RingFault::PacketLength {
                at,
                len8: 5,
                available: 40,
            },
        ),
        (
            40,
            2,
            6,
            RingFault::PacketLength {
                at,
                len8: 6,
                available: 40,
            },
        ),
        (
            40,
            2,
            0xffff,
            RingFault::PacketLength {
                at,
                len8: 0xffff,
                available: 40,
            },
        ),
        (
            40,
            3,
            2,
            RingFault::PayloadOffset {
                at,
                offset8: 3,
                len8: 2,
            },
        ),
        (
            40,
            0xffff,
            4,
            RingFault::PayloadOffset {
                at,
                offset8: 0xffff,
                len8: 4,
            },
        ),
        (
            40,
            2,
            1,
            RingFault::PayloadOffset {
                at,
                offset8: 2,
                len8: 1,
            },
        ),
        (
            40,
            2,
            0,
            RingFault::PayloadOffset {
                at,
                offset8: 2,
                len8: 0,
            },
        ),
        (
            40,
            1,
            4,
            RingFault::PayloadOffset {
                at,
                offset8: 1,
                len8: 4,
            },
        ),
        (
            40,
            0,
            0,
            RingFault::PayloadOffset {
                at,
                offset8: 0,
                len8: 0,
            },
        ),
        (8, 2, 2, RingFault::Fragment { at, available: 8 }),
        (16, 2, 2, RingFault::Fragment { at, available: 16 }),
        (
            24,
            2,
            3,
            RingFault::PacketLength {
                at,
                len8: 3,
                available: 24,
            },
        ),
    ];
    for (available, offset8, len8, fault) in cases {
        let ring = ring(&[head(in_band, offset8, len8)], available);
        let mut consumer = Consumer::new(&ring).unwrap();
        stays_corrupt(&ring, &mut consumer, fault);
    }
    for index in [4, 36, LEN, LEN + 8, u32::MAX, u32::MAX - 7] {
        let fault = RingFault::WriteIndex { index, data_len };
        let ring = ring(&[head(in_band, 2, 2)], index);
        assert_eq!(Consumer::new(&ring).unwrap_err(), fault, "at the start");
        set(&ring, ControlWord::WriteIndex, 0);
        let mut consumer = Consumer::new(&ring).unwrap();
        set(&ring, ControlWord::WriteIndex, index);
        stays_corrupt(&ring, &mut consumer, fault);
    }
    // Backwards: 24 bytes were read, and now 8 were written.
    let ring = ring(&[head(in_band, 2, 2)], 24);
    let mut consumer = Consumer::new(&ring).unwrap();
    assert!(consumer.read(&mut []).unwrap().is_some());
    set(&ring, ControlWord::WriteIndex, 8);
    stays_corrupt(
        &ring,
        &mut consumer,
        RingFault::WriteIndexMoved {
            from: 24,
            to: 8,
            read: 0,
        },
    );
}

fn stays_corrupt(ring: &ArrayRing<WORDS>, consumer: &mut Consumer<&ArrayRing<WORDS>>, fault: RingFault) {
    let mut scratch = [0; LEN as usize];
    assert_eq!(consumer.read(&mut scratch), Err(ReadError::Fault(fault)));
    // Whatever the peer does now.
    ring.write_word(0, head(PacketType::IN_BAND, 2, 2));
    set(ring, ControlWord::WriteIndex, 24);
    let read_index = ring.load(ControlWord::ReadIndex);
    assert_eq!(consumer.read(&mut scratch), Err(ReadError::Fault(fault)));
    assert_eq!(
        consumer.read_descriptor(&mut scratch),
        Err(ReadError::Fault(fault))
    );
    assert_eq!(consumer.skip(), Err(fault));
    assert_eq!(consumer.fault(), Some(fault));
    assert!(!consumer.release().is_needed());
    assert_eq!(
        ring.load(ControlWord::ReadIndex),
        read_index,
        "a corrupt ring is left alone"
    );
    assert!(
        consumer.unmask_interrupts(),
        "who looks again learns of the fault"
    );
}

#[test]
fn case_07_a_producer_finds_the_ring_corrupt_and_it_stays_so() {
    let data_len = LEN;
    // Never beyond what was published, never backwards, never out of range.
    let moved = |to| RingFault::ReadIndexMoved {
        from: 24,
        to,
        written: 72,
    };
    let cases = [
        (80, moved(80)),
        (LEN - 8, moved(LEN - 8)),
        (16, moved(16)),
        (0, moved(0)),
        (LEN, RingFault::ReadIndex { index: LEN, data_len }),
        (28, RingFault::ReadIndex { index: 28, data_len }),
        (
            u32::MAX,
            RingFault::ReadIndex {
                index: u32::MAX,
                data_len,
            },
        ),
    ];
    for (index, fault) in cases {
        let ring = ArrayRing::<WORDS>::new();
        let mut producer = Producer::new(&ring).unwrap();
        for id in 0..3 {
            let _ = producer.write(&in_band(id, &[])).unwrap();
        }
        set(&ring, ControlWord::ReadIndex, 24);
        assert!(producer.writable().is_ok());
        set(&ring, ControlWord::ReadIndex, index);
        assert_eq!(producer.writable(), Err(fault));
        // Whatever the peer does now.
        set(&ring, ControlWord::ReadIndex, 72);
        let write_index = ring.load(ControlWord::WriteIndex);
        assert_eq!(producer.write(&in_band(9, &[])), Err(WriteError::Fault(fault)));
        assert_eq!(
            producer.batch().push(&in_band(9, &[])),
            Err(WriteError::Fault(fault))
        );
        assert_eq!(producer.set_pending_send_size(8), Err(WriteError::Fault(fault)));
        assert_eq!(producer.is_drained(), Err(fault));
        assert_eq!(producer.fault(), Some(fault));
        assert_eq!(
            ring.load(ControlWord::WriteIndex),
            write_index,
            "a corrupt ring is left alone"
        );
        assert_eq!(ring.load(ControlWord::PendingSendSize), 0);
    }
    // Beyond what was published, and not beyond what was written.
    let ring = ArrayRing::<WORDS>::new();
    let mut producer = Producer::new(&ring).unwrap();
    for id in 0..3 {
        let _ = producer.write(&in_band(id, &[])).unwrap();
    }
    let mut batch = producer.batch();
    for id in 3..9 {
        batch.push(&in_band(id, &[])).unwrap();
    }
    set(&ring, ControlWord::ReadIndex, 96);
    let fault = RingFault::ReadIndexMoved {
        from: 0,
        to: 96,
        written: 72,
    };
    let larger = in_band(9, &[&[0; 32]]);
    assert_eq!(batch.push(&larger), Err(WriteError::Fault(fault)));
    drop(batch);
    assert_eq!(ring.load(ControlWord::WriteIndex), 72);
    for index in [4, LEN] {
        let ring = ArrayRing::<WORDS>::new();
        set(&ring, ControlWord::ReadIndex, index);
        assert_eq!(
            Producer::new(&ring).unwrap_err(),
            RingFault::ReadIndex { index, data_len }
        );
        assert_eq!(
            Consumer::new(&ring).unwrap_err(),
            RingFault::ReadIndex { index, data_len }
        );
    }
}

#[test]
fn a_fault_found_while_publishing_is_told_by_the_next_write() {
    let ring = ArrayRing::<WORDS>::new();
    let mut producer = Producer::new(&ring).unwrap();
    set(&ring, ControlWord::ReadIndex, 4);
    assert!(!producer.write(&in_band(1, &[])).unwrap().is_needed());
    let fault = RingFault::ReadIndex {
        index: 4,
        data_len: LEN,
    };
    assert_eq!(producer.write(&in_band(2, &[])), Err(WriteError::Fault(fault)));
}
