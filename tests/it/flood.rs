//! Who says more than it may: read more slowly, and nobody else bears it.

use crate::support::{Peer, Program};
use std::time::{Duration, Instant};

const LIMITS: [&str; 5] = ["--flood-loopback", "--messages-rate", "20", "--messages-burst", "50"];

fn two(more: &[&str]) -> (Program, Peer, Peer) {
    let server = Program::serve(&[&LIMITS[..], &["--console", "commands"], more].concat());
    let mut reader = Peer::join(server.tcp());
    let talker = Peer::join(server.tcp());
    reader.expect_line("* guest2 joined");
    (server, reader, talker)
}

#[test]
fn fifty_lines_may_be_pasted_and_what_follows_comes_at_the_rate_with_a_word_to_its_sender_alone() {
    let (mut server, mut reader, mut talker) = two(&[]);
    let begun = Instant::now();
    talker.say((0..60).map(|n| format!("{n}\n")).collect::<String>());
    for n in 0..60 {
        reader.expect_line(format!("<guest2> {n}"));
    }
    assert!(begun.elapsed() >= Duration::from_millis(450), "ten of them at 20 a second");
    talker.expect_line("* slow down: you are read at 20 messages and 262144 bytes a second");
    server.type_in("/stats\n");
    let line = server.out.wait_for(", throttled ");
    assert!(!line.contains(", throttled 0,"), "{line}");
}

#[test]
fn a_flooder_does_not_keep_others_from_talking() {
    let (_server, mut reader, mut talker) = two(&[]);
    talker.say("x\n".repeat(2_000));
    talker.expect_line("* slow down: you are read at 20 messages and 262144 bytes a second");
    for n in 0..20 {
        reader.say(format!("{n}\n"));
        while talker.line() != format!("<guest1> {n}") {}
    }
}

#[test]
fn bytes_are_limited_too_and_in_every_protocol() {
    for protocol in ["lines", "raw"] {
        let limits = ["--flood-loopback", "--bytes-rate", "100KiB", "--bytes-burst", "100KiB"];
        let server = Program::serve(&[&limits[..], &["--protocol", protocol]].concat());
        let mut reader = Peer::connect(server.tcp());
        server.err.wait_for("opened #1");
        let mut talker = Peer::connect(server.tcp());
        server.err.wait_for("opened #2");
        let all = format!("{}\n", "x".repeat(1_023)).repeat(200);
        let begun = Instant::now();
        talker.say(&all);
        reader.expect_bytes(&all);
        // The last read is taken whole.
        assert!(begun.elapsed() >= Duration::from_millis(300), "{protocol}: {:?}", begun.elapsed());
    }
}

#[test]
fn peers_of_this_host_are_not_limited_unless_asked_for() {
    let mut server = Program::serve(&["--messages-rate", "1", "--console", "commands"]);
    let mut reader = Peer::join(server.tcp());
    let mut talker = Peer::join(server.tcp());
    reader.expect_line("* guest2 joined");
    talker.say("x\n".repeat(500) + "the end\n");
    while reader.line() != "<guest2> the end" {}
    server.type_in("/stats\n");
    let line = server.out.wait_for(", throttled ");
    assert!(line.contains(", throttled 0,"), "{line}");
}
