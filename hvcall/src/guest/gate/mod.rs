//! Where the guest meets the processor and the hypervisor: the crate's only `unsafe` code.
//!
//! | type | is |
//! |---|---|
//! | [`Gate`] | makes one hypercall |
//! | [`Msrs`] | reads and writes synthetic MSRs |
//! | [`VpRegisters`] | [`Msrs`] by hypercalls, for a processor that has no MSRs |
//! | [`SharedPage`] | a page that the hypervisor reads and writes as well |
//! | `x86_64` | gates by the hypercall page, VMCALL and VMMCALL; MSRs, CPUID, TSC |
//! | `aarch64` | gates by HVC; the counter |
//!
//! # What makes the rest safe
//!
//! A hypercall or a synthetic MSR can make the hypervisor write to any page of the guest, behind the compiler's back. So
//! the methods that do what the caller says are `unsafe`, and everything else in this crate goes through functions of
//! this module that can name no memory but a [`SharedPage`], which was handed over by an `unsafe` constructor.

#[cfg(target_arch = "aarch64")]
pub mod aarch64;
mod msrs;
mod page;
mod vp_registers;
#[cfg(target_arch = "x86_64")]
pub mod x86_64;

use zerocopy::IntoBytes;

use super::rep::{RepCall, RepError};
use crate::wire::{PostMessageInput, SignalEventInput};
use crate::{CallCode, HypercallControl, HypercallResult};

pub use msrs::{MsrError, Msrs, RegisterError};
pub(crate) use msrs::{PageRegister, Plain, turn_off, turn_on, write_plain};
pub use page::{PageError, SharedPage};
pub use vp_registers::VpRegisters;

/// Makes one hypercall.
///
/// Ready-made: `x86_64::PageGate`, `x86_64::VmcallGate`, `x86_64::VmmcallGate`, `aarch64::HvcGate` and
/// `aarch64::SmcccGate`, each on its architecture.
///
/// # Contract
///
/// A method makes exactly the call that it is asked for, with no other effect on the program's memory, and returns the
/// result value as the hypervisor gave it. It may be called on any processor, with interrupts on or off. It does not
/// continue a rep call: see [`call_rep`].
pub trait Gate {
    /// Makes a call whose parameters are in memory, or that takes at most 16 bytes in the fast form.
    ///
    /// | form | `first` | `second` |
    /// |---|---|---|
    /// | memory | guest-physical address of the input, or 0 | that of the output, or 0 |
    /// | [fast](HypercallControl::with_fast) | bytes 0 to 7 of the input | bytes 8 to 15 |
    ///
    /// Both addresses are multiples of 8, and what they point to stays within a page that is no overlay, such as the
    /// SynIC's pages are.
    ///
    /// # Safety
    ///
    /// What the hypervisor does for this call breaks none of the program's assumptions: most of all, the memory that it
    /// writes (the output, or what else the call names) is the caller's to have written.
    unsafe fn call(&self, control: HypercallControl, first: u64, second: u64) -> HypercallResult;

    /// Makes a call in the fast form whose input, and output if it has some, are in more registers than two: XMM
    /// registers on x86-64 (TLFS "XMM Fast Hypercall Input"), X1 or X2 and on on AArch64.
    ///
    /// `input` and `output` are in units of 8 bytes. On x86-64 both, each rounded up to 16 bytes, have 112 bytes of
    /// registers, on AArch64 128. On x86-64 a hypervisor raises #UD unless it offers
    /// [`Features::XMM_INPUT`](crate::cpuid::Features::XMM_INPUT), and
    /// [`XMM_OUTPUT`](crate::cpuid::Features::XMM_OUTPUT) for output.
    ///
    /// # Errors
    ///
    /// Registers do not hold so much. No call was made.
    ///
    /// # Safety
    ///
    /// As for [`call`](Self::call). On x86-64, SSE instructions are usable: CR4.OSFXSR is on, CR0.EM and CR0.TS off.
    unsafe fn call_extended(
        &self,
        control: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong>;
}

impl<G: Gate + ?Sized> Gate for &G {
    unsafe fn call(&self, control: HypercallControl, first: u64, second: u64) -> HypercallResult {
        // SAFETY: the caller's promise is the same.
        unsafe { (**self).call(control, first, second) }
    }

