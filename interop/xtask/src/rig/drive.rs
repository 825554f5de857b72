//! A disk image on its way to a guest.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// An image, and what the VMM is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Drive {
    /// What the checks call it.
    pub(crate) name: &'static str,
    pub(crate) image: PathBuf,
    /// What the VMM is told beside the path.
    pub(crate) options: &'static str,
}

impl Drive {
    /// Whether the VMM is told that nobody writes it.
    pub(crate) fn is_read_only(&self) -> bool {
        self.options.split(',').any(|option| option == "ro")
    }

    /// The VMM's `--disk`, with the image at a path that differs where the VMM runs in another machine.
    pub(crate) fn argument_at(&self, path: &Path) -> OsString {
        let mut argument = OsString::from(path);
        if !self.options.is_empty() {
            argument.push(",");
            argument.push(self.options);
        }
        argument
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive(options: &'static str) -> Drive {
        Drive {
            name: "disk",
            image: "/run/disk.img".into(),
            options,
        }
    }

    #[test]
    fn the_vmm_is_told_of_a_disk_with_its_options() {
        let locked = drive("ro,lun=2");
        assert!(locked.is_read_only());
        assert_eq!(locked.argument_at(Path::new("/dev/vdc")), "/dev/vdc,ro,lun=2");
        assert!(!drive("").is_read_only());
        assert_eq!(drive("").argument_at(Path::new("a")), "a");
    }
}
