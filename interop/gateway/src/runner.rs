//! The gateway on a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time;

use smoltcp::time::Instant;

use crate::config::{Config, ConfigError, ETHERNET_HEADER};
use crate::frames::{Batch, Limit};
use crate::gateway::{Gateway, GatewayStatistics};
use crate::link::{Counters, Delivery, FrameSink, Link, StartError, Statistics, TransmitError};
use crate::worker::{Worker, lock};

/// What may wait between the NIC and the gateway: more than the TCP windows of a few busy connections.
const INBOX: Limit = Limit {
    frames: 8192,
    bytes: 8 << 20,
};
/// Frames after which the gateway answers, also when more wait: the guest goes on meanwhile.
const BURST: usize = 64;
/// How long a full sink is left alone that does not call [`Link::resume`].
const RETRY: time::Duration = time::Duration::from_millis(5);

/// A [`Gateway`] that runs on a thread, as a [`Link`].
///
/// Frames to the gateway go through one bounded queue, which the thread takes as a whole; [`transmit`](Link::transmit)
/// costs a copy of the frame and, only when the thread sleeps, a wake-up.
///
/// ```
/// use std::sync::{Arc, mpsc};
/// use gateway::{Config, Delivery, FrameSink, Link, Runner};
///
/// struct Guest(mpsc::Sender<Vec<u8>>);
///
/// impl FrameSink for Guest {
///     fn deliver(&self, frame: &[u8]) -> Delivery {
///         let _ = self.0.send(frame.to_vec());
///         Delivery::Taken
///     }
/// }
///
/// let (sender, frames) = mpsc::channel();
/// let link = Runner::new(&Config::default())?;
/// link.start(Arc::new(Guest(sender)))?;
/// let mut request = vec![0xff; 6];
/// request.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
/// request.extend([2, 0, 0, 0, 0, 1, 10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2]);
/// link.transmit(&request)?;
/// assert_eq!(frames.recv()?[12..14], [8, 6], "an ARP answer");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Runner {
    shared: Arc<Shared>,
    /// The gateway waits here for the thread.
    gateway: Mutex<Option<Gateway>>,
    worker: Worker,
}

struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
    up: AtomicBool,
    counters: Counters,
    statistics: Mutex<GatewayStatistics>,
    max_frame: usize,
}

struct Inbox {
    frames: Batch,
    /// The thread sleeps, and is to be woken.
    asleep: bool,
    /// The sink has room again.
    resumed: bool,
    /// The cable was plugged in or pulled: the sink is to hear of it.
    link_changed: bool,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    Running,
    Stopped,
}

impl Runner {
    /// A gateway that waits for its [`start`](Link::start).
    ///
    /// # Errors
    ///
    /// The first thing in `config` that makes no gateway.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let gateway = Gateway::new(config)?;
        let inbox = Inbox {
            frames: Batch::new(INBOX),
            asleep: false,
            resumed: false,
            link_changed: false,
            state: State::New,
        };
        let shared = Shared {
            inbox: Mutex::new(inbox),
            wake: Condvar::new(),
            up: AtomicBool::new(true),
            counters: Counters::default(),
            statistics: Mutex::new(gateway.statistics()),
            max_frame: config.max_frame(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            gateway: Mutex::new(Some(gateway)),
            worker: Worker::default(),
        })
    }

    /// Plugs the cable in or pulls it. While it is out, frames are dropped both ways; connections stay until they time
    /// out, as they do on a network.
    pub fn set_up(&self, up: bool) {
        if self.shared.up.swap(up, Ordering::Relaxed) != up {
            self.shared.tell(|inbox| inbox.link_changed = true);
        }
    }

    /// What the gateway has seen and done, as of its last turn.
    #[must_use]
    pub fn gateway_statistics(&self) -> GatewayStatistics {
        *lock(&self.shared.statistics)
    }
}

impl Link for Runner {
    fn start(&self, sink: Arc<dyn FrameSink>) -> Result<(), StartError> {
        self.worker.start("gateway", || {
            let gateway = lock(&self.gateway).take();
            let gateway = gateway.ok_or_else(|| std::io::Error::other("the gateway is gone"))?;
            let shared = Arc::clone(&self.shared);
            lock(&shared.inbox).state = State::Running;
            Ok(move || {
                let incoming = Batch::new(INBOX);
                Turn {
                    shared,
                    gateway,
                    sink,
                    incoming,
                    started: time::Instant::now(),
                }
                .run();
            })
        })
    }

    fn transmit(&self, frame: &[u8]) -> Result<(), TransmitError> {
        let shared = &self.shared;
        shared.counters.transmitted(frame.len(), shared.transmit(frame))
    }

    fn resume(&self) {
        self.shared.tell(|inbox| inbox.resumed = true);
    }

    fn is_up(&self) -> bool {
        self.shared.up.load(Ordering::Relaxed)
    }

    fn shutdown(&self) {
        self.shared.tell(|inbox| inbox.state = State::Stopped);
        self.worker.join();
    }

