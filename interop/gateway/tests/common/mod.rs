//! A client made with smoltcp, joined to a gateway by a simulated wire in simulated time.
#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests, of which each test program uses some"
)]

use std::collections::VecDeque;
use std::net::Ipv4Addr;

use gateway::services::word;
use gateway::{Config, Gateway, Instant};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Duration;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};

pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub const CLIENT_MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

/// Simulated time after which a test has failed.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A repeatable source of chance.
pub struct Chance {
    seed: u64,
    drawn: u64,
}

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.drawn += 1;
        word(self.seed, self.drawn) % limit
    }
}

/// How the wire treats frames.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    pub latency: Duration,
    /// Of a thousand frames, how many are lost.
    pub lost: u64,
    /// Of a thousand frames, how many come twice.
    pub doubled: u64,
    /// Of a thousand frames, how many come late, after others.
    pub late: u64,
    /// Of a thousand frames, how many come with a wrong bit.
    pub bent: u64,
}

impl Wire {
    pub const PERFECT: Self = Self {
        latency: Duration::from_micros(50),
        lost: 0,
        doubled: 0,
        late: 0,
        bent: 0,
    };
}

type Flight = VecDeque<(Instant, Vec<u8>)>;

pub struct Port {
    pub incoming: VecDeque<Vec<u8>>,
    pub outgoing: VecDeque<Vec<u8>>,
    mtu: usize,
    checksums: bool,
}

pub struct Client {
    pub interface: Interface,
    pub sockets: SocketSet<'static>,
    pub port: Port,
    next_port: u16,
}

pub struct World {
    pub now: Instant,
    pub gateway: Gateway,
    pub client: Client,
    pub wire: Wire,
    chance: Chance,
    to_gateway: Flight,
    to_client: Flight,
}

impl World {
    /// A client with an address of its own, and a gateway.
    pub fn new(config: &Config, wire: Wire, seed: u64) -> Self {
        let mut world = Self::without_address(config, wire, seed);
        world.client.set_address(CLIENT);
        world
    }

    pub fn without_address(config: &Config, wire: Wire, seed: u64) -> Self {
        let config = Config {
            seed,
            ..config.clone()
        };
        Self {
            now: Instant::ZERO,
            gateway: Gateway::new(&config).unwrap(),
            client: Client::new(&config),
            wire,
            chance: Chance::new(seed),
            to_gateway: Flight::new(),
            to_client: Flight::new(),
        }
    }

    /// Lets the world go on until `done` gives a value.
    pub fn run_until<T>(&mut self, what: &str, mut done: impl FnMut(&mut Client) -> Option<T>) -> T {
        let end = self.now + PATIENCE;
        loop {
            // What this step brings may be what `done` waits for, or make the client say more: before time goes on.
            self.step();
            if let Some(value) = done(&mut self.client) {
                return value;
            }
            let next = self.step();
            assert!(
                self.now < end,
                "{what}: still not, {:?}",
                self.gateway.statistics()
            );
            self.now = next.unwrap_or_else(|| {
                panic!("{what}: the world stands still, {:?}", self.gateway.statistics());
            });
        }
    }

    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.step().filter(|next| *next < end) {
            self.now = next;
        }
        self.now = end;
        self.step();
    }

    /// Does what is due, and gives the time of the next thing.
    fn step(&mut self) -> Option<Instant> {
        let now = self.now;
        for frame in due(&mut self.to_gateway, now) {
            self.gateway.handle_frame(now, &frame).unwrap();
        }
        self.client.port.incoming.extend(due(&mut self.to_client, now));
        self.client
            .interface
            .poll(now, &mut self.client.port, &mut self.client.sockets);
        while let Some(frame) = self.client.port.outgoing.pop_front() {
            carry(&self.wire, &mut self.chance, &mut self.to_gateway, now, frame);
        }
        let mut deadline;
        loop {
            deadline = self.gateway.poll(now);
            if self.gateway.outgoing().is_empty() {
                break;
            }
            let mut buffer = vec![0; 1 << 16];
            while let Some(len) = self.gateway.pop_frame(&mut buffer) {
                carry(
                    &self.wire,
                    &mut self.chance,
                    &mut self.to_client,
                    now,
                    buffer[..len].to_vec(),
                );
            }
        }
        let client = self.client.interface.poll_at(now, &self.client.sockets);
        let flights = [&self.to_gateway, &self.to_client]
            .into_iter()
            .flatten()
            .map(|(due, _)| *due);
        let next = flights.chain(deadline).chain(client).min()?;
        // Work that never waits (a long hash) takes a little time all the same.
        Some(next.max(now + Duration::from_micros(10)))
    }
}

fn due(flight: &mut Flight, now: Instant) -> Vec<Vec<u8>> {
    let (due, rest) = std::mem::take(flight)
        .into_iter()
        .partition::<Vec<_>, _>(|(at, _)| *at <= now);
    flight.extend(rest);
    due.into_iter().map(|(_, frame)| frame).collect()
}

