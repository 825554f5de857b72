//! Connections end, pause and change.

use super::*;

#[test]
fn an_unload_gives_all_memory_back_and_ends_what_is_under_way() {
    let (mut guest, channel) = guest_with_channel();
    let other = guest.offered(2, 2);
    let ring = open(&mut guest, channel, 1);
    let more = lent(&mut guest, channel, memory(0x900, 3));
    guest.modify(channel, None).unwrap();
    let opening = guest.open(other, memory(0x200, 4), params()).unwrap();
    assert_eq!(guest.said().len(), 2);
    // Not yet posted.
    let unposted = guest.lend(other, memory(0x300, 1)).unwrap();
    guest.unload().unwrap();
    assert_eq!(guest.channels().count(), 0);
    assert_eq!(
        guest.events(),
        [
            Event::Modified {
                channel,
                result: Err(ModifyError::Disconnected)
            },
            Event::OpenFailed {
                channel: other,
                error: OpenError::Disconnected
            },
            returned(other, unposted, memory(0x300, 1), ReturnReason::NeverLent),
        ]
    );
    assert_eq!(guest.says(), ["UNLOAD"]);
    // What was on its way.
    guest.hear(&tell::created(2, opening, Status::SUCCESS)).unwrap();
    guest.hear(&tell::modified(1, Status::SUCCESS)).unwrap();
    guest.hear(&tell::offers(3, 3)).unwrap();
    assert_eq!(guest.events(), []);
    guest.hear(&HostMessage::UnloadResponse).unwrap();
    let mut events = guest.events();
    assert_eq!(
        events.pop(),
        Some(Event::Disconnected(DisconnectReason::Unloaded))
    );
    for (channel, gpadl, memory) in [
        (channel, ring, RINGS),
        (channel, more, memory(0x900, 3)),
        (other, opening, memory(0x200, 4)),
    ] {
        let event = returned(channel, gpadl, memory, ReturnReason::Unloaded);
        let index = events.iter().position(|other| *other == event).unwrap();
        events.remove(index);
    }
    assert_eq!(events, []);
    assert_eq!(guest.breaches(), 0);
    // All anew, and ids of before name nothing.
    guest.meet(FeatureFlags::empty());
    let again = guest.offered(1, 1);
    assert_ne!(again, channel);
    assert_eq!(guest.close(channel), Err(CallError::UnknownChannel { channel }));
}

#[test]
fn case_11_an_unload_while_a_channel_is_opening() {
    let (mut guest, channel) = guest_with_channel();
    let gpadl = guest.open(channel, RINGS, params()).unwrap();
    guest.said();
    guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
    assert_eq!(guest.said().len(), 1);
    guest.unload().unwrap();
    assert_eq!(
        guest.events(),
        [Event::OpenFailed {
            channel,
            error: OpenError::Disconnected
        }]
    );
    assert_eq!(guest.says(), ["UNLOAD"]);
    guest.hear(&tell::opened(1, 1, Status::SUCCESS)).unwrap();
    guest.hear(&HostMessage::UnloadResponse).unwrap();
    assert_eq!(guest.events().len(), 2);
    assert_eq!(guest.gpadl(gpadl), None);
}

#[test]
fn case_11_a_connection_that_is_lost_while_a_channel_is_opening() {
    let (mut guest, channel) = guest_with_channel();
    let gpadl = guest.open(channel, RINGS, params()).unwrap();
    guest.said();
    guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
    assert_eq!(guest.said().len(), 1);
    guest.connection_lost();
    let events = guest.events();
    let failed = Event::OpenFailed {
        channel,
        error: OpenError::Disconnected,
    };
    assert!(events.contains(&failed), "{events:?}");
    assert_eq!(events.last(), Some(&Event::Disconnected(DisconnectReason::Lost)));
    // The host still has the rings, and its answer to the open is for nobody.
    assert_eq!(guest.gpadl(gpadl), Some(&RINGS));
    let late = tell::opened(1, 1, Status::SUCCESS);
    assert!(guest.hear(&late).is_err());
    guest.connect().unwrap();
    guest.said();
    assert!(guest.hear(&late).is_err());
    guest.hear(&tell::version(FeatureFlags::empty())).unwrap();
    let [back, Event::Connected(_)] = &guest.events()[..] else {
        panic!("not connected");
    };
    assert_eq!(*back, returned(channel, gpadl, RINGS, ReturnReason::Reconnected));
    guest.said();
    let again = guest.offered(1, 1);
    open(&mut guest, again, 2);
}

