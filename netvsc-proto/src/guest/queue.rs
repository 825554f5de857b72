//! The data path of one channel: what is the same on the primary channel and on sub-channels.

use heapless::Deque;
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{
    Descriptor, Outgoing, PacketType, ReadError, RingMem, RingPair, SharedMem, Signal, TransactionId,
    Transactions, WriteError,
};

use crate::wire::nvsp::{
    ChannelType, MAX_MESSAGE_LEN, MAX_RECEIVE_RANGES, NO_SECTION, SendRndisPacket, SendRndisPacketComplete,
    Status,
};
use crate::wire::nvsp_message::{GuestMessage, HostMessage, SEND_TABLE_MESSAGE_LEN};

use super::config::DataPath;
use super::event::{Event, Polled};
use super::fault::{Fault, PollError};
use super::pages::Pages;
use super::receive::Transfer;
use super::stats::QueueStats;

/// The transaction id of NVSP requests, of which there is one at a time. No frame has it.
pub(super) const CONTROL_ID: u64 = u64::MAX;

/// Receive completions that may wait for room in the ring. While as many wait, nothing more is read.
const COMPLETIONS: usize = 32;

/// Packets that are read before the host gets the room back, while there are more.
const RELEASE_AFTER: u8 = 16;

/// Bytes of the longest packet that a host may send, without its first 16: ranges, and the longest message.
const PACKET_LEN: usize = 8 + MAX_RECEIVE_RANGES * 8 + SEND_TABLE_MESSAGE_LEN;

/// Memory that is lent to a queue for as long as it lives.
#[derive(Clone, Copy, Debug)]
pub struct QueueMemory<'p, B> {
    /// The receive buffer: the memory behind the GPADL that the NIC was given. The same for all queues.
    pub receive: B,
    /// The send buffer, likewise.
    pub send: B,
    /// Memory for the heads of frames that are [sent in pages](Queue::transmit_pages), for this queue alone:
    /// [`HEAD_LEN`](super::HEAD_LEN) bytes for each frame that may be under way. Without it, frames are sent by
    /// [copy](Queue::transmit) only.
    pub heads: Option<Pages<'p, B>>,
}

/// What the host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lent {
    /// A frame in this section of the send buffer.
    Section(u32),
    /// A frame in pages.
    Pages,
    /// The RNDIS request in this place.
    Request(u8),
}

/// A frame that was under way when the channel was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aborted {
    /// What it was called.
    pub id: TransactionId,
    /// The host may still read the frame's pages, until the channel is closed. Otherwise it lies in the send buffer.
    pub pages_lent: bool,
}

/// The data path of one channel.
///
/// One value for each channel, owned by the thread that serves it. `M` is the memory of its rings, `B` that of the
/// buffers; `DEPTH` is how many frames may be under way.
///
/// The primary channel's queue is polled by [`Nic::poll`](super::Nic::poll), which brings the NIC up; other queues poll
/// themselves.
#[derive(Debug)]
pub struct Queue<'p, M, B, const DEPTH: usize> {
    pub(super) index: u16,
    rings: RingPair<M>,
    pub(super) memory: QueueMemory<'p, B>,
    pub(super) data_path: DataPath,
    pub(super) transactions: Transactions<Lent, DEPTH>,
    /// Sections of the send buffer that are this queue's, and free.
    pub(super) sections: heapless::Vec<u32, DEPTH>,
    /// They were dealt out.
    divided: bool,
    /// The packet that was read last: the ranges of a transfer stay here while they are walked.
    packet: [u8; PACKET_LEN],
    packet_payload: (usize, usize),
    pub(super) transfer: Option<Transfer>,
    completions: Deque<(u64, Status), COMPLETIONS>,
    unreleased: u8,
    pub(super) stats: QueueStats,
    /// A signal that a call found due and could not tell.
    signal: Signal,
    fault: Option<Fault>,
}

