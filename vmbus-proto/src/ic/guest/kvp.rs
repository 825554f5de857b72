//! Key-value pairs, at the guest: the host asks, the driver answers from its pools.

use vmbus_ringbuf::{RingMem, Signal};
use zerocopy::IntoBytes;

use super::channel::{Channel, Deferred, Duty, Taken};
use super::{AnswerError, Refusal};
use crate::ic::wire::{self, Body, IpInfo, KvpHeader, KvpPair, NoRoom, Service, Status};

/// The service for key-value pairs.
///
/// The event tells what is asked and of which pool; [`request`](Channel::request) has the rest of it.
pub type Kvp<'s, M> = Channel<'s, M, KvpDuty>;

/// [`Kvp`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct KvpDuty(());

impl Duty for KvpDuty {
    const SERVICE: &'static Service = &Service::KVP;
    type Request = KvpHeader;

    fn take(&mut self, body: &Body<'_>) -> Taken<KvpHeader> {
        match body {
            Body::Kvp(request) => Taken::Keep(request.header()),
            _ => Taken::Refuse(Refusal::of(body)),
        }
    }
}

impl Deferred for KvpDuty {}

impl<M: RingMem> Kvp<'_, M> {
    /// What is asked, while it waits for its answer.
    #[must_use]
    pub fn request(&self) -> Option<wire::Kvp<'_>> {
        match self.asked()? {
            Body::Kvp(request) => Some(request),
            _ => None,
        }
    }

    /// Answers GET or ENUMERATE with a pair. Where there is none, [`answer`](Self::answer) with
    /// [`NO_MORE_ITEMS`](Status::NO_MORE_ITEMS).
    ///
    /// # Errors
    /// When no pair is asked for, or the channel is poisoned.
    pub fn answer_pair(&mut self, pair: &KvpPair) -> Result<Signal, AnswerError> {
        let fits = |request: &wire::Kvp<'_>| matches!(request, wire::Kvp::Get(..) | wire::Kvp::Enumerate(..));
        self.fill_in(fits, pair.as_bytes())
    }

    /// Answers GET_IP_INFO with addresses, in the form in which they are asked for.
    ///
    /// # Errors
    /// When they are not asked for, or in the other form, or the channel is poisoned.
    pub fn answer_ip_info(&mut self, info: IpInfo<'_>) -> Result<Signal, AnswerError> {
        match info {
            IpInfo::Text(info) => {
                let fits =
                    |request: &wire::Kvp<'_>| matches!(request, wire::Kvp::GetIpInfo(_, IpInfo::Text(_)));
                self.fill_in(fits, info.as_bytes())
            }
            IpInfo::Binary(info) => {
                let fits =
                    |request: &wire::Kvp<'_>| matches!(request, wire::Kvp::GetIpInfo(_, IpInfo::Binary(_)));
                self.fill_in(fits, info.as_bytes())
            }
        }
    }

    /// Answers with these bytes in the place of what is asked for.
    fn fill_in(
        &mut self,
        fits: impl FnOnce(&wire::Kvp<'_>) -> bool,
        bytes: &[u8],
    ) -> Result<Signal, AnswerError> {
        let request = self.request().ok_or(AnswerError::NothingAsked)?;
        let at = request
            .answer_at()
            .filter(|_| fits(&request))
            .ok_or(AnswerError::Mismatch)?;
        self.answer_with(Status::SUCCESS, |body| {
            let len = body.len();
            let end = at.saturating_add(bytes.len());
            let to = body.get_mut(at..end).ok_or(NoRoom { len })?;
            to.copy_from_slice(bytes);
            Ok(())
        })
    }
}
