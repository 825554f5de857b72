//! `cargo xtask guest`: our own kernel on our VMM or on a stock QEMU, and whether all is well with what it does there.

mod host;
mod image;
mod size;
mod verify;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::bare::{self, Toolchain};
use crate::cli::{GuestOptions, Host};
use crate::report::Report;
use crate::rig::{self, Busybox, Drive, Kernel, Machine, Outputs, RunFolder, Stats};
use crate::workspace::Workspace;
use crate::{bad_input, command, progress};

use self::verify::Evidence;

const TARGET: &str = "x86_64-unknown-none";

/// Builds the kernel, runs it and checks what is to be checked.
pub(crate) fn run(options: &GuestOptions) -> Result<ExitCode> {
    if options.attack.is_some() && options.host == Host::Qemu {
        return Err(bad_input("--attack is for our VMM: leave out --host qemu"));
    }
    let outputs = Outputs::make(
        options.trace.as_ref(),
        options.pcap.as_ref(),
        options.report.as_ref(),
    )?;
    let workspace = Workspace::find()?;
    let nested = rig::runs_nested(options.via)?;
    rig::ensure(nested || options.host == Host::Qemu)?;
    let kernel = build(&workspace)?;
    let run = Run {
        options,
        outputs,
        kernel,
        rig: if nested {
            Some((Kernel::debian(&workspace)?, Busybox::find()?))
        } else {
            None
        },
        vmm: match options.host {
            Host::Ours => Some(rig::build(&workspace)?),
            Host::Qemu => None,
        },
    };

    let folder = RunFolder::new(&workspace)?;
    let code = run.in_folder(folder.path());
    if options.keep {
        progress::say("Kept", folder.keep().display());
    }
    code
}

/// Builds the kernel: the ELF file, which PVH loaders take.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let toolchain = Toolchain::find(&[TARGET])?;
    progress::step("Building", "the kernel", || {
        command::run(
            toolchain
                .cargo("build", TARGET, workspace)
                .args(["--package", "guest", "--release"]),
        )
    })?;
    let file = bare::target_folder(workspace).join(TARGET).join("release/guest");
    if !file.is_file() {
        bail!("cargo built no {}", file.display());
    }
    Ok(file)
}

struct Run<'a> {
    options: &'a GuestOptions,
    outputs: Outputs,
    kernel: PathBuf,
    /// The emulated machine's kernel and user space, where there has to be one.
    rig: Option<(Kernel, Busybox)>,
    /// Our VMM, where that is the host.
    vmm: Option<PathBuf>,
}

impl Run<'_> {
    fn in_folder(&self, folder: &Path) -> Result<ExitCode> {
        let stats = folder.join("stats.json");
        let elf = fs::read(&self.kernel).context("cannot read the kernel")?;
        let machine = match &self.vmm {
            Some(vmm) => self.ours(folder, vmm, &elf, stats.clone()),
            None => self.qemu(folder),
        }?;
        let host = match self.options.host {
            Host::Ours => "our VMM",
            Host::Qemu => "QEMU",
        };
        progress::say("Booting", format_args!("interop/guest on {host}"));
        let log = machine.log.clone();
        let outcome = machine.run(self.limit())?;
        if !(outcome.status == Some(verify::PASSED) && outcome.results.complete) {
            outcome.tell_trouble(self.limit(), log.as_deref());
        }

        let evidence = Evidence {
            host: self.options.host,
            is_attacked: self.options.attack.is_some(),
            outcome: &outcome,
            folder,
            stats: self.vmm.as_ref().map(|_| Stats::read(&stats)),
        };
        let report = Report {
            kernel: format!("interop/guest, host {host}"),
            via: if self.rig.is_some() { "nested" } else { "kvm" }.into(),
            vmbus_version: outcome.results.version.clone().unwrap_or_default(),
            checks: evidence.checks(),
            figures: outcome
                .figures()
                .into_iter()
                .chain(size::figures(&elf)?)
                .collect(),
        };
        report.conclude(self.outputs.report.as_deref())
    }

    fn ours(&self, folder: &Path, vmm: &Path, elf: &[u8], stats: PathBuf) -> Result<Machine> {
        let kernel = folder.join("bzImage");
        fs::write(&kernel, image::bzimage(elf)?).context("cannot write the kernel's image")?;
        let disks = [("disk", 64, ""), ("spare", 32, "controller=1")];
        let disks = disks
            .into_iter()
            .map(|(name, mib, options)| make_disk(folder, name, mib, options))
            .collect::<Result<_>>()?;
        let attack = self.options.attack.map(|seed| format!("attack={seed}"));
        let mut invocation = host::ours(
            kernel,
            attack.unwrap_or_default(),
            disks,
            stats,
            self.outputs.trace.clone(),
            self.outputs.pcap.clone(),
        );
        if self.options.attack.is_some() {
            invocation.options.push("--small-pages".into());
        }
        match &self.rig {
            Some((kernel, busybox)) => {
                rig::prepare(folder, kernel, busybox, invocation.nested(vmm)?, self.limit())
            }
            None => Ok(Machine::direct(vmm, &invocation)),
        }
    }

    fn qemu(&self, folder: &Path) -> Result<Machine> {
        let command_line = format!("checks={}", verify::QEMU.join(","));
        let trace = self.outputs.trace.clone();
        match &self.rig {
            Some((kernel, busybox)) => {
                let payload = host::qemu_nested(&self.kernel, &command_line, trace)?;
                rig::prepare(folder, kernel, busybox, payload, self.limit())
            }
            None => Ok(Machine::of(&host::qemu(
                &self.kernel,
                &command_line,
                trace.as_deref(),
            )?)),
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.options.timeout)
    }
}

/// A disk of zeroes, in a sparse file.
fn make_disk(folder: &Path, name: &'static str, mib: u64, options: &'static str) -> Result<Drive> {
    let image = folder.join(format!("{name}.img"));
    File::create(&image)
        .and_then(|file| file.set_len(mib << 20))
        .with_context(|| format!("cannot make {}", image.display()))?;
    Ok(Drive { name, image, options })
}
