//! Ranges of guest memory, as a GPA direct packet and a GPADL message list them.
//!
//! [`GpaRanges::parse`] judges all of them at once; what it returns can be walked without further errors, range by
//! range, or as [`Segments`]: runs of guest-physical memory in which neighbouring pages are one.

mod range;
mod ranges;
mod segments;
#[cfg(test)]
mod tests;

use crate::wire::PAGE_BYTES;

pub use range::GpaRange;
pub use ranges::GpaRanges;
pub use segments::Segments;

const PAGE_SHIFT: u32 = PAGE_BYTES.trailing_zeros();
