//! `reactor bench` on the command line.

use super::bench_output::{CompareArgs, OutputArgs};
use super::{Error, FamilyArgs, ProtocolArg, Size, parse_duration, resolve, stream_to};
use crate::address::{Transport, Use};
use crate::bench::{self, Length, Load, Scenario, Slo};
use crate::handler::Endpoint;
use crate::wire::{LINE_LEN_MAX, Protocol};
use clap::{Args, Subcommand, value_parser};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The longest datagram over IPv4: 65,535 less the headers of 20 and 8 (RFC 768).
const DATAGRAM_MAX: usize = 65_507;

/// Datagrams of one burst at most: 1,024 of 32 bytes are a train of 32 KiB.
const BURST_MAX: i64 = 1_024;

/// The longest a measurement may take: a day, of the three that fit into a marker.
const TIME_MAX: Duration = Duration::from_secs(24 * 3600);

/// Lines a second where neither `--rate` nor `--window` says otherwise.
const RATE: u32 = 100;

/// `reactor bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    scenario: ScenarioArgs,
}

/// What to measure, or to compare.
#[derive(Debug, Subcommand)]
enum ScenarioArgs {
    /// Publishers speak, subscribers check and clock what reaches them.
    Fanout {
        /// Peers that hear.
        #[arg(long, value_name = "N", default_value_t = 100)]
        #[arg(value_parser = value_parser!(u32).range(1..))]
        subscribers: u32,
        /// Peers that speak.
        #[arg(long, value_name = "N", default_value_t = 1)]
        #[arg(value_parser = value_parser!(u16).range(1..=i64::from(bench::PUBLISHERS_MAX)))]
        publishers: u16,
        /// So many of the peers both speak and hear.
        #[arg(long, value_name = "N", default_value_t = 0)]
        overlap: u16,
        /// N peers that all speak and hear: --publishers N --subscribers N --overlap N [default:
        /// none].
        #[arg(long, value_name = "N", conflicts_with_all = ["subscribers", "publishers", "overlap"])]
        #[arg(value_parser = value_parser!(u16).range(2..=i64::from(bench::PUBLISHERS_MAX)))]
        all_to_all: Option<u16>,
        /// Peers besides that never read what they are sent.
        #[arg(long, value_name = "N", default_value_t = 0)]
        stalled: u32,
        #[command(flatten)]
        load: LoadArgs,
        #[command(flatten)]
        limits: LimitArgs,
        #[command(flatten)]
        lines: LineArgs,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Two peers and one message back and forth.
    Rtt {
        #[command(flatten)]
        load: RttArgs,
        #[command(flatten)]
        limits: LimitArgs,
        #[command(flatten)]
        lines: LineArgs,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Many silent peers: what each costs the server, and how long one line to all takes.
    Idle {
        /// Peers that are silent, or max for all that fit; one more speaks once.
        #[arg(long, value_name = "N", default_value = "5000", value_parser = parse_peers)]
        peers: usize,
        #[command(flatten)]
        lines: LineArgs,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Connections opened and closed a second.
    Connect {
        /// Connections that are made at a time.
        #[arg(long, value_name = "N", default_value_t = 16)]
        #[arg(value_parser = value_parser!(u32).range(1..))]
        at_once: u32,
        #[command(flatten)]
        time: TimeArgs,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Datagrams to an echo and back.
    Udp {
        /// Clients, each with a socket of its own.
        #[arg(long, value_name = "N", default_value_t = 16)]
        #[arg(value_parser = value_parser!(u16).range(1..=i64::from(bench::CLIENTS_MAX)))]
        clients: u16,
        /// Datagrams that a client sends at once.
        #[arg(long, value_name = "N", default_value_t = 1)]
        #[arg(value_parser = value_parser!(u32).range(1..=BURST_MAX))]
        burst: u32,
        #[command(flatten)]
        load: LoadArgs,
        #[command(flatten)]
        limits: LimitArgs,
        /// Length of a datagram.
        #[arg(long, value_name = "SIZE", default_value_t = Size::bytes(64))]
        size: Size,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Lay two reports side by side, with ratios.
    Compare(CompareArgs),
}

/// How fast.
#[derive(Debug, Args)]
struct LoadArgs {
    /// Messages a second of all senders together, whatever the server does [default: 100 without
    /// --window].
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Messages of each sender on their way at most; without --rate, as fast as they come back
    /// [default: any number].
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    window: Option<u32>,
    #[command(flatten)]
    time: TimeArgs,
}

/// How fast, where there is one message at a time.
#[derive(Debug, Args)]
struct RttArgs {
    /// Round trips a second, whatever the server does [default: one after the other].
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    rate: Option<u32>,
    #[command(flatten)]
    time: TimeArgs,
}

/// How long.
#[derive(Debug, Args)]
struct TimeArgs {
    /// How long nothing is counted, at the beginning.
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = parse_duration)]
    warmup: Duration,
    /// How long it is measured, after --warmup.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    duration: Duration,
    /// Measure so many messages, of all senders together, instead of --duration
    /// [default: none].
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    messages: Option<u32>,
}

/// What latency may be.
#[derive(Debug, Args)]
struct LimitArgs {
    /// A limit of latency, such as p99=5ms or max=1s; may be repeated. Broken, the exit code
    /// is 1 [default: none].
    #[arg(long, value_name = "PERCENTILE=TIME", value_parser = parse_slo)]
    slo: Vec<Slo>,
    /// Find the greatest rate that keeps every --slo, from --rate on.
    #[arg(long, requires = "slo", conflicts_with_all = ["duration", "messages", "warmup"])]
    ramp: bool,
}

/// What lines are like.
#[derive(Debug, Args)]
struct LineArgs {
    /// Length of a line with its newline.
    #[arg(long, value_name = "SIZE", default_value_t = Size::bytes(64))]
    size: Size,
    /// What the server makes of a message.
    #[arg(long, value_enum, default_value_t = ProtocolArg::Chat)]
    protocol: ProtocolArg,
}

/// Which server.
#[derive(Debug, Args)]
struct TargetArgs {
    /// A server that is running [default: one is started for the measurement].
    #[arg(long, value_name = "ADDR")]
    server: Option<String>,
    /// The process of --server, for its CPU time and memory [default: not told].
    #[arg(long, value_name = "PID", requires = "server")]
    #[arg(value_parser = value_parser!(u32).range(1..))]
    pid: Option<u32>,
    /// Runs; figures are their medians.
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = value_parser!(u32).range(1..=1_000))]
    repeat: u32,
    #[command(flatten)]
    family: FamilyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What `reactor bench` is to do.
pub enum Bench<'a> {
    /// Measure, and hand the report to the writer.
    Measure(Box<bench::Options>, Writer<'a>),
    /// Two runs were laid side by side already.
    Compared,
}

/// Where the report of a measurement goes.
pub struct Writer<'a>(&'a OutputArgs);

impl Writer<'_> {
    /// Shows the report and writes its files. Fails where a file could not be written, and where
    /// the report is one of a server that did wrong or of a bench that must not be believed.
    pub fn write(&self, report: &bench::Report) -> Result<(), Error> {
        self.0.write(report)?;
        let reasons = report.verdict.reasons().map(|(word, line)| format!("{word}: {line}"));
        let reasons: Vec<String> = reasons.collect();
        if reasons.is_empty() { Ok(()) } else { Err(Error::Failed(reasons.join("; "))) }
    }
}

