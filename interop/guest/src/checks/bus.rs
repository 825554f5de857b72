//! Checks of the bus itself.

use vmbus_proto::guest::DisconnectReason;
use vmbus_proto::wire::interface;

use super::{Lab, disks, network};
use crate::report::Verdict;
use crate::{println, text};

/// By which protocol the kernel was entered. Whether it is the one that was meant is for whoever started it to say.
pub(super) fn boot(lab: &mut Lab<'_>) -> Verdict {
    Ok(text!("{}", lab.boot.protocol))
}

/// The host and the guest agree on a version.
pub(super) fn version(lab: &mut Lab<'_>) -> Verdict {
    let connected = lab.session.connect()?;
    lab.connected = Some(connected);
    println!("@version {}", connected.version.dotted());
    Ok(text!(
        "{}, messages to connection {}",
        connected.version.dotted(),
        connected.message_connection.0
    ))
}

/// What is offered, each by its class.
pub(super) fn offers(lab: &mut Lab<'_>) -> Verdict {
    lab.connected.ok_or(text!("there is no connection"))?;
    for offer in lab.session.offers() {
        let class = interface::NAMED
            .iter()
            .find(|(interface, _)| *interface == offer.interface)
            .map_or("unknown", |(_, name)| *name);
        println!("offer {}: {} {}", offer.channel, class, offer.instance);
    }
    let breaches = lab.session.breaches();
    if breaches > 0 {
        return Err(text!("{breaches} messages broke the protocol"));
    }
    lab.offers = lab.session.offers().len();
    Ok(text!("{} offers", lab.offers))
}

/// The guest takes leave, and everything that it lent comes back.
pub(super) fn unload(lab: &mut Lab<'_>) -> Verdict {
    let connected = lab.connected.take().ok_or(text!("there is no connection"))?;
    // The NIC is shut down first, the disk left open: a host copes with either.
    if let Some(card) = lab.card.take() {
        card.shut_down(&mut lab.session, connected.version)?;
    }
    if let Some(drive) = lab.disk.take() {
        drive.give_up();
    }
    match lab.session.unload()? {
        DisconnectReason::Unloaded => Ok(text!("answered")),
        reason => Err(text!("the connection ended otherwise: {reason:?}")),
    }
}

/// After the unload, a second connection offers and does what the first did.
pub(super) fn reconnect(lab: &mut Lab<'_>) -> Verdict {
    if lab.connected.is_some() {
        unload(lab)?;
    }
    let connected = lab.session.connect()?;
    lab.connected = Some(connected);
    let offers = lab.session.offers().len();
    if offers != lab.offers {
        return Err(text!("{offers} offers, and {} the first time", lab.offers));
    }
    let disk = disks::again(lab)?;
    let network = network::again(lab)?;
    let troubles = lab.session.troubles();
    if troubles > 0 {
        return Err(text!("{troubles} troubles on the way, told above"));
    }
    Ok(text!(
        "{}, {offers} offers{disk}{network}",
        connected.version.dotted()
    ))
}
