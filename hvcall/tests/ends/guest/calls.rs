//! The guest's calls: against the host's decoder, and against hosts that answer what they should not.

use std::time::Duration;

use crate::support::guest::{Call, HostGate, ScriptedGate, page};
use hvcall::cpuid::{CallAccess, MsrAccess};
use hvcall::guest::{
    FastBlock, FastOutput, MsrError, Msrs, Post, PostBackoff, PostError, Posted, RepCall, RepError, TooLong,
    VpRegisters, call_rep, signal_event,
};
use hvcall::host::Request;
use hvcall::synic::{MessageError, MessageType};
use hvcall::{
    CallCode, ConnectionId, HvStatus, HypercallControl, HypercallResult, Msr, RegisterName, RepFault,
};
use proptest::prelude::*;

const GPA: u64 = 0x12_3000;
const VMBUS: ConnectionId = ConnectionId(4);

fn reps(status: HvStatus, done: u16) -> HypercallResult {
    HypercallResult::with_reps(status, done).unwrap()
}

fn list(start: u16, count: u16) -> HypercallControl {
    HypercallControl::new(CallCode::FLUSH_VIRTUAL_ADDRESS_LIST)
        .with_reps(start, count)
        .unwrap()
}

/// Makes a rep call on 25 elements, which does what no test minds.
fn call_25(gate: &ScriptedGate) -> Result<(), RepError> {
    // SAFETY: the gate touches no memory.
    unsafe { call_rep(gate, list(0, 25), 0x1000, 0x2000) }
}

#[test]
fn what_the_guest_posts_the_host_decodes() {
    let (mut input, host) = page(GPA);
    let gate = HostGate::new(host, &[]);
    for payload in [&b""[..], b"INITIATE_CONTACT", &[7; 240]] {
        let mut post = Post::new(VMBUS, MessageType::VMBUS, payload).unwrap();
        assert_eq!(post.attempt(&gate, &mut input), Ok(Posted::Done));
        let Some(Request::PostMessage {
            connection_id,
            message_type,
            payload: came,
            ..
        }) = gate.requests.borrow_mut().pop()
        else {
            panic!("no message came")
        };
        assert_eq!(
            (connection_id, message_type, &*came),
            (VMBUS, MessageType::VMBUS, payload)
        );
    }
}

#[test]
fn what_the_guest_signals_the_host_decodes() {
    let gate = HostGate::new(page(GPA).1, &[HvStatus::SUCCESS, HvStatus::INVALID_CONNECTION_ID]);
    assert_eq!(signal_event(&gate, ConnectionId(0x2001), 5), Ok(()));
    assert_eq!(
        signal_event(&gate, ConnectionId(0x2002), 0),
        Err(HvStatus::INVALID_CONNECTION_ID)
    );
    let requests = gate.requests.borrow();
    assert_eq!(
        requests[0],
        Request::SignalEvent {
            connection_id: ConnectionId(0x2001),
            flag_number: 5
        }
    );
    assert_eq!(
        requests[1],
        Request::SignalEvent {
            connection_id: ConnectionId(0x2002),
            flag_number: 0
        }
    );
}

#[test]
fn case_18_what_is_no_message_is_not_posted() {
    let error = Post::new(VMBUS, MessageType::VMBUS, &[0; 241]).unwrap_err();
    assert_eq!(error, MessageError::PayloadTooLong { len: 241 });
    assert_eq!(
        Post::new(VMBUS, MessageType::NONE, b"").unwrap_err(),
        MessageError::NoType
    );
    let message_type = MessageType::TIMER_EXPIRED;
    let error = Post::new(VMBUS, message_type, b"").unwrap_err();
    assert_eq!(error, MessageError::HypervisorType { message_type });
}

