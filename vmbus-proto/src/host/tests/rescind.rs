//! An offer taken back in every state, and a guest that is restarted in every state.

use std::vec;

use super::*;

/// A channel of a connected guest, brought into some state, and what the embedder then has in hand.
struct Scene<'a> {
    host: SmallHost<'a>,
    channel: ChannelId,
    relid: RelId,
    opening: Option<OpenTicket>,
    closing: Option<CloseTicket>,
    moving: Option<ModifyTicket>,
    using: Option<GpadlTicket>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Offered,
    HalfLent,
    Lent,
    InUse,
    Asked,
    Opening,
    Open,
    Moved,
    Moving,
    Closed,
    Closing,
    GaveBack,
}

const STAGES: [Stage; 12] = [
    Stage::Offered,
    Stage::HalfLent,
    Stage::Lent,
    Stage::InUse,
    Stage::Asked,
    Stage::Opening,
    Stage::Open,
    Stage::Moved,
    Stage::Moving,
    Stage::Closed,
    Stage::Closing,
    Stage::GaveBack,
];

impl<'a> Scene<'a> {
    fn new(storage: &'a mut [u64], stage: Stage) -> Self {
        let mut host = small_host(storage);
        let channel = host.offer(device(1)).unwrap();
        let relid = channel.relid();
        host.connect(Version::IRON);
        let mut scene = Self {
            host,
            channel,
            relid,
            opening: None,
            closing: None,
            moving: None,
            using: None,
        };
        let host = &mut scene.host;
        match stage {
            Stage::Offered => (),
            Stage::HalfLent => host
                .hear(&say::header(relid, GPADL, 80, 1, &say::range(1, 9)[..3]))
                .unwrap(),
            Stage::Lent => assert_eq!(host.lend(relid, GPADL, 9), Status::SUCCESS),
            Stage::InUse => {
                assert_eq!(host.lend(relid, GPADL, 9), Status::SUCCESS);
                scene.using = host.use_gpadl(channel, GPADL);
                assert!(scene.using.is_some());
            }
            Stage::Asked | Stage::Opening => {
                host.lend(relid, RING, 4);
                host.hear(&say::open_channel(say::open(relid, RING))).unwrap();
                if stage == Stage::Opening {
                    scene.opening = Some(host.open_event().1);
                }
            }
            Stage::Open | Stage::Moved | Stage::Moving | Stage::Closed | Stage::Closing | Stage::GaveBack => {
                host.open(relid, RING);
                if let Stage::Moved | Stage::Moving = stage {
                    host.hear(&say::modify(relid, 3)).unwrap();
                }
                if stage == Stage::Moving {
                    let Some(Event::Modify { ticket, .. }) = host.event() else {
                        panic!()
                    };
                    scene.moving = Some(ticket);
                }
                if let Stage::Closed | Stage::Closing | Stage::GaveBack = stage {
                    host.hear(&say::close_channel(relid)).unwrap();
                }
                if let Stage::Closing | Stage::GaveBack = stage {
                    scene.closing = Some(host.close_event());
                }
                if stage == Stage::GaveBack {
                    host.hear(&say::teardown(relid, RING)).unwrap();
                }
            }
        }
        assert_eq!(scene.host.said(), []);
        scene
    }

    /// The device stops, if it has started, as the events ask for it.
    fn let_go(&mut self, open_succeeds: bool) {
        if let Some(ticket) = self.opening.take() {
            let status = if open_succeeds {
                Status::SUCCESS
            } else {
                Status::UNSUCCESSFUL
            };
            Host::complete_open(&mut self.host, ticket, status).unwrap();
        }
        if let Some(ticket) = self.moving.take() {
            self.host.complete_modify(ticket);
        }
        while let Some(event) = self.host.event() {
            match event {
                Event::Close { channel, ticket } => {
                    assert_eq!(channel, self.channel);
                    assert!(self.closing.is_none(), "closed twice");
                    self.closing = Some(ticket);
                }
                Event::GpadlTeardown { channel, gpadl } => {
                    assert_eq!((channel, gpadl), (self.channel, GPADL));
                    assert!(self.using.is_some());
                }
                Event::Disconnected | Event::Connected(_) => (),
                other => panic!("{other:?}"),
            }
        }
        if let Some(ticket) = self.closing.take() {
            self.host.complete_close(ticket).unwrap();
        }
        if let Some(ticket) = self.using.take() {
            self.host.release_gpadl(ticket).unwrap();
        }
    }

