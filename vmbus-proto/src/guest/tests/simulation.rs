//! Both engines, seeded: whatever the order in which messages travel, devices act and the embedders change their minds, the guest gets
//! what it wants and its memory back.

use std::collections::{BTreeMap, VecDeque};
use std::vec;

use super::*;
use crate::host::{self, Host, HostConfig, OfferError, OfferParams};
use crate::testing::Dice;
use crate::wire::USER_DEFINED_SIZE;

const PRIMARIES: u64 = 3;
const ROUNDS: u32 = 3;

fn device(number: u64) -> OfferParams {
    OfferParams::new(interface::SCSI, Guid::new(0, 0, 0, number))
}

/// How far the embedder is with a channel.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Progress {
    Opening,
    Open,
    Moving,
    /// The rings are wanted back, and what was lent besides.
    Closing,
    Done,
}

/// A kernel that opens what it is offered, lends memory besides, moves the interrupts, closes, a few times over; and lets go of what is
/// rescinded.
struct Kernel {
    guest: Guest<Contiguous, 8, 12>,
    progress: BTreeMap<ChannelId, (Progress, u32)>,
    /// First pages of what is lent, by GPADL.
    lent: BTreeMap<GpadlId, (ChannelId, u64)>,
    /// Channels that are asked to be opened and not told of yet; the same of moves.
    opens: u32,
    moves: u32,
    next_pfn: u64,
    all_offers: bool,
    disconnected: Option<DisconnectReason>,
    opened: u32,
}

impl Kernel {
    fn memory(&mut self, pages: u32) -> Contiguous {
        self.next_pfn += 0x1000;
        memory(self.next_pfn, pages)
    }

    fn open(&mut self, channel: ChannelId, round: u32) {
        let memory = self.memory(40);
        let gpadl = self.guest.open(channel, memory, params()).unwrap();
        self.lent.insert(gpadl, (channel, memory.first_pfn));
        self.opens += 1;
        self.progress.insert(channel, (Progress::Opening, round));
    }

    fn close(&mut self, channel: ChannelId) {
        let device_memory: Vec<_> = self.lent.iter().filter(|(_, (of, _))| *of == channel).collect();
        // That of the rings comes back by itself.
        for gpadl in device_memory.into_iter().map(|(gpadl, _)| *gpadl) {
            let _ = self.guest.teardown(gpadl);
        }
        self.guest.close(channel).unwrap();
    }

    fn hear(&mut self, event: Event<Contiguous>, version: Version) {
        match event {
            Event::Connected(connected) => assert_eq!(connected.version, version),
            Event::Offered(offer) => {
                assert_eq!(offer.user_defined, [0; USER_DEFINED_SIZE]);
                self.open(offer.channel, 0);
            }
            Event::AllOffersDelivered => self.all_offers = true,
            Event::Opened(opened) => {
                self.opens -= 1;
                self.opened += 1;
                let entry = self.progress.get_mut(&opened.channel).unwrap();
                assert_eq!(entry.0, Progress::Opening);
                entry.0 = Progress::Open;
                let memory = self.memory(30);
                let gpadl = self.guest.lend(opened.channel, memory).unwrap();
                self.lent.insert(gpadl, (opened.channel, memory.first_pfn));
            }
            Event::OpenFailed { channel, error } => {
                assert_eq!(error, OpenError::Rescinded);
                assert_eq!(self.progress[&channel].0, Progress::Opening);
                self.opens -= 1;
            }
            Event::GpadlCreated { channel, .. } => {
                let Some(entry) = self.progress.get_mut(&channel) else {
                    return;
                };
                if self.guest.modify(channel, Some(VpIndex(2))).is_ok() {
                    self.moves += 1;
                    entry.0 = Progress::Moving;
                } else {
                    entry.0 = Progress::Closing;
                    self.close(channel);
                }
            }
            Event::Modified { channel, result } => {
                self.moves -= 1;
                let entry = self.progress.get_mut(&channel).unwrap();
                if result.is_ok() {
                    entry.0 = Progress::Closing;
                    self.close(channel);
                } else {
                    // The host refuses a move that meets its rescind.
                    assert!(matches!(
                        result,
                        Err(ModifyError::Rescinded | ModifyError::Refused(_))
                    ));
                }
            }
            Event::Rescinded { channel } => {
                self.progress.remove(&channel).expect("it was offered");
                self.guest.release(channel).unwrap();
            }
            Event::MemoryReturned {
                channel,
                gpadl,
                memory,
                reason,
            } => {
                assert_eq!(
                    self.lent.remove(&gpadl),
                    Some((channel, memory.first_pfn)),
                    "{reason:?}"
                );
                if let Some((Progress::Closing, round)) = self.progress.get(&channel).copied()
                    && !self.lent.values().any(|(of, _)| *of == channel)
                {
                    if round + 1 < ROUNDS {
                        self.open(channel, round + 1);
                    } else {
                        self.progress.insert(channel, (Progress::Done, round));
                    }
                }
            }
            Event::Disconnected(reason) => self.disconnected = Some(reason),
            other => panic!("{other:?}"),
        }
    }
}

