//! What takes minutes outside takes none here: who is too slow with a request, and who is kept.

use super::*;
use crate::handler::{Handler, Origin};
use crate::serve::server::{Role, tests::listening};
use crate::stats::Stats;

const PEER: PeerId = PeerId { serial: 3, slot: 0 };

/// A server with one scraper, which came at the moment that is returned.
fn scraped() -> (Server, Instant) {
    let mut server = listening(Role::Metrics, |_| {});
    let start = Instant::now();
    let from = Remote::Ip(([127, 0, 0, 1], 9).into());
    server.opened(PEER, Origin::Accepted { listener: 0, from }, start);
    (server, start)
}

/// What the loop is asked for at a moment.
fn wishes(server: &mut Server, now: Instant) -> Vec<Action> {
    while server.next_deadline().is_some_and(|deadline| deadline <= now) {
        server.expired(now);
    }
    std::iter::from_fn(|| server.next_action(now)).collect()
}

/// What it is sent, all of it at a moment.
fn take(server: &mut Server, now: Instant) -> String {
    assert_eq!(server.next_dirty(), Some(PEER));
    let mut slices = Slices::new();
    server.pending(PEER, &mut slices);
    let bytes: Vec<u8> = slices.runs().iter().flat_map(|run| run.to_vec()).collect();
    server.sent(PEER, bytes.len(), now);
    String::from_utf8(bytes).unwrap()
}

const REQUEST: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn whose_request_does_not_begin_or_does_not_end_is_closed_in_time() {
    let (mut server, start) = scraped();
    assert_eq!(wishes(&mut server, start + REQUEST_WITHIN / 2), []);
    let closed = wishes(&mut server, start + REQUEST_WITHIN);
    assert_eq!(closed, [Action::Close(PEER, CloseReason::Idle)]);
    let (mut server, start) = scraped();
    let begun = start + REQUEST_WITHIN / 2;
    for (end, seen, after) in [(4, 0, 0), (9, 4, 4), (30, 9, 9)] {
        let now = begun + Duration::from_secs(after);
        let taken = server.received(PEER, &REQUEST[..end], seen, now);
        assert_eq!(taken, Taken { consumed: 0, hold: false });
        assert_eq!(wishes(&mut server, now), []);
    }
    let closed = wishes(&mut server, begun + REQUEST_WITHIN);
    assert_eq!(closed, [Action::Close(PEER, CloseReason::LineTimeout)], "a byte is no more time");
}

#[test]
fn who_has_its_answer_is_kept_for_the_next_scrape_and_not_for_ever() {
    let (mut server, start) = scraped();
    let taken = server.received(PEER, REQUEST, 0, start);
    assert_eq!(taken, Taken { consumed: REQUEST.len(), hold: true });
    assert_eq!(wishes(&mut server, start), [Action::Report]);
    assert!(!server.reads(PEER, start), "one request at a time");
    server.reported(&Stats::default());
    assert!(server.buffered() > 5_000, "what it is owed is counted");
    let text = take(&mut server, start);
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n") && text.ends_with("# EOF\n"), "{text}");
    assert_eq!(server.buffered(), 0);
    assert_eq!(wishes(&mut server, start), [Action::Resume(PEER)]);
    let minute = start + Duration::from_secs(60);
    assert_eq!(wishes(&mut server, minute), []);
    server.received(PEER, REQUEST, 0, minute);
    assert_eq!(wishes(&mut server, minute), [Action::Report]);
    server.reported(&Stats::default());
    take(&mut server, minute);
    assert_eq!(wishes(&mut server, minute), [Action::Resume(PEER)]);
    let closed = wishes(&mut server, minute + IDLE_MAX);
    assert_eq!(closed, [Action::Close(PEER, CloseReason::Idle)]);
    server.closed(PEER, CloseReason::Idle, minute + IDLE_MAX);
    assert_eq!((server.scrapers.count(), server.next_deadline()), (0, None));
}

#[test]
fn all_that_ask_in_one_turn_get_one_look_at_the_counters() {
    let (mut server, start) = scraped();
    let other = PeerId { serial: 4, slot: 1 };
    let from = Remote::Ip(([127, 0, 0, 1], 10).into());
    server.opened(other, Origin::Accepted { listener: 0, from }, start);
    server.received(PEER, REQUEST, 0, start);
    server.received(other, REQUEST, 0, start);
    assert_eq!(wishes(&mut server, start), [Action::Report]);
    server.reported(&Stats::default());
    let offered: Vec<PeerId> = std::iter::from_fn(|| server.next_dirty()).collect();
    assert_eq!(offered, [PEER, other]);
}

#[test]
fn who_asks_again_at_once_gets_the_same_text_and_the_counters_are_left_alone() {
    let (mut server, start) = scraped();
    server.received(PEER, REQUEST, 0, start);
    assert_eq!(wishes(&mut server, start), [Action::Report]);
    server.reported(&Stats::default());
    let text = take(&mut server, start);
    let soon = start + TEXT_KEPT - Duration::from_millis(1);
    wishes(&mut server, soon);
    server.received(PEER, REQUEST, 0, soon);
    assert_eq!(take(&mut server, soon), text);
    assert_eq!(wishes(&mut server, soon), [Action::Resume(PEER)], "no look at the counters");
    let later = start + TEXT_KEPT;
    server.received(PEER, REQUEST, 0, later);
    assert_eq!(wishes(&mut server, later), [Action::Report]);
}

#[test]
fn a_head_that_began_behind_a_request_has_no_more_time_than_another() {
    let (mut server, start) = scraped();
    let both = [REQUEST, &REQUEST[..9]].concat();
    let taken = server.received(PEER, &both, 0, start);
    assert_eq!(taken, Taken { consumed: REQUEST.len(), hold: true });
    wishes(&mut server, start);
    server.reported(&Stats::default());
    take(&mut server, start);
    assert_eq!(wishes(&mut server, start), [Action::Resume(PEER)]);
    server.received(PEER, &REQUEST[..9], 9, start);
    let closed = wishes(&mut server, start + REQUEST_WITHIN);
    assert_eq!(closed, [Action::Close(PEER, CloseReason::LineTimeout)]);
}
