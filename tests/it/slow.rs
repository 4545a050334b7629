//! What is done for a reader that is slower than its room, in each policy of `--slow`.

use crate::support::{Peer, Program};
use rustix::net::sockopt::set_socket_recv_buffer_size;

/// Small logs and buffers, so that little makes a reader slow: with 1,000 bytes a line the log
/// holds some 60, the kernel a few dozen more.
const SMALL: [&str; 6] = ["--log-bytes", "64KiB", "--line-max", "4KiB", "--send-buffer", "4096"];
const LINES: usize = 1_500;

fn server(more: &[&str]) -> Program {
    Program::serve(&[&SMALL[..], &["--console", "commands"], more].concat())
}

/// A peer that will be slow, one that reads, one that talks; all greeted.
fn three(server: &Program) -> [Peer; 3] {
    let slow = Peer::join(server.tcp());
    set_socket_recv_buffer_size(&slow.stream, 4096).unwrap();
    let mut reader = Peer::join(server.tcp());
    let talker = Peer::join(server.tcp());
    reader.expect_line("* guest3 joined");
    let mut slow = slow;
    slow.expect_line("* guest2 joined");
    slow.expect_line("* guest3 joined");
    [slow, reader, talker]
}

fn line(n: usize) -> String {
    format!("{n} {}", "x".repeat(1_000))
}

/// The talker says all of it while the reader reads all of it.
fn flood(talker: &mut Peer, reader: &mut Peer) {
    for n in 0..LINES {
        talker.say(format!("{}\n", line(n)));
        reader.expect_line(format!("<guest3> {}", line(n)));
    }
}

#[test]
fn skip_tells_exactly_what_was_missed_and_nobody_else_notices() {
    let mut server = server(&[]);
    let [mut slow, mut reader, mut talker] = three(&server);
    flood(&mut talker, &mut reader);
    talker.say("the end\n");
    reader.expect_line("<guest3> the end"); // with no receipt before it
    server.type_in("/stats\n");
    let peers = server.out.wait_for("* peers: ");
    assert!(peers.contains(", behind 1, furthest "), "{peers}");
    let (mut next, mut missed) = (0, 0);
    loop {
        let heard = slow.line();
        if let Some(receipt) = heard.strip_prefix("* you missed ") {
            let count = receipt.strip_suffix(" messages: reading too slowly").expect(receipt);
            let count: usize = count.parse().unwrap();
            (next, missed) = (next + count, missed + count);
        } else if heard == "<guest3> the end" {
            break;
        } else {
            assert_eq!(heard, format!("<guest3> {}", line(next)));
            next += 1;
        }
    }
    assert_eq!(next, LINES);
    assert!(missed > 0, "it kept up: the test says nothing");
    // What a reader missed is counted; its own words are not among it.
    slow.say("awake\n");
    reader.expect_line("<guest1> awake");
}

#[test]
fn disconnect_tells_the_slow_one_and_closes_it_after_a_gapless_prefix() {
    let server = server(&["--slow", "disconnect"]);
    let [slow, mut reader, mut talker] = three(&server);
    let mut wakes = slow.stream.try_clone().unwrap();
    let mut said = 0;
    let mut closing = false;
    // Woken when the others are told that it left: it has 2 s then to take its last words.
    while !closing {
        assert!(said < LINES, "it kept up");
        talker.say(format!("{}\n", line(said)));
        loop {
            match reader.line() {
                heard if heard == "* guest1 left" => closing = true,
                heard => break assert_eq!(heard, format!("<guest3> {}", line(said))),
            }
        }
        said += 1;
    }
    let mut heard = String::new();
    std::io::Read::read_to_string(&mut wakes, &mut heard).expect("the end");
    let told = heard.strip_suffix("* closed: reading too slowly\n").expect("it is told");
    for (n, heard) in told.lines().enumerate() {
        assert_eq!(heard, format!("<guest3> {}", line(n)));
    }
    assert!(told.ends_with('\n') && told.lines().count() < said);
    server.err.wait_for("closed #1: reading too slowly");
}

