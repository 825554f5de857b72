//! A TAP device of the host as a network.

mod open;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, read, retry_on_intr, write};
use thiserror::Error;

use crate::config::{ETHERNET_HEADER, MAX_IP_PACKET};
use crate::link::{Counters, Delivery, FrameSink, Link, StartError, Statistics, TransmitError};
use crate::worker::Worker;

/// The longest frame: the largest IP packet, and an Ethernet header with a VLAN tag.
const MAX_FRAME: usize = MAX_IP_PACKET + ETHERNET_HEADER + 4;
/// Frames that are read before the sink is told to wake its reader.
const BURST: usize = 64;
/// How long a full sink is left alone that does not call [`Link::resume`].
const RETRY: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 5_000_000,
};

/// A TAP interface of this machine, as a [`Link`]: what the NIC transmits arrives on the interface, and the other way
/// round.
///
/// The interface is opened by its name. Where there is none of that name it is made (which takes `CAP_NET_ADMIN`) and goes
/// away with this value; one that an administrator has made for a user needs no rights beyond being that user:
///
/// ```sh
/// ip tuntap add dev vmtap0 mode tap user "$USER"
/// ip addr add 10.0.2.2/24 dev vmtap0
/// ip link set vmtap0 up
/// ```
///
/// Addresses, MTU and bridging are the administrator's, and nothing here changes them.
pub struct Tap {
    name: String,
    shared: Arc<Shared>,
    worker: Worker,
}

struct Shared {
    device: OwnedFd,
    /// Counts calls of `resume` and `shutdown`, so that the reader wakes.
    wake: OwnedFd,
    running: AtomicBool,
    counters: Counters,
}

/// Why there is no TAP interface.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The caller's fault: the kernel has no such long names.
    #[error("the interface name {name:?} is longer than {max} bytes")]
    NameTooLong {
        /// The name.
        name: String,
        /// The longest.
        max: usize,
    },
    /// The caller's fault: no interface can have this name.
    #[error("{0:?} is no interface name: it is empty or holds a blank, a slash or a zero")]
    Name(String),
    /// The kernel has no TUN/TAP driver, or the device node is missing.
    #[error(
        "there is no /dev/net/tun: load the driver with `modprobe tun`, or in a container pass the device in"
    )]
    NoDevice,
    /// The device node may not be opened.
    #[error("no right to open /dev/net/tun: it is usually open to all (mode 0666)")]
    NoRightToDevice,
    /// The interface belongs to another user, or there is none and this one may not make it.
    #[error(
        "no right to the TAP interface {0}: run as root, or let root run \
         `ip tuntap add dev {0} mode tap user $USER`"
    )]
    NoRight(String),
    /// Another program has the interface open.
    #[error("the TAP interface {0} is in use by another program")]
    Busy(String),
    /// There is an interface of that name, and it is something else.
    #[error("{0} is no TAP interface, or one that needs other flags (multi_queue, vnet_hdr)")]
    NotTap(String),
    /// Anything else that the system said.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What came of it.
        #[source]
        error: io::Error,
    },
}

impl Tap {
    /// Opens the TAP interface `name`, or makes it. A name with `%d` in it lets the kernel choose a number.
    ///
    /// # Errors
    ///
    /// What is missing, and what to do about it.
    pub fn open(name: &str) -> Result<Self, OpenError> {
        let (device, name) = open::open(name)?;
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| {
            OpenError::System {
                what: "eventfd",
                error: error.into(),
            }
        })?;
        let shared = Shared {
            device,
            wake,
            running: AtomicBool::new(false),
            counters: Counters::default(),
        };
        Ok(Self {
            name,
            shared: Arc::new(shared),
            worker: Worker::default(),
        })
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Link for Tap {
    fn start(&self, sink: Arc<dyn FrameSink>) -> Result<(), StartError> {
        let started = self.worker.start(&self.name, || {
            let shared = Arc::clone(&self.shared);
            shared.running.store(true, Ordering::Release);
            Ok(move || shared.read_frames(&*sink))
        });
        if matches!(started, Err(StartError::System(_))) {
            self.shared.running.store(false, Ordering::Release);
        }
        started
    }

    fn transmit(&self, frame: &[u8]) -> Result<(), TransmitError> {
        self.shared
            .counters
            .transmitted(frame.len(), self.shared.transmit(frame))
    }

    fn resume(&self) {
        self.shared.wake();
    }

    fn is_up(&self) -> bool {
        self.shared.running.load(Ordering::Acquire)
    }

    fn shutdown(&self) {
        self.shared.running.store(false, Ordering::Release);
        self.shared.wake();
        self.worker.join();
    }

    fn statistics(&self) -> Statistics {
        self.shared.counters.statistics()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Shared {
    fn transmit(&self, frame: &[u8]) -> Result<(), TransmitError> {
        let len = frame.len();
        if !(ETHERNET_HEADER..=MAX_FRAME).contains(&len) {
            return Err(TransmitError::Length {
                len,
                min: ETHERNET_HEADER,
                max: MAX_FRAME,
            });
        }
        if !self.running.load(Ordering::Acquire) {
            return Err(TransmitError::Down);
        }
        match retry_on_intr(|| write(&self.device, frame)) {
            Ok(_) => Ok(()),
            Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => Err(TransmitError::Full),
            // EIO is an interface that is not set up, EBADFD one that was deleted.
            Err(_) => Err(TransmitError::Down),
        }
    }

    fn wake(&self) {
        // It fails only when the counter is full, and then the reader is awake.
        let _ = write(&self.wake, &1_u64.to_ne_bytes());
    }

    fn read_frames(&self, sink: &dyn FrameSink) {
        let mut buffer = vec![0; MAX_FRAME];
        while self.running.load(Ordering::Acquire) {
            let more = self.read_burst(sink, &mut buffer);
            sink.flush();
            let waited = match more {
                Ok(true) => Ok(()),
                Ok(false) => self.wait(true, None),
                Err(error) => Err(error),
            };
            if let Err(error) = waited {
                tracing::warn!(%error, "the TAP interface is gone");
                if self.running.swap(false, Ordering::AcqRel) {
                    sink.link_changed(false);
                }
            }
        }
    }

    /// Reads what there is, up to a number; true when there may be more.
    fn read_burst(&self, sink: &dyn FrameSink, buffer: &mut [u8]) -> Result<bool, Errno> {
        for _ in 0..BURST {
            let len = match retry_on_intr(|| read(&self.device, &mut *buffer)) {
                Ok(len) => len,
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error),
            };
            let frame = buffer.get(..len).unwrap_or_default();
            while sink.deliver(frame) == Delivery::Full {
                sink.flush();
                self.wait(false, Some(&RETRY))?;
                if !self.running.load(Ordering::Acquire) {
                    self.counters.received.drop_one();
                    return Ok(true);
                }
            }
            self.counters.received.pass(len);
        }
        Ok(true)
    }

    /// Waits for [`wake`](Self::wake), and for a frame where `frames` says so.
    fn wait(&self, frames: bool, timeout: Option<&Timespec>) -> Result<(), Errno> {
        let wake = PollFd::new(&self.wake, PollFlags::IN);
        if frames {
            let mut both = [wake, PollFd::new(&self.device, PollFlags::IN)];
            retry_on_intr(|| poll(&mut both, timeout))?;
        } else {
            let mut one = [wake];
            retry_on_intr(|| poll(&mut one, timeout))?;
        }
        match read(&self.wake, &mut [0_u8; 8]) {
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
