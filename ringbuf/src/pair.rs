//! The two rings of a channel.

use crate::consumer::Consumer;
use crate::fault::RingFault;
use crate::memory::RingMem;
use crate::producer::Producer;

/// The memories of a channel's two rings, in the order in which they lie in the channel's GPADL.
#[derive(Clone, Copy, Debug)]
pub struct Halves<M> {
    /// The ring in which the guest sends. It comes first in the GPADL.
    pub to_host: M,
    /// The ring in which the host sends, from the downstream offset on.
    pub to_guest: M,
}

/// One end of a channel: a ring to read from and a ring to write to.
#[derive(Debug)]
pub struct RingPair<M> {
    /// What the peer sends.
    pub incoming: Consumer<M>,
    /// What is sent to the peer.
    pub outgoing: Producer<M>,
}

impl<M: RingMem> RingPair<M> {
    /// The host's end of a channel.
    ///
    /// # Errors
    ///
    /// As [`Consumer::new`] and [`Producer::new`].
    pub fn host(halves: Halves<M>) -> Result<Self, RingFault> {
        Ok(Self {
            incoming: Consumer::new(halves.to_host)?,
            outgoing: Producer::new(halves.to_guest)?,
        })
    }

    /// The guest's end of a channel.
    ///
    /// # Errors
    ///
    /// As [`Consumer::new`] and [`Producer::new`].
    pub fn guest(halves: Halves<M>) -> Result<Self, RingFault> {
        Ok(Self {
            incoming: Consumer::new(halves.to_guest)?,
            outgoing: Producer::new(halves.to_host)?,
        })
    }
}
