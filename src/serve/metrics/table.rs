//! The one table of what the server counts: from it `/stats`, `/stats all`, `reactor ctl --json` and
//! `/metrics` are made, and docs/METRICS.md is held to it; pure. Nothing is counted here: each row
//! says where in a [`Snapshot`] its number stands.
//!
//! Names follow OpenMetrics: base units, the unit at the end, `_total` behind what only rises.

use super::snapshot::Snapshot;
use crate::histogram::Histogram;
use Value::{By, Micros, NotTold, Number, Times};
use std::fmt;

/// What stands in front of each name.
pub const PREFIX: &str = "reactor_";

/// Every metric, in the order in which it is told. The last one has a sample always, so that a reader
/// of `/stats all` knows it for the end.
pub const GROUPS: &[Group] = &[
    Group {
        line: "peers",
        metrics: &[
            gauge("peers", "there", |s| number(s.peers))
                .help("peers that are connected; control peers and scrapers are not"),
            gauge("rooms", "rooms", |s| number(s.rooms)).help("rooms"),
            gauge("peers_behind", "behind", |s| number(s.behind))
                .help("peers that are owed messages"),
            gauge("peers_behind_most", "furthest", |s| number(s.behind_most))
                .help("messages that the furthest of them is behind"),
            counter("throttled", "throttled", |s| Number(s.throttled))
                .help("times that a peer was read more slowly for saying too much"),
            gauge("control_peers", "control", |s| number(s.control))
                .help("connections to the control socket"),
            gauge("scrapers", "scrapers", |s| number(s.scrapers))
                .help("connections to the metrics address"),
            gauge("draining", "draining", |s| Number(u64::from(s.draining)))
                .help("1 while nobody is let in, after /drain or at a stop"),
        ],
    },
    Group {
        line: "closes",
        metrics: &[counter("peers_closed", "closes", |s| By("reason", s.closes.clone()))
            .help("peers that ended, by reason")],
    },
    Group {
        line: "messages",
        metrics: &[
            counter("messages_said", "said", |s| Number(s.chat.said))
                .help("messages that peers and the operator said"),
            counter("messages_delivered", "delivered", |s| Number(s.chat.delivered))
                .help("messages and notices sent, summed over the peers that got them"),
            counter("messages_missed", "missed", |s| Number(s.chat.missed))
                .help("messages that slow readers missed, summed over them"),
            counter("private_undelivered", "private not delivered", |s| Number(s.chat.undelivered))
                .help("private messages to peers that read too slowly"),
            counter("notices_lost", "notices lost", |s| Number(s.chat.notices_lost))
                .help("notices that a full log had no room for"),
            histogram("delivery_lag", "lag", |s| Times(s.delivery))
                .unit("seconds")
                .help("how long the oldest message of each send had waited since it was said"),
        ],
    },
    Group {
        line: "bytes",
        metrics: &[
            counter("received", "in", |s| Number(s.stats.bytes_in))
                .unit("bytes")
                .help("bytes received on connections"),
            counter("sent", "out", |s| Number(s.stats.bytes_out))
                .unit("bytes")
                .help("bytes sent on connections"),
            counter("receives", "receives", |s| Number(s.stats.recvs))
                .help("recv calls on connections"),
            counter("sends", "sends", |s| Number(s.stats.sends)).help("send calls on connections"),
            counter("sends_blocked", "blocked", |s| Number(s.stats.sends_blocked))
                .help("sends that took less than they were offered"),
            gauge("buffered", "waiting", |s| number(s.buffered))
                .unit("bytes")
                .help("bytes set aside for single peers"),
        ],
    },
    Group {
        line: "loop",
        metrics: &[
            counter("turns", "turns", |s| Number(s.stats.turns)).help("times round the loop"),
            histogram("turn_duration", "turn time", |s| Times(s.stats.turn_time))
                .unit("seconds")
                .help("how long a turn took, from the end of its wait"),
            gauge("turn_longest", "longest turn", |s| Micros(s.stats.turn_us_max))
                .unit("seconds")
                .help("the longest turn since the start"),
            gauge("wait_longest_turns", "longest wait in turns", |s| {
                Number(s.stats.wait_turns_max)
            })
            .help("the most turns that a ready connection waited to be read"),
            counter("connections_accepted", "accepted", |s| Number(s.stats.accepted))
                .help("connections accepted, on all listeners"),
            counter("accepts_failed", "accepts failed", |s| Number(s.stats.accept_failed))
                .help("accept calls that failed"),
            counter("connections_closed", "closed", |s| Number(s.stats.closed))
                .help("connections that ended, of all kinds"),
            counter("stale_events", "stale events", |s| Number(s.stats.stale_events))
                .help("events whose connection was gone"),
        ],
    },
    Group {
        line: "datagrams",
        metrics: &[
            counter("datagrams_in", "in", |s| Number(s.stats.datagrams_in))
                .help("datagrams received"),
            counter("datagrams_out", "out", |s| Number(s.stats.datagrams_out))
                .help("datagrams sent"),
            counter("datagrams_blocked", "would block", |s| Number(s.stats.datagrams_blocked))
                .help("answers dropped because sending them would have blocked"),
            counter("datagrams_failed", "failed", |s| Number(s.stats.datagrams_failed))
                .help("answers dropped because sending them failed"),
            counter("datagrams_lost", "dropped by the kernel", |s| {
                s.stats.datagrams_lost.map_or(NotTold, Number)
            })
            .help("datagrams that the kernel dropped; absent where it does not tell"),
            counter("datagram_errors", "errors", |s| Number(s.stats.datagram_errors))
                .help("recvfrom calls that failed"),
        ],
    },
    Group {
        line: "echo",
        metrics: &[
            counter("echo_answered", "answered", |s| Number(s.echo.answered))
                .help("datagrams that the echo answered, of UDP and of the Unix domain"),
            counter("echo_refused", "refused", |s| By("reason", s.echo_refused()))
                .help("datagrams that the echo left unanswered, by reason"),
            counter("echo_loops", "loops", |s| Number(s.echo.loops))
                .help("loops with other echo services that were recognised"),
        ],
    },
];

