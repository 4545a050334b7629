//! The scenarios of peers that talk: `fanout`, `rtt`, which is two peers that answer each other,
//! and `idle`.

use super::account::measure::{Measure, Who};
use super::crowd::{BATCH, Crowd};
use super::drive::{Bench, Broken, LEAD, Look};
use super::figures::{Draft, Used};
use super::load::marker::Run;
use super::options::{Length, Load, Options};
use super::ramp::{Climb, step_of};
use super::report::model::Better;
use super::server::LoopFigures;
use crate::os::Os;
use std::time::Duration;

/// The first stage of `idle`, in peers: behind it the server's tables and buffers that it needs
/// for anybody have been made, so that what grows from here on is the peers' own.
const IDLE_FIRST: usize = 1_000;

/// Peers that are first connected at once to somebody else's server, whose listen queue may be as
/// short as ncat's (10); doubled while that goes well.
const BATCH_FIRST: usize = 8;

/// It did not: a dial was tried again by the kernel's timer, after a second.
const BATCH_SLOW: Duration = Duration::from_millis(500);

/// A measurement that has ended, and what it took.
struct Clocked {
    measure: Measure,
    looks: [Look; 2],
    asked: [Option<LoopFigures>; 2],
}

impl<O: Os> Bench<'_, O> {
    /// `fanout`, and `rtt` where `who` answers.
    pub(super) fn fanout(
        &mut self,
        options: &Options,
        who: Who,
        stalled: usize,
        load: &Load,
        run: Run,
    ) -> Result<Draft, Broken> {
        let readers = who.publishers + who.subscribers - who.overlap;
        let before = self.look();
        let now = self.now();
        let mut crowd = Crowd::new(self.server.to.clone(), who, readers + stalled, run, now);
        let took = self.gather(&mut crowd, readers + stalled)?;
        let gathered = self.look();
        let mut draft = if options.ramp {
            self.climb(options, &mut crowd, who, stalled, load)?
        } else {
            let clocked = self.clock(&mut crowd, load)?;
            draft(options, who, stalled, clocked)
        };
        draft.memory([before, gathered], readers + stalled);
        connecting(&mut draft, readers + stalled, took);
        self.part(crowd)?;
        Ok(draft)
    }

    fn climb(
        &mut self,
        options: &Options,
        crowd: &mut Crowd,
        who: Who,
        stalled: usize,
        load: &Load,
    ) -> Result<Draft, Broken> {
        let mut climb = Climb::new(load);
        let begun = self.now();
        while let Some(rate) = climb.next(self.now() - begun) {
            let clocked = self.clock(crowd, &step_of(load, rate))?;
            let gone = clocked.measure.closed > 0;
            climb.tried(draft(options, who, stalled, clocked));
            if gone {
                break; // who is gone cannot be measured again
            }
            crowd.settle(self.now());
            self.finish(crowd)?;
        }
        Ok(climb.end())
    }

    pub(super) fn idle(
        &mut self,
        options: &Options,
        peers: usize,
        run: Run,
    ) -> Result<Draft, Broken> {
        let first = IDLE_FIRST.min(peers / 2);
        let who = Who { subscribers: peers, publishers: 1, overlap: 0, answering: false };
        let now = self.now();
        let mut crowd = Crowd::new(self.server.to.clone(), who, 1 + peers, run, now);
        let mut took = self.gather(&mut crowd, 1 + first)?;
        let few = self.look();
        took += self.gather(&mut crowd, 1 + peers)?;
        let many = self.look();
        let load = Load {
            rate: Some(1),
            window: None,
            burst: 1,
            warmup: Duration::ZERO,
            length: Length::Messages(1),
        };
        let Clocked { measure, looks, .. } = self.clock(&mut crowd, &load)?;
        let mut draft = Draft::default();
        connecting(&mut draft, 1 + peers, took);
        draft.figure("first_stage", "first stage", first as f64, "peers", Better::Neither);
        draft.memory([few, many], peers - first);
        if !measure.last.is_empty() {
            let us = measure.last.max() as f64 / 1_000.0;
            draft.figure("last_max_us", "one line to all", us, "µs", Better::Lower);
        }
        let used = Used::between(looks);
        draft.cost(("delivery", "delivery"), measure.counted, &used);
        draft.latency("intended", "latency", "latency", &measure.intended);
        draft.generator(&measure.watch, &measure.intended, true, &used);
        draft.unsent(&measure);
        draft.connections(&measure, 0);
        draft.tally(&measure.checker.finish());
        draft.judge(options, &measure.intended);
        draft.slices(measure.slices);
        self.part(crowd)?;
        Ok(draft)
    }

    /// Connects until there are so many peers and all are served. Returns how long it took.
    fn gather(&mut self, crowd: &mut Crowd, peers: usize) -> Result<Duration, Broken> {
        let begun = self.now();
        let (mut now, mut grows) = (begun, true);
        let mut batch = if self.server.is_own() { BATCH } else { BATCH_FIRST };
        while crowd.joined() < peers {
            let batch_begun = now;
            crowd.connect(peers.min(crowd.joined() + batch), now);
            self.finish(crowd)?;
            crowd.settle(self.now());
            self.finish(crowd)?;
            now = self.now();
            grows &= now - batch_begun < BATCH_SLOW;
            batch = if grows { BATCH.min(2 * batch) } else { BATCH_FIRST.min(batch) };
        }
        Ok(now - begun)
    }

    fn clock(&mut self, crowd: &mut Crowd, load: &Load) -> Result<Clocked, Broken> {
        let before = self.ask();
        let start = self.now() + LEAD;
        crowd.measure(load, start);
        let looks = self.measure(crowd)?;
        let asked = [before, self.ask()];
        let measure = crowd.measured().expect("a measurement ends in one");
        Ok(Clocked { measure, looks, asked })
    }

    fn part(&mut self, mut crowd: Crowd) -> Result<(), Broken> {
        crowd.leave(self.now());
        self.finish(&mut crowd)
    }
}

