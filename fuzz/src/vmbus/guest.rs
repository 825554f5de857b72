//! A host that says anything, refuses posts and lets time pass, and a kernel that opens and lends meanwhile.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use hvcall::{HvStatus, VpIndex};
use vmbus_proto::guest::{
    ChannelId, Contiguous, Event, FEATURES, Flagged, Guest, GuestConfig, HandleError, OpenParams, Posted,
};
use vmbus_proto::wire::{
    ConnectionState, GpadlCreated, GpadlId, GpadlTorndown, GuestMessage, Guid, HostMessage,
    ModifyChannelResponse, Offer, OfferChannel, OfferSignal, OpenResult, RelId, RescindChannelOffer, Status,
    VersionAnswer, VersionResponse, interface,
};
use zerocopy::FromZeros as _;
use zerocopy::little_endian::{U16, U32};

use crate::channel::Mangle;
use crate::input::{Bytes, Steps};
use crate::steps;

const CHANNELS: usize = 6;
const GPADLS: usize = 5;

steps! {
    /// What a host says.
    pub enum Message {
        Raw(kind: u8, body: Bytes),
        Version(form: u8, state: u8, connection: u32, features: u32),
        Offer(relid: u8, device: u8, index: u8, dedicated: bool),
        AllOffers,
        Rescind(relid: u8),
        /// Of the memory that was lent so long ago.
        Created(relid: u8, back: u8, status: u32),
        Torndown(back: u8),
        /// Of the open that was asked for so long ago.
        Opened(relid: u8, back: u8, status: u32),
        Modified(relid: u8, status: u32),
        Unloaded,
        Paused,
    }
}

steps! {
    /// What the host does, or the kernel.
    pub enum Step {
        Hear(message: Message, mangle: Mangle),
        /// The host answers what it was asked last, as it should or by refusing.
        Answer(well: bool),
        Post(status: u8),
        Event,
        Time(seconds: u8),
        Connect,
        Open(which: u8, pages: u8, downstream: u8),
        Close(which: u8),
        Lend(which: u8, pages: u8),
        Teardown(back: u8),
        Modify(which: u8),
        Release(which: u8),
        Unload,
        Lost,
        Pause,
        Resume,
        ModifyConnection,
    }
}

steps! {
    pub struct Input {
        /// Connected before the steps, with two devices.
        pub connected: bool,
        pub steps: Steps<Step>,
    }
}

struct Model {
    guest: Guest<Contiguous, CHANNELS, GPADLS>,
    now: Duration,
    /// Channels that were told, the last ones.
    told: Vec<ChannelId>,
    offered: HashSet<ChannelId>,
    opening: HashSet<ChannelId>,
    moving: HashSet<ChannelId>,
    open: HashSet<ChannelId>,
    connecting: bool,
    connected: bool,
    modifying: bool,
    /// What the engine has of ours.
    lent: HashMap<GpadlId, Contiguous>,
    gpadls: Vec<GpadlId>,
    opens: u32,
    /// What an honest host answers to what was posted: well, or not.
    asked: Vec<[HostMessage; 2]>,
}

fn version(state: ConnectionState, connection: u32, features: u32) -> HostMessage {
    let answer = VersionAnswer {
        version_supported: 1,
        connection_state: state,
        reserved: U16::ZERO,
        connection_id_or_version: U32::new(connection),
    };
    HostMessage::VersionResponse(VersionResponse::WithFeatures(answer, U32::new(features)))
}

