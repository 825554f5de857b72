//! What the guest does with a page that the hypervisor writes as well.

use core::sync::atomic::Ordering;

/// A page of 1024 little-endian words of 4 bytes, each reached atomically: a [`SharedPage`](super::SharedPage), or a
/// model of one that looks for lost messages under every order of accesses.
pub(super) trait Words {
    /// Reads a word.
    fn load(&self, index: u16, order: Ordering) -> u32;

    /// Writes a word.
    fn store(&self, index: u16, value: u32, order: Ordering);

    /// Clears the bits of a word that `mask` has, and returns the word as it was. Acquires and releases.
    fn clear_bits(&self, index: u16, mask: u32) -> u32;

    /// Copies words out, from this index on. Each word is read once.
    fn read(&self, index: u16, dst: &mut [u8]);

    /// A full barrier.
    fn fence(&self);
}
