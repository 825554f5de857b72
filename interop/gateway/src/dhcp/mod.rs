//! A DHCP server (RFC 2131, options of RFC 2132) for the stations of one link.
//!
//! It stands before the IP stack and answers with whole frames: a client without an address can be reached by its
//! Ethernet address alone, which no IP stack does by itself.

mod leases;

use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    DHCP_CLIENT_PORT, DHCP_SERVER_PORT, DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress,
    EthernetFrame, EthernetProtocol, EthernetRepr, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use crate::config::{Config, DhcpConfig, ETHERNET_HEADER, Subnet};
use leases::Leases;

/// Option numbers of RFC 2132 that smoltcp does not write by itself.
mod option {
    pub(super) const INTERFACE_MTU: u8 = 26;
    pub(super) const BROADCAST_ADDRESS: u8 = 28;
    pub(super) const RENEWAL_TIME: u8 = 58;
    pub(super) const REBINDING_TIME: u8 = 59;
}

/// Bytes that the fixed part and the options of a BOOTP message are padded to: some relays and clients drop shorter
/// ones (RFC 1542, section 2.1).
const MIN_MESSAGE: usize = 300;

/// What the server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DhcpStatistics {
    /// Addresses offered.
    pub offers: u64,
    /// Requests granted.
    pub acks: u64,
    /// Requests denied.
    pub naks: u64,
    /// Discoveries that found every address taken.
    pub exhausted: u64,
    /// Packets to the server's port that are no message of a client.
    pub malformed: u64,
}

#[derive(Debug)]
pub(crate) struct Server {
    mac: EthernetAddress,
    address: Ipv4Addr,
    subnet: Subnet,
    mtu: u16,
    lease_seconds: u32,
    dns: Vec<Ipv4Addr>,
    leases: Leases,
    statistics: DhcpStatistics,
}

/// What became of a frame.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is for somebody else.
    NotDhcp,
    /// It was the server's, and nothing is to be sent.
    Done,
    /// It was the server's, and this frame answers it.
    Answer(Vec<u8>),
}

/// What goes back to a client, apart from what every answer holds.
struct Answer {
    message_type: DhcpMessageType,
    /// Zero in a denial and in the answer to an INFORM.
    your_ip: Ipv4Addr,
    /// Whether the answer grants a lease, and so tells its time.
    lease: bool,
}

impl Server {
    pub(crate) fn new(config: &Config, dhcp: &DhcpConfig) -> Self {
        let lease_seconds = u32::try_from(dhcp.lease_time.as_secs()).unwrap_or(u32::MAX);
        let lease_time = Duration::from_secs(lease_seconds.into());
        Self {
            mac: EthernetAddress(config.mac),
            address: config.address,
            subnet: config.subnet(),
            mtu: u16::try_from(config.mtu).unwrap_or(u16::MAX),
            lease_seconds,
            dns: dhcp.dns.clone(),
            leases: Leases::new(dhcp.first, dhcp.leases, lease_time),
            statistics: DhcpStatistics::default(),
        }
    }

    pub(crate) fn statistics(&self) -> DhcpStatistics {
        self.statistics
    }

    /// Reads a client's message and gives the frame that answers it, where the protocol has an answer.
    pub(crate) fn handle(&mut self, frame: &[u8], now: Instant) -> Verdict {
        let Some(message) = self.message(frame) else {
            return Verdict::NotDhcp;
        };
        let packet = DhcpPacket::new_checked(message).ok();
        let request = packet.as_ref().and_then(|packet| DhcpRepr::parse(packet).ok());
        // A relay would be on another link, and there is none.
        let request = request.filter(|request| {
            request.relay_agent_ip.is_unspecified() && request.client_hardware_address.is_unicast()
        });
        let Some(request) = request else {
            self.statistics.malformed += 1;
            return Verdict::Done;
        };
        let answer = self.answer(&request, now);
        match answer.and_then(|answer| self.emit(&request, &answer)) {
            Some(frame) => Verdict::Answer(frame),
            None => Verdict::Done,
        }
    }

