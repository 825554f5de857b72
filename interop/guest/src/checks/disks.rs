//! Checks of disks.

use core::time::Duration;

use storvsc_proto::guest::{Disk, Properties, Request};
use storvsc_proto::scsi::{AdditionalSense, Command, ScsiStatus, SenseKey};
use storvsc_proto::wire::{LunAddress, ProtocolVersion};
use vmbus_proto::guest::ChannelId;
use vmbus_proto::wire::interface;

use super::Lab;
use crate::disk::{BUFFER_LEN, Channel, Moved, Transfer};
use crate::kept::{SPARED, WRITTEN};
use crate::report::{Text, Verdict};
use crate::session::Session;
use crate::{cpu, println, text};

/// Every controller's disk is there.
const LUN: LunAddress = LunAddress::lun(0);
/// What `rescind` writes after that until the disk is taken away.
const LOAD: u64 = 16 << 20;
const LOAD_SEED: u64 = 8;
/// The controller whose disk is taken away, in the order of offers; the machine's device of the same number.
const SPARE: u8 = 1;

/// A disk that is in use.
#[derive(Debug)]
pub(super) struct Drive<'m> {
    channel: Channel<'m>,
    version: ProtocolVersion,
    properties: Properties,
    disk: Disk,
}

impl<'m> Drive<'m> {
    fn open(session: &mut Session<'m>, index: usize) -> Result<Self, Text> {
        let offer = session.device(interface::SCSI, index)?;
        let (mut channel, version, properties) = Channel::primary(session, &offer)?;
        let disk = channel.identify(session, LUN, properties)?;
        Ok(Self {
            channel,
            version,
            properties,
            disk,
        })
    }

    fn transfer(&mut self, session: &mut Session<'m>, transfer: &Transfer) -> Result<(), Text> {
        match self.channel.transfer(session, &self.disk, transfer, |_| ())? {
            Moved::All => Ok(()),
            Moved::Rescinded { .. } => Err(text!("the disk was taken away")),
        }
    }

    fn flush(&mut self, session: &mut Session<'m>) -> Result<(), Text> {
        let outcome = self.channel.command(session, LUN, &self.disk.flush())?;
        if outcome.is_good() {
            Ok(())
        } else {
            Err(text!("the flush ended with {outcome:?}"))
        }
    }

    /// Gives its rings up.
    pub(super) fn give_up(self) {
        self.channel.give_up();
    }
}

fn drive<'a, 'm>(disk: &'a mut Option<Drive<'m>>) -> Result<&'a mut Drive<'m>, Text> {
    disk.as_mut().ok_or(text!("there is no disk"))
}

/// The first controller's disk tells what it is.
pub(super) fn identify(lab: &mut Lab<'_>) -> Verdict {
    let drive = Drive::open(&mut lab.session, 0)?;
    let (disk, version) = (drive.disk, drive.version);
    lab.disk = Some(drive);
    if disk.blocks() * u64::from(disk.block_len()) < WRITTEN.len || disk.is_read_only() {
        return Err(text!(
            "not a disk to be written {} MiB: {disk:?}",
            WRITTEN.len >> 20
        ));
    }
    Ok(text!(
        "storvsc {version}, {} blocks of {}, write cache {}",
        disk.blocks(),
        disk.block_len(),
        if disk.has_write_cache() { "on" } else { "off" }
    ))
}

/// What is written is read again.
pub(super) fn write_read(lab: &mut Lab<'_>) -> Verdict {
    let (session, drive) = (&mut lab.session, drive(&mut lab.disk)?);
    let write = Transfer {
        write: true,
        offset: 0,
        len: WRITTEN.len,
        seed: WRITTEN.seed,
    };
    let start = session.now();
    drive.transfer(session, &write)?;
    let written = session.now();
    drive.transfer(
        session,
        &Transfer {
            write: false,
            ..write
        },
    )?;
    let read = session.now();
    println!("@figure disk_write_mb_s {}", rate(WRITTEN.len, written - start));
    println!("@figure disk_read_mb_s {}", rate(WRITTEN.len, read - written));
    Ok(text!("{} MiB, the same when read", WRITTEN.len >> 20))
}

/// 10^6 bytes a second, in hundredths: there is no floating point here.
pub(super) fn rate(bytes: u64, time: Duration) -> Text {
    let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1);
    let hundredths = bytes.saturating_mul(100) / micros;
    text!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A flush is answered.
pub(super) fn flush(lab: &mut Lab<'_>) -> Verdict {
    drive(&mut lab.disk)?.flush(&mut lab.session)?;
    Ok(text!("answered"))
}

