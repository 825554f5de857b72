//! Running the machine: its console live, its end within a limit.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::command::shown;

use super::console::{Line, Results};
use super::vmm::Invocation;

/// How much of the console a failure shows again.
const TAIL: usize = 40;

/// A process that runs the VMM, with the guest's console on its standard output and the VMM's log on its standard
/// error.
pub(crate) struct Machine {
    pub(crate) command: Command,
    pub(crate) status: Status,
    /// The console of the machine around the VMM, where there is one.
    pub(crate) log: Option<PathBuf>,
}

/// Where the VMM's exit status is to be found.
pub(crate) enum Status {
    OfTheProcess,
    InFile(PathBuf),
}

/// How it went.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) results: Results,
    /// The VMM's exit status; `None` where it was ended by a signal, by the time limit, or never started.
    pub(crate) status: Option<i32>,
    pub(crate) timed_out: bool,
    /// From the start of the emulated machine to that of the VMM.
    pub(crate) rig_seconds: Option<f64>,
    /// From the start of the VMM to the first line of the guest's init.
    pub(crate) boot_seconds: Option<f64>,
    /// From the start of the VMM to the end of everything.
    pub(crate) run_seconds: f64,
    /// The end of the console, for the case that it has to be looked at.
    pub(crate) tail: VecDeque<String>,
}

enum Said {
    Console(String),
    Log(String),
}

impl Machine {
    /// The VMM on this machine.
    pub(crate) fn direct(vmm: &Path, invocation: &Invocation) -> Self {
        let mut words = vec![vmm.as_os_str().to_owned()];
        words.extend(invocation.arguments());
        Self::of(&words)
    }

    /// A program on this machine, with its arguments.
    pub(crate) fn of(words: &[OsString]) -> Self {
        let mut command = Command::new(words.first().map(OsString::as_os_str).unwrap_or_default());
        command.args(words.iter().skip(1)).stdin(Stdio::null());
        Self {
            command,
            status: Status::OfTheProcess,
            log: None,
        }
    }

