//! A guest that finds its hypervisor, calls it and hears from it, while the hypervisor answers anything and changes what both
//! share at each moment at which the guest turns to it. What the guest calls and the hypervisor answers rightly means the
//! same at both ends.

mod calls;
mod setup;
mod synic;

use std::collections::BTreeMap;

use hvcall::cpuid::{CallAccess, CpuidRegisters, MsrAccess};
use hvcall::guest::{CallPage, Msrs, SharedPage, Synic, TscPage, VpRegisters, clear_identity};
use hvcall::{GuestOsId, Msr, RegisterName};

use super::hypervisor::{Answer, Change, Habit, Hypervisor, sint};
use super::pages::Page;
use crate::input::{Bytes, Steps};
use crate::steps;
use calls::{Posting, block};
use synic::synic;

steps! {
    /// How a SINT is to tell.
    pub enum Setup {
        Interrupt(vector: u8),
        Recommended(vector: u8),
        AutoEoi(vector: u8, on: bool),
        Polled,
    }
}

steps! {
    /// What the hypervisor does, or the guest.
    pub enum Step {
        /// The host changes what both share.
        Change(change: Change),
        /// It will, when the guest turns to it.
        Later(change: Change),
        /// What becomes of an access to a register to come.
        Habit(habit: Habit),
        /// What a call to come is answered.
        Answer(answer: Answer),
        /// A register of a leaf holds this.
        Leaf(leaf: u8, register: u8, value: u32),
        /// A leaf that is not there shows this.
        Junk(value: u32),
        /// Everything is as it should be from now on.
        Calm,
        /// The guest looks what it runs on.
        Detect,
        /// It needs these.
        Require(msrs: u32, calls: u32),
        /// It says who it is.
        Identify(id: u64),
        /// It takes that back.
        Forget,
        /// It switches the hypercall page on, or off.
        CallPage(on: bool),
        /// It takes the hypercall page back.
        CallPageBack,
        /// It switches its SynIC on, or off.
        Synic(on: bool),
        /// It takes the SynIC's pages back.
        SynicBack,
        /// It sets a SINT up.
        Sint(sint: u8, setup: Setup),
        /// It masks a SINT.
        Mask(sint: u8),
        /// It takes a message, and tells that the slot is free.
        Take(sint: u8),
        /// It takes all flags.
        TakeFlags(sint: u8),
        /// It takes a flag.
        TakeFlag(sint: u8, flag: u16),
        /// It switches the reference TSC page on, or off.
        TscPage(on: bool),
        /// It takes the page back.
        TscPageBack,
        /// It tells the time.
        Time(counter: u64),
        /// It has a message: attempts that it makes, and whether it is sure of the connection.
        Post(connection: u32, message_type: u32, payload: Bytes, attempts: u8, sure: bool),
        /// It tries to post it.
        Attempt,
        /// It signals.
        Signal(connection: u32, flag: u16),
        /// It makes a rep call.
        Rep(code: u16, start: u16, count: u16),
        /// It reads a register by a call.
        Get(name: u32),
        /// It asks by a call what it may use.
        Privileges,
        /// Words of the fast form: how many of input and output, where output is, and of how many registers.
        Block(input: u8, output: u8, last: bool, many: bool),
    }
}

steps! {
    /// A guest.
    pub struct Input {
        /// Whether registers are reached by calls.
        pub by_calls: bool,
        pub steps: Steps<Step>,
    }
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        self.play();
    }

    /// As [`run`](Self::run), and tells how many messages the guest took that were none too long.
    pub fn play(self) -> usize {
        let host = Hypervisor::new(leaves());
        let by_calls = VpRegisters::new(&host);
        let msrs: &dyn Msrs = if self.by_calls { &by_calls } else { &host };
        let mut guest = Guest {
            call_page: Some(CallPage::new(host.pages.lend(Page::Code))),
            synic: Some(synic(
                host.pages.lend(Page::Messages),
                host.pages.lend(Page::Events),
            )),
            tsc_page: Some(TscPage::new(host.pages.lend(Page::Time))),
            tsc_is_off: true,
            input: host.pages.lend(Page::Input),
            post: None,
            detected: None,
            taken: 0,
            host: &host,
            msrs,
        };
        for step in self.steps {
            host.is_odd.set(false);
            host.turns.set(0);
            host.heard.take();
            guest.step(step);
        }
        guest.taken
    }
}

