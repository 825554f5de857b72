//! From what the kernel said and what is found outside of it to the list of checks.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use gateway::services::Pattern;
use guest::kept::{Kept, SPARED, WRITTEN};
use guest::report::Status;

use crate::cli::Host;
use crate::report::Check;
use crate::rig::{Outcome, Stats};

/// The status with which QEMU and the VMM end when the kernel says that all its checks hold.
pub(super) const PASSED: i32 = Status::Passed.of_process() as i32;

/// What the kernel checks on our VMM; what is not answered for has failed.
pub(super) const OURS: [&str; 15] = [
    BOOT,
    "version",
    "offers",
    "disk_identify",
    WRITE_READ,
    "disk_flush",
    "disk_out_of_range",
    "subchannels",
    "dhcp",
    "ping",
    "tcp_up",
    "tcp_down",
    RESCIND,
    "unload",
    "reconnect",
];
/// What it checks where it attacks our VMM.
pub(super) const ATTACK: [&str; 15] = [
    BOOT,
    "version",
    "offers",
    "disk_identify",
    WRITE_READ,
    "attack_begins",
    "attack_messages",
    "attack_calls",
    "attack_leave",
    "attack_disk",
    "attack_card",
    "attack_services",
    "attack_rings",
    "unload",
    "reconnect",
];
/// What it checks on QEMU, which has a bus and no devices that we know.
pub(super) const QEMU: [&str; 5] = [BOOT, "version", "offers", "unload", "reconnect"];

const BOOT: &str = "boot";
const WRITE_READ: &str = "disk_write_read";
const RESCIND: &str = "rescind";
/// The VMM counted what was malformed.
const VMM_NOTICED: &str = "vmm_noticed";
/// It takes about as much memory as before.
const VMM_MEMORY: &str = "vmm_memory";
/// How much more memory a VMM may take after an attack than before, when the card and the services had not been in use yet: their buffers,
/// and the arenas of the threads that serve a channel each. It is 70 bytes for each of the 15 000 things that the guest sends.
const MEMORY_BOUND: u64 = MIB;
/// The VMM counted nothing malformed.
const VMM_ERRORS: &str = "vmm_errors";
const EXIT: &str = "exit";

const MIB: u64 = 1 << 20;

/// What is known when the machine has ended.
pub(super) struct Evidence<'a> {
    pub(super) host: Host,
    /// The host got malformed input.
    pub(super) is_attacked: bool,
    pub(super) outcome: &'a Outcome,
    /// Where the images are.
    pub(super) folder: &'a Path,
    /// Our VMM's; QEMU has none.
    pub(super) stats: Option<Result<Stats, String>>,
}

impl Evidence<'_> {
    pub(super) fn checks(&self) -> Vec<Check> {
        let names: &[&str] = match self.host {
            Host::Ours if self.is_attacked => &ATTACK,
            Host::Ours => &OURS,
            Host::Qemu => &QEMU,
        };
        let mut checks: Vec<_> = names.iter().map(|name| self.inside_and_outside(name)).collect();
        if let Some(stats) = &self.stats {
            let stats = stats.as_ref().map_err(Clone::clone);
            if self.is_attacked {
                checks.push(Check::new(VMM_NOTICED, stats.clone().and_then(noticed)));
                checks.push(Check::new(VMM_MEMORY, stats.and_then(memory)));
            } else {
                checks.push(Check::new(VMM_ERRORS, stats.and_then(Stats::nothing_malformed)));
            }
        }
        checks.push(Check::new(EXIT, self.exit()));
        checks
    }

    fn inside_and_outside(&self, name: &str) -> Check {
        let Some((_, ok, inside)) = self.outcome.results.checks.iter().find(|check| check.0 == name) else {
            return Check::new(name, Err("the kernel did not come to it".into()));
        };
        if !ok {
            return Check::new(name, Err(inside.clone()));
        }
        let outside = match name {
            BOOT => self.protocol(inside),
            WRITE_READ => self.image("disk", WRITTEN),
            RESCIND => self.image("spare", SPARED),
            _ => return Check::new(name, Ok(inside.clone())),
        };
        Check::new(
            name,
            outside
                .map(|text| format!("{inside}; {text}"))
                .map_err(|text| format!("{inside}; {text}")),
        )
    }

    /// Each host enters the kernel by the other protocol.
    fn protocol(&self, told: &str) -> Result<String, String> {
        let meant = match self.host {
            Host::Ours => "linux",
            Host::Qemu => "pvh",
        };
        match told.split(',').next() {
            Some(protocol) if protocol == meant => Ok("as it was meant".into()),
            _ => Err(format!("it was to be {meant}")),
        }
    }

    /// What the kernel wrote is in the image.
    fn image(&self, disk: &str, kept: Kept) -> Result<String, String> {
        let path = self.folder.join(format!("{disk}.img"));
        let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut pattern = Pattern::new(kept.seed);
        let mut buffer = vec![0; MIB as usize];
        for offset in (0..kept.len).step_by(buffer.len()) {
            file.read_exact_at(&mut buffer, offset)
                .map_err(|error| format!("the image cannot be read: {error}"))?;
            pattern
                .check(&buffer)
                .map_err(|place| format!("the image differs at byte {place}"))?;
        }
        Ok("the same in the image".into())
    }

    fn exit(&self) -> Result<String, String> {
        let complete = self.outcome.results.complete;
        match self.outcome.status {
            _ if self.outcome.timed_out => Err("the kernel did not end within the time limit".into()),
            Some(PASSED) if complete => Ok(format!("status {PASSED}, by the kernel")),
            Some(PASSED) => Err(format!("status {PASSED}, before the kernel was done")),
            Some(status) => Err(format!("status {status}")),
            None => Err("no status".into()),
        }
    }
}

