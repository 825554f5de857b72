//! What the guest runs on.

use thiserror::Error;

use crate::cpuid::{
    CallAccess, CpuidRegisters, FeatureLeaf, HYPERVISOR_PRESENT, HardwareFeatures, HypervisorVersion,
    INTERFACE_SIGNATURE, IsolationLeaf, LEAF_FEATURES, LEAF_HARDWARE_FEATURES, LEAF_INTERFACE,
    LEAF_ISOLATION, LEAF_LIMITS, LEAF_NESTED_FEATURES, LEAF_PROCESSOR, LEAF_RECOMMENDATIONS, LEAF_VENDOR,
    LEAF_VERSION, LEAF_VIRT_STACK_INTERFACE, LEAF_VIRT_STACK_PROPERTIES, LEAF_VIRT_STACK_VENDOR, LimitsLeaf,
    MIN_MAX_LEAF, MsrAccess, NestedFeatures, RecommendationLeaf, VIRT_STACK_SIGNATURE, VendorLeaf,
    VirtStackProperties,
};

/// Reads CPUID leaves.
///
/// Ready-made: `x86_64::NativeCpuid`, and every closure `Fn(u32) -> CpuidRegisters`.
pub trait Cpuid {
    /// The leaf with this number, sub-leaf 0.
    fn cpuid(&self, leaf: u32) -> CpuidRegisters;
}

impl<F: Fn(u32) -> CpuidRegisters> Cpuid for F {
    fn cpuid(&self, leaf: u32) -> CpuidRegisters {
        self(leaf)
    }
}

/// A hypervisor with the interface of this crate, and what it offers.
///
/// ```
/// use hvcall::cpuid::CpuidRegisters;
/// use hvcall::guest::{DetectError, Hypervisor};
///
/// // On x86-64: Hypervisor::detect(&hvcall::guest::x86_64::NativeCpuid)
/// let bare_metal = |_leaf| CpuidRegisters::default();
/// assert_eq!(Hypervisor::detect(&bare_metal), Err(DetectError::NoHypervisor));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hypervisor {
    /// The highest leaf, and who made the hypervisor: for display, as others have this interface too.
    pub vendor: VendorLeaf,
    /// Its version.
    pub version: HypervisorVersion,
    /// What the guest may use.
    pub features: FeatureLeaf,
    /// What the guest had better use.
    pub recommendations: RecommendationLeaf,
    /// Limits.
    pub limits: LimitsLeaf,
    /// What of the hardware is in use; empty where that is not told.
    pub hardware: HardwareFeatures,
    /// Enlightenments for a nested hypervisor; empty where there are none.
    pub nested: NestedFeatures,
    /// How the guest is kept from its host; all zero where it is not.
    pub isolation: IsolationLeaf,
    /// The virtualization stack, where it tells of itself.
    pub stack: Option<VirtStack>,
}

/// What the virtualization stack tells of itself, from leaf 0x40000080 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VirtStack {
    /// The highest leaf of its range, and who made it.
    pub vendor: VendorLeaf,
    /// Its properties.
    pub properties: VirtStackProperties,
}