#[test]
fn case_11_an_unload_reply_that_never_comes() {
    let (mut guest, channel) = guest_with_channel();
    let gpadl = open(&mut guest, channel, 1);
    guest.unload().unwrap();
    assert_eq!(guest.says(), ["UNLOAD"]);
    guest.handle_timeout(seconds(50));
    assert_eq!(guest.poll_timeout(), Some(seconds(80)));
    guest.handle_timeout(seconds(79));
    assert_eq!(guest.events(), []);
    guest.handle_timeout(seconds(80));
    // The host may still write to it.
    assert_eq!(
        guest.events(),
        [
            Event::Overdue(Overdue::Gpadl {
                channel,
                gpadl,
                request: crate::wire::MessageType::UNLOAD
            }),
            Event::Disconnected(DisconnectReason::NoAnswer)
        ]
    );
    assert_eq!(guest.gpadl(gpadl), Some(&RINGS));
    assert_eq!(guest.poll_timeout(), None);
    // A renewed contact that is refused says nothing of it; one that is accepted does.
    guest.connect().unwrap();
    guest.said();
    guest.hear(&tell::refusal()).unwrap();
    guest.said();
    assert_eq!(guest.events(), []);
    guest.hear(&tell::version(FeatureFlags::empty())).unwrap();
    let [back, Event::Connected(_)] = &guest.events()[..] else {
        panic!("not connected");
    };
    assert_eq!(*back, returned(channel, gpadl, RINGS, ReturnReason::Reconnected));
}

#[test]
fn a_late_unload_reply_gives_the_memory_back() {
    let (mut guest, channel) = guest_with_channel();
    let gpadl = lent(&mut guest, channel, RINGS);
    guest.connection_lost();
    assert_eq!(guest.events().len(), 2);
    guest.connect().unwrap();
    guest.said();
    guest.hear(&HostMessage::UnloadResponse).unwrap();
    assert_eq!(
        guest.events(),
        [returned(channel, gpadl, RINGS, ReturnReason::Unloaded)]
    );
    // Once.
    assert!(guest.hear(&HostMessage::UnloadResponse).is_err());
}

#[test]
fn case_11_a_contact_that_is_given_up() {
    for posted in [false, true] {
        let mut guest = SmallGuest::new(config());
        guest.connect().unwrap();
        if posted {
            guest.said();
        }
        guest.unload().unwrap();
        assert_eq!(guest.events(), [Event::ConnectFailed(ConnectError::GivenUp)]);
        let said = guest.says();
        assert_eq!(said.len(), usize::from(posted));
        if posted {
            // They cross.
            guest.hear(&tell::version(FeatureFlags::empty())).unwrap();
            guest.hear(&HostMessage::UnloadResponse).unwrap();
            assert_eq!(guest.events(), [Event::Disconnected(DisconnectReason::Unloaded)]);
        }
        assert_eq!(guest.unload(), Err(CallError::NotConnected));
        guest.connect().unwrap();
        guest.connection_lost();
        assert_eq!(guest.events(), [Event::ConnectFailed(ConnectError::GivenUp)]);
        guest.meet(FeatureFlags::empty());
    }
}

