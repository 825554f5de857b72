//! Why a host's message was dropped, and why a call was not followed.

use hvcall::ConnectionId;
use thiserror::Error;

use super::params::ChannelId;
use crate::channel_state::ChannelState;
use crate::wire::{DecodeError, FeatureFlags, GpadlId, Guid, MessageType, RelId, Version};

/// Why a host's message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HandleError {
    /// The host broke the protocol. Only this message is lost.
    #[error(transparent)]
    Breach(#[from] Breach),
    /// A bound that the embedder set was reached, and the host is told so.
    #[error(transparent)]
    Capacity(#[from] Capacity),
}

/// How a host broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Breach {
    /// The bytes are no message of a host.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A message without a connection. Hosts can be in the middle of one when a guest is restarted.
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
    /// An answer to what was not asked, or was answered before.
    #[error("{message_type} was not asked for")]
    Unrequested {
        /// Which message it is.
        message_type: MessageType,
    },
    /// A message between PAUSE_RESPONSE and RESUME.
    #[error("{message_type} while paused")]
    Paused {
        /// Which message it is.
        message_type: MessageType,
    },
    /// OFFER_CHANNEL with a relid that has no event flag: 0, or 2048 and more.
    #[error("an offer of relid {relid}, which can be none")]
    RelId {
        /// The id.
        relid: RelId,
    },
    /// OFFER_CHANNEL with the relid of a channel that is not released. The channel of before stays.
    #[error("an offer of relid {relid}, which is taken")]
    DuplicateRelId {
        /// The id.
        relid: RelId,
    },
    /// OFFER_CHANNEL of what is offered already by another relid. It is released at once.
    #[error("relid {relid} is the same as {channel}: instance {instance} sub-channel {sub_channel_index}")]
    DuplicateOffer {
        /// The id of the second offer.
        relid: RelId,
        /// The channel of the first one.
        channel: ChannelId,
        /// The device.
        instance: Guid,
        /// The index.
        sub_channel_index: u16,
    },
    /// OFFER_CHANNEL of a sub-channel without its primary channel. It is released at once.
    #[error("relid {relid} is sub-channel {sub_channel_index} of instance {instance}, which is not offered")]
    NoPrimary {
        /// The id.
        relid: RelId,
        /// The device.
        instance: Guid,
        /// The index.
        sub_channel_index: u16,
    },
    /// OFFER_CHANNEL that does not say how the host is signalled. It is released at once.
    #[error("relid {relid} is offered without a connection to signal, at version {}", version.dotted())]
    NoSignal {
        /// The id.
        relid: RelId,
        /// The version agreed on.
        version: Version,
    },
    /// OFFER_CHANNEL with a connection that can be none. It is released at once.
    #[error("relid {relid} is to be signalled by connection {:#x}", connection_id.0)]
    ConnectionId {
        /// The id.
        relid: RelId,
        /// The connection.
        connection_id: ConnectionId,
    },
    /// A relid that names no channel.
    #[error("{message_type} for relid {relid}, which is not offered")]
    UnknownChannel {
        /// Which message it is.
        message_type: MessageType,
        /// What it named.
        relid: RelId,
    },
    /// RESCIND_CHANNEL_OFFER for the second time.
    #[error("relid {relid} is rescinded for the second time")]
    RescindedTwice {
        /// The channel.
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
    /// OPEN_CHANNEL_RESULT that answers another request.
    #[error("relid {relid} was opened by request {expected}, and the answer is to {open_id}")]
    OpenId {
        /// The channel.
        relid: RelId,
        /// What the answer names.
        open_id: u32,
        /// What the request was.
        expected: u32,
    },
    /// No GPADL has this id, on this channel.
    #[error("{message_type} for gpadl {gpadl}, which there is not")]
    UnknownGpadl {
        /// Which message it is.
        message_type: MessageType,
        /// What it named.
        gpadl: GpadlId,
    },
    /// GPADL_CREATED for the second time or before all was sent, or GPADL_TORNDOWN of what is not to be torn down.
    #[error("{message_type} for gpadl {gpadl} out of turn")]
    GpadlState {
        /// Which message it is.
        message_type: MessageType,
        /// The GPADL.
        gpadl: GpadlId,
    },
}

/// Which bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Capacity {
    /// As many channels as there can be. The one that was offered is released at once.
    #[error(
        "all {capacity} channels are taken: relid {relid}, interface {interface} instance {instance}, is released"
    )]
    Channels {
        /// How many there can be.
        capacity: usize,
        /// The id of the one that was offered.
        relid: RelId,
        /// Its class of device.
        interface: Guid,
        /// Its device.
        instance: Guid,
    },
}

