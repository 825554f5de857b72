//! What stands between the two ends in place of a hypervisor: hypercalls and registers for the guest, messages and interrupts for the
//! host.
//!
//! The guest's calls and the host's are decoded and delivered by `hvcall`, so that both sides of it are at work here as they are in a
//! machine: a hypercall's parameters go through registers and a page of memory, messages and event flags through the two pages of the
//! SynIC.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hvcall::guest::{Gate, MsrError, Msrs, TooLong};
use hvcall::host::synic::{Delivery, post_message, set_event_flag};
use hvcall::host::{CallRegisters, Payload, Request, decode};
use hvcall::synic::{Message, MessageType, Scontrol, Siefp, Simp, SintRegister};
use hvcall::{ConnectionId, HvStatus, HypercallControl, HypercallResult, Msr, Sint};
use vmbus_proto::host::{ChannelSignal, GpadlView, MessageTarget, RingPages, Vmm};
use vmbus_proto::ringbuf::Halves;

use crate::error::PlatformError;
use crate::line::Line;
use crate::ram::{PAGE, Ram, Region, Ring};

/// Messages that may wait for the host. A guest that posts more is told to try again.
const POSTS: usize = 16;
/// Channels that the guest can signal at the same time.
const DOORBELLS: usize = 16;
/// No connection.
const UNROUTED: u32 = u32::MAX;

/// A message that the guest posted.
#[derive(Clone, Debug)]
pub(crate) struct Posted {
    pub(crate) connection: ConnectionId,
    pub(crate) message_type: MessageType,
    pub(crate) payload: Payload,
}

/// Where a guest's signal goes to.
#[derive(Debug)]
struct Doorbell {
    connection: AtomicU32,
    rung: AtomicBool,
}

/// The SynIC's registers of the one processor.
#[derive(Debug)]
struct Registers {
    control: AtomicU64,
    message_page: AtomicU64,
    event_page: AtomicU64,
    /// Of the one SINT that there is, VMBus's.
    sint: AtomicU64,
}

/// A machine of one processor, as both ends reach it.
#[derive(Debug)]
pub(crate) struct Hypervisor {
    pub(crate) ram: &'static Ram,
    registers: Registers,
    posts: Mutex<VecDeque<Posted>>,
    /// Messages wait, or a slot became free.
    bus: AtomicBool,
    doorbells: [Doorbell; DOORBELLS],
    /// Raised for the guest's processor: its interrupt.
    pub(crate) guest: Line,
    /// Raised for the host: the bus has something to do, or a doorbell was rung.
    pub(crate) host: Line,
    /// The guest is gone, so that the host's thread is to end.
    pub(crate) ended: AtomicBool,
}

impl Hypervisor {
    /// A machine with this memory.
    pub(crate) fn new(ram: &'static Ram) -> Self {
        Self {
            ram,
            registers: Registers {
                control: AtomicU64::new(0),
                message_page: AtomicU64::new(0),
                event_page: AtomicU64::new(0),
                sint: AtomicU64::new(SintRegister::RESET.bits()),
            },
            posts: Mutex::default(),
            bus: AtomicBool::new(false),
            doorbells: [const {
                Doorbell {
                    connection: AtomicU32::new(UNROUTED),
                    rung: AtomicBool::new(false),
                }
            }; DOORBELLS],
            guest: Line::default(),
            host: Line::default(),
            ended: AtomicBool::new(false),
        }
    }

    fn register(&self, msr: Msr) -> Option<&AtomicU64> {
        match msr {
            Msr::SCONTROL => Some(&self.registers.control),
            Msr::SIMP => Some(&self.registers.message_page),
            Msr::SIEFP => Some(&self.registers.event_page),
            msr if msr == Msr::sint(Sint::VMBUS) => Some(&self.registers.sint),
            _ => None,
        }
    }

    fn posts(&self) -> MutexGuard<'_, VecDeque<Posted>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the host look at its bus.
    fn wake_bus(&self) {
        self.bus.store(true, Ordering::Release);
        self.host.raise();
    }

    /// Whether the bus has something to do.
    pub(crate) fn take_bus(&self) -> bool {
        self.bus.load(Ordering::Relaxed) && self.bus.swap(false, Ordering::AcqRel)
    }

    /// The message that the guest posted first of those that wait.
    pub(crate) fn next_post(&self) -> Option<Posted> {
        self.posts().pop_front()
    }

    /// The host cannot take it now.
    pub(crate) fn post_again(&self, post: Posted) {
        self.posts().push_front(post);
    }

    /// Has signals on a connection ring a doorbell, and returns which.
    ///
    /// # Errors
    /// There is none left.
    pub(crate) fn route(&self, connection: ConnectionId) -> Result<usize, PlatformError> {
        let free = |bell: &Doorbell| bell.connection.load(Ordering::Relaxed) == UNROUTED;
        let index = self.doorbells.iter().position(free);
        let bell = index.and_then(|index| self.doorbells.get(index));
        let (Some(index), Some(bell)) = (index, bell) else {
            return Err(PlatformError::NoDoorbell { connection });
        };
        bell.rung.store(false, Ordering::Relaxed);
        bell.connection.store(connection.0, Ordering::Release);
        Ok(index)
    }

    /// Takes a doorbell back.
    pub(crate) fn unroute(&self, bell: usize) {
        if let Some(bell) = self.doorbells.get(bell) {
            bell.connection.store(UNROUTED, Ordering::Release);
        }
    }

