//! NVSP 6.1's PacketDirect messages: queues that bypass the ring.
//!
//! No known Linux driver sends them; a host answers that it has none. Sizes and offsets are those of the public Linux
//! header (`struct nvsp_6_*`), measured; meanings from OpenVMM.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::code::{wire_number, wire_struct};

wire_number! {
    /// What a PacketDirect message is about.
    pub struct PdOperation(U32: u32), "{:#x}" {
        /// What either end supports.
        CONFIGURATION = 1 => "CONFIG",
        /// Moves the data path.
        SWITCH_DATA_PATH = 2 => "SW_DATAPATH",
        /// Opens a provider.
        OPEN_PROVIDER = 3 => "OPEN_PROVIDER",
        /// Closes a provider.
        CLOSE_PROVIDER = 4 => "CLOSE_PROVIDER",
        /// Makes a queue.
        CREATE_QUEUE = 5 => "CREATE_QUEUE",
        /// Returns all buffers of a queue.
        FLUSH_QUEUE = 6 => "FLUSH_QUEUE",
        /// Deletes a queue.
        FREE_QUEUE = 7 => "FREE_QUEUE",
        /// Asks for memory that both ends reach.
        ALLOC_COMMON_BUFFER = 8 => "ALLOC_COM_BUF",
        /// Gives it back.
        FREE_COMMON_BUFFER = 9 => "FREE_COM_BUF",
    }
}

wire_struct! {
    /// A PacketDirect request: the operation and the body that goes with it.
    #[derive(Default)]
    pub struct PdRequest, 34 bytes {
        /// Which body follows.
        0: operation: PdOperation,
        /// The body, at its start; what the operation does not use is zero.
        4: body: [u8; 30],
    }
}

wire_struct! {
    /// A PacketDirect answer.
    #[derive(Default)]
    pub struct PdComplete, 36 bytes {
        /// Of the request.
        0: operation: PdOperation,
        /// An NT status.
        4: status: U32,
        /// The body, at its start.
        8: body: [u8; 28],
    }
}

/// The body of a PacketDirect message, selected by the operation.
pub trait PdBody: FromBytes + IntoBytes + zerocopy::Immutable + zerocopy::KnownLayout {}

impl PdRequest {
    /// Reads the body as `T`.
    pub fn body<T: PdBody>(&self) -> Option<T> {
        T::read_from_prefix(&self.body).ok().map(|(body, _)| body)
    }
}

impl PdComplete {
    /// Reads the body as `T`.
    pub fn body<T: PdBody>(&self) -> Option<T> {
        T::read_from_prefix(&self.body).ok().map(|(body, _)| body)
    }
}

wire_struct! {
    /// Request of [`PdOperation::CONFIGURATION`].
    #[derive(Default)]
    pub struct PdConfiguration, 14 bytes {
        /// Guest-physical address of the guest's MMIO region.
        0: mmio_address: U64,
        /// Its bytes.
        8: mmio_length: U32,
        /// How many PacketDirect queues the guest can have: a hint.
        12: queue_count: U16,
    }
}
impl PdBody for PdConfiguration {}

wire_struct! {
    /// Request of [`PdOperation::SWITCH_DATA_PATH`].
    #[derive(Default)]
    pub struct PdSwitchDataPath, 2 bytes {
        /// 1 when the host's path is PacketDirect.
        0: host_is_packet_direct: u8,
        /// 1 when the guest has enabled it.
        1: guest_is_enabled: u8,
    }
}
impl PdBody for PdSwitchDataPath {}

wire_struct! {
    /// Request of [`PdOperation::OPEN_PROVIDER`].
    #[derive(Default)]
    pub struct PdOpenProvider, 8 bytes {
        /// The guest's name for it.
        0: provider_id: U32,
        /// Flags of NDIS's open-provider structure.
        4: flags: U32,
    }
}
impl PdBody for PdOpenProvider {}

wire_struct! {
    /// Request of [`PdOperation::CLOSE_PROVIDER`], and the answer to [`PdOperation::OPEN_PROVIDER`].
    #[derive(Default)]
    pub struct PdProvider, 4 bytes {
        /// The guest's name for it.
        0: provider_id: U32,
    }
}
impl PdBody for PdProvider {}

wire_struct! {
    /// Processors in one group, as Windows counts them (`GROUP_AFFINITY`).
    #[derive(Default)]
    pub struct GroupAffinity, 16 bytes {
        /// One bit for each processor.
        0: mask: U64,
        /// The group.
        8: group: U16,
        /// Zero.
        10: reserved: [U16; 3],
    }
}

