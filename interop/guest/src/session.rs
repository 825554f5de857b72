//! Waiting for the host: a kernel has threads for that, this one looks until it is there or too late.

use core::time::Duration;

use vmbus_proto::guest::{
    BusCallError, BusError, ChannelId, ChannelOffer, ConnectError, Connected, DisconnectReason, Event,
    Hal as _, OpenError, OpenParams, OpenedChannel,
};
use vmbus_proto::hvcall::{HvStatus, VpIndex};
use vmbus_proto::ringbuf::Signal;
use vmbus_proto::ringbuf::mem::ContiguousRing;
use vmbus_proto::wire::{GpadlId, Guid};

use crate::memory::{Block, Memory};
use crate::platform::{Platform, PlatformError, VmBus};
use crate::report::Text;
use crate::{cpu, println, text};

/// How long anything may take. In an emulated machine in an emulated machine, seconds are nothing.
const LIMIT: Duration = Duration::from_secs(120);
/// Pages of a channel's two rings, and of the one to the host.
const RING_PAGES: usize = 32;
const RING_PAGES_TO_HOST: u32 = 16;

/// What came of looking at something that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// It is there.
    Done(T),
    /// There may be more to do at once.
    Again,
    /// Nothing is to be done before the host says something, or time goes by.
    Wait,
}

/// The bus, and what the host has said on it that was not asked about yet.
#[derive(Debug)]
pub struct Session<'m> {
    vmbus: VmBus<'m>,
    memory: &'m Memory,
    is_connecting: bool,
    connection: Option<Result<Connected, ConnectError>>,
    disconnected: Option<DisconnectReason>,
    all_offered: bool,
    offers: heapless::Vec<ChannelOffer, 32>,
    rescinded: heapless::Vec<ChannelId, 8>,
    opened: heapless::Vec<OpenedChannel<ContiguousRing>, 4>,
    failed: heapless::Vec<(ChannelId, OpenError), 4>,
    created: heapless::Vec<GpadlId, 4>,
    returned: heapless::Vec<GpadlId, 32>,
    signals: heapless::LinearMap<ChannelId, u32, 32>,
    /// What the platform or a full list kept from being done.
    troubles: u32,
}

impl<'m> Session<'m> {
    /// Nothing was said yet.
    #[must_use]
    pub fn new(vmbus: VmBus<'m>, memory: &'m Memory) -> Self {
        Self {
            vmbus,
            memory,
            is_connecting: false,
            connection: None,
            disconnected: None,
            all_offered: false,
            offers: heapless::Vec::new(),
            rescinded: heapless::Vec::new(),
            opened: heapless::Vec::new(),
            failed: heapless::Vec::new(),
            created: heapless::Vec::new(),
            returned: heapless::Vec::new(),
            signals: heapless::LinearMap::new(),
            troubles: 0,
        }
    }

