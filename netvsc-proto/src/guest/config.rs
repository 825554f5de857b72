//! What the embedder decides, and what comes of it with the host.

use thiserror::Error;
use vmbus_proto::wire::GpadlId;

use crate::nic::{MAX_QUEUES, MTU_RANGE, MacAddress, Offloads, OutOfRange};
use crate::wire::nvsp::{NdisCapabilities, Version};
use crate::wire::rss::RssCapabilities;

/// Memory that the guest has shared with the host as a GPADL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// The GPADL, of the primary channel.
    pub gpadl: GpadlId,
    /// Its bytes.
    pub len: u32,
}

/// How the driver wants the NIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NicConfig {
    /// The largest frame without its Ethernet header, in bytes: 576 to 65521. The host may have a smaller one.
    pub mtu: u32,
    /// Channels that there may be one day, the primary one included: 1 to [`MAX_QUEUES`]. The send buffer is divided
    /// by it.
    pub max_queues: u16,
    /// The highest version of NVSP to ask for.
    pub max_version: Version,
    /// What the guest says that it is capable of, from version 2 on.
    pub capabilities: NdisCapabilities,
    /// Where the host puts frames and answers.
    pub receive_buffer: Buffer,
    /// Where the guest puts frames that are short: the host says how long a section is, Hyper-V 6144 bytes.
    pub send_buffer: Buffer,
}

impl NicConfig {
    /// MTU 1500, one queue, all versions; the guest takes VLAN tags beside the frame and wants to hear of the link's
    /// speed.
    #[must_use]
    pub const fn new(receive_buffer: Buffer, send_buffer: Buffer) -> Self {
        Self {
            mtu: 1500,
            max_queues: 1,
            max_version: Version::V6_1,
            capabilities: NdisCapabilities::IEEE_8021Q.union(NdisCapabilities::TEAMING),
            receive_buffer,
            send_buffer,
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        OutOfRange::check("mtu", self.mtu, MTU_RANGE)?;
        OutOfRange::check("max_queues", self.max_queues.into(), 1..=MAX_QUEUES.into())?;
        if self.max_version < Version::V1 {
            return Err(ConfigError::Version(self.max_version));
        }
        // Every host of whatever version would send what the engine does not put together.
        if self.capabilities.contains(NdisCapabilities::RSC_OVER_VMBUS) {
            return Err(ConfigError::Capabilities(NdisCapabilities::RSC_OVER_VMBUS));
        }
        Ok(())
    }
}

/// A [`NicConfig`], or memory, that cannot be. The embedder's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is out of range.
    #[error(transparent)]
    Range(#[from] OutOfRange),
    /// Below all versions of NVSP.
    #[error("{0} is no version of NVSP")]
    Version(Version),
    /// What this engine is not capable of.
    #[error("capabilities {0:?} are not supported")]
    Capabilities(NdisCapabilities),
}

/// How the send buffer is divided: each queue has its own sections, so that queues share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendLayout {
    /// Bytes of a section, as the host says.
    pub section_size: u32,
    /// Sections of each queue.
    pub sections_per_queue: u32,
}

/// What queues have to know of the NIC: a value to be given to each sub-channel's queue when it is made, and when
/// [`Event::DataPathChanged`](super::Event::DataPathChanged) says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataPath {
    /// The version of NVSP that messages are padded for.
    pub version: Version,
    /// Frames may be sent.
    pub ready: bool,
    /// Received frames are wanted: the packet filter is not 0.
    pub receiving: bool,
    /// Bytes of the largest frame, Ethernet header included, without a VLAN tag.
    pub max_frame: u32,
    /// Bytes of the receive buffer; 0 while the host has none.
    pub receive_len: u32,
    /// How the send buffer is divided, while the host has one.
    pub send: Option<SendLayout>,
    /// Offloads that are switched on.
    pub offloads: Offloads,
}

/// What the host told of receive scaling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RssProperties {
    /// What can be hashed.
    pub capabilities: RssCapabilities,
    /// Channels that frames can be spread over, the primary one included: at least 2.
    pub queues: u16,
    /// Entries that the indirection table has: 1 to 128.
    pub table_len: u16,
}

/// What the host told of the NIC while it was brought up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Properties {
    /// The version of NVSP.
    pub version: Version,
    /// The permanent address.
    pub mac: MacAddress,
    /// The largest frame without its Ethernet header, in bytes: the smaller of the two ends' wishes.
    pub mtu: u32,
    /// Whether there is a link.
    pub link_up: bool,
    /// Bit/s; 0 when the host does not tell.
    pub link_speed: u64,
    /// Offloads that can be [switched on](super::Nic::set_offloads). [`Offloads::vlan`] says that tags go beside the
    /// frame, which every host takes.
    pub offloads: Offloads,
    /// Receive scaling, if the host can do it with more than one channel.
    pub rss: Option<RssProperties>,
}
