//! Every decoder on raw bytes: what decodes encodes to bytes that decode to the same, and where nothing in the bytes is
//! without meaning, to the same bytes.

use std::fmt::{Debug, Display};

use hvcall::vpset::VpSet;
use netvsc_proto::wire::{nvsp_message, ppi, rndis_message};
use storvsc_proto::guest::{Identify, Outcome, Properties};
use storvsc_proto::scsi::{AdditionalSense, Cdb, Command, ScsiStatus, Sense, dvd};
use storvsc_proto::wire::{LunAddress, PacketForm, PacketHeader, SrbStatus};
use vmbus_proto::device::wire::{dynamic_memory, keyboard, mouse};
use vmbus_proto::ic::wire as ic;
use vmbus_proto::wire as vmbus;
use vmbus_ringbuf::gpa::GpaRanges;

use crate::input::Bytes;
use crate::{hypercall, steps};

/// Longer than any message.
const ROOM: usize = 0x2_0000;

steps! {
    /// Which decoder.
    pub enum Decoder {
        VmbusGuest,
        VmbusHost,
        IcGuest,
        IcHost,
        MemoryGuest,
        MemoryHost,
        KeyboardGuest,
        KeyboardHost,
        MouseGuest,
        MouseHost,
        StorvscGuest,
        StorvscHost,
        Scsi,
        SenseData,
        NvspGuest,
        /// With the version that was negotiated.
        NvspHost(version: u32),
        RndisGuest,
        RndisHost,
        PacketInfo,
        /// With a count of ranges.
        Ranges(count: u32),
        VpSets,
        Words,
        /// A driver that asks what a disk is.
        Identify,
        /// A structure of the hypervisor's.
        Hypervisor(which: u8),
    }
}

steps! {
    /// What is decoded.
    pub struct Input {
        pub decoder: Decoder,
        pub bytes: Bytes,
    }
}

/// Decodes, encodes and decodes again. Gives what the first decoding found, and the bytes of it.
macro_rules! round {
    ($bytes:expr, $decode:expr, $encode:expr) => {
        $decode($bytes).ok().map(|first| {
            show(&first);
            let encoded: Vec<u8> = $encode(&first);
            {
                let again = $decode(&encoded).expect("what is encoded decodes");
                assert_eq!(again, first, "something was lost");
                assert_eq!($encode(&again), encoded, "not a fixed point");
            }
            (format!("{first:?}"), encoded)
        })
    };
}

fn show(value: &impl Debug) {
    // What a trace would print.
    let _ = format!("{value:?}");
}

fn told(value: &impl Display) {
    assert!(!value.to_string().is_empty());
}

fn filled(write: impl FnOnce(&mut [u8]) -> usize) -> Vec<u8> {
    let mut out = vec![0; ROOM];
    let len = write(&mut out);
    out.truncate(len);
    out
}

