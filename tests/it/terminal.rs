//! The operator's console on a terminal: what the screen shows (vt100 reads it), what is typed, and
//! that the terminal is always given back.

use crate::desk::{Desk, ROWS, owned, rows_of, set_size, size, state};
use crate::support::{Peer, Program, WITHIN, command, skip, terminal};
use reactor::os::terminal::give_back_at_panic;
use rustix::process::Signal;
use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A server on a terminal, its stderr a pipe.
fn serve(more: &[&str]) -> (Program, Desk) {
    let (desk, slave) = Desk::new();
    let args = [&["serve", "--tcp", "127.0.0.1:0"], more].concat();
    let mut command = command(&args);
    command.env("TERM", "xterm").stdin(slave.try_clone().unwrap()).stdout(slave);
    let server = Program::spawn(command);
    (server, desk)
}

/// The status row of a server in the lobby.
fn status(server: &Program, peers: &str) -> String {
    format!("{}  {peers}  #lobby", server.tcp())
}

#[test]
fn what_is_typed_is_said_shown_and_remembered() {
    let (server, mut desk) = serve(&[]);
    let status = status(&server, "1 peer");
    let mut peer = Peer::join(server.tcp());
    desk.wait_for_rows(&["* guest1 joined", &status, ">"]);
    desk.keys("wrld 你\x1b[D\x7f\x1b[H\x1b[Co\x01hello \x05x\x7f\r");
    peer.expect_line("<operator> hello world你");
    desk.wait_for_rows(&["<operator> hello world你", &status, ">"]);
    desk.keys("\x1b[A\x17\x1b[A again");
    desk.wait_for_rows(&[&status, "> hello world again"]);
    desk.keys("\r/who\r");
    peer.expect_line("<operator> hello world again");
    desk.wait_for_rows(&["> /who", "* #lobby, 2 members: operator, guest1", &status, ">"]);
}

#[test]
fn ten_thousand_messages_leave_the_line_being_typed_alone_and_come_in_order() {
    let (server, mut desk) = serve(&[]);
    let mut peer = Peer::join(server.tcp());
    desk.wait("the first prompt", |screen| rows_of(screen).ends_with(&owned(&[">"])));
    let says = std::thread::spawn(move || {
        for first in (0..10_000).step_by(100) {
            let lines: String = (first..first + 100).map(|n| format!("message {n}\n")).collect();
            peer.say(lines);
        }
        peer
    });
    let text = "a line that 你 types 漢字 meanwhile";
    for c in text.chars() {
        desk.keys(c.to_string());
    }
    let mut peer = says.join().unwrap();
    let status = status(&server, "1 peer");
    desk.wait_for_rows(&["<guest1> message 9999", &status, &format!("> {text}")]);
    let said: Vec<String> =
        desk.all_rows().into_iter().filter(|row| row.contains("message")).collect();
    let expected: Vec<String> = (0..10_000).map(|n| format!("<guest1> message {n}")).collect();
    assert_eq!(said, expected);
    desk.keys("\r");
    peer.expect_line(format!("<operator> {text}"));
}

#[test]
fn a_hostile_peer_moves_nothing_on_the_screen() {
    let (server, mut desk) = serve(&["--color", "never"]);
    let mut peer = Peer::join(server.tcp());
    desk.keys("typed");
    let evil = "\x1b[2J\x1b[H\x1b]0;title\x07a\rb\x08c\u{202e}d\u{9b}1Ae";
    peer.say(format!("{evil}\n{}\nend\n", "long ".repeat(2_000)));
    let status = status(&server, "1 peer");
    desk.wait_for_rows(&["<guest1> end", &status, "> typed"]);
    let rows = desk.all_rows();
    let shown = "<guest1> \\x1b[2J\\x1b[H\\x1b]0;title\\x07a\\x0db\\x08c\\u{202e}d\\u{9b}1Ae";
    assert!(rows.concat().contains(shown), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.contains("typed")).count(), 1);
}

#[test]
fn a_paste_of_many_lines_is_said_line_by_line() {
    let (server, mut desk) = serve(&[]);
    let mut peer = Peer::join(server.tcp());
    desk.wait("the first prompt", |screen| rows_of(screen).ends_with(&owned(&[">"])));
    let lines: String = (0..200).map(|n| format!("line {n}\r\n")).collect();
    desk.keys(format!("\x1b[200~{lines}rest\x1b[201~"));
    for n in 0..200 {
        peer.expect_line(format!("<operator> line {n}"));
    }
    desk.wait_for_rows(&["<operator> line 199", &status(&server, "1 peer"), "> rest"]);
}

