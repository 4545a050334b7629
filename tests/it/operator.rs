//! The operator's words, each answered on the console alone.

use crate::support::{Peer, Program};
use reactor::chat::words::{Speaker, WORDS, Word};
use reactor::serve::PEER_BYTES;

/// A chat whose console is asked only, so that stdout has nothing but answers.
fn commands(more: &[&str]) -> Program {
    Program::serve(&[&["--console", "commands"], more].concat())
}

/// Two peers that have read each other's notices.
fn two(server: &Program) -> (Peer, Peer) {
    let mut one = Peer::join(server.tcp());
    let two = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", two.name));
    (one, two)
}

/// Types a word and reads its answer.
fn ask(server: &mut Program, word: &str, answers: &[&str]) {
    server.type_in(format!("{word}\n"));
    answers.iter().for_each(|answer| server.out.expect_line(&format!("* {answer}")));
}

#[test]
fn who_and_rooms_are_answered_on_stdout_alone() {
    let mut server = commands(&[]);
    let (mut one, mut two) = two(&server);
    ask(&mut server, "/who", &["#lobby, 2 members: guest1, guest2"]);
    ask(&mut server, "/rooms", &["rooms: #lobby 2"]);
    ask(&mut server, "/who #x", &["there is no #x: /rooms lists them"]);
    ask(&mut server, "/ping x", &["pong: x"]);
    one.say("marker\n");
    two.expect_line("<guest1> marker");
    two.say("marker\n");
    one.expect_line("<guest2> marker");
    ask(&mut server, "/ping", &["pong"]); // and what peers say is not shown
}

#[test]
fn the_operator_goes_to_a_room_and_talks_there() {
    let mut server = Program::serve(&[]);
    let (mut one, mut two) = two(&server);
    two.say("/join #x\n");
    two.expect_line("* you are in #x, 1 member");
    one.expect_line("* guest2 left");
    server.type_in("/join #x\nhello x\n");
    server.out.wait_for("* you are in #x, 2 members");
    two.expect_line("* operator joined");
    two.expect_line("<operator> hello x");
    one.expect_line("* operator left");
    two.say("hello operator\n");
    server.out.wait_for("<guest2> hello operator");
    server.type_in("/all to everybody\n");
    one.expect_line("<operator> to everybody");
    two.expect_line("<operator> to everybody");
}

#[test]
fn all_and_msg_work_where_commands_alone_are_read() {
    let mut server = commands(&[]);
    let (mut one, mut two) = two(&server);
    two.say("/join #x\n");
    two.expect_line("* you are in #x, 1 member");
    one.expect_line("* guest2 left");
    server.type_in("/all to everybody\n");
    one.expect_line("<operator> to everybody");
    two.expect_line("<operator> to everybody");
    server.type_in("/msg guest1 psst\n");
    one.expect_line("[operator] psst");
    server.out.expect_line("[to guest1] psst");
    one.say("/msg operator yes?\n");
    one.expect_line("[to operator] yes?");
    server.out.expect_line("[guest1] yes?");
    server.type_in("said\n");
    server.err.wait_for("only commands are read here (--console commands)");
}

#[test]
fn kick_closes_with_the_reason_by_name_and_by_serial() {
    let mut server = commands(&[]);
    let (mut one, mut two) = two(&server);
    let mut third = Peer::join(server.tcp());
    one.expect_line("* guest3 joined");
    two.expect_line("* guest3 joined");
    two.say("/nick Bob\n");
    third.expect_line("* guest2 is now Bob");
    one.expect_line("* guest2 is now Bob");
    two.expect_line("* you are Bob");
    two.expect_line("* guest2 is now Bob");
    ask(&mut server, "/kick bob  too\tloud\x07", &["Bob is kicked"]);
    two.expect_line("* kicked: too\tloud\\x07");
    two.expect_end();
    one.expect_line("* Bob left");
    ask(&mut server, "/kick #3", &["guest3 is kicked"]);
    third.expect_line("* Bob left");
    third.expect_line("* kicked");
    third.expect_end();
    one.expect_line("* guest3 left");
    server.err.wait_for("closed #3: kicked");
    ask(&mut server, "/kick bob", &["nobody is called bob"]);
    ask(&mut server, "/kick #3", &["there is no #3"]);
}

