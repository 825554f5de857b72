//! The folder of one run: images, logs, whatever is made for it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::workspace::Workspace;

const PREFIX: &str = "run-";
const LOCK: &str = "lock";

/// Removed at the end, unless it is kept. One that an interrupted run left behind is removed by the next.
pub(crate) struct RunFolder {
    folder: TempDir,
    /// Held as long as the run lasts, so that another run leaves the folder alone.
    _lock: File,
}

impl RunFolder {
    pub(crate) fn new(workspace: &Workspace) -> Result<Self> {
        let parent = workspace.folder("runs")?;
        remove_abandoned(&parent);
        let folder = TempDir::with_prefix_in(PREFIX, &parent)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(Self { folder, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves the folder, out of the reach of later runs, and tells where it is.
    pub(crate) fn keep(self) -> PathBuf {
        let path = self.folder.keep();
        // Without its lock file it counts as nobody's left-over.
        let _ = fs::remove_file(path.join(LOCK));
        path
    }
}

/// Failing to tidy up is no reason not to run.
fn remove_abandoned(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_run = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if is_run && File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_uses_or_keeps_is_removed() {
        let target = tempfile::tempdir().unwrap();
        let workspace = Workspace {
            root: target.path().into(),
            target: target.path().into(),
        };
        let abandoned = workspace.folder("runs").unwrap().join("run-old");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join(LOCK), "").unwrap();
        let kept = RunFolder::new(&workspace).unwrap().keep();
        assert!(!abandoned.exists() && kept.exists());

        let used = RunFolder::new(&workspace).unwrap();
        let next = RunFolder::new(&workspace).unwrap();
        assert!(kept.exists() && used.path().exists() && next.path().exists());
        let path = used.path().to_owned();
        drop(used);
        assert!(!path.exists());
    }
}
