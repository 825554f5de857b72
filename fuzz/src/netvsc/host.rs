//! A guest that sends any NVSP and RNDIS, on the primary channel and one sub-channel, and changes its memory while it
//! is served.

use netvsc_proto::host::{Fault, Queue, ReceiveError, ReceiveInfo, Received, Spreader};
use netvsc_proto::wire::nvsp::{SendRndisPacket, Version};
use netvsc_proto::wire::nvsp_message::HostMessage;
use netvsc_proto::wire::ppi::{PpiWalk, ReceiveChecksums, Vlan};
use netvsc_proto::wire::rndis::PacketFilter;
use netvsc_proto::wire::rndis_message;
use vmbus_ringbuf::wire::PacketType;

use super::guest_message::Place;
pub use super::guest_message::{Content, Packet};
use super::guest_rndis::Rndis;
use super::region::Region;
use super::vmm::{OFFLOADS, SECTIONS, Vmm, config};
use crate::channel::{Asked, Disturb, Line, Lists, Mangle, judge};
use crate::input::{Bytes, Steps};
use crate::memory::{Hostile, Kind, Poke, Ram};
use crate::steps;

const RAM: usize = 0x1_0000;

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

/// What became of the steps.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Frames that reached the network.
    pub transmitted: u64,
    /// Packets of the guest's that were refused.
    pub refused: u64,
    /// RNDIS messages that the guest got, frames among them.
    pub received: u64,
    /// A channel was poisoned.
    pub poisoned: bool,
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
    vmm: Vmm,
    channels: [Channel; 2],
    ram: Ram,
    outcome: Outcome,
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
        judge(&mut self.fault, result)
    }
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        self.play();
    }

    /// As [`run`](Self::run), and tells what became of them.
    pub fn play(self) -> Outcome {
        let mut config = config();
        if self.offloads {
            config.offloads = OFFLOADS;
        }
        // Netvsc wants a ring of a page at least.
        let kind = match self.kind {
            Kind::Small => Kind::PageList,
            kind => kind,
        };
        let mut model = Model {
            vmm: Vmm::new(config, Region::new(28 * 4096), Region::new(8 * 4096)),
            channels: [Channel::new(&kind, 0), Channel::new(&kind, 1)],
            kind,
            ram: Ram::new(0, RAM),
            outcome: Outcome::default(),
        };
        if self.up {
            model.bring_up();
        }
        for step in self.steps {
            model.step(step);
            model.check();
        }
        model.finish();
        model.outcome
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
        use super::guest_rndis::{Content as R, WhichOid};
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
        assert!(self.vmm.nic.data_path().initialized && self.vmm.nic.receive_layout().is_some());
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
            Step::Link(up) => self.vmm.net.link.set(up),
            Step::Speed(speed) => self.vmm.nic.set_link_speed(speed.into()),
            Step::Ready(ready) => self.vmm.net.ready.set(ready),
            Step::Mtu(mtu) => {
                let result = self.vmm.nic.set_mtu(mtu.into());
                assert_eq!(result.is_ok(), (576..=65521).contains(&mtu));
            }
            Step::Buffers(pages) => self.vmm.mapped = usize::from(pages) * 4096,
            Step::Reset => {
                // Frames of a larger MTU would want more scratch than there is.
                let _ = self.vmm.nic.set_mtu(1500);
                self.vmm.nic.reset();
                self.channels = [Channel::new(&self.kind, 0), Channel::new(&self.kind, 1)];
            }
        }
    }

    fn send(&mut self, packet: &Packet) {
        let (lists, payload) = packet.place(&self.ram, &self.vmm.send);
        let channel = &mut self.channels[usize::from(packet.sub_channel)];
        let id = u64::from(packet.id);
        let sent = channel.line.send(id, packet.wants_completion, &lists, &payload);
        if sent && packet.wants_completion {
            channel.asked.ask(id);
        }
    }

    /// Whether to serve again.
    fn serve(&mut self, index: usize, budget: usize) -> bool {
        let channel = &mut self.channels[index];
        let _ = channel.line.accesses();
        let result = self.vmm.serve(&mut channel.queue, &self.ram, budget);
        assert!(channel.line.accesses() <= 2048 + 128 * budget, "bounded work");
        let served = channel.judge(result);
        self.outcome.poisoned |= served.is_none();
        self.outcome.refused += u64::from(served.is_some_and(|served| served.refused.is_some()));
        self.outcome.transmitted += self.vmm.net.frames[index].take().len() as u64;
        let again = served.is_some_and(|served| served.again);
        let [primary, sub] = &mut self.channels;
        let asked = self.vmm.events(&mut primary.queue, &mut sub.queue);
        if asked.released {
            primary.held.clear();
            sub.held.clear();
        }
        asked.any || again
    }

    fn frame(&mut self, index: usize, destination: u8, frame: &[u8], checksums: u8, vlan: Option<u16>) {
        let path = self.vmm.nic.data_path();
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
        let version = self.vmm.nic.version().unwrap_or_default();
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
                self.outcome.received += received.ranges.len() as u64;
                for range in &received.ranges {
                    let (at, len) = (range.byte_offset.get() as usize, range.byte_count.get() as usize);
                    let bytes = self
                        .vmm
                        .receive
                        .bytes(at, len)
                        .expect("within the receive buffer");
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
        let path = self.vmm.nic.data_path();
        assert!((1..=2).contains(&path.open_queues));
    }

    /// Whatever was sent, an honest end brings everything to its end.
    fn finish(&mut self) {
        self.vmm.net.ready.set(true);
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
