//! Faults of the host's, for a guest that has to live with them: each at a time that follows from a seed.
//!
//! The protocol crates and the devices know nothing of it. A [`FaultyDisk`] stands between a controller and its image, a gate in
//! the ring between a device and its guest, a cable between a card and its network; what remains is what any host can do at any time:
//! take a device off the bus and offer it again, and tell a disk's guest that something about it has changed.

mod cable;
mod disk;
mod gate;
mod schedule;
mod tally;

use crate::disk::Controller;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::net::Adapter;
use crate::vmbus::{Device, VmBus};
use gateway::Link;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::{info, warn};

use cable::{Cable, Cabled};
use disk::DiskFaults;
use gate::{Gated, Gates};
use tally::Tally;

pub use disk::FaultyDisk;
pub use gate::Keeper;
pub use schedule::{Entry, Fault, FaultsConfig, Kind, Schedule, Target};

/// The number of the SCSI controller that everything happens to.
pub(crate) const DATA_CONTROLLER: u8 = 1;

/// How long a guest is waited for that has to let go of a device.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a ring that is not served may take to become full, beyond the time that the schedule has for it.
const FILLING: Duration = Duration::from_secs(4);
/// How long a word of the guest's may be about what was before: hv_netvsc takes note of a cable every two seconds (`LINKCHANGE_INT`).
const STALE: Duration = Duration::from_secs(3);

/// The bus, and the places of the devices on it that can be taken away.
#[derive(Debug)]
struct Bus {
    bus: Arc<VmBus>,
    data: usize,
    card: usize,
}

/// The faults of one machine.
#[derive(Debug)]
pub struct Faults {
    schedule: Schedule,
    begun: Once,
    /// What the guest has let go of, and what tells of it.
    let_go: (Mutex<Vec<Target>>, Condvar),
    bus: OnceLock<Bus>,
    /// What is wrong with the root disks.
    root: Arc<DiskFaults>,
    /// What is wrong with the data disks.
    data: Arc<DiskFaults>,
    controller: OnceLock<Arc<Controller<FaultyDisk<Image>>>>,
    data_gates: Arc<Gates>,
    cable: Arc<Cable>,
    card_gates: Arc<Gates>,
    tally: Arc<Tally>,
}

impl Faults {
    /// Faults that have not begun.
    pub fn new(config: FaultsConfig) -> Self {
        let tally = Arc::new(Tally::default());
        Self {
            schedule: Schedule::new(config),
            begun: Once::new(),
            let_go: Default::default(),
            bus: OnceLock::new(),
            root: Arc::new(DiskFaults::new(&tally)),
            data: Arc::new(DiskFaults::new(&tally)),
            controller: OnceLock::new(),
            data_gates: Arc::default(),
            cable: Arc::default(),
            card_gates: Arc::default(),
            tally,
        }
    }