impl BenchArgs {
    /// Compares, or says what is to be measured. Resolves the server's address, if there is one; may
    /// block on a name server.
    pub fn start(&self) -> Result<Bench<'_>, Error> {
        let no_limits = LimitArgs { slo: Vec::new(), ramp: false };
        let (scenario, limits, lines, target) = match &self.scenario {
            ScenarioArgs::Fanout { load, limits, lines, target, .. } => {
                (self.fanout(load.load(1)?, lines)?, limits, Some(lines), target)
            }
            ScenarioArgs::Rtt { load, limits, lines, target } => {
                let rate = load.rate.or(limits.ramp.then_some(RATE));
                let load = load.time.load(rate, Some(1), 1)?;
                (Scenario::Rtt { load }, limits, Some(lines), target)
            }
            ScenarioArgs::Idle { peers, lines, target } => {
                (Scenario::Idle { peers: *peers }, &no_limits, Some(lines), target)
            }
            ScenarioArgs::Connect { at_once, time, target } => {
                let (warmup, length) = time.length()?;
                let window = *at_once as usize;
                (Scenario::Connect { window, warmup, length }, &no_limits, None, target)
            }
            ScenarioArgs::Udp { clients, burst, load, limits, target, .. } => {
                let scenario =
                    Scenario::Udp { clients: usize::from(*clients), load: load.load(*burst)? };
                (scenario, limits, None, target)
            }
            ScenarioArgs::Compare(args) => return args.run().map(|()| Bench::Compared),
        };
        if limits.ramp && scenario.load().is_some_and(|load| load.rate.is_none()) {
            return Err(Error::Usage("--ramp: looks for a rate; take --rate with --window".into()));
        }
        let (size, transport) = match &self.scenario {
            ScenarioArgs::Udp { size, .. } => {
                let least = bench::LINE_BYTES_MIN;
                (bytes(*size, least..=DATAGRAM_MAX)?, Transport::Udp)
            }
            _ => {
                let size = lines.map_or(Size::bytes(64), |lines| lines.size);
                (bytes(size, bench::LINE_BYTES_MIN..=LINE_LEN_MAX)?, Transport::Tcp)
            }
        };
        let family = target.family.family();
        let server = match &target.server {
            Some(text) if transport == Transport::Tcp => {
                stream_to(text, family)?.into_iter().next()
            }
            Some(text) => resolve(text, family, transport, Use::Connect)?
                .first()
                .map(|&to| Endpoint::from(to)),
            None => None,
        };
        let options = bench::Options {
            scenario,
            server,
            pid: target.pid,
            protocol: lines.map_or(Protocol::Chat, |lines| lines.protocol.protocol()),
            size,
            slos: limits.slo.clone(),
            ramp: limits.ramp,
            repeat: target.repeat,
            command: std::env::args_os()
                .skip(1)
                .map(|word| word.to_string_lossy().into_owned())
                .collect(),
        };
        Ok(Bench::Measure(Box::new(options), Writer(&target.output)))
    }

    fn fanout(&self, load: Load, lines: &LineArgs) -> Result<Scenario, Error> {
        let ScenarioArgs::Fanout { subscribers, publishers, overlap, all_to_all, stalled, .. } =
            &self.scenario
        else {
            unreachable!("asked for where it is one");
        };
        let [subscribers, publishers, overlap] = match all_to_all {
            Some(all) => [u32::from(*all); 3],
            None => [*subscribers, u32::from(*publishers), u32::from(*overlap)],
        };
        let wrong = |line: String| Err(Error::Usage(line));
        if overlap > subscribers.min(publishers) {
            return wrong(format!(
                "--overlap {overlap}: at most the publishers and the subscribers"
            ));
        }
        if subscribers == 1 && overlap == 1 {
            return wrong("--overlap 1: nobody would hear the one that is both".into());
        }
        let pairs = u64::from(subscribers) * u64::from(publishers);
        if pairs > bench::PAIRS_MAX {
            let most = bench::PAIRS_MAX;
            return wrong(format!("{pairs} pairs of publisher and subscriber: at most {most}"));
        }
        if matches!(lines.protocol, ProtocolArg::Raw)
            && publishers > 1
            && (publishers, overlap, subscribers) != (2, 2, 2)
        {
            return wrong(
                "--protocol raw: who hears several publishers cannot tell their pieces apart; \
                 take --publishers 1, or --protocol lines"
                    .into(),
            );
        }
        if let Load { rate: None, window: Some(window), .. } = load
            && window > 1
            && window % 2 == 1
        {
            return wrong(format!("--window {window}: 1 or even, for it goes out in two halves"));
        }
        let [subscribers, publishers, overlap, stalled] =
            [subscribers, publishers, overlap, *stalled].map(|count| count as usize);
        Ok(Scenario::Fanout { subscribers, publishers, overlap, stalled, load })
    }
}

