//! The guest: a kernel of one processor, which takes interrupts, and what its drivers are made of.

mod disk;
mod kernel;
mod nic;

use std::sync::Arc;
use std::time::Instant;

use hvcall::guest::{EventPage, MessagePage, SintSetup, Synic};
use hvcall::{Sint, VpIndex};
use vmbus_proto::guest::{
    self, ChannelId, ChannelOffer, Connected, DisconnectReason, Event, GuestConfig, OpenParams, OpenedChannel,
};
use vmbus_proto::ringbuf::Signal;
use vmbus_proto::wire::{GpadlId, Guid, Version};

use crate::error::{Error, Result, unexpected};
use crate::hypervisor::Hypervisor;
use crate::ram::{Frames, Ring};
use kernel::Kernel;

pub(crate) use disk::{DEPTH, DiskDriver, describe};
pub(crate) use nic::{Buffers, NicDriver};

/// The vector of VMBus's interrupt. Any that is free will do.
const VECTOR: u8 = 0xf3;
/// Messages that are taken for one interrupt.
const MESSAGES: usize = 64;
/// Pages of each ring, its control page included.
const RING_PAGES: u32 = 33;

type Bus = guest::Bus<Kernel, 16, 32>;

/// A kernel: its interrupt controller, its bus, and what the bus told.
#[derive(Debug)]
pub struct Guest {
    hypervisor: Arc<Hypervisor>,
    synic: Synic,
    bus: Bus,
    /// Open channels, and whether each was signalled since its driver looked last.
    flags: Vec<(ChannelId, u16, bool)>,
    /// What the memory of each channel's rings is called.
    rings: Vec<(ChannelId, GpadlId)>,
    state: State,
}

/// What the bus has told.
#[derive(Debug, Default)]
struct State {
    disconnected: Option<DisconnectReason>,
    all_offers: bool,
    offers: Vec<ChannelOffer>,
    opened: Vec<OpenedChannel<Ring>>,
    created: Vec<GpadlId>,
    returned: Vec<GpadlId>,
}

impl Guest {
    /// Switches the processor's SynIC on, and makes a bus that asks for this version first.
    pub(crate) fn new(hypervisor: Arc<Hypervisor>, highest: Version) -> Result<Self> {
        let ram = hypervisor.ram;
        let messages = MessagePage::new(ram.allocate(1)?.into_shared_page()?);
        let events = EventPage::new(ram.allocate(1)?.into_shared_page()?);
        let mut synic = Synic::new(messages, events);
        synic.enable(&*hypervisor)?;
        synic.enable_sint(&*hypervisor, Sint::VMBUS, SintSetup::interrupt(VECTOR))?;
        let parameters = ram.allocate(1)?.into_shared_page()?;
        let config = GuestConfig {
            highest,
            client_id: Some(Guid::new(0x6c6f_6f70, 0x6775, 0x6573, 0x8000_0000_0000_0001)),
            ..GuestConfig::new(VpIndex(0))
        };
        let kernel = Kernel::new(Arc::clone(&hypervisor), parameters, Instant::now());
        Ok(Self {
            hypervisor,
            synic,
            bus: Bus::new(guest::Guest::new(config), kernel),
            flags: Vec::new(),
            rings: Vec::new(),
            state: State::default(),
        })
    }

    /// Takes the interrupt, if there is one: messages first, then the channels' flags. Returns whether there was one.
    ///
    /// A kernel with many channels takes all flags of the page at once.
    pub(crate) fn interrupt(&mut self) -> Result<bool> {
        if !self.hypervisor.guest.take() {
            return Ok(false);
        }
        let mut messages = false;
        for _ in 0..MESSAGES {
            let Some(received) = self.synic.messages().take(Sint::VMBUS) else {
                break;
            };
            let message = received
                .message
                .map_err(|fault| unexpected("the message page", fault))?;
            self.bus.handle_message(&message)?;
            if let Some(eom) = received.eom {
                eom.write(&*self.hypervisor)?;
            }
            messages = true;
        }
        if messages {
            self.act()?;
        }
        for (_, flag, signalled) in &mut self.flags {
            *signalled |= self.synic.events().take_flag(Sint::VMBUS, *flag);
        }
        Ok(true)
    }

    /// Posts what the bus has to say, and takes note of what it tells.
    pub(crate) fn act(&mut self) -> Result<()> {
        while let Some(event) = self.bus.poll() {
            match event.map_err(|error| unexpected("the guest's bus", error))? {
                Event::Connected(_) => {}
                Event::ConnectFailed(error) => return Err(error.into()),
                Event::Disconnected(reason) => {
                    self.state = State {
                        disconnected: Some(reason),
                        ..State::default()
                    };
                    self.flags.clear();
                    self.rings.clear();
                }
                Event::Offered(offer) => self.state.offers.push(offer),
                Event::AllOffersDelivered => self.state.all_offers = true,
                Event::Opened(opened) => {
                    let flag = u16::try_from(opened.channel.relid().value()).unwrap_or(u16::MAX);
                    // What the host has sent already it has signalled to nobody.
                    self.flags.push((opened.channel, flag, true));
                    self.state.opened.push(opened);
                }
                Event::OpenFailed { error, .. } => return Err(error.into()),
                Event::GpadlCreated { gpadl, .. } => self.state.created.push(gpadl),
                Event::MemoryReturned { gpadl, .. } => self.state.returned.push(gpadl),
                Event::Rescinded { channel } => {
                    self.bus.release(channel)?;
                    self.state.offers.retain(|offer| offer.channel != channel);
                }
                other => return Err(unexpected("the guest's bus", format_args!("{other:?}"))),
            }
        }
        Ok(())
    }

