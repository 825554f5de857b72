//! The hypervisor's calls: their inputs and outputs, and the pages that are shared for them.

use hvcall::msr::{ReenlightenmentControl, TscEmulation};
use hvcall::vpset::VpSetHeader;
use hvcall::wire::intercept::*;
use hvcall::wire::*;
use hvcall::{HypercallControl, HypercallResult, PortId, RegisterName, RegisterNameArm64, RegisterNameX64};
use zerocopy::little_endian::{U16, U32, U64};

use crate::layouts::mirror::{Alone, Codes, Mirror, alone, codes, mirror};

pub(super) fn mirrors() -> Vec<Mirror> {
    let mut all = interrupts();
    all.extend(memory());
    all.extend(processors());
    all.extend(ports());
    all.extend(partitions());
    all.extend(pages());
    all.extend(messages());
    all
}

fn interrupts() -> Vec<Mirror> {
    vec![
        mirror! { hv_vpset { 0: VpSetHeader { format, valid_bank_mask } } },
        mirror! { hv_send_ipi { 0: SendIpiInput {
            vector, target_vtl ..= reserved = "reserved", processor_mask = "cpu_mask",
        } } },
        mirror! { hv_send_ipi_ex { 0: SendIpiExInput {
            vector, target_vtl ..= reserved = "reserved", processor_set = "vp_set",
        } } },
        mirror! { hv_device_id { 0: DeviceId = "as_uint64" / {
            "device_type" = DeviceId(3 << 62).0,
            "logical.id" = DeviceId::logical(u64::MAX).0,
            "pci.rid" = DeviceId::pci(0, 0xffff).0 & 0xffff,
            "pci.segment" = DeviceId::pci(0xffff, 0).0 & 0xffff_ffff,
            "ioapic.ioapic_id" = DeviceId::io_apic(0xff).0 & 0xff,
        } } without {
            "logical": "its parts", "pci": "what the doc tells of the bits above", "ioapic": "zero",
            "acpi": "what the doc tells",
        } },
        mirror! { hv_msi_address_register { 0: U32 = "as_uint32" / {
            "destination_mode" = 1u32 << 2, "redirection_hint" = 1u32 << 3, "destination_id" = 0xffu32 << 12,
            "msi_base" = 0xfffu32 << 20,
        } } },
        mirror! { hv_msi_data_register { 0: U32 = "as_uint32" / {
            "vector" = 0xffu32, "delivery_mode" = 7u32 << 8, "level_assert" = 1u32 << 14, "trigger_mode" = 1u32 << 15,
        } } },
        mirror! { hv_msi_entry { 0: MsiEntry { address, data }, 0: u64 = "as_uint64" } },
        mirror! { hv_ioapic_rte {
            0: IoApicRte {
                low = "low_uint32" / {
                    "vector" = 0xffu32, "delivery_mode" = 7u32 << 8, "destination_mode" = 1u32 << 11,
                    "delivery_status" = 1u32 << 12, "interrupt_polarity" = 1u32 << 13, "remote_irr" = 1u32 << 14,
                    "trigger_mode" = 1u32 << 15, "interrupt_mask" = 1u32 << 16,
                },
                high = "high_uint32" / { "destination_id" = 0xffu32 << 24 },
            },
            0: u64 = "as_uint64",
        } },
        mirror! { hv_interrupt_entry { 0: InterruptEntry {
            source, reserved = "reserved1", data = "msi_entry + ioapic_rte",
        } } },
        mirror! { hv_device_interrupt_target {
            0: InterruptTarget { vector, flags, processor_set = "vp_set" }, 8: U64 = "vp_mask",
        } },
        mirror! { hv_retarget_device_interrupt { 0: RetargetInterruptInput {
            partition_id, device_id, entry = "int_entry", reserved = "reserved2", target = "int_target",
        } } },
        mirror! { hv_device_interrupt_descriptor { 0: InterruptDescriptor {
            interrupt_type, trigger_mode, vector_count, reserved, target,
        } } },
        mirror! { hv_input_map_device_interrupt { 0: MapDeviceInterruptInput {
            partition_id, device_id, flags, logical_entry = "logical_interrupt_entry",
            descriptor = "interrupt_descriptor",
        } } },
        mirror! { hv_output_map_device_interrupt { 0: MapDeviceInterruptOutput { entry = "interrupt_entry" } } },
        mirror! { hv_input_unmap_device_interrupt { 0: UnmapDeviceInterruptInput {
            partition_id, device_id, entry = "interrupt_entry",
        } } },
        mirror! { hv_interrupt_control { 0: InterruptControl = "as_uint64" / {
            "interrupt_type" = u32::MAX,
            "level_triggered" = InterruptControl::LEVEL_TRIGGERED.bits(),
            "logical_dest_mode" = InterruptControl::LOGICAL_DESTINATION.bits(),
        } } },
        mirror! { hv_input_assert_virtual_interrupt { 0: AssertVirtualInterruptInput {
            partition_id, control, destination = "dest_addr", vector, target_vtl, reserved0 = "rsvd_z0",
            reserved1 = "rsvd_z1",
        } } },
        mirror! { hv_reenlightenment_control { 0: u64 = "" / {
            "vector" = ReenlightenmentControl { vector: 0xff, ..Default::default() }.bits(),
            "enabled" = ReenlightenmentControl { enabled: true, ..Default::default() }.bits(),
            "target_vp" = ReenlightenmentControl { target: hvcall::VpIndex(u32::MAX), ..Default::default() }.bits(),
        } } without { "reserved1": "zero", "reserved2": "zero" } },
        mirror! { hv_tsc_emulation_control { 0: TscEmulation = "" / { "enabled" = TscEmulation::ENABLED.bits() } }
        without { "reserved": "zero" } },
        mirror! { hv_tsc_emulation_status { 0: TscEmulation = "" / { "inprogress" = TscEmulation::ENABLED.bits() } }
        without { "reserved": "zero" } },
    ]
}

