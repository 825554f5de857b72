//! An initramfs: files in memory, written as a cpio archive of the `newc` kind.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use cpio::NewcBuilder;

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

/// The entries in the order in which the kernel unpacks them: a folder before what it holds. The same entries give the
/// same bytes: no times, no owners but root.
#[derive(Default)]
pub(crate) struct Archive {
    entries: Vec<(String, u32, Vec<u8>)>,
    folders: BTreeSet<String>,
}

impl Archive {
    pub(crate) fn folder(&mut self, path: &str) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.folder(parent);
        }
        if self.folders.insert(path.into()) {
            self.entries.push((path.into(), FOLDER, Vec::new()));
        }
    }

    pub(crate) fn file(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.entry(path, FILE, content.into());
    }

    pub(crate) fn program(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.entry(path, PROGRAM, content.into());
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.entry(path, LINK, target.into());
    }

    fn entry(&mut self, path: &str, mode: u32, content: Vec<u8>) {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.folder(parent);
        }
        self.entries.push((path.into(), mode, content));
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        let mut out = BufWriter::new(file);
        for ((name, mode, content), inode) in self.entries.iter().zip(1..) {
            let length = u32::try_from(content.len())
                .with_context(|| format!("{name} is too large for an archive"))?;
            let mut entry = NewcBuilder::new(name)
                .ino(inode)
                .mode(*mode)
                .write(&mut out, length);
            entry.write_all(content)?;
            entry.finish()?;
        }
        cpio::newc::trailer(&mut out)?.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_what_they_hold_and_once() {
        let mut archive = Archive::default();
        archive.file("lib/modules/x.ko", "elf");
        archive.program("lib/init", "#!/bin/sh");
        archive.link("sh", "busybox");
        let names: Vec<_> = archive.entries.iter().map(|(name, _, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["lib", "lib/modules", "lib/modules/x.ko", "lib/init", "sh"]
        );
    }

    #[test]
    fn what_is_written_can_be_read_back() {
        let mut archive = Archive::default();
        archive.program("init", "#!/bin/sh\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("archive");
        archive.write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let mut reader = cpio::NewcReader::new(bytes.as_slice()).unwrap();
        assert_eq!((reader.entry().name(), reader.entry().mode()), ("init", PROGRAM));
        let mut content = String::new();
        std::io::Read::read_to_string(&mut reader, &mut content).unwrap();
        assert_eq!(content, "#!/bin/sh\n");
    }
}
