//! Makes seeds of what went over a real bus, for the targets that hear a guest or a host, and for the decoders.
//!
//!     cargo xtask linux --trace bus.trace --trace-bytes 4095
//!     cargo xtask linux --faults 1 --trace faults.trace --trace-bytes 4095
//!     cargo run --manifest-path fuzz/Cargo.toml --example seeds -- bus.trace faults.trace FOLDER
//!
//! Of the second run come devices that go and return, and requests that fail. `FOLDER` gets a folder for each target. Of messages that begin alike a few are taken. Packets and messages of which the trace does
//! not show all are left out, but for frames, which are cut.

mod bus;
mod cards;
mod disks;
mod line;
mod services;

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::io::{Error, ErrorKind, Result};
use std::path::PathBuf;

use vmbus_fuzz::decode::{self, Decoder};
use vmbus_fuzz::input::{Bytes, Seed};

use line::Line;

/// Messages that begin alike, of which are taken.
const ALIKE: usize = 4;
/// Bytes in which they are alike.
const BEGIN: usize = 12;
/// Packets of one channel that become one seed.
const PACKETS: usize = 24;
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
        if !is_early(&mut self.alike, (first, key), ALIKE) {
            return Ok(());
        }
        let bytes = Bytes(bytes.to_vec());
        self.put("decode_all", decode::Input { decoder, bytes }.seed())
    }
}

/// Counts what is alike by this key, and tells whether it is one of the first `most`.
pub fn is_early<K: Eq + Hash>(alike: &mut HashMap<K, usize>, key: K, most: usize) -> bool {
    let seen = alike.entry(key).or_default();
    *seen += 1;
    *seen <= most
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

/// All seeds of one trace.
fn of_trace(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    for line in lines {
        decoders(seeds, line)?;
    }
    bus::to_hosts(seeds, lines)?;
    bus::to_guests(seeds, lines)?;
    bus::to_synics(seeds, lines)?;
    disks::to_hosts(seeds, lines)?;
    disks::to_guests(seeds, lines)?;
    disks::to_pairs(seeds, lines)?;
    services::dialogues(seeds, lines)?;
    cards::to_hosts(seeds, lines)?;
    cards::to_guests(seeds, lines)?;
    cards::to_pairs(seeds, lines)
}

fn main() -> Result<()> {
    let mut traces: Vec<_> = std::env::args_os().skip(1).collect();
    let (Some(folder), false) = (traces.pop(), traces.is_empty()) else {
        let usage = "usage: seeds TRACE... FOLDER";
        return Err(Error::new(ErrorKind::InvalidInput, usage));
    };
    let mut seeds = Seeds {
        folder: folder.into(),
        written: HashSet::new(),
        alike: HashMap::new(),
    };
    let mut count = 0;
    for trace in traces {
        let text = std::fs::read_to_string(trace)?;
        let lines: Vec<_> = text.lines().filter_map(Line::read).collect();
        of_trace(&mut seeds, &lines)?;
        count += lines.len();
    }
    println!("{} seeds of {count} messages and packets", seeds.written.len());
    Ok(())
}
