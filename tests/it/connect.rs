//! `connect`: a peer in pipes and on a terminal, its ends and its exit codes.

use crate::support::{
    Output, Peer, Program, assert_equal, command, file_of, has_ipv6, pipe, skip, terminal,
};
use crate::support::{accept_stream, receive_from, udp_socket};
use rustix::process::Signal;
use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A server of the test's own, and its address as an argument.
pub(super) fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    (listener, at)
}

pub(super) fn accept(listener: &TcpListener) -> Peer {
    Peer::of(accept_stream(listener))
}

#[test]
fn lines_of_stdin_go_out_and_what_arrives_goes_to_stdout() {
    let server = Program::chat();
    let mut client = Program::start(&["connect", &server.tcp().to_string()]);
    client.out.wait_for("* you are guest1");
    let mut peer = Peer::join(server.tcp());
    client.type_in("hello\n");
    peer.expect_line("<guest1> hello");
    peer.say("hi\n");
    client.out.wait_for(&format!("<{}> hi", peer.name));
    client.end_input();
    assert_eq!(client.exit(), 0);
    assert_eq!(client.err.text(), "");
}

#[test]
fn two_clients_talk_through_a_server() {
    let server = Program::chat();
    let at = server.tcp().to_string();
    let mut one = Program::start(&["connect", &at]);
    one.out.expect_line("* you are guest1");
    let mut two = Program::start(&["connect", &at]);
    one.out.expect_line("* guest2 joined");
    two.type_in("from two\n");
    one.out.expect_line("<guest2> from two");
    two.end_input();
    assert_eq!(two.exit(), 0);
    one.out.expect_line("* guest2 left");
    one.end_input();
    assert_eq!(one.exit(), 0);
}

/// `printf 'hi\n' | reactor connect`
#[test]
fn the_end_of_input_half_closes_and_reads_on_until_the_server_closes() {
    let (listener, at) = listener();
    let mut client = Program::start(&["connect", &at]);
    client.type_in("hi\nunfinished");
    client.end_input();
    let mut server = accept(&listener);
    server.expect_bytes("hi\nunfinished");
    server.expect_end();
    server.say("an answer after your end\n");
    client.out.expect_line("an answer after your end");
    server.say("and the last one");
    drop(server);
    client.out.expect_bytes("and the last one");
    assert_eq!(client.exit(), 0);
    client.out.expect_end();
}

#[test]
fn the_servers_end_ends_it_though_stdin_is_open() {
    let (listener, at) = listener();
    let mut client = Program::start(&["connect", &at]);
    let mut server = accept(&listener);
    server.say("bye\n");
    drop(server);
    client.out.expect_line("bye");
    assert_eq!(client.exit(), 0);
    client.out.expect_end();
}

#[test]
fn bytes_go_into_a_pipe_untouched() {
    let (listener, at) = listener();
    let client = Program::start(&["connect", &at]);
    let mut server = accept(&listener);
    let every: Vec<u8> = (0..=255).collect();
    server.say(&every);
    drop(server);
    client.out.wait_until("its end", |bytes, ended| ended.then(|| assert_equal(bytes, &every)));
}

#[test]
fn stdin_may_be_a_regular_file_of_any_length() {
    let long: Vec<u8> = (0..200_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let (listener, at) = listener();
    let mut command = command(&["connect", &at]);
    command.stdin(file_of(&long));
    let mut client = Program::spawn(command);
    let mut server = accept(&listener);
    server.expect_bytes(&long);
    server.expect_end();
    drop(server);
    assert_eq!(client.exit(), 0);
}

#[test]
fn much_reaches_stdout_whole() {
    let (listener, at) = listener();
    let mut client = Program::start(&["connect", &at]);
    let mut server = accept(&listener);
    let much: Vec<u8> = (0..3_000_000u32).map(|n| (n * 31 / 7) as u8).collect();
    server.say(&much);
    drop(server);
    assert_eq!(client.exit(), 0);
    client.out.wait_until("its end", |bytes, ended| ended.then(|| assert_equal(bytes, &much)));
}

#[test]
fn a_stdout_that_nobody_reads_any_more_is_success() {
    let (listener, at) = listener();
    let mut command = command(&["connect", &at]);
    let (read, write) = pipe();
    command.stdout(write);
    let mut client = Program::spawn(command);
    drop(read);
    accept(&listener).say("nobody sees this\n");
    assert_eq!(client.exit(), 0);
    assert_eq!(client.err.text(), "");
}

#[test]
fn a_stdout_that_fails_is_an_error_in_one_line() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        return skip("no /dev/full");
    };
    let (listener, at) = listener();
    let mut command = command(&["connect", &at]);
    command.stdout(full);
    let mut client = Program::spawn(command);
    accept(&listener).say("no room for this\n");
    assert_eq!(client.exit(), 1, "though the server has ended well");
    let told = "reactor: stdout: send: No space left on device (os error 28)\n";
    assert_eq!(client.err.text(), told);
}

