//! The glue between a kernel and the published crates: all that they need of a platform, in one file.
//!
//! What a kernel has anyway, and brings to this: pages of memory ([`crate::memory`]), an interrupt handler that notes that the
//! SynIC's interrupt came and ends it ([`crate::cpu`]), and a log.

use core::cell::RefCell;
use core::ptr::NonNull;
use core::time::Duration;

use hvcall::guest::x86_64::{NativeCpuid, NativeMsrs, PageGate, tsc};
use hvcall::guest::{
    CallPage, EventPage, Gate as _, Hypervisor, MessagePage, Post, PostBackoff, PostError, Posted,
    SharedPage, SintSetup, Synic, TscPage, identify, signal_event,
};
use hvcall::synic::MessageType;
use hvcall::{ConnectionId, GuestOsId, HvStatus, HypercallControl, OsType, Sint, VpIndex};
use vmbus_proto::guest::{
    Bus, BusEvent, ChannelId, ChannelSignal, Flagged, Guest, GuestConfig, Hal, PageRange, Pages,
};
use vmbus_proto::ringbuf::Halves;
use vmbus_proto::ringbuf::mem::{ContiguousRing, LayoutError};

use crate::memory::{Block, Memory};
use crate::report::Text;
use crate::{cpu, println, text};

/// Who this guest says it is: no kind of operating system that has a number.
const IDENTITY: GuestOsId = GuestOsId::open_source(OsType::UNDEFINED, 0, 1, 0);
/// The reference time counts units of this many nanoseconds.
const TIME_UNIT: u64 = 100;

/// What the bus needs of this kernel.
#[derive(Debug)]
pub struct Platform<'m> {
    gate: PageGate<'m>,
    msrs: NativeMsrs,
    clock: TscPage,
    /// The page by which messages are posted.
    message: RefCell<SharedPage>,
}

/// Memory that is lent to the host is a block of whole pages.
impl Pages for Block<'_> {
    fn range(&self, index: u16) -> Option<PageRange> {
        let byte_count = u32::try_from(self.len()).ok()?;
        (index == 0).then_some(PageRange {
            byte_offset: 0,
            byte_count,
        })
    }

    fn pfn(&self, _: u16, page: u32) -> u64 {
        self.pfns().get(page as usize).map_or(0, |pfn| pfn.get())
    }
}

impl<'m> Hal for Platform<'m> {
    type Memory = Block<'m>;
    type Ring = ContiguousRing;
    type Error = PlatformError;

    fn post(&self, connection: ConnectionId, payload: &[u8]) -> HvStatus {
        // The bus has a policy for posting again, so there is one attempt here.
        let once = PostBackoff::new().with_attempts(1);
        let posted = Post::new(connection, MessageType::VMBUS, payload)
            .map_err(PostError::from)
            .and_then(|post| {
                post.with_backoff(once)
                    .attempt(&self.gate, &mut self.message.borrow_mut())
            });
        match posted {
            Ok(Posted::Done) => HvStatus::SUCCESS,
            Ok(Posted::Again { .. }) => HvStatus::INSUFFICIENT_BUFFERS,
            Err(PostError::Refused { status } | PostError::GaveUp { status, .. }) => status,
            Err(_) => HvStatus::INVALID_PARAMETER,
        }
    }

    fn signal(&self, signal: ChannelSignal) -> Result<(), PlatformError> {
        signal_event(&self.gate, signal.connection_id, 0).map_err(PlatformError::Signal)
    }

    fn now(&self) -> Duration {
        let units = self.clock.time_or_msr(tsc, &self.msrs).unwrap_or(u64::MAX);
        Duration::from_nanos(units.saturating_mul(TIME_UNIT))
    }

    fn rings(&self, memory: &Block<'m>, downstream: u32) -> Result<Halves<ContiguousRing>, PlatformError> {
        let base = memory.base().ok_or(PlatformError::NoMemory)?;
        // SAFETY: the block's pages follow one another and are the bus's until the rings are dropped; nothing but the rings
        // reaches them.
        Ok(unsafe { ContiguousRing::pair(base, memory.pages(), downstream) }?)
    }
}

impl Platform<'_> {
    /// A hypercall of any kind, as a program would make it that attacks its host; returns the status.
    ///
    /// # Safety
    /// Whatever the host makes of it does this kernel no harm: it writes no memory that something uses, and interrupts nobody.
    pub unsafe fn call(&self, control: u64, first: u64, second: u64) -> HvStatus {
        // SAFETY: that is the caller's promise.
        unsafe {
            self.gate
                .call(HypercallControl::from_bits(control), first, second)
        }
        .status()
    }
}

