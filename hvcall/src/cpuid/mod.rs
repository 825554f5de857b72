//! CPUID leaves by which a hypervisor tells what it is and what it offers, on x86-64.
//!
//! | leaf | tells | type |
//! |---|---|---|
//! | 1 ECX bit 31 | that there is a hypervisor | [`HYPERVISOR_PRESENT`] |
//! | 0x40000000 | the highest leaf, and who made the hypervisor | [`VendorLeaf`] |
//! | 0x40000001 | that what follows is this interface | [`INTERFACE_SIGNATURE`] |
//! | 0x40000002 | version of the hypervisor | [`HypervisorVersion`] |
//! | 0x40000003 | what the guest may use | [`FeatureLeaf`] |
//! | 0x40000004 | what the guest had better use | [`RecommendationLeaf`] |
//! | 0x40000005 | limits | [`LimitsLeaf`] |
//! | 0x40000006 | what of the hardware is in use | [`HardwareFeatures`] |
//! | 0x40000007 | CPU management, for the root partition | [`CpuManagement`] |
//! | 0x40000008 | shared virtual memory, for the root partition | [`SvmLeaf`] |
//! | 0x40000009 | what a nested hypervisor may use | [`NestedAccess`], [`Features`] |
//! | 0x4000000A | enlightenments for a nested hypervisor | [`NestedFeatures`] |
//! | 0x4000000C | isolation | [`IsolationLeaf`] |
//! | 0x40000080 | the virtualization stack: highest leaf and maker | [`VendorLeaf`] |
//! | 0x40000081 | that what follows is its interface | [`VIRT_STACK_SIGNATURE`] |
//! | 0x40000082 | properties of the stack | [`VirtStackProperties`] |
//!
//! Each leaf type converts from the four registers as [`CpuidRegisters`] and back, so that a VMM can take a leaf from
//! KVM, change a flag and put it back. Reserved bits survive.

mod features;
mod leaves;
mod recommendations;

pub use features::{CallAccess, FeatureLeaf, Features, MsrAccess, PowerFeatures};
pub use leaves::{
    CpuManagement, HypervisorVersion, IsolationLeaf, IsolationType, LimitsLeaf, NestedAccess, NestedFeatures,
    NestedFeatures2, SvmFeatures, SvmLeaf, VendorLeaf, VirtStackProperties,
};
pub use recommendations::{HardwareFeatures, RecommendationLeaf, Recommendations};

/// Leaf 1: the processor's own; only [`HYPERVISOR_PRESENT`] matters here.
pub const LEAF_PROCESSOR: u32 = 1;
/// In leaf 1 ECX: there is a hypervisor, and the leaves from 0x40000000 on tell which.
pub const HYPERVISOR_PRESENT: u32 = 1 << 31;

/// Highest leaf and vendor.
pub const LEAF_VENDOR: u32 = 0x4000_0000;
/// Interface.
pub const LEAF_INTERFACE: u32 = 0x4000_0001;
/// Version of the hypervisor.
pub const LEAF_VERSION: u32 = 0x4000_0002;
/// Features.
pub const LEAF_FEATURES: u32 = 0x4000_0003;
/// Recommendations.
pub const LEAF_RECOMMENDATIONS: u32 = 0x4000_0004;
/// Limits.
pub const LEAF_LIMITS: u32 = 0x4000_0005;
/// Hardware features in use.
pub const LEAF_HARDWARE_FEATURES: u32 = 0x4000_0006;
/// CPU management.
pub const LEAF_CPU_MANAGEMENT: u32 = 0x4000_0007;
/// Shared virtual memory.
pub const LEAF_SVM_FEATURES: u32 = 0x4000_0008;
/// What a nested hypervisor may use.
pub const LEAF_NESTED_ACCESS: u32 = 0x4000_0009;
/// Enlightenments for a nested hypervisor.
pub const LEAF_NESTED_FEATURES: u32 = 0x4000_000a;
/// Isolation.
pub const LEAF_ISOLATION: u32 = 0x4000_000c;
/// Highest leaf and vendor of the virtualization stack; also where KVM's synthetic debugger is announced.
pub const LEAF_VIRT_STACK_VENDOR: u32 = 0x4000_0080;
/// Interface of the virtualization stack.
pub const LEAF_VIRT_STACK_INTERFACE: u32 = 0x4000_0081;
/// Properties of the virtualization stack.
pub const LEAF_VIRT_STACK_PROPERTIES: u32 = 0x4000_0082;