    fn is_in_use(&self, stage: Stage) -> bool {
        !matches!(
            stage,
            Stage::Offered | Stage::HalfLent | Stage::Lent | Stage::Asked
        )
    }
}

#[test]
fn case_10_a_rescind_in_every_state() {
    for stage in STAGES {
        for open_succeeds in [false, true] {
            let mut storage = vec![0; 64];
            let mut scene = Scene::new(&mut storage, stage);
            let (channel, relid) = (scene.channel, scene.relid);
            scene.host.rescind(channel).unwrap();
            // For the second time it does nothing.
            scene.host.rescind(channel).unwrap();
            let mut said = scene.host.said();
            if scene.is_in_use(stage) {
                // The guest takes its memory back upon a rescind, so the device has to let go of it before.
                assert!(!said.contains(&rescind(relid)), "{stage:?}");
                scene.let_go(open_succeeds);
                said.extend(scene.host.said());
            }
            let expected: &[HostMessage] = match stage {
                // The answer to a move comes all the same, the one to an open does not.
                Stage::Moved | Stage::Moving => &[modified(relid, Status::UNSUCCESSFUL), rescind(relid)],
                Stage::GaveBack => &[torndown(RING), rescind(relid)],
                _ => &[rescind(relid)],
            };
            assert_eq!(said, expected, "{stage:?}");
            scene.host.no_event();
            // Linux closes, and lets go of the channel without asking for memory back.
            scene.host.hear(&say::close_channel(relid)).unwrap();
            scene.host.hear(&say::released(relid)).unwrap();
            assert_eq!(scene.host.events(), [Event::Released { channel }], "{stage:?}");
            assert_eq!(scene.host.said(), []);
            assert_eq!(scene.host.rescind(channel), Err(UnknownChannel { channel }));
            // Nothing is left: there is room for all of it again.
            for id in 0..5 {
                let other = scene.host.offer(device(100 + u64::from(id))).unwrap();
                scene.host.said();
                assert_eq!(
                    scene.host.lend(other.relid(), GpadlId::new(id), 11),
                    Status::SUCCESS,
                    "{stage:?}"
                );
            }
        }
    }
}

#[test]
fn a_rescind_before_the_guest_knows_is_not_told() {
    let mut host = small_host(&mut []);
    let channel = host.offer(device(1)).unwrap();
    host.rescind(channel).unwrap();
    assert_eq!(host.events(), [Event::Released { channel }]);
    let channel = host.offer(device(1)).unwrap();
    host.hear(&say::initiate_contact(Version::IRON)).unwrap();
    host.answered_contact();
    host.rescind(channel).unwrap();
    assert_eq!(host.events(), [Event::Released { channel }]);
    assert_eq!(host.offers(), []);
}

#[test]
fn case_10_an_offer_again_while_the_old_one_is_being_released() {
    let mut storage = vec![0; 64];
    let mut scene = Scene::new(&mut storage, Stage::Open);
    let relid = scene.relid;
    scene.host.rescind(scene.channel).unwrap();
    let again = scene.host.offer(device(1)).unwrap();
    assert_ne!(again.relid(), relid);
    assert_eq!(
        scene.host.offer(device(1)),
        Err(OfferError::Duplicate { channel: again })
    );
    // Others are not held up.
    let other = scene.host.offer(device(2)).unwrap();
    let relids = |said: &[HostMessage]| -> std::vec::Vec<u32> {
        said.iter()
            .map(|message| match message {
                HostMessage::OfferChannel(offer) => offer.offer.relid.value(),
                other => panic!("{other}"),
            })
            .collect()
    };
    assert_eq!(relids(&scene.host.said()), [other.relid().value()]);
    scene.let_go(true);
    assert_eq!(scene.host.said(), [rescind(relid)]);
    // The guest still knows the old one.
    assert_eq!(scene.host.said(), []);
    scene.host.hear(&say::released(relid)).unwrap();
    assert_eq!(relids(&scene.host.said()), [again.relid().value()]);
    assert_eq!(
        scene.host.events(),
        [Event::Released {
            channel: scene.channel
        }]
    );
    scene.host.open(again.relid(), GPADL);
}

