//! What the guest runs on, its hypercall page and its time.

use std::cell::Cell;

use hvcall::cpuid::{
    CallAccess, CpuidRegisters, HardwareFeatures, IsolationLeaf, MsrAccess, NestedFeatures, VendorLeaf,
};
use hvcall::guest::{CallPage, Hypervisor, TscPage, TscPageUnusable, identify, reference_time};
use hvcall::msr::HypercallPage;
use hvcall::time::TscConversion;
use hvcall::{GuestOsId, Msr};

use super::{Guest, told};
use crate::hypercall::pages::Page;

impl Guest<'_> {
    pub(super) fn detect(&mut self) {
        let host = self.host;
        let calm = host.is_calm();
        let result = Hypervisor::detect(host);
        assert!(host.turns.get() <= 13, "each leaf once");
        let hypervisor = match result {
            Ok(hypervisor) => hypervisor,
            Err(error) => return told(&error),
        };
        assert!(hypervisor.vendor.max_leaf >= 0x4000_0005);
        let beyond = |leaf| hypervisor.vendor.max_leaf < leaf;
        assert!(!beyond(0x4000_0006) || hypervisor.hardware == HardwareFeatures::empty());
        assert!(!beyond(0x4000_000a) || hypervisor.nested == NestedFeatures::empty());
        assert!(!beyond(0x4000_000c) || hypervisor.isolation == IsolationLeaf::default());
        if let Some(stack) = hypervisor.stack {
            assert!((0x4000_0082..0x4000_0100).contains(&stack.vendor.max_leaf));
        }
        if calm {
            let leaf = |leaf| host.leaves.borrow()[&leaf];
            assert_eq!(hypervisor.vendor, VendorLeaf::from(leaf(0x4000_0000)));
            assert_eq!(CpuidRegisters::from(hypervisor.version), leaf(0x4000_0002));
            assert_eq!(CpuidRegisters::from(hypervisor.features), leaf(0x4000_0003));
            assert_eq!(
                CpuidRegisters::from(hypervisor.recommendations),
                leaf(0x4000_0004)
            );
            assert_eq!(CpuidRegisters::from(hypervisor.limits), leaf(0x4000_0005));
        }
        let _ = format!("{hypervisor:?}");
        let isolation = hypervisor.isolation;
        let _ = (isolation.has_paravisor(), isolation.isolation_type());
        assert!(isolation.shared_gpa_boundary_bits().is_none_or(|bits| bits < 64));
        self.detected = Some(hypervisor);
    }

    pub(super) fn require(&self, msrs: u32, calls: u32) {
        let Some(hypervisor) = self.detected else { return };
        let (msrs, calls) = (
            MsrAccess::from_bits_retain(msrs),
            CallAccess::from_bits_retain(calls),
        );
        let offered = hypervisor.features;
        match hypervisor.require(msrs, calls) {
            Ok(()) => assert!(offered.msrs.contains(msrs) && offered.calls.contains(calls)),
            Err(missing) => {
                assert!(!(missing.msrs.is_empty() && missing.calls.is_empty()));
                assert_eq!(offered.msrs & missing.msrs, MsrAccess::empty());
                assert!(msrs.contains(missing.msrs) && calls.contains(missing.calls));
                told(&missing);
            }
        }
        assert_eq!(hypervisor.require_vmbus().is_ok(), offered.has_vmbus());
    }

    pub(super) fn identify(&self, id: GuestOsId) {
        let (calm, before) = (self.host.is_calm(), self.host.register(Msr::GUEST_OS_ID));
        match identify(self.msrs, id) {
            Ok(told) => {
                assert_ne!(id.bits(), 0);
                assert!(!calm || told.bits() == before && self.host.register(Msr::GUEST_OS_ID) == id.bits());
            }
            Err(error) => {
                told(&error);
                assert!(!calm || id.bits() == 0);
            }
        }
    }

    pub(super) fn call_page(&mut self, on: bool) {
        let page = self.call_page.as_mut().expect("is there");
        let result = if on {
            page.enable(self.msrs).map(drop)
        } else {
            page.disable(self.msrs)
        };
        assert!(self.host.turns.get() <= 9, "bounded work");
        if page.is_enabled() && !self.host.is_odd.get() {
            let register = HypercallPage::from_bits(self.host.register(Msr::HYPERCALL));
            assert_eq!(
                register.page(),
                Some(Page::Code.gpa()),
                "a gate calls into nothing"
            );
        }
        match result {
            Ok(()) => assert_eq!(page.is_enabled(), on),
            Err(error) => {
                told(&error);
                assert!(!on || !page.is_enabled(), "there is no gate through it");
            }
        }
    }

    pub(super) fn call_page_back(&mut self) {
        let page = self.call_page.take().expect("is there");
        let was_on = page.is_enabled();
        self.call_page = Some(match page.into_page() {
            Ok(page) => {
                assert!(!was_on && !self.host.names(Msr::HYPERCALL, Page::Code));
                CallPage::new(page)
            }
            Err(page) => page,
        });
    }

    pub(super) fn tsc_page(&mut self, on: bool) {
        let page = self.tsc_page.as_mut().expect("is there");
        let result = if on {
            page.enable(self.msrs).map(drop)
        } else {
            page.disable(self.msrs)
        };
        assert!(self.host.turns.get() <= 6, "bounded work");
        match result {
            Ok(()) => {
                self.tsc_is_off = !on;
                assert_eq!(self.host.names(Msr::REFERENCE_TSC, Page::Time), on);
            }
            Err(error) => {
                told(&error);
                // Nor is a page believed that could not be switched on.
                self.tsc_is_off |= on;
            }
        }
    }

    pub(super) fn tsc_page_back(&mut self) {
        let page = self.tsc_page.take().expect("is there");
        self.tsc_page = Some(match page.into_page() {
            Ok(page) => {
                assert!(self.tsc_is_off && !self.host.names(Msr::REFERENCE_TSC, Page::Time));
                TscPage::new(page)
            }
            Err(page) => page,
        });
    }

    pub(super) fn time(&mut self, counter: u64) {
        let host = self.host;
        let page = self.tsc_page.as_ref().expect("is there");
        let looks = Cell::new(0);
        // What the page says while the guest reads it for the last time.
        let said = Cell::new([0; 24]);
        let read = || {
            looks.set(looks.get() + 1);
            said.set(host.pages.bytes(Page::Time, 0, 24).try_into().expect("so many"));
            host.moment();
            counter
        };
        let result = page.time(read);
        assert!(looks.get() <= 8, "a page that changes is given up");
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|index| said.get()[at + index]));
        match result {
            Ok(time) => {
                assert!(!self.tsc_is_off && word(0) as u32 != 0);
                let conversion = TscConversion {
                    scale: word(8),
                    offset: word(16).cast_signed(),
                };
                assert_eq!(time, conversion.reference_time(counter));
            }
            Err(TscPageUnusable::Changing) => assert_eq!(looks.get(), 8),
            Err(error) => told(&error),
        }
        let calm = host.is_calm();
        let time = page.time_or_msr(|| counter, self.msrs);
        if calm {
            let by_page = page.time(|| counter);
            assert_eq!(
                time.ok(),
                Some(by_page.unwrap_or(host.register(Msr::TIME_REF_COUNT)))
            );
        }
        let _ = reference_time(self.msrs).map_err(|error| told(&error));
    }
}
