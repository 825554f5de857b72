//! Interrupts: between processors, from devices, asserted for a guest.

use zerocopy::little_endian::{U16, U32, U64};

use crate::macros::{open_code, wire_struct};

wire_struct! {
    /// Input of [`SEND_IPI`](crate::CallCode::SEND_IPI): an interrupt to processors 0 to 63. 16 bytes, or the two registers
    /// of the fast form.
    ///
    /// Sources: TLFS "HvCallSendSyntheticClusterIpi"; Linux `struct hv_send_ipi`, whose first word OpenVMM splits.
    pub struct SendIpiInput, 16 bytes {
        /// The vector, 16 to 255.
        0: vector: U32,
        /// The virtual trust level as an [`InputVtl`](super::InputVtl). Linux leaves it 0: the caller's own.
        4: target_vtl: u8,
        /// Zero.
        5: reserved: [u8; 3],
        /// Processor `n` is bit `n`.
        8: processor_mask: U64,
    }
}

wire_struct! {
    /// Input of [`SEND_IPI_EX`](crate::CallCode::SEND_IPI_EX), followed by the banks of the set.
    ///
    /// Sources: TLFS "HvCallSendSyntheticClusterIpiEx"; Linux `struct hv_send_ipi_ex`.
    pub struct SendIpiExInput, 24 bytes {
        /// The vector, 16 to 255.
        0: vector: U32,
        /// The virtual trust level as an [`InputVtl`](super::InputVtl). Linux leaves it 0: the caller's own.
        4: target_vtl: u8,
        /// Zero.
        5: reserved: [u8; 3],
        /// The processors.
        8: processor_set: crate::vpset::VpSetHeader,
    }
}

open_code! {
    /// Where a device's interrupt comes from. Source: Linux `enum hv_interrupt_source`; OpenVMM `HvInterruptSource`.
    pub struct InterruptSource(u32) as "HV_INTERRUPT_SOURCE_" {
        /// A message-signalled interrupt: [`InterruptEntry::data`] is an [`MsiEntry`].
        MSI = 1,
        /// A pin of the I/O APIC: [`InterruptEntry::data`] is an [`IoApicRte`].
        IOAPIC = 2,
    }
}

open_code! {
    /// How an interrupt is delivered. Source: Linux `enum hv_interrupt_type`; OpenVMM `HvInterruptType`.
    pub struct InterruptType(u32) as "HV_X64_INTERRUPT_TYPE_" {
        /// A vector. The only one on AArch64.
        FIXED = 0,
        /// A vector, to the processor with the lowest priority.
        LOWESTPRIORITY = 1,
        /// System management interrupt.
        SMI = 2,
        /// Remote read.
        REMOTEREAD = 3,
        /// Interrupt that cannot be masked.
        NMI = 4,
        /// INIT.
        INIT = 5,
        /// Start-up.
        SIPI = 6,
        /// As the 8259 would.
        EXTINT = 7,
        /// LINT0 of the local APIC.
        LOCALINT0 = 8,
        /// LINT1 of the local APIC.
        LOCALINT1 = 9,
    }
}

open_code! {
    /// What triggers an interrupt. Source: Linux `enum hv_interrupt_trigger_mode`.
    pub struct TriggerMode(u32) as "HV_INTERRUPT_TRIGGER_MODE_" {
        /// An edge.
        EDGE = 0,
        /// A level.
        LEVEL = 1,
    }
}

open_code! {
    /// How a device is named, in the top two bits of its id. Source: Linux `enum hv_device_type`.
    pub struct DeviceType(u8) as "HV_DEVICE_TYPE_" {
        /// By a number of the host's.
        LOGICAL = 0,
        /// By segment and requester id.
        PCI = 1,
        /// An I/O APIC.
        IOAPIC = 2,
        /// By ACPI.
        ACPI = 3,
    }
}

/// A device as calls about interrupts name it: 64 bits, of which the top two are the [`DeviceType`].
///
/// | type | bits |
/// |---|---|
/// | `LOGICAL` | 61:0 the number |
/// | `PCI` | 15:0 requester id, 31:16 segment, 47:32 shadow bus range, 49:48 phantom function bits, 50 source is a shadow |
/// | `IOAPIC` | 7:0 id of the I/O APIC |
/// | `ACPI` | 31:0 first input, 61:32 their count |
///
/// Source: Linux `union hv_device_id`. Linux gives `RETARGET_INTERRUPT` of a VMBus device a number made of bytes of the
/// channel's instance id, with the type `LOGICAL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct DeviceId(pub u64);