/// A call that was not followed: the caller's mistake, or a capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is a connection already, or one is being made or ended.
    #[error("there is a connection already")]
    AlreadyConnected,
    /// No version to ask for is between the highest and the lowest one of the configuration. Those before 2.4 take an interrupt page.
    #[error("there is no version to ask for")]
    NoVersion,
    /// There is no connection.
    #[error("there is no connection")]
    NotConnected,
    /// The version agreed on, or the features, do not have it.
    #[error("{message_type} is not in version {} with the features agreed on", version.dotted())]
    NotInVersion {
        /// Which message it would take.
        message_type: MessageType,
        /// The version agreed on.
        version: Version,
    },
    /// A feature that was not agreed on.
    #[error("the feature {feature:?} was not agreed on")]
    NoFeature {
        /// Which one.
        feature: FeatureFlags,
    },
    /// There is no such channel, or no longer.
    #[error("{channel} does not exist")]
    UnknownChannel {
        /// What was named.
        channel: ChannelId,
    },
    /// The channel is not in a state for it.
    #[error("{channel} is {state}")]
    ChannelState {
        /// The channel.
        channel: ChannelId,
        /// What it is.
        state: ChannelState,
    },
    /// The host has taken the channel back, or the embedder has released it.
    #[error("{channel} was rescinded or released")]
    Rescinded {
        /// The channel.
        channel: ChannelId,
    },
    /// The same is under way already, or its outcome was not polled yet.
    #[error("the same is under way already")]
    UnderWay,
    /// There is no such GPADL, it is that of a channel's rings, or it is being torn down already.
    #[error("gpadl {gpadl} does not exist, or is not to be torn down")]
    UnknownGpadl {
        /// What was named.
        gpadl: GpadlId,
    },
    /// Capacity: as many GPADLs as there can be.
    #[error("all {capacity} GPADLs are taken")]
    Gpadls {
        /// How many there can be.
        capacity: usize,
    },
    /// The memory cannot be lent.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// An event flag that can be no channel's: 0, or 2048 and more.
    #[error("event flag {event_flag} can be no channel's")]
    EventFlag {
        /// The flag.
        event_flag: u16,
    },
}

/// Why memory cannot be lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// No range.
    #[error("memory of no range")]
    Nothing,
    /// An offset beyond the first page, or no bytes, or more than can be counted.
    #[error("a range of {byte_count} bytes from byte {byte_offset} on")]
    Range {
        /// Where it begins in the first page.
        byte_offset: u32,
        /// How many bytes it has.
        byte_count: u32,
    },
    /// More pages and ranges than a GPADL can list.
    #[error("{values} pages and ranges; a GPADL has 8191 at most")]
    TooLong {
        /// Pages and ranges up to the one that is too much.
        values: u32,
    },
    /// Two rings cannot be in it: pages not whole, or fewer than two of them on a side of the offset.
    #[error("{pages:?} whole pages cannot hold two rings divided at page {downstream}")]
    RingLayout {
        /// Its pages, if all are whole.
        pages: Option<u32>,
        /// Where the second ring should begin.
        downstream: u32,
    },
}

/// Memory that was not lent, and why.
#[derive(Debug, Error)]
#[error("{error}")]
pub struct Rejected<M, E = CallError> {
    /// The memory.
    pub memory: M,
    /// Why.
    pub error: E,
}