    fn statistics(&self) -> Statistics {
        self.shared.counters.statistics()
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Shared {
    fn transmit(&self, frame: &[u8]) -> Result<(), TransmitError> {
        let len = frame.len();
        if !(ETHERNET_HEADER..=self.max_frame).contains(&len) {
            return Err(TransmitError::Length {
                len,
                min: ETHERNET_HEADER,
                max: self.max_frame,
            });
        }
        if !self.up.load(Ordering::Relaxed) {
            return Err(TransmitError::Down);
        }
        let mut inbox = lock(&self.inbox);
        if inbox.state != State::Running {
            return Err(TransmitError::Down);
        }
        if !inbox.frames.push(frame) {
            return Err(TransmitError::Full);
        }
        let asleep = std::mem::take(&mut inbox.asleep);
        drop(inbox);
        if asleep {
            self.wake.notify_one();
        }
        Ok(())
    }

    fn tell(&self, change: impl FnOnce(&mut Inbox)) {
        let mut inbox = lock(&self.inbox);
        change(&mut inbox);
        let asleep = std::mem::take(&mut inbox.asleep);
        drop(inbox);
        if asleep {
            self.wake.notify_one();
        }
    }
}

/// The thread's own values.
struct Turn {
    shared: Arc<Shared>,
    gateway: Gateway,
    sink: Arc<dyn FrameSink>,
    incoming: Batch,
    started: time::Instant,
}

/// What the thread is to wait for besides frames.
#[derive(Clone, Copy, Debug)]
enum Pause {
    /// Nothing is to be done before this time; `None` is for ever.
    Until(Option<time::Instant>),
    /// The sink is full.
    Full,
}

impl Turn {
    fn run(mut self) {
        let mut pause = self.exchange();
        while self.wait(pause) {
            let mut incoming =
                std::mem::replace(&mut self.incoming, Batch::new(Limit { frames: 0, bytes: 0 }));
            let up = self.shared.up.load(Ordering::Relaxed);
            for (index, frame) in incoming.iter().enumerate().filter(|_| up) {
                // Lengths were checked when the frame came in.
                let _ = self.gateway.handle_frame(self.now(), frame);
                if index % BURST == BURST - 1 {
                    let _ = self.exchange();
                }
            }
            incoming.clear();
            self.incoming = incoming;
            pause = self.exchange();
            *lock(&self.shared.statistics) = self.gateway.statistics();
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    /// Lets the gateway do all it can now, and hands its frames to the sink.
    fn exchange(&mut self) -> Pause {
        let mut delivered = false;
        let pause = loop {
            let now = self.now();
            let deadline = self.gateway.poll(now);
            let waiting = self.gateway.outgoing().len();
            let room = self.deliver(&mut delivered);
            if !room {
                break Pause::Full;
            }
            match deadline {
                // A full queue was emptied: there is more.
                Some(deadline) if deadline <= now && waiting > 0 => {}
                deadline => {
                    break Pause::Until(deadline.map(|deadline| self.started + since_start(deadline)));
                }
            }
        };
        if delivered {
            self.sink.flush();
        }
        pause
    }

    /// Empties the gateway's queue into the sink; false when the sink is full.
    fn deliver(&mut self, delivered: &mut bool) -> bool {
        let counter = &self.shared.counters.received;
        let up = self.shared.up.load(Ordering::Relaxed);
        let outgoing = self.gateway.outgoing();
        while let Some(frame) = outgoing.front() {
            if !up {
                counter.drop_one();
            } else {
                match self.sink.deliver(frame) {
                    Delivery::Taken => counter.pass(frame.len()),
                    Delivery::Full => return false,
                }
                *delivered = true;
            }
            outgoing.pop();
        }
        true
    }

    /// Waits for frames or for what `pause` says, and takes the frames; false when the link is shut down.
    fn wait(&mut self, pause: Pause) -> bool {
        let until = match pause {
            Pause::Until(until) => until,
            Pause::Full => Some(time::Instant::now() + RETRY),
        };
        let shared = Arc::clone(&self.shared);
        let mut inbox = lock(&shared.inbox);
        loop {
            if inbox.state == State::Stopped {
                return false;
            }
            if std::mem::take(&mut inbox.link_changed) {
                drop(inbox);
                self.sink.link_changed(shared.up.load(Ordering::Relaxed));
                inbox = lock(&shared.inbox);
                continue;
            }
            let resumed = std::mem::take(&mut inbox.resumed) && matches!(pause, Pause::Full);
            let left = until.map(|until| until.saturating_duration_since(time::Instant::now()));
            if resumed || !inbox.frames.is_empty() || left.is_some_and(|left| left.is_zero()) {
                std::mem::swap(&mut inbox.frames, &mut self.incoming);
                return true;
            }
            inbox.asleep = true;
            inbox = match left {
                Some(left) => {
                    shared
                        .wake
                        .wait_timeout(inbox, left)
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .0
                }
                None => shared
                    .wake
                    .wait(inbox)
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
            };
            inbox.asleep = false;
        }
    }
}

/// The thread ends when the link is shut down, and would end by a panic: either way nobody is there any more.
impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.up.store(false, Ordering::Relaxed);
        lock(&self.shared.inbox).state = State::Stopped;
    }
}

fn since_start(at: Instant) -> time::Duration {
    time::Duration::from_micros(u64::try_from(at.total_micros()).unwrap_or(0))
}
