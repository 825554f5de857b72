//! Answers to requests: unasked, of another kind, early, twice.

use netvsc_proto::guest::{ControlError, Event, Fault};
use netvsc_proto::wire::nvsp::Status;
use netvsc_proto::wire::rndis::{self, MessageType as Rndis, PacketFilter};
use netvsc_proto::wire::rndis_message::HostMessage as RndisHost;
use netvsc_proto::wire::status::RndisStatus;

use crate::scripted::{Ask, Script};

#[test]
fn case_05_answers_to_what_was_not_asked() {
    let complete = |request_id: u32| rndis::Complete {
        request_id: request_id.into(),
        status: RndisStatus::SUCCESS,
    };
    let query = |request_id: u32| rndis::QueryComplete {
        request_id: request_id.into(),
        ..Default::default()
    };
    for id in [0, 1, 0x101, 4, 5, 0xff, 0xffff_ff01, u32::MAX] {
        let messages = [
            (RndisHost::QueryComplete(query(id), &[]), Rndis::QUERY_COMPLETE),
            (RndisHost::SetComplete(complete(id)), Rndis::SET_COMPLETE),
            (
                RndisHost::KeepaliveComplete(complete(id)),
                Rndis::KEEPALIVE_COMPLETE,
            ),
            (RndisHost::SetExComplete(query(id), &[]), Rndis::SET_EX_COMPLETE),
            (
                RndisHost::InitializeComplete(crate::scripted::initialize_complete(id)),
                Rndis::INITIALIZE_COMPLETE,
            ),
        ];
        for (message, message_type) in messages {
            let mut script = Script::<4096>::up();
            script.host.reply(&message);
            let fault = Fault::Answer {
                message: message_type,
                request_id: id,
            };
            assert_eq!(script.poll(), Err(fault));
            script.dead(fault);
        }
    }
    let mut script = Script::<4096>::up();
    script.host.reply(&RndisHost::ResetComplete(Default::default()));
    let fault = Fault::Answer {
        message: Rndis::RESET_COMPLETE,
        request_id: 0,
    };
    assert_eq!(script.poll(), Err(fault));
}

#[test]
fn case_05_an_answer_of_the_wrong_kind_and_one_that_comes_twice() {
    let mut script = Script::<4096>::up();
    let id = script.nic.keepalive().unwrap();
    let mut asked = 0;
    let answer = script.run_with(&mut |host, _, ask| {
        let Some(request_id) = ask.keepalive() else {
            return false;
        };
        asked = request_id.get();
        let complete = rndis::Complete {
            request_id,
            status: RndisStatus::SUCCESS,
        };
        host.reply(&RndisHost::SetComplete(complete));
        true
    });
    let fault = Fault::Answer {
        message: Rndis::SET_COMPLETE,
        request_id: asked,
    };
    assert_eq!(answer, Err(fault));
    assert_eq!((script.nic.abort(), script.nic.abort()), (Some(id), None));
    script.dead(fault);

    let mut script = Script::<4096>::up();
    let id = script.nic.keepalive().unwrap();
    let answer = script.run_with(&mut |host, _, ask| {
        let Some(request_id) = ask.keepalive() else {
            return false;
        };
        asked = request_id.get();
        // Answered before it is taken, and again.
        for _ in 0..2 {
            host.answer_keepalive(request_id);
        }
        true
    });
    let fault = Fault::Answer {
        message: Rndis::KEEPALIVE_COMPLETE,
        request_id: asked,
    };
    assert_eq!(answer, Err(fault));
    script.told_only(&Event::Answered {
        id,
        status: RndisStatus::SUCCESS,
        info: &[],
    });
    assert_eq!(script.nic.abort(), None);
    script.dead(fault);
}

#[test]
fn case_05_an_answer_with_the_id_of_an_older_request() {
    for other in [0x100_u32, 0x8000_0000, 0x200] {
        let mut script = Script::<4096>::up();
        let id = script.nic.keepalive().unwrap();
        let mut named = 0;
        let answer = script.run_with(&mut |host, transaction, ask| {
            let Some(request_id) = ask.keepalive() else {
                return false;
            };
            host.complete_transfer(transaction, Status::SUCCESS);
            named = request_id.get() ^ other;
            let complete = rndis::Complete {
                request_id: named.into(),
                status: RndisStatus::SUCCESS,
            };
            host.reply(&RndisHost::KeepaliveComplete(complete));
            true
        });
        let fault = Fault::Answer {
            message: Rndis::KEEPALIVE_COMPLETE,
            request_id: named,
        };
        assert_eq!(answer, Err(fault));
        assert_eq!(script.nic.abort(), Some(id));
        script.dead(fault);
    }
}

