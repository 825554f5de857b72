//! The gates' assembly, against a hypercall page of the tests' own: code that tells what it found in the registers and
//! leaves in them what it was told to.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_wrap,
    reason = "a test that overflows fails"
)]

use core::arch::global_asm;
use core::ptr::NonNull;
use std::sync::{Mutex, MutexGuard};

use super::super::SharedPage;
use super::*;
use crate::{CallCode, HvStatus};

global_asm!(
    ".pushsection .text.fake_hypercall_page,\"ax\",@progbits",
    ".balign 4096",
    "fake_hypercall_page:",
    "mov rax, qword ptr [rip + fake_hypercall_exchange@GOTPCREL]",
    "mov [rax], rcx",
    "mov [rax + 8], rdx",
    "mov [rax + 16], r8",
    "movups [rax + 24], xmm0",
    "movups [rax + 40], xmm1",
    "movups [rax + 56], xmm2",
    "movups [rax + 72], xmm3",
    "movups [rax + 88], xmm4",
    "movups [rax + 104], xmm5",
    "mov rcx, -1",
    "mov r9, rcx",
    "mov r10, rcx",
    "mov r11, rcx",
    "mov rdx, [rax + 120]",
    "mov r8, [rax + 128]",
    // Only a call that is fast may have output in registers.
    "test byte ptr [rax + 2], 1",
    "jz 2f",
    "movups xmm0, [rax + 136]",
    "movups xmm1, [rax + 152]",
    "movups xmm2, [rax + 168]",
    "movups xmm3, [rax + 184]",
    "movups xmm4, [rax + 200]",
    "movups xmm5, [rax + 216]",
    "2:",
    "mov rax, [rax + 232]",
    "ret",
    ".balign 4096",
    ".popsection",
);

/// What the page found and what it leaves: its offsets are in the assembly above.
#[repr(C)]
#[derive(Debug)]
struct Exchange {
    control: u64,
    found: [u64; FAST_WORDS],
    leaves: [u64; FAST_WORDS],
    result: u64,
}

unsafe extern "C" {
    static fake_hypercall_page: [u8; 4096];
}

#[unsafe(no_mangle)]
static mut fake_hypercall_exchange: Exchange = Exchange {
    control: 0,
    found: [0; FAST_WORDS],
    leaves: [0; FAST_WORDS],
    result: 0,
};

static TURN: Mutex<()> = Mutex::new(());

