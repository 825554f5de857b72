//! A set of relids, as a bound for what a host can make the guest remember of offers that it did not take.

use hvcall::synic::EVENT_FLAG_COUNT;

use crate::wire::RelId;

const WORDS: usize = EVENT_FLAG_COUNT as usize / 32;

/// Relids from 0 to 2047.
#[derive(Debug)]
pub(super) struct RelIdSet {
    words: [u32; WORDS],
}

impl RelIdSet {
    pub(super) const fn new() -> Self {
        Self { words: [0; WORDS] }
    }

    fn place(relid: RelId) -> (usize, u32) {
        (relid.value() as usize / 32, 1 << (relid.value() % 32))
    }

    pub(super) fn insert(&mut self, relid: RelId) {
        let (word, bit) = Self::place(relid);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    /// Takes it out, and gives whether it was there.
    pub(super) fn remove(&mut self, relid: RelId) -> bool {
        let was_there = self.contains(relid);
        let (word, bit) = Self::place(relid);
        if let Some(word) = self.words.get_mut(word) {
            *word &= !bit;
        }
        was_there
    }

    pub(super) fn contains(&self, relid: RelId) -> bool {
        let (word, bit) = Self::place(relid);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    pub(super) fn first(&self) -> Option<RelId> {
        let (index, word) = self.words.iter().enumerate().find(|(_, word)| **word != 0)?;
        let first = u32::try_from(index).ok()?.checked_mul(32)?;
        Some(RelId::new(first.checked_add(word.trailing_zeros())?))
    }
}

/// Whether a relid can be a channel's: it has an event flag, and it is not the protocol's own.
pub(super) fn is_channels(relid: RelId) -> bool {
    (1..u32::from(EVENT_FLAG_COUNT)).contains(&relid.value())
}
