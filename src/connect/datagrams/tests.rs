//! The datagram client without sockets: floods, and a stdout that takes nothing.

use super::*;
use crate::handler::Hit;

fn screen(terminal: bool) -> Screen {
    let options = crate::connect::Options {
        stdout_is_terminal: terminal,
        ..crate::connect::Options::default_for_tests()
    };
    Screen::new(&options, &crate::log_queue::LogQueue::new())
}

const CONSOLE: PeerId = PeerId { serial: 0, slot: 0 };

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, host], 7))
}

fn client(audience: Audience, pings: Option<PingOptions>, now: Instant) -> DatagramClient {
    let timeout = Duration::from_secs(1);
    let options = ProbeOptions { audience, timeout, rtt: false, pings };
    let mut client = DatagramClient::new(at(1), &options, screen(false), 7);
    client.opened(CONSOLE, Origin::Console, now);
    client
}

fn came(client: &mut DatagramClient, from: SocketAddr, bytes: &[u8], now: Instant) {
    client.datagram(Datagram { socket: 0, from, to: None, hit: Hit::Own, bytes }, now);
}

fn pending(client: &mut DatagramClient) -> Vec<u8> {
    let mut slices = Slices::new();
    client.pending(CONSOLE, &mut slices);
    slices.runs().iter().flat_map(|run| run.to_vec()).collect()
}

fn sent(client: &mut DatagramClient) -> Vec<Vec<u8>> {
    let actions = std::iter::from_fn(|| client.next_action(Instant::now()));
    actions
        .filter_map(|action| match action {
            Action::SendTo { bytes, .. } => Some(bytes),
            _ => None,
        })
        .collect()
}

#[test]
fn a_server_that_sends_on_and_on_fills_no_memory_while_stdout_is_stopped() {
    let now = Instant::now();
    let mut client = client(Audience::One, None, now);
    client.received(CONSOLE, b"hello\n", 0, now);
    for _ in 0..1_000 {
        came(&mut client, at(1), &[0; 10_000], now);
    }
    assert_eq!((pending(&mut client).len() / 10_000, client.unshown), (7, 993));
    assert_eq!(client.account.summary().unmatched, 1_000);
}

#[test]
fn thousands_of_answers_to_a_broadcast_fill_no_memory_and_none_is_lost_silently() {
    let now = Instant::now();
    let pings = PingOptions { count: Some(1), interval: Duration::ZERO, size: 56, json: None };
    let mut client = client(Audience::Many, Some(pings), now);
    let ping = sent(&mut client).remove(0);
    for port in 1..=5_000 {
        came(&mut client, SocketAddr::from(([127, 0, 0, 1], port)), &ping, now);
    }
    let shown = pending(&mut client);
    assert!(shown.len() < 2 * 65_536, "{} bytes", shown.len());
    let summary = client.account.summary();
    assert_eq!((summary.received, summary.answers, summary.crowded), (1, 1_024, 3_976));
    let shown = shown.iter().filter(|&&byte| byte == b'\n').count() as u64;
    assert_eq!(shown + client.unshown, 1_024);
}

#[test]
fn strangers_are_not_looked_at_but_counted_unless_anybody_may_answer() {
    let now = Instant::now();
    for (audience, ignored, answers) in [(Audience::One, 1, 1), (Audience::Many, 0, 2)] {
        let mut client = client(audience, None, now);
        client.received(CONSOLE, b"hello\n", 0, now);
        came(&mut client, at(2), b"hello", now);
        came(&mut client, at(1), b"hello", now);
        assert_eq!((client.ignored, client.account.summary().answers), (ignored, answers));
    }
}

#[test]
fn a_file_on_stdin_waits_for_its_echoes() {
    let now = Instant::now();
    let mut client = client(Audience::One, None, now);
    let taken = client.received(CONSOLE, &b"line\n".repeat(100), 0, now);
    assert_eq!((taken.consumed, taken.hold), (5 * UNANSWERED_MAX, true));
    assert!(!client.reads(CONSOLE, now));
    came(&mut client, at(1), b"line", now);
    assert!(client.reads(CONSOLE, now));
}

#[test]
fn an_echo_in_a_pipe_is_the_very_bytes_and_on_a_terminal_its_time_follows() {
    let now = Instant::now();
    for (terminal, rtt, shown) in [
        (false, false, &b"a\x1b[2J\n"[..]),
        (false, true, b"3.000\t127.0.0.1:7\ta\x1b[2J\n"),
        (true, false, b"a\\x1b[2J  3.000 ms\n"),
    ] {
        let timeout = Duration::from_secs(1);
        let options = ProbeOptions { audience: Audience::One, timeout, rtt, pings: None };
        let mut client = DatagramClient::new(at(1), &options, screen(terminal), 7);
        client.opened(CONSOLE, Origin::Console, now);
        client.received(CONSOLE, b"a\x1b[2J\n", 0, now);
        came(&mut client, at(1), b"a\x1b[2J", now + Duration::from_millis(3));
        assert_eq!(String::from_utf8_lossy(&pending(&mut client)), String::from_utf8_lossy(shown));
    }
}
