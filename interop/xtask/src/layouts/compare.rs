//! The table against a kernel.

use std::collections::BTreeSet;

use serde::Serialize;

use super::facts::{Enumeration, Facts, Field, Layout, Span};
use super::mirror::{Codes, Mirror, Part, optional};
use super::table::Table;

/// Something that is not as the table says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) what: String,
    /// Whether the kernel's own type is another one than in Linux 6.1 in this respect, so that nothing is wrong here.
    pub(crate) kernel_changed: bool,
}

/// What became of a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// As here.
    Same,
    /// Not as here.
    Differs,
    /// Not as here, where the kernel is not as Linux 6.1 is.
    Changed,
    /// Linux 6.1 has a type of this name, this kernel no more.
    Gone,
    /// Neither has one.
    Absent,
}

impl Verdict {
    /// Whether there was something to compare with.
    pub(crate) fn is_compared(self) -> bool {
        !matches!(self, Self::Gone | Self::Absent)
    }
}

/// A row of the table and what became of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) kernel: &'static str,
    /// The crate that it is counted for.
    #[serde(rename = "crate")]
    pub(crate) of: &'static str,
    pub(crate) rust: Vec<&'static str>,
    pub(crate) verdict: Verdict,
    /// Fields, bit fields or enumerators that were compared.
    pub(crate) compared: usize,
    pub(crate) findings: Vec<Finding>,
}

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    pub(crate) structs: Vec<Row>,
    pub(crate) enumerations: Vec<Row>,
    /// Types of the kernel that the table does not account for.
    pub(crate) unaccounted: Vec<String>,
    /// Types of the kernel that are left out, with the reason.
    pub(crate) left_out: Vec<(String, &'static str)>,
}

impl Comparison {
    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.structs.iter().chain(&self.enumerations)
    }
}

/// What a kernel's types are held against, beside the table.
#[derive(Clone, Copy)]
pub(crate) enum BaseLine<'a> {
    /// The kernel is Linux 6.1, whose types these are: it has to have them all.
    Same(&'a Facts),
    /// The kernel is another one: what is not as in Linux 6.1 is a change of the kernel's.
    Other(&'a Facts),
}

impl<'a> BaseLine<'a> {
    fn facts(self) -> &'a Facts {
        match self {
            Self::Same(facts) | Self::Other(facts) => facts,
        }
    }
}

/// Compares.
pub(crate) fn compare(table: &Table, kernel: &Facts, base_line: BaseLine<'_>) -> Comparison {
    let base = base_line.facts();
    let structs = table.mirrors.iter().map(|mirror| Row {
        kernel: mirror.kernel,
        of: mirror.of,
        rust: mirror.parts.iter().map(|part| part.rust).collect(),
        ..row(
            kernel.structs.get(mirror.kernel),
            base.structs.get(mirror.kernel),
            base_line,
            |layout, base| compare_struct(mirror, layout, base),
        )
    });
    let enumerations = table.codes.iter().map(|codes| Row {
        kernel: codes.kernel,
        of: codes.of,
        rust: codes.rust.clone(),
        ..row(
            kernel.enums.get(codes.kernel),
            base.enums.get(codes.kernel),
            base_line,
            |enumeration, base| compare_enum(codes, enumeration, base),
        )
    });
    let mut comparison = Comparison {
        structs: structs.collect(),
        enumerations: enumerations.collect(),
        unaccounted: Vec::new(),
        left_out: Vec::new(),
    };
    let known: BTreeSet<_> = comparison.rows().map(|row| row.kernel).collect();
    for name in kernel
        .of_hyperv
        .iter()
        .filter(|name| !known.contains(name.as_str()))
    {
        match table.reason_to_leave_out(name) {
            Some(reason) => comparison.left_out.push((name.clone(), reason)),
            None => comparison.unaccounted.push(name.clone()),
        }
    }
    comparison
}

