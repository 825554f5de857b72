//! Event flags: what stands in a slot of the SynIC event page (SIEFP).

use core::mem::size_of;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::SINT_COUNT;

/// Flags in a slot.
pub const EVENT_FLAG_COUNT: u16 = 2048;
/// Bytes of a slot.
pub const EVENT_FLAGS_SIZE: usize = 256;

/// The event flags of one SINT: 2048 bits.
///
/// Flag `n` is bit `n % 32` of word `n / 32`. Sources: TLFS "HV_SYNIC_EVENT_FLAGS"; Linux `union
/// hv_synic_event_flags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EventFlags {
    /// The flags, 32 in a word.
    pub words: [U32; 64],
}

const _: () = {
    assert!(size_of::<EventFlags>() == EVENT_FLAGS_SIZE);
    assert!(size_of::<EventFlags>() * 8 == EVENT_FLAG_COUNT as usize);
};

/// The event flags page (SIEFP): a slot for each SINT.
///
/// Sources: TLFS "SIEF Page"; Linux `struct hv_synic_event_flags_page`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct EventFlagsPage {
    /// The slots, by SINT.
    pub slots: [EventFlags; SINT_COUNT],
}

const _: () = assert!(size_of::<EventFlagsPage>() == 4096);
