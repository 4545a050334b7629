//! Of a measurement without sockets: the clock is what the test says.

use super::*;
use crate::bench::options::Length;

const MS: Duration = Duration::from_millis(1);

fn load(rate: Option<u32>, window: Option<u32>) -> Load {
    let length = Length::Time(Duration::from_secs(1));
    Load { rate, window, burst: 1, warmup: Duration::ZERO, length }
}

fn who(subscribers: usize, publishers: usize) -> Who {
    Who { subscribers, publishers, overlap: 0, answering: false }
}

/// Of a histogram, to three digits.
fn max_ms(histogram: &Histogram<u64>) -> f64 {
    (histogram.max() as f64 / 1e5).round() / 10.0
}

#[test]
fn a_receipt_is_a_loss_told_and_other_words_are_nothing() {
    for (line, told) in [
        (&b"* you missed 12 messages: reading too slowly\n"[..], Some(12)),
        (b"* you missed 1 message: reading too slowly\n", Some(1)),
        (b"* you missed a lot\n", None),
        (b"<guest1> * you missed 12 messages\n", None),
        (b"* you are guest1\n", None),
    ] {
        assert_eq!(missed(line), told);
    }
}

#[test]
fn latency_counts_from_the_intended_time_and_a_duplicate_adds_none() {
    let start = Instant::now();
    let mut measure = Measure::new(who(1, 1), &load(Some(1), None), start, start);
    let mut run = Run::new(1, 64);
    measure.advance(start);
    let marker = measure.make(0, start + MS).unwrap();
    let mut stream = b"* you missed 3 messages: reading too slowly\n".to_vec();
    run.push_line(&mut stream, marker);
    let len = stream.len();
    let mut read = |ms| measure.read(&mut run, 0, Lines::new(&stream, 0, 99), start + ms * MS);
    assert_eq!((read(3), read(9)), ((len, true), (len, false)));
    assert!(measure.is_complete(start));
    assert_eq!((measure.intended.len(), measure.lines, measure.told), (1, 2, 6));
    assert_eq!((max_ms(&measure.intended), max_ms(&measure.sent)), (3.0, 2.0));
}

#[test]
fn a_stall_is_in_the_curve_of_intended_times_and_hides_from_that_of_sent_ones() {
    let start = Instant::now();
    let mut measure = Measure::new(who(1, 1), &load(Some(1_000), Some(1)), start, start);
    // Each line takes 1 ms, and the one that leaves at 300 ms takes 200: a window of one.
    let (mut now, mut lines) = (start, 0);
    while measure.is_making(now) {
        measure.advance(now);
        let Some(marker) = measure.make(0, now) else {
            now += MS;
            continue;
        };
        for _ in 0..if now - start == 300 * MS { 200 } else { 1 } {
            now += MS;
            measure.advance(now);
            assert_eq!(measure.make(0, now), None, "one at a time");
        }
        measure.line(0, marker, now);
        lines += 1;
    }
    assert_eq!((lines, measure.checker.finish().lost), (1_000, 0));
    let over = |histogram: &Histogram<u64>| {
        histogram.len() - histogram.count_between(0, (100 * MS).as_nanos() as u64)
    };
    assert_eq!(over(&measure.sent), 1, "one line waited");
    assert!(over(&measure.intended) > 500, "{} were meant meanwhile", over(&measure.intended));
    assert!(measure.watch.lag.max() < 2_000_000, "and the generator is not to blame");
}

#[test]
fn the_window_goes_out_in_two_halves_in_turn() {
    let start = Instant::now();
    let mut measure = Measure::new(who(2, 1), &load(None, Some(8)), start, start);
    assert_eq!(measure.advance(start), 0..1);
    let mut made = Vec::new();
    let mut make = |measure: &mut Measure| {
        let before = made.len();
        made.extend(std::iter::from_fn(|| measure.make(0, start)));
        (before..made.len(), made.clone())
    };
    let (first, lines) = make(&mut measure);
    assert_eq!(first.len(), 4, "one half");
    measure.line(0, lines[0], start + MS);
    assert_eq!(measure.released(), None, "a part of it is back");
    lines[1..4].iter().for_each(|&line| assert!(measure.line(0, line, start + MS).is_some()));
    assert_eq!(measure.released(), Some(0), "somebody has all of it");
    let (second, lines) = make(&mut measure);
    assert_eq!(second.len(), 4, "the other half");
    for &line in &lines[4..8] {
        measure.line(0, line, start + MS);
    }
    assert_eq!(measure.released(), None, "nobody but one has the first half");
    for &line in &lines[..8] {
        measure.line(1, line, start + MS);
    }
    assert_eq!(measure.released(), Some(0));
    assert_eq!(make(&mut measure).0.len(), 4, "one half, although both are back");
}

