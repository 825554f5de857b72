//! Gates in the rings to the host: while one is shut, the device sees nothing of what the guest writes after it, and the guest's ring runs
//! full.

use super::tally::Tally;
use crate::hooked::Hook;
use crate::memory::Ram;
use crate::trace::{Carried, TracedPacket};
use crate::vmbus::{Device, Port, Ring};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use vmbus_proto::host::OfferParams;
use vmbus_proto::ringbuf::{ControlWord, PacketType, RingMem, RingPair};

/// With less free room than this part of a ring, its control page counted along, Linux's drivers take it for full: hv_netvsc stops its queue,
/// and hv_storvsc looks for another channel (`RING_AVAIL_PERCENT_LOWATER`, `ring_avail_percent_lowater`).
const FULL: u64 = 10;
const CONTROL_PAGE: u64 = 4096;
/// A device that is not signalled has to be made to look whether its ring is full.
const LOOK: Duration = Duration::from_millis(50);

/// The gate of one ring.
#[derive(Debug, Default)]
struct Gate {
    is_shut: AtomicBool,
    /// The ring was full behind the gate since it was shut last.
    is_full: AtomicBool,
    /// How full the ring was behind the gate, in percent, at most.
    fullest: AtomicU32,
}

/// Who stands beside a ring that has a gate.
#[derive(Debug)]
pub struct Keeper {
    gate: Arc<Gate>,
    /// The guest's write index, as the device saw it last.
    seen: Cell<u32>,
}

impl Keeper {
    fn new(gate: &Arc<Gate>, ring: &impl RingMem) -> Self {
        Self {
            gate: Arc::clone(gate),
            seen: Cell::new(ring.load(ControlWord::ReadIndex)),
        }
    }

    /// What the device gets to see of a write index.
    fn pass(&self, ring: &dyn RingMem, written: u32) -> u32 {
        let gate = &self.gate;
        if gate.is_shut.load(Ordering::Acquire) {
            let len = u64::from(ring.data_len()).max(1);
            let read = u64::from(ring.load(ControlWord::ReadIndex));
            let used = (u64::from(written) + len).saturating_sub(read) % len;
            let percent = u32::try_from(used * 100 / len).unwrap_or(u32::MAX);
            gate.fullest.fetch_max(percent, Ordering::Relaxed);
            if (len - used) * FULL < len + CONTROL_PAGE {
                gate.is_full.store(true, Ordering::Relaxed);
            }
            return self.seen.get();
        }
        self.seen.set(written);
        written
    }
}

impl Hook for Keeper {
    fn load(&self, ring: &dyn RingMem, word: ControlWord, value: u32) -> u32 {
        if word == ControlWord::WriteIndex {
            self.pass(ring, value)
        } else {
            value
        }
    }
}

/// The gates of a device's open channels.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<Vec<(Arc<Port>, Arc<Gate>)>>);

impl Gates {
    /// Shuts those that there are now.
    pub(super) fn shut(&self) {
        for (_, gate) in &*self.lock() {
            gate.is_full.store(false, Ordering::Relaxed);
            gate.is_shut.store(true, Ordering::Release);
        }
    }

    /// Waits until the ring behind one of them is full, and tells whether it is.
    pub(super) fn fill(&self, patience: Duration) -> bool {
        let begin = Instant::now();
        loop {
            let full = self.lock().iter().any(|(port, gate)| {
                port.wake();
                gate.is_full.load(Ordering::Relaxed)
            });
            if full || begin.elapsed() > patience {
                return full;
            }
            thread::sleep(LOOK);
        }
    }

    /// Opens them all.
    pub(super) fn open(&self) {
        for (port, gate) in &*self.lock() {
            gate.is_shut.store(false, Ordering::Release);
            port.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Arc<Port>, Arc<Gate>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A device whose rings have gates.
#[derive(Debug)]
pub(super) struct Gated {
    pub(super) device: Arc<dyn Device>,
    pub(super) gates: Arc<Gates>,
    pub(super) tally: Arc<Tally>,
    /// The counter of how full a ring was.
    pub(super) counter: &'static str,
}

impl Device for Gated {
    fn name(&self) -> &'static str {
        self.device.name()
    }

    fn offer(&self) -> OfferParams {
        self.device.offer()
    }

    fn serve(&self, rings: RingPair<Ring>, port: &Arc<Port>) -> Vec<(&'static str, u64)> {
        let gate = Arc::new(Gate::default());
        let ring = rings.incoming.mem().ring();
        ring.attach(Keeper::new(&gate, ring));
        self.gates.lock().push((Arc::clone(port), Arc::clone(&gate)));
        let counters = self.device.serve(rings, port);
        self.gates.lock().retain(|(_, other)| !Arc::ptr_eq(other, &gate));
        let fullest = gate.fullest.load(Ordering::Relaxed).into();
        self.tally.most(self.counter, fullest);
        counters
    }

    fn describe(&self, from_guest: bool, kind: PacketType, payload: &[u8]) -> Option<String> {
        self.device.describe(from_guest, kind, payload)
    }

    fn carried(&self, packet: &TracedPacket<'_>, ram: &Ram) -> Vec<Carried> {
        self.device.carried(packet, ram)
    }

    fn end(&self) {
        self.device.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooked::HookedRing;
    use vmbus_proto::ringbuf::mem::ArrayRing;

    #[test]
    fn a_shut_gate_hides_what_comes_after_it() {
        let ring = HookedRing::new(ArrayRing::<4096>::new());
        let gate = Arc::new(Gate::default());
        ring.attach(Keeper::new(&gate, &ring));
        ring.store(ControlWord::WriteIndex, 64);
        assert_eq!(ring.load(ControlWord::WriteIndex), 64);
        gate.is_shut.store(true, Ordering::Relaxed);
        let most = ring.data_len() / 100 * 97;
        ring.store(ControlWord::WriteIndex, most);
        assert_eq!(ring.load(ControlWord::WriteIndex), 64);
        assert_eq!(ring.load(ControlWord::ReadIndex), 0, "nothing else is hidden");
        assert_eq!(gate.fullest.load(Ordering::Relaxed), 96);
        assert!(gate.is_full.load(Ordering::Relaxed));
        gate.is_shut.store(false, Ordering::Relaxed);
        assert_eq!(ring.load(ControlWord::WriteIndex), most);
        ring.store(ControlWord::WriteIndex, u32::MAX);
        assert_eq!(
            ring.load(ControlWord::WriteIndex),
            u32::MAX,
            "judged by the ring, not here"
        );
    }
}
