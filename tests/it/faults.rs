//! Faults of the machine and of single peers: nothing of it stops the server or reaches another
//! peer. What no real machine does on demand is in the simulation; docs/FAULTS.md has the list.

use crate::support::{Peer, Program, WITHIN, command, descriptors, hear_pong, resident, skip};
use rustix::process::Signal;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Waits until `what` holds while the witness keeps the server turning.
fn until(witness: &mut Peer, what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + WITHIN;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        hear_pong(witness);
    }
}

#[test]
fn signals_by_the_thousand_stop_nothing() {
    let server = Program::serve(&["--console", "off"]);
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line("* guest2 joined");
    for n in 0..5_000 {
        server.signal(Signal::CONT);
        if n % 50 == 0 {
            one.say(format!("{n}\n"));
        }
    }
    for n in (0..5_000).step_by(50) {
        two.expect_line(format!("<guest1> {n}"));
    }
}

#[test]
fn who_was_stopped_and_continued_has_lost_nothing() {
    let server = Program::serve(&["--console", "off", "--line-timeout", "2s"]);
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line("* guest2 joined");
    let mut said = 0;
    for _ in 0..20 {
        server.signal(Signal::STOP);
        for _ in 0..10 {
            one.say(format!("{said}\n"));
            said += 1;
        }
        server.signal(Signal::CONT);
    }
    for n in 0..said {
        two.expect_line(format!("<guest1> {n}"));
    }
}

/// Each log line fails with ENOSPC there.
#[test]
fn a_full_disk_under_stderr_stops_nothing() {
    let at = free_port();
    let mut command = command(&["-vv", "serve", "--tcp", &at, "--console", "off"]);
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return skip("no /dev/full");
    };
    command.stderr(full).stdin(Stdio::null());
    talk_to(command.spawn().unwrap(), &at);
}

#[test]
fn a_stderr_that_is_closed_at_the_other_end_stops_nothing() {
    let at = free_port();
    let mut command = command(&["-vv", "serve", "--tcp", &at, "--console", "off"]);
    let (read, write) = crate::support::pipe();
    command.stderr(write).stdin(Stdio::null());
    let child = command.spawn().unwrap();
    drop((read, command));
    talk_to(child, &at);
}

#[test]
fn a_stderr_that_was_closed_before_the_start_stops_nothing() {
    let at = free_port();
    let mut shell = std::process::Command::new("sh");
    let line = "exec \"$0\" -vv serve --tcp \"$1\" --console off 2>&-";
    shell.args(["-c", line, env!("CARGO_BIN_EXE_reactor"), &at]).stdin(Stdio::null());
    talk_to(shell.spawn().unwrap(), &at);
}

/// An address that nobody else asks for: for a server whose stderr cannot tell where it listens.
fn free_port() -> String {
    let taken = std::net::TcpListener::bind("127.0.0.77:0").unwrap();
    taken.local_addr().unwrap().to_string()
}

/// A hundred lines go through, then SIGTERM ends it with code 0. Nothing tells that it listens, so
/// the dial is repeated.
fn talk_to(mut child: std::process::Child, at: &str) {
    let at = at.parse().unwrap();
    let deadline = Instant::now() + WITHIN;
    let stream = loop {
        match TcpStream::connect_timeout(&at, WITHIN) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{at}: {error}"),
        }
        std::thread::yield_now();
    };
    let mut one = Peer::of(stream);
    one.greeted();
    let mut two = Peer::join(at);
    one.expect_line(format!("* {} joined", two.name));
    for n in 0..100 {
        one.say(format!("{n}\n"));
        two.expect_line(format!("<{}> {n}", one.name));
    }
    drop((one, two));
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// At every byte of a line, and of two lines: before, in the middle, behind.
#[test]
fn a_reset_at_any_byte_is_nobody_elses_affair_and_half_a_line_is_never_heard() {
    let server = Program::serve(&["--console", "off"]);
    let mut witness = Peer::join(server.tcp());
    let all = b"one line\nand another\n";
    for cut in 0..=all.len() {
        let mut peer = Peer::join(server.tcp());
        let name = peer.name.clone();
        witness.expect_line(format!("* {name} joined"));
        peer.say(&all[..cut]);
        // Unread input at close makes the kernel send RST.
        witness.say("unread\n");
        rustix::event::poll(
            &mut [rustix::event::PollFd::new(&peer.stream, rustix::event::PollFlags::IN)],
            Some(&rustix::event::Timespec::try_from(WITHIN).unwrap()),
        )
        .unwrap();
        drop(peer);
        let mut heard = Vec::new();
        loop {
            match witness.line() {
                line if line == format!("* {name} left") => break,
                line => heard.push(line),
            }
        }
        let whole = all[..cut].iter().filter(|&&byte| byte == b'\n').count();
        let lines = [format!("<{name}> one line"), format!("<{name}> and another")];
        // A reset may take lines with it that were not read yet, never a part of one.
        assert!(lines[..whole].starts_with(&heard), "cut at {cut}: {heard:?}");
    }
}

#[test]
fn who_half_closes_still_hears_what_was_said_before_and_is_let_go() {
    let server = Program::serve(&["--console", "off", "--history", "0"]);
    let mut witness = Peer::join(server.tcp());
    for _ in 0..20 {
        let mut peer = Peer::join(server.tcp());
        witness.expect_line(format!("* {} joined", peer.name));
        peer.say("last words");
        peer.stream.shutdown(Shutdown::Write).unwrap();
        witness.expect_line(format!("<{}> last words", peer.name));
        witness.expect_line(format!("* {} left", peer.name));
        while peer.receive() > 0 {} // what was told of it, then the end
    }
}

