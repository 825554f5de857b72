//! What the driver says in NVSP: the versions, the buffers, and messages that a packet holds.

use netvsc_proto::wire::nvsp::{self, ChannelType, NdisCapabilities, Status, Version};
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use vmbus_proto::hvcall::GuestMemory;
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{Descriptor, SharedMem};
use vmbus_proto::wire::GpadlId;
use zerocopy::little_endian::U64;

use super::{RECEIVE_GPADL, Rig, SEND_GPADL, rndis_packet};

impl<const WORDS: usize> Rig<WORDS> {
    /// Sends a message on the primary channel and waits for its completion.
    pub(crate) fn ask(&mut self, message: &GuestMessage<'_>) -> Vec<u8> {
        let id = self.id();
        self.guest[0].message(id, true, message);
        self.run();
        self.completion(0, id).expect("no completion")
    }

    pub(crate) fn tell(&mut self, message: &GuestMessage<'_>) {
        let id = self.id();
        self.guest[0].message(id, false, message);
        self.run();
    }

    pub(crate) fn completion(&mut self, channel: usize, id: u64) -> Option<Vec<u8>> {
        let completed = &mut self.guest[channel].completed;
        let at = completed.iter().position(|(completed, _)| *completed == id)?;
        completed.remove(at).map(|(_, payload)| payload)
    }

    pub(crate) fn host_message(payload: &[u8]) -> HostMessage<'_> {
        // Linux drops what is shorter.
        assert!(payload.len() >= 28, "{} bytes", payload.len());
        HostMessage::decode(payload, Version::V6_1).unwrap()
    }

    pub(crate) fn init(&mut self, version: Version) -> Status {
        let payload = self.ask(&GuestMessage::Init(nvsp::Init {
            min_version: version,
            max_version: version,
        }));
        match Self::host_message(&payload) {
            HostMessage::InitComplete(complete) => complete.status,
            other => panic!("{other}"),
        }
    }

    /// Negotiates as `netvsc_connect_vsp` does, from the highest version down, and lends both buffers.
    pub(crate) fn connect(&mut self) {
        let mut versions = Version::NAMED.iter().rev().copied();
        self.version = versions
            .find(|version| self.init(*version) == Status::SUCCESS)
            .unwrap();
        if self.version > Version::V1 {
            let capabilities =
                NdisCapabilities::IEEE_8021Q | NdisCapabilities::SRIOV | NdisCapabilities::TEAMING;
            self.tell(&GuestMessage::SendNdisConfig(nvsp::SendNdisConfig {
                mtu: 1514.into(),
                reserved: 0.into(),
                capabilities: capabilities.bits().into(),
            }));
        }
        let minor = if self.version < Version::V5 { 1 } else { 30 };
        self.tell(&GuestMessage::SendNdisVersion(nvsp::SendNdisVersion {
            major: 6.into(),
            minor: minor.into(),
        }));
        self.lend_buffers();
    }

    pub(crate) fn lend_buffers(&mut self) {
        let buffer = |gpadl, id: u16| nvsp::SendBuffer {
            gpadl: GpadlId::new(gpadl),
            id: id.into(),
        };
        let payload = self.ask(&GuestMessage::SendReceiveBuffer(buffer(
            RECEIVE_GPADL,
            nvsp::RECEIVE_BUFFER_ID,
        )));
        let HostMessage::SendReceiveBufferComplete(complete) = Self::host_message(&payload) else {
            panic!()
        };
        assert_eq!(complete.status, Status::SUCCESS);
        assert_eq!(
            (complete.section_count.get(), complete.section.offset.get()),
            (1, 0)
        );
        let (size, count) = (
            complete.section.part_size.get(),
            complete.section.part_count.get(),
        );
        // As `netvsc_init_buf` has it.
        assert!(size >= 68 && u64::from(size) * u64::from(count) <= SharedMem::len(&self.receive) as u64);
        let payload = self.ask(&GuestMessage::SendSendBuffer(buffer(
            SEND_GPADL,
            nvsp::SEND_BUFFER_ID,
        )));
        let HostMessage::SendSendBufferComplete(complete) = Self::host_message(&payload) else {
            panic!()
        };
        assert_eq!(
            (complete.status, complete.section_size.get()),
            (Status::SUCCESS, 6144)
        );
    }

    /// Puts bytes into pages of the guest, beginning at `gpa`, and sends them as a GPA direct packet, one range for
    /// each page as Linux does.
    pub(crate) fn send_pages(
        &mut self,
        channel: usize,
        id: u64,
        channel_type: ChannelType,
        section: (u32, u32),
        bytes: &[u8],
    ) {
        let gpa = 0x3f00_u64;
        GuestMemory::write(&self.ram, gpa, bytes).unwrap();
        let mut pfns = Vec::new();
        let (mut at, mut left) = (gpa, bytes.len());
        let mut spans = Vec::new();
        while left > 0 {
            let offset = at % 4096;
            let len = left.min(usize::try_from(4096 - offset).unwrap());
            pfns.push(U64::new(at / 4096));
            spans.push((u32::try_from(offset).unwrap(), u32::try_from(len).unwrap()));
            at += len as u64;
            left -= len;
        }
        let ranges: Vec<_> = spans
            .iter()
            .zip(pfns.chunks(1))
            .map(|((offset, len), pfn)| GpaRange::new(*offset, *len, pfn).unwrap())
            .collect();
        let payload = rndis_packet(channel_type, section.0, section.1);
        self.guest[channel]
            .write(Descriptor::GpaDirect(&ranges), id, true, &payload)
            .unwrap();
    }

    pub(crate) fn transfer_status(&mut self, channel: usize, id: u64) -> Status {
        let payload = self.completion(channel, id).expect("no completion");
        match Self::host_message(&payload) {
            HostMessage::SendRndisPacketComplete(complete) => complete.status,
            other => panic!("{other}"),
        }
    }

    /// Sends packet messages by a section of the send buffer, and returns the completion's status.
    pub(crate) fn send_section(&mut self, channel: usize, section: u32, bytes: &[u8]) -> Status {
        let id = self.id();
        self.post_section(channel, id, section, bytes);
        self.run();
        self.transfer_status(channel, id)
    }

    pub(crate) fn post_section(&mut self, channel: usize, id: u64, section: u32, bytes: &[u8]) {
        SharedMem::write(&self.send, usize::try_from(section).unwrap() * 6144, bytes).unwrap();
        let payload = rndis_packet(ChannelType::DATA, section, u32::try_from(bytes.len()).unwrap());
        self.guest[channel].in_band(id, true, &payload);
    }
}
