//! The kernel to boot: its image and its modules, from a package, a folder or a file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;
use crate::{bad_input, command, progress};

use super::prerequisites;

/// Depends on the newest kernel built for virtual machines: the smallest that Debian has, with ext4 built in.
const META_PACKAGE: &str = "linux-image-cloud-amd64";

/// A kernel and its modules.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// What `uname -r` says in it.
    pub(crate) release: String,
    pub(crate) image: PathBuf,
    /// Its `lib/modules/RELEASE`.
    pub(crate) modules: PathBuf,
    /// What a report calls it: the package or the file.
    pub(crate) name: String,
}

impl Kernel {
    /// Debian's newest cloud kernel, from the cache where it holds that one.
    pub(crate) fn debian(workspace: &Workspace) -> Result<Self> {
        if command::find("apt-get").is_none() {
            return cached(workspace);
        }
        let package = match newest_package() {
            Ok(package) => package,
            // No lists, or lists that name a package gone from the archive.
            Err(_) if prerequisites::can_install() => {
                prerequisites::update_lists()?;
                newest_package()?
            }
            Err(_) => return cached(workspace),
        };
        let folder = workspace.folder("packages")?;
        let file = folder.join(&package.file);
        if !file.exists() {
            progress::step("Downloading", &package.file, || download(&package.name, &folder))?;
            if !file.exists() {
                bail!("apt-get download {} did not leave {}", package.name, package.file);
            }
        }
        Self::from_package(&file, workspace)
    }

    /// What the user names: a package, the folder of an unpacked one, or an image.
    pub(crate) fn named(path: &Path, workspace: &Workspace) -> Result<Self> {
        let shown = path.display();
        let data = path.metadata().map_err(|error| {
            bad_input(format!(
                "{shown}: {error}; give a kernel package (.deb), its unpacked folder, or a bzImage"
            ))
        })?;
        if data.is_dir() {
            return Self::from_folder(path, &path.display().to_string());
        }
        if path.extension().is_some_and(|extension| extension == "deb") {
            return Self::from_package(path, workspace);
        }
        let release = release_of(path)?;
        let beside = path
            .parent()
            .map(|folder| folder.join("../lib/modules").join(&release));
        let system = Path::new("/lib/modules").join(&release);
        let Some(modules) = beside.into_iter().chain([system]).find(|folder| folder.is_dir()) else {
            return Err(bad_input(format!(
                "{shown}: no modules of {release} in ../lib/modules beside it or in /lib/modules; give the \
                 package that it came from"
            )));
        };
        Ok(Self {
            release,
            image: path.into(),
            modules,
            name: shown.to_string(),
        })
    }

    fn from_package(package: &Path, workspace: &Workspace) -> Result<Self> {
        let name = package
            .file_name()
            .context("a package has a name")?
            .to_string_lossy()
            .into_owned();
        // Two packages may bear one name: the length tells a rebuilt one from the one unpacked before.
        let folder = workspace
            .folder("kernels")?
            .join(format!("{name}-{}", package.metadata()?.len()));
        if !folder.is_dir() {
            progress::step("Unpacking", &name, || unpack(package, &folder))?;
        }
        Self::from_folder(&folder, &name)
    }

    fn from_folder(folder: &Path, name: &str) -> Result<Self> {
        let image = only_child(&folder.join("boot"), "vmlinuz-", name)?;
        let release = release_of(&image)?;
        // A system whose /lib is a link to /usr/lib may have its packages say either.
        let modules = ["lib/modules", "usr/lib/modules"]
            .iter()
            .map(|place| folder.join(place).join(&release))
            .find(|place| place.is_dir())
            .ok_or_else(|| {
                bad_input(format!(
                    "{name} has a kernel {release} but no lib/modules/{release}"
                ))
            })?;
        Ok(Self {
            release,
            image,
            modules,
            name: name.into(),
        })
    }
}

struct Package {
    name: String,
    file: String,
}

fn newest_package() -> Result<Package> {
    let depends = command::text(command::tool("apt-cache").args(["depends", META_PACKAGE]))?;
    let name = dependency(&depends).with_context(|| format!("apt knows no {META_PACKAGE}"))?;
    let uris = command::text(command::tool("apt-get").args(["download", "--print-uris", &name]))?;
    let file = file_in_uris(&uris).with_context(|| format!("apt knows no place to download {name} from"))?;
    Ok(Package { name, file })
}

/// The kernel package that the output of `apt-cache depends` names.
fn dependency(depends: &str) -> Option<String> {
    let lines = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "));
    lines
        .map(str::trim)
        .find(|name| name.starts_with("linux-image-"))
        .map(Into::into)
}

/// The file name in the output of `apt-get download --print-uris`: `'URI' FILE SIZE HASH`.
fn file_in_uris(uris: &str) -> Option<String> {
    let words = uris
        .lines()
        .find(|line| line.starts_with('\''))?
        .split_whitespace();
    words.skip(1).find(|word| word.ends_with(".deb")).map(Into::into)
}

fn download(name: &str, folder: &Path) -> Result<()> {
    // apt's own user may not write into the target folder; root does it itself, and the hash is checked as ever.
    let get = || {
        command::output(
            command::tool("apt-get")
                .args(["-o", "APT::Sandbox::User=root", "download", name])
                .current_dir(folder),
        )
    };
    match get() {
        Err(_) if prerequisites::can_install() => {
            prerequisites::update_lists()?;
            get().map(drop)
        }
        other => other.map(drop),
    }
}

