//! A toolchain for machines without an operating system: which has `core` for them, or the sources to build it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::rig::{can_install, install};
use crate::workspace::Workspace;
use crate::{bad_input, command, progress};

/// Debian's newest toolchain, with the sources of `core`.
const PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];
/// Where Debian puts it, whatever else the `PATH` has first.
const SYSTEM_RUSTC: &str = "/usr/bin/rustc";
const SYSTEM_CARGO: &str = "/usr/bin/cargo";
/// Debian's rustc brings no linker of its own, but depends on binutils.
const SYSTEM_LINKER: &str = "ld";

/// A cargo and a rustc that build for bare metal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Toolchain {
    cargo: OsString,
    rustc: PathBuf,
    core: Core,
    /// In place of the one that the target asks for.
    linker: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Core {
    Installed,
    /// Built along with what uses it. Stable compilers do that when told to trust themselves.
    FromSource,
}

impl Toolchain {
    /// The toolchain that runs this task, where it has `core` for these targets or its sources; else Debian's; else the
    /// first with what rustup adds to it, or apt installs.
    pub(crate) fn find(targets: &[&str]) -> Result<Self> {
        let found = || Self::own(targets).or_else(Self::debian);
        if let Some(toolchain) = found() {
            return Ok(toolchain);
        }
        if command::find("rustup").is_some() {
            progress::step("Installing", targets.join(" "), || {
                // Without a network this fails, and there is Debian's to try.
                let _ = command::run(command::tool("rustup").args(["target", "add"]).args(targets));
            });
        }
        if let Some(toolchain) = found() {
            return Ok(toolchain);
        }
        if can_install() {
            progress::step("Installing", PACKAGES.join(" "), || install(&PACKAGES))?;
        }
        found().ok_or_else(|| {
            bad_input(format!(
                "missing on this machine: Rust's core library for {}; do one of: rustup target add {}; or, on Debian \
                 and as root: apt-get install {}",
                targets.join(" and "),
                targets.join(" "),
                PACKAGES.join(" ")
            ))
        })
    }

    fn own(targets: &[&str]) -> Option<Self> {
        let rustc = PathBuf::from(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let core = core_of(&rustc, targets)?;
        let cargo = command::cargo().get_program().to_owned();
        Some(Self {
            cargo,
            rustc,
            core,
            linker: None,
        })
    }

    fn debian() -> Option<Self> {
        let rustc = PathBuf::from(SYSTEM_RUSTC);
        if !Path::new(SYSTEM_CARGO).exists() || !is_new_enough(&rustc) {
            return None;
        }
        Some(Self {
            core: core_of(&rustc, &[])?,
            rustc,
            cargo: SYSTEM_CARGO.into(),
            linker: Some(SYSTEM_LINKER),
        })
    }

    /// `cargo` with a subcommand for one of the targets, in a target folder of its own: what another compiler built is
    /// not built again for that.
    pub(crate) fn cargo(&self, subcommand: &str, target: &str, workspace: &Workspace) -> Command {
        let mut cargo = Command::new(&self.cargo);
        cargo
            .current_dir(&workspace.root)
            .env("RUSTC", &self.rustc)
            .arg(subcommand)
            .args(["--quiet", "--target", target, "--target-dir"])
            .arg(target_folder(workspace));
        if let Some(linker) = self.linker {
            let target = target.replace('-', "_").to_uppercase();
            cargo.env(format!("CARGO_TARGET_{target}_LINKER"), linker);
        }
        if self.core == Core::FromSource {
            cargo.env("RUSTC_BOOTSTRAP", "1").arg("-Zbuild-std=core");
        }
        cargo
    }
}

/// Where builds for bare metal are.
pub(crate) fn target_folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("bare")
}

/// How this compiler comes to `core` for these targets, if it does.
fn core_of(rustc: &Path, targets: &[&str]) -> Option<Core> {
    let sysroot = command::text(Command::new(rustc).args(["--print", "sysroot"])).ok()?;
    core_in(&Path::new(sysroot.trim()).join("lib/rustlib"), targets)
}

fn core_in(rustlib: &Path, targets: &[&str]) -> Option<Core> {
    let has = |target: &&str| rustlib.join(target).join("lib").is_dir();
    if !targets.is_empty() && targets.iter().all(has) {
        Some(Core::Installed)
    } else if rustlib.join("src/rust/library/core/Cargo.toml").is_file() {
        Some(Core::FromSource)
    } else {
        None
    }
}

/// A system's rustc may be years old.
fn is_new_enough(rustc: &Path) -> bool {
    let Ok(said) = command::text(Command::new(rustc).arg("--version")) else {
        return false;
    };
    release_in(&said) >= release(env!("CARGO_PKG_RUST_VERSION"))
}

/// The release in what `rustc --version` says: `rustc 1.95.0 (59807616e 2026-04-14)`.
fn release_in(said: &str) -> Option<(u32, u32)> {
    release(said.split_whitespace().nth(1)?)
}

fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(release_in("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert!(release_in("rustc 1.100.0-nightly (x)") > release("1.95"));
        assert!(release_in("rustc 1.63.0") < release("1.95"));
        assert_eq!(release_in("no such thing"), None);
        assert!(release_in("no such thing") < release("1.95"));
    }

    #[test]
    fn a_toolchain_without_core_for_a_target_does_not_do() {
        let folder = tempfile::tempdir().unwrap();
        let rustlib = folder.path();
        let make = |path: &str| std::fs::create_dir_all(rustlib.join(path)).unwrap();

        assert_eq!(core_in(rustlib, &["a", "b"]), None);
        make("a/lib");
        assert_eq!(core_in(rustlib, &["a", "b"]), None);
        make("b/lib");
        assert_eq!(core_in(rustlib, &["a", "b"]), Some(Core::Installed));
        make("src/rust/library/core");
        std::fs::write(rustlib.join("src/rust/library/core/Cargo.toml"), "").unwrap();
        assert_eq!(core_in(rustlib, &["a", "c"]), Some(Core::FromSource));
        assert_eq!(core_in(rustlib, &[]), Some(Core::FromSource));
    }
}
