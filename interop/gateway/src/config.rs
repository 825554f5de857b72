//! What the gateway is to be.

use std::hash::{BuildHasher, RandomState};
use std::net::Ipv4Addr;
use std::time::Duration;

use thiserror::Error;

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_HEADER: usize = 14;
/// The longest IPv4 packet.
pub(crate) const MAX_IP_PACKET: usize = 65_535;

/// How the gateway is set up. [`Config::default`] gives the network that most user-mode networks give: the gateway
/// 10.0.2.2 in 10.0.2.0/24, and the first lease 10.0.2.15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The gateway's own Ethernet address.
    pub mac: [u8; 6],
    /// The gateway's own IPv4 address, on which every service listens.
    pub address: Ipv4Addr,
    /// Length of the subnet's prefix in bits.
    pub prefix_len: u8,
    /// The largest IP packet on this link, [`MIN_MTU`](Self::MIN_MTU) to [`MAX_MTU`](Self::MAX_MTU).
    pub mtu: usize,
    /// The DHCP server; `None` for a network without one.
    pub dhcp: Option<DhcpConfig>,
    /// Connections that each TCP service holds at the same time; further ones are refused with a reset.
    pub connections: usize,
    /// Bytes of a connection's large buffers, and so the TCP window that is offered. Memory is taken only as it is
    /// used; at most `connections * 4 * buffer` and a little.
    pub buffer: usize,
    /// Who computes the TCP and UDP checksums.
    pub checksums: Checksums,
    /// Whether a frame from the guest may hold a TCP segment larger than the MTU (up to an IP packet's 65,535
    /// bytes), that is whether the NIC's large send offload ends here. The IP header is to state the full length.
    pub large_send: bool,
    /// Seed of TCP's initial sequence numbers; set it to make a simulation repeatable.
    pub seed: u64,
}

/// The DHCP server of the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DhcpConfig {
    /// The first address that is leased.
    pub first: Ipv4Addr,
    /// How many addresses are leased, from `first` on.
    pub leases: u16,
    /// How long a lease holds.
    pub lease_time: Duration,
    /// Name servers that are announced, at most [`MAX_DNS`](Self::MAX_DNS). The gateway is none itself.
    pub dns: Vec<Ipv4Addr>,
}

/// Who computes and verifies TCP and UDP checksums. The IPv4 header's is always filled, and ICMP's always both filled
/// and verified: no NIC takes that off a guest's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksums {
    /// The gateway fills and verifies them, as on a wire.
    Software,
    /// Nobody: memory does not err. Frames to the guest carry none, so its NIC has to report them as verified;
    /// frames from the guest may carry none.
    Offloaded,
}

impl Config {
    /// The smallest MTU: what every IPv4 host accepts (RFC 791).
    pub const MIN_MTU: usize = 576;
    /// The largest MTU: an IP packet's length has 16 bits.
    pub const MAX_MTU: usize = MAX_IP_PACKET;
    /// The smallest connection buffer: two segments of the smallest MTU.
    pub const MIN_BUFFER: usize = 2 * Self::MIN_MTU;
    /// The largest connection buffer: TCP's window scale goes no further (RFC 7323).
    pub const MAX_BUFFER: usize = 1 << 30;

