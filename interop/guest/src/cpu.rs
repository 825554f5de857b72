//! The processor: exceptions, interrupts, the local APIC, and the end of the machine.

use core::arch::naked_asm;
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

use x86_64::VirtAddr;
use x86_64::instructions::port::Port;
use x86_64::instructions::{hlt, interrupts};
use x86_64::registers::control::Cr2;
use x86_64::structures::idt::InterruptDescriptorTable;

use crate::println;
use crate::report::Status;

/// The vector of the SynIC's interrupt for VMBus.
pub const SYNIC_VECTOR: u8 = 0x30;
const TIMER_VECTOR: u8 = 0x31;
const SPURIOUS_VECTOR: u8 = 0xFF;

/// Where QEMU is told to have its `isa-debug-exit`, and where the VMM has it with `--test-ports`.
const EXIT_PORT: u16 = 0xF4;
/// The VMM notes how much memory it takes when something is written here.
const WEIGH_PORT: u16 = 0xF9;
/// Where the VMM takes a device away, or gives it back with [`GIVE_BACK`].
const DEVICE_PORT: u16 = 0xF5;
const GIVE_BACK: u8 = 0x80;

/// Set by the SynIC's interrupt, cleared by who looks into its pages.
static PENDING: AtomicBool = AtomicBool::new(false);

struct Idt(UnsafeCell<InterruptDescriptorTable>);

// SAFETY: written by `init`, before which nothing reads it; from then on it is the processor's to read.
unsafe impl Sync for Idt {}

static IDT: Idt = Idt(UnsafeCell::new(InterruptDescriptorTable::new()));

/// Has exceptions reported, masks the interrupts of the PC's old controllers, and starts the local APIC with a timer that ends
/// waits. Interrupts are on from here on.
///
/// # Safety
///
/// It is called once, by the only processor that runs, in ring 0 with the local APIC's registers mapped at their address.
pub unsafe fn init() {
    // SAFETY: the table is nobody's yet. The handlers are made for these vectors.
    unsafe {
        let idt = &mut *IDT.0.get();
        macro_rules! exceptions {
            ($($name:ident = $vector:literal $stub:ident,)+) => {
                $( idt.$name.set_handler_addr(address($stub::<$vector>)); )+
            };
        }
        exceptions! {
            divide_error = 0 exception,
            debug = 1 exception,
            non_maskable_interrupt = 2 exception,
            breakpoint = 3 exception,
            overflow = 4 exception,
            bound_range_exceeded = 5 exception,
            invalid_opcode = 6 exception,
            device_not_available = 7 exception,
            double_fault = 8 exception_with_code,
            invalid_tss = 10 exception_with_code,
            segment_not_present = 11 exception_with_code,
            stack_segment_fault = 12 exception_with_code,
            general_protection_fault = 13 exception_with_code,
            page_fault = 14 exception_with_code,
            x87_floating_point = 16 exception,
            alignment_check = 17 exception_with_code,
            machine_check = 18 exception,
            simd_floating_point = 19 exception,
        }
        idt[SYNIC_VECTOR].set_handler_addr(address(synic_interrupt));
        idt[TIMER_VECTOR].set_handler_addr(address(timer_interrupt));
        idt[SPURIOUS_VECTOR].set_handler_addr(address(spurious_interrupt));
        (*IDT.0.get()).load();

        // The two 8259 controllers: every line masked.
        for port in [0x21, 0xA1] {
            Port::<u8>::new(port).write(0xFF);
        }
        apic::init();
    }
    interrupts::enable();
}

fn address(handler: extern "sysv64" fn() -> !) -> VirtAddr {
    VirtAddr::from_ptr(handler as *const ())
}

/// Lets the processor rest until there may be something to look at: the SynIC's interrupt came, or some milliseconds went by.
pub fn rest() {
    interrupts::disable();
    if PENDING.swap(false, Ordering::Acquire) {
        interrupts::enable();
    } else {
        interrupts::enable_and_hlt();
    }
}

/// Ends the virtual machine.
pub fn exit(status: Status) -> ! {
    // SAFETY: the port ends the machine, or nobody is there.
    unsafe { Port::<u8>::new(EXIT_PORT).write(status as u8) };
    interrupts::disable();
    loop {
        hlt();
    }
}

/// Has the host take the device with this number off the bus, or give it back.
pub fn have_device(number: u8, present: bool) {
    let value = if present { number | GIVE_BACK } else { number };
    // SAFETY: the port is the VMM's, or nobody is there; what it does it says on the bus.
    unsafe { Port::<u8>::new(DEVICE_PORT).write(value) };
}

