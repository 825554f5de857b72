//! RNDIS control messages: how the NIC is brought up, what is answered, what the host tells by itself.

use vmbus_proto::ringbuf::SharedMem;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use crate::nic::{ETHERNET_HEADER, MacAddress, Offloads};
use crate::wire::ndis::{ObjectHeader, ObjectType};
use crate::wire::nvsp::{self, NdisCapabilities, Status, Version};
use crate::wire::offload::{Offload, offload_revision};
use crate::wire::oid::Oid;
use crate::wire::rndis::{
    Complete, HaltRequest, IndicateStatus, InitializeComplete, InitializeRequest, MediaState, Medium,
    MessageType, OidRequest, PacketFilter, QueryComplete, ResetComplete, VERSION,
};
use crate::wire::rndis_message::{Framed, GuestMessage, HostMessage};
use crate::wire::rss::{MAX_TABLE_LEN, ReceiveScaleCapabilities, RssCapabilities};
use crate::wire::status::RndisStatus;

use super::config::RssProperties;
use super::event::Event;
use super::fault::Fault;
use super::nic::{Nic, Stage};
use super::offload;
use super::requests::{Effect, Kind, RequestId};

/// What is asked while the NIC is brought up, in this order.
const OIDS: [Oid; 6] = [
    Oid::GEN_MAXIMUM_FRAME_SIZE,
    Oid::ETHERNET_PERMANENT_ADDRESS,
    Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES,
    Oid::GEN_MEDIA_CONNECT_STATUS,
    Oid::GEN_LINK_SPEED,
    Oid::GEN_RECEIVE_SCALE_CAPABILITIES,
];

/// The most bytes that one transfer to the guest may have, as Linux says. Hosts send more.
const MAX_TRANSFER: u32 = 0x4000;

/// The least MTU that IPv4 works with.
const MIN_MTU: u32 = 68;

/// The most bytes of an `NDIS_OFFLOAD` that goes with the question for it.
const INPUT_LEN: usize = size_of::<Offload>();

