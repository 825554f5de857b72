//! NDIS structures about receive-side scaling (RSS): spreading received frames over queues by a hash.
//!
//! Sizes and offsets are those of the type information in Linux 6.1's hv_netvsc (`struct ndis_recv_scale_*`); bits
//! from Linux `drivers/net/hyperv/hyperv_net.h` and OpenVMM `netvsp/src/rndisprot.rs`.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32};

use super::code::wire_struct;
use super::ndis::ObjectHeader;

/// Entries of the largest indirection table.
pub const MAX_TABLE_LEN: usize = 128;

/// Bytes of a Toeplitz key.
pub const KEY_LEN: usize = 40;

bitflags! {
    /// What a device can do. The low byte is a hash function, as in [`HashInfo`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RssCapabilities: u32 {
        /// The Toeplitz function.
        const TOEPLITZ = 0x1;
        /// TCP over IPv4.
        const TCP_IPV4 = 0x100;
        /// TCP over IPv6.
        const TCP_IPV6 = 0x200;
        /// TCP over IPv6 with extension headers.
        const TCP_IPV6_EX = 0x400;
        /// UDP over IPv4.
        const UDP_IPV4 = 0x800;
        /// UDP over IPv6.
        const UDP_IPV6 = 0x1000;
        /// UDP over IPv6 with extension headers.
        const UDP_IPV6_EX = 0x2000;
        /// Message-signalled interrupts.
        const MESSAGE_SIGNALED_INTERRUPTS = 0x0100_0000;
        /// Classifies in the interrupt routine.
        const CLASSIFICATION_AT_ISR = 0x0200_0000;
        /// Classifies in the deferred call.
        const CLASSIFICATION_AT_DPC = 0x0400_0000;
        /// Uses MSI-X.
        const USING_MSI_X = 0x0800_0000;
        /// On each port.
        const RSS_AVAILABLE_ON_PORTS = 0x1000_0000;
        /// Supports MSI-X.
        const SUPPORTS_MSI_X = 0x2000_0000;
        /// Entries of the table may be changed one by one.
        const INDEPENDENT_ENTRY_MOVE = 0x4000_0000;
    }
}

bitflags! {
    /// Which function hashes which parts of a frame. Where more than one kind fits a frame, the one with ports wins.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct HashInfo: u32 {
        /// The Toeplitz function: the only one there is. Without it nothing is hashed.
        const TOEPLITZ = 0x1;
        /// Addresses of IPv4.
        const IPV4 = 0x100;
        /// Addresses and ports of TCP over IPv4.
        const TCP_IPV4 = 0x200;
        /// Addresses of IPv6.
        const IPV6 = 0x400;
        /// Addresses of IPv6, home addresses of extension headers included.
        const IPV6_EX = 0x800;
        /// Addresses and ports of TCP over IPv6.
        const TCP_IPV6 = 0x1000;
        /// The same with home addresses.
        const TCP_IPV6_EX = 0x2000;
        /// Addresses and ports of UDP over IPv4.
        const UDP_IPV4 = 0x4000;
        /// Addresses and ports of UDP over IPv6.
        const UDP_IPV6 = 0x8000;
        /// The same with home addresses.
        const UDP_IPV6_EX = 0x1_0000;
    }
}

bitflags! {
    /// What of [`ReceiveScaleParameters`] stays as it was.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct RssFlags: u16 {
        /// The base processor.
        const BASE_CPU_UNCHANGED = 0x1;
        /// The hash.
        const HASH_INFO_UNCHANGED = 0x2;
        /// The indirection table.
        const TABLE_UNCHANGED = 0x4;
        /// The key.
        const KEY_UNCHANGED = 0x8;
        /// Switches RSS off, whatever else stands there.
        const DISABLE = 0x10;
        /// The default processor.
        const DEFAULT_CPU_UNCHANGED = 0x20;
    }
}

wire_struct! {
    /// `OID_GEN_RECEIVE_SCALE_CAPABILITIES` at revision 2. Linux takes exactly these 18 bytes.
    #[derive(Default)]
    pub struct ReceiveScaleCapabilities, 18 bytes {
        /// Type [`RSS_CAPABILITIES`](super::ndis::ObjectType::RSS_CAPABILITIES), revision 2.
        0: header: ObjectHeader,
        /// [`RssCapabilities`].
        4: capabilities: U32,
        /// Interrupts.
        8: interrupt_count: U32,
        /// Receive queues: with fewer than 2, Linux asks for no sub-channels.
        12: queue_count: U32,
        /// Entries that the indirection table may have. DPDK takes 0 badly.
        16: table_len: U16,
    }
}

wire_struct! {
    /// `OID_GEN_RECEIVE_SCALE_PARAMETERS` at revision 2. Table and key follow where the offsets say, counted from
    /// this structure; a table entry is a u32 channel index.
    #[derive(Default)]
    pub struct ReceiveScaleParameters, 40 bytes {
        /// Type [`RSS_PARAMETERS`](super::ndis::ObjectType::RSS_PARAMETERS); Hyper-V does not look at it (OpenVMM).
        0: header: ObjectHeader,
        /// [`RssFlags`].
        4: flags: U16,
        /// Not used.
        6: base_cpu: U16,
        /// [`HashInfo`].
        8: hash_info: U32,
        /// Bytes of the table.
        12: table_size: U16,
        /// Zero.
        14: padding_1: U16,
        /// Where the table begins.
        16: table_offset: U32,
        /// Bytes of the key.
        20: key_size: U16,
        /// Zero.
        22: padding_2: U16,
        /// Where the key begins.
        24: key_offset: U32,
        /// Where processor masks begin; Linux leaves them 0.
        28: processor_masks_offset: U32,
        /// How many there are.
        32: processor_mask_count: U32,
        /// Bytes of each.
        36: processor_mask_size: U32,
    }
}
