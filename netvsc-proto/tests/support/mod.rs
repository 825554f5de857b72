//! A NIC and a driver that does what Linux's does, joined by real rings and plain memory, on one thread.
#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use netvsc_proto::host::{
    Event, Fault, MacAddress, NetBackend, Nic, NicConfig, Outcome, PACKET_SCRATCH_LEN, Queue, Refusal,
    Scratch, TransmitInfo, Transmitted,
};
use netvsc_proto::wire::nvsp::{self, ChannelType, NO_SECTION, NdisCapabilities, Status, Version};
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::ppi::PpiWalk;
use netvsc_proto::wire::rndis::{self, PacketFilter};
use netvsc_proto::wire::rndis_message::{self, Framed, PacketMessage};
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::hvcall::{GuestMemory, MemoryError};
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::mem::ArrayRing;
use vmbus_proto::ringbuf::{
    Descriptor, Halves, OutOfBounds, Outgoing, PacketType, RingPair, SharedMem, TransferPageRange, WriteError,
};
use vmbus_proto::wire::GpadlId;
use zerocopy::little_endian::U64;

pub(crate) const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
pub(crate) const RECEIVE_GPADL: u32 = 0xe1e10;
pub(crate) const SEND_GPADL: u32 = 0xe1e11;
pub(crate) const SECTIONS: usize = 256;

/// Memory of the guest, as a region and by address.
#[derive(Clone)]
pub(crate) struct Mem(pub(crate) Arc<Mutex<Vec<u8>>>);

impl Mem {
    pub(crate) fn new(len: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![0; len])))
    }
}

impl SharedMem for Mem {
    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        let (region, len) = (SharedMem::len(self), dst.len());
        let memory = self.0.lock().unwrap();
        let src = offset.checked_add(len).and_then(|end| memory.get(offset..end));
        dst.copy_from_slice(src.ok_or(OutOfBounds { offset, len, region })?);
        Ok(())
    }

    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        let (region, len) = (SharedMem::len(self), src.len());
        let mut memory = self.0.lock().unwrap();
        let dst = offset
            .checked_add(len)
            .and_then(|end| memory.get_mut(offset..end));
        dst.ok_or(OutOfBounds { offset, len, region })?
            .copy_from_slice(src);
        Ok(())
    }
}

impl GuestMemory for Mem {
    fn read(&self, gpa: u64, dst: &mut [u8]) -> Result<(), MemoryError> {
        let len = dst.len();
        SharedMem::read(self, usize::try_from(gpa).unwrap(), dst).map_err(|_| MemoryError { gpa, len })
    }
    fn write(&self, gpa: u64, src: &[u8]) -> Result<(), MemoryError> {
        let len = src.len();
        SharedMem::write(self, usize::try_from(gpa).unwrap(), src).map_err(|_| MemoryError { gpa, len })
    }
    fn load_u32(&self, gpa: u64) -> Result<u32, MemoryError> {
        Err(MemoryError { gpa, len: 4 })
    }
    fn store_u32(&self, gpa: u64, _: u32) -> Result<(), MemoryError> {
        Err(MemoryError { gpa, len: 4 })
    }
    fn fetch_or_u32(&self, gpa: u64, _: u32) -> Result<u32, MemoryError> {
        Err(MemoryError { gpa, len: 4 })
    }
}

/// A network that keeps what it is given.
pub(crate) struct Net {
    pub(crate) frames: RefCell<Vec<(Vec<u8>, TransmitInfo)>>,
    pub(crate) link: Cell<bool>,
    pub(crate) ready: Cell<bool>,
    pub(crate) drops: Cell<bool>,
}

impl Net {
    pub(crate) fn take(&self) -> Vec<Vec<u8>> {
        self.frames
            .borrow_mut()
            .drain(..)
            .map(|(frame, _)| frame)
            .collect()
    }
}