#[test]
fn a_stdout_that_fails_is_an_error_for_datagrams_too() {
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        return skip("no /dev/full");
    };
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let mut command = command(&["connect", "--udp", &server.udp().to_string()]);
    command.stdout(full);
    let mut client = Program::spawn(command);
    client.type_in("no room for this\n");
    client.expect_failure(1, "stdout: send: No space left on device (os error 28)");
}

#[test]
fn a_refused_connection_is_told_in_one_line_and_exit_code_1() {
    let (gone, at) = listener();
    drop(gone);
    Program::start(&["connect", &at]).expect_failure(
        1,
        &format!("tcp {at}: connect: Connection refused (os error 111); no server listens there"),
    );
}

#[test]
fn a_broken_connection_is_told_in_one_line_and_exit_code_1() {
    let (listener, at) = listener();
    let mut client = Program::start(&["connect", &at]);
    let mut server = accept(&listener);
    client.type_in("it is connected\n");
    server.expect_bytes("it is connected\n");
    rustix::net::sockopt::set_socket_linger(&server.stream, Some(Duration::ZERO)).unwrap();
    drop(server);
    client.expect_failure(
        1,
        &format!("connection to {at}: recv: Connection reset by peer (os error 104)"),
    );
}

#[test]
fn a_name_that_does_not_resolve_is_told_in_one_line_and_exit_code_1() {
    let at = "nosuch.invalid:9000";
    for args in [&["connect", at][..], &["connect", "--udp", at], &["serve", "--tcp", at]] {
        let mut program = Program::start(args);
        assert_eq!(program.exit(), 1);
        let told = program.err.text();
        assert!(told.starts_with("reactor: resolve nosuch.invalid:9000: "), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_malformed_address_is_told_in_one_line_and_exit_code_2() {
    for args in [&["connect"][..], &["connect", "--udp"], &["serve", "--tcp"], &["serve", "--udp"]]
    {
        Program::start(&[args, &["a b:9000"]].concat()).expect_failure(
            2,
            "malformed address \"a b:9000\": a host name has no ' '; \
             write HOST:PORT, [IPV6]:PORT, :PORT, HOST or PORT",
        );
    }
}

#[test]
fn words_that_it_does_not_know_are_a_usage_error() {
    for args in [&["connect", "--nosuch"][..], &["nosuch"], &["connect", "--turn-timeout", "x"]] {
        assert_eq!(Program::start(args).exit(), 2, "{args:?}");
    }
}

/// With an empty host it tries 127.0.0.1, then `[::1]`.
#[test]
fn the_addresses_of_a_server_are_tried_in_turn() {
    if !has_ipv6() {
        return;
    }
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut client = Program::start(&["connect", &format!(":{port}")]);
    client.err.wait_for("trying the next address");
    let mut server = accept(&listener);
    client.type_in("found you\n");
    server.expect_bytes("found you\n");
}

#[test]
fn a_server_at_one_address_of_a_name_is_found() {
    let (listener, at) = listener();
    let port = at.parse::<SocketAddr>().unwrap().port();
    if !("localhost", port).to_socket_addrs().is_ok_and(|mut all| all.any(|at| at.is_ipv4())) {
        return skip("localhost has no IPv4 address");
    }
    let mut client = Program::start(&["connect", &format!("localhost:{port}")]);
    let mut server = accept(&listener);
    client.type_in("found you\n");
    server.expect_bytes("found you\n");
}

#[test]
fn a_signal_ends_it_so_that_the_shell_sees_a_death_by_that_signal() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let (listener, at) = listener();
        let mut client = Program::start(&["-v", "connect", &at]);
        let _server = accept(&listener);
        client.err.wait_for("connected");
        client.signal(signal);
        assert_eq!(client.status().signal(), Some(signal.as_raw()));
    }
}

#[test]
fn on_a_terminal_control_bytes_of_peers_are_made_visible() {
    for protocol in ["chat", "lines"] {
        let (listener, at) = listener();
        let (master, slave) = terminal();
        let mut command = command(&["connect", &at, "--protocol", protocol]);
        command.stdin(slave.try_clone().unwrap()).stdout(slave);
        let mut client = Program::spawn(command);
        let screen = Output::of(master.try_clone().unwrap());
        let mut keys = master;
        let mut server = accept(&listener);
        server.say("red: \x1b[31m\u{202e}\r\nunfinished \x07");
        screen.expect_line("red: \\x1b[31m\\u{202e}");
        keys.write_all(b"typed\n").unwrap();
        server.expect_bytes("typed\n");
        keys.write_all(b"\x04").unwrap(); // Ctrl-D
        server.expect_end();
        drop(server);
        screen.expect_line("unfinished \\x07");
        assert_eq!(client.exit(), 0);
    }
}

#[test]
fn udp_sends_each_line_as_a_datagram_and_prints_the_echo() {
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let mut client = Program::start(&["connect", "--udp", &server.udp().to_string()]);
    client.type_in("one\n");
    client.out.expect_line("one");
    client.type_in("two\r\n\n");
    client.out.expect_line("two");
    client.out.expect_line("");
    client.type_in("last without a newline");
    client.end_input();
    client.out.expect_line("last without a newline");
    assert_eq!(client.exit(), 0);
    client.out.expect_end();
}

#[test]
fn udp_takes_a_file_of_many_lines_without_losing_one() {
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let mut client = Program::start(&["connect", "--udp", &server.udp().to_string()]);
    let lines: String = (0..2_000).map(|n| format!("{n:0900}\n")).collect();
    client.type_in_all(lines.clone());
    assert_eq!(client.exit(), 0);
    client
        .out
        .wait_until("its end", |bytes, ended| ended.then(|| assert_equal(bytes, lines.as_bytes())));
}

#[test]
fn udp_waits_a_second_for_the_last_echo_and_fails_where_none_came() {
    let silent = udp_socket("127.0.0.1:0");
    let at = silent.local_addr().unwrap();
    let begun = Instant::now();
    let mut client = Program::start(&["connect", "--udp", &at.to_string()]);
    client.type_in("hello?\n");
    client.expect_failure(1, &format!("udp {at}: no echo within 1 s; is a server there?"));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(receive_from(&silent).0, b"hello?", "it was sent");
}

#[test]
fn udp_ends_one_second_after_the_last_datagram_where_an_echo_is_lost() {
    let socket = udp_socket("127.0.0.1:0");
    let mut client =
        Program::start(&["connect", "--udp", &socket.local_addr().unwrap().to_string()]);
    client.type_in("answered\nlost\n");
    client.end_input();
    let (bytes, from) = receive_from(&socket);
    socket.send_to(&bytes, from).unwrap();
    assert_eq!(client.exit(), 0);
    client.out.expect_line("answered");
    client.out.expect_end();
}

#[test]
fn udp_takes_no_answer_from_a_stranger() {
    let socket = udp_socket("127.0.0.1:0");
    let at = socket.local_addr().unwrap().to_string();
    let mut client = Program::start(&["connect", "--udp", &at]);
    client.type_in("hello\n");
    client.end_input();
    let (_, from) = receive_from(&socket);
    udp_socket("127.0.0.1:0").send_to(b"forged", ("127.0.0.1", from.port())).unwrap();
    socket.send_to(b"true", ("127.0.0.1", from.port())).unwrap();
    assert_eq!(client.exit(), 0);
    client.out.expect_line("true");
    client.out.expect_end();
}

#[test]
fn a_line_longer_than_a_datagram_is_not_sent_not_even_its_tail() {
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let mut client = Program::start(&["connect", "--udp", &server.udp().to_string()]);
    let long = "x".repeat(200_000);
    client.type_in_all(format!("before\n{long}\nafter\n{long}"));
    assert_eq!(client.exit(), 0);
    assert_eq!(client.out.all(), "before\nafter\n");
    assert_eq!(client.err.text().matches("line not sent").count(), 2);
}

#[test]
fn nothing_on_stdin_is_success() {
    let server = Program::start(&["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    let (tcp, udp) = (server.tcp().to_string(), server.udp().to_string());
    for args in [&["connect", &tcp][..], &["connect", "--udp", &udp]] {
        let mut command = command(args);
        command.stdin(Stdio::null());
        let mut client = Program::spawn(command);
        assert_eq!(client.exit(), 0, "{args:?}: {}", client.err.text());
    }
}
