//! One channel, as a driver uses it.

use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{
    self, Descriptor, Outgoing, Packet, PacketType, ReadError, RingMem, RingPair, Signal, Transactions,
    WriteError,
};
use zerocopy::little_endian::{U16, U32};

use super::RequestId;
use super::event::{Event, Fault, SubmitError};
use super::negotiation::{Negotiation, Properties};
use super::outcome::Outcome;
use crate::scsi::Cdb;
use crate::wire::{
    self, DataDirection, GuestMessage, HostMessage, LunAddress, MAX_PACKET_LEN, Operation, PacketForm,
    ProtocolVersion, QueueAction, ScsiRequest, SrbFlags, SrbPacket,
};

/// The transaction id of the negotiation: no request has it. Linux uses the same.
const CONTROL_ID: u64 = u64::MAX;

/// One channel of a controller, as a driver uses it.
///
/// It is a value that is fed by its rings: call [`poll`](Self::poll) after opening the channel and whenever the host
/// signals. A primary channel negotiates by itself; from [`Event::Ready`] on, commands are [sent](Self::submit), or
/// [several together](Self::batch), and told [complete](Event::Completed). `DEPTH` is how many may be under way.
///
/// # Bounds
///
/// Whatever a host sends, the queue holds `DEPTH` commands of 12 bytes, and on a 64-bit machine 280 bytes with the handles of its
/// rings; one more command is refused with [`SubmitError::NoTicket`]. No packet is kept: a [`poll`](Self::poll) takes one, copied to the stack and judged, and
/// sends at most one of the negotiation's. A [`submit`](Self::submit) writes one packet, with the pages that it is given.
#[derive(Debug)]
pub struct Queue<M, const DEPTH: usize> {
    ring: RingPair<M>,
    negotiation: Negotiation,
    /// With the bytes of each command's buffer.
    tickets: Transactions<u32, DEPTH>,
    /// A signal that is needed and was not returned yet.
    owed: Signal,
    fault: Option<Fault>,
}

/// What [`Queue::poll`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "signals, and whether to come again, have to be acted on"]
pub struct Polled {
    /// Whether the host has to be signalled.
    pub signal: Signal,
    /// Whether to call again at once. If not, it is time when the host signals.
    pub again: bool,
    /// What happened.
    pub event: Option<Event>,
}

/// A command that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the host may have to be signalled"]
pub struct Submitted {
    /// What [`Event::Completed`] will name.
    pub id: RequestId,
    /// Whether the host has to be signalled.
    pub signal: Signal,
}

