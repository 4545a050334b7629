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
        assert!(server.out.all().ends_with("* the server is stopping\n"), "the console too");
    }
}

#[test]
fn in_lines_and_raw_nothing_is_told() {
    for protocol in ["lines", "raw"] {
        let mut server = Program::relay(protocol);
        let mut peer = Peer::connect(server.tcp());
        server.err.wait_for("opened #1");
        server.signal(Signal::TERM);
        peer.expect_end();
        drop(peer);
        assert_eq!(server.exit(), 0);
    }
}

/// Four times what a room takes in at once, so that talkers are held while the stop is under way. The
/// notice may come before their lines; none is lost.
#[test]
fn what_has_arrived_reaches_everybody_before_the_end() {
    const TALKERS: usize = 20;
    const LINES: usize = 80;
    let mut server = Program::start(&["serve", "--tcp", "127.0.0.1:0", "--console", "off"]);
    let mut reader = Peer::join(server.tcp());
    let mut talkers: Vec<Peer> = (0..TALKERS).map(|_| Peer::join(server.tcp())).collect();
    let text = "x".repeat(500);
    let line = |n| format!("{n} {text}\n");
    server.signal(Signal::STOP); // so that all of it waits in the kernel
    for talker in &mut talkers {
        talker.say((0..LINES).map(line).collect::<String>());
    }
    server.signal(Signal::TERM);
    server.signal(Signal::CONT);
    let mut heard = vec![0; TALKERS];
    let mut notices = 0;
    for _ in 0..TALKERS + TALKERS * LINES + 1 {
        let line = reader.line();
        let Some(author) = talkers.iter().position(|t| line.starts_with(&format!("<{}>", t.name)))
        else {
            notices += usize::from(line == "* the server is stopping");
            continue;
        };
        let said = format!("<{}> {} {text}", talkers[author].name, heard[author]);
        assert_eq!(line, said, "in order and once");
        heard[author] += 1;
    }
    assert_eq!((heard, notices), (vec![LINES; TALKERS], 1));
    reader.expect_end();
    drop((reader, talkers));
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

/// What a reader has not taken when the server's process is gone is in the kernel still, and the FIN
/// stands behind it: no reset destroys it.
#[test]
fn who_reads_slowly_gets_every_byte_and_then_the_end_though_it_talks_too() {
    let args = ["serve", "--tcp", "127.0.0.1:0", "--console", "off", "--send-buffer", "256KiB"];
    let mut server = Program::start(&args);
    let mut slow = Peer::join(server.tcp());
    // So that most of it waits in the server's kernel, which a reset would empty.
    rustix::net::sockopt::set_socket_recv_buffer_size(&slow.stream, 4096).unwrap();
    let mut talker = Peer::join(server.tcp());
    slow.expect_line("* guest2 joined");
    let line = "x".repeat(1_000);
    talker.say((0..100).map(|n| format!("{n} {line}\n")).collect::<String>());
    talker.say("/ping\n");
    talker.expect_line("* pong");
    server.signal(Signal::TERM);
    talker.expect_line("* the server is stopping");
    talker.expect_end();
    slow.say("unread by a server that stops\n");
    for n in 0..100 {
        for byte in format!("<guest2> {n} {line}\n").bytes() {
            slow.expect_bytes([byte]);
        }
    }
    slow.expect_line("* the server is stopping");
    slow.expect_end();
    drop((slow, talker));
    assert_eq!(server.exit(), 0);
}

#[test]
fn who_is_cut_at_the_deadline_is_counted_and_named_and_the_code_is_0() {
    let args = ["serve", "--tcp", "127.0.0.1:0", "--console", "off", "--stop-timeout", "300ms"];
    let mut server = Program::start(&args);
    let mut stuck = Peer::join(server.tcp());
    stuck.say("/nick stuck\n");
    stuck.expect_line("* you are stuck");
    rustix::net::sockopt::set_socket_recv_buffer_size(&stuck.stream, 4096).unwrap();
    let mut reader = Peer::join(server.tcp());
    let mut talker = Peer::join(server.tcp());
    talker.say(format!("{}\n", "x".repeat(1_000)).repeat(900) + "the end\n");
    while reader.line() != "<guest3> the end" {}
    let begun = Instant::now();
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let told = server.err.wait_for("cut at the deadline");
    assert!(told.ends_with("1 cut at the deadline: stuck #1"), "{told}");
}