fn memory() -> Vec<Mirror> {
    vec![
        mirror! { hv_tlb_flush { 0: FlushInput { address_space, flags, processor_mask } } },
        mirror! { hv_tlb_flush_ex {
            0: FlushExInput { address_space, flags, processor_set = "hv_vp_set" },
        } without { "__offset_to_bank_contents": "the same as hv_vp_set" } },
        mirror! { hv_gpa_page_range { 0: GpaPageRange = "address_space" / {
            "page.additional_pages" = GpaPageRange::new(0, u16::MAX).0,
            "page.largepage" = GpaPageRange::LARGE_PAGE,
            "page.basepfn" = GpaPageRange::new(u64::MAX, 0).0,
            "page_size" = GpaPageRange::PAGE_SIZE_1G,
            "base_large_pfn" = GpaPageRange::LARGE_PAGE_NUMBER,
        } } },
        mirror! { hv_guest_mapping_flush { 0: FlushGpaInput { address_space, flags } } },
        // With the list that fills the page.
        mirror! { hv_guest_mapping_flush_list {
            0: FlushGpaInput { address_space, flags }, 16: [u64; FLUSH_GPA_RANGES_MAX] = "gpa_list",
        } },
        mirror! { hv_deposit_memory { 0: DepositMemoryInput { partition_id } } },
        mirror! { hv_input_withdraw_memory { 0: WithdrawMemoryInput {
            partition_id, proximity_domain = "proximity_domain_info",
        } } },
        mirror! { hv_proximity_domain_flags { 0: ProximityDomainFlags = "" / {
            "proximity_preferred" = ProximityDomainFlags::PREFERRED.bits(),
            "proximity_info_valid" = ProximityDomainFlags::INFO_VALID.bits(),
        } } without { "reserved": "zero" } },
        mirror! { hv_proximity_domain_info {
            0: ProximityDomainInfo { domain_id, flags }, 0: u64 = "as_uint64?",
        } },
        // With the list that fills the page.
        mirror! { hv_gpa_range_for_visibility {
            0: ModifyHostVisibilityInput {
                partition_id, host_visibility = "host_visibility + reserved0" / { "host_visibility" = 3u32 },
                reserved = "reserved1",
            },
            16: [u64; HOST_VISIBILITY_PAGES_MAX] = "gpa_page_list",
        } },
        mirror! { hv_input_modify_sparse_spa_page_host_access { 0: ModifyHostAccessInput {
            host_access = "host_access + reserved" / { "host_access" = 3u32 }, flags, partition_id,
        } } },
        mirror! { hv_input_map_gpa_pages { 0: MapGpaPagesInput {
            target_partition_id, target_page = "target_gpa_base", map_flags, padding,
        } } },
        mirror! { hv_input_unmap_gpa_pages { 0: UnmapGpaPagesInput {
            target_partition_id, target_page = "target_gpa_base", unmap_flags, padding,
        } } },
        mirror! { hv_gpa_page_access_state_flags { 0: AccessStateFlags = "as_uint64" / {
            "clear_accessed" = AccessStateFlags::CLEAR_ACCESSED.bits(),
            "set_accessed" = AccessStateFlags::SET_ACCESSED.bits(),
            "clear_dirty" = AccessStateFlags::CLEAR_DIRTY.bits(),
            "set_dirty" = AccessStateFlags::SET_DIRTY.bits(),
        } } },
        mirror! { hv_gpa_page_access_state { 0: u8 = "as_uint8" / { "accessed" = 1u8, "dirty" = 2u8 } } },
        mirror! { hv_input_get_gpa_pages_access_state { 0: AccessStatesInput {
            partition_id, flags, first_page = "hv_gpa_page_number",
        } } },
        mirror! { hv_memory_hint { 0: MemoryHintInput {
            hint = "type + reserved?" / { "type?" = 3u64 }, hint = "heat_type + reserved?" / { "heat_type?" = 3u64 },
        } } },
        mirror! { hv_mmio_read_input { 0: MmioReadInput { gpa, size, reserved } } },
        mirror! { hv_mmio_read_output { 0: MmioReadOutput { data } } },
        mirror! { hv_mmio_write_input { 0: MmioWriteInput { gpa, size, reserved, data } } },
    ]
}

