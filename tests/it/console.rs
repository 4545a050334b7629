//! The operator's console in the three protocols, and stdin, stdout and stderr of every kind.

use crate::support::{Output, Peer, Program, assert_equal, command, file_of, pipe, terminal};
use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

const FREE: [&str; 3] = ["serve", "--tcp", "127.0.0.1:0"];

#[test]
fn in_chat_the_operator_speaks_as_operator_and_hears_the_peers() {
    let mut server = Program::chat();
    let mut peer = Peer::join(server.tcp());
    server.out.expect_line(&format!("* {} joined", peer.name));
    server.type_in("hello all\n\r\ncrlf\r\n");
    peer.expect_line("<operator> hello all");
    peer.expect_line("<operator> crlf");
    peer.say("hello operator\n");
    server.out.expect_line(&format!("<{}> hello operator", peer.name));
}

#[test]
fn in_lines_the_operators_line_goes_as_it_is_and_the_peers_are_shown_verbatim() {
    let mut server = Program::relay("lines");
    let mut peer = Peer::connect(server.tcp());
    peer.say("from\ta peer\x1b\r\n");
    server.out.expect_bytes("from\ta peer\x1b\r\n");
    server.type_in("\nfrom the operator\n");
    peer.expect_bytes("from the operator\n");
}

#[test]
fn in_raw_the_operators_text_goes_without_its_newline() {
    let mut server = Program::relay("raw");
    let mut peer = Peer::connect(server.tcp());
    peer.say("no newline");
    server.out.expect_bytes("no newline");
    server.type_in("one\n");
    peer.expect_bytes("one");
    server.type_in("two\r\n");
    peer.expect_bytes("two");
}

#[test]
fn in_raw_an_empty_message_closes_all_peers_and_stops_the_server() {
    let mut server = Program::relay("raw");
    let mut peer = Peer::connect(server.tcp());
    peer.say("x");
    server.out.expect_bytes("x");
    server.type_in("\n");
    peer.expect_end();
    assert_eq!(server.exit(), 0);
}

#[test]
fn in_chat_and_lines_an_empty_line_does_nothing() {
    for protocol in ["chat", "lines"] {
        let mut server = Program::relay(protocol);
        let mut peer = Peer::connect(server.tcp());
        if protocol == "chat" {
            peer.greeted();
        }
        server.err.wait_for("opened #1");
        server.type_in("\n\n\nstill here\n");
        assert!(peer.line().ends_with("still here"));
    }
}

#[test]
fn quit_stops_it_in_every_protocol() {
    for protocol in ["chat", "lines", "raw"] {
        let mut server = Program::relay(protocol);
        server.tcp();
        server.type_in("/quit\n");
        assert_eq!(server.exit(), 0, "{protocol}");
    }
}

#[test]
fn an_unknown_command_is_refused_and_never_relayed_and_two_slashes_say_one() {
    for protocol in ["chat", "lines", "raw"] {
        let mut server = Program::relay(protocol);
        let mut peer = Peer::connect(server.tcp());
        let mut prefix = "";
        if protocol == "chat" {
            peer.greeted();
            prefix = "<operator> ";
        }
        server.err.wait_for("opened #1");
        server.type_in("/nosuch\x1b thing\n//quit\n");
        peer.expect_bytes(format!("{prefix}/quit"));
        server.err.wait_for("no command /nosuch\\x1b; ");
    }
}

#[test]
fn the_end_of_stdin_never_stops_the_server() {
    let mut server = Program::chat();
    let mut peer = Peer::join(server.tcp());
    server.type_in("an unfinished last line counts");
    server.end_input();
    peer.expect_line("<operator> an unfinished last line counts");
    peer.say("still here\n");
    server.out.wait_for("still here");
}

#[test]
fn stdin_may_be_dev_null() {
    let mut command = command(&FREE);
    command.stdin(Stdio::null());
    let server = Program::spawn(command);
    let mut peer = Peer::join(server.tcp());
    peer.say("hello\n");
    server.out.wait_for("hello");
}

#[test]
fn stdin_may_be_closed_and_stdout_too() {
    for redirection in ["<&-", "<&- >&-"] {
        let mut shell = Command::new("sh");
        let line = format!("exec \"$0\" serve --tcp 127.0.0.1:0 {redirection}");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_reactor")]);
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let server = Program::spawn(shell);
        let mut one = Peer::join(server.tcp());
        let mut two = Peer::join(server.tcp());
        one.expect_line(format!("* {} joined", two.name));
        two.say("no console\n");
        one.expect_line(format!("<{}> no console", two.name));
    }
}

