//! What the guest does with a page that the hypervisor writes as well.

/// A page of 1024 little-endian words of 4 bytes, each reached atomically: a [`SharedPage`](super::SharedPage), or a
/// model of one that looks for lost messages under every order of accesses.
pub(super) trait Words {
    /// Reads a word, in no order.
    fn load(&self, index: u16) -> u32;

    /// Reads a word, and what is read after it is read after it. Each order is a method, as an order that is a value may be
    /// one that a load cannot have, which panics.
    fn load_acquire(&self, index: u16) -> u32;

    /// Writes a word, and what was read or written before it is so for whoever acquires it.
    fn store_release(&self, index: u16, value: u32);

    /// Clears the bits of a word that `mask` has, and returns the word as it was. Acquires and releases.
    fn clear_bits(&self, index: u16, mask: u32) -> u32;

    /// Copies words out, from this index on. Each word is read once.
    fn read(&self, index: u16, dst: &mut [u8]);

    /// A full barrier.
    fn fence(&self);
}
