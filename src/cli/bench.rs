//! `reactor bench` on the command line.

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

/// What to measure.
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
}

impl BenchArgs {
    /// Resolves the server's address, if there is one; may block on a name server.
    pub fn options(&self) -> Result<bench::Options, Error> {
        let (scenario, target) = match &self.scenario {
            &ScenarioArgs::Fanout { subscribers, publishers, messages, rate, ref target } => {
                let subscribers = subscribers as usize;
                (bench::Scenario::Fanout { subscribers, publishers, messages, rate }, target)
            }
            ScenarioArgs::Idle { peers, target } => {
                (bench::Scenario::Idle { peers: *peers as usize }, target)
            }
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
        Ok(bench::Options { scenario, server, protocol: target.protocol.protocol(), line_bytes })
    }
}
