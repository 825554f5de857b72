//! Which network the card is plugged into.

use crate::error::{Error, Result, net};
use gateway::{Capture, Link, Runner, tap::Tap};
use netvsc_proto::host::{Checksums, DataPath, MacAddress, Offloads};
use netvsc_proto::wire::ppi::ReceiveChecksums;
use smoltcp::wire::{self, EthernetFrame, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket};
use std::borrow::Cow;
use std::path::PathBuf;
use std::str::FromStr;

/// A network card as it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetConfig {
    /// Its address.
    pub mac: MacAddress,
    /// The most bytes of a frame after its Ethernet header.
    pub mtu: u32,
    /// Where to record its frames.
    pub pcap: Option<PathBuf>,
}

/// What it is plugged into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// A gateway in this process.
    User,
    /// A TAP device of the host's.
    Tap(String),
}

/// `user` or `tap:NAME`.
impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once(':') {
            None if text == "user" => Ok(Self::User),
            Some(("tap", name)) if !name.is_empty() => Ok(Self::Tap(name.into())),
            _ => Err("say user, tap:NAME or none".into()),
        }
    }
}

/// A link, and what it does with frames that are not complete.
pub(super) struct Plug {
    pub(super) link: Box<dyn Link>,
    pub(super) offloads: Offloads,
}

/// Opens the link to the network.
///
/// Memory does not err, so that between a guest and the gateway nobody computes TCP's and UDP's checksums, and nobody cuts what the guest
/// sends into frames: a capture shows it so. A TAP device leads out of this machine and gets complete frames.
pub(super) fn open(config: &NetConfig, network: &Network) -> Result<Plug> {
    let (link, offloads): (Box<dyn Link>, _) = match network {
        Network::User => {
            let gateway = gateway::Config {
                mtu: usize::try_from(config.mtu).unwrap_or(usize::MAX),
                checksums: gateway::Checksums::Offloaded,
                large_send: true,
                ..gateway::Config::default()
            };
            (
                Box::new(Runner::new(&gateway).map_err(net("--net user"))?),
                GATEWAY,
            )
        }
        Network::Tap(name) => (
            Box::new(Tap::open(name).map_err(net("--net tap"))?),
            Offloads::NONE,
        ),
    };
    let Some(path) = &config.pcap else {
        return Ok(Plug { link, offloads });
    };
    let failed = |source| Error::File {
        what: "packet capture",
        path: path.clone(),
        source,
    };
    Ok(Plug {
        link: Box::new(Capture::create(link, path).map_err(failed)?),
        offloads,
    })
}

/// What the gateway does without. It knows IPv4 alone.
const GATEWAY: Offloads = Offloads {
    transmit: IPV4,
    receive: Checksums { ipv4: false, ..IPV4 },
    large_send_ipv4: Offloads::MAX_LARGE_SEND,
    ..Offloads::NONE
};
const IPV4: Checksums = Checksums {
    ipv4: true,
    tcp4: true,
    udp4: true,
    ..Checksums::NONE
};

const ETHERNET_HEADER: usize = 14;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What the guest may take for granted of a frame from the gateway.
pub(super) fn vouched(frame: &[u8]) -> ReceiveChecksums {
    match (frame.get(12..ETHERNET_HEADER), frame.get(ETHERNET_HEADER + 9)) {
        (Some(ethertype), Some(&TCP)) if ethertype == ETHERTYPE_IPV4 => ReceiveChecksums::TCP_SUCCEEDED,
        (Some(ethertype), Some(&UDP)) if ethertype == ETHERTYPE_IPV4 => ReceiveChecksums::UDP_SUCCEEDED,
        _ => ReceiveChecksums::empty(),
    }
}

/// The frame as the guest can take it. The gateway leaves TCP's and UDP's checksums out, and a guest that has not switched on that they are
/// vouched for looks at them: then they are filled in.
pub(super) fn for_guest<'f>(frame: &'f [u8], data_path: &DataPath) -> Cow<'f, [u8]> {
    let (offered, enabled) = (&data_path.offered.receive, &data_path.enabled.receive);
    let vouched = vouched(frame);
    let missing = |flag, offered: bool, enabled: bool| vouched.contains(flag) && offered && !enabled;
    if missing(ReceiveChecksums::TCP_SUCCEEDED, offered.tcp4, enabled.tcp4)
        || missing(ReceiveChecksums::UDP_SUCCEEDED, offered.udp4, enabled.udp4)
    {
        let mut frame = frame.to_vec();
        // What is too short to have a checksum is left as it is.
        let _too_short = fill_checksum(&mut frame);
        Cow::Owned(frame)
    } else {
        Cow::Borrowed(frame)
    }
}

