//! The table against what is known of Linux 6.1, and against itself.

use std::collections::BTreeSet;
use std::path::Path;

use super::compare::{BaseLine, Comparison, Verdict, compare};
use super::facts::{Facts, Field};
use super::report::short;
use super::table::{Table, package};
use crate::workspace::PUBLISHED;

fn wrong(comparison: &Comparison) -> Vec<String> {
    let rows = comparison.rows().filter(|row| row.verdict == Verdict::Differs);
    let rows = rows.map(|row| format!("{}: {:?}", row.kernel, row.findings));
    let unaccounted = comparison
        .unaccounted
        .iter()
        .map(|name| format!("{name} is mapped to nothing"));
    rows.chain(unaccounted).collect()
}

#[test]
fn everything_is_as_linux_6_1_has_it() {
    let facts = Facts::linux_6_1().unwrap();
    let comparison = compare(&Table::new(), &facts, BaseLine::Same(&facts));
    assert_eq!(wrong(&comparison), [""; 0]);
    let same = comparison
        .structs
        .iter()
        .filter(|row| row.verdict == Verdict::Same);
    assert!(same.count() >= 160);
}

#[test]
fn everything_is_as_later_headers_have_it_but_for_what_they_changed() {
    let facts = Facts::headers().unwrap();
    let base = Facts::linux_6_1().unwrap();
    let comparison = compare(&Table::new(), &facts, BaseLine::Other(&base));
    assert_eq!(wrong(&comparison), [""; 0]);
    let changed = comparison
        .structs
        .iter()
        .filter(|row| row.verdict == Verdict::Changed);
    let changed: Vec<_> = changed.map(|row| row.kernel).collect();
    assert_eq!(
        changed,
        [
            "hv_input_map_device_interrupt",
            "hv_output_map_device_interrupt",
            "hv_input_unmap_device_interrupt",
            "vmtransfer_page_packet_header",
            "nvsp_1_message_send_receive_buffer_complete",
            "nvsp_1_message_uber",
            "nvsp_all_messages",
        ]
    );
}

#[test]
fn the_table_is_whole() {
    assert_eq!(Table::new().faults(), [""; 0]);
}

/// Every structure, code and flag word that a crate declares for the wire is in the table: in a row, or among those
/// without a counterpart.
#[test]
fn no_type_of_the_wire_is_missing() {
    let table = Table::new();
    let parts = table
        .mirrors
        .iter()
        .flat_map(|mirror| &mirror.parts)
        .map(|part| part.rust);
    let codes = table.codes.iter().flat_map(|codes| codes.rust.iter().copied());
    let all = parts
        .chain(codes)
        .chain(table.alone.iter().map(|alone| alone.rust));
    let known: BTreeSet<_> = all
        .filter_map(|rust| Some((package(rust)?, short(rust))))
        .collect();

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut found = 0;
    let mut missing = Vec::new();
    for (package, folder) in PUBLISHED {
        for file in sources(&root.join(folder).join("src")) {
            let text = std::fs::read_to_string(&file).unwrap();
            for name in wire_types(&text) {
                found += 1;
                if !known.contains(&(package, name)) {
                    missing.push(format!("{name} in {}", file.display()));
                }
            }
        }
    }
    assert_eq!(
        missing, [""; 0],
        "in no row of the table, nor among those without counterpart"
    );
    assert!(found > 300, "{found}");
}

/// The files of a crate, without the engines, which declare nothing for the wire.
fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !matches!(name, "host" | "guest" | "mem" | "tests") {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") && name != "macros.rs" {
            found.push(path);
        }
    }
    found
}

/// Names of the types that are declared by one of the wire's macros or with a layout of C's.
fn wire_types(text: &str) -> Vec<&str> {
    const MARKS: [&str; 6] = [
        "#[repr(C)]",
        "#[repr(transparent)]",
        "wire_struct! {",
        "open_code! {",
        "wire_number! {",
        "bitflags! {",
    ];
    let mut marked = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('}') {
            marked = false;
        }
        marked |= MARKS.iter().any(|mark| line.ends_with(mark));
        if let (true, Some(rest)) = (marked, line.strip_prefix("pub struct ")) {
            let name = rest.split(|c: char| !c.is_alphanumeric()).next();
            // In the macro itself there is a `$` in place of a name.
            names.extend(name.filter(|name| !name.is_empty()));
            marked = false;
        }
    }
    names
}

#[test]
fn types_of_the_wire_are_found_by_how_they_are_declared() {
    let text = "wire_struct! {\n /// Doc.\n pub struct A, 1 bytes {\n 0: a: u8, }\n}\n\npub struct B;\n\n#[repr(C)]\npub struct C(u8);\n\n\
        bitflags::bitflags! {\n pub struct D: u8 {\n }\n}\n";
    assert_eq!(wire_types(text), ["A", "C", "D"]);
}

