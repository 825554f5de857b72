//! The thin loop between the engine and a VMM.

use hvcall::host::synic::Delivery;
use hvcall::synic::MessageType;
use hvcall::{ConnectionId, HvStatus, Message};
use thiserror::Error;
use vmbus_ringbuf::{Halves, RingFault, RingMem, RingPair};

use super::{
    ChannelId, ChannelSignal, CloseTicket, Connected, Event, ForeignTicket, GpadlTicket, GpadlView,
    HandleError, Host, MessageTarget, ModifyTicket, OfferError, OfferParams, OpenParams, OpenTicket,
    RingPages, UnknownChannel,
};
use crate::wire::{GpadlId, Status, USER_DEFINED_SIZE};

/// The port that messages of the protocol come from. Guests do not look at it.
///
/// Source: Linux `VMBUS_MESSAGE_PORT_ID`.
const MESSAGE_PORT: u64 = 1;

/// What the [`Bus`] needs of a VMM.
///
/// All methods take `&self`, and the bus calls them while it is borrowed itself, so they must not call the bus.
pub trait Vmm {
    /// A mapped ring.
    type Ring: RingMem;
    /// Other memory of a guest, mapped.
    type Region;
    /// Why something did not work.
    type Error;

    /// Puts a message into the slot of the target VP's message page and raises the SINT:
    /// [`hvcall::host::synic::post_message`] does the first. While the VP has no message page, the slot is busy.
    ///
    /// # Errors
    /// When the message can never be delivered; it is dropped.
    fn post(&self, target: MessageTarget, message: &Message) -> Result<Delivery, Self::Error>;

    /// Interrupts the guest for a channel: sets the event flag and raises the SINT if the flag is new, or does nothing when the guest
    /// wants no interrupts.
    ///
    /// # Errors
    /// When it cannot be done.
    fn signal(&self, signal: ChannelSignal) -> Result<(), Self::Error>;