wire_struct! {
    /// Request of [`PdOperation::CREATE_QUEUE`].
    #[derive(Default)]
    pub struct PdCreateQueue, 30 bytes {
        /// Which provider.
        0: provider_id: U32,
        /// The guest's name for the queue.
        4: queue_id: U16,
        /// Buffers that it holds.
        6: queue_size: U16,
        /// 1 for a receive queue.
        8: is_receive_queue: u8,
        /// 1 for a queue that RSS spreads to.
        9: is_rss_queue: u8,
        /// Bytes of each receive buffer.
        10: receive_data_length: U32,
        /// Where it is served.
        14: affinity: GroupAffinity,
    }
}
impl PdBody for PdCreateQueue {}

wire_struct! {
    /// Request of [`PdOperation::FLUSH_QUEUE`] and [`PdOperation::FREE_QUEUE`].
    #[derive(Default)]
    pub struct PdQueue, 6 bytes {
        /// Which provider.
        0: provider_id: U32,
        /// Which of its queues.
        4: queue_id: U16,
    }
}
impl PdBody for PdQueue {}

wire_struct! {
    /// Request of [`PdOperation::ALLOC_COMMON_BUFFER`].
    #[derive(Default)]
    pub struct PdAllocBuffer, 10 bytes {
        /// Bytes wanted.
        0: length: U32,
        /// NUMA node that is best.
        4: preferred_node: U32,
        /// The guest's name for the region.
        8: region_id: U16,
    }
}
impl PdBody for PdAllocBuffer {}

wire_struct! {
    /// Request of [`PdOperation::FREE_COMMON_BUFFER`].
    #[derive(Default)]
    pub struct PdFreeBuffer, 19 bytes {
        /// Bytes.
        0: length: U32,
        /// Guest-physical address.
        4: address: U64,
        /// NUMA node.
        12: preferred_node: U32,
        /// The guest's name for the region.
        16: region_id: U16,
        /// How it is cached.
        18: cache_type: u8,
    }
}
impl PdBody for PdFreeBuffer {}

wire_struct! {
    /// Answer to [`PdOperation::CONFIGURATION`].
    #[derive(Default)]
    pub struct PdConfigurationComplete, 5 bytes {
        /// PacketDirect queues that the guest gets.
        0: queue_count: U16,
        /// Receive queues of them that RSS spreads to.
        2: rss_queue_count: u8,
        /// 1 when the host has PacketDirect.
        3: is_supported: u8,
        /// 1 when it is switched on.
        4: is_enabled: u8,
    }
}
impl PdBody for PdConfigurationComplete {}

wire_struct! {
    /// Answer to [`PdOperation::CREATE_QUEUE`].
    #[derive(Default)]
    pub struct PdCreateQueueComplete, 28 bytes {
        /// Which provider.
        0: provider_id: U32,
        /// Which queue.
        4: queue_id: U16,
        /// Buffers that it holds.
        6: queue_size: U16,
        /// Bytes of each receive buffer.
        8: receive_data_length: U32,
        /// Where it is served.
        12: affinity: GroupAffinity,
    }
}
impl PdBody for PdCreateQueueComplete {}

wire_struct! {
    /// Answer to [`PdOperation::ALLOC_COMMON_BUFFER`].
    #[derive(Default)]
    pub struct PdAllocBufferComplete, 19 bytes {
        /// Guest-physical address.
        0: address: U64,
        /// Bytes.
        8: length: U32,
        /// NUMA node.
        12: preferred_node: U32,
        /// The guest's name for the region.
        16: region_id: U16,
        /// How it is cached.
        18: cache_type: u8,
    }
}
impl PdBody for PdAllocBufferComplete {}

bitflags! {
    /// Which way a batch of PacketDirect buffers goes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PdBatchFlags: u16 {
        /// From guest to host.
        const GUEST_TO_HOST = 0x1;
        /// Of a receive queue.
        const IS_RECEIVE = 0x2;
    }
}

wire_struct! {
    /// A batch of PacketDirect buffers, without the buffers.
    #[derive(Default)]
    pub struct PdPostBatch, 4 bytes {
        /// How many [`PdBuffer`]s follow.
        0: count: U16,
        /// [`PdBatchFlags`].
        2: flags: U16,
    }
}

wire_struct! {
    /// One buffer of a batch.
    #[derive(Default)]
    pub struct PdBuffer, 8 bytes {
        /// Where it begins in its region, in bytes.
        0: region_offset: U32,
        /// Which region.
        4: region_id: U16,
        /// Bit 0: more buffers of the same frame follow.
        6: flags: U16,
    }
}
