//! A hypervisor that answers anything: its leaves, registers, calls and the guest's pages, which it changes at each moment at
//! which the guest turns to it. What no guest may do it does not let pass.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

use hvcall::cpuid::CpuidRegisters;
use hvcall::guest::{Cpuid, FIRST_VECTOR, FastBlock, FastOutput, Gate, MsrError, Msrs, TooLong};
use hvcall::host::synic::{post_message, set_event_flag};
use hvcall::host::{CallRegisters, Request, decode};
use hvcall::msr::HypercallPage;
use hvcall::synic::{EOM, MessageType, Scontrol, SintRegister};
use hvcall::{CallCode, HvStatus, HypercallControl, HypercallResult, Message, Msr, RegisterName, Sint};

use super::pages::{GuestPages, Page};
use crate::input::Bytes;
use crate::steps;

/// The registers that a guest has to do with, but for the SINTs.
const REGISTERS: [Msr; 8] = [
    Msr::GUEST_OS_ID,
    Msr::HYPERCALL,
    Msr::SCONTROL,
    Msr::SIMP,
    Msr::SIEFP,
    Msr::REFERENCE_TSC,
    Msr::TIME_REF_COUNT,
    Msr::EOM,
];

fn register(which: u8) -> Msr {
    match Sint::new(which & 15) {
        Some(sint) if which & 16 != 0 => Msr::sint(sint),
        _ => REGISTERS[usize::from(which) % REGISTERS.len()],
    }
}

/// The register that a call has this name for.
pub fn msr(name: RegisterName) -> Option<Msr> {
    static NAMES: LazyLock<BTreeMap<u32, Msr>> = LazyLock::new(|| {
        let all = (0x4000_0000..0x4000_0200).map(Msr);
        all.filter_map(|msr| Some((msr.register_name()?.0, msr)))
            .collect()
    });
    NAMES.get(&name.0).copied()
}

/// The SINT with the low bits of this number.
pub fn sint(number: u8) -> Sint {
    Sint::new(number & 15).expect("below 16")
}

steps! {
    /// What the host does to what it shares with the guest.
    pub enum Change {
        /// Nothing, this time.
        Nothing,
        /// It writes bytes into a page.
        Put(page: u8, at: u16, bytes: Bytes),
        /// It writes a word into a page.
        Word(page: u8, index: u16, value: u32),
        /// It sends a message, if the slot is free.
        Message(sint: u8, message_type: u32, sender: u64, payload: Bytes),
        /// It fills a slot with any header: type, size, flags.
        Slot(sint: u8, message_type: u32, size: u8, flags: u8, payload: Bytes),
        /// It signals.
        Flag(sint: u8, flag: u16),
        /// It tells the time: sequence, scale and offset.
        Clock(sequence: u8, scale: u64, offset: u64),
        /// A register is another.
        Register(which: u8, value: u64),
        /// A register has other flags.
        Flip(which: u8, bit: u8),
    }
}

steps! {
    /// What becomes of an access to a register.
    pub enum Habit {
        /// As it should be.
        Keep,
        /// A write does nothing, and a read tells 0.
        Ignore,
        /// There is no such register.
        Absent,
        /// It is refused.
        Refuse(status: u16),
        /// A write takes another bit, and a read tells another.
        Flip(bit: u8),
        /// Anything is written or read.
        Raw(value: u64),
        /// It is done, and the guest is told that it was not.
        Deny,
    }
}

steps! {
    /// What a call is answered.
    pub enum Answer {
        /// What is right.
        Honest,
        /// A status that has a name.
        Named(which: u8),
        /// A status that has a name, and so many elements.
        Reps(which: u8, done: u16),
        /// Until the rep call is over: so many elements at a time, each after so many time-outs.
        Slow(step: u8, time_outs: u8),
        /// Anything.
        Raw(word: u64),
    }
}

/// A call that was not for [`decode`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rep {
    pub control: HypercallControl,
    pub input: u64,
    pub output: u64,
    pub result: HypercallResult,
}

