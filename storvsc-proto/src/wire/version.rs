//! Versions of the storage protocol.

use zerocopy::little_endian::U16;

use crate::macros::wire_struct;
use crate::wire::PacketForm;

/// A version: major in the high byte, minor in the low one. They compare in order.
///
/// Sources: Linux `VMSTOR_PROTO_VERSION`; OpenVMM `storvsp/src/protocol.rs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolVersion(pub u16);

impl ProtocolVersion {
    /// 2.0: Windows Server 2008.
    pub const WIN6: Self = Self(0x0200);
    /// 4.2: Windows 7 and Server 2008 R2. Unsolicited bus enumeration.
    pub const WIN7: Self = Self(0x0402);
    /// 5.1: Windows 8 and Server 2012. The long SRB, sub-channels.
    pub const WIN8: Self = Self(0x0501);
    /// 6.0: Windows 8.1 and Server 2012 R2.
    pub const WIN8_1: Self = Self(0x0600);
    /// 6.2: Windows 10 and Server 2016. Linux sends WRITE SAME from here on.
    pub const WIN10: Self = Self(0x0602);

    /// Every version that there is, the newest first: the order in which a guest asks.
    pub const ALL: [Self; 5] = [Self::WIN10, Self::WIN8_1, Self::WIN8, Self::WIN7, Self::WIN6];

    /// Whether it is one of [`ALL`](Self::ALL). Every other number is to be refused by status.
    #[must_use]
    pub fn is_known(self) -> bool {
        Self::ALL.contains(&self)
    }

    /// The major number.
    #[must_use]
    pub const fn major(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// The minor number.
    #[must_use]
    pub const fn minor(self) -> u8 {
        self.0.to_be_bytes()[1]
    }

    /// The form of packets in this version.
    #[must_use]
    pub fn packet_form(self) -> PacketForm {
        if self >= Self::WIN8 {
            PacketForm::Long
        } else {
            PacketForm::Short
        }
    }

    /// Whether a guest may ask for sub-channels.
    #[must_use]
    pub fn has_sub_channels(self) -> bool {
        self >= Self::WIN8
    }

    /// Whether a host may send `ENUMERATE_BUS`.
    #[must_use]
    pub fn has_bus_enumeration(self) -> bool {
        self >= Self::WIN7
    }
}

impl core::fmt::Display for ProtocolVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.major(), self.minor())
    }
}

wire_struct! {
    /// The body of `QUERY_PROTOCOL_VERSION` and of its answer. Source: Linux `struct vmstorage_protocol_version`.
    pub struct VersionBody, 4 bytes {
        /// The [`ProtocolVersion`]: what the guest asks for, and in the answer the same again.
        0: major_minor: U16,
        /// A build number that Windows sets; 0 elsewhere.
        2: revision: U16,
    }
}
