//! The sending end of a ring.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{IntoBytes, transmute};

use crate::Signal;
use crate::fault::{RingFault, WriteError};
use crate::memory::RingMem;
use crate::model::{Sender, Span};
use crate::outgoing::{Descriptor, Layout, Outgoing};
use crate::packet::{DESCRIPTOR, TRAILER};
use crate::wire::{ControlWord, FeatureBits, GpaDirectHeader, GpaRangeHeader, TransferPageHeader};

/// The sending end of a ring.
///
/// The write index is this value's own: what stands in shared memory is only published from it. What the peer's read
/// index says is judged each time that it is looked at.
#[derive(Debug)]
pub struct Producer<M> {
    mem: M,
    ends: Sender,
    /// The pending send size as it stands in the control page.
    pending: u32,
    /// A batch was published early, and found that a signal is needed.
    owed: bool,
    fault: Option<RingFault>,
}

impl<M: RingMem> Producer<M> {
    /// The sending end of the ring in `mem`, from the indices on that stand there now: both 0 in a ring that was just
    /// opened. Announces the pending send size, and asks for none.
    ///
    /// # Errors
    ///
    /// The memory can be no ring, or an index is no position in it.
    pub fn new(mem: M) -> Result<Self, RingFault> {
        let span = Span::new(mem.data_len())?;
        let ends = Sender::new(
            span,
            mem.load(ControlWord::WriteIndex),
            mem.load(ControlWord::ReadIndex),
        )?;
        mem.store(ControlWord::PendingSendSize, 0);
        mem.store(ControlWord::FeatureBits, FeatureBits::PENDING_SEND_SIZE.bits());
        Ok(Self {
            mem,
            ends,
            pending: 0,
            owed: false,
            fault: None,
        })
    }

    /// Writes one packet and publishes it.
    ///
    /// # Errors
    ///
    /// [`Full`](WriteError::Full) when there is no room now: the peer signals when there is.
    #[inline]
    pub fn write(&mut self, packet: &Outgoing<'_>) -> Result<Signal, WriteError> {
        self.push(packet)?;
        Ok(self.publish())
    }

