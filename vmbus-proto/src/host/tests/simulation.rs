//! Well-behaved guests, seeded: whatever the order in which things happen, all of them end up with what they wanted.

use std::collections::{BTreeMap, VecDeque};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::testing::Dice;

/// How far a guest is with a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Progress {
    Offered,
    Lending,
    Lent,
    Opening,
    Open,
    Moving,
    TearingDown,
    Done,
}

/// A guest that opens what it is offered, moves it, closes it and takes its memory back, a few times over; it posts again what the host
/// has no room for, and lets go of what is rescinded.
struct Guest {
    version: Version,
    channels: BTreeMap<RelId, (Progress, u32)>,
    posts: VecDeque<Vec<u8>>,
    all_offers: bool,
    unloaded: bool,
    rounds: u32,
}

impl Guest {
    fn post(&mut self, message: &GuestMessage<'_>) {
        self.posts.push_back(message.encode().unwrap().to_vec());
    }

    fn ring(relid: RelId, round: u32) -> GpadlId {
        GpadlId::new(relid.value() << 8 | round)
    }

    fn hear(&mut self, message: &HostMessage) {
        let mut next = Vec::new();
        match message {
            HostMessage::VersionResponse(response) if response.version_supported() => {
                self.post(&GuestMessage::RequestOffers);
            }
            HostMessage::VersionResponse(_) => panic!("{} is refused", self.version),
            HostMessage::OfferChannel(offer) => {
                let was = self.channels.insert(offer.offer.relid, (Progress::Offered, 0));
                assert_eq!(was, None, "an id that is taken");
                next.push(offer.offer.relid);
            }
            HostMessage::AllOffersDelivered => self.all_offers = true,
            HostMessage::GpadlCreated(created) => {
                assert!(created.status.is_success());
                self.advance(created.relid, Progress::Lending, Progress::Lent, &mut next);
            }
            HostMessage::OpenChannelResult(result) => {
                assert!(result.status.is_success());
                self.advance(result.relid, Progress::Opening, Progress::Open, &mut next);
            }
            HostMessage::ModifyChannelResponse(response) => {
                self.advance(response.relid, Progress::Moving, Progress::TearingDown, &mut next);
            }
            HostMessage::GpadlTorndown(torndown) => {
                let relid = RelId::new(torndown.gpadl.value() >> 8);
                if let Some((_, round)) = self.channels.get_mut(&relid) {
                    *round += 1;
                }
                self.advance(relid, Progress::TearingDown, Progress::Offered, &mut next);
            }
            HostMessage::RescindChannelOffer(rescind) => {
                let (progress, _) = self.channels.remove(&rescind.relid).expect("it was offered");
                if let Progress::Open | Progress::Moving = progress {
                    self.post(&say::close_channel(rescind.relid));
                }
                self.post(&say::released(rescind.relid));
            }
            HostMessage::UnloadResponse => self.unloaded = true,
            other => panic!("{other}"),
        }
        for relid in next {
            self.act(relid);
        }
    }

    fn advance(&mut self, relid: RelId, from: Progress, to: Progress, next: &mut Vec<RelId>) {
        // What is rescinded is answered to the end.
        if let Some((progress, _)) = self.channels.get_mut(&relid)
            && *progress == from
        {
            *progress = to;
            next.push(relid);
        }
    }

    fn act(&mut self, relid: RelId) {
        let Some((progress, round)) = self.channels.get_mut(&relid) else {
            return;
        };
        let round = *round;
        let ring = Self::ring(relid, round);
        let vp = relid.value() % VP_COUNT;
        match *progress {
            Progress::Offered if round == self.rounds => *progress = Progress::Done,
            Progress::Offered => {
                *progress = Progress::Lending;
                let values = say::range(u64::from(relid.value()) << 12, 40);
                let bytes = u16::try_from(values.len() * 8).unwrap();
                self.post(&say::header(relid, ring, bytes, 1, &values[..27]));
                self.post(&say::body(ring, &values[27..]));
            }
            Progress::Lent => {
                *progress = Progress::Opening;
                self.post(&say::open_channel(OpenRequest {
                    target_vp: U32::new(vp),
                    ..say::open(relid, ring)
                }));
            }
            Progress::Open => {
                // Only from 5.3 on is there an answer to wait for.
                if self.version >= Version::IRON {
                    *progress = Progress::Moving;
                    self.post(&say::modify(relid, vp));
                } else {
                    *progress = Progress::TearingDown;
                    if self.version >= Version::WIN10_RS3_0 {
                        self.post(&say::modify(relid, vp));
                    }
                    self.close(relid, ring);
                }
            }
            Progress::TearingDown => self.close(relid, ring),
            Progress::Lending | Progress::Opening | Progress::Moving | Progress::Done => (),
        }
    }

