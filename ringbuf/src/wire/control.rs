//! The control page.

use core::mem::{offset_of, size_of};

use bitflags::bitflags;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::PAGE_SIZE;

/// The page in front of a ring's data area.
///
/// Every word has one writer: the ring's sender owns [`write_index`](Self::write_index),
/// [`pending_send_size`](Self::pending_send_size) and [`feature_bits`](Self::feature_bits), its receiver owns
/// [`read_index`](Self::read_index) and [`interrupt_mask`](Self::interrupt_mask).
///
/// Source: Linux 6.1 `struct hv_ring_buffer`, by the type information of its modules. All versions of VMBus.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct ControlPage {
    /// Where the sender writes next, in bytes from the start of the data area. A multiple of 8.
    pub write_index: U32,
    /// Where the receiver reads next, in bytes from the start of the data area. A multiple of 8; equal to
    /// `write_index` when the ring is empty.
    pub read_index: U32,
    /// Not 0 while the receiver does without signals.
    pub interrupt_mask: U32,
    /// Free bytes that the sender waits for; 0 while it waits for none. Since Windows 8 (2.4).
    pub pending_send_size: U32,
    /// Reserved, 0.
    pub reserved1: [u8; 48],
    /// What the sender of this ring supports: [`FeatureBits`]. Since Windows 8 (2.4).
    pub feature_bits: U32,
    /// Reserved, 0.
    pub reserved2: [u8; 4028],
}

const _: () = {
    assert!(size_of::<ControlPage>() == PAGE_SIZE);
    assert!(offset_of!(ControlPage, write_index) == 0);
    assert!(offset_of!(ControlPage, read_index) == 4);
    assert!(offset_of!(ControlPage, interrupt_mask) == 8);
    assert!(offset_of!(ControlPage, pending_send_size) == 12);
    assert!(offset_of!(ControlPage, reserved1) == 16);
    assert!(offset_of!(ControlPage, feature_bits) == 64);
    assert!(offset_of!(ControlPage, reserved2) == 68);
};

bitflags! {
    /// What the sender of a ring supports. Unknown bits are kept.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct FeatureBits: u32 {
        /// The sender sets [`ControlPage::pending_send_size`] before it waits for room. Without this bit a Linux
        /// receiver never signals that there is room again.
        const PENDING_SEND_SIZE = 1;
        const _ = !0;
    }
}

/// The words of the [`ControlPage`] that both ends use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlWord {
    /// [`ControlPage::write_index`]
    WriteIndex,
    /// [`ControlPage::read_index`]
    ReadIndex,
    /// [`ControlPage::interrupt_mask`]
    InterruptMask,
    /// [`ControlPage::pending_send_size`]
    PendingSendSize,
    /// [`ControlPage::feature_bits`]
    FeatureBits,
}

impl ControlWord {
    /// Byte offset of the word in the control page. A multiple of 4, at most 64.
    #[inline]
    pub const fn offset(self) -> usize {
        match self {
            Self::WriteIndex => offset_of!(ControlPage, write_index),
            Self::ReadIndex => offset_of!(ControlPage, read_index),
            Self::InterruptMask => offset_of!(ControlPage, interrupt_mask),
            Self::PendingSendSize => offset_of!(ControlPage, pending_send_size),
            Self::FeatureBits => offset_of!(ControlPage, feature_bits),
        }
    }
}
