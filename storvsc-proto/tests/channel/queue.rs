//! Rings that are full, requests that take their time, notices, the end.

use std::cell::Cell;

use storvsc_proto::host::{BlockError, CompleteError, Config, Event, Fault, Lun, Next, Queue, Ticket, Work};
use storvsc_proto::scsi::{Command, Sense};
use storvsc_proto::wire::{GuestMessage, HostMessage, LunAddress, PacketForm, ProtocolVersion};
use vmbus_proto::ringbuf::gpa::GpaRange;
use vmbus_proto::ringbuf::{ControlWord, Descriptor, Halves, Outgoing, RingMem, RingPair};

use crate::support::{Data, Op, Ram, RamDisk, Rig, Ring, buffer_pages, leak, one_disk, srb};

/// Bytes that an answer takes in the ring.
const ANSWER: usize = 16 + 64 + 8;

fn test_unit_ready() -> GuestMessage {
    GuestMessage::ExecuteSrb(srb(LunAddress::lun(0), &[0; 6], Data::None))
}

fn async_rig<const DEPTH: usize>() -> Rig<DEPTH> {
    let mut rig = Rig::new(vec![Lun::new(0, RamDisk::new(4096))], Config::default());
    rig.negotiate(ProtocolVersion::WIN10);
    rig.events.clear();
    rig
}

#[test]
fn case_15_a_full_outgoing_ring_loses_nothing() {
    let mut rig = one_disk();
    let fits = (8192 - 1) / ANSWER;
    let mut sent = Vec::new();
    // The driver does not read. Its own ring has room, as what the host takes is released.
    for _ in 0..fits {
        sent.push(rig.driver.send(&test_unit_ready()));
        rig.run().unwrap();
    }
    assert_eq!(rig.queue.counters().stalls, 0);
    for _ in 0..8 {
        sent.push(rig.driver.send(&test_unit_ready()));
        rig.run().unwrap();
    }
    // One request was taken, whose answer waits; the others stay in the ring.
    assert_eq!(rig.queue.counters().commands as usize, fits + 1);
    assert!(rig.queue.counters().stalls > 0);
    let before = rig.queue.counters().packets;
    let served = rig.queue.service(&rig.luns, &rig.ram, 16).unwrap();
    assert!(!served.again, "there is nothing to do until the guest reads");
    assert_eq!(rig.queue.counters().packets, before);
    let mut received = Vec::new();
    loop {
        while let Some(packet) = rig.driver.receive() {
            received.push(packet.id);
        }
        if received.len() == sent.len() {
            break;
        }
        let before = rig.queue.counters().packets;
        rig.run().unwrap();
        assert!(rig.queue.counters().packets > before);
    }
    assert_eq!(received, sent);
}

#[test]
fn the_guest_is_asked_to_signal_when_there_is_room() {
    let mut rig = one_disk();
    let pending = |rig: &Rig| rig.driver.ring.incoming.mem().load(ControlWord::PendingSendSize);
    assert_eq!(pending(&rig), 0);
    for _ in 0..100 {
        rig.driver.send(&test_unit_ready());
        rig.run().unwrap();
        if pending(&rig) != 0 {
            break;
        }
    }
    assert!(pending(&rig) as usize > ANSWER);
}

#[test]
fn an_answer_is_signalled_before_the_next_request_is_worked_on() {
    let mut rig = one_disk();
    let flush = Command::SynchronizeCache { lba: 0, blocks: 0 }.to_cdb();
    let message = GuestMessage::ExecuteSrb(srb(LunAddress::lun(0), flush.as_bytes(), Data::None));
    for _ in 0..3 {
        rig.driver.send(&message);
    }
    let served = rig.queue.service(&rig.luns, &rig.ram, 16).unwrap();
    assert!(served.signal.is_needed() && served.again);
    assert_eq!(rig.disk(0).take_ops(), [Op::Flush]);
    // The guest has not read yet, so that it needs no second signal.
    let served = rig.queue.service(&rig.luns, &rig.ram, 16).unwrap();
    assert!(!served.signal.is_needed() && !served.again);
    assert_eq!(rig.disk(0).take_ops(), [Op::Flush, Op::Flush]);
}

#[test]
fn a_budget_ends_a_call_and_none_is_no_work() {
    let mut rig = one_disk();
    for _ in 0..5 {
        rig.driver.send(&test_unit_ready());
    }
    let served = rig.queue.service(&rig.luns, &rig.ram, 0).unwrap();
    assert!(served.again && !served.signal.is_needed());
    let before = rig.queue.counters().packets;
    let _ = rig.queue.service(&rig.luns, &rig.ram, 1).unwrap();
    assert_eq!(rig.queue.counters().packets, before + 1);
    let served = rig.queue.service(&rig.luns, &rig.ram, 2).unwrap();
    assert!(served.again);
    assert_eq!(rig.queue.counters().packets, before + 3);
}

