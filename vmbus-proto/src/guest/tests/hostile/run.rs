//! What is done to the guest, op by op.

use super::*;

impl World {
    fn channel(&self, pick: usize) -> Option<ChannelId> {
        let known: Vec<_> = self.told.iter().rev().take(6).copied().collect();
        known.get(pick).copied()
    }

    fn gpadl(&self, back: usize) -> GpadlId {
        let last = self.last_gpadls.iter().rev().nth(back).copied();
        last.unwrap_or(GpadlId::new(1000))
    }

    pub(super) fn run(&mut self, op: &Op) {
        match *op {
            Op::Version(kind) => self.hear(&version(kind)),
            Op::Offer {
                relid,
                device,
                index,
                signal,
            } => {
                let mut offer = tell::offer(relid, device, index);
                match signal {
                    0 => offer.signal = None,
                    1 => offer.signal = Some(OfferSignal::dedicated(u32::MAX)),
                    _ => (),
                }
                self.hear(&HostMessage::OfferChannel(offer));
            }
            Op::Rescind(relid) => self.hear(&tell::rescind(relid)),
            Op::AllOffers => self.hear(&HostMessage::AllOffersDelivered),
            Op::Created { relid, back, success } => {
                self.hear(&tell::created(relid, self.gpadl(back), status(success)));
            }
            Op::Torndown(back) => self.hear(&tell::torndown(self.gpadl(back))),
            Op::Opened { relid, back, success } => {
                let open_id = self.opens_posted.wrapping_sub(back);
                self.hear(&tell::opened(relid, open_id, status(success)));
            }
            Op::Modified(relid, success) => self.hear(&tell::modified(relid, status(success))),
            Op::Unloaded => self.hear(&HostMessage::UnloadResponse),
            Op::Paused => self.hear(&HostMessage::PauseResponse),
            Op::PagesModified => self.hear(&tell::connection_modified(ConnectionState::SUCCESSFUL)),
            Op::Raw(kind, ref body) => {
                let mut payload = Vec::from(kind.to_le_bytes());
                payload.extend([0; 4]);
                payload.extend(body);
                self.hear_bytes(&payload);
            }
            Op::Answer(success) => {
                let (asked, failing) = (self.asked.pop(), self.asked_to_fail.pop());
                if let Some(message) = if success { asked } else { failing } {
                    self.hear(&message);
                }
            }
            Op::Connect => {
                if self.guest.connect().is_ok() {
                    assert!(!self.connecting, "an outcome is untold");
                    self.connecting = true;
                }
            }
            Op::Open(pick, pages) => {
                let Some(channel) = self.channel(pick) else { return };
                let memory = memory(u64::from(pages) << 8, pages);
                match self.guest.open(channel, memory, params()) {
                    Ok(gpadl) => {
                        assert!(self.offered.contains(&channel), "of what is not offered");
                        assert!(self.opening.insert(channel), "opened twice");
                        assert!(!self.open.contains(&channel));
                        self.lend(gpadl, memory, Some(channel));
                    }
                    Err(rejected) => assert_eq!(rejected.memory, memory),
                }
            }
            Op::Close(pick) => {
                let Some(channel) = self.channel(pick) else { return };
                if self.guest.close(channel).is_ok() {
                    self.open.remove(&channel);
                }
            }
            Op::Lend(pick, pages) => {
                let Some(channel) = self.channel(pick) else { return };
                let memory = memory(u64::from(pages) << 8, pages);
                match self.guest.lend(channel, memory) {
                    Ok(gpadl) => self.lend(gpadl, memory, None),
                    Err(rejected) => assert_eq!(rejected.memory, memory),
                }
            }
            Op::Teardown(back) => {
                let _ = self.guest.teardown(self.gpadl(back));
            }
            Op::Modify(pick) => {
                let Some(channel) = self.channel(pick) else { return };
                if self.guest.modify(channel, Some(VpIndex(1))).is_ok() {
                    assert!(self.moving.insert(channel), "moved twice");
                }
            }
            Op::Release(pick) => {
                let Some(channel) = self.channel(pick) else { return };
                if self.guest.release(channel).is_ok() {
                    assert!(
                        self.rescinded.remove(&channel) || self.offered.remove(&channel),
                        "released twice"
                    );
                    self.open.remove(&channel);
                    self.offered.remove(&channel);
                }
            }
            Op::Unload => {
                if self.guest.unload().is_ok() {
                    self.forget();
                }
            }
            Op::Lost => {
                self.guest.connection_lost();
                self.forget();
            }
            Op::PauseOrResume(pause) => {
                let _ = if pause {
                    self.guest.pause()
                } else {
                    self.guest.resume()
                };
            }
            Op::ModifyPages => {
                if self.guest.modify_connection(None).is_ok() {
                    assert!(!self.modifying, "modified twice");
                    self.modifying = true;
                }
            }
            Op::Events(count) => {
                for _ in 0..count {
                    self.take_event();
                }
            }
            Op::Post(count, code) => {
                for _ in 0..count {
                    self.post(code);
                }
            }
            Op::Time(seconds) => {
                self.now += Duration::from_secs(seconds);
                self.guest.handle_timeout(self.now);
            }
        }
        self.check();
    }

    fn lend(&mut self, gpadl: GpadlId, memory: Contiguous, ring_of: Option<ChannelId>) {
        self.last_gpadls.push(gpadl);
        let entry = Lent {
            memory: Some(memory),
            ring_of,
            ..Lent::default()
        };
        assert!(self.lent.insert(gpadl, entry).is_none(), "an id that is taken");
    }

    /// The embedder dropped all rings, and its channels are no more.
    pub(super) fn forget(&mut self) {
        self.open.clear();
        self.offered.clear();
        self.rescinded.clear();
        self.asked.clear();
        self.asked_to_fail.clear();
    }

    pub(super) fn hear(&mut self, message: &HostMessage) {
        self.hear_bytes(&message.encode());
    }

    fn hear_bytes(&mut self, bytes: &[u8]) {
        let before = self.guest.breaches();
        let result = self.guest.handle_message(bytes);
        let is_breach = matches!(result, Err(HandleError::Breach(_)));
        assert_eq!(self.guest.breaches(), before + u64::from(is_breach));
    }
}
