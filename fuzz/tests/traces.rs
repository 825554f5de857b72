//! Seeds of a real bus are no noise: every message in them decodes, and the engine that hears it takes it for what it is.

use std::collections::HashSet;
use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};
use netvsc_proto::wire::rndis_message::{Framed, GuestMessage, HostMessage};
use storvsc_proto::scsi::{Cdb, Command};
use storvsc_proto::wire::{GuestMessage as StorageMessage, SrbStatus};
use vmbus_fuzz::netvsc::{guest, guest_rndis, host, host_message};
use vmbus_fuzz::{hypercall, ic, storvsc, vmbus};
use vmbus_proto::wire::MessageType;

/// The seeds of a target that `examples/seeds` made.
fn seeds<T: for<'a> Arbitrary<'a>>(target: &str) -> Vec<(String, T)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut seeds = Vec::new();
    for entry in folder.read_dir().expect("the target has a corpus") {
        let path = entry.expect("a readable folder").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.starts_with("trace-") {
            let bytes = std::fs::read(&path).expect("a readable seed");
            let input = T::arbitrary_take_rest(Unstructured::new(&bytes)).expect("an input");
            seeds.push((name, input));
        }
    }
    assert!(!seeds.is_empty(), "{target} has none");
    seeds
}

/// What a NIC's guest sent, by kinds.
#[derive(Default)]
struct Sent {
    questions: u64,
    frames: u64,
}

impl Sent {
    /// Decodes the messages of a transfer.
    fn count(&mut self, name: &str, transfer: &[u8]) {
        let mut rest = transfer;
        while !rest.is_empty() {
            let framed = Framed::split(rest).unwrap_or_else(|error| panic!("{name}: {error}"));
            match framed.guest().unwrap_or_else(|error| panic!("{name}: {error}")) {
                GuestMessage::Packet(packet) => {
                    assert!(packet.records().all(|record| record.is_ok()), "{name}");
                    self.frames += 1;
                }
                _ => self.questions += 1,
            }
            rest = framed.rest;
        }
    }
}

#[test]
fn our_host_answers_what_linux_asked_and_sends_its_frames() {
    let (mut all, mut received) = (Sent::default(), 0);
    for (name, input) in seeds::<host::Input>("netvsc_host") {
        let mut sent = Sent::default();
        for step in &input.steps.0 {
            if let host::Step::Send(packet) = step
                && let host::Content::Rndis(_, _, rndis) = &packet.content
                && let guest_rndis::Content::Raw(bytes) = &rndis.content
            {
                sent.count(&name, &bytes.0);
            }
        }
        let outcome = input.play();
        assert!(!outcome.poisoned && outcome.refused == 0, "{name}: {outcome:?}");
        assert_eq!(outcome.transmitted, sent.frames, "{name}");
        assert!(outcome.received >= sent.questions, "{name}: {outcome:?}");
        received += outcome.received;
        all.frames += sent.frames;
        all.questions += sent.questions;
    }
    assert!(all.frames > 5 && all.questions > 10);
    assert!(received > all.questions, "frames too");
}

#[test]
fn our_driver_comes_up_and_works_by_what_was_said_to_linux() {
    let (mut came_up, mut answered, mut frames) = (0, 0, 0);
    for (name, input) in seeds::<guest::Input>("netvsc_guest") {
        let (mut asks, mut gives) = (0, 0);
        for step in &input.steps.0 {
            match step {
                guest::Step::Ask(_) => asks += 1,
                guest::Step::Give(_, _, _, host_message::Rndis::Raw(bytes), _) => {
                    let message =
                        HostMessage::decode(&bytes.0).unwrap_or_else(|error| panic!("{name}: {error}"));
                    gives += usize::from(matches!(message, HostMessage::Packet(_)));
                }
                _ => {}
            }
        }
        // Where the driver is up before the steps, it has set a packet filter.
        let is_up = usize::from(input.start > 0);
        came_up += 1 - is_up;
        let outcome = input.play();
        assert!(outcome.ready && !outcome.poisoned, "{name}: {outcome:?}");
        assert_eq!(outcome.answered, asks + is_up, "{name}");
        assert_eq!(outcome.frames, gives, "{name}");
        answered += asks;
        frames += gives;
    }
    assert!(came_up > 0 && answered > 5 && frames > 5);
}

