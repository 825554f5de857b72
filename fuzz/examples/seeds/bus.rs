//! The control plane: a dialogue of the guest's messages for our host, and of the host's for our guest.

use std::collections::HashSet;
use std::io::Result;

use vmbus_fuzz::channel::Mangle;
use vmbus_fuzz::input::{Bytes, Seed, Steps};
use vmbus_fuzz::vmbus::guest::{Message, Step};
use vmbus_fuzz::{hypercall, vmbus};
use vmbus_proto::wire::{BODY_VALUES_MAX, GuestMessage, Guid, HEADER_SIZE, HostMessage, interface};

use super::line::Line;
use super::{PACKETS, Seeds};

/// Messages of one GPADL that are posted at most: our guest lends no more than 255 pages.
const MESSAGES: usize = 10;
/// What our guest has to say is posted, and the hypervisor takes it.
const POSTED: Step = Step::Post(9);

/// What the guest posted: as one dialogue with the bus, and each message by a hypercall.
pub fn to_hosts(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
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
pub fn to_synics(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
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

/// What the host sent and the guest did, for our guest: for each kind of device a dialogue of its own, as the target's guest has no room for
/// more of them. What the guest names is named otherwise by ours, so that an honest host answers it.
pub fn to_guests(seeds: &mut Seeds, lines: &[Line<'_>]) -> Result<()> {
    for kind in [interface::SCSI, interface::NETWORK] {
        let steps = Steps(Dialogue::new(kind, lines).steps);
        let connected = false;
        seeds.put("vmbus_guest", vmbus::guest::Input { connected, steps }.seed())?;
    }
    Ok(())
}

/// A message of the host's, byte for byte.
fn as_it_is(line: &Line<'_>) -> Step {
    let body = Bytes(line.bytes[HEADER_SIZE..].to_vec());
    Step::Hear(Message::Raw(line.bytes[0], body), Mangle::Nothing)
}

/// Our guest doing as another did.
struct Dialogue {
    /// The devices that there are to it.
    kind: Guid,
    /// GPADLs that hold rings.
    rings: HashSet<u32>,
    /// Relids that were offered, and the GPADLs of their channels, each list in order.
    relids: Vec<u32>,
    gpadls: Vec<u32>,
    steps: Vec<Step>,
}

impl Dialogue {
    fn new(kind: Guid, lines: &[Line<'_>]) -> Self {
        let lines = || lines.iter().filter(|line| line.place == "vmbus" && line.is_whole);
        let of_guest = lines().filter(|line| line.from_guest);
        let rings = of_guest.filter_map(|line| match GuestMessage::decode(&line.bytes) {
            Ok(GuestMessage::OpenChannel(open)) => Some(open.request.ring_gpadl.value()),
            _ => None,
        });
        let mut dialogue = Self {
            kind,
            rings: rings.collect(),
            relids: Vec::new(),
            gpadls: Vec::new(),
            steps: Vec::new(),
        };
        for line in lines() {
            if line.from_guest {
                dialogue.guest(line);
            } else {
                dialogue.host(line);
            }
        }
        dialogue
    }

    /// How far back the target finds what is in a list of its own.
    fn back(list: &[u32], id: u32) -> Option<u8> {
        let back = list.iter().rev().position(|other| *other == id)?;
        u8::try_from(back).ok()
    }

    /// How far back this channel was offered, when it is one of the dialogue's.
    fn channel(&self, relid: u32) -> Option<u8> {
        Self::back(&self.relids, relid)
    }

    fn guest(&mut self, line: &Line<'_>) {
        let Ok(message) = GuestMessage::decode(&line.bytes) else {
            return;
        };
        let step = match message {
            GuestMessage::InitiateContact(_) => {
                self.steps.extend([Step::Connect, POSTED]);
                return;
            }
            GuestMessage::GpadlHeader(header) => {
                let request = header.request;
                let Some(which) = self.channel(request.relid.value()) else {
                    return;
                };
                let gpadl = request.gpadl.value();
                self.gpadls.push(gpadl);
                // Without the header of its only range.
                let values = usize::from(request.range_bytes.get()) / 8;
                let pages = u8::try_from(values - 1).unwrap_or(u8::MAX);
                let step = if self.rings.contains(&gpadl) {
                    Step::Open(which, pages, pages / 2)
                } else {
                    Step::Lend(which, pages)
                };
                let more = values
                    .saturating_sub(header.values.len())
                    .div_ceil(BODY_VALUES_MAX);
                self.steps.push(step);
                self.steps
                    .extend(std::iter::repeat_n(POSTED, 1 + more.min(MESSAGES)));
                return;
            }
            GuestMessage::CloseChannel(close) => self.channel(close.relid.value()).map(Step::Close),
            GuestMessage::GpadlTeardown(teardown) => {
                Self::back(&self.gpadls, teardown.gpadl.value()).map(Step::Teardown)
            }
            GuestMessage::RelIdReleased(released) => self.channel(released.relid.value()).map(Step::Release),
            GuestMessage::Unload => Some(Step::Unload),
            // Ours sends it by itself, when what comes before it is answered.
            _ => None,
        };
        if let Some(step) = step {
            self.steps.push(step);
            // Ours takes all memory back from a host whose channel it closes or releases, which not every driver does.
            for _ in 0..4 {
                self.steps
                    .extend([POSTED, Step::Answer(true), Step::Event, Step::Event]);
            }
        }
    }

    fn host(&mut self, line: &Line<'_>) {
        let Ok(message) = HostMessage::decode(&line.bytes) else {
            return;
        };
        let step = match message {
            HostMessage::OfferChannel(offer) if offer.offer.interface == self.kind => {
                self.relids.push(offer.offer.relid.value());
                as_it_is(line)
            }
            HostMessage::RescindChannelOffer(rescind) if self.channel(rescind.relid.value()).is_some() => {
                as_it_is(line)
            }
            HostMessage::GpadlCreated(created) if self.channel(created.relid.value()).is_some() => {
                Step::Answer(true)
            }
            HostMessage::OpenChannelResult(result) if self.channel(result.relid.value()).is_some() => {
                Step::Answer(true)
            }
            HostMessage::VersionResponse(_) | HostMessage::AllOffersDelivered => Step::Answer(true),
            _ => return,
        };
        self.steps.push(step);
        // A trace may have the guest's next message before the answer that led to it.
        self.steps.extend([Step::Event, Step::Event, POSTED]);
    }
}
