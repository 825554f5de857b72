//! What the embedder decides about the connection.

use hvcall::{ConnectionId, Sint};

use crate::wire::{FeatureFlags, MESSAGE_CONNECTION_5_0, Version};

/// The versions that [`Host`](super::Host) speaks, all of which it accepts by default.
///
/// Those before 2.4 are missing: they have the host signal through the interrupt page, which no kernel of these days asks for.
pub const VERSIONS: &[Version] = &[
    Version::WIN8,
    Version::WIN8_1,
    Version::WIN10,
    Version::WIN10_RS3_0,
    Version::WIN10_RS3_1,
    Version::WIN10_RS4,
    Version::WIN10_RS5,
    Version::IRON,
    Version::COPPER,
];

/// The features that [`Host`](super::Host) can grant at 6.0, all of which it grants by default.
pub const FEATURES: FeatureFlags = FeatureFlags::MODIFY_CONNECTION
    .union(FeatureFlags::CLIENT_ID)
    .union(FeatureFlags::PAUSE_RESUME);

/// What the embedder decides about the connection.
///
/// ```
/// use vmbus_proto::host::HostConfig;
/// use vmbus_proto::wire::Version;
///
/// // A host of the year 2016, for a machine with 4 VPs.
/// let config = HostConfig { versions: &[Version::WIN8_1, Version::WIN10], ..HostConfig::new(4) };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostConfig<'a> {
    /// The versions to accept. Those that are not among [`VERSIONS`] are refused nevertheless.
    pub versions: &'a [Version],
    /// The features to grant at 6.0, if asked for. Those that are not among [`FEATURES`] are not granted nevertheless.
    pub features: FeatureFlags,
    /// The number of virtual processors: a guest may have messages and interrupts sent to those with an index below it.
    pub vp_count: u32,
    /// The SINT of messages and interrupts. A guest that asks for another one is refused.
    pub sint: Sint,
    /// The connection that the guest is told, from 5.0 on, to post its messages to.
    pub message_connection: ConnectionId,
}

impl HostConfig<'_> {
    /// All versions and features, and SINT 2, for a machine with this many virtual processors.
    #[must_use]
    pub const fn new(vp_count: u32) -> Self {
        Self {
            versions: VERSIONS,
            features: FEATURES,
            vp_count,
            sint: Sint::VMBUS,
            message_connection: MESSAGE_CONNECTION_5_0,
        }
    }

    pub(crate) fn accepts(&self, version: Version) -> bool {
        VERSIONS.contains(&version) && self.versions.contains(&version)
    }

    pub(crate) fn grants(&self, version: Version, asked: FeatureFlags) -> FeatureFlags {
        if version >= Version::COPPER {
            asked & self.features & FEATURES
        } else {
            FeatureFlags::empty()
        }
    }
}
