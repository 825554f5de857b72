//! Which sections of a queue's share of the receive buffer are free, and which the guest has.

/// What a section is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Free, or in a chain that is not sent.
    Mine,
    /// The first of a chain that the guest has.
    Sent,
}

/// "No section" in a link.
const END: u16 = u16::MAX;

/// One section.
#[derive(Clone, Copy, Debug)]
struct Section {
    /// The next in the free list or in the chain.
    next: u16,
    state: State,
    /// Counts how often this section was the first of a chain that was sent, so that an old transaction id is known.
    generation: u32,
}

/// Sections in a row that go to the guest as one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chain {
    first: u16,
    last: u16,
}

/// The table of a queue's sections, `N` at most. What the guest has is named by a transaction id: the first section's
/// number plus 1, so that no id is 0, and the generation above it.
#[derive(Clone, Debug)]
pub(super) struct Sections<const N: usize> {
    sections: [Section; N],
    free: u16,
    free_count: u16,
    count: u16,
}

impl<const N: usize> Sections<N> {
    /// No section.
    pub(super) const fn new() -> Self {
        let section = Section {
            next: END,
            state: State::Mine,
            generation: 0,
        };
        Self {
            sections: [section; N],
            free: END,
            free_count: 0,
            count: 0,
        }
    }

    /// Starts over with `count` free sections, or as many as the table has. Ids given out before stay stale.
    pub(super) fn reset(&mut self, count: u16) {
        let count = count.min(u16::try_from(N).unwrap_or(END));
        self.count = count;
        self.free_count = count;
        self.free = if count == 0 { END } else { 0 };
        for (index, section) in (1_u16..).zip(self.sections.iter_mut()) {
            section.next = if index < count { index } else { END };
            section.state = State::Mine;
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// How many are free.
    pub(super) fn free_count(&self) -> u16 {
        self.free_count
    }

    fn get_mut(&mut self, index: u16) -> Option<&mut Section> {
        self.sections.get_mut(usize::from(index))
    }

    /// Takes a free section.
    #[inline]
    pub(super) fn take(&mut self) -> Option<u16> {
        let index = self.free;
        let section = self.get_mut(index)?;
        let next = core::mem::replace(&mut section.next, END);
        self.free = next;
        self.free_count = self.free_count.saturating_sub(1);
        Some(index)
    }

    /// Puts a section that was taken back.
    #[inline]
    pub(super) fn give_back(&mut self, index: u16) {
        let free = self.free;
        if let Some(section) = self.get_mut(index) {
            section.next = free;
            section.state = State::Mine;
            self.free = index;
            self.free_count = self.free_count.saturating_add(1);
        }
    }

    /// Appends a section that was taken to a chain.
    #[inline]
    pub(super) fn append(&mut self, chain: Option<Chain>, index: u16) -> Chain {
        let Some(chain) = chain else {
            return Chain {
                first: index,
                last: index,
            };
        };
        if let Some(last) = self.get_mut(chain.last) {
            last.next = index;
        }
        Chain {
            first: chain.first,
            last: index,
        }
    }

    /// The id by which the guest will return the chain once it was [sent](Self::sent).
    #[inline]
    pub(super) fn transaction_id(&self, chain: Chain) -> u64 {
        let generation = self
            .sections
            .get(usize::from(chain.first))
            .map_or(0, |section| section.generation);
        u64::from(generation.wrapping_add(1)) << 32 | u64::from(chain.first).saturating_add(1)
    }

    /// The guest has the chain now.
    #[inline]
    pub(super) fn sent(&mut self, chain: Chain) {
        if let Some(section) = self.get_mut(chain.first) {
            section.generation = section.generation.wrapping_add(1);
            section.state = State::Sent;
        }
    }

    /// The guest returns a chain. `None`: it has none of this id, be it that the id never was, was returned already, or
    /// is from before. Otherwise how many sections came back.
    #[inline]
    pub(super) fn returned(&mut self, transaction_id: u64) -> Option<u16> {
        let generation = u32::try_from(transaction_id >> 32).ok()?;
        let first = u32::try_from(transaction_id & u64::from(u32::MAX))
            .ok()?
            .checked_sub(1)?;
        let first = u16::try_from(first).ok()?;
        let head = self.get_mut(first)?;
        if head.state != State::Sent || head.generation != generation {
            return None;
        }
        let mut index = first;
        let mut returned = 0_u16;
        while returned < self.count {
            let Some(section) = self.get_mut(index) else { break };
            let next = section.next;
            self.give_back(index);
            returned = returned.saturating_add(1);
            index = next;
        }
        Some(returned)
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn send<const N: usize>(sections: &mut Sections<N>, count: u16) -> Option<u64> {
        let mut chain = None;
        for _ in 0..count {
            let index = sections.take()?;
            chain = Some(sections.append(chain, index));
        }
        let chain = chain?;
        let id = sections.transaction_id(chain);
        sections.sent(chain);
        Some(id)
    }

    #[test]
    fn case_05_ids_that_the_guest_does_not_have() {
        let mut sections = Sections::<8>::new();
        sections.reset(8);
        let id = send(&mut sections, 3).unwrap();
        assert_ne!(id, 0);
        assert_eq!(sections.free_count(), 5);
        for bad in [
            0,
            u64::MAX,
            8,
            9,
            id + 8,
            id + 1,
            id ^ 1 << 32,
            id & 0xffff_ffff,
            id | 0xffff << 16,
        ] {
            assert_eq!(sections.returned(bad), None, "{bad:#x}");
        }
        assert_eq!(sections.returned(id), Some(3));
        assert_eq!(sections.returned(id), None);
        let again = send(&mut sections, 1).unwrap();
        assert_eq!(sections.returned(id), None);
        assert_eq!(sections.returned(again), Some(1));
        assert_eq!(sections.free_count(), 8);
    }

    #[test]
    fn ids_from_before_a_reset_are_stale() {
        let mut sections = Sections::<4>::new();
        sections.reset(4);
        let id = send(&mut sections, 4).unwrap();
        sections.reset(4);
        assert_eq!(sections.returned(id), None);
        let again = send(&mut sections, 1).unwrap();
        assert_ne!(id, again);
        assert_eq!(sections.returned(id), None);
    }

    #[test]
    fn a_table_gives_no_more_than_it_has() {
        let mut sections = Sections::<4>::new();
        assert_eq!(sections.take(), None);
        sections.reset(9);
        assert_eq!(sections.count(), 4);
        assert_eq!(std::iter::from_fn(|| sections.take()).count(), 4);
        assert_eq!(sections.take(), None);
    }

    proptest::proptest! {
        /// Against a list of what is out: whatever order chains come back in, no section is lost or given twice.
        #[test]
        fn sections_are_conserved(steps in proptest::collection::vec((1_u16..5, proptest::prelude::any::<u64>()), 1..200)) {
            let mut sections = Sections::<16>::new();
            sections.reset(16);
            let mut out: Vec<(u64, u16)> = Vec::new();
            for (count, pick) in steps {
                let have: u16 = out.iter().map(|(_, count)| count).sum();
                assert_eq!(sections.free_count() + have, 16);
                if count <= sections.free_count() && pick % 3 != 0 {
                    out.push((send(&mut sections, count).unwrap(), count));
                } else if !out.is_empty() {
                    let index = usize::try_from(pick % u64::try_from(out.len()).unwrap()).unwrap();
                    let (id, count) = out.swap_remove(index);
                    assert_eq!(sections.returned(id), Some(count));
                    assert_eq!(sections.returned(id), None);
                }
            }
        }
    }
}
