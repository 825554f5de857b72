//! RNDIS messages of a guest.

use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::{
    Complete, HaltRequest, InitializeRequest, KeepaliveRequest, OidRequest, ResetRequest,
};
use netvsc_proto::wire::rndis_message::{GuestMessage, PacketMessage};

use crate::channel::Mangle;
use crate::input::Bytes;
use crate::steps;

steps! {
    /// Which OID.
    pub enum WhichOid {
        /// One with a name.
        Named(index: u8),
        Raw(oid: u32),
    }
}

impl WhichOid {
    /// Which one it is.
    pub fn oid(&self) -> Oid {
        match self {
            Self::Named(index) => Oid::NAMED[usize::from(*index) % Oid::NAMED.len()],
            Self::Raw(oid) => Oid::new(*oid),
        }
    }
}

steps! {
    /// What a guest says in RNDIS.
    pub enum Content {
        Raw(bytes: Bytes),
        Initialize(request_id: u32, major: u8),
        Halt(request_id: u32),
        Query(request_id: u32, oid: WhichOid, info: Bytes),
        Set(request_id: u32, oid: WhichOid, info: Bytes),
        SetEx(request_id: u32, oid: WhichOid, info: Bytes),
        Reset,
        Keepalive(request_id: u32),
        KeepaliveComplete(request_id: u32),
        /// A frame, with records of per-packet info as they are, and its length rounded up by so much.
        Frame(info: Bytes, frame: Bytes),
        /// A frame of so many bytes.
        Long(frame: u16),
    }
}

steps! {
    pub struct Rndis {
        pub content: Content,
        pub mangle: Mangle,
    }
}

impl Content {
    /// Bytes that are enough for it.
    fn room(&self) -> usize {
        let parts = match self {
            Self::Query(_, _, info) | Self::Set(_, _, info) | Self::SetEx(_, _, info) => info.0.len(),
            Self::Frame(info, frame) => info.0.len() + frame.0.len(),
            Self::Long(len) => usize::from(*len),
            _ => 0,
        };
        parts + 128
    }
}

impl Rndis {
    /// Its bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let long;
        let request = |request_id: &u32, oid: &WhichOid| OidRequest {
            request_id: (*request_id).into(),
            oid: oid.oid(),
            ..Default::default()
        };
        let message = match &self.content {
            Content::Raw(bytes) => {
                let mut bytes = bytes.0.clone();
                self.mangle.apply(&mut bytes);
                return bytes;
            }
            Content::Initialize(request_id, major) => GuestMessage::Initialize(InitializeRequest {
                request_id: (*request_id).into(),
                major_version: u32::from(*major).into(),
                minor_version: 0.into(),
                max_transfer_size: 0x4000.into(),
            }),
            Content::Halt(request_id) => GuestMessage::Halt(HaltRequest {
                request_id: (*request_id).into(),
            }),
            Content::Query(id, oid, info) => GuestMessage::Query(request(id, oid), &info.0),
            Content::Set(id, oid, info) => GuestMessage::Set(request(id, oid), &info.0),
            Content::SetEx(id, oid, info) => GuestMessage::SetEx(request(id, oid), &info.0),
            Content::Reset => GuestMessage::Reset(ResetRequest::default()),
            Content::Keepalive(request_id) => GuestMessage::Keepalive(KeepaliveRequest {
                request_id: (*request_id).into(),
            }),
            Content::KeepaliveComplete(request_id) => GuestMessage::KeepaliveComplete(Complete {
                request_id: (*request_id).into(),
                ..Default::default()
            }),
            Content::Frame(ppi, data) => GuestMessage::Packet(PacketMessage {
                ppi: &ppi.0,
                data: &data.0,
            }),
            Content::Long(len) => {
                long = vec![0x45; (*len).into()];
                GuestMessage::Packet(PacketMessage {
                    ppi: &[],
                    data: &long,
                })
            }
        };
        let mut out = vec![0; self.content.room()];
        let len = message.encode(&mut out).expect("room").len();
        out.truncate(len);
        self.mangle.apply(&mut out);
        out
    }
}
