//! What the checks leave on disks, for whoever looks at the images afterwards.

/// Bytes of the [pattern](crate::pattern) of `seed`, from the start of a disk on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// How many.
    pub len: u64,
    /// Which.
    pub seed: u64,
}

/// What `disk_write_read` writes, to the first controller's disk.
pub const WRITTEN: Kept = Kept {
    len: 32 << 20,
    seed: 42,
};

/// What `rescind` writes, to the second controller's disk, before it is taken away.
pub const SPARED: Kept = Kept {
    len: 1 << 20,
    seed: 7,
};
