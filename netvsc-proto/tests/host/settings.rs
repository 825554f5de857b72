//! What a guest asks and sets, and what the NIC tells by itself.

use netvsc_proto::host::{MacAddress, NicConfig, ReceiveInfo, Received};
use netvsc_proto::wire::nvsp::{self, Status, Version};
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::status::RndisStatus;
use zerocopy::FromBytes;

use crate::config;
use crate::support::{MAC, Rig, frame};

#[test]
fn link_changes_are_told() {
    let mut rig = Rig::<4096>::up(config());
    let told = |rig: &mut Rig| rig.guest[0].indications.pop_front();
    assert_eq!(told(&mut rig), None);
    rig.net.link.set(false);
    rig.run();
    assert_eq!(told(&mut rig), Some((RndisStatus::MEDIA_DISCONNECT, vec![])));
    assert_eq!(rig.query_u32(Oid::GEN_MEDIA_CONNECT_STATUS), 1);
    rig.net.link.set(true);
    rig.run();
    assert_eq!(told(&mut rig), Some((RndisStatus::MEDIA_CONNECT, vec![])));
    rig.nic.set_link_speed(1_000_000_000);
    rig.run();
    assert_eq!(
        told(&mut rig),
        Some((
            RndisStatus::LINK_SPEED_CHANGE,
            10_000_000_u32.to_le_bytes().to_vec()
        ))
    );
    rig.run();
    assert_eq!(told(&mut rig), None);
}

#[test]
fn mac_can_be_changed_where_the_embedder_allows() {
    let new = MacAddress([2, 1, 2, 3, 4, 0xaf]);
    let parameter = |text: &str| {
        let utf16 = |text: &str| {
            text.encode_utf16()
                .flat_map(u16::to_le_bytes)
                .collect::<Vec<u8>>()
        };
        let (name, value) = (utf16("NetworkAddress"), utf16(text));
        let words = [20, name.len(), 2, 20 + name.len(), value.len()].map(|word| (word as u32).to_le_bytes());
        [words.concat(), name, value].concat()
    };
    let mut rig = Rig::<4096>::up(config());
    assert_eq!(
        rig.set(Oid::GEN_RNDIS_CONFIG_PARAMETER, &parameter("0201020304AF")),
        RndisStatus::NOT_SUPPORTED
    );
    assert_eq!(
        rig.set(Oid::ETHERNET_CURRENT_ADDRESS, &new.0),
        RndisStatus::NOT_SUPPORTED
    );
    assert_eq!(
        rig.set(Oid::ETHERNET_CURRENT_ADDRESS, &MAC.0),
        RndisStatus::SUCCESS
    );

    let mut rig = Rig::<4096>::up(NicConfig {
        mac_may_change: true,
        ..config()
    });
    assert_eq!(
        rig.set(Oid::GEN_RNDIS_CONFIG_PARAMETER, &parameter("0201020304AF")),
        RndisStatus::SUCCESS
    );
    assert_eq!(rig.query(Oid::ETHERNET_CURRENT_ADDRESS).unwrap(), new.0);
    assert_eq!(rig.query(Oid::ETHERNET_PERMANENT_ADDRESS).unwrap(), MAC.0);
    assert_eq!(
        rig.queues[0]
            .receive(&frame(new, 0, 60), &ReceiveInfo::NONE)
            .unwrap(),
        Received::Staged
    );
    for bad in [
        "",
        "0201020304A",
        "0201020304AFF",
        "0201020304AG",
        "010203040506",
        "000000000000",
    ] {
        let status = rig.set(Oid::GEN_RNDIS_CONFIG_PARAMETER, &parameter(bad));
        assert_eq!(status, RndisStatus::INVALID_DATA, "{bad}");
    }
    let mut cut = parameter("0201020304AF");
    cut.pop();
    assert_eq!(
        rig.set(Oid::GEN_RNDIS_CONFIG_PARAMETER, &cut),
        RndisStatus::INVALID_DATA
    );
}