/// Has the host note how much memory it takes.
pub fn weigh_host() {
    // SAFETY: the port is the VMM's, or nobody is there; it does nothing to this machine.
    unsafe { Port::<u8>::new(WEIGH_PORT).write(0) };
}

/// What an exception leaves on the stack, the two words of the stubs first.
#[repr(C)]
struct Frame {
    vector: u64,
    error: u64,
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
}

extern "sysv64" fn report(frame: &Frame) -> ! {
    let fault_address = Cr2::read_raw();
    println!(
        "@fatal exception {} with error {:#x} at {:#x}, stack {:#x}, CR2 {:#x}",
        frame.vector, frame.error, frame.rip, frame.rsp, fault_address
    );
    exit(Status::Failed)
}

#[unsafe(naked)]
extern "sysv64" fn exception<const VECTOR: u8>() -> ! {
    naked_asm!(
        "push 0",
        "push {vector}",
        "mov rdi, rsp",
        "and rsp, -16",
        "call {report}",
        vector = const VECTOR,
        report = sym report,
    )
}

#[unsafe(naked)]
extern "sysv64" fn exception_with_code<const VECTOR: u8>() -> ! {
    naked_asm!(
        "push {vector}",
        "mov rdi, rsp",
        "and rsp, -16",
        "call {report}",
        vector = const VECTOR,
        report = sym report,
    )
}

extern "sysv64" fn on_synic() {
    PENDING.store(true, Ordering::Release);
    apic::end_of_interrupt();
}

extern "sysv64" fn on_timer() {
    apic::end_of_interrupt();
}

macro_rules! interrupt {
    ($stub:ident => $handler:ident) => {
        #[unsafe(naked)]
        extern "sysv64" fn $stub() -> ! {
            // The processor aligned the stack and pushed five words; with nine more it is aligned again.
            naked_asm!(
                "push rax", "push rcx", "push rdx", "push rsi", "push rdi",
                "push r8", "push r9", "push r10", "push r11",
                "cld",
                "call {handler}",
                "pop r11", "pop r10", "pop r9", "pop r8",
                "pop rdi", "pop rsi", "pop rdx", "pop rcx", "pop rax",
                "iretq",
                handler = sym $handler,
            )
        }
    };
}

interrupt!(synic_interrupt => on_synic);
interrupt!(timer_interrupt => on_timer);

#[unsafe(naked)]
extern "sysv64" fn spurious_interrupt() -> ! {
    naked_asm!("iretq")
}

/// The local APIC, by its memory-mapped registers: every x86-64 machine has these, real or virtual.
mod apic {
    use super::{SPURIOUS_VECTOR, TIMER_VECTOR, ptr};

    const BASE: usize = 0xFEE0_0000;
    const TASK_PRIORITY: usize = 0x80;
    const END_OF_INTERRUPT: usize = 0xB0;
    const SPURIOUS: usize = 0xF0;
    const ENABLE: u32 = 1 << 8;
    const TIMER: usize = 0x320;
    const PERIODIC: u32 = 1 << 17;
    const TIMER_COUNT: usize = 0x380;
    const TIMER_DIVIDER: usize = 0x3E0;
    const DIVIDE_BY_1: u32 = 0b1011;
    /// 20 ms at the 1 GHz of KVM's timer, 100 ms at Hyper-V's 200 MHz. It only bounds how late a time that is waited for is noticed.
    const TICK: u32 = 20_000_000;

    /// # Safety
    ///
    /// The registers are mapped at their address, and the vectors have handlers.
    pub(super) unsafe fn init() {
        for (register, value) in [
            (TASK_PRIORITY, 0),
            (SPURIOUS, ENABLE | u32::from(SPURIOUS_VECTOR)),
            (TIMER_DIVIDER, DIVIDE_BY_1),
            (TIMER, PERIODIC | u32::from(TIMER_VECTOR)),
            (TIMER_COUNT, TICK),
        ] {
            write(register, value);
        }
    }

    pub(super) fn end_of_interrupt() {
        write(END_OF_INTERRUPT, 0);
    }

    fn write(register: usize, value: u32) {
        // SAFETY: a register of the local APIC, which `init`'s caller has seen to be mapped. What is written there touches no memory.
        unsafe { ptr::with_exposed_provenance_mut::<u32>(BASE | register).write_volatile(value) }
    }
}
