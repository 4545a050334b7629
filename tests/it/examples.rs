//! The examples as programs, with blocking peers: what their headers say, and that what the loop
//! does for them holds for them.

use crate::support::{Peer, Program, WITHIN, receive_from, skip, udp_socket};
use rustix::process::Signal;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

/// The example at a free port, and where that is; none where only this test was built.
fn example(name: &str) -> Option<(Program, SocketAddr)> {
    let built = Path::new(env!("CARGO_BIN_EXE_reactor")).parent().expect("a folder");
    let path = built.join("examples").join(name);
    if !path.exists() {
        skip(&format!("the example {name} is not built"));
        return None;
    }
    let mut command = Command::new(path);
    command.arg("127.0.0.1:0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let program = Program::spawn(command);
    let line = program.err.wait_for("listening ");
    let at = line.split(' ').find_map(|word| word.parse().ok()).expect("an address in it");
    Some((program, at))
}

fn quote(peer: &mut Peer) -> String {
    let quote = peer.line();
    peer.expect_end();
    quote
}

#[test]
fn who_connects_to_qotd_gets_a_quote_and_the_end() {
    let Some((mut program, at)) = example("qotd") else { return };
    let first = quote(&mut Peer::connect(at));
    let mut talker = Peer::connect(at);
    talker.say(vec![b'x'; 100_000]); // a close with this unread would destroy the quote
    let second = quote(&mut talker);
    assert!(first.ends_with('\r') && second.ends_with('\r') && first != second);
    assert!(first.len() < 512 && first.is_ascii(), "{first}");
    program.signal(Signal::TERM);
    assert_eq!(program.exit(), 0);
}

#[test]
fn each_datagram_to_qotd_is_answered_with_a_quote() {
    let Some((_program, at)) = example("qotd") else { return };
    let socket = udp_socket("127.0.0.1:0");
    for said in ["", "anything"] {
        socket.send_to(said.as_bytes(), at).unwrap();
        let (quote, from) = receive_from(&socket);
        assert!(quote.ends_with(b"\r\n") && from == at, "{quote:?} from {from}");
    }
}

#[test]
fn kv_keeps_what_one_sets_for_all() {
    let Some((mut program, at)) = example("kv") else { return };
    let (mut one, mut two) = (Peer::connect(at), Peer::connect(at));
    one.say("set te");
    one.say("a green with milk\r\nget none\nset a\n");
    for answer in ["ok", "", "set KEY VALUE, get KEY or del KEY"] {
        one.expect_line(answer);
    }
    two.say("get tea\ndel tea\nget tea\nunfinished");
    two.end_output();
    for answer in ["green with milk", "green with milk", ""] {
        two.expect_line(answer);
    }
    two.expect_end();
    one.say(vec![b'x'; 2_000]);
    one.expect_end();
    program.signal(Signal::INT);
    assert_eq!(program.exit(), 0);
}

/// Ten thousand answers of a kilobyte, to somebody who reads none until all is asked.
#[test]
fn kv_holds_who_does_not_take_its_answers_and_forgets_none() {
    let Some((_program, at)) = example("kv") else { return };
    let value = "v".repeat(1_000);
    let mut asker = Peer::connect(at);
    asker.say(format!("set k {value}\n"));
    asker.expect_line("ok");
    let mut asks = asker.stream.try_clone().unwrap();
    asks.set_write_timeout(Some(WITHIN)).unwrap();
    let asked = std::thread::spawn(move || {
        use std::io::Write;
        asks.write_all("get k\n".repeat(10_000).as_bytes()).unwrap();
        asks.shutdown(std::net::Shutdown::Write).unwrap();
    });
    // Meanwhile it serves others.
    let mut other = Peer::connect(at);
    other.say("get k\n");
    other.expect_line(&value);
    for _ in 0..10_000 {
        asker.expect_line(&value);
    }
    asker.expect_end();
    asked.join().unwrap();
}