/// The hypervisor and the guest's pages.
pub struct Hypervisor {
    pub pages: GuestPages,
    pub leaves: RefCell<BTreeMap<u32, CpuidRegisters>>,
    /// What a leaf shows that is not there.
    pub junk: Cell<CpuidRegisters>,
    registers: RefCell<BTreeMap<Msr, u64>>,
    /// What the guest wrote last and was not refused: what it may take to be there.
    pub taken: RefCell<BTreeMap<Msr, u64>>,
    /// What the guest read last.
    read: RefCell<BTreeMap<Msr, u64>>,
    pub habits: RefCell<VecDeque<Habit>>,
    pub answers: RefCell<VecDeque<Answer>>,
    pub later: RefCell<VecDeque<Change>>,
    /// What was decoded, with what was answered.
    pub heard: RefCell<Vec<(Result<Request, HvStatus>, HvStatus)>>,
    /// Rep calls in memory.
    pub reps: RefCell<Vec<Rep>>,
    slow: Cell<Option<(u8, u8, u8)>>,
    /// What the last call by registers was answered.
    pub answered: Cell<Option<HypercallResult>>,
    /// Whether registers were not themselves since this was cleared.
    pub is_odd: Cell<bool>,
    /// How often the guest turned to it since this was cleared.
    pub turns: Cell<usize>,
}

impl Hypervisor {
    pub fn new(leaves: BTreeMap<u32, CpuidRegisters>) -> Self {
        Self {
            pages: GuestPages::default(),
            leaves: RefCell::new(leaves),
            junk: Cell::default(),
            registers: RefCell::default(),
            taken: RefCell::default(),
            read: RefCell::default(),
            habits: RefCell::default(),
            answers: RefCell::default(),
            later: RefCell::default(),
            heard: RefCell::default(),
            reps: RefCell::default(),
            slow: Cell::new(None),
            answered: Cell::new(None),
            is_odd: Cell::new(false),
            turns: Cell::new(0),
        }
    }

    /// What a register holds.
    pub fn register(&self, msr: Msr) -> u64 {
        self.registers.borrow().get(&msr).copied().unwrap_or(0)
    }

    fn set_register(&self, msr: Msr, value: u64) {
        self.registers.borrow_mut().insert(msr, value);
    }

    /// Whether the guest left a page on, by what it wrote last and was not refused.
    pub fn names(&self, msr: Msr, page: Page) -> bool {
        let taken = self.taken.borrow();
        taken
            .get(&msr)
            .is_some_and(|value| value & 1 != 0 && value & !0xfff == page.gpa())
    }

    /// Nothing is changed, refused or denied any more.
    pub fn is_calm(&self) -> bool {
        self.later.borrow().is_empty() && self.habits.borrow().is_empty() && self.answers.borrow().is_empty()
    }

    /// The guest turns to the hypervisor, which changes something before.
    pub fn moment(&self) {
        self.turns.set(self.turns.get() + 1);
        let next = self.later.borrow_mut().pop_front();
        if let Some(change) = next {
            self.is_odd.set(true);
            self.change(change);
        }
    }

    /// Does so.
    pub fn change(&self, change: Change) {
        let put = |page: Page, at: u16, bytes: &[u8]| self.pages.put(page, at.into(), bytes);
        match change {
            Change::Nothing => {}
            Change::Put(page, at, bytes) => put(Page::nth(page), at, &bytes.0),
            Change::Word(page, index, value) => put(Page::nth(page), index << 2, &value.to_le_bytes()),
            Change::Message(number, message_type, sender, payload) => {
                if let Ok(message) = Message::new(MessageType(message_type), sender, &payload.0) {
                    let delivery = post_message(&self.pages, Page::Messages.gpa(), sint(number), &message);
                    assert!(delivery.is_ok());
                }
            }
            Change::Slot(number, message_type, size, flags, payload) => {
                let mut slot = message_type.to_le_bytes().to_vec();
                slot.extend([size, flags, 0, 0]);
                slot.extend(&payload.0[..payload.0.len().min(248)]);
                put(Page::Messages, u16::from(number & 15) << 8, &slot);
            }
            Change::Flag(number, flag) => {
                let _ = set_event_flag(&self.pages, Page::Events.gpa(), sint(number), flag % 2048);
            }
            Change::Clock(sequence, scale, offset) => {
                put(Page::Time, 8, &scale.to_le_bytes());
                put(Page::Time, 16, &offset.to_le_bytes());
                put(Page::Time, 0, &u32::from(sequence).to_le_bytes());
            }
            Change::Register(which, value) => self.set_register(register(which), value),
            Change::Flip(which, bit) => {
                let msr = register(which);
                self.set_register(msr, self.register(msr) ^ 1 << (bit & 63));
            }
        }
    }

