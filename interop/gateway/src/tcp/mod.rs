//! The TCP services, each on a fixed number of connections.

mod connection;

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::IpListenEndpoint;

use crate::config::Config;
use crate::services::{ECHO_PORT, HASH_PORT, SINK_PORT, SOURCE_PORT};
use connection::{Connection, SMALL_BUFFER};

/// How long a connection may stay half open before its slot is taken back: the SYN is answered three times.
const HALF_OPEN_TIME: Duration = Duration::from_secs(10);
/// The same while the service has no slot left for others, as in a flood of SYNs.
const HALF_OPEN_TIME_PRESSED: Duration = Duration::from_secs(1);
/// How long a client that has got everything may leave its side open, or our FIN without an acknowledgement.
const LINGER_TIME: Duration = Duration::from_secs(60);
/// How long a connection that we closed first is remembered, as in the stack.
const TIME_WAIT_TIME: Duration = Duration::from_secs(10);
/// How long a reset may wait for the answer to an ARP request.
const RESET_TIME: Duration = Duration::from_secs(3);
/// A client that sends nothing for so long, not even an acknowledgement, is gone. There are no keep-alives: the stack
/// would send them with a byte of its own, which is taken for data when a last segment was lost.
const SILENT_TIME: Duration = Duration::from_secs(300);

/// One of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Echo,
    Sink,
    Source,
    Hash,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Echo, Self::Sink, Self::Source, Self::Hash];

    fn port(self) -> u16 {
        match self {
            Self::Echo => ECHO_PORT,
            Self::Sink => SINK_PORT,
            Self::Source => SOURCE_PORT,
            Self::Hash => HASH_PORT,
        }
    }

    /// Bytes of the receive and of the transmit buffer.
    fn buffers(self, large: usize) -> (usize, usize) {
        match self {
            Self::Echo => (large, large),
            Self::Sink => (large, SMALL_BUFFER),
            Self::Source => (SMALL_BUFFER, large),
            Self::Hash => (SMALL_BUFFER, SMALL_BUFFER),
        }
    }
}

/// What the services have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TcpStatistics {
    /// Connections that a client completed.
    pub accepted: u64,
    /// Of those, the ones that ended with a FIN from both sides.
    pub closed: u64,
    /// Of those, the ones that ended otherwise: reset by the client, given up, or refused for their request.
    pub aborted: u64,
    /// Half-open connections that were given up.
    pub half_open: u64,
    /// Connections that are open now.
    pub open: u64,
}

/// All services and their sockets. A connection lives in a slot; slots are made once, and a slot listens whenever it
/// holds no connection.
pub(crate) struct Services {
    sockets: SocketSet<'static>,
    slots: Vec<Slot>,
    scratch: Vec<u8>,
    statistics: TcpStatistics,
}

struct Slot {
    handle: SocketHandle,
    kind: Kind,
    endpoint: IpListenEndpoint,
    stage: Stage,
    /// The socket's state at the end of the last round.
    last: tcp::State,
}

/// Where a slot stands in the life of a connection, which is coarser than the state of its socket.
enum Stage {
    Listening,
    HalfOpen {
        since: Instant,
    },
    Open(Connection),
    /// Everything is said and acknowledged, and our FIN is sent; the client's FIN or its acknowledgement is missing.
    Lingering {
        since: Instant,
    },
    /// The connection is over, but for its last segment, an acknowledgement or a reset.
    Over {
        since: Instant,
    },
}

/// What a round over all slots found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Something was done, so that a socket may have something to send.
    pub(crate) progress: bool,
    /// A service has work left for which it needs no frame.
    pub(crate) more: bool,
    /// When the next slot is to be taken back.
    pub(crate) deadline: Option<Instant>,
}

impl Services {
    pub(crate) fn new(config: &Config) -> Self {
        let mut sockets = SocketSet::new(Vec::new());
        let mut slots = Vec::new();
        for kind in Kind::ALL {
            let (receive, transmit) = kind.buffers(config.buffer);
            let endpoint = IpListenEndpoint {
                addr: Some(config.address.into()),
                port: kind.port(),
            };
            for _ in 0..config.connections {
                let buffer = |len| tcp::SocketBuffer::new(vec![0; len]);
                let mut socket = tcp::Socket::new(buffer(receive), buffer(transmit));
                // What there is goes out with the next poll: frames are handled in batches as it is.
                socket.set_nagle_enabled(false);
                socket.set_ack_delay(None);
                socket.set_timeout(Some(SILENT_TIME));
                let handle = sockets.add(socket);
                // It listens as soon as it is recycled.
                slots.push(Slot {
                    handle,
                    kind,
                    endpoint,
                    stage: Stage::Over { since: Instant::ZERO },
                    last: tcp::State::Closed,
                });
            }
        }
        let mut services = Self {
            sockets,
            slots,
            scratch: vec![0; 64 << 10],
            statistics: TcpStatistics::default(),
        };
        services.recycle(Instant::ZERO);
        services
    }

