//! A machine: made from a configuration, run to its end.

use crate::boot::{self, Boot};
use crate::disk::Controller;
use crate::error::{Error, Result, host, kvm};
use crate::faults::{DATA_CONTROLLER, Faults, FaultsConfig};
use crate::image::{self, DiskConfig, Image};
use crate::memory::{self, Ram};
use crate::net::{Adapter, NetConfig, Network};
use crate::ports::Ports;
use crate::serial::Serial;
use crate::services::{Services, ServicesConfig};
use crate::stats::Stats;
use crate::synic::Synic;
use crate::test_ports::TestPorts;
use crate::trace::Tracer;
use crate::vcpu::Vcpu;
use crate::vmbus::{Device, VmBus};
use crate::{layout, registers, sys};
use hvcall::host::{CallRegisters, Request, decode};
use hvcall::{HvStatus, HypercallResult};
use kvm_bindings::{KVM_CAP_HYPERV_EVENTFD, KVM_CAP_HYPERV_SYNIC2, KVM_CAP_HYPERV_VP_INDEX, kvm_pit_config};
use kvm_ioctls::Kvm;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::raw::{c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tracing::debug;
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

/// What a machine is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// What it boots.
    pub boot: Boot,
    /// Its vCPUs, 1 to 8.
    pub cpus: u8,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// Its disks.
    pub disks: Vec<DiskConfig>,
    /// Its network card, and where that is plugged in.
    pub net: Option<(NetConfig, Network)>,
    /// Its integration services.
    pub services: ServicesConfig,
    /// Where to write a trace of the bus.
    pub trace: Option<PathBuf>,
    /// How many bytes of each packet it shows.
    pub trace_bytes: u16,
    /// Whether it has the ports for a guest that tests.
    pub test_ports: bool,
    /// Whether no huge pages are to be behind the memory of the whole process, so that what is resident was touched.
    pub small_pages: bool,
    /// What its devices do to the guest: from the guest's word at the test port on, or from the start where there is none.
    pub faults: Option<FaultsConfig>,
}

/// How a machine's life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// The guest powered the machine off.
    PowerOff,
    /// The guest reset the machine. A boot without firmware cannot be repeated from inside, so that the machine ends.
    Reset,
    /// The guest told its host that it crashed: Hyper-V's five crash parameters.
    Crash([u64; 5]),
    /// The guest's processor gave up.
    TripleFault,
    /// The person at the console, or a signal to the VMM, pulled the plug.
    Quit,
    /// The guest ended the machine by the test port, which makes this the exit status.
    Chosen(u8),
    /// The VMM or KVM failed.
    Failed(String),
}

impl Ending {
    /// The exit status of the process.
    pub fn status(&self) -> u8 {
        match self {
            Self::PowerOff => 0,
            Self::Failed(_) => 1,
            // 2 is for a machine that could not start.
            Self::Reset => 3,
            Self::Crash(_) | Self::TripleFault => 4,
            Self::Quit => 5,
            Self::Chosen(status) => *status,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PowerOff => write!(f, "the guest powered the machine off"),
            Self::Reset => write!(f, "the guest reset the machine"),
            Self::Crash(parameters) => write!(f, "the guest crashed, parameters {parameters:#x?}"),
            Self::TripleFault => write!(f, "the guest's processor gave up (triple fault)"),
            Self::Quit => write!(f, "quit"),
            Self::Chosen(status) => write!(f, "the guest ended the machine with status {status}"),
            Self::Failed(why) => write!(f, "{why}"),
        }
    }
}

/// What the threads of one machine share.
#[derive(Debug)]
pub struct Partition {
    /// The guest's memory.
    pub ram: &'static Ram,
    /// The machine's ports.
    pub ports: Ports,
    /// The synthetic interrupt controllers.
    pub synic: Arc<Synic>,
    /// The bus.
    pub bus: Arc<VmBus>,
    /// Set when the machine has ended; the vCPUs' threads leave then.
    pub ended: AtomicBool,
}

impl Partition {
    /// A hypercall that KVM left to user space; returns its result.
    pub(crate) fn hypercall(&self, registers: &CallRegisters) -> HypercallResult {
        let status = match decode(registers, self.ram) {
            Ok(Request::PostMessage {
                connection_id,
                message_type,
                payload,
            }) => self.bus.post(connection_id, message_type, &payload),
            // Those for open channels never get here.
            Ok(Request::SignalEvent { .. }) => HvStatus::INVALID_CONNECTION_ID,
            Ok(_) => HvStatus::INVALID_HYPERCALL_CODE,
            Err(status) => status,
        };
        if !status.is_success() {
            debug!("{:?} is answered with {status}", registers.control().code());
        }
        status.into()
    }
}

