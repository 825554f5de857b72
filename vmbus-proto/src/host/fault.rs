//! Why a guest's message was not followed.

use thiserror::Error;
use vmbus_ringbuf::RangeFault;

use crate::channel_state::ChannelState;
use crate::wire::{DecodeError, GpadlId, MessageType, RelId, Version};

/// Why a guest's message was not followed. Where the protocol has an answer that says so, it is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandleError {
    /// Nothing was done with the message: answers that the guest has not fetched, or tickets that the embedder has not answered, leave no
    /// room for another answer. Give it again once some are gone; a hypercall may also be answered with
    /// [`HvStatus::INSUFFICIENT_BUFFERS`](hvcall::HvStatus::INSUFFICIENT_BUFFERS), upon which guests post again by themselves.
    #[error("answers are waiting; give the message again later")]
    Busy,
    /// The guest broke the protocol. Only this message is lost.
    #[error(transparent)]
    Breach(#[from] Breach),
    /// A bound that the embedder set was reached, and the guest was told so.
    #[error(transparent)]
    Capacity(#[from] Capacity),
    /// The message is right, but this host does not do it.
    #[error("{message_type} is not supported")]
    Unsupported {
        /// Which message it is.
        message_type: MessageType,
    },
}

/// How a guest broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Breach {
    /// The bytes are no message of a guest.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A message that needs a connection, without one.
    #[error("{message_type} without a connection")]
    NotConnected {
        /// Which message it is.
        message_type: MessageType,
    },
    /// A message that came with a later version, or needs a feature that was not agreed on.
    #[error("{message_type} is not in version {} with the features agreed on", version.dotted())]
    NotInVersion {
        /// Which message it is.
        message_type: MessageType,
        /// The version agreed on.
        version: Version,
    },
    /// INITIATE_CONTACT or OPEN_CHANNEL or MODIFY_CHANNEL with a virtual processor that there is not.
    #[error("{message_type} with vp {vp} of {vp_count}")]
    NoSuchVp {
        /// Which message it is.
        message_type: MessageType,
        /// What the guest named.
        vp: u32,
        /// How many there are.
        vp_count: u32,
    },
    /// One monitor page without the other.
    #[error("{message_type} with one monitor page")]
    OneMonitorPage {
        /// Which message it is.
        message_type: MessageType,
    },
    /// REQUEST_OFFERS for the second time on a connection.
    #[error("REQUEST_OFFERS for the second time")]
    OffersRequestedTwice,
    /// PAUSE while paused, or RESUME while not.
    #[error("{message_type} without need")]
    PauseState {
        /// Which message it is.
        message_type: MessageType,
    },
    /// A relid that names no channel that the guest knows.
    #[error("{message_type} for relid {relid}, which is not offered")]
    UnknownChannel {
        /// Which message it is.
        message_type: MessageType,
        /// What it named.
        relid: RelId,
    },
    /// The channel is not in a state for the message.
    #[error("{message_type} for relid {relid} while it is {state}")]
    ChannelState {
        /// Which message it is.
        message_type: MessageType,
        /// The channel.
        relid: RelId,
        /// What it is.
        state: ChannelState,
    },
    /// No GPADL has this id, on this channel.
    #[error("{message_type} for gpadl {gpadl}, which there is not")]
    UnknownGpadl {
        /// Which message it is.
        message_type: MessageType,
        /// What it named.
        gpadl: GpadlId,
    },
    /// The id names another GPADL already.
    #[error("gpadl {gpadl} exists already")]
    DuplicateGpadl {
        /// The id.
        gpadl: GpadlId,
    },
    /// A GPADL_TEARDOWN for the second time, or an open with a GPADL that is not whole or being torn down.
    #[error("{message_type} for gpadl {gpadl}, which is half sent or being torn down")]
    GpadlState {
        /// Which message it is.
        message_type: MessageType,
        /// The GPADL.
        gpadl: GpadlId,
    },
    /// The sizes in a GPADL_HEADER do not fit each other.
    #[error(
        "gpadl {gpadl} of {range_bytes} bytes cannot have {range_count} ranges with {values} values in its header"
    )]
    GpadlSizes {
        /// The GPADL.
        gpadl: GpadlId,
        /// Bytes of all ranges.
        range_bytes: u16,
        /// Ranges.
        range_count: u16,
        /// Values that the header carried.
        values: usize,
    },
    /// More values than the GPADL has.
    #[error("gpadl {gpadl} got {values} values where {missing} were missing")]
    GpadlOverflow {
        /// The GPADL.
        gpadl: GpadlId,
        /// Values that the body carried.
        values: usize,
        /// Values that were missing.
        missing: usize,
    },
    /// The ranges of a GPADL are ill-formed.
    #[error("gpadl {gpadl}: {fault}")]
    GpadlRanges {
        /// The GPADL.
        gpadl: GpadlId,
        /// What is wrong.
        fault: RangeFault,
    },
    /// The GPADL is none that two rings can be in: pages not whole, or fewer than two of them on a side of the offset.
    #[error("gpadl {gpadl} of {pages} whole pages cannot hold two rings divided at page {downstream}")]
    RingLayout {
        /// The GPADL.
        gpadl: GpadlId,
        /// Its pages; 0 when a range is not of whole pages.
        pages: u32,
        /// Where the second ring should begin.
        downstream: u32,
    },
}

/// Which bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Capacity {
    /// As many GPADLs as there can be.
    #[error("all {capacity} GPADLs are taken")]
    Gpadls {
        /// How many there can be.
        capacity: usize,
    },
    /// Too little storage for another GPADL.
    #[error("a GPADL of {needed} values does not fit: {free} of {capacity} are free")]
    Pfns {
        /// Values that it has.
        needed: usize,
        /// Values that are free.
        free: usize,
        /// Values that the embedder lent.
        capacity: usize,
    },
}
