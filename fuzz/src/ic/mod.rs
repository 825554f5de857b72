//! Integration services: both ends of each, and between them who carries the packets, faithfully or not.

mod ends;

use std::collections::VecDeque;
use std::time::Duration;

use vmbus_proto::ic::wire::{
    Body, Envelope, FRAMEWORKS, GuestMessage, HostMessage, MessageFlags, MessageType, PACKET_MAX, SERVICES,
    Service, Status, Version, VersionOffer,
};
use vmbus_ringbuf::RingPair;

pub use self::ends::Fault;

use self::ends::{End, Told};
use crate::channel::{Disturb, Line, Lists, Mangle};
use crate::input::{Bytes, Steps};
use crate::memory::{Hostile, Kind};
use crate::steps;

/// The ends, as [`Model`] counts them.
const HOST: usize = 0;
const GUEST: usize = 1;

steps! {
    /// What the host's embedder asks for, as far as the service has it.
    pub enum Request {
        Plain(which: u8, number: u32),
        Text(which: u8, pool: u8, key: Bytes, value: Bytes),
    }
}

steps! {
    /// How the guest's embedder answers.
    pub enum Answer {
        Status(status: u32),
        /// With what was asked for, where the service has that.
        Filled(which: u8, key: Bytes, value: Bytes),
    }
}

steps! {
    /// What nobody of ours says.
    pub enum Forged {
        Raw(bytes: Bytes),
        Framed(kind: u8, transaction: u8, flags: u8, status: u32, body: Bytes),
        /// An offer of some of the versions that there are, and of others.
        Offer(first: u8, odd: bool),
    }
}

steps! {
    /// What the embedders do, and what becomes of packets. The end is the guest, or else the host.
    pub enum Step {
        Poll(guest: bool),
        Ask(request: Request),
        Answer(answer: Answer),
        Time(milliseconds: u16),
        /// The next packet arrives, that many times.
        Carry(to_guest: bool, times: u8, mangle: Mangle),
        Forge(to_guest: bool, id: u8, lists: Lists, forged: Forged, mangle: Mangle),
        Disturb(guest: bool, disturb: Disturb),
        Settle,
    }
}

steps! {
    pub struct Input {
        pub service: u8,
        pub kind: Kind,
        /// How many of the newest versions the host does not speak.
        pub older: u8,
        pub steps: Steps<Step>,
    }
}

/// What became of the steps.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Whether the host and the guest came to terms, each with what it heard.
    pub ready: [bool; 2],
    /// Requests that the guest took, and answers that the host took.
    pub asked: usize,
    pub answered: usize,
    /// What poisoned a channel.
    pub fault: Option<Fault>,
}

/// One end: the engine, and who carries its packets.
struct Side<'a> {
    end: Box<dyn End + 'a>,
    line: Line,
    fault: Option<Fault>,
    /// Packets that arrived for it, or would.
    arriving: VecDeque<(u64, Lists, Vec<u8>)>,
    /// Events.
    ready: usize,
    asked: usize,
    refused: usize,
    answered: usize,
    /// Packets that it sent.
    sent: usize,
}

struct Model<'a> {
    service: &'static Service,
    sides: [Side<'a>; 2],
    older: usize,
    now: Duration,
    /// Requests that the host's embedder made.
    requests: usize,
    /// Packets were not carried as they were.
    tainted: bool,
}

impl<'a> Side<'a> {
    fn new(end: Box<dyn End + 'a>, line: Line) -> Self {
        Self {
            end,
            line,
            fault: None,
            arriving: VecDeque::new(),
            ready: 0,
            asked: 0,
            refused: 0,
            answered: 0,
            sent: 0,
        }
    }

