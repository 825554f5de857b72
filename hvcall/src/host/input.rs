//! Where a call's parameters are: in registers, or in one page of guest memory.

use crate::{GuestMemory, HvStatus, HypercallControl};

/// XMM registers that carry parameters: XMM0 to XMM5.
pub const XMM_REGISTERS: usize = 6;
/// Bytes of parameters that fit registers: two of 8 bytes and six of 16.
pub const FAST_INPUT_MAX: usize = 112;
/// Bytes of parameters that fit the two general registers.
const GENERAL_INPUT_MAX: usize = 16;
/// Of 16 bytes each.
const ROWS: usize = FAST_INPUT_MAX / 16;

/// The registers of a processor that makes a hypercall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallRegisters {
    /// The control word: RCX on x86-64, X0 on AArch64; `input` of KVM's hypercall exit.
    pub control: u64,
    /// Address of the input, or its first 8 bytes in the fast form: RDX, X1; `params[0]` of KVM's exit.
    pub input: u64,
    /// Address of the output, or the second 8 bytes of the input in the fast form: R8, X2; `params[1]` of KVM's exit.
    pub output: u64,
    /// XMM0 to XMM5, when the guest may pass input there ([`Features::XMM_INPUT`](crate::cpuid::Features::XMM_INPUT))
    /// and the VMM knows them. KVM does not pass them on.
    pub xmm: Option<[u128; XMM_REGISTERS]>,
}

impl CallRegisters {
    /// The control word.
    #[must_use]
    pub const fn control(&self) -> HypercallControl {
        HypercallControl::from_bits(self.control)
    }

    /// The bytes of the fast form in their order, and how many of them count.
    #[inline]
    fn fast_input(&self) -> ([[u8; 16]; ROWS], usize) {
        let general = u128::from(self.output) << 64 | u128::from(self.input);
        let [a, b, c, d, e, f] = self.xmm.unwrap_or_default();
        (
            [general, a, b, c, d, e, f].map(u128::to_le_bytes),
            if self.xmm.is_some() {
                FAST_INPUT_MAX
            } else {
                GENERAL_INPUT_MAX
            },
        )
    }
}

/// Copies a call's input into the whole of `dst`, from where the control word says that it is.
///
/// This is for a VMM that answers more calls than [`decode`](super::decode) does.
///
/// # Errors
/// * [`HvStatus::INVALID_HYPERCALL_INPUT`]: the fast form, and registers do not hold so much.
/// * [`HvStatus::INVALID_ALIGNMENT`]: the address is no multiple of 8, the input crosses into the next page, or it is
///   not wholly in guest memory. The specification has this one status for the three.
pub fn read_input(
    registers: &CallRegisters,
    memory: &(impl GuestMemory + ?Sized),
    dst: &mut [u8],
) -> Result<(), HvStatus> {
    if registers.control().is_fast() {
        let (bytes, len) = registers.fast_input();
        let bytes = bytes
            .as_flattened()
            .get(..len)
            .and_then(|bytes| bytes.get(..dst.len()));
        dst.copy_from_slice(bytes.ok_or(HvStatus::INVALID_HYPERCALL_INPUT)?);
        Ok(())
    } else {
        check_parameters(registers.input, dst.len())?;
        memory
            .read(registers.input, dst)
            .map_err(|_| HvStatus::INVALID_ALIGNMENT)
    }
}

/// Judges the address of a call's output of `len` bytes, and returns it.
///
/// Whether there is memory shows when the output is written: answer [`HvStatus::INVALID_ALIGNMENT`] when that fails.
///
/// # Errors
/// [`HvStatus::INVALID_ALIGNMENT`]: the address is no multiple of 8, or the output crosses into the next page.
pub fn check_output(registers: &CallRegisters, len: usize) -> Result<u64, HvStatus> {
    check_parameters(registers.output, len)?;
    Ok(registers.output)
}

/// Parameters begin at a multiple of 8 and stay within their page.
fn check_parameters(gpa: u64, len: usize) -> Result<(), HvStatus> {
    let room = 0x1000u64.saturating_sub(gpa & 0xfff);
    if !gpa.is_multiple_of(8) || u64::try_from(len).map_or(true, |len| len > room) {
        return Err(HvStatus::INVALID_ALIGNMENT);
    }
    Ok(())
}