/// The exchange for one test at a time.
struct Turn(#[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

impl Turn {
    fn new(leaves: [u64; FAST_WORDS], result: u64) -> Self {
        let turn = Self(TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        // SAFETY: it is this test's turn.
        unsafe {
            (&raw mut fake_hypercall_exchange.leaves).write_volatile(leaves);
            (&raw mut fake_hypercall_exchange.result).write_volatile(result);
        }
        turn
    }

    fn found(&self) -> (u64, [u64; FAST_WORDS]) {
        // SAFETY: it is this test's turn.
        unsafe {
            (
                (&raw const fake_hypercall_exchange.control).read_volatile(),
                (&raw const fake_hypercall_exchange.found).read_volatile(),
            )
        }
    }
}

/// Registers that keep what they are given.
#[derive(Default)]
struct Registers([core::cell::Cell<u64>; 2]);

impl Msrs for Registers {
    fn read(&self, msr: Msr) -> Result<u64, MsrError> {
        Ok(self.0[usize::from(msr == Msr::HYPERCALL)].get())
    }

    unsafe fn write(&self, msr: Msr, value: u64) -> Result<(), MsrError> {
        self.0[usize::from(msr == Msr::HYPERCALL)].set(value);
        Ok(())
    }
}

fn call_page() -> (CallPage, Registers) {
    let page = NonNull::from(fake_page()).cast();
    // SAFETY: the page is code that nobody writes, and a hypercall page is not written by its owner.
    let page = unsafe { SharedPage::new(page, 0x1000) }.unwrap();
    let registers = Registers::default();
    registers.0[0].set(1);
    (CallPage::new(page), registers)
}

fn fake_page() -> &'static [u8; 4096] {
    // SAFETY: the assembly above defines it, and nothing changes it.
    unsafe { &fake_hypercall_page }
}

fn words(first: u64) -> [u64; FAST_WORDS] {
    core::array::from_fn(|at| first + at as u64)
}

#[test]
fn a_page_that_is_off_has_no_gate() {
    let (page, _) = call_page();
    // SAFETY: the fake page is executable.
    assert!(matches!(unsafe { PageGate::new(&page) }, Err(NotEnabled)));
}

#[test]
fn parameters_are_in_the_registers_of_the_specification() {
    let turn = Turn::new(words(0x900), 0x0000_0007_0000_0005);
    let (mut page, registers) = call_page();
    page.enable(&registers).unwrap();
    let control = HypercallControl::new(CallCode::POST_MESSAGE);
    // SAFETY: the fake page is executable and does no harm.
    let result = unsafe { PageGate::new(&page).unwrap().call(control, 0x1111, 0x2222) };
    assert_eq!(
        (result.status(), result.reps_done()),
        (HvStatus::INVALID_PARAMETER, 7)
    );
    let (came, [first, second, ..]) = turn.found();
    assert_eq!((came, first, second), (control.bits(), 0x1111, 0x2222));
}

#[test]
fn the_extended_form_fills_all_registers_and_brings_output_back() {
    let turn = Turn::new(words(0x900), 0);
    let (mut page, registers) = call_page();
    page.enable(&registers).unwrap();
    let control = HypercallControl::new(CallCode::SEND_IPI_EX);
    // SAFETY: the fake page is executable.
    let gate = unsafe { PageGate::new(&page) }.unwrap();
    // SAFETY: the fake page does no harm.
    let result = unsafe { gate.call_extended(control, &words(1), &mut []) }.unwrap();
    assert!(result.status().is_success());
    assert_eq!(turn.found(), (control.with_fast().bits(), words(1)));

    let mut output = [0; 10];
    // SAFETY: as above.
    let result = unsafe { gate.call_extended(control, &[1, 2, 3], &mut output) }.unwrap();
    assert!(result.status().is_success());
    let (_, found) = turn.found();
    assert_eq!(found[..4], [1, 2, 3, 0]);
    assert_eq!(output, words(0x900)[4..]);

    // SAFETY: no call is made.
    let refused = unsafe { gate.call_extended(control, &[0; 15], &mut []) };
    assert_eq!(refused, Err(TooLong { input: 15, output: 0 }));
}

/// A kernel without SSE may have a program's values in these registers.
#[test]
fn xmm_registers_are_as_they_were_after_a_call() {
    use core::arch::x86_64::{__m128i, _mm_set1_epi64x};

    let turn = Turn::new(words(0x900), 0);
    let entry = fake_page().as_ptr();
    let mut block = words(1);
    // SAFETY: SSE2 is in every x86-64 processor.
    let mut kept: [__m128i; 6] = core::array::from_fn(|at| unsafe { _mm_set1_epi64x(0x77 + at as i64) });
    let [k0, k1, k2, k3, k4, k5] = &mut kept;
    // SAFETY: the fake page is executable and does no harm.
    let result = unsafe {
        call_extended!(
            "call {entry}", 0x1_0015u64, &mut block, entry = entry;
            inout("xmm0") *k0, inout("xmm1") *k1, inout("xmm2") *k2,
            inout("xmm3") *k3, inout("xmm4") *k4, inout("xmm5") *k5,
        )
    };
    assert_eq!((result, turn.found()), (0, (0x1_0015, words(1))));
    assert_eq!(block, words(0x900));
    for (at, value) in kept.into_iter().enumerate() {
        // SAFETY: both are 16 bytes that may hold anything.
        let halves: [u64; 2] = unsafe { core::mem::transmute(value) };
        assert_eq!(halves, [0x77 + at as u64; 2], "XMM{at}");
    }
}

#[test]
fn cpuid_and_the_tsc_are_the_processors() {
    let vendor = NativeCpuid.cpuid(0);
    assert!(vendor.eax >= 1 && vendor.ebx != 0);
    assert_ne!(tsc(), 0);
}