fn processors() -> Vec<Mirror> {
    vec![
        mirror! { hv_x64_segment_register { 0: SegmentRegister { base, limit, selector, attributes } } without {
            "segment_type": "bits of the attributes", "non_system_segment": "bits of the attributes",
            "descriptor_privilege_level": "bits of the attributes", "present": "bits of the attributes",
            "available": "bits of the attributes", "_long": "bits of the attributes",
            "_default": "bits of the attributes", "granularity": "bits of the attributes",
        } },
        mirror! { hv_x64_table_register { 0: TableRegister { padding = "pad", limit, base } } },
        mirror! { hv_init_vp_context { 0: InitialVpContextX64 {
            rip, rsp, rflags, cs, ds, es, fs, gs, ss, tr, ldtr, idtr, gdtr, efer, cr0, cr3, cr4, pat = "msr_cr_pat",
        } } },
        mirror! { hv_enable_vp_vtl {
            0: StartVpInput { partition_id, vp_index, target_vtl, reserved = "mbz0 + mbz1" },
            16: InitialVpContextX64 = "vp_context",
        } },
        mirror! { hv_get_vp_from_apic_id_in { 0: VpIndexFromApicIdInput {
            partition_id, target_vtl, reserved = "res",
        } } },
        mirror! { hv_input_vtl { 0: InputVtl = "as_uint8" / {
            "target_vtl" = InputVtl::TARGET_VTL, "use_target_vtl" = InputVtl::USE_TARGET_VTL,
        } } },
        mirror! { hv_input_get_vp_registers { 0: VpRegistersInput {
            partition_id, vp_index, input_vtl, reserved = "rsvd_z8 + rsvd_z16",
        } } },
        mirror! { hv_input_set_vp_registers { 0: VpRegistersInput {
            partition_id, vp_index, input_vtl, reserved = "rsvd_z8 + rsvd_z16",
        } } },
        mirror! { hv_u128 { 0: RegisterValue { low = "low_part", high = "high_part" } } },
        mirror! { hv_register_value {
            0: RegisterValue = "reg128",
            0: U64 = "reg64", 0: U32 = "reg32", 0: U16 = "reg16", 0: u8 = "reg8",
            0: SegmentRegister = "segment", 0: TableRegister = "table",
        } without {
            "explicit_suspend": "bit 0 of a register", "intercept_suspend": "bit 0 of a register",
            "dispatch_suspend": "bit 0 of a register", "interrupt_state": "a register's own bits",
            "pending_interruption": "a register's own bits",
            "pending_synthetic_exception_event": "a register's own bits",
        } },
        mirror! { hv_register_assoc { 0: RegisterAssoc { name, reserved = "reserved1 + reserved2", value } } },
        mirror! { hv_create_vp { 0: CreateVpInput {
            partition_id, vp_index, padding, subnode_type, subnode_id, proximity_domain = "proximity_domain_info",
            flags,
        } } },
        mirror! { hv_input_delete_vp {
            0: DeleteVpInput { partition_id, vp_index, reserved }, 0: [u64; 2] = "as_uint64",
        } },
        mirror! { hv_add_logical_processor_in {
            0: AddLogicalProcessorInput { lp_index, apic_id, proximity_domain = "proximity_domain_info" },
            16: u64 = "flags",
        } },
        mirror! { hv_input_add_logical_processor { 0: AddLogicalProcessorInput {
            lp_index, apic_id, proximity_domain = "proximity_domain_info",
        } } },
        mirror! { hv_lp_startup_status { 0: AddLogicalProcessorOutput {
            status = "hv_status", substatus = "substatus1 + substatus2 + substatus3 + substatus4 + substatus5 + substatus6",
        } } },
        mirror! { hv_add_logical_processor_out { 0: AddLogicalProcessorOutput = "startup_status" } },
        mirror! { hv_output_add_logical_processor { 0: AddLogicalProcessorOutput = "startup_status" } },
    ]
}

