//! `--gather` and `--spin`: when the loop writes, and when it sleeps. How much they buy is for the
//! benches; here is shown that they change nothing else.

use crate::support::{Peer, Program};
use rustix::process::Signal;

/// As long as the flag goes: on a busy machine too both lines are read in it.
const GATHER: [&str; 2] = ["--gather", "1s"];

#[test]
fn lines_that_come_within_the_time_leave_in_one_send() {
    let serve = ["-vv", "serve", "--tcp", "127.0.0.1:0", "--protocol", "lines"];
    let server = Program::start(&[&serve[..], &GATHER].concat());
    let mut reader = Peer::connect(server.tcp());
    let mut talkers = [Peer::connect(server.tcp()), Peer::connect(server.tcp())];
    talkers[0].say("one\n");
    server.err.wait_for("recv #2 4 bytes");
    talkers[1].say("two\n");
    reader.expect_line("one");
    reader.expect_line("two");
    server.err.wait_for("send #1 8 bytes");
}

#[test]
fn a_server_that_spins_serves_and_sleeps_again() {
    for spin in ["auto", "1ms"] {
        let mut server = Program::serve(&["--spin", spin]);
        let mut peer = Peer::join(server.tcp());
        peer.say("/ping x\n");
        peer.expect_line("* pong: x");
        // Seen asleep once, for there is nothing left to do: a process that spins is runnable.
        let stat = format!("/proc/{}/stat", server.id());
        let asleep = || std::fs::read_to_string(&stat).unwrap().contains(") S ");
        let deadline = std::time::Instant::now() + crate::support::WITHIN;
        while !asleep() {
            assert!(std::time::Instant::now() < deadline, "it never sleeps");
            std::thread::yield_now();
        }
        drop(peer);
        server.signal(Signal::TERM);
        assert_eq!(server.exit(), 0);
    }
}
