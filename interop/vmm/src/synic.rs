//! The synthetic interrupt controllers of all virtual processors, as far as KVM leaves them to user space: KVM keeps the registers and
//! injects the interrupts, user space writes messages and event flags into the guest's pages.

use crate::error::{Result, host, kvm};
use crate::sys::HypervExit;
use kvm_bindings::{
    KVM_IRQ_ROUTING_HV_SINT, KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQCHIP_IOAPIC, KvmIrqRouting,
    kvm_irq_routing_entry, kvm_irq_routing_hv_sint, kvm_irq_routing_irqchip,
};
use kvm_ioctls::VmFd;
use std::sync::atomic::{AtomicU64, Ordering};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// The synthetic interrupt source that VMBus uses.
pub const VMBUS_SINT: u32 = 2;
/// Pins of the I/O APIC; interrupt `n` of the machine is pin `n`.
const IO_APIC_PINS: u32 = 24;
/// SCONTROL, SIMP and SIEFP: the controller or the page is enabled.
const ENABLED: u64 = 1;
const PAGE_MASK: u64 = !0xFFF;

/// Every virtual processor's controller.
#[derive(Debug)]
pub struct Synic {
    processors: Box<[Processor]>,
    slot_free: EventFd,
}

/// One virtual processor's controller. The registers are the guest's, written when it writes them.
#[derive(Debug)]
struct Processor {
    control: AtomicU64,
    message_page: AtomicU64,
    event_page: AtomicU64,
    /// Raises the VMBus interrupt source.
    interrupt: EventFd,
}

impl Synic {
    /// Makes the controllers of `count` processors known to KVM, and the I/O APIC's pins with them.
    ///
    /// # Errors
    /// A KVM call failed, or the host has no eventfd left.
    pub fn new(vm: &VmFd, count: u8) -> Result<Self> {
        set_routes(vm, u32::from(count))?;
        let slot_free = EventFd::new(EFD_NONBLOCK).map_err(host("eventfd"))?;
        let processors = (0..u32::from(count))
            .map(|index| {
                let interrupt = EventFd::new(EFD_NONBLOCK).map_err(host("eventfd"))?;
                vm.register_irqfd_with_resample(&interrupt, &slot_free, IO_APIC_PINS + index)
                    .map_err(kvm("connect a synthetic interrupt"))?;
                Ok(Processor {
                    control: AtomicU64::new(0),
                    message_page: AtomicU64::new(0),
                    event_page: AtomicU64::new(0),
                    interrupt,
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            processors,
            slot_free,
        })
    }

    /// Readable after a processor has ended a message or an interrupt of the VMBus source: a slot that was busy may be free.
    pub fn slot_free(&self) -> &EventFd {
        &self.slot_free
    }

    /// Takes note of the registers that KVM told of.
    pub(crate) fn update(&self, processor: usize, exit: &HypervExit) {
        let HypervExit::Synic {
            control,
            event_page,
            message_page,
        } = *exit
        else {
            return;
        };
        if let Some(processor) = self.processors.get(processor) {
            processor.control.store(control, Ordering::Release);
            processor.event_page.store(event_page, Ordering::Release);
            processor.message_page.store(message_page, Ordering::Release);
        }
    }

    /// Where the processor's message page lies, if the guest has enabled it.
    pub fn message_page(&self, processor: u32) -> Option<u64> {
        self.page(processor, |processor| &processor.message_page)
    }

    /// Where the processor's event flags lie, if the guest has enabled them.
    pub fn event_page(&self, processor: u32) -> Option<u64> {
        self.page(processor, |processor| &processor.event_page)
    }

    /// Raises the processor's VMBus interrupt source.
    pub fn raise(&self, processor: u32) {
        if let Some(processor) = self.processor(processor) {
            // Fails only where the counter is full, and then the interrupt is pending anyhow.
            let _pending = processor.interrupt.write(1);
        }
    }

    fn processor(&self, index: u32) -> Option<&Processor> {
        self.processors.get(usize::try_from(index).ok()?)
    }

    fn page(&self, processor: u32, register: impl Fn(&Processor) -> &AtomicU64) -> Option<u64> {
        let processor = self.processor(processor)?;
        let page = register(processor).load(Ordering::Acquire);
        let on = processor.control.load(Ordering::Acquire) & page & ENABLED != 0;
        on.then_some(page & PAGE_MASK)
    }
}

fn set_routes(vm: &VmFd, processors: u32) -> Result<()> {
    let pins = (0..IO_APIC_PINS).map(|pin| {
        let mut entry = kvm_irq_routing_entry {
            gsi: pin,
            type_: KVM_IRQ_ROUTING_IRQCHIP,
            ..Default::default()
        };
        entry.u.irqchip = kvm_irq_routing_irqchip {
            irqchip: KVM_IRQCHIP_IOAPIC,
            pin,
        };
        entry
    });
    let sources = (0..processors).map(|vcpu| {
        let mut entry = kvm_irq_routing_entry {
            gsi: IO_APIC_PINS + vcpu,
            type_: KVM_IRQ_ROUTING_HV_SINT,
            ..Default::default()
        };
        entry.u.hv_sint = kvm_irq_routing_hv_sint {
            vcpu,
            sint: VMBUS_SINT,
        };
        entry
    });
    let doing = "route the machine's interrupts";
    let entries: Vec<_> = pins.chain(sources).collect();
    let routes =
        KvmIrqRouting::from_entries(&entries).map_err(|error| kvm(doing)(std::io::Error::other(error)))?;
    vm.set_gsi_routing(&routes).map_err(kvm(doing))
}
