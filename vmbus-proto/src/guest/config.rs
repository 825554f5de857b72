//! What the embedder decides about the connection.

use core::time::Duration;

use hvcall::{Sint, VpIndex};

use crate::wire::{FeatureFlags, Guid, Version};

/// The versions that [`Guest`](super::Guest) speaks, in ascending order.
///
/// Those before 2.4 have the host signal through the [interrupt page](GuestConfig::interrupt_page); without one they are not tried.
pub const VERSIONS: &[Version] = &[
    Version::V1,
    Version::WIN7,
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

/// The features that [`Guest`](super::Guest) can ask for at 6.0.
pub const FEATURES: FeatureFlags = FeatureFlags::GUEST_SPECIFIED_SIGNAL_PARAMETERS
    .union(FeatureFlags::CHANNEL_INTERRUPT_REDIRECTION)
    .union(FeatureFlags::MODIFY_CONNECTION)
    .union(FeatureFlags::CLIENT_ID)
    .union(FeatureFlags::PAUSE_RESUME)
    .union(FeatureFlags::SERVER_SPECIFIED_MONITOR_PAGES);

/// Two pages of a guest's memory by which the ends could signal each other; guest-physical addresses, neither of them 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitorAddresses {
    /// The page by which the host would signal the guest.
    pub parent_to_child: u64,
    /// The page by which the guest would signal the host.
    pub child_to_parent: u64,
}

/// For how long an answer is waited for. After that the embedder is told that there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For the answer to INITIATE_CONTACT, at each version.
    pub contact: Duration,
    /// For the answers to everything about channels and memory.
    pub request: Duration,
    /// For the answer to UNLOAD. A host may first have to finish what its devices are at.
    pub unload: Duration,
    /// For a message to be taken by a hypervisor that is short of buffers.
    pub post: Duration,
}

impl Timeouts {
    /// 10 seconds for each, 30 for an unload.
    pub const DEFAULT: Self = Self {
        contact: Duration::from_secs(10),
        request: Duration::from_secs(10),
        unload: Duration::from_secs(30),
        post: Duration::from_secs(10),
    };
}

impl Default for Timeouts {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What the embedder decides about the connection.
///
/// ```
/// use vmbus_proto::guest::GuestConfig;
/// use vmbus_proto::hvcall::VpIndex;
/// use vmbus_proto::wire::Version;
///
/// // Messages come to VP 0; nothing older than Windows Server 2016.
/// let config = GuestConfig { lowest: Version::WIN10, ..GuestConfig::new(VpIndex(0)) };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuestConfig {
    /// The version to ask for first.
    pub highest: Version,
    /// The version to ask for last, after all of [`VERSIONS`] between.
    pub lowest: Version,
    /// The features to ask for at 6.0. Those that are not among [`FEATURES`] are not asked for nevertheless.
    pub features: FeatureFlags,
    /// The virtual processor whose message page the host shall use. Before 3.0 a host uses that of VP 0 whatever stands here.
    pub target_vp: VpIndex,
    /// The SINT of messages and interrupts. Before 5.0 a host uses SINT 2 whatever stands here.
    pub sint: Sint,
    /// The guest-physical address of the interrupt page: its first half has the flags by which the host signals, its second half those by
    /// which the guest does; flag `n` is bit `n % 32` of word `n / 32`. In use at 0.13 and 1.1. Source: Linux `vmbus_connect`.
    pub interrupt_page: Option<u64>,
    /// The monitor pages. Hosts give offers a monitor bit only if there are some; this engine does not signal by them.
    pub monitor_pages: Option<MonitorAddresses>,
    /// Who this guest says it is, at 6.0 with [`FeatureFlags::CLIENT_ID`].
    pub client_id: Option<Guid>,
    /// For how long answers are waited for.
    pub timeouts: Timeouts,
}

impl GuestConfig {
    /// All versions from 2.4 on, messages to SINT 2 of this virtual processor, and the features that need nothing else:
    /// [`MODIFY_CONNECTION`](FeatureFlags::MODIFY_CONNECTION), [`PAUSE_RESUME`](FeatureFlags::PAUSE_RESUME), and
    /// [`CLIENT_ID`](FeatureFlags::CLIENT_ID) once there is one.
    #[must_use]
    pub const fn new(target_vp: VpIndex) -> Self {
        Self {
            highest: Version::COPPER,
            lowest: Version::V1,
            features: FeatureFlags::MODIFY_CONNECTION
                .union(FeatureFlags::PAUSE_RESUME)
                .union(FeatureFlags::CLIENT_ID),
            target_vp,
            sint: Sint::VMBUS,
            interrupt_page: None,
            monitor_pages: None,
            client_id: None,
            timeouts: Timeouts::DEFAULT,
        }
    }

    /// The highest version to ask for, of those below `refused` if there is one.
    pub(super) fn next_version(&self, refused: Option<Version>) -> Option<Version> {
        VERSIONS.iter().rev().copied().find(|version| {
            (self.lowest..=self.highest).contains(version)
                && refused.is_none_or(|refused| *version < refused)
                && (*version >= Version::WIN8 || self.interrupt_page.is_some())
        })
    }

    /// The features to ask for at this version.
    pub(super) fn asks_for(&self, version: Version) -> FeatureFlags {
        if version < Version::COPPER {
            return FeatureFlags::empty();
        }
        let mut features = self.features & FEATURES;
        if self.client_id.is_none() {
            features.remove(FeatureFlags::CLIENT_ID);
        }
        features
    }
}