#[test]
fn who_is_muted_is_told_and_heard_by_nobody_until_it_is_no_longer() {
    let mut server = commands(&[]);
    let (mut one, mut two) = two(&server);
    ask(&mut server, "/mute guest1", &["guest1 is muted"]);
    one.say("hello\n/msg guest2 psst\n/ping\n");
    one.expect_line("* you are muted");
    one.expect_line("* you are muted");
    one.expect_line("* pong");
    ask(&mut server, "/mute #1", &["guest1 is no longer muted"]);
    one.say("again\n");
    two.expect_line("<guest1> again");
}

#[test]
fn a_ban_closes_who_is_there_and_lets_nobody_in_until_it_is_taken_back() {
    let mut server = commands(&[]);
    let (mut one, mut two) = two(&server);
    ask(&mut server, "/bans", &["nobody is banned"]);
    ask(&mut server, "/ban 127.0.0.0/8", &["127.0.0.0/8 is banned, 2 closed"]);
    loop {
        match one.line() {
            line if line == "* banned" => break,
            line => assert_eq!(line, "* guest2 left"),
        }
    }
    one.expect_end();
    while two.line() != "* banned" {}
    two.expect_end();
    let mut third = Peer::connect(server.tcp());
    third.expect_line("* banned");
    third.expect_end();
    server.err.wait_for("closed #3: banned");
    ask(&mut server, "/ban 192.0.2.1 for 10m", &["192.0.2.1/32 is banned, 0 closed"]);
    server.type_in("/bans\n");
    server.out.expect_line("* 127.0.0.0/8 is banned");
    let left = server.out.wait_for("192.0.2.1/32 is banned for ");
    assert!(left.ends_with(" s more"), "{left}");
    server.out.expect_line(&left);
    ask(&mut server, "/unban 127.0.0.0/8", &["127.0.0.0/8 is no longer banned"]);
    ask(&mut server, "/unban 127.0.0.0/8", &["127.0.0.0/8 is not banned"]);
    Peer::join(server.tcp());
    server.type_in("/ban nonsense\n");
    server.err.wait_for("/ban: an address is like 192.0.2.7 or 2001:db8::7");
}

/// It ends by itself: the peer that tries again and again comes in.
#[test]
fn a_ban_for_a_while_ends() {
    let mut server = commands(&[]);
    let at = server.tcp();
    ask(&mut server, "/ban 127.0.0.1 for 200ms", &["127.0.0.1/32 is banned, 0 closed"]);
    let begun = std::time::Instant::now();
    while Peer::connect(at).line() == "* banned" {
        assert!(begun.elapsed() < crate::support::WITHIN, "it lasts");
    }
    assert!(begun.elapsed() >= std::time::Duration::from_millis(100), "it began");
    ask(&mut server, "/bans", &["nobody is banned"]);
}

#[test]
fn stats_and_top_tell_what_was_counted() {
    let mut server = commands(&[]);
    ask(&mut server, "/top", &["nobody is behind, nobody spoke"]);
    let (mut one, mut two) = two(&server);
    one.say("one\ntwo\n");
    two.expect_line("<guest1> one");
    two.expect_line("<guest1> two");
    two.say("/quit\n");
    two.expect_end();
    one.expect_line("* guest2 left");
    drop(two);
    server.err.wait_for("closed #2: left");
    server.type_in("/top\n/stats\n");
    let top = server.out.wait_for("guest1 #1 said 2 messages in ");
    server.out.expect_line(&top);
    for part in [
        "* peers: there 1, rooms 1, behind 0, furthest 0, throttled 0, control 0, scrapers 0, ",
        "* closes: left 1",
        "* messages: said 2, delivered ",
        "* bytes: in ",
        "* loop: turns ",
        "* datagrams: in 0, ",
        "* echo: answered 0, ",
    ] {
        let line = server.out.wait_for(part);
        assert!(line.starts_with(part), "{line}");
        server.out.expect_line(&line);
    }
}