/// Sends reads of one block each, and takes them.
fn take<const DEPTH: usize>(rig: &mut Rig<DEPTH>, count: u64) -> Vec<Ticket> {
    let pages = buffer_pages(0, 512);
    let range = [GpaRange::new(0, 512, &pages).unwrap()];
    let mut tickets = Vec::new();
    for lba in 0..count {
        let cdb = Command::Read {
            lba,
            blocks: 1,
            force_unit_access: false,
        }
        .to_cdb();
        rig.driver.send_with(
            &GuestMessage::ExecuteSrb(srb(LunAddress::lun(0), cdb.as_bytes(), Data::In(512))),
            &range,
        );
        match rig.queue.accept(&rig.luns, &rig.ram).unwrap().next {
            Next::Request {
                ticket,
                lun,
                work: Work::Read { offset, segments },
            } => {
                assert_eq!((lun.address(), offset), (LunAddress::lun(0), lba * 512));
                assert_eq!(segments.collect::<Vec<_>>(), [(pages[0].get() * 4096, 512)]);
                tickets.push(ticket);
            }
            other => panic!("{other:?}"),
        }
    }
    tickets
}

#[test]
fn requests_complete_in_any_order_and_each_is_answered_once() {
    let mut rig = async_rig::<4>();
    let mut tickets = take(&mut rig, 4);
    assert_eq!(rig.queue.outstanding(), 4);
    // The table is full: what comes now stays in the ring.
    rig.driver.send(&test_unit_ready());
    assert!(matches!(
        rig.queue.accept(&rig.luns, &rig.ram).unwrap().next,
        Next::Busy
    ));
    tickets.swap(0, 2);
    let first_id = 5;
    let order = [2, 1, 0, 3];
    let results = [Ok(()), Err(BlockError::Medium), Ok(()), Err(BlockError::NoSpace)];
    for ((ticket, result), which) in tickets.into_iter().zip(results).zip(order) {
        let _ = rig.queue.complete(ticket, result).unwrap();
        let received = rig.driver.receive().unwrap();
        assert_eq!(received.id, first_id + which);
        let answer = received.completion().srb().unwrap();
        match result {
            Ok(()) => assert_eq!((answer.srb_status.0, answer.transfer_length.get()), (1, 512)),
            Err(_) => assert!(Sense::decode(answer.sense(PacketForm::Long).unwrap()).is_ok()),
        }
        assert!(rig.driver.receive().is_none());
    }
    assert_eq!(rig.queue.outstanding(), 0);
    rig.run().unwrap();
    assert!(rig.driver.receive().is_some(), "the request that waited");
}

#[test]
fn case_19_more_requests_than_places_wait_in_the_ring() {
    let mut rig = async_rig::<2>();
    let mut tickets = take(&mut rig, 2);
    let late: Vec<_> = (0..20).map(|_| rig.driver.send(&test_unit_ready())).collect();
    for _ in 0..3 {
        let next = rig.queue.accept(&rig.luns, &rig.ram).unwrap().next;
        assert!(matches!(next, Next::Busy), "{next:?}");
        assert_eq!(rig.queue.outstanding(), 2);
    }
    // The guest that sends on finds its ring full: nothing is taken out of it.
    let packet = test_unit_ready().encode(PacketForm::Long);
    let outgoing = Outgoing {
        transaction_id: 1,
        request_completion: true,
        descriptor: Descriptor::InBand,
        payload: &[packet.as_bytes()],
    };
    assert!((0..100).any(|_| rig.driver.ring.outgoing.write(&outgoing).is_err()));
    // One ends, and the others go on in their order.
    let _ = rig.queue.complete(tickets.remove(0), Ok(())).unwrap();
    rig.driver.receive().unwrap();
    for id in late {
        let _ = rig.queue.accept(&rig.luns, &rig.ram).unwrap();
        assert_eq!(rig.driver.receive().unwrap().id, id);
    }
}

