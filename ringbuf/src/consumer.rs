//! The receiving end of a ring.

use crate::Signal;
use crate::fault::{ReadError, RingFault};
use crate::memory::RingMem;
use crate::model::{Receiver, Span};
use crate::packet::{DESCRIPTOR, Head, Packet, TRAILER};
use crate::wire::ControlWord;

/// The receiving end of a ring.
///
/// The read index is this value's own: what stands in shared memory is only published from it. What the peer's write
/// index and packets say is copied out once and then judged.
///
/// # Going to sleep
///
/// A sender signals only when it finds the ring empty, which is when the read index that it sees has reached all that
/// it wrote. So the receiver [releases](Self::release) what it read, then calls
/// [`unmask_interrupts`](Self::unmask_interrupts), and sleeps only if that returns `false`: a packet that came in
/// between is told by `true`, and one that comes later by a signal.
///
/// ```
/// # use vmbus_ringbuf::{Consumer, ReadError, RingMem, Signal};
/// # fn serve<M: RingMem>(ring: &mut Consumer<M>, scratch: &mut [u8], signal: &dyn Fn()) -> Result<(), ReadError> {
/// ring.mask_interrupts();
/// loop {
///     while let Some(packet) = ring.read(scratch)? {
///         # let _ = packet;
///         // ... serve the packet ...
///     }
///     if ring.release() == Signal::Needed {
///         signal();
///     }
///     if !ring.unmask_interrupts() {
///         return Ok(()); // sleep until signalled
///     }
///     ring.mask_interrupts();
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Consumer<M> {
    mem: M,
    ends: Receiver,
    /// The interrupt mask as it stands in the control page.
    masked: bool,
    fault: Option<RingFault>,
}

impl<M: RingMem> Consumer<M> {
    /// The receiving end of the ring in `mem`, from the indices on that stand there now: both 0 in a ring that was just
    /// opened. Unmasks interrupts. The peer may have written already and signalled before this end was ready: look at
    /// the ring once before sleeping.
    ///
    /// # Errors
    ///
    /// The memory can be no ring, or an index is no position in it.
    pub fn new(mem: M) -> Result<Self, RingFault> {
        let span = Span::new(mem.data_len())?;
        let ends = Receiver::new(
            span,
            mem.load(ControlWord::WriteIndex),
            mem.load(ControlWord::ReadIndex),
        )?;
        mem.store_fence(ControlWord::InterruptMask, 0);
        Ok(Self {
            mem,
            ends,
            masked: false,
            fault: None,
        })
    }

