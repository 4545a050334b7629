//! What `serve` binds and what it tells, restarts, and an idle server.

use crate::support::{
    Peer, Program, WITHIN, command, receive_from, skip, udp_socket, uninterrupted,
};
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

/// Stops it and returns all of its stderr.
fn all_it_told(mut server: Program) -> String {
    server.type_in("/quit\n");
    assert_eq!(server.exit(), 0);
    server.err.text()
}

/// Starts it at the default address and waits for these lines; None where a port of it is taken,
/// which names the address too.
fn at_the_default(args: &[&str], wanted: &[&str]) -> Option<Program> {
    let mut server = Program::start(args);
    let told = server.err.wait_until("listening, or why not", |text, ended| {
        let text = String::from_utf8_lossy(text).into_owned();
        (ended || wanted.iter().all(|line| text.contains(line))).then_some(text)
    });
    if !told.contains("\nreactor: ") {
        return Some(server);
    }
    assert_eq!(server.exit(), 1);
    assert!(told.contains(" 127.0.0.1:65432: Address already in use"), "{told}");
    skip("127.0.0.1:65432 is taken");
    None
}

#[test]
fn the_first_line_names_version_host_and_pid_and_then_one_line_a_socket() {
    let server = Program::start(&["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    let (tcp, udp) = (server.tcp(), server.udp());
    let (version, host) = (env!("CARGO_PKG_VERSION"), reactor::address::host_name());
    let pid = server.id();
    assert!(tcp.port() != 0 && udp.port() != 0, "the address really bound");
    let told = all_it_told(server);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 4, "{told}");
    assert_eq!(lines[0], format!("reactor {version} on {host}, pid {pid}"));
    assert!(lines[1].starts_with("memory for peers <= "), "{told}");
    assert_eq!(lines[2], format!("listening tcp {tcp} chat"));
    assert_eq!(lines[3], format!("listening udp {udp} echo"));
}

#[test]
fn quiet_hides_neither_the_first_line_nor_where_it_listens() {
    let server = Program::start(&["serve", "-q", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    server.udp();
    let told = all_it_told(server);
    assert_eq!(told.lines().filter(|line| line.starts_with("listening ")).count(), 2, "{told}");
    assert!(told.starts_with("reactor "), "{told}");
}

#[test]
fn chat_and_echo_are_served_side_by_side() {
    let server = Program::start(&["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    let mut peer = Peer::join(server.tcp());
    let mut other = Peer::join(server.tcp());
    let socket = udp_socket("127.0.0.1:0");
    socket.send_to(b"both", server.udp()).unwrap();
    assert_eq!(receive_from(&socket), (b"both".to_vec(), server.udp()));
    other.say("both\n");
    peer.expect_line(format!("* {} joined", other.name));
    peer.expect_line(format!("<{}> both", other.name));
}

/// One after the other, for all want the same port.
#[test]
fn by_default_it_serves_both_at_127_0_0_1_65432_and_each_flag_alone_only_its_own() {
    let (tcp, udp) = ("listening tcp 127.0.0.1:65432 chat", "listening udp 127.0.0.1:65432 echo");
    for (args, wanted) in [
        (&["serve"][..], &[tcp, udp][..]),
        (&["serve", "--tcp", "--udp"], &[tcp, udp]),
        (&["serve", "--tcp"], &[tcp]),
        (&["serve", "--udp"], &[udp]),
    ] {
        let Some(server) = at_the_default(args, wanted) else { continue };
        let told = all_it_told(server);
        let lines: Vec<&str> = told.lines().skip(2).collect();
        assert_eq!(lines, wanted, "{args:?}");
    }
    let Some(server) = at_the_default(&["serve"], &[tcp, udp]) else { return };
    let mut client = Program::start(&["connect"]);
    client.out.wait_for("* you are guest");
    client.end_input();
    assert_eq!(client.exit(), 0);
    all_it_told(server);
}

#[test]
fn tcp_and_udp_may_be_repeated() {
    let tcp = ["--tcp", "127.0.0.1:0", "--tcp", "127.0.0.2:0"];
    let udp = ["--udp", "127.0.0.1:0", "--udp", "127.0.0.2:0"];
    let server = Program::start(&[&["serve"][..], &tcp, &udp].concat());
    server.err.wait_for("listening udp 127.0.0.2:");
    let at = server.err.wait_for("listening tcp 127.0.0.2:");
    let second = at.split(' ').nth(2).unwrap().parse().unwrap();
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(second);
    two.say("one room\n");
    one.expect_line(format!("* {} joined", two.name));
    one.expect_line(format!("<{}> one room", two.name));
}

#[test]
fn a_port_in_use_is_told_in_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap();
    let mut server = Program::start(&["serve", "--tcp", &at.to_string()]);
    assert_eq!(server.exit(), 1);
    let told = server.err.text();
    let lines: Vec<&str> = told.lines().skip(2).collect();
    let cause = "Address already in use (os error 98)";
    let hint = "stop the program that has it, or take port 0 for a free one";
    assert_eq!(lines, [format!("reactor: bind tcp {at}: {cause}; {hint}")], "{told}");
}

#[test]
fn a_udp_port_in_use_is_told_too() {
    let taken = udp_socket("127.0.0.1:0");
    let at = taken.local_addr().unwrap();
    let mut server = Program::start(&["serve", "--udp", &at.to_string()]);
    assert_eq!(server.exit(), 1);
    let told = server.err.text();
    assert!(told.contains(&format!("reactor: bind udp {at}: Address already in use")), "{told}");
    assert_eq!(told.lines().count(), 3, "{told}");
}

#[test]
fn a_bad_line_max_is_a_usage_error_in_one_line() {
    for wrong in ["0", "1GB"] {
        let mut server = Program::start(&["serve", "--line-max", wrong, "--tcp", "127.0.0.1:0"]);
        assert_eq!(server.exit(), 2);
        let told = server.err.text();
        assert!(told.starts_with("reactor: --line-max "), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

/// At an address of the test's own, so that no other test's socket takes the port in between.
#[test]
fn it_restarts_at_once_where_its_connections_are_in_time_wait() {
    let mut server = Program::start(&["serve", "--tcp", "127.0.0.77:0"]);
    let at = server.tcp();
    let mut peers: Vec<Peer> = (0..3).map(|_| Peer::join(at)).collect();
    server.type_in("/quit\n");
    // The server ends first, so the waiting is on its side.
    for peer in &mut peers {
        while !peer.line().is_empty() {}
    }
    drop(peers);
    assert_eq!(server.exit(), 0);
    if let Ok(table) = fs::read_to_string("/proc/net/tcp") {
        let local = format!("4D00007F:{:04X}", at.port());
        let waits = |line: &&str| line.contains(&format!("{local} ")) && line.contains(" 06 ");
        assert!(table.lines().any(|line| waits(&line)), "nothing in TIME_WAIT at {at}");
    }
    let again = Program::start(&["serve", "--tcp", &at.to_string()]);
    assert_eq!(again.tcp(), at);
    Peer::join(at);
}

#[test]
fn verbose_tells_the_descriptor_limit_which_is_raised_to_the_hard_one() {
    let server = Program::start(&["-v", "serve", "--tcp", "127.0.0.1:0"]);
    let line = server.err.wait_for("descriptor limit ");
    server.tcp();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let row = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|word| row.split_whitespace().nth(word).unwrap());
    assert_eq!(soft, hard, "{row}");
    assert!(line.contains(&format!("descriptor limit {hard} ")), "{line}");
}

/// A thousand, where descriptors suffice. Time on the CPU, time waiting for it, and how often it ran:
/// unchanged, it did not even wake.
#[test]
fn with_a_thousand_silent_peers_it_never_wakes_up() {
    let (_, descriptors) = reactor::os::limit::raise_descriptor_limit();
    let crowd = if descriptors < 1_500 { 100 } else { 1_000 };
    let server = Program::start(&["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0"]);
    let _silent: Vec<Peer> = (1..crowd).map(|_| Peer::join(server.tcp())).collect();
    let mut peer = Peer::join(server.tcp());
    let path = format!("/proc/{}/schedstat", server.id());
    if !fs::read_to_string(&path).is_ok_and(|stat| !stat.starts_with("0 0 0")) {
        return skip("no /proc/PID/schedstat");
    }
    peer.stream.set_read_timeout(Some(Duration::from_millis(1_200))).unwrap();
    for _ in 0..WITHIN.as_secs() {
        let before = fs::read_to_string(&path).unwrap();
        let nothing = uninterrupted(|| peer.stream.read(&mut [0; 16]));
        assert!(nothing.is_err(), "nobody says anything");
        if fs::read_to_string(&path).unwrap() == before {
            return;
        }
        // It was still on its way to its wait.
    }
    panic!("it never slept");
}

#[test]
fn a_directory_for_stdin_is_told_and_it_goes_on() {
    let mut command = command(&["serve", "--tcp", "127.0.0.1:0"]);
    command.stdin(fs::File::open("/").unwrap());
    let server = Program::spawn(command);
    server.err.wait_for("stdin: Is a directory");
    Peer::join(server.tcp());
}

#[test]
fn where_it_listens_is_told_at_once_in_a_regular_file_too() {
    let path = std::env::temp_dir().join(format!("reactor-it-stderr-{}", std::process::id()));
    let mut command = command(&["serve", "--tcp", "127.0.0.1:0", "--console", "off"]);
    command.stderr(fs::File::create(&path).unwrap());
    let mut child = command.spawn().unwrap();
    let begun = std::time::Instant::now();
    let told = loop {
        let told = fs::read_to_string(&path).unwrap();
        if told.contains("listening tcp 127.0.0.1:") || begun.elapsed() > WITHIN {
            break told;
        }
        std::thread::yield_now();
    };
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_file(&path).unwrap();
    assert!(told.contains("listening tcp 127.0.0.1:"), "{told:?}");
}
