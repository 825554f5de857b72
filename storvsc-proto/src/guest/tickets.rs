//! Requests that the host has and did not answer.

/// A request that the host has. It is told complete once, and its id then means nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId {
    slot: u32,
    generation: u32,
}

impl RequestId {
    /// The transaction id: never 0, which is that of what nobody asked for, and never that of the negotiation.
    pub(super) fn transaction_id(self) -> u64 {
        // A table has fewer places than this has numbers, so that the slot's half is neither 0 nor all ones.
        u64::from(self.generation) << 32 | u64::from(self.slot.saturating_add(1))
    }

    fn of(transaction_id: u64) -> Option<Self> {
        let slot = u32::try_from(transaction_id & u64::from(u32::MAX))
            .ok()?
            .checked_sub(1)?;
        let generation = u32::try_from(transaction_id >> 32).ok()?;
        Some(Self { slot, generation })
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    generation: u32,
    /// Bytes of the buffer, of a request that the host has.
    pending: Option<u32>,
}

/// Requests that the host has. The host names one by its place and generation, and neither can be guessed into another's.
#[derive(Debug)]
pub(super) struct Tickets<const DEPTH: usize> {
    slots: [Slot; DEPTH],
    pending: usize,
}

impl<const DEPTH: usize> Tickets<DEPTH> {
    pub(super) const fn new() -> Self {
        const {
            assert!(
                DEPTH > 0 && DEPTH < u32::MAX as usize,
                "places are numbered with 32 bits"
            )
        };
        Self {
            slots: [Slot {
                generation: 0,
                pending: None,
            }; DEPTH],
            pending: 0,
        }
    }

    pub(super) const fn pending(&self) -> usize {
        self.pending
    }

    /// The id that the next request gets, if there is a place for it.
    pub(super) fn next(&self) -> Option<RequestId> {
        let (index, slot) = self
            .slots
            .iter()
            .enumerate()
            .find(|(_, slot)| slot.pending.is_none())?;
        Some(RequestId {
            slot: u32::try_from(index).ok()?,
            generation: slot.generation,
        })
    }

    fn slot(&mut self, id: RequestId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(usize::try_from(id.slot).ok()?)?;
        (slot.generation == id.generation).then_some(slot)
    }

    /// Notes that the host has the request.
    pub(super) fn start(&mut self, id: RequestId, buffer_len: u32) {
        if let Some(slot) = self.slot(id) {
            slot.pending = Some(buffer_len);
            self.pending = self.pending.saturating_add(1);
        }
    }

    /// Bytes of the buffer of the request that has this transaction id, if the host has such a request.
    pub(super) fn buffer_len(&mut self, transaction_id: u64) -> Option<u32> {
        self.slot(RequestId::of(transaction_id)?)?.pending
    }

    /// Ends the request that has this transaction id, and tells it.
    pub(super) fn end(&mut self, transaction_id: u64) -> Option<RequestId> {
        let id = RequestId::of(transaction_id)?;
        let slot = self.slot(id)?;
        slot.pending.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.pending = self.pending.saturating_sub(1);
        Some(id)
    }

    /// Ends any request that the host has.
    pub(super) fn end_any(&mut self) -> Option<RequestId> {
        let slot = self.slots.iter().position(|slot| slot.pending.is_some())?;
        let id = RequestId {
            slot: u32::try_from(slot).ok()?,
            generation: self.slots.get(slot)?.generation,
        };
        self.end(id.transaction_id())
    }
}
