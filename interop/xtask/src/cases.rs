//! That every numbered case of `ARCHITECTURE.md` has its tests: in each crate that its table names, and in no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::workspace::{PUBLISHED, Workspace};

/// Numbers that a case may have.
const CASES: std::ops::RangeInclusive<u32> = 1..=19;

/// The crates that have tests of a case, by its prefix.
type Tests = BTreeMap<String, BTreeSet<String>>;

fn prefix(case: u32) -> String {
    format!("case_{case:02}_")
}

/// Looks for tests in every source file of a folder.
fn collect(folder: &Path, name: &str, tests: &mut Tests) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, name, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            for prefix in prefixes(&source) {
                tests.entry(prefix).or_default().insert(name.to_owned());
            }
        }
    }
}

/// What names of tests begin with: `case_`, then up to the next underscore.
fn prefixes(source: &str) -> impl Iterator<Item = String> {
    source.lines().filter_map(|line| {
        let case = line.trim_start().strip_prefix("fn case_")?;
        let (number, _) = case.split_once('_')?;
        Some(format!("case_{number}_"))
    })
}

/// Crates that meet a case, with the modules that do.
type Met = Vec<(String, Vec<String>)>;

/// A row of the table: the prefix, and where the case is met.
fn row(line: &str) -> Option<(String, Met)> {
    let mut cells = line.strip_prefix("| `case_")?.split(" | ");
    let number = cells.next()?.strip_suffix("_`")?;
    let met = cells.nth(1)?.strip_suffix(" |")?;
    let crates = met.split("; ").map(|crate_| {
        let (name, modules) = crate_.split_once(": ").unwrap_or((crate_, ""));
        (name.to_owned(), modules.split(", ").map(str::to_owned).collect())
    });
    Some((format!("case_{number}_"), crates.collect()))
}

#[test]
fn every_case_has_its_tests_where_the_table_says() {
    let root = Workspace::find().unwrap().root;
    let mut tests = Tests::new();
    for (_, name) in PUBLISHED {
        for folder in ["src", "tests"] {
            collect(&root.join(name).join(folder), name, &mut tests);
        }
    }
    let expected: Vec<_> = CASES.map(prefix).collect();
    assert!(tests.keys().eq(&expected), "{:?}", tests.keys());

    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let rows: Vec<_> = text.lines().filter_map(row).collect();
    assert!(rows.iter().map(|(case, _)| case).eq(&expected), "{rows:?}");
    for (case, crates) in rows {
        let named: BTreeSet<_> = crates.iter().map(|(name, _)| name.clone()).collect();
        assert_eq!(
            tests[&case], named,
            "crates with tests of {case}, and those that the table names"
        );
        for (name, modules) in crates {
            for module in modules {
                let file = root.join(&name).join("src").join(&module).with_extension("rs");
                assert!(file.is_file(), "{case}: {name} has no module {module}");
            }
        }
    }
}

#[test]
fn names_and_rows_are_read() {
    let source = "    fn case_05_twice() {\nfn case_5_once() {\nfn a_case_06_is_none() {\nfn case_07() {";
    assert!(prefixes(source).eq(["case_05_", "case_5_"]));
    let (case, crates) = row("| `case_02_` | what | ringbuf: packet, gpa; hvcall: host/input |").unwrap();
    let modules = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(case, "case_02_");
    assert_eq!(
        crates,
        [
            ("ringbuf".to_owned(), modules(&["packet", "gpa"])),
            ("hvcall".to_owned(), modules(&["host/input"]))
        ]
    );
    assert_eq!(row("| tests | what the peer does | where it is met |"), None);
}
