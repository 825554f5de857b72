//! x86-64: the hypercall page, VMCALL and VMMCALL; MSRs, CPUID and the TSC.
//!
//! # Registers
//!
//! Control word in RCX, first and second parameter in RDX and R8, the extended fast form in XMM0 to XMM5 as well; the
//! result in RAX. A hypervisor leaves all other registers as they are (TLFS "Volatile Registers"). The gates tell the
//! compiler that R9 to R11 change, too, as Linux does.
//!
//! # XMM registers
//!
//! [`call_extended`](Gate::call_extended) saves XMM0 to XMM5 on the stack and restores them before it returns, so a
//! kernel that leaves a program's XMM registers in place may call at any time. The instructions are the legacy SSE
//! forms, which leave the upper halves of YMM and ZMM registers alone. The code holds no SSE but in its assembly, so it
//! builds for targets without, such as `x86_64-unknown-none`; but CR4.OSFXSR must be on and CR0.EM and CR0.TS off, or
//! the processor raises #UD or #NM.

use core::arch::asm;
use core::arch::x86_64::__cpuid;
use core::marker::PhantomData;

use super::{FastBlock, FastOutput, Gate, MsrError, Msrs, TooLong};
use crate::cpuid::CpuidRegisters;
use crate::guest::{CallPage, Cpuid, NotEnabled};
use crate::{HypercallControl, HypercallResult, Msr};

/// Words that RDX, R8 and XMM0 to XMM5 hold.
const FAST_WORDS: usize = 14;
const _: () = assert!(FAST_WORDS * 8 == crate::host::FAST_INPUT_MAX);

/// The assembly of a call with two parameters, around the instruction that makes it.
macro_rules! call {
    ( $instruction:literal, $control:expr, $first:expr, $second:expr $(, $operand:ident = $value:expr )? ) => {{
        let result: u64;
        asm!(
            $instruction,
            $( $operand = in(reg) $value, )?
            inout("rcx") $control => _,
            inout("rdx") $first => _,
            inout("r8") $second => _,
            out("rax") result,
            out("r9") _,
            out("r10") _,
            out("r11") _,
        );
        result
    }};
}

/// The assembly of a call with `block` in registers. What stands behind a semicolon are more operands, for tests.
macro_rules! call_extended {
    ( $instruction:literal, $control:expr, $block:expr $(, $operand:ident = $value:expr )? $(; $( $more:tt )* )? ) => {{
        let block: &mut [u64; FAST_WORDS] = $block;
        let [first, second, ..] = *block;
        let mut saved = [0u64; 12];
        let (result, first_after, second_after): (u64, u64, u64);
        asm!(
            "movups [{saved}], xmm0",
            "movups [{saved} + 16], xmm1",
            "movups [{saved} + 32], xmm2",
            "movups [{saved} + 48], xmm3",
            "movups [{saved} + 64], xmm4",
            "movups [{saved} + 80], xmm5",
            "movups xmm0, [{block} + 16]",
            "movups xmm1, [{block} + 32]",
            "movups xmm2, [{block} + 48]",
            "movups xmm3, [{block} + 64]",
            "movups xmm4, [{block} + 80]",
            "movups xmm5, [{block} + 96]",
            $instruction,
            "movups [{block} + 16], xmm0",
            "movups [{block} + 32], xmm1",
            "movups [{block} + 48], xmm2",
            "movups [{block} + 64], xmm3",
            "movups [{block} + 80], xmm4",
            "movups [{block} + 96], xmm5",
            "movups xmm0, [{saved}]",
            "movups xmm1, [{saved} + 16]",
            "movups xmm2, [{saved} + 32]",
            "movups xmm3, [{saved} + 48]",
            "movups xmm4, [{saved} + 64]",
            "movups xmm5, [{saved} + 80]",
            block = in(reg) block.as_mut_ptr(),
            saved = in(reg) saved.as_mut_ptr(),
            $( $operand = in(reg) $value, )?
            inout("rcx") $control => _,
            inout("rdx") first => first_after,
            inout("r8") second => second_after,
            out("rax") result,
            out("r9") _,
            out("r10") _,
            out("r11") _,
            $( $( $more )* )?
        );
        let [to_first, to_second, ..] = block;
        (*to_first, *to_second) = (first_after, second_after);
        result
    }};
}