#[test]
fn a_passing_refusal_is_waited_for_and_the_message_goes_again() {
    let (mut input, host) = page(GPA);
    let passing = [
        HvStatus::INSUFFICIENT_MEMORY,
        HvStatus::INVALID_CONNECTION_ID,
        HvStatus::INSUFFICIENT_BUFFERS,
    ];
    let gate = HostGate::new(host, &passing.map(|status| [status, HvStatus::SUCCESS]).concat());
    let mut post = Post::new(VMBUS, MessageType::VMBUS, b"again").unwrap();
    for micros in [1, 2, 4] {
        let wait = Duration::from_micros(micros);
        assert_eq!(post.attempt(&gate, &mut input), Ok(Posted::Again { wait }));
        // The page may be used for another message meanwhile.
        let mut other = Post::new(VMBUS, MessageType::VMBUS, b"another").unwrap();
        assert_eq!(other.attempt(&gate, &mut input), Ok(Posted::Done));
    }
    assert_eq!(post.attempt(&gate, &mut input), Ok(Posted::Done));
    let Some(Request::PostMessage { payload, .. }) = gate.requests.borrow_mut().pop() else {
        panic!("no message came")
    };
    assert_eq!(&*payload, b"again");
}

#[test]
fn a_host_that_never_takes_a_message_is_given_up() {
    let (mut input, host) = page(GPA);
    let status = HvStatus::INSUFFICIENT_BUFFERS;
    let gate = HostGate::new(host, &[status; 200]);
    let mut post = Post::new(VMBUS, MessageType::VMBUS, b"").unwrap();
    let mut waits = Vec::new();
    let error = loop {
        match post.attempt(&gate, &mut input) {
            Ok(Posted::Again { wait }) => waits.push(wait),
            Ok(Posted::Done) => panic!("nobody took it"),
            Err(error) => break error,
        }
    };
    assert_eq!(
        error,
        PostError::GaveUp {
            status,
            attempts: 100
        }
    );
    assert_eq!(waits.len(), 99);
    assert!(waits.is_sorted() && waits.last() == Some(&PostBackoff::WAIT_MAX));
    let all: Duration = waits.iter().sum();
    assert!(
        (Duration::from_secs(20)..Duration::from_secs(22)).contains(&all),
        "{all:?}"
    );
    assert_eq!(gate.requests.borrow().len(), 100);
}

#[test]
fn a_refusal_that_does_not_pass_is_final() {
    let refused = |status| Err(PostError::Refused { status });
    for status in HvStatus::NAMED
        .iter()
        .copied()
        .filter(|status| !status.is_success())
    {
        let answer = PostBackoff::new().answered(status);
        if status.is_passing_for_post() {
            assert!(matches!(answer, Ok(Posted::Again { .. })), "{status}");
        } else {
            assert_eq!(answer, refused(status));
        }
    }
    let unknown = HvStatus::INVALID_CONNECTION_ID;
    assert_eq!(
        PostBackoff::new().without_unknown_connection().answered(unknown),
        refused(unknown)
    );
    for attempts in [0, 1] {
        let answer = PostBackoff::new().with_attempts(attempts).answered(unknown);
        assert_eq!(
            answer,
            Err(PostError::GaveUp {
                status: unknown,
                attempts: 1
            })
        );
    }
}

#[test]
fn a_rep_call_is_continued_to_its_end() {
    let gate = ScriptedGate::new(&[
        reps(HvStatus::SUCCESS, 20),
        reps(HvStatus::TIME_OUT, 22),
        reps(HvStatus::TIME_OUT, 22),
        reps(HvStatus::SUCCESS, 25),
    ]);
    assert_eq!(call_25(&gate), Ok(()));
    let controls: Vec<_> = gate.calls.borrow().iter().map(|call| call.control).collect();
    assert_eq!(controls, [list(0, 25), list(20, 25), list(22, 25), list(22, 25)]);
    assert!(
        gate.calls
            .borrow()
            .iter()
            .all(|call| call.input == [0x1000, 0x2000])
    );
}

