//! The disk images: how they are made, and what they must hold when the guest is done.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::command;
use crate::rig::Drive;

const MIB: u64 = 1 << 20;

/// A disk of the guest's: an ext4 file system without partitions, in a sparse file.
pub(crate) struct Disk {
    pub(crate) drive: Drive,
    mib: u64,
    block_size: u32,
    /// Bytes that the image took up when it was made.
    taken: u64,
    /// Hash of the image when it was made, where it must not change.
    hash: Option<String>,
}

impl Disk {
    fn new(folder: &Path, name: &'static str, mib: u64, options: &'static str) -> Self {
        Self {
            drive: Drive {
                name,
                image: folder.join(format!("{name}.img")),
                options,
            },
            mib,
            block_size: if options.contains("bs=4096") { 4096 } else { 512 },
            taken: 0,
            hash: None,
        }
    }

    fn make(&mut self, content: &Path) -> Result<()> {
        // Blocks of the file system that are smaller than the disk's could not be written.
        let block = self.block_size.max(1024).to_string();
        command::output(
            command::tool("mke2fs")
                .args([
                    "-q",
                    "-F",
                    "-t",
                    "ext4",
                    "-b",
                    &block,
                    "-L",
                    &format!("interop-{}", self.drive.name),
                ])
                .args(["-E", "root_owner=0:0,lazy_itable_init=0,lazy_journal_init=0"])
                .arg("-d")
                .arg(content)
                .arg(&self.drive.image)
                .arg(format!("{}m", self.mib)),
        )?;
        self.taken = self.taken_now()?;
        self.hash = if self.drive.is_read_only() {
            Some(hash_of(File::open(&self.drive.image)?.into())?)
        } else {
            None
        };
        Ok(())
    }

    fn taken_now(&self) -> Result<u64> {
        Ok(self.drive.image.metadata()?.blocks() * 512)
    }

    /// Whether the file system is whole, as `e2fsck -fn` sees it; what it said where it is not.
    pub(crate) fn file_system(&self) -> Result<(), String> {
        let checked = command::tool("e2fsck")
            .arg("-fn")
            .arg(&self.drive.image)
            .output()
            .map_err(|error| error.to_string())?;
        if checked.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&checked.stdout).into_owned();
        Err(format!(
            "e2fsck -fn: {}",
            said.lines().collect::<Vec<_>>().join("; ")
        ))
    }

    /// The hash of a file in the image.
    pub(crate) fn hash_of_file(&self, path: &str) -> Result<String> {
        let mut reader = command::tool("debugfs")
            .arg("-R")
            .arg(format!("cat {path}"))
            .arg(&self.drive.image)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let content = reader.stdout.take().context("debugfs has an output")?;
        let hash = hash_of(content.into());
        reader.wait()?;
        hash
    }

    /// Bytes that the image takes up beyond what it took when it was made.
    pub(crate) fn growth(&self) -> Result<u64> {
        Ok(self.taken_now()?.saturating_sub(self.taken))
    }

    /// Whether an image that nobody may write still is what it was.
    pub(crate) fn is_unchanged(&self) -> Result<bool> {
        let now = hash_of(File::open(&self.drive.image)?.into())?;
        Ok(self.hash.as_ref().is_none_or(|then| *then == now))
    }
}

/// A disk to be made: its name, which also says what it holds, its MiB, and what the VMM is told of it.
pub(crate) type Wanted = (&'static str, u64, &'static str);

/// The root file system, a second and a read-only LUN of the same controller, and one on a controller of its own with large blocks.
pub(crate) const DISKS: &[Wanted] = &[
    ("root", 256, "lun=0"),
    ("data", 128, "lun=1"),
    ("locked", 96, "ro,lun=2"),
    ("second", 64, "controller=1,bs=4096"),
];

/// The same where the host's devices fail: the disk that is written to is on the controller that everything happens to.
pub(crate) const FAULTY_DISKS: &[Wanted] = &[
    ("root", 256, "lun=0"),
    ("locked", 96, "ro,lun=2"),
    ("data", 160, "controller=1"),
];

/// Makes the guest's disks; the root file system is filled by the caller.
pub(crate) fn make(
    folder: &Path,
    disks: &[Wanted],
    fill_root: impl FnOnce(&Path) -> Result<()>,
) -> Result<Vec<Disk>> {
    let content = tempfile::tempdir_in(folder)?;
    let empty = content.path().join("empty");
    let locked = content.path().join("locked");
    let root = content.path().join("root");
    for folder in [&empty, &locked, &root] {
        fs::create_dir(folder)?;
    }
    fill_root(&root)?;
    fill_locked(&locked)?;

    let mut disks: Vec<_> = disks
        .iter()
        .map(|&(name, mib, options)| Disk::new(folder, name, mib, options))
        .collect();
    for disk in &mut disks {
        let content = match disk.drive.name {
            "root" => &root,
            "locked" => &locked,
            _ => &empty,
        };
        disk.make(content)
            .with_context(|| format!("cannot make the image of the disk {}", disk.drive.name))?;
    }
    Ok(disks)
}

/// What the read-only disk holds: a file that must be intact in the guest, and the random bytes that the guest writes to
/// another disk. Making them here is faster, and their hashes are known before the guest has seen them.
fn fill_locked(folder: &Path) -> Result<()> {
    let mut random = File::open("/dev/urandom")?.take(64 * MIB);
    std::io::copy(&mut random, &mut File::create(folder.join("random"))?)?;
    let content: Vec<u8> = (0..MIB / 8).flat_map(u64::to_le_bytes).collect();
    fs::write(folder.join("content"), content)?;
    for name in ["random", "content"] {
        let hash = hash_of(File::open(folder.join(name))?.into())?;
        fs::write(
            folder.join(name).with_extension("sha256"),
            format!("{hash}  {name}\n"),
        )?;
    }
    Ok(())
}

/// SHA-256 by the system's own tool, which is fast in any build of this one.
fn hash_of(content: Stdio) -> Result<String> {
    let said = command::text(command::tool("sha256sum").stdin(content))?;
    match said.split_whitespace().next() {
        Some(hash) if hash.len() == 64 => Ok(hash.into()),
        _ => bail!("sha256sum said {said:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_sha_256() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        assert_eq!(
            hash_of(File::open(path).unwrap().into()).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
