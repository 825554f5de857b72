//! Packets of every kind, through every kind of memory.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "tests"
)]

mod support;

use proptest::prelude::*;
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

/// What a packet is made of.
#[derive(Clone, Debug)]
enum Plain {
    InBand,
    Completion,
    GpaDirect(Vec<(u32, u32, Vec<u64>)>),
    TransferPages(u16, Vec<(u32, u32)>),
}

fn plain() -> impl Strategy<Value = Plain> {
    let range = (0..4096u32, 1..9000u32, any::<u64>()).prop_map(|(offset, count, first)| {
        let pages = u64::from((offset + count).div_ceil(4096));
        (
            offset,
            count,
            (0..pages).map(|page| (first >> 13) + page * 3).collect(),
        )
    });
    prop_oneof![
        Just(Plain::InBand),
        Just(Plain::Completion),
        prop::collection::vec(range, 0..6).prop_map(Plain::GpaDirect),
        (any::<u16>(), prop::collection::vec(any::<(u32, u32)>(), 0..20))
            .prop_map(|(set_id, ranges)| Plain::TransferPages(set_id, ranges)),
    ]
}

proptest! {
    #[test]
    fn packets_of_every_kind_arrive_as_they_were_sent(
        packets in prop::collection::vec(
            (any::<u64>(), any::<bool>(), plain(), prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 0..4)),
            1..30,
        ),
    ) {
        let pages = Pages::new(3);
        let mut producer = Producer::new(pages.page_list()).unwrap();
        let mut consumer = Consumer::new(pages.page_list()).unwrap();
        let mut scratch = vec![0; consumer.max_scratch()];
        for (transaction_id, request_completion, plain, payload) in packets {
            let pieces: Vec<&[u8]> = payload.iter().map(Vec::as_slice).collect();
            let pfns: Vec<Vec<U64>> = match &plain {
                Plain::GpaDirect(ranges) => {
                    ranges.iter().map(|(_, _, pfns)| pfns.iter().copied().map(U64::new).collect()).collect()
                }
                _ => vec![],
            };
            let gpa: Vec<GpaRange<'_>> = match &plain {
                Plain::GpaDirect(ranges) => ranges
                    .iter()
                    .zip(&pfns)
                    .map(|((offset, count, _), pfns)| GpaRange::new(*offset, *count, pfns).unwrap())
                    .collect(),
                _ => vec![],
            };
            let transfer: Vec<TransferPageRange> = match &plain {
                Plain::TransferPages(_, ranges) => {
                    ranges.iter().map(|(offset, count)| TransferPageRange::new(*offset, *count)).collect()
                }
                _ => vec![],
            };
            let (kind, descriptor) = match plain {
                Plain::InBand => (PacketType::IN_BAND, Descriptor::InBand),
                Plain::Completion => (PacketType::COMPLETION, Descriptor::Completion),
                Plain::GpaDirect(_) => (PacketType::GPA_DIRECT, Descriptor::GpaDirect(&gpa)),
                Plain::TransferPages(set_id, _) => {
                    (PacketType::TRANSFER_PAGES, Descriptor::TransferPages { set_id, ranges: &transfer })
                }
            };
            let packet = Outgoing { transaction_id, request_completion, descriptor, payload: &pieces };
            prop_assert_eq!(producer.write(&packet), Ok(Signal::Needed));
            let read = consumer.read(&mut scratch).unwrap().unwrap();
            prop_assert_eq!(read.kind(), kind);
            prop_assert_eq!(read.transaction_id(), transaction_id);
            prop_assert_eq!(read.wants_completion(), request_completion);
            let mut sent = pieces.concat();
            sent.resize(sent.len().next_multiple_of(8), 0);
            prop_assert_eq!(read.payload(), sent);
            match descriptor {
                Descriptor::GpaDirect(_) => prop_assert_eq!(read.gpa_ranges().unwrap().collect::<Vec<_>>(), gpa),
                Descriptor::TransferPages { set_id, ranges } => {
                    prop_assert_eq!(read.transfer_set_id(), Ok(set_id));
                    prop_assert_eq!(read.transfer_ranges(), Ok(ranges));
                }
                _ => prop_assert!(read.extension().is_empty()),
            }
            prop_assert_eq!(consumer.release(), Signal::NotNeeded);
        }
    }

    #[test]
    fn a_packet_built_in_the_ring_is_the_same_as_one_in_pieces(
        start in 0..4096usize,
        first in prop::collection::vec(any::<u8>(), 0..50),
        put in prop::collection::vec(any::<u8>(), 0..50),
        filled in 0..1000usize,
        left_out in 0..600usize,
    ) {
        let ring = ArrayRing::<512>::new();
        let mut producer = Producer::new(&ring).unwrap();
        let mut consumer = Consumer::new(&ring).unwrap();
        let mut scratch = vec![0x55; 4096];
        // Somewhere in the ring, over old bytes that are not zeros.
        for _ in 0..2 {
            let _ = producer.write(&in_band(0, &[&vec![0xee; (start & !7).min(2000)]])).unwrap();
            prop_assert!(consumer.read(&mut scratch).unwrap().is_some());
            let _ = consumer.release();
        }
        let mut batch = producer.batch();
        let mut writer = batch.start(&in_band(3, &[&first]), put.len() + filled + left_out).unwrap();
        writer.put(&put).unwrap();
        let mut seen = 0;
        writer
            .put_with(filled, |done, piece| {
                assert_eq!(done, seen);
                assert!(piece.iter().all(|&byte| byte == 0));
                for (at, byte) in piece.iter_mut().enumerate() {
                    *byte = (done + at) as u8;
                }
                seen += piece.len();
            })
            .unwrap();
        prop_assert_eq!(seen, filled);
        prop_assert_eq!(writer.remaining(), left_out);
        let overrun = WriteError::PayloadOverrun { len: left_out + 1, remaining: left_out };
        prop_assert_eq!(writer.put(&vec![0; left_out + 1]), Err(overrun));
        prop_assert_eq!(writer.put_with(left_out + 1, |_, _| panic!("nothing is put")), Err(overrun));
        writer.finish();
        prop_assert_eq!(batch.publish(), Signal::Needed);
        let mut expected = [first, put, (0..filled).map(|at| at as u8).collect(), vec![0; left_out]].concat();
        expected.resize(expected.len().next_multiple_of(8), 0);
        let packet = consumer.read(&mut scratch).unwrap().unwrap();
        prop_assert_eq!((packet.transaction_id(), packet.payload()), (3, &expected[..]));
    }
}

