//! The channels: what the host says of each, and what the embedder does with it.

use super::event::{ModifyError, OpenError};
use super::params::{ChannelId, ChannelOffer, OpenParams};
use super::timer::Timer;
use crate::channel_state::ChannelState;
use crate::wire::RelId;

/// What becomes of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It stands.
    Offered,
    /// The host has taken it back, and the embedder has not let go.
    Rescinded,
    /// The embedder has let go; the host is told so once nothing of it is lent any more.
    Releasing {
        /// Whether the host has taken it back.
        rescinded: bool,
    },
    /// It is no more; what is still to be told about it is told.
    Gone,
}

/// What the embedder does with a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// Nothing.
    Closed,
    /// The memory of its rings is being lent.
    Lending(OpenParams),
    /// OPEN_CHANNEL is to be sent.
    OpenPending(OpenParams),
    /// OPEN_CHANNEL is sent.
    Opening {
        open_id: u32,
        params: OpenParams,
        timer: Timer,
        /// The embedder was told, or will be, that it is not open.
        abandoned: bool,
    },
    /// It is open.
    Open { params: OpenParams },
    /// CLOSE_CHANNEL is to be sent.
    ClosePending,
}

/// A move of an open channel's interrupts to another VP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modify {
    None,
    /// MODIFY_CHANNEL is to be sent.
    Pending {
        target_vp: u32,
    },
    /// MODIFY_CHANNEL is sent.
    Sent {
        timer: Timer,
        /// The embedder was told, or will be, what came of it.
        abandoned: bool,
    },
}

/// A channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub(super) offer: ChannelOffer,
    pub(super) standing: Standing,
    pub(super) usage: Usage,
    pub(super) modify: Modify,
    /// Whether the embedder knows of the offer.
    pub(super) announced: bool,
    /// Whether the embedder knows of the rescind, or need not.
    pub(super) rescind_announced: bool,
    /// What the embedder is still to be told came of its open.
    pub(super) notice_open: Option<Result<(), OpenError>>,
    /// What the embedder is still to be told came of its move.
    pub(super) notice_modify: Option<Result<(), ModifyError>>,
}

impl Channel {
    pub(super) const fn new(offer: ChannelOffer) -> Self {
        Self {
            offer,
            standing: Standing::Offered,
            usage: Usage::Closed,
            modify: Modify::None,
            announced: false,
            rescind_announced: false,
            notice_open: None,
            notice_modify: None,
        }
    }

    pub(super) const fn id(&self) -> ChannelId {
        self.offer.channel
    }

    pub(super) const fn relid(&self) -> RelId {
        self.offer.channel.relid
    }

    pub(super) fn is_gone(&self) -> bool {
        self.standing == Standing::Gone
    }

    pub(super) fn is_rescinded(&self) -> bool {
        matches!(
            self.standing,
            Standing::Rescinded | Standing::Releasing { rescinded: true }
        )
    }

    /// Whether the two are the same device's same channel.
    pub(super) fn is_twin(&self, other: &ChannelOffer) -> bool {
        self.offer.interface == other.interface
            && self.offer.instance == other.instance
            && self.offer.sub_channel_index == other.sub_channel_index
    }

    pub(super) fn state(&self) -> ChannelState {
        match self.usage {
            Usage::Closed => ChannelState::Closed,
            Usage::Opening { abandoned: true, .. } | Usage::ClosePending => ChannelState::Closing,
            Usage::Lending(_) | Usage::OpenPending(_) | Usage::Opening { .. } => ChannelState::Opening,
            Usage::Open { .. } => ChannelState::Open,
        }
    }

    /// The event flag by which the host signals it, while it is open.
    pub(super) fn event_flag(&self) -> Option<u16> {
        let Usage::Open { params } = self.usage else {
            return None;
        };
        match params.signal {
            Some(signal) => Some(signal.event_flag),
            None => u16::try_from(self.relid().value()).ok(),
        }
    }

    /// Has the embedder told that what it asked for and was not told of yet is over.
    pub(super) fn fail(&mut self, open: OpenError, modify: ModifyError) {
        let untold = matches!(self.notice_open, Some(Ok(())))
            || matches!(
                self.usage,
                Usage::Lending(_) | Usage::OpenPending(_) | Usage::Opening { abandoned: false, .. }
            );
        if untold {
            self.notice_open = Some(Err(open));
        }
        self.fail_modify(modify);
    }

    pub(super) fn fail_modify(&mut self, error: ModifyError) {
        match &mut self.modify {
            Modify::Pending { .. } => self.modify = Modify::None,
            Modify::Sent { abandoned, .. } if !*abandoned => *abandoned = true,
            _ => return,
        }
        self.notice_modify = Some(Err(error));
    }

    /// Whether there is nothing to tell of it any more.
    pub(super) fn is_told(&self) -> bool {
        self.notice_open.is_none() && self.notice_modify.is_none()
    }
}

/// All channels, in the order of their offers.
#[derive(Debug)]
pub(super) struct ChannelTable<const CHANNELS: usize> {
    channels: heapless::Vec<Channel, CHANNELS>,
    last_serial: u32,
}

impl<const CHANNELS: usize> ChannelTable<CHANNELS> {
    pub(super) const fn new() -> Self {
        Self {
            channels: heapless::Vec::new(),
            last_serial: 0,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> + Clone {
        self.channels.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.channels.iter_mut()
    }

    /// The channel that messages name so.
    pub(super) fn by_relid(&self, relid: RelId) -> Option<&Channel> {
        self.channels
            .iter()
            .find(|channel| channel.relid() == relid && !channel.is_gone())
    }

    pub(super) fn by_relid_mut(&mut self, relid: RelId) -> Option<&mut Channel> {
        self.channels
            .iter_mut()
            .find(|channel| channel.relid() == relid && !channel.is_gone())
    }

    pub(super) fn find(&self, id: ChannelId) -> Option<&Channel> {
        self.channels
            .iter()
            .find(|channel| channel.id() == id && !channel.is_gone())
    }

    pub(super) fn find_mut(&mut self, id: ChannelId) -> Option<&mut Channel> {
        self.channels
            .iter_mut()
            .find(|channel| channel.id() == id && !channel.is_gone())
    }

    pub(super) fn is_full(&self) -> bool {
        self.channels.is_full()
    }

    pub(super) fn next_id(&mut self, relid: RelId) -> ChannelId {
        self.last_serial = self.last_serial.wrapping_add(1);
        ChannelId {
            relid,
            serial: self.last_serial,
        }
    }

    /// Takes up a channel; `false` when there is no place.
    pub(super) fn add(&mut self, offer: ChannelOffer) -> bool {
        self.channels.push(Channel::new(offer)).is_ok()
    }

    /// Lets go of what is gone and told.
    pub(super) fn sweep(&mut self) {
        self.channels
            .retain(|channel| !channel.is_gone() || !channel.is_told());
    }
}
