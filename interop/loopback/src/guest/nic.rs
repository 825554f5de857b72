//! The guest's network driver, over `netvsc-proto`'s NIC and queues.

use netvsc_proto::guest::{
    Buffer, ControlError, Event, Nic, NicConfig, Pages, PollError, Properties, Queue, QueueMemory,
    TransmitError, TransmitInfo,
};
use netvsc_proto::wire::nvsp::Status;
use netvsc_proto::wire::rndis::PacketFilter;
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::guest::{ChannelId, OpenedChannel};
use vmbus_proto::ringbuf::{SharedMem, Signal};
use vmbus_proto::wire::GpadlId;

use super::Guest;
use crate::error::{Error, Result, unexpected};
use crate::ram::{Frames, Region, Ring};

/// Frames that may be under way on a channel.
const DEPTH: usize = 128;
/// Pages of each of the two buffers: as many bytes as [`DEPTH`] sections of 6144 bytes on two channels are, and about 600 received frames.
const BUFFER_PAGES: u32 = 512;
/// Channels that a card may have.
const MAX_QUEUES: u16 = 4;
/// Times that a queue is polled before something else has its turn.
const POLLS: usize = 4096;
const WHO: &str = "the guest's network card";

type NicQueue = Queue<'static, Ring, Region, DEPTH>;

/// Memory that is lent to the host for the card.
#[derive(Debug)]
pub(crate) struct Buffers {
    receive: (GpadlId, Region),
    send: (GpadlId, Region),
}

impl Buffers {
    /// Lends two buffers on a channel that is open.
    pub(crate) fn lend(guest: &mut Guest, channel: ChannelId) -> Result<Self> {
        let mut lend = || {
            let frames = guest.allocate(BUFFER_PAGES)?;
            let region = frames.region()?;
            Ok::<_, Error>((guest.lend(channel, frames)?, region))
        };
        Ok(Self {
            receive: lend()?,
            send: lend()?,
        })
    }

    /// What they are called.
    pub(crate) fn gpadls(&self) -> [GpadlId; 2] {
        [self.receive.0, self.send.0]
    }

    /// Bytes of each.
    pub(crate) fn len(&self) -> usize {
        self.receive.1.len()
    }

    fn memory(&self) -> QueueMemory<'static, Region> {
        QueueMemory {
            receive: self.receive.1.clone(),
            send: self.send.1.clone(),
            heads: None,
        }
    }
}

/// What a channel of the card has besides its queue.
#[derive(Debug)]
struct Channel {
    channel: ChannelId,
    queue: NicQueue,
    /// The queue is to be polled, whether the host signals or not.
    again: bool,
    /// The host is to be signalled.
    signal: Signal,
    /// Frames that the host has sent on.
    transmitted: usize,
}

/// A network card.
#[derive(Debug)]
pub(crate) struct NicDriver {
    nic: Nic<'static, Region>,
    /// The primary one first.
    channels: Vec<Channel>,
    buffers: Buffers,
    /// Memory for requests. It is the host's to read while there are any.
    _requests: Frames,
    frame: Vec<u8>,
    told: Told,
}

/// What the card has told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) ready: Option<Properties>,
    /// The packet filter is set.
    pub(crate) listening: bool,
    pub(crate) link: Option<bool>,
    pub(crate) sub_channels: Option<u16>,
    pub(crate) shut_down: bool,
}

impl NicDriver {
    /// The driver of a card whose primary channel was opened, and whose buffers the host has. It brings the card up as it is served.
    pub(crate) fn new(guest: &Guest, opened: OpenedChannel<Ring>, buffers: Buffers) -> Result<Self> {
        let requests = guest.allocate(1)?;
        // The engine borrows the list for as long as it lives: 8 bytes for each card that is brought up.
        let pfns = Vec::leak(requests.pfns());
        let pages = Pages::new(requests.region()?, 0, pfns).map_err(|fault| unexpected(WHO, fault))?;
        let buffer = |(gpadl, region): &(GpadlId, Region)| Buffer {
            gpadl: *gpadl,
            len: u32::try_from(region.len()).unwrap_or(u32::MAX),
        };
        let config = NicConfig {
            max_queues: MAX_QUEUES,
            ..NicConfig::new(buffer(&buffers.receive), buffer(&buffers.send))
        };
        let nic = Nic::new(config, pages).map_err(|error| unexpected(WHO, error))?;
        let queue = Queue::primary(opened.rings, buffers.memory());
        let frame = vec![0; nic.receive_len()];
        Ok(Self {
            nic,
            channels: vec![Channel::new(opened.channel, queue)],
            buffers,
            _requests: requests,
            frame,
            told: Told::default(),
        })
    }

    /// What the card has told.
    pub(crate) fn told(&self) -> &Told {
        &self.told
    }

    /// Its channels, the primary one first.
    pub(crate) fn channels(&self) -> Vec<ChannelId> {
        self.channels.iter().map(|it| it.channel).collect()
    }

    /// Adds a sub-channel that was opened. The host offers them in the order of their indices.
    pub(crate) fn add_sub_channel(&mut self, index: u16, opened: OpenedChannel<Ring>) {
        let queue = Queue::sub_channel(index, opened.rings, self.buffers.memory(), self.nic.data_path());
        self.channels.push(Channel::new(opened.channel, queue));
    }

    /// Drops the sub-channels, whose rings are gone then.
    pub(crate) fn drop_sub_channels(&mut self) {
        self.channels.truncate(1);
    }

