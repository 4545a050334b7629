//! The control socket: the operator's words and their answers, as a script or a person with `nc -U`
//! has them. `reactor ctl`, which speaks this for them, has its own tests.

use crate::support::{Peer, Program, WITHIN, skip};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A path for one test's socket, gone with it.
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    pub(super) fn new(name: &str) -> Self {
        let name = format!("reactor-it-{}-{name}.sock", std::process::id());
        let place = Place(std::env::temp_dir().join(name));
        let _ = std::fs::remove_file(&place.0);
        place
    }

    pub(super) fn text(&self) -> &str {
        self.0.to_str().expect("a path of ours is text")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A chat with a control socket, and nothing on its console.
pub(super) fn controlled(place: &Place, more: &[&str]) -> Program {
    let flags = ["--console", "off", "--control", place.text()];
    let server = Program::serve(&[&flags[..], more].concat());
    server.err.wait_for(&format!("listening unix {} control", place.text()));
    server
}

/// A script at the control socket.
pub(super) struct Desk(BufReader<UnixStream>);

impl Desk {
    pub(super) fn connect(place: &Place) -> Self {
        let stream = UnixStream::connect(&place.0).expect("the control socket");
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        stream.set_write_timeout(Some(WITHIN)).unwrap();
        Desk(BufReader::new(stream))
    }

    fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).expect("the server reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line
    }

    fn expect(&mut self, lines: &[&str]) {
        for &expected in lines {
            assert_eq!(self.line(), format!("{expected}\n"));
        }
    }

    fn expect_end(&mut self) {
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).expect("the end");
        assert_eq!(rest, "");
    }

    /// One order and the lines of its answer with its end.
    pub(super) fn ask(&mut self, order: &str, answer: &[&str]) {
        self.say(format!("{order}\n"));
        self.expect(answer);
    }
}

#[test]
fn each_order_is_answered_there_alone_and_told_whether_it_was_obeyed() {
    let place = Place::new("each_order");
    let server = controlled(&place, &[]);
    let mut peer = Peer::join(server.tcp());
    let mut desk = Desk::connect(&place);
    desk.ask("/who", &["* #lobby, 1 member: guest1", "ok"]);
    desk.ask("who #x", &["* there is no #x: /rooms lists them", "refused"]);
    desk.ask("ping x", &["* pong: x", "ok"]);
    desk.ask("kick bob", &["* nobody is called bob", "refused"]);
    desk.ask("msg guest1 psst", &["[to guest1] psst", "ok"]);
    peer.expect_line("[operator] psst");
    desk.ask("all to everybody", &["ok"]);
    peer.expect_line("<operator> to everybody");
    desk.ask("mute guest1", &["* guest1 is muted", "ok"]);
    desk.ask("limits history 7x", &["* history takes a whole number", "refused"]);
    desk.ask("nick x", &["* /nick is for peers", "refused"]);
    desk.ask("join #x", &["* you are in no room, and stay in none", "refused"]);
    desk.ask("//hello", &["* nothing is said here; /all TEXT says it in every room", "refused"]);
    desk.ask("ban 192.0.2.0/24 for 10m", &["* 192.0.2.0/24 is banned, 0 closed", "ok"]);
    desk.ask("kick guest1 out", &["* guest1 is kicked", "ok"]);
    peer.expect_line("* kicked: out");
    peer.expect_end();
}

#[test]
fn the_console_is_nobody_to_kick_or_to_mute() {
    let place = Place::new("console");
    let mut server = Program::serve(&["--control", place.text()]);
    server.err.wait_for(&format!("listening unix {} control", place.text()));
    let mut desk = Desk::connect(&place);
    for word in ["kick", "mute"] {
        desk.ask(&format!("{word} operator"), &["* nobody is called operator", "refused"]);
        desk.ask(&format!("{word} #0"), &["* there is no #0", "refused"]);
    }
    server.type_in("/ping there\n");
    server.out.wait_for("pong: there");
}

#[test]
fn orders_that_come_together_are_answered_in_their_order_the_last_one_without_a_newline_too() {
    let place = Place::new("together");
    let _server = controlled(&place, &[]);
    let mut desk = Desk::connect(&place);
    desk.say("ping 1\r\n\nstats\nping 2\nstats all\nping 3\nstats");
    desk.0.get_ref().shutdown(Shutdown::Write).unwrap();
    let mut all = String::new();
    desk.0.read_to_string(&mut all).unwrap();
    let kinds: Vec<&str> = all
        .lines()
        .filter_map(|line| match line {
            _ if line.starts_with("* pong") => Some(&line[8..]),
            "ok" => Some("ok"),
            _ if line.starts_with("* peers: ") => Some("stats"),
            _ if line.starts_with("* reactor_peers ") => Some("all"),
            _ => None,
        })
        .collect();
    let expected = ["1", "ok", "stats", "ok", "2", "ok", "all", "ok", "3", "ok", "stats", "ok"];
    assert_eq!(kinds, expected, "{all}");
}

