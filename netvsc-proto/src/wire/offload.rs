//! NDIS structures about offloads: what a device can do and what a guest switches on.
//!
//! Sizes and offsets are those of the type information in Linux 6.1's hv_netvsc (`struct ndis_*offload*`); the
//! meaning of bits from Linux `drivers/net/hyperv/hyperv_net.h` and Microsoft's NDIS reference. A capability field
//! of two bits is 0 "no" or 1 "yes", so that each named bit below is the low one of its pair.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32};

use super::code::{Byte, wire_number, wire_struct};
use super::ndis::ObjectHeader;
use super::nvsp::Version;

bitflags! {
    /// Behind which headers an offload finds the IP header.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Encapsulation: u32 {
        /// None at all.
        const NULL = 0x1;
        /// Ethernet.
        const IEEE_802_3 = 0x2;
        /// Ethernet with a VLAN tag in the frame.
        const IEEE_802_3_PQ = 0x4;
        /// Ethernet with a VLAN tag in per-packet info.
        const IEEE_802_3_PQ_OOB = 0x8;
        /// RFC 1483.
        const RFC_1483 = 0x10;
    }
}

bitflags! {
    /// Checksums over IPv4.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Ipv4Checksums: u32 {
        /// With IP options.
        const IP_OPTIONS = 0x001;
        /// With TCP options.
        const TCP_OPTIONS = 0x004;
        /// TCP.
        const TCP = 0x010;
        /// UDP.
        const UDP = 0x040;
        /// The IP header.
        const IP = 0x100;
    }
}

bitflags! {
    /// Checksums over IPv6.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Ipv6Checksums: u32 {
        /// With extension headers.
        const EXTENSION_HEADERS = 0x001;
        /// With TCP options.
        const TCP_OPTIONS = 0x004;
        /// TCP.
        const TCP = 0x010;
        /// UDP.
        const UDP = 0x040;
    }
}

bitflags! {
    /// Large sends over IPv6. Linux wants both before it uses them.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Ipv6LargeSend: u32 {
        /// With extension headers.
        const EXTENSION_HEADERS = 0x001;
        /// With TCP options.
        const TCP_OPTIONS = 0x004;
    }
}

wire_struct! {
    /// Checksum offloads.
    #[derive(Default)]
    pub struct ChecksumOffload, 32 bytes {
        /// [`Encapsulation`] of IPv4 frames sent.
        0: ipv4_transmit_encapsulation: U32,
        /// [`Ipv4Checksums`] made for frames sent.
        4: ipv4_transmit: U32,
        /// [`Encapsulation`] of IPv4 frames received.
        8: ipv4_receive_encapsulation: U32,
        /// [`Ipv4Checksums`] checked on frames received.
        12: ipv4_receive: U32,
        /// [`Encapsulation`] of IPv6 frames sent.
        16: ipv6_transmit_encapsulation: U32,
        /// [`Ipv6Checksums`] made for frames sent.
        20: ipv6_transmit: U32,
        /// [`Encapsulation`] of IPv6 frames received.
        24: ipv6_receive_encapsulation: U32,
        /// [`Ipv6Checksums`] checked on frames received.
        28: ipv6_receive: U32,
    }
}

wire_struct! {
    /// Large send, version 1: IPv4 only.
    #[derive(Default)]
    pub struct LargeSendV1, 16 bytes {
        /// [`Encapsulation`].
        0: encapsulation: U32,
        /// The most bytes of one send.
        4: max_size: U32,
        /// The fewest segments that are worth it.
        8: min_segments: U32,
        /// Options that may be in the headers.
        12: options: U32,
    }
}

wire_struct! {
    /// IPsec, version 1.
    #[derive(Default)]
    pub struct IpsecV1, 28 bytes {
        /// [`Encapsulation`].
        0: encapsulation: U32,
        /// Authentication header and payload both.
        4: ah_esp: U32,
        /// Transport and tunnel mode both.
        8: transport_tunnel: U32,
        /// With IP options.
        12: ipv4_options: U32,
        /// Flags.
        16: flags: U32,
        /// Authentication header over IPv4.
        20: ipv4_ah: U32,
        /// Encapsulated payload over IPv4.
        24: ipv4_esp: U32,
    }
}