#[test]
fn version_0_13_has_no_unload() {
    let mut guest = SmallGuest::new(GuestConfig {
        highest: Version::V1,
        interrupt_page: Some(0x7000),
        ..config()
    });
    guest.meet(FeatureFlags::empty());
    let (message_type, version) = (crate::wire::MessageType::UNLOAD, Version::V1);
    assert_eq!(
        guest.unload(),
        Err(CallError::NotInVersion {
            message_type,
            version
        })
    );
    guest.connection_lost();
    assert_eq!(guest.events(), [Event::Disconnected(DisconnectReason::Lost)]);
}

#[test]
fn a_pause_holds_everything_back_and_gives_time_anew() {
    let mut guest = SmallGuest::new(config());
    guest.meet(FeatureFlags::PAUSE_RESUME);
    let channel = guest.offered(1, 1);
    let gpadl = guest.lend(channel, RINGS).unwrap();
    assert_eq!(guest.said().len(), 1);
    guest.handle_timeout(seconds(1));
    guest.pause().unwrap();
    assert_eq!(guest.pause(), Err(CallError::UnderWay));
    assert_eq!(guest.resume(), Err(CallError::UnderWay));
    assert_eq!(guest.says(), ["PAUSE"]);
    // What comes before the answer counts.
    guest.hear(&tell::offers(2, 2)).unwrap();
    guest.hear(&HostMessage::PauseResponse).unwrap();
    assert!(matches!(guest.events()[..], [Event::Offered(_), Event::Paused]));
    guest.lend(channel, memory(0x500, 1)).unwrap();
    assert_eq!(guest.says(), [""; 0]);
    guest.handle_timeout(seconds(1000));
    assert_eq!((guest.poll_timeout(), guest.events().len()), (None, 0));
    guest.resume().unwrap();
    assert_eq!(guest.says()[0], "RESUME");
    guest.handle_timeout(seconds(1000));
    guest.handle_timeout(seconds(1009));
    assert_eq!(guest.events(), []);
    guest.hear(&tell::created(1, gpadl, Status::SUCCESS)).unwrap();
    assert_eq!(guest.events(), [Event::GpadlCreated { channel, gpadl }]);
}

#[test]
fn pause_and_the_change_of_monitor_pages_need_their_feature() {
    let mut guest = SmallGuest::new(config());
    guest.meet(FeatureFlags::empty());
    assert!(matches!(guest.pause(), Err(CallError::NotInVersion { .. })));
    assert!(matches!(
        guest.modify_connection(None),
        Err(CallError::NotInVersion { .. })
    ));
    guest.connection_lost();
    assert_eq!(guest.pause(), Err(CallError::NotConnected));
}

#[test]
fn monitor_pages_are_changed_and_the_outcome_is_told() {
    let mut guest = SmallGuest::new(config());
    guest.meet(FeatureFlags::MODIFY_CONNECTION);
    let pages = MonitorAddresses {
        parent_to_child: 0x1000,
        child_to_parent: 0x2000,
    };
    let failed = ConnectionState::FAILED_UNKNOWN_FAILURE;
    for (state, result) in [
        (ConnectionState::SUCCESSFUL, Ok(())),
        (failed, Err(ModifyConnectionError::Refused(failed))),
    ] {
        guest.modify_connection(Some(pages)).unwrap();
        assert_eq!(guest.modify_connection(None), Err(CallError::UnderWay));
        assert_eq!(
            guest.says(),
            ["MODIFY_CONNECTION monitor pages 0x1000 and 0x2000"]
        );
        guest.hear(&tell::connection_modified(state)).unwrap();
        assert_eq!(guest.modify_connection(None), Err(CallError::UnderWay));
        assert_eq!(guest.events(), [Event::ConnectionModified(result)]);
    }
    guest.modify_connection(None).unwrap();
    guest.connection_lost();
    assert_eq!(
        guest.events(),
        [
            Event::ConnectionModified(Err(ModifyConnectionError::Disconnected)),
            Event::Disconnected(DisconnectReason::Lost)
        ]
    );
}
