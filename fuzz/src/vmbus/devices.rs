//! A VMM with our host's engine: its devices, what its guest knows, and what has to hold of both.

use std::collections::BTreeSet;

use vmbus_proto::host::{
    ChannelId, CloseTicket, Event, GpadlTicket, HandleError, Host, HostConfig, ModifyTicket, OfferParams,
    OpenTicket,
};
use vmbus_proto::wire::{GpadlId, GuestMessage, Guid, HostMessage, Status, interface};

pub const VP_COUNT: u32 = 4;
pub const CHANNELS: usize = 6;
/// Pages that a guest may lend in all.
pub const PAGES: usize = 64;

/// A host, and what its embedder and its guest know.
pub struct Devices<'a> {
    pub host: Host<'a, CHANNELS, 5, 4>,
    opening: Vec<(ChannelId, OpenTicket)>,
    closing: Vec<(ChannelId, CloseTicket)>,
    moving: Vec<ModifyTicket>,
    using: Vec<GpadlTicket>,
    /// Channels that the device serves.
    pub open: BTreeSet<ChannelId>,
    /// Channels that the guest knows.
    pub known: BTreeSet<u32>,
    rescinded: BTreeSet<u32>,
    pub connected: bool,
    /// Every channel that there ever was, the last ones.
    seen: Vec<ChannelId>,
}

fn device(number: u8) -> OfferParams {
    OfferParams::new(interface::SCSI, Guid::new(0, 0, 0, number.into()))
}

/// One of them, if there is any.
fn take<T>(of: &mut Vec<T>, which: u8) -> Option<T> {
    let count = of.len();
    (count > 0).then(|| of.swap_remove(usize::from(which) % count))
}

impl<'a> Devices<'a> {
    /// A host without a guest.
    pub fn new(storage: &'a mut [u64; PAGES]) -> Self {
        Self {
            host: Host::new(HostConfig::new(VP_COUNT), storage),
            opening: Vec::new(),
            closing: Vec::new(),
            moving: Vec::new(),
            using: Vec::new(),
            open: BTreeSet::new(),
            known: BTreeSet::new(),
            rescinded: BTreeSet::new(),
            connected: false,
            seen: Vec::new(),
        }
    }

    /// Offers a device. Tells whether there was room, and it was not there yet.
    pub fn offer(&mut self, number: u8) -> bool {
        let offered = self.host.offer(device(number)).ok();
        self.see(offered);
        offered.is_some()
    }

    pub fn offer_sub_channel(&mut self, parent: u8, index: u8) {
        if let Some(parent) = self.channel(parent) {
            let offered = self.host.offer_subchannel(parent, u16::from(index % 4));
            self.see(offered.ok());
        }
    }

    pub fn rescind(&mut self, which: u8) {
        if let Some(channel) = self.channel(which) {
            let _ = self.host.rescind(channel);
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

    pub fn answer_open(&mut self, which: u8, success: bool) {
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

    pub fn answer_close(&mut self, which: u8) {
        if let Some((channel, ticket)) = take(&mut self.closing, which) {
            assert!(self.open.remove(&channel));
            self.host.complete_close(ticket).expect("a ticket of this host");
        }
    }

    pub fn answer_modify(&mut self, which: u8) {
        if let Some(ticket) = take(&mut self.moving, which) {
            self.host.complete_modify(ticket);
        }
    }

    pub fn use_memory(&mut self, which: u8, gpadl: GpadlId) {
        // What the guest lends now is of its newest connection. An end of an older one that was not heard of yet would seem to be of this one.
        while self.event() {}
        let Some(channel) = self.channel(which) else {
            return;
        };
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

    pub fn give_memory_back(&mut self, which: u8) {
        if let Some(ticket) = take(&mut self.using, which) {
            self.host.release_gpadl(ticket).expect("a ticket of this host");
        }
    }

    /// Answers one of each. Tells whether there was any.
    pub fn answer_all(&mut self) -> bool {
        let none = self.opening.is_empty()
            && self.closing.is_empty()
            && self.moving.is_empty()
            && self.using.is_empty();
        self.answer_open(0, true);
        self.answer_close(0);
        self.answer_modify(0);
        self.give_memory_back(0);
        !none
    }

    /// What the guest says.
    pub fn hear(&mut self, bytes: &[u8]) -> Result<(), HandleError> {
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
        result
    }

    /// The guest has started anew.
    fn forget(&mut self) {
        self.known.clear();
        self.rescinded.clear();
    }

    /// Takes an event. Tells whether there was one.
    pub fn event(&mut self) -> bool {
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
                assert!(self.is_free());
            }
            Event::Released { channel } => {
                assert!(!self.known.contains(&channel.relid().value()));
                assert!(!self.open.contains(&channel));
            }
            event => panic!("{event:?}"),
        }
        true
    }

    /// Whether no device has anything of the guest.
    pub fn is_free(&self) -> bool {
        self.open.is_empty() && self.opening.is_empty() && self.using.is_empty()
    }

    /// Delivers a message, if there is one. Gives its bytes.
    pub fn deliver(&mut self) -> Option<Vec<u8>> {
        let outbound = self.host.next_message().cloned()?;
        self.host.message_delivered();
        let payload = outbound.payload().to_vec();
        let decoded = HostMessage::decode(&payload);
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
            HostMessage::VersionResponse(_) | HostMessage::UnloadResponse => assert!(self.is_free()),
            _ => {}
        }
        Some(payload)
    }

    /// What holds at any time.
    pub fn check(&self) {
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
}