wire_struct! {
    /// Large send, version 2.
    #[derive(Default)]
    pub struct LargeSendV2, 28 bytes {
        /// [`Encapsulation`] of IPv4. Linux uses it when it has [`Encapsulation::IEEE_802_3`] and TCP checksums with
        /// options are offloaded too.
        0: ipv4_encapsulation: U32,
        /// The most bytes of one send, without headers.
        4: ipv4_max_size: U32,
        /// The fewest segments that are worth it.
        8: ipv4_min_segments: U32,
        /// [`Encapsulation`] of IPv6.
        12: ipv6_encapsulation: U32,
        /// The most bytes of one send, without headers.
        16: ipv6_max_size: U32,
        /// The fewest segments that are worth it.
        20: ipv6_min_segments: U32,
        /// [`Ipv6LargeSend`].
        24: ipv6_options: U32,
    }
}

wire_struct! {
    /// IPsec, version 2. Each byte is 0 or 1.
    #[derive(Default)]
    pub struct IpsecV2, 32 bytes {
        /// [`Encapsulation`].
        0: encapsulation: U32,
        /// IPv6.
        4: ipv6: u8,
        /// With IPv4 options.
        5: ipv4_options: u8,
        /// With IPv6 extension headers.
        6: ipv6_extension_headers: u8,
        /// Authentication header.
        7: ah: u8,
        /// Encapsulated payload.
        8: esp: u8,
        /// Both.
        9: ah_esp: u8,
        /// Transport mode.
        10: transport: u8,
        /// Tunnel mode.
        11: tunnel: u8,
        /// Both.
        12: transport_tunnel: u8,
        /// Together with large sends.
        13: large_send: u8,
        /// Extended sequence numbers.
        14: extended_sequence: u8,
        /// Zero.
        15: padding: u8,
        /// Payload in UDP.
        16: udp_esp: U32,
        /// Authentication algorithms.
        20: authentication: U32,
        /// Encryption algorithms.
        24: encryption: U32,
        /// How many security associations.
        28: sa_capacity: U32,
    }
}

wire_struct! {
    /// Receive coalescing.
    #[derive(Default)]
    pub struct ReceiveCoalescing, 2 bytes {
        /// 1 when IPv4 is coalesced.
        0: ipv4: u8,
        /// 1 when IPv6 is coalesced.
        1: ipv6: u8,
    }
}

wire_struct! {
    /// Offloads of what is inside of a tunnel.
    #[derive(Default)]
    pub struct TunnelOffload, 8 bytes {
        /// Which offloads.
        0: flags: U32,
        /// The most bytes of headers that are looked behind.
        4: max_header_size: U32,
    }
}

/// Bytes of [`Offload`] at revision 1 (NDIS 6.0).
pub const OFFLOAD_LEN_REVISION_1: u16 = 112;
/// Bytes of [`Offload`] at revision 2 (NDIS 6.1).
pub const OFFLOAD_LEN_REVISION_2: u16 = 144;
/// Bytes of [`Offload`] at revision 3 (NDIS 6.30).
pub const OFFLOAD_LEN_REVISION_3: u16 = 156;

/// The revision of [`Offload`] that guests of an NVSP version take, and its bytes.
pub(crate) fn offload_revision(version: Version) -> (u8, u16) {
    if version >= Version::V5 {
        (3, OFFLOAD_LEN_REVISION_3)
    } else if version >= Version::V4 {
        (2, OFFLOAD_LEN_REVISION_2)
    } else {
        (1, OFFLOAD_LEN_REVISION_1)
    }
}

wire_struct! {
    /// `NDIS_OFFLOAD`: what a device can do (`OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES`) or does
    /// (`OID_TCP_OFFLOAD_CURRENT_CONFIG`). A guest's query brings a header that tells which revision it takes: 3 with
    /// NVSP 5, 2 with 4, 1 before (Linux).
    #[derive(Default)]
    pub struct Offload, 156 bytes {
        /// Type [`OFFLOAD`](super::ndis::ObjectType::OFFLOAD).
        0: header: ObjectHeader,
        /// Checksums.
        4: checksum: ChecksumOffload,
        /// Large send, version 1.
        36: large_send_v1: LargeSendV1,
        /// IPsec, version 1.
        52: ipsec_v1: IpsecV1,
        /// Large send, version 2.
        80: large_send_v2: LargeSendV2,
        /// Flags.
        108: flags: U32,
        /// IPsec, version 2. Since revision 2.
        112: ipsec_v2: IpsecV2,
        /// Receive coalescing. Since revision 3.
        144: receive_coalescing: ReceiveCoalescing,
        /// Zero.
        146: padding: U16,
        /// NVGRE. Since revision 3.
        148: nvgre: TunnelOffload,
    }
}

