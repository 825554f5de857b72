use super::*;

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
const FIRST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
const CLIENT: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);
const OTHER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 2]);

fn server() -> Server {
    let dns = vec![Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(1, 1, 1, 1)];
    let dhcp = DhcpConfig {
        leases: 2,
        dns,
        lease_time: std::time::Duration::from_secs(800),
        ..Default::default()
    };
    let config = Config {
        mtu: 9000,
        dhcp: Some(dhcp.clone()),
        ..Config::default()
    };
    config.validate().unwrap();
    Server::new(&config, &dhcp)
}

fn request(message_type: DhcpMessageType, station: EthernetAddress) -> DhcpRepr<'static> {
    DhcpRepr {
        message_type,
        transaction_id: 0x1234_5678,
        secs: 3,
        client_hardware_address: station,
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: Ipv4Addr::UNSPECIFIED,
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: None,
        subnet_mask: None,
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: false,
        requested_ip: None,
        client_identifier: Some(station),
        server_identifier: None,
        parameter_request_list: Some(&[1, 3, 6, 26, 51]),
        dns_servers: None,
        max_size: Some(1432),
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    }
}

fn frame(dhcp: &DhcpRepr<'_>, to_mac: EthernetAddress, to_ip: Ipv4Addr) -> Vec<u8> {
    let udp = UdpRepr {
        src_port: DHCP_CLIENT_PORT,
        dst_port: DHCP_SERVER_PORT,
    };
    let ip = Ipv4Repr {
        src_addr: dhcp.client_ip,
        dst_addr: to_ip,
        next_header: IpProtocol::Udp,
        payload_len: udp.header_len() + dhcp.buffer_len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        src_addr: dhcp.client_hardware_address,
        dst_addr: to_mac,
        ethertype: EthernetProtocol::Ipv4,
    };
    let mut frame = vec![0; ETHERNET_HEADER + 20 + ip.payload_len];
    let mut packet = EthernetFrame::new_unchecked(&mut frame[..]);
    ethernet.emit(&mut packet);
    let mut packet = Ipv4Packet::new_unchecked(packet.payload_mut());
    ip.emit(&mut packet, &ChecksumCapabilities::default());
    udp.emit(
        &mut UdpPacket::new_unchecked(packet.payload_mut()),
        &dhcp.client_ip.into(),
        &to_ip.into(),
        dhcp.buffer_len(),
        |payload| dhcp.emit(&mut DhcpPacket::new_unchecked(payload)).unwrap(),
        &ChecksumCapabilities::ignored(),
    );
    frame
}

/// What a client reads out of an answer, after checking every layer around it.
#[derive(Debug, PartialEq)]
struct Seen {
    to_mac: EthernetAddress,
    to_ip: Ipv4Addr,
    message_type: DhcpMessageType,
    your_ip: Ipv4Addr,
    lease: Option<u32>,
    options: Vec<(u8, Vec<u8>)>,
}

impl Seen {
    fn option(&self, kind: u8) -> Option<&[u8]> {
        self.options
            .iter()
            .find(|option| option.0 == kind)
            .map(|option| &option.1[..])
    }
}

fn seen(frame: &[u8], station: EthernetAddress) -> Seen {
    let ethernet = EthernetFrame::new_checked(frame).unwrap();
    let packet = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
    let ip = Ipv4Repr::parse(&packet, &ChecksumCapabilities::default()).unwrap();
    assert_eq!(ip.src_addr, GATEWAY);
    let datagram = UdpPacket::new_checked(packet.payload()).unwrap();
    let udp = UdpRepr::parse(
        &datagram,
        &ip.src_addr.into(),
        &ip.dst_addr.into(),
        &ChecksumCapabilities::default(),
    );
    assert_eq!(
        udp,
        Ok(UdpRepr {
            src_port: 67,
            dst_port: 68
        })
    );
    assert!(datagram.payload().len() >= MIN_MESSAGE);
    let message = DhcpPacket::new_checked(datagram.payload()).unwrap();
    let dhcp = DhcpRepr::parse(&message).unwrap();
    assert_eq!(
        (dhcp.transaction_id, dhcp.client_hardware_address),
        (0x1234_5678, station)
    );
    assert_eq!(dhcp.server_identifier, Some(GATEWAY));
    Seen {
        to_mac: ethernet.dst_addr(),
        to_ip: ip.dst_addr,
        message_type: dhcp.message_type,
        your_ip: dhcp.your_ip,
        lease: dhcp.lease_duration,
        options: message
            .options()
            .map(|option| (option.kind, option.data.to_vec()))
            .collect(),
    }
}

