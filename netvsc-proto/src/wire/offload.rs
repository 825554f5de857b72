//! NDIS structures about offloads: what a device can do and what a guest switches on.
//!
//! Sizes and offsets are those of the type information in Linux 6.1's hv_netvsc (`struct ndis_*offload*`); the
//! meaning of bits from Linux `drivers/net/hyperv/hyperv_net.h` and Microsoft's NDIS reference. A capability field
//! of two bits is 0 "no" or 1 "yes", so that each named bit below is the low one of its pair.

use bitflags::bitflags;
use zerocopy::little_endian::{U16, U32};

use super::code::{layout, open_code, wire};
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

wire! {
    /// Checksum offloads.
    pub struct ChecksumOffload {
        /// [`Encapsulation`] of IPv4 frames sent.
        pub ipv4_transmit_encapsulation: U32,
        /// [`Ipv4Checksums`] made for frames sent.
        pub ipv4_transmit: U32,
        /// [`Encapsulation`] of IPv4 frames received.
        pub ipv4_receive_encapsulation: U32,
        /// [`Ipv4Checksums`] checked on frames received.
        pub ipv4_receive: U32,
        /// [`Encapsulation`] of IPv6 frames sent.
        pub ipv6_transmit_encapsulation: U32,
        /// [`Ipv6Checksums`] made for frames sent.
        pub ipv6_transmit: U32,
        /// [`Encapsulation`] of IPv6 frames received.
        pub ipv6_receive_encapsulation: U32,
        /// [`Ipv6Checksums`] checked on frames received.
        pub ipv6_receive: U32,
    }
}
layout!(ChecksumOffload, 32, {
    ipv4_transmit_encapsulation @ 0, ipv4_transmit @ 4, ipv4_receive_encapsulation @ 8, ipv4_receive @ 12,
    ipv6_transmit_encapsulation @ 16, ipv6_transmit @ 20, ipv6_receive_encapsulation @ 24, ipv6_receive @ 28,
});

wire! {
    /// Large send, version 1: IPv4 only.
    pub struct LargeSendV1 {
        /// [`Encapsulation`].
        pub encapsulation: U32,
        /// The most bytes of one send.
        pub max_size: U32,
        /// The fewest segments that are worth it.
        pub min_segments: U32,
        /// Options that may be in the headers.
        pub options: U32,
    }
}
layout!(LargeSendV1, 16, { encapsulation @ 0, max_size @ 4, min_segments @ 8, options @ 12 });

wire! {
    /// IPsec, version 1.
    pub struct IpsecV1 {
        /// [`Encapsulation`].
        pub encapsulation: U32,
        /// Authentication header and payload both.
        pub ah_esp: U32,
        /// Transport and tunnel mode both.
        pub transport_tunnel: U32,
        /// With IP options.
        pub ipv4_options: U32,
        /// Flags.
        pub flags: U32,
        /// Authentication header over IPv4.
        pub ipv4_ah: U32,
        /// Encapsulated payload over IPv4.
        pub ipv4_esp: U32,
    }
}
layout!(IpsecV1, 28, {
    encapsulation @ 0, ah_esp @ 4, transport_tunnel @ 8, ipv4_options @ 12, flags @ 16, ipv4_ah @ 20, ipv4_esp @ 24,
});

wire! {
    /// Large send, version 2.
    pub struct LargeSendV2 {
        /// [`Encapsulation`] of IPv4. Linux uses it when it has [`Encapsulation::IEEE_802_3`] and TCP checksums with
        /// options are offloaded too.
        pub ipv4_encapsulation: U32,
        /// The most bytes of one send, without headers.
        pub ipv4_max_size: U32,
        /// The fewest segments that are worth it.
        pub ipv4_min_segments: U32,
        /// [`Encapsulation`] of IPv6.
        pub ipv6_encapsulation: U32,
        /// The most bytes of one send, without headers.
        pub ipv6_max_size: U32,
        /// The fewest segments that are worth it.
        pub ipv6_min_segments: U32,
        /// [`Ipv6LargeSend`].
        pub ipv6_options: U32,
    }
}
layout!(LargeSendV2, 28, {
    ipv4_encapsulation @ 0, ipv4_max_size @ 4, ipv4_min_segments @ 8, ipv6_encapsulation @ 12, ipv6_max_size @ 16,
    ipv6_min_segments @ 20, ipv6_options @ 24,
});

