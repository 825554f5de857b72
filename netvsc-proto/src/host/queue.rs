//! The data path of one channel: what is the same on the primary channel and on sub-channels.

use heapless::Deque;
use vmbus_proto::hvcall::GuestMemory;
use vmbus_proto::ringbuf::{
    Descriptor, Outgoing, PacketType, ReadError, RingMem, RingPair, SharedMem, Signal, TransferPageRange,
    WriteError,
};

use crate::wire::nvsp::{ChannelType, SendRndisPacketComplete, Status};
use crate::wire::nvsp_message::{GuestMessage, HostMessage};

use super::backend::NetBackend;
use super::config::DataPath;
use super::fault::{Fault, Refusal};
use super::sections::{Chain, Sections};
use super::stats::QueueStats;

/// Transmit completions that may wait for room in the ring. While as many wait, nothing more is read.
const COMPLETIONS: usize = 64;

/// Received frames that go to the guest as one packet.
const BATCH: usize = 32;

/// Bytes of [`Scratch::packet`] that take every packet that a guest has reason to send.
pub const PACKET_SCRATCH_LEN: usize = 8192;

/// Private memory that the embedder lends while a queue is served. Nothing in it outlives the call, so that all queues
/// of a thread can share one.
#[derive(Debug)]
pub struct Scratch<'a> {
    /// For one packet of the ring: [`PACKET_SCRATCH_LEN`] bytes. A packet that is larger poisons the channel.
    pub packet: &'a mut [u8],
    /// For the data of one transfer:
    /// [`NicConfig::transfer_scratch_len`](super::NicConfig::transfer_scratch_len) bytes. A larger transfer is refused.
    pub transfer: &'a mut [u8],
}

/// How the receive buffer is divided: each queue has its own sections, so that queues share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveLayout {
    /// The guest's name for the buffer.
    pub buffer_id: u16,
    /// Bytes of a section.
    pub section_size: u32,
    /// Sections of each queue.
    pub sections_per_queue: u16,
}

impl ReceiveLayout {
    /// Where a queue's section begins in the buffer.
    pub(super) fn offset(&self, queue: u16, section: u16) -> u32 {
        let sections_before = u32::from(queue).saturating_mul(self.sections_per_queue.into());
        sections_before
            .saturating_add(section.into())
            .saturating_mul(self.section_size)
    }
}

/// How the send buffer is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SendLayout {
    /// Bytes of a section.
    pub section_size: u32,
    /// Sections.
    pub section_count: u32,
}

/// What the embedder has to do after a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "the guest may wait for a signal, or the queue for being served again"]
pub struct Outcome {
    /// Signal the guest.
    pub signal: bool,
    /// Serve the queue again soon: the budget was used up, or something came while it was served. Otherwise the guest
    /// signals.
    pub again: bool,
    /// The backend was not [ready](NetBackend::ready): serve the queue again when it is.
    pub backend_busy: bool,
    /// Packets that were read.
    pub packets: usize,
    /// Why the last transfer was refused, if one was: for the embedder's log.
    pub refused: Option<Refusal>,
}

/// The data path of one channel.
///
/// One value for each channel, owned by the thread that serves it. `M` is the memory of its rings, `B` that of the
/// receive and send buffers, lent to all queues of a NIC alike; `SECTIONS` is how many sections of the receive buffer
/// the guest can have at a time (the table takes 8 bytes for each).
///
/// The primary channel's queue is served by [`Nic::service`](super::Nic::service), which answers control messages; the
/// other queues serve themselves. Any queue gives frames to the guest with [`receive`](Self::receive) and
/// [`flush`](Self::flush).
///
/// # Bounds
///
/// | | at most |
/// |---|---|
/// | memory | on a 64-bit machine 2.5 KiB with the handles of rings and buffers, and 8 bytes for each of `SECTIONS`; the [`Scratch`] only while a call lasts |
/// | messages queued | 64 completions that wait for room: beyond, nothing more is read; 32 frames that wait to be told as one packet, each in a section of the guest's own |
/// | work of one call | `budget` packets. Each is one transfer of up to [`Scratch::transfer`] bytes, from as many pages as [`Scratch::packet`] has room to list |
#[derive(Debug)]
pub struct Queue<M, B, const SECTIONS: usize> {
    pub(super) index: u16,
    pub(super) rings: RingPair<M>,
    pub(super) data_path: DataPath,
    pub(super) receive: Option<(B, ReceiveLayout)>,
    pub(super) send: Option<(B, SendLayout)>,
    pub(super) sections: Sections<SECTIONS>,
    /// Packets of a receive buffer that was taken back, which the guest may still return: its revoke and what it returns on another channel
    /// have no order.
    pub(super) late: u16,
    /// Frames that stand in sections and are not in the ring yet.
    pub(super) staged: heapless::Vec<TransferPageRange, BATCH>,
    pub(super) staged_chain: Option<Chain>,
    completions: Deque<(u64, Status), COMPLETIONS>,
    pub(super) stats: QueueStats,
    /// A signal that a call found due and could not tell.
    pub(super) signal: Signal,
    pub(super) refused: Option<Refusal>,
    pub(super) fault: Option<Fault>,
}

