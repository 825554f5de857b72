//! What runs in the guest: its initramfs and its root file system.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::Mode;
use crate::rig::{Busybox, Kernel, Modules, Wanted, modules_dep};

const INITRAMFS: &str = include_str!("../../guest/initramfs.sh");
const INIT: &str = include_str!("../../guest/init.sh");
const LIBRARY: &str = include_str!("../../guest/lib.sh");
const UDHCPC: &str = include_str!("../../guest/udhcpc.sh");
const POWER_OFF: &str = include_str!("../../guest/poweroff.sh");

/// The checks in the order in which they run.
const CHECKS: [(&str, &str); 8] = [
    ("10-bus", include_str!("../../guest/checks/10-bus.sh")),
    ("20-root", include_str!("../../guest/checks/20-root.sh")),
    ("30-disks", include_str!("../../guest/checks/30-disks.sh")),
    ("40-network", include_str!("../../guest/checks/40-network.sh")),
    (
        "60-subchannels",
        include_str!("../../guest/checks/60-subchannels.sh"),
    ),
    ("70-reload", include_str!("../../guest/checks/70-reload.sh")),
    ("80-services", include_str!("../../guest/checks/80-services.sh")),
    ("90-dmesg", include_str!("../../guest/checks/90-dmesg.sh")),
];

/// The checks where the host's devices fail.
const FAULT_CHECKS: [(&str, &str); 3] = [
    ("10-bus", include_str!("../../guest/checks/10-bus.sh")),
    ("50-faults", include_str!("../../guest/faults/50-faults.sh")),
    ("90-kernel", include_str!("../../guest/faults/90-kernel.sh")),
];

/// What it takes to mount the root disk. ext4 as a module looks for its checksum by the name of an algorithm, which
/// nobody would resolve in an initramfs.
const ROOT_MODULES: [Wanted<'_>; 5] = [
    Wanted::Needed("hv_vmbus"),
    Wanted::Needed("hv_storvsc"),
    Wanted::Needed("sd_mod"),
    Wanted::IfThere("crc32c_generic"),
    Wanted::Needed("ext4"),
];

/// What the root file system holds for modprobe. The bus is there too, as what the drivers depend on.
const SYSTEM_MODULES: [Wanted<'_>; 4] = [
    Wanted::Needed("hv_netvsc"),
    Wanted::Needed("hv_utils"),
    Wanted::IfThere("pktgen"),
    Wanted::IfThere("sg"),
];

/// Writes the initramfs that finds the root disk and does nothing else.
pub(crate) fn write_initramfs(path: &Path, kernel: &Kernel, busybox: &Busybox) -> Result<()> {
    let modules = Modules::find(&kernel.modules, &kernel.release)?.closure(&ROOT_MODULES)?;
    busybox.archive(INITRAMFS, modules)?.write(path)
}

/// Fills a folder with the guest's root file system.
pub(crate) fn fill_root(
    root: &Path,
    kernel: &Kernel,
    busybox: &Busybox,
    outb: &Path,
    mode: &Mode,
) -> Result<()> {
    for folder in [
        "bin",
        "etc/interop",
        "proc",
        "sys",
        "dev",
        "run",
        "tmp",
        "mnt",
        "root",
        "lib/interop/checks",
    ] {
        fs::create_dir_all(root.join(folder))?;
    }
    symlink("bin", root.join("sbin"))?;
    symlink("/run/resolv.conf", root.join("etc/resolv.conf"))?;
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\n")?;

    fs::copy(&busybox.path, root.join("bin/busybox")).context("cannot copy busybox")?;
    fs::copy(outb, root.join("bin/outb")).context("cannot copy outb")?;
    for applet in busybox.applets.iter().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(applet))?;
    }

    program(&root.join("bin/init"), INIT)?;
    program(&root.join("bin/poweroff"), POWER_OFF)?;
    fs::write(root.join("lib/interop/lib.sh"), LIBRARY)?;
    program(&root.join("lib/interop/udhcpc.sh"), UDHCPC)?;
    let checks: &[_] = match mode {
        Mode::Checks => &CHECKS,
        Mode::Faults(_) => &FAULT_CHECKS,
        Mode::Command(command) => {
            fs::write(root.join("etc/interop/run"), command)?;
            &[]
        }
    };
    for (name, script) in checks {
        fs::write(root.join("lib/interop/checks").join(name), script)?;
    }

    let folder = root.join("lib/modules").join(&kernel.release);
    fs::create_dir_all(&folder)?;
    let wanted: Vec<_> = ROOT_MODULES.into_iter().chain(SYSTEM_MODULES).collect();
    let modules = Modules::find(&kernel.modules, &kernel.release)?.closure(&wanted)?;
    fs::write(folder.join("modules.dep"), modules_dep(&modules))?;
    for module in modules {
        fs::write(folder.join(format!("{}.ko", module.name)), module.file)?;
    }
    Ok(())
}

fn program(path: &Path, script: &str) -> Result<()> {
    // An applet of the same name may stand there as a link to busybox, which is not to be written through.
    if path.is_symlink() {
        fs::remove_file(path)?;
    }
    fs::write(path, script)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
