//! What both ends know of a NIC: its address, what it can do with frames, how frames are spread and counted.

use core::fmt;
use core::ops::RangeInclusive;

use thiserror::Error;

use crate::wire::ppi::{ReceiveChecksums, TransmitChecksums, Vlan};
use crate::wire::rss::{HashInfo, KEY_LEN, MAX_TABLE_LEN};

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_HEADER: u32 = 14;

/// Bytes of an 802.1Q tag.
pub(crate) const VLAN_TAG: u32 = 4;

/// The most queues: what guests open at most (Linux `VRSS_CHANNEL_MAX`).
pub const MAX_QUEUES: u16 = 64;

/// The largest frame without its Ethernet header, in bytes: what it may be set to. IPv4 needs the least; the most leaves
/// room for the header in 65535.
pub(crate) const MTU_RANGE: RangeInclusive<u32> = 576..=65521;

/// A number of a configuration that cannot be. The embedder's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{what} is {value}, takes {min} to {max}")]
pub struct OutOfRange {
    /// Which.
    pub what: &'static str,
    /// Its value.
    pub value: u32,
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
}

impl OutOfRange {
    pub(crate) fn check(what: &'static str, value: u32, range: RangeInclusive<u32>) -> Result<(), Self> {
        if range.contains(&value) {
            return Ok(());
        }
        let (min, max) = range.into_inner();
        Err(Self {
            what,
            value,
            min,
            max,
        })
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// Everyone.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether this names a group, everyone included.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// Whether a NIC can have this address: not a group, not zero.
    pub fn is_station(self) -> bool {
        !self.is_group() && self.0 != [0; 6]
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Checksums of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checksums {
    /// The IPv4 header's.
    pub ipv4: bool,
    /// TCP over IPv4.
    pub tcp4: bool,
    /// UDP over IPv4.
    pub udp4: bool,
    /// TCP over IPv6.
    pub tcp6: bool,
    /// UDP over IPv6.
    pub udp6: bool,
}

impl Checksums {
    /// No checksum.
    pub const NONE: Self = Self {
        ipv4: false,
        tcp4: false,
        udp4: false,
        tcp6: false,
        udp6: false,
    };
    /// All of them.
    pub const ALL: Self = Self {
        ipv4: true,
        tcp4: true,
        udp4: true,
        tcp6: true,
        udp6: true,
    };

    /// Whether all checksums that a frame asks for are among these.
    pub(crate) fn cover(&self, asked: TransmitChecksums) -> bool {
        let ipv6 = asked.contains(TransmitChecksums::IS_IPV6);
        let (tcp, udp) = if ipv6 {
            (self.tcp6, self.udp6)
        } else {
            (self.tcp4, self.udp4)
        };
        let may = |flag, covered: bool| covered || !asked.contains(flag);
        may(TransmitChecksums::TCP, tcp)
            && may(TransmitChecksums::UDP, udp)
            && may(TransmitChecksums::IP_HEADER, self.ipv4)
    }
}

/// What the host can do with frames that are not complete. With [`Offloads::NONE`], which is the default, every
/// frame that the guest sends is complete: checksums made, not longer than the MTU, VLAN tag in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Checksums that the host makes for frames from the guest. Linux uses TCP only when it is offered with
    /// options, which is what this offers, and UDP over a version only together with TCP over it.
    pub transmit: Checksums,
    /// Checksums that the host may vouch for on frames to the guest.
    pub receive: Checksums,
    /// The most bytes of an IPv4 large send, headers not counted; 0 for none. Guests use it only with
    /// [`Checksums::tcp4`].
    pub large_send_ipv4: u32,
    /// The most bytes of an IPv6 large send, headers not counted; 0 for none. Guests use it only with
    /// [`Checksums::tcp6`].
    pub large_send_ipv6: u32,
    /// The host takes VLAN tags beside the frame, not in it. The protocol does not tell a guest so: each end is told by
    /// its embedder.
    pub vlan: bool,
}

impl Offloads {
    /// Nothing: frames are complete.
    pub const NONE: Self = Self {
        transmit: Checksums::NONE,
        receive: Checksums::NONE,
        large_send_ipv4: 0,
        large_send_ipv6: 0,
        vlan: false,
    };

    /// The largest large send that can be: with headers, it stays below 64 KiB.
    pub const MAX_LARGE_SEND: u32 = 0xf53c;

    /// The most bytes of any large send.
    pub(crate) const fn large_send(&self) -> u32 {
        if self.large_send_ipv4 > self.large_send_ipv6 {
            self.large_send_ipv4
        } else {
            self.large_send_ipv6
        }
    }
}

/// What is known of a frame for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveInfo {
    /// A VLAN tag that is not in the frame.
    pub vlan: Option<Vlan>,
    /// Checksums that were checked. Told to the guest as far as it has switched
    /// [`Offloads::receive`] on.
    pub checksums: ReceiveChecksums,
    /// The hash of the frame's flow, as [`Spreader::hash`](crate::host::Spreader::hash) computes it.
    pub hash: Option<u32>,
}

impl ReceiveInfo {
    /// Nothing is known.
    pub const NONE: Self = Self {
        vlan: None,
        checksums: ReceiveChecksums::empty(),
        hash: None,
    };
}

impl Default for ReceiveInfo {
    fn default() -> Self {
        Self::NONE
    }
}

/// How the guest wants received frames spread.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rss {
    /// What is hashed.
    pub hash_info: HashInfo,
    /// With which key.
    pub key: [u8; KEY_LEN],
    /// Which channel gets which frames: indexed with the lowest bits of the hash. A shorter table of the guest's is
    /// repeated to fill this one.
    pub table: [u16; MAX_TABLE_LEN],
}

