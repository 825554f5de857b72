//! What the embedder has to act on.

use hvcall::ConnectionId;

use super::{ChannelId, ChannelSignal, CloseTicket, ModifyTicket, OpenTicket};
use crate::wire::{FeatureFlags, GpadlId, Guid, USER_DEFINED_SIZE, Version};

/// What the embedder has to act on.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The guest and the host agreed on a version.
    Connected(Connected),
    /// The guest took leave, or was restarted without. All channels are closed and all GPADLs are released.
    Disconnected,
    /// The guest opens a channel: start the device and answer the ticket.
    Open {
        /// The channel.
        channel: ChannelId,
        /// To be answered with [`Host::complete_open`](super::Host::complete_open).
        ticket: OpenTicket,
        /// How it is opened.
        request: OpenParams,
    },
    /// A channel is closed: stop the device, let go of the rings, and answer the ticket. The guest closed it, or the connection ended, or
    /// the embedder rescinded it.
    Close {
        /// The channel.
        channel: ChannelId,
        /// To be answered with [`Host::complete_close`](super::Host::complete_close).
        ticket: CloseTicket,
    },
    /// The guest moves a channel's interrupts: use the new signal, then answer the ticket. The guest expects none on the old VP after the
    /// answer. A ticket of before for the same channel, if there is one, is answered by this.
    Modify {
        /// The channel.
        channel: ChannelId,
        /// To be answered with [`Host::complete_modify`](super::Host::complete_modify).
        ticket: ModifyTicket,
        /// How to interrupt the guest from now on.
        signal: ChannelSignal,
    },
    /// The guest wants memory back that a device uses: stop using it and [release](super::Host::release_gpadl) the GPADL.
    GpadlTeardown {
        /// The channel.
        channel: ChannelId,
        /// The GPADL. Its pages can no longer be looked up.
        gpadl: GpadlId,
    },
    /// A rescinded channel is gone: the guest has let go of it, and the device too. Its id may be used for another one, in time.
    Released {
        /// The channel.
        channel: ChannelId,
    },
}

/// What guest and host agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connected {
    /// The version.
    pub version: Version,
    /// The features.
    pub features: FeatureFlags,
    /// Who the guest is, if it says.
    pub client_id: Option<Guid>,
}

/// How the guest opens a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenParams {
    /// The GPADL of both rings; [`Host::rings`](super::Host::rings) gives its pages.
    pub ring_gpadl: GpadlId,
    /// How to interrupt the guest.
    pub signal: ChannelSignal,
    /// The connection by which the guest signals the channel.
    pub connection_id: ConnectionId,
    /// The device's own bytes.
    pub user_data: [u8; USER_DEFINED_SIZE],
}