impl NetBackend for Net {
    fn transmit(&self, frame: &[u8], info: &TransmitInfo) -> Transmitted {
        if self.drops.get() {
            return Transmitted::Dropped;
        }
        self.frames.borrow_mut().push((frame.to_vec(), *info));
        Transmitted::Sent
    }
    fn ready(&self, _: u16) -> bool {
        self.ready.get()
    }
    fn link_up(&self) -> bool {
        self.link.get()
    }
}

pub(crate) type Ring<const WORDS: usize> = &'static ArrayRing<WORDS>;
pub(crate) type HostQueue<const WORDS: usize, B = Mem> = Queue<Ring<WORDS>, B, SECTIONS>;

/// A frame as the driver got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) data: Vec<u8>,
    pub(crate) ppi: Vec<u8>,
}

/// The guest's end of one channel.
pub(crate) struct GuestChannel<const WORDS: usize> {
    pub(crate) rings: RingPair<Ring<WORDS>>,
    /// Transactions that the host has completed, with the payload.
    pub(crate) completed: VecDeque<(u64, Vec<u8>)>,
    /// Messages of the host's own.
    pub(crate) messages: VecDeque<Vec<u8>>,
    pub(crate) frames: VecDeque<Got>,
    pub(crate) replies: VecDeque<Vec<u8>>,
    pub(crate) indications: VecDeque<(RndisStatus, Vec<u8>)>,
    /// Receive completions that are not sent.
    pub(crate) held: VecDeque<u64>,
    pub(crate) hold: bool,
    /// Status of receive completions.
    pub(crate) verdict: Status,
    pub(crate) signals: usize,
}

pub(crate) fn channel<const WORDS: usize, B: SharedMem>(
    index: u16,
) -> (HostQueue<WORDS, B>, GuestChannel<WORDS>) {
    let halves = Halves {
        to_host: &*Box::leak(Box::new(ArrayRing::<WORDS>::new())),
        to_guest: &*Box::leak(Box::new(ArrayRing::<WORDS>::new())),
    };
    let guest = GuestChannel {
        rings: RingPair::guest(halves).unwrap(),
        completed: VecDeque::new(),
        messages: VecDeque::new(),
        frames: VecDeque::new(),
        replies: VecDeque::new(),
        indications: VecDeque::new(),
        held: VecDeque::new(),
        hold: false,
        verdict: Status::SUCCESS,
        signals: 0,
    };
    (Queue::new(index, RingPair::host(halves).unwrap()), guest)
}

impl<const WORDS: usize> GuestChannel<WORDS> {
    pub(crate) fn write(
        &mut self,
        descriptor: Descriptor<'_>,
        transaction_id: u64,
        request_completion: bool,
        payload: &[u8],
    ) -> Result<(), WriteError> {
        let outgoing = Outgoing {
            transaction_id,
            request_completion,
            descriptor,
            payload: &[payload],
        };
        self.rings.outgoing.write(&outgoing).map(|_| ())
    }

    pub(crate) fn in_band(&mut self, transaction_id: u64, request_completion: bool, payload: &[u8]) {
        self.write(Descriptor::InBand, transaction_id, request_completion, payload)
            .unwrap();
    }

    /// Linux sends every message with 40 bytes, whatever the version.
    pub(crate) fn message(
        &mut self,
        transaction_id: u64,
        request_completion: bool,
        message: &GuestMessage<'_>,
    ) {
        let mut bytes = [0; 512];
        let bytes = message.encode(Version::V6_1, &mut bytes).unwrap();
        self.in_band(transaction_id, request_completion, bytes);
    }

    /// Returns what the host gave, with 8 bytes as Linux does.
    pub(crate) fn return_sections(&mut self, transaction_id: u64) {
        let payload = [108_u32.to_le_bytes(), self.verdict.value().to_le_bytes()].concat();
        if self
            .write(Descriptor::Completion, transaction_id, false, &payload)
            .is_err()
        {
            self.held.push_back(transaction_id);
        }
    }

    /// Sends receive completions that are held, as many as fit.
    pub(crate) fn return_held(&mut self) {
        for _ in 0..self.held.len() {
            let id = self.held.pop_front().unwrap();
            self.return_sections(id);
        }
    }

