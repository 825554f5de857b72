//! Sets of virtual processors, as calls with `EX` in their names and interrupt retargeting take them.

use core::fmt;

use thiserror::Error;
use zerocopy::FromBytes;
use zerocopy::little_endian::U64;

use crate::VpIndex;
use crate::macros::open_code;

/// Processors in a bank.
const BANK_SIZE: u32 = 64;
/// Banks of a set.
const BANK_COUNT: usize = 64;
/// Processors that a sparse set can name.
pub const VP_SET_MAX: u32 = 4096;
/// Bytes of the longest set.
pub const VP_SET_BYTES_MAX: usize = 16 + 8 * BANK_COUNT;

open_code! {
    /// How a set is written down. Source: Linux `enum HV_GENERIC_SET_FORMAT`.
    pub struct VpSetFormat(u64) as "HV_GENERIC_SET_" {
        /// Only the banks that have processors.
        SPARSE_4K = 0,
        /// Every processor of the partition.
        ALL = 1,
    }
}

crate::macros::wire_struct! {
    /// What a set begins with on the wire; a u64 for each bank follows.
    ///
    /// Source: Linux `struct hv_vpset`.
    pub struct VpSetHeader, 16 bytes {
        /// The [`VpSetFormat`].
        0: format: U64,
        /// Bank `n` follows when bit `n` is set.
        8: valid_bank_mask: U64,
    }
}

/// A set of virtual processors.
///
/// On the wire it is format u64, mask of banks u64, then a u64 for each bank whose bit is set. A bank is 64
/// processors: processor `n` is bit `n % 64` of bank `n / 64`.
///
/// How it counts into the variable header of the control word differs from call to call:
///
/// | call | variable header, in units of 8 bytes |
/// |---|---|
/// | `SEND_IPI_EX`, `FLUSH_VIRTUAL_ADDRESS_SPACE_EX`, `FLUSH_VIRTUAL_ADDRESS_LIST_EX` | the banks |
/// | `RETARGET_INTERRUPT` | the banks and 1 for the mask |
///
/// Sources: TLFS "HV_VP_SET"; Linux `struct hv_vpset` and its users.
///
/// ```
/// use hvcall::{VpIndex, vpset::{SparseVps, VpSet}};
///
/// let mut vps = SparseVps::new();
/// for n in [0, 5, 130] {
///     vps.insert(VpIndex(n))?;
/// }
/// let mut bytes = [0; 64];
/// let len = VpSet::Sparse(vps).encode(&mut bytes).unwrap();
/// assert_eq!(len, 32);
/// assert_eq!((bytes[8], bytes[16], bytes[24]), (0b101, 0x21, 0x04));
/// # Ok::<(), hvcall::vpset::VpOutOfRange>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is no allocator to box it with, and a set lives for one call"
)]
pub enum VpSet {
    /// Every processor of the partition.
    All,
    /// These.
    Sparse(SparseVps),
}

impl VpSet {
    /// Banks that the wire form has: what stands behind format and mask, in units of 8 bytes.
    #[must_use]
    pub fn banks(&self) -> u16 {
        match self {
            Self::All => 0,
            Self::Sparse(vps) => vps.used().map(|_| 1u16).sum(),
        }
    }

    /// Writes the wire form to the begin of `dst` and tells its length, or `None` when it does not fit. With
    /// [`VP_SET_BYTES_MAX`] bytes it always does.
    #[must_use]
    pub fn encode(&self, dst: &mut [u8]) -> Option<usize> {
        let (header, mut rest) = VpSetHeader::mut_from_prefix(dst).ok()?;
        let mut len = 16usize;
        match self {
            Self::All => {
                header.format = U64::new(VpSetFormat::ALL.0);
                header.valid_bank_mask = U64::ZERO;
            }
            Self::Sparse(vps) => {
                header.format = U64::new(VpSetFormat::SPARSE_4K.0);
                header.valid_bank_mask = U64::new(vps.mask());
                for (_, bank) in vps.used() {
                    let (slot, after) = U64::mut_from_prefix(rest).ok()?;
                    *slot = U64::new(bank);
                    rest = after;
                    len = len.checked_add(8)?;
                }
            }
        }
        Some(len)
    }