    /// Maps a channel's rings.
    ///
    /// # Errors
    /// When it cannot be done, for example since a page is no memory. The guest is told that the open failed.
    fn map_rings(&self, pages: &RingPages<'_>) -> Result<Halves<Self::Ring>, Self::Error>;

    /// Maps other memory of a guest.
    ///
    /// # Errors
    /// When it cannot be done, for example since a page is no memory.
    fn map_region(&self, memory: &GpadlView<'_>) -> Result<Self::Region, Self::Error>;
}

impl<V: Vmm + ?Sized> Vmm for &V {
    type Ring = V::Ring;
    type Region = V::Region;
    type Error = V::Error;

    fn post(&self, target: MessageTarget, message: &Message) -> Result<Delivery, Self::Error> {
        (**self).post(target, message)
    }

    fn signal(&self, signal: ChannelSignal) -> Result<(), Self::Error> {
        (**self).signal(signal)
    }

    fn map_rings(&self, pages: &RingPages<'_>) -> Result<Halves<Self::Ring>, Self::Error> {
        (**self).map_rings(pages)
    }

    fn map_region(&self, memory: &GpadlView<'_>) -> Result<Self::Region, Self::Error> {
        (**self).map_region(memory)
    }
}

/// A channel that the guest opens.
#[derive(Debug)]
pub struct OpenedChannel<R> {
    /// The channel.
    pub channel: ChannelId,
    /// To be answered with [`Bus::accept`] or [`Bus::refuse`].
    pub ticket: OpenTicket,
    /// Its rings, the host's end. They go to whoever serves the channel, and must be gone before a close is answered.
    pub rings: RingPair<R>,
    /// How to interrupt the guest.
    pub signal: ChannelSignal,
    /// The connection by which the guest signals the channel: a VMM binds an eventfd to it.
    pub connection_id: ConnectionId,
    /// The device's own bytes.
    pub user_data: [u8; USER_DEFINED_SIZE],
}

/// What the embedder of a [`Bus`] has to act on.
#[derive(Debug)]
#[non_exhaustive]
pub enum BusEvent<R, E> {
    /// The guest and the host agreed on a version.
    Connected(Connected),
    /// The guest took leave, or was restarted without.
    Disconnected,
    /// The guest opens a channel: have it served, and answer the ticket.
    ChannelOpened(OpenedChannel<R>),
    /// A channel is closed: stop serving it, drop the rings, and answer the ticket.
    ChannelClosed {
        /// The channel.
        channel: ChannelId,
        /// To be answered with [`Bus::closed`].
        ticket: CloseTicket,
    },
    /// The guest moves a channel's interrupts: hand the new signal to whoever serves it, then answer the ticket.
    ChannelMoved {
        /// The channel.
        channel: ChannelId,
        /// To be answered with [`Bus::moved`].
        ticket: ModifyTicket,
        /// How to interrupt the guest from now on.
        signal: ChannelSignal,
    },
    /// Memory that a device uses is wanted back: drop the mapping and [release](Bus::release_gpadl) it.
    GpadlTeardown {
        /// The channel.
        channel: ChannelId,
        /// The GPADL.
        gpadl: GpadlId,
    },
    /// A channel that was rescinded is gone.
    Released {
        /// The channel.
        channel: ChannelId,
    },
    /// The platform failed. What had to be done about it is done: this is to be logged.
    Failed(BusError<E>),
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BusError<E> {
    /// A message was dropped.
    #[error("a message to {target} was dropped: {error}")]
    Post {
        /// Where it should have gone.
        target: MessageTarget,
        /// Why.
        error: E,
    },
    /// An interrupt was not raised.
    #[error("event flag {} was not raised: {error}", signal.flag)]
    Signal {
        /// Which one.
        signal: ChannelSignal,
        /// Why.
        error: E,
    },
    /// A channel was not opened, as its rings could not be mapped. The guest was told so.
    #[error("the rings of {channel} were not mapped: {error}")]
    MapRings {
        /// The channel.
        channel: ChannelId,
        /// Why.
        error: E,
    },
    /// A channel was not opened, as its rings are corrupt from the start. The guest was told so.
    #[error("the rings of {channel} are none: {fault}")]
    Rings {
        /// The channel.
        channel: ChannelId,
        /// What is wrong.
        fault: RingFault,
    },
}

/// Memory of a guest that was not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MapError<E> {
    /// Peer: the channel has no such GPADL, or it is wanted back already.
    #[error("{channel} has no gpadl {gpadl}")]
    UnknownGpadl {
        /// The channel.
        channel: ChannelId,
        /// What was named.
        gpadl: GpadlId,
    },
    /// The platform failed.
    #[error("gpadl {gpadl} of {channel} was not mapped: {error}")]
    Vmm {
        /// The channel.
        channel: ChannelId,
        /// The GPADL.
        gpadl: GpadlId,
        /// Why.
        error: E,
    },
}

/// Why a guest's post was not followed. [`status`](Self::status) says what to answer to the hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PostError {
    /// Nobody listens there.
    #[error("nobody listens on connection {:#x}", connection.0)]
    NoSuchConnection {
        /// What the guest named.
        connection: ConnectionId,
    },
    /// The connection is the protocol's, but the message is none of it.
    #[error("{message_type} on a connection for channel messages")]
    NotVmbus {
        /// The message's type.
        message_type: MessageType,
    },
    /// A channel message that was refused.
    #[error(transparent)]
    Message(#[from] HandleError),
}

impl PostError {
    /// What to answer to the hypercall. A message that was taken and refused was posted all the same; one that has to be given again is
    /// to be posted again by the guest.
    #[must_use]
    pub const fn status(&self) -> HvStatus {
        match self {
            Self::NoSuchConnection { .. } => HvStatus::INVALID_CONNECTION_ID,
            Self::NotVmbus { .. } => HvStatus::INVALID_PARAMETER,
            Self::Message(HandleError::Busy) => HvStatus::INSUFFICIENT_BUFFERS,
            Self::Message(_) => HvStatus::SUCCESS,
        }
    }
}

/// The [`Host`] tied to a [`Vmm`]: delivers messages and interrupts, maps rings, and hands on what the VMM has to act on.
///
/// After each call, [`poll`](Self::poll) it until there is nothing more; and again after a while, or when the guest ends the
/// interrupt, as long as [`is_blocked`](Self::is_blocked).
#[derive(Debug)]
pub struct Bus<'a, V, const CHANNELS: usize = 64, const GPADLS: usize = 128, const REPLIES: usize = 32> {
    host: Host<'a, CHANNELS, GPADLS, REPLIES>,
    vmm: V,
    /// An interrupt that follows a message, and can fail by itself.
    signal: Option<ChannelSignal>,
}

impl<'a, V: Vmm, const CHANNELS: usize, const GPADLS: usize, const REPLIES: usize>
    Bus<'a, V, CHANNELS, GPADLS, REPLIES>
{
    /// A bus for this engine on this VMM.
    #[must_use]
    pub const fn new(host: Host<'a, CHANNELS, GPADLS, REPLIES>, vmm: V) -> Self {
        Self {
            host,
            vmm,
            signal: None,
        }
    }

    /// The engine.
    #[must_use]
    pub const fn host(&self) -> &Host<'a, CHANNELS, GPADLS, REPLIES> {
        &self.host
    }

