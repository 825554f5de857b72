//! The guest's calls.

use std::time::Duration;

use hvcall::guest::{
    FastBlock, FastOutput, Post, PostBackoff, PostError, Posted, RepError, VpRegisters, call_rep,
    signal_event,
};
use hvcall::host::Request;
use hvcall::synic::MessageType;
use hvcall::{CallCode, ConnectionId, HvStatus, HypercallControl, RegisterName};

use super::{Guest, told};
use crate::hypercall::hypervisor::msr;
use crate::hypercall::pages::Page;

/// A message that is being posted, and what is known of it.
pub(super) struct Posting {
    post: Post,
    said: Said,
    attempts: u8,
    sure: bool,
    refusals: u8,
}

/// What is to be heard of it.
struct Said {
    connection: ConnectionId,
    message_type: MessageType,
    payload: Vec<u8>,
}

impl Guest<'_> {
    pub(super) fn post(
        &mut self,
        connection: u32,
        message_type: u32,
        payload: &[u8],
        attempts: u8,
        sure: bool,
    ) {
        let (connection, message_type) = (ConnectionId(connection), MessageType(message_type));
        let good = payload.len() <= 240 && message_type != MessageType::NONE && !message_type.is_hypervisor();
        match Post::new(connection, message_type, payload) {
            Ok(post) => {
                assert!(good);
                let mut backoff = PostBackoff::new().with_attempts(attempts);
                if sure {
                    backoff = backoff.without_unknown_connection();
                }
                let payload = payload.to_vec();
                self.post = Some(Posting {
                    post: post.with_backoff(backoff),
                    said: Said {
                        connection,
                        message_type,
                        payload,
                    },
                    attempts,
                    sure,
                    refusals: 0,
                });
            }
            Err(error) => {
                assert!(!good);
                told(&error);
            }
        }
    }

    pub(super) fn attempt(&mut self) {
        let host = self.host;
        let Some(posting) = &mut self.post else { return };
        let calm = host.later.borrow().is_empty();
        let behind = host.pages.bytes(Page::Input, 256, 4096 - 256);
        let result = posting.post.attempt(host, &mut self.input);
        assert_eq!(host.turns.get(), 1, "one call");
        assert!(
            !calm || behind == host.pages.bytes(Page::Input, 256, 4096 - 256),
            "beyond the input"
        );
        let heard = host.heard.take();
        let [(request, status)] = &heard[..] else {
            panic!("{heard:?}")
        };
        if calm {
            let expected = &posting.said;
            match request {
                Ok(Request::PostMessage {
                    connection_id,
                    message_type,
                    payload,
                }) => {
                    assert_eq!(
                        (*connection_id, *message_type),
                        (expected.connection, expected.message_type)
                    );
                    assert_eq!(payload[..], expected.payload);
                }
                _ => assert!(!expected.connection.is_valid(), "{request:?}"),
            }
        }
        let passes = status.is_passing_for_post()
            && !(posting.sure && *status == HvStatus::INVALID_CONNECTION_ID)
            && !status.is_success();
        if passes {
            posting.refusals = posting.refusals.saturating_add(1);
        }
        match result {
            Ok(Posted::Done) => assert!(status.is_success()),
            Ok(Posted::Again { wait }) => {
                assert!(passes && posting.refusals < posting.attempts);
                let doubled = 1 << u32::from(posting.refusals - 1).min(20);
                assert_eq!(wait, PostBackoff::WAIT_MAX.min(Duration::from_micros(doubled)));
            }
            Err(error) => {
                told(&error);
                match error {
                    PostError::Refused { status: told } => {
                        assert!(!passes && !status.is_success() && told == *status);
                    }
                    PostError::GaveUp {
                        status: told,
                        attempts,
                    } => {
                        assert!(passes && told == *status);
                        assert!(attempts == posting.refusals && attempts >= posting.attempts);
                    }
                    _ => panic!("{error}"),
                }
            }
        }
    }

    pub(super) fn signal(&self, connection: u32, flag: u16) {
        let connection = ConnectionId(connection);
        let result = signal_event(self.host, connection, flag);
        let heard = self.host.heard.take();
        let [(request, status)] = &heard[..] else {
            panic!("{heard:?}")
        };
        assert_eq!(result, status.ok());
        let good = connection.is_valid() && flag < 2048;
        match request {
            Ok(request) => {
                assert!(good);
                let expected = Request::SignalEvent {
                    connection_id: connection,
                    flag_number: flag,
                };
                assert_eq!(*request, expected);
            }
            Err(_) => assert!(!good),
        }
    }

    pub(super) fn rep(&self, code: u16, start: u16, count: u16) {
        let Some(control) = HypercallControl::new(CallCode(code)).with_reps(start, count) else {
            assert!(start >= count);
            return;
        };
        let (input, output) = (Page::Input.gpa(), Page::Code.gpa());
        // SAFETY: this hypervisor writes nothing for it.
        let result = unsafe { call_rep(self.host, control, input, output) };
        let calls = self.host.end_reps();
        assert!(calls.len() <= 17 * usize::from(count), "{} calls", calls.len());
        let mut from = start;
        for call in &calls {
            assert_eq!((call.input, call.output), (input, output));
            assert_eq!(Some(call.control), control.with_reps(from, count), "goes on");
            let done = call.result.reps_done();
            // What is done stays so, and no more is done than there is.
            if done > from && done <= count {
                from = done;
            }
        }
        let last = calls.last().expect("one call at least");
        let (at, done) = (last.control.rep_start(), last.result.reps_done());
        match result {
            Ok(()) => {
                assert_eq!(done, count);
                assert!(last.result.status().is_success() || last.result.status() == HvStatus::TIME_OUT);
            }
            Err(error) => {
                told(&error);
                match error {
                    RepError::Failed { status, done: told } => {
                        assert_eq!(status, last.result.status());
                        assert!((at..=count).contains(&told), "{error}: of {at} to {count}");
                        assert!(told == done || told == at || told == count);
                    }
                    RepError::Fault(fault) => {
                        assert_eq!((fault.start, fault.count, fault.done), (at, count, done));
                        assert!(done <= at || done > count);
                    }
                    RepError::NoProgress { start, count: of } => {
                        assert_eq!((start, of), (at, count));
                        assert!(calls.len() >= 17);
                    }
                    _ => panic!("{error}"),
                }
            }
        }
    }

    pub(super) fn get(&self, name: RegisterName) {
        let calm = self.host.is_calm();
        let result = VpRegisters::new(self.host).get(name);
        let answered = self.host.answered.get().expect("a call");
        let is_done = answered.status().is_success() && answered.reps_done() == 1;
        assert_eq!(result.is_ok(), is_done, "{answered:?}");
        assert!(!result.is_err_and(HvStatus::is_success));
        if calm && msr(name).is_none() {
            assert_eq!(result, Ok([u64::from(name.0), !u64::from(name.0)]));
        }
    }
}

/// Input comes first, output where it is said, both in pairs and apart from each other.
pub(super) fn block<const N: usize>(input: u8, output: u8, last: bool) {
    let (input, output) = (usize::from(input) % 20, usize::from(output) % 20);
    let place = if last {
        FastOutput::Last
    } else {
        FastOutput::BehindInput
    };
    let words: Vec<u64> = (1..).take(input).collect();
    let pairs = |words: usize| words.next_multiple_of(2);
    match FastBlock::<N>::new(&words, output, place) {
        Ok(mut block) => {
            assert!(pairs(input) + pairs(output) <= N);
            assert_eq!(block.words()[..input], words);
            assert!(block.words()[input..].iter().all(|word| *word == 0));
            *block.words() = std::array::from_fn(|at| at as u64);
            let mut came = vec![0; output];
            block.output(&mut came);
            let from = if last { N - pairs(output) } else { pairs(input) };
            assert!(came.into_iter().eq((from as u64..).take(output)));
        }
        Err(error) => {
            told(&error);
            assert!(pairs(input) + pairs(output) > N);
        }
    }
}
