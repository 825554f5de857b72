//! What an AArch64 processor was doing, and was about to do.

use zerocopy::little_endian::{U16, U32, U64};

use crate::macros::wire_struct;

wire_struct! {
    /// What every intercept message of AArch64 begins with.
    ///
    /// Source: OpenVMM `HvArm64InterceptMessageHeader`.
    pub struct InterceptHeaderArm64, 24 bytes {
        /// The [`VpIndex`](crate::VpIndex) of the processor.
        0: vp_index: U32,
        /// The instruction's length in bytes.
        4: instruction_length: u8,
        /// The [`InterceptAccess`](super::InterceptAccess).
        5: access_type: u8,
        /// Bits 1:0 exception level, 2 debug active, 3 interruption pending, 7:4 virtual trust level, 8 virtualization fault
        /// active.
        6: execution_state: U16,
        /// PC.
        8: pc: U64,
        /// CPSR.
        16: cpsr: U64,
    }
}

wire_struct! {
    /// Payload of [`UNMAPPED_GPA`](crate::synic::MessageType::UNMAPPED_GPA) and the like, on AArch64.
    ///
    /// Source: OpenVMM `HvArm64MemoryInterceptMessage`.
    pub struct MemoryInterceptArm64, 64 bytes {
        /// The processor.
        0: header: InterceptHeaderArm64,
        /// The [`CacheType`](super::CacheType).
        24: cache_type: U32,
        /// How many of the instruction's bytes count.
        28: instruction_byte_count: u8,
        /// [`MemoryAccessInfo`](super::MemoryAccessInfo).
        29: access_info: u8,
        /// Zero.
        30: reserved1: U16,
        /// The instruction.
        32: instruction_bytes: [u8; 4],
        /// Zero.
        36: reserved2: U32,
        /// Guest-virtual address.
        40: gva: U64,
        /// Guest-physical address.
        48: gpa: U64,
        /// The exception's syndrome (ESR).
        56: syndrome: U64,
    }
}

wire_struct! {
    /// Payload of [`HYPERCALL_INTERCEPT`](crate::synic::MessageType::HYPERCALL_INTERCEPT), on AArch64.
    ///
    /// Source: OpenVMM `HvArm64HypercallInterceptMessage`.
    pub struct HypercallInterceptArm64, 176 bytes {
        /// The processor.
        0: header: InterceptHeaderArm64,
        /// The immediate of the HVC instruction: 1, or 0 when X0 is the call's SMCCC number.
        24: immediate: U16,
        /// Zero.
        26: reserved: U16,
        /// Bit 0: the guest is isolated.
        28: flags: U32,
        /// X0 to X17.
        32: x: [U64; 18],
    }
}

wire_struct! {
    /// Payload of [`SYNIC_SINT_DELIVERABLE`](crate::synic::MessageType::SYNIC_SINT_DELIVERABLE), on AArch64.
    ///
    /// Source: OpenVMM `HvArm64SynicSintDeliverableMessage`.
    pub struct SintDeliverableArm64, 32 bytes {
        /// The processor.
        0: header: InterceptHeaderArm64,
        /// SINT `n` is bit `n`.
        24: deliverable_sints: U16,
        /// Zero.
        26: reserved1: U16,
        /// Zero.
        28: reserved2: U32,
    }
}

wire_struct! {
    /// Payload of [`ARM64_RESET_INTERCEPT`](crate::synic::MessageType::ARM64_RESET_INTERCEPT).
    ///
    /// Source: OpenVMM `HvArm64ResetInterceptMessage`.
    pub struct ResetInterceptArm64, 32 bytes {
        /// The processor.
        0: header: InterceptHeaderArm64,
        /// 0 power off, 1 reboot.
        24: reset_type: U32,
        /// Zero.
        28: padding: U32,
    }
}
