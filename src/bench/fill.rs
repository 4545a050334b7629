//! From what was measured to a [`Report`]. Pure.

use super::child;
use super::footprint::Footprint;
use super::measure::Measure;
use super::options::{Options, Scenario};
use super::report::model::VERSION;
use super::report::{Better, Curve, Figure, Machine, Report, Verdict, grouped};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// A report that is being filled, figure by figure, in the order in which they are to be read.
pub(super) struct Filling(pub(super) Report);

impl Filling {
    pub(super) fn new(options: &Options, to: SocketAddr, machine: Machine) -> Self {
        let mut settings = BTreeMap::new();
        let mut set = |name: &str, value: String| settings.insert(name.to_owned(), value);
        let scenario = match options.scenario {
            Scenario::Fanout { subscribers, publishers, messages, rate } => {
                set("subscribers", subscribers.to_string());
                set("publishers", publishers.to_string());
                set("messages", messages.to_string());
                set("rate", rate.to_string());
                "fanout"
            }
            Scenario::Idle { peers } => {
                set("peers", peers.to_string());
                "idle"
            }
        };
        set("size", options.line_bytes.to_string());
        let server = match options.server {
            Some(_) => to.to_string(),
            None => format!("reactor {}", child::flags(options.protocol).join(" ")),
        };
        Filling(Report {
            version: VERSION,
            scenario: scenario.to_owned(),
            command: options.command.clone(),
            machine,
            server,
            settings,
            figures: Vec::new(),
            curves: Vec::new(),
            slices: Vec::new(),
            verdict: Verdict::default(),
        })
    }

    fn figure(&mut self, name: &str, label: &str, value: f64, unit: &str, better: Better) {
        let [name, label, unit] = [name, label, unit].map(str::to_owned);
        self.0.figures.push(Figure { name, label, value, unit, better, interval: None });
    }

    /// How fast so many peers were connected, until the server was seen to serve each of them: the
    /// probes that show it are in the time.
    pub(super) fn connecting(&mut self, peers: usize, took: Duration) {
        let rate = peers as f64 / took.as_secs_f64().max(f64::MIN_POSITIVE);
        self.figure("connects_per_s", "peers connected a second", rate, "/s", Better::Higher);
    }

    /// Deliveries a second, counted from the first line's intended time to the last delivery.
    pub(super) fn deliveries(&mut self, measure: &Measure) {
        let delivered = measure.checker.finish().delivered as f64;
        let took = measure.delivered_last.saturating_duration_since(measure.schedule.start());
        self.figure("deliveries", "deliveries", delivered, "", Better::Neither);
        if !took.is_zero() {
            let rate = delivered / took.as_secs_f64();
            self.figure("deliveries_per_s", "deliveries a second", rate, "/s", Better::Higher);
        }
    }

    /// Latency from the intended time.
    pub(super) fn latency(&mut self, measure: &Measure) {
        let curve = Curve::of("intended", measure.latency.clone());
        for (name, label, quantile) in [
            ("latency_p50_us", "latency p50", 0.5),
            ("latency_p99_us", "latency p99", 0.99),
            ("latency_p999_us", "latency p99.9", 0.999),
            ("latency_max_us", "latency max", 1.0),
        ] {
            self.figure(name, label, curve.at(quantile) as f64 / 1_000.0, "µs", Better::Lower);
        }
        self.0.curves.push(curve);
    }

    /// How long one line took until the last of all peers had it.
    pub(super) fn one_line(&mut self, measure: &Measure) {
        let micros = measure.latency.max() as f64 / 1_000.0;
        self.figure("one_line_to_all_us", "one line to all", micros, "µs", Better::Lower);
        self.0.curves.push(Curve::of("intended", measure.latency.clone()));
    }

    /// What the measurement cost the server; nothing where it is not ours.
    pub(super) fn cost(&mut self, measure: &Measure, looks: [Option<Footprint>; 2]) {
        let delivered = measure.checker.delivered();
        if let [Some(before), Some(after)] = looks
            && delivered > 0
        {
            let cpu_ns = after.cpu_ns.saturating_sub(before.cpu_ns);
            let micros = cpu_ns as f64 / delivered as f64 / 1_000.0;
            let name = "server_cpu_us_per_delivery";
            self.figure(name, "server CPU a delivery", micros, "µs", Better::Lower);
        }
    }

    /// What the server's memory grew by for so many peers.
    pub(super) fn memory(&mut self, looks: [Option<Footprint>; 2], peers: usize) {
        if let [Some(before), Some(after)] = looks {
            let grown = (after.rss_bytes as f64 - before.rss_bytes as f64) / peers as f64;
            let name = "server_memory_bytes_per_peer";
            self.figure(name, "server memory a peer", grown, "bytes", Better::Lower);
        }
    }

    /// The two stages of `idle`, and the server's memory at each.
    pub(super) fn stages(&mut self, first: usize, looks: [Option<Footprint>; 2]) {
        self.figure("first_stage_peers", "first stage", first as f64, "peers", Better::Neither);
        let names = [
            ("server_memory_first_kib", "server memory, first stage"),
            ("server_memory_all_kib", "server memory, all peers"),
        ];
        for ((name, label), look) in names.into_iter().zip(looks) {
            if let Some(look) = look {
                let kib = (look.rss_bytes / 1024) as f64;
                self.figure(name, label, kib, "KiB", Better::Lower);
            }
        }
    }

    /// How the bench itself did: its figures are worth nothing where it was late.
    pub(super) fn generator(&mut self, measure: &Measure) {
        if measure.reads > 0 {
            let lines = measure.lines as f64 / measure.reads as f64;
            self.figure("lines_per_read", "lines per read", lines, "lines", Better::Neither);
        }
        let lag = measure.lag_max.as_nanos() as f64 / 1_000.0;
        self.figure("schedule_lag_max_us", "schedule lag max", lag, "µs", Better::Lower);
    }

    /// Losses, duplicates and order, and the verdict.
    pub(super) fn verdict(&mut self, measure: &Measure) {
        let tally = measure.checker.finish();
        for (name, label, count) in [
            ("lost", "lost", tally.lost),
            ("lost_told", "lost, told by the server", measure.told),
            ("duplicates", "duplicates", tally.duplicates),
            ("out_of_order", "out of order", tally.disordered),
            ("damaged", "damaged", tally.damaged),
        ] {
            self.figure(name, label, count as f64, "", Better::Lower);
        }
        let verdict = &mut self.0.verdict;
        if tally.is_clean() && measure.told == 0 && measure.closed == 0 {
            let line = "every line reached every subscriber whole, once and in order";
            verdict.notes.push(line.to_owned());
            return;
        }
        verdict.faults.push(format!(
            "of {} deliveries {} are missing ({} told by the server), {} came twice, {} out of \
             order, {} damaged; {} subscribers were disconnected",
            grouped(tally.delivered + tally.lost),
            grouped(tally.lost),
            grouped(measure.told),
            grouped(tally.duplicates),
            grouped(tally.disordered),
            grouped(tally.damaged),
            grouped(measure.closed),
        ));
    }
}
