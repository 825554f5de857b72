//! Connection-oriented RNDIS. netvsc is connectionless and never sends these; they are here so that a capture or
//! another RNDIS device can be read. Sizes and offsets are those of the type information in Linux 6.1's hv_netvsc
//! (`struct rcondis_*`, `struct rndis_*`).

use zerocopy::little_endian::U32;

use super::code::wire_struct;
use super::oid::Oid;
use super::status::RndisStatus;

wire_struct! {
    /// An address family that a call manager has, after an answer to initialize.
    #[derive(Default)]
    pub struct AddressFamily, 12 bytes {
        /// Which family.
        0: address_family: U32,
        /// Its version.
        4: major_version: U32,
        /// Its version.
        8: minor_version: U32,
    }
}

wire_struct! {
    /// Creates a virtual circuit.
    #[derive(Default)]
    pub struct CreateVc, 8 bytes {
        /// Comes back in the answer.
        0: request_id: U32,
        /// The driver's handle.
        4: ndis_vc_handle: U32,
    }
}

wire_struct! {
    /// Answers [`CreateVc`].
    #[derive(Default)]
    pub struct CreateVcComplete, 12 bytes {
        /// Of the request.
        0: request_id: U32,
        /// The device's handle.
        4: device_vc_handle: U32,
        /// Outcome.
        8: status: RndisStatus,
    }
}

wire_struct! {
    /// Deletes a virtual circuit. Answered with [`Complete`](super::rndis::Complete), as are activation and
    /// deactivation.
    #[derive(Default)]
    pub struct DeleteVc, 8 bytes {
        /// Comes back in the answer.
        0: request_id: U32,
        /// The device's handle.
        4: device_vc_handle: U32,
    }
}

wire_struct! {
    /// Queries or sets an OID of a virtual circuit.
    #[derive(Default)]
    pub struct OidRequest, 24 bytes {
        /// Comes back in the answer.
        0: request_id: U32,
        /// Query or set.
        4: request_type: U32,
        /// Which OID.
        8: oid: Oid,
        /// The device's handle.
        12: device_vc_handle: U32,
        /// Bytes of the information buffer.
        16: info_length: U32,
        /// Where it begins.
        20: info_offset: U32,
    }
}

wire_struct! {
    /// Tells a change of a virtual circuit.
    #[derive(Default)]
    pub struct IndicateStatus, 16 bytes {
        /// The driver's handle.
        0: ndis_vc_handle: U32,
        /// What happened.
        4: status: RndisStatus,
        /// Bytes of the status buffer.
        8: buffer_length: U32,
        /// Where it begins.
        12: buffer_offset: U32,
    }
}

wire_struct! {
    /// Parameters that only one medium or call manager knows.
    #[derive(Default)]
    pub struct SpecificParameters, 12 bytes {
        /// What they are.
        0: parameter_type: U32,
        /// Bytes.
        4: parameter_length: U32,
        /// Where they begin.
        8: parameter_offset: U32,
    }
}

wire_struct! {
    /// Parameters of the medium.
    #[derive(Default)]
    pub struct MediaParameters, 24 bytes {
        /// Flags.
        0: flags: U32,
        /// Zero.
        4: reserved: [U32; 2],
        /// What only the medium knows.
        12: media_specific: SpecificParameters,
    }
}

wire_struct! {
    /// What a circuit carries, in one direction.
    #[derive(Default)]
    pub struct FlowSpec, 32 bytes {
        /// Bytes a second.
        0: token_rate: U32,
        /// Bytes.
        4: token_bucket_size: U32,
        /// Bytes a second.
        8: peak_bandwidth: U32,
        /// Microseconds.
        12: latency: U32,
        /// Microseconds.
        16: delay_variation: U32,
        /// Kind of service.
        20: service_type: U32,
        /// Bytes.
        24: max_sdu_size: U32,
        /// Bytes.
        28: minimum_policed_size: U32,
    }
}

wire_struct! {
    /// Parameters of the call manager.
    #[derive(Default)]
    pub struct CallManagerParameters, 76 bytes {
        /// Towards the network.
        0: transmit: FlowSpec,
        /// From the network.
        32: receive: FlowSpec,
        /// What only the call manager knows.
        64: call_manager_specific: SpecificParameters,
    }
}

wire_struct! {
    /// Activates a virtual circuit.
    #[derive(Default)]
    pub struct ActivateVc, 28 bytes {
        /// Comes back in the answer.
        0: request_id: U32,
        /// Flags.
        4: flags: U32,
        /// The device's handle.
        8: device_vc_handle: U32,
        /// Where [`MediaParameters`] begin.
        12: media_offset: U32,
        /// Their bytes.
        16: media_length: U32,
        /// Where [`CallManagerParameters`] begin.
        20: call_manager_offset: U32,
        /// Their bytes.
        24: call_manager_length: U32,
    }
}

wire_struct! {
    /// Deactivates a virtual circuit.
    #[derive(Default)]
    pub struct DeactivateVc, 12 bytes {
        /// Comes back in the answer.
        0: request_id: U32,
        /// Flags.
        4: flags: U32,
        /// The device's handle.
        8: device_vc_handle: U32,
    }
}
