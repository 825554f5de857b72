//! A network driver: a NIC's primary channel, the buffers that it shares, and the TCP/IP stack on top of it.

use gateway::services::{MAX_ANSWER, Pattern, Request};
use netvsc_proto::guest::smoltcp::Device;
use netvsc_proto::guest::{Buffer, Event, Nic, NicConfig, Pages, Properties, Queue, QueueMemory, Teardown};
use netvsc_proto::wire::rndis::PacketFilter;
use smoltcp::iface::{Config, Interface, PollResult, SocketHandle, SocketSet, SocketStorage};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{dhcpv4, icmp, tcp};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr, Ipv4Address, Ipv4Cidr,
};
use vmbus_proto::guest::{ChannelId, ChannelOffer};
use vmbus_proto::ringbuf::mem::{ContiguousRing, PageList, PagePtr};
use vmbus_proto::wire::{GpadlId, Version};

use crate::memory::{Block, PAGE_SIZE};
use crate::report::Text;
use crate::session::{Session, Step};
use crate::{println, text};

/// Frames that may be under way.
const DEPTH: usize = 64;
/// Pages that the host puts frames into, and those that it takes them from.
const RECEIVE_PAGES: usize = 512;
const SEND_PAGES: usize = 256;
/// Pages of the memory in which a frame is put together.
const FRAME_PAGES: usize = 1;
/// Pages of a TCP connection's buffer, each way: a window of 64 KiB.
const TCP_PAGES: usize = 16;
const PING_PAGES: usize = 1;
/// What names this guest's pings.
const PING_IDENT: u16 = 0x6775;

type Region<'m> = PageList<&'m [PagePtr]>;
type Engine<'m> = Nic<'m, Region<'m>>;
type OnEvent<'m> = fn(&mut Engine<'m>, &Event<'_>);
type PrimaryQueue<'m> = Queue<'m, ContiguousRing, Region<'m>, DEPTH>;

/// Where the sockets are; it outlives them.
#[derive(Debug)]
pub struct Storage<'m> {
    sockets: [SocketStorage<'m>; 3],
    pings: [[icmp::PacketMetadata; 1]; 2],
}

impl Storage<'_> {
    /// Room for the sockets.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            sockets: [SocketStorage::EMPTY; 3],
            pings: [[icmp::PacketMetadata::EMPTY]; 2],
        }
    }
}

impl Default for Storage<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The stack's sockets, one of each kind. They outlive a NIC.
#[derive(Debug)]
pub struct Sockets<'m> {
    set: SocketSet<'m>,
    dhcp: SocketHandle,
    ping: SocketHandle,
    tcp: SocketHandle,
    next_port: u16,
}

impl<'m> Sockets<'m> {
    /// The sockets, closed.
    ///
    /// # Errors
    /// There is no memory for their buffers.
    pub fn new(storage: &'m mut Storage<'m>, session: &Session<'m>) -> Result<Self, Text> {
        let buffer = |pages| session.pages(pages).map(Block::into_private);
        let tcp = tcp::Socket::new(
            tcp::SocketBuffer::new(buffer(TCP_PAGES)?),
            tcp::SocketBuffer::new(buffer(TCP_PAGES)?),
        );
        let [received, sent] = &mut storage.pings;
        let ping = icmp::Socket::new(
            icmp::PacketBuffer::new(&mut received[..], buffer(PING_PAGES)?),
            icmp::PacketBuffer::new(&mut sent[..], buffer(PING_PAGES)?),
        );
        let mut set = SocketSet::new(&mut storage.sockets[..]);
        Ok(Self {
            dhcp: set.add(dhcpv4::Socket::new()),
            ping: set.add(ping),
            tcp: set.add(tcp),
            set,
            next_port: 49152,
        })
    }
}

/// A NIC that is up, and the stack's interface on it.
pub struct Card<'m> {
    channel: ChannelId,
    gpadls: [GpadlId; 2],
    properties: Properties,
    device: Device<'m, 'm, ContiguousRing, Region<'m>, OnEvent<'m>, DEPTH>,
    interface: Interface,
    gateway: Option<Ipv4Address>,
    /// The memory of the engine's requests, which goes when the engine has gone.
    _requests: Block<'m>,
}

impl core::fmt::Debug for Card<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Card").finish_non_exhaustive()
    }
}

