//! NVSP 6.1's PacketDirect messages: queues that bypass the ring.
//!
//! No known Linux driver sends them; a host answers that it has none. Sizes and offsets are those of the public Linux
//! header (`struct nvsp_6_*`), measured; meanings from OpenVMM.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::code::{layout, open_code, wire};

open_code! {
    /// What a PacketDirect message is about.
    pub struct PdOperation(U32);
    /// What either end supports.
    CONFIGURATION = 1 => "CONFIG";
    /// Moves the data path.
    SWITCH_DATA_PATH = 2 => "SW_DATAPATH";
    /// Opens a provider.
    OPEN_PROVIDER = 3 => "OPEN_PROVIDER";
    /// Closes a provider.
    CLOSE_PROVIDER = 4 => "CLOSE_PROVIDER";
    /// Makes a queue.
    CREATE_QUEUE = 5 => "CREATE_QUEUE";
    /// Returns all buffers of a queue.
    FLUSH_QUEUE = 6 => "FLUSH_QUEUE";
    /// Deletes a queue.
    FREE_QUEUE = 7 => "FREE_QUEUE";
    /// Asks for memory that both ends reach.
    ALLOC_COMMON_BUFFER = 8 => "ALLOC_COM_BUF";
    /// Gives it back.
    FREE_COMMON_BUFFER = 9 => "FREE_COM_BUF";
}

wire! {
    /// A PacketDirect request: the operation and the body that goes with it.
    pub struct PdRequest {
        /// Which body follows.
        pub operation: PdOperation,
        /// The body, at its start; what the operation does not use is zero.
        pub body: [u8; 30],
    }
}
layout!(PdRequest, 34, { operation @ 0, body @ 4 });

wire! {
    /// A PacketDirect answer.
    pub struct PdComplete {
        /// Of the request.
        pub operation: PdOperation,
        /// An NT status.
        pub status: U32,
        /// The body, at its start.
        pub body: [u8; 28],
    }
}
layout!(PdComplete, 36, { operation @ 0, status @ 4, body @ 8 });

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

wire! {
    /// Request of [`PdOperation::CONFIGURATION`].
    pub struct PdConfiguration {
        /// Guest-physical address of the guest's MMIO region.
        pub mmio_address: U64,
        /// Its bytes.
        pub mmio_length: U32,
        /// How many PacketDirect queues the guest can have: a hint.
        pub queue_count: U16,
    }
}
layout!(PdConfiguration, 14, { mmio_address @ 0, mmio_length @ 8, queue_count @ 12 });
impl PdBody for PdConfiguration {}

wire! {
    /// Request of [`PdOperation::SWITCH_DATA_PATH`].
    pub struct PdSwitchDataPath {
        /// 1 when the host's path is PacketDirect.
        pub host_is_packet_direct: u8,
        /// 1 when the guest has enabled it.
        pub guest_is_enabled: u8,
    }
}
layout!(PdSwitchDataPath, 2, { host_is_packet_direct @ 0, guest_is_enabled @ 1 });
impl PdBody for PdSwitchDataPath {}

wire! {
    /// Request of [`PdOperation::OPEN_PROVIDER`].
    pub struct PdOpenProvider {
        /// The guest's name for it.
        pub provider_id: U32,
        /// Flags of NDIS's open-provider structure.
        pub flags: U32,
    }
}
layout!(PdOpenProvider, 8, { provider_id @ 0, flags @ 4 });
impl PdBody for PdOpenProvider {}

wire! {
    /// Request of [`PdOperation::CLOSE_PROVIDER`], and the answer to [`PdOperation::OPEN_PROVIDER`].
    pub struct PdProvider {
        /// The guest's name for it.
        pub provider_id: U32,
    }
}
layout!(PdProvider, 4, { provider_id @ 0 });
impl PdBody for PdProvider {}

wire! {
    /// Processors in one group, as Windows counts them (`GROUP_AFFINITY`).
    pub struct GroupAffinity {
        /// One bit for each processor.
        pub mask: U64,
        /// The group.
        pub group: U16,
        /// Zero.
        pub reserved: [U16; 3],
    }
}
layout!(GroupAffinity, 16, { mask @ 0, group @ 8, reserved @ 10 });

