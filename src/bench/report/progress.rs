//! The one line that tells how far a bench is, drawn over itself. Pure: whoever has a timer and a
//! terminal calls it and writes what it returns.

use super::number::{figure, short_time};
use crate::bench::Live;

/// Cells of the bar.
const BAR: usize = 20;

/// Takes the line away again, for what is told next.
pub const ERASED: &str = "\r\x1b[K";

/// What to write to a terminal of so many columns: it goes to the start of the line, erases it and
/// leaves the last column free, so that nothing wraps. What does not fit is left out, the least
/// needed first.
pub fn line(live: &Live, columns: usize) -> String {
    let phase = if live.connecting { "connecting" } else { "measuring" };
    let mut parts =
        vec![phase.to_owned(), format!("{:.0} %", live.fraction.clamp(0.0, 1.0) * 100.0)];
    if live.per_s > 0.0 {
        parts.push(format!("{}/s", figure(live.per_s)));
    }
    if live.p99_ns > 0 {
        parts.push(format!("p99 {}", short_time(live.p99_ns as f64)));
    }
    let width = |parts: &[String]| {
        parts.iter().map(|part| part.chars().count() + 2).sum::<usize>().saturating_sub(2)
    };
    let room = columns.saturating_sub(1);
    let bar = bar(live.fraction);
    if width(&parts) + 2 + bar.len() <= room {
        parts.insert(1, bar);
    }
    while width(&parts) > room && parts.len() > 1 {
        parts.pop();
    }
    let mut out = ERASED.to_owned();
    out.extend(parts.join("  ").chars().take(room));
    out
}

/// `[######--------------]`.
fn bar(fraction: f64) -> String {
    let done = (fraction.clamp(0.0, 1.0) * BAR as f64) as usize;
    format!("[{}{}]", "#".repeat(done), "-".repeat(BAR - done))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIVE: Live =
        Live { connecting: false, fraction: 0.324, per_s: 10_014.2, p99_ns: 5_042_000 };

    #[test]
    fn a_wide_terminal_sees_it_all() {
        let expected = "\r\x1b[Kmeasuring  [######--------------]  32 %  10,014/s  p99 5.04 ms";
        assert_eq!(line(&LIVE, 100), expected);
    }

    #[test]
    fn no_width_is_exceeded_and_the_last_column_stays_free() {
        for columns in 0..120 {
            let shown = line(&LIVE, columns).trim_start_matches(ERASED).chars().count();
            assert!(shown < columns.max(1), "{columns}: {shown}");
        }
    }

    #[test]
    fn the_bar_goes_first_then_what_stands_last() {
        let at = |columns| line(&LIVE, columns).replace(ERASED, "");
        assert_eq!(at(50), "measuring  32 %  10,014/s  p99 5.04 ms");
        assert_eq!(at(30), "measuring  32 %  10,014/s");
        assert_eq!(at(8), "measuri");
    }

    #[test]
    fn nothing_is_told_of_what_has_not_come_yet() {
        let live = Live { connecting: true, fraction: 1.5, per_s: 0.0, p99_ns: 0 };
        assert_eq!(line(&live, 100), "\r\x1b[Kconnecting  [####################]  100 %");
    }
}
