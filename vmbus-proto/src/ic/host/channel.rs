//! One service's channel: versions are negotiated, requests sent one at a time, answers judged.

use core::fmt;

use vmbus_ringbuf::{Descriptor, Outgoing, RingMem, RingPair, Signal};

use super::{Event, Fault, RequestError};
use crate::ic::receive::{Received, receive, write_breach};
use crate::ic::wire::{
    Body, Envelope, FRAMEWORKS, Frame, GuestMessage, HostMessage, MessageFlags, Service, Status,
    VersionOffer, Versions,
};
use crate::ic::{Polled, ScratchTooSmall, check_scratch};

/// The service that a channel is of: what its answers are. Only this crate implements it.
pub trait Duty {
    /// Interface, versions, sizes.
    const SERVICE: &'static Service;

    /// Whether each request has to be answered before the next.
    #[doc(hidden)]
    const ANSWERED: bool = true;

    /// What the embedder is told of an answer.
    type Answer;

    /// Judges an answer to the last request: its status, and its body where the status is success.
    #[doc(hidden)]
    fn answer(&mut self, status: Status, body: Option<&Body<'_>>) -> Result<Self::Answer, Fault>;
}

/// A service that asks when the embedder wants it to, and has no clock.
pub trait OnDemand: Duty {}

/// A service's channel, as a host serves it. Each service has a name of its own for it: [`Heartbeat`](super::Heartbeat) and so on.
///
/// It is a value that is fed by its rings: call its `poll` after the guest has opened the channel and whenever the guest signals.
pub struct Channel<'s, M, D> {
    ring: RingPair<M>,
    /// The last answer, or a request on its way.
    scratch: &'s mut [u8],
    negotiation: Negotiation,
    /// Number of the last transaction.
    transaction_id: u8,
    /// Whether it waits for its answer.
    asked: bool,
    /// Bytes of the last answer.
    answered: usize,
    fault: Option<Fault>,
    pub(super) duty: D,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Negotiation {
    /// The offer of versions is to be sent.
    Offer,
    /// It was sent.
    Offered,
    Agreed(Versions),
}

impl<'s, M: RingMem, D: Duty> Channel<'s, M, D> {
    pub(super) fn with(ring: RingPair<M>, scratch: &'s mut [u8], duty: D) -> Result<Self, ScratchTooSmall> {
        check_scratch(D::SERVICE, scratch.len())?;
        Ok(Self {
            ring,
            scratch,
            negotiation: Negotiation::Offer,
            transaction_id: 0,
            asked: false,
            answered: 0,
            fault: None,
            duty,
        })
    }

    /// The versions, once both ends have agreed on some.
    #[must_use]
    pub const fn versions(&self) -> Option<Versions> {
        match self.negotiation {
            Negotiation::Agreed(versions) => Some(versions),
            _ => None,
        }
    }

    /// Whether a request waits for its answer.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        self.asked
    }

