//! A guest that sends any packets, well-formed SCSI commands among them, and changes its memory while they are served.

use storvsc_proto::host::{BlockError, CompleteError, Config, Fault, Lun, Next, Queue, Ticket};
use storvsc_proto::scsi::Sense;
use storvsc_proto::wire::{
    DataDirection, GuestMessage, HostMessage, LunAddress, NtStatus, PacketForm, ProtocolVersion, ScsiRequest,
    SrbStatus,
};
use vmbus_ringbuf::wire::PacketType;
use zerocopy::little_endian::{U16, U32};

use super::commands::Scsi;
use super::disk::Disk;
use crate::channel::{Asked, Disturb, Line, Lists, Mangle, judge};
use crate::input::{Bytes, Steps};
use crate::memory::{Hostile, Kind, Poke, Ram};
use crate::steps;

const DEPTH: usize = 4;
/// [`Input::negotiated`] of a channel on which the steps negotiate.
pub const PRIMARY: u8 = 4;
/// [`Input::negotiated`] of one that speaks the newest version.
pub const NEGOTIATED: u8 = 0;
/// Guest memory: 16 pages from address 0 on.
const RAM: usize = 16 * 4096;

steps! {
    /// What a guest sends.
    pub enum Content {
        Raw(bytes: Bytes),
        Begin,
        End,
        Version(version: u16),
        Properties,
        FcHba,
        SubChannels(count: u16),
        ResetLun(lun: u8),
        ResetAdapter,
        ResetBus(path: u8),
        Srb(lun: u8, cdb_length: u8, cdb: [u8; 16], transfer: u32),
        /// A command of a disk's, with as much memory as it takes, or other.
        Command(lun: u8, scsi: Scsi, exact: bool),
    }
}

steps! {
    pub struct Packet {
        pub id: u16,
        pub wants_completion: bool,
        pub lists: Lists,
        pub long: bool,
        pub content: Content,
        pub mangle: Mangle,
    }
}

steps! {
    /// What the guest does, or the embedder.
    pub enum Step {
        Send(packet: Packet),
        /// The guest writes into the rings.
        Disturb(disturb: Disturb),
        /// The guest writes into its memory, before an access to come.
        Poke(poke: Poke),
        /// The guest takes an answer.
        Receive,
        Serve(budget: u8),
        /// Takes the next request, and does its work at once or not at all.
        Accept(perform: bool),
        /// One that was accepted is done.
        Complete(which: u8),
        /// One that was accepted went wrong.
        Fail(which: u8, error: u8),
        EnumerateBus,
        RemoveDevice,
        Attach(lun: u8),
        Detach(lun: u8),
        /// A disk fails from now on, or no more.
        Break(lun: u8, error: u8),
        Close,
    }
}

steps! {
    pub struct Input {
        pub kind: Kind,
        /// Negotiated before the steps, in this version; [`PRIMARY`]: not negotiated.
        pub negotiated: u8,
        pub steps: Steps<Step>,
    }
}

/// What became of the steps.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The statuses of the requests that were answered.
    pub statuses: Vec<SrbStatus>,
    /// What poisoned the channel.
    pub fault: Option<Fault>,
}

struct Model {
    line: Line,
    queue: Queue<Hostile, Vec<u8>, DEPTH>,
    luns: Vec<Lun<Disk>>,
    ram: Ram,
    asked: Asked,
    tickets: Vec<(Ticket, Result<(), BlockError>)>,
    fault: Option<Fault>,
    statuses: Vec<SrbStatus>,
}

fn error(code: u8) -> BlockError {
    use BlockError as E;
    [
        E::Medium,
        E::OutOfRange,
        E::NoSpace,
        E::ReadOnly,
        E::Unsupported,
        E::Internal,
    ][usize::from(code) % 6]
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        self.play();
    }

    /// As [`run`](Self::run), and tells what became of them.
    pub fn play(self) -> Outcome {
        let config = Config {
            max_transfer_bytes: 0x1_0000,
            max_sub_channels: 3,
        };
        let (line, ours) = Line::host(&self.kind);
        let scratch = vec![0; config.scratch_len()];
        let versions = [
            ProtocolVersion::WIN10,
            ProtocolVersion::WIN8_1,
            ProtocolVersion::WIN8,
            ProtocolVersion::WIN7,
        ];
        let version = versions.get(usize::from(self.negotiated) % 6);
        let queue = match version {
            Some(version) => Queue::sub_channel(ours, scratch, config, *version),
            None => Queue::primary(ours, scratch, config),
        };
        let mut model = Model {
            line,
            queue: queue.expect("a good configuration"),
            luns: Disk::all(),
            ram: Ram::new(0, RAM),
            asked: Asked::default(),
            tickets: Vec::new(),
            fault: None,
            statuses: Vec::new(),
        };
        for step in self.steps {
            model.step(step);
            model.check();
        }
        model.finish();
        Outcome {
            statuses: model.statuses,
            fault: model.fault,
        }
    }
}