fn row<T: PartialEq>(
    found: Option<&Vec<T>>,
    base: Option<&Vec<T>>,
    base_line: BaseLine<'_>,
    compare: impl Fn(&T, Option<&T>) -> (usize, Vec<Finding>),
) -> Row {
    let mut row = Row {
        kernel: "",
        of: "",
        rust: Vec::new(),
        verdict: Verdict::Absent,
        compared: 0,
        findings: Vec::new(),
    };
    for one in found.into_iter().flatten() {
        // With several of a name, the one of the base line that is like this one is no change.
        let base = base.and_then(|base| base.iter().find(|other| *other == one).or(base.first()));
        let (compared, findings) = compare(one, base);
        row.compared = row.compared.max(compared);
        row.findings.extend(findings);
        row.verdict = Verdict::Same;
    }
    if row.verdict == Verdict::Absent && base.is_some() {
        row.findings.push(Finding {
            what: "Linux 6.1 has it, this kernel does not".into(),
            kernel_changed: true,
        });
    }
    if matches!(base_line, BaseLine::Same(_)) {
        row.findings
            .iter_mut()
            .for_each(|finding| finding.kernel_changed = false);
    }
    if row.findings.iter().any(|finding| !finding.kernel_changed) {
        row.verdict = Verdict::Differs;
    } else if !row.findings.is_empty() {
        row.verdict = match row.verdict {
            Verdict::Absent => Verdict::Gone,
            _ => Verdict::Changed,
        };
    }
    row
}

fn compare_struct(mirror: &Mirror, layout: &Layout, base: Option<&Layout>) -> (usize, Vec<Finding>) {
    let mut findings = Vec::new();
    let mut covered = Covered::default();
    let mut compared = 0;
    let size = u64::try_from(mirror.size()).unwrap_or(u64::MAX);
    if layout.size != size && mirror.other_size.is_none() {
        findings.push(Finding {
            what: format!("{size} bytes here, {} in the kernel", layout.size),
            kernel_changed: base.is_some_and(|base| base.size != layout.size),
        });
    }
    for part in &mirror.parts {
        for pair in &part.fields {
            let here = span(part, pair.at, pair.size);
            let (names, optional) = pair.names();
            let there = |layout: &Layout| {
                let spans: Option<Vec<_>> = names
                    .clone()
                    .map(|name| Some(layout.field(name)?.span()))
                    .collect();
                spans.and_then(Span::hull)
            };
            covered.names.extend(names.clone().map(String::from));
            match there(layout) {
                Some(found) => {
                    compared += 1;
                    covered.spans.push(found);
                    if found != here {
                        findings.push(Finding {
                            what: format!(
                                "{}: {here} here, {found} in the kernel ({})",
                                shown(part, pair.rust),
                                pair.kernel
                            ),
                            kernel_changed: base.is_some_and(|base| there(base) != Some(found)),
                        });
                    }
                }
                None if optional || pair.kernel.is_empty() => {}
                None => findings.push(Finding {
                    what: format!("{}: the kernel has no {}", shown(part, pair.rust), pair.kernel),
                    kernel_changed: base.is_some_and(|base| there(base).is_some()),
                }),
            }
            for (name, mask) in &pair.bits {
                let (name, optional) = self::optional(name);
                covered.names.insert(name.into());
                let here = Span {
                    start: here.start + u64::from(mask.trailing_zeros()),
                    width: u64::from(mask.count_ones()),
                };
                let there = |layout: &Layout| layout.field(name).map(|field| field.span());
                match there(layout) {
                    Some(found) => {
                        compared += 1;
                        if found != here {
                            findings.push(Finding {
                                what: format!("{name}: {here} here, {found} in the kernel"),
                                kernel_changed: base.is_some_and(|base| there(base) != Some(found)),
                            });
                        }
                    }
                    None if optional => {}
                    None => findings.push(Finding {
                        what: format!("{}: the kernel has no {name}", shown(part, pair.rust)),
                        kernel_changed: base.is_some_and(|base| there(base).is_some()),
                    }),
                }
            }
        }
    }
    covered
        .names
        .extend(mirror.without.iter().map(|(name, _)| (*name).to_owned()));
    for name in covered.lacks(layout, size * 8) {
        findings.push(Finding {
            what: format!("the kernel's field {name} is mapped to nothing"),
            kernel_changed: base.is_some_and(|base| base.field(name).is_none()),
        });
    }
    (compared, findings)
}