#[test]
fn a_rep_call_that_fails_tells_how_far_it_came() {
    let gate = ScriptedGate::new(&[reps(HvStatus::SUCCESS, 3), reps(HvStatus::INVALID_PARAMETER, 7)]);
    assert_eq!(
        call_25(&gate),
        Err(RepError::Failed {
            status: HvStatus::INVALID_PARAMETER,
            done: 7
        })
    );
    // What was done before is not to be done again, whatever an error comes with.
    let back = ScriptedGate::new(&[reps(HvStatus::SUCCESS, 3), HvStatus::INVALID_PARAMETER.into()]);
    assert_eq!(
        call_25(&back),
        Err(RepError::Failed {
            status: HvStatus::INVALID_PARAMETER,
            done: 3
        })
    );
    let beyond = ScriptedGate::new(&[reps(HvStatus::ACCESS_DENIED, 4000)]);
    assert_eq!(
        call_25(&beyond),
        Err(RepError::Failed {
            status: HvStatus::ACCESS_DENIED,
            done: 25
        })
    );
}

#[test]
fn a_host_that_makes_no_progress_does_not_hang_a_rep_call() {
    let idle = ScriptedGate::new(&[reps(HvStatus::SUCCESS, 10), reps(HvStatus::SUCCESS, 10)]);
    assert_eq!(
        call_25(&idle),
        Err(RepError::Fault(RepFault {
            start: 10,
            count: 25,
            done: 10
        }))
    );
    let beyond = ScriptedGate::new(&[reps(HvStatus::SUCCESS, 26)]);
    assert_eq!(
        call_25(&beyond),
        Err(RepError::Fault(RepFault {
            start: 0,
            count: 25,
            done: 26
        }))
    );
    // As often as may be, and after some progress as often again.
    let mut answers = vec![reps(HvStatus::TIME_OUT, 0); 16];
    answers.push(reps(HvStatus::TIME_OUT, 1));
    answers.extend([reps(HvStatus::TIME_OUT, 1); 16]);
    answers.push(reps(HvStatus::SUCCESS, 25));
    assert_eq!(call_25(&ScriptedGate::new(&answers)), Ok(()));
    let back = ScriptedGate::new(&[reps(HvStatus::SUCCESS, 10), reps(HvStatus::TIME_OUT, 3)]);
    assert_eq!(call_25(&back), Err(RepError::NoProgress { start: 10, count: 25 }));
    assert_eq!(back.calls.borrow().len(), 1 + 17);
}

#[test]
fn registers_are_read_and_written_by_hypercalls() {
    let mut gate = ScriptedGate::new(&[reps(HvStatus::SUCCESS, 1)]);
    gate.output = vec![0x1234, 0x5678];
    let registers = VpRegisters::new(&gate);
    assert_eq!(registers.read(Msr::SIMP), Ok(0x1234));
    assert_eq!(
        registers.get(RegisterName::PRIVILEGES_AND_FEATURES_INFO),
        Ok([0x1234, 0x5678])
    );
    // SAFETY: the gate touches no memory.
    unsafe { registers.write(Msr::SINT2, 0x2_00f3) }.unwrap();
    let control = |code| HypercallControl::new(code).with_reps(0, 1).unwrap().with_fast();
    let own = [u64::MAX, 0xffff_fffe];
    let expected = [
        Call {
            control: control(CallCode::GET_VP_REGISTERS),
            input: [&own[..], &[0xa_0013]].concat(),
        },
        Call {
            control: control(CallCode::GET_VP_REGISTERS),
            input: [&own[..], &[0x200]].concat(),
        },
        Call {
            control: control(CallCode::SET_VP_REGISTERS),
            input: [&own[..], &[0xa_0002, 0, 0x2_00f3, 0]].concat(),
        },
    ];
    assert_eq!(*gate.calls.borrow(), expected);
}

#[test]
fn privileges_are_told_by_a_register() {
    let mut gate = ScriptedGate::new(&[reps(HvStatus::SUCCESS, 1)]);
    let (msrs, calls) = (MsrAccess::VMBUS, CallAccess::VMBUS);
    gate.output = vec![u64::from(calls.bits()) << 32 | u64::from(msrs.bits()), !0];
    assert_eq!(VpRegisters::new(gate).privileges(), Ok((msrs, calls)));
}

