//! What the VMM counted.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// The VMM's statistics, as far as the checks use them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Stats {
    /// The version in the guest's first message.
    pub(crate) first_version_asked: Option<String>,
    /// What the guest did wrong: kind and count, of those that happened.
    pub(crate) faults: BTreeMap<String, u64>,
    /// What the VMM did to the guest: name and count, of those that happened.
    #[serde(default)]
    pub(crate) injected: BTreeMap<String, u64>,
    /// The VMM's memory, each time that the guest had it noted.
    #[serde(default)]
    pub(crate) resident_bytes: Vec<u64>,
    /// Every channel that was open.
    #[serde(default)]
    pub(crate) channels: Vec<Channel>,
}

/// What was counted on a channel.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Channel {
    device: String,
    #[serde(flatten)]
    counters: BTreeMap<String, u64>,
}

impl Stats {
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("the VMM left no statistics: {error}"))?;
        serde_json::from_str(&text).map_err(|error| format!("the VMM's statistics cannot be read: {error}"))
    }

    /// What a device counted, on all of its channels.
    pub(crate) fn counter(&self, device: &str, name: &str) -> u64 {
        let of_device = self.channels.iter().filter(|channel| channel.device == device);
        of_device.filter_map(|channel| channel.counters.get(name)).sum()
    }

    /// Whether the guest did nothing wrong, and what it did else.
    pub(crate) fn nothing_malformed(&self) -> Result<String, String> {
        let found: Vec<_> = self
            .faults
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        if found.is_empty() {
            Ok("nothing malformed, no fault".into())
        } else {
            Err(found.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_counters_do_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("stats");
        assert!(Stats::read(&file).is_err());
        std::fs::write(
            &file,
            r#"{"first_version_asked":"5.3","faults":{"cdb":1},"more":[1],"channels":[
                {"device":"time","index":0,"messages":3},{"device":"scsi","index":1,"messages":9},
                {"device":"time","index":0,"messages":4}]}"#,
        )
        .unwrap();
        let stats = Stats::read(&file).unwrap();
        assert_eq!(
            (stats.first_version_asked.as_deref(), stats.faults["cdb"]),
            (Some("5.3"), 1)
        );
        assert_eq!(
            (stats.counter("time", "messages"), stats.counter("time", "x")),
            (7, 0)
        );
        std::fs::write(&file, "").unwrap();
        assert!(Stats::read(&file).is_err());
    }
}
