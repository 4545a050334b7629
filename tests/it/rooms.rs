//! Names, rooms, history and private words over real sockets.

use crate::support::{Peer, Program};

/// A chat and `N` peers that have read each other's notices, called `a`, `b`, … from here on.
fn peers<const N: usize>(more: &[&str]) -> (Program, [Peer; N]) {
    let server = Program::serve(more);
    let mut peers: Vec<Peer> = Vec::new();
    for name in ["a", "b", "c", "d"].into_iter().take(N) {
        let mut peer = Peer::join(server.tcp());
        peers.iter_mut().for_each(|p| p.expect_line(format!("* {} joined", peer.name)));
        call(&mut peer, name);
        let now = format!("* guest{} is now {name}", peers.len() + 1);
        peers.iter_mut().for_each(|p| p.expect_line(&now));
        peers.push(peer);
    }
    (server, peers.try_into().ok().expect("as many as asked for"))
}

/// Takes a name, which is told to the room and so to itself.
fn call(peer: &mut Peer, name: &str) {
    let before = std::mem::replace(&mut peer.name, name.to_owned());
    peer.say(format!("/nick {name}\n"));
    peer.expect_line(format!("* you are {name}"));
    peer.expect_line(format!("* {before} is now {name}"));
}

/// Nothing came before the answer to this ping.
fn nothing_before_pong(peer: &mut Peer) {
    peer.say("/ping marker\n");
    peer.expect_line("* pong: marker");
}

#[test]
fn a_name_is_taken_once_in_any_case_and_free_when_its_owner_leaves() {
    let (server, [mut a, mut b]) = peers(&[]);
    b.say("/nick A\n");
    b.expect_line("* A is taken");
    call(&mut a, "Alpha");
    b.expect_line("* a is now Alpha");
    call(&mut a, "ALPHA"); // another spelling of one's own
    b.expect_line("* Alpha is now ALPHA");
    b.say("/nick alpha\n");
    b.expect_line("* alpha is taken");
    b.say("/nick a\n");
    b.expect_line("* you are a");
    b.expect_line("* b is now a");
    a.expect_line("* b is now a");
    drop(a);
    b.expect_line("* ALPHA left");
    let mut c = Peer::join(server.tcp());
    c.say("/nick alpha\n");
    c.expect_line("* you are alpha");
}

#[test]
fn a_name_that_breaks_the_rules_is_refused_in_one_line_and_nobody_else_is_told() {
    let (_server, [mut a, mut b]) = peers(&[]);
    let long = "x".repeat(33);
    for (name, why) in [
        ("guest7", "operator, server, and guest with a number are nobody's to take"),
        ("Operator", "operator, server, and guest with a number are nobody's to take"),
        ("server", "operator, server, and guest with a number are nobody's to take"),
        (&*long, "a name has at most 32 characters"),
        ("42", "a name has at least one letter"),
        ("аdmin", "a name is written in one script, not in several"),
    ] {
        a.say(format!("/nick {name}\n"));
        a.expect_line(format!("* /nick: {why}"));
    }
    a.say("/nick a b\n");
    assert!(a.line().starts_with("* /nick: a name has letters, digits"));
    a.say("/nick\n");
    a.expect_line("* usage: /nick NAME");
    call(&mut a, "Łódź-1_x.y");
    b.expect_line("* a is now Łódź-1_x.y");
}

#[test]
fn who_joins_a_room_hears_that_room_alone_and_both_rooms_are_told() {
    let (_server, [mut a, mut b, mut c]) = peers(&[]);
    b.say("/join #Rust\n");
    b.expect_line("* you are in #rust, 1 member");
    a.expect_line("* b left");
    c.expect_line("* b left");
    c.say("/join #rust\n");
    c.expect_line("* you are in #rust, 2 members");
    a.expect_line("* c left");
    b.expect_line("* c joined");
    a.say("to the lobby\n");
    nothing_before_pong(&mut a);
    b.say("to rust\n");
    c.expect_line("<b> to rust");
    nothing_before_pong(&mut b);
    nothing_before_pong(&mut a);
    b.say("/join #rust\n");
    b.expect_line("* you are in #rust already");
    b.say("/join rust\n");
    b.expect_line("* /join: a room's name begins with #");
}

#[test]
fn rooms_and_who_tell_what_is_there_and_an_empty_room_is_gone() {
    let (_server, [mut a, mut b]) = peers(&["--console", "off"]);
    b.say("/join #x\n");
    b.expect_line("* you are in #x, 1 member");
    a.expect_line("* b left");
    a.say("/rooms\n/who\n/who #x\n/who #y\n");
    a.expect_line("* rooms: #lobby 1, #x 1");
    a.expect_line("* #lobby, 1 member: a");
    a.expect_line("* #x, 1 member: b");
    a.expect_line("* there is no #y: /rooms lists them");
    b.say("/join #lobby\n");
    b.expect_line("* you are in #lobby, 2 members");
    a.expect_line("* b joined");
    a.say("/rooms\n");
    a.expect_line("* rooms: #lobby 2");
}