/// A file's lines are heard in order, and its end does not stop the server.
#[test]
fn stdin_may_be_a_regular_file() {
    for (words, stops) in [("/first\n/second", false), ("/first\n/second\n/quit", true)] {
        let mut command = command(&FREE);
        command.stdin(file_of(words));
        let mut server = Program::spawn(command);
        server.err.wait_for("no command /first; ");
        server.err.wait_for("no command /second; ");
        if stops {
            assert_eq!(server.exit(), 0);
        } else {
            Peer::join(server.tcp());
        }
    }
}

#[test]
fn console_off_leaves_stdin_and_stdout_alone() {
    let mut server = Program::start(&[&FREE[..], &["--console", "off"]].concat());
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    server.type_in("unheard\n/quit\n");
    one.expect_line(format!("* {} joined", two.name));
    two.say("marker\n");
    one.expect_line(format!("<{}> marker", two.name));
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.exit(), 0);
    server.out.expect_end();
    assert!(!server.err.text().contains("only commands"), "{}", server.err.text());
}

#[test]
fn console_commands_reads_commands_and_shows_nothing() {
    let mut server = Program::start(&[&FREE[..], &["--console", "commands"]].concat());
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", two.name));
    server.type_in("unheard\n");
    server.err.wait_for("only commands are read here");
    two.say("marker\n");
    one.expect_line(format!("<{}> marker", two.name));
    server.type_in("/quit\n");
    assert_eq!(server.exit(), 0);
    server.out.expect_end();
}

#[test]
fn a_line_of_the_operator_that_is_too_long_is_refused_whole() {
    let mut server = Program::start(&[&FREE[..], &["--line-max", "16"]].concat());
    let mut peer = Peer::join(server.tcp());
    // In pieces and in one, with and without an end.
    server.type_in("0123456789abcdefg");
    server.err.wait_for("stdin: line too long: at most 16 bytes");
    server.type_in("more of it\n");
    server.type_in("heard\n0123456789abcdefghijklmnopqrstuvwxyz\nheard too\n");
    peer.expect_line("<operator> heard");
    peer.expect_line("<operator> heard too");
    server.type_in("0123456789abcdefghijklmnopqrstuvwxyz");
    server.err.wait_until("a third refusal", |text, _| {
        let refusals = String::from_utf8_lossy(text).matches("line too long").count();
        (refusals == 3).then_some(())
    });
    server.type_in("tail");
    server.end_input();
    let mut other = Peer::join(server.tcp());
    peer.expect_line(format!("* {} joined", other.name));
    other.say("marker\n");
    peer.expect_line(format!("<{}> marker", other.name));
}

/// Says `count` lines of 1,000 bytes, which `hears` must get all of, and then a marker.
fn flood(says: &mut Peer, hears: &mut Peer, count: usize) {
    let filler = "x".repeat(1_000);
    for n in 0..count {
        says.say(format!("{n:06} {filler}\n"));
        hears.expect_line(format!("<{}> {n:06} {filler}", says.name));
    }
    says.say("marker\n");
    hears.expect_line(format!("<{}> marker", says.name));
}

#[test]
fn a_stdout_that_nobody_reads_delays_nobody_and_its_loss_is_told_on_stderr() {
    let mut command = command(&FREE);
    let (read, write) = pipe();
    command.stdout(write);
    let server = Program::spawn(command);
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", two.name));
    let count = 3_000;
    flood(&mut two, &mut one, count);
    // Read at last, it goes on with whole lines, and says how many it has not shown.
    let out = Output::of(read);
    out.wait_for("> marker");
    let told = server.err.wait_for("the console missed ");
    let shown = out.text();
    let notices = 2; // of the two who joined
    let lines = shown.lines().count();
    let missed = count + 1 + notices - lines;
    assert!(missed > 1_000, "{lines} of {count} lines shown");
    assert!(told.contains(&format!("missed {missed} messages")), "{missed} missed, but: {told}");
    let whole = |line: &str| {
        line.starts_with("* ") || line.ends_with(" marker") || line.ends_with(&"x".repeat(1_000))
    };
    assert!(shown.lines().all(whole), "only whole lines");
}

