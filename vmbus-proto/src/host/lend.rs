//! The guest lends memory and takes it back.

use zerocopy::little_endian::U64;

use super::channel::Standing;
use super::engine::Host;
use super::fault::{Breach, Capacity, HandleError};
use super::gpadl::{Full, State};
use crate::wire::{
    GpadlBody, GpadlCreated, GpadlHeader, GpadlId, GpadlTeardown, GpadlTorndown, HostMessage, MessageType,
    RelId, Status,
};

/// A GPADL that was not taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Discarded {
    gpadl: GpadlId,
    /// It is answered with a success nevertheless, once so many more values have come. Before that a success would be one for a
    /// GPADL that the host cannot know.
    owed: Option<(RelId, usize)>,
}

impl<const CHANNELS: usize, const GPADLS: usize, const REPLIES: usize> Host<'_, CHANNELS, GPADLS, REPLIES> {
    pub(super) fn handle_gpadl_header(&mut self, header: &GpadlHeader<'_>) -> Result<(), HandleError> {
        let request = &header.request;
        let (relid, gpadl) = (request.relid, request.gpadl);
        if let Some(Discarded {
            gpadl,
            owed: Some((relid, _)),
        }) = self.discarded.take()
        {
            // The rest of it does not come any more.
            self.reply(created(relid, gpadl, Status::SUCCESS));
            if !self.has_room_for_reply() {
                return Err(HandleError::Busy);
            }
        }
        let message_type = MessageType::GPADL_HEADER;
        let Some(standing) = self
            .channels
            .find(relid)
            .map(|channel| channel.standing)
            .filter(|it| it.is_known())
        else {
            return self.refuse_gpadl(
                relid,
                gpadl,
                Status::UNSUCCESSFUL,
                Breach::UnknownChannel { message_type, relid },
            );
        };
        // Bodies name no channel, so two that are being filled cannot have the same id.
        if let Some(half_sent) = self.gpadls.filling(gpadl) {
            let serial = half_sent.serial;
            self.gpadls.remove(|gpadl| gpadl.serial == serial);
            return self.refuse_gpadl(
                relid,
                gpadl,
                Status::INVALID_PARAMETER,
                Breach::DuplicateGpadl { gpadl },
            );
        }
        if self.gpadls.find(relid, gpadl).is_some() {
            return self.refuse_gpadl(
                relid,
                gpadl,
                Status::INVALID_PARAMETER,
                Breach::DuplicateGpadl { gpadl },
            );
        }
        let (range_bytes, range_count) = (request.range_bytes.get(), request.range_count.get());
        let len = usize::from(range_bytes / 8);
        let values = header.values;
        // A range takes two values at least: its header and a PFN.
        let least = usize::from(range_count).saturating_mul(2);
        if range_bytes % 8 != 0 || range_count == 0 || len < least || values.len() > len {
            let breach = Breach::GpadlSizes {
                gpadl,
                range_bytes,
                range_count,
                values: values.len(),
            };
            return self.refuse_gpadl(relid, gpadl, Status::INVALID_PARAMETER, breach);
        }
        match self.gpadls.add(relid, gpadl, range_count, len) {
            Ok(added) => {
                let serial = added.serial;
                self.fill_gpadl(serial, values)
            }
            Err(full) => {
                let capacity = match full {
                    Full::Entries => Capacity::Gpadls { capacity: GPADLS },
                    Full::Storage { free } => Capacity::Pfns {
                        needed: len,
                        free,
                        capacity: self.gpadls.capacity(),
                    },
                };
                // Linux does not cope with a failure for a channel that was just rescinded. Nobody will use the memory, so it need not be
                // known to be lent.
                match standing {
                    Standing::RescindPending | Standing::Rescinded => {
                        let missing = len.saturating_sub(values.len());
                        self.discard_with_success(relid, gpadl, missing);
                        Err(capacity.into())
                    }
                    _ => self.refuse_gpadl(relid, gpadl, Status::INSUFFICIENT_RESOURCES, capacity),
                }
            }
        }
    }

    pub(super) fn handle_gpadl_body(&mut self, body: &GpadlBody<'_>) -> Result<(), HandleError> {
        let id = body.more.gpadl;
        let Some(gpadl) = self.gpadls.filling(id) else {
            // A guest sends all of a GPADL's messages at once, those of a refused one too.
            if let Some(Discarded { gpadl, owed }) = self.discarded
                && gpadl == id
            {
                if let Some((relid, missing)) = owed {
                    self.discard_with_success(relid, id, missing.saturating_sub(body.values.len()));
                }
                return Ok(());
            }
            return Err(Breach::UnknownGpadl {
                message_type: MessageType::GPADL_BODY,
                gpadl: id,
            }
            .into());
        };
        let (relid, serial, missing) = (gpadl.relid, gpadl.serial, gpadl.missing());
        let values = body.values.len();
        if values > missing {
            self.gpadls.remove(|gpadl| gpadl.serial == serial);
            let breach = Breach::GpadlOverflow {
                gpadl: id,
                values,
                missing,
            };
            return self.refuse_gpadl(relid, id, Status::INVALID_PARAMETER, breach);
        }
        self.fill_gpadl(serial, body.values)
    }

    /// Appends values, of which no more are given than are missing, and judges the GPADL when it is whole.
    fn fill_gpadl(&mut self, serial: u32, values: &[U64]) -> Result<(), HandleError> {
        self.gpadls.fill(serial, values);
        let Some(gpadl) = self
            .gpadls
            .iter()
            .find(|gpadl| gpadl.serial == serial)
            .filter(|gpadl| gpadl.missing() == 0)
        else {
            return Ok(());
        };
        let (relid, id) = (gpadl.relid, gpadl.id);
        if let Err(fault) = self.gpadls.ranges(gpadl) {
            self.gpadls.remove(|gpadl| gpadl.serial == serial);
            let breach = Breach::GpadlRanges { gpadl: id, fault };
            return self.refuse_gpadl(relid, id, Status::INVALID_PARAMETER, breach);
        }
        if let Some(gpadl) = self.gpadls.by_serial(serial) {
            gpadl.state = State::Ready;
        }
        self.reply(created(relid, id, Status::SUCCESS));
        Ok(())
    }

    /// Answers that the GPADL is not taken.
    fn refuse_gpadl(
        &mut self,
        relid: RelId,
        gpadl: GpadlId,
        status: Status,
        why: impl Into<HandleError>,
    ) -> Result<(), HandleError> {
        self.discarded = Some(Discarded { gpadl, owed: None });
        self.reply(created(relid, gpadl, status));
        Err(why.into())
    }

    /// Answers a GPADL that is not taken as if it were, once no more of it is missing.
    fn discard_with_success(&mut self, relid: RelId, gpadl: GpadlId, missing: usize) {
        let owed = (missing > 0).then_some((relid, missing));
        self.discarded = Some(Discarded { gpadl, owed });
        if owed.is_none() {
            self.reply(created(relid, gpadl, Status::SUCCESS));
        }
    }

    pub(super) fn handle_gpadl_teardown(&mut self, teardown: &GpadlTeardown) -> Result<(), HandleError> {
        let (relid, id) = (teardown.relid, teardown.gpadl);
        let message_type = MessageType::GPADL_TEARDOWN;
        let Some(gpadl) = self.gpadls.find_mut(relid, id) else {
            // It may be one that was refused with success. No one uses it, so there is nothing wrong with the answer; if it is another
            // channel's, there is.
            if !self
                .gpadls
                .iter()
                .any(|gpadl| gpadl.id == id && !gpadl.is_orphan())
            {
                self.reply(HostMessage::GpadlTorndown(GpadlTorndown { gpadl: id }));
            }
            if self
                .channels
                .find(relid)
                .is_some_and(|channel| channel.standing.is_rescinded())
            {
                return Ok(());
            }
            return Err(Breach::UnknownGpadl {
                message_type,
                gpadl: id,
            }
            .into());
        };
        match gpadl.state {
            State::TearingDown | State::Orphan => {
                return Err(Breach::GpadlState {
                    message_type,
                    gpadl: id,
                }
                .into());
            }
            // Half sent is torn down as well: the guest has thought better of it.
            State::Filling => {
                self.discarded = Some(Discarded {
                    gpadl: id,
                    owed: None,
                });
            }
            State::Ready => (),
        }
        gpadl.state = State::TearingDown;
        gpadl.recall();
        self.settle_gpadls();
        Ok(())
    }
}

fn created(relid: RelId, gpadl: GpadlId, status: Status) -> HostMessage {
    HostMessage::GpadlCreated(GpadlCreated { relid, gpadl, status })
}
