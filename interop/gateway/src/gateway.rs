//! The gateway as a value: frames and time in, frames and a deadline out.

use smoltcp::iface::{Interface, PollIngressSingleResult, PollResult};
use smoltcp::phy::{Checksum, ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{
    ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpCidr, IpProtocol, Ipv4Address,
    Ipv4Cidr, Ipv4Packet, TcpPacket,
};
use thiserror::Error;

use crate::config::{Checksums, Config, ConfigError, ETHERNET_HEADER, Subnet};
use crate::dhcp::{DhcpStatistics, Server, Verdict};
use crate::frames::{Batch, Limit};
use crate::tcp::{Services, TcpStatistics};

/// Frames that may wait for the guest before the stack stops producing more.
const OUTGOING_FRAMES: usize = 256;
/// Further frames for what is answered at once (ARP, ping, a reset); beyond these such an answer is dropped.
const OUTGOING_REPLIES: usize = 256;

/// The gateway: ARP, DHCP, ping and the [TCP services](crate::services) on one virtual wire.
///
/// It has no thread, no clock and no I/O. The embedder hands in frames with [`handle_frame`](Self::handle_frame), calls
/// [`poll`](Self::poll) after that and at the time that the last `poll` named, and takes frames for the guest with
/// [`pop_frame`](Self::pop_frame) or from [`outgoing`](Self::outgoing). [`Runner`](crate::Runner) does so on a thread.
///
/// ```
/// use gateway::{Config, Gateway, Instant};
///
/// let mut gateway = Gateway::new(&Config::default())?;
/// // Who has 10.0.2.2? Tell 10.0.2.15.
/// let mut request = vec![0xff; 6];
/// request.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
/// request.extend([2, 0, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]);
/// gateway.handle_frame(Instant::ZERO, &request)?;
/// let deadline = gateway.poll(Instant::ZERO);
/// assert_eq!(deadline, None, "nothing is under way that would need time");
///
/// let mut frame = [0; 1514];
/// let len = gateway.pop_frame(&mut frame).ok_or("no answer")?;
/// assert_eq!(frame[..6], [2, 0, 0, 0, 0, 1]);
/// assert_eq!(frame[len - 20..len - 10], [2, 0, 10, 0, 2, 2, 10, 0, 2, 2]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Gateway {
    interface: Interface,
    services: Services,
    dhcp: Option<Server>,
    outgoing: Batch,
    capabilities: DeviceCapabilities,
    mac: EthernetAddress,
    subnet: Subnet,
    max_frame: usize,
    ignored: u64,
    unanswered: u64,
}

/// What the gateway has seen and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GatewayStatistics {
    /// Frames that concern nobody here: other protocols, other addresses, impossible senders.
    pub ignored: u64,
    /// Immediate answers that were dropped because too many frames waited for the guest.
    pub unanswered: u64,
    /// The DHCP server's part; zeros without one.
    pub dhcp: DhcpStatistics,
    /// The TCP services' part.
    pub tcp: TcpStatistics,
}

/// Why a frame was not taken: its sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// It is shorter than an Ethernet header.
    #[error("a frame of {len} bytes, less than an Ethernet header's 14")]
    TooShort {
        /// Its bytes.
        len: usize,
    },
    /// It is longer than the link carries.
    #[error("a frame of {len} bytes, more than this link's {max}")]
    TooLong {
        /// Its bytes.
        len: usize,
        /// The longest that is taken.
        max: usize,
    },
}

impl Gateway {
    /// A gateway with empty tables.
    ///
    /// # Errors
    ///
    /// The first thing in `config` that makes no gateway.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let capabilities = capabilities(config);
        let mac = EthernetAddress(config.mac);
        let max_waiting = (config.mtu + ETHERNET_HEADER) * (OUTGOING_FRAMES + OUTGOING_REPLIES);
        let mut outgoing = Batch::new(Limit {
            frames: OUTGOING_FRAMES + OUTGOING_REPLIES,
            bytes: max_waiting,
        });

