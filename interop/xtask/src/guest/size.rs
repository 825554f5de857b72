//! How much it takes to be a guest: lines of glue, and bytes of code by what they are for.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use object::{Object as _, ObjectSymbol as _, SymbolKind};

/// All that the published crates need of a kernel.
const GLUE: &str = include_str!("../../../guest/src/platform.rs");

/// Whose functions count for what. One that mentions several is the first's: a device's function on a ring is the device's.
const PARTS: [(&str, &[&str]); 3] = [
    ("disk_code_bytes", &["storvsc_proto"]),
    ("nic_code_bytes", &["netvsc_proto"]),
    ("bus_code_bytes", &["vmbus_proto", "vmbus_ringbuf", "hvcall"]),
];

/// The figures of a kernel. What the compiler put into a caller counts for that.
pub(super) fn figures(kernel: &[u8]) -> Result<BTreeMap<String, f64>> {
    let file = object::File::parse(kernel).context("the kernel is no ELF file")?;
    let mut bytes = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
        if let Some(part) = symbol.name().ok().and_then(part_of) {
            *bytes.entry(part.to_owned()).or_insert(0) += symbol.size();
        }
    }
    let mut figures: BTreeMap<_, _> = bytes
        .into_iter()
        .map(|(name, bytes)| (name, bytes as f64))
        .collect();
    figures.insert("glue_lines".into(), lines(GLUE) as f64);
    Ok(figures)
}

/// What a function with this mangled name is for.
fn part_of(name: &str) -> Option<&'static str> {
    let of = |crates: &[&str]| crates.iter().any(|word| name.contains(word));
    PARTS.iter().find(|(_, crates)| of(crates)).map(|(part, _)| *part)
}

/// Lines with something in them but a comment.
fn lines(source: &str) -> usize {
    source
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_count_for_the_device_that_they_mention() {
        for (name, part) in [
            (
                "_ZN13storvsc_proto5guest5Queue4poll17h0E",
                Some("disk_code_bytes"),
            ),
            (
                "_ZN60_$LT$netvsc_proto..Queue$LT$vmbus_ringbuf..Ring$GT$$GT$4pollE",
                Some("nic_code_bytes"),
            ),
            ("_ZN6hvcall5guest4Post7attempt17h0E", Some("bus_code_bytes")),
            ("_ZN5guest6checks3run17h0E", None),
        ] {
            assert_eq!(part_of(name), part, "{name}");
        }
    }

    #[test]
    fn comments_are_no_glue() {
        assert_eq!(lines("//! doc\n\nuse a;\n    // why\n    b();\n"), 2);
        assert!(lines(GLUE) > 50);
    }
}
