//! The committed dictionaries are what the crates' tables say.

use std::path::Path;

use vmbus_fuzz::dictionary::dictionaries;

#[test]
fn the_committed_dictionaries_are_made_of_the_tables() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (target, text) in dictionaries() {
        let committed = std::fs::read_to_string(fuzz.join("dictionaries").join(format!("{target}.dict")));
        assert_eq!(
            committed.unwrap_or_default(),
            text,
            "{target}: cargo run --manifest-path fuzz/Cargo.toml --example dictionaries"
        );
        let source = fuzz.join("fuzz_targets").join(format!("{target}.rs"));
        assert!(source.is_file(), "no target is named {target}");
    }
}

#[test]
fn every_dictionary_is_of_a_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dictionaries");
    let made: Vec<_> = dictionaries()
        .iter()
        .map(|(target, _)| format!("{target}.dict"))
        .collect();
    for entry in folder.read_dir().expect("a folder of dictionaries") {
        let name = entry.expect("a readable folder").file_name();
        assert!(made.iter().any(|made| **made == *name), "{}", name.display());
    }
}
