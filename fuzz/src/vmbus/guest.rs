//! A host that says anything, refuses posts and lets time pass, and a kernel that opens and lends meanwhile.

use std::time::Duration;

use hvcall::{HvStatus, VpIndex};
use vmbus_proto::guest::{GuestConfig, HandleError, Posted};
use vmbus_proto::wire::{
    ConnectionState, GpadlCreated, GpadlId, GpadlTorndown, GuestMessage, Guid, HostMessage,
    ModifyChannelResponse, Offer, OfferChannel, OfferSignal, OpenResult, RelId, RescindChannelOffer, Status,
    VersionAnswer, VersionResponse, interface,
};
use zerocopy::FromZeros as _;
use zerocopy::little_endian::{U16, U32};

use super::kernel::Kernel;
pub use super::kernel::Outcome;
use crate::channel::Mangle;
use crate::input::{Bytes, Steps};
use crate::steps;

steps! {
    /// What a host says.
    pub enum Message {
        Raw(kind: u8, body: Bytes),
        Version(form: u8, state: u8, connection: u32, features: u32),
        Offer(relid: u8, device: u8, index: u8, dedicated: bool),
        AllOffers,
        Rescind(relid: u8),
        /// Of the memory that was lent so long ago.
        Created(relid: u8, back: u8, status: u32),
        Torndown(back: u8),
        /// Of the open that was asked for so long ago.
        Opened(relid: u8, back: u8, status: u32),
        Modified(relid: u8, status: u32),
        Unloaded,
        Paused,
    }
}

steps! {
    /// What the host does, or the kernel.
    pub enum Step {
        Hear(message: Message, mangle: Mangle),
        /// The host answers what it was asked last, as it should or by refusing.
        Answer(well: bool),
        Post(status: u8),
        Event,
        Time(seconds: u8),
        Connect,
        Open(which: u8, pages: u8, downstream: u8),
        Close(which: u8),
        Lend(which: u8, pages: u8),
        Teardown(back: u8),
        Modify(which: u8),
        Release(which: u8),
        Unload,
        Lost,
        Pause,
        Resume,
        ModifyConnection,
    }
}

steps! {
    pub struct Input {
        /// Connected before the steps, with two devices.
        pub connected: bool,
        pub steps: Steps<Step>,
    }
}

struct Model {
    kernel: Kernel,
    /// Of the last channel that was asked to be opened.
    open_id: u32,
    /// What an honest host answers to what was posted: well, or not.
    asked: Vec<[HostMessage; 2]>,
}

fn version(state: ConnectionState, connection: u32, features: u32) -> HostMessage {
    let answer = VersionAnswer {
        version_supported: 1,
        connection_state: state,
        reserved: U16::ZERO,
        connection_id_or_version: U32::new(connection),
    };
    HostMessage::VersionResponse(VersionResponse::WithFeatures(answer, U32::new(features)))
}

fn opened(relid: RelId, open_id: u32, status: Status) -> HostMessage {
    HostMessage::OpenChannelResult(OpenResult {
        relid,
        open_id: U32::new(open_id),
        status,
    })
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        self.play();
    }

    /// As [`run`](Self::run), and tells what became of them.
    pub fn play(self) -> Outcome {
        let mut model = Model {
            kernel: Kernel::new(GuestConfig::new(VpIndex(0))),
            open_id: 0,
            asked: Vec::new(),
        };
        if self.connected {
            for step in [
                Step::Connect,
                Step::Post(9),
                Step::Answer(true),
                Step::Event,
                Step::Post(9),
                Step::Hear(Message::Offer(1, 1, 0, true), Mangle::Nothing),
                Step::Hear(Message::Offer(2, 2, 0, true), Mangle::Nothing),
                Step::Event,
                Step::Event,
            ] {
                model.step(step);
            }
            assert_eq!(model.kernel.offered.len(), 2);
        }
        for step in self.steps {
            model.step(step);
            model.kernel.check();
        }
        let outcome = model.kernel.outcome();
        model.finish();
        outcome
    }
}

