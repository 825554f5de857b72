//! The project's tasks, run as `cargo xtask TASK`: the same on a developer's machine and in CI.

mod bare;
mod bench;
#[cfg(test)]
mod cases;
mod cli;
mod command;
mod fuzz;
mod guest;
mod layouts;
mod linux;
mod no_std;
mod panic_free;
mod progress;
mod report;
mod rig;
mod sanitizer;
mod suite;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

/// What a user gave, or a machine lacks, makes the task impossible: one line that names it and what to do.
///
/// Ends the program with status 2, as a misuse of the command line does; anything else that fails ends it with 1.
#[derive(Debug)]
struct BadInput(String);

/// Such an error, in one line.
pub(crate) fn bad_input(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(BadInput(message.into()))
}

impl std::fmt::Display for BadInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

fn main() -> ExitCode {
    let result = match cli::Task::parse() {
        cli::Task::Linux(options) => linux::run(&options),
        cli::Task::Guest(options) => guest::run(&options),
        cli::Task::Fuzz(options) => fuzz::run(&options),
        cli::Task::Bench(options) => bench::run(&options),
        cli::Task::Asan => sanitizer::run(),
        cli::Task::NoStd => no_std::run(),
        cli::Task::PanicFree(options) => panic_free::run(&options),
        cli::Task::Layouts(options) => layouts::run(&options),
        cli::Task::Test(options) => suite::run(&options),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            if error.is::<BadInput>() {
                ExitCode::from(2)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