fn ports() -> Vec<Mirror> {
    vec![
        mirror! { hv_port_id { 0: PortId = "asu32" / { "u.id" = PortId::MASK } } },
        mirror! { hv_port_info { 0: PortInfo {
            port_type, padding, target_sint = "event_port_info.target_sint", target_vp = "event_port_info.target_vp",
            base_flag_number = "event_port_info.base_flag_number", flag_count = "event_port_info.flag_count",
            reserved = "event_port_info.rsvdz",
            target_sint = "message_port_info.target_sint", target_vp = "message_port_info.target_vp",
            base_flag_number ..= reserved = "message_port_info.rsvdz",
            target_sint = "doorbell_port_info.target_sint", target_vp = "doorbell_port_info.target_vp",
            base_flag_number ..= reserved = "doorbell_port_info.rsvdz",
            target_sint ..= target_vp = "monitor_port_info.monitor_address",
            base_flag_number ..= reserved = "monitor_port_info.rsvdz",
        } } },
        mirror! { hv_input_create_port { 0: CreatePortInput {
            port_partition_id, port_id, port_vtl, min_connection_vtl, padding, connection_partition_id, port_info,
            proximity_domain = "proximity_domain_info",
        } } },
        mirror! { hv_input_delete_port {
            0: DeletePortInput { port_partition_id, port_id, reserved }, 0: [u64; 2] = "as_uint64",
        } },
        mirror! { hv_connection_info { 0: ConnectionInfo {
            port_type, padding, gpa = "doorbell_connection_info.gpa",
            trigger_value = "doorbell_connection_info.trigger_value", flags = "doorbell_connection_info.flags",
            gpa = "message_connection_info.rsvdz", gpa = "event_connection_info.rsvdz",
            gpa = "monitor_connection_info.monitor_address",
        } } },
        mirror! { hv_input_connect_port { 0: ConnectPortInput {
            connection_partition_id, connection_id, connection_vtl, reserved0 = "rsvdz0", reserved1 = "rsvdz1",
            port_partition_id, port_id, reserved2, connection_info, proximity_domain = "proximity_domain_info",
        } } },
        mirror! { hv_input_disconnect_port {
            0: DisconnectPortInput {
                connection_partition_id, connection_id, flags = "is_doorbell + reserved" / { "is_doorbell" = 1u32 },
            },
            0: [u64; 2] = "as_uint64",
        } },
        mirror! { hv_input_notify_port_ring_empty {
            0: NotifyPortRingEmptyInput { sint_index, reserved }, 0: u64 = "as_uint64",
        } },
    ]
}

