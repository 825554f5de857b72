//! Registers of the processor by hypercall.

use super::{Gate, MsrError, Msrs};
use crate::cpuid::{CallAccess, MsrAccess};
use crate::{CallCode, HvStatus, HypercallControl, Msr, RegisterName, VpIndex};

/// The own partition, in place of an id.
const PARTITION_SELF: u64 = u64::MAX;

/// [`Msrs`] of the calling processor by [`GET_VP_REGISTERS`](CallCode::GET_VP_REGISTERS) and
/// [`SET_VP_REGISTERS`](CallCode::SET_VP_REGISTERS), in the fast form: what AArch64 has instead.
///
/// Some registers may be read before the guest OS id is set, so that it can be set this way. Sources: TLFS
/// "HvCallGetVpRegisters" and "HvCallSetVpRegisters"; Linux `hv_get_vpreg_128` and `hv_set_vpreg` for AArch64.
#[derive(Clone, Copy, Debug)]
pub struct VpRegisters<G> {
    gate: G,
}

impl<G: Gate> VpRegisters<G> {
    /// Registers through this gate, which can return output in registers.
    pub const fn new(gate: G) -> Self {
        Self { gate }
    }

    /// Reads a register, all 128 bits of it, the low half first.
    ///
    /// # Errors
    /// The hypervisor's answer. One that claims success and that no register was read comes as
    /// [`HvStatus::OPERATION_FAILED`].
    pub fn get(&self, name: RegisterName) -> Result<[u64; 2], HvStatus> {
        let mut value = [0; 2];
        let input = [PARTITION_SELF, u64::from(VpIndex::SELF.0), u64::from(name.0)];
        // SAFETY: the call changes nothing but registers of the fast form.
        unsafe { self.one(CallCode::GET_VP_REGISTERS, &input, &mut value) }?;
        Ok(value)
    }

    /// What the guest may use: what leaf 0x40000003 tells on x86-64. (The rest of that leaf is in an order of its own
    /// here.)
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn privileges(&self) -> Result<(MsrAccess, CallAccess), HvStatus> {
        let [low, _high] = self.get(RegisterName::PRIVILEGES_AND_FEATURES_INFO)?;
        let [a, b, c, d, e, f, g, h] = low.to_le_bytes();
        Ok((
            MsrAccess::from_bits_retain(u32::from_le_bytes([a, b, c, d])),
            CallAccess::from_bits_retain(u32::from_le_bytes([e, f, g, h])),
        ))
    }

    /// Sets a register.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    ///
    /// # Safety
    ///
    /// As for [`Msrs::write`]; and the register is a synthetic one, none that the compiler or the kernel owns.
    pub unsafe fn set(&self, name: RegisterName, value: [u64; 2]) -> Result<(), HvStatus> {
        let [low, high] = value;
        let input = [
            PARTITION_SELF,
            u64::from(VpIndex::SELF.0),
            u64::from(name.0),
            0,
            low,
            high,
        ];
        // SAFETY: by the contract.
        unsafe { self.one(CallCode::SET_VP_REGISTERS, &input, &mut []) }
    }

    /// # Safety
    ///
    /// As for [`Gate::call_extended`].
    unsafe fn one(&self, code: CallCode, input: &[u64], output: &mut [u64]) -> Result<(), HvStatus> {
        let control = HypercallControl::new(code).with_reps(0, 1);
        let control = control.ok_or(HvStatus::INVALID_HYPERCALL_INPUT)?;
        // SAFETY: by the contract.
        let result = unsafe { self.gate.call_extended(control, input, output) };
        let result = result.map_err(|_| HvStatus::INVALID_HYPERCALL_INPUT)?;
        result.status().ok()?;
        if result.reps_done() == 1 {
            Ok(())
        } else {
            Err(HvStatus::OPERATION_FAILED)
        }
    }
}

impl<G: Gate> Msrs for VpRegisters<G> {
    fn read(&self, msr: Msr) -> Result<u64, MsrError> {
        let name = msr.register_name().ok_or(MsrError::Unavailable { msr })?;
        let [low, _high] = self
            .get(name)
            .map_err(|status| MsrError::Refused { msr, status })?;
        Ok(low)
    }

    unsafe fn write(&self, msr: Msr, value: u64) -> Result<(), MsrError> {
        let name = msr.register_name().ok_or(MsrError::Unavailable { msr })?;
        // SAFETY: the caller's promise is the same, and a register with an MSR's meaning is a synthetic one.
        unsafe { self.set(name, [value, 0]) }.map_err(|status| MsrError::Refused { msr, status })
    }
}