    /// The VMM.
    #[must_use]
    pub const fn vmm(&self) -> &V {
        &self.vmm
    }

    /// Takes what a guest posted by hypercall; `payload` is a private copy.
    ///
    /// # Errors
    /// When it was not followed; answer the hypercall with the error's [`status`](PostError::status), and with success otherwise.
    pub fn post(
        &mut self,
        connection: ConnectionId,
        message_type: MessageType,
        payload: &[u8],
    ) -> Result<(), PostError> {
        if !self.host.takes_messages_on(connection) {
            return Err(PostError::NoSuchConnection { connection });
        }
        if message_type != MessageType::VMBUS {
            return Err(PostError::NotVmbus { message_type });
        }
        Ok(self.host.handle_message(payload)?)
    }

    /// Delivers what can be delivered, and gives what the VMM has to act on next.
    #[must_use]
    pub fn poll(&mut self) -> Option<BusEvent<V::Ring, V::Error>> {
        loop {
            if let Err(error) = self.flush() {
                return Some(BusEvent::Failed(error));
            }
            return Some(match self.host.poll_event()? {
                Event::Open {
                    channel,
                    ticket,
                    request,
                } => match self.open(channel, ticket, &request) {
                    Some(event) => event,
                    // It was refused by itself.
                    None => continue,
                },
                Event::Close { channel, ticket } => BusEvent::ChannelClosed { channel, ticket },
                Event::Modify {
                    channel,
                    ticket,
                    signal,
                } => BusEvent::ChannelMoved {
                    channel,
                    ticket,
                    signal,
                },
                Event::GpadlTeardown { channel, gpadl } => BusEvent::GpadlTeardown { channel, gpadl },
                Event::Released { channel } => BusEvent::Released { channel },
                Event::Connected(connected) => BusEvent::Connected(connected),
                Event::Disconnected => BusEvent::Disconnected,
            });
        }
    }

    /// Whether a message waits for its slot to become free.
    #[must_use]
    pub fn is_blocked(&mut self) -> bool {
        self.host.next_message().is_some()
    }

    fn flush(&mut self) -> Result<(), BusError<V::Error>> {
        loop {
            if let Some(signal) = self.signal.take() {
                self.vmm
                    .signal(signal)
                    .map_err(|error| BusError::Signal { signal, error })?;
            }
            let Some(outbound) = self.host.next_message() else {
                return Ok(());
            };
            let target = outbound.target;
            // A channel message is never longer than a SynIC message's payload.
            let delivery = match Message::new(MessageType::VMBUS, MESSAGE_PORT, &outbound.payload()) {
                Ok(message) => self.vmm.post(target, &message),
                Err(_) => Ok(Delivery::Delivered),
            };
            match delivery {
                Ok(Delivery::SlotBusy) => return Ok(()),
                Ok(Delivery::Delivered) => {
                    self.signal = outbound.then_signal;
                    self.host.message_delivered();
                }
                Err(error) => {
                    self.host.message_delivered();
                    return Err(BusError::Post { target, error });
                }
            }
        }
    }

