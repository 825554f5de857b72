//! A host that answers anything to anything, and a driver that sends commands meanwhile.

use std::collections::{HashMap, VecDeque};

use storvsc_proto::guest::{self, Data, Event, Fault, Properties, Queue, RequestId, SubmitError};
use storvsc_proto::scsi::{Cdb, ScsiStatus};
use storvsc_proto::wire::{
    ChannelProperties, Completion, CompletionBody, GuestMessage, HostMessage, LunAddress, NtStatus,
    PacketForm, ProtocolVersion, ScsiRequest, SrbStatusByte,
};
use vmbus_ringbuf::gpa::GpaRange;
use zerocopy::little_endian::{U16, U32, U64};

use crate::channel::{Disturb, Line, Lists, Mangle, Received};
use crate::input::{Bytes, Steps};
use crate::memory::{Hostile, Kind};
use crate::steps;

const DEPTH: usize = 8;

steps! {
    /// How a host answers.
    pub enum Answer {
        /// As it should.
        Well,
        /// That it does not do this.
        Refusal(status: u32),
        /// With an SRB that says this.
        Srb(srb_status: u8, scsi_status: u8, sense: [u8; 20], transferred: u32),
        Raw(bytes: Bytes),
    }
}

steps! {
    /// What the host does, or the driver.
    pub enum Step {
        /// The host takes a request.
        Take,
        /// It answers one that it took, once or again.
        Answer(which: u8, again: bool, answer: Answer, mangle: Mangle),
        /// It says anything.
        Say(id: u64, lists: Lists, bytes: Bytes),
        EnumerateBus,
        RemoveDevice,
        Disturb(disturb: Disturb),
        /// The driver.
        Poll,
        Submit(lun: u8, cdb: [u8; 6], direction: u8, bytes: u16),
        CreateSubChannels(count: u8),
        ResetBus(path: u8),
        Abort,
    }
}

steps! {
    pub struct Input {
        pub kind: Kind,
        /// A sub-channel, or a primary one, negotiated before the steps or not.
        pub start: u8,
        pub steps: Steps<Step>,
    }
}

/// What became of the steps.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The driver and the host came to terms.
    pub ready: bool,
    /// Commands that were completed, and how.
    pub completed: Vec<guest::Outcome>,
    /// What poisoned the channel.
    pub fault: Option<Fault>,
}

struct Model {
    line: Line,
    queue: Queue<Hostile, DEPTH>,
    /// Requests that the host took and did not answer.
    taken: VecDeque<Received>,
    /// The last that it answered.
    answered: Option<Received>,
    /// Commands under way, with the length of their buffer.
    pending: HashMap<RequestId, u32>,
    fault: Option<Fault>,
    ready: bool,
    completed: Vec<guest::Outcome>,
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        self.play();
    }

    /// As [`run`](Self::run), and tells what became of them.
    pub fn play(self) -> Outcome {
        let (line, ours) = Line::guest(&self.kind);
        let properties = Properties {
            max_transfer_bytes: 0x1_0000,
            max_sub_channels: 3,
        };
        let queue = match self.start % 4 {
            0 => Queue::sub_channel(ours, ProtocolVersion::WIN10, properties),
            _ => Queue::primary(ours),
        };
        let mut model = Model {
            line,
            queue,
            taken: VecDeque::new(),
            answered: None,
            pending: HashMap::new(),
            fault: None,
            ready: self.start.is_multiple_of(4),
            completed: Vec::new(),
        };
        if self.start % 4 > 1 {
            model.settle();
            assert!(model.ready, "an honest host and ours come to terms");
        }
        for step in self.steps {
            model.step(step);
            model.check();
        }
        let outcome = Outcome {
            ready: model.ready,
            completed: std::mem::take(&mut model.completed),
            fault: model.fault,
        };
        model.finish();
        outcome
    }
}

/// The answer of an honest host.
fn well(message: &GuestMessage) -> CompletionBody {
    match message {
        GuestMessage::QueryProtocolVersion(version) => CompletionBody::Version(*version),
        GuestMessage::QueryProperties => CompletionBody::Properties(ChannelProperties {
            max_sub_channels: U16::new(3),
            max_transfer_bytes: U32::new(0x1_0000),
            ..Default::default()
        }),
        GuestMessage::ExecuteSrb(request) => CompletionBody::Srb(ScsiRequest {
            srb_status: SrbStatusByte(1),
            ..*request
        }),
        _ => CompletionBody::Empty,
    }
}

impl Model {
    fn step(&mut self, step: Step) {
        match step {
            Step::Take => {
                let taken = self.line.receive();
                self.taken.extend(taken);
            }
            Step::Answer(which, again, answer, mangle) => self.answer(which, again, &answer, &mangle),
            Step::Say(id, lists, bytes) => {
                self.line.send(id, false, &lists, &bytes.0);
            }
            Step::EnumerateBus => self.tell(&HostMessage::EnumerateBus),
            Step::RemoveDevice => self.tell(&HostMessage::RemoveDevice),
            Step::Disturb(disturb) => self.line.disturb(disturb),
            Step::Poll => {
                self.poll();
            }
            Step::Submit(lun, cdb, direction, bytes) => self.submit(lun, &cdb, direction, bytes),
            Step::CreateSubChannels(count) => {
                let result = self.queue.create_sub_channels(count.into());
                self.judge_submit(result.err());
            }
            Step::ResetBus(path) => {
                let result = self.queue.reset_bus(path);
                self.judge_submit(result.err());
            }
            Step::Abort => {
                if let Some(id) = self.queue.abort() {
                    assert!(self.pending.remove(&id).is_some(), "{id:?} is not under way");
                }
                self.fault = self.queue.fault();
                assert!(self.fault.is_some(), "given up");
            }
        }
    }

