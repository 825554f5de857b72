//! A toolchain that has the address sanitizer, and `cargo xtask asan`: the ring's tests under it.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::workspace::Workspace;
use crate::{bad_input, command, progress};

/// The tests of the ring that access memory by pointers. Those of models are slow under the sanitizer and have none.
const TESTS: [&str; 4] = ["memory", "transfer", "threads", "hostile"];

/// A compiler that has the address sanitizer.
pub(crate) struct Sanitizer {
    /// A toolchain by name, in place of the one that runs this task.
    toolchain: Option<&'static str>,
}

impl Sanitizer {
    /// Installs a toolchain that has it, where there is none and that is possible.
    pub(crate) fn find() -> Result<Self> {
        Ok(Self {
            toolchain: toolchain()?,
        })
    }

    /// That toolchain's cargo. Sanitizers are asked for by options that are not stable.
    pub(crate) fn cargo(&self) -> Command {
        let mut cargo = match self.toolchain {
            None => command::cargo(),
            Some(toolchain) => {
                let mut rustup = command::tool("rustup");
                rustup.args(["run", toolchain, "cargo"]);
                rustup
            }
        };
        cargo.env("RUSTC_BOOTSTRAP", "1");
        cargo
    }
}

/// Runs the ring's tests under the sanitizer.
pub(crate) fn run() -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let mut cargo = Sanitizer::find()?.cargo();
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let target = command::text(Command::new(rustc).args(["--print", "host-tuple"]))?;
    cargo
        .current_dir(&workspace.root)
        .env("RUSTFLAGS", "-Zsanitizer=address")
        // For a target that is named the flags are not those of build scripts and macros, which run without it.
        .args(["test", "--package", "vmbus-ringbuf", "--target", target.trim()]);
    for test in TESTS {
        cargo.args(["--test", test]);
    }
    progress::step("Testing", "the ring's memory under the address sanitizer", || {
        command::run(&mut cargo)
    })?;
    println!("the address sanitizer finds nothing in the ring's memory");
    Ok(ExitCode::SUCCESS)
}

/// The toolchain that runs this task, if it has the sanitizer, else rustup's nightly one.
fn toolchain() -> Result<Option<&'static str>> {
    let own = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    if has_sanitizer(&mut Command::new(own)) {
        return Ok(None);
    }
    let nightly = || has_sanitizer(command::tool("rustup").args(["run", "nightly", "rustc"]));
    if command::find("rustup").is_some() && !nightly() {
        progress::step("Installing", "the nightly toolchain", || {
            // Without a network this fails, which is told below.
            let _ = command::run(command::tool("rustup").args([
                "toolchain",
                "install",
                "nightly",
                "--profile",
                "minimal",
            ]));
        });
    }
    if command::find("rustup").is_some() && nightly() {
        return Ok(Some("nightly"));
    }
    Err(bad_input(
        "missing on this machine: a Rust toolchain with the address sanitizer; do: rustup toolchain install nightly",
    ))
}

fn has_sanitizer(rustc: &mut Command) -> bool {
    let Ok(folder) = command::text(rustc.args(["--print", "target-libdir"])) else {
        return false;
    };
    let Ok(entries) = Path::new(folder.trim()).read_dir() else {
        return false;
    };
    let is_runtime = |name: &str| name.ends_with("_rt.asan.a") || name.ends_with("_rt.asan.dylib");
    entries
        .flatten()
        .any(|entry| is_runtime(&entry.file_name().to_string_lossy()))
}