    /// The time, by the hypervisor's clock.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.vmbus.bus.hal().now()
    }

    /// Pages.
    ///
    /// # Errors
    /// There are not so many left.
    pub fn pages(&self, count: usize) -> Result<Block<'m>, Text> {
        self.memory
            .block(count)
            .ok_or_else(|| text!("no {count} pages are left"))
    }

    /// Takes in what the host said.
    pub fn look(&mut self) {
        loop {
            let signals = &mut self.signals;
            let event = self.vmbus.poll(|channel| {
                // More channels than there is room for are counted for nobody; none of them waits for it.
                match signals.get_mut(&channel) {
                    Some(count) => *count += 1,
                    None => drop(signals.insert(channel, 1)),
                }
            });
            match event {
                Some(Ok(event)) => self.take(event),
                // A host has no such connection at the version that is being asked for: the next lower one is.
                Some(Err(BusError::Post { status, .. }))
                    if self.is_connecting && status == HvStatus::INVALID_CONNECTION_ID => {}
                Some(Err(error)) => self.trouble(&error),
                None if self.vmbus.has_message() => {}
                None => break,
            }
        }
    }

    fn take(&mut self, event: Event<Block<'m>, OpenedChannel<ContiguousRing>>) {
        let kept = match event {
            Event::Connected(connected) => {
                self.connection = Some(Ok(connected));
                true
            }
            Event::ConnectFailed(error) => {
                self.connection = Some(Err(error));
                true
            }
            Event::Disconnected(reason) => {
                self.disconnected = Some(reason);
                true
            }
            Event::Offered(offer) => self.offers.push(offer).is_ok(),
            Event::AllOffersDelivered => {
                self.all_offered = true;
                true
            }
            Event::Rescinded { channel } => {
                self.offers.retain(|offer| offer.channel != channel);
                self.rescinded.push(channel).is_ok()
            }
            Event::Opened(opened) => self.opened.push(opened).is_ok(),
            Event::OpenFailed { channel, error } => self.failed.push((channel, error)).is_ok(),
            Event::GpadlCreated { gpadl, .. } => self.created.push(gpadl).is_ok(),
            // The block goes back to the pages that are free.
            Event::MemoryReturned { gpadl, memory, .. } => {
                drop(memory);
                self.returned.push(gpadl).is_ok()
            }
            other => {
                if !self.vmbus.is_quiet {
                    println!("vmbus: {:?}", other);
                }
                true
            }
        };
        if !kept {
            self.trouble(&"more events of a kind than anybody waits for");
        }
    }

    fn trouble(&mut self, what: &dyn core::fmt::Display) {
        if self.vmbus.is_quiet {
            return;
        }
        println!("vmbus: {}", what);
        self.troubles += 1;
    }

    /// What went wrong that no check waited for.
    #[must_use]
    pub const fn troubles(&self) -> u32 {
        self.troubles
    }

    /// Messages of the host's that broke the protocol.
    #[must_use]
    pub const fn breaches(&self) -> u64 {
        self.vmbus.bus.guest().breaches()
    }

    /// Whatever the host says now, this guest has provoked: it is no trouble.
    pub const fn provoke(&mut self, provoking: bool) {
        self.vmbus.is_quiet = provoking;
    }

    /// The platform below the bus, for what the bus would not send.
    #[must_use]
    pub const fn platform(&self) -> &Platform<'m> {
        self.vmbus.bus.hal()
    }

    /// Waits until `done` gives something.
    ///
    /// # Errors
    /// That of `done`, or time is up.
    pub fn wait<T>(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Self) -> Result<Option<T>, Text>,
    ) -> Result<T, Text> {
        self.run(what, |session| Ok(done(session)?.map_or(Step::Wait, Step::Done)))
    }

    /// Takes one step after the other until one is the last.
    ///
    /// # Errors
    /// That of a step, or time is up.
    pub fn run<T>(
        &mut self,
        what: &str,
        mut step: impl FnMut(&mut Self) -> Result<Step<T>, Text>,
    ) -> Result<T, Text> {
        let end = self.now() + LIMIT;
        loop {
            self.look();
            match step(self)? {
                Step::Done(result) => return Ok(result),
                _ if self.now() > end => {
                    return Err(text!("waited {} s in vain for {what}", LIMIT.as_secs()));
                }
                Step::Again => {}
                Step::Wait => cpu::rest(),
            }
        }
    }

    /// Connects, and waits until all is offered.
    ///
    /// # Errors
    /// There is no connection, or the host says no more.
    pub fn connect(&mut self) -> Result<Connected, Text> {
        (self.connection, self.all_offered) = (None, false);
        self.offers.clear();
        self.rescinded.clear();
        self.opened.clear();
        self.failed.clear();
        self.created.clear();
        self.returned.clear();
        self.signals.clear();
        self.vmbus.bus.connect()?;
        self.is_connecting = true;
        let connected = self.wait("an answer to the contact", |session| {
            Ok(session.connection.take().transpose()?)
        });
        self.is_connecting = false;
        let connected = connected?;
        self.wait("all offers", |session| Ok(session.all_offered.then_some(())))?;
        Ok(connected)
    }

    /// What is offered now.
    #[must_use]
    pub fn offers(&self) -> &[ChannelOffer] {
        &self.offers
    }

    /// The primary channel of the `index`th device of a class, in the order of the devices' names.
    ///
    /// # Errors
    /// There is none.
    pub fn device(&self, interface: Guid, index: usize) -> Result<ChannelOffer, Text> {
        let of_class = |offer: &&ChannelOffer| offer.interface == interface && offer.sub_channel_index == 0;
        let mut found: heapless::Vec<_, 32> = self.offers.iter().filter(of_class).copied().collect();
        found.sort_unstable_by_key(|offer| offer.instance.to_bytes());
        found
            .get(index)
            .copied()
            .ok_or_else(|| text!("device {index} of class {interface} is not offered"))
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// The host refuses, or there is no memory.
    pub fn open(&mut self, channel: ChannelId) -> Result<OpenedChannel<ContiguousRing>, Text> {
        let rings = self.pages(RING_PAGES)?;
        let params = OpenParams::new(RING_PAGES_TO_HOST, VpIndex(0));
        self.vmbus
            .bus
            .open(channel, rings, params)
            .map_err(|rejected| Text::from(rejected.error))?;
        self.wait("a channel to open", |session| {
            if let Some(place) = session.failed.iter().position(|(failed, _)| *failed == channel) {
                return Err(session.failed.swap_remove(place).1.into());
            }
            let place = session.opened.iter().position(|opened| opened.channel == channel);
            Ok(place.map(|place| session.opened.swap_remove(place)))
        })
    }

    /// Closes a channel, whose rings are gone, and waits until the host has let go of their memory.
    ///
    /// # Errors
    /// There is no such channel, or the host does not answer.
    pub fn close(&mut self, channel: ChannelId) -> Result<(), Text> {
        let before = self.returned.len();
        self.vmbus.bus.close(channel)?;
        self.wait("a channel to close", |session| {
            Ok((session.returned.len() > before).then_some(()))
        })?;
        self.returned.clear();
        Ok(())
    }

    /// Lends memory to a channel's device.
    ///
    /// # Errors
    /// The host does not take it.
    pub fn lend(&mut self, channel: ChannelId, memory: Block<'m>) -> Result<GpadlId, Text> {
        let gpadl = self
            .vmbus
            .bus
            .lend(channel, memory)
            .map_err(|rejected| Text::from(rejected.error))?;
        self.wait("the host to take memory", |session| {
            if session.returned.contains(&gpadl) {
                return Err(text!("the host refused memory"));
            }
            let place = session.created.iter().position(|created| *created == gpadl);
            Ok(place.map(|place| session.created.swap_remove(place)))
        })
    }

    /// Takes memory back.
    ///
    /// # Errors
    /// There is no such memory, or the host does not answer.
    pub fn take_back(&mut self, gpadl: GpadlId) -> Result<(), Text> {
        self.vmbus.bus.teardown(gpadl)?;
        self.wait("the host to give memory back", |session| {
            let place = session.returned.iter().position(|returned| *returned == gpadl);
            Ok(place.map(|place| session.returned.swap_remove(place)))
        })
        .map(|_| ())
    }

    /// Whether the host has taken this channel back.
    pub fn is_rescinded(&mut self, channel: ChannelId) -> bool {
        self.rescinded.contains(&channel)
    }

    /// Lets go of a channel that the host has taken back, whose rings are gone, and waits for the memory of these.
    ///
    /// # Errors
    /// The host has not taken it back.
    pub fn release(&mut self, channel: ChannelId) -> Result<(), Text> {
        self.rescinded.retain(|rescinded| *rescinded != channel);
        self.signals.remove(&channel);
        self.vmbus.bus.release(channel)?;
        self.look();
        Ok(())
    }

    /// Takes leave of the host. Nothing is open any more, or counts as open.
    ///
    /// # Errors
    /// There is no connection, or the host does not answer.
    pub fn unload(&mut self) -> Result<DisconnectReason, Text> {
        self.disconnected = None;
        self.vmbus.bus.unload()?;
        self.wait("an answer to the unload", |session| {
            Ok(session.disconnected.take())
        })
    }

    /// Signals the host for a channel, if that is needed.
    ///
    /// # Errors
    /// The channel is not open, or the hypervisor refuses.
    pub fn signal(&self, channel: ChannelId, signal: Signal) -> Result<(), Text> {
        match self.vmbus.bus.signal(channel, signal) {
            // The host has just taken the channel back, and its connection away; the rescind is on its way.
            Err(BusCallError::Signal(PlatformError::Signal(HvStatus::INVALID_CONNECTION_ID))) => Ok(()),
            result => Ok(result?),
        }
    }

    /// How often the host has signalled a channel.
    #[must_use]
    pub fn signals(&self, channel: ChannelId) -> u32 {
        self.signals.get(&channel).copied().unwrap_or(0)
    }
}
