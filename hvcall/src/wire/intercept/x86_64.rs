//! What an x86-64 processor was doing, and was about to do.

use zerocopy::little_endian::{U16, U32, U64};

use crate::macros::wire_struct;
use crate::wire::SegmentRegister;

bitflags::bitflags! {
    /// The state of a processor of x86-64 at an intercept. The privilege level is bits 1:0, the virtual trust level bits 10:7.
    ///
    /// Source: Linux `union hv_x64_vp_execution_state` (`include/hyperv`); OpenVMM `HvX64VpExecutionState`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ExecutionStateX64: u16 {
        /// CR0.PE.
        const CR0_PE = 1 << 2;
        /// CR0.AM.
        const CR0_AM = 1 << 3;
        /// EFER.LMA.
        const EFER_LMA = 1 << 4;
        /// A debug register is in use.
        const DEBUG_ACTIVE = 1 << 5;
        /// An interruption is pending.
        const INTERRUPTION_PENDING = 1 << 6;
        /// In an enclave.
        const ENCLAVE_MODE = 1 << 11;
        /// Interrupts are held off by the instruction before.
        const INTERRUPT_SHADOW = 1 << 12;
        /// A virtualization fault is being handled.
        const VIRTUALIZATION_FAULT_ACTIVE = 1 << 13;
        const _ = !0;
    }
}

impl ExecutionStateX64 {
    /// The bits of the privilege level.
    pub const CPL: u16 = 0x3;
    /// The bits of the virtual trust level.
    pub const VTL: u16 = 0x780;

    /// The privilege level.
    #[must_use]
    pub const fn cpl(self) -> u8 {
        self.bits().to_le_bytes()[0] & 0x3
    }

    /// The virtual trust level.
    #[must_use]
    pub const fn vtl(self) -> u8 {
        ((self.bits() & Self::VTL) >> 7).to_le_bytes()[0]
    }
}

wire_struct! {
    /// What every intercept message of x86-64 begins with.
    ///
    /// Source: Linux `struct hv_x64_intercept_message_header` (`include/hyperv`); OpenVMM `HvX64InterceptMessageHeader`.
    pub struct InterceptHeaderX64, 40 bytes {
        /// The [`VpIndex`](crate::VpIndex) of the processor.
        0: vp_index: U32,
        /// Bits 3:0 the instruction's length in bytes, 7:4 CR8.
        4: instruction_length_and_cr8: u8,
        /// The [`InterceptAccess`](super::InterceptAccess).
        5: access_type: u8,
        /// [`ExecutionStateX64`].
        6: execution_state: U16,
        /// CS.
        8: cs: SegmentRegister,
        /// RIP.
        24: rip: U64,
        /// RFLAGS.
        32: rflags: U64,
    }
}

wire_struct! {
    /// Payload of [`UNMAPPED_GPA`](crate::synic::MessageType::UNMAPPED_GPA),
    /// [`GPA_INTERCEPT`](crate::synic::MessageType::GPA_INTERCEPT) and the like, on x86-64.
    ///
    /// Source: Linux `struct hv_x64_memory_intercept_message` (`include/hyperv`); OpenVMM `HvX64MemoryInterceptMessage`.
    pub struct MemoryInterceptX64, 80 bytes {
        /// The processor.
        0: header: InterceptHeaderX64,
        /// The [`CacheType`](super::CacheType).
        40: cache_type: U32,
        /// How many of the instruction's bytes count.
        44: instruction_byte_count: u8,
        /// [`MemoryAccessInfo`](super::MemoryAccessInfo).
        45: access_info: u8,
        /// The task priority.
        46: tpr_priority: u8,
        /// Zero.
        47: reserved: u8,
        /// Guest-virtual address.
        48: gva: U64,
        /// Guest-physical address.
        56: gpa: U64,
        /// The instruction.
        64: instruction_bytes: [u8; 16],
    }
}

wire_struct! {
    /// Payload of [`X64_IO_PORT_INTERCEPT`](crate::synic::MessageType::X64_IO_PORT_INTERCEPT).
    ///
    /// Source: OpenVMM `HvX64IoPortInterceptMessage`.
    pub struct IoPortInterceptX64, 128 bytes {
        /// The processor.
        0: header: InterceptHeaderX64,
        /// The port.
        40: port: U16,
        /// Bits 2:0 the bytes of an access, 3 a string instruction, 4 a repeated one.
        42: access_info: u8,
        /// How many of the instruction's bytes count.
        43: instruction_byte_count: u8,
        /// Zero.
        44: reserved: U32,
        /// RAX.
        48: rax: U64,
        /// The instruction.
        56: instruction_bytes: [u8; 16],
        /// DS.
        72: ds: SegmentRegister,
        /// ES.
        88: es: SegmentRegister,
        /// RCX.
        104: rcx: U64,
        /// RSI.
        112: rsi: U64,
        /// RDI.
        120: rdi: U64,
    }
}

wire_struct! {
    /// Payload of [`X64_MSR_INTERCEPT`](crate::synic::MessageType::X64_MSR_INTERCEPT).
    ///
    /// Source: OpenVMM `HvX64MsrInterceptMessage`.
    pub struct MsrInterceptX64, 64 bytes {
        /// The processor.
        0: header: InterceptHeaderX64,
        /// The MSR.
        40: msr: U32,
        /// Zero.
        44: reserved: U32,
        /// RDX.
        48: rdx: U64,
        /// RAX.
        56: rax: U64,
    }
}