impl LoadArgs {
    fn load(&self, burst: u32) -> Result<Load, Error> {
        if let Some(window) = self.window
            && window % burst > 0
        {
            return Err(Error::Usage(format!("--window {window}: whole bursts of {burst}")));
        }
        let rate = self.rate.or(self.window.is_none().then_some(RATE));
        self.time.load(rate, self.window, burst)
    }
}

impl TimeArgs {
    fn length(&self) -> Result<(Duration, Length), Error> {
        for (flag, time) in [("--warmup", self.warmup), ("--duration", self.duration)] {
            if time > TIME_MAX {
                return Err(Error::Usage(format!("{flag} {time:?}: at most {TIME_MAX:?}")));
            }
        }
        let length = match self.messages {
            Some(messages) => Length::Messages(messages.into()),
            None if self.duration.is_zero() => {
                return Err(Error::Usage("--duration 0s: nothing would be measured".into()));
            }
            None => Length::Time(self.duration),
        };
        Ok((self.warmup, length))
    }

    fn load(&self, rate: Option<u32>, window: Option<u32>, burst: u32) -> Result<Load, Error> {
        let (warmup, length) = self.length()?;
        Ok(Load { rate, window, burst, warmup, length })
    }
}

fn bytes(size: Size, range: RangeInclusive<usize>) -> Result<usize, Error> {
    let bytes = usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
    if range.contains(&bytes) {
        return Ok(bytes);
    }
    let (min, max) = range.into_inner();
    Err(Error::Usage(format!("--size {bytes}: {min} to {max} bytes")))
}

/// A number, or `max`.
fn parse_peers(text: &str) -> Result<usize, String> {
    match text.parse() {
        _ if text == "max" => Ok(usize::MAX),
        Ok(peers @ 2..=u32::MAX) => Ok(peers as usize),
        _ => Err("a number from 2 on, or max".to_owned()),
    }
}

/// `p99=5ms`, `max=1s`: one line of an error otherwise.
fn parse_slo(text: &str) -> Result<Slo, String> {
    let wrong = || format!("{text}: a limit is like p99=5ms, p99.9=20ms or max=1s");
    let (word, limit) = text.split_once('=').ok_or_else(wrong)?;
    let quantile = match word.strip_prefix('p') {
        Some(percent) => percent.parse::<f64>().map_err(|_| wrong())? / 100.0,
        None if word == "max" => 1.0,
        None => return Err(wrong()),
    };
    if !(0.0..=1.0).contains(&quantile) {
        return Err(wrong());
    }
    let limit = parse_duration(limit)?;
    Ok(Slo { word: word.to_owned(), quantile, limit })
}
