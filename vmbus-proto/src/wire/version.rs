//! Protocol versions and features.

use core::fmt;

use zerocopy::little_endian::U32;

use super::macros::wire_number;

wire_number! {
    /// A version of the VMBus protocol: the major number in the high half, the minor number in the low half.
    ///
    /// Versions have an order: a message or field that came with one is there in every later one. Only the listed numbers were
    /// ever released, so a host accepts those and no number between them. (QEMU takes every number up to 4.0.)
    ///
    /// Sources: Linux `include/linux/hyperv.h`; OpenVMM `vmbus_core/src/protocol.rs`.
    pub struct Version(U32: u32), "{:#x}" {
        /// 0.13, Windows Server 2008.
        V1 = 0x0000_000d,
        /// 1.1, Windows 7: unload answers, a connection id for each channel.
        WIN7 = 0x0001_0001,
        /// 2.4, Windows 8: sub-channels, a target VP for each channel; the interrupt page is no longer used.
        WIN8 = 0x0002_0004,
        /// 3.0, Windows 8.1: messages go to the VP that the guest names.
        WIN8_1 = 0x0003_0000,
        /// 4.0, Windows 10: hvsock, reserved channels.
        WIN10 = 0x0004_0000,
        /// 4.1, Windows 10 RS3: a channel's target VP can be changed.
        WIN10_RS3_0 = 0x0004_0001,
        /// 5.0, Windows 10 RS3: the host names the connection for messages, the guest the SINT.
        WIN10_RS3_1 = 0x0005_0000,
        /// 5.1, Windows 10 RS4: the guest names the VTL.
        WIN10_RS4 = 0x0005_0001,
        /// 5.2, Windows 10 RS5: hvsock silos.
        WIN10_RS5 = 0x0005_0002,
        /// 5.3, Iron (Windows Server 2022): a change of the target VP is answered.
        IRON = 0x0005_0003,
        /// 6.0, Copper: features are negotiated.
        COPPER = 0x0006_0000,
    }
}

impl Version {
    /// The major number.
    #[must_use]
    pub const fn major(self) -> u32 {
        self.value() >> 16
    }

    /// The minor number.
    #[must_use]
    pub const fn minor(self) -> u32 {
        self.value() & 0xffff
    }

    /// `5.3` and the like, for a trace; the `Display` of the type gives the name.
    #[must_use]
    pub const fn dotted(self) -> Dotted {
        Dotted(self)
    }
}

/// Writes a version as `major.minor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dotted(Version);

impl fmt::Display for Dotted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0.major(), self.0.minor())
    }
}

bitflags::bitflags! {
    /// What both ends can agree on from 6.0 on: the guest names what it wants in INITIATE_CONTACT, the host what it grants of that in
    /// VERSION_RESPONSE.
    ///
    /// Sources: OpenVMM `vmbus_core/src/protocol.rs`; the Hyper-V UEFI firmware's `ChannelMessages.h`; for bit 7, the protocol notes only.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FeatureFlags: u32 {
        /// The guest may choose a channel's event flag and connection id when it opens it.
        const GUEST_SPECIFIED_SIGNAL_PARAMETERS = 0x1;
        /// The guest may have a channel's interrupts redirected when it opens it.
        const CHANNEL_INTERRUPT_REDIRECTION = 0x2;
        /// MODIFY_CONNECTION and its answer.
        const MODIFY_CONNECTION = 0x4;
        /// The guest says who it is by a GUID in INITIATE_CONTACT.
        const CLIENT_ID = 0x8;
        /// Offers may ask for encrypted rings and external memory. Only paravisors offer it.
        const CONFIDENTIAL_CHANNELS = 0x10;
        /// PAUSE, its answer, and RESUME.
        const PAUSE_RESUME = 0x20;
        /// The host, not the guest, gives the monitor pages.
        const SERVER_SPECIFIED_MONITOR_PAGES = 0x40;
        /// Offers may ask for pinned external memory.
        const GPA_PINNING = 0x80;
        const _ = !0;
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::string::ToString;

    use super::*;

    #[test]
    fn versions_are_listed_in_ascending_order() {
        assert!(Version::NAMED.is_sorted_by(|a, b| a < b));
        assert_eq!(Version::NAMED.len(), 11);
    }

    #[test]
    fn versions_have_a_name_and_a_number() {
        assert_eq!(Version::IRON.to_string(), "IRON");
        assert_eq!(Version::IRON.dotted().to_string(), "5.3");
        assert_eq!(Version::V1.dotted().to_string(), "0.13");
        assert_eq!(Version::new(0x0004_0002).to_string(), "0x40002");
    }
}
