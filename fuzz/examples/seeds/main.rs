//! Makes seeds of what went over a real bus, for the targets that hear a guest, and for the decoders.
//!
//!     cargo xtask linux --trace bus.trace --trace-bytes 512
//!     cargo run --manifest-path fuzz/Cargo.toml --example seeds -- bus.trace FOLDER
//!
//! `FOLDER` gets a folder for each target. Of messages that begin alike a few are taken. Packets of which the trace does not
//! show all are left out, and so is what it does not show at all: RNDIS messages, which lie in buffers.

use std::collections::{HashMap, HashSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use vmbus_fuzz::channel::{Lists, Mangle};
use vmbus_fuzz::decode::{self, Decoder};
use vmbus_fuzz::input::{Bytes, Seed, Steps};
use vmbus_fuzz::memory::Kind;
use vmbus_fuzz::{hypercall, netvsc, storvsc, vmbus};

/// Messages that begin alike, of which are taken.
const ALIKE: usize = 4;
/// Bytes in which they are alike.
const BEGIN: usize = 12;
/// Packets of one channel that become one seed.
const PACKETS: usize = 24;
/// Of a storage packet, the header before the SRB, and in it the CDB.
const CDB_AT: usize = 12 + 16;

/// A line of the trace.
struct Line<'a> {
    /// `vmbus`, or a device and the channel's index.
    place: &'a str,
    from_guest: bool,
    /// The packet's type and all that is told of it.
    what: &'a str,
    bytes: Vec<u8>,
}

impl<'a> Line<'a> {
    /// Reads a line; none where not all bytes are shown.
    fn read(line: &'a str) -> Option<Self> {
        let (head, tail) = line.rsplit_once(" | ")?;
        let (len, hex) = tail.split_once(" bytes ")?;
        let bytes: Option<Vec<u8>> = hex
            .as_bytes()
            .chunks(2)
            .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
            .collect();
        let bytes = bytes.filter(|bytes| len.parse() == Ok(bytes.len()))?;
        let mut words = head.trim_start().splitn(4, ' ');
        let (_time, place, direction) = (words.next()?, words.next()?, words.next()?);
        Some(Self {
            place,
            from_guest: direction == "guest>host",
            what: words.next().unwrap_or_default(),
            bytes,
        })
    }

    fn device(&self) -> &str {
        self.place.split('/').next().unwrap_or_default()
    }
}

/// Writes seeds, each once.
struct Seeds {
    folder: PathBuf,
    written: HashSet<(&'static str, Vec<u8>)>,
    alike: HashMap<(u8, Vec<u8>), usize>,
}

impl Seeds {
    fn put(&mut self, target: &'static str, seed: Vec<u8>) -> Result<()> {
        if !self.written.insert((target, seed.clone())) {
            return Ok(());
        }
        let folder = self.folder.join(target);
        std::fs::create_dir_all(&folder)?;
        let number = self.written.iter().filter(|(of, _)| *of == target).count();
        std::fs::write(folder.join(format!("trace-{number:03}")), seed)
    }

