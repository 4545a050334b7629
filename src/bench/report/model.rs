//! What a measurement comes to, as plain data: the one source of the text, JSON, HdrHistogram and
//! HTML forms and of `bench compare`. What must not be here: how any of them looks.
//!
//! The JSON form is public: docs/bench.schema.json is its schema, [`VERSION`] counts its breaks.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The JSON form's version: raised when a field goes or changes its meaning; a new one is no break.
pub const VERSION: u32 = 1;

/// The outcome of one `reactor bench`: all repeats of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// The scenario's word: `fanout`, `rtt`, `idle`, `connect`, `udp`.
    pub scenario: String,
    /// What was typed, one string an argument, the program's own name left out.
    pub command: Vec<String>,
    /// Where it was measured.
    pub machine: Machine,
    /// The server: its flags where it is our own child, else its address.
    pub server: String,
    /// Everything else that the figures depend on, by flag name without dashes, values as typed or
    /// by default; two runs are alike where these and the machine are.
    pub settings: BTreeMap<String, String>,
    /// In the order in which they are to be read.
    pub figures: Vec<Figure>,
    /// Latency by percentile; of all repeats together.
    pub curves: Vec<Curve>,
    /// Latency over time: of the last repeat, from its warm-up's end, slices of equal length.
    pub slices: Vec<Slice>,
    /// Whether it may be believed, and whether the server did right.
    pub verdict: Verdict,
}

/// Where it was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// This program's version, with `, debug build` where it is one.
    pub reactor: String,
    /// Processor, as /proc/cpuinfo names it; empty where unknown.
    pub cpu: String,
    /// Cores that we may run on.
    pub cores: usize,
    /// `Linux 6.18.5`.
    pub kernel: String,
    /// TCP congestion control; empty where unknown or not used.
    pub congestion: String,
    /// When it began, RFC 3339, UTC.
    pub at: String,
}

/// One figure: the median of all repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its stable name, unit last: `latency_p99_us`, `server_cpu_ns_per_delivery`.
    pub name: String,
    /// What a reader sees, without the unit.
    pub label: String,
    /// In `unit`.
    pub value: f64,
    /// `µs`, `/s`, `bytes`, or empty for a count.
    pub unit: String,
    /// Which way is better, for a comparison.
    pub better: Better,
    /// Least and greatest of all repeats; none where there was one repeat.
    pub interval: Option<[f64; 2]>,
}

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// The less the better: latency, cost, loss.
    Lower,
    /// The more the better: rates.
    Higher,
    /// Neither: it only describes the run.
    Neither,
}

/// A distribution of latency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// `intended` (from the time at which a line should have been sent), `sent` (from the time at
    /// which it was), `last` (until the last receiver), `skew` (first to last), `rtt`.
    pub name: String,
    /// How many were recorded.
    pub count: u64,
    /// Mean, in ns.
    pub mean_ns: f64,
    /// Standard deviation, in ns.
    pub stdev_ns: f64,
    /// From quantile 0 (the least) to 1 (the greatest), rising.
    pub points: Vec<Point>,
    /// What it was made of, so that repeats can be merged; not in the JSON form.
    #[serde(skip)]
    pub histogram: Option<Histogram<u64>>,
}

/// One point of a [`Curve`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// 0 to 1.
    pub quantile: f64,
    /// In ns; three significant digits.
    pub value_ns: u64,
    /// How many were at most so late.
    pub count: u64,
}

/// A slice of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Its beginning, in ms from the warm-up's end.
    pub from_ms: u64,
    /// Deliveries (or echoes, or round trips) in it.
    pub count: u64,
    /// Median from intended time, in ns; 0 where `count` is.
    pub p50_ns: u64,
    /// 99th percentile, likewise.
    pub p99_ns: u64,
    /// Greatest, likewise.
    pub max_ns: u64,
}

/// Whether it may be believed, and whether the server did right. Each reason is one whole line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Why the figures must not be believed: the generator was the bottleneck, or the server
    /// throttled or refused it. Not empty: INVALID, exit code 1.
    pub invalid: Vec<String>,
    /// What the server did wrong: losses, duplicates, disorder, damage, disconnections. Exit code 1.
    pub faults: Vec<String>,
    /// Limits of `--slo` that were broken, with what was measured. Exit code 1.
    pub broken_slos: Vec<String>,
    /// Worth knowing and no fault.
    pub notes: Vec<String>,
}

impl Verdict {
    /// True where the exit code is 0.
    pub fn is_good(&self) -> bool {
        self.invalid.is_empty() && self.faults.is_empty() && self.broken_slos.is_empty()
    }

    /// All reasons for the exit code 1, each with the word that says what it is.
    pub fn reasons(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("INVALID", &self.invalid),
            ("FAULT", &self.faults),
            ("LIMIT BROKEN", &self.broken_slos),
        ];
        all.into_iter().flat_map(|(word, lines)| lines.iter().map(move |line| (word, &line[..])))
    }
}
