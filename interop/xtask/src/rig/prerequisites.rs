//! What the machine must have, and how it comes to it.

use std::path::Path;

use anyhow::{Result, bail};
use object::read::elf::{ElfFile64, ProgramHeader as _};

use crate::{bad_input, command, progress};

/// A program that the boot calls, and the Debian package that brings it.
struct Need {
    program: &'static str,
    package: &'static str,
    nested_only: bool,
}

const NEEDS: [Need; 6] = [
    Need {
        program: "busybox",
        package: "busybox-static",
        nested_only: false,
    },
    Need {
        program: "mke2fs",
        package: "e2fsprogs",
        nested_only: false,
    },
    Need {
        program: "e2fsck",
        package: "e2fsprogs",
        nested_only: false,
    },
    Need {
        program: "debugfs",
        package: "e2fsprogs",
        nested_only: false,
    },
    Need {
        program: "sha256sum",
        package: "coreutils",
        nested_only: false,
    },
    Need {
        program: "qemu-system-x86_64",
        package: "qemu-system-x86",
        nested_only: true,
    },
];

/// Sees to it that every program is there: installs what is missing where that is possible, and names it where
/// it is not.
pub(crate) fn ensure(nested: bool) -> Result<()> {
    let missing = missing(nested);
    if missing.is_empty() {
        return Ok(());
    }
    let packages = packages(&missing);
    if !can_install() {
        return Err(bad_input(instructions(&missing, &packages)));
    }
    progress::step("Installing", packages.join(" "), || install(&packages))?;
    match self::missing(nested).as_slice() {
        [] => Ok(()),
        [first, ..] => bail!(
            "{} is still missing after its package was installed",
            first.program
        ),
    }
}

fn missing(nested: bool) -> Vec<&'static Need> {
    NEEDS
        .iter()
        .filter(|need| (nested || !need.nested_only) && !present(need.program))
        .collect()
}

/// The guest runs this machine's busybox, where there is no C library: only a static one will do.
fn present(program: &str) -> bool {
    command::find(program).is_some_and(|file| program != "busybox" || is_static(&file))
}

fn is_static(file: &Path) -> bool {
    let Ok(bytes) = std::fs::read(file) else {
        return false;
    };
    let Ok(elf) = ElfFile64::<object::LittleEndian>::parse(bytes.as_slice()) else {
        return false;
    };
    !elf.elf_program_headers()
        .iter()
        .any(|header| header.p_type(object::LittleEndian) == object::elf::PT_INTERP)
}

fn packages(missing: &[&Need]) -> Vec<&'static str> {
    let mut packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

fn instructions(missing: &[&Need], packages: &[&str]) -> String {
    let programs: Vec<_> = missing
        .iter()
        .map(|need| match need.program {
            "busybox" => "busybox (statically linked)",
            other => other,
        })
        .collect();
    format!(
        "missing on this machine: {}; as root on Debian this task installs them, elsewhere install what corresponds \
         to: apt-get install {}",
        programs.join(", "),
        packages.join(" ")
    )
}

/// Whether this is root on a machine of apt's.
pub(crate) fn can_install() -> bool {
    is_root() && command::find("apt-get").is_some()
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|data| data.uid() == 0)
}

/// Installs Debian packages. A fresh machine has no package lists, and an old one has stale ones.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let install = || {
        command::run(
            command::tool("apt-get")
                .args([
                    "install",
                    "--yes",
                    "--no-install-recommends",
                    "-o",
                    "Dpkg::Use-Pty=0",
                ])
                .args(packages)
                .env("DEBIAN_FRONTEND", "noninteractive"),
        )
    };
    install().or_else(|_| {
        update_lists()?;
        install()
    })
}

/// Fetches apt's package lists.
pub(crate) fn update_lists() -> Result<()> {
    progress::step("Updating", "the package lists", || {
        command::run(command::tool("apt-get").arg("update"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_once_with_its_package() {
        let missing: Vec<_> = NEEDS.iter().filter(|need| need.package == "e2fsprogs").collect();
        let packages = packages(&missing);
        assert_eq!(packages, ["e2fsprogs"]);
        let text = instructions(&missing, &packages);
        assert!(text.contains("mke2fs, e2fsck, debugfs"), "{text}");
        assert!(text.ends_with("apt-get install e2fsprogs"), "{text}");
    }

    #[test]
    fn this_test_program_is_not_static() {
        assert!(!is_static(&std::env::current_exe().unwrap()));
        assert!(!is_static(Path::new("/proc/self/cmdline")));
    }
}
