//! The program: a static library that takes the address of every public function.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustdoc_types::Crate;

use super::api::Callable;
use crate::command;
use crate::workspace::{PUBLISHED, Workspace};

/// Each function of the program begins with this; a number follows.
pub(super) const ROOT: &str = "panic_free_root_";

/// What rustdoc tells of the published crates.
pub(super) fn documented(workspace: &Workspace) -> Result<Vec<Crate>> {
    PUBLISHED
        .iter()
        .map(|(package, _)| {
            let mut cargo = command::cargo();
            cargo
                .current_dir(&workspace.root)
                // The form is not stable yet, so a stable rustdoc has to be told to trust itself.
                .env("RUSTC_BOOTSTRAP", "1")
                .args([
                    "rustdoc",
                    "--quiet",
                    "--lib",
                    "--package",
                    package,
                    "--target-dir",
                ])
                .arg(folder(workspace).join("doc"))
                .args([
                    "--",
                    "-Zunstable-options",
                    "--output-format=json",
                    "--document-hidden-items",
                    "--cap-lints=allow",
                ]);
            command::run(&mut cargo)?;
            let file = folder(workspace)
                .join("doc/doc")
                .join(format!("{}.json", package.replace('-', "_")));
            read(&file)
        })
        .collect()
}

pub(super) fn read(file: &Path) -> Result<Crate> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).map_err(|error| {
        // Of another version's form, all that is read here may be the same; so it is looked at only now.
        let version = serde_json::from_slice::<serde_json::Value>(&text)
            .map(|value| value["format_version"].to_string())
            .unwrap_or_default();
        anyhow::anyhow!(
            "rustdoc writes its JSON in form {version}, and this task reads form {}: {error}",
            rustdoc_types::FORMAT_VERSION
        )
    })
}

fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("panic-free")
}

/// Builds the program for these functions and returns the library's bytes.
pub(super) fn build(workspace: &Workspace, callables: &[Callable], overflow_checks: bool) -> Result<Vec<u8>> {
    let program = folder(workspace).join("program");
    let sources = program.join("src");
    std::fs::create_dir_all(&sources).with_context(|| format!("cannot make {}", sources.display()))?;
    write(&program.join("Cargo.toml"), &manifest(workspace, overflow_checks))?;
    write(&sources.join("lib.rs"), &source(callables))?;
    // The same versions of everything as the workspace has.
    let lock = program.join("Cargo.lock");
    std::fs::copy(workspace.root.join("Cargo.lock"), &lock)
        .with_context(|| format!("cannot write {}", lock.display()))?;

    let target = folder(workspace).join("build");
    let mut cargo = command::cargo();
    cargo
        .current_dir(&program)
        .args(["build", "--quiet", "--release", "--target-dir"])
        .arg(&target)
        // Names that tell which function of which types it is.
        .env("RUSTFLAGS", "-Csymbol-mangling-version=v0");
    command::run(&mut cargo)?;
    let library = target.join("release/libprogram.a");
    std::fs::read(&library).with_context(|| format!("cannot read {}", library.display()))
}

fn write(file: &Path, text: &str) -> Result<()> {
    // Cargo goes by the time of a file.
    if std::fs::read_to_string(file).is_ok_and(|there| there == text) {
        return Ok(());
    }
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// A workspace of its own, built as an embedder builds: nothing but `panic` differs from cargo's release profile.
fn manifest(workspace: &Workspace, overflow_checks: bool) -> String {
    let mut text = String::from(
        "[package]\nname = \"program\"\nedition = \"2024\"\n\n[workspace]\n\n[lib]\ncrate-type = [\"staticlib\"]\n\n\
         [dependencies]\n",
    );
    let root = workspace.root.display();
    for (package, folder) in PUBLISHED {
        let _ = writeln!(text, "{package} = {{ path = {:?} }}", format!("{root}/{folder}"));
    }
    let _ = writeln!(
        text,
        "opaque = {{ path = {:?} }}",
        format!("{root}/interop/opaque")
    );
    let _ = writeln!(
        text,
        "\n[profile.release]\npanic = \"abort\"\noverflow-checks = {overflow_checks}"
    );
    text
}

fn source(callables: &[Callable]) -> String {
    let mut text = String::from(
        "#![no_std]\n#![allow(warnings)]\n\n#[panic_handler]\nfn panic(_: &core::panic::PanicInfo<'_>) -> ! {\n    loop {}\n}\n\n",
    );
    for (number, callable) in callables.iter().enumerate() {
        if let Ok(pointer) = &callable.pointer {
            let _ = writeln!(
                text,
                "#[unsafe(no_mangle)] extern \"C\" fn {ROOT}{number}() -> usize {{ ({pointer}) as usize }}"
            );
        }
    }
    text
}
