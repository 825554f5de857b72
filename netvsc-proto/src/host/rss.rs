//! Spreading received frames over queues.

use crate::nic::Rss;
use crate::toeplitz;
use crate::wire::rss::HashInfo;

use super::config::DataPath;

/// Chooses the queue that gets a frame. A copy of what the guest has set, made when [`DataPath`] changes.
///
/// ```
/// use netvsc_proto::host::{DataPath, Spreader};
///
/// // Before the guest sets anything, everything goes to the primary channel.
/// assert_eq!(Spreader::new(&DataPath::default()).queue_for(&[0; 60]), 0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Spreader {
    rss: Option<Rss>,
    queues: u16,
}

impl Spreader {
    /// As the guest has set it now.
    pub fn new(data_path: &DataPath) -> Self {
        Self {
            rss: data_path.rss,
            queues: data_path.open_queues.max(1),
        }
    }

    /// The queue for a frame. One that the guest names and that is not open is replaced by an open one.
    pub fn queue_for(&self, frame: &[u8]) -> u16 {
        self.hash(frame).map_or(0, |hash| self.queue_of(hash))
    }

    /// The hash of a frame, or `None` when the guest wants none of such a frame.
    pub fn hash(&self, frame: &[u8]) -> Option<u32> {
        let rss = self.rss.as_ref()?;
        let (input, len) = Flow::of(frame)?.input(rss.hash_info)?;
        input.get(..len).map(|input| toeplitz::hash(&rss.key, input))
    }

    /// The queue for frames with this hash.
    pub fn queue_of(&self, hash: u32) -> u16 {
        let index = usize::from(hash.to_le_bytes()[0] & 0x7f);
        let entry = self
            .rss
            .as_ref()
            .and_then(|rss| rss.table.get(index))
            .copied()
            .unwrap_or_default();
        if entry < self.queues {
            entry
        } else {
            entry.checked_rem(self.queues).unwrap_or_default()
        }
    }
}

/// What identifies a flow in a frame.
#[derive(Clone, Copy)]
struct Flow<'a> {
    ipv6: bool,
    /// Source and destination address.
    addresses: &'a [u8],
    protocol: u8,
    /// Source and destination port, unless the frame is a fragment.
    ports: Option<[u8; 4]>,
}

const TCP: u8 = 6;
const UDP: u8 = 17;

impl<'a> Flow<'a> {
    fn of(frame: &'a [u8]) -> Option<Self> {
        let mut rest = frame.get(12..)?;
        // A frame may carry two tags; more are nobody's.
        for _ in 0..2 {
            match rest.first_chunk()? {
                [0x81, 0x00] | [0x88, 0xa8] => rest = rest.get(4..)?,
                _ => break,
            }
        }
        let (ether_type, packet) = rest.split_first_chunk()?;
        match ether_type {
            [0x08, 0x00] => Self::ipv4(packet),
            [0x86, 0xdd] => Self::ipv6(packet),
            _ => None,
        }
    }

    fn ipv4(packet: &'a [u8]) -> Option<Self> {
        let header: &[u8; 20] = packet.first_chunk()?;
        let words = usize::from(header[0] & 0xf);
        if header[0] >> 4 != 4 || words < 5 {
            return None;
        }
        let fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
        let transport = packet.get(words.checked_mul(4)?..);
        let ports = transport
            .filter(|_| !fragment)
            .and_then(|transport| transport.first_chunk().copied());
        Some(Self {
            ipv6: false,
            addresses: packet.get(12..20)?,
            protocol: header[9],
            ports,
        })
    }

    fn ipv6(packet: &'a [u8]) -> Option<Self> {
        let (header, mut rest) = packet.split_first_chunk::<40>()?;
        if header[0] >> 4 != 6 {
            return None;
        }
        let mut protocol = header[6];
        let mut fragment = false;
        // A host that looked behind any number of extension headers could be kept busy with one frame.
        for _ in 0..8 {
            let len = match protocol {
                0 | 43 | 60 => rest
                    .get(1)
                    .map(|len| usize::from(*len).saturating_add(1).saturating_mul(8)),
                44 => {
                    fragment = true;
                    Some(8)
                }
                _ => break,
            };
            let next = rest.first().copied().zip(len.and_then(|len| rest.get(len..)));
            let Some((next, after)) = next else { break };
            protocol = next;
            rest = after;
        }
        let ports = if fragment {
            None
        } else {
            rest.first_chunk().copied()
        };
        Some(Self {
            ipv6: true,
            addresses: packet.get(8..40)?,
            protocol,
            ports,
        })
    }