impl DeviceId {
    const TYPE_SHIFT: u32 = 62;

    /// A device by a number of the host's, of which the low 62 bits are kept.
    #[must_use]
    pub const fn logical(number: u64) -> Self {
        Self(number & (u64::MAX >> 2))
    }

    /// A PCI device by segment and requester id.
    #[must_use]
    pub const fn pci(segment: u16, requester_id: u16) -> Self {
        let kind = DeviceType::PCI.0 as u64;
        Self(kind << Self::TYPE_SHIFT | (segment as u64) << 16 | requester_id as u64)
    }

    /// The I/O APIC with this id.
    #[must_use]
    pub const fn io_apic(id: u8) -> Self {
        let kind = DeviceType::IOAPIC.0 as u64;
        Self(kind << Self::TYPE_SHIFT | id as u64)
    }

    /// How the device is named.
    #[must_use]
    pub const fn device_type(self) -> DeviceType {
        DeviceType((self.0 >> Self::TYPE_SHIFT) as u8)
    }
}

wire_struct! {
    /// A message-signalled interrupt: what the device writes where.
    ///
    /// Source: Linux `union hv_msi_entry`, `union hv_msi_address_register`, `union hv_msi_data_register`.
    pub struct MsiEntry, 8 bytes {
        /// The address. On x86-64: bit 2 logical destination, bit 3 redirection hint, bits 19:12 destination, bits 31:20
        /// 0xfee.
        0: address: U32,
        /// The data. On x86-64: bits 7:0 vector, bits 10:8 [`InterruptType`], bit 14 level asserted, bit 15 level
        /// triggered.
        4: data: U32,
    }
}

wire_struct! {
    /// An entry of the I/O APIC's redirection table.
    ///
    /// Source: Linux `union hv_ioapic_rte`.
    pub struct IoApicRte, 8 bytes {
        /// Bits 7:0 vector, 10:8 [`InterruptType`], 11 logical destination, 12 delivery pending, 13 active low, 14 remote
        /// IRR, 15 level triggered, 16 masked.
        0: low: U32,
        /// Bits 31:24 destination.
        4: high: U32,
    }
}

wire_struct! {
    /// Which interrupt of a device.
    ///
    /// Source: Linux `struct hv_interrupt_entry`; OpenVMM `InterruptEntry`.
    pub struct InterruptEntry, 16 bytes {
        /// The [`InterruptSource`].
        0: source: U32,
        /// Zero.
        4: reserved: U32,
        /// An [`MsiEntry`] or an [`IoApicRte`], by the source.
        8: data: [u8; 8],
    }
}

bitflags::bitflags! {
    /// Flags of an [`InterruptTarget`]. Source: Linux `HV_DEVICE_INTERRUPT_TARGET_*`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct InterruptTargetFlags: u32 {
        /// To all of the processors, not to any one of them.
        const MULTICAST = 1 << 0;
        /// The target is a [`VpSet`](crate::vpset::VpSet), not a mask.
        const PROCESSOR_SET = 1 << 1;
        const _ = !0;
    }
}

wire_struct! {
    /// Where an interrupt goes, with room for the begin of a set; the set's banks follow.
    ///
    /// Sources: TLFS "HvCallRetargetDeviceInterrupt"; Linux `struct hv_device_interrupt_target`.
    pub struct InterruptTarget, 24 bytes {
        /// The vector.
        0: vector: U32,
        /// [`InterruptTargetFlags`].
        4: flags: U32,
        /// Without [`InterruptTargetFlags::PROCESSOR_SET`] its first 8 bytes are a mask of processors 0 to 63.
        8: processor_set: crate::vpset::VpSetHeader,
    }
}

wire_struct! {
    /// Input of [`RETARGET_INTERRUPT`](crate::CallCode::RETARGET_INTERRUPT), followed by the banks of a set.
    ///
    /// Sources: TLFS "HvCallRetargetDeviceInterrupt"; Linux `struct hv_retarget_device_interrupt`.
    pub struct RetargetInterruptInput, 64 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The [`DeviceId`].
        8: device_id: U64,
        /// Which of its interrupts.
        16: entry: InterruptEntry,
        /// Zero.
        32: reserved: U64,
        /// Where it shall go.
        40: target: InterruptTarget,
    }
}

