//! The VMM: built for the boot, and told what to run.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;
use crate::{command, progress};

use super::drive::Drive;
use super::nested::{self, Payload};

const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROFILE: &str = "rig";

/// The program beside the VMM by which a guest's scripts write to ports.
pub(crate) const OUTB: &str = "outb";

/// What a VMM is told. Paths are those of the machine that it runs in.
pub(crate) struct Invocation {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: Option<PathBuf>,
    pub(crate) command_line: String,
    pub(crate) cpus: u8,
    pub(crate) memory: u32,
    pub(crate) disks: Vec<Drive>,
    pub(crate) stats: PathBuf,
    pub(crate) trace: Option<PathBuf>,
    /// How many bytes of each packet the trace shows, if not as many as usual.
    pub(crate) trace_bytes: Option<u16>,
    pub(crate) pcap: Option<PathBuf>,
    /// Further options.
    pub(crate) options: Vec<String>,
}

impl Invocation {
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        self.arguments_with(self.disks.iter().map(|drive| drive.argument_at(&drive.image)))
    }

    fn arguments_with(&self, disks: impl Iterator<Item = OsString>) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let mut option =
            |name: &str, value: &OsStr| arguments.extend([OsString::from(name), value.to_owned()]);
        option("--kernel", self.kernel.as_os_str());
        if let Some(initrd) = &self.initrd {
            option("--initrd", initrd.as_os_str());
        }
        option("--cmdline", self.command_line.as_ref());
        option("--cpus", self.cpus.to_string().as_ref());
        option("--memory", self.memory.to_string().as_ref());
        for disk in disks {
            option("--disk", &disk);
        }
        option("--net", "user".as_ref());
        option("--stats", self.stats.as_os_str());
        for (name, file) in [("--trace", &self.trace), ("--pcap", &self.pcap)] {
            if let Some(file) = file {
                option(name, file.as_os_str());
            }
        }
        if let Some(count) = self.trace_bytes {
            arguments.extend(["--trace-bytes".into(), count.to_string().into()]);
        }
        arguments.extend(self.options.iter().map(OsString::from));
        arguments
    }

    /// The same VMM run in the emulated machine: its files go in, what it writes comes out.
    pub(crate) fn nested(mut self, vmm: &Path) -> Result<Payload> {
        let mut outputs = Vec::new();
        let mut out = |name: &'static str, file: &mut PathBuf| {
            outputs.push((name, std::mem::replace(file, nested::port(name))));
        };
        out("stats", &mut self.stats);
        for (name, file) in [("trace", &mut self.trace), ("pcap", &mut self.pcap)] {
            if let Some(file) = file {
                out(name, file);
            }
        }

        let mut files = Vec::new();
        let mut into = |name: &str, file: &mut PathBuf| -> Result<()> {
            let content = fs::read(&*file).with_context(|| format!("cannot read {}", file.display()))?;
            files.push((name.to_owned(), content));
            *file = Path::new("/").join(name);
            Ok(())
        };
        let mut program = vmm.to_owned();
        into("vmm", &mut program)?;
        into("guest-kernel", &mut self.kernel)?;
        if let Some(initrd) = &mut self.initrd {
            into("guest-initramfs", initrd)?;
        }

        let disks = self.disks.iter().zip(nested::drives());
        let mut command = vec![program.into_os_string()];
        command.extend(self.arguments_with(disks.map(|(drive, path)| drive.argument_at(&path))));
        Ok(Payload {
            command,
            files,
            drives: self.disks,
            outputs,
            memory: self.memory,
        })
    }
}

/// Builds the VMM and what is beside it without shared libraries, so that they run where there is nothing but a kernel.
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

    fn invocation() -> Invocation {
        let drive = |name, options| Drive {
            name,
            image: format!("{name}.img").into(),
            options,
        };
        Invocation {
            kernel: "vmlinuz".into(),
            initrd: Some("initramfs".into()),
            command_line: "console=ttyS0 quiet".into(),
            cpus: 2,
            memory: 512,
            disks: vec![drive("a", ""), drive("b", "ro")],
            stats: "stats.json".into(),
            trace: None,
            trace_bytes: None,
            pcap: Some("nic.pcap".into()),
            options: Vec::new(),
        }
    }

    #[test]
    fn each_disk_is_an_option_of_its_own() {
        let arguments = invocation().arguments();
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
    #[test]
    fn in_the_emulated_machine_files_have_other_places() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, name).unwrap();
            path
        };
        let payload = Invocation {
            kernel: file("vmlinuz"),
            initrd: Some(file("initramfs")),
            ..invocation()
        }
        .nested(&file("program"))
        .unwrap();
        let shown: Vec<_> = payload
            .command
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        assert_eq!(
            shown.join("|"),
            "/vmm|--kernel|/guest-kernel|--initrd|/guest-initramfs|--cmdline|console=ttyS0 quiet|--cpus|2|--memory|512|\
             --disk|/dev/vda|--disk|/dev/vdb,ro|--net|user|--stats|/dev/port-stats|--pcap|/dev/port-pcap"
        );
        let content = |name: &str| {
            payload
                .files
                .iter()
                .find(|file| file.0 == name)
                .unwrap()
                .1
                .as_slice()
        };
        assert_eq!(
            [content("vmm"), content("guest-kernel")],
            [&b"program"[..], b"vmlinuz"]
        );
        assert_eq!(
            payload.outputs,
            [("stats", "stats.json".into()), ("pcap", "nic.pcap".into())]
        );
    }
}
