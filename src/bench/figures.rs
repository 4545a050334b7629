//! Measurements to figures, curves and verdicts: a report in the making. Pure.

use super::account::checker::Tally;
use super::account::measure::Measure;
use super::account::slices::Slices;
use super::account::watch::Watch;
use super::drive::Look;
use super::options::{Options, Slo};
use super::report::grouped;
use super::report::model::{Better, Curve, Figure, Slice, Verdict};
use super::server::LoopFigures;
use hdrhistogram::Histogram;
use std::time::Duration;

/// Percentiles that are told as figures: name, label, quantile.
const PERCENTILES: [(&str, &str, f64); 6] = [
    ("p50", "p50", 0.5),
    ("p90", "p90", 0.9),
    ("p99", "p99", 0.99),
    ("p99_9", "p99.9", 0.999),
    ("p99_99", "p99.99", 0.9999),
    ("max", "max", 1.0),
];

/// A generator that was late by so much, 1 time in 100, and by half of the latency that it tells,
/// measured itself. Below that a loop with nothing to do but wake up is late by chance.
const LAG_MAX: Duration = Duration::from_micros(500);

/// The same where there is no schedule: the loop's own longest turns are in it, and no line is
/// charged for them twice.
const LAG_MAX_UNSCHEDULED: Duration = Duration::from_millis(20);

/// Share of a core from which on a process has no time left.
const BUSY: f64 = 0.95;

/// A report in the making.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) figures: Vec<Figure>,
    pub(super) curves: Vec<Curve>,
    pub(super) slices: Vec<Slice>,
    pub(super) verdict: Verdict,
    /// The generator measured itself: why that is thought.
    late: Option<String>,
}

/// What both sides used from one look to the other.
pub(super) struct Used {
    pub(super) wall: Duration,
    pub(super) server_ns: Option<u64>,
    pub(super) own_ns: Option<u64>,
}

impl Used {
    pub(super) fn between([before, after]: [Look; 2]) -> Self {
        let cpu = |before: Option<_>, after: Option<_>| {
            let [before, after]: [super::server::Footprint; 2] = [before?, after?];
            Some(after.cpu_ns.saturating_sub(before.cpu_ns))
        };
        Used {
            wall: after.at.saturating_duration_since(before.at),
            server_ns: cpu(before.server, after.server),
            own_ns: cpu(before.own, after.own),
        }
    }

    fn share(&self, ns: Option<u64>) -> Option<f64> {
        let wall = self.wall.as_nanos() as f64;
        ns.filter(|_| wall > 0.0).map(|ns| ns as f64 / wall)
    }

    /// True where we had no time left, and the server is not known to have had none either.
    fn we_were_the_limit(&self) -> bool {
        self.share(self.own_ns).is_some_and(|own| own >= BUSY)
            && self.share(self.server_ns).is_none_or(|server| server < BUSY)
    }
}

impl Draft {
    pub(super) fn figure(
        &mut self,
        name: impl Into<String>,
        label: impl Into<String>,
        value: f64,
        unit: &str,
        better: Better,
    ) {
        let (name, label, unit) = (name.into(), label.into(), unit.to_owned());
        self.figures.push(Figure { name, label, value, unit, better, interval: None });
    }

    fn count(&mut self, name: &str, label: &str, value: u64, better: Better) {
        self.figure(name, label, value as f64, "", better);
    }

    /// Percentiles of a distribution in ns, and its curve under `name`.
    pub(super) fn latency(
        &mut self,
        name: &str,
        prefix: &str,
        label: &str,
        histogram: &Histogram<u64>,
    ) {
        if histogram.is_empty() {
            return;
        }
        for (word, of, quantile) in PERCENTILES {
            let us = histogram.value_at_quantile(quantile) as f64 / 1_000.0;
            let name = format!("{prefix}_{word}_us");
            self.figure(name, format!("{label} {of}"), us, "µs", Better::Lower);
        }
        self.curves.push(Curve::of(name, histogram.clone()));
    }

    /// How many a second, over the time in which they came. Not told where we were the limit.
    pub(super) fn rate(
        &mut self,
        (name, label): (&str, &str),
        count: u64,
        took: Duration,
        closed_loop: bool,
        used: &Used,
    ) {
        if closed_loop && used.we_were_the_limit() {
            let own = used.share(used.own_ns).unwrap_or_default() * 100.0;
            let server = match used.share(used.server_ns) {
                Some(share) => format!("the server {:.0} %", share * 100.0),
                None => "the server is not seen (--pid)".to_owned(),
            };
            self.verdict.notes.push(format!(
                "{label}: not told, for it is the bench's limit and not the server's: the bench \
                 used {own:.0} % of a core, {server}"
            ));
        } else if !took.is_zero() {
            self.figure(name, label, count as f64 / took.as_secs_f64(), "/s", Better::Higher);
        }
    }

