//! The hypervisor's interface: SynIC, registers, time, and the inputs and outputs of calls.

use hvcall::crash::CrashControl;
use hvcall::synic::*;
use hvcall::time::*;
use hvcall::vpset::VpSetFormat;
use hvcall::wire::*;
use hvcall::{CallCode, ConnectionId, GuestOsId, HvStatus, Msr, OsType, Vendor, VpIndex, cpuid, msr};

use crate::layouts::mirror::{Alone, Codes, Mirror, alone, codes, mirror};

pub(super) fn mirrors() -> Vec<Mirror> {
    let mut all = synic();
    all.extend(registers());
    all
}

fn synic() -> Vec<Mirror> {
    vec![
        mirror! { hv_message_flags { 0: MessageFlags = "asu8" / { "msg_pending" = MessageFlags::PENDING.bits() } } },
        mirror! { hv_message_header { 0: MessageHeader {
            message_type, payload_size, flags = "message_flags", reserved, sender = "sender + port",
        } } },
        mirror! { hv_message { 0: Message { header, payload = "u" } } },
        mirror! { hv_message_page { 0: MessagePage { slots = "sint_message" } } },
        mirror! { hv_synic_event_flags { 0: EventFlags { words = "flags" } } without {
            "flags8": "the same as bytes", "flags32": "the same as words",
        } },
        mirror! { hv_synic_event_flags_page { 0: EventFlagsPage { slots = "event_flags" } } },
        mirror! { hv_input_post_message { 0: PostMessageInput {
            connection_id = "connectionid", reserved, message_type, payload_size, payload,
        } } },
        mirror! { hv_connection_id { 0: ConnectionId = "asu32" / { "u.id" = ConnectionId::MASK } } },
        mirror! { hv_timer_message_payload { 0: TimerMessage {
            timer_index, reserved, expiration_time, delivery_time,
        } } },
    ]
}

fn registers() -> Vec<Mirror> {
    let no_flags = StimerFlags::empty();
    let direct = StimerFlags::DIRECT_MODE.bits();
    let sint = |bits: SintRegister| bits.bits();
    let reset = SintRegister::from_bits(0);
    vec![
        mirror! { hv_synic_scontrol { 0: Scontrol = "as_uint64" / { "enable" = Scontrol::ENABLE.bits() } } },
        mirror! { hv_synic_simp { 0: Simp = "as_uint64" / {
            "simp_enabled" = 1u64, "base_simp_gpa" = Simp::from_bits(u64::MAX).base(),
        } } },
        mirror! { hv_synic_siefp { 0: Siefp = "as_uint64" / {
            "siefp_enabled" = 1u64, "base_siefp_gpa" = Siefp::from_bits(u64::MAX).base(),
        } } },
        mirror! { hv_synic_sirbp { 0: Sirbp = "as_uint64" / {
            "sirbp_enabled" = 1u64, "base_sirbp_gpa" = Sirbp::from_bits(u64::MAX).base(),
        } } },
        mirror! { hv_synic_sint { 0: SintRegister = "as_uint64" / {
            "vector" = reset.with_vector(0xff).map_or(0, sint),
            "masked" = sint(reset.with_masked()),
            "auto_eoi" = sint(reset.with_auto_eoi(true)),
            "polling" = sint(reset.with_polling(true)),
            "as_intercept?" = 1u64 << 19,
            "proxy?" = 1u64 << 20,
        } } },
        mirror! { hv_stimer_config { 0: StimerConfig = "as_uint64" / {
            "enable" = StimerFlags::ENABLE.bits(),
            "periodic" = StimerFlags::PERIODIC.bits(),
            "lazy" = StimerFlags::LAZY.bits(),
            "auto_enable" = StimerFlags::AUTO_ENABLE.bits(),
            "apic_vector" = StimerConfig::direct(0xff, no_flags).bits() & !direct,
            "direct_mode" = direct,
            "sintx" = Sint::new(15).and_then(|last| StimerConfig::message(last, no_flags)).map_or(0, StimerConfig::bits),
        }, 0: StimerFlags = "as_uint64" } },
        mirror! { hv_x64_msr_hypercall_contents { 0: msr::HypercallPage = "as_uint64" / {
            "enable" = 1u64, "guest_physical_address" = msr::HypercallPage::from_bits(u64::MAX).base(),
        } } },
        mirror! { hv_vp_assist_msr_contents { 0: msr::VpAssistPage = "as_uint64" / {
            "enable" = 1u64, "pfn" = msr::VpAssistPage::from_bits(u64::MAX).base(),
        } } },
        mirror! { hv_reference_tsc_msr { 0: ReferenceTsc = "as_uint64" / {
            "enable" = 1u64, "pfn" = ReferenceTsc::from_bits(u64::MAX).base(),
        } } },
        mirror! { ms_hyperv_tsc_page other size "Linux declares what it uses of the page" { 0: ReferenceTscPage {
            sequence = "tsc_sequence", reserved = "reserved1", scale = "tsc_scale", offset = "tsc_offset",
            reserved2 = "",
        } } },
    ]
}