/// What the platform could not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlatformError {
    /// The hypervisor did not signal the host.
    #[error("the hypervisor answered {0} to a signal")]
    Signal(HvStatus),
    /// Memory of no pages.
    #[error("there is no memory")]
    NoMemory,
    /// No rings are in such memory.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// Finds the hypervisor and switches the hypercall page on: once, before everything else.
///
/// # Errors
/// This is no Hyper-V, it lacks what VMBus needs, or a register was not set.
pub fn hypercalls(memory: &Memory) -> Result<CallPage, Text> {
    Hypervisor::detect(&NativeCpuid)?.require_vmbus()?;
    // SAFETY: this kernel runs in ring 0, and `detect` found the interface.
    let msrs = unsafe { NativeMsrs::new() };
    identify(&msrs, IDENTITY)?;
    let mut page = CallPage::new(shared_page(memory)?);
    page.enable(&msrs)?;
    Ok(page)
}

/// A page that the hypervisor has a hand in, from now on.
fn shared_page(memory: &Memory) -> Result<SharedPage, Text> {
    let block = memory.block(1).ok_or(text!("no page is left"))?;
    let base: NonNull<u8> = block.base().ok_or(PlatformError::NoMemory)?;
    let address = block.pfn(0, 0) << 12;
    core::mem::forget(block);
    // SAFETY: the page is nobody else's, as its block is never dropped; memory is mapped one to one and cached.
    Ok(unsafe { SharedPage::new(base.cast(), address) }?)
}

/// The bus, and the SynIC by which it hears from the host.
#[derive(Debug)]
pub struct VmBus<'m> {
    /// The bus: open channels and lend memory by it.
    pub bus: Bus<Platform<'m>>,
    /// What the host says wrong is not told: it was provoked.
    pub is_quiet: bool,
    synic: Synic,
    msrs: NativeMsrs,
}

impl<'m> VmBus<'m> {
    /// Sets the SynIC up, for messages and events by interrupt, and a bus on it that is not connected.
    ///
    /// # Errors
    /// There is no memory, or a register was not set.
    pub fn new(memory: &'m Memory, calls: &'m CallPage) -> Result<Self, Text> {
        // SAFETY: this kernel runs in ring 0; whoever has a call page has found the hypervisor.
        let msrs = unsafe { NativeMsrs::new() };
        let mut clock = TscPage::new(shared_page(memory)?);
        clock.enable(&msrs)?;
        let mut synic = Synic::new(
            MessagePage::new(shared_page(memory)?),
            EventPage::new(shared_page(memory)?),
        );
        synic.enable(&msrs)?;
        synic.enable_sint(&msrs, Sint::VMBUS, SintSetup::interrupt(cpu::SYNIC_VECTOR))?;
        let platform = Platform {
            // SAFETY: all memory is mapped one to one and executable, and the kernel runs in ring 0.
            gate: unsafe { PageGate::new(calls) }?,
            msrs,
            clock,
            message: RefCell::new(shared_page(memory)?),
        };
        Ok(Self {
            bus: Bus::new(Guest::new(GuestConfig::new(VpIndex(0))), platform),
            is_quiet: false,
            synic,
            msrs,
        })
    }

    /// Takes what the host has said since the last time, calls `signalled` for each channel that it signalled, and gives the next
    /// event, until there is none.
    pub fn poll(&mut self, mut signalled: impl FnMut(ChannelId)) -> Option<BusEvent<Platform<'m>>> {
        if let Some(received) = self.synic.messages().take(Sint::VMBUS) {
            match received.message {
                Ok(message) => {
                    if let Err(error) = self.bus.handle_message(&message)
                        && !self.is_quiet
                    {
                        println!("vmbus: {}", error);
                    }
                }
                Err(fault) => println!("vmbus: {}", fault),
            }
            if let Some(Err(error)) = received.eom.map(|eom| eom.write(&self.msrs)) {
                println!("vmbus: {}", error);
            }
        }
        for flag in self.synic.events().take(Sint::VMBUS) {
            if let Flagged::Channel(channel) = self.bus.flagged(flag) {
                signalled(channel);
            }
        }
        self.bus.poll()
    }

    /// Whether [`poll`](Self::poll) has a message to take.
    pub fn has_message(&mut self) -> bool {
        self.synic.messages().has_message(Sint::VMBUS)
    }
}
