//! `connect`'s link: its timeout, its local address, its round-trip time.

use crate::connect::{accept, listener};
use crate::support::{Output, Program, command, has_ipv6, terminal};
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[test]
fn a_server_that_does_not_answer_is_given_up_after_the_connect_timeout() {
    // A listener whose backlog is full drops SYNs.
    let (listener, at) = listener();
    rustix::net::listen(&listener, 0).unwrap();
    let address = at.parse().unwrap();
    let fill = || std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200));
    let _full: Vec<_> = (0..8).map_while(|_| fill().ok()).collect();
    let begun = Instant::now();
    Program::start(&["connect", &at, "--connect-timeout", "300ms"])
        .expect_failure(1, &format!("tcp {at}: connect: timed out"));
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn a_timeout_of_nothing_is_a_usage_error_and_one_without_end_is_none() {
    let (listener, at) = listener();
    assert_eq!(Program::start(&["connect", &at, "--connect-timeout", "0s"]).exit(), 2);
    let long = "2500000000000h";
    let mut client =
        Program::start(&["connect", &at, "--connect-timeout", long, "--turn-timeout", long]);
    drop(accept(&listener));
    assert_eq!(client.exit(), 0);
}

#[test]
fn bind_is_where_the_server_sees_it_come_from() {
    let (listener, at) = listener();
    let _client = Program::start(&["connect", &at, "--bind", "127.0.0.9"]);
    let server = accept(&listener);
    assert_eq!(server.stream.peer_addr().unwrap().ip().to_string(), "127.0.0.9");
}

#[test]
fn bind_skips_addresses_of_the_other_family_and_says_so() {
    if !has_ipv6() {
        return;
    }
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = Program::start(&["connect", &format!(":{port}"), "--bind", "::1"]);
    let server = accept(&listener);
    assert_eq!(server.stream.peer_addr().unwrap().ip().to_string(), "::1");
    client.err.wait_for(&format!(":{port}: 127.0.0.1:{port} is skipped: --bind is IPv6"));
}

#[test]
fn bind_of_a_family_that_the_server_has_not_is_a_usage_error() {
    Program::start(&["connect", "127.0.0.1:9", "--bind", "::1"])
        .expect_failure(2, "--bind ::1: the server has no IPv6 address");
    assert_eq!(Program::start(&["connect", "127.0.0.1:9", "--bind", "localhost"]).exit(), 2);
}

#[test]
fn bind_to_an_address_that_is_not_ours_is_told_in_one_line() {
    Program::start(&["connect", "127.0.0.1:9", "--bind", "192.0.2.1"]).expect_failure(
        1,
        "tcp 127.0.0.1:9: connect: Cannot assign requested address (os error 99); \
         is 192.0.2.1 an address of this host?",
    );
}

#[test]
fn flags_of_a_stream_are_a_usage_error_with_udp() {
    for flag in [
        &["--eof", "wait"][..],
        &["--connect-timeout", "1s"],
        &["--reconnect"],
        &["--transcript", "/dev/null"],
    ] {
        assert_eq!(Program::start(&[&["connect", "--udp"], flag].concat()).exit(), 2, "{flag:?}");
    }
}

#[test]
fn a_ping_that_was_typed_shows_how_long_its_answer_took() {
    let server = Program::chat();
    let mut client = Program::start(&["connect", &server.tcp().to_string()]);
    client.out.wait_for("* you are guest1");
    client.type_in("/ping hello\n");
    let line = client.out.wait_for("* pong: hello in ");
    let ms = line.strip_prefix("* pong: hello in ").and_then(|rest| rest.strip_suffix(" ms"));
    assert!(ms.is_some_and(|ms| ms.parse::<f64>().is_ok()), "{line}");
}

#[test]
fn on_a_terminal_a_chat_is_asked_for_the_round_trip_time_and_the_answer_is_not_shown() {
    let server = Program::chat();
    let (master, slave) = terminal();
    let mut command = command(&["-v", "connect", &server.tcp().to_string()]);
    command.stdin(slave.try_clone().unwrap()).stdout(slave);
    let client = Program::spawn(command);
    let screen = Output::of(master.try_clone().unwrap());
    client.err.wait_for("round trip ");
    let mut peer = crate::support::Peer::join(server.tcp());
    peer.say("hi\n");
    screen.wait_for("<guest2> hi");
    assert_eq!(screen.text(), "* you are guest1\n* guest2 joined\n<guest2> hi\n");
}