    /// What it cost the server: CPU time by `each`, which are so many.
    pub(super) fn cost(&mut self, (each, label): (&str, &str), count: u64, used: &Used) {
        if let Some(ns) = used.server_ns.filter(|_| count > 0) {
            let name = format!("server_cpu_ns_per_{each}");
            let label = format!("server CPU a {label}");
            self.figure(name, label, ns as f64 / count as f64, "ns", Better::Lower);
        }
        if let Some(share) = used.share(used.server_ns) {
            self.figure(
                "server_cpu_percent",
                "server CPU, of a core",
                share * 100.0,
                "%",
                Better::Neither,
            );
        }
    }

    /// The server's memory, and what it grew by for so many peers.
    pub(super) fn memory(&mut self, [before, after]: [Look; 2], peers: usize) {
        let [Some(before), Some(after)] = [before.server, after.server] else { return };
        let kib = after.rss_bytes as f64 / 1024.0;
        self.figure("server_rss_kib", "server memory", kib, "KiB", Better::Lower);
        if peers > 0 {
            let grown = after.rss_bytes as f64 - before.rss_bytes as f64;
            self.figure(
                "server_rss_bytes_per_peer",
                "server memory a peer",
                grown / peers as f64,
                "bytes",
                Better::Lower,
            );
        }
    }

    /// What the server's loop counted between two answers to `/stats`.
    pub(super) fn server_loop(&mut self, looks: [Option<LoopFigures>; 2]) {
        let [Some(before), Some(after)] = looks else { return };
        let per_turn = |count: u64| {
            let turns = (after.turns - before.turns).max(1);
            count as f64 / turns as f64
        };
        let (delivered, sends) = (after.delivered - before.delivered, after.sends - before.sends);
        if delivered > 0 && sends > 0 {
            let lines = delivered as f64 / sends as f64;
            self.figure(
                "server_lines_per_send",
                "server lines a send",
                lines,
                "lines",
                Better::Neither,
            );
        }
        let sends_a_turn = per_turn(sends);
        self.figure(
            "server_sends_per_turn",
            "server sends a turn",
            sends_a_turn,
            "sends",
            Better::Neither,
        );
        let receives = per_turn(after.receives - before.receives);
        self.figure(
            "server_receives_per_turn",
            "server receives a turn",
            receives,
            "receives",
            Better::Neither,
        );
        let blocked = after.blocked - before.blocked;
        self.count("server_sends_blocked", "server sends blocked", blocked, Better::Lower);
        self.figure(
            "server_turn_max_us",
            "server longest turn since its start",
            after.turn_us_max as f64,
            "µs",
            Better::Lower,
        );
    }

    /// How the generator itself did. Its figures are worth nothing where it was late.
    pub(super) fn generator(
        &mut self,
        watch: &Watch,
        latency: &Histogram<u64>,
        scheduled: bool,
        used: &Used,
    ) {
        let lag = |quantile| match watch.lag.len() {
            0 => 0.0,
            _ => watch.lag.value_at_quantile(quantile) as f64 / 1_000.0,
        };
        let label = if scheduled { "schedule lag" } else { "loop lag" };
        let (p99, max) = (lag(0.99), lag(1.0));
        self.figure("own_lag_p99_us", format!("{label} p99"), p99, "µs", Better::Lower);
        self.figure("own_lag_max_us", format!("{label} max"), max, "µs", Better::Lower);
        if let Some(share) = used.share(used.own_ns) {
            let label = "own CPU, of a core";
            self.figure("own_cpu_percent", label, share * 100.0, "%", Better::Neither);
        }
        let told =
            if latency.is_empty() { 0.0 } else { latency.value_at_quantile(0.99) as f64 / 1_000.0 };
        let most = if scheduled { LAG_MAX } else { LAG_MAX_UNSCHEDULED };
        if p99 > most.as_micros() as f64 && p99 > told / 2.0 {
            self.late = Some(format!(
                "the bench was the bottleneck: 1 time in 100 it was late by {p99:.0} µs or more, \
                 and the latency's p99 is {told:.0} µs"
            ));
        }
    }

    /// Figures and verdict of what every line or datagram came to.
    pub(super) fn tally(&mut self, tally: &Tally) {
        use Better::Lower;
        self.count("lost", "lost", tally.lost, Lower);
        self.count("duplicates", "duplicates", tally.duplicates, Lower);
        self.count("disordered", "out of order", tally.disordered, Lower);
        self.count("damaged", "damaged", tally.damaged, Lower);
        let all = grouped(tally.delivered + tally.lost);
        for (count, what) in [
            (tally.lost, "are missing"),
            (tally.duplicates, "came twice"),
            (tally.disordered, "came out of order"),
            (tally.damaged, "came damaged"),
        ] {
            if count > 0 {
                let line = format!("of {all} deliveries {} {what}", grouped(count));
                self.verdict.faults.push(line);
            }
        }
    }

