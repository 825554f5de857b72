//! A network card, and the far end of its cable.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;

use netvsc_proto::host::{
    Event, MacAddress, NetBackend, Nic, NicConfig, PACKET_SCRATCH_LEN, Queue, ReceiveError, ReceiveInfo,
    ReceiveLayout, Received, Scratch, SendLayout, TransmitInfo, Transmitted,
};
use vmbus_proto::host::{ChannelId, GpadlTicket};
use vmbus_proto::ringbuf::{RingPair, SharedMem};
use vmbus_proto::wire::GpadlId;

use super::{Bus, Done, HostOptions, Served, Service, Signal};
use crate::error::{Error, Result, unexpected};
use crate::ram::{Ram, Region, Ring};
use crate::wire::{FarEnd, Wire};

/// A channel's queue.
pub(super) type NicQueue = Queue<Ring, Region, 1024>;

/// Packets that are served, and frames that are given, before the host looks at other things.
const BUDGET: usize = 64;
/// The card's address.
const MAC: MacAddress = MacAddress([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
/// What has gone to the wrong place is the host's own doing.
const WHO: &str = "the host's network card";

/// Memory that the guest has lent to the card, as the bus gave it.
type Lent = Option<(GpadlId, GpadlTicket)>;

/// The card.
#[derive(Debug)]
pub(super) struct Adapter {
    nic: Nic,
    cable: Cable,
    receive: Option<(Region, ReceiveLayout)>,
    send: Option<(Region, SendLayout)>,
    receive_lent: Lent,
    send_lent: Lent,
    packet: Vec<u8>,
    transfer: Vec<u8>,
    /// The frame that the far end sends.
    frame: Vec<u8>,
    was_plugged_in: bool,
}

impl Adapter {
    pub(super) fn new(options: &HostOptions, wire: Arc<Wire>) -> Result<Self> {
        let config = NicConfig {
            max_queues: options.sub_channels.saturating_add(1),
            ..NicConfig::new(MAC)
        };
        Ok(Self {
            nic: Nic::new(config).map_err(|error| unexpected(WHO, error))?,
            was_plugged_in: wire.is_plugged_in(),
            cable: Cable {
                wire,
                reflected: RefCell::default(),
            },
            receive: None,
            send: None,
            receive_lent: None,
            send_lent: None,
            packet: vec![0; PACKET_SCRATCH_LEN],
            transfer: vec![0; config.transfer_scratch_len()],
            frame: Vec::new(),
        })
    }

    pub(super) fn open(&self, index: u16, rings: RingPair<Ring>) -> NicQueue {
        let mut queue = NicQueue::new(index, rings);
        if index > 0 {
            queue.set_data_path(self.nic.data_path());
            if let Some((region, layout)) = &self.receive {
                queue.lend_receive_buffer(region.clone(), *layout);
            }
            if let Some((region, layout)) = &self.send {
                queue.lend_send_buffer(region.clone(), *layout);
            }
        }
        queue
    }

    /// So many channels are open.
    pub(super) fn set_open_queues(&mut self, count: u16) {
        self.nic.set_open_queues(count);
    }

    /// Whether the primary channel has something to do that the guest does not signal.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self.cable.wire.far_end(), FarEnd::Source(_))
            || self.was_plugged_in != self.cable.wire.is_plugged_in()
    }

    /// Takes frames from the guest, and gives it those that the far end sends. Returns whether there were any.
    pub(super) fn serve(
        &mut self,
        queue: &mut NicQueue,
        ram: &Ram,
        signal: impl Signal,
    ) -> Result<(Done, bool)> {
        let mut scratch = Scratch {
            packet: &mut self.packet,
            transfer: &mut self.transfer,
        };
        let outcome = match queue.index() {
            0 => {
                self.was_plugged_in = self.cable.wire.is_plugged_in();
                self.nic.service(queue, ram, &self.cable, &mut scratch, BUDGET)?
            }
            _ => queue.service(ram, &self.cable, &mut scratch, BUDGET)?,
        };
        if let Some(refusal) = outcome.refused {
            return Err(unexpected("the host's network card refused", refusal));
        }
        let given = self.give(queue)?;
        let flushed = queue.flush()?;
        if outcome.signal || flushed.is_needed() {
            signal()?;
        }
        let done = Done {
            again: outcome.again,
            sub_channels: None,
        };
        Ok((done, outcome.packets > 0 || given))
    }

    /// Gives the guest what the far end sends. Returns whether there was anything.
    fn give(&mut self, queue: &mut NicQueue) -> Result<bool> {
        let mut given = false;
        let mut reflected = self.cable.reflected.borrow_mut();
        while let Some(frame) = reflected.front() {
            if !is_taken(queue.receive(frame, &ReceiveInfo::NONE))? {
                break;
            }
            reflected.pop_front();
            given = true;
        }
        let FarEnd::Source(len) = self.cable.wire.far_end() else {
            return Ok(given);
        };
        if queue.index() == 0 {
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            if self.frame.len() != len {
                self.frame = vec![0x5a; len];
                let addresses = MAC.0.into_iter().chain([2, 0, 0, 0, 0, 1, 0x88, 0xb5]);
                self.frame
                    .iter_mut()
                    .zip(addresses)
                    .for_each(|(to, from)| *to = from);
            }
            for _ in 0..BUDGET {
                if !is_taken(queue.receive(&self.frame, &ReceiveInfo::NONE))? {
                    break;
                }
                given = true;
            }
        }
        Ok(given)
    }

    /// Does what the card asks for, after its primary channel was served. Returns how many sub-channels the guest wants, if it said so.
    pub(super) fn act(
        &mut self,
        bus: &mut Bus,
        channel: ChannelId,
        served: &mut [Served],
    ) -> Result<Option<u16>> {
        let mut wanted = None;
        while let Some(event) = self.nic.poll_event() {
            match event {
                Event::MapReceiveBuffer(gpadl) => {
                    let (region, ticket) = map(bus, channel, gpadl)?;
                    self.receive_lent = Some((gpadl, ticket));
                    let layout = self.nic.receive_buffer_mapped(region.len());
                    let layout = layout.ok_or_else(|| unexpected(WHO, "too small a receive buffer"))?;
                    queues(served).for_each(|queue| queue.lend_receive_buffer(region.clone(), layout));
                    self.receive = Some((region, layout));
                }
                Event::MapSendBuffer(gpadl) => {
                    let (region, ticket) = map(bus, channel, gpadl)?;
                    self.send_lent = Some((gpadl, ticket));
                    let layout = self.nic.send_buffer_mapped(region.len());
                    let layout = layout.ok_or_else(|| unexpected(WHO, "too small a send buffer"))?;
                    queues(served).for_each(|queue| queue.lend_send_buffer(region.clone(), layout));
                    self.send = Some((region, layout));
                }
                Event::ReleaseReceiveBuffer => {
                    self.take_receive_buffer(bus, served)?;
                    self.nic.receive_buffer_released();
                }
                Event::ReleaseSendBuffer => {
                    self.take_send_buffer(bus, served)?;
                    self.nic.send_buffer_released();
                }
                Event::OfferSubchannels(count) => wanted = Some(count),
                Event::DataPathChanged => {
                    queues(served).for_each(|queue| queue.set_data_path(self.nic.data_path()));
                }
                other => return Err(unexpected(WHO, format_args!("{other:?} is not acted on"))),
            }
            // There may be an answer to be written.
            for channel in served.iter_mut().filter(|it| it.channel == channel) {
                channel.again = true;
            }
        }
        Ok(wanted)
    }

    fn take_receive_buffer(&mut self, bus: &mut Bus, served: &mut [Served]) -> Result<()> {
        queues(served).for_each(|queue| drop(queue.take_receive_buffer()));
        self.receive = None;
        release(bus, self.receive_lent.take())
    }

    fn take_send_buffer(&mut self, bus: &mut Bus, served: &mut [Served]) -> Result<()> {
        queues(served).for_each(|queue| drop(queue.take_send_buffer()));
        self.send = None;
        release(bus, self.send_lent.take())
    }

    /// The guest wants memory back.
    pub(super) fn recall(&mut self, bus: &mut Bus, gpadl: GpadlId, served: &mut [Served]) -> Result<()> {
        if self.receive_lent.as_ref().is_some_and(|(lent, _)| *lent == gpadl) {
            self.take_receive_buffer(bus, served)?;
        }
        if self.send_lent.as_ref().is_some_and(|(lent, _)| *lent == gpadl) {
            self.take_send_buffer(bus, served)?;
        }
        Ok(())
    }

    /// The primary channel is closed.
    pub(super) fn close(&mut self, bus: &mut Bus, served: &mut [Served]) -> Result<()> {
        self.take_receive_buffer(bus, served)?;
        self.take_send_buffer(bus, served)?;
        self.cable.reflected.borrow_mut().clear();
        self.nic.reset();
        Ok(())
    }
}

/// The queues that are open.
fn queues(served: &mut [Served]) -> impl Iterator<Item = &mut NicQueue> {
    served.iter_mut().filter_map(|served| match &mut served.service {
        Service::Nic(queue) => Some(&mut **queue),
        Service::Disk(_) => None,
    })
}

fn map(bus: &mut Bus, channel: ChannelId, gpadl: GpadlId) -> Result<(Region, GpadlTicket)> {
    bus.map_gpadl(channel, gpadl)
        .map_err(|error| unexpected(WHO, error))
}

fn release(bus: &mut Bus, lent: Lent) -> Result<()> {
    let Some((_, ticket)) = lent else { return Ok(()) };
    bus.release_gpadl(ticket).map_err(|error| unexpected(WHO, error))
}

/// Whether a queue has taken a frame; otherwise the guest has no room for it.
fn is_taken(result: Result<Received, ReceiveError>) -> Result<bool> {
    match result {
        Ok(Received::Staged) => Ok(true),
        Ok(Received::Filtered)
        | Err(ReceiveError::NoBuffer | ReceiveError::RingFull | ReceiveError::NoReceiveBuffer) => Ok(false),
        Err(error) => Err(unexpected(WHO, error)),
    }
}

/// The cable as the card has it.
#[derive(Debug)]
struct Cable {
    wire: Arc<Wire>,
    /// Frames on their way back.
    reflected: RefCell<VecDeque<Vec<u8>>>,
}

impl NetBackend for Cable {
    fn transmit(&self, frame: &[u8], _: &TransmitInfo) -> Transmitted {
        self.wire.count();
        if self.wire.far_end() == FarEnd::Reflector {
            let mut back = frame.to_vec();
            // To who sent it.
            if let Some((destination, rest)) = back.split_at_mut_checked(6)
                && let Some(source) = rest.get_mut(..6)
            {
                destination.swap_with_slice(source);
            }
            self.reflected.borrow_mut().push_back(back);
        }
        Transmitted::Sent
    }

    fn link_up(&self) -> bool {
        self.wire.is_plugged_in()
    }
}

impl From<netvsc_proto::host::Fault> for Error {
    fn from(fault: netvsc_proto::host::Fault) -> Self {
        unexpected(WHO, fault)
    }
}
