//! A host that says anything in NVSP and RNDIS, on the primary channel and one sub-channel, and changes memory while our
//! driver works.

mod honest;

use std::collections::VecDeque;

use netvsc_proto::guest::TransmitInfo;
use netvsc_proto::wire::nvsp::{ChannelType, RECEIVE_BUFFER_ID, Version};
use netvsc_proto::wire::nvsp_message::GuestMessage;
use netvsc_proto::wire::ppi::{ChecksumTransmit, LargeSend, TransmitChecksums, Vlan};
use netvsc_proto::wire::rndis_message::GuestMessage as Asked;
use vmbus_ringbuf::wire::PacketType;

use self::honest::{reply, well};
use super::driver::{Ask, Driver, Memory, Told};
use super::host_message::{Nvsp, Rndis};
use crate::channel::{Asked as Given, Disturb, Line, Lists, Mangle, Received};
use crate::input::Steps;
use crate::memory::{Hostile, Kind, Poke};
use crate::steps;

/// Bytes of a part of the receive buffer, as an honest host says, and how many there are.
const PART: u16 = 1792;
const PARTS: u16 = 36;

steps! {
    /// How a host answers.
    pub enum Answer {
        /// As it should.
        Well,
        /// It takes an RNDIS message, and says nothing to it yet.
        Taken,
        /// It answers an RNDIS message before it takes it.
        Early,
        Nvsp(nvsp: Nvsp),
    }
}

steps! {
    /// What the host does, or the driver.
    pub enum Step {
        /// The host takes a packet.
        Take(sub_channel: bool),
        /// It answers one that it took, once or again.
        Answer(which: u8, again: bool, answer: Answer, mangle: Mangle),
        /// It says anything.
        Say(sub_channel: bool, id: u16, lists: Lists, nvsp: Nvsp, mangle: Mangle),
        /// It puts an RNDIS message into the receive buffer, and says so.
        Give(sub_channel: bool, at: u8, longer: u8, rndis: Rndis, mangle: Mangle),
        /// It does all that an honest host does.
        Serve,
        Disturb(sub_channel: bool, disturb: Disturb),
        /// It changes the receive buffer while it is read.
        Poke(poke: Poke),
        Poll(sub_channel: bool),
        Transmit(sub_channel: bool, in_pages: bool, len: u16, info: u8),
        Ask(ask: Ask),
        SubChannels(count: u8),
        ShutDown,
        Abort,
    }
}

steps! {
    pub struct Input {
        pub kind: Kind,
        /// The highest version that the driver asks for.
        pub version: u8,
        /// Brought up by an honest host before the steps, and with a sub-channel.
        pub start: u8,
        pub steps: Steps<Step>,
    }
}

/// What became of the steps.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Frames that the driver got.
    pub frames: usize,
    /// Answers that it got.
    pub answered: usize,
    /// It came up.
    pub ready: bool,
    /// A channel was poisoned.
    pub poisoned: bool,
}

/// A packet that the host took and did not answer for good.
struct Taken {
    index: usize,
    received: Received,
    /// The host is done with its memory, or has said so.
    completed: bool,
}

struct Model {
    kind: Kind,
    lines: [Option<Line>; 2],
    memory: Memory,
    driver: Driver<Hostile>,
    taken: VecDeque<Taken>,
    answered: Option<Taken>,
    /// Ids of RNDIS requests, the last one at the end.
    asked: Vec<u32>,
    /// Transfers that the guest has to complete, by channel.
    given: [Given; 2],
    /// The part of the receive buffer that is next.
    part: u16,
    outcome: Outcome,
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        self.play();
    }

    /// As [`run`](Self::run), and tells what became of them.
    pub fn play(self) -> Outcome {
        // Netvsc wants a ring of a page at least.
        let kind = match self.kind {
            Kind::Small => Kind::PageList,
            kind => kind,
        };
        let memory = Memory::new();
        let (line, ours) = Line::guest(&kind);
        let mut newest_first = Version::NAMED.iter().rev().copied().cycle();
        let version = newest_first.nth(self.version.into()).expect("there are versions");
        let mut model = Model {
            kind,
            lines: [Some(line), None],
            driver: Driver::new(ours, memory.clone(), version),
            memory,
            taken: VecDeque::new(),
            answered: None,
            asked: Vec::new(),
            given: Default::default(),
            part: 0,
            outcome: Outcome::default(),
        };
        if !self.start.is_multiple_of(4) {
            model.settle();
            assert!(model.driver.ready, "an honest host and ours come to terms");
            model.step(Step::Ask(Ask::Filter(0xff)));
            model.settle();
            assert!(model.driver.is_idle());
        }
        if self.start % 4 > 1 && version >= Version::V5 {
            model.step(Step::SubChannels(1));
            model.settle();
            assert!(model.driver.queues[1].is_some());
        }
        for step in self.steps {
            model.step(step);
            model.driver.check();
        }
        model.outcome.ready = model.driver.ready;
        model.outcome.poisoned = model.driver.fault != [None; 2];
        let outcome = std::mem::take(&mut model.outcome);
        model.finish();
        outcome
    }
}

