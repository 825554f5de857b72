//! From an SRB to the LUN that it names, and what is answered where there is none.

use heapless::Vec;
use vmbus_proto::hvcall::GuestMemory;
use zerocopy::IntoBytes;
use zerocopy::big_endian::U32;

use super::disk::{Call, Parsed, Step, answer, standard_inquiry};
use super::lun::Lun;
use super::outcome::{Outcome, failure};
use super::{BlockBackend, BlockError, Identity};
use crate::scsi::{Command, InquiryData, LunListHeader, Sense};
use crate::wire::LunAddress;

/// Bytes of a LUN in the answer to REPORT LUNS.
const LUN_LEN: usize = 8;

/// The LUN at an address that a command is for, or what the command ends with when it is for none.
#[inline]
pub(crate) fn lun<'l, B: BlockBackend>(
    luns: &'l [Lun<B>],
    at: LunAddress,
    command: &Parsed,
    call: &Call<'_, B::Memory>,
) -> Step<&'l Lun<B>> {
    // Guests ask LUN 0 of every target, whether there is one or not.
    if let Ok(Command::ReportLuns { ordinary, allocation }) = command {
        return Err(report_luns(luns, at, *ordinary, *allocation, call).unwrap_or_else(|outcome| outcome));
    }
    let lun = luns.iter().find(|lun| lun.address() == at && lun.is_attached());
    lun.ok_or_else(|| absent(at, command, call))
}

/// The answer where there is no disk.
///
/// INQUIRY is answered with "no device here, and none possible", which is what a scanning guest looks for;
/// every other command with an SRB status at which Linux takes its disk at this LUN away, if it has one.
/// Hyper-V does the same (OpenVMM `storvsp`), also in naming itself at LUN 0 only.
#[cold]
fn absent<M: GuestMemory + ?Sized>(at: LunAddress, command: &Parsed, call: &Call<'_, M>) -> Outcome {
    match command {
        Ok(Command::Inquiry {
            page: None,
            allocation,
        }) => {
            let mut data = standard_inquiry(&Identity::default());
            data.peripheral = InquiryData::NOT_PRESENT;
            if at.lun != 0 {
                data.vendor = [0; 8];
                data.product = [0; 16];
                data.revision = [0; 4];
            }
            answer(&call.buffer, call.memory, data.as_bytes(), u32::from(*allocation))
        }
        Ok(Command::Inquiry { page: Some(_), .. }) => Sense::invalid_cdb_field(1, Some(0)).into(),
        _ => Outcome::no_lun(),
    }
}

/// Lists the LUNs of the target at `at`, in ascending order.
#[cold]
fn report_luns<B: BlockBackend>(
    luns: &[Lun<B>],
    at: LunAddress,
    ordinary: bool,
    allocation: u32,
    call: &Call<'_, B::Memory>,
) -> Step<Outcome> {
    // LUNs may come and go meanwhile: which there are is looked at once.
    let mut present = [false; 256];
    for lun in luns.iter().filter(|lun| ordinary && lun.is_attached()) {
        let LunAddress { path, target, lun } = lun.address();
        if let (true, Some(flag)) = (
            (path, target) == (at.path, at.target),
            present.get_mut(usize::from(lun)),
        ) {
            *flag = true;
        }
    }
    let count = present.iter().filter(|present| **present).count();
    let length = u32::try_from(count.saturating_mul(LUN_LEN)).unwrap_or(u32::MAX);
    let header = LunListHeader {
        length: U32::new(length),
        reserved: U32::ZERO,
    };

    let mut table = Vec::<u8, { size_of::<LunListHeader>() + 256 * LUN_LEN }>::new();
    let full = |_| failure(BlockError::Internal, false);
    table.extend_from_slice(header.as_bytes()).map_err(full)?;
    for (lun, _) in (0..=u8::MAX).zip(present).filter(|(_, present)| *present) {
        // Peripheral device addressing on bus 0: the second byte is the LUN.
        table
            .extend_from_slice(&[0, lun, 0, 0, 0, 0, 0, 0])
            .map_err(full)?;
    }
    Ok(answer(&call.buffer, call.memory, &table, allocation))
}
