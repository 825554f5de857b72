//! Any sequence of messages and calls: what holds after each.

use std::collections::BTreeSet;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Contact(u8, u32),
    RequestOffers,
    Unload,
    Lend {
        relid: u32,
        gpadl: u32,
        pages: u32,
        sent: usize,
    },
    Body {
        gpadl: u32,
        values: usize,
    },
    Teardown {
        relid: u32,
        gpadl: u32,
    },
    Open {
        relid: u32,
        gpadl: u32,
        downstream: u32,
        vp: u32,
    },
    Close(u32),
    Modify {
        relid: u32,
        vp: u32,
    },
    Release(u32),
    PauseOrResume(bool),
    Raw(u32, Vec<u8>),
    Offer(u64),
    SubChannel {
        parent: u32,
        index: u16,
    },
    Rescind(u32),
    Events(usize),
    AnswerOpen(bool),
    AnswerClose,
    AnswerModify,
    Use {
        relid: u32,
        gpadl: u32,
    },
    Unuse,
    Deliver(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let relid = 0u32..9;
    let gpadl = 0u32..4;
    prop_oneof![
        2 => (0u8..12, 0u32..6).prop_map(|(version, vp)| Op::Contact(version, vp)),
        3 => Just(Op::RequestOffers),
        1 => Just(Op::Unload),
        6 => (relid.clone(), gpadl.clone(), 0u32..32, 0usize..28)
            .prop_map(|(relid, gpadl, pages, sent)| Op::Lend { relid, gpadl, pages, sent }),
        2 => (gpadl.clone(), 0usize..29).prop_map(|(gpadl, values)| Op::Body { gpadl, values }),
        3 => (relid.clone(), gpadl.clone()).prop_map(|(relid, gpadl)| Op::Teardown { relid, gpadl }),
        6 => (relid.clone(), gpadl.clone(), 0u32..6, 0u32..5)
            .prop_map(|(relid, gpadl, downstream, vp)| Op::Open { relid, gpadl, downstream, vp }),
        3 => relid.clone().prop_map(Op::Close),
        2 => (relid.clone(), 0u32..5).prop_map(|(relid, vp)| Op::Modify { relid, vp }),
        3 => relid.clone().prop_map(Op::Release),
        1 => any::<bool>().prop_map(Op::PauseOrResume),
        1 => (0u32..32, proptest::collection::vec(any::<u8>(), 0..240)).prop_map(|(kind, body)| Op::Raw(kind, body)),
        3 => (0u64..4).prop_map(Op::Offer),
        2 => (relid.clone(), 0u16..3).prop_map(|(parent, index)| Op::SubChannel { parent, index }),
        2 => relid.clone().prop_map(Op::Rescind),
        6 => (1usize..5).prop_map(Op::Events),
        4 => any::<bool>().prop_map(Op::AnswerOpen),
        4 => Just(Op::AnswerClose),
        2 => Just(Op::AnswerModify),
        2 => (relid, gpadl).prop_map(|(relid, gpadl)| Op::Use { relid, gpadl }),
        2 => Just(Op::Unuse),
        8 => (1usize..6).prop_map(Op::Deliver),
    ]
}

/// A host and what the embedder has in hand, as the events and the calls gave it.
struct World<'a> {
    host: SmallHost<'a>,
    opening: Vec<(ChannelId, OpenTicket)>,
    closing: Vec<(ChannelId, CloseTicket)>,
    moving: Vec<ModifyTicket>,
    using: Vec<GpadlTicket>,
    /// Channels that the device serves.
    open: BTreeSet<ChannelId>,
    /// Channels that the guest knows, by what it was told.
    known: BTreeSet<u32>,
    rescinded: BTreeSet<u32>,
    connected: bool,
}

