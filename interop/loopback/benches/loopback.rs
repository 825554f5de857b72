//! A guest and a host on one thread: time per read of the disk and per frame, all that both ends do for it included, beside the floor:
//! the copies and barriers that the protocol cannot do without.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a benchmark on data of its own"
)]

#[path = "../../../ringbuf/benches/harness/mod.rs"]
mod harness;

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use harness::floor::Copies;
use harness::{FLOOR, FRAMING};
use loopback::{Amount, Error, Measured, Options, Session, Threads};

const PAGE: usize = 4096;
/// Bytes of the disk that are read.
const HOT: usize = 256 << 10;
/// Bytes of a channel's ring.
const RING: usize = 128 << 10;
const FRAME: usize = 64;
/// Frames that are under way at a time.
const FRAMES: u64 = 128;
/// A request for one page and its completion: the SCSI packet, and a list of one range behind the descriptor's first 16 bytes.
const REQUEST: usize = 64 + 24;
const COMPLETION: usize = 64;
/// The RNDIS header in front of a frame, and the messages that name it and complete it.
const RNDIS: usize = 44;
const NVSP: usize = 40;

/// What both ends copy for one operation after another: the request, the bytes that it is about, and its completion.
struct Floor {
    request: Copies<RING>,
    completion: Copies<RING>,
    data: Copies<HOT>,
}

impl Floor {
    fn new(request: usize, completion: usize, data: usize) -> Self {
        Self {
            request: Copies::new(request, request + FRAMING),
            completion: Copies::new(completion, completion + FRAMING),
            data: Copies::new(data, data),
        }
    }

    /// The requests of a batch, then what the other end does for each, then the completions. `copied_in` is data that the sender of the
    /// requests copies into shared memory first; what answers copies it out.
    fn batch(&mut self, batch: u64, copied_in: bool) {
        for _ in 0..batch {
            if copied_in {
                self.data.put();
            }
            self.request.put();
        }
        self.request.publish();
        for _ in 0..batch {
            self.request.take();
            self.data.take();
            self.completion.put();
        }
        self.request.release();
        self.completion.publish();
        (0..batch).for_each(|_| self.completion.take());
        self.completion.release();
    }
}

fn start() -> Session {
    let options = Options {
        threads: Threads::One,
        ..Options::default()
    };
    Session::start(&options, &mut |_| ()).expect("guest and host get through their first steps")
}

/// Sets what a session does beside its floor. The session starts with the first that is measured, as others may be filtered out.
fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    session: &mut Option<Session>,
    mut floor: impl FnMut(u64) -> Duration,
    run: impl Fn(&mut Session, Amount) -> Result<Measured, Error>,
) {
    group.bench_function(FLOOR, |b| b.iter_custom(&mut floor));
    group.bench_function("session", |b| {
        let session = session.get_or_insert_with(start);
        b.iter_custom(|iters| {
            let measured = run(session, Amount::Count(iters)).expect("both ends go on");
            harness::share(measured.time, iters, measured.count)
        });
    });
}

fn reads(criterion: &mut Criterion) {
    let mut session = None;
    for batch in [1u8, 16] {
        let mut group = harness::group(criterion, format!("loopback/read/{PAGE}/{batch}"), PAGE);
        let mut copies = Floor::new(REQUEST, COMPLETION, PAGE);
        measure(
            &mut group,
            &mut session,
            |iters| harness::in_batches(iters, batch.into(), || copies.batch(batch.into(), false)),
            |session, amount| session.disk_reads(batch.into(), amount),
        );
        group.finish();
    }
}

fn frames(criterion: &mut Criterion) {
    let mut session = None;
    let mut copies = Floor::new(NVSP, NVSP, RNDIS + FRAME);
    let mut floor = |iters| harness::in_batches(iters, FRAMES, || copies.batch(FRAMES, true));
    let mut group = harness::group(criterion, format!("loopback/send/{FRAME}"), FRAME);
    measure(&mut group, &mut session, &mut floor, |session, amount| {
        session.frames_sent(FRAME, amount)
    });
    group.finish();
    let mut group = harness::group(criterion, format!("loopback/receive/{FRAME}"), FRAME);
    measure(&mut group, &mut session, &mut floor, |session, amount| {
        session.frames_received(64, amount)
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = harness::criterion();
    targets = reads, frames
}
criterion_main!(benches);
