//! The engine against a guest that is scripted message by message.

extern crate std;

mod bounds;
mod bus;
mod connection;
mod gpadl;
mod open;
mod random;
mod rescind;
mod simulation;

use std::vec::Vec;

use hvcall::Sint;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U16, U32, U64};

use super::*;
use crate::wire::{
    CloseChannel, ContactRequest, FeatureFlags, GpadlBody, GpadlCreated, GpadlHeader, GpadlId, GpadlMore,
    GpadlRequest, GpadlTeardown, GpadlTorndown, GuestMessage, Guid, HostMessage, InitiateContact,
    ModifyChannel, OfferChannel, OpenChannel, OpenRequest, OpenResult, RelId, RelIdReleased,
    RescindChannelOffer, Status, TargetInfo, USER_DEFINED_SIZE, Version, VersionResponse, interface,
};

/// Small enough that bounds are near.
pub(super) type SmallHost<'a> = Host<'a, 6, 5, 4>;

pub(super) const VP_COUNT: u32 = 4;

pub(super) fn small_host(storage: &mut [u64]) -> SmallHost<'_> {
    Host::new(HostConfig::new(VP_COUNT), storage)
}

pub(super) fn device(number: u64) -> OfferParams {
    OfferParams::new(interface::SCSI, Guid::new(0, 0, 0, number))
}

/// What a guest says, with the choices that Linux makes where a test has none of its own.
pub(super) mod say {
    use super::*;

    pub(in super::super) fn contact(version: Version, features: FeatureFlags) -> InitiateContact {
        let mut interrupt_page_or_target = [0; 8];
        if version >= Version::WIN10_RS3_1 {
            let info = TargetInfo {
                sint: 2,
                vtl: 0,
                reserved: U16::ZERO,
                features: U32::new(features.bits()),
            };
            interrupt_page_or_target.copy_from_slice(info.as_bytes());
        }
        InitiateContact {
            request: ContactRequest {
                version,
                target_vp: U32::ZERO,
                interrupt_page_or_target,
                parent_to_child_monitor_page: U64::new(0x10_0000),
                child_to_parent_monitor_page: U64::new(0x10_1000),
            },
            client_id: None,
        }
    }

    pub(in super::super) fn initiate_contact(version: Version) -> GuestMessage<'static> {
        GuestMessage::InitiateContact(contact(version, FeatureFlags::empty()))
    }

    pub(in super::super) fn open(relid: RelId, gpadl: GpadlId) -> OpenRequest {
        OpenRequest {
            relid,
            open_id: U32::new(relid.value()),
            ring_gpadl: gpadl,
            target_vp: U32::new(1),
            downstream_page_offset: U32::new(2),
            user_data: [0; USER_DEFINED_SIZE],
        }
    }

    pub(in super::super) fn open_channel(request: OpenRequest) -> GuestMessage<'static> {
        GuestMessage::OpenChannel(OpenChannel {
            request,
            signal: None,
        })
    }

    pub(in super::super) fn close_channel(relid: RelId) -> GuestMessage<'static> {
        GuestMessage::CloseChannel(CloseChannel { relid })
    }

    pub(in super::super) fn released(relid: RelId) -> GuestMessage<'static> {
        GuestMessage::RelIdReleased(RelIdReleased { relid })
    }

    pub(in super::super) fn teardown(relid: RelId, gpadl: GpadlId) -> GuestMessage<'static> {
        GuestMessage::GpadlTeardown(GpadlTeardown { relid, gpadl })
    }

    pub(in super::super) fn modify(relid: RelId, vp: u32) -> GuestMessage<'static> {
        GuestMessage::ModifyChannel(ModifyChannel {
            relid,
            target_vp: U32::new(vp),
        })
    }

    pub(in super::super) fn header(
        relid: RelId,
        gpadl: GpadlId,
        range_bytes: u16,
        range_count: u16,
        values: &[U64],
    ) -> GuestMessage<'_> {
        let (range_bytes, range_count) = (U16::new(range_bytes), U16::new(range_count));
        GuestMessage::GpadlHeader(GpadlHeader {
            request: GpadlRequest {
                relid,
                gpadl,
                range_bytes,
                range_count,
            },
            values,
        })
    }

    pub(in super::super) fn body(gpadl: GpadlId, values: &[U64]) -> GuestMessage<'_> {
        // Linux leaves the message number 0.
        GuestMessage::GpadlBody(GpadlBody {
            more: GpadlMore {
                message_number: U32::ZERO,
                gpadl,
            },
            values,
        })
    }

    /// The values of one range of whole pages.
    pub(in super::super) fn range(first_pfn: u64, pages: u32) -> Vec<U64> {
        let header = U64::new(u64::from(pages * 4096));
        core::iter::once(header)
            .chain((0..u64::from(pages)).map(|page| U64::new(first_pfn + page)))
            .collect()
    }
}

