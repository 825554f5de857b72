//! RNDIS requests under way: a bounded table over memory that the host reads.

use vmbus_proto::ringbuf::SharedMem;
use vmbus_proto::ringbuf::gpa::GpaRange;
use zerocopy::little_endian::U32;

use crate::nic::{Offloads, OutOfRange};
use crate::wire::nvsp::Status;
use crate::wire::oid::Oid;
use crate::wire::rndis::PacketFilter;
use crate::wire::rndis_message::GuestMessage;

use super::config::ConfigError;
use super::fault::ControlError;
use super::pages::Pages;

/// Bytes of memory for one RNDIS request. The longest that the engine sends, of receive scaling, has 620.
pub const REQUEST_LEN: usize = 1024;

/// RNDIS requests that may be under way, with as much memory lent.
pub const MAX_REQUESTS: usize = 4;

/// A request that the host has. It is told answered or failed once, and its id then means nothing any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u32);

/// What comes of a set when the host has done it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    None,
    Filter(PacketFilter),
    Offloads(Offloads),
}

/// What a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Initialize,
    /// A query of the engine's own, while the NIC is brought up.
    BringUp(Oid),
    Query,
    Set(Effect),
    Keepalive,
    Reset,
    Halt,
    /// The answer to the host's own question whether anyone is there.
    Alive,
}

impl Kind {
    /// Whether the driver asked for it.
    const fn is_driver(self) -> bool {
        !matches!(
            self,
            Self::Initialize | Self::BringUp(_) | Self::Halt | Self::Alive
        )
    }

    /// Whether the host answers it, besides taking it.
    const fn is_answered(self) -> bool {
        !matches!(self, Self::Halt | Self::Alive)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    /// Not sent yet; its bytes.
    Waiting(Kind, u32),
    /// The host has it. Whether it has let go of the memory: that comes before the answer, or after it.
    Sent(Kind, bool),
    /// Answered, and the host has not let go of the memory.
    Answered,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// How often the place was used, of which 24 bits are told.
    generation: u32,
    state: State,
}

/// The table.
#[derive(Debug)]
pub(super) struct Requests<'p, B> {
    pages: Pages<'p, B>,
    places: heapless::Vec<Place, MAX_REQUESTS>,
}

impl<'p, B: SharedMem> Requests<'p, B> {
    pub(super) fn new(pages: Pages<'p, B>) -> Result<Self, ConfigError> {
        let count = pages.len().checked_div(REQUEST_LEN).unwrap_or_default();
        if count == 0 {
            let len = u32::try_from(REQUEST_LEN).unwrap_or_default();
            let value = u32::try_from(pages.len()).unwrap_or(u32::MAX);
            OutOfRange::check("bytes for requests", value, len..=u32::MAX)?;
        }
        let place = Place {
            generation: 0,
            state: State::Free,
        };
        let places = core::iter::repeat_n(place, count.min(MAX_REQUESTS)).collect();
        Ok(Self { pages, places })
    }

    /// Requests that are not answered.
    pub(super) fn pending(&self) -> usize {
        self.places
            .iter()
            .filter(|place| !matches!(place.state, State::Free | State::Answered))
            .count()
    }

    fn id(&self, index: usize) -> u32 {
        let generation = self.places.get(index).map_or(0, |place| place.generation);
        let place = u32::try_from(index).unwrap_or_default().saturating_add(1);
        generation << 8 | place
    }

    /// The place of a request, if the id is of now.
    fn index(&self, id: u32) -> Option<usize> {
        let index = usize::try_from(id & 0xff).ok()?.checked_sub(1)?;
        (index < self.places.len() && self.id(index) == id).then_some(index)
    }

