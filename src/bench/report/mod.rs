//! What a measurement comes to, as text: one figure a line, with its unit. Pure.

#[allow(dead_code, unreachable_pub)] // until the forms are made of it
pub mod model;

use super::footprint::Footprint;
use super::measure::Measure;
use std::fmt;
use std::time::Duration;

/// The outcome of one `bench`. Displays as a head line, an aligned table and a verdict.
pub struct Report {
    /// Machine, server, peers, size and rate.
    head: String,
    rows: Vec<Row>,
    faults: Option<String>,
}

struct Row {
    label: &'static str,
    value: String,
    unit: &'static str,
}

impl Report {
    pub(super) fn new(head: String) -> Self {
        Report { head, rows: Vec::new(), faults: None }
    }

    /// What was wrong with the server's deliveries, in one line; None where each line reached each
    /// subscriber whole, once and in order.
    pub fn faults(&self) -> Option<&str> {
        self.faults.as_deref()
    }

    pub(super) fn row(&mut self, label: &'static str, value: f64, unit: &'static str) {
        self.rows.push(Row { label, value: figure(value), unit });
    }

    pub(super) fn count(&mut self, label: &'static str, value: u64, unit: &'static str) {
        self.rows.push(Row { label, value: grouped(value), unit });
    }

    /// How fast so many peers were connected, until the server was seen to serve each of them: the
    /// probes that show it are in the time.
    pub(super) fn connecting(&mut self, peers: usize, took: Duration) {
        self.row("peers connected a second", peers as f64 / took.as_secs_f64(), "/s");
    }

    /// Deliveries a second, counted from the first line's intended time to the last delivery.
    pub(super) fn deliveries(&mut self, measure: &Measure) {
        let tally = measure.checker.finish();
        let took = measure.delivered_last.saturating_duration_since(measure.schedule.start());
        self.count("deliveries", tally.delivered, "");
        if !took.is_zero() {
            self.row("deliveries a second", tally.delivered as f64 / took.as_secs_f64(), "/s");
        }
    }

    /// Latency from the intended time.
    pub(super) fn latency(&mut self, measure: &Measure) {
        let micros = |ns: u64| ns as f64 / 1_000.0;
        for (label, quantile) in
            [("latency p50", 0.5), ("latency p99", 0.99), ("latency p99.9", 0.999)]
        {
            self.row(label, micros(measure.latency.value_at_quantile(quantile)), "µs");
        }
        self.row("latency max", micros(measure.latency.max()), "µs");
    }

    /// What the measurement cost the server; nothing where it is not ours.
    pub(super) fn cost(&mut self, measure: &Measure, looks: [Option<Footprint>; 2]) {
        let delivered = measure.checker.delivered();
        if let [Some(before), Some(after)] = looks
            && delivered > 0
        {
            let cpu_ns = after.cpu_ns.saturating_sub(before.cpu_ns);
            self.row("server CPU a delivery", cpu_ns as f64 / delivered as f64 / 1_000.0, "µs");
        }
    }

    /// What the server's memory grew by for so many peers.
    pub(super) fn memory(&mut self, looks: [Option<Footprint>; 2], peers: usize) {
        if let [Some(before), Some(after)] = looks {
            let grown = after.rss_bytes as f64 - before.rss_bytes as f64;
            self.row("server memory a peer", grown / peers as f64, "bytes");
        }
    }

    /// How the bench itself did: its figures are worth nothing where it was late.
    pub(super) fn generator(&mut self, measure: &Measure) {
        if measure.reads > 0 {
            self.row("lines per read", measure.lines as f64 / measure.reads as f64, "");
        }
        self.row("schedule lag max", measure.lag_max.as_nanos() as f64 / 1_000.0, "µs");
    }

    /// Losses, duplicates and order, and the verdict.
    pub(super) fn verdict(&mut self, measure: &Measure) {
        let tally = measure.checker.finish();
        self.count("lost", tally.lost, "");
        self.count("lost, told by the server", measure.told, "");
        self.count("duplicates", tally.duplicates, "");
        self.count("out of order", tally.disordered, "");
        self.count("damaged", tally.damaged, "");
        let clean = tally.is_clean() && measure.told == 0 && measure.closed == 0;
        let all = tally.delivered + tally.lost;
        self.faults = (!clean).then(|| {
            format!(
                "of {} deliveries {} are missing ({} told by the server), {} came twice, {} out of \
                 order, {} damaged; {} subscribers were disconnected",
                grouped(all),
                grouped(tally.lost),
                grouped(measure.told),
                grouped(tally.duplicates),
                grouped(tally.disordered),
                grouped(tally.damaged),
                grouped(measure.closed),
            )
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.head)?;
        let label = self.rows.iter().map(|row| row.label.len()).max().unwrap_or(0);
        let value = self.rows.iter().map(|row| row.value.len()).max().unwrap_or(0);
        for row in &self.rows {
            let line = format!("{:label$}  {:>value$} {}", row.label, row.value, row.unit);
            writeln!(f, "{}", line.trim_end())?;
        }
        match self.faults {
            None => writeln!(f, "every line reached every subscriber whole, once and in order"),
            Some(_) => Ok(()), // told as the error that it is
        }
    }
}

/// Three significant digits at least, whole numbers from 100 on, thousands grouped.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", grouped(size.round() as u64))
        }
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `1,234,567`.
pub(super) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_groups() {
        for (value, text) in [
            (0.0, "0.00"),
            (1.234, "1.23"),
            (9.999, "10.0"),
            (45.67, "45.7"),
            (99.97, "100"),
            (999.6, "1,000"),
            (1_234_567.8, "1,234,568"),
            (-1_234.0, "-1,234"),
        ] {
            assert_eq!(figure(value), text);
        }
        assert_eq!([0, 999, 1_000, 1_000_000].map(grouped), ["0", "999", "1,000", "1,000,000"]);
    }

    #[test]
    fn the_table_is_aligned_and_ends_in_the_verdict() {
        let mut report = Report::new("head".into());
        report.row("short", 1.0, "µs");
        report.count("much longer", 12_345, "");
        let expected = "head\nshort          1.00 µs\nmuch longer  12,345\n\
                        every line reached every subscriber whole, once and in order\n";
        assert_eq!(report.to_string(), expected);
    }
}