/// The last kernel downloaded, where there is no apt to ask for a newer one.
fn cached(workspace: &Workspace) -> Result<Kernel> {
    let mut packages: Vec<_> = std::fs::read_dir(workspace.folder("packages")?)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    packages.sort_by_key(|path| path.metadata().and_then(|data| data.modified()).ok());
    match packages.last() {
        Some(package) => Kernel::from_package(package, workspace),
        None => Err(bad_input(format!(
            "missing on this machine: apt with package lists that name {META_PACKAGE}; put that kernel's package \
             (linux-image-*-cloud-amd64_*.deb, from a Debian mirror) into {}",
            workspace.folder("packages")?.display()
        ))),
    }
}

fn unpack(package: &Path, folder: &Path) -> Result<()> {
    if command::find("dpkg").is_none() {
        return Err(bad_input(
            "missing on this machine: dpkg, which unpacks kernel packages",
        ));
    }
    let parent = folder.parent().context("a cache folder has a parent")?;
    let partial = tempfile::tempdir_in(parent)?;
    command::output(command::tool("dpkg").arg("-x").arg(package).arg(partial.path())).map_err(|_| {
        bad_input(format!(
            "{} is no Debian package: dpkg cannot unpack it",
            package.display()
        ))
    })?;
    put(partial.path(), folder)
}

/// Renames a folder that is complete, so that an interrupted run leaves nothing that looks whole. Another run may have been faster:
/// what it made is as good, and this one is left to be removed.
fn put(complete: &Path, folder: &Path) -> Result<()> {
    match std::fs::rename(complete, folder) {
        Err(_) if folder.is_dir() => Ok(()),
        result => result.with_context(|| format!("cannot make {}", folder.display())),
    }
}

fn only_child(folder: &Path, prefix: &str, name: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    let mut found: Vec<_> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
        .map(|entry| entry.path())
        .collect();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(bad_input(format!(
            "{name} holds no kernel: there is no boot/{prefix}* in it"
        ))),
        (Some(_), false) => Err(bad_input(format!(
            "{name} holds several kernels: give the boot/{prefix}* to use"
        ))),
    }
}

/// The release in a bzImage's boot header.
///
/// Source of the offsets: the Linux kernel's `Documentation/arch/x86/boot.rst`.
fn release_of(image: &Path) -> Result<String> {
    let bytes = std::fs::read(image).map_err(|error| bad_input(format!("{}: {error}", image.display())))?;
    release_in(&bytes).ok_or_else(|| {
        bad_input(format!(
            "{} is no Linux kernel that can be booted (an x86 bzImage); give a kernel package (.deb), its unpacked \
             folder, or a bzImage",
            image.display()
        ))
    })
}

fn release_in(image: &[u8]) -> Option<String> {
    const MAGIC: usize = 0x202;
    const VERSION_POINTER: usize = 0x20e;
    const POINTER_BASE: usize = 0x200;
    if image.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    let pointer = image.get(VERSION_POINTER..VERSION_POINTER + 2)?;
    let text = image.get(POINTER_BASE + usize::from(u16::from_le_bytes(pointer.try_into().ok()?))..)?;
    let text = text.get(..text.iter().take(256).position(|byte| matches!(byte, 0 | b' '))?)?;
    (!text.is_empty()).then(|| String::from_utf8_lossy(text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(pointer: u16, text: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 0x600];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&pointer.to_le_bytes());
        let start = 0x200 + usize::from(pointer);
        image[start..start + text.len()].copy_from_slice(text);
        image
    }

    #[test]
    fn two_runs_may_unpack_one_package() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("kernel");
        for run in ["first", "second"] {
            let complete = parent.path().join(run);
            std::fs::create_dir(&complete).unwrap();
            std::fs::write(complete.join("vmlinuz"), run).unwrap();
            put(&complete, &folder).unwrap();
        }
        assert_eq!(std::fs::read(folder.join("vmlinuz")).unwrap(), b"first");
        assert!(put(&parent.path().join("nothing"), &parent.path().join("elsewhere")).is_err());
    }

    #[test]
    fn the_release_stands_in_the_boot_header() {
        let bytes = image(0x300, b"6.1.0-56-cloud-amd64 (debian) #1 SMP\0");
        assert_eq!(release_in(&bytes).as_deref(), Some("6.1.0-56-cloud-amd64"));
    }

    #[test]
    fn what_is_no_kernel_has_no_release() {
        assert_eq!(release_in(b""), None);
        assert_eq!(release_in(&[0x7f; 0x210]), None);
        assert_eq!(release_in(&image(0x300, b"\0")), None);
        let mut beyond_the_end = image(0x300, b"6.1\0");
        beyond_the_end[0x20e..0x210].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(release_in(&beyond_the_end), None);
    }

    #[test]
    fn apt_names_the_package_and_its_file() {
        let depends =
            "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n  Suggests: grub\n";
        assert_eq!(
            dependency(depends).as_deref(),
            Some("linux-image-6.1.0-56-cloud-amd64")
        );
        assert_eq!(dependency("linux-image-cloud-amd64\n"), None);
        let uris = "'http://deb.debian.org/debian/pool/main/l/x_6.1.192-2_amd64.deb' x_6.1.192-2_amd64.deb 26 SHA256:ab\n";
        assert_eq!(file_in_uris(uris).as_deref(), Some("x_6.1.192-2_amd64.deb"));
        assert_eq!(file_in_uris("Reading package lists...\n"), None);
    }
}
