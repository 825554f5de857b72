//! One service's channel: versions are negotiated, requests taken and answered in place.

use core::fmt;

use vmbus_ringbuf::{Descriptor, Outgoing, RingMem, RingPair, Signal};
use zerocopy::FromBytes;

use super::{AnswerError, Event, Fault, Refusal};
use crate::ic::receive::{Received, receive, write_breach};
use crate::ic::wire::{
    Body, Envelope, FRAMEWORKS, Frame, GuestMessage, HEADERS_SIZE, HostMessage, MessageFlags, MessageHeader,
    NoRoom, Service, Status, VersionChoice, Versions,
};
use crate::ic::{Breach, Polled, ScratchTooSmall, check_scratch};
use crate::wire::PipeHeader;

/// The service that a channel is of: what it does with a request. Only this crate implements it.
pub trait Duty {
    /// Interface, versions, sizes.
    const SERVICE: &'static Service;

    /// What the embedder is told of a request.
    type Request;

    /// Takes a request.
    #[doc(hidden)]
    fn take(&mut self, body: &Body<'_>) -> Taken<Self::Request>;

    /// Fills in the body of an answer that needs no embedder.
    #[doc(hidden)]
    fn fill(&self, _body: &mut [u8]) {}
}

/// A service whose requests the embedder answers.
pub trait Deferred: Duty {}

/// What becomes of a request.
#[doc(hidden)]
#[derive(Debug)]
pub enum Taken<R> {
    /// It is answered at once.
    Answer(R),
    /// The embedder answers.
    Keep(R),
    /// It is refused.
    Refuse(Refusal),
}

/// A service's channel, as a guest's driver has it. Each service has a name of its own for it: [`Heartbeat`](super::Heartbeat) and so on.
///
/// It is a value that is fed by its rings: call [`poll`](Self::poll) after opening the channel and whenever the host signals.
pub struct Channel<'s, M, D> {
    ring: RingPair<M>,
    /// The request, and in its place the answer.
    scratch: &'s mut [u8],
    versions: Option<Versions>,
    state: State,
    fault: Option<Fault>,
    pub(super) duty: D,
}

/// What stands in the scratch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Nothing,
    /// A request that the embedder has to answer.
    Asked(Place),
    /// An answer that waits for room.
    Answered(Place),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    transaction_id: u64,
    len: usize,
}

impl<'s, M: RingMem, D: Duty + Default> Channel<'s, M, D> {
    /// The service on a channel that was just opened.
    ///
    /// # Errors
    /// When the scratch is smaller than [`Service::packet_max`].
    pub fn new(ring: RingPair<M>, scratch: &'s mut [u8]) -> Result<Self, ScratchTooSmall> {
        check_scratch(D::SERVICE, scratch.len())?;
        Ok(Self {
            ring,
            scratch,
            versions: None,
            state: State::Nothing,
            fault: None,
            duty: D::default(),
        })
    }
}

