//! The guest's set-up: detection, identity, hypercall page, reference time.

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::support::FakeMemory;
use crate::support::guest::{FakeMsrs, page};
use hvcall::cpuid::{
    CallAccess, CpuidRegisters, FeatureLeaf, Features, HardwareFeatures, IsolationType, LimitsLeaf,
    MsrAccess, RecommendationLeaf, Recommendations, VENDOR_MICROSOFT, VENDOR_VIRT_STACK, VendorLeaf,
    VirtStackProperties,
};
use hvcall::guest::{
    CallPage, DetectError, Hypervisor, InterfaceError, MsrError, NotOffered, PageError, Post, Received,
    RegisterError, SharedPage, SintSetup, Synic, TakenFlags, TscPage, TscPageUnusable, clear_identity,
    identify, reference_time,
};
use hvcall::{GuestOsId, Msr, OsType};
use proptest::prelude::*;

const GPA: u64 = 0x5_4321_0000;

/// The leaves of a Hyper-V, for tests to change.
fn leaves() -> BTreeMap<u32, CpuidRegisters> {
    let eax = |eax| CpuidRegisters {
        eax,
        ..CpuidRegisters::default()
    };
    let features = FeatureLeaf {
        msrs: MsrAccess::VMBUS | MsrAccess::REFERENCE_TSC,
        calls: CallAccess::VMBUS,
        features: Features::XMM_INPUT,
        ..FeatureLeaf::default()
    };
    let recommendations = RecommendationLeaf {
        recommendations: Recommendations::DEPRECATING_AEOI,
        ..RecommendationLeaf::default()
    };
    let limits = LimitsLeaf {
        virtual_processors: 64,
        ..LimitsLeaf::default()
    };
    BTreeMap::from([
        (
            1,
            CpuidRegisters {
                ecx: 1 << 31,
                ..CpuidRegisters::default()
            },
        ),
        (
            0x4000_0000,
            VendorLeaf {
                max_leaf: 0x4000_000c,
                vendor: VENDOR_MICROSOFT,
            }
            .into(),
        ),
        (0x4000_0001, eax(u32::from_le_bytes(*b"Hv#1"))),
        (
            0x4000_0002,
            CpuidRegisters {
                eax: 20348,
                ebx: 10 << 16,
                ecx: 0,
                edx: 0,
            },
        ),
        (0x4000_0003, features.into()),
        (0x4000_0004, recommendations.into()),
        (0x4000_0005, limits.into()),
        (
            0x4000_0006,
            eax(HardwareFeatures::SECOND_LEVEL_TRANSLATION.bits()),
        ),
        (
            0x4000_000c,
            CpuidRegisters {
                ebx: 2,
                ..CpuidRegisters::default()
            },
        ),
        (
            0x4000_0080,
            VendorLeaf {
                max_leaf: 0x4000_0082,
                vendor: VENDOR_VIRT_STACK,
            }
            .into(),
        ),
        (0x4000_0081, eax(u32::from_le_bytes(*b"VS#1"))),
        (0x4000_0082, eax(VirtStackProperties::PORTABLE.bits())),
    ])
}

/// As a processor does it: a leaf that is not there shows another one's registers.
fn detect(leaves: &BTreeMap<u32, CpuidRegisters>) -> Result<Hypervisor, DetectError> {
    let junk = CpuidRegisters {
        eax: !0,
        ebx: !0,
        ecx: !0,
        edx: !0,
    };
    Hypervisor::detect(&|leaf| leaves.get(&leaf).copied().unwrap_or(junk))
}

#[test]
fn a_hypervisor_tells_what_it_is() {
    let hypervisor = detect(&leaves()).unwrap();
    assert_eq!(hypervisor.vendor.vendor, VENDOR_MICROSOFT);
    assert_eq!((hypervisor.version.major, hypervisor.version.build), (10, 20348));
    assert_eq!(hypervisor.require_vmbus(), Ok(()));
    assert!(hypervisor.features.features.contains(Features::XMM_INPUT));
    assert_eq!(hypervisor.limits.virtual_processors, 64);
    assert_eq!(hypervisor.hardware, HardwareFeatures::SECOND_LEVEL_TRANSLATION);
    assert_eq!(hypervisor.isolation.isolation_type(), IsolationType::SNP);
    assert_eq!(
        hypervisor.stack.unwrap().properties,
        VirtStackProperties::PORTABLE
    );
}

