//! Ports for a guest that tests: by one it ends the machine with a status of its choice, by the other it has its host take a device away
//! and give it back. The guest gives the word itself, so that it comes at the very moment that the test is about.

use crate::layout;
use crate::machine::Ending;
use crate::vmbus::VmBus;
use std::sync::Arc;

/// In a byte at the device port: the device is given back, not taken away.
const GIVE_BACK: u8 = 1 << 7;

/// The ports.
#[derive(Debug)]
pub struct TestPorts {
    bus: Arc<VmBus>,
}

impl TestPorts {
    /// Ports that act on this bus.
    pub fn new(bus: Arc<VmBus>) -> Self {
        Self { bus }
    }

    /// The guest writes a byte to a port.
    ///
    /// At the device port, bits 6:0 are the device in the order in which the bus was given them: the SCSI controllers, then the network
    /// card.
    #[must_use]
    pub fn write(&self, port: u16, value: u8) -> Option<Ending> {
        match port {
            layout::TEST_EXIT_PORT => return Some(Ending::Chosen(exit_status(value))),
            layout::TEST_DEVICE_PORT if value & GIVE_BACK != 0 => {
                self.bus.give_back(usize::from(value & !GIVE_BACK));
            }
            layout::TEST_DEVICE_PORT => self.bus.take_away(usize::from(value)),
            _ => {}
        }
        None
    }
}

/// The status is odd, so that it is no success by accident, as QEMU's `isa-debug-exit` has it.
fn exit_status(value: u8) -> u8 {
    value << 1 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_qemu() {
        assert_eq!([0, 0x10, 0x11, 0x7F].map(exit_status), [1, 33, 35, 255]);
    }
}
