//! The command line.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use loopback::{Options, Threads};
use vmbus_proto::host::VERSIONS;
use vmbus_proto::wire::Version;

/// Runs a guest against a host of the VMBus crates, in this process and without a hypervisor
///
/// It tells each step that it took, and then how much went through. Both ends are this project's own, tied together by plain shared
/// memory: it runs wherever Rust does.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_long_help = "\
Exit status:
  0  every step did what it should
  1  a step failed; the last line says which, and why
  2  an argument is no good

Examples:
  loopback                              two threads, the newest version
  loopback --threads 1 --seconds 5      the cost of the crates' own code, without that of waking threads
  loopback --vmbus 4.0 --depth 1,32     what a host of 2016 speaks; reads one at a time, and 32 at a time
  loopback --seconds 0                  the steps alone"
)]
pub(crate) struct Arguments {
    /// Seconds to measure for each figure; 0 to leave them out
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) seconds: Duration,

    /// How many reads are under way, for a figure each
    #[arg(long, value_name = "N,...", default_value = "1,4,16", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) depth: Vec<u8>,

    /// 1: the host has its turn when the guest has nothing to do. 2: each on a thread of its own
    #[arg(long, value_enum, default_value_t = Count::Two)]
    pub(crate) threads: Count,

    /// The version of VMBus to ask for first
    #[arg(long, value_name = "VERSION", default_value_t = Dotted(Version::COPPER), value_parser = version)]
    pub(crate) vmbus: Dotted,

    /// Sub-channels of each device
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=3))]
    pub(crate) sub_channels: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Count {
    #[value(name = "1")]
    One,
    #[value(name = "2")]
    Two,
}

/// A version as it is written: 5.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dotted(Version);

impl std::fmt::Display for Dotted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.dotted().fmt(f)
    }
}

impl Arguments {
    pub(crate) fn options(&self) -> Options {
        Options {
            threads: match self.threads {
                Count::One => Threads::One,
                Count::Two => Threads::Two,
            },
            version: self.vmbus.0,
            sub_channels: self.sub_channels,
            ..Options::default()
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).map_err(|_| "not a time".to_owned()))?;
    if seconds > Duration::from_secs(3600) {
        return Err("an hour is the most".into());
    }
    Ok(seconds)
}

fn version(text: &str) -> Result<Dotted, String> {
    let mut known = VERSIONS.iter();
    let found = known.find(|version| version.dotted().to_string() == text);
    found.copied().map(Dotted).ok_or_else(|| {
        let known: Vec<_> = VERSIONS
            .iter()
            .map(|version| version.dotted().to_string())
            .collect();
        format!("the host speaks {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (arguments, good) in [
            (["--vmbus", "2.4"], true),
            (["--vmbus", "1.1"], false),
            (["--vmbus", "4"], false),
            (["--threads", "3"], false),
            (["--seconds", "0.5"], true),
            (["--seconds", "-1"], false),
            (["--seconds", "3601"], false),
            (["--seconds", "nan"], false),
            (["--depth", "1,64"], true),
            (["--depth", "0"], false),
            (["--depth", "65"], false),
        ] {
            let parsed = Arguments::try_parse_from(["loopback"].iter().chain(&arguments));
            assert_eq!(parsed.is_ok(), good, "{arguments:?}");
        }
    }
}
