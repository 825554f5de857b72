//! A guest that says anything, and an embedder that takes its time.

use std::collections::BTreeSet;

use vmbus_proto::host::{
    ChannelId, CloseTicket, Event, GpadlTicket, HandleError, Host, HostConfig, ModifyTicket, OfferParams,
    OpenTicket,
};
use vmbus_proto::wire::{
    CloseChannel, ContactRequest, GpadlBody, GpadlHeader, GpadlId, GpadlMore, GpadlRequest, GpadlTeardown,
    GuestMessage, Guid, HostMessage, InitiateContact, ModifyChannel, OpenChannel, OpenRequest, OpenSignal,
    RelId, RelIdReleased, Status, USER_DEFINED_SIZE, Version, interface,
};
use zerocopy::little_endian::{U16, U32, U64};

use crate::channel::Mangle;
use crate::input::{Bytes, Steps};
use crate::steps;

const VP_COUNT: u32 = 4;
const CHANNELS: usize = 6;
/// Pages that a guest may lend in all.
const PAGES: usize = 64;

steps! {
    /// What a guest says. Ids are small, so that they are met again.
    pub enum Message {
        Raw(kind: u8, body: Bytes),
        /// A version that there is.
        Contact(version: u8, vp: u8, target: u64, client: bool),
        /// Any.
        ContactAs(version: u32, vp: u32, target: u64, pages: [u64; 2]),
        RequestOffers,
        Unload,
        Pause,
        Resume,
        /// A GPADL of one range of pages, of which so many words are in this message.
        Lend(relid: u8, gpadl: u8, pages: u8, sent: u8),
        /// A GPADL of any ranges.
        LendAs(relid: u8, gpadl: u8, bytes: u16, ranges: u16, words: [u64; 4]),
        Body(gpadl: u8, words: u8),
        Teardown(relid: u8, gpadl: u8),
        Open(relid: u8, gpadl: u8, downstream: u8, vp: u8),
        OpenSignalled(relid: u8, gpadl: u8, downstream: u8, flag: u16, connection: u32),
        Close(relid: u8),
        Modify(relid: u8, vp: u8),
        Released(relid: u8),
    }
}

steps! {
    /// What the guest does, or the embedder.
    pub enum Step {
        Hear(message: Message, mangle: Mangle),
        Offer(device: u8),
        SubChannel(parent: u8, index: u8),
        Rescind(which: u8),
        Event,
        AnswerOpen(which: u8, success: bool),
        AnswerClose(which: u8),
        AnswerModify(which: u8),
        Use(which: u8, gpadl: u8),
        Unuse(which: u8),
        Deliver(count: u8),
        Channels,
    }
}

steps! {
    pub struct Input {
        /// Connected before the steps, in this version, with two devices.
        pub connected: u8,
        pub steps: Steps<Step>,
    }
}

/// A host, and what its embedder and its guest know.
struct Model<'a> {
    host: Host<'a, CHANNELS, 5, 4>,
    opening: Vec<(ChannelId, OpenTicket)>,
    closing: Vec<(ChannelId, CloseTicket)>,
    moving: Vec<ModifyTicket>,
    using: Vec<GpadlTicket>,
    /// Channels that the device serves.
    open: BTreeSet<ChannelId>,
    /// Channels that the guest knows.
    known: BTreeSet<u32>,
    rescinded: BTreeSet<u32>,
    connected: bool,
    /// Every channel that there ever was, the last ones.
    seen: Vec<ChannelId>,
}

fn device(number: u8) -> OfferParams {
    OfferParams::new(interface::SCSI, Guid::new(0, 0, 0, number.into()))
}