    /// Starts a batch: packets that become visible together, with one signal at most.
    #[inline]
    pub fn batch(&mut self) -> Batch<'_, M> {
        Batch { producer: self }
    }

    /// Bytes of payload that an in-band packet can have now.
    ///
    /// Asks nothing of the peer: who wants to be signalled calls
    /// [`set_pending_send_size`](Self::set_pending_send_size).
    ///
    /// # Errors
    ///
    /// The ring is corrupt.
    pub fn writable(&mut self) -> Result<u32, RingFault> {
        self.reload()?;
        Ok(self.ends.free().saturating_sub(DESCRIPTOR + TRAILER + 8))
    }

    /// Asks the peer to signal once an in-band packet with `payload_len` bytes of payload fits. Returns whether it fits
    /// already: look again then, as no signal may come.
    ///
    /// A [`write`](Self::write) that finds the ring full does this by itself.
    ///
    /// # Errors
    ///
    /// The ring is corrupt, or such a packet can never fit.
    #[must_use = "where there is room already, no signal may come"]
    pub fn set_pending_send_size(&mut self, payload_len: usize) -> Result<bool, WriteError> {
        let layout = Layout::new(self.ends.span(), 0, payload_len)?;
        let needed = layout.needed();
        if needed > self.ends.span().max_packet() {
            return Err(Layout::too_large(self.ends.span(), needed.into()));
        }
        self.check()?;
        self.await_room(needed)?;
        Ok(self.ends.fits(needed))
    }

    /// Asks for no signal any more: to be called by who gives a packet up that was refused with
    /// [`Full`](WriteError::Full). Writing such a packet does it by itself.
    pub fn clear_pending_send_size(&mut self) {
        if self.pending != 0 && self.fault.is_none() {
            self.pending = 0;
            self.mem.store(ControlWord::PendingSendSize, 0);
        }
    }

    /// Whether the peer has read everything that was published.
    ///
    /// # Errors
    ///
    /// The ring is corrupt.
    pub fn is_drained(&mut self) -> Result<bool, RingFault> {
        self.reload()?;
        Ok(!self.ends.has_unpublished() && self.ends.free() == self.ends.span().len())
    }

    /// Why this ring is corrupt, if it is.
    pub const fn fault(&self) -> Option<RingFault> {
        self.fault
    }

    /// The memory of the ring.
    pub const fn mem(&self) -> &M {
        &self.mem
    }

    fn check(&self) -> Result<(), RingFault> {
        match self.fault {
            None => Ok(()),
            Some(fault) => Err(fault),
        }
    }

    /// Looks at the peer's read index.
    fn reload(&mut self) -> Result<(), RingFault> {
        self.check()?;
        let read = self.mem.load(ControlWord::ReadIndex);
        self.ends
            .observe_read(read)
            .inspect_err(|&fault| self.poison(fault))
    }

    #[cold]
    fn poison(&mut self, fault: RingFault) {
        self.fault = Some(fault);
        self.ends.poison();
    }

    // Of the size of a call with its checks; left to itself the compiler does it here and not there.
    #[inline(always)]
    fn push(&mut self, packet: &Outgoing<'_>) -> Result<(), WriteError> {
        // Most packets are of this form, find room, and are written by straight code in the caller. Whatever else there is,
        // faults included, is found out again by the general way.
        if let (Descriptor::InBand | Descriptor::Completion, [payload]) = (&packet.descriptor, packet.payload)
            && let Some(layout) = Layout::in_band(payload.len())
            && self.ends.fits(layout.needed())
            && self.pending == 0
        {
            let at = self.ends.next();
            // Before it is written, so that nothing is left to do behind the copy. It is not published yet.
            self.ends.take(layout.needed());
            let head = [layout.head_of(packet), packet.transaction_id];
            self.mem.write_packet(at, head, payload, trailer(at));
            return Ok(());
        }
        self.push_parts(packet)
    }

    #[inline(never)]
    fn push_parts(&mut self, packet: &Outgoing<'_>) -> Result<(), WriteError> {
        let layout = self.start(packet, packet.descriptor.extension_len(), packet.payload_len())?;
        self.write_extension(self.ends.next().wrapping_add(DESCRIPTOR), &packet.descriptor);
        let mut cursor = self.ends.next().wrapping_add(layout.payload_at);
        for piece in packet.payload {
            cursor = self.append(cursor, piece);
        }
        self.finish(layout);
        Ok(())
    }

    /// Starts a packet where the next one goes: checks that it fits, and writes its first 16 bytes.
    #[inline]
    fn start(
        &mut self,
        packet: &Outgoing<'_>,
        extension_len: usize,
        payload_len: usize,
    ) -> Result<Layout, WriteError> {
        let layout = Layout::new(self.ends.span(), extension_len, payload_len)?;
        // Nothing fits in a corrupt ring, so a fault is found on that way.
        if !self.ends.fits(layout.needed()) {
            self.make_room(layout.needed())?;
        }
        // Positions go past the end of the data area here; the memory counts on from its start.
        let at = self.ends.next();
        self.mem
            .write_head(at, [layout.head_of(packet), packet.transaction_id]);
        // The last word of payload first gets its padding, then the payload's last bytes over it.
        if !layout.payload_len.is_multiple_of(8) {
            self.mem
                .write_word(at.wrapping_add(layout.end).wrapping_sub(8), 0);
        }
        Ok(layout)
    }

    #[inline]
    fn write_extension(&self, at: u32, descriptor: &Descriptor<'_>) {
        match descriptor {
            Descriptor::InBand | Descriptor::Completion => {}
            Descriptor::GpaDirect(ranges) => {
                let count = u32::try_from(ranges.len()).unwrap_or(u32::MAX);
                let header = GpaDirectHeader {
                    reserved: U32::ZERO,
                    range_count: U32::new(count),
                };
                let mut at = self.append_word(at, transmute!(header));
                for range in *ranges {
                    let header = GpaRangeHeader {
                        byte_count: U32::new(range.byte_count()),
                        byte_offset: U32::new(range.byte_offset()),
                    };
                    at = self.append_word(at, transmute!(header));
                    at = match range.pfns() {
                        [pfn] => self.append_word(at, *pfn),
                        pfns => self.append(at, pfns.as_bytes()),
                    };
                }
            }
            Descriptor::TransferPages { set_id, ranges } => {
                let header = TransferPageHeader {
                    set_id: U16::new(*set_id),
                    sender_owns_set: 0,
                    reserved: 0,
                    range_count: U32::new(u32::try_from(ranges.len()).unwrap_or(u32::MAX)),
                };
                let at = self.append(at, header.as_bytes());
                self.append(at, ranges.as_bytes());
            }
        }
    }

    /// Writes a word that is known to fit, at a multiple of 8, and returns where the next byte goes.
    #[inline]
    fn append_word(&self, at: u32, word: U64) -> u32 {
        self.mem.write_word(at, word.get());
        at.wrapping_add(8)
    }

    /// Writes what is known to fit, and returns where the next byte goes.
    #[inline]
    fn append(&self, at: u32, bytes: &[u8]) -> u32 {
        self.mem.write(at, bytes);
        at.wrapping_add(u32::try_from(bytes.len()).unwrap_or(0))
    }

    /// Ends a packet that was [started](Self::start) and whose payload is there.
    #[inline]
    fn finish(&mut self, layout: Layout) {
        let at = self.ends.next();
        self.mem.write_word(at.wrapping_add(layout.end), trailer(at));
        let needed = layout.needed();
        self.ends.take(needed);

        if self.pending != 0 {
            self.settle(needed);
        }
    }

    /// Who waited for room for a packet of `needed` bytes, or for a smaller one, waits no more.
    #[cold]
    fn settle(&mut self, needed: u32) {
        if self.pending <= pending_size(needed) {
            self.clear_pending_send_size();
        }
    }

    /// Finds room for `needed` bytes that this end knows of none for.
    #[cold]
    fn make_room(&mut self, needed: u32) -> Result<(), WriteError> {
        if needed > self.ends.span().max_packet() {
            return Err(Layout::too_large(self.ends.span(), needed.into()));
        }
        self.reload()?;
        if self.ends.fits(needed) {
            return Ok(());
        }
        // The peer tells from the published write index whether room crossed what is waited for. With packets hidden
        // from it, it would find that there was room all along, and not signal.
        self.owed |= self.publish() == Signal::Needed;
        self.await_room(needed)?;
        if self.ends.fits(needed) {
            return Ok(());
        }
        Err(WriteError::Full {
            needed,
            free: self.ends.free(),
        })
    }

    /// Asks for a signal once `needed` bytes fit, and looks once more.
    fn await_room(&mut self, needed: u32) -> Result<(), RingFault> {
        let pending = pending_size(needed);
        if self.pending != pending {
            self.pending = pending;
            // Either the peer's release, after its own barrier, sees the pending size, or this load sees its read
            // index. Without this barrier both could miss.
            self.mem.store_fence(ControlWord::PendingSendSize, pending);
        }
        self.reload()
    }

    /// Publishes what was taken and tells whether the peer has to be signalled.
    #[inline]
    fn publish(&mut self) -> Signal {
        let mut needed = core::mem::take(&mut self.owed);
        if let Some(moved) = self.ends.publish() {
            // Either the peer, after publishing its read index or its mask and a barrier of its own, sees this write
            // index, or the loads below see that it is about to sleep.
            self.mem.store_fence(ControlWord::WriteIndex, moved.to);
            if self.mem.load(ControlWord::InterruptMask) == 0 && self.reload().is_ok() {
                needed |= self.ends.was_empty(moved);
            }
        }
        if needed { Signal::Needed } else { Signal::NotNeeded }
    }
}