    /// The payload of a frame that carries a whole UDP datagram to the server's port. Checksums are not looked at:
    /// a client of a NIC that offloads them sends none, and the Ethernet below is memory.
    fn message<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        if ethernet.dst_addr() != self.mac && !ethernet.dst_addr().is_broadcast() {
            return None;
        }
        let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
        if ip.next_header() != IpProtocol::Udp || ip.more_frags() || ip.frag_offset() != 0 {
            return None;
        }
        let to = ip.dst_addr();
        if to != self.address && !to.is_broadcast() && to != self.subnet.broadcast() {
            return None;
        }
        let udp = UdpPacket::new_checked(ip.payload()).ok()?;
        (udp.dst_port() == DHCP_SERVER_PORT).then(|| udp.payload())
    }

    fn answer(&mut self, request: &DhcpRepr<'_>, now: Instant) -> Option<Answer> {
        let station = request.client_hardware_address;
        match request.message_type {
            DhcpMessageType::Discover => {
                let Some(your_ip) = self.leases.offer(station, request.requested_ip, now) else {
                    self.statistics.exhausted += 1;
                    return None;
                };
                self.statistics.offers += 1;
                Some(Answer {
                    message_type: DhcpMessageType::Offer,
                    your_ip,
                    lease: true,
                })
            }
            DhcpMessageType::Request => self.answer_request(request, now),
            DhcpMessageType::Inform => Some(Answer {
                message_type: DhcpMessageType::Ack,
                your_ip: Ipv4Addr::UNSPECIFIED,
                lease: false,
            }),
            DhcpMessageType::Release => {
                self.leases.release(station, request.client_ip, now);
                None
            }
            DhcpMessageType::Decline => {
                if let Some(address) = request.requested_ip {
                    tracing::warn!(%address, %station, "a station found its leased address in use");
                    self.leases.decline(station, address, now);
                }
                None
            }
            _ => {
                self.statistics.malformed += 1;
                None
            }
        }
    }

    /// RFC 2131, section 4.3.2: the client takes an offer up, or checks an address of before, or extends its lease.
    fn answer_request(&mut self, request: &DhcpRepr<'_>, now: Instant) -> Option<Answer> {
        if request
            .server_identifier
            .is_some_and(|server| server != self.address)
        {
            // The client took another server's offer; ours lapses by itself.
            return None;
        }
        let station = request.client_hardware_address;
        // A client that extends names its address in the header, and otherwise in the option.
        let wanted = request.requested_ip.unwrap_or(request.client_ip);
        if self.leases.bind(station, wanted, now) {
            self.statistics.acks += 1;
            tracing::info!(address = %wanted, %station, seconds = self.lease_seconds, "leased");
            Some(Answer {
                message_type: DhcpMessageType::Ack,
                your_ip: wanted,
                lease: true,
            })
        } else {
            self.statistics.naks += 1;
            tracing::debug!(address = %wanted, %station, "lease denied");
            Some(Answer {
                message_type: DhcpMessageType::Nak,
                your_ip: Ipv4Addr::UNSPECIFIED,
                lease: false,
            })
        }
    }

    fn emit(&self, request: &DhcpRepr<'_>, answer: &Answer) -> Option<Vec<u8>> {
        let nak = answer.message_type == DhcpMessageType::Nak;
        let mtu = self.mtu.to_be_bytes();
        let broadcast = self.subnet.broadcast().octets();
        // RFC 2131, section 4.4.5: a half and seven eighths of the lease.
        let renewal = (self.lease_seconds / 2).to_be_bytes();
        let rebinding = (self.lease_seconds - self.lease_seconds / 8).to_be_bytes();
        let mut options = Vec::new();
        if !nak {
            options.push(DhcpOption {
                kind: option::INTERFACE_MTU,
                data: &mtu,
            });
            options.push(DhcpOption {
                kind: option::BROADCAST_ADDRESS,
                data: &broadcast,
            });
        }
        if answer.lease {
            options.push(DhcpOption {
                kind: option::RENEWAL_TIME,
                data: &renewal,
            });
            options.push(DhcpOption {
                kind: option::REBINDING_TIME,
                data: &rebinding,
            });
        }
        let dhcp = DhcpRepr {
            message_type: answer.message_type,
            transaction_id: request.transaction_id,
            secs: 0,
            client_hardware_address: request.client_hardware_address,
            client_ip: if nak {
                Ipv4Addr::UNSPECIFIED
            } else {
                request.client_ip
            },
            your_ip: answer.your_ip,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: (!nak).then_some(self.address),
            subnet_mask: (!nak).then(|| self.subnet.mask()),
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: request.broadcast,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(self.address),
            parameter_request_list: None,
            dns_servers: (!nak && !self.dns.is_empty()).then(|| self.dns.iter().copied().collect()),
            max_size: None,
            lease_duration: answer.lease.then_some(self.lease_seconds),
            renew_duration: None,
            rebind_duration: None,
            additional_options: &options,
        };
        let (to_mac, to_ip) = self.destination(request, answer);
        self.frame(&dhcp, to_mac, to_ip)
    }

    /// RFC 2131, section 4.1: a client with an address gets the answer there, one without gets it at the address
    /// that it is to have, unless it asks for a broadcast; a denial is always broadcast.
    fn destination(&self, request: &DhcpRepr<'_>, answer: &Answer) -> (EthernetAddress, Ipv4Addr) {
        let station = request.client_hardware_address;
        if answer.message_type == DhcpMessageType::Nak {
            (EthernetAddress::BROADCAST, Ipv4Addr::BROADCAST)
        } else if self.subnet.is_host(request.client_ip) {
            (station, request.client_ip)
        } else if request.broadcast || answer.your_ip.is_unspecified() {
            (EthernetAddress::BROADCAST, Ipv4Addr::BROADCAST)
        } else {
            (station, answer.your_ip)
        }
    }

    fn frame(&self, dhcp: &DhcpRepr<'_>, to_mac: EthernetAddress, to_ip: Ipv4Addr) -> Option<Vec<u8>> {
        let checksums = ChecksumCapabilities::default();
        let message_len = dhcp.buffer_len().max(MIN_MESSAGE);
        let udp = UdpRepr {
            src_port: DHCP_SERVER_PORT,
            dst_port: DHCP_CLIENT_PORT,
        };
        let ip = Ipv4Repr {
            src_addr: self.address,
            dst_addr: to_ip,
            next_header: IpProtocol::Udp,
            payload_len: udp.header_len() + message_len,
            hop_limit: 64,
        };
        let ethernet = EthernetRepr {
            src_addr: self.mac,
            dst_addr: to_mac,
            ethertype: EthernetProtocol::Ipv4,
        };

        let mut frame = vec![0; ETHERNET_HEADER + ip.buffer_len() + ip.payload_len];
        let mut packet = EthernetFrame::new_unchecked(&mut frame[..]);
        ethernet.emit(&mut packet);
        let mut packet = Ipv4Packet::new_unchecked(packet.payload_mut());
        ip.emit(&mut packet, &checksums);
        let mut emitted = Ok(());
        udp.emit(
            &mut UdpPacket::new_unchecked(packet.payload_mut()),
            &self.address.into(),
            &to_ip.into(),
            message_len,
            |payload| emitted = dhcp.emit(&mut DhcpPacket::new_unchecked(payload)),
            &checksums,
        );
        emitted.is_ok().then_some(frame)
    }
}

#[cfg(test)]
mod tests;