    /// Whether a doorbell was rung since it was looked at last.
    pub(crate) fn take_doorbell(&self, bell: usize) -> bool {
        self.doorbells
            .get(bell)
            .is_some_and(|bell| bell.rung.load(Ordering::Relaxed) && bell.rung.swap(false, Ordering::AcqRel))
    }

    fn answer(&self, request: Request) -> HvStatus {
        match request {
            Request::PostMessage {
                connection_id,
                message_type,
                payload,
            } => {
                let mut posts = self.posts();
                if posts.len() >= POSTS {
                    return HvStatus::INSUFFICIENT_BUFFERS;
                }
                posts.push_back(Posted {
                    connection: connection_id,
                    message_type,
                    payload,
                });
                drop(posts);
                self.wake_bus();
                HvStatus::SUCCESS
            }
            Request::SignalEvent {
                connection_id,
                flag_number: 0,
            } => {
                let routed = |bell: &&Doorbell| bell.connection.load(Ordering::Acquire) == connection_id.0;
                let Some(bell) = self.doorbells.iter().find(routed) else {
                    return HvStatus::INVALID_CONNECTION_ID;
                };
                bell.rung.store(true, Ordering::Release);
                self.host.raise();
                HvStatus::SUCCESS
            }
            Request::SignalEvent { .. } => HvStatus::INVALID_PORT_ID,
            _ => HvStatus::INVALID_HYPERCALL_CODE,
        }
    }

    /// A page of the SynIC's, if both it and the SynIC are on.
    fn page(&self, register: &AtomicU64, page: impl Fn(u64) -> Option<u64>) -> Option<u64> {
        let control = Scontrol::from_bits_retain(self.registers.control.load(Ordering::Acquire));
        let page = page(register.load(Ordering::Acquire));
        page.filter(|_| control.contains(Scontrol::ENABLE))
    }

    fn interrupt(&self) {
        let sint = SintRegister::from_bits(self.registers.sint.load(Ordering::Acquire));
        if !sint.is_masked() {
            self.guest.raise();
        }
    }

    /// Sets a channel's event flag, and interrupts the guest if the flag is new.
    pub(crate) fn signal_guest(&self, signal: ChannelSignal) -> Result<(), PlatformError> {
        let siefp = |bits| Siefp::from_bits(bits).page();
        let (Some(_), Some(page)) = (signal.vp, self.page(&self.registers.event_page, siefp)) else {
            return Ok(());
        };
        if set_event_flag(self.ram, page, signal.sint, signal.flag)? {
            self.interrupt();
        }
        Ok(())
    }
}

/// Hypercalls of the guest's.
#[allow(
    unsafe_code,
    reason = "the trait's methods are unsafe to call; there is no unsafe block here"
)]
impl Gate for Hypervisor {
    unsafe fn call(&self, control: HypercallControl, first: u64, second: u64) -> HypercallResult {
        let registers = CallRegisters {
            control: control.bits(),
            input: first,
            output: second,
            xmm: None,
        };
        let status = match decode(&registers, self.ram) {
            Ok(request) => self.answer(request),
            Err(status) => status,
        };
        status.into()
    }

    /// There are no more registers than two.
    unsafe fn call_extended(
        &self,
        _: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong> {
        Err(TooLong {
            input: input.len(),
            output: output.len(),
        })
    }
}

/// Synthetic registers of the guest's processor.
#[allow(unsafe_code, reason = "as above")]
impl Msrs for Hypervisor {
    fn read(&self, msr: Msr) -> Result<u64, MsrError> {
        let register = self.register(msr).ok_or(MsrError::Unavailable { msr })?;
        Ok(register.load(Ordering::Acquire))
    }

    unsafe fn write(&self, msr: Msr, value: u64) -> Result<(), MsrError> {
        if msr != Msr::EOM {
            let register = self.register(msr).ok_or(MsrError::Unavailable { msr })?;
            register.store(value, Ordering::Release);
        }
        // A message that found no slot, or no free one, may go now.
        self.wake_bus();
        Ok(())
    }
}

/// The hypervisor as the host's bus has it.
#[derive(Clone, Debug)]
pub(crate) struct Platform(pub(crate) Arc<Hypervisor>);

impl Vmm for Platform {
    type Ring = Ring;
    type Region = Region;
    type Error = PlatformError;

    fn post(&self, target: MessageTarget, message: &Message) -> Result<Delivery, PlatformError> {
        let simp = |bits| Simp::from_bits(bits).page();
        let Some(page) = self.0.page(&self.0.registers.message_page, simp) else {
            return Ok(Delivery::SlotBusy);
        };
        let delivery = post_message(self.0.ram, page, target.sint, message)?;
        if delivery == Delivery::Delivered {
            self.0.interrupt();
        }
        Ok(delivery)
    }

    fn signal(&self, signal: ChannelSignal) -> Result<(), PlatformError> {
        self.0.signal_guest(signal)
    }

    fn map_rings(&self, pages: &RingPages<'_>) -> Result<Halves<Ring>, PlatformError> {
        self.0.ram.rings(pages.addresses(), pages.downstream())
    }

    fn map_region(&self, memory: &GpadlView<'_>) -> Result<Region, PlatformError> {
        let mut ranges = memory.ranges();
        let (Some(range), 0) = (ranges.next(), ranges.count()) else {
            let ranges = memory.ranges().count();
            return Err(PlatformError::Ranges { ranges });
        };
        let addresses = range
            .pfns()
            .iter()
            .map(|pfn| pfn.get().saturating_mul(PAGE as u64));
        let (offset, len) = (range.byte_offset() as usize, range.byte_count() as usize);
        self.0.ram.region(addresses, offset, len)
    }
}
