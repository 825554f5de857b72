//! The ring's wire formats: what stands in shared memory, byte for byte, with no logic.
//!
//! | file | holds |
//! |---|---|
//! | `control.rs` | the control page in front of each ring |
//! | `packet.rs` | packet types and flags, the descriptor that starts a packet, its extensions, the trailer that ends it |

mod control;
mod packet;

pub use control::{ControlPage, ControlWord, FeatureBits};
pub use packet::{
    GpaDirectHeader, GpaRangeHeader, PacketDescriptor, PacketFlags, PacketTrailer, PacketType,
    TransferPageHeader, TransferPageRange,
};

/// Bytes of a page, of the control page, and of what a PFN counts.
pub const PAGE_SIZE: usize = PAGE_BYTES as usize;
/// [`PAGE_SIZE`] in the integer of the ring's positions and lengths.
pub(crate) const PAGE_BYTES: u32 = 4096;
