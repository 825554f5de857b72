//! What the ring needs of memory.

use crate::fault::OutOfBounds;
use crate::packet::DESCRIPTOR;
use crate::wire::ControlWord;

/// Memory of one ring: a control page and a data area, shared with a peer that may change any byte at any time.
///
/// The ready-made ones are in [`mem`](crate::mem). An implementation of one's own has to keep this contract, or packets
/// and wake-ups get lost; nothing that it returns can make an end panic, loop or touch other memory.
///
/// - [`load`](Self::load) acquires and [`store`](Self::store) releases, each one single access: data that was
///   [written](Self::write) before an index was stored is seen by who loaded that index and reads then.
/// - [`fence`](Self::fence) orders everything before it against everything after it, a store before a load included.
/// - What is read is copied out, once. No access yields a reference into the memory.
pub trait RingMem {
    /// Bytes of the data area: a multiple of 8, in practice of 4096. Always the same.
    fn data_len(&self) -> u32;

    /// Loads a word of the control page (acquire).
    fn load(&self, word: ControlWord) -> u32;

    /// Stores a word of the control page (release).
    fn store(&self, word: ControlWord, value: u32);

    /// A full barrier.
    fn fence(&self);

    /// Copies out of the data area, from `offset` on, going on at its start where its end is reached. An `offset` beyond
    /// the end, but below twice the length, counts on from the start too.
    fn read(&self, offset: u32, dst: &mut [u8]);

    /// Copies into the data area, from `offset` on, as [`read`](Self::read) copies out of it.
    fn write(&self, offset: u32, src: &[u8]);

    /// Stores a word of the control page and passes a full barrier. To be overridden where one instruction does both.
    #[inline]
    fn store_fence(&self, word: ControlWord, value: u32) {
        self.store(word, value);
        self.fence();
    }

    /// Reads two little-endian words at an `offset` that is a multiple of 8: what starts a packet.
    #[inline]
    fn read_head(&self, offset: u32) -> [u64; 2] {
        let mut words = [[0; 8]; 2];
        self.read(offset, words.as_flattened_mut());
        words.map(u64::from_le_bytes)
    }

    /// Writes two little-endian words at an `offset` that is a multiple of 8: what starts a packet.
    #[inline]
    fn write_head(&self, offset: u32, words: [u64; 2]) {
        self.write(offset, words.map(u64::to_le_bytes).as_flattened());
    }

    /// Writes a little-endian word at an `offset` that is a multiple of 8: what ends a packet.
    #[inline]
    fn write_word(&self, offset: u32, value: u64) {
        self.write(offset, &value.to_le_bytes());
    }

    /// Writes a whole packet at an `offset` that is a multiple of 8: `head`, the payload, zeros up to a multiple of 8, and
    /// `trailer`. To be overridden where looking once at where it lies is cheaper than for each part.
    #[inline]
    fn write_packet(&self, offset: u32, head: [u64; 2], payload: &[u8], trailer: u64) {
        write_packet_by_parts(self, offset, head, payload, trailer);
    }
}

/// What [`RingMem::write_packet`] does, by the other methods.
pub(crate) fn write_packet_by_parts<M: RingMem + ?Sized>(
    mem: &M,
    offset: u32,
    head: [u64; 2],
    payload: &[u8],
    trailer: u64,
) {
    mem.write_head(offset, head);
    let payload_at = offset.wrapping_add(DESCRIPTOR);
    // No packet is longer than its length can tell, which is far from 32 bits.
    let padded = u32::try_from(payload.len()).unwrap_or(0).wrapping_add(7) & !7;
    let end = payload_at.wrapping_add(padded);
    // The last word of payload first gets its padding, then the payload's last bytes over it.
    if !payload.len().is_multiple_of(8) {
        mem.write_word(end.wrapping_sub(8), 0);
    }
    mem.write(payload_at, payload);
    mem.write_word(end, trailer);
}

impl<M: RingMem + ?Sized> RingMem for &M {
    #[inline]
    fn data_len(&self) -> u32 {
        (**self).data_len()
    }
    #[inline]
    fn load(&self, word: ControlWord) -> u32 {
        (**self).load(word)
    }
    #[inline]
    fn store(&self, word: ControlWord, value: u32) {
        (**self).store(word, value);
    }
    #[inline]
    fn fence(&self) {
        (**self).fence();
    }
    #[inline]
    fn read(&self, offset: u32, dst: &mut [u8]) {
        (**self).read(offset, dst);
    }
    #[inline]
    fn write(&self, offset: u32, src: &[u8]) {
        (**self).write(offset, src);
    }
    #[inline]
    fn store_fence(&self, word: ControlWord, value: u32) {
        (**self).store_fence(word, value);
    }
    #[inline]
    fn read_head(&self, offset: u32) -> [u64; 2] {
        (**self).read_head(offset)
    }
    #[inline]
    fn write_word(&self, offset: u32, value: u64) {
        (**self).write_word(offset, value);
    }
    #[inline]
    fn write_head(&self, offset: u32, words: [u64; 2]) {
        (**self).write_head(offset, words);
    }
    #[inline]
    fn write_packet(&self, offset: u32, head: [u64; 2], payload: &[u8], trailer: u64) {
        (**self).write_packet(offset, head, payload, trailer);
    }
}

/// A region shared with the peer, as a GPADL that is mapped: netvsc's receive and send buffers.
///
/// There is no order between accesses of the two ends but what the ring gives: fill the region, then publish the packet
/// that names it.
pub trait SharedMem {
    /// Bytes of the region. Always the same.
    fn len(&self) -> usize;

    /// Copies out of the region, each byte once.
    ///
    /// # Errors
    ///
    /// The access goes beyond the end; nothing was copied.
    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds>;

    /// Copies into the region.
    ///
    /// # Errors
    ///
    /// The access goes beyond the end; nothing was copied.
    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds>;

    /// Whether the region has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<S: SharedMem + ?Sized> SharedMem for &S {
    fn len(&self) -> usize {
        (**self).len()
    }
    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        (**self).read(offset, dst)
    }
    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        (**self).write(offset, src)
    }
}