impl Model {
    fn version(&self) -> Version {
        self.driver.nic.data_path().version
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Take(sub) => {
                self.take(sub.into());
            }
            Step::Answer(which, again, answer, mangle) => self.answer(which, again, &answer, &mangle),
            Step::Say(sub, id, lists, nvsp, mangle) => {
                let mut bytes = nvsp.bytes(self.version());
                mangle.apply(&mut bytes);
                self.send(sub.into(), id.into(), &lists, &bytes);
            }
            Step::Give(sub, at, longer, rndis, mangle) => {
                let back = |back: u8| {
                    let asked = self.asked.iter().rev().nth(usize::from(back));
                    asked.copied().unwrap_or(back.into())
                };
                let mut bytes = rndis.bytes(back);
                mangle.apply(&mut bytes);
                self.give(sub.into(), u16::from(at) % PARTS, &bytes, longer.into());
            }
            Step::Serve => self.serve(),
            Step::Disturb(sub, disturb) => {
                if let Some(line) = &mut self.lines[usize::from(sub)] {
                    line.disturb(disturb);
                }
            }
            Step::Poke(poke) => self.memory.receive.later(poke),
            Step::Poll(sub) => {
                self.poll(sub.into());
            }
            Step::Transmit(sub, in_pages, len, info) => {
                let frame = vec![0x5a; usize::from(len % 4000)];
                let info = TransmitInfo {
                    vlan: (info & 1 != 0).then(|| Vlan::from_tci(5)),
                    checksum: (info & 2 != 0).then(|| {
                        ChecksumTransmit::new(TransmitChecksums::IS_IPV4 | TransmitChecksums::TCP, 34)
                    }),
                    large_send: (info & 4 != 0).then(|| LargeSend::v2(1000, 34, info & 8 != 0)),
                    hash: (info & 16 != 0).then_some(7),
                };
                self.driver.transmit(sub.into(), in_pages, &frame, &info);
            }
            Step::Ask(ask) => self.driver.ask(&ask),
            Step::SubChannels(count) => {
                let result = self.driver.nic.create_sub_channels(count.into());
                assert!(result.is_err() || count == 1 && self.driver.ready);
            }
            Step::ShutDown => {
                self.close_sub_channel();
                self.driver.shut_down();
            }
            Step::Abort => {
                self.close_sub_channel();
                self.driver.abort();
            }
        }
    }

    fn close_sub_channel(&mut self) {
        self.lines[1] = None;
        self.given[1] = Given::default();
        self.taken.retain(|taken| taken.index == 0);
    }

    /// Sends a packet. Tells whether there was room.
    fn send(&mut self, index: usize, id: u64, lists: &Lists, bytes: &[u8]) -> bool {
        let Some(line) = &mut self.lines[index] else {
            return false;
        };
        let sent = line.send(id, false, lists, bytes);
        if sent && matches!(lists, Lists::Set(..)) {
            self.given[index].ask(id);
        }
        sent
    }

    /// Whether the guest has a part of the receive buffer. What is overwritten there is lost to a host that believes that it gave it.
    fn is_lent(&self, part: u16) -> bool {
        self.given.iter().any(|given| given.waits(transfer_id(part)))
    }

    /// Puts bytes into a part of the receive buffer that is the host's, and says that there are more than there are. Tells whether there was
    /// room.
    fn give(&mut self, index: usize, part: u16, bytes: &[u8], longer: u16) -> bool {
        if self.is_lent(part) {
            return false;
        }
        let at = part * PART;
        let len = u16::try_from(bytes.len())
            .unwrap_or(u16::MAX)
            .saturating_add(longer);
        self.memory.receive.put(at.into(), bytes);
        let lists = Lists::Set(RECEIVE_BUFFER_ID, 1, at, len);
        let channel_type = u8::from(index == 0 && bytes.first() != Some(&1));
        let says = Nvsp::Rndis(channel_type).bytes(self.version());
        self.send(index, transfer_id(part), &lists, &says)
    }

    /// The host takes a packet.
    fn take(&mut self, index: usize) -> bool {
        let Some(line) = &mut self.lines[index] else {
            return false;
        };
        let disturbed = line.disturbed;
        let Some(received) = line.receive() else {
            return false;
        };
        if received.kind == PacketType::COMPLETION {
            let due = self.given[index].answer(received.id);
            assert!(due || disturbed, "nobody gave {:#x}", received.id);
            return true;
        }
        if let Ok(bytes) = self.control(&received)
            && let Ok(asked) = Asked::decode(&bytes)
        {
            self.asked.extend(request_id(&asked));
        }
        self.taken.push_back(Taken {
            index,
            received,
            completed: false,
        });
        true
    }

    /// The RNDIS message of a packet with one that is no frame.
    fn control(&self, received: &Received) -> Result<Vec<u8>, ()> {
        match GuestMessage::decode(&received.payload) {
            Ok(GuestMessage::SendRndisPacket(packet)) if packet.channel_type == ChannelType::CONTROL => {
                let segments = received.segments.iter();
                let pieces = segments.map(|(gpa, len)| self.memory.ram.bytes(*gpa as usize, *len));
                pieces
                    .collect::<Option<Vec<_>>>()
                    .map(|pieces| pieces.concat())
                    .ok_or(())
            }
            _ => Err(()),
        }
    }

    fn answer(&mut self, which: u8, again: bool, answer: &Answer, mangle: &Mangle) {
        let index = usize::from(which) % self.taken.len().max(1);
        let taken = if again {
            self.answered.take()
        } else {
            self.taken.remove(index)
        };
        let Some(mut taken) = taken else { return };
        let Ok(message) = GuestMessage::decode(&taken.received.payload) else {
            return;
        };
        let asked = self.control(&taken.received).ok();
        let said = asked
            .as_ref()
            .and_then(|bytes| reply(&Asked::decode(bytes).ok()?));
        let nvsp = match answer {
            Answer::Nvsp(nvsp) => Some(nvsp.clone()),
            _ => well(&message),
        };
        let mut done = true;
        if let Some(nvsp) = nvsp
            && !matches!(answer, Answer::Early)
            && !taken.completed
        {
            let mut bytes = nvsp.bytes(self.version());
            mangle.apply(&mut bytes);
            taken.completed = self.send(taken.index, taken.received.id, &Lists::Completion, &bytes);
            done = taken.completed;
        }
        if let Some(mut bytes) = said
            && done
            && !matches!(answer, Answer::Taken | Answer::Nvsp(_))
        {
            mangle.apply(&mut bytes);
            let mut next = (0..PARTS).map(|n| (self.part + n) % PARTS);
            self.part = next.find(|part| !self.is_lent(*part)).unwrap_or(self.part);
            done = self.give(taken.index, self.part, &bytes, 0);
            self.part = (self.part + 1) % PARTS;
        } else if asked.is_some() && matches!(answer, Answer::Taken | Answer::Nvsp(_)) {
            done = false;
        }
        // What was answered only in part, or mangled, is answered for good another time.
        let well = matches!((answer, mangle), (Answer::Well, Mangle::Nothing));
        if done && well {
            self.answered = Some(taken);
        } else {
            self.taken.push_back(taken);
        }
    }

    /// An honest host takes all that there is, and answers it.
    fn serve(&mut self) {
        while self.take(0) || self.take(1) {}
        for _ in 0..self.taken.len() {
            self.answer(0, false, &Answer::Well, &Mangle::Nothing);
        }
    }

    /// Whether to poll again.
    fn poll(&mut self, index: usize) -> bool {
        let accesses = |line: &Option<Line>| line.as_ref().map_or(0, Line::accesses);
        let _ = accesses(&self.lines[index]);
        let polled = self.driver.poll(index);
        assert!(accesses(&self.lines[index]) <= 1024, "bounded work");
        let Some(polled) = polled else { return false };
        match polled.told {
            Told::SubChannels(count) => {
                assert!(count <= 1);
                if count == 1 && self.lines[1].is_none() {
                    let (line, ours) = Line::guest(&self.kind);
                    self.lines[1] = Some(line);
                    self.driver.open_sub_channel(ours);
                }
            }
            Told::Frame(frame, _) => {
                assert!((14..=1518).contains(&frame.len()));
                self.outcome.frames += 1;
            }
            Told::Answered => self.outcome.answered += 1,
            _ => {}
        }
        polled.again
    }

    /// The host does all that it should, until there is nothing more.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 2000, "it goes on and on");
            let mut moved = self.poll(0) | self.poll(1);
            let before = self.taken.len();
            while self.take(0) || self.take(1) {
                moved = true;
            }
            for _ in 0..self.taken.len() {
                self.answer(0, false, &Answer::Well, &Mangle::Nothing);
            }
            moved |= self.taken.len() != before;
            if !moved {
                return;
            }
        }
    }

    fn is_well(&self) -> bool {
        let disturbed = self.lines.iter().flatten().any(|line| line.disturbed);
        !disturbed && self.driver.fault == [None; 2]
    }

    /// A host that does its work brings all to its end, and the NIC down when that is wanted; a driver that gives up has
    /// nothing under way.
    fn finish(&mut self) {
        self.memory.receive.calm();
        if self.is_well() {
            self.settle();
        }
        if self.is_well() {
            assert!(self.driver.is_idle(), "something without an end");
            assert!(self.driver.ready || self.driver.leaving, "it does not come up");
            assert!(self.given.iter().all(Given::is_empty), "a transfer that is kept");
            if !self.driver.leaving {
                self.step(Step::ShutDown);
                self.settle();
            }
            assert!(self.driver.down || !self.is_well(), "it does not go down");
        }
        self.step(Step::Abort);
    }
}

/// The transaction id with which a part of the receive buffer is lent.
fn transfer_id(part: u16) -> u64 {
    0x1000 + u64::from(part)
}

fn request_id(asked: &Asked<'_>) -> Option<u32> {
    Some(match asked {
        Asked::Initialize(request) => request.request_id.get(),
        Asked::Query(request, _) | Asked::Set(request, _) | Asked::SetEx(request, _) => {
            request.request_id.get()
        }
        Asked::Keepalive(request) => request.request_id.get(),
        _ => return None,
    })
}
