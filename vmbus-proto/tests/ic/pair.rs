//! Both ends of each service, in each version.

use core::time::Duration;

use vmbus_proto::ic::guest::{self, AnswerError, Event as GuestEvent};
use vmbus_proto::ic::host::{self, Beat, Clocks, Event, RequestError, ShutdownOrder};
use vmbus_proto::ic::wire::{
    ApplicationState, FRAGMENT_MAX, FileCopy, FileCopyFlags, FileCopyOperation, HostTime, IpBinary, IpInfo,
    IpText, Kvp, KvpOperation, KvpPair, KvpPool, KvpValue, Service, ShutdownKind, ShutdownReason, Status,
    Text, TimeSyncFlags, Version, Versions, VssFlags, VssOperation,
};
use vmbus_proto::ringbuf::Signal;

use crate::support::{channel, scratch};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn newest(service: &Service) -> Versions {
    Versions {
        framework: Version::new(3, 0),
        message: service.versions[0],
    }
}

/// Both ends of one service that asks on demand, negotiated.
macro_rules! pair {
    ($service:ident) => {{
        let (host, guest) = channel();
        let mut host = host::$service::new(host, scratch()).unwrap();
        let mut guest = guest::$service::new(guest, scratch()).unwrap();
        assert_eq!(host.poll().unwrap().event, None);
        let ready = guest.poll().unwrap().event.unwrap();
        let GuestEvent::Ready(versions) = ready else {
            panic!("{ready:?}")
        };
        assert_eq!(host.poll().unwrap().event, Some(Event::Ready(versions)));
        assert_eq!(
            (host.versions(), guest.versions()),
            (Some(versions), Some(versions))
        );
        (host, guest, versions)
    }};
}

#[test]
fn a_guest_that_lives_is_asked_in_the_interval_and_answers() {
    let (host, guest) = channel();
    let mut host = host::Heartbeat::new(host, scratch()).unwrap();
    let mut guest = guest::Heartbeat::new(guest, scratch()).unwrap();
    assert_eq!(host.poll_timeout(), None);
    assert_eq!(
        host.poll(seconds(0)).unwrap().signal,
        Signal::Needed,
        "the offer of versions"
    );
    assert_eq!(
        guest.poll().unwrap().event,
        Some(GuestEvent::Ready(newest(&Service::HEARTBEAT)))
    );
    assert_eq!(
        host.poll(seconds(1)).unwrap().event,
        Some(Event::Ready(newest(&Service::HEARTBEAT)))
    );
    assert_eq!(host.poll_timeout(), Some(Duration::ZERO));

    for beat in 0..5 {
        let now = seconds(10 + 2 * beat);
        let asked = host.poll(now).unwrap();
        assert_eq!((asked.event, asked.again), (None, false));
        assert_eq!(host.poll_timeout(), Some(now + seconds(10)));
        if beat == 3 {
            guest.set_state(ApplicationState::HEALTHY);
        }
        assert_eq!(
            guest.poll().unwrap().event,
            Some(GuestEvent::Request(guest::Beat { sequence: beat }))
        );
        let state = if beat < 3 {
            ApplicationState::UNKNOWN
        } else {
            ApplicationState::HEALTHY
        };
        let sequence = beat + 1;
        let answered = host.poll(now + Duration::from_millis(1)).unwrap();
        assert_eq!(
            answered.event,
            Some(Event::Answered(Beat::Alive { sequence, state }))
        );
        assert_eq!(host.poll_timeout(), Some(now + seconds(2)));
        // Before its time it is not asked again.
        let _ = host.poll(now + Duration::from_millis(1999)).unwrap();
        assert_eq!(guest.poll().unwrap().event, None);
    }
    assert_eq!(host.beats(), 5);
}