impl Content {
    fn message(&self) -> Option<GuestMessage> {
        Some(match self {
            Self::Raw(_) => return None,
            Self::Begin => GuestMessage::BeginInitialization,
            Self::End => GuestMessage::EndInitialization,
            Self::Version(version) => GuestMessage::QueryProtocolVersion(ProtocolVersion(*version)),
            Self::Properties => GuestMessage::QueryProperties,
            Self::FcHba => GuestMessage::FcHbaData,
            Self::SubChannels(count) => GuestMessage::CreateSubChannels(*count),
            Self::ResetLun(lun) => GuestMessage::ResetLun(LunAddress::lun(*lun)),
            Self::ResetAdapter => GuestMessage::ResetAdapter,
            Self::ResetBus(path) => GuestMessage::ResetBus { path: *path },
            Self::Srb(lun, cdb_length, cdb, transfer) => {
                let mut cdb_or_sense = [0; 20];
                cdb_or_sense[..16].copy_from_slice(cdb);
                GuestMessage::ExecuteSrb(ScsiRequest {
                    length: U16::new(52),
                    lun: *lun,
                    cdb_length: *cdb_length,
                    sense_length: 20,
                    direction: DataDirection::IN,
                    transfer_length: U32::new(*transfer),
                    cdb_or_sense,
                    ..Default::default()
                })
            }
            Self::Command(lun, scsi, _) => {
                let cdb = scsi.command().to_cdb();
                let mut cdb_or_sense = [0; 20];
                cdb_or_sense[..cdb.as_bytes().len()].copy_from_slice(cdb.as_bytes());
                let (to_disk, bytes) = scsi.transfer();
                GuestMessage::ExecuteSrb(ScsiRequest {
                    length: U16::new(52),
                    lun: *lun,
                    cdb_length: cdb.as_bytes().len() as u8,
                    sense_length: 20,
                    direction: if to_disk {
                        DataDirection::OUT
                    } else {
                        DataDirection::IN
                    },
                    transfer_length: U32::new(bytes),
                    cdb_or_sense,
                    ..Default::default()
                })
            }
        })
    }
}

impl Packet {
    /// What it lists: the memory of a command, where it is to be exact.
    fn lists(&self) -> Lists {
        match &self.content {
            Content::Command(_, scsi, true) => {
                let (_, bytes) = scsi.transfer();
                Lists::Memory(u8::from(bytes > 0), 0x100, bytes as u16, 2)
            }
            _ => self.lists.clone(),
        }
    }

    fn payload(&self) -> Vec<u8> {
        let form = if self.long {
            PacketForm::Long
        } else {
            PacketForm::Short
        };
        let mut bytes = match (&self.content, self.content.message()) {
            (_, Some(message)) => message.encode(form).as_bytes().to_vec(),
            (Content::Raw(bytes), None) => bytes.0.clone(),
            (_, None) => Vec::new(),
        };
        self.mangle.apply(&mut bytes);
        bytes
    }
}

impl Model {
    fn step(&mut self, step: Step) {
        match step {
            Step::Send(packet) => {
                let id = u64::from(packet.id);
                let lists = packet.lists();
                if let (Content::Command(_, scsi, _), Lists::Memory(_, offset, _, first)) =
                    (&packet.content, &lists)
                {
                    let at = usize::from(*first) * 4096 + usize::from(*offset) % 4096;
                    self.ram.put(at, &scsi.data());
                }
                let sent = self
                    .line
                    .send(id, packet.wants_completion, &lists, &packet.payload());
                if sent && packet.wants_completion && id != 0 {
                    self.asked.ask(id);
                }
            }
            Step::Disturb(disturb) => self.line.disturb(disturb),
            Step::Poke(poke) => self.ram.later(poke),
            Step::Receive => {
                self.receive();
            }
            Step::Serve(budget) => {
                self.serve(budget.into());
            }
            Step::Accept(perform) => self.accept(perform),
            Step::Complete(which) => self.complete(which, None),
            Step::Fail(which, code) => self.complete(which, Some(error(code))),
            Step::EnumerateBus => {
                let result = self.queue.enumerate_bus();
                self.judge(result);
            }
            Step::RemoveDevice => {
                let result = self.queue.remove_device();
                self.judge(result);
            }
            Step::Attach(lun) => self.lun(lun).attach(),
            Step::Detach(lun) => self.lun(lun).detach(),
            Step::Break(lun, code) => {
                let fails = (code < 128).then(|| error(code));
                self.lun(lun).backend().fails.set(fails);
            }
            Step::Close => {
                self.queue.close();
                self.fault.get_or_insert(Fault::Closed);
            }
        }
    }

