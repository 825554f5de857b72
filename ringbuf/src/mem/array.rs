//! Memory made of atomics, in safe code: for both ends in one program.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use crate::fault::OutOfBounds;
use crate::memory::{RingMem, SharedMem};
use crate::wire::ControlWord;

/// A plain region of `WORDS` times 8 bytes, made of atomics. Both ends share it by reference.
///
/// Slower than memory by pointer, as it moves 8 bytes at a time at most; meant for tests, and for both ends in one
/// program that has no `unsafe`.
#[derive(Debug)]
pub struct ArrayRegion<const WORDS: usize> {
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> ArrayRegion<WORDS> {
    const LEN: usize = WORDS.saturating_mul(8);

    /// A region of zeros.
    pub const fn new() -> Self {
        Self {
            words: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    fn check(offset: usize, len: usize) -> Result<(), OutOfBounds> {
        match offset.checked_add(len) {
            Some(end) if end <= Self::LEN => Ok(()),
            _ => Err(OutOfBounds {
                offset,
                len,
                region: Self::LEN,
            }),
        }
    }

    /// Calls `access` for each word that `len` bytes from `offset` on touch: with the word, the first byte in it, and
    /// where and how many bytes are in the caller's buffer. Goes on at the start where the end is reached.
    fn pieces(&self, offset: usize, len: usize, mut access: impl FnMut(&AtomicU64, usize, usize, usize)) {
        let mut at = offset;
        let mut done = 0usize;
        while done < len {
            let Some(word) = at.checked_rem(Self::LEN).and_then(|at| self.words.get(at / 8)) else {
                return;
            };
            let byte = at % 8;
            let piece = len.wrapping_sub(done).min(8usize.wrapping_sub(byte));
            access(word, byte, done, piece);
            done = done.wrapping_add(piece);
            at = at.wrapping_add(piece);
        }
    }

    fn copy_out(&self, offset: usize, dst: &mut [u8]) {
        self.pieces(offset, dst.len(), |word, byte, done, len| {
            let bytes = word.load(Ordering::Relaxed).to_le_bytes();
            let src = bytes.get(byte..).and_then(|src| src.get(..len));
            let dst = dst.get_mut(done..).and_then(|dst| dst.get_mut(..len));
            if let (Some(src), Some(dst)) = (src, dst) {
                dst.copy_from_slice(src);
            }
        });
    }

    fn copy_in(&self, offset: usize, src: &[u8]) {
        self.pieces(offset, src.len(), |word, byte, done, len| {
            let mut bytes = word.load(Ordering::Relaxed).to_le_bytes();
            let dst = bytes.get_mut(byte..).and_then(|dst| dst.get_mut(..len));
            let src = src.get(done..).and_then(|src| src.get(..len));
            if let (Some(src), Some(dst)) = (src, dst) {
                dst.copy_from_slice(src);
            }
            word.store(u64::from_le_bytes(bytes), Ordering::Relaxed);
        });
    }
}

impl<const WORDS: usize> Default for ArrayRegion<WORDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const WORDS: usize> SharedMem for ArrayRegion<WORDS> {
    fn len(&self) -> usize {
        Self::LEN
    }

    fn read(&self, offset: usize, dst: &mut [u8]) -> Result<(), OutOfBounds> {
        Self::check(offset, dst.len())?;
        self.copy_out(offset, dst);
        Ok(())
    }

    fn write(&self, offset: usize, src: &[u8]) -> Result<(), OutOfBounds> {
        Self::check(offset, src.len())?;
        self.copy_in(offset, src);
        Ok(())
    }
}

/// A ring with `WORDS` times 8 bytes of data, made of atomics. Both ends share it by reference, from two threads too.
///
/// Slower than memory by pointer, as it moves 8 bytes at a time; meant for tests, and for both ends in one program that
/// has no `unsafe`.
///
/// ```
/// use vmbus_ringbuf::mem::ArrayRing;
/// use vmbus_ringbuf::{Consumer, Descriptor, Outgoing, Producer};
///
/// let ring = ArrayRing::<512>::new();
/// let mut producer = Producer::new(&ring)?;
/// let mut consumer = Consumer::new(&ring)?;
/// let signal = producer.write(&Outgoing {
///     transaction_id: 1,
///     request_completion: false,
///     descriptor: Descriptor::InBand,
///     payload: &[b"12345678"],
/// })?;
/// assert!(signal.is_needed());
/// let mut scratch = [0; 64];
/// let packet = consumer.read(&mut scratch)?.expect("the ring is not empty");
/// assert_eq!(packet.payload(), b"12345678");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct ArrayRing<const WORDS: usize> {
    write_index: AtomicU32,
    read_index: AtomicU32,
    interrupt_mask: AtomicU32,
    pending_send_size: AtomicU32,
    feature_bits: AtomicU32,
    data: ArrayRegion<WORDS>,
}

impl<const WORDS: usize> ArrayRing<WORDS> {
    /// An empty ring.
    pub const fn new() -> Self {
        Self {
            write_index: AtomicU32::new(0),
            read_index: AtomicU32::new(0),
            interrupt_mask: AtomicU32::new(0),
            pending_send_size: AtomicU32::new(0),
            feature_bits: AtomicU32::new(0),
            data: ArrayRegion::new(),
        }
    }

    /// A word of the control page, to be looked at or tampered with.
    pub const fn word(&self, word: ControlWord) -> &AtomicU32 {
        match word {
            ControlWord::WriteIndex => &self.write_index,
            ControlWord::ReadIndex => &self.read_index,
            ControlWord::InterruptMask => &self.interrupt_mask,
            ControlWord::PendingSendSize => &self.pending_send_size,
            ControlWord::FeatureBits => &self.feature_bits,
        }
    }
}

impl<const WORDS: usize> RingMem for ArrayRing<WORDS> {
    fn data_len(&self) -> u32 {
        u32::try_from(ArrayRegion::<WORDS>::LEN).unwrap_or(u32::MAX)
    }

    fn load(&self, word: ControlWord) -> u32 {
        self.word(word).load(Ordering::Acquire)
    }

    fn store(&self, word: ControlWord, value: u32) {
        self.word(word).store(value, Ordering::Release);
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn read(&self, offset: u32, dst: &mut [u8]) {
        self.data.copy_out(offset as usize, dst);
    }

    fn write(&self, offset: u32, src: &[u8]) {
        self.data.copy_in(offset as usize, src);
    }
}
