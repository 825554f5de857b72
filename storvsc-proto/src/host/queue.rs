//! The service of one channel.

use thiserror::Error;
use vmbus_proto::ringbuf::{PacketType, RingMem, RingPair, Signal};

use super::channel::{Channel, Counters, Flushed, Notice, Sender, judge_srb, read_fault};
use super::disk::{Call, Job, ParameterList, Plan, Work};
use super::event::{Event, Fault, Refusal};
use super::lun::Lun;
use super::negotiation::Negotiation;
use super::tickets::{Asked, Reply, Ticket};
use super::{BlockBackend, BlockError, Config, Outcome, Segments, SetupError, target};
use crate::scsi::Command;
use crate::wire::{
    self, CompletionBody, GuestMessage, NtStatus, Operation, ProtocolVersion, ScsiRequest, WireError,
};

/// The service of one channel of a controller: the primary one, or a sub-channel.
///
/// It is a value that the thread which serves the channel owns. What the queues of a controller share is the
/// slice of [`Lun`]s, and what the primary's negotiation brought: the version, which [`Event::Ready`] tells
/// and [`sub_channel`](Self::sub_channel) takes.
///
/// `DEPTH` is how many requests are taken at most before the first of them is answered.
/// [`service`](Self::service) works on one after the other, so 1 is enough for it; who uses
/// [`accept`](Self::accept) and [`complete`](Self::complete) wants more.
///
/// A full outgoing ring loses nothing: answers wait in their requests' places, and nothing is taken from the
/// incoming ring while there is no place.
///
/// `S` is the scratch that a packet is copied to: lent, or the queue's own.
///
/// # Bounds
///
/// | | at most |
/// |---|---|
/// | memory | on a 64-bit machine 1.4 KiB with the handles of the rings, 96 bytes for each further of `DEPTH` requests, and the scratch of [`Config::scratch_len`] bytes |
/// | requests and answers queued | `DEPTH` in all; what comes beyond stays in the guest's ring. Of notices one of each kind |
/// | work of one call | `budget` packets. Each is one command: a transfer of up to [`Config::max_transfer_bytes`], in which each page may be a segment of its own, or 32 MiB of one block that is repeated or of zeroes, or a list of 64 ranges to be given up |
#[derive(Debug)]
pub struct Queue<M, S, const DEPTH: usize = 1> {
    channel: Channel<M, DEPTH>,
    scratch: S,
    parameters: ParameterList,
}

/// What [`Queue::service`] did, and what there is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "signals, and whether to come again, have to be acted on"]
pub struct Served {
    /// Whether the guest has to be signalled.
    pub signal: Signal,
    /// Whether to call again at once. If not, it is time when the guest signals.
    pub again: bool,
    /// What the embedder should know of.
    pub event: Option<Event>,
}

/// What [`Queue::accept`] returns.
#[derive(Debug)]
#[must_use = "signals have to be acted on"]
pub struct Accepted<'q, 'l, B> {
    /// Whether the guest has to be signalled.
    pub signal: Signal,
    /// What comes next.
    pub next: Next<'q, 'l, B>,
}

/// What comes next.
#[derive(Debug)]
pub enum Next<'q, 'l, B> {
    /// A request that the disk has to do something for.
    Request {
        /// To be given to [`Queue::complete`].
        ticket: Ticket,
        /// Where.
        lun: &'l Lun<B>,
        /// What.
        work: Work<'q>,
    },
    /// A packet was answered, and the embedder should know of this.
    Event(Event),
    /// A packet was answered. Call again.
    Again,
    /// All `DEPTH` requests are under way. Call again when one is complete.
    Busy,
    /// The outgoing ring is full. Call again when the guest signals.
    Blocked,
    /// There is nothing. Call again when the guest signals.
    Idle,
}