    /// Takes everything that the host has sent.
    pub(crate) fn poll(&mut self, receive: &Mem) {
        let mut scratch = vec![0; 16384];
        while let Some(packet) = self.rings.incoming.read(&mut scratch).unwrap() {
            let id = packet.transaction_id();
            match packet.kind() {
                PacketType::COMPLETION => self.completed.push_back((id, packet.payload().to_vec())),
                PacketType::IN_BAND => self.messages.push_back(packet.payload().to_vec()),
                PacketType::TRANSFER_PAGES => {
                    assert_eq!(packet.transfer_set_id().unwrap(), nvsp::RECEIVE_BUFFER_ID);
                    assert!(packet.wants_completion());
                    let ranges: Vec<TransferPageRange> = packet.transfer_ranges().unwrap().to_vec();
                    let message = HostMessage::decode(packet.payload(), Version::V6_1).unwrap();
                    let HostMessage::SendRndisPacket(message) = message else {
                        panic!("{message}")
                    };
                    assert_eq!(message.section_index.get(), NO_SECTION);
                    for range in ranges {
                        self.take_range(receive, &range, message.channel_type);
                    }
                    if self.hold {
                        self.held.push_back(id);
                    } else {
                        self.return_sections(id);
                    }
                }
                kind => panic!("packet type {kind}"),
            }
        }
        if self.rings.incoming.release().is_needed() {
            self.signals += 1;
        }
        let _ = self.rings.incoming.unmask_interrupts();
    }

    fn take_range(&mut self, receive: &Mem, range: &TransferPageRange, channel_type: ChannelType) {
        let mut bytes = vec![0; usize::try_from(range.byte_count.get()).unwrap()];
        SharedMem::read(
            receive,
            usize::try_from(range.byte_offset.get()).unwrap(),
            &mut bytes,
        )
        .unwrap();
        let message = rndis_message::HostMessage::decode(&bytes).unwrap();
        if let rndis_message::HostMessage::IndicateStatus(status, info) = message {
            self.indications.push_back((status.status, info.to_vec()));
            return;
        }
        if channel_type == ChannelType::CONTROL {
            self.replies.push_back(bytes);
            return;
        }
        let rndis_message::HostMessage::Packet(PacketMessage { ppi, data }) = message else {
            panic!("{message}")
        };
        // Linux loops for ever over a record that is not right.
        assert!(PpiWalk::new(ppi).all(|record| record.is_ok()));
        self.frames.push_back(Got {
            data: data.to_vec(),
            ppi: ppi.to_vec(),
        });
    }
}

/// NIC and driver.
pub(crate) struct Rig<const WORDS: usize = 4096> {
    pub(crate) nic: Nic,
    pub(crate) net: Rc<Net>,
    pub(crate) queues: Vec<HostQueue<WORDS>>,
    pub(crate) guest: Vec<GuestChannel<WORDS>>,
    pub(crate) ram: Mem,
    pub(crate) receive: Mem,
    pub(crate) send: Mem,
    pub(crate) budget: usize,
    pub(crate) next_id: u64,
    pub(crate) request_id: u32,
    pub(crate) refused: Vec<Refusal>,
    /// Sub-channels that the NIC asked to be offered.
    pub(crate) offered: u16,
    pub(crate) version: Version,
}

impl<const WORDS: usize> Rig<WORDS> {
    /// A NIC whose primary channel was just opened.
    pub(crate) fn new(config: NicConfig) -> Self {
        let (queue, guest) = channel(0);
        Self {
            nic: Nic::new(config).unwrap(),
            net: Rc::new(Net {
                frames: RefCell::default(),
                link: Cell::new(true),
                ready: Cell::new(true),
                drops: Cell::new(false),
            }),
            queues: vec![queue],
            guest: vec![guest],
            ram: Mem::new(1 << 20),
            receive: Mem::new(1 << 20),
            send: Mem::new(16 * 6144),
            budget: 64,
            next_id: 0x1000,
            request_id: 1,
            refused: Vec::new(),
            offered: 0,
            version: Version::V6_1,
        }
    }

