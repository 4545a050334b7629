//! Two reports side by side: what differs in their circumstances first, then each figure and each
//! percentile with its ratio. Pure. It judges no more than the figures do: where the intervals of
//! repeats overlap it says so.

use super::curve::SHOWN;
use super::model::{Better, Curve, Figure, Report};
use super::number::{figure, in_unit, micros};
use super::rows::{self, Rows, curve_label};
use super::text::table;
use crate::visible::visible;
use std::collections::BTreeSet;

/// Ratios nearer to 1 than this are the same, as far as three digits can tell.
const SAME: f64 = 0.005;

/// The whole text, with a newline at its end; `names` are what the reports are called, their files.
pub fn compare(names: [&str; 2], reports: [&Report; 2]) -> String {
    let heads = ["A", "B"].iter().zip(names).zip(reports).map(|((letter, name), report)| {
        let (name, command) = (visible(name), rows::command(report));
        format!("{letter}  {name}: {}, {}", visible(&command), visible(&report.machine.at))
    });
    let mut lines: Vec<String> = heads.collect();
    for (letter, report) in ["A", "B"].iter().zip(reports) {
        let reasons = report.verdict.reasons();
        lines.extend(
            reasons.map(|(word, line)| format!("warning: {letter}: {word}: {}", visible(line))),
        );
    }
    lines.extend(differences(reports).map(|line| format!("warning: {}", visible(&line))));
    for (letter, report) in ["A", "B"].iter().zip(reports) {
        if report.figures.iter().all(|figure| figure.interval.is_none()) {
            lines.push(format!("note: {letter} is one run: no interval says what chance did"));
        }
    }
    let mut parts = vec![lines.join("\n"), table(figures(reports), &[0, 3, 5])];
    let [a, b] = reports;
    for curve in &a.curves {
        if let Some(other) = b.curves.iter().find(|other| other.name == curve.name) {
            parts.push(table(percentiles([curve, other]), &[0, 4]));
        }
    }
    parts.join("\n\n") + "\n"
}

/// What is not the same in both, of what the figures depend on, in words.
fn differences<'a>([a, b]: [&'a Report; 2]) -> impl Iterator<Item = String> + 'a {
    let (mine, yours) = (&a.machine, &b.machine);
    let machine = [
        ("scenario", a.scenario.clone(), b.scenario.clone()),
        ("reactor", mine.reactor.clone(), yours.reactor.clone()),
        ("processor", mine.cpu.clone(), yours.cpu.clone()),
        ("cores", mine.cores.to_string(), yours.cores.to_string()),
        ("kernel", mine.kernel.clone(), yours.kernel.clone()),
        ("congestion control", mine.congestion.clone(), yours.congestion.clone()),
        ("server", a.server.clone(), b.server.clone()),
    ];
    let machine = machine.into_iter().map(|(word, a, b)| (word.to_owned(), a, b));
    let names: BTreeSet<&String> = a.settings.keys().chain(b.settings.keys()).collect();
    let settings = names.into_iter().map(|name| {
        let of = |report: &Report| report.settings.get(name).cloned().unwrap_or_default();
        (name.clone(), of(a), of(b))
    });
    machine.chain(settings).filter(|(_, a, b)| a != b).map(|(word, a, b)| {
        let told = |value: String| if value.is_empty() { "not told".to_owned() } else { value };
        format!("{word} differs: A {}, B {}", told(a), told(b))
    })
}

/// Every figure of both, in the order of the first.
fn figures([a, b]: [&Report; 2]) -> Rows {
    let find = |report: &'_ Report, name: &str| {
        report.figures.iter().find(|figure| figure.name == name).cloned()
    };
    let only_b = b.figures.iter().filter(|figure| find(a, &figure.name).is_none());
    let rows = a.figures.iter().chain(only_b).map(|either| {
        let pair = [find(a, &either.name), find(b, &either.name)];
        let cell = |figure: &Option<Figure>| figure.as_ref().map_or("-".to_owned(), with_interval);
        let (ratio, word) = match &pair {
            [Some(a), Some(b)] => judged(a, b),
            _ => Default::default(),
        };
        let unit = either.unit.clone();
        vec![either.label.clone(), cell(&pair[0]), cell(&pair[1]), unit, ratio, word]
    });
    let rows = rows.collect();
    Rows { head: ["figure", "A", "B", "unit", "B/A", ""].map(str::to_owned).to_vec(), rows }
}

fn percentiles([a, b]: [&Curve; 2]) -> Rows {
    let row = |(word, quantile): (&str, f64)| {
        let [mine, yours] = [a.at(quantile), b.at(quantile)];
        let (ratio, word_of_it) = ratio([mine as f64, yours as f64], Better::Lower);
        vec![word.to_owned(), micros(mine), micros(yours), ratio, word_of_it.to_owned()]
    };
    let label = format!("latency {}, µs", curve_label(&a.name));
    let head = [label.as_str(), "A", "B", "B/A", ""].map(str::to_owned).to_vec();
    Rows { head, rows: SHOWN.into_iter().map(row).collect() }
}