#[test]
fn its_peers_are_in_no_room_and_counted_apart() {
    let place = Place::new("apart");
    let server = controlled(&place, &["--peers-max", "1"]);
    let mut one = Desk::connect(&place);
    let mut two = Desk::connect(&place);
    one.ask("who", &["* #lobby, 0 members", "ok"]);
    two.ask("ping", &["* pong", "ok"]);
    let mut peer = Peer::join(server.tcp());
    one.say("stats\n");
    let peers = one.line();
    assert!(peers.starts_with("* peers: there 1, rooms 1, "), "{peers}");
    assert!(peers.contains(", control 2, "), "{peers}");
    drop(two);
    peer.say("/who\n");
    peer.expect_line(format!("* #lobby, 1 member: {}", peer.name));
}

#[test]
fn the_socket_is_its_owners_alone_and_gone_behind_a_stop() {
    let place = Place::new("owner");
    let mut server = controlled(&place, &[]);
    let mode = std::fs::metadata(&place.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut desk = Desk::connect(&place);
    desk.ask("/quit", &["ok"]);
    desk.expect_end();
    assert_eq!(server.exit(), 0);
    assert!(!place.0.exists(), "the path is left behind");
}

#[test]
fn a_drain_lets_no_peer_in_and_still_takes_orders() {
    let place = Place::new("drain");
    let mut server = controlled(&place, &[]);
    let peer = Peer::join(server.tcp());
    let mut desk = Desk::connect(&place);
    desk.ask("drain", &["* draining: 1 peers are left", "ok"]);
    assert!(std::net::TcpStream::connect(server.tcp()).is_err(), "it still listens");
    let mut later = Desk::connect(&place);
    later.ask("ping", &["* pong", "ok"]);
    drop(peer);
    later.expect_end();
    assert_eq!(server.exit(), 0);
}

#[test]
fn one_peer_too_many_is_told_so_and_the_others_stay() {
    let place = Place::new("too_many");
    let _server = controlled(&place, &[]);
    let mut desks: Vec<Desk> = (0..8).map(|_| Desk::connect(&place)).collect();
    desks[7].ask("ping", &["* pong", "ok"]);
    let mut ninth = Desk::connect(&place);
    ninth.expect(&["* there are 8 control peers already", "refused"]);
    ninth.expect_end();
    desks[0].ask("ping", &["* pong", "ok"]);
    drop(desks.pop());
    drop(ninth);
    // Its place is free when the server has seen its end.
    let free = std::iter::repeat_with(|| {
        let mut desk = Desk::connect(&place);
        let mut line = String::new();
        let asked =
            desk.0.get_mut().write_all(b"ping\n").and_then(|()| desk.0.read_line(&mut line));
        asked.is_ok() && line == "* pong\n"
    });
    assert!(free.take(1_000).any(|free| free), "no place for a thousand tries");
}

#[test]
fn a_line_that_is_too_long_is_refused_whole_and_the_next_one_obeyed() {
    let place = Place::new("too_long");
    let _server = controlled(&place, &["--line-max", "100"]);
    let mut desk = Desk::connect(&place);
    desk.say(format!("all {}ping no\nping yes\n", "x".repeat(200_000)));
    desk.expect(&["* line too long: at most 100 bytes", "refused", "* pong: yes", "ok"]);
}

/// What is not read stands still; the chat goes on.
#[test]
fn a_script_that_reads_nothing_holds_nobody_up() {
    let place = Place::new("no_reader");
    let server = controlled(&place, &["--stall-timeout", "1s"]);
    let mut desk = Desk::connect(&place);
    let stream = desk.0.get_ref().try_clone().unwrap();
    stream.set_nonblocking(true).unwrap();
    let orders = "help\n".repeat(2_000);
    let mut sent = 0;
    while let Ok(n) = (&stream).write(orders.as_bytes()) {
        sent += n;
    }
    assert!(sent > 64 * 1024, "{sent} bytes");
    let (mut one, mut two) = (Peer::join(server.tcp()), Peer::join(server.tcp()));
    one.expect_line(format!("* {} joined", two.name));
    one.say("hello\n");
    two.expect_line(format!("<{}> hello", one.name));
    server.err.wait_for("took nothing of what was pending in time");
    desk.0.get_mut().set_nonblocking(false).unwrap();
}

#[test]
fn strangers_may_steer_it_socat_and_nc() {
    let place = Place::new("strangers");
    let _server = controlled(&place, &[]);
    let address = format!("UNIX-CONNECT:{}", place.text());
    for (tool, args) in
        [("socat", vec!["-", address.as_str()]), ("nc", vec!["-N", "-U", place.text()])]
    {
        let spawned = Command::new(tool)
            .args(&args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut child) = spawned else {
            skip(&format!("no {tool}: the control socket by hand"));
            continue;
        };
        child.stdin.take().unwrap().write_all(b"/ping there\n").unwrap();
        let told = child.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&told.stdout), "* pong: there\nok\n", "{tool}");
    }
}
