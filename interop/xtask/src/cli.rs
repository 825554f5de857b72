//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, ValueEnum};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    about,
    disable_help_subcommand = true
)]
pub(crate) enum Task {
    /// Boot an unmodified Linux kernel on the VMM and check its disks and network
    ///
    /// Boots a distribution's own kernel on interop/vmm, whose only disks and network card are served by this
    /// project's crates, and runs a list of checks inside the guest and, where a disk is concerned, again on
    /// the image from outside. On a Debian machine, as root, everything needed is installed; elsewhere the
    /// task says what is missing.
    ///
    /// Where /dev/kvm emulates Hyper-V's SynIC the VMM runs on it directly. Where it does not, or is absent,
    /// the VMM runs inside a QEMU that emulates a machine with nested virtualization: slower, but the same.
    #[command(after_help = LINUX_EXAMPLES)]
    Linux(LinuxOptions),

    /// Boot our own kernel on the VMM, or on stock QEMU, and check the guest's side of the crates
    ///
    /// Builds interop/guest for bare metal and boots it on a host: `ours` is interop/vmm, entered by the Linux boot protocol,
    /// with two disks and a network card; `qemu` is a stock QEMU with its vmbus-bridge, entered by PVH. What the kernel
    /// writes to a disk is looked for in the image afterwards.
    ///
    /// Needs what `cargo xtask linux` and `cargo xtask no-std` need, and sees to it in the same way. A host that finds no
    /// KVM with SynIC emulation runs inside an emulated machine.
    #[command(after_help = GUEST_EXAMPLES)]
    Guest(GuestOptions),

    /// Compare every wire structure with the type information of a real kernel
    ///
    /// Reads what the kernel and its Hyper-V modules tell of their types (BTF) and compares size, fields and
    /// enumerators of every structure and code that the crates mirror. What a kernel later than Linux 6.1 changed
    /// is told as a change. What the crates have and no kernel does is listed with where it is from.
    #[command(after_help = LAYOUTS_HELP)]
    Layouts(LayoutsOptions),

    /// Build the published crates for x86-64 and AArch64 without an operating system
    ///
    /// Needs Rust's core library for x86_64-unknown-none and aarch64-unknown-none: what `rustup target add` brings, or,
    /// on Debian, the sources that it is built from (rustc-web, cargo-web, rust-web-src). What is missing is installed
    /// by rustup where there is a network, and by apt as root; else the task says what to install.
    NoStd,

    /// Check that no public function of the published crates can panic, or allocate
    ///
    /// Takes every public function from rustdoc, generic ones with a platform of which the compiler knows nothing
    /// (interop/opaque), compiles them with release settings, and follows each by the library's relocations. A way to
    /// core's panics, or to anything that a machine without an operating system lacks, fails the check, with the function
    /// that goes it. So does a public function that cannot be taken.
    PanicFree(PanicFreeOptions),

    /// Run the fuzz targets, each for a while
    ///
    /// The targets and their corpora are in fuzz/. What is new of a run's corpus is kept in target/fuzz/corpus, beside the logs;
    /// an input that fails is in fuzz/artifacts.
    ///
    /// Needs cargo-fuzz, a C++ compiler and a Rust toolchain with the address sanitizer, which rustup's toolchains have.
    /// What is missing is installed where there is a network; else the task says what to install.
    #[command(after_help = FUZZ_EXAMPLES)]
    Fuzz(FuzzOptions),

    /// Run the ring's tests under the address sanitizer
    ///
    /// The ring's memory is the one place where packets are copied by pointers: its tests run again with every access judged.
    ///
    /// Needs a Rust toolchain with the address sanitizer, as `cargo xtask fuzz` does, and sees to it in the same way.
    Asan,

    /// Measure the ring and the devices, each beside what the memory itself takes
    ///
    /// Runs the benchmarks of the ring, on one thread and on two, and of a guest and a host in one process, and sets each beside its
    /// floor: the bare copies, barriers or cache lines that it cannot do without, measured in the same run. All times are the medians of
    /// criterion's samples, for one packet, read or frame.
    ///
    /// Two threads want two processors, and all of it a machine that has nothing else to do: other programs change what comes out, though
    /// less so the medians. All of it takes about two minutes.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(BenchOptions),

