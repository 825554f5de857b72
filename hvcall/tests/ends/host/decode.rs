//! What the host makes of the hypercalls of well-behaved and of hostile guests.

use std::cell::Cell;

use crate::support::{FakeMemory, Watched};
use hvcall::host::{CallRegisters, Request, answer_query_capabilities, decode, read_input};
use hvcall::synic::MessageType;
use hvcall::wire::{DEBUG_DATA_MAX, ExtendedCapabilities, PostMessageInput, SignalEventInput};
use hvcall::{CallCode, ConnectionId, GuestMemory, HvStatus, HypercallControl};
use proptest::prelude::*;
use zerocopy::IntoBytes;

const BASE: u64 = 0x10_0000;
const PAGES: usize = 2;
const END: u64 = BASE + 0x2000;
const INPUT: u64 = BASE + 0x100;
const OUTPUT: u64 = BASE + 0x1000;

fn call(code: CallCode) -> CallRegisters {
    CallRegisters {
        control: HypercallControl::new(code).bits(),
        input: INPUT,
        output: OUTPUT,
        ..CallRegisters::default()
    }
}

fn post(payload: &[u8]) -> PostMessageInput {
    let mut bytes = [0; 240];
    bytes[..payload.len()].copy_from_slice(payload);
    PostMessageInput {
        connection_id: 4.into(),
        reserved: 0.into(),
        message_type: 1.into(),
        payload_size: u32::try_from(payload.len()).unwrap().into(),
        payload: bytes,
    }
}

fn decode_with(registers: &CallRegisters, input: &[u8]) -> Result<Request, HvStatus> {
    let memory = FakeMemory::new(BASE, PAGES);
    memory.write(registers.input, input).unwrap();
    decode(registers, &memory)
}

fn decode_post(input: &PostMessageInput) -> Result<Request, HvStatus> {
    decode_with(&call(CallCode::POST_MESSAGE), input.as_bytes())
}

fn signal(connection_id: u32, flag_number: u16, reserved: u16) -> SignalEventInput {
    SignalEventInput {
        connection_id: connection_id.into(),
        flag_number: flag_number.into(),
        reserved: reserved.into(),
    }
}

fn fast_signal(input: u64) -> Result<Request, HvStatus> {
    let control = HypercallControl::new(CallCode::SIGNAL_EVENT).with_fast().bits();
    decode(
        &CallRegisters {
            control,
            input,
            ..CallRegisters::default()
        },
        &FakeMemory::new(BASE, 0),
    )
}

#[test]
fn a_posted_message_is_copied_out() {
    let mut input = post(b"hello");
    input.payload[5] = 0xff;
    let Ok(Request::PostMessage {
        connection_id,
        message_type,
        payload,
    }) = decode_post(&input)
    else {
        panic!("refused");
    };
    assert_eq!(
        (connection_id, message_type),
        (ConnectionId(4), MessageType::VMBUS)
    );
    assert_eq!(&*payload, b"hello");
}

#[test]
fn an_event_is_signalled_in_registers_and_in_memory() {
    let expected = Request::SignalEvent {
        connection_id: ConnectionId(0x2001),
        flag_number: 7,
    };
    assert_eq!(fast_signal(0x7_0000_2001), Ok(expected.clone()));
    let input = signal(0x2001, 7, 0);
    assert_eq!(input.to_register(), 0x7_0000_2001);
    assert_eq!(SignalEventInput::from_register(0x7_0000_2001), input);
    assert_eq!(
        decode_with(&call(CallCode::SIGNAL_EVENT), input.as_bytes()),
        Ok(expected)
    );
}

#[test]
fn case_18_a_message_longer_than_a_slot_is_refused() {
    let mut input = post(&[0x5a; 240]);
    assert!(decode_post(&input).is_ok());
    for size in [241, 256, 0x8000_0000, u32::MAX] {
        input.payload_size = size.into();
        assert_eq!(decode_post(&input), Err(HvStatus::INVALID_PARAMETER), "{size}");
    }
}

#[test]
fn case_18_a_message_that_only_the_hypervisor_may_send_is_refused() {
    let mut input = post(b"");
    for message_type in [0, 0x8000_0000, MessageType::TIMER_EXPIRED.0, u32::MAX] {
        input.message_type = message_type.into();
        assert_eq!(
            decode_post(&input),
            Err(HvStatus::INVALID_PARAMETER),
            "{message_type:#x}"
        );
    }
    input.message_type = 0x7fff_ffff.into();
    assert!(decode_post(&input).is_ok());
    input.reserved = 1.into();
    assert_eq!(decode_post(&input), Err(HvStatus::INVALID_PARAMETER));
}

