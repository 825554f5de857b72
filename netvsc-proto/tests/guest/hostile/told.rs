//! What the host tells and grants by itself.

use netvsc_proto::guest::{Event, Fault};
use netvsc_proto::wire::DecodeError;
use netvsc_proto::wire::nvsp::{self, MessageType, Status, Version};
use netvsc_proto::wire::nvsp_message::HostMessage;
use netvsc_proto::wire::rndis::{self, PacketFilter};
use netvsc_proto::wire::rndis_message::HostMessage as RndisHost;
use netvsc_proto::wire::status::RndisStatus;
use vmbus_proto::ringbuf::Descriptor;

use super::plain;
use crate::scripted::{Ask, Script};
use crate::support::{MAC, frame};

#[test]
fn case_13_more_sub_channels_than_asked_for() {
    for granted in [3, 4, u32::MAX, 0x1_0001] {
        let mut script = Script::<4096>::up();
        script.nic.create_sub_channels(2).unwrap();
        let answer = script.run_with(&mut |host, id, ask| {
            if !matches!(ask, Ask::Nvsp(_)) {
                return false;
            }
            let complete = nvsp::SubchannelComplete {
                status: Status::SUCCESS,
                count: granted.into(),
            };
            host.complete(id, &HostMessage::Subchannel(complete));
            true
        });
        let fault = Fault::SubChannels { asked: 2, granted };
        assert_eq!(answer, Err(fault));
        script.dead(fault);
    }
    // Refused, it can be asked again.
    let mut script = Script::<4096>::up();
    script.nic.create_sub_channels(3).unwrap();
    let refused = Status::FAILURE;
    script
        .run_with(&mut |host, id, _| {
            let complete = nvsp::SubchannelComplete {
                status: refused,
                count: 9.into(),
            };
            host.complete(id, &HostMessage::Subchannel(complete));
            true
        })
        .unwrap();
    script.told_only(&Event::SubChannels {
        status: refused,
        count: 0,
    });
    script.nic.create_sub_channels(3).unwrap();
    script.run().unwrap();
    assert_eq!(script.nic.sub_channels(), 3);
    script.alive();
}

#[test]
fn case_13_send_tables_that_lead_nowhere() {
    let mut script = Script::<4096>::up();
    let mut entries = [0_u32; 16];
    entries[1] = 3;
    entries[2] = 64;
    entries[3] = u32::MAX;
    script
        .host
        .tell(&HostMessage::SendIndirectionTable(entries.map(Into::into)));
    script.run().unwrap();
    let table = *script.nic.send_table();
    assert_eq!(table.entries()[..4], [0, 3, 64, u16::MAX]);
    for open in 1..=4 {
        assert!((0..64).all(|hash| table.queue_for(hash, open) < open));
    }
    assert_eq!((table.queue_for(1, 4), table.queue_for(0x31, 4)), (3, 3));
    script.alive();

    // An old host's offset is wrong; a count that is not 16 is no table.
    let mut bytes = [0; 104];
    bytes[..12].copy_from_slice([134_u32, 16, 36].map(u32::to_le_bytes).as_flattened());
    bytes[44..48].copy_from_slice(&2_u32.to_le_bytes());
    let mut old = Script::<4096>::new(|config| config.max_version = Version::V5);
    old.run().unwrap();
    old.host.write(0, Descriptor::InBand, &bytes);
    old.run().unwrap();
    assert_eq!(old.nic.send_table().queue_for(1, 4), 2);
    for (count, offset) in [
        (0, 40),
        (15, 40),
        (17, 40),
        (u32::MAX, 40),
        (16, 41),
        (16, u32::MAX),
        (16, 104),
    ] {
        let mut script = Script::<4096>::up();
        bytes[..12].copy_from_slice([134_u32, count, offset].map(u32::to_le_bytes).as_flattened());
        script.host.write(0, Descriptor::InBand, &bytes);
        let Err(fault @ Fault::Message(_)) = script.poll() else {
            panic!("{count} {offset}")
        };
        script.dead(fault);
    }
}

#[test]
fn case_15_frames_that_come_in_spite_of_filter_0() {
    let mut script = Script::<4096>::up();
    let id = script.nic.set_packet_filter(PacketFilter::empty()).unwrap();
    // Until it is answered they may come.
    script.alive();
    script.run().unwrap();
    script.told_only(&Event::Answered {
        id,
        status: RndisStatus::SUCCESS,
        info: &[],
    });
    script.frames.clear();
    script.host.give(7, &plain(1));
    script.run().unwrap();
    assert_eq!(
        (script.frames.len(), script.host.returned.pop()),
        (0, Some((7, Status::SUCCESS)))
    );
    assert_eq!(script.queue.stats().receive_unwanted, 1);
    // A filter that the host refuses changes nothing.
    script.nic.set_packet_filter(PacketFilter::DIRECTED).unwrap();
    script
        .run_with(&mut |host, id, ask| {
            let Ask::Rndis(netvsc_proto::wire::rndis_message::GuestMessage::Set(request, _)) = ask else {
                return false;
            };
            host.complete_transfer(id, Status::SUCCESS);
            let complete = rndis::Complete {
                request_id: request.request_id,
                status: RndisStatus::FAILURE,
            };
            host.reply(&RndisHost::SetComplete(complete));
            true
        })
        .unwrap();
    script.host.give(8, &plain(1));
    script.run().unwrap();
    assert_eq!(
        (script.frames.len(), script.nic.packet_filter()),
        (0, PacketFilter::empty())
    );
    script.nic.set_packet_filter(PacketFilter::DIRECTED).unwrap();
    script.run().unwrap();
    script.host.returned.clear();
    script.alive();
}

#[test]
fn frames_that_come_before_the_filter_is_answered() {
    let mut script = Script::<4096>::new(|_| ());
    script.run().unwrap();
    script.nic.set_packet_filter(PacketFilter::DIRECTED).unwrap();
    script
        .run_with(&mut |host, _, _| {
            host.give(7, &plain(1));
            false
        })
        .unwrap();
    assert_eq!(script.frames, [frame(MAC, 1, 60)]);
}

#[test]
fn messages_that_nobody_knows_are_passed_over() {
    let mut script = Script::<4096>::up();
    for number in [130_u32, 137, 0x1_0000] {
        script
            .host
            .write(0, Descriptor::InBand, &[number.to_le_bytes(), [0; 4]].concat());
        script.run().unwrap();
        let event = Event::UnknownMessage(MessageType::new(number));
        assert_eq!(script.events.pop(), Some(format!("{event:?}")));
    }
    script.alive();
    // As an answer it is a breach.
    script
        .host
        .write(u64::MAX, Descriptor::Completion, &[137, 0, 0, 0, 0, 0, 0, 0]);
    let fault = Fault::Message(DecodeError::NvspType(MessageType::new(137)));
    assert_eq!(script.poll(), Err(fault));
    script.dead(fault);
}