/// How fast so many peers were connected, until the server was seen to serve each of them: the
/// probes that show it are in the time.
fn connecting(draft: &mut Draft, peers: usize, took: Duration) {
    let per_s = peers as f64 / took.as_secs_f64();
    draft.figure("connects_per_s", "peers connected a second", per_s, "/s", Better::Higher);
}

fn draft(options: &Options, who: Who, stalled: usize, clocked: Clocked) -> Draft {
    let Clocked { measure, looks, asked } = clocked;
    let mut draft = Draft::default();
    let (used, tally) = (Used::between(looks), measure.checker.finish());
    let scheduled = measure.is_scheduled();
    let (one, many, label) = match who.answering {
        true => ("round_trip", "round_trips", "round trip"),
        false => ("delivery", "deliveries", "delivery"),
    };
    let all = many.replace('_', " ");
    draft.figure(many, &all, measure.counted as f64, "", Better::Neither);
    let name = (format!("{many}_per_s"), format!("{all} a second"));
    draft.rate((&name.0, &name.1), measure.counted, measure.took(), !scheduled, &used);
    if who.answering {
        draft.latency("rtt", "rtt", "round trip", &measure.sent);
        if scheduled {
            let label = "round trip from intended";
            draft.latency("intended", "latency", label, &measure.intended);
        }
    } else {
        let label = if scheduled { "latency from intended" } else { "latency" };
        draft.latency("intended", "latency", label, &measure.intended);
        if scheduled {
            draft.latency("sent", "sent", "latency from sent", &measure.sent);
        }
        draft.latency("last", "last", "to the last receiver", &measure.last);
        draft.latency("skew", "skew", "first to last receiver", &measure.skew);
    }
    draft.cost((one, label), measure.counted, &used);
    draft.server_loop(asked);
    if measure.reads > 0 {
        let lines = measure.lines as f64 / measure.reads as f64;
        draft.figure("lines_per_read", "lines a read", lines, "lines", Better::Neither);
    }
    draft.generator(&measure.watch, &measure.intended, scheduled, &used);
    draft.unsent(&measure);
    draft.connections(&measure, stalled);
    draft.tally(&tally);
    draft.judge(options, &measure.intended);
    draft.slices(measure.slices);
    draft
}
