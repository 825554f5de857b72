//! The host: a bus, and the devices that it offers.

mod disk;
mod nic;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::available_parallelism;
use std::time::Duration;

use hvcall::HvStatus;
use vmbus_proto::host::{self, BusEvent, ChannelId, ChannelSignal, HostConfig, OfferParams, OpenedChannel};
use vmbus_proto::wire::{Guid, interface};

use crate::error::{Error, PlatformError, Result, unexpected};
use crate::hypervisor::{Hypervisor, Platform};
use crate::ram::Ring;
use crate::wire::Wire;
use disk::{Controller, DiskQueue};
use nic::{Adapter, NicQueue};

/// Page numbers that the guest's GPADLs take in all.
const PFN_STORAGE: usize = 1 << 13;
/// How long the host's thread sleeps at most, before it looks whether it is to end.
const SLEEP: Duration = Duration::from_millis(100);

/// What the devices are called on the bus.
const NIC: Guid = Guid::new(0x6c6f_6f70, 0x6e65, 0x7477, 0x8000_0000_0000_0001);
const DISK: Guid = Guid::new(0x6c6f_6f70, 0x6469, 0x736b, 0x8000_0000_0000_0001);

/// What the host offers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostOptions {
    /// Bytes of the disk.
    pub(crate) disk_len: usize,
    /// Sub-channels that each device grants.
    pub(crate) sub_channels: u16,
}

/// Which device's channel it is, and which of it: 0 is the primary one.
#[derive(Clone, Copy, Debug)]
struct Offer {
    channel: ChannelId,
    device: Device,
    index: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Device {
    Disk,
    Nic,
}

/// A channel that is open.
#[derive(Debug)]
struct Served {
    channel: ChannelId,
    doorbell: usize,
    signal: ChannelSignal,
    service: Service,
    /// It is to be served again, whether the guest signals or not.
    again: bool,
}

#[derive(Debug)]
enum Service {
    Disk(Box<DiskQueue>),
    Nic(Box<NicQueue>),
}

type Bus = host::Bus<'static, Platform>;

/// The host. [`turn`](Self::turn) does what there is to do; [`run`](Self::run) does so on a thread of its own.
#[derive(Debug)]
pub(crate) struct Host {
    hypervisor: Arc<Hypervisor>,
    bus: Bus,
    offers: Vec<Offer>,
    served: Vec<Served>,
    controller: Controller,
    adapter: Adapter,
}

impl Host {
    /// A host that offers its devices.
    pub(crate) fn new(hypervisor: Arc<Hypervisor>, wire: Arc<Wire>, options: &HostOptions) -> Result<Self> {
        let storage = Box::leak(vec![0; PFN_STORAGE].into_boxed_slice());
        let engine = host::Host::new(HostConfig::new(1), storage);
        let mut host = Self {
            bus: Bus::new(engine, Platform(Arc::clone(&hypervisor))),
            hypervisor,
            offers: Vec::new(),
            served: Vec::new(),
            controller: Controller::new(options),
            adapter: Adapter::new(options, wire)?,
        };
        host.offer(Device::Disk, OfferParams::new(interface::SCSI, DISK))?;
        host.offer(Device::Nic, OfferParams::new(interface::NETWORK, NIC))?;
        Ok(host)
    }

    fn offer(&mut self, device: Device, params: OfferParams) -> Result<()> {
        let channel = self
            .bus
            .offer(params)
            .map_err(|error| unexpected("the host's bus", error))?;
        self.offers.push(Offer {
            channel,
            device,
            index: 0,
        });
        Ok(())
    }

    /// Runs until the guest has ended.
    pub(crate) fn run(mut self) -> Result<()> {
        self.hypervisor.host.wait_here();
        let cpus = available_parallelism().map_or(1, usize::from);
        while !self.hypervisor.ended.load(Ordering::Acquire) {
            if !self.turn()? {
                self.hypervisor.host.wait(SLEEP, cpus);
            }
        }
        Ok(())
    }

    /// Does what there is to do. Returns whether there was anything.
    pub(crate) fn turn(&mut self) -> Result<bool> {
        let mut worked = self.hypervisor.host.take();
        if worked && self.hypervisor.take_bus() {
            self.serve_bus()?;
        }
        for index in 0..self.served.len() {
            worked |= self.serve(index)?;
        }
        Ok(worked)
    }

    /// Takes what the guest posted, and does what the bus asks for.
    fn serve_bus(&mut self) -> Result<()> {
        while let Some(post) = self.hypervisor.next_post() {
            self.act()?;
            match self.bus.post(post.connection, post.message_type, &post.payload) {
                Ok(()) => {}
                Err(error) if error.status() == HvStatus::INSUFFICIENT_BUFFERS => {
                    self.hypervisor.post_again(post);
                    break;
                }
                Err(error) => return Err(unexpected("the host was posted", error)),
            }
        }
        self.act()
    }

