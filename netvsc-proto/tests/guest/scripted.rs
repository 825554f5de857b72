//! A guest, and a host that is made up packet by packet.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use netvsc_proto::guest::{
    Event, Fault, HEAD_LEN, Nic, NicConfig, PollError, Polled, Properties, Queue, QueueMemory, REQUEST_LEN,
    RequestId, TransmitError, TransmitId, TransmitInfo,
};
use netvsc_proto::wire::nvsp::{self, ChannelType, NO_SECTION, RECEIVE_BUFFER_ID, Status, Version};
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage, SEND_TABLE_MESSAGE_LEN};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::{self, Medium, PacketFilter};
use netvsc_proto::wire::rndis_message::{GuestMessage as RndisGuest, HostMessage as RndisHost};
use netvsc_proto::wire::rss::ReceiveScaleCapabilities;
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::hvcall::GuestMemory;
use vmbus_proto::ringbuf::mem::ArrayRing;
use vmbus_proto::ringbuf::{
    Descriptor, Halves, OutOfBounds, Outgoing, PacketType, RingPair, SharedMem, TransferPageRange,
};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U32;

use crate::pair::{DEPTH, View, guest_config, pages};
use crate::support::{MAC, Mem, Ring, frame};

/// Bytes of a part of the receive buffer, as this host says.
pub(crate) const PART: u32 = 2048;
pub(crate) const RECEIVE_LEN: u32 = 64 * PART;
pub(crate) const SEND_LEN: u32 = 16 * 6144;

/// Memory that changes under its reader: what was read reads otherwise the next time.
#[derive(Clone)]
pub(crate) struct Changing {
    view: View,
    /// How often each byte was read since it was written by [`HostEnd::put`].
    pub(crate) reads: Rc<RefCell<Vec<u32>>>,
    /// What the host does while it is read.
    meanwhile: Meanwhile,
}

pub(crate) type Meanwhile = Rc<RefCell<Option<Box<dyn FnOnce()>>>>;

impl Changing {
    fn new(view: View) -> Self {
        let reads = Rc::new(RefCell::new(vec![0; view.len]));
        Self {
            view,
            reads,
            meanwhile: Rc::default(),
        }
    }
}

impl SharedMem for Changing {
    fn len(&self) -> usize {
        self.view.len
    }
    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        self.view.read(offset, dst)?;
        if let Some(meanwhile) = self.meanwhile.take() {
            meanwhile();
        }
        let other: Vec<u8> = dst.iter().map(|byte| !byte).collect();
        self.view.write(offset, &other)?;
        let mut reads = self.reads.borrow_mut();
        reads[offset..offset + dst.len()]
            .iter_mut()
            .for_each(|count| *count += 1);
        Ok(())
    }
    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        self.view.write(offset, src)
    }
}

fn changing(mem: &Mem) -> Changing {
    Changing::new(View::all(mem))
}

/// What a guest asks.
pub(crate) enum Ask<'a> {
    Nvsp(GuestMessage<'a>),
    Rndis(RndisGuest<'a>),
}

impl Ask<'_> {
    /// The id of the request whether anyone is there.
    pub(crate) fn keepalive(&self) -> Option<U32> {
        match self {
            Self::Rndis(RndisGuest::Keepalive(request)) => Some(request.request_id),
            _ => None,
        }
    }
}

/// The host's end.
pub(crate) struct HostEnd<const WORDS: usize> {
    pub(crate) rings: RingPair<Ring<WORDS>>,
    pub(crate) ram: Mem,
    pub(crate) receive: Mem,
    /// Transfers that the guest has completed.
    pub(crate) returned: Vec<(u64, Status)>,
    /// Transmissions that are not completed: their ids.
    pub(crate) frames: VecDeque<u64>,
    /// Where in the receive buffer the next message goes.
    next: u32,
}

