//! The engine against a host that is scripted message by message, and against this crate's own.

extern crate std;

mod bounds;
mod bus;
mod connection;
mod gpadl;
mod hostile;
mod judged;
mod late;
mod leave;
mod offer;
mod open;
mod pair;
mod rescind;
mod simulation;

use core::time::Duration;
use std::string::{String, ToString};
use std::vec::Vec;

use hvcall::{ConnectionId, HvStatus, VpIndex};
use zerocopy::little_endian::{U16, U32};

use super::*;
use crate::wire::{
    ConnectionState, FeatureFlags, GpadlCreated, GpadlId, GpadlTorndown, GuestMessage, Guid, HostMessage,
    ModifyChannelResponse, ModifyConnectionResponse, Offer, OfferChannel, OfferSignal, OpenResult, RelId,
    RescindChannelOffer, Status, USER_DEFINED_SIZE, Version, VersionAnswer, VersionResponse, interface,
};

/// Small enough that bounds are near.
pub(super) type SmallGuest = Guest<Contiguous, 6, 5>;

pub(super) fn config() -> GuestConfig {
    GuestConfig::new(VpIndex(0))
}

/// Memory of these pages.
pub(super) fn memory(first_pfn: u64, pages: u32) -> Contiguous {
    Contiguous { first_pfn, pages }
}

/// Memory that two small rings fit in.
pub(super) const RINGS: Contiguous = Contiguous {
    first_pfn: 0x100,
    pages: 4,
};

/// Two rings of 2 pages each.
pub(super) fn params() -> OpenParams {
    OpenParams::new(2, VpIndex(1))
}

pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// What a host says.
pub(super) mod tell {
    use super::*;

    pub(in super::super) fn version(features: FeatureFlags) -> HostMessage {
        HostMessage::VersionResponse(VersionResponse::WithFeatures(
            answer(4),
            U32::new(features.bits()),
        ))
    }

    /// The 16 bytes of an acceptance that names this connection.
    pub(in super::super) fn answer(connection: u32) -> VersionAnswer {
        VersionAnswer {
            version_supported: 1,
            connection_state: ConnectionState::SUCCESSFUL,
            reserved: U16::ZERO,
            connection_id_or_version: U32::new(connection),
        }
    }

    pub(in super::super) fn refusal() -> HostMessage {
        HostMessage::VersionResponse(VersionResponse::REFUSAL)
    }

    /// The offer of a device's primary channel, or a sub-channel of it.
    pub(in super::super) fn offer(relid: u32, device: u64, sub_channel_index: u16) -> OfferChannel {
        OfferChannel {
            offer: Offer {
                interface: interface::SCSI,
                instance: Guid::new(0, 0, 0, device),
                reserved: [0; 16],
                flags: U16::new(1),
                mmio_megabytes: U16::new(8),
                user_defined: [7; USER_DEFINED_SIZE],
                sub_channel_index: U16::new(sub_channel_index),
                mmio_megabytes_optional: U16::ZERO,
                relid: RelId::new(relid),
                monitor_id: 0xff,
                monitor_allocated: 0,
            },
            signal: Some(OfferSignal::dedicated(0x2000 | (relid & 0xfff))),
        }
    }

    pub(in super::super) fn offers(relid: u32, device: u64) -> HostMessage {
        HostMessage::OfferChannel(offer(relid, device, 0))
    }

    pub(in super::super) fn sub_channel(relid: u32, device: u64, index: u16) -> HostMessage {
        HostMessage::OfferChannel(offer(relid, device, index))
    }

    pub(in super::super) fn rescind(relid: u32) -> HostMessage {
        HostMessage::RescindChannelOffer(RescindChannelOffer {
            relid: RelId::new(relid),
        })
    }

    pub(in super::super) fn opened(relid: u32, open_id: u32, status: Status) -> HostMessage {
        HostMessage::OpenChannelResult(OpenResult {
            relid: RelId::new(relid),
            open_id: U32::new(open_id),
            status,
        })
    }

    pub(in super::super) fn created(relid: u32, gpadl: GpadlId, status: Status) -> HostMessage {
        HostMessage::GpadlCreated(GpadlCreated {
            relid: RelId::new(relid),
            gpadl,
            status,
        })
    }

    pub(in super::super) fn torndown(gpadl: GpadlId) -> HostMessage {
        HostMessage::GpadlTorndown(GpadlTorndown { gpadl })
    }

    pub(in super::super) fn modified(relid: u32, status: Status) -> HostMessage {
        HostMessage::ModifyChannelResponse(ModifyChannelResponse {
            relid: RelId::new(relid),
            status,
        })
    }

    pub(in super::super) fn connection_modified(connection_state: ConnectionState) -> HostMessage {
        HostMessage::ModifyConnectionResponse(ModifyConnectionResponse { connection_state })
    }
}