/// Why a request could not be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompleteError {
    /// The ticket is of another queue. The caller's fault.
    #[error("no such request is under way")]
    UnknownTicket,
    /// The channel is poisoned or closed. The request is over, and nobody is told.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl<M: RingMem, S: AsMut<[u8]>, const DEPTH: usize> Queue<M, S, DEPTH> {
    /// The service of a primary channel that was just opened.
    ///
    /// `scratch` is for the private copy of a packet: at least [`Config::scratch_len`] bytes, as a `&mut [u8]`, a
    /// `Vec<u8>`, an array.
    ///
    /// # Errors
    /// When the configuration or the scratch will not do.
    pub fn primary(ring: RingPair<M>, scratch: S, config: Config) -> Result<Self, SetupError> {
        Self::new(ring, scratch, config, Negotiation::primary())
    }

    /// The service of a sub-channel that was just opened. It speaks the primary channel's version from its
    /// first packet on.
    ///
    /// # Errors
    /// When the configuration or the scratch will not do.
    pub fn sub_channel(
        ring: RingPair<M>,
        scratch: S,
        config: Config,
        version: ProtocolVersion,
    ) -> Result<Self, SetupError> {
        Self::new(ring, scratch, config, Negotiation::sub_channel(version))
    }

    fn new(
        ring: RingPair<M>,
        mut scratch: S,
        config: Config,
        negotiation: Negotiation,
    ) -> Result<Self, SetupError> {
        config.judge(scratch.as_mut().len())?;
        Ok(Self {
            channel: Channel::new(ring, config, negotiation),
            scratch,
            parameters: ParameterList::new(),
        })
    }

    /// The version, once the guest and the host have agreed on one.
    #[must_use]
    pub const fn version(&self) -> Option<ProtocolVersion> {
        self.channel.negotiation.stage().version()
    }

    /// What was done so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.channel.counters
    }

    /// Requests under way: tickets that are not yet back.
    #[must_use]
    pub const fn outstanding(&self) -> usize {
        self.channel.tickets.running()
    }

    /// What poisoned the channel, if anything did.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        self.channel.fault()
    }

    /// Serves up to `budget` packets, doing each one's work before the next is taken.
    ///
    /// Returns as soon as the guest has to be signalled, so that no answer waits for the next request's work:
    /// signal, and call again if told to. Also returns at every event.
    ///
    /// # Errors
    /// A breach of the protocol, from then on always.
    pub fn service<B: BlockBackend>(
        &mut self,
        luns: &[Lun<B>],
        memory: &B::Memory,
        budget: usize,
    ) -> Result<Served, Fault> {
        // Told with a budget of 0 too, for which nothing below finds it out.
        self.channel.check()?;
        let Self {
            channel,
            scratch,
            parameters,
        } = self;
        let scratch = scratch.as_mut();
        let mut served = Served {
            signal: Signal::NotNeeded,
            again: true,
            event: None,
        };
        for _ in 0..budget {
            let taken = channel.take(
                scratch,
                parameters,
                luns,
                memory,
                &mut served.event,
                |channel, lun, job, buffer, asked| {
                    let result = job.perform(buffer, lun.backend(), memory);
                    channel.send_end(&asked.sender, asked.request, &asked.outcome(result))
                },
            )?;
            served.signal = served.signal | channel.take_signal();
            match taken {
                Taken::Request | Taken::Again => {}
                Taken::Event => break,
                Taken::Busy | Taken::Blocked | Taken::Idle => {
                    served.again = false;
                    break;
                }
            }
            if served.signal.is_needed() {
                break;
            }
        }
        Ok(served)
    }

    /// Takes the next packet. One that needs no work of a disk is answered at once; for any other, the work
    /// is returned.
    ///
    /// # Errors
    /// A breach of the protocol, from then on always.
    #[inline]
    pub fn accept<'q, 'l, B: BlockBackend>(
        &'q mut self,
        luns: &'l [Lun<B>],
        memory: &'q B::Memory,
    ) -> Result<Accepted<'q, 'l, B>, Fault> {
        let Self {
            channel,
            scratch,
            parameters,
        } = self;
        let (mut request, mut event) = (None, None);
        let taken = channel.take(
            scratch.as_mut(),
            parameters,
            luns,
            memory,
            &mut event,
            |channel, lun, job, buffer, asked| {
                let work = job.with(buffer);
                let ticket = channel.tickets.start(asked.running());
                request = ticket.map(|ticket| Next::Request { ticket, lun, work });
                Ok(())
            },
        )?;
        let next = match taken {
            // There is a place, so that there is a ticket.
            Taken::Request => request.unwrap_or(Next::Busy),
            Taken::Event => event.map_or(Next::Again, Next::Event),
            Taken::Again => Next::Again,
            Taken::Busy => Next::Busy,
            Taken::Blocked => Next::Blocked,
            Taken::Idle => Next::Idle,
        };
        let signal = channel.take_signal();
        Ok(Accepted { signal, next })
    }

    /// Answers a request. What is told to the guest follows from the result: data transferred, or sense data.
    ///
    /// While the outgoing ring is full the answer is kept, and sent by a later call of any kind.
    ///
    /// # Errors
    /// When the ticket is of another queue, or the channel is poisoned or closed.
    pub fn complete(
        &mut self,
        ticket: Ticket,
        result: Result<(), BlockError>,
    ) -> Result<Signal, CompleteError> {
        let reply = self.channel.tickets.complete(&ticket, result);
        let reply = reply.ok_or(CompleteError::UnknownTicket)?;
        self.channel.check()?;
        self.channel.send(reply)?;
        Ok(self.channel.take_signal())
    }

    /// Tells the guest to look again which LUNs there are: after [`Lun::attach`], [`Lun::detach`], or both
    /// for several.
    ///
    /// Only the primary channel tells it, only once the negotiation is over, and only since version 4.2; else
    /// nothing is sent. Linux asks every disk that it has whether it is there, then scans.
    ///
    /// # Errors
    /// A breach of the protocol, now or before.
    pub fn enumerate_bus(&mut self) -> Result<Signal, Fault> {
        self.notify(Notice::EnumerateBus)
    }

    /// Tells the guest that a device went away. Linux does the same as at
    /// [`enumerate_bus`](Self::enumerate_bus), which is what Hyper-V sends in either case.
    ///
    /// # Errors
    /// A breach of the protocol, now or before.
    pub fn remove_device(&mut self) -> Result<Signal, Fault> {
        self.notify(Notice::RemoveDevice)
    }

    fn notify(&mut self, notice: Notice) -> Result<Signal, Fault> {
        self.channel.check()?;
        self.channel.notify(notice);
        self.channel.flush()?;
        Ok(self.channel.take_signal())
    }

    /// Ends the service, when the guest closes the channel: nothing is read or written any more.
    ///
    /// Requests that are [outstanding](Self::outstanding) still use guest memory. Wait for them, and give
    /// their tickets to [`complete`](Self::complete), which says [`Fault::Closed`] for each; then the channel
    /// can be told closed.
    pub fn close(&mut self) {
        if self.channel.fault().is_none() {
            let _ = self.channel.poison::<()>(Fault::Closed);
        }
    }
}

