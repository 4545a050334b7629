//! `connect --reconnect` against servers that stop and start, and those that say no.

use crate::connect::{accept, listener};
use crate::support::{Peer, Program};
use rustix::process::Signal;
use std::net::{SocketAddr, TcpListener};

/// `serve` at this very address, which was in use a moment ago.
fn serve_at(at: &str) -> Program {
    Program::start(&["-v", "serve", "--tcp", at])
}

fn stop(mut server: Program) {
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
}

/// A client that dials again, in lines.
fn persistent(at: &str) -> Program {
    Program::start(&["-v", "connect", at, "--protocol", "lines", "--reconnect"])
}

#[test]
fn a_server_that_stops_and_starts_finds_name_and_room_again() {
    let server = Program::chat();
    let at = server.tcp().to_string();
    let mut client = Program::start(&["connect", &at, "--name", "ann", "--reconnect"]);
    client.out.wait_for("* you are ann");
    client.type_in("/join #tea\n");
    client.out.wait_for("* you are in #tea");
    stop(server);
    client.err.wait_for("the server ended it; trying again in 0.");
    client.type_in("typed while away\n");
    let server = serve_at(&at);
    server.tcp();
    let mut peer = Peer::join(server.tcp());
    peer.say("/join #tea\n");
    let told = client.err.wait_for("connected again to ");
    assert!(told.ends_with(" s away"), "{told}");
    while peer.line() != "<ann> typed while away" {}
    client.end_input();
    assert_eq!(client.exit(), 0);
    let all = client.out.text();
    assert_eq!(all.matches("* you are ann\n").count(), 2, "{all}");
    assert_eq!(all.matches("* you are in #tea").count(), 2, "{all}");
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let (gone, at) = listener();
    drop(gone);
    let mut client = persistent(&at);
    client.err.wait_for("no server listens there; trying again in 0.");
    let listener = TcpListener::bind(&at).unwrap();
    let mut server = accept(&listener);
    client.type_in("there you are\n");
    server.expect_bytes("there you are\n");
    client.end_input();
    server.expect_end();
    drop(server);
    assert_eq!(client.exit(), 0);
}

#[test]
fn a_server_that_stays_away_is_given_up_after_so_many_rounds() {
    let (gone, at) = listener();
    drop(gone);
    let mut client = Program::start(&["connect", &at, "--reconnect=2"]);
    assert_eq!(client.exit(), 1);
    let told = client.err.text();
    assert_eq!(told.matches("trying again in ").count(), 2, "{told}");
    let last = told.lines().last().unwrap();
    assert!(last.starts_with("reactor: tcp ") && last.contains("refused"), "{last}");
}

#[test]
fn a_reset_is_answered_by_a_new_connection() {
    let (listener, at) = listener();
    let mut client = persistent(&at);
    let server = accept(&listener);
    client.err.wait_for("connected");
    rustix::net::sockopt::set_socket_linger(&server.stream, Some(std::time::Duration::ZERO))
        .unwrap();
    drop(server);
    let mut server = accept(&listener);
    client.err.wait_for("Connection reset by peer (os error 104); trying again in ");
    client.type_in("again\n");
    server.expect_bytes("again\n");
}

#[test]
fn lines_of_two_connections_do_not_run_into_each_other() {
    let (listener, at) = listener();
    let client = persistent(&at);
    let mut server = accept(&listener);
    server.say("one\ncut");
    drop(server);
    accept(&listener).say("two\n");
    for line in ["one", "cut", "two"] {
        client.out.expect_line(line);
    }
}

#[test]
fn in_raw_the_turn_begins_anew() {
    let (listener, at) = listener();
    let mut client = Program::start(&["connect", &at, "--protocol", "raw", "--reconnect"]);
    client.type_in("one\ntwo\n");
    let mut server = accept(&listener);
    server.expect_bytes("one");
    drop(server); // it will never answer
    accept(&listener).expect_bytes("two");
}

#[test]
fn it_ends_where_the_user_quits() {
    let server = Program::chat();
    let mut client = Program::start(&["connect", &server.tcp().to_string(), "--reconnect"]);
    client.out.wait_for("* you are guest1");
    client.type_in("/quit\n");
    assert_eq!(client.exit(), 0);
    assert_eq!(client.err.text(), "");
}

#[test]
fn it_ends_where_it_is_kicked_or_banned() {
    for word in ["/kick guest1 too loud\n", "/ban 127.0.0.1\n"] {
        let mut server = Program::chat();
        let mut client = Program::start(&["connect", &server.tcp().to_string(), "--reconnect"]);
        client.out.wait_for("* you are guest1");
        server.type_in(word);
        assert_eq!(client.exit(), 0, "{word}");
        assert_eq!(client.err.text(), "", "{word}");
    }
}

#[test]
fn it_ends_where_stdin_has_ended() {
    let (listener, at) = listener();
    let mut client = persistent(&at);
    client.type_in("all\n");
    client.end_input();
    let mut server = accept(&listener);
    server.expect_bytes("all\n");
    server.expect_end();
    drop(server);
    assert_eq!(client.exit(), 0);
}

#[test]
fn a_listener_that_waits_comes_back() {
    let (listener, at) = listener();
    let mut command = crate::support::command(&["connect", &at, "--eof", "wait", "--reconnect"]);
    command.stdin(std::process::Stdio::null());
    let client = Program::spawn(command);
    accept(&listener).say("one\n");
    client.out.expect_line("one");
    accept(&listener).say("two\n");
    client.out.expect_line("two");
}

#[test]
fn a_signal_ends_the_wait() {
    let (gone, at) = listener();
    drop(gone);
    let mut client = persistent(&at);
    client.err.wait_for("trying again");
    client.signal(Signal::INT);
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(client.status().signal(), Some(Signal::INT.as_raw()));
}

/// With an empty host the addresses are 127.0.0.1, then `[::1]`.
#[test]
fn each_round_goes_round_all_addresses() {
    if !crate::support::has_ipv6() {
        return;
    }
    let (gone, at) = listener();
    let port = at.parse::<SocketAddr>().unwrap().port();
    drop(gone);
    let mut client = Program::start(&["connect", &format!(":{port}"), "--reconnect=1"]);
    assert_eq!(client.exit(), 1);
    let told = client.err.text();
    for address in ["127.0.0.1", "[::1]"] {
        assert_eq!(told.matches(&format!("({address}:{port})")).count(), 2, "{told}");
    }
}