#[test]
fn case_18_an_event_on_an_impossible_connection_or_flag_is_refused() {
    assert!(fast_signal(0x7ff_00ff_ffff).is_ok());
    assert_eq!(fast_signal(0x800_0000_0001), Err(HvStatus::INVALID_PARAMETER));
    assert_eq!(fast_signal(0xffff_0000_0001), Err(HvStatus::INVALID_PARAMETER));
    assert_eq!(fast_signal(0x0100_0000), Err(HvStatus::INVALID_HYPERCALL_INPUT));
    assert_eq!(fast_signal(1 << 48), Err(HvStatus::INVALID_HYPERCALL_INPUT));
    let mut input = post(b"");
    input.connection_id = 0x8000_0001.into();
    assert_eq!(decode_post(&input), Err(HvStatus::INVALID_HYPERCALL_INPUT));
}

#[test]
fn case_18_rep_counts_and_starts_of_simple_calls_are_refused() {
    let known = [0x5c, 0x5d, 0x69, 0x6a, 0x6b, 0x8001];
    for code in known {
        for extra in [
            1 << 48,
            1 << 32,
            5 << 48 | 3 << 32,
            1 << 17,
            1 << 31,
            1 << 27,
            1 << 44,
            1 << 63,
        ] {
            let registers = CallRegisters {
                control: code | extra,
                ..call(CallCode(0))
            };
            let memory = FakeMemory::new(BASE, PAGES);
            assert_eq!(
                decode(&registers, &memory),
                Err(HvStatus::INVALID_HYPERCALL_INPUT),
                "{registers:x?}"
            );
        }
    }
}

#[test]
fn case_18_an_input_that_leaves_its_page_or_the_memory_is_refused() {
    let memory = FakeMemory::new(BASE, PAGES);
    let at = |input| {
        decode(
            &CallRegisters {
                input,
                ..call(CallCode::POST_MESSAGE)
            },
            &memory,
        )
    };
    // A message of type 0 shows that the input was read.
    assert_eq!(
        at(BASE + 0xf00),
        Err(HvStatus::INVALID_PARAMETER),
        "up to the end of a page"
    );
    for input in [
        BASE + 0xf08,          // crosses a page
        BASE + 0xff8,          // crosses a page, too
        BASE + 4,              // not aligned
        BASE + 1,              //
        BASE - 0x100,          // before the memory
        END,                   // behind the memory
        !7,                    // crosses the end of the address space
        !0xff,                 // ends with it
        0x8000_0000_0000_0000, // far away
    ] {
        assert_eq!(at(input), Err(HvStatus::INVALID_ALIGNMENT), "{input:#x}");
    }
    let odd_end = FakeMemory::new(END - 0x80, 0);
    let registers = CallRegisters {
        input: END - 0x100,
        ..call(CallCode::POST_MESSAGE)
    };
    assert_eq!(
        decode(&registers, &odd_end),
        Err(HvStatus::INVALID_ALIGNMENT),
        "the memory ends in it"
    );
}

#[test]
fn case_18_an_output_that_leaves_its_page_is_refused() {
    let memory = FakeMemory::new(BASE, PAGES);
    let codes = [
        CallCode::POST_DEBUG_DATA,
        CallCode::RETRIEVE_DEBUG_DATA,
        CallCode::RESET_DEBUG_SESSION,
        CallCode::EXT_QUERY_CAPABILITIES,
    ];
    for code in codes {
        assert!(decode(&call(code), &memory).is_ok(), "{code}");
        let odd = CallRegisters {
            output: OUTPUT + 4,
            ..call(code)
        };
        assert_eq!(decode(&odd, &memory), Err(HvStatus::INVALID_ALIGNMENT), "{code}");
    }
    let crossing = CallRegisters {
        output: BASE + 0xff0,
        ..call(CallCode::RESET_DEBUG_SESSION)
    };
    assert_eq!(decode(&crossing, &memory), Err(HvStatus::INVALID_ALIGNMENT));
}