fn partitions() -> Vec<Mirror> {
    vec![
        mirror! { hv_get_partition_id { 0: PartitionId { partition_id } } },
        mirror! { hv_output_get_partition_id { 0: PartitionId { partition_id } } },
        mirror! { hv_output_create_partition { 0: PartitionId { partition_id } } },
        mirror! { hv_input_initialize_partition { 0: PartitionId { partition_id } } },
        mirror! { hv_input_finalize_partition { 0: PartitionId { partition_id } } },
        mirror! { hv_input_delete_partition { 0: PartitionId { partition_id } } },
        mirror! { hv_input_create_partition { 0: CreatePartitionInput {
            flags, proximity_domain = "proximity_domain_info", compatibility_version, padding,
            disabled_features = "partition_creation_properties", isolation = "isolation_properties",
        } } },
        mirror! { hv_input_get_partition_property { 0: PartitionPropertyInput {
            partition_id, property_code, padding,
        } } },
        mirror! { hv_input_set_partition_property { 0: SetPartitionPropertyInput {
            partition_id, property_code, padding, property_value,
        } } },
        mirror! { hv_input_get_system_property {
            0: SystemPropertyInput { property_id, reserved, parameter = "as_uint64" },
        } without { "hv_processor_feature": "the parameter of one property" } },
    ]
}

fn pages() -> Vec<Mirror> {
    vec![
        mirror! { hv_nested_enlightenments_control { 0: NestedEnlightenments {
            features = "features" / { "features.directhypercall" = 1u32 },
            hypercall_controls = "hypercallControls?" / { "hypercallControls.inter_partition_comm?" = 1u32 },
            hypercall_controls = "hypercall_controls?" / { "hypercall_controls.inter_partition_comm?" = 1u32 },
        } } },
        mirror! { hv_vp_assist_page other size "Linux 6.1 declares what it uses; later kernels have all of it" {
            0: AssistPage {
                apic_assist, reserved1, vtl_control = "vtl_control?", nested_control,
                enlighten_vm_entry = "enlighten_vmentry", reserved2, current_nested_vmcs,
                unhalted_timer_expired = "synthetic_time_unhalted_timer_expired?", reserved3 = "reserved3?",
                virtualization_fault = "virtualization_fault_information?", reserved4 = "reserved4?",
                intercept_message = "intercept_message?", vtl_return_actions = "vtl_ret_actions?",
            },
            8: VtlControl {
                entry_reason = "vtl_entry_reason?", vina_status ..= reserved1 = "vtl_reserved?",
                return_registers = "vtl_ret_x64rax + vtl_ret_x64rcx?",
            },
        } },
        mirror! { hv_partition_assist_pg { 0: PartitionAssistPage { tlb_lock_count } } },
        mirror! { hv_ghcb {
            0: GhcbCall {
                data = "hypercall.hypercalldata", output_gpa = "hypercall.outputgpa",
                control_or_result = "hypercall.hypercallinput + hypercall.hypercalloutput" / {
                    "hypercall.hypercallinput.callcode" = 0xffffu64,
                    "hypercall.hypercallinput.isfast" = 1u64 << 16,
                    "hypercall.hypercallinput.isnested" = 1u64 << 31,
                    "hypercall.hypercallinput.countofelements" = 0xfffu64 << 32,
                    "hypercall.hypercallinput.repstartindex" = 0xfffu64 << 48,
                    "hypercall.hypercallinput.asuint64" = u64::MAX,
                    "hypercall.hypercalloutput.callstatus" = 0xffffu64,
                    "hypercall.hypercalloutput.elementsprocessed" = 0xfffu64 << 32,
                    "hypercall.hypercalloutput.asunit64" = u64::MAX,
                },
                reserved = "hypercall.reserved2",
            },
            4080: HypercallControl = "hypercall.hypercallinput",
            4080: HypercallResult = "hypercall.hypercalloutput",
            0: [u8; 4096] = "ghcb",
        } },
    ]
}

