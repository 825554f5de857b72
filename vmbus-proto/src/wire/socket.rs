//! Connections of hvsock, the socket family between guest and host.

use core::fmt;

use zerocopy::{FromBytes, IntoBytes};

use super::macros::wire_struct;
use super::message::{Body, Encoded, put, take};
use super::{Guid, Status};

wire_struct! {
    /// What TL_CONNECT_REQUEST says at every version.
    ///
    /// Source: Linux `struct vmbus_channel_tl_connect_request`.
    pub struct ConnectRequest at 8, 32 bytes {
        /// The guest's end of the connection; the instance id of the offer that follows.
        8: endpoint: Guid,
        /// The host's service; the interface id of the offer that follows.
        24: service: Guid,
    }
}

/// TL_CONNECT_REQUEST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlConnectRequest {
    /// Who wants to talk to whom.
    pub request: ConnectRequest,
    /// Which container it is for. From 5.2 on, yet some guests send the short form there too.
    pub silo_id: Option<Guid>,
}

impl Body<'_> for TlConnectRequest {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (request, rest) = take(bytes)?;
        let silo_id = match rest {
            [] => None,
            rest => Some(Guid::read_from_bytes(rest).ok()?),
        };
        Some(Self { request, silo_id })
    }

    fn write(&self, out: &mut Encoded) {
        put(out, self.request.as_bytes());
        if let Some(silo_id) = &self.silo_id {
            put(out, silo_id.as_bytes());
        }
    }
}

impl fmt::Display for TlConnectRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "endpoint {} service {}",
            self.request.endpoint, self.request.service
        )?;
        match self.silo_id {
            Some(silo_id) => write!(f, " silo {silo_id}"),
            None => Ok(()),
        }
    }
}

wire_struct! {
    /// TL_CONNECT_RESULT. A host sends it for a refusal only; success is the offer.
    ///
    /// Source: OpenVMM `vmbus_core/src/protocol.rs`.
    pub struct TlConnectResult at 8, 36 bytes {
        /// The guest's end, from the request.
        8: endpoint: Guid,
        /// The host's service, from the request.
        24: service: Guid,
        /// Why not.
        40: status: Status,
    }
}

impl fmt::Display for TlConnectResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "endpoint {} service {} {}",
            self.endpoint, self.service, self.status
        )
    }
}
