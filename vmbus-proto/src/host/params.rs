//! What an embedder offers, and how it names what it offered.

use core::fmt;

use hvcall::{ConnectionId, Sint, VpIndex};
use thiserror::Error;
use zerocopy::IntoBytes;

use crate::wire::{Guid, OfferFlags, PipeParameters, PipeType, RelId, USER_DEFINED_SIZE};

/// A channel that was offered to the guest, or will be.
///
/// It stays the same over resets of the guest, until the offer was rescinded and [`Event::Released`](super::Event::Released) came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub(super) RelId);

impl ChannelId {
    /// The id by which messages name the channel, 1 to 2047; also the number of its event flag.
    #[must_use]
    pub const fn relid(self) -> RelId {
        self.0
    }
}

impl fmt::Debug for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelId({})", self.0)
    }
}

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "channel {}", self.0)
    }
}

/// What to offer.
///
/// ```
/// use vmbus_proto::host::OfferParams;
/// use vmbus_proto::wire::{Guid, PipeType, interface};
///
/// let nic = OfferParams::new(interface::NETWORK, Guid::new(1, 2, 3, 4));
/// let heartbeat = OfferParams::new(interface::HEARTBEAT, Guid::new(5, 6, 7, 8)).pipe(PipeType::MESSAGE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferParams {
    /// The class of device: see [`interface`](crate::wire::interface).
    pub interface: Guid,
    /// Which device of the class. Guests name devices by it, so it should stay the same from boot to boot.
    pub instance: Guid,
    /// Flags; a guest sees those that its version has.
    pub flags: OfferFlags,
    /// MMIO space that the device needs, in MiB.
    pub mmio_megabytes: u16,
    /// MMIO space that the device can also do without, in MiB.
    pub mmio_megabytes_optional: u16,
    /// The device's own bytes; in pipe mode the first 4 are the pipe's type.
    pub user_defined: [u8; USER_DEFINED_SIZE],
}

impl OfferParams {
    /// A device with nothing special about it.
    #[must_use]
    pub const fn new(interface: Guid, instance: Guid) -> Self {
        Self {
            interface,
            instance,
            flags: OfferFlags::ENUMERATE_DEVICE_INTERFACE,
            mmio_megabytes: 0,
            mmio_megabytes_optional: 0,
            user_defined: [0; USER_DEFINED_SIZE],
        }
    }

    /// The same in pipe mode.
    #[must_use]
    pub fn pipe(mut self, pipe_type: PipeType) -> Self {
        self.flags |= OfferFlags::NAMED_PIPE_MODE;
        for (to, from) in self
            .user_defined
            .iter_mut()
            .zip(PipeParameters { pipe_type }.as_bytes())
        {
            *to = *from;
        }
        self
    }
}

/// Where the host puts a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTarget {
    /// The virtual processor whose message page it is.
    pub vp: VpIndex,
    /// The slot.
    pub sint: Sint,
}

impl fmt::Display for MessageTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vp {} sint {}", self.vp.0, self.sint.number())
    }
}

/// How to interrupt the guest for a channel: set the event flag in the SINT's slot of the event page of this VP, and inject the SINT if it
/// was not set before.
///
/// A copy of it goes to whoever serves the channel. It changes when the guest moves the channel to another VP:
/// [`Event::Modify`](super::Event::Modify) brings the new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelSignal {
    /// The virtual processor; `None` when the guest wants no interrupts on the channel.
    pub vp: Option<VpIndex>,
    /// The SINT.
    pub sint: Sint,
    /// The event flag, 1 to 2047.
    pub flag: u16,
}

/// The connection by which the guest signals this channel: the relid below the SINT below the VTL, as Hyper-V has it.
///
/// Source: OpenVMM `vmbus_core/src/protocol.rs`, `ConnectionId::new`.
pub(super) fn connection_id(relid: RelId, sint: Sint) -> ConnectionId {
    ConnectionId(relid.value() | u32::from(sint.number()) << 12)
}

/// An offer that cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OfferError {
    /// Capacity: as many channels as there can be. Those that were rescinded count until they are released.
    #[error("all {capacity} channels are taken")]
    Full {
        /// How many there can be.
        capacity: usize,
    },
    /// Caller: the same interface, instance and sub-channel index are offered already.
    #[error("{channel} is offered with the same interface, instance and sub-channel index")]
    Duplicate {
        /// The one that is.
        channel: ChannelId,
    },
    /// Caller: there is no such channel.
    #[error("{channel} does not exist")]
    UnknownChannel {
        /// What was named.
        channel: ChannelId,
    },
    /// Caller: sub-channels are a primary channel's, and have an index from 1 on.
    #[error("{parent} cannot have a sub-channel {index}")]
    NoPrimary {
        /// What was named as the primary.
        parent: ChannelId,
        /// The index.
        index: u16,
    },
    /// Caller: sub-channels are offered when the guest has asked for them, which takes an open primary.
    #[error("{parent} is not open, so there is nobody who asked for sub-channels")]
    ParentNotOpen {
        /// The primary.
        parent: ChannelId,
    },
}

/// The caller named a channel that there is not, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{channel} does not exist")]
pub struct UnknownChannel {
    /// What was named.
    pub channel: ChannelId,
}
