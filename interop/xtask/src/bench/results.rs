//! What criterion measured, read from the files that it leaves.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, Table};
use serde::{Deserialize, Serialize};

use super::{FLOOR, split};
use crate::report;

/// One benchmark beside its floor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    pub(super) name: String,
    /// Nanoseconds for one operation, in the median of the samples.
    pub(super) median_ns: f64,
    /// The same of what the memory takes for the same bytes, measured in the same run.
    pub(super) floor_ns: f64,
    /// How many times the floor that is.
    pub(super) times_floor: f64,
    /// Operations in a second.
    pub(super) per_second: f64,
    /// Bytes of payload that an operation moves.
    pub(super) payload_bytes: u64,
}

/// criterion's `benchmark.json`: what was measured.
#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
    throughput: Throughput,
}

/// As all benchmarks tell it: an operation each, and its bytes.
#[derive(Deserialize)]
enum Throughput {
    ElementsAndBytes { bytes: u64 },
}

/// criterion's `estimates.json`: what came out, in nanoseconds.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// A median, and the bytes that it was measured with.
type Measured = BTreeMap<String, (f64, u64)>;

/// What was measured since then of these benchmarks, in their order. Results of earlier runs, which stand in the same folder, do not count.
pub(super) fn read(folder: &Path, names: &[&str], since: SystemTime) -> Result<Vec<Figure>> {
    let mut measured = Measured::new();
    collect(folder, since, &mut measured)?;
    let of = |name: &str| {
        let found = measured.get(name).copied();
        found.with_context(|| format!("criterion left no result of {name} in {}", folder.display()))
    };
    let others = names.iter().filter(|name| split(name).1 != FLOOR);
    others
        .map(|name| {
            let (median_ns, payload_bytes) = of(name)?;
            let (floor_ns, _) = of(&format!("{}/{FLOOR}", split(name).0))?;
            Ok(Figure {
                name: (*name).to_owned(),
                median_ns,
                floor_ns,
                times_floor: median_ns / floor_ns,
                per_second: 1e9 / median_ns,
                payload_bytes,
            })
        })
        .collect()
}

/// Looks for results in this folder and those in it.
fn collect(folder: &Path, since: SystemTime, measured: &mut Measured) -> Result<()> {
    let entries = folder
        .read_dir()
        .with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, since, measured)?;
        }
    }
    // Of several runs criterion keeps the last as `new`.
    let estimates = folder.join("estimates.json");
    if folder.file_name().is_some_and(|name| name == "new")
        && estimates
            .metadata()
            .and_then(|data| data.modified())
            .is_ok_and(|at| at >= since)
    {
        let benchmark: Benchmark = parse(&folder.join("benchmark.json"))?;
        let estimates: Estimates = parse(&estimates)?;
        let Throughput::ElementsAndBytes { bytes } = benchmark.throughput;
        measured.insert(benchmark.full_id, (estimates.median.point_estimate, bytes));
    }
    Ok(())
}

fn parse<T: for<'d> Deserialize<'d>>(file: &Path) -> Result<T> {
    let text = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not as criterion writes it", file.display()))
}

pub(super) fn write(figures: &[Figure], file: &Path) -> Result<()> {
    let mut text = serde_json::to_string_pretty(figures)?;
    text.push('\n');
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

pub(super) fn table(figures: &[Figure]) -> Table {
    let mut table = report::table();
    table.set_header(["", "ns", "floor, ns", "times", "million/s", "Gbit/s"]);
    for figure in figures {
        #[expect(clippy::cast_precision_loss, reason = "no packet is that long")]
        let bits = figure.payload_bytes as f64 * 8.0;
        table.add_row([
            figure.name.clone(),
            format!("{:.1}", figure.median_ns),
            format!("{:.1}", figure.floor_ns),
            format!("{:.2}", figure.times_floor),
            format!("{:.2}", figure.per_second / 1e6),
            format!("{:.2}", figure.per_second * bits / 1e9),
        ]);
    }
    for column in 1..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Leaves a result as criterion does.
    fn leave(folder: &Path, id: &str, median: f64) {
        let folder = folder.join(id.replace('/', "_")).join("new");
        std::fs::create_dir_all(&folder).unwrap();
        let benchmark = serde_json::json!({
            "group_id": split(id).0, "function_id": split(id).1, "value_str": null, "full_id": id,
            "throughput": {"ElementsAndBytes": {"elements": 1, "bytes": 64}},
        });
        let estimates = serde_json::json!({
            "mean": {"point_estimate": 99.0}, "median": {"point_estimate": median, "standard_error": 0.1},
        });
        std::fs::write(folder.join("benchmark.json"), benchmark.to_string()).unwrap();
        std::fs::write(folder.join("estimates.json"), estimates.to_string()).unwrap();
    }

    #[test]
    fn a_benchmark_stands_beside_its_floor() {
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path(), "ring/64/floor", 10.0);
        leave(folder.path(), "ring/64/whole", 12.5);
        let names = ["ring/64/floor", "ring/64/whole"];
        let figures = read(folder.path(), &names, SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            serde_json::to_value(&figures).unwrap(),
            serde_json::json!([{
                "name": "ring/64/whole", "median_ns": 12.5, "floor_ns": 10.0, "times_floor": 1.25,
                "per_second": 8e7, "payload_bytes": 64
            }])
        );
        let text = table(&figures).to_string();
        assert!(text.contains("80.00") && text.contains("40.96"), "{text}");
    }

    #[test]
    fn results_of_earlier_runs_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        leave(folder.path(), "ring/64/floor", 10.0);
        leave(folder.path(), "ring/64/whole", 12.5);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        let error = read(folder.path(), &["ring/64/whole"], later).unwrap_err();
        assert!(
            error.to_string().contains("no result of ring/64/whole"),
            "{error}"
        );
    }
}
