//! A disk that is late, busy or broken when it is told to be.

use super::tally::Tally;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use storvsc_proto::host::{BlockBackend, BlockError, Geometry, Identity, Segments};

/// A read of so many bytes is one of a file's content, whose reader can try again. What a file system reads of its own structures is
/// shorter, and ext4 gives up on an error there.
const LONG: usize = 32 << 10;

/// What is wrong with the disks of a controller.
#[derive(Debug, Default)]
pub(super) struct DiskFaults {
    late: Mutex<Option<Late>>,
    busy: AtomicU32,
    failing_writes: AtomicU32,
    failing_reads: AtomicU32,
    tally: Arc<Tally>,
}

/// For how long requests are answered late, and by how much.
#[derive(Clone, Copy, Debug)]
struct Late {
    until: Instant,
    each: Duration,
}

impl DiskFaults {
    pub(super) fn new(tally: &Arc<Tally>) -> Self {
        Self {
            tally: Arc::clone(tally),
            ..Self::default()
        }
    }

    pub(super) fn delay(&self, each: Duration, span: Duration) {
        let until = Instant::now() + span;
        *self.late.lock().unwrap_or_else(PoisonError::into_inner) = Some(Late { until, each });
    }

    pub(super) fn be_busy(&self, commands: u32) {
        self.busy.store(commands, Ordering::Relaxed);
    }

    pub(super) fn fail_writes(&self, commands: u32) {
        self.failing_writes.store(commands, Ordering::Relaxed);
    }

    pub(super) fn fail_reads(&self, commands: u32) {
        self.failing_reads.store(commands, Ordering::Relaxed);
    }

    /// What happens to any command before it is run.
    fn before(&self) -> Result<(), BlockError> {
        let late = *self.late.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(late) = late.filter(|late| Instant::now() < late.until) {
            self.tally.add("late answers");
            thread::sleep(late.each);
        }
        self.strike(&self.busy, "busy answers", BlockError::Busy)
    }

    /// Fails as long as there is something left on the counter.
    fn strike(&self, left: &AtomicU32, name: &'static str, error: BlockError) -> Result<(), BlockError> {
        let one_less = |left: u32| left.checked_sub(1);
        match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less) {
            Ok(_) => {
                self.tally.add(name);
                Err(error)
            }
            Err(_) => Ok(()),
        }
    }
}

/// A disk that is late, busy or broken when it is told to be.
#[derive(Debug)]
pub struct FaultyDisk<B> {
    disk: B,
    faults: Arc<DiskFaults>,
}

impl<B> FaultyDisk<B> {
    pub(super) fn new(disk: B, faults: &Arc<DiskFaults>) -> Self {
        Self {
            disk,
            faults: Arc::clone(faults),
        }
    }
}

impl<B: BlockBackend> BlockBackend for FaultyDisk<B> {
    type Memory = B::Memory;

    fn geometry(&self) -> Geometry {
        self.disk.geometry()
    }

    fn identity(&self) -> Identity {
        self.disk.identity()
    }

    fn read(&self, offset: u64, memory: &Self::Memory, segments: Segments<'_>) -> Result<(), BlockError> {
        self.faults.before()?;
        if segments.clone().map(|(_, len)| len).sum::<usize>() >= LONG {
            let left = &self.faults.failing_reads;
            self.faults.strike(left, "failed reads", BlockError::Medium)?;
        }
        self.disk.read(offset, memory, segments)
    }

    fn write(&self, offset: u64, memory: &Self::Memory, segments: Segments<'_>) -> Result<(), BlockError> {
        self.faults.before()?;
        let left = &self.faults.failing_writes;
        self.faults.strike(left, "failed writes", BlockError::Medium)?;
        self.disk.write(offset, memory, segments)
    }

    fn flush(&self) -> Result<(), BlockError> {
        self.faults.before()?;
        self.disk.flush()
    }

    fn discard(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.faults.before()?;
        self.disk.discard(offset, len)
    }

    fn write_zeroes(&self, offset: u64, len: u64) -> Result<(), BlockError> {
        self.faults.before()?;
        self.disk.write_zeroes(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_commands_fail_as_are_to() {
        let tally = Arc::new(Tally::default());
        let faults = DiskFaults::new(&tally);
        assert_eq!(faults.before(), Ok(()));
        faults.be_busy(2);
        faults.fail_writes(1);
        assert_eq!([faults.before(), faults.before()], [Err(BlockError::Busy); 2]);
        assert_eq!(faults.before(), Ok(()), "a failing write is no busy disk");
        let write = || faults.strike(&faults.failing_writes, "failed writes", BlockError::Medium);
        assert_eq!([write(), write()], [Err(BlockError::Medium), Ok(())]);
        let counts = tally.counts().into_iter().collect::<Vec<_>>();
        assert_eq!(counts, [("busy answers", 2), ("failed writes", 1)]);
    }

    #[test]
    fn answers_are_late_for_a_time() {
        let tally = Arc::new(Tally::default());
        let faults = DiskFaults::new(&tally);
        faults.delay(Duration::from_nanos(1), Duration::from_secs(3600));
        assert_eq!(faults.before(), Ok(()));
        faults.delay(Duration::from_secs(3600), Duration::ZERO);
        assert_eq!(faults.before(), Ok(()), "the time is over");
        assert_eq!(tally.counts().get("late answers"), Some(&1));
    }
}