    /// As Linux has it after bringing the interface up.
    pub(crate) fn up(config: NicConfig) -> Self {
        let mut rig = Self::new(config);
        rig.connect();
        rig.initialize();
        rig.set_filter(PacketFilter::DIRECTED | PacketFilter::BROADCAST | PacketFilter::ALL_MULTICAST);
        rig
    }

    pub(crate) fn serve_once(&mut self, index: usize) -> Result<Outcome, Fault> {
        let mut packet = vec![0; PACKET_SCRATCH_LEN];
        let mut transfer = vec![0; self.nic.config().transfer_scratch_len()];
        let mut scratch = Scratch {
            packet: &mut packet,
            transfer: &mut transfer,
        };
        let queue = &mut self.queues[index];
        let outcome = if index == 0 {
            self.nic
                .service(queue, &self.ram, &*self.net, &mut scratch, self.budget)
        } else {
            queue.service(&self.ram, &*self.net, &mut scratch, self.budget)
        }?;
        self.refused.extend(outcome.refused);
        Ok(outcome)
    }

    /// What an embedder's thread does when it is woken.
    pub(crate) fn serve(&mut self, index: usize) -> Result<(), Fault> {
        for _ in 0..1000 {
            let outcome = self.serve_once(index)?;
            let events = self.events();
            if !outcome.again && !events {
                return Ok(());
            }
        }
        panic!("the host is busy for ever");
    }

    pub(crate) fn events(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.nic.poll_event() {
            any = true;
            match event {
                Event::MapReceiveBuffer(gpadl) => {
                    assert_eq!(gpadl, GpadlId::new(RECEIVE_GPADL));
                    if let Some(layout) = self.nic.receive_buffer_mapped(SharedMem::len(&self.receive)) {
                        self.queues[0].lend_receive_buffer(self.receive.clone(), layout);
                    }
                }
                Event::MapSendBuffer(gpadl) => {
                    assert_eq!(gpadl, GpadlId::new(SEND_GPADL));
                    if let Some(layout) = self.nic.send_buffer_mapped(SharedMem::len(&self.send)) {
                        self.queues[0].lend_send_buffer(self.send.clone(), layout);
                    }
                }
                Event::ReleaseReceiveBuffer => {
                    for queue in &mut self.queues[1..] {
                        queue.take_receive_buffer();
                    }
                    self.nic.receive_buffer_released();
                }
                Event::ReleaseSendBuffer => {
                    for queue in &mut self.queues[1..] {
                        queue.take_send_buffer();
                    }
                    self.nic.send_buffer_released();
                }
                Event::OfferSubchannels(count) => self.offered = count,
                Event::DataPathChanged => {
                    for queue in &mut self.queues[1..] {
                        queue.set_data_path(self.nic.data_path());
                    }
                }
                event => panic!("{event:?}"),
            }
        }
        any
    }

    /// Both ends until nothing moves.
    pub(crate) fn run(&mut self) {
        for _ in 0..3 {
            for index in 0..self.queues.len() {
                self.serve(index).unwrap();
                self.guest[index].poll(&self.receive);
                self.serve(index).unwrap();
            }
        }
    }

