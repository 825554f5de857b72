//! The VMM: built for the boot, and told what to run.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::workspace::Workspace;
use crate::{command, progress};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROFILE: &str = "rig";

/// What a VMM is told. Paths are those of the machine that it runs in.
pub(crate) struct Invocation {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
    pub(crate) command_line: String,
    pub(crate) cpus: u8,
    pub(crate) memory: u32,
    pub(crate) disks: Vec<OsString>,
    pub(crate) stats: PathBuf,
    pub(crate) trace: Option<PathBuf>,
    pub(crate) pcap: Option<PathBuf>,
}

impl Invocation {
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut option =
            |name: &str, value: &OsStr| arguments.extend([OsString::from(name), value.to_owned()]);
        option("--kernel", self.kernel.as_os_str());
        option("--initrd", self.initrd.as_os_str());
        option("--cmdline", self.command_line.as_ref());
        option("--cpus", self.cpus.to_string().as_ref());
        option("--memory", self.memory.to_string().as_ref());
        for disk in &self.disks {
            option("--disk", disk);
        }
        option("--net", "user".as_ref());
        option("--stats", self.stats.as_os_str());
        for (name, file) in [("--trace", &self.trace), ("--pcap", &self.pcap)] {
            if let Some(file) = file {
                option(name, file.as_os_str());
            }
        }
        arguments
    }
}

/// Builds the VMM without shared libraries, so that it runs where there is nothing but a kernel.
pub(crate) fn build(workspace: &Workspace) -> Result<PathBuf> {
    progress::step("Building", "the VMM", || {
        command::run(
            command::cargo()
                .current_dir(&workspace.root)
                .args([
                    "build",
                    "--quiet",
                    "--package",
                    "vmm",
                    "--profile",
                    PROFILE,
                    "--target",
                    TARGET,
                ])
                .env("RUSTFLAGS", "-C target-feature=+crt-static"),
        )
    })?;
    let binary = workspace.target.join(TARGET).join(PROFILE).join("vmm");
    if !binary.is_file() {
        bail!("cargo built no {}", binary.display());
    }
    Ok(binary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_disk_is_an_option_of_its_own() {
        let invocation = Invocation {
            kernel: "vmlinuz".into(),
            initrd: "initramfs".into(),
            command_line: "console=ttyS0 quiet".into(),
            cpus: 2,
            memory: 512,
            disks: vec!["a.img".into(), "b.img,ro".into()],
            stats: "stats.json".into(),
            trace: None,
            pcap: Some("nic.pcap".into()),
        };
        let arguments = invocation.arguments();
        let shown: Vec<_> = arguments
            .iter()
            .map(|argument| argument.to_string_lossy())
            .collect();
        assert_eq!(
            shown.join("|"),
            "--kernel|vmlinuz|--initrd|initramfs|--cmdline|console=ttyS0 quiet|--cpus|2|--memory|512|--disk|a.img|\
             --disk|b.img,ro|--net|user|--stats|stats.json|--pcap|nic.pcap"
        );
    }
}