/// Metrics that `/stats` shows on one line.
#[derive(Debug)]
pub struct Group {
    /// What the line begins with.
    line: &'static str,
    metrics: &'static [Metric],
}

/// One row.
#[derive(Debug)]
pub struct Metric {
    /// Without prefix, unit and `_total`.
    name: &'static str,
    /// Base unit, the last part of the name; empty for what is only counted.
    pub unit: &'static str,
    /// What kind of number it is.
    pub kind: Kind,
    /// One line, without a full stop.
    pub help: &'static str,
    /// What it is called in `/stats`.
    label: &'static str,
    /// Its number.
    pub(super) read: fn(&Snapshot) -> Value,
}

/// What kind of number it is, in OpenMetrics' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, from 0 at the start.
    Counter,
    /// As it is now.
    Gauge,
    /// Counts by size.
    Histogram,
}

impl Kind {
    /// The word of the exposition's TYPE line.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

/// A number as it was read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Number(u64),
    /// A time in microseconds, which is exposed in seconds.
    Micros(u64),
    /// Nobody knows.
    NotTold,
    /// One number for each value of this label.
    By(&'static str, Vec<(&'static str, u64)>),
    Times(Histogram),
}

/// As `/stats` shows it, behind its label.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Number(number) => write!(f, "{number}"),
            Value::Micros(us) => write!(f, "{us} us"),
            Value::NotTold => f.write_str("not told"),
            Value::Times(histogram) => write!(f, "{histogram}"),
            Value::By(_, values) if values.is_empty() => f.write_str("none"),
            Value::By(_, values) => {
                let told: Vec<String> =
                    values.iter().map(|(name, number)| format!("{name} {number}")).collect();
                f.write_str(&told.join(", "))
            }
        }
    }
}

impl Metric {
    const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    /// The name with its unit, as a HELP line of the exposition has it, without the prefix.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// The name of its samples: `reactor_sent_bytes_total`; of a histogram what its samples begin
    /// with.
    pub fn full_name(&self) -> String {
        let join = if self.unit.is_empty() { "" } else { "_" };
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{PREFIX}{}{join}{}{total}", self.name, self.unit)
    }
}

/// Every metric, in order.
pub fn metrics() -> impl Iterator<Item = &'static Metric> {
    GROUPS.iter().flat_map(|group| group.metrics)
}

/// What `/stats` shows: a line for each group of metrics.
pub(crate) fn lines(snapshot: &Snapshot) -> impl Iterator<Item = String> + '_ {
    GROUPS.iter().map(move |group| {
        let told = group.metrics.iter().map(|metric| match (metric.read)(snapshot) {
            // What is counted by reason names each of them itself.
            value @ Value::By(..) => value.to_string(),
            value => format!("{} {value}", metric.label),
        });
        format!("{}: {}", group.line, told.collect::<Vec<_>>().join(", "))
    })
}

/// Those of them that are about datagrams, for the last words of a server.
pub(crate) fn datagram_lines(snapshot: &Snapshot) -> String {
    let about = |line: &String| line.starts_with("datagrams: ") || line.starts_with("echo: ");
    lines(snapshot).filter(about).collect::<Vec<_>>().join("; ")
}

fn number(count: usize) -> Value {
    Number(count as u64)
}

const fn metric(
    kind: Kind,
    name: &'static str,
    label: &'static str,
    read: fn(&Snapshot) -> Value,
) -> Metric {
    Metric { name, unit: "", kind, help: "", label, read }
}

const fn counter(name: &'static str, label: &'static str, read: fn(&Snapshot) -> Value) -> Metric {
    metric(Kind::Counter, name, label, read)
}

const fn gauge(name: &'static str, label: &'static str, read: fn(&Snapshot) -> Value) -> Metric {
    metric(Kind::Gauge, name, label, read)
}

const fn histogram(
    name: &'static str,
    label: &'static str,
    read: fn(&Snapshot) -> Value,
) -> Metric {
    metric(Kind::Histogram, name, label, read)
}