#[test]
fn pause_loses_nothing_and_who_talks_waits_for_the_slowest() {
    let server = server(&["--slow", "pause"]);
    let [mut slow, mut reader, talker] = three(&server);
    let mut writer = talker.stream.try_clone().unwrap();
    let all: String = (0..LINES / 5).map(|n| format!("{}\n", line(n))).collect();
    let talking =
        std::thread::spawn(move || std::io::Write::write_all(&mut writer, all.as_bytes()));
    // The log alone is full long before the first hundred that the slow one reads late.
    for n in 0..30 {
        reader.expect_line(format!("<guest3> {}", line(n)));
    }
    let rest = std::thread::spawn(move || {
        for n in 30..LINES / 5 {
            reader.expect_line(format!("<guest3> {}", line(n)));
        }
    });
    for n in 0..LINES / 5 {
        slow.expect_line(format!("<guest3> {}", line(n)));
    }
    rest.join().unwrap();
    talking.join().unwrap().unwrap();
}

/// The one that takes nothing is closed, and then all is heard.
#[test]
fn pause_closes_who_holds_the_others_up_for_the_stall_timeout() {
    let server = server(&["--slow", "pause", "--stall-timeout", "300ms"]);
    let [_slow, mut reader, talker] = three(&server);
    let mut writer = talker.stream.try_clone().unwrap();
    let all: String = (0..LINES).map(|n| format!("{}\n", line(n))).collect();
    let talking =
        std::thread::spawn(move || std::io::Write::write_all(&mut writer, all.as_bytes()));
    let (mut next, mut left) = (0, false);
    while next < LINES {
        let heard = reader.line();
        if heard == "* guest1 left" {
            left = true;
            continue;
        }
        assert_eq!(heard, format!("<guest3> {}", line(next)));
        next += 1;
    }
    assert!(left, "nobody was held up: the test says nothing");
    talking.join().unwrap().unwrap();
    server.err.wait_for("closed #1: ");
}

/// Talkers of other rooms go on.
#[test]
fn pause_holds_up_one_room_alone() {
    let server = server(&["--slow", "pause"]);
    let [_slow, mut reader, talker] = three(&server);
    let mut other = Peer::join(server.tcp());
    reader.expect_line("* guest4 joined");
    other.say("/join #x\n");
    while !other.line().starts_with("* you are in #x, ") {}
    let mut friend = Peer::join(server.tcp());
    friend.say("/join #x\n");
    while !friend.line().starts_with("* you are in #x, ") {}
    let mut writer = talker.stream.try_clone().unwrap();
    let all: String = (0..LINES * 4).map(|n| format!("{}\n", line(n))).collect();
    std::thread::spawn(move || std::io::Write::write_all(&mut writer, all.as_bytes()));
    for n in 0..LINES {
        other.say(format!("{}\n", line(n)));
        loop {
            match friend.line() {
                heard if heard.starts_with("<guest4>") => {
                    break assert_eq!(heard, format!("<guest4> {}", line(n)));
                }
                notice => assert!(notice.starts_with("* guest"), "{notice}"),
            }
        }
    }
}

#[test]
fn in_lines_and_raw_skip_is_refused() {
    for protocol in ["lines", "raw"] {
        let args = ["serve", "--tcp", "127.0.0.1:0", "--protocol", protocol, "--slow", "skip"];
        let why = "take disconnect or pause";
        let told = format!(
            "--slow skip: nothing may be put into a stream of --protocol {protocol}; {why}"
        );
        Program::start(&args).expect_failure(2, &told);
    }
}

#[test]
fn in_lines_there_are_no_commands() {
    let server = Program::relay("lines");
    let mut one = Peer::connect(server.tcp());
    server.err.wait_for("opened #1");
    let mut two = Peer::connect(server.tcp());
    server.err.wait_for("opened #2");
    two.say("/quit\n//x\n/nick x\n");
    one.expect_bytes("/quit\n//x\n/nick x\n");
    one.say("still here\n");
    two.expect_bytes("still here\n");
}
