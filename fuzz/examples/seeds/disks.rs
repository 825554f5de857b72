//! Disks: the requests of a driver's for our host, and what they were answered for our driver.

use std::collections::{HashMap, HashSet};
use std::io::Result;

use storvsc_proto::scsi::Command;
use storvsc_proto::wire::{DataDirection, GuestMessage, HostMessage, ScsiRequest};
use vmbus_fuzz::channel::{Lists, Mangle};
use vmbus_fuzz::input::{Bytes, Seed, Steps};
use vmbus_fuzz::memory::Kind;
use vmbus_fuzz::storvsc;

use super::line::Line;
use super::{ALIKE, PACKETS, Seeds, is_early};

/// Bytes of memory that a guest of the target's has for a request.
const MEMORY: u16 = 14 * 4096;

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
pub fn to_hosts(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    use storvsc::host::{Content, Input, NEGOTIATED, PRIMARY, Packet, Step};
    let mut alike = HashMap::new();
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
            if is_early(&mut alike, (code, flags, page), ALIKE) {
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

/// What was answered to a driver, for ours: how it came to terms with the host, and then a few of each kind of answer.
pub fn to_guests(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    use storvsc::guest::{Answer, Input, Step};
    let mut asked = HashMap::new();
    let mut alike = HashMap::new();
    let (mut first, mut later) = (vec![Step::Poll], Vec::new());
    // One controller of several says what the others say, too.
    let mut said = HashSet::new();
    for line in lines
        .iter()
        .filter(|line| line.device() == "scsi" && line.is_whole)
    {
        if line.from_guest {
            if let Ok(message) = GuestMessage::decode(&line.bytes) {
                asked.insert((line.place, line.id()), (message, &line.bytes));
            }
            continue;
        }
        let (Some((message, request)), Ok(answer)) = (
            asked.remove(&(line.place, line.id())),
            HostMessage::decode(&line.bytes),
        ) else {
            continue;
        };
        let answered = Step::Answer(0, false, Answer::Raw(Bytes(line.bytes.clone())), Mangle::Nothing);
        match message {
            GuestMessage::ExecuteSrb(srb) => {
                let HostMessage::CompleteIo(completion) = answer else {
                    continue;
                };
                let (Ok(outcome), Some(command)) = (completion.srb(), command(&srb)) else {
                    continue;
                };
                let key = (
                    srb.cdb_or_sense[0],
                    outcome.srb_status,
                    outcome.scsi_status,
                    outcome.cdb_or_sense[2],
                );
                if is_early(&mut alike, key, ALIKE) {
                    later.push([command, Step::Take, answered, Step::Poll]);
                }
            }
            _ if !said.insert(request) => {}
            GuestMessage::CreateSubChannels(count) => {
                let ask = Step::CreateSubChannels(u8::try_from(count).unwrap_or(u8::MAX));
                first.extend([ask, Step::Take, answered, Step::Poll]);
            }
            _ => first.extend([Step::Take, answered, Step::Poll]),
        }
    }
    let mut put = |start, steps| {
        let kind = Kind::PageList;
        let steps = Steps(steps);
        seeds.put("storvsc_guest", Input { kind, start, steps }.seed())
    };
    put(1, first)?;
    for some in later.chunks(PACKETS) {
        put(2, some.concat())?;
    }
    Ok(())
}

/// What a driver did with blocks, as often as it is taken, for our driver and our disk.
pub fn to_pairs(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    use storvsc::pair::{Input, Step, What};
    let mut alike = HashMap::new();
    let mut steps = Vec::new();
    for line in lines
        .iter()
        .filter(|line| line.device() == "scsi" && line.from_guest && line.is_whole)
    {
        let Ok(GuestMessage::ExecuteSrb(srb)) = GuestMessage::decode(&line.bytes) else {
            continue;
        };
        let Some(command) = srb.cdb().ok().and_then(|cdb| Command::parse(&cdb).ok()) else {
            continue;
        };
        let (what, lba, blocks) = match command {
            Command::Read { lba, blocks, .. } => (What::Read, lba, blocks),
            Command::Write {
                lba,
                blocks,
                force_unit_access,
            } => (What::Write(lba as u8, force_unit_access), lba, blocks),
            Command::SynchronizeCache { .. } => (What::Flush, 0, 0),
            Command::Unmap { .. } => (What::Discard(8), 0, 8),
            _ => continue,
        };
        // The target's disk is small.
        let (lba, blocks) = ((lba % 64) as u8, blocks.min(8) as u8);
        if is_early(&mut alike, (srb.cdb_or_sense[0], blocks), ALIKE) {
            steps.push([Step::Blocks(0, what, lba, blocks), Step::Serve(1), Step::Poll]);
        }
    }
    // Disks that are known, and the first of them full.
    let full = (0..8).flat_map(|part| {
        let write = Step::Blocks(0, What::Write(part + 1, false), part * 8, 8);
        [write, Step::Serve(1), Step::Poll]
    });
    for (lun, some) in (1..).zip(steps.chunks(PACKETS)) {
        let mut steps = vec![Step::Identify(0), Step::Identify(lun)];
        steps.extend(full.clone());
        steps.extend(some.concat());
        let seed = Input {
            kind: Kind::PageList,
            steps: Steps(steps),
        };
        seeds.put("storvsc_pair", seed.seed())?;
    }
    Ok(())
}

/// Our driver sends such a command, unless its buffer would be too long.
fn command(srb: &ScsiRequest) -> Option<storvsc::guest::Step> {
    let [a, b, c, d, e, f, ..] = srb.cdb_or_sense;
    let bytes = u16::try_from(srb.transfer_length.get()).ok()?;
    let direction = match (srb.direction, bytes) {
        (_, 0) => 0,
        (DataDirection::IN, _) => 1,
        _ => 2,
    };
    let cdb = [a, b, c, d, e, f];
    Some(storvsc::guest::Step::Submit(srb.lun, cdb, direction, bytes))
}
