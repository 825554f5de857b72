//! A guest that sends any NVSP and RNDIS, on the primary channel and one sub-channel, and changes its memory while it
//! is served.

use std::cell::Cell;

use netvsc_proto::host::{
    Checksums, Event, Fault, MacAddress, NetBackend, Nic, NicConfig, Offloads, Outcome, PACKET_SCRATCH_LEN,
    Queue, ReceiveError, ReceiveInfo, Received, Scratch, Spreader, TransmitInfo, Transmitted,
};
use netvsc_proto::wire::nvsp::{
    ChannelType, DataPath, Init, OidQueryEx, RevokeBuffer, SendBuffer, SendNdisConfig, SendNdisVersion,
    SendRndisPacket, SendRndisPacketComplete, Status, SubchannelOperation, SubchannelRequest, SwitchDataPath,
    Version,
};
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use netvsc_proto::wire::packet_direct::PdRequest;
use netvsc_proto::wire::ppi::{PpiWalk, ReceiveChecksums, Vlan};
use netvsc_proto::wire::rndis::PacketFilter;
use netvsc_proto::wire::rndis_message;
use vmbus_proto::wire::GpadlId;
use vmbus_ringbuf::wire::PacketType;

use super::Region;
use super::rndis::Rndis;
use crate::channel::{Asked, Disturb, Line, Lists, Mangle};
use crate::input::{Bytes, Steps};
use crate::memory::{Hostile, Kind, Poke, Ram};
use crate::steps;

const SECTIONS: usize = 32;
const RAM: usize = 0x1_0000;
/// Where an RNDIS message is put before it is sent from the guest's pages: from page 2 on.
const MESSAGE: usize = 0x2000;

steps! {
    /// Where an RNDIS message stands.
    pub enum Place {
        /// In the guest's pages, with so many bytes in the first range.
        Pages(offset: u16),
        /// In a section of the send buffer.
        Section(index: u8),
        /// Wherever it is said to be.
        Said(section: u32, size: u32, lists: Lists),
    }
}

steps! {
    /// What a guest sends.
    pub enum Content {
        Raw(bytes: Bytes),
        Init(least: u32, most: u32),
        /// One that there is.
        Version(index: u8),
        NdisVersion(major: u8, minor: u8),
        NdisConfig(mtu: u32, capabilities: u8),
        LendReceive(id: u16),
        LendSend(id: u16),
        RevokeReceive(id: u16),
        RevokeSend(id: u16),
        Rndis(control: bool, place: Place, rndis: Rndis),
        SwitchDataPath(active: u32),
        Subchannels(operation: u8, count: u16),
        OidQuery(oid: u32),
        PacketDirect(operation: u32),
        Complete(status: u8),
    }
}

steps! {
    pub struct Packet {
        pub sub_channel: bool,
        pub id: u16,
        pub wants_completion: bool,
        pub lists: Lists,
        pub content: Content,
        pub mangle: Mangle,
    }
}

steps! {
    /// What the guest does, or the embedder.
    pub enum Step {
        Send(packet: Packet),
        Disturb(sub_channel: bool, disturb: Disturb),
        Poke(poke: Poke),
        /// The guest takes a packet, and returns the sections in it or keeps them.
        Receive(sub_channel: bool, give_back: bool),
        /// It returns those that it kept.
        Return(sub_channel: bool, which: u8),
        Serve(sub_channel: bool, budget: u8),
        /// The network has a frame.
        Frame(sub_channel: bool, destination: u8, frame: Bytes, checksums: u8, vlan: Option<u16>),
        Flush(sub_channel: bool),
        Link(up: bool),
        Speed(speed: u32),
        Ready(ready: bool),
        Mtu(mtu: u16),
        /// The embedder refuses the buffers that the guest lends from now on, or maps so many pages.
        Buffers(pages: u8),
        /// All channels are closed and opened again.
        Reset,
    }
}

impl crate::input::Seed for Option<u16> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
}

steps! {
    pub struct Input {
        pub kind: Kind,
        pub offloads: bool,
        /// Brought up as Linux does before the steps.
        pub up: bool,
        pub steps: Steps<Step>,
    }
}

struct Net {
    ready: Cell<bool>,
    link: Cell<bool>,
    frames: Cell<usize>,
    largest: usize,
}

