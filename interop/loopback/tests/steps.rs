//! The steps of the demonstration, on every version and on one thread and two.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use loopback::{Amount, Options, Session, Step, Threads};
use vmbus_proto::host::VERSIONS;

fn options(threads: Threads) -> Options {
    Options {
        threads,
        disk_len: 2 << 20,
        memory_len: 10 << 20,
        ..Options::default()
    }
}

/// Goes through all steps, and returns them.
fn steps(options: &Options) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut report = |step| steps.push(step);
    let session = Session::start(options, &mut report).unwrap();
    session.finish(options, &mut report).unwrap();
    steps
}

fn every_version(threads: Threads) {
    for &version in VERSIONS {
        let steps = steps(&Options {
            version,
            ..options(threads)
        });
        let connects: Vec<_> = steps.iter().filter(|step| step.name == "connect").collect();
        let agreed = format!("VMBus {},", version.dotted());
        assert_eq!(connects.len(), 2);
        assert!(
            connects.iter().all(|step| step.detail.starts_with(&agreed)),
            "{connects:?}"
        );
        assert!(steps.iter().any(|step| step.name == "data"), "{steps:?}");
    }
}

#[test]
fn every_step_succeeds_on_every_version_on_one_thread() {
    every_version(Threads::One);
}

#[test]
fn every_step_succeeds_on_every_version_on_two_threads() {
    every_version(Threads::Two);
}

#[test]
fn sub_channels_are_as_many_as_are_asked_for() {
    for count in [0, 3] {
        let steps = steps(&Options {
            sub_channels: count,
            ..options(Threads::One)
        });
        let step = steps.iter().find(|step| step.name == "disk channels").unwrap();
        assert_eq!(step.detail, format!("{count} more opened, each read from"));
    }
}

#[test]
fn what_goes_through_is_counted() {
    for threads in [Threads::One, Threads::Two] {
        let options = options(threads);
        let mut session = Session::start(&options, &mut |_| ()).unwrap();
        for depth in [1, 4, 16, 64] {
            let measured = session.disk_reads(depth, Amount::Count(1000)).unwrap();
            assert!((1000..2000).contains(&measured.count), "{depth}: {measured:?}");
        }
        for len in [14, 64, 1514] {
            let measured = session.frames_sent(len.into(), Amount::Count(1000)).unwrap();
            assert_eq!(measured.count, 1000);
            let measured = session.frames_received(len, Amount::Count(1000)).unwrap();
            assert!((1000..4000).contains(&measured.count), "{len}: {measured:?}");
        }
        session.finish(&options, &mut |_| ()).unwrap();
    }
}

#[test]
fn a_machine_without_room_says_so() {
    let failure = Session::start(
        &Options {
            memory_len: 64 << 10,
            ..options(Threads::Two)
        },
        &mut |_| (),
    )
    .unwrap_err();
    assert_eq!(
        failure.to_string(),
        "disk channel: the guest has no 66 pages left that follow one another"
    );
}