/// The buffer of a command: pages that the host reads or writes until the command is complete.
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// None.
    None,
    /// The device's data goes there.
    In(GpaRange<'a>),
    /// The data for the device is there.
    Out(GpaRange<'a>),
}

impl<M: RingMem, const DEPTH: usize> Queue<M, DEPTH> {
    /// A primary channel that was just opened.
    #[must_use]
    pub const fn primary(ring: RingPair<M>) -> Self {
        Self::new(ring, Negotiation::primary())
    }

    /// A sub-channel that was just opened: ready at once, with what [`Event::Ready`] told of the primary one.
    #[must_use]
    pub const fn sub_channel(ring: RingPair<M>, version: ProtocolVersion, properties: Properties) -> Self {
        Self::new(ring, Negotiation::sub_channel(version, properties))
    }

    const fn new(ring: RingPair<M>, negotiation: Negotiation) -> Self {
        Self {
            ring,
            negotiation,
            tickets: Transactions::new(),
            owed: Signal::NotNeeded,
            fault: None,
        }
    }

    /// Commands under way.
    #[must_use]
    pub const fn outstanding(&self) -> usize {
        self.tickets.pending()
    }

    /// What poisoned the channel, if anything did.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    #[inline]
    fn check(&self) -> Result<(), Fault> {
        self.fault.map_or(Ok(()), Err)
    }

    #[cold]
    fn poison<T>(&mut self, fault: Fault) -> Result<T, Fault> {
        self.fault = Some(fault);
        Err(fault)
    }

    /// Takes the next packet of the host's, and sends what the negotiation is to send.
    ///
    /// # Errors
    /// A breach of the protocol, or a host that refuses to negotiate; from then on always.
    #[inline]
    pub fn poll(&mut self) -> Result<Polled, Fault> {
        self.check()?;
        self.ring.incoming.mask_interrupts();
        let mut signal = core::mem::replace(&mut self.owed, Signal::NotNeeded);
        let (again, event) = match self.receive() {
            Ok(Some(event)) => {
                signal = signal | self.ring.incoming.release_part();
                (true, event)
            }
            Ok(None) => {
                signal = signal | self.ring.incoming.release();
                (self.ring.incoming.unmask_interrupts(), None)
            }
            Err(fault) => return self.poison(fault),
        };
        if !self.negotiation.is_silent() {
            match self.send_control() {
                Ok(sent) => signal = signal | sent,
                // What happened is told first, as nobody would tell it again, and the fault by the next call.
                Err(_) if event.is_some() => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(Polled { signal, again, event })
    }

    /// Reads a packet, if there is one: what it means, if anything.
    #[inline]
    fn receive(&mut self) -> Result<Option<Option<Event>>, Fault> {
        let mut scratch = [0; MAX_PACKET_LEN];
        let packet = match self.ring.incoming.read(&mut scratch) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(None),
            Err(error) => return Err(unreadable(error)),
        };
        let transaction_id = packet.transaction_id();
        let buffer = match packet.kind() {
            PacketType::COMPLETION => self.tickets.get(transaction_id).copied(),
            _ => None,
        };
        if let Some(buffer) = buffer
            && let Some(body) = HostMessage::answer(packet.payload())
        {
            // All is judged before the request is ended: one whose answer is a breach is told by `abort`.
            let mut short = ScsiRequest::default();
            let answer = wire::srb(Operation::COMPLETE_IO, body, &mut short)?;
            let outcome = Outcome::of(answer, self.negotiation.form());
            if outcome.transferred > buffer {
                return Err(Fault::TransferLength {
                    transferred: outcome.transferred,
                    buffer,
                });
            }
            let ended = self.tickets.end(transaction_id);
            let (id, _) = ended.ok_or(Fault::UnknownRequest { transaction_id })?;
            return Ok(Some(Some(Event::Completed { id, outcome })));
        }
        self.receive_other(&packet).map(Some)
    }

    /// What a packet means that is not the answer to a command which is under way.
    #[cold]
    fn receive_other(&mut self, packet: &Packet<'_>) -> Result<Option<Event>, Fault> {
        let transaction_id = packet.transaction_id();
        let answers = match packet.kind() {
            PacketType::COMPLETION => true,
            PacketType::IN_BAND => false,
            kind => return Err(Fault::PacketType { kind }),
        };
        let message = HostMessage::decode(packet.payload())?;
        let HostMessage::CompleteIo(completion) = message else {
            if answers {
                return Err(Fault::Misplaced {
                    operation: message.operation(),
                    transaction_id,
                });
            }
            return Ok(notice(&message));
        };
        if !answers || transaction_id == 0 {
            return Err(Fault::Misplaced {
                operation: message.operation(),
                transaction_id,
            });
        }
        let unasked = Fault::UnknownRequest { transaction_id };
        if transaction_id != CONTROL_ID {
            return Err(unasked);
        }
        self.negotiation.answer(&completion).ok_or(unasked)?
    }

    /// Sends the negotiation's message, or leaves it for later when the ring is full.
    #[cold]
    fn send_control(&mut self) -> Result<Signal, Fault> {
        let Some(message) = self.negotiation.outbound() else {
            return Ok(Signal::NotNeeded);
        };
        let packet = message.encode(self.negotiation.form());
        match self.ring.outgoing.write(&Outgoing {
            transaction_id: CONTROL_ID,
            request_completion: true,
            descriptor: Descriptor::InBand,
            payload: &[packet.as_bytes()],
        }) {
            Ok(signal) => {
                self.negotiation.mark_sent();
                Ok(signal)
            }
            Err(WriteError::Full { .. }) => Ok(Signal::NotNeeded),
            Err(WriteError::Fault(fault)) => self.poison(fault.into()),
            Err(_) => self.poison(Fault::Closed),
        }
    }

    /// Sends a command. Its buffer is the host's until [`Event::Completed`] names it.
    ///
    /// # Errors
    /// When it cannot be sent, or not now.
    #[inline]
    pub fn submit(&mut self, at: LunAddress, cdb: &Cdb, data: Data<'_>) -> Result<Submitted, SubmitError> {
        let mut batch = self.batch()?;
        let id = batch.submit(at, cdb, data)?;
        let signal = batch.finish();
        Ok(Submitted { id, signal })
    }

    /// Starts a batch: commands that are sent together, which is cheaper than one by one, with one signal at most.
    ///
    /// ```
    /// use storvsc_proto::guest::{Data, Queue, SubmitError};
    /// use storvsc_proto::scsi::Cdb;
    /// use storvsc_proto::wire::LunAddress;
    /// use vmbus_proto::ringbuf::gpa::GpaRange;
    /// use vmbus_proto::ringbuf::RingMem;
    ///
    /// /// Sends as many of these reads as there is room for. Returns how many.
    /// fn send<M: RingMem>(
    ///     queue: &mut Queue<M, 64>,
    ///     reads: &[(Cdb, GpaRange<'_>)],
    ///     signal_host: impl Fn(),
    /// ) -> Result<usize, SubmitError> {
    ///     let mut batch = queue.batch()?;
    ///     let mut sent = 0;
    ///     for (cdb, buffer) in reads {
    ///         match batch.submit(LunAddress::lun(0), cdb, Data::In(*buffer)) {
    ///             Ok(_id) => sent += 1,
    ///             // The rest can go when some of these are complete.
    ///             Err(SubmitError::NoTicket { .. } | SubmitError::RingFull) => break,
    ///             Err(error) => return Err(error),
    ///         }
    ///     }
    ///     if batch.finish().is_needed() {
    ///         signal_host();
    ///     }
    ///     Ok(sent)
    /// }
    /// ```
    ///
    /// # Errors
    /// When no command can be sent, now or ever.
    #[inline]
    pub fn batch(&mut self) -> Result<Batch<'_, M, DEPTH>, SubmitError> {
        self.check()?;
        let (version, properties) = self.negotiation.ready().ok_or(SubmitError::NotReady)?;
        Ok(Batch {
            ring: Some(self.ring.outgoing.batch()),
            tickets: &mut self.tickets,
            owed: &mut self.owed,
            fault: &mut self.fault,
            form: version.packet_form(),
            max_transfer_bytes: properties.max_transfer_bytes,
        })
    }

    /// Asks for sub-channels: the host offers them after [`Event::Answered`] says success.
    ///
    /// # Errors
    /// When there are not so many, or it cannot be asked now.
    pub fn create_sub_channels(&mut self, count: u16) -> Result<Signal, SubmitError> {
        let (_, properties) = self.negotiation.ready().ok_or(SubmitError::NotReady)?;
        if count > properties.max_sub_channels {
            return Err(SubmitError::TooLong {
                len: u64::from(count),
                most: u64::from(properties.max_sub_channels),
            });
        }
        self.ask(GuestMessage::CreateSubChannels(count))
    }

    /// Resets a bus: the host ends what hangs there, and answers it.
    ///
    /// # Errors
    /// When it cannot be asked now.
    pub fn reset_bus(&mut self, path: u8) -> Result<Signal, SubmitError> {
        self.negotiation.ready().ok_or(SubmitError::NotReady)?;
        self.ask(GuestMessage::ResetBus { path })
    }

    fn ask(&mut self, message: GuestMessage) -> Result<Signal, SubmitError> {
        self.check()?;
        if !self.negotiation.ask(message) {
            return Err(SubmitError::Busy);
        }
        Ok(self.send_control()?)
    }

    /// Gives the channel up, when its offer was rescinded, its device failed, or a [`Fault`] came: names each command that is
    /// under way, once, until there is none.
    ///
    /// Such a command failed, and its buffer must not be used for anything else yet: the host may still write to it, until
    /// the channel is closed and the host has let go of its memory.
    pub fn abort(&mut self) -> Option<RequestId> {
        self.fault.get_or_insert(Fault::Closed);
        self.tickets.end_any().map(|(id, _)| id)
    }
}

/// What a host tells unasked.
const fn notice(message: &HostMessage) -> Option<Event> {
    match message {
        HostMessage::CompleteIo(_) => None,
        HostMessage::EnumerateBus => Some(Event::EnumerateBus),
        HostMessage::RemoveDevice => Some(Event::RemoveDevice),
        HostMessage::FcHbaData(names) => Some(Event::FcHbaData(*names)),
        HostMessage::EventNotification(event) => Some(Event::Notification(*event)),
    }
}

/// The fault behind a packet that cannot be read.
#[cold]
const fn unreadable(error: ReadError) -> Fault {
    match error {
        ReadError::Fault(fault) => Fault::Ring(fault),
        ReadError::ScratchTooSmall { needed, .. } => Fault::PacketTooLong { len: needed },
        _ => Fault::PacketTooLong { len: usize::MAX },
    }
}

/// Commands that are sent together: what [`Queue::batch`] starts.
///
/// The host sees none of them before [`finish`](Self::finish), but for a ring that gets full: then what was submitted so far
/// is sent at once. A batch that is dropped is sent too, and whether the host has to be signalled is told by the next call
/// of the queue's that tells such a thing.
#[derive(Debug)]
#[must_use = "`finish` tells whether the host has to be signalled"]
pub struct Batch<'a, M: RingMem, const DEPTH: usize> {
    /// Until the batch is sent.
    ring: Option<ringbuf::Batch<'a, M>>,
    tickets: &'a mut Transactions<u32, DEPTH>,
    owed: &'a mut Signal,
    fault: &'a mut Option<Fault>,
    form: PacketForm,
    max_transfer_bytes: u32,
}

