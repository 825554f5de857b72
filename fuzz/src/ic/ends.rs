//! The engines of all services, behind one trait for each end.

use std::time::Duration;

use vmbus_proto::ic::wire::{
    FileCopyFlags, HostTime, IpBinary, IpInfo, IpText, KvpPair, KvpPool, Service, ShutdownKind, Status,
    Versions, VssFlags, VssOperation,
};
use vmbus_proto::ic::{Breach, Polled, guest, host};
use vmbus_ringbuf::RingPair;

use super::{Answer, Request};
use crate::input::Bytes;
use crate::memory::Hostile;

/// What an embedder is told.
pub enum Told {
    Nothing,
    Ready,
    /// A guest: of a request, which may have been answered by itself.
    Asked,
    Refused,
    /// A host: that a request was answered.
    Answered,
    /// A host: that the guest does not answer.
    Silent,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Host(host::Fault),
    Guest(guest::Fault),
}

impl Fault {
    pub fn is_ring_too_small(&self) -> bool {
        matches!(
            self,
            Self::Host(host::Fault::Breach(Breach::RingTooSmall { .. }))
                | Self::Guest(guest::Fault::Breach(Breach::RingTooSmall { .. }))
        )
    }
}

/// Either end of a service.
pub trait End {
    /// What came of it, and whether to come again.
    fn poll(&mut self, now: Duration) -> Result<(Told, bool), Fault>;
    fn fault(&self) -> Option<Fault>;
    fn versions(&self) -> Option<Versions>;
    /// A host waits for an answer, or a guest's embedder has to give one.
    fn is_busy(&self) -> bool;

    /// A host asks. Tells whether it did.
    fn ask(&mut self, _: &Request) -> bool {
        false
    }

    /// A guest answers. Tells whether it did.
    fn answer(&mut self, _: &Answer) -> bool {
        false
    }

    /// Whether a host asks only when it is told to.
    fn is_on_demand(&self) -> bool {
        true
    }

    /// Whether a host is told of answers.
    fn is_answered(&self) -> bool {
        true
    }
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(&bytes.0).into_owned()
}

fn pair(which: u8, key: &Bytes, value: &Bytes) -> KvpPair {
    let pair = match which % 2 {
        0 => KvpPair::text(&text(key), &text(value)),
        _ => KvpPair::u32(&text(key), value.0.len() as u32),
    };
    pair.unwrap_or_else(|_| KvpPair::text("k", "v").expect("short"))
}

/// A guest's end: the engine, and whether its embedder has to answer.
struct Guest<E> {
    engine: E,
    asked: bool,
}

macro_rules! guests {
    ($($service:ident: $deferred:expr, |$engine:ident, $how:ident| $answer:expr;)*) => {$(
        impl End for Guest<guest::$service<'_, Hostile>> {
            fn poll(&mut self, _: Duration) -> Result<(Told, bool), Fault> {
                let Polled { again, event, .. } = self.engine.poll().map_err(Fault::Guest)?;
                let told = match event {
                    None => Told::Nothing,
                    Some(guest::Event::Ready(_)) => Told::Ready,
                    Some(guest::Event::Request(request)) => {
                        let _ = format!("{request:?}");
                        assert!(!std::mem::replace(&mut self.asked, $deferred), "before the answer");
                        Told::Asked
                    }
                    Some(guest::Event::Refused(refusal)) => {
                        assert!(!refusal.to_string().is_empty());
                        Told::Refused
                    }
                    Some(event) => panic!("{event:?}"),
                };
                Ok((told, again))
            }
            fn fault(&self) -> Option<Fault> {
                self.engine.fault().map(Fault::Guest)
            }
            fn versions(&self) -> Option<Versions> {
                self.engine.versions()
            }
            fn is_busy(&self) -> bool {
                self.asked
            }
            fn answer(&mut self, $how: &Answer) -> bool {
                let $engine = &mut self.engine;
                let answered = $answer;
                match answered {
                    Ok(_) => assert!(std::mem::take(&mut self.asked), "nothing was asked"),
                    Err(guest::AnswerError::NothingAsked) => assert!(!self.asked),
                    Err(guest::AnswerError::Fault(_)) => self.asked = false,
                    Err(_) => {}
                }
                answered.is_ok()
            }
        }
    )*};
}