impl Hypervisor {
    /// Reads the leaves, in the order that TLFS "Establishing the Hypercall Interface" asks for.
    ///
    /// # Errors
    ///
    /// There is no hypervisor, or none with this interface.
    pub fn detect(cpuid: &(impl Cpuid + ?Sized)) -> Result<Self, DetectError> {
        if cpuid.cpuid(LEAF_PROCESSOR).ecx & HYPERVISOR_PRESENT == 0 {
            return Err(DetectError::NoHypervisor);
        }
        let vendor = VendorLeaf::from_registers(cpuid.cpuid(LEAF_VENDOR));
        if vendor.max_leaf < MIN_MAX_LEAF {
            return Err(DetectError::TooFewLeaves { vendor });
        }
        let signature = cpuid.cpuid(LEAF_INTERFACE).eax;
        if signature != INTERFACE_SIGNATURE {
            return Err(DetectError::OtherInterface { vendor, signature });
        }
        // A leaf above the highest may hold anything: some processors then answer with another leaf's registers.
        let optional = |leaf| {
            if leaf <= vendor.max_leaf {
                cpuid.cpuid(leaf)
            } else {
                CpuidRegisters::default()
            }
        };
        Ok(Self {
            vendor,
            version: HypervisorVersion::from_registers(cpuid.cpuid(LEAF_VERSION)),
            features: FeatureLeaf::from_registers(cpuid.cpuid(LEAF_FEATURES)),
            recommendations: RecommendationLeaf::from_registers(cpuid.cpuid(LEAF_RECOMMENDATIONS)),
            limits: LimitsLeaf::from_registers(cpuid.cpuid(LEAF_LIMITS)),
            hardware: HardwareFeatures::from_bits_retain(optional(LEAF_HARDWARE_FEATURES).eax),
            nested: NestedFeatures::from_bits_retain(optional(LEAF_NESTED_FEATURES).eax),
            isolation: IsolationLeaf::from_registers(optional(LEAF_ISOLATION)),
            stack: VirtStack::detect(cpuid),
        })
    }

    /// Judges whether the guest may use these MSRs and calls.
    ///
    /// # Errors
    ///
    /// What of them is missing.
    pub const fn require(&self, msrs: MsrAccess, calls: CallAccess) -> Result<(), NotOffered> {
        let missing = NotOffered {
            msrs: msrs.difference(self.features.msrs),
            calls: calls.difference(self.features.calls),
        };
        if missing.msrs.is_empty() && missing.calls.is_empty() {
            Ok(())
        } else {
            Err(missing)
        }
    }

    /// Judges whether the guest has what VMBus needs.
    ///
    /// # Errors
    ///
    /// What of it is missing.
    pub const fn require_vmbus(&self) -> Result<(), NotOffered> {
        self.require(MsrAccess::VMBUS, CallAccess::VMBUS)
    }
}

impl VirtStack {
    /// QEMU and Hyper-V have these leaves in a range of their own, behind that of the hypervisor.
    fn detect(cpuid: &(impl Cpuid + ?Sized)) -> Option<Self> {
        let vendor = VendorLeaf::from_registers(cpuid.cpuid(LEAF_VIRT_STACK_VENDOR));
        let range = LEAF_VIRT_STACK_PROPERTIES..LEAF_VIRT_STACK_VENDOR.saturating_add(0x80);
        if !range.contains(&vendor.max_leaf)
            || cpuid.cpuid(LEAF_VIRT_STACK_INTERFACE).eax != VIRT_STACK_SIGNATURE
        {
            return None;
        }
        let properties = cpuid.cpuid(LEAF_VIRT_STACK_PROPERTIES).eax;
        Some(Self {
            vendor,
            properties: VirtStackProperties::from_bits_retain(properties),
        })
    }
}

/// This is no hypervisor with the interface of this crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DetectError {
    /// The processor says that it runs no hypervisor.
    #[error("there is no hypervisor")]
    NoHypervisor,
    /// There are not the leaves that the interface has at least.
    #[error("the hypervisor has leaves up to {:#x}, and this interface up to {MIN_MAX_LEAF:#x} at least", vendor.max_leaf)]
    TooFewLeaves {
        /// The highest leaf and the maker.
        vendor: VendorLeaf,
    },
    /// The hypervisor has another interface.
    #[error("the hypervisor has the interface {signature:#x}, not {INTERFACE_SIGNATURE:#x}")]
    OtherInterface {
        /// The highest leaf and the maker.
        vendor: VendorLeaf,
        /// The signature of its interface.
        signature: u32,
    },
}

/// The hypervisor does not offer what is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the hypervisor does not offer {msrs:?}, {calls:?}")]
pub struct NotOffered {
    /// MSRs that the guest may not use.
    pub msrs: MsrAccess,
    /// Hypercalls that the guest may not make.
    pub calls: CallAccess,
}