impl Model {
    fn message(&self, message: &Message) -> Option<HostMessage> {
        let id = |relid: &u8| RelId::new(u32::from(*relid));
        let back = |back: &u8| {
            let gpadl = self.kernel.gpadls.iter().rev().nth(usize::from(*back));
            gpadl.copied().unwrap_or(GpadlId::new(1000))
        };
        Some(match message {
            Message::Raw(..) => return None,
            Message::Version(form, state, connection, features) => {
                let HostMessage::VersionResponse(VersionResponse::WithFeatures(answer, features)) =
                    version(ConnectionState::new(*state), *connection, *features)
                else {
                    return None;
                };
                HostMessage::VersionResponse(match form % 4 {
                    0 => VersionResponse::REFUSAL,
                    1 => VersionResponse::Bare { version_supported: 1 },
                    2 => VersionResponse::Full(answer),
                    _ => VersionResponse::WithFeatures(answer, features),
                })
            }
            Message::Offer(relid, device, index, dedicated) => {
                let mut offer = Offer::new_zeroed();
                offer.interface = interface::SCSI;
                offer.instance = Guid::new(0, 0, 0, u64::from(*device % 4));
                offer.sub_channel_index = U16::new(u16::from(*index % 3));
                offer.relid = id(relid);
                HostMessage::OfferChannel(OfferChannel {
                    offer,
                    signal: dedicated.then(|| OfferSignal::dedicated(0x1000 + u32::from(*relid))),
                })
            }
            Message::AllOffers => HostMessage::AllOffersDelivered,
            Message::Rescind(relid) => {
                HostMessage::RescindChannelOffer(RescindChannelOffer { relid: id(relid) })
            }
            Message::Created(relid, ago, status) => HostMessage::GpadlCreated(GpadlCreated {
                relid: id(relid),
                gpadl: back(ago),
                status: Status::new(*status),
            }),
            Message::Torndown(ago) => HostMessage::GpadlTorndown(GpadlTorndown { gpadl: back(ago) }),
            Message::Opened(relid, ago, status) => opened(
                id(relid),
                self.open_id.wrapping_sub(u32::from(*ago)),
                Status::new(*status),
            ),
            Message::Modified(relid, status) => HostMessage::ModifyChannelResponse(ModifyChannelResponse {
                relid: id(relid),
                status: Status::new(*status),
            }),
            Message::Unloaded => HostMessage::UnloadResponse,
            Message::Paused => HostMessage::PauseResponse,
        })
    }

