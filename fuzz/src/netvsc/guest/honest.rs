//! What an honest host answers.

use netvsc_proto::wire::nvsp_message::GuestMessage;
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::{Complete, InitializeComplete, Medium, QueryComplete, ResetComplete};
use netvsc_proto::wire::rndis_message::{GuestMessage as Asked, HostMessage as Reply};
use netvsc_proto::wire::status::RndisStatus;

use super::{PART, PARTS};
use crate::netvsc::host_message::{Nvsp, encode};

/// The answer of an honest host to an NVSP message, if there is one.
pub(super) fn well(message: &GuestMessage<'_>) -> Option<Nvsp> {
    Some(match message {
        GuestMessage::Init(_) => Nvsp::InitComplete(1),
        GuestMessage::SendReceiveBuffer(_) => Nvsp::ReceiveBuffer(1, 1, 0, PART, PARTS),
        GuestMessage::SendSendBuffer(_) => Nvsp::SendBuffer(1, 2048),
        GuestMessage::Subchannel(asked) => Nvsp::Subchannels(1, asked.count.get() as u16),
        GuestMessage::SendRndisPacket(_) => Nvsp::Taken(1),
        _ => return None,
    })
}

/// The answer of an honest host to an RNDIS message, if there is one.
pub(super) fn reply(asked: &Asked<'_>) -> Option<Vec<u8>> {
    let status = RndisStatus::SUCCESS;
    let complete = |request_id| Complete { request_id, status };
    Some(match asked {
        Asked::Initialize(request) => encode(&Reply::InitializeComplete(InitializeComplete {
            request_id: request.request_id,
            status,
            major_version: 1.into(),
            medium: Medium::ETHERNET,
            max_packets_per_message: 8.into(),
            max_transfer_size: 0x4000.into(),
            ..Default::default()
        })),
        Asked::Query(request, _) => {
            let info: Option<&[u8]> = match request.oid {
                Oid::GEN_MAXIMUM_FRAME_SIZE => Some(&[0xdc, 5, 0, 0]),
                Oid::ETHERNET_PERMANENT_ADDRESS => Some(&[2, 0, 0, 0, 0, 1]),
                Oid::GEN_MEDIA_CONNECT_STATUS => Some(&[0; 4]),
                Oid::GEN_LINK_SPEED => Some(&[0x40, 0x42, 0xf, 0]),
                _ => None,
            };
            let complete = QueryComplete {
                request_id: request.request_id,
                status: if info.is_some() {
                    status
                } else {
                    RndisStatus::NOT_SUPPORTED
                },
                ..Default::default()
            };
            encode(&Reply::QueryComplete(complete, info.unwrap_or_default()))
        }
        Asked::Set(request, _) => encode(&Reply::SetComplete(complete(request.request_id))),
        Asked::Keepalive(request) => encode(&Reply::KeepaliveComplete(complete(request.request_id))),
        Asked::Reset(_) => encode(&Reply::ResetComplete(ResetComplete {
            status,
            addressing_reset: 1.into(),
        })),
        _ => return None,
    })
}