    fn close(&mut self, relid: RelId, ring: GpadlId) {
        self.post(&say::close_channel(relid));
        self.post(&say::teardown(relid, ring));
    }
}

/// The embedder's devices: each does what it is asked to, some time later.
#[derive(Default)]
struct Devices {
    todo: Vec<Event>,
    opens: u32,
    closes: u32,
}

impl Devices {
    fn act<const C: usize, const G: usize, const R: usize>(
        &mut self,
        host: &mut Host<'_, C, G, R>,
        dice: &mut Dice,
    ) {
        if self.todo.is_empty() {
            return;
        }
        let index = usize::try_from(dice.roll(self.todo.len() as u64)).unwrap();
        match self.todo.swap_remove(index) {
            Event::Open { ticket, .. } => {
                self.opens += 1;
                Host::complete_open(host, ticket, Status::SUCCESS).unwrap();
            }
            Event::Close { ticket, .. } => {
                self.closes += 1;
                host.complete_close(ticket).unwrap();
            }
            Event::Modify { ticket, .. } => host.complete_modify(ticket),
            _ => (),
        }
    }
}

/// One run. Gives how often channels were opened.
fn run(seed: u64, version: Version, rescinds: u32) -> u32 {
    let mut dice = Dice(seed);
    let mut storage = vec![0; 41 * 5];
    let mut host: Host<'_, 8, 6, 3> = Host::new(HostConfig::new(VP_COUNT), &mut storage);
    let mut offered: VecDeque<(u64, ChannelId)> = (0..3)
        .map(|number| (number, host.offer(device(number)).unwrap()))
        .collect();
    let mut guest = Guest {
        version,
        channels: BTreeMap::new(),
        posts: VecDeque::new(),
        all_offers: false,
        unloaded: false,
        rounds: 4,
    };
    let mut devices = Devices::default();
    let mut rescinds_left = rescinds;
    guest.post(&say::initiate_contact(version));
    let mut unloading = false;
    for step in 0.. {
        assert!(
            step < 100_000,
            "seed {seed}: it does not end; {:?}",
            guest.channels
        );
        match dice.roll(5) {
            0 => {
                if let Some(post) = guest.posts.front() {
                    match host.handle_message(post) {
                        Err(HandleError::Busy) => (),
                        Ok(()) => drop(guest.posts.pop_front()),
                        // What crosses a rescind may come too late.
                        Err(HandleError::Breach(breach)) => {
                            assert!(rescinds > 0, "seed {seed}: {breach}");
                            guest.posts.pop_front();
                        }
                        Err(error) => panic!("seed {seed}: {error}"),
                    }
                }
            }
            1 => {
                if let Some(outbound) = host.say() {
                    guest.hear(&outbound.message);
                }
            }
            2 => devices.todo.extend(host.event()),
            3 => devices.act(&mut host, &mut dice),
            _ => {
                if rescinds_left > 0 && dice.roll(40) == 0 {
                    // Taken away and given back.
                    let (number, channel) = offered.pop_front().unwrap();
                    host.rescind(channel).unwrap();
                    // There may be no place before the old one is released; then it is given back another time.
                    match host.offer(device(number)) {
                        Ok(again) => offered.push_back((number, again)),
                        Err(OfferError::Full { .. }) => offered
                            .push_back((number + 10, host.offer(device(number + 10)).unwrap_or(channel))),
                        Err(error) => panic!("{error}"),
                    }
                    rescinds_left -= 1;
                }
            }
        }
        let idle = guest.posts.is_empty() && devices.todo.is_empty() && rescinds_left == 0;
        if idle && guest.all_offers && !unloading && guest.channels.len() == 3 {
            let done = guest
                .channels
                .values()
                .all(|(progress, _)| *progress == Progress::Done);
            if done && host.next_message().is_none() {
                guest.post(&GuestMessage::Unload);
                unloading = true;
            }
        }
        if guest.unloaded {
            break;
        }
    }
    assert_eq!(host.said(), []);
    while let Some(event) = host.event() {
        assert!(
            matches!(event, Event::Disconnected | Event::Released { .. }),
            "{event:?}"
        );
    }
    assert_eq!(devices.opens, devices.closes);
    devices.opens
}

#[test]
fn guests_of_all_versions_get_through() {
    for &version in VERSIONS {
        for seed in 0..40 {
            assert_eq!(run(seed, version, 0), 3 * 4, "{version} {seed}");
        }
    }
}

#[test]
fn guests_whose_devices_come_and_go_get_through() {
    for seed in 0..200 {
        assert!(run(seed, Version::IRON, 4) >= 3 * 4);
        assert!(run(seed, Version::WIN10, 4) >= 3 * 4);
    }
}
