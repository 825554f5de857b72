//! The gateway on its thread, with real queues between.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

#[path = "common/station.rs"]
mod station;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;

use gateway::services::{ECHO_PORT, Pattern, SINK_PORT, SOURCE_PORT, Summary};
use gateway::{Config, Delivery, FrameSink, Link, Runner, StartError, TransmitError};
use sha2::{Digest, Sha256};
use smoltcp::phy::ChecksumCapabilities;
use station::Station;

const BROADCAST: [u8; 6] = [0xff; 6];

fn runner() -> Runner {
    Runner::new(&Config::default()).unwrap()
}

/// Who has 10.0.2.2? Tell 10.0.2.`host`.
fn arp_request(host: u8) -> Vec<u8> {
    let mut frame = BROADCAST.to_vec();
    frame.extend([2, 0, 0, 0, 1, host, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 1, host, 10, 0, 2, host, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]);
    frame
}

/// What a [`Script`] was called with.
#[derive(Debug, PartialEq)]
enum Call {
    Taken(Vec<u8>),
    Refused,
    Flush,
    Link(bool),
}

/// A sink that tells its calls, and refuses as many frames as it is told to.
struct Script {
    calls: mpsc::Sender<Call>,
    refuse: AtomicUsize,
}

impl Script {
    fn start(link: &dyn Link, refuse: usize) -> mpsc::Receiver<Call> {
        let (calls, seen) = mpsc::channel();
        link.start(Arc::new(Self {
            calls,
            refuse: AtomicUsize::new(refuse),
        }))
        .unwrap();
        seen
    }
}

impl FrameSink for Script {
    fn deliver(&self, frame: &[u8]) -> Delivery {
        if self.refuse.load(Ordering::Relaxed) > 0 {
            self.refuse.fetch_sub(1, Ordering::Relaxed);
            let _ = self.calls.send(Call::Refused);
            return Delivery::Full;
        }
        let _ = self.calls.send(Call::Taken(frame.to_vec()));
        Delivery::Taken
    }

    fn flush(&self) {
        let _ = self.calls.send(Call::Flush);
    }

    fn link_changed(&self, up: bool) {
        let _ = self.calls.send(Call::Link(up));
    }
}

fn taken(calls: &mpsc::Receiver<Call>) -> Vec<u8> {
    loop {
        if let Call::Taken(frame) = calls.recv().unwrap() {
            return frame;
        }
    }
}

#[test]
fn transfers_keep_their_bytes_while_queues_fill() {
    let mut station = Station::new(runner(), 1500, ChecksumCapabilities::default());
    let mut bytes = vec![0; 4 << 20];
    Pattern::new(9).fill(&mut bytes);
    let summary = Summary {
        len: bytes.len() as u64,
        sha256: Sha256::digest(&bytes).into(),
    };
    assert_eq!(Summary::parse(&station.talk(SINK_PORT, &bytes)), Some(summary));
    assert!(station.talk(SOURCE_PORT, format!("{} 9\n", bytes.len()).as_bytes()) == bytes);
    assert!(station.talk(ECHO_PORT, &bytes) == bytes);
    let statistics = station.port.link.statistics();
    assert_eq!(statistics.received.dropped, 0);
    assert!(statistics.transmitted.bytes > 2 * bytes.len() as u64);
    assert!(statistics.received.bytes > 2 * bytes.len() as u64);
}

#[test]
fn every_queue_thread_is_answered() {
    let link = runner();
    let calls = Script::start(&link, 0);
    thread::scope(|scope| {
        for queue in 0..4 {
            let link = &link;
            scope.spawn(move || {
                (0..50).for_each(|host| link.transmit(&arp_request(queue * 50 + 20 + host)).unwrap())
            });
        }
    });
    let mut hosts: Vec<_> = (0..200).map(|_| taken(&calls)[5]).collect();
    hosts.sort_unstable();
    assert_eq!(hosts, (20..220).collect::<Vec<_>>());
    link.shutdown();
    assert_eq!(link.statistics().transmitted.frames, 200);
    assert_eq!(link.statistics().received.frames, 200);
}

#[test]
fn a_batch_is_flushed() {
    let link = runner();
    let calls = Script::start(&link, 0);
    link.transmit(&arp_request(20)).unwrap();
    assert!(matches!(calls.recv(), Ok(Call::Taken(_))));
    assert_eq!(calls.recv(), Ok(Call::Flush));
}

