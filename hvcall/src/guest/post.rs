//! Messages and events to the host.

use core::time::Duration;

use thiserror::Error;

use super::gate::{self, Gate, SharedPage};
use crate::synic::{MessageError, MessageType};
use crate::wire::{PostMessageInput, SignalEventInput};
use crate::{ConnectionId, HvStatus};

/// Signals an event of a connection, in the fast form. VMBus: flag 0.
///
/// # Errors
///
/// The hypervisor's answer. None is passing: a signal is never to be repeated.
pub fn signal_event(
    gate: &(impl Gate + ?Sized),
    connection: ConnectionId,
    flag_number: u16,
) -> Result<(), HvStatus> {
    let input = SignalEventInput {
        connection_id: connection.0.into(),
        flag_number: flag_number.into(),
        reserved: 0.into(),
    };
    gate::signal_event(gate, input).status().ok()
}

/// A message on its way to the host: post it, and as long as the host says so, wait and post it again.
///
/// It waits for nothing itself, so a kernel can sleep, spin or do other things meanwhile.
///
/// ```
/// use hvcall::ConnectionId;
/// use hvcall::guest::{Gate, Post, PostError, Posted, SharedPage};
/// use hvcall::synic::MessageType;
///
/// fn say(gate: &impl Gate, page: &mut SharedPage, sleep: fn(core::time::Duration)) -> Result<(), PostError> {
///     let mut post = Post::new(ConnectionId(4), MessageType::VMBUS, b"hello")?;
///     while let Posted::Again { wait } = post.attempt(gate, page)? {
///         sleep(wait);
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Post {
    input: PostMessageInput,
    backoff: PostBackoff,
}

impl Post {
    /// A message to this connection with a copy of the payload, not posted yet.
    ///
    /// # Errors
    ///
    /// The payload is longer than 240 bytes, or the type is none that a guest may post.
    pub fn new(
        connection: ConnectionId,
        message_type: MessageType,
        payload: &[u8],
    ) -> Result<Self, MessageError> {
        Ok(Self {
            input: PostMessageInput::new(connection, message_type, payload)?,
            backoff: PostBackoff::new(),
        })
    }

    /// The same message with another policy for trying again.
    #[must_use]
    pub const fn with_backoff(mut self, backoff: PostBackoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Posts the message through the page, whose first 256 bytes are overwritten. No other call may use the page
    /// meanwhile, and it is no page of the SynIC's.
    ///
    /// # Errors
    ///
    /// The host refused the message for good, or too often.
    pub fn attempt(
        &mut self,
        gate: &(impl Gate + ?Sized),
        page: &mut SharedPage,
    ) -> Result<Posted, PostError> {
        let status = gate::post_message(gate, page, &self.input).status();
        self.backoff.answered(status)
    }
}

/// What came of an attempt to post a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a message that has to wait has not been sent"]
pub enum Posted {
    /// The host has it.
    Done,
    /// The host cannot take it now: try again after this time.
    Again {
        /// How long.
        wait: Duration,
    },
}

/// How long to wait before a refused message is posted again: 1 µs, then twice as long each time, up to 256 ms, and 100
/// attempts in all, which take 21 s. Linux's `vmbus_post_msg` has the same figures.
///
/// It is a part of [`Post`], and of use by itself to those who post in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostBackoff {
    refusals: u8,
    attempts: u8,
    connection_is_sure: bool,
}

/// Doublings of the delay: 2^18 µs are 262 ms.
const DOUBLINGS_MAX: u8 = 18;

impl PostBackoff {
    /// Attempts that there are unless the caller wants fewer or more.
    pub const ATTEMPTS: u8 = 100;
    /// The longest time that it asks to wait.
    pub const WAIT_MAX: Duration = Duration::from_millis(256);

    /// Before the first attempt.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            refusals: 0,
            attempts: Self::ATTEMPTS,
            connection_is_sure: false,
        }
    }

    /// The same with so many attempts in all. There is one at least.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u8) -> Self {
        self.attempts = attempts;
        self
    }

    /// The same, but [`INVALID_CONNECTION_ID`](HvStatus::INVALID_CONNECTION_ID) is final. A host answers so for a short
    /// time while it sets up a connection; but while VMBus negotiates, it also says so of an id that the version asked
    /// for has and the host has not, and a guest had better ask for another version then.
    #[must_use]
    pub const fn without_unknown_connection(mut self) -> Self {
        self.connection_is_sure = true;
        self
    }

    /// Takes the answer to an attempt.
    ///
    /// # Errors
    ///
    /// The status is not [passing](HvStatus::is_passing_for_post), or there are no attempts left.
    pub fn answered(&mut self, status: HvStatus) -> Result<Posted, PostError> {
        if status.is_success() {
            return Ok(Posted::Done);
        }
        let is_final = self.connection_is_sure && status == HvStatus::INVALID_CONNECTION_ID;
        if !status.is_passing_for_post() || is_final {
            return Err(PostError::Refused { status });
        }
        let wait = Duration::from_micros(1 << self.refusals.min(DOUBLINGS_MAX)).min(Self::WAIT_MAX);
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals >= self.attempts {
            return Err(PostError::GaveUp {
                status,
                attempts: self.refusals,
            });
        }
        Ok(Posted::Again { wait })
    }
}

impl Default for PostBackoff {
    fn default() -> Self {
        Self::new()
    }
}

/// A message was not posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PostError {
    /// It is no message: the caller's fault.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The host refused it with a status that does not pass.
    #[error("the host refused a message: {status}")]
    Refused {
        /// Why.
        status: HvStatus,
    },
    /// The host could not take it, however often it was tried.
    #[error("the host did not take a message in {attempts} attempts, the last time because of {status}")]
    GaveUp {
        /// Why, the last time.
        status: HvStatus,
        /// How often it was tried.
        attempts: u8,
    },
}