    fn act(&mut self) -> Result<()> {
        while let Some(event) = self.bus.poll() {
            match event {
                BusEvent::ChannelOpened(opened) => self.open(opened)?,
                BusEvent::ChannelClosed { channel, ticket } => {
                    self.close(channel)?;
                    self.bus
                        .closed(ticket)
                        .map_err(|error| unexpected("the host's bus", error))?;
                }
                BusEvent::ChannelMoved {
                    channel,
                    ticket,
                    signal,
                } => {
                    if let Some(served) = self.served.iter_mut().find(|it| it.channel == channel) {
                        served.signal = signal;
                    }
                    self.bus.moved(ticket);
                }
                BusEvent::GpadlTeardown { gpadl, .. } => {
                    self.adapter.recall(&mut self.bus, gpadl, &mut self.served)?;
                }
                BusEvent::Released { channel } => self.offers.retain(|offer| offer.channel != channel),
                BusEvent::Failed(error) => return Err(unexpected("the host's bus", error)),
                // Nothing has to be done for the others.
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, opened: OpenedChannel<Ring>) -> Result<()> {
        let OpenedChannel {
            channel,
            ticket,
            rings,
            signal,
            connection_id,
            ..
        } = opened;
        let offer = self.offers.iter().find(|offer| offer.channel == channel);
        let Offer { device, index, .. } = *offer.ok_or_else(|| unexpected("the host", "no such offer"))?;
        let service = match device {
            Device::Disk => Service::Disk(Box::new(self.controller.open(index, rings)?)),
            Device::Nic => Service::Nic(Box::new(self.adapter.open(index, rings))),
        };
        let doorbell = self.hypervisor.route(connection_id)?;
        self.served.push(Served {
            channel,
            doorbell,
            signal,
            service,
            // The guest may have written before the doorbell was there.
            again: true,
        });
        self.count_queues();
        self.bus
            .accept(ticket)
            .map_err(|error| unexpected("the host's bus", error))
    }

    /// Stops to serve a channel. Its rings are gone then.
    fn close(&mut self, channel: ChannelId) -> Result<()> {
        let Some(index) = self.served.iter().position(|it| it.channel == channel) else {
            return Ok(());
        };
        let served = self.served.swap_remove(index);
        self.hypervisor.unroute(served.doorbell);
        if let Service::Nic(queue) = served.service
            && queue.index() == 0
        {
            self.adapter.close(&mut self.bus, &mut self.served)?;
        }
        self.count_queues();
        Ok(())
    }

    fn count_queues(&mut self) {
        let queues = self.served.iter();
        let count = queues.filter(|it| matches!(it.service, Service::Nic(_))).count();
        self.adapter
            .set_open_queues(u16::try_from(count).unwrap_or(u16::MAX));
    }

    /// Serves the channel in this place, if there is reason to. Returns whether there was anything to do.
    fn serve(&mut self, index: usize) -> Result<bool> {
        let Some(served) = self.served.get_mut(index) else {
            return Ok(false);
        };
        let (ram, channel, target) = (self.hypervisor.ram, served.channel, served.signal);
        let due = self.hypervisor.take_doorbell(served.doorbell) || served.again;
        let signal = || self.hypervisor.signal_guest(target);
        let (device, done, worked) = match &mut served.service {
            Service::Disk(queue) if due => (Device::Disk, self.controller.serve(queue, ram, signal)?, true),
            Service::Nic(queue) if due || queue.index() == 0 && self.adapter.is_busy() => {
                let (done, worked) = self.adapter.serve(queue, ram, signal)?;
                (Device::Nic, done, worked || due)
            }
            _ => return Ok(false),
        };
        served.again = done.again;
        let sub_channels = match device {
            Device::Disk => done.sub_channels,
            Device::Nic => self.adapter.act(&mut self.bus, channel, &mut self.served)?,
        };
        if let Some(count) = sub_channels {
            self.offer_sub_channels(channel, device, count)?;
        }
        Ok(worked)
    }

    /// Offers the sub-channels that the guest asked for, as far as they are not offered yet.
    fn offer_sub_channels(&mut self, primary: ChannelId, device: Device, count: u16) -> Result<()> {
        for index in 1..=count {
            let offered = |offer: &Offer| offer.device == device && offer.index == index;
            if self.offers.iter().any(offered) {
                continue;
            }
            let channel = self
                .bus
                .offer_subchannel(primary, index)
                .map_err(|error| unexpected("the host's bus", error))?;
            self.offers.push(Offer {
                channel,
                device,
                index,
            });
        }
        self.act()
    }
}

/// What came of serving a channel.
#[derive(Clone, Copy, Debug, Default)]
struct Done {
    again: bool,
    /// The guest wants so many sub-channels.
    sub_channels: Option<u16>,
}

/// How a device signals the guest for the channel that is served.
trait Signal: Fn() -> Result<(), PlatformError> {}
impl<F: Fn() -> Result<(), PlatformError>> Signal for F {}

impl From<storvsc_proto::host::Fault> for Error {
    fn from(fault: storvsc_proto::host::Fault) -> Self {
        unexpected("the host's disk", fault)
    }
}
