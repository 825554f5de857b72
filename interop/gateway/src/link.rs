//! What a virtual NIC is plugged into.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

/// A network that takes frames and gives frames: the [`Runner`](crate::Runner) with its gateway, a TAP device
/// (`Tap`), either of them inside a [`Capture`](crate::Capture).
///
/// Frames are Ethernet frames without the frame check sequence. Directions are named from the NIC: it *transmits* to the
/// network and *receives* from it. All methods take `&self`; [`transmit`](Self::transmit) may be called by several
/// threads at once, one for each queue of the NIC.
pub trait Link: Send + Sync {
    /// Begins to hand frames to `sink`, from a thread of the link's own. A link is started once.
    ///
    /// # Errors
    ///
    /// It was started or shut down before, or the system refuses a thread or a descriptor.
    fn start(&self, sink: Arc<dyn FrameSink>) -> Result<(), StartError>;

    /// Sends one frame to the network. It never waits: a frame for which there is no room is dropped and counted, and
    /// the caller is told.
    ///
    /// # Errors
    ///
    /// Why the frame was dropped.
    fn transmit(&self, frame: &[u8]) -> Result<(), TransmitError>;

    /// Tells the link that a sink that answered [`Delivery::Full`] has room again. It may be called at any time, by any
    /// thread, the sink's own calls included.
    fn resume(&self);

    /// Whether the cable is plugged in.
    fn is_up(&self) -> bool;

    /// Ends the link's thread. When it returns the sink is called no more; only where the sink itself calls it, it may
    /// still get the rest of a batch. Frames that are under way are lost. A second call does nothing, and dropping the
    /// link does the same.
    fn shutdown(&self);

    /// What went through so far.
    fn statistics(&self) -> Statistics;
}

/// Where a [`Link`] puts the frames that come from the network: the receiving side of a NIC.
///
/// It is called by the link's thread alone, and should not block: the network stands still as long.
pub trait FrameSink: Send + Sync {
    /// Takes one frame, which is to be copied.
    ///
    /// A NIC that is closed should take frames and drop them, so that what comes after is not held up by them.
    fn deliver(&self, frame: &[u8]) -> Delivery;

    /// The frames delivered since the last call were all for now: the time to wake whoever handles them.
    fn flush(&self) {}

    /// The cable was plugged in or pulled.
    fn link_changed(&self, up: bool) {
        let _ = up;
    }
}

/// What became of a frame that was handed to a [`FrameSink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Delivery {
    /// The sink has it, or has dropped it.
    Taken,
    /// The sink has no room. The link keeps the frame and all that follow, offers it again after [`Link::resume`], and
    /// without that call every few milliseconds. The network feels it: a TAP device's queue fills, and the gateway sends
    /// no more than it can hold.
    Full,
}

/// Why a frame was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransmitError {
    /// Capacity: as much waits already as the link holds.
    #[error("the link's queue is full")]
    Full,
    /// The cable is not plugged in, or the link was not started or has been shut down.
    #[error("the link is down")]
    Down,
    /// The caller's fault (or its guest's): no network carries such a frame.
    #[error("a frame of {len} bytes: this link carries {min} to {max}")]
    Length {
        /// Its bytes.
        len: usize,
        /// The shortest frame.
        min: usize,
        /// The longest frame.
        max: usize,
    },
}

/// Why a link did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The caller's fault: a link is started once.
    #[error("the link was started or shut down before")]
    Started,
    /// The system refused a thread or a descriptor.
    #[error("cannot start the link's thread: {0}")]
    System(#[from] std::io::Error),
}

/// What went one way through a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flow {
    /// Frames.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Further frames, that were dropped.
    pub dropped: u64,
}

/// What went through a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// From the NIC to the network.
    pub transmitted: Flow,
    /// From the network to the NIC.
    pub received: Flow,
}

/// A [`Flow`] that several threads count in.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    frames: AtomicU64,
    bytes: AtomicU64,
    dropped: AtomicU64,
}

impl Counter {
    pub(crate) fn pass(&self, len: usize) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(len as u64, Ordering::Relaxed);
    }

    pub(crate) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn flow(&self) -> Flow {
        Flow {
            frames: self.frames.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

/// The counters of a link, both ways.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) transmitted: Counter,
    pub(crate) received: Counter,
}

impl Counters {
    /// Counts a frame that was to be sent, and hands its result on.
    pub(crate) fn transmitted(
        &self,
        len: usize,
        result: Result<(), TransmitError>,
    ) -> Result<(), TransmitError> {
        match result {
            Ok(()) => self.transmitted.pass(len),
            Err(_) => self.transmitted.drop_one(),
        }
        result
    }

    pub(crate) fn statistics(&self) -> Statistics {
        Statistics {
            transmitted: self.transmitted.flow(),
            received: self.received.flow(),
        }
    }
}

/// A link that is held by a pointer.
macro_rules! forward {
    ($($pointer:ident),+) => {$(
        impl<L: Link + ?Sized> Link for $pointer<L> {
            fn start(&self, sink: Arc<dyn FrameSink>) -> Result<(), StartError> {
                (**self).start(sink)
            }

            fn transmit(&self, frame: &[u8]) -> Result<(), TransmitError> {
                (**self).transmit(frame)
            }

            fn resume(&self) {
                (**self).resume();
            }

            fn is_up(&self) -> bool {
                (**self).is_up()
            }

            fn shutdown(&self) {
                (**self).shutdown();
            }

            fn statistics(&self) -> Statistics {
                (**self).statistics()
            }
        }
    )+};
}

forward!(Arc, Box);
