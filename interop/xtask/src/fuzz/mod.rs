//! `cargo xtask fuzz`: the fuzz targets, each for a while.

mod coverage;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use comfy_table::CellAlignment;

use crate::cli::FuzzOptions;
use crate::report::table;
use crate::rig::{can_install, install};
use crate::sanitizer::Sanitizer;
use crate::workspace::Workspace;
use crate::{bad_input, command, progress};

/// Seconds that one input may take before it counts as one that hangs.
const HANGS: u64 = 20;
/// Lines of a target's output that are shown when it finds something.
const SHOWN: usize = 40;

/// Runs the chosen targets, the later ones also after a finding.
pub(crate) fn run(options: &FuzzOptions) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let folder = workspace.root.join("fuzz");
    let targets = targets(&folder)?;
    let chosen = options.choose(&targets)?;
    if options.coverage {
        coverage::run(&workspace, &folder, &chosen)?;
        return Ok(ExitCode::SUCCESS);
    }
    let cargo = FuzzCargo::find(&folder)?;

    let mut build = cargo.command("build");
    if let [target] = chosen[..] {
        build.arg(target);
    }
    progress::step("Building", "the fuzz targets", || command::run(&mut build))?;

    let logs = workspace.target.join("fuzz");
    let results = side_by_side(options.jobs.into(), &chosen, |target| {
        cargo.fuzz(target, options.seconds, &logs)
    })?;
    print(&results);
    Ok(if results.iter().all(|(_, ended)| ended.ok) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs so many of them at a time, and gives what came of each, in their order.
fn side_by_side<'t, T: Send>(
    jobs: usize,
    targets: &[&'t str],
    run: impl Fn(&'t str) -> Result<T> + Sync,
) -> Result<Vec<(&'t str, T)>> {
    let waiting = Mutex::new(targets.iter().copied().enumerate());
    let ended = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((index, target)) = next else { return };
                    let came = run(target).map(|came| (target, came));
                    ended
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(index, came);
                }
            });
        }
    });
    let ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.into_values().collect()
}

impl FuzzOptions {
    fn choose<'t>(&self, targets: &'t [String]) -> Result<Vec<&'t str>> {
        let targets = targets.iter().map(String::as_str);
        let Some(wanted) = &self.target else {
            return Ok(targets.collect());
        };
        let chosen: Vec<_> = targets.clone().filter(|target| target == wanted).collect();
        if chosen.is_empty() {
            let all: Vec<_> = targets.collect();
            return Err(bad_input(format!(
                "no fuzz target is named {wanted}; there are {}",
                all.join(", ")
            )));
        }
        Ok(chosen)
    }
}

/// The targets' names, in order.
fn targets(folder: &Path) -> Result<Vec<String>> {
    let sources = folder.join("fuzz_targets");
    let mut targets = Vec::new();
    for entry in sources
        .read_dir()
        .with_context(|| format!("cannot read {}", sources.display()))?
    {
        let path = entry?.path();
        if let (Some(stem), Some("rs")) = (path.file_stem(), path.extension().and_then(|it| it.to_str())) {
            targets.push(stem.to_string_lossy().into_owned());
        }
    }
    targets.sort();
    Ok(targets)
}

/// `cargo fuzz`, and a compiler that has the address sanitizer.
struct FuzzCargo {
    folder: PathBuf,
    sanitizer: Sanitizer,
}

/// How the run of one target ended.
struct Ended {
    ok: bool,
    executions: String,
    per_second: String,
    coverage: String,
}

impl FuzzCargo {
    /// Installs what is missing, where that is possible.
    fn find(folder: &Path) -> Result<Self> {
        let sanitizer = Sanitizer::find()?;
        ensure_compiler()?;
        let has_cargo_fuzz = || command::output(command::cargo().args(["fuzz", "--version"])).is_ok();
        if !has_cargo_fuzz() {
            progress::step("Installing", "cargo-fuzz", || {
                // Told below, with what to do about it.
                let _ = command::run(command::cargo().args(["install", "--quiet", "--locked", "cargo-fuzz"]));
            });
        }
        if !has_cargo_fuzz() {
            return Err(bad_input(
                "missing on this machine: cargo-fuzz; do: cargo install --locked cargo-fuzz",
            ));
        }
        Ok(Self {
            folder: folder.to_owned(),
            sanitizer,
        })
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut cargo = self.sanitizer.cargo();
        cargo
            .current_dir(&self.folder)
            .args(["fuzz", subcommand, "--fuzz-dir"])
            .arg(&self.folder);
        cargo
    }

