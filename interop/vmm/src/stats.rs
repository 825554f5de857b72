//! What a run of the machine is told by: counters, written as JSON.

use serde::Serialize;
use std::collections::BTreeMap;

/// What was counted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stats {
    /// How the machine ended.
    pub ending: Option<String>,
    /// The VMBus version that the guest asked for first, which is the highest that it knows.
    pub first_version_asked: Option<String>,
    /// The VMBus version that the guest and this host agreed on last.
    pub vmbus_version: Option<String>,
    /// Every channel that was open, in the order in which they were closed.
    pub channels: Vec<ChannelStats>,
    /// What the guest did wrong, by kind.
    pub faults: BTreeMap<String, u64>,
    /// How much memory the VMM took, in bytes, each time that the guest had it noted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resident_bytes: Vec<u64>,
    /// What was done to the guest by [`Faults`](crate::faults::Faults).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub injected: BTreeMap<&'static str, u64>,
}

/// What was counted on a channel between its opening and its closing.
#[derive(Clone, Debug, Serialize)]
pub struct ChannelStats {
    /// The device.
    pub device: &'static str,
    /// Sub-channel index, 0 of the primary channel.
    pub index: u16,
    /// The device's own counters.
    #[serde(flatten)]
    pub counters: BTreeMap<&'static str, u64>,
}
