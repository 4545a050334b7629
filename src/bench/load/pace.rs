//! How fast lines are made: a schedule that waits for nobody (open loop), a window of lines that
//! are on their way (closed loop), or both. Pure.
//!
//! Both together are what most load generators do: a line is due by the schedule, and sent when an
//! earlier one has come back. The gap between the two is what coordinated omission hides, and here
//! it is seen, for each line keeps its intended time.

use super::schedule::Schedule;
use crate::bench::options::{Length, Load};
use std::ops::Range;
use std::time::{Duration, Instant};

/// Lines of all publishers on their way at most, where no window was asked for: what a server that
/// takes lines and delivers none can make us remember, 40 MiB.
const FLIGHTS_MAX: u32 = 1 << 20;

/// How long so many messages are thought to take where nobody can know.
const UNKNOWN_TIME: Duration = Duration::from_secs(1);

/// How long a server that takes lines too slowly is waited for behind the schedule's end, at least;
/// otherwise as long as the measurement was meant to take.
const OVERTIME_MIN: Duration = Duration::from_secs(2);

/// When how many lines may be made.
pub(in crate::bench) struct Pace {
    schedule: Option<Schedule>,
    start: Instant,
    /// Warm-up's end: what was meant before is checked and not clocked.
    warm: Instant,
    length: Length,
    /// How long it is thought to take from there.
    expected: Duration,
    /// Lines of one publisher on their way at most.
    window: u32,
    /// The window moves on by so many lines.
    step: u32,
    /// It goes out in two halves in turn.
    halves: bool,
    /// Closed loop: lines of all publishers at most, once that is known.
    limit: u64,
    /// Not before the start, not after the end.
    open: bool,
    /// Open loop: what has not been sent by then never will be.
    cut: Instant,
}

impl Pace {
    pub(in crate::bench) fn new(load: &Load, publishers: usize, start: Instant) -> Self {
        let schedule = load.rate.map(|rate| {
            let warm = lines_in(load.warmup, rate);
            let lines = match load.length {
                Length::Time(time) => lines_in(load.warmup + time, rate),
                Length::Messages(lines) => warm + lines,
            };
            Schedule::new(start, publishers, rate, load.burst, lines.max(1))
        });
        let most = (FLIGHTS_MAX / publishers as u32).max(load.burst);
        let window = load.window.unwrap_or(most);
        // Halves only where the window alone sets the pace; see `Load::window`.
        let halves = load.rate.is_none() && load.burst == 1 && window > 1;
        let step = if halves { window / 2 } else { load.burst };
        let expected = match (load.length, load.rate) {
            (Length::Time(time), _) => time,
            (Length::Messages(lines), Some(rate)) => {
                Duration::from_secs_f64(lines as f64 / f64::from(rate))
            }
            (Length::Messages(_), None) => UNKNOWN_TIME,
        };
        let warm = start + load.warmup;
        Pace {
            schedule,
            start,
            warm,
            length: load.length,
            expected,
            window,
            step,
            halves,
            limit: u64::MAX,
            open: false,
            cut: warm + expected + expected.max(OVERTIME_MIN),
        }
    }

    /// Brings it up to `now`; `made` lines of all publishers there are. Returns which bursts are
    /// due since then, where there is a schedule.
    pub(in crate::bench) fn advance(&mut self, now: Instant, made: u64) -> Range<u64> {
        if let Some(schedule) = &mut self.schedule {
            self.open = now < self.cut;
            return schedule.advance(now);
        }
        if now >= self.warm
            && self.limit == u64::MAX
            && let Length::Messages(lines) = self.length
        {
            self.limit = made + lines;
        }
        self.open = self.start <= now && self.end().is_none_or(|end| now < end);
        0..0
    }

    /// Closed loop by time: when the last line is made.
    fn end(&self) -> Option<Instant> {
        match self.length {
            Length::Time(time) if self.schedule.is_none() => Some(self.warm + time),
            _ => None,
        }
    }

    /// Lines of `publisher` that are due, were the window no matter. `made` of all publishers.
    pub(in crate::bench) fn due(&self, publisher: usize, made: u64) -> u32 {
        match &self.schedule {
            Some(schedule) if self.open => schedule.due_of(publisher),
            None if self.open && made < self.limit => u32::MAX,
            _ => 0,
        }
    }

    /// Lines of a publisher that the window lets through, where everybody has the first `done` and
    /// somebody the first `heard`.
    ///
    /// A half goes out when somebody has all of the half before it. Otherwise both would come back
    /// together where we are slow, and go out together ever after.
    pub(in crate::bench) fn allowed(&self, done: u32, heard: u32) -> u32 {
        let whole = |lines: u32| lines - lines % self.step;
        let most = whole(done).saturating_add(self.window);
        if self.halves { most.min(whole(heard) + self.step) } else { most }
    }

    /// When line `sequence` of `publisher` is meant to be sent: now, where nothing else says so.
    pub(in crate::bench) fn intended(
        &self,
        publisher: usize,
        sequence: u32,
        now: Instant,
    ) -> Instant {
        self.schedule.map_or(now, |schedule| schedule.intended(publisher, sequence))
    }

    /// True when no line will be made any more.
    pub(in crate::bench) fn is_over(&self, now: Instant, made: u64) -> bool {
        match &self.schedule {
            Some(schedule) => made >= schedule.lines() || self.cut <= now,
            None => made >= self.limit || self.end().is_some_and(|end| end <= now),
        }
    }

