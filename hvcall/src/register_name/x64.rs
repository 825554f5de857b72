//! Names of registers of x86-64.

use crate::macros::open_code;

open_code! {
    /// A register of a virtual processor of x86-64, where its number is none of [`RegisterName`](super::RegisterName).
    ///
    /// Sources: OpenVMM `HvX64RegisterName`; Linux `enum hv_register_name` (`include/hyperv`) for debug registers and MTRRs.
    pub struct RegisterNameX64(u32) as "HV_X64_REGISTER_" {
        /// RAX.
        RAX = 0x0002_0000,
        /// RCX.
        RCX = 0x0002_0001,
        /// RDX.
        RDX = 0x0002_0002,
        /// RBX.
        RBX = 0x0002_0003,
        /// RSP.
        RSP = 0x0002_0004,
        /// RBP.
        RBP = 0x0002_0005,
        /// RSI.
        RSI = 0x0002_0006,
        /// RDI.
        RDI = 0x0002_0007,
        /// R8.
        R8 = 0x0002_0008,
        /// R9.
        R9 = 0x0002_0009,
        /// R10.
        R10 = 0x0002_000a,
        /// R11.
        R11 = 0x0002_000b,
        /// R12.
        R12 = 0x0002_000c,
        /// R13.
        R13 = 0x0002_000d,
        /// R14.
        R14 = 0x0002_000e,
        /// R15.
        R15 = 0x0002_000f,
        /// RIP.
        RIP = 0x0002_0010,
        /// RFLAGS.
        RFLAGS = 0x0002_0011,
        /// XMM0.
        XMM0 = 0x0003_0000,
        /// XMM1.
        XMM1 = 0x0003_0001,
        /// XMM2.
        XMM2 = 0x0003_0002,
        /// XMM3.
        XMM3 = 0x0003_0003,
        /// XMM4.
        XMM4 = 0x0003_0004,
        /// XMM5.
        XMM5 = 0x0003_0005,
        /// XMM6.
        XMM6 = 0x0003_0006,
        /// XMM7.
        XMM7 = 0x0003_0007,
        /// XMM8.
        XMM8 = 0x0003_0008,
        /// XMM9.
        XMM9 = 0x0003_0009,
        /// XMM10.
        XMM10 = 0x0003_000a,
        /// XMM11.
        XMM11 = 0x0003_000b,
        /// XMM12.
        XMM12 = 0x0003_000c,
        /// XMM13.
        XMM13 = 0x0003_000d,
        /// XMM14.
        XMM14 = 0x0003_000e,
        /// XMM15.
        XMM15 = 0x0003_000f,
        /// ST0 or MM0.
        FP_MMX0 = 0x0003_0010,
        /// ST1 or MM1.
        FP_MMX1 = 0x0003_0011,
        /// ST2 or MM2.
        FP_MMX2 = 0x0003_0012,
        /// ST3 or MM3.
        FP_MMX3 = 0x0003_0013,
        /// ST4 or MM4.
        FP_MMX4 = 0x0003_0014,
        /// ST5 or MM5.
        FP_MMX5 = 0x0003_0015,
        /// ST6 or MM6.
        FP_MMX6 = 0x0003_0016,
        /// ST7 or MM7.
        FP_MMX7 = 0x0003_0017,
        /// Control and status of the x87.
        FP_CONTROL_STATUS = 0x0003_0018,
        /// MXCSR and more.
        XMM_CONTROL_STATUS = 0x0003_0019,
        /// CR0.
        CR0 = 0x0004_0000,
        /// CR2.
        CR2 = 0x0004_0001,
        /// CR3.
        CR3 = 0x0004_0002,
        /// CR4.
        CR4 = 0x0004_0003,
        /// CR8.
        CR8 = 0x0004_0004,
        /// XCR0.
        XFEM = 0x0004_0005,
        /// CR0 as a write to it is intercepted.
        INTERMEDIATE_CR0 = 0x0004_1000,
        /// CR3 as a write to it is intercepted.
        INTERMEDIATE_CR3 = 0x0004_1002,
        /// CR4 as a write to it is intercepted.
        INTERMEDIATE_CR4 = 0x0004_1003,
        /// CR8 as a write to it is intercepted.
        INTERMEDIATE_CR8 = 0x0004_1004,
        /// DR0.
        DR0 = 0x0005_0000,
        /// DR1.
        DR1 = 0x0005_0001,
        /// DR2.
        DR2 = 0x0005_0002,
        /// DR3.
        DR3 = 0x0005_0003,
        /// DR6.
        DR6 = 0x0005_0004,
        /// DR7.
        DR7 = 0x0005_0005,
        /// ES.
        ES = 0x0006_0000,
        /// CS.
        CS = 0x0006_0001,
        /// SS.
        SS = 0x0006_0002,
        /// DS.
        DS = 0x0006_0003,
        /// FS.
        FS = 0x0006_0004,
        /// GS.
        GS = 0x0006_0005,
        /// LDTR.
        LDTR = 0x0006_0006,
        /// TR.
        TR = 0x0006_0007,
        /// IDTR.
        IDTR = 0x0007_0000,
        /// GDTR.
        GDTR = 0x0007_0001,
        /// The TSC.
        TSC = 0x0008_0000,
        /// The MSR of that name.
        EFER = 0x0008_0001,
        /// The MSR of that name.
        KERNEL_GS_BASE = 0x0008_0002,
        /// The MSR of that name.
        APIC_BASE = 0x0008_0003,
        /// The page attribute table.
        PAT = 0x0008_0004,
        /// The MSR of that name.
        SYSENTER_CS = 0x0008_0005,
        /// The MSR of that name.
        SYSENTER_EIP = 0x0008_0006,
        /// The MSR of that name.
        SYSENTER_ESP = 0x0008_0007,
        /// The MSR of that name.
        STAR = 0x0008_0008,
        /// The MSR of that name.
        LSTAR = 0x0008_0009,
        /// The MSR of that name.
        CSTAR = 0x0008_000a,
        /// The MSR of that name.
        SFMASK = 0x0008_000b,
        /// The APIC id at reset.
        INITIAL_APIC_ID = 0x0008_000c,
        /// The MSR of that name.
        MSR_MTRR_CAP = 0x0008_000d,
        /// The MSR of that name.
        MSR_MTRR_DEF_TYPE = 0x0008_000e,
        /// Base of variable MTRR 0.
        MSR_MTRR_PHYS_BASE0 = 0x0008_0010,
        /// Base of variable MTRR 1.
        MSR_MTRR_PHYS_BASE1 = 0x0008_0011,
        /// Base of variable MTRR 2.
        MSR_MTRR_PHYS_BASE2 = 0x0008_0012,
        /// Base of variable MTRR 3.
        MSR_MTRR_PHYS_BASE3 = 0x0008_0013,
        /// Base of variable MTRR 4.
        MSR_MTRR_PHYS_BASE4 = 0x0008_0014,
        /// Base of variable MTRR 5.
        MSR_MTRR_PHYS_BASE5 = 0x0008_0015,
        /// Base of variable MTRR 6.
        MSR_MTRR_PHYS_BASE6 = 0x0008_0016,
        /// Base of variable MTRR 7.
        MSR_MTRR_PHYS_BASE7 = 0x0008_0017,
        /// Base of variable MTRR 8.
        MSR_MTRR_PHYS_BASE8 = 0x0008_0018,
        /// Base of variable MTRR 9.
        MSR_MTRR_PHYS_BASE9 = 0x0008_0019,
        /// Base of variable MTRR 10.
        MSR_MTRR_PHYS_BASEA = 0x0008_001a,
        /// Base of variable MTRR 11.
        MSR_MTRR_PHYS_BASEB = 0x0008_001b,
        /// Base of variable MTRR 12.
        MSR_MTRR_PHYS_BASEC = 0x0008_001c,
        /// Base of variable MTRR 13.
        MSR_MTRR_PHYS_BASED = 0x0008_001d,
        /// Base of variable MTRR 14.
        MSR_MTRR_PHYS_BASEE = 0x0008_001e,
        /// Base of variable MTRR 15.
        MSR_MTRR_PHYS_BASEF = 0x0008_001f,
        /// Mask of variable MTRR 0.
        MSR_MTRR_PHYS_MASK0 = 0x0008_0040,
        /// Mask of variable MTRR 1.
        MSR_MTRR_PHYS_MASK1 = 0x0008_0041,
        /// Mask of variable MTRR 2.
        MSR_MTRR_PHYS_MASK2 = 0x0008_0042,
        /// Mask of variable MTRR 3.
        MSR_MTRR_PHYS_MASK3 = 0x0008_0043,
        /// Mask of variable MTRR 4.
        MSR_MTRR_PHYS_MASK4 = 0x0008_0044,
        /// Mask of variable MTRR 5.
        MSR_MTRR_PHYS_MASK5 = 0x0008_0045,
        /// Mask of variable MTRR 6.
        MSR_MTRR_PHYS_MASK6 = 0x0008_0046,
        /// Mask of variable MTRR 7.
        MSR_MTRR_PHYS_MASK7 = 0x0008_0047,
        /// Mask of variable MTRR 8.
        MSR_MTRR_PHYS_MASK8 = 0x0008_0048,
        /// Mask of variable MTRR 9.
        MSR_MTRR_PHYS_MASK9 = 0x0008_0049,
        /// Mask of variable MTRR 10.
        MSR_MTRR_PHYS_MASKA = 0x0008_004a,
        /// Mask of variable MTRR 11.
        MSR_MTRR_PHYS_MASKB = 0x0008_004b,
        /// Mask of variable MTRR 12.
        MSR_MTRR_PHYS_MASKC = 0x0008_004c,
        /// Mask of variable MTRR 13.
        MSR_MTRR_PHYS_MASKD = 0x0008_004d,
        /// Mask of variable MTRR 14.
        MSR_MTRR_PHYS_MASKE = 0x0008_004e,
        /// Mask of variable MTRR 15.
        MSR_MTRR_PHYS_MASKF = 0x0008_004f,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX64K00000 = 0x0008_0070,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX16K80000 = 0x0008_0071,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX16KA0000 = 0x0008_0072,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX4KC0000 = 0x0008_0073,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX4KC8000 = 0x0008_0074,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX4KD0000 = 0x0008_0075,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX4KD8000 = 0x0008_0076,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX4KE0000 = 0x0008_0077,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX4KE8000 = 0x0008_0078,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX4KF0000 = 0x0008_0079,
        /// The fixed MTRR of that name.
        MSR_MTRR_FIX4KF8000 = 0x0008_007a,
        /// The MSR of that name.
        TSC_AUX = 0x0008_007b,
        /// The MSR of that name.
        BNDCFGS = 0x0008_007c,
        /// The MSR of that name.
        DEBUG_CTL = 0x0008_007d,
        /// The MSR of that name.
        M_COUNT = 0x0008_007e,
        /// The MSR of that name.
        A_COUNT = 0x0008_007f,
        /// The MSR of that name.
        SGX_LAUNCH_CONTROL0 = 0x0008_0080,
        /// The MSR of that name.
        SGX_LAUNCH_CONTROL1 = 0x0008_0081,
        /// The MSR of that name.
        SGX_LAUNCH_CONTROL2 = 0x0008_0082,
        /// The MSR of that name.
        SGX_LAUNCH_CONTROL3 = 0x0008_0083,
        /// The MSR of that name.
        SPEC_CTRL = 0x0008_0084,
        /// The MSR of that name.
        PRED_CMD = 0x0008_0085,
        /// The MSR of that name.
        VIRT_SPEC_CTRL = 0x0008_0086,
        /// What is added to the TSC.
        TSC_VIRTUAL_OFFSET = 0x0008_0087,
        /// The MSR of that name.
        TSX_CTRL = 0x0008_0088,
        /// The MSR of that name.
        MSR_MC_UPDATE_PATCH_LEVEL = 0x0008_0089,
        /// Not in use.
        AVAILABLE1 = 0x0008_008a,
        /// The MSR of that name.
        XSS = 0x0008_008b,
        /// The MSR of that name.
        U_CET = 0x0008_008c,
        /// The MSR of that name.
        S_CET = 0x0008_008d,
        /// The shadow stack pointer.
        SSP = 0x0008_008e,
        /// The MSR of that name.
        PL0_SSP = 0x0008_008f,
        /// The MSR of that name.
        PL1_SSP = 0x0008_0090,
        /// The MSR of that name.
        PL2_SSP = 0x0008_0091,
        /// The MSR of that name.
        PL3_SSP = 0x0008_0092,
        /// The MSR of that name.
        INTERRUPT_SSP_TABLE_ADDR = 0x0008_0093,
        /// By what the TSC is multiplied.
        TSC_VIRTUAL_MULTIPLIER = 0x0008_0094,
        /// The MSR of that name.
        TSC_DEADLINE = 0x0008_0095,
        /// The MSR of that name.
        TSC_ADJUST = 0x0008_0096,
        /// The MSR of that name.
        PASID = 0x0008_0097,
        /// The MSR of that name.
        UMWAIT_CONTROL = 0x0008_0098,
        /// The MSR of that name.
        XFD = 0x0008_0099,
        /// The MSR of that name.
        XFD_ERR = 0x0008_009a,
        /// Partition timer assist: period.
        EMULATED_TIMER_PERIOD = 0x0009_0030,
        /// Partition timer assist: control.
        EMULATED_TIMER_CONTROL = 0x0009_0031,
        /// Partition timer assist: ACPI's timer.
        PM_TIMER_ASSIST = 0x0009_0032,
        /// AMD SEV: where the processor's encrypted state is.
        SEV_CONTROL = 0x0009_0040,
    }
}