/// How a packet that asks for an answer is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) transaction_id: u64,
    pub(super) wants_completion: bool,
}

/// What reading one packet came to.
#[derive(Debug)]
pub(super) enum Step<'s> {
    /// There is none.
    Idle,
    /// It was dealt with.
    Done,
    /// A message for the control engine.
    Nvsp(Request, GuestMessage<'s>),
    /// RNDIS control messages for the control engine, and the request to be completed.
    Rndis(Request, &'s [u8]),
}

/// Why serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The ring is empty.
    Idle,
    /// The budget is used up.
    Budget,
    /// Answers wait for room in the ring.
    Blocked,
    /// The backend takes no frame.
    Backend,
}

impl<M: RingMem, B: SharedMem, const SECTIONS: usize> Queue<M, B, SECTIONS> {
    /// The queue of a channel that was just opened. `index` is the sub-channel index, 0 for the primary channel.
    pub fn new(index: u16, rings: RingPair<M>) -> Self {
        Self {
            index,
            rings,
            data_path: DataPath::default(),
            receive: None,
            send: None,
            sections: Sections::new(),
            late: 0,
            staged: heapless::Vec::new(),
            staged_chain: None,
            completions: Deque::new(),
            stats: QueueStats::default(),
            signal: Signal::NotNeeded,
            refused: None,
            fault: None,
        }
    }

    /// The sub-channel index, 0 for the primary channel.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Lends the receive buffer, as [`Nic::receive_layout`](super::Nic::receive_layout) divides it. One that the queue has is taken back.
    pub fn lend_receive_buffer(&mut self, buffer: B, layout: ReceiveLayout) {
        self.late = self.late.saturating_add(self.outstanding());
        self.sections.reset(layout.sections_per_queue);
        self.staged.clear();
        self.staged_chain = None;
        self.receive = Some((buffer, layout));
    }

    /// Takes the receive buffer back, what is staged in it included: the queue does not touch it again. What the guest has of it, it may
    /// still return. Serve the primary channel after it was taken from its queue: an answer may wait for room in place of what was staged.
    pub fn take_receive_buffer(&mut self) -> Option<B> {
        self.late = self.late.saturating_add(self.outstanding());
        self.sections.reset(0);
        self.staged.clear();
        self.staged_chain = None;
        if self.completions.is_empty() {
            self.rings.outgoing.clear_pending_send_size();
        }
        self.receive.take().map(|(buffer, _)| buffer)
    }

    /// Lends the send buffer, as [`Nic::send_layout`](super::Nic::send_layout) divides it.
    pub fn lend_send_buffer(&mut self, buffer: B, layout: SendLayout) {
        self.send = Some((buffer, layout));
    }

    /// Takes the send buffer back: the queue does not touch it again.
    pub fn take_send_buffer(&mut self) -> Option<B> {
        self.send.take().map(|(buffer, _)| buffer)
    }

    /// Tells the guest's settings, whenever [`Nic::data_path`](super::Nic::data_path) changes. The primary channel's
    /// queue gets them by itself.
    pub fn set_data_path(&mut self, data_path: &DataPath) {
        self.data_path = *data_path;
    }

    /// What was counted.
    pub fn stats(&self) -> &QueueStats {
        &self.stats
    }

    /// Counts a frame for the guest that the embedder dropped, so that the guest's statistics tell of it.
    pub fn count_dropped(&mut self) {
        self.stats.receive_dropped = self.stats.receive_dropped.wrapping_add(1);
    }