    /// The longest frame that is taken from the guest.
    #[must_use]
    pub fn max_frame(&self) -> usize {
        ETHERNET_HEADER + if self.large_send { MAX_IP_PACKET } else { self.mtu }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let subnet = Subnet {
            address: self.address,
            prefix_len: self.prefix_len,
        };
        if self.mac.first().is_none_or(|first| first & 1 != 0) || self.mac == [0; 6] {
            return Err(ConfigError::Mac(self.mac));
        }
        if !(8..=30).contains(&self.prefix_len) {
            return Err(ConfigError::PrefixLen(self.prefix_len));
        }
        if !subnet.is_host(self.address) {
            return Err(ConfigError::Address(self.address));
        }
        if !(Self::MIN_MTU..=Self::MAX_MTU).contains(&self.mtu) {
            return Err(ConfigError::Mtu(self.mtu));
        }
        if self.connections == 0 || self.connections > 1024 {
            return Err(ConfigError::Connections(self.connections));
        }
        if !(Self::MIN_BUFFER..=Self::MAX_BUFFER).contains(&self.buffer) {
            return Err(ConfigError::Buffer(self.buffer));
        }
        let Some(dhcp) = &self.dhcp else { return Ok(()) };
        if dhcp.leases == 0 || dhcp.leases > DhcpConfig::MAX_LEASES {
            return Err(ConfigError::Leases(dhcp.leases));
        }
        let first = u32::from(dhcp.first);
        let last = first.checked_add(u32::from(dhcp.leases) - 1).map(Ipv4Addr::from);
        match last {
            Some(last) if subnet.is_host(dhcp.first) && subnet.is_host(last) => {}
            _ => {
                return Err(ConfigError::Pool {
                    first: dhcp.first,
                    leases: dhcp.leases,
                });
            }
        }
        if (dhcp.first..=last.unwrap_or(dhcp.first)).contains(&self.address) {
            return Err(ConfigError::GatewayInPool(self.address));
        }
        if dhcp.lease_time.as_secs() == 0 || dhcp.lease_time.as_secs() > u64::from(u32::MAX) {
            return Err(ConfigError::LeaseTime(dhcp.lease_time));
        }
        if dhcp.dns.len() > DhcpConfig::MAX_DNS {
            return Err(ConfigError::Dns(dhcp.dns.len()));
        }
        Ok(())
    }

    pub(crate) fn subnet(&self) -> Subnet {
        Subnet {
            address: self.address,
            prefix_len: self.prefix_len,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // Locally administered, and telling the IPv4 address.
            mac: [0x02, 0x00, 10, 0, 2, 2],
            address: Ipv4Addr::new(10, 0, 2, 2),
            prefix_len: 24,
            mtu: 1500,
            dhcp: Some(DhcpConfig::default()),
            connections: 8,
            buffer: 1 << 20,
            checksums: Checksums::Software,
            large_send: false,
            seed: RandomState::new().hash_one("initial sequence numbers"),
        }
    }
}

impl DhcpConfig {
    /// Name servers that a DHCP answer announces at most.
    pub const MAX_DNS: usize = smoltcp::wire::DHCP_MAX_DNS_SERVER_COUNT;
    /// Leases that a server hands out at most.
    pub const MAX_LEASES: u16 = 4096;
}

impl Default for DhcpConfig {
    fn default() -> Self {
        Self {
            first: Ipv4Addr::new(10, 0, 2, 15),
            leases: 16,
            lease_time: Duration::from_secs(24 * 60 * 60),
            dns: Vec::new(),
        }
    }
}

/// An IPv4 subnet, named by one of its addresses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subnet {
    pub(crate) address: Ipv4Addr,
    pub(crate) prefix_len: u8,
}

impl Subnet {
    pub(crate) fn mask(self) -> Ipv4Addr {
        let host_bits = 32_u32.saturating_sub(u32::from(self.prefix_len));
        Ipv4Addr::from(u32::MAX.checked_shl(host_bits).unwrap_or(0))
    }

    pub(crate) fn broadcast(self) -> Ipv4Addr {
        self.address | !self.mask()
    }

    /// Whether `address` is one that a host of this subnet can have.
    pub(crate) fn is_host(self, address: Ipv4Addr) -> bool {
        let network = self.address & self.mask();
        address & self.mask() == network
            && address != network
            && address != self.broadcast()
            && !address.is_multicast()
            && !address.is_loopback()
            && !address.is_unspecified()
    }
}