wire! {
    /// IPsec, version 2. Each byte is 0 or 1.
    pub struct IpsecV2 {
        /// [`Encapsulation`].
        pub encapsulation: U32,
        /// IPv6.
        pub ipv6: u8,
        /// With IPv4 options.
        pub ipv4_options: u8,
        /// With IPv6 extension headers.
        pub ipv6_extension_headers: u8,
        /// Authentication header.
        pub ah: u8,
        /// Encapsulated payload.
        pub esp: u8,
        /// Both.
        pub ah_esp: u8,
        /// Transport mode.
        pub transport: u8,
        /// Tunnel mode.
        pub tunnel: u8,
        /// Both.
        pub transport_tunnel: u8,
        /// Together with large sends.
        pub large_send: u8,
        /// Extended sequence numbers.
        pub extended_sequence: u8,
        /// Zero.
        pub padding: u8,
        /// Payload in UDP.
        pub udp_esp: U32,
        /// Authentication algorithms.
        pub authentication: U32,
        /// Encryption algorithms.
        pub encryption: U32,
        /// How many security associations.
        pub sa_capacity: U32,
    }
}
layout!(IpsecV2, 32, {
    encapsulation @ 0, ipv6 @ 4, ipv4_options @ 5, ipv6_extension_headers @ 6, ah @ 7, esp @ 8, ah_esp @ 9,
    transport @ 10, tunnel @ 11, transport_tunnel @ 12, large_send @ 13, extended_sequence @ 14, padding @ 15,
    udp_esp @ 16, authentication @ 20, encryption @ 24, sa_capacity @ 28,
});

wire! {
    /// Receive coalescing.
    pub struct ReceiveCoalescing {
        /// 1 when IPv4 is coalesced.
        pub ipv4: u8,
        /// 1 when IPv6 is coalesced.
        pub ipv6: u8,
    }
}
layout!(ReceiveCoalescing, 2, { ipv4 @ 0, ipv6 @ 1 });

wire! {
    /// Offloads of what is inside of a tunnel.
    pub struct TunnelOffload {
        /// Which offloads.
        pub flags: U32,
        /// The most bytes of headers that are looked behind.
        pub max_header_size: U32,
    }
}
layout!(TunnelOffload, 8, { flags @ 0, max_header_size @ 4 });

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

wire! {
    /// `NDIS_OFFLOAD`: what a device can do (`OID_TCP_OFFLOAD_HARDWARE_CAPABILITIES`) or does
    /// (`OID_TCP_OFFLOAD_CURRENT_CONFIG`). A guest's query brings a header that tells which revision it takes: 3 with
    /// NVSP 5, 2 with 4, 1 before (Linux).
    pub struct Offload {
        /// Type [`OFFLOAD`](super::ndis::ObjectType::OFFLOAD).
        pub header: ObjectHeader,
        /// Checksums.
        pub checksum: ChecksumOffload,
        /// Large send, version 1.
        pub large_send_v1: LargeSendV1,
        /// IPsec, version 1.
        pub ipsec_v1: IpsecV1,
        /// Large send, version 2.
        pub large_send_v2: LargeSendV2,
        /// Flags.
        pub flags: U32,
        /// IPsec, version 2. Since revision 2.
        pub ipsec_v2: IpsecV2,
        /// Receive coalescing. Since revision 3.
        pub receive_coalescing: ReceiveCoalescing,
        /// Zero.
        pub padding: U16,
        /// NVGRE. Since revision 3.
        pub nvgre: TunnelOffload,
    }
}
layout!(Offload, 156, {
    header @ 0, checksum @ 4, large_send_v1 @ 36, ipsec_v1 @ 52, large_send_v2 @ 80, flags @ 108, ipsec_v2 @ 112,
    receive_coalescing @ 144, padding @ 146, nvgre @ 148,
});

open_code! {
    /// How a guest sets a checksum offload.
    pub struct ChecksumSetting(u8);
    /// As it was.
    NO_CHANGE = 0 => "no change";
    /// Off.
    DISABLED = 1 => "off";
    /// For frames sent only.
    TRANSMIT = 2 => "transmit";
    /// For frames received only.
    RECEIVE = 3 => "receive";
    /// For both.
    BOTH = 4 => "both";
}

