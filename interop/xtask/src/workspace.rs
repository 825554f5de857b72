//! Where things are: the sources, cargo's target folder, and what is kept there between runs.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::command;

/// The published crates: as packages are called, and their folders.
pub(crate) const PUBLISHED: [(&str, &str); 5] = [
    ("hvcall", "hvcall"),
    ("vmbus-ringbuf", "ringbuf"),
    ("vmbus-proto", "vmbus-proto"),
    ("storvsc-proto", "storvsc-proto"),
    ("netvsc-proto", "netvsc-proto"),
];

pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
}

impl Workspace {
    /// Asks cargo, which knows of every way to move the target folder.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("interop/xtask stands in no workspace")?
            .to_owned();
        let metadata = command::output(command::cargo().current_dir(&root).args([
            "metadata",
            "--format-version=1",
            "--no-deps",
            "--offline",
        ]))?;
        let metadata: serde_json::Value = serde_json::from_slice(&metadata)?;
        let target = metadata["target_directory"]
            .as_str()
            .context("cargo metadata names no target_directory")?;
        Ok(Self {
            target: target.into(),
            root,
        })
    }

    /// A folder of the Linux boot's own, made where it is not yet.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.target.join("linux").join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}
