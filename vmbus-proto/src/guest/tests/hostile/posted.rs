//! What the guest posts, and the answers that it may get.

use super::*;

impl World {
    pub(super) fn post(&mut self, code: u16) {
        let Some(outbound) = self.guest.next_message() else {
            return;
        };
        let status = match code {
            0 => HvStatus::INSUFFICIENT_BUFFERS,
            1 => HvStatus::INVALID_CONNECTION_ID,
            2 => HvStatus::ACCESS_DENIED,
            _ => HvStatus::SUCCESS,
        };
        // What is refused for good goes on as if it was posted, for a host that is not there.
        let contact = matches!(
            self.guest.connection,
            crate::guest::connection::Connection::Contacting { .. }
        );
        match self.guest.message_posted(status) {
            Posted::Later => return,
            Posted::Done | Posted::Refused if contact && status != HvStatus::SUCCESS => return,
            Posted::Done | Posted::Refused => (),
        }
        let success = Status::SUCCESS;
        let failure = Status::UNSUCCESSFUL;
        match GuestMessage::decode(&outbound.payload).unwrap() {
            GuestMessage::InitiateContact(_) => self.ask(version(0), version(1)),
            GuestMessage::RequestOffers => {
                self.ask(HostMessage::AllOffersDelivered, HostMessage::AllOffersDelivered);
            }
            GuestMessage::GpadlHeader(header) => {
                let request = header.request;
                let entry = self.lent.get_mut(&request.gpadl).expect("it was lent");
                assert!(!entry.header, "lent twice");
                entry.header = true;
                let relid = request.relid.value();
                self.ask(
                    tell::created(relid, request.gpadl, success),
                    tell::created(relid, request.gpadl, failure),
                );
            }
            GuestMessage::GpadlBody(body) => {
                let entry = &self.lent[&body.more.gpadl];
                assert!(entry.header && !entry.teardown);
            }
            GuestMessage::GpadlTeardown(teardown) => {
                let entry = self.lent.get_mut(&teardown.gpadl).expect("it was lent");
                assert!(entry.header && !entry.teardown, "torn down twice");
                if let Some(channel) = entry.ring_of {
                    assert!(!self.open.contains(&channel), "while the embedder has the rings");
                }
                entry.teardown = true;
                let torndown = tell::torndown(teardown.gpadl);
                self.ask(torndown.clone(), torndown);
            }
            GuestMessage::OpenChannel(open) => {
                self.opens_posted += 1;
                assert_eq!(open.request.open_id.get(), self.opens_posted);
                let entry = &self.lent[&open.request.ring_gpadl];
                assert!(entry.header && !entry.teardown);
                let relid = open.request.relid.value();
                self.ask(
                    tell::opened(relid, self.opens_posted, success),
                    tell::opened(relid, self.opens_posted, failure),
                );
            }
            GuestMessage::CloseChannel(close) => {
                assert!(self.open.iter().all(|channel| channel.relid() != close.relid));
            }
            GuestMessage::ModifyChannel(modify) => {
                let relid = modify.relid.value();
                self.ask(tell::modified(relid, success), tell::modified(relid, failure));
            }
            GuestMessage::RelIdReleased(RelIdReleased { relid }) => {
                let held = |channels: &BTreeSet<ChannelId>| {
                    channels
                        .iter()
                        .any(|channel| channel.relid() == relid && self.guest.channel(*channel).is_some())
                };
                assert!(
                    !held(&self.offered) && !held(&self.rescinded) && !held(&self.open),
                    "released while the embedder has it"
                );
            }
            GuestMessage::Unload => {
                self.ask(HostMessage::UnloadResponse, HostMessage::UnloadResponse);
            }
            GuestMessage::Pause => self.ask(HostMessage::PauseResponse, HostMessage::PauseResponse),
            GuestMessage::ModifyConnection(_) => self.ask(
                tell::connection_modified(ConnectionState::SUCCESSFUL),
                tell::connection_modified(ConnectionState::FAILED_UNKNOWN_FAILURE),
            ),
            _ => (),
        }
    }

    fn ask(&mut self, success: HostMessage, failure: HostMessage) {
        self.asked.push(success);
        self.asked_to_fail.push(failure);
    }
}
