//! Any sequence of messages, calls, refused posts and time: what holds after each.

mod op;

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

    fn channel(&self, pick: usize) -> Option<ChannelId> {
        let known: Vec<_> = self.told.iter().rev().take(6).copied().collect();
        known.get(pick).copied()
    }

    fn gpadl(&self, back: usize) -> GpadlId {
        let last = self.last_gpadls.iter().rev().nth(back).copied();
        last.unwrap_or(GpadlId::new(1000))
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Version(kind) => self.hear(&version(kind)),
            Op::Offer {
                relid,
                device,
                index,
                signal,
            } => {
                let mut offer = tell::offer(relid, device, index);
                match signal {
                    0 => offer.signal = None,
                    1 => offer.signal = Some(OfferSignal::dedicated(u32::MAX)),
                    _ => (),
                }
                self.hear(&HostMessage::OfferChannel(offer));
            }
            Op::Rescind(relid) => self.hear(&tell::rescind(relid)),
            Op::AllOffers => self.hear(&HostMessage::AllOffersDelivered),
            Op::Created { relid, back, success } => {
                self.hear(&tell::created(relid, self.gpadl(back), status(success)));
            }
            Op::Torndown(back) => self.hear(&tell::torndown(self.gpadl(back))),
            Op::Opened { relid, back, success } => {
                let open_id = self.opens_posted.wrapping_sub(back);
                self.hear(&tell::opened(relid, open_id, status(success)));
            }
            Op::Modified(relid, success) => self.hear(&tell::modified(relid, status(success))),
            Op::Unloaded => self.hear(&HostMessage::UnloadResponse),
            Op::Paused => self.hear(&HostMessage::PauseResponse),
            Op::PagesModified => self.hear(&tell::connection_modified(ConnectionState::SUCCESSFUL)),
            Op::Raw(kind, ref body) => {
                let mut payload = Vec::from(kind.to_le_bytes());
                payload.extend([0; 4]);
                payload.extend(body);
                self.hear_bytes(&payload);
            }
            Op::Answer(success) => {
                let (asked, failing) = (self.asked.pop(), self.asked_to_fail.pop());
                if let Some(message) = if success { asked } else { failing } {
                    self.hear(&message);
                }
            }
            Op::Connect => {
                if self.guest.connect().is_ok() {
                    assert!(!self.connecting, "an outcome is untold");
                    self.connecting = true;
                }
            }
            Op::Open(pick, pages) => {
                let Some(channel) = self.channel(pick) else { return };
                let memory = memory(u64::from(pages) << 8, pages);
                match self.guest.open(channel, memory, params()) {
                    Ok(gpadl) => {
                        assert!(self.offered.contains(&channel), "of what is not offered");
                        assert!(self.opening.insert(channel), "opened twice");
                        assert!(!self.open.contains(&channel));
                        self.lend(gpadl, memory, Some(channel));
                    }
                    Err(rejected) => assert_eq!(rejected.memory, memory),
                }
            }
            Op::Close(pick) => {
                let Some(channel) = self.channel(pick) else { return };
                if self.guest.close(channel).is_ok() {
                    self.open.remove(&channel);
                }
            }
            Op::Lend(pick, pages) => {
                let Some(channel) = self.channel(pick) else { return };
                let memory = memory(u64::from(pages) << 8, pages);
                match self.guest.lend(channel, memory) {
                    Ok(gpadl) => self.lend(gpadl, memory, None),
                    Err(rejected) => assert_eq!(rejected.memory, memory),
                }
            }
            Op::Teardown(back) => {
                let _ = self.guest.teardown(self.gpadl(back));
            }
            Op::Modify(pick) => {
                let Some(channel) = self.channel(pick) else { return };
                if self.guest.modify(channel, Some(VpIndex(1))).is_ok() {
                    assert!(self.moving.insert(channel), "moved twice");
                }
            }
            Op::Release(pick) => {
                let Some(channel) = self.channel(pick) else { return };
                if self.guest.release(channel).is_ok() {
                    assert!(
                        self.rescinded.remove(&channel) || self.offered.remove(&channel),
                        "released twice"
                    );
                    self.open.remove(&channel);
                    self.offered.remove(&channel);
                }
            }
            Op::Unload => {
                if self.guest.unload().is_ok() {
                    self.forget();
                }
            }
            Op::Lost => {
                self.guest.connection_lost();
                self.forget();
            }
            Op::PauseOrResume(pause) => {
                let _ = if pause {
                    self.guest.pause()
                } else {
                    self.guest.resume()
                };
            }
            Op::ModifyPages => {
                if self.guest.modify_connection(None).is_ok() {
                    assert!(!self.modifying, "modified twice");
                    self.modifying = true;
                }
            }
            Op::Events(count) => {
                for _ in 0..count {
                    self.take_event();
                }
            }
            Op::Post(count, code) => {
                for _ in 0..count {
                    self.post(code);
                }
            }
            Op::Time(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.guest.handle_timeout(self.now);
            }
        }
        self.check();
    }

    fn lend(&mut self, gpadl: GpadlId, memory: Contiguous, ring_of: Option<ChannelId>) {
        self.last_gpadls.push(gpadl);
        let entry = Lent {
            memory: Some(memory),
            ring_of,
            ..Lent::default()
        };
        assert!(self.lent.insert(gpadl, entry).is_none(), "an id that is taken");
    }

    /// The embedder dropped all rings, and its channels are no more.
    fn forget(&mut self) {
        self.open.clear();
        self.offered.clear();
        self.rescinded.clear();
        self.asked.clear();
        self.asked_to_fail.clear();
    }

    fn hear(&mut self, message: &HostMessage) {
        self.hear_bytes(&message.encode());
    }

    fn hear_bytes(&mut self, bytes: &[u8]) {
        let before = self.guest.breaches();
        let result = self.guest.handle_message(bytes);
        let is_breach = matches!(result, Err(HandleError::Breach(_)));
        assert_eq!(self.guest.breaches(), before + u64::from(is_breach));
    }

    fn post(&mut self, code: u16) {
        let Some(outbound) = self.guest.next_message() else {
            return;
        };
        let status = match code {
            0 => HvStatus::INSUFFICIENT_BUFFERS,
            1 => HvStatus::INVALID_CONNECTION_ID,
            2 => HvStatus::ACCESS_DENIED,
            _ => HvStatus::SUCCESS,
        };
        // What is refused for good goes on as if it was posted, for a host that is not there.
        let contact = matches!(
            self.guest.connection,
            super::super::connection::Connection::Contacting { .. }
        );
        match self.guest.message_posted(status) {
            Posted::Later => return,
            Posted::Done | Posted::Refused if contact && status != HvStatus::SUCCESS => return,
            Posted::Done | Posted::Refused => (),
        }
        let success = Status::SUCCESS;
        let failure = Status::UNSUCCESSFUL;
        match GuestMessage::decode(&outbound.payload).unwrap() {
            GuestMessage::InitiateContact(_) => self.ask(version(0), version(1)),
            GuestMessage::RequestOffers => {
                self.ask(HostMessage::AllOffersDelivered, HostMessage::AllOffersDelivered);
            }
            GuestMessage::GpadlHeader(header) => {
                let request = header.request;
                let entry = self.lent.get_mut(&request.gpadl).expect("it was lent");
                assert!(!entry.header, "lent twice");
                entry.header = true;
                let relid = request.relid.value();
                self.ask(
                    tell::created(relid, request.gpadl, success),
                    tell::created(relid, request.gpadl, failure),
                );
            }
            GuestMessage::GpadlBody(body) => {
                let entry = &self.lent[&body.more.gpadl];
                assert!(entry.header && !entry.teardown);
            }
            GuestMessage::GpadlTeardown(teardown) => {
                let entry = self.lent.get_mut(&teardown.gpadl).expect("it was lent");
                assert!(entry.header && !entry.teardown, "torn down twice");
                if let Some(channel) = entry.ring_of {
                    assert!(!self.open.contains(&channel), "while the embedder has the rings");
                }
                entry.teardown = true;
                let torndown = tell::torndown(teardown.gpadl);
                self.ask(torndown.clone(), torndown);
            }
            GuestMessage::OpenChannel(open) => {
                self.opens_posted += 1;
                assert_eq!(open.request.open_id.get(), self.opens_posted);
                let entry = &self.lent[&open.request.ring_gpadl];
                assert!(entry.header && !entry.teardown);
                let relid = open.request.relid.value();
                self.ask(
                    tell::opened(relid, self.opens_posted, success),
                    tell::opened(relid, self.opens_posted, failure),
                );
            }
            GuestMessage::CloseChannel(close) => {
                assert!(self.open.iter().all(|channel| channel.relid() != close.relid));
            }
            GuestMessage::ModifyChannel(modify) => {
                let relid = modify.relid.value();
                self.ask(tell::modified(relid, success), tell::modified(relid, failure));
            }
            GuestMessage::RelIdReleased(RelIdReleased { relid }) => {
                let held = |channels: &BTreeSet<ChannelId>| {
                    channels
                        .iter()
                        .any(|channel| channel.relid() == relid && self.guest.channel(*channel).is_some())
                };
                assert!(
                    !held(&self.offered) && !held(&self.rescinded) && !held(&self.open),
                    "released while the embedder has it"
                );
            }
            GuestMessage::Unload => {
                self.ask(HostMessage::UnloadResponse, HostMessage::UnloadResponse);
            }
            GuestMessage::Pause => self.ask(HostMessage::PauseResponse, HostMessage::PauseResponse),
            GuestMessage::ModifyConnection(_) => self.ask(
                tell::connection_modified(ConnectionState::SUCCESSFUL),
                tell::connection_modified(ConnectionState::FAILED_UNKNOWN_FAILURE),
            ),
            _ => (),
        }
    }

    fn ask(&mut self, success: HostMessage, failure: HostMessage) {
        self.asked.push(success);
        self.asked_to_fail.push(failure);
    }

    fn take_event(&mut self) {
        match self.guest.poll_event() {
            None => (),
            Some(Event::Connected(connected)) => {
                assert!(core::mem::take(&mut self.connecting), "not asked for");
                assert!(!self.connected);
                assert!(connected.message_connection.is_valid());
                assert!(FEATURES.contains(connected.features));
                self.connected = true;
            }
            Some(Event::ConnectFailed(_)) => {
                assert!(core::mem::take(&mut self.connecting), "not asked for");
            }
            Some(Event::Disconnected(_)) => {
                self.connected = false;
                self.open.clear();
            }
            Some(Event::Offered(offer)) => {
                assert!((1..2048).contains(&offer.channel.relid().value()));
                assert!(self.told.insert(offer.channel), "offered twice");
                self.offered.insert(offer.channel);
                assert_eq!(offer.primary.is_some(), offer.sub_channel_index > 0);
                let of_same = |channel: &&ChannelId| {
                    self.guest.channel(**channel).is_some_and(|other| {
                        (other.instance, other.sub_channel_index) == (offer.instance, offer.sub_channel_index)
                    })
                };
                assert_eq!(
                    self.offered.iter().filter(of_same).count(),
                    1,
                    "the same device twice"
                );
                assert_eq!(self.rescinded.iter().filter(of_same).count(), 0, "told too early");
            }
            Some(Event::Rescinded { channel }) => {
                assert!(self.offered.remove(&channel), "of what was not offered");
                assert!(!self.opening.contains(&channel), "an open is untold");
                assert!(!self.moving.contains(&channel), "a move is untold");
                self.rescinded.insert(channel);
            }
            Some(Event::Opened(opened)) => {
                assert!(self.opening.remove(&opened.channel), "not asked for");
                let (memory, _) = self.guest.rings(opened.channel).expect("it has rings");
                assert!(self.lent.values().any(|lent| {
                    lent.ring_of == Some(opened.channel) && lent.memory == Some(*memory) && !lent.teardown
                }));
                self.open.insert(opened.channel);
            }
            Some(Event::OpenFailed { channel, .. }) => {
                assert!(self.opening.remove(&channel), "not asked for");
            }
            Some(Event::Modified { channel, .. }) => {
                assert!(self.moving.remove(&channel), "not asked for");
            }
            Some(Event::GpadlCreated { channel, gpadl }) => {
                let lent = self.lent[&gpadl];
                assert!(lent.header && lent.ring_of.is_none() && !lent.teardown);
                assert!(self.offered.contains(&channel), "of a channel that goes");
            }
            Some(Event::MemoryReturned {
                gpadl,
                memory,
                reason,
                ..
            }) => {
                let lent = self.lent.remove(&gpadl).expect("returned once");
                assert_eq!(lent.memory, Some(memory));
                match reason {
                    ReturnReason::NeverLent => assert!(!lent.header),
                    ReturnReason::TornDown => assert!(lent.teardown),
                    ReturnReason::Refused(_) | ReturnReason::Rescinded => {
                        assert!(lent.header || lent.teardown)
                    }
                    _ => (),
                }
                // A host that is refused its post may be told by the engine to have it; the embedder has let go in any case.
                assert!(
                    lent.ring_of.is_none_or(|channel| !self.open.contains(&channel)),
                    "while the embedder has the rings"
                );
            }
            Some(Event::ConnectionModified(_)) => {
                assert!(core::mem::take(&mut self.modifying), "not asked for");
            }
            Some(Event::Overdue(Overdue::Gpadl { gpadl, .. })) => assert!(self.lent.contains_key(&gpadl)),
            Some(_) => (),
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