/// Facts of Linux 6.1 with one thing changed, compared as that kernel and as a later one.
fn with(change: impl Fn(&mut Facts)) -> (Comparison, Comparison) {
    let base = Facts::linux_6_1().unwrap();
    let mut other = base.clone();
    change(&mut other);
    let table = Table::new();
    (
        compare(&table, &other, BaseLine::Same(&base)),
        compare(&table, &other, BaseLine::Other(&base)),
    )
}

fn field<'a>(facts: &'a mut Facts, of: &str, name: &str) -> &'a mut Field {
    let layout = &mut facts.structs.get_mut(of).unwrap()[0];
    layout
        .fields
        .iter_mut()
        .find(|field| field.name() == name)
        .unwrap()
}

#[test]
fn whatever_is_not_as_here_differs_and_in_another_kernel_is_its_change() {
    type Change = fn(&mut Facts);
    let changes: [(&str, &str, Change); 8] = [
        (
            "vmpacket_descriptor",
            "PacketDescriptor.len8: byte 4 with 2 bytes here, byte 6 with 2 bytes",
            |facts| {
                field(facts, "vmpacket_descriptor", "len8").1 = 48;
            },
        ),
        (
            "vmpacket_descriptor",
            "PacketDescriptor.len8: byte 4 with 2 bytes here, byte 4 with 4 bytes",
            |facts| {
                field(facts, "vmpacket_descriptor", "len8").2 = 32;
            },
        ),
        (
            "vmpacket_descriptor",
            "16 bytes here, 24 in the kernel",
            |facts| {
                facts.structs.get_mut("vmpacket_descriptor").unwrap()[0].size = 24;
            },
        ),
        (
            "vmpacket_descriptor",
            "PacketDescriptor.flags: the kernel has no flags",
            |facts| {
                field(facts, "vmpacket_descriptor", "flags").0 = "options".into();
            },
        ),
        (
            "vmpacket_descriptor",
            "the kernel's field more is mapped to nothing",
            |facts| {
                let fields = &mut facts.structs.get_mut("vmpacket_descriptor").unwrap()[0].fields;
                fields.push(Field("more".into(), 0, 8));
            },
        ),
        (
            "hv_stimer_config",
            "periodic: bit 1 of byte 0 with 1 bits here, bit 2 of byte 0 with 1 bits",
            |facts| {
                field(facts, "hv_stimer_config", "periodic").1 = 2;
            },
        ),
        (
            "vstor_packet_operation",
            "RESET_BUS: 0x6 here, 0x7 in the kernel",
            |facts| {
                facts.enums.get_mut("vstor_packet_operation").unwrap()[0].values[5].1 = 7;
            },
        ),
        (
            "vstor_packet_operation",
            "the kernel's enumerator MORE (0x63) is mapped to nothing",
            |facts| {
                let values = &mut facts.enums.get_mut("vstor_packet_operation").unwrap()[0].values;
                values.push(("MORE".into(), 0x63));
            },
        ),
    ];
    for (name, finding, change) in changes {
        let (same, other) = with(change);
        for (comparison, verdict) in [(&same, Verdict::Differs), (&other, Verdict::Changed)] {
            let row = comparison.rows().find(|row| row.kernel == name).unwrap();
            assert_eq!(row.verdict, verdict, "{finding}");
            assert!(
                row.findings.iter().any(|found| found.what.starts_with(finding)),
                "{:?}",
                row.findings
            );
        }
    }
}

#[test]
fn a_change_of_the_kernels_hides_no_difference_of_ours() {
    // What is wrong against Linux 6.1 as well is wrong, however late the kernel is.
    let mut base = Facts::linux_6_1().unwrap();
    field(&mut base, "vmpacket_descriptor", "len8").1 = 48;
    let comparison = compare(&Table::new(), &base, BaseLine::Other(&base));
    let row = comparison
        .structs
        .iter()
        .find(|row| row.kernel == "vmpacket_descriptor")
        .unwrap();
    assert_eq!(row.verdict, Verdict::Differs);
}

#[test]
fn a_type_that_is_gone_is_missed_and_a_new_one_is_noticed() {
    let (same, other) = with(|facts| {
        let layout = facts.structs.remove("vmpacket_descriptor").unwrap();
        facts.structs.insert("vmpacket_new".into(), layout);
        facts.of_hyperv.insert("vmpacket_new".into());
    });
    for (comparison, verdict) in [(&same, Verdict::Differs), (&other, Verdict::Gone)] {
        let row = comparison
            .structs
            .iter()
            .find(|row| row.kernel == "vmpacket_descriptor")
            .unwrap();
        assert_eq!(row.verdict, verdict);
        assert_eq!(comparison.unaccounted, ["vmpacket_new"]);
    }
    let of_others = |name: &str| !super::table::is_hyperv(name);
    assert!(of_others("dm_target") && !of_others("vmpacket_new"));
}