impl<B: SharedMem> Nic<'_, B> {
    /// Makes the request of a stage that is RNDIS's. `false`: not now, there is no place for it.
    pub(super) fn request_of_stage(&mut self) -> bool {
        let version = self.data_path.version;
        let added = match self.stage {
            Stage::Initialize => self.requests.add(Kind::Initialize, |request_id| {
                let (major, minor) = VERSION;
                GuestMessage::Initialize(InitializeRequest {
                    request_id,
                    major_version: U32::new(major),
                    minor_version: U32::new(minor),
                    max_transfer_size: U32::new(MAX_TRANSFER),
                })
            }),
            Stage::Query(at) => {
                let oid = OIDS.get(at).copied().unwrap_or_default();
                let mut input = [0; INPUT_LEN];
                let input = question(oid, version, &mut input);
                self.requests.add(Kind::BringUp(oid), |request_id| {
                    GuestMessage::Query(oid_request(request_id, oid), input)
                })
            }
            Stage::Halt => self.requests.add(Kind::Halt, |request_id| {
                GuestMessage::Halt(HaltRequest { request_id })
            }),
            _ => return false,
        };
        added.is_ok()
    }

    /// The host has taken a request, or refused it.
    pub(super) fn taken(&mut self, place: u8, status: Status) -> Result<Option<Event<'static>>, Fault> {
        let Some((id, kind)) = self.requests.taken(place, status) else {
            return Ok(None);
        };
        match kind {
            // There is no answer to either. Whether the host liked it does not matter.
            Kind::Alive => Ok(None),
            Kind::Halt => {
                self.asked = false;
                self.stage = Stage::Drain;
                Ok(None)
            }
            Kind::Initialize | Kind::BringUp(_) if self.stage < Stage::Up => Err(Fault::Refused {
                message: nvsp::MessageType::SEND_RNDIS_PACKET_COMPLETE,
                status,
            }),
            Kind::Initialize | Kind::BringUp(_) => Ok(None),
            Kind::Query | Kind::Set(_) | Kind::Keepalive | Kind::Reset => {
                self.end_effect(kind, false);
                Ok(Some(Event::RequestFailed { id, status }))
            }
        }
    }

    /// Makes the answer to the host's question whether anyone is there, once there is a place for it.
    pub(super) fn answer_keepalive(&mut self) {
        let Some(request_id) = self.keepalive_due else {
            return;
        };
        let status = RndisStatus::SUCCESS;
        let complete = Complete { request_id, status };
        let added = self
            .requests
            .add(Kind::Alive, |_| GuestMessage::KeepaliveComplete(complete));
        if added.is_ok() {
            self.keepalive_due = None;
        }
    }

    /// Handles an RNDIS message that is no packet.
    pub(super) fn rndis<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<Event<'b>>, Fault> {
        let framed = Framed::split(bytes).map_err(Fault::Rndis)?;
        match framed.host().map_err(Fault::Rndis)? {
            HostMessage::Packet(_) => Err(Fault::Misplaced(MessageType::PACKET)),
            HostMessage::InitializeComplete(complete) => self.initialized(&complete),
            HostMessage::QueryComplete(complete, info) => self.queried(&complete, info),
            HostMessage::SetComplete(complete) => self.set_done(&complete),
            HostMessage::KeepaliveComplete(complete) => {
                let (id, _) =
                    self.answered(MessageType::KEEPALIVE_COMPLETE, complete.request_id, |kind| {
                        kind == Kind::Keepalive
                    })?;
                Ok(Some(answer(id, complete.status, &[])))
            }
            HostMessage::ResetComplete(complete) => self.reset_done(&complete).map(Some),
            HostMessage::IndicateStatus(status, info) => self.indicated(&status, info),
            HostMessage::Keepalive(request) => {
                self.keepalive_due = Some(request.request_id);
                Ok(None)
            }
            // Nothing is asked so.
            HostMessage::SetExComplete(complete, _) => Err(Fault::Answer {
                message: MessageType::SET_EX_COMPLETE,
                request_id: complete.request_id.get(),
            }),
        }
    }

    fn answered(
        &mut self,
        message: MessageType,
        request_id: U32,
        fits: impl Fn(Kind) -> bool,
    ) -> Result<(RequestId, Kind), Fault> {
        let request_id = request_id.get();
        let answered = self.requests.answered(request_id, fits);
        answered.ok_or(Fault::Answer { message, request_id })
    }

    fn initialized(&mut self, complete: &InitializeComplete) -> Result<Option<Event<'static>>, Fault> {
        let message = MessageType::INITIALIZE_COMPLETE;
        self.answered(message, complete.request_id, |kind| kind == Kind::Initialize)?;
        if self.stage != Stage::Initialize {
            return Ok(None);
        }
        let (status, major, minor) = (
            complete.status,
            complete.major_version.get(),
            complete.minor_version.get(),
        );
        if status != RndisStatus::SUCCESS {
            return Err(Fault::RndisRefused { message, status });
        }
        if major != VERSION.0 {
            return Err(Fault::RndisVersion { major, minor });
        }
        if complete.medium != Medium::ETHERNET {
            return Err(Fault::Medium(complete.medium));
        }
        Ok(self.next_query(0))
    }

    /// Goes on to the OID in this place, or is done.
    fn next_query(&mut self, at: usize) -> Option<Event<'static>> {
        self.asked = false;
        let version = self.data_path.version;
        let asks = |oid: &Oid| *oid != Oid::GEN_RECEIVE_SCALE_CAPABILITIES || version >= Version::V5;
        if OIDS.get(at).is_some_and(asks) {
            self.stage = Stage::Query(at);
            return None;
        }
        self.stage = Stage::Up;
        self.was_up = true;
        self.data_path.ready = true;
        Some(Event::Ready(self.properties))
    }

    fn queried<'b>(&mut self, complete: &QueryComplete, info: &'b [u8]) -> Result<Option<Event<'b>>, Fault> {
        let message = MessageType::QUERY_COMPLETE;
        let (id, kind) = self.answered(message, complete.request_id, |kind| {
            matches!(kind, Kind::Query | Kind::BringUp(_))
        })?;
        let Kind::BringUp(oid) = kind else {
            return Ok(Some(answer(id, complete.status, info)));
        };
        let Stage::Query(at) = self.stage else {
            return Ok(None);
        };
        if complete.status == RndisStatus::SUCCESS {
            self.learn(oid, info)?;
        } else if oid == Oid::ETHERNET_PERMANENT_ADDRESS {
            // Everything else can be done without.
            let status = complete.status;
            return Err(Fault::RndisRefused { message, status });
        }
        Ok(self.next_query(at.saturating_add(1)))
    }

    /// Takes the answer of an OID that was asked while the NIC is brought up.
    fn learn(&mut self, oid: Oid, info: &[u8]) -> Result<(), Fault> {
        match oid {
            Oid::GEN_MAXIMUM_FRAME_SIZE => {
                let mtu = u32_of(oid, info)?;
                if mtu < MIN_MTU {
                    return Err(Fault::Mtu(mtu));
                }
                self.properties.mtu = mtu.min(self.config.mtu);
                self.data_path.max_frame = self.properties.mtu.saturating_add(ETHERNET_HEADER);
            }
            Oid::ETHERNET_PERMANENT_ADDRESS => {
                let length = Fault::OidLength { oid, len: info.len() };
                let mac = MacAddress(<[u8; 6]>::read_from_bytes(info).map_err(|_| length)?);
                if !mac.is_station() {
                    return Err(Fault::Mac(mac));
                }
                self.properties.mac = mac;
            }
            Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES => {
                self.properties.offloads = offload::read(oid, info, self.takes_tags())?;
                self.data_path.offloads.vlan = self.properties.offloads.vlan;
            }
            Oid::GEN_MEDIA_CONNECT_STATUS => {
                self.properties.link_up = u32_of(oid, info)? == MediaState::CONNECTED.value();
            }
            Oid::GEN_LINK_SPEED => self.properties.link_speed = speed(u32_of(oid, info)?),
            _ => self.properties.rss = receive_scale(oid, info)?,
        }
        Ok(())
    }

    /// Tags go beside frames from version 2 on, when the guest has said that it does so.
    fn takes_tags(&self) -> bool {
        self.data_path.version >= Version::V2
            && self.config.capabilities.contains(NdisCapabilities::IEEE_8021Q)
    }

    fn set_done(&mut self, complete: &Complete) -> Result<Option<Event<'static>>, Fault> {
        let message = MessageType::SET_COMPLETE;
        let (id, kind) = self.answered(message, complete.request_id, |kind| matches!(kind, Kind::Set(_)))?;
        self.end_effect(kind, complete.status == RndisStatus::SUCCESS);
        Ok(Some(answer(id, complete.status, &[])))
    }

    /// What comes of a set that was done, or was not.
    fn end_effect(&mut self, kind: Kind, done: bool) {
        match kind {
            Kind::Set(Effect::Filter(filter)) => {
                if done {
                    self.filter = filter;
                }
                self.data_path.receiving = !self.filter.is_empty() && !self.leaving;
                self.path_changed = true;
            }
            Kind::Set(Effect::Offloads(offloads)) if done => self.set_offloads_on(offloads),
            _ => {}
        }
    }

    fn set_offloads_on(&mut self, offloads: Offloads) {
        let vlan = self.data_path.offloads.vlan;
        self.data_path.offloads = Offloads { vlan, ..offloads };
        self.path_changed = true;
    }

    fn reset_done(&mut self, complete: &ResetComplete) -> Result<Event<'static>, Fault> {
        let message = MessageType::RESET_COMPLETE;
        let request_id = self.requests.reset().unwrap_or_default();
        let (id, _) = self.answered(message, request_id.into(), |kind| kind == Kind::Reset)?;
        let addressing_lost = complete.addressing_reset.get() != 0;
        if addressing_lost {
            self.filter = PacketFilter::empty();
            self.data_path.receiving = false;
            self.set_offloads_on(Offloads::NONE);
        }
        let status = complete.status;
        Ok(Event::Reset {
            id,
            status,
            addressing_lost,
        })
    }

    fn indicated<'b>(&mut self, status: &IndicateStatus, info: &'b [u8]) -> Result<Option<Event<'b>>, Fault> {
        let event = match status.status {
            RndisStatus::MEDIA_CONNECT => self.link(true),
            RndisStatus::MEDIA_DISCONNECT => self.link(false),
            RndisStatus::LINK_SPEED_CHANGE => {
                let bits_per_second = speed(u32_of(Oid::GEN_LINK_SPEED, info)?);
                self.properties.link_speed = bits_per_second;
                Event::LinkSpeed { bits_per_second }
            }
            RndisStatus::NETWORK_CHANGE => Event::NetworkChange,
            RndisStatus::TASK_OFFLOAD_CURRENT_CONFIG => {
                let oid = Oid::TCP_OFFLOAD_CURRENT_CONFIG;
                self.set_offloads_on(offload::read(oid, info, self.takes_tags())?);
                Event::Offloads(self.data_path.offloads)
            }
            status => Event::Indication { status, info },
        };
        // Before that, all that is told is in the properties.
        Ok(self.was_up.then_some(event))
    }

    fn link(&mut self, up: bool) -> Event<'static> {
        self.properties.link_up = up;
        Event::Link { up }
    }
}

