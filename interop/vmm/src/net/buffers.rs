//! The buffers that the guest lends, and the RNDIS messages that stand in them and in the guest's pages, for a trace.

use crate::trace::{Carried, TracedPacket};
use hvcall::GuestMemory;
use netvsc_proto::host::{Queue, ReceiveLayout, SendLayout};
use netvsc_proto::wire::nvsp::{NO_SECTION, SendRndisPacket};
use netvsc_proto::wire::nvsp_message::GuestMessage;
use netvsc_proto::wire::rndis::MAX_PACKETS_PER_TRANSFER;
use netvsc_proto::wire::rndis_message::Framed;
use vmbus_proto::ringbuf::gpa::GpaRanges;
use vmbus_proto::ringbuf::wire::{GpaDirectHeader, TransferPageHeader};
use vmbus_proto::ringbuf::{PacketType, RingMem, SharedMem, TransferPageRange};
use zerocopy::FromBytes;

/// Bytes of a transfer that a trace reads: as many as the largest frame and its header take.
const MOST: usize = 0x2_0000;

/// The buffers, while they are lent.
pub(super) struct Buffers<B> {
    pub(super) receive: Option<(B, ReceiveLayout)>,
    pub(super) send: Option<(B, SendLayout)>,
}

impl<B> Default for Buffers<B> {
    fn default() -> Self {
        Self {
            receive: None,
            send: None,
        }
    }
}

impl<B: SharedMem> Buffers<B> {
    /// Lends those that there are to a queue.
    pub(super) fn lend<M: RingMem, const SECTIONS: usize>(&self, queue: &mut Queue<M, B, SECTIONS>)
    where
        B: Clone,
    {
        if let Some((region, layout)) = &self.receive {
            queue.lend_receive_buffer(region.clone(), *layout);
        }
        if let Some((region, layout)) = &self.send {
            queue.lend_send_buffer(region.clone(), *layout);
        }
    }

    /// The RNDIS messages that a packet is about. Of what cannot be read there is nothing to see: the device complains of it.
    pub(super) fn messages<G: GuestMemory>(&self, packet: &TracedPacket<'_>, ram: &G) -> Vec<Carried> {
        let mut messages = Vec::new();
        if packet.from_guest {
            if let Ok(GuestMessage::SendRndisPacket(message)) = GuestMessage::decode(packet.payload) {
                split(&self.sent(packet, &message, ram), true, &mut messages);
            }
        } else {
            for range in transfer_ranges(packet) {
                split(&self.received(range), false, &mut messages);
            }
        }
        messages
    }

    /// A transfer of the guest's: first what is in the send buffer, then what is in its pages.
    fn sent<G: GuestMemory>(&self, packet: &TracedPacket<'_>, message: &SendRndisPacket, ram: &G) -> Vec<u8> {
        let mut bytes = Vec::new();
        let (index, size) = (message.section_index.get(), message.section_size.get());
        if let Some((region, layout)) = &self.send
            && index != NO_SECTION
            && size <= layout.section_size
        {
            let at = u64::from(index) * u64::from(layout.section_size);
            bytes = read(size, |part| {
                region.read(usize::try_from(at).unwrap_or(usize::MAX), part).ok()
            });
        }
        for (gpa, len) in gpa_ranges(packet).iter().flat_map(GpaRanges::segments) {
            let part = u32::try_from(len.min(MOST - bytes.len())).unwrap_or_default();
            bytes.extend(read(part, |part| GuestMemory::read(ram, gpa, part).ok()));
        }
        bytes
    }

    /// A range of the receive buffer.
    fn received(&self, range: &TransferPageRange) -> Vec<u8> {
        let Some((region, _)) = &self.receive else {
            return Vec::new();
        };
        let at = range.byte_offset.get() as usize;
        read(range.byte_count.get(), |part| region.read(at, part).ok())
    }
}

/// So many bytes, [`MOST`] at most, or none.
fn read(len: u32, into: impl FnOnce(&mut [u8]) -> Option<()>) -> Vec<u8> {
    let mut bytes = vec![0; MOST.min(len as usize)];
    into(&mut bytes).map_or_else(Vec::new, |()| bytes)
}

