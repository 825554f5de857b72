//! A guest and a host, on one thread or on two.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle, available_parallelism};
use std::time::{Duration, Instant};

use vmbus_proto::guest::{ChannelId, OpenedChannel};
use vmbus_proto::wire::{GpadlId, Guid, Version};

use crate::error::{Error, Result, unexpected};
use crate::guest::Guest;
use crate::host::{Host, HostOptions};
use crate::hypervisor::Hypervisor;
use crate::ram::{PAGE, Ram, Ring};
use crate::wire::Wire;

/// For how long an end may do nothing that the other waits for.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the guest's thread sleeps at most, before it looks whether the host is still there and time has passed.
const SLEEP: Duration = Duration::from_millis(10);

/// Where the host runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// On the guest's thread: it has its turn when the guest has nothing to do.
    One,
    /// On a thread of its own.
    Two,
}

/// What machine to make.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where the host runs.
    pub threads: Threads,
    /// The version that the guest asks for first.
    pub version: Version,
    /// Bytes of the disk, a multiple of 4096 from 1 MiB on.
    pub disk_len: usize,
    /// Sub-channels of each device.
    pub sub_channels: u16,
    /// Bytes of the guest's memory, of which it needs 10 MiB.
    pub memory_len: usize,
}

impl Default for Options {
    /// Two threads, the newest version, a disk of 16 MiB, one sub-channel, 32 MiB of memory.
    fn default() -> Self {
        Self {
            threads: Threads::Two,
            version: Version::COPPER,
            disk_len: 16 << 20,
            sub_channels: 1,
            memory_len: 32 << 20,
        }
    }
}

/// A guest and a host.
#[derive(Debug)]
pub struct Machine {
    guest: Guest,
    hypervisor: Arc<Hypervisor>,
    wire: Arc<Wire>,
    host: Place,
    cpus: usize,
}

/// Where the host is.
#[derive(Debug)]
enum Place {
    Here(Box<Host>),
    There(Option<JoinHandle<Result<()>>>),
}

impl Machine {
    /// A guest that is not connected, and a host that offers its devices.
    ///
    /// # Errors
    /// The options do not fit, or there is no thread.
    pub fn new(options: &Options) -> Result<Self> {
        let ram = Ram::new(options.memory_len / PAGE)?;
        let hypervisor = Arc::new(Hypervisor::new(ram));
        let host_options = HostOptions {
            disk_len: options.disk_len,
            sub_channels: options.sub_channels,
        };
        let wire = Arc::new(Wire::new());
        let host = Host::new(Arc::clone(&hypervisor), Arc::clone(&wire), &host_options)?;
        let guest = Guest::new(Arc::clone(&hypervisor), options.version)?;
        let host = match options.threads {
            Threads::One => Place::Here(Box::new(host)),
            Threads::Two => {
                hypervisor.guest.wait_here();
                let thread = thread::Builder::new().name("host".into());
                Place::There(Some(thread.spawn(move || host.run()).map_err(Error::Thread)?))
            }
        };
        let cpus = available_parallelism().map_or(1, usize::from);
        Ok(Self {
            guest,
            hypervisor,
            wire,
            host,
            cpus,
        })
    }

    /// The guest.
    pub fn guest(&self) -> &Guest {
        &self.guest
    }

    /// Sets the cable and its far end, and has the host look at it.
    pub(crate) fn set_wire(&self, set: impl FnOnce(&Wire)) {
        set(&self.wire);
        self.hypervisor.host.raise();
    }

    /// The cable.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    pub(crate) fn guest_mut(&mut self) -> &mut Guest {
        &mut self.guest
    }

    /// Lets both ends work until the guest is `ready`, which is looked at first and after each interrupt.
    ///
    /// # Errors
    /// An end failed, or nothing happens any more.
    #[inline]
    pub(crate) fn until<T>(
        &mut self,
        what: &'static str,
        mut ready: impl FnMut(&mut Guest) -> Result<Option<T>>,
    ) -> Result<T> {
        let mut idle_since = None;
        loop {
            if let Some(value) = ready(&mut self.guest)? {
                return Ok(value);
            }
            let worked = match &mut self.host {
                Place::Here(host) => host.turn()?,
                Place::There(_) => false,
            };
            if self.guest.interrupt()? || worked {
                idle_since = None;
            } else {
                self.idle(what, *idle_since.get_or_insert_with(Instant::now))?;
            }
        }
    }

    /// The guest has nothing to do, nor has a host on the same thread.
    #[cold]
    fn idle(&mut self, what: &'static str, since: Instant) -> Result<()> {
        // Time may have passed that the bus waits for.
        self.guest.act()?;
        if since.elapsed() > PATIENCE {
            let after = PATIENCE;
            return Err(Error::Silent { what, after });
        }
        match &mut self.host {
            Place::Here(_) => thread::yield_now(),
            Place::There(handle) => {
                if handle.as_ref().is_some_and(JoinHandle::is_finished) {
                    return Err(ending(handle));
                }
                self.hypervisor.guest.wait(SLEEP, self.cpus);
            }
        }
        Ok(())
    }

    fn open(&mut self, channel: ChannelId) -> Result<OpenedChannel<Ring>> {
        self.guest.open(channel)?;
        self.until("the answer to OPEN_CHANNEL", |guest| {
            Ok(guest.take_opened(channel))
        })
    }

    /// Has the primary channel of the device of a class opened, and returns it when it is.
    pub(crate) fn open_primary(&mut self, interface: Guid) -> Result<OpenedChannel<Ring>> {
        let offer = self.guest.primary(interface);
        let offer = offer.ok_or_else(|| unexpected("the host", "it does not offer the device"))?;
        self.open(offer.channel)
    }

    /// Has a sub-channel opened, and returns it when it is.
    pub(crate) fn open_sub_channel(&mut self, primary: ChannelId, index: u16) -> Result<OpenedChannel<Ring>> {
        let channel = self.until("the offer of a sub-channel", |guest| {
            Ok(guest.sub_channel(primary, index))
        })?;
        self.open(channel)
    }

    /// Takes memory back, and returns when the host has let go of it.
    pub(crate) fn take_back(&mut self, gpadl: GpadlId) -> Result<()> {
        self.guest.teardown(gpadl)?;
        self.until("GPADL_TORNDOWN", |guest| {
            Ok(guest.is_returned(gpadl).then_some(()))
        })
    }

    /// Has a channel closed, and returns when its memory has come back.
    pub(crate) fn close(&mut self, channel: ChannelId) -> Result<()> {
        self.guest.close(channel)?;
        self.until("the memory of a closed channel", |guest| {
            Ok(guest.is_closed(channel).then_some(()))
        })
    }
}

/// Why the host's thread ended before the guest.
fn ending(handle: &mut Option<JoinHandle<Result<()>>>) -> Error {
    match handle.take().map(JoinHandle::join) {
        Some(Ok(Err(error))) => error,
        Some(Err(_)) => unexpected("the host", "its thread panicked"),
        _ => unexpected("the host", "its thread ended"),
    }
}

/// Ends the host's thread.
impl Drop for Machine {
    fn drop(&mut self) {
        self.hypervisor.ended.store(true, Ordering::Release);
        self.hypervisor.host.raise();
        if let Place::There(handle) = &mut self.host
            && let Some(handle) = handle.take()
        {
            // What it failed of, if it did, nobody waits for any more.
            let _ended = handle.join();
        }
    }
}
