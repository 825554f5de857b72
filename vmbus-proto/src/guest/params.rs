//! How an embedder names channels, and how it opens them.

use core::fmt;

use hvcall::{ConnectionId, VpIndex};

use crate::wire::{Guid, OfferFlags, RelId, USER_DEFINED_SIZE};

/// A channel that the host offers.
///
/// It names this offer alone: a later one with the same relid is another channel.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId {
    pub(super) relid: RelId,
    pub(super) serial: u32,
}

impl ChannelId {
    /// The id by which messages name the channel, 1 to 2047; also the number of its event flag, unless another was chosen.
    #[must_use]
    pub const fn relid(self) -> RelId {
        self.relid
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({} #{})", self.relid, self.serial)
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channel {}", self.relid)
    }
}

/// What the host offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelOffer {
    /// The channel.
    pub channel: ChannelId,
    /// The class of device: see [`interface`](crate::wire::interface).
    pub interface: Guid,
    /// Which device of the class. Stays the same over reboots.
    pub instance: Guid,
    /// The flags that this version has.
    pub flags: OfferFlags,
    /// MMIO space that the device needs, in MiB.
    pub mmio_megabytes: u16,
    /// MMIO space that the device can also do without, in MiB.
    pub mmio_megabytes_optional: u16,
    /// The device's own bytes; in pipe mode the first 4 are the pipe's type.
    pub user_defined: [u8; USER_DEFINED_SIZE],
    /// 0 for a primary channel; sub-channels count from 1.
    pub sub_channel_index: u16,
    /// The primary channel, of a sub-channel.
    pub primary: Option<ChannelId>,
    /// How to signal the host, unless another way is chosen when the channel is opened.
    pub signal: ChannelSignal,
    /// The bit of the monitor page by which the host could be signalled too; this crate does not.
    pub monitor_id: Option<u8>,
}

/// How to signal the host for a channel: first set the bit, if there is one, then make the hypercall signal-event with flag 0.
///
/// A copy of it goes to whoever serves the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelSignal {
    /// The connection to signal.
    pub connection_id: ConnectionId,
    /// The flag to be set, by one atomic access, in the second half of the interrupt page. Only at 0.13 and 1.1, and there for channels
    /// without a connection of their own.
    pub interrupt_page_flag: Option<u16>,
}

/// How to open a channel.
///
/// ```
/// use vmbus_proto::guest::OpenParams;
/// use vmbus_proto::hvcall::VpIndex;
///
/// // 16 pages of memory: 8 for the ring to the host, its control page included, and 8 for the other one.
/// let params = OpenParams::new(8, VpIndex(0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenParams {
    /// At which page of the memory the ring from host to guest begins: 2 at least, and 2 less than there are at most.
    pub downstream: u32,
    /// The virtual processor that the host shall interrupt; `None` for no interrupts. Before 2.4 a host interrupts VP 0.
    pub target_vp: Option<VpIndex>,
    /// The device's own bytes.
    pub user_data: [u8; USER_DEFINED_SIZE],
    /// How both ends shall signal, in place of what the offer says. Needs
    /// [`GUEST_SPECIFIED_SIGNAL_PARAMETERS`](crate::wire::FeatureFlags::GUEST_SPECIFIED_SIGNAL_PARAMETERS).
    pub signal: Option<SignalParams>,
    /// Have the interrupts go where they are redirected to. Needs
    /// [`CHANNEL_INTERRUPT_REDIRECTION`](crate::wire::FeatureFlags::CHANNEL_INTERRUPT_REDIRECTION).
    pub redirect_interrupt: bool,
}

impl OpenParams {
    /// Nothing special: no bytes of the device's own, signals as the offer says.
    #[must_use]
    pub const fn new(downstream: u32, target_vp: VpIndex) -> Self {
        Self {
            downstream,
            target_vp: Some(target_vp),
            user_data: [0; USER_DEFINED_SIZE],
            signal: None,
            redirect_interrupt: false,
        }
    }
}

/// How both ends signal on a channel, chosen by the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalParams {
    /// The connection by which the guest signals.
    pub connection_id: ConnectionId,
    /// The event flag that the host sets, 1 to 2047.
    pub event_flag: u16,
}

/// Whom an event flag is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flagged {
    /// This channel: look at its rings.
    Channel(ChannelId),
    /// The flags in the first half of the interrupt page, which are to be taken and judged one by one with
    /// [`Guest::flagged`](super::Guest::flagged). Only at 0.13 and 1.1.
    InterruptPage,
    /// No channel that is open. One that was just closed, or is just being opened, may still be signalled.
    Nobody,
}