    /// The guest opens a sub-channel that was offered.
    pub(crate) fn open_subchannel(&mut self) {
        let index = u16::try_from(self.queues.len()).unwrap();
        let (mut queue, guest) = channel(index);
        queue.lend_receive_buffer(self.receive.clone(), self.nic.receive_layout().unwrap());
        queue.lend_send_buffer(self.send.clone(), self.nic.send_layout().unwrap());
        queue.set_data_path(self.nic.data_path());
        self.queues.push(queue);
        self.guest.push(guest);
        self.nic.set_open_queues(index + 1);
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Sends a message on the primary channel and waits for its completion.
    pub(crate) fn ask(&mut self, message: &GuestMessage<'_>) -> Vec<u8> {
        let id = self.id();
        self.guest[0].message(id, true, message);
        self.run();
        self.completion(0, id).expect("no completion")
    }

    pub(crate) fn tell(&mut self, message: &GuestMessage<'_>) {
        let id = self.id();
        self.guest[0].message(id, false, message);
        self.run();
    }

    pub(crate) fn completion(&mut self, channel: usize, id: u64) -> Option<Vec<u8>> {
        let completed = &mut self.guest[channel].completed;
        let at = completed.iter().position(|(completed, _)| *completed == id)?;
        completed.remove(at).map(|(_, payload)| payload)
    }

    pub(crate) fn host_message(payload: &[u8]) -> HostMessage<'_> {
        // Linux drops what is shorter.
        assert!(payload.len() >= 28, "{} bytes", payload.len());
        HostMessage::decode(payload, Version::V6_1).unwrap()
    }

    pub(crate) fn init(&mut self, version: Version) -> Status {
        let payload = self.ask(&GuestMessage::Init(nvsp::Init {
            min_version: version,
            max_version: version,
        }));
        match Self::host_message(&payload) {
            HostMessage::InitComplete(complete) => complete.status,
            other => panic!("{other}"),
        }
    }

    /// Negotiates as `netvsc_connect_vsp` does, from the highest version down, and lends both buffers.
    pub(crate) fn connect(&mut self) {
        let mut versions = [
            Version::V6_1,
            Version::V6,
            Version::V5,
            Version::V4,
            Version::V2,
            Version::V1,
        ]
        .into_iter();
        self.version = versions
            .find(|version| self.init(*version) == Status::SUCCESS)
            .unwrap();
        if self.version > Version::V1 {
            let capabilities =
                NdisCapabilities::IEEE_8021Q | NdisCapabilities::SRIOV | NdisCapabilities::TEAMING;
            self.tell(&GuestMessage::SendNdisConfig(nvsp::SendNdisConfig {
                mtu: 1514.into(),
                reserved: 0.into(),
                capabilities: capabilities.bits().into(),
            }));
        }
        let minor = if self.version < Version::V5 { 1 } else { 30 };
        self.tell(&GuestMessage::SendNdisVersion(nvsp::SendNdisVersion {
            major: 6.into(),
            minor: minor.into(),
        }));
        self.lend_buffers();
    }

    pub(crate) fn lend_buffers(&mut self) {
        let buffer = |gpadl, id: u16| nvsp::SendBuffer {
            gpadl: GpadlId::new(gpadl),
            id: id.into(),
        };
        let payload = self.ask(&GuestMessage::SendReceiveBuffer(buffer(
            RECEIVE_GPADL,
            nvsp::RECEIVE_BUFFER_ID,
        )));
        let HostMessage::SendReceiveBufferComplete(complete) = Self::host_message(&payload) else {
            panic!()
        };
        assert_eq!(complete.status, Status::SUCCESS);
        assert_eq!(
            (complete.section_count.get(), complete.section.offset.get()),
            (1, 0)
        );
        let (size, count) = (
            complete.section.part_size.get(),
            complete.section.part_count.get(),
        );
        // As `netvsc_init_buf` has it.
        assert!(size >= 68 && u64::from(size) * u64::from(count) <= SharedMem::len(&self.receive) as u64);
        let payload = self.ask(&GuestMessage::SendSendBuffer(buffer(
            SEND_GPADL,
            nvsp::SEND_BUFFER_ID,
        )));
        let HostMessage::SendSendBufferComplete(complete) = Self::host_message(&payload) else {
            panic!()
        };
        assert_eq!(
            (complete.status, complete.section_size.get()),
            (Status::SUCCESS, 6144)
        );
    }

