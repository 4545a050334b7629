//! Scripted networks: what is sent and what comes back at which millisecond, and the account of it.

use super::*;

const TIMEOUT: Duration = Duration::from_millis(100);

fn host(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 7))
}

struct Script {
    account: Account,
    start: Instant,
}

impl Script {
    fn new(audience: Audience) -> Self {
        Script { account: Account::new(audience, TIMEOUT), start: Instant::now() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn send(&mut self, ms: u64) -> u64 {
        self.account.sent(self.at(ms))
    }

    fn answer(&mut self, sequence: u64, from: u8, ms: u64) -> Verdict {
        self.account.received(sequence, host(from), self.at(ms))
    }

    fn lost(&mut self, ms: u64) -> Vec<u64> {
        let now = self.at(ms);
        std::iter::from_fn(|| self.account.overdue(now)).collect()
    }
}

fn in_time(ms: u64, first: bool, reordered: bool) -> Verdict {
    Verdict::Answer { rtt: Duration::from_millis(ms), first, reordered }
}

#[test]
fn an_answer_in_time_is_received_and_its_time_is_taken() {
    let mut script = Script::new(Audience::One);
    assert_eq!((script.send(0), script.send(1)), (1, 2));
    assert_eq!(script.account.next_deadline(), Some(script.at(100)));
    assert_eq!(script.answer(1, 1, 5), in_time(5, true, false));
    assert_eq!(script.account.next_deadline(), Some(script.at(101)));
    assert_eq!(script.answer(2, 1, 101), in_time(100, true, false), "the very last moment");
    assert_eq!((script.account.next_deadline(), script.account.unanswered()), (None, 0));
    let summary = script.account.summary();
    assert_eq!((summary.sent, summary.received, summary.lost), (2, 2, 0));
    assert_eq!(summary.rtt.map(|rtt| rtt.mean_ns), Some(52_500_000));
}

#[test]
fn no_answer_within_the_timeout_is_a_loss_and_a_late_one_takes_it_back() {
    let mut script = Script::new(Audience::One);
    (0..3).for_each(|ms| assert_eq!(script.send(ms), ms + 1));
    script.answer(2, 1, 3);
    assert_eq!(script.lost(99), [0; 0]);
    assert_eq!(script.lost(100), [1]);
    assert_eq!(script.account.next_deadline(), Some(script.at(102)));
    assert_eq!(script.lost(200), [3]);
    assert_eq!(script.answer(3, 1, 202), Verdict::Late { rtt: Duration::from_millis(200) });
    assert_eq!(script.answer(3, 1, 203), Verdict::Duplicate { rtt: Duration::from_millis(201) });
    let summary = script.account.summary();
    assert_eq!((summary.sent, summary.received, summary.lost, summary.late), (3, 1, 1, 1));
    assert_eq!(summary.rtt.map(|rtt| rtt.max_ns), Some(2_000_000), "a late one has no figure");
}

#[test]
fn an_answer_behind_a_later_one_is_reordered_and_a_second_one_is_a_duplicate() {
    let mut script = Script::new(Audience::One);
    (0..4).for_each(|ms| assert_eq!(script.send(ms), ms + 1));
    assert_eq!(script.answer(1, 1, 4), in_time(4, true, false));
    assert_eq!(script.answer(3, 1, 5), in_time(3, true, false));
    assert_eq!(script.answer(2, 1, 6), in_time(5, true, true));
    assert_eq!(script.answer(4, 1, 7), in_time(4, true, false));
    let again = Verdict::Duplicate { rtt: Duration::from_millis(8) };
    assert_eq!([script.answer(1, 1, 8), script.answer(1, 1, 8)], [again, again]);
    let summary = script.account.summary();
    assert_eq!((summary.received, summary.reordered, summary.duplicates), (4, 1, 2));
}

#[test]
fn jitter_is_taken_in_the_order_of_arrival() {
    let mut script = Script::new(Audience::One);
    (0..3).for_each(|n| assert_eq!(script.send(n * 10), n + 1));
    script.answer(1, 1, 10); // 10 ms
    script.answer(3, 1, 22); // 2 ms: J = 8/16 = 0.5
    script.answer(2, 1, 28); // 18 ms: J = 0.5 + (16 - 0.5)/16 = 1.46875
    assert_eq!(script.account.summary().rtt.map(|rtt| rtt.jitter_ns), Some(1_468_750));
}

#[test]
fn several_hosts_that_answer_one_probe_are_no_duplicates_of_each_other() {
    let mut script = Script::new(Audience::Many);
    script.send(0);
    assert_eq!(script.answer(1, 1, 1), in_time(1, true, false));
    assert_eq!(script.account.unanswered(), 0);
    assert_eq!(script.account.next_deadline(), Some(script.at(100)), "one more may answer");
    assert_eq!(script.answer(1, 2, 2), in_time(2, false, false));
    assert_eq!(script.answer(1, 2, 3), Verdict::Duplicate { rtt: Duration::from_millis(3) });
    assert_eq!(script.lost(100), [0; 0]);
    assert_eq!(script.account.next_deadline(), None);
    assert_eq!(script.answer(1, 3, 101), Verdict::Late { rtt: Duration::from_millis(101) });
    let summary = script.account.summary();
    let counts = (summary.received, summary.answers, summary.duplicates, summary.late);
    assert_eq!(counts, (1, 2, 1, 1));
    assert_eq!(summary.hosts.iter().map(|of| of.answers).collect::<Vec<_>>(), [1, 1, 0]);
}

#[test]
fn an_answer_to_nothing_that_is_remembered_is_unmatched() {
    let mut script = Script::new(Audience::One);
    for sequence in [0, 1, u64::MAX] {
        assert_eq!(script.answer(sequence, 1, 0), Verdict::Unmatched);
    }
    (0..=WINDOW).for_each(|n| assert_eq!(script.send(0), n as u64 + 1));
    assert_eq!(script.answer(1, 1, 1), Verdict::Unmatched, "it is out of the window");
    assert_eq!(script.answer(2, 1, 1), in_time(1, true, false));
    assert_eq!(script.account.summary().unmatched, 4);
}

#[test]
fn a_probe_that_is_pushed_out_of_the_window_is_lost_and_nothing_grows() {
    let mut script = Script::new(Audience::One);
    (0..WINDOW + 10).for_each(|n| assert_eq!(script.send(0), n as u64 + 1));
    assert_eq!((script.account.window.len(), script.account.unanswered()), (WINDOW, WINDOW));
    assert_eq!(script.account.summary().lost, 10);
    assert_eq!(script.lost(100).len(), WINDOW);
    assert_eq!(script.account.summary().lost, WINDOW as u64 + 10);
}

/// Pairs are answered in the wrong order, so that a bit of a window ago is looked at again.
#[test]
fn a_duplicate_is_known_at_every_place_of_the_window_and_a_new_one_never_passes_for_it() {
    let mut script = Script::new(Audience::One);
    for ms in 0..2 * WINDOW as u64 {
        let (first, second) = (script.send(ms), script.send(ms));
        assert_eq!(script.answer(second, 1, ms), in_time(0, true, false));
        assert_eq!(script.answer(first, 1, ms), in_time(0, true, true));
        for sequence in [first, second] {
            assert!(matches!(script.answer(sequence, 1, ms), Verdict::Duplicate { .. }));
        }
    }
}

#[test]
fn hosts_beyond_the_table_are_counted_and_take_no_memory() {
    let mut script = Script::new(Audience::Many);
    script.send(0);
    let now = script.at(1);
    for port in 0..HOSTS_MAX as u16 + 100 {
        script.account.received(1, SocketAddr::from(([10, 0, 0, 1], port)), now);
    }
    let summary = script.account.summary();
    assert_eq!((summary.hosts.len(), summary.crowded), (HOSTS_MAX, 100));
    assert!(summary.to_string().lines().count() < 30, "the text names a screenful");
}

#[test]
fn equal_contents_are_answered_in_order_and_those_in_time_first() {
    let (mut script, mut contents) = (Script::new(Audience::One), Contents::default());
    for (ms, text) in [(0, "same"), (50, "other"), (60, "same"), (70, "same")] {
        script.send(ms);
        contents.sent(text.as_bytes());
    }
    let mut came = |text: &str, ms| {
        let now = script.at(ms);
        let found = contents.find(&script.account, text.as_bytes(), host(1), now);
        found.map(|sequence| (sequence, script.account.received(sequence, host(1), now)))
    };
    let late = Verdict::Late { rtt: Duration::from_millis(113) };
    let again = Verdict::Duplicate { rtt: Duration::from_millis(114) };
    assert_eq!(came("nothing", 80), None);
    assert_eq!(came("same", 110), Some((3, in_time(50, true, false))), "1 is overdue");
    assert_eq!(came("same", 111), Some((4, in_time(41, true, false))));
    assert_eq!(came("other", 112), Some((2, in_time(62, true, true))));
    assert_eq!(came("same", 113), Some((1, late)));
    assert_eq!(came("same", 114), Some((1, again)));
}

#[test]
fn the_text_ends_like_ping() {
    let mut script = Script::new(Audience::One);
    (0..3).for_each(|ms| assert_eq!(script.send(ms), ms + 1));
    script.answer(1, 1, 1);
    script.answer(2, 1, 2);
    script.lost(200);
    assert_eq!(
        script.account.summary().to_string(),
        "3 sent, 2 received, 1 lost (33.3 %), 0 late, 0 reordered, 0 duplicates\n\
         round trip min/median/p99/max/mean 1.000/1.000/1.000/1.000/1.000 ms, jitter 0.000 ms\n"
    );
}