#[test]
fn a_busy_disk_gives_room_back() {
    let mut rig = async_rig::<1>();
    let tickets = take(&mut rig, 1);
    // The guest fills its ring, and waits for room.
    let packet = test_unit_ready().encode(PacketForm::Long);
    let outgoing = Outgoing {
        transaction_id: 100,
        request_completion: true,
        descriptor: Descriptor::InBand,
        payload: &[packet.as_bytes()],
    };
    let mut waiting = 0;
    while rig.driver.ring.outgoing.write(&outgoing).is_ok() {
        waiting += 1;
    }
    // The request is copied out, and its room is the guest's for as long as the disk takes.
    let accepted = rig.queue.accept(&rig.luns, &rig.ram).unwrap();
    assert!(matches!(accepted.next, Next::Busy));
    assert!(accepted.signal.is_needed(), "the guest waits for it");
    assert!(rig.driver.ring.outgoing.write(&outgoing).is_ok());
    for ticket in tickets {
        let _ = rig.queue.complete(ticket, Ok(())).unwrap();
    }
    let mut answers = 0;
    while answers < 1 + waiting + 1 {
        rig.run().unwrap();
        answers += std::iter::from_fn(|| rig.driver.receive()).count();
    }
    assert_eq!(answers, 1 + waiting + 1);
}

#[test]
fn a_ticket_of_another_queue_or_time_is_refused() {
    let mut rig = async_rig::<2>();
    let mut other = async_rig::<2>();
    let strange = take(&mut other, 2);
    // Nothing is under way here.
    for ticket in strange {
        assert_eq!(
            rig.queue.complete(ticket, Ok(())),
            Err(CompleteError::UnknownTicket)
        );
    }
    // The first place was used before, so that a ticket for it from elsewhere is of another generation.
    let ours = take(&mut rig, 1);
    let _ = rig
        .queue
        .complete(ours.into_iter().next().unwrap(), Ok(()))
        .unwrap();
    let _ours = take(&mut rig, 1);
    let mut third = async_rig::<2>();
    let stale = take(&mut third, 1);
    assert_eq!(
        rig.queue.complete(stale.into_iter().next().unwrap(), Ok(())),
        Err(CompleteError::UnknownTicket)
    );
    assert_eq!(rig.queue.outstanding(), 1);
}

#[test]
fn case_15_answers_that_find_no_room_are_all_kept() {
    let mut rig = async_rig::<8>();
    let tickets = take(&mut rig, 8);
    // Fill the outgoing ring with notices.
    while rig.queue.counters().stalls == 0 {
        let _ = rig.queue.enumerate_bus().unwrap();
    }
    for ticket in tickets {
        let _ = rig.queue.complete(ticket, Ok(())).unwrap();
    }
    assert_eq!(rig.queue.outstanding(), 0);
    rig.driver.send(&test_unit_ready());
    assert!(matches!(
        rig.queue.accept(&rig.luns, &rig.ram).unwrap().next,
        Next::Blocked
    ));
    let mut answers = Vec::new();
    loop {
        while let Some(received) = rig.driver.receive() {
            if received.id != 0 {
                answers.push(received.id);
            }
        }
        if answers.len() == 9 {
            break;
        }
        rig.run().unwrap();
    }
    answers.sort_unstable();
    assert_eq!(answers, (5..=13).collect::<Vec<_>>());
}

#[test]
fn closing_ends_requests_without_an_answer() {
    let mut rig = async_rig::<4>();
    let tickets = take(&mut rig, 3);
    rig.queue.close();
    assert_eq!(rig.run(), Err(Fault::Closed));
    let none = rig.queue.service(&rig.luns, &rig.ram, 0);
    assert_eq!(none, Err(Fault::Closed), "told without a budget to find it out");
    assert_eq!(rig.queue.outstanding(), 3, "they still use guest memory");
    for ticket in tickets {
        assert_eq!(
            rig.queue.complete(ticket, Ok(())),
            Err(CompleteError::Fault(Fault::Closed))
        );
    }
    assert_eq!(rig.queue.outstanding(), 0);
    assert!(rig.driver.receive().is_none());
}

#[test]
fn notices_come_when_the_guest_can_use_them() {
    let mut rig = Rig::<1>::new(vec![Lun::new(0, RamDisk::new(64))], Config::default());
    // Before the end of the negotiation the guest has not looked yet.
    let _ = rig.queue.enumerate_bus().unwrap();
    rig.negotiate(ProtocolVersion::WIN7);
    rig.run().unwrap();
    assert!(rig.driver.receive().is_none());
    assert!(rig.queue.enumerate_bus().unwrap().is_needed());
    let received = rig.driver.receive().unwrap();
    assert_eq!(
        (received.id, received.len, received.message),
        (0, 48, HostMessage::EnumerateBus)
    );
    assert!(rig.queue.remove_device().unwrap().is_needed());
    assert_eq!(rig.driver.receive().unwrap().message, HostMessage::RemoveDevice);
    // 2.0 knows of no notices.
    let mut rig = Rig::<1>::new(Vec::new(), Config::default());
    rig.negotiate(ProtocolVersion::WIN6);
    assert!(!rig.queue.enumerate_bus().unwrap().is_needed());
    assert!(rig.driver.receive().is_none());
}

