//! What a queue is besides the copy of the packet that it works on: rings, negotiation, requests under way.

use vmbus_proto::ringbuf::{
    Descriptor, Outgoing, Packet, PacketType, ReadError, RingMem, RingPair, Signal, WriteError,
};

use super::event::{Fault, Refusal};
use super::negotiation::{Negotiation, Stage};
use super::tickets::{Reply, Tickets};
use super::{Config, Outcome, Segments};
use crate::scsi::Cdb;
use crate::wire::{
    CompletionBody, EncodedPacket, HostMessage, NtStatus, Operation, PacketForm, ScsiRequest, SrbPacket,
    SrbStatus,
};

/// What a queue did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets taken from the ring.
    pub packets: u64,
    /// Commands among them.
    pub commands: u64,
    /// Packets that were answered with a [`Refusal`].
    pub refused: u64,
    /// Times that an answer found the outgoing ring full.
    pub stalls: u64,
}

/// A notice that a guest did not ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    EnumerateBus,
    RemoveDevice,
}

#[derive(Debug)]
pub(crate) struct Channel<M, const DEPTH: usize> {
    pub(crate) ring: RingPair<M>,
    pub(crate) config: Config,
    pub(crate) negotiation: Negotiation,
    pub(crate) tickets: Tickets<DEPTH>,
    pub(crate) counters: Counters,
    enumerate_bus: bool,
    remove_device: bool,
    /// A signal that is needed and was not returned yet.
    owed: Signal,
    fault: Option<Fault>,
}

/// Whether the outgoing ring took everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    All,
    Blocked,
}

impl<M: RingMem, const DEPTH: usize> Channel<M, DEPTH> {
    pub(crate) const fn new(ring: RingPair<M>, config: Config, negotiation: Negotiation) -> Self {
        const { assert!(DEPTH > 0, "a queue without a place takes no request") };
        Self {
            ring,
            config,
            negotiation,
            tickets: Tickets::new(),
            counters: Counters {
                packets: 0,
                commands: 0,
                refused: 0,
                stalls: 0,
            },
            enumerate_bus: false,
            remove_device: false,
            owed: Signal::NotNeeded,
            fault: None,
        }
    }

    #[inline]
    pub(crate) const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    #[inline]
    pub(crate) fn check(&self) -> Result<(), Fault> {
        self.fault.map_or(Ok(()), Err)
    }

    /// Poisons the channel.
    #[cold]
    pub(crate) fn poison<T>(&mut self, fault: Fault) -> Result<T, Fault> {
        self.fault = Some(fault);
        self.tickets.drop_answers();
        Err(fault)
    }

    /// Gives the guest the room back of what was read.
    #[inline]
    pub(crate) fn release(&mut self) {
        let signal = self.ring.incoming.release();
        self.owe(signal);
    }

    #[inline]
    pub(crate) fn owe(&mut self, signal: Signal) {
        self.owed = self.owed | signal;
    }

    /// The signal that is owed; it is owed no more.
    #[inline]
    pub(crate) fn take_signal(&mut self) -> Signal {
        core::mem::replace(&mut self.owed, Signal::NotNeeded)
    }

    /// Notes that the guest is to be told, if it looks at devices yet and its version has the message.
    pub(crate) fn notify(&mut self, notice: Notice) {
        // Until the end of the negotiation the guest has not looked at what there is.
        let Stage::Ready(version) = self.negotiation.stage() else {
            return;
        };
        if !self.negotiation.is_primary() || !version.has_bus_enumeration() {
            return;
        }
        match notice {
            Notice::EnumerateBus => self.enumerate_bus = true,
            Notice::RemoveDevice => self.remove_device = true,
        }
    }

    /// Sends what waits for room.
    #[inline]
    pub(crate) fn flush(&mut self) -> Result<Flushed, Fault> {
        if self.tickets.has_answers() || self.remove_device || self.enumerate_bus {
            return self.flush_waiting();
        }
        Ok(Flushed::All)
    }

    #[cold]
    fn flush_waiting(&mut self) -> Result<Flushed, Fault> {
        match self.send_all() {
            Ok(()) => Ok(Flushed::All),
            Err(WriteError::Full { .. }) => {
                self.counters.stalls = self.counters.stalls.wrapping_add(1);
                Ok(Flushed::Blocked)
            }
            Err(WriteError::Fault(fault)) => self.poison(fault.into()),
            Err(WriteError::TooLarge { needed, max }) => self.poison(Fault::RingTooSmall { needed, max }),
            Err(_) => self.poison(Fault::Closed),
        }
    }

    /// Sends an answer, or keeps it if there is no room for it now.
    #[inline]
    pub(crate) fn send(&mut self, reply: Option<Reply>) -> Result<(), Fault> {
        let Some(reply) = reply else { return Ok(()) };
        if !self.tickets.has_answers()
            && let Ok(signal) = write(&mut self.ring, reply.transaction_id, reply.packet.as_bytes())
        {
            self.owe(signal);
            return Ok(());
        }
        self.keep(reply)
    }

    /// As [`send`](Self::send) of the answer to an SRB, which is written to the ring from where it is made.
    #[inline]
    pub(crate) fn send_end(
        &mut self,
        sender: &Sender,
        request: &ScsiRequest,
        outcome: &Outcome,
    ) -> Result<(), Fault> {
        let Some(transaction_id) = sender.answer_to else {
            return Ok(());
        };
        let packet = sender.srb(request, outcome, outcome.srb_status().nt_status());
        if !self.tickets.has_answers()
            && let Ok(signal) = write(&mut self.ring, transaction_id, packet.bytes(sender.form))
        {
            self.owe(signal);
            return Ok(());
        }
        let packet = EncodedPacket::srb(sender.form, packet);
        self.keep(Reply {
            transaction_id,
            packet,
        })
    }

