//! The VMBus glue: `vmbus-proto`'s bus on one thread of this machine, and each open channel on another.
//!
//! A guest's post-message call reaches [`VmBus::post`] on its vCPU's thread and leaves an event for the bus thread, which starts and
//! ends the channels' threads. Nobody waits for anybody while holding the bus.

mod platform;
mod port;

use crate::breach::Breaches;
use crate::error::{Result, host};
use crate::faults::Keeper;
use crate::hooked::HookedRing;
use crate::memory::Ram;
use crate::pages::GuestRing;
use crate::resident::resident_bytes;
use crate::stats::{ChannelStats, Stats};
use crate::synic::{Synic, wake};
use crate::sys::{self, SignalRoute};
use crate::trace::{Carried, Tap, TracedPacket, Tracer};
use hvcall::host::synic::EventFlagError;
use hvcall::synic::MessageType;
use hvcall::{ConnectionId, HvStatus};
use kvm_ioctls::VmFd;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use tracing::{info, warn};
use vmbus_proto::host::{
    Bus, BusEvent, ChannelId, ChannelSignal, Host, HostConfig, OfferParams, OpenedChannel,
};
use vmbus_proto::ringbuf::{PacketType, RingPair};
use vmbus_proto::wire::{GuestMessage, Status};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

pub use platform::{Platform, PlatformError};
pub use port::Port;

/// Page numbers that a guest's GPADLs take in all: 256 MiB, of which Linux's netvsc lends 17.
const PFN_STORAGE: usize = 1 << 16;

/// Memory of a channel's ring.
pub type Ring = HookedRing<HookedRing<GuestRing, Keeper>, Tap>;

/// A device that is offered on the bus.
pub trait Device: fmt::Debug + Send + Sync {
    /// Its name in logs, traces and statistics.
    fn name(&self) -> &'static str;

    /// What the guest is offered.
    fn offer(&self) -> OfferParams;

    /// Serves a channel, until [`Port::is_closing`]; returns what it counted. Called on a thread of the channel's own.
    fn serve(&self, rings: RingPair<Ring>, port: &Arc<Port>) -> Vec<(&'static str, u64)>;

    /// One of its packets in words, for a trace.
    fn describe(&self, from_guest: bool, kind: PacketType, payload: &[u8]) -> Option<String>;

    /// The messages that one of its packets carries elsewhere than in the ring, for a trace.
    fn carried(&self, _packet: &TracedPacket<'_>, _ram: &Ram) -> Vec<Carried> {
        Vec::new()
    }

    /// The machine has ended, and every channel is closed.
    fn end(&self) {}
}

/// The bus.
pub struct VmBus {
    state: Mutex<State>,
    devices: Vec<Arc<dyn Device>>,
    synic: Arc<Synic>,
    ram: &'static Ram,
    vm: Arc<VmFd>,
    /// Written when there may be something to do for the bus's thread.
    doorbell: EventFd,
    /// What that thread waits with.
    waiting: Epoll,
    breaches: Breaches,
    tracer: Option<Arc<Tracer>>,
    stats: Mutex<Stats>,
    ended: AtomicBool,
}

struct State {
    bus: Bus<'static, Platform>,
    /// Whose the channels are.
    offers: BTreeMap<ChannelId, Offered>,
}

/// A channel, until the guest has let go of it.
#[derive(Clone)]
struct Offered {
    device: Arc<dyn Device>,
    /// Sub-channel index, 0 of the primary one.
    index: u16,
    /// The device was taken off the bus. Another channel of its name may be on it already.
    is_gone: bool,
}

impl Offered {
    fn new(device: &Arc<dyn Device>, index: u16) -> Self {
        Self {
            device: Arc::clone(device),
            index,
            is_gone: false,
        }
    }
}

impl State {
    fn offer(&mut self, device: &Arc<dyn Device>) {
        match self.bus.offer(device.offer()) {
            Ok(channel) => drop(self.offers.insert(channel, Offered::new(device, 0))),
            Err(error) => warn!("{} is not offered: {error}", device.name()),
        }
    }
}

/// A channel that is open.
struct Served {
    port: Arc<Port>,
    connection: ConnectionId,
    thread: JoinHandle<Vec<(&'static str, u64)>>,
}

impl VmBus {
    /// A bus that offers `devices`.
    ///
    /// # Errors
    /// The host has no eventfd or epoll left.
    pub fn new(
        vm: Arc<VmFd>,
        ram: &'static Ram,
        synic: Arc<Synic>,
        cpus: u8,
        devices: impl IntoIterator<Item = Arc<dyn Device>>,
        tracer: Option<Arc<Tracer>>,
    ) -> Result<Self> {
        let storage = Box::leak(vec![0; PFN_STORAGE].into_boxed_slice());
        let platform = Platform {
            synic: Arc::clone(&synic),
            ram,
            tracer: tracer.clone(),
        };
        let bus = Bus::new(Host::new(HostConfig::new(cpus.into()), storage), platform);
        let devices: Vec<_> = devices.into_iter().collect();
        let mut state = State {
            bus,
            offers: BTreeMap::new(),
        };
        for device in &devices {
            state.offer(device);
        }
        let state = Mutex::new(state);
        let (breaches, stats, ended) = (Breaches::default(), Mutex::default(), AtomicBool::new(false));
        let doorbell = EventFd::new(EFD_NONBLOCK).map_err(host("eventfd"))?;
        let waiting = Epoll::new().map_err(host("epoll"))?;
        for (source, events) in [(&doorbell, EventSet::IN), (synic.slot_free(), EventSet::empty())] {
            let event = EpollEvent::new(events, 0);
            waiting
                .ctl(ControlOperation::Add, source.as_raw_fd(), event)
                .map_err(host("epoll"))?;
        }
        Ok(Self {
            state,
            devices,
            synic,
            ram,
            vm,
            doorbell,
            waiting,
            breaches,
            tracer,
            stats,
            ended,
        })
    }

