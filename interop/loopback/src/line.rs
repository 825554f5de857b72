//! What wakes a thread that sleeps: an interrupt line, a doorbell.

use std::hint::spin_loop;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

/// Looks at the line before its thread goes to sleep: some microseconds, which is less than a thread takes to be woken.
const LOOKS: u32 = 2000;

/// A line that others raise and one thread waits for. However often it was raised, it is taken once.
#[derive(Debug, Default)]
pub(crate) struct Line {
    raised: AtomicBool,
    waiter: OnceLock<Thread>,
}

impl Line {
    /// Raises the line. What was written before is seen by who takes it.
    #[inline]
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel)
            && let Some(thread) = self.waiter.get()
        {
            thread.unpark();
        }
    }

    /// Takes the line: whether it was raised.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        // A look is cheaper than an exchange.
        self.raised.load(Ordering::Relaxed) && self.raised.swap(false, Ordering::AcqRel)
    }

    /// Makes the calling thread the one that waits. Without one nobody ever sleeps.
    pub(crate) fn wait_here(&self) {
        let _already = self.waiter.set(thread::current());
    }

    /// Waits until the line is raised, for `most` at most. It may return early.
    pub(crate) fn wait(&self, most: Duration, cpus: usize) {
        // With one processor, looking keeps the other end from what is waited for.
        for _ in 0..if cpus > 1 { LOOKS } else { 0 } {
            if self.raised.load(Ordering::Relaxed) {
                return;
            }
            spin_loop();
        }
        if !self.raised.load(Ordering::Acquire) {
            thread::park_timeout(most);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_line_that_was_raised_is_taken_once() {
        let line = Line::default();
        assert!(!line.take());
        line.raise();
        line.raise();
        assert!(line.take() && !line.take());
    }

    #[test]
    fn a_line_wakes_who_waits() {
        let line = Arc::new(Line::default());
        let other = Arc::clone(&line);
        let thread = thread::spawn(move || {
            other.wait_here();
            for _ in 0..100 {
                while !other.take() {
                    // A wake-up that is lost would be waited for too long for any test.
                    other.wait(Duration::from_secs(3600), 1);
                }
            }
        });
        while !thread.is_finished() {
            line.raise();
            thread::yield_now();
        }
        thread.join().unwrap();
    }
}
