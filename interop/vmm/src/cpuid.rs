//! What the guest learns of its processors: the host's CPUID leaves as far as KVM supports them, one socket of `count` cores, and
//! Hyper-V in the hypervisor's range instead of KVM. Linux takes itself to be on Hyper-V only when it finds no KVM there.

use crate::error::{Result, kvm};
use crate::sys;
use hvcall::cpuid::{
    CallAccess, CpuidRegisters, FeatureLeaf, Features, HYPERVISOR_PRESENT, LEAF_FEATURES,
    LEAF_HARDWARE_FEATURES, LEAF_PROCESSOR, LEAF_RECOMMENDATIONS, LEAF_VENDOR, RecommendationLeaf,
    Recommendations, VENDOR_MICROSOFT, VendorLeaf,
};
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2};
use kvm_ioctls::{Kvm, VcpuFd};
use std::ops::RangeInclusive;

/// The leaves of a hypervisor's.
const HYPERVISOR: RangeInclusive<u32> = LEAF_VENDOR..=0x4000_FFFF;
/// The highest of Hyper-V's leaves that is passed on. Behind it KVM lists nested virtualisation and a debugger's interface, which is
/// more than this machine is made for.
const LAST_HYPERV_LEAF: u32 = LEAF_HARDWARE_FEATURES;

/// Sets the CPUID of the vCPU `index` among `count`.
///
/// # Errors
/// A KVM call failed.
pub(crate) fn apply(kvm_fd: &Kvm, vcpu: &VcpuFd, index: u8, count: u8) -> Result<()> {
    let hardware = kvm_fd
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(kvm("list the CPUID leaves it supports"))?;
    let hyperv = sys::supported_hv_cpuid(vcpu)?;
    let entries = leaves(hardware.as_slice(), hyperv.as_slice(), index, count);
    let doing = "set a vCPU's CPUID";
    let leaves = CpuId::from_entries(&entries).map_err(|error| kvm(doing)(std::io::Error::other(error)))?;
    vcpu.set_cpuid2(&leaves).map_err(kvm(doing))
}

fn leaves(
    hardware: &[kvm_cpuid_entry2],
    hyperv: &[kvm_cpuid_entry2],
    index: u8,
    count: u8,
) -> Vec<kvm_cpuid_entry2> {
    let mut entries: Vec<_> = hardware
        .iter()
        .filter(|entry| !HYPERVISOR.contains(&entry.function))
        .copied()
        .collect();
    for entry in &mut entries {
        set_topology(entry, u32::from(index), u32::from(count));
    }
    let hyperv = hyperv
        .iter()
        .filter(|entry| (LEAF_VENDOR..=LAST_HYPERV_LEAF).contains(&entry.function));
    let last = hyperv
        .clone()
        .map(|entry| entry.function)
        .max()
        .unwrap_or(LEAF_VENDOR);
    entries.extend(hyperv.map(|entry| adapt(entry, last)));
    entries
}

/// Takes out of a leaf of KVM's what this machine does not have, and gives it Hyper-V's name.
fn adapt(entry: &kvm_cpuid_entry2, max_leaf: u32) -> kvm_cpuid_entry2 {
    let registers = CpuidRegisters {
        eax: entry.eax,
        ebx: entry.ebx,
        ecx: entry.ecx,
        edx: entry.edx,
    };
    let CpuidRegisters { eax, ebx, ecx, edx } = match entry.function {
        LEAF_VENDOR => VendorLeaf {
            max_leaf,
            vendor: VENDOR_MICROSOFT,
        }
        .into(),
        LEAF_FEATURES => {
            let mut leaf = FeatureLeaf::from(registers);
            leaf.calls.remove(CallAccess::DEBUGGING);
            leaf.features
                .remove(Features::DEBUG_MSRS | Features::GUEST_DEBUGGING);
            leaf.into()
        }
        LEAF_RECOMMENDATIONS => {
            let mut leaf = RecommendationLeaf::from(registers);
            leaf.recommendations.remove(Recommendations::ENLIGHTENED_VMCS);
            leaf.into()
        }
        _ => registers,
    };
    kvm_cpuid_entry2 {
        eax,
        ebx,
        ecx,
        edx,
        ..*entry
    }
}