/// Calls by which tests speak to a guest, whatever its capacities.
pub(super) trait Talk {
    fn hear(&mut self, message: &HostMessage) -> Result<(), HandleError>;
    /// The next message, which is posted.
    fn say(&mut self) -> Option<Outbound>;
    fn event(&mut self) -> Option<Event<Contiguous>>;
    fn begin(&mut self);

    /// Everything that the guest has to say.
    fn said(&mut self) -> Vec<Outbound> {
        let said: Vec<_> = core::iter::from_fn(|| self.say()).take(1000).collect();
        assert!(said.len() < 1000, "it goes on and on");
        said
    }

    /// The same, as a trace tells it.
    fn says(&mut self) -> Vec<String> {
        self.said().iter().map(line).collect()
    }

    /// Everything that the embedder has to act on.
    fn events(&mut self) -> Vec<Event<Contiguous>> {
        let events: Vec<_> = core::iter::from_fn(|| self.event()).take(1000).collect();
        assert!(events.len() < 1000, "they go on and on");
        events
    }

    /// Makes contact at the version that is asked for first, with the features that the host grants, and asks for offers.
    fn meet(&mut self, features: FeatureFlags) -> Connected {
        self.begin();
        assert_eq!(self.said().len(), 1);
        self.hear(&tell::version(features)).unwrap();
        assert_eq!(self.says(), ["REQUEST_OFFERS"]);
        match self.events().as_slice() {
            [Event::Connected(connected)] => *connected,
            other => panic!("{other:?}"),
        }
    }

    /// An offer that is taken up.
    fn offered(&mut self, relid: u32, device: u64) -> ChannelId {
        self.hear(&tell::offers(relid, device)).unwrap();
        match self.events().as_slice() {
            [Event::Offered(offer)] => offer.channel,
            other => panic!("{other:?}"),
        }
    }
}

/// A message as a trace tells it.
pub(super) fn line(outbound: &Outbound) -> String {
    GuestMessage::decode(&outbound.payload).unwrap().to_string()
}

/// How a guest that wants memory of its first channel back says so.
pub(super) fn teardown(gpadl: GpadlId) -> String {
    std::format!("GPADL_TEARDOWN relid 1 gpadl {gpadl}")
}

impl<const CHANNELS: usize, const GPADLS: usize> Talk for Guest<Contiguous, CHANNELS, GPADLS> {
    fn hear(&mut self, message: &HostMessage) -> Result<(), HandleError> {
        self.handle_message(&message.encode())
    }

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

    fn begin(&mut self) {
        self.connect().unwrap();
    }
}

/// A guest at this version.
pub(super) fn guest_at(version: Version) -> SmallGuest {
    let mut guest = SmallGuest::new(GuestConfig {
        highest: version,
        ..config()
    });
    guest.meet(FeatureFlags::empty());
    guest
}

/// A guest at 5.3 with one channel that is offered.
pub(super) fn guest_with_channel() -> (SmallGuest, ChannelId) {
    let mut guest = guest_at(Version::IRON);
    let channel = guest.offered(1, 1);
    (guest, channel)
}

/// Opens a channel whose relid is 1 or more, and whose open is the first, second, ... one of the guest.
pub(super) fn open(guest: &mut SmallGuest, channel: ChannelId, open_id: u32) -> GpadlId {
    let gpadl = guest.open(channel, RINGS, params()).unwrap();
    let relid = channel.relid().value();
    assert_eq!(guest.said().len(), 1);
    guest.hear(&tell::created(relid, gpadl, Status::SUCCESS)).unwrap();
    assert_eq!(guest.said().len(), 1);
    guest
        .hear(&tell::opened(relid, open_id, Status::SUCCESS))
        .unwrap();
    let [Event::Opened(opened)] = guest.events()[..] else {
        panic!("not opened");
    };
    assert_eq!(opened.channel, channel);
    gpadl
}

/// Memory that the host has.
pub(super) fn lent(guest: &mut SmallGuest, channel: ChannelId, memory: Contiguous) -> GpadlId {
    let gpadl = guest.lend(channel, memory).unwrap();
    assert!(!guest.said().is_empty());
    guest
        .hear(&tell::created(channel.relid().value(), gpadl, Status::SUCCESS))
        .unwrap();
    assert_eq!(guest.events(), [Event::GpadlCreated { channel, gpadl }]);
    gpadl
}

/// What the embedder is told of memory that is free again.
pub(super) fn returned(
    channel: ChannelId,
    gpadl: GpadlId,
    memory: Contiguous,
    reason: ReturnReason,
) -> Event<Contiguous> {
    Event::MemoryReturned {
        channel,
        gpadl,
        memory,
        reason,
    }
}