    /// Reads the wire form from the begin of `bytes`, and tells its length: 16 and 8 for each bank of the mask. A
    /// caller compares that with the variable header.
    ///
    /// # Errors
    /// When the format is not known, or the bytes end before the set does.
    pub fn decode(bytes: &[u8]) -> Result<(Self, usize), VpSetError> {
        let short = |needed| VpSetError::TooShort {
            needed,
            len: bytes.len(),
        };
        let (header, rest) = VpSetHeader::read_from_prefix(bytes).map_err(|_| short(16))?;
        let mask = header.valid_bank_mask.get();
        let len = mask.count_ones().saturating_mul(8).saturating_add(16) as usize;
        let mut banks = rest
            .chunks_exact(8)
            .map(|chunk| U64::read_from_bytes(chunk).map_or(0, U64::get));
        let mut vps = SparseVps::new();
        for (number, slot) in (0u32..).zip(&mut vps.banks) {
            if mask >> number & 1 != 0 {
                *slot = banks.next().ok_or_else(|| short(len))?;
            }
        }
        match VpSetFormat(header.format.get()) {
            VpSetFormat::SPARSE_4K => Ok((Self::Sparse(vps), len)),
            VpSetFormat::ALL => Ok((Self::All, len)),
            format => Err(VpSetError::UnknownFormat { format }),
        }
    }

    /// Whether the set has this processor.
    #[must_use]
    pub fn contains(&self, vp: VpIndex) -> bool {
        match self {
            Self::All => true,
            Self::Sparse(vps) => vps.contains(vp),
        }
    }
}

/// Some of the virtual processors 0 to 4095.
#[derive(Clone, PartialEq, Eq)]
pub struct SparseVps {
    banks: [u64; BANK_COUNT],
}

impl SparseVps {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            banks: [0; BANK_COUNT],
        }
    }

    /// Adds a processor.
    ///
    /// # Errors
    /// When its index is 4096 or above, [`VpIndex::SELF`] and [`VpIndex::ANY`] included.
    pub fn insert(&mut self, vp: VpIndex) -> Result<(), VpOutOfRange> {
        let (bank, bit) = place(vp);
        *self.banks.get_mut(bank).ok_or(VpOutOfRange { vp })? |= bit;
        Ok(())
    }

    /// Whether this processor is among them.
    #[must_use]
    pub fn contains(&self, vp: VpIndex) -> bool {
        let (bank, bit) = place(vp);
        self.banks.get(bank).is_some_and(|bank| bank & bit != 0)
    }

    /// The processors, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = VpIndex> {
        (0..VP_SET_MAX).map(VpIndex).filter(|&vp| self.contains(vp))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.used().next().is_none()
    }

    /// The banks that have processors, with their numbers.
    fn used(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..).zip(self.banks).filter(|&(_, bank)| bank != 0)
    }

    fn mask(&self) -> u64 {
        self.used().fold(0, |mask, (number, _)| mask | 1 << number)
    }
}

/// Number of the bank that a processor is in, and its bit there.
fn place(vp: VpIndex) -> (usize, u64) {
    ((vp.0 / BANK_SIZE) as usize, 1 << (vp.0 % BANK_SIZE))
}

impl Default for SparseVps {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SparseVps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(|vp| vp.0)).finish()
    }
}

/// A processor that a sparse set cannot name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{vp:?} is not among the processors 0 to 4095 that a set can name")]
pub struct VpOutOfRange {
    /// The processor.
    pub vp: VpIndex,
}