#[test]
fn case_09_an_answer_before_the_request_is_taken() {
    let mut script = Script::<4096>::up();
    for _ in 0..10 {
        let id = script.nic.keepalive().unwrap();
        script
            .run_with(&mut |host, transaction, ask| {
                let Some(request_id) = ask.keepalive() else {
                    return false;
                };
                host.answer_keepalive(request_id);
                host.complete_transfer(transaction, Status::SUCCESS);
                true
            })
            .unwrap();
        let answered = Event::Answered {
            id,
            status: RndisStatus::SUCCESS,
            info: &[],
        };
        assert_eq!(script.events.pop(), Some(format!("{answered:?}")));
    }
    assert_eq!(script.queue.outstanding(), 0);
    script.host.returned.clear();
    script.alive();
}

#[test]
fn case_09_memory_of_a_request_is_the_hosts_until_it_has_taken_it() {
    let mut script = Script::<4096>::up();
    let id = script.nic.keepalive().unwrap();
    let mut under_way = None;
    script
        .run_with(&mut |host, transaction, ask| {
            let Some(request_id) = ask.keepalive() else {
                return false;
            };
            under_way = Some(transaction);
            host.answer_keepalive(request_id);
            true
        })
        .unwrap();
    script.told_only(&Event::Answered {
        id,
        status: RndisStatus::SUCCESS,
        info: &[],
    });
    // Three of four places are left.
    for _ in 0..3 {
        script.nic.keepalive().unwrap();
    }
    let busy = ControlError::Busy { under_way: 3 };
    assert_eq!(script.nic.keepalive(), Err(busy));
    script.host.complete_transfer(under_way.unwrap(), Status::SUCCESS);
    script.run().unwrap();
    script.nic.keepalive().unwrap();
    script.run().unwrap();
    assert_eq!((script.queue.outstanding(), script.events.len()), (0, 5));
}

#[test]
fn a_request_that_the_host_does_not_take() {
    let mut script = Script::<4096>::up();
    let id = script.nic.set_packet_filter(PacketFilter::PROMISCUOUS).unwrap();
    script
        .run_with(&mut |host, transaction, _| {
            host.complete_transfer(transaction, Status::BUSY);
            true
        })
        .unwrap();
    script.told_only(&Event::RequestFailed {
        id,
        status: Status::BUSY,
    });
    assert_eq!(script.nic.packet_filter(), PacketFilter::DIRECTED);
    script.alive();
}

#[test]
fn case_19_a_host_that_asks_whether_anyone_is_there() {
    let mut script = Script::<4096>::up();
    let ask = |request_id: u32| {
        RndisHost::Keepalive(rndis::KeepaliveRequest {
            request_id: request_id.into(),
        })
    };
    let mut answers = vec![];
    let mut run = |script: &mut Script<4096>| {
        script
            .run_with(&mut |host, id, ask| {
                let Ask::Rndis(netvsc_proto::wire::rndis_message::GuestMessage::KeepaliveComplete(complete)) =
                    ask
                else {
                    return false;
                };
                assert_eq!(complete.status, RndisStatus::SUCCESS);
                host.complete_transfer(id, Status::SUCCESS);
                answers.push(complete.request_id.get());
                true
            })
            .unwrap();
    };
    for request_id in [1, 0, u32::MAX, 7, 7, 7, 7, 7] {
        script.host.reply(&ask(request_id));
        run(&mut script);
    }
    // While every place is taken, one question waits; the last one counts.
    let ids: Vec<_> = (0..4).map(|_| script.nic.keepalive().unwrap()).collect();
    script.host.reply(&ask(8));
    script.host.reply(&ask(9));
    script.poll().unwrap();
    run(&mut script);
    assert_eq!(answers, [1, 0, u32::MAX, 7, 7, 7, 7, 7, 9]);
    assert_eq!(script.answered, ids);
    assert_eq!((script.queue.outstanding(), script.events.len()), (0, 4));
    script.alive();
}
