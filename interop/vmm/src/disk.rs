//! The disk glue: a SCSI controller of `storvsc-proto`'s whose LUNs are disks of the VMM's.

use crate::memory::Ram;
use crate::vmbus::{Device, Port, Ring};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storvsc_proto::host::{Attention, BlockBackend, Config, Event, Lun, Queue};
use storvsc_proto::wire::{GuestMessage, HostMessage, ProtocolVersion};
use tracing::{debug, warn};
use vmbus_proto::host::OfferParams;
use vmbus_proto::ringbuf::{PacketType, RingPair};
use vmbus_proto::wire::{Guid, interface};

/// The first controller's name on the bus; each further one's ends in a number that is one more. It stays the same from boot to boot.
const INSTANCE: (u32, u16, u16, u64) = (0x7363_7369, 0x766d, 0x4275, 0x8000_7669_6d6d_0100);
/// Packets that are served before the thread looks whether it is to end.
const BUDGET: usize = 64;

/// A SCSI controller.
#[derive(Debug)]
pub struct Controller<B> {
    instance: Guid,
    luns: Vec<Lun<B>>,
    config: Config,
    /// What the primary channel agreed on, and sub-channels speak.
    version: Mutex<Option<ProtocolVersion>>,
    /// The primary channel while it is open.
    primary: Mutex<Option<Arc<Port>>>,
    /// The guest is to look again which disks there are.
    changed: AtomicBool,
}

impl<B> Controller<B> {
    /// The controller with this number, of these disks and their LUNs, with a channel for each of `cpus` processors.
    pub fn new(number: u8, disks: impl IntoIterator<Item = (u8, B)>, cpus: u8) -> Self {
        let (first, second, third, last) = INSTANCE;
        let luns = disks.into_iter().map(|(lun, disk)| Lun::new(lun, disk)).collect();
        let config = Config {
            max_sub_channels: u16::from(cpus.saturating_sub(1)),
            ..Config::default()
        };
        Self {
            instance: Guid::new(first, second, third, last | u64::from(number)),
            luns,
            config,
            version: Mutex::default(),
            primary: Mutex::default(),
            changed: AtomicBool::new(false),
        }
    }

    /// Attaches every disk, or takes every one away, and has the guest look.
    pub fn set_present(&self, present: bool) {
        for lun in &self.luns {
            if present {
                lun.attach();
            } else {
                lun.detach();
            }
        }
        self.changed.store(true, Ordering::Release);
        if let Some(port) = &*self.primary() {
            port.wake();
        }
    }

    /// Has the next command of every disk told of this.
    pub fn raise(&self, attention: Attention) {
        for lun in &self.luns {
            lun.raise(attention);
        }
    }

    fn primary(&self) -> MutexGuard<'_, Option<Arc<Port>>> {
        self.primary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Device for Controller<B>
where
    B: BlockBackend<Memory = &'static Ram> + fmt::Debug + Send + Sync,
{
    fn name(&self) -> &'static str {
        "scsi"
    }

    fn offer(&self) -> OfferParams {
        OfferParams::new(interface::SCSI, self.instance)
    }

    fn serve(&self, rings: RingPair<Ring>, port: &Arc<Port>) -> Vec<(&'static str, u64)> {
        let scratch = vec![0; self.config.scratch_len()];
        let version = *self.version.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = match (port.index, version) {
            (0, _) => Queue::<_, _, 1>::primary(rings, scratch, self.config),
            (_, version) => Queue::sub_channel(
                rings,
                scratch,
                self.config,
                version.unwrap_or(ProtocolVersion::WIN8),
            ),
        };
        let mut queue = match queue {
            Ok(queue) => queue,
            Err(error) => {
                warn!("scsi: {error}");
                return Vec::new();
            }
        };
        if port.index == 0 {
            *self.primary() = Some(Arc::clone(port));
        }
        while !port.is_closing() {
            if port.index == 0 && self.changed.swap(false, Ordering::AcqRel) {
                match queue.enumerate_bus() {
                    Ok(signal) if signal.is_needed() => port.signal(),
                    // A fault is told below.
                    Ok(_) | Err(_) => {}
                }
            }
            let served = match queue.service(&self.luns, &port.ram(), BUDGET) {
                Ok(served) => served,
                Err(fault) => {
                    port.note(&fault);
                    break;
                }
            };
            if served.signal.is_needed() {
                port.signal();
            }
            match served.event {
                Some(Event::Ready { version }) => {
                    *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
                }
                Some(Event::SubChannels { count }) => port.offer_sub_channels(count),
                Some(Event::Refused(refusal)) => port.note(&refusal),
                Some(event) => debug!("scsi: {event:?}"),
                None => {}
            }
            if !served.again {
                port.wait();
            }
        }
        if port.index == 0 {
            *self.primary() = None;
        }
        let counters = queue.counters();
        vec![
            ("packets", counters.packets),
            ("commands", counters.commands),
            ("refused", counters.refused),
            ("stalls", counters.stalls),
        ]
    }

    fn describe(&self, from_guest: bool, _kind: PacketType, payload: &[u8]) -> Option<String> {
        if from_guest {
            GuestMessage::decode(payload)
                .ok()
                .map(|message| message.to_string())
        } else {
            HostMessage::decode(payload)
                .ok()
                .map(|message| message.to_string())
        }
    }
}