#[test]
fn a_new_size_is_taken_in() {
    let (server, mut desk) = serve(&[]);
    desk.keys("typed");
    desk.wait_for_rows(&[&status(&server, "0 peers"), "> typed"]);
    set_size(&desk.master, 12, ROWS);
    let (rows, columns) = size(12, ROWS);
    desk.screen.lock().unwrap().0.screen_mut().set_size(rows, columns);
    server.signal(Signal::WINCH);
    desk.wait_for_rows(&[&status(&server, "")[..11], "> typed"]);
}

#[test]
fn the_end_gives_the_terminal_back_and_leaves_no_prompt() {
    let (mut server, mut desk) = serve(&[]);
    desk.keys("typed");
    desk.wait_for_rows(&[&status(&server, "0 peers"), "> typed"]);
    assert!(desk.is_raw());
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    assert!(!desk.is_raw());
    desk.wait("an empty bottom", |screen| {
        rows_of(screen) == ["* the server is stopping"]
            && screen.cursor_position() == (1, 0)
            && !screen.bracketed_paste()
    });
}

#[test]
fn a_stop_gives_the_terminal_back_and_sigcont_takes_it_again() {
    let (server, mut desk) = serve(&[]);
    let status = status(&server, "0 peers");
    desk.keys("typed");
    desk.wait_for_rows(&[&status, "> typed"]);
    server.signal(Signal::TSTP);
    let deadline = Instant::now() + WITHIN;
    while !state(server.id()).starts_with('T') {
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::yield_now();
    }
    assert!(!desk.is_raw());
    desk.wait("an empty screen", |screen| rows_of(screen).is_empty());
    server.signal(Signal::CONT);
    desk.wait_for_rows(&[&status, "> typed"]);
    assert!(desk.is_raw());
}

#[test]
fn sigquit_gives_the_terminal_back_and_ends_by_it() {
    let (desk, slave) = Desk::new();
    let mut command = Command::new("sh");
    let serve =
        format!("ulimit -c 0; exec {} serve --tcp 127.0.0.1:0", env!("CARGO_BIN_EXE_reactor"));
    command.args(["-c", &serve]).env("TERM", "xterm").stderr(Stdio::piped());
    command.stdin(slave.try_clone().unwrap()).stdout(slave);
    let mut server = Program::spawn(command);
    desk.wait("a prompt", |screen| rows_of(screen).ends_with(&owned(&[">"])));
    assert!(desk.is_raw());
    server.signal(Signal::QUIT);
    assert_eq!(server.status().signal(), Some(Signal::QUIT.as_raw()));
    assert!(!desk.is_raw());
    desk.wait("an empty screen", |screen| rows_of(screen).is_empty());
}

#[test]
fn control_d_ends_the_words_and_not_the_server() {
    let (server, mut desk) = serve(&[]);
    let mut peer = Peer::join(server.tcp());
    desk.wait_for_rows(&["* guest1 joined", &status(&server, "1 peer"), ">"]);
    desk.keys("\x04");
    desk.wait("no prompt", |screen| rows_of(screen) == ["* guest1 joined"]);
    peer.say("still here\n");
    desk.wait("the message", |screen| {
        rows_of(screen).last().is_some_and(|row| row.contains("still here"))
    });
    assert!(!desk.is_raw());
}

#[test]
fn a_screen_that_is_not_read_delays_nobody() {
    let (master, slave) = terminal();
    let mut command = command(&["serve", "--tcp", "127.0.0.1:0"]);
    command.env("TERM", "xterm").stdin(slave.try_clone().unwrap()).stdout(slave);
    let server = Program::spawn(command);
    let (mut one, mut two) = (Peer::join(server.tcp()), Peer::join(server.tcp()));
    one.expect_line("* guest2 joined");
    for n in 0..2_000 {
        two.say(format!("{n} {}\n", "x".repeat(1_000)));
        one.line();
    }
    (&master).write_all(b"typed\r").unwrap();
    one.expect_line("<operator> typed");
}

/// A shell with job control on a terminal of its own, its stderr too.
fn shell() -> Option<(Desk, std::process::Child)> {
    let (desk, slave) = Desk::new();
    let mut modes = tcgetattr(&slave).unwrap();
    modes.output_modes.insert(OutputModes::OPOST | OutputModes::ONLCR);
    tcsetattr(&slave, OptionalActions::Now, &modes).unwrap();
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait", "sh", "-i"]).env("TERM", "xterm").env("PS1", "$ ");
    command.env_remove("ENV").env_remove("RUST_LOG");
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
    match command.spawn() {
        Ok(child) => Some((desk, child)),
        Err(_) => {
            skip("no setsid(1)");
            None
        }
    }
}

