//! The nested rig: an emulated machine with nested virtualization, whose KVM runs the VMM.
//!
//! It needs no KVM of this machine's, so that the boot is the same wherever QEMU runs. The disks are drives of the
//! emulated machine that pass discards on to the images; whatever else leaves it goes through named serial ports.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::command::{self, quoted};

use super::disks::Disk;
use super::guest::Busybox;
use super::kernel::Kernel;
use super::machine::{Machine, Status};
use super::modules::{Modules, Wanted};
use super::vmm::Invocation;

const INIT: &str = include_str!("../../guest/rig.sh");

/// KVM on the emulated AMD processor, and the drives and ports. Old kernels have `kvm_amd` depend on `ccp`; the closure
/// finds that out.
const MODULES: [Wanted<'_>; 5] = [
    Wanted::Needed("virtio_pci"),
    Wanted::Needed("virtio_blk"),
    Wanted::Needed("virtio_console"),
    Wanted::Needed("kvm"),
    Wanted::Needed("kvm_amd"),
];

/// An EPYC without what QEMU's emulation lacks and would warn of.
const CPU: &str = "EPYC,+svm,+npt,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,-nrip-save,-xsave,-xsaveopt,-xsavec,-xgetbv1,-avx,-avx2,-f16c,-fma";

/// Memory of the emulated machine beyond the guest's: its kernel, its files, which live in memory, and the VMM.
const OWN_MEMORY: u32 = 512;

/// Files that go from the emulated machine to this one, each through a port of its name.
struct Port<'a> {
    name: &'static str,
    file: &'a Path,
}

/// Makes the emulated machine's files in a folder, and the command that runs it.
pub(crate) fn prepare(
    folder: &Path,
    kernel: &Kernel,
    busybox: &Busybox,
    vmm: &Path,
    mut invocation: Invocation,
    disks: &[Disk],
    limit: Duration,
) -> Result<Machine> {
    let status = folder.join("status");
    let log = folder.join("rig.log");
    let outputs = [
        (
            "stats",
            Some(std::mem::replace(&mut invocation.stats, "/dev/port-stats".into())),
        ),
        ("trace", invocation.trace.replace("/dev/port-trace".into())),
        ("pcap", invocation.pcap.replace("/dev/port-pcap".into())),
    ];
    if outputs[1].1.is_none() {
        invocation.trace = None;
    }
    if outputs[2].1.is_none() {
        invocation.pcap = None;
    }

    let modules = Modules::find(&kernel.modules, &kernel.release)?.closure(&MODULES)?;
    let mut archive = busybox.archive(INIT, modules)?;
    archive.program("vmm", fs::read(vmm)?);
    archive.file("guest-kernel", fs::read(&invocation.kernel)?);
    archive.file("guest-initramfs", fs::read(&invocation.initrd)?);
    invocation.kernel = "/guest-kernel".into();
    invocation.initrd = "/guest-initramfs".into();
    invocation.disks = disks
        .iter()
        .zip(drives())
        .map(|(disk, drive)| disk.argument(&drive))
        .collect();
    archive.file("run-vmm", script(&invocation, limit));
    let initramfs = folder.join("rig-initramfs");
    archive.write(&initramfs)?;

    let mut ports = vec![
        Port {
            name: "console",
            file: Path::new("/dev/stdout"),
        },
        Port {
            name: "log",
            file: Path::new("/dev/stderr"),
        },
        Port {
            name: "status",
            file: &status,
        },
    ];
    ports.extend(outputs.iter().filter_map(|(name, file)| {
        Some(Port {
            name,
            file: file.as_deref()?,
        })
    }));

    let command = qemu(kernel, &initramfs, &log, &ports, disks, invocation.memory);
    Ok(Machine {
        command,
        status: Status::InFile(status),
        log: Some(log),
    })
}

/// The names that the emulated machine gives its drives.
fn drives() -> impl Iterator<Item = PathBuf> {
    ('a'..='z').map(|letter| PathBuf::from(format!("/dev/vd{letter}")))
}

/// The limit holds inside too, so that the emulated machine ends when this program was ended before it.
fn script(invocation: &Invocation, limit: Duration) -> String {
    let arguments: Vec<_> = invocation
        .arguments()
        .iter()
        .map(|argument| quoted(argument))
        .collect();
    format!(
        "exec /bin/busybox timeout -s KILL {} /vmm {}\n",
        limit.as_secs(),
        arguments.join(" ")
    )
}

fn qemu(
    kernel: &Kernel,
    initramfs: &Path,
    log: &Path,
    ports: &[Port<'_>],
    disks: &[Disk],
    guest_memory: u32,
) -> Command {
    let processors = std::thread::available_parallelism().map_or(2, |count| count.get().clamp(2, 8));
    let mut qemu = command::tool("qemu-system-x86_64");
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", CPU])
        .args([
            "-smp",
            &processors.to_string(),
            "-m",
            &format!("{}M", guest_memory + OWN_MEMORY),
        ])
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
        .args(["-serial", &option("file:", log)])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .args(["-device", "virtio-serial-pci"]);
    for Port { name, file } in ports {
        qemu.args(["-chardev", &option(&format!("file,id={name},path="), file)])
            .args(["-device", &format!("virtserialport,chardev={name},name={name}")]);
    }
    for disk in disks {
        let read_only = if disk.read_only { "on" } else { "off" };
        let name = disk.name;
        qemu.args([
            "-drive",
            &option(
                &format!("if=none,id={name},format=raw,discard=unmap,readonly={read_only},file="),
                &disk.image,
            ),
        ])
        .args(["-device", &format!("virtio-blk-pci,drive={name}")]);
    }
    qemu
}

/// QEMU splits its options at commas; a comma in a path is doubled.
fn option(prefix: &str, path: &Path) -> String {
    format!("{prefix}{}", path.display().to_string().replace(',', ",,"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_paths_do_not_end_an_option() {
        assert_eq!(option("file:", Path::new("/a,b/c")), "file:/a,,b/c");
    }

    #[test]
    fn drives_are_named_in_order() {
        let names: Vec<_> = drives().take(3).collect();
        assert_eq!(names, ["/dev/vda", "/dev/vdb", "/dev/vdc"].map(PathBuf::from));
    }
}
