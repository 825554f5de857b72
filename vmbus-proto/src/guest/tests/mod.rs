//! The engine against a host that is scripted message by message, and against this crate's own.

extern crate std;

mod bus;
mod connection;
mod pair;

use std::vec::Vec;

use hvcall::{HvStatus, VpIndex};

use super::*;
use crate::wire::GuestMessage;

/// Small enough that bounds are near.
pub(super) type SmallGuest = Guest<Contiguous, 6, 5>;

pub(super) fn config() -> GuestConfig {
    GuestConfig::new(VpIndex(0))
}

/// Memory that two rings fit in, of these pages.
pub(super) fn memory(first_pfn: u64, pages: u32) -> Contiguous {
    Contiguous { first_pfn, pages }
}

/// Two rings of 2 pages each.
pub(super) fn params() -> OpenParams {
    OpenParams::new(2, VpIndex(1))
}

/// Calls by which tests speak to a guest, whatever its capacities.
pub(super) trait Talk {
    /// The next message, which is posted.
    fn say(&mut self) -> Option<Outbound>;
    fn event(&mut self) -> Option<Event<Contiguous>>;

    /// Everything that the guest has to say.
    fn said(&mut self) -> Vec<Outbound> {
        core::iter::from_fn(|| self.say()).collect()
    }

    /// Everything that the embedder has to act on.
    fn events(&mut self) -> Vec<Event<Contiguous>> {
        let events: Vec<_> = core::iter::from_fn(|| self.event()).take(1000).collect();
        assert!(events.len() < 1000, "they go on and on");
        events
    }
}

impl<const CHANNELS: usize, const GPADLS: usize> Talk for Guest<Contiguous, CHANNELS, GPADLS> {
    fn say(&mut self) -> Option<Outbound> {
        let outbound = self.next_message()?;
        // What is said can be understood.
        GuestMessage::decode(&outbound.payload).unwrap();
        assert_eq!(self.message_posted(HvStatus::SUCCESS), Posted::Done);
        Some(outbound)
    }

    fn event(&mut self) -> Option<Event<Contiguous>> {
        self.poll_event()
    }
}
