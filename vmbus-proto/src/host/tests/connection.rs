//! Versions, features, offers, leave.

use std::vec::Vec;

use super::*;
use crate::wire::{
    ConnectRequest, ConnectionState, DecodeError, MessageType, ModifyConnection, ModifyConnectionResponse,
    TlConnectRequest, TlConnectResult,
};
use hvcall::VpIndex;

fn answer(host: &mut SmallHost<'_>, message: &GuestMessage<'_>) -> (MessageTarget, VersionResponse, usize) {
    let _ = host.hear(message);
    let outbound = host.say().unwrap();
    let len = outbound.payload().len();
    match outbound.message {
        HostMessage::VersionResponse(response) => (outbound.target, response, len),
        other => panic!("{other}"),
    }
}

#[test]
fn every_version_from_2_4_on_is_spoken_in_its_form() {
    for &version in VERSIONS {
        let mut host = small_host(&mut []);
        let (target, response, len) = answer(&mut host, &say::initiate_contact(version));
        assert!(response.version_supported(), "{version}");
        assert_eq!(
            target,
            MessageTarget {
                vp: VpIndex(0),
                sint: Sint::VMBUS
            }
        );
        let connection_or_version = response.answer().unwrap().connection_id_or_version.get();
        if version >= Version::WIN10_RS3_1 {
            assert_eq!(connection_or_version, 4);
        } else {
            assert_eq!(connection_or_version, version.value());
        }
        assert_eq!(len, if version >= Version::COPPER { 20 } else { 16 });
        assert_eq!(host.connected().map(|connected| connected.version), Some(version));
        let connected = Connected {
            version,
            features: FeatureFlags::empty(),
            client_id: None,
        };
        assert_eq!(host.event(), Some(Event::Connected(connected)));
        host.no_event();
    }
}

#[test]
fn other_versions_are_refused_in_the_short_form() {
    // Between two versions, before the first spoken, after the last.
    for number in [
        0,
        0xd,
        0x1_0001,
        0x2_0003,
        0x3_0001,
        0x4_0002,
        0x5_0004,
        0x6_0001,
        0x7_0000,
        u32::MAX,
    ] {
        let mut host = small_host(&mut []);
        let (_, response, len) = answer(&mut host, &say::initiate_contact(Version::new(number)));
        assert!(!response.version_supported(), "{number:#x}");
        assert_eq!(len, 16);
        assert_eq!(host.connected(), None);
        host.no_event();
        assert_eq!(host.said(), []);
    }
}

#[test]
fn the_embedder_chooses_the_versions() {
    let config = HostConfig {
        versions: &[Version::V1, Version::WIN10],
        ..HostConfig::new(1)
    };
    let mut host = SmallHost::new(config, &mut []);
    // The engine cannot speak 0.13, whatever the embedder says.
    for version in [Version::V1, Version::WIN8, Version::IRON] {
        assert!(
            !answer(&mut host, &say::initiate_contact(version))
                .1
                .version_supported(),
            "{version}"
        );
    }
    assert!(
        answer(&mut host, &say::initiate_contact(Version::WIN10))
            .1
            .version_supported()
    );
}

#[test]
fn features_are_what_both_have() {
    let mut host = small_host(&mut []);
    let mut contact = say::contact(Version::COPPER, FeatureFlags::all());
    contact.client_id = Some(interface::SCSI);
    let (_, response, _) = answer(&mut host, &GuestMessage::InitiateContact(contact));
    assert_eq!(response.features(), FEATURES);
    let Some(Event::Connected(connected)) = host.event() else {
        panic!()
    };
    assert_eq!(
        connected,
        Connected {
            version: Version::COPPER,
            features: FEATURES,
            client_id: Some(interface::SCSI)
        }
    );

    let config = HostConfig {
        features: FeatureFlags::MODIFY_CONNECTION,
        ..HostConfig::new(1)
    };
    let mut host = SmallHost::new(config, &mut []);
    let (_, response, _) = answer(&mut host, &GuestMessage::InitiateContact(contact));
    assert_eq!(response.features(), FeatureFlags::MODIFY_CONNECTION);
    assert_eq!(host.connected().unwrap().client_id, None);
}

