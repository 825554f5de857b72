//! Frames for the host: copied into a section of the send buffer, or in pages that the packet lists.

use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{Descriptor, RingMem, SharedMem, Signal, WriteError};
use zerocopy::little_endian::U32;

use crate::nic::{ETHERNET_HEADER, MacAddress, VLAN_TAG};
use crate::wire::nvsp::{ChannelType, NO_SECTION};
use crate::wire::packet_head::{MAX_HEAD_LEN, MAX_RECORDS, PacketHead};
use crate::wire::ppi::{ChecksumTransmit, LargeSend, PpiList, PpiType, Vlan};

use super::event::Submitted;
use super::fault::{Fault, TransmitError};
use super::queue::{Lent, Queue, rndis_packet};

/// Bytes of the head of a frame that is sent in pages, in memory that is lent for it.
pub const HEAD_LEN: u32 = 128;
const _: () = assert!(MAX_HEAD_LEN <= HEAD_LEN as usize);

/// Pieces of a frame that is sent in pages: with the head, as many ranges as Linux sends at most
/// (`MAX_PAGE_BUFFER_COUNT`, 32).
pub const MAX_PIECES: usize = 31;

/// Headers of a large send, which its size does not count: Ethernet, IPv6 with room for extensions, TCP with options.
const LARGE_SEND_HEADERS: u32 = 256;

/// What is to be done with a frame, besides sending it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransmitInfo {
    /// A VLAN tag that is not in the frame. Needs [`Offloads::vlan`](crate::nic::Offloads::vlan).
    pub vlan: Option<Vlan>,
    /// Checksums to be made, of those that are [switched on](super::Nic::set_offloads). In their place in the frame
    /// stands the sum over the pseudo header.
    pub checksum: Option<ChecksumTransmit>,
    /// The frame is to be cut into segments. In the IPv4 header, the total length and the checksum are 0; in the IPv6
    /// header, the payload length is 0; in the TCP header stands the sum over the pseudo header, without a length.
    pub large_send: Option<LargeSend>,
    /// The hash of the frame's flow.
    pub hash: Option<u32>,
}

impl TransmitInfo {
    /// Nothing: the frame is complete.
    pub const NONE: Self = Self {
        vlan: None,
        checksum: None,
        large_send: None,
        hash: None,
    };

    fn head(&self, len: u32) -> PacketHead {
        let mut records = PpiList::<MAX_RECORDS>::new();
        // A list of four takes the four records.
        if let Some(hash) = self.hash {
            let _ = records.push(PpiType::HASH_VALUE, &U32::new(hash));
        }
        if let Some(vlan) = &self.vlan {
            let _ = records.push(PpiType::VLAN, vlan);
        }
        if let Some(send) = &self.large_send {
            let _ = records.push(PpiType::LARGE_SEND, send);
        }
        if let Some(checksum) = &self.checksum {
            let _ = records.push(PpiType::CHECKSUM, checksum);
        }
        PacketHead::new(&records, len)
    }
}

