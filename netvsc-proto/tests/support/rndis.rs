//! What the driver says in RNDIS: control messages, and their answers.

use netvsc_proto::wire::nvsp::{self, ChannelType, NO_SECTION, Status};
use netvsc_proto::wire::nvsp_message::GuestMessage;
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::{self, PacketFilter};
use netvsc_proto::wire::rndis_message;
use netvsc_proto::wire::status::RndisStatus;

use super::Rig;

impl<const WORDS: usize> Rig<WORDS> {
    /// Sends a control message and returns the status of its NVSP completion.
    pub(crate) fn control(&mut self, bytes: &[u8]) -> Status {
        let id = self.id();
        self.send_pages(0, id, ChannelType::CONTROL, (NO_SECTION, 0), bytes);
        self.run();
        self.transfer_status(0, id)
    }

    pub(crate) fn request(&mut self, message: &rndis_message::GuestMessage<'_>) -> Vec<u8> {
        let mut bytes = [0; 2048];
        let bytes = message.encode(&mut bytes).unwrap().to_vec();
        assert_eq!(self.control(&bytes), Status::SUCCESS);
        self.guest[0].replies.pop_front().expect("no answer")
    }

    /// `rndis_filter_init_device`.
    pub(crate) fn initialize(&mut self) -> rndis::InitializeComplete {
        self.request_id += 1;
        let request = rndis::InitializeRequest {
            request_id: self.request_id.into(),
            major_version: 1.into(),
            minor_version: 0.into(),
            max_transfer_size: 0x4000.into(),
        };
        let reply = self.request(&rndis_message::GuestMessage::Initialize(request));
        match rndis_message::HostMessage::decode(&reply).unwrap() {
            rndis_message::HostMessage::InitializeComplete(complete) => {
                assert_eq!(complete.request_id.get(), self.request_id);
                assert_eq!(complete.status, RndisStatus::SUCCESS);
                complete
            }
            other => panic!("{other}"),
        }
    }

    pub(crate) fn query(&mut self, oid: Oid) -> Result<Vec<u8>, RndisStatus> {
        self.request_id += 1;
        let request = rndis::OidRequest {
            request_id: self.request_id.into(),
            oid,
            ..Default::default()
        };
        let reply = self.request(&rndis_message::GuestMessage::Query(request, &[]));
        match rndis_message::HostMessage::decode(&reply).unwrap() {
            rndis_message::HostMessage::QueryComplete(complete, info) => {
                assert_eq!(complete.request_id.get(), self.request_id);
                assert!(complete.info_offset.get() >= 16);
                if complete.status == RndisStatus::SUCCESS {
                    Ok(info.to_vec())
                } else {
                    Err(complete.status)
                }
            }
            other => panic!("{other}"),
        }
    }

    pub(crate) fn query_u32(&mut self, oid: Oid) -> u32 {
        u32::from_le_bytes(self.query(oid).unwrap().try_into().unwrap())
    }

    pub(crate) fn set(&mut self, oid: Oid, info: &[u8]) -> RndisStatus {
        self.request_id += 1;
        let request = rndis::OidRequest {
            request_id: self.request_id.into(),
            oid,
            ..Default::default()
        };
        let reply = self.request(&rndis_message::GuestMessage::Set(request, info));
        match rndis_message::HostMessage::decode(&reply).unwrap() {
            rndis_message::HostMessage::SetComplete(complete) => {
                assert_eq!(complete.request_id.get(), self.request_id);
                complete.status
            }
            other => panic!("{other}"),
        }
    }

    pub(crate) fn set_filter(&mut self, filter: PacketFilter) {
        let status = self.set(Oid::GEN_CURRENT_PACKET_FILTER, &filter.bits().to_le_bytes());
        assert_eq!(status, RndisStatus::SUCCESS);
    }

    /// Halts and gives the buffers back as `rndis_filter_device_remove` does.
    pub(crate) fn remove(&mut self) {
        let halt = rndis::HaltRequest {
            request_id: 99.into(),
        };
        let mut bytes = [0; 16];
        let bytes = rndis_message::GuestMessage::Halt(halt)
            .encode(&mut bytes)
            .unwrap()
            .to_vec();
        assert_eq!(self.control(&bytes), Status::SUCCESS);
        let revoke = |id: u16| nvsp::RevokeBuffer { id: id.into() };
        self.tell(&GuestMessage::RevokeReceiveBuffer(revoke(
            nvsp::RECEIVE_BUFFER_ID,
        )));
        self.tell(&GuestMessage::RevokeSendBuffer(revoke(nvsp::SEND_BUFFER_ID)));
    }
}