impl Input {
    /// Decodes it.
    pub fn run(self) {
        let bytes = &self.bytes.0[..];
        match self.decoder {
            Decoder::VmbusGuest => {
                let round = round!(
                    bytes,
                    vmbus::GuestMessage::decode,
                    |message: &vmbus::GuestMessage<'_>| {
                        told(message);
                        message.encode().expect("a list that came in a message").to_vec()
                    }
                );
                same_message(bytes, round);
            }
            Decoder::VmbusHost => {
                let round = round!(
                    bytes,
                    vmbus::HostMessage::decode,
                    |message: &vmbus::HostMessage| {
                        told(message);
                        message.encode().to_vec()
                    }
                );
                same_message(bytes, round);
            }
            Decoder::IcGuest => {
                round!(bytes, ic::GuestMessage::decode, |(envelope, message): &(
                    ic::Envelope,
                    ic::GuestMessage<'_>
                )| {
                    told(message);
                    told(envelope);
                    filled(|out| message.encode(envelope, out).expect("room").len())
                });
            }
            Decoder::IcHost => {
                round!(bytes, ic::HostMessage::decode, |(envelope, message): &(
                    ic::Envelope,
                    ic::HostMessage<'_>
                )| {
                    told(message);
                    filled(|out| message.encode(envelope, out).expect("room").len())
                });
            }
            Decoder::MemoryGuest => {
                round!(
                    bytes,
                    dynamic_memory::GuestMessage::decode,
                    |message: &dynamic_memory::GuestMessage<'_>| {
                        filled(|out| message.encode(out).expect("room"))
                    }
                );
            }
            Decoder::MemoryHost => {
                round!(
                    bytes,
                    dynamic_memory::HostMessage::decode,
                    |message: &dynamic_memory::HostMessage<'_>| {
                        filled(|out| message.encode(out).expect("room"))
                    }
                );
            }
            Decoder::KeyboardGuest => {
                round!(
                    bytes,
                    keyboard::GuestMessage::decode,
                    |message: &keyboard::GuestMessage| { filled(|out| message.encode(out).expect("room")) }
                );
            }
            Decoder::KeyboardHost => {
                round!(
                    bytes,
                    keyboard::HostMessage::decode,
                    |message: &keyboard::HostMessage| { filled(|out| message.encode(out).expect("room")) }
                );
            }
            Decoder::MouseGuest => {
                round!(
                    bytes,
                    mouse::GuestMessage::decode,
                    |message: &mouse::GuestMessage| { filled(|out| message.encode(out).expect("room")) }
                );
            }
            Decoder::MouseHost => {
                round!(
                    bytes,
                    mouse::HostMessage::decode,
                    |message: &mouse::HostMessage<'_>| { filled(|out| message.encode(out).expect("room")) }
                );
            }
            Decoder::StorvscGuest => {
                round!(
                    bytes,
                    storvsc_proto::wire::GuestMessage::decode,
                    |message: &storvsc_proto::wire::GuestMessage| {
                        told(message);
                        message.encode(PacketForm::Long).as_bytes().to_vec()
                    }
                );
            }
            Decoder::StorvscHost => storvsc_host(bytes),
            Decoder::Scsi => scsi(bytes),
            Decoder::SenseData => sense(bytes),
            Decoder::NvspGuest => {
                round!(
                    bytes,
                    nvsp_message::GuestMessage::decode,
                    |message: &nvsp_message::GuestMessage<'_>| {
                        told(message);
                        filled(|out| {
                            message
                                .encode(netvsc_proto::wire::nvsp::Version::V6_1, out)
                                .expect("room")
                                .len()
                        })
                    }
                );
            }
            Decoder::NvspHost(version) => {
                let version = netvsc_proto::wire::nvsp::Version::new(version);
                round!(
                    bytes,
                    |bytes| nvsp_message::HostMessage::decode(bytes, version),
                    |message: &nvsp_message::HostMessage<'_>| {
                        told(message);
                        filled(|out| message.encode(version, out).expect("room").len())
                    }
                );
            }
            Decoder::RndisGuest => {
                fixed_point(bytes, |bytes| {
                    let message = rndis_message::GuestMessage::decode(bytes).ok()?;
                    let encoded = filled(|out| message.encode(out).expect("room").len());
                    Some((message.to_string(), encoded))
                });
                walk_transfer(bytes);
            }
            Decoder::RndisHost => {
                fixed_point(bytes, |bytes| {
                    let message = rndis_message::HostMessage::decode(bytes).ok()?;
                    let encoded = filled(|out| message.encode(out).expect("room").len());
                    Some((message.to_string(), encoded))
                });
                walk_transfer(bytes);
            }
            Decoder::PacketInfo => walk_info(bytes),
            Decoder::Ranges(count) => ranges(count, bytes),
            Decoder::VpSets => {
                round!(
                    bytes,
                    |bytes| VpSet::decode(bytes).map(|(set, len)| {
                        assert!(len <= bytes.len());
                        set
                    }),
                    |set: &VpSet| {
                        let bytes = filled(|out| set.encode(out).expect("room"));
                        assert_eq!(bytes.len(), 16 + 8 * usize::from(set.banks()));
                        bytes
                    }
                );
            }
            Decoder::Words => words(bytes),
            Decoder::Identify => identify(bytes),
            Decoder::Hypervisor(which) => hypercall::words::bytes(which, bytes),
        }
    }
}

