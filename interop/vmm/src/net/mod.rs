//! The network glue: a NIC of `netvsc-proto`'s, plugged into a link of `gateway`'s.
//!
//! Each channel's thread owns its queue; the primary channel's owns the control engine too. What the threads have to tell each other,
//! and the link's thread to them, goes through [`Shared`].

mod inbox;
mod plug;
mod shared;

use crate::error::{Result, net as net_error};
use crate::pages::GuestRegion;
use crate::vmbus::{Device, Port, Ring};
use gateway::Link;
use netvsc_proto::host::{
    Event, Fault, NetBackend, Nic, NicConfig, Outcome, PACKET_SCRATCH_LEN, Queue, ReceiveError, ReceiveInfo,
    Scratch, TransmitInfo, Transmitted,
};
use netvsc_proto::wire::nvsp::Version;
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use shared::{Lent, Settings, Shared};
use std::fmt;
use std::sync::Arc;
use tracing::warn;
use vmbus_proto::host::{GpadlTicket, OfferParams};
use vmbus_proto::ringbuf::{PacketType, RingPair, SharedMem};
use vmbus_proto::wire::{GpadlId, Guid, interface};

pub use plug::{NetConfig, Network};

/// The card's name on the bus. It stays the same from boot to boot.
const INSTANCE: Guid = Guid::new(0x6e65_7476, 0x766d, 0x4275, 0x8000_7669_6d6d_0002);
/// Sections of the receive buffer that a queue may have in the guest's hands.
const SECTIONS: u16 = 1024;
/// Packets that are served before the thread looks whether it is to end.
const BUDGET: usize = 64;

/// A network card.
pub struct Card {
    config: NicConfig,
    link: Box<dyn Link>,
    shared: Arc<Shared>,
}

impl Card {
    /// A card with a channel for each of `cpus` processors, plugged in where `net` says.
    ///
    /// # Errors
    /// The network cannot be had, or the configuration makes no card.
    pub fn new(net: &NetConfig, network: &Network, cpus: u8) -> Result<Self> {
        let config = NicConfig {
            mtu: net.mtu,
            max_queues: cpus.into(),
            sections_per_queue: SECTIONS,
            ..NicConfig::new(net.mac)
        };
        config.check().map_err(net_error("--mac or --mtu"))?;
        let link = plug::link(net, network)?;
        let shared = Arc::new(Shared::new(cpus.into()));
        link.start(Arc::clone(&shared) as Arc<_>)
            .map_err(net_error("--net"))?;
        Ok(Self { config, link, shared })
    }

    fn serve_primary(&self, lane: &mut Lane<'_>) -> std::result::Result<(), Fault> {
        let mut nic = match Nic::new(self.config) {
            Ok(nic) => nic,
            Err(error) => {
                warn!("nic: {error}");
                return Ok(());
            }
        };
        let mut buffers = Buffers::default();
        let result = self.run_primary(lane, &mut nic, &mut buffers);
        // Whichever way it ends, the guest gets its memory back.
        buffers.take(lane, Buffers::RECEIVE);
        buffers.take(lane, Buffers::SEND);
        self.shared.change(|settings| *settings = Settings::default());
        result
    }

    fn run_primary(
        &self,
        lane: &mut Lane<'_>,
        nic: &mut Nic,
        buffers: &mut Buffers,
    ) -> std::result::Result<(), Fault> {
        while !lane.port.is_closing() {
            nic.set_open_queues(self.shared.open_queues());
            nic.set_subchannel_stats(&self.shared.sub_channel_stats());
            let mut scratch = Scratch {
                packet: &mut lane.packet,
                transfer: &mut lane.transfer,
            };
            let outcome = nic.service(&mut lane.queue, &lane.port.ram(), self, &mut scratch, BUDGET)?;
            let mut again = lane.act_on(outcome);
            while let Some(event) = nic.poll_event() {
                again = true;
                self.act(event, nic, lane, buffers);
            }
            while let Some(gpadl) = lane.port.recalled() {
                buffers.recall(lane, gpadl);
            }
            again |= lane.receive(self.link.as_ref())?;
            if !again {
                lane.port.wait();
            }
        }
        Ok(())
    }

