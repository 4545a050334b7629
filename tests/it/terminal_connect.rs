//! `connect` on a terminal: what the screen shows (vt100 reads it) while peers talk, what is typed, and
//! that the terminal is always given back.

use crate::connect::{accept, listener};
use crate::desk::{Desk, ROWS, rows_of, set_size, size, state};
use crate::support::{Peer, Program, WITHIN, command};
use rustix::process::Signal;
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

/// A client on a terminal, its stderr a pipe.
fn connect_to(server: &str, more: &[&str]) -> (Program, Desk) {
    let (desk, slave) = Desk::new();
    let mut command = command(&[&["connect", server], more].concat());
    command.env("TERM", "xterm").env_remove("NO_COLOR").env("TZ", "UTC");
    command.stdin(slave.try_clone().unwrap()).stdout(slave);
    (Program::spawn(command), desk)
}

/// A server, a client on a terminal that shows it without colour, and a peer of both.
fn chat(more: &[&str]) -> (Program, Program, Desk, Peer) {
    let server = Program::chat();
    let more = [&["--color", "never"], more].concat();
    let (client, desk) = connect_to(&server.tcp().to_string(), &more);
    desk.wait("the greeting", |screen| screen.contents().contains("* you are guest1"));
    let peer = Peer::join(server.tcp());
    desk.wait("the peer", |screen| screen.contents().contains("* guest2 joined"));
    (server, client, desk, peer)
}

/// These are the last rows, above them the status: the address, the room and a time.
fn wait_for(desk: &Desk, at: SocketAddr, above: &str, typed: &str) {
    desk.wait(&format!("{above:?} and {typed:?}"), |screen| {
        let rows = rows_of(screen);
        let [.., last, status, line] = &rows[..] else { return false };
        let status = status.strip_prefix(&format!("{at}  #lobby  "));
        last == above && line == typed && status.is_some_and(|rtt| rtt.ends_with(" ms"))
    });
}

#[test]
fn what_is_typed_is_said_and_shown_as_others_see_it() {
    let (server, _client, mut desk, mut peer) = chat(&[]);
    wait_for(&desk, server.tcp(), "* guest2 joined", ">");
    desk.keys("wrld 你\x1b[D\x7f\x1b[H\x1b[Co\x01hello \x05x\x7f\r");
    peer.expect_line("<guest1> hello world你");
    wait_for(&desk, server.tcp(), "<guest1> hello world你", ">");
    desk.keys("//who\r");
    peer.expect_line("<guest1> /who");
    wait_for(&desk, server.tcp(), "<guest1> /who", ">");
    desk.keys("/nick Ann\r");
    desk.wait("the new name", |screen| screen.contents().contains("* guest1 is now Ann"));
    peer.expect_line("* guest1 is now Ann");
    desk.keys("\x1b[A\x1b[A\r");
    peer.expect_line("<Ann> /who");
    wait_for(&desk, server.tcp(), "<Ann> /who", ">");
}

#[test]
fn a_peer_that_floods_and_is_hostile_leaves_the_line_and_the_order_alone() {
    let (server, _client, mut desk, mut peer) = chat(&[]);
    let evil = "\x1b[2J\x1b[H\x1b]0;title\x07a\rb\x08\u{202e}c\u{9b}1A";
    let says = std::thread::spawn(move || {
        for first in (0..5_000).step_by(100) {
            let lines: String =
                (first..first + 100).map(|n| format!("message {n} {evil}\n")).collect();
            peer.say(lines);
        }
        peer.say(format!("{}\nlast\n", "long ".repeat(10_000)));
        peer
    });
    let text = "a line that 你 types 漢字 meanwhile";
    for c in text.chars() {
        desk.keys(c.to_string());
    }
    desk.keys("\x1b[D\x1b[D");
    let mut peer = says.join().unwrap();
    let typed = format!("> {text}");
    wait_for(&desk, server.tcp(), "<guest2> last", &typed);
    desk.wait("the cursor", |screen| {
        // Two columns for each of the three wide characters, two before it, two back.
        screen.cursor_position().1 == 2 + text.chars().count() as u16 + 3 - 2
    });
    let all = desk.all_rows().concat();
    let shown = "\\x1b[2J\\x1b[H\\x1b]0;title\\x07a\\x0db\\x08\\u{202e}c\\u{9b}1A";
    let mut at = 0;
    for n in 0..5_000 {
        let wanted = format!("<guest2> message {n} {shown}");
        let found = all[at..].find(&wanted);
        at += found.unwrap_or_else(|| panic!("{wanted} comes after {at}"));
    }
    assert_eq!(all.matches(&typed).count(), 1);
    desk.keys("\r");
    peer.expect_line(format!("<guest1> {text}"));
}