    /// Copies the next packet into `scratch`, after its first 16 bytes; `None` when the ring is empty. The peer gets
    /// the room back with [`release`](Self::release).
    ///
    /// A scratch of [`max_scratch`](Self::max_scratch) bytes takes every packet.
    ///
    /// # Errors
    ///
    /// [`ScratchTooSmall`](ReadError::ScratchTooSmall) leaves the packet in the ring.
    #[inline]
    pub fn read<'a>(&mut self, scratch: &'a mut [u8]) -> Result<Option<Packet<'a>>, ReadError> {
        self.read_part(scratch, |head| head.end().wrapping_sub(DESCRIPTOR))
    }

    /// As [`read`](Self::read), but copies the descriptor only, for packets whose data is elsewhere: the payload is
    /// empty, and passed over.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[inline]
    pub fn read_descriptor<'a>(&mut self, scratch: &'a mut [u8]) -> Result<Option<Packet<'a>>, ReadError> {
        self.read_part(scratch, Head::extension_len)
    }

    /// Passes the next packet over, without copying anything of it. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// The ring is corrupt.
    pub fn skip(&mut self) -> Result<bool, RingFault> {
        match self.next_head()? {
            Some((head, _)) => {
                self.take(head);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Gives the peer the room back of everything read so far, and tells whether it waits for that.
    #[inline]
    #[must_use = "a peer that waits for room has to be signalled"]
    pub fn release(&mut self) -> Signal {
        let Some(moved) = self.ends.release() else {
            return Signal::NotNeeded;
        };
        // Either the sender, after setting its pending size and a barrier of its own, sees this read index, or the load
        // below sees the pending size. A sender that publishes meanwhile sees this index too, or `read` sees its.
        self.mem.store_fence(ControlWord::ReadIndex, moved.to);
        let pending = self.mem.load(ControlWord::PendingSendSize);
        if pending == 0 {
            return Signal::NotNeeded;
        }
        // Loaded after the pending size: a sender writes packets, then waits.
        let write = self.mem.load(ControlWord::WriteIndex);
        let span = self.ends.span();
        if span.holds(write) && span.room_crossed(write, moved.from, moved.to, pending) {
            Signal::Needed
        } else {
            Signal::NotNeeded
        }
    }

    /// As [`release`](Self::release), but only once an eighth of the ring was read: for use after each packet, while there may
    /// be more. [Release](Self::release) what remains before going to sleep, or when nothing is to be read for now.
    ///
    /// Each release costs a barrier, and takes a cache line from the peer that it writes to for every packet.
    #[inline]
    #[must_use = "a peer that waits for room has to be signalled"]
    pub fn release_part(&mut self) -> Signal {
        if self.ends.unreleased() < self.ends.span().len() / 8 {
            return Signal::NotNeeded;
        }
        self.release()
    }

    /// Tells the peer that no signals are needed, as this end looks by itself. Signals may still come.
    #[inline]
    pub fn mask_interrupts(&mut self) {
        if !self.masked && self.fault.is_none() {
            self.masked = true;
            self.mem.store(ControlWord::InterruptMask, 1);
        }
    }

    /// Tells the peer that signals are needed again. `true`: there is something already, or packets were read
    /// and not released; look again, as no signal will come for it.
    #[inline]
    #[must_use = "when there is something already, no signal comes for it"]
    pub fn unmask_interrupts(&mut self) -> bool {
        if self.fault.is_some() {
            return true;
        }
        if self.masked {
            self.masked = false;
            // Either the sender, after publishing and a barrier of its own, sees the mask gone, or the load below sees
            // what it published.
            self.mem.store_fence(ControlWord::InterruptMask, 0);
        }
        self.ends.has_unreleased()
            || self.ends.available() > 0
            || self.mem.load(ControlWord::WriteIndex) != self.ends.next()
    }

    /// Bytes of scratch that are enough for every packet in this ring.
    pub const fn max_scratch(&self) -> usize {
        let packet = self.ends.span().max_packet().saturating_sub(DESCRIPTOR + TRAILER);
        let longest = (0xffff << 3) - DESCRIPTOR;
        (if packet < longest { packet } else { longest }) as usize
    }

    /// Why this ring is corrupt, if it is.
    pub const fn fault(&self) -> Option<RingFault> {
        self.fault
    }

    /// The memory of the ring.
    pub const fn mem(&self) -> &M {
        &self.mem
    }

    #[inline]
    fn read_part<'a>(
        &mut self,
        scratch: &'a mut [u8],
        part: impl FnOnce(Head) -> u32,
    ) -> Result<Option<Packet<'a>>, ReadError> {
        let Some((head, transaction_id)) = self.next_head()? else {
            return Ok(None);
        };
        let len = scratch.len();
        let needed = part(head) as usize;
        let Some(body) = scratch.get_mut(..needed) else {
            return Err(ReadError::ScratchTooSmall { needed, len });
        };
        // Goes past the end of the data area; the memory counts on from its start.
        let at = self.ends.next().wrapping_add(DESCRIPTOR);
        // Before it is copied, so that nothing is left to do behind the copy. It is not released yet.
        self.take(head);
        self.mem.read(at, body);
        Ok(Some(Packet {
            head,
            transaction_id,
            body,
        }))
    }

    /// The next packet's descriptor, read once and judged. The peer's write index is looked at only when all that is
    /// known was read.
    #[inline]
    fn next_head(&mut self) -> Result<Option<(Head, u64)>, RingFault> {
        // Nothing is available in a corrupt ring, so a fault is found on that way.
        if self.ends.available() == 0 && !self.reload()? {
            return Ok(None);
        }
        let [head, transaction_id] = self.mem.read_head(self.ends.next());
        let head = Head(head);
        // Where less than a packet is available these hold for no descriptor at all.
        let sane = head.payload_at() >= DESCRIPTOR
            && head.payload_at() <= head.end()
            && head.end().wrapping_add(TRAILER) <= self.ends.available();
        if sane {
            Ok(Some((head, transaction_id)))
        } else {
            Err(self.reject(head))
        }
    }

    #[inline]
    fn take(&mut self, head: Head) {
        self.ends.take(head.end().wrapping_add(TRAILER));
    }

    /// Looks at the peer's write index. Returns whether there is anything to read.
    fn reload(&mut self) -> Result<bool, RingFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let write = self.mem.load(ControlWord::WriteIndex);
        self.ends
            .observe_write(write)
            .inspect_err(|&fault| self.poison(fault))?;
        Ok(self.ends.available() > 0)
    }

    #[cold]
    fn poison(&mut self, fault: RingFault) {
        self.fault = Some(fault);
        self.ends.poison();
    }

    /// Why a packet is not sane.
    #[cold]
    fn reject(&mut self, head: Head) -> RingFault {
        let (at, available) = (self.ends.next(), self.ends.available());
        let (offset8, len8) = (head.offset8(), head.len8());
        let fault = if available < DESCRIPTOR + TRAILER {
            RingFault::Fragment { at, available }
        } else if head.payload_at() < DESCRIPTOR || head.payload_at() > head.end() {
            RingFault::PayloadOffset { at, offset8, len8 }
        } else {
            RingFault::PacketLength { at, len8, available }
        };
        self.poison(fault);
        fault
    }
}