    /// What the guest did wrong.
    pub fn breaches(&self) -> &Breaches {
        &self.breaches
    }

    /// Takes a device off the bus, whatever the guest is doing with it: the one at this place in the order of [`new`](Self::new)'s.
    pub fn take_away(&self, index: usize) {
        let Some(device) = self.devices.get(index) else {
            return;
        };
        let mut state = self.state();
        let mut offers = state.offers.iter_mut();
        let is_it = |offered: &Offered| {
            offered.index == 0 && !offered.is_gone && Arc::ptr_eq(&offered.device, device)
        };
        if let Some((channel, offered)) = offers.find(|(_, offered)| is_it(offered)) {
            let channel = *channel;
            offered.is_gone = true;
            // Fails for a channel that nobody knows any more. Sub-channels go with it.
            let _gone = state.bus.rescind(channel);
        }
        drop(state);
        wake(&self.doorbell);
    }

    /// Offers a device that was [taken away](Self::take_away).
    pub fn give_back(&self, index: usize) {
        if let Some(device) = self.devices.get(index) {
            self.state().offer(device);
            wake(&self.doorbell);
        }
    }

    /// Takes a message that the guest posted, and returns the status of the hypercall.
    pub fn post(&self, connection: ConnectionId, message_type: MessageType, payload: &[u8]) -> HvStatus {
        if let Some(tracer) = &self.tracer {
            tracer.guest_message(payload);
        }
        if let Ok(GuestMessage::InitiateContact(contact)) = GuestMessage::decode(payload) {
            let asked = || contact.request.version.dotted().to_string();
            self.stats_mut().first_version_asked.get_or_insert_with(asked);
        }
        let result = self.state().bus.post(connection, message_type, payload);
        wake(&self.doorbell);
        match result {
            Ok(()) => HvStatus::SUCCESS,
            Err(error) => {
                if error.status() != HvStatus::INSUFFICIENT_BUFFERS {
                    self.breaches.note("vmbus", &error);
                }
                error.status()
            }
        }
    }

    /// Runs the bus on a thread of its own until [`end`](Self::end).
    ///
    /// # Errors
    /// The host has no thread left.
    pub fn start(self: &Arc<Self>) -> Result<JoinHandle<()>> {
        let bus = Arc::clone(self);
        thread::Builder::new()
            .name("vmbus".into())
            .spawn(move || bus.run())
            .map_err(host("thread"))
    }

    /// Ends the bus and every channel's thread.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        wake(&self.doorbell);
    }

    /// Notes how much memory this process takes.
    pub fn weigh(&self) {
        match resident_bytes() {
            Ok(bytes) => self.stats_mut().resident_bytes.push(bytes),
            Err(error) => warn!("how much memory this takes is not known: {error}"),
        }
    }

    /// What was counted until now.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        stats.faults = self.breaches.counts().clone();
        stats
    }

    fn run(self: Arc<Self>) {
        let mut served = BTreeMap::new();
        while !self.ended.load(Ordering::Acquire) {
            while let Some(event) = self.poll() {
                self.act(event, &mut served);
            }
            if let Err(error) = self.wait() {
                warn!("the bus cannot wait: {error}");
                break;
            }
        }
        while let Some((_, channel)) = served.pop_first() {
            self.stop(channel);
        }
        for device in &self.devices {
            device.end();
        }
    }