#[test]
fn our_disks_do_what_linux_told_them() {
    let mut done = 0;
    for (name, input) in seeds::<storvsc::host::Input>("storvsc_host") {
        let mut requests = 0;
        for step in &input.steps.0 {
            if let storvsc::host::Step::Send(packet) = step
                && let storvsc::host::Content::Raw(bytes) = &packet.content
            {
                let message =
                    StorageMessage::decode(&bytes.0).unwrap_or_else(|error| panic!("{name}: {error}"));
                if let StorageMessage::ExecuteSrb(srb) = message {
                    let cdb = Cdb::new(&srb.cdb_or_sense[..srb.cdb_length.into()]);
                    let command = Command::parse(&cdb.expect("no longer than a CDB"));
                    assert!(command.is_ok(), "{name}: {command:?}");
                    requests += 1;
                }
            }
        }
        let outcome = input.play();
        assert_eq!(outcome.fault, None, "{name}");
        let ok = outcome
            .statuses
            .iter()
            .filter(|status| **status == SrbStatus::SUCCESS);
        let ok = ok.count();
        // Linux's disk was larger than ours is, so that some blocks are beyond its end.
        assert!(ok * 3 > requests, "{name}: {ok} of {requests}");
        done += ok;
    }
    assert!(done > 20);
}

#[test]
fn our_bus_driver_does_what_linux_did_by_what_it_was_told() {
    let (mut offered, mut opened, mut returned, mut rescinded) = (0, 0, 0, 0);
    for (name, input) in seeds::<vmbus::guest::Input>("vmbus_guest") {
        let (mut offers, mut opens, mut lends, mut rescinds) = (0, 0, 0, 0);
        for step in &input.steps.0 {
            match step {
                vmbus::guest::Step::Open(..) => opens += 1,
                vmbus::guest::Step::Lend(..) => lends += 1,
                vmbus::guest::Step::Hear(vmbus::guest::Message::Raw(kind, _), _) => {
                    let kind = u32::from(*kind);
                    offers += usize::from(kind == MessageType::OFFER_CHANNEL.value());
                    rescinds += usize::from(kind == MessageType::RESCIND_CHANNEL_OFFER.value());
                }
                _ => {}
            }
        }
        let outcome = input.play();
        assert_eq!((outcome.connected, outcome.breaches), (1, 0), "{name}");
        let had = (outcome.offered, outcome.opened, outcome.rescinded, outcome.lent);
        assert_eq!(had, (offers, opens, rescinds, opens + lends), "{name}");
        offered += offers;
        opened += opens;
        rescinded += rescinds;
        returned += outcome.returned;
    }
    assert!(
        offered > 8 && opened > 8 && rescinded > 4,
        "{offered} {opened} {rescinded}"
    );
    assert!(returned > 4, "{returned}");
}

#[test]
fn our_driver_takes_what_linux_was_told_of_its_disks() {
    let (mut came_up, mut well, mut badly) = (0, 0, 0);
    for (name, input) in seeds::<storvsc::guest::Input>("storvsc_guest") {
        let commands = |step: &&_| matches!(step, storvsc::guest::Step::Submit(..));
        let commands = input.steps.0.iter().filter(commands).count();
        came_up += usize::from(input.start == 1);
        let outcome = input.play();
        assert!(outcome.ready, "{name}");
        assert_eq!(outcome.fault, None, "{name}");
        assert_eq!(outcome.completed.len(), commands, "{name}");
        let good = outcome
            .completed
            .iter()
            .filter(|outcome| outcome.is_good())
            .count();
        well += good;
        badly += commands - good;
    }
    assert!(came_up > 0 && well > 20 && badly > 4, "{came_up} {well} {badly}");
}

#[test]
fn our_services_understand_what_linux_and_its_host_said() {
    let mut services = HashSet::new();
    for (name, input) in seeds::<ic::Input>("ic") {
        let (mut to_guest, mut to_host) = (0, 0);
        for step in &input.steps.0 {
            if let ic::Step::Forge(is_to_guest, ..) = step {
                to_guest += usize::from(*is_to_guest);
                to_host += usize::from(!is_to_guest);
            }
        }
        services.insert(input.service);
        let outcome = input.play();
        assert_eq!((outcome.fault, outcome.ready), (None, [true, true]), "{name}");
        // One message of each end's is of the negotiation.
        assert_eq!(
            (outcome.asked, outcome.answered),
            (to_guest - 1, to_host - 1),
            "{name}"
        );
    }
    assert_eq!(services.len(), 3, "{services:?}");
}

#[test]
fn our_synic_hands_over_what_linux_was_sent() {
    let mut taken = 0;
    for (name, input) in seeds::<hypercall::guest::Input>("hypercall_guest") {
        let messages = |step: &&_| matches!(step, hypercall::guest::Step::Take(_));
        let messages = input.steps.0.iter().filter(messages).count();
        assert_eq!(input.play(), messages, "{name}");
        taken += messages;
    }
    assert!(taken > 20, "{taken}");
}
