//! The control engine: NVSP on the primary channel.

use heapless::Deque;
use vmbus_proto::hvcall::GuestMemory;
use vmbus_proto::ringbuf::{Descriptor, Outgoing, RingMem, SharedMem};
use vmbus_proto::wire::GpadlId;
use zerocopy::little_endian::U32;

use crate::nic::ETHERNET_HEADER;
use crate::wire::nvsp::{
    Init, InitComplete, MessageType, NdisCapabilities, OidQueryExComplete, SEND_TABLE_LEN, SendNdisConfig,
    Status, SubchannelComplete, SubchannelOperation, SubchannelRequest, Version,
};
use crate::wire::nvsp_message::{GuestMessage, HostMessage, SEND_TABLE_MESSAGE_LEN};
use crate::wire::packet_direct::{PdComplete, PdRequest};
use crate::wire::status::RndisStatus;

use super::backend::NetBackend;
use super::buffers::Buffer;
use super::config::{ConfigError, DataPath, NicConfig};
use super::control::{Control, Indications};
use super::fault::Fault;
use super::queue::{Outcome, Queue, ReceiveLayout, Request, Scratch, SendLayout, Step, Stop};
use super::stats::QueueStats;

/// NVSP answers that may wait for room in the ring.
const ANSWERS: usize = 8;

/// Answers that may come without a further message being read: one to the message that is being handled, and one each
/// for the two buffers, when the embedder has mapped or released them.
const MORE_ANSWERS: usize = 3;

/// Events that may wait for the embedder. There are never more: one for each buffer, as nothing is read until it is
/// dealt with; the offer, which comes once; and the data path, as the same event waits only
/// once.
const EVENTS: usize = 4;

/// Chained memory descriptors in a packet, as Hyper-V says.
const MAX_MDL_CHAIN: u32 = 34;

/// What the embedder has to do for the NIC. When all events are dealt with, serve the primary channel once more: there
/// may be answers to be written, and nothing is read while a buffer is being mapped or released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Map this GPADL as the receive buffer and call [`Nic::receive_buffer_mapped`], or
    /// [`Nic::receive_buffer_refused`].
    MapReceiveBuffer(GpadlId),
    /// Map this GPADL as the send buffer and call [`Nic::send_buffer_mapped`], or [`Nic::send_buffer_refused`].
    MapSendBuffer(GpadlId),
    /// Take the receive buffer from every queue (the primary channel's has given it up), then call
    /// [`Nic::receive_buffer_released`].
    ReleaseReceiveBuffer,
    /// Take the send buffer from every queue (the primary channel's has given it up), then call
    /// [`Nic::send_buffer_released`].
    ReleaseSendBuffer,
    /// Offer so many sub-channels, with indices from 1 on. Call [`Nic::set_open_queues`] as they are opened.
    OfferSubchannels(u16),
    /// [`Nic::data_path`] has changed: give it to the queues of all sub-channels, and to a
    /// [`Spreader`](super::Spreader).
    DataPathChanged,
}

/// What an answer is written as.
#[derive(Debug)]
struct Answer {
    /// The transaction to complete, or `None` for a message of the host's own.
    completes: Option<u64>,
    len: usize,
    bytes: [u8; SEND_TABLE_MESSAGE_LEN],
}

/// The control engine of a NIC: NVSP and RNDIS state, on the primary channel.
///
/// It is served with the primary channel's queue by [`service`](Self::service), and asks the embedder for what it
/// cannot do itself by [`poll_event`](Self::poll_event). What a guest can make it hold is bounded: 8 NVSP answers and 4
/// RNDIS answers; beyond, the guest's ring is left unread, or a control message is answered as busy.
///
/// # Bounds
///
/// | | at most |
/// |---|---|
/// | memory | on a 64-bit machine 4.5 KiB, whatever the guest does; the two buffers are the guest's |
/// | messages queued | 8 NVSP answers, 4 RNDIS answers of 576 bytes, 4 events for the embedder, 32 multicast addresses |
/// | work of one call | `budget` packets of the guest's, and as many messages as wait; see [`Queue`] for those that carry frames |
///
/// When the primary channel is closed, [`reset`](Self::reset) makes the NIC ready for being opened again.
#[derive(Debug)]
pub struct Nic {
    pub(super) config: NicConfig,
    /// The MTU from the next opening on.
    next_mtu: u32,
    version: Option<Version>,
    pub(super) receive: Buffer<ReceiveLayout>,
    pub(super) send: Buffer<SendLayout>,
    /// Sub-channels that the guest was granted.
    granted: u16,
    send_table_due: bool,
    capabilities: NdisCapabilities,
    pub(super) control: Control,
    pub(super) data_path: DataPath,
    /// The primary channel's queue has an older data path.
    data_path_changed: bool,
    answers: Deque<Answer, ANSWERS>,
    events: Deque<Event, EVENTS>,
}

