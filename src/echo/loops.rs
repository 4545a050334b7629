//! Loops: another service that answers our answers, so that the same bytes go round for ever
//! (VU#417980). Recognised by what they are, not by who sends them.
//!
//! What tells a loop from somebody who sends the same bytes often? At each single datagram nothing:
//! an echo service there and a tool that waits for our answer before it sends the same again look
//! alike. But a loop never pauses and never ends, it lives on our answers alone, and each answer
//! that is withheld takes one datagram out of it for good. So a series of returns without a pause
//! is let go on for long, and is then not answered for a moment: every datagram that was on its way
//! round comes back within that moment, finds no answer, and the loop is over. Who was no loop has
//! lost a hundredth of his datagrams, if they were fast, all alike, and ten thousand in a row.
//!
//! What must not be here: rates. They are the prefix's (`prefixes`).

use super::hash;
use std::time::{Duration, Instant};

/// So often the same bytes may come from the same source without a pause. Nobody types that; a
/// probe that sends the same a thousand times a second is let alone for ten seconds; and two echo
/// services of one machine are there in less than a second.
pub(super) const RETURNS_MAX: u32 = 10_000;

/// Longer than any round trip, so that it ends a series: a loop has no pauses.
const PAUSE: Duration = Duration::from_secs(2);

/// A mute is at least this long: a round trip to the other side of the earth is not longer, so
/// whatever goes round comes back within it.
const MUTE_MIN: Duration = Duration::from_millis(200);

/// A mute is this part of the series before it: 10,000 returns of one datagram take 10,000 round
/// trips, so a slow loop is muted for 100 of its round trips, and 100 datagrams with the same bytes
/// that go round together are all caught. It is also all that somebody who is no loop can lose.
const MUTE_DIVISOR: u32 = 100;

/// Series that are followed at once: 1,024 are 32 KiB. A power of two.
const SERIES_MAX: usize = 1_024;

/// Places in which one series may stand.
const WAYS: usize = 4;

/// A moment, as nanoseconds since the table was begun, for one comparison is cheaper than two: each
/// datagram is compared with all in its set. 584 years are not reached.
type Moment = u64;

fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// The same bytes from the same source. A place that nobody has is one of which all is over.
#[derive(Clone, Copy, Debug, Default)]
struct Series {
    /// Hash of source and bytes.
    key: u64,
    begun: Moment,
    /// Nothing is lost from then on if it is forgotten: a pause after the last one, or the end of
    /// the mute.
    over_at: Moment,
    count: u32,
    /// Not answered before it is over.
    muted: bool,
}

impl Series {
    fn new(key: u64, now: Moment) -> Self {
        Series { key, begun: now, over_at: now + ns(PAUSE), count: 1, muted: false }
    }

    fn is_muted(&self, now: Moment) -> bool {
        self.muted && !self.is_over(now)
    }

    fn is_over(&self, now: Moment) -> bool {
        self.over_at <= now
    }
}

/// What a datagram is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Not known for a loop.
    Fine,
    /// One too many: its series is muted from now on.
    Found,
    /// Of a series that is muted.
    Muted,
}

/// A set-associative table of series. Where a set is full, the shortest series in it gives way, so
/// that varied traffic at any rate pushes out its own ones and not a loop that has come far; muted
/// ones stay. A datagram that finds no place is fine.
#[derive(Debug)]
pub(super) struct Loops {
    sets: Box<[[Series; WAYS]]>,
    /// When the first datagram came.
    begun: Option<Instant>,
}

impl Loops {
    pub(super) fn new() -> Self {
        let sets = vec![[Series::default(); WAYS]; SERIES_MAX / WAYS].into_boxed_slice();
        Loops { sets, begun: None }
    }

    /// Notes a datagram that would be answered; `source` is a hash of who sent it.
    pub(super) fn look(&mut self, source: u64, bytes: &[u8], now: Instant) -> Look {
        let begun = *self.begun.get_or_insert(now);
        let now = ns(now.saturating_duration_since(begun));
        let key = hash::with(hash::of_bytes(bytes), source);
        let set = &mut self.sets[key as usize % (SERIES_MAX / WAYS)];
        let Some(series) = set.iter_mut().find(|series| series.key == key) else {
            // Which to forget: the shortest; of two, the one that said least of late.
            let age = |series: &Series| match series.is_over(now) {
                true => (0, 0),
                false => (series.count, series.over_at),
            };
            let settled = set.iter_mut().filter(|series| !series.is_muted(now));
            if let Some(place) = settled.min_by_key(|series| age(series)) {
                *place = Series::new(key, now);
            }
            return Look::Fine;
        };
        if series.is_muted(now) {
            return Look::Muted;
        }
        if series.is_over(now) {
            *series = Series::new(key, now);
            return Look::Fine;
        }
        series.over_at = now + ns(PAUSE);
        series.count += 1;
        if series.count < RETURNS_MAX {
            return Look::Fine;
        }
        let mute = ns(MUTE_MIN).max(now.saturating_sub(series.begun) / u64::from(MUTE_DIVISOR));
        (series.muted, series.over_at) = (true, now + mute);
        Look::Found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);
    const MS: Duration = Duration::from_millis(1);

