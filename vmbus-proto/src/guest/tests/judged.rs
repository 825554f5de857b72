//! Everything that a host can send where it does not belong.

use super::*;
use crate::wire::MessageType;

/// A guest with channel 1 open, channel 2 closed, and memory that is lent to channel 1.
fn guest() -> (SmallGuest, GpadlId) {
    let (mut guest, channel) = guest_with_channel();
    open(&mut guest, channel, 1);
    let gpadl = lent(&mut guest, channel, memory(0x900, 2));
    guest.offered(2, 2);
    (guest, gpadl)
}

/// Nothing comes of a message but the breach.
fn is_dropped(guest: &mut SmallGuest, message: &HostMessage, breach: Breach) {
    let before = guest.breaches();
    assert_eq!(guest.hear(message), Err(breach.into()), "{message}");
    assert_eq!(guest.breaches(), before + 1);
    assert_eq!((guest.says().len(), guest.events().len()), (0, 0), "{message}");
}

#[test]
fn answers_to_nothing_are_dropped() {
    let (mut guest, gpadl) = guest();
    let unrequested = |message_type| Breach::Unrequested { message_type };
    is_dropped(
        &mut guest,
        &tell::version(FeatureFlags::empty()),
        unrequested(MessageType::VERSION_RESPONSE),
    );
    is_dropped(
        &mut guest,
        &HostMessage::UnloadResponse,
        unrequested(MessageType::UNLOAD_RESPONSE),
    );
    guest.hear(&HostMessage::AllOffersDelivered).unwrap();
    guest.events();
    is_dropped(
        &mut guest,
        &HostMessage::AllOffersDelivered,
        unrequested(MessageType::ALL_OFFERS_DELIVERED),
    );
    is_dropped(
        &mut guest,
        &tell::modified(1, Status::SUCCESS),
        unrequested(MessageType::MODIFY_CHANNEL_RESPONSE),
    );
    let socket = HostMessage::TlConnectResult(crate::wire::TlConnectResult {
        endpoint: Guid::new(1, 1, 1, 1),
        service: Guid::new(1, 1, 1, 1),
        status: Status::SUCCESS,
    });
    is_dropped(&mut guest, &socket, unrequested(MessageType::TL_CONNECT_RESULT));
    let reserved =
        HostMessage::CloseReservedResponse(crate::wire::CloseReservedResponse { relid: RelId::new(1) });
    is_dropped(
        &mut guest,
        &reserved,
        unrequested(MessageType::CLOSE_RESERVED_RESPONSE),
    );
    // Twice.
    for (message_type, message) in [
        (
            MessageType::GPADL_CREATED,
            tell::created(1, gpadl, Status::SUCCESS),
        ),
        (
            MessageType::GPADL_CREATED,
            tell::created(1, gpadl, Status::UNSUCCESSFUL),
        ),
        (MessageType::GPADL_TORNDOWN, tell::torndown(gpadl)),
    ] {
        is_dropped(&mut guest, &message, Breach::GpadlState { message_type, gpadl });
    }
    for (relid, state) in [(1, ChannelState::Open), (2, ChannelState::Closed)] {
        is_dropped(
            &mut guest,
            &tell::opened(relid, 1, Status::SUCCESS),
            Breach::ChannelState {
                message_type: MessageType::OPEN_CHANNEL_RESULT,
                relid: RelId::new(relid),
                state,
            },
        );
    }
}

#[test]
fn ids_that_name_nothing_are_dropped() {
    let (mut guest, gpadl) = guest();
    for relid in [0, 3, 2047, 2048, u32::MAX] {
        let unknown = |message_type| Breach::UnknownChannel {
            message_type,
            relid: RelId::new(relid),
        };
        is_dropped(
            &mut guest,
            &tell::opened(relid, 1, Status::SUCCESS),
            unknown(MessageType::OPEN_CHANNEL_RESULT),
        );
        is_dropped(
            &mut guest,
            &tell::modified(relid, Status::SUCCESS),
            unknown(MessageType::MODIFY_CHANNEL_RESPONSE),
        );
        // Of another channel than it was lent to.
        is_dropped(
            &mut guest,
            &tell::created(relid, gpadl, Status::SUCCESS),
            Breach::UnknownGpadl {
                message_type: MessageType::GPADL_CREATED,
                gpadl,
            },
        );
    }
    for id in [0, 77, u32::MAX] {
        let gpadl = GpadlId::new(id);
        let unknown = |message_type| Breach::UnknownGpadl { message_type, gpadl };
        is_dropped(
            &mut guest,
            &tell::created(1, gpadl, Status::SUCCESS),
            unknown(MessageType::GPADL_CREATED),
        );
        is_dropped(
            &mut guest,
            &tell::torndown(gpadl),
            unknown(MessageType::GPADL_TORNDOWN),
        );
    }
}

