//! From what the guest said and what is found outside of it to the list of checks.

use crate::report::Check;
use crate::rig::{Outcome, Results, Stats};

use super::disks::Disk;
use super::faults;

/// Every check, in the order in which they are told. What the guest does not answer for has failed.
pub(crate) const CHECKS: [&str; 18] = [
    "vmbus_version",
    "root_on_storvsc",
    "disk_write_read",
    "disk_second_lun",
    "disk_read_only",
    "discard",
    "dhcp",
    "ping",
    "tcp_up",
    "tcp_down",
    SUBCHANNELS,
    "reload",
    "heartbeat",
    "time_sync",
    "clean_dmesg",
    VMM_ERRORS,
    SHUTDOWN,
    POWER_OFF,
];

/// Only a machine with several vCPUs has any.
const SUBCHANNELS: &str = "subchannels";
/// The VMM counted nothing malformed: a real kernel makes no mistakes, so ours would be the mistake.
pub(crate) const VMM_ERRORS: &str = "vmm_errors";
/// The host asks, and the guest ends in order: that is how a run with checks ends.
pub(crate) const SHUTDOWN: &str = "shutdown_by_host";
pub(crate) const POWER_OFF: &str = "power_off";

/// What is known when the machine has ended.
pub(crate) struct Evidence<'a> {
    pub(crate) outcome: &'a Outcome,
    pub(crate) disks: &'a [Disk],
    pub(crate) stats: Result<Stats, String>,
    pub(crate) cpus: u8,
}