impl World<'_> {
    fn channel(relid: u32) -> ChannelId {
        ChannelId(RelId::new(relid))
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Contact(number, vp) => {
                let version = Version::NAMED
                    .get(usize::from(number))
                    .copied()
                    .unwrap_or(Version::new(7));
                let mut contact = say::contact(version, FeatureFlags::all());
                contact.request.target_vp = U32::new(vp);
                let result = self.host.hear(&GuestMessage::InitiateContact(contact));
                assert_ne!(result, Err(HandleError::Busy));
                self.forget();
            }
            Op::RequestOffers => {
                let _ = self.host.hear(&GuestMessage::RequestOffers);
            }
            Op::Unload => {
                self.host.hear(&GuestMessage::Unload).unwrap();
                self.forget();
            }
            Op::Lend {
                relid,
                gpadl,
                pages,
                sent,
            } => {
                let values = say::range(u64::from(relid) << 8, pages);
                let bytes = u16::try_from(values.len() * 8).unwrap();
                let sent = &values[..values.len().min(sent)];
                let _ = self.host.hear(&say::header(
                    RelId::new(relid),
                    GpadlId::new(gpadl),
                    bytes,
                    1,
                    sent,
                ));
            }
            Op::Body { gpadl, values } => {
                let values = vec![U64::new(5); values];
                let _ = self.host.hear(&say::body(GpadlId::new(gpadl), &values));
            }
            Op::Teardown { relid, gpadl } => {
                let _ = self
                    .host
                    .hear(&say::teardown(RelId::new(relid), GpadlId::new(gpadl)));
            }
            Op::Open {
                relid,
                gpadl,
                downstream,
                vp,
            } => {
                let request = OpenRequest {
                    downstream_page_offset: U32::new(downstream),
                    target_vp: U32::new(vp),
                    ..say::open(RelId::new(relid), GpadlId::new(gpadl))
                };
                let _ = self.host.hear(&say::open_channel(request));
            }
            Op::Close(relid) => {
                let _ = self.host.hear(&say::close_channel(RelId::new(relid)));
            }
            Op::Modify { relid, vp } => {
                let _ = self.host.hear(&say::modify(RelId::new(relid), vp));
            }
            Op::Release(relid) => {
                if self.host.hear(&say::released(RelId::new(relid))).is_ok() {
                    assert!(self.known.remove(&relid), "released what it did not know");
                    self.rescinded.remove(&relid);
                }
            }
            Op::PauseOrResume(pause) => {
                let message = if pause {
                    GuestMessage::Pause
                } else {
                    GuestMessage::Resume
                };
                let _ = self.host.hear(&message);
            }
            Op::Raw(kind, ref body) => {
                let mut payload = Vec::from(kind.to_le_bytes());
                payload.extend([0; 4]);
                payload.extend(body);
                // Those that change what the guest knows are left to the other operations.
                if ![13, 14, 16].contains(&kind) {
                    let _ = self.host.handle_message(&payload);
                }
            }
            Op::Offer(number) => {
                let _ = self.host.offer(device(number));
            }
            Op::SubChannel { parent, index } => {
                let _ = self.host.offer_subchannel(Self::channel(parent), index);
            }
            Op::Rescind(relid) => {
                let _ = self.host.rescind(Self::channel(relid));
            }
            Op::Events(count) => (0..count).for_each(|_| self.take_event()),
            Op::AnswerOpen(success) => {
                if let Some((channel, ticket)) = self.opening.pop() {
                    let status = if success {
                        Status::SUCCESS
                    } else {
                        Status::UNSUCCESSFUL
                    };
                    Host::complete_open(&mut self.host, ticket, status).unwrap();
                    if success {
                        assert!(self.open.insert(channel));
                    }
                }
            }
            Op::AnswerClose => {
                if let Some((channel, ticket)) = self.closing.pop() {
                    assert!(self.open.remove(&channel));
                    self.host.complete_close(ticket).unwrap();
                }
            }
            Op::AnswerModify => {
                if let Some(ticket) = self.moving.pop() {
                    self.host.complete_modify(ticket);
                }
            }
            Op::Use { relid, gpadl } => {
                let view = self
                    .host
                    .gpadl(Self::channel(relid), GpadlId::new(gpadl))
                    .map(|view| view.total_bytes());
                if let Some(ticket) = self.host.use_gpadl(Self::channel(relid), GpadlId::new(gpadl)) {
                    assert!(view.is_some());
                    self.using.push(ticket);
                }
            }
            Op::Unuse => {
                if let Some(ticket) = self.using.pop() {
                    self.host.release_gpadl(ticket).unwrap();
                }
            }
            Op::Deliver(count) => (0..count).for_each(|_| self.deliver()),
        }
    }

    /// The guest has started anew.
    fn forget(&mut self) {
        self.known.clear();
        self.rescinded.clear();
    }

    fn take_event(&mut self) {
        match self.host.event() {
            None => (),
            Some(Event::Open {
                channel,
                ticket,
                request,
            }) => {
                assert!(!self.open.contains(&channel), "opened while it is open");
                assert!(
                    self.opening.iter().all(|(other, _)| *other != channel),
                    "opened while it is opening"
                );
                // The rings are there, unless the guest wants them back already.
                if let Some(rings) = self.host.rings(channel) {
                    assert!(rings.downstream() >= 2 && rings.count() >= rings.downstream() + 2);
                    assert_eq!(rings.addresses().count(), rings.count() as usize);
                }
                assert!(request.signal.vp.is_none_or(|vp| vp.0 < VP_COUNT));
                self.opening.push((channel, ticket));
            }
            Some(Event::Close { channel, ticket }) => {
                assert!(self.open.contains(&channel), "closed what is not open");
                assert!(
                    self.closing.iter().all(|(other, _)| *other != channel),
                    "closed twice"
                );
                self.closing.push((channel, ticket));
            }
            Some(Event::Modify {
                channel,
                ticket,
                signal,
            }) => {
                assert!(self.open.contains(&channel), "moved what is not open");
                assert!(signal.vp.is_none_or(|vp| vp.0 < VP_COUNT));
                self.moving.push(ticket);
            }
            Some(Event::GpadlTeardown { .. }) => assert!(!self.using.is_empty()),
            Some(Event::Connected(_)) => {
                assert!(!self.connected, "connected twice");
                self.connected = true;
            }
            Some(Event::Disconnected) => {
                assert!(self.connected, "disconnected twice");
                assert!(self.open.is_empty() && self.opening.is_empty() && self.using.is_empty());
                self.connected = false;
            }
            Some(Event::Released { channel }) => {
                assert!(!self.known.contains(&channel.relid().value()));
                assert!(!self.open.contains(&channel));
            }
        }
    }

    fn deliver(&mut self) {
        let Some(outbound) = self.host.say() else { return };
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
                assert!(
                    !self.open.contains(&Self::channel(relid)),
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
            _ => (),
        }
    }

    /// The embedder does what it owes, and the guest fetches what there is.
    fn wind_down(&mut self) {
        for _ in 0..200 {
            self.take_event();
            for op in [
                Op::AnswerOpen(true),
                Op::AnswerClose,
                Op::AnswerModify,
                Op::Unuse,
                Op::Deliver(1),
            ] {
                self.run(&op);
            }
        }
    }
}