/// Implements [`Gate`] by the two pieces of assembly.
macro_rules! gate {
    ( $gate:ty, $instruction:literal $(, $operand:ident = $value:ident )? ) => {
        impl Gate for $gate {
            unsafe fn call(&self, control: HypercallControl, first: u64, second: u64) -> HypercallResult {
                let control = control.bits();
                // SAFETY: that the instruction makes a hypercall was promised to `new`, that this call does no harm to
                // the caller of this method. All registers that change are named; as `nostack` is not, the compiler
                // keeps nothing below the stack pointer; and without `nomem` it takes all memory to have changed.
                let result = unsafe { call!($instruction, control, first, second $(, $operand = self.$value )?) };
                HypercallResult::from_bits(result)
            }

            unsafe fn call_extended(
                &self,
                control: HypercallControl,
                input: &[u64],
                output: &mut [u64],
            ) -> Result<HypercallResult, TooLong> {
                let mut block =
                    FastBlock::<FAST_WORDS>::new(input, output.len(), FastOutput::BehindInput)?;
                let (control, words) = (control.with_fast().bits(), block.words());
                // SAFETY: as for `call`. The assembly reads and writes the 112 bytes of the block and the 96 bytes that
                // save XMM0 to XMM5, and leaves these registers as they were.
                let result = unsafe { call_extended!($instruction, control, words $(, $operand = self.$value )?) };
                block.output(output);
                Ok(HypercallResult::from_bits(result))
            }
        }
    };
}

/// Calls through the hypercall page, which is what the specification asks for: the hypervisor puts the instruction there
/// that its processor has.
#[derive(Clone, Copy, Debug)]
pub struct PageGate<'a> {
    entry: usize,
    _page: PhantomData<&'a CallPage>,
}

impl<'a> PageGate<'a> {
    /// A gate through this page, which stays on for as long as there is a gate.
    ///
    /// # Errors
    ///
    /// The page is off.
    ///
    /// # Safety
    ///
    /// The page is mapped executable at the address that it was handed over with, on every processor that uses the
    /// gate. They are in ring 0.
    pub unsafe fn new(page: &'a CallPage) -> Result<Self, NotEnabled> {
        if !page.is_enabled() {
            return Err(NotEnabled);
        }
        Ok(Self {
            entry: page.page().as_ptr().as_ptr().expose_provenance(),
            _page: PhantomData,
        })
    }
}

gate!(PageGate<'_>, "call {entry}", entry = entry);

/// Calls with the instruction VMCALL: Hyper-V and KVM on Intel's processors.
#[derive(Clone, Copy, Debug)]
pub struct VmcallGate(());

impl VmcallGate {
    /// A gate.
    ///
    /// # Safety
    ///
    /// The program runs in ring 0 under a hypervisor with this interface on a processor that has VMCALL, and the guest
    /// OS id is set.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

gate!(VmcallGate, "vmcall");

/// Calls with the instruction VMMCALL: Hyper-V and KVM on AMD's processors.
#[derive(Clone, Copy, Debug)]
pub struct VmmcallGate(());

impl VmmcallGate {
    /// A gate.
    ///
    /// # Safety
    ///
    /// The program runs in ring 0 under a hypervisor with this interface on a processor that has VMMCALL, and the guest
    /// OS id is set.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

gate!(VmmcallGate, "vmmcall");

/// The processor's MSRs, by RDMSR and WRMSR.
///
/// The processor raises #GP for a register that is not offered, and for a value that it cannot have. So detect first:
/// see [`Hypervisor`](crate::guest::Hypervisor).
#[derive(Clone, Copy, Debug)]
pub struct NativeMsrs(());

impl NativeMsrs {
    /// Access to the MSRs.
    ///
    /// # Safety
    ///
    /// The program runs in ring 0 under a hypervisor with this interface.
    #[must_use]
    pub const unsafe fn new() -> Self {
        Self(())
    }
}

impl Msrs for NativeMsrs {
    fn read(&self, msr: Msr) -> Result<u64, MsrError> {
        let (low, high): (u32, u32);
        // SAFETY: ring 0 was promised to `new`. Reading an MSR changes no memory; a register that is not there faults.
        unsafe {
            asm!("rdmsr", in("ecx") msr.0, out("eax") low, out("edx") high, options(nostack, preserves_flags));
        }
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    unsafe fn write(&self, msr: Msr, value: u64) -> Result<(), MsrError> {
        let (low, high) = (value as u32, (value >> 32) as u32);
        // SAFETY: ring 0 was promised to `new`, and that the value does no harm to the caller of this method. Without
        // `nomem` the compiler takes all memory to have changed.
        unsafe {
            asm!("wrmsr", in("ecx") msr.0, in("eax") low, in("edx") high, options(nostack, preserves_flags));
        }
        Ok(())
    }
}

/// The processor's CPUID instruction.
#[derive(Clone, Copy, Debug, Default)]
pub struct NativeCpuid;

impl Cpuid for NativeCpuid {
    fn cpuid(&self, leaf: u32) -> CpuidRegisters {
        let result = __cpuid(leaf);
        CpuidRegisters {
            eax: result.eax,
            ebx: result.ebx,
            ecx: result.ecx,
            edx: result.edx,
        }
    }
}

/// Reads the TSC, after all reads that come before it in the program.
#[must_use]
pub fn tsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: both instructions are in every x86-64 processor, and touch no memory. Without `nomem` the compiler keeps
    // other accesses on their side.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