impl Evidence<'_> {
    /// The checks of these names.
    pub(crate) fn checks(&self, names: &'static [&'static str]) -> Vec<Check> {
        names
            .iter()
            .filter(|name| **name != SUBCHANNELS || self.cpus > 1)
            .map(|&name| {
                let (ok, detail) = match name {
                    faults::DONE => verdict(self.faults_done(), String::new()),
                    VMM_ERRORS => verdict(self.vmm_errors(), String::new()),
                    SHUTDOWN => verdict(self.shutdown(), String::new()),
                    POWER_OFF => verdict(self.power_off(), String::new()),
                    _ => self.inside_and_outside(name),
                };
                Check {
                    name: name.into(),
                    ok,
                    detail,
                }
            })
            .collect()
    }

    fn inside_and_outside(&self, name: &str) -> (bool, String) {
        let Some((_, ok, detail)) = self.results().checks.iter().find(|check| check.0 == name) else {
            return (false, "the guest did not come to it".into());
        };
        if !ok {
            return (false, detail.clone());
        }
        let outside = match name {
            "vmbus_version" => self.version(),
            "disk_write_read" => self.content("root", "/big"),
            "disk_second_lun" => self.content("data", "/kept"),
            "disk_read_only" => self.unchanged("locked"),
            "discard" => self.freed("data"),
            "reload" => self.content("second", "/kept"),
            "heartbeat" => self.heartbeat(),
            "time_sync" => self.time_sync(),
            "data_survives" => self.contents("data"),
            "kernel_log" => faults::judge(&self.results().kernel),
            _ => Ok(String::new()),
        };
        verdict(outside, detail.clone())
    }

    fn results(&self) -> &Results {
        &self.outcome.results
    }

    fn disk(&self, name: &str) -> Result<&Disk, String> {
        self.disks
            .iter()
            .find(|disk| disk.drive.name == name)
            .ok_or_else(|| format!("there is no disk {name}"))
    }

    /// The version is the first that the kernel asked for, which is the highest that it knows.
    fn version(&self) -> Result<String, String> {
        let stats = self.stats.as_ref().map_err(Clone::clone)?;
        let agreed = self.results().version.as_deref().unwrap_or_default();
        match &stats.first_version_asked {
            Some(first) if first == agreed => Ok("the first that the kernel asked for".into()),
            Some(first) => Err(format!("the kernel asked for {first} first")),
            None => Err("the VMM was asked for no version".into()),
        }
    }

    /// A file that the guest wrote is in the image, and the file system around it is whole.
    fn content(&self, disk: &str, path: &str) -> Result<String, String> {
        let image = self.disk(disk)?;
        let key = (disk.to_owned(), path.to_owned());
        let told = self.results().hashes.get(&key).ok_or("the guest told no hash")?;
        let found = image.hash_of_file(path).map_err(|error| format!("{error:#}"))?;
        if found != *told {
            return Err(format!("the image holds {found}"));
        }
        image.file_system()?;
        Ok("the same in the image, e2fsck clean".into())
    }

    /// The same for every file of this disk's of which the guest told a hash.
    fn contents(&self, disk: &str) -> Result<String, String> {
        let hashes = self.results().hashes.keys();
        let paths: Vec<_> = hashes
            .filter(|(of, _)| of == disk)
            .map(|(_, path)| path)
            .collect();
        if paths.is_empty() {
            return Err("the guest told no hash".into());
        }
        for path in &paths {
            self.content(disk, path)?;
        }
        Ok(format!(
            "{} files are the same in the image, e2fsck clean",
            paths.len()
        ))
    }

    fn faults_done(&self) -> Result<String, String> {
        faults::all_done(&self.stats.as_ref().map_err(Clone::clone)?.injected)
    }

    fn unchanged(&self, disk: &str) -> Result<String, String> {
        match self.disk(disk)?.is_unchanged() {
            Ok(true) => Ok("image unchanged".into()),
            Ok(false) => Err("the image changed".into()),
            Err(error) => Err(format!("{error:#}")),
        }
    }

    /// The image has grown by clearly less than what was written to it and discarded.
    fn freed(&self, disk: &str) -> Result<String, String> {
        let bytes = *self.results().freed.get(disk).ok_or("the guest told no bytes")?;
        let growth = self.disk(disk)?.growth().map_err(|error| format!("{error:#}"))?;
        if growth > bytes / 4 * 3 {
            return Err(format!("the image grew by {growth} bytes"));
        }
        Ok(format!("the image grew by {growth} only"))
    }

    fn counter(&self, device: &str, name: &str) -> Result<u64, String> {
        Ok(self.stats.as_ref().map_err(Clone::clone)?.counter(device, name))
    }

    /// The guest answered, the VMM told when it stopped, and when it was back.
    fn heartbeat(&self) -> Result<String, String> {
        let beats = self.counter("heartbeat", "beats")?;
        let (lost, recovered) = (
            self.counter("heartbeat", "lost")?,
            self.counter("heartbeat", "recovered")?,
        );
        let told = format!(
            "the VMM had {beats} answers, missed the guest {lost} times and had it back {recovered} times"
        );
        if beats < 3 || lost == 0 || recovered == 0 {
            return Err(told);
        }
        Ok(told)
    }

    fn time_sync(&self) -> Result<String, String> {
        match self.counter("time", "messages")? {
            // One when the channel was opened, and one for each time that the clock was set wrong.
            messages @ 3.. => Ok(format!("the VMM told the time {messages} times")),
            messages => Err(format!("the VMM told the time {messages} times only")),
        }
    }

    /// The VMM asked, the guest agreed, and its init was told.
    fn shutdown(&self) -> Result<String, String> {
        let (asked, accepted) = (
            self.counter("shutdown", "asked")?,
            self.counter("shutdown", "accepted")?,
        );
        match (asked, accepted, self.results().shutdown) {
            (1, 1, true) => Ok("the VMM asked, the guest agreed and ended by its init".into()),
            (1, 1, false) => Err("the guest agreed, and its init was not told".into()),
            _ => Err(format!(
                "the VMM asked {asked} times, the guest agreed {accepted} times"
            )),
        }
    }

    fn vmm_errors(&self) -> Result<String, String> {
        self.stats.as_ref().map_err(Clone::clone)?.nothing_malformed()
    }

    fn power_off(&self) -> Result<String, String> {
        match self.outcome.status {
            _ if self.outcome.timed_out => Err("the guest did not end within the time limit".into()),
            Some(0) if self.results().complete => Ok("the VMM ended by itself, status 0".into()),
            Some(0) => Err("the VMM ended with status 0, but before the guest was done".into()),
            Some(status) => Err(format!("the VMM ended with status {status}")),
            None => Err("the VMM told no status".into()),
        }
    }
}

