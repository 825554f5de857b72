//! The control engine: NVSP on the primary channel.

use heapless::Deque;
use vmbus_proto::hvcall::GuestMemory;
use vmbus_proto::ringbuf::{Descriptor, Outgoing, RingMem, SharedMem};
use vmbus_proto::wire::GpadlId;
use zerocopy::little_endian::U32;

use crate::wire::nvsp::{
    Init, InitComplete, MessageType, NdisCapabilities, OidQueryExComplete, ReceiveBufferSection,
    SEND_TABLE_LEN, SendBuffer, SendNdisConfig, SendReceiveBufferComplete, SendSendBufferComplete, Status,
    SubchannelComplete, SubchannelOperation, SubchannelRequest, Version,
};
use crate::wire::nvsp_message::{GuestMessage, HostMessage, SEND_TABLE_MESSAGE_LEN};
use crate::wire::packet_direct::{PdComplete, PdRequest};
use crate::wire::status::RndisStatus;

use super::backend::NetBackend;
use super::config::{ConfigError, DataPath, ETHERNET_HEADER, NicConfig, SEND_SECTION_SIZE, VLAN_TAG};
use super::control::{Control, Indications};
use super::fault::{Fault, Refusal};
use super::queue::{Outcome, Queue, ReceiveLayout, Request, Scratch, SendLayout, Step, Stop};
use super::receive::HEADERS;
use super::stats::QueueStats;

/// NVSP answers that may wait for room in the ring.
const ANSWERS: usize = 8;

/// Answers that may come without a further message being read: one to the message that is being handled, and one each
/// for the two buffers, when the embedder has mapped or released them.
const MORE_ANSWERS: usize = 3;

/// Events that may wait for the embedder. There are never more: one for each buffer, as the guest must wait for its
/// answer before it can ask for another; the offer, which comes once; and the data path, as the same event waits only
/// once.
const EVENTS: usize = 4;

/// Bytes at the end of a section that stay unused: newer Windows drivers do not look at the last 36 (OpenVMM).
const UNUSED_TAIL: u32 = 36;

/// The smallest section: every control message fits.
const MIN_SECTION: u32 = 1024;

/// Chained memory descriptors in a packet, as Hyper-V says.
const MAX_MDL_CHAIN: u32 = 34;

/// What the embedder has to do for the NIC. When all events are dealt with, serve the primary channel once more: there
/// may be answers to be written.
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

/// A buffer that the guest lends.
#[derive(Clone, Copy, Debug)]
enum Buffer<L> {
    /// There is none.
    None,
    /// The embedder is mapping it.
    Mapping(Request, SendBuffer),
    /// It is used.
    Lent(u16, L),
    /// The embedder is taking it from the queues.
    Releasing(Request),
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
/// When the primary channel is closed, [`reset`](Self::reset) makes the NIC ready for being opened again.
#[derive(Debug)]
pub struct Nic {
    pub(super) config: NicConfig,
    /// The MTU from the next opening on.
    next_mtu: u32,
    version: Option<Version>,
    receive: Buffer<ReceiveLayout>,
    send: Buffer<SendLayout>,
    /// Sub-channels that the guest was granted.
    granted: u16,
    send_table_due: bool,
    capabilities: NdisCapabilities,
    pub(super) control: Control,
    pub(super) data_path: DataPath,
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

    /// How the receive buffer is divided, while there is one.
    pub fn receive_layout(&self) -> Option<ReceiveLayout> {
        if let Buffer::Lent(_, layout) = self.receive {
            Some(layout)
        } else {
            None
        }
    }

