//! Frames from the guest: gathered into private memory, judged, given to the backend.

use core::ops::Range;

use vmbus_proto::hvcall::GuestMemory;
use vmbus_proto::ringbuf::{Packet, PacketType, RingMem, SharedMem};
use zerocopy::FromBytes;

use crate::nic::{ETHERNET_HEADER, MacAddress, Offloads, VLAN_TAG};
use crate::wire::nvsp::{NO_SECTION, SendRndisPacket};
use crate::wire::ppi::{ChecksumTransmit, LargeSend, PpiType, TransmitChecksums};
use crate::wire::rndis::{self, HEADER_LEN, MAX_PACKETS_PER_TRANSFER, MessageType};
use crate::wire::rndis_message::{Framed, GuestMessage};

use super::backend::{NetBackend, TransmitInfo, Transmitted};
use super::config::DataPath;
use super::fault::Refusal;
use super::queue::Queue;

/// Headers of a large send, which its size does not count: Ethernet, IPv6 with room for extensions, TCP with options.
const LARGE_SEND_HEADERS: u32 = 256;

impl<M: RingMem, B: SharedMem, const SECTIONS: usize> Queue<M, B, SECTIONS> {
    /// Copies a transfer's data to the start of `target`, each byte once: first what is in the send buffer, then what
    /// is in the packet's pages. Linux sends headers in the one and a frame in the other. Returns how many bytes.
    #[inline]
    pub(super) fn gather<G: GuestMemory + ?Sized>(
        &self,
        memory: &G,
        packet: &Packet<'_>,
        message: &SendRndisPacket,
        target: &mut [u8],
    ) -> Result<usize, Refusal> {
        let limit = target.len();
        let (index, size) = (message.section_index.get(), message.section_size.get());
        let mut length = 0;
        if index != NO_SECTION {
            let (buffer, layout) = self.send.as_ref().ok_or(Refusal::Section { index, size })?;
            if index >= layout.section_count || size > layout.section_size {
                return Err(Refusal::Section { index, size });
            }
            let offset = u64::from(index).saturating_mul(layout.section_size.into());
            length = usize::try_from(size).unwrap_or(usize::MAX);
            let target = target.get_mut(..length).ok_or(Refusal::TransferTooLong {
                length: size.into(),
                limit,
            })?;
            buffer
                .read(usize::try_from(offset).unwrap_or(usize::MAX), target)
                .map_err(Refusal::SendBuffer)?;
        }
        if packet.kind() == PacketType::GPA_DIRECT {
            let ranges = packet.gpa_ranges()?;
            let total = ranges
                .total_bytes()
                .saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            let end = usize::try_from(total).ok().filter(|end| *end <= limit);
            let end = end.ok_or(Refusal::TransferTooLong { length: total, limit })?;
            let mut rest = target.get_mut(length..end).unwrap_or_default();
            for (gpa, len) in ranges.segments() {
                let Some((part, behind)) = rest.split_at_mut_checked(len) else {
                    break;
                };
                memory.read(gpa, part)?;
                rest = behind;
            }
            length = end;
        }
        if length == 0 {
            Err(Refusal::NoData)
        } else {
            Ok(length)
        }
    }

    /// Gives the frames of a transfer to the backend. What comes before a message that is refused was sent.
    #[inline]
    pub(super) fn transmit<N: NetBackend + ?Sized>(
        &mut self,
        backend: &N,
        transfer: &mut [u8],
        length: usize,
    ) -> Result<(), Refusal> {
        if !self.data_path.initialized {
            return Err(Refusal::NotInitialized);
        }
        let mut at = 0_usize;
        let mut count = 0_usize;
        while at < length {
            if count == MAX_PACKETS_PER_TRANSFER {
                return Err(Refusal::TooManyPackets(MAX_PACKETS_PER_TRANSFER));
            }
            count = count.saturating_add(1);
            let framed = Framed::split(transfer.get(at..length).unwrap_or_default())?;
            let next = length.saturating_sub(framed.rest.len());
            let mut frame = self.judge(&framed)?.moved(at);
            frame.insert_tag(&self.data_path.offered, transfer);
            let bytes = transfer.get(frame.range).unwrap_or_default();
            let destination = bytes
                .first_chunk()
                .map(|bytes| MacAddress(*bytes))
                .unwrap_or_default();
            match backend.transmit(bytes, &frame.info) {
                Transmitted::Sent => self.stats.transmitted.count(destination, bytes.len()),
                Transmitted::Dropped => {
                    self.stats.transmit_dropped = self.stats.transmit_dropped.wrapping_add(1);
                }
            }
            at = next;
        }
        Ok(())
    }

