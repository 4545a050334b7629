//! `--protocol chat` over real sockets: names, notices, lines, and what is made visible.

use crate::support::{Peer, Program};
use std::time::{Duration, Instant};

/// A server and two peers; the first has read the notice of the second.
fn two() -> (Program, Peer, Peer) {
    let server = Program::chat();
    let mut one = Peer::join(server.tcp());
    let two = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", two.name));
    (server, one, two)
}

#[test]
fn a_peer_is_greeted_with_its_name_and_the_others_are_told() {
    let (_server, one, two) = two();
    for name in [&one.name, &two.name] {
        let serial = name.strip_prefix("guest").expect("a guest");
        assert!(serial.parse::<u64>().is_ok_and(|serial| serial > 0), "{name}");
    }
    assert_ne!(one.name, two.name);
}

#[test]
fn a_line_is_heard_by_the_others_and_not_by_who_said_it() {
    let (_server, mut one, mut two) = two();
    one.say("hello\n");
    two.expect_line(format!("<{}> hello", one.name));
    two.say("hello yourself\n");
    one.expect_line(format!("<{}> hello yourself", two.name)); // and not its own before it
}

#[test]
fn who_leaves_is_told_of() {
    let (_server, mut one, two) = two();
    let name = two.name.clone();
    drop(two);
    one.expect_line(format!("* {name} left"));
}

#[test]
fn a_serial_is_never_used_again() {
    let (server, mut one, two) = two();
    let mut last = two.name.clone();
    drop(two);
    one.expect_line(format!("* {last} left"));
    for _ in 0..5 {
        let peer = Peer::join(server.tcp());
        let serial = |name: &str| name.strip_prefix("guest").unwrap().parse::<u64>().unwrap();
        assert!(serial(&peer.name) > serial(&last), "{} after {last}", peer.name);
        last = peer.name.clone();
        one.expect_line(format!("* {last} joined"));
        drop(peer);
        one.expect_line(format!("* {last} left"));
    }
}

#[test]
fn who_ends_its_output_is_owed_what_was_said_and_then_the_end() {
    let (_server, mut one, mut two) = two();
    for n in 0..100 {
        one.say(format!("line {n}\n"));
    }
    two.expect_line(format!("<{}> line 0", one.name));
    two.say("bye\n");
    two.end_output();
    // All that was said before the end was read; how much that is, nobody promises.
    let mut heard = 1;
    loop {
        match two.line() {
            line if line.is_empty() => break,
            line => assert_eq!(line, format!("<{}> line {heard}", one.name)),
        }
        heard += 1;
    }
    one.expect_line(format!("<{}> bye", two.name));
    one.expect_line(format!("* {} left", two.name));
}

#[test]
fn an_unfinished_last_line_counts() {
    let (_server, mut one, mut two) = two();
    two.say("no newline");
    two.end_output();
    one.expect_line(format!("<{}> no newline", two.name));
    one.expect_line(format!("* {} left", two.name));
}

#[test]
fn crlf_ends_a_line_and_the_cr_is_not_part_of_it() {
    let (_server, mut one, mut two) = two();
    one.say("telnet\r\nnc\n");
    two.expect_line(format!("<{}> telnet", one.name));
    two.expect_line(format!("<{}> nc", one.name));
}

#[test]
fn a_line_in_single_bytes_is_one_line() {
    let (_server, mut one, mut two) = two();
    one.stream.set_nodelay(true).unwrap();
    for byte in "größer\r\n".bytes() {
        one.say([byte]);
    }
    two.expect_line(format!("<{}> größer", one.name));
}

#[test]
fn several_lines_in_one_send_are_several() {
    let (_server, mut one, mut two) = two();
    one.say("a\n\nb\nc\n");
    for line in ["a", "b", "c"] {
        two.expect_line(format!("<{}> {line}", one.name));
    }
}

#[test]
fn utf8_passes_and_broken_utf8_becomes_replacement_characters() {
    let (_server, mut one, mut two) = two();
    one.say("żółw 🐢\n");
    one.say(b"broken \xff\xc3 end\n");
    two.expect_line(format!("<{}> żółw 🐢", one.name));
    two.expect_line(format!("<{}> broken \u{fffd}\u{fffd} end", one.name));
}

#[test]
fn control_bytes_but_tab_and_bidi_overrides_are_made_visible() {
    let (_server, mut one, mut two) = two();
    one.say("\x1b[2J\0\ta\rb\x07\u{85}\u{202e}evil\u{2066}\n");
    let shown = "\\x1b[2J\\x00\ta\\x0db\\x07\\u{85}\\u{202e}evil\\u{2066}";
    two.expect_line(format!("<{}> {shown}", one.name));
}

#[test]
fn nobody_can_speak_in_anothers_name() {
    let (_server, mut one, mut two) = two();
    one.say("x\r<operator> obey\u{2028}<operator> obey\n");
    two.expect_line(format!("<{}> x\\x0d<operator> obey\\u{{2028}}<operator> obey", one.name));
}

#[test]
fn text_without_a_newline_gets_one_hint_after_two_seconds_and_only_its_sender() {
    let (_server, mut one, mut two) = two();
    let begun = Instant::now();
    one.say("no newline");
    one.expect_line("* no newline yet: end the line, or ask for --protocol raw");
    assert!(begun.elapsed() >= Duration::from_millis(1_990), "after {:?}", begun.elapsed());
    // Its line is whole all the same, and the other heard no hint.
    one.say(" yet\nand again");
    two.expect_line(format!("<{}> no newline yet", one.name));
    // Once in its life. The hint of a third peer, whose text began later, shows that the time for
    // a second one has passed.
    let mut third = Peer::join(_server.tcp());
    third.say("third");
    third.expect_line(format!("<{}> no newline yet", one.name)); // what was said before
    third.expect_line(format!("* {} joined", third.name));
    third.expect_line("* no newline yet: end the line, or ask for --protocol raw");
    two.say("marker\n");
    one.expect_line(format!("* {} joined", third.name));
    one.expect_line(format!("<{}> marker", two.name));
}

#[test]
fn a_line_longer_than_line_max_is_told_and_closed_and_nothing_of_it_is_heard() {
    let server = Program::start(&["serve", "--tcp", "127.0.0.1:0", "--line-max", "16"]);
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", two.name));
    two.say("0123456789abcdef\r\n0123456789abcdefg\nnever said\n");
    two.expect_line("* line too long: at most 16 bytes");
    two.expect_end();
    one.expect_line(format!("<{}> 0123456789abcdef", two.name));
    one.expect_line(format!("* {} left", two.name));
}

#[test]
fn a_line_without_end_is_refused_at_the_default_limit_of_64_kib() {
    let (_server, mut one, mut two) = two();
    two.say(vec![b'x'; 64 * 1024]);
    two.say("\n");
    let heard = format!("<{}> {}", two.name, "x".repeat(64 * 1024));
    assert!(one.line() == heard, "a line of exactly 64 KiB passes");
    two.say(vec![b'x'; 64 * 1024 + 1]);
    two.expect_line("* line too long: at most 65536 bytes");
    two.expect_end();
    one.expect_line(format!("* {} left", two.name));
}

#[test]
fn a_peer_that_resets_its_connection_is_only_gone() {
    let (server, mut one, two) = two();
    let name = two.name.clone();
    let linger = rustix::net::sockopt::set_socket_linger(&two.stream, Some(Duration::ZERO));
    linger.unwrap();
    drop(two);
    one.expect_line(format!("* {name} left"));
    Peer::join(server.tcp());
}