    /// What comes when.
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// What was done until now.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.tally.counts()
    }

    /// The controller with this number, of these disks: the second one is at the mercy of the faults, the others are only late.
    pub(crate) fn controller(&self, number: u8, images: Vec<Image>, cpus: u8) -> Arc<dyn Device> {
        let faults = if number == DATA_CONTROLLER {
            &self.data
        } else {
            &self.root
        };
        let disks = images
            .into_iter()
            .map(|image| (image.lun(), FaultyDisk::new(image, faults)));
        let controller = Arc::new(Controller::new(number, disks, cpus));
        if number != DATA_CONTROLLER {
            return controller;
        }
        let controller = self.controller.get_or_init(|| controller);
        self.gated(
            Arc::clone(controller) as Arc<dyn Device>,
            &self.data_gates,
            "fullest ring of the data disk",
        )
    }

    /// The network card.
    pub(crate) fn card(&self, card: Arc<Adapter>) -> Arc<dyn Device> {
        self.gated(card, &self.card_gates, "fullest ring of the card")
    }

    fn gated(&self, device: Arc<dyn Device>, gates: &Arc<Gates>, counter: &'static str) -> Arc<dyn Device> {
        Arc::new(Gated {
            device,
            gates: Arc::clone(gates),
            tally: Arc::clone(&self.tally),
            counter,
        })
    }

    /// The link by a cable that can be pulled.
    pub(crate) fn cabled(&self, link: Box<dyn Link>) -> Box<dyn Link> {
        Box::new(Cabled {
            link,
            cable: Arc::clone(&self.cable),
        })
    }

    /// The bus that all of that is on, and the places on it of the data disks' controller and of the card.
    ///
    /// # Errors
    /// One of them is missing.
    pub(crate) fn attach(&self, bus: &Arc<VmBus>, data: Option<usize>, card: Option<usize>) -> Result<()> {
        let missing = |what, option| Error::Faults { what, option };
        let _attached = self.bus.set(Bus {
            bus: Arc::clone(bus),
            data: data.ok_or(missing("second disk controller", "--disk PATH,controller=1"))?,
            card: card.ok_or(missing("network card", "--net user"))?,
        });
        Ok(())
    }

    /// The schedule begins now. A second call does nothing.
    pub fn begin(self: &Arc<Self>) {
        self.begun.call_once(|| {
            let begin = Instant::now();
            for target in Target::ALL {
                let faults = Arc::clone(self);
                let spawned = thread::Builder::new()
                    .name(format!("faults of the {target}"))
                    .spawn(move || faults.run(target, begin));
                if let Err(error) = spawned {
                    warn!("the {target} has no faults: {error}");
                }
            }
        });
    }

    /// The guest says that it has let go of this device's disks or network: it sends nothing more to it.
    pub fn let_go(&self, target: Target) {
        let (let_go, told) = &self.let_go;
        lock(let_go).push(target);
        told.notify_all();
    }

    /// Forgets what the guest has said of this device.
    fn forget(&self, target: Target) {
        lock(&self.let_go.0).retain(|other| *other != target);
    }

    /// Waits until the guest says that it has let go. `false` when it does not.
    fn has_let_go(&self, target: Target) -> bool {
        let (let_go, told) = &self.let_go;
        let waited = told.wait_timeout_while(lock(let_go), PATIENCE, |all| !all.contains(&target));
        let (all, _) = waited.unwrap_or_else(PoisonError::into_inner);
        all.contains(&target)
    }

    /// Does what is to happen to one device.
    fn run(&self, target: Target, begin: Instant) {
        for entry in self
            .schedule
            .entries()
            .iter()
            .filter(|entry| entry.target == target)
        {
            thread::sleep(entry.at.saturating_sub(begin.elapsed()));
            info!("{target}: {}", entry.fault);
            self.act(target, entry.fault);
        }
    }

    fn act(&self, target: Target, fault: Fault) {
        let disk = if target == Target::Root {
            &self.root
        } else {
            &self.data
        };
        let gates = if target == Target::Card {
            &self.card_gates
        } else {
            &self.data_gates
        };
        match fault {
            Fault::Delay { each, span } => {
                disk.delay(each, span);
                thread::sleep(span);
            }
            Fault::Busy(commands) => disk.be_busy(commands),
            Fault::WriteErrors(commands) => disk.fail_writes(commands),
            Fault::ReadErrors(commands) => disk.fail_reads(commands),
            Fault::Attention(attention) => {
                if let Some(controller) = self.controller.get() {
                    controller.raise(attention);
                    self.tally.add("attentions");
                }
            }
            Fault::Stall(span) => {
                let (stalls, full) = if target == Target::Card {
                    ("card stalls", "full rings of the card")
                } else {
                    ("disk stalls", "full rings of the data disk")
                };
                gates.shut();
                thread::sleep(span);
                if gates.fill(FILLING) {
                    self.tally.add(full);
                }
                gates.open();
                self.tally.add(stalls);
            }
            Fault::TakeAway(span) => self.take_away(target, span),
            Fault::LinkDown(span) => {
                self.cable.set(true);
                thread::sleep(span);
                self.cable.set(false);
                self.tally.add("pulled cables");
            }
        }
    }

    /// What the device is for goes first, its disks or its network, and the device itself when the guest says that it has let go. That is the
    /// order in which a host's administrator does it, and the only one that Linux gets over. What hv_storvsc sends on a channel that was
    /// rescinded, the last flush of a disk's cache included, is neither sent nor failed (`storvsc_queuecommand` drops the error of
    /// `hv_ringbuffer_write`), and hv_netvsc waits for the completion of each packet that was on its way (`rndis_filter_halt_device`):
    /// for ever, either. Without the guest's word the device stays, and all is as it was.
    fn take_away(&self, target: Target, span: Duration) {
        let Some(Bus { bus, data, card }) = self.bus.get() else {
            return;
        };
        let (index, name) = match target {
            Target::Card => (*card, "rescinds of the card"),
            Target::Data | Target::Root => (*data, "rescinds of the data disk"),
        };
        self.forget(target);
        self.set_present(target, false);
        if target == Target::Card {
            thread::sleep(STALE);
            self.forget(target);
        }
        let has_let_go = self.has_let_go(target);
        if has_let_go {
            bus.take_away(index);
            thread::sleep(span);
        }
        self.set_present(target, true);
        if has_let_go {
            bus.give_back(index);
            self.tally.add(name);
        }
    }

    fn set_present(&self, target: Target, present: bool) {
        if target == Target::Card {
            return self.cable.set(!present);
        }
        if let Some(controller) = self.controller.get() {
            controller.set_present(present);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
