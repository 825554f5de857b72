//! `vmm`: boots a Linux kernel on a machine whose only disk and network card are VMBus devices.

mod cli;
mod console;
mod signals;

use anyhow::Context;
use clap::Parser;
use std::fs;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use vmm::machine::{Ending, Machine};

/// The machine could not start: its configuration, a file or the host is at fault.
const CANNOT_START: u8 = 2;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    tracing_subscriber::fmt()
        .with_max_level(arguments.log)
        .with_writer(io::stderr)
        .with_ansi(
            io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        )
        .init();
    match run(&arguments) {
        Ok(ending) => {
            if ending != Ending::PowerOff {
                eprintln!("vmm: {ending}");
            }
            ExitCode::from(ending.status())
        }
        Err(error) => {
            eprintln!("vmm: {error:#}");
            ExitCode::from(CANNOT_START)
        }
    }
}

fn run(arguments: &cli::Arguments) -> anyhow::Result<Ending> {
    let machine = Machine::new(&arguments.config(), Box::new(io::stdout()))?;
    let console = console::Console::attach(&machine).context("standard input: the console cannot have it")?;
    if let Some(faults) = machine.faults() {
        eprint!("{}", faults.schedule());
    }
    signals::attach(&machine).context("signals: they cannot be taken")?;
    let (ending, stats) = machine.run()?;
    drop(console);
    if let Some(path) = &arguments.stats {
        let json = serde_json::to_vec_pretty(&stats)?;
        fs::write(path, json)
            .with_context(|| format!("{}: the counters cannot be written", path.display()))?;
    }
    Ok(ending)
}
