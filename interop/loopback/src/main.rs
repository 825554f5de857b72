//! `loopback`: a guest against a host in one process, and what goes through.

mod cli;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use comfy_table::{CellAlignment, Table, presets};
use loopback::{Amount, Failure, Measured, Session, Step};

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("loopback: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &cli::Arguments) -> Result<(), Failure> {
    let options = arguments.options();
    let mut session = Session::start(&options, &mut tell)?;
    let mut figures = Vec::new();
    if !arguments.seconds.is_zero() {
        let amount = Amount::For(arguments.seconds);
        let failed = |error| Failure {
            step: "figures",
            error,
        };
        for depth in &arguments.depth {
            let measured = session.disk_reads((*depth).into(), amount).map_err(failed)?;
            figures.push((format!("4 KiB reads, {depth} at a time"), measured, 4096));
        }
        for len in [64, 1500] {
            let measured = session.frames_sent(len.into(), amount).map_err(failed)?;
            figures.push((format!("{len} B frames, guest to host"), measured, len.into()));
            let measured = session.frames_received(len, amount).map_err(failed)?;
            figures.push((format!("{len} B frames, host to guest"), measured, len.into()));
        }
    }
    session.finish(&options, &mut tell)?;
    if !figures.is_empty() {
        // As for the steps: who does not read gets none.
        let _closed = writeln!(io::stdout(), "\n{}", table(&figures));
    }
    Ok(())
}

fn tell(step: Step) {
    // A reader that has gone does not end the run.
    let _closed = writeln!(io::stdout(), "  {:<14} {}", step.name, step.detail);
}

fn table(figures: &[(String, Measured, u32)]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["", "in a second", "Gbit/s", "ns each"]);
    for (name, measured, bytes) in figures {
        let rate = measured.per_second();
        table.add_row([
            name.clone(),
            grouped(rate),
            format!("{:.2}", rate * f64::from(*bytes) * 8e-9),
            format!("{:.0}", 1e9 / rate),
        ]);
    }
    for column in 1..4 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A number with its digits in groups of three.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        for (number, text) in [
            (0.4, "0"),
            (999.0, "999"),
            (1000.0, "1 000"),
            (12_345_678.0, "12 345 678"),
        ] {
            assert_eq!(grouped(number), text);
        }
    }
}
