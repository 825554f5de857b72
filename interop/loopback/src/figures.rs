//! How much goes through in a time.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::session::Session;

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
    /// Reads of 4 KiB each, of which `depth` (1 to 64) are under way. The blocks are the first MiB of the disk, one after the other, so that
    /// what is measured is not the machine's memory.
    ///
    /// # Errors
    /// An end fails.
    pub fn disk_reads(&mut self, depth: usize, amount: Amount) -> Result<Measured> {
        amount.measure(|count| self.read_pages(depth, count))
    }
}
