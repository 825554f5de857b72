//! Leaf 0x40000003: what the guest may use.

use super::CpuidRegisters;

bitflags::bitflags! {
    /// EAX: which MSRs the guest may use; bits 31:0 of the partition's privileges.
    ///
    /// Sources: TLFS "HV_PARTITION_PRIVILEGE_MASK"; Linux `HV_MSR_*_AVAILABLE`; OpenVMM `HvPartitionPrivilege`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MsrAccess: u32 {
        /// [`VP_RUNTIME`](crate::msr::Msr::VP_RUNTIME).
        const VP_RUNTIME = 1 << 0;
        /// [`TIME_REF_COUNT`](crate::msr::Msr::TIME_REF_COUNT).
        const TIME_REF_COUNT = 1 << 1;
        /// The SynIC: [`SCONTROL`](crate::msr::Msr::SCONTROL) to [`SINT15`](crate::msr::Msr::SINT15). VMBus needs it.
        const SYNIC = 1 << 2;
        /// The synthetic timers. Linux starts its VMBus driver without them.
        const SYNTHETIC_TIMERS = 1 << 3;
        /// [`EOI`](crate::msr::Msr::EOI), [`ICR`](crate::msr::Msr::ICR) and [`TPR`](crate::msr::Msr::TPR).
        const APIC = 1 << 4;
        /// [`GUEST_OS_ID`](crate::msr::Msr::GUEST_OS_ID) and [`HYPERCALL`](crate::msr::Msr::HYPERCALL).
        const HYPERCALL = 1 << 5;
        /// [`VP_INDEX`](crate::msr::Msr::VP_INDEX).
        const VP_INDEX = 1 << 6;
        /// [`RESET`](crate::msr::Msr::RESET).
        const RESET = 1 << 7;
        /// The pages of statistics.
        const STATS_PAGES = 1 << 8;
        /// [`REFERENCE_TSC`](crate::msr::Msr::REFERENCE_TSC).
        const REFERENCE_TSC = 1 << 9;
        /// [`GUEST_IDLE`](crate::msr::Msr::GUEST_IDLE).
        const GUEST_IDLE = 1 << 10;
        /// [`TSC_FREQUENCY`](crate::msr::Msr::TSC_FREQUENCY) and [`APIC_FREQUENCY`](crate::msr::Msr::APIC_FREQUENCY).
        const FREQUENCIES = 1 << 11;
        /// The synthetic debugger's.
        const DEBUG = 1 << 12;
        /// [`REENLIGHTENMENT_CONTROL`](crate::msr::Msr::REENLIGHTENMENT_CONTROL) and the two after it.
        const REENLIGHTENMENT = 1 << 13;
        /// The root scheduler's.
        const ROOT_SCHEDULER = 1 << 14;
        /// [`TSC_INVARIANT_CONTROL`](crate::msr::Msr::TSC_INVARIANT_CONTROL).
        const TSC_INVARIANT = 1 << 15;
        const _ = !0;
    }
}

impl MsrAccess {
    /// What VMBus needs: hypercalls, the VP index and the SynIC.
    pub const VMBUS: Self = Self::SYNIC.union(Self::HYPERCALL).union(Self::VP_INDEX);
}

bitflags::bitflags! {
    /// EBX: which hypercalls the guest may make; bits 63:32 of the partition's privileges.
    ///
    /// Sources as for [`MsrAccess`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CallAccess: u32 {
        /// Create partitions, and what else concerns children. Linux takes itself for the root partition when it has
        /// this and [`CPU_MANAGEMENT`](Self::CPU_MANAGEMENT).
        const CREATE_PARTITIONS = 1 << 0;
        /// Ask for its own partition id.
        const PARTITION_ID = 1 << 1;
        /// Deposit and withdraw memory.
        const MEMORY_POOL = 1 << 2;
        /// Change the number of message buffers.
        const ADJUST_MESSAGE_BUFFERS = 1 << 3;
        /// Post messages. VMBus needs it.
        const POST_MESSAGES = 1 << 4;
        /// Signal events. VMBus needs it.
        const SIGNAL_EVENTS = 1 << 5;
        /// Create ports.
        const CREATE_PORT = 1 << 6;
        /// Connect to ports.
        const CONNECT_PORT = 1 << 7;
        /// Map pages of statistics.
        const STATS = 1 << 8;
        /// Make the debugger's calls. (QEMU has this at bit 12; TLFS, Linux and OpenVMM at 11.)
        const DEBUGGING = 1 << 11;
        /// Manage processors.
        const CPU_MANAGEMENT = 1 << 12;
        /// Configure the profiler.
        const CONFIGURE_PROFILER = 1 << 13;
        /// Trace a processor's exits.
        const VP_EXIT_TRACING = 1 << 14;
        /// Give extended ranges to a flush of addresses.
        const EXTENDED_GVA_RANGES_FLUSH = 1 << 15;
        /// Use virtual secure mode.
        const VSM = 1 << 16;
        /// Read and set registers of processors.
        const VP_REGISTERS = 1 << 17;
        /// Take output in registers.
        const FAST_HYPERCALL_OUTPUT = 1 << 19;
        /// Make extended calls.
        const EXTENDED_HYPERCALLS = 1 << 20;
        /// Start processors by hypercall.
        const START_VP = 1 << 21;
        /// The partition is isolated from the host.
        const ISOLATION = 1 << 22;
        const _ = !0;
    }
}

impl CallAccess {
    /// What VMBus needs: messages and events.
    pub const VMBUS: Self = Self::POST_MESSAGES.union(Self::SIGNAL_EVENTS);
}

