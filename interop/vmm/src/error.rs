//! What can keep a machine from starting, each said in one line that names the thing and what to do about it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a machine could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `/dev/kvm` does not exist.
    #[error(
        "/dev/kvm: there is none here; load the kvm-intel or kvm-amd module, or use the nested rig: cargo xtask linux"
    )]
    NoKvm,
    /// `/dev/kvm` exists, but this user may not open it.
    #[error("/dev/kvm: no right to open it; run as root or join its group: usermod -aG kvm USER")]
    NoRightToKvm,
    /// `/dev/kvm` does not do what its name says.
    #[error("/dev/kvm: {0}")]
    BadKvm(io::Error),
    /// KVM lacks a part of its Hyper-V emulation.
    #[error(
        "/dev/kvm: KVM here has no Hyper-V {what} emulation, which VMBus needs; use the nested rig: cargo xtask linux"
    )]
    NoHyperv {
        /// The part that is missing.
        what: &'static str,
    },
    /// A KVM call failed that never should.
    #[error("KVM refused to {doing}: {source}")]
    Kvm {
        /// What the call was to do.
        doing: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file of the command line cannot be opened or read.
    #[error("{}: {source}; give the path of a readable {what}", path.display())]
    File {
        /// What the file is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The kernel image is none.
    #[error("{}: not a Linux bzImage for x86-64 ({why}); give a distribution's vmlinuz", path.display())]
    Kernel {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Kernel and initial ramdisk do not fit into the machine's memory.
    #[error("{}: too large for {mib} MiB of memory; give the machine more with --memory", path.display())]
    TooLarge {
        /// The file that did not fit.
        path: PathBuf,
        /// The machine's memory.
        mib: u64,
    },
    /// The command line for the kernel is too long.
    #[error("--cmdline: {len} bytes are too long; the kernel takes {max}")]
    Cmdline {
        /// Its length.
        len: usize,
        /// The most that is possible.
        max: usize,
    },
    /// A disk's image is no whole number of blocks.
    #[error("{}: {len} bytes are no multiple of {block}; pad it: truncate -s %{block} FILE", path.display())]
    ImageLength {
        /// The image.
        path: PathBuf,
        /// Its bytes.
        len: u64,
        /// Bytes of a block.
        block: u32,
    },
    /// A disk's image is being written, or is to be written while another one reads it.
    #[error("{}: in use by another disk or VMM; give each writable disk an image of its own", path.display())]
    ImageInUse {
        /// The image.
        path: PathBuf,
    },
    /// Two disks have the same LUN.
    #[error("{}: LUN {lun} is taken by another disk; choose another lun=N or none", path.display())]
    LunTaken {
        /// The LUN.
        lun: u8,
        /// The second disk.
        path: PathBuf,
    },
    /// More disks than LUNs.
    #[error("{}: a controller has 256 LUNs, and all are taken; leave a disk out", path.display())]
    TooManyDisks {
        /// The disk that is too many.
        path: PathBuf,
    },
    /// The machine's memory cannot be had.
    #[error("--memory {mib}: the host did not give that much memory ({source}); ask for less")]
    Memory {
        /// The memory asked for.
        mib: u64,
        /// What the kernel said.
        source: io::Error,
    },
    /// The network that the card should be plugged into cannot be had.
    #[error("{option}: {why}")]
    Net {
        /// The option of the command line.
        option: &'static str,
        /// What is wrong.
        why: String,
    },
    /// There is nothing for the faults to happen to.
    #[error("--faults: there is no {what} for them to happen to; add {option}")]
    Faults {
        /// What is missing.
        what: &'static str,
        /// The option that brings it.
        option: &'static str,
    },
    /// A resource of the host's, such as a thread or an eventfd, ran out.
    #[error("the host gave no {what}: {source}")]
    Host {
        /// What was asked for.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

/// A result whose error is [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Turns the error of a KVM call into [`Error::Kvm`].
pub(crate) fn kvm<E: Into<io::Error>>(doing: &'static str) -> impl Fn(E) -> Error {
    move |source| Error::Kvm {
        doing,
        source: source.into(),
    }
}

/// Turns the error of a call to the host's kernel into [`Error::Host`].
pub(crate) fn host<E: Into<io::Error>>(what: &'static str) -> impl Fn(E) -> Error {
    move |source| Error::Host {
        what,
        source: source.into(),
    }
}

/// Turns what keeps a network from being had into [`Error::Net`].
pub(crate) fn net<E: fmt::Display>(option: &'static str) -> impl Fn(E) -> Error {
    move |why| Error::Net {
        option,
        why: why.to_string(),
    }
}