        let mut setup = smoltcp::iface::Config::new(mac.into());
        setup.random_seed = config.seed;
        let mut port = Port {
            incoming: None,
            outgoing: &mut outgoing,
            unanswered: &mut 0,
            capabilities: &capabilities,
        };
        let mut interface = Interface::new(setup, &mut port, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            // There is room: it is the first address.
            let _ = addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(config.address, config.prefix_len)));
        });
        Ok(Self {
            interface,
            services: Services::new(config),
            dhcp: config.dhcp.as_ref().map(|dhcp| Server::new(config, dhcp)),
            outgoing,
            capabilities,
            mac,
            subnet: config.subnet(),
            max_frame: config.max_frame(),
            ignored: 0,
            unanswered: 0,
        })
    }

    /// Takes one frame from the guest, without the frame check sequence. What it leads to shows in the next
    /// [`poll`](Self::poll), which several frames may share.
    ///
    /// # Errors
    ///
    /// The frame has an impossible length. A frame of possible length with impossible contents is ignored and counted, as
    /// on any network.
    pub fn handle_frame(&mut self, now: Instant, frame: &[u8]) -> Result<(), FrameError> {
        let len = frame.len();
        if len < ETHERNET_HEADER {
            return Err(FrameError::TooShort { len });
        }
        if len > self.max_frame {
            return Err(FrameError::TooLong {
                len,
                max: self.max_frame,
            });
        }
        if let Some(dhcp) = &mut self.dhcp {
            match dhcp.handle(frame, now) {
                Verdict::NotDhcp => {}
                Verdict::Done => return Ok(()),
                Verdict::Answer(answer) => {
                    if !self.outgoing.push(&answer) {
                        self.unanswered += 1;
                    }
                    return Ok(());
                }
            }
        }
        if !self.concerns_us(frame) {
            self.ignored += 1;
            return Ok(());
        }
        if is_syn(frame) {
            // A slot whose connection ended with a frame just before this one listens again only after a poll.
            self.poll(now);
        }
        let mut port = Port {
            incoming: Some(frame),
            outgoing: &mut self.outgoing,
            unanswered: &mut self.unanswered,
            capabilities: &self.capabilities,
        };
        let _: PollIngressSingleResult =
            self.interface
                .poll_ingress_single(now, &mut port, self.services.sockets());
        Ok(())
    }

    /// Serves the connections and produces frames for the guest, as many as may wait. Returns when to call again if
    /// neither a frame comes nor one is taken before: `None` means never, a time not after `now` means as soon as
    /// the frames that wait have been taken.
    pub fn poll(&mut self, now: Instant) -> Option<Instant> {
        self.interface.poll_maintenance(now);
        loop {
            let round = self.services.run(now);
            let mut sent = false;
            while self.has_room() && self.poll_egress(now) == PollResult::SocketStateChanged {
                sent = true;
            }
            if !self.has_room() {
                return Some(now);
            }
            self.services.recycle(now);
            if round.progress || sent {
                continue;
            }
            if round.more {
                return Some(now);
            }
            let stack = self.interface.poll_at(now, self.services.sockets());
            // All that could be done now is done, whatever the stack says: it is not to be called in a tight loop.
            let stack = stack.map(|at| at.max(now + Duration::from_millis(1)));
            return stack.into_iter().chain(round.deadline).min();
        }
    }

    /// Copies the oldest frame for the guest into `buffer` and returns its length; `None` when there is none.
    ///
    /// A frame that is longer than `buffer` is cut. No frame is longer than the MTU and 14.
    pub fn pop_frame(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let frame = self.outgoing.front()?;
        let len = frame.len().min(buffer.len());
        buffer.iter_mut().zip(frame).for_each(|(to, from)| *to = *from);
        self.outgoing.pop();
        Some(len)
    }

    /// The frames that wait for the guest, to be read in place and popped.
    pub fn outgoing(&mut self) -> &mut Batch {
        &mut self.outgoing
    }

    /// What happened so far.
    #[must_use]
    pub fn statistics(&self) -> GatewayStatistics {
        GatewayStatistics {
            ignored: self.ignored,
            unanswered: self.unanswered,
            dhcp: self.dhcp.as_ref().map(Server::statistics).unwrap_or_default(),
            tcp: self.services.statistics(),
        }
    }

    fn has_room(&self) -> bool {
        self.outgoing.len() < OUTGOING_FRAMES
    }

    fn poll_egress(&mut self, now: Instant) -> PollResult {
        let mut port = Port {
            incoming: None,
            outgoing: &mut self.outgoing,
            unanswered: &mut self.unanswered,
            capabilities: &self.capabilities,
        };
        self.interface
            .poll_egress(now, &mut port, self.services.sockets())
    }

    /// Whether the stack is to see a frame. It keeps out senders that no station of this subnet can be: what the stack
    /// would answer them has nowhere to go.
    fn concerns_us(&self, frame: &[u8]) -> bool {
        let Ok(ethernet) = EthernetFrame::new_checked(frame) else {
            return false;
        };
        let to = ethernet.dst_addr();
        if !ethernet.src_addr().is_unicast() || !(to == self.mac || to.is_broadcast()) {
            return false;
        }
        match ethernet.ethertype() {
            EthernetProtocol::Arp => {
                let Ok(packet) = ArpPacket::new_checked(ethernet.payload()) else {
                    return false;
                };
                matches!(ArpRepr::parse(&packet), Ok(ArpRepr::EthernetIpv4 { source_protocol_addr, .. })
                    if self.is_station(source_protocol_addr))
            }
            EthernetProtocol::Ipv4 => match Ipv4Packet::new_checked(ethernet.payload()) {
                Ok(packet) => self.is_station(packet.src_addr()),
                Err(_) => false,
            },
            _ => false,
        }
    }

    fn is_station(&self, address: Ipv4Address) -> bool {
        self.subnet.is_host(address) && address != self.subnet.address
    }
}

