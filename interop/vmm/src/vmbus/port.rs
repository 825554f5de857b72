//! One open channel, as the thread that serves it sees the bus.

use super::{Offered, PlatformError, VmBus};
use crate::memory::Ram;
use crate::pages::GuestRegion;
use crate::synic::wake;
use std::fmt;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tracing::{debug, warn};
use vmbus_proto::host::{ChannelId, ChannelSignal, GpadlTicket};
use vmbus_proto::wire::GpadlId;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

/// What the bus and one channel's thread have to say to each other.
#[derive(Debug)]
pub struct Port {
    /// The channel.
    pub channel: ChannelId,
    /// Sub-channel index, 0 of a primary channel.
    pub index: u16,
    bus: Arc<VmBus>,
    pub(super) name: &'static str,
    doorbell: EventFd,
    signal: Mutex<ChannelSignal>,
    closing: AtomicBool,
    recalled: Mutex<Vec<GpadlId>>,
}

impl Port {
    /// The port of a channel that the guest opens and rings by `doorbell`.
    pub(super) fn new(
        bus: &Arc<VmBus>,
        name: &'static str,
        (channel, index): (ChannelId, u16),
        signal: ChannelSignal,
        doorbell: EventFd,
    ) -> Self {
        Self {
            channel,
            index,
            bus: Arc::clone(bus),
            name,
            doorbell,
            signal: Mutex::new(signal),
            closing: AtomicBool::new(false),
            recalled: Mutex::default(),
        }
    }

    /// Has the thread return.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake();
    }

    /// Interrupts the guest at another place from now on.
    pub(super) fn redirect(&self, signal: ChannelSignal) {
        *self.signal.lock().unwrap_or_else(PoisonError::into_inner) = signal;
    }

    /// Tells the thread that the guest wants memory back.
    pub(super) fn recall(&self, gpadl: GpadlId) {
        self.recalled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(gpadl);
        self.wake();
    }

    /// The guest's memory.
    pub fn ram(&self) -> &'static Ram {
        self.bus.ram
    }

    /// Whether the thread is to return.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Waits until the guest signals the channel, or somebody [wakes](Self::wake) it.
    pub fn wait(&self) {
        // Fails only where a signal interrupts it; then whoever waits looks once more for nothing.
        let _interrupted = self.doorbell.read();
    }

    /// As [`wait`](Self::wait), but no longer than this.
    pub fn wait_for(&self, most: Duration) {
        match rings_within(&self.doorbell, most) {
            Ok(true) => self.wait(),
            Ok(false) => {}
            Err(error) => {
                // Without this the thread would spin.
                warn!("{}: the channel cannot be waited for in time: {error}", self.name);
                self.wait();
            }
        }
    }

    /// Ends this wait, or the next.
    pub fn wake(&self) {
        wake(&self.doorbell);
    }

    /// Interrupts the guest for this channel.
    pub fn signal(&self) {
        // Held while the flag is set: once a move is answered, the guest counts on no interrupt at the old place.
        let signal = self.signal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.bus.signal(*signal) {
            self.note(&error);
        }
    }

    /// Notes what the guest did wrong on this channel.
    pub fn note(&self, breach: &(impl fmt::Display + fmt::Debug)) {
        self.bus.breaches.note(self.name, breach);
    }

    /// Offers the sub-channels from 1 to `count` of this primary channel that are not offered yet.
    pub fn offer_sub_channels(&self, count: u16) {
        let mut state = self.bus.state();
        let Some(Offered { device, .. }) = state.offers.get(&self.channel).cloned() else {
            return;
        };
        for index in 1..=count {
            match state.bus.offer_subchannel(self.channel, index) {
                Ok(channel) => drop(state.offers.insert(channel, Offered::new(&device, index))),
                Err(error) => debug!("sub-channel {index} of {}: {error}", self.channel),
            }
        }
        drop(state);
        wake(&self.bus.doorbell);
    }

    /// Maps memory that the guest named to the device.
    ///
    /// # Errors
    /// There is none by this name, or it is no memory.
    pub fn map(
        &self,
        gpadl: GpadlId,
    ) -> std::result::Result<(GuestRegion, GpadlTicket), vmbus_proto::host::MapError<PlatformError>> {
        self.bus.state().bus.map_gpadl(self.channel, gpadl)
    }

    /// Gives memory back that was mapped; the mapping must be gone.
    pub fn unmap(&self, ticket: GpadlTicket) {
        if self.bus.state().bus.release_gpadl(ticket).is_err() {
            warn!("{}: a ticket of another bus", self.name);
        }
        wake(&self.bus.doorbell);
    }

    /// The next GPADL that the guest wants back.
    pub fn recalled(&self) -> Option<GpadlId> {
        self.recalled.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// Whether somebody rings within this time. That they did stays known.
fn rings_within(doorbell: &EventFd, most: Duration) -> io::Result<bool> {
    // Rounded up, so that who waits for a moment does not wake before it again and again.
    let millis = i32::try_from(most.as_millis())
        .unwrap_or(i32::MAX)
        .saturating_add(1);
    let waiting = Epoll::new()?;
    let event = EpollEvent::new(EventSet::IN, 0);
    waiting.ctl(ControlOperation::Add, doorbell.as_raw_fd(), event)?;
    match waiting.wait(millis, &mut [EpollEvent::default()]) {
        Ok(count) => Ok(count > 0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_is_heard_and_stays_known() {
        let doorbell = EventFd::new(0).unwrap();
        assert!(!rings_within(&doorbell, Duration::ZERO).unwrap());
        wake(&doorbell);
        assert!(rings_within(&doorbell, Duration::MAX).unwrap());
        assert!(rings_within(&doorbell, Duration::ZERO).unwrap());
        doorbell.read().unwrap();
        assert!(!rings_within(&doorbell, Duration::ZERO).unwrap());
    }
}