/// Answers something otherwise than an honest host; `false`: the honest answer is wanted.
pub(crate) type Tweak<'t, const WORDS: usize> = &'t mut dyn FnMut(&mut HostEnd<WORDS>, u64, &Ask<'_>) -> bool;

impl<const WORDS: usize> HostEnd<WORDS> {
    pub(crate) fn write(&mut self, transaction_id: u64, descriptor: Descriptor<'_>, payload: &[u8]) {
        let outgoing = Outgoing {
            transaction_id,
            request_completion: false,
            descriptor,
            payload: &[payload],
        };
        let _ = self.rings.outgoing.write(&outgoing).unwrap();
    }

    pub(crate) fn complete(&mut self, id: u64, message: &HostMessage<'_>) {
        let mut bytes = [0; SEND_TABLE_MESSAGE_LEN];
        let bytes = message.encode(Version::V6_1, &mut bytes).unwrap();
        self.write(id, Descriptor::Completion, bytes);
    }

    pub(crate) fn complete_transfer(&mut self, id: u64, status: Status) {
        let complete = nvsp::SendRndisPacketComplete { status };
        self.complete(id, &HostMessage::SendRndisPacketComplete(complete));
    }

    pub(crate) fn tell(&mut self, message: &HostMessage<'_>) {
        let mut bytes = [0; SEND_TABLE_MESSAGE_LEN];
        let bytes = message.encode(Version::V6_1, &mut bytes).unwrap();
        self.write(0, Descriptor::InBand, bytes);
    }

    /// Puts bytes into a part of the receive buffer. Returns where.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> TransferPageRange {
        let at = self.next;
        self.next = (self.next + PART) % RECEIVE_LEN;
        SharedMem::write(&self.receive, at as usize, bytes).unwrap();
        TransferPageRange::new(at, bytes.len() as u32)
    }

    pub(crate) fn transfer(&mut self, id: u64, channel_type: ChannelType, ranges: &[TransferPageRange]) {
        let message = crate::support::rndis_packet(channel_type, NO_SECTION, 0);
        let set_id = RECEIVE_BUFFER_ID;
        self.write(id, Descriptor::TransferPages { set_id, ranges }, &message);
    }

    /// One range with these bytes.
    pub(crate) fn give(&mut self, id: u64, bytes: &[u8]) {
        let range = self.put(bytes);
        self.transfer(id, ChannelType::DATA, &[range]);
    }

    pub(crate) fn reply(&mut self, message: &RndisHost<'_>) {
        let mut bytes = [0; 2048];
        let bytes = message.encode(&mut bytes).unwrap().to_vec();
        let range = self.put(&bytes);
        self.transfer(0xc0, ChannelType::CONTROL, &[range]);
    }

    pub(crate) fn answer_keepalive(&mut self, request_id: U32) {
        let status = RndisStatus::SUCCESS;
        self.reply(&RndisHost::KeepaliveComplete(rndis::Complete {
            request_id,
            status,
        }));
    }

    /// Reads everything that the guest sent, and answers what is asked.
    pub(crate) fn serve(&mut self, tweak: Tweak<'_, WORDS>) {
        let mut scratch = vec![0; 16384];
        while let Some(packet) = self.rings.incoming.read(&mut scratch).unwrap() {
            let id = packet.transaction_id();
            let message = GuestMessage::decode(packet.payload()).unwrap();
            match (packet.kind(), message) {
                (PacketType::COMPLETION, GuestMessage::SendRndisPacketComplete(complete)) => {
                    self.returned.push((id, complete.status));
                }
                (_, GuestMessage::SendRndisPacket(message)) if message.channel_type == ChannelType::DATA => {
                    assert!(packet.wants_completion());
                    self.frames.push_back(id);
                }
                (PacketType::GPA_DIRECT, GuestMessage::SendRndisPacket(message)) => {
                    assert_eq!(message.section_index.get(), NO_SECTION);
                    let mut bytes = vec![];
                    for (gpa, len) in packet.gpa_ranges().unwrap().segments() {
                        let mut piece = vec![0; len];
                        GuestMemory::read(&self.ram, gpa, &mut piece).unwrap();
                        bytes.extend(piece);
                    }
                    let ask = RndisGuest::decode(&bytes).unwrap();
                    if !tweak(self, id, &Ask::Rndis(ask)) {
                        self.complete_transfer(id, Status::SUCCESS);
                        self.rndis(&ask);
                    }
                }
                (PacketType::IN_BAND, message) => {
                    if !tweak(self, id, &Ask::Nvsp(message)) {
                        self.nvsp(id, &message);
                    }
                }
                (kind, message) => panic!("{kind} {message}"),
            }
        }
        let _ = self.rings.incoming.release();
    }

    fn nvsp(&mut self, id: u64, message: &GuestMessage<'_>) {
        let status = Status::SUCCESS;
        let answer = match message {
            GuestMessage::Init(_) => HostMessage::InitComplete(nvsp::InitComplete {
                status,
                ..Default::default()
            }),
            GuestMessage::SendReceiveBuffer(_) => {
                HostMessage::SendReceiveBufferComplete(nvsp::SendReceiveBufferComplete {
                    status,
                    section_count: 1.into(),
                    section: nvsp::ReceiveBufferSection {
                        offset: 0.into(),
                        part_size: PART.into(),
                        part_count: 64.into(),
                        end_offset: RECEIVE_LEN.into(),
                    },
                })
            }
            GuestMessage::SendSendBuffer(_) => {
                HostMessage::SendSendBufferComplete(nvsp::SendSendBufferComplete {
                    status,
                    section_size: 6144.into(),
                })
            }
            GuestMessage::Subchannel(asked) => HostMessage::Subchannel(nvsp::SubchannelComplete {
                status,
                count: asked.count,
            }),
            _ => return,
        };
        self.complete(id, &answer);
    }

    fn rndis(&mut self, ask: &RndisGuest<'_>) {
        let status = RndisStatus::SUCCESS;
        match ask {
            RndisGuest::Initialize(request) => {
                self.reply(&RndisHost::InitializeComplete(initialize_complete(
                    request.request_id.get(),
                )));
            }
            RndisGuest::Query(request, _) => {
                let caps = rss_caps(8, 128);
                let info: &[u8] = match request.oid {
                    Oid::GEN_MAXIMUM_FRAME_SIZE => &1500_u32.to_le_bytes(),
                    Oid::ETHERNET_PERMANENT_ADDRESS => &MAC.0,
                    Oid::GEN_MEDIA_CONNECT_STATUS => &[0; 4],
                    Oid::GEN_LINK_SPEED => &10_u32.to_le_bytes(),
                    Oid::GEN_RECEIVE_SCALE_CAPABILITIES => caps.as_bytes(),
                    _ => {
                        let status = RndisStatus::NOT_SUPPORTED;
                        self.reply(&query_complete(request.request_id.get(), status, &[]));
                        return;
                    }
                };
                self.reply(&query_complete(request.request_id.get(), status, info));
            }
            RndisGuest::Set(request, _) => {
                let request_id = request.request_id;
                self.reply(&RndisHost::SetComplete(rndis::Complete { request_id, status }));
            }
            RndisGuest::Keepalive(request) => self.answer_keepalive(request.request_id),
            RndisGuest::Reset(_) => {
                let addressing_reset = 0.into();
                self.reply(&RndisHost::ResetComplete(rndis::ResetComplete {
                    status,
                    addressing_reset,
                }));
            }
            _ => {}
        }
    }
}

