//! How a command ended.

use zerocopy::little_endian::{U16, U32};

use super::BlockError;
use crate::scsi::{AdditionalSense, CdbError, ScsiStatus, Sense, SenseKey};
use crate::wire::{PacketForm, ScsiRequest, SrbStatus, SrbStatusByte};

/// How a command ended: what the answer's SRB says.
///
/// CHECK CONDITION and sense data go together: neither comes without the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the guest waits for it"]
pub struct Outcome {
    srb_status: SrbStatus,
    scsi_status: ScsiStatus,
    transferred: u32,
    sense: Option<Sense>,
}

impl Outcome {
    /// Done, with so many bytes transferred.
    #[inline]
    pub const fn good(transferred: u32) -> Self {
        Self {
            srb_status: SrbStatus::SUCCESS,
            scsi_status: ScsiStatus::GOOD,
            transferred,
            sense: None,
        }
    }

    /// Failed, with this reason.
    ///
    /// An illegal request has an SRB status of its own, as Hyper-V's disks give it (OpenVMM `scsidisk`).
    pub const fn check(sense: Sense) -> Self {
        let srb_status = match sense.key {
            SenseKey::ILLEGAL_REQUEST => SrbStatus::INVALID_REQUEST,
            _ => SrbStatus::ERROR,
        };
        Self {
            srb_status,
            scsi_status: ScsiStatus::CHECK_CONDITION,
            transferred: 0,
            sense: Some(sense),
        }
    }

    /// The adapter refused it: the device never saw it.
    pub const fn refused(srb_status: SrbStatus) -> Self {
        Self {
            srb_status,
            scsi_status: ScsiStatus::GOOD,
            transferred: 0,
            sense: None,
        }
    }

    /// The device takes no command at the moment.
    pub const fn busy() -> Self {
        Self {
            srb_status: SrbStatus::BUSY,
            scsi_status: ScsiStatus::BUSY,
            transferred: 0,
            sense: None,
        }
    }

    /// There is nothing at this LUN. Linux takes its disk at this LUN away.
    pub const fn no_lun() -> Self {
        Self {
            srb_status: SrbStatus::INVALID_LUN,
            scsi_status: ScsiStatus::CHECK_CONDITION,
            transferred: 0,
            sense: Some(Sense::illegal_request(
                AdditionalSense::LOGICAL_UNIT_NOT_SUPPORTED,
            )),
        }
    }

    /// The CDB asks for more data than the SRB's buffer has room for. Nothing was transferred.
    pub const fn overrun() -> Self {
        Self {
            srb_status: SrbStatus::DATA_OVERRUN,
            scsi_status: ScsiStatus::CHECK_CONDITION,
            transferred: 0,
            sense: Some(Sense::illegal_request(AdditionalSense::INVALID_FIELD_IN_CDB)),
        }
    }

    /// The adapter's status.
    #[must_use]
    pub const fn srb_status(&self) -> SrbStatus {
        self.srb_status
    }

    /// The device's status.
    #[must_use]
    pub const fn scsi_status(&self) -> ScsiStatus {
        self.scsi_status
    }

    /// Bytes transferred.
    #[must_use]
    pub const fn transferred(&self) -> u32 {
        self.transferred
    }

    /// The reason of a failure.
    #[must_use]
    pub const fn sense(&self) -> Option<&Sense> {
        self.sense.as_ref()
    }

    /// Makes the SRB of a request the one that answers it.
    ///
    /// Linux goes by both statuses, the sense data and the transfer length; the rest of the request comes
    /// back as it was, but for the CDB, whose place the sense data takes.
    #[inline]
    pub(crate) fn answer(&self, srb: &mut ScsiRequest, form: PacketForm) {
        let mut status = SrbStatusByte::new(self.srb_status);
        srb.cdb_or_sense = [0; 20];
        srb.sense_length = 0;
        if let Some(sense) = &self.sense {
            status = status.with_autosense();
            // The fixed format, 18 bytes, is what both forms have room for and what guests expect.
            for (to, from) in srb.cdb_or_sense.iter_mut().zip(sense.to_fixed()) {
                *to = from;
                srb.sense_length = srb.sense_length.saturating_add(1);
            }
        }
        srb.length = U16::new(u16::try_from(form.body_len()).unwrap_or(u16::MAX));
        srb.srb_status = status;
        srb.scsi_status = self.scsi_status;
        srb.transfer_length = U32::new(self.transferred);
    }
}

impl From<Sense> for Outcome {
    fn from(sense: Sense) -> Self {
        Self::check(sense)
    }
}

impl From<CdbError> for Outcome {
    fn from(error: CdbError) -> Self {
        Self::check(error.sense())
    }
}

/// What a failed disk tells the guest. `writing`: whether the request was to write.
pub(crate) const fn failure(error: BlockError, writing: bool) -> Outcome {
    let (key, additional) = match error {
        // The device has nothing to say about memory that the guest does not have.
        BlockError::Memory(_) => return Outcome::refused(SrbStatus::INVALID_REQUEST),
        BlockError::Busy => return Outcome::busy(),
        BlockError::Medium if writing => (SenseKey::MEDIUM_ERROR, AdditionalSense::WRITE_ERROR),
        BlockError::Medium => (SenseKey::MEDIUM_ERROR, AdditionalSense::UNRECOVERED_READ_ERROR),
        BlockError::OutOfRange => (SenseKey::ILLEGAL_REQUEST, AdditionalSense::LBA_OUT_OF_RANGE),
        BlockError::NoSpace => (SenseKey::DATA_PROTECT, AdditionalSense::SPACE_ALLOCATION_FAILED),
        BlockError::ReadOnly => (SenseKey::DATA_PROTECT, AdditionalSense::WRITE_PROTECTED),
        BlockError::Unsupported => (
            SenseKey::ILLEGAL_REQUEST,
            AdditionalSense::INVALID_COMMAND_OPERATION_CODE,
        ),
        BlockError::Internal => (SenseKey::HARDWARE_ERROR, AdditionalSense::INTERNAL_TARGET_FAILURE),
    };
    Outcome::check(Sense::new(key, additional))
}