fn messages() -> Vec<Mirror> {
    vec![
        mirror! { hv_x64_vp_execution_state { 0: ExecutionStateX64 = "as_uint16" / {
            "cpl" = ExecutionStateX64::CPL,
            "cr0_pe" = ExecutionStateX64::CR0_PE.bits(),
            "cr0_am" = ExecutionStateX64::CR0_AM.bits(),
            "efer_lma" = ExecutionStateX64::EFER_LMA.bits(),
            "debug_active" = ExecutionStateX64::DEBUG_ACTIVE.bits(),
            "interruption_pending" = ExecutionStateX64::INTERRUPTION_PENDING.bits(),
            "vtl" = ExecutionStateX64::VTL,
            "enclave_mode" = ExecutionStateX64::ENCLAVE_MODE.bits(),
            "interrupt_shadow" = ExecutionStateX64::INTERRUPT_SHADOW.bits(),
            "virtualization_fault_active" = ExecutionStateX64::VIRTUALIZATION_FAULT_ACTIVE.bits(),
        } } },
        mirror! { hv_x64_intercept_message_header { 0: InterceptHeaderX64 {
            vp_index, instruction_length_and_cr8 = "instruction_length + cr8" / {
                "instruction_length" = 0xfu8, "cr8" = 0xf0u8,
            },
            access_type = "intercept_access_type", execution_state, cs = "cs_segment", rip, rflags,
        } } },
        mirror! { hv_x64_memory_access_info { 0: MemoryAccessInfo = "as_uint8" / {
            "gva_valid" = MemoryAccessInfo::GVA_VALID.bits(),
            "gva_gpa_valid" = MemoryAccessInfo::GVA_GPA_VALID.bits(),
            "hypercall_output_pending" = MemoryAccessInfo::HYPERCALL_OUTPUT_PENDING.bits(),
            "tlb_locked_no_overlay" = MemoryAccessInfo::TLB_LOCKED.bits(),
        } } },
        mirror! { hv_x64_memory_intercept_message { 0: MemoryInterceptX64 {
            header, cache_type, instruction_byte_count, access_info = "memory_access_info", tpr_priority,
            reserved = "reserved1", gva = "guest_virtual_address", gpa = "guest_physical_address", instruction_bytes,
        } } },
        mirror! { hv_x64_apic_eoi_message { 0: ApicEoiX64 { vp_index, interrupt_vector } } },
        mirror! { hv_async_completion_message_payload { 0: AsyncCompletion {
            partition_id, status, completion_count, sub_status,
        } } },
        mirror! { hv_vp_signal_pair_scheduler_message { 0: SchedulerVpSignalPair {
            overflow_count, vp_count, reserved1, partition_ids, vp_indexes, reserved2,
        } } },
        mirror! { hv_vp_signal_bitset_scheduler_message {
            0: SchedulerVpSignalBitset {
                partition_id, overflow_count, vp_count, reserved, processor_set = "vp_bitset.bitset_buffer",
            },
            16: VpSetHeader = "vp_bitset.bitset",
        } },
        mirror! { hv_intercept_parameters { 0: u64 = "as_uint64" } without {
            "io_port": "as the doc tells", "cpuid_index": "as the doc tells", "apic_write_mask": "as the doc tells",
            "exception_vector": "as the doc tells", "msr_index": "as the doc tells",
        } },
    ]
}