/// A read beyond the last block is refused as SBC-4 says: CHECK CONDITION, ILLEGAL REQUEST, LOGICAL BLOCK ADDRESS OUT OF RANGE.
pub(super) fn out_of_range(lab: &mut Lab<'_>) -> Verdict {
    let drive = drive(&mut lab.disk)?;
    let command = Command::Read {
        lba: drive.disk.blocks(),
        blocks: 1,
        force_unit_access: false,
    };
    let request = Request {
        cdb: command.to_cdb(),
        len: drive.disk.block_len(),
    };
    let outcome = drive.channel.command(&mut lab.session, LUN, &request)?;
    let sense = outcome.sense.map(|sense| (sense.key, sense.additional));
    let expected = (SenseKey::ILLEGAL_REQUEST, AdditionalSense::LBA_OUT_OF_RANGE);
    if outcome.scsi_status == ScsiStatus::CHECK_CONDITION && sense == Some(expected) {
        Ok(text!("{} / {}", expected.0, expected.1))
    } else {
        Err(text!("{outcome:?}"))
    }
}

/// The controller's sub-channels work as its primary channel does: each reads what was written, and is signalled for itself.
pub(super) fn sub_channels(lab: &mut Lab<'_>) -> Verdict {
    let (session, drive) = (&mut lab.session, drive(&mut lab.disk)?);
    let count = drive.properties.max_sub_channels;
    if count == 0 {
        return Err(text!("the controller has none"));
    }
    drive.channel.create_sub_channels(session, count)?;
    let primary = drive.channel.id;
    for index in 1..=count {
        let id = session.wait("a sub-channel's offer", |session| {
            let offer = session
                .offers()
                .iter()
                .find(|offer| offer.primary == Some(primary) && offer.sub_channel_index == index);
            Ok(offer.map(|offer| offer.channel))
        })?;
        let mut channel = Channel::sub_channel(session, id, drive.version, drive.properties)?;
        let before = session.signals(id);
        let transfer = Transfer {
            write: false,
            offset: 0,
            len: 8 * BUFFER_LEN as u64,
            seed: WRITTEN.seed,
        };
        channel.transfer(session, &drive.disk, &transfer, |_| ())?;
        if session.signals(id) == before {
            return Err(text!("sub-channel {index} answered without a signal"));
        }
        session.close(channel.give_up())?;
    }
    Ok(text!("{count} opened, read by and closed"))
}

/// The host takes a disk away under load: every command that was under way is told, and when the disk is back it has what was written.
pub(super) fn rescind(lab: &mut Lab<'_>) -> Verdict {
    let session = &mut lab.session;
    let mut drive = Drive::open(session, usize::from(SPARE))?;
    let kept = Transfer {
        write: true,
        offset: 0,
        len: SPARED.len,
        seed: SPARED.seed,
    };
    drive.transfer(session, &kept)?;
    drive.flush(session)?;
    let load = Transfer {
        write: true,
        offset: SPARED.len,
        len: LOAD,
        seed: LOAD_SEED,
    };
    let mut taken = false;
    let moved = drive.channel.transfer(session, &drive.disk, &load, |done| {
        if !taken && done >= LOAD / 4 {
            taken = true;
            cpu::have_device(SPARE, false);
        }
    })?;
    let Moved::Rescinded { under_way } = moved else {
        return Err(text!("the disk was not taken away"));
    };
    let offer = session.device(interface::SCSI, usize::from(SPARE));
    if offer.is_ok() {
        return Err(text!("the disk is gone and still offered"));
    }
    session.release(drive.channel.give_up())?;

    cpu::have_device(SPARE, true);
    session.wait("the disk's return", |session| {
        Ok(session.device(interface::SCSI, usize::from(SPARE)).ok())
    })?;
    let mut drive = Drive::open(session, usize::from(SPARE))?;
    drive.transfer(session, &Transfer { write: false, ..kept })?;
    session.close(drive.channel.give_up())?;
    Ok(text!(
        "gone with {under_way} commands under way, back with what was written"
    ))
}

/// The channel of the disk that is in use.
pub(super) fn channel(lab: &mut Lab<'_>) -> Result<ChannelId, Text> {
    Ok(drive(&mut lab.disk)?.channel.id)
}

/// A part of what was written is read again, one more or less long in each round.
pub(super) fn bystander(lab: &mut Lab<'_>, round: u32) -> Result<(), Text> {
    let (session, drive) = (&mut lab.session, drive(&mut lab.disk)?);
    let read = Transfer {
        write: false,
        offset: 0,
        len: u64::from(1 + round % 8) * BUFFER_LEN as u64,
        seed: WRITTEN.seed,
    };
    drive
        .transfer(session, &read)
        .map_err(|why| text!("the disk beside, in round {round}: {why}"))
}

/// After a second connection, the disk has what was written by the first; nothing where there was no disk.
pub(super) fn again(lab: &mut Lab<'_>) -> Result<Text, Text> {
    let session = &mut lab.session;
    if session.device(interface::SCSI, 0).is_err() {
        return Ok(Text::default());
    }
    let mut drive = Drive::open(session, 0)?;
    let transfer = Transfer {
        write: false,
        offset: 0,
        len: WRITTEN.len / 8,
        seed: WRITTEN.seed,
    };
    drive.transfer(session, &transfer)?;
    lab.disk = Some(drive);
    Ok(text!(", the disk has what was written"))
}
