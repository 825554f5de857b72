//! Seeds of a real bus are no noise: every message in them decodes, and the engine that hears it takes it for what it is.

use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};
use netvsc_proto::wire::rndis_message::{Framed, GuestMessage, HostMessage};
use storvsc_proto::scsi::{Cdb, Command};
use storvsc_proto::wire::{GuestMessage as StorageMessage, SrbStatus};
use vmbus_fuzz::netvsc::{guest, guest_rndis, host, host_message};
use vmbus_fuzz::storvsc;

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