#[test]
fn a_guest_that_stops_is_told_once_and_so_is_its_return() {
    let (host, guest) = channel();
    let mut host = host::Heartbeat::new(host, scratch()).unwrap();
    let mut guest = guest::Heartbeat::new(guest, scratch()).unwrap();
    let _ = host.poll(seconds(0)).unwrap();
    let _ = guest.poll().unwrap();
    let _ = host.poll(seconds(0)).unwrap();
    let _ = host.poll(seconds(1)).unwrap();
    for (at, silent) in [(2, None), (10, None), (11, Some(10)), (12, None), (100, None)] {
        let event = silent.map(|silent| {
            Event::Answered(Beat::Lost {
                silent: seconds(silent),
            })
        });
        assert_eq!(host.poll(seconds(at)).unwrap().event, event, "at {at}");
    }
    assert_eq!(host.poll_timeout(), None, "nothing to wait for but the guest");
    let _ = guest.poll().unwrap();
    assert!(matches!(
        host.poll(seconds(101)).unwrap().event,
        Some(Event::Answered(Beat::Alive { sequence: 1, .. }))
    ));
    // It goes on, and a second silence is told again.
    let _ = host.poll(seconds(102)).unwrap();
    assert!(matches!(
        host.poll(seconds(112)).unwrap().event,
        Some(Event::Answered(Beat::Lost { .. }))
    ));
}

#[test]
fn a_shutdown_is_asked_for_and_answered() {
    let (mut host, mut guest, _) = pair!(Shutdown);
    for (kind, force, timeout, status) in [
        (ShutdownKind::PowerOff, false, 0, Status::SUCCESS),
        (ShutdownKind::Restart, true, 30, Status::SUCCESS),
        (ShutdownKind::Hibernate, false, 0, Status::FAIL),
    ] {
        let timeout = seconds(timeout);
        let order = ShutdownOrder { kind, force, timeout };
        let _ = host.ask(order).unwrap();
        assert!(host.is_busy());
        assert_eq!(host.ask(order), Err(RequestError::Busy));
        let request = guest::ShutdownRequest {
            kind,
            force,
            reason: ShutdownReason::PLANNED,
            timeout,
        };
        assert_eq!(guest.poll().unwrap().event, Some(GuestEvent::Request(request)));
        assert!(guest.message().unwrap().trimmed().is_empty());
        assert_eq!(host.poll().unwrap().event, None);
        let _ = guest.answer(status).unwrap();
        assert_eq!(guest.answer(status), Err(AnswerError::NothingAsked));
        assert_eq!(guest.message(), None);
        assert_eq!(host.poll().unwrap().event, Some(Event::Answered(status)));
        assert!(!host.is_busy());
    }
}

#[test]
fn time_is_told_once_to_be_set_and_then_in_an_interval() {
    let (host, guest) = channel();
    let mut host = host::TimeSync::new(host, scratch()).unwrap();
    let mut guest = guest::TimeSync::new(guest, scratch()).unwrap();
    let clocks = |at: u64| Clocks {
        now: seconds(at),
        host_time: HostTime(HostTime::UNIX_EPOCH.0 + at * 10_000_000),
        reference_time: 5_000_000 + at * 10_000_000,
    };
    let _ = host.poll(clocks(0)).unwrap();
    let _ = guest.poll().unwrap();
    assert!(matches!(
        host.poll(clocks(1)).unwrap().event,
        Some(Event::Ready(_))
    ));
    let mut told = |host: &mut host::TimeSync<'_, _>, at| {
        let _ = host.poll(clocks(at)).unwrap();
        match guest.poll().unwrap().event {
            Some(GuestEvent::Request(update)) => Some(update),
            None => None,
            event => panic!("{event:?}"),
        }
    };
    let first = guest::TimeUpdate {
        host_time: clocks(1).host_time,
        reference_time: Some(15_000_000),
        flags: TimeSyncFlags::SYNC,
    };
    // The message of the poll that found the versions.
    assert_eq!(told(&mut host, 2), Some(first));
    assert!(first.is_sync());
    assert_eq!(first.at(15_000_000 + 7), HostTime(first.host_time.0 + 7));
    assert_eq!(host.poll_timeout(), Some(seconds(6)));
    assert_eq!(told(&mut host, 5), None);
    let second = told(&mut host, 6).unwrap();
    assert_eq!(
        (second.host_time, second.flags),
        (clocks(6).host_time, TimeSyncFlags::SAMPLE)
    );
    host.resync();
    assert_eq!(host.poll_timeout(), Some(Duration::ZERO));
    assert!(told(&mut host, 7).unwrap().is_sync());
    assert!(!told(&mut host, 12).unwrap().is_sync());
    assert_eq!(host.messages(), 4);
}