#[test]
fn in_lines_no_peer_colours_its_text_or_passes_for_a_notice() {
    let server = Program::relay("lines");
    let (_client, mut desk) =
        connect_to(&server.tcp().to_string(), &["--protocol", "lines", "--color", "always"]);
    desk.wait("the status", |screen| screen.contents().contains("  lines"));
    let mut peer = Peer::connect(server.tcp());
    desk.keys("typed\r");
    peer.expect_bytes("typed\n");
    peer.say("* a notice\n<ann> \x1b[31mred\u{202e}\n");
    desk.wait_for_rows(&[
        "> typed",
        "* a notice",
        "<ann> \\x1b[31mred\\u{202e}",
        &format!("{}  lines", server.tcp()),
        ">",
    ]);
    desk.wait("no attributes", |screen| {
        (0..60).all(|column| {
            (1..3).all(|row| {
                screen.cell(row, column).is_none_or(|cell| {
                    cell.fgcolor() == vt100::Color::Default && !cell.dim() && !cell.bold()
                })
            })
        })
    });
}

#[test]
fn names_notices_and_the_own_name_have_their_attributes() {
    let server = Program::chat();
    let (_client, mut desk) = connect_to(&server.tcp().to_string(), &["--name", "Ann"]);
    desk.wait("the name", |screen| screen.contents().contains("* guest1 is now Ann"));
    let mut peer = Peer::join(server.tcp());
    peer.say("hi ann, Anna\n");
    desk.keys("hello\r");
    desk.wait("both lines", |screen| {
        let rows = rows_of(screen);
        let row = |text: &str| rows.iter().position(|row| row == text).map(|row| row as u16);
        let (Some(theirs), Some(own), Some(notice)) =
            (row("<guest2> hi ann, Anna"), row("<Ann> hello"), row("* guest2 joined"))
        else {
            return false;
        };
        let cell = |row, column| screen.cell(row, column).unwrap();
        assert!(cell(notice, 3).dim());
        assert_ne!(cell(theirs, 1).fgcolor(), vt100::Color::Default, "a name");
        assert_eq!(cell(theirs, 9).fgcolor(), vt100::Color::Default, "no name");
        assert!(cell(theirs, 12).inverse() && cell(theirs, 14).inverse(), "the own name");
        assert!(!cell(theirs, 17).inverse(), "another name");
        assert!(cell(own, 1).bold() && !cell(own, 7).bold());
        true
    });
}

#[test]
fn who_is_ignored_is_not_shown_and_is_shown_again() {
    let (server, _client, mut desk, mut peer) = chat(&[]);
    let mut other = Peer::join(server.tcp());
    desk.keys("/ignore guest2\r");
    desk.wait("the answer", |screen| screen.contents().contains("- guest2 is ignored"));
    peer.say("one\n/msg guest1 psst\n/nick Eve\ntwo\n/ping x\n");
    for _ in 0..5 {
        peer.line();
    }
    other.say("done\n");
    wait_for(&desk, server.tcp(), "<guest3> done", ">");
    desk.keys("/ignore\r");
    wait_for(&desk, server.tcp(), "- ignored: Eve (3 lines)", ">");
    desk.keys("/ignore eve\r");
    wait_for(&desk, server.tcp(), "- Eve is shown again; not shown: 3 lines", ">");
    peer.say("three\n");
    wait_for(&desk, server.tcp(), "<Eve> three", ">");
    let rows = desk.all_rows();
    assert!(!rows.iter().any(|row| row.contains("psst") || row.contains("> one")), "{rows:?}");
    desk.keys("/help\r");
    desk.out.wait_for("* /quit [REASON]");
    assert!(desk.out.text().contains("- /ignore [NAME]"));
}

#[test]
fn a_paste_of_many_lines_goes_line_by_line_and_waits_for_a_slow_link() {
    let (listener, at) = listener();
    let (_client, mut desk) = connect_to(&at, &["--protocol", "lines"]);
    let mut server = accept(&listener);
    desk.wait("a prompt", |screen| rows_of(screen).last().is_some_and(|row| row == ">"));
    // More than a link that is not read takes.
    let line = "x".repeat(10_000);
    let says = std::thread::spawn(move || {
        let lines: String = (0..1_000).map(|n| format!("{n} {line}\r")).collect();
        desk.keys(format!("\x1b[200~{lines}rest\x1b[201~"));
        desk
    });
    for n in 0..1_000 {
        assert_eq!(server.line(), format!("{n} {}", "x".repeat(10_000)));
    }
    says.join()
        .unwrap()
        .wait("the rest", |screen| rows_of(screen).last().is_some_and(|row| row == "> rest"));
}

#[test]
fn a_link_that_is_down_is_told_above_the_prompt_and_in_the_status_and_keys_wait() {
    let (listener, at) = listener();
    let (_client, mut desk) = connect_to(&at, &["--reconnect"]);
    let mut server = accept(&listener);
    server.say("* you are guest1\nhello\nno newline");
    desk.wait("hello", |screen| screen.contents().contains("hello"));
    drop(listener);
    drop(server);
    let down = format!("- connection to {at}: ");
    desk.wait("the notice and the try", |screen| {
        let rows = rows_of(screen);
        let place = rows.iter().rposition(|row| row.starts_with(&format!("{at}  link down, try ")));
        rows.iter().any(|row| row.starts_with(&down)) && place == Some(rows.len() - 2)
    });
    assert!(desk.all_rows().contains(&"no newline".to_owned()), "{:?}", desk.all_rows());
    desk.keys("typed meanwhile\rand behind");
    desk.wait("the line, held", |screen| {
        rows_of(screen).last().is_some_and(|row| row == "> typed meanwhile")
    });
    let address: SocketAddr = at.parse().unwrap();
    let listener = TcpListener::bind(address).unwrap();
    let mut server = accept(&listener);
    server.say("* you are guest2\n");
    while server.line() != "typed meanwhile" {}
    desk.wait("what was behind it", |screen| {
        rows_of(screen).last().is_some_and(|row| row == "> and behind")
    });
}