#[test]
fn messages_go_where_the_guest_asks_from_3_0_on() {
    let mut contact = say::contact(Version::WIN8_1, FeatureFlags::empty());
    contact.request.target_vp = U32::new(3);
    let mut host = small_host(&mut []);
    assert_eq!(
        answer(&mut host, &GuestMessage::InitiateContact(contact)).0.vp,
        VpIndex(3)
    );
    host.hear(&GuestMessage::RequestOffers).unwrap();
    assert_eq!(host.say().unwrap().target.vp, VpIndex(3));

    contact.request.version = Version::WIN8;
    let mut host = small_host(&mut []);
    assert_eq!(
        answer(&mut host, &GuestMessage::InitiateContact(contact)).0.vp,
        VpIndex(0)
    );
}

#[test]
fn a_target_that_there_is_not_is_refused() {
    let mut contact = say::contact(Version::IRON, FeatureFlags::empty());
    contact.request.target_vp = U32::new(VP_COUNT);
    let mut host = small_host(&mut []);
    let breach = Breach::NoSuchVp {
        message_type: MessageType::INITIATE_CONTACT,
        vp: VP_COUNT,
        vp_count: VP_COUNT,
    };
    assert_eq!(
        host.hear(&GuestMessage::InitiateContact(contact)),
        Err(breach.into())
    );
    assert_eq!(
        host.said(),
        [HostMessage::VersionResponse(VersionResponse::REFUSAL)]
    );
    host.no_event();

    // SINT 3 is told so at SINT 3, SINT 16 at the usual one, VTL 1 as well. SINT 0 is no choice.
    let target = |sint, vtl| {
        let mut contact = say::contact(Version::IRON, FeatureFlags::empty());
        contact.request.interrupt_page_or_target[..2].copy_from_slice(&[sint, vtl]);
        let (target, response, _) = answer(&mut small_host(&mut []), &GuestMessage::InitiateContact(contact));
        (target.sint.number(), response.version_supported())
    };
    assert_eq!(target(3, 0), (3, false));
    assert_eq!(target(16, 0), (2, false));
    assert_eq!(target(2, 1), (2, false));
    assert_eq!(target(0, 0), (2, true));
}

#[test]
fn one_monitor_page_is_a_failed_connection() {
    let mut contact = say::contact(Version::IRON, FeatureFlags::empty());
    contact.request.child_to_parent_monitor_page = U64::ZERO;
    let mut host = small_host(&mut []);
    let (_, response, _) = answer(&mut host, &GuestMessage::InitiateContact(contact));
    assert!(response.version_supported());
    assert_eq!(
        response.connection_state(),
        Some(ConnectionState::FAILED_UNKNOWN_FAILURE)
    );
    assert_eq!(host.connected(), None);
    host.no_event();
}

#[test]
fn a_guest_may_ask_from_the_highest_down() {
    let config = HostConfig {
        versions: &[Version::WIN10],
        ..HostConfig::new(1)
    };
    let mut host = SmallHost::new(config, &mut []);
    let mut asked = VERSIONS.iter().rev().filter(|version| {
        answer(&mut host, &say::initiate_contact(**version))
            .1
            .version_supported()
    });
    assert_eq!(asked.next(), Some(&Version::WIN10));
    host.offers();
}

#[test]
fn offers_go_out_only_after_they_were_asked_for() {
    let mut host = small_host(&mut []);
    let early = host.offer(device(1)).unwrap();
    host.hear(&say::initiate_contact(Version::IRON)).unwrap();
    host.answered_contact();
    let late = host.offer(device(2)).unwrap();
    assert_eq!(host.said(), []);
    let relids: Vec<RelId> = host.offers().iter().map(|offer| offer.offer.relid).collect();
    assert_eq!(relids, [early.relid(), late.relid()]);
    // And then as they come.
    let hot = host.offer(device(3)).unwrap();
    let [HostMessage::OfferChannel(offer)] = &host.said()[..] else {
        panic!()
    };
    assert_eq!(offer.offer.relid, hot.relid());
    assert_eq!(
        host.hear(&GuestMessage::RequestOffers),
        Err(Breach::OffersRequestedTwice.into())
    );
}

