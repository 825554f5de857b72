//! SIGTERM and SIGINT: the guest is asked to power off in order; at the second the machine ends at once, and so where nobody in the
//! guest listens.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::thread;
use vmbus_proto::ic::wire::ShutdownKind;
use vmm::machine::{Ending, Machine};

/// Takes the signals from now on, on a thread of its own.
pub(crate) fn attach(machine: &Machine) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let (services, ender) = (machine.services(), machine.ender());
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut asked = false;
        for _ in &mut signals {
            if !asked && services.ask(ShutdownKind::PowerOff) {
                asked = true;
                eprintln!("vmm: the guest is asked to power off; a second signal ends the machine at once");
            } else {
                // Fails when the machine has ended already.
                let _late = ender.send(Ending::Quit);
            }
        }
    })?;
    Ok(())
}
