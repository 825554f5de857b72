//! The trace: every channel message and the first bytes of every packet, decoded, a line each; and behind a packet's line those of the
//! messages that it carries elsewhere, in buffers or in the guest's pages.
//!
//! Packets are read where they pass: the guest's when the device looks at them, the device's when it publishes them. A guest may change
//! its packets meanwhile; a trace believes what it sees.

use crate::hooked::{Hook, HookedRing};
use crate::memory::Ram;
use crate::vmbus::Device;
use hvcall::synic::Message;
use std::cell::Cell;
use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, LineWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use vmbus_proto::ringbuf::{ControlWord, PacketType, RingMem, RingPair};
use vmbus_proto::wire::{GuestMessage, HostMessage};

/// Bytes of a packet's payload that are shown in hexadecimal digits, unless more are wanted.
pub const SHOWN: u16 = 32;
/// Bytes of a packet's payload that are decoded.
const DECODED: usize = 512;
/// Bytes before a packet's payload, and after it.
const DESCRIPTOR: u32 = 16;
const TRAILER: u32 = 8;

/// A packet as the trace read it, for a device that knows what it carries.
#[derive(Clone, Copy, Debug)]
pub struct TracedPacket<'a> {
    /// The guest sent it.
    pub from_guest: bool,
    /// Its type.
    pub kind: PacketType,
    /// What its descriptor lists: all bytes between the first 16 and the payload.
    pub extension: &'a [u8],
    /// The first bytes of its payload.
    pub payload: &'a [u8],
}

/// A message that a packet carries and that does not stand in the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Whose message it is.
    pub protocol: &'static str,
    /// It, decoded.
    pub words: String,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// Writes the trace.
#[derive(Debug)]
pub struct Tracer {
    begin: Instant,
    /// Bytes of each packet that are shown.
    shown: usize,
    file: Mutex<LineWriter<File>>,
}

impl Tracer {
    /// A trace in a new file, with so many bytes of each packet; with more than [`SHOWN`], of each channel message too.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path, shown: u16) -> io::Result<Self> {
        Ok(Self {
            begin: Instant::now(),
            shown: shown.into(),
            file: Mutex::new(LineWriter::new(File::create(path)?)),
        })
    }

    /// The guest posted a channel message.
    pub(crate) fn guest_message(&self, payload: &[u8]) {
        match GuestMessage::decode(payload) {
            Ok(message) => self.message(true, &message, payload),
            Err(error) => self.line("vmbus", true, &format_args!("{error} | {}", self.hex(payload))),
        }
    }

    /// The host posted one.
    pub(crate) fn host_message(&self, message: &Message) {
        let payload = message.payload();
        match payload.map(HostMessage::decode) {
            Some(Ok(message)) => self.message(false, &message, payload.unwrap_or_default()),
            other => self.line("vmbus", false, &format_args!("{other:?}")),
        }
    }

    fn message(&self, from_guest: bool, message: &dyn Display, payload: &[u8]) {
        if self.shown > SHOWN.into() {
            let bytes = format_args!("{message} | {} bytes {}", payload.len(), self.hex(payload)).to_string();
            self.line("vmbus", from_guest, &bytes);
        } else {
            self.line("vmbus", from_guest, message);
        }
    }

    fn hex<'a>(&self, bytes: &'a [u8]) -> Hex<'a> {
        Hex {
            bytes,
            shown: self.shown,
        }
    }

    /// Traces a channel's packets from now on.
    pub(crate) fn attach<R: RingMem>(
        self: &Arc<Self>,
        rings: &RingPair<HookedRing<R, Tap>>,
        device: &Arc<dyn Device>,
        index: u16,
        ram: &'static Ram,
    ) {
        for (ring, from_guest) in [(rings.incoming.mem(), true), (rings.outgoing.mem(), false)] {
            ring.attach(Tap {
                tracer: Arc::clone(self),
                device: Arc::clone(device),
                place: format!("{}/{index}", device.name()),
                from_guest,
                ram,
                seen: Cell::new(ring.load(ControlWord::WriteIndex)),
            });
        }
    }

    fn line(&self, place: &str, from_guest: bool, what: &dyn Display) {
        let (seconds, arrow) = (
            self.begin.elapsed().as_secs_f64(),
            if from_guest { "guest>host" } else { "host>guest" },
        );
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A full disk costs the trace, not the machine.
        let _lost = writeln!(file, "{seconds:11.6} {place} {arrow} {what}");
    }
}

