//! What a comparison ends with: a text for people, JSON for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use comfy_table::CellAlignment;
use serde::Serialize;

use crate::report::table;
use crate::rig::Kernel;

use super::compare::{Comparison, Row, Verdict};
use super::table::{Table, package};

/// A type or some codes that no kernel's type information has, and where they are from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Lone {
    #[serde(rename = "crate")]
    of: &'static str,
    rust: String,
    source: String,
}

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) structs: usize,
    pub(super) fields: usize,
    pub(super) enumerations: usize,
    pub(super) enumerators: usize,
    pub(super) changed: usize,
    pub(super) differ: usize,
    pub(super) without_counterpart: usize,
}

impl Counts {
    /// Structures and enumerations together.
    fn compared(&self) -> usize {
        self.structs + self.enumerations
    }

    fn add(&mut self, other: &Self) {
        self.structs += other.structs;
        self.fields += other.fields;
        self.enumerations += other.enumerations;
        self.enumerators += other.enumerators;
        self.changed += other.changed;
        self.differ += other.differ;
        self.without_counterpart += other.without_counterpart;
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The package or file.
    kernel: String,
    release: String,
    #[serde(flatten)]
    comparison: Comparison,
    without_counterpart: Vec<Lone>,
    /// What is wrong with the table itself.
    faults: Vec<String>,
    /// By crate.
    counts: BTreeMap<&'static str, Counts>,
}

impl Report {
    pub(super) fn new(kernel: &Kernel, table: &Table, comparison: Comparison) -> Self {
        let without_counterpart = lone(table, &comparison);
        let mut counts: BTreeMap<&str, Counts> = BTreeMap::new();
        let mut count = |of, one: Counts| counts.entry(of).or_default().add(&one);
        for row in &comparison.structs {
            let one = Counts {
                structs: usize::from(row.verdict.is_compared()),
                fields: row.compared,
                ..Counts::of(row.verdict)
            };
            count(row.of, one);
        }
        for row in &comparison.enumerations {
            let one = Counts {
                enumerations: usize::from(row.verdict.is_compared()),
                enumerators: row.compared,
                ..Counts::of(row.verdict)
            };
            count(row.of, one);
        }
        for one in &without_counterpart {
            let lone = Counts {
                without_counterpart: 1,
                ..Counts::default()
            };
            count(one.of, lone);
        }
        Self {
            kernel: kernel.name.clone(),
            release: kernel.release.clone(),
            without_counterpart,
            faults: table.faults(),
            counts,
            comparison,
        }
    }

    pub(super) fn all_is_well(&self) -> bool {
        self.total().differ == 0 && self.comparison.unaccounted.is_empty() && self.faults.is_empty()
    }

    fn total(&self) -> Counts {
        let mut total = Counts::default();
        self.counts.values().for_each(|one| total.add(one));
        total
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("cannot write the report {}", path.display()))
    }

    /// The rows with one of these verdicts, each with what was found.
    fn found(&self, f: &mut fmt::Formatter<'_>, title: &str, verdicts: &[Verdict]) -> fmt::Result {
        let rows = self
            .comparison
            .rows()
            .filter(|row| verdicts.contains(&row.verdict));
        let rows: Vec<_> = rows.collect();
        if rows.is_empty() {
            return Ok(());
        }
        writeln!(f, "\n{title}")?;
        for row in rows {
            writeln!(f, "  {}", names(row))?;
            for finding in &row.findings {
                writeln!(f, "    {}", finding.what)?;
            }
        }
        Ok(())
    }
}

impl Counts {
    fn of(verdict: Verdict) -> Self {
        Self {
            changed: usize::from(matches!(verdict, Verdict::Changed | Verdict::Gone)),
            differ: usize::from(verdict == Verdict::Differs),
            ..Self::default()
        }
    }
}

/// A type's name without the modules and without what it is generic over.
pub(super) fn short(rust: &str) -> &str {
    let rust = rust.split('<').next().unwrap_or(rust);
    rust.rsplit("::").next().unwrap_or(rust)
}

/// What a row has of ours, each once, and whose it is in the kernel.
fn names(row: &Row) -> String {
    let ours = row.rust.iter().filter(|rust| package(rust).is_some());
    let mut names: Vec<_> = ours.map(|rust| short(rust)).collect();
    names.dedup();
    format!("{} ({})", names.join(" + "), row.kernel)
        .trim_start()
        .into()
}

fn lone(table: &Table, comparison: &Comparison) -> Vec<Lone> {
    let alone = table.alone.iter().map(|alone| Lone {
        of: package(alone.rust).unwrap_or_default(),
        rust: short(alone.rust).into(),
        source: alone.source.into(),
    });
    let absent = comparison
        .rows()
        .filter(|row| row.verdict == Verdict::Absent)
        .map(|row| Lone {
            of: row.of,
            rust: names(row),
            source: "Linux's public headers; this kernel has no use of the type, and so no type information"
                .into(),
        });
    let beyond = table.codes.iter().filter_map(|codes| {
        Some(Lone {
            of: codes.of,
            rust: format!("{}, further values", short(codes.rust.first()?)),
            source: codes.beyond?.into(),
        })
    });
    alone.chain(absent).chain(beyond).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, Linux {}\n", self.kernel, self.release)?;
        writeln!(f, "Without counterpart, by source")?;
        let mut by_source: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for one in &self.without_counterpart {
            by_source.entry(&one.source).or_default().push(&one.rust);
        }
        writeln!(f, "{}", listed(&by_source))?;

        writeln!(f, "\nTypes of the kernel that are left out, by reason")?;
        let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, reason) in &self.comparison.left_out {
            by_reason.entry(reason).or_default().push(name);
        }
        writeln!(f, "{}", listed(&by_reason))?;

        self.found(
            f,
            "Changed since Linux 6.1 by the kernel",
            &[Verdict::Changed, Verdict::Gone],
        )?;
        self.found(f, "Not as in the kernel", &[Verdict::Differs])?;
        for name in &self.comparison.unaccounted {
            writeln!(
                f,
                "\nThe kernel's type {name} is mapped to nothing, and not left out with a reason"
            )?;
        }
        for fault in &self.faults {
            writeln!(f, "\nThe table is wrong: {fault}")?;
        }

        let mut counts = table();
        counts.add_row([
            "", "structs", "fields", "enums", "values", "changed", "differ", "without",
        ]);
        let total = self.total();
        let rows = self.counts.iter().map(|(name, one)| (*name, one));
        for (name, one) in rows.chain([("all", &total)]) {
            let numbers = [
                one.structs,
                one.fields,
                one.enumerations,
                one.enumerators,
                one.changed,
                one.differ,
                one.without_counterpart,
            ];
            counts.add_row(std::iter::once(name.to_owned()).chain(numbers.map(|number| number.to_string())));
        }
        for column in 1..8 {
            if let Some(column) = counts.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(f, "\n{counts}\n")?;
        write!(
            f,
            "{} compared, {} differ, {} without counterpart",
            total.compared(),
            total.differ,
            total.without_counterpart
        )
    }
}

/// Lists of names, each with what it is a list of.
fn listed(lists: &BTreeMap<&str, Vec<&str>>) -> comfy_table::Table {
    let mut shown = table();
    for (title, names) in lists {
        shown.add_row([(*title).to_owned(), names.len().to_string(), names.join(", ")]);
    }
    if let Some(column) = shown.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    shown
}
