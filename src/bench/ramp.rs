//! `--ramp`: the greatest rate that keeps a limit, by a bounded search. Pure.
//!
//! It grows fast until a rate breaks the limit, and then halves the gap by ratio.

use super::figures::Draft;
use super::options::{Length, Load};
use super::report::grouped;
use super::report::model::Better;
use std::time::Duration;

/// Growth while nothing has broken the limit: from 100 to 100,000 in five steps.
const GROWTH: u32 = 4;

/// The least rate that is tried: seven messages a step.
const RATE_MIN: u32 = 10;

/// The gap that is left at the end, as a ratio: closer than two runs of one rate agree.
const GAP: f64 = 1.1;

/// Steps at most.
const STEPS_MAX: u32 = 16;

/// No step begins after so long.
const TIME_MAX: Duration = Duration::from_secs(9);

/// One step of a ramp, short enough for a dozen of them.
const STEP: Duration = Duration::from_millis(700);
const STEP_WARMUP: Duration = Duration::from_millis(200);

/// `load` as one step of a ramp.
pub(super) fn step_of(load: &Load, rate: u32) -> Load {
    Load { rate: Some(rate), warmup: STEP_WARMUP, length: Length::Time(STEP), ..*load }
}

/// A search under way. Rates in messages a second.
pub(super) struct Search {
    rate: u32,
    good: Option<u32>,
    bad: Option<u32>,
    steps: u32,
}

impl Search {
    /// Begins with this rate.
    pub(super) fn new(rate: u32) -> Self {
        Search { rate: rate.max(RATE_MIN), good: None, bad: None, steps: 0 }
    }

    /// The rate to be tried next; None at the end. `took`: since the beginning.
    pub(super) fn next(&self, took: Duration) -> Option<u32> {
        let near = match (self.good, self.bad) {
            (Some(good), Some(bad)) => f64::from(bad) / f64::from(good) <= GAP || bad <= good + 1,
            (None, Some(bad)) => bad <= RATE_MIN,
            _ => false,
        };
        (!near && self.steps < STEPS_MAX && took < TIME_MAX).then_some(self.rate)
    }

    /// What was tried kept the limit, or not.
    pub(super) fn tried(&mut self, kept: bool) {
        self.steps += 1;
        *(if kept { &mut self.good } else { &mut self.bad }) = Some(self.rate);
        self.rate = match (self.good, self.bad) {
            (Some(good), Some(bad)) => {
                let middle = (f64::from(good) * f64::from(bad)).sqrt().round() as u32;
                middle.clamp(good + 1, bad.max(good + 2) - 1)
            }
            (Some(good), None) => good.saturating_mul(GROWTH),
            (None, Some(bad)) => (bad / GROWTH).max(RATE_MIN),
            (None, None) => self.rate,
        };
    }

    /// The greatest rate that kept it.
    pub(super) fn best(&self) -> Option<u32> {
        self.good
    }

    /// The least that did not.
    pub(super) fn broke_at(&self) -> Option<u32> {
        self.bad
    }
}

/// A ramp under way: the search, and the best step so far.
pub(super) struct Climb {
    search: Search,
    best: Option<Draft>,
    worst: Option<Draft>,
    notes: Vec<String>,
    rate: u32,
}

impl Climb {
    pub(super) fn new(load: &Load) -> Self {
        let search = Search::new(load.rate.unwrap_or(1));
        Climb { search, best: None, worst: None, notes: Vec::new(), rate: 0 }
    }

    /// The next rate to be tried.
    pub(super) fn next(&mut self, took: Duration) -> Option<u32> {
        let rate = self.search.next(took)?;
        self.rate = rate;
        Some(rate)
    }

    /// What came of it.
    pub(super) fn tried(&mut self, draft: Draft) {
        let verdict = &draft.verdict;
        let why = [&verdict.broken_slos, &verdict.faults, &verdict.invalid];
        let why = why.into_iter().find_map(|lines| lines.first());
        let word = why.map_or("kept", String::as_str);
        self.notes.push(format!("at {}/s: {word}", grouped(self.rate.into())));
        self.search.tried(verdict.is_good());
        let good = verdict.is_good();
        *(if good { &mut self.best } else { &mut self.worst }) = Some(draft);
    }

    /// The report of the greatest rate that kept the limits; where none did, of the last one.
    pub(super) fn end(self) -> Draft {
        let found = self.search.best();
        // Where we were the bottleneck when it broke, the rate found may be ours.
        let ours = self.search.broke_at().is_some()
            && self.worst.as_ref().is_some_and(|draft| !draft.verdict.invalid.is_empty());
        let mut draft = self.best.or(self.worst).unwrap_or_default();
        if let Some(rate) = found {
            let label = "greatest rate that keeps the limit";
            draft.figure("rate_max_per_s", label, rate.into(), "/s", Better::Higher);
            draft.figures.rotate_right(1);
            if ours {
                draft.verdict.notes.push(
                    "the bench was at its own limit where one broke: the server may bear more"
                        .to_owned(),
                );
            }
        }
        draft.verdict.notes.extend(self.notes);
        draft
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a search from `from` finds, and in how many steps, where `limit` is the greatest good
    /// rate.
    fn find(from: u32, limit: u32) -> (Option<u32>, u32) {
        let mut search = Search::new(from);
        while let Some(rate) = search.next(Duration::ZERO) {
            search.tried(rate <= limit);
        }
        (search.best(), search.steps)
    }

    #[test]
    fn the_greatest_rate_is_found_to_a_tenth_in_few_steps() {
        for (from, limit) in [(100, 100), (100, 54_321), (100, 17), (1, 30), (5_000, 5_100)] {
            let (best, steps) = find(from, limit);
            let best = best.unwrap();
            assert!(best <= limit && f64::from(best) >= f64::from(limit) / GAP - 1.0, "{best}");
            assert!(steps <= 12, "{steps} steps to {limit}");
        }
    }

    #[test]
    fn a_limit_that_nothing_keeps_ends_the_search() {
        assert_eq!(find(100, 0).0, None);
        assert_eq!(find(100, RATE_MIN - 1).0, None);
        assert_eq!(find(u32::MAX, u32::MAX).0, Some(u32::MAX));
    }

    #[test]
    fn no_step_begins_when_the_time_is_up() {
        let search = Search::new(100);
        assert_eq!(search.next(TIME_MAX - Duration::from_millis(1)), Some(100));
        assert_eq!(search.next(TIME_MAX), None);
    }
}