#[test]
fn case_18_an_unknown_call_is_refused() {
    for code in [0u16, 1, 0x0b, 0x5b, 0x5e, 0x8000, 0x8002, 0xffff] {
        // Before all else: other errors would tell a guest that the call exists.
        let registers = CallRegisters {
            control: u64::from(code) | 1 << 63,
            input: 3,
            ..CallRegisters::default()
        };
        let memory = FakeMemory::new(BASE, PAGES);
        assert_eq!(
            decode(&registers, &memory),
            Err(HvStatus::INVALID_HYPERCALL_CODE),
            "{code:#x}"
        );
    }
}

#[test]
fn a_message_does_not_fit_registers() {
    let mut registers = call(CallCode::POST_MESSAGE);
    registers.control |= 1 << 16;
    let memory = FakeMemory::new(BASE, PAGES);
    assert_eq!(
        decode(&registers, &memory),
        Err(HvStatus::INVALID_HYPERCALL_INPUT)
    );
    registers.xmm = Some([0; 6]);
    assert_eq!(
        decode(&registers, &memory),
        Err(HvStatus::INVALID_HYPERCALL_INPUT)
    );
}

#[test]
fn fast_input_is_in_the_order_of_the_registers() {
    let mut registers = CallRegisters {
        control: HypercallControl::new(CallCode::FLUSH_VIRTUAL_ADDRESS_LIST)
            .with_fast()
            .bits(),
        input: 0x0706_0504_0302_0100,
        output: 0x0f0e_0d0c_0b0a_0908,
        xmm: None,
    };
    let memory = FakeMemory::new(BASE, 0);
    let expected: Vec<u8> = (0..112).collect();
    let mut bytes = [0; 112];
    read_input(&registers, &memory, &mut bytes[..16]).unwrap();
    assert_eq!(bytes[..16], expected[..16]);
    assert_eq!(
        read_input(&registers, &memory, &mut bytes[..17]),
        Err(HvStatus::INVALID_HYPERCALL_INPUT)
    );
    registers.xmm = Some(core::array::from_fn(|i| {
        u128::from_le_bytes(expected[16 + 16 * i..][..16].try_into().unwrap())
    }));
    read_input(&registers, &memory, &mut bytes).unwrap();
    assert_eq!(bytes[..], expected);
    assert_eq!(
        read_input(&registers, &memory, &mut [0; 113]),
        Err(HvStatus::INVALID_HYPERCALL_INPUT)
    );
}

#[test]
fn debug_data_stays_in_its_page() {
    let registers = CallRegisters {
        input: BASE,
        ..call(CallCode::POST_DEBUG_DATA)
    };
    let with_count = |registers: &CallRegisters, count: u32| {
        decode_with(
            registers,
            [count.to_le_bytes(), 1u32.to_le_bytes()].as_flattened(),
        )
    };
    assert_eq!(
        with_count(&registers, DEBUG_DATA_MAX),
        Ok(Request::PostDebugData {
            count: 4088,
            options: 1,
            data_gpa: BASE + 8,
            output_gpa: OUTPUT
        })
    );
    assert_eq!(
        with_count(&registers, DEBUG_DATA_MAX + 1),
        Err(HvStatus::INVALID_PARAMETER)
    );
    assert_eq!(with_count(&registers, u32::MAX), Err(HvStatus::INVALID_PARAMETER));
    let later = CallRegisters {
        input: BASE + 8,
        ..registers
    };
    assert_eq!(
        with_count(&later, DEBUG_DATA_MAX),
        Err(HvStatus::INVALID_PARAMETER)
    );
    assert!(with_count(&later, DEBUG_DATA_MAX - 8).is_ok());
}

#[test]
fn the_other_debug_calls_are_told() {
    let retrieve = [
        16u32.to_le_bytes(),
        2u32.to_le_bytes(),
        9u32.to_le_bytes(),
        [0; 4],
    ];
    assert_eq!(
        decode_with(&call(CallCode::RETRIEVE_DEBUG_DATA), retrieve.as_flattened()),
        Ok(Request::RetrieveDebugData {
            count: 16,
            options: 2,
            timeout: 9,
            output_gpa: OUTPUT
        })
    );
    assert_eq!(
        decode_with(&call(CallCode::RESET_DEBUG_SESSION), &3u32.to_le_bytes()),
        Ok(Request::ResetDebugSession {
            options: 3,
            output_gpa: OUTPUT
        })
    );
    for code in [
        CallCode::POST_DEBUG_DATA,
        CallCode::RETRIEVE_DEBUG_DATA,
        CallCode::EXT_QUERY_CAPABILITIES,
    ] {
        let mut registers = call(code);
        registers.control |= 1 << 16;
        assert_eq!(
            decode_with(&registers, &[]),
            Err(HvStatus::INVALID_HYPERCALL_INPUT),
            "{code}"
        );
    }
}