#[test]
fn a_register_that_the_hypervisor_refuses_is_an_error() {
    for (answer, status) in [
        (reps(HvStatus::ACCESS_DENIED, 0), HvStatus::ACCESS_DENIED),
        (reps(HvStatus::SUCCESS, 0), HvStatus::OPERATION_FAILED),
        (reps(HvStatus::SUCCESS, 2), HvStatus::OPERATION_FAILED),
    ] {
        let mut gate = ScriptedGate::new(&[answer]);
        gate.output = vec![1, 1];
        let registers = VpRegisters::new(&gate);
        let msr = Msr::SIMP;
        assert_eq!(registers.read(msr), Err(MsrError::Refused { msr, status }));
        // SAFETY: the gate touches no memory.
        let written = unsafe { registers.write(msr, 1) };
        assert_eq!(written, Err(MsrError::Refused { msr, status }));
        let msr = Msr::HYPERCALL;
        assert_eq!(registers.read(msr), Err(MsrError::Unavailable { msr }));
    }
}

#[test]
fn words_of_the_fast_form_stand_where_the_specification_says() {
    // TLFS: an input of 20 bytes leaves 80 bytes of output on x86-64.
    let mut block = FastBlock::<14>::new(&[1, 2, 3], 10, FastOutput::BehindInput).unwrap();
    assert_eq!(block.words()[..5], [1, 2, 3, 0, 0]);
    *block.words() = std::array::from_fn(|at| at as u64);
    let mut output = [0; 10];
    block.output(&mut output);
    assert_eq!(output, [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    // OpenVMM: HVC #1 returns output in the last registers, X15 and X16 for two words.
    let mut block = FastBlock::<16>::new(&[1, 2, 3], 2, FastOutput::Last).unwrap();
    *block.words() = std::array::from_fn(|at| at as u64 + 1);
    block.output(&mut output[..2]);
    assert_eq!(output[..2], [15, 16]);
    for (input, output) in [(15, 0), (0, 15), (13, 1), (3, 11), (usize::MAX, 0)] {
        let error = TooLong {
            input: input.min(20),
            output,
        };
        let words = [0; 20];
        let block = FastBlock::<14>::new(&words[..error.input], output, FastOutput::BehindInput);
        assert_eq!(block, Err(error));
    }
    assert!(FastBlock::<14>::new(&[0; 14], 0, FastOutput::BehindInput).is_ok());
    assert!(FastBlock::<14>::new(&[], 14, FastOutput::Last).is_ok());
}

proptest! {
    /// Whatever a hypervisor answers, a rep call ends.
    #[test]
    fn a_rep_call_always_ends(count in 1u16..4096, answers in proptest::collection::vec(any::<u64>(), 1..64), small: bool) {
        let mut call = RepCall::new(list(0, count));
        let mut calls = 0;
        let mut start = 0;
        while let Some(control) = call.next_control() {
            prop_assert!(control.check_rep().is_ok());
            prop_assert!(control.rep_start() >= start);
            start = control.rep_start();
            let mut answer = answers[calls % answers.len()];
            if small {
                // Success or a time-out, a little further each time: as slow as it can be.
                answer = u64::from(start + (answer & 1) as u16) << 32 | if answer & 2 == 0 { 0 } else { 0x78 };
            }
            calls += 1;
            prop_assert!(calls <= 4096 * 17);
            if call.answered(HypercallResult::from_bits(answer)).is_err() {
                prop_assert_eq!(call.next_control(), None);
            }
        }
    }

    #[test]
    fn any_message_comes_as_it_was_posted(
        connection in 0u32..1 << 24,
        message_type in 1u32..1 << 31,
        payload in proptest::collection::vec(any::<u8>(), 0..=240),
    ) {
        let (mut input, host) = page(GPA);
        let gate = HostGate::new(host, &[]);
        let mut post = Post::new(ConnectionId(connection), MessageType(message_type), &payload).unwrap();
        prop_assert_eq!(post.attempt(&gate, &mut input), Ok(Posted::Done));
        let request = gate.requests.borrow_mut().pop();
        let Some(Request::PostMessage { connection_id, message_type: came_as, payload: came, .. }) = request else {
            return Err(TestCaseError::fail("no message came"));
        };
        prop_assert_eq!((connection_id.0, came_as.0, &*came), (connection, message_type, &payload[..]));
    }
}
