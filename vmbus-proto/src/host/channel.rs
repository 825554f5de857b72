//! The channels: what the guest knows of each, and what the device does with it.

use super::params::{ChannelId, OfferParams};
use crate::channel_state::ChannelState;
use crate::wire::{GpadlId, RelId, USER_DEFINED_SIZE};
use hvcall::synic::EVENT_FLAG_COUNT;

/// What the guest knows of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing: it was not offered on this connection.
    Unknown,
    /// It is offered.
    Offered,
    /// It is offered, and the guest is still to be told that it is not any more.
    RescindPending,
    /// The guest was told, and has not let go of it yet.
    Rescinded,
    /// The guest has let go of it.
    Released,
}

impl Standing {
    /// Whether the guest may name the channel in a message.
    pub(super) fn is_known(self) -> bool {
        matches!(self, Self::Offered | Self::RescindPending | Self::Rescinded)
    }

    pub(super) fn is_rescinded(self) -> bool {
        matches!(self, Self::RescindPending | Self::Rescinded)
    }
}

/// How the guest opened a channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    pub(super) open_id: u32,
    pub(super) ring: GpadlId,
    pub(super) downstream: u32,
    pub(super) target_vp: u32,
    pub(super) user_data: [u8; USER_DEFINED_SIZE],
}

/// What the device does with a channel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Usage {
    /// Nothing.
    Closed,
    /// The guest asked for it to be opened.
    Opening {
        opened: Opened,
        /// Whether the embedder was told, and so has a ticket.
        announced: bool,
        /// The guest no longer wants it.
        abandoned: bool,
    },
    /// It is served.
    Open { opened: Opened, modify: Modify },
    /// It is to be served no longer.
    Closing {
        ring: GpadlId,
        /// Whether the embedder was told, and so has a ticket.
        announced: bool,
    },
}

/// A move of an open channel's interrupts to another VP, which is in `Opened` already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modify {
    None,
    Pending {
        /// Whether the embedder was told, and so has a ticket.
        announced: bool,
    },
}

/// A channel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channel {
    pub(super) relid: RelId,
    pub(super) params: OfferParams,
    /// The primary and the index, of a sub-channel.
    pub(super) sub_channel: Option<(RelId, u16)>,
    pub(super) standing: Standing,
    pub(super) usage: Usage,
    /// The embedder takes it away; its place is free once guest and device have let go.
    pub(super) doomed: bool,
    /// Of the ticket given last.
    pub(super) serial: u32,
}

impl Channel {
    pub(super) fn id(&self) -> ChannelId {
        ChannelId(self.relid)
    }

    pub(super) fn sub_channel_index(&self) -> u16 {
        self.sub_channel.map_or(0, |(_, index)| index)
    }

    /// Whether guests take the two for the same device's same channel.
    pub(super) fn is_twin(&self, params: &OfferParams, sub_channel_index: u16) -> bool {
        self.params.interface == params.interface
            && self.params.instance == params.instance
            && self.sub_channel_index() == sub_channel_index
    }

    pub(super) fn is_in_use(&self) -> bool {
        !matches!(self.usage, Usage::Closed)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.doomed && !self.standing.is_known() && !self.is_in_use()
    }

    pub(super) fn state(&self) -> ChannelState {
        match self.usage {
            Usage::Closed => ChannelState::Closed,
            Usage::Opening { .. } => ChannelState::Opening,
            Usage::Open { .. } => ChannelState::Open,
            Usage::Closing { .. } => ChannelState::Closing,
        }
    }

    /// The GPADL that its rings are in.
    pub(super) fn ring(&self) -> Option<GpadlId> {
        match self.usage {
            Usage::Closed => None,
            Usage::Opening { opened, .. } | Usage::Open { opened, .. } => Some(opened.ring),
            Usage::Closing { ring, .. } => Some(ring),
        }
    }

    /// Whether an answer to the guest is outstanding: to an open request, or, if those are answered, to a move.
    pub(super) fn owes_answer(&self, modify_is_answered: bool) -> bool {
        match self.usage {
            Usage::Opening { abandoned, .. } => !abandoned,
            Usage::Open {
                modify: Modify::Pending { .. },
                ..
            } => modify_is_answered,
            _ => false,
        }
    }

    /// Has the device stop, at once or when the ticket that it has is answered.
    pub(super) fn stop(&mut self) {
        self.usage = match self.usage {
            Usage::Opening { announced: false, .. } => Usage::Closed,
            Usage::Opening {
                opened,
                announced: true,
                ..
            } => Usage::Opening {
                opened,
                announced: true,
                abandoned: true,
            },
            Usage::Open { opened, .. } => Usage::Closing {
                ring: opened.ring,
                announced: false,
            },
            usage @ (Usage::Closed | Usage::Closing { .. }) => usage,
        }
    }

    pub(super) fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }
}

/// All channels, in the order in which they are offered.
#[derive(Debug)]
pub(super) struct ChannelTable<const CHANNELS: usize> {
    channels: heapless::Vec<Channel, CHANNELS>,
    last_relid: u16,
}

impl<const CHANNELS: usize> ChannelTable<CHANNELS> {
    pub(super) const fn new() -> Self {
        Self {
            channels: heapless::Vec::new(),
            last_relid: 0,
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> + Clone {
        self.channels.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Channel> {
        self.channels.iter_mut()
    }

    pub(super) fn find(&self, relid: RelId) -> Option<&Channel> {
        self.channels.iter().find(|channel| channel.relid == relid)
    }

    pub(super) fn find_mut(&mut self, relid: RelId) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.relid == relid)
    }

    pub(super) fn is_full(&self) -> bool {
        self.channels.is_full()
    }

    /// Takes up a channel that the guest knows nothing of; `None` when there is no place.
    pub(super) fn add(
        &mut self,
        params: OfferParams,
        sub_channel: Option<(RelId, u16)>,
    ) -> Option<ChannelId> {
        let relid = self.free_relid()?;
        let channel = Channel {
            relid,
            params,
            sub_channel,
            standing: Standing::Unknown,
            usage: Usage::Closed,
            doomed: false,
            serial: 0,
        };
        self.channels.push(channel).ok()?;
        Some(ChannelId(relid))
    }

    /// An id that is as long unused as can be: a guest may still mix up an old and a new channel of the same id.
    fn free_relid(&mut self) -> Option<RelId> {
        // One more than there are channels is enough to find one that is free.
        for _ in 0..=self.channels.len() {
            self.last_relid = match self.last_relid.saturating_add(1) {
                next if next < EVENT_FLAG_COUNT => next,
                _ => 1,
            };
            let relid = RelId::new(u32::from(self.last_relid));
            if self.find(relid).is_none() {
                return Some(relid);
            }
        }
        None
    }

    /// Takes out the first channel that is gone.
    pub(super) fn take_gone(&mut self) -> Option<ChannelId> {
        let index = self.channels.iter().position(Channel::is_gone)?;
        Some(self.channels.remove(index).id())
    }

    /// The first channel that is to be offered now. A channel is held back while the guest or the device has not let go of another one that
    /// it would take for the same: Linux gives the new id to the device that it is about to remove.
    pub(super) fn next_to_offer(&mut self) -> Option<&mut Channel> {
        let index = self.channels.iter().position(|channel| {
            channel.standing == Standing::Unknown
                && !channel.doomed
                && !self.channels.iter().any(|other| {
                    other.relid != channel.relid
                        && other.is_twin(&channel.params, channel.sub_channel_index())
                        && (other.standing.is_known() || other.is_in_use())
                })
        })?;
        self.channels.get_mut(index)
    }
}
