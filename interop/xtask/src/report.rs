//! What a run ends with: a table for people, JSON for programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) ok: bool,
    pub(crate) detail: String,
}

impl Check {
    /// A check that found this, or what is wrong.
    pub(crate) fn new(name: impl Into<String>, result: std::result::Result<String, String>) -> Self {
        let name = name.into();
        match result {
            Ok(detail) => Self {
                name,
                ok: true,
                detail,
            },
            Err(detail) => Self {
                name,
                ok: false,
                detail,
            },
        }
    }
}

/// A run's result.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The package or file.
    pub(crate) kernel: String,
    /// `kvm` or `nested`.
    pub(crate) via: String,
    /// Empty where guest and host came to no version.
    pub(crate) vmbus_version: String,
    pub(crate) checks: Vec<Check>,
    /// Seconds where the name ends in `_seconds`, 10^6 bytes a second where it ends in `_mb_s`.
    pub(crate) figures: BTreeMap<String, f64>,
}

impl Report {
    /// Shows the report, writes it where it is wanted, and tells how the command ends.
    pub(crate) fn conclude(&self, path: Option<&Path>) -> Result<ExitCode> {
        println!("\n{self}");
        if let Some(path) = path {
            self.write(path)?;
        }
        Ok(if self.all_hold() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }

    fn all_hold(&self) -> bool {
        self.checks.iter().all(|check| check.ok)
    }

    fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        std::fs::write(path, text).with_context(|| format!("cannot write the report {}", path.display()))
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{} on {}, VMBus {}\n",
            self.kernel, self.via, self.vmbus_version
        )?;
        let mut checks = table();
        for check in &self.checks {
            checks.add_row([
                check.name.as_str(),
                if check.ok { "ok" } else { "FAILED" },
                check.detail.as_str(),
            ]);
        }
        writeln!(f, "{checks}\n")?;
        let mut figures = table();
        for (name, value) in &self.figures {
            figures.add_row([name.clone(), format!("{value:.2}")]);
        }
        if let Some(column) = figures.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{figures}\n")?;
        let held = self.checks.iter().filter(|check| check.ok).count();
        write!(f, "{held} of {} checks hold", self.checks.len())
    }
}

/// A plain table as wide as the terminal, or as it needs to be where there is none.
pub(crate) fn table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    let columns = std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.parse().ok());
    table.set_width(columns.unwrap_or(120));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let check = |name: &str, ok| Check {
            name: name.into(),
            ok,
            detail: format!("detail of {name}"),
        };
        Report {
            kernel: "linux.deb".into(),
            via: "nested".into(),
            vmbus_version: "5.3".into(),
            checks: vec![check("dhcp", true), check("disk_write_read", false)],
            figures: BTreeMap::from([("disk_read_mb_s".into(), 12.5), ("boot_seconds".into(), 104.25)]),
        }
    }

    #[test]
    fn the_json_has_the_agreed_form() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "kernel": "linux.deb",
                "via": "nested",
                "vmbus_version": "5.3",
                "checks": [
                    {"name": "dhcp", "ok": true, "detail": "detail of dhcp"},
                    {"name": "disk_write_read", "ok": false, "detail": "detail of disk_write_read"}
                ],
                "figures": {"boot_seconds": 104.25, "disk_read_mb_s": 12.5}
            })
        );
    }

    #[test]
    fn the_table_lines_up_and_counts() {
        let text = report().to_string();
        let at = |needle: &str| {
            let line = text.lines().find(|line| line.contains(needle)).unwrap();
            line.find(needle).unwrap()
        };
        assert_eq!(at("detail of dhcp"), at("detail of disk_write_read"));
        assert_eq!(at("12.50") + "12.50".len(), at("104.25") + "104.25".len());
        assert!(text.ends_with("1 of 2 checks hold"), "{text}");
        assert!(!report().all_hold());
    }
}
