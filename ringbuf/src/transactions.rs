//! Requests that the peer has and did not answer, by transaction id.

/// A request that the peer has. It is ended once, and its id then means nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TransactionId {
    place: u32,
    generation: u32,
}

impl TransactionId {
    /// The number in the packet: never 0, which Hyper-V completes for nobody, and never `u64::MAX`, which is left to a
    /// caller that has one request of its own beside the table.
    #[must_use]
    #[inline]
    pub fn number(self) -> u64 {
        // A table has fewer places than this has numbers, so that the place's half is neither 0 nor all ones.
        u64::from(self.generation) << 32 | u64::from(self.place.saturating_add(1))
    }

    /// The place in the table, below its depth: what belongs to a place, such as a piece of memory, is this request's
    /// until it ends.
    #[must_use]
    #[inline]
    pub const fn place(self) -> u32 {
        self.place
    }

    #[inline]
    fn of(number: u64) -> Option<Self> {
        let place = u32::try_from(number & u64::from(u32::MAX)).ok()?.checked_sub(1)?;
        let generation = u32::try_from(number >> 32).ok()?;
        Some(Self { place, generation })
    }
}

/// "None" in a link.
const END: u32 = u32::MAX;

#[derive(Debug)]
enum State<T> {
    /// Free; the next free place.
    Free(u32),
    Pending(T),
}

#[derive(Debug)]
struct Place<T> {
    /// How often the place was given up: an id from before is known by it.
    generation: u32,
    state: State<T>,
}

/// Requests that the peer has, `DEPTH` at most, with what is to be known of each when it ends.
///
/// The peer names one by its place and generation. What names none is not answered, be it that it never was, ended
/// already, or is of another time.
///
/// ```
/// use vmbus_ringbuf::Transactions;
///
/// let mut transactions = Transactions::<&str, 4>::new();
/// let id = transactions.next().expect("all places are free");
/// transactions.start(id, "a read"); // before the packet is written: the answer may be there before the call returns
/// assert_eq!(transactions.end(id.number()), Some((id, "a read")));
/// assert_eq!(transactions.end(id.number()), None);
/// assert_ne!(transactions.next(), Some(id));
/// ```
#[derive(Debug)]
pub struct Transactions<T, const DEPTH: usize> {
    places: [Place<T>; DEPTH],
    /// First of the places that were given up.
    free: u32,
    /// Places from this one on were never used.
    fresh: u32,
    pending: usize,
}