/// The host's devices: each does what it is asked to, some time later.
fn act(host: &mut Host<'_, 8, 14, 4>, todo: &mut Vec<host::Event>, dice: &mut Dice) {
    if todo.is_empty() {
        return;
    }
    let index = usize::try_from(dice.roll(todo.len() as u64)).unwrap();
    match todo.swap_remove(index) {
        host::Event::Open { ticket, .. } => host.complete_open(ticket, Status::SUCCESS).unwrap(),
        host::Event::Close { ticket, .. } => host.complete_close(ticket).unwrap(),
        host::Event::Modify { ticket, .. } => host.complete_modify(ticket),
        _ => (),
    }
}

/// One run. Gives how often channels were opened.
fn run(seed: u64, version: Version, rescinds: u32) -> u32 {
    let mut dice = Dice(seed);
    let mut storage = vec![0; 41 * 14];
    let mut host: Host<'_, 8, 14, 4> = Host::new(HostConfig::new(4), &mut storage);
    let mut offered: VecDeque<_> = (0..PRIMARIES)
        .map(|number| (number, host.offer(device(number)).unwrap()))
        .collect();
    let mut kernel = Kernel {
        guest: Guest::new(GuestConfig {
            highest: version,
            ..config()
        }),
        progress: BTreeMap::new(),
        lent: BTreeMap::new(),
        opens: 0,
        moves: 0,
        next_pfn: 0,
        all_offers: false,
        disconnected: None,
        opened: 0,
    };
    kernel.guest.connect().unwrap();
    let (mut todo, mut rescinds_left, mut unloading) = (Vec::new(), rescinds, false);
    let mut now = Duration::ZERO;
    for step in 0.. {
        assert!(
            step < 200_000,
            "seed {seed}: it does not end; {:?}",
            kernel.progress
        );
        // Faster than any answer can be overdue.
        now += Duration::from_micros(10);
        kernel.guest.handle_timeout(now);
        match dice.roll(6) {
            0 => {
                if let Some(post) = kernel.guest.next_message() {
                    let status = match host.handle_message(&post.payload) {
                        Ok(()) => HvStatus::SUCCESS,
                        Err(host::HandleError::Busy) => HvStatus::INSUFFICIENT_BUFFERS,
                        // What crosses a rescind may come too late.
                        Err(error) => {
                            assert!(rescinds > 0, "seed {seed}: {error}");
                            HvStatus::SUCCESS
                        }
                    };
                    assert_ne!(kernel.guest.message_posted(status), Posted::Refused);
                }
            }
            1 => {
                if let Some(outbound) = host.next_message().cloned() {
                    host.message_delivered();
                    kernel.guest.handle_message(&outbound.payload()).unwrap();
                }
            }
            2 => {
                if let Some(event) = kernel.guest.poll_event() {
                    kernel.hear(event, version);
                }
            }
            3 => todo.extend(host.poll_event()),
            4 => act(&mut host, &mut todo, &mut dice),
            _ => {
                if rescinds_left > 0 && dice.roll(40) == 0 {
                    // Taken away and given back, if there is room before the old one is released.
                    let (number, channel) = offered.pop_front().unwrap();
                    host.rescind(channel).unwrap();
                    match host.offer(device(number)) {
                        Ok(again) => offered.push_back((number, again)),
                        Err(OfferError::Full { .. }) => (),
                        Err(error) => panic!("{error}"),
                    }
                    rescinds_left -= 1;
                }
            }
        }
        if !unloading
            && rescinds_left == 0
            && kernel.all_offers
            && kernel.progress.len() == offered.len()
            && kernel
                .progress
                .values()
                .all(|(progress, _)| *progress == Progress::Done)
        {
            unloading = true;
            kernel.guest.unload().unwrap();
        }
        if kernel.disconnected.is_some() {
            break;
        }
    }
    assert_eq!(kernel.disconnected, Some(DisconnectReason::Unloaded));
    assert_eq!((kernel.opens, kernel.moves), (0, 0));
    assert!(kernel.lent.is_empty(), "seed {seed}: {:?}", kernel.lent);
    assert_eq!(kernel.guest.breaches(), 0);
    assert_eq!(kernel.guest.next_message(), None);
    assert_eq!(kernel.guest.poll_event(), None);
    kernel.opened
}

#[test]
fn guests_of_all_versions_get_through() {
    for &version in host::VERSIONS {
        for seed in 0..20 {
            assert_eq!(run(seed, version, 0), 9, "{version} {seed}");
        }
    }
}

#[test]
fn guests_whose_devices_come_and_go_get_through() {
    for seed in 0..150 {
        for version in [Version::WIN8, Version::WIN10, Version::COPPER] {
            assert!(run(seed, version, 4) >= 9, "{version} {seed}");
        }
    }
}
