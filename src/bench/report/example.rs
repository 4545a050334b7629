//! A report for the tests of its forms: every part of it is there, and small. Tests alone.

use super::model::{Better, Curve, Figure, Machine, Point, Report, Slice, VERSION, Verdict};

fn figure(name: &str, label: &str, value: f64, unit: &str, better: Better) -> Figure {
    let interval = Some([value * 0.9, value * 1.2]);
    let [name, label, unit] = [name, label, unit].map(str::to_owned);
    Figure { name, label, value, unit, better, interval }
}

fn curve(name: &str, micros: [u64; 8]) -> Curve {
    let quantiles = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.999_95, 1.0];
    let count = 50_000;
    let point = |(quantile, micros): (f64, u64)| {
        let below = ((quantile * count as f64).ceil() as u64).max(1);
        Point { quantile, value_ns: micros * 1_000, count: below }
    };
    Curve {
        name: name.to_owned(),
        count,
        mean_ns: 1_234_567.0,
        stdev_ns: 98_765.4,
        points: quantiles.into_iter().zip(micros).map(point).collect(),
        histogram: None,
    }
}

/// A good run of `fanout`, with a stall that the second curve hides.
pub(super) fn report() -> Report {
    let settings = [("rate", "100"), ("size", "64 B"), ("subscribers", "100")];
    let slice = |n: u64| Slice {
        from_ms: n * 250,
        count: 2_500,
        p50_ns: 1_050_000 + n * 10_000,
        p99_ns: if n == 7 { 150_000_000 } else { 4_000_000 + n * 50_000 },
        max_ns: if n == 7 { 200_000_000 } else { 6_500_000 },
    };
    Report {
        version: VERSION,
        scenario: "fanout".into(),
        command: ["bench", "fanout", "--repeat", "3"].map(str::to_owned).to_vec(),
        machine: Machine {
            reactor: "0.1.0".into(),
            cpu: "Some CPU @ 2.20GHz".into(),
            cores: 2,
            kernel: "Linux 6.18.5".into(),
            congestion: "cubic".into(),
            at: "2026-11-22T17:10:58Z".into(),
        },
        server: "reactor serve --tcp 127.0.0.1:0".into(),
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        figures: vec![
            figure("deliveries_per_s", "deliveries a second", 10_014.0, "/s", Better::Higher),
            figure("latency_p99_us", "latency p99", 5_042.0, "µs", Better::Lower),
            figure("lost", "lost", 0.0, "", Better::Lower),
        ],
        curves: vec![
            curve("intended", [70, 1_050, 2_100, 5_042, 150_000, 199_000, 199_900, 200_000]),
            curve("sent", [70, 1_000, 1_900, 2_500, 3_000, 3_200, 3_250, 3_300]),
        ],
        slices: (0..20).map(slice).collect(),
        verdict: Verdict {
            notes: vec!["every line reached every subscriber whole, once and in order".into()],
            ..Verdict::default()
        },
    }
}

/// The same, believed by nobody.
pub(super) fn invalid_report() -> Report {
    let mut report = report();
    report.verdict.invalid = vec!["the bench was late by 120 ms: it was the bottleneck".into()];
    report.verdict.faults = vec!["of 50,000 deliveries 20 are missing".into()];
    report.verdict.broken_slos = vec!["p99 <= 5 ms: it was 5.04 ms".into()];
    report
}
