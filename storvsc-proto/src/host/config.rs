//! What an embedder chooses.

use thiserror::Error;

use crate::wire::MAX_PACKET_LEN;

/// What an embedder chooses. The same for all channels of a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Most bytes that one command transfers: a multiple of 4096, told to the guest.
    /// [`DEFAULT_MAX_TRANSFER_BYTES`] by default.
    pub max_transfer_bytes: u32,
    /// How many sub-channels a guest may ask for, the primary channel not counted. 0 by default; one less
    /// than there are virtual processors is what Linux asks for.
    pub max_sub_channels: u16,
}

/// 1 MiB.
///
/// Hyper-V and OpenVMM say 256 KiB. What it costs is scratch: 16 bytes a page, 4 KiB in all. What it saves is
/// a round trip through both rings for each further 256 KiB of a large transfer: Linux splits at this length,
/// and asks for 1.25 MiB at once if it may.
pub const DEFAULT_MAX_TRANSFER_BYTES: u32 = 1 << 20;

/// Bytes of a guest page.
const PAGE: u32 = 4096;

impl Default for Config {
    fn default() -> Self {
        Self {
            max_transfer_bytes: DEFAULT_MAX_TRANSFER_BYTES,
            max_sub_channels: 0,
        }
    }
}

impl Config {
    /// Bytes of scratch that a queue needs with this configuration: the longest packet that a guest may send,
    /// after its first 16 bytes.
    ///
    /// That is a list of memory in which every page of the longest transfer is a range of its own, and a page
    /// more for one that starts within a page; and an SRB.
    #[must_use]
    pub const fn scratch_len(&self) -> usize {
        // A count, then a header of 8 bytes and a PFN of 8 for each page.
        let pages = (self.max_transfer_bytes / PAGE) as usize;
        pages
            .saturating_add(1)
            .saturating_mul(16)
            .saturating_add(8)
            .saturating_add(MAX_PACKET_LEN)
    }
}

/// Why a queue cannot be made. The caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The length of a transfer is 0, or no multiple of a page's.
    #[error("{bytes} is no multiple of 4096 bytes")]
    MaxTransferBytes {
        /// Bytes that the configuration says.
        bytes: u32,
    },
    /// Less scratch than [`Config::scratch_len`].
    #[error("{len} bytes of scratch, and {needed} are needed")]
    Scratch {
        /// Bytes that were lent.
        len: usize,
        /// Bytes that are needed.
        needed: usize,
    },
}

impl Config {
    pub(crate) const fn judge(&self, scratch: usize) -> Result<(), SetupError> {
        if self.max_transfer_bytes == 0 || !self.max_transfer_bytes.is_multiple_of(PAGE) {
            return Err(SetupError::MaxTransferBytes {
                bytes: self.max_transfer_bytes,
            });
        }
        let needed = self.scratch_len();
        if scratch < needed {
            return Err(SetupError::Scratch { len: scratch, needed });
        }
        Ok(())
    }
}
