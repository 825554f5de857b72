//! A guest that calls with any registers and any memory, which it changes meanwhile, and messages to its SynIC pages.

use hvcall::host::synic::{Delivery, post_message, set_event_flag};
use hvcall::host::{CallRegisters, Request, answer_query_capabilities, decode, read_input};
use hvcall::synic::MessageType;
use hvcall::wire::ExtendedCapabilities;
use hvcall::{ConnectionId, GuestMemory as _, Message, Sint};

use crate::input::{Bytes, Steps};
use crate::memory::{Poke, Ram};
use crate::steps;

const BASE: u64 = 0x1000;
const PAGES: u64 = 4;

steps! {
    /// A control word.
    pub enum Control {
        /// A call that there is, in the memory form or the fast one.
        Simple(code: u8, fast: bool),
        /// Anything.
        Raw(word: u64),
    }
}

impl Control {
    fn word(&self) -> u64 {
        const CODES: [u64; 7] = [0x5c, 0x5d, 0x69, 0x6a, 0x6b, 0x8001, 0x50];
        match self {
            Self::Simple(code, fast) => CODES[usize::from(*code) % CODES.len()] | u64::from(*fast) << 16,
            Self::Raw(word) => *word,
        }
    }
}

steps! {
    /// What is in a register that holds an address or input.
    pub enum Register {
        /// An address in or near the guest's memory.
        Address(at: u16),
        /// Anything.
        Raw(value: u64),
    }
}

impl Register {
    fn value(&self) -> u64 {
        match self {
            Self::Address(at) => BASE - 8 + u64::from(*at),
            Self::Raw(value) => *value,
        }
    }
}

steps! {
    /// What the guest does, or the embedder.
    pub enum Step {
        /// The guest writes into its memory.
        Put(at: u16, bytes: Bytes),
        /// It will, before an access to come.
        Later(poke: Poke),
        /// It calls.
        Call(control: Control, input: Register, output: Register),
        /// It calls with XMM registers.
        CallXmm(control: Control, input: Register, output: Register, xmm: [u64; 12]),
        /// It puts a message into its page and posts it.
        Post(connection: u32, message_type: u32, payload: Bytes),
        /// The embedder posts to the guest.
        Message(sint: u8, message_type: u32, sender: u64, payload: Bytes),
        /// The guest takes its message.
        Take(sint: u8),
        /// The embedder sets a flag.
        Flag(sint: u8, flag: u16),
        /// The guest's pages are elsewhere.
        Pages(messages: Register, events: Register),
    }
}

steps! {
    /// A guest.
    pub struct Input {
        pub steps: Steps<Step>,
    }
}

struct Model {
    ram: Ram,
    messages: u64,
    events: u64,
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        let mut model = Model {
            ram: Ram::new(BASE, PAGES as usize * 4096),
            messages: BASE + 0x2000,
            events: BASE + 0x3000,
        };
        for step in self.steps {
            model.ram.accesses.set(0);
            model.step(step);
        }
    }
}

impl Model {
    fn step(&mut self, step: Step) {
        match step {
            Step::Put(at, bytes) => self.ram.put(at.into(), &bytes.0),
            Step::Later(poke) => self.ram.later(poke),
            Step::Call(control, input, output) => self.call(&CallRegisters {
                control: control.word(),
                input: input.value(),
                output: output.value(),
                xmm: None,
            }),
            Step::CallXmm(control, input, output, xmm) => {
                let mut registers = [0; 6];
                for (register, half) in registers.iter_mut().zip(xmm.chunks_exact(2)) {
                    *register = u128::from(half[0]) | u128::from(half[1]) << 64;
                }
                self.call(&CallRegisters {
                    control: control.word(),
                    input: input.value(),
                    output: output.value(),
                    xmm: Some(registers),
                });
            }
            Step::Post(connection, message_type, payload) => {
                self.post(connection, message_type, &payload.0);
            }
            Step::Message(sint, message_type, sender, payload) => {
                self.message(sint, message_type, sender, &payload.0);
            }
            Step::Take(sint) => {
                let slot = self.messages.wrapping_add(u64::from(sint & 15) << 8);
                let _ = self.ram.store_u32(slot, 0);
            }
            Step::Flag(sint, flag) => self.flag(sint, flag),
            Step::Pages(messages, events) => {
                self.messages = messages.value() & !0xfff;
                self.events = events.value() & !0xfff;
            }
        }
    }

