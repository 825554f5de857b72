//! What a hypervisor is to a guest.

use hvcall::cpuid::CpuidRegisters;
use hvcall::guest::{Cpuid, Gate, MsrError, Msrs, TooLong};
use hvcall::wire::Fixed;
use hvcall::{HypercallControl, HypercallResult, Msr};

use crate::{Opaque, looked_at, made};

impl Gate for Opaque {
    unsafe fn call(&self, control: HypercallControl, first: u64, second: u64) -> HypercallResult {
        looked_at(&(control, first, second));
        made()
    }

    unsafe fn call_extended(
        &self,
        control: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong> {
        looked_at(&control);
        looked_at(input);
        output.fill_with(made);
        made()
    }
}

impl Msrs for Opaque {
    fn read(&self, msr: Msr) -> Result<u64, MsrError> {
        looked_at(&msr);
        made()
    }

    unsafe fn write(&self, msr: Msr, value: u64) -> Result<(), MsrError> {
        looked_at(&(msr, value));
        made()
    }
}

impl Cpuid for Opaque {
    fn cpuid(&self, leaf: u32) -> CpuidRegisters {
        looked_at(&leaf);
        made()
    }
}

impl Fixed for Opaque {
    const NAME: &'static str = "opaque";
}
