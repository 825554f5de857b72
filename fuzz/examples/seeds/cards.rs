//! Network cards: dialogues of their packets with the RNDIS messages in them.

use std::collections::{HashMap, HashSet};
use std::io::Result;

use netvsc_proto::wire::nvsp::{ChannelType, MessageType as NvspType, NO_SECTION};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::{HEADER_LEN, MessageType, Packet as Head};
use netvsc_proto::wire::rndis_message::{GuestMessage, HostMessage};
use vmbus_fuzz::channel::{Lists, Mangle};
use vmbus_fuzz::decode::Decoder;
use vmbus_fuzz::input::{Bytes, Seed, Steps};
use vmbus_fuzz::memory::Kind;
use vmbus_fuzz::netvsc::guest_message::Place;
use vmbus_fuzz::netvsc::guest_rndis::{self, WhichOid};
use vmbus_fuzz::netvsc::host_message::Rndis;
use vmbus_fuzz::netvsc::{guest, host, pair};

use super::line::Line;
use super::{PACKETS, Seeds, is_early};

/// Frames of one shape that are taken.
const ALIKE: usize = 2;
/// Bytes of a frame that are taken: headers. What follows, nobody looks at.
const FRAME: usize = 96;
/// NVSP messages of our driver's before its first RNDIS message.
const NVSP_MESSAGES: usize = 5;
/// A packet, and the messages that it carries.
struct Packet<'a> {
    line: &'a Line<'a>,
    messages: Vec<Vec<u8>>,
}

