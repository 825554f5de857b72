//! Contact, versions, features, and what the hypervisor makes of posts.

use super::*;

/// A guest that has said that it wants to connect.
fn contacting(config: GuestConfig) -> (SmallGuest, Vec<Outbound>) {
    let mut guest = SmallGuest::new(config);
    guest.connect().unwrap();
    let said = guest.said();
    (guest, said)
}

fn request(outbound: &Outbound) -> crate::wire::InitiateContact {
    match GuestMessage::decode(&outbound.payload).unwrap() {
        GuestMessage::InitiateContact(contact) => contact,
        other => panic!("{other}"),
    }
}

#[test]
fn versions_are_asked_for_downwards_until_none_is_left() {
    let (mut guest, mut said) = contacting(GuestConfig {
        interrupt_page: Some(0x7000),
        target_vp: VpIndex(3),
        ..config()
    });
    let mut asked = Vec::new();
    while let [contact] = said.as_slice() {
        let request = request(contact).request;
        let version = request.version;
        let expected = if version >= Version::WIN10_RS3_1 { 4 } else { 1 };
        assert_eq!(contact.connection, ConnectionId(expected));
        assert_eq!(
            request.interrupt_page(),
            (version < Version::WIN10_RS3_1).then_some(0x7000)
        );
        assert_eq!(
            request.target_vp.get(),
            if version >= Version::WIN8_1 { 3 } else { 0 }
        );
        assert_eq!(
            request.target_info().map(|info| (info.sint, info.vtl)),
            (version >= Version::WIN10_RS3_1).then_some((2, 0))
        );
        asked.push(version);
        guest.hear(&tell::refusal()).unwrap();
        said = guest.said();
    }
    assert!(asked.iter().eq(VERSIONS.iter().rev()));
    assert_eq!(
        guest.events(),
        [Event::ConnectFailed(ConnectError::NoCommonVersion {
            highest: Version::COPPER,
            lowest: Version::V1
        })]
    );
    // It can be tried again.
    guest.meet(FeatureFlags::empty());
}

#[test]
fn versions_are_those_of_the_configuration() {
    let (mut guest, _) = contacting(GuestConfig {
        highest: Version::WIN10,
        lowest: Version::WIN8_1,
        ..config()
    });
    guest.hear(&tell::refusal()).unwrap();
    let [contact] = &guest.said()[..] else { panic!() };
    assert_eq!(request(contact).request.version, Version::WIN8_1);
    guest.hear(&tell::refusal()).unwrap();
    assert!(guest.said().is_empty());
    // Without an interrupt page there is nothing before 2.4.
    let mut old = SmallGuest::new(GuestConfig {
        highest: Version::WIN7,
        ..config()
    });
    assert_eq!(old.connect(), Err(CallError::NoVersion));
    // What came of it is told first.
    assert_eq!(guest.connect(), Err(CallError::UnderWay));
    assert_eq!(guest.events().len(), 1);
    assert_eq!(guest.connect(), Ok(()));
    assert_eq!(guest.connect(), Err(CallError::AlreadyConnected));
}

#[test]
fn features_are_asked_for_at_6_0_only() {
    let client_id = Some(Guid::new(1, 2, 3, 4));
    let all = GuestConfig {
        features: FeatureFlags::all(),
        client_id,
        monitor_pages: Some(MonitorAddresses {
            parent_to_child: 0x1000,
            child_to_parent: 0x2000,
        }),
        ..config()
    };
    let (mut guest, said) = contacting(all);
    assert_eq!(said[0].payload.len(), 56);
    let contact = request(&said[0]);
    assert_eq!(contact.request.features(), FEATURES);
    assert_eq!(contact.client_id, client_id);
    assert_eq!(
        (
            contact.request.parent_to_child_monitor_page.get(),
            contact.request.child_to_parent_monitor_page.get()
        ),
        (0x1000, 0x2000)
    );
    guest.hear(&tell::refusal()).unwrap();
    let said = guest.said();
    assert_eq!(said[0].payload.len(), 40);
    assert_eq!(request(&said[0]).request.target_info().unwrap().features.get(), 0);
    // Without an id there is nothing to ask the feature for.
    let (_, said) = contacting(GuestConfig {
        client_id: None,
        ..all
    });
    assert_eq!(said[0].payload.len(), 40);
    let asked = request(&said[0]).request.features();
    assert_eq!(asked, FEATURES - FeatureFlags::CLIENT_ID);
}