/// Whether the VMM counted what it got.
fn noticed(stats: &Stats) -> Result<String, String> {
    let (kinds, count) = (stats.faults.len(), stats.faults.values().sum::<u64>());
    let told = format!("{count} of {kinds} kinds");
    if kinds < 5 || count < 1000 {
        Err(told)
    } else {
        Ok(told)
    }
}

/// Whether the VMM takes about as much memory as before.
fn memory(stats: &Stats) -> Result<String, String> {
    let [before, .., after] = *stats.resident_bytes else {
        return Err("the VMM noted none".into());
    };
    let more = after.saturating_sub(before);
    let told = format!(
        "{} KiB before, {} KiB after, {} KiB more may be",
        before >> 10,
        after >> 10,
        MEMORY_BOUND >> 10
    );
    if more > MEMORY_BOUND { Err(told) } else { Ok(told) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(checks: &[&str]) -> Outcome {
        let mut outcome = Outcome {
            status: Some(PASSED),
            ..Outcome::default()
        };
        outcome.results.complete = true;
        outcome.results.checks = checks
            .iter()
            .map(|name| ((*name).to_owned(), true, "pvh, 3 ms".to_owned()))
            .collect();
        outcome
    }

    fn failed(evidence: &Evidence<'_>) -> Vec<String> {
        let checks = evidence.checks().into_iter();
        checks.filter(|check| !check.ok).map(|check| check.name).collect()
    }

    #[test]
    fn on_qemu_every_check_is_answered_for_and_the_entry_is_pvh() {
        let folder = Path::new("/");
        let failing = |outcome: &Outcome| {
            failed(&Evidence {
                host: Host::Qemu,
                is_attacked: false,
                outcome,
                folder,
                stats: None,
            })
        };
        assert!(failing(&outcome(&QEMU)).is_empty());
        assert_eq!(failing(&outcome(&QEMU[..4])), ["reconnect"]);

        let mut early = outcome(&QEMU);
        early.results.complete = false;
        assert_eq!(failing(&early), [EXIT]);
        let mut wrong = outcome(&QEMU);
        (wrong.status, wrong.results.checks[0].2) = (Some(35), "linux, 3 ms".into());
        assert_eq!(failing(&wrong), [BOOT, EXIT]);
    }

    #[test]
    fn a_vmm_that_grows_or_counts_nothing_is_told() {
        let stats = |resident_bytes: &[u64], count| Stats {
            resident_bytes: resident_bytes.to_vec(),
            faults: (0..5).map(|kind| (kind.to_string(), count)).collect(),
            ..Stats::default()
        };
        assert!(memory(&stats(&[100 * MIB, 1000 * MIB, 101 * MIB], 0)).is_ok());
        assert!(memory(&stats(&[100 * MIB, 102 * MIB], 0)).is_err());
        assert!(memory(&stats(&[100 * MIB], 0)).is_err());
        assert!(noticed(&stats(&[], 200)).is_ok());
        assert!(noticed(&stats(&[], 199)).is_err());
    }

    #[test]
    fn what_was_written_must_be_in_the_image() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept {
            len: 2 * MIB,
            seed: 5,
        };
        let outcome = outcome(&OURS);
        let evidence = Evidence {
            host: Host::Ours,
            is_attacked: false,
            outcome: &outcome,
            folder: folder.path(),
            stats: None,
        };
        assert!(evidence.image("some", kept).is_err(), "no image");
        let mut bytes = vec![0; 3 * MIB as usize];
        Pattern::new(5).fill(&mut bytes);
        let path = folder.path().join("some.img");
        std::fs::write(&path, &bytes).unwrap();
        assert!(evidence.image("some", kept).is_ok());
        bytes[MIB as usize + 9] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(
            evidence.image("some", kept),
            Err(format!("the image differs at byte {}", MIB + 9))
        );
    }
}