open_code! {
    /// How a guest sets an offload that is on or off.
    pub struct Setting(u8);
    /// As it was.
    NO_CHANGE = 0 => "no change";
    /// Off.
    DISABLED = 1 => "off";
    /// On.
    ENABLED = 2 => "on";
}

/// Bytes of [`OffloadParameters`] at revision 1.
pub const OFFLOAD_PARAMETERS_LEN_REVISION_1: usize = 20;

wire! {
    /// `OID_TCP_OFFLOAD_PARAMETERS`: switches offloads. Linux sends 28 bytes, and 22 with NVSP up to 4, both times
    /// with revision 3.
    pub struct OffloadParameters {
        /// Type [`DEFAULT`](super::ndis::ObjectType::DEFAULT).
        pub header: ObjectHeader,
        /// IPv4 header checksums.
        pub ipv4_checksum: ChecksumSetting,
        /// TCP over IPv4.
        pub tcp4_checksum: ChecksumSetting,
        /// UDP over IPv4.
        pub udp4_checksum: ChecksumSetting,
        /// TCP over IPv6.
        pub tcp6_checksum: ChecksumSetting,
        /// UDP over IPv6.
        pub udp6_checksum: ChecksumSetting,
        /// Large send, version 1.
        pub large_send_v1: Setting,
        /// IPsec, version 1.
        pub ipsec_v1: u8,
        /// Large send, version 2, over IPv4.
        pub large_send_v2_ipv4: Setting,
        /// Large send, version 2, over IPv6.
        pub large_send_v2_ipv6: Setting,
        /// TCP chimney over IPv4.
        pub tcp_connection_ipv4: u8,
        /// TCP chimney over IPv6.
        pub tcp_connection_ipv6: u8,
        /// Zero.
        pub padding: u8,
        /// Flags.
        pub flags: U32,
        /// IPsec, version 2. Since revision 2.
        pub ipsec_v2: u8,
        /// IPsec, version 2, over IPv4. Since revision 2.
        pub ipsec_v2_ipv4: u8,
        /// Receive coalescing over IPv4. Since revision 3.
        pub receive_coalescing_ipv4: Setting,
        /// Receive coalescing over IPv6. Since revision 3.
        pub receive_coalescing_ipv6: Setting,
        /// Offloads in tunnels. Since revision 3.
        pub tunnel_offload: u8,
        /// Kinds of tunnel. Since revision 3.
        pub tunnel_types: u8,
        /// Zero.
        pub tail: U16,
    }
}
layout!(OffloadParameters, 28, {
    header @ 0, ipv4_checksum @ 4, tcp4_checksum @ 5, udp4_checksum @ 6, tcp6_checksum @ 7, udp6_checksum @ 8,
    large_send_v1 @ 9, ipsec_v1 @ 10, large_send_v2_ipv4 @ 11, large_send_v2_ipv6 @ 12, tcp_connection_ipv4 @ 13,
    tcp_connection_ipv6 @ 14, padding @ 15, flags @ 16, ipsec_v2 @ 20, ipsec_v2_ipv4 @ 21,
    receive_coalescing_ipv4 @ 22, receive_coalescing_ipv6 @ 23, tunnel_offload @ 24, tunnel_types @ 25, tail @ 26,
});

wire! {
    /// `OID_OFFLOAD_ENCAPSULATION`: which frames offloads are for. Source: OpenVMM.
    pub struct OffloadEncapsulation {
        /// Type [`OFFLOAD_ENCAPSULATION`](super::ndis::ObjectType::OFFLOAD_ENCAPSULATION), revision 1.
        pub header: ObjectHeader,
        /// In an answer 1 "supported"; in a set 1 "on", 2 "off".
        pub ipv4_enabled: U32,
        /// [`Encapsulation`].
        pub ipv4_encapsulation: U32,
        /// Bytes before the IPv4 header.
        pub ipv4_header_size: U32,
        /// As for IPv4.
        pub ipv6_enabled: U32,
        /// [`Encapsulation`].
        pub ipv6_encapsulation: U32,
        /// Bytes before the IPv6 header.
        pub ipv6_header_size: U32,
    }
}
layout!(OffloadEncapsulation, 28, {
    header @ 0, ipv4_enabled @ 4, ipv4_encapsulation @ 8, ipv4_header_size @ 12, ipv6_enabled @ 16,
    ipv6_encapsulation @ 20, ipv6_header_size @ 24,
});
