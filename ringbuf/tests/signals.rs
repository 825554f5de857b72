//! When each end signals the other.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "tests"
)]

use vmbus_ringbuf::mem::ArrayRing;
use vmbus_ringbuf::{
    Consumer, ControlWord, Descriptor, Outgoing, Producer, RingMem, Signal, WriteError, in_band_size,
};

const LEN: u32 = 4096;
type Ring = ArrayRing<{ LEN as usize / 8 }>;

fn packet<'a>(payload: &'a [&'a [u8]]) -> Outgoing<'a> {
    Outgoing {
        transaction_id: 1,
        request_completion: false,
        descriptor: Descriptor::InBand,
        payload,
    }
}

fn read(consumer: &mut Consumer<&Ring>) -> bool {
    consumer.read(&mut [0; LEN as usize]).unwrap().is_some()
}

#[test]
fn a_producer_signals_when_the_ring_was_empty_only() {
    let ring = Ring::new();
    let (mut producer, mut consumer) = (Producer::new(&ring).unwrap(), Consumer::new(&ring).unwrap());
    assert_eq!(producer.write(&packet(&[])), Ok(Signal::Needed));
    assert_eq!(producer.write(&packet(&[])), Ok(Signal::NotNeeded));
    // Reading does not empty it, releasing does.
    while read(&mut consumer) {}
    assert_eq!(producer.write(&packet(&[])), Ok(Signal::NotNeeded));
    assert!(read(&mut consumer));
    assert_eq!(consumer.release(), Signal::NotNeeded);
    assert_eq!(producer.write(&packet(&[])), Ok(Signal::Needed));
}

#[test]
fn a_batch_is_one_publish_and_one_signal() {
    let ring = Ring::new();
    let (mut producer, mut consumer) = (Producer::new(&ring).unwrap(), Consumer::new(&ring).unwrap());
    let mut batch = producer.batch();
    for _ in 0..5 {
        batch.push(&packet(&[&[1; 8]])).unwrap();
        assert_eq!(ring.load(ControlWord::WriteIndex), 0);
        assert!(!read(&mut consumer));
    }
    assert_eq!(batch.publish(), Signal::Needed);
    assert_eq!(ring.load(ControlWord::WriteIndex), 5 * 32);
    for _ in 0..5 {
        assert!(read(&mut consumer));
        assert_eq!(ring.load(ControlWord::ReadIndex), 0);
    }
    assert_eq!(consumer.release(), Signal::NotNeeded);
    assert_eq!(ring.load(ControlWord::ReadIndex), 5 * 32);
    assert_eq!(producer.batch().publish(), Signal::NotNeeded);
    assert_eq!(producer.is_drained(), Ok(true));
}

#[test]
fn room_comes_back_by_parts() {
    let ring = Ring::new();
    let (mut producer, mut consumer) = (Producer::new(&ring).unwrap(), Consumer::new(&ring).unwrap());
    // Of 32 bytes each: 16 are an eighth of the ring.
    while producer.write(&packet(&[&[1; 8]])).is_ok() {}
    for count in 1..=40 {
        assert!(read(&mut consumer));
        // The producer has asked for room for one packet.
        let signal = consumer.release_part();
        assert_eq!(signal.is_needed(), count == 16, "{count}");
        assert_eq!(ring.load(ControlWord::ReadIndex), count / 16 * 512);
    }
    // What remains has to be released before sleeping.
    assert!(consumer.unmask_interrupts());
    assert_eq!(consumer.release(), Signal::NotNeeded);
    assert_eq!(ring.load(ControlWord::ReadIndex), 40 * 32);
}

#[test]
fn a_batch_that_is_dropped_was_never_there() {
    let ring = Ring::new();
    let (mut producer, mut consumer) = (Producer::new(&ring).unwrap(), Consumer::new(&ring).unwrap());
    let free = producer.writable();
    let mut batch = producer.batch();
    batch.push(&packet(&[b"dropped!"])).unwrap();
    drop(batch);
    assert_eq!(producer.writable(), free);
    let mut batch = producer.batch();
    drop(batch.start(&packet(&[]), 8).unwrap());
    batch.push(&packet(&[b"kept kept kept"])).unwrap();
    assert_eq!(batch.publish(), Signal::Needed);
    let mut scratch = [0; 64];
    assert_eq!(
        consumer.read(&mut scratch).unwrap().unwrap().payload(),
        b"kept kept kept\0\0"
    );
    assert!(!read(&mut consumer));
}

#[test]
fn a_masked_consumer_is_not_signalled_and_looks_again() {
    let ring = Ring::new();
    let (mut producer, mut consumer) = (Producer::new(&ring).unwrap(), Consumer::new(&ring).unwrap());
    consumer.mask_interrupts();
    assert_eq!(producer.write(&packet(&[])), Ok(Signal::NotNeeded));
    assert!(consumer.unmask_interrupts(), "it came while masked");
    consumer.mask_interrupts();
    assert!(read(&mut consumer));
    assert!(
        consumer.unmask_interrupts(),
        "what is not released keeps the producer from signalling"
    );
    assert_eq!(consumer.release(), Signal::NotNeeded);
    assert!(!consumer.unmask_interrupts());
    assert_eq!(producer.write(&packet(&[])), Ok(Signal::Needed));
}

/// Whether a receiver that changes the free bytes from one number to another signals a sender with this pending size.
type Signals = fn(before: u32, after: u32, pending: u32) -> bool;

/// Receivers as others build them.
const RECEIVERS: [(&str, Signals); 4] = [
    ("Linux 6.1 hv_pkt_iter_close", |before, after, pending| {
        before <= pending && after > pending
    }),
    // But that QEMU counts an empty ring as one without free bytes, and does not signal when all is read at once.
    ("QEMU vmbus_channel_recv_done", |before, after, pending| {
        before < pending && after >= pending
    }),
    ("OpenVMM commit_read", |before, after, pending| {
        before - 8 < pending & !7 && after - 8 >= pending & !7
    }),
    ("this crate", |before, after, pending| {
        let span = vmbus_ringbuf::model::Span::new(LEN).unwrap();
        // With the write index at 0, the read index is what is free.
        span.room_crossed(0, before % LEN, after % LEN, pending)
    }),
];

#[test]
fn every_known_receiver_signals_exactly_when_the_packet_fits() {
    for payload_len in (0..3000).step_by(8) {
        let ring = Ring::new();
        let mut producer = Producer::new(&ring).unwrap();
        let _ = producer.write(&packet(&[&vec![0; 4040]])).unwrap();
        let needed = in_band_size(payload_len) as u32;
        assert!(
            matches!(
                producer.write(&packet(&[&vec![0; payload_len]])),
                Err(WriteError::Full { .. })
            ) || needed < 32
        );
        let pending = ring.load(ControlWord::PendingSendSize);
        if pending == 0 {
            continue;
        }
        for (name, signals) in RECEIVERS {
            for before in (8..LEN).step_by(8) {
                for after in [before + 8, before + 24, needed, needed + 8, LEN] {
                    if after <= before || after > LEN {
                        continue;
                    }
                    let fits = before <= needed && after > needed;
                    let signalled = signals(before, after, pending);
                    assert!(
                        signalled || !fits,
                        "{name} leaves {needed} waiting from {before} to {after}"
                    );
                    // Ours is lenient by one unit, for senders of the other kinds.
                    assert!(
                        !signalled || fits || (name == "this crate" && before <= needed && after >= needed)
                    );
                }
            }
        }
    }
}

#[test]
fn waiting_ends_with_a_packet_of_that_size_or_by_request() {
    let ring = Ring::new();
    let (mut producer, mut consumer) = (Producer::new(&ring).unwrap(), Consumer::new(&ring).unwrap());
    let pending = || ring.load(ControlWord::PendingSendSize);
    let _ = producer.write(&packet(&[&[0; 3000]])).unwrap();
    let full = producer.write(&packet(&[&[0; 2000]]));
    assert_eq!(
        full,
        Err(WriteError::Full {
            needed: 2024,
            free: 4096 - 3024
        })
    );
    assert_eq!(pending(), 2025);
    // A smaller packet does not end the wait for the larger one.
    let _ = producer.write(&packet(&[&[0; 8]])).unwrap();
    assert_eq!(pending(), 2025);
    assert!(read(&mut consumer));
    assert_eq!(consumer.release(), Signal::Needed);
    let _ = producer.write(&packet(&[&[0; 2000]])).unwrap();
    assert_eq!(pending(), 0);
    assert!(read(&mut consumer) && read(&mut consumer));
    assert_eq!(consumer.release(), Signal::NotNeeded);

    assert_eq!(producer.set_pending_send_size(100), Ok(true), "there is room now");
    producer.clear_pending_send_size();
    assert_eq!(pending(), 0);
    let _ = producer.write(&packet(&[&[0; 4000]])).unwrap();
    assert_eq!(producer.writable(), Ok(4096 - 4024 - 32));
    assert_eq!(producer.set_pending_send_size(41), Ok(false));
    assert_eq!(pending(), 24 + 48 + 1);
    assert!(matches!(
        producer.set_pending_send_size(4096),
        Err(WriteError::TooLarge {
            needed: 4120,
            max: 4088
        })
    ));
}

#[test]
fn what_is_writable_is_writable() {
    for used in (0..4000).step_by(104) {
        let ring = Ring::new();
        let mut producer = Producer::new(&ring).unwrap();
        let _ = producer.write(&packet(&[&vec![0; used]])).unwrap();
        let writable = producer.writable().unwrap() as usize;
        assert!(producer.write(&packet(&[&vec![0; writable + 1]])).is_err());
        assert!(producer.write(&packet(&[&vec![0; writable]])).is_ok());
        assert_eq!(producer.writable(), Ok(0));
    }
}

#[test]
fn a_batch_that_fills_the_ring_shows_it_so_that_room_can_be_made() {
    let ring = Ring::new();
    let (mut producer, mut consumer) = (Producer::new(&ring).unwrap(), Consumer::new(&ring).unwrap());
    let mut batch = producer.batch();
    batch.push(&packet(&[&[1; 3000]])).unwrap();
    assert!(matches!(
        batch.push(&packet(&[&[2; 3000]])),
        Err(WriteError::Full { .. })
    ));
    // The receiver does its part while the batch goes on.
    assert!(read(&mut consumer));
    assert_eq!(consumer.release(), Signal::Needed);
    batch.push(&packet(&[&[3; 3000]])).unwrap();
    assert!(!read(&mut consumer));
    // What was published early found the ring empty: that signal is told now.
    assert_eq!(batch.publish(), Signal::Needed);
    assert!(read(&mut consumer));
}

#[test]
fn a_signal_owed_by_a_dropped_batch_is_told_by_the_next_write() {
    let ring = Ring::new();
    let mut producer = Producer::new(&ring).unwrap();
    let mut batch = producer.batch();
    batch.push(&packet(&[&[1; 3000]])).unwrap();
    assert!(batch.push(&packet(&[&[2; 3000]])).is_err());
    drop(batch);
    assert_eq!(producer.write(&packet(&[])), Ok(Signal::Needed));
    assert_eq!(producer.write(&packet(&[])), Ok(Signal::NotNeeded));
}

#[test]
fn a_producer_announces_the_pending_send_size() {
    let ring = Ring::new();
    ring.store(ControlWord::PendingSendSize, 99);
    let _producer = Producer::new(&ring).unwrap();
    assert_eq!(ring.load(ControlWord::FeatureBits), 1);
    assert_eq!(ring.load(ControlWord::PendingSendSize), 0);
}