pub(crate) fn initialize_complete(request_id: u32) -> rndis::InitializeComplete {
    rndis::InitializeComplete {
        request_id: request_id.into(),
        status: RndisStatus::SUCCESS,
        major_version: 1.into(),
        medium: Medium::ETHERNET,
        max_packets_per_message: 8.into(),
        max_transfer_size: 0x4000.into(),
        ..Default::default()
    }
}

pub(crate) fn query_complete(request_id: u32, status: RndisStatus, info: &[u8]) -> RndisHost<'_> {
    let complete = rndis::QueryComplete {
        request_id: request_id.into(),
        status,
        ..Default::default()
    };
    RndisHost::QueryComplete(complete, info)
}

pub(crate) fn rss_caps(queues: u32, table_len: u16) -> ReceiveScaleCapabilities {
    ReceiveScaleCapabilities {
        header: netvsc_proto::wire::ndis::ObjectHeader::new(
            netvsc_proto::wire::ndis::ObjectType::RSS_CAPABILITIES,
            2,
            18,
        ),
        queue_count: queues.into(),
        table_len: table_len.into(),
        ..Default::default()
    }
}

pub(crate) type Guest<const WORDS: usize> = Queue<'static, Ring<WORDS>, Changing, DEPTH>;

pub(crate) struct Script<const WORDS: usize = 4096> {
    pub(crate) nic: Nic<'static, Changing>,
    pub(crate) queue: Guest<WORDS>,
    pub(crate) host: HostEnd<WORDS>,
    /// Of the receive buffer.
    pub(crate) reads: Rc<RefCell<Vec<u32>>>,
    /// What the host does while the receive buffer is read.
    pub(crate) meanwhile: Meanwhile,
    /// Frames that came.
    pub(crate) frames: Vec<Vec<u8>>,
    /// Everything else, as text.
    pub(crate) events: Vec<String>,
    /// What was told as ended.
    pub(crate) transmitted: Vec<TransmitId>,
    pub(crate) answered: Vec<RequestId>,
    pub(crate) ready: Option<Properties>,
}

