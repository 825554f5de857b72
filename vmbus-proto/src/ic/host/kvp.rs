//! Key-value pairs, at the host: asks for pairs and addresses, and sets them.

use vmbus_ringbuf::{RingMem, Signal};

use super::channel::{Channel, Duty, OnDemand};
use super::{Fault, RequestError};
use crate::ic::wire::{
    self, Body, IpInfo, Kvp as Request, KvpHeader, KvpItem, KvpKey, KvpPair, KvpPool, Service, Status,
};

/// The service for key-value pairs.
///
/// One request at a time. The event tells which was answered, and how; [`answer`](Channel::answer) has what the guest filled in.
pub type Kvp<'s, M> = Channel<'s, M, KvpDuty>;

/// [`Kvp`]'s.
#[derive(Clone, Copy, Debug, Default)]
pub struct KvpDuty {
    asked: Option<KvpHeader>,
}

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvpAnswer {
    /// What was asked, of which pool.
    pub request: KvpHeader,
    /// How it went. An enumeration ends with [`NO_MORE_ITEMS`](Status::NO_MORE_ITEMS).
    pub status: Status,
}

impl Duty for KvpDuty {
    const SERVICE: &'static Service = &Service::KVP;
    type Answer = KvpAnswer;

    fn answer(&mut self, status: Status, body: Option<&Body<'_>>) -> Result<KvpAnswer, Fault> {
        let request = self.asked.ok_or(Fault::Mismatch)?;
        match body {
            None => {}
            Some(Body::Kvp(answer)) if answer.header() == request => {}
            Some(_) => return Err(Fault::Mismatch),
        }
        Ok(KvpAnswer { request, status })
    }
}

impl OnDemand for KvpDuty {}

impl<M: RingMem> Kvp<'_, M> {
    /// Asks for the value of a key.
    ///
    /// # Errors
    /// When the key is too long, or it cannot be asked now.
    pub fn get(&mut self, pool: KvpPool, key: &str) -> Result<Signal, RequestError> {
        self.ask(Request::Get(pool, &KvpPair::key(key)?))
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// When it cannot be asked now.
    pub fn set(&mut self, pool: KvpPool, pair: &KvpPair) -> Result<Signal, RequestError> {
        self.ask(Request::Set(pool, pair))
    }

    /// Removes a key.
    ///
    /// # Errors
    /// When the key is too long, or it cannot be asked now.
    pub fn delete(&mut self, pool: KvpPool, key: &str) -> Result<Signal, RequestError> {
        self.ask(Request::Delete(pool, &KvpKey::new(key)?))
    }

    /// Asks for the pair with this index, from 0 on until there is none.
    ///
    /// # Errors
    /// When it cannot be asked now.
    pub fn enumerate(&mut self, pool: KvpPool, index: u32) -> Result<Signal, RequestError> {
        self.ask(Request::Enumerate(pool, &KvpItem::at(index)))
    }

    /// Asks for the addresses of an adapter, which `info` names, in the form that the guest's version has.
    ///
    /// # Errors
    /// When the form is the other one, or it cannot be asked now.
    pub fn get_ip_info(&mut self, pool: KvpPool, info: IpInfo<'_>) -> Result<Signal, RequestError> {
        self.check_form(&info)?;
        self.ask(Request::GetIpInfo(pool, info))
    }

    /// Configures an adapter, in the form that the guest's version has.
    ///
    /// # Errors
    /// When the form is the other one, or it cannot be asked now.
    pub fn set_ip_info(&mut self, pool: KvpPool, info: IpInfo<'_>) -> Result<Signal, RequestError> {
        self.check_form(&info)?;
        self.ask(Request::SetIpInfo(pool, info))
    }

    fn check_form(&self, info: &IpInfo<'_>) -> Result<(), RequestError> {
        let version = self.ready()?.message;
        if (version >= IpInfo::BINARY_SINCE) == matches!(info, IpInfo::Binary(_)) {
            Ok(())
        } else {
            Err(RequestError::Version { version })
        }
    }

    fn ask(&mut self, request: Request<'_>) -> Result<Signal, RequestError> {
        let signal = self.send(Body::Kvp(request))?;
        self.duty.asked = Some(request.header());
        Ok(signal)
    }

    /// What the guest filled in, from the event that told of its success until the next call.
    #[must_use]
    pub fn answer(&self) -> Option<wire::Kvp<'_>> {
        match self.answered()? {
            Body::Kvp(answer) => Some(answer),
            _ => None,
        }
    }
}