/// Where the server on this screen listens.
fn listening(desk: &Desk) -> SocketAddr {
    desk.out.wait_until("an address", |bytes, _| {
        let text = String::from_utf8_lossy(bytes);
        let after = text.split("listening tcp ").nth(1)?;
        after.split_once(' ')?.0.parse().ok()
    })
}

#[test]
fn a_shell_stops_it_continues_it_and_has_its_terminal_meanwhile() {
    let Some((mut desk, mut shell)) = shell() else { return };
    let serve = format!("{} serve --tcp 127.0.0.1:0", env!("CARGO_BIN_EXE_reactor"));
    // In the background it leaves the terminal alone: the shell's own line is edited by the system.
    desk.keys(format!("{serve} &\n"));
    let at = listening(&desk);
    assert!(!desk.is_raw());
    let mut peer = Peer::join(at);
    desk.wait("the notice", |screen| screen.contents().contains("* guest1 joined"));
    desk.keys("fg\n");
    let status = format!("{at}  1 peer  #lobby");
    desk.wait_for_rows(&[&status, ">"]);
    desk.keys("half a line");
    desk.wait_for_rows(&[&status, "> half a line"]);
    desk.keys("\x1a");
    desk.wait("the shell", |screen| screen.contents().contains("Stopped"));
    desk.keys("fg\n");
    desk.wait_for_rows(&[&status, "> half a line"]);
    desk.keys(" is whole\r");
    peer.expect_line("<operator> half a line is whole");
    desk.keys("/quit\r");
    peer.expect_line("* the server is stopping");
    drop(peer);
    desk.wait("the shell again", |screen| {
        rows_of(screen).last().is_some_and(|row| row.trim_end() == "$")
    });
    desk.keys("exit\n");
    shell.wait().unwrap();
}

#[test]
fn log_lines_come_above_the_line_and_telling_them_ends() {
    let Some((mut desk, mut shell)) = shell() else { return };
    let serve = format!("exec {} -vv serve --tcp 127.0.0.1:0", env!("CARGO_BIN_EXE_reactor"));
    desk.keys(format!("{serve}\n"));
    let at = listening(&desk);
    desk.keys("typed");
    let mut peer = Peer::join(at);
    let ends = |end: String| {
        move |screen: &vt100::Screen| {
            let rows = rows_of(screen);
            let typed = rows.iter().filter(|row| row.contains("> typed")).count();
            typed == 1 && rows.ends_with(&[end.clone(), "> typed".to_owned()])
        }
    };
    desk.wait("the typed line", ends(format!("{at}  1 peer  #lobby")));
    desk.wait("a call", |screen| screen.contents().contains("accept"));
    // What a line causes is not told: of a second peer's coming there is an end.
    drop(Peer::join(at));
    peer.expect_line("* guest2 joined");
    peer.expect_line("* guest2 left");
    let lines = desk.out.text().matches("DEBUG").count();
    peer.say("/ping x\n");
    peer.line();
    assert!(desk.out.text().matches("DEBUG").count() < lines + 100);
    desk.keys("\x15/quit\r");
    peer.expect_line("* the server is stopping");
    drop(peer);
    shell.wait().unwrap();
    assert!(!desk.is_raw());
}

/// The same binary as a child that panics with a terminal taken: `REACTOR_IT_PANICS` tells it.
#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    use reactor::os::{Os, mio::MioOs};
    if std::env::var_os("REACTOR_IT_PANICS").is_some() {
        give_back_at_panic();
        let mut os = MioOs::new(Default::default()).unwrap();
        let mut console = os.console(reactor::handler::PeerId { serial: 0, slot: 0 }).unwrap();
        os.take_terminal(&mut console).unwrap();
        let mut byte = [0];
        while os.recv(&mut console, &mut byte).is_err() {
            std::thread::yield_now();
        }
        panic!("as asked");
    }
    let (mut desk, slave) = Desk::new();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let name = "terminal::a_panic_gives_the_terminal_back_before_its_message";
    command.args(["--exact", name, "--nocapture"]).env("REACTOR_IT_PANICS", "1");
    command.stdin(slave.try_clone().unwrap()).stdout(slave).stderr(Stdio::piped());
    let mut child = Program::spawn(command);
    let deadline = Instant::now() + WITHIN;
    while !desk.is_raw() {
        assert!(Instant::now() < deadline, "the child takes no terminal");
        std::thread::yield_now();
    }
    desk.keys("x");
    child.err.wait_for("as asked");
    assert!(!desk.is_raw());
    assert_eq!(child.exit(), 101);
}