    /// Lines of all publishers that are due and not made.
    pub(in crate::bench) fn overdue(&self, made: u64) -> u64 {
        self.schedule.map_or(0, |schedule| schedule.due().saturating_sub(made))
    }

    /// The next moment at which `advance` changes something.
    pub(in crate::bench) fn next(&self, now: Instant) -> Option<Instant> {
        match &self.schedule {
            Some(schedule) => schedule.next().or(Some(self.cut).filter(|&cut| now < cut)),
            None => [Some(self.start), Some(self.warm), self.end()]
                .into_iter()
                .flatten()
                .find(|&at| now < at),
        }
    }

    pub(in crate::bench) fn is_scheduled(&self) -> bool {
        self.schedule.is_some()
    }

    /// The warm-up's end.
    pub(in crate::bench) fn warm(&self) -> Instant {
        self.warm
    }

    /// How long it is thought to take from there.
    pub(in crate::bench) fn expected(&self) -> Duration {
        self.expected
    }

    /// Lines that the schedule wanted and that were never sent.
    pub(in crate::bench) fn unsent(&self, made: u64) -> u64 {
        self.schedule.map_or(0, |schedule| schedule.lines().saturating_sub(made))
    }
}

fn lines_in(time: Duration, rate: u32) -> u64 {
    (time.as_secs_f64() * f64::from(rate)).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn load(rate: Option<u32>, window: Option<u32>, burst: u32, length: Length) -> Load {
        Load { rate, window, burst, warmup: 10 * MS, length }
    }

    #[test]
    fn a_window_alone_moves_by_halves() {
        let start = Instant::now();
        let pace = Pace::new(&load(None, Some(64), 1, Length::Time(MS)), 1, start);
        let allowed = [0, 1, 31, 32, 63, 64, 65].map(|done| pace.allowed(done, done + 64));
        assert_eq!(allowed, [64, 64, 64, 96, 96, 128, 128]);
        let allowed = [0, 31, 32, 64, 96].map(|heard| pace.allowed(0, heard));
        assert_eq!(allowed, [32, 32, 64, 64, 64], "the second half follows the first");
        let one = Pace::new(&load(None, Some(1), 1, Length::Time(MS)), 1, start);
        assert_eq!([0, 1, 2].map(|done| one.allowed(done, done)), [1, 2, 3]);
        let both = Pace::new(&load(Some(5), Some(4), 1, Length::Time(MS)), 1, start);
        assert_eq!([0, 1, 2].map(|done| both.allowed(done, done)), [4, 5, 6]);
        let bursts = Pace::new(&load(None, Some(8), 4, Length::Time(MS)), 1, start);
        assert_eq!([0, 3, 4, 8].map(|done| bursts.allowed(done, done)), [8, 8, 12, 16]);
    }

    #[test]
    fn a_closed_loop_ends_by_time() {
        let start = Instant::now();
        let mut pace = Pace::new(&load(None, Some(2), 1, Length::Time(20 * MS)), 1, start + MS);
        for (ms, due, over) in [(0, 0, false), (1, u32::MAX, false), (30, u32::MAX, false)] {
            let now = start + ms * MS;
            pace.advance(now, 0);
            assert_eq!((pace.due(0, 0), pace.is_over(now, 0)), (due, over), "{ms} ms");
        }
        pace.advance(start + 31 * MS, 7);
        assert_eq!((pace.due(0, 7), pace.is_over(start + 31 * MS, 7)), (0, true));
        assert_eq!(pace.next(start + 5 * MS), Some(start + 11 * MS), "the warm-up's end");
    }

    #[test]
    fn a_closed_loop_ends_by_lines_that_count_from_the_warm_up_s_end() {
        let start = Instant::now();
        let mut pace = Pace::new(&load(None, Some(2), 1, Length::Messages(5)), 1, start);
        pace.advance(start + 9 * MS, 100);
        assert!(!pace.is_over(start + 9 * MS, 100));
        pace.advance(start + 10 * MS, 120);
        assert_eq!([124, 125].map(|made| pace.due(0, made)), [u32::MAX, 0]);
        assert!(pace.is_over(start + 10 * MS, 125));
    }

    #[test]
    fn an_open_loop_makes_its_warm_up_and_its_lines() {
        let start = Instant::now();
        for (length, lines) in [(Length::Messages(5), 15), (Length::Time(20 * MS), 30)] {
            let mut pace = Pace::new(&load(Some(1_000), None, 1, length), 2, start);
            pace.advance(start + Duration::from_secs(1), 0);
            assert_eq!(u64::from(pace.due(0, 0) + pace.due(1, 0)), lines);
            assert_eq!(pace.overdue(4), lines - 4);
            assert!(!pace.is_over(start, lines - 1) && pace.is_over(start, lines));
        }
    }

    #[test]
    fn a_schedule_that_a_server_cannot_follow_is_cut() {
        let start = Instant::now();
        let mut pace = Pace::new(&load(Some(1_000), Some(1), 1, Length::Messages(20)), 1, start);
        pace.advance(start + Duration::from_secs(2), 3);
        assert!(pace.due(0, 3) == 30 && !pace.is_over(start + Duration::from_secs(2), 3));
        let cut = start + 30 * MS + OVERTIME_MIN;
        assert_eq!(pace.next(start + Duration::from_secs(2)), Some(cut));
        pace.advance(cut, 3);
        assert_eq!((pace.due(0, 3), pace.is_over(cut, 3), pace.unsent(3)), (0, true, 27));
    }
}