impl Message {
    fn bytes(&self) -> Vec<u8> {
        let mut words: Vec<U64> = Vec::new();
        let relid = |relid: &u8| RelId::new(u32::from(*relid));
        let gpadl_id = |gpadl: &u8| GpadlId::new(u32::from(*gpadl));
        let open = |id: &u8, gpadl: &u8, downstream: &u8, vp: u32| OpenRequest {
            relid: relid(id),
            open_id: U32::new(7),
            ring_gpadl: gpadl_id(gpadl),
            target_vp: U32::new(vp),
            downstream_page_offset: U32::new((*downstream).into()),
            user_data: [0; USER_DEFINED_SIZE],
        };
        let message = match self {
            Self::Raw(kind, body) => {
                let mut bytes = vec![*kind, 0, 0, 0, 0, 0, 0, 0];
                bytes.extend(&body.0);
                return bytes;
            }
            Self::Contact(version, vp, target, client) => GuestMessage::InitiateContact(InitiateContact {
                request: ContactRequest {
                    version: Version::NAMED[usize::from(*version) % Version::NAMED.len()],
                    target_vp: U32::new((*vp).into()),
                    interrupt_page_or_target: target.to_le_bytes(),
                    parent_to_child_monitor_page: U64::new(0x10_0000),
                    child_to_parent_monitor_page: U64::new(0x10_1000),
                },
                client_id: client.then(|| Guid::new(1, 2, 3, 4)),
            }),
            Self::ContactAs(version, vp, target, pages) => GuestMessage::InitiateContact(InitiateContact {
                request: ContactRequest {
                    version: Version::new(*version),
                    target_vp: U32::new(*vp),
                    interrupt_page_or_target: target.to_le_bytes(),
                    parent_to_child_monitor_page: U64::new(pages[0]),
                    child_to_parent_monitor_page: U64::new(pages[1]),
                },
                client_id: None,
            }),
            Self::RequestOffers => GuestMessage::RequestOffers,
            Self::Unload => GuestMessage::Unload,
            Self::Pause => GuestMessage::Pause,
            Self::Resume => GuestMessage::Resume,
            Self::Lend(id, gpadl, pages, sent) => {
                let pages = u32::from(*pages % 80);
                words.push(U64::new(u64::from(pages * 4096)));
                words.extend((0..pages).map(|page| U64::new(0x100 + u64::from(page))));
                let range_bytes = U16::new((words.len() * 8) as u16);
                words.truncate(usize::from(*sent).min(27));
                GuestMessage::GpadlHeader(GpadlHeader {
                    request: GpadlRequest {
                        relid: relid(id),
                        gpadl: gpadl_id(gpadl),
                        range_bytes,
                        range_count: U16::new(1),
                    },
                    values: &words,
                })
            }
            Self::LendAs(id, gpadl, bytes, ranges, values) => {
                words.extend(values.map(U64::new));
                GuestMessage::GpadlHeader(GpadlHeader {
                    request: GpadlRequest {
                        relid: relid(id),
                        gpadl: gpadl_id(gpadl),
                        range_bytes: U16::new(*bytes),
                        range_count: U16::new(*ranges),
                    },
                    values: &words,
                })
            }
            Self::Body(gpadl, count) => {
                words.resize(usize::from(*count % 29), U64::new(5));
                GuestMessage::GpadlBody(GpadlBody {
                    more: GpadlMore {
                        message_number: U32::ZERO,
                        gpadl: gpadl_id(gpadl),
                    },
                    values: &words,
                })
            }
            Self::Teardown(id, gpadl) => GuestMessage::GpadlTeardown(GpadlTeardown {
                relid: relid(id),
                gpadl: gpadl_id(gpadl),
            }),
            Self::Open(id, gpadl, downstream, vp) => GuestMessage::OpenChannel(OpenChannel {
                request: open(id, gpadl, downstream, u32::from(*vp)),
                signal: None,
            }),
            Self::OpenSignalled(id, gpadl, downstream, flag, connection) => {
                GuestMessage::OpenChannel(OpenChannel {
                    request: open(id, gpadl, downstream, 0),
                    signal: Some(OpenSignal {
                        connection_id: U32::new(*connection),
                        event_flag: U16::new(*flag),
                        flags: U16::ZERO,
                    }),
                })
            }
            Self::Close(id) => GuestMessage::CloseChannel(CloseChannel { relid: relid(id) }),
            Self::Modify(id, vp) => GuestMessage::ModifyChannel(ModifyChannel {
                relid: relid(id),
                target_vp: U32::new((*vp).into()),
            }),
            Self::Released(id) => GuestMessage::RelIdReleased(RelIdReleased { relid: relid(id) }),
        };
        message.encode().map(|bytes| bytes.to_vec()).unwrap_or_default()
    }
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        let mut storage = [0; PAGES];
        let mut model = Model {
            host: Host::new(HostConfig::new(VP_COUNT), &mut storage),
            opening: Vec::new(),
            closing: Vec::new(),
            moving: Vec::new(),
            using: Vec::new(),
            open: BTreeSet::new(),
            known: BTreeSet::new(),
            rescinded: BTreeSet::new(),
            connected: false,
            seen: Vec::new(),
        };
        if self.connected > 0 {
            let contact = Message::Contact(self.connected, 0, 0, false);
            for step in [
                Step::Offer(0),
                Step::Offer(1),
                Step::Hear(contact, Mangle::Nothing),
                Step::Hear(Message::RequestOffers, Mangle::Nothing),
                Step::Deliver(4),
            ] {
                model.step(step);
            }
        }
        for step in self.steps {
            model.step(step);
            model.check();
        }
        model.finish();
    }
}

