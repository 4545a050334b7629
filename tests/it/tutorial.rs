//! The tutorial's dialogue in both directions: blocking sockets that send text without a newline,
//! receive up to 1,024 bytes, take turns, and end on an empty message.

use crate::support::{Program, WITHIN, accept_stream, uninterrupted};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// `sock.recv(1024).decode()`
fn recv(socket: &mut TcpStream) -> String {
    let mut data = [0; 1024];
    let n = uninterrupted(|| socket.read(&mut data))
        .expect("something within the deadline, or the end");
    String::from_utf8_lossy(&data[..n]).into_owned()
}

fn deadline(socket: TcpStream) -> TcpStream {
    socket.set_read_timeout(Some(WITHIN)).unwrap();
    socket
}

/// `socket`, `bind`, `listen` on a port of the system's choice.
fn server() -> (TcpListener, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = server.local_addr().unwrap().to_string();
    (server, at)
}

fn client(at: &str, more: &[&str]) -> Program {
    Program::start(&[&["connect", at, "--protocol", "raw"][..], more].concat())
}

#[test]
fn the_tutorials_client_talks_to_our_server() {
    let mut server = Program::relay("raw");
    let mut socket = deadline(TcpStream::connect(server.tcp()).unwrap());
    for (said, answered) in [("hello", "hello yourself"), ("how are you?", "fine"), ("ż", "ó")] {
        socket.write_all(said.as_bytes()).unwrap();
        server.out.expect_bytes(said);
        server.type_in(format!("{answered}\n"));
        assert_eq!(recv(&mut socket), answered);
    }
    // The operator's empty message: the client receives the end, and so does the server's caller.
    server.type_in("\n");
    assert_eq!(recv(&mut socket), "");
    drop(socket);
    assert_eq!(server.exit(), 0);
}

#[test]
fn the_tutorials_client_may_end_first() {
    let mut server = Program::relay("raw");
    let mut socket = deadline(TcpStream::connect(server.tcp()).unwrap());
    socket.write_all(b"bye").unwrap();
    server.out.expect_bytes("bye");
    drop(socket); // its user typed nothing
    server.err.wait_for("closed #1: left");
    // Unlike the tutorial's, our server is there for the next one.
    let mut next = deadline(TcpStream::connect(server.tcp()).unwrap());
    next.write_all(b"next").unwrap();
    server.out.expect_bytes("next");
    server.type_in("/quit\n");
    assert_eq!(recv(&mut next), "");
}

#[test]
fn our_client_talks_to_the_tutorials_server() {
    let (server, at) = server();
    let mut client = client(&at, &[]);
    let mut connection = accept_stream(&server);
    for (said, answered) in [("hello", "hello yourself"), ("how are you?", "fine"), ("ż", "ó")] {
        client.type_in(format!("{said}\n"));
        assert_eq!(recv(&mut connection), said, "without its newline");
        connection.write_all(answered.as_bytes()).unwrap();
        client.out.expect_bytes(answered);
    }
    client.type_in("\n"); // an empty line ends it
    assert_eq!(recv(&mut connection), "");
    assert_eq!(client.exit(), 0);
}

#[test]
fn our_client_ends_when_the_tutorials_server_does() {
    let (server, at) = server();
    let mut client = client(&at, &[]);
    let mut connection = accept_stream(&server);
    client.type_in("hello\n");
    assert_eq!(recv(&mut connection), "hello");
    drop(connection); // its user typed nothing
    assert_eq!(client.exit(), 0);
}

#[test]
fn the_next_line_waits_until_something_came_back() {
    let (server, at) = server();
    let mut client = client(&at, &[]);
    client.type_in("one\ntwo\nthree\n");
    let mut connection = accept_stream(&server);
    for (said, answered) in [("one", "1"), ("two", "2"), ("three", "3")] {
        // Were the lines not kept apart, one recv would bring them all.
        assert_eq!(recv(&mut connection), said);
        connection.write_all(answered.as_bytes()).unwrap();
    }
    client.out.expect_bytes("123");
}

/// `printf 'one\ntwo' | reactor connect --protocol raw`
#[test]
fn the_end_of_input_waits_for_the_last_answer_and_says_nothing_twice() {
    let (server, at) = server();
    let mut client = client(&at, &[]);
    client.type_in("one\ntwo");
    client.end_input();
    let mut connection = accept_stream(&server);
    assert_eq!(recv(&mut connection), "one");
    connection.write_all(b"1").unwrap();
    assert_eq!(recv(&mut connection), "two");
    connection.write_all(b"2").unwrap();
    assert_eq!(recv(&mut connection), "", "the end, and nothing before it");
    drop(connection);
    assert_eq!(client.exit(), 0);
    client.out.expect_bytes("12");
    client.out.expect_end();
}

#[test]
fn turn_timeout_bounds_the_wait_for_an_answer() {
    let (server, at) = server();
    let mut client = client(&at, &["--turn-timeout", "300ms"]);
    client.type_in("one\ntwo\n");
    let mut connection = accept_stream(&server);
    assert_eq!(recv(&mut connection), "one");
    assert_eq!(recv(&mut connection), "two", "though nothing came back");
    client.err.wait_for("no answer in time");
}

#[test]
fn a_line_that_is_too_long_is_not_sent_not_even_its_tail() {
    let (server, at) = server();
    let mut client = client(&at, &[]);
    let long = "x".repeat(200_000);
    client.type_in_all(format!("before\n{long}\nafter\n{long}"));
    let mut connection = accept_stream(&server);
    assert_eq!(recv(&mut connection), "before");
    connection.write_all(b"1").unwrap();
    assert_eq!(recv(&mut connection), "after");
    connection.write_all(b"2").unwrap();
    assert_eq!(recv(&mut connection), "", "the end");
    drop(connection);
    assert_eq!(client.exit(), 0);
    assert_eq!(client.err.text().matches("line too long").count(), 2);
}

/// The tutorial's two programs as both sides of one dialogue through our relay: with `raw` every
/// message reaches the other as it was sent.
#[test]
fn two_of_the_tutorials_clients_talk_through_our_server() {
    let server = Program::relay("raw");
    let mut one = deadline(TcpStream::connect(server.tcp()).unwrap());
    let mut two = deadline(TcpStream::connect(server.tcp()).unwrap());
    server.err.wait_for("opened #2");
    for turn in 0..5 {
        one.write_all(format!("ping {turn}").as_bytes()).unwrap();
        assert_eq!(recv(&mut two), format!("ping {turn}"));
        two.write_all(format!("pong {turn}").as_bytes()).unwrap();
        assert_eq!(recv(&mut one), format!("pong {turn}"));
    }
}
