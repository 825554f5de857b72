//! The user space of the Linux guests and of the emulated machine: one static busybox.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::{bad_input, command};

use super::archive::Archive;
use super::modules::Module;

/// The machine's own static busybox, which is all the user space that the guests have.
pub(crate) struct Busybox {
    pub(crate) path: PathBuf,
    pub(crate) applets: Vec<String>,
}

impl Busybox {
    pub(crate) fn find() -> Result<Self> {
        let path = command::find("busybox").ok_or_else(|| bad_input("missing on this machine: busybox"))?;
        let applets = command::text(command::tool("busybox").arg("--list"))?;
        Ok(Self {
            path,
            applets: applets.lines().map(Into::into).collect(),
        })
    }

    /// The start of every initramfs: busybox as `/bin/busybox` and `/bin/sh`, the folders to mount on, and `/init`.
    pub(crate) fn archive(&self, init: &str, modules: Vec<Module>) -> Result<Archive> {
        let mut archive = Archive::default();
        for folder in ["proc", "sys", "dev", "tmp", "root"] {
            archive.folder(folder);
        }
        archive.program("bin/busybox", fs::read(&self.path)?);
        archive.link("bin/sh", "busybox");
        archive.program("init", init);
        let order: Vec<_> = modules.iter().map(|module| module.name.as_str()).collect();
        archive.file("modules/order", order.join("\n"));
        for module in modules {
            archive.file(&format!("modules/{}.ko", module.name), module.file);
        }
        Ok(archive)
    }
}
