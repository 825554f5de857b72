//! The thin loop between the engine and a platform.

use core::time::Duration;

use hvcall::synic::MessageType;
use hvcall::{ConnectionId, HvStatus, Message, VpIndex};
use thiserror::Error;
use vmbus_ringbuf::{RingFault, RingPair, Signal};

use super::event::{Event, Opened, ReturnReason};
use super::fault::{CallError, HandleError, Rejected};
use super::hal::Hal;
use super::outbox::Posted;
use super::params::{ChannelId, ChannelSignal, Flagged, OpenParams};
use super::{Guest, MonitorAddresses};
use crate::wire::GpadlId;

/// A channel that is open.
#[derive(Debug)]
pub struct OpenedChannel<R> {
    /// The channel.
    pub channel: ChannelId,
    /// Its rings, the guest's end. They go to whoever serves the channel, who should look at them once at once, and must be gone before
    /// the channel is closed, released, or the bus unloaded.
    pub rings: RingPair<R>,
    /// How to signal the host, for whoever does it without the bus.
    pub signal: ChannelSignal,
}

/// What failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BusError<M, E> {
    /// The hypervisor does not take a message. What it was for fails too, now or when its answer is overdue.
    #[error("a message on connection {:#x} was refused: {status}", connection.0)]
    Post {
        /// The connection.
        connection: ConnectionId,
        /// What the hypercall said.
        status: HvStatus,
    },
    /// The host opened a channel whose rings could not be made. It is closed again.
    #[error("the rings of {channel} were not made: {error}")]
    MapRings {
        /// The channel.
        channel: ChannelId,
        /// Why.
        error: E,
    },
    /// The host opened a channel whose rings are corrupt from the start. It is closed again.
    #[error("the rings of {channel} are none: {fault}")]
    Rings {
        /// The channel.
        channel: ChannelId,
        /// What is wrong.
        fault: RingFault,
    },
    /// Memory that came back is still shared: it must not be used for what the host may not see.
    #[error("gpadl {gpadl} of {channel} is still shared: {error}")]
    Unshare {
        /// The channel.
        channel: ChannelId,
        /// The GPADL.
        gpadl: GpadlId,
        /// The memory.
        memory: M,
        /// How it came back.
        reason: ReturnReason,
        /// Why it is still shared.
        error: E,
    },
}

/// A call on the bus that was not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BusCallError<E> {
    /// The caller's mistake, or a capacity.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The platform could not share the memory.
    #[error("the memory was not shared: {0}")]
    Share(E),
    /// The platform could not signal the host.
    #[error("the host was not signalled: {0}")]
    Signal(E),
}

/// Why a SynIC message was not followed. The slot is to be freed all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MessageError {
    /// It is none of the protocol's: a timer's, or an intercept.
    #[error("{message_type} is no message of VMBus")]
    NotVmbus {
        /// The message's type.
        message_type: MessageType,
    },
    /// Its header claims more bytes than a message can hold.
    #[error("a message of {len} bytes")]
    Length {
        /// The bytes that it claims.
        len: u8,
    },
    /// A channel message that was dropped.
    #[error(transparent)]
    Message(#[from] HandleError),
}

/// The [`Guest`] tied to a [`Hal`]: posts messages, makes rings, and hands on what the embedder has to act on.
///
/// After each call, [`poll`](Self::poll) it until there is nothing more; and again when [`poll_timeout`](Self::poll_timeout) says so.
#[derive(Debug)]
pub struct Bus<H: Hal, const CHANNELS: usize = 64, const GPADLS: usize = 128> {
    guest: Guest<H::Memory, CHANNELS, GPADLS>,
    hal: H,
}

/// What the embedder of a [`Bus`] has to act on: what the engine tells, with rings where a channel is open; or that the platform failed.
pub type BusEvent<H> = Result<Event<<H as Hal>::Memory, OpenedChannel<<H as Hal>::Ring>>, BusErrorOf<H>>;
type BusErrorOf<H> = BusError<<H as Hal>::Memory, <H as Hal>::Error>;
/// Memory that was not lent, and why.
pub type BusRejected<H> = Rejected<<H as Hal>::Memory, BusCallError<<H as Hal>::Error>>;