#[test]
fn what_is_no_hyper_v_is_told_apart() {
    let mut other = leaves();
    let vendor = VendorLeaf {
        max_leaf: 0x4000_0005,
        vendor: *b"KVMKVMKVM\0\0\0",
    };
    other.insert(0x4000_0000, vendor.into());
    other.insert(0x4000_0001, CpuidRegisters::default());
    assert_eq!(
        detect(&other),
        Err(DetectError::OtherInterface { vendor, signature: 0 })
    );
    let vendor = VendorLeaf {
        max_leaf: 0x4000_0004,
        ..vendor
    };
    other.insert(0x4000_0000, vendor.into());
    assert_eq!(detect(&other), Err(DetectError::TooFewLeaves { vendor }));
    other.insert(
        1,
        CpuidRegisters {
            ecx: !(1 << 31),
            ..CpuidRegisters::default()
        },
    );
    assert_eq!(detect(&other), Err(DetectError::NoHypervisor));
}

#[test]
fn leaves_beyond_the_highest_are_not_believed() {
    let mut few = leaves();
    few.insert(
        0x4000_0000,
        VendorLeaf {
            max_leaf: 0x4000_0005,
            vendor: VENDOR_MICROSOFT,
        }
        .into(),
    );
    few.retain(|leaf, _| *leaf <= 0x4000_0005);
    let hypervisor = detect(&few).unwrap();
    assert!(hypervisor.hardware.is_empty() && hypervisor.nested.is_empty());
    assert_eq!(hypervisor.isolation.isolation_type(), IsolationType::NONE);
    assert_eq!(hypervisor.stack, None);
}

#[test]
fn a_stack_without_its_properties_is_none() {
    let mut leaves = leaves();
    for (max_leaf, there) in [
        (0x4000_0081, false),
        (0x4000_0082, true),
        (0x4000_00ff, true),
        (0x4000_0100, false),
    ] {
        let vendor = VendorLeaf {
            max_leaf,
            vendor: VENDOR_VIRT_STACK,
        };
        leaves.insert(0x4000_0080, vendor.into());
        assert_eq!(detect(&leaves).unwrap().stack.is_some(), there, "{max_leaf:#x}");
    }
}

#[test]
fn what_is_missing_for_vmbus_is_named() {
    let mut poor = leaves();
    poor.insert(
        0x4000_0003,
        FeatureLeaf {
            msrs: MsrAccess::HYPERCALL,
            ..FeatureLeaf::default()
        }
        .into(),
    );
    let missing = NotOffered {
        msrs: MsrAccess::SYNIC | MsrAccess::VP_INDEX,
        calls: CallAccess::VMBUS,
    };
    assert_eq!(detect(&poor).unwrap().require_vmbus(), Err(missing));
}

#[test]
fn auto_eoi_and_polling_follow_the_hypervisor() {
    let mut leaves = leaves();
    let hypervisor = detect(&leaves).unwrap();
    assert!(!SintSetup::recommended(&hypervisor, 0xf3).is_auto_eoi());
    assert_eq!(SintSetup::polled(&hypervisor), None);
    leaves.insert(0x4000_0004, CpuidRegisters::default());
    let polling = FeatureLeaf {
        features: Features::SINT_POLLING_MODE,
        ..FeatureLeaf::default()
    };
    leaves.insert(0x4000_0003, polling.into());
    let hypervisor = detect(&leaves).unwrap();
    assert!(SintSetup::recommended(&hypervisor, 0xf3).is_auto_eoi());
    assert!(!SintSetup::polled(&hypervisor).unwrap().is_auto_eoi());
}

