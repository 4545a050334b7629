//! Crowds and slow readers.

use crate::support::{Peer, Program, WITHIN, skip};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::Signal;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What is said while a reader sleeps: more than the log and the kernel's buffers hold together
/// (1 MiB; up to 4 MiB to send and what the reader's side takes).
const FLOOD_LINES: usize = 10_000;
const FLOOD_LINE_BYTES: usize = 1_000;

/// A peer whose receive buffer is small, so that it is behind soon.
fn slow(at: SocketAddr) -> Peer {
    let peer = Peer::connect(at);
    set_socket_recv_buffer_size(&peer.stream, 64 * 1024).unwrap();
    peer
}

/// Says the flood, and what it was read as by a peer that keeps up.
fn flood(talker: &mut Peer, reader: &mut Peer, prefix: &str) {
    let filler = "x".repeat(FLOOD_LINE_BYTES);
    for block in 0..FLOOD_LINES / 50 {
        let numbers = block * 50..(block + 1) * 50;
        let lines: String = numbers.clone().map(|n| format!("{n} {filler}\n")).collect();
        talker.say(lines);
        for n in numbers {
            reader.expect_line(format!("{prefix}{n} {filler}"));
        }
    }
}

#[test]
fn in_chat_a_slow_reader_gets_a_receipt_for_exactly_what_it_missed() {
    let server = Program::start(&["serve", "--tcp", "127.0.0.1:0", "--console", "off"]);
    let mut slow = slow(server.tcp());
    slow.greeted();
    let mut reader = Peer::join(server.tcp());
    let mut talker = Peer::join(server.tcp());
    reader.expect_line(format!("* {} joined", talker.name));
    let prefix = format!("<{}> ", talker.name);
    flood(&mut talker, &mut reader, &prefix);
    talker.say("the end\n");
    reader.expect_line(format!("{prefix}the end"));

    slow.expect_line(format!("* {} joined", reader.name));
    slow.expect_line(format!("* {} joined", talker.name));
    let (mut next, mut missed) = (0, 0);
    loop {
        let line = slow.line();
        if let Some(said) = line.strip_prefix(&prefix) {
            if said == "the end" {
                break;
            }
            let (number, rest) = said.split_once(' ').unwrap();
            assert_eq!(number, next.to_string(), "in order, once, and no gap without a receipt");
            assert_eq!(rest.len(), FLOOD_LINE_BYTES);
            next += 1;
        } else {
            let receipt = line.strip_prefix("* you missed ").unwrap_or_else(|| panic!("{line}"));
            let count = receipt.strip_suffix(" messages: reading too slowly").expect(receipt);
            let count: usize = count.parse().unwrap();
            missed += count;
            next += count;
        }
    }
    assert_eq!(next, FLOOD_LINES);
    assert!(missed > 0, "it kept up: the test says nothing");
}

#[test]
fn in_lines_and_raw_a_slow_reader_is_closed_after_a_gapless_prefix() {
    for protocol in ["lines", "raw"] {
        let args = ["-v", "serve", "--tcp", "127.0.0.1:0", "--protocol", protocol];
        let server = Program::start(&[&args[..], &["--console", "off"]].concat());
        let mut slow = slow(server.tcp());
        server.err.wait_for("opened #1");
        let mut reader = Peer::connect(server.tcp());
        server.err.wait_for("opened #2");
        let mut talker = Peer::connect(server.tcp());
        flood(&mut talker, &mut reader, "");
        server.err.wait_for("closed #1: "); // after which nothing more is added to its prefix
        let told = server.err.text();
        assert!(told.contains("WARN"), "{told}");
        let mut prefix = Vec::new();
        loop {
            match slow.line() {
                line if line.is_empty() => break,
                line => prefix.push(line),
            }
        }
        let cut = prefix.pop().expect("something came");
        for (n, line) in prefix.iter().enumerate() {
            assert_eq!(line, &format!("{n} {}", "x".repeat(FLOOD_LINE_BYTES)));
        }
        let whole = format!("{} {}", prefix.len(), "x".repeat(FLOOD_LINE_BYTES));
        assert!(whole.starts_with(&cut), "the end cuts the last line at most");
        assert!(prefix.len() < FLOOD_LINES, "it kept up: the test says nothing");
    }
}

