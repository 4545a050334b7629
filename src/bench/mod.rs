//! `reactor bench`: what a chat or broadcast server does to people, measured on our own loop. The
//! time from the moment a line *should* have been sent to the moment each subscriber has it, and
//! whether each has it whole, once and in order. No socket calls here, no command line.
//!
//! `load/` is what is sent and when, `account/` what became of it, both pure; `crowd/`, `churn` and
//! `datagrams` are the handlers; `server/` is who is measured; a file a scenario drives them, and
//! `report/` is what is told.

mod account;
mod churn;
mod connect;
mod crowd;
mod datagrams;
mod drive;
mod figures;
mod load;
mod machine;
mod options;
mod ramp;
pub mod report;
mod server;
mod talk;
mod udp;

pub use drive::Live;
pub use load::marker::LINE_BYTES_MIN;
pub use options::{
    CLIENTS_MAX, Ended, Error, Length, Load, Options, PAIRS_MAX, PUBLISHERS_MAX, Scenario, Slo,
};

use crate::log_queue::LogQueue;
use crate::os::Os;
use crate::os::limit::raise_descriptor_limit;
use crate::reactor::Reactor;
use drive::{Bench, Broken};
use figures::Draft;
use load::marker::Run;
pub use report::model::Report;
use report::model::VERSION;
use server::Server;
use std::hash::{BuildHasher, Hasher, RandomState};

/// Measures, and returns one report a repeat. `told` hears now and then how far it has come. Raises
/// the descriptor limit, which our own server inherits. Each repeat has a server of its own, where
/// it is ours, and peers of its own.
pub fn run<O: Os>(
    os: O,
    options: &Options,
    log: &LogQueue,
    told: &mut dyn FnMut(&Live),
) -> Result<Ended, Error> {
    let (_, limit) = raise_descriptor_limit();
    let most = matches!(options.scenario, Scenario::Idle { peers: usize::MAX });
    let options = &options.clone().fitted(limit)?;
    let mut reactor = Reactor::new(os, log.clone());
    let mut reports = Vec::new();
    for _ in 0..options.repeat {
        match run_once(&mut reactor, options, told) {
            Ok(mut report) => {
                if most {
                    report.verdict.notes.push(format!(
                        "as many peers as the limit on open descriptors allows: {limit} (ulimit -Hn)"
                    ));
                }
                reports.push(report);
            }
            Err(Broken::Failed(error)) => return Err(error),
            Err(Broken::Stopped(signal)) => return Ok(Ended::By(signal)),
        }
    }
    Ok(Ended::Reports(reports))
}

fn run_once<O: Os>(
    reactor: &mut Reactor<O>,
    options: &Options,
    told: &mut dyn FnMut(&Live),
) -> Result<Report, Broken> {
    let server = Server::start(options)?;
    if server.is_hidden() {
        let pid = options.pid.unwrap_or_default();
        return Err(Error::Broken(format!("--pid {pid}: nothing to see in /proc")).into());
    }
    let to = server.to.clone();
    let machine = machine::machine(&options.scenario);
    let run = new_run(options);
    let mut bench = Bench::new(reactor, server, told);
    let draft = match options.scenario {
        Scenario::Fanout { subscribers, publishers, overlap, stalled, load } => {
            let who = account::measure::Who { subscribers, publishers, overlap, answering: false };
            bench.fanout(options, who, stalled, &load, run)?
        }
        Scenario::Rtt { load } => {
            let who = account::measure::Who {
                subscribers: 2,
                publishers: 2,
                overlap: 2,
                answering: true,
            };
            bench.fanout(options, who, 0, &load, run)?
        }
        Scenario::Idle { peers } => bench.idle(options, peers, run)?,
        Scenario::Connect { window, warmup, length } => {
            bench.connect(options, window, (warmup, length))?
        }
        Scenario::Udp { clients, load } => bench.udp(options, clients, &load)?,
    };
    // The peers have gone first, so that the server has nobody left to say goodbye to.
    bench.server.stop();
    let Draft { figures, curves, slices, verdict, .. } = draft;
    Ok(Report {
        version: VERSION,
        scenario: options.scenario.word().to_owned(),
        command: options.command.clone(),
        machine,
        server: machine::server_of(options, &to),
        settings: machine::settings(options),
        figures,
        curves,
        slices,
        verdict,
    })
}

/// A run that ignores the messages of every other: its id is random.
fn new_run(options: &Options) -> Run {
    let id = RandomState::new().build_hasher().finish() as u32;
    Run::new(id, options.size)
}
