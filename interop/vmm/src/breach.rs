//! What guests do wrong: counted, and logged once a kind. A guest that goes on doing it costs a counter.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::warn;

/// More kinds than this are counted as one: a guest that finds ever new ones is not rewarded with memory.
const MOST_KINDS: usize = 100;
const OTHERS: &str = "others";

/// Counters of what the guest did wrong.
#[derive(Debug, Default)]
pub struct Breaches {
    counts: Mutex<BTreeMap<String, u64>>,
}

impl Breaches {
    /// Counts `breach`, found at `place`, and logs the first of its kind.
    pub fn note(&self, place: &str, breach: &(impl Display + Debug)) {
        let kind = format!("{place}: {}", kind(&format!("{breach:?}")));
        let mut counts = self.counts();
        if let Some(count) = counts.get_mut(&kind) {
            *count = count.saturating_add(1);
        } else if counts.len() < MOST_KINDS {
            counts.insert(kind, 1);
            warn!("{place}: {breach} (the guest's fault; further ones of this kind are only counted)");
        } else {
            let others = counts.entry(OTHERS.to_owned()).or_default();
            *others = others.saturating_add(1);
        }
    }

    /// How often each kind came.
    pub fn counts(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names of the variants at the front of an error's `Debug`, without the values in it.
fn kind(debug: &str) -> &str {
    let end = debug.find(|c: char| !c.is_ascii_alphabetic() && c != '(' && c != '_');
    debug
        .get(..end.unwrap_or(debug.len()))
        .unwrap_or(debug)
        .trim_end_matches('(')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Breach {
        #[error("{relid} is not offered")]
        Unknown { relid: u32 },
        #[error("code {0}")]
        Code(u32),
    }

    #[test]
    fn a_kind_is_counted_whatever_its_values() {
        let breaches = Breaches::default();
        for relid in 0..1000 {
            breaches.note("bus", &Breach::Unknown { relid });
            breaches.note("bus", &Breach::Code(relid));
        }
        breaches.note("scsi", &Some(1).map_or("x".to_owned(), |_| "y".to_owned()));
        let counts = breaches.counts();
        assert_eq!(counts.get("bus: Unknown"), Some(&1000));
        assert_eq!(counts.get("bus: Code"), Some(&1000));
        assert_eq!(counts.len(), 3);
    }

    #[test]
    fn kinds_have_a_bound() {
        let breaches = Breaches::default();
        for place in 0..1000 {
            breaches.note(&place.to_string(), &Breach::Code(1));
        }
        let counts = breaches.counts();
        assert_eq!(counts.len(), MOST_KINDS + 1);
        assert_eq!(counts.get(OTHERS), Some(&(1000 - MOST_KINDS as u64)));
    }
}