    /// What only lines over connections can come to.
    pub(super) fn connections(&mut self, measure: &Measure, stalled: usize) {
        use Better::{Lower, Neither};
        self.count("missed_told", "lost, told by the server", measure.told, Lower);
        self.count("disconnected", "subscribers disconnected", measure.closed, Lower);
        if measure.told > 0 {
            let told = grouped(measure.told);
            self.verdict.faults.push(format!("the server told readers that they missed {told}"));
        }
        if measure.closed > 0 {
            let closed = grouped(measure.closed);
            self.verdict.faults.push(format!("the server disconnected {closed} subscribers"));
        }
        if stalled > 0 {
            let closed = measure.stalled_closed;
            self.count("stalled_closed", "stalled readers disconnected", closed, Neither);
        }
        if measure.refused > 0 {
            self.verdict.notes.push(format!(
                "{} times the server did not take what a publisher sent",
                grouped(measure.refused)
            ));
        }
    }

    /// What was to be sent and never was.
    pub(super) fn unsent(&mut self, measure: &Measure) {
        if measure.is_scheduled() {
            let (queue, label) = (measure.watch.queue_max, "due and not sent, at most");
            self.count("own_queue_max", label, queue, Better::Lower);
        }
        if measure.unsent() > 0 {
            self.verdict.invalid.push(format!(
                "the rate was not reached: {} of {} were never sent",
                grouped(measure.unsent()),
                grouped(measure.made() + measure.unsent())
            ));
        }
    }

    /// Checks the limits that were asked for, and whether the generator was in time. In a ramp a
    /// limit that was kept with the generator's own lateness in it was kept.
    pub(super) fn judge(&mut self, options: &Options, latency: &Histogram<u64>) {
        let broken: Vec<String> =
            options.slos.iter().filter_map(|slo| broken(slo, latency)).collect();
        if !(options.ramp && broken.is_empty()) {
            self.verdict.invalid.extend(self.late.take());
        }
        self.verdict.broken_slos.extend(broken);
    }

    pub(super) fn slices(&mut self, slices: Slices) {
        self.slices = slices.finish();
    }
}

/// Which limit was broken, and by what.
fn broken(slo: &Slo, latency: &Histogram<u64>) -> Option<String> {
    let ns = if latency.is_empty() { u64::MAX } else { latency.value_at_quantile(slo.quantile) };
    let broken = Duration::from_nanos(ns) > slo.limit;
    broken.then(|| {
        let measured = match ns {
            u64::MAX => "nothing came".to_owned(),
            ns => format!("{:.0} µs", ns as f64 / 1_000.0),
        };
        format!("{} is over {:?}: {measured}", slo.word, slo.limit)
    })
}

#[cfg(test)]
mod tests {
    use super::super::account::histogram;
    use super::*;
    use std::time::Instant;

    fn used(server_ns: Option<u64>, own_ns: u64) -> Used {
        Used { wall: Duration::from_nanos(1_000), server_ns, own_ns: Some(own_ns) }
    }

    #[test]
    fn a_late_generator_is_no_measurement() {
        let start = Instant::now();
        let mut latency = histogram(3);
        latency.record(10_000_000).unwrap();
        for (late_ms, invalid) in [(4, false), (6, true)] {
            let (mut draft, mut watch) = (Draft::default(), Watch::new(start));
            watch.late(Duration::from_millis(late_ms));
            draft.generator(&watch, &latency, true, &used(None, 0));
            assert_eq!(draft.late.is_some(), invalid, "{late_ms} ms");
        }
    }

    #[test]
    fn no_throughput_is_told_where_the_bench_was_the_limit() {
        let name = ("deliveries_per_s", "deliveries a second");
        for (server, own, closed, told) in [
            (Some(500), 990, true, false),
            (Some(990), 990, true, true),
            (Some(500), 500, true, true),
            (None, 990, true, false),
            (Some(500), 990, false, true),
        ] {
            let mut draft = Draft::default();
            draft.rate(name, 10, Duration::from_secs(1), closed, &used(server, own));
            assert_eq!(draft.figures.len(), usize::from(told), "{server:?} {own} {closed}");
            assert_eq!(draft.verdict.notes.len(), usize::from(!told));
        }
    }

    #[test]
    fn a_limit_is_broken_by_more_than_it_and_by_nothing_at_all() {
        let slo = Slo { word: "p50".into(), quantile: 0.5, limit: Duration::from_millis(5) };
        let mut latency = histogram(3);
        assert_eq!(broken(&slo, &latency).unwrap(), "p50 is over 5ms: nothing came");
        latency.record(4_900_000).unwrap();
        assert_eq!(broken(&slo, &latency), None);
        (0..2).for_each(|_| latency.record(6_000_000).unwrap());
        assert!(broken(&slo, &latency).unwrap().starts_with("p50 is over 5ms: 60"));
    }

    #[test]
    fn each_kind_of_fault_is_a_line_of_its_own() {
        let mut draft = Draft::default();
        let tally = Tally { delivered: 1_998, lost: 2, disordered: 1, ..Tally::default() };
        draft.tally(&tally);
        let lines =
            ["of 2,000 deliveries 2 are missing", "of 2,000 deliveries 1 came out of order"];
        assert_eq!(draft.verdict.faults, lines);
    }
}