impl<const WORDS: usize> Script<WORDS> {
    pub(crate) fn new(change: impl FnOnce(&mut NicConfig)) -> Self {
        let halves = Halves {
            to_host: &*Box::leak(Box::new(ArrayRing::<WORDS>::new())),
            to_guest: &*Box::leak(Box::new(ArrayRing::<WORDS>::new())),
        };
        let (ram, receive, send) = (
            Mem::new(1 << 18),
            Mem::new(RECEIVE_LEN as usize),
            Mem::new(SEND_LEN as usize),
        );
        let mut config = guest_config(RECEIVE_LEN as usize, SEND_LEN as usize);
        config.max_queues = 4;
        change(&mut config);
        let of = |pages: netvsc_proto::guest::Pages<'static, View>, view: View, gpa: u64| {
            drop(pages);
            let pfns: Vec<_> = (gpa / 4096..=(gpa + view.len as u64 - 1) / 4096)
                .map(Into::into)
                .collect();
            let pfns = Box::leak(pfns.into_boxed_slice());
            netvsc_proto::guest::Pages::new(Changing::new(view), (gpa % 4096) as u32, pfns).unwrap()
        };
        let region = |gpa: u64, len: usize| {
            let view = View {
                mem: ram.clone(),
                start: gpa as usize,
                len,
            };
            of(pages(&ram, gpa, len), view, gpa)
        };
        let receive_view = changing(&receive);
        let reads = Rc::clone(&receive_view.reads);
        let meanwhile = Rc::clone(&receive_view.meanwhile);
        let memory = QueueMemory {
            receive: receive_view,
            send: changing(&send),
            heads: Some(region(0x10fe0, DEPTH * HEAD_LEN as usize)),
        };
        Self {
            nic: Nic::new(config, region(0x8000, 4 * REQUEST_LEN)).unwrap(),
            queue: Queue::primary(RingPair::guest(halves).unwrap(), memory),
            host: HostEnd {
                rings: RingPair::host(halves).unwrap(),
                ram,
                receive,
                returned: vec![],
                frames: VecDeque::new(),
                next: 0,
            },
            reads,
            meanwhile,
            frames: vec![],
            events: vec![],
            transmitted: vec![],
            answered: vec![],
            ready: None,
        }
    }

    /// Brought up by an honest host, with a packet filter.
    pub(crate) fn up() -> Self {
        let mut script = Self::new(|_| ());
        script.run().unwrap();
        script.ready.expect("the NIC is up");
        script.nic.set_packet_filter(PacketFilter::DIRECTED).unwrap();
        script.run().unwrap();
        script.events.clear();
        script.answered.clear();
        script.host.returned.clear();
        script.reads.borrow_mut().fill(0);
        script
    }

    /// Sends frames, each of which the host is done with, until the ring has no room: the host does not read.
    pub(crate) fn fill(&mut self) {
        loop {
            match self.queue.transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE) {
                Ok(submitted) => self
                    .host
                    .complete_transfer(submitted.id.number(), Status::SUCCESS),
                Err(TransmitError::RingFull) => return,
                Err(error) => panic!("{error}"),
            }
            self.poll().unwrap();
        }
    }

    pub(crate) fn poll_once(&mut self) -> Result<bool, Fault> {
        let mut buffer = vec![0x55; self.nic.receive_len()];
        let polled = self.nic.poll(&mut self.queue, &mut buffer);
        let Polled { again, event, .. } = match polled {
            Ok(polled) => polled,
            Err(PollError::Fault(fault)) => return Err(fault),
            Err(error) => panic!("{error}"),
        };
        match event {
            None => {}
            Some(Event::Received { frame, .. }) => self.frames.push(frame.to_vec()),
            Some(Event::Ready(properties)) => self.ready = Some(properties),
            Some(event) => {
                match event {
                    Event::Transmitted { id, .. } => self.transmitted.push(id),
                    Event::Answered { id, .. }
                    | Event::RequestFailed { id, .. }
                    | Event::Reset { id, .. } => self.answered.push(id),
                    _ => {}
                }
                self.events.push(format!("{event:?}"));
            }
        }
        Ok(again)
    }

    /// The guest alone, until it wants no more.
    pub(crate) fn poll(&mut self) -> Result<(), Fault> {
        for _ in 0..10_000 {
            if !self.poll_once()? {
                return Ok(());
            }
        }
        panic!("busy for ever");
    }

    pub(crate) fn run_with(&mut self, tweak: Tweak<'_, WORDS>) -> Result<(), Fault> {
        for _ in 0..30 {
            self.poll()?;
            self.host.serve(tweak);
        }
        Ok(())
    }

    pub(crate) fn run(&mut self) -> Result<(), Fault> {
        self.run_with(&mut |_, _, _| false)
    }

    /// Besides frames this came, and nothing else.
    #[track_caller]
    pub(crate) fn told_only(&self, event: &Event<'_>) {
        assert_eq!(self.events, [format!("{event:?}")]);
    }

    /// The guest goes on: a frame comes through.
    pub(crate) fn alive(&mut self) {
        self.frames.clear();
        let bytes = crate::support::packet(&[], &frame(MAC, 9, 77));
        self.host.give(0x999, &bytes);
        self.run().unwrap();
        assert_eq!(self.frames, [frame(MAC, 9, 77)]);
        let at = self.host.returned.iter().position(|(id, _)| *id == 0x999);
        assert_eq!(self.host.returned.remove(at.unwrap()), (0x999, Status::SUCCESS));
    }

    /// The channel is poisoned, and stays so, whatever is called; what was under way is named once.
    pub(crate) fn dead(&mut self, fault: Fault) {
        let under_way = self.queue.outstanding();
        for _ in 0..2 {
            assert_eq!(self.poll_once(), Err(fault));
        }
        assert_eq!(self.queue.fault(), Some(fault));
        let refused = self.queue.transmit(&frame(MAC, 1, 60), &TransmitInfo::NONE);
        assert_eq!(refused, Err(TransmitError::Fault(fault)));
        let mut named = vec![];
        while let Some(aborted) = self.queue.abort() {
            named.push(aborted.id);
        }
        assert!(named.len() <= under_way);
        assert_eq!((self.queue.outstanding(), self.queue.abort()), (0, None));
        while self.nic.abort().is_some() {}
        assert_eq!(self.poll_once(), Err(fault));
        assert!(self.nic.lent().receive_buffer || self.ready.is_none());
    }
}