/// The leaves of a Hyper-V.
fn leaves() -> BTreeMap<u32, CpuidRegisters> {
    let leaf = |number, eax, ebx, ecx, edx| (number, CpuidRegisters { eax, ebx, ecx, edx });
    let text = |text: &[u8; 4]| u32::from_le_bytes(*text);
    BTreeMap::from([
        leaf(1, 0, 0, 1 << 31, 0),
        leaf(
            0x4000_0000,
            0x4000_000c,
            text(b"Micr"),
            text(b"osof"),
            text(b"t Hv"),
        ),
        leaf(0x4000_0001, text(b"Hv#1"), 0, 0, 0),
        leaf(0x4000_0002, 20348, 10 << 16, 0, 0),
        leaf(
            0x4000_0003,
            MsrAccess::VMBUS.bits(),
            CallAccess::VMBUS.bits(),
            0,
            0,
        ),
        leaf(0x4000_0004, 0, 0, 0, 0),
        leaf(0x4000_0005, 64, 64, 0, 0),
        leaf(0x4000_0006, 1, 0, 0, 0),
        leaf(0x4000_000a, 1, 0, 0, 0),
        leaf(0x4000_000c, 0, 2, 0, 0),
        leaf(0x4000_0080, 0x4000_0082, 0, 0, 0),
        leaf(0x4000_0081, text(b"VS#1"), 0, 0, 0),
        leaf(0x4000_0082, 1, 0, 0, 0),
    ])
}

struct Guest<'h> {
    host: &'h Hypervisor,
    msrs: &'h dyn Msrs,
    /// `None` while it changes hands.
    call_page: Option<CallPage>,
    synic: Option<Synic>,
    tsc_page: Option<TscPage>,
    tsc_is_off: bool,
    input: SharedPage,
    post: Option<Posting>,
    detected: Option<hvcall::guest::Hypervisor>,
    taken: usize,
}

/// What an error says.
fn told(error: &impl std::error::Error) {
    assert!(!error.to_string().is_empty());
}

impl Guest<'_> {
    fn step(&mut self, step: Step) {
        let host = self.host;
        match step {
            Step::Change(change) => host.change(change),
            Step::Later(change) => host.later.borrow_mut().push_back(change),
            Step::Habit(habit) => host.habits.borrow_mut().push_back(habit),
            Step::Answer(answer) => host.answers.borrow_mut().push_back(answer),
            Step::Leaf(leaf, register, value) => {
                let mut leaves = host.leaves.borrow_mut();
                let count = leaves.len();
                let leaf = leaves
                    .values_mut()
                    .nth(usize::from(leaf) % count)
                    .expect("one of them");
                let all = [&mut leaf.eax, &mut leaf.ebx, &mut leaf.ecx, &mut leaf.edx];
                *all[usize::from(register & 3)] = value;
            }
            Step::Junk(value) => host.junk.set(CpuidRegisters {
                eax: value,
                ebx: value,
                ecx: value,
                edx: value,
            }),
            Step::Calm => {
                host.later.take();
                host.habits.take();
                host.answers.take();
            }
            Step::Detect => self.detect(),
            Step::Require(msrs, calls) => self.require(msrs, calls),
            Step::Identify(id) => self.identify(GuestOsId::from_bits(id)),
            Step::Forget => {
                let calm = host.is_calm();
                match clear_identity(self.msrs) {
                    Ok(()) => assert!(!calm || host.register(Msr::GUEST_OS_ID) == 0),
                    Err(error) => told(&error),
                }
            }
            Step::CallPage(on) => self.call_page(on),
            Step::CallPageBack => self.call_page_back(),
            Step::Synic(on) => self.switch_synic(on),
            Step::SynicBack => self.synic_back(),
            Step::Sint(number, setup) => self.sint(sint(number), &setup),
            Step::Mask(number) => {
                let synic = self.synic.as_mut().expect("is there");
                match synic.disable_sint(self.msrs, sint(number)) {
                    Ok(()) => assert!(self.is_masked(sint(number))),
                    Err(error) => told(&error),
                }
            }
            Step::Take(number) => self.take(sint(number)),
            Step::TakeFlags(number) => self.take_flags(sint(number)),
            Step::TakeFlag(number, flag) => self.take_flag(sint(number), flag),
            Step::TscPage(on) => self.tsc_page(on),
            Step::TscPageBack => self.tsc_page_back(),
            Step::Time(counter) => self.time(counter),
            Step::Post(connection, message_type, payload, attempts, sure) => {
                self.post(connection, message_type, &payload.0, attempts, sure);
            }
            Step::Attempt => self.attempt(),
            Step::Signal(connection, flag) => self.signal(connection, flag),
            Step::Rep(code, start, count) => self.rep(code, start & 0xfff, count & 0xfff),
            Step::Get(name) => self.get(RegisterName(name)),
            Step::Privileges => {
                let calm = host.is_calm();
                let privileges = VpRegisters::new(host).privileges();
                assert!(!calm || privileges == Ok((MsrAccess::from_bits_retain(0x200), CallAccess::empty())));
            }
            Step::Block(input, output, last, many) => {
                if many {
                    block::<16>(input, output, last);
                } else {
                    block::<14>(input, output, last);
                }
            }
        }
    }
}
