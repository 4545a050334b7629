//! Who is silent for too long, and whose line does not end.

use crate::support::{Peer, Program};
use std::time::{Duration, Instant};

#[test]
fn who_sends_nothing_for_the_idle_timeout_is_told_and_closed_and_who_talks_is_not() {
    let server = Program::serve(&["--idle-timeout", "600ms"]);
    let mut talker = Peer::join(server.tcp());
    let begun = Instant::now();
    let mut silent = Peer::join(server.tcp());
    talker.expect_line("* guest2 joined");
    let talking = talker.stream.try_clone().unwrap();
    // One word for each that the silent one hears: it talks for as long as the test lasts.
    let mut heard = Vec::new();
    std::io::Write::write_all(&mut &talking, b"x\n").unwrap();
    loop {
        match silent.line() {
            line if line == "<guest1> x" => {
                std::io::Write::write_all(&mut &talking, b"x\n").unwrap();
            }
            line => {
                heard.push(line);
                break;
            }
        }
    }
    assert_eq!(heard, ["* closed: nothing sent for 0.6 s"]);
    silent.expect_end();
    assert!(begun.elapsed() >= Duration::from_millis(600));
    talker.expect_line("* guest2 left");
    let told = server.err.wait_for("closed #");
    assert!(told.ends_with("closed #2: sent nothing for too long"), "{told}");
}

#[test]
fn without_the_flag_nobody_is_closed_for_silence() {
    let mut server = Program::serve(&["--console", "commands"]);
    let _silent = Peer::join(server.tcp());
    server.type_in("/limits\n");
    server.out.wait_for("* idle-timeout off");
}

/// A byte now and then does not help: the line's time runs from its first one.
#[test]
fn a_line_that_does_not_end_in_time_closes_its_sender_in_chat_and_lines() {
    for protocol in ["chat", "lines"] {
        let server = Program::serve(&["--protocol", protocol, "--line-timeout", "400ms"]);
        let mut slow = Peer::connect(server.tcp());
        if protocol == "chat" {
            slow.greeted();
        }
        slow.stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let begun = Instant::now();
        let mut told = Vec::new();
        let mut buffer = [0; 256];
        loop {
            let _ = std::io::Write::write_all(&mut slow.stream, b"x");
            match std::io::Read::read(&mut slow.stream, &mut buffer) {
                Ok(0) => break,
                Ok(n) => told.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            assert!(begun.elapsed() < crate::support::WITHIN, "it is not closed");
        }
        let expected = if protocol == "chat" { "* closed: no newline for 0.4 s\n" } else { "" };
        assert_eq!(String::from_utf8_lossy(&told), expected);
        assert!(begun.elapsed() >= Duration::from_millis(400));
        let line = server.err.wait_for("closed #1: ");
        assert!(line.ends_with("closed #1: a line was not ended in time"), "{line}");
    }
}

#[test]
fn in_raw_there_is_no_line_that_could_be_late() {
    let server = Program::serve(&["--protocol", "raw", "--line-timeout", "1ms"]);
    let mut one = Peer::connect(server.tcp());
    server.err.wait_for("opened #1");
    let mut two = Peer::connect(server.tcp());
    server.err.wait_for("opened #2");
    for _ in 0..20 {
        one.say("no newline");
        two.expect_bytes("no newline");
    }
}

#[test]
fn timeouts_that_make_no_sense_are_refused() {
    let args = ["serve", "--tcp", "127.0.0.1:0", "--line-timeout", "0s"];
    Program::start(&args).expect_failure(2, "--line-timeout: longer than 0");
}