#[test]
fn what_the_host_grants_without_being_asked_is_not_agreed_on() {
    let mut guest = SmallGuest::new(config());
    let connected = guest.meet(FeatureFlags::all());
    assert_eq!(
        connected.features,
        FeatureFlags::MODIFY_CONNECTION | FeatureFlags::PAUSE_RESUME
    );
    assert_eq!(guest.connected(), Some(connected));
}

#[test]
fn each_form_of_the_answer_is_taken() {
    let bare = VersionResponse::Bare { version_supported: 1 };
    let with_state = VersionResponse::WithState {
        version_supported: 1,
        connection_state: ConnectionState::SUCCESSFUL,
    };
    let full = VersionResponse::Full(tell::answer(0x1234));
    for (version, response, connection) in [
        (Version::WIN10, bare, 1),
        (Version::WIN10, with_state, 1),
        // Before 5.0 it is the version, or anything.
        (Version::WIN10_RS3_0, full, 1),
        (Version::WIN10_RS3_1, bare, 4),
        (Version::WIN10_RS3_1, full, 0x1234),
        (Version::COPPER, full, 0x1234),
    ] {
        let (mut guest, _) = contacting(GuestConfig {
            highest: version,
            ..config()
        });
        guest.hear(&HostMessage::VersionResponse(response)).unwrap();
        assert_eq!(guest.connected().unwrap().version, version);
        let said = guest.said();
        assert_eq!(said[0].connection, ConnectionId(connection), "{version}");
    }
}

#[test]
fn monitor_pages_of_the_host_are_told() {
    let pages = crate::wire::MonitorPages {
        reserved: U32::ZERO,
        parent_to_child: 0x5000.into(),
        child_to_parent: 0x6000.into(),
    };
    let feature = FeatureFlags::SERVER_SPECIFIED_MONITOR_PAGES;
    let response = HostMessage::VersionResponse(VersionResponse::WithMonitorPages(
        tell::answer(4),
        U32::new(feature.bits()),
        pages,
    ));
    for asked in [FeatureFlags::empty(), feature] {
        let (mut guest, _) = contacting(GuestConfig {
            features: asked,
            ..config()
        });
        guest.hear(&response).unwrap();
        let told = guest.connected().unwrap().monitor_pages;
        let expected = MonitorAddresses {
            parent_to_child: 0x5000,
            child_to_parent: 0x6000,
        };
        assert_eq!(told, (!asked.is_empty()).then_some(expected));
    }
}

#[test]
fn case_12_a_version_that_is_known_and_refused_ends_the_contact() {
    let answer = |state| {
        HostMessage::VersionResponse(VersionResponse::Full(VersionAnswer {
            connection_state: state,
            ..tell::answer(4)
        }))
    };
    let state = ConnectionState::FAILED_LOW_RESOURCES;
    let (mut guest, _) = contacting(config());
    guest.hear(&answer(state)).unwrap();
    let version = Version::COPPER;
    assert_eq!(
        guest.events(),
        [Event::ConnectFailed(ConnectError::Refused { version, state })]
    );
    assert!(guest.said().is_empty());
    // Before 2.4 left-over memory may stand there.
    let (mut guest, _) = contacting(GuestConfig {
        highest: Version::WIN7,
        interrupt_page: Some(0x7000),
        ..config()
    });
    guest.hear(&answer(ConnectionState::new(0x5a))).unwrap();
    assert_eq!(guest.connected().unwrap().version, Version::WIN7);
}

#[test]
fn a_connection_that_can_be_none_is_not_posted_to() {
    for id in [0, 0x0100_0000, u32::MAX] {
        let (mut guest, _) = contacting(config());
        guest
            .hear(&HostMessage::VersionResponse(VersionResponse::Full(
                tell::answer(id),
            )))
            .unwrap();
        let connection_id = ConnectionId(id);
        assert_eq!(
            guest.events(),
            [Event::ConnectFailed(ConnectError::ConnectionId { connection_id })]
        );
    }
}

