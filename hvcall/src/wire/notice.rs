//! Payloads of the messages that tell of calls and of the scheduler.

use zerocopy::little_endian::{U16, U32, U64};

use crate::macros::wire_struct;

wire_struct! {
    /// Payload of [`ASYNC_CALL_COMPLETION`](crate::synic::MessageType::ASYNC_CALL_COMPLETION).
    ///
    /// Source: Linux `struct hv_async_completion_message_payload` (`include/hyperv`).
    pub struct AsyncCompletion, 24 bytes {
        /// The partition that the call was about.
        0: partition_id: U64,
        /// The [`HvStatus`](crate::HvStatus).
        8: status: U32,
        /// How many calls completed.
        12: completion_count: U32,
        /// More about it; the hypervisor's own.
        16: sub_status: U64,
    }
}

wire_struct! {
    /// Payload of [`SCHEDULER_VP_SIGNAL_PAIR`](crate::synic::MessageType::SCHEDULER_VP_SIGNAL_PAIR).
    ///
    /// Source: Linux `struct hv_vp_signal_pair_scheduler_message` (`include/hyperv`).
    pub struct SchedulerVpSignalPair, 240 bytes {
        /// How many did not fit.
        0: overflow_count: U32,
        /// How many entries count, 0 to 19.
        4: vp_count: u8,
        /// Zero.
        5: reserved1: [u8; 3],
        /// Their partitions.
        8: partition_ids: [U64; 19],
        /// Their [`VpIndex`](crate::VpIndex)es.
        160: vp_indexes: [U32; 19],
        /// Zero.
        236: reserved2: U32,
    }
}

wire_struct! {
    /// Payload of [`SCHEDULER_VP_SIGNAL_BITSET`](crate::synic::MessageType::SCHEDULER_VP_SIGNAL_BITSET).
    ///
    /// Source: Linux `struct hv_vp_signal_bitset_scheduler_message` (`include/hyperv`).
    pub struct SchedulerVpSignalBitset, 160 bytes {
        /// The partition.
        0: partition_id: U64,
        /// How many did not fit.
        8: overflow_count: U32,
        /// How many processors are in the set.
        12: vp_count: U16,
        /// Zero.
        14: reserved: U16,
        /// A [`VpSet`](crate::vpset::VpSet).
        16: processor_set: [u8; 144],
    }
}