/// Why a [`Config`] makes no gateway: the caller's fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The Ethernet address is a group address or zero.
    #[error("{0:02x?} is no Ethernet address of a station")]
    Mac([u8; 6]),
    /// The prefix leaves no room for a gateway and a guest, or is no prefix.
    #[error("a prefix of {0} bits: 8 to 30 make a subnet here")]
    PrefixLen(u8),
    /// The gateway's address is its subnet's network or broadcast address, or no host's at all.
    #[error("{0} is no address of a host in its subnet")]
    Address(Ipv4Addr),
    /// The MTU is out of range.
    #[error("an MTU of {0}: {min} to {max} are possible", min = Config::MIN_MTU, max = Config::MAX_MTU)]
    Mtu(usize),
    /// No connection at all, or more than 1024.
    #[error("{0} connections a service: 1 to 1024 are possible")]
    Connections(usize),
    /// The buffer's size is out of range.
    #[error("a buffer of {0} bytes: {min} to {max} are possible", min = Config::MIN_BUFFER, max = Config::MAX_BUFFER)]
    Buffer(usize),
    /// No lease at all, or too many.
    #[error("{0} leases: 1 to {max} are possible", max = DhcpConfig::MAX_LEASES)]
    Leases(u16),
    /// The leases leave the subnet.
    #[error("{leases} leases from {first} on do not lie among the subnet's hosts")]
    Pool {
        /// The first address.
        first: Ipv4Addr,
        /// How many.
        leases: u16,
    },
    /// The gateway's own address would be leased.
    #[error("the gateway's own address {0} is among the leases")]
    GatewayInPool(Ipv4Addr),
    /// Less than a second, or more seconds than 32 bits count.
    #[error("a lease time of {0:?}: 1 s to 2^32 - 1 s are possible")]
    LeaseTime(Duration),
    /// Too many name servers.
    #[error("{0} name servers: an answer holds {max}", max = DhcpConfig::MAX_DNS)]
    Dns(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_a_gateway() {
        assert_eq!(Config::default().validate(), Ok(()));
        assert_ne!(Config::default().seed, Config::default().seed);
    }

    #[test]
    fn each_wrong_value_is_named() {
        type Change = fn(&mut Config);
        let gateway = Ipv4Addr::new(10, 0, 2, 2);
        let dhcp = |config: &mut Config, change: fn(&mut DhcpConfig)| {
            config.dhcp.as_mut().into_iter().for_each(change);
        };
        let cases: [(Change, ConfigError); 16] = [
            (
                |c| c.mac = [1, 0, 0, 0, 0, 0],
                ConfigError::Mac([1, 0, 0, 0, 0, 0]),
            ),
            (|c| c.mac = [0; 6], ConfigError::Mac([0; 6])),
            (|c| c.prefix_len = 31, ConfigError::PrefixLen(31)),
            (|c| c.prefix_len = 0, ConfigError::PrefixLen(0)),
            (
                |c| c.address = Ipv4Addr::new(10, 0, 2, 255),
                ConfigError::Address(Ipv4Addr::new(10, 0, 2, 255)),
            ),
            (
                |c| c.address = Ipv4Addr::new(10, 0, 2, 0),
                ConfigError::Address(Ipv4Addr::new(10, 0, 2, 0)),
            ),
            (|c| c.mtu = 575, ConfigError::Mtu(575)),
            (|c| c.mtu = 65_536, ConfigError::Mtu(65_536)),
            (|c| c.connections = 0, ConfigError::Connections(0)),
            (|c| c.buffer = 100, ConfigError::Buffer(100)),
            (|c| c.buffer = (1 << 30) + 1, ConfigError::Buffer((1 << 30) + 1)),
            (|_| (), ConfigError::Leases(0)),
            (
                |_| (),
                ConfigError::Pool {
                    first: Ipv4Addr::new(10, 0, 2, 250),
                    leases: 6,
                },
            ),
            (|_| (), ConfigError::GatewayInPool(gateway)),
            (|_| (), ConfigError::LeaseTime(Duration::from_millis(999))),
            (|_| (), ConfigError::Dns(4)),
        ];
        for (change, error) in cases {
            let mut config = Config::default();
            change(&mut config);
            match error {
                ConfigError::Leases(_) => dhcp(&mut config, |d| d.leases = 0),
                ConfigError::Pool { .. } => dhcp(&mut config, |d| {
                    d.first = Ipv4Addr::new(10, 0, 2, 250);
                    d.leases = 6;
                }),
                ConfigError::GatewayInPool(_) => dhcp(&mut config, |d| d.first = Ipv4Addr::new(10, 0, 2, 1)),
                ConfigError::LeaseTime(_) => dhcp(&mut config, |d| d.lease_time = Duration::from_millis(999)),
                ConfigError::Dns(_) => dhcp(&mut config, |d| d.dns = vec![Ipv4Addr::LOCALHOST; 4]),
                _ => {}
            }
            assert_eq!(config.validate(), Err(error));
        }
    }
}
