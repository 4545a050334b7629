//! What the text and the page both say, cell by cell. What must not be here: how a cell looks.

use super::curve::SHOWN;
use super::model::{Curve, Figure, Report};
use super::number::{grouped, in_unit, micros};

/// A head and its rows, all of one length. The first column is words, the others numbers.
pub(super) struct Rows {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// The command as it would be typed in a shell.
pub(super) fn command(report: &Report) -> String {
    let words = report.command.iter().map(|word| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+[]".contains(c);
        match word.chars().all(plain) && !word.is_empty() {
            true => word.clone(),
            false => format!("'{}'", word.replace('\'', r"'\''")),
        }
    });
    let words: Vec<String> = std::iter::once("reactor".to_owned()).chain(words).collect();
    words.join(" ")
}

/// What the figures depend on: a word and its value.
pub(super) fn circumstances(report: &Report) -> Vec<[String; 2]> {
    let machine = &report.machine;
    let cores = if machine.cores == 1 { "core" } else { "cores" };
    let mut parts = vec![machine.cpu.clone(), format!("{} {cores}", machine.cores)];
    parts.push(machine.kernel.clone());
    if !machine.congestion.is_empty() {
        parts.push(format!("tcp {}", machine.congestion));
    }
    parts.retain(|part| !part.is_empty());
    let settings = report.settings.iter().map(|(name, value)| format!("{name} {value}"));
    let rows = [
        ("machine", parts.join(", ")),
        ("reactor", machine.reactor.clone()),
        ("server", report.server.clone()),
        ("settings", settings.collect::<Vec<_>>().join(", ")),
        ("measured", machine.at.clone()),
    ];
    rows.map(|(word, value)| [word.to_owned(), value]).to_vec()
}

/// The figures: label, value, unit, and the least and the greatest where there were repeats. Where
/// there were none, a curve's percentiles stand in a table of their own and not here too.
pub(super) fn figures(report: &Report) -> Rows {
    let repeated = report.figures.iter().any(|figure| figure.interval.is_some());
    let row = |figure: &Figure| {
        let value = |value| in_unit(value, &figure.unit);
        let mut row = vec![figure.label.clone(), value(figure.value), figure.unit.clone()];
        if repeated {
            row.extend(
                figure.interval.map_or([String::new(), String::new()], |ends| ends.map(value)),
            );
        }
        row
    };
    let mut head = vec!["figure", if repeated { "median" } else { "value" }, "unit"];
    if repeated {
        head.extend(["least", "greatest"]);
    }
    let head = head.into_iter().map(str::to_owned).collect();
    let shown = report.figures.iter().filter(|figure| repeated || !is_percentile(&figure.name));
    Rows { head, rows: shown.map(row).collect() }
}

/// `latency_p99_us`, `rtt_max_us`: a curve's name, a percentile, the unit.
fn is_percentile(name: &str) -> bool {
    let percentile = name.split_once('_').and_then(|(_, rest)| rest.strip_suffix("_us"));
    percentile.is_some_and(|word| word == "max" || word.starts_with('p'))
}

/// Percentiles of all curves side by side, in µs, and how many were recorded.
pub(super) fn percentiles(report: &Report) -> Rows {
    let curves = &report.curves;
    let row = |first: &str, cell: &dyn Fn(&Curve) -> String| {
        std::iter::once(first.to_owned()).chain(curves.iter().map(cell)).collect::<Vec<_>>()
    };
    let head = row("latency, µs", &|curve| curve_label(&curve.name).to_owned());
    let mut rows: Vec<Vec<String>> = SHOWN
        .iter()
        .map(|&(word, quantile)| row(word, &|curve| micros(curve.at(quantile))))
        .collect();
    rows.push(row("mean", &|curve| micros(curve.mean_ns.round() as u64)));
    rows.push(row("recorded", &|curve| grouped(curve.count)));
    Rows { head, rows }
}

/// What a curve's time is counted from and to.
pub(super) fn curve_label(name: &str) -> &str {
    match name {
        "intended" => "from intended time",
        "sent" => "from sending",
        "last" => "to last receiver",
        "skew" => "first to last receiver",
        "rtt" => "round trip",
        "life" => "open to closed",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_command_can_be_typed_again() {
        let mut report = example::report();
        report.command = ["bench", "a b", "it's", "", "--size=1KiB"].map(str::to_owned).to_vec();
        assert_eq!(command(&report), r"reactor bench 'a b' 'it'\''s' '' --size=1KiB");
    }

    #[test]
    fn an_interval_is_shown_where_there_is_one() {
        let mut report = example::report();
        assert_eq!(figures(&report).head, ["figure", "median", "unit", "least", "greatest"]);
        report.figures.iter_mut().for_each(|figure| figure.interval = None);
        assert_eq!(figures(&report).head, ["figure", "value", "unit"]);
    }
}