    fn source(port: u16) -> u64 {
        hash::of_socket(([127, 0, 0, 1], port).into())
    }

    /// `copies` datagrams with these bytes go round in `round_trip`: how many are answered until
    /// none is left, or until `answers_max` are.
    fn circulate(
        loops: &mut Loops,
        copies: u32,
        round_trip: Duration,
        answers_max: u32,
        bytes: &[u8],
    ) -> u32 {
        let start = Instant::now();
        let mut answers = 0;
        // Each comes back a round trip after it was answered; they stand evenly apart.
        let mut due: std::collections::VecDeque<Instant> =
            (0..copies).map(|copy| start + round_trip * copy / copies).collect();
        while let Some(now) = due.pop_front() {
            if loops.look(source(7_777), bytes, now) == Look::Fine {
                answers += 1;
                due.push_back(now + round_trip);
                if answers == answers_max {
                    break;
                }
            }
        }
        answers
    }

    #[test]
    fn a_loop_dies_whatever_its_round_trip_and_however_many_go_round() {
        for (copies, round_trip) in [
            (1, 20 * US),
            (1, 150 * MS),
            (1, 1_500 * MS),
            (100, 20 * US),
            (100, 100 * MS),
            (1_000, 100 * US),
            (1_000, 100 * MS),
        ] {
            let answers = circulate(&mut Loops::new(), copies, round_trip, 1_000_000, b"again");
            assert!(answers < 2 * RETURNS_MAX, "{copies} in {round_trip:?}: {answers}");
        }
    }

    #[test]
    fn several_loops_at_once_are_all_seen() {
        let mut loops = Loops::new();
        let mut now = Instant::now();
        let mut alive: Vec<u16> = (0..500).collect();
        // Where more of them than fit share a set, some wait until others are over.
        for _ in 0..3 * RETURNS_MAX {
            now += MS;
            alive
                .retain(|which| loops.look(source(7_777), &which.to_le_bytes(), now) == Look::Fine);
        }
        assert_eq!(alive, [0; 0]);
    }

    #[test]
    fn a_loop_in_the_middle_of_varied_traffic_is_seen() {
        let mut loops = Loops::new();
        let mut now = Instant::now();
        let (mut returns, mut others) = (0u32, 0u64);
        while loops.look(source(7_777), b"again", now) == Look::Fine {
            returns += 1;
            assert!(returns <= 2 * RETURNS_MAX, "it goes on");
            for _ in 0..20 {
                now += 3 * US;
                others += 1;
                assert_eq!(loops.look(source(9), &others.to_le_bytes(), now), Look::Fine);
            }
        }
    }

    #[test]
    fn varied_traffic_at_full_speed_is_untouched() {
        let (mut loops, mut now) = (Loops::new(), Instant::now());
        for counter in 0..300_000u64 {
            now += US;
            assert_eq!(loops.look(source(7_777), &counter.to_le_bytes(), now), Look::Fine);
        }
    }

    #[test]
    fn the_same_line_typed_all_day_is_untouched() {
        let (mut loops, mut now) = (Loops::new(), Instant::now());
        for typed in 0..3 * RETURNS_MAX {
            now += if typed % 1_000 == 0 { PAUSE + MS } else { 100 * MS };
            assert_eq!(loops.look(source(7_777), b"hello", now), Look::Fine);
        }
    }

    /// The price for who sends the same without end and is no loop.
    #[test]
    fn a_probe_of_a_thousand_a_second_loses_none_in_nine_seconds_and_three_in_a_hundred_in_a_minute()
     {
        let (mut loops, mut now, mut lost) = (Loops::new(), Instant::now(), 0);
        for sent in 0..60_000 {
            now += MS;
            let fine = loops.look(source(7_777), &[b'x'; 64], now) == Look::Fine;
            lost += u32::from(!fine);
            assert!(lost == 0 || sent > 9_000, "after {sent}");
        }
        assert!(lost > 0 && lost <= 60_000 * 3 / 100, "{lost} lost");
    }

    #[test]
    fn a_mute_ends_and_a_new_loop_is_found_anew() {
        let (mut loops, mut now) = (Loops::new(), Instant::now());
        for _ in 0..3 {
            let mut returns = 1;
            while loops.look(source(7_777), b"", now) == Look::Fine {
                returns += 1;
            }
            assert_eq!(returns, RETURNS_MAX);
            assert_eq!(loops.look(source(7_777), b"", now + MUTE_MIN - US), Look::Muted);
            assert_eq!(loops.look(source(7_778), b"", now), Look::Fine, "another source");
            assert_eq!(loops.look(source(7_777), b"x", now), Look::Fine, "other bytes");
            now += MUTE_MIN;
        }
    }

    #[test]
    fn the_table_does_not_grow_and_a_full_set_refuses_nobody() {
        let (mut loops, now) = (Loops::new(), Instant::now());
        for counter in 0..100_000u64 {
            assert_eq!(loops.look(source(1), &counter.to_le_bytes(), now), Look::Fine);
        }
        assert_eq!(loops.sets.len() * WAYS, SERIES_MAX);
    }
}