    fn poll(&mut self, now: Duration) -> bool {
        let _ = self.line.accesses();
        let result = self.end.poll(now);
        assert!(self.line.accesses() <= 128, "bounded work");
        let (told, again) = match result {
            Ok(polled) => polled,
            Err(fault) => {
                assert_eq!(*self.fault.get_or_insert(fault), fault, "sticky");
                assert_eq!(self.end.fault(), self.fault);
                return false;
            }
        };
        assert_eq!(self.fault, None, "a fault is forgotten");
        match told {
            Told::Nothing => {}
            Told::Ready => {
                assert!(self.end.versions().is_some());
                self.ready += 1;
            }
            Told::Asked => self.asked += 1,
            Told::Refused => self.refused += 1,
            Told::Answered => self.answered += 1,
            Told::Silent => {}
        }
        again
    }
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        self.play();
    }

    /// As [`run`](Self::run), and tells what became of them.
    pub fn play(self) -> Outcome {
        let service = SERVICES[usize::from(self.service) % SERVICES.len()];
        let mut scratch = [(); 3].map(|()| vec![0; PACKET_MAX]);
        let [host, guest, other_host] = &mut scratch;
        // All of them want a ring of a page at least.
        let kind = match self.kind {
            Kind::Small => Kind::PageList,
            kind => kind,
        };
        let (host_line, host_rings) = Line::host(&kind);
        let (guest_line, guest_rings) = Line::guest(&kind);
        let mut model = Model {
            service,
            sides: [
                Side::new(ends::host(service, host_rings, host), host_line),
                Side::new(ends::guest(service, guest_rings, guest), guest_line),
            ],
            older: usize::from(self.older),
            now: Duration::ZERO,
            requests: 0,
            tainted: false,
        };
        for step in self.steps {
            model.step(step);
            model.check();
        }
        let [host, guest] = &model.sides;
        let outcome = Outcome {
            ready: [host.ready > 0, guest.ready > 0],
            asked: guest.asked,
            answered: host.answered,
            fault: host.fault.or(guest.fault),
        };
        model.finish();

        // Another host can go on with a guest that has not found fault with the last.
        let Model {
            sides: [_, guest], ..
        } = &model;
        if guest.fault.is_some() || guest.line.disturbed {
            return outcome;
        }
        let (line, rings): (_, RingPair<Hostile>) = Line::host(&kind);
        model.sides[HOST] = Side::new(ends::host(service, rings, other_host), line);
        model.tainted = false;
        model.requests = 0;
        model.finish();
        outcome
    }
}

