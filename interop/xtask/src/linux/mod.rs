//! `cargo xtask linux`: an unmodified Linux kernel on the VMM, and whether all is well with its disks and network.

mod archive;
mod console;
mod disks;
mod folder;
mod guest;
mod kernel;
mod kvm;
mod machine;
mod modules;
mod nested;
mod prerequisites;
mod report;
mod stats;
mod verify;
mod vmm;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Result;

use crate::cli::{LinuxOptions, Via};
use crate::workspace::Workspace;
use crate::{bad_input, progress};

use self::disks::Disk;
use self::folder::RunFolder;
use self::guest::Busybox;
use self::kernel::Kernel;
use self::machine::{Machine, Outcome, Status};
use self::report::Report;
use self::stats::Stats;
use self::verify::Evidence;
use self::vmm::Invocation;

pub(crate) use self::report::table;

/// Boots the kernel and checks what is to be checked.
pub(crate) fn run(options: &LinuxOptions) -> Result<ExitCode> {
    if !cfg!(target_arch = "x86_64") {
        return Err(bad_input(
            "this needs an x86-64 machine: the VMM runs x86-64 guests on KVM",
        ));
    }
    let outputs = Outputs::make(options)?;
    let workspace = Workspace::find()?;
    let nested = runs_nested(options.via)?;
    prerequisites::ensure(nested)?;
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
        vmm: vmm::build(&workspace)?,
    };

    let folder = RunFolder::new(&workspace)?;
    let code = run.in_folder(folder.path());
    if options.keep {
        progress::say("Kept", folder.keep().display());
    }
    code
}

/// Whether the VMM must have an emulated machine around it, and why.
fn runs_nested(via: Via) -> Result<bool> {
    match (via, kvm::emulates_synic()) {
        (Via::Nested, _) => Ok(true),
        (_, Ok(())) => Ok(false),
        (Via::Kvm, Err(why)) => Err(bad_input(format!("{why}; use --via nested"))),
        (Via::Auto, Err(why)) => {
            progress::say("Note", format_args!("{why}; the VMM runs in an emulated machine"));
            Ok(true)
        }
    }
}

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
                    guest::fill_root(root, &self.kernel, &self.busybox, command)
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
        self.tell_trouble(&outcome, log.as_deref());

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
            figures: figures(&outcome),
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
            initrd,
            command_line: self.command_line(),
            cpus: self.options.cpus,
            memory: self.options.memory,
            disks: disks.iter().map(|disk| disk.argument(&disk.image)).collect(),
            stats,
            trace: self.outputs.trace.clone(),
            pcap: self.outputs.pcap.clone(),
        };
        match &self.rig_kernel {
            Some(kernel) => nested::prepare(
                folder,
                kernel,
                &self.busybox,
                &self.vmm,
                invocation,
                disks,
                self.limit(),
            ),
            None => {
                let mut command = Command::new(&self.vmm);
                command
                    .args(invocation.arguments())
                    .stdin(std::process::Stdio::null());
                Ok(Machine {
                    command,
                    status: Status::OfTheProcess,
                    log: None,
                })
            }
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

    fn tell_trouble(&self, outcome: &Outcome, log: Option<&Path>) {
        if outcome.status == Some(0) && outcome.results.complete {
            return;
        }
        let how = match outcome.status {
            _ if outcome.timed_out => format!("the machine did not end within {} s", self.options.timeout),
            Some(status) => format!("the VMM ended with status {status} before the guest was done"),
            None => "the machine ended without a word from the VMM".into(),
        };
        eprintln!("error: {how}; the end of its console:");
        for line in &outcome.tail {
            eprintln!("  {line}");
        }
        let Some(log) = log.filter(|_| outcome.status.is_none()) else {
            return;
        };
        eprintln!("the end of the console of the emulated machine around it:");
        for line in machine::tail_of(log) {
            eprintln!("  {line}");
        }
    }
}

/// The files that the user wants, made before anything else: a path that is no good is told at once.
struct Outputs {
    trace: Option<PathBuf>,
    pcap: Option<PathBuf>,
    report: Option<PathBuf>,
}

impl Outputs {
    fn make(options: &LinuxOptions) -> Result<Self> {
        let make = |path: &Option<PathBuf>| {
            path.as_deref()
                .map(|path| {
                    fs::File::create(path)
                        .and_then(|_| path.canonicalize())
                        .map_err(|error| bad_input(format!("cannot write {}: {error}", path.display())))
                })
                .transpose()
        };
        Ok(Self {
            trace: make(&options.trace)?,
            pcap: make(&options.pcap)?,
            report: make(&options.report)?,
        })
    }
}

fn figures(outcome: &Outcome) -> BTreeMap<String, f64> {
    let mut figures = outcome.results.figures.clone();
    let measured = [
        ("rig_seconds", outcome.rig_seconds),
        ("boot_seconds", outcome.boot_seconds),
        ("run_seconds", Some(outcome.run_seconds)),
    ];
    figures.extend(
        measured
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    figures
}