    fn call(&self, registers: &CallRegisters) {
        let result = decode(registers, &self.ram);
        assert!(self.ram.accesses.get() <= 1, "parameters are copied out once");
        let request = match result {
            Ok(request) => request,
            Err(status) => {
                assert!(!status.is_success(), "a refusal says why");
                return;
            }
        };
        let within_page = |gpa: u64, len: u64| (gpa & 0xfff) + len <= 4096;
        match request {
            Request::PostMessage {
                connection_id,
                message_type,
                payload,
            } => {
                assert!(connection_id.is_valid() && payload.len() <= 240);
                assert!(message_type != MessageType::NONE && !message_type.is_hypervisor());
            }
            Request::SignalEvent {
                connection_id,
                flag_number,
            } => assert!(connection_id.is_valid() && flag_number < 2048),
            Request::PostDebugData {
                count,
                data_gpa,
                output_gpa,
                ..
            } => assert!(within_page(data_gpa - 8, u64::from(count) + 8) && within_page(output_gpa, 4)),
            Request::RetrieveDebugData { output_gpa, .. } => assert!(within_page(output_gpa, 8)),
            Request::ResetDebugSession { output_gpa, .. } => assert!(within_page(output_gpa, 4)),
            Request::QueryCapabilities { output_gpa } => {
                assert!(within_page(output_gpa, 8));
                let _ = answer_query_capabilities(&self.ram, output_gpa, ExtendedCapabilities::all());
            }
            _ => {}
        }
        // Other calls' input is read in the same way, into as much as a caller has.
        let mut input = [0; 113];
        for len in [0, 16, 112, 113] {
            let fast = registers.control().is_fast();
            let room = if registers.xmm.is_some() { 112 } else { 16 };
            let result = read_input(registers, &self.ram, &mut input[..len]);
            assert!(!fast || result.is_ok() == (len <= room));
        }
    }

    /// What is posted well arrives as it was posted.
    fn post(&self, connection: u32, message_type: u32, payload: &[u8]) {
        let mut input = Vec::new();
        for word in [connection, 0, message_type, payload.len() as u32] {
            input.extend(word.to_le_bytes());
        }
        input.extend(payload);
        input.resize(256, 0x5a);
        self.ram.calm();
        self.ram.put(0, &input[..256]);
        let registers = CallRegisters {
            control: 0x5c,
            input: BASE,
            ..CallRegisters::default()
        };
        let result = decode(&registers, &self.ram);
        let kind = MessageType(message_type);
        let good = ConnectionId(connection).is_valid()
            && payload.len() <= 240
            && kind != MessageType::NONE
            && !kind.is_hypervisor();
        match result {
            Ok(Request::PostMessage {
                connection_id,
                message_type,
                payload: found,
            }) => {
                assert!(good);
                assert_eq!((connection_id.0, message_type), (connection, kind));
                assert_eq!(&found[..], payload);
            }
            Ok(request) => panic!("{request:?}"),
            Err(_) => assert!(!good),
        }
    }

    fn message(&self, sint: u8, message_type: u32, sender: u64, payload: &[u8]) {
        let Ok(message) = Message::new(MessageType(message_type), sender, payload) else {
            assert!(message_type == 0 || payload.len() > 240);
            return;
        };
        let sint = Sint::new(sint & 15).expect("below 16");
        let slot = self.messages.wrapping_add(u64::from(sint.number()) << 8);
        let before = self.ram.load_u32(slot);
        self.ram.accesses.set(0);
        let result = post_message(&self.ram, self.messages, sint, &message);
        assert!(self.ram.accesses.get() <= 5, "bounded work");
        self.ram.calm();
        match result {
            Ok(Delivery::Delivered) => {
                // Stored last, and the guest touches memory before an access only.
                assert_eq!(self.ram.load_u32(slot), Ok(message_type));
            }
            Ok(Delivery::SlotBusy) => assert!(before.is_ok()),
            Err(_) => {}
        }
    }

    fn flag(&self, sint: u8, flag: u16) {
        let sint = Sint::new(sint & 15).expect("below 16");
        let result = set_event_flag(&self.ram, self.events, sint, flag);
        assert!(self.ram.accesses.get() <= 1, "bounded work");
        if result.is_ok() {
            assert!(flag < 2048);
            // What the guest would do meanwhile is not to be done by the look at it.
            self.ram.calm();
            let word = self.events + (u64::from(sint.number()) << 8) + u64::from(flag / 32) * 4;
            assert!(self.ram.load_u32(word).expect("was set") >> (flag % 32) & 1 != 0);
            // Once set it is not news any more.
            assert_eq!(set_event_flag(&self.ram, self.events, sint, flag), Ok(false));
        }
    }
}