impl<T, const DEPTH: usize> Default for Transactions<T, DEPTH> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const DEPTH: usize> Transactions<T, DEPTH> {
    /// No request.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(
                DEPTH > 0 && DEPTH < u32::MAX as usize,
                "places are numbered with 32 bits"
            )
        };
        Self {
            places: [const {
                Place {
                    generation: 0,
                    state: State::Free(END),
                }
            }; DEPTH],
            free: END,
            fresh: 0,
            pending: 0,
        }
    }

    /// Requests that the peer has.
    #[must_use]
    #[inline]
    pub const fn pending(&self) -> usize {
        self.pending
    }

    /// The id that the next request gets, if there is a place for it.
    #[must_use]
    #[inline]
    pub fn next(&self) -> Option<TransactionId> {
        let place = if self.free == END { self.fresh } else { self.free };
        let generation = self.places.get(place as usize)?.generation;
        Some(TransactionId { place, generation })
    }

    /// Notes that the peer has, or is about to have, the request with the id that [`next`](Self::next) told.
    #[inline]
    pub fn start(&mut self, id: TransactionId, request: T) {
        if self.next() != Some(id) {
            return;
        }
        let Some(place) = self.places.get_mut(id.place as usize) else {
            return;
        };
        if let State::Free(next) = core::mem::replace(&mut place.state, State::Pending(request)) {
            if self.free == END {
                self.fresh = self.fresh.saturating_add(1);
            } else {
                self.free = next;
            }
            self.pending = self.pending.saturating_add(1);
        }
    }

    /// What is known of the request that has this number, if the peer has such a request.
    #[must_use]
    #[inline]
    pub fn get(&self, number: u64) -> Option<&T> {
        let id = TransactionId::of(number)?;
        let place = self.places.get(id.place as usize)?;
        match &place.state {
            State::Pending(request) if place.generation == id.generation => Some(request),
            _ => None,
        }
    }

    /// Ends the request that has this number, and tells it.
    #[inline]
    pub fn end(&mut self, number: u64) -> Option<(TransactionId, T)> {
        let id = TransactionId::of(number)?;
        let place = self.places.get_mut(id.place as usize)?;
        if place.generation != id.generation || !matches!(place.state, State::Pending(_)) {
            return None;
        }
        let State::Pending(request) = core::mem::replace(&mut place.state, State::Free(self.free)) else {
            return None;
        };
        place.generation = place.generation.wrapping_add(1);
        self.free = id.place;
        self.pending = self.pending.saturating_sub(1);
        Some((id, request))
    }

    /// Ends any request that the peer has.
    pub fn end_any(&mut self) -> Option<(TransactionId, T)> {
        let (index, place) = self
            .places
            .iter()
            .enumerate()
            .find(|(_, place)| matches!(place.state, State::Pending(_)))?;
        let id = TransactionId {
            place: u32::try_from(index).ok()?,
            generation: place.generation,
        };
        self.end(id.number())
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn case_05_numbers_that_name_nothing() {
        let mut transactions = Transactions::<u8, 4>::new();
        let id = transactions.next().unwrap();
        transactions.start(id, 7);
        for number in [
            0,
            2,
            4,
            5,
            u64::MAX,
            id.number() | 1 << 32,
            id.number() << 32,
            u64::from(u32::MAX),
        ] {
            assert_eq!(transactions.get(number), None, "{number:#x}");
            assert_eq!(transactions.end(number), None, "{number:#x}");
        }
        assert_eq!(transactions.end(id.number()), Some((id, 7)));
        let again = transactions.next().unwrap();
        assert_eq!(again.place(), id.place());
        transactions.start(again, 8);
        assert_eq!(transactions.end(id.number()), None, "stale");
        assert_eq!(transactions.pending(), 1);
        assert_eq!(transactions.end_any(), Some((again, 8)));
        assert_eq!(transactions.end_any(), None);
    }

    #[test]
    fn an_id_that_was_not_told_starts_nothing() {
        let mut transactions = Transactions::<u8, 2>::new();
        let id = transactions.next().unwrap();
        transactions.start(id, 1);
        transactions.start(id, 2);
        assert_eq!(
            (transactions.pending(), transactions.get(id.number())),
            (1, Some(&1))
        );
    }

    proptest::proptest! {
        /// Against a list of what is pending: each ends once, whatever the order, and no place is lost.
        #[test]
        fn places_are_conserved(steps in proptest::collection::vec(proptest::prelude::any::<(bool, usize)>(), 1..200)) {
            let mut transactions = Transactions::<usize, 8>::new();
            let mut pending: Vec<(TransactionId, usize)> = Vec::new();
            for (step, (start, pick)) in steps.into_iter().enumerate() {
                if start {
                    let id = transactions.next();
                    assert_eq!(id.is_some(), pending.len() < 8);
                    if let Some(id) = id {
                        assert!(pending.iter().all(|(other, _)| other.place() != id.place()));
                        transactions.start(id, step);
                        pending.push((id, step));
                    }
                } else if !pending.is_empty() {
                    let (id, request) = pending.swap_remove(pick % pending.len());
                    assert_eq!(transactions.end(id.number()), Some((id, request)));
                    assert_eq!(transactions.end(id.number()), None);
                }
                assert_eq!(transactions.pending(), pending.len());
            }
        }
    }
}
