//! One run under way: the loop, the server, and what is looked at between phases. What must not be
//! here: what any scenario does.

use super::account::measure::Measure;
use super::options::Error;
use super::server::{Footprint, LoopFigures, Server};
use crate::handler::{Handler, Signal};
use crate::os::Os;
use crate::reactor::Reactor;
use crate::stats::Stats;
use std::time::{Duration, Instant};

/// How often it is told how far a run has come. Faster than an eye reads is for nobody.
const LIVE_EVERY: Duration = Duration::from_millis(200);

/// How long after everything is ready the first line is due.
pub(super) const LEAD: Duration = Duration::from_millis(50);

/// Why there is nothing to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The whole line.
    Told(String),
    /// A signal ended it.
    Stopped(Signal),
}

/// Why a run broke off.
pub(super) enum Broken {
    Failed(Error),
    Stopped(Signal),
}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        Broken::Failed(Error::Loop(error))
    }
}

impl From<Error> for Broken {
    fn from(error: Error) -> Self {
        Broken::Failed(error)
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Told(line) => Broken::Failed(Error::Broken(line)),
            Failure::Stopped(signal) => Broken::Stopped(signal),
        }
    }
}

/// A handler that goes through phases.
pub(super) trait Driven: Handler {
    /// The phase has come to its end, good or bad.
    fn is_done(&self) -> bool;
    /// Why it was a bad one.
    fn failure(&mut self) -> Option<Failure>;
    /// The measurement counts from now on.
    fn is_warm(&self) -> bool;
    /// How far it has come.
    fn live(&self) -> Live;
}

/// How far a run has come, for a progress line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Live {
    /// True while peers connect; false while it is measured.
    pub connecting: bool,
    /// Of this phase, 0 to 1, as far as that can be known.
    pub fraction: f64,
    /// Deliveries, echoes, round trips or connections a second since the warm-up.
    pub per_s: f64,
    /// 99th percentile so far, in ns; 0 where there is none.
    pub p99_ns: u64,
}

impl Live {
    pub(super) fn of(measure: &Measure, now: Instant) -> Self {
        let took = now.saturating_duration_since(measure.warm()).as_secs_f64();
        let per_s = if took > 0.0 { measure.counted as f64 / took } else { 0.0 };
        let p99_ns =
            if measure.intended.is_empty() { 0 } else { measure.intended.value_at_quantile(0.99) };
        Live { connecting: false, fraction: measure.fraction(now), per_s, p99_ns }
    }

    pub(super) fn connecting(fraction: f64) -> Self {
        Live { connecting: true, fraction, per_s: 0.0, p99_ns: 0 }
    }
}

/// What both sides had used at one moment.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub(super) at: Instant,
    pub(super) server: Option<Footprint>,
    pub(super) own: Option<Footprint>,
}

/// The loop and the server of one run.
pub(super) struct Bench<'a, O: Os> {
    pub(super) reactor: &'a mut Reactor<O>,
    pub(super) server: Server,
    pub(super) told: &'a mut dyn FnMut(&Live),
    told_at: Instant,
}

impl<'a, O: Os> Bench<'a, O> {
    pub(super) fn new(
        reactor: &'a mut Reactor<O>,
        server: Server,
        told: &'a mut dyn FnMut(&Live),
    ) -> Self {
        let told_at = reactor.os_mut().now();
        Bench { reactor, server, told, told_at }
    }

    pub(super) fn now(&mut self) -> Instant {
        self.reactor.os_mut().now()
    }

    pub(super) fn look(&mut self) -> Look {
        let (server, own) = (self.server.look(), Footprint::own());
        Look { at: self.now(), server, own }
    }

    pub(super) fn ask(&mut self) -> Option<LoopFigures> {
        self.server.ask()
    }

    /// Our own loop's counters.
    pub(super) fn own_stats(&self) -> Stats {
        *self.reactor.stats()
    }

    /// Turns until the phase is done.
    pub(super) fn finish<H: Driven>(&mut self, handler: &mut H) -> Result<(), Broken> {
        self.turn_until(handler, H::is_done)
    }

    /// Turns until the measurement is done. Returns what was used from the warm-up's end on.
    pub(super) fn measure<H: Driven>(&mut self, handler: &mut H) -> Result<[Look; 2], Broken> {
        self.turn_until(handler, |handler| handler.is_done() || handler.is_warm())?;
        let warm = self.look();
        self.finish(handler)?;
        Ok([warm, self.look()])
    }

    fn turn_until<H: Driven>(
        &mut self,
        handler: &mut H,
        done: impl Fn(&H) -> bool,
    ) -> Result<(), Broken> {
        while !done(handler) {
            self.reactor.turn(handler)?;
            let now = self.now();
            if now.saturating_duration_since(self.told_at) >= LIVE_EVERY {
                self.told_at = now;
                (self.told)(&handler.live());
            }
        }
        handler.failure().map_or(Ok(()), |failure| Err(failure.into()))
    }
}