impl NetBackend for Net {
    fn transmit(&self, frame: &[u8], _: &TransmitInfo) -> Transmitted {
        assert!(self.ready.get(), "not ready");
        assert!(frame.len() >= 14 && frame.len() <= self.largest);
        self.frames.set(self.frames.get() + 1);
        Transmitted::Sent
    }

    fn ready(&self, _: u16) -> bool {
        self.ready.get()
    }

    fn link_up(&self) -> bool {
        self.link.get()
    }
}

/// One channel: both ends, and what the guest knows.
struct Channel {
    line: Line,
    queue: Queue<Hostile, Region, SECTIONS>,
    asked: Asked,
    /// Receive packets that the guest has and did not return.
    held: Vec<u64>,
    fault: Option<Fault>,
}

struct Model {
    kind: Kind,
    nic: Nic,
    net: Net,
    channels: [Channel; 2],
    ram: Ram,
    receive: Region,
    send: Region,
    packet: Vec<u8>,
    transfer: Vec<u8>,
    /// Pages that the embedder maps of the buffers.
    mapped: usize,
}

impl Channel {
    fn new(kind: &Kind, index: u16) -> Self {
        let (line, rings) = Line::host(kind);
        Self {
            line,
            queue: Queue::new(index, rings),
            asked: Asked::default(),
            held: Vec::new(),
            fault: None,
        }
    }

    fn judge<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        match result {
            Ok(value) => {
                assert_eq!(self.fault, None, "a fault is forgotten");
                Some(value)
            }
            Err(fault) => {
                assert_eq!(*self.fault.get_or_insert(fault), fault, "sticky");
                None
            }
        }
    }
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        let mut config = NicConfig {
            max_queues: 2,
            sections_per_queue: SECTIONS as u16,
            mac_may_change: true,
            ..NicConfig::new(MacAddress([2, 0, 0, 0, 0, 1]))
        };
        if self.offloads {
            config.offloads = Offloads {
                transmit: Checksums::ALL,
                receive: Checksums::ALL,
                large_send_ipv4: 8000,
                large_send_ipv6: 4000,
                vlan: true,
            };
        }
        // Netvsc wants a ring of a page at least.
        let kind = match self.kind {
            Kind::Small => Kind::PageList,
            kind => kind,
        };
        let mut model = Model {
            nic: Nic::new(config).expect("a good configuration"),
            net: Net {
                ready: Cell::new(true),
                link: Cell::new(true),
                frames: Cell::new(0),
                largest: 0x1_0000,
            },
            channels: [Channel::new(&kind, 0), Channel::new(&kind, 1)],
            kind,
            ram: Ram::new(0, RAM),
            receive: Region::new(28 * 4096),
            send: Region::new(8 * 4096),
            packet: vec![0; PACKET_SCRATCH_LEN],
            transfer: vec![0; config.transfer_scratch_len()],
            mapped: usize::MAX,
        };
        if self.up {
            model.bring_up();
        }
        for step in self.steps {
            model.step(step);
            model.check();
        }
        model.finish();
    }
}

impl Content {
    fn bytes(&self, said: SendRndisPacket) -> Vec<u8> {
        let buffer = |id: &u16| SendBuffer {
            gpadl: GpadlId::new(u32::from(*id)),
            id: (*id).into(),
        };
        let revoke = |id: &u16| RevokeBuffer { id: (*id).into() };
        let message = match self {
            Self::Raw(bytes) => return bytes.0.clone(),
            Self::Init(least, most) => GuestMessage::Init(Init {
                min_version: Version::new(*least),
                max_version: Version::new(*most),
            }),
            Self::Version(index) => {
                let version = Version::NAMED[usize::from(*index) % Version::NAMED.len()];
                GuestMessage::Init(Init {
                    min_version: version,
                    max_version: version,
                })
            }
            Self::NdisVersion(major, minor) => GuestMessage::SendNdisVersion(SendNdisVersion {
                major: u32::from(*major).into(),
                minor: u32::from(*minor).into(),
            }),
            Self::NdisConfig(mtu, capabilities) => GuestMessage::SendNdisConfig(SendNdisConfig {
                mtu: (*mtu).into(),
                reserved: 0.into(),
                capabilities: u64::from(*capabilities).into(),
            }),
            Self::LendReceive(id) => GuestMessage::SendReceiveBuffer(buffer(id)),
            Self::LendSend(id) => GuestMessage::SendSendBuffer(buffer(id)),
            Self::RevokeReceive(id) => GuestMessage::RevokeReceiveBuffer(revoke(id)),
            Self::RevokeSend(id) => GuestMessage::RevokeSendBuffer(revoke(id)),
            Self::Rndis(..) => GuestMessage::SendRndisPacket(said),
            Self::SwitchDataPath(active) => GuestMessage::SwitchDataPath(SwitchDataPath {
                active: DataPath::new(*active),
            }),
            Self::Subchannels(operation, count) => GuestMessage::Subchannel(SubchannelRequest {
                operation: SubchannelOperation::new(u32::from(*operation)),
                count: u32::from(*count).into(),
            }),
            Self::OidQuery(oid) => GuestMessage::OidQueryEx(OidQueryEx {
                oid: netvsc_proto::wire::oid::Oid::new(*oid),
                ..Default::default()
            }),
            Self::PacketDirect(operation) => GuestMessage::PdApi(PdRequest {
                operation: netvsc_proto::wire::packet_direct::PdOperation::new(*operation),
                ..Default::default()
            }),
            Self::Complete(status) => GuestMessage::SendRndisPacketComplete(SendRndisPacketComplete {
                status: Status::new(u32::from(*status)),
            }),
        };
        let mut out = [0; 512];
        message.encode(Version::V6_1, &mut out).expect("room").to_vec()
    }
}

