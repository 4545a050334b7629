//! A report for a terminal or a file: what is wrong with it first, then what was measured, aligned.
//! Pure. What comes from outside (a command line, a file) is made visible, so that no report can
//! steer a terminal.

use super::model::Report;
use super::rows::{self, Rows};
use crate::visible::visible;
use comfy_table::{CellAlignment, Table, presets};

/// The whole text, with a newline at its end.
pub fn text(report: &Report) -> String {
    let mut parts = Vec::new();
    let reasons = report.verdict.reasons().map(|(word, line)| format!("{word}: {}", visible(line)));
    parts.push(reasons.collect::<Vec<_>>().join("\n"));
    parts.push(visible(&rows::command(report)).into_owned());
    let circumstances = rows::circumstances(report);
    parts.push(lines(circumstances.iter().map(|[word, value]| format!("{word:<8}  {value}"))));
    parts.push(table(rows::figures(report), &[0, 2]));
    if !report.curves.is_empty() {
        parts.push(table(rows::percentiles(report), &[0]));
    }
    parts.push(lines(report.verdict.notes.iter().cloned()));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n") + "\n"
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| visible(&line).trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Columns without borders, two spaces apart; those in `words` are to the left, the others to the
/// right.
pub(super) fn table(rows: Rows, words: &[usize]) -> String {
    let shown = |cells: Vec<String>| {
        cells.into_iter().map(|cell| visible(&cell).into_owned()).collect::<Vec<_>>()
    };
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(shown(rows.head));
    table.add_rows(rows.rows.into_iter().map(shown));
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if !words.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::super::example;
    use super::*;

    #[test]
    fn a_good_report_is_tables_and_notes() {
        let expected = "\
reactor bench fanout --repeat 3

machine   Some CPU @ 2.20GHz, 2 cores, Linux 6.18.5, tcp cubic
reactor   0.1.0
server    reactor serve --tcp 127.0.0.1:0
settings  rate 100, size 64 B, subscribers 100
measured  2026-11-22T17:10:58Z

figure               median  unit  least  greatest
deliveries a second  10,014  /s    9,013    12,017
latency p99           5,042  µs    4,538     6,050
lost                      0            0         0

latency, µs  from intended time  from sending
50 %                      1,050         1,000
90 %                      2,100         1,900
99 %                      5,042         2,500
99.9 %                  150,000         3,000
99.99 %                 199,000         3,200
max                     200,000         3,300
mean                      1,235         1,235
recorded                 50,000        50,000

every line reached every subscriber whole, once and in order
";
        assert_eq!(text(&example::report()), expected);
    }

    #[test]
    fn what_is_wrong_comes_first() {
        let text = text(&example::invalid_report());
        let expected = "\
INVALID: the bench was late by 120 ms: it was the bottleneck
FAULT: of 50,000 deliveries 20 are missing
LIMIT BROKEN: p99 <= 5 ms: it was 5.04 ms

reactor bench fanout";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn no_report_steers_a_terminal() {
        let mut report = example::invalid_report();
        let hostile = "\x1b]0;owned\x07\r\n\u{202e}";
        for part in [&mut report.server, &mut report.figures[0].label, &mut report.curves[0].name] {
            *part = hostile.into();
        }
        report.command.push(hostile.into());
        report.settings.insert(hostile.into(), hostile.into());
        report.verdict.notes.push(hostile.into());
        report.verdict.faults.push(hostile.into());
        let text = text(&report);
        assert!(!text.contains(['\x1b', '\x07', '\r', '\u{202e}']), "{text:?}");
    }
}