fn carry(wire: &Wire, chance: &mut Chance, flight: &mut Flight, now: Instant, mut frame: Vec<u8>) {
    if chance.below(1000) < wire.lost {
        return;
    }
    // ARP has no checksum: the frame check sequence of a real wire protects it, as it does the Ethernet header.
    if chance.below(1000) < wire.bent && frame[12..14] == [8, 0] {
        let bit = 14 * 8 + chance.below((frame.len() as u64 - 14) * 8);
        frame[(bit / 8) as usize] ^= 1 << (bit % 8);
    }
    let late = if chance.below(1000) < wire.late {
        wire.latency * 3
    } else {
        Duration::ZERO
    };
    if chance.below(1000) < wire.doubled {
        flight.push_back((now + wire.latency * 2, frame.clone()));
    }
    flight.push_back((now + wire.latency + late, frame));
}

impl Client {
    fn new(config: &Config) -> Self {
        let mut port = Port {
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            mtu: config.mtu,
            checksums: config.checksums == gateway::Checksums::Software,
        };
        let mut setup = smoltcp::iface::Config::new(CLIENT_MAC.into());
        setup.random_seed = !config.seed;
        let interface = Interface::new(setup, &mut port, Instant::ZERO);
        Self {
            interface,
            sockets: SocketSet::new(Vec::new()),
            port,
            next_port: 49152,
        }
    }

    pub fn set_address(&mut self, address: Ipv4Addr) {
        self.interface.update_ip_addrs(|addresses| {
            addresses.clear();
            addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(address, 24))).unwrap();
        });
    }

    pub fn connect(&mut self, port: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 256 << 10]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        self.next_port += 1;
        socket
            .connect(self.interface.context(), (GATEWAY, port), self.next_port)
            .unwrap();
        self.sockets.add(socket)
    }

    pub fn socket(&mut self, handle: SocketHandle) -> &mut tcp::Socket<'static> {
        self.sockets.get_mut(handle)
    }
}

/// One exchange over TCP: everything of `say`, our FIN, and everything that comes until the peer's FIN.
pub struct Talk {
    pub handle: SocketHandle,
    say: Vec<u8>,
    said: usize,
    pub heard: Vec<u8>,
    /// Close our side when all is said, and not only at the peer's FIN.
    eager: bool,
    last: tcp::State,
}

/// How a [`Talk`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Both sides sent their FIN.
    Closed,
    Reset,
}

impl Talk {
    pub fn new(client: &mut Client, port: u16, say: impl Into<Vec<u8>>) -> Self {
        Self {
            handle: client.connect(port),
            say: say.into(),
            said: 0,
            heard: Vec::new(),
            eager: true,
            last: tcp::State::SynSent,
        }
    }

    pub fn patient(self) -> Self {
        Self { eager: false, ..self }
    }

    /// Moves bytes; `Some` when the connection is over.
    pub fn go_on(&mut self, client: &mut Client) -> Option<End> {
        let socket = client.socket(self.handle);
        if self.said < self.say.len() && socket.can_send() {
            self.said += socket.send_slice(&self.say[self.said..]).unwrap();
        }
        while socket.can_recv() {
            socket
                .recv(|bytes| {
                    self.heard.extend_from_slice(bytes);
                    (bytes.len(), ())
                })
                .unwrap();
        }
        let connected = !matches!(socket.state(), tcp::State::SynSent | tcp::State::Closed);
        let all_said = self.said == self.say.len();
        // `may_recv` is false from the peer's FIN on.
        let peer_done = connected && !socket.may_recv();
        // As in the gateway, the FIN goes alone: smoltcp does not repeat it reliably behind data.
        if ((connected && self.eager && all_said) || peer_done) && socket.send_queue() == 0 {
            socket.close();
        }
        let before = std::mem::replace(&mut self.last, socket.state());
        match (before, socket.state()) {
            (_, tcp::State::TimeWait) | (tcp::State::LastAck, tcp::State::Closed) => Some(End::Closed),
            (_, tcp::State::Closed) => Some(End::Reset),
            _ => None,
        }
    }
}

pub struct Incoming(Vec<u8>);
pub struct Outgoing<'a>(&'a mut VecDeque<Vec<u8>>);

impl Device for Port {
    type RxToken<'a> = Incoming;
    type TxToken<'a> = Outgoing<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Incoming, Outgoing<'_>)> {
        Some((Incoming(self.incoming.pop_front()?), Outgoing(&mut self.outgoing)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_>> {
        Some(Outgoing(&mut self.outgoing))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + 14;
        if !self.checksums {
            capabilities.checksum.tcp = Checksum::None;
        }
        capabilities
    }
}

impl RxToken for Incoming {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Outgoing<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut frame = vec![0; len];
        let result = f(&mut frame);
        self.0.push_back(frame);
        result
    }
}
