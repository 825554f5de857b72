//! The guest's console: shown as it comes, and read for the lines that the guest's scripts mean for the host.

use std::collections::BTreeMap;

/// What a line of the console says to the host.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    /// The emulated machine is up and is about to start the VMM.
    RigReady,
    /// The guest's own init runs.
    Ready,
    Version(String),
    Check {
        name: String,
        ok: bool,
        detail: String,
    },
    Figure {
        name: String,
        value: f64,
    },
    /// A file on a disk has this SHA-256 hash.
    Hash {
        disk: String,
        path: String,
        hash: String,
    },
    /// So many bytes were written to a disk and discarded again.
    Freed {
        disk: String,
        bytes: u64,
    },
    /// The kernel said this so many times, with N for numbers.
    Kernel {
        count: u64,
        text: String,
    },
    /// The command of `--run` ended with this status.
    Exit(u8),
    /// The guest could not get as far as its checks.
    Fatal(String),
    /// All results follow once more.
    Results,
    End,
    /// The guest ends because its host asked it to.
    Shutdown,
}

impl Line {
    /// `None` for what is not addressed to the host.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let line = line.trim_end().strip_prefix('@')?;
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut words = rest.split_whitespace().map(str::to_owned);
        Some(match kind {
            "rig-ready" => Self::RigReady,
            "ready" => Self::Ready,
            "version" => Self::Version(words.next()?),
            "check" => {
                let (name, rest) = rest.split_once(' ')?;
                let (verdict, detail) = rest.split_once(' ').unwrap_or((rest, ""));
                let ok = match verdict {
                    "ok" => true,
                    "failed" => false,
                    _ => return None,
                };
                Self::Check {
                    name: name.into(),
                    ok,
                    detail: detail.trim().into(),
                }
            }
            "figure" => Self::Figure {
                name: words.next()?,
                value: words.next()?.parse().ok()?,
            },
            "hash" => Self::Hash {
                disk: words.next()?,
                path: words.next()?,
                hash: words.next()?,
            },
            "freed" => Self::Freed {
                disk: words.next()?,
                bytes: words.next()?.parse().ok()?,
            },
            "kernel" => {
                let (count, text) = rest.split_once(' ')?;
                Self::Kernel {
                    count: count.parse().ok()?,
                    text: text.trim().into(),
                }
            }
            "exit" => Self::Exit(words.next()?.parse().ok()?),
            "fatal" => Self::Fatal(rest.into()),
            "results" => Self::Results,
            "end" => Self::End,
            "shutdown" => Self::Shutdown,
            _ => return None,
        })
    }
}

/// All that the guest said to the host.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) version: Option<String>,
    /// In the order in which they came; a later word on the same check replaces the earlier.
    pub(crate) checks: Vec<(String, bool, String)>,
    pub(crate) figures: BTreeMap<String, f64>,
    pub(crate) hashes: BTreeMap<(String, String), String>,
    pub(crate) freed: BTreeMap<String, u64>,
    /// What the kernel said, and how often.
    pub(crate) kernel: BTreeMap<String, u64>,
    pub(crate) exit: Option<u8>,
    pub(crate) fatal: Option<String>,
    /// Whether the guest got to the end of its script.
    pub(crate) complete: bool,
    /// Whether it ended because its host asked it to.
    pub(crate) shutdown: bool,
}

impl Results {
    pub(crate) fn take(&mut self, line: Line) {
        match line {
            Line::Version(version) => self.version = Some(version),
            Line::Check { name, ok, detail } => match self.checks.iter_mut().find(|check| check.0 == name) {
                Some(check) => (check.1, check.2) = (ok, detail),
                None => self.checks.push((name, ok, detail)),
            },
            Line::Figure { name, value } => drop(self.figures.insert(name, value)),
            Line::Hash { disk, path, hash } => drop(self.hashes.insert((disk, path), hash)),
            Line::Freed { disk, bytes } => drop(self.freed.insert(disk, bytes)),
            Line::Kernel { count, text } => drop(self.kernel.insert(text, count)),
            Line::Exit(status) => self.exit = Some(status),
            Line::Fatal(why) => self.fatal = Some(why),
            Line::End => self.complete = true,
            Line::Shutdown => self.shutdown = true,
            Line::RigReady | Line::Ready | Line::Results => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_has_a_name_a_verdict_and_a_detail() {
        let check = |ok, detail: &str| {
            Some(Line::Check {
                name: "ping".into(),
                ok,
                detail: detail.into(),
            })
        };
        assert_eq!(
            Line::parse("@check ping ok 3 of 3 answered\r"),
            check(true, "3 of 3 answered")
        );
        assert_eq!(Line::parse("@check ping failed"), check(false, ""));
        assert_eq!(Line::parse("@check ping perhaps"), None);
        assert_eq!(Line::parse("@check ping"), None);
    }

    #[test]
    fn what_the_kernel_says_is_not_addressed_to_the_host() {
        for line in [
            "",
            "[    0.1] @check ping ok",
            "@",
            "@unknown x",
            "@figure speed fast",
            "@exit 256",
            "@exit",
        ] {
            assert_eq!(Line::parse(line), None, "{line}");
        }
    }

    #[test]
    fn figures_hashes_and_ends_are_read() {
        assert_eq!(
            Line::parse("@figure mb_s 12.5"),
            Some(Line::Figure {
                name: "mb_s".into(),
                value: 12.5
            })
        );
        assert_eq!(Line::parse("@exit 3\r"), Some(Line::Exit(3)));
        assert_eq!(
            Line::parse("@freed data 4096"),
            Some(Line::Freed {
                disk: "data".into(),
                bytes: 4096
            })
        );
        assert_eq!(
            Line::parse("@kernel 3 sd N:N: busy\r"),
            Some(Line::Kernel {
                count: 3,
                text: "sd N:N: busy".into()
            })
        );
        assert_eq!(Line::parse("@end"), Some(Line::End));
        assert_eq!(Line::parse("@shutdown\r"), Some(Line::Shutdown));
        assert_eq!(
            Line::parse("@hash root /big ab12"),
            Some(Line::Hash {
                disk: "root".into(),
                path: "/big".into(),
                hash: "ab12".into()
            })
        );
    }

    #[test]
    fn the_second_word_on_a_check_counts() {
        let mut results = Results::default();
        for line in ["@check a ok x", "@check b ok y", "@check a failed z"] {
            results.take(Line::parse(line).unwrap());
        }
        assert_eq!(
            results.checks,
            [
                ("a".to_owned(), false, "z".to_owned()),
                ("b".to_owned(), true, "y".to_owned())
            ]
        );
    }
}