impl<H: Hal, const CHANNELS: usize, const GPADLS: usize> Bus<H, CHANNELS, GPADLS> {
    /// A bus for this engine on this platform.
    #[must_use]
    pub const fn new(guest: Guest<H::Memory, CHANNELS, GPADLS>, hal: H) -> Self {
        Self { guest, hal }
    }

    /// The engine.
    #[must_use]
    pub const fn guest(&self) -> &Guest<H::Memory, CHANNELS, GPADLS> {
        &self.guest
    }

    /// The platform.
    #[must_use]
    pub const fn hal(&self) -> &H {
        &self.hal
    }

    /// Takes a message, a private copy of what stands in the SINT's slot of the message page. Free the slot then: set its type to 0, and
    /// where the copy says that more are [pending](hvcall::synic::MessageFlags::PENDING), write [`EOM`](hvcall::synic::EOM).
    ///
    /// # Errors
    /// Why it was not followed. This is to be logged.
    pub fn handle_message(&mut self, message: &Message) -> Result<(), MessageError> {
        let message_type = message.message_type();
        if message_type != MessageType::VMBUS {
            return Err(MessageError::NotVmbus { message_type });
        }
        let payload = message.payload().ok_or(MessageError::Length {
            len: message.header.payload_size,
        })?;
        Ok(self.guest.handle_message(payload)?)
    }

    /// [`Guest::flagged`].
    #[must_use]
    pub fn flagged(&self, flag: u16) -> Flagged {
        self.guest.flagged(flag)
    }

    /// Posts what can be posted, and gives what the embedder has to act on next.
    #[must_use]
    pub fn poll(&mut self) -> Option<BusEvent<H>> {
        self.guest.handle_timeout(self.hal.now());
        loop {
            if let Err(error) = self.flush() {
                return Some(Err(error));
            }
            return Some(Ok(match self.guest.poll_event()? {
                Event::Opened(opened) => match self.opened(opened) {
                    Some(Ok(opened)) => Event::Opened(opened),
                    Some(Err(error)) => return Some(Err(error)),
                    None => continue,
                },
                Event::MemoryReturned {
                    channel,
                    gpadl,
                    memory,
                    reason,
                } => {
                    if let Err(error) = self.hal.unshare(&memory) {
                        return Some(Err(BusError::Unshare {
                            channel,
                            gpadl,
                            memory,
                            reason,
                            error,
                        }));
                    }
                    Event::MemoryReturned {
                        channel,
                        gpadl,
                        memory,
                        reason,
                    }
                }
                Event::Connected(connected) => Event::Connected(connected),
                Event::ConnectFailed(error) => Event::ConnectFailed(error),
                Event::Disconnected(reason) => Event::Disconnected(reason),
                Event::Offered(offer) => Event::Offered(offer),
                Event::AllOffersDelivered => Event::AllOffersDelivered,
                Event::Rescinded { channel } => Event::Rescinded { channel },
                Event::OpenFailed { channel, error } => Event::OpenFailed { channel, error },
                Event::Modified { channel, result } => Event::Modified { channel, result },
                Event::GpadlCreated { channel, gpadl } => Event::GpadlCreated { channel, gpadl },
                Event::Overdue(overdue) => Event::Overdue(overdue),
                Event::Paused => Event::Paused,
                Event::ConnectionModified(result) => Event::ConnectionModified(result),
            }));
        }
    }