impl Nic {
    /// A NIC whose primary channel is not open yet.
    ///
    /// # Errors
    ///
    /// A value of the configuration is out of range.
    pub fn new(config: NicConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            config,
            next_mtu: config.mtu,
            version: None,
            receive: Buffer::None,
            send: Buffer::None,
            granted: 0,
            send_table_due: false,
            capabilities: NdisCapabilities::empty(),
            control: Control::new(),
            data_path: closed(&config),
            data_path_changed: true,
            answers: Deque::new(),
            events: Deque::new(),
        })
    }

    /// The primary channel was closed: forgets all that the guest has set, its MAC address included.
    pub fn reset(&mut self) {
        self.config.mtu = self.next_mtu;
        self.version = None;
        self.receive = Buffer::None;
        self.send = Buffer::None;
        self.granted = 0;
        self.send_table_due = false;
        self.capabilities = NdisCapabilities::empty();
        self.control = Control::new();
        self.data_path = closed(&self.config);
        self.data_path_changed = true;
        self.answers.clear();
        self.events.clear();
    }

    /// What the NIC is.
    pub fn config(&self) -> &NicConfig {
        &self.config
    }

    /// Changes the MTU. It is in force when the guest opens the channel the next time: NVSP cannot tell a change.
    ///
    /// # Errors
    ///
    /// It is out of range.
    pub fn set_mtu(&mut self, mtu: u32) -> Result<(), ConfigError> {
        NicConfig { mtu, ..self.config }.check()?;
        self.next_mtu = mtu;
        Ok(())
    }

    /// Changes the speed of the link, in bit/s. The guest is told when the primary channel is served.
    pub fn set_link_speed(&mut self, link_speed: u64) {
        if self.config.link_speed != link_speed {
            self.config.link_speed = link_speed;
            self.control.due |= Indications::SPEED;
        }
    }

    /// The version of NVSP agreed on, if one is.
    pub fn version(&self) -> Option<Version> {
        self.version
    }

    /// What the guest said it is capable of.
    pub fn capabilities(&self) -> NdisCapabilities {
        self.capabilities
    }

    /// The guest's settings that queues have to know.
    pub fn data_path(&self) -> &DataPath {
        &self.data_path
    }

    /// The next thing that the embedder has to do.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What sub-channels have counted, all of them added up, so that the guest's statistics include them.
    pub fn set_subchannel_stats(&mut self, stats: &QueueStats) {
        self.control.subchannel_stats = *stats;
    }

    /// Serves the primary channel: reads up to `budget` packets of the guest, frames and control messages, and writes
    /// what waits. To be called when the guest signals, once when the channel was opened, after events, when the
    /// backend's link changes, and when [`Outcome`] says so.
    ///
    /// # Errors
    ///
    /// The guest broke the protocol; the channel is poisoned.
    pub fn service<M, B, G, N, const SECTIONS: usize>(
        &mut self,
        queue: &mut Queue<M, B, SECTIONS>,
        memory: &G,
        backend: &N,
        scratch: &mut Scratch<'_>,
        budget: usize,
    ) -> Result<Outcome, Fault>
    where
        M: RingMem,
        B: SharedMem,
        G: GuestMemory + ?Sized,
        N: NetBackend + ?Sized,
    {
        self.control.link_up = backend.link_up();
        queue.begin()?;
        let mut packets = 0_usize;
        let stop = loop {
            if core::mem::take(&mut self.data_path_changed) {
                queue.set_data_path(&self.data_path);
            }
            self.write(queue)?;
            if self.answers.len().saturating_add(MORE_ANSWERS) > ANSWERS {
                break Stop::Blocked;
            }
            // What comes next may be about the same buffer: a revoke need not be answered, and so is not waited for.
            if self.receive.is_changing() || self.send.is_changing() {
                break Stop::Blocked;
            }
            if let Some(stop) = queue.obstacle(backend, packets, budget)? {
                break stop;
            }
            match queue.step(memory, backend, scratch)? {
                Step::Idle => break Stop::Idle,
                Step::Done => {}
                Step::Nvsp(request, message) => {
                    if let Err(fault) = self.message(queue, request, &message) {
                        return Err(queue.poison(fault));
                    }
                }
                Step::Rndis(request, bytes) => {
                    self.control.primary_stats = *queue.stats();
                    let status = match self.rndis(bytes) {
                        Ok(()) => Status::SUCCESS,
                        Err(refusal) => queue.refuse(refusal),
                    };
                    queue.complete(request, status);
                }
            }
            packets = packets.saturating_add(1);
        };
        self.write(queue)?;
        queue.end(stop, packets)
    }

    /// Writes what waits: NVSP first, then RNDIS.
    fn write<M: RingMem, B: SharedMem, const SECTIONS: usize>(
        &mut self,
        queue: &mut Queue<M, B, SECTIONS>,
    ) -> Result<(), Fault> {
        while let Some(answer) = self.answers.front() {
            let outgoing = Outgoing {
                transaction_id: answer.completes.unwrap_or(0),
                request_completion: false,
                descriptor: if answer.completes.is_some() {
                    Descriptor::Completion
                } else {
                    Descriptor::InBand
                },
                payload: &[answer.bytes.get(..answer.len).unwrap_or_default()],
            };
            if !queue.write(&outgoing)? {
                return Ok(());
            }
            self.answers.pop_front();
        }
        if self.send_table_due {
            let mut table = [U32::ZERO; SEND_TABLE_LEN];
            for (entry, index) in table.iter_mut().zip((0..self.data_path.open_queues).cycle()) {
                *entry = U32::new(index.into());
            }
            self.push(None, &HostMessage::SendIndirectionTable(table));
            self.send_table_due = false;
            return self.write(queue);
        }
        self.write_control(queue)
    }

    /// Handles an NVSP message that is not RNDIS.
    fn message<M: RingMem, B: SharedMem, const SECTIONS: usize>(
        &mut self,
        queue: &mut Queue<M, B, SECTIONS>,
        request: Request,
        message: &GuestMessage<'_>,
    ) -> Result<(), Fault> {
        let unexpected = Fault::Unexpected {
            message: message.message_type(),
            version: self.version.unwrap_or_default(),
        };
        if let GuestMessage::Init(init) = message {
            self.init(request, init);
            return Ok(());
        }
        let version = self.version.ok_or(unexpected)?;
        if version < since(message.message_type()) {
            return Err(unexpected);
        }
        match message {
            GuestMessage::SendNdisVersion(ndis) => {
                self.control.ndis_version = (ndis.major.get(), ndis.minor.get());
                self.acknowledge(request);
            }
            GuestMessage::SendNdisConfig(config) => {
                self.ndis_config(config);
                self.acknowledge(request);
            }
            GuestMessage::SendReceiveBuffer(buffer) => self.lend_receive_buffer(queue, request, buffer),
            GuestMessage::SendSendBuffer(buffer) => self.lend_send_buffer(queue, request, buffer),
            GuestMessage::RevokeReceiveBuffer(buffer) => self.revoke_receive_buffer(queue, request, buffer),
            GuestMessage::RevokeSendBuffer(buffer) => self.revoke_send_buffer(queue, request, buffer),
            // There is no virtual function, so frames always go this way. Linux waits for the empty completion.
            GuestMessage::SwitchDataPath(_) => self.acknowledge(request),
            GuestMessage::OidQueryEx(_) => {
                let status = U32::new(RndisStatus::NOT_SUPPORTED.value());
                let bytes = U32::ZERO;
                self.answer(
                    request,
                    &HostMessage::OidQueryExComplete(OidQueryExComplete { status, bytes }),
                );
            }
            GuestMessage::Subchannel(subchannels) => self.subchannels(request, subchannels),
            GuestMessage::PdApi(pd) => self.packet_direct(request, pd),
            _ => return Err(unexpected),
        }
        Ok(())
    }

    fn init(&mut self, request: Request, init: &Init) {
        let chosen = Version::NAMED
            .iter()
            .copied()
            .filter(|version| (init.min_version..=init.max_version).contains(version))
            .filter(|version| *version <= self.config.max_version)
            .max()
            .filter(|_| self.version.is_none());
        if let Some(version) = chosen {
            self.version = Some(version);
            self.data_path.version = version;
            self.changed();
        }
        self.answer(
            request,
            &HostMessage::InitComplete(InitComplete {
                negotiated_version: U32::new(u32::MAX),
                max_mdl_chain_length: U32::new(MAX_MDL_CHAIN),
                status: if chosen.is_some() {
                    Status::SUCCESS
                } else {
                    Status::NONE
                },
            }),
        );
    }

    fn ndis_config(&mut self, config: &SendNdisConfig) {
        self.capabilities = config.capabilities();
        // Sections were sized by what was said before the buffer was lent.
        if let Buffer::None = self.receive {
            let most = self.config.mtu.saturating_add(ETHERNET_HEADER);
            let least = most.min(576_u32.saturating_add(ETHERNET_HEADER));
            self.data_path.max_frame = config.mtu.get().clamp(least, most);
            self.changed();
        }
    }

    fn subchannels(&mut self, request: Request, asked: &SubchannelRequest) {
        let most = u32::from(self.config.max_queues.saturating_sub(1));
        let granted = u16::try_from(asked.count.get().min(most)).unwrap_or_default();
        let refused = asked.operation != SubchannelOperation::ALLOCATE || self.granted != 0;
        let (status, count) = if refused {
            (Status::FAILURE, 0)
        } else {
            (Status::SUCCESS, granted)
        };
        let complete = SubchannelComplete {
            status,
            count: U32::new(count.into()),
        };
        self.answer(request, &HostMessage::Subchannel(complete));
        if count > 0 {
            self.granted = count;
            self.event(Event::OfferSubchannels(count));
        }
    }

    fn packet_direct(&mut self, request: Request, pd: &PdRequest) {
        let complete = PdComplete {
            operation: pd.operation,
            status: U32::new(RndisStatus::NOT_SUPPORTED.value()),
            body: [0; 28],
        };
        self.answer(request, &HostMessage::PdApi(complete));
    }

    /// So many channels are open now, the primary one included. From the second on the guest is told on which to
    /// send, once all that it was granted are open.
    pub fn set_open_queues(&mut self, open: u16) {
        let open = open.clamp(1, self.granted.saturating_add(1));
        if self.data_path.open_queues == open {
            return;
        }
        self.data_path.open_queues = open;
        self.changed();
        self.send_table_due = self.granted > 0 && open == self.granted.saturating_add(1);
    }

    pub(super) fn answer(&mut self, request: Request, message: &HostMessage<'_>) {
        if request.wants_completion {
            self.push(Some(request.transaction_id), message);
        }
    }

    /// Completes a request with an empty payload.
    pub(super) fn acknowledge(&mut self, request: Request) {
        if request.wants_completion {
            let completes = Some(request.transaction_id);
            self.queue_answer(Answer {
                completes,
                len: 0,
                bytes: [0; SEND_TABLE_MESSAGE_LEN],
            });
        }
    }

    fn push(&mut self, completes: Option<u64>, message: &HostMessage<'_>) {
        let mut bytes = [0; SEND_TABLE_MESSAGE_LEN];
        let version = self.version.unwrap_or_default();
        let len = message.encode(version, &mut bytes).map_or(0, <[u8]>::len);
        self.queue_answer(Answer {
            completes,
            len,
            bytes,
        });
    }

    /// Queues an answer. There is room, see [`MORE_ANSWERS`].
    fn queue_answer(&mut self, answer: Answer) {
        let _ = self.answers.push_back(answer);
    }

    /// The data path has changed: queues have to know.
    pub(super) fn changed(&mut self) {
        self.data_path_changed = true;
        self.event(Event::DataPathChanged);
    }

    /// Queues an event, unless the same one waits already. There is room, see [`EVENTS`].
    pub(super) fn event(&mut self, event: Event) {
        if !self.events.iter().any(|waiting| *waiting == event) {
            let _ = self.events.push_back(event);
        }
    }
}

/// The settings of a NIC that no guest has set up.
fn closed(config: &NicConfig) -> DataPath {
    DataPath {
        mac: config.mac,
        max_frame: config.mtu.saturating_add(ETHERNET_HEADER),
        offered: config.offloads,
        open_queues: 1,
        ..DataPath::default()
    }
}

/// The version that brought a message.
fn since(message: MessageType) -> Version {
    match message.value() {
        0..=108 => Version::V1,
        109..=127 => Version::V2,
        128..=130 => Version::V4,
        131..=134 => Version::V5,
        _ => Version::V6_1,
    }
}