#[test]
fn an_offer_that_is_held_back_can_be_taken_back() {
    let mut storage = vec![0; 64];
    let mut scene = Scene::new(&mut storage, Stage::Offered);
    scene.host.rescind(scene.channel).unwrap();
    let again = scene.host.offer(device(1)).unwrap();
    scene.host.rescind(again).unwrap();
    assert_eq!(scene.host.events(), [Event::Released { channel: again }]);
    assert_eq!(scene.host.said(), [rescind(scene.relid)]);
}

#[test]
fn case_10_late_messages_about_a_rescinded_channel() {
    let mut storage = vec![0; 16];
    let mut scene = Scene::new(&mut storage, Stage::Offered);
    let relid = scene.relid;
    let host = &mut scene.host;
    host.rescind(scene.channel).unwrap();
    assert_eq!(host.said(), [rescind(relid)]);
    // GPADLs are answered with success, even those that there is no room for: Linux mishandles a failure.
    assert_eq!(host.lend(relid, RING, 4), Status::SUCCESS);
    assert_eq!(host.lend(relid, GPADL, 40), Status::SUCCESS);
    host.hear(&say::teardown(relid, GPADL)).unwrap();
    assert_eq!(host.said(), [torndown(GPADL)]);
    // The room is for the living.
    assert!(host.use_gpadl(scene.channel, RING).is_none());
    // An open is not answered.
    host.hear(&say::open_channel(say::open(relid, RING))).unwrap();
    assert_eq!(host.said(), []);
    host.no_event();
    // A move is.
    host.hear(&say::modify(relid, 0)).unwrap_err();
    assert_eq!(host.said(), [modified(relid, Status::UNSUCCESSFUL)]);
    host.hear(&say::close_channel(relid)).unwrap();
    host.hear(&say::teardown(relid, RING)).unwrap();
    assert_eq!(host.said(), [torndown(RING)]);
    host.hear(&say::released(relid)).unwrap();
    host.hear(&say::released(relid)).unwrap_err();
    assert_eq!(host.said(), []);
}

#[test]
fn case_12_a_channel_that_the_guest_does_not_take() {
    let mut storage = vec![0; 64];
    let mut scene = Scene::new(&mut storage, Stage::Lent);
    let (channel, relid) = (scene.channel, scene.relid);
    let host = &mut scene.host;
    host.hear(&say::released(relid)).unwrap();
    assert!(host.gpadl(channel, GPADL).is_none());
    let message_type = crate::wire::MessageType::OPEN_CHANNEL;
    let breach = Breach::UnknownChannel { message_type, relid };
    let open = say::open_channel(say::open(relid, GPADL));
    assert_eq!(host.hear(&open), Err(breach.into()));
    assert_eq!(host.said(), [opened(relid, Status::UNSUCCESSFUL)]);
    // The embedder's device is still there, and the next guest gets it.
    host.no_event();
    assert_eq!(host.connect(Version::IRON).len(), 1);
    // Not while it is open.
    host.open(relid, RING);
    let message_type = crate::wire::MessageType::RELID_RELEASED;
    let breach = Breach::ChannelState {
        message_type,
        relid,
        state: ChannelState::Open,
    };
    assert_eq!(host.hear(&say::released(relid)), Err(breach.into()));
}