impl fmt::Debug for Rss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is a secret of the guest's.
        let table = &self.table;
        f.debug_struct("Rss")
            .field("hash_info", &self.hash_info)
            .field("table", table)
            .finish_non_exhaustive()
    }
}

/// Frames and bytes of one direction, by whom they were for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames to one address.
    pub directed_frames: u64,
    /// Bytes of them.
    pub directed_bytes: u64,
    /// Frames to a group.
    pub multicast_frames: u64,
    /// Bytes of them.
    pub multicast_bytes: u64,
    /// Frames to everyone.
    pub broadcast_frames: u64,
    /// Bytes of them.
    pub broadcast_bytes: u64,
}

impl Traffic {
    /// All frames.
    pub const fn frames(&self) -> u64 {
        self.directed_frames
            .wrapping_add(self.multicast_frames)
            .wrapping_add(self.broadcast_frames)
    }

    /// All bytes.
    pub const fn bytes(&self) -> u64 {
        self.directed_bytes
            .wrapping_add(self.multicast_bytes)
            .wrapping_add(self.broadcast_bytes)
    }

    #[inline]
    pub(crate) fn count(&mut self, destination: MacAddress, length: usize) {
        let (frames, bytes) = if destination == MacAddress::BROADCAST {
            (&mut self.broadcast_frames, &mut self.broadcast_bytes)
        } else if destination.is_group() {
            (&mut self.multicast_frames, &mut self.multicast_bytes)
        } else {
            (&mut self.directed_frames, &mut self.directed_bytes)
        };
        *frames = frames.wrapping_add(1);
        *bytes = bytes.wrapping_add(u64::try_from(length).unwrap_or_default());
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            directed_frames: self.directed_frames.wrapping_add(other.directed_frames),
            directed_bytes: self.directed_bytes.wrapping_add(other.directed_bytes),
            multicast_frames: self.multicast_frames.wrapping_add(other.multicast_frames),
            multicast_bytes: self.multicast_bytes.wrapping_add(other.multicast_bytes),
            broadcast_frames: self.broadcast_frames.wrapping_add(other.broadcast_frames),
            broadcast_bytes: self.broadcast_bytes.wrapping_add(other.broadcast_bytes),
        }
    }
}
