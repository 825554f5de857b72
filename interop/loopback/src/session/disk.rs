//! The disk's part.

use storvsc_proto::guest::{Disk, Outcome, Request, unmap_list};
use vmbus_proto::wire::interface;

use super::{Failure, Steps, pattern};
use crate::error::{Result, unexpected};
use crate::guest::{DEPTH, DiskDriver, describe};
use crate::machine::Machine;
use crate::ram::PAGE;

/// Bytes that a command of the demonstration transfers.
const TRANSFER: usize = 64 << 10;
/// Bytes that are written and read back.
const WRITTEN: usize = 512 << 10;
/// Bytes of the disk that are read to measure: what a processor's cache holds.
const HOT: usize = 256 << 10;

/// A disk, and the drivers of its channels.
#[derive(Debug)]
pub(crate) struct DiskInUse {
    disk: Disk,
    primary: DiskDriver,
    sub_channels: Vec<DiskDriver>,
}

impl DiskInUse {
    /// Opens the primary channel, and learns what the disk is.
    pub(super) fn open(machine: &mut Machine, steps: &mut Steps<'_>) -> Result<Self, Failure> {
        let mut primary = steps.step("disk channel", || {
            let opened = machine.open_primary(interface::SCSI)?;
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
        let disk = steps.step("disk identity", || {
            let mut identify = primary.identify()?;
            let mut commands = 0;
            while let Some(request) = identify.request() {
                let (outcome, bytes) = execute(machine, &mut primary, &request, None)?;
                identify.answer(&outcome, &bytes)?;
                commands += 1;
            }
            let disk = identify.disk();
            let disk = disk.ok_or_else(|| unexpected("the guest's disk", "no disk"))?;
            let detail = format!("{} ({commands} commands)", describe(&disk));
            Ok((disk, detail))
        })?;
        Ok(Self {
            disk,
            primary,
            sub_channels: Vec::new(),
        })
    }

    /// Writes, reads, flushes, discards, and opens sub-channels.
    pub(super) fn try_out(&mut self, machine: &mut Machine, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let Self {
            disk,
            primary,
            sub_channels,
        } = self;
        steps.step("write, read", || {
            for at in (0..WRITTEN).step_by(TRANSFER) {
                let request = disk.write(lba(disk, at), blocks(disk, TRANSFER), false)?;
                good(execute(machine, primary, &request, Some(&pattern(TRANSFER, at)))?)?;
            }
            for at in (0..WRITTEN).step_by(TRANSFER) {
                compare(machine, primary, disk, at, &pattern(TRANSFER, at))?;
            }
            let (all, each) = (WRITTEN >> 10, TRANSFER >> 10);
            let detail = format!("{all} KiB in commands of {each} KiB, every byte compared");
            Ok(((), detail))
        })?;
        steps.step("flush", || {
            good(execute(machine, primary, &disk.flush(), None)?)?;
            Ok(((), "done".into()))
        })?;
        steps.step("discard", || {
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
        steps.step("disk channels", || {
            let count = primary.ready().map_or(0, |(_, it)| it.max_sub_channels);
            if count > 0 {
                *sub_channels = open_sub_channels(machine, primary, count)?;
            }
            for driver in sub_channels {
                compare(machine, driver, disk, TRANSFER, &pattern(TRANSFER, TRANSFER))?;
            }
            Ok(((), format!("{count} more opened, each read from")))
        })
    }

    /// Reads what was written over an earlier connection.
    pub(super) fn find_data(&mut self, machine: &mut Machine, steps: &mut Steps<'_>) -> Result<(), Failure> {
        steps.step("data", || {
            compare(machine, &mut self.primary, &self.disk, 0, &pattern(TRANSFER, 0))?;
            Ok(((), "what was written before is there".into()))
        })
    }

    /// Closes the channels, the sub-channels first.
    pub(super) fn close(self, machine: &mut Machine, steps: &mut Steps<'_>) -> Result<(), Failure> {
        let Self {
            primary,
            mut sub_channels,
            ..
        } = self;
        steps.step("disk closed", || {
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
        })
    }

    /// Reads `count` pages, `depth` at a time. Returns how many were read.
    pub(crate) fn read_pages(&mut self, machine: &mut Machine, depth: usize, count: u64) -> Result<u64> {
        let Self { disk, primary, .. } = self;
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
            primary.submit_reads(machine.guest(), depth, &mut next)?;
            done += machine.until("the end of a read", |guest| {
                let taken = primary.take_reads(guest)?;
                Ok((taken > 0).then_some(taken as u64))
            })?;
        }
        Ok(done)
    }
}

fn open_sub_channels(machine: &mut Machine, primary: &mut DiskDriver, count: u16) -> Result<Vec<DiskDriver>> {
    primary.ask_sub_channels(machine.guest(), count)?;
    let granted = machine.until("the answer to a request for sub-channels", |guest| {
        primary.serve(guest)?;
        Ok(primary.sub_channels_granted())
    })?;
    if !granted {
        return Err(unexpected("the host's disk", "no sub-channels"));
    }
    (1..=count)
        .map(|index| {
            let opened = machine.open_sub_channel(primary.channel(), index)?;
            DiskDriver::sub_channel(machine.guest(), opened, primary)
        })
        .collect()
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