impl Model<'_> {
    fn step(&mut self, step: Step) {
        match step {
            Step::Hear(message, mangle) => {
                let mut bytes = message.bytes();
                mangle.apply(&mut bytes);
                self.hear(&bytes);
            }
            Step::Offer(number) => {
                let offered = self.host.offer(device(number % 8));
                self.see(offered.ok());
            }
            Step::SubChannel(parent, index) => {
                if let Some(parent) = self.channel(parent) {
                    let offered = self.host.offer_subchannel(parent, u16::from(index % 4));
                    self.see(offered.ok());
                }
            }
            Step::Rescind(which) => {
                if let Some(channel) = self.channel(which) {
                    let _ = self.host.rescind(channel);
                }
            }
            Step::Event => {
                self.event();
            }
            Step::AnswerOpen(which, success) => {
                if let Some((channel, ticket)) = take(&mut self.opening, which) {
                    let status = if success {
                        Status::SUCCESS
                    } else {
                        Status::UNSUCCESSFUL
                    };
                    self.host
                        .complete_open(ticket, status)
                        .expect("a ticket of this host");
                    if success {
                        assert!(self.open.insert(channel));
                    }
                }
            }
            Step::AnswerClose(which) => {
                if let Some((channel, ticket)) = take(&mut self.closing, which) {
                    assert!(self.open.remove(&channel));
                    self.host.complete_close(ticket).expect("a ticket of this host");
                }
            }
            Step::AnswerModify(which) => {
                if let Some(ticket) = take(&mut self.moving, which) {
                    self.host.complete_modify(ticket);
                }
            }
            Step::Use(which, gpadl) => {
                let Some(channel) = self.channel(which) else {
                    return;
                };
                let gpadl = GpadlId::new(gpadl.into());
                let bytes = self.host.gpadl(channel, gpadl).map(|view| {
                    let sum: u64 = view.ranges().map(|range| u64::from(range.byte_count())).sum();
                    assert_eq!(sum, view.total_bytes());
                    sum
                });
                if let Some(ticket) = self.host.use_gpadl(channel, gpadl) {
                    assert!(bytes.is_some());
                    self.using.push(ticket);
                }
            }
            Step::Unuse(which) => {
                if let Some(ticket) = take(&mut self.using, which) {
                    self.host.release_gpadl(ticket).expect("a ticket of this host");
                }
            }
            Step::Deliver(count) => {
                for _ in 0..count % 8 {
                    self.deliver();
                }
            }
            Step::Channels => {
                let channels: Vec<_> = self.host.channels().collect();
                for channel in channels {
                    let _ = (self.host.signal(channel), self.host.connection_id(channel));
                }
            }
        }
    }

    fn see(&mut self, channel: Option<ChannelId>) {
        self.seen.extend(channel);
        if self.seen.len() > 16 {
            self.seen.remove(0);
        }
    }

    fn channel(&self, which: u8) -> Option<ChannelId> {
        self.seen.iter().rev().nth(usize::from(which % 16)).copied()
    }

    fn hear(&mut self, bytes: &[u8]) {
        let result = self.host.handle_message(bytes);
        match GuestMessage::decode(bytes) {
            Ok(GuestMessage::InitiateContact(_)) => {
                assert_ne!(result, Err(HandleError::Busy), "a guest can always start anew");
                self.forget();
            }
            Ok(GuestMessage::Unload) => {
                assert_eq!(result, Ok(()));
                self.forget();
            }
            Ok(GuestMessage::RelIdReleased(released)) if result.is_ok() => {
                let relid = released.relid.value();
                assert!(self.known.remove(&relid), "released what it did not know");
                self.rescinded.remove(&relid);
            }
            Ok(_) => {}
            Err(_) => assert!(result.is_err()),
        }
    }

    /// The guest has started anew.
    fn forget(&mut self) {
        self.known.clear();
        self.rescinded.clear();
    }

    fn event(&mut self) -> bool {
        let Some(event) = self.host.poll_event() else {
            return false;
        };
        match event {
            Event::Open {
                channel,
                ticket,
                request,
            } => {
                assert!(!self.open.contains(&channel), "opened while it is open");
                assert!(
                    self.opening.iter().all(|(other, _)| *other != channel),
                    "opened twice"
                );
                // The rings are there, unless the guest wants them back already.
                if let Some(rings) = self.host.rings(channel) {
                    assert!(rings.downstream() >= 2 && rings.count() >= rings.downstream() + 2);
                    assert_eq!(rings.addresses().count(), rings.count() as usize);
                }
                assert!(request.signal.vp.is_none_or(|vp| vp.0 < VP_COUNT));
                self.opening.push((channel, ticket));
            }
            Event::Close { channel, ticket } => {
                assert!(self.open.contains(&channel), "closed what is not open");
                assert!(
                    self.closing.iter().all(|(other, _)| *other != channel),
                    "closed twice"
                );
                self.closing.push((channel, ticket));
            }
            Event::Modify {
                channel,
                ticket,
                signal,
            } => {
                assert!(self.open.contains(&channel), "moved what is not open");
                assert!(signal.vp.is_none_or(|vp| vp.0 < VP_COUNT));
                self.moving.push(ticket);
            }
            Event::GpadlTeardown { .. } => assert!(!self.using.is_empty()),
            Event::Connected(_) => assert!(!std::mem::replace(&mut self.connected, true), "connected twice"),
            Event::Disconnected => {
                assert!(std::mem::take(&mut self.connected), "disconnected twice");
                assert!(self.open.is_empty() && self.opening.is_empty() && self.using.is_empty());
            }
            Event::Released { channel } => {
                assert!(!self.known.contains(&channel.relid().value()));
                assert!(!self.open.contains(&channel));
            }
            event => panic!("{event:?}"),
        }
        true
    }

    fn deliver(&mut self) -> bool {
        let Some(outbound) = self.host.next_message().cloned() else {
            return false;
        };
        self.host.message_delivered();
        let decoded = HostMessage::decode(&outbound.payload());
        assert_eq!(
            decoded.as_ref(),
            Ok(&outbound.message),
            "what is said can be understood"
        );
        assert!(outbound.target.vp.0 < VP_COUNT);
        match outbound.message {
            HostMessage::OfferChannel(offer) => {
                let relid = offer.offer.relid.value();
                assert!((1..2048).contains(&relid));
                assert!(self.known.insert(relid), "an id that the guest knows already");
            }
            HostMessage::RescindChannelOffer(rescind) => {
                let relid = rescind.relid.value();
                assert!(self.known.contains(&relid), "rescinded what was not offered");
                assert!(self.rescinded.insert(relid), "rescinded twice");
                let open = |channel: &ChannelId| channel.relid().value() == relid;
                assert!(
                    !self.open.iter().any(open),
                    "rescinded while a device works on it"
                );
            }
            HostMessage::OpenChannelResult(result) => {
                assert!(
                    !self.rescinded.contains(&result.relid.value()),
                    "an open reply after the rescind"
                );
            }
            // Only once no device has anything of the guest any more.
            HostMessage::VersionResponse(_) | HostMessage::UnloadResponse => {
                assert!(self.open.is_empty() && self.opening.is_empty() && self.using.is_empty());
            }
            _ => {}
        }
        true
    }

    fn check(&self) {
        let relids: Vec<_> = self
            .host
            .channels()
            .map(|channel| channel.relid().value())
            .collect();
        let unique: BTreeSet<_> = relids.iter().collect();
        assert!(
            relids.len() <= CHANNELS && unique.len() == relids.len(),
            "ids are unique"
        );
    }

    /// Whatever has happened, there is a way out: a guest that starts anew finds a host as new.
    fn finish(&mut self) {
        self.step(Step::Hear(Message::Unload, Mangle::Nothing));
        for round in 0.. {
            assert!(round < 1000, "it goes on and on");
            let mut moved = self.event();
            moved |= !(self.opening.is_empty() && self.closing.is_empty());
            moved |= !(self.moving.is_empty() && self.using.is_empty());
            for step in [
                Step::AnswerOpen(0, true),
                Step::AnswerClose(0),
                Step::AnswerModify(0),
                Step::Unuse(0),
            ] {
                self.step(step);
            }
            moved |= self.deliver();
            if !moved {
                break;
            }
        }
        assert!(self.open.is_empty() && !self.connected);
        // All the room is there again.
        let channels: Vec<_> = self.host.channels().collect();
        for channel in channels {
            let _ = self.host.rescind(channel);
        }
        while self.event() {}
        for number in 10..10 + CHANNELS as u8 {
            self.host
                .offer(device(number))
                .expect("room for as many as there can be");
        }
        for message in [
            Message::Contact(Version::NAMED.len() as u8 - 1, 0, 0, false),
            Message::RequestOffers,
        ] {
            self.hear(&message.bytes());
        }
        while self.event() || self.deliver() {}
        assert_eq!(self.known.len(), CHANNELS, "every device is offered");
    }
}

/// One of them, if there is any.
fn take<T>(of: &mut Vec<T>, which: u8) -> Option<T> {
    let count = of.len();
    (count > 0).then(|| of.swap_remove(usize::from(which) % count))
}