    fn habit(&self, msr: Msr) -> Result<Habit, MsrError> {
        self.moment();
        let next = self.habits.borrow_mut().pop_front();
        self.is_odd.set(self.is_odd.get() || next.is_some());
        match next.unwrap_or(Habit::Keep) {
            Habit::Absent => Err(MsrError::Unavailable { msr }),
            Habit::Refuse(status) => Err(MsrError::Refused {
                msr,
                status: HvStatus(status.max(1)),
            }),
            habit => Ok(habit),
        }
    }

    fn read_register(&self, msr: Msr) -> Result<u64, MsrError> {
        let value = match self.habit(msr)? {
            Habit::Ignore => 0,
            Habit::Flip(bit) => self.register(msr) ^ 1 << (bit & 63),
            Habit::Raw(value) => value,
            Habit::Deny => return Err(MsrError::Unavailable { msr }),
            _ => self.register(msr),
        };
        self.read.borrow_mut().insert(msr, value);
        Ok(value)
    }

    fn write_register(&self, msr: Msr, value: u64) -> Result<(), MsrError> {
        self.check_write(msr, value);
        let habit = self.habit(msr)?;
        self.taken.borrow_mut().insert(msr, value);
        if habit == Habit::Ignore {
            return Ok(());
        }
        self.set_register(
            msr,
            match habit {
                Habit::Flip(bit) => value ^ 1 << (bit & 63),
                Habit::Raw(other) => other,
                _ => value,
            },
        );
        if habit == Habit::Deny {
            return Err(MsrError::Unavailable { msr });
        }
        Ok(())
    }

    /// Whatever it was told before: a guest names no memory but what it lends for that, keeps what is not its own, and has no
    /// interrupt come by a vector of the processor's.
    fn check_write(&self, msr: Msr, value: u64) {
        let read = self.read.borrow().get(&msr).copied().unwrap_or(0);
        let page = |page: Page| {
            assert!(
                value & 1 == 0 || value & !0xfff == page.gpa(),
                "{msr}: {value:#x}"
            );
            assert_eq!(value & 0xffe, read & 0xffe, "{msr} keeps reserved bits");
        };
        match msr {
            Msr::HYPERCALL => {
                page(Page::Code);
                let locked = HypercallPage::from_bits(read).is_locked();
                assert!(!locked || self.is_odd.get(), "the processor faults");
            }
            Msr::SIMP => page(Page::Messages),
            Msr::SIEFP => page(Page::Events),
            Msr::REFERENCE_TSC => page(Page::Time),
            Msr::SCONTROL => assert_eq!((value ^ read) & !Scontrol::ENABLE.bits(), 0),
            Msr::EOM => assert_eq!(value, EOM),
            Msr::GUEST_OS_ID => {}
            _ => {
                assert!((Msr::SINT0..=Msr::SINT15).contains(&msr), "{msr} is not written");
                let sint = SintRegister::from_bits(value);
                assert!(sint.is_masked() || sint.vector() >= FIRST_VECTOR, "{sint:?}");
                assert_eq!((value ^ read) & !0x7_00ff, 0, "{msr} keeps reserved bits");
            }
        }
    }

    /// What a call is answered that did so.
    fn answer(&self, honest: HypercallResult) -> HypercallResult {
        let named = |which: u8| HvStatus::NAMED[usize::from(which) % HvStatus::NAMED.len()];
        let next = self.answers.borrow_mut().pop_front();
        match next.unwrap_or(Answer::Honest) {
            Answer::Honest | Answer::Slow(..) => honest,
            Answer::Named(which) => named(which).into(),
            Answer::Reps(which, done) => {
                HypercallResult::with_reps(named(which), done & 0xfff).expect("12 bits")
            }
            Answer::Raw(word) => HypercallResult::from_bits(word),
        }
    }

