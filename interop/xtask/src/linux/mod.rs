//! `cargo xtask linux`: an unmodified Linux kernel on the VMM, and whether all is well with its disks and network.

mod disks;
mod faults;
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
        mode: Mode::of(options),
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

/// What the guest is to do.
enum Mode {
    /// Every check of a host that works.
    Checks,
    /// To get over what follows from this seed.
    Faults(u64),
    /// This shell command.
    Command(String),
}

impl Mode {
    fn of(options: &LinuxOptions) -> Self {
        match (&options.run, options.faults) {
            (Some(command), _) => Self::Command(command.clone()),
            (None, Some(seed)) => Self::Faults(seed),
            (None, None) => Self::Checks,
        }
    }

    /// The guest tells when something is to be done, and does not want to wait for as long as people do.
    fn vmm_options(&self) -> Vec<String> {
        let seed;
        let options: &[&str] = match self {
            Self::Checks | Self::Command(_) => &["--heartbeat-patience", "2"],
            Self::Faults(number) => {
                seed = number.to_string();
                &["--faults", &seed]
            }
        };
        ["--test-ports"]
            .iter()
            .chain(options)
            .map(|&option| option.into())
            .collect()
    }

    fn disks(&self) -> &'static [disks::Wanted] {
        match self {
            Self::Checks | Self::Command(_) => disks::DISKS,
            Self::Faults(_) => disks::FAULTY_DISKS,
        }
    }

    fn checks(&self) -> &'static [&'static str] {
        match self {
            Self::Checks | Self::Command(_) => &verify::CHECKS,
            Self::Faults(_) => &faults::CHECKS,
        }
    }
}

struct Run<'a> {
    options: &'a LinuxOptions,
    mode: Mode,
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
                let disks = disks::make(folder, self.mode.disks(), |root| {
                    guest::fill_root(
                        root,
                        &self.kernel,
                        &self.busybox,
                        &self.vmm.with_file_name(rig::OUTB),
                        &self.mode,
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

        if let Mode::Command(_) = self.mode {
            return Ok(outcome.results.exit.map_or(ExitCode::FAILURE, ExitCode::from));
        }
        let evidence = Evidence {
            outcome: &outcome,
            disks: &disks,
            stats: Stats::read(&stats),
            cpus: self.options.cpus,
        };
        let checks = progress::step("Checking", "the images from outside", || {
            evidence.checks(self.mode.checks())
        });
        let report = Report {
            kernel: self.kernel.name.clone(),
            via: if self.nested { "nested" } else { "kvm" }.into(),
            vmbus_version: outcome.results.version.clone().unwrap_or_default(),
            checks,
            figures: outcome.figures(),
        };
        report.conclude(self.outputs.report.as_deref())
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
            options: self.mode.vmm_options(),
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
        let (level, more) = match self.mode {
            Mode::Checks | Mode::Command(_) => (5, ""),
            // What failing devices make it say would keep a serial line busy; worse than that is shown still.
            Mode::Faults(_) => (1, faults::COMMAND_LINE),
        };
        let level = if self.options.verbose { 8 } else { level };
        format!("console=ttyS0 panic=-1 loglevel={level}{more}")
    }
}
