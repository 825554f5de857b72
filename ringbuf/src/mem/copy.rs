//! Copies out of and into memory that a peer may change meanwhile.

use core::sync::atomic::{AtomicU64, Ordering};

/// Copies out of shared memory.
///
/// # Safety
///
/// `src` is valid for reading `dst.len()` bytes that are no part of `dst`.
#[inline]
pub(super) unsafe fn read(src: *const u8, dst: &mut [u8]) {
    // SAFETY: `src` by the contract, `dst` as it is a slice; they do not overlap by the contract.
    unsafe { core::ptr::copy_nonoverlapping(src, dst.as_mut_ptr(), dst.len()) };
    // Makes the compiler take the copy for changed, so that it cannot read the source in its place.
    core::hint::black_box(dst);
}

/// Copies into shared memory.
///
/// # Safety
///
/// `dst` is valid for writing `src.len()` bytes that are no part of `src`.
#[inline]
pub(super) unsafe fn write(dst: *mut u8, src: &[u8]) {
    // SAFETY: `dst` by the contract, `src` as it is a slice; they do not overlap by the contract.
    unsafe { core::ptr::copy_nonoverlapping(src.as_ptr(), dst, src.len()) };
}

/// Reads 8 little-endian bytes of shared memory.
///
/// # Safety
///
/// `src` is valid for reading 8 bytes, and a multiple of 8.
#[inline]
pub(super) unsafe fn read_word(src: *mut u8) -> u64 {
    // SAFETY: by the contract.
    u64::from_le(unsafe { AtomicU64::from_ptr(src.cast()) }.load(Ordering::Relaxed))
}

/// Writes 8 little-endian bytes of shared memory.
///
/// # Safety
///
/// `dst` is valid for writing 8 bytes, and a multiple of 8.
#[inline]
pub(super) unsafe fn write_word(dst: *mut u8, value: u64) {
    // SAFETY: by the contract.
    unsafe { AtomicU64::from_ptr(dst.cast()) }.store(value.to_le(), Ordering::Relaxed);
}
