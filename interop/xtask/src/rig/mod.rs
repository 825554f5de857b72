//! What it takes to run a guest and to look at it from outside: this machine's programs, a kernel from Debian, the VMM,
//! the emulated machine around it where this one has no KVM for it, the console, the figures.

mod archive;
mod busybox;
mod console;
mod drive;
mod folder;
mod kernel;
mod kvm;
mod machine;
mod modules;
mod nested;
mod outputs;
mod prerequisites;
mod stats;
mod vmm;

use anyhow::Result;

use crate::cli::Via;
use crate::{bad_input, progress};

pub(crate) use self::busybox::Busybox;
pub(crate) use self::console::Results;
pub(crate) use self::drive::Drive;
pub(crate) use self::folder::RunFolder;
pub(crate) use self::kernel::Kernel;
pub(crate) use self::machine::{Machine, Outcome};
pub(crate) use self::modules::{Modules, Wanted, modules_dep};
pub(crate) use self::nested::{Payload, port, prepare};
pub(crate) use self::outputs::Outputs;
pub(crate) use self::prerequisites::{can_install, ensure, install};
pub(crate) use self::stats::Stats;
pub(crate) use self::vmm::{Invocation, OUTB, build};

/// Whether the VMM must have an emulated machine around it, and why.
pub(crate) fn runs_nested(via: Via) -> Result<bool> {
    if !cfg!(target_arch = "x86_64") {
        return Err(bad_input(
            "this needs an x86-64 machine: the VMM runs x86-64 guests on KVM",
        ));
    }
    match (via, kvm::emulates_synic()) {
        (Via::Nested, _) => Ok(true),
        (_, Ok(())) => Ok(false),
        (Via::Kvm, Err(why)) => Err(bad_input(format!("{why}; use --via nested"))),
        (Via::Auto, Err(why)) => {
            progress::say("Note", format_args!("{why}; the VMM runs in an emulated machine"));
            Ok(true)
        }
    }
}
