//! Frames for the guest: put into sections, staged, published as transfer-page packets, returned by completions.

use vmbus_proto::ringbuf::{Descriptor, Outgoing, RingMem, SharedMem, Signal, TransferPageRange};
use zerocopy::little_endian::U32;

use crate::nic::{Checksums, ETHERNET_HEADER, MacAddress, ReceiveInfo, VLAN_TAG};
use crate::wire::nvsp::{ChannelType, NO_SECTION, SendRndisPacket, SendRndisPacketComplete, Status};
use crate::wire::nvsp_message::HostMessage;
use crate::wire::packet_head::PacketHead;
use crate::wire::ppi::{ChecksumReceive, PPI_RECORD_LEN, PpiList, PpiType, ReceiveChecksums};
use crate::wire::rndis::PACKET_HEADER_LEN;

use super::fault::{Fault, ReceiveError};
use super::queue::Queue;
use super::sections::Chain;

/// Records that a received frame can have: checksums, VLAN, hash.
const RECORDS: usize = 3;

/// Bytes of a section before the frame, at most.
pub(super) const HEADERS: u32 = 92;
const _: () = assert!(HEADERS as usize == PACKET_HEADER_LEN + RECORDS * PPI_RECORD_LEN);

/// Sections of the primary channel that frames leave to control messages, so that answers get through a flood.
const CONTROL_RESERVE: u16 = 4;

/// What became of a frame for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It stands in the guest's memory and goes out with the next [`Queue::flush`], or when it is served.
    Staged,
    /// The guest does not listen to such frames, or not yet: nothing is to be done.
    Filtered,
}

impl<M: RingMem, B: SharedMem, const SECTIONS: usize> Queue<M, B, SECTIONS> {
    /// Takes a frame for the guest: Ethernet header first, without frame check sequence. Call [`flush`](Self::flush)
    /// when there is no further frame at hand.
    ///
    /// Whether the guest wants the frame is judged here; which queue it belongs to is for
    /// [`Spreader`](super::Spreader).
    ///
    /// # Errors
    ///
    /// [`NoBuffer`](ReceiveError::NoBuffer) and [`RingFull`](ReceiveError::RingFull) are back-pressure: keep the frame
    /// and try again after the queue was served, or drop it and [count](Self::count_dropped) it.
    pub fn receive(&mut self, frame: &[u8], info: &ReceiveInfo) -> Result<Received, ReceiveError> {
        if let Some(fault) = self.fault {
            return Err(fault.into());
        }
        let limit = self.data_path.max_frame.saturating_add(VLAN_TAG);
        let length = frame.len();
        let (destination, wire_length) = match (frame.first_chunk(), u32::try_from(length)) {
            (Some(bytes), Ok(wire_length)) => (MacAddress(*bytes), wire_length),
            _ => return Err(ReceiveError::FrameLength { length, limit }),
        };
        if !self.data_path.initialized || !self.data_path.accepts(destination) {
            self.stats.receive_filtered = self.stats.receive_filtered.wrapping_add(1);
            return Ok(Received::Filtered);
        }
        if !(ETHERNET_HEADER..=limit).contains(&wire_length) {
            return Err(ReceiveError::FrameLength { length, limit });
        }
        if self.staged.is_full() {
            self.deliver()?;
            if self.staged.is_full() {
                self.stats.receive_ring_full = self.stats.receive_ring_full.wrapping_add(1);
                return Err(ReceiveError::RingFull);
            }
        }
        self.stage(frame, wire_length, info)?;
        self.stats.received.count(destination, length);
        Ok(Received::Staged)
    }

