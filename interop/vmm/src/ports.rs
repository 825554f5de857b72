//! The machine's port space: serial console, real-time clock, and the registers that end a machine's life.

use crate::layout;
use crate::machine::Ending;
use crate::rtc::Rtc;
use crate::serial::Serial;
use std::sync::{Arc, Mutex, PoisonError};

/// ACPI's sleep control register: bit 5 makes the sleep type in bits 4:2 take effect.
const SLEEP_ENABLE: u8 = 1 << 5;
/// The keyboard controller's command that pulses the processor's reset line.
const I8042_PULSE_RESET: u8 = 0xFE;
/// What a bus answers on which nobody does.
const FLOATING: u8 = 0xFF;

/// Every device that answers on a port.
#[derive(Debug)]
pub struct Ports {
    serial: Arc<Serial>,
    rtc: Mutex<Rtc>,
}

impl Ports {
    /// The machine's ports with `serial` at COM1.
    pub fn new(serial: Arc<Serial>) -> Self {
        Self {
            serial,
            rtc: Mutex::default(),
        }
    }

    /// The guest reads `data.len()` bytes at `port`.
    pub fn read(&self, port: u16, data: &mut [u8]) {
        data.fill(FLOATING);
        let [value] = data else { return };
        *value = match port {
            port if is_serial(port) => self.serial.read(port - layout::SERIAL_PORT),
            port if port == layout::RTC_PORT + 1 => {
                self.rtc.lock().unwrap_or_else(PoisonError::into_inner).read()
            }
            layout::SLEEP_CONTROL_PORT | layout::SLEEP_STATUS_PORT => 0,
            _ => FLOATING,
        };
    }

    /// The guest writes `data` to `port`; some of that ends the machine.
    #[must_use]
    pub fn write(&self, port: u16, data: &[u8]) -> Option<Ending> {
        let &[value] = data else { return None };
        match port {
            port if is_serial(port) => self.serial.write(port - layout::SERIAL_PORT, value),
            layout::RTC_PORT => self
                .rtc
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .select(value),
            layout::SLEEP_CONTROL_PORT if value & SLEEP_ENABLE != 0 => {
                return (value >> 2 & 7 == layout::SLEEP_TYPE_OFF).then_some(Ending::PowerOff);
            }
            layout::RESET_PORT if value == layout::RESET_VALUE => return Some(Ending::Reset),
            layout::I8042_COMMAND_PORT if value == I8042_PULSE_RESET => return Some(Ending::Reset),
            _ => {}
        }
        None
    }
}

fn is_serial(port: u16) -> bool {
    (layout::SERIAL_PORT..layout::SERIAL_PORT + 8).contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports() -> Ports {
        Ports::new(Arc::new(Serial::new(Box::new(std::io::sink())).unwrap()))
    }

    #[test]
    fn a_sleep_type_of_5_powers_off_and_nothing_else_does() {
        let ports = ports();
        let write = |value| ports.write(layout::SLEEP_CONTROL_PORT, &[value]);
        assert_eq!(
            write(SLEEP_ENABLE | layout::SLEEP_TYPE_OFF << 2),
            Some(Ending::PowerOff)
        );
        assert_eq!(write(layout::SLEEP_TYPE_OFF << 2), None, "not enabled");
        assert_eq!(write(SLEEP_ENABLE | 3 << 2), None, "another sleep type");
        assert_eq!(
            ports.write(layout::SLEEP_CONTROL_PORT, &[0xFF, 0xFF]),
            None,
            "not a byte"
        );
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
    fn nobody_answers_elsewhere() {
        let mut data = [0; 4];
        ports().read(0xCF8, &mut data);
        assert_eq!(data, [0xFF; 4]);
    }
}