    fn tell(&mut self, message: &HostMessage) {
        let packet = message.encode(PacketForm::Long);
        self.line.send(0, false, &Lists::Nothing, packet.as_bytes());
    }

    fn answer(&mut self, which: u8, again: bool, answer: &Answer, mangle: &Mangle) {
        let index = usize::from(which) % self.taken.len().max(1);
        let Some(request) = (if again {
            self.answered.take()
        } else {
            self.taken.remove(index)
        }) else {
            return;
        };
        let form = PacketForm::of_packet_len(request.payload.len());
        let message = GuestMessage::decode(&request.payload);
        let completion = match (answer, message) {
            (Answer::Well, Ok(message)) => Completion::new(NtStatus::SUCCESS, &well(&message)),
            (Answer::Srb(srb_status, scsi_status, sense, transferred), _) => {
                let srb = ScsiRequest {
                    srb_status: SrbStatusByte(*srb_status),
                    scsi_status: ScsiStatus(*scsi_status),
                    sense_length: 20,
                    cdb_or_sense: *sense,
                    transfer_length: U32::new(*transferred),
                    ..Default::default()
                };
                Completion::new(NtStatus::SUCCESS, &CompletionBody::Srb(srb))
            }
            (Answer::Refusal(status), _) => Completion::new(NtStatus(*status), &CompletionBody::Empty),
            _ => Completion::new(NtStatus::SUCCESS, &CompletionBody::Empty),
        };
        let mut bytes = match answer {
            Answer::Raw(bytes) => bytes.0.clone(),
            _ => HostMessage::CompleteIo(completion)
                .encode(form)
                .as_bytes()
                .to_vec(),
        };
        mangle.apply(&mut bytes);
        if self.line.send(request.id, false, &Lists::Completion, &bytes) {
            self.answered = Some(request);
        } else {
            self.taken.push_back(request);
        }
    }

    fn judge(&mut self, fault: Fault) {
        assert_eq!(*self.fault.get_or_insert(fault), fault, "sticky");
    }

    fn judge_submit(&mut self, error: Option<SubmitError>) {
        match error {
            None => assert_eq!(self.fault, None, "a fault is forgotten"),
            Some(SubmitError::Fault(fault)) => self.judge(fault),
            Some(_) => {}
        }
    }

    /// Whether to poll again.
    fn poll(&mut self) -> bool {
        let _ = self.line.accesses();
        let result = self.queue.poll();
        assert!(self.line.accesses() <= 64, "bounded work");
        let polled = match result {
            Ok(polled) => polled,
            Err(fault) => {
                self.judge(fault);
                return false;
            }
        };
        assert_eq!(self.fault, None, "a fault is forgotten");
        match polled.event {
            Some(Event::Completed { id, outcome }) => {
                let buffer = self.pending.remove(&id).expect("it is under way");
                assert!(outcome.transferred <= buffer);
                self.completed.push(outcome);
            }
            Some(Event::Ready { properties, .. }) => {
                assert!(!std::mem::replace(&mut self.ready, true), "ready twice");
                assert!(properties.max_transfer_bytes > 0);
            }
            _ => {}
        }
        polled.again
    }

    fn submit(&mut self, lun: u8, cdb: &[u8], direction: u8, bytes: u16) {
        let cdb = Cdb::new(cdb).expect("6 bytes");
        let len = u32::from(bytes);
        let pages: Vec<_> = (0..len.div_ceil(4096))
            .map(|page| U64::new(page.into()))
            .collect();
        let data = match (direction % 3, GpaRange::new(0, len, &pages)) {
            (1, Ok(range)) => Data::In(range),
            (2, Ok(range)) => Data::Out(range),
            _ => Data::None,
        };
        let len = if matches!(data, Data::None) { 0 } else { len };
        match self.queue.submit(LunAddress::lun(lun), &cdb, data) {
            Ok(submitted) => {
                assert!(self.ready && self.fault.is_none());
                assert!(self.pending.insert(submitted.id, len).is_none(), "ids are unique");
            }
            Err(error) => {
                if let SubmitError::NoTicket { .. } = error {
                    assert_eq!(self.pending.len(), DEPTH);
                }
                self.judge_submit(Some(error));
            }
        }
    }

    fn check(&mut self) {
        assert_eq!(self.queue.outstanding(), self.pending.len());
        if let Some(fault) = self.queue.fault() {
            self.judge(fault);
        }
    }

    /// The host answers all that it has, well, until there is nothing more.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 1000, "it goes on and on");
            let mut moved = self.poll();
            while let Some(received) = self.line.receive() {
                self.taken.push_back(received);
                moved = true;
            }
            if !self.taken.is_empty() {
                let before = self.taken.len();
                self.answer(0, false, &Answer::Well, &Mangle::Nothing);
                moved |= self.taken.len() < before;
            }
            if !moved {
                return;
            }
        }
    }

    /// A host that does its work brings every command to its end, and a driver that gives up has none under way.
    fn finish(&mut self) {
        if !self.line.disturbed {
            self.settle();
        }
        while let Some(id) = self.queue.abort() {
            assert!(self.pending.remove(&id).is_some(), "{id:?} is not under way");
        }
        assert!(
            self.pending.is_empty() && self.queue.outstanding() == 0,
            "a command without an end"
        );
    }
}
