//! Our guest and our host, honest both, with devices that come and go and a kernel that changes its mind: everything
//! that is asked is answered, and what was lent comes back.

use std::time::Duration;

use hvcall::{HvStatus, VpIndex};
use vmbus_proto::guest::{GuestConfig, Posted, Timeouts};
use vmbus_proto::host::{HandleError, VERSIONS};
use vmbus_proto::wire::GpadlId;

use super::devices::{CHANNELS, Devices, PAGES};
use super::kernel::{GPADLS, Kernel};
use crate::input::Steps;
use crate::steps;

steps! {
    /// What becomes of messages, and what either embedder does.
    pub enum Step {
        /// The guest posts a message.
        Post,
        /// The host's next message arrives.
        Deliver,
        /// Both go on until nothing moves.
        Settle,
        Time(milliseconds: u8),
        /// The kernel takes an event.
        Told,
        Connect,
        Open(which: u8, pages: u8, downstream: u8),
        Close(which: u8),
        Lend(which: u8, pages: u8),
        Teardown(back: u8),
        Modify(which: u8),
        Release(which: u8),
        Unload,
        /// The kernel is restarted without an unload.
        Lost,
        Pause,
        Resume,
        ModifyConnection,
        /// The VMM takes an event.
        Event,
        Offer(device: u8),
        SubChannel(parent: u8, index: u8),
        Rescind(which: u8),
        AnswerOpen(which: u8, success: bool),
        AnswerClose(which: u8),
        AnswerModify(which: u8),
        /// A device uses what was lent so long ago.
        Use(which: u8, back: u8),
        Unuse(which: u8),
    }
}

steps! {
    pub struct Input {
        /// The highest that the guest speaks.
        pub version: u8,
        /// Connected before the steps, with two devices.
        pub connected: bool,
        pub steps: Steps<Step>,
    }
}

struct Model<'a> {
    kernel: Kernel,
    devices: Devices<'a>,
    /// The kernel was restarted while messages were under way.
    lost: bool,
    /// A channel went while messages of it were under way.
    gone: bool,
}

impl Input {
    /// Runs the steps.
    pub fn run(self) {
        // An honest host answers in time, however long that is.
        let ever = Duration::from_secs(1 << 30);
        let config = GuestConfig {
            highest: VERSIONS[usize::from(self.version) % VERSIONS.len()],
            timeouts: Timeouts {
                contact: ever,
                request: ever,
                unload: ever,
                post: ever,
            },
            ..GuestConfig::new(VpIndex(0))
        };
        let mut storage = [0; PAGES];
        let mut model = Model {
            kernel: Kernel::new(config),
            devices: Devices::new(&mut storage),
            lost: false,
            gone: false,
        };
        if self.connected {
            for step in [Step::Offer(0), Step::Offer(1), Step::Connect, Step::Settle] {
                model.step(step);
            }
            assert_eq!(model.kernel.offered.len(), 2);
        }
        for step in self.steps {
            model.step(step);
            model.kernel.check();
            model.devices.check();
        }
        model.finish();
    }
}