    /// Decodes a packet message; the frame's range counts from its start.
    #[inline]
    fn judge(&self, framed: &Framed<'_>) -> Result<Frame, Refusal> {
        if framed.message_type != MessageType::PACKET {
            return Err(Refusal::MessageType(framed.message_type));
        }
        let GuestMessage::Packet(packet) = framed.guest()? else {
            return Err(Refusal::MessageType(framed.message_type));
        };
        let mut info = TransmitInfo {
            queue: self.index,
            ..TransmitInfo::default()
        };
        for record in packet.records() {
            let record = record?;
            match record.kind {
                PpiType::CHECKSUM => info.checksum = record.read(),
                PpiType::LARGE_SEND => info.large_send = record.read(),
                PpiType::VLAN => info.vlan = record.read(),
                PpiType::HASH_VALUE => info.hash = record.read().map(u32::from_le_bytes),
                _ => {}
            }
        }
        info.checksum = info
            .checksum
            .filter(|checksum| checksum.flags().intersects(TO_BE_MADE));
        let limit = frame_limit(&self.data_path, &info)?;
        let length = packet.data.len();
        let fits = u32::try_from(length).is_ok_and(|length| (ETHERNET_HEADER..=limit).contains(&length));
        if !fits {
            return Err(Refusal::FrameLength { length, limit });
        }
        let offset =
            rndis::Packet::read_from_prefix(framed.body).map_or(0, |(head, _)| head.data_offset.get());
        let start = HEADER_LEN.saturating_add(usize::try_from(offset).unwrap_or(usize::MAX));
        Ok(Frame {
            range: start..start.saturating_add(length),
            info,
        })
    }
}

/// Flags that ask for a checksum; the others describe the frame.
const TO_BE_MADE: TransmitChecksums = TransmitChecksums::TCP
    .union(TransmitChecksums::UDP)
    .union(TransmitChecksums::IP_HEADER);

/// The largest frame that may come with this info; refuses what was not offered.
#[inline]
fn frame_limit(data_path: &DataPath, info: &TransmitInfo) -> Result<u32, Refusal> {
    let offered = &data_path.offered;
    if info
        .checksum
        .is_some_and(|checksum| !offered.transmit.cover(checksum.flags()))
    {
        return Err(Refusal::Offload);
    }
    let plain = data_path.max_frame.saturating_add(VLAN_TAG);
    let Some(send) = info.large_send else {
        return Ok(plain);
    };
    let max = if send.is_ipv6() {
        offered.large_send_ipv6
    } else {
        offered.large_send_ipv4
    };
    if max == 0 || send.mss() == 0 {
        return Err(Refusal::Offload);
    }
    Ok(max.saturating_add(LARGE_SEND_HEADERS).max(plain))
}

/// Where a frame stands in a transfer, and what is to be done with it.
struct Frame {
    range: Range<usize>,
    info: TransmitInfo,
}

impl Frame {
    #[inline]
    fn moved(self, by: usize) -> Self {
        let Range { start, end } = self.range;
        Self {
            range: start.saturating_add(by)..end.saturating_add(by),
            info: self.info,
        }
    }

    /// Puts a tag that came as per-packet info into the frame, unless the backend takes it so. The addresses move
    /// forward, over the message's header, which was read before.
    fn insert_tag(&mut self, offered: &Offloads, transfer: &mut [u8]) {
        const TAG: usize = 4;
        const ADDRESSES: usize = 12;
        if offered.vlan {
            return;
        }
        let Some(vlan) = self.info.vlan.take() else { return };
        let Some(start) = self.range.start.checked_sub(TAG) else {
            return;
        };
        let Some(room) = transfer
            .get_mut(start..)
            .and_then(|room| room.get_mut(..TAG.saturating_add(ADDRESSES)))
        else {
            return;
        };
        room.copy_within(TAG.., 0);
        let [high, low] = vlan.tci().to_be_bytes();
        if let Some(tag) = room.last_chunk_mut() {
            *tag = [0x81, 0x00, high, low];
        }
        self.range.start = start;
        let move_on = |offset: u16| offset.saturating_add(4);
        self.info.checksum = self
            .info
            .checksum
            .map(|sum| ChecksumTransmit::new(sum.flags(), move_on(sum.transport_offset())));
        self.info.large_send =
            self.info
                .large_send
                .map(|send| match (send.is_v2(), move_on(send.tcp_offset())) {
                    (true, offset) => LargeSend::v2(send.mss(), offset, send.is_ipv6()),
                    (false, offset) => LargeSend::v1(send.mss(), offset),
                });
    }
}
