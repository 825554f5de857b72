//! What a service tells its driver.

use thiserror::Error;

use crate::ic::Breach;
use crate::ic::wire::{Body, DecodeError, MessageType, NoRoom, Status, Versions};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<R> {
    /// Versions are agreed on. A host may negotiate again at any time.
    Ready(Versions),
    /// The host asks or tells something. Unless it is answered by itself, it has to be answered, and nothing else is taken before.
    Request(R),
    /// Something that the host sent was wrong, and was answered so. For a log, once a kind.
    Refused(Refusal),
}

/// What was wrong with a request that was answered with a failure. The host's fault; the channel goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its body is none of its type's.
    #[error(transparent)]
    Body(#[from] DecodeError),
    /// It is of another service, or of none.
    #[error("{message_type} on the channel of another service")]
    MessageType {
        /// Its type.
        message_type: MessageType,
    },
    /// It came before versions were agreed on.
    #[error("a request before versions are agreed on")]
    NotNegotiated,
    /// The host offers no version that this end speaks.
    #[error("no version in common")]
    NoVersion,
    /// It asks for a kind of shutdown that there is not.
    #[error("a shutdown with flags {flags:#x}")]
    ShutdownFlags {
        /// Its flags.
        flags: u32,
    },
}

impl Refusal {
    /// A body that is not of the channel's service.
    pub(super) const fn of(body: &Body<'_>) -> Self {
        Self::MessageType {
            message_type: body.message_type(),
        }
    }

    /// How the host is told.
    pub(super) const fn status(&self) -> Status {
        match self {
            Self::MessageType { .. } => Status::NOT_SUPPORTED,
            Self::Body(_) | Self::ShutdownFlags { .. } => Status::INVALID_ARGUMENT,
            Self::NotNegotiated | Self::NoVersion => Status::FAIL,
        }
    }
}

/// A breach of the protocol by the host for which there is no answer. The channel returns it from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// What was breached.
    #[error(transparent)]
    Breach(#[from] Breach),
}

/// Why an answer was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The host waits for no answer. The caller's fault.
    #[error("nothing is asked")]
    NothingAsked,
    /// Such an answer is none to what is asked. The caller's fault; the answer is still due.
    #[error("this is no answer to what is asked")]
    Mismatch,
    /// The channel is poisoned.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<NoRoom> for AnswerError {
    fn from(_: NoRoom) -> Self {
        Self::Mismatch
    }
}