pub(super) fn codes() -> Vec<Codes> {
    vec![
        codes! { "hv_interrupt_source" = InterruptSource {
            MSI = "HV_INTERRUPT_SOURCE_MSI", IOAPIC = "HV_INTERRUPT_SOURCE_IOAPIC",
        } },
        codes! { "hv_interrupt_type" = InterruptType {
            FIXED = "HV_X64_INTERRUPT_TYPE_FIXED",
            LOWESTPRIORITY = "HV_X64_INTERRUPT_TYPE_LOWESTPRIORITY",
            SMI = "HV_X64_INTERRUPT_TYPE_SMI",
            REMOTEREAD = "HV_X64_INTERRUPT_TYPE_REMOTEREAD",
            NMI = "HV_X64_INTERRUPT_TYPE_NMI",
            INIT = "HV_X64_INTERRUPT_TYPE_INIT",
            SIPI = "HV_X64_INTERRUPT_TYPE_SIPI",
            EXTINT = "HV_X64_INTERRUPT_TYPE_EXTINT",
            LOCALINT0 = "HV_X64_INTERRUPT_TYPE_LOCALINT0",
            LOCALINT1 = "HV_X64_INTERRUPT_TYPE_LOCALINT1",
        } without { "HV_X64_INTERRUPT_TYPE_MAXIMUM": "a bound" } },
        codes! { "hv_interrupt_trigger_mode" = TriggerMode {
            EDGE = "HV_INTERRUPT_TRIGGER_MODE_EDGE", LEVEL = "HV_INTERRUPT_TRIGGER_MODE_LEVEL",
        } },
        codes! { "hv_device_type" = DeviceType {
            LOGICAL = "HV_DEVICE_TYPE_LOGICAL",
            PCI = "HV_DEVICE_TYPE_PCI",
            IOAPIC = "HV_DEVICE_TYPE_IOAPIC",
            ACPI = "HV_DEVICE_TYPE_ACPI",
        } },
        codes! { "hv_mem_host_visibility" = HostVisibility {
            NOT_VISIBLE = "VMBUS_PAGE_NOT_VISIBLE",
            VISIBLE_READ_ONLY = "VMBUS_PAGE_VISIBLE_READ_ONLY",
            VISIBLE_READ_WRITE = "VMBUS_PAGE_VISIBLE_READ_WRITE",
        } },
        codes! { "(anon:HV_EXTMEM_HEAT_HINT_COLD)" = HeatHint {
            COLD = "HV_EXTMEM_HEAT_HINT_COLD",
            HOT = "HV_EXTMEM_HEAT_HINT_HOT",
            COLD_DISCARD = "HV_EXTMEM_HEAT_HINT_COLD_DISCARD",
        } without { "HV_EXTMEM_HEAT_HINT_MAX": "a bound" } },
        codes! { "HV_SUBNODE_TYPE" = SubnodeType {
            ANY = "HvSubnodeAny",
            SOCKET = "HvSubnodeSocket",
            CLUSTER = "HvSubnodeAmdNode",
            L3 = "HvSubnodeL3",
            INVALID = "HvSubnodeInvalid",
        } without { "HvSubnodeCount": "a bound" } },
        codes! { "(anon:HV_SUBNODE_ANY)" = SubnodeType {
            ANY = "HV_SUBNODE_ANY",
            SOCKET = "HV_SUBNODE_SOCKET",
            CLUSTER = "HV_SUBNODE_CLUSTER",
            L3 = "HV_SUBNODE_L3",
            INVALID = "HV_SUBNODE_INVALID",
        } without { "HV_SUBNODE_COUNT": "a bound" } },
        codes! { "hv_port_type" = PortType {
            MESSAGE = "HV_PORT_TYPE_MESSAGE",
            EVENT = "HV_PORT_TYPE_EVENT",
            MONITOR = "HV_PORT_TYPE_MONITOR",
            DOORBELL = "HV_PORT_TYPE_DOORBELL",
        } },
        codes! { "hv_intercept_access_type" = InterceptAccess {
            READ = "HV_INTERCEPT_ACCESS_READ",
            WRITE = "HV_INTERCEPT_ACCESS_WRITE",
            EXECUTE = "HV_INTERCEPT_ACCESS_EXECUTE",
        } },
        codes! { "hv_intercept_type" = InterceptType {
            X64_IO_PORT = "HV_INTERCEPT_TYPE_X64_IO_PORT",
            X64_MSR = "HV_INTERCEPT_TYPE_X64_MSR",
            X64_CPUID = "HV_INTERCEPT_TYPE_X64_CPUID",
            EXCEPTION = "HV_INTERCEPT_TYPE_EXCEPTION",
            MMIO = "HV_INTERCEPT_TYPE_MMIO",
            X64_GLOBAL_CPUID = "HV_INTERCEPT_TYPE_X64_GLOBAL_CPUID",
            X64_APIC_SMI = "HV_INTERCEPT_TYPE_X64_APIC_SMI",
            HYPERCALL = "HV_INTERCEPT_TYPE_HYPERCALL",
            X64_APIC_INIT_SIPI = "HV_INTERCEPT_TYPE_X64_APIC_INIT_SIPI",
            MC_UPDATE_PATCH_LEVEL_MSR_READ = "HV_INTERCEPT_MC_UPDATE_PATCH_LEVEL_MSR_READ",
            X64_APIC_WRITE = "HV_INTERCEPT_TYPE_X64_APIC_WRITE",
            X64_MSR_INDEX = "HV_INTERCEPT_TYPE_X64_MSR_INDEX",
            INVALID = "HV_INTERCEPT_TYPE_INVALID",
        } without {
            "HV_INTERCEPT_TYPE_RESERVED0": "nothing", "HV_INTERCEPT_TYPE_MAX": "a bound",
        } beyond "OpenVMM hvdef, HvInterceptType" },
        registers(),
    ]
}