impl<M: RingMem, const DEPTH: usize> Batch<'_, M, DEPTH> {
    /// Adds a command. Its buffer is the host's until [`Event::Completed`] names it.
    ///
    /// # Errors
    /// When it cannot be sent, or not now. The batch goes on without it.
    #[inline]
    pub fn submit(&mut self, at: LunAddress, cdb: &Cdb, data: Data<'_>) -> Result<RequestId, SubmitError> {
        let (direction, flags, range) = match &data {
            Data::None => (DataDirection::NONE, SrbFlags::empty(), None),
            Data::In(range) => (DataDirection::IN, SrbFlags::DATA_IN, Some(range)),
            Data::Out(range) => (DataDirection::OUT, SrbFlags::DATA_OUT, Some(range)),
        };
        let len = range.map_or(0, GpaRange::byte_count);
        if len > self.max_transfer_bytes {
            return Err(SubmitError::TooLong {
                len: u64::from(len),
                most: u64::from(self.max_transfer_bytes),
            });
        }
        let id = self
            .tickets
            .next()
            .ok_or(SubmitError::NoTicket { depth: DEPTH })?;
        let packet = SrbPacket::command(srb(at, cdb, direction, flags, len, self.form));
        let descriptor = match range {
            None => Descriptor::InBand,
            Some(range) => Descriptor::GpaDirect(core::slice::from_ref(range)),
        };
        let outgoing = Outgoing {
            transaction_id: id.number(),
            request_completion: true,
            descriptor,
            payload: &[packet.bytes(self.form)],
        };
        // It is there until `finish` takes the batch itself.
        let ring = self.ring.as_mut().ok_or(Fault::Closed)?;
        match ring.push(&outgoing) {
            Ok(()) => {
                // No answer is looked at before the batch ends, so that it is known in time.
                self.tickets.start(id, len);
                Ok(id)
            }
            Err(error) => Err(self.refused(error)),
        }
    }

    #[cold]
    fn refused(&mut self, error: WriteError) -> SubmitError {
        let fault = match error {
            WriteError::Full { .. } => return SubmitError::RingFull,
            WriteError::TooLarge { needed, max } => {
                return SubmitError::TooLong {
                    len: needed,
                    most: u64::from(max),
                };
            }
            WriteError::Fault(fault) => fault.into(),
            _ => return SubmitError::Fault(Fault::Closed),
        };
        *self.fault = Some(fault);
        SubmitError::Fault(fault)
    }

    /// Sends the commands, and tells whether the host has to be signalled.
    #[inline]
    pub fn finish(mut self) -> Signal {
        self.send();
        core::mem::replace(self.owed, Signal::NotNeeded)
    }

    #[inline]
    fn send(&mut self) {
        if let Some(ring) = self.ring.take() {
            *self.owed = *self.owed | ring.publish();
        }
    }
}

