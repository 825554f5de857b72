//! `cargo xtask bench`: the benchmarks, and each beside its floor.

mod plot;
mod results;

use std::collections::BTreeSet;
use std::process::{Command, ExitCode, Stdio};
use std::time::SystemTime;

use anyhow::{Context as _, Result};

use crate::cli::BenchOptions;
use crate::workspace::Workspace;
use crate::{bad_input, command, progress};

/// What is measured: packages, and their benchmarks.
const PACKAGES: [&str; 2] = ["vmbus-ringbuf", "loopback"];
const BENCHES: [&str; 3] = ["ring", "threads", "loopback"];
/// The last part of the name of what the others of a group are compared with.
const FLOOR: &str = "floor";

/// Measures the chosen benchmarks and the floors of their groups.
pub(crate) fn run(options: &BenchOptions) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let names = progress::step("Building", "the benchmarks", || names(&workspace))?;
    let chosen = choose(&names, options.filter.as_deref())?;
    if options.list {
        chosen.iter().for_each(|name| println!("{name}"));
        return Ok(ExitCode::SUCCESS);
    }
    if options.plot.is_some() && !chosen.iter().any(|name| plot::draws(name)) {
        return Err(bad_input(
            "--plot draws the benchmarks of one thread, which --filter leaves out",
        ));
    }
    let wanted = with_floors(&names, &chosen);
    // Made before the minutes that the measurements take.
    for file in options.json.iter().chain(&options.plot) {
        let folder = if Some(file) == options.plot.as_ref() {
            Some(file.as_path())
        } else {
            file.parent().filter(|folder| !folder.as_os_str().is_empty())
        };
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
    }

    let started = SystemTime::now();
    let mut measure = cargo_bench(&workspace);
    measure.args(["--noplot", &pattern(&wanted)]);
    // What is told meanwhile is progress; the table is the result.
    measure.stdout(std::io::stderr());
    let what = format!("{} benchmarks, about 1 s each", wanted.len());
    progress::step("Measuring", what, || command::run(&mut measure))?;

    let figures = results::read(&criterion_folder(&workspace), &wanted, started)?;
    println!("\n{}", results::table(&figures));
    if let Some(file) = &options.json {
        results::write(&figures, file)?;
        progress::say("Wrote", file.display());
    }
    if let Some(folder) = &options.plot {
        let file = folder.join("throughput.svg");
        plot::draw(&figures, &file)?;
        progress::say("Drew", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// `cargo bench` for what is measured, up to the arguments of the benchmarks themselves.
fn cargo_bench(workspace: &Workspace) -> Command {
    let mut cargo = command::cargo();
    cargo
        .current_dir(&workspace.root)
        .env("CRITERION_HOME", criterion_folder(workspace))
        .args(["bench", "--quiet"]);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    for bench in BENCHES {
        cargo.args(["--bench", bench]);
    }
    cargo.arg("--");
    cargo
}

fn criterion_folder(workspace: &Workspace) -> std::path::PathBuf {
    workspace.target.join("criterion")
}

/// All benchmarks' names, in the order in which they are measured.
fn names(workspace: &Workspace) -> Result<Vec<String>> {
    let mut list = cargo_bench(workspace);
    list.arg("--list").stderr(Stdio::inherit());
    let said = command::text(&mut list)?;
    let names = said.lines().filter_map(|line| line.strip_suffix(": benchmark"));
    Ok(names.map(str::to_owned).collect())
}

/// The benchmarks whose name contains this, without the floors: those are measured along.
fn choose<'n>(names: &'n [String], filter: Option<&str>) -> Result<Vec<&'n str>> {
    let chosen: Vec<_> = names
        .iter()
        .map(String::as_str)
        .filter(|name| split(name).1 != FLOOR && filter.is_none_or(|word| name.contains(word)))
        .collect();
    if chosen.is_empty() {
        return Err(bad_input(format!(
            "no benchmark is named like {}; see --list",
            filter.unwrap_or_default()
        )));
    }
    Ok(chosen)
}

/// These and the floors of their groups, in the order in which they are measured.
fn with_floors<'n>(names: &'n [String], chosen: &[&str]) -> Vec<&'n str> {
    let groups: BTreeSet<_> = chosen.iter().map(|name| split(name).0).collect();
    let wanted = |name: &&str| {
        let (group, last) = split(name);
        chosen.contains(name) || (last == FLOOR && groups.contains(group))
    };
    names.iter().map(String::as_str).filter(wanted).collect()
}

/// A benchmark's group, and its name there.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

/// The regular expression of exactly these names.
fn pattern(names: &[&str]) -> String {
    format!("^({})$", names.join("|"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["a/16/floor", "a/16/list", "a/16/whole", "b/floor", "b/whole"]
            .map(str::to_owned)
            .to_vec()
    }

    #[test]
    fn floors_come_along_with_what_is_chosen() {
        let names = names();
        let chosen = choose(&names, Some("list")).unwrap();
        assert_eq!(chosen, ["a/16/list"]);
        let wanted = with_floors(&names, &chosen);
        assert_eq!(wanted, ["a/16/floor", "a/16/list"]);
        assert_eq!(pattern(&wanted), "^(a/16/floor|a/16/list)$");
        assert_eq!(with_floors(&names, &choose(&names, None).unwrap()), names);
    }

    #[test]
    fn a_name_that_no_benchmark_has_is_told() {
        let error = choose(&names(), Some("floor")).unwrap_err().to_string();
        assert!(error.contains("named like floor"), "{error}");
    }
}