/// `20.0 [10.0, 30.0]`.
fn with_interval(figure: &Figure) -> String {
    let shown = |value| in_unit(value, &figure.unit);
    match figure.interval {
        Some([least, greatest]) => {
            format!("{} [{}, {}]", shown(figure.value), shown(least), shown(greatest))
        }
        None => shown(figure.value),
    }
}

/// The ratio and what it means.
fn judged(a: &Figure, b: &Figure) -> (String, String) {
    let (ratio, word) = ratio([a.value, b.value], a.better);
    let overlap = match (a.interval, b.interval) {
        (Some(a), Some(b)) => a[0] <= b[1] && b[0] <= a[1],
        _ => false,
    };
    let word = match word {
        "better" | "worse" if overlap => format!("{word}, but the intervals overlap"),
        word => word.to_owned(),
    };
    (ratio, word)
}

/// B divided by A, and whether B is better. Nothing is divided by nothing.
fn ratio([a, b]: [f64; 2], better: Better) -> (String, &'static str) {
    let ratio = if a == 0.0 { "-".to_owned() } else { figure(b / a) };
    let same = a == b || (b / a - 1.0).abs() < SAME;
    let word = match better {
        _ if same => "same",
        Better::Neither => "",
        Better::Lower if b < a => "better",
        Better::Higher if b > a => "better",
        Better::Lower | Better::Higher => "worse",
    };
    (ratio, word)
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn two_runs_stand_side_by_side() {
        let (a, mut b) = (example::report(), example::report());
        b.figures[0].value = 20_028.0;
        b.figures[0].interval = Some([19_000.0, 21_000.0]);
        b.figures[1].value = 5_500.0;
        b.curves.truncate(1);
        b.curves[0].points.iter_mut().for_each(|point| point.value_ns *= 2);
        let text = compare(["a.json", "b.json"], [&a, &b]);
        assert!(text.contains("2.00  better\n"), "{text}");
        assert!(text.contains("1.09  worse, but the intervals overlap\n"), "{text}");
        assert!(
            text.contains("latency from intended time, µs        A        B   B/A\n"),
            "{text}"
        );
        assert!(!text.contains("warning") && !text.contains("from sending"), "{text}");
        let first = "A  a.json: reactor bench fanout --repeat 3, 2026-11-22T17:10:58Z";
        assert_eq!(text.lines().next(), Some(first));
    }

    #[test]
    fn what_differs_is_warned_of() {
        let (a, mut b) = (example::report(), example::invalid_report());
        b.machine.cores = 64;
        b.machine.congestion = String::new();
        b.settings.insert("rate".into(), "200".into());
        b.settings.remove("size");
        b.verdict.faults.clear();
        b.verdict.broken_slos.clear();
        let text = compare(["a", "b"], [&a, &b]);
        let warnings: Vec<&str> = text.lines().filter(|line| line.starts_with("warning")).collect();
        let expected = [
            "warning: B: INVALID: the bench was late by 120 ms: it was the bottleneck",
            "warning: cores differs: A 2, B 64",
            "warning: congestion control differs: A cubic, B not told",
            "warning: rate differs: A 100, B 200",
            "warning: size differs: A 64 B, B not told",
        ];
        assert_eq!(warnings, expected);
    }

    #[test]
    fn when_it_was_measured_may_differ() {
        let (a, mut b) = (example::report(), example::report());
        b.machine.at = "2027-01-01T00:00:00Z".into();
        assert!(!compare(["a", "b"], [&a, &b]).contains("warning"));
    }

    #[test]
    fn a_figure_of_one_alone_is_shown_and_not_judged() {
        let (mut a, mut b) = (example::report(), example::report());
        a.figures.remove(0);
        b.figures.remove(1);
        let rows = figures([&a, &b]).rows;
        let cells: Vec<_> =
            rows.iter().map(|row| [&row[0][..], &row[1], &row[4], &row[5]]).collect();
        assert_eq!(cells[0], ["latency p99", "5,042 [4,538, 6,050]", "", ""]);
        assert_eq!(cells[2], ["deliveries a second", "-", "", ""]);
    }

    #[test]
    fn better_is_what_the_figure_says() {
        for (pair, better, expected) in [
            ([10.0, 20.0], Better::Higher, ("2.00", "better")),
            ([10.0, 20.0], Better::Lower, ("2.00", "worse")),
            ([20.0, 10.0], Better::Lower, ("0.50", "better")),
            ([10.0, 20.0], Better::Neither, ("2.00", "")),
            ([1_000.0, 1_004.0], Better::Lower, ("1.00", "same")),
            ([0.0, 0.0], Better::Lower, ("-", "same")),
            ([0.0, 3.0], Better::Lower, ("-", "worse")),
        ] {
            let (shown, word) = ratio(pair, better);
            assert_eq!((shown.as_str(), word), expected, "{pair:?}");
        }
    }
}