#[test]
fn capabilities_are_answered_where_the_guest_asked() {
    let memory = FakeMemory::new(BASE, PAGES);
    let request = decode(&call(CallCode::EXT_QUERY_CAPABILITIES), &memory);
    let Ok(Request::QueryCapabilities { output_gpa }) = request else {
        panic!("{request:?}")
    };
    let capabilities =
        ExtendedCapabilities::MEMORY_HEAT_HINT | ExtendedCapabilities::MEMORY_COLD_DISCARD_HINT;
    answer_query_capabilities(&memory, output_gpa, capabilities).unwrap();
    assert_eq!(memory.load_u32(OUTPUT), Ok(0x102));
    assert_eq!(
        answer_query_capabilities(&memory, END, capabilities),
        Err(HvStatus::INVALID_ALIGNMENT)
    );
}

#[test]
fn case_08_a_guest_that_changes_its_input_meanwhile_is_read_once() {
    let memory = FakeMemory::new(BASE, PAGES);
    memory.write(INPUT, post(&[1; 16]).as_bytes()).unwrap();
    let reads = Cell::new(0);
    let before_access = || {
        reads.set(reads.get() + 1);
        if reads.get() > 1 {
            memory.write(INPUT, &[0xff; 256]).unwrap();
        }
    };
    let request = decode(
        &call(CallCode::POST_MESSAGE),
        &Watched {
            memory: &memory,
            before_access,
        },
    );
    assert!(matches!(request, Ok(Request::PostMessage { payload, .. }) if *payload == [1; 16]));
    assert_eq!(reads.get(), 1);
}

proptest! {
    #[test]
    fn any_message_survives(connection in 0u32..1 << 24, message_type in 1u32..1 << 31,
                            payload in proptest::collection::vec(any::<u8>(), 0..=240)) {
        let mut input = post(&payload);
        input.connection_id = connection.into();
        input.message_type = message_type.into();
        let Ok(Request::PostMessage { connection_id, message_type: told, payload: copy }) = decode_post(&input) else {
            return Err(TestCaseError::fail("refused"));
        };
        prop_assert_eq!((connection_id.0, told.0, &*copy), (connection, message_type, &payload[..]));
    }

    #[test]
    fn any_call_is_judged(
        code in prop_oneof![any::<u16>(), prop::sample::select(vec![0x5c, 0x5d, 0x69, 0x6a, 0x6b, 0x8001])],
        extra in prop_oneof![Just(0u64), Just(1 << 16), any::<u64>()],
        input in prop_oneof![any::<u64>(), BASE - 16..END + 16],
        output in prop_oneof![any::<u64>(), BASE - 16..END + 16],
        xmm: Option<[u128; 6]>,
        bytes in proptest::collection::vec(any::<u8>(), 512),
    ) {
        let memory = FakeMemory::new(BASE, PAGES);
        for page in [BASE, BASE + 0x1000] {
            for at in (0..0x1000).step_by(512) {
                memory.write(page + at, &bytes).unwrap();
            }
        }
        let control = u64::from(code) | (extra & !0xffff);
        match decode(&CallRegisters { control, input, output, xmm }, &memory) {
            Ok(Request::PostMessage { connection_id, message_type, payload }) => {
                prop_assert!(connection_id.is_valid() && message_type.0 != 0 && !message_type.is_hypervisor());
                prop_assert!(payload.len() <= 240);
            }
            Ok(Request::SignalEvent { connection_id, flag_number }) => {
                prop_assert!(connection_id.is_valid() && flag_number < 2048);
            }
            Ok(Request::PostDebugData { count, data_gpa, .. }) => {
                prop_assert!(data_gpa >> 12 == (data_gpa + u64::from(count).saturating_sub(1)) >> 12);
            }
            Ok(_) => {}
            Err(status) => prop_assert!(!status.is_success()),
        }
    }
}
