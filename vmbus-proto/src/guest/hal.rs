//! What a guest needs of its platform.

use core::time::Duration;

use hvcall::{ConnectionId, HvStatus};
use vmbus_ringbuf::{Halves, RingMem};

use super::pages::Pages;
use super::params::ChannelSignal;

/// What the [`Bus`](super::Bus) needs of a kernel.
///
/// All methods take `&self`, and the bus calls them while it is borrowed itself, so they must not call the bus. None of them may wait for
/// the host.
pub trait Hal {
    /// Memory that is lent: rings, and what devices need besides. The bus owns it for as long as the host may touch it.
    type Memory: Pages;
    /// A ring in such memory.
    type Ring: RingMem;
    /// Why something did not work.
    type Error;

    /// Makes the hypercall post-message, of type [`VMBUS`](hvcall::synic::MessageType::VMBUS), and gives its status. `payload` has 240
    /// bytes at most. The bus repeats what is refused for now, by [`now`](Self::now); this must not.
    fn post(&self, connection: ConnectionId, payload: &[u8]) -> HvStatus;

    /// Signals the host: sets the flag in the interrupt page, if the signal has one, and makes the hypercall signal-event with flag 0.
    /// Everything that was written to shared memory before must be visible to the host by then, as a hypercall makes it.
    ///
    /// # Errors
    /// When it cannot be done.
    fn signal(&self, signal: ChannelSignal) -> Result<(), Self::Error>;

    /// How long ago a moment was that stays the same, by a clock that never goes back:
    /// [reference time](hvcall::time), or any other.
    fn now(&self) -> Duration;

    /// Makes the pages accessible to the host, before they are lent. On a guest whose memory is not encrypted this is nothing, as it is
    /// by default.
    ///
    /// # Errors
    /// When it cannot be done. The memory is not lent then.
    fn share(&self, memory: &Self::Memory) -> Result<(), Self::Error> {
        let _ = memory;
        Ok(())
    }

    /// Takes from the host what [`share`](Self::share) gave it, after the memory has come back.
    ///
    /// # Errors
    /// When it cannot be done. The memory comes back all the same, and the host may still access it.
    fn unshare(&self, memory: &Self::Memory) -> Result<(), Self::Error> {
        let _ = memory;
        Ok(())
    }

    /// The rings in memory that was given to [`Bus::open`](super::Bus::open): `downstream` is the page at which the one from host to guest
    /// begins. [`ContiguousRing::pair`](vmbus_ringbuf::mem::ContiguousRing::pair) and
    /// [`PageListRing::pair`](vmbus_ringbuf::mem::PageListRing::pair) make such from pointers.
    ///
    /// What it gives is used until it is dropped, which is before the memory comes back.
    ///
    /// # Errors
    /// When it cannot be done. The channel is closed again.
    fn rings(&self, memory: &Self::Memory, downstream: u32) -> Result<Halves<Self::Ring>, Self::Error>;
}

impl<H: Hal + ?Sized> Hal for &H {
    type Memory = H::Memory;
    type Ring = H::Ring;
    type Error = H::Error;

    fn post(&self, connection: ConnectionId, payload: &[u8]) -> HvStatus {
        (**self).post(connection, payload)
    }

    fn signal(&self, signal: ChannelSignal) -> Result<(), Self::Error> {
        (**self).signal(signal)
    }

    fn now(&self) -> Duration {
        (**self).now()
    }

    fn share(&self, memory: &Self::Memory) -> Result<(), Self::Error> {
        (**self).share(memory)
    }

    fn unshare(&self, memory: &Self::Memory) -> Result<(), Self::Error> {
        (**self).unshare(memory)
    }

    fn rings(&self, memory: &Self::Memory, downstream: u32) -> Result<Halves<Self::Ring>, Self::Error> {
        (**self).rings(memory, downstream)
    }
}