#[test]
fn case_09_an_answer_before_the_request_is_posted() {
    let (mut guest, channel) = guest_with_channel();
    let gpadl = guest.open(channel, memory(0x100, 40), params()).unwrap();
    let relid = channel.relid();
    let created = tell::created(1, gpadl, Status::SUCCESS);
    let early = Breach::GpadlState {
        message_type: MessageType::GPADL_CREATED,
        gpadl,
    };
    // Nothing of it is posted; then the first of two messages.
    assert_eq!(guest.hear(&created), Err(early.into()));
    assert!(guest.say().is_some());
    assert_eq!(guest.hear(&created), Err(early.into()));
    assert!(guest.say().is_some());
    let opened = tell::opened(1, 1, Status::SUCCESS);
    let state = ChannelState::Opening;
    let early = Breach::ChannelState {
        message_type: MessageType::OPEN_CHANNEL_RESULT,
        relid,
        state,
    };
    assert_eq!(guest.hear(&opened), Err(early.into()));
    guest.hear(&created).unwrap();
    assert_eq!(guest.hear(&opened), Err(early.into()));
    assert_eq!(guest.said().len(), 1);
    // To another request.
    assert_eq!(
        guest.hear(&tell::opened(1, 7, Status::SUCCESS)),
        Err(Breach::OpenId {
            relid,
            open_id: 7,
            expected: 1
        }
        .into())
    );
    guest.hear(&opened).unwrap();
    assert!(matches!(guest.events()[..], [Event::Opened(_)]));
    // And of a contact.
    let mut guest = SmallGuest::new(config());
    guest.connect().unwrap();
    assert!(guest.hear(&tell::version(FeatureFlags::empty())).is_err());
    guest.said();
    guest.hear(&tell::version(FeatureFlags::empty())).unwrap();
}

#[test]
fn what_the_version_does_not_have_is_dropped() {
    let mut guest = guest_at(Version::WIN10_RS5);
    let version = Version::WIN10_RS5;
    for (message_type, message) in [
        (
            MessageType::MODIFY_CHANNEL_RESPONSE,
            tell::modified(1, Status::SUCCESS),
        ),
        (
            MessageType::MODIFY_CONNECTION_RESPONSE,
            tell::connection_modified(ConnectionState::SUCCESSFUL),
        ),
        (MessageType::PAUSE_RESPONSE, HostMessage::PauseResponse),
    ] {
        is_dropped(
            &mut guest,
            &message,
            Breach::NotInVersion {
                message_type,
                version,
            },
        );
    }
    // At 6.0 they need their feature, and to be asked for.
    let mut guest = SmallGuest::new(config());
    guest.meet(FeatureFlags::PAUSE_RESUME);
    let message_type = MessageType::PAUSE_RESPONSE;
    is_dropped(
        &mut guest,
        &HostMessage::PauseResponse,
        Breach::Unrequested { message_type },
    );
    let message_type = MessageType::MODIFY_CONNECTION_RESPONSE;
    is_dropped(
        &mut guest,
        &tell::connection_modified(ConnectionState::SUCCESSFUL),
        Breach::NotInVersion {
            message_type,
            version: Version::COPPER,
        },
    );
}

#[test]
fn without_a_connection_nothing_is_taken() {
    let mut guest = SmallGuest::new(config());
    let message_type = MessageType::OFFER_CHANNEL;
    for contact in [false, true] {
        if contact {
            guest.connect().unwrap();
            guest.said();
        }
        is_dropped(
            &mut guest,
            &tell::offers(1, 1),
            Breach::NotConnected { message_type },
        );
    }
    // A host in the middle of another guest's offers does no harm.
    guest.hear(&tell::version(FeatureFlags::empty())).unwrap();
    assert_eq!(guest.says(), ["REQUEST_OFFERS"]);
}

#[test]
fn what_a_host_says_while_it_is_paused_is_dropped() {
    let mut guest = SmallGuest::new(config());
    guest.meet(FeatureFlags::PAUSE_RESUME);
    guest.pause().unwrap();
    guest.said();
    guest.hear(&HostMessage::PauseResponse).unwrap();
    guest.events();
    let message_type = MessageType::OFFER_CHANNEL;
    is_dropped(&mut guest, &tell::offers(1, 1), Breach::Paused { message_type });
    guest.resume().unwrap();
    guest.said();
    guest.offered(1, 1);
}

#[test]
fn bytes_that_are_no_message_of_a_host_are_dropped() {
    let (mut guest, _) = guest();
    for bytes in [
        &[][..],
        &[1, 0, 0, 0, 0, 0, 0],
        &[0; 8],
        &[30, 0, 0, 0, 0, 0, 0, 0],
        // A guest's.
        &[3, 0, 0, 0, 0, 0, 0, 0],
        // One byte short of a rescind, and too long by more than 8.
        &[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0],
        &[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0xff; 240],
    ] {
        let error = guest.handle_message(bytes).unwrap_err();
        assert!(matches!(error, HandleError::Breach(Breach::Decode(_))), "{error}");
    }
    assert_eq!(guest.breaches(), 8);
    // Rounded up to 8 bytes, as QEMU sends it.
    guest
        .handle_message(&[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
        .unwrap();
    assert_eq!(guest.events().len(), 1);
}
