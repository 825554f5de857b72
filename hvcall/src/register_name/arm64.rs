//! Names of registers of AArch64.

use crate::macros::open_code;

open_code! {
    /// A register of a virtual processor of AArch64, where its number is none of [`RegisterName`](super::RegisterName). The numbers are not those
    /// of x86-64's registers.
    ///
    /// Source: OpenVMM `HvArm64RegisterName`.
    pub struct RegisterNameArm64(u32) as "HV_ARM64_REGISTER_" {
        /// X0.
        X0 = 0x0002_0000,
        /// X1.
        X1 = 0x0002_0001,
        /// X2.
        X2 = 0x0002_0002,
        /// X3.
        X3 = 0x0002_0003,
        /// X4.
        X4 = 0x0002_0004,
        /// X5.
        X5 = 0x0002_0005,
        /// X6.
        X6 = 0x0002_0006,
        /// X7.
        X7 = 0x0002_0007,
        /// X8.
        X8 = 0x0002_0008,
        /// X9.
        X9 = 0x0002_0009,
        /// X10.
        X10 = 0x0002_000a,
        /// X11.
        X11 = 0x0002_000b,
        /// X12.
        X12 = 0x0002_000c,
        /// X13.
        X13 = 0x0002_000d,
        /// X14.
        X14 = 0x0002_000e,
        /// X15.
        X15 = 0x0002_000f,
        /// X16.
        X16 = 0x0002_0010,
        /// X17.
        X17 = 0x0002_0011,
        /// X18.
        X18 = 0x0002_0012,
        /// X19.
        X19 = 0x0002_0013,
        /// X20.
        X20 = 0x0002_0014,
        /// X21.
        X21 = 0x0002_0015,
        /// X22.
        X22 = 0x0002_0016,
        /// X23.
        X23 = 0x0002_0017,
        /// X24.
        X24 = 0x0002_0018,
        /// X25.
        X25 = 0x0002_0019,
        /// X26.
        X26 = 0x0002_001a,
        /// X27.
        X27 = 0x0002_001b,
        /// X28.
        X28 = 0x0002_001c,
        /// X29, the frame pointer.
        FP = 0x0002_001d,
        /// X30, the link register.
        LR = 0x0002_001e,
        /// The stack pointer that CPSR.SPSel selects.
        SP = 0x0002_001f,
        /// Stack pointer of EL0.
        SP_EL0 = 0x0002_0020,
        /// Stack pointer of the exception level.
        SP_ELX = 0x0002_0021,
        /// PC.
        PC = 0x0002_0022,
        /// CPSR.
        CPSR = 0x0002_0023,
        /// SPSR_EL2.
        SPSR_EL2 = 0x0002_1002,
        /// SCTLR_EL1.
        SCTLR_EL1 = 0x0004_0002,
        /// TTBR0_EL1.
        TTBR0_EL1 = 0x0004_0005,
        /// TTBR1_EL1.
        TTBR1_EL1 = 0x0004_0006,
        /// TCR_EL1.
        TCR_EL1 = 0x0004_0007,
        /// ESR_EL1.
        ESR_EL1 = 0x0004_0008,
        /// FAR_EL1.
        FAR_EL1 = 0x0004_0009,
        /// MAIR_EL1.
        MAIR_EL1 = 0x0004_000b,
        /// VBAR_EL1.
        VBAR_EL1 = 0x0004_000c,
        /// ELR_EL1.
        ELR_EL1 = 0x0004_0015,
    }
}
