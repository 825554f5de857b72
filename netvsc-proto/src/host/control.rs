//! RNDIS control messages: what a guest asks besides sending frames, and what the NIC tells by itself.

use bitflags::bitflags;
use heapless::Deque;
use vmbus_proto::ringbuf::{RingMem, SharedMem};
use zerocopy::FromBytes;
use zerocopy::little_endian::U32;

use crate::nic::Offloads;
use crate::wire::nvsp::Version;
use crate::wire::offload::Offload;
use crate::wire::rndis::{
    Complete, DeviceFlags, HEADER_LEN, IndicateStatus, InitializeComplete, InitializeRequest,
    MAX_PACKETS_PER_TRANSFER, Medium, MessageType, OidRequest, PacketFilter, QueryComplete, ResetComplete,
    VERSION,
};
use crate::wire::rndis_message::{Framed, GuestMessage, HostMessage};
use crate::wire::status::RndisStatus;

use super::config::MulticastList;
use super::fault::{Fault, Refusal};
use super::nic::Nic;
use super::offload;
use super::queue::Queue;
use super::stats::QueueStats;

/// RNDIS answers that may wait for a section and for room in the ring. A guest that asks more at once is told to try
/// again; Linux asks one at a time.
const REPLIES: usize = 4;

/// Bytes of the largest answer: the friendly name, 512 bytes after 24.
const REPLY_LEN: usize = 576;

/// Each packet message of a transfer begins at a multiple of 8 bytes.
const ALIGNMENT_FACTOR: u32 = 3;

bitflags! {
    /// What is to be told to the guest by itself. Told when there is room, and only while RNDIS is initialised; what
    /// changed back meanwhile is told as it is then.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(super) struct Indications: u8 {
        /// The link's speed changed.
        const SPEED = 0x1;
        /// The guest has switched offloads.
        const OFFLOADS = 0x2;
    }
}

/// An answer that waits.
#[derive(Debug)]
struct Reply {
    len: usize,
    bytes: [u8; REPLY_LEN],
}

