//! `cargo xtask layouts`: the crates' wire structures against the type information of a real kernel.
//!
//! A kernel with `CONFIG_DEBUG_INFO_BTF` carries the layout of every type that it uses. The [table] says which of them the
//! crates mirror, in which fields; what is in it has to be so, and what is not has to be left out with a reason. `#define`s
//! and types that no module uses are not in the type information: those are listed with where they are from.
//!
//! | file | holds |
//! |---|---|
//! | `image.rs`, `btf.rs` | from a kernel's files to facts |
//! | `facts.rs` | facts; those of Linux 6.1, which stand in `interop/xtask/layouts` |
//! | `mirror.rs`, `table/` | the table, and how its rows are written |
//! | `compare.rs`, `report.rs` | the comparison, and what is told of it |

mod btf;
mod compare;
mod facts;
mod image;
mod mirror;
mod report;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use crate::cli::LayoutsOptions;
use crate::rig::{Kernel, Modules};
use crate::workspace::Workspace;
use crate::{bad_input, progress};

use self::btf::Types;
use self::compare::{BaseLine, compare};
use self::facts::Facts;
use self::report::Report;
use self::table::{Table, is_hyperv};

/// Modules whose types are all of interest, and without which there is nothing to compare.
const OURS: [&str; 3] = ["hv_vmbus", "hv_storvsc", "hv_netvsc"];

/// Modules that have further types of Hyper-V's.
const OTHERS: [&str; 9] = [
    "hv_utils",
    "hv_balloon",
    "hv_sock",
    "hid_hyperv",
    "hyperv_keyboard",
    "hyperv_drm",
    "hyperv_fb",
    "pci_hyperv",
    "uio_hv_generic",
];

/// What `uname -r` begins with where the kernel is the one of the base line.
const BASE_LINE: &str = "6.1.";

/// Compares, and tells what came of it.
pub(crate) fn run(options: &LayoutsOptions) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let kernel = match &options.kernel {
        Some(path) => Kernel::named(path, &workspace)?,
        None => Kernel::debian(&workspace)?,
    };
    let table = Table::new();
    let facts = progress::step(
        "Reading",
        format_args!("the types of Linux {}", kernel.release),
        || read(&kernel, &table),
    )?;
    let linux_6_1 = Facts::linux_6_1()?;
    let base_line = if kernel.release.starts_with(BASE_LINE) {
        BaseLine::Same(&linux_6_1)
    } else {
        BaseLine::Other(&linux_6_1)
    };
    let report = Report::new(&kernel, &table, compare(&table, &facts, base_line));
    println!("{report}");
    if let Some(path) = &options.report {
        report.write(path)?;
    }
    Ok(if report.all_is_well() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The facts of a kernel and its modules. Where a driver is built in, its types are the kernel's.
fn read(kernel: &Kernel, table: &Table) -> Result<Facts> {
    let modules = Modules::find(&kernel.modules, &kernel.release)?;
    let base = Types::of_kernel(&image::btf(&kernel.image)?)?;
    let mut facts = Facts::default();
    for name in OURS.iter().chain(&OTHERS) {
        let ours = OURS.contains(name);
        match modules.file(name)? {
            Some(file) => {
                let section = image::section(&file).with_context(|| format!("the module {name}"))?;
                let types = base
                    .of_module(&section)
                    .with_context(|| format!("the types of {name}"))?;
                types.add_to(&mut facts, |_| true)?;
                let of_hyperv = facts.names().filter(|name| ours || is_hyperv(name));
                facts.of_hyperv = facts
                    .of_hyperv
                    .union(&of_hyperv.map(Into::into).collect())
                    .cloned()
                    .collect();
            }
            None if ours && !modules.is_built_in(name) => {
                return Err(bad_input(format!(
                    "kernel {} has no {name}, neither as a module nor built in: there is nothing to compare with",
                    kernel.release
                )));
            }
            None => {}
        }
    }
    // Names like `dm_header` are not Hyper-V's alone: where a module has the type, that is the one.
    let known: BTreeSet<String> = facts.names().map(Into::into).collect();
    let mirrored: BTreeSet<_> = table.kernel_names().collect();
    base.add_to(&mut facts, |name| {
        !known.contains(name) && (is_hyperv(name) || mirrored.contains(name))
    })?;
    let of_hyperv: BTreeSet<String> = facts
        .names()
        .filter(|name| is_hyperv(name))
        .map(Into::into)
        .collect();
    facts.of_hyperv.extend(of_hyperv);
    Ok(facts)
}
