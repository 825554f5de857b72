//! What is known of a kernel's types: sizes, fields, enumerators. Read from a kernel's type information, or from a file.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// A field: its name, and where it is in bits from the start of the structure.
///
/// A member of an aggregate without a type name of its own stands as `parent.member`, beside its parent; one of an
/// aggregate without any name stands among the others.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Field(pub(crate) String, pub(crate) u64, pub(crate) u64);

impl Field {
    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    pub(crate) fn span(&self) -> Span {
        Span {
            start: self.1,
            width: self.2,
        }
    }
}

/// A stretch of a structure, in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) width: u64,
}

impl Span {
    pub(crate) fn end(self) -> u64 {
        self.start + self.width
    }

    /// The stretch from the first of these to the end of the last.
    pub(crate) fn hull(spans: impl IntoIterator<Item = Self>) -> Option<Self> {
        spans.into_iter().reduce(|one, other| {
            let start = one.start.min(other.start);
            Self {
                start,
                width: one.end().max(other.end()) - start,
            }
        })
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.start.is_multiple_of(8) && self.width.is_multiple_of(8) {
            write!(f, "byte {} with {} bytes", self.start / 8, self.width / 8)
        } else {
            write!(
                f,
                "bit {} of byte {} with {} bits",
                self.start % 8,
                self.start / 8,
                self.width
            )
        }
    }
}

/// A structure or union.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Layout {
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) fields: Vec<Field>,
}

impl Layout {
    pub(crate) fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name() == name)
    }
}

/// An enumeration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Enumeration {
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) values: Vec<(String, i64)>,
}

/// Types by name. One name may stand for several types, in different modules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) structs: BTreeMap<String, Vec<Layout>>,
    pub(crate) enums: BTreeMap<String, Vec<Enumeration>>,
    /// Names of those that belong to Hyper-V's drivers alone, so that each has to be accounted for.
    pub(crate) of_hyperv: BTreeSet<String>,
}

impl Facts {
    pub(crate) fn add_struct(&mut self, name: &str, layout: Layout) {
        add(&mut self.structs, name, layout);
    }

    pub(crate) fn add_enum(&mut self, name: &str, enumeration: Enumeration) {
        add(&mut self.enums, name, enumeration);
    }

    /// Names of structures and enumerations.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.structs.keys().chain(self.enums.keys()).map(String::as_str)
    }

    /// The kernel's structures as two JSON texts have them: `{"struct": {"size": BYTES, "fields": [[name, bit, bits],
    /// ...]}}` and `{"enum": {"size": BYTES, "values": [[name, value], ...]}}`. All of them are of Hyper-V.
    pub(crate) fn from_json(structs: &str, enums: &str) -> Result<Self> {
        let structs: BTreeMap<String, Layout> =
            serde_json::from_str(structs).context("a table of structures")?;
        let enums: BTreeMap<String, Enumeration> =
            serde_json::from_str(enums).context("a table of enumerations")?;
        let mut facts = Self::default();
        for (name, layout) in structs {
            // `name@variant` is another type of that name.
            let name = name.split('@').next().unwrap_or(&name);
            facts.of_hyperv.insert(name.into());
            facts.add_struct(name, layout);
        }
        for (name, enumeration) in enums {
            facts.of_hyperv.insert(name.clone());
            facts.add_enum(&name, enumeration);
        }
        Ok(facts)
    }

    /// What Debian's Linux 6.1 has, on x86-64: what changed in a later kernel is told by a comparison with it.
    pub(crate) fn linux_6_1() -> Result<Self> {
        Self::from_json(
            include_str!("../../layouts/linux-6.1.json"),
            include_str!("../../layouts/linux-6.1-enums.json"),
        )
    }

    /// What the public headers of later kernels declare and no module of 6.1 has an instance of.
    #[cfg(test)]
    pub(crate) fn headers() -> Result<Self> {
        Self::from_json(
            include_str!("../../layouts/linux-headers-supplement.json"),
            include_str!("../../layouts/linux-headers-supplement-enums.json"),
        )
    }
}

fn add<T: PartialEq>(all: &mut BTreeMap<String, Vec<T>>, name: &str, one: T) {
    let known = all.entry(name.into()).or_default();
    if !known.contains(&one) {
        known.push(one);
    }
}
