//! The load of `benches/peers/run`: the same measurement for our lines and for what other brokers
//! speak, which `reactor bench` does not. It prints one line of JSON. Run it on another core than
//! the server's.
//!
//! `fanout` is a closed loop of two half windows in turn: each half is one write, and the next goes
//! out when all subscribers have the last but one. With one window a server falls by chance into
//! half or whole windows a send, and a factor of two in its CPU means nothing. `rate` is an open
//! loop: latency from when a message was to be sent. Every message is checked.

mod crowd;
mod datagrams;
mod protocol;
mod scenarios;
mod usage;

use clap::{Args, Parser, Subcommand};
use protocol::Protocol;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::process::ExitCode;

#[derive(Parser)]
#[command(about = "Load for the comparisons with other servers; prints one line of JSON")]
struct Words {
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// One publisher, two half windows in turn, as fast as the server can
    Fanout {
        #[command(flatten)]
        load: Load,
        /// One half on its way: not even a server that reads in the middle of a sweep gathers two
        #[arg(long)]
        lockstep: bool,
    },
    /// Messages at a rate that waits for nobody
    Rate {
        #[command(flatten)]
        load: Load,
        /// Deliveries a second, all subscribers together
        #[arg(long, default_value_t = 100_000)]
        deliveries: u64,
        /// Every peer publishes in its turn; else one that does nothing else
        #[arg(long)]
        all: bool,
    },
    /// Two peers, one message back and forth
    Rtt(Load),
    /// Peers that say nothing: memory, CPU to connect them, and one message to all at the end
    Idle {
        #[command(flatten)]
        load: Load,
        /// Memory is counted from here on
        #[arg(long, default_value_t = 1_000)]
        base: usize,
    },
    /// Datagrams that come back
    Udp {
        #[command(flatten)]
        load: Load,
        /// Datagrams of one client on their way
        #[arg(long, default_value_t = 4)]
        window: usize,
        /// Datagrams that leave in one call (UDP_SEGMENT); the window is a multiple of it
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
        burst: u8,
        /// Begin each datagram as sockperf's clients do, or its server is silent
        #[arg(long)]
        sockperf: bool,
    },
}

/// What all scenarios have.
#[derive(Args)]
pub(crate) struct Load {
    /// Where the server listens
    #[arg(long, value_name = "ADDR")]
    pub(crate) server: SocketAddr,
    /// Whose CPU time and memory are read, all its threads
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// What the server speaks
    #[arg(long, value_enum, default_value_t = Protocol::Lines)]
    pub(crate) protocol: Protocol,
    /// Subscribers, or clients
    #[arg(long, default_value_t = 100)]
    pub(crate) peers: usize,
    /// Bytes of a message, its newline included
    #[arg(long, default_value_t = 32)]
    pub(crate) size: usize,
    /// Measured for so long; before that as long again up to half a second is cut
    #[arg(long, default_value_t = 1.0)]
    pub(crate) seconds: f64,
    /// Connections dialled at once, before a pause of 5 ms; for servers with a short listen queue
    #[arg(long, default_value_t = 64)]
    pub(crate) dials: usize,
}

fn main() -> ExitCode {
    let limit = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the dial that fails says so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let done = match Words::parse().scenario {
        Scenario::Fanout { load, lockstep } => scenarios::fanout(&load, lockstep),
        Scenario::Rate { load, deliveries, all } => scenarios::rate(&load, deliveries, all),
        Scenario::Rtt(load) => scenarios::rtt(&load),
        Scenario::Idle { load, base } => scenarios::idle(&load, base),
        Scenario::Udp { load, window, burst, sockperf } => {
            datagrams::udp(&load, window, burst.into(), sockperf)
        }
    };
    match done {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}
