//! What the benchmarks of the workspace share.
//!
//! Each group of benchmarks has one that is named `floor`: what the memory itself takes for the same bytes. `cargo xtask bench` sets
//! the others of the group beside it.
#![allow(dead_code, reason = "each benchmark uses its part")]

pub(crate) mod floor;

use std::hint;
use std::thread;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

/// The name of what the others of a group are compared with.
pub(crate) const FLOOR: &str = "floor";

/// Bytes that a packet takes in a ring beside its payload: descriptor and trailer.
pub(crate) const FRAMING: usize = 24;

/// How the benchmarks are measured: many short samples and their median, so that what else the machine does meanwhile spoils
/// some of the samples and not the result.
pub(crate) fn criterion() -> Criterion {
    Criterion::default()
        .without_plots()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(200)
        .nresamples(2000)
}

/// A group of benchmarks that do the same with `bytes` bytes, one of which is the [`FLOOR`].
pub(crate) fn group<'c>(
    criterion: &'c mut Criterion,
    name: String,
    bytes: usize,
) -> BenchmarkGroup<'c, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group
        .sampling_mode(SamplingMode::Flat)
        .throughput(Throughput::ElementsAndBytes {
            elements: 1,
            bytes: bytes as u64,
        });
    group
}

/// Runs batches for `iters` operations at least, and tells the time that `iters` of them took.
pub(crate) fn in_batches(iters: u64, batch: u64, mut run: impl FnMut()) -> Duration {
    let batches = iters.div_ceil(batch);
    let start = Instant::now();
    for _ in 0..batches {
        run();
    }
    share(start.elapsed(), iters, batches * batch)
}

/// What `iters` of `done` operations took, when all of them took `taken`.
pub(crate) fn share(taken: Duration, iters: u64, done: u64) -> Duration {
    let nanos = taken.as_nanos() * u128::from(iters) / u128::from(done.max(1));
    Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
}

/// Waits a moment before the next look, as a side that polls does. Lets other programs run after many, as there may be fewer processors
/// than threads.
pub(crate) fn pause(tries: &mut u32) {
    *tries += 1;
    if tries.is_multiple_of(10_000) {
        thread::yield_now();
    } else {
        hint::spin_loop();
    }
}

/// Looks again and again until there is something.
pub(crate) fn poll<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let mut tries = 0;
    loop {
        if let Some(found) = look() {
            return found;
        }
        pause(&mut tries);
    }
}