    fn step(&mut self, step: Step) {
        let kernel = &mut self.kernel;
        match step {
            Step::Hear(message, mangle) => {
                let mut bytes = match (&message, self.message(&message)) {
                    (_, Some(message)) => message.encode().to_vec(),
                    (Message::Raw(kind, body), None) => super::raw(*kind, body),
                    (_, None) => Vec::new(),
                };
                mangle.apply(&mut bytes);
                self.hear(&bytes);
            }
            Step::Answer(well) => {
                if let Some(answers) = self.asked.pop() {
                    let message = &answers[usize::from(!well)];
                    self.hear(&message.encode());
                }
            }
            Step::Post(status) => self.post(status),
            Step::Event => {
                kernel.event();
            }
            Step::Time(seconds) => kernel.time(Duration::from_secs(seconds.into())),
            Step::Connect => kernel.connect(),
            Step::Open(which, pages, downstream) => kernel.open(which, pages, downstream),
            Step::Close(which) => kernel.close(which),
            Step::Lend(which, pages) => kernel.lend(which, pages),
            Step::Teardown(back) => kernel.teardown(back),
            Step::Modify(which) => kernel.modify(which),
            Step::Release(which) => kernel.release(which),
            Step::Unload => {
                if kernel.unload() {
                    self.asked.clear();
                }
            }
            Step::Lost => {
                kernel.lose();
                self.asked.clear();
            }
            Step::Pause => kernel.pause(),
            Step::Resume => kernel.resume(),
            Step::ModifyConnection => kernel.modify_connection(),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let before = self.kernel.guest.breaches();
        let result = self.kernel.guest.handle_message(bytes);
        let breach = matches!(result, Err(HandleError::Breach(_)));
        assert_eq!(self.kernel.guest.breaches(), before + u64::from(breach));
    }

    fn post(&mut self, code: u8) {
        let Some(outbound) = self.kernel.guest.next_message() else {
            return;
        };
        let status = match code {
            0 => HvStatus::INSUFFICIENT_BUFFERS,
            1 => HvStatus::INVALID_CONNECTION_ID,
            2 => HvStatus::ACCESS_DENIED,
            _ => HvStatus::SUCCESS,
        };
        if self.kernel.guest.message_posted(status) == Posted::Later {
            return;
        }
        let message = GuestMessage::decode(&outbound.payload).expect("what is said can be understood");
        let statuses = [Status::SUCCESS, Status::UNSUCCESSFUL];
        let answers = match message {
            GuestMessage::InitiateContact(_) => [
                version(ConnectionState::SUCCESSFUL, 4, u32::MAX),
                HostMessage::VersionResponse(VersionResponse::REFUSAL),
            ],
            GuestMessage::GpadlHeader(header) => {
                assert!(self.kernel.lent.contains_key(&header.request.gpadl));
                let request = header.request;
                statuses.map(|status| {
                    HostMessage::GpadlCreated(GpadlCreated {
                        relid: request.relid,
                        gpadl: request.gpadl,
                        status,
                    })
                })
            }
            GuestMessage::GpadlTeardown(teardown) => {
                assert!(self.kernel.lent.contains_key(&teardown.gpadl));
                statuses.map(|_| {
                    HostMessage::GpadlTorndown(GpadlTorndown {
                        gpadl: teardown.gpadl,
                    })
                })
            }
            GuestMessage::OpenChannel(open) => {
                self.open_id = open.request.open_id.get();
                assert!(self.kernel.lent.contains_key(&open.request.ring_gpadl));
                statuses.map(|status| opened(open.request.relid, self.open_id, status))
            }
            GuestMessage::CloseChannel(close) => {
                assert!(
                    self.kernel
                        .open
                        .iter()
                        .all(|channel| channel.relid() != close.relid),
                    "it has the rings"
                );
                return;
            }
            GuestMessage::ModifyChannel(modify) => statuses.map(|status| {
                HostMessage::ModifyChannelResponse(ModifyChannelResponse {
                    relid: modify.relid,
                    status,
                })
            }),
            GuestMessage::Unload => [HostMessage::UnloadResponse, HostMessage::UnloadResponse],
            GuestMessage::Pause => [HostMessage::PauseResponse, HostMessage::PauseResponse],
            GuestMessage::RequestOffers => [HostMessage::AllOffersDelivered, HostMessage::AllOffersDelivered],
            _ => return,
        };
        self.asked.push(answers);
    }

    /// Whatever has happened, there is a way out: a guest that starts anew is as new, and has all that it lent.
    fn finish(&mut self) {
        self.kernel.drain();
        self.step(Step::Lost);
        self.kernel.drain();
        assert!(self.kernel.is_told());
        self.step(Step::Connect);
        assert!(self.kernel.connecting, "nothing is in the way");
        for round in 0.. {
            assert!(round < 1000, "it does not connect");
            self.step(Step::Time(1));
            self.post(9);
            self.hear(&version(ConnectionState::SUCCESSFUL, 4, 0).encode());
            self.kernel.drain();
            if !self.kernel.connecting {
                break;
            }
        }
        assert!(
            self.kernel.connected && self.kernel.lent.is_empty(),
            "the host has let go of everything"
        );
    }
}
