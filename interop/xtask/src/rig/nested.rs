//! The nested rig: an emulated machine with nested virtualization, whose KVM runs the VMM.
//!
//! It needs no KVM of this machine's, so that the boot is the same wherever QEMU runs. The disks are drives of the
//! emulated machine that pass discards on to the images; whatever else leaves it goes through named serial ports.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::command::{self, quoted};

use super::busybox::Busybox;
use super::drive::Drive;
use super::kernel::Kernel;
use super::machine::{Machine, Status};
use super::modules::{Modules, Wanted};

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

/// One emulated processor, whatever the guest's number of vCPUs is. With more than one, QEMU (7.2 for one) at times delivers
/// an interrupt twice: VMRUN that injects one leaves it pending in the emulator, which takes it for an exception when another
/// processor's thread asks this one to stop. The guest, or the Linux around it, then ends in a triple fault.
const ACCELERATOR: [&str; 4] = ["-accel", "tcg,thread=single", "-smp", "1"];

/// An EPYC without what QEMU's emulation lacks and would warn of.
const CPU: &str = "EPYC,+svm,+npt,-rdseed,-sha-ni,-fxsr-opt,-misalignsse,-3dnowprefetch,-osvw,-topoext,-nrip-save,-xsave,-xsaveopt,-xsavec,-xgetbv1,-avx,-avx2,-f16c,-fma";

/// Memory of the emulated machine beyond the guest's: its kernel, its files, which live in memory, and the VMM.
const OWN_MEMORY: u32 = 512;

/// A program for the emulated machine to run, and what it needs there.
pub(crate) struct Payload {
    /// The program and its arguments. Paths are those of the emulated machine.
    pub(crate) command: Vec<OsString>,
    /// Its files, by their paths without the first slash; they live in memory.
    pub(crate) files: Vec<(String, Vec<u8>)>,
    /// The images that it has as [`drives`].
    pub(crate) drives: Vec<Drive>,
    /// Files of this machine's, each written through a port of its name: [`port`].
    pub(crate) outputs: Vec<(&'static str, PathBuf)>,
    /// The memory in MiB of the guest that it runs.
    pub(crate) memory: u32,
}

/// Makes the emulated machine's files in a folder, and the command that runs it.
pub(crate) fn prepare(
    folder: &Path,
    kernel: &Kernel,
    busybox: &Busybox,
    payload: Payload,
    limit: Duration,
) -> Result<Machine> {
    let status = folder.join("status");
    let log = folder.join("rig.log");

    let modules = Modules::find(&kernel.modules, &kernel.release)?.closure(&MODULES)?;
    let mut archive = busybox.archive(INIT, modules)?;
    let mut memory = payload.memory + OWN_MEMORY;
    for (path, content) in payload.files {
        memory += u32::try_from(content.len() >> 20)?;
        archive.program(&path, content);
    }
    archive.file("run-vmm", script(&payload.command, limit));
    let initramfs = folder.join("rig-initramfs");
    archive.write(&initramfs)?;

    let mut ports = vec![
        ("console", PathBuf::from("/dev/stdout")),
        ("log", PathBuf::from("/dev/stderr")),
        ("status", status.clone()),
    ];
    ports.extend(payload.outputs);

    let command = qemu(kernel, &initramfs, &log, &ports, &payload.drives, memory);
    Ok(Machine {
        command,
        status: Status::InFile(status),
        log: Some(log),
    })
}

/// The path in the emulated machine of a port that leads to an output of this name.
pub(crate) fn port(name: &str) -> PathBuf {
    format!("/dev/port-{name}").into()
}

/// The paths in the emulated machine of a payload's drives.
pub(crate) fn drives() -> impl Iterator<Item = PathBuf> {
    ('a'..='z').map(|letter| PathBuf::from(format!("/dev/vd{letter}")))
}

/// The limit holds inside too, so that the emulated machine ends when this program was ended before it.
fn script(command: &[OsString], limit: Duration) -> String {
    let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
    format!(
        "exec /bin/busybox timeout -s KILL {} {}\n",
        limit.as_secs(),
        words.join(" ")
    )
}

fn qemu(
    kernel: &Kernel,
    initramfs: &Path,
    log: &Path,
    ports: &[(&str, PathBuf)],
    drives: &[Drive],
    memory: u32,
) -> Command {
    let mut qemu = command::tied("qemu-system-x86_64");
    qemu.args(ACCELERATOR)
        .args(["-cpu", CPU, "-m", &format!("{memory}M")])
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
        .args(["-serial", &option("file:", log)])
        .arg("-kernel")
        .arg(&kernel.image)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .args(["-device", "virtio-serial-pci"]);
    for (name, file) in ports {
        qemu.args(["-chardev", &option(&format!("file,id={name},path="), file)])
            .args(["-device", &format!("virtserialport,chardev={name},name={name}")]);
    }
    for drive in drives {
        let read_only = if drive.is_read_only() { "on" } else { "off" };
        let name = drive.name;
        qemu.args([
            "-drive",
            &option(
                &format!("if=none,id={name},format=raw,discard=unmap,readonly={read_only},file="),
                &drive.image,
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