wire_struct! {
    /// How a device's interrupt is to be mapped, and where it goes.
    ///
    /// Source: Linux `struct hv_device_interrupt_descriptor`.
    pub struct InterruptDescriptor, 40 bytes {
        /// The [`InterruptType`].
        0: interrupt_type: U32,
        /// The [`TriggerMode`].
        4: trigger_mode: U32,
        /// How many vectors, from the target's on.
        8: vector_count: U32,
        /// Zero.
        12: reserved: U32,
        /// Where it goes.
        16: target: InterruptTarget,
    }
}

wire_struct! {
    /// Input of [`MAP_DEVICE_INTERRUPT`](crate::CallCode::MAP_DEVICE_INTERRUPT), for the root partition.
    ///
    /// Source: Linux `struct hv_input_map_device_interrupt`.
    pub struct MapDeviceInterruptInput, 80 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The [`DeviceId`].
        8: device_id: U64,
        /// Zero. (Later kernels split it: flags, and at byte 20 the first index of the remapping table.)
        16: flags: U64,
        /// The interrupt as the guest knows it.
        24: logical_entry: InterruptEntry,
        /// How it is to be mapped.
        40: descriptor: InterruptDescriptor,
    }
}

wire_struct! {
    /// Output of [`MAP_DEVICE_INTERRUPT`](crate::CallCode::MAP_DEVICE_INTERRUPT).
    ///
    /// Source: Linux `struct hv_output_map_device_interrupt`; later kernels have 40 bytes of status behind, deprecated.
    pub struct MapDeviceInterruptOutput, 16 bytes {
        /// What the device has to be programmed with.
        0: entry: InterruptEntry,
    }
}

wire_struct! {
    /// Input of [`UNMAP_DEVICE_INTERRUPT`](crate::CallCode::UNMAP_DEVICE_INTERRUPT), for the root partition.
    ///
    /// Source: Linux `struct hv_input_unmap_device_interrupt`; later kernels have u32 flags behind.
    pub struct UnmapDeviceInterruptInput, 32 bytes {
        /// The partition, or [`PARTITION_SELF`](super::PARTITION_SELF).
        0: partition_id: U64,
        /// The [`DeviceId`].
        8: device_id: U64,
        /// What the mapping gave.
        16: entry: InterruptEntry,
    }
}

bitflags::bitflags! {
    /// Bits above the [`InterruptType`] in [`AssertVirtualInterruptInput::control`].
    ///
    /// Source: Linux `union hv_interrupt_control`; OpenVMM `HvInterruptControl` for the last.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct InterruptControl: u64 {
        /// x86-64: level triggered.
        const LEVEL_TRIGGERED = 1 << 32;
        /// x86-64: the destination is logical.
        const LOGICAL_DESTINATION = 1 << 33;
        /// AArch64: asserted, not taken back.
        const ASSERTED = 1 << 34;
        const _ = !0;
    }
}

wire_struct! {
    /// Input of [`ASSERT_VIRTUAL_INTERRUPT`](crate::CallCode::ASSERT_VIRTUAL_INTERRUPT).
    ///
    /// Sources: TLFS "HvCallAssertVirtualInterrupt"; Linux `struct hv_input_assert_virtual_interrupt`.
    pub struct AssertVirtualInterruptInput, 32 bytes {
        /// The partition.
        0: partition_id: U64,
        /// The [`InterruptType`] in bits 31:0, [`InterruptControl`] above.
        8: control: U64,
        /// An APIC id or a mask of them, by the control.
        16: destination: U64,
        /// The vector.
        24: vector: U32,
        /// The virtual trust level.
        28: target_vtl: u8,
        /// Zero.
        29: reserved0: u8,
        /// Zero.
        30: reserved1: U16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_by_their_type() {
        assert_eq!(DeviceId::logical(u64::MAX).device_type(), DeviceType::LOGICAL);
        let pci = DeviceId::pci(0x1234, 0x5678);
        assert_eq!(
            (pci.0, pci.device_type()),
            (0x4000_0000_1234_5678, DeviceType::PCI)
        );
        assert_eq!(DeviceId::io_apic(9), DeviceId(0x8000_0000_0000_0009));
        assert_eq!(DeviceId(u64::MAX).device_type(), DeviceType::ACPI);
    }
}