/// A machine that is ready to run.
#[derive(Debug)]
pub struct Machine {
    partition: Arc<Partition>,
    serial: Arc<Serial>,
    services: Arc<Services>,
    vcpus: Vec<Vcpu>,
    faults: Option<Arc<Faults>>,
    /// The guest says when the faults begin.
    waits_for_word: bool,
    endings: (Sender<Ending>, Receiver<Ending>),
}

impl Machine {
    /// Makes a machine whose console writes to `output`.
    ///
    /// # Errors
    /// What keeps it from starting, in one line for the person who started it.
    pub fn new(config: &Config, output: Box<dyn io::Write + Send>) -> Result<Self> {
        // What the person can put right comes first, then what the host lacks.
        let controllers = by_controller(image::open_all(&config.disks)?);
        let faults = config.faults.map(|faults| Arc::new(Faults::new(faults)));
        let cable = |link| match &faults {
            Some(faults) => faults.cabled(link),
            None => link,
        };
        let adapter = match &config.net {
            Some((net, network)) => Some(Adapter::new(net, network, config.cpus, cable)?),
            None => None,
        };
        if config.small_pages {
            rustix::thread::disable_transparent_huge_pages(true)
                .map_err(host("memory without huge pages"))?;
        }
        // A process has one machine, and threads of all kinds look into its memory: it stays for as long as the process.
        let ram: &'static Ram = Box::leak(Box::new(memory::allocate(config.memory_mib)?));
        let entry = boot::load(&config.boot, ram, config.memory_mib, config.cpus)?;
        let kvm_fd = open_kvm()?;
        let tracer = config
            .trace
            .as_deref()
            .map(|path| open_trace(path, config.trace_bytes))
            .transpose()?;
        let vm = Arc::new(kvm_fd.create_vm().map_err(kvm("make a virtual machine"))?);
        vm.set_tss_address(layout::KVM_TSS)
            .map_err(kvm("place its task state"))?;
        vm.create_irq_chip()
            .map_err(kvm("make the interrupt controllers"))?;
        // Linux programs the timer of a PC to be quiet, and Windows wants it to be there.
        vm.create_pit2(kvm_pit_config::default())
            .map_err(kvm("make the interval timer"))?;
        sys::map_memory(&vm, ram)?;
        let vcpus = (0..config.cpus)
            .map(|index| Vcpu::new(&kvm_fd, &vm, index, config.cpus))
            .collect::<Result<Vec<_>>>()?;
        if let Some(first) = vcpus.first() {
            registers::set_boot_state(first.fd(), ram, entry)?;
        }
        let serial = Arc::new(Serial::new(output)?);
        vm.register_irqfd(serial.interrupt(), layout::SERIAL_IRQ)
            .map_err(kvm("connect the console"))?;
        let synic = Arc::new(Synic::new(&vm, ram, config.cpus)?);
        let data = controllers.keys().position(|number| *number == DATA_CONTROLLER);
        let card = adapter.is_some().then_some(controllers.len());
        let mut devices: Vec<Arc<dyn Device>> = Vec::new();
        for (number, images) in controllers {
            devices.push(match &faults {
                Some(faults) => faults.controller(number, images, config.cpus),
                None => {
                    let disks = images.into_iter().map(|image| (image.lun(), image));
                    Arc::new(Controller::new(number, disks, config.cpus))
                }
            });
        }
        devices.extend(adapter.map(|adapter| match &faults {
            Some(faults) => faults.card(adapter),
            None => adapter,
        }));
        let services = Arc::new(Services::new(config.services, &vm));
        devices.extend(services.devices());
        let bus = Arc::new(VmBus::new(
            vm,
            ram,
            Arc::clone(&synic),
            config.cpus,
            devices,
            tracer,
        )?);
        if let Some(faults) = &faults {
            faults.attach(&bus, data, card)?;
        }
        let test = config
            .test_ports
            .then(|| TestPorts::new(Arc::clone(&bus), Arc::clone(&services), faults.clone()));
        let ports = Ports::new(Arc::clone(&serial), test);
        let partition = Arc::new(Partition {
            ram,
            ports,
            synic,
            bus,
            ended: AtomicBool::new(false),
        });
        Ok(Self {
            partition,
            serial,
            services,
            vcpus,
            faults,
            waits_for_word: config.test_ports,
            endings: mpsc::channel(),
        })
    }