#[test]
fn case_11_a_restart_or_an_unload_in_every_state() {
    for stage in STAGES {
        for open_succeeds in [false, true] {
            for unload in [false, true] {
                let mut storage = vec![0; 64];
                let mut scene = Scene::new(&mut storage, stage);
                let relid = scene.relid;
                let message = if unload {
                    GuestMessage::Unload
                } else {
                    say::initiate_contact(Version::WIN10_RS4)
                };
                scene.host.hear(&message).unwrap();
                if scene.is_in_use(stage) {
                    // The guest may use its memory for something else as soon as it has the answer.
                    assert_eq!(scene.host.said(), [], "{stage:?}");
                    assert!(scene.host.hear(&GuestMessage::RequestOffers).is_err());
                    scene.let_go(open_succeeds);
                }
                let said = scene.host.said();
                match said.as_slice() {
                    [HostMessage::UnloadResponse] if unload => (),
                    [HostMessage::VersionResponse(response)] if !unload => {
                        assert!(response.version_supported())
                    }
                    other => panic!("{stage:?}: {other:?}"),
                }
                let events = scene.host.events();
                assert!(events.len() <= 2, "{events:?}");
                // The next guest finds everything as new.
                if unload {
                    assert_eq!(scene.host.connect(Version::IRON)[0].offer.relid, relid);
                } else {
                    assert_eq!(scene.host.offers()[0].offer.relid, relid);
                }
                scene.host.open(relid, RING);
            }
        }
    }
}

#[test]
fn case_11_a_restart_during_a_restart() {
    let mut storage = vec![0; 64];
    let mut scene = Scene::new(&mut storage, Stage::Open);
    let host = &mut scene.host;
    host.hear(&say::initiate_contact(Version::WIN10)).unwrap();
    host.hear(&GuestMessage::Unload).unwrap();
    host.hear(&say::initiate_contact(Version::IRON)).unwrap();
    let ticket = host.close_event();
    host.complete_close(ticket).unwrap();
    // Only the last one is answered.
    let said = host.said();
    assert!(
        matches!(said[..], [HostMessage::VersionResponse(VersionResponse::Full(_))]),
        "{said:?}"
    );
    assert_eq!(host.connected().unwrap().version, Version::IRON);
    assert_eq!(host.events().len(), 2);
}

#[test]
fn case_11_what_was_to_be_said_to_the_guest_before_is_not_said() {
    let mut storage = vec![0; 64];
    let mut host = small_host(&mut storage);
    let relid = host.offer(device(1)).unwrap().relid();
    host.connect(Version::IRON);
    // An answer is queued, another one stands ready and cannot be delivered.
    host.hear(&say::header(relid, GPADL, 16, 1, &say::range(1, 1)))
        .unwrap();
    assert!(host.next_message().is_some());
    host.hear(&say::header(relid, RING, 16, 1, &say::range(1, 1)))
        .unwrap();
    host.hear(&say::initiate_contact(Version::IRON)).unwrap();
    host.answered_contact();
    assert_eq!(host.said(), []);
}

#[test]
fn sub_channels_do_not_outlive_a_restart() {
    let mut storage = vec![0; 64];
    let mut scene = Scene::new(&mut storage, Stage::Open);
    let sub = scene.host.offer_subchannel(scene.channel, 1).unwrap();
    scene.host.said();
    scene.host.open(sub.relid(), GPADL);
    scene.host.hear(&say::initiate_contact(Version::IRON)).unwrap();
    for _ in 0..2 {
        let Some(Event::Close { ticket, .. }) = scene.host.event() else {
            panic!()
        };
        scene.host.complete_close(ticket).unwrap();
    }
    assert_eq!(scene.host.said().len(), 1);
    let events = scene.host.events();
    assert!(
        matches!(events[..], [Event::Released { channel }, Event::Disconnected, Event::Connected(_)] if channel == sub)
    );
    assert_eq!(scene.host.offers().len(), 1);
}

#[test]
fn a_rescinded_channel_does_not_come_back_with_a_restart() {
    let mut storage = vec![0; 64];
    let mut scene = Scene::new(&mut storage, Stage::Open);
    scene.host.rescind(scene.channel).unwrap();
    scene.host.hear(&say::initiate_contact(Version::IRON)).unwrap();
    scene.let_go(true);
    scene.host.said();
    assert!(scene.host.events().contains(&Event::Released {
        channel: scene.channel
    }));
    assert_eq!(scene.host.offers(), []);
}