/// What is seen from outside, after what the guest saw.
fn verdict(outside: Result<String, String>, inside: String) -> (bool, String) {
    let (ok, outside) = match outside {
        Ok(text) => (true, text),
        Err(text) => (false, text),
    };
    let both: Vec<_> = [inside, outside]
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect();
    (ok, both.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(first: &str) -> Stats {
        Stats {
            first_version_asked: Some(first.into()),
            ..Stats::default()
        }
    }

    fn outcome() -> Outcome {
        let mut outcome = Outcome {
            status: Some(0),
            ..Outcome::default()
        };
        outcome.results.version = Some("5.3".into());
        outcome.results.complete = true;
        outcome.results.checks = vec![
            ("vmbus_version".into(), true, "5.3".into()),
            ("ping".into(), true, "3 answers".into()),
            ("dhcp".into(), false, "no lease".into()),
        ];
        outcome
    }

    fn check(evidence: &Evidence<'_>, name: &str) -> Option<Check> {
        evidence
            .checks(&CHECKS)
            .into_iter()
            .find(|check| check.name == name)
    }

    #[test]
    fn what_the_guest_did_not_come_to_has_failed() {
        let outcome = outcome();
        let evidence = Evidence {
            outcome: &outcome,
            disks: &[],
            stats: Ok(stats("5.3")),
            cpus: 2,
        };
        assert_eq!(evidence.checks(&CHECKS).len(), CHECKS.len());
        assert!(!check(&evidence, "tcp_up").unwrap().ok);
        assert!(!check(&evidence, "dhcp").unwrap().ok);
        assert!(check(&evidence, "ping").unwrap().ok);
        assert!(check(&evidence, POWER_OFF).unwrap().ok);
        assert!(check(&evidence, VMM_ERRORS).unwrap().ok);
    }

    #[test]
    fn one_vcpu_has_no_sub_channels() {
        let outcome = outcome();
        let evidence = Evidence {
            outcome: &outcome,
            disks: &[],
            stats: Ok(stats("5.3")),
            cpus: 1,
        };
        assert_eq!(check(&evidence, SUBCHANNELS), None);
    }

    #[test]
    fn a_version_below_the_first_asked_for_fails() {
        let outcome = outcome();
        for (first, ok) in [("5.3", true), ("6.0", false)] {
            let evidence = Evidence {
                outcome: &outcome,
                disks: &[],
                stats: Ok(stats(first)),
                cpus: 1,
            };
            assert_eq!(check(&evidence, "vmbus_version").unwrap().ok, ok);
        }
    }

    #[test]
    fn a_machine_that_did_not_power_off_itself_fails() {
        let bad: [fn(&mut Outcome); 4] = [
            |outcome| outcome.status = Some(1),
            |outcome| outcome.status = None,
            |outcome| outcome.timed_out = true,
            |outcome| outcome.results.complete = false,
        ];
        for spoil in bad {
            let mut outcome = outcome();
            spoil(&mut outcome);
            let evidence = Evidence {
                outcome: &outcome,
                disks: &[],
                stats: Ok(stats("5.3")),
                cpus: 1,
            };
            assert!(!check(&evidence, POWER_OFF).unwrap().ok);
        }
    }

    /// The statistics of a machine whose services counted this.
    fn counted(device: &str, counters: &str) -> Stats {
        let json = format!(r#"{{"faults":{{}},"channels":[{{"device":"{device}","index":0,{counters}}}]}}"#);
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn services_are_judged_by_what_the_vmm_counted_too() {
        let mut outcome = outcome();
        outcome.results.checks = ["heartbeat", "time_sync"]
            .map(|name| (name.into(), true, String::new()))
            .into();
        for (name, device, counters, shutdown, ok) in [
            (
                "heartbeat",
                "heartbeat",
                r#""beats":9,"lost":1,"recovered":1"#,
                true,
                true,
            ),
            (
                "heartbeat",
                "heartbeat",
                r#""beats":9,"lost":0,"recovered":0"#,
                true,
                false,
            ),
            (
                "heartbeat",
                "heartbeat",
                r#""beats":9,"lost":1,"recovered":0"#,
                true,
                false,
            ),
            (
                "heartbeat",
                "scsi",
                r#""beats":9,"lost":1,"recovered":1"#,
                true,
                false,
            ),
            ("time_sync", "time", r#""messages":3"#, true, true),
            ("time_sync", "time", r#""messages":2"#, true, false),
            (SHUTDOWN, "shutdown", r#""asked":1,"accepted":1"#, true, true),
            (SHUTDOWN, "shutdown", r#""asked":1,"accepted":1"#, false, false),
            (SHUTDOWN, "shutdown", r#""asked":1,"accepted":0"#, true, false),
            (SHUTDOWN, "shutdown", r#""asked":0,"accepted":0"#, true, false),
        ] {
            outcome.results.shutdown = shutdown;
            let evidence = Evidence {
                outcome: &outcome,
                disks: &[],
                stats: Ok(counted(device, counters)),
                cpus: 2,
            };
            assert_eq!(check(&evidence, name).unwrap().ok, ok, "{name} {counters}");
        }
    }

    #[test]
    fn a_fault_that_the_vmm_counted_is_named() {
        let outcome = outcome();
        let mut stats = stats("5.3");
        stats.faults.insert("nvsp".into(), 2);
        let evidence = Evidence {
            outcome: &outcome,
            disks: &[],
            stats: Ok(stats),
            cpus: 1,
        };
        let check = check(&evidence, VMM_ERRORS).unwrap();
        assert_eq!((check.ok, check.detail.as_str()), (false, "nvsp 2"));
    }
}
