//! Pictures as SVG to stand inside a page: latency by percentile, latency over time. Pure.
//!
//! Colours are few and fixed, so that a page can replace each of them by one of its own, by an
//! attribute selector, for a dark screen.

use super::model::{Curve, Slice};
use super::number::short_time;
use super::rows::curve_label;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, IntoFont, LineSeries, RGBColor, SVGBackend,
};
use std::ops::Range;

/// Of text and axes.
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);

/// Of lines behind the curves, at labels and between them.
const GRID: [RGBColor; 2] = [RGBColor(0xcc, 0xcc, 0xcc), RGBColor(0xe8, 0xe8, 0xe8)];

/// Of curves, in turn: five that most people with impaired colour vision tell apart (Okabe, Ito).
pub(super) const COLOURS: [RGBColor; 5] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
];

/// Width and height in pixels of the picture's own; a page scales it.
const SIZE: (u32, u32) = (900, 400);

/// Of labels, in the same pixels.
const FONT: (&str, u32) = ("sans-serif", 14);

/// Room for the labels of the axes.
const LABELS: (u32, u32) = (52, 84);

/// Labels of the time axis at most: more would touch on the narrowest page.
const TIME_LABELS_MAX: f64 = 12.0;

/// So that the greatest latency is not drawn on the frame.
const HEADROOM: f64 = 1.1;

/// From this many decades on, labels stand at powers of ten alone.
const DECADES_LABELLED: f64 = 4.0;

/// A picture, and what its lines are.
pub(super) struct Plot {
    pub(super) svg: String,
    /// Of each line its label and its colour, as CSS writes it.
    pub(super) legend: Vec<(String, String)>,
}

/// An axis in the units that are drawn.
struct Axis {
    title: &'static str,
    from: f64,
    to: f64,
    /// Where a line and a label stand.
    labelled: Vec<f64>,
    /// Where a faint line stands.
    between: Vec<f64>,
    label: fn(f64) -> String,
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let share = (value - self.from) / (self.to - self.from);
        low + (share * f64::from(high - low)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            self.between.clone()
        } else {
            self.labelled.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.from..self.to
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        (self.label)(*value)
    }
}

/// A curve's label, and the pieces that are joined.
type Line = (String, Vec<Vec<(f64, f64)>>);

/// Latency by percentile: each nine takes the same room. None where nothing was recorded.
pub(super) fn by_percentile(curves: &[Curve]) -> Option<Plot> {
    let curves: Vec<&Curve> = curves.iter().filter(|curve| !curve.points.is_empty()).collect();
    let values = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.value_ns));
    let latency = latency_axis(values)?;
    // The greatest of n stands where one of n is left over: its quantile is 1, at infinity.
    let end = |curve: &Curve| (curve.count as f64).log10();
    let to = curves.iter().map(|curve| end(curve)).fold(1.0, f64::max);
    let mut labelled: Vec<f64> = (0..=to as u32).map(f64::from).collect();
    if to < 5.5 {
        labelled.push(2f64.log10());
    }
    let percentile = Axis {
        title: "percentile",
        from: 0.0,
        to,
        labelled,
        between: Vec::new(),
        label: |decades| {
            let digits = (decades as usize).saturating_sub(2);
            format!("{:.digits$} %", 100.0 - 100.0 / 10f64.powf(decades))
        },
    };
    let line = |curve: &&Curve| -> Line {
        let points = curve.points.iter().map(|point| {
            let decades = -(1.0 - point.quantile).log10();
            (decades.min(end(curve)), log10(point.value_ns))
        });
        (curve_label(&curve.name).to_owned(), vec![points.collect()])
    };
    Some(draw(percentile, latency, curves.iter().map(line).collect()))
}

