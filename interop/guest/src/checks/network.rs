//! Checks of the network card.

use gateway::services::{HASH_PORT, Pattern, Request, SINK_PORT, SOURCE_PORT, Summary};
use vmbus_proto::wire::interface;

use super::Lab;
use super::disks::rate;
use crate::nic::{Card, pattern, request};
use crate::report::{Text, Verdict};
use crate::{println, text};

/// What is sent each way.
const TRANSFER: Request = Request {
    len: 16 << 20,
    seed: 42,
};
const PINGS: u16 = 5;

fn card<'a, 'm>(card: &'a mut Option<Card<'m>>) -> Result<&'a mut Card<'m>, Text> {
    card.as_mut().ok_or(text!("there is no network"))
}

/// The NIC comes up, and the gateway gives it an address.
pub(super) fn dhcp(lab: &mut Lab<'_>) -> Verdict {
    let offer = lab.session.device(interface::NETWORK, 0)?;
    let mut card = Card::open(&mut lab.session, &offer)?;
    let address = card.configure(&mut lab.session, &mut lab.sockets)?;
    let properties = *card.properties();
    lab.card = Some(card);
    Ok(text!(
        "NVSP {}, {}, MTU {}: {address}",
        properties.version,
        properties.mac,
        properties.mtu
    ))
}

/// The gateway answers.
pub(super) fn ping(lab: &mut Lab<'_>) -> Verdict {
    let card = card(&mut lab.card)?;
    card.ping(&mut lab.session, &mut lab.sockets, PINGS)?;
    Ok(text!("{PINGS} answers"))
}

/// What the gateway received is what was sent: it tells the same hash of it as of the pattern itself.
pub(super) fn tcp_up(lab: &mut Lab<'_>) -> Verdict {
    let (session, sockets, card) = (&mut lab.session, &mut lab.sockets, card(&mut lab.card)?);
    let start = session.now();
    let received = card.ask(session, sockets, SINK_PORT, pattern(TRANSFER.seed, TRANSFER.len))?;
    println!(
        "@figure tcp_up_mb_s {}",
        rate(TRANSFER.len, session.now() - start)
    );
    let expected = card.ask(session, sockets, HASH_PORT, request(TRANSFER))?;
    match Summary::parse(&received) {
        Some(summary) if received == expected && summary.len == TRANSFER.len => {
            Ok(text!("{} MiB, the gateway has the same", TRANSFER.len >> 20))
        }
        Some(summary) => Err(text!("the gateway received {summary}")),
        None => Err(text!("the gateway answered what is no summary")),
    }
}

/// What arrives is what the gateway was asked for.
pub(super) fn tcp_down(lab: &mut Lab<'_>) -> Verdict {
    let (session, sockets, card) = (&mut lab.session, &mut lab.sockets, card(&mut lab.card)?);
    let start = session.now();
    let mut pattern = Pattern::new(TRANSFER.seed);
    card.exchange(session, sockets, SOURCE_PORT, request(TRANSFER), |bytes| {
        pattern
            .check(bytes)
            .map_err(|place| text!("what arrived differs at byte {place}"))
    })?;
    println!(
        "@figure tcp_down_mb_s {}",
        rate(TRANSFER.len, session.now() - start)
    );
    if pattern.position() != TRANSFER.len {
        return Err(text!("{} bytes of {}", pattern.position(), TRANSFER.len));
    }
    Ok(text!("{} MiB, as asked for", TRANSFER.len >> 20))
}

/// After a second connection there is a network as before; nothing where there was none.
pub(super) fn again(lab: &mut Lab<'_>) -> Result<Text, Text> {
    if lab.session.device(interface::NETWORK, 0).is_err() {
        return Ok(Text::default());
    }
    dhcp(lab)?;
    ping(lab)?;
    Ok(text!(", the network answers"))
}
