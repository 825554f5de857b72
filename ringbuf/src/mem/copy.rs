//! Copies out of and into memory that others may change meanwhile.
//!
//! Words are accessed as atomics. Longer copies go through the platform's `memcpy`, and the compiler must not know that:
//! to it, a plain copy promises that nobody changes the source meanwhile, so it might read the source again in place of
//! the copy, after the copy was judged; and two plain copies that race are undefined behaviour. So the function's
//! address passes through an empty piece of assembly, and what is called is a foreign function to the compiler, of
//! which it knows as little as of one in assembly: it may change the destination, and it reads the source when it runs.
//! The machine has no undefined behaviour for it: racing copies yield some mixture of old and new bytes.

use core::sync::atomic::{AtomicU64, Ordering};

type Memcpy = unsafe extern "C" fn(*mut u8, *const u8, usize) -> *mut u8;

unsafe extern "C" {
    /// `core` itself needs this function, so it is there on every platform.
    fn memcpy(dst: *mut u8, src: *const u8, len: usize) -> *mut u8;
}

/// [`memcpy`] without what the compiler knows of it.
#[inline(always)]
fn opaque_memcpy() -> Memcpy {
    let mut function: Memcpy = memcpy;
    #[cfg(all(
        any(
            target_arch = "x86_64",
            target_arch = "x86",
            target_arch = "aarch64",
            target_arch = "riscv64"
        ),
        not(miri)
    ))]
    // SAFETY: no instruction, so the address stays what it was.
    unsafe {
        core::arch::asm!("/* {0} */", inout(reg) function, options(nostack, preserves_flags));
    }
    #[cfg(not(all(
        any(
            target_arch = "x86_64",
            target_arch = "x86",
            target_arch = "aarch64",
            target_arch = "riscv64"
        ),
        not(miri)
    )))]
    {
        function = core::hint::black_box(function);
    }
    function
}

/// Copies out of shared memory.
///
/// # Safety
///
/// `src` is valid for reading `dst.len()` bytes that are no part of `dst`.
#[inline]
pub(super) unsafe fn read(src: *const u8, dst: &mut [u8]) {
    // SAFETY: `src` by the contract, `dst` as it is a slice; they do not overlap by the contract.
    unsafe { opaque_memcpy()(dst.as_mut_ptr(), src, dst.len()) };
}

/// Copies into shared memory.
///
/// # Safety
///
/// `dst` is valid for writing `src.len()` bytes that are no part of `src`.
#[inline]
pub(super) unsafe fn write(dst: *mut u8, src: &[u8]) {
    // SAFETY: `dst` by the contract, `src` as it is a slice; they do not overlap by the contract.
    unsafe { opaque_memcpy()(dst, src.as_ptr(), src.len()) };
}

/// Reads two little-endian words of shared memory.
///
/// # Safety
///
/// `src` is valid for reading 16 bytes, and a multiple of 8.
#[inline]
pub(super) unsafe fn read_head(src: *mut u8) -> [u64; 2] {
    // SAFETY: by the contract.
    unsafe { [read_word(src), read_word(src.add(8))] }
}

/// Writes two little-endian words of shared memory.
///
/// # Safety
///
/// `dst` is valid for writing 16 bytes, and a multiple of 8.
#[inline]
pub(super) unsafe fn write_head(dst: *mut u8, [first, second]: [u64; 2]) {
    // SAFETY: by the contract.
    unsafe { write_pair(dst, [first.to_le(), second.to_le()]) }
}

/// Writes two words as they are.
///
/// By one instruction where there is one. A core that waits for a cache line of the other end's goes on with as many stores as
/// its queue has places, so each store that is spared lets it wait for more lines at a time.
///
/// # Safety
///
/// `dst` is valid for writing 16 bytes, and a multiple of 8.
#[inline(always)]
unsafe fn write_pair(dst: *mut u8, words: [u64; 2]) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
    // SAFETY: 16 bytes of any value are a vector's. The instruction writes the 16 bytes of the contract, and is foreign code to
    // the compiler, as the `memcpy` above.
    unsafe {
        let words: core::arch::x86_64::__m128i = core::mem::transmute::<[u64; 2], _>(words);
        core::arch::asm!("movups [{0}], {1}", in(reg) dst, in(xmm_reg) words, options(nostack, preserves_flags));
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
    // SAFETY: by the contract.
    unsafe {
        let [first, second] = words;
        write_word(dst, u64::from_le(first));
        write_word(dst.add(8), u64::from_le(second));
    }
}

/// Writes a packet: two words, the payload, zeros up to a multiple of 8, and one word.
///
/// # Safety
///
/// `dst` is valid for writing `packet_len(payload.len())` bytes that are no part of `payload`, and a multiple of 8.
#[inline(always)]
pub(super) unsafe fn write_packet(dst: *mut u8, head: [u64; 2], payload: &[u8], trailer: u64) {
    // SAFETY: by the contract. Behind the head, the padded payload and the trailer's 8 bytes are what is left of the packet;
    // where there is padding, there is a word of payload.
    unsafe {
        write_head(dst, head);
        let end = dst.add(packet_len(payload.len()).wrapping_sub(8));
        if let Some((whole, [])) = payload.split_first_chunk::<16>() {
            // As long as the shortest messages of netvsc and others are: two words, without a call.
            let words = zerocopy::transmute!(*whole);
            write_pair(dst.add(16), words);
            return write_word(end, trailer);
        }
        // The last word of payload first gets its padding, then the payload's last bytes over it.
        if !payload.len().is_multiple_of(8) {
            write_word(end.sub(8), 0);
        }
        write_word(end, trailer);
        // The last, so that the compiler has nothing to keep for afterwards.
        write(dst.add(16), payload);
    }
}

/// Bytes that [`write_packet`] writes, for the length of a slice.
#[inline]
pub(super) const fn packet_len(payload_len: usize) -> usize {
    // Slices are not longer than half of the address space.
    (payload_len.wrapping_add(7) & !7).wrapping_add(24)
}

/// # Safety
///
/// `src` is valid for reading 8 bytes, and a multiple of 8.
#[inline]
unsafe fn read_word(src: *mut u8) -> u64 {
    // SAFETY: by the contract.
    u64::from_le(unsafe { AtomicU64::from_ptr(src.cast()) }.load(Ordering::Relaxed))
}

/// Writes a little-endian word of shared memory.
///
/// # Safety
///
/// `dst` is valid for writing 8 bytes, and a multiple of 8.
#[inline]
pub(super) unsafe fn write_word(dst: *mut u8, value: u64) {
    // SAFETY: by the contract.
    unsafe { AtomicU64::from_ptr(dst.cast()) }.store(value.to_le(), Ordering::Relaxed);
}