    /// The version and the features, while there is a connection.
    pub fn connected(&self) -> Option<Connected> {
        self.bus.guest().connected()
    }

    /// What the host did wrong, as the engine counts it.
    pub fn breaches(&self) -> u64 {
        self.bus.guest().breaches()
    }

    /// Asks the host for a connection.
    pub(crate) fn connect(&mut self) -> Result<()> {
        self.state = State::default();
        self.bus.connect()?;
        self.act()
    }

    /// Once all offers are told: how many there are.
    pub(crate) fn offers(&self) -> Option<&[ChannelOffer]> {
        self.state.all_offers.then_some(self.state.offers.as_slice())
    }

    /// The primary channel of the first device of a class.
    pub(crate) fn primary(&self, interface: Guid) -> Option<ChannelOffer> {
        let mut offers = self.state.offers.iter();
        offers
            .find(|offer| offer.interface == interface && offer.sub_channel_index == 0)
            .copied()
    }

    /// A sub-channel.
    pub(crate) fn sub_channel(&self, primary: ChannelId, index: u16) -> Option<ChannelId> {
        let mut offers = self.state.offers.iter();
        let offer =
            offers.find(|offer| offer.primary == Some(primary) && offer.sub_channel_index == index)?;
        Some(offer.channel)
    }

    /// Has a channel opened.
    pub(crate) fn open(&mut self, channel: ChannelId) -> Result<()> {
        let rings = self.allocate(2 * RING_PAGES)?;
        let params = OpenParams::new(RING_PAGES, VpIndex(0));
        let gpadl = self
            .bus
            .open(channel, rings, params)
            .map_err(|rejected| rejected.error)?;
        self.rings.push((channel, gpadl));
        self.act()
    }

    /// A channel that was just opened.
    pub(crate) fn take_opened(&mut self, channel: ChannelId) -> Option<OpenedChannel<Ring>> {
        let index = self.state.opened.iter().position(|it| it.channel == channel)?;
        Some(self.state.opened.swap_remove(index))
    }

    /// Lends memory on a channel that is open, and returns what it is called.
    pub(crate) fn lend(&mut self, channel: ChannelId, memory: Frames) -> Result<GpadlId> {
        let gpadl = self
            .bus
            .lend(channel, memory)
            .map_err(|rejected| rejected.error)?;
        self.act()?;
        Ok(gpadl)
    }

    /// Whether the host has taken memory that was lent.
    pub(crate) fn is_created(&self, gpadl: GpadlId) -> bool {
        self.state.created.contains(&gpadl)
    }

    /// Wants memory back that was lent.
    pub(crate) fn teardown(&mut self, gpadl: GpadlId) -> Result<()> {
        self.bus.teardown(gpadl)?;
        self.act()
    }

    /// Whether memory has come back.
    pub(crate) fn is_returned(&self, gpadl: GpadlId) -> bool {
        self.state.returned.contains(&gpadl)
    }

    /// Has a channel closed, whose rings are gone. The memory of its rings comes back then.
    pub(crate) fn close(&mut self, channel: ChannelId) -> Result<()> {
        self.flags.retain(|(it, ..)| *it != channel);
        self.bus.close(channel)?;
        self.act()
    }

    /// Whether the memory of a channel's rings has come back.
    pub(crate) fn is_closed(&self, channel: ChannelId) -> bool {
        let mut rings = self.rings.iter();
        rings.all(|(it, gpadl)| *it != channel || self.is_returned(*gpadl))
    }

    /// Takes leave of the host.
    pub(crate) fn unload(&mut self) -> Result<()> {
        self.state.disconnected = None;
        self.bus.unload()?;
        self.act()
    }

    /// How the last connection ended.
    pub(crate) fn disconnected(&self) -> Option<DisconnectReason> {
        self.state.disconnected
    }

    /// Pages of the guest's memory.
    pub(crate) fn allocate(&self, pages: u32) -> Result<Frames> {
        let pages = usize::try_from(pages).unwrap_or(usize::MAX);
        Ok(self.hypervisor.ram.allocate(pages)?)
    }

    /// Whether the host has signalled a channel since this was asked last.
    #[inline]
    pub(crate) fn take_flag(&mut self, channel: ChannelId) -> bool {
        let mut flags = self.flags.iter_mut();
        flags
            .find(|(it, ..)| *it == channel)
            .is_some_and(|(.., signalled)| std::mem::take(signalled))
    }

    /// Signals the host for a channel, if that is needed.
    #[inline]
    pub(crate) fn signal(&self, channel: ChannelId, signal: Signal) -> Result<()> {
        Ok(self.bus.signal(channel, signal)?)
    }
}

/// The guest is gone.
impl Drop for Guest {
    fn drop(&mut self) {
        // A register that does not take the value is one that nobody reads any more.
        let _left_on = self.synic.disable(&*self.hypervisor);
    }
}

/// Refuses what the other end should not have done.
fn expect(holds: bool, what: impl std::fmt::Display) -> Result<()> {
    if holds {
        Ok(())
    } else {
        Err(Error::Unexpected(what.to_string()))
    }
}