const fn answer<'b>(id: RequestId, status: RndisStatus, info: &'b [u8]) -> Event<'b> {
    Event::Answered { id, status, info }
}

pub(super) fn oid_request(request_id: U32, oid: Oid) -> OidRequest {
    OidRequest {
        request_id,
        oid,
        ..OidRequest::default()
    }
}

/// What goes with the question for an OID: an empty object, which tells its revision.
fn question(oid: Oid, version: Version, out: &mut [u8; INPUT_LEN]) -> &[u8] {
    let header = match oid {
        Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES => {
            let (revision, size) = offload_revision(version);
            ObjectHeader::new(ObjectType::OFFLOAD, revision, size)
        }
        Oid::GEN_RECEIVE_SCALE_CAPABILITIES => ObjectHeader::new(ObjectType::RSS_CAPABILITIES, 2, 18),
        _ => return &[],
    };
    for (target, byte) in out.iter_mut().zip(header.as_bytes()) {
        *target = *byte;
    }
    out.get(..header.size.get().into()).unwrap_or_default()
}

fn u32_of(oid: Oid, info: &[u8]) -> Result<u32, Fault> {
    let length = Fault::OidLength { oid, len: info.len() };
    U32::read_from_bytes(info).map(U32::get).map_err(|_| length)
}

/// From RNDIS's unit, 100 bit/s.
fn speed(units: u32) -> u64 {
    u64::from(units).saturating_mul(100)
}

/// Reads what the host can do of receive scaling: nothing with one queue, or with a table of no entries.
fn receive_scale(oid: Oid, info: &[u8]) -> Result<Option<RssProperties>, Fault> {
    let length = Fault::OidLength { oid, len: info.len() };
    let (told, _) = ReceiveScaleCapabilities::read_from_prefix(info).map_err(|_| length)?;
    let header = told.header;
    if header.object_type != ObjectType::RSS_CAPABILITIES {
        return Err(Fault::OidObject {
            oid,
            object_type: header.object_type.value(),
            size: header.size.get(),
        });
    }
    let queues = u16::try_from(told.queue_count.get()).unwrap_or(u16::MAX);
    let most = u16::try_from(MAX_TABLE_LEN).unwrap_or_default();
    let table_len = told.table_len.get().min(most);
    Ok((queues > 1 && table_len > 0).then_some(RssProperties {
        capabilities: RssCapabilities::from_bits_retain(told.capabilities.get()),
        queues,
        table_len,
    }))
}