#[test]
fn limits_are_shown_and_changed_while_it_runs() {
    let rules = ["--line-max", "100", "--rooms-max", "3", "--history", "5"];
    let crowd = ["--peers-max", "9", "--connect-rate", "7/s"];
    let mut server = commands(&[&rules[..], &crowd].concat());
    let memory = server.err.wait_for("memory for peers <= ");
    assert!(memory.contains(": 3 x 1.0 MiB of logs, 256.0 MiB of buffers, "), "{memory}");
    let connections = |count: usize| format!(", {count} connections x {PEER_BYTES} B");
    assert!(memory.ends_with(&connections(9 + 32)), "{memory}");
    let shown = |line_max: usize| {
        [format!("line-max {line_max}"), "log-bytes 1048576".into(), "rooms-max 3".into()]
            .into_iter()
            .chain([
                "history 5".into(),
                "stall-timeout 60 s".into(),
                "buffers-total 268435456".into(),
                "peers-max 9".into(),
                "peers-per-address-max 0".into(),
                "connect-rate 7".into(),
                "idle-timeout off".into(),
                "line-timeout 60 s".into(),
                memory.clone(),
            ])
            .collect::<Vec<String>>()
    };
    let all = |lines: &[String], server: &mut Program, word: &str| {
        ask(server, word, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    };
    all(&shown(100), &mut server, "/limits");
    let (mut one, mut two) = two(&server);
    all(&shown(24), &mut server, "/limits line-max 24");
    one.say("0123456789abcdefghijklmn\n0123456789abcdefghijklmno\n");
    one.expect_line("* line too long: at most 24 bytes");
    one.expect_end();
    two.expect_line("<guest1> 0123456789abcdefghijklmn");
    two.expect_line("* guest1 left");
    all(&shown(200), &mut server, "/limits line-max 200");
    two.say(format!("{}\n/ping\n", "x".repeat(150)));
    two.expect_line("* pong");
    ask(&mut server, "/limits slow pause", &["slow is none of the limits that /limits can change"]);
    ask(&mut server, "/limits nosuch 1", &["nosuch is none of the limits that /limits can change"]);
    ask(&mut server, "/limits history x", &["history takes a whole number"]);
    let told = format!("line-max takes 1 to {} bytes", reactor::chat::line_len_limit(1 << 20));
    ask(&mut server, "/limits line-max 0", &[&told]);
    server.type_in("/limits peers-max 24\n");
    server.out.wait_for(&connections(24 + 32));
}

#[test]
fn drain_lets_nobody_in_and_stops_when_the_last_has_left() {
    let mut server = commands(&[]);
    let (mut one, two) = two(&server);
    ask(&mut server, "/drain", &["draining: 2 peers are left"]);
    drop(two);
    one.expect_line("* guest2 left");
    assert!(std::net::TcpStream::connect(server.tcp()).is_err(), "it still listens");
    drop(one);
    assert_eq!(server.exit(), 0);
    server.err.wait_for("stopping: drained");
}

#[test]
fn help_tells_the_operators_words() {
    let mut server = commands(&[]);
    server.type_in("/help\n/nick x\n");
    for word in reactor::chat::words::help(reactor::chat::words::Speaker::Operator) {
        server.out.expect_line(&format!("* {word}"));
    }
    server.err.wait_for("/nick is for peers");
}

/// In the order of the help, and nothing else; `|` stands escaped in a table.
#[test]
fn the_page_lists_the_operators_words_with_their_help() {
    let page = include_str!("../../docs/PROTOCOL.md");
    let section = page.split("## 5. The operator's words").nth(1).expect("section 5");
    let rows = section.split("\n## ").next().unwrap_or_default().lines();
    let told: Vec<String> = rows
        .filter(|line| line.starts_with("| `/"))
        .map(|line| line.replace("\\|", "/").splitn(4, '|').skip(1).take(2).collect())
        .collect();
    let row = |word: &Word| format!(" `{}`  {} ", word.to_string().replace('|', "/"), word.help);
    let table: Vec<String> =
        WORDS.iter().filter(|word| word.is_for(Speaker::Operator)).map(row).collect();
    assert_eq!(told, table);
}

/// Nothing may be put into a stream there: the operator is told, and no peer hears a byte.
#[test]
fn in_lines_the_operators_words_that_need_the_chat_are_refused() {
    let mut server = Program::serve(&["--protocol", "lines", "--console", "commands"]);
    let mut peer = Peer::connect(server.tcp());
    server.err.wait_for("opened #1");
    ask(&mut server, "/msg guest1 psst", &["only the chat has private messages"]);
    ask(&mut server, "/join #x", &["only the chat has rooms"]);
    ask(&mut server, "/who", &["#lobby, 1 member: guest1"]);
    server.type_in("/all to everybody\n");
    peer.expect_bytes("to everybody\n");
    ask(&mut server, "/kick #1 why", &["guest1 is kicked"]);
    peer.expect_end();
}
