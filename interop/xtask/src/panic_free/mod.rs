//! `cargo xtask panic-free`: that no public function of the published crates can panic, or allocate.

mod api;
mod graph;
mod program;
mod spell;
#[cfg(test)]
mod tests;
mod verdict;

use std::process::ExitCode;

use anyhow::Result;

use self::api::{Api, LEFT_OUT};
use self::graph::Graph;
use crate::cli::PanicFreeOptions;
use crate::progress;
use crate::workspace::Workspace;

/// Compiles every public function for arguments that the compiler does not know, and looks for ways to a panic.
pub(crate) fn run(options: &PanicFreeOptions) -> Result<ExitCode> {
    let workspace = Workspace::find()?;
    let crates = progress::step("Reading", "the published crates' public functions", || {
        program::documented(&workspace)
    })?;
    let (callables, left_out) = Api::new(&crates).callables();
    let library = progress::step(
        "Building",
        format_args!("a program of {} functions", callables.len()),
        || program::build(&workspace, &callables, options.overflow_checks),
    )?;
    let graph = Graph::read(&library)?;
    let verdict = verdict::judge(&graph, &callables);
    print!("{verdict}");
    for (whose, why) in LEFT_OUT {
        let count = left_out.get(whose).copied().unwrap_or_default();
        println!("{count} methods of traits of {whose} are not called: {why}");
    }
    Ok(if verdict.holds() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