/// Of messages whose offsets are computed anew: what is encoded means the same, and encodes to itself.
fn fixed_point(bytes: &[u8], round: impl Fn(&[u8]) -> Option<(String, Vec<u8>)>) {
    if let Some((meaning, encoded)) = round(bytes) {
        assert_eq!(round(&encoded), Some((meaning, encoded.clone())));
    }
}

/// A channel message has no byte without a meaning but the padding in its header and behind it.
fn same_message(bytes: &[u8], round: Option<(String, Vec<u8>)>) {
    let Some((message, mut encoded)) = round else {
        return;
    };
    assert!(
        encoded.len() <= bytes.len() && bytes.len() - encoded.len() < 8,
        "{message}"
    );
    encoded[4..8].copy_from_slice(&bytes[4..8]);
    assert_eq!(encoded, bytes[..encoded.len()], "{message}");
}

fn storvsc_host(bytes: &[u8]) {
    use storvsc_proto::wire::{Completion, HostMessage};

    let Ok(first) = HostMessage::decode(bytes) else {
        return;
    };
    told(&first);
    let encoded = first.encode(PacketForm::Long);
    let again = HostMessage::decode(encoded.as_bytes()).expect("what is encoded decodes");
    let (HostMessage::CompleteIo(first), HostMessage::CompleteIo(again)) = (&first, &again) else {
        assert_eq!(again, first);
        return;
    };
    // The same but for zeros behind it: what a short one has no room for is told as an error, and then as zeros.
    assert_eq!(again.status, first.status);
    fn kept<T: PartialEq + Debug, E>(first: Result<T, E>, again: Result<T, E>) {
        if let Ok(first) = first {
            assert_eq!(again.ok(), Some(first));
        }
    }
    // Of an SRB between its two forms the short one counts, and of the packet all that came.
    let body = bytes.len().saturating_sub(size_of::<PacketHeader>());
    if body <= PacketForm::Short.body_len() || body >= PacketForm::Long.body_len() {
        kept(first.srb(), again.srb());
    }
    kept(first.properties(), again.properties());
    kept(first.version(), again.version());
    kept(first.fc_hba(), again.fc_hba());
    let sense = |completion: &Completion, form| {
        completion
            .srb()
            .ok()
            .and_then(|srb| srb.sense(form).map(Sense::decode))
    };
    let _ = (sense(first, PacketForm::Short), sense(first, PacketForm::Long));
}

fn scsi(bytes: &[u8]) {
    let Ok(cdb) = Cdb::new(bytes) else {
        return;
    };
    assert_eq!(cdb.as_bytes(), bytes);
    told(&cdb);
    if let Ok(command) = dvd::DvdCommand::parse(&cdb) {
        show(&command);
        assert_eq!(dvd::DvdCommand::parse(&command.to_cdb()), Ok(command), "{cdb}");
    }
    match Command::parse(&cdb) {
        Ok(command) => {
            let again = Command::parse(&command.to_cdb());
            assert_eq!(again, Ok(command), "{cdb}");
        }
        Err(error) => told(&error.sense()),
    }
}