/// Hears until a line ends so.
fn hear_until(reader: &mut Peer, end: &str) {
    while !reader.line().ends_with(end) {}
}

/// Less than the log holds, so that nobody falls behind it, and more than the send buffer and the
/// reader's side hide.
#[test]
fn who_stops_reading_is_closed_after_the_stall_timeout_and_the_others_go_on() {
    for protocol in ["chat", "lines", "raw"] {
        let args = ["-v", "serve", "--tcp", "127.0.0.1:0", "--console", "off"];
        let limits = ["--protocol", protocol, "--stall-timeout", "300ms"];
        let server = Program::start(&[&args[..], &limits].concat());
        let mut stopped = slow(server.tcp());
        server.err.wait_for("opened #1");
        let mut reader = Peer::connect(server.tcp());
        server.err.wait_for("opened #2");
        let mut talker = Peer::connect(server.tcp());
        let begun = Instant::now();
        talker.say(format!("{}\n", "x".repeat(FLOOD_LINE_BYTES)).repeat(700) + "so far\n");
        hear_until(&mut reader, "so far");
        let told = server.err.wait_for("closed #1: ");
        assert!(told.ends_with("closed #1: took nothing of what was pending in time"), "{told}");
        assert!(told.contains("WARN"), "{told}");
        assert!(begun.elapsed() >= Duration::from_millis(300));
        talker.say("and on\n");
        hear_until(&mut reader, "and on");
        while stopped.receive() > 0 {} // what was on its way, then the end
        assert!(!server.err.text().contains("closed #2"));
    }
}

/// Slower than what is said, all the time: two that stop, one after the other, are the clock.
#[test]
fn who_reads_a_little_now_and_then_is_not_closed() {
    let server = Program::start(
        &[&["serve", "--tcp", "127.0.0.1:0", "--console", "off"][..], &["--stall-timeout", "1s"]]
            .concat(),
    );
    let mut slow_one = slow(server.tcp());
    slow_one.greeted(); // and in the loop what comes is dropped
    let mut reader = Peer::join(server.tcp());
    let mut talker = Peer::join(server.tcp());
    let lines = format!("{}\n", "x".repeat(FLOOD_LINE_BYTES)).repeat(40);
    let mut buffer = [0; 16 * 1024];
    for stopped in ["#4", "#5"] {
        let _stopped = slow(server.tcp());
        let closed = format!("closed {stopped}: took nothing");
        let deadline = Instant::now() + WITHIN;
        while !server.err.text().contains(&closed) {
            assert!(Instant::now() < deadline, "{closed}: {}", server.err.text());
            talker.say(format!("{lines}so far\n"));
            hear_until(&mut reader, "so far");
            let n = slow_one.stream.read(&mut buffer).expect("it is not closed");
            assert_ne!(n, 0, "it is not closed");
        }
    }
    let told = server.err.text();
    assert!(!told.contains("closed #1"), "{told}");
}

#[test]
fn past_the_total_of_all_buffers_somebody_goes_and_the_others_go_on() {
    let args = ["serve", "--tcp", "127.0.0.1:0", "--console", "off", "--buffers-total", "512KiB"];
    let server = Program::start(&args);
    let mut reader = Peer::join(server.tcp());
    let mut talker = Peer::join(server.tcp());
    let hoard = |_| {
        let mut peer = Peer::join(server.tcp());
        peer.say("x".repeat(60_000)); // a line that does not end
        peer
    };
    let _hoarders: Vec<Peer> = (0..12).map(hoard).collect();
    let told = server.err.wait_for(": all buffers together are full");
    assert!(told.contains("WARN") && told.contains("closed #"), "{told}");
    assert!(!told.contains("closed #1:") && !told.contains("closed #2:"), "{told}");
    talker.say("and on\n");
    hear_until(&mut reader, "and on");
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    for (flag, value, why) in [
        ("--stall-timeout", "0s", "--stall-timeout: longer than 0"),
        ("--buffers-total", "1KiB", "--buffers-total 1KiB: at least 262144 bytes"),
        ("--send-buffer", "2GiB", "--send-buffer 2GiB: at most 1GiB"),
    ] {
        Program::start(&["serve", "--tcp", "127.0.0.1:0", flag, value]).expect_failure(2, why);
    }
}

