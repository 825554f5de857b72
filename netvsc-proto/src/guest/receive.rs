//! Transfers of the host: ranges of the receive buffer that hold RNDIS messages.

use vmbus_proto::ringbuf::{Packet, RingMem, SharedMem, TransferPageRange};
use zerocopy::FromBytes;

use crate::nic::{ETHERNET_HEADER, MacAddress, ReceiveInfo, VLAN_TAG};
use crate::wire::DecodeError;
use crate::wire::nvsp::{MAX_RECEIVE_RANGES, RECEIVE_BUFFER_ID};
use crate::wire::ppi::{ChecksumReceive, FragmentFlags, PacketId, Ppi, PpiType};
use crate::wire::rndis::{HEADER_LEN, MAX_PACKETS_PER_TRANSFER, MessageHeader, MessageType};
use crate::wire::rndis_message::{Framed, HostMessage};

use super::event::Event;
use super::fault::Fault;
use super::queue::{Queue, Step};

/// Bytes of the transfer packet's descriptor before its ranges.
const RANGES_AT: usize = 8;

/// Bytes of a message that are no frame, at most: head, per-packet info, padding.
const HEADROOM: usize = 512;

/// The smallest buffer: every answer of an OID that is asked for by the engine fits.
const MIN_RECEIVE_LEN: usize = 2048;

/// Bytes of the buffer that takes every message of a NIC whose frames have up to `max_frame` bytes, Ethernet header
/// included: 2048 for an MTU of 1500. A control message that is longer is dropped.
#[must_use]
pub const fn receive_len(max_frame: u32) -> usize {
    let len = (max_frame.saturating_add(VLAN_TAG) as usize).saturating_add(HEADROOM);
    if len > MIN_RECEIVE_LEN {
        len
    } else {
        MIN_RECEIVE_LEN
    }
}

/// A transfer that is being walked. Its ranges stand in the queue's copy of the packet, and were judged there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transfer {
    transaction_id: u64,
    /// Ranges in all, and the next of them.
    count: usize,
    next: usize,
    /// What is left of the range before it: where it lies in the receive buffer, and its bytes.
    at: u32,
    left: u32,
    /// Messages of that range so far.
    messages: usize,
}

impl Transfer {
    /// Judges everything that a transfer's packet says, before anything of it is looked at.
    pub(super) fn judge(packet: &Packet<'_>, receive_len: u32) -> Result<Self, Fault> {
        let set_id = packet.transfer_set_id()?;
        if set_id != RECEIVE_BUFFER_ID {
            return Err(Fault::ReceiveSet { set_id });
        }
        let ranges = packet.transfer_ranges()?;
        let (count, limit) = (ranges.len(), MAX_RECEIVE_RANGES);
        if count > limit {
            return Err(Fault::RangeCount { count, limit });
        }
        for range in ranges {
            let (offset, len) = (range.byte_offset.get(), range.byte_count.get());
            if offset.checked_add(len).is_none_or(|end| end > receive_len) {
                return Err(Fault::Range {
                    offset,
                    len,
                    buffer: receive_len,
                });
            }
        }
        Ok(Self {
            transaction_id: packet.transaction_id(),
            count,
            next: 0,
            at: 0,
            left: 0,
            messages: 0,
        })
    }

    /// Goes on to the next range. `false`: there is none.
    fn next_range(&mut self, packet: &[u8]) -> bool {
        let range = self
            .next
            .checked_mul(size_of::<TransferPageRange>())
            .and_then(|at| at.checked_add(RANGES_AT))
            .filter(|_| self.next < self.count)
            .and_then(|at| packet.get(at..))
            .and_then(|bytes| TransferPageRange::read_from_prefix(bytes).ok());
        let Some((range, _)) = range else { return false };
        self.next = self.next.saturating_add(1);
        self.at = range.byte_offset.get();
        self.left = range.byte_count.get();
        self.messages = 0;
        true
    }
}

