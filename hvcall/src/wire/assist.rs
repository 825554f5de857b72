//! Pages that hypervisor and guest share for each processor, and the page of a guest without shared registers.

use zerocopy::little_endian::{U16, U32, U64};

use crate::macros::{open_code, wire_struct};
use crate::synic::Message;

open_code! {
    /// Why a virtual trust level was entered. Source: OpenVMM hvdef `HvVtlEntryReason`.
    pub struct VtlEntryReason(u32) as "HV_VTL_ENTRY_" {
        /// A lower one called.
        VTL_CALL = 1,
        /// An interrupt came.
        INTERRUPT = 2,
        /// An intercept came, by [`AssistPage::intercept_message`].
        INTERCEPT = 3,
    }
}

wire_struct! {
    /// How a virtual trust level was entered, and with what it is left.
    ///
    /// Sources: TLFS "HV_VP_VTL_CONTROL"; OpenVMM hvdef `HvVpVtlControl`.
    pub struct VtlControl, 24 bytes {
        /// The [`VtlEntryReason`].
        0: entry_reason: U32,
        /// Not 0: the interrupt that tells of interrupts for lower levels is asserted.
        4: vina_status: u8,
        /// Zero.
        5: reserved0: u8,
        /// Zero.
        6: reserved1: U16,
        /// RAX and RCX as the lower level shall get them.
        8: return_registers: [U64; 2],
    }
}

wire_struct! {
    /// What a nested hypervisor lets the one below do.
    ///
    /// Source: Linux `struct hv_nested_enlightenments_control`.
    pub struct NestedEnlightenments, 8 bytes {
        /// Bit 0: calls of the nested guest go to the hypervisor below.
        0: features: U32,
        /// Bit 0: also those between partitions. (Linux 6.12.)
        4: hypercall_controls: U32,
    }
}

/// In [`AssistPage::apic_assist`]: an interrupt needs no EOI.
pub const APIC_ASSIST_NO_EOI: u32 = 1;

wire_struct! {
    /// The begin of a processor's assist page (of 4096 bytes), which [`VpAssistPage`](crate::msr::VpAssistPage) switches on.
    ///
    /// Sources: TLFS "HV_VP_ASSIST_PAGE"; Linux `struct hv_vp_assist_page`, which has the first 56 bytes up to 6.1 and all of it
    /// later; OpenVMM hvdef `HvVpAssistPage`.
    pub struct AssistPage, 624 bytes {
        /// Bit 0: [`APIC_ASSIST_NO_EOI`]. The hypervisor sets it with an interrupt, and the guest clears it in place of an EOI.
        0: apic_assist: U32,
        /// Zero.
        4: reserved1: U32,
        /// Virtual trust levels.
        8: vtl_control: VtlControl,
        /// For a nested hypervisor on Intel's.
        32: nested_control: NestedEnlightenments,
        /// Not 0: the enlightened VMCS counts.
        40: enlighten_vm_entry: u8,
        /// Zero.
        41: reserved2: [u8; 7],
        /// Guest-physical address of the enlightened VMCS.
        48: current_nested_vmcs: U64,
        /// Not 0: the timer of unhalted time expired.
        56: unhalted_timer_expired: u8,
        /// Zero.
        57: reserved3: [u8; 7],
        /// What is known of a virtualization fault.
        64: virtualization_fault: [u8; 40],
        /// Zero.
        104: reserved4: U64,
        /// An intercept, delivered by this page and not by the message page.
        112: intercept_message: Message,
        /// What the hypervisor does when the level is left: signal events.
        368: vtl_return_actions: [u8; 256],
    }
}

wire_struct! {
    /// The page by which a nested hypervisor on AMD's lets the one below flush its guest's TLB.
    ///
    /// Source: Linux `struct hv_partition_assist_pg`.
    pub struct PartitionAssistPage, 4 bytes {
        /// Not 0 while the TLB is locked.
        0: tlb_lock_count: U32,
    }
}

wire_struct! {
    /// How a guest whose registers the hypervisor does not see (SEV-SNP) makes a call: in the page that it shares for exits.
    ///
    /// Source: Linux `union hv_ghcb`, member `hypercall`.
    pub struct GhcbCall, 4096 bytes {
        /// The call's input.
        0: data: [u8; 4072],
        /// Guest-physical address of the output.
        4072: output_gpa: U64,
        /// [`HypercallControl`](crate::HypercallControl); then [`HypercallResult`](crate::HypercallResult).
        4080: control_or_result: U64,
        /// Zero.
        4088: reserved: U64,
    }
}