/// What became of a look at the ring. The signal is owed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// A request that the disk has to do something for was handed on.
    Request,
    /// A packet was answered, and the embedder is to know of an event.
    Event,
    /// As for [`Next`].
    Again,
    Busy,
    Blocked,
    Idle,
}

impl<M: RingMem, const DEPTH: usize> Channel<M, DEPTH> {
    /// Takes the next packet. It is answered at once, or handed to `run` when it needs work of a disk.
    ///
    /// What a request is goes to `run`, and an event to `event`, rather than into what is returned: moved about in an enum,
    /// each would be written and read several times for every packet.
    #[inline]
    fn take<'q, 'l, B: BlockBackend>(
        &mut self,
        scratch: &'q mut [u8],
        parameters: &'q mut ParameterList,
        luns: &'l [Lun<B>],
        memory: &'q B::Memory,
        event: &mut Option<Event>,
        run: impl FnOnce(&mut Self, &'l Lun<B>, &Job<'q>, Segments<'q>, &Asked<'_>) -> Result<(), Fault>,
    ) -> Result<Taken, Fault> {
        self.check()?;
        let flushed = self.flush()?;
        if self.tickets.is_full() {
            self.release();
            // Requests under way come back by themselves; what waits for the ring does not.
            let blocked = flushed == Flushed::Blocked && self.tickets.running() == 0;
            return Ok(if blocked { Taken::Blocked } else { Taken::Busy });
        }
        self.ring.incoming.mask_interrupts();
        let most = scratch.len();
        let packet = match self.ring.incoming.read(scratch) {
            Ok(Some(packet)) => packet,
            Ok(None) => {
                self.release();
                // A packet that came just now brings no signal.
                let look_again = self.ring.incoming.unmask_interrupts();
                return Ok(match (look_again, flushed) {
                    (true, _) => Taken::Again,
                    (false, Flushed::Blocked) => Taken::Blocked,
                    (false, Flushed::All) => Taken::Idle,
                });
            }
            Err(error) => return self.poison(read_fault(error, most)),
        };
        self.counters.packets = self.counters.packets.wrapping_add(1);
        // It is copied out: the guest can have the room back.
        let signal = self.ring.incoming.release_part();
        self.owe(signal);
        match packet.kind() {
            PacketType::IN_BAND | PacketType::GPA_DIRECT => {}
            kind => return self.poison(Fault::PacketType { kind }),
        }
        let sender = Sender::of(&packet);
        let payload = packet.payload();
        let Some(body) = GuestMessage::command(payload) else {
            return match GuestMessage::decode(payload) {
                Ok(message) => self.negotiate(sender, &message, event),
                Err(error) => self.refuse_packet(sender, error, event),
            };
        };
        let mut short = ScsiRequest::default();
        let request = match wire::srb(Operation::EXECUTE_SRB, body, &mut short) {
            Ok(request) => request,
            Err(error) => return self.refuse_packet(sender, error, event),
        };
        self.counters.commands = self.counters.commands.wrapping_add(1);
        let (cdb, buffer) = match judge_srb(&packet, request, self.negotiation.stage(), &self.config) {
            Ok(judged) => judged,
            Err(refusal) => return self.refuse(sender.refuse_srb(request, &refusal), refusal, event),
        };
        let call = Call {
            cdb,
            buffer,
            memory,
            max_transfer_bytes: self.config.max_transfer_bytes,
        };
        let command = Command::parse(&call.cdb);
        let lun = match target::lun(luns, request.address(), &command, &call) {
            Ok(lun) => lun,
            Err(outcome) => return self.end(sender, request, &outcome),
        };
        match &call.plan(lun, &command, parameters) {
            Ok(Plan { job, transferred }) => {
                let asked = Asked {
                    request,
                    sender,
                    transferred: *transferred,
                    writes: job.writes(),
                };
                run(self, lun, job, call.buffer, &asked)?;
                Ok(Taken::Request)
            }
            Err(outcome) => self.end(sender, request, outcome),
        }
    }