#[test]
fn a_refused_frame_is_offered_again_and_nothing_is_lost() {
    let link = runner();
    let calls = Script::start(&link, 3);
    for host in 20..24 {
        link.transmit(&arp_request(host)).unwrap();
    }
    let seen: Vec<_> = (0..3).map(|_| calls.recv().unwrap()).collect();
    assert_eq!(seen, [Call::Refused, Call::Refused, Call::Refused]);
    link.resume();
    assert_eq!(
        (20..24).map(|_| taken(&calls)[5]).collect::<Vec<_>>(),
        [20, 21, 22, 23]
    );
    assert_eq!(link.statistics().received.dropped, 0);
}

#[test]
fn what_no_link_carries_is_refused_and_counted() {
    let link = runner();
    assert_eq!(link.transmit(&arp_request(20)), Err(TransmitError::Down));
    let calls = Script::start(&link, 0);
    for len in [0, 13, 1515, 100_000] {
        let error = TransmitError::Length {
            len,
            min: 14,
            max: 1514,
        };
        assert_eq!(link.transmit(&vec![0; len]), Err(error));
    }
    for len in [14, 1514] {
        assert_eq!(link.transmit(&vec![0; len]), Ok(()));
    }
    link.transmit(&arp_request(20)).unwrap();
    taken(&calls);
    link.shutdown();
    assert_eq!(link.gateway_statistics().ignored, 2);
    assert_eq!(link.statistics().transmitted.dropped, 5);
    assert_eq!(link.transmit(&arp_request(20)), Err(TransmitError::Down));
    assert!(!link.is_up());
}

#[test]
fn a_pulled_cable_carries_nothing() {
    let link = runner();
    let calls = Script::start(&link, 0);
    link.set_up(false);
    assert_eq!(calls.recv(), Ok(Call::Link(false)));
    assert!(!link.is_up());
    assert_eq!(link.transmit(&arp_request(20)), Err(TransmitError::Down));
    link.set_up(true);
    link.set_up(true);
    assert_eq!(calls.recv(), Ok(Call::Link(true)));
    link.transmit(&arp_request(20)).unwrap();
    assert!(matches!(calls.recv(), Ok(Call::Taken(_))));
}

#[test]
fn a_link_starts_once_and_ends_once() {
    let link = runner();
    let calls = Script::start(&link, 0);
    let (calls_again, _seen) = mpsc::channel();
    let again = Arc::new(Script {
        calls: calls_again,
        refuse: AtomicUsize::new(0),
    });
    assert!(matches!(link.start(again), Err(StartError::Started)));
    link.shutdown();
    link.shutdown();
    assert_eq!(
        calls.recv(),
        Err(mpsc::RecvError),
        "the sink is gone with the thread"
    );

    let never = runner();
    never.shutdown();
    let (calls, _seen) = mpsc::channel();
    let late = Arc::new(Script {
        calls,
        refuse: AtomicUsize::new(0),
    });
    assert!(matches!(never.start(late), Err(StartError::Started)));
}

/// Stands still in its first call until it is let go.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl FrameSink for Gate {
    fn deliver(&self, _: &[u8]) -> Delivery {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1).unwrap());
        Delivery::Taken
    }
}

#[test]
fn a_full_queue_says_so() {
    let link = runner();
    let gate = Arc::new(Gate::default());
    link.start(Arc::clone(&gate) as Arc<dyn FrameSink>).unwrap();
    link.transmit(&arp_request(20)).unwrap();
    drop(
        gate.changed
            .wait_while(gate.state.lock().unwrap(), |state| !state.0)
            .unwrap(),
    );
    // The thread hangs in its sink now, so that nothing is taken out of the queue.
    let frame = [0; 60];
    let mut queued = 0;
    while link.transmit(&frame).is_ok() {
        queued += 1;
        assert!(queued <= 100_000, "the queue has no end");
    }
    assert_eq!(link.transmit(&frame), Err(TransmitError::Full));
    assert_eq!(link.statistics().transmitted.dropped, 2);
    gate.state.lock().unwrap().1 = true;
    gate.changed.notify_all();
    link.shutdown();
    assert_eq!(link.statistics().transmitted.frames, queued + 1);
}
