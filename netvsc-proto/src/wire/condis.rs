//! Connection-oriented RNDIS. netvsc is connectionless and never sends these; they are here so that a capture or
//! another RNDIS device can be read. Sizes and offsets are those of the type information in Linux 6.1's hv_netvsc
//! (`struct rcondis_*`, `struct rndis_*`).

use zerocopy::little_endian::U32;

use super::code::{layout, wire};
use super::oid::Oid;
use super::status::RndisStatus;

wire! {
    /// An address family that a call manager has, after an answer to initialize.
    pub struct AddressFamily {
        /// Which family.
        pub address_family: U32,
        /// Its version.
        pub major_version: U32,
        /// Its version.
        pub minor_version: U32,
    }
}
layout!(AddressFamily, 12, { address_family @ 0, major_version @ 4, minor_version @ 8 });

wire! {
    /// Creates a virtual circuit.
    pub struct CreateVc {
        /// Comes back in the answer.
        pub request_id: U32,
        /// The driver's handle.
        pub ndis_vc_handle: U32,
    }
}
layout!(CreateVc, 8, { request_id @ 0, ndis_vc_handle @ 4 });

wire! {
    /// Answers [`CreateVc`].
    pub struct CreateVcComplete {
        /// Of the request.
        pub request_id: U32,
        /// The device's handle.
        pub device_vc_handle: U32,
        /// Outcome.
        pub status: RndisStatus,
    }
}
layout!(CreateVcComplete, 12, { request_id @ 0, device_vc_handle @ 4, status @ 8 });

wire! {
    /// Deletes a virtual circuit. Answered with [`Complete`](super::rndis::Complete), as are activation and
    /// deactivation.
    pub struct DeleteVc {
        /// Comes back in the answer.
        pub request_id: U32,
        /// The device's handle.
        pub device_vc_handle: U32,
    }
}
layout!(DeleteVc, 8, { request_id @ 0, device_vc_handle @ 4 });

wire! {
    /// Queries or sets an OID of a virtual circuit.
    pub struct OidRequest {
        /// Comes back in the answer.
        pub request_id: U32,
        /// Query or set.
        pub request_type: U32,
        /// Which OID.
        pub oid: Oid,
        /// The device's handle.
        pub device_vc_handle: U32,
        /// Bytes of the information buffer.
        pub info_length: U32,
        /// Where it begins.
        pub info_offset: U32,
    }
}
layout!(OidRequest, 24, {
    request_id @ 0, request_type @ 4, oid @ 8, device_vc_handle @ 12, info_length @ 16, info_offset @ 20,
});

wire! {
    /// Tells a change of a virtual circuit.
    pub struct IndicateStatus {
        /// The driver's handle.
        pub ndis_vc_handle: U32,
        /// What happened.
        pub status: RndisStatus,
        /// Bytes of the status buffer.
        pub buffer_length: U32,
        /// Where it begins.
        pub buffer_offset: U32,
    }
}
layout!(IndicateStatus, 16, { ndis_vc_handle @ 0, status @ 4, buffer_length @ 8, buffer_offset @ 12 });

wire! {
    /// Parameters that only one medium or call manager knows.
    pub struct SpecificParameters {
        /// What they are.
        pub parameter_type: U32,
        /// Bytes.
        pub parameter_length: U32,
        /// Where they begin.
        pub parameter_offset: U32,
    }
}
layout!(SpecificParameters, 12, { parameter_type @ 0, parameter_length @ 4, parameter_offset @ 8 });

wire! {
    /// Parameters of the medium.
    pub struct MediaParameters {
        /// Flags.
        pub flags: U32,
        /// Zero.
        pub reserved: [U32; 2],
        /// What only the medium knows.
        pub media_specific: SpecificParameters,
    }
}
layout!(MediaParameters, 24, { flags @ 0, reserved @ 4, media_specific @ 12 });

wire! {
    /// What a circuit carries, in one direction.
    pub struct FlowSpec {
        /// Bytes a second.
        pub token_rate: U32,
        /// Bytes.
        pub token_bucket_size: U32,
        /// Bytes a second.
        pub peak_bandwidth: U32,
        /// Microseconds.
        pub latency: U32,
        /// Microseconds.
        pub delay_variation: U32,
        /// Kind of service.
        pub service_type: U32,
        /// Bytes.
        pub max_sdu_size: U32,
        /// Bytes.
        pub minimum_policed_size: U32,
    }
}
layout!(FlowSpec, 32, {
    token_rate @ 0, token_bucket_size @ 4, peak_bandwidth @ 8, latency @ 12, delay_variation @ 16, service_type @ 20,
    max_sdu_size @ 24, minimum_policed_size @ 28,
});

wire! {
    /// Parameters of the call manager.
    pub struct CallManagerParameters {
        /// Towards the network.
        pub transmit: FlowSpec,
        /// From the network.
        pub receive: FlowSpec,
        /// What only the call manager knows.
        pub call_manager_specific: SpecificParameters,
    }
}
layout!(CallManagerParameters, 76, { transmit @ 0, receive @ 32, call_manager_specific @ 64 });

wire! {
    /// Activates a virtual circuit.
    pub struct ActivateVc {
        /// Comes back in the answer.
        pub request_id: U32,
        /// Flags.
        pub flags: U32,
        /// The device's handle.
        pub device_vc_handle: U32,
        /// Where [`MediaParameters`] begin.
        pub media_offset: U32,
        /// Their bytes.
        pub media_length: U32,
        /// Where [`CallManagerParameters`] begin.
        pub call_manager_offset: U32,
        /// Their bytes.
        pub call_manager_length: U32,
    }
}
layout!(ActivateVc, 28, {
    request_id @ 0, flags @ 4, device_vc_handle @ 8, media_offset @ 12, media_length @ 16, call_manager_offset @ 20,
    call_manager_length @ 24,
});

wire! {
    /// Deactivates a virtual circuit.
    pub struct DeactivateVc {
        /// Comes back in the answer.
        pub request_id: U32,
        /// Flags.
        pub flags: U32,
        /// The device's handle.
        pub device_vc_handle: U32,
    }
}
layout!(DeactivateVc, 12, { request_id @ 0, flags @ 4, device_vc_handle @ 8 });
