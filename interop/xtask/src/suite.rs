//! `cargo xtask test`: everything that is tested, one step after another, and a table of how each went.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use comfy_table::CellAlignment;

use crate::cli::TestOptions;
use crate::report::table;
use crate::workspace::Workspace;
use crate::{bad_input, command, progress};

/// The status with which a step tells that it could not start for want of something.
const MISSING: i32 = 2;

struct Step {
    name: &'static str,
    run: Runs,
}

enum Runs {
    /// `cargo` with these arguments and these variables in its environment.
    Cargo {
        arguments: &'static str,
        environment: &'static [(&'static str, &'static str)],
    },
    /// The same, by a part of the toolchain that rustup can add.
    Component {
        name: &'static str,
        arguments: &'static str,
    },
}

const STEPS: [Step; 21] = [
    Step {
        name: "format",
        run: Runs::Component {
            name: "rustfmt",
            arguments: "fmt --all --check",
        },
    },
    Step {
        name: "lints",
        run: Runs::Component {
            name: "clippy",
            arguments: "clippy --workspace --all-targets --all-features -- -D warnings",
        },
    },
    Step {
        name: "tests",
        run: Runs::Cargo {
            arguments: "test --workspace",
            environment: &[],
        },
    },
    Step {
        name: "tests, all features",
        run: Runs::Cargo {
            arguments: "test --all-features",
            environment: &[],
        },
    },
    Step {
        name: "fuzz, format",
        run: Runs::Component {
            name: "rustfmt",
            arguments: "fmt --manifest-path fuzz/Cargo.toml --check",
        },
    },
    Step {
        name: "fuzz, lints",
        run: Runs::Component {
            name: "clippy",
            arguments: "clippy --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings",
        },
    },
    Step {
        name: "fuzz, corpora",
        run: Runs::Cargo {
            arguments: "test --manifest-path fuzz/Cargo.toml",
            environment: &[],
        },
    },
    Step {
        name: "ring under asan",
        run: Runs::Cargo {
            arguments: "xtask asan",
            environment: &[],
        },
    },
    Step {
        // Each once: that they run, not how fast.
        name: "benchmarks, once",
        run: Runs::Cargo {
            arguments: "test --package vmbus-ringbuf --package loopback --benches",
            environment: &[],
        },
    },
    Step {
        name: "loopback",
        run: Runs::Cargo {
            arguments: "run --package loopback -- --seconds 0.1",
            environment: &[],
        },
    },
    Step {
        name: "no-std",
        run: Runs::Cargo {
            arguments: "xtask no-std",
            environment: &[],
        },
    },
    Step {
        name: "panic-free",
        run: Runs::Cargo {
            arguments: "xtask panic-free",
            environment: &[],
        },
    },
    Step {
        name: "layouts",
        run: Runs::Cargo {
            arguments: "xtask layouts",
            environment: &[],
        },
    },
    Step {
        name: "documentation",
        run: Runs::Cargo {
            arguments: "doc --workspace --no-deps --all-features",
            environment: &[("RUSTDOCFLAGS", "-D warnings")],
        },
    },
    Step {
        name: "fuzz",
        run: Runs::Cargo {
            arguments: "xtask fuzz --seconds 20 --jobs 2",
            environment: &[],
        },
    },
    Step {
        name: "guest, ours",
        run: Runs::Cargo {
            arguments: "xtask guest",
            environment: &[],
        },
    },
    Step {
        name: "guest, attack",
        run: Runs::Cargo {
            arguments: "xtask guest --attack 1",
            environment: &[],
        },
    },
    Step {
        name: "guest, qemu",
        run: Runs::Cargo {
            arguments: "xtask guest --host qemu",
            environment: &[],
        },
    },
    Step {
        name: "linux, 1 vCPU",
        run: Runs::Cargo {
            arguments: "xtask linux --cpus 1",
            environment: &[],
        },
    },
    Step {
        name: "linux, 2 vCPUs",
        run: Runs::Cargo {
            arguments: "xtask linux --cpus 2",
            environment: &[],
        },
    },
    Step {
        name: "linux, faults",
        run: Runs::Cargo {
            arguments: "xtask linux --faults 1",
            environment: &[],
        },
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    /// Something that it needs is missing on this machine; it said what.
    Skipped,
}

impl Verdict {
    /// A step that says that something is missing is skipped on a developer's machine; in CI nothing is.
    fn of(status: Option<i32>, in_ci: bool) -> Self {
        match status {
            Some(0) => Self::Passed,
            Some(MISSING) if !in_ci => Self::Skipped,
            _ => Self::Failed,
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Self::Passed => "ok",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped: see above what is missing",
        }
    }
}

/// Runs the steps, the later ones also after a failure.
pub(crate) fn run(options: &TestOptions) -> Result<ExitCode> {
    let chosen: Vec<_> = STEPS.iter().filter(|step| options.chooses(step.name)).collect();
    if chosen.is_empty() {
        return Err(bad_input(format!(
            "no step is named like {}; see --list",
            options.only.join(", ")
        )));
    }
    if options.list {
        chosen.iter().for_each(|step| println!("{}", step.name));
        return Ok(ExitCode::SUCCESS);
    }

    let workspace = Workspace::find()?;
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let mut results = Vec::new();
    for step in chosen {
        let start = Instant::now();
        let status = step.run(&workspace)?;
        results.push((step.name, Verdict::of(status, in_ci), start.elapsed()));
    }
    print(&results);
    let failed = results.iter().any(|(_, verdict, _)| *verdict == Verdict::Failed);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

impl TestOptions {
    fn chooses(&self, step: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| step.contains(word.as_str()))
    }
}

impl Step {
    /// The exit status, `None` for an end by a signal.
    fn run(&self, workspace: &Workspace) -> Result<Option<i32>> {
        let mut command = match &self.run {
            Runs::Cargo {
                arguments,
                environment,
            } => {
                let mut cargo = command::cargo();
                cargo.args(arguments.split(' ')).envs(environment.iter().copied());
                cargo
            }
            Runs::Component { name, arguments } => {
                if let Err(error) = ensure_component(name, arguments) {
                    eprintln!("error: {error:#}");
                    return Ok(Some(MISSING));
                }
                let mut cargo = command::cargo();
                cargo.args(arguments.split(' '));
                cargo
            }
        };
        progress::say(
            "Testing",
            format_args!("{}: {}", self.name, command::shown(&command)),
        );
        let status = command.current_dir(&workspace.root).status();
        Ok(status
            .with_context(|| format!("cannot run {}", command::shown(&command)))?
            .code())
    }
}

/// A minimal toolchain lacks parts that rustup has.
fn ensure_component(name: &str, arguments: &str) -> Result<()> {
    let program = arguments.split(' ').next().unwrap_or_default();
    let is_there = || command::output(command::cargo().args([program, "--version"])).is_ok();
    if is_there() {
        return Ok(());
    }
    if command::find("rustup").is_some() {
        progress::say("Installing", name);
        command::run(command::tool("rustup").args(["component", "add", name]))?;
    }
    if is_there() {
        Ok(())
    } else {
        Err(bad_input(format!(
            "missing on this machine: cargo {program} ({name})"
        )))
    }
}

fn print(results: &[(&str, Verdict, Duration)]) {
    let mut table = table();
    for (name, verdict, time) in results {
        table.add_row([
            (*name).to_owned(),
            verdict.shown().into(),
            format!("{:.1} s", time.as_secs_f64()),
        ]);
    }
    if let Some(column) = table.column_mut(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("\n{table}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_skipped_in_ci() {
        for (status, here, in_ci) in [
            (Some(0), Verdict::Passed, Verdict::Passed),
            (Some(1), Verdict::Failed, Verdict::Failed),
            (Some(MISSING), Verdict::Skipped, Verdict::Failed),
            (None, Verdict::Failed, Verdict::Failed),
        ] {
            assert_eq!(Verdict::of(status, false), here);
            assert_eq!(Verdict::of(status, true), in_ci);
        }
    }

    #[test]
    fn steps_are_chosen_by_a_part_of_their_name() {
        let options = |words: &[&str]| TestOptions {
            only: words.iter().map(|&word| word.into()).collect(),
            list: false,
        };
        assert!(options(&[]).chooses("lints"));
        assert!(options(&["lin"]).chooses("lints") && options(&["x", "vCPUs"]).chooses("linux, 2 vCPUs"));
        assert!(!options(&["format"]).chooses("lints"));
    }
}