    /// Publishes the frames that are staged, with one signal at most. Frames for which the ring has no room stay
    /// staged and go out when the queue is served.
    ///
    /// # Errors
    ///
    /// The channel is poisoned.
    pub fn flush(&mut self) -> Result<Signal, Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.deliver()?;
        Ok(core::mem::replace(&mut self.signal, Signal::NotNeeded))
    }

    /// Frames that can be taken before [`ReceiveError::NoBuffer`].
    pub fn receive_capacity(&self) -> u16 {
        let reserve = if self.index == 0 { CONTROL_RESERVE } else { 0 };
        self.sections.free_count().saturating_sub(reserve)
    }

    /// Frames and control messages that the guest has and has not returned yet, in sections.
    pub fn outstanding(&self) -> u16 {
        let staged = u16::try_from(self.staged.len()).unwrap_or(u16::MAX);
        self.sections
            .count()
            .saturating_sub(self.sections.free_count())
            .saturating_sub(staged)
    }

    /// Writes a frame into a section and stages it.
    fn stage(&mut self, frame: &[u8], length: u32, info: &ReceiveInfo) -> Result<(), ReceiveError> {
        let Some((buffer, layout)) = &self.receive else {
            return Err(ReceiveError::NoReceiveBuffer);
        };
        if self.receive_capacity() == 0 {
            self.stats.receive_no_buffer = self.stats.receive_no_buffer.wrapping_add(1);
            return Err(ReceiveError::NoBuffer);
        }
        let mut records = PpiList::<RECORDS>::new();
        let checksums = info.checksums.intersection(told(&self.data_path.enabled.receive));
        // A list of three takes the three records.
        if !checksums.is_empty() {
            let _ = records.push(PpiType::CHECKSUM, &ChecksumReceive::new(checksums));
        }
        if let Some(vlan) = info.vlan {
            let _ = records.push(PpiType::VLAN, &vlan);
        }
        if let Some(hash) = info.hash {
            let _ = records.push(PpiType::HASH_VALUE, &U32::new(hash));
        }
        let head = PacketHead::new(&records, length);
        let Some(section) = self.sections.take() else {
            return Err(ReceiveError::NoBuffer);
        };
        let at = layout.offset(self.index, section);
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let written = buffer
            .write(start, head.as_bytes())
            .and_then(|()| buffer.write(start.saturating_add(head.as_bytes().len()), frame));
        if let Err(error) = written {
            self.sections.give_back(section);
            return Err(error.into());
        }
        self.staged_chain = Some(self.sections.append(self.staged_chain, section));
        // There is room: `receive` has seen to it.
        let _ = self.staged.push(TransferPageRange::new(at, head.message_len()));
        Ok(())
    }

    /// Sends what is staged, if the ring has room for it.
    pub(super) fn deliver_staged(&mut self) -> Result<(), Fault> {
        let Some(chain) = self.staged_chain else {
            return Ok(());
        };
        let ranges = self.staged.clone();
        if self.send_chain(chain, ChannelType::DATA, &ranges)? {
            self.staged.clear();
            self.staged_chain = None;
        }
        Ok(())
    }

    /// Sends an RNDIS control message in a section of its own. `false`: not now, as no section is free or the ring is
    /// full.
    pub(super) fn send_control(&mut self, message: &[u8]) -> Result<bool, Fault> {
        let Some((buffer, layout)) = &self.receive else {
            return Ok(false);
        };
        let Some(section) = self.sections.take() else {
            return Ok(false);
        };
        let at = layout.offset(self.index, section);
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let written = buffer.write(usize::try_from(at).unwrap_or(usize::MAX), message);
        let chain = self.sections.append(None, section);
        let sent = match written {
            Ok(()) => self.send_chain(chain, ChannelType::CONTROL, &[TransferPageRange::new(at, length)])?,
            Err(_) => false,
        };
        if !sent {
            self.sections.give_back(section);
        }
        Ok(sent)
    }

    /// Writes the transfer-page packet for a chain of sections. `false`: the ring is full.
    fn send_chain(
        &mut self,
        chain: Chain,
        channel_type: ChannelType,
        ranges: &[TransferPageRange],
    ) -> Result<bool, Fault> {
        let Some((_, layout)) = &self.receive else {
            return Ok(false);
        };
        let message = HostMessage::SendRndisPacket(SendRndisPacket {
            channel_type,
            section_index: U32::new(NO_SECTION),
            section_size: U32::ZERO,
        });
        let mut buffer = [0; 64];
        let payload = message
            .encode(self.data_path.version, &mut buffer)
            .unwrap_or_default();
        let outgoing = Outgoing {
            transaction_id: self.sections.transaction_id(chain),
            request_completion: true,
            descriptor: Descriptor::TransferPages {
                set_id: layout.buffer_id,
                ranges,
            },
            payload: &[payload],
        };
        let sent = self.write(&outgoing)?;
        if sent {
            self.sections.sent(chain);
        }
        Ok(sent)
    }

    /// The guest returns a packet's sections.
    pub(super) fn returned(
        &mut self,
        transaction_id: u64,
        complete: SendRndisPacketComplete,
    ) -> Result<(), Fault> {
        let Some(count) = self.sections.returned(transaction_id) else {
            let Some(late) = self.late.checked_sub(1) else {
                return Err(self.poison(Fault::Completion { transaction_id }));
            };
            self.late = late;
            return Ok(());
        };
        if complete.status != Status::SUCCESS {
            self.stats.receive_rejected = self.stats.receive_rejected.wrapping_add(count.into());
        }
        Ok(())
    }
}

/// What may be told of checksums.
fn told(enabled: &Checksums) -> ReceiveChecksums {
    let mut told = ReceiveChecksums::LOOPBACK;
    if enabled.ipv4 {
        told |=
            ReceiveChecksums::IP_FAILED | ReceiveChecksums::IP_SUCCEEDED | ReceiveChecksums::IP_VALUE_INVALID;
    }
    if enabled.tcp4 || enabled.tcp6 {
        told |= ReceiveChecksums::TCP_FAILED
            | ReceiveChecksums::TCP_SUCCEEDED
            | ReceiveChecksums::TCP_VALUE_INVALID;
    }
    if enabled.udp4 || enabled.udp6 {
        told |= ReceiveChecksums::UDP_FAILED | ReceiveChecksums::UDP_SUCCEEDED;
    }
    told
}