#[test]
fn a_guest_says_who_it_is_and_takes_it_back() {
    let msrs = FakeMsrs::with(&[(Msr::GUEST_OS_ID, 7)]);
    let id = GuestOsId::open_source(OsType::LINUX, 0, 1, 0);
    assert_eq!(identify(&msrs, id), Ok(GuestOsId::from_bits(7)));
    assert_eq!(msrs.get(Msr::GUEST_OS_ID), id.bits());
    assert_eq!(
        identify(&msrs, GuestOsId::default()),
        Err(InterfaceError::NoIdentity)
    );
    assert_eq!(msrs.get(Msr::GUEST_OS_ID), id.bits());
    clear_identity(&msrs).unwrap();
    assert_eq!(msrs.get(Msr::GUEST_OS_ID), 0);
    msrs.stuck.borrow_mut().push(Msr::GUEST_OS_ID);
    let not_taken = RegisterError::NotTaken {
        msr: Msr::GUEST_OS_ID,
        wrote: id.bits(),
        reads: 0,
    };
    assert_eq!(identify(&msrs, id), Err(not_taken.into()));
}

#[test]
fn the_hypercall_page_is_switched_on_and_off() {
    let msrs = FakeMsrs::with(&[(Msr::HYPERCALL, 0x9999_9014 | 1)]);
    let mut call_page = CallPage::new(page(GPA).0);
    assert_eq!(call_page.enable(&msrs), Err(InterfaceError::NoIdentity));
    msrs.set(Msr::GUEST_OS_ID, 1);
    let before = call_page.enable(&msrs).unwrap();
    assert_eq!(before.page(), Some(0x9999_9000), "firmware's page is told");
    assert_eq!(msrs.get(Msr::HYPERCALL), GPA | 0x15);
    assert!(call_page.is_enabled());
    let mut call_page = call_page.into_page().unwrap_err();
    call_page.disable(&msrs).unwrap();
    assert_eq!(msrs.get(Msr::HYPERCALL), 0x14);
    assert_eq!(call_page.into_page().unwrap().gpa(), GPA);
}

#[test]
fn a_hypercall_page_that_does_not_come_is_an_error() {
    let msrs = FakeMsrs::with(&[(Msr::GUEST_OS_ID, 1)]);
    let mut call_page = CallPage::new(page(GPA).0);
    msrs.stuck.borrow_mut().push(Msr::HYPERCALL);
    let not_taken = RegisterError::NotTaken {
        msr: Msr::HYPERCALL,
        wrote: GPA | 1,
        reads: 0,
    };
    assert_eq!(call_page.enable(&msrs), Err(not_taken.into()));
    assert!(!call_page.is_enabled());
    msrs.absent.borrow_mut().push(Msr::HYPERCALL);
    let unavailable = RegisterError::Msr(MsrError::Unavailable { msr: Msr::HYPERCALL });
    assert_eq!(call_page.enable(&msrs), Err(unavailable.into()));
}

#[test]
fn a_locked_hypercall_page_is_taken_where_it_is_or_not_at_all() {
    let msrs = FakeMsrs::with(&[(Msr::GUEST_OS_ID, 1), (Msr::HYPERCALL, 0x9999_9003)]);
    msrs.stuck.borrow_mut().push(Msr::HYPERCALL);
    let error = CallPage::new(page(GPA).0).enable(&msrs).unwrap_err();
    assert!(matches!(error, InterfaceError::Locked { register } if register.base() == 0x9999_9000));
    let mut there = CallPage::new(page(0x9999_9000).0);
    there.enable(&msrs).unwrap();
    assert!(there.is_enabled());
    assert_eq!(msrs.tried(), [], "a write to a locked register is a fault");
    let error = there.disable(&msrs).unwrap_err();
    assert!(matches!(error, InterfaceError::Locked { register } if register.page() == Some(0x9999_9000)));
    assert!(there.is_enabled() && there.into_page().is_err());
    assert_eq!(msrs.tried(), [], "nor is one tried to switch it off");
}