/// What ends a packet that starts at `at`: [`PacketTrailer`](crate::wire::PacketTrailer).
#[inline]
const fn trailer(at: u32) -> u64 {
    (at as u64) << 32
}

/// The pending send size of a packet that takes `needed` bytes.
///
/// It fits when *more* than `needed` are free. Linux signals when more than the pending size are free, QEMU when at
/// least that many are, OpenVMM drops the low 3 bits and compares as Linux does. With one more than a multiple of 8,
/// all of them mean the same.
#[inline]
const fn pending_size(needed: u32) -> u32 {
    needed.saturating_add(1)
}

/// Packets that become visible together.
///
/// Nothing that was pushed is visible before [`publish`](Self::publish), but for a ring that gets full: then
/// what was pushed so far is published at once, so that the peer can make room. Dropping a batch takes back what is not
/// yet visible.
#[must_use = "what is pushed becomes visible with `publish`"]
#[derive(Debug)]
pub struct Batch<'a, M: RingMem> {
    producer: &'a mut Producer<M>,
}

impl<'a, M: RingMem> Batch<'a, M> {
    /// Adds a packet.
    ///
    /// # Errors
    ///
    /// As [`Producer::write`]. The batch goes on: what was pushed before is to be [published](Self::publish).
    #[inline]
    pub fn push(&mut self, packet: &Outgoing<'_>) -> Result<(), WriteError> {
        self.producer.push(packet)
    }