    fn act(&self, event: Event, nic: &mut Nic, lane: &mut Lane<'_>, buffers: &mut Buffers) {
        match event {
            Event::MapReceiveBuffer(gpadl) => {
                let Some((memory, ticket)) = lane.map(gpadl) else {
                    return nic.receive_buffer_refused();
                };
                let Some(layout) = nic.receive_buffer_mapped(memory.len()) else {
                    return lane.port.unmap(ticket);
                };
                lane.queue.lend_receive_buffer(memory.clone(), layout);
                self.shared
                    .change(|settings| settings.receive = Lent::new(memory, layout));
                buffers.keep(Buffers::RECEIVE, gpadl, ticket);
            }
            Event::MapSendBuffer(gpadl) => {
                let Some((memory, ticket)) = lane.map(gpadl) else {
                    return nic.send_buffer_refused();
                };
                let Some(layout) = nic.send_buffer_mapped(memory.len()) else {
                    return lane.port.unmap(ticket);
                };
                lane.queue.lend_send_buffer(memory.clone(), layout);
                self.shared
                    .change(|settings| settings.send = Lent::new(memory, layout));
                buffers.keep(Buffers::SEND, gpadl, ticket);
            }
            Event::ReleaseReceiveBuffer => {
                buffers.take(lane, Buffers::RECEIVE);
                nic.receive_buffer_released();
            }
            Event::ReleaseSendBuffer => {
                buffers.take(lane, Buffers::SEND);
                nic.send_buffer_released();
            }
            Event::OfferSubchannels(count) => lane.port.offer_sub_channels(count),
            Event::DataPathChanged => {
                let data_path = *nic.data_path();
                self.shared.change(|settings| settings.data_path = data_path);
            }
            other => warn!("nic: {other:?} is not acted on"),
        }
    }

    fn serve_sub_channel(&self, lane: &mut Lane<'_>) -> std::result::Result<(), Fault> {
        while !lane.port.is_closing() {
            lane.follow_settings();
            let mut scratch = Scratch {
                packet: &mut lane.packet,
                transfer: &mut lane.transfer,
            };
            let outcome = lane.queue.service(&lane.port.ram(), self, &mut scratch, BUDGET)?;
            let mut again = lane.act_on(outcome);
            again |= lane.receive(self.link.as_ref())?;
            self.shared.set_stats(lane.port.index, lane.queue.stats());
            if !again {
                lane.port.wait();
            }
        }
        Ok(())
    }
}

impl NetBackend for Card {
    fn transmit(&self, frame: &[u8], _: &TransmitInfo) -> Transmitted {
        match self.link.transmit(frame) {
            Ok(()) => Transmitted::Sent,
            // The link counts why.
            Err(_) => Transmitted::Dropped,
        }
    }

    fn link_up(&self) -> bool {
        self.link.is_up()
    }
}

impl Device for Card {
    fn name(&self) -> &'static str {
        "nic"
    }

    fn offer(&self) -> OfferParams {
        OfferParams::new(interface::NETWORK, INSTANCE)
    }

    fn serve(&self, rings: RingPair<Ring>, port: &Arc<Port>) -> Vec<(&'static str, u64)> {
        let mut lane = Lane::new(&self.shared, &self.config, rings, port);
        let membership = self.shared.join(port);
        let result = match port.index {
            0 => self.serve_primary(&mut lane),
            _ => self.serve_sub_channel(&mut lane),
        };
        drop(membership);
        if let Err(fault) = result {
            port.note(&fault);
        }
        let stats = lane.queue.stats();
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
            ("receive_dropped", stats.receive_dropped),
        ]
    }

    fn describe(&self, from_guest: bool, _kind: PacketType, payload: &[u8]) -> Option<String> {
        if from_guest {
            GuestMessage::decode(payload)
                .ok()
                .map(|message| message.to_string())
        } else {
            HostMessage::decode(payload, Version::V6_1)
                .ok()
                .map(|message| message.to_string())
        }
    }
}

impl fmt::Debug for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Card")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// What a channel's thread works with.
struct Lane<'a> {
    shared: &'a Shared,
    port: &'a Arc<Port>,
    queue: Queue<Ring, GuestRegion, { SECTIONS as usize }>,
    /// Frames for the guest that came out of the inbox.
    frames: gateway::frames::Batch,
    packet: Vec<u8>,
    transfer: Vec<u8>,
    /// The settings that the queue has.
    settings: Settings,
}

