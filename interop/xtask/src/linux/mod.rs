//! `cargo xtask linux`: an unmodified Linux kernel on the VMM, and whether all is well with its disks and network.

mod disks;
mod guest;
mod verify;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::cli::LinuxOptions;
use crate::progress;
use crate::report::Report;
use crate::rig::{self, Busybox, Invocation, Kernel, Machine, Outputs, RunFolder, Stats};
use crate::workspace::Workspace;

use self::disks::Disk;
use self::verify::Evidence;

/// Boots the kernel and checks what is to be checked.
pub(crate) fn run(options: &LinuxOptions) -> Result<ExitCode> {
    let outputs = Outputs::make(
        options.trace.as_ref(),
        options.pcap.as_ref(),
        options.report.as_ref(),
    )?;
    let workspace = Workspace::find()?;
    let nested = rig::runs_nested(options.via)?;
    rig::ensure(nested)?;
    let run = Run {
        options,
        outputs,
        nested,
        kernel: match &options.kernel {
            Some(path) => Kernel::named(path, &workspace)?,
            None => Kernel::debian(&workspace)?,
        },
        rig_kernel: if nested {
            Some(Kernel::debian(&workspace)?)
        } else {
            None
        },
        busybox: Busybox::find()?,
        vmm: rig::build(&workspace)?,
    };

    let folder = RunFolder::new(&workspace)?;
    let code = run.in_folder(folder.path());
    if options.keep {
        progress::say("Kept", folder.keep().display());
    }
    code
}

/// The guest tells when a service is to be tested, and does not want to wait for as long as people do.
const VMM_OPTIONS: &[&str] = &["--test-ports", "--heartbeat-patience", "2"];

struct Run<'a> {
    options: &'a LinuxOptions,
    outputs: Outputs,
    nested: bool,
    kernel: Kernel,
    rig_kernel: Option<Kernel>,
    busybox: Busybox,
    vmm: PathBuf,
}

impl Run<'_> {
    fn in_folder(&self, folder: &Path) -> Result<ExitCode> {
        let (disks, initramfs) =
            progress::step("Making", "the disk images and the initramfs", || -> Result<_> {
                let command = self.options.run.as_deref();
                let disks = disks::make(folder, |root| {
                    guest::fill_root(
                        root,
                        &self.kernel,
                        &self.busybox,
                        &self.vmm.with_file_name(rig::OUTB),
                        command,
                    )
                })?;
                let initramfs = folder.join("initramfs");
                guest::write_initramfs(&initramfs, &self.kernel, &self.busybox)?;
                Ok((disks, initramfs))
            })?;

        let stats = folder.join("stats.json");
        let machine = self.machine(folder, initramfs, &disks, stats.clone())?;
        progress::say(
            "Booting",
            format_args!("{} on {} vCPUs", self.kernel.release, self.options.cpus),
        );
        let log = machine.log.clone();
        let outcome = machine.run(self.limit())?;
        if !(outcome.status == Some(0) && outcome.results.complete) {
            outcome.tell_trouble(self.limit(), log.as_deref());
        }

        if self.options.run.is_some() {
            return Ok(outcome.results.exit.map_or(ExitCode::FAILURE, ExitCode::from));
        }
        let evidence = Evidence {
            outcome: &outcome,
            disks: &disks,
            stats: Stats::read(&stats),
            cpus: self.options.cpus,
        };
        let checks = progress::step("Checking", "the images from outside", || evidence.checks());
        let report = Report {
            kernel: self.kernel.name.clone(),
            via: if self.nested { "nested" } else { "kvm" }.into(),
            vmbus_version: outcome.results.version.clone().unwrap_or_default(),
            checks,
            figures: outcome.figures(),
        };
        println!("\n{report}");
        if let Some(path) = &self.outputs.report {
            report.write(path)?;
        }
        Ok(if report.all_hold() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn machine(&self, folder: &Path, initrd: PathBuf, disks: &[Disk], stats: PathBuf) -> Result<Machine> {
        let invocation = Invocation {
            kernel: self.kernel.image.clone(),
            initrd: Some(initrd),
            command_line: self.command_line(),
            cpus: self.options.cpus,
            memory: self.options.memory,
            disks: disks.iter().map(|disk| disk.drive.clone()).collect(),
            stats,
            trace: self.outputs.trace.clone(),
            trace_bytes: self.options.trace_bytes,
            pcap: self.outputs.pcap.clone(),
            options: VMM_OPTIONS,
        };
        match &self.rig_kernel {
            Some(kernel) => rig::prepare(
                folder,
                kernel,
                &self.busybox,
                invocation.nested(&self.vmm)?,
                self.limit(),
            ),
            None => Ok(Machine::direct(&self.vmm, &invocation)),
        }
    }

    fn limit(&self) -> Duration {
        Duration::from_secs(self.options.timeout)
    }

    /// Warnings and worse are shown in any case; the checks read the rest from the kernel's own buffer.
    fn command_line(&self) -> String {
        let level = if self.options.verbose { 8 } else { 5 };
        format!("console=ttyS0 panic=-1 loglevel={level}")
    }
}