/// Latency over time: median, 99th percentile and greatest of each slice, as steps. A slice without
/// deliveries is a gap. None where nothing was recorded.
pub(super) fn over_time(slices: &[Slice]) -> Option<Plot> {
    let full = || slices.iter().filter(|slice| slice.count > 0);
    let latency =
        latency_axis(full().flat_map(|slice| [slice.p50_ns, slice.p99_ns, slice.max_ns]))?;
    let length = match slices {
        [first, second, ..] => second.from_ms.saturating_sub(first.from_ms),
        _ => 1_000, // as good as any: there is nothing to compare it with
    };
    let seconds = |ms: u64| ms as f64 / 1_000.0;
    let ends = |slice: &Slice| [seconds(slice.from_ms), seconds(slice.from_ms + length)];
    let to = ends(slices.last()?)[1].max(0.001);
    let step = rounded_up(to / TIME_LABELS_MAX);
    let time = Axis {
        title: "time since the warm-up's end, s",
        from: 0.0,
        to,
        labelled: (0..=(to / step * 1.000_001) as u32).map(|n| f64::from(n) * step).collect(),
        between: Vec::new(),
        label: |seconds| {
            let text = format!("{seconds:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        },
    };
    let line = |label: &str, value: fn(&Slice) -> u64| -> Line {
        let pieces = slices.split(|slice| slice.count == 0).map(|piece| {
            let steps =
                piece.iter().flat_map(|slice| ends(slice).map(|at| (at, log10(value(slice)))));
            steps.collect()
        });
        (label.to_owned(), pieces.collect())
    };
    let lines = vec![
        line("median", |slice| slice.p50_ns),
        line("99 %", |slice| slice.p99_ns),
        line("max", |slice| slice.max_ns),
    ];
    Some(draw(time, latency, lines))
}

fn log10(ns: u64) -> f64 {
    (ns.max(1) as f64).log10()
}

/// The least of 1, 2 and 5 times a power of ten that is not below `value`.
fn rounded_up(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    // A hair less, so that what is such a number already stays it.
    let fits = |step: &f64| *step >= value / decade * (1.0 - 1e-6);
    decade * [1.0, 2.0, 5.0].into_iter().find(fits).unwrap_or(10.0)
}

/// The greatest of them that is not above `value`.
fn rounded_down(value: f64) -> f64 {
    let decade = 10f64.powf(value.log10().floor());
    let fits = |step: &f64| *step <= value / decade * (1.0 + 1e-6);
    decade * [5.0, 2.0].into_iter().find(fits).unwrap_or(1.0)
}

/// Latency in ns, on a logarithmic axis that has room for all values. None where there are none.
fn latency_axis(values: impl Iterator<Item = u64>) -> Option<Axis> {
    let (least, greatest) =
        values.fold((u64::MAX, 0), |(least, greatest), ns| (least.min(ns), greatest.max(ns)));
    if least > greatest {
        return None;
    }
    let from = rounded_down(least.max(1) as f64).log10();
    let to = rounded_up(greatest.max(1) as f64 * HEADROOM).log10().max(from + 1.0);
    let at = |factors: &[f64]| {
        let decades = (from.floor() as i32)..=(to.ceil() as i32);
        let all =
            decades.flat_map(|decade| factors.iter().map(move |f| f64::from(decade) + f.log10()));
        all.filter(|value| (from - 1e-9..=to + 1e-9).contains(value)).collect::<Vec<f64>>()
    };
    let (labelled, between) = if to - from < DECADES_LABELLED {
        (at(&[1.0, 2.0, 5.0]), at(&[3.0, 4.0, 6.0, 7.0, 8.0, 9.0]))
    } else {
        (at(&[1.0]), at(&[2.0, 5.0]))
    };
    Some(Axis {
        title: "latency",
        from,
        to,
        labelled,
        between,
        label: |decades| short_time(10f64.powf(decades)),
    })
}

fn draw(x: Axis, y: Axis, lines: Vec<Line>) -> Plot {
    let mut svg = String::new();
    let font = FONT.into_font().color(&INK);
    let titles = [x.title, y.title];
    let mut legend = Vec::new();
    let drawn = (|| {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(12)
            .margin_right(28)
            .x_label_area_size(LABELS.0)
            .y_label_area_size(LABELS.1)
            .build_cartesian_2d(x, y)?;
        chart
            .configure_mesh()
            .x_desc(titles[0])
            .y_desc(titles[1])
            .label_style(font.clone())
            .axis_desc_style(font)
            .axis_style(INK)
            .bold_line_style(GRID[0])
            .light_line_style(GRID[1])
            .draw()?;
        for ((label, pieces), colour) in lines.into_iter().zip(COLOURS.iter().cycle()) {
            for piece in pieces {
                chart.draw_series(LineSeries::new(piece, colour.stroke_width(2)))?;
            }
            legend.push((label, css(colour)));
        }
        area.present()
    })();
    drawn.expect("text takes every picture, and SIZE has room for LABELS");
    Plot { svg: inside_a_page(&svg), legend }
}

/// As plotters writes it, so that one selector finds both.
fn css(colour: &RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

/// Without the name space, which HTML has already, and the fixed size.
fn inside_a_page(svg: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    format!("<svg viewBox=\"0 0 {} {}\" role=\"img\">{body}", SIZE.0, SIZE.1)
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn every_curve_is_drawn_and_in_the_legend() {
        let report = example::report();
        let plot = by_percentile(&report.curves).unwrap();
        let labels: Vec<&str> = plot.legend.iter().map(|(label, _)| label.as_str()).collect();
        assert_eq!(labels, ["from intended time", "from sending"]);
        for (_, colour) in &plot.legend {
            assert_eq!(plot.svg.matches(&format!("stroke=\"{colour}\"")).count(), 1, "{colour}");
        }
        for label in ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "100 µs", "100 ms"] {
            assert!(plot.svg.contains(&format!("\n{label}\n")), "{label}: {}", plot.svg);
        }
    }

    #[test]
    fn a_slice_without_deliveries_is_a_gap() {
        let mut slices = example::report().slices;
        let before = over_time(&slices).unwrap();
        slices[4].count = 0;
        let after = over_time(&slices).unwrap();
        let lines = |plot: &Plot| plot.svg.matches(&plot.legend[0].1).count();
        assert_eq!((lines(&before), lines(&after)), (1, 2));
    }

    #[test]
    fn nothing_recorded_is_no_picture_and_little_is_one() {
        assert!(by_percentile(&[]).is_none() && over_time(&[]).is_none());
        let mut curve = example::report().curves.swap_remove(0);
        curve.points.truncate(1);
        (curve.count, curve.points[0].value_ns) = (1, 0);
        assert!(by_percentile(&[curve]).is_some());
        let slice = Slice { from_ms: 0, count: 1, p50_ns: 0, p99_ns: 0, max_ns: u64::MAX };
        assert!(over_time(&[slice]).is_some());
    }

    #[test]
    fn steps_are_one_two_and_five() {
        for (value, up, down) in
            [(0.3, 0.5, 0.2), (1.0, 1.0, 1.0), (7.0, 10.0, 5.0), (120.0, 200.0, 100.0)]
        {
            assert!((rounded_up(value) / up - 1.0).abs() < 1e-9, "{value}");
            assert!((rounded_down(value) / down - 1.0).abs() < 1e-9, "{value}");
        }
    }
}