impl<M: RingMem, const DEPTH: usize> Drop for Batch<'_, M, DEPTH> {
    #[inline]
    fn drop(&mut self) {
        self.send();
    }
}

#[inline]
fn srb(
    at: LunAddress,
    cdb: &Cdb,
    direction: DataDirection,
    flags: SrbFlags,
    len: u32,
    form: PacketForm,
) -> ScsiRequest {
    let mut cdb_or_sense = [0; 20];
    if let Some((to, _)) = cdb_or_sense.split_first_chunk_mut() {
        *to = *cdb.padded();
    }
    let flags =
        flags | SrbFlags::QUEUE_ACTION_ENABLE | SrbFlags::DISABLE_SYNCH_TRANSFER | SrbFlags::NO_QUEUE_FREEZE;
    ScsiRequest {
        length: U16::new(u16::try_from(form.body_len()).unwrap_or(u16::MAX)),
        path: at.path,
        target: at.target,
        lun: at.lun,
        cdb_length: cdb.length(),
        sense_length: u8::try_from(form.sense_len()).unwrap_or(u8::MAX),
        direction,
        transfer_length: U32::new(len),
        cdb_or_sense,
        // No tag.
        queue_tag: 0xff,
        queue_action: QueueAction::SIMPLE,
        flags: U32::new(flags.bits()),
        timeout: U32::new(60),
        ..Default::default()
    }
}
