//! A guest's surroundings for tests: pages, registers, a gate into the host's side of this crate.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};

use hvcall::guest::{Gate, MsrError, Msrs, SharedPage, TooLong};
use hvcall::host::{CallRegisters, Request, decode};
use hvcall::{HvStatus, HypercallControl, HypercallResult, Msr};

use super::FakeMemory;

/// A new page at this guest-physical address, full of what was there before: the guest's end of it, and the host's.
pub(crate) fn page(gpa: u64) -> (SharedPage, &'static FakeMemory) {
    // The guest's end lends it for good.
    let memory: &'static FakeMemory = Box::leak(Box::new(FakeMemory::new(gpa, 1)));
    memory.put(0, &[0xee; 4096]);
    // SAFETY: the page lives for ever, is aligned, and both ends access its words by atomics alone.
    let shared = unsafe { SharedPage::new(memory.first_page(), gpa) }.unwrap();
    (shared, memory)
}

/// Registers of one processor, which keep what they are given, unless a test says otherwise.
#[derive(Default)]
pub(crate) struct FakeMsrs {
    values: RefCell<BTreeMap<Msr, u64>>,
    /// Registers that ignore writes.
    pub(crate) stuck: RefCell<Vec<Msr>>,
    /// Registers that take writes and say that they do not.
    pub(crate) denying: RefCell<Vec<Msr>>,
    /// Registers that are not there.
    pub(crate) absent: RefCell<Vec<Msr>>,
    /// Registers that were written, with or without success.
    tried: RefCell<Vec<Msr>>,
    /// Every write that took, in order.
    pub(crate) log: RefCell<Vec<(Msr, u64)>>,
}

impl FakeMsrs {
    pub(crate) fn with(values: &[(Msr, u64)]) -> Self {
        let msrs = Self::default();
        msrs.values.borrow_mut().extend(values.iter().copied());
        msrs
    }

    pub(crate) fn get(&self, msr: Msr) -> u64 {
        self.values.borrow().get(&msr).copied().unwrap_or(0)
    }

    pub(crate) fn set(&self, msr: Msr, value: u64) {
        self.values.borrow_mut().insert(msr, value);
    }

    pub(crate) fn tried(&self) -> Vec<Msr> {
        self.tried.borrow().clone()
    }

    pub(crate) fn written(&self) -> Vec<Msr> {
        self.log.borrow().iter().map(|(msr, _)| *msr).collect()
    }
}

impl Msrs for FakeMsrs {
    fn read(&self, msr: Msr) -> Result<u64, MsrError> {
        if self.absent.borrow().contains(&msr) {
            return Err(MsrError::Unavailable { msr });
        }
        Ok(self.get(msr))
    }

    unsafe fn write(&self, msr: Msr, value: u64) -> Result<(), MsrError> {
        self.tried.borrow_mut().push(msr);
        if self.absent.borrow().contains(&msr) {
            return Err(MsrError::Unavailable { msr });
        }
        if !self.stuck.borrow().contains(&msr) {
            self.log.borrow_mut().push((msr, value));
            self.set(msr, value);
        }
        if self.denying.borrow().contains(&msr) {
            return Err(MsrError::Unavailable { msr });
        }
        Ok(())
    }
}

/// A gate whose other side is [`hvcall::host`]: what it decodes is kept, and answered with the next prepared status.
pub(crate) struct HostGate {
    pub(crate) memory: &'static FakeMemory,
    pub(crate) answers: RefCell<VecDeque<HvStatus>>,
    pub(crate) requests: RefCell<Vec<Request>>,
}

impl HostGate {
    pub(crate) fn new(memory: &'static FakeMemory, answers: &[HvStatus]) -> Self {
        Self {
            memory,
            answers: RefCell::new(answers.iter().copied().collect()),
            requests: RefCell::default(),
        }
    }
}

impl Gate for HostGate {
    unsafe fn call(&self, control: HypercallControl, first: u64, second: u64) -> HypercallResult {
        let registers = CallRegisters {
            control: control.bits(),
            input: first,
            output: second,
            xmm: None,
        };
        match decode(&registers, self.memory) {
            Ok(request) => {
                self.requests.borrow_mut().push(request);
                self.answers
                    .borrow_mut()
                    .pop_front()
                    .unwrap_or(HvStatus::SUCCESS)
                    .into()
            }
            Err(status) => status.into(),
        }
    }

    unsafe fn call_extended(
        &self,
        _: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong> {
        // As on a processor that has no registers for it.
        Err(TooLong {
            input: input.len(),
            output: output.len(),
        })
    }
}

/// What a gate was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) control: HypercallControl,
    pub(crate) input: Vec<u64>,
}

/// A gate that answers what a test prepared, for ever the last answer, and keeps what it was asked.
pub(crate) struct ScriptedGate {
    answers: Vec<HypercallResult>,
    pub(crate) output: Vec<u64>,
    pub(crate) calls: RefCell<Vec<Call>>,
    at: Cell<usize>,
}

impl ScriptedGate {
    pub(crate) fn new(answers: &[HypercallResult]) -> Self {
        Self {
            answers: answers.to_vec(),
            output: Vec::new(),
            calls: RefCell::default(),
            at: Cell::new(0),
        }
    }

    fn answer(&self, control: HypercallControl, input: Vec<u64>) -> HypercallResult {
        self.calls.borrow_mut().push(Call { control, input });
        let at = self.at.get().min(self.answers.len() - 1);
        self.at.set(at + 1);
        self.answers[at]
    }
}

impl Gate for ScriptedGate {
    unsafe fn call(&self, control: HypercallControl, first: u64, second: u64) -> HypercallResult {
        self.answer(control, vec![first, second])
    }

    unsafe fn call_extended(
        &self,
        control: HypercallControl,
        input: &[u64],
        output: &mut [u64],
    ) -> Result<HypercallResult, TooLong> {
        output.copy_from_slice(&self.output[..output.len()]);
        Ok(self.answer(control.with_fast(), input.to_vec()))
    }
}