/// What services without a choice are answered with.
fn status(how: &Answer) -> Status {
    match how {
        Answer::Status(status) => Status::new(*status),
        Answer::Filled(..) => Status::SUCCESS,
    }
}

guests! {
    Heartbeat: false, |_engine, _how| Err::<(), _>(guest::AnswerError::NothingAsked);
    TimeSync: false, |_engine, _how| Err::<(), _>(guest::AnswerError::NothingAsked);
    Shutdown: true, |engine, how| {
        let _ = engine.message().map(|words| words.trimmed().to_vec());
        engine.answer(status(how))
    };
    Kvp: true, |engine, how| {
        let _ = engine.request().map(|request| request.to_string());
        match how {
            Answer::Filled(which, key, value) => match which % 4 {
                0 | 1 => engine.answer_pair(&pair(*which, key, value)),
                2 => engine.answer_ip_info(IpInfo::Binary(&IpBinary::default())),
                _ => engine.answer_ip_info(IpInfo::Text(&IpText::default())),
            },
            Answer::Status(_) => engine.answer(status(how)),
        }
    };
    Vss: true, |engine, how| match how {
        Answer::Filled(..) => engine.answer_flags(VssFlags::NO_AUTO_RECOVERY),
        Answer::Status(_) => engine.answer(status(how)),
    };
    FileCopy: true, |engine, how| {
        let _ = engine.request().map(|request| request.to_string());
        engine.answer(status(how))
    };
}

/// A host's end.
struct Host<E>(E);

macro_rules! hosts {
    ($($service:ident: |$now:ident| [$($clock:expr)?], |$engine:ident, $what:ident| $ask:expr, $on_demand:expr, $answered:expr;)*) => {$(
        impl End for Host<host::$service<'_, Hostile>> {
            fn poll(&mut self, $now: Duration) -> Result<(Told, bool), Fault> {
                let Polled { again, event, .. } = self.0.poll($($clock)?).map_err(Fault::Host)?;
                let told = match event {
                    None => Told::Nothing,
                    Some(host::Event::Ready(_)) => Told::Ready,
                    Some(host::Event::Answered(answer)) => {
                        if format!("{answer:?}").starts_with("Lost") {
                            Told::Silent
                        } else {
                            Told::Answered
                        }
                    }
                    Some(event) => panic!("{event:?}"),
                };
                Ok((told, again))
            }
            fn fault(&self) -> Option<Fault> {
                self.0.fault().map(Fault::Host)
            }
            fn versions(&self) -> Option<Versions> {
                self.0.versions()
            }
            fn is_busy(&self) -> bool {
                $answered && self.0.is_busy()
            }
            fn ask(&mut self, $what: &Request) -> bool {
                let $engine = &mut self.0;
                $ask
            }
            fn is_on_demand(&self) -> bool {
                $on_demand
            }
            fn is_answered(&self) -> bool {
                $answered
            }
        }
    )*};
}

/// Which request, and a number with it.
fn plain(what: &Request) -> (u8, u32) {
    match what {
        Request::Plain(which, number) => (*which, *number),
        Request::Text(which, _, key, _) => (*which, key.0.len() as u32),
    }
}