/// While the server stands still, all of them wait in its listen backlog.
#[test]
fn five_hundred_that_connect_at_once_are_all_greeted() {
    const CROWD: usize = 500;
    let (_, descriptors) = reactor::os::limit::raise_descriptor_limit();
    if descriptors < CROWD as u64 + 300 {
        return skip("the descriptor limit is too low for 500 peers");
    }
    let server = Program::start(&["serve", "--tcp", "127.0.0.1:0", "--console", "off"]);
    let at = server.tcp();
    let backlog = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    let backlog = backlog.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(128);
    let stands_still = backlog >= CROWD;
    if stands_still {
        server.signal(Signal::STOP);
    } else {
        skip("the system's listen backlog is below 500: connecting to a running server instead");
    }
    let connect =
        |_| Peer::of(TcpStream::connect_timeout(&at, WITHIN).expect("the backlog takes it"));
    let mut peers: Vec<Peer> = (0..CROWD).map(connect).collect();
    if stands_still {
        server.signal(Signal::CONT);
    }
    let mut serials: Vec<u64> = Vec::new();
    for peer in &mut peers {
        peer.greeted();
        serials.push(peer.name.strip_prefix("guest").unwrap().parse().unwrap());
    }
    serials.sort_unstable();
    assert_eq!(serials, (1..=CROWD as u64).collect::<Vec<_>>());
    let mut last = Peer::join(at);
    last.say("to all of you\n");
    for peer in &mut peers {
        let heard = loop {
            let line = peer.line();
            if !line.starts_with("* ") {
                break line;
            }
        };
        assert_eq!(heard, format!("<{}> to all of you", last.name));
    }
}

/// The limit on descriptors is the server's alone: the shell lowers it.
#[test]
fn where_descriptors_run_out_it_goes_on_and_serves_who_waits_when_some_are_free() {
    let mut shell = std::process::Command::new("sh");
    let line = "ulimit -n 24 && exec \"$0\" serve --tcp 127.0.0.1:0 --console off";
    shell.args(["-c", line, env!("CARGO_BIN_EXE_reactor")]);
    shell.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let server = Program::spawn(shell);
    let at = server.tcp();
    let mut peers: Vec<Peer> = (0..30).map(|_| Peer::connect(at)).collect();
    server.err.wait_for("accept: Too many open files");
    peers[0].greeted();
    let mut last = peers.pop().unwrap();
    while let Some(peer) = peers.pop() {
        drop(peer);
    }
    last.greeted();
}

#[test]
fn a_talker_that_never_stops_does_not_keep_a_quiet_one_from_being_heard() {
    let server = Program::serve(&["--protocol", "lines", "--slow", "pause"]); // nobody is cut for lagging
    let mut quiet = Peer::connect(server.tcp());
    let mut reader = Peer::connect(server.tcp());
    server.err.wait_for("opened #2");
    let loud = TcpStream::connect(server.tcp()).unwrap();
    let mut writer = loud.try_clone().unwrap();
    let talking = std::thread::spawn(move || {
        let block = [b"x".repeat(1_000), b"\n".to_vec()].concat().repeat(60);
        while std::io::Write::write_all(&mut writer, &block).is_ok() {}
    });
    let drain = quiet.stream.try_clone().unwrap();
    let drained = std::thread::spawn(move || std::io::copy(&mut &drain, &mut std::io::sink()));
    while !reader.line().starts_with('x') {}
    quiet.say("quiet\n");
    while reader.line() != "quiet" {}
    loud.shutdown(std::net::Shutdown::Both).unwrap();
    talking.join().unwrap();
    quiet.stream.shutdown(std::net::Shutdown::Both).unwrap();
    let _ = drained.join().unwrap();
}