wire_number! {
    /// How a guest sets a checksum offload.
    pub struct ChecksumSetting(Byte: u8), "{:#x}" {
        /// As it was.
        NO_CHANGE = 0 => "no change",
        /// Off.
        DISABLED = 1 => "off",
        /// For frames sent only.
        TRANSMIT = 2 => "transmit",
        /// For frames received only.
        RECEIVE = 3 => "receive",
        /// For both.
        BOTH = 4 => "both",
    }
}

wire_number! {
    /// How a guest sets an offload that is on or off.
    pub struct Setting(Byte: u8), "{:#x}" {
        /// As it was.
        NO_CHANGE = 0 => "no change",
        /// Off.
        DISABLED = 1 => "off",
        /// On.
        ENABLED = 2 => "on",
    }
}

/// Bytes of [`OffloadParameters`] at revision 1.
pub const OFFLOAD_PARAMETERS_LEN_REVISION_1: usize = 20;

wire_struct! {
    /// `OID_TCP_OFFLOAD_PARAMETERS`: switches offloads. Linux sends 28 bytes, and 22 with NVSP up to 4, both times
    /// with revision 3.
    #[derive(Default)]
    pub struct OffloadParameters, 28 bytes {
        /// Type [`DEFAULT`](super::ndis::ObjectType::DEFAULT).
        0: header: ObjectHeader,
        /// IPv4 header checksums.
        4: ipv4_checksum: ChecksumSetting,
        /// TCP over IPv4.
        5: tcp4_checksum: ChecksumSetting,
        /// UDP over IPv4.
        6: udp4_checksum: ChecksumSetting,
        /// TCP over IPv6.
        7: tcp6_checksum: ChecksumSetting,
        /// UDP over IPv6.
        8: udp6_checksum: ChecksumSetting,
        /// Large send, version 1.
        9: large_send_v1: Setting,
        /// IPsec, version 1.
        10: ipsec_v1: u8,
        /// Large send, version 2, over IPv4.
        11: large_send_v2_ipv4: Setting,
        /// Large send, version 2, over IPv6.
        12: large_send_v2_ipv6: Setting,
        /// TCP chimney over IPv4.
        13: tcp_connection_ipv4: u8,
        /// TCP chimney over IPv6.
        14: tcp_connection_ipv6: u8,
        /// Zero.
        15: padding: u8,
        /// Flags.
        16: flags: U32,
        /// IPsec, version 2. Since revision 2.
        20: ipsec_v2: u8,
        /// IPsec, version 2, over IPv4. Since revision 2.
        21: ipsec_v2_ipv4: u8,
        /// Receive coalescing over IPv4. Since revision 3.
        22: receive_coalescing_ipv4: Setting,
        /// Receive coalescing over IPv6. Since revision 3.
        23: receive_coalescing_ipv6: Setting,
        /// Offloads in tunnels. Since revision 3.
        24: tunnel_offload: u8,
        /// Kinds of tunnel. Since revision 3.
        25: tunnel_types: u8,
        /// Zero.
        26: tail: U16,
    }
}

wire_struct! {
    /// `OID_OFFLOAD_ENCAPSULATION`: which frames offloads are for. Source: OpenVMM.
    #[derive(Default)]
    pub struct OffloadEncapsulation, 28 bytes {
        /// Type [`OFFLOAD_ENCAPSULATION`](super::ndis::ObjectType::OFFLOAD_ENCAPSULATION), revision 1.
        0: header: ObjectHeader,
        /// In an answer 1 "supported"; in a set 1 "on", 2 "off".
        4: ipv4_enabled: U32,
        /// [`Encapsulation`].
        8: ipv4_encapsulation: U32,
        /// Bytes before the IPv4 header.
        12: ipv4_header_size: U32,
        /// As for IPv4.
        16: ipv6_enabled: U32,
        /// [`Encapsulation`].
        20: ipv6_encapsulation: U32,
        /// Bytes before the IPv6 header.
        24: ipv6_header_size: U32,
    }
}
