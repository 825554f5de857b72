//! Ports for a guest that tests: by one it ends the machine with a status of its choice, by the others it has its host take a device away
//! and give it back, use an integration service, begin with its faults, or let a processor hang. The guest gives the word itself, so that it comes at the very
//! moment that the test is about.

use crate::faults::{Faults, Target};
use crate::layout;
use crate::machine::Ending;
use crate::services::Services;
use crate::vmbus::VmBus;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tracing::warn;
use vmbus_proto::ic::wire::ShutdownKind;

/// In a byte at the device port: the device is given back, not taken away.
const GIVE_BACK: u8 = 1 << 7;
/// At the service port: the guest is asked to power off.
const ASK_POWER_OFF: u8 = 1;
/// At the service port: the guest is asked to restart.
const ASK_RESTART: u8 = 2;
/// At the service port: the guest is to set its clock.
const SYNC_TIME: u8 = 3;
/// At the faults port: they are to begin.
const BEGIN: u8 = 1;
/// At the faults port: the guest has let go of its data disks.
const LET_DISKS_GO: u8 = 2;
/// At the faults port: the guest sends nothing by its network card.
const LET_CARD_GO: u8 = 3;
/// The unit of time at the hang port.
const HANG: Duration = Duration::from_millis(100);

/// The ports.
#[derive(Debug)]
pub struct TestPorts {
    bus: Arc<VmBus>,
    services: Arc<Services>,
    faults: Option<Arc<Faults>>,
}

impl TestPorts {
    /// Ports that act on this bus and by these services, and have these faults begin.
    pub fn new(bus: Arc<VmBus>, services: Arc<Services>, faults: Option<Arc<Faults>>) -> Self {
        Self {
            bus,
            services,
            faults,
        }
    }

    /// The guest writes a byte to a port.
    ///
    /// At the device port, bits 6:0 are the device in the order in which the bus was given them: the SCSI controllers, then the network
    /// card, then heartbeat, shutdown and time. At the hang port, the byte counts tenths of a second.
    #[must_use]
    pub fn write(&self, port: u16, value: u8) -> Option<Ending> {
        match port {
            layout::TEST_EXIT_PORT => return Some(Ending::Chosen(exit_status(value))),
            layout::TEST_DEVICE_PORT if value & GIVE_BACK != 0 => {
                self.bus.give_back(usize::from(value & !GIVE_BACK));
            }
            layout::TEST_DEVICE_PORT => self.bus.take_away(usize::from(value)),
            layout::TEST_SERVICE_PORT => self.use_service(value),
            layout::TEST_WEIGH_PORT => self.bus.weigh(),
            // The processor that writes is the one whose thread this is.
            layout::TEST_HANG_PORT => thread::sleep(HANG.saturating_mul(value.into())),
            layout::TEST_FAULTS_PORT => match (&self.faults, value) {
                (Some(faults), BEGIN) => faults.begin(),
                (Some(faults), LET_DISKS_GO) => faults.let_go(Target::Data),
                (Some(faults), LET_CARD_GO) => faults.let_go(Target::Card),
                _ => warn!("a test wants {value:#x} of the faults, and there is no such thing"),
            },
            _ => {}
        }
        None
    }

    fn use_service(&self, what: u8) {
        let asked = match what {
            ASK_POWER_OFF => self.services.ask(ShutdownKind::PowerOff),
            ASK_RESTART => self.services.ask(ShutdownKind::Restart),
            SYNC_TIME => {
                self.services.sync_time();
                true
            }
            _ => false,
        };
        if !asked {
            warn!("a test wants {what:#x} of a service, and nobody in the guest listens");
        }
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