    /// When to [`poll`](Self::poll) again at the latest, by the clock of [`Hal::now`], if the host does not say anything before. `None`
    /// when nothing waits for time to pass.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.guest.poll_timeout()
    }

    fn flush(&mut self) -> Result<(), BusErrorOf<H>> {
        while let Some(outbound) = self.guest.next_message() {
            let connection = outbound.connection;
            let status = self.hal.post(connection, &outbound.payload);
            if self.guest.message_posted(status) == Posted::Refused {
                return Err(BusError::Post { connection, status });
            }
        }
        // What was just posted starts to wait.
        self.guest.handle_timeout(self.hal.now());
        Ok(())
    }

    /// Makes the rings of a channel that is open; closes it when they cannot be made.
    fn opened(&mut self, opened: Opened) -> Option<Result<OpenedChannel<H::Ring>, BusErrorOf<H>>> {
        let Opened { channel, signal } = opened;
        let (memory, downstream) = self.guest.rings(channel)?;
        let error = match self.hal.rings(memory, downstream).map(RingPair::guest) {
            Ok(Ok(rings)) => {
                return Some(Ok(OpenedChannel {
                    channel,
                    rings,
                    signal,
                }));
            }
            Ok(Err(fault)) => BusError::Rings { channel, fault },
            Err(error) => BusError::MapRings { channel, error },
        };
        self.guest.close(channel).ok()?;
        Some(Err(error))
    }

    /// [`Guest::connect`].
    ///
    /// # Errors
    /// As there.
    pub fn connect(&mut self) -> Result<(), CallError> {
        self.guest.connect()
    }

    /// [`Guest::open`], of memory that is shared here.
    ///
    /// # Errors
    /// As there, or when the memory cannot be shared.
    pub fn open(
        &mut self,
        channel: ChannelId,
        memory: H::Memory,
        params: OpenParams,
    ) -> Result<GpadlId, BusRejected<H>> {
        self.shared(memory, |guest, memory| guest.open(channel, memory, params))
    }

    /// [`Guest::lend`], of memory that is shared here.
    ///
    /// # Errors
    /// As there, or when the memory cannot be shared.
    pub fn lend(&mut self, channel: ChannelId, memory: H::Memory) -> Result<GpadlId, BusRejected<H>> {
        self.shared(memory, |guest, memory| guest.lend(channel, memory))
    }

    fn shared(
        &mut self,
        memory: H::Memory,
        lend: impl FnOnce(
            &mut Guest<H::Memory, CHANNELS, GPADLS>,
            H::Memory,
        ) -> Result<GpadlId, Rejected<H::Memory>>,
    ) -> Result<GpadlId, BusRejected<H>> {
        if let Err(error) = self.hal.share(&memory) {
            let error = BusCallError::Share(error);
            return Err(Rejected { memory, error });
        }
        lend(&mut self.guest, memory).map_err(|Rejected { memory, error }| {
            let error = match self.hal.unshare(&memory) {
                Ok(()) => BusCallError::Call(error),
                Err(error) => BusCallError::Share(error),
            };
            Rejected { memory, error }
        })
    }

    /// Signals the host for an open channel, if that is needed: what the rings' calls give goes here.
    ///
    /// # Errors
    /// When the channel is not open, or the platform fails.
    pub fn signal(&self, channel: ChannelId, signal: Signal) -> Result<(), BusCallError<H::Error>> {
        if !signal.is_needed() {
            return Ok(());
        }
        let signal = self
            .guest
            .signal(channel)
            .ok_or(CallError::UnknownChannel { channel })?;
        self.hal.signal(signal).map_err(BusCallError::Signal)
    }

    /// [`Guest::close`].
    ///
    /// # Errors
    /// As there.
    pub fn close(&mut self, channel: ChannelId) -> Result<(), CallError> {
        self.guest.close(channel)
    }

    /// [`Guest::modify`].
    ///
    /// # Errors
    /// As there.
    pub fn modify(&mut self, channel: ChannelId, target_vp: Option<VpIndex>) -> Result<(), CallError> {
        self.guest.modify(channel, target_vp)
    }

    /// [`Guest::teardown`].
    ///
    /// # Errors
    /// As there.
    pub fn teardown(&mut self, gpadl: GpadlId) -> Result<(), CallError> {
        self.guest.teardown(gpadl)
    }

    /// [`Guest::release`].
    ///
    /// # Errors
    /// As there.
    pub fn release(&mut self, channel: ChannelId) -> Result<(), CallError> {
        self.guest.release(channel)
    }

    /// [`Guest::unload`].
    ///
    /// # Errors
    /// As there.
    pub fn unload(&mut self) -> Result<(), CallError> {
        self.guest.unload()
    }

    /// [`Guest::connection_lost`].
    pub fn connection_lost(&mut self) {
        self.guest.connection_lost();
    }

    /// [`Guest::pause`].
    ///
    /// # Errors
    /// As there.
    pub fn pause(&mut self) -> Result<(), CallError> {
        self.guest.pause()
    }

    /// [`Guest::resume`].
    ///
    /// # Errors
    /// As there.
    pub fn resume(&mut self) -> Result<(), CallError> {
        self.guest.resume()
    }

    /// [`Guest::modify_connection`].
    ///
    /// # Errors
    /// As there.
    pub fn modify_connection(&mut self, monitor_pages: Option<MonitorAddresses>) -> Result<(), CallError> {
        self.guest.modify_connection(monitor_pages)
    }
}
