//! Checks of a host that is attacked: it refuses what it gets, a disk beside it goes on being read, and all is well when it is over.

use vmbus_proto::guest::Hal as _;
use vmbus_proto::wire::{Guid, interface};

use super::{Lab, bus, disks};
use crate::attack::bytes::{Bytes, Dice, put};
use crate::attack::ring::Rings;
use crate::attack::{messages, packets, payloads};
use crate::report::{Text, Verdict};
use crate::session::Session;
use crate::{cpu, text};

/// Rounds of each attack, after each of which the disk is read.
const ROUNDS: u32 = 20;
/// Messages of a round, and calls.
const MESSAGES: u32 = 150;
/// Packets of a round.
const PACKETS: u32 = 100;
/// Channels whose rings are ruined.
const RUINED: u32 = 40;

/// Codes that the host below has user space answer, and which this project's VMM knows: post a message, signal an event.
const CALLS: [u32; 2] = [0x5C, 0x5D];
/// Calls by which a processor is interrupted: this one would not know by what.
const INTERRUPTING: [u32; 2] = [0x0B, 0x15];

const SERVICES: [(&str, Guid); 3] = [
    ("heartbeat", interface::HEARTBEAT),
    ("shutdown", interface::SHUTDOWN),
    ("time", interface::TIME_SYNC),
];

/// From here on the host hears nothing right, but for the disk beside.
pub(super) fn begin(lab: &mut Lab<'_>) -> Verdict {
    // Memory that this kernel touches later for the first time would look like the host's.
    let mut blocks = heapless::Vec::<_, 64>::new();
    while let Ok(block) = lab.session.pages(64) {
        if blocks.push(block).is_err() {
            break;
        }
    }
    drop(blocks);
    cpu::weigh_host();
    lab.session.provoke(true);
    Ok(text!("{} offers", lab.session.offers().len()))
}

/// Channel messages that no guest should post.
pub(super) fn messages(lab: &mut Lab<'_>) -> Verdict {
    let connected = lab.connected.ok_or(text!("there is no connection"))?;
    let mut known = heapless::Vec::<u32, 32>::new();
    known.extend(
        lab.session
            .offers()
            .iter()
            .map(|offer| offer.channel.relid().value())
            .take(32),
    );
    let spared = disks::channel(lab)?.relid().value();
    let mut refused = 0;
    for round in 0..ROUNDS {
        for _ in 0..MESSAGES {
            let message = messages::message(&mut lab.dice, &known, &[spared]);
            let status = lab
                .session
                .platform()
                .post(connected.message_connection, &message);
            refused += u32::from(!status.is_success());
            lab.session.look();
        }
        disks::bystander(lab, round)?;
    }
    Ok(text!(
        "{} posted, {refused} not taken; the disk was read meanwhile",
        ROUNDS * MESSAGES
    ))
}

/// Hypercalls with codes, flags, counts and addresses of any kind.
pub(super) fn calls(lab: &mut Lab<'_>) -> Verdict {
    let connected = lab.connected.ok_or(text!("there is no connection"))?;
    let spared = disks::channel(lab)?.relid().value();
    let scratch = lab.session.pages(1)?;
    let address = scratch.pfns().first().map_or(0, |pfn| pfn.get() << 12);
    let base = scratch.base().ok_or(text!("a block of no pages"))?;
    let mut successes = 0;
    for round in 0..ROUNDS {
        for _ in 0..MESSAGES {
            let dice = &mut lab.dice;
            let mut input = Bytes::new();
            let connection = if dice.one_in(3) {
                dice.word()
            } else {
                connected.message_connection.0
            };
            let (kind, size) = (dice.below(4), dice.word());
            put(&mut input, &[connection, 0, kind, size]);
            let _fits = input.extend_from_slice(&messages::message(dice, &[], &[spared]));
            // SAFETY: the page is this function's, and the input is shorter than it.
            unsafe {
                base.as_ptr()
                    .copy_from_nonoverlapping(input.as_ptr(), input.len())
            };
            let code = if dice.one_in(4) {
                dice.word() & 0xFFFF
            } else {
                dice.of(&CALLS)
            };
            if INTERRUPTING.contains(&code) {
                continue;
            }
            let control = if dice.one_in(2) { 0 } else { dice.number() << 16 };
            let first = match dice.below(4) {
                0 => dice.number(),
                1 => address + 4096 - u64::from(dice.below(300)),
                _ => address,
            };
            // SAFETY: the calls that the hypervisor knows write no memory, or only to where the second parameter leads, and those that
            // interrupt a processor are left out.
            let status = unsafe {
                lab.session
                    .platform()
                    .call(control | u64::from(code), first, address)
            };
            successes += u32::from(status.is_success());
            lab.session.look();
        }
        disks::bystander(lab, round)?;
    }
    Ok(text!(
        "{} made, {successes} of them taken; the disk was read meanwhile",
        ROUNDS * MESSAGES
    ))
}

