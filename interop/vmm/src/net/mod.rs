//! The network glue: a NIC of `netvsc-proto`'s, plugged into a link of `gateway`'s.
//!
//! Each queue is served by its channel's thread and filled by the link's, one at a time. What only the primary channel's thread can
//! do, which is to talk to the control engine, it does for all of them.

mod buffers;
mod plug;

use crate::error::{Result, net as net_error};
use crate::memory::Ram;
use crate::pages::GuestRegion;
use crate::trace::{Carried, TracedPacket};
use crate::vmbus::{Device, Port, Ring};
use gateway::{Delivery, FrameSink, Link};
use netvsc_proto::host::{
    DataPath, Event, NetBackend, Nic, NicConfig, Outcome, PACKET_SCRATCH_LEN, Queue, QueueStats,
    ReceiveError, ReceiveInfo, Scratch, Spreader, TransmitInfo, Transmitted,
};
use netvsc_proto::wire::nvsp::Version;
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use tracing::warn;
use vmbus_proto::host::{GpadlTicket, OfferParams};
use vmbus_proto::ringbuf::{PacketType, RingPair, SharedMem, Signal};
use vmbus_proto::wire::{GpadlId, Guid, interface};

use buffers::Buffers;
use plug::Plug;
pub use plug::{NetConfig, Network};

/// The NIC's name on the bus. It stays the same from boot to boot.
const INSTANCE: Guid = Guid::new(0x6e65_7476, 0x7363, 0x4275, 0x8000_7669_6d6d_0002);
/// Packets that are served before the thread looks whether it is to end.
const BUDGET: usize = 64;
/// Sections of the receive buffer that a queue can have out.
const SECTIONS: usize = 1024;

type NicQueue = Queue<Ring, GuestRegion, SECTIONS>;

/// A network adapter.
pub struct Adapter {
    link: Box<dyn Link>,
    config: NicConfig,
    /// The open channels, at their sub-channel index. Whoever uses one that is another thread's holds the lock, so that a channel that
    /// was taken out is nobody's but its own thread's.
    slots: RwLock<Vec<Option<Arc<Slot>>>>,
    shared: Mutex<Shared>,
    /// What the guest lends. Locked last, by whoever holds any other lock.
    buffers: Mutex<Buffers<GuestRegion>>,
    /// The version of NVSP that was agreed on, for traces.
    version: AtomicU32,
}

/// One open channel.
struct Slot {
    queue: Mutex<NicQueue>,
    port: Arc<Port>,
    /// Frames were delivered that the guest has not been told of.
    staged: AtomicBool,
    /// The link keeps frames back until there is room here.
    starved: AtomicBool,
}

/// What a queue has to know when its channel is opened.
struct Shared {
    data_path: DataPath,
    spreader: Spreader,
}

/// What the primary channel's thread has from the bus while the guest lends its buffers.
#[derive(Default)]
struct Lent {
    receive: Option<(GpadlId, GpadlTicket)>,
    send: Option<(GpadlId, GpadlTicket)>,
}

impl Adapter {
    /// An adapter with a channel for each of `cpus` processors, plugged in where `network` says, by what `cable` makes of the link.
    ///
    /// # Errors
    /// The network cannot be had, or the configuration makes no adapter.
    pub fn new(
        net: &NetConfig,
        network: &Network,
        cpus: u8,
        cable: impl FnOnce(Box<dyn Link>) -> Box<dyn Link>,
    ) -> Result<Arc<Self>> {
        let Plug { link, offloads } = plug::open(net, network)?;
        let config = NicConfig {
            mtu: net.mtu,
            max_queues: cpus.into(),
            offloads,
            ..NicConfig::new(net.mac)
        };
        config.check().map_err(net_error("--mac or --mtu"))?;
        let data_path = DataPath::default();
        let shared = Shared {
            spreader: Spreader::new(&data_path),
            data_path,
        };
        let adapter = Arc::new(Self {
            link: cable(link),
            config,
            slots: RwLock::new((0..cpus).map(|_| None).collect()),
            shared: Mutex::new(shared),
            buffers: Mutex::default(),
            version: AtomicU32::new(0),
        });
        adapter
            .link
            .start(Arc::new(Socket(Arc::clone(&adapter))))
            .map_err(net_error("--net"))?;
        Ok(adapter)
    }

