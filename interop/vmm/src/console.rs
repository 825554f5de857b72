//! The person at the console: standard input goes to the guest, and Ctrl-A is the way out.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::thread;
use tracing::warn;
use vmm::machine::{Ending, Machine};
use vmm::serial::Key;
use vmm_sys_util::terminal::Terminal;

const CTRL_A: u8 = 1;

/// The terminal while the guest has it: no echo, no lines, no signals. It is as before once this is dropped.
#[derive(Debug)]
pub(crate) struct Console {
    raw: bool,
}

impl Console {
    /// Feeds the machine's console from standard input, on a thread of its own.
    pub(crate) fn attach(machine: &Machine) -> io::Result<Self> {
        let stdin = io::stdin();
        let raw = stdin.is_terminal();
        if raw {
            stdin.lock().set_raw_mode()?;
        }
        // From here on the terminal is put back, whatever happens.
        let console = Self { raw };
        // A handle of the thread's own: one that waits for a key would keep standard input locked from whoever puts it back.
        let input = File::from(stdin.as_fd().try_clone_to_owned()?);
        let (serial, ender) = (machine.serial(), machine.ender());
        thread::Builder::new().name("console".into()).spawn(move || {
            let mut escape = Escape::default();
            match serial.feed(input, |byte| if raw { escape.judge(byte) } else { Key::Pass }) {
                Ok(Key::Quit) => {
                    // Fails when the machine has ended already.
                    let _late = ender.send(Ending::Quit);
                }
                Ok(_) => {}
                Err(error) => warn!("no more input from the console: {error}"),
            }
        })?;
        Ok(console)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        if self.raw {
            // There is nobody left to tell.
            let _failed = io::stdin().lock().set_canon_mode();
        }
    }
}

/// Ctrl-A x quits, Ctrl-A Ctrl-A is a Ctrl-A for the guest, and any other key after Ctrl-A is swallowed.
#[derive(Debug, Default)]
struct Escape {
    pending: bool,
}

impl Escape {
    fn judge(&mut self, byte: u8) -> Key {
        match (std::mem::take(&mut self.pending), byte) {
            (false, CTRL_A) => {
                self.pending = true;
                Key::Swallow
            }
            (false, _) | (true, CTRL_A) => Key::Pass,
            (true, b'x') => Key::Quit,
            (true, _) => Key::Swallow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_a_is_the_way_out() {
        let mut escape = Escape::default();
        let keys: Vec<_> = b"x\x01\x01\x01cx\x01x"
            .iter()
            .map(|byte| escape.judge(*byte))
            .collect();
        let (pass, swallow) = (Key::Pass, Key::Swallow);
        assert_eq!(
            keys,
            [pass, swallow, pass, swallow, swallow, pass, swallow, Key::Quit]
        );
    }
}
