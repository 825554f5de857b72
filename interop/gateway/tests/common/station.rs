//! A station with a smoltcp stack on a real link, in real time.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests and examples, of which each uses some"
)]

use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex};
use std::time;

use gateway::frames::{Batch, Limit};
use gateway::{Delivery, FrameSink, Instant, Link, TransmitError};
use smoltcp::iface::{Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::wire::{EthernetAddress, IpCidr, Ipv4Cidr};

pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const INBOX: Limit = Limit {
    frames: 1024,
    bytes: 4 << 20,
};

/// Where frames for the station wait.
#[derive(Debug)]
pub struct Inbox {
    state: Mutex<(Batch, bool)>,
    arrived: Condvar,
}

impl FrameSink for Inbox {
    fn deliver(&self, frame: &[u8]) -> Delivery {
        let mut state = self.state.lock().unwrap();
        if state.0.push(frame) {
            Delivery::Taken
        } else {
            state.1 = true;
            Delivery::Full
        }
    }

    fn flush(&self) {
        self.arrived.notify_one();
    }
}

pub struct Station<L: Link> {
    pub port: Port<L>,
    pub interface: Interface,
    pub sockets: SocketSet<'static>,
    inbox: Arc<Inbox>,
    started: time::Instant,
    next_port: u16,
}

pub struct Port<L> {
    pub link: L,
    incoming: Batch,
    mtu: usize,
    checksum: ChecksumCapabilities,
    scratch: Vec<u8>,
}

impl<L: Link> Station<L> {
    /// Starts the link, with a station at its end.
    pub fn new(link: L, mtu: usize, checksum: ChecksumCapabilities) -> Self {
        let inbox = Arc::new(Inbox {
            state: Mutex::new((Batch::new(INBOX), false)),
            arrived: Condvar::new(),
        });
        link.start(Arc::clone(&inbox) as Arc<dyn FrameSink>).unwrap();
        let mut port = Port {
            link,
            incoming: Batch::new(INBOX),
            mtu,
            checksum,
            scratch: Vec::new(),
        };
        let mut interface = Interface::new(smoltcp::iface::Config::new(MAC.into()), &mut port, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.push(IpCidr::Ipv4(Ipv4Cidr::new(ADDRESS, 24))).unwrap();
        });
        let sockets = SocketSet::new(Vec::new());
        Self {
            port,
            interface,
            sockets,
            inbox,
            started: time::Instant::now(),
            next_port: 49152,
        }
    }

    pub fn connect(&mut self, port: u16) -> SocketHandle {
        let buffer = || tcp::SocketBuffer::new(vec![0; 1 << 20]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_ack_delay(None);
        self.next_port += 1;
        socket
            .connect(self.interface.context(), (GATEWAY, port), self.next_port)
            .unwrap();
        self.sockets.add(socket)
    }

    /// Lets the stack work until `done` gives a value.
    pub fn run_until<T>(&mut self, mut done: impl FnMut(&mut SocketSet<'static>) -> Option<T>) -> T {
        loop {
            let now = Instant::from_micros(i64::try_from(self.started.elapsed().as_micros()).unwrap());
            self.interface.poll(now, &mut self.port, &mut self.sockets);
            if let Some(value) = done(&mut self.sockets) {
                return value;
            }
            self.interface.poll(now, &mut self.port, &mut self.sockets);
            self.port.incoming.clear();
            let wait = self.interface.poll_delay(now, &self.sockets);
            let wait = wait.map_or(time::Duration::from_secs(1), time::Duration::from);
            let mut state = self.inbox.state.lock().unwrap();
            if state.0.is_empty() && !wait.is_zero() {
                state = self.inbox.arrived.wait_timeout(state, wait).unwrap().0;
            }
            std::mem::swap(&mut state.0, &mut self.port.incoming);
            let was_full = std::mem::take(&mut state.1);
            drop(state);
            if was_full {
                self.port.link.resume();
            }
        }
    }

    /// One exchange: all of `say`, our FIN, and everything until the peer's FIN.
    pub fn talk(&mut self, port: u16, say: &[u8]) -> Vec<u8> {
        let handle = self.connect(port);
        let (mut rest, mut heard) = (say, Vec::new());
        self.run_until(|sockets| {
            let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
            assert_ne!(socket.state(), tcp::State::Closed, "reset");
            while !rest.is_empty() && socket.can_send() {
                rest = rest.split_at(socket.send_slice(rest).unwrap()).1;
            }
            while socket.can_recv() {
                socket
                    .recv(|bytes| (bytes.len(), heard.extend_from_slice(bytes)))
                    .unwrap();
            }
            let connected = socket.state() != tcp::State::SynSent;
            if connected && rest.is_empty() && socket.send_queue() == 0 {
                socket.close();
            }
            (connected && !socket.may_recv()).then_some(())
        });
        heard
    }
}

impl<L: Link> Device for Port<L> {
    type RxToken<'a>
        = Incoming<'a>
    where
        L: 'a;
    type TxToken<'a>
        = Outgoing<'a, L>
    where
        L: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_, L>)> {
        self.incoming.front()?;
        let token = Outgoing {
            link: &self.link,
            scratch: &mut self.scratch,
        };
        Some((Incoming(&mut self.incoming), token))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_, L>> {
        Some(Outgoing {
            link: &self.link,
            scratch: &mut self.scratch,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = self.mtu + 14;
        capabilities.checksum = self.checksum.clone();
        capabilities
    }
}

pub struct Incoming<'a>(&'a mut Batch);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(self.0.front().unwrap_or_default());
        self.0.pop();
        result
    }
}

pub struct Outgoing<'a, L> {
    link: &'a L,
    scratch: &'a mut Vec<u8>,
}

impl<L: Link> TxToken for Outgoing<'_, L> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.scratch.clear();
        self.scratch.resize(len, 0);
        let result = f(self.scratch);
        // A NIC's queue would wait.
        while self.link.transmit(self.scratch) == Err(TransmitError::Full) {
            std::thread::yield_now();
        }
        result
    }
}