/// An RNDIS message as it is, but that a frame ends early. None where the trace shows too little.
pub fn message(line: &Line<'_>) -> Option<Vec<u8>> {
    let mut bytes = line.bytes.clone();
    if line.word(0) != MessageType::PACKET.value() {
        return line.is_whole.then_some(bytes);
    }
    let data = HEADER_LEN + usize::try_from(line.word(HEADER_LEN)).ok()?;
    let ppi_end = HEADER_LEN + (line.word(28) + line.word(32)) as usize;
    if data < ppi_end || data < HEADER_LEN + size_of::<Head>() {
        // Not as both ends lay it out: it has to be whole.
        return line.is_whole.then_some(bytes);
    }
    let len = (line.word(12) as usize).min(bytes.len().checked_sub(data)?);
    let len = len.min(FRAME);
    bytes.truncate(data + len);
    for (at, value) in [(4, data + len), (12, len)] {
        bytes[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
    }
    Some(bytes)
}

/// What two messages have in common that are alike: of a frame, how it is described and what it is.
fn shape(bytes: &[u8]) -> Vec<u8> {
    match GuestMessage::decode(bytes) {
        Ok(GuestMessage::Packet(packet)) => {
            let mut shape: Vec<_> = packet
                .records()
                .filter_map(|record| Some(record.ok()?.kind.value() as u8))
                .collect();
            shape.extend(packet.data.get(12..14).unwrap_or_default());
            shape.extend(packet.data.get(23));
            shape
        }
        // Without the id of the request.
        _ => [&bytes[..4.min(bytes.len())], bytes.get(12..).unwrap_or_default()].concat(),
    }
}

/// Packets of all channels with their messages, in order. Those whose message is not known are left out.
fn packets<'a>(lines: &'a [Line<'a>]) -> Vec<Packet<'a>> {
    let mut packets: Vec<Packet<'_>> = Vec::new();
    let mut seen: HashMap<_, usize> = HashMap::new();
    for line in lines.iter().filter(|line| line.device() == "nic") {
        if line.kind() != "RNDIS" {
            let messages = Vec::new();
            packets.push(Packet { line, messages });
            continue;
        }
        let same = |packet: &&mut Packet<'_>| {
            let of = packet.line;
            (of.place, of.from_guest, of.id()) == (line.place, line.from_guest, line.id())
        };
        if let (Some(packet), Some(bytes)) = (packets.iter_mut().rev().find(same), message(line))
            && is_early(&mut seen, (line.from_guest, shape(&bytes)), ALIKE)
        {
            packet.messages.push(bytes);
        }
    }
    packets.retain(|packet| packet.line.is_whole && (is_empty(packet.line) || !packet.messages.is_empty()));
    packets
}

/// Whether a packet carries no RNDIS.
fn is_empty(line: &Line<'_>) -> bool {
    line.word(0) != NvspType::SEND_RNDIS_PACKET.value()
}

/// What a guest sent, and what came for it, to our host. Completions are left out: they have to fit what our host sends, and its
/// peer makes them.
pub fn to_hosts(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    use host::{Content, Packet, Step};
    let mut steps = Vec::new();
    let mut up = false;
    let mut count = 0;
    let mut put = |steps: &mut Vec<Step>, up: bool| {
        let steps = Steps(std::mem::take(steps));
        if steps.0.is_empty() {
            return Ok(());
        }
        let input = host::Input {
            kind: Kind::PageList,
            offloads: true,
            up,
            steps,
        };
        seeds.put("netvsc_host", input.seed())
    };
    for packet in packets(lines) {
        let line = packet.line;
        let sub_channel = line.place != "nic/0";
        let begins = line.from_guest && line.word(0) == NvspType::INIT.value();
        if begins || count == PACKETS {
            put(&mut steps, up)?;
            up = !begins;
            count = 0;
        }
        if !line.from_guest {
            for bytes in &packet.messages {
                if let Ok(HostMessage::Packet(frame)) = HostMessage::decode(bytes) {
                    let to_all = frame.data.first().is_some_and(|first| first & 1 != 0);
                    let rest = Bytes(frame.data.get(6..).unwrap_or_default().to_vec());
                    steps.push(Step::Frame(sub_channel, to_all.into(), rest, 0, None));
                    steps.extend([Step::Flush(sub_channel), Step::Receive(sub_channel, true)]);
                    count += 1;
                }
            }
            continue;
        }
        if line.kind() == "COMPLETION" {
            continue;
        }
        count += 1;
        let content = if packet.messages.is_empty() {
            Content::Raw(Bytes(line.bytes.clone()))
        } else {
            let place = match line.word(8) {
                NO_SECTION => Place::Pages(0),
                index => Place::Section((index % 4) as u8),
            };
            let content = guest_rndis::Content::Raw(Bytes(packet.messages.concat()));
            let mangle = Mangle::Nothing;
            let control = line.word(4) == ChannelType::CONTROL.value();
            Content::Rndis(control, place, guest_rndis::Rndis { content, mangle })
        };
        let packet = Packet {
            sub_channel,
            id: count as u16,
            wants_completion: true,
            lists: Lists::Nothing,
            content,
            mangle: Mangle::Nothing,
        };
        steps.extend([
            Step::Send(packet),
            Step::Serve(sub_channel, 4),
            Step::Serve(sub_channel, 4),
            Step::Receive(sub_channel, true),
            Step::Receive(sub_channel, true),
        ]);
    }
    put(&mut steps, up)
}

/// What a guest asked by RNDIS, as often as it is taken, and what it was answered; and what else came.
fn dialogue(lines: &[Line<'_>]) -> Vec<(Option<pair::Ask>, Vec<u8>)> {
    let (mut asked, mut dialogue) = (HashMap::new(), Vec::new());
    for bytes in packets(lines).iter().flat_map(|packet| &packet.messages) {
        let own = |bytes: &[u8]| Bytes(bytes.to_vec());
        match GuestMessage::decode(bytes) {
            Ok(GuestMessage::Query(request, info)) => {
                let oid = WhichOid::Raw(request.oid.value());
                asked.insert(request.request_id, pair::Ask::Query(oid, own(info)));
            }
            Ok(GuestMessage::Set(request, info)) => {
                let ask = match (request.oid, info) {
                    // What the driver's engine asks in its own words.
                    (Oid::GEN_CURRENT_PACKET_FILTER, [low, high, ..]) => {
                        pair::Ask::Filter(u16::from_le_bytes([*low, *high]))
                    }
                    (Oid::TCP_OFFLOAD_PARAMETERS, _) => continue,
                    (oid, _) => pair::Ask::Set(WhichOid::Raw(oid.value()), own(info)),
                };
                asked.insert(request.request_id, ask);
            }
            _ => {}
        }
        let ask = match HostMessage::decode(bytes) {
            Ok(HostMessage::QueryComplete(answer, _)) => asked.remove(&answer.request_id),
            Ok(HostMessage::SetComplete(answer)) => asked.remove(&answer.request_id),
            Ok(HostMessage::IndicateStatus(..) | HostMessage::InitializeComplete(_)) => {
                dialogue.push((None, bytes.clone()));
                continue;
            }
            _ => continue,
        };
        dialogue.extend(ask.map(|ask| (Some(ask), bytes.clone())));
    }
    dialogue
}

/// What a host answered, as an answer to what our driver asked last.
fn answer(bytes: &[u8]) -> Rndis {
    match HostMessage::decode(bytes) {
        Ok(HostMessage::QueryComplete(answer, info)) => {
            Rndis::QueryComplete(0, answer.status.value(), Bytes(info.to_vec()))
        }
        Ok(HostMessage::SetComplete(answer)) => Rndis::SetComplete(0, answer.status.value()),
        Ok(HostMessage::InitializeComplete(answer)) => {
            let (major, medium) = (answer.major_version.get() as u8, answer.medium.value() as u8);
            Rndis::InitializeComplete(0, answer.status.value(), major, medium)
        }
        _ => Rndis::Raw(Bytes(bytes.to_vec())),
    }
}

/// The driver and the host look as often as either can have something.
fn look() -> impl Iterator<Item = guest::Step> {
    let polls = std::iter::repeat_n(guest::Step::Poll(false), 6);
    polls.chain(std::iter::repeat_n(guest::Step::Take(false), 3))
}

/// The host puts a message into another part of the buffer each time.
fn give(steps: &mut Vec<guest::Step>, rndis: Rndis) {
    let given = steps.iter().filter(|step| matches!(step, guest::Step::Give(..)));
    let part = given.count() as u8;
    steps.push(guest::Step::Give(false, part, 0, rndis, Mangle::Nothing));
    steps.extend(look());
}

/// The host takes what the driver asked after so many other questions, and says this to it.
fn reply(steps: &mut Vec<guest::Step>, asked: &mut u8, rndis: Rndis) {
    let taken = guest::Answer::Taken;
    steps.extend(look());
    steps.push(guest::Step::Answer(*asked, false, taken, Mangle::Nothing));
    give(steps, rndis);
    *asked += 1;
}

/// What a host answered and indicated, and the frames that it gave, to our driver.
pub fn to_guests(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    use guest::{Answer, Step};
    let mut put = |start, steps| {
        let input = guest::Input {
            kind: Kind::PageList,
            version: 0,
            start,
            steps: Steps(steps),
        };
        seeds.put("netvsc_guest", input.seed())
    };
    let dialogue = dialogue(lines);

    // The driver comes up by what the host answered to Linux. It asks the same in the same order, but for a name.
    let (mut steps, mut asked) = (Vec::new(), 0);
    for _ in 0..NVSP_MESSAGES {
        steps.extend(look());
        steps.push(Step::Answer(0, false, Answer::Well, Mangle::Nothing));
    }
    let mut seen = HashSet::from([Oid::GEN_FRIENDLY_NAME.value()]);
    for (ask, bytes) in &dialogue {
        let is_next = match ask {
            None => asked == 0,
            Some(pair::Ask::Query(WhichOid::Raw(oid), _)) => seen.insert(*oid),
            _ => false,
        };
        if is_next {
            reply(&mut steps, &mut asked, answer(bytes));
        }
    }
    put(0, steps)?;

    for some in dialogue.chunks(PACKETS / 4) {
        let (mut steps, mut asked) = (Vec::new(), 0);
        for (ask, bytes) in some {
            match (ask, answer(bytes)) {
                (Some(ask), rndis) => {
                    steps.push(Step::Ask(ask.clone()));
                    reply(&mut steps, &mut asked, rndis);
                }
                (None, rndis @ Rndis::Raw(_)) => give(&mut steps, rndis),
                (None, _) => {}
            }
        }
        put(1, steps)?;
    }
    let frames = packets(lines);
    let frames: Vec<_> = frames
        .iter()
        .filter(|packet| !packet.line.from_guest)
        .flat_map(|packet| &packet.messages)
        .filter(|bytes| matches!(HostMessage::decode(bytes), Ok(HostMessage::Packet(_))))
        .collect();
    for some in frames.chunks(PACKETS) {
        let mut steps = Vec::new();
        for bytes in some {
            give(&mut steps, Rndis::Raw(Bytes(bytes.to_vec())));
        }
        put(1, steps)?;
    }
    Ok(())
}

/// The same questions to our own host.
pub fn to_pairs(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    use pair::Step;
    let dialogue = dialogue(lines);
    let asks = dialogue.iter().filter_map(|(ask, _)| ask.clone());
    let steps: Vec<_> = asks.flat_map(|ask| [Step::Ask(ask), Step::Settle]).collect();
    if steps.is_empty() {
        return Ok(());
    }
    let input = pair::Input {
        kind: Kind::PageList,
        version: 0,
        offloads: true,
        start: 1,
        steps: Steps(steps),
    };
    seeds.put("netvsc_pair", input.seed())
}

/// The messages, and what a frame is described by.
pub fn decoders(seeds: &mut Seeds, line: &Line<'_>) -> Result<()> {
    let Some(bytes) = message(line) else {
        return Ok(());
    };
    let (decoder, ppi) = if line.from_guest {
        let ppi = match GuestMessage::decode(&bytes) {
            Ok(GuestMessage::Packet(packet)) => packet.ppi,
            _ => &[],
        };
        (Decoder::RndisGuest, ppi)
    } else {
        let ppi = match HostMessage::decode(&bytes) {
            Ok(HostMessage::Packet(packet)) => packet.ppi,
            _ => &[],
        };
        (Decoder::RndisHost, ppi)
    };
    if !ppi.is_empty() {
        seeds.decoder(Decoder::PacketInfo, shape(&bytes), ppi)?;
    }
    seeds.decoder(decoder, shape(&bytes), &bytes)
}
