//! Synthetic MSRs, and the writes to them that can do no harm.

use thiserror::Error;

use super::SharedPage;
use crate::msr::HypercallPage;
use crate::synic::{EOM, Scontrol, Siefp, Simp, SintRegister};
use crate::time::ReferenceTsc;
use crate::{GuestOsId, HvStatus, Msr, Sint};

/// Reads and writes synthetic MSRs of the processor that it runs on.
///
/// Ready-made: `x86_64::NativeMsrs`, and [`VpRegisters`](super::VpRegisters) for AArch64, where hypercalls do it. A
/// kernel whose host is outside its trust implements it by the GHCB or TDVMCALL.
///
/// # Contract
///
/// A read returns what the register holds, and a write takes effect before the method returns, with no other effect on
/// the program's memory than that of the register.
pub trait Msrs {
    /// Reads a register.
    ///
    /// # Errors
    /// It cannot be read.
    fn read(&self, msr: Msr) -> Result<u64, MsrError>;

    /// Writes a register.
    ///
    /// # Errors
    /// It cannot be written.
    ///
    /// # Safety
    ///
    /// What the hypervisor does for this value breaks none of the program's assumptions: most of all, a page that the
    /// register switches on is the caller's to have covered and written.
    unsafe fn write(&self, msr: Msr, value: u64) -> Result<(), MsrError>;
}

impl<M: Msrs + ?Sized> Msrs for &M {
    fn read(&self, msr: Msr) -> Result<u64, MsrError> {
        (**self).read(msr)
    }

    unsafe fn write(&self, msr: Msr, value: u64) -> Result<(), MsrError> {
        // SAFETY: the caller's promise is the same.
        unsafe { (**self).write(msr, value) }
    }
}

/// A register could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MsrError {
    /// There is no such register here: on AArch64 none has this meaning, or an implementation caught the processor's
    /// fault.
    #[error("there is no register {msr} here")]
    Unavailable {
        /// The register.
        msr: Msr,
    },
    /// The hypervisor refused the call that reads or writes it.
    #[error("register {msr}: the hypervisor answered {status}")]
    Refused {
        /// The register.
        msr: Msr,
        /// Why.
        status: HvStatus,
    },
}

/// A register was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// It could not be read or written.
    #[error(transparent)]
    Msr(#[from] MsrError),
    /// What was written is not there when it is read back.
    #[error("register {msr} was given {wrote:#x} and reads {reads:#x}")]
    NotTaken {
        /// The register.
        msr: Msr,
        /// What was written.
        wrote: u64,
        /// What stands there.
        reads: u64,
    },
}

/// A register that names no memory, with its value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plain {
    GuestOsId(GuestOsId),
    Scontrol(Scontrol),
    Sint(Sint, SintRegister),
    Eom,
}

/// Writes a register that names no memory.
pub(crate) fn write_plain(msrs: &(impl Msrs + ?Sized), register: Plain) -> Result<(), MsrError> {
    let (msr, value) = match register {
        Plain::GuestOsId(id) => (Msr::GUEST_OS_ID, id.bits()),
        Plain::Scontrol(control) => (Msr::SCONTROL, control.bits()),
        Plain::Sint(sint, register) => (Msr::sint(sint), register.bits()),
        Plain::Eom => (Msr::EOM, EOM),
    };
    // SAFETY: none of these names memory. A page that the hypervisor goes on to write, because the SynIC is on, was
    // switched on by `turn_on` or by someone who answers for it. What vectors interrupts may have the caller judges.
    unsafe { msrs.write(msr, value) }
}

/// A register that switches a page on.
pub(crate) trait PageRegister: Copy {
    const MSR: Msr;
    fn from_bits(bits: u64) -> Self;
    fn bits(self) -> u64;
    fn page(self) -> Option<u64>;
    /// The register with the page on. The low 12 bits of the address do not count.
    fn with_page(self, gpa: u64) -> Self;
    fn without_page(self) -> Self;
}

macro_rules! page_registers {
    ( $( $register:ident = $msr:expr ),+ ) => { $(
        impl PageRegister for $register {
            const MSR: Msr = $msr;

            fn from_bits(bits: u64) -> Self {
                Self::from_bits(bits)
            }

            fn bits(self) -> u64 {
                self.bits()
            }

            fn page(self) -> Option<u64> {
                self.page()
            }

            fn with_page(self, gpa: u64) -> Self {
                self.with_page(gpa & !0xfff).unwrap_or(self)
            }

            fn without_page(self) -> Self {
                self.without_page()
            }
        }
    )+ };
}

page_registers!(
    HypercallPage = Msr::HYPERCALL,
    Simp = Msr::SIMP,
    Siefp = Msr::SIEFP,
    ReferenceTsc = Msr::REFERENCE_TSC
);

/// Switches a page on, looks whether that took, and returns the register as it was before. Reserved bits are kept. Once it is
/// written, `lent` says that the register may name the page, whatever comes of it.
pub(crate) fn turn_on<R: PageRegister>(
    msrs: &(impl Msrs + ?Sized),
    page: &SharedPage,
    lent: &mut bool,
) -> Result<R, RegisterError> {
    let before = R::from_bits(msrs.read(R::MSR)?);
    let wrote = before.with_page(page.gpa()).bits();
    *lent = true;
    // SAFETY: the page was handed over for the hypervisor to have.
    unsafe { msrs.write(R::MSR, wrote) }?;
    let reads = msrs.read(R::MSR)?;
    if R::from_bits(reads).page() != Some(page.gpa()) {
        return Err(RegisterError::NotTaken {
            msr: R::MSR,
            wrote,
            reads,
        });
    }
    Ok(before)
}

/// Switches a page off, and looks whether that took: then `lent` says that the register names none. Reserved bits are kept.
pub(crate) fn turn_off<R: PageRegister>(
    msrs: &(impl Msrs + ?Sized),
    lent: &mut bool,
) -> Result<(), RegisterError> {
    let wrote = R::from_bits(msrs.read(R::MSR)?).without_page().bits();
    // SAFETY: the hypervisor has no page by this register any more.
    unsafe { msrs.write(R::MSR, wrote) }?;
    let reads = msrs.read(R::MSR)?;
    if R::from_bits(reads).page().is_some() {
        return Err(RegisterError::NotTaken {
            msr: R::MSR,
            wrote,
            reads,
        });
    }
    *lent = false;
    Ok(())
}
