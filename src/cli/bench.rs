//! `reactor bench` on the command line.

use super::bench_output::{CompareArgs, OutputArgs};
use super::{Error, FamilyArgs, ProtocolArg, resolve};
use crate::address::{Transport, Use};
use crate::bench;
use crate::wire::LINE_LEN_MAX;
use bytesize::ByteSize;
use clap::{Args, Subcommand, value_parser};

/// `reactor bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(subcommand)]
    scenario: ScenarioArgs,
}

/// What to measure, or to compare.
#[derive(Debug, Subcommand)]
enum ScenarioArgs {
    /// Publishers speak at a steady rate, subscribers check and clock what reaches them.
    Fanout {
        /// Peers that hear.
        #[arg(long, value_name = "N", default_value_t = 100)]
        #[arg(value_parser = value_parser!(u32).range(1..))]
        subscribers: u32,
        /// Peers that speak.
        #[arg(long, value_name = "N", default_value_t = 1)]
        #[arg(value_parser = value_parser!(u16).range(1..=i64::from(bench::PUBLISHERS_MAX)))]
        publishers: u16,
        /// Lines that each publisher sends.
        #[arg(long, value_name = "N", default_value_t = 500)]
        #[arg(value_parser = value_parser!(u32).range(1..))]
        messages: u32,
        /// Lines a second that each publisher sends, whatever the server does.
        #[arg(long, value_name = "N", default_value_t = 100)]
        #[arg(value_parser = value_parser!(u32).range(1..))]
        rate: u32,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Many silent peers: what each costs the server, and how long one line to all takes.
    Idle {
        /// Peers that are silent; one more speaks once.
        #[arg(long, value_name = "N", default_value_t = 5_000)]
        #[arg(value_parser = value_parser!(u32).range(2..))]
        peers: u32,
        #[command(flatten)]
        target: TargetArgs,
    },
    /// Two runs side by side, out of what --json wrote.
    Compare(CompareArgs),
}

/// Which server, and what it is sent.
#[derive(Debug, Args)]
struct TargetArgs {
    /// A server that is running [default: a child of our own].
    #[arg(long, value_name = "ADDR")]
    server: Option<String>,
    /// What our own server makes of a message: chat or lines.
    #[arg(long, value_enum, default_value_t = ProtocolArg::Chat)]
    protocol: ProtocolArg,
    /// Length of a line with its newline.
    #[arg(long, value_name = "BYTES", default_value_t = ByteSize::b(64))]
    size: ByteSize,
    #[command(flatten)]
    family: FamilyArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What `reactor bench` is to do.
pub enum Bench<'a> {
    /// Measure, and hand the report to the writer.
    Measure(bench::Options, Writer<'a>),
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
        let (scenario, target) = match &self.scenario {
            &ScenarioArgs::Fanout { subscribers, publishers, messages, rate, ref target } => {
                let subscribers = subscribers as usize;
                (bench::Scenario::Fanout { subscribers, publishers, messages, rate }, target)
            }
            ScenarioArgs::Idle { peers, target } => {
                (bench::Scenario::Idle { peers: *peers as usize }, target)
            }
            ScenarioArgs::Compare(args) => return args.run().map(|()| Bench::Compared),
        };
        let line_bytes = usize::try_from(target.size.as_u64()).unwrap_or(usize::MAX);
        let (min, max) = (bench::LINE_BYTES_MIN, LINE_LEN_MAX);
        if !(min..=max).contains(&line_bytes) {
            return Err(Error::Usage(format!("--size {line_bytes}: {min} to {max} bytes")));
        }
        if let ProtocolArg::Raw = target.protocol {
            return Err(Error::Usage("--protocol raw: bench measures lines; try lines".into()));
        }
        let family = target.family.family();
        let server = match &target.server {
            Some(text) => resolve(text, family, Transport::Tcp, Use::Connect)?.first().copied(),
            None => None,
        };
        let protocol = target.protocol.protocol();
        let typed = std::env::args_os().skip(1);
        let command = typed.map(|word| word.to_string_lossy().into_owned()).collect();
        let options = bench::Options { scenario, server, protocol, line_bytes, command };
        Ok(Bench::Measure(options, Writer(&target.output)))
    }
}
