//! How a command ended, as the host tells it.

use crate::scsi::{ScsiStatus, Sense};
use crate::wire::{PacketForm, ScsiRequest, SrbStatus};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a command may have failed"]
pub struct Outcome {
    /// The adapter's status.
    pub srb_status: SrbStatus,
    /// The device's status.
    pub scsi_status: ScsiStatus,
    /// Bytes transferred; 0 unless it is [good](Self::is_good) or an overrun.
    pub transferred: u32,
    /// Why it failed.
    pub sense: Option<Sense>,
}

impl Outcome {
    /// Whether all went well.
    #[must_use]
    #[inline]
    pub fn is_good(&self) -> bool {
        self.srb_status == SrbStatus::SUCCESS && self.scsi_status == ScsiStatus::GOOD
    }

    /// Reads the SRB that came back.
    ///
    /// A sense length beyond what the SRB holds is taken as all that it holds: Linux finds that Hyper-V sends such ones.
    #[inline]
    pub(super) fn of(answer: &ScsiRequest, form: PacketForm) -> Self {
        let srb_status = answer.srb_status.status();
        let sense = if answer.srb_status.autosense_valid() {
            let len = usize::from(answer.sense_length).min(form.sense_len());
            answer
                .cdb_or_sense
                .get(..len)
                .and_then(|bytes| Sense::decode(bytes).ok())
        } else {
            None
        };
        // At other failures hosts leave the length as it was in the request.
        let told = matches!(srb_status, SrbStatus::SUCCESS | SrbStatus::DATA_OVERRUN);
        let transferred = if told { answer.transfer_length.get() } else { 0 };
        Self {
            srb_status,
            scsi_status: answer.scsi_status,
            transferred,
            sense,
        }
    }
}
