//! How often each fault was done to the guest.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counters by name. Those of faults that never happened are not there.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<&'static str, u64>>);

impl Tally {
    pub(super) fn add(&self, name: &'static str) {
        let mut counts = self.lock();
        let count = counts.entry(name).or_default();
        *count = count.saturating_add(1);
    }

    /// Keeps the largest value that was told.
    pub(super) fn most(&self, name: &'static str, value: u64) {
        let mut counts = self.lock();
        let most = counts.entry(name).or_default();
        *most = value.max(*most);
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
