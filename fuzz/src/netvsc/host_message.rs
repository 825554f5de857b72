//! What a host sends: NVSP messages, and RNDIS messages in the receive buffer.

use netvsc_proto::wire::nvsp::{
    ChannelType, DataPath, InitComplete, NO_SECTION, OidQueryExComplete, ReceiveBufferSection,
    SendReceiveBufferComplete, SendRndisPacket, SendRndisPacketComplete, SendSendBufferComplete,
    SendVfAssociation, Status, SubchannelComplete, SwitchDataPath, Version,
};
use netvsc_proto::wire::nvsp_message::{HostMessage, SEND_TABLE_MESSAGE_LEN};
use netvsc_proto::wire::ppi::{ChecksumReceive, PpiList, PpiType, ReceiveChecksums, Vlan};
use netvsc_proto::wire::rndis::{
    Complete, IndicateStatus, InitializeComplete, KeepaliveRequest, Medium, QueryComplete, ResetComplete,
};
use netvsc_proto::wire::rndis_message::{self, PacketMessage};
use netvsc_proto::wire::status::RndisStatus;
use zerocopy::little_endian::U32;

use crate::input::Bytes;
use crate::steps;

steps! {
    /// What a host says in NVSP.
    pub enum Nvsp {
        Raw(bytes: Bytes),
        InitComplete(status: u8),
        ReceiveBuffer(status: u8, sections: u8, offset: u16, size: u16, count: u16),
        SendBuffer(status: u8, size: u16),
        /// RNDIS messages are taken.
        Taken(status: u8),
        Rndis(channel_type: u8),
        Function(present: bool, serial: u32),
        SwitchDataPath(active: u32),
        Subchannels(status: u8, count: u16),
        SendTable(entries: [u32; 4]),
        OidQueryEx(status: u32),
    }
}

impl Nvsp {
    /// Its bytes.
    pub fn bytes(&self, version: Version) -> Vec<u8> {
        let code = |status: &u8| Status::new(u32::from(*status));
        let message = match self {
            Self::Raw(bytes) => return bytes.0.clone(),
            Self::InitComplete(status) => HostMessage::InitComplete(InitComplete {
                status: code(status),
                ..Default::default()
            }),
            Self::ReceiveBuffer(status, sections, offset, size, count) => {
                HostMessage::SendReceiveBufferComplete(SendReceiveBufferComplete {
                    status: code(status),
                    section_count: u32::from(*sections).into(),
                    section: ReceiveBufferSection {
                        offset: u32::from(*offset).into(),
                        part_size: u32::from(*size).into(),
                        part_count: u32::from(*count).into(),
                        end_offset: (u32::from(*offset) + u32::from(*size) * u32::from(*count)).into(),
                    },
                })
            }
            Self::SendBuffer(status, size) => HostMessage::SendSendBufferComplete(SendSendBufferComplete {
                status: code(status),
                section_size: u32::from(*size).into(),
            }),
            Self::Taken(status) => {
                HostMessage::SendRndisPacketComplete(SendRndisPacketComplete { status: code(status) })
            }
            Self::Rndis(channel_type) => HostMessage::SendRndisPacket(SendRndisPacket {
                channel_type: ChannelType::new((*channel_type).into()),
                section_index: NO_SECTION.into(),
                section_size: 0.into(),
            }),
            Self::Function(present, serial) => HostMessage::SendVfAssociation(SendVfAssociation {
                allocated: u32::from(*present).into(),
                serial: (*serial).into(),
            }),
            Self::SwitchDataPath(active) => HostMessage::SwitchDataPath(SwitchDataPath {
                active: DataPath::new(*active),
            }),
            Self::Subchannels(status, count) => HostMessage::Subchannel(SubchannelComplete {
                status: code(status),
                count: u32::from(*count).into(),
            }),
            Self::SendTable(entries) => {
                HostMessage::SendIndirectionTable(std::array::from_fn(|at| U32::new(entries[at % 4])))
            }
            Self::OidQueryEx(status) => HostMessage::OidQueryExComplete(OidQueryExComplete {
                status: (*status).into(),
                ..Default::default()
            }),
        };
        let mut out = [0; SEND_TABLE_MESSAGE_LEN];
        message.encode(version, &mut out).expect("room").to_vec()
    }
}