#[test]
fn a_round_trip_is_clocked_once_and_from_its_beginning() {
    let start = Instant::now();
    let who = Who { subscribers: 2, publishers: 2, overlap: 2, answering: true };
    let mut measure = Measure::new(who, &load(None, Some(1)), start, start);
    measure.advance(start);
    for round in 0..3 {
        let now = start + 10 * round * MS;
        let there = measure.make(0, now).unwrap();
        assert_eq!((measure.make(0, now), measure.make(1, now)), (None, None));
        measure.line(1, there, now + 2 * MS);
        assert_eq!(measure.released(), Some(1));
        let back = measure.make(1, now + 2 * MS).unwrap();
        measure.sent(1, 0..round + 1, now + 2 * MS);
        measure.line(0, back, now + 5 * MS);
        assert_eq!(measure.released(), Some(0));
    }
    assert_eq!((measure.sent.len(), measure.counted), (3, 3));
    assert_eq!((max_ms(&measure.sent), max_ms(&measure.intended)), (5.0, 5.0));
}

#[test]
fn round_trips_have_a_schedule_of_their_own() {
    let start = Instant::now();
    let who = Who { subscribers: 2, publishers: 2, overlap: 2, answering: true };
    let load = Load { length: Length::Messages(3), ..load(Some(1_000), Some(1)) };
    let mut measure = Measure::new(who, &load, start, start);
    let mut now = start;
    for _ in 0..3 {
        assert_eq!(measure.advance(now), 0..1);
        let there = measure.make(0, now).unwrap();
        measure.line(1, there, now);
        let back = measure.make(1, now).unwrap();
        measure.line(0, back, now);
        now += MS;
    }
    assert!(measure.is_complete(now) && measure.unsent() == 0);
}

#[test]
fn what_is_meant_in_the_warm_up_is_checked_and_not_clocked() {
    let start = Instant::now();
    let load = Load { warmup: 2 * MS, length: Length::Messages(1), ..load(Some(1_000), None) };
    let mut measure = Measure::new(who(1, 1), &load, start, start);
    measure.advance(start + 9 * MS);
    let lines: Vec<Marker> = std::iter::from_fn(|| measure.make(0, start + 9 * MS)).collect();
    assert_eq!(lines.len(), 3);
    for &line in &lines {
        measure.line(0, line, start + 9 * MS);
    }
    assert_eq!((measure.intended.len(), measure.checker.finish().delivered), (1, 3));
}

#[test]
fn the_last_receiver_and_the_skew_are_clocked_once_a_line() {
    let start = Instant::now();
    let mut measure = Measure::new(who(3, 1), &load(Some(1), None), start, start);
    measure.advance(start);
    let line = measure.make(0, start).unwrap();
    for (subscriber, ms) in [(1, 2), (0, 3), (2, 7)] {
        measure.line(subscriber, line, start + ms * MS);
    }
    assert_eq!((measure.last.len(), max_ms(&measure.last)), (1, 7.0));
    assert_eq!((measure.skew.len(), max_ms(&measure.skew)), (1, 5.0));
}

#[test]
fn who_waits_for_a_lost_datagram_gives_up_and_goes_on() {
    let start = Instant::now();
    let mut measure = Measure::new(who(1, 1), &load(None, Some(1)), start, start);
    measure.advance(start);
    let lost = measure.make(0, start).unwrap();
    assert_eq!(measure.make(0, start), None);
    measure.give_up(0, 10 * MS, start + 10 * MS);
    assert_eq!(measure.released(), None, "not yet");
    measure.give_up(0, 10 * MS, start + 11 * MS);
    assert_eq!(measure.released(), Some(0));
    assert_eq!(measure.checker.finish().lost, 1);
    measure.line(0, lost, start + 20 * MS);
    let tally = measure.checker.finish();
    assert_eq!((tally.lost, tally.disordered), (0, 1), "it was only late");
}
