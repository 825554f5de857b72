//! Makes seeds of what went over a real bus, for the targets that hear a guest or a host, and for the decoders.
//!
//!     cargo xtask linux --trace bus.trace --trace-bytes 1024
//!     cargo run --manifest-path fuzz/Cargo.toml --example seeds -- bus.trace FOLDER
//!
//! `FOLDER` gets a folder for each target. Of messages that begin alike a few are taken. Packets and messages of which the trace does
//! not show all are left out, but for frames, which are cut.

mod cards;
mod line;

use std::collections::{HashMap, HashSet};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use storvsc_proto::wire::GuestMessage;
use vmbus_fuzz::channel::{Lists, Mangle};
use vmbus_fuzz::decode::{self, Decoder};
use vmbus_fuzz::input::{Bytes, Seed, Steps};
use vmbus_fuzz::memory::Kind;
use vmbus_fuzz::{hypercall, storvsc, vmbus};

use line::Line;

/// Messages that begin alike, of which are taken.
const ALIKE: usize = 4;
/// Bytes in which they are alike.
const BEGIN: usize = 12;
/// Packets of one channel that become one seed.
const PACKETS: usize = 24;
/// Bytes of memory that a guest of the target's has for a request.
const MEMORY: u16 = 14 * 4096;
/// Of a storage packet, the header before the SRB, and in it the CDB.
const CDB_AT: usize = 12 + 16;

/// Writes seeds, each once.
pub struct Seeds {
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

    /// A seed for a decoder, unless there are enough of those that are alike by this key.
    fn decoder(&mut self, decoder: Decoder, key: Vec<u8>, bytes: &[u8]) -> Result<()> {
        let first = decoder.seed().first().copied().unwrap_or_default();
        let alike = self.alike.entry((first, key)).or_default();
        *alike += 1;
        if *alike > ALIKE {
            return Ok(());
        }
        let bytes = Bytes(bytes.to_vec());
        self.put("decode_all", decode::Input { decoder, bytes }.seed())
    }
}

/// How a message begins.
fn begin(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len().min(BEGIN)].to_vec()
}

/// Every message and packet for its decoder.
fn decoders(seeds: &mut Seeds, line: &Line<'_>) -> Result<()> {
    if line.kind() == "RNDIS" {
        return cards::decoders(seeds, line);
    }
    if !line.is_whole {
        return Ok(());
    }
    let bytes = &line.bytes;
    let decoder = match (line.device(), line.from_guest) {
        ("vmbus", true) => Decoder::VmbusGuest,
        ("vmbus", false) => Decoder::VmbusHost,
        ("scsi", true) => {
            if let (Some(cdb), Some(len)) = (bytes.get(CDB_AT..CDB_AT + 16), bytes.get(CDB_AT - 8)) {
                let cdb = &cdb[..usize::from(*len).min(16)];
                // Without the block: of each command, flags and page.
                seeds.decoder(Decoder::Scsi, cdb[..cdb.len().min(3)].to_vec(), cdb)?;
            }
            Decoder::StorvscGuest
        }
        ("scsi", false) => Decoder::StorvscHost,
        ("nic", true) => Decoder::NvspGuest,
        ("nic", false) => Decoder::NvspHost(0x6_0001),
        (_, true) => Decoder::IcGuest,
        (_, false) => Decoder::IcHost,
    };
    seeds.decoder(decoder, begin(bytes), bytes)
}

/// What the guest posted: as one dialogue with the bus, and each message by a hypercall.
fn bus(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    use vmbus::host::{Input, Message, Step};
    let mut steps: Vec<_> = (0..4).map(Step::Offer).collect();
    let mut posts = Vec::new();
    for line in lines
        .iter()
        .filter(|line| line.place == "vmbus" && line.from_guest && line.is_whole)
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

/// What the host sent to the bus's SINT: each message is taken.
fn messages(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    use hypercall::guest::{Input, Step};
    use hypercall::hypervisor::Change;
    let sint = 2;
    let steps: Vec<_> = lines
        .iter()
        .filter(|line| line.place == "vmbus" && !line.from_guest && line.is_whole)
        .flat_map(|line| {
            let message = Change::Message(sint, 1, 0, Bytes(line.bytes.clone()));
            [Step::Change(message), Step::Take(sint)]
        })
        .collect();
    for some in steps.chunks(2 * PACKETS).take(4) {
        let seed = Input {
            by_calls: false,
            steps: Steps(some.to_vec()),
        };
        seeds.put("hypercall_guest", seed.seed())?;
    }
    Ok(())
}

/// As much memory as a request takes, if there is as much.
fn memory(message: &GuestMessage) -> Option<Lists> {
    match message {
        GuestMessage::ExecuteSrb(srb) if srb.transfer_length.get() > 0 => {
            let bytes = u16::try_from(srb.transfer_length.get()).ok()?;
            (bytes <= MEMORY).then_some(Lists::Memory(1, 0, bytes, 2))
        }
        _ => Some(Lists::Nothing),
    }
}

/// Disks: what a driver sent from the first packet on, and later a few requests of each command and page.
fn disks(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    use storvsc::host::{Content, Input, NEGOTIATED, PRIMARY, Packet, Step};
    let mut alike: HashMap<_, usize> = HashMap::new();
    let (mut first, mut later) = (Vec::new(), Vec::new());
    let sent = lines
        .iter()
        .filter(|line| line.device() == "scsi" && line.from_guest && line.is_whole);
    for line in sent {
        let Ok(message) = GuestMessage::decode(&line.bytes) else {
            continue;
        };
        let Some(lists) = memory(&message) else {
            continue;
        };
        if line.place == "scsi/0" && first.len() < PACKETS {
            first.push((line, lists));
        } else if let GuestMessage::ExecuteSrb(srb) = message {
            let [code, flags, page, ..] = srb.cdb_or_sense;
            let seen = alike.entry((code, flags, page)).or_default();
            *seen += 1;
            if *seen <= ALIKE {
                later.push((line, lists));
            }
        }
    }
    for (negotiated, some) in [(PRIMARY, &first[..])]
        .into_iter()
        .chain(later.chunks(PACKETS).map(|some| (NEGOTIATED, some)))
    {
        let mut steps = Vec::new();
        for (id, (line, lists)) in (1..).zip(some) {
            let packet = Packet {
                id,
                wants_completion: true,
                lists: lists.clone(),
                long: true,
                content: Content::Raw(Bytes(line.bytes.clone())),
                mangle: Mangle::Nothing,
            };
            steps.extend([Step::Send(packet), Step::Serve(4), Step::Receive]);
        }
        let seed = Input {
            kind: Kind::PageList,
            negotiated,
            steps: Steps(steps),
        };
        seeds.put("storvsc_host", seed.seed())?;
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
    messages(&mut seeds, &lines)?;
    disks(&mut seeds, &lines)?;
    cards::to_hosts(&mut seeds, &lines)?;
    cards::to_guests(&mut seeds, &lines)?;
    cards::to_pairs(&mut seeds, &lines)?;
    println!(
        "{} seeds of {} messages and packets",
        seeds.written.len(),
        lines.len()
    );
    Ok(())
}