    /// Puts bytes into pages of the guest, beginning at `gpa`, and sends them as a GPA direct packet, one range for
    /// each page as Linux does.
    pub(crate) fn send_pages(
        &mut self,
        channel: usize,
        id: u64,
        channel_type: ChannelType,
        section: (u32, u32),
        bytes: &[u8],
    ) {
        let gpa = 0x3f00_u64;
        GuestMemory::write(&self.ram, gpa, bytes).unwrap();
        let mut pfns = Vec::new();
        let (mut at, mut left) = (gpa, bytes.len());
        let mut spans = Vec::new();
        while left > 0 {
            let offset = at % 4096;
            let len = left.min(usize::try_from(4096 - offset).unwrap());
            pfns.push(U64::new(at / 4096));
            spans.push((u32::try_from(offset).unwrap(), u32::try_from(len).unwrap()));
            at += len as u64;
            left -= len;
        }
        let ranges: Vec<_> = spans
            .iter()
            .zip(pfns.chunks(1))
            .map(|((offset, len), pfn)| GpaRange::new(*offset, *len, pfn).unwrap())
            .collect();
        let payload = rndis_packet(channel_type, section.0, section.1);
        self.guest[channel]
            .write(Descriptor::GpaDirect(&ranges), id, true, &payload)
            .unwrap();
    }

    /// Sends a control message and returns the status of its NVSP completion.
    pub(crate) fn control(&mut self, bytes: &[u8]) -> Status {
        let id = self.id();
        self.send_pages(0, id, ChannelType::CONTROL, (NO_SECTION, 0), bytes);
        self.run();
        self.transfer_status(0, id)
    }

    pub(crate) fn transfer_status(&mut self, channel: usize, id: u64) -> Status {
        let payload = self.completion(channel, id).expect("no completion");
        match Self::host_message(&payload) {
            HostMessage::SendRndisPacketComplete(complete) => complete.status,
            other => panic!("{other}"),
        }
    }

    pub(crate) fn request(&mut self, message: &rndis_message::GuestMessage<'_>) -> Vec<u8> {
        let mut bytes = [0; 2048];
        let bytes = message.encode(&mut bytes).unwrap().to_vec();
        assert_eq!(self.control(&bytes), Status::SUCCESS);
        self.guest[0].replies.pop_front().expect("no answer")
    }

    /// `rndis_filter_init_device`.
    pub(crate) fn initialize(&mut self) -> rndis::InitializeComplete {
        self.request_id += 1;
        let request = rndis::InitializeRequest {
            request_id: self.request_id.into(),
            major_version: 1.into(),
            minor_version: 0.into(),
            max_transfer_size: 0x4000.into(),
        };
        let reply = self.request(&rndis_message::GuestMessage::Initialize(request));
        match rndis_message::HostMessage::decode(&reply).unwrap() {
            rndis_message::HostMessage::InitializeComplete(complete) => {
                assert_eq!(complete.request_id.get(), self.request_id);
                assert_eq!(complete.status, RndisStatus::SUCCESS);
                complete
            }
            other => panic!("{other}"),
        }
    }

    pub(crate) fn query(&mut self, oid: Oid) -> Result<Vec<u8>, RndisStatus> {
        self.request_id += 1;
        let request = rndis::OidRequest {
            request_id: self.request_id.into(),
            oid,
            ..Default::default()
        };
        let reply = self.request(&rndis_message::GuestMessage::Query(request, &[]));
        match rndis_message::HostMessage::decode(&reply).unwrap() {
            rndis_message::HostMessage::QueryComplete(complete, info) => {
                assert_eq!(complete.request_id.get(), self.request_id);
                assert!(complete.info_offset.get() >= 16);
                if complete.status == RndisStatus::SUCCESS {
                    Ok(info.to_vec())
                } else {
                    Err(complete.status)
                }
            }
            other => panic!("{other}"),
        }
    }

    pub(crate) fn query_u32(&mut self, oid: Oid) -> u32 {
        u32::from_le_bytes(self.query(oid).unwrap().try_into().unwrap())
    }

