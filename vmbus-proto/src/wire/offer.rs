//! What a host offers, and how it takes an offer back.

use core::fmt;

use zerocopy::byteorder::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use super::macros::{wire_number, wire_struct};
use super::message::{Body, Encoded, put, take};
use super::{Guid, RelId, interface};

/// Bytes that an offer or an open request carries from one end's device to the other's.
pub const USER_DEFINED_SIZE: usize = 120;

bitflags::bitflags! {
    /// Flags of an offer. Which of them a guest may see depends on the version: [`OfferFlags::for_version`].
    ///
    /// Sources: OpenVMM `vmbus_core/src/protocol.rs`; the Hyper-V UEFI firmware's `ChannelMessages.h`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct OfferFlags: u16 {
        /// The guest should look for a driver.
        const ENUMERATE_DEVICE_INTERFACE = 0x1;
        /// The ring must be in encrypted memory. From 6.0 on, with the feature.
        const CONFIDENTIAL_RING_BUFFER = 0x2;
        /// GPADLs other than the ring's, and GPA direct ranges, must be in encrypted memory. From 6.0 on, with the feature.
        const CONFIDENTIAL_EXTERNAL_MEMORY = 0x4;
        /// Such memory must be pinned. From 6.0 on, with the feature.
        const PINNED_EXTERNAL_MEMORY = 0x8;
        /// The packets in the ring carry a pipe header: [`PipeParameters`] stand in the user-defined bytes.
        const NAMED_PIPE_MODE = 0x10;
        /// The offer is an hvsock connection: [`SocketParameters`] stand in the user-defined bytes. From 4.0 on.
        const TRANSPORT_PROVIDER = 0x2000;
        const _ = !0;
    }
}

impl OfferFlags {
    /// Those of the flags that mean here what they say at this version and with these features. Some had other meanings before.
    #[must_use]
    pub fn for_version(self, version: super::Version, features: super::FeatureFlags) -> Self {
        use super::{FeatureFlags, Version};
        let mut known = Self::ENUMERATE_DEVICE_INTERFACE | Self::NAMED_PIPE_MODE;
        if version >= Version::WIN10 {
            known |= Self::TRANSPORT_PROVIDER;
        }
        if version >= Version::COPPER && features.contains(FeatureFlags::CONFIDENTIAL_CHANNELS) {
            known |= Self::CONFIDENTIAL_RING_BUFFER | Self::CONFIDENTIAL_EXTERNAL_MEMORY;
        }
        if version >= Version::COPPER && features.contains(FeatureFlags::GPA_PINNING) {
            known |= Self::PINNED_EXTERNAL_MEMORY;
        }
        self & known
    }
}

wire_struct! {
    /// An offer as every version has it.
    ///
    /// Source: Linux `struct vmbus_channel_offer_channel` and `struct vmbus_channel_offer`; the optional MMIO from the Hyper-V UEFI
    /// firmware's `ChannelMessages.h`.
    pub struct Offer at 8, 182 bytes {
        /// The class of device: see [`interface`].
        8: interface: Guid,
        /// Which device of the class. Stays the same over reboots.
        24: instance: Guid,
        /// Zero from 2.4 on, anything before.
        40: reserved: [u8; 16],
        /// [`OfferFlags`].
        56: flags: U16,
        /// MMIO space that the device needs, in MiB.
        58: mmio_megabytes: U16,
        /// The device's own; in pipe mode it begins with [`PipeParameters`].
        60: user_defined: [u8; USER_DEFINED_SIZE],
        /// 0 for a primary channel; a sub-channel has the interface and the instance of its primary, and its own index. From 2.4 on.
        180: sub_channel_index: U16,
        /// MMIO space that the device can also do without, in MiB.
        182: mmio_megabytes_optional: U16,
        /// The channel's id.
        184: relid: RelId,
        /// Which monitor bit the guest may signal by; means nothing unless [`monitor_allocated`](Offer::is_monitored).
        188: monitor_id: u8,
        /// Bit 0: a monitor bit is allocated. The rest is reserved.
        189: monitor_allocated: u8,
    }
}

impl Offer {
    /// The flags as they stand, those of other versions included.
    #[must_use]
    pub fn flags(&self) -> OfferFlags {
        OfferFlags::from_bits_retain(self.flags.get())
    }

    /// Whether the guest may signal through the monitor pages.
    #[must_use]
    pub const fn is_monitored(&self) -> bool {
        self.monitor_allocated & 1 != 0
    }
}