#[test]
fn hot_plugging_is_attach_and_detach_and_a_notice() {
    let mut rig = Rig::ready(vec![Lun::new(0, RamDisk::new(64)), Lun::new(1, RamDisk::new(64))]);
    rig.luns[1].detach();
    let report = Command::ReportLuns {
        ordinary: true,
        allocation: 64,
    };
    assert_eq!(rig.command(0, report, Data::In(64)).good().len(), 16);
    rig.luns[1].attach();
    let _ = rig.queue.enumerate_bus().unwrap();
    assert_eq!(rig.driver.receive().unwrap().message, HostMessage::EnumerateBus);
    assert_eq!(rig.command(0, report, Data::In(64)).good().len(), 24);
}

#[test]
fn the_end_of_the_negotiation_is_told_once() {
    let mut rig = Rig::<1>::new(Vec::new(), Config::default());
    rig.negotiate(ProtocolVersion::WIN8_1);
    assert_eq!(
        rig.events,
        [Event::Ready {
            version: ProtocolVersion::WIN8_1
        }]
    );
}

#[test]
fn a_queue_can_be_given_to_a_thread() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&one_disk().queue);
}

/// The host's receiving ring, on which something happens just when the host is about to sleep.
struct Late {
    ring: &'static Ring,
    on_unmask: Cell<Option<Box<dyn FnOnce()>>>,
}

impl RingMem for &Late {
    fn data_len(&self) -> u32 {
        self.ring.data_len()
    }

    fn load(&self, word: ControlWord) -> u32 {
        self.ring.load(word)
    }

    fn store(&self, word: ControlWord, value: u32) {
        if word == ControlWord::InterruptMask
            && value == 0
            && let Some(happens) = self.on_unmask.take()
        {
            happens();
        }
        self.ring.store(word, value);
    }

    fn fence(&self) {
        self.ring.fence();
    }

    fn read(&self, offset: u32, dst: &mut [u8]) {
        self.ring.read(offset, dst);
    }

    fn write(&self, offset: u32, src: &[u8]) {
        self.ring.write(offset, src);
    }
}

#[test]
fn a_packet_that_comes_as_the_host_goes_to_sleep_is_not_left() {
    let (to_host, to_guest) = (leak(Ring::new()), leak(Ring::new()));
    let late = |ring| {
        leak(Late {
            ring,
            on_unmask: Cell::new(None),
        })
    };
    let (incoming, outgoing) = (late(to_host), late(to_guest));
    let mut guest = RingPair::guest(Halves { to_host, to_guest }).unwrap();
    let host = RingPair::host(Halves {
        to_host: incoming,
        to_guest: outgoing,
    })
    .unwrap();
    let config = Config::default();
    let scratch = vec![0; config.scratch_len()];
    let mut queue: Queue<_, _> = Queue::primary(host, scratch, config).unwrap();
    let luns = [Lun::new(0, RamDisk::new(64))];
    let ram = Ram::new(4096);
    incoming.on_unmask.set(Some(Box::new(move || {
        let packet = GuestMessage::BeginInitialization.encode(PacketForm::Long);
        let outgoing = Outgoing {
            transaction_id: 9,
            request_completion: true,
            descriptor: Descriptor::InBand,
            payload: &[packet.as_bytes()],
        };
        assert!(
            !guest.outgoing.write(&outgoing).unwrap().is_needed(),
            "the host still says that it looks by itself"
        );
    })));
    let served = queue.service(&luns, &ram, 1).unwrap();
    assert!(served.again, "no signal comes for it");
    let served = queue.service(&luns, &ram, 1).unwrap();
    assert!(served.signal.is_needed());
    assert_eq!(queue.counters().packets, 1);
}

#[test]
fn a_queue_takes_as_much_memory_as_the_documentation_says() {
    fn size<const DEPTH: usize>() -> usize {
        size_of::<Queue<&Ring, &mut [u8], DEPTH>>()
    }
    println!(
        "{} {} {}",
        size::<1>(),
        size::<2>(),
        Config::default().scratch_len()
    );
    assert!(size::<1>() <= 1600);
    assert!(size::<2>() - size::<1>() <= 250);
    fn guest<const DEPTH: usize>() -> usize {
        size_of::<storvsc_proto::guest::Queue<&Ring, DEPTH>>()
    }
    assert_eq!(guest::<3>() - guest::<1>(), 24);
    assert!(guest::<1>() <= 312, "{}", guest::<1>());
    let config = |max_transfer_bytes| Config {
        max_transfer_bytes,
        ..Config::default()
    };
    assert_eq!(config(1 << 20).scratch_len(), 4184);
    assert_eq!(config(256 << 10).scratch_len(), 1112);
}