fn ask(server: &mut Server, request: &DhcpRepr<'_>) -> Option<Seen> {
    let frame = frame(request, EthernetAddress::BROADCAST, Ipv4Addr::BROADCAST);
    match server.handle(&frame, Instant::from_secs(100)) {
        Verdict::Answer(answer) => Some(seen(&answer, request.client_hardware_address)),
        Verdict::Done => None,
        Verdict::NotDhcp => panic!("not taken"),
    }
}

#[test]
fn an_offer_and_its_acceptance_tell_everything() {
    let mut server = server();
    let offer = ask(&mut server, &request(DhcpMessageType::Discover, CLIENT)).unwrap();
    assert_eq!(
        (offer.message_type, offer.your_ip),
        (DhcpMessageType::Offer, FIRST)
    );
    assert_eq!((offer.to_mac, offer.to_ip), (CLIENT, FIRST));

    let take = DhcpRepr {
        requested_ip: Some(FIRST),
        server_identifier: Some(GATEWAY),
        ..request(DhcpMessageType::Request, CLIENT)
    };
    let ack = ask(&mut server, &take).unwrap();
    assert_eq!(
        (ack.message_type, ack.your_ip, ack.lease),
        (DhcpMessageType::Ack, FIRST, Some(800))
    );
    for (kind, data) in [
        (1, &[255, 255, 255, 0][..]),
        (3, &[10, 0, 2, 2]),
        (6, &[9, 9, 9, 9, 1, 1, 1, 1]),
        (26, &9000_u16.to_be_bytes()),
        (28, &[10, 0, 2, 255]),
        (58, &400_u32.to_be_bytes()),
        (59, &700_u32.to_be_bytes()),
    ] {
        assert_eq!(ack.option(kind), Some(data), "option {kind}");
    }
    assert_eq!(
        server.statistics(),
        DhcpStatistics {
            offers: 1,
            acks: 1,
            ..DhcpStatistics::default()
        }
    );
}

#[test]
fn the_broadcast_flag_is_honoured() {
    let discover = DhcpRepr {
        broadcast: true,
        ..request(DhcpMessageType::Discover, CLIENT)
    };
    let offer = ask(&mut server(), &discover).unwrap();
    assert_eq!(
        (offer.to_mac, offer.to_ip),
        (EthernetAddress::BROADCAST, Ipv4Addr::BROADCAST)
    );
}

#[test]
fn a_renewal_goes_both_ways_by_unicast() {
    let mut server = server();
    let renew = DhcpRepr {
        client_ip: FIRST,
        ..request(DhcpMessageType::Request, CLIENT)
    };
    let frame = frame(&renew, EthernetAddress(Config::default().mac), GATEWAY);
    let Verdict::Answer(answer) = server.handle(&frame, Instant::ZERO) else {
        panic!("no answer")
    };
    let ack = seen(&answer, CLIENT);
    assert_eq!((ack.message_type, ack.your_ip), (DhcpMessageType::Ack, FIRST));
    assert_eq!((ack.to_mac, ack.to_ip), (CLIENT, FIRST));
}

#[test]
fn anothers_address_is_denied_to_all() {
    let mut server = server();
    let take = |station| DhcpRepr {
        requested_ip: Some(FIRST),
        ..request(DhcpMessageType::Request, station)
    };
    assert_eq!(
        ask(&mut server, &take(CLIENT)).unwrap().message_type,
        DhcpMessageType::Ack
    );
    let nak = ask(&mut server, &take(OTHER)).unwrap();
    assert_eq!(
        (nak.message_type, nak.your_ip, nak.lease),
        (DhcpMessageType::Nak, Ipv4Addr::UNSPECIFIED, None)
    );
    assert_eq!(
        (nak.to_mac, nak.to_ip),
        (EthernetAddress::BROADCAST, Ipv4Addr::BROADCAST)
    );
    assert_eq!(nak.option(3), None);
    let foreign = DhcpRepr {
        client_ip: Ipv4Addr::new(192, 168, 0, 9),
        ..request(DhcpMessageType::Request, OTHER)
    };
    assert_eq!(
        ask(&mut server, &foreign).unwrap().message_type,
        DhcpMessageType::Nak
    );
}