/// What one step of reading came to.
#[derive(Debug)]
pub(super) enum Step<'b> {
    /// There is nothing to read.
    Idle,
    /// Answers wait for room in the ring.
    Blocked,
    /// It was dealt with.
    Done,
    /// For the driver.
    Event(Event<'b>),
    /// An NVSP message, [`message`](Queue::message), for the control engine. An answer to a request, or not.
    Nvsp { answers: bool },
    /// The host has taken an RNDIS request.
    Taken { place: u8, status: Status },
    /// An RNDIS message for the control engine.
    Rndis(&'b [u8]),
}

impl<'p, M: RingMem, B: SharedMem, const DEPTH: usize> Queue<'p, M, B, DEPTH> {
    /// The queue of the primary channel, which was just opened.
    pub fn primary(rings: RingPair<M>, memory: QueueMemory<'p, B>) -> Self {
        Self {
            index: 0,
            rings,
            memory,
            data_path: DataPath::default(),
            transactions: Transactions::new(),
            sections: heapless::Vec::new(),
            divided: false,
            packet: [0; PACKET_LEN],
            packet_payload: (0, 0),
            transfer: None,
            completions: Deque::new(),
            unreleased: 0,
            stats: QueueStats::default(),
            signal: Signal::NotNeeded,
            fault: None,
        }
    }

    /// The queue of a sub-channel that was just opened: ready at once. `index` is the sub-channel index of its offer,
    /// from 1 on; `data_path` is [`Nic::data_path`](super::Nic::data_path).
    pub fn sub_channel(
        index: u16,
        rings: RingPair<M>,
        memory: QueueMemory<'p, B>,
        data_path: &DataPath,
    ) -> Self {
        let mut queue = Self::primary(rings, memory);
        queue.index = index;
        queue.set_data_path(data_path);
        queue
    }

    /// The sub-channel index, 0 for the primary channel.
    #[must_use]
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Tells what has changed, see [`DataPath`]. The primary channel's queue is told by itself.
    pub fn set_data_path(&mut self, data_path: &DataPath) {
        if let Some(layout) = data_path.send
            && !self.divided
        {
            self.divided = true;
            let first = layout.sections_per_queue.saturating_mul(self.index.into());
            for section in 0..layout.sections_per_queue {
                // No more can be under way than the table has places for.
                if self.sections.push(first.saturating_add(section)).is_err() {
                    break;
                }
            }
        }
        self.data_path = *data_path;
    }

    /// Bytes of a buffer that [`poll`](Self::poll) takes.
    #[must_use]
    pub fn receive_len(&self) -> usize {
        super::receive_len(self.data_path.max_frame)
    }

    /// Frames under way.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.transactions.pending()
    }

    /// What was counted.
    #[must_use]
    pub fn stats(&self) -> &QueueStats {
        &self.stats
    }

    /// The fault that poisoned the channel, if one did.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Takes what a sub-channel's host sends next. To be called once when the channel was opened, when the host
    /// signals, and when [`Polled`] says so. A received frame is put into `buffer`, of
    /// [`receive_len`](Self::receive_len) bytes at least.
    ///
    /// # Errors
    ///
    /// The host broke the protocol, and the channel is poisoned; or the buffer is too small.
    pub fn poll<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Polled<'b>, PollError> {
        self.begin(buffer)?;
        let event = match self.step(buffer)? {
            step @ (Step::Idle | Step::Blocked) => return Ok(self.sleep(&step)),
            Step::Event(event) => Some(event),
            Step::Done => None,
            // No request goes out here.
            Step::Nvsp { .. } | Step::Taken { .. } => {
                let message = self.message().map(|message| message.message_type());
                let fault = message.map_or_else(|fault| fault, Fault::OnSubchannel);
                return Err(self.poison(fault).into());
            }
            Step::Rndis(message) => {
                let fault = match crate::wire::rndis_message::Framed::split(message) {
                    Ok(framed) => Fault::Misplaced(framed.message_type),
                    Err(error) => Fault::Rndis(error),
                };
                return Err(self.poison(fault).into());
            }
        };
        Ok(self.again(event))
    }

    /// Begins: signals are not needed from now on, and what waits for room is tried again.
    pub(super) fn begin(&mut self, buffer: &[u8]) -> Result<(), PollError> {
        self.check()?;
        let (needed, len) = (self.receive_len(), buffer.len());
        if len < needed {
            return Err(PollError::BufferTooSmall { needed, len });
        }
        self.rings.incoming.mask_interrupts();
        self.deliver()?;
        Ok(())
    }

    /// Ends where there is nothing to read, or nothing may be read.
    pub(super) fn sleep<'b>(&mut self, step: &Step<'_>) -> Polled<'b> {
        self.release();
        let more = self.rings.incoming.unmask_interrupts();
        Polled {
            signal: core::mem::replace(&mut self.signal, Signal::NotNeeded),
            // What is blocked goes on when the host signals that there is room.
            again: more && matches!(step, Step::Idle),
            event: None,
        }
    }

    /// Ends where there may be more.
    pub(super) fn again<'b>(&mut self, event: Option<Event<'b>>) -> Polled<'b> {
        if self.unreleased >= RELEASE_AFTER {
            self.release();
        }
        Polled {
            signal: core::mem::replace(&mut self.signal, Signal::NotNeeded),
            again: true,
            event,
        }
    }

    fn release(&mut self) {
        self.unreleased = 0;
        self.signal = self.signal | self.rings.incoming.release();
    }

    pub(super) fn check(&self) -> Result<(), Fault> {
        self.fault.map_or(Ok(()), Err)
    }

    /// Makes the fault stick.
    pub(super) fn poison(&mut self, fault: Fault) -> Fault {
        *self.fault.get_or_insert(fault)
    }

    /// Reads the next message of a transfer, or the next packet.
    pub(super) fn step<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Step<'b>, Fault> {
        if self.transfer.is_some() {
            return self.next_message(buffer).map_err(|fault| self.poison(fault));
        }
        if self.completions.is_full() {
            return Ok(Step::Blocked);
        }
        self.next_packet().map_err(|fault| self.poison(fault))
    }

    fn next_packet(&mut self) -> Result<Step<'static>, Fault> {
        let packet = match self.rings.incoming.read(&mut self.packet) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(Step::Idle),
            Err(ReadError::ScratchTooSmall { needed, .. }) => {
                return Err(Fault::PacketTooLarge { len: needed });
            }
            Err(ReadError::Fault(fault)) => return Err(fault.into()),
            // A way in which reading may fail one day leaves nothing to go on with either.
            Err(_) => return Err(Fault::PacketTooLarge { len: usize::MAX }),
        };
        self.unreleased = self.unreleased.saturating_add(1);
        let transaction_id = packet.transaction_id();
        let start = packet.extension().len();
        self.packet_payload = (start, start.saturating_add(packet.payload_len()));
        match packet.kind() {
            PacketType::TRANSFER_PAGES => {
                let version = self.data_path.version;
                let message = HostMessage::decode(packet.payload(), version).map_err(Fault::Message)?;
                if !matches!(message, HostMessage::SendRndisPacket(_)) || self.data_path.receive_len == 0 {
                    let message = message.message_type();
                    return Err(Fault::Unexpected { message, version });
                }
                self.transfer = Some(Transfer::judge(&packet, self.data_path.receive_len)?);
                Ok(Step::Done)
            }
            PacketType::COMPLETION if transaction_id == CONTROL_ID => Ok(Step::Nvsp { answers: true }),
            PacketType::COMPLETION => {
                // All is judged before the transaction is ended: one whose answer is a breach is told by `abort`.
                let unknown = Fault::Completion { transaction_id };
                self.transactions.get(transaction_id).ok_or(unknown)?;
                let status = self.completion_status()?;
                let (id, lent) = self.transactions.end(transaction_id).ok_or(unknown)?;
                self.free(lent);
                if let Lent::Request(place) = lent {
                    return Ok(Step::Taken { place, status });
                }
                if status != Status::SUCCESS {
                    self.stats.transmit_failed = self.stats.transmit_failed.wrapping_add(1);
                }
                Ok(Step::Event(Event::Transmitted { id, status }))
            }
            PacketType::IN_BAND => Ok(Step::Nvsp { answers: false }),
            kind => Err(Fault::PacketType(kind)),
        }
    }

    fn completion_status(&self) -> Result<Status, Fault> {
        match self.message()? {
            HostMessage::SendRndisPacketComplete(SendRndisPacketComplete { status }) => Ok(status),
            other => Err(Fault::Unexpected {
                message: other.message_type(),
                version: self.data_path.version,
            }),
        }
    }

    /// The NVSP message of the packet that was read last.
    pub(super) fn message(&self) -> Result<HostMessage<'_>, Fault> {
        let (start, end) = self.packet_payload;
        let payload = self.packet.get(start..end).unwrap_or_default();
        HostMessage::decode(payload, self.data_path.version).map_err(Fault::Message)
    }

    /// The packet that was read last, without its first 16 bytes.
    pub(super) fn packet(&self) -> &[u8] {
        &self.packet
    }

    /// What a transaction had is free again.
    pub(super) fn free(&mut self, lent: Lent) {
        if let Lent::Section(section) = lent {
            // There are no more sections than the list has room for.
            let _ = self.sections.push(section);
        }
    }

    /// Notes the completion of a transfer. There is room: nothing is read while there is none.
    ///
    /// Every transfer is completed, as Linux and FreeBSD do, whether its packet asks for it or not.
    pub(super) fn complete(&mut self, transaction_id: u64) -> Result<(), Fault> {
        let _ = self.completions.push_back((transaction_id, Status::SUCCESS));
        self.deliver()?;
        if !self.completions.is_empty() {
            self.stats.completions_delayed = self.stats.completions_delayed.wrapping_add(1);
        }
        Ok(())
    }

    /// Sends receive completions that wait, as many as fit.
    fn deliver(&mut self) -> Result<(), Fault> {
        while let Some((transaction_id, status)) = self.completions.front().copied() {
            let message = GuestMessage::SendRndisPacketComplete(SendRndisPacketComplete { status });
            if !self.write(transaction_id, false, Descriptor::Completion, &message)? {
                break;
            }
            self.completions.pop_front();
        }
        Ok(())
    }

    /// Sends an NVSP message. `false`: not now, the ring is full.
    pub(super) fn send(&mut self, message: &GuestMessage<'_>, is_answered: bool) -> Result<bool, Fault> {
        let transaction_id = if is_answered { CONTROL_ID } else { 0 };
        self.write(transaction_id, is_answered, Descriptor::InBand, message)
    }

    /// Sends an RNDIS request. `false`: not now, as there is no place for it or no room in the ring.
    pub(super) fn send_request(&mut self, place: u8, pages: GpaRange<'_>) -> Result<bool, Fault> {
        let message = rndis_packet(ChannelType::CONTROL, NO_SECTION, 0);
        let Some(id) = self.transactions.next() else {
            return Ok(false);
        };
        self.transactions.start(id, Lent::Request(place));
        let sent = self.write(id.number(), true, Descriptor::GpaDirect(&[pages]), &message);
        if sent != Ok(true) {
            self.transactions.end(id.number());
        }
        sent
    }

    /// Whether the host has read all that was sent.
    pub(super) fn is_drained(&mut self) -> Result<bool, Fault> {
        let drained = self.rings.outgoing.is_drained();
        drained.map_err(|fault| self.poison(fault.into()))
    }

    /// Writes one packet. `false`: not now.
    fn write(
        &mut self,
        transaction_id: u64,
        request_completion: bool,
        descriptor: Descriptor<'_>,
        message: &GuestMessage<'_>,
    ) -> Result<bool, Fault> {
        match self.try_write(transaction_id, request_completion, descriptor, message) {
            Ok(signal) => {
                self.signal = self.signal | signal;
                Ok(true)
            }
            Err(WriteError::Fault(fault)) => Err(self.poison(fault.into())),
            // What never fits does not come up: a ring has at least a page, and no packet of the engine's own as much.
            Err(_) => Ok(false),
        }
    }

    /// Sends receive completions that wait before a frame is. Frames that took the room before them could keep this end from reading,
    /// while the host reads no more of them before it is read. `false`: some still wait.
    #[inline]
    pub(super) fn completions_first(&mut self) -> Result<bool, Fault> {
        if !self.completions.is_empty() {
            self.deliver()?;
        }
        Ok(self.completions.is_empty())
    }

    /// A signal that a call found due and did not tell.
    #[inline]
    pub(super) fn take_signal(&mut self) -> Signal {
        core::mem::replace(&mut self.signal, Signal::NotNeeded)
    }

    /// Whether the ring has room for a frame that is sent by copy, and nothing waits for it before that. If not, the host signals when it
    /// has.
    pub(super) fn has_room(&mut self) -> Result<bool, Fault> {
        if !self.completions.is_empty() {
            return Ok(false);
        }
        let outgoing = &mut self.rings.outgoing;
        // A signal that was asked for is not given up here: completions and requests may wait for it.
        let fits = match outgoing.writable() {
            Ok(room) if room as usize >= MAX_MESSAGE_LEN => Ok(true),
            Ok(_) => outgoing.set_pending_send_size(MAX_MESSAGE_LEN),
            Err(fault) => Err(fault.into()),
        };
        match fits {
            Ok(fits) => Ok(fits),
            Err(WriteError::Fault(fault)) => Err(self.poison(fault.into())),
            Err(_) => Ok(false),
        }
    }

    pub(super) fn try_write(
        &mut self,
        transaction_id: u64,
        request_completion: bool,
        descriptor: Descriptor<'_>,
        message: &GuestMessage<'_>,
    ) -> Result<Signal, WriteError> {
        let mut bytes = [0; 64];
        let payload = message
            .encode(self.data_path.version, &mut bytes)
            .unwrap_or_default();
        self.rings.outgoing.write(&Outgoing {
            transaction_id,
            request_completion,
            descriptor,
            payload: &[payload],
        })
    }

    /// Gives the channel up, when its offer was rescinded or a [`Fault`] came: names each frame that is under way,
    /// once, until there is none.
    pub fn abort(&mut self) -> Option<Aborted> {
        self.fault.get_or_insert(Fault::Closed);
        loop {
            let (id, lent) = self.transactions.end_any()?;
            if !matches!(lent, Lent::Request(_)) {
                let pages_lent = lent == Lent::Pages;
                return Some(Aborted { id, pages_lent });
            }
        }
    }
}

pub(super) fn rndis_packet(channel_type: ChannelType, section: u32, size: u32) -> GuestMessage<'static> {
    GuestMessage::SendRndisPacket(SendRndisPacket {
        channel_type,
        section_index: section.into(),
        section_size: size.into(),
    })
}
