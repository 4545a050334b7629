//! The one line that tells how far a bench is, drawn over itself. Pure: whoever has a timer and a
//! terminal calls it and writes what it returns.

use super::number::{figure, short_time};
use std::fmt::Write;
use std::time::Duration;

/// Cells of the bar.
const BAR: usize = 20;

/// Takes the line away again, for what is told next.
pub const ERASED: &str = "\r\x1b[K";

/// How far a bench is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is going on: `connecting`, `measuring, 2 of 5`.
    pub phase: &'a str,
    /// Since the phase began.
    pub elapsed: Duration,
    /// How long it will take; None where nobody knows.
    pub total: Option<Duration>,
    /// Of what is counted, a second, lately; None where nothing is.
    pub rate: Option<f64>,
    /// What is counted: `deliveries`.
    pub counted: &'a str,
    /// 99th percentile lately, in ns.
    pub p99_ns: Option<u64>,
}

/// What to write to a terminal of so many columns: it goes to the start of the line, erases it and
/// leaves the last column free, so that nothing wraps. What does not fit is left out, the least
/// needed first.
pub fn line(progress: &Progress<'_>, columns: usize) -> String {
    let mut parts = vec![progress.phase.to_owned(), times(progress)];
    if let Some(rate) = progress.rate {
        parts.push(format!("{} {}/s", figure(rate), progress.counted));
    }
    if let Some(ns) = progress.p99_ns {
        parts.push(format!("p99 {}", short_time(ns as f64)));
    }
    let width = |parts: &[String]| {
        parts.iter().map(|part| part.chars().count() + 2).sum::<usize>().saturating_sub(2)
    };
    let room = columns.saturating_sub(1);
    if let Some(bar) = bar(progress)
        && width(&parts) + 2 + bar.len() <= room
    {
        parts.insert(1, bar);
    }
    while width(&parts) > room && parts.len() > 1 {
        parts.pop();
    }
    let mut out = ERASED.to_owned();
    out.extend(parts.join("  ").chars().take(room));
    out
}

/// `3.2 / 10.0 s`.
fn times(progress: &Progress<'_>) -> String {
    let mut out = format!("{:.1}", progress.elapsed.as_secs_f64());
    if let Some(total) = progress.total {
        // Writing to a String does not fail.
        let _ = write!(out, " / {:.1}", total.as_secs_f64());
    }
    out + " s"
}

/// `[######--------------]`; None where there is no end in sight.
fn bar(progress: &Progress<'_>) -> Option<String> {
    let total = progress.total.filter(|total| !total.is_zero())?;
    let share = (progress.elapsed.as_secs_f64() / total.as_secs_f64()).min(1.0);
    let done = (share * BAR as f64) as usize;
    Some(format!("[{}{}]", "#".repeat(done), "-".repeat(BAR - done)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESS: Progress<'static> = Progress {
        phase: "measuring",
        elapsed: Duration::from_millis(3_240),
        total: Some(Duration::from_secs(10)),
        rate: Some(10_014.2),
        counted: "deliveries",
        p99_ns: Some(5_042_000),
    };

    #[test]
    fn a_wide_terminal_sees_it_all() {
        let expected = "\r\x1b[Kmeasuring  [######--------------]  3.2 / 10.0 s  10,014 deliveries/s  p99 5.04 ms";
        assert_eq!(line(&PROGRESS, 100), expected);
    }

    #[test]
    fn no_width_is_exceeded_and_the_last_column_stays_free() {
        for columns in 0..120 {
            let shown = line(&PROGRESS, columns).trim_start_matches(ERASED).chars().count();
            assert!(shown < columns.max(1), "{columns}: {shown}");
        }
    }

    #[test]
    fn the_bar_goes_first_then_what_stands_last() {
        let at = |columns| line(&PROGRESS, columns).replace(ERASED, "");
        assert_eq!(at(60), "measuring  3.2 / 10.0 s  10,014 deliveries/s  p99 5.04 ms");
        assert_eq!(at(50), "measuring  3.2 / 10.0 s  10,014 deliveries/s");
        assert_eq!(at(8), "measuri");
    }

    #[test]
    fn a_phase_without_an_end_has_no_bar_and_one_that_is_late_a_full_one() {
        let endless = Progress { total: None, rate: None, p99_ns: None, ..PROGRESS };
        assert_eq!(line(&endless, 100), "\r\x1b[Kmeasuring  3.2 s");
        let late = Progress { elapsed: Duration::from_secs(99), ..PROGRESS };
        assert!(line(&late, 100).contains("[####################]"));
    }
}