fn span(part: &Part, at: usize, size: usize) -> Span {
    let bits = |bytes: usize| u64::try_from(bytes).map_or(u64::MAX, |bytes| bytes * 8);
    Span {
        start: bits(part.at + at),
        width: bits(size),
    }
}

fn shown(part: &Part, field: &str) -> String {
    let rust = part.rust.rsplit("::").next().unwrap_or(part.rust);
    if field.is_empty() {
        rust.into()
    } else {
        format!("{rust}.{field}")
    }
}

/// What of a kernel's structure the table accounts for.
#[derive(Default)]
struct Covered {
    names: BTreeSet<String>,
    spans: Vec<Span>,
}

impl Covered {
    /// Fields that are named neither themselves, nor by what they are in, nor by all that is in them.
    fn lacks<'a>(&self, layout: &'a Layout, end: u64) -> Vec<&'a str> {
        let open: Vec<_> = layout
            .fields
            .iter()
            .filter(|field| !has_members(layout, field.name()) && !self.has(field, end))
            .map(Field::name)
            .collect();
        open
    }

    fn has(&self, field: &Field, end: u64) -> bool {
        let name = field.name();
        let span = field.span();
        self.names.contains(name)
            || self.names.iter().any(|outer| is_inside(name, outer))
            // What stands behind the end without a length: a list.
            || (span.width == 0 && span.start == end)
            // Bits that nobody uses, in a word that is mapped as a whole.
            || (is_reserved(name)
                && self.spans.iter().any(|outer| outer.start <= span.start && span.end() <= outer.end()))
    }
}

fn is_inside(name: &str, outer: &str) -> bool {
    name.strip_prefix(outer).is_some_and(|rest| rest.starts_with('.'))
}

fn has_members(layout: &Layout, name: &str) -> bool {
    layout.fields.iter().any(|field| is_inside(field.name(), name))
}

fn is_reserved(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    ["reserved", "rsvd", "preserved", "padding", "mbz", "unused"]
        .iter()
        .any(|word| last.to_ascii_lowercase().starts_with(word))
}

fn compare_enum(
    codes: &Codes,
    enumeration: &Enumeration,
    base: Option<&Enumeration>,
) -> (usize, Vec<Finding>) {
    fn value(enumeration: &Enumeration, name: &str) -> Option<i64> {
        enumeration
            .values
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| *value)
    }
    let mut findings = Vec::new();
    let mut compared = 0;
    let mut covered: BTreeSet<_> = codes.without.iter().map(|(name, _)| *name).collect();
    for (rust, number, name) in &codes.values {
        let (name, optional) = optional(name);
        covered.insert(name);
        match value(enumeration, name) {
            Some(found) => {
                compared += 1;
                // The kernel's enumerations are of 32 bits, some of them signed.
                if found & 0xffff_ffff != number & 0xffff_ffff {
                    findings.push(Finding {
                        what: format!("{rust}: {number:#x} here, {found:#x} in the kernel ({name})"),
                        kernel_changed: base.is_some_and(|base| value(base, name) != Some(found)),
                    });
                }
            }
            None if optional => {}
            None => findings.push(Finding {
                what: format!("{rust}: the kernel has no {name}"),
                kernel_changed: base.is_some_and(|base| value(base, name).is_some()),
            }),
        }
    }
    for (name, found) in &enumeration.values {
        if !covered.contains(name.as_str()) {
            findings.push(Finding {
                what: format!("the kernel's enumerator {name} ({found:#x}) is mapped to nothing"),
                kernel_changed: base.is_some_and(|base| value(base, name).is_none()),
            });
        }
    }
    (compared, findings)
}
