//! `connect --eof`: what the end of stdin means, each row of the table in docs/CLIENT.md; and that
//! nothing is lost at either end.

use crate::connect::{accept, listener};
use crate::support::{Output, Peer, Program, assert_equal, command, pipe};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

const PROTOCOLS: [&str; 3] = ["chat", "lines", "raw"];

/// A client with these arguments whose stdin was `hi` and has ended, and its server.
fn hung_up(protocol: &str, eof: &str) -> (Program, Peer, TcpListener) {
    let (listener, at) = listener();
    let mut client = Program::start(&["connect", &at, "--protocol", protocol, "--eof", eof]);
    client.type_in("hi\n");
    client.end_input();
    let mut server = accept(&listener);
    server.expect_bytes(if protocol == "raw" { "hi" } else { "hi\n" });
    (client, server, listener)
}

#[test]
fn half_close_sends_a_fin_and_listens_until_the_servers_end() {
    for protocol in PROTOCOLS {
        let (mut client, mut server, _listener) = hung_up(protocol, "half-close");
        if protocol == "raw" {
            server.say("an answer\n"); // or the turn is still theirs
            client.out.expect_line("an answer");
        }
        server.expect_end();
        server.say("said after your end\n");
        client.out.expect_line("said after your end");
        drop(server);
        assert_eq!(client.exit(), 0, "{protocol}");
        client.out.expect_end();
    }
}

#[test]
fn wait_sends_no_fin_and_listens_until_the_servers_end() {
    for protocol in PROTOCOLS {
        let (mut client, mut server, _listener) = hung_up(protocol, "wait");
        server.say("said after your end\n");
        client.out.expect_line("said after your end");
        // It has gone on past its end of input, and there is still nothing to read.
        server.stream.set_nonblocking(true).unwrap();
        let read = server.stream.peek(&mut [0]).expect_err("no FIN");
        assert_eq!(read.kind(), ErrorKind::WouldBlock, "{protocol}");
        drop(server);
        assert_eq!(client.exit(), 0, "{protocol}");
        client.out.expect_end();
    }
}

#[test]
fn wait_with_nothing_on_stdin_is_a_listener() {
    let server = Program::chat();
    let at = server.tcp().to_string();
    let mut command = command(&["connect", &at, "--eof", "wait"]);
    command.stdin(Stdio::null());
    let client = Program::spawn(command);
    client.out.expect_line("* you are guest1");
    let mut peer = Peer::join(server.tcp());
    peer.say("hi\n");
    client.out.expect_line("* guest2 joined");
    client.out.expect_line("<guest2> hi");
}

#[test]
fn exit_sends_a_fin_and_leaves_though_the_server_does_not_end() {
    for protocol in PROTOCOLS {
        let (mut client, mut server, _listener) = hung_up(protocol, "exit");
        assert_eq!(client.exit(), 0, "{protocol}");
        server.expect_end();
    }
}

#[test]
fn exit_drops_what_is_said_after_its_fin() {
    let (mut client, mut server, _listener) = hung_up("lines", "exit");
    server.expect_end();
    server.say("too late\n");
    drop(server);
    assert_eq!(client.exit(), 0);
    client.out.expect_end();
}

/// A plain close would be a reset here, with the server's words unread, and cost the file its tail.
#[test]
fn exit_leaves_only_when_a_slow_server_that_talks_all_the_time_has_everything() {
    let (listener, at) = listener();
    let mut client = Program::start(&["connect", &at, "--protocol", "lines", "--eof", "exit"]);
    let much: Vec<u8> = (0..400_000u32).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    client.type_in_all(much.clone());
    let mut server = accept(&listener);
    for piece in much.chunks(100_000) {
        server.say("still here\n");
        server.expect_bytes(piece);
    }
    server.expect_end();
    drop(server);
    assert_eq!(client.exit(), 0);
}

#[test]
fn the_servers_end_ends_it_whatever_eof_says_while_stdin_is_open() {
    for eof in ["half-close", "wait", "exit"] {
        let (listener, at) = listener();
        let mut client = Program::start(&["connect", &at, "--eof", eof]);
        drop(accept(&listener));
        assert_eq!(client.exit(), 0, "{eof}");
    }
}

#[test]
fn the_servers_last_words_reach_a_stdout_that_is_read_late() {
    let (listener, at) = listener();
    let mut command = command(&["connect", &at, "--protocol", "lines"]);
    let (read, write) = pipe();
    command.stdout(write);
    let mut client = Program::spawn(command);
    let mut server = accept(&listener);
    let much: Vec<u8> = (0..1_000_000u32).map(|n| (n * 31 / 7) as u8).collect();
    server.say(&much); // no more than the kernel takes though nobody reads
    drop(server);
    let out = Output::of(read);
    out.wait_until("its end", |bytes, ended| ended.then(|| assert_equal(bytes, &much)));
    assert_eq!(client.exit(), 0);
}

#[test]
fn a_server_that_reads_nothing_makes_it_stop_reading_stdin() {
    let (listener, at) = listener();
    let mut command = command(&["connect", &at, "--protocol", "lines"]);
    let (read, write) = pipe();
    command.stdin(read);
    let _client = Program::spawn(command);
    let server = accept(&listener);
    // Endless input: a client that kept it would take it all.
    let writer = write;
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
    let (chunk, mut taken) = (vec![b'x'; 64 * 1024], 0usize);
    loop {
        match rustix::io::write(&writer, &chunk) {
            Ok(n) => taken += n,
            Err(rustix::io::Errno::AGAIN) => {
                let second = rustix::event::Timespec::try_from(Duration::from_secs(1)).unwrap();
                let mut fds = [rustix::event::PollFd::new(&writer, rustix::event::PollFlags::OUT)];
                if rustix::event::poll(&mut fds, Some(&second)).is_ok_and(|ready| ready == 0) {
                    break; // it takes no more
                }
            }
            Err(error) => panic!("{error}"),
        }
        assert!(taken < 64 << 20, "the kernel's buffers hold less, so the client keeps it");
    }
    drop(server);
}
