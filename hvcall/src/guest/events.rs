//! The event page as the guest sees it.

use core::iter::FusedIterator;

use super::gate::SharedPage;
use super::words::Words;
use crate::Sint;
use crate::synic::{EVENT_FLAG_COUNT, EVENT_FLAGS_SIZE};

/// Words of 4 bytes in a slot.
const WORDS: usize = 64;
/// The same as a shift.
const SLOT_SHIFT: u32 = 6;
const _: () = assert!(1 << SLOT_SHIFT == WORDS && WORDS * size_of::<u32>() == EVENT_FLAGS_SIZE);

/// A processor's event page (SIEFP), with 2048 flags for each SINT.
///
/// Flags may be taken by several threads at once: each flag that was set comes to one of them.
#[derive(Debug)]
pub struct EventPage {
    page: SharedPage,
}

impl EventPage {
    /// The flags of this page. [`Synic`](super::Synic) switches it on.
    #[must_use]
    pub const fn new(page: SharedPage) -> Self {
        Self { page }
    }

    /// Takes all flags of a SINT that are set, and clears them: each word at once, so that none is lost that the host
    /// sets meanwhile. What the host wrote before it set a flag is seen after.
    pub fn take(&self, sint: Sint) -> TakenFlags {
        take(&self.page, sint)
    }

    /// Takes one flag: whether it was set. `false` from 2048 on.
    #[must_use = "the flag is clear now"]
    pub fn take_flag(&self, sint: Sint, flag: u16) -> bool {
        if flag >= EVENT_FLAG_COUNT {
            return false;
        }
        let word = u16::from(sint.number()) << SLOT_SHIFT | flag >> 5;
        let bit = 1 << (flag & 31);
        self.page.load(word) & bit != 0 && self.page.clear_bits(word, bit) & bit != 0
    }

    pub(super) fn page(&mut self) -> &mut SharedPage {
        &mut self.page
    }

    /// Gives the page back.
    #[must_use]
    pub fn into_page(self) -> SharedPage {
        self.page
    }
}

/// [`EventPage::take`], for any page.
pub(super) fn take(page: &impl Words, sint: Sint) -> TakenFlags {
    let slot = u16::from(sint.number()) << SLOT_SHIFT;
    let mut words = [0; WORDS];
    for (index, word) in (slot..).zip(&mut words) {
        // Most are clear, and looking is cheaper than an atomic exchange.
        if page.load(index) != 0 {
            *word = page.clear_bits(index, u32::MAX);
        }
    }
    TakenFlags { words, first: 0 }
}

/// The flags that were set, in ascending order: an iterator over at most 2048 numbers.
#[derive(Clone, Debug)]
#[must_use = "the flags are clear in the page, and are nowhere else"]
pub struct TakenFlags {
    words: [u32; WORDS],
    /// The first word that may have flags left.
    first: usize,
}

impl TakenFlags {
    /// Whether no flag is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }
}

impl Iterator for TakenFlags {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        let (offset, word) = self
            .words
            .get_mut(self.first..)?
            .iter_mut()
            .enumerate()
            .find(|(_, word)| **word != 0)?;
        let bit = word.trailing_zeros();
        *word &= word.wrapping_sub(1);
        self.first = self.first.saturating_add(offset);
        u16::try_from(self.first << 5)
            .ok()?
            .checked_add(u16::try_from(bit).ok()?)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.words.iter().map(|word| word.count_ones() as usize).sum();
        (left, Some(left))
    }
}

impl ExactSizeIterator for TakenFlags {}
impl FusedIterator for TakenFlags {}
