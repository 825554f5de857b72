//! What the kernel runs on: our VMM or a stock QEMU, on this machine or in the emulated one.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::rig::{Drive, Invocation, Payload, port};
use crate::{bad_input, command};

/// Memory of the guest in MiB.
const MEMORY: u32 = 64;
/// As many as a machine may have for its devices to have sub-channels; the kernel itself runs on the first alone.
const CPUS: u8 = 2;

/// The VMM's, with everything that it has.
pub(super) fn ours(
    image: PathBuf,
    command_line: String,
    disks: Vec<Drive>,
    stats: PathBuf,
    trace: Option<PathBuf>,
    pcap: Option<PathBuf>,
) -> Invocation {
    Invocation {
        kernel: image,
        initrd: None,
        command_line,
        cpus: CPUS,
        memory: MEMORY,
        disks,
        stats,
        trace,
        trace_bytes: None,
        pcap,
        options: vec!["--test-ports".into()],
    }
}

const QEMU: &str = "qemu-system-x86_64";
/// Where Debian has the firmware that a PC without devices needs: SeaBIOS, KVM's APIC page, and the loader of PVH kernels.
const FIRMWARE: [&str; 3] = [
    "/usr/share/seabios/bios-256k.bin",
    "/usr/share/qemu/kvmvapic.bin",
    "/usr/share/qemu/pvh.bin",
];
/// Hyper-V's interface as KVM emulates it. KVM's own is hidden; `vmbus-bridge` wants SynIC and VP index.
const CPU: &str = "host,kvm=off,hv-relaxed,hv-vpindex,hv-runtime,hv-synic,hv-time,hv-stimer,hv-crash";

/// The command for QEMU, whose kernel and trace are at these paths.
pub(super) fn qemu(kernel: &Path, command_line: &str, trace: Option<&Path>) -> Result<Vec<OsString>> {
    let program = command::find(QEMU).ok_or_else(|| bad_input(format!("missing on this machine: {QEMU}")))?;
    let mut words = vec![program.into_os_string()];
    let memory = format!("{MEMORY}M");
    let options: [&str; 20] = [
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-machine",
        "pc,accel=kvm",
        "-cpu",
        CPU,
        "-m",
        &memory,
        "-device",
        "vmbus-bridge",
        "-device",
        "isa-debug-exit,iobase=0xf4,iosize=4",
        "-serial",
        "stdio",
        "-append",
        command_line,
        "-kernel",
    ];
    words.extend(options.map(OsString::from));
    words.push(kernel.into());
    if let Some(trace) = trace {
        words.extend(["-trace", "vmbus_*", "-D"].map(OsString::from));
        words.push(trace.into());
    }
    Ok(words)
}

/// The same for the emulated machine, with all files that the program needs.
pub(super) fn qemu_nested(kernel: &Path, command_line: &str, trace: Option<PathBuf>) -> Result<Payload> {
    const KERNEL: &str = "guest-kernel";
    let traced = trace.as_ref().map(|_| port("trace"));
    let command = qemu(&Path::new("/").join(KERNEL), command_line, traced.as_deref())?;
    let mut paths = shared_libraries(Path::new(&command[0]))?;
    paths.push(PathBuf::from(&command[0]));
    paths.extend(FIRMWARE.map(PathBuf::from));
    let mut files = vec![(KERNEL.to_owned(), read(kernel)?)];
    for path in paths {
        files.push((in_archive(&path)?, read(&path)?));
    }
    Ok(Payload {
        command,
        files,
        drives: Vec::new(),
        outputs: trace.map(|file| ("trace", file)).into_iter().collect(),
        memory: MEMORY,
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn in_archive(path: &Path) -> Result<String> {
    let path = path.to_str().context("a path that is no text")?;
    Ok(path.trim_start_matches('/').to_owned())
}

/// The libraries that a program is linked with, and the loader that loads them.
fn shared_libraries(program: &Path) -> Result<Vec<PathBuf>> {
    Ok(libraries_in(&command::text(command::tool("ldd").arg(program))?))
}

/// The paths in what `ldd` says: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for the loader.
fn libraries_in(said: &str) -> Vec<PathBuf> {
    said.lines()
        .filter_map(|line| {
            line.split_whitespace()
                .find(|word| word.starts_with('/'))
                .map(PathBuf::from)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ldd_names_libraries_and_the_loader() {
        let said = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f2)\n";
        assert_eq!(
            libraries_in(said),
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from)
        );
        assert!(libraries_in("\tstatically linked\n").is_empty());
    }
}