    /// The fault that poisoned the channel, if one did.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Serves a sub-channel: reads up to `budget` packets of the guest, gives their frames to the backend, completes
    /// them, and takes back sections that the guest returned. To be called when the guest signals, once when the
    /// channel was opened, and when [`Outcome`] says so.
    ///
    /// # Errors
    ///
    /// The guest broke the protocol; the channel is poisoned.
    pub fn service<G: GuestMemory + ?Sized, N: NetBackend + ?Sized>(
        &mut self,
        memory: &G,
        backend: &N,
        scratch: &mut Scratch<'_>,
        budget: usize,
    ) -> Result<Outcome, Fault> {
        self.begin()?;
        let mut packets = 0_usize;
        let stop = loop {
            if let Some(stop) = self.obstacle(backend, packets, budget)? {
                break stop;
            }
            match self.step(memory, backend, scratch)? {
                Step::Idle => break Stop::Idle,
                Step::Done => {}
                Step::Nvsp(_, message) => {
                    return Err(self.poison(Fault::OnSubchannel(message.message_type())));
                }
                Step::Rndis(request, _) => {
                    self.refuse(Refusal::ControlOnSubchannel);
                    self.complete(request, Status::FAILURE);
                }
            }
            packets = packets.saturating_add(1);
        };
        self.end(stop, packets)
    }

