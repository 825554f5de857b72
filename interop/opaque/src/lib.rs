//! A platform of which the compiler knows nothing.
//!
//! `cargo xtask panic-free` compiles every public function of the published crates with [`Opaque`] for each of their
//! parameters: a kernel, a VMM, memory, a disk, a network and every other thing that an embedder implements. What its
//! methods return, how long the slices are and what stands in them is made by functions that are defined nowhere, so no
//! panic is thrown out because the compiler knew a value.
//!
//! It is compiled, never run.
#![no_std]

mod hypervisor;
mod memory;
mod platform;

use core::fmt;
use core::hash::{Hash, Hasher};
use core::mem::MaybeUninit;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

// SAFETY: no program is linked with this, so nothing is ever called.
unsafe extern "C" {
    /// Makes any bytes. The compiler has to take it that it reads and changes all that it can reach.
    fn opaque_make(bytes: *mut u8, len: usize);
    /// Looks at any bytes.
    fn opaque_look(bytes: *const u8, len: usize);
}

/// Whatever an embedder implements.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(transparent)]
pub struct Opaque([u8; 8]);

/// Any number of values that the compiler knows nothing of.
#[derive(Clone, Copy, Debug)]
pub struct Opaques<T>(core::marker::PhantomData<T>);

/// A value that the compiler knows nothing of.
fn made<T>() -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: this is compiled and never run. To the compiler, the function fills the value in.
    unsafe {
        opaque_make(value.as_mut_ptr().cast(), size_of::<T>());
        value.assume_init()
    }
}

/// What happens to a value that is passed on.
fn looked_at<T: ?Sized>(value: &T) {
    // SAFETY: as above.
    unsafe { opaque_look(core::ptr::from_ref(value).cast(), size_of_val(value)) };
}

/// What happens to a value that is passed on to be changed.
fn filled(bytes: &mut [u8]) {
    // SAFETY: as above.
    unsafe { opaque_make(bytes.as_mut_ptr(), bytes.len()) };
}

impl<T> Iterator for Opaques<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        made()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        made()
    }
}

// By hand, so that comparing two of them tells the compiler nothing.
impl PartialEq for Opaque {
    fn eq(&self, other: &Self) -> bool {
        looked_at(self);
        looked_at(other);
        made()
    }
}

impl Eq for Opaque {}

impl PartialOrd for Opaque {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Opaque {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        looked_at(self);
        looked_at(other);
        made()
    }
}

impl Hash for Opaque {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl Hasher for Opaque {
    fn finish(&self) -> u64 {
        made()
    }

    fn write(&mut self, bytes: &[u8]) {
        looked_at(bytes);
    }
}

impl fmt::Debug for Opaque {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        made()
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        made()
    }
}

impl core::error::Error for Opaque {}