#[test]
fn an_offer_says_what_the_embedder_said() {
    let params = OfferParams {
        mmio_megabytes: 8,
        mmio_megabytes_optional: 1,
        flags: OfferFlags::ENUMERATE_DEVICE_INTERFACE | OfferFlags::CONFIDENTIAL_RING_BUFFER,
        ..device(7).pipe(PipeType::MESSAGE)
    };
    let mut host = small_host(&mut []);
    let channel = host.offer(params).unwrap();
    let offers = host.connect(Version::IRON);
    let OfferChannel { offer, signal } = offers[0];
    assert_eq!(
        (offer.interface, offer.instance),
        (params.interface, params.instance)
    );
    // The confidential flag had another meaning before 6.0.
    assert_eq!(offer.flags(), OfferFlags::ENUMERATE_DEVICE_INTERFACE);
    assert_eq!(
        (offer.mmio_megabytes.get(), offer.mmio_megabytes_optional.get()),
        (8, 1)
    );
    assert_eq!(offer.user_defined[..5], [4, 0, 0, 0, 0]);
    assert_eq!(offer.sub_channel_index.get(), 0);
    assert!(!offer.is_monitored());
    let signal = signal.unwrap();
    assert!(signal.is_dedicated());
    assert_eq!(signal.connection_id.get(), 0x2000 + offer.relid.value());
    assert_eq!(host.connection_id(channel).0, signal.connection_id.get());
}

use crate::wire::{OfferFlags, PipeType};

#[test]
fn the_same_is_not_offered_twice() {
    let mut host = small_host(&mut []);
    let channel = host.offer(device(1)).unwrap();
    assert_eq!(host.offer(device(1)), Err(OfferError::Duplicate { channel }));
}

#[test]
fn unload_is_answered_and_all_is_as_before() {
    let mut host = small_host(&mut []);
    let channel = host.offer(device(1)).unwrap();
    host.connect(Version::IRON);
    host.hear(&GuestMessage::Unload).unwrap();
    assert_eq!(host.said(), [HostMessage::UnloadResponse]);
    assert_eq!(host.events(), [Event::Disconnected]);
    let breach = Breach::NotConnected {
        message_type: MessageType::REQUEST_OFFERS,
    };
    assert_eq!(host.hear(&GuestMessage::RequestOffers), Err(breach.into()));
    // The same channel is offered to the next one.
    assert_eq!(host.connect(Version::WIN10)[0].offer.relid, channel.relid());
}

#[test]
fn an_unload_without_a_connection_is_answered_too() {
    let mut host = small_host(&mut []);
    host.hear(&GuestMessage::Unload).unwrap();
    assert_eq!(host.said(), [HostMessage::UnloadResponse]);
    host.no_event();
}

#[test]
fn messages_need_their_version_and_feature() {
    let mut host = small_host(&mut []);
    let channel = host.offer(device(1)).unwrap();
    host.connect(Version::WIN10);
    let early = |message_type| {
        Err(Breach::NotInVersion {
            message_type,
            version: Version::WIN10,
        }
        .into())
    };
    assert_eq!(
        host.hear(&say::modify(channel.relid(), 0)),
        early(MessageType::MODIFY_CHANNEL)
    );
    assert_eq!(host.hear(&GuestMessage::Pause), early(MessageType::PAUSE));
    assert_eq!(host.said(), []);
}

#[test]
fn a_host_message_is_none_of_a_guest() {
    let mut host = small_host(&mut []);
    host.connect(Version::IRON);
    let error = host.handle_message(&HostMessage::UnloadResponse.encode());
    assert!(matches!(
        error,
        Err(HandleError::Breach(Breach::Decode(
            DecodeError::WrongDirection { .. }
        )))
    ));
}

#[test]
fn an_hvsock_connection_is_refused() {
    let request = ConnectRequest {
        endpoint: Guid::new(1, 2, 3, 4),
        service: Guid::new(5, 6, 7, 8),
    };
    let connect = GuestMessage::TlConnectRequest(TlConnectRequest {
        request,
        silo_id: None,
    });
    let mut host = small_host(&mut []);
    host.connect(Version::IRON);
    host.hear(&connect).unwrap();
    let status = Status::CONNECTION_REFUSED;
    let result = TlConnectResult {
        endpoint: request.endpoint,
        service: request.service,
        status,
    };
    assert_eq!(host.said(), [HostMessage::TlConnectResult(result)]);
    // There was no way to say so before 4.1.
    host.connect(Version::WIN10);
    host.hear(&connect).unwrap();
    assert_eq!(host.said(), []);
}

