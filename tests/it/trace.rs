//! `-vv`: every call of the loop in the socket vocabulary.

use crate::support::{Peer, Program, receive_from, udp_socket};

/// The traced line that has these words, without its time and level.
fn told(server: &Program, words: &str) -> String {
    let line = server.err.wait_for(words);
    let told = line.split_once(" DEBUG] ");
    told.unwrap_or_else(|| panic!("debug level: {line}")).1.to_owned()
}

#[test]
fn a_chat_is_told_call_by_call() {
    let server = Program::start(&["-vv", "serve", "--tcp", "127.0.0.1:0"]);
    let at = server.tcp();
    let mut one = Peer::join(at);
    let mut two = Peer::join(at);
    one.expect_line(format!("* {} joined", two.name));
    two.say("hello there\n");
    one.expect_line("<guest2> hello there");
    let from = one.stream.local_addr().unwrap();
    two.end_output();
    two.expect_end();
    one.expect_line("* guest2 left");
    for words in [
        &*format!("accept #1 from {from}"),
        "accept would block",
        "send #1 17 bytes",    // * you are guest1
        "recv #2 12 bytes",    // hello there
        "send #1 21 bytes",    // <guest2> hello there
        "recv #0 would block", // stdin
        "send #0 21 bytes",    // stdout
        "poll 1 event",
        "recv #2 end of input",
        "close #2",
        "console #0",
    ] {
        assert!(told(&server, words).starts_with(words), "{words}");
    }
}

#[test]
fn several_events_are_told_as_one_poll() {
    let server = Program::start(&["-vv", "serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    let mut one = Peer::join(server.tcp());
    let two = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", two.name));
    server.signal(rustix::process::Signal::STOP);
    udp_socket("127.0.0.1:0").send_to(b"x", server.udp()).unwrap();
    one.say("a\n");
    { two }.say("b\n");
    server.signal(rustix::process::Signal::CONT);
    // Two peers and a datagram; the SIGCONT makes a fourth, and one that leaves no fifth.
    server.err.wait_until("a poll of several events", |text, _| {
        let text = String::from_utf8_lossy(text);
        let several = |line: &str| {
            let (_, count) = line.split_once("poll ")?;
            count.strip_suffix(" events")?.parse::<u32>().ok().filter(|&count| count >= 3)
        };
        text.lines().find_map(several)
    });
}

#[test]
fn datagrams_are_told_as_recvfrom_and_sendto() {
    let server = Program::start(&["-vv", "serve", "--udp", "127.0.0.1:0"]);
    let socket = udp_socket("127.0.0.1:0");
    socket.send_to(b"12345", server.udp()).unwrap();
    receive_from(&socket);
    let from = socket.local_addr().unwrap();
    let bound = server.udp();
    for words in [
        "bind udp 127.0.0.1:0".to_owned(),
        format!("recvfrom {from} 5 bytes"),
        format!("sendto {from} 5 bytes"),
    ] {
        assert!(told(&server, &words).starts_with(&words), "{words} at {bound}");
    }
}

#[test]
fn a_client_is_told_too() {
    let server = Program::chat();
    let mut client = Program::start(&["-vv", "connect", &server.tcp().to_string()]);
    client.out.wait_for("* you are guest1");
    client.type_in("hi\n");
    client.end_input();
    assert_eq!(client.exit(), 0);
    let at = server.tcp();
    for words in [
        &*format!("connect #1 to {at}"),
        "connected #1",
        "recv #1 17 bytes",
        "send #1 3 bytes",
        "shutdown #1",
    ] {
        client.err.wait_until(words, |text, _| {
            String::from_utf8_lossy(text).contains(words).then_some(())
        });
    }
}

#[test]
fn one_v_tells_connections_and_not_calls() {
    let server = Program::start(&["-v", "serve", "--tcp", "127.0.0.1:0"]);
    drop(Peer::join(server.tcp()));
    server.err.wait_for("opened #1 from 127.0.0.1:");
    server.err.wait_for("closed #1: left");
    assert!(!server.err.text().contains("recv #1"), "{}", server.err.text());
}