#[test]
fn every_listed_oid_is_answered_and_others_are_not() {
    let mut rig = Rig::<4096>::up(config());
    let list = rig.query(Oid::GEN_SUPPORTED_LIST).unwrap();
    let oids = <[Oid]>::ref_from_bytes(&list).unwrap();
    assert!(oids.len() > 60);
    let settable = [
        Oid::GEN_PROTOCOL_OPTIONS,
        Oid::GEN_NETWORK_LAYER_ADDRESSES,
        Oid::GEN_RNDIS_CONFIG_PARAMETER,
        Oid::GEN_LINK_PARAMETERS,
        Oid::ETHERNET_ADD_MULTICAST_ADDRESS,
        Oid::ETHERNET_DELETE_MULTICAST_ADDRESS,
        Oid::TCP_OFFLOAD_PARAMETERS,
        Oid::GEN_RECEIVE_SCALE_PARAMETERS,
    ];
    for oid in oids {
        assert_eq!(rig.query(*oid).is_err(), settable.contains(oid), "{oid}");
    }
    for oid in [
        Oid::new(0),
        Oid::new(0xdead_beef),
        Oid::GEN_MACHINE_NAME,
        Oid::PNP_QUERY_POWER,
    ] {
        assert_eq!(rig.query(oid), Err(RndisStatus::NOT_SUPPORTED), "{oid}");
    }
    for oid in [
        Oid::new(0),
        Oid::GEN_LINK_SPEED,
        Oid::GEN_STATISTICS,
        Oid::ETHERNET_PERMANENT_ADDRESS,
    ] {
        assert_eq!(rig.set(oid, &[0; 8]), RndisStatus::NOT_SUPPORTED, "{oid}");
    }
    assert_eq!(
        rig.set(Oid::GEN_NETWORK_LAYER_ADDRESSES, &[0; 100]),
        RndisStatus::SUCCESS
    );
    assert_eq!(
        rig.set(Oid::GEN_CURRENT_PACKET_FILTER, &[0; 3]),
        RndisStatus::INVALID_LENGTH
    );
}

#[test]
fn what_is_told_is_completed_when_that_is_asked_for() {
    let mut rig = Rig::<4096>::new(config());
    assert_eq!(rig.init(Version::V6_1), Status::SUCCESS);
    let ndis = nvsp::SendNdisVersion {
        major: 6.into(),
        minor: 30.into(),
    };
    assert!(rig.ask(&GuestMessage::SendNdisVersion(ndis)).is_empty());
    let config = nvsp::SendNdisConfig {
        mtu: 1514.into(),
        ..Default::default()
    };
    assert!(rig.ask(&GuestMessage::SendNdisConfig(config)).is_empty());
    // Linux does not ask.
    rig.tell(&GuestMessage::SendNdisConfig(config));
    assert!(rig.guest[0].completed.is_empty());
}

#[test]
fn requests_that_have_no_use_here_are_answered() {
    let mut rig = Rig::<4096>::up(config());
    let vf = nvsp::SwitchDataPath {
        active: nvsp::DataPath::VF,
    };
    assert!(
        rig.ask(&GuestMessage::SwitchDataPath(vf)).is_empty(),
        "Linux waits for an empty completion"
    );
    let payload = rig.ask(&GuestMessage::OidQueryEx(nvsp::OidQueryEx::default()));
    let HostMessage::OidQueryExComplete(complete) = Rig::<4096>::host_message(&payload) else {
        panic!()
    };
    assert_eq!(complete.status.get(), RndisStatus::NOT_SUPPORTED.value());
    let request = netvsc_proto::wire::packet_direct::PdRequest {
        operation: netvsc_proto::wire::packet_direct::PdOperation::CONFIGURATION,
        body: [0; 30],
    };
    let payload = rig.ask(&GuestMessage::PdApi(request));
    let HostMessage::PdApi(complete) = Rig::<4096>::host_message(&payload) else {
        panic!()
    };
    let body: netvsc_proto::wire::packet_direct::PdConfigurationComplete = complete.body().unwrap();
    assert_eq!((body.is_supported, body.is_enabled), (0, 0));
}
