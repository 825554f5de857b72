//! A guest that says anything, and an embedder that takes its time.

use vmbus_proto::wire::{
    CloseChannel, ContactRequest, GpadlBody, GpadlHeader, GpadlId, GpadlMore, GpadlRequest, GpadlTeardown,
    GuestMessage, Guid, InitiateContact, ModifyChannel, OpenChannel, OpenRequest, OpenSignal, RelId,
    RelIdReleased, USER_DEFINED_SIZE, Version,
};
use zerocopy::little_endian::{U16, U32, U64};

use super::devices::{CHANNELS, Devices, PAGES};
use crate::channel::Mangle;
use crate::input::{Bytes, Steps};
use crate::steps;

steps! {
    /// What a guest says. Ids are small, so that they are met again.
    pub enum Message {
        Raw(kind: u8, body: Bytes),
        /// A version that there is.
        Contact(version: u8, vp: u8, target: u64, client: bool),
        /// Any.
        ContactAs(version: u32, vp: u32, target: u64, pages: [u64; 2]),
        RequestOffers,
        Unload,
        Pause,
        Resume,
        /// A GPADL of one range of pages, of which so many words are in this message.
        Lend(relid: u8, gpadl: u8, pages: u8, sent: u8),
        /// A GPADL of any ranges.
        LendAs(relid: u8, gpadl: u8, bytes: u16, ranges: u16, words: [u64; 4]),
        Body(gpadl: u8, words: u8),
        Teardown(relid: u8, gpadl: u8),
        Open(relid: u8, gpadl: u8, downstream: u8, vp: u8),
        OpenSignalled(relid: u8, gpadl: u8, downstream: u8, flag: u16, connection: u32),
        Close(relid: u8),
        Modify(relid: u8, vp: u8),
        Released(relid: u8),
    }
}

steps! {
    /// What the guest does, or the embedder.
    pub enum Step {
        Hear(message: Message, mangle: Mangle),
        Offer(device: u8),
        SubChannel(parent: u8, index: u8),
        Rescind(which: u8),
        Event,
        AnswerOpen(which: u8, success: bool),
        AnswerClose(which: u8),
        AnswerModify(which: u8),
        Use(which: u8, gpadl: u8),
        Unuse(which: u8),
        Deliver(count: u8),
        Channels,
    }
}

steps! {
    pub struct Input {
        /// Connected before the steps, in this version, with two devices.
        pub connected: u8,
        pub steps: Steps<Step>,
    }
}

struct Model<'a> {
    devices: Devices<'a>,
}