    /// Waits until somebody rings, or until a slot is free for a message that waits for one. Slots become free at the end of every
    /// interrupt, nearly always for nobody, so that the thread listens for that only while it has something to deliver.
    fn wait(&self) -> io::Result<()> {
        let free = if self.state().bus.is_blocked() {
            EventSet::IN
        } else {
            EventSet::empty()
        };
        let (slots, doorbell) = (self.synic.slot_free(), &self.doorbell);
        self.waiting.ctl(
            ControlOperation::Modify,
            slots.as_raw_fd(),
            EpollEvent::new(free, 0),
        )?;
        // It ends early where a signal interrupts it; then the thread looks once more for nothing.
        let _interrupted = self.waiting.wait(-1, &mut [EpollEvent::default(); 2]);
        for source in [slots, doorbell] {
            // Fails where it was the other one that ended the wait.
            let _silent = source.read();
        }
        Ok(())
    }

    fn poll(&self) -> Option<BusEvent<Ring, PlatformError>> {
        self.state().bus.poll()
    }

    fn act(self: &Arc<Self>, event: BusEvent<Ring, PlatformError>, served: &mut BTreeMap<ChannelId, Served>) {
        match event {
            BusEvent::Connected(connected) => {
                info!("the guest speaks version {}", connected.version.dotted());
                self.stats_mut().vmbus_version = Some(connected.version.dotted().to_string());
            }
            BusEvent::Disconnected => info!("the guest has left the bus"),
            BusEvent::ChannelOpened(opened) => self.open(opened, served),
            BusEvent::ChannelClosed { channel, ticket } => {
                if let Some(channel) = served.remove(&channel) {
                    self.stop(channel);
                }
                if self.state().bus.closed(ticket).is_err() {
                    warn!("{channel}: a ticket of another bus");
                }
            }
            BusEvent::ChannelMoved {
                channel,
                ticket,
                signal,
            } => {
                if let Some(channel) = served.get(&channel) {
                    channel.port.redirect(signal);
                }
                self.state().bus.moved(ticket);
            }
            BusEvent::GpadlTeardown { channel, gpadl } => {
                // A channel that is not served any more has given its memory back before.
                if let Some(channel) = served.get(&channel) {
                    channel.port.recall(gpadl);
                }
            }
            BusEvent::Released { channel } => drop(self.state().offers.remove(&channel)),
            BusEvent::Failed(error) => self.breaches.note("vmbus", &error),
            other => warn!("{other:?} is not acted on"),
        }
    }

    fn open(self: &Arc<Self>, opened: OpenedChannel<Ring>, served: &mut BTreeMap<ChannelId, Served>) {
        let (channel, ticket, connection) = (opened.channel, opened.ticket, opened.connection_id);
        match self.serve(channel, opened.rings, opened.signal, connection) {
            Ok(it) => {
                served.insert(channel, it);
                let _foreign = self.state().bus.accept(ticket);
            }
            Err(error) => {
                warn!("{channel} is not opened: {error}");
                let _foreign = self.state().bus.refuse(ticket, Status::UNSUCCESSFUL);
            }
        }
    }

    fn serve(
        self: &Arc<Self>,
        channel: ChannelId,
        rings: RingPair<Ring>,
        signal: ChannelSignal,
        connection: ConnectionId,
    ) -> Result<Served> {
        let offer = self.state().offers.get(&channel).cloned();
        let Offered { device, index, .. } =
            offer.ok_or_else(|| host("such channel")(std::io::ErrorKind::NotFound))?;
        if let Some(tracer) = &self.tracer {
            tracer.attach(&rings, &device, index, self.ram);
        }
        let doorbell = EventFd::new(0).map_err(host("eventfd"))?;
        sys::route_signal(&self.vm, connection.0, SignalRoute::To(&doorbell))
            .map_err(host("signal route"))?;
        let place = (channel, index);
        let port = Arc::new(Port::new(self, device.name(), place, signal, doorbell));
        let name = format!("{}-{index}", device.name());
        let spawned = thread::Builder::new().name(name).spawn({
            let port = Arc::clone(&port);
            move || device.serve(rings, &port)
        });
        let thread = spawned.map_err(|error| {
            self.unroute(connection);
            host("thread")(error)
        })?;
        Ok(Served {
            port,
            connection,
            thread,
        })
    }

    /// Ends a channel's thread. When this returns, its rings are gone.
    fn stop(&self, channel: Served) {
        let Served {
            port,
            connection,
            thread,
        } = channel;
        port.close();
        let counters = thread.join().unwrap_or_default();
        self.unroute(connection);
        let stats = ChannelStats {
            device: port.name,
            index: port.index,
            counters: counters.into_iter().collect(),
        };
        self.stats_mut().channels.push(stats);
    }

    fn unroute(&self, connection: ConnectionId) {
        if let Err(error) = sys::route_signal(&self.vm, connection.0, SignalRoute::Away) {
            warn!("connection {:#x} is still routed: {error}", connection.0);
        }
    }

    fn signal(&self, signal: ChannelSignal) -> std::result::Result<(), EventFlagError> {
        let Some(vp) = signal.vp else { return Ok(()) };
        self.synic.signal(vp, signal.sint, signal.flag)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stats_mut(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for VmBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VmBus").finish_non_exhaustive()
    }
}
