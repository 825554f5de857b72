//! What a service tells its embedder.

use thiserror::Error;

use crate::ic::Breach;
use crate::ic::wire::{DecodeError, MessageType, NoRoom, TextTooLong, Version, Versions};

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<A> {
    /// Versions are agreed on: requests may be sent.
    Ready(Versions),
    /// The last request is answered.
    Answered(A),
}

/// A breach of the protocol by the guest. The channel returns it from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// What was breached.
    #[error(transparent)]
    Breach(#[from] Breach),
    /// An answer to what was not asked, or was answered before.
    #[error("{message_type} answers the transaction {transaction_id}, which does not wait")]
    Unasked {
        /// The answer's type.
        message_type: MessageType,
        /// The transaction that it names.
        transaction_id: u8,
    },
    /// An answer whose body is that of another request.
    #[error("an answer to another request than the one that was sent")]
    Mismatch,
    /// The guest chose versions that were not offered.
    #[error("{versions} was not offered")]
    NotOffered {
        /// The versions.
        versions: Versions,
    },
    /// The guest speaks none of the versions. No fault of its, but the end of the channel all the same.
    #[error("no version in common")]
    NoVersion,
}

impl Fault {
    pub(super) const fn message(error: DecodeError) -> Self {
        Self::Breach(Breach::Message(error))
    }
}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Versions are not agreed on yet. The caller's fault.
    #[error("versions are not agreed on yet")]
    NotReady,
    /// A request waits for its answer.
    #[error("a request is under way")]
    Busy,
    /// The guest's ring is full. Try again when the guest signals.
    #[error("the ring is full")]
    RingFull,
    /// The guest's version has no such request, or another form of it. The caller's fault.
    #[error("version {version} has no such request")]
    Version {
        /// The version that was agreed on.
        version: Version,
    },
    /// A part of the request is longer than can be told. The caller's fault.
    #[error("the request is too long")]
    TooLong,
    /// The channel is poisoned.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<NoRoom> for RequestError {
    fn from(_: NoRoom) -> Self {
        Self::TooLong
    }
}

impl From<TextTooLong> for RequestError {
    fn from(_: TextTooLong) -> Self {
        Self::TooLong
    }
}
