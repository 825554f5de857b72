//! `cargo xtask fuzz --coverage`: how much of each crate the targets reach with what they know.
//!
//! The targets run their committed corpora, and what earlier runs added, without a fuzzer and on the toolchain of the tests.
//! Code that is generic counts once it is used at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use comfy_table::CellAlignment;
use serde::Deserialize;

use crate::report::table;
use crate::workspace::{PUBLISHED, Workspace};
use crate::{bad_input, command, progress};

/// Files of which less is reached are named.
const LITTLE: f64 = 0.7;

/// What `llvm-cov export` says.
#[derive(Deserialize)]
struct Export {
    data: Vec<Data>,
}

#[derive(Deserialize)]
struct Data {
    files: Vec<CoveredFile>,
}

#[derive(Deserialize)]
struct CoveredFile {
    filename: PathBuf,
    summary: Summary,
}

#[derive(Deserialize)]
struct Summary {
    lines: Lines,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
struct Lines {
    count: u64,
    covered: u64,
}

impl Lines {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.covered += other.covered;
    }

    #[allow(clippy::cast_precision_loss, reason = "lines of a file")]
    fn part(self) -> f64 {
        if self.count == 0 {
            1.0
        } else {
            self.covered as f64 / self.count as f64
        }
    }

    fn row(self, name: String) -> [String; 4] {
        let percent = format!("{:.1} %", self.part() * 100.0);
        [name, self.covered.to_string(), self.count.to_string(), percent]
    }
}

