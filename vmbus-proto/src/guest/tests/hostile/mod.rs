//! Any sequence of messages, calls, refused posts and time: what holds after each.
mod events;
mod op;
mod posted;
mod run;

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

use self::op::{Op, op};
use super::*;
use crate::wire::{MonitorPages, RelIdReleased};
/// What the host was told of memory.
#[derive(Clone, Copy, Debug, Default)]
struct Lent {
    memory: Option<Contiguous>,
    ring_of: Option<ChannelId>,
    header: bool,
    teardown: bool,
}

/// A guest, what its embedder has in hand, and what its host was told.
struct World {
    guest: SmallGuest,
    now: Duration,
    /// Channels that were offered, and not yet told to be rescinded, or released.
    offered: BTreeSet<ChannelId>,
    rescinded: BTreeSet<ChannelId>,
    /// Every channel that was ever told.
    told: BTreeSet<ChannelId>,
    /// What is asked for and not told of yet.
    opening: BTreeSet<ChannelId>,
    moving: BTreeSet<ChannelId>,
    connecting: bool,
    modifying: bool,
    /// Channels whose rings the embedder holds.
    open: BTreeSet<ChannelId>,
    lent: BTreeMap<GpadlId, Lent>,
    last_gpadls: Vec<GpadlId>,
    connected: bool,
    /// Requests that an honest host has to answer.
    asked: Vec<HostMessage>,
    asked_to_fail: Vec<HostMessage>,
    opens_posted: u32,
}

impl World {
    fn new() -> Self {
        Self {
            guest: SmallGuest::new(GuestConfig {
                features: FeatureFlags::all(),
                ..config()
            }),
            now: Duration::ZERO,
            offered: BTreeSet::new(),
            rescinded: BTreeSet::new(),
            told: BTreeSet::new(),
            opening: BTreeSet::new(),
            moving: BTreeSet::new(),
            connecting: false,
            modifying: false,
            open: BTreeSet::new(),
            lent: BTreeMap::new(),
            last_gpadls: Vec::new(),
            connected: false,
            asked: Vec::new(),
            asked_to_fail: Vec::new(),
            opens_posted: 0,
        }
    }

    /// What holds at any time.
    fn check(&self) {
        assert!(self.guest.channels().count() <= 6);
        assert!(self.lent.len() <= 5);
        let mut relids: Vec<_> = self.guest.channels().map(|offer| offer.channel.relid()).collect();
        let count = relids.len();
        relids.sort();
        relids.dedup();
        assert_eq!(relids.len(), count, "a relid twice");
        // What is lent is the engine's.
        for (gpadl, lent) in &self.lent {
            assert_eq!(self.guest.gpadl(*gpadl).copied(), lent.memory);
        }
        // Whom a flag is for has rings, or will be told of them.
        for flag in 0..12 {
            if let Flagged::Channel(channel) = self.guest.flagged(flag) {
                assert!(self.guest.rings(channel).is_some());
            }
        }
    }

    fn drain(&mut self) {
        for _ in 0..200 {
            self.take_event();
        }
        assert_eq!(self.guest.poll_event(), None);
    }

    /// Whatever has happened, there is a way out: a guest that starts anew is as new.
    fn wind_up(&mut self) {
        self.drain();
        self.guest.connection_lost();
        self.forget();
        self.drain();
        assert!(self.opening.is_empty() && self.moving.is_empty() && !self.connecting && !self.modifying);
        self.guest.connect().unwrap();
        self.connecting = true;
        while self.connecting {
            // Whatever was deferred is given again.
            self.now += seconds(1);
            self.guest.handle_timeout(self.now);
            self.post(9);
            self.hear(&version(0));
            self.drain();
        }
        // The host has let go of everything.
        assert!(self.lent.is_empty());
        assert_eq!(self.guest.says(), ["REQUEST_OFFERS"]);
        for relid in 1..=6 {
            self.guest.offered(relid, relid.into());
        }
    }
}

fn status(success: bool) -> Status {
    if success {
        Status::SUCCESS
    } else {
        Status::UNSUCCESSFUL
    }
}

/// Acceptances and refusals of many forms.
fn version(kind: u8) -> HostMessage {
    let features = U32::new(u32::MAX);
    let pages = MonitorPages {
        reserved: U32::ZERO,
        parent_to_child: 1.into(),
        child_to_parent: 2.into(),
    };
    HostMessage::VersionResponse(match kind {
        0 => VersionResponse::WithMonitorPages(tell::answer(4), features, pages),
        1 => VersionResponse::REFUSAL,
        2 => VersionResponse::Full(tell::answer(0)),
        3 => VersionResponse::Bare { version_supported: 1 },
        4 => VersionResponse::WithState {
            version_supported: 1,
            connection_state: ConnectionState::FAILED_UNKNOWN_FAILURE,
        },
        _ => VersionResponse::WithFeatures(tell::answer(4), features),
    })
}

proptest! {
    #[test]
    fn any_sequence_keeps_what_is_promised(warm in 0u32..4, ops in proptest::collection::vec(op(), 0..250)) {
        let mut world = World::new();
        // Most of them start where something can happen.
        if warm > 0 {
            for op in [
                Op::Connect,
                Op::Post(1, 9),
                Op::Answer(true),
                Op::Post(1, 9),
                Op::Offer { relid: 1, device: 1, index: 0, signal: 9 },
                Op::Offer { relid: 2, device: 2, index: 0, signal: 9 },
                Op::Events(4),
                Op::Open(0, 30),
                Op::Post(2, 9),
                Op::Answer(true),
                Op::Post(1, 9),
                Op::Answer(true),
                Op::Events(2),
            ] {
                world.run(&op);
            }
            prop_assert_eq!(world.open.len(), 1);
        }
        for op in &ops {
            world.run(op);
        }
        world.wind_up();
    }
}