    /// What is done to the guest, if anything is.
    pub fn faults(&self) -> Option<&Faults> {
        self.faults.as_deref()
    }

    /// The console, to be fed with input.
    pub fn serial(&self) -> Arc<Serial> {
        Arc::clone(&self.serial)
    }

    /// What can be asked of the guest.
    pub fn services(&self) -> Arc<Services> {
        Arc::clone(&self.services)
    }

    /// A sender by which the machine can be ended from outside.
    pub fn ender(&self) -> Sender<Ending> {
        self.endings.0.clone()
    }

    /// Runs the machine to its end. Returns how it ended, and what was counted.
    ///
    /// # Errors
    /// A thread cannot be made.
    pub fn run(self) -> Result<(Ending, Stats)> {
        register_signal_handler(SIGRTMIN(), wake).map_err(host("signal handler"))?;
        let (sender, receiver) = self.endings;
        let bus = self.partition.bus.start()?;
        let mut threads = Vec::new();
        for (index, vcpu) in self.vcpus.into_iter().enumerate() {
            let partition = Arc::clone(&self.partition);
            let sender = sender.clone();
            let body = move || {
                if let Some(ending) = vcpu.run(&partition) {
                    // Fails when the machine has ended already.
                    let _late = sender.send(ending);
                }
            };
            let thread = thread::Builder::new().name(format!("vcpu{index}")).spawn(body);
            threads.push(thread.map_err(host("thread"))?);
        }
        drop(sender);
        if let Some(faults) = self.faults.as_ref().filter(|_| !self.waits_for_word) {
            faults.begin();
        }
        let ending = receiver
            .recv()
            .unwrap_or_else(|_| Ending::Failed("every vCPU's thread is gone".into()));
        self.partition.ended.store(true, Ordering::Release);
        join(threads);
        self.partition.bus.end();
        // A panic has been reported by then.
        let _panicked = bus.join();
        let stats = Stats {
            ending: Some(ending.to_string()),
            injected: self.faults.map(|faults| faults.counts()).unwrap_or_default(),
            ..self.partition.bus.stats()
        };
        Ok((ending, stats))
    }
}

fn by_controller(images: Vec<Image>) -> BTreeMap<u8, Vec<Image>> {
    let mut controllers: BTreeMap<u8, Vec<Image>> = BTreeMap::new();
    for image in images {
        controllers.entry(image.controller()).or_default().push(image);
    }
    controllers
}

fn open_trace(path: &Path, shown: u16) -> Result<Arc<Tracer>> {
    let failed = |source| Error::File {
        what: "trace",
        path: path.to_owned(),
        source,
    };
    Ok(Arc::new(Tracer::create(path, shown).map_err(failed)?))
}

/// Does nothing; that a signal arrives is what makes `KVM_RUN` return.
extern "C" fn wake(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {}

/// Waits for the vCPUs' threads. A signal that comes just before its thread enters the guest is lost, so that it is sent again.
fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        while !thread.is_finished() {
            // Fails when the thread has just ended.
            let _ended = thread.kill(SIGRTMIN());
            thread::sleep(Duration::from_millis(1));
        }
        // A panic has been reported by then.
        let _panicked = thread.join();
    }
}

fn open_kvm() -> Result<Kvm> {
    let kvm_fd = Kvm::new().map_err(|error| match error.errno() {
        libc::ENOENT | libc::ENXIO | libc::ENODEV => Error::NoKvm,
        libc::EACCES | libc::EPERM => Error::NoRightToKvm,
        _ => Error::BadKvm(error.into()),
    })?;
    let needed = [
        (KVM_CAP_HYPERV_SYNIC2, "SynIC"),
        (KVM_CAP_HYPERV_VP_INDEX, "VP index"),
        (KVM_CAP_HYPERV_EVENTFD, "signal-event"),
    ];
    for (capability, what) in needed {
        if kvm_fd.check_extension_raw(capability.into()) <= 0 {
            return Err(Error::NoHyperv { what });
        }
    }
    Ok(kvm_fd)
}