/// Runs the targets on what they know, and prints how much of each crate that reaches.
pub(super) fn run(workspace: &Workspace, folder: &Path, targets: &[&str]) -> Result<()> {
    let tools = Tools::find()?;
    let target = workspace.target.join("coverage");
    let mut build = command::cargo();
    build
        .args(["build", "--bins", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTFLAGS", "-C instrument-coverage")
        // Procedural macros count too, and would write where they happen to run.
        .env("LLVM_PROFILE_FILE", target.join("build/%p.profraw"));
    progress::step("Building", "the fuzz targets, with counters", || {
        command::run(&mut build)
    })?;

    let profiles = target.join("profiles");
    if profiles.is_dir() {
        std::fs::remove_dir_all(&profiles)?;
    }
    let programs: Vec<_> = targets
        .iter()
        .map(|name| target.join("debug").join(name))
        .collect();
    for (name, program) in targets.iter().zip(&programs) {
        let corpora = [folder.to_owned(), workspace.target.join("fuzz")];
        let corpora = corpora.map(|folder| folder.join("corpus").join(name));
        let profile = profiles.join(format!("{name}.profraw"));
        progress::step("Running", name, || {
            command::run(
                Command::new(program)
                    .args(corpora.iter().filter(|corpus| corpus.is_dir()))
                    .env("LLVM_PROFILE_FILE", profile),
            )
        })?;
    }
    let merged = target.join("fuzz.profdata");
    command::run(
        Command::new(&tools.profdata)
            .args(["merge", "--sparse", "-o"])
            .arg(&merged)
            .arg(&profiles),
    )?;
    let mut export = Command::new(&tools.cov);
    export
        .args(["export", "--summary-only", "--instr-profile"])
        .arg(&merged);
    for (index, program) in programs.iter().enumerate() {
        if index > 0 {
            export.arg("--object");
        }
        export.arg(program);
    }
    let text = command::text(&mut export)?;
    let export: Export = serde_json::from_str(&text).context("llvm-cov says something else than expected")?;
    let files = export.data.into_iter().flat_map(|data| data.files);
    print(
        &workspace.root,
        files.map(|file| (file.filename, file.summary.lines)),
    );
    Ok(())
}

/// Sums up by crate, and names the files of which little is reached.
fn print(root: &Path, files: impl Iterator<Item = (PathBuf, Lines)>) {
    let mut crates = BTreeMap::<&str, Lines>::new();
    let mut little = Vec::new();
    for (file, lines) in files {
        let Some((name, file)) = of_crate(root, &file) else {
            continue;
        };
        crates.entry(name).or_default().add(lines);
        if lines.part() < LITTLE {
            little.push((file.to_owned(), lines));
        }
    }
    little.sort_by(|(_, one), (_, other)| one.part().total_cmp(&other.part()));
    let show = |title: &str, rows: Vec<[String; 4]>| {
        let mut table = table();
        table.set_header([title, "lines reached", "of", ""]);
        table.add_rows(rows);
        for column in 1..4 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        println!("\n{table}");
    };
    let by_crate = PUBLISHED
        .iter()
        .filter_map(|(_, name)| Some((name, crates.get(name)?)));
    show(
        "crate",
        by_crate
            .map(|(name, lines)| lines.row((*name).to_owned()))
            .collect(),
    );
    let rows = little
        .into_iter()
        .map(|(file, lines)| lines.row(file.display().to_string()));
    show("files with little", rows.collect());
}

/// The published crate that a source file is of, and its path below the root.
fn of_crate<'f>(root: &Path, file: &'f Path) -> Option<(&'static str, &'f Path)> {
    let file = file.strip_prefix(root).ok()?;
    let (_, name) = PUBLISHED
        .into_iter()
        .find(|(_, name)| file.starts_with(Path::new(name).join("src")))?;
    Some((name, file))
}

/// LLVM's tools, of the version that the compiler writes for.
struct Tools {
    profdata: PathBuf,
    cov: PathBuf,
}

impl Tools {
    /// Those of the toolchain, which rustup can add, or else the distribution's.
    fn find() -> Result<Self> {
        let rustc = || Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let about = command::text(rustc().arg("-vV"))?;
        let major = llvm_major(&about).context("the compiler does not tell its LLVM's version")?;
        let libraries = command::text(rustc().args(["--print", "target-libdir"]))?;
        let own = Path::new(libraries.trim()).with_file_name("bin");
        let find = |name: &str| {
            let own = own.join(name);
            if own.is_file() {
                return Some(own);
            }
            command::find(&format!("{name}-{major}"))
        };
        let tools = || {
            let (profdata, cov) = (find("llvm-profdata")?, find("llvm-cov")?);
            Some(Self { profdata, cov })
        };
        if tools().is_none() && command::find("rustup").is_some() {
            progress::step("Installing", "llvm-tools", || {
                // Told below, with what to do about it.
                let _ = command::run(command::tool("rustup").args(["component", "add", "llvm-tools"]));
            });
        }
        tools().ok_or_else(|| {
            bad_input(format!(
                "missing on this machine: llvm-profdata and llvm-cov of LLVM {major}; do: rustup component add llvm-tools, \
                 or apt-get install llvm-{major}"
            ))
        })
    }
}

/// The major number in `LLVM version: 22.1.2`.
fn llvm_major(about: &str) -> Option<u32> {
    let version = about
        .lines()
        .find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_published_crates() {
        let root = Path::new("/tree");
        let of = |file| of_crate(root, Path::new(file)).map(|(name, _)| name);
        assert_eq!(of("/tree/ringbuf/src/mem/mod.rs"), Some("ringbuf"));
        assert_eq!(of("/tree/fuzz/src/lib.rs"), None);
        assert_eq!(of("/registry/ringbuf/src/lib.rs"), None);
        let mut sum = Lines::default();
        sum.add(Lines { count: 8, covered: 2 });
        assert_eq!(sum.row("x".into()), ["x", "2", "8", "25.0 %"]);
    }

    #[test]
    fn the_version_of_llvm_is_told_by_the_compiler() {
        assert_eq!(llvm_major("release: 1.95.0\nLLVM version: 22.1.2\n"), Some(22));
        assert_eq!(llvm_major("release: 1.95.0"), None);
    }
}