impl<'m> Card<'m> {
    /// Opens a NIC's channel, lends it its buffers, and brings it up.
    ///
    /// # Errors
    /// The host refuses something.
    pub fn open(session: &mut Session<'m>, offer: &ChannelOffer) -> Result<Self, Text> {
        let channel = offer.channel;
        let opened = session.open(channel)?;
        let (receive, receive_region) = lend(session, channel, RECEIVE_PAGES)?;
        let (send, send_region) = lend(session, channel, SEND_PAGES)?;
        let requests = session.pages(1)?;
        // SAFETY: the block stays with the card, which drops it last, and this region is the only view of it; the host has ways of its
        // own, and has let go of it when the channel is closed.
        let region = unsafe { requests.region() }.ok_or(text!("requests in no pages"))?;
        let engine = Nic::new(
            NicConfig::new(receive, send),
            Pages::new(region, 0, requests.pfns())?,
        )?;
        let memory = QueueMemory {
            receive: receive_region,
            send: send_region,
            heads: None,
        };
        let mut device = Device::new(
            engine,
            Queue::primary(opened.rings, memory),
            session.pages(FRAME_PAGES)?.into_private(),
            session.pages(FRAME_PAGES)?.into_private(),
            on_event as OnEvent<'m>,
        );
        let properties = session.wait("the NIC to come up", |session| {
            device.poll()?;
            session.signal(channel, device.take_signal())?;
            let listens = device.nic().packet_filter() == FILTER;
            Ok(device.nic().properties().copied().filter(|_| listens))
        })?;
        let address = HardwareAddress::Ethernet(EthernetAddress(properties.mac.0));
        let interface = Interface::new(Config::new(address), &mut device, now(session));
        Ok(Self {
            channel,
            gpadls: [receive.gpadl, send.gpadl],
            properties,
            device,
            interface,
            gateway: None,
            _requests: requests,
        })
    }

    /// What the NIC told of itself.
    #[must_use]
    pub const fn properties(&self) -> &Properties {
        &self.properties
    }

    /// Bytes of memory that the NIC takes, without its rings: the engine and its queue, and the buffers.
    #[must_use]
    pub const fn static_bytes() -> (usize, usize) {
        let engine = size_of::<Engine<'_>>() + size_of::<PrimaryQueue<'_>>();
        (
            engine,
            (RECEIVE_PAGES + SEND_PAGES + 1 + 2 * FRAME_PAGES) * PAGE_SIZE,
        )
    }