wire! {
    /// Request of [`PdOperation::CREATE_QUEUE`].
    pub struct PdCreateQueue {
        /// Which provider.
        pub provider_id: U32,
        /// The guest's name for the queue.
        pub queue_id: U16,
        /// Buffers that it holds.
        pub queue_size: U16,
        /// 1 for a receive queue.
        pub is_receive_queue: u8,
        /// 1 for a queue that RSS spreads to.
        pub is_rss_queue: u8,
        /// Bytes of each receive buffer.
        pub receive_data_length: U32,
        /// Where it is served.
        pub affinity: GroupAffinity,
    }
}
layout!(PdCreateQueue, 30, {
    provider_id @ 0, queue_id @ 4, queue_size @ 6, is_receive_queue @ 8, is_rss_queue @ 9, receive_data_length @ 10,
    affinity @ 14,
});
impl PdBody for PdCreateQueue {}

wire! {
    /// Request of [`PdOperation::FLUSH_QUEUE`] and [`PdOperation::FREE_QUEUE`].
    pub struct PdQueue {
        /// Which provider.
        pub provider_id: U32,
        /// Which of its queues.
        pub queue_id: U16,
    }
}
layout!(PdQueue, 6, { provider_id @ 0, queue_id @ 4 });
impl PdBody for PdQueue {}

wire! {
    /// Request of [`PdOperation::ALLOC_COMMON_BUFFER`].
    pub struct PdAllocBuffer {
        /// Bytes wanted.
        pub length: U32,
        /// NUMA node that is best.
        pub preferred_node: U32,
        /// The guest's name for the region.
        pub region_id: U16,
    }
}
layout!(PdAllocBuffer, 10, { length @ 0, preferred_node @ 4, region_id @ 8 });
impl PdBody for PdAllocBuffer {}

wire! {
    /// Request of [`PdOperation::FREE_COMMON_BUFFER`].
    pub struct PdFreeBuffer {
        /// Bytes.
        pub length: U32,
        /// Guest-physical address.
        pub address: U64,
        /// NUMA node.
        pub preferred_node: U32,
        /// The guest's name for the region.
        pub region_id: U16,
        /// How it is cached.
        pub cache_type: u8,
    }
}
layout!(PdFreeBuffer, 19, { length @ 0, address @ 4, preferred_node @ 12, region_id @ 16, cache_type @ 18 });
impl PdBody for PdFreeBuffer {}

wire! {
    /// Answer to [`PdOperation::CONFIGURATION`].
    pub struct PdConfigurationComplete {
        /// PacketDirect queues that the guest gets.
        pub queue_count: U16,
        /// Receive queues of them that RSS spreads to.
        pub rss_queue_count: u8,
        /// 1 when the host has PacketDirect.
        pub is_supported: u8,
        /// 1 when it is switched on.
        pub is_enabled: u8,
    }
}
layout!(PdConfigurationComplete, 5, { queue_count @ 0, rss_queue_count @ 2, is_supported @ 3, is_enabled @ 4 });
impl PdBody for PdConfigurationComplete {}

wire! {
    /// Answer to [`PdOperation::CREATE_QUEUE`].
    pub struct PdCreateQueueComplete {
        /// Which provider.
        pub provider_id: U32,
        /// Which queue.
        pub queue_id: U16,
        /// Buffers that it holds.
        pub queue_size: U16,
        /// Bytes of each receive buffer.
        pub receive_data_length: U32,
        /// Where it is served.
        pub affinity: GroupAffinity,
    }
}
layout!(PdCreateQueueComplete, 28, {
    provider_id @ 0, queue_id @ 4, queue_size @ 6, receive_data_length @ 8, affinity @ 12,
});
impl PdBody for PdCreateQueueComplete {}

wire! {
    /// Answer to [`PdOperation::ALLOC_COMMON_BUFFER`].
    pub struct PdAllocBufferComplete {
        /// Guest-physical address.
        pub address: U64,
        /// Bytes.
        pub length: U32,
        /// NUMA node.
        pub preferred_node: U32,
        /// The guest's name for the region.
        pub region_id: U16,
        /// How it is cached.
        pub cache_type: u8,
    }
}
layout!(PdAllocBufferComplete, 19, { address @ 0, length @ 8, preferred_node @ 12, region_id @ 16, cache_type @ 18 });
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

wire! {
    /// A batch of PacketDirect buffers, without the buffers.
    pub struct PdPostBatch {
        /// How many [`PdBuffer`]s follow.
        pub count: U16,
        /// [`PdBatchFlags`].
        pub flags: U16,
    }
}
layout!(PdPostBatch, 4, { count @ 0, flags @ 2 });

wire! {
    /// One buffer of a batch.
    pub struct PdBuffer {
        /// Where it begins in its region, in bytes.
        pub region_offset: U32,
        /// Which region.
        pub region_id: U16,
        /// Bit 0: more buffers of the same frame follow.
        pub flags: U16,
    }
}
layout!(PdBuffer, 8, { region_offset @ 0, region_id @ 4, flags @ 6 });