#[test]
fn another_servers_offer_is_its_own_matter() {
    let elsewhere = DhcpRepr {
        requested_ip: Some(FIRST),
        server_identifier: Some(Ipv4Addr::new(10, 0, 2, 3)),
        ..request(DhcpMessageType::Request, CLIENT)
    };
    assert_eq!(ask(&mut server(), &elsewhere), None);
}

#[test]
fn a_full_range_stays_silent_until_a_release() {
    let mut server = server();
    let station = |number| EthernetAddress([2, 0, 0, 0, 1, number]);
    for number in 0..2 {
        assert!(ask(&mut server, &request(DhcpMessageType::Discover, station(number))).is_some());
    }
    assert_eq!(
        ask(&mut server, &request(DhcpMessageType::Discover, station(2))),
        None
    );
    assert_eq!(server.statistics().exhausted, 1);
    let release = DhcpRepr {
        client_ip: FIRST,
        ..request(DhcpMessageType::Release, station(0))
    };
    assert_eq!(ask(&mut server, &release), None);
    let offer = ask(&mut server, &request(DhcpMessageType::Discover, station(2))).unwrap();
    assert_eq!(offer.your_ip, FIRST);
}

#[test]
fn a_declined_address_is_not_offered_again() {
    let mut server = server();
    assert_eq!(
        ask(&mut server, &request(DhcpMessageType::Discover, CLIENT))
            .unwrap()
            .your_ip,
        FIRST
    );
    let decline = DhcpRepr {
        requested_ip: Some(FIRST),
        ..request(DhcpMessageType::Decline, CLIENT)
    };
    assert_eq!(ask(&mut server, &decline), None);
    assert_ne!(
        ask(&mut server, &request(DhcpMessageType::Discover, CLIENT))
            .unwrap()
            .your_ip,
        FIRST
    );
}

#[test]
fn an_inform_gets_options_and_no_lease() {
    let address = Ipv4Addr::new(10, 0, 2, 99);
    let inform = DhcpRepr {
        client_ip: address,
        ..request(DhcpMessageType::Inform, CLIENT)
    };
    let ack = ask(&mut server(), &inform).unwrap();
    assert_eq!(
        (ack.message_type, ack.your_ip, ack.lease),
        (DhcpMessageType::Ack, Ipv4Addr::UNSPECIFIED, None)
    );
    assert_eq!((ack.to_ip, ack.option(58)), (address, None));
    assert_eq!(ack.option(3), Some(&[10, 0, 2, 2][..]));
}

#[test]
fn what_is_no_clients_message_is_counted() {
    let mut server = server();
    let relayed = DhcpRepr {
        relay_agent_ip: GATEWAY,
        ..request(DhcpMessageType::Discover, CLIENT)
    };
    let group = request(DhcpMessageType::Discover, EthernetAddress([1, 0, 0, 0, 0, 1]));
    let from_server = request(DhcpMessageType::Offer, CLIENT);
    for message in [relayed, group, from_server] {
        assert_eq!(ask(&mut server, &message), None);
    }
    assert_eq!(server.statistics().malformed, 3);
    assert_eq!(server.statistics().offers, 0);
}

#[test]
fn other_traffic_is_left_to_others() {
    let mut server = server();
    let discover = request(DhcpMessageType::Discover, CLIENT);
    let elsewhere = frame(&discover, OTHER, Ipv4Addr::BROADCAST);
    assert!(matches!(
        server.handle(&elsewhere, Instant::ZERO),
        Verdict::NotDhcp
    ));
    let elsewhere = frame(&discover, EthernetAddress::BROADCAST, Ipv4Addr::new(10, 0, 2, 7));
    assert!(matches!(
        server.handle(&elsewhere, Instant::ZERO),
        Verdict::NotDhcp
    ));
    assert!(matches!(server.handle(&[], Instant::ZERO), Verdict::NotDhcp));
}
