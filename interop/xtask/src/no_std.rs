//! `cargo xtask no-std`: the published crates, built where there is no operating system.

use std::process::ExitCode;

use anyhow::Result;

use crate::bare::Toolchain;
use crate::workspace::Workspace;
use crate::{command, progress};

const TARGETS: [&str; 2] = ["x86_64-unknown-none", "aarch64-unknown-none"];

/// Builds the workspace's default members, which are the published crates.
pub(crate) fn run() -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let toolchain = Toolchain::find(&TARGETS)?;
    for target in TARGETS {
        progress::step(
            "Building",
            format_args!("the published crates for {target}"),
            || command::run(&mut toolchain.cargo("build", target, &workspace)),
        )?;
    }
    println!("the published crates build for {}", TARGETS.join(" and "));
    Ok(ExitCode::SUCCESS)
}