fn gpa_ranges<'p>(packet: &TracedPacket<'p>) -> Option<GpaRanges<'p>> {
    let (header, ranges) = GpaDirectHeader::ref_from_prefix(packet.extension).ok()?;
    (packet.kind == PacketType::GPA_DIRECT)
        .then(|| GpaRanges::parse(header.range_count.get(), ranges).ok())
        .flatten()
}

fn transfer_ranges<'p>(packet: &TracedPacket<'p>) -> &'p [TransferPageRange] {
    let ranges = || {
        let (header, ranges) = TransferPageHeader::ref_from_prefix(packet.extension).ok()?;
        let count = header.range_count.get() as usize;
        let (ranges, _) = <[TransferPageRange]>::ref_from_prefix_with_elems(ranges, count).ok()?;
        Some(ranges)
    };
    let has_ranges = packet.kind == PacketType::TRANSFER_PAGES;
    has_ranges.then(ranges).flatten().unwrap_or_default()
}

/// The messages of a transfer, as many as there can be. What makes none is shown as it is, and why.
fn split(transfer: &[u8], from_guest: bool, messages: &mut Vec<Carried>) {
    let mut rest = transfer;
    for _ in 0..MAX_PACKETS_PER_TRANSFER {
        if rest.is_empty() {
            return;
        }
        let framed = Framed::split(rest);
        let (message, behind) = match &framed {
            Ok(framed) => rest.split_at(rest.len() - framed.rest.len()),
            Err(_) => (rest, [].as_slice()),
        };
        let words = framed.and_then(|framed| {
            if from_guest {
                framed.guest().map(|message| message.to_string())
            } else {
                framed.host().map(|message| message.to_string())
            }
        });
        messages.push(Carried {
            protocol: "RNDIS",
            words: words.unwrap_or_else(|error| error.to_string()),
            bytes: message.to_vec(),
        });
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Ram;
    use netvsc_proto::wire::nvsp::{ChannelType, Version};
    use netvsc_proto::wire::oid::Oid;
    use netvsc_proto::wire::rndis::{KeepaliveRequest, OidRequest};
    use netvsc_proto::wire::rndis_message as rndis;
    use vm_memory::GuestAddress;
    use vmbus_proto::ringbuf::mem::ArrayRegion;
    use zerocopy::IntoBytes;

    const SECTION: u32 = 1024;
    type Region = ArrayRegion<1024>;

    fn query() -> Vec<u8> {
        let request = OidRequest {
            request_id: 7.into(),
            oid: Oid::GEN_LINK_SPEED,
            ..OidRequest::default()
        };
        let mut out = [0; 64];
        rndis::GuestMessage::Query(request, b"info")
            .encode(&mut out)
            .unwrap()
            .to_vec()
    }

    fn keepalive() -> Vec<u8> {
        let request = KeepaliveRequest { request_id: 9.into() };
        let mut out = [0; 64];
        rndis::HostMessage::Keepalive(request)
            .encode(&mut out)
            .unwrap()
            .to_vec()
    }

    fn buffers(region: &Region) -> Buffers<&Region> {
        let receive = ReceiveLayout {
            buffer_id: 0xcafe,
            section_size: SECTION,
            sections_per_queue: 8,
        };
        let send = SendLayout {
            section_size: SECTION,
            section_count: 8,
        };
        Buffers {
            receive: Some((region, receive)),
            send: Some((region, send)),
        }
    }

    /// The messages of a guest's packet that names a section and pages.
    fn sent(
        buffers: &Buffers<&Region>,
        ram: &Ram,
        (index, size): (u32, u32),
        pages: &[(u32, u32, u64)],
    ) -> Vec<Carried> {
        let message = SendRndisPacket {
            channel_type: ChannelType::CONTROL,
            section_index: index.into(),
            section_size: size.into(),
        };
        let mut payload = [0; 64];
        let message = GuestMessage::SendRndisPacket(message);
        let payload = message.encode(Version::V6_1, &mut payload).unwrap();
        let count = u32::try_from(pages.len()).unwrap();
        let mut extension = [0, count].map(u32::to_le_bytes).concat();
        for (count, offset, pfn) in pages {
            extension.extend([*count, *offset].map(u32::to_le_bytes).concat());
            extension.extend(pfn.to_le_bytes());
        }
        let kind = if pages.is_empty() {
            PacketType::IN_BAND
        } else {
            PacketType::GPA_DIRECT
        };
        let packet = TracedPacket {
            from_guest: true,
            kind,
            extension: &extension,
            payload,
        };
        buffers.messages(&packet, ram)
    }

    fn ram() -> Ram {
        Ram::from_ranges(&[(GuestAddress(0), 0x4000)]).unwrap()
    }

    #[test]
    fn a_guests_messages_are_read_where_the_packet_says() {
        let (region, ram) = (Region::new(), ram());
        let buffers = buffers(&region);
        let query = query();
        let len = u32::try_from(query.len()).unwrap();

        GuestMemory::write(&ram, 0x2010, &query).unwrap();
        let in_pages = sent(&buffers, &ram, (NO_SECTION, 0), &[(len, 0x10, 2)]);
        assert_eq!(in_pages.len(), 1);
        assert_eq!(in_pages[0].bytes, query);
        assert!(
            in_pages[0].words.contains("OID_GEN_LINK_SPEED"),
            "{}",
            in_pages[0].words
        );

        SharedMem::write(&region, 3 * SECTION as usize, &query.repeat(2)).unwrap();
        let two = sent(&buffers, &ram, (3, len * 2), &[]);
        assert_eq!(two, [&in_pages[0], &in_pages[0]].map(Clone::clone));

        // Linux puts heads into the buffer and leaves frames in their pages.
        GuestMemory::write(&ram, 0x1ffc, &query[20..]).unwrap();
        let halves = sent(&buffers, &ram, (3, 20), &[(4, 0xffc, 1), (len - 24, 0, 2)]);
        assert_eq!(halves, in_pages);
    }

    #[test]
    fn what_a_guest_says_wrongly_is_shown_or_left_out() {
        let (region, ram) = (Region::new(), ram());
        let buffers = buffers(&region);
        for nothing in [
            sent(&buffers, &ram, (3, SECTION + 1), &[]),
            sent(&buffers, &ram, (u32::MAX - 1, SECTION), &[]),
            sent(&buffers, &ram, (NO_SECTION, 0), &[(16, 0, 0x100)]),
            sent(&buffers, &ram, (NO_SECTION, 0), &[(16, 0x1000, 1)]),
            sent(&Buffers::default(), &ram, (3, 16), &[]),
        ] {
            assert_eq!(nothing, []);
        }
        SharedMem::write(&region, 0, &query()).unwrap();
        let cut = sent(&buffers, &ram, (0, 20), &[]);
        assert_eq!(cut[0].bytes, query()[..20]);
        let foreign = keepalive();
        SharedMem::write(&region, 0, &[0xff; 16]).unwrap();
        assert_eq!(sent(&buffers, &ram, (0, 16), &[])[0].bytes, [0xff; 16]);
        SharedMem::write(&region, 0, &foreign).unwrap();
        let host = TracedPacket {
            from_guest: false,
            kind: PacketType::TRANSFER_PAGES,
            extension: &[],
            payload: &[],
        };
        assert_eq!(buffers.messages(&host, &ram), []);
    }

    #[test]
    fn a_hosts_messages_are_read_where_it_put_them() {
        let (region, ram) = (Region::new(), ram());
        let buffers = buffers(&region);
        let keepalive = keepalive();
        let len = u32::try_from(keepalive.len()).unwrap();
        SharedMem::write(&region, 2 * SECTION as usize, &keepalive).unwrap();
        let header = TransferPageHeader {
            set_id: 0xcafe.into(),
            sender_owns_set: 0,
            reserved: 0,
            range_count: 2.into(),
        };
        let ranges = [
            TransferPageRange::new(2 * SECTION, len),
            TransferPageRange::new(u32::MAX, len),
        ];
        let extension = [header.as_bytes(), ranges.as_bytes()].concat();
        let packet = |kind| TracedPacket {
            from_guest: false,
            kind,
            extension: &extension,
            payload: &[],
        };
        let messages = buffers.messages(&packet(PacketType::TRANSFER_PAGES), &ram);
        assert_eq!(messages.len(), 1, "the other is beyond the buffer");
        assert_eq!(messages[0].bytes, keepalive);
        assert!(messages[0].words.contains("KEEPALIVE"), "{}", messages[0].words);
        assert_eq!(buffers.messages(&packet(PacketType::IN_BAND), &ram), []);
    }
}
