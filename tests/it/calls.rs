//! The system calls of the real binary, as strace(1) sees them. What each turn of the loop may call
//! at most is in `src/sim/turns.rs`; here the same is seen from outside.

use crate::support::{Peer, Program, WITHIN, skip};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{fs, thread};

/// Talkers and listeners of the room.
const TALKERS: usize = 3;
const PEERS: usize = 6;

/// One call: its name, its first argument where that is a number, and what it returned.
struct Call {
    name: String,
    fd: Option<i32>,
    returned: i32,
}

/// A line of strace(1); none where it is no finished call.
fn call(line: &str) -> Option<Call> {
    let (name, rest) = line.split_once('(')?;
    let (arguments, returned) = rest.rsplit_once(" = ")?;
    let fd = arguments.split([',', ')']).next()?.parse().ok();
    let returned = returned.split(' ').next()?.parse().ok()?;
    Some(Call { name: name.to_owned(), fd, returned })
}

/// `serve` as the child of nobody but us: the tracer stands aside (-D), so that signals reach the
/// server itself. None where there is no strace, or it may not trace.
fn traced(file: &Path) -> Option<Program> {
    let may = Command::new("strace").args(["-o", "/dev/null", "true"]).status();
    if !may.is_ok_and(|status| status.success()) {
        skip("no strace, or it may not trace");
        return None;
    }
    let mut command = Command::new("strace");
    command.args(["-D", "-o"]).arg(file).arg(env!("CARGO_BIN_EXE_reactor"));
    command.args(["serve", "--tcp", "127.0.0.1:0", "--protocol", "lines", "--console", "off"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Some(Program::spawn(command))
}

/// The record of a server that has ended; strace may write its last line a moment later.
fn record(file: &PathBuf) -> String {
    let deadline = Instant::now() + WITHIN;
    loop {
        let text = fs::read_to_string(file).expect("strace writes it");
        if text.contains("+++ exited") {
            fs::remove_file(file).expect("it is ours");
            return text;
        }
        assert!(Instant::now() < deadline, "strace does not end: {text}");
        thread::yield_now();
    }
}

#[test]
fn strace_counts_one_wait_a_turn_one_recv_a_talker_and_one_send_a_peer() {
    let file = std::env::temp_dir().join(format!("reactor-calls-{}", std::process::id()));
    let Some(mut server) = traced(&file) else { return };
    let at = server.tcp();
    let mut peers: Vec<Peer> = (0..PEERS).map(|_| Peer::connect(at)).collect();
    // Who came last speaks, so all are there when the others have heard it.
    peers[PEERS - 1].say("begin\n");
    peers[..PEERS - 1].iter_mut().for_each(|peer| peer.expect_line("begin"));
    // What is said while the server stands still comes in in one turn.
    server.signal(Signal::STOP);
    for (talker, peer) in peers[..TALKERS].iter_mut().enumerate() {
        peer.say(format!("{talker} one\n{talker} two\n"));
    }
    server.signal(Signal::CONT);
    for (listener, peer) in peers.iter_mut().enumerate() {
        let mut heard: Vec<String> = (0..TALKERS)
            .filter(|&talker| talker != listener)
            .flat_map(|_| [peer.line(), peer.line()])
            .collect();
        heard.sort();
        let others = (0..TALKERS).filter(|&talker| talker != listener);
        let said = others.flat_map(|talker| ["one", "two"].map(|word| format!("{talker} {word}")));
        assert_eq!(heard, said.collect::<Vec<_>>(), "own lines are left out");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    let text = record(&file);
    let chat = text.split("--- SIGTERM").next().expect("a text has a first part");

    let calls: Vec<Call> = chat.lines().filter_map(call).collect();
    let accepted =
        calls.iter().filter(|call| call.name.starts_with("accept") && call.returned >= 0);
    let fds: BTreeSet<i32> = accepted.map(|call| call.returned).collect();
    assert_eq!(fds.len(), PEERS);
    let last = calls.iter().rposition(|call| call.name.starts_with("accept")).expect("some came");
    let registrations = calls[last..].iter().filter(|call| call.name == "epoll_ctl").count();
    assert_eq!(registrations, 0, "none but a connection's own");

    // Turn by turn: what was called of each connection.
    let mut most_talkers = 0;
    for turn in calls[last..].split(|call| call.name.starts_with("epoll_wait")) {
        let (mut recvs, mut sends) = (BTreeMap::new(), BTreeMap::new());
        for call in turn {
            let Some(fd) = call.fd.filter(|fd| fds.contains(fd)) else { continue };
            assert!(call.returned > 0, "{} of {fd} was for nothing", call.name);
            let count = match call.name.as_str() {
                "recvfrom" | "read" => &mut recvs,
                "sendto" | "writev" | "sendmsg" | "write" => &mut sends,
                other => panic!("{other} of a connection"),
            };
            *count.entry(fd).or_insert(0) += 1;
        }
        assert!(
            recvs.values().chain(sends.values()).all(|&count| count == 1),
            "{recvs:?} {sends:?}"
        );
        assert!(sends.is_empty() || !recvs.is_empty(), "all is sent in the turn that brought it");
        most_talkers = most_talkers.max(recvs.len());
    }
    assert!(most_talkers > 1, "a turn had several talkers");
}