impl<M: RingMem, B: SharedMem, const DEPTH: usize> Queue<'_, M, B, DEPTH> {
    /// Sends a frame by copy: Ethernet header first, without frame check sequence. The slice is the caller's again at
    /// once; [`Event::Transmitted`](super::Event::Transmitted) tells what became of the frame.
    ///
    /// # Errors
    ///
    /// [`NoRoom`](TransmitError::NoRoom) and [`RingFull`](TransmitError::RingFull) are back-pressure: nothing was sent,
    /// try again after the queue was polled. The others are the caller's, or a fault.
    pub fn transmit(&mut self, frame: &[u8], info: &TransmitInfo) -> Result<Submitted, TransmitError> {
        let len = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        let head = info.head(self.judge(len.into(), info)?);
        let layout = self.data_path.send.ok_or(TransmitError::NotReady)?;
        if head.message_len() > layout.section_size {
            let heads = head.message_len().saturating_sub(len);
            return Err(TransmitError::FrameLength {
                len: len.into(),
                limit: layout.section_size.saturating_sub(heads),
            });
        }
        let Some(id) = self.transactions.next() else {
            return self.no_room();
        };
        let Some(section) = self.sections.pop() else {
            return self.no_room();
        };
        if !self.completions_first()? {
            self.free(Lent::Section(section));
            return Err(self.ring_full());
        }
        let at = section.saturating_mul(layout.section_size) as usize;
        let send = &self.memory.send;
        let written = send
            .write(at, head.as_bytes())
            .and_then(|()| send.write(at.saturating_add(head.as_bytes().len()), frame));
        if let Err(error) = written {
            self.free(Lent::Section(section));
            return Err(TransmitError::Fault(self.poison(error.into())));
        }
        let message = rndis_packet(ChannelType::DATA, section, head.message_len());
        // The answer may be there before the call returns: the transaction is known before it is sent.
        self.transactions.start(id, Lent::Section(section));
        let sent = self.try_write(id.number(), true, Descriptor::InBand, &message);
        let signal = self.sent(id.number(), sent)?;
        let destination = frame.first_chunk().map(|bytes| MacAddress(*bytes));
        self.stats
            .transmitted
            .count(destination.unwrap_or_default(), frame.len());
        Ok(Submitted { id, signal })
    }

    /// Sends a frame that lies in pages, to `destination`: the pages are the host's until
    /// [`Event::Transmitted`](super::Event::Transmitted) names the frame.
    ///
    /// The queue needs [memory for heads](super::QueueMemory::heads).
    ///
    /// # Errors
    ///
    /// As [`transmit`](Self::transmit).
    pub fn transmit_pages(
        &mut self,
        destination: MacAddress,
        frame: &[GpaRange<'_>],
        info: &TransmitInfo,
    ) -> Result<Submitted, TransmitError> {
        let len = frame
            .iter()
            .fold(0_u64, |sum, piece| sum.saturating_add(piece.byte_count().into()));
        let head = info.head(self.judge(len, info)?);
        let (pieces, limit) = (frame.len(), MAX_PIECES);
        if pieces > limit {
            return Err(TransmitError::Pieces { pieces, limit });
        }
        let Some(id) = self.transactions.next() else {
            return self.no_room();
        };
        if !self.completions_first()? {
            return Err(self.ring_full());
        }
        let heads = self.memory.heads.as_ref().ok_or(TransmitError::NoHeads)?;
        let at = id.place().saturating_mul(HEAD_LEN);
        let head_len = u32::try_from(head.as_bytes().len()).unwrap_or(u32::MAX);
        let head_pages = heads.range(at, head_len).ok_or(TransmitError::NoHeads)?;
        let written = heads.write(at, head.as_bytes());
        written.map_err(|_| TransmitError::NoHeads)?;
        let mut ranges = heapless::Vec::<GpaRange<'_>, { MAX_PIECES + 1 }>::new();
        for range in core::iter::once(head_pages).chain(frame.iter().copied()) {
            // There is room: the pieces were counted.
            let _ = ranges.push(range);
        }
        let message = rndis_packet(ChannelType::DATA, NO_SECTION, 0);
        self.transactions.start(id, Lent::Pages);
        let sent = self.try_write(id.number(), true, Descriptor::GpaDirect(&ranges), &message);
        let signal = self.sent(id.number(), sent)?;
        self.stats
            .transmitted
            .count(destination, usize::try_from(len).unwrap_or_default());
        Ok(Submitted { id, signal })
    }

    /// Frames that can be sent by copy before [`TransmitError::NoRoom`].
    #[must_use]
    pub fn transmit_capacity(&self) -> usize {
        self.sections
            .len()
            .min(DEPTH.saturating_sub(self.transactions.pending()))
    }

    /// Whether [`transmit`](Self::transmit) would take a frame now. If the ring is full, the host signals when it has
    /// room; if no place or section is free, when a frame is complete.
    ///
    /// # Errors
    ///
    /// The ring is corrupt, or the channel was poisoned before.
    pub fn can_transmit(&mut self) -> Result<bool, Fault> {
        self.check()?;
        Ok(self.data_path.ready && self.transmit_capacity() > 0 && self.has_room()?)
    }

    /// Refuses what cannot be sent; of what can, the length.
    fn judge(&self, len: u64, info: &TransmitInfo) -> Result<u32, TransmitError> {
        self.check()?;
        let path = &self.data_path;
        if !path.ready {
            return Err(TransmitError::NotReady);
        }
        let on = &path.offloads;
        let plain = path.max_frame.saturating_add(VLAN_TAG);
        let limit = match info.large_send {
            None => plain,
            Some(send) => {
                let most = if send.is_ipv6() {
                    on.large_send_ipv6
                } else {
                    on.large_send_ipv4
                };
                if most == 0 || send.mss() == 0 {
                    return Err(TransmitError::Offload);
                }
                most.saturating_add(LARGE_SEND_HEADERS)
            }
        };
        let covered = info.checksum.is_none_or(|sums| on.transmit.cover(sums.flags()));
        if !covered || info.vlan.is_some() && !on.vlan {
            return Err(TransmitError::Offload);
        }
        u32::try_from(len)
            .ok()
            .filter(|len| (ETHERNET_HEADER..=limit).contains(len))
            .ok_or(TransmitError::FrameLength { len, limit })
    }

    fn no_room<T>(&mut self) -> Result<T, TransmitError> {
        self.stats.transmit_no_room = self.stats.transmit_no_room.wrapping_add(1);
        Err(TransmitError::NoRoom {
            under_way: self.transactions.pending(),
        })
    }

    fn ring_full(&mut self) -> TransmitError {
        self.stats.transmit_ring_full = self.stats.transmit_ring_full.wrapping_add(1);
        TransmitError::RingFull
    }

    /// Takes back what was not sent.
    fn sent(&mut self, number: u64, sent: Result<Signal, WriteError>) -> Result<Signal, TransmitError> {
        let sent = sent.map(|signal| self.take_signal() | signal);
        sent.map_err(|error| {
            if let Some((_, lent)) = self.transactions.end(number) {
                self.free(lent);
            }
            match error {
                WriteError::Fault(fault) => TransmitError::Fault(self.poison(Fault::Ring(fault))),
                WriteError::TooLarge { needed, max } => TransmitError::PacketTooLarge { needed, max },
                _ => self.ring_full(),
            }
        })
    }
}
