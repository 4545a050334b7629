//! The client without sockets: what it asks of the loop, call by call.

use super::*;
use crate::connect::Reconnect;
use crate::handler::{self, Handler, Origin, Screen as Window, Signal, Slices};

const LINK: PeerId = PeerId { serial: 2, slot: 1 };
const CONSOLE: PeerId = PeerId { serial: 1, slot: 0 };

fn options(protocol: Protocol) -> Options {
    Options { protocol, ..Options::default_for_tests() }
}

fn client(options: &Options) -> Client {
    Client::new(options, &LogQueue::new())
}

/// Connected, with a console.
fn connected(options: &Options, now: Instant) -> Client {
    let mut client = Client::new(options, &LogQueue::new());
    client.opened(CONSOLE, Origin::Console, now);
    assert!(matches!(client.next_action(now), Some(Action::Connect { .. })));
    client.opened(LINK, Origin::Dialed, now);
    client
}

fn pending(client: &mut Client, peer: PeerId) -> String {
    let mut slices = Slices::new();
    client.pending(peer, &mut slices);
    slices.runs().iter().map(|run| String::from_utf8_lossy(run).into_owned()).collect()
}

#[test]
fn a_server_that_reads_slowly_makes_it_keep_no_more_than_a_few_reads() {
    let now = Instant::now();
    let mut client = connected(&options(Protocol::Lines), now);
    for _ in 0..1_000 {
        while client.reads(CONSOLE, now) {
            client.received(CONSOLE, &[b'x'; AHEAD_BYTES], 0, now);
        }
        client.sent(LINK, 4_096, now);
        let kept = client.up.capacity();
        assert!(kept <= 8 * AHEAD_BYTES, "{kept} bytes are kept");
    }
}

#[test]
fn a_signal_during_a_dial_tries_no_further_address() {
    let (mut client, now) = (client(&options(Protocol::Lines)), Instant::now());
    assert!(matches!(client.next_action(now), Some(Action::Connect { .. })));
    client.signalled(Signal::Interrupt, now);
    assert!(matches!(client.next_action(now), Some(Action::Stop { .. })));
    client.closed(LINK, CloseReason::Stopping, now);
    assert_eq!(client.next_action(now), None);
}

#[test]
fn a_second_signal_waits_for_nothing() {
    let (mut client, now) = (client(&options(Protocol::Lines)), Instant::now());
    client.next_action(now);
    client.signalled(Signal::Interrupt, now);
    assert_eq!(client.next_action(now), Some(Action::Stop { within: Some(SIGNAL_FLUSH) }));
    client.signalled(Signal::Interrupt, now);
    assert_eq!(client.next_action(now), Some(Action::Stop { within: Some(Duration::ZERO) }));
}

#[test]
fn a_server_that_takes_nothing_is_no_good_end() {
    let now = Instant::now();
    let mut client = connected(&options(Protocol::Lines), now);
    client.closed(LINK, CloseReason::Stalled, now);
    assert!(matches!(client.outcome(), Err(Error::Link(_))));
}

#[test]
fn while_there_is_no_link_stdin_waits_and_its_end_too() {
    let now = Instant::now();
    let reconnect = Some(Reconnect { rounds_max: None, seed: 1 });
    let mut client = connected(&Options { reconnect, ..options(Protocol::Lines) }, now);
    client.closed(LINK, CloseReason::Left, now);
    assert!(!client.reads(CONSOLE, now));
    assert_eq!(client.received(CONSOLE, b"kept\n", 0, now), Taken { consumed: 0, hold: true });
    assert!(!client.ended(CONSOLE, b"", now));
    let due = client.next_deadline().expect("it will dial again");
    client.expired(due);
    assert!(matches!(client.next_action(now), Some(Action::Connect { .. })));
    client.opened(LINK, Origin::Dialed, due);
    assert_eq!(client.next_action(now), Some(Action::Resume(CONSOLE)));
}

#[test]
fn each_link_begins_with_the_secret_and_keeps_it_from_the_transcript_and_the_next_link() {
    let now = Instant::now();
    let reconnect = Some(Reconnect { rounds_max: None, seed: 1 });
    let name = Some("ann".to_owned());
    let mut client = client(&Options { name, reconnect, ..options(Protocol::Chat) });
    client.says_first(Secret::of_text(b"sesame").ok());
    let transcript = PeerId { serial: 9, slot: 9 };
    client.opened(transcript, Origin::Transcript, now);
    client.opened(CONSOLE, Origin::Console, now);
    for at in [now, now + Duration::from_secs(60)] {
        client.expired(at);
        client.opened(LINK, Origin::Dialed, at);
        assert_eq!(pending(&mut client, LINK), "sesame\n/nick ann\n");
        assert!(!pending(&mut client, transcript).contains("sesame"));
        client.sent(LINK, 3, at);
        client.closed(LINK, CloseReason::Left, at);
    }
}

