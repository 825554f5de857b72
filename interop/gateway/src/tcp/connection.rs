//! What a service does on one connection.

use std::fmt::Display;

use sha2::{Digest, Sha256};
use smoltcp::socket::tcp;

use super::Kind;
use crate::services::{
    ERROR_PREFIX, MAX_ANSWER, MAX_HASHED, MAX_REQUEST, Pattern, Request, RequestError, Summary,
};

/// Bytes of a buffer that holds only a line.
pub(super) const SMALL_BUFFER: usize = 4096;
/// Bytes that the hash service hashes in one go, between which other connections have their turn.
const HASH_BUDGET: u64 = 256 << 10;

const _: () = assert!(MAX_ANSWER <= SMALL_BUFFER && MAX_REQUEST <= SMALL_BUFFER);

#[derive(Debug)]
pub(super) struct Connection {
    kind: Kind,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Echo,
    Sink {
        hasher: Sha256,
        len: u64,
    },
    /// The source and the hash service read their line.
    Request {
        line: Vec<u8>,
    },
    Source {
        pattern: Pattern,
        remaining: u64,
    },
    Hash {
        pattern: Pattern,
        hasher: Sha256,
        request: Request,
    },
    /// Everything is said; the FIN waits until the client has acknowledged it all.
    ///
    /// smoltcp would send the FIN right behind the data. But in LAST-ACK it takes no window update that acknowledges
    /// nothing (0.13 and 0.14): when the client has closed first and then lets its window fill, the rest of the data
    /// would come at the pace of window probes, one a second.
    Finishing,
    /// The FIN is on its way, or a reset.
    Over,
}

/// What serving a connection brought.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Served {
    /// The socket was read from, written to or closed.
    pub(super) progress: bool,
    /// There is work left for which nothing is awaited.
    pub(super) more: bool,
}

impl Connection {
    pub(super) fn new(kind: Kind) -> Self {
        let phase = match kind {
            Kind::Echo => Phase::Echo,
            Kind::Sink => Phase::Sink {
                hasher: Sha256::new(),
                len: 0,
            },
            Kind::Source | Kind::Hash => Phase::Request {
                line: Vec::with_capacity(MAX_REQUEST),
            },
        };
        Self { kind, phase }
    }

    /// Does what can be done now. The work is bounded by the socket's buffers and by [`HASH_BUDGET`].
    pub(super) fn serve(&mut self, socket: &mut tcp::Socket<'_>, scratch: &mut [u8]) -> Served {
        let mut served = Served::default();
        match &mut self.phase {
            Phase::Echo => {
                served.progress = echo(socket, scratch);
                if at_end(socket) {
                    self.phase = Phase::Finishing;
                    served.progress = true;
                }
            }
            Phase::Sink { hasher, len } => {
                served.progress = receive(socket, |bytes| {
                    hasher.update(bytes);
                    *len += bytes.len() as u64;
                });
                if at_end(socket) {
                    let summary = Summary {
                        len: *len,
                        sha256: hasher.clone().finalize().into(),
                    };
                    self.answer(socket, &summary);
                    served.progress = true;
                }
            }
            Phase::Request { line } => {
                served.progress = read_line(socket, line);
                let whole = line.last() == Some(&b'\n') || line.len() >= MAX_REQUEST || at_end(socket);
                if whole {
                    let request = match line.last() {
                        Some(b'\n') => Request::parse(line),
                        _ if line.len() >= MAX_REQUEST => Err(RequestError::TooLong),
                        _ => Request::parse(line),
                    };
                    self.begin(request, socket);
                    served = Served {
                        progress: true,
                        more: matches!(self.phase, Phase::Hash { .. }),
                    };
                }
            }
            Phase::Source { pattern, remaining } => {
                let discarded = discard(socket);
                served.progress = send_pattern(socket, pattern, remaining) || discarded;
                if *remaining == 0 {
                    self.phase = Phase::Finishing;
                    served.progress = true;
                }
            }
            Phase::Hash {
                pattern,
                hasher,
                request,
            } => {
                served.progress = discard(socket);
                if hash_some(pattern, hasher, request.len, scratch) {
                    let summary = Summary {
                        len: request.len,
                        sha256: hasher.clone().finalize().into(),
                    };
                    self.answer(socket, &summary);
                    served.progress = true;
                } else {
                    served.more = true;
                }
            }
            Phase::Finishing => {
                served.progress = discard(socket);
                if socket.send_queue() == 0 {
                    socket.close();
                    self.phase = Phase::Over;
                    served.progress = true;
                }
            }
            Phase::Over => {}
        }
        served
    }