impl<M: RingMem, D: Duty> Channel<'_, M, D> {
    /// The versions, once both ends have agreed on some.
    #[must_use]
    pub const fn versions(&self) -> Option<Versions> {
        self.versions
    }

    /// What poisoned the channel, if anything did.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Takes the next request of the host's. Nothing is taken while one waits for its answer.
    ///
    /// # Errors
    /// A breach of the protocol, from then on always.
    pub fn poll(&mut self) -> Result<Polled<Event<D::Request>>, Fault> {
        self.check()?;
        let mut signal = self.flush()?;
        if self.state != State::Nothing {
            return Ok(Polled {
                signal,
                again: false,
                event: None,
            });
        }
        let place = match receive(&mut self.ring.incoming, self.scratch) {
            Ok(Received::Packet {
                transaction_id,
                len,
                signal: room,
            }) => {
                signal = signal | room;
                Place { transaction_id, len }
            }
            Ok(Received::Nothing { again }) => {
                return Ok(Polled {
                    signal,
                    again,
                    event: None,
                });
            }
            Err(breach) => return self.poison(breach.into()),
        };
        let event = match self.take(place) {
            Ok(event) => event,
            Err(breach) => return self.poison(breach.into()),
        };
        signal = signal | self.flush()?;
        Ok(Polled {
            signal,
            again: true,
            event: Some(event),
        })
    }

    /// Judges what was received, and answers it where it is to be answered at once.
    fn take(&mut self, place: Place) -> Result<Event<D::Request>, Breach> {
        let payload = self.scratch.get(..place.len).unwrap_or(&[]);
        let frame = Frame::decode(payload)?;
        let envelope = frame.envelope();
        let len = HEADERS_SIZE.saturating_add(frame.body.len());
        let place = Place { len, ..place };
        let version = self.versions.unwrap_or_default().message;
        if envelope.flags.contains(MessageFlags::RESPONSE) {
            // Nobody waits for the answer to an answer.
            HostMessage::of(&frame, version)?;
        }
        let taken = match HostMessage::of(&frame, version) {
            Ok(HostMessage::Negotiate(offer)) => {
                let chosen = offer.choose(FRAMEWORKS, D::SERVICE.versions);
                return Ok(self.negotiated(place, &envelope, chosen));
            }
            Ok(HostMessage::Request(body)) if body.message_type() == D::SERVICE.message_type => {
                if self.versions.is_some() {
                    self.duty.take(&body)
                } else {
                    Taken::Refuse(Refusal::NotNegotiated)
                }
            }
            Ok(HostMessage::Request(body)) => Taken::Refuse(Refusal::MessageType {
                message_type: body.message_type(),
            }),
            Err(error) => Taken::Refuse(error.into()),
        };
        self.trim(len);
        Ok(match taken {
            Taken::Keep(request) => {
                self.state = State::Asked(place);
                Event::Request(request)
            }
            Taken::Answer(request) => {
                self.reply(place, Status::SUCCESS);
                let Self { scratch, duty, .. } = self;
                if let Some(body) = scratch.get_mut(HEADERS_SIZE..len) {
                    duty.fill(body);
                }
                Event::Request(request)
            }
            Taken::Refuse(refusal) => {
                self.reply(place, refusal.status());
                Event::Refused(refusal)
            }
        })
    }

    /// Ends the message with its body, of which alone the embedder reads and the answer is made. What the host's pipe said may go beyond.
    fn trim(&mut self, len: usize) {
        let size = len.saturating_sub(size_of::<PipeHeader>());
        let pipe = PipeHeader::mut_from_prefix(self.scratch);
        if let (Ok((pipe, _)), Some(header)) = (pipe, PipeHeader::data(size)) {
            *pipe = header;
        }
    }

    /// Puts the choice of versions in the place of the offer.
    fn negotiated(&mut self, place: Place, asked: &Envelope, chosen: Option<Versions>) -> Event<D::Request> {
        self.versions = chosen;
        let envelope = Envelope {
            status: Status::SUCCESS,
            flags: MessageFlags::TRANSACTION,
            ..*asked
        };
        let choice = GuestMessage::Negotiate(VersionChoice(chosen));
        // The scratch has room for it: it has room for the longest packet, which is longer.
        let len = choice.encode(&envelope, self.scratch).map_or(0, <[u8]>::len);
        self.state = State::Answered(Place { len, ..place });
        match chosen {
            Some(versions) => Event::Ready(versions),
            None => Event::Refused(Refusal::NoVersion),
        }
    }

    /// Makes the request its own answer.
    fn reply(&mut self, place: Place, status: Status) {
        let header = self.scratch.get_mut(size_of::<PipeHeader>()..);
        if let Some(Ok((header, _))) = header.map(MessageHeader::mut_from_prefix) {
            header.status = status;
            header.flags = (MessageFlags::TRANSACTION | MessageFlags::RESPONSE).bits();
        }
        self.state = State::Answered(place);
    }

    /// The request that the embedder has to answer.
    pub(super) fn asked(&self) -> Option<Body<'_>> {
        let State::Asked(place) = self.state else {
            return None;
        };
        let frame = Frame::decode(self.scratch.get(..place.len)?).ok()?;
        let version = self.versions?.message;
        Body::read(frame.header.message_type, frame.body, version).ok()
    }

    /// Answers the request, once `fill` has filled in its body.
    pub(super) fn answer_with(
        &mut self,
        status: Status,
        fill: impl FnOnce(&mut [u8]) -> Result<(), NoRoom>,
    ) -> Result<Signal, AnswerError> {
        self.check()?;
        let State::Asked(place) = self.state else {
            return Err(AnswerError::NothingAsked);
        };
        let body = self.scratch.get_mut(HEADERS_SIZE..place.len).unwrap_or(&mut []);
        fill(body)?;
        self.reply(place, status);
        Ok(self.flush()?)
    }

    /// Sends the answer, or leaves it for later when the ring is full.
    fn flush(&mut self) -> Result<Signal, Fault> {
        let State::Answered(place) = self.state else {
            return Ok(Signal::NotNeeded);
        };
        let written = self.ring.outgoing.write(&Outgoing {
            transaction_id: place.transaction_id,
            request_completion: false,
            descriptor: Descriptor::InBand,
            payload: &[self.scratch.get(..place.len).unwrap_or(&[])],
        });
        match written.map_err(write_breach) {
            Ok(signal) => {
                self.state = State::Nothing;
                Ok(signal)
            }
            Err(None) => Ok(Signal::NotNeeded),
            Err(Some(breach)) => self.poison(breach.into()),
        }
    }

    fn check(&self) -> Result<(), Fault> {
        self.fault.map_or(Ok(()), Err)
    }

    fn poison<T>(&mut self, fault: Fault) -> Result<T, Fault> {
        self.fault = Some(fault);
        Err(fault)
    }
}

impl<M: RingMem, D: Deferred> Channel<'_, M, D> {
    /// Answers the request with a status, its body left as it is. [`poll`](Self::poll) again afterwards: no signal came for what the host
    /// has sent meanwhile.
    ///
    /// While the outgoing ring is full the answer is kept, and sent by a later poll.
    ///
    /// # Errors
    /// When nothing was asked, or the channel is poisoned.
    pub fn answer(&mut self, status: Status) -> Result<Signal, AnswerError> {
        self.answer_with(status, |_| Ok(()))
    }
}

impl<M, D> fmt::Debug for Channel<'_, M, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("versions", &self.versions)
            .field("state", &self.state)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