    fn answer_rep(&self, control: HypercallControl) -> HypercallResult {
        let reps = |status, done| HypercallResult::with_reps(status, done).expect("12 bits");
        if let Some(Answer::Slow(step, time_outs)) = self.answers.borrow().front() {
            // None, one, as many as a guest bears, and one more.
            let time_outs = [0, 1, 16, 17][usize::from(time_outs & 3)];
            self.slow.set(Some((*step, time_outs, 0)));
        }
        let (start, count) = (control.rep_start(), control.rep_count());
        let Some((step, time_outs, so_far)) = self.slow.get() else {
            return self.answer(reps(HvStatus::SUCCESS, count));
        };
        if so_far < time_outs {
            self.slow.set(Some((step, time_outs, so_far + 1)));
            return reps(HvStatus::TIME_OUT, start);
        }
        self.slow.set(Some((step, time_outs, 0)));
        reps(HvStatus::SUCCESS, count.min(start + 1 + u16::from(step)))
    }

    /// A rep call is over.
    pub fn end_reps(&self) -> Vec<Rep> {
        if self.slow.take().is_some() {
            self.answers.borrow_mut().pop_front();
        }
        self.reps.take()
    }

    /// The calls that read and write one register each, with all that is told by words of the fast form.
    fn vp_registers(&self, control: HypercallControl, words: &mut [u64; 14]) -> HypercallResult {
        assert!(control.is_fast() && (control.rep_start(), control.rep_count()) == (0, 1));
        let [partition, vp, name, _, low, high, ..] = *words;
        assert_eq!((partition, vp), (u64::MAX, 0xffff_fffe), "of the caller");
        let name = RegisterName(u32::try_from(name).expect("no virtual trust level"));
        let msr = msr(name);
        let done = match (control.code(), msr) {
            // The output stands behind the input, which takes two pairs of words.
            (CallCode::GET_VP_REGISTERS, Some(msr)) => self.read_register(msr).map(|value| words[4] = value),
            (CallCode::GET_VP_REGISTERS, None) => {
                words[4..6].copy_from_slice(&[u64::from(name.0), !u64::from(name.0)]);
                Ok(())
            }
            (CallCode::SET_VP_REGISTERS, Some(msr)) => {
                assert_eq!(high, 0);
                self.write_register(msr, low)
            }
            (code, _) => panic!("{code} of {name}"),
        };
        match done {
            Ok(()) => HypercallResult::with_reps(HvStatus::SUCCESS, 1).expect("12 bits"),
            Err(MsrError::Refused { status, .. }) => status.into(),
            Err(_) => HvStatus::INVALID_PARAMETER.into(),
        }
    }
}

impl Cpuid for Hypervisor {
    fn cpuid(&self, leaf: u32) -> CpuidRegisters {
        self.moment();
        self.leaves
            .borrow()
            .get(&leaf)
            .copied()
            .unwrap_or(self.junk.get())
    }
}

impl Msrs for Hypervisor {
    fn read(&self, msr: Msr) -> Result<u64, MsrError> {
        self.read_register(msr)
    }

    unsafe fn write(&self, msr: Msr, value: u64) -> Result<(), MsrError> {
        self.write_register(msr, value)
    }
}

impl Gate for Hypervisor {
    unsafe fn call(&self, control: HypercallControl, first: u64, second: u64) -> HypercallResult {
        self.moment();
        assert!(!control.has_reserved_bits(), "{control:?}");
        if control.rep_count() != 0 {
            let result = self.answer_rep(control);
            self.reps.borrow_mut().push(Rep {
                control,
                input: first,
                output: second,
                result,
            });
            return result;
        }
        let registers = CallRegisters {
            control: control.bits(),
            input: first,
            output: second,
            xmm: None,
        };
        let request = decode(&registers, &self.pages);
        let honest = request.as_ref().err().copied().unwrap_or(HvStatus::SUCCESS);
        let result = self.answer(honest.into());
        self.heard.borrow_mut().push((request, result.status()));
        result
    }

    unsafe fn call_extended(
        &self,
        control: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong> {
        let mut block = FastBlock::<14>::new(input, output.len(), FastOutput::BehindInput)?;
        let honest = self.vp_registers(control.with_fast(), block.words());
        let result = self.answer(honest);
        self.answered.set(Some(result));
        block.output(output);
        Ok(result)
    }
}