impl Model<'_> {
    fn step(&mut self, step: Step) {
        match step {
            Step::Poll(guest) => {
                self.sides[usize::from(guest)].poll(self.now);
            }
            Step::Ask(request) => {
                let host = &mut self.sides[HOST];
                let was_busy = host.end.is_busy();
                if host.end.ask(&request) {
                    assert!(!was_busy && host.fault.is_none() && host.end.versions().is_some());
                    self.requests += 1;
                }
            }
            Step::Answer(answer) => {
                let guest = &mut self.sides[GUEST];
                let waits = guest.end.is_busy();
                let answered = guest.end.answer(&answer);
                assert!(waits || !answered, "an answer to nothing");
            }
            Step::Time(milliseconds) => self.now += Duration::from_millis(milliseconds.into()),
            Step::Carry(to_guest, times, mangle) => {
                self.tainted |= times != 1 || mangle != Mangle::Nothing;
                self.fetch(usize::from(!to_guest));
                let side = &mut self.sides[usize::from(to_guest)];
                if let Some((id, lists, mut bytes)) = side.arriving.pop_front() {
                    mangle.apply(&mut bytes);
                    for _ in 0..times % 4 {
                        side.arriving.push_front((id, lists.clone(), bytes.clone()));
                    }
                    for _ in 0..times % 4 {
                        self.arrive(to_guest.into());
                    }
                }
            }
            Step::Forge(to_guest, id, lists, forged, mangle) => {
                self.tainted = true;
                let mut bytes = self.forge(&forged, to_guest);
                mangle.apply(&mut bytes);
                let side = &mut self.sides[usize::from(to_guest)];
                side.arriving.push_front((id.into(), lists, bytes));
                self.arrive(to_guest.into());
            }
            Step::Disturb(guest, disturb) => {
                self.tainted = true;
                self.sides[usize::from(guest)].line.disturb(disturb);
            }
            Step::Settle => self.settle(),
        }
    }

    fn forge(&self, forged: &Forged, to_guest: bool) -> Vec<u8> {
        let mut out = vec![0; PACKET_MAX];
        let versions = self.sides[GUEST].end.versions().unwrap_or_default();
        let envelope = |transaction_id, flags, status| Envelope {
            framework: versions.framework,
            version: versions.message,
            status: Status::new(status),
            transaction_id,
            flags: MessageFlags::from_bits_retain(flags),
        };
        let encoded = match forged {
            Forged::Raw(bytes) => return bytes.0.clone(),
            Forged::Framed(kind, transaction, flags, status, body) => {
                // One of the types that there are, or this service's.
                let kind = match kind % 10 {
                    9 => self.service.message_type,
                    kind => MessageType::new(kind.into()),
                };
                let body = Body::Other(kind, &body.0);
                let envelope = envelope(*transaction, *flags, *status);
                if to_guest {
                    HostMessage::Request(body).encode(&envelope, &mut out)
                } else {
                    GuestMessage::Response(body).encode(&envelope, &mut out)
                }
            }
            Forged::Offer(first, odd) => {
                let mut messages = self.service.versions.to_vec();
                let first = usize::from(*first) % messages.len();
                messages.rotate_left(first);
                if *odd {
                    messages.truncate(1);
                    messages.push(Version::new(9, 9));
                }
                let offer = VersionOffer {
                    frameworks: FRAMEWORKS,
                    messages: &messages,
                };
                HostMessage::Negotiate(offer).encode(&envelope(0, 3, 0), &mut out)
            }
        };
        encoded.map(<[u8]>::to_vec).unwrap_or_default()
    }

    /// Takes what this side sent. Tells whether there was anything.
    fn fetch(&mut self, from: usize) -> bool {
        let Some(received) = self.sides[from].line.receive() else {
            return false;
        };
        self.sides[from].sent += 1;
        let mut bytes = received.payload;
        if from == HOST {
            self.make_older(&mut bytes);
        }
        let to = &mut self.sides[1 - from];
        to.arriving.push_back((received.id, Lists::Nothing, bytes));
        true
    }

    /// The host offers fewer versions.
    fn make_older(&self, bytes: &mut Vec<u8>) {
        let Ok((envelope, HostMessage::Negotiate(offer))) = HostMessage::decode(bytes) else {
            return;
        };
        let newest = self.older % offer.messages.len().max(1);
        let offer = VersionOffer {
            messages: &offer.messages[newest..],
            ..offer
        };
        let mut out = vec![0; PACKET_MAX];
        let encoded = HostMessage::Negotiate(offer).encode(&envelope, &mut out);
        *bytes = encoded.expect("room").to_vec();
    }

    /// The next packet for this side is put into its ring, if there is room.
    fn arrive(&mut self, to: usize) -> bool {
        let side = &mut self.sides[to];
        let Some((id, lists, bytes)) = side.arriving.pop_front() else {
            return false;
        };
        let sent = side.line.send(id, false, &lists, &bytes);
        if !sent && lists == Lists::Nothing {
            side.arriving.push_front((id, lists, bytes));
        }
        sent
    }

    fn check(&self) {
        let [host, guest] = &self.sides;
        assert!(host.asked == 0 && host.refused == 0 && guest.answered == 0);
        assert!(host.ready <= 1 || self.tainted);
        if !guest.line.disturbed {
            // One answer for each, and no other.
            let taken = guest.ready + guest.asked + guest.refused;
            assert!(guest.sent <= taken, "an answer to nothing");
        }
    }

    /// Packets are carried as they are, and embedders do what is theirs, until nothing moves.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 2000, "it goes on and on");
            let mut moved = false;
            for side in [HOST, GUEST] {
                moved |= self.sides[side].poll(self.now);
                moved |= self.fetch(side);
                moved |= self.arrive(side);
            }
            moved |= self.sides[GUEST].end.answer(&Answer::Status(0));
            if !moved {
                return;
            }
        }
    }

    /// All that was asked is answered, and there is more to come.
    fn finish(&mut self) {
        self.settle();
        let [host, guest] = &self.sides;
        if guest.fault.is_none() && !guest.line.disturbed {
            assert!(!guest.end.is_busy(), "an answer that is kept");
            assert_eq!(
                guest.sent,
                guest.ready + guest.asked + guest.refused,
                "each is answered once"
            );
        }
        if self.tainted {
            return;
        }
        // Its longest packets do not fit in every ring.
        if host.fault.is_some_and(|fault| fault.is_ring_too_small()) {
            return;
        }
        assert_eq!((host.fault, guest.fault), (None, None), "honest ends");
        assert_eq!((host.ready, host.end.versions()), (1, guest.end.versions()));
        assert!(!host.end.is_busy());
        let (answered, asked) = (host.answered, guest.asked);
        assert!(!self.sides[HOST].end.is_on_demand() || answered == self.requests);
        self.now += Duration::from_secs(100);
        self.step(Step::Ask(Request::Plain(3, 0)));
        self.settle();
        let [host, guest] = &self.sides;
        assert!(host.answered > answered || host.fault.is_some() || !host.end.is_answered());
        assert!(
            guest.asked > asked || host.fault.is_some(),
            "nothing is asked any more"
        );
    }
}
