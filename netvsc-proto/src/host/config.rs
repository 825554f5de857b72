//! What the embedder decides, and what the guest has made of it.

use core::fmt;

use thiserror::Error;

use crate::nic::{MAX_QUEUES, MTU_RANGE, MacAddress, Offloads, OutOfRange, Rss};
use crate::wire::nvsp::Version;
use crate::wire::rndis::PacketFilter;

/// Bytes of a section of the send buffer: what Hyper-V says, and what guests are tuned for.
pub const SEND_SECTION_SIZE: u32 = 6144;

/// What a NIC is.
///
/// ```
/// use netvsc_proto::host::{MacAddress, NicConfig};
///
/// let config = NicConfig { max_queues: 4, ..NicConfig::new(MacAddress([0x52, 0x54, 0, 0, 0, 1])) };
/// config.check()?;
/// # Ok::<(), netvsc_proto::host::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicConfig {
    /// The permanent address.
    pub mac: MacAddress,
    /// The largest frame without its Ethernet header, in bytes: 576 to 65521. A guest may take less.
    pub mtu: u32,
    /// Channels, the primary one included: 1 to [`MAX_QUEUES`].
    pub max_queues: u16,
    /// Sections of the receive buffer for each queue: at least 16, and no more than the queue's table has. The
    /// guest's buffer may have room for fewer.
    pub sections_per_queue: u16,
    /// Bit/s, as the guest is told.
    pub link_speed: u64,
    /// What the backend can do.
    pub offloads: Offloads,
    /// Whether the guest may change its address.
    pub mac_may_change: bool,
    /// The highest version of NVSP to speak.
    pub max_version: Version,
}

impl NicConfig {
    /// One queue, MTU 1500, 10 Gbit/s, no offloads, fixed address, all versions.
    pub const fn new(mac: MacAddress) -> Self {
        Self {
            mac,
            mtu: 1500,
            max_queues: 1,
            sections_per_queue: 1024,
            link_speed: 10_000_000_000,
            offloads: Offloads::NONE,
            mac_may_change: false,
            max_version: Version::V6_1,
        }
    }

    /// Refuses what cannot be.
    ///
    /// # Errors
    ///
    /// The first value that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !self.mac.is_station() {
            return Err(ConfigError::Mac(self.mac));
        }
        OutOfRange::check("mtu", self.mtu, MTU_RANGE)?;
        OutOfRange::check("max_queues", self.max_queues.into(), 1..=MAX_QUEUES.into())?;
        OutOfRange::check("sections_per_queue", self.sections_per_queue.into(), 16..=0x7fff)?;
        OutOfRange::check(
            "large send",
            self.offloads.large_send(),
            0..=Offloads::MAX_LARGE_SEND,
        )?;
        match self.max_version.name() {
            Some(_) => Ok(()),
            None => Err(ConfigError::Version(self.max_version)),
        }
    }

    /// Bytes of [`Scratch::transfer`](super::Scratch::transfer) that take everything a guest may send at once: a
    /// send section and the largest frame behind it.
    pub const fn transfer_scratch_len(&self) -> usize {
        let large = self.offloads.large_send();
        let payload = if large > self.mtu { large } else { self.mtu };
        (SEND_SECTION_SIZE.saturating_add(payload).saturating_add(1024)) as usize
    }
}

/// A [`NicConfig`] that cannot be. The embedder's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The address names a group, or is zero.
    #[error("a NIC cannot have the address {0}")]
    Mac(MacAddress),
    /// A number is out of range.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// No version of NVSP.
    #[error("{0} is no version of NVSP")]
    Version(Version),
}

/// The most multicast addresses that a guest may list.
pub const MAX_MULTICAST: usize = 32;

/// Multicast addresses that the guest listens to.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct MulticastList {
    addresses: [MacAddress; MAX_MULTICAST],
    len: usize,
}

impl MulticastList {
    /// The addresses.
    pub fn as_slice(&self) -> &[MacAddress] {
        self.addresses.get(..self.len).unwrap_or_default()
    }

    /// Appends an address; `false` when there is no room.
    #[must_use]
    pub(super) fn push(&mut self, address: MacAddress) -> bool {
        let Some(slot) = self.addresses.get_mut(self.len) else {
            return false;
        };
        *slot = address;
        self.len = self.len.saturating_add(1);
        true
    }

    /// Removes an address; `false` when it is not there.
    #[must_use]
    pub(super) fn remove(&mut self, address: MacAddress) -> bool {
        let Some(last) = self.len.checked_sub(1) else {
            return false;
        };
        let Some(index) = self.as_slice().iter().position(|listed| *listed == address) else {
            return false;
        };
        let moved = self.addresses.get_mut(last).map(core::mem::take);
        if index != last
            && let (Some(slot), Some(moved)) = (self.addresses.get_mut(index), moved)
        {
            *slot = moved;
        }
        self.len = last;
        true
    }
}

impl fmt::Debug for MulticastList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// What queues have to know of the guest's settings: a value to be copied to each of them when it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataPath {
    /// RNDIS is initialised: frames may flow.
    pub initialized: bool,
    /// Which received frames the guest wants. Nothing before it has set this.
    pub filter: PacketFilter,
    /// The guest's address.
    pub mac: MacAddress,
    /// Multicast addresses that it listens to.
    pub multicast: MulticastList,
    /// Bytes of the largest frame, Ethernet header included, without a VLAN tag.
    pub max_frame: u32,
    /// What the backend can do. Frames from the guest may use all of it, switched on or not, as they may have been
    /// under way when it was switched off.
    pub offered: Offloads,
    /// What of it the guest has switched on.
    pub enabled: Offloads,
    /// How received frames are spread, when the guest has said so.
    pub rss: Option<Rss>,
    /// Channels that are open, the primary one included.
    pub open_queues: u16,
    /// The version of NVSP that messages are padded for.
    pub version: Version,
}

impl DataPath {
    /// Whether the guest wants a frame to this address.
    #[inline]
    pub fn accepts(&self, destination: MacAddress) -> bool {
        let has = |filter| self.filter.contains(filter);
        if has(PacketFilter::PROMISCUOUS) {
            true
        } else if destination == MacAddress::BROADCAST {
            has(PacketFilter::BROADCAST)
        } else if destination.is_group() {
            has(PacketFilter::ALL_MULTICAST)
                || has(PacketFilter::MULTICAST) && self.multicast.as_slice().contains(&destination)
        } else {
            has(PacketFilter::DIRECTED) && destination == self.mac
        }
    }
}
