//! How a server ends: told to the peers, flushed, exit code 0; at once on a second signal.

use crate::support::{Peer, Program};
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[test]
fn a_signal_is_told_in_chat_and_ends_it_with_code_0() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut server = Program::chat();
        let mut peers = [Peer::join(server.tcp()), Peer::join(server.tcp())];
        let name = peers[1].name.clone();
        peers[0].expect_line(format!("* {name} joined"));
        server.signal(signal);
        for peer in &mut peers {
            peer.expect_line("* the server is stopping");
            peer.expect_end();
        }
        drop(peers);
        assert_eq!(server.exit(), 0, "{signal:?}");
        assert!(server.out.text().ends_with("* the server is stopping\n"), "the console too");
    }
}

#[test]
fn in_lines_and_raw_nothing_is_told() {
    for protocol in ["lines", "raw"] {
        let mut server = Program::relay(protocol);
        let mut peer = Peer::connect(server.tcp());
        server.err.wait_for("opened #2");
        server.signal(Signal::TERM);
        peer.expect_end();
        drop(peer);
        assert_eq!(server.exit(), 0);
    }
}

/// The notice may come before lines that were on their way when the signal came; none is lost.
#[test]
fn what_has_arrived_reaches_a_slow_reader_before_the_end() {
    let mut server = Program::start(&["serve", "--tcp", "127.0.0.1:0", "--console", "off"]);
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", two.name));
    // Less than the log holds, so that nobody falls behind; more than one send takes.
    let text = "x".repeat(500);
    let lines: String = (0..1_000).map(|n| format!("{n:04} {text}\n")).collect();
    two.say(lines);
    server.signal(Signal::TERM);
    let mut heard: Vec<String> = (0..1_001).map(|_| one.line()).collect();
    one.expect_end();
    let notice = heard.iter().position(|line| line == "* the server is stopping");
    heard.remove(notice.expect("the stop is told"));
    for (n, line) in heard.iter().enumerate() {
        assert_eq!(line, &format!("<{}> {n:04} {text}", two.name));
    }
    drop((one, two));
    assert_eq!(server.exit(), 0);
}

#[test]
fn a_stopping_server_accepts_nobody() {
    let server = Program::start(&["-v", "serve", "--tcp", "127.0.0.88:0"]);
    let at = server.tcp();
    let mut peer = Peer::join(at);
    server.signal(Signal::TERM);
    peer.expect_line("* the server is stopping");
    peer.expect_end(); // it waits for our end now
    let refused = std::net::TcpStream::connect(at).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

/// A peer that does not end its side keeps a stop waiting for two seconds, one that takes nothing
/// for five; the second signal waits for nobody.
#[test]
fn a_second_signal_leaves_at_once() {
    let within = Duration::from_millis(1_500);
    let took = || {
        let mut server = Program::start(&["-v", "serve", "--tcp", "127.0.0.1:0"]);
        let _silent = Peer::join(server.tcp());
        let begun = Instant::now();
        server.signal(Signal::TERM);
        server.err.wait_for("stopping: SIGTERM");
        server.signal(Signal::INT);
        assert_eq!(server.exit(), 0);
        begun.elapsed()
    };
    // A busy machine may make one attempt slow, not each.
    assert!((0..3).any(|_| took() < within), "each took {within:?} or more");
}

#[test]
fn quit_ends_like_a_signal() {
    let mut server = Program::chat();
    let mut peer = Peer::join(server.tcp());
    server.type_in("/quit\n");
    peer.expect_line("* the server is stopping");
    peer.expect_end();
    drop(peer);
    assert_eq!(server.exit(), 0);
}