    /// Ends a command that needed no disk.
    fn end(&mut self, sender: Sender, request: &ScsiRequest, outcome: &Outcome) -> Result<Taken, Fault> {
        self.send_end(&sender, request, outcome)?;
        Ok(Taken::Again)
    }

    /// Answers what is no message of a guest's.
    #[cold]
    fn refuse_packet(
        &mut self,
        sender: Sender,
        error: WireError,
        event: &mut Option<Event>,
    ) -> Result<Taken, Fault> {
        let status = match error {
            WireError::NotForThisDirection { .. } => NtStatus::INVALID_DEVICE_REQUEST,
            _ => NtStatus::INVALID_PARAMETER,
        };
        self.refuse(sender.reply(status, &CompletionBody::Empty), error.into(), event)
    }

    #[cold]
    fn refuse(
        &mut self,
        reply: Option<Reply>,
        refusal: Refusal,
        event: &mut Option<Event>,
    ) -> Result<Taken, Fault> {
        self.counters.refused = self.counters.refused.wrapping_add(1);
        self.send(reply)?;
        *event = Some(Event::Refused(refusal));
        Ok(Taken::Event)
    }

    #[cold]
    fn negotiate(
        &mut self,
        sender: Sender,
        message: &GuestMessage,
        event: &mut Option<Event>,
    ) -> Result<Taken, Fault> {
        let answer = self.negotiation.handle(message, &self.config);
        let reply = sender.reply(answer.status, &answer.body);
        let operation = message.operation();
        match (answer.status, answer.event) {
            (NtStatus::INVALID_DEVICE_STATE, _) => {
                self.refuse(reply, Refusal::OutOfOrder { operation }, event)
            }
            (NtStatus::SUCCESS, None) => {
                self.send(reply)?;
                Ok(Taken::Again)
            }
            (NtStatus::SUCCESS, told) => {
                self.send(reply)?;
                *event = told;
                Ok(Taken::Event)
            }
            _ => self.refuse(reply, Refusal::NotOffered { operation }, event),
        }
    }
}
