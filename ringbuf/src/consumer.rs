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

/// A packet whose framing is sane, still in the ring.
struct Frame {
    head: Head,
    transaction_id: u64,
    /// Where the descriptor's extension starts.
    extension_at: u32,
    /// Bytes of the extension, and of it and the payload.
    extension_len: u32,
    body_len: u32,
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
        self.read_part(scratch, |frame| frame.body_len)
    }

    /// As [`read`](Self::read), but copies the descriptor only, for packets whose data is elsewhere: the payload is
    /// empty, and passed over.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[inline]
    pub fn read_descriptor<'a>(&mut self, scratch: &'a mut [u8]) -> Result<Option<Packet<'a>>, ReadError> {
        self.read_part(scratch, |frame| frame.extension_len)
    }

    /// Passes the next packet over, without copying anything of it. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// The ring is corrupt.
    pub fn skip(&mut self) -> Result<bool, RingFault> {
        let Some(frame) = self.frame()? else {
            return Ok(false);
        };
        self.ends.take(frame.size());
        Ok(true)
    }

    /// Gives the peer the room back of everything read so far, and tells whether it waits for that.
    #[inline]
    #[must_use = "a peer that waits for room has to be signalled"]
    pub fn release(&mut self) -> Signal {
        if self.fault.is_some() {
            return Signal::NotNeeded;
        }
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
        part: impl FnOnce(&Frame) -> u32,
    ) -> Result<Option<Packet<'a>>, ReadError> {
        let Some(frame) = self.frame()? else {
            return Ok(None);
        };
        let len = scratch.len();
        let needed = part(&frame) as usize;
        let Some(body) = scratch.get_mut(..needed) else {
            return Err(ReadError::ScratchTooSmall { needed, len });
        };
        self.mem.read(frame.extension_at, body);
        self.ends.take(frame.size());
        let (extension, payload) = body
            .split_at_checked(frame.extension_len as usize)
            .unwrap_or((&[], &[]));
        Ok(Some(Packet {
            kind: frame.head.kind,
            flags: frame.head.flags,
            transaction_id: frame.transaction_id,
            extension,
            payload,
            payload_len: frame.body_len.wrapping_sub(frame.extension_len),
        }))
    }

    /// The next packet's frame, once judged. The peer's write index is looked at only when what is known was read.
    #[inline]
    fn frame(&mut self) -> Result<Option<Frame>, RingFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.ends.available() == 0 {
            let write = self.mem.load(ControlWord::WriteIndex);
            self.ends
                .observe_write(write)
                .inspect_err(|&fault| self.fault = Some(fault))?;
            if self.ends.available() == 0 {
                return Ok(None);
            }
        }
        self.judge()
            .inspect_err(|&fault| self.fault = Some(fault))
            .map(Some)
    }

    #[inline]
    fn judge(&self) -> Result<Frame, RingFault> {
        let (span, at, available) = (self.ends.span(), self.ends.next(), self.ends.available());
        if available < DESCRIPTOR + TRAILER {
            return Err(RingFault::Fragment { at, available });
        }
        let head = Head::decode(self.mem.read_word(at));
        let transaction_id = self.mem.read_word(span.advance(at, 8));
        let Head { offset8, len8, .. } = head;
        let (offset, end) = (u32::from(offset8) << 3, u32::from(len8) << 3);
        if offset < DESCRIPTOR || end < offset {
            return Err(RingFault::PayloadOffset { at, offset8, len8 });
        }
        if end.wrapping_add(TRAILER) > available {
            return Err(RingFault::PacketLength { at, len8, available });
        }
        Ok(Frame {
            head,
            transaction_id,
            extension_at: span.advance(at, DESCRIPTOR),
            extension_len: offset.wrapping_sub(DESCRIPTOR),
            body_len: end.wrapping_sub(DESCRIPTOR),
        })
    }
}

impl Frame {
    /// Bytes that the packet takes in the ring.
    #[inline]
    const fn size(&self) -> u32 {
        self.body_len.wrapping_add(DESCRIPTOR + TRAILER)
    }
}