impl Model {
    /// As Linux does, with as much as there is.
    fn bring_up(&mut self) {
        let mut id = 0x8000;
        let mut send = |model: &mut Self, content: Content| {
            id += 1;
            model.step(Step::Send(Packet {
                sub_channel: false,
                id,
                wants_completion: true,
                lists: Lists::Nothing,
                content,
                mangle: Mangle::Nothing,
            }));
            model.serve(0, 16);
            model.serve(0, 16);
            while model.receive(0, true) {}
            model.serve(0, 16);
        };
        let control = |content| {
            Content::Rndis(
                true,
                Place::Pages(0),
                Rndis {
                    content,
                    mangle: Mangle::Nothing,
                },
            )
        };
        use super::rndis::{Content as R, WhichOid};
        let named = |oid: netvsc_proto::wire::oid::Oid| WhichOid::Raw(oid.value());
        let filter = PacketFilter::DIRECTED | PacketFilter::BROADCAST | PacketFilter::ALL_MULTICAST;
        for content in [
            Content::Init(Version::V6_1.value(), Version::V6_1.value()),
            Content::NdisConfig(1514, 0x7f),
            Content::NdisVersion(6, 30),
            Content::LendReceive(0xcafe),
            Content::LendSend(0),
            control(R::Initialize(1, 1)),
            Content::Subchannels(1, 1),
            control(R::Set(
                2,
                named(netvsc_proto::wire::oid::Oid::GEN_CURRENT_PACKET_FILTER),
                Bytes(filter.bits().to_le_bytes().to_vec()),
            )),
        ] {
            send(self, content);
        }
        assert!(self.nic.data_path().initialized && self.nic.receive_layout().is_some());
        assert!(self.channels[0].asked.is_empty());
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send(packet) => self.send(&packet),
            Step::Disturb(sub, disturb) => self.channels[usize::from(sub)].line.disturb(disturb),
            Step::Poke(poke) => self.ram.later(poke),
            Step::Receive(sub, give_back) => {
                self.receive(sub.into(), give_back);
            }
            Step::Return(sub, which) => {
                let channel = &mut self.channels[usize::from(sub)];
                if !channel.held.is_empty() {
                    let which = usize::from(which) % channel.held.len();
                    give_back(channel, which);
                }
            }
            Step::Serve(sub, budget) => {
                self.serve(sub.into(), budget.into());
            }
            Step::Frame(sub, destination, frame, checksums, vlan) => {
                self.frame(sub.into(), destination, &frame.0, checksums, vlan);
            }
            Step::Flush(sub) => {
                let channel = &mut self.channels[usize::from(sub)];
                let result = channel.queue.flush();
                channel.judge(result);
            }
            Step::Link(up) => self.net.link.set(up),
            Step::Speed(speed) => self.nic.set_link_speed(speed.into()),
            Step::Ready(ready) => self.net.ready.set(ready),
            Step::Mtu(mtu) => {
                let result = self.nic.set_mtu(mtu.into());
                assert_eq!(result.is_ok(), (576..=65521).contains(&mtu));
            }
            Step::Buffers(pages) => self.mapped = usize::from(pages) * 4096,
            Step::Reset => {
                // Frames of a larger MTU would want more scratch than there is.
                let _ = self.nic.set_mtu(1500);
                self.nic.reset();
                self.channels = [Channel::new(&self.kind, 0), Channel::new(&self.kind, 1)];
            }
        }
    }

    fn send(&mut self, packet: &Packet) {
        let mut said = SendRndisPacket::default();
        let mut lists = &packet.lists;
        let pages;
        if let Content::Rndis(control, place, rndis) = &packet.content {
            let bytes = rndis.bytes();
            let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
            said.channel_type = if *control {
                ChannelType::CONTROL
            } else {
                ChannelType::DATA
            };
            said.section_index = u32::MAX.into();
            match place {
                Place::Pages(offset) => {
                    let offset = offset % 4096;
                    self.ram.put(MESSAGE + usize::from(offset), &bytes);
                    pages = Lists::Memory(1, offset, len, (MESSAGE / 4096) as u8);
                    lists = &pages;
                }
                Place::Section(index) => {
                    self.send.put(usize::from(*index) * 6144, &bytes);
                    said.section_index = u32::from(*index).into();
                    said.section_size = u32::from(len).into();
                }
                Place::Said(section, size, elsewhere) => {
                    self.ram.put(MESSAGE, &bytes);
                    said.section_index = (*section).into();
                    said.section_size = (*size).into();
                    lists = elsewhere;
                }
            }
        }
        let mut payload = packet.content.bytes(said);
        packet.mangle.apply(&mut payload);
        let channel = &mut self.channels[usize::from(packet.sub_channel)];
        let id = u64::from(packet.id);
        let sent = channel.line.send(id, packet.wants_completion, lists, &payload);
        if sent && packet.wants_completion {
            channel.asked.ask(id);
        }
    }

    /// Whether to serve again.
    fn serve(&mut self, index: usize, budget: usize) -> bool {
        let channel = &mut self.channels[index];
        let mut scratch = Scratch {
            packet: &mut self.packet,
            transfer: &mut self.transfer,
        };
        let _ = channel.line.accesses();
        let result = if index == 0 {
            self.nic
                .service(&mut channel.queue, &self.ram, &self.net, &mut scratch, budget)
        } else {
            channel.queue.service(&self.ram, &self.net, &mut scratch, budget)
        };
        assert!(channel.line.accesses() <= 2048 + 128 * budget, "bounded work");
        let again = channel
            .judge(result)
            .is_some_and(|outcome: Outcome| outcome.again);
        self.events() || again
    }

    fn events(&mut self) -> bool {
        let mut any = false;
        while let Some(event) = self.nic.poll_event() {
            any = true;
            let [primary, sub] = &mut self.channels;
            match event {
                Event::MapReceiveBuffer(_) if self.mapped == 0 => self.nic.receive_buffer_refused(),
                Event::MapReceiveBuffer(_) => {
                    let len = vmbus_ringbuf::SharedMem::len(&self.receive).min(self.mapped);
                    if let Some(layout) = self.nic.receive_buffer_mapped(len) {
                        for queue in [&mut primary.queue, &mut sub.queue] {
                            queue.lend_receive_buffer(self.receive.clone(), layout);
                        }
                    }
                }
                Event::MapSendBuffer(_) if self.mapped == 0 => self.nic.send_buffer_refused(),
                Event::MapSendBuffer(_) => {
                    let len = vmbus_ringbuf::SharedMem::len(&self.send).min(self.mapped);
                    if let Some(layout) = self.nic.send_buffer_mapped(len) {
                        for queue in [&mut primary.queue, &mut sub.queue] {
                            queue.lend_send_buffer(self.send.clone(), layout);
                        }
                    }
                }
                Event::ReleaseReceiveBuffer => {
                    assert!(primary.queue.take_receive_buffer().is_none(), "given up already");
                    sub.queue.take_receive_buffer();
                    primary.held.clear();
                    sub.held.clear();
                    self.nic.receive_buffer_released();
                }
                Event::ReleaseSendBuffer => {
                    assert!(primary.queue.take_send_buffer().is_none(), "given up already");
                    sub.queue.take_send_buffer();
                    self.nic.send_buffer_released();
                }
                Event::OfferSubchannels(count) => {
                    assert!(count == 1);
                    self.nic.set_open_queues(2);
                }
                Event::DataPathChanged => sub.queue.set_data_path(self.nic.data_path()),
                event => panic!("{event:?}"),
            }
        }
        any
    }

    fn frame(&mut self, index: usize, destination: u8, frame: &[u8], checksums: u8, vlan: Option<u16>) {
        let path = self.nic.data_path();
        let mut bytes = match destination % 4 {
            0 => path.mac.0.to_vec(),
            1 => vec![0xff; 6],
            2 => vec![1, 0, 0x5e, 0, 0, 1],
            _ => Vec::new(),
        };
        bytes.extend(frame);
        let spreader = Spreader::new(path);
        assert!(spreader.queue_for(&bytes) < path.open_queues.max(1));
        let info = ReceiveInfo {
            vlan: vlan.map(Vlan::from_tci),
            checksums: ReceiveChecksums::from_bits_retain(u32::from(checksums)),
            hash: spreader.hash(&bytes),
        };
        let channel = &mut self.channels[index];
        match channel.queue.receive(&bytes, &info) {
            Ok(Received::Staged) => assert_eq!(channel.fault, None),
            Ok(Received::Filtered) => {}
            Err(ReceiveError::Fault(fault)) => {
                channel.judge::<()>(Err(fault));
            }
            Err(_) => {}
        }
    }

    /// The guest takes a packet and judges it.
    fn receive(&mut self, index: usize, returns: bool) -> bool {
        let channel = &mut self.channels[index];
        let Some(received) = channel.line.receive() else {
            return false;
        };
        if channel.line.disturbed {
            return true;
        }
        let version = self.nic.version().unwrap_or_default();
        match received.kind {
            PacketType::COMPLETION => {
                assert!(
                    channel.asked.answer(received.id),
                    "nobody asked for {:#x}",
                    received.id
                );
            }
            PacketType::IN_BAND => {
                HostMessage::decode(&received.payload, version).expect("a message of a host's");
            }
            PacketType::TRANSFER_PAGES => {
                assert!(received.wants_completion);
                assert!(!received.ranges.is_empty());
                for range in &received.ranges {
                    let (at, len) = (range.byte_offset.get() as usize, range.byte_count.get() as usize);
                    let bytes = self.receive.bytes(at, len).expect("within the receive buffer");
                    match rndis_message::HostMessage::decode(&bytes) {
                        Ok(rndis_message::HostMessage::Packet(packet)) => {
                            assert!(PpiWalk::new(packet.ppi).all(|record| record.is_ok()));
                            assert!(packet.data.len() >= 14);
                        }
                        Ok(_) => assert_eq!(index, 0, "control messages are the primary channel's"),
                        Err(error) => panic!("{error}: {bytes:x?}"),
                    }
                }
                assert!(!channel.held.contains(&received.id), "sections given twice");
                channel.held.push(received.id);
                if returns {
                    let last = channel.held.len() - 1;
                    give_back(channel, last);
                }
            }
            kind => panic!("packet type {kind}"),
        }
        true
    }

    fn check(&self) {
        for channel in &self.channels {
            if channel.fault.is_none() {
                assert_eq!(channel.queue.fault(), None);
            }
            assert!(usize::from(channel.queue.outstanding()) <= SECTIONS);
        }
        let path = self.nic.data_path();
        assert!((1..=2).contains(&path.open_queues));
    }

    /// Whatever was sent, an honest end brings everything to its end.
    fn finish(&mut self) {
        self.net.ready.set(true);
        for index in [0, 1] {
            if self.channels[index].line.disturbed {
                continue;
            }
            for _ in 0..10_000 {
                let again = self.serve(index, 16);
                let received = self.receive(index, true);
                let channel = &mut self.channels[index];
                let returned = !channel.held.is_empty() && give_back(channel, 0);
                if !again && !received && !returned {
                    break;
                }
            }
            let channel = &self.channels[index];
            if channel.fault.is_none() {
                assert!(channel.asked.is_empty(), "not answered: {:?}", channel.asked);
                assert!(channel.held.is_empty() && channel.queue.outstanding() == 0);
            }
        }
    }
}

/// The guest returns what it holds, if there is room to say so.
fn give_back(channel: &mut Channel, which: usize) -> bool {
    let id = channel.held[which];
    let payload = Content::Complete(1).bytes(SendRndisPacket::default());
    let sent = channel.line.send(id, false, &Lists::Completion, &payload);
    if sent {
        channel.held.swap_remove(which);
    }
    sent
}
