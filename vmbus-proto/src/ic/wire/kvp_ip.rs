//! The addresses of a network adapter, in the two forms that KVP has for them.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::frame::within;
use super::{DecodeError, MessageType, Text};
use crate::wire::macros::wire_struct;

/// Most addresses, subnets and name servers of a kind.
pub const ADDRESSES_MAX: usize = 64;
/// Most gateways of a kind.
pub const GATEWAYS_MAX: usize = 5;

bitflags::bitflags! {
    /// Which addresses a message is about.
    ///
    /// Source: Linux `ADDR_FAMILY_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct AddressFamilies: u8 {
        /// IPv4.
        const IPV4 = 0x1;
        /// IPv6.
        const IPV6 = 0x2;
        const _ = !0;
    }
}

wire_struct! {
    /// Addresses as text, before 5.0: several of a kind have semicolons between.
    ///
    /// Source: Linux `struct hv_kvp_ipaddr_value`.
    #[derive(Default)]
    pub struct IpText at 0, 7426 bytes {
        /// The adapter: a GUID in braces, or its MAC address.
        0: adapter: Text<128>,
        /// [`AddressFamilies`].
        256: families: u8,
        /// 1 when the adapter asks for its address by DHCP.
        257: dhcp: u8,
        /// Addresses.
        258: addresses: Text<1024>,
        /// A subnet mask for each IPv4 address, a prefix for each IPv6 address.
        2306: subnets: Text<1024>,
        /// Gateways.
        4354: gateways: Text<512>,
        /// Name servers.
        5378: name_servers: Text<1024>,
    }
}

impl fmt::Display for IpText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dhcp {}", self.adapter, self.dhcp)?;
        for (name, text) in [("addresses", &self.addresses), ("subnets", &self.subnets)] {
            if !text.is_empty() {
                write!(f, " {name} {text}")?;
            }
        }
        if !self.gateways.is_empty() {
            write!(f, " gateways {}", self.gateways)?;
        }
        if !self.name_servers.is_empty() {
            write!(f, " name servers {}", self.name_servers)?;
        }
        Ok(())
    }
}

/// An IPv4 address, in network order.
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Ipv4(pub [u8; 4]);

/// An IPv6 address, in network order.
#[derive(Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Ipv6(pub [u8; 16]);

impl fmt::Debug for Ipv4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv4Addr::from(self.0).fmt(f)
    }
}

impl fmt::Debug for Ipv6 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ipv6Addr::from(self.0).fmt(f)
    }
}

wire_struct! {
    /// Addresses since 5.0. Of each array, the count says how many count.
    ///
    /// Source: OpenVMM `hyperv_ic_protocol`, `IpAddressValueBinary`.
    pub struct IpBinary at 0, 4736 bytes {
        /// IPv4 addresses, and their subnets.
        0: ipv4_count: U32,
        /// IPv6 addresses, and their subnets.
        4: ipv6_count: U32,
        /// IPv4 gateways.
        8: ipv4_gateway_count: U32,
        /// IPv6 gateways.
        12: ipv6_gateway_count: U32,
        /// IPv4 name servers.
        16: ipv4_name_server_count: U32,
        /// IPv6 name servers.
        20: ipv6_name_server_count: U32,
        /// The adapter.
        24: adapter: Text<128>,
        /// [`AddressFamilies`].
        280: families: u8,
        /// 1 when the adapter asks for its address by DHCP.
        281: dhcp: u8,
        /// 0.
        282: padding: U16,
        /// Addresses.
        284: ipv4: [Ipv4; ADDRESSES_MAX],
        /// Addresses.
        540: ipv6: [Ipv6; ADDRESSES_MAX],
        /// The mask of the address at the same place.
        1564: ipv4_subnets: [Ipv4; ADDRESSES_MAX],
        /// Bits of the prefix of the address at the same place, in whichever form its sender has.
        1820: ipv6_subnets: [Ipv6; ADDRESSES_MAX],
        /// Gateways.
        2844: ipv4_gateways: [Ipv4; GATEWAYS_MAX],
        /// Gateways.
        2864: ipv6_gateways: [Ipv6; GATEWAYS_MAX],
        /// Name servers.
        2944: ipv4_name_servers: [Ipv4; ADDRESSES_MAX],
        /// Name servers.
        3200: ipv6_name_servers: [Ipv6; ADDRESSES_MAX],
        /// Where the addresses come from, those of IPv6 right after those of IPv4: 0 unknown, 1 not static, 2 static.
        4224: origins: [U32; 2 * ADDRESSES_MAX],
    }
}

impl Default for IpBinary {
    fn default() -> Self {
        Self::new_zeroed()
    }
}

impl IpBinary {
    pub(crate) fn judge(&self) -> Result<(), DecodeError> {
        let counts = [
            ("ipv4", self.ipv4_count, ADDRESSES_MAX),
            ("ipv6", self.ipv6_count, ADDRESSES_MAX),
            ("ipv4 gateways", self.ipv4_gateway_count, GATEWAYS_MAX),
            ("ipv6 gateways", self.ipv6_gateway_count, GATEWAYS_MAX),
            ("ipv4 name servers", self.ipv4_name_server_count, ADDRESSES_MAX),
            ("ipv6 name servers", self.ipv6_name_server_count, ADDRESSES_MAX),
        ];
        counts
            .into_iter()
            .try_for_each(|(field, count, most)| within(MessageType::KVP_EXCHANGE, field, count.get(), most))
    }

    /// IPv4 addresses with their masks.
    pub fn ipv4(&self) -> impl Iterator<Item = (Ipv4Addr, Ipv4Addr)> + '_ {
        let pairs = self.ipv4.iter().zip(&self.ipv4_subnets);
        pairs
            .take(usize::try_from(self.ipv4_count.get()).unwrap_or(0))
            .map(|(address, subnet)| (Ipv4Addr::from(address.0), Ipv4Addr::from(subnet.0)))
    }

    /// IPv6 addresses.
    pub fn ipv6(&self) -> impl Iterator<Item = Ipv6Addr> + '_ {
        self.ipv6
            .iter()
            .take(usize::try_from(self.ipv6_count.get()).unwrap_or(0))
            .map(|address| Ipv6Addr::from(address.0))
    }
}

impl fmt::Display for IpBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} dhcp {}", self.adapter, self.dhcp)?;
        for (address, subnet) in self.ipv4() {
            write!(f, " {address}/{subnet}")?;
        }
        for address in self.ipv6() {
            write!(f, " {address}")?;
        }
        Ok(())
    }
}