    pub(crate) fn set(&mut self, oid: Oid, info: &[u8]) -> RndisStatus {
        self.request_id += 1;
        let request = rndis::OidRequest {
            request_id: self.request_id.into(),
            oid,
            ..Default::default()
        };
        let reply = self.request(&rndis_message::GuestMessage::Set(request, info));
        match rndis_message::HostMessage::decode(&reply).unwrap() {
            rndis_message::HostMessage::SetComplete(complete) => {
                assert_eq!(complete.request_id.get(), self.request_id);
                complete.status
            }
            other => panic!("{other}"),
        }
    }

    pub(crate) fn set_filter(&mut self, filter: PacketFilter) {
        let status = self.set(Oid::GEN_CURRENT_PACKET_FILTER, &filter.bits().to_le_bytes());
        assert_eq!(status, RndisStatus::SUCCESS);
    }

    /// Sends packet messages by a section of the send buffer, and returns the completion's status.
    pub(crate) fn send_section(&mut self, channel: usize, section: u32, bytes: &[u8]) -> Status {
        let id = self.id();
        self.post_section(channel, id, section, bytes);
        self.run();
        self.transfer_status(channel, id)
    }

    pub(crate) fn post_section(&mut self, channel: usize, id: u64, section: u32, bytes: &[u8]) {
        SharedMem::write(&self.send, usize::try_from(section).unwrap() * 6144, bytes).unwrap();
        let payload = rndis_packet(ChannelType::DATA, section, u32::try_from(bytes.len()).unwrap());
        self.guest[channel].in_band(id, true, &payload);
    }

    /// Halts and gives the buffers back as `rndis_filter_device_remove` does.
    pub(crate) fn remove(&mut self) {
        let halt = rndis::HaltRequest {
            request_id: 99.into(),
        };
        let mut bytes = [0; 16];
        let bytes = rndis_message::GuestMessage::Halt(halt)
            .encode(&mut bytes)
            .unwrap()
            .to_vec();
        assert_eq!(self.control(&bytes), Status::SUCCESS);
        let revoke = |id: u16| nvsp::RevokeBuffer { id: id.into() };
        self.tell(&GuestMessage::RevokeReceiveBuffer(revoke(
            nvsp::RECEIVE_BUFFER_ID,
        )));
        self.tell(&GuestMessage::RevokeSendBuffer(revoke(nvsp::SEND_BUFFER_ID)));
    }

    /// The channels are closed, and the primary one opened again.
    pub(crate) fn reopen(&mut self) {
        self.nic.reset();
        let (queue, guest) = channel(0);
        self.queues = vec![queue];
        self.guest = vec![guest];
    }
}

pub(crate) fn rndis_packet(channel_type: ChannelType, section: u32, size: u32) -> Vec<u8> {
    let message = GuestMessage::SendRndisPacket(nvsp::SendRndisPacket {
        channel_type,
        section_index: section.into(),
        section_size: size.into(),
    });
    let mut bytes = [0; 64];
    message.encode(Version::V6_1, &mut bytes).unwrap().to_vec()
}

/// A packet message, padded to a multiple of 8 as Linux pads all but the last of a transfer.
pub(crate) fn packet(ppi: &[u8], frame: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 44 + ppi.len() + frame.len()];
    let message = rndis_message::GuestMessage::Packet(PacketMessage { ppi, data: frame });
    message.encode(&mut bytes).unwrap();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let len = u32::try_from(bytes.len()).unwrap();
    bytes[4..8].copy_from_slice(&len.to_le_bytes());
    assert!(Framed::split(&bytes).unwrap().rest.is_empty());
    bytes
}

/// A frame of `len` bytes to `destination`, of which each byte tells its place and `tag`.
pub(crate) fn frame(destination: MacAddress, tag: u8, len: usize) -> Vec<u8> {
    let mut frame = destination.0.to_vec();
    frame.extend([2, 0, 0, 0, 0, tag, 0x88, 0xb5]);
    frame.extend((14..len).map(|at| u8::try_from(at % 251).unwrap() ^ tag));
    frame
}
