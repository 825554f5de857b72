//! What ends in the moment in which the channel turns out corrupt is told all the same.

use netvsc_proto::guest::Fault;
use netvsc_proto::wire::nvsp::Status;
use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::rndis_message::GuestMessage;
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::ringbuf::{ControlWord, RingFault, RingMem};

use crate::scripted::{Ask, Script, query_complete};

#[test]
fn an_answer_is_told_before_the_fault_that_comes_with_it() {
    let mut script = Script::<512>::up();
    let answered = script.nic.query(Oid::GEN_LINK_SPEED, &[]).unwrap();
    script.poll().unwrap();
    let mut request = None;
    script.host.serve(&mut |_, id, ask| {
        if let Ask::Rndis(GuestMessage::Query(query, _)) = ask {
            request = Some((id, query.request_id.get()));
        }
        true
    });
    let (transaction, request) = request.expect("the query");
    script.host.complete_transfer(transaction, Status::SUCCESS);
    script.poll().unwrap();
    // From here on the host makes no room.
    script.fill();
    let waiting = script.nic.query(Oid::GEN_LINK_SPEED, &[]).unwrap();
    script.poll().unwrap();
    // While the answer is read, after the guest found the ring full and before it looks again.
    script
        .host
        .reply(&query_complete(request, RndisStatus::SUCCESS, &[0; 4]));
    let ring = *script.host.rings.incoming.mem();
    let corrupt: Box<dyn FnOnce()> = Box::new(move || ring.store(ControlWord::ReadIndex, 4));
    script.meanwhile.replace(Some(corrupt));
    while script.answered.is_empty() {
        assert!(script.poll_once().expect("the answer comes first"));
    }
    assert_eq!(script.answered, [answered]);
    let fault = RingFault::ReadIndex {
        index: 4,
        data_len: 4096,
    };
    assert_eq!(script.poll_once(), Err(Fault::Ring(fault)));
    assert_eq!((script.nic.abort(), script.nic.abort()), (Some(waiting), None));
}
