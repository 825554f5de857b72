//! What a guest sends: NVSP messages, with RNDIS messages in its pages or in the send buffer.

use netvsc_proto::wire::nvsp::{
    ChannelType, DataPath, Init, OidQueryEx, RevokeBuffer, SendBuffer, SendNdisConfig, SendNdisVersion,
    SendRndisPacket, SendRndisPacketComplete, Status, SubchannelOperation, SubchannelRequest, SwitchDataPath,
    Version,
};
use netvsc_proto::wire::nvsp_message::GuestMessage;
use netvsc_proto::wire::packet_direct::PdRequest;
use vmbus_proto::wire::GpadlId;

use super::guest_rndis::Rndis;
use super::region::Region;
use crate::channel::{Lists, Mangle};
use crate::input::Bytes;
use crate::memory::Ram;
use crate::steps;

/// Where an RNDIS message is put before it is sent from the guest's pages: from page 2 on.
const MESSAGE: usize = 0x2000;

steps! {
    /// Where an RNDIS message stands.
    pub enum Place {
        /// In the guest's pages, with so many bytes in the first range.
        Pages(offset: u16),
        /// In a section of the send buffer.
        Section(index: u8),
        /// Wherever it is said to be.
        Said(section: u32, size: u32, lists: Lists),
    }
}

steps! {
    /// What a guest sends.
    pub enum Content {
        Raw(bytes: Bytes),
        Init(least: u32, most: u32),
        /// One that there is.
        Version(index: u8),
        NdisVersion(major: u8, minor: u8),
        NdisConfig(mtu: u32, capabilities: u8),
        LendReceive(id: u16),
        LendSend(id: u16),
        RevokeReceive(id: u16),
        RevokeSend(id: u16),
        Rndis(control: bool, place: Place, rndis: Rndis),
        SwitchDataPath(active: u32),
        Subchannels(operation: u8, count: u16),
        OidQuery(oid: u32),
        PacketDirect(operation: u32),
        Complete(status: u8),
    }
}

steps! {
    pub struct Packet {
        pub sub_channel: bool,
        pub id: u16,
        pub wants_completion: bool,
        pub lists: Lists,
        pub content: Content,
        pub mangle: Mangle,
    }
}

impl Content {
    /// Its bytes; of RNDIS messages, those of the packet that says where they are.
    pub fn bytes(&self, said: SendRndisPacket) -> Vec<u8> {
        let buffer = |id: &u16| SendBuffer {
            gpadl: GpadlId::new(u32::from(*id)),
            id: (*id).into(),
        };
        let revoke = |id: &u16| RevokeBuffer { id: (*id).into() };
        let message = match self {
            Self::Raw(bytes) => return bytes.0.clone(),
            Self::Init(least, most) => GuestMessage::Init(Init {
                min_version: Version::new(*least),
                max_version: Version::new(*most),
            }),
            Self::Version(index) => {
                let version = Version::NAMED[usize::from(*index) % Version::NAMED.len()];
                GuestMessage::Init(Init {
                    min_version: version,
                    max_version: version,
                })
            }
            Self::NdisVersion(major, minor) => GuestMessage::SendNdisVersion(SendNdisVersion {
                major: u32::from(*major).into(),
                minor: u32::from(*minor).into(),
            }),
            Self::NdisConfig(mtu, capabilities) => GuestMessage::SendNdisConfig(SendNdisConfig {
                mtu: (*mtu).into(),
                reserved: 0.into(),
                capabilities: u64::from(*capabilities).into(),
            }),
            Self::LendReceive(id) => GuestMessage::SendReceiveBuffer(buffer(id)),
            Self::LendSend(id) => GuestMessage::SendSendBuffer(buffer(id)),
            Self::RevokeReceive(id) => GuestMessage::RevokeReceiveBuffer(revoke(id)),
            Self::RevokeSend(id) => GuestMessage::RevokeSendBuffer(revoke(id)),
            Self::Rndis(..) => GuestMessage::SendRndisPacket(said),
            Self::SwitchDataPath(active) => GuestMessage::SwitchDataPath(SwitchDataPath {
                active: DataPath::new(*active),
            }),
            Self::Subchannels(operation, count) => GuestMessage::Subchannel(SubchannelRequest {
                operation: SubchannelOperation::new(u32::from(*operation)),
                count: u32::from(*count).into(),
            }),
            Self::OidQuery(oid) => GuestMessage::OidQueryEx(OidQueryEx {
                oid: netvsc_proto::wire::oid::Oid::new(*oid),
                ..Default::default()
            }),
            Self::PacketDirect(operation) => GuestMessage::PdApi(PdRequest {
                operation: netvsc_proto::wire::packet_direct::PdOperation::new(*operation),
                ..Default::default()
            }),
            Self::Complete(status) => GuestMessage::SendRndisPacketComplete(SendRndisPacketComplete {
                status: Status::new(u32::from(*status)),
            }),
        };
        let mut out = [0; 512];
        message.encode(Version::V6_1, &mut out).expect("room").to_vec()
    }
}

impl Packet {
    /// Puts the RNDIS message, if there is one, where it is to stand, and gives what the packet lists, and its payload.
    pub fn place(&self, ram: &Ram, send: &Region) -> (Lists, Vec<u8>) {
        let mut said = SendRndisPacket::default();
        let mut lists = self.lists.clone();
        if let Content::Rndis(control, place, rndis) = &self.content {
            let bytes = rndis.bytes();
            let len = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
            said.channel_type = if *control {
                ChannelType::CONTROL
            } else {
                ChannelType::DATA
            };
            said.section_index = u32::MAX.into();
            match place {
                Place::Pages(offset) => {
                    let offset = offset % 4096;
                    ram.put(MESSAGE + usize::from(offset), &bytes);
                    lists = Lists::Memory(1, offset, len, (MESSAGE / 4096) as u8);
                }
                Place::Section(index) => {
                    send.put(usize::from(*index) * 6144, &bytes);
                    said.section_index = u32::from(*index).into();
                    said.section_size = u32::from(len).into();
                }
                Place::Said(section, size, elsewhere) => {
                    ram.put(MESSAGE, &bytes);
                    said.section_index = (*section).into();
                    said.section_size = (*size).into();
                    lists = elsewhere.clone();
                }
            }
        }
        let mut payload = self.content.bytes(said);
        self.mangle.apply(&mut payload);
        (lists, payload)
    }
}