/// Where a ring's packets are written down.
pub struct Tap {
    tracer: Arc<Tracer>,
    device: Arc<dyn Device>,
    place: String,
    from_guest: bool,
    ram: &'static Ram,
    /// Up to where they were, in the ring to the guest.
    seen: Cell<u32>,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Hook for Tap {
    /// Writes down a packet of the guest's when the device looks at it.
    fn read_head(&self, ring: &dyn RingMem, offset: u32, head: [u64; 2]) {
        if self.from_guest {
            self.trace(ring, offset, head);
        }
    }

    /// Writes down the packets up to `to` when the device publishes them.
    fn store(&self, ring: &dyn RingMem, word: ControlWord, to: u32) {
        if word != ControlWord::WriteIndex || self.from_guest {
            return;
        }
        let mut at = self.seen.replace(to);
        // A packet is 24 bytes at least, so that this ends whatever stands in the ring.
        for _ in 0..ring.data_len() / (DESCRIPTOR + TRAILER) {
            if at == to {
                return;
            }
            at = self.trace(ring, at, ring.read_head(at));
        }
    }
}

impl Tap {
    /// Writes down the packet at `at`; returns where the next one is.
    fn trace(&self, ring: &dyn RingMem, at: u32, [head, transaction]: [u64; 2]) -> u32 {
        let len = ring.data_len();
        let [kind0, kind1, offset0, offset1, len0, len1, ..] = head.to_le_bytes();
        let kind = PacketType(u16::from_le_bytes([kind0, kind1]));
        let offset = u32::from(u16::from_le_bytes([offset0, offset1])) * 8;
        let end = u32::from(u16::from_le_bytes([len0, len1])) * 8;
        let payload_len = end.saturating_sub(offset) as usize;
        let wanted = DECODED.max(self.tracer.shown);
        let mut payload = vec![0; wanted.min(payload_len)];
        ring.read((at + offset % len) % len, &mut payload);
        let mut extension = vec![0; offset.saturating_sub(DESCRIPTOR).min(len) as usize];
        ring.read((at + DESCRIPTOR) % len, &mut extension);
        let id = format_args!("id {transaction:#x}");
        let words = self.device.describe(self.from_guest, kind, &payload);
        self.line(&kind, &id, words.as_deref(), payload_len, &payload);
        let packet = TracedPacket {
            from_guest: self.from_guest,
            kind,
            extension: &extension,
            payload: &payload,
        };
        for message in self.device.carried(&packet, self.ram) {
            let Carried {
                protocol,
                words,
                bytes,
            } = message;
            self.line(&protocol, &id, Some(&words), bytes.len(), &bytes);
        }
        (at + end.max(DESCRIPTOR) + TRAILER) % len
    }

    /// A line of a packet, or of a message that it carries, of so many bytes.
    fn line(&self, what: &dyn Display, id: &dyn Display, words: Option<&str>, len: usize, bytes: &[u8]) {
        let (colon, words) = words.map_or(("", ""), |words| (": ", words));
        let bytes = self.tracer.hex(bytes);
        let text = format_args!("{what} {id}{colon}{words} | {len} bytes {bytes}");
        self.tracer.line(&self.place, self.from_guest, &text);
    }
}

/// The first bytes of something, in hexadecimal digits.
struct Hex<'a> {
    bytes: &'a [u8],
    shown: usize,
}

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.bytes.iter().take(self.shown) {
            write!(f, "{byte:02x}")?;
        }
        if self.bytes.len() > self.shown {
            f.write_str("...")
        } else {
            Ok(())
        }
    }
}
