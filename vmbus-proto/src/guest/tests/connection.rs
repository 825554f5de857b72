//! Contact, versions, features; leaving; time.

use std::vec::Vec;

use hvcall::ConnectionId;

use super::*;
use crate::wire::{HostMessage, Version, VersionResponse};

fn hear(guest: &mut SmallGuest, message: &HostMessage) -> Result<(), HandleError> {
    guest.handle_message(&message.encode())
}

#[test]
fn versions_are_asked_for_downwards_until_none_is_left() {
    let mut guest = SmallGuest::new(GuestConfig {
        interrupt_page: Some(0x7000),
        ..config()
    });
    guest.connect().unwrap();
    let mut asked = Vec::new();
    while let [contact] = guest.said().as_slice() {
        let GuestMessage::InitiateContact(contact_message) = GuestMessage::decode(&contact.payload).unwrap()
        else {
            panic!("{contact:?}");
        };
        let version = contact_message.request.version;
        let expected = if version >= Version::WIN10_RS3_1 { 4 } else { 1 };
        assert_eq!(contact.connection, ConnectionId(expected));
        assert_eq!(
            contact_message.request.interrupt_page(),
            (version < Version::WIN10_RS3_1).then_some(0x7000)
        );
        asked.push(version);
        hear(
            &mut guest,
            &HostMessage::VersionResponse(VersionResponse::REFUSAL),
        )
        .unwrap();
    }
    assert!(asked.iter().eq(VERSIONS.iter().rev()));
    assert_eq!(
        guest.events(),
        [Event::ConnectFailed(ConnectError::NoCommonVersion {
            highest: Version::COPPER,
            lowest: Version::V1
        })]
    );
}