fn opened(relid: RelId, open_id: u32, status: Status) -> HostMessage {
    HostMessage::OpenChannelResult(OpenResult {
        relid,
        open_id: U32::new(open_id),
        status,
    })
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        let mut config = GuestConfig::new(VpIndex(0));
        config.features = FEATURES;
        let mut model = Model {
            guest: Guest::new(config),
            now: Duration::ZERO,
            told: Vec::new(),
            offered: HashSet::new(),
            opening: HashSet::new(),
            moving: HashSet::new(),
            open: HashSet::new(),
            connecting: false,
            connected: false,
            modifying: false,
            lent: HashMap::new(),
            gpadls: Vec::new(),
            opens: 0,
            asked: Vec::new(),
        };
        if self.connected {
            for step in [
                Step::Connect,
                Step::Post(9),
                Step::Answer(true),
                Step::Event,
                Step::Post(9),
                Step::Hear(Message::Offer(1, 1, 0, true), Mangle::Nothing),
                Step::Hear(Message::Offer(2, 2, 0, true), Mangle::Nothing),
                Step::Event,
                Step::Event,
            ] {
                model.step(step);
            }
            assert_eq!(model.offered.len(), 2);
        }
        for step in self.steps {
            model.step(step);
            model.check();
        }
        model.finish();
    }
}

impl Model {
    fn message(&self, message: &Message) -> Option<HostMessage> {
        let id = |relid: &u8| RelId::new(u32::from(*relid));
        let back = |back: &u8| {
            let gpadl = self.gpadls.iter().rev().nth(usize::from(*back));
            gpadl.copied().unwrap_or(GpadlId::new(1000))
        };
        Some(match message {
            Message::Raw(..) => return None,
            Message::Version(form, state, connection, features) => {
                let HostMessage::VersionResponse(VersionResponse::WithFeatures(answer, features)) =
                    version(ConnectionState::new(*state), *connection, *features)
                else {
                    return None;
                };
                HostMessage::VersionResponse(match form % 4 {
                    0 => VersionResponse::REFUSAL,
                    1 => VersionResponse::Bare { version_supported: 1 },
                    2 => VersionResponse::Full(answer),
                    _ => VersionResponse::WithFeatures(answer, features),
                })
            }
            Message::Offer(relid, device, index, dedicated) => {
                let mut offer = Offer::new_zeroed();
                offer.interface = interface::SCSI;
                offer.instance = Guid::new(0, 0, 0, u64::from(*device % 4));
                offer.sub_channel_index = U16::new(u16::from(*index % 3));
                offer.relid = id(relid);
                HostMessage::OfferChannel(OfferChannel {
                    offer,
                    signal: dedicated.then(|| OfferSignal::dedicated(0x1000 + u32::from(*relid))),
                })
            }
            Message::AllOffers => HostMessage::AllOffersDelivered,
            Message::Rescind(relid) => {
                HostMessage::RescindChannelOffer(RescindChannelOffer { relid: id(relid) })
            }
            Message::Created(relid, ago, status) => HostMessage::GpadlCreated(GpadlCreated {
                relid: id(relid),
                gpadl: back(ago),
                status: Status::new(*status),
            }),
            Message::Torndown(ago) => HostMessage::GpadlTorndown(GpadlTorndown { gpadl: back(ago) }),
            Message::Opened(relid, ago, status) => opened(
                id(relid),
                self.opens.wrapping_sub(u32::from(*ago)),
                Status::new(*status),
            ),
            Message::Modified(relid, status) => HostMessage::ModifyChannelResponse(ModifyChannelResponse {
                relid: id(relid),
                status: Status::new(*status),
            }),
            Message::Unloaded => HostMessage::UnloadResponse,
            Message::Paused => HostMessage::PauseResponse,
        })
    }