#[test]
fn a_hypercall_page_that_may_be_on_is_neither_called_nor_given_back() {
    let msrs = FakeMsrs::with(&[(Msr::GUEST_OS_ID, 1)]);
    let mut call_page = CallPage::new(page(GPA).0);
    msrs.denying.borrow_mut().push(Msr::HYPERCALL);
    assert!(call_page.enable(&msrs).is_err());
    assert_eq!(msrs.get(Msr::HYPERCALL) & 1, 0, "it is switched off again");
    assert!(!call_page.is_enabled());
    let mut call_page = call_page.into_page().unwrap_err();
    msrs.denying.borrow_mut().clear();
    call_page.disable(&msrs).unwrap();
    assert!(call_page.into_page().is_ok());
}

#[test]
fn a_hypercall_page_that_went_off_is_not_called() {
    let msrs = FakeMsrs::with(&[(Msr::GUEST_OS_ID, 1)]);
    let mut call_page = CallPage::new(page(GPA).0);
    call_page.enable(&msrs).unwrap();
    // Someone took the identity away, and the hypervisor the page.
    msrs.set(Msr::GUEST_OS_ID, 0);
    assert_eq!(call_page.enable(&msrs), Err(InterfaceError::NoIdentity));
    assert!(!call_page.is_enabled());
    // It is switched off, and the guest is told that it was not.
    msrs.set(Msr::GUEST_OS_ID, 1);
    call_page.enable(&msrs).unwrap();
    msrs.denying.borrow_mut().push(Msr::HYPERCALL);
    assert!(call_page.disable(&msrs).is_err());
    assert!(!call_page.is_enabled() && call_page.into_page().is_err());
    // What only did not happen leaves it on.
    let (stuck, mut call_page) = (
        FakeMsrs::with(&[(Msr::GUEST_OS_ID, 1)]),
        CallPage::new(page(GPA).0),
    );
    call_page.enable(&stuck).unwrap();
    stuck.stuck.borrow_mut().push(Msr::HYPERCALL);
    assert!(call_page.disable(&stuck).is_err());
    assert!(call_page.is_enabled());
}

#[test]
fn addresses_that_are_no_pages_are_refused() {
    let (page, _) = page(0x1000);
    let (pointer, _) = page.into_raw();
    // SAFETY: nothing is handed over, as both are refused.
    let refused = unsafe {
        [
            SharedPage::new(pointer, 0x1010),
            SharedPage::new(pointer.byte_add(8), 0x1000),
        ]
    };
    let [gpa, address] = refused.map(Result::unwrap_err);
    assert_eq!(gpa, PageError::Gpa { gpa: 0x1010 });
    assert_eq!(
        address,
        PageError::Address {
            address: pointer.addr().get() + 8
        }
    );
}

/// The crate's documentation says so.
#[test]
fn no_value_is_larger_than_300_bytes() {
    assert!(size_of::<Post>() <= 300 && size_of::<Received>() <= 300 && size_of::<TakenFlags>() <= 300);
    assert!(size_of::<Synic>() <= 300 && size_of::<Hypervisor>() <= 300);
}

fn tsc_page() -> (TscPage, &'static FakeMemory, FakeMsrs) {
    let (guest, host) = page(GPA);
    let (mut page, msrs) = (TscPage::new(guest), FakeMsrs::with(&[(Msr::REFERENCE_TSC, 0x40)]));
    assert_eq!(page.enable(&msrs).unwrap().bits(), 0x40);
    (page, host, msrs)
}

fn set(host: &FakeMemory, sequence: u32, scale: u64, offset: i64) {
    host.put(8, &scale.to_le_bytes());
    host.put(16, &offset.to_le_bytes());
    host.put(0, &sequence.to_le_bytes());
}

#[test]
fn the_page_tells_the_time() {
    let (page, host, msrs) = tsc_page();
    assert_eq!(msrs.get(Msr::REFERENCE_TSC), GPA | 0x41);
    assert_eq!(
        page.time(|| 1000),
        Err(TscPageUnusable::Invalid),
        "the host has written nothing yet"
    );
    set(host, 1, 1 << 62, -7);
    assert_eq!(page.time(|| 1000), Ok(243));
    set(host, u32::MAX, u64::MAX, i64::MAX);
    assert_eq!(page.time(|| u64::MAX), Ok((1 << 63) - 3));
}