wire_struct! {
    /// How the guest signals the host on the channel. From 1.1 on.
    ///
    /// Source: Linux `struct vmbus_channel_offer_channel`.
    pub struct OfferSignal at 190, 6 bytes {
        /// Bit 0: the channel has a connection of its own to signal; without it, the guest sets the channel's bit in the interrupt page.
        /// The rest is reserved.
        190: is_dedicated: U16,
        /// The connection for signal-event.
        192: connection_id: U32,
    }
}

impl OfferSignal {
    /// A connection of the channel's own.
    #[must_use]
    pub const fn dedicated(connection_id: u32) -> Self {
        Self {
            is_dedicated: U16::from_bytes(1u16.to_le_bytes()),
            connection_id: U32::from_bytes(connection_id.to_le_bytes()),
        }
    }

    /// Whether the channel has a connection of its own to signal.
    #[must_use]
    pub const fn is_dedicated(&self) -> bool {
        self.is_dedicated.get() & 1 != 0
    }
}

/// OFFER_CHANNEL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferChannel {
    /// What is offered.
    pub offer: Offer,
    /// How the guest signals; only 0.13 has a message without it.
    pub signal: Option<OfferSignal>,
}

impl Body<'_> for OfferChannel {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (offer, rest) = take(bytes)?;
        let signal = match rest {
            [] => None,
            rest => Some(OfferSignal::read_from_bytes(rest).ok()?),
        };
        Some(Self { offer, signal })
    }

    fn write(&self, out: &mut Encoded) {
        put(out, self.offer.as_bytes());
        if let Some(signal) = &self.signal {
            put(out, signal.as_bytes());
        }
    }
}

impl fmt::Display for OfferChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offer = &self.offer;
        write!(f, "relid {} ", offer.relid)?;
        match interface::name(offer.interface) {
            Some(name) => write!(f, "{name}")?,
            None => write!(f, "interface {}", offer.interface)?,
        }
        write!(f, " instance {}", offer.instance)?;
        if offer.sub_channel_index.get() != 0 {
            write!(f, " sub-channel {}", offer.sub_channel_index)?;
        }
        write!(f, " flags {:#x}", offer.flags)?;
        if offer.mmio_megabytes.get() != 0 {
            write!(f, " mmio {} MiB", offer.mmio_megabytes)?;
        }
        if offer.is_monitored() {
            write!(f, " monitor {}", offer.monitor_id)?;
        }
        match &self.signal {
            Some(signal) if signal.is_dedicated() => write!(f, " connection {:#x}", signal.connection_id),
            _ => f.write_str(" signalled through the interrupt page"),
        }
    }
}

wire_struct! {
    /// RESCIND_CHANNEL_OFFER.
    ///
    /// Source: Linux `struct vmbus_channel_rescind_offer`.
    pub struct RescindChannelOffer at 8, 4 bytes {
        /// The channel that goes. Its id stays taken until the guest sends RELID_RELEASED.
        8: relid: RelId,
    }
}

impl fmt::Display for RescindChannelOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "relid {}", self.relid)
    }
}

wire_number! {
    /// How a pipe's packets are to be read.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs`.
    pub struct PipeType(U32: u32), "{}" {
        /// A stream of bytes.
        BYTE = 0,
        /// Each packet is a message.
        MESSAGE = 4,
    }
}

wire_struct! {
    /// The first user-defined bytes of an offer in pipe mode.
    ///
    /// Source: Linux `struct vmbus_channel_offer`, member `u.pipe`.
    pub struct PipeParameters at 0, 4 bytes {
        /// How the packets are to be read.
        0: pipe_type: PipeType,
    }
}

wire_number! {
    /// Which fields of [`SocketParameters`] count.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs`.
    pub struct SocketParametersVersion(U32: u32), "{}" {
        /// Up to `is_for_guest_container`.
        PRE_RS5 = 0,
        /// All.
        RS5 = 1,
    }
}

wire_struct! {
    /// The first user-defined bytes of the offer of an hvsock connection.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs` (`HvsockUserDefinedParameters`).
    pub struct SocketParameters at 0, 28 bytes {
        /// Pipe mode applies too.
        0: pipe: PipeParameters,
        /// Not 0: the host connects to the guest; 0: this answers the guest's TL_CONNECT_REQUEST.
        4: is_for_guest_accept: u8,
        /// Not 0: it is for a container in the guest.
        5: is_for_guest_container: u8,
        /// Which of the fields count.
        6: version: SocketParametersVersion,
        /// Which container.
        10: silo_id: Guid,
        /// Zero.
        26: reserved: [u8; 2],
    }
}
