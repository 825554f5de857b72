//! `cargo xtask linux --faults SEED`: what a guest may say of a host whose devices fail, and what such a host must have done.

use std::collections::BTreeMap;

use super::verify::{POWER_OFF, SHUTDOWN, VMM_ERRORS};

/// Every check, in the order in which they are told.
pub(crate) const CHECKS: [&str; 9] = [
    "vmbus_version",
    "data_survives",
    "root_survives",
    "network_survives",
    DONE,
    "kernel_log",
    VMM_ERRORS,
    SHUTDOWN,
    POWER_OFF,
];

/// Every kind of fault was done to the guest.
pub(crate) const DONE: &str = "faults_done";

/// What the kernel is told besides: room for all that it will say, and rings that a guest of this size can fill.
pub(crate) const COMMAND_LINE: &str =
    " log_buf_len=4M hv_storvsc.storvsc_ringbuffer_size=32768 hv_netvsc.ring_size=64";

/// What the VMM counts of the faults that must have hit.
const COUNTED: [&str; 10] = [
    "attentions",
    "busy answers",
    "card stalls",
    "disk stalls",
    "failed writes",
    "full rings of the card",
    "late answers",
    "pulled cables",
    "rescinds of the card",
    "rescinds of the data disk",
];

/// What a kernel never says because a device fails or is gone: that it is wrong itself, or that what it reads is not what was written.
const NEVER: [&str; 18] = [
    "BUG",
    "WARNING",
    "Oops",
    "Call Trace",
    "general protection",
    "lockup",
    "blocked for more than",
    "UBSAN",
    "KASAN",
    "refcount_t",
    "Kernel panic",
    "rcu_sched",
    "checksum",
    "orrupt",
    "bad ",
    "nvalid",
    "bogus",
    "deleted inode",
];

/// A command of the disk's failed: it was busy, had a medium error, or was not there any more.
const FAILED: &str = "a command failed";
/// A unit attention was told instead of running a command.
const ATTENTION: &str = "something about the disk has changed";
/// The disk was taken away while it was mounted and written to.
const GONE: &str = "the disk was taken away while it was in use";
/// The card was taken away, or its cable pulled, before its load of frames was made.
const NO_CARD: &str = "there was no card, or no link, when frames were to be made";
/// The kernel keeps its log short.
const MANY: &str = "there were more of a kind";

/// What it says when its devices fail as they do here: the line, with `*` for anything, and what makes it say so.
const ALLOWED: [(&str, &str); 29] = [
    ("hv_storvsc GUID: tag#N cmd N status: scsi N srb N hv N", FAILED),
    (
        "critical medium error, dev sdX, sector N op N:(*) flags N phys_seg N prio class N",
        FAILED,
    ),
    ("sd N:N:N:N: Power-on or device reset occurred", ATTENTION),
    ("sd N:N:N:N: Capacity data has changed", ATTENTION),
    ("sd N:N:N:N: Inquiry data has changed", ATTENTION),
    (
        "sd N:N:N:N: Warning! Received an indication that the operating parameters on this target have changed.*",
        ATTENTION,
    ),
    (
        "I/O error, dev sdX, sector N op N:(*) flags N phys_seg N prio class N",
        GONE,
    ),
    (
        "device offline error, dev sdX, sector N op N:(*) flags N phys_seg N prio class N",
        GONE,
    ),
    ("Buffer I/O error on dev sdX, logical block N, *", GONE),
    ("Buffer I/O error on device sdX, logical block N", GONE),
    ("dd: attempt to access beyond end of device*", GONE),
    ("kworker/*: attempt to access beyond end of device*", GONE),
    ("jbdN/sdX-N: attempt to access beyond end of device*", GONE),
    ("mount: attempt to access beyond end of device*", GONE),
    ("sha256sum: attempt to access beyond end of device*", GONE),
    ("umount: attempt to access beyond end of device*", GONE),
    ("Aborting journal on device sdX-N.", GONE),
    ("JBDN: *", GONE),
    ("EXTN-fs error (device sdX)*", GONE),
    ("EXTN-fs warning (device sdX)*", GONE),
    ("EXTN-fs (sdX): *", GONE),
    ("pktgen: device is down: \"ethN\"", NO_CARD),
    ("pktgen: no such netdevice: \"ethN\"", NO_CARD),
    ("EXTN-fs*: N callbacks suppressed", MANY),
    ("bio_check_eod: N callbacks suppressed", MANY),
    ("blk_print_req_error: N callbacks suppressed", MANY),
    ("buffer_io_error: N callbacks suppressed", MANY),
    ("scsi_io_completion_action: N callbacks suppressed", MANY),
    ("storvsc_on_io_completion: N callbacks suppressed", MANY),
];

/// Whether all that the kernel said is what it says when devices fail, and how much that was.
pub(crate) fn judge(said: &BTreeMap<String, u64>) -> Result<String, String> {
    let strange: Vec<_> = said.keys().filter(|line| !is_allowed(line)).cloned().collect();
    if strange.is_empty() {
        let lines: u64 = said.values().sum();
        Ok(format!("{lines} lines, all as failing devices have them"))
    } else {
        Err(strange.join("; "))
    }
}

fn is_allowed(line: &str) -> bool {
    !NEVER.iter().any(|word| line.contains(word)) && ALLOWED.iter().any(|(pattern, _)| matches(pattern, line))
}

/// Whether a line is of this form, in which `*` stands for anything.
fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.is_empty()
}

/// Whether every kind of fault hit.
pub(crate) fn all_done(injected: &BTreeMap<String, u64>) -> Result<String, String> {
    let counted = |name: &&str| injected.get(*name).copied().unwrap_or(0);
    let told: Vec<_> = injected
        .iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let missing: Vec<_> = COUNTED.into_iter().filter(|name| counted(name) == 0).collect();
    if missing.is_empty() {
        Ok(told.join(", "))
    } else {
        Err(format!("none of: {} ({})", missing.join(", "), told.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_a_star_for_anything() {
        for (pattern, line, fits) in [
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("a*", "abcd", true),
            ("*d", "abcd", true),
            ("a*d", "abcd", true),
            ("a*c", "abcd", false),
            ("a*b*d", "abcd", true),
            ("a*c*b*", "abcd", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, line), fits, "{pattern} {line}");
        }
    }

    #[test]
    fn each_pattern_has_a_reason_and_none_lets_a_bug_through() {
        for (pattern, reason) in ALLOWED {
            assert!(!reason.is_empty() && !pattern.starts_with('*'), "{pattern}");
            let line = pattern.replace('*', "BUG: unable to handle page fault");
            assert!(!pattern.contains('*') || !is_allowed(&line), "{line}");
        }
        for line in [
            "WARNING: CPU: N PID: N at drivers/scsi/scsi_lib.c:N",
            "INFO: task dd:N blocked for more than N seconds.",
            "something that nobody knows",
            "EXTN-fs error (device sdX): extN_lookup:N: inode #N: comm dd: iget: checksum invalid",
            "EXTN-fs error (device sdX): extN_find_entry:N: inode #N: comm dd: bad entry in directory: rec_len",
        ] {
            assert!(judge(&BTreeMap::from([(line.to_owned(), 1)])).is_err(), "{line}");
        }
    }

    #[test]
    fn a_fault_that_never_hit_is_named() {
        let mut injected: BTreeMap<_, _> = COUNTED.into_iter().map(|name| (name.to_owned(), 2)).collect();
        assert!(all_done(&injected).is_ok());
        injected.remove("busy answers");
        assert!(
            all_done(&injected)
                .unwrap_err()
                .starts_with("none of: busy answers (")
        );
    }
}