/// 64 MiB stand for a gigabyte: the bound is one line and one read, far below both.
#[test]
fn megabytes_without_a_newline_cost_a_line_and_close_their_sender() {
    let server = Program::serve(&["--console", "off"]);
    let mut witness = Peer::join(server.tcp());
    let Some(before) = resident(server.id()) else { return skip("no /proc/PID/status") };
    let mut flood = TcpStream::connect(server.tcp()).unwrap();
    let block = vec![b'x'; 1024 * 1024];
    let sent = (0..64).take_while(|_| flood.write_all(&block).is_ok()).count();
    assert!(sent < 64, "the server took 64 MiB of one line");
    server.err.wait_for("closed #2: line too long");
    hear_pong(&mut witness);
    let grown = resident(server.id()).unwrap().saturating_sub(before);
    assert!(grown < 4 * 1024 * 1024, "{grown} bytes");
}

#[test]
fn ten_thousand_empty_lines_and_lone_carriage_returns_say_nothing() {
    let server = Program::serve(&["--console", "off"]);
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line("* guest2 joined");
    one.say("\n".repeat(10_000));
    one.say("\r\n".repeat(10_000));
    one.say("heard\n");
    two.expect_line("<guest1> heard");
    one.say(format!("{}\n", "\r".repeat(100))); // the last of them belongs to the line's end
    two.expect_line(format!("<guest1> {}", "\\x0d".repeat(99)));
}

#[test]
fn every_byte_value_is_one_line_on_the_other_side_in_chat_and_itself_in_lines() {
    for protocol in ["chat", "lines"] {
        let server = Program::serve(&["--console", "off", "--protocol", protocol]);
        let mut one = Peer::connect(server.tcp());
        server.err.wait_for("opened #1");
        let mut two = Peer::connect(server.tcp());
        server.err.wait_for("opened #2");
        if protocol == "chat" {
            one.greeted();
            two.greeted();
            one.expect_line("* guest2 joined");
        }
        for byte in (0..=255u8).filter(|&byte| byte != b'\n') {
            let line = [b"a", &[byte][..], b"z\n"].concat();
            one.say(&line);
            if protocol == "lines" {
                two.expect_bytes(&line);
                continue;
            }
            let heard = two.line();
            let text = heard.strip_prefix("<guest1> a").and_then(|text| text.strip_suffix('z'));
            let text = text.unwrap_or_else(|| panic!("{byte:#04x}: {heard:?}"));
            let visible = text.chars().all(|c| c == '\t' || !c.is_control());
            assert!(visible && !text.is_empty(), "{byte:#04x}: {heard:?}");
        }
    }
}

#[test]
fn after_a_crowd_has_come_and_gone_its_descriptors_are_those_of_the_start() {
    let server = Program::serve(&["--console", "off"]);
    let mut witness = Peer::join(server.tcp());
    let Some(before) = descriptors(server.id()) else { return skip("no /proc/PID/fd") };
    for round in 0..5 {
        let mut crowd: Vec<Peer> = (0..40).map(|_| Peer::connect(server.tcp())).collect();
        for (n, peer) in crowd.iter_mut().enumerate() {
            match (n + round) % 4 {
                0 => {} // gone before its greeting
                1 => peer.say("half a line"),
                2 => peer.end_output(),
                _ => peer.say("/quit\n"),
            }
        }
        drop(crowd);
        until(&mut witness, "the descriptors are free again", || {
            descriptors(server.id()) == Some(before)
        });
    }
}

/// The limit is the server's alone: the shell lowers it. One warning a second at most, and who is
/// there goes on, datagrams included.
#[test]
fn while_descriptors_are_out_peers_and_datagrams_go_on_and_the_loop_does_not_spin() {
    let mut shell = std::process::Command::new("sh");
    let line =
        "ulimit -n 24 && exec \"$0\" serve --tcp 127.0.0.1:0 --udp 127.0.0.1:0 --console off";
    shell.args(["-c", line, env!("CARGO_BIN_EXE_reactor")]);
    shell.stdin(Stdio::null()).stderr(Stdio::piped());
    let server = Program::spawn(shell);
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line("* guest2 joined");
    let _waiting: Vec<TcpStream> =
        (0..30).map(|_| TcpStream::connect(server.tcp()).unwrap()).collect();
    server.err.wait_for("accept: Too many open files");
    let begun = Instant::now();
    let socket = crate::support::udp_socket("127.0.0.1:0");
    let mut n = 0;
    while begun.elapsed() < Duration::from_millis(1_500) {
        one.say(format!("{n}\n"));
        while two.line() != format!("<guest1> {n}") {}
        // Ten thousand that are the same would be taken for a loop.
        let probe = format!("echo {n}");
        socket.send_to(probe.as_bytes(), server.udp()).unwrap();
        assert_eq!(crate::support::receive_from(&socket).0, probe.as_bytes());
        n += 1;
    }
    let warnings = server.err.text().matches("accept: Too many open files").count();
    assert!((1..=3).contains(&warnings), "{warnings} in {:?}", begun.elapsed());
}