/// Calls by which tests speak to a host, whatever its capacities.
pub(super) trait Talk {
    fn hear(&mut self, message: &GuestMessage<'_>) -> Result<(), HandleError>;
    fn say(&mut self) -> Option<Outbound>;
    fn event(&mut self) -> Option<Event>;

    /// Everything that the host has to say.
    fn said(&mut self) -> Vec<HostMessage> {
        core::iter::from_fn(|| self.say())
            .map(|outbound| outbound.message)
            .collect()
    }

    /// Everything that the embedder has to act on.
    fn events(&mut self) -> Vec<Event> {
        let events: Vec<Event> = core::iter::from_fn(|| self.event()).take(1000).collect();
        assert!(events.len() < 1000, "they go on and on");
        events
    }

    fn no_event(&mut self) {
        assert_eq!(self.event(), None);
    }

    /// Contact and offers. Gives the offers.
    fn connect(&mut self, version: Version) -> Vec<OfferChannel> {
        self.hear(&say::initiate_contact(version)).unwrap();
        self.answered_contact();
        self.offers()
    }

    fn answered_contact(&mut self) {
        match self.said().as_slice() {
            [HostMessage::VersionResponse(response)] => {
                assert!(response.version_supported());
                assert_eq!(
                    response.connection_state(),
                    Some(crate::wire::ConnectionState::SUCCESSFUL)
                );
            }
            other => panic!("{other:?}"),
        }
        while let Some(event) = self.event() {
            assert!(
                matches!(event, Event::Connected(_) | Event::Disconnected),
                "{event:?}"
            );
        }
    }

    fn offers(&mut self) -> Vec<OfferChannel> {
        self.hear(&GuestMessage::RequestOffers).unwrap();
        let mut said = self.said();
        assert_eq!(said.pop(), Some(HostMessage::AllOffersDelivered));
        said.into_iter()
            .map(|message| match message {
                HostMessage::OfferChannel(offer) => offer,
                other => panic!("{other}"),
            })
            .collect()
    }

    /// All messages of a GPADL of one range, as Linux sends them. Gives the answer's status.
    fn lend(&mut self, relid: RelId, gpadl: GpadlId, pages: u32) -> Status {
        let values = say::range(0x1000, pages);
        let range_bytes = u16::try_from(values.len() * 8).unwrap();
        let (first, rest) = values.split_at(values.len().min(27));
        let _ = self.hear(&say::header(relid, gpadl, range_bytes, 1, first));
        for more in rest.chunks(28) {
            let _ = self.hear(&say::body(gpadl, more));
        }
        match self.said().as_slice() {
            [HostMessage::GpadlCreated(created)] => {
                assert_eq!((created.relid, created.gpadl), (relid, gpadl));
                created.status
            }
            other => panic!("{other:?}"),
        }
    }

    /// The ticket of the one event, an open.
    fn open_event(&mut self) -> (ChannelId, OpenTicket, OpenParams) {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        match events.remove(0) {
            Event::Open {
                channel,
                ticket,
                request,
            } => (channel, ticket, request),
            other => panic!("{other:?}"),
        }
    }

    /// The ticket of the one event, a close.
    fn close_event(&mut self) -> CloseTicket {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        match events.remove(0) {
            Event::Close { ticket, .. } => ticket,
            other => panic!("{other:?}"),
        }
    }

    fn complete_open(&mut self, ticket: OpenTicket, status: Status);

    /// Lends the rings, opens and is served.
    fn open(&mut self, relid: RelId, gpadl: GpadlId) {
        assert_eq!(self.lend(relid, gpadl, 4), Status::SUCCESS);
        self.hear(&say::open_channel(say::open(relid, gpadl))).unwrap();
        let (_, ticket, _) = self.open_event();
        self.complete_open(ticket, Status::SUCCESS);
        assert_eq!(self.said(), [opened(relid, Status::SUCCESS)]);
    }
}

impl<const CHANNELS: usize, const GPADLS: usize, const REPLIES: usize> Talk
    for Host<'_, CHANNELS, GPADLS, REPLIES>
{
    fn hear(&mut self, message: &GuestMessage<'_>) -> Result<(), HandleError> {
        self.handle_message(&message.encode().unwrap())
    }

    fn say(&mut self) -> Option<Outbound> {
        let outbound = self.next_message().cloned();
        self.message_delivered();
        // What is said can be understood.
        if let Some(outbound) = &outbound {
            assert_eq!(
                HostMessage::decode(&outbound.payload()).as_ref(),
                Ok(&outbound.message)
            );
        }
        outbound
    }

    fn event(&mut self) -> Option<Event> {
        self.poll_event()
    }

    fn complete_open(&mut self, ticket: OpenTicket, status: Status) {
        Host::complete_open(self, ticket, status).unwrap();
    }
}

pub(super) fn opened(relid: RelId, status: Status) -> HostMessage {
    HostMessage::OpenChannelResult(OpenResult {
        relid,
        open_id: U32::new(relid.value()),
        status,
    })
}

pub(super) fn created(relid: RelId, gpadl: GpadlId, status: Status) -> HostMessage {
    HostMessage::GpadlCreated(GpadlCreated { relid, gpadl, status })
}

pub(super) fn torndown(gpadl: GpadlId) -> HostMessage {
    HostMessage::GpadlTorndown(GpadlTorndown { gpadl })
}

pub(super) fn rescind(relid: RelId) -> HostMessage {
    HostMessage::RescindChannelOffer(RescindChannelOffer { relid })
}

pub(super) fn modified(relid: RelId, status: Status) -> HostMessage {
    super::engine::modify_response(relid, status)
}

pub(super) const GPADL: GpadlId = GpadlId::new(0xe1e10);
pub(super) const RING: GpadlId = GpadlId::new(0xe1e11);