wire_struct! {
    /// Payload of [`X64_CPUID_INTERCEPT`](crate::synic::MessageType::X64_CPUID_INTERCEPT).
    ///
    /// Source: OpenVMM `HvX64CpuidInterceptMessage`.
    pub struct CpuidInterceptX64, 104 bytes {
        /// The processor.
        0: header: InterceptHeaderX64,
        /// RAX: the leaf.
        40: rax: U64,
        /// RCX: the sub-leaf.
        48: rcx: U64,
        /// RDX.
        56: rdx: U64,
        /// RBX.
        64: rbx: U64,
        /// What the hypervisor would have answered, in the same order.
        72: default_result: [U64; 4],
    }
}

wire_struct! {
    /// Payload of [`X64_EXCEPTION_INTERCEPT`](crate::synic::MessageType::X64_EXCEPTION_INTERCEPT).
    ///
    /// Source: OpenVMM `HvX64ExceptionInterceptMessage`.
    pub struct ExceptionInterceptX64, 240 bytes {
        /// The processor.
        0: header: InterceptHeaderX64,
        /// The exception's vector.
        40: vector: U16,
        /// Bit 0: the error code counts; bit 1: it was raised by software.
        42: exception_info: u8,
        /// How many of the instruction's bytes count.
        43: instruction_byte_count: u8,
        /// The error code.
        44: error_code: U32,
        /// CR2 or DR6, by the vector.
        48: exception_parameter: U64,
        /// Zero.
        56: reserved: U64,
        /// The instruction.
        64: instruction_bytes: [u8; 16],
        /// DS.
        80: ds: SegmentRegister,
        /// SS.
        96: ss: SegmentRegister,
        /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
        112: gp_registers: [U64; 16],
    }
}

wire_struct! {
    /// Payload of [`HYPERCALL_INTERCEPT`](crate::synic::MessageType::HYPERCALL_INTERCEPT), on x86-64.
    ///
    /// Source: OpenVMM `HvX64HypercallInterceptMessage`.
    pub struct HypercallInterceptX64, 208 bytes {
        /// The processor.
        0: header: InterceptHeaderX64,
        /// RAX, RBX, RCX, RDX, R8, RSI, RDI.
        40: gp_registers: [U64; 7],
        /// XMM0 to XMM5.
        96: xmm_registers: [[U64; 2]; 6],
        /// Bit 0: the guest is isolated.
        192: flags: U32,
        /// Zero.
        196: reserved: [U32; 3],
    }
}

wire_struct! {
    /// Payload of [`X64_SIPI_INTERCEPT`](crate::synic::MessageType::X64_SIPI_INTERCEPT).
    ///
    /// Source: OpenVMM `HvX64SipiInterceptMessage`.
    pub struct SipiInterceptX64, 48 bytes {
        /// The processor that sent it.
        0: header: InterceptHeaderX64,
        /// The [`VpIndex`](crate::VpIndex) of the one that gets it.
        40: target_vp_index: U32,
        /// The vector.
        44: vector: U32,
    }
}

wire_struct! {
    /// Payload of [`SYNIC_SINT_DELIVERABLE`](crate::synic::MessageType::SYNIC_SINT_DELIVERABLE), on x86-64.
    ///
    /// Source: OpenVMM `HvX64SynicSintDeliverableMessage`.
    pub struct SintDeliverableX64, 48 bytes {
        /// The processor.
        0: header: InterceptHeaderX64,
        /// SINT `n` is bit `n`.
        40: deliverable_sints: U16,
        /// Zero.
        42: reserved1: U16,
        /// Zero.
        44: reserved2: U32,
    }
}

wire_struct! {
    /// Payload of [`X64_INTERRUPTION_DELIVERABLE`](crate::synic::MessageType::X64_INTERRUPTION_DELIVERABLE).
    ///
    /// Source: OpenVMM `HvX64InterruptionDeliverableMessage`.
    pub struct InterruptionDeliverableX64, 48 bytes {
        /// The processor.
        0: header: InterceptHeaderX64,
        /// 0 an interrupt, 2 an NMI, 3 an exception.
        40: deliverable_type: u8,
        /// Zero.
        41: reserved1: [u8; 3],
        /// Zero.
        44: reserved2: U32,
    }
}

wire_struct! {
    /// Payload of [`X64_APIC_EOI`](crate::synic::MessageType::X64_APIC_EOI).
    ///
    /// Source: Linux `struct hv_x64_apic_eoi_message` (`include/hyperv`); OpenVMM `HvX64ApicEoiMessage`.
    pub struct ApicEoiX64, 8 bytes {
        /// The [`VpIndex`](crate::VpIndex) of the processor.
        0: vp_index: U32,
        /// The vector whose interrupt ended.
        4: interrupt_vector: U32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_stand_in_the_state() {
        let state = ExecutionStateX64::from_bits_retain(0xffff);
        assert_eq!((state.cpl(), state.vtl()), (3, 15));
        let state = ExecutionStateX64::CR0_PE | ExecutionStateX64::from_bits_retain(2 << 7);
        assert_eq!((state.cpl(), state.vtl()), (0, 2));
    }
}