    unsafe fn call_extended(
        &self,
        control: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong> {
        // SAFETY: the caller's promise is the same.
        unsafe { (**self).call_extended(control, input, output) }
    }
}

/// Registers do not hold a call's input and output: the caller's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("registers do not hold {input} words of input and {output} of output")]
pub struct TooLong {
    /// Words of 8 bytes that were to be passed.
    pub input: usize,
    /// Words of 8 bytes that were to be returned.
    pub output: usize,
}

/// Where registers of the fast form return output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FastOutput {
    /// In the first pair of registers behind the input: x86-64, and AArch64 by SMCCC.
    BehindInput,
    /// In the last ones: AArch64 by HVC #1.
    Last,
}

/// The `N` words that registers of the extended fast form hold, in their order; `N` is even.
///
/// This is for implementors of [`Gate`]. Sources: TLFS "XMM Fast Hypercall Output"; OpenVMM `hv1_hypercall`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct FastBlock<const N: usize> {
    words: [u64; N],
    output_start: usize,
}

impl<const N: usize> FastBlock<N> {
    /// The input in the first registers, and zero in the others.
    ///
    /// # Errors
    /// The registers do not hold input and output.
    pub fn new(input: &[u64], output: usize, place: FastOutput) -> Result<Self, TooLong> {
        let error = TooLong {
            input: input.len(),
            output,
        };
        let pairs = |words: usize| words.checked_next_multiple_of(2).ok_or(error);
        let room = N.checked_sub(pairs(input.len())?).ok_or(error)?;
        let spare = room.checked_sub(pairs(output)?).ok_or(error)?;
        let output_start = match place {
            FastOutput::BehindInput => N.saturating_sub(room),
            FastOutput::Last => N.saturating_sub(room.saturating_sub(spare)),
        };
        let mut words = [0; N];
        for (to, from) in words.iter_mut().zip(input) {
            *to = *from;
        }
        Ok(Self { words, output_start })
    }

    /// The registers, to be loaded before the call and stored after it.
    #[must_use]
    pub fn words(&mut self) -> &mut [u64; N] {
        &mut self.words
    }

    /// Copies what the hypervisor returned in the registers.
    pub fn output(&self, output: &mut [u64]) {
        for (to, from) in output.iter_mut().zip(self.words.iter().skip(self.output_start)) {
            *to = *from;
        }
    }
}

/// Makes a rep call whose parameters are in memory, and continues it until all elements of its list are done.
///
/// A hypervisor may return after any element (TLFS "Hypercall Continuation"); then the same call is made again with the
/// rep start moved. The loop ends after at most 17 calls for each element, whatever the hypervisor answers.
///
/// `control` has the rep count, and a rep start of 0 unless elements are to be left out.
///
/// # Errors
///
/// An element failed; or the hypervisor claims what cannot be, or makes no progress.
///
/// # Safety
///
/// As for [`Gate::call`].
pub unsafe fn call_rep(
    gate: &(impl Gate + ?Sized),
    control: HypercallControl,
    input: u64,
    output: u64,
) -> Result<(), RepError> {
    let mut call = RepCall::new(control);
    while let Some(control) = call.next_control() {
        // SAFETY: the caller's promise covers every element of the list.
        let result = unsafe { gate.call(control, input, output) };
        call.answered(result)?;
    }
    Ok(())
}

/// Signals an event.
pub(crate) fn signal_event(gate: &(impl Gate + ?Sized), input: SignalEventInput) -> HypercallResult {
    let control = HypercallControl::new(CallCode::SIGNAL_EVENT).with_fast();
    // SAFETY: the call reads two registers and changes none of the caller's memory.
    unsafe { gate.call(control, input.to_register(), 0) }
}

/// Posts the message, whose input goes through the page.
pub(crate) fn post_message(
    gate: &(impl Gate + ?Sized),
    page: &mut SharedPage,
    input: &PostMessageInput,
) -> HypercallResult {
    page.write(0, input.as_bytes());
    let control = HypercallControl::new(CallCode::POST_MESSAGE);
    // SAFETY: the call reads its input, which is a page that was handed over for that, and has no output.
    unsafe { gate.call(control, page.gpa(), 0) }
}