/// What the host was told until now ends with the connection: the next one is as the first.
pub(super) fn leave(lab: &mut Lab<'_>) -> Verdict {
    bus::unload(lab)?;
    lab.session.provoke(false);
    let connected = lab.session.connect()?;
    lab.connected = Some(connected);
    let offers = lab.session.offers().len();
    if offers != lab.offers {
        return Err(text!("{offers} offers, and {} before", lab.offers));
    }
    let disk = disks::again(lab)?;
    lab.session.provoke(true);
    Ok(text!("{offers} offers{disk}"))
}

/// A device that is attacked: how its negotiation goes, and what it reads.
struct Victim {
    interface: Guid,
    index: usize,
    hello: fn(usize) -> Option<Bytes>,
    payload: fn(&mut Dice) -> Bytes,
}

const DISK: Victim = Victim {
    interface: interface::SCSI,
    index: 1,
    hello: payloads::storage_hello,
    payload: payloads::storage,
};
const CARD: Victim = Victim {
    interface: interface::NETWORK,
    index: 0,
    hello: payloads::network_hello,
    payload: payloads::network,
};

impl Victim {
    /// Opens the channel and says what is right to say first, or does not.
    fn open(&self, session: &mut Session<'_>, dice: &mut Dice) -> Result<Rings, Text> {
        let offer = session.device(self.interface, self.index)?;
        let mut rings = Rings::new(session.open(offer.channel)?);
        if !dice.one_in(4) {
            for hello in (0..).map_while(self.hello) {
                rings.send(session, &packets::in_band(&hello))?;
            }
        }
        Ok(rings)
    }
}

/// Sends packets that are whole and make no sense.
fn nonsense(lab: &mut Lab<'_>, victim: &Victim) -> Verdict {
    let scratch = lab.session.pages(8)?;
    let base = scratch.base().ok_or(text!("a block of no pages"))?;
    let mut pages = heapless::Vec::<u64, 8>::new();
    pages.extend(scratch.pfns().iter().map(|pfn| pfn.get()).take(8));
    let (mut sent, mut reopened) = (0, 0);
    for round in 0..ROUNDS {
        let mut rings = victim.open(&mut lab.session, &mut lab.dice)?;
        for _ in 0..PACKETS {
            let dice = &mut lab.dice;
            let rndis = payloads::rndis(dice);
            // SAFETY: the pages are this function's; the host may read and write them at the same time, which nobody else looks at.
            unsafe {
                base.as_ptr()
                    .copy_from_nonoverlapping(rndis.as_ptr(), rndis.len())
            };
            let payload = if dice.one_in(3) && victim.interface == interface::NETWORK {
                payloads::rndis_announcement(dice)
            } else {
                (victim.payload)(dice)
            };
            let packet = packets::packet(dice, &payload, &pages);
            if !rings.send(&mut lab.session, &packet)? {
                reopened += 1;
                lab.session.close(rings.give_up())?;
                rings = victim.open(&mut lab.session, &mut lab.dice)?;
            }
            sent += 1;
        }
        rings.settle(&mut lab.session)?;
        lab.session.close(rings.give_up())?;
        disks::bystander(lab, round)?;
    }
    Ok(text!(
        "{sent} packets, the channel given up by the host {reopened} times; the disk was read meanwhile"
    ))
}

/// SCSI requests and storage messages.
pub(super) fn storage(lab: &mut Lab<'_>) -> Verdict {
    nonsense(lab, &DISK)
}

/// NVSP and RNDIS messages.
pub(super) fn network(lab: &mut Lab<'_>) -> Verdict {
    nonsense(lab, &CARD)
}

/// Anything, for services that have messages of their own.
pub(super) fn services(lab: &mut Lab<'_>) -> Verdict {
    let mut told = Text::default();
    for (name, interface) in SERVICES {
        let victim = Victim {
            interface,
            index: 0,
            hello: |_| None,
            payload: payloads::network,
        };
        let verdict = nonsense(lab, &victim).map_err(|why| text!("{name}: {why}"))?;
        told = text!("{name}: {verdict}");
    }
    Ok(told)
}

/// Packets whose heads lie, and indices.
pub(super) fn rings(lab: &mut Lab<'_>) -> Verdict {
    for round in 0..RUINED {
        let victim = if lab.dice.one_in(2) { DISK } else { CARD };
        let mut rings = victim.open(&mut lab.session, &mut lab.dice)?;
        for _ in 0..4 {
            let payload = (victim.payload)(&mut lab.dice);
            let packet = packets::broken(&mut lab.dice, &payload);
            rings.send(&mut lab.session, &packet)?;
        }
        if lab.dice.one_in(2) {
            rings.lie(&mut lab.session, &mut lab.dice)?;
        }
        rings.settle(&mut lab.session)?;
        lab.session.close(rings.give_up())?;
        disks::bystander(lab, round)?;
    }
    Ok(text!("{RUINED} channels ruined; the disk was read meanwhile"))
}

/// All is well when it is over.
pub(super) fn reconnect(lab: &mut Lab<'_>) -> Verdict {
    lab.session.provoke(false);
    let verdict = bus::reconnect(lab);
    cpu::weigh_host();
    verdict
}