/// What became of the next message of a transfer.
enum Message<'b> {
    /// The range, or the transfer, is over, or the message is not to be told.
    None,
    Control(&'b [u8]),
    Frame(&'b [u8], ReceiveInfo),
}

impl<M: RingMem, B: SharedMem, const DEPTH: usize> Queue<'_, M, B, DEPTH> {
    /// Takes the next message of the transfer that is being walked.
    pub(super) fn next_message<'b>(&mut self, buffer: &'b mut [u8]) -> Result<Step<'b>, Fault> {
        let Some(mut transfer) = self.transfer.take() else {
            return Ok(Step::Done);
        };
        if usize::try_from(transfer.left).is_ok_and(|left| left < HEADER_LEN) {
            // What is less than a header after a message is padding. A range that never had as much is none.
            if transfer.messages == 0 && transfer.next > 0 {
                return Err(short(HEADER_LEN, transfer.left));
            }
            if !transfer.next_range(self.packet()) {
                self.complete(transfer.transaction_id)?;
            } else {
                self.transfer = Some(transfer);
            }
            return Ok(Step::Done);
        }
        let message = self.take_message(&mut transfer, buffer)?;
        self.transfer = Some(transfer);
        Ok(match message {
            Message::None => Step::Done,
            Message::Control(bytes) => Step::Rndis(bytes),
            Message::Frame(frame, info) => {
                let destination = frame.first_chunk().map(|bytes| MacAddress(*bytes));
                self.stats
                    .received
                    .count(destination.unwrap_or_default(), frame.len());
                Step::Event(Event::Received { frame, info })
            }
        })
    }

    /// Copies a message out of the receive buffer, each byte once, and judges the copy.
    fn take_message<'b>(
        &mut self,
        transfer: &mut Transfer,
        buffer: &'b mut [u8],
    ) -> Result<Message<'b>, Fault> {
        let at = transfer.at as usize;
        let mut head = [0; HEADER_LEN];
        self.memory.receive.read(at, &mut head)?;
        let header = MessageHeader::read_from_bytes(&head).unwrap_or_default();
        let length = header.message_length.get();
        let first = transfer.messages == 0;
        if !first && head == [0; HEADER_LEN] {
            transfer.left = 0;
            return Ok(Message::None);
        }
        if (length as usize) < HEADER_LEN || length > transfer.left {
            return Err(short(length as usize, transfer.left));
        }
        if transfer.messages == MAX_PACKETS_PER_TRANSFER {
            return Err(Fault::TooManyPackets {
                limit: MAX_PACKETS_PER_TRANSFER,
            });
        }
        if !first && header.message_type != MessageType::PACKET {
            return Err(Fault::Misplaced(header.message_type));
        }
        transfer.messages = transfer.messages.saturating_add(1);
        transfer.at = transfer.at.saturating_add(length);
        transfer.left = transfer.left.saturating_sub(length);
        if header.message_type != MessageType::PACKET {
            // A control message is alone. What is behind it is padding.
            transfer.left = 0;
        }
        let Some(message) = buffer.get_mut(..length as usize) else {
            self.stats.receive_too_long = self.stats.receive_too_long.wrapping_add(1);
            return Ok(Message::None);
        };
        let (copy, rest) = message.split_at_mut_checked(HEADER_LEN).unwrap_or_default();
        copy.copy_from_slice(&head);
        self.memory.receive.read(at.saturating_add(HEADER_LEN), rest)?;
        if header.message_type != MessageType::PACKET {
            return Ok(Message::Control(message));
        }
        let (frame, info) = judge(message)?;
        if !self.data_path.receiving {
            self.stats.receive_unwanted = self.stats.receive_unwanted.wrapping_add(1);
            return Ok(Message::None);
        }
        let most = self.data_path.max_frame.saturating_add(VLAN_TAG);
        if frame.len() > most as usize {
            self.stats.receive_too_long = self.stats.receive_too_long.wrapping_add(1);
            return Ok(Message::None);
        }
        Ok(Message::Frame(frame, info))
    }
}

fn short(needed: usize, left: u32) -> Fault {
    Fault::Rndis(DecodeError::Short {
        what: "RNDIS message",
        needed: needed.max(HEADER_LEN),
        got: left as usize,
    })
}

/// Reads a packet message.
fn judge(message: &[u8]) -> Result<(&[u8], ReceiveInfo), Fault> {
    let message = Framed::split(message).and_then(|framed| framed.host());
    let HostMessage::Packet(packet) = message.map_err(Fault::Rndis)? else {
        return Err(Fault::Misplaced(MessageType::PACKET));
    };
    let mut info = ReceiveInfo::NONE;
    for record in packet.records() {
        let record = record?;
        match record.kind {
            PpiType::CHECKSUM => info.checksums = read::<ChecksumReceive>(&record)?.flags(),
            PpiType::VLAN => info.vlan = Some(read(&record)?),
            PpiType::HASH_VALUE => info.hash = Some(u32::from_le_bytes(read(&record)?)),
            PpiType::PACKET_ID => {
                let part: PacketId = read(&record)?;
                if part.flags().contains(FragmentFlags::MULTI) {
                    return Err(Fault::Coalesced { flags: part.flags });
                }
            }
            _ => {}
        }
    }
    let len = packet.data.len();
    if len < ETHERNET_HEADER as usize {
        return Err(Fault::FrameLength { len });
    }
    Ok((packet.data, info))
}

fn read<T: FromBytes>(record: &Ppi<'_>) -> Result<T, Fault> {
    record.read().ok_or(Fault::PpiLength {
        kind: record.kind,
        len: record.data.len(),
    })
}