#[test]
fn without_a_page_the_register_tells_the_time() {
    let (mut page, host, msrs) = tsc_page();
    msrs.set(Msr::TIME_REF_COUNT, 4711);
    assert_eq!(reference_time(&msrs), Ok(4711));
    assert_eq!(page.time_or_msr(|| 0, &msrs), Ok(4711));
    set(host, 5, 1 << 63, 0);
    assert_eq!(page.time_or_msr(|| 100, &msrs), Ok(50));
    page.disable(&msrs).unwrap();
    assert_eq!(msrs.get(Msr::REFERENCE_TSC), 0x40);
    assert_eq!(
        page.time(|| 100),
        Err(TscPageUnusable::Invalid),
        "what the page last said is not believed"
    );
    msrs.absent.borrow_mut().push(Msr::TIME_REF_COUNT);
    let unavailable = MsrError::Unavailable {
        msr: Msr::TIME_REF_COUNT,
    };
    assert_eq!(page.time_or_msr(|| 100, &msrs), Err(unavailable));
    assert!(page.into_page().is_ok());
}

#[test]
fn a_page_that_changes_while_it_is_read_is_read_anew() {
    let (page, host, _) = tsc_page();
    set(host, 1, 1 << 63, 0);
    let reads = Cell::new(0);
    // The host changes the page once, between the guest's two looks at the sequence.
    let once = || {
        if reads.replace(reads.get() + 1) == 0 {
            set(host, 2, 1 << 62, 0);
        }
        1000
    };
    assert_eq!((page.time(once), reads.get()), (Ok(250), 2));
    // A host that does so for ever hangs nobody.
    let reads = Cell::new(0u32);
    let always = || {
        reads.set(reads.get() + 1);
        set(host, 2 + reads.get(), 1 << 62, 0);
        1000
    };
    assert_eq!(
        (page.time(always), reads.get()),
        (Err(TscPageUnusable::Changing), 8)
    );
}

#[test]
fn a_page_on_which_the_register_does_not_agree_is_off() {
    let msrs = FakeMsrs::default();
    msrs.stuck.borrow_mut().push(Msr::REFERENCE_TSC);
    let mut page = TscPage::new(page(GPA).0);
    let not_taken = RegisterError::NotTaken {
        msr: Msr::REFERENCE_TSC,
        wrote: GPA | 1,
        reads: 0,
    };
    assert_eq!(page.enable(&msrs), Err(not_taken));
    assert!(page.into_page().is_ok());
}

#[test]
fn a_page_that_may_be_on_is_not_given_back() {
    let msrs = FakeMsrs::default();
    msrs.denying.borrow_mut().push(Msr::REFERENCE_TSC);
    let mut page = TscPage::new(page(GPA).0);
    assert!(page.enable(&msrs).is_err());
    assert_eq!(msrs.get(Msr::REFERENCE_TSC) & 1, 0, "it is switched off again");
    let mut page = page.into_page().unwrap_err();
    msrs.denying.borrow_mut().clear();
    page.disable(&msrs).unwrap();
    assert!(page.into_page().is_ok());
}

#[test]
fn a_page_that_is_off_is_not_believed() {
    let (mut page, host, msrs) = tsc_page();
    page.disable(&msrs).unwrap();
    // The host knows where it was.
    set(host, 1, 1 << 63, 0);
    assert_eq!(page.time(|| 100), Err(TscPageUnusable::Invalid));
    msrs.stuck.borrow_mut().push(Msr::REFERENCE_TSC);
    assert!(page.enable(&msrs).is_err());
    set(host, 1, 1 << 63, 0);
    assert_eq!(page.time(|| 100), Err(TscPageUnusable::Invalid));
}

proptest! {
    #[test]
    fn any_leaves_do_no_harm(present: bool, leaves in proptest::collection::btree_map(0x4000_0000u32..0x4000_0084, any::<[u32; 4]>(), 0..20)) {
        let _any = Hypervisor::detect(&|leaf| {
            let [eax, ebx, ecx, edx] = leaves.get(&leaf).copied().unwrap_or([u32::from(present) << 31; 4]);
            CpuidRegisters { eax, ebx, ecx, edx }
        });
    }
}