#[test]
fn the_operator_is_a_member_of_the_lobby_only_where_it_talks() {
    let (_server, [mut a]) = peers(&[]);
    a.say("/who\n");
    a.expect_line("* #lobby, 2 members: operator, a");
    let (_server, [mut a]) = peers(&["--console", "commands"]);
    a.say("/who\n");
    a.expect_line("* #lobby, 1 member: a");
}

#[test]
fn there_are_no_more_rooms_than_rooms_max() {
    let (_server, [mut a, mut b]) = peers(&["--rooms-max", "2"]);
    a.say("/join #x\n");
    a.expect_line("* you are in #x, 1 member");
    b.expect_line("* a left");
    b.say("/join #y\n");
    b.expect_line("* there are enough rooms: /rooms lists them");
    a.say("/join #lobby\n");
    a.expect_line("* you are in #lobby, 3 members");
    b.expect_line("* a joined");
    b.say("/join #y\n");
    b.expect_line("* you are in #y, 1 member");
}

/// What a newcomer is told that was said before; notices do not count.
fn history_of(server: &Program) -> Vec<String> {
    let mut newcomer = Peer::join(server.tcp());
    newcomer.say("/ping end\n");
    let mut lines = Vec::new();
    loop {
        match newcomer.line() {
            line if line == "* pong: end" => break,
            line if line.starts_with('<') => lines.push(line),
            line => assert!(line.ends_with(" joined") || line.contains(" is now "), "{line}"),
        }
    }
    lines
}

#[test]
fn a_newcomer_gets_the_last_twenty_messages_and_notices_do_not_count() {
    let (server, [mut a, mut b]) = peers(&[]);
    for n in 0..30 {
        a.say(format!("line {n}\n"));
        b.expect_line(format!("<a> line {n}"));
        if n >= 10 {
            call(&mut b, &format!("b{n}"));
            a.expect_line(format!(
                "* {} is now b{n}",
                if n > 10 { format!("b{}", n - 1) } else { "b".into() }
            ));
        }
    }
    let wanted: Vec<String> = (10..30).map(|n| format!("<a> line {n}")).collect();
    assert_eq!(history_of(&server), wanted);
}

#[test]
fn history_may_be_none_or_another_number() {
    for (history, wanted) in [("0", &[][..]), ("2", &["<a> two", "<a> three"])] {
        let (server, [mut a, mut b]) = peers(&["--history", history]);
        a.say("one\ntwo\nthree\n");
        for text in ["one", "two", "three"] {
            b.expect_line(format!("<a> {text}"));
        }
        assert_eq!(history_of(&server), wanted, "--history {history}");
    }
}

#[test]
fn each_stay_begins_with_the_rooms_history_without_ones_own() {
    let (_server, [mut a, mut b]) = peers(&[]);
    a.say("by a\n");
    b.expect_line("<a> by a");
    b.say("by b\n");
    a.expect_line("<b> by b");
    b.say("/join #x\n");
    b.expect_line("* you are in #x, 1 member");
    a.expect_line("* b left");
    a.say("meanwhile\n/ping\n");
    a.expect_line("* pong");
    b.say("/join #lobby\n");
    b.expect_line("* you are in #lobby, 3 members");
    a.expect_line("* b joined");
    a.say("the end\n");
    let mut said = Vec::new();
    while said.last().is_none_or(|line| line != "<a> the end") {
        let line = b.line();
        said.extend(line.starts_with('<').then_some(line));
    }
    assert_eq!(said, ["<a> by a", "<a> meanwhile", "<a> the end"]);
}

#[test]
fn a_private_message_is_seen_by_both_and_by_nobody_else() {
    let (server, [mut a, mut b, mut c]) = peers(&[]);
    a.say("/msg B psst \x1b[2J\n");
    b.expect_line("[a] psst \\x1b[2J");
    a.expect_line("[to b] psst \\x1b[2J");
    nothing_before_pong(&mut c);
    a.say("/msg operator hello\n");
    server.out.wait_for("[a] hello");
    a.expect_line("[to operator] hello");
    assert!(!server.out.text().contains("psst"), "the operator overhears");
    a.say("/msg nosuch x\n/msg b\n");
    a.expect_line("* nobody is called nosuch");
    a.expect_line("* usage: /msg NAME TEXT");
    // Across rooms too, and to a guest by number.
    let mut d = Peer::join(server.tcp());
    b.say("/join #x\n");
    d.say("/msg b from afar\n");
    loop {
        match b.line() {
            line if line.starts_with("* ") => {}
            line => break assert_eq!(line, format!("[{}] from afar", d.name)),
        }
    }
}

