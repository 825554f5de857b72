//! One thread writes packets and reads them: time per packet, by payload size, batch and kind of memory, beside the
//! floor: the copies and fences that the protocol cannot do without.
//!
//! `cargo bench -p vmbus-ringbuf`; a filter such as `'64/'` picks some.

#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark on data of its own"
)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use support::Pages;
use vmbus_ringbuf::{Consumer, Descriptor, Outgoing, Producer, RingMem};

const SIZES: [usize; 5] = [16, 64, 256, 1024, 4096];
const BATCHES: [u64; 3] = [1, 8, 32];
/// Data pages of the ring: a batch of the largest packets fits, and the ring fits in a core's second-level cache.
const DATA_PAGES: usize = 64;

/// Runs batches for `iters` packets at least, and tells the time that `iters` of them took.
fn per_packet(iters: u64, batch: u64, mut run: impl FnMut()) -> Duration {
    let batches = iters.div_ceil(batch);
    let start = Instant::now();
    for _ in 0..batches {
        run();
    }
    let (taken, packets) = (start.elapsed().as_nanos(), u128::from(batches * batch));
    Duration::from_nanos((taken * u128::from(iters) / packets).try_into().unwrap())
}

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
            black_box(consumer.read(&mut scratch).unwrap().unwrap());
        }
        assert!(!consumer.release().is_needed());
    }
}

/// The payload's bytes into memory and out again, and each side's index and fence.
fn floor(pages: &Pages, size: usize, batch: u64) -> impl FnMut() {
    let indices = [AtomicU32::new(0), AtomicU32::new(0)];
    let payload = vec![0xa5u8; size];
    let mut scratch = vec![0u8; size];
    let (mut write, mut read) = (0, 0);
    // A packet takes as much of the ring as it does with its descriptor and trailer.
    let (step, len) = (size + 24, DATA_PAGES * 4096);
    move || {
        for _ in 0..batch {
            // SAFETY: `write` is at most `len - step`.
            unsafe {
                let dst = pages.page(1).as_ptr().add(write);
                std::ptr::copy_nonoverlapping(black_box(payload.as_ptr()), dst, black_box(size));
            }
            write = if write + 2 * step > len { 0 } else { write + step };
        }
        indices[0].store(u32::try_from(write).unwrap(), Ordering::Release);
        fence(Ordering::SeqCst);
        for _ in 0..batch {
            // SAFETY: `read` is at most `len - step`.
            unsafe {
                let src = pages.page(1).as_ptr().add(read);
                std::ptr::copy_nonoverlapping(src, black_box(scratch.as_mut_ptr()), black_box(size));
            }
            black_box(&scratch);
            read = if read + 2 * step > len { 0 } else { read + step };
        }
        indices[1].store(u32::try_from(read).unwrap(), Ordering::Release);
        fence(Ordering::SeqCst);
    }
}

fn one_thread(c: &mut Criterion) {
    let pages = Pages::new(1 + DATA_PAGES);
    for size in SIZES {
        for batch in BATCHES {
            let mut group = c.benchmark_group(format!("{size}/{batch}"));
            group.bench_function(BenchmarkId::from_parameter("floor"), |b| {
                let mut run = floor(&pages, size, batch);
                b.iter_custom(|iters| per_packet(iters, batch, &mut run));
            });
            group.bench_function(BenchmarkId::from_parameter("contiguous"), |b| {
                let mut run = ring([pages.contiguous(), pages.contiguous()], size, batch);
                b.iter_custom(|iters| per_packet(iters, batch, &mut run));
            });
            // A guest's pages mostly are neighbours, which the list finds out; at worst none are.
            group.bench_function(BenchmarkId::from_parameter("page_list"), |b| {
                let mut run = ring([pages.ordered_list(), pages.ordered_list()], size, batch);
                b.iter_custom(|iters| per_packet(iters, batch, &mut run));
            });
            group.bench_function(BenchmarkId::from_parameter("page_list_scattered"), |b| {
                let mut run = ring([pages.page_list(), pages.page_list()], size, batch);
                b.iter_custom(|iters| per_packet(iters, batch, &mut run));
            });
            group.finish();
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(40);
    targets = one_thread
}
criterion_main!(benches);