    /// How the send buffer is divided, while there is one.
    pub fn send_layout(&self) -> Option<SendLayout> {
        if let Buffer::Lent(_, layout) = self.send {
            Some(layout)
        } else {
            None
        }
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
            self.write(queue)?;
            if self.answers.len().saturating_add(MORE_ANSWERS) > ANSWERS {
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
            queue.set_data_path(&self.data_path);
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
            }
            GuestMessage::SendNdisConfig(config) => self.ndis_config(config),
            GuestMessage::SendReceiveBuffer(buffer) => {
                if let Buffer::None = self.receive {
                    self.receive = Buffer::Mapping(request, *buffer);
                    self.event(Event::MapReceiveBuffer(buffer.gpadl));
                } else {
                    queue.refuse(Refusal::Buffer(message.message_type()));
                    self.refuse_receive_buffer(request);
                }
            }
            GuestMessage::SendSendBuffer(buffer) => {
                if let Buffer::None = self.send {
                    self.send = Buffer::Mapping(request, *buffer);
                    self.event(Event::MapSendBuffer(buffer.gpadl));
                } else {
                    queue.refuse(Refusal::Buffer(message.message_type()));
                    self.refuse_send_buffer(request);
                }
            }
            GuestMessage::RevokeReceiveBuffer(buffer) => match self.receive {
                Buffer::Lent(id, _) if id == buffer.id.get() => {
                    queue.take_receive_buffer();
                    self.receive = Buffer::Releasing(request);
                    self.event(Event::ReleaseReceiveBuffer);
                }
                _ => {
                    queue.refuse(Refusal::Buffer(message.message_type()));
                    self.acknowledge(request);
                }
            },
            GuestMessage::RevokeSendBuffer(buffer) => match self.send {
                Buffer::Lent(id, _) if id == buffer.id.get() => {
                    queue.take_send_buffer();
                    self.send = Buffer::Releasing(request);
                    self.event(Event::ReleaseSendBuffer);
                }
                _ => {
                    queue.refuse(Refusal::Buffer(message.message_type()));
                    self.acknowledge(request);
                }
            },
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
        let chosen = Version::NAMES
            .iter()
            .map(|(version, _)| *version)
            .filter(|version| (init.min_version..=init.max_version).contains(version))
            .filter(|version| *version <= self.config.max_version)
            .max()
            .filter(|_| self.version.is_none());
        if let Some(version) = chosen {
            self.version = Some(version);
            self.data_path.version = version;
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
            self.event(Event::DataPathChanged);
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

    /// The embedder has mapped the receive buffer, of `length` bytes. Returns how it is divided: lend it to the
    /// primary channel's queue so, and to those of sub-channels when they are opened. `None`: it is too small or was
    /// not asked for; unmap it.
    pub fn receive_buffer_mapped(&mut self, length: usize) -> Option<ReceiveLayout> {
        let Buffer::Mapping(request, buffer) = self.receive else {
            return None;
        };
        let frame = self.data_path.max_frame.saturating_add(VLAN_TAG);
        let part_size = frame
            .saturating_add(HEADERS)
            .saturating_add(UNUSED_TAIL)
            .max(MIN_SECTION);
        let part_size = part_size.checked_next_multiple_of(64)?;
        // Linux reads the end of the section as a u32; a buffer of that size has more sections than are used.
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let parts = length.checked_div(part_size).unwrap_or_default();
        let per_queue = parts
            .checked_div(self.config.max_queues.into())
            .unwrap_or_default();
        let sections_per_queue = u16::try_from(per_queue)
            .unwrap_or(u16::MAX)
            .min(self.config.sections_per_queue);
        // Fewer would leave the primary channel none for frames.
        if sections_per_queue < 8 {
            self.refuse_receive_buffer(request);
            self.receive = Buffer::None;
            return None;
        }
        let part_count = u32::from(sections_per_queue).saturating_mul(self.config.max_queues.into());
        let section = ReceiveBufferSection {
            offset: U32::ZERO,
            part_size: U32::new(part_size),
            part_count: U32::new(part_count),
            end_offset: U32::new(part_size.saturating_mul(part_count)),
        };
        let complete = SendReceiveBufferComplete {
            status: Status::SUCCESS,
            section_count: U32::new(1),
            section,
        };
        self.answer(request, &HostMessage::SendReceiveBufferComplete(complete));
        let layout = ReceiveLayout {
            buffer_id: buffer.id.get(),
            section_size: part_size,
            sections_per_queue,
        };
        self.receive = Buffer::Lent(buffer.id.get(), layout);
        Some(layout)
    }

    /// The embedder cannot map the receive buffer: the guest is told.
    pub fn receive_buffer_refused(&mut self) {
        if let Buffer::Mapping(request, _) = self.receive {
            self.refuse_receive_buffer(request);
            self.receive = Buffer::None;
        }
    }

    /// No queue has the receive buffer any more: the guest may take it back.
    pub fn receive_buffer_released(&mut self) {
        if let Buffer::Releasing(request) = self.receive {
            self.acknowledge(request);
            self.receive = Buffer::None;
        }
    }

    /// The embedder has mapped the send buffer, of `length` bytes. As
    /// [`receive_buffer_mapped`](Self::receive_buffer_mapped).
    pub fn send_buffer_mapped(&mut self, length: usize) -> Option<SendLayout> {
        let Buffer::Mapping(request, buffer) = self.send else {
            return None;
        };
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let section_count = length.checked_div(SEND_SECTION_SIZE).unwrap_or_default();
        if section_count == 0 {
            self.refuse_send_buffer(request);
            self.send = Buffer::None;
            return None;
        }
        let complete = SendSendBufferComplete {
            status: Status::SUCCESS,
            section_size: U32::new(SEND_SECTION_SIZE),
        };
        self.answer(request, &HostMessage::SendSendBufferComplete(complete));
        let layout = SendLayout {
            section_size: SEND_SECTION_SIZE,
            section_count,
        };
        self.send = Buffer::Lent(buffer.id.get(), layout);
        Some(layout)
    }

    /// The embedder cannot map the send buffer: the guest is told.
    pub fn send_buffer_refused(&mut self) {
        if let Buffer::Mapping(request, _) = self.send {
            self.refuse_send_buffer(request);
            self.send = Buffer::None;
        }
    }

    /// No queue has the send buffer any more: the guest may take it back.
    pub fn send_buffer_released(&mut self) {
        if let Buffer::Releasing(request) = self.send {
            self.acknowledge(request);
            self.send = Buffer::None;
        }
    }

    /// So many channels are open now, the primary one included. From the second on the guest is told on which to
    /// send, once all that it was granted are open.
    pub fn set_open_queues(&mut self, open: u16) {
        let open = open.clamp(1, self.granted.saturating_add(1));
        if self.data_path.open_queues == open {
            return;
        }
        self.data_path.open_queues = open;
        self.event(Event::DataPathChanged);
        self.send_table_due = self.granted > 0 && open == self.granted.saturating_add(1);
    }

    fn refuse_receive_buffer(&mut self, request: Request) {
        let complete = SendReceiveBufferComplete {
            status: Status::FAILURE,
            ..SendReceiveBufferComplete::default()
        };
        self.answer(request, &HostMessage::SendReceiveBufferComplete(complete));
    }

    fn refuse_send_buffer(&mut self, request: Request) {
        let complete = SendSendBufferComplete {
            status: Status::FAILURE,
            section_size: U32::ZERO,
        };
        self.answer(request, &HostMessage::SendSendBufferComplete(complete));
    }

    fn answer(&mut self, request: Request, message: &HostMessage<'_>) {
        if request.wants_completion {
            self.push(Some(request.transaction_id), message);
        }
    }

    /// Completes a request with an empty payload.
    fn acknowledge(&mut self, request: Request) {
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