/// The lowest "highest leaf" of a hypervisor with this interface.
pub const MIN_MAX_LEAF: u32 = LEAF_LIMITS;
/// EAX of [`LEAF_INTERFACE`]: "Hv#1". It decides whether a guest may use anything of this crate; the vendor does not.
pub const INTERFACE_SIGNATURE: u32 = u32::from_le_bytes(*b"Hv#1");
/// EAX of [`LEAF_VIRT_STACK_INTERFACE`]: "VS#1".
pub const VIRT_STACK_SIGNATURE: u32 = u32::from_le_bytes(*b"VS#1");
/// The vendor of [`LEAF_VENDOR`] that Hyper-V tells, and by which Linux (until 6.x) and Windows know it.
pub const VENDOR_MICROSOFT: [u8; 12] = *b"Microsoft Hv";
/// The vendor of [`LEAF_VIRT_STACK_VENDOR`] that Hyper-V tells.
pub const VENDOR_VIRT_STACK: [u8; 12] = *b"Microsoft VS";

/// The four registers that CPUID returns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CpuidRegisters {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// Converts a type whose `from_registers` and `to_registers` lose nothing.
macro_rules! leaf_conversions {
    ( $( $leaf:ident ),+ ) => { $(
        impl From<CpuidRegisters> for $leaf {
            fn from(registers: CpuidRegisters) -> Self {
                Self::from_registers(registers)
            }
        }

        impl From<$leaf> for CpuidRegisters {
            fn from(leaf: $leaf) -> Self {
                leaf.to_registers()
            }
        }
    )+ };
}

leaf_conversions!(
    FeatureLeaf,
    HypervisorVersion,
    IsolationLeaf,
    LimitsLeaf,
    RecommendationLeaf,
    SvmLeaf,
    VendorLeaf
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn signatures_are_the_specifications() {
        assert_eq!(INTERFACE_SIGNATURE, 0x3123_7648);
        assert_eq!(VIRT_STACK_SIGNATURE, 0x3123_5356);
        let vendor = VendorLeaf {
            max_leaf: 0x4000_000c,
            vendor: VENDOR_MICROSOFT,
        }
        .to_registers();
        assert_eq!(
            (vendor.ebx, vendor.ecx, vendor.edx),
            (0x7263_694d, 0x666f_736f, 0x7648_2074)
        );
    }

    fn registers() -> impl Strategy<Value = CpuidRegisters> {
        any::<[u32; 4]>().prop_map(|[eax, ebx, ecx, edx]| CpuidRegisters { eax, ebx, ecx, edx })
    }

    proptest! {
        #[test]
        fn any_leaf_survives(registers in registers()) {
            prop_assert_eq!(CpuidRegisters::from(FeatureLeaf::from(registers)), registers);
            prop_assert_eq!(CpuidRegisters::from(HypervisorVersion::from(registers)), registers);
            prop_assert_eq!(CpuidRegisters::from(IsolationLeaf::from(registers)), registers);
            prop_assert_eq!(CpuidRegisters::from(LimitsLeaf::from(registers)), registers);
            prop_assert_eq!(CpuidRegisters::from(RecommendationLeaf::from(registers)), registers);
            prop_assert_eq!(CpuidRegisters::from(SvmLeaf::from(registers)), registers);
            prop_assert_eq!(SvmLeaf::from(registers).max_pasids(), registers.eax >> 11);
            prop_assert_eq!(CpuidRegisters::from(VendorLeaf::from(registers)), registers);
        }
    }
}
