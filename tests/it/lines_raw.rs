//! `--protocol lines` and `raw` over real sockets: bytes pass as they are, and nothing is added.

use crate::support::{Peer, Program};

/// Two peers of a relay without greetings. That both are in is shown by what passes between them.
fn two(server: &Program) -> (Peer, Peer) {
    let (mut one, mut two) = (Peer::connect(server.tcp()), Peer::connect(server.tcp()));
    // Who is accepted is told; before that its neighbour's words would not be owed to it.
    for peer in [&one, &two] {
        server.err.wait_for(&format!("from {}", peer.stream.local_addr().unwrap()));
    }
    one.say("a\n");
    two.expect_bytes("a\n");
    two.say("b\n");
    one.expect_bytes("b\n");
    (one, two)
}

#[test]
fn listening_tells_the_protocol() {
    for protocol in ["lines", "raw"] {
        let line = Program::relay(protocol).err.wait_for("listening tcp ");
        assert!(line.ends_with(&format!(" {protocol}")), "{line}");
    }
}

#[test]
fn lines_pass_verbatim_with_their_endings_whatever_bytes_they_hold() {
    let server = Program::relay("lines");
    let (mut one, mut two) = two(&server);
    let mut every: Vec<u8> = (0..=255).collect();
    every.push(b'\n');
    one.say(&every);
    one.say("crlf\r\n\n\x1b[2J\0\n");
    two.expect_bytes(&every);
    two.expect_bytes("crlf\r\n\n\x1b[2J\0\n");
}

#[test]
fn lines_have_no_names_and_no_notices_and_nobody_hears_itself() {
    let server = Program::relay("lines");
    let (mut one, mut two) = two(&server);
    drop(Peer::connect(server.tcp())); // comes and goes unannounced
    server.err.wait_for("closed #3");
    one.say("mine\n");
    two.say("yours\n");
    two.expect_bytes("mine\n");
    one.expect_bytes("yours\n");
}

#[test]
fn a_line_passes_only_when_it_is_whole() {
    let server = Program::relay("lines");
    let (mut one, mut two) = two(&server);
    let mut third = Peer::connect(server.tcp());
    server.err.wait_for(&format!("from {}", third.stream.local_addr().unwrap()));
    one.say("begun");
    third.say("between\n");
    two.expect_bytes("between\n");
    one.say(" and ended\n");
    two.expect_bytes("begun and ended\n");
    third.expect_bytes("begun and ended\n");
}

#[test]
fn an_unfinished_last_line_is_ended_so_that_the_next_one_stands_alone() {
    let server = Program::relay("lines");
    let (one, mut two) = two(&server);
    let mut one = one;
    one.say("last");
    one.end_output();
    two.expect_bytes("last\n");
    one.expect_end();
}

#[test]
fn a_line_too_long_is_logged_and_closed_without_a_word_in_the_stream() {
    let args = ["serve", "--tcp", "127.0.0.1:0", "--protocol", "lines", "--line-max", "16"];
    let server = Program::start(&[&["-v"][..], &args].concat());
    let (mut one, mut two) = two(&server);
    two.say("0123456789abcdef\n0123456789abcdefg\n");
    two.expect_end();
    let line = server.err.wait_for("line too long");
    assert!(line.contains("WARN") && line.contains("closed #2: line too long"), "{line}");
    one.expect_bytes("0123456789abcdef\n");
    let mut third = Peer::connect(server.tcp());
    third.say("marker\n");
    one.expect_bytes("marker\n");
}

#[test]
fn raw_passes_what_a_read_brought_with_no_newline_added() {
    let server = Program::relay("raw");
    let (mut one, mut two) = two(&server);
    one.say("no newline");
    two.expect_bytes("no newline");
    two.say(b"\0\xff\r\n\x1b");
    one.expect_bytes(b"\0\xff\r\n\x1b");
}

/// At full speed even a reader that never pauses falls behind the log, unless the system's own
/// buffers hold what the log drops.
#[test]
fn raw_passes_much_without_a_gap() {
    let args = ["-v", "serve", "--tcp", "127.0.0.1:0", "--protocol", "raw"];
    let server = Program::start(&[&args[..], &["--send-buffer", "0"]].concat());
    let (mut one, two) = two(&server);
    let much: Vec<u8> = (0..3_000_000u32).map(|n| (n * 31 / 7) as u8).collect();
    let expected = much.clone();
    let reader = std::thread::spawn(move || {
        let mut two = two;
        two.expect_bytes(expected);
    });
    one.say(&much);
    reader.join().unwrap();
}

#[test]
fn raw_has_no_limit_on_a_line() {
    let args = ["serve", "--tcp", "127.0.0.1:0", "--protocol", "raw", "--line-max", "4"];
    let server = Program::start(&[&["-v"][..], &args].concat());
    let (mut one, mut two) = two(&server);
    one.say("longer than four");
    two.expect_bytes("longer than four");
}