impl Reply {
    fn new(message: &HostMessage<'_>) -> Self {
        let mut bytes = [0; REPLY_LEN];
        let len = message.encode(&mut bytes).map_or(0, <[u8]>::len);
        Self { len, bytes }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// RNDIS state.
#[derive(Debug)]
pub(super) struct Control {
    /// Major and minor, as the guest said.
    pub(super) ndis_version: (u32, u32),
    pub(super) due: Indications,
    /// Whether there is a link, and whether the guest believes so.
    pub(super) link_up: bool,
    link_told: bool,
    pub(super) primary_stats: QueueStats,
    pub(super) subchannel_stats: QueueStats,
    replies: Deque<Reply, REPLIES>,
}

impl Control {
    pub(super) fn new() -> Self {
        Self {
            ndis_version: (0, 0),
            due: Indications::empty(),
            link_up: false,
            link_told: false,
            primary_stats: QueueStats::default(),
            subchannel_stats: QueueStats::default(),
            replies: Deque::new(),
        }
    }

    /// All queues' counters.
    pub(super) fn stats(&self) -> QueueStats {
        self.primary_stats.plus(self.subchannel_stats)
    }
}

impl Nic {
    /// Handles a transfer of the control channel: one message. `Err`: it is refused by NVSP, as RNDIS has no answer.
    pub(super) fn rndis(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if self.control.replies.is_full() {
            return Err(Refusal::Busy);
        }
        match Framed::split(bytes).and_then(|framed| framed.guest()) {
            Ok(message) => self.handle(&message),
            Err(error) => {
                let reply = failure(bytes).ok_or(Refusal::Rndis(error))?;
                self.reply(&reply);
                Ok(())
            }
        }
    }

    fn handle(&mut self, message: &GuestMessage<'_>) -> Result<(), Refusal> {
        match message {
            // Neither has an answer: the one is for the other pipe, the other was not asked for.
            GuestMessage::Packet(_) | GuestMessage::KeepaliveComplete(_) => {
                return Err(Refusal::MessageType(message.message_type()));
            }
            GuestMessage::Initialize(request) => self.initialize(request),
            GuestMessage::Halt(_) => {
                self.data_path.initialized = false;
                self.forget();
            }
            GuestMessage::Query(request, input) => self.query(request, input),
            GuestMessage::Set(request, input) => {
                let status = self.when_initialized(|nic| nic.set_oid(request.oid, input));
                let status = status.err().unwrap_or(RndisStatus::SUCCESS);
                let complete = Complete {
                    request_id: request.request_id,
                    status,
                };
                self.reply(&HostMessage::SetComplete(complete));
            }
            GuestMessage::SetEx(request, _) => {
                let complete = answer_to(request, RndisStatus::NOT_SUPPORTED);
                self.reply(&HostMessage::SetExComplete(complete, &[]));
            }
            GuestMessage::Reset(_) => {
                self.forget();
                let complete = ResetComplete {
                    status: RndisStatus::SUCCESS,
                    addressing_reset: U32::new(1),
                };
                self.reply(&HostMessage::ResetComplete(complete));
            }
            GuestMessage::Keepalive(request) => {
                let complete = Complete {
                    request_id: request.request_id,
                    status: RndisStatus::SUCCESS,
                };
                self.reply(&HostMessage::KeepaliveComplete(complete));
            }
        }
        Ok(())
    }

    fn initialize(&mut self, request: &InitializeRequest) {
        let spoken = request.major_version.get() == VERSION.0;
        if spoken {
            self.forget();
            self.data_path.initialized = true;
            // The guest asks for the link's state next; only changes from now on are told.
            self.control.link_told = self.control.link_up;
            self.control.due = Indications::empty();
        }
        let status = if spoken {
            RndisStatus::SUCCESS
        } else {
            RndisStatus::BAD_VERSION
        };
        let transfer = u32::try_from(self.config.transfer_scratch_len()).unwrap_or(u32::MAX);
        let packets = u32::try_from(MAX_PACKETS_PER_TRANSFER).unwrap_or(1);
        self.reply(&HostMessage::InitializeComplete(InitializeComplete {
            request_id: request.request_id,
            status,
            major_version: U32::new(VERSION.0),
            minor_version: U32::new(VERSION.1),
            device_flags: U32::new(DeviceFlags::CONNECTIONLESS.bits()),
            medium: Medium::ETHERNET,
            max_packets_per_message: U32::new(packets),
            max_transfer_size: U32::new(transfer),
            packet_alignment_factor: U32::new(ALIGNMENT_FACTOR),
            af_list_offset: U32::ZERO,
            af_list_size: U32::ZERO,
        }));
    }

    fn query(&mut self, request: &OidRequest, input: &[u8]) {
        let mut info = [0; REPLY_LEN];
        let answer = self.when_initialized(|nic| nic.query_oid(request.oid, input, &mut info));
        let (status, len) = answer.map_or_else(|status| (status, 0), |len| (RndisStatus::SUCCESS, len));
        let info = info.get(..len).unwrap_or_default();
        self.reply(&HostMessage::QueryComplete(answer_to(request, status), info));
    }

    fn when_initialized<T>(
        &mut self,
        action: impl FnOnce(&mut Self) -> Result<T, RndisStatus>,
    ) -> Result<T, RndisStatus> {
        if self.data_path.initialized {
            action(self)
        } else {
            Err(RndisStatus::ADAPTER_NOT_READY)
        }
    }

    /// Forgets what RNDIS has set.
    fn forget(&mut self) {
        self.data_path.filter = PacketFilter::empty();
        self.data_path.multicast = MulticastList::default();
        self.data_path.enabled = Offloads::NONE;
        self.data_path.rss = None;
        self.changed();
    }

    /// Queues an answer. There is room: [`rndis`](Self::rndis) has looked.
    fn reply(&mut self, message: &HostMessage<'_>) {
        let _ = self.control.replies.push_back(Reply::new(message));
    }

    /// Writes answers that wait, then what the NIC tells by itself.
    pub(super) fn write_control<M: RingMem, B: SharedMem, const SECTIONS: usize>(
        &mut self,
        queue: &mut Queue<M, B, SECTIONS>,
    ) -> Result<(), Fault> {
        while let Some(reply) = self.control.replies.front() {
            if !queue.send_control(reply.as_bytes())? {
                return Ok(());
            }
            self.control.replies.pop_front();
        }
        if !self.data_path.initialized {
            return Ok(());
        }
        let link_up = self.control.link_up;
        if self.control.link_told != link_up {
            let status = if link_up {
                RndisStatus::MEDIA_CONNECT
            } else {
                RndisStatus::MEDIA_DISCONNECT
            };
            if !indicate(queue, status, &[])? {
                return Ok(());
            }
            self.control.link_told = link_up;
        }
        if self.control.due.contains(Indications::SPEED) {
            let speed = self.link_speed_100bps().to_le_bytes();
            if !indicate(queue, RndisStatus::LINK_SPEED_CHANGE, &speed)? {
                return Ok(());
            }
            self.control.due.remove(Indications::SPEED);
        }
        if self.control.due.contains(Indications::OFFLOADS) {
            let mut bytes = [0; size_of::<Offload>()];
            let version = self.version().unwrap_or(Version::V1);
            let len = offload::describe(&self.data_path.enabled, version, &mut bytes);
            let info = bytes.get(..len).unwrap_or_default();
            if indicate(queue, RndisStatus::TASK_OFFLOAD_CURRENT_CONFIG, info)? {
                self.control.due.remove(Indications::OFFLOADS);
            }
        }
        Ok(())
    }

    /// The link's speed as RNDIS counts it.
    pub(super) fn link_speed_100bps(&self) -> u32 {
        u32::try_from(self.config.link_speed / 100).unwrap_or(u32::MAX)
    }
}

fn indicate<M: RingMem, B: SharedMem, const SECTIONS: usize>(
    queue: &mut Queue<M, B, SECTIONS>,
    status: RndisStatus,
    info: &[u8],
) -> Result<bool, Fault> {
    let status = IndicateStatus {
        status,
        ..IndicateStatus::default()
    };
    queue.send_control(Reply::new(&HostMessage::IndicateStatus(status, info)).as_bytes())
}

fn answer_to(request: &OidRequest, status: RndisStatus) -> QueryComplete {
    QueryComplete {
        request_id: request.request_id,
        status,
        ..QueryComplete::default()
    }
}

/// The answer to a message that does not decode, if type and request id can be read at least.
fn failure(bytes: &[u8]) -> Option<HostMessage<'static>> {
    let (message_type, _) = MessageType::read_from_prefix(bytes).ok()?;
    let (request_id, _) = U32::read_from_prefix(bytes.get(HEADER_LEN..)?).ok()?;
    let status = RndisStatus::INVALID_DATA;
    let complete = Complete { request_id, status };
    let answer = QueryComplete {
        request_id,
        status,
        ..QueryComplete::default()
    };
    Some(match message_type {
        MessageType::INITIALIZE => HostMessage::InitializeComplete(InitializeComplete {
            request_id,
            status,
            ..Default::default()
        }),
        MessageType::QUERY => HostMessage::QueryComplete(answer, &[]),
        MessageType::SET => HostMessage::SetComplete(complete),
        MessageType::KEEPALIVE => HostMessage::KeepaliveComplete(complete),
        MessageType::SET_EX => HostMessage::SetExComplete(answer, &[]),
        _ => return None,
    })
}
