//! Two threads: packets in a second from one to the other, and how long a packet takes there and back, beside the floor:
//! the same bytes, or a number, from one core's cache to the other's.
//!
//! Both ends poll. It takes two processors that have nothing else to do.

#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark on data of its own"
)]

mod harness;
mod lines;
#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use harness::{FLOOR, FRAMING, poll};
use lines::{Line, Round};
use support::Pages;
use vmbus_ringbuf::mem::ContiguousRing;
use vmbus_ringbuf::{Consumer, Descriptor, Outgoing, Producer, RingMem, WriteError};

const SIZE: usize = 16;
const BATCHES: [u64; 3] = [1, 8, 32];
/// As netvsc's and storvsc's rings are on most guests.
const DATA_PAGES: usize = 31;

fn packet<'a>(transaction_id: u64, payload: &'a [&'a [u8]]) -> Outgoing<'a> {
    Outgoing {
        transaction_id,
        request_completion: false,
        descriptor: Descriptor::InBand,
        payload,
    }
}

/// Writes so many packets, in batches. The receiver polls, so nobody is to be signalled.
fn send<M: RingMem>(producer: &mut Producer<M>, packets: u64, batch: u64) {
    let payload = [0xa5; SIZE];
    let payload = [black_box(payload.as_slice())];
    let packet = packet(1, &payload);
    let mut sent = 0;
    while sent < packets {
        let mut pushed = producer.batch();
        for _ in 0..batch {
            let mut tries = 0;
            while let Err(error) = pushed.push(&packet) {
                assert!(matches!(error, WriteError::Full { .. }), "{error}");
                harness::pause(&mut tries);
            }
        }
        let _ = pushed.publish();
        sent += batch;
    }
}

fn receive<M: RingMem>(consumer: &mut Consumer<M>, packets: u64) {
    let mut scratch = vec![0; consumer.max_scratch()];
    let mut received = 0;
    consumer.mask_interrupts();
    let mut tries = 0;
    while received < packets {
        while let Some(packet) = consumer.read(&mut scratch).unwrap() {
            black_box(packet.payload());
            received += 1;
            let _ = consumer.release_part();
            tries = 0;
        }
        harness::pause(&mut tries);
    }
    let _ = consumer.release();
}

/// How long so many packets take from one thread to another.
fn transfer([to_write, to_read]: [ContiguousRing; 2], packets: u64, batch: u64) -> Duration {
    let mut producer = Producer::new(to_write).unwrap();
    let mut consumer = Consumer::new(to_read).unwrap();
    lines::two_threads(
        || send(&mut producer, packets, batch),
        move || {
            receive(&mut consumer, packets);
            Instant::now()
        },
    )
}

/// How long packets take that are answered one by one.
fn round_trips(there: &Pages, back: &Pages, count: u64) -> Duration {
    let end = |read: &Pages, write: &Pages| {
        let mut consumer = Consumer::new(read.contiguous()).unwrap();
        consumer.mask_interrupts();
        (consumer, Producer::new(write.contiguous()).unwrap())
    };
    let exchange = |producer: &mut Producer<ContiguousRing>, id| {
        let payload = [0xa5; SIZE];
        let _ = producer.write(&packet(id, &[black_box(&payload)])).unwrap();
    };
    let wait = |consumer: &mut Consumer<ContiguousRing>| {
        let mut scratch = [0; SIZE];
        let id = poll(|| {
            let packet = consumer.read(&mut scratch).unwrap()?;
            black_box(packet.payload());
            Some(packet.transaction_id())
        });
        // By parts, as a polling end does: the peer needs no room of it now.
        let _ = consumer.release_part();
        id
    };
    let (mut calls, mut answers) = (end(back, there), end(there, back));
    lines::two_threads(
        || {
            for id in 0..count {
                exchange(&mut calls.1, id);
                assert_eq!(wait(&mut calls.0), id);
            }
            // The next run starts from what the memory says.
            let _ = calls.0.release();
        },
        move || {
            for _ in 0..count {
                let id = wait(&mut answers.0);
                exchange(&mut answers.1, id);
            }
            let end = Instant::now();
            let _ = answers.0.release();
            end
        },
    )
}

fn throughput(criterion: &mut Criterion) {
    let pages = Pages::new(1 + DATA_PAGES);
    for batch in BATCHES {
        let mut group = harness::group(criterion, format!("two-threads/{SIZE}/{batch}"), SIZE);
        group.bench_function(FLOOR, |b| {
            b.iter_custom(|iters| {
                let batches = iters.div_ceil(batch);
                let bytes = (SIZE + FRAMING) * usize::try_from(batch).unwrap();
                let taken = lines::transfer::<{ DATA_PAGES * 4096 }>(bytes, batches);
                harness::share(taken, iters, batches * batch)
            });
        });
        group.bench_function("contiguous", |b| {
            b.iter_custom(|iters| {
                let packets = iters.next_multiple_of(batch);
                let taken = transfer([pages.contiguous(), pages.contiguous()], packets, batch);
                harness::share(taken, iters, packets)
            });
        });
        group.finish();
    }
}

/// A packet there and back beside a bare number, and between them what makes the difference: a packet is a line or two more, and lies
/// behind the one before it.
fn round_trip(criterion: &mut Criterion) {
    const PACKET: usize = SIZE + FRAMING;
    const SMALL: usize = 4096;
    const LARGE: usize = DATA_PAGES * 4096;
    type PingPong = fn(u32) -> Duration;
    let mut group = harness::group(criterion, format!("two-threads/round-trip/{SIZE}"), SIZE);
    let floors: [(_, PingPong); 4] = [
        (FLOOR, lines::ping_pong::<()>),
        ("floor-two-lines", lines::ping_pong::<Line>),
        ("floor-round-1-page", lines::ping_pong::<Round<PACKET, SMALL>>),
        ("floor-round-31-pages", lines::ping_pong::<Round<PACKET, LARGE>>),
    ];
    for (name, floor) in floors {
        group.bench_function(name, |b| b.iter_custom(|iters| floor(iters.try_into().unwrap())));
    }
    for (name, data_pages) in [("contiguous-1-page", 1), ("contiguous", DATA_PAGES)] {
        let [there, back] = [(); 2].map(|()| Pages::new(1 + data_pages));
        group.bench_function(name, |b| {
            b.iter_custom(|iters| round_trips(&there, &back, iters));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = harness::criterion();
    targets = throughput, round_trip
}
criterion_main!(benches);
