//! What a driver asks a LUN before it uses it as a disk.

use thiserror::Error;
use zerocopy::FromBytes;

use super::{Disk, Outcome, Properties, Request};
use crate::scsi::{
    BlockLimitsPage, CachingPage, Command, InquiryData, ModeHeader6, PageControl, ReadCapacity16Data,
    SenseKey, VpdHeader, VpdPage,
};
use crate::wire::{LunAddress, SrbStatus};

/// Bytes of the buffer that is enough for every command of an [`Identify`].
pub const IDENTIFY_BUFFER_LEN: usize = size_of::<InquiryData>();

/// How often a LUN may say that something changed before it is taken to be broken.
const MAX_ATTENTIONS: u8 = 8;

/// Why a LUN is no disk that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum IdentifyError {
    /// There is nothing at this LUN.
    #[error("no device")]
    NotPresent,
    /// It is of another kind.
    #[error("a device of type {device_type:#x}, not a disk")]
    NotADisk {
        /// The peripheral device type.
        device_type: u8,
    },
    /// A command failed.
    #[error("a command failed: srb {:?}, scsi {:?}", .outcome.srb_status, .outcome.scsi_status)]
    Failed {
        /// How.
        outcome: Outcome,
    },
    /// An answer is shorter than what it has to hold.
    #[error("an answer of {len} bytes, of {needed}")]
    Short {
        /// Bytes that came.
        len: usize,
        /// Bytes that are needed.
        needed: usize,
    },
    /// Blocks of an impossible length.
    #[error("blocks of {block_len} bytes")]
    BlockLen {
        /// Bytes that the disk says.
        block_len: u32,
    },
    /// More blocks than can be counted.
    #[error("the last block is {last_lba}")]
    Capacity {
        /// The last block that the disk says.
        last_lba: u64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Inquiry,
    Ready,
    Capacity,
    Mode,
    Limits,
    Done,
}

/// Asks a LUN what a driver has to know to use it as a disk.
///
/// Sans-IO: [`request`](Self::request) tells the next command, to be sent with a buffer of the device's data;
/// [`answer`](Self::answer) takes how it ended and what is in the buffer; when there is no next command,
/// [`disk`](Self::disk) has the result. About five commands in all.
#[derive(Clone, Copy, Debug)]
pub struct Identify {
    disk: Disk,
    step: Step,
    attentions: u8,
    unmaps: bool,
}

impl Identify {
    /// A LUN of a controller with these properties.
    #[must_use]
    pub const fn new(address: LunAddress, properties: Properties) -> Self {
        Self {
            disk: Disk {
                address,
                blocks: 0,
                block_len: 0,
                physical_block_len: 0,
                max_transfer_bytes: properties.max_transfer_bytes,
                read_only: false,
                write_cache: false,
                max_discard_ranges: 0,
                max_discard_blocks: 0,
                discard_granularity: 0,
            },
            step: Step::Inquiry,
            attentions: 0,
            unmaps: false,
        }
    }

    /// The command to be sent next.
    #[must_use]
    pub fn request(&self) -> Option<Request> {
        let (command, len) = match self.step {
            Step::Inquiry => (
                Command::Inquiry {
                    page: None,
                    allocation: 96,
                },
                96,
            ),
            Step::Ready => (Command::TestUnitReady, 0),
            Step::Capacity => (Command::ReadCapacity16 { allocation: 32 }, 32),
            Step::Mode => (
                Command::ModeSense {
                    long: false,
                    no_block_descriptor: true,
                    control: PageControl::Current,
                    page: CachingPage::PAGE,
                    subpage: 0,
                    allocation: 64,
                },
                64,
            ),
            Step::Limits => (
                Command::Inquiry {
                    page: Some(VpdPage::BLOCK_LIMITS),
                    allocation: 64,
                },
                64,
            ),
            Step::Done => return None,
        };
        Some(Request {
            cdb: command.to_cdb(),
            len,
        })
    }

    /// The disk, when there is nothing more to ask.
    #[must_use]
    pub fn disk(&self) -> Option<Disk> {
        (self.step == Step::Done).then_some(self.disk)
    }