    /// Runs the stack until `step` is done.
    fn run<T>(
        &mut self,
        session: &mut Session<'m>,
        sockets: &mut Sockets<'m>,
        what: &str,
        mut step: impl FnMut(&mut Self, &mut Sockets<'m>, Instant) -> Result<Step<T>, Text>,
    ) -> Result<T, Text> {
        session.run(what, |session| {
            let now = now(session);
            let changed = self.interface.poll(now, &mut self.device, &mut sockets.set);
            // This also tells of a fault, which the stack takes for silence.
            let more = self.device.poll()?;
            session.signal(self.channel, self.device.take_signal())?;
            let step = step(self, sockets, now)?;
            Ok(match step {
                Step::Wait if more || changed == PollResult::SocketStateChanged => Step::Again,
                step => step,
            })
        })
    }

    /// Asks for an address, and uses it.
    ///
    /// # Errors
    /// Nobody gives one.
    pub fn configure(
        &mut self,
        session: &mut Session<'m>,
        sockets: &mut Sockets<'m>,
    ) -> Result<Ipv4Cidr, Text> {
        sockets.set.get_mut::<dhcpv4::Socket<'_>>(sockets.dhcp).reset();
        self.run(session, sockets, "an address", |card, sockets, _| {
            let socket = sockets.set.get_mut::<dhcpv4::Socket<'_>>(sockets.dhcp);
            let Some(dhcpv4::Event::Configured(config)) = socket.poll() else {
                return Ok(Step::Wait);
            };
            card.gateway = config.router;
            card.interface.update_ip_addrs(|addresses| {
                addresses.clear();
                // There is room for one.
                let _full = addresses.push(IpCidr::Ipv4(config.address));
            });
            Ok(Step::Done(config.address))
        })
    }

    /// The gateway.
    ///
    /// # Errors
    /// None was told.
    pub fn gateway(&self) -> Result<Ipv4Address, Text> {
        self.gateway.ok_or(text!("there is no gateway"))
    }

    /// Pings the gateway so often, one after the other.
    ///
    /// # Errors
    /// It does not answer.
    pub fn ping(
        &mut self,
        session: &mut Session<'m>,
        sockets: &mut Sockets<'m>,
        count: u16,
    ) -> Result<(), Text> {
        let gateway = self.gateway()?;
        let socket = sockets.set.get_mut::<icmp::Socket<'_>>(sockets.ping);
        if !socket.is_open() {
            socket
                .bind(icmp::Endpoint::Ident(PING_IDENT))
                .map_err(|error| text!("ping: {error}"))?;
        }
        let checksums = ChecksumCapabilities::default();
        let (mut sent, mut answered) = (0, 0);
        self.run(session, sockets, "an answer to a ping", |_, sockets, _| {
            let socket = sockets.set.get_mut::<icmp::Socket<'_>>(sockets.ping);
            while let Ok((bytes, from)) = socket.recv() {
                let packet = Icmpv4Packet::new_checked(bytes).map_err(|_| text!("an ill-formed answer"))?;
                let answer =
                    Icmpv4Repr::parse(&packet, &checksums).map_err(|_| text!("an ill-formed answer"))?;
                let expected = Icmpv4Repr::EchoReply {
                    ident: PING_IDENT,
                    seq_no: answered,
                    data: PING_DATA,
                };
                if answer != expected || from != IpAddress::Ipv4(gateway) {
                    return Err(text!("{from} answered {answer:?}"));
                }
                answered += 1;
            }
            if answered == count {
                return Ok(Step::Done(()));
            }
            if sent == answered {
                let ping = Icmpv4Repr::EchoRequest {
                    ident: PING_IDENT,
                    seq_no: sent,
                    data: PING_DATA,
                };
                let bytes = socket
                    .send(ping.buffer_len(), IpAddress::Ipv4(gateway))
                    .map_err(|error| text!("ping: {error}"))?;
                ping.emit(&mut Icmpv4Packet::new_unchecked(bytes), &checksums);
                sent += 1;
                return Ok(Step::Again);
            }
            Ok(Step::Wait)
        })
    }

    /// Connects to a service of the gateway's, sends what `send` gives until that is nothing more, and hands everything that comes to
    /// `receive` until the other end is done.
    ///
    /// # Errors
    /// The connection fails, or `receive` does.
    pub fn exchange(
        &mut self,
        session: &mut Session<'m>,
        sockets: &mut Sockets<'m>,
        service: u16,
        mut send: impl FnMut(&mut [u8]) -> usize,
        mut receive: impl FnMut(&[u8]) -> Result<(), Text>,
    ) -> Result<(), Text> {
        let gateway = self.gateway()?;
        let port = sockets.next_port;
        sockets.next_port = port.checked_add(1).unwrap_or(49152);
        let socket = sockets.set.get_mut::<tcp::Socket<'_>>(sockets.tcp);
        socket.abort();
        socket
            .connect(self.interface.context(), (gateway, service), port)
            .map_err(|error| text!("connect: {error}"))?;
        let mut all_sent = false;
        self.run(session, sockets, "the gateway's service", |_, sockets, _| {
            let socket = sockets.set.get_mut::<tcp::Socket<'_>>(sockets.tcp);
            let mut again = false;
            while !all_sent && socket.can_send() {
                let sent = socket.send(|room| {
                    let len = send(room);
                    (len, len)
                });
                again = true;
                if sent.map_err(|error| text!("send: {error}"))? == 0 {
                    socket.close();
                    all_sent = true;
                }
            }
            while socket.can_recv() {
                let received = socket.recv(|bytes| (bytes.len(), receive(bytes)));
                received.map_err(|error| text!("receive: {error}"))??;
                again = true;
            }
            if all_sent && !socket.may_recv() {
                return Ok(Step::Done(()));
            }
            if !socket.is_open() {
                return Err(text!("the gateway reset the connection"));
            }
            Ok(if again { Step::Again } else { Step::Wait })
        })
    }

    /// What the gateway's hash service says of a pattern, or its sink of what `send` gives: one line.
    ///
    /// # Errors
    /// The connection fails.
    pub fn ask(
        &mut self,
        session: &mut Session<'m>,
        sockets: &mut Sockets<'m>,
        service: u16,
        send: impl FnMut(&mut [u8]) -> usize,
    ) -> Result<heapless::Vec<u8, MAX_ANSWER>, Text> {
        let mut answer = heapless::Vec::new();
        self.exchange(session, sockets, service, send, |bytes| {
            answer
                .extend_from_slice(bytes)
                .map_err(|_| text!("the gateway's answer is too long"))
        })?;
        Ok(answer)
    }

    /// Shuts the NIC down in an orderly way and closes its channel: the host lets go of everything.
    ///
    /// # Errors
    /// The host does not follow.
    pub fn shut_down(self, session: &mut Session<'m>, version: Version) -> Result<(), Text> {
        let (mut nic, mut queue) = self.device.into_parts();
        let mut buffer = [0; PAGE_SIZE];
        nic.shut_down();
        session.wait("the NIC to go down", |session| {
            loop {
                let polled = nic.poll(&mut queue, &mut buffer)?;
                session.signal(self.channel, polled.signal)?;
                match polled.event {
                    Some(Event::ShutDown) => return Ok(Some(())),
                    _ if !polled.again => return Ok(None),
                    _ => {}
                }
            }
        })?;
        drop((nic, queue));
        if Teardown::order(version) == Teardown::BeforeClose {
            self.gpadls
                .into_iter()
                .try_for_each(|gpadl| session.take_back(gpadl))?;
            return session.close(self.channel);
        }
        session.close(self.channel)?;
        self.gpadls
            .into_iter()
            .try_for_each(|gpadl| session.take_back(gpadl))
    }
}

/// A closure for [`Card::exchange`] that sends a pattern.
pub fn pattern(seed: u64, len: u64) -> impl FnMut(&mut [u8]) -> usize {
    let mut pattern = Pattern::new(seed);
    move |room| {
        let left = usize::try_from(len - pattern.position()).unwrap_or(usize::MAX);
        let len = room.len().min(left);
        let (bytes, _) = room.split_at_mut(len);
        pattern.fill(bytes);
        len
    }
}

/// A closure for [`Card::exchange`] that sends a request line.
pub fn request(request: Request) -> impl FnMut(&mut [u8]) -> usize {
    let line = text!("{request}");
    let mut rest = heapless::Vec::<u8, 64>::new();
    // A request is shorter than that.
    let _full = rest
        .extend_from_slice(line.as_bytes())
        .and_then(|()| rest.extend_from_slice(b"\n"));
    move |room| {
        let len = room.len().min(rest.len());
        let (to, _) = room.split_at_mut(len);
        to.iter_mut().zip(&rest).for_each(|(to, from)| *to = *from);
        rest = rest.iter().skip(len).copied().collect();
        len
    }
}

const PING_DATA: &[u8] = b"is anybody there, in the host?";
const FILTER: PacketFilter = PacketFilter::DIRECTED.union(PacketFilter::BROADCAST);

fn on_event(nic: &mut Engine<'_>, event: &Event<'_>) {
    match event {
        Event::Ready(_) => {
            if let Err(error) = nic.set_packet_filter(FILTER) {
                println!("nic: {}", error);
            }
        }
        Event::Transmitted { .. } | Event::Answered { .. } => {}
        other => println!("nic: {:?}", other),
    }
}

fn now(session: &Session<'_>) -> Instant {
    Instant::from_micros(i64::try_from(session.now().as_micros()).unwrap_or(i64::MAX))
}

/// Shares pages with a NIC.
fn lend<'m>(
    session: &mut Session<'m>,
    channel: ChannelId,
    pages: usize,
) -> Result<(Buffer, Region<'m>), Text> {
    let block = session.pages(pages)?;
    // SAFETY: the block is the bus's until the host has given it back, which is after the NIC's engine and queue are gone: `shut_down`
    // drops them before it asks for that, and whoever unloads drops the card before. The host has ways of its own.
    let region = unsafe { block.region() }.ok_or(text!("a buffer of no pages"))?;
    let len = u32::try_from(block.len())?;
    let gpadl = session.lend(channel, block)?;
    Ok((Buffer { gpadl, len }, region))
}