impl<'a> Lane<'a> {
    fn new(shared: &'a Shared, config: &NicConfig, rings: RingPair<Ring>, port: &'a Arc<Port>) -> Self {
        Self {
            shared,
            port,
            queue: Queue::new(port.index, rings),
            frames: inbox::batch(),
            packet: vec![0; PACKET_SCRATCH_LEN],
            transfer: vec![0; config.transfer_scratch_len()],
            settings: Settings::default(),
        }
    }

    /// Does what a call asks for; returns whether the queue is to be served again soon.
    fn act_on(&self, outcome: Outcome) -> bool {
        if outcome.signal {
            self.port.signal();
        }
        if let Some(refusal) = outcome.refused {
            self.port.note(&refusal);
        }
        outcome.again
    }

    fn map(&self, gpadl: GpadlId) -> Option<(GuestRegion, GpadlTicket)> {
        self.port
            .map(gpadl)
            .inspect_err(|error| self.port.note(error))
            .ok()
    }

    /// Gives the queue of a sub-channel what changed since the last time.
    fn follow_settings(&mut self) {
        let Some(new) = self.shared.settings_since(self.settings.generation) else {
            return;
        };
        if new.receive != self.settings.receive {
            self.queue.take_receive_buffer();
            if let Some(lent) = &new.receive {
                self.queue.lend_receive_buffer(lent.memory(), lent.layout);
            }
        }
        if new.send != self.settings.send {
            self.queue.take_send_buffer();
            if let Some(lent) = &new.send {
                self.queue.lend_send_buffer(lent.memory(), lent.layout);
            }
        }
        self.queue.set_data_path(&new.data_path);
        self.shared.followed(self.port.index, new.generation);
        self.settings = new;
    }

    /// Gives the guest frames that came in; returns whether there may be more at once.
    fn receive(&mut self, link: &dyn Link) -> std::result::Result<bool, Fault> {
        let fetched = self.frames.is_empty() && self.shared.fetch(self.port.index, &mut self.frames, link);
        while let Some(frame) = self.frames.front() {
            match self.queue.receive(frame, &ReceiveInfo::NONE) {
                Ok(_) => {}
                // The guest signals when it has returned a section, or made room in the ring.
                Err(ReceiveError::NoBuffer | ReceiveError::RingFull) => break,
                Err(ReceiveError::Fault(fault)) => return Err(fault),
                Err(_) => self.queue.count_dropped(),
            }
            self.frames.pop();
        }
        if self.queue.flush()?.is_needed() {
            self.port.signal();
        }
        Ok(fetched && self.frames.is_empty())
    }
}

/// The buffers that the guest lends, as the bus knows them.
#[derive(Default)]
struct Buffers([Option<(GpadlId, GpadlTicket)>; 2]);

impl Buffers {
    const RECEIVE: usize = 0;
    const SEND: usize = 1;

    fn keep(&mut self, which: usize, gpadl: GpadlId, ticket: GpadlTicket) {
        if let Some(place) = self.0.get_mut(which) {
            *place = Some((gpadl, ticket));
        }
    }

    /// Takes a buffer from every queue, then gives it back to the guest.
    fn take(&mut self, lane: &mut Lane<'_>, which: usize) {
        lane.shared.withdraw(|settings| match which {
            Self::RECEIVE => settings.receive = None,
            _ => settings.send = None,
        });
        match which {
            Self::RECEIVE => drop(lane.queue.take_receive_buffer()),
            _ => drop(lane.queue.take_send_buffer()),
        }
        if let Some((_, ticket)) = self.0.get_mut(which).and_then(Option::take) {
            lane.port.unmap(ticket);
        }
    }

    /// The guest wants memory back without having revoked the buffer.
    fn recall(&mut self, lane: &mut Lane<'_>, gpadl: GpadlId) {
        for which in [Self::RECEIVE, Self::SEND] {
            let is_it = |(lent, _): &(GpadlId, GpadlTicket)| *lent == gpadl;
            if self.0.get(which).and_then(Option::as_ref).is_some_and(is_it) {
                self.take(lane, which);
            }
        }
    }
}
