//! Repeats of one scenario to one report: medians with their intervals, all latencies in one curve,
//! every reason kept. Pure.

use super::model::{Curve, Figure, Report};
use hdrhistogram::Histogram;

/// One report of all repeats, which must be at least one. Figures are matched by name, in the order
/// of the first repeat that has them; the settings and the machine are the first's, the slices the
/// last's.
pub fn merge(reports: Vec<Report>) -> Report {
    let figures = figures(&reports);
    let mut reports = reports.into_iter();
    let mut merged = reports.next().expect("a bench has one repeat at least");
    merged.figures = figures;
    for report in reports {
        for curve in report.curves {
            match merged.curves.iter_mut().find(|first| first.name == curve.name) {
                Some(first) => *first = together(first, &curve),
                None => merged.curves.push(curve),
            }
        }
        merged.slices = report.slices;
        let (into, from) = (&mut merged.verdict, report.verdict);
        add(&mut into.invalid, from.invalid);
        add(&mut into.faults, from.faults);
        add(&mut into.broken_slos, from.broken_slos);
        add(&mut into.notes, from.notes);
    }
    merged
}

fn figures(reports: &[Report]) -> Vec<Figure> {
    let mut merged: Vec<Figure> = Vec::new();
    for figure in reports.iter().flat_map(|report| &report.figures) {
        if merged.iter().all(|known| known.name != figure.name) {
            let same = |report: &Report| {
                let found = report.figures.iter().find(|other| other.name == figure.name)?;
                Some(found.value)
            };
            let mut values: Vec<f64> = reports.iter().filter_map(same).collect();
            values.sort_by(f64::total_cmp);
            let (least, greatest) = (values[0], values[values.len() - 1]);
            let interval = (reports.len() > 1).then_some([least, greatest]);
            merged.push(Figure { value: median(&values), interval, ..figure.clone() });
        }
    }
    merged
}

/// The middle of sorted values; of an even number the mean of the two.
fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) {
        (sorted[half - 1] + sorted[half]) / 2.0
    } else {
        sorted[half]
    }
}

/// One curve of the latencies of both.
fn together(a: &Curve, b: &Curve) -> Curve {
    let mut all = recorded(a);
    all.add(recorded(b)).expect("it resizes itself");
    Curve::of(&a.name, all)
}

/// What a curve was made of. One that was read from a file knows only its points: between two of
/// them everything counts as the later one, so that nothing gets faster by being merged.
fn recorded(curve: &Curve) -> Histogram<u64> {
    let mut all = curve.histogram.clone().unwrap_or_else(|| {
        let mut from_points = Histogram::new(3).expect("three digits are allowed");
        let mut below = 0;
        for point in &curve.points {
            let more = point.count.saturating_sub(below);
            // Cannot fail: a histogram that resizes itself has no greatest value.
            let _ = from_points.record_n(point.value_ns, more);
            below = below.max(point.count);
        }
        from_points
    });
    all.auto(true);
    all
}

/// A reason that several repeats give is given once.
fn add(into: &mut Vec<String>, from: Vec<String>) {
    for line in from {
        if !into.contains(&line) {
            into.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    fn repeat(rate: f64, latencies: &[u64]) -> Report {
        let mut report = example::report();
        report.figures.truncate(1);
        report.figures[0].value = rate;
        report.figures[0].interval = None;
        let mut histogram = Histogram::new(3).unwrap();
        latencies.iter().for_each(|&ns| histogram.record(ns).unwrap());
        report.curves = vec![Curve::of("intended", histogram)];
        report
    }

    #[test]
    fn a_figure_is_the_median_with_the_least_and_the_greatest() {
        let merged = merge([30.0, 10.0, 20.0].map(|rate| repeat(rate, &[1])).to_vec());
        assert_eq!(
            (merged.figures[0].value, merged.figures[0].interval),
            (20.0, Some([10.0, 30.0]))
        );
        let merged = merge([10.0, 20.0].map(|rate| repeat(rate, &[1])).to_vec());
        assert_eq!(merged.figures[0].value, 15.0);
    }

    #[test]
    fn one_repeat_has_no_interval() {
        assert_eq!(merge(vec![repeat(1.0, &[1])]), repeat(1.0, &[1]));
    }

    #[test]
    fn latencies_of_all_repeats_are_one_curve() {
        let merged = merge(vec![repeat(1.0, &[100, 200]), repeat(1.0, &[300, 400])]);
        let all = repeat(1.0, &[100, 200, 300, 400]);
        assert_eq!(merged.curves, all.curves);
    }

    #[test]
    fn a_curve_that_was_read_back_counts_too_and_never_gets_faster() {
        let mut read = repeat(1.0, &[100, 200]);
        read.curves[0].histogram = None;
        let merged = merge(vec![read, repeat(1.0, &[300])]);
        let curve = &merged.curves[0];
        assert_eq!((curve.count, curve.at(0.0), curve.at(1.0)), (3, 100, 300));
    }

    #[test]
    fn reasons_are_joined_and_each_told_once() {
        let mut repeats = [(); 3].map(|()| repeat(1.0, &[1]));
        repeats[1].verdict.faults = vec!["one lost".into()];
        repeats[2].verdict.faults = vec!["one lost".into(), "one twice".into()];
        repeats[2].verdict.invalid = vec!["late".into()];
        let verdict = merge(repeats.to_vec()).verdict;
        assert_eq!(verdict.faults, ["one lost", "one twice"]);
        assert_eq!(verdict.invalid, ["late"]);
        assert!(!verdict.is_good());
    }
}
