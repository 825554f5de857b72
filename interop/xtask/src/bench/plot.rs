//! The drawing: throughput by the size of packets, beside the floor.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use super::results::Figure;

const SIZE: (u32, u32) = (1080, 400);
const FONT: &str = "sans-serif";
/// Bytes of the smallest and the largest packet, and 10^9 bytes a second: with some room around what there is.
const X: (f64, f64) = (12.0, 5400.0);
const Y: (f64, f64) = (0.5, 80.0);

/// What is drawn of each group, in which color.
const LINES: [(&str, RGBColor); 3] = [
    ("page-list-scattered", RGBColor(230, 159, 0)),
    ("page-list", RGBColor(0, 158, 115)),
    ("contiguous", RGBColor(0, 114, 178)),
];
const FLOOR_COLOR: RGBColor = RGBColor(110, 110, 110);

/// Bytes a second by bytes of a packet.
type Line = Vec<(f64, f64)>;

/// A benchmark that is drawn: `one-thread/SIZE/BATCH/MEMORY`.
struct Point<'f> {
    size: f64,
    batch: u32,
    memory: &'f str,
}

impl<'f> Point<'f> {
    fn parse(name: &'f str) -> Option<Self> {
        let mut parts = name.strip_prefix("one-thread/")?.split('/');
        Some(Self {
            size: parts.next()?.parse().ok()?,
            batch: parts.next()?.parse().ok()?,
            memory: parts.next()?,
        })
    }
}

/// Whether the drawing shows this benchmark.
pub(super) fn draws(name: &str) -> bool {
    Point::parse(name).is_some()
}

/// Draws a field for each size of batch.
pub(super) fn draw(figures: &[Figure], file: &Path) -> Result<()> {
    let fields = fields(figures);
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    // The errors of the library borrow what they are about.
    let failed = |error: &dyn std::fmt::Display| anyhow!("cannot draw {}: {error}", file.display());
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    let areas = root.split_evenly((1, fields.len()));
    for ((batch, lines), area) in fields.iter().zip(&areas) {
        draw_field(*batch, lines, area).map_err(|error| failed(&error))?;
    }
    root.present().map_err(|error| failed(&error))
}

/// The lines of each field, by the packets of a batch. The floor is the same for all memories.
fn fields(figures: &[Figure]) -> BTreeMap<u32, BTreeMap<&str, Line>> {
    let mut fields: BTreeMap<u32, BTreeMap<&str, Line>> = BTreeMap::new();
    for figure in figures {
        if let Some(point) = Point::parse(&figure.name) {
            let lines = fields.entry(point.batch).or_default();
            let mut add = |line, ns: f64| {
                let line = lines.entry(line).or_default();
                if !line.iter().any(|(size, _)| *size == point.size) {
                    line.push((point.size, point.size / ns));
                }
            };
            add(super::FLOOR, figure.floor_ns);
            add(point.memory, figure.median_ns);
        }
    }
    fields
}

fn draw_field<B: DrawingBackend>(
    batch: u32,
    lines: &BTreeMap<&str, Line>,
    area: &DrawingArea<B, plotters::coord::Shift>,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let title = match batch {
        1 => "one packet at a time".to_owned(),
        batch => format!("{batch} packets a batch"),
    };
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FONT, 17))
        .margin(8)
        .x_label_area_size(42)
        .y_label_area_size(48)
        .build_cartesian_2d((X.0..X.1).log_scale().base(4.0), (Y.0..Y.1).log_scale().base(2.0))?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc("bytes of payload")
        .y_desc("10^9 bytes a second, written and read")
        .x_label_formatter(&|size| format!("{size:.0}"))
        .label_style((FONT, 13))
        .draw()?;
    let floor = (super::FLOOR, FLOOR_COLOR);
    for (name, color) in LINES.into_iter().chain([floor]) {
        let Some(line) = lines.get(name) else { continue };
        let style = color.stroke_width(2);
        chart
            .draw_series(LineSeries::new(line.iter().copied(), style).point_size(3))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE)
        .label_font((FONT, 13))
        .draw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_thread_does_is_drawn_with_its_floor() {
        let figure = |name: &str, median_ns, floor_ns| Figure {
            name: name.into(),
            median_ns,
            floor_ns,
            times_floor: 0.0,
            per_second: 0.0,
            payload_bytes: 0,
        };
        let figures = [
            figure("one-thread/16/1/contiguous", 16.0, 8.0),
            figure("one-thread/16/1/page-list", 32.0, 8.0),
            figure("one-thread/64/1/contiguous", 16.0, 8.0),
            figure("two-threads/16/32/contiguous", 1.0, 1.0),
        ];
        let fields = fields(&figures);
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[&1]["contiguous"], [(16.0, 1.0), (64.0, 4.0)]);
        assert_eq!(fields[&1]["page-list"], [(16.0, 0.5)]);
        assert_eq!(fields[&1]["floor"], [(16.0, 2.0), (64.0, 8.0)]);

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("throughput.svg");
        draw(&figures, &file).unwrap();
        let drawing = std::fs::read_to_string(&file).unwrap();
        assert!(drawing.starts_with("<svg") && drawing.contains("one packet at a time"));
    }
}