steps! {
    /// What a host says in RNDIS. Requests are told by how long ago they came.
    pub enum Rndis {
        Raw(bytes: Bytes),
        InitializeComplete(back: u8, status: u32, major: u8, medium: u8),
        QueryComplete(back: u8, status: u32, info: Bytes),
        SetComplete(back: u8, status: u32),
        SetExComplete(back: u8, status: u32, info: Bytes),
        ResetComplete(status: u32, addressing: bool),
        KeepaliveComplete(back: u8, status: u32),
        Keepalive(request_id: u32),
        /// A status that there is.
        Indicate(status: u8, info: Bytes),
        IndicateAs(status: u32, info: Bytes),
        /// A frame, with records of per-packet info as they are.
        Frame(info: Bytes, frame: Bytes),
        /// A frame of so many bytes, with well-formed records.
        Long(frame: u16, tag: u16, checksums: u8),
        /// Several of them, one behind the other.
        Several(count: u8, frame: u16),
    }
}

impl Rndis {
    /// Its bytes; `back` tells the id of a request.
    pub fn bytes(&self, back: impl Fn(u8) -> u32) -> Vec<u8> {
        use rndis_message::HostMessage as Message;
        let complete = |ago: &u8, status: &u32| Complete {
            request_id: back(*ago).into(),
            status: RndisStatus::new(*status),
        };
        let query = |ago: &u8, status: &u32| QueryComplete {
            request_id: back(*ago).into(),
            status: RndisStatus::new(*status),
            ..Default::default()
        };
        let indicate = |status| IndicateStatus {
            status,
            ..Default::default()
        };
        match self {
            Self::Raw(bytes) => bytes.0.clone(),
            Self::InitializeComplete(ago, status, major, medium) => {
                encode(&Message::InitializeComplete(InitializeComplete {
                    request_id: back(*ago).into(),
                    status: RndisStatus::new(*status),
                    major_version: u32::from(*major).into(),
                    medium: Medium::new((*medium).into()),
                    max_packets_per_message: 8.into(),
                    max_transfer_size: 0x4000.into(),
                    ..Default::default()
                }))
            }
            Self::QueryComplete(ago, status, info) => {
                encode(&Message::QueryComplete(query(ago, status), &info.0))
            }
            Self::SetComplete(ago, status) => encode(&Message::SetComplete(complete(ago, status))),
            Self::SetExComplete(ago, status, info) => {
                encode(&Message::SetExComplete(query(ago, status), &info.0))
            }
            Self::ResetComplete(status, addressing) => encode(&Message::ResetComplete(ResetComplete {
                status: RndisStatus::new(*status),
                addressing_reset: u32::from(*addressing).into(),
            })),
            Self::KeepaliveComplete(ago, status) => {
                encode(&Message::KeepaliveComplete(complete(ago, status)))
            }
            Self::Keepalive(request_id) => encode(&Message::Keepalive(KeepaliveRequest {
                request_id: (*request_id).into(),
            })),
            Self::Indicate(which, info) => {
                let status = RndisStatus::NAMED[usize::from(*which) % RndisStatus::NAMED.len()];
                encode(&Message::IndicateStatus(indicate(status), &info.0))
            }
            Self::IndicateAs(status, info) => encode(&Message::IndicateStatus(
                indicate(RndisStatus::new(*status)),
                &info.0,
            )),
            Self::Frame(info, frame) => encode(&Message::Packet(PacketMessage {
                ppi: &info.0,
                data: &frame.0,
            })),
            Self::Long(len, tag, checksums) => {
                let mut records = PpiList::<2>::new();
                let checksums = ReceiveChecksums::from_bits_retain((*checksums).into());
                records
                    .push(PpiType::VLAN, &Vlan::from_tci(*tag))
                    .and_then(|()| records.push(PpiType::CHECKSUM, &ChecksumReceive::new(checksums)))
                    .expect("room for two");
                let data = vec![0x45; (*len).into()];
                encode(&Message::Packet(PacketMessage {
                    ppi: records.as_bytes(),
                    data: &data,
                }))
            }
            Self::Several(count, len) => {
                let data = vec![0x46; (*len).into()];
                let one = encode(&Message::Packet(PacketMessage {
                    ppi: &[],
                    data: &data,
                }));
                one.repeat((*count % 12).into())
            }
        }
    }
}

/// Its bytes.
pub fn encode(message: &rndis_message::HostMessage<'_>) -> Vec<u8> {
    let mut out = vec![0; 0x1_1000];
    let len = message.encode(&mut out).expect("room").len();
    out.truncate(len);
    out
}