bitflags::bitflags! {
    /// ECX: power and what else the hypervisor has. Source: OpenVMM `HvFeatures`; Linux for the last two.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PowerFeatures: u32 {
        /// The deepest sleep state of the processor that is supported: bits 3:0 as a number.
        const MAX_C_STATE = 0xf;
        /// HPET is needed to enter C3. Deprecated.
        const HPET_NEEDED_FOR_C3 = 1 << 4;
        /// MPERF is invariant.
        const INVARIANT_MPERF = 1 << 5;
        /// Supervisor shadow stacks.
        const SUPERVISOR_SHADOW_STACK = 1 << 6;
        /// The architecture's performance monitoring.
        const ARCH_PMU = 1 << 7;
        /// Exceptions can be intercepted as traps.
        const EXCEPTION_TRAP_INTERCEPT = 1 << 8;
        /// Interrupts can be injected as a processor is dispatched.
        const VP_DISPATCH_INTERRUPT_INJECTION = 1 << 9;
        /// The root maps the GHCB of a guest.
        const VP_GHCB_ROOT_MAPPING = 1 << 10;
        const _ = !0;
    }
}

bitflags::bitflags! {
    /// EDX: what the hypervisor has besides.
    ///
    /// Sources: TLFS "Hypervisor Feature Identification"; Linux `HV_X64_*_AVAILABLE`; OpenVMM `HvFeatures`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Features: u32 {
        /// MWAIT. Deprecated.
        const MWAIT = 1 << 0;
        /// A debugger for the guest.
        const GUEST_DEBUGGING = 1 << 1;
        /// Performance monitors.
        const PERFORMANCE_MONITOR = 1 << 2;
        /// Processors that come and go.
        const CPU_DYNAMIC_PARTITIONING = 1 << 3;
        /// Hypercall input in XMM registers.
        const XMM_INPUT = 1 << 4;
        /// A virtual idle state.
        const GUEST_IDLE_STATE = 1 << 5;
        /// The hypervisor's sleep state.
        const SLEEP_STATE = 1 << 6;
        /// NUMA distances can be asked for.
        const NUMA_DISTANCES = 1 << 7;
        /// Frequencies of timers can be asked for.
        const FREQUENCIES = 1 << 8;
        /// Machine checks can be injected.
        const SYNTHETIC_MACHINE_CHECKS = 1 << 9;
        /// The MSRs of a crash.
        const GUEST_CRASH_MSRS = 1 << 10;
        /// The synthetic debugger's MSRs.
        const DEBUG_MSRS = 1 << 11;
        /// NPIEP: user mode cannot read where system tables are.
        const NPIEP = 1 << 12;
        /// The hypervisor can be switched off.
        const DISABLE_HYPERVISOR = 1 << 13;
        /// Extended ranges for a flush of addresses.
        const EXTENDED_GVA_RANGES_FLUSH = 1 << 14;
        /// Hypercall output in XMM registers.
        const XMM_OUTPUT = 1 << 15;
        /// Shared virtual memory.
        const SVM_FEATURES = 1 << 16;
        /// A SINT can be polled.
        const SINT_POLLING_MODE = 1 << 17;
        /// The hypercall MSR can be locked.
        const HYPERCALL_MSR_LOCK = 1 << 18;
        /// Synthetic timers in direct mode.
        const DIRECT_SYNTHETIC_TIMERS = 1 << 19;
        /// The PAT register, for virtual secure mode.
        const PAT_REGISTER = 1 << 20;
        /// The BNDCFGS register, for virtual secure mode.
        const BNDCFGS_REGISTER = 1 << 21;
        /// A watchdog.
        const WATCHDOG_TIMER = 1 << 22;
        /// The timer that counts while the processor runs.
        const TIME_UNHALTED_TIMER = 1 << 23;
        /// Device domains.
        const DEVICE_DOMAINS = 1 << 24;
        /// Device domains with a first level of translation.
        const S1_DEVICE_DOMAINS = 1 << 25;
        /// Last branch records.
        const LBR = 1 << 26;
        /// Processor trace.
        const IPT = 1 << 27;
        /// Flushes across virtual trust levels.
        const CROSS_VTL_FLUSH = 1 << 28;
        /// Speculation control while idle.
        const IDLE_SPEC_CTRL = 1 << 29;
        /// Flags for translating an address.
        const TRANSLATE_GVA_FLAGS = 1 << 30;
        /// An end of interrupt can be intercepted.
        const APIC_EOI_INTERCEPT = 1 << 31;
    }
}

/// Leaf 0x40000003.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FeatureLeaf {
    /// EAX.
    pub msrs: MsrAccess,
    /// EBX.
    pub calls: CallAccess,
    /// ECX.
    pub power: PowerFeatures,
    /// EDX.
    pub features: Features,
}

impl FeatureLeaf {
    /// The leaf from its registers.
    #[must_use]
    pub const fn from_registers(registers: CpuidRegisters) -> Self {
        Self {
            msrs: MsrAccess::from_bits_retain(registers.eax),
            calls: CallAccess::from_bits_retain(registers.ebx),
            power: PowerFeatures::from_bits_retain(registers.ecx),
            features: Features::from_bits_retain(registers.edx),
        }
    }

    /// The leaf as its registers.
    #[must_use]
    pub const fn to_registers(self) -> CpuidRegisters {
        CpuidRegisters {
            eax: self.msrs.bits(),
            ebx: self.calls.bits(),
            ecx: self.power.bits(),
            edx: self.features.bits(),
        }
    }

    /// Whether a guest has what VMBus needs: [`MsrAccess::VMBUS`] and [`CallAccess::VMBUS`].
    #[must_use]
    pub const fn has_vmbus(self) -> bool {
        self.msrs.contains(MsrAccess::VMBUS) && self.calls.contains(CallAccess::VMBUS)
    }
}