/// A host whose guest is of the newest version and can do this.
fn host_with(features: FeatureFlags) -> SmallHost<'static> {
    let mut host = small_host(&mut []);
    host.hear(&GuestMessage::InitiateContact(say::contact(
        Version::COPPER,
        features,
    )))
    .unwrap();
    host.answered_contact();
    host
}

#[test]
fn monitor_pages_may_be_changed_though_they_are_not_used() {
    let mut host = host_with(FeatureFlags::MODIFY_CONNECTION);
    let modify = |parent_to_child, child_to_parent| {
        GuestMessage::ModifyConnection(ModifyConnection {
            parent_to_child_monitor_page: U64::new(parent_to_child),
            child_to_parent_monitor_page: U64::new(child_to_parent),
        })
    };
    let response = |connection_state| {
        HostMessage::ModifyConnectionResponse(ModifyConnectionResponse { connection_state })
    };
    host.hear(&modify(0x1000, 0x2000)).unwrap();
    host.hear(&modify(0, 0)).unwrap();
    assert_eq!(
        host.said(),
        [
            response(ConnectionState::SUCCESSFUL),
            response(ConnectionState::SUCCESSFUL)
        ]
    );
    host.hear(&modify(0, 0x2000)).unwrap_err();
    assert_eq!(host.said(), [response(ConnectionState::FAILED_UNKNOWN_FAILURE)]);
}

#[test]
fn a_paused_guest_gets_nothing_until_it_resumes() {
    let mut host = host_with(FeatureFlags::PAUSE_RESUME);
    host.offers();
    host.hear(&GuestMessage::Pause).unwrap();
    let channel = host.offer(device(1)).unwrap();
    assert_eq!(host.said(), [HostMessage::PauseResponse]);
    assert_eq!(
        host.lend_unanswered(channel.relid()),
        Err(unknown(channel.relid()))
    );
    assert_eq!(host.said(), []);
    let breach = Breach::PauseState {
        message_type: MessageType::PAUSE,
    };
    assert_eq!(host.hear(&GuestMessage::Pause), Err(breach.into()));
    host.hear(&GuestMessage::Resume).unwrap();
    let said = host.said();
    assert!(
        matches!(
            said[..],
            [HostMessage::GpadlCreated(_), HostMessage::OfferChannel(_)]
        ),
        "{said:?}"
    );
    let breach = Breach::PauseState {
        message_type: MessageType::RESUME,
    };
    assert_eq!(host.hear(&GuestMessage::Resume), Err(breach.into()));
}

fn unknown(relid: RelId) -> HandleError {
    Breach::UnknownChannel {
        message_type: MessageType::GPADL_HEADER,
        relid,
    }
    .into()
}

impl SmallHost<'_> {
    fn lend_unanswered(&mut self, relid: RelId) -> Result<(), HandleError> {
        self.hear(&say::header(relid, GPADL, 16, 1, &say::range(1, 1)))
    }
}

#[test]
fn a_full_queue_of_a_paused_guest_does_not_keep_it_from_resuming() {
    let mut host = host_with(FeatureFlags::PAUSE_RESUME);
    host.hear(&GuestMessage::Pause).unwrap();
    assert_eq!(host.said(), [HostMessage::PauseResponse]);
    while host.lend_unanswered(RelId::new(9)) != Err(HandleError::Busy) {}
    host.hear(&GuestMessage::Resume).unwrap();
    assert_eq!(host.said().len(), 4);
}

#[test]
fn reserved_channels_are_not_supported() {
    let mut host = small_host(&mut []);
    host.connect(Version::IRON);
    let close = GuestMessage::CloseReservedChannel(crate::wire::CloseReservedChannel {
        relid: RelId::new(1),
        target_vp: U32::ZERO,
        target_sint: U32::new(2),
    });
    let message_type = MessageType::CLOSE_RESERVED_CHANNEL;
    assert_eq!(host.hear(&close), Err(HandleError::Unsupported { message_type }));
}