    fn channel(&self, which: u8) -> Option<ChannelId> {
        self.told.iter().rev().nth(usize::from(which % 8)).copied()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Hear(message, mangle) => {
                let mut bytes = match (&message, self.message(&message)) {
                    (_, Some(message)) => message.encode().to_vec(),
                    (Message::Raw(kind, body), None) => {
                        let mut bytes = vec![*kind, 0, 0, 0, 0, 0, 0, 0];
                        bytes.extend(&body.0);
                        bytes
                    }
                    (_, None) => Vec::new(),
                };
                mangle.apply(&mut bytes);
                self.hear(&bytes);
            }
            Step::Answer(well) => {
                if let Some(answers) = self.asked.pop() {
                    let message = &answers[usize::from(!well)];
                    self.hear(&message.encode());
                }
            }
            Step::Post(status) => self.post(status),
            Step::Event => {
                self.event();
            }
            Step::Time(seconds) => {
                self.now += Duration::from_secs(seconds.into());
                self.guest.handle_timeout(self.now);
            }
            Step::Connect => {
                if self.guest.connect().is_ok() {
                    assert!(
                        !std::mem::replace(&mut self.connecting, true),
                        "an outcome is untold"
                    );
                }
            }
            Step::Open(which, pages, downstream) => {
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
                        self.lend(gpadl, memory);
                    }
                    Err(rejected) => assert_eq!(rejected.memory, memory),
                }
            }
            Step::Close(which) => {
                let Some(channel) = self.channel(which) else {
                    return;
                };
                if self.guest.close(channel).is_ok() {
                    self.open.remove(&channel);
                }
            }
            Step::Lend(which, pages) => {
                let Some(channel) = self.channel(which) else {
                    return;
                };
                let memory = memory(pages);
                match self.guest.lend(channel, memory) {
                    Ok(gpadl) => self.lend(gpadl, memory),
                    Err(rejected) => assert_eq!(rejected.memory, memory),
                }
            }
            Step::Teardown(back) => {
                if let Some(gpadl) = self.gpadls.iter().rev().nth(usize::from(back)) {
                    let _ = self.guest.teardown(*gpadl);
                }
            }
            Step::Modify(which) => {
                let Some(channel) = self.channel(which) else {
                    return;
                };
                if self.guest.modify(channel, Some(VpIndex(1))).is_ok() {
                    assert!(self.moving.insert(channel), "moved twice");
                }
            }
            Step::Release(which) => {
                let Some(channel) = self.channel(which) else {
                    return;
                };
                if self.guest.release(channel).is_ok() {
                    self.open.remove(&channel);
                    self.offered.remove(&channel);
                }
            }
            Step::Unload => {
                if self.guest.unload().is_ok() {
                    self.forget();
                }
            }
            Step::Lost => {
                self.guest.connection_lost();
                self.forget();
            }
            Step::Pause => {
                let _ = self.guest.pause();
            }
            Step::Resume => {
                let _ = self.guest.resume();
            }
            Step::ModifyConnection => {
                if self.guest.modify_connection(None).is_ok() {
                    assert!(!std::mem::replace(&mut self.modifying, true), "modified twice");
                }
            }
        }
    }

    fn lend(&mut self, gpadl: GpadlId, memory: Contiguous) {
        self.gpadls.push(gpadl);
        assert!(self.lent.insert(gpadl, memory).is_none(), "an id that is taken");
    }

    /// The kernel dropped all rings, and its channels are no more.
    fn forget(&mut self) {
        self.open.clear();
        self.offered.clear();
        self.asked.clear();
    }

    fn hear(&mut self, bytes: &[u8]) {
        let before = self.guest.breaches();
        let result = self.guest.handle_message(bytes);
        let breach = matches!(result, Err(HandleError::Breach(_)));
        assert_eq!(self.guest.breaches(), before + u64::from(breach));
    }

    fn post(&mut self, code: u8) {
        let Some(outbound) = self.guest.next_message() else {
            return;
        };
        let status = match code {
            0 => HvStatus::INSUFFICIENT_BUFFERS,
            1 => HvStatus::INVALID_CONNECTION_ID,
            2 => HvStatus::ACCESS_DENIED,
            _ => HvStatus::SUCCESS,
        };
        if self.guest.message_posted(status) == Posted::Later {
            return;
        }
        let message = GuestMessage::decode(&outbound.payload).expect("what is said can be understood");
        let statuses = [Status::SUCCESS, Status::UNSUCCESSFUL];
        let answers = match message {
            GuestMessage::InitiateContact(_) => [
                version(ConnectionState::SUCCESSFUL, 4, u32::MAX),
                HostMessage::VersionResponse(VersionResponse::REFUSAL),
            ],
            GuestMessage::GpadlHeader(header) => {
                assert!(self.lent.contains_key(&header.request.gpadl));
                let request = header.request;
                statuses.map(|status| {
                    HostMessage::GpadlCreated(GpadlCreated {
                        relid: request.relid,
                        gpadl: request.gpadl,
                        status,
                    })
                })
            }
            GuestMessage::GpadlTeardown(teardown) => {
                assert!(self.lent.contains_key(&teardown.gpadl));
                statuses.map(|_| {
                    HostMessage::GpadlTorndown(GpadlTorndown {
                        gpadl: teardown.gpadl,
                    })
                })
            }
            GuestMessage::OpenChannel(open) => {
                self.opens = open.request.open_id.get();
                assert!(self.lent.contains_key(&open.request.ring_gpadl));
                statuses.map(|status| opened(open.request.relid, self.opens, status))
            }
            GuestMessage::CloseChannel(close) => {
                assert!(
                    self.open.iter().all(|channel| channel.relid() != close.relid),
                    "it has the rings"
                );
                return;
            }
            GuestMessage::ModifyChannel(modify) => statuses.map(|status| {
                HostMessage::ModifyChannelResponse(ModifyChannelResponse {
                    relid: modify.relid,
                    status,
                })
            }),
            GuestMessage::Unload => [HostMessage::UnloadResponse, HostMessage::UnloadResponse],
            GuestMessage::Pause => [HostMessage::PauseResponse, HostMessage::PauseResponse],
            GuestMessage::RequestOffers => [HostMessage::AllOffersDelivered, HostMessage::AllOffersDelivered],
            _ => return,
        };
        self.asked.push(answers);
    }

    fn event(&mut self) -> bool {
        let Some(event) = self.guest.poll_event() else {
            return false;
        };
        match event {
            Event::Connected(connected) => {
                assert!(std::mem::take(&mut self.connecting), "not asked for");
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
                assert!(self.offered.remove(&channel), "of what was not offered");
                assert!(
                    !self.opening.contains(&channel) && !self.moving.contains(&channel),
                    "untold"
                );
            }
            Event::Opened(opened) => {
                assert!(self.opening.remove(&opened.channel), "not asked for");
                let (memory, _) = self.guest.rings(opened.channel).expect("it has rings");
                assert!(self.lent.values().any(|lent| lent == memory));
                self.open.insert(opened.channel);
            }
            Event::OpenFailed { channel, .. } => assert!(self.opening.remove(&channel), "not asked for"),
            Event::Modified { channel, .. } => assert!(self.moving.remove(&channel), "not asked for"),
            Event::GpadlCreated { gpadl, .. } => assert!(self.lent.contains_key(&gpadl)),
            Event::MemoryReturned { gpadl, memory, .. } => {
                assert_eq!(self.lent.remove(&gpadl), Some(memory), "returned once");
            }
            Event::ConnectionModified(_) => assert!(std::mem::take(&mut self.modifying), "not asked for"),
            _ => {}
        }
        true
    }

    fn check(&self) {
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

    fn drain(&mut self) {
        for round in 0.. {
            assert!(round < 1000, "it goes on and on");
            if !self.event() {
                return;
            }
        }
    }

    /// Whatever has happened, there is a way out: a guest that starts anew is as new, and has all that it lent.
    fn finish(&mut self) {
        self.drain();
        self.step(Step::Lost);
        self.drain();
        assert!(self.opening.is_empty() && self.moving.is_empty() && !self.connecting && !self.modifying);
        self.guest.connect().expect("nothing is in the way");
        self.connecting = true;
        for round in 0.. {
            assert!(round < 1000, "it does not connect");
            self.now += Duration::from_secs(1);
            self.guest.handle_timeout(self.now);
            self.post(9);
            self.hear(&version(ConnectionState::SUCCESSFUL, 4, 0).encode());
            self.drain();
            if !self.connecting {
                break;
            }
        }
        assert!(
            self.connected && self.lent.is_empty(),
            "the host has let go of everything"
        );
    }
}

fn memory(pages: u8) -> Contiguous {
    Contiguous {
        first_pfn: 0x100,
        pages: pages.into(),
    }
}