#[test]
fn a_host_without_the_connection_of_5_0_is_asked_for_less() {
    let mut guest = SmallGuest::new(config());
    guest.connect().unwrap();
    let mut asked = Vec::new();
    for _ in 0..6 {
        let outbound = guest.next_message().unwrap();
        let version = request(&outbound).request.version;
        asked.push(version);
        let status = if outbound.connection == ConnectionId(4) {
            HvStatus::INVALID_CONNECTION_ID
        } else {
            HvStatus::SUCCESS
        };
        assert_eq!(guest.message_posted(status), Posted::Done);
    }
    assert_eq!(
        asked,
        [
            Version::COPPER,
            Version::IRON,
            Version::WIN10_RS5,
            Version::WIN10_RS4,
            Version::WIN10_RS3_1,
            Version::WIN10_RS3_0
        ]
    );
    guest.hear(&tell::version(FeatureFlags::empty())).unwrap();
    assert_eq!(guest.connected().unwrap().version, Version::WIN10_RS3_0);
}

#[test]
fn what_the_hypervisor_has_no_room_for_is_posted_again_after_growing_delays() {
    let mut guest = guest_at(Version::IRON);
    let channel = guest.offered(1, 1);
    guest.lend(channel, RINGS).unwrap();
    let first = guest.next_message().unwrap();
    let mut now = seconds(100);
    let mut waited = Vec::new();
    for status in [
        HvStatus::INSUFFICIENT_MEMORY,
        HvStatus::INVALID_CONNECTION_ID,
        HvStatus::INSUFFICIENT_BUFFERS,
    ] {
        assert_eq!(guest.message_posted(status), Posted::Later);
        assert_eq!(guest.next_message(), None);
        guest.handle_timeout(now);
        assert_eq!(guest.next_message(), None);
        let again = guest.poll_timeout().unwrap();
        waited.push(again - now);
        now = again;
        guest.handle_timeout(now);
        assert_eq!(guest.next_message().as_ref(), Some(&first));
    }
    assert!(waited.is_sorted_by(|a, b| a < b), "{waited:?}");
    assert_eq!(guest.message_posted(HvStatus::SUCCESS), Posted::Done);
    assert_eq!(guest.next_message(), None);
}

#[test]
fn a_message_that_is_never_taken_is_given_up() {
    let mut guest = SmallGuest::new(config());
    guest.connect().unwrap();
    let busy = HvStatus::INSUFFICIENT_BUFFERS;
    let (mut posts, mut now) = (0, seconds(0));
    loop {
        if guest.next_message().is_some() {
            posts += 1;
            if guest.message_posted(busy) == Posted::Refused {
                break;
            }
            // The first look starts the wait.
            guest.handle_timeout(now);
        }
        now = guest.poll_timeout().unwrap();
        assert!(now <= seconds(11));
        guest.handle_timeout(now);
    }
    assert!((10..100).contains(&posts), "{posts}");
    assert_eq!(
        guest.events(),
        [Event::ConnectFailed(ConnectError::NotPosted {
            version: Version::COPPER,
            status: busy
        })]
    );
    assert_eq!(guest.poll_timeout(), None);
}

#[test]
fn a_message_that_is_refused_for_good_is_told() {
    let mut guest = SmallGuest::new(config());
    guest.connect().unwrap();
    assert!(guest.next_message().is_some());
    let status = HvStatus::ACCESS_DENIED;
    assert_eq!(guest.message_posted(status), Posted::Refused);
    let version = Version::COPPER;
    assert_eq!(
        guest.events(),
        [Event::ConnectFailed(ConnectError::NotPosted { version, status })]
    );
    // An unload that cannot be posted ends too.
    guest.meet(FeatureFlags::empty());
    guest.unload().unwrap();
    assert!(guest.next_message().is_some());
    assert_eq!(guest.message_posted(status), Posted::Refused);
    assert_eq!(guest.events(), [Event::Disconnected(DisconnectReason::NoAnswer)]);
}

#[test]
fn messages_and_interrupts_come_where_the_version_has_them_come() {
    let at = |highest| {
        let mut guest = SmallGuest::new(GuestConfig {
            highest,
            sint: hvcall::Sint::new(5).unwrap(),
            target_vp: VpIndex(3),
            interrupt_page: Some(0x7000),
            ..config()
        });
        guest.meet(FeatureFlags::empty());
        guest.target().map(|(vp, sint)| (vp.0, sint.number()))
    };
    assert_eq!(at(Version::WIN8), Some((0, 2)));
    assert_eq!(at(Version::WIN8_1), Some((3, 2)));
    assert_eq!(at(Version::WIN10_RS3_1), Some((3, 5)));
}
