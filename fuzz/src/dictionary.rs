//! Words that a fuzzer does not find by chance, from the crates' own tables: dictionaries for libFuzzer.

use std::collections::HashSet;
use std::fmt::{Display, Write as _};

use netvsc_proto::wire::oid::Oid;
use netvsc_proto::wire::ppi::PpiType;
use netvsc_proto::wire::status::RndisStatus;
use netvsc_proto::wire::{nvsp, rndis};
use storvsc_proto::scsi::{OperationCode, Sense, VpdPage};
use storvsc_proto::wire::{Operation, ProtocolVersion};
use vmbus_proto::ic::wire as ic;
use vmbus_proto::wire as vmbus;
use zerocopy::IntoBytes as _;

/// How each begins.
const HEADER: &str = "# Made of the crates' tables by examples/dictionaries.rs";

/// A dictionary under construction.
#[derive(Default)]
struct Dictionary {
    text: String,
    words: HashSet<Vec<u8>>,
}

impl Dictionary {
    /// Adds a word for each value of a table, under a heading, unless it is there already.
    fn add<T: Copy + Display>(
        mut self,
        heading: &str,
        table: impl IntoIterator<Item = T>,
        bytes: impl Fn(T) -> Vec<u8>,
    ) -> Self {
        self.put(format_args!("# {heading}"));
        for value in table {
            let word = bytes(value);
            if !self.words.contains(&word) {
                let name: String = value
                    .to_string()
                    .chars()
                    .map(|character| match character {
                        'a'..='z' | 'A'..='Z' | '0'..='9' => character,
                        _ => '_',
                    })
                    .collect();
                let digits: String = word.iter().map(|byte| format!("\\x{byte:02x}")).collect();
                self.put(format_args!("{name}=\"{digits}\""));
                self.words.insert(word);
            }
        }
        self
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        writeln!(self.text, "{line}").expect("a string has room");
    }

    /// A word of 32 bits for each value.
    fn words<T: Copy + Display>(self, heading: &str, table: &[T], value: impl Fn(T) -> u32) -> Self {
        self.add(heading, table.iter().copied(), |it| {
            value(it).to_le_bytes().to_vec()
        })
    }

    /// What either end of a NIC says.
    fn nic(self) -> Self {
        self.words("RNDIS messages", rndis::MessageType::NAMED, |it| it.value())
            .words("NVSP messages", nvsp::MessageType::NAMED, |it| it.value())
            .words("NVSP versions", nvsp::Version::NAMED, |it| it.value())
            .add(
                "Heads of per-packet info records with 4 bytes of data",
                PpiType::NAMED.iter().copied(),
                |it| [16, it.value(), 12].map(u32::to_le_bytes).concat(),
            )
    }

    fn oids(self) -> Self {
        self.words("OIDs", Oid::NAMED, |it| it.value())
    }

    fn rndis_statuses(self) -> Self {
        self.words("RNDIS statuses", RndisStatus::NAMED, |it| it.value())
    }

    /// What a disk's guest says. Operation codes alone are a byte each, which is found by chance.
    fn disk(self) -> Self {
        self.words("Operations of disks", Operation::NAMED, |it| it.0)
            .add("Versions of disks", ProtocolVersion::ALL, |it| {
                it.0.to_le_bytes().to_vec()
            })
            .add("INQUIRY of pages", VpdPage::NAMED.iter().copied(), |it| {
                vec![OperationCode::INQUIRY.0, 1, it.0]
            })
    }

    fn sense(self) -> Self {
        let sense = Sense::invalid_cdb_field(2, None);
        self.add("Sense data", ["fixed", "descriptor"], |form| match form {
            "fixed" => sense.to_fixed().to_vec(),
            _ => sense.to_descriptor().to_vec(),
        })
    }

    /// What either end of the bus says.
    fn bus(self) -> Self {
        self.words("Versions of the bus", vmbus::Version::NAMED, |it| it.value())
            .add(
                "Classes of devices",
                vmbus::interface::NAMED.iter().map(|(guid, _)| guid),
                |it| it.as_bytes().to_vec(),
            )
    }

    fn bus_statuses(self) -> Self {
        self.words("Statuses of the bus", vmbus::Status::NAMED, |it| it.value())
    }

    /// What either end of an integration service says.
    fn services(self) -> Self {
        let versions = ic::SERVICES.iter().flat_map(|service| service.versions);
        let versions = ic::FRAMEWORKS.iter().chain(versions).copied();
        self.add("Versions of integration services", versions, |it| {
            it.as_bytes().to_vec()
        })
        .add("Their messages", ic::MessageType::NAMED.iter().copied(), |it| {
            it.as_bytes().to_vec()
        })
    }
}

/// The dictionaries by target: of those with which a fuzzer reaches no less than without.
pub fn dictionaries() -> Vec<(&'static str, String)> {
    let new = Dictionary::default;
    [
        // What decoders look at, and no values that they only hand on: too many words are as good as none.
        ("decode_all", new().nic().sense().services()),
        ("netvsc_guest", new().nic().oids().rndis_statuses()),
        ("netvsc_host", new().nic().oids()),
        ("storvsc_host", new().disk()),
        ("vmbus_guest", new().bus().bus_statuses()),
    ]
    .map(|(target, dictionary)| (target, format!("{HEADER}\n{}", dictionary.text)))
    .into()
}