    fn slots(&self) -> RwLockReadGuard<'_, Vec<Option<Arc<Slot>>>> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, index: u16, slot: Option<Arc<Slot>>) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = slots.get_mut(usize::from(index)) {
            *place = slot;
        }
        if let Some(Some(primary)) = slots.first() {
            primary.port.wake();
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn buffers(&self) -> MutexGuard<'_, Buffers<GuestRegion>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is known to be lent, while no channel is being opened with what was.
    fn change_buffers(&self, change: impl FnOnce(&mut Buffers<GuestRegion>)) {
        let _no_opening = self.shared();
        change(&mut self.buffers());
    }

    /// Does something with each open queue.
    fn for_each(&self, mut act: impl FnMut(&mut NicQueue)) {
        for slot in self.slots().iter().flatten() {
            act(&mut slot.queue());
        }
    }

    /// What there is to do after a queue was served.
    fn after(&self, slot: &Slot, outcome: &Outcome) {
        if outcome.signal {
            slot.port.signal();
        }
        if let Some(refusal) = outcome.refused {
            slot.port.note(&refusal);
        }
        if slot.starved.swap(false, Ordering::AcqRel) {
            self.link.resume();
        }
    }

    fn serve_primary(&self, slot: &Slot, nic: &mut Nic, lent: &mut Lent) {
        let port = &slot.port;
        let (mut packet, mut transfer) = (
            vec![0; PACKET_SCRATCH_LEN],
            vec![0; self.config.transfer_scratch_len()],
        );
        while !port.is_closing() {
            let open = self.slots().iter().flatten().count();
            nic.set_open_queues(u16::try_from(open).unwrap_or(u16::MAX));
            nic.set_subchannel_stats(&self.stats(1));
            let mut scratch = Scratch {
                packet: &mut packet,
                transfer: &mut transfer,
            };
            let outcome = match nic.service(&mut slot.queue(), port.ram(), self, &mut scratch, BUDGET) {
                Ok(outcome) => outcome,
                Err(fault) => return port.note(&fault),
            };
            self.after(slot, &outcome);
            let mut again = outcome.again;
            while let Some(event) = nic.poll_event() {
                self.act(event, nic, port, lent);
                again = true;
            }
            while let Some(gpadl) = port.recalled() {
                self.recall(gpadl, port, lent);
                again = true;
            }
            if !again {
                port.wait();
            }
        }
    }

    fn serve_sub_channel(&self, slot: &Slot) {
        let port = &slot.port;
        let (mut packet, mut transfer) = (
            vec![0; PACKET_SCRATCH_LEN],
            vec![0; self.config.transfer_scratch_len()],
        );
        while !port.is_closing() {
            let mut scratch = Scratch {
                packet: &mut packet,
                transfer: &mut transfer,
            };
            let outcome = match slot.queue().service(port.ram(), self, &mut scratch, BUDGET) {
                Ok(outcome) => outcome,
                Err(fault) => return port.note(&fault),
            };
            self.after(slot, &outcome);
            if !outcome.again {
                port.wait();
            }
        }
    }

    fn act(&self, event: Event, nic: &mut Nic, port: &Port, lent: &mut Lent) {
        match event {
            Event::MapReceiveBuffer(gpadl) => {
                let Some((region, ticket)) = map(port, gpadl) else {
                    return nic.receive_buffer_refused();
                };
                match nic.receive_buffer_mapped(region.len()) {
                    Some(layout) => {
                        lent.receive = Some((gpadl, ticket));
                        self.change_buffers(|buffers| buffers.receive = Some((region.clone(), layout)));
                        self.for_each(|queue| queue.lend_receive_buffer(region.clone(), layout));
                    }
                    None => port.unmap(ticket),
                }
            }
            Event::MapSendBuffer(gpadl) => {
                let Some((region, ticket)) = map(port, gpadl) else {
                    return nic.send_buffer_refused();
                };
                match nic.send_buffer_mapped(region.len()) {
                    Some(layout) => {
                        lent.send = Some((gpadl, ticket));
                        self.change_buffers(|buffers| buffers.send = Some((region.clone(), layout)));
                        self.for_each(|queue| queue.lend_send_buffer(region.clone(), layout));
                    }
                    None => port.unmap(ticket),
                }
            }
            Event::ReleaseReceiveBuffer => {
                self.take_receive_buffer(port, lent);
                nic.receive_buffer_released();
            }
            Event::ReleaseSendBuffer => {
                self.take_send_buffer(port, lent);
                nic.send_buffer_released();
            }
            Event::OfferSubchannels(count) => port.offer_sub_channels(count),
            Event::DataPathChanged => self.set_data_path(nic.data_path()),
            other => warn!("nic: {other:?} is not acted on"),
        }
    }

    /// The guest wants memory back that it has not revoked before.
    fn recall(&self, gpadl: GpadlId, port: &Port, lent: &mut Lent) {
        if lent.receive.as_ref().is_some_and(|(id, _)| *id == gpadl) {
            self.take_receive_buffer(port, lent);
        }
        if lent.send.as_ref().is_some_and(|(id, _)| *id == gpadl) {
            self.take_send_buffer(port, lent);
        }
    }

    fn take_receive_buffer(&self, port: &Port, lent: &mut Lent) {
        self.change_buffers(|buffers| buffers.receive = None);
        self.for_each(|queue| drop(queue.take_receive_buffer()));
        if let Some((_, ticket)) = lent.receive.take() {
            port.unmap(ticket);
        }
    }

    fn take_send_buffer(&self, port: &Port, lent: &mut Lent) {
        self.change_buffers(|buffers| buffers.send = None);
        self.for_each(|queue| drop(queue.take_send_buffer()));
        if let Some((_, ticket)) = lent.send.take() {
            port.unmap(ticket);
        }
    }

    fn set_data_path(&self, data_path: &DataPath) {
        self.version.store(data_path.version.value(), Ordering::Relaxed);
        let mut shared = self.shared();
        shared.data_path = *data_path;
        shared.spreader = Spreader::new(data_path);
        drop(shared);
        self.for_each(|queue| queue.set_data_path(data_path));
    }

    /// What the queues from index `first` on have counted.
    fn stats(&self, first: usize) -> QueueStats {
        let slots = self.slots();
        let stats = slots
            .iter()
            .skip(first)
            .flatten()
            .map(|slot| *slot.queue().stats());
        stats.fold(QueueStats::default(), QueueStats::plus)
    }
}