    /// Fuzzes one target. What is new goes to a folder of its own, so that the committed corpus stays as it is.
    fn fuzz(&self, target: &str, seconds: u64, logs: &Path) -> Result<Ended> {
        let found = logs.join("corpus").join(target);
        std::fs::create_dir_all(&found).with_context(|| format!("cannot make {}", found.display()))?;
        let log = logs.join(format!("{target}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut run = self.command("run");
        run.arg(target).arg(&found);
        let committed = self.folder.join("corpus").join(target);
        if committed.is_dir() {
            run.arg(committed);
        }
        run.arg("--").args([
            format!("-max_total_time={seconds}"),
            format!("-timeout={HANGS}"),
            "-print_final_stats=1".to_owned(),
        ]);
        let dictionary = self.folder.join("dictionaries").join(format!("{target}.dict"));
        if dictionary.is_file() {
            run.arg(format!("-dict={}", dictionary.display()));
        }
        run.stderr(output.try_clone()?).stdout(output);
        progress::say("Fuzzing", format_args!("{target} for {seconds} s"));
        let status = run
            .status()
            .with_context(|| format!("cannot run {}", command::shown(&run)))?;
        let said = std::fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let said = String::from_utf8_lossy(&said);
        if !status.success() {
            let lines: Vec<_> = said.lines().collect();
            let mut shown = std::io::stderr().lock();
            for line in &lines[lines.len().saturating_sub(SHOWN)..] {
                writeln!(shown, "    {line}")?;
            }
            writeln!(
                shown,
                "{target} found something; all of it is in {}",
                log.display()
            )?;
        }
        Ok(Ended {
            ok: status.success(),
            executions: figure(&said, "stat::number_of_executed_units:"),
            per_second: figure(&said, "stat::average_exec_per_sec:"),
            coverage: figure(&said, " cov:"),
        })
    }
}

/// The word behind the last of these marks.
fn figure(said: &str, mark: &str) -> String {
    let after = said.rfind(mark).map(|at| &said[at + mark.len()..]);
    let word = after.and_then(|after| after.split_whitespace().next());
    word.unwrap_or("?").to_owned()
}

/// libFuzzer is built from C++.
fn ensure_compiler() -> Result<()> {
    let is_there = || std::env::var_os("CXX").is_some() || command::find("c++").is_some();
    if !is_there() && can_install() {
        progress::step("Installing", "g++", || install(&["g++"]))?;
    }
    if is_there() {
        Ok(())
    } else {
        Err(bad_input(
            "missing on this machine: a C++ compiler, for libFuzzer; on Debian and as root: apt-get install g++",
        ))
    }
}

fn print(results: &[(&str, Ended)]) {
    let mut table = table();
    table.set_header(["target", "", "executions", "a second", "coverage"]);
    for (target, ended) in results {
        table.add_row([
            *target,
            if ended.ok { "ok" } else { "FAILED" },
            &ended.executions,
            &ended.per_second,
            &ended.coverage,
        ]);
    }
    for column in 2..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    println!("\n{table}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_last_that_was_said() {
        let said = "#1 NEW cov: 5 ft: 6\n#2 DONE   cov: 71 ft: 9\nstat::average_exec_per_sec:     12\n";
        assert_eq!(figure(said, " cov:"), "71");
        assert_eq!(figure(said, "stat::average_exec_per_sec:"), "12");
        assert_eq!(figure("", " cov:"), "?");
    }

    #[test]
    fn what_runs_side_by_side_is_told_in_order() {
        let targets = ["c", "b", "a"];
        for jobs in 1..5 {
            let came = side_by_side(jobs, &targets, |target| Ok(target.len())).unwrap();
            assert_eq!(came, targets.map(|target| (target, 1)));
            let failed = side_by_side(jobs, &targets, |_| Err::<(), _>(bad_input("no")));
            assert_eq!(failed.unwrap_err().to_string(), "no");
        }
    }

    #[test]
    fn a_target_is_chosen_by_its_name() {
        let targets = ["ring_pair", "decode_all"].map(str::to_owned);
        let options = |target: Option<&str>| FuzzOptions {
            target: target.map(str::to_owned),
            seconds: 1,
            jobs: 1,
            coverage: false,
        };
        assert_eq!(options(None).choose(&targets).unwrap().len(), 2);
        assert_eq!(
            options(Some("ring_pair")).choose(&targets).unwrap(),
            ["ring_pair"]
        );
        let error = options(Some("ring")).choose(&targets).unwrap_err().to_string();
        assert!(error.contains("ring_pair, decode_all"), "{error}");
    }
}