    pub(crate) fn sockets(&mut self) -> &mut SocketSet<'static> {
        &mut self.sockets
    }

    pub(crate) fn statistics(&self) -> TcpStatistics {
        let open = self
            .slots
            .iter()
            .filter(|slot| matches!(slot.stage, Stage::Open(_) | Stage::Lingering { .. }));
        TcpStatistics {
            open: open.count() as u64,
            ..self.statistics
        }
    }

    /// Serves every connection once.
    pub(crate) fn run(&mut self, now: Instant) -> Round {
        let mut round = Round {
            progress: false,
            more: false,
            deadline: None,
        };
        let pressed = self.pressed();
        for slot in &mut self.slots {
            let half_open_time = if pressed.contains(&slot.kind) {
                HALF_OPEN_TIME_PRESSED
            } else {
                HALF_OPEN_TIME
            };
            let socket = self.sockets.get_mut::<tcp::Socket<'_>>(slot.handle);
            slot.follow(socket, now, &mut self.statistics, &mut round);
            slot.run(socket, now, half_open_time, &mut self.scratch, &mut round);
        }
        round
    }

    /// Lets the slots listen again whose connection is over. To be called when the stack has sent all it had.
    ///
    /// A slot is held for its last words: in TIME-WAIT for a repeated FIN of the client, and after a reset until that is
    /// out. The oldest such slot is taken all the same when its service has no other for the next client, so that the
    /// connections that are over never keep one out.
    pub(crate) fn recycle(&mut self, now: Instant) {
        for slot in &mut self.slots {
            if let Stage::Over { since } = slot.stage {
                let socket = self.sockets.get_mut::<tcp::Socket<'_>>(slot.handle);
                if last_words_until(socket, since).is_none_or(|until| until <= now) {
                    slot.listen(socket);
                }
            }
        }
        for kind in self.pressed() {
            let over = self
                .slots
                .iter_mut()
                .filter(|slot| slot.kind == kind)
                .filter_map(|slot| match slot.stage {
                    Stage::Over { since } => Some((since, slot)),
                    _ => None,
                });
            if let Some((_, slot)) = over.min_by_key(|(since, _)| *since) {
                slot.listen(self.sockets.get_mut(slot.handle));
            }
        }
    }

    /// The services of which no slot listens.
    fn pressed(&self) -> Vec<Kind> {
        let listens = |kind| {
            self.slots
                .iter()
                .any(|slot| slot.kind == kind && matches!(slot.stage, Stage::Listening))
        };
        Kind::ALL.into_iter().filter(|kind| !listens(*kind)).collect()
    }
}

impl Slot {
    fn listen(&mut self, socket: &mut tcp::Socket<'_>) {
        if socket.listen(self.endpoint).is_ok() {
            self.stage = Stage::Listening;
        }
    }

    fn run(
        &mut self,
        socket: &mut tcp::Socket<'_>,
        now: Instant,
        half_open_time: Duration,
        scratch: &mut [u8],
        round: &mut Round,
    ) {
        let deadline = match &mut self.stage {
            Stage::Open(connection) => {
                let served = connection.serve(socket, scratch);
                round.progress |= served.progress;
                round.more |= served.more;
                None
            }
            Stage::HalfOpen { since } => Some(*since + half_open_time),
            Stage::Lingering { since } => {
                // What it still sends is of no use to anybody, but must not fill the window.
                round.progress |= connection::discard(socket);
                Some(*since + LINGER_TIME)
            }
            Stage::Over { since } => {
                let until = last_words_until(socket, *since);
                round.deadline = round.deadline.into_iter().chain(until).min();
                None
            }
            Stage::Listening => None,
        };
        match deadline {
            Some(deadline) if deadline <= now => {
                socket.abort();
                round.progress = true;
            }
            _ => round.deadline = round.deadline.into_iter().chain(deadline).min(),
        }
        self.last = socket.state();
    }

    /// Brings the stage up to what the socket has become.
    fn follow(
        &mut self,
        socket: &tcp::Socket<'_>,
        now: Instant,
        statistics: &mut TcpStatistics,
        round: &mut Round,
    ) {
        use tcp::State;
        let next = match (socket.state(), &self.stage) {
            (State::Listen, Stage::Listening) | (_, Stage::Over { .. }) => return,
            // The client took its half-open connection back.
            (State::Listen, _) => Stage::Listening,
            (State::SynReceived, Stage::HalfOpen { .. }) => return,
            (State::SynReceived, _) => Stage::HalfOpen { since: now },
            (State::TimeWait, stage) => {
                if matches!(stage, Stage::Open(_) | Stage::Lingering { .. }) {
                    statistics.closed += 1;
                }
                Stage::Over { since: now }
            }
            (State::Closed, stage) => {
                match stage {
                    // The client had closed first, and our FIN is acknowledged.
                    Stage::Open(_) | Stage::Lingering { .. } if self.last == State::LastAck => {
                        statistics.closed += 1;
                    }
                    Stage::Open(_) | Stage::Lingering { .. } => statistics.aborted += 1,
                    _ => statistics.half_open += 1,
                }
                Stage::Over { since: now }
            }
            (State::FinWait1 | State::FinWait2 | State::Closing | State::LastAck, Stage::Open(_)) => {
                Stage::Lingering { since: now }
            }
            (_, Stage::Open(_) | Stage::Lingering { .. }) => return,
            _ => {
                statistics.accepted += 1;
                tracing::debug!(service = ?self.kind, client = ?socket.remote_endpoint(), "connection");
                Stage::Open(Connection::new(self.kind))
            }
        };
        self.stage = next;
        round.progress = true;
    }
}

/// How long a slot whose connection is over is still held; `None` when it has nothing to wait for.
fn last_words_until(socket: &tcp::Socket<'_>, since: Instant) -> Option<Instant> {
    match socket.state() {
        tcp::State::TimeWait => Some(since + TIME_WAIT_TIME),
        // A closed socket knows its client until the reset is out, which may first have to ask for its address.
        tcp::State::Closed => socket.remote_endpoint().map(|_| since + RESET_TIME),
        _ => None,
    }
}
