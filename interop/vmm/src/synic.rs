//! The synthetic interrupt controllers of all virtual processors, as far as KVM leaves them to user space: KVM keeps the registers and
//! injects the interrupts, user space writes messages and event flags into the guest's pages.

use crate::error::{Result, host, kvm};
use crate::memory::Ram;
use crate::sys::HypervExit;
use hvcall::host::synic::{Delivery, EventFlagError, post_message, set_event_flag};
use hvcall::synic::{Message, Scontrol, Siefp, Simp};
use hvcall::{MemoryError, Sint, VpIndex};
use kvm_bindings::{
    KVM_IRQ_ROUTING_HV_SINT, KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQCHIP_IOAPIC, KvmIrqRouting,
    kvm_irq_routing_entry, kvm_irq_routing_hv_sint, kvm_irq_routing_irqchip,
};
use kvm_ioctls::VmFd;
use std::sync::atomic::{AtomicU64, Ordering};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// Pins of the I/O APIC; interrupt `n` of the machine is pin `n`.
const IO_APIC_PINS: u32 = 24;

/// Every virtual processor's controller.
#[derive(Debug)]
pub struct Synic {
    ram: &'static Ram,
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
    pub fn new(vm: &VmFd, ram: &'static Ram, count: u8) -> Result<Self> {
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
            ram,
            processors,
            slot_free,
        })
    }

    /// Written when a message that found its slot busy, or no slot at all, may go now: a processor has ended a message or an interrupt
    /// of the VMBus source, or has changed its controller. Reading it does not wait.
    pub fn slot_free(&self) -> &EventFd {
        &self.slot_free
    }

    /// Takes note of the registers that KVM told of.
    pub(crate) fn update(&self, processor: u8, exit: &HypervExit) {
        let HypervExit::Synic {
            control,
            event_page,
            message_page,
        } = *exit
        else {
            return;
        };
        if let Some(processor) = self.processors.get(usize::from(processor)) {
            processor.control.store(control, Ordering::Release);
            processor.event_page.store(event_page, Ordering::Release);
            processor.message_page.store(message_page, Ordering::Release);
            wake(&self.slot_free);
        }
    }

    /// Puts a message into the processor's slot and raises the interrupt. A processor that takes no messages yet counts as busy.
    ///
    /// # Errors
    /// The message page that the guest named is no memory.
    pub fn post(
        &self,
        vp: VpIndex,
        sint: Sint,
        message: &Message,
    ) -> std::result::Result<Delivery, MemoryError> {
        let simp =
            |processor: &Processor| Simp::from_bits(processor.message_page.load(Ordering::Acquire)).page();
        let Some((processor, page)) = self.find(vp, simp) else {
            return Ok(Delivery::SlotBusy);
        };
        let delivery = post_message(self.ram, page, sint, message)?;
        if delivery == Delivery::Delivered {
            wake(&processor.interrupt);
        }
        Ok(delivery)
    }

    /// Sets an event flag of the processor's and raises the interrupt if the flag is new. A processor that takes no events gets none.
    ///
    /// # Errors
    /// The event page that the guest named is no memory.
    pub fn signal(&self, vp: VpIndex, sint: Sint, flag: u16) -> std::result::Result<(), EventFlagError> {
        let siefp =
            |processor: &Processor| Siefp::from_bits(processor.event_page.load(Ordering::Acquire)).page();
        let Some((processor, page)) = self.find(vp, siefp) else {
            return Ok(());
        };
        if set_event_flag(self.ram, page, sint, flag)? {
            wake(&processor.interrupt);
        }
        Ok(())
    }

    /// The processor and one of its pages, if its controller and that page are enabled.
    fn find(&self, vp: VpIndex, page: impl Fn(&Processor) -> Option<u64>) -> Option<(&Processor, u64)> {
        let processor = self.processors.get(usize::try_from(vp.0).ok()?)?;
        let control = Scontrol::from_bits_retain(processor.control.load(Ordering::Acquire));
        let page = page(processor)?;
        control.contains(Scontrol::ENABLE).then_some((processor, page))
    }
}

/// Adds one to an eventfd. That fails only where the counter is full, and whoever waits for it has been woken then.
pub(crate) fn wake(eventfd: &EventFd) {
    let _full = eventfd.write(1);
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
            sint: Sint::VMBUS.number().into(),
        };
        entry
    });
    let doing = "route the machine's interrupts";
    let entries: Vec<_> = pins.chain(sources).collect();
    let routes =
        KvmIrqRouting::from_entries(&entries).map_err(|error| kvm(doing)(std::io::Error::other(error)))?;
    vm.set_gsi_routing(&routes).map_err(kvm(doing))
}
