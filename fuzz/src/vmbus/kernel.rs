//! A kernel with our guest's engine: what it asks for, what it is told, and what has to hold of both.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hvcall::VpIndex;
use vmbus_proto::guest::{ChannelId, Contiguous, Event, FEATURES, Flagged, Guest, GuestConfig, OpenParams};
use vmbus_proto::wire::GpadlId;

pub const CHANNELS: usize = 6;
pub const GPADLS: usize = 5;

/// What became of what was asked for.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Times that it came to terms with a host.
    pub connected: usize,
    /// Channels that were offered, opened and taken away.
    pub offered: usize,
    pub opened: usize,
    pub rescinded: usize,
    /// Memory that was lent, and that came back.
    pub lent: usize,
    pub returned: usize,
    /// Messages that were taken for breaches.
    pub breaches: u64,
}

/// The engine, and what its embedder knows.
pub struct Kernel {
    pub guest: Guest<Contiguous, CHANNELS, GPADLS>,
    now: Duration,
    /// Channels that were told, the last one at the end.
    pub told: Vec<ChannelId>,
    pub offered: HashSet<ChannelId>,
    pub rescinded: HashSet<ChannelId>,
    opening: HashSet<ChannelId>,
    moving: HashSet<ChannelId>,
    pub open: HashSet<ChannelId>,
    pub connecting: bool,
    pub connected: bool,
    modifying: bool,
    /// What the engine has of ours.
    pub lent: HashMap<GpadlId, Contiguous>,
    pub gpadls: Vec<GpadlId>,
    outcome: Outcome,
}

impl Kernel {
    /// One that asks for all that there is.
    pub fn new(config: GuestConfig) -> Self {
        Self {
            guest: Guest::new(GuestConfig {
                features: FEATURES,
                ..config
            }),
            now: Duration::ZERO,
            told: Vec::new(),
            offered: HashSet::new(),
            rescinded: HashSet::new(),
            opening: HashSet::new(),
            moving: HashSet::new(),
            open: HashSet::new(),
            connecting: false,
            connected: false,
            modifying: false,
            lent: HashMap::new(),
            gpadls: Vec::new(),
            outcome: Outcome::default(),
        }
    }

    /// What became of it all up to now.
    pub fn outcome(&self) -> Outcome {
        Outcome {
            offered: self.told.len(),
            lent: self.gpadls.len(),
            breaches: self.guest.breaches(),
            ..self.outcome.clone()
        }
    }

    fn channel(&self, which: u8) -> Option<ChannelId> {
        self.told.iter().rev().nth(usize::from(which % 8)).copied()
    }

    pub fn time(&mut self, passes: Duration) {
        self.now += passes;
        self.guest.handle_timeout(self.now);
    }

    pub fn connect(&mut self) {
        if self.guest.connect().is_ok() {
            let untold = std::mem::replace(&mut self.connecting, true);
            assert!(!untold, "an outcome is untold");
        }
    }

    /// Opens one of the channels that were told last.
    pub fn open(&mut self, which: u8, pages: u8, downstream: u8) {
        let Some(channel) = self.channel(which) else {
            return;
        };
        let memory = memory(pages);
        let params = OpenParams::new(u32::from(downstream), VpIndex(1));
        match self.guest.open(channel, memory, params) {
            Ok(gpadl) => {
                assert!(self.offered.contains(&channel), "of what is not offered");
                assert!(
                    !self.open.contains(&channel) && self.opening.insert(channel),
                    "opened twice"
                );
                self.lends(gpadl, memory);
            }
            Err(rejected) => assert_eq!(rejected.memory, memory),
        }
    }

    pub fn close(&mut self, which: u8) {
        if let Some(channel) = self.channel(which)
            && self.guest.close(channel).is_ok()
        {
            self.open.remove(&channel);
        }
    }

    pub fn lend(&mut self, which: u8, pages: u8) {
        let Some(channel) = self.channel(which) else {
            return;
        };
        let memory = memory(pages);
        match self.guest.lend(channel, memory) {
            Ok(gpadl) => self.lends(gpadl, memory),
            Err(rejected) => assert_eq!(rejected.memory, memory),
        }
    }

    fn lends(&mut self, gpadl: GpadlId, memory: Contiguous) {
        self.gpadls.push(gpadl);
        assert!(self.lent.insert(gpadl, memory).is_none(), "an id that is taken");
    }

    /// Wants back what was lent so long ago.
    pub fn teardown(&mut self, back: u8) {
        if let Some(gpadl) = self.gpadls.iter().rev().nth(usize::from(back)) {
            let _ = self.guest.teardown(*gpadl);
        }
    }

    pub fn modify(&mut self, which: u8) {
        if let Some(channel) = self.channel(which)
            && self.guest.modify(channel, Some(VpIndex(1))).is_ok()
        {
            assert!(self.moving.insert(channel), "moved twice");
        }
    }