#[test]
fn a_private_message_that_finds_no_room_is_told_as_not_delivered() {
    let (_server, [mut a, b]) = peers(&["--send-buffer", "4096"]);
    rustix::net::sockopt::set_socket_recv_buffer_size(&b.stream, 4096).unwrap();
    let text = "x".repeat(1_000);
    let mut delivered = 0;
    loop {
        a.say(format!("/msg b {text}\n"));
        match a.line() {
            line if line.starts_with("[to b] ") => delivered += 1,
            line => break assert_eq!(line, "* not delivered: b reads too slowly"),
        }
        assert!(delivered < 100_000, "it kept up");
    }
    let mut b = b;
    for _ in 0..delivered {
        b.expect_line(format!("[a] {text}"));
    }
    nothing_before_pong(&mut b);
    a.say(format!("/msg b {}\n", "x".repeat(2_000)));
    a.expect_line("* not delivered: at most 1048 bytes in private");
}

#[test]
fn a_ping_is_answered_to_who_asked_alone() {
    let (_server, [mut a, mut b]) = peers(&[]);
    a.say("/ping\n/PING w\x1b\n/ping two words\n");
    a.expect_line("* pong");
    a.expect_line("* pong: w\\x1b");
    a.expect_line("* usage: /ping [WORD]");
    nothing_before_pong(&mut b);
}

#[test]
fn quit_ends_the_connection_and_the_others_are_told_why() {
    let (_server, [mut a, mut b, mut c]) = peers(&[]);
    a.say("last words\n/quit  tired\x07 \nnever heard\n");
    a.expect_end();
    b.expect_line("<a> last words");
    b.expect_line("* a left: tired\\x07");
    b.say("/quit\n");
    b.expect_end();
    c.expect_line("<a> last words");
    c.expect_line("* a left: tired\\x07");
    c.expect_line("* b left");
}

#[test]
fn two_slashes_say_one_and_an_unknown_command_gets_a_hint() {
    let (_server, [mut a, mut b]) = peers(&[]);
    a.say("//etc/passwd\n/jion #x\n/nosuch\n/kick b\n/help\n");
    b.expect_line("<a> /etc/passwd");
    a.expect_line("* no command /jion; did you mean /join?");
    a.expect_line("* no command /nosuch; /help tells all, // says a line that begins with /");
    a.expect_line("* /kick is the operator's alone");
    assert!(a.line().starts_with("* /nick NAME "), "help");
    nothing_before_pong(&mut b);
}

/// What the old room still owed is dropped and told, in one number with what was skipped before.
#[test]
fn a_change_of_room_drops_what_is_pending_with_a_receipt() {
    const LINES: usize = 600;
    let (server, [mut a, mut b, c]) = peers(&["--send-buffer", "4096", "--console", "off"]);
    rustix::net::sockopt::set_socket_recv_buffer_size(&c.stream, 4096).unwrap();
    let filler = "x".repeat(1_000);
    for n in 0..LINES {
        a.say(format!("{n} {filler}\n"));
        b.expect_line(format!("<a> {n} {filler}"));
    }
    let mut c = c;
    c.say("/join #x\n");
    a.expect_line("* c left");
    let mut heard = 0;
    let receipt = loop {
        match c.line() {
            line if line.starts_with("* ") => break line,
            line => assert_eq!(line, format!("<a> {heard} {filler}")),
        }
        heard += 1;
    };
    assert!(heard < LINES, "it kept up: the test says nothing");
    assert_eq!(receipt, format!("* you missed {} messages: you left #lobby", LINES - heard));
    c.expect_line("* you are in #x, 1 member");
    drop(server);
}

#[test]
fn connect_takes_a_name_and_refuses_one_that_breaks_the_rules() {
    let (server, [mut a]) = peers(&[]);
    let at = server.tcp().to_string();
    let client = Program::start(&["connect", &at, "--name", "Zoë"]);
    client.out.wait_for("* you are Zoë");
    a.expect_line("* guest2 joined");
    a.expect_line("* guest2 is now Zoë");
    for (args, part) in [
        (&["connect", &at, "--name", "guest1"][..], "guest with a number"),
        (&["connect", &at, "--name", "a b"], "a name has letters"),
        (&["connect", &at, "--name", "x", "--protocol", "lines"], "only the chat has names"),
    ] {
        let mut client = Program::start(args);
        assert_eq!(client.exit(), 2);
        client.err.wait_for(part);
    }
}
