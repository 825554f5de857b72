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

/// X0 to X17: what a hypervisor is told by, answers by, and may change.
const REGISTERS: usize = 18;

/// These values in the first registers, and zero in the others.
fn registers(first: &[u64], words: &[u64]) -> [u64; REGISTERS] {
    let mut registers = [0; REGISTERS];
    for (to, from) in registers.iter_mut().zip(first.iter().chain(words)) {
        *to = *from;
    }
    registers
}

/// The assembly of a call with these values in X0 to X17. Gives what they hold after it. Without `nomem` the compiler takes
/// all memory to have changed.
macro_rules! hvc {
    ( $instruction:literal, $registers:expr ) => {{
        #[rustfmt::skip]
        let [
            mut x0, mut x1, mut x2, mut x3, mut x4, mut x5, mut x6, mut x7, mut x8, mut x9, mut x10, mut x11, mut x12,
            mut x13, mut x14, mut x15, mut x16, mut x17,
        ]: [u64; REGISTERS] = $registers;
        asm!(
            $instruction,
            inout("x0") x0, inout("x1") x1, inout("x2") x2, inout("x3") x3, inout("x4") x4, inout("x5") x5,
            inout("x6") x6, inout("x7") x7, inout("x8") x8, inout("x9") x9, inout("x10") x10, inout("x11") x11,
            inout("x12") x12, inout("x13") x13, inout("x14") x14, inout("x15") x15, inout("x16") x16,
            inout("x17") x17,
            options(nostack),
        );
        [x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15, x16, x17]
    }};
}

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
        let registers = registers(&[control.bits(), first, second], &[]);
        // SAFETY: that HVC makes a hypercall was promised to `new`, that this call does no harm to the caller of this
        // method. All registers that a hypervisor may change are named.
        let [result, ..] = unsafe { hvc!("hvc #1", registers) };
        HypercallResult::from_bits(result)
    }

    unsafe fn call_extended(
        &self,
        control: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong> {
        let mut block = FastBlock::<FAST_WORDS>::new(input, output.len(), FastOutput::Last)?;
        let registers = registers(&[control.with_fast().bits()], block.words());
        // SAFETY: as for `call`.
        let [result, words @ .., _] = unsafe { hvc!("hvc #1", registers) };
        *block.words() = words;
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
        let registers = registers(&[SMCCC_HYPERCALL, control.bits(), first, second], &[]);
        // SAFETY: as for `HvcGate`.
        let [result, ..] = unsafe { hvc!("hvc #0", registers) };
        HypercallResult::from_bits(result)
    }

    unsafe fn call_extended(
        &self,
        control: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong> {
        let mut block = FastBlock::<FAST_WORDS>::new(input, output.len(), FastOutput::BehindInput)?;
        let registers = registers(&[SMCCC_HYPERCALL, control.with_fast().bits()], block.words());
        // SAFETY: as for `HvcGate`.
        let [result, _, words @ ..] = unsafe { hvc!("hvc #0", registers) };
        *block.words() = words;
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
    // SAFETY: the caller has HVC. The call reads no more than its number and changes X0 to X17 at most.
    let [a, b, c, d, ..] = unsafe { hvc!("hvc #0", registers(&[SMCCC_VENDOR_UID], &[])) };
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