/// Makes a leaf of the hardware's tell of core `index` in a socket of `count` cores with one thread each.
fn set_topology(entry: &mut kvm_cpuid_entry2, index: u32, count: u32) {
    let bits = count.next_power_of_two().trailing_zeros();
    match (entry.function, entry.index) {
        (LEAF_PROCESSOR, _) => {
            entry.ebx = entry.ebx & 0xFFFF | count << 16 | index << 24;
            entry.ecx |= HYPERVISOR_PRESENT;
            entry.edx = entry.edx & !(1 << 28) | u32::from(count > 1) << 28;
        }
        // Intel's caches: bits 31:26 count the cores of the socket less one, 25:14 the threads that share the cache.
        (4, _) if entry.eax & 0x1F != 0 => entry.eax = entry.eax & 0x3FFF | (count - 1) << 26,
        (0xB | 0x1F, level) => {
            entry.edx = index;
            (entry.eax, entry.ebx, entry.ecx) = match level {
                0 => (0, 1, 1 << 8),
                1 => (bits, count, 2 << 8 | 1),
                _ => (0, 0, level & 0xFF),
            };
        }
        // AMD: cores of the socket less one, and how many bits of the APIC identifier tell them apart.
        (0x8000_0008, _) => entry.ecx = entry.ecx & !0xF0FF | bits << 12 | (count - 1),
        (0x8000_001D, _) => entry.eax &= !(0xFFF << 14),
        (0x8000_001E, _) => (entry.eax, entry.ebx, entry.ecx) = (index, index, 0),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(function: u32, registers: [u32; 4]) -> kvm_cpuid_entry2 {
        let [eax, ebx, ecx, edx] = registers;
        kvm_cpuid_entry2 {
            function,
            eax,
            ebx,
            ecx,
            edx,
            ..Default::default()
        }
    }

    fn find(entries: &[kvm_cpuid_entry2], function: u32) -> [u32; 4] {
        let mut found = entries.iter().filter(|entry| entry.function == function);
        let entry = found.next().unwrap();
        assert!(found.next().is_none(), "leaf {function:#x} is there twice");
        [entry.eax, entry.ebx, entry.ecx, entry.edx]
    }

    #[test]
    fn the_guest_finds_hyper_v_and_no_kvm() {
        let kvm_leaf = entry(0x4000_0000, [0x4000_0001, 1, 2, 3]);
        let hyperv = [
            entry(0x4000_0000, [0x4000_0082, 4, 5, 6]),
            entry(0x4000_0001, [0x3123_7648, 0, 0, 0]),
            entry(0x4000_0003, [0xFFFF, u32::MAX, 0, u32::MAX]),
            entry(0x4000_0004, [u32::MAX, 7, 0, 0]),
            entry(0x4000_0080, [1, 2, 3, 4]),
        ];
        let leaves = leaves(&[kvm_leaf], &hyperv, 0, 1);
        let [last, name @ ..] = find(&leaves, 0x4000_0000);
        assert_eq!(last, 0x4000_0004);
        assert_eq!(name.map(u32::to_le_bytes).concat(), b"Microsoft Hv");
        assert_eq!(find(&leaves, 0x4000_0001)[0].to_le_bytes(), *b"Hv#1");
        let debugger = (1 << 11, 1 << 1 | 1 << 11);
        assert_eq!(find(&leaves, 0x4000_0003), [0xFFFF, !debugger.0, 0, !debugger.1]);
        let enlightened_vmcs = 1 << 14;
        assert_eq!(find(&leaves, 0x4000_0004)[0], !enlightened_vmcs);
        assert_eq!(leaves.len(), 4, "neither KVM's leaf nor the debugger's");
    }

    #[test]
    fn every_processor_has_its_own_apic_identifier() {
        let leaves = leaves(
            &[entry(1, [0; 4]), entry(0xB, [0; 4]), entry(0x8000_0008, [0; 4])],
            &[],
            5,
            6,
        );
        assert_eq!(find(&leaves, 1), [0, 5 << 24 | 6 << 16, 1 << 31, 1 << 28]);
        assert_eq!(find(&leaves, 0xB)[3], 5);
        assert_eq!(find(&leaves, 0x8000_0008)[2], 3 << 12 | 5);
    }
}