    /// Starts a packet that is built in the ring: `packet` with its pieces of payload, then `more` bytes that are put
    /// into the [`PacketWriter`].
    ///
    /// # Errors
    ///
    /// As [`Producer::write`].
    #[inline]
    pub fn start(&mut self, packet: &Outgoing<'_>, more: usize) -> Result<PacketWriter<'_, M>, WriteError> {
        let len = packet.payload_len().saturating_add(more);
        let layout = self
            .producer
            .start(packet, packet.descriptor.extension_len(), len)?;
        let start = self.producer.ends.next();
        self.producer
            .write_extension(start.wrapping_add(DESCRIPTOR), &packet.descriptor);
        let cursor = start.wrapping_add(layout.payload_at);
        let mut writer = PacketWriter {
            producer: self.producer,
            layout,
            cursor,
            remaining: layout.payload_len,
        };
        for piece in packet.payload {
            writer.put(piece)?;
        }
        Ok(writer)
    }

    /// Makes the batch visible, and tells whether the peer has to be signalled.
    #[inline]
    pub fn publish(self) -> Signal {
        self.producer.publish()
    }
}

impl<M: RingMem> Drop for Batch<'_, M> {
    #[inline]
    fn drop(&mut self) {
        self.producer.ends.abandon();
    }
}

/// A packet that is being built in the ring. It is part of its batch once it is [finished](Self::finish); dropped, it
/// never was.
#[must_use = "a packet that is not finished is not sent"]
#[derive(Debug)]
pub struct PacketWriter<'a, M: RingMem> {
    producer: &'a mut Producer<M>,
    layout: Layout,
    cursor: u32,
    remaining: u32,
}

impl<M: RingMem> PacketWriter<'_, M> {
    /// Bytes of payload still to be put.
    #[inline]
    pub const fn remaining(&self) -> usize {
        self.remaining as usize
    }

    /// Puts the next bytes of payload.
    ///
    /// # Errors
    ///
    /// [`PayloadOverrun`](WriteError::PayloadOverrun): more than remain; nothing was put.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let len = self.claim(bytes.len())?;
        self.producer.mem.write(self.cursor, bytes);
        self.move_on(len);
        Ok(())
    }

    /// Puts the next `len` bytes of payload, which `fill` makes piece by piece in a private buffer. `fill` is called
    /// with how many bytes it made before, and a piece of at most 256 bytes that holds zeros.
    ///
    /// There is no writing into the ring itself: the peer could read what is half made, and change it.
    ///
    /// # Errors
    ///
    /// [`PayloadOverrun`](WriteError::PayloadOverrun): more than remain; nothing was put.
    pub fn put_with(&mut self, len: usize, mut fill: impl FnMut(usize, &mut [u8])) -> Result<(), WriteError> {
        let total = self.claim(len)?;
        let mut done = 0u32;
        while done < total {
            let mut buffer = [0u8; 256];
            let left = total.wrapping_sub(done) as usize;
            let Some(piece) = buffer.get_mut(..left.min(256)) else {
                break;
            };
            fill(done as usize, piece);
            self.producer.mem.write(self.cursor, piece);
            let len = u32::try_from(piece.len()).unwrap_or(left.try_into().unwrap_or(total));
            self.move_on(len);
            done = done.wrapping_add(len);
        }
        Ok(())
    }

    /// Makes the packet part of its batch. Payload that was not put is zeros.
    #[inline]
    pub fn finish(mut self) {
        if self.remaining > 0 {
            let left = self.remaining as usize;
            // Exactly what remains, so it is no overrun.
            let _ = self.put_with(left, |_, _| ());
        }
        self.producer.finish(self.layout);
    }

    #[inline]
    fn claim(&self, len: usize) -> Result<u32, WriteError> {
        match u32::try_from(len) {
            Ok(claimed) if claimed <= self.remaining => Ok(claimed),
            _ => Err(WriteError::PayloadOverrun {
                len,
                remaining: self.remaining as usize,
            }),
        }
    }

    #[inline]
    fn move_on(&mut self, len: u32) {
        self.cursor = self.cursor.wrapping_add(len);
        self.remaining = self.remaining.wrapping_sub(len);
    }
}