hosts! {
    Heartbeat: |now| [now], |_engine, _what| false, false, true;
    TimeSync: |now| [host::Clocks {
        now,
        host_time: HostTime(now.as_nanos() as u64 / 100),
        reference_time: now.as_nanos() as u64 / 100,
    }], |engine, _what| {
        engine.resync();
        false
    }, false, false;
    Shutdown: |_now| [], |engine, what| {
        let (which, number) = plain(what);
        let order = host::ShutdownOrder {
            kind: match which % 3 {
                0 => ShutdownKind::PowerOff,
                1 => ShutdownKind::Restart,
                _ => ShutdownKind::Hibernate,
            },
            force: number % 2 == 1,
            timeout: Duration::from_secs(number.into()),
        };
        engine.ask(order).is_ok()
    }, true, true;
    Kvp: |_now| [], |engine, what| {
        let _ = engine.answer().map(|answer| answer.to_string());
        match what {
            Request::Plain(which, index) => match which % 4 {
                0 => engine.get_ip_info(KvpPool::EXTERNAL, IpInfo::Binary(&IpBinary::default())),
                1 => engine.get_ip_info(KvpPool::EXTERNAL, IpInfo::Text(&IpText::default())),
                2 => engine.set_ip_info(KvpPool::EXTERNAL, IpInfo::Binary(&IpBinary::default())),
                _ => engine.enumerate(KvpPool::GUEST, *index),
            },
            Request::Text(which, pool, key, value) => match which % 3 {
                0 => engine.get(KvpPool::new(*pool), &text(key)),
                1 => engine.set(KvpPool::new(*pool), &pair(*pool, key, value)),
                _ => engine.delete(KvpPool::new(*pool), &text(key)),
            },
        }
        .is_ok()
    }, true, true;
    Vss: |_now| [], |engine, what| engine.ask(VssOperation::new(plain(what).0)).is_ok(), true, true;
    FileCopy: |_now| [], |engine, what| match what {
        Request::Plain(which, _) if which % 2 == 0 => engine.cancel(),
        Request::Plain(..) => engine.complete(),
        Request::Text(which, _, name, path) if which % 2 == 0 => {
            engine.start(&text(name), &text(path), FileCopyFlags::empty(), 7)
        }
        Request::Text(_, offset, data, _) => engine.write((*offset).into(), &data.0),
    }
    .is_ok(), true, true;
}

macro_rules! make {
    ($service:expr, $($facts:ident => $end:expr,)*) => {
        match $service.name {
            $(name if name == Service::$facts.name => Box::new($end),)*
            name => panic!("{name}"),
        }
    };
}

/// The host's end of a service.
pub fn host<'a>(service: &Service, rings: RingPair<Hostile>, scratch: &'a mut [u8]) -> Box<dyn End + 'a> {
    let enough = "enough for every service";
    make!(service,
        HEARTBEAT => Host(host::Heartbeat::new(rings, scratch).expect(enough)),
        SHUTDOWN => Host(host::Shutdown::new(rings, scratch).expect(enough)),
        TIME_SYNC => Host(host::TimeSync::new(rings, scratch).expect(enough)),
        KVP => Host(host::Kvp::new(rings, scratch).expect(enough)),
        VSS => Host(host::Vss::new(rings, scratch).expect(enough)),
        FILE_COPY => Host(host::FileCopy::new(rings, scratch).expect(enough)),
    )
}

/// The guest's end of a service.
pub fn guest<'a>(service: &Service, rings: RingPair<Hostile>, scratch: &'a mut [u8]) -> Box<dyn End + 'a> {
    let enough = "enough for every service";
    make!(service,
        HEARTBEAT => Guest { engine: guest::Heartbeat::new(rings, scratch).expect(enough), asked: false },
        SHUTDOWN => Guest { engine: guest::Shutdown::new(rings, scratch).expect(enough), asked: false },
        TIME_SYNC => Guest { engine: guest::TimeSync::new(rings, scratch).expect(enough), asked: false },
        KVP => Guest { engine: guest::Kvp::new(rings, scratch).expect(enough), asked: false },
        VSS => Guest { engine: guest::Vss::new(rings, scratch).expect(enough), asked: false },
        FILE_COPY => Guest { engine: guest::FileCopy::new(rings, scratch).expect(enough), asked: false },
    )
}