    fn begin(&mut self, request: Result<Request, RequestError>, socket: &mut tcp::Socket<'_>) {
        match (request, self.kind) {
            (Ok(request), Kind::Hash) if request.len > MAX_HASHED => {
                self.answer(socket, &format_args!("{ERROR_PREFIX}{}", RequestError::TooMuch));
            }
            (Ok(request), Kind::Hash) => {
                self.phase = Phase::Hash {
                    pattern: Pattern::new(request.seed),
                    hasher: Sha256::new(),
                    request,
                };
            }
            (Ok(request), _) => {
                self.phase = Phase::Source {
                    pattern: Pattern::new(request.seed),
                    remaining: request.len,
                };
            }
            (Err(error), Kind::Hash) => self.answer(socket, &format_args!("{ERROR_PREFIX}{error}")),
            (Err(_), _) => {
                socket.abort();
                self.phase = Phase::Over;
            }
        }
    }

    /// Sends the one line of an answer, for which the transmit buffer, empty so far, has room, and closes.
    fn answer(&mut self, socket: &mut tcp::Socket<'_>, answer: &dyn Display) {
        // It fails only when the connection has just ended, and then nobody waits for the line.
        let _ = socket.send_slice(format!("{answer}\n").as_bytes());
        self.phase = Phase::Finishing;
    }
}

/// Whether the client has sent its FIN and everything before it has been read.
fn at_end(socket: &tcp::Socket<'_>) -> bool {
    !socket.may_recv()
}

/// Takes everything that was received, in the one or two pieces in which the ring buffer holds it.
fn receive(socket: &mut tcp::Socket<'_>, mut take: impl FnMut(&[u8])) -> bool {
    let mut progress = false;
    while socket.can_recv() {
        let taken = socket.recv(|bytes| {
            take(bytes);
            (bytes.len(), bytes.len())
        });
        match taken {
            Ok(len) if len > 0 => progress = true,
            _ => break,
        }
    }
    progress
}

/// Throws away what was received.
pub(super) fn discard(socket: &mut tcp::Socket<'_>) -> bool {
    receive(socket, |_| ())
}

fn echo(socket: &mut tcp::Socket<'_>, scratch: &mut [u8]) -> bool {
    let mut progress = false;
    loop {
        let room = socket.send_capacity().saturating_sub(socket.send_queue());
        let Some(buffer) = scratch.get_mut(..room.min(scratch.len())) else {
            return progress;
        };
        let received = match socket.recv_slice(buffer) {
            Ok(len) if len > 0 => buffer.get(..len).unwrap_or_default(),
            _ => return progress,
        };
        progress = true;
        if socket.send_slice(received) != Ok(received.len()) {
            // The room was measured: only a connection that has just ended takes less.
            return progress;
        }
    }
}

/// Reads up to the line feed and not a byte more than [`MAX_REQUEST`].
fn read_line(socket: &mut tcp::Socket<'_>, line: &mut Vec<u8>) -> bool {
    let mut progress = false;
    while line.len() < MAX_REQUEST && line.last() != Some(&b'\n') {
        let read = socket.recv(|bytes| {
            let room = bytes.len().min(MAX_REQUEST.saturating_sub(line.len()));
            let bytes = bytes.get(..room).unwrap_or_default();
            let end = bytes
                .iter()
                .position(|&byte| byte == b'\n')
                .map_or(bytes.len(), |feed| feed + 1);
            line.extend_from_slice(bytes.get(..end).unwrap_or_default());
            (end, end)
        });
        match read {
            Ok(len) if len > 0 => progress = true,
            _ => break,
        }
    }
    progress
}

fn send_pattern(socket: &mut tcp::Socket<'_>, pattern: &mut Pattern, remaining: &mut u64) -> bool {
    let mut progress = false;
    while *remaining > 0 && socket.can_send() {
        let sent = socket.send(|room| {
            let len = usize::try_from(*remaining).unwrap_or(usize::MAX).min(room.len());
            pattern.fill(room.get_mut(..len).unwrap_or_default());
            (len, len)
        });
        match sent {
            Ok(len) if len > 0 => *remaining = remaining.saturating_sub(len as u64),
            _ => break,
        }
        progress = true;
    }
    progress
}

/// Hashes on, and tells whether all `len` bytes are done.
fn hash_some(pattern: &mut Pattern, hasher: &mut Sha256, len: u64, scratch: &mut [u8]) -> bool {
    let stop = len.min(pattern.position().saturating_add(HASH_BUDGET));
    while pattern.position() < stop {
        let left = usize::try_from(stop - pattern.position()).unwrap_or(usize::MAX);
        let take = left.min(scratch.len());
        let Some(bytes) = scratch.get_mut(..take) else {
            break;
        };
        pattern.fill(bytes);
        hasher.update(bytes);
    }
    pattern.position() >= len
}