    /// What poisoned the channel, if anything did.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Sends the offer of versions if that is due, and takes the next answer.
    pub(super) fn step(&mut self) -> Result<Polled<Event<D::Answer>>, Fault> {
        self.check()?;
        let mut signal = self.offer()?;
        self.answered = 0;
        let len = match receive(&mut self.ring.incoming, self.scratch) {
            Ok(Received::Packet {
                len, signal: room, ..
            }) => {
                signal = signal | room;
                len
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
        match self.take(len) {
            Ok(event) => Ok(Polled {
                signal,
                again: true,
                event: Some(event),
            }),
            Err(fault) => self.poison(fault),
        }
    }

    fn take(&mut self, len: usize) -> Result<Event<D::Answer>, Fault> {
        let payload = self.scratch.get(..len).unwrap_or(&[]);
        let frame = Frame::decode(payload).map_err(Fault::message)?;
        let version = self.versions().unwrap_or_default().message;
        let message = GuestMessage::of(&frame, version).map_err(Fault::message)?;
        let (message_type, transaction_id) = (message.message_type(), frame.header.transaction_id);
        let unasked = Fault::Unasked {
            message_type,
            transaction_id,
        };
        let (status, body) = match &message {
            GuestMessage::Negotiate(choice) => {
                if self.negotiation != Negotiation::Offered {
                    return Err(unasked);
                }
                let versions = choice.0.ok_or(Fault::NoVersion)?;
                let offered = FRAMEWORKS.contains(&versions.framework)
                    && D::SERVICE.versions.contains(&versions.message);
                if !offered {
                    return Err(Fault::NotOffered { versions });
                }
                self.negotiation = Negotiation::Agreed(versions);
                return Ok(Event::Ready(versions));
            }
            GuestMessage::Failed(..) => (frame.header.status, None),
            GuestMessage::Response(body) => (frame.header.status, Some(body)),
        };
        let awaited = self.asked && transaction_id == self.transaction_id;
        let expected = if D::ANSWERED {
            awaited
        } else {
            self.versions().is_some()
        };
        if !expected || message_type != D::SERVICE.message_type {
            return Err(unasked);
        }
        let answer = self.duty.answer(status, body)?;
        self.asked = false;
        self.answered = len;
        Ok(Event::Answered(answer))
    }

    /// The body of the answer that the last event told of, when it was a success.
    pub(super) fn answered(&self) -> Option<Body<'_>> {
        let payload = self.scratch.get(..self.answered)?;
        let frame = Frame::decode(payload).ok()?;
        match GuestMessage::of(&frame, self.versions()?.message) {
            Ok(GuestMessage::Response(body)) => Some(body),
            _ => None,
        }
    }

    fn offer(&mut self) -> Result<Signal, Fault> {
        if self.negotiation != Negotiation::Offer {
            return Ok(Signal::NotNeeded);
        }
        let offer = HostMessage::Negotiate(VersionOffer {
            frameworks: FRAMEWORKS,
            messages: D::SERVICE.versions,
        });
        match self.put(&offer, Versions::default()) {
            Ok(signal) => {
                self.negotiation = Negotiation::Offered;
                Ok(signal)
            }
            Err(RequestError::Fault(fault)) => self.poison(fault),
            // It is sent when the guest has made room.
            Err(_) => Ok(Signal::NotNeeded),
        }
    }

    /// Whether a request may be sent now, by the versions that were agreed on.
    pub(super) fn ready(&self) -> Result<Versions, RequestError> {
        self.check()?;
        let versions = self.versions().ok_or(RequestError::NotReady)?;
        if self.asked && D::ANSWERED {
            return Err(RequestError::Busy);
        }
        Ok(versions)
    }

    /// Sends a request.
    pub(super) fn send(&mut self, body: Body<'_>) -> Result<Signal, RequestError> {
        let versions = self.ready()?;
        self.transaction_id = self.transaction_id.wrapping_add(1);
        let signal = self.put(&HostMessage::Request(body), versions)?;
        self.asked = true;
        Ok(signal)
    }

    fn put(&mut self, message: &HostMessage<'_>, versions: Versions) -> Result<Signal, RequestError> {
        self.answered = 0;
        let envelope = Envelope {
            framework: versions.framework,
            version: versions.message,
            status: Status::SUCCESS,
            transaction_id: self.transaction_id,
            flags: MessageFlags::TRANSACTION | MessageFlags::REQUEST,
        };
        let payload = message.encode(&envelope, self.scratch)?;
        let written = self.ring.outgoing.write(&Outgoing {
            transaction_id: self.transaction_id.into(),
            request_completion: false,
            descriptor: Descriptor::InBand,
            payload: &[payload],
        });
        match written.map_err(write_breach) {
            Ok(signal) => Ok(signal),
            Err(None) => Err(RequestError::RingFull),
            Err(Some(breach)) => Ok(self.poison(breach.into())?),
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

impl<'s, M: RingMem, D: OnDemand + Default> Channel<'s, M, D> {
    /// The service on a channel that the guest has just opened.
    ///
    /// # Errors
    /// When the scratch is smaller than [`Service::packet_max`].
    pub fn new(ring: RingPair<M>, scratch: &'s mut [u8]) -> Result<Self, ScratchTooSmall> {
        Self::with(ring, scratch, D::default())
    }

    /// Negotiates versions, and takes the next answer.
    ///
    /// # Errors
    /// A breach of the protocol, or a guest that speaks no version of this end; from then on always.
    pub fn poll(&mut self) -> Result<Polled<Event<D::Answer>>, Fault> {
        self.step()
    }
}

impl<M, D> fmt::Debug for Channel<'_, M, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("negotiation", &self.negotiation)
            .field("transaction_id", &self.transaction_id)
            .field("asked", &self.asked)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