    /// Makes a request, which is sent when it can be.
    pub(super) fn add<'m>(
        &mut self,
        kind: Kind,
        message: impl FnOnce(U32) -> GuestMessage<'m>,
    ) -> Result<RequestId, ControlError> {
        let busy = ControlError::Busy {
            under_way: self.pending(),
        };
        // A reset has no id: there is one at a time.
        let is_reset = |place: &Place| {
            matches!(
                place.state,
                State::Waiting(Kind::Reset, _) | State::Sent(Kind::Reset, _)
            )
        };
        if kind == Kind::Reset && self.places.iter().any(is_reset) {
            return Err(busy);
        }
        let index = self.places.iter().position(|place| place.state == State::Free);
        let index = index.ok_or(busy)?;
        let id = self.id(index);
        let mut bytes = [0; REQUEST_LEN];
        let encoded = message(U32::new(id)).encode(&mut bytes);
        let bytes = encoded.map_err(|error| ControlError::TooLong {
            len: error.needed,
            limit: error.got,
        })?;
        let len = u32::try_from(bytes.len()).unwrap_or_default();
        // The memory has as many places.
        let _ = self.pages.write(at(index), bytes);
        if let Some(place) = self.places.get_mut(index) {
            place.state = State::Waiting(kind, len);
        }
        Ok(RequestId(id))
    }

    /// The next request that is to be sent: its place and pages.
    pub(super) fn waiting(&self) -> Option<(u8, GpaRange<'p>)> {
        self.places.iter().enumerate().find_map(|(index, place)| {
            let State::Waiting(_, len) = place.state else {
                return None;
            };
            Some((u8::try_from(index).ok()?, self.pages.range(at(index), len)?))
        })
    }

    pub(super) fn mark_sent(&mut self, index: u8) {
        if let Some(place) = self.places.get_mut(usize::from(index))
            && let State::Waiting(kind, _) = place.state
        {
            place.state = State::Sent(kind, false);
        }
    }

    fn end(&mut self, index: usize) {
        if let Some(place) = self.places.get_mut(index) {
            place.generation = place.generation.wrapping_add(1) & 0xff_ffff;
            place.state = State::Free;
        }
    }

    /// The host has let go of a request's memory. What the request was, if this is its end: refused, or one that has
    /// no answer.
    pub(super) fn taken(&mut self, index: u8, status: Status) -> Option<(RequestId, Kind)> {
        let index = usize::from(index);
        let id = RequestId(self.id(index));
        let place = self.places.get_mut(index)?;
        match place.state {
            State::Sent(kind, false) if status == Status::SUCCESS && kind.is_answered() => {
                place.state = State::Sent(kind, true);
                None
            }
            State::Sent(kind, _) => {
                self.end(index);
                Some((id, kind))
            }
            State::Answered => {
                self.end(index);
                None
            }
            State::Free | State::Waiting(..) => None,
        }
    }

    /// The host answers a request: `None` when it has none of this id, and of a kind that is answered so.
    pub(super) fn answered(
        &mut self,
        request_id: u32,
        fits: impl Fn(Kind) -> bool,
    ) -> Option<(RequestId, Kind)> {
        let index = self.index(request_id)?;
        let State::Sent(kind, taken) = self.places.get(index)?.state else {
            return None;
        };
        if !fits(kind) {
            return None;
        }
        if taken {
            self.end(index);
        } else if let Some(place) = self.places.get_mut(index) {
            place.state = State::Answered;
        }
        Some((RequestId(request_id), kind))
    }

    /// The id of the reset that the host has, if it has one.
    pub(super) fn reset(&self) -> Option<u32> {
        let is_reset = |place: &Place| matches!(place.state, State::Sent(Kind::Reset, _));
        self.places.iter().position(is_reset).map(|index| self.id(index))
    }

    /// Ends any request of the driver's that is not answered.
    pub(super) fn end_any(&mut self) -> Option<RequestId> {
        let index = self.places.iter().position(
            |place| matches!(place.state, State::Waiting(kind, _) | State::Sent(kind, _) if kind.is_driver()),
        )?;
        let id = RequestId(self.id(index));
        self.end(index);
        Some(id)
    }
}

/// Where a request's memory begins.
fn at(index: usize) -> u32 {
    u32::try_from(index.saturating_mul(REQUEST_LEN)).unwrap_or(u32::MAX)
}