#[test]
fn every_end_gives_the_terminal_back_and_leaves_no_prompt() {
    let clean = |desk: &Desk| {
        assert!(!desk.is_raw());
        desk.wait("no prompt", |screen| {
            let rows = rows_of(screen);
            !screen.bracketed_paste()
                && screen.cursor_position().1 == 0
                && !rows.iter().any(|row| row.starts_with('>') || row.contains("#lobby  "))
        });
    };
    // Ctrl-D, by the rule of --eof.
    let (_server, mut client, mut desk, mut peer) = chat(&[]);
    desk.keys("half\x15\x04");
    assert_eq!(client.exit(), 0);
    peer.expect_line("* guest1 left");
    clean(&desk);
    // A signal.
    let (_server, mut client, mut desk, _peer) = chat(&[]);
    desk.keys("typed");
    desk.wait("typed", |screen| screen.contents().contains("> typed"));
    assert!(desk.is_raw());
    client.signal(Signal::TERM);
    client.status();
    clean(&desk);
    // The server's end, and a link that breaks.
    for reset in [false, true] {
        let (listener, at) = listener();
        let (mut client, mut desk) = connect_to(&at, &[]);
        let server = accept(&listener);
        desk.keys("typed");
        desk.wait("typed", |screen| screen.contents().contains("> typed"));
        if reset {
            rustix::net::sockopt::set_socket_linger(
                &server.stream,
                Some(std::time::Duration::ZERO),
            )
            .unwrap();
        }
        drop(server);
        assert_eq!(client.exit(), i32::from(reset));
        clean(&desk);
    }
}

#[test]
fn a_stop_gives_the_terminal_back_and_sigcont_takes_it_again() {
    let (server, client, mut desk, _peer) = chat(&[]);
    desk.keys("typed");
    wait_for(&desk, server.tcp(), "* guest2 joined", "> typed");
    client.signal(Signal::TSTP);
    let deadline = Instant::now() + WITHIN;
    while !state(client.id()).starts_with('T') {
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::yield_now();
    }
    assert!(!desk.is_raw());
    desk.wait("no prompt", |screen| !screen.contents().contains("> typed"));
    client.signal(Signal::CONT);
    wait_for(&desk, server.tcp(), "* guest2 joined", "> typed");
    assert!(desk.is_raw());
    set_size(&desk.master, 20, ROWS);
    let (rows, columns) = size(20, ROWS);
    desk.screen.lock().unwrap().0.screen_mut().set_size(rows, columns);
    client.signal(Signal::WINCH);
    desk.wait("a narrow prompt", |screen| {
        rows_of(screen).ends_with(&[server.tcp().to_string(), "> typed".to_owned()])
            || rows_of(screen).last().is_some_and(|row| row == "> typed")
    });
}

#[test]
fn a_time_stands_in_front_of_each_line_on_a_terminal_and_in_a_pipe() {
    let timed = |row: &str, text: &str| {
        row.strip_suffix(text).is_some_and(|time| {
            time.len() == 9
                && time.bytes().all(|byte| byte.is_ascii_digit() || b": ".contains(&byte))
        })
    };
    let (server, _client, mut desk, mut peer) = chat(&["--timestamps"]);
    desk.keys("mine\r");
    peer.expect_line("<guest1> mine");
    peer.say("theirs\n");
    desk.wait("both", |screen| {
        ["<guest1> mine", "<guest2> theirs"]
            .iter()
            .all(|text| rows_of(screen).iter().any(|row| timed(row, text)))
    });
    let piped = Program::start(&["connect", &server.tcp().to_string(), "--timestamps"]);
    let line = piped.out.wait_for("* you are guest3");
    assert!(timed(&line, "* you are guest3"), "{line}");
}

#[test]
fn over_udp_the_line_is_edited_too_and_echoes_come_above_it() {
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let at = server.udp().to_string();
    let (mut client, mut desk) = connect_to(&at, &["--udp"]);
    let status = format!("udp {at}");
    desk.wait_for_rows(&[&status, ">"]);
    desk.keys("wrld\x1b[H\x1b[Co\rnext");
    desk.wait("the echo", |screen| {
        let rows = rows_of(screen);
        let [typed, echo, place, line] = &rows[..] else { return false };
        typed == "> world" && echo.starts_with("world  ") && *place == status && line == "> next"
    });
    desk.keys("\x15\x04");
    assert_eq!(client.exit(), 0);
    assert!(!desk.is_raw());
}
