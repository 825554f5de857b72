//! A NIC as a device of the TCP/IP stack `smoltcp`. Behind the feature of that name.

use core::ops::Range;

use smoltcp::phy::{self, DeviceCapabilities, Medium};
use smoltcp::time::Instant;
use vmbus_proto::ringbuf::{RingMem, SharedMem, Signal};

use crate::nic::ETHERNET_HEADER;

use super::event::Event;
use super::fault::{Fault, PollError};
use super::nic::Nic;
use super::queue::Queue;
use super::transmit::TransmitInfo;

/// Calls of [`Nic::poll`] for one of `smoltcp`'s, at most.
const CALLS: usize = 64;

/// A NIC and the queue of its primary channel, as `smoltcp` uses them. It keeps up to one frame between calls, so it
/// lives as long as the interface.
///
/// `smoltcp` polls the NIC through it. What happens besides frames goes to `on_event`, between two polls:
/// [`Event::Ready`] for one, after which a [packet filter](Nic::set_packet_filter) is to be set. After each poll of the
/// interface, signal the host if [`take_signal`](Self::take_signal) says so.
///
/// The checksums of all frames are `smoltcp`'s: none are offloaded.
#[derive(Debug)]
pub struct Device<'d, 'p, M, B, F, const DEPTH: usize> {
    nic: Nic<'p, B>,
    queue: Queue<'p, M, B, DEPTH>,
    receive: &'d mut [u8],
    /// Where in `receive` a frame waits to be taken.
    held: Option<Range<usize>>,
    transmit: &'d mut [u8],
    on_event: F,
    signal: Signal,
    dropped: u64,
    fault: Option<PollError>,
}

impl<'d, 'p, M, B, F, const DEPTH: usize> Device<'d, 'p, M, B, F, DEPTH>
where
    M: RingMem,
    B: SharedMem,
    F: FnMut(&mut Nic<'p, B>, &Event<'_>),
{
    /// A device of a NIC, up or not, and the queue of its primary channel. `receive` and `transmit` are private memory,
    /// of [`Nic::receive_len`] bytes and of the MTU and 14 bytes: what is longer than `transmit` is not sent.
    pub fn new(
        nic: Nic<'p, B>,
        queue: Queue<'p, M, B, DEPTH>,
        receive: &'d mut [u8],
        transmit: &'d mut [u8],
        on_event: F,
    ) -> Self {
        Self {
            nic,
            queue,
            receive,
            held: None,
            transmit,
            on_event,
            signal: Signal::NotNeeded,
            dropped: 0,
            fault: None,
        }
    }

    /// The NIC, to be asked for something: it goes out with the next poll of the interface, or with
    /// [`poll`](Self::poll).
    pub fn nic(&mut self) -> &mut Nic<'p, B> {
        &mut self.nic
    }

    /// The queue, to be looked at.
    #[must_use]
    pub fn queue(&self) -> &Queue<'p, M, B, DEPTH> {
        &self.queue
    }

    /// The NIC and its queue, for instance to be shut down. A frame that was not taken yet is dropped.
    pub fn into_parts(self) -> (Nic<'p, B>, Queue<'p, M, B, DEPTH>) {
        (self.nic, self.queue)
    }

    /// Frames of `smoltcp`'s that found no room and were dropped, as any network may do: answers to received frames,
    /// which it does not ask about before.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the host has to be signalled, for everything since the last time.
    pub fn take_signal(&mut self) -> Signal {
        core::mem::replace(&mut self.signal, Signal::NotNeeded)
    }

    /// Polls the NIC until a frame waits or there is nothing more: the interface does so by itself. Returns whether
    /// there may be more to do at once: if not, it is time when the host signals.
    ///
    /// # Errors
    ///
    /// As [`Nic::poll`]; the device receives and sends nothing any more then.
    pub fn poll(&mut self) -> Result<bool, PollError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        for _ in 0..CALLS {
            if self.held.is_some() {
                return Ok(true);
            }
            let start = self.receive.as_ptr().addr();
            let polled = self
                .nic
                .poll(&mut self.queue, self.receive)
                .inspect_err(|fault| self.fault = Some(*fault))?;
            self.signal = self.signal | polled.signal;
            match &polled.event {
                Some(Event::Received { frame, .. }) => {
                    // The frame lies in the buffer, so that nothing wraps.
                    let at = frame.as_ptr().addr().wrapping_sub(start);
                    self.held = Some(at..at.wrapping_add(frame.len()));
                }
                Some(event) => (self.on_event)(&mut self.nic, event),
                None => {}
            }
            if !polled.again {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a frame can be sent now.
    fn can_transmit(&mut self) -> Result<bool, Fault> {
        self.queue.can_transmit()
    }
}

/// A received frame.
#[derive(Debug)]
pub struct RxToken<'a> {
    frame: &'a [u8],
}

impl phy::RxToken for RxToken<'_> {
    fn consume<R, C: FnOnce(&[u8]) -> R>(self, consume: C) -> R {
        consume(self.frame)
    }
}

/// Room for a frame.
#[derive(Debug)]
pub struct TxToken<'a, 'p, M, B, const DEPTH: usize> {
    queue: &'a mut Queue<'p, M, B, DEPTH>,
    buffer: &'a mut [u8],
    signal: &'a mut Signal,
    dropped: &'a mut u64,
}

impl<M: RingMem, B: SharedMem, const DEPTH: usize> phy::TxToken for TxToken<'_, '_, M, B, DEPTH> {
    /// A frame is made in the device's buffer, and copied from there into the send buffer: `smoltcp` reads what it
    /// writes, and the send buffer is the host's to see, and to change.
    ///
    /// One that is longer than the capabilities said is cut off, and not sent.
    fn consume<R, C: FnOnce(&mut [u8]) -> R>(self, len: usize, consume: C) -> R {
        let fits = len <= self.buffer.len();
        let len = len.min(self.buffer.len());
        let frame = self.buffer.get_mut(..len).unwrap_or_default();
        let result = consume(frame);
        let sent = fits.then(|| self.queue.transmit(frame, &TransmitInfo::NONE));
        match sent {
            Some(Ok(submitted)) => *self.signal = *self.signal | submitted.signal,
            _ => *self.dropped = self.dropped.wrapping_add(1),
        }
        result
    }
}

impl<'d, 'p, M, B, F, const DEPTH: usize> phy::Device for Device<'d, 'p, M, B, F, DEPTH>
where
    M: RingMem,
    B: SharedMem,
    F: FnMut(&mut Nic<'p, B>, &Event<'_>),
{
    type RxToken<'a>
        = RxToken<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = TxToken<'a, 'p, M, B, DEPTH>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.poll().ok()?;
        let frame = self.held.take()?;
        let rx = RxToken {
            frame: self.receive.get(frame)?,
        };
        let tx = TxToken {
            queue: &mut self.queue,
            buffer: self.transmit,
            signal: &mut self.signal,
            dropped: &mut self.dropped,
        };
        Some((rx, tx))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        if !self.can_transmit().ok()? {
            // What is complete makes room.
            self.poll().ok()?;
            if !self.can_transmit().ok()? {
                return None;
            }
        }
        Some(TxToken {
            queue: &mut self.queue,
            buffer: self.transmit,
            signal: &mut self.signal,
            dropped: &mut self.dropped,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        // smoltcp counts the Ethernet header.
        let most = self.nic.data_path().max_frame.max(ETHERNET_HEADER) as usize;
        capabilities.max_transmission_unit = most.min(self.transmit.len());
        capabilities
    }
}