#[test]
fn its_own_pings_go_out_and_their_answers_are_kept_and_not_shown() {
    let now = Instant::now();
    let asks = Options { asks_rtt: true, stdout_is_terminal: true, ..options(Protocol::Chat) };
    let mut client = connected(&asks, now);
    client.received(LINK, b"* you are guest1\n", 0, now);
    client.expired(now);
    assert_eq!(pending(&mut client, LINK), "/ping reactor-rtt-0\n");
    client.sent(LINK, 20, now);
    let later = now + Duration::from_millis(3);
    client.received(LINK, b"* pong: reactor-rtt-0\n<ann> hi\n", 0, later);
    assert_eq!(pending(&mut client, CONSOLE), "* you are guest1\n<ann> hi\n");
    assert_eq!(client.session.rtt(), Some(Duration::from_millis(3)));
}

#[test]
fn the_answer_to_a_ping_that_was_typed_is_shown_with_its_time_at_every_split() {
    let now = Instant::now();
    let answer = b"* you are guest1\n* pong: x\n";
    for at in 0..answer.len() {
        let mut client = connected(&options(Protocol::Chat), now);
        client.received(CONSOLE, b"/ping x\n", 0, now);
        let later = now + Duration::from_micros(1_250);
        client.received(LINK, &answer[..at], 0, later);
        client.received(LINK, &answer[at..], 0, later);
        let shown = pending(&mut client, CONSOLE);
        assert_eq!(shown, "* you are guest1\n* pong: x in 1.2 ms\n", "split at {at}");
    }
}

#[test]
fn keys_wait_while_the_link_is_behind_and_nothing_of_a_paste_is_lost() {
    let now = Instant::now();
    let on_terminal = Options { terminal: true, ..options(Protocol::Lines) };
    let mut client = connected(&Options { stdout_is_terminal: true, ..on_terminal }, now);
    assert_eq!(client.next_action(now), Some(Action::Terminal(true)));
    client.screen(Window::Ours(handler::Window { columns: 80, rows: 24, log: false }));
    let line = "x".repeat(1_000);
    let pasted: String = (0..500).map(|n| format!("{n} {line}\r")).collect();
    let (mut rest, mut sent) = (pasted.as_bytes(), String::new());
    let mut waits = 0;
    while !rest.is_empty() {
        let Taken { consumed, hold } = client.received(CONSOLE, rest, 0, now);
        rest = &rest[consumed..];
        assert_eq!(hold, !rest.is_empty());
        assert!(client.up.len() <= 2 * AHEAD_BYTES, "{} bytes wait", client.up.len());
        waits += u32::from(hold);
        for peer in [LINK, CONSOLE] {
            let taken = pending(&mut client, peer);
            client.sent(peer, taken.len(), now);
            sent.push_str(if peer == LINK { &taken } else { "" });
        }
        let resumed = std::iter::from_fn(|| client.next_action(now)).any(|action| {
            assert_eq!(action, Action::Resume(CONSOLE));
            true
        });
        assert_eq!(resumed, hold);
    }
    assert!(waits > 2, "{waits}");
    assert!(sent == pasted.replace('\r', "\n"), "all of it, in order");
}

#[test]
fn without_a_link_a_line_that_was_entered_stays_and_goes_out_on_the_next() {
    let now = Instant::now();
    let reconnect = Some(Reconnect { rounds_max: None, seed: 1 });
    let on_terminal =
        Options { terminal: true, stdout_is_terminal: true, ..options(Protocol::Chat) };
    let mut client = connected(&Options { reconnect, ..on_terminal }, now);
    client.closed(LINK, CloseReason::Left, now);
    assert!(client.reads(CONSOLE, now), "the line can be edited");
    let typed = client.received(CONSOLE, b"/ignore bob\rline\rnext\r\x04", 0, now);
    assert_eq!(typed, Taken { consumed: 16, hold: true });
    let due = client.next_deadline().expect("it will dial again");
    client.expired(due);
    client.opened(LINK, Origin::Dialed, due);
    let typed = client.received(CONSOLE, b"\rnext\r\x04", 0, due);
    assert_eq!(typed, Taken { consumed: 7, hold: true });
    assert_eq!(pending(&mut client, LINK), "line\nnext\n");
    assert!(client.actions.contains(&Action::HalfClose(LINK)), "Ctrl-D, by the rule of --eof");
}