#[test]
fn pairs_are_asked_for_set_and_removed() {
    let (mut host, mut guest, _) = pair!(Kvp);
    let asked = |guest: &mut guest::Kvp<'_, _>, operation| match guest.poll().unwrap().event {
        Some(GuestEvent::Request(header)) => {
            assert_eq!((header.operation, header.pool), (operation, KvpPool::GUEST))
        }
        event => panic!("{event:?}"),
    };
    let answered = |host: &mut host::Kvp<'_, _>, status| match host.poll().unwrap().event {
        Some(Event::Answered(answer)) => assert_eq!(answer.status, status),
        event => panic!("{event:?}"),
    };

    let _ = host.get(KvpPool::GUEST, "OSName").unwrap();
    asked(&mut guest, KvpOperation::GET);
    assert!(matches!(guest.request(), Some(Kvp::Get(_, pair)) if pair.key.is("OSName")));
    let info = IpBinary::default();
    assert_eq!(
        guest.answer_ip_info(IpInfo::Binary(&info)),
        Err(AnswerError::Mismatch)
    );
    let _ = guest
        .answer_pair(&KvpPair::text("OSName", "Linux").unwrap())
        .unwrap();
    answered(&mut host, Status::SUCCESS);
    assert!(matches!(
        host.answer(),
        Some(Kvp::Get(_, pair)) if matches!(pair.value(), KvpValue::Text(text) if text.is("Linux"))
    ));

    let _ = host.set(KvpPool::GUEST, &KvpPair::u32("n", 7).unwrap()).unwrap();
    assert_eq!(host.answer(), None, "the next request takes its place");
    asked(&mut guest, KvpOperation::SET);
    assert!(matches!(guest.request(), Some(Kvp::Set(_, pair)) if pair.value() == KvpValue::U32(7)));
    assert_eq!(
        guest.answer_pair(&KvpPair::key("n").unwrap()),
        Err(AnswerError::Mismatch)
    );
    let _ = guest.answer(Status::SUCCESS).unwrap();
    answered(&mut host, Status::SUCCESS);

    let _ = host.delete(KvpPool::GUEST, "n").unwrap();
    asked(&mut guest, KvpOperation::DELETE);
    assert!(matches!(guest.request(), Some(Kvp::Delete(_, key)) if key.key.is("n")));
    let _ = guest.answer(Status::GUID_NOT_FOUND).unwrap();
    answered(&mut host, Status::GUID_NOT_FOUND);
    assert_eq!(host.answer(), None, "a failure has no body");

    for index in 0..3 {
        let _ = host.enumerate(KvpPool::GUEST, index).unwrap();
        asked(&mut guest, KvpOperation::ENUMERATE);
        if index < 2 {
            let _ = guest
                .answer_pair(&KvpPair::u64("k", index.into()).unwrap())
                .unwrap();
            answered(&mut host, Status::SUCCESS);
            assert!(matches!(
                host.answer(),
                Some(Kvp::Enumerate(_, item))
                    if item.index.get() == index && item.pair.value() == KvpValue::U64(index.into())
            ));
        } else {
            let _ = guest.answer(Status::NO_MORE_ITEMS).unwrap();
            answered(&mut host, Status::NO_MORE_ITEMS);
        }
    }
    assert_eq!(
        host.get(KvpPool::GUEST, &"k".repeat(300)),
        Err(RequestError::TooLong)
    );
}

#[test]
fn addresses_have_the_form_of_the_version() {
    let (mut host, mut guest, versions) = pair!(Kvp);
    assert_eq!(versions.message, IpInfo::BINARY_SINCE);
    let text = IpText::default();
    let refused = Err(RequestError::Version {
        version: versions.message,
    });
    assert_eq!(host.get_ip_info(KvpPool::EXTERNAL, IpInfo::Text(&text)), refused);
    assert_eq!(host.set_ip_info(KvpPool::EXTERNAL, IpInfo::Text(&text)), refused);
    let mut info = IpBinary {
        adapter: Text::new("{adapter}").unwrap(),
        ..IpBinary::default()
    };
    let _ = host
        .get_ip_info(KvpPool::EXTERNAL, IpInfo::Binary(&info))
        .unwrap();
    let _ = guest.poll().unwrap();
    assert!(matches!(
        guest.request(),
        Some(Kvp::GetIpInfo(_, IpInfo::Binary(info))) if info.adapter.is("{adapter}")
    ));
    assert_eq!(
        guest.answer_ip_info(IpInfo::Text(&text)),
        Err(AnswerError::Mismatch)
    );
    info.ipv4_count = 1.into();
    info.ipv4[0].0 = [10, 0, 2, 15];
    let _ = guest.answer_ip_info(IpInfo::Binary(&info)).unwrap();
    assert!(matches!(host.poll().unwrap().event, Some(Event::Answered(_))));
    let Some(Kvp::GetIpInfo(_, IpInfo::Binary(told))) = host.answer() else {
        panic!("{host:?}")
    };
    assert_eq!(told.ipv4().next().unwrap().0.octets(), [10, 0, 2, 15]);
    let _ = host
        .set_ip_info(KvpPool::EXTERNAL, IpInfo::Binary(&info))
        .unwrap();
    assert!(matches!(
        guest.poll().unwrap().event,
        Some(GuestEvent::Request(_))
    ));
}