    fn lun(&self, lun: u8) -> &Lun<Disk> {
        &self.luns[usize::from(lun) % self.luns.len()]
    }

    fn judge<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        judge(&mut self.fault, result)
    }

    /// Whether to serve again.
    fn serve(&mut self, budget: usize) -> bool {
        let _ = self.line.accesses();
        let result = self.queue.service(&self.luns, &self.ram, budget);
        let bound = 64 + 64 * budget;
        assert!(self.line.accesses() <= bound, "bounded work");
        self.judge(result).is_some_and(|served| served.again)
    }

    fn accept(&mut self, perform: bool) {
        let before = self.queue.outstanding();
        let result = self.queue.accept(&self.luns, &self.ram);
        let result = match result {
            Ok(accepted) => {
                match accepted.next {
                    Next::Request { ticket, lun, work } => {
                        let result = if perform {
                            work.perform(lun.backend(), &self.ram)
                        } else {
                            Ok(())
                        };
                        self.tickets.push((ticket, result));
                    }
                    Next::Busy => assert!(before > 0, "busy with nothing"),
                    _ => {}
                }
                Ok(())
            }
            Err(fault) => Err(fault),
        };
        self.judge(result);
    }

    fn complete(&mut self, which: u8, error: Option<BlockError>) {
        if self.tickets.is_empty() {
            return;
        }
        let (ticket, result) = self.tickets.swap_remove(usize::from(which) % self.tickets.len());
        let result = error.map_or(result, Err);
        match self.queue.complete(ticket, result) {
            Ok(_) => assert_eq!(self.fault, None),
            Err(CompleteError::Fault(fault)) => {
                self.judge::<()>(Err(fault));
            }
            Err(error) => panic!("{error}: the ticket is of this queue"),
        }
    }

    /// The guest takes a packet and judges it.
    fn receive(&mut self) -> bool {
        let Some(received) = self.line.receive() else {
            return false;
        };
        if self.line.disturbed {
            return true;
        }
        let message = HostMessage::decode(&received.payload).expect("a message of a host's");
        match message {
            HostMessage::CompleteIo(completion) => {
                assert_eq!(received.kind, PacketType::COMPLETION);
                assert!(
                    self.asked.answer(received.id),
                    "nobody asked for {:#x}",
                    received.id
                );
                let srb = completion.srb().expect("answers have room for an SRB");
                self.statuses.push(srb.srb_status.status());
                if srb.srb_status.0 == 1 {
                    assert_eq!((srb.scsi_status.0, completion.status), (0, NtStatus::SUCCESS));
                }
                if srb.srb_status.autosense_valid() && srb.scsi_status.0 == 2 {
                    let sense = srb.sense(PacketForm::Short).expect("sense that fits");
                    assert!(Sense::decode(sense).is_ok());
                    assert_eq!(srb.transfer_length.get(), 0);
                }
            }
            message => {
                assert_eq!(
                    (received.kind, received.id),
                    (PacketType::IN_BAND, 0),
                    "{message}"
                );
            }
        }
        true
    }

    fn check(&self) {
        assert_eq!(self.queue.outstanding(), self.tickets.len());
        assert!(self.tickets.len() <= DEPTH);
        assert_eq!(self.queue.fault(), self.fault);
    }

    /// Whatever was sent, an honest end brings everything to its end.
    fn finish(&mut self) {
        while !self.tickets.is_empty() {
            self.complete(0, None);
            self.check();
        }
        assert_eq!(self.queue.outstanding(), 0);
        if self.line.disturbed {
            return;
        }
        for _ in 0..10_000 {
            let again = self.serve(16);
            let received = self.receive();
            if !again && !received {
                break;
            }
        }
        if self.fault.is_none() {
            assert!(
                self.asked.is_empty(),
                "a request is not answered: {:?}",
                self.asked
            );
        }
    }
}
