//! AArch64: HVC, and the counter.
//!
//! | | [`HvcGate`] | [`SmcccGate`] |
//! |---|---|---|
//! | instruction | HVC #1 | HVC #0 |
//! | X0 | control word | 0x46000001 |
//! | X1 | first parameter | control word |
//! | X2 | second parameter | first parameter |
//! | X3 | third word of the extended form | second parameter |
//! | last word of the extended form | X16 | X17 |
//! | output of the extended form | the last registers | behind the input |
//!
//! The result is in X0. Linux uses the second, which is SMCCC's. Sources: Linux `arch/arm64/hyperv/hv_core.c`; OpenVMM
//! `hv1_hypercall/src/aarch64.rs`.

use core::arch::asm;

use super::{FastBlock, FastOutput, Gate, TooLong};
use crate::{HypercallControl, HypercallResult};

/// Words that X1 to X16, or X2 to X17, hold.
const FAST_WORDS: usize = 16;
/// The function of SMCCC that makes a hypercall: a yielding 64-bit call, number 1 of the vendor's hypervisor. Source:
/// Linux `HV_FUNC_ID`.
const SMCCC_HYPERCALL: u64 = 0x4600_0001;
/// The function of SMCCC that tells whose hypervisor it is.
const SMCCC_VENDOR_UID: u64 = 0x8600_ff01;
/// What Hyper-V answers to it. Sources: TLFS "Feature and Interface Discovery (ARM64)"; Linux `hyperv_detect_via_smccc`.
const HYPERV_UID: [u32; 4] = [0x4d32_ba58, 0xcd24_4764, 0x8eef_6c75, 0x1659_7024];

/// Calls with HVC #1, Hyper-V's own convention.
#[derive(Clone, Copy, Debug)]
pub struct HvcGate(());

impl HvcGate {
    /// A gate.
    ///
    /// # Safety
    ///
    /// The program runs at EL1 under a hypervisor with this interface.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl Gate for HvcGate {
    unsafe fn call(&self, control: HypercallControl, first: u64, second: u64) -> HypercallResult {
        let result: u64;
        // SAFETY: that HVC makes a hypercall was promised to `new`, that this call does no harm to the caller of this
        // method. All registers that a hypervisor may change are named; without `nomem` the compiler takes all memory
        // to have changed.
        unsafe {
            asm!(
                "hvc #1",
                inout("x0") control.bits() => result,
                inout("x1") first => _,
                inout("x2") second => _,
                out("x3") _, out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _,
                out("x10") _, out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _,
                out("x17") _,
                options(nostack),
            );
        }
        HypercallResult::from_bits(result)
    }

    unsafe fn call_extended(
        &self,
        control: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong> {
        let mut block = FastBlock::<FAST_WORDS>::new(input, output.len(), FastOutput::Last)?;
        let [
            w0,
            w1,
            w2,
            w3,
            w4,
            w5,
            w6,
            w7,
            w8,
            w9,
            w10,
            w11,
            w12,
            w13,
            w14,
            w15,
        ] = block.words();
        let result: u64;
        // SAFETY: as for `call`.
        unsafe {
            asm!(
                "hvc #1",
                inout("x0") control.with_fast().bits() => result,
                inout("x1") *w0, inout("x2") *w1, inout("x3") *w2, inout("x4") *w3, inout("x5") *w4,
                inout("x6") *w5, inout("x7") *w6, inout("x8") *w7, inout("x9") *w8, inout("x10") *w9,
                inout("x11") *w10, inout("x12") *w11, inout("x13") *w12, inout("x14") *w13, inout("x15") *w14,
                inout("x16") *w15,
                out("x17") _,
                options(nostack),
            );
        }
        block.output(output);
        Ok(HypercallResult::from_bits(result))
    }
}

/// Calls with HVC #0 by the convention of SMCCC, as Linux does.
#[derive(Clone, Copy, Debug)]
pub struct SmcccGate(());

impl SmcccGate {
    /// A gate.
    ///
    /// # Safety
    ///
    /// The program runs at EL1 under a hypervisor with this interface.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl Gate for SmcccGate {
    unsafe fn call(&self, control: HypercallControl, first: u64, second: u64) -> HypercallResult {
        let result: u64;
        // SAFETY: as for `HvcGate`.
        unsafe {
            asm!(
                "hvc #0",
                inout("x0") SMCCC_HYPERCALL => result,
                inout("x1") control.bits() => _,
                inout("x2") first => _,
                inout("x3") second => _,
                out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
                out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
                options(nostack),
            );
        }
        HypercallResult::from_bits(result)
    }

    unsafe fn call_extended(
        &self,
        control: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong> {
        let mut block = FastBlock::<FAST_WORDS>::new(input, output.len(), FastOutput::BehindInput)?;
        let [
            w0,
            w1,
            w2,
            w3,
            w4,
            w5,
            w6,
            w7,
            w8,
            w9,
            w10,
            w11,
            w12,
            w13,
            w14,
            w15,
        ] = block.words();
        let result: u64;
        // SAFETY: as for `HvcGate`.
        unsafe {
            asm!(
                "hvc #0",
                inout("x0") SMCCC_HYPERCALL => result,
                inout("x1") control.with_fast().bits() => _,
                inout("x2") *w0, inout("x3") *w1, inout("x4") *w2, inout("x5") *w3, inout("x6") *w4,
                inout("x7") *w5, inout("x8") *w6, inout("x9") *w7, inout("x10") *w8, inout("x11") *w9,
                inout("x12") *w10, inout("x13") *w11, inout("x14") *w12, inout("x15") *w13, inout("x16") *w14,
                inout("x17") *w15,
                options(nostack),
            );
        }
        block.output(output);
        Ok(HypercallResult::from_bits(result))
    }
}

/// Asks by SMCCC whether the hypervisor is Hyper-V. ACPI's FADT tells it, too: its hypervisor vendor is "MsHyperV".
///
/// # Safety
///
/// The program runs at EL1, and HVC is not disabled: there is a hypervisor, or firmware at EL2.
#[must_use]
pub unsafe fn is_hyperv() -> bool {
    let (a, b, c, d): (u64, u64, u64, u64);
    // SAFETY: the caller has HVC. The call reads no more than its number and changes X0 to X17 at most.
    unsafe {
        asm!(
            "hvc #0",
            inout("x0") SMCCC_VENDOR_UID => a,
            out("x1") b, out("x2") c, out("x3") d,
            out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
            out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
            options(nostack),
        );
    }
    [a, b, c, d] == HYPERV_UID.map(u64::from)
}

/// Reads the virtual counter, after all reads that come before it in the program: what stands for the TSC here.
#[must_use]
pub fn counter() -> u64 {
    let counter: u64;
    // SAFETY: the register can be read at EL1, and touches no memory. Without `nomem` the compiler keeps other accesses
    // on their side.
    unsafe {
        asm!("isb", "mrs {}, cntvct_el0", out(reg) counter, options(nostack, preserves_flags));
    }
    counter
}
