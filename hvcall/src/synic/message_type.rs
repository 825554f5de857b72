//! Message types.

use crate::macros::open_code;

open_code! {
    /// What a message is. A guest may post only types without the top bit; those with it are the hypervisor's own.
    ///
    /// Source: TLFS "SynIC Message Types"; Linux `enum hv_message_type`; OpenVMM `HvMessageType`.
    pub struct MessageType(u32) as "HVMSG_" {
        /// The slot is free.
        NONE = 0,
        /// A VMBus channel message, both ways.
        VMBUS = 1,
        /// Access to a guest-physical address that is not mapped.
        UNMAPPED_GPA = 0x8000_0000,
        /// Access to a guest-physical address that its access rights forbid.
        GPA_INTERCEPT = 0x8000_0001,
        /// Access to a page that an isolated guest has not accepted.
        UNACCEPTED_GPA = 0x8000_0003,
        /// Access that a page's attributes intercept.
        GPA_ATTRIBUTE_INTERCEPT = 0x8000_0004,
        /// The partition enables a virtual trust level.
        ENABLE_PARTITION_VTL_INTERCEPT = 0x8000_0005,
        /// A synthetic timer expired; the payload is a [`TimerMessage`](crate::time::TimerMessage).
        TIMER_EXPIRED = 0x8000_0010,
        /// A register of a virtual processor was given a value that it cannot have.
        INVALID_VP_REGISTER_VALUE = 0x8000_0020,
        /// A virtual processor met an exception that it cannot recover from, for example a triple fault.
        UNRECOVERABLE_EXCEPTION = 0x8000_0021,
        /// The guest used a feature that the hypervisor does not support.
        UNSUPPORTED_FEATURE = 0x8000_0022,
        /// A TLB entry's page size does not match.
        TLB_PAGE_SIZE_MISMATCH = 0x8000_0023,
        /// The IOMMU reported a fault.
        IOMMU_FAULT = 0x8000_0024,
        /// An intercept whose contents stand only in the mapped intercept message page.
        OPAQUE_INTERCEPT = 0x8000_003f,
        /// A buffer of the event log is complete.
        EVENTLOG_BUFFERCOMPLETE = 0x8000_0040,
        /// A hypercall was intercepted.
        HYPERCALL_INTERCEPT = 0x8000_0050,
        /// A signalled event was intercepted.
        SYNIC_EVENT_INTERCEPT = 0x8000_0060,
        /// A SINT's interrupt was intercepted.
        SYNIC_SINT_INTERCEPT = 0x8000_0061,
        /// A SINT can take an interrupt again.
        SYNIC_SINT_DELIVERABLE = 0x8000_0062,
        /// A hypercall that had been left pending completed.
        ASYNC_CALL_COMPLETION = 0x8000_0070,
        /// The root scheduler: a set of virtual processors is signalled.
        SCHEDULER_VP_SIGNAL_BITSET = 0x8000_0100,
        /// The root scheduler: a pair of virtual processors is signalled.
        SCHEDULER_VP_SIGNAL_PAIR = 0x8000_0101,
        /// x86-64: access to an I/O port.
        X64_IO_PORT_INTERCEPT = 0x8001_0000,
        /// x86-64: access to an MSR.
        X64_MSR_INTERCEPT = 0x8001_0001,
        /// x86-64: CPUID.
        X64_CPUID_INTERCEPT = 0x8001_0002,
        /// An exception.
        X64_EXCEPTION_INTERCEPT = 0x8001_0003,
        /// x86-64: an end of interrupt at the local APIC.
        X64_APIC_EOI = 0x8001_0004,
        /// x86-64: a floating-point error by way of FERR.
        X64_LEGACY_FP_ERROR = 0x8001_0005,
        /// x86-64: the IOMMU asks for a page. (Linux 6.x; OpenVMM has this at 0x80010005.)
        X64_IOMMU_PRQ = 0x8001_0006,
        /// x86-64: the processor halted.
        X64_HALT = 0x8001_0007,
        /// x86-64: the processor can take an interruption again.
        X64_INTERRUPTION_DELIVERABLE = 0x8001_0008,
        /// x86-64: a start-up inter-processor interrupt.
        X64_SIPI_INTERCEPT = 0x8001_0009,
        /// x86-64: RDTSC.
        X64_RDTSC_INTERCEPT = 0x8001_000a,
        /// x86-64: an SMI sent through the local APIC.
        X64_APIC_SMI_INTERCEPT = 0x8001_000b,
        /// AArch64: the guest asks for a reset.
        ARM64_RESET_INTERCEPT = 0x8001_000c,
        /// x86-64: an INIT or start-up interrupt sent through the local APIC.
        X64_APIC_INIT_SIPI_INTERCEPT = 0x8001_000d,
        /// x86-64: a write to the local APIC.
        X64_APIC_WRITE_INTERCEPT = 0x8001_000e,
        /// x86-64: an interrupt by proxy.
        X64_PROXY_INTERRUPT_INTERCEPT = 0x8001_000f,
        /// x86-64, isolated: a control register.
        X64_ISOLATION_CTRL_REG_INTERCEPT = 0x8001_0010,
        /// x86-64, SEV-SNP: a guest request.
        X64_SNP_GUEST_REQUEST_INTERCEPT = 0x8001_0011,
        /// x86-64: an exception trap.
        X64_EXCEPTION_TRAP_INTERCEPT = 0x8001_0012,
        /// x86-64, SEV: VMGEXIT.
        X64_SEV_VMGEXIT_INTERCEPT = 0x8001_0013,
    }
}

impl MessageType {
    /// Whether a guest may not post this type: it has the top bit and so is the hypervisor's.
    #[must_use]
    pub const fn is_hypervisor(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }
}