pub(super) fn codes() -> Vec<Codes> {
    vec![
        codes! { "hv_message_type" = MessageType {
            NONE = "HVMSG_NONE",
            UNMAPPED_GPA = "HVMSG_UNMAPPED_GPA",
            GPA_INTERCEPT = "HVMSG_GPA_INTERCEPT",
            TIMER_EXPIRED = "HVMSG_TIMER_EXPIRED",
            INVALID_VP_REGISTER_VALUE = "HVMSG_INVALID_VP_REGISTER_VALUE",
            UNRECOVERABLE_EXCEPTION = "HVMSG_UNRECOVERABLE_EXCEPTION",
            UNSUPPORTED_FEATURE = "HVMSG_UNSUPPORTED_FEATURE",
            OPAQUE_INTERCEPT = "HVMSG_OPAQUE_INTERCEPT?",
            EVENTLOG_BUFFERCOMPLETE = "HVMSG_EVENTLOG_BUFFERCOMPLETE",
            HYPERCALL_INTERCEPT = "HVMSG_HYPERCALL_INTERCEPT?",
            SYNIC_EVENT_INTERCEPT = "HVMSG_SYNIC_EVENT_INTERCEPT?",
            SYNIC_SINT_INTERCEPT = "HVMSG_SYNIC_SINT_INTERCEPT?",
            SYNIC_SINT_DELIVERABLE = "HVMSG_SYNIC_SINT_DELIVERABLE?",
            ASYNC_CALL_COMPLETION = "HVMSG_ASYNC_CALL_COMPLETION?",
            SCHEDULER_VP_SIGNAL_BITSET = "HVMSG_SCHEDULER_VP_SIGNAL_BITSET?",
            SCHEDULER_VP_SIGNAL_PAIR = "HVMSG_SCHEDULER_VP_SIGNAL_PAIR?",
            X64_IO_PORT_INTERCEPT = "HVMSG_X64_IOPORT_INTERCEPT?",
            X64_IO_PORT_INTERCEPT = "HVMSG_X64_IO_PORT_INTERCEPT?",
            X64_MSR_INTERCEPT = "HVMSG_X64_MSR_INTERCEPT",
            X64_CPUID_INTERCEPT = "HVMSG_X64_CPUID_INTERCEPT",
            X64_EXCEPTION_INTERCEPT = "HVMSG_X64_EXCEPTION_INTERCEPT",
            X64_APIC_EOI = "HVMSG_X64_APIC_EOI",
            X64_LEGACY_FP_ERROR = "HVMSG_X64_LEGACY_FP_ERROR",
            X64_IOMMU_PRQ = "HVMSG_X64_IOMMU_PRQ?",
            X64_HALT = "HVMSG_X64_HALT?",
            X64_INTERRUPTION_DELIVERABLE = "HVMSG_X64_INTERRUPTION_DELIVERABLE?",
            X64_SIPI_INTERCEPT = "HVMSG_X64_SIPI_INTERCEPT?",
        } beyond "OpenVMM hvdef, HvMessageType" },
        codes! { "HV_GENERIC_SET_FORMAT" = VpSetFormat {
            SPARSE_4K = "HV_GENERIC_SET_SPARSE_4K", ALL = "HV_GENERIC_SET_ALL",
        } },
        codes! { "hv_generic_set_format" = VpSetFormat {
            SPARSE_4K = "HV_GENERIC_SET_SPARSE_4K", ALL = "HV_GENERIC_SET_ALL",
        } },
        codes! { "hv_isolation_type" = cpuid::IsolationType {
            NONE = "HV_ISOLATION_TYPE_NONE",
            VBS = "HV_ISOLATION_TYPE_VBS",
            SNP = "HV_ISOLATION_TYPE_SNP",
            TDX = "HV_ISOLATION_TYPE_TDX?",
        } },
    ]
}

pub(super) fn alone() -> Vec<Alone> {
    alone! {
        "Linux arch/x86/include/asm/hyperv-tlfs.h and include/asm-generic/hyperv-tlfs.h, macros": CallCode, HvStatus, Msr,
            CrashControl, cpuid::MsrAccess, cpuid::CallAccess, cpuid::PowerFeatures, cpuid::Features,
            cpuid::Recommendations, cpuid::HardwareFeatures, cpuid::CpuManagement, cpuid::NestedAccess,
            cpuid::NestedFeatures, cpuid::NestedFeatures2, cpuid::VirtStackProperties;
        "Microsoft's hypervisor development kit, HV_HYPERVISOR_SVM_FEATURES": cpuid::SvmFeatures;
        "TLFS, Guest OS Identity MSR": GuestOsId, OsType, Vendor;
        "Linux: plain u32 in the structures": VpIndex;
        "TLFS HvCallSignalEvent; Linux passes it in a register": SignalEventInput;
    }
}