/// The kernel's one list of registers, which are several here: each number is looked up by its name.
fn registers() -> Codes {
    let both = RegisterName::NAMED
        .iter()
        .filter_map(|register| Some((register.name()?, register.0)));
    let x64 = RegisterNameX64::NAMED
        .iter()
        .filter_map(|register| Some((register.name()?, register.0)));
    let values = both.chain(x64).map(|(name, number)| {
        let kernel: &'static str = format!("{}?", kernel_name(name)).leak();
        (name, i64::from(number), kernel)
    });
    Codes {
        kernel: "hv_register_name",
        of: "",
        rust: vec![
            std::any::type_name::<RegisterName>(),
            std::any::type_name::<RegisterNameX64>(),
        ],
        values: values.collect(),
        named: Vec::new(),
        without: &[],
        beyond: None,
    }
}

/// The kernel files this one register under x86-64, although it is among those of both.
fn kernel_name(name: &str) -> &str {
    match name {
        "HV_REGISTER_REG_PAGE" => "HV_X64_REGISTER_REG_PAGE",
        name => name,
    }
}

pub(super) fn alone() -> Vec<Alone> {
    alone! {
        "OpenVMM vm/hv1/hvdef": PostMessageDirectInput, SignalEventDirectInput, SignalEventDirectOutput,
            InitialVpContextArm64, EnablePartitionVtlInput, TranslateAddressInput, TranslateFlags, TranslateResult,
            TranslateAddressOutput, TranslateAddressExOutput, QueryHostVisibilityInput, AcceptGpaPagesInput,
            ModifyVtlProtectionInput, CheckVtlAccessInput, VtlAccess, PinGpaPageRangesInput, InstallInterceptInput,
            InterceptHeaderArm64, CacheType, MemoryInterceptArm64, IoPortInterceptX64, MsrInterceptX64,
            CpuidInterceptX64, ExceptionInterceptX64, HypercallInterceptX64, HypercallInterceptArm64,
            SipiInterceptX64, SintDeliverableX64, SintDeliverableArm64, InterruptionDeliverableX64,
            ResetInterceptArm64, InvalidVpRegister, VtlEntryReason, RegisterNameArm64;
        "Linux arch/x86/include/asm/hyperv-tlfs.h and include/asm-generic/hyperv-tlfs.h, macros": FlushFlags,
            InterruptTargetFlags, MapGpaFlags, ExtendedCapabilities, InterceptAccessMask;
        "TLFS HV_GVA_RANGE; Linux has u64": GvaRange;
        "QEMU include/hw/hyperv/hyperv-proto.h": PostDebugDataInput, PostDebugDataOutput, RetrieveDebugDataInput,
            RetrieveDebugDataOutput, ResetDebugSessionInput, ResetDebugSessionOutput;
    }
}
