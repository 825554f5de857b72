//! What a guest does from its first message to its last, each step judged: the demonstration.

use storvsc_proto::guest::{Disk, Outcome, Request, unmap_list};
use thiserror::Error;
use vmbus_proto::guest::{DisconnectReason, OpenedChannel};
use vmbus_proto::wire::{Version, interface};

use crate::error::{Error, Result, unexpected};
use crate::guest::{DEPTH, DiskDriver, describe};
use crate::machine::{Machine, Options, Threads};
use crate::ram::{PAGE, Ring};

/// Bytes that a command of the demonstration transfers.
const TRANSFER: usize = 64 << 10;
/// Bytes that are written and read back.
const WRITTEN: usize = 512 << 10;

/// Bytes of the disk that are read to measure: what a processor's cache holds.
const HOT: usize = 1 << 20;

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
    machine: Machine,
    drivers: Option<Drivers>,
}

/// The drivers of a connection.
#[derive(Debug)]
struct Drivers {
    disk: Disk,
    primary: DiskDriver,
    sub_channels: Vec<DiskDriver>,
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
        let mut session = Self {
            machine,
            drivers: None,
        };
        session.connect(&mut steps, options.version)?;
        session.open(&mut steps)?;
        session.use_disk(&mut steps)?;
        Ok(session)
    }

    /// Takes leave of the host, connects anew, finds what was written, and takes leave for good.
    ///
    /// # Errors
    /// The first step that fails.
    pub fn finish(mut self, options: &Options, report: &mut dyn FnMut(Step)) -> Result<(), Failure> {
        let mut steps = Steps(report);
        self.unload(&mut steps)?;
        self.connect(&mut steps, options.version)?;
        self.open(&mut steps)?;
        let (machine, drivers) = (&mut self.machine, &mut self.drivers);
        steps.step("data", || {
            let Drivers { disk, primary, .. } = in_use(drivers)?;
            compare(machine, primary, disk, 0, &pattern(TRANSFER, 0))?;
            Ok(((), "what was written before is there".into()))
        })?;
        self.unload(&mut steps)
    }

    /// Reads `count` pages from the first MiB of the disk, `depth` at a time. Returns how many were read.
    pub(crate) fn read_pages(&mut self, depth: usize, count: u64) -> Result<u64> {
        let Drivers { disk, primary, .. } = in_use(&mut self.drivers)?;
        let depth = depth.clamp(1, DEPTH);
        let page = blocks(disk, PAGE);
        let end = lba(disk, HOT);
        let (mut lba, mut submitted, mut done) = (0, 0, 0);
        let mut next = || {
            if submitted == count {
                return None;
            }
            submitted += 1;
            let request = disk.read(lba, page).ok()?;
            lba += u64::from(page);
            if lba >= end {
                lba = 0;
            }
            Some(request.cdb)
        };
        while done < count {
            primary.submit_reads(self.machine.guest(), depth, &mut next)?;
            done += self.machine.until("the end of a read", |guest| {
                let taken = primary.take_reads(guest)?;
                Ok((taken > 0).then_some(taken as u64))
            })?;
        }
        Ok(done)
    }

    fn connect(&mut self, steps: &mut Steps<'_>, highest: Version) -> Result<(), Failure> {
        let machine = &mut self.machine;
        steps.step("connect", || {
            machine.guest_mut().connect()?;
            let connected = machine.until("the answer to INITIATE_CONTACT", |guest| Ok(guest.connected()))?;
            if connected.version != highest {
                return Err(unexpected(
                    "the host",
                    format_args!("it speaks {}", connected.version),
                ));
            }
            let detail = format!(
                "VMBus {}, messages to connection {:#x}, features {}",
                connected.version.dotted(),
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
                    format!("{class} on channel {}", offer.channel.relid())
                })
                .collect();
            Ok(((), words.join(", ")))
        })
    }

    /// Opens the devices' channels, and learns what the devices are.
    fn open(&mut self, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let machine = &mut self.machine;
        let primary = steps.step("disk channel", || {
            let opened = open_primary(machine)?;
            let mut driver = DiskDriver::primary(machine.guest(), opened)?;
            let (version, properties) = machine.until("the end of the negotiation", |guest| {
                driver.serve(guest)?;
                Ok(driver.ready())
            })?;
            let detail = format!(
                "SCSI protocol {version}, up to {} KiB a command, {} sub-channel(s)",
                properties.max_transfer_bytes >> 10,
                properties.max_sub_channels,
            );
            Ok((driver, detail))
        })?;
        let (disk, primary) = steps.step("disk identity", || {
            let mut primary = primary;
            let mut identify = primary.identify()?;
            let mut commands = 0;
            while let Some(request) = identify.request() {
                let (outcome, bytes) = execute(machine, &mut primary, &request, None)?;
                identify.answer(&outcome, &bytes)?;
                commands += 1;
            }
            let disk = identify
                .disk()
                .ok_or_else(|| unexpected("the guest's disk", "no disk"))?;
            let detail = format!("{} ({commands} commands)", describe(&disk));
            Ok(((disk, primary), detail))
        })?;
        let drivers = Drivers {
            disk,
            primary,
            sub_channels: Vec::new(),
        };
        self.drivers = Some(drivers);
        Ok(())
    }

    fn use_disk(&mut self, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let (machine, drivers) = (&mut self.machine, &mut self.drivers);
        steps.step("write, read", || {
            let Drivers { disk, primary, .. } = in_use(drivers)?;
            for at in (0..WRITTEN).step_by(TRANSFER) {
                let request = disk.write(lba(disk, at), blocks(disk, TRANSFER), false)?;
                good(execute(machine, primary, &request, Some(&pattern(TRANSFER, at)))?)?;
            }
            for at in (0..WRITTEN).step_by(TRANSFER) {
                compare(machine, primary, disk, at, &pattern(TRANSFER, at))?;
            }
            let detail = format!(
                "{} KiB in commands of {} KiB, every byte compared",
                WRITTEN >> 10,
                TRANSFER >> 10
            );
            Ok(((), detail))
        })?;
        steps.step("flush", || {
            let Drivers { disk, primary, .. } = in_use(drivers)?;
            good(execute(machine, primary, &disk.flush(), None)?)?;
            Ok(((), "done".into()))
        })?;
        steps.step("discard", || {
            let Drivers { disk, primary, .. } = in_use(drivers)?;
            let at = WRITTEN - TRANSFER;
            let ranges = [(lba(disk, at), blocks(disk, TRANSFER))];
            let request = disk.discard(&ranges)?;
            let mut list = vec![0; request.len as usize];
            unmap_list(&ranges, &mut list)
                .ok_or_else(|| unexpected("the guest's disk", "a list too long"))?;
            good(execute(machine, primary, &request, Some(&list))?)?;
            compare(machine, primary, disk, at, &[0; TRANSFER])?;
            compare(machine, primary, disk, 0, &pattern(TRANSFER, 0))?;
            Ok(((), format!("{} KiB, which read as zeros", TRANSFER >> 10)))
        })?;
        steps.step("sub-channels", || {
            let drivers = in_use(drivers)?;
            let count = drivers.primary.ready().map_or(0, |(_, it)| it.max_sub_channels);
            if count > 0 {
                drivers.open_sub_channels(machine, count)?;
            }
            for driver in &mut drivers.sub_channels {
                compare(
                    machine,
                    driver,
                    &drivers.disk,
                    TRANSFER,
                    &pattern(TRANSFER, TRANSFER),
                )?;
            }
            Ok(((), format!("{count} opened, each read from")))
        })
    }

    fn unload(&mut self, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let (machine, drivers) = (&mut self.machine, &mut self.drivers);
        steps.step("close", || {
            let Some(Drivers {
                primary,
                mut sub_channels,
                ..
            }) = drivers.take()
            else {
                return Err(unexpected("the guest", "no driver"));
            };
            sub_channels.push(primary);
            let count = sub_channels.len();
            for driver in sub_channels {
                if !driver.is_idle() {
                    return Err(unexpected("the guest's disk", "commands are under way"));
                }
                let channel = driver.channel();
                // The rings are gone before the channel is closed.
                drop(driver);
                machine.close(channel)?;
            }
            Ok((
                (),
                format!("{count} channel(s), the memory of whose rings came back"),
            ))
        })?;
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
        })
    }
}

