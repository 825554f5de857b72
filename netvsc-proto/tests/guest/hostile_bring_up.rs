//! A host that breaks the protocol, or refuses, while the NIC comes up.

use netvsc_proto::guest::{Fault, MacAddress};
use netvsc_proto::wire::nvsp::{self, MessageType, Status, Version};
use netvsc_proto::wire::nvsp_message::{GuestMessage, HostMessage};
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis::{self, Medium, MessageType as Rndis};
use netvsc_proto::wire::rndis_message::{GuestMessage as RndisGuest, HostMessage as RndisHost};
use netvsc_proto::wire::status::RndisStatus;
use zerocopy::IntoBytes;

use crate::scripted::{
    Ask, HostEnd, RECEIVE_LEN, SEND_LEN, Script, initialize_complete, query_complete, rss_caps,
};

type Host = HostEnd<4096>;

fn fault_of(mut tweak: impl FnMut(&mut Host, u64, &Ask<'_>) -> bool) -> Fault {
    let mut script = Script::<4096>::new(|_| ());
    let fault = script.run_with(&mut tweak).unwrap_err();
    assert_eq!(script.ready, None);
    script.dead(fault);
    fault
}

/// Answers one NVSP request with this message.
fn nvsp_fault(asked: MessageType, answer: &HostMessage<'_>) -> Fault {
    fault_of(|host, id, ask| match ask {
        Ask::Nvsp(message) if message.message_type() == asked => {
            host.complete(id, answer);
            true
        }
        _ => false,
    })
}

#[test]
fn versions_that_are_refused() {
    let mut asked = vec![];
    let fault = fault_of(|host, id, ask| {
        let Ask::Nvsp(GuestMessage::Init(init)) = ask else {
            panic!("nothing else")
        };
        assert_eq!(init.min_version, init.max_version);
        asked.push(init.max_version);
        let status = [
            Status::NONE,
            Status::FAILURE,
            Status::PROTOCOL_TOO_NEW,
            Status::new(99),
        ][asked.len() % 4];
        host.complete(
            id,
            &HostMessage::InitComplete(nvsp::InitComplete {
                status,
                ..Default::default()
            }),
        );
        true
    });
    assert_eq!(fault, Fault::NoVersion);
    assert_eq!(
        asked,
        [
            Version::V6_1,
            Version::V6,
            Version::V5,
            Version::V4,
            Version::V2,
            Version::V1
        ]
    );
}

#[test]
fn buffers_that_are_refused_or_divided_badly() {
    let status = Status::FAILURE;
    let receive = MessageType::SEND_RECEIVE_BUFFER;
    let answer = HostMessage::SendReceiveBufferComplete(nvsp::SendReceiveBufferComplete {
        status,
        ..Default::default()
    });
    let message = MessageType::SEND_RECEIVE_BUFFER_COMPLETE;
    assert_eq!(nvsp_fault(receive, &answer), Fault::Refused { message, status });
    let len = RECEIVE_LEN;
    for (sections, offset, size, count) in [
        (0, 0, 2048, 64),
        (2, 0, 2048, 64),
        (u32::MAX, 0, 2048, 64),
        (1, 0, 2048, 65),
        (1, 1, 2048, 64),
        (1, 0, 67, 64),
        (1, 0, 0, 64),
        (1, 0, 2048, 0),
        (1, 0, 0x1_0000, 0x1_0000),
        (1, u32::MAX, 2048, 64),
        (1, 0, u32::MAX, 1),
    ] {
        let section = nvsp::ReceiveBufferSection {
            offset: offset.into(),
            part_size: size.into(),
            part_count: count.into(),
            end_offset: 0.into(),
        };
        let status = Status::SUCCESS;
        let complete = nvsp::SendReceiveBufferComplete {
            status,
            section_count: sections.into(),
            section,
        };
        let fault = nvsp_fault(receive, &HostMessage::SendReceiveBufferComplete(complete));
        assert_eq!(
            fault,
            Fault::ReceiveSections {
                sections,
                offset,
                size,
                count,
                len
            }
        );
    }
    let send = MessageType::SEND_SEND_BUFFER;
    let answer = |status, section_size: u32| {
        HostMessage::SendSendBufferComplete(nvsp::SendSendBufferComplete {
            status,
            section_size: section_size.into(),
        })
    };
    let message = MessageType::SEND_SEND_BUFFER_COMPLETE;
    assert_eq!(
        nvsp_fault(send, &answer(status, 6144)),
        Fault::Refused { message, status }
    );
    // Four queues, each of which is to have one at least.
    for section_size in [0, 255, SEND_LEN / 4 + 1, SEND_LEN + 1, u32::MAX] {
        let fault = nvsp_fault(send, &answer(Status::SUCCESS, section_size));
        assert_eq!(
            fault,
            Fault::SendSections {
                section_size,
                len: SEND_LEN,
                queues: 4
            }
        );
    }
}

#[test]
fn answers_to_something_else() {
    let version = Version::default();
    let answer = HostMessage::SendSendBufferComplete(Default::default());
    let message = MessageType::SEND_SEND_BUFFER_COMPLETE;
    assert_eq!(
        nvsp_fault(MessageType::INIT, &answer),
        Fault::Unexpected { message, version }
    );
    let version = Version::V6_1;
    assert_eq!(
        nvsp_fault(MessageType::SEND_RECEIVE_BUFFER, &answer),
        Fault::Unexpected { message, version }
    );
    let answer = HostMessage::InitComplete(Default::default());
    let message = MessageType::INIT_COMPLETE;
    assert_eq!(
        nvsp_fault(MessageType::SEND_SEND_BUFFER, &answer),
        Fault::Unexpected { message, version }
    );
    // A transfer before there is a receive buffer.
    let fault = fault_of(|host, _, _| {
        host.give(1, &[0; 60]);
        true
    });
    let message = MessageType::SEND_RNDIS_PACKET;
    assert_eq!(
        fault,
        Fault::Unexpected {
            message,
            version: Version::default()
        }
    );
}

fn initialize_fault(complete: impl Fn(u32) -> rndis::InitializeComplete) -> Fault {
    fault_of(|host, id, ask| {
        let Ask::Rndis(RndisGuest::Initialize(request)) = ask else {
            return false;
        };
        host.complete_transfer(id, Status::SUCCESS);
        host.reply(&RndisHost::InitializeComplete(complete(request.request_id.get())));
        true
    })
}

#[test]
fn rndis_that_is_not_the_one() {
    let status = RndisStatus::BAD_VERSION;
    let fault = initialize_fault(|id| rndis::InitializeComplete {
        status,
        ..initialize_complete(id)
    });
    assert_eq!(
        fault,
        Fault::RndisRefused {
            message: Rndis::INITIALIZE_COMPLETE,
            status
        }
    );
    let fault = initialize_fault(|id| rndis::InitializeComplete {
        major_version: 2.into(),
        ..initialize_complete(id)
    });
    assert_eq!(fault, Fault::RndisVersion { major: 2, minor: 0 });
    let fault = initialize_fault(|id| rndis::InitializeComplete {
        medium: Medium::FDDI,
        ..initialize_complete(id)
    });
    assert_eq!(fault, Fault::Medium(Medium::FDDI));
    let fault = initialize_fault(|id| initialize_complete(id + 1));
    assert!(matches!(
        fault,
        Fault::Answer {
            message: Rndis::INITIALIZE_COMPLETE,
            ..
        }
    ));
    // Not even taken.
    let status = Status::INVALID_RNDIS_PACKET;
    let fault = fault_of(|host, id, ask| {
        let taken = matches!(ask, Ask::Rndis(_));
        if taken {
            host.complete_transfer(id, status);
        }
        taken
    });
    assert_eq!(
        fault,
        Fault::Refused {
            message: MessageType::SEND_RNDIS_PACKET_COMPLETE,
            status
        }
    );
}

/// Brings a NIC up whose host answers one OID so.
fn with_oid(oid: Oid, status: RndisStatus, info: &[u8]) -> Result<netvsc_proto::guest::Properties, Fault> {
    let mut script = Script::<4096>::new(|_| ());
    script.run_with(&mut |host, id, ask| {
        let Ask::Rndis(RndisGuest::Query(request, _)) = ask else {
            return false;
        };
        if request.oid != oid {
            return false;
        }
        host.complete_transfer(id, Status::SUCCESS);
        host.reply(&query_complete(request.request_id.get(), status, info));
        true
    })?;
    script.alive_unfiltered();
    Ok(script.ready.unwrap())
}

impl Script<4096> {
    fn alive_unfiltered(&mut self) {
        self.nic
            .set_packet_filter(netvsc_proto::wire::rndis::PacketFilter::DIRECTED)
            .unwrap();
        self.run().unwrap();
        self.alive();
    }
}

#[test]
fn oids_that_are_answered_badly() {
    let ok = RndisStatus::SUCCESS;
    let length = |oid, len| Err(Fault::OidLength { oid, len });
    for (oid, least) in [
        (Oid::GEN_MAXIMUM_FRAME_SIZE, 4),
        (Oid::ETHERNET_PERMANENT_ADDRESS, 6),
        (Oid::GEN_MEDIA_CONNECT_STATUS, 4),
        (Oid::GEN_LINK_SPEED, 4),
        (Oid::GEN_RECEIVE_SCALE_CAPABILITIES, 18),
        (Oid::TCP_OFFLOAD_HARDWARE_CAPABILITIES, 112),
    ] {
        for len in [0, least - 1] {
            assert_eq!(with_oid(oid, ok, &vec![2; len]), length(oid, len));
        }
    }
    for mac in [[0; 6], [0xff; 6], [1, 0, 0, 0, 0, 1]] {
        assert_eq!(
            with_oid(Oid::ETHERNET_PERMANENT_ADDRESS, ok, &mac),
            Err(Fault::Mac(MacAddress(mac)))
        );
    }
    for mtu in [0, 67] {
        assert_eq!(
            with_oid(Oid::GEN_MAXIMUM_FRAME_SIZE, ok, &u32::to_le_bytes(mtu)),
            Err(Fault::Mtu(mtu))
        );
    }
    let mut caps = rss_caps(8, 128);
    caps.header.object_type = netvsc_proto::wire::ndis::ObjectType::DEFAULT;
    let object = Fault::OidObject {
        oid: Oid::GEN_RECEIVE_SCALE_CAPABILITIES,
        object_type: 0x80,
        size: 18,
    };
    assert_eq!(
        with_oid(Oid::GEN_RECEIVE_SCALE_CAPABILITIES, ok, caps.as_bytes()),
        Err(object)
    );
    // Only the address is needed.
    let status = RndisStatus::NOT_SUPPORTED;
    let refused = Fault::RndisRefused {
        message: Rndis::QUERY_COMPLETE,
        status,
    };
    assert_eq!(
        with_oid(Oid::ETHERNET_PERMANENT_ADDRESS, status, &[]),
        Err(refused)
    );
    for oid in [
        Oid::GEN_MAXIMUM_FRAME_SIZE,
        Oid::GEN_MEDIA_CONNECT_STATUS,
        Oid::GEN_LINK_SPEED,
        Oid::GEN_RECEIVE_SCALE_CAPABILITIES,
    ] {
        let properties = with_oid(oid, status, &[]).unwrap();
        assert_eq!((properties.mtu, properties.link_up), (1500, true));
    }
    // An MTU that is larger than what was wished is as good as that.
    assert_eq!(
        with_oid(Oid::GEN_MAXIMUM_FRAME_SIZE, ok, &u32::MAX.to_le_bytes())
            .unwrap()
            .mtu,
        1500
    );
}

#[test]
fn case_13_receive_scaling_with_a_table_of_no_entries() {
    let with = |queues, table_len| {
        let caps = rss_caps(queues, table_len);
        let properties = with_oid(
            Oid::GEN_RECEIVE_SCALE_CAPABILITIES,
            RndisStatus::SUCCESS,
            caps.as_bytes(),
        )
        .unwrap();
        properties.rss.map(|rss| (rss.queues, rss.table_len))
    };
    assert_eq!(with(8, 0), None);
    assert_eq!(with(0, 128), None);
    assert_eq!(with(1, 128), None);
    assert_eq!(with(8, 1), Some((8, 1)));
    assert_eq!(with(u32::MAX, u16::MAX), Some((u16::MAX, 128)));
}

#[test]
fn an_answer_before_the_question_is_sent() {
    // The ring has room for six questions for a version and one more message.
    let mut script = Script::<56>::new(|_| ());
    for version in 0..6 {
        script.poll().unwrap();
        let status = if version < 5 {
            Status::FAILURE
        } else {
            Status::SUCCESS
        };
        let complete = nvsp::InitComplete {
            status,
            ..Default::default()
        };
        script
            .host
            .complete(u64::MAX, &HostMessage::InitComplete(complete));
    }
    script.poll().unwrap();
    assert!(!script.nic.lent().send_buffer);
    let complete = nvsp::SendReceiveBufferComplete {
        status: Status::SUCCESS,
        section_count: 1.into(),
        section: nvsp::ReceiveBufferSection {
            part_size: 2048.into(),
            part_count: 1.into(),
            ..Default::default()
        },
    };
    script
        .host
        .complete(u64::MAX, &HostMessage::SendReceiveBufferComplete(complete));
    let message = MessageType::SEND_RECEIVE_BUFFER_COMPLETE;
    assert_eq!(
        script.poll(),
        Err(Fault::Unexpected {
            message,
            version: Version::V1
        })
    );
}

#[test]
fn going_away_waits_for_what_is_under_way_and_for_the_host_to_read() {
    let mut script = Script::<4096>::up();
    let info = netvsc_proto::guest::TransmitInfo::NONE;
    let sent = script
        .queue
        .transmit(&crate::support::frame(crate::support::MAC, 1, 60), &info)
        .unwrap();
    script.nic.shut_down();
    let mut told = vec![];
    let mut run = |script: &mut Script<4096>| {
        script
            .run_with(&mut |_, _, ask| {
                if let Ask::Nvsp(message) = ask {
                    told.push(message.message_type());
                }
                false
            })
            .unwrap();
        core::mem::take(&mut told)
    };
    // The host is slow to complete the frame.
    assert_eq!(run(&mut script), []);
    assert_eq!(script.events, [] as [&str; 0]);
    script.host.complete_transfer(sent.id.number(), Status::SUCCESS);
    // Then it is slow to read that the buffers are taken back.
    for _ in 0..10 {
        assert_eq!(script.poll_once(), Ok(true), "asks to be called again");
    }
    assert_eq!(
        (script.transmitted.as_slice(), script.events.len()),
        (&[sent.id][..], 1)
    );
    script.host.serve(&mut |_, _, _| false);
    script.poll().unwrap();
    assert_eq!(
        script.events.pop(),
        Some(format!("{:?}", netvsc_proto::guest::Event::ShutDown))
    );
    assert!(script.nic.lent().receive_buffer, "the GPADL is there still");
}