impl Slot {
    fn queue(&self) -> MutexGuard<'_, NicQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn map(port: &Port, gpadl: GpadlId) -> Option<(GuestRegion, GpadlTicket)> {
    port.map(gpadl).inspect_err(|error| port.note(error)).ok()
}

impl Device for Adapter {
    fn name(&self) -> &'static str {
        "nic"
    }

    fn offer(&self) -> OfferParams {
        OfferParams::new(interface::NETWORK, INSTANCE)
    }

    fn serve(&self, rings: RingPair<Ring>, port: &Arc<Port>) -> Vec<(&'static str, u64)> {
        let mut queue = NicQueue::new(port.index, rings);
        let mut nic = match Nic::new(self.config) {
            Ok(nic) => nic,
            Err(error) => {
                warn!("nic: {error}");
                return Vec::new();
            }
        };
        let shared = self.shared();
        if port.index > 0 {
            queue.set_data_path(&shared.data_path);
        }
        self.buffers().lend(&mut queue);
        let slot = Arc::new(Slot {
            queue: Mutex::new(queue),
            port: Arc::clone(port),
            staged: AtomicBool::new(false),
            starved: AtomicBool::new(false),
        });
        self.put(port.index, Some(Arc::clone(&slot)));
        drop(shared);
        if port.index == 0 {
            let mut lent = Lent::default();
            self.serve_primary(&slot, &mut nic, &mut lent);
            self.take_receive_buffer(port, &mut lent);
            self.take_send_buffer(port, &mut lent);
            self.set_data_path(&DataPath::default());
        } else {
            self.serve_sub_channel(&slot);
        }
        self.put(port.index, None);
        self.link.resume();
        counters(slot.queue().stats())
    }

    fn describe(&self, from_guest: bool, _kind: PacketType, payload: &[u8]) -> Option<String> {
        if from_guest {
            return GuestMessage::decode(payload)
                .ok()
                .map(|message| message.to_string());
        }
        let version = Version::new(self.version.load(Ordering::Relaxed));
        HostMessage::decode(payload, version)
            .ok()
            .map(|message| message.to_string())
    }

    fn carried(&self, packet: &TracedPacket<'_>, ram: &Ram) -> Vec<Carried> {
        self.buffers().messages(packet, ram)
    }

    fn end(&self) {
        self.link.shutdown();
    }
}

