//! How much goes through in a time.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::session::Session;
use crate::wire::FarEnd;

/// Operations between two looks at the clock.
const ROUND: u64 = 1024;

/// How much to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// At least so many operations.
    Count(u64),
    /// As many as there are in this time.
    For(Duration),
}

/// What was done, and how long it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Operations.
    pub count: u64,
    /// How long they took.
    pub time: Duration,
}

impl Measured {
    /// Operations in a second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "nobody counts so far")]
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

impl Amount {
    /// Calls `round`, which does so many operations at least and tells how many, until it is enough.
    pub(crate) fn measure(self, mut round: impl FnMut(u64) -> Result<u64>) -> Result<Measured> {
        let started = Instant::now();
        let mut count = 0;
        loop {
            let (enough, ask) = match self {
                Self::Count(most) => (count >= most, most.saturating_sub(count)),
                Self::For(time) => (started.elapsed() >= time, ROUND),
            };
            if enough {
                let time = started.elapsed();
                return Ok(Measured { count, time });
            }
            count += round(ask)?;
        }
    }
}

impl Session {
    /// Reads of 4 KiB each, of which `depth` (1 to 64) are under way. The blocks are the first 256 KiB of the disk, one after the other, so
    /// that what is measured is not the machine's memory.
    ///
    /// # Errors
    /// An end fails.
    pub fn disk_reads(&mut self, depth: usize, amount: Amount) -> Result<Measured> {
        let Self { machine, disk, .. } = self;
        amount.measure(|count| disk.read_pages(machine, depth, count))
    }

    /// Frames of this length from the guest to the far end of the cable.
    ///
    /// # Errors
    /// An end fails, or the card takes no frame of this length.
    pub fn frames_sent(&mut self, len: usize, amount: Amount) -> Result<Measured> {
        let Self { machine, nic, .. } = self;
        amount.measure(|count| nic.send_frames(machine, len, count))
    }

    /// Frames of this length from the far end of the cable to the guest.
    ///
    /// # Errors
    /// An end fails, or the card takes no frame of this length.
    pub fn frames_received(&mut self, len: u16, amount: Amount) -> Result<Measured> {
        let Self { machine, nic, .. } = self;
        machine.set_wire(|wire| wire.set_far_end(FarEnd::Source(len.into())));
        let measured = amount.measure(|count| nic.receive_frames(machine, len.into(), count));
        machine.set_wire(|wire| wire.set_far_end(FarEnd::Sink));
        measured
    }
}
