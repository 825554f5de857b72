//! A channel's rings, written without the engine that keeps them right.

use vmbus_proto::guest::{ChannelId, OpenedChannel};
use vmbus_proto::ringbuf::mem::ContiguousRing;
use vmbus_proto::ringbuf::{ControlWord, RingMem as _, Signal};

use super::bytes::{Bytes, Dice, short};
use crate::report::Text;
use crate::session::Session;

/// How often the host is looked at before it counts as gone.
const LOOKS: u32 = 2000;

/// An open channel, and where in it the next packet goes.
#[derive(Debug)]
pub struct Rings {
    channel: ChannelId,
    opened: OpenedChannel<ContiguousRing>,
    at: u32,
}

impl Rings {
    /// The rings of a channel that was just opened.
    #[must_use]
    pub const fn new(opened: OpenedChannel<ContiguousRing>) -> Self {
        Self {
            channel: opened.channel,
            opened,
            at: 0,
        }
    }

    /// Puts bytes in and publishes them. `false` when the host does not read any more.
    ///
    /// # Errors
    /// The hypervisor does not signal.
    pub fn send(&mut self, session: &mut Session<'_>, bytes: &Bytes) -> Result<bool, Text> {
        let len = self.len();
        let mut looks = LOOKS;
        while self.used() + short(bytes.len()) + 8 >= len {
            self.drain();
            self.signal(session)?;
            session.look();
            looks -= 1;
            if looks == 0 {
                return Ok(false);
            }
        }
        self.opened.rings.outgoing.mem().write(self.at, bytes);
        self.at = (self.at + short(bytes.len())) % len;
        self.publish(self.at);
        self.signal(session)?;
        Ok(true)
    }

    /// Lies about an index, and forgets all that was known.
    ///
    /// # Errors
    /// The hypervisor does not signal.
    pub fn lie(&mut self, session: &mut Session<'_>, dice: &mut Dice) -> Result<(), Text> {
        let word = dice.word();
        if dice.one_in(2) {
            self.publish(word);
        } else {
            self.opened
                .rings
                .incoming
                .mem()
                .store(ControlWord::ReadIndex, word);
        }
        self.signal(session)
    }

    /// Lets the host see what is there, as long as it reads.
    ///
    /// # Errors
    /// The hypervisor does not signal.
    pub fn settle(&mut self, session: &mut Session<'_>) -> Result<(), Text> {
        for _ in 0..LOOKS {
            if self.used() == 0 {
                break;
            }
            self.drain();
            self.signal(session)?;
            session.look();
        }
        Ok(())
    }

    /// Gives the rings up.
    #[must_use]
    pub fn give_up(self) -> ChannelId {
        self.channel
    }

    fn len(&self) -> u32 {
        self.opened.rings.outgoing.mem().data_len()
    }

    fn used(&self) -> u32 {
        let read = self.opened.rings.outgoing.mem().load(ControlWord::ReadIndex);
        (self.at + self.len()).saturating_sub(read) % self.len()
    }

    fn publish(&self, index: u32) {
        let mem = self.opened.rings.outgoing.mem();
        mem.store_fence(ControlWord::WriteIndex, index);
    }

    /// Takes what the host has answered, unread.
    fn drain(&self) {
        let mem = self.opened.rings.incoming.mem();
        mem.store_fence(ControlWord::ReadIndex, mem.load(ControlWord::WriteIndex));
    }

    fn signal(&self, session: &Session<'_>) -> Result<(), Text> {
        session.signal(self.channel, Signal::Needed)
    }
}