    /// Takes how the command ended, and the buffer: of it as many bytes count as were transferred.
    ///
    /// # Errors
    /// When there is no disk that can be used.
    pub fn answer(&mut self, outcome: &Outcome, buffer: &[u8]) -> Result<(), IdentifyError> {
        if outcome.srb_status == SrbStatus::INVALID_LUN {
            return Err(IdentifyError::NotPresent);
        }
        if outcome
            .sense
            .is_some_and(|sense| sense.key == SenseKey::UNIT_ATTENTION)
        {
            self.attentions = self.attentions.saturating_add(1);
            // It was told, and the command is to be sent again.
            return if self.attentions > MAX_ATTENTIONS {
                Err(IdentifyError::Failed { outcome: *outcome })
            } else {
                Ok(())
            };
        }
        let transferred = usize::try_from(outcome.transferred).unwrap_or(usize::MAX);
        let data = buffer.get(..transferred).unwrap_or(buffer);
        match (self.step, outcome.is_good()) {
            // Old hosts have no mode pages; limits are an option.
            (Step::Mode, false) => self.after_mode(),
            (Step::Limits, false) => self.step = Step::Done,
            (_, false) => return Err(IdentifyError::Failed { outcome: *outcome }),
            (Step::Inquiry, true) => self.inquiry(data)?,
            (Step::Ready, true) => self.step = Step::Capacity,
            (Step::Capacity, true) => self.capacity(data)?,
            (Step::Mode, true) => self.mode(data),
            (Step::Limits, true) => self.limits(data),
            (Step::Done, true) => {}
        }
        Ok(())
    }

    fn inquiry(&mut self, data: &[u8]) -> Result<(), IdentifyError> {
        let [peripheral, ..] = data else {
            return Err(short(data, 1));
        };
        match *peripheral {
            InquiryData::DISK => {
                self.step = Step::Ready;
                Ok(())
            }
            // The qualifier says whether there is a device.
            peripheral if peripheral >> 5 != 0 => Err(IdentifyError::NotPresent),
            device_type => Err(IdentifyError::NotADisk { device_type }),
        }
    }

    fn capacity(&mut self, data: &[u8]) -> Result<(), IdentifyError> {
        let (capacity, _) = ReadCapacity16Data::read_from_prefix(data)
            .map_err(|_| short(data, size_of::<ReadCapacity16Data>()))?;
        let block_len = capacity.block_len.get();
        if !block_len.is_power_of_two() || !(512..=65536).contains(&block_len) {
            return Err(IdentifyError::BlockLen { block_len });
        }
        let last_lba = capacity.last_lba.get();
        let blocks = last_lba
            .checked_add(1)
            .ok_or(IdentifyError::Capacity { last_lba })?;
        let exponent = u32::from(capacity.exponents & 0xf);
        self.disk.blocks = blocks;
        self.disk.block_len = block_len;
        self.disk.physical_block_len = block_len.checked_shl(exponent).unwrap_or(block_len);
        self.unmaps = capacity.flags_and_alignment.get() & ReadCapacity16Data::UNMAPS != 0;
        self.step = Step::Mode;
        Ok(())
    }

    fn mode(&mut self, data: &[u8]) {
        if let Ok((header, rest)) = ModeHeader6::read_from_prefix(data) {
            self.disk.read_only = header.device_specific & ModeHeader6::WRITE_PROTECTED != 0;
            let pages = rest
                .get(usize::from(header.descriptors_length)..)
                .unwrap_or_default();
            if let [page, _, flags, ..] = pages
                && page & 0x3f == CachingPage::PAGE
            {
                self.disk.write_cache = flags & CachingPage::WRITE_CACHE != 0;
            }
        }
        self.after_mode();
    }

    fn after_mode(&mut self) {
        self.step = if self.unmaps { Step::Limits } else { Step::Done };
    }

    fn limits(&mut self, data: &[u8]) {
        self.step = Step::Done;
        let Ok((header, rest)) = VpdHeader::read_from_prefix(data) else {
            return;
        };
        let Ok((limits, _)) = BlockLimitsPage::read_from_prefix(rest) else {
            return;
        };
        if header.page == VpdPage::BLOCK_LIMITS.0 && limits.max_unmap_blocks.get() > 0 {
            self.disk.max_discard_ranges = limits.max_unmap_descriptors.get();
            self.disk.max_discard_blocks = limits.max_unmap_blocks.get();
            self.disk.discard_granularity = limits.unmap_granularity.get().max(1);
        }
    }
}

const fn short(data: &[u8], needed: usize) -> IdentifyError {
    IdentifyError::Short {
        len: data.len(),
        needed,
    }
}