/// Fills the checksum of the TCP segment or UDP datagram in an IPv4 packet in.
fn fill_checksum(frame: &mut [u8]) -> wire::Result<()> {
    let mut ethernet = EthernetFrame::new_checked(frame)?;
    let mut packet = Ipv4Packet::new_checked(ethernet.payload_mut())?;
    let (source, destination) = (packet.src_addr().into(), packet.dst_addr().into());
    match packet.next_header() {
        IpProtocol::Tcp => TcpPacket::new_checked(packet.payload_mut())?.fill_checksum(&source, &destination),
        IpProtocol::Udp => UdpPacket::new_checked(packet.payload_mut())?.fill_checksum(&source, &destination),
        _ => {}
    }
    Ok(())
}

/// A large send as one packet. A guest leaves the length in its IPv4 header to whoever cuts it, and nobody does.
pub(super) fn whole(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    let len = u16::try_from(frame.len().saturating_sub(ETHERNET_HEADER)).unwrap_or(u16::MAX);
    if let Some(total_length) = frame.get_mut(ETHERNET_HEADER + 2..ETHERNET_HEADER + 4) {
        total_length.copy_from_slice(&len.to_be_bytes());
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An Ethernet and an IPv4 header whose length field is empty, and `payload` bytes.
    fn frame(ethertype: [u8; 2], protocol: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![0; ETHERNET_HEADER + 20 + payload];
        frame[12..14].copy_from_slice(&ethertype);
        frame[14] = 0x45;
        frame[23] = protocol;
        frame
    }

    #[test]
    fn a_guest_that_looks_at_checksums_gets_them() {
        let mut udp = frame(ETHERTYPE_IPV4, UDP, 8 + 3);
        udp[16..18].copy_from_slice(&31_u16.to_be_bytes());
        udp[26..34].copy_from_slice(&[10, 0, 2, 2, 10, 0, 2, 15]);
        udp[34..].copy_from_slice(&[0, 67, 0, 68, 0, 11, 0, 0, 1, 2, 3]);
        let data_path = |receive| DataPath {
            offered: GATEWAY,
            enabled: Offloads {
                receive,
                ..Offloads::NONE
            },
            ..DataPath::default()
        };
        let filled = for_guest(&udp, &data_path(Checksums::NONE));
        // By RFC 768: the complement of the sum of both addresses, the protocol, the length twice, the ports and the data.
        assert_eq!(filled[40..42], [0xe3, 0x3e]);
        assert_eq!((&filled[..40], &filled[42..]), (&udp[..40], &udp[42..]));
        assert_eq!(
            *for_guest(&udp, &data_path(GATEWAY.receive)),
            *udp,
            "it does not look"
        );
        let from_a_wire = DataPath {
            offered: Offloads::NONE,
            ..data_path(Checksums::NONE)
        };
        assert_eq!(*for_guest(&udp, &from_a_wire), *udp, "complete as it is");
        assert_eq!(
            *for_guest(&udp[..36], &data_path(Checksums::NONE)),
            udp[..36],
            "cut off"
        );
    }

    #[test]
    fn a_segments_checksum_is_filled_in() {
        let mut tcp = frame(ETHERTYPE_IPV4, TCP, 20 + 1);
        tcp[16..18].copy_from_slice(&41_u16.to_be_bytes());
        tcp[34 + 12] = 5 << 4;
        assert_eq!(fill_checksum(&mut tcp), Ok(()));
        // No addresses, no ports: the protocol, the length and the length of the header remain.
        assert_eq!(tcp[50..52], (!(6_u16 + 21 + 0x5000)).to_be_bytes());
    }

    #[test]
    fn a_large_send_gets_its_length() {
        let frame = whole(&frame(ETHERTYPE_IPV4, TCP, 40_000));
        assert_eq!(frame[16..18], 40_020_u16.to_be_bytes());
        assert_eq!(whole(&[1, 2, 3]), [1, 2, 3], "too short for any header");
    }

    #[test]
    fn only_the_gateways_transports_are_vouched_for() {
        assert_eq!(
            vouched(&frame(ETHERTYPE_IPV4, TCP, 0)),
            ReceiveChecksums::TCP_SUCCEEDED
        );
        assert_eq!(
            vouched(&frame(ETHERTYPE_IPV4, UDP, 0)),
            ReceiveChecksums::UDP_SUCCEEDED
        );
        assert_eq!(vouched(&frame(ETHERTYPE_IPV4, 1, 0)), ReceiveChecksums::empty());
        assert_eq!(vouched(&frame([0x08, 0x06], TCP, 0)), ReceiveChecksums::empty());
        assert_eq!(vouched(&[0; 20]), ReceiveChecksums::empty());
    }

    #[test]
    fn networks_have_names() {
        assert_eq!("user".parse(), Ok(Network::User));
        assert_eq!("tap:tap0".parse(), Ok(Network::Tap("tap0".into())));
        for text in ["", "tap", "tap:", "usr", "user:1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
