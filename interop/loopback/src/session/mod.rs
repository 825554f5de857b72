//! What a guest does from its first message to its last, each step judged: the demonstration.

mod disk;
mod nic;

use thiserror::Error;
use vmbus_proto::guest::DisconnectReason;
use vmbus_proto::wire::{Version, interface};

use crate::error::{Error, Result, unexpected};
use crate::machine::{Machine, Options, Threads};
use disk::DiskInUse;
use nic::NicInUse;

/// A step that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub name: &'static str,
    /// What came of it.
    pub detail: String,
}

/// A step that failed.
#[derive(Debug, Error)]
#[error("{step}: {error}")]
pub struct Failure {
    /// Which one.
    pub step: &'static str,
    /// Why.
    #[source]
    pub error: Error,
}

/// A connection with its devices in use.
#[derive(Debug)]
pub struct Session {
    pub(crate) machine: Machine,
    pub(crate) disk: DiskInUse,
    pub(crate) nic: NicInUse,
}

/// Runs steps, and has each told of.
struct Steps<'r>(&'r mut dyn FnMut(Step));

impl Steps<'_> {
    fn step<T>(
        &mut self,
        name: &'static str,
        step: impl FnOnce() -> Result<(T, String)>,
    ) -> Result<T, Failure> {
        let (value, detail) = step().map_err(|error| Failure { step: name, error })?;
        (self.0)(Step { name, detail });
        Ok(value)
    }
}

impl Session {
    /// Makes a machine, connects, and puts its devices to use.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn start(options: &Options, report: &mut dyn FnMut(Step)) -> Result<Self, Failure> {
        let mut steps = Steps(report);
        let machine = steps.step("machine", || {
            let machine = Machine::new(options)?;
            let threads = match options.threads {
                Threads::One => "guest and host take turns on one thread",
                Threads::Two => "guest and host on a thread each",
            };
            let detail = format!("{} MiB of memory, {threads}", options.memory_len >> 20);
            Ok((machine, detail))
        })?;
        let mut session = Self::open(machine, options.version, &mut steps)?;
        let Self { machine, disk, nic } = &mut session;
        disk.try_out(machine, &mut steps)?;
        nic.try_out(machine, options.sub_channels, &mut steps)?;
        Ok(session)
    }

    /// Takes leave of the host, connects anew, finds what was written, and takes leave for good.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn finish(self, options: &Options, report: &mut dyn FnMut(Step)) -> Result<(), Failure> {
        let mut steps = Steps(report);
        let machine = self.close(&mut steps)?;
        let mut session = Self::open(machine, options.version, &mut steps)?;
        let Self { machine, disk, .. } = &mut session;
        disk.find_data(machine, &mut steps)?;
        session.close(&mut steps).map(drop)
    }

    fn open(mut machine: Machine, version: Version, steps: &mut Steps<'_>) -> Result<Self, Failure> {
        connect(&mut machine, version, steps)?;
        let disk = DiskInUse::open(&mut machine, steps)?;
        let nic = NicInUse::open(&mut machine, steps)?;
        Ok(Self { machine, disk, nic })
    }

    /// Closes everything, and takes leave of the host.
    fn close(self, steps: &mut Steps<'_>) -> Result<Machine, Failure> {
        let Self {
            mut machine,
            disk,
            nic,
        } = self;
        nic.close(&mut machine, steps)?;
        disk.close(&mut machine, steps)?;
        steps.step("unload", || {
            machine.guest_mut().unload()?;
            let reason = machine.until("UNLOAD_RESPONSE", |guest| Ok(guest.disconnected()))?;
            let breaches = machine.guest().breaches();
            if reason != DisconnectReason::Unloaded || breaches > 0 {
                return Err(unexpected(
                    "the guest",
                    format_args!("{reason:?}, {breaches} breaches"),
                ));
            }
            Ok(((), "the host has let go of everything".into()))
        })?;
        Ok(machine)
    }
}

fn connect(machine: &mut Machine, highest: Version, steps: &mut Steps<'_>) -> Result<(), Failure> {
    steps.step("connect", || {
        machine.guest_mut().connect()?;
        let connected = machine.until("the answer to INITIATE_CONTACT", |guest| Ok(guest.connected()))?;
        let version = connected.version.dotted();
        if connected.version != highest {
            return Err(unexpected("the host", format_args!("it speaks {version}")));
        }
        let detail = format!(
            "VMBus {version}, messages to connection {:#x}, features {}",
            connected.message_connection.0,
            named(&connected.features),
        );
        Ok(((), detail))
    })?;
    steps.step("offers", || {
        let offers = machine.until("ALL_OFFERS_DELIVERED", |guest| {
            Ok(guest.offers().map(<[_]>::to_vec))
        })?;
        let words: Vec<_> = offers
            .iter()
            .map(|offer| {
                let class = interface::name(offer.interface).unwrap_or("unknown");
                format!("{class} on {}", offer.channel)
            })
            .collect();
        Ok(((), words.join(", ")))
    })
}

/// Bytes of which each place has others than its neighbours.
fn pattern(len: usize, at: usize) -> Vec<u8> {
    let byte = |at: usize| {
        let [byte, ..] = (at as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23)
            .to_le_bytes();
        byte
    };
    (at..at + len).map(byte).collect()
}

/// The names of flags.
fn named(flags: &impl std::fmt::Debug) -> String {
    let text = format!("{flags:?}");
    let names = text.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    match names.unwrap_or(&text) {
        "0x0" => "none".into(),
        names => names.to_ascii_lowercase().replace(" | ", ", "),
    }
}