/// Answers to what a driver asks, each with a byte before it that says how the command ended.
fn identify(mut bytes: &[u8]) {
    let properties = Properties {
        max_transfer_bytes: 0x1_0000,
        max_sub_channels: 0,
    };
    let mut identify = Identify::new(LunAddress::lun(0), properties);
    let mut asked = 0;
    while let (Some(request), Some((how, rest))) = (identify.request(), bytes.split_first()) {
        asked += 1;
        assert!(asked < 32, "it asks and asks");
        let buffer = &rest[..rest.len().min(request.len as usize)];
        bytes = &rest[buffer.len()..];
        let failed = how % 4 == 3;
        let outcome = Outcome {
            srb_status: match how % 8 {
                1 => SrbStatus::INVALID_LUN,
                2 => SrbStatus::DATA_OVERRUN,
                3 => SrbStatus::ERROR,
                _ => SrbStatus::SUCCESS,
            },
            scsi_status: if failed {
                ScsiStatus::CHECK_CONDITION
            } else {
                ScsiStatus::GOOD
            },
            transferred: if failed { 0 } else { buffer.len() as u32 },
            sense: failed.then(|| {
                Sense::decode(buffer).unwrap_or(Sense::illegal_request(AdditionalSense::INVALID_FIELD_IN_CDB))
            }),
        };
        if let Err(error) = identify.answer(&outcome, buffer) {
            told(&error);
            return;
        }
    }
    let Some(disk) = identify.disk() else { return };
    assert!(disk.block_len().is_power_of_two() && disk.blocks() > 0);
    for (lba, count) in [
        (0, 1),
        (disk.blocks() - 1, 1),
        (disk.blocks(), 1),
        (0, u32::MAX),
        (u64::MAX, 2),
    ] {
        let within = lba
            .checked_add(count.into())
            .is_some_and(|end| end <= disk.blocks());
        for result in [disk.read(lba, count), disk.write(lba, count, true)] {
            assert!(within || result.is_err());
            let _ = result.map(|request| Command::parse(&request.cdb).expect("a command"));
        }
        let _ = disk.discard(&[(lba, count)]);
    }
    let _ = (disk.flush(), disk.max_transfer_blocks());
}

fn sense(bytes: &[u8]) {
    let Ok(sense) = Sense::decode(bytes) else {
        return;
    };
    told(&sense);
    assert_eq!(Sense::decode(&sense.to_descriptor()), Ok(sense));
    if sense.information.is_none_or(|lba| u32::try_from(lba).is_ok()) {
        assert_eq!(Sense::decode(&sense.to_fixed()), Ok(sense));
    }
}

/// One transfer may hold several messages.
fn walk_transfer(bytes: &[u8]) {
    let mut rest = bytes;
    let mut messages = 0;
    while let Ok(framed) = rndis_message::Framed::split(rest) {
        assert!(framed.rest.len() + 8 + framed.body.len() == rest.len());
        messages += 1;
        for packet in [
            framed.guest().ok().and_then(|message| match message {
                rndis_message::GuestMessage::Packet(packet) => Some(packet),
                _ => None,
            }),
            framed.host().ok().and_then(|message| match message {
                rndis_message::HostMessage::Packet(packet) => Some(packet),
                _ => None,
            }),
        ]
        .into_iter()
        .flatten()
        {
            assert!(packet.ppi.len() <= framed.body.len() && packet.data.len() <= framed.body.len());
            walk_info(packet.ppi);
        }
        rest = framed.rest;
    }
    assert!(messages <= bytes.len() / 8);
}

fn walk_info(bytes: &[u8]) {
    let mut walk = ppi::PpiWalk::new(bytes);
    let mut data = 0;
    let mut failed = false;
    for record in walk.by_ref() {
        assert!(!failed, "a fault ends the walk");
        match record {
            Ok(record) => {
                assert!(!record.data.is_empty());
                data += record.data.len();
                show(&record);
                let word = record.read::<[u8; 4]>();
                assert_eq!(word.is_some(), record.data.len() >= 4);
            }
            Err(fault) => {
                told(&fault);
                failed = true;
            }
        }
    }
    assert!(data <= bytes.len() && walk.next().is_none());
}

fn ranges(count: u32, bytes: &[u8]) {
    // A count that could be, more often than not.
    let count = if count & 0xff00 == 0 { count & 0x3f } else { count };
    let Ok(ranges) = GpaRanges::parse(count, bytes) else {
        return;
    };
    assert_eq!(ranges.len(), count as usize);
    crate::ring::check_ranges(&ranges, bytes.len());
}

/// Registers, leaves and control words.
fn words(bytes: &[u8]) {
    let (words, _) = bytes.as_chunks();
    for word in words.iter().take(4) {
        hypercall::words::word(u64::from_le_bytes(*word));
    }
    if let Some(registers) = bytes.first_chunk::<16>() {
        let (words, _) = registers.as_chunks::<4>();
        hypercall::words::leaf(std::array::from_fn(|at| u32::from_le_bytes(words[at])));
    }
}