    fn decoder(&mut self, decoder: Decoder, bytes: &[u8]) -> Result<()> {
        let first = decoder.seed().first().copied().unwrap_or_default();
        let begin = bytes[..bytes.len().min(BEGIN)].to_vec();
        let alike = self.alike.entry((first, begin)).or_default();
        *alike += 1;
        if *alike > ALIKE {
            return Ok(());
        }
        let bytes = Bytes(bytes.to_vec());
        self.put("decode_all", decode::Input { decoder, bytes }.seed())
    }
}

/// Every message and packet for its decoder.
fn decoders(seeds: &mut Seeds, line: &Line<'_>) -> Result<()> {
    let bytes = &line.bytes;
    let decoder = match (line.device(), line.from_guest) {
        ("vmbus", true) => Decoder::VmbusGuest,
        ("vmbus", false) => Decoder::VmbusHost,
        ("scsi", true) => {
            if let (Some(cdb), Some(len)) = (bytes.get(CDB_AT..CDB_AT + 16), bytes.get(CDB_AT - 8)) {
                seeds.decoder(Decoder::Scsi, &cdb[..usize::from(*len).min(16)])?;
            }
            Decoder::StorvscGuest
        }
        ("scsi", false) => Decoder::StorvscHost,
        ("nic", true) => Decoder::NvspGuest,
        ("nic", false) => Decoder::NvspHost(0x6_0001),
        (_, true) => Decoder::IcGuest,
        (_, false) => Decoder::IcHost,
    };
    seeds.decoder(decoder, bytes)
}

/// What the guest posted: as one dialogue with the bus, and each message by a hypercall.
fn bus(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    use vmbus::host::{Input, Message, Step};
    let mut steps: Vec<_> = (0..4).map(Step::Offer).collect();
    let mut posts = Vec::new();
    for line in lines
        .iter()
        .filter(|line| line.place == "vmbus" && line.from_guest)
    {
        let Some((head, body)) = line.bytes.split_at_checked(8) else {
            continue;
        };
        let message = Message::Raw(head[0], Bytes(body.to_vec()));
        steps.extend([
            Step::Hear(message, Mangle::Nothing),
            Step::Event,
            Step::AnswerOpen(0, true),
            Step::AnswerClose(0),
            Step::AnswerModify(0),
            Step::Deliver(7),
        ]);
        posts.push(hypercall::host::Step::Post(1, 1, Bytes(line.bytes.clone())));
    }
    for some in steps.chunks(400) {
        let steps = Steps(some.to_vec());
        seeds.put("vmbus_host", Input { connected: 0, steps }.seed())?;
    }
    for some in posts.chunks(PACKETS).take(4) {
        let steps = Steps(some.to_vec());
        seeds.put("hypercall_host", hypercall::host::Input { steps }.seed())?;
    }
    Ok(())
}

/// What a packet lists: in the trace stand no ranges, so that data has some place.
fn lists(line: &Line<'_>) -> Lists {
    match line.what.split(' ').next() {
        Some("GPA_DIRECT") => Lists::Memory(1, 0, 4096, 2),
        Some("COMPLETION") => Lists::Completion,
        _ => Lists::Nothing,
    }
}

/// Disks: what a driver sent, from the first packet on and from later ones.
fn disks(seeds: &mut Seeds, lines: &[&Line<'_>]) -> Result<()> {
    use storvsc::host::{Content, Input, Packet, Step};
    for (index, some) in lines.chunks(PACKETS).take(6).enumerate() {
        let mut steps = Vec::new();
        for (id, line) in (1..).zip(some) {
            let packet = Packet {
                id,
                wants_completion: true,
                lists: lists(line),
                long: true,
                content: Content::Raw(Bytes(line.bytes.clone())),
                mangle: Mangle::Nothing,
            };
            steps.extend([Step::Send(packet), Step::Serve(4), Step::Receive]);
        }
        let seed = Input {
            kind: Kind::PageList,
            negotiated: u8::from(index > 0) * 4,
            steps: Steps(steps),
        };
        seeds.put("storvsc_host", seed.seed())?;
    }
    Ok(())
}

/// Network cards, likewise.
fn cards(seeds: &mut Seeds, lines: &[&Line<'_>]) -> Result<()> {
    use netvsc::host::{Content, Input, Packet, Step};
    for (index, some) in lines.chunks(PACKETS).take(4).enumerate() {
        let mut steps = Vec::new();
        for (id, line) in (1..).zip(some) {
            let packet = Packet {
                sub_channel: false,
                id,
                wants_completion: lists(line) != Lists::Completion,
                lists: lists(line),
                content: Content::Raw(Bytes(line.bytes.clone())),
                mangle: Mangle::Nothing,
            };
            steps.extend([
                Step::Send(packet),
                Step::Serve(false, 4),
                Step::Serve(false, 4),
                Step::Receive(false, true),
            ]);
        }
        let seed = Input {
            kind: Kind::PageList,
            offloads: true,
            up: index > 0,
            steps: Steps(steps),
        };
        seeds.put("netvsc_host", seed.seed())?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(trace), Some(folder)) = (arguments.next(), arguments.next()) else {
        let usage = "usage: seeds TRACE FOLDER";
        return Err(Error::new(ErrorKind::InvalidInput, usage));
    };
    let text = std::fs::read_to_string(Path::new(&trace))?;
    let lines: Vec<_> = text.lines().filter_map(Line::read).collect();
    let mut seeds = Seeds {
        folder: folder.into(),
        written: HashSet::new(),
        alike: HashMap::new(),
    };
    for line in &lines {
        decoders(&mut seeds, line)?;
    }
    bus(&mut seeds, &lines)?;
    let of = |place: &str| -> Vec<_> {
        lines
            .iter()
            .filter(|line| line.place == place && line.from_guest)
            .collect()
    };
    disks(&mut seeds, &of("scsi/0"))?;
    cards(&mut seeds, &of("nic/0"))?;
    println!(
        "{} seeds of {} messages and packets",
        seeds.written.len(),
        lines.len()
    );
    Ok(())
}