    /// Run everything that is tested: format, lints, unit tests, documentation, and guests on the VMM
    ///
    /// With CI=true in the environment a missing prerequisite that cannot be installed is a failure; without
    /// it, that step is skipped and named.
    Test(TestOptions),
}

const LINUX_EXAMPLES: &str = "\
Examples:
  cargo xtask linux                                  every check, on Debian's newest cloud kernel
  cargo xtask linux --cpus 1 --report report.json    on one vCPU, with a report to keep
  cargo xtask linux --faults 1                       a host whose devices fail, the same way for each seed
  cargo xtask linux --run 'lsscsi; ip addr'            one command in the guest, with its exit status
  cargo xtask linux --trace trace.txt --pcap nic.pcap
  cargo xtask linux --kernel linux-image-6.12.57-amd64.deb

Exit status: 0 when every check holds (or, with --run, the command's own), 1 when a check fails, 2 when the
task cannot start: a missing prerequisite or an argument that is no good.";

const GUEST_EXAMPLES: &str = "\
Examples:
  cargo xtask guest                                  every check, on our VMM
  cargo xtask guest --host qemu                      the bus alone, on a stock QEMU
  cargo xtask guest --attack 1                       malformed input for our VMM, the same for each seed
  cargo xtask guest --trace trace.txt --report report.json

Exit status: 0 when every check holds, 1 when one does not, 2 when the task cannot start: a missing prerequisite
or an argument that is no good.";

const FUZZ_EXAMPLES: &str = "\
Examples:
  cargo xtask fuzz                                   every target, 20 s each
  cargo xtask fuzz --target ring_pair --seconds 900  one of them, for a quarter of an hour
  cargo xtask fuzz --coverage                        how much of each crate the corpora reach

Exit status: 0 when nothing is found, 1 when something is, 2 when the task cannot start: a missing prerequisite or
an argument that is no good.";

const BENCH_EXAMPLES: &str = "\
Examples:
  cargo xtask bench                                  everything, as a table
  cargo xtask bench --filter 64/8                    what has this in its name, and the floors of that
  cargo xtask bench --json bench.json --plot doc     for programs, and as a drawing

Exit status: 0 when everything was measured, 1 when something was not, 2 when the task cannot start: an argument that
is no good.";

#[derive(Args, Clone, Debug)]
pub(crate) struct BenchOptions {
    /// Write the figures as a JSON list: name, median_ns, floor_ns, times_floor, per_second, payload_bytes
    #[arg(long, value_name = "FILE.json")]
    pub(crate) json: Option<PathBuf>,

    /// Draw the throughput of one thread by the size of packets into this folder, as throughput.svg
    #[arg(long, value_name = "DIR")]
    pub(crate) plot: Option<PathBuf>,

    /// Only the benchmarks whose name contains this; their floors are measured along
    #[arg(long, value_name = "NAME")]
    pub(crate) filter: Option<String>,

    /// Name the benchmarks and end
    #[arg(long)]
    pub(crate) list: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct FuzzOptions {
    /// Only this target
    #[arg(long, value_name = "TARGET")]
    pub(crate) target: Option<String>,

    /// Fuzz each target for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(crate) seconds: u64,

    /// How many targets to fuzz at a time
    #[arg(long, short, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) jobs: u8,

    /// Instead, tell how much of each crate the targets reach with their corpora
    #[arg(long, conflicts_with = "seconds")]
    pub(crate) coverage: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct GuestOptions {
    /// What the kernel runs on
    #[arg(long, value_enum, default_value_t = Host::Ours)]
    pub(crate) host: Host,

    /// Attack our VMM instead, with malformed input that follows from the seed
    ///
    /// The kernel sends thousands of channel messages, hypercalls, ring indices, packets, SCSI commands, NVSP and RNDIS messages that no
    /// guest should send, and reads a disk all the while. Afterwards everything has to work as before, and the VMM's
    /// memory to be within a bound.
    #[arg(long, value_name = "SEED")]
    pub(crate) attack: Option<u64>,

    /// Write what goes over the bus: our VMM decodes every channel message and packet, QEMU traces its messages
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// Write the network card's frames as a packet capture
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,

    /// Write the checks and figures as JSON
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,

    /// Leave the disk images and logs of this run, and say where they are
    #[arg(long)]
    pub(crate) keep: bool,

    /// Where the host runs
    #[arg(long, value_enum, default_value_t = Via::Auto)]
    pub(crate) via: Via,

    /// Give up when the kernel has not ended after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub(crate) timeout: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Host {
    /// interop/vmm
    Ours,
    /// QEMU as the distribution has it
    Qemu,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct PanicFreeOptions {
    /// Also panic when arithmetic overflows, as a build for debugging does
    #[arg(long)]
    pub(crate) overflow_checks: bool,
}

const LAYOUTS_HELP: &str = "\
Exit status: 0 when nothing differs and every type of the kernel's Hyper-V drivers is accounted for, 1 when not, 2
when the task cannot start: a missing prerequisite or an argument that is no good.";

#[derive(Args, Clone, Debug)]
pub(crate) struct LayoutsOptions {
    /// The kernel to compare with, instead of the one that `linux` boots
    ///
    /// A Debian kernel package (linux-image-*.deb), or anything else that `linux --kernel` takes.
    #[arg(value_name = "PACKAGE.deb")]
    pub(crate) kernel: Option<PathBuf>,

    /// Write all of it as JSON
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct LinuxOptions {
    /// Boot this kernel instead of Debian's newest cloud kernel
    ///
    /// One of: a Debian kernel package (linux-image-*.deb); a directory that holds one, unpacked
    /// (boot/vmlinuz-* and lib/modules/*); a bzImage whose modules stand in ../lib/modules/RELEASE beside
    /// it or in /lib/modules/RELEASE.
    #[arg(long, value_name = "PACKAGE.deb|PATH")]
    pub(crate) kernel: Option<PathBuf>,

    /// Number of the guest's vCPUs
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub(crate) cpus: u8,

    /// The guest's memory in MiB
    #[arg(long, value_name = "MiB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(256..=16384))]
    pub(crate) memory: u32,

    /// Run this shell command in the guest, instead of the checks, and end with its exit status
    ///
    /// The root disk is mounted and the network configured by DHCP before it runs.
    #[arg(long, value_name = "COMMAND")]
    pub(crate) run: Option<String>,

    /// Have the host's devices fail for a minute, and check that the guest gets over it
    ///
    /// At times that follow from the seed a disk is late, busy, has medium errors and unit attentions; its channels and the card's are not
    /// served until the guest's rings are full; the disk, its controller and the network card are taken away and given back; the cable is
    /// pulled. The guest works on its disks and the network all the while. The schedule is printed.
    #[arg(long, value_name = "SEED", conflicts_with = "run")]
    pub(crate) faults: Option<u64>,

    /// Leave the disk images and logs of this run, and say where they are
    #[arg(long)]
    pub(crate) keep: bool,

    /// Write every channel message and the first bytes of every packet and of every RNDIS message, decoded, one line each
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,

    /// How many bytes of each of them the trace shows in hexadecimal digits
    #[arg(long, value_name = "COUNT", requires = "trace")]
    pub(crate) trace_bytes: Option<u16>,

    /// Write the network card's frames as a packet capture
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,

    /// Write the checks and figures as JSON
    #[arg(long, value_name = "FILE.json")]
    pub(crate) report: Option<PathBuf>,

    /// Where the VMM runs
    #[arg(long, value_enum, default_value_t = Via::Auto)]
    pub(crate) via: Via,

    /// Give up when the guest has not ended after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub(crate) timeout: u64,

    /// Show all of the kernel's own messages on the guest's console
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// On /dev/kvm where it emulates SynIC, nested where it does not
    Auto,
    /// On this machine's /dev/kvm
    Kvm,
    /// In an emulated machine with nested virtualization
    Nested,
}

#[derive(Args, Debug)]
pub(crate) struct TestOptions {
    /// Only the steps whose name contains one of these words
    #[arg(value_name = "STEP")]
    pub(crate) only: Vec<String>,

    /// Name the steps and end
    #[arg(long)]
    pub(crate) list: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        Task::command().debug_assert();
    }

    #[test]
    fn vcpus_are_bounded() {
        for (given, good) in [
            ("0", false),
            ("1", true),
            ("8", true),
            ("9", false),
            ("two", false),
        ] {
            assert_eq!(
                Task::try_parse_from(["xtask", "linux", "--cpus", given]).is_ok(),
                good,
                "{given}"
            );
        }
    }
}