proptest! {
    #[test]
    fn any_sequence_keeps_what_is_promised(warm in 0u32..4, ops in proptest::collection::vec(op(), 0..200)) {
        let mut storage = vec![0; 40];
        let mut world = World {
            host: small_host(&mut storage),
            opening: Vec::new(),
            closing: Vec::new(),
            moving: Vec::new(),
            using: Vec::new(),
            open: BTreeSet::new(),
            known: BTreeSet::new(),
            rescinded: BTreeSet::new(),
            connected: false,
        };
        // Most of them start where something can happen.
        if warm > 0 {
            for op in [Op::Offer(0), Op::Offer(1), Op::Contact(9, 0), Op::RequestOffers, Op::Deliver(4)] {
                world.run(&op);
            }
        }
        for op in &ops {
            world.run(op);
        }
        // Whatever has happened, there is a way out: a guest that starts anew finds a host as new.
        world.run(&Op::Unload);
        world.wind_down();
        prop_assert_eq!(world.host.said(), []);
        prop_assert_eq!(world.host.events(), []);
        for number in 10..16 {
            while world.host.offer(device(number)).is_err() {
                let relid = (1..2048).find(|relid| world.host.rescind(World::channel(*relid)).is_ok());
                prop_assert!(relid.is_some());
                world.host.events();
            }
        }
        prop_assert_eq!(world.host.connect(Version::IRON).len(), 6);
        let relids: Vec<RelId> = (1..2048)
            .map(RelId::new)
            .filter(|relid| world.host.channels().any(|channel| channel.relid() == *relid))
            .collect();
        prop_assert_eq!(relids.len(), 6);
        // All the room is there again.
        prop_assert_eq!(world.host.lend(relids[0], GPADL, 39), Status::SUCCESS);
    }
}