#[test]
fn a_stderr_that_nobody_reads_delays_nobody() {
    let (mut read, write) = pipe();
    let mut command = command(&[&["-vv"][..], &FREE].concat());
    command.stderr(write).stdout(Stdio::null()).stdin(Stdio::null());
    let mut child = command.spawn().unwrap();
    drop(command);
    // Byte by byte up to where it listens, and then no more.
    let mut told = Vec::new();
    let at = loop {
        let mut byte = [0];
        assert_eq!(read.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&told));
        told.extend(byte);
        let text = String::from_utf8_lossy(&told);
        if let Some(line) = text.strip_suffix('\n').and_then(|text| text.lines().last())
            && let Some(rest) = line.strip_prefix("listening tcp ")
        {
            break rest.split(' ').next().unwrap().parse().unwrap();
        }
    };
    let mut one = Peer::join(at);
    let mut two = Peer::join(at);
    one.expect_line(format!("* {} joined", two.name));
    flood(&mut two, &mut one, 3_000);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_stdout_that_is_closed_at_the_other_end_does_not_stop_the_server() {
    let mut command = command(&FREE);
    let (read, write) = pipe();
    command.stdout(write);
    let mut server = Program::spawn(command);
    drop(read);
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", two.name));
    two.say("hello\n");
    one.expect_line(format!("<{}> hello", two.name));
    server.err.wait_for("going on without a console");
    drop(server.stdin.take());
    two.say("again\n");
    one.expect_line(format!("<{}> again", two.name));
}

/// A server whose stdin and stdout are a terminal that cannot move its cursor, so that it is read and
/// written as a pipe is (`terminal.rs` has the others): the server, the terminal's other end to type
/// into, and what is shown.
fn on_a_terminal(args: &[&str]) -> (Program, File, Output) {
    let (master, slave) = terminal();
    let mut command = command(args);
    command.env("TERM", "dumb").stdin(slave.try_clone().unwrap()).stdout(slave);
    let server = Program::spawn(command);
    let screen = Output::of(master.try_clone().unwrap());
    (server, master, screen)
}

#[test]
fn a_terminal_sees_who_says_what_in_lines_and_raw_with_control_bytes_made_visible() {
    for protocol in ["lines", "raw"] {
        let args = [&["-v"][..], &FREE, &["--protocol", protocol]].concat();
        let (server, mut keys, screen) = on_a_terminal(&args);
        let mut peer = Peer::connect(server.tcp());
        peer.say("hi \x1b[31mred\u{202e}\r\n");
        screen.expect_line("#1 hi \\x1b[31mred\\u{202e}");
        keys.write_all(b"typed\n").unwrap();
        peer.expect_bytes("typed");
    }
}

#[test]
fn a_terminal_sees_a_chat_as_the_peers_do() {
    let (server, mut keys, screen) = on_a_terminal(&FREE);
    let mut peer = Peer::join(server.tcp());
    peer.say("hi \x1b[31mred\n");
    screen.expect_line(&format!("* {} joined", peer.name));
    screen.expect_line(&format!("<{}> hi \\x1b[31mred", peer.name));
    keys.write_all(b"typed\n").unwrap();
    peer.expect_line("<operator> typed");
    // Ctrl-D ends the words of the operator, not the server.
    keys.write_all(b"\x04").unwrap();
    peer.say("still here\n");
    screen.expect_line(&format!("<{}> still here", peer.name));
}

#[test]
fn a_terminal_that_is_not_read_delays_nobody() {
    let (master, slave) = terminal();
    let mut command = command(&FREE);
    command.env("TERM", "dumb").stdin(slave.try_clone().unwrap()).stdout(slave);
    let server = Program::spawn(command);
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", two.name));
    flood(&mut two, &mut one, 2_000);
    let screen = Output::of(master);
    screen.wait_for("> marker");
    server.err.wait_for("the console missed ");
}

#[test]
fn much_from_the_operator_reaches_a_peer_whole() {
    let server = Program::relay("lines");
    let mut server = server;
    let mut peer = Peer::connect(server.tcp());
    server.err.wait_for("opened #1");
    let lines: Vec<u8> = (0..40_000).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
    let mut stdin = server.stdin.take().unwrap();
    let sent = lines.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&sent).unwrap());
    let mut received = Vec::new();
    while received.len() < lines.len() {
        let line = peer.line();
        assert!(!line.is_empty(), "the end after {} bytes", received.len());
        received.extend(line.into_bytes());
        received.push(b'\n');
    }
    assert_equal(&received, &lines);
    writer.join().unwrap();
}