    fn open(
        &mut self,
        channel: ChannelId,
        ticket: OpenTicket,
        request: &OpenParams,
    ) -> Option<BusEvent<V::Ring, V::Error>> {
        let Some(pages) = self.host.rings(channel) else {
            // The guest tears down the rings that it asks to be opened.
            self.host.complete_open(ticket, Status::UNSUCCESSFUL).ok()?;
            return None;
        };
        let error = match self.vmm.map_rings(&pages) {
            Ok(halves) => match RingPair::host(halves) {
                Ok(rings) => {
                    return Some(BusEvent::ChannelOpened(OpenedChannel {
                        channel,
                        ticket,
                        rings,
                        signal: request.signal,
                        connection_id: request.connection_id,
                        user_data: request.user_data,
                    }));
                }
                Err(fault) => BusError::Rings { channel, fault },
            },
            Err(error) => BusError::MapRings { channel, error },
        };
        self.host.complete_open(ticket, Status::UNSUCCESSFUL).ok()?;
        Some(BusEvent::Failed(error))
    }

    /// [`Host::offer`].
    ///
    /// # Errors
    /// As there.
    pub fn offer(&mut self, params: OfferParams) -> Result<ChannelId, OfferError> {
        self.host.offer(params)
    }

    /// [`Host::offer_subchannel`].
    ///
    /// # Errors
    /// As there.
    pub fn offer_subchannel(&mut self, parent: ChannelId, index: u16) -> Result<ChannelId, OfferError> {
        self.host.offer_subchannel(parent, index)
    }

    /// [`Host::rescind`].
    ///
    /// # Errors
    /// As there.
    pub fn rescind(&mut self, channel: ChannelId) -> Result<(), UnknownChannel> {
        self.host.rescind(channel)
    }

    /// The channel is served: the guest may use it.
    ///
    /// # Errors
    /// When the ticket is not of this bus.
    pub fn accept(&mut self, ticket: OpenTicket) -> Result<(), ForeignTicket> {
        self.host.complete_open(ticket, Status::SUCCESS)
    }

    /// The channel is not served, and the rings are dropped.
    ///
    /// # Errors
    /// When the ticket is not of this bus.
    pub fn refuse(&mut self, ticket: OpenTicket, status: Status) -> Result<(), ForeignTicket> {
        let status = if status.is_success() {
            Status::UNSUCCESSFUL
        } else {
            status
        };
        self.host.complete_open(ticket, status)
    }

    /// The channel is no longer served, and the rings are dropped.
    ///
    /// # Errors
    /// When the ticket is not of this bus.
    pub fn closed(&mut self, ticket: CloseTicket) -> Result<(), ForeignTicket> {
        self.host.complete_close(ticket)
    }

    /// The channel is signalled as the event said.
    pub fn moved(&mut self, ticket: ModifyTicket) {
        self.host.complete_modify(ticket);
    }

    /// Maps memory that the guest has named to a device. The mapping is to be dropped before the ticket is
    /// [released](Self::release_gpadl), which [`BusEvent::GpadlTeardown`] asks for, if nothing else does.
    ///
    /// # Errors
    /// When there is no such GPADL, or the VMM cannot map it.
    pub fn map_gpadl(
        &mut self,
        channel: ChannelId,
        gpadl: GpadlId,
    ) -> Result<(V::Region, GpadlTicket), MapError<V::Error>> {
        let view = self
            .host
            .gpadl(channel, gpadl)
            .ok_or(MapError::UnknownGpadl { channel, gpadl })?;
        let region = self.vmm.map_region(&view).map_err(|error| MapError::Vmm {
            channel,
            gpadl,
            error,
        })?;
        let ticket = self
            .host
            .use_gpadl(channel, gpadl)
            .ok_or(MapError::UnknownGpadl { channel, gpadl })?;
        Ok((region, ticket))
    }

    /// The mapping is dropped.
    ///
    /// # Errors
    /// When the ticket is not of this bus.
    pub fn release_gpadl(&mut self, ticket: GpadlTicket) -> Result<(), ForeignTicket> {
        self.host.release_gpadl(ticket)
    }
}