#[test]
fn the_trailer_tells_where_the_packet_started() {
    let ring = ArrayRing::<512>::new();
    let mut producer = Producer::new(&ring).unwrap();
    let mut at = 0;
    for len in [0, 8, 13] {
        let _ = producer.write(&in_band(1, &[&vec![1; len]])).unwrap();
        let end = at + 16 + len.next_multiple_of(8) as u32;
        assert_eq!(ring.read_head(end)[0], u64::from(at) << 32);
        at = end + 8;
    }
}

#[test]
fn a_descriptor_can_be_read_without_the_payload() {
    let pages = Pages::new(2);
    let mut producer = Producer::new(pages.contiguous()).unwrap();
    let mut consumer = Consumer::new(pages.contiguous()).unwrap();
    let ranges = [TransferPageRange::new(0, 100)];
    let descriptor = Descriptor::TransferPages {
        set_id: 1,
        ranges: &ranges,
    };
    for id in 0..2 {
        let packet = Outgoing {
            transaction_id: id,
            request_completion: true,
            descriptor,
            payload: &[&[9; 500]],
        };
        let _ = producer.write(&packet).unwrap();
    }
    let mut scratch = [0; 16];
    assert_eq!(
        consumer.read_descriptor(&mut []),
        Err(ReadError::ScratchTooSmall { needed: 16, len: 0 })
    );
    let packet = consumer.read_descriptor(&mut scratch).unwrap().unwrap();
    assert_eq!((packet.payload(), packet.payload_len()), (&[][..], 504));
    assert_eq!(packet.transfer_ranges(), Ok(&ranges[..]));
    assert_eq!(consumer.read(&mut [0; 520]).unwrap().unwrap().transaction_id(), 1);
}

#[test]
fn the_largest_packets_are_those_that_fit_and_that_16_bits_can_tell() {
    // A ring smaller than what 16 bits can tell, and a larger one.
    for (pages, max) in [(2, 4096 - 8), (200, 0xffff * 8 + 8)] {
        let pages = Pages::new(pages);
        let mut producer = Producer::new(pages.contiguous()).unwrap();
        let mut consumer = Consumer::new(pages.contiguous()).unwrap();
        let most = max as usize - 24;
        assert_eq!(consumer.max_scratch(), most);
        let large = vec![0x77; most + 1];
        let error = Err(WriteError::TooLarge {
            needed: u64::from(max) + 8,
            max,
        });
        assert_eq!(producer.write(&in_band(1, &[&large])), error);
        assert_eq!(producer.write(&in_band(1, &[&large[..most], &[0]])), error);
        assert!(producer.write(&in_band(1, &[&large[..most]])).is_ok());
        let mut scratch = vec![0; most];
        assert_eq!(
            consumer.read(&mut scratch).unwrap().unwrap().payload(),
            &large[..most]
        );
        // A list that is too long is refused just so.
        let ranges = vec![TransferPageRange::default(); most / 8];
        let descriptor = Descriptor::TransferPages {
            set_id: 0,
            ranges: &ranges,
        };
        let packet = Outgoing {
            transaction_id: 1,
            request_completion: true,
            descriptor,
            payload: &[],
        };
        assert_eq!(producer.write(&packet), error);
    }
}
