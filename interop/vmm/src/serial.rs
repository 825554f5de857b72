//! The serial console: a 16550 at COM1. What the guest writes goes to an output at once; what arrives from an input waits until
//! the guest's FIFO has room.

use crate::error::{Result, host};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use vm_superio::serial::NoEvents;
use vm_superio::{Serial as Uart, Trigger};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

struct Interrupt(EventFd);

impl Trigger for Interrupt {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

/// What becomes of a byte of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The guest gets it.
    Pass,
    /// The guest does not get it.
    Swallow,
    /// There is no more input.
    Quit,
}

/// The console.
pub struct Serial {
    uart: Mutex<Uart<Interrupt, NoEvents, Box<dyn Write + Send>>>,
    /// Told when the guest has taken a byte.
    room: Condvar,
    interrupt: EventFd,
}

impl Serial {
    /// A console that writes to `output`.
    ///
    /// # Errors
    /// The host has no eventfd left.
    pub fn new(output: Box<dyn Write + Send>) -> Result<Self> {
        let interrupt = EventFd::new(EFD_NONBLOCK).map_err(host("eventfd"))?;
        let trigger = Interrupt(interrupt.try_clone().map_err(host("eventfd"))?);
        Ok(Self {
            uart: Mutex::new(Uart::new(trigger, output)),
            room: Condvar::new(),
            interrupt,
        })
    }

    /// Written when the console raises its interrupt.
    pub fn interrupt(&self) -> &EventFd {
        &self.interrupt
    }

    /// The guest reads a register.
    pub fn read(&self, register: u16) -> u8 {
        let value = u8::try_from(register).map_or(0xFF, |register| self.uart().read(register));
        self.room.notify_all();
        value
    }

    /// The guest writes a register.
    pub fn write(&self, register: u16, value: u8) {
        let Ok(register) = u8::try_from(register) else {
            return;
        };
        // The output may be gone, a closed pipe for one. The guest has no part in that and runs on.
        let _lost = self.uart().write(register, value);
    }

    /// Feeds the guest from `input` until that ends, or until `judge` says so of a byte.
    ///
    /// # Errors
    /// What reading the input said.
    pub fn feed(&self, mut input: impl Read, mut judge: impl FnMut(u8) -> Key) -> io::Result<Key> {
        let mut buffer = [0; 64];
        loop {
            let len = match input.read(&mut buffer) {
                Ok(0) => return Ok(Key::Pass),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            for byte in buffer.iter().take(len) {
                match judge(*byte) {
                    Key::Pass => {}
                    Key::Swallow => continue,
                    Key::Quit => return Ok(Key::Quit),
                }
                let mut uart = self.uart();
                while uart.fifo_capacity() == 0 {
                    uart = self.room.wait(uart).unwrap_or_else(PoisonError::into_inner);
                }
                let _no_interrupt = uart.enqueue_raw_bytes(&[*byte]);
            }
        }
    }

    fn uart(&self) -> MutexGuard<'_, Uart<Interrupt, NoEvents, Box<dyn Write + Send>>> {
        self.uart.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serial").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Sender(mpsc::Sender<u8>);

    impl Write for Sender {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            bytes.iter().for_each(|byte| self.0.send(*byte).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn output_comes_at_once_and_input_in_order() {
        let (sender, receiver) = mpsc::channel();
        let serial = Serial::new(Box::new(Sender(sender))).unwrap();
        serial.write(0, b'x');
        assert_eq!(receiver.try_recv(), Ok(b'x'));
        let judge = |byte| match byte {
            1 => Key::Quit,
            b'-' => Key::Swallow,
            _ => Key::Pass,
        };
        assert_eq!(serial.feed(&b"a-b\x01c"[..], judge).unwrap(), Key::Quit);
        assert_eq!([serial.read(0), serial.read(0)], *b"ab");
        assert_eq!(serial.read(5) & 1, 0, "nothing after the byte that quits");
    }

    #[test]
    fn more_input_than_the_fifo_holds_waits_for_the_guest() {
        let serial = Serial::new(Box::new(io::sink())).unwrap();
        let input: Vec<u8> = (0..200).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| serial.feed(&input[..], |_| Key::Pass).unwrap());
            let mut seen = Vec::new();
            while seen.len() < input.len() {
                match serial.read(5) & 1 {
                    1 => seen.push(serial.read(0)),
                    _ => std::thread::yield_now(),
                }
            }
            assert_eq!(seen, input);
        });
    }
}