fn counters(stats: &QueueStats) -> Vec<(&'static str, u64)> {
    vec![
        ("transmitted_frames", stats.transmitted.frames()),
        ("transmitted_bytes", stats.transmitted.bytes()),
        ("transmit_dropped", stats.transmit_dropped),
        ("transmit_refused", stats.transmit_refused),
        ("received_frames", stats.received.frames()),
        ("received_bytes", stats.received.bytes()),
        ("receive_filtered", stats.receive_filtered),
        ("receive_no_buffer", stats.receive_no_buffer),
        ("receive_ring_full", stats.receive_ring_full),
        ("receive_rejected", stats.receive_rejected),
        ("receive_dropped", stats.receive_dropped),
    ]
}

impl NetBackend for Adapter {
    fn transmit(&self, frame: &[u8], info: &TransmitInfo) -> Transmitted {
        let sent = match info.large_send {
            Some(_) => self.link.transmit(&plug::whole(frame)),
            None => self.link.transmit(frame),
        };
        match sent {
            Ok(()) => Transmitted::Sent,
            Err(_) => Transmitted::Dropped,
        }
    }

    fn link_up(&self) -> bool {
        self.link.is_up()
    }
}

/// Where the link puts frames for the guest.
struct Socket(Arc<Adapter>);

impl FrameSink for Socket {
    fn deliver(&self, frame: &[u8]) -> Delivery {
        let shared = self.0.shared();
        let spreader = shared.spreader;
        let hash = spreader.hash(frame);
        let checksums = plug::vouched(frame);
        let frame = &*plug::for_guest(frame, &shared.data_path);
        drop(shared);
        let index = usize::from(hash.map_or(0, |hash| spreader.queue_of(hash)));
        let slots = self.0.slots();
        // A channel that the guest has not opened has no frames to take.
        let Some(slot) = slots.get(index).and_then(Option::as_ref) else {
            return Delivery::Taken;
        };
        let mut queue = slot.queue();
        let result = queue.receive(
            frame,
            &ReceiveInfo {
                hash,
                checksums,
                ..ReceiveInfo::NONE
            },
        );
        match result {
            Ok(_) => slot.staged.store(true, Ordering::Release),
            Err(ReceiveError::NoBuffer | ReceiveError::RingFull) => {
                // Frames that the guest knows nothing of would never come back.
                slot.starved.store(true, Ordering::Release);
                slot.staged.store(true, Ordering::Release);
                return Delivery::Full;
            }
            Err(_) => queue.count_dropped(),
        }
        Delivery::Taken
    }

    fn flush(&self) {
        for slot in self.0.slots().iter().flatten() {
            if slot.staged.swap(false, Ordering::AcqRel) {
                let signal = slot.queue().flush();
                // A fault was told where it was found.
                if signal.is_ok_and(Signal::is_needed) {
                    slot.port.signal();
                }
            }
        }
    }

    fn link_changed(&self, _up: bool) {
        if let Some(Some(primary)) = self.0.slots().first() {
            primary.port.wake();
        }
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adapter")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
