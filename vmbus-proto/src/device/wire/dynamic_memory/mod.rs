//! Dynamic memory: the guest tells how much it needs; the host takes pages by a balloon, gives them back, and adds new ones.

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{DecodeError, DeviceVersion};
use crate::wire::macros::{wire_number, wire_struct};

mod message;

pub use message::{GuestBody, GuestMessage, HostBody, HostMessage};

/// Every version, the newest first: Windows 10, 8 and 7. Source: Linux `DYNMEM_PROTOCOL_VERSION_*`.
pub const VERSIONS: &[DeviceVersion] = &[
    DeviceVersion::new(2, 0),
    DeviceVersion::new(1, 0),
    DeviceVersion::new(0, 3),
];

/// Bytes of the longest message: Linux reads and writes one page.
pub const MESSAGE_MAX: usize = 4096;

wire_number! {
    /// The type of a message.
    ///
    /// Sources: Linux `enum dm_message_type`; QEMU `dynmem-proto.h` for 13 and 14.
    pub struct MessageType(U16: u16), "{}" {
        /// Guest: it asks for a version.
        VERSION_REQUEST = 1,
        /// Host: whether it accepts it.
        VERSION_RESPONSE = 2,
        /// Guest: what it can do.
        CAPABILITIES_REPORT = 3,
        /// Host: whether it accepts that.
        CAPABILITIES_RESPONSE = 4,
        /// Guest: how its memory is used.
        STATUS_REPORT = 5,
        /// Host: give up so many pages.
        BALLOON_REQUEST = 6,
        /// Guest: these.
        BALLOON_RESPONSE = 7,
        /// Host: take these back.
        UNBALLOON_REQUEST = 8,
        /// Guest: done.
        UNBALLOON_RESPONSE = 9,
        /// Host: here is new memory.
        HOT_ADD_REQUEST = 10,
        /// Guest: how much of it was taken.
        HOT_ADD_RESPONSE = 11,
        /// Host: something to know. Since 1.0.
        INFO_MESSAGE = 12,
        /// Host: give up so many pages for good. Since 2.0.
        HOT_REMOVE_REQUEST = 13,
        /// Guest: these. Since 2.0.
        HOT_REMOVE_RESPONSE = 14,
    }
}

wire_struct! {
    /// The header of every message.
    ///
    /// Source: Linux `struct dm_header`.
    pub struct MessageHeader at 0, 8 bytes {
        /// What the message is.
        0: message_type: MessageType,
        /// Bytes of the message, this header included.
        2: size: U16,
        /// The guest counts; a host answers with the same.
        4: transaction: U32,
    }
}

bitflags::bitflags! {
    /// What a guest can do.
    ///
    /// Sources: Linux `union dm_caps`; QEMU `dynmem-proto.h` for hot remove.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Capabilities: u64 {
        /// It has a balloon.
        const BALLOON = 0x1;
        /// It takes new memory.
        const HOT_ADD = 0x2;
        /// The bits that hold n where new memory has to begin and end at a multiple of 2^n MiB.
        const HOT_ADD_ALIGNMENT = 0x3c;
        /// It gives memory up for good. Since 2.0.
        const HOT_REMOVE = 0x40;
        const _ = !0;
    }
}

impl Capabilities {
    /// The power of two, in MiB, at whose multiples new memory has to begin and end: 0 to 15.
    #[must_use]
    pub fn hot_add_alignment(self) -> u8 {
        u8::try_from((self & Self::HOT_ADD_ALIGNMENT).bits() >> 2).unwrap_or(0)
    }
}

wire_struct! {
    /// The body of CAPABILITIES_REPORT.
    ///
    /// Source: Linux `struct dm_capabilities`.
    #[derive(Default)]
    pub struct CapabilitiesReport at 8, 24 bytes {
        /// [`Capabilities`].
        8: capabilities: U64,
        /// The fewest pages that the guest needs.
        16: min_pages: U64,
        /// The highest page number that it can use.
        24: max_page_number: U64,
    }
}

wire_struct! {
    /// The body of STATUS_REPORT, in pages.
    ///
    /// Source: Linux `struct dm_status`.
    #[derive(Default)]
    pub struct StatusReport at 8, 40 bytes {
        /// Pages that are free to use.
        8: available: U64,
        /// Pages that are promised to programs: what a host goes by.
        16: committed: U64,
        /// Pages of all page files.
        24: page_file: U64,
        /// Pages that are free or zeroed.
        32: zero_free: U64,
        /// Pages written to page files.
        40: page_file_writes: U32,
        /// How well the cache of files works; Windows alone knows.
        44: io_difference: U32,
    }
}

/// A run of pages: the first one's number in the low 40 bits, their count in the high 24.
///
/// Source: Linux `union dm_mem_page_range`.
#[derive(
    Clone, Copy, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(transparent)]
pub struct PageRange(U64);

impl PageRange {
    const START: u64 = (1 << 40) - 1;

    /// `count` pages from the number `start` on; `None` where a number does not fit.
    #[must_use]
    pub fn new(start: u64, count: u32) -> Option<Self> {
        let fits = start <= Self::START && count < 1 << 24;
        fits.then(|| Self(U64::new(u64::from(count) << 40 | start)))
    }

    /// The number of the first page.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.0.get() & Self::START
    }

    /// How many pages.
    #[must_use]
    pub const fn count(self) -> u32 {
        let [.., a, b, c] = self.0.get().to_le_bytes();
        u32::from_le_bytes([a, b, c, 0])
    }
}

impl fmt::Display for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}+{:#x}", self.start(), self.count())
    }
}

impl fmt::Debug for PageRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageRange({self})")
    }
}

/// Pages in a message, and whether more come in further ones of the same transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages<'a> {
    /// Whether more come.
    pub more: bool,
    /// The pages.
    pub ranges: &'a [PageRange],
}

impl<'a> Pages<'a> {
    fn read(more: bool, count: u32, rest: &'a [u8]) -> Result<Self, DecodeError> {
        let len = rest.len();
        let ranges = usize::try_from(count)
            .ok()
            .and_then(|count| <[PageRange]>::ref_from_prefix_with_elems(rest, count).ok());
        match ranges {
            Some((ranges, _)) => Ok(Self { more, ranges }),
            None => Err(DecodeError::Count { count, len }),
        }
    }

    fn count(&self) -> u32 {
        u32::try_from(self.ranges.len()).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for Pages<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pages = self.ranges.iter().fold(0_u64, |pages, range| {
            pages.saturating_add(u64::from(range.count()))
        });
        let more = if self.more { ", more to come" } else { "" };
        write!(f, "{pages} pages in {} ranges{more}", self.ranges.len())
    }
}