/// Whether a frame asks for a TCP connection.
fn is_syn(frame: &[u8]) -> bool {
    let ip = EthernetFrame::new_checked(frame)
        .ok()
        .and_then(|ethernet| Ipv4Packet::new_checked(ethernet.payload()).ok());
    let Some(ip) = ip.filter(|ip| ip.next_header() == IpProtocol::Tcp) else {
        return false;
    };
    TcpPacket::new_checked(ip.payload()).is_ok_and(|tcp| tcp.syn() && !tcp.ack())
}

fn capabilities(config: &Config) -> DeviceCapabilities {
    let mut checksum = ChecksumCapabilities::default();
    if config.checksums == Checksums::Offloaded {
        checksum.tcp = Checksum::None;
        checksum.udp = Checksum::None;
        // A guest whose NIC segments for it leaves this one open as well.
        checksum.ipv4 = Checksum::Tx;
    }
    let mut capabilities = DeviceCapabilities::default();
    capabilities.medium = Medium::Ethernet;
    capabilities.max_transmission_unit = config.mtu + ETHERNET_HEADER;
    capabilities.checksum = checksum;
    capabilities
}

/// The stack's view of the link during one call: at most one frame in, and the queue of frames out.
struct Port<'a> {
    incoming: Option<&'a [u8]>,
    outgoing: &'a mut Batch,
    unanswered: &'a mut u64,
    capabilities: &'a DeviceCapabilities,
}

struct Incoming<'a>(&'a [u8]);

struct Outgoing<'a> {
    outgoing: &'a mut Batch,
    unanswered: &'a mut u64,
}

impl Device for Port<'_> {
    type RxToken<'a>
        = Incoming<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Outgoing<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let frame = self.incoming.take()?;
        Some((
            Incoming(frame),
            Outgoing {
                outgoing: self.outgoing,
                unanswered: self.unanswered,
            },
        ))
    }

    fn transmit(&mut self, _: Instant) -> Option<Self::TxToken<'_>> {
        (self.outgoing.len() < OUTGOING_FRAMES).then_some(Outgoing {
            outgoing: self.outgoing,
            unanswered: self.unanswered,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.capabilities.clone()
    }
}

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        if self.outgoing.fits(len) {
            self.outgoing.push_with(len, f)
        } else {
            *self.unanswered += 1;
            f(&mut vec![0; len])
        }
    }
}