    /// Drops everything but the names of the buffers, which the host still has.
    pub(crate) fn into_buffers(self) -> Buffers {
        self.buffers
    }

    /// Has the host do something, which goes out with the next call of [`serve`](Self::serve).
    pub(crate) fn ask(
        &mut self,
        ask: impl FnOnce(&mut Nic<'static, Region>) -> Result<(), ControlError>,
    ) -> Result<()> {
        ask(&mut self.nic).map_err(|error| unexpected(WHO, error))?;
        self.channels.iter_mut().take(1).for_each(|it| it.again = true);
        Ok(())
    }

    /// Has the host send the frames that are for this guest.
    pub(crate) fn listen(&mut self) -> Result<()> {
        self.told.listening = false;
        self.ask(|nic| {
            let filter = PacketFilter::DIRECTED | PacketFilter::BROADCAST;
            nic.set_packet_filter(filter).map(drop)
        })
    }

    /// Asks for sub-channels.
    pub(crate) fn ask_sub_channels(&mut self, count: u16) -> Result<()> {
        self.ask(|nic| nic.create_sub_channels(count))
    }

    /// Takes the card down.
    pub(crate) fn shut_down(&mut self) -> Result<()> {
        self.ask(|nic| {
            nic.shut_down();
            Ok(())
        })
    }

    /// Forgets the last word of the link.
    pub(crate) fn forget_link(&mut self) {
        self.told.link = None;
    }

    /// Serves the channels for which there is reason to: `receive` gets each frame, and the place of its channel.
    #[inline]
    pub(crate) fn serve(
        &mut self,
        guest: &mut Guest,
        mut receive: impl FnMut(usize, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut path_changed = false;
        for (place, channel) in self.channels.iter_mut().enumerate() {
            channel.again |= guest.take_flag(channel.channel);
            // Bounded, as a card that goes away wants to be polled until the host has had a turn.
            for _ in 0..POLLS {
                if !channel.again {
                    break;
                }
                let polled = match place {
                    0 => self.nic.poll(&mut channel.queue, &mut self.frame)?,
                    _ => channel.queue.poll(&mut self.frame)?,
                };
                channel.signal = channel.signal | polled.signal;
                channel.again = polled.again;
                match polled.event {
                    None => {}
                    Some(Event::Received { frame, .. }) => receive(place, frame)?,
                    Some(Event::Transmitted { status, .. }) if status == Status::SUCCESS => {
                        channel.transmitted += 1;
                    }
                    Some(Event::DataPathChanged) => path_changed = true,
                    Some(event) => self.told.note(event)?,
                }
                // The host goes on while there is more to poll.
                if channel.signal.is_needed() {
                    channel.ring(guest)?;
                }
            }
        }
        if path_changed {
            let path = self.nic.data_path();
            for channel in self.channels.iter_mut().skip(1) {
                channel.queue.set_data_path(path);
            }
        }
        Ok(())
    }

    /// Sends a frame on the channel in this place. `false`: not now, as too many are under way.
    #[inline]
    pub(crate) fn transmit(&mut self, place: usize, frame: &[u8]) -> Result<bool> {
        let Some(channel) = self.channels.get_mut(place) else {
            return Err(unexpected(WHO, "no such channel"));
        };
        match channel.queue.transmit(frame, &TransmitInfo::NONE) {
            Ok(submitted) => {
                channel.signal = channel.signal | submitted.signal;
                Ok(true)
            }
            Err(TransmitError::NoRoom { .. } | TransmitError::RingFull) => Ok(false),
            Err(error) => Err(unexpected(WHO, error)),
        }
    }

    /// Signals the host for what was [sent](Self::transmit) on the channel in this place.
    #[inline]
    pub(crate) fn ring(&mut self, guest: &Guest, place: usize) -> Result<()> {
        self.channels.get_mut(place).map_or(Ok(()), |it| it.ring(guest))
    }

    /// Frames that the host has sent on since this was asked last, on the channel in this place.
    #[inline]
    pub(crate) fn take_transmitted(&mut self, place: usize) -> usize {
        let channel = self.channels.get_mut(place);
        channel.map_or(0, |it| std::mem::take(&mut it.transmitted))
    }

    /// Frames under way on all channels.
    pub(crate) fn outstanding(&self) -> usize {
        self.channels.iter().map(|it| it.queue.outstanding()).sum()
    }
}

impl Channel {
    fn new(channel: ChannelId, queue: NicQueue) -> Self {
        Self {
            channel,
            queue,
            again: true,
            signal: Signal::NotNeeded,
            transmitted: 0,
        }
    }

    #[inline]
    fn ring(&mut self, guest: &Guest) -> Result<()> {
        let signal = std::mem::replace(&mut self.signal, Signal::NotNeeded);
        guest.signal(self.channel, signal)
    }
}

impl Told {
    fn note(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Ready(properties) => self.ready = Some(properties),
            Event::Answered { status, .. } if status == RndisStatus::SUCCESS => self.listening = true,
            Event::Link { up } => self.link = Some(up),
            Event::SubChannels { status, count } if status == Status::SUCCESS => {
                self.sub_channels = Some(count);
            }
            Event::ShutDown => self.shut_down = true,
            // Where to send, how fast the link is: of no use here.
            Event::SendTable(_) | Event::LinkSpeed { .. } | Event::NetworkChange => {}
            other => return Err(unexpected(WHO, format_args!("{other:?}"))),
        }
        Ok(())
    }
}

impl From<PollError> for Error {
    fn from(error: PollError) -> Self {
        unexpected(WHO, error)
    }
}