#[test]
fn file_systems_are_held_still_and_let_go() {
    let (mut host, mut guest, _) = pair!(Vss);
    for (operation, flags) in [
        (VssOperation::HOT_BACKUP, Some(VssFlags::NO_AUTO_RECOVERY)),
        (VssOperation::FREEZE, None),
        (VssOperation::THAW, None),
        (VssOperation::new(77), None),
    ] {
        let _ = host.ask(operation).unwrap();
        assert_eq!(guest.poll().unwrap().event, Some(GuestEvent::Request(operation)));
        let _ = match flags {
            Some(flags) => guest.answer_flags(flags),
            None => guest.answer(Status::SUCCESS),
        }
        .unwrap();
        let answer = host::VssAnswer {
            operation,
            status: Status::SUCCESS,
            flags: flags.unwrap_or_default(),
        };
        assert_eq!(host.poll().unwrap().event, Some(Event::Answered(answer)));
    }
}

#[test]
fn a_file_goes_piece_by_piece() {
    let (mut host, mut guest, _) = pair!(FileCopy);
    let content: Vec<u8> = (0..20_000_u32).map(|byte| (byte % 251) as u8).collect();
    let mut file = Vec::new();
    let mut serve = |guest: &mut guest::FileCopy<'_, _>| {
        assert!(matches!(
            guest.poll().unwrap().event,
            Some(GuestEvent::Request(_))
        ));
        match guest.request().unwrap() {
            FileCopy::Start(start) => {
                assert!(start.name.is("a.bin") && start.path.is("/var/tmp"));
                assert_eq!(start.flags(), FileCopyFlags::OVERWRITE);
                file = vec![0; usize::try_from(start.size.get()).unwrap()];
            }
            FileCopy::Write { offset, data } => {
                file[usize::try_from(offset).unwrap()..][..data.len()].copy_from_slice(data);
            }
            FileCopy::Complete => assert_eq!(file, content),
            other => panic!("{other}"),
        }
        let _ = guest.answer(Status::SUCCESS).unwrap();
    };
    let done = |host: &mut host::FileCopy<'_, _>, operation| {
        let status = Status::SUCCESS;
        let answer = host::FileCopyAnswer { operation, status };
        assert_eq!(host.poll().unwrap().event, Some(Event::Answered(answer)));
    };
    let _ = host
        .start(
            "a.bin",
            "/var/tmp",
            FileCopyFlags::OVERWRITE,
            content.len() as u64,
        )
        .unwrap();
    serve(&mut guest);
    done(&mut host, FileCopyOperation::START);
    assert_eq!(host.write(0, &[0; FRAGMENT_MAX + 1]), Err(RequestError::TooLong));
    for (index, piece) in content.chunks(FRAGMENT_MAX).enumerate() {
        let _ = host.write((index * FRAGMENT_MAX) as u64, piece).unwrap();
        serve(&mut guest);
        done(&mut host, FileCopyOperation::WRITE);
    }
    let _ = host.complete().unwrap();
    serve(&mut guest);
    done(&mut host, FileCopyOperation::COMPLETE);
    let _ = host.cancel().unwrap();
    assert!(matches!(
        guest.poll().unwrap().event,
        Some(GuestEvent::Request(FileCopyOperation::CANCEL))
    ));
}

#[test]
fn a_scratch_that_is_too_small_is_refused() {
    let mut small = vec![0; Service::KVP.packet_max - 1];
    let (host, guest) = channel();
    let error = host::Kvp::new(host, &mut small).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a scratch of 7463 bytes for kvp, which takes 7464"
    );
    assert!(guest::Kvp::new(guest, &mut small).is_err());
}
