//! The floor of what two threads do: the same bytes, or a number, from one core's cache to the other's.

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::harness::floor::publish;
use super::harness::poll;

/// What two ends that share memory need of it: an index of each, in one cache line as a ring's control page has them, and bytes.
#[repr(C, align(4096))]
struct Lines<const LEN: usize> {
    /// The writer's index, then the reader's.
    indices: [AtomicU32; 2],
    data: Page<LEN>,
}

#[repr(C, align(4096))]
struct Page<const LEN: usize>(UnsafeCell<[u8; LEN]>);

// SAFETY: the floors write before they publish an index, and read after they saw it.
unsafe impl<const LEN: usize> Sync for Lines<LEN> {}

impl<const LEN: usize> Lines<LEN> {
    /// Boxed without being on the stack before. Each page is there already: the first use of one is the system's work, not the memory's.
    fn new() -> Box<Self> {
        // SAFETY: zeros are a value of every field.
        let mut lines: Box<Self> = unsafe { Box::new_zeroed().assume_init() };
        black_box(&mut lines).data.0.get_mut().fill(0xff);
        lines
    }

    /// Copies so many bytes in, as an opaque copy of that length.
    fn put(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= LEN);
        // SAFETY: within the data, which nobody else accesses there now.
        unsafe {
            let dst = self.data.0.get().cast::<u8>().add(at);
            std::ptr::copy_nonoverlapping(black_box(bytes.as_ptr()), dst, black_box(bytes.len()));
        }
    }

    /// Copies so many bytes out, as an opaque copy of that length.
    fn take(&self, at: usize, bytes: &mut [u8]) {
        assert!(at + bytes.len() <= LEN);
        // SAFETY: within the data, which nobody writes there now.
        unsafe {
            let src = self.data.0.get().cast::<u8>().add(at);
            std::ptr::copy_nonoverlapping(src, black_box(bytes.as_mut_ptr()), black_box(bytes.len()));
        }
        black_box(bytes);
    }

    fn seen(&self, index: usize) -> usize {
        self.indices[index].load(Ordering::Acquire) as usize
    }
}

/// How long the bytes of `batches` batches take from one thread to another: each is copied in and published as a whole, and copied out as
/// a whole. The reader gives room back by eighths.
pub(crate) fn transfer<const LEN: usize>(size: usize, batches: u64) -> Duration {
    let lines = &*Lines::<LEN>::new();
    let len = LEN / size * size;
    let reader = move || {
        let mut scratch = vec![0; size];
        let (mut read, mut released) = (0, 0);
        let mut left = batches;
        while left > 0 {
            let write = poll(|| Some(lines.seen(0)).filter(|write| *write != read));
            while read != write {
                lines.take(read, &mut scratch);
                read = (read + size) % len;
                left -= 1;
                if (read + len - released) % len >= len / 8 || left == 0 {
                    released = read;
                    publish(&lines.indices[1], read);
                }
            }
        }
        Instant::now()
    };
    let writer = move || {
        let payload = vec![0xa5; size];
        let (mut write, mut room) = (0, len - size);
        for _ in 0..batches {
            if room == 0 {
                room = poll(|| {
                    let used = (write + len - lines.seen(1)) % len;
                    Some(len - size - used).filter(|room| *room > 0)
                });
            }
            lines.put(write, &payload);
            write = (write + size) % len;
            room -= size;
            publish(&lines.indices[0], write);
        }
    };
    two_threads(writer, reader)
}

/// Where the bytes lie that go with a number in a [`ping_pong`].
pub(crate) trait Beside: Sync {
    /// Nothing of it, before the first.
    fn new() -> Self;

    /// Stores what goes with the `nth` number.
    fn put(&self, nth: u32);

    /// Loads it.
    fn take(&self, nth: u32);
}

/// Nowhere: the number is all.
impl Beside for () {
    fn new() {}
    fn put(&self, _: u32) {}
    fn take(&self, _: u32) {}
}

/// A line, and the one beside it that processors fetch along.
#[repr(align(128))]
pub(crate) struct Line(AtomicU32);

/// Always in the same line.
impl Beside for Line {
    fn new() -> Self {
        Self(AtomicU32::new(0))
    }

