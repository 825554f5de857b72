//! One thread writes packets and reads them: time per packet, by payload size, batch and kind of memory, beside the
//! floor: the copies and fences that the protocol cannot do without.
//!
//! `cargo xtask bench` runs it with the others and lines the results up; `cargo bench -p vmbus-ringbuf --bench ring 64/8` runs a part of it.

#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark on data of its own"
)]

mod harness;
#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use harness::floor::Copies;
use harness::{FLOOR, FRAMING};
use support::Pages;
use vmbus_ringbuf::{Consumer, Descriptor, Outgoing, Producer, RingMem};

const SIZES: [usize; 5] = [16, 64, 256, 1024, 4096];
const BATCHES: [u64; 3] = [1, 8, 32];
/// Data pages of the ring: a batch of the largest packets fits, and the ring fits in a core's second-level cache.
const DATA_PAGES: usize = 64;

/// Writes a batch of packets and reads it, with the two ends over memory that is the same.
fn ring<M: RingMem>([to_write, to_read]: [M; 2], size: usize, batch: u64) -> impl FnMut() {
    let mut producer = Producer::new(to_write).unwrap();
    let mut consumer = Consumer::new(to_read).unwrap();
    let payload = vec![0xa5; size];
    let mut scratch = vec![0; consumer.max_scratch()];
    move || {
        let payload = [black_box(payload.as_slice())];
        let packet = Outgoing {
            transaction_id: 1,
            request_completion: true,
            descriptor: Descriptor::InBand,
            payload: &payload,
        };
        let signal = if batch == 1 {
            producer.write(&packet).unwrap()
        } else {
            let mut packets = producer.batch();
            for _ in 0..batch {
                packets.push(&packet).unwrap();
            }
            packets.publish()
        };
        assert!(signal.is_needed());
        for _ in 0..batch {
            let packet = consumer.read(&mut scratch).unwrap().unwrap();
            black_box(packet.payload());
        }
        assert!(!consumer.release().is_needed());
    }
}

fn one_thread(criterion: &mut Criterion) {
    let pages = Pages::new(1 + DATA_PAGES);
    for size in SIZES {
        for batch in BATCHES {
            let mut group = harness::group(criterion, format!("one-thread/{size}/{batch}"), size);
            let mut copies = Copies::<{ DATA_PAGES * 4096 }>::new(size, size + FRAMING);
            measure(&mut group, FLOOR, batch, || copies.batch(batch));
            let run = ring([pages.contiguous(), pages.contiguous()], size, batch);
            measure(&mut group, "contiguous", batch, run);
            // A guest's pages mostly are neighbours, which the list finds out; at worst none are.
            let run = ring([pages.ordered_list(), pages.ordered_list()], size, batch);
            measure(&mut group, "page-list", batch, run);
            let run = ring([pages.page_list(), pages.page_list()], size, batch);
            measure(&mut group, "page-list-scattered", batch, run);
            group.finish();
        }
    }
}

fn measure(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, batch: u64, mut run: impl FnMut()) {
    group.bench_function(name, |b| {
        b.iter_custom(|iters| harness::in_batches(iters, batch, &mut run));
    });
}

criterion_group! {
    name = benches;
    config = harness::criterion();
    targets = one_thread
}
criterion_main!(benches);