impl Drivers {
    fn open_sub_channels(&mut self, machine: &mut Machine, count: u16) -> Result<()> {
        let Self {
            primary,
            sub_channels,
            ..
        } = self;
        primary.ask_sub_channels(machine.guest(), count)?;
        let granted = machine.until("the answer to a request for sub-channels", |guest| {
            primary.serve(guest)?;
            Ok(primary.sub_channels_granted())
        })?;
        if !granted {
            return Err(unexpected("the host's disk", "no sub-channels"));
        }
        for index in 1..=count {
            let parent = primary.channel();
            let channel = machine.until("the offer of a sub-channel", |guest| {
                Ok(guest.sub_channel(parent, index))
            })?;
            let opened = machine.open(channel)?;
            sub_channels.push(DiskDriver::sub_channel(machine.guest(), opened, primary)?);
        }
        Ok(())
    }
}

fn in_use(drivers: &mut Option<Drivers>) -> Result<&mut Drivers> {
    drivers
        .as_mut()
        .ok_or_else(|| unexpected("the guest", "no driver"))
}

fn open_primary(machine: &mut Machine) -> Result<OpenedChannel<Ring>> {
    let offer = machine.guest().primary(interface::SCSI);
    let offer = offer.ok_or_else(|| unexpected("the host", "it offers no disk"))?;
    machine.open(offer.channel)
}

/// Runs one command by itself.
fn execute(
    machine: &mut Machine,
    driver: &mut DiskDriver,
    request: &Request,
    data: Option<&[u8]>,
) -> Result<(Outcome, Vec<u8>)> {
    driver.start(machine.guest(), request, data)?;
    machine.until("the end of a command", |guest| driver.finish(guest, request.len))
}

fn good((outcome, bytes): (Outcome, Vec<u8>)) -> Result<Vec<u8>> {
    if outcome.is_good() {
        Ok(bytes)
    } else {
        Err(unexpected("a command", format_args!("{outcome:?}")))
    }
}

/// Reads from byte `at` of the disk on, and compares.
fn compare(
    machine: &mut Machine,
    driver: &mut DiskDriver,
    disk: &Disk,
    at: usize,
    with: &[u8],
) -> Result<()> {
    let request = disk.read(lba(disk, at), blocks(disk, with.len()))?;
    let bytes = good(execute(machine, driver, &request, None)?)?;
    match bytes.iter().zip(with).position(|(read, written)| read != written) {
        Some(wrong) => Err(unexpected(
            "the disk",
            format_args!("byte {} is wrong", at + wrong),
        )),
        None => Ok(()),
    }
}

fn lba(disk: &Disk, at: usize) -> u64 {
    at as u64 / u64::from(disk.block_len().max(1))
}

fn blocks(disk: &Disk, len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX) / disk.block_len().max(1)
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
    names.unwrap_or(&text).to_ascii_lowercase()
}