    fn put(&self, nth: u32) {
        self.0.store(nth, Ordering::Relaxed);
    }

    fn take(&self, nth: u32) {
        assert_eq!(self.0.load(Ordering::Relaxed), nth);
    }
}

/// `SIZE` bytes that go round and round in `LEN`, each behind those before it, as packets in a ring.
pub(crate) struct Round<const SIZE: usize, const LEN: usize>(Box<Lines<LEN>>);

impl<const SIZE: usize, const LEN: usize> Round<SIZE, LEN> {
    const fn at(nth: u32) -> usize {
        nth as usize % (LEN / SIZE) * SIZE
    }
}

impl<const SIZE: usize, const LEN: usize> Beside for Round<SIZE, LEN> {
    fn new() -> Self {
        Self(Lines::new())
    }

    fn put(&self, nth: u32) {
        self.0.put(Self::at(nth), &[nth.to_le_bytes()[0]; SIZE]);
    }

    fn take(&self, nth: u32) {
        let mut bytes = [0; SIZE];
        self.0.take(Self::at(nth), &mut bytes);
        assert_eq!(bytes[0], nth.to_le_bytes()[0]);
    }
}

/// How long it takes to tell a number to another thread, which tells it back, `count` times: one cache line each way, and before it what
/// goes with the number, which is only looked for once the number is there.
pub(crate) fn ping_pong<B: Beside>(count: u32) -> Duration {
    struct Way<B> {
        index: Line,
        beside: B,
    }
    let way = || Way {
        index: Line::new(),
        beside: B::new(),
    };
    let [there, back] = &[way(), way()];
    let tell = |way: &Way<B>, number: u32| {
        way.beside.put(number);
        way.index.0.store(number, Ordering::Release);
    };
    let wait = |way: &Way<B>, number: u32| {
        poll(|| (way.index.0.load(Ordering::Acquire) == number).then_some(()));
        way.beside.take(number);
    };
    let caller = move || {
        for number in 1..=count {
            tell(there, number);
            wait(back, number);
        }
    };
    let answerer = move || {
        for number in 1..=count {
            wait(there, number);
            tell(back, number);
        }
        Instant::now()
    };
    two_threads(caller, answerer)
}

/// Runs both at the same time, and tells how long it took from the start of the first, once both threads run, to what the second tells.
pub(crate) fn two_threads(first: impl FnOnce(), second: impl FnOnce() -> Instant + Send) -> Duration {
    let ready = &AtomicU32::new(0);
    let apart = Apart::new();
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            apart.second();
            ready.store(1, Ordering::Release);
            second()
        });
        poll(|| (ready.load(Ordering::Acquire) == 1).then_some(()));
        let start = Instant::now();
        first();
        second.join().unwrap().duration_since(start)
    })
}

/// Keeps the two threads on processors of their own: a scheduler that had them take turns on one would measure itself. Without effect
/// where that cannot be asked for.
struct Apart {
    #[cfg(target_os = "linux")]
    all: rustix::thread::CpuSet,
}

#[cfg(target_os = "linux")]
impl Apart {
    /// Has the calling thread stay on the first processor that it may run on, until this is dropped.
    fn new() -> Self {
        let all = rustix::thread::sched_getaffinity(None).unwrap();
        Self::stay(&all, 0..rustix::thread::CpuSet::MAX_CPU);
        Self { all }
    }

    /// Has the calling thread stay on the last one.
    fn second(&self) {
        Self::stay(&self.all, (0..rustix::thread::CpuSet::MAX_CPU).rev());
    }

    fn stay(all: &rustix::thread::CpuSet, mut order: impl Iterator<Item = usize>) {
        let mut one = rustix::thread::CpuSet::new();
        one.set(order.find(|processor| all.is_set(*processor)).unwrap());
        rustix::thread::sched_setaffinity(None, &one).unwrap();
    }
}

#[cfg(target_os = "linux")]
impl Drop for Apart {
    fn drop(&mut self) {
        rustix::thread::sched_setaffinity(None, &self.all).unwrap();
    }
}

#[cfg(not(target_os = "linux"))]
impl Apart {
    fn new() -> Self {
        Self {}
    }

    fn second(&self) {}
}
