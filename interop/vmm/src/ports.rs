//! The machine's port space: serial console, real-time clock, and the registers that end a machine's life.

use crate::layout;
use crate::machine::Ending;
use crate::rtc::Rtc;
use crate::serial::Serial;
use crate::test_ports::TestPorts;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The second half of the PM1 event block.
const PM1_ENABLE_PORT: u16 = layout::PM1_EVENT_PORT + layout::PM1_EVENT_LEN as u16 / 2;
/// PM1 control: ACPI's registers are in effect. There is no other mode here.
const SCI_ENABLED: u16 = 1;
/// PM1 control: makes the sleep type in bits 12:10 take effect.
const SLEEP_ENABLE: u16 = 1 << 13;
/// The keyboard controller's command that pulses the processor's reset line.
const I8042_PULSE_RESET: u8 = 0xFE;
/// What a bus answers on which nobody does.
const FLOATING: u8 = 0xFF;

/// Every device that answers on a port.
#[derive(Debug)]
pub struct Ports {
    serial: Arc<Serial>,
    rtc: Mutex<Rtc>,
    /// PM1's enable register. The guest reads back what it wrote, or complains; no event ever happens.
    pm1_enable: AtomicU16,
    test: Option<TestPorts>,
}

impl Ports {
    /// The machine's ports with `serial` at COM1, and those for a guest that tests if there are to be any.
    pub fn new(serial: Arc<Serial>, test: Option<TestPorts>) -> Self {
        Self {
            serial,
            test,
            rtc: Mutex::default(),
            pm1_enable: AtomicU16::new(0),
        }
    }

    /// The guest reads `data.len()` bytes at `port`.
    pub fn read(&self, port: u16, data: &mut [u8]) {
        data.fill(FLOATING);
        match (port, data) {
            (layout::PM1_CONTROL_PORT, data @ [_, _]) => data.copy_from_slice(&SCI_ENABLED.to_le_bytes()),
            (layout::PM1_EVENT_PORT, data @ [_, _]) => data.fill(0),
            (PM1_ENABLE_PORT, data @ [_, _]) => {
                data.copy_from_slice(&self.pm1_enable.load(Ordering::Relaxed).to_le_bytes());
            }
            (port, [value]) if is_serial(port) => *value = self.serial.read(port - layout::SERIAL_PORT),
            (port, [value]) if port == layout::RTC_PORT + 1 => *value = self.rtc().read(),
            _ => {}
        }
    }

    /// The guest writes `data` to `port`; some of that ends the machine.
    #[must_use]
    pub fn write(&self, port: u16, data: &[u8]) -> Option<Ending> {
        match (port, data) {
            (layout::PM1_CONTROL_PORT, &[low, high]) => {
                let control = u16::from_le_bytes([low, high]);
                let off = control >> 10 & 7 == u16::from(layout::SLEEP_TYPE_OFF);
                return (control & SLEEP_ENABLE != 0 && off).then_some(Ending::PowerOff);
            }
            (PM1_ENABLE_PORT, &[low, high]) => {
                self.pm1_enable
                    .store(u16::from_le_bytes([low, high]), Ordering::Relaxed);
            }
            (layout::RESET_PORT, [layout::RESET_VALUE]) => return Some(Ending::Reset),
            (layout::I8042_COMMAND_PORT, [I8042_PULSE_RESET]) => return Some(Ending::Reset),
            (layout::RTC_PORT, &[index]) => self.rtc().select(index),
            (port, &[value]) if is_serial(port) => self.serial.write(port - layout::SERIAL_PORT, value),
            (port, &[value]) => return self.test.as_ref()?.write(port, value),
            _ => {}
        }
        None
    }

    fn rtc(&self) -> MutexGuard<'_, Rtc> {
        self.rtc.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_serial(port: u16) -> bool {
    (layout::SERIAL_PORT..layout::SERIAL_PORT + 8).contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Ports {
        Ports::new(Arc::new(Serial::new(Box::new(std::io::sink())).unwrap()), None)
    }

    #[test]
    fn a_sleep_type_of_5_powers_off_and_nothing_else_does() {
        let ports = ports();
        let write = |value: u16| ports.write(layout::PM1_CONTROL_PORT, &value.to_le_bytes());
        let off = u16::from(layout::SLEEP_TYPE_OFF) << 10;
        assert_eq!(write(SLEEP_ENABLE | off | SCI_ENABLED), Some(Ending::PowerOff));
        assert_eq!(write(off), None, "not enabled");
        assert_eq!(write(SLEEP_ENABLE | 3 << 10), None, "another sleep type");
        assert_eq!(ports.write(layout::PM1_CONTROL_PORT, &[0xFF]), None, "not a word");
    }

    #[test]
    fn acpi_is_in_effect_and_no_event_is_pending() {
        let (ports, mut word) = (ports(), [0xAA; 2]);
        ports.read(layout::PM1_CONTROL_PORT, &mut word);
        assert_eq!(word, [1, 0]);
        assert_eq!(ports.write(PM1_ENABLE_PORT, &[0x20, 0x01]), None);
        ports.read(PM1_ENABLE_PORT, &mut word);
        assert_eq!(word, [0x20, 0x01]);
        ports.read(layout::PM1_EVENT_PORT, &mut word);
        assert_eq!(word, [0, 0]);
    }

    #[test]
    fn both_reset_registers_reset() {
        let ports = ports();
        assert_eq!(
            ports.write(layout::RESET_PORT, &[layout::RESET_VALUE]),
            Some(Ending::Reset)
        );
        assert_eq!(
            ports.write(layout::I8042_COMMAND_PORT, &[I8042_PULSE_RESET]),
            Some(Ending::Reset)
        );
        assert_eq!(ports.write(layout::RESET_PORT, &[0]), None);
    }

    #[test]
    fn a_machine_that_is_not_for_tests_has_no_test_ports() {
        assert_eq!(ports().write(layout::TEST_EXIT_PORT, &[0x10]), None);
    }

    #[test]
    fn nobody_answers_elsewhere() {
        let mut data = [0; 4];
        ports().read(0xCF8, &mut data);
        assert_eq!(data, [0xFF; 4]);
    }
}