/// The bytes are no set of virtual processors: the peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VpSetError {
    /// They end too early.
    #[error("a set of virtual processors takes {needed} bytes, and there are {len}")]
    TooShort {
        /// Bytes that it takes.
        needed: usize,
        /// Bytes that there are.
        len: usize,
    },
    /// The format has no meaning.
    #[error("a set of virtual processors in the unknown format {format}")]
    UnknownFormat {
        /// The format.
        format: VpSetFormat,
    },
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test that overflows fails")]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_specifications_example() {
        let mut vps = SparseVps::new();
        for n in [0, 5, 130] {
            vps.insert(VpIndex(n)).unwrap();
        }
        let set = VpSet::Sparse(vps);
        let mut bytes = [0xff; 40];
        assert_eq!(set.encode(&mut bytes), Some(32));
        let words: Vec<u64> = bytes[..32]
            .chunks(8)
            .map(|c| u64::from_le_bytes(c.try_into().unwrap()))
            .collect();
        assert_eq!(words, [0, 0x05, 0x21, 0x04]);
        assert_eq!(set.banks(), 2);
        assert_eq!(set.encode(&mut bytes[..31]), None);
        assert_eq!(set.encode(&mut bytes[..15]), None);
    }

    #[test]
    fn a_processor_out_of_range_is_refused() {
        let mut vps = SparseVps::new();
        assert_eq!(vps.insert(VpIndex(4095)), Ok(()));
        for vp in [VpIndex(4096), VpIndex::SELF, VpIndex::ANY] {
            assert_eq!(vps.insert(vp), Err(VpOutOfRange { vp }));
            assert!(!vps.contains(vp));
        }
        assert_eq!(vps.iter().collect::<Vec<_>>(), [VpIndex(4095)]);
    }

    #[test]
    fn a_mask_with_more_banks_than_bytes_is_refused() {
        let mut bytes = [0; 32];
        bytes[8] = 0b111;
        assert_eq!(
            VpSet::decode(&bytes),
            Err(VpSetError::TooShort { needed: 40, len: 32 })
        );
        bytes[8] = 0b11;
        assert!(VpSet::decode(&bytes).is_ok());
        bytes[0] = 2;
        let format = VpSetFormat(2);
        assert_eq!(VpSet::decode(&bytes), Err(VpSetError::UnknownFormat { format }));
        assert_eq!(
            VpSet::decode(&bytes[..15]),
            Err(VpSetError::TooShort { needed: 16, len: 15 })
        );
    }

    #[test]
    fn banks_without_processors_and_of_all_are_skipped() {
        let mut bytes = [0; 32];
        bytes[8] = 0b11;
        bytes[24] = 1;
        let (set, len) = VpSet::decode(&bytes).unwrap();
        assert_eq!(len, 32);
        assert_eq!(set.banks(), 1);
        assert!(set.contains(VpIndex(64)) && !set.contains(VpIndex(0)));
        bytes[0] = 1;
        assert_eq!(VpSet::decode(&bytes), Ok((VpSet::All, 32)));
    }

    proptest! {
        #[test]
        fn any_set_survives(members in proptest::collection::btree_set(0u32..VP_SET_MAX, 0..200)) {
            let mut vps = SparseVps::new();
            for &n in &members { vps.insert(VpIndex(n)).unwrap(); }
            prop_assert!(vps.iter().map(|vp| vp.0).eq(members.iter().copied()));
            let set = VpSet::Sparse(vps);
            let mut bytes = [0; VP_SET_BYTES_MAX];
            let len = set.encode(&mut bytes).unwrap();
            prop_assert_eq!(len, 16 + 8 * usize::from(set.banks()));
            prop_assert_eq!(VpSet::decode(&bytes[..len]), Ok((set, len)));
        }

        #[test]
        fn any_bytes_are_judged(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), sparse: bool) {
            if sparse && bytes.len() >= 8 { bytes[..8].fill(0); }
            if let Ok((set, len)) = VpSet::decode(&bytes) {
                prop_assert!(len <= bytes.len());
                prop_assert!(usize::from(set.banks()) * 8 + 16 <= len);
            }
        }
    }
}
