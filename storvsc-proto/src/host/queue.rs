//! The service of one channel.

use thiserror::Error;
use vmbus_proto::ringbuf::{RingMem, RingPair, Signal};

use super::channel::{Channel, Counters, Flushed, Notice, Sender, judge_srb, read_fault};
use super::disk::{Call, ParameterList, Work};
use super::event::{Event, Fault, Refusal};
use super::lun::Lun;
use super::negotiation::Negotiation;
use super::tickets::{Reply, Running, Ticket};
use super::{BlockBackend, BlockError, Config, SetupError, target};
use crate::wire::{CompletionBody, GuestMessage, NtStatus, ProtocolVersion, WireError};

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
        let mut served = Served {
            signal: Signal::NotNeeded,
            again: true,
            event: None,
        };
        for _ in 0..budget {
            let Accepted { signal, next } = self.take(luns, memory, |channel, lun, work, running| {
                let result = work.perform(lun.backend(), memory);
                channel.answered(running.finish(result), Next::Again)
            })?;
            served.signal = served.signal | signal;
            match next {
                Next::Event(event) => {
                    served.event = Some(event);
                    break;
                }
                // Every request was answered at once.
                Next::Again | Next::Request { .. } => {}
                Next::Busy | Next::Blocked | Next::Idle => {
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
        self.take(luns, memory, |channel, lun, work, running| {
            match channel.tickets.start(running) {
                Some(ticket) => channel.accepted(Next::Request { ticket, lun, work }),
                // Looked at before: there is a place.
                None => channel.accepted(Next::Busy),
            }
        })
    }

    /// Takes the next packet, and has `run` see to a request that needs work of a disk.
    #[inline]
    fn take<'q, 'l, B: BlockBackend>(
        &'q mut self,
        luns: &'l [Lun<B>],
        memory: &'q B::Memory,
        run: impl FnOnce(&mut Channel<M, DEPTH>, &'l Lun<B>, Work<'q>, Running) -> Taken<'q, 'l, B>,
    ) -> Taken<'q, 'l, B> {
        let Self {
            channel,
            scratch,
            parameters,
        } = self;
        channel.check()?;
        let flushed = channel.flush()?;
        if channel.tickets.is_full() {
            channel.release();
            // Requests under way come back by themselves; what waits for the ring does not.
            let blocked = flushed == Flushed::Blocked && channel.tickets.running() == 0;
            return channel.accepted(if blocked { Next::Blocked } else { Next::Busy });
        }
        channel.ring.incoming.mask_interrupts();
        let scratch = scratch.as_mut();
        let most = scratch.len();
        let packet = match channel.ring.incoming.read(scratch) {
            Ok(Some(packet)) => packet,
            Ok(None) => {
                channel.release();
                // A packet that came just now brings no signal.
                let look_again = channel.ring.incoming.unmask_interrupts();
                return channel.accepted(match (look_again, flushed) {
                    (true, _) => Next::Again,
                    (false, Flushed::Blocked) => Next::Blocked,
                    (false, Flushed::All) => Next::Idle,
                });
            }
            Err(error) => return channel.poison(read_fault(error, most)),
        };
        channel.counters.packets = channel.counters.packets.wrapping_add(1);
        // It is copied out: the guest can have the room back.
        let signal = channel.ring.incoming.release_part();
        channel.owe(signal);
        let sender = match Sender::of(&packet) {
            Ok(sender) => sender,
            Err(fault) => return channel.poison(fault),
        };
        let payload = packet.payload();
        let decoded = match GuestMessage::command(payload) {
            Some(request) => request,
            None => match GuestMessage::decode(payload) {
                Ok(message) => return channel.negotiate(sender, &message),
                Err(error) => Err(error),
            },
        };
        let request = match decoded {
            Ok(request) => request,
            Err(error) => {
                let status = match error {
                    WireError::NotForThisDirection { .. } => NtStatus::INVALID_DEVICE_REQUEST,
                    _ => NtStatus::INVALID_PARAMETER,
                };
                return channel.refuse(sender.reply(status, &CompletionBody::Empty), error.into());
            }
        };
        channel.counters.commands = channel.counters.commands.wrapping_add(1);
        let (cdb, buffer) = match judge_srb(&packet, &request, channel.negotiation.stage(), &channel.config) {
            Ok(judged) => judged,
            Err(refusal) => return channel.refuse(sender.refuse_srb(&request, &refusal), refusal),
        };
        let max_transfer_bytes = channel.config.max_transfer_bytes;
        let call = Call {
            cdb,
            buffer,
            memory,
            max_transfer_bytes,
            parameters,
        };
        let running = sender.running(request);
        match target::plan(luns, request.address(), call) {
            target::Planned::Done(outcome) => {
                let reply = running.reply(&outcome, outcome.srb_status().nt_status());
                channel.answered(reply, Next::Again)
            }
            target::Planned::Work {
                lun,
                work,
                transferred,
            } => {
                let running = Running {
                    transferred,
                    writes: work.writes(),
                    ..running
                };
                run(channel, lun, work, running)
            }
        }
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

/// What `take` ends with.
type Taken<'q, 'l, B> = Result<Accepted<'q, 'l, B>, Fault>;

/// What `take` ends with, which lends nothing of the packet.
impl<M: RingMem, const DEPTH: usize> Channel<M, DEPTH> {
    #[inline]
    fn accepted<'q, 'l, B>(&mut self, next: Next<'q, 'l, B>) -> Result<Accepted<'q, 'l, B>, Fault> {
        Ok(Accepted {
            signal: self.take_signal(),
            next,
        })
    }

    /// Sends an answer, or keeps it.
    #[inline]
    fn answered<'q, 'l, B>(
        &mut self,
        reply: Option<Reply>,
        next: Next<'q, 'l, B>,
    ) -> Result<Accepted<'q, 'l, B>, Fault> {
        self.send(reply)?;
        self.accepted(next)
    }

    #[cold]
    fn refuse<'q, 'l, B>(
        &mut self,
        reply: Option<Reply>,
        refusal: Refusal,
    ) -> Result<Accepted<'q, 'l, B>, Fault> {
        self.counters.refused = self.counters.refused.wrapping_add(1);
        self.answered(reply, Next::Event(Event::Refused(refusal)))
    }

    #[cold]
    fn negotiate<'q, 'l, B>(
        &mut self,
        sender: Sender,
        message: &GuestMessage,
    ) -> Result<Accepted<'q, 'l, B>, Fault> {
        let answer = self.negotiation.handle(message, &self.config);
        let reply = sender.reply(answer.status, &answer.body);
        let operation = message.operation();
        match (answer.status, answer.event) {
            (NtStatus::INVALID_DEVICE_STATE, _) => self.refuse(reply, Refusal::OutOfOrder { operation }),
            (NtStatus::SUCCESS, Some(event)) => self.answered(reply, Next::Event(event)),
            (NtStatus::SUCCESS, None) => self.answered(reply, Next::Again),
            _ => self.refuse(reply, Refusal::NotOffered { operation }),
        }
    }
}