impl Model<'_> {
    fn step(&mut self, step: Step) {
        let Self { kernel, devices, .. } = self;
        match step {
            Step::Post => {
                self.post();
            }
            Step::Deliver => {
                self.deliver();
            }
            Step::Settle => self.settle(),
            Step::Time(milliseconds) => kernel.time(Duration::from_millis(milliseconds.into())),
            Step::Told => {
                kernel.event();
            }
            Step::Connect => kernel.connect(),
            Step::Open(which, pages, downstream) => kernel.open(which, pages % 80, downstream),
            Step::Close(which) => kernel.close(which),
            Step::Lend(which, pages) => kernel.lend(which, pages),
            Step::Teardown(back) => kernel.teardown(back),
            Step::Modify(which) => kernel.modify(which),
            Step::Release(which) => {
                self.gone = true;
                kernel.release(which);
            }
            Step::Unload => {
                kernel.unload();
            }
            Step::Lost => {
                self.lost = true;
                kernel.lose();
            }
            Step::Pause => kernel.pause(),
            Step::Resume => kernel.resume(),
            Step::ModifyConnection => kernel.modify_connection(),
            Step::Event => {
                devices.event();
            }
            Step::Offer(device) => {
                devices.offer(device % 8);
            }
            Step::SubChannel(parent, index) => devices.offer_sub_channel(parent, index),
            Step::Rescind(which) => {
                self.gone = true;
                devices.rescind(which);
            }
            Step::AnswerOpen(which, success) => devices.answer_open(which, success),
            Step::AnswerClose(which) => {
                // The sub-channels go with it.
                self.gone = true;
                devices.answer_close(which);
            }
            Step::AnswerModify(which) => devices.answer_modify(which),
            Step::Use(which, back) => {
                let gpadl = kernel.gpadls.iter().rev().nth(usize::from(back % 8));
                devices.use_memory(which, gpadl.copied().unwrap_or(GpadlId::new(1)));
            }
            Step::Unuse(which) => devices.give_memory_back(which),
        }
    }

    /// Tells whether a message got through.
    fn post(&mut self) -> bool {
        let Some(outbound) = self.kernel.guest.next_message() else {
            return false;
        };
        let result = self.devices.hear(&outbound.payload);
        let status = match result {
            Err(HandleError::Busy) => HvStatus::INSUFFICIENT_BUFFERS,
            _ => HvStatus::SUCCESS,
        };
        if let Err(error) = result {
            // What it has no room for it answers with a refusal.
            let honest = !matches!(error, HandleError::Breach(_)) || self.gone || self.lost;
            assert!(honest, "our guest broke the protocol: {error}");
        }
        match self.kernel.guest.message_posted(status) {
            Posted::Later => assert_eq!(result, Err(HandleError::Busy)),
            posted => assert!(posted != Posted::Refused && result != Err(HandleError::Busy)),
        }
        result != Err(HandleError::Busy)
    }

    fn deliver(&mut self) -> bool {
        let Some(bytes) = self.devices.deliver() else {
            return false;
        };
        if let Err(error) = self.kernel.guest.handle_message(&bytes) {
            assert!(self.lost, "our host broke the protocol: {error}");
        }
        true
    }

    /// Messages travel, devices do what they are asked to, and the kernel lets go of what is rescinded, until nothing
    /// moves any more.
    fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 2000, "it goes on and on");
            let mut moved = self.deliver();
            moved |= self.kernel.event().is_some();
            moved |= self.devices.event();
            moved |= self.devices.answer_all();
            for back in 0..self.kernel.told.len().min(8) as u8 {
                let told = self.kernel.told[self.kernel.told.len() - 1 - usize::from(back)];
                if self.kernel.rescinded.contains(&told) {
                    self.gone = true;
                    self.kernel.release(back);
                    moved = true;
                }
            }
            // A message for which there was no room is posted again in time.
            self.kernel.time(Duration::from_secs(1));
            moved |= self.post();
            if !moved && self.kernel.guest.next_message().is_none() {
                return;
            }
        }
    }

    /// The kernel takes leave, and has everything back.
    fn leave(&mut self) {
        self.step(Step::Unload);
        self.settle();
        assert!(self.kernel.is_told() && !self.kernel.connected && !self.devices.connected);
        assert!(self.kernel.lent.is_empty(), "memory that does not come back");
        assert!(self.devices.is_free());
    }

    /// Whatever has happened, there is a way out, and a way in again: every device is offered, can be opened, and works.
    fn finish(&mut self) {
        self.settle();
        self.step(Step::Resume);
        self.settle();
        assert!(self.kernel.is_told(), "an outcome is never told");
        if !self.kernel.connected {
            self.step(Step::Connect);
            self.settle();
        }
        self.leave();

        self.step(Step::Connect);
        self.settle();
        assert!(self.kernel.connected);
        let channels = self.devices.host.channels().count();
        assert_eq!(self.kernel.offered.len(), channels, "every device is offered");

        let opens = channels.min(GPADLS - 1);
        for which in 0..opens {
            self.kernel.open(which as u8, 4, 2);
        }
        if opens > 0 {
            self.kernel.lend(0, 30);
        }
        self.settle();
        assert_eq!((self.kernel.open.len(), self.devices.open.len()), (opens, opens));
        assert_eq!(self.kernel.lent.len(), opens + usize::from(opens > 0));

        let breaches = self.kernel.guest.breaches();
        if opens > 1 {
            self.kernel.close(0);
            self.kernel.teardown(0);
            let all: Vec<_> = self.devices.host.channels().collect();
            for channel in all {
                let _ = self.devices.host.rescind(channel);
            }
            self.gone = true;
            self.settle();
            assert!(self.kernel.offered.is_empty() && self.kernel.lent.is_empty());
            assert_eq!(self.devices.host.channels().count(), 0);
            for number in 10..10 + CHANNELS as u8 {
                assert!(self.devices.offer(number), "room for as many as there can be");
            }
            self.settle();
            assert_eq!(self.kernel.offered.len(), CHANNELS);
        }
        assert_eq!(self.kernel.guest.breaches(), breaches);
        assert!(self.lost || breaches == 0);
        self.leave();
    }
}