    /// Begins serving: signals are not needed from now on, and what waits for room is tried again.
    pub(super) fn begin(&mut self) -> Result<(), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.rings.incoming.mask_interrupts();
        self.deliver()
    }

    /// What keeps from reading the next packet.
    pub(super) fn obstacle<N: NetBackend + ?Sized>(
        &mut self,
        backend: &N,
        packets: usize,
        budget: usize,
    ) -> Result<Option<Stop>, Fault> {
        if self.completions.is_full() {
            self.deliver()?;
            if self.completions.is_full() {
                return Ok(Some(Stop::Blocked));
            }
        }
        if packets >= budget {
            return Ok(Some(Stop::Budget));
        }
        Ok((!backend.ready(self.index)).then_some(Stop::Backend))
    }

    /// Ends serving: answers go out, the guest gets its room back.
    pub(super) fn end(&mut self, stop: Stop, packets: usize) -> Result<Outcome, Fault> {
        self.deliver()?;
        let released = self.rings.incoming.release();
        // While the queue is to be served again anyway, the guest needs not signal.
        let more = stop != Stop::Budget && self.rings.incoming.unmask_interrupts();
        Ok(Outcome {
            signal: (core::mem::replace(&mut self.signal, Signal::NotNeeded) | released).is_needed(),
            again: stop == Stop::Budget || stop == Stop::Idle && more,
            backend_busy: stop == Stop::Backend,
            packets,
            refused: self.refused.take(),
        })
    }

    /// Reads one packet and does what can be done without the control engine.
    pub(super) fn step<'s, G: GuestMemory + ?Sized, N: NetBackend + ?Sized>(
        &mut self,
        memory: &G,
        backend: &N,
        scratch: &'s mut Scratch<'_>,
    ) -> Result<Step<'s>, Fault> {
        let Scratch {
            packet: packet_scratch,
            transfer,
        } = scratch;
        let packet = match self.rings.incoming.read(packet_scratch) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(Step::Idle),
            Err(ReadError::ScratchTooSmall { needed, len }) => {
                return Err(self.poison(Fault::PacketTooLarge { needed, limit: len }));
            }
            Err(ReadError::Fault(fault)) => return Err(self.poison(fault.into())),
            // A way in which reading may fail one day leaves nothing to go on with either.
            Err(_) => return Err(self.poison(Fault::PacketType(PacketType::INVALID))),
        };
        let request = Request {
            transaction_id: packet.transaction_id(),
            wants_completion: packet.wants_completion(),
        };
        let message = match GuestMessage::decode(packet.payload()) {
            Ok(message) => message,
            Err(error) => return Err(self.poison(error.into())),
        };
        match (packet.kind(), message) {
            (PacketType::COMPLETION, GuestMessage::SendRndisPacketComplete(complete)) => {
                self.returned(packet.transaction_id(), complete)?;
                Ok(Step::Done)
            }
            (PacketType::IN_BAND | PacketType::GPA_DIRECT, GuestMessage::SendRndisPacket(message)) => {
                let gathered = self.gather(memory, &packet, &message, transfer);
                match (gathered, message.channel_type) {
                    (Ok(length), ChannelType::CONTROL) => {
                        Ok(Step::Rndis(request, transfer.get(..length).unwrap_or_default()))
                    }
                    (Ok(length), _) => {
                        let status = match self.transmit(backend, transfer, length) {
                            Ok(()) => Status::SUCCESS,
                            Err(refusal) => self.refuse(refusal),
                        };
                        self.complete(request, status);
                        Ok(Step::Done)
                    }
                    (Err(refusal), _) => {
                        let status = self.refuse(refusal);
                        self.complete(request, status);
                        Ok(Step::Done)
                    }
                }
            }
            (PacketType::IN_BAND, message)
                if !matches!(message, GuestMessage::SendRndisPacketComplete(_)) =>
            {
                Ok(Step::Nvsp(request, message))
            }
            (PacketType::IN_BAND | PacketType::GPA_DIRECT | PacketType::COMPLETION, message) => {
                let version = self.data_path.version;
                Err(self.poison(Fault::Unexpected {
                    message: message.message_type(),
                    version,
                }))
            }
            (kind, _) => Err(self.poison(Fault::PacketType(kind))),
        }
    }

    /// Makes the fault stick.
    pub(super) fn poison(&mut self, fault: Fault) -> Fault {
        *self.fault.get_or_insert(fault)
    }

    /// Counts a refusal, and tells the status that goes with it.
    pub(super) fn refuse(&mut self, refusal: Refusal) -> Status {
        self.stats.transmit_refused = self.stats.transmit_refused.wrapping_add(1);
        self.refused = Some(refusal);
        match refusal {
            Refusal::Busy => Status::BUSY,
            Refusal::Rndis(_) | Refusal::MessageType(_) | Refusal::Ppi(_) | Refusal::NoData => {
                Status::INVALID_RNDIS_PACKET
            }
            _ => Status::FAILURE,
        }
    }

    /// Notes a completion for a transfer. There is room: nothing is read while there is none.
    pub(super) fn complete(&mut self, request: Request, status: Status) {
        if request.wants_completion {
            let _ = self.completions.push_back((request.transaction_id, status));
        }
    }

    /// Writes what waits: completions first, then frames.
    pub(super) fn deliver(&mut self) -> Result<(), Fault> {
        if self.deliver_completions()? {
            self.deliver_staged()?;
        }
        Ok(())
    }

    /// Writes completions, all of them with one signal at most. `false`: the ring is full, and some wait.
    fn deliver_completions(&mut self) -> Result<bool, Fault> {
        if self.completions.is_empty() {
            return Ok(true);
        }
        let version = self.data_path.version;
        let mut batch = self.rings.outgoing.batch();
        let mut result = Ok(true);
        while let Some((transaction_id, status)) = self.completions.front().copied() {
            let mut buffer = [0; 64];
            let message = HostMessage::SendRndisPacketComplete(SendRndisPacketComplete { status });
            let payload = message.encode(version, &mut buffer).unwrap_or_default();
            let outgoing = Outgoing {
                transaction_id,
                request_completion: false,
                descriptor: Descriptor::Completion,
                payload: &[payload],
            };
            match batch.push(&outgoing) {
                Ok(()) => {
                    self.completions.pop_front();
                }
                Err(error) => {
                    result = no_room(error);
                    break;
                }
            }
        }
        self.signal = self.signal | batch.publish();
        result.map_err(|fault| self.poison(fault))
    }

    /// Writes one packet of the control engine. `false`: not now.
    pub(super) fn write(&mut self, outgoing: &Outgoing<'_>) -> Result<bool, Fault> {
        match self.rings.outgoing.write(outgoing) {
            Ok(signal) => {
                self.signal = self.signal | signal;
                Ok(true)
            }
            Err(error) => no_room(error).map_err(|fault| self.poison(fault)),
        }
    }
}

/// `false` for a ring that is full, which is no fault.
///
/// What never fits cannot come up: a ring has at least a page and no packet of this crate has as much. Were it to, waiting
/// for room loses nothing that could be had.
fn no_room(error: WriteError) -> Result<bool, Fault> {
    match error {
        WriteError::Fault(fault) => Err(fault.into()),
        _ => Ok(false),
    }
}
