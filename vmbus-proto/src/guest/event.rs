//! What the embedder has to act on.

use hvcall::{ConnectionId, HvStatus};
use thiserror::Error;

use super::config::MonitorAddresses;
use super::params::{ChannelId, ChannelOffer, ChannelSignal};
use crate::wire::{ConnectionState, FeatureFlags, GpadlId, MessageType, Status, Version};

/// What the embedder has to act on. `M` is memory that was lent; `O` what there is of a channel that is open: [`Opened`] from the engine,
/// [`OpenedChannel`](super::OpenedChannel), which has the rings, from the [`Bus`](super::Bus).
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<M, O = Opened> {
    /// The host and the guest agreed on a version. The offers are asked for.
    Connected(Connected),
    /// There is no connection.
    ConnectFailed(ConnectError),
    /// The connection has ended, and with it all channels.
    Disconnected(DisconnectReason),
    /// The host offers a channel.
    Offered(ChannelOffer),
    /// All channels that the host had when it was asked are offered. More may come at any time.
    AllOffersDelivered,
    /// The host takes a channel back: stop using it, drop its rings, and [release](super::Guest::release) it. The same device is not
    /// offered to the embedder again before that.
    Rescinded {
        /// The channel.
        channel: ChannelId,
    },
    /// The channel is open. Look at the rings at once: the host may have sent, and its signal been for nobody.
    Opened(O),
    /// The channel is not open. The memory of its rings comes back by itself.
    OpenFailed {
        /// The channel.
        channel: ChannelId,
        /// Why.
        error: OpenError,
    },
    /// What came of [`Guest::modify`](super::Guest::modify). From 5.3 on, with `Ok` no interrupt comes to the VP of before any more.
    Modified {
        /// The channel.
        channel: ChannelId,
        /// Whether it was moved.
        result: Result<(), ModifyError>,
    },
    /// The host has taken the memory, which can be named to its device from now on.
    GpadlCreated {
        /// The channel.
        channel: ChannelId,
        /// The GPADL.
        gpadl: GpadlId,
    },
    /// The host does not touch the memory any more, or never did. This comes once for all memory that was lent, that of rings included.
    MemoryReturned {
        /// The channel, which may be gone.
        channel: ChannelId,
        /// The GPADL.
        gpadl: GpadlId,
        /// The memory.
        memory: M,
        /// How it came back.
        reason: ReturnReason,
    },
    /// An answer is overdue, and still waited for. It comes once for what is overdue.
    Overdue(Overdue),
    /// The host sends no message any more, until [`Guest::resume`](super::Guest::resume).
    Paused,
    /// What came of [`Guest::modify_connection`](super::Guest::modify_connection).
    ConnectionModified(Result<(), ModifyConnectionError>),
}

/// A channel that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The channel.
    pub channel: ChannelId,
    /// How to signal the host.
    pub signal: ChannelSignal,
}

/// What host and guest agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The version.
    pub version: Version,
    /// The features: those that were asked for and granted.
    pub features: FeatureFlags,
    /// The connection that messages are posted to from now on.
    pub message_connection: ConnectionId,
    /// The monitor pages that the host gives, with [`FeatureFlags::SERVER_SPECIFIED_MONITOR_PAGES`].
    pub monitor_pages: Option<MonitorAddresses>,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The host speaks none of the versions.
    #[error("the host speaks no version from {} down to {}", highest.dotted(), lowest.dotted())]
    NoCommonVersion {
        /// The first one that was asked for.
        highest: Version,
        /// The last one that was asked for.
        lowest: Version,
    },
    /// The host speaks the version, but did not connect.
    #[error("the host did not connect at version {}: {state}", version.dotted())]
    Refused {
        /// The version.
        version: Version,
        /// What it says.
        state: ConnectionState,
    },
    /// There was no answer in time.
    #[error("no answer to version {}", version.dotted())]
    NoAnswer {
        /// The version that was asked for.
        version: Version,
    },
    /// The hypervisor does not take the message.
    #[error("the contact at version {} was not posted: {status}", version.dotted())]
    NotPosted {
        /// The version that was to be asked for.
        version: Version,
        /// What the hypercall said.
        status: HvStatus,
    },
    /// The host names a connection for messages that cannot be one.
    #[error("the host names connection {:#x} for messages", connection_id.0)]
    ConnectionId {
        /// What it names.
        connection_id: ConnectionId,
    },
    /// [`Guest::unload`](super::Guest::unload) or [`Guest::connection_lost`](super::Guest::connection_lost) was called meanwhile.
    #[error("the contact was given up")]
    GivenUp,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The host answered UNLOAD. All memory is returned, the monitor and interrupt pages too.
    Unloaded,
    /// The host did not answer UNLOAD in time. What memory it had is not returned until it answers a renewed contact.
    NoAnswer,
    /// The embedder said that the connection is lost. As above.
    Lost,
}

/// Why a channel is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The host did not take the memory of the rings.
    #[error("the host did not take the memory: {0}")]
    Memory(Status),
    /// The host refused to open the channel.
    #[error("the host refused: {0}")]
    Refused(Status),
    /// There was no answer in time. One that comes later is followed by a close.
    #[error("no answer")]
    NoAnswer,
    /// The host took the channel back.
    #[error("the channel was rescinded")]
    Rescinded,
    /// The embedder closed it before it was open.
    #[error("the channel was closed")]
    Closed,
    /// The connection ended.
    #[error("the connection ended")]
    Disconnected,
}

/// Why a channel's interrupts go where they went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModifyError {
    /// The host refused.
    #[error("the host refused: {0}")]
    Refused(Status),
    /// There was no answer in time.
    #[error("no answer")]
    NoAnswer,
    /// The host took the channel back.
    #[error("the channel was rescinded")]
    Rescinded,
    /// The embedder closed the channel.
    #[error("the channel was closed")]
    Closed,
    /// The connection ended.
    #[error("the connection ended")]
    Disconnected,
}

/// Why the monitor pages are what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ModifyConnectionError {
    /// The host refused.
    #[error("the host refused: {0}")]
    Refused(ConnectionState),
    /// There was no answer in time.
    #[error("no answer")]
    NoAnswer,
    /// The connection ended.
    #[error("the connection ended")]
    Disconnected,
}

/// How memory came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReturnReason {
    /// The host did not take it.
    Refused(Status),
    /// The host was never told of it.
    NeverLent,
    /// The host answered that it is torn down.
    TornDown,
    /// The host took the channel back and did not answer the teardown. An honest host has let go of the memory before it takes the channel
    /// back; Linux relies on that alone.
    Rescinded,
    /// The host answered an unload.
    Unloaded,
    /// The host answered a renewed contact.
    Reconnected,
}

/// An answer that did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overdue {
    /// ALL_OFFERS_DELIVERED.
    Offers,
    /// PAUSE_RESPONSE.
    Pause,
    /// The host may have the memory, or still have it: it stays lent.
    Gpadl {
        /// The channel.
        channel: ChannelId,
        /// The GPADL.
        gpadl: GpadlId,
        /// What was not answered: GPADL_HEADER, GPADL_TEARDOWN or, for memory that stays lent after the connection has ended, UNLOAD.
        request: MessageType,
    },
}
