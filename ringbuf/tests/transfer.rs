//! Packets of every kind, through every kind of memory.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use support::Pages;
use vmbus_ringbuf::gpa::GpaRange;
use vmbus_ringbuf::mem::ArrayRing;
use vmbus_ringbuf::{
    Consumer, Descriptor, Outgoing, PacketType, Producer, ReadError, RingMem, Signal, TransferPageRange,
    WriteError,
};
use zerocopy::little_endian::U64;

fn in_band<'a>(transaction_id: u64, payload: &'a [&'a [u8]]) -> Outgoing<'a> {
    Outgoing {
        transaction_id,
        request_completion: false,
        descriptor: Descriptor::InBand,
        payload,
    }
}

/// Sends packets of all lengths around the ring several times.
fn round_and_round<M: RingMem>(send: M, receive: M) {
    let mut producer = Producer::new(send).unwrap();
    let mut consumer = Consumer::new(receive).unwrap();
    let data: Vec<u8> = (0..6000u32).map(|i| (i * 7 + i / 256) as u8).collect();
    let mut scratch = vec![0; consumer.max_scratch()];
    for len in 0..data.len() {
        let (head, tail) = data[..len].split_at(len / 3);
        let signal = producer.write(&in_band(len as u64, &[head, tail])).unwrap();
        assert_eq!(signal, Signal::Needed);
        let packet = consumer.read(&mut scratch).unwrap().unwrap();
        assert_eq!(packet.kind(), PacketType::IN_BAND);
        assert_eq!(packet.transaction_id(), len as u64);
        assert_eq!(packet.payload().len(), len.next_multiple_of(8));
        assert_eq!(&packet.payload()[..len], &data[..len]);
        assert!(packet.payload()[len..].iter().all(|&byte| byte == 0));
        assert_eq!(consumer.read(&mut scratch), Ok(None));
        assert_eq!(consumer.release(), Signal::NotNeeded);
    }
}

#[test]
fn contiguous_memory() {
    let pages = Pages::new(3);
    round_and_round(pages.contiguous(), pages.contiguous());
}

#[test]
fn memory_of_atomics() {
    let ring = ArrayRing::<1024>::new();
    round_and_round(&ring, &ring);
}

#[test]
fn page_list_memory() {
    let pages = Pages::new(6);
    round_and_round(pages.page_list(), pages.page_list());
}

#[test]
fn lists_of_pages_and_ranges_arrive() {
    let pages = Pages::new(2);
    let mut producer = Producer::new(pages.contiguous()).unwrap();
    let mut consumer = Consumer::new(pages.contiguous()).unwrap();
    let mut scratch = [0; 256];

    let pfns = [U64::new(0x10), U64::new(0x11), U64::new(0x20)];
    let ranges = [
        GpaRange::new(0x800, 0x1900, &pfns).unwrap(),
        GpaRange::new(0, 0x10, &pfns[..1]).unwrap(),
    ];
    let packet = Outgoing {
        transaction_id: 7,
        request_completion: true,
        descriptor: Descriptor::GpaDirect(&ranges),
        payload: &[b"command"],
    };
    assert_eq!(producer.write(&packet), Ok(Signal::Needed));
    let read = consumer.read(&mut scratch).unwrap().unwrap();
    assert!(read.wants_completion());
    assert_eq!(read.payload(), b"command\0");
    let gpa = read.gpa_ranges().unwrap();
    assert_eq!(gpa.total_bytes(), 0x1910);
    assert_eq!(gpa.clone().collect::<Vec<_>>(), ranges);
    assert_eq!(
        gpa.segments().collect::<Vec<_>>(),
        [(0x10800, 0x1800), (0x20000, 0x100), (0x10000, 0x10)]
    );

    let ranges = [TransferPageRange::new(0, 100), TransferPageRange::new(4096, 60)];
    let packet = Outgoing {
        transaction_id: 8,
        request_completion: true,
        descriptor: Descriptor::TransferPages {
            set_id: 0xcafe,
            ranges: &ranges,
        },
        payload: &[],
    };
    assert_eq!(producer.write(&packet), Ok(Signal::NotNeeded));
    let read = consumer.read_descriptor(&mut scratch).unwrap().unwrap();
    assert_eq!(read.transfer_set_id(), Ok(0xcafe));
    assert_eq!(read.transfer_ranges(), Ok(&ranges[..]));
}

#[test]
fn a_scratch_too_small_loses_nothing() {
    let pages = Pages::new(2);
    let mut producer = Producer::new(pages.contiguous()).unwrap();
    let mut consumer = Consumer::new(pages.contiguous()).unwrap();
    let _ = producer.write(&in_band(1, &[&[1; 32]])).unwrap();
    let _ = producer.write(&in_band(2, &[&[2; 8]])).unwrap();
    let error = ReadError::ScratchTooSmall { needed: 32, len: 16 };
    assert_eq!(consumer.read(&mut [0; 16]), Err(error));
    assert_eq!(consumer.read(&mut [0; 16]), Err(error));
    assert_eq!(consumer.read(&mut [0; 32]).unwrap().unwrap().payload(), [1; 32]);
    assert_eq!(consumer.skip(), Ok(true));
    assert_eq!(consumer.skip(), Ok(false));
}

#[test]
fn a_full_ring_asks_for_a_signal_and_gets_one() {
    let pages = Pages::new(2);
    let mut producer = Producer::new(pages.contiguous()).unwrap();
    let mut consumer = Consumer::new(pages.contiguous()).unwrap();
    let mut batch = producer.batch();
    // 1008 bytes each, so that 64 are left of 4096.
    for id in 0..4 {
        batch.push(&in_band(id, &[&[0; 984]])).unwrap();
    }
    assert_eq!(
        batch.push(&in_band(4, &[&[0; 984]])),
        Err(WriteError::Full {
            needed: 1008,
            free: 64
        })
    );
    assert_eq!(batch.publish(), Signal::Needed);
    assert!(matches!(
        producer.write(&in_band(9, &[&[0; 9000]])),
        Err(WriteError::TooLarge { .. })
    ));
    assert!(consumer.read(&mut [0; 984]).unwrap().is_some());
    assert_eq!(consumer.release(), Signal::Needed);
    assert!(producer.write(&in_band(4, &[&[0; 984]])).is_ok());
    assert!(consumer.read(&mut [0; 984]).unwrap().is_some());
    assert_eq!(consumer.release(), Signal::NotNeeded);
}