    /// The bytes to hash, by what the guest wants: with ports where it wants them, else addresses alone.
    fn input(&self, info: HashInfo) -> Option<([u8; 36], usize)> {
        let any = |kinds: HashInfo| info.intersects(kinds);
        let (addresses, tcp, udp) = if self.ipv6 {
            (
                any(HashInfo::IPV6 | HashInfo::IPV6_EX),
                any(HashInfo::TCP_IPV6 | HashInfo::TCP_IPV6_EX),
                any(HashInfo::UDP_IPV6 | HashInfo::UDP_IPV6_EX),
            )
        } else {
            (
                any(HashInfo::IPV4),
                any(HashInfo::TCP_IPV4),
                any(HashInfo::UDP_IPV4),
            )
        };
        let with_ports = self.protocol == TCP && tcp || self.protocol == UDP && udp;
        let ports = self.ports.filter(|_| with_ports);
        if ports.is_none() && !addresses {
            return None;
        }
        let mut input = [0; 36];
        let parts = self.addresses.iter().copied().chain(ports.into_iter().flatten());
        let mut len = 0_usize;
        for (target, byte) in input.iter_mut().zip(parts) {
            *target = byte;
            len = len.saturating_add(1);
        }
        Some((input, len))
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may panic")]
mod tests {
    use std::vec::Vec;

    use super::*;

    const KEY: [u8; 40] = [
        0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
        0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
        0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
    ];

    fn spreader(hash_info: HashInfo) -> Spreader {
        let mut table = [0; 128];
        for (index, entry) in table.iter_mut().enumerate() {
            *entry = u16::try_from(index % 4).unwrap();
        }
        let rss = Some(Rss {
            hash_info: hash_info | HashInfo::TOEPLITZ,
            key: KEY,
            table,
        });
        Spreader::new(&DataPath {
            rss,
            open_queues: 4,
            ..DataPath::default()
        })
    }

    /// 66.9.149.187:2794 to 161.142.100.80:1766, of the published vectors.
    fn ipv4(protocol: u8, fragment: u16) -> Vec<u8> {
        let mut frame = std::vec![0; 12];
        frame.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 0]);
        frame.extend(fragment.to_be_bytes());
        frame.extend([64, protocol, 0, 0, 66, 9, 149, 187, 161, 142, 100, 80]);
        frame.extend(2794_u16.to_be_bytes());
        frame.extend(1766_u16.to_be_bytes());
        frame
    }

    #[test]
    fn hash_follows_what_the_guest_wants() {
        let all = spreader(HashInfo::IPV4 | HashInfo::TCP_IPV4 | HashInfo::UDP_IPV4);
        assert_eq!(all.hash(&ipv4(TCP, 0)), Some(0x51cc_c178));
        assert_eq!(all.hash(&ipv4(UDP, 0)), Some(0x51cc_c178));
        assert_eq!(all.hash(&ipv4(1, 0)), Some(0x323e_8fc2));
        // A fragment has no ports, the first one of a frame no less.
        assert_eq!(all.hash(&ipv4(TCP, 0x2000)), Some(0x323e_8fc2));
        assert_eq!(all.hash(&ipv4(TCP, 1)), Some(0x323e_8fc2));
        let linux = spreader(HashInfo::IPV4 | HashInfo::TCP_IPV4);
        assert_eq!(linux.hash(&ipv4(UDP, 0)), Some(0x323e_8fc2));
        assert_eq!(spreader(HashInfo::TCP_IPV4).hash(&ipv4(UDP, 0)), None);
        assert_eq!(spreader(HashInfo::IPV6).hash(&ipv4(TCP, 0)), None);
        assert_eq!(linux.queue_for(&ipv4(TCP, 0)), 0x78 % 4);
    }

    #[test]
    fn tags_are_looked_behind() {
        let mut frame = ipv4(TCP, 0);
        frame.splice(12..12, [0x81, 0, 0, 7]);
        assert_eq!(spreader(HashInfo::TCP_IPV4).hash(&frame), Some(0x51cc_c178));
        frame.splice(12..12, [0x88, 0xa8, 0, 9]);
        assert_eq!(spreader(HashInfo::TCP_IPV4).hash(&frame), Some(0x51cc_c178));
    }

    #[test]
    fn extension_headers_are_looked_behind() {
        let v6 = |text: &str| text.parse::<core::net::Ipv6Addr>().unwrap().octets();
        let frame = |extensions: &[u8], first: u8| {
            let mut frame = std::vec![0; 12];
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 40, first, 64]);
            frame.extend(v6("3ffe:2501:200:1fff::7"));
            frame.extend(v6("3ffe:2501:200:3::1"));
            frame.extend(extensions);
            frame.extend(2794_u16.to_be_bytes());
            frame.extend(1766_u16.to_be_bytes());
            frame
        };
        let spreader = spreader(HashInfo::IPV6 | HashInfo::TCP_IPV6);
        assert_eq!(spreader.hash(&frame(&[], TCP)), Some(0x4020_7d3d));
        let hop_by_hop = [60, 0, 0, 0, 0, 0, 0, 0, TCP, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(spreader.hash(&frame(&hop_by_hop, 0)), Some(0x4020_7d3d));
        let fragment = [TCP, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(spreader.hash(&frame(&fragment, 44)), Some(0x2cc1_8cd5));
        // A chain without end, and one that leads out of the frame.
        let chain = [60_u8, 0, 0, 0, 0, 0, 0, 0].repeat(40);
        assert_eq!(spreader.hash(&frame(&chain, 0)), Some(0x2cc1_8cd5));
        assert_eq!(spreader.hash(&frame(&[60, 255], 0)), Some(0x2cc1_8cd5));
    }

    #[test]
    fn entries_that_are_not_open_are_replaced() {
        let mut table = [9; 128];
        table[1] = 1;
        let rss = Some(Rss {
            hash_info: HashInfo::TOEPLITZ,
            key: KEY,
            table,
        });
        let spreader = Spreader::new(&DataPath {
            rss,
            open_queues: 2,
            ..DataPath::default()
        });
        assert_eq!(spreader.queue_of(1), 1);
        assert_eq!(spreader.queue_of(0), 9 % 2);
        assert!((0..=u8::MAX).all(|hash| spreader.queue_of(hash.into()) < 2));
    }

    proptest::proptest! {
        #[test]
        fn raw_frames_never_panic(frame in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..120)) {
            let spreader = spreader(HashInfo::all());
            assert!(spreader.queue_for(&frame) < 4);
            let mut ip = std::vec![0; 12];
            ip.extend([0x86, 0xdd, 0x60]);
            ip.extend(&frame);
            assert!(spreader.queue_for(&ip) < 4);
        }
    }
}