    /// Runs to the end, or to the limit.
    pub(crate) fn run(mut self, limit: Duration) -> Result<Outcome> {
        let start = Instant::now();
        let mut child = self
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", shown(&self.command)))?;
        let said = listen(&mut child)?;

        let mut outcome = Outcome::default();
        let mut listener = Listener {
            start,
            vmm_start: start,
            in_results: false,
        };
        while !outcome.timed_out {
            match said.recv_timeout(limit.saturating_sub(start.elapsed())) {
                Ok(Said::Console(line)) => listener.console(line, &mut outcome),
                Ok(Said::Log(line)) => eprintln!("{line}"),
                Err(RecvTimeoutError::Timeout) => outcome.timed_out = true,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if outcome.timed_out {
            child.kill().context("cannot end the machine")?;
        }
        let ended = child.wait().context("cannot wait for the machine")?;
        outcome.run_seconds = listener.vmm_start.elapsed().as_secs_f64();
        outcome.status = match &self.status {
            _ if outcome.timed_out => None,
            Status::OfTheProcess => ended.code(),
            Status::InFile(file) => std::fs::read_to_string(file)
                .ok()
                .and_then(|text| text.trim().parse().ok()),
        };
        Ok(outcome)
    }
}

impl Outcome {
    /// What the guest measured, and what was measured around it.
    pub(crate) fn figures(&self) -> BTreeMap<String, f64> {
        let mut figures = self.results.figures.clone();
        let measured = [
            ("rig_seconds", self.rig_seconds),
            ("boot_seconds", self.boot_seconds),
            ("run_seconds", Some(self.run_seconds)),
        ];
        figures.extend(
            measured
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        figures
    }

    /// Shows the consoles' ends on standard error, for a run that did not end as it should.
    pub(crate) fn tell_trouble(&self, limit: Duration, log: Option<&Path>) {
        let how = match self.status {
            _ if self.timed_out => format!("the machine did not end within {} s", limit.as_secs()),
            Some(status) => format!("the VMM ended with status {status} before the guest was done"),
            None => "the machine ended without a word from the VMM".into(),
        };
        eprintln!("error: {how}; the end of its console:");
        for line in &self.tail {
            eprintln!("  {line}");
        }
        let Some(log) = log.filter(|_| self.status.is_none()) else {
            return;
        };
        eprintln!("the end of the console of the emulated machine around it:");
        for line in tail_of(log) {
            eprintln!("  {line}");
        }
    }
}

struct Listener {
    start: Instant,
    vmm_start: Instant,
    in_results: bool,
}

impl Listener {
    fn console(&mut self, line: String, outcome: &mut Outcome) {
        let meant = Line::parse(&line);
        // The results once more, for us alone: they have been on the screen.
        if !self.in_results && !matches!(meant, Some(Line::Results)) {
            show(&line, meant.as_ref());
            if outcome.tail.len() == TAIL {
                outcome.tail.pop_front();
            }
            outcome.tail.push_back(line);
        }
        let Some(meant) = meant else { return };
        match &meant {
            Line::RigReady => {
                outcome.rig_seconds = Some(self.start.elapsed().as_secs_f64());
                self.vmm_start = Instant::now();
            }
            Line::Ready => outcome.boot_seconds = Some(self.vmm_start.elapsed().as_secs_f64()),
            Line::Results => self.in_results = true,
            Line::End => self.in_results = false,
            _ => {}
        }
        outcome.results.take(meant);
    }
}

fn show(line: &str, meant: Option<&Line>) {
    // A closed standard output is no reason to leave a machine running without its end being seen.
    let _ = match meant {
        Some(Line::Check {
            name,
            ok: true,
            detail,
        }) => writeln!(std::io::stdout(), "    ok {name}: {detail}"),
        Some(Line::Check {
            name,
            ok: false,
            detail,
        }) => writeln!(std::io::stdout(), "FAILED {name}: {detail}"),
        Some(Line::Fatal(why)) => writeln!(std::io::stdout(), "FAILED {why}"),
        Some(Line::Figure { name, value }) => writeln!(std::io::stdout(), "       {name} {value}"),
        Some(_) => Ok(()),
        None => writeln!(std::io::stdout(), "{line}"),
    };
}

fn listen(child: &mut Child) -> Result<Receiver<Said>> {
    let (sender, receiver) = channel();
    let console = child.stdout.take().context("the machine has no console")?;
    let log = child.stderr.take().context("the machine has no log")?;
    read_lines(console, sender.clone(), Said::Console);
    read_lines(log, sender, Said::Log);
    Ok(receiver)
}

fn read_lines(from: impl Read + Send + 'static, to: Sender<Said>, wrap: fn(String) -> Said) {
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if to.send(wrap(text)).is_err() {
                return;
            }
        }
    });
}

/// The last lines of a log file, for an error to show.
fn tail_of(log: &Path) -> Vec<String> {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().map(|line| line.trim_end().to_owned()).collect();
    lines[lines.len().saturating_sub(TAIL)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command;

    fn machine(script: &str) -> Machine {
        let mut command = command::tool("sh");
        command.args(["-c", script]);
        Machine {
            command,
            status: Status::OfTheProcess,
            log: None,
        }
    }

    #[test]
    fn what_is_said_and_how_it_ended_is_kept() {
        let script = "echo Linux; echo @ready; echo @check ping ok fine; echo @results; echo @check ping failed late; \
                      echo @end; exit 7";
        let outcome = machine(script).run(Duration::from_secs(60)).unwrap();
        assert_eq!(outcome.status, Some(7));
        assert!(outcome.results.complete && !outcome.timed_out && outcome.boot_seconds.is_some());
        assert_eq!(
            outcome.results.checks,
            [("ping".to_owned(), false, "late".to_owned())]
        );
        assert!(!outcome.tail.contains(&"@check ping failed late".to_owned()));
    }

    #[test]
    fn a_machine_that_hangs_is_ended() {
        let outcome = machine("exec sleep 1000")
            .run(Duration::from_millis(200))
            .unwrap();
        assert!(outcome.timed_out);
        assert_eq!(outcome.status, None);
    }

    #[test]
    fn a_status_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("status");
        for (text, status) in [("0\n", Some(0)), ("2\n", Some(2)), ("", None)] {
            std::fs::write(&file, text).unwrap();
            let machine = Machine {
                status: Status::InFile(file.clone()),
                ..machine("true")
            };
            assert_eq!(machine.run(Duration::from_secs(60)).unwrap().status, status);
        }
    }
}