    #[cold]
    fn keep(&mut self, reply: Reply) -> Result<(), Fault> {
        // There is a place: the request had one.
        self.tickets.answer(reply);
        self.flush().map(drop)
    }

    fn send_all(&mut self) -> Result<(), WriteError> {
        let Self {
            ring, tickets, owed, ..
        } = self;
        tickets.flush(|reply| {
            *owed = *owed | write(ring, reply.transaction_id, reply.packet.as_bytes())?;
            Ok::<(), WriteError>(())
        })?;
        if self.remove_device {
            self.send_notice(&HostMessage::RemoveDevice)?;
            self.remove_device = false;
        }
        if self.enumerate_bus {
            self.send_notice(&HostMessage::EnumerateBus)?;
            self.enumerate_bus = false;
        }
        Ok(())
    }

    fn send_notice(&mut self, message: &HostMessage) -> Result<(), WriteError> {
        let form = self
            .negotiation
            .stage()
            .version()
            .map_or(PacketForm::Long, |version| version.packet_form());
        let packet = message.encode(form);
        let signal = self.ring.outgoing.write(&Outgoing {
            transaction_id: 0,
            request_completion: false,
            descriptor: Descriptor::InBand,
            payload: &[packet.as_bytes()],
        })?;
        self.owe(signal);
        Ok(())
    }
}

#[inline]
fn write<M: RingMem>(
    ring: &mut RingPair<M>,
    transaction_id: u64,
    packet: &[u8],
) -> Result<Signal, WriteError> {
    ring.outgoing.write(&Outgoing {
        transaction_id,
        request_completion: false,
        descriptor: Descriptor::Completion,
        payload: &[packet],
    })
}

/// What a packet says besides its message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) answer_to: Option<u64>,
    pub(crate) form: PacketForm,
}

impl Sender {
    #[inline]
    pub(crate) fn of(packet: &Packet<'_>) -> Self {
        // Id 0 is that of what nobody asked for: Hyper-V completes no such packet, and Linux would not know
        // what for.
        let answered = packet.wants_completion() && packet.transaction_id() != 0;
        Self {
            answer_to: answered.then_some(packet.transaction_id()),
            form: PacketForm::of_packet_len(packet.payload_len()),
        }
    }

    #[inline]
    pub(crate) fn reply(&self, status: NtStatus, body: &CompletionBody) -> Option<Reply> {
        Reply::new(self.answer_to, self.form, status, body)
    }

    /// The answer to an SRB, if there is someone to be answered.
    #[inline]
    pub(crate) fn end(&self, request: &ScsiRequest, outcome: &Outcome) -> Option<Reply> {
        self.reply_srb(request, outcome, outcome.srb_status().nt_status())
    }

    /// The answer to an SRB that no LUN has seen.
    #[cold]
    pub(crate) fn refuse_srb(&self, request: &ScsiRequest, refusal: &Refusal) -> Option<Reply> {
        let status = match refusal {
            Refusal::OutOfOrder { .. } => NtStatus::INVALID_DEVICE_STATE,
            _ => NtStatus::INVALID_PARAMETER,
        };
        self.reply_srb(request, &Outcome::refused(SrbStatus::INVALID_REQUEST), status)
    }

    fn reply_srb(&self, request: &ScsiRequest, outcome: &Outcome, status: NtStatus) -> Option<Reply> {
        let transaction_id = self.answer_to?;
        let packet = EncodedPacket::srb(self.form, self.srb(request, outcome, status));
        Some(Reply {
            transaction_id,
            packet,
        })
    }

    #[inline]
    fn srb(&self, request: &ScsiRequest, outcome: &Outcome, status: NtStatus) -> SrbPacket {
        let mut packet = SrbPacket::answer(status, *request);
        outcome.answer(&mut packet.srb, self.form);
        packet
    }
}

/// Judges what an SRB says about itself and its buffer.
///
/// Memory may be listed beyond the transfer: OpenVMM takes that too, and it is not touched. A CDB's direction
/// is what counts, so the SRB's is not looked at; nor is how much sense data the guest takes, as answers have
/// room for all of it anyway.
#[inline]
pub(crate) fn judge_srb<'a>(
    packet: &Packet<'a>,
    request: &ScsiRequest,
    stage: Stage,
    config: &Config,
) -> Result<(Cdb, Segments<'a>), Refusal> {
    let Stage::Ready(_) = stage else {
        return Err(Refusal::OutOfOrder {
            operation: Operation::EXECUTE_SRB,
        });
    };
    let cdb = request.cdb().map_err(|_| Refusal::CdbLength {
        len: request.cdb_length,
    })?;
    let listed = match packet.kind() {
        PacketType::GPA_DIRECT => Segments::from(packet.gpa_ranges()?.segments()),
        _ => Segments::empty(),
    };
    let length = request.transfer_length.get();
    if length > config.max_transfer_bytes {
        return Err(Refusal::TransferTooLong {
            length,
            most: config.max_transfer_bytes,
        });
    }
    if u64::from(length) > listed.total_bytes() {
        return Err(Refusal::TransferLength {
            length,
            listed: listed.total_bytes(),
        });
    }
    Ok((cdb, listed.limit(u64::from(length))))
}

/// The fault behind a packet that cannot be read.
pub(crate) fn read_fault(error: ReadError, most: usize) -> Fault {
    match error {
        ReadError::Fault(fault) => fault.into(),
        ReadError::ScratchTooSmall { needed, .. } => Fault::PacketTooLong { len: needed, most },
        _ => Fault::PacketTooLong {
            len: usize::MAX,
            most,
        },
    }
}