    pub fn release(&mut self, which: u8) {
        if let Some(channel) = self.channel(which)
            && self.guest.release(channel).is_ok()
        {
            self.open.remove(&channel);
            self.offered.remove(&channel);
            self.rescinded.remove(&channel);
        }
    }

    /// Whether there was a connection to take leave of.
    pub fn unload(&mut self) -> bool {
        let unloads = self.guest.unload().is_ok();
        if unloads {
            self.forget();
        }
        unloads
    }

    pub fn lose(&mut self) {
        self.guest.connection_lost();
        self.forget();
    }

    /// The rings are dropped, and the channels are no more.
    fn forget(&mut self) {
        self.open.clear();
        self.offered.clear();
        self.rescinded.clear();
    }

    pub fn pause(&mut self) {
        let _ = self.guest.pause();
    }

    pub fn resume(&mut self) {
        let _ = self.guest.resume();
    }

    pub fn modify_connection(&mut self) {
        if self.guest.modify_connection(None).is_ok() {
            assert!(!std::mem::replace(&mut self.modifying, true), "modified twice");
        }
    }

    /// Nothing that was asked for waits for its outcome.
    pub fn is_told(&self) -> bool {
        self.opening.is_empty() && self.moving.is_empty() && !self.connecting && !self.modifying
    }

    /// Takes an event, if there is one.
    pub fn event(&mut self) -> Option<Event<Contiguous>> {
        let event = self.guest.poll_event()?;
        match &event {
            Event::Connected(connected) => {
                assert!(std::mem::take(&mut self.connecting), "not asked for");
                self.outcome.connected += 1;
                assert!(!std::mem::replace(&mut self.connected, true));
                assert!(connected.message_connection.is_valid() && FEATURES.contains(connected.features));
            }
            Event::ConnectFailed(_) => assert!(std::mem::take(&mut self.connecting), "not asked for"),
            Event::Disconnected(_) => {
                self.connected = false;
                self.open.clear();
            }
            Event::Offered(offer) => {
                assert!((1..2048).contains(&offer.channel.relid().value()));
                assert!(!self.told.contains(&offer.channel), "offered twice");
                self.told.push(offer.channel);
                self.offered.insert(offer.channel);
                assert_eq!(offer.primary.is_some(), offer.sub_channel_index > 0);
            }
            Event::Rescinded { channel } => {
                assert!(self.offered.remove(channel), "of what was not offered");
                assert!(self.rescinded.insert(*channel), "rescinded twice");
                self.outcome.rescinded += 1;
                assert!(
                    !self.opening.contains(channel) && !self.moving.contains(channel),
                    "untold"
                );
            }
            Event::Opened(opened) => {
                assert!(self.opening.remove(&opened.channel), "not asked for");
                let (memory, _) = self.guest.rings(opened.channel).expect("it has rings");
                assert!(self.lent.values().any(|lent| lent == memory));
                self.open.insert(opened.channel);
                self.outcome.opened += 1;
            }
            Event::OpenFailed { channel, .. } => assert!(self.opening.remove(channel), "not asked for"),
            Event::Modified { channel, .. } => assert!(self.moving.remove(channel), "not asked for"),
            Event::GpadlCreated { gpadl, .. } => assert!(self.lent.contains_key(gpadl)),
            Event::MemoryReturned { gpadl, memory, .. } => {
                assert_eq!(self.lent.remove(gpadl), Some(*memory), "returned once");
                self.outcome.returned += 1;
            }
            Event::ConnectionModified(_) => assert!(std::mem::take(&mut self.modifying), "not asked for"),
            _ => {}
        }
        Some(event)
    }

    pub fn drain(&mut self) {
        for round in 0.. {
            assert!(round < 1000, "it goes on and on");
            if self.event().is_none() {
                return;
            }
        }
    }

    /// What holds at any time.
    pub fn check(&self) {
        let relids: Vec<_> = self
            .guest
            .channels()
            .map(|offer| offer.channel.relid().value())
            .collect();
        let unique: HashSet<_> = relids.iter().collect();
        assert!(
            relids.len() <= CHANNELS && unique.len() == relids.len(),
            "ids are unique"
        );
        assert!(self.lent.len() <= GPADLS);
        for (gpadl, memory) in &self.lent {
            assert_eq!(
                self.guest.gpadl(*gpadl),
                Some(memory),
                "what is lent is the engine's"
            );
        }
        for flag in 0..12 {
            if let Flagged::Channel(channel) = self.guest.flagged(flag) {
                assert!(self.guest.rings(channel).is_some());
            }
        }
    }
}

fn memory(pages: u8) -> Contiguous {
    Contiguous {
        first_pfn: 0x100,
        pages: pages.into(),
    }
}