impl Message {
    fn bytes(&self) -> Vec<u8> {
        let mut words: Vec<U64> = Vec::new();
        let relid = |relid: &u8| RelId::new(u32::from(*relid));
        let gpadl_id = |gpadl: &u8| GpadlId::new(u32::from(*gpadl));
        let open = |id: &u8, gpadl: &u8, downstream: &u8, vp: u32| OpenRequest {
            relid: relid(id),
            open_id: U32::new(7),
            ring_gpadl: gpadl_id(gpadl),
            target_vp: U32::new(vp),
            downstream_page_offset: U32::new((*downstream).into()),
            user_data: [0; USER_DEFINED_SIZE],
        };
        let message = match self {
            Self::Raw(kind, body) => return super::raw(*kind, body),
            Self::Contact(version, vp, target, client) => GuestMessage::InitiateContact(InitiateContact {
                request: ContactRequest {
                    version: Version::NAMED[usize::from(*version) % Version::NAMED.len()],
                    target_vp: U32::new((*vp).into()),
                    interrupt_page_or_target: target.to_le_bytes(),
                    parent_to_child_monitor_page: U64::new(0x10_0000),
                    child_to_parent_monitor_page: U64::new(0x10_1000),
                },
                client_id: client.then(|| Guid::new(1, 2, 3, 4)),
            }),
            Self::ContactAs(version, vp, target, pages) => GuestMessage::InitiateContact(InitiateContact {
                request: ContactRequest {
                    version: Version::new(*version),
                    target_vp: U32::new(*vp),
                    interrupt_page_or_target: target.to_le_bytes(),
                    parent_to_child_monitor_page: U64::new(pages[0]),
                    child_to_parent_monitor_page: U64::new(pages[1]),
                },
                client_id: None,
            }),
            Self::RequestOffers => GuestMessage::RequestOffers,
            Self::Unload => GuestMessage::Unload,
            Self::Pause => GuestMessage::Pause,
            Self::Resume => GuestMessage::Resume,
            Self::Lend(id, gpadl, pages, sent) => {
                let pages = u32::from(*pages % 80);
                words.push(U64::new(u64::from(pages * 4096)));
                words.extend((0..pages).map(|page| U64::new(0x100 + u64::from(page))));
                let range_bytes = U16::new((words.len() * 8) as u16);
                words.truncate(usize::from(*sent).min(27));
                GuestMessage::GpadlHeader(GpadlHeader {
                    request: GpadlRequest {
                        relid: relid(id),
                        gpadl: gpadl_id(gpadl),
                        range_bytes,
                        range_count: U16::new(1),
                    },
                    values: &words,
                })
            }
            Self::LendAs(id, gpadl, bytes, ranges, values) => {
                words.extend(values.map(U64::new));
                GuestMessage::GpadlHeader(GpadlHeader {
                    request: GpadlRequest {
                        relid: relid(id),
                        gpadl: gpadl_id(gpadl),
                        range_bytes: U16::new(*bytes),
                        range_count: U16::new(*ranges),
                    },
                    values: &words,
                })
            }
            Self::Body(gpadl, count) => {
                words.resize(usize::from(*count % 29), U64::new(5));
                GuestMessage::GpadlBody(GpadlBody {
                    more: GpadlMore {
                        message_number: U32::ZERO,
                        gpadl: gpadl_id(gpadl),
                    },
                    values: &words,
                })
            }
            Self::Teardown(id, gpadl) => GuestMessage::GpadlTeardown(GpadlTeardown {
                relid: relid(id),
                gpadl: gpadl_id(gpadl),
            }),
            Self::Open(id, gpadl, downstream, vp) => GuestMessage::OpenChannel(OpenChannel {
                request: open(id, gpadl, downstream, u32::from(*vp)),
                signal: None,
            }),
            Self::OpenSignalled(id, gpadl, downstream, flag, connection) => {
                GuestMessage::OpenChannel(OpenChannel {
                    request: open(id, gpadl, downstream, 0),
                    signal: Some(OpenSignal {
                        connection_id: U32::new(*connection),
                        event_flag: U16::new(*flag),
                        flags: U16::ZERO,
                    }),
                })
            }
            Self::Close(id) => GuestMessage::CloseChannel(CloseChannel { relid: relid(id) }),
            Self::Modify(id, vp) => GuestMessage::ModifyChannel(ModifyChannel {
                relid: relid(id),
                target_vp: U32::new((*vp).into()),
            }),
            Self::Released(id) => GuestMessage::RelIdReleased(RelIdReleased { relid: relid(id) }),
        };
        message.encode().map(|bytes| bytes.to_vec()).unwrap_or_default()
    }
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        let mut storage = [0; PAGES];
        let mut model = Model {
            devices: Devices::new(&mut storage),
        };
        if self.connected > 0 {
            let contact = Message::Contact(self.connected, 0, 0, false);
            for step in [
                Step::Offer(0),
                Step::Offer(1),
                Step::Hear(contact, Mangle::Nothing),
                Step::Hear(Message::RequestOffers, Mangle::Nothing),
                Step::Deliver(4),
            ] {
                model.step(step);
            }
        }
        for step in self.steps {
            model.step(step);
            model.devices.check();
        }
        model.finish();
    }
}

impl Model<'_> {
    fn step(&mut self, step: Step) {
        let devices = &mut self.devices;
        match step {
            Step::Hear(message, mangle) => {
                let mut bytes = message.bytes();
                mangle.apply(&mut bytes);
                let _ = devices.hear(&bytes);
            }
            Step::Offer(number) => {
                devices.offer(number % 8);
            }
            Step::SubChannel(parent, index) => devices.offer_sub_channel(parent, index),
            Step::Rescind(which) => devices.rescind(which),
            Step::Event => {
                devices.event();
            }
            Step::AnswerOpen(which, success) => devices.answer_open(which, success),
            Step::AnswerClose(which) => devices.answer_close(which),
            Step::AnswerModify(which) => devices.answer_modify(which),
            Step::Use(which, gpadl) => devices.use_memory(which, GpadlId::new(gpadl.into())),
            Step::Unuse(which) => devices.give_memory_back(which),
            Step::Deliver(count) => {
                for _ in 0..count % 8 {
                    devices.deliver();
                }
            }
            Step::Channels => {
                let channels: Vec<_> = devices.host.channels().collect();
                for channel in channels {
                    let _ = (devices.host.signal(channel), devices.host.connection_id(channel));
                }
            }
        }
    }

    /// Whatever has happened, there is a way out: a guest that starts anew finds a host as new.
    fn finish(&mut self) {
        self.step(Step::Hear(Message::Unload, Mangle::Nothing));
        let devices = &mut self.devices;
        for round in 0.. {
            assert!(round < 1000, "it goes on and on");
            let mut moved = devices.event();
            moved |= devices.answer_all();
            moved |= devices.deliver().is_some();
            if !moved {
                break;
            }
        }
        assert!(devices.open.is_empty() && !devices.connected);
        // All the room is there again.
        let channels: Vec<_> = devices.host.channels().collect();
        for channel in channels {
            let _ = devices.host.rescind(channel);
        }
        while devices.event() {}
        for number in 10..10 + CHANNELS as u8 {
            assert!(devices.offer(number), "room for as many as there can be");
        }
        for message in [
            Message::Contact(Version::NAMED.len() as u8 - 1, 0, 0, false),
            Message::RequestOffers,
        ] {
            let _ = devices.hear(&message.bytes());
        }
        while devices.event() || devices.deliver().is_some() {}
        assert_eq!(devices.known.len(), CHANNELS, "every device is offered");
    }
}
