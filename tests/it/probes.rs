//! `connect --udp`: what it reports of an echo that loses, doubles, reorders and delays by script.

use crate::support::{Program, has_ipv6, receive_from, skip, udp_socket};
use rustix::process::Signal;
use serde_json::Value;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};

/// The sequence in a datagram of `--count`.
fn sequence(ping: &[u8]) -> u64 {
    u64::from_be_bytes(ping[8..16].try_into().expect("24 bytes at least"))
}

fn start(to: &UdpSocket, more: &[&str]) -> Program {
    let at = to.local_addr().unwrap().to_string();
    Program::start(&[&["connect", "--udp", &at], more].concat())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The third is lost, the fifth doubled, seven and eight swapped, the second comes late.
#[test]
fn the_figures_are_those_of_a_scripted_lossy_echo() {
    let socket = udp_socket("127.0.0.1:0");
    let name = format!("reactor-it-probes-{}.json", std::process::id());
    let file = std::env::temp_dir().join(name);
    let to_file = format!("--json={}", file.display());
    let args = ["--count", "12", "--interval", "250ms", "--timeout", "2s", "--size", "100"];
    let mut client = start(&socket, &[&args[..], &[&to_file]].concat());
    let mut pings = Vec::new();
    for n in 1..=12 {
        let (ping, from) = receive_from(&socket);
        assert_eq!((ping.len(), sequence(&ping)), (100, n));
        pings.push(ping);
        let script: &[usize] = match n {
            2 | 3 | 7 => &[],
            5 => &[5, 5],
            8 => &[8, 7],
            12 => {
                client.out.wait_for("no echo of seq=2 within 2 s");
                socket.send_to(&pings[1], from).unwrap();
                client.out.wait_for("(late)");
                &[12]
            }
            _ => &[n as usize],
        };
        for n in script {
            socket.send_to(&pings[n - 1], from).unwrap();
        }
    }
    assert_eq!(client.exit(), 0, "{}", client.err.text());
    let out = client.out.all();
    let told = |part: &str| out.lines().filter(|line| line.contains(part)).count();
    assert!(
        out.contains("12 sent, 10 received, 1 lost (8.3 %), 1 late, 1 reordered, 1 duplicates")
    );
    assert_eq!((told("seq=5 "), told("(again)"), told("(late)")), (2, 1, 1), "{out}");
    assert_eq!((told("no echo of seq=3 within 2 s"), told("no echo of")), (1, 2), "{out}");
    let reordered = out.lines().find(|line| line.contains("(out of order)")).expect("one");
    assert!(
        reordered.starts_with(&format!("100 bytes from {}: seq=7 ", socket.local_addr().unwrap()))
    );
    let report = json(&std::fs::read_to_string(&file).unwrap());
    std::fs::remove_file(&file).unwrap();
    let wanted = [
        ("schema", 1),
        ("size", 100),
        ("interval_ns", 250_000_000),
        ("timeout_ns", 2_000_000_000),
        ("sent", 12),
        ("received", 10),
        ("lost", 1),
        ("late", 1),
        ("reordered", 1),
        ("duplicates", 1),
        ("answers", 10),
        ("unmatched", 0),
        ("ignored", 0),
    ];
    for (field, value) in wanted {
        assert_eq!(report[field], value, "{field} in {report}");
    }
    let rtt = |field: &str| report["rtt"][field].as_u64().expect("a number");
    let order = ["min_ns", "median_ns", "p99_ns", "max_ns"].map(rtt);
    assert!(order.is_sorted() && rtt("max_ns") >= 200_000_000, "the swapped one waited: {report}");
    assert!((rtt("min_ns")..=rtt("max_ns")).contains(&rtt("mean_ns")) && rtt("jitter_ns") > 0);
}

#[test]
fn where_all_is_lost_the_exit_code_is_1_and_the_json_says_so() {
    let silent = udp_socket("127.0.0.1:0");
    let at = silent.local_addr().unwrap();
    let mut client =
        start(&silent, &["--count", "3", "--interval", "0s", "--timeout", "100ms", "--json"]);
    assert_eq!(client.exit(), 1);
    let report = json(&client.out.all());
    assert_eq!((&report["sent"], &report["lost"]), (&Value::from(3), &Value::from(3)));
    assert_eq!((&report["rtt"], &report["to"]), (&Value::Null, &Value::from(at.to_string())));
    let told = format!("reactor: udp {at}: no echo within 0.1 s; is a server there?\n");
    assert_eq!(client.err.text(), told);
}

#[test]
fn an_interrupt_ends_an_endless_run_with_its_figures() {
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let to = server.udp().to_string();
    let mut client =
        Program::start(&["connect", "--udp", &to, "--count", "0", "--interval", "10ms"]);
    client.out.wait_for("seq=5 ");
    client.signal(Signal::INT);
    assert_eq!(client.exit(), 0);
    let out = client.out.all();
    assert!(out.contains(&format!("--- udp {to}, 56 bytes each ---\n")), "{out}");
    assert!(out.contains(", 0 lost (0.0 %), 0 late, 0 reordered, 0 duplicates\n"), "{out}");
    assert!(out.contains("\nround trip min/median/p99/max/mean "), "{out}");
}

#[test]
fn without_an_interval_ten_thousand_come_back_through_the_bound() {
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let to = server.udp().to_string();
    let args = ["--count", "10000", "--interval", "0s", "--size", "24", "--json"];
    let mut client = Program::start(&[&["connect", "--udp", &to], &args[..]].concat());
    assert_eq!(client.exit(), 0);
    let report = json(&client.out.all());
    assert_eq!((&report["sent"], &report["received"]), (&10_000.into(), &10_000.into()));
}

#[test]
fn in_a_pipe_stdout_has_the_payload_alone_and_stderr_what_was_odd() {
    let socket = udp_socket("127.0.0.1:0");
    let mut client = start(&socket, &["--timeout", "500ms"]);
    client.type_in("one\n");
    let (one, from) = receive_from(&socket);
    client.err.wait_for("datagram 1: no echo within 0.5 s");
    socket.send_to(&one, from).unwrap();
    client.err.wait_for("datagram 1: its echo came late");
    client.type_in("two\nthree\n");
    let (two, three) = (receive_from(&socket).0, receive_from(&socket).0);
    for bytes in [&three, &two, &three] {
        socket.send_to(bytes, from).unwrap();
    }
    client.err.wait_for("datagram 2: its echo came out of order");
    client.err.wait_for("datagram 3: its echo came again");
    client.end_input();
    assert_eq!(client.exit(), 0);
    assert_eq!(client.out.all(), "one\nthree\ntwo\nthree\n");
}

#[test]
fn with_rtt_the_payload_stands_behind_the_second_tab() {
    let socket = udp_socket("127.0.0.1:0");
    let mut client = start(&socket, &["--rtt"]);
    client.type_in("a\tb\n");
    let (bytes, from) = receive_from(&socket);
    socket.send_to(&bytes, from).unwrap();
    client.end_input();
    assert_eq!(client.exit(), 0);
    let out = client.out.all();
    let fields: Vec<&str> = out.splitn(3, '\t').collect();
    assert!(fields[0].parse::<f64>().is_ok_and(|ms| ms > 0.0), "{out}");
    assert_eq!(fields[1..], [socket.local_addr().unwrap().to_string(), "a\tb\n".to_owned()]);
}

#[test]
fn answers_of_strangers_are_ignored_and_counted() {
    let socket = udp_socket("127.0.0.1:0");
    let mut client = start(&socket, &["--count", "1", "--json"]);
    let (ping, from) = receive_from(&socket);
    let stranger = udp_socket("127.0.0.1:0");
    for _ in 0..3 {
        stranger.send_to(&ping, from).unwrap();
    }
    client.err.wait_for("is ignored: it is not from");
    socket.send_to(&ping, from).unwrap();
    assert_eq!(client.exit(), 0);
    let report = json(&client.out.all());
    assert_eq!((&report["received"], &report["duplicates"]), (&1.into(), &0.into()));
    assert!(report["ignored"].as_u64().is_some_and(|ignored| (1..=3).contains(&ignored)));
}

/// Two hosts answer each datagram that `at` takes, one of them twice.
fn two_hosts_answer(client: &mut Program, at: &UdpSocket, hosts: [&UdpSocket; 2]) {
    for _ in 0..2 {
        let (ping, from) = receive_from(at);
        for host in [hosts[0], hosts[1], hosts[1]] {
            host.send_to(&ping, from).unwrap();
        }
    }
    assert_eq!(client.exit(), 0, "{}", client.err.text());
    let out = client.out.all();
    assert!(
        out.contains("2 sent, 2 received, 0 lost (0.0 %), 0 late, 0 reordered, 2 dup"),
        "{out}"
    );
    assert!(out.contains("4 answers of 2 hosts:\n"), "{out}");
    for (host, duplicates) in hosts.iter().zip([0, 2]) {
        let port = host.local_addr().unwrap().port();
        let line = format!(":{port}: 2 answers, {duplicates} duplicates\n");
        assert!(out.contains(&line), "{line} is not in {out}");
        assert!(out.contains(&format!(":{port}: seq=2 ")), "{out}");
    }
}

const TWO: [&str; 6] = ["--count", "2", "--interval", "0s", "--timeout", "500ms"];

#[test]
fn a_broadcast_shows_who_answered_and_counts_duplicates_for_each() {
    let at = udp_socket("0.0.0.0:0");
    let to = format!("127.255.255.255:{}", at.local_addr().unwrap().port());
    let mut client = Program::start(&[&["connect", "--udp", &to], &TWO[..]].concat());
    let hosts = [udp_socket("127.0.0.2:0"), udp_socket("127.0.0.3:0")];
    two_hosts_answer(&mut client, &at, [&hosts[0], &hosts[1]]);
}

#[test]
fn an_ipv4_group_shows_who_answered() {
    let at = udp_socket("0.0.0.0:0");
    let group = Ipv4Addr::new(239, 192, 7, 7);
    if let Err(error) = at.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST) {
        skip(&format!("no IPv4 multicast on the loopback: {error}"));
        return;
    }
    let to = SocketAddr::from((group, at.local_addr().unwrap().port())).to_string();
    let more = ["--interface", "127.0.0.1", "--hops", "2"];
    let mut client = Program::start(&[&["connect", "--udp", &to], &TWO[..], &more].concat());
    let hosts = [udp_socket("127.0.0.2:0"), udp_socket("127.0.0.3:0")];
    two_hosts_answer(&mut client, &at, [&hosts[0], &hosts[1]]);
}

#[test]
fn an_ipv6_group_shows_who_answered() {
    if !has_ipv6() {
        return;
    }
    let at = udp_socket("[::]:0");
    // Interface-local: it never leaves this host, whichever interface has a route for groups.
    let group: Ipv6Addr = "ff01::7007".parse().unwrap();
    let port = at.local_addr().unwrap().port();
    let carries = |&index: &u32| {
        let to = SocketAddr::from(SocketAddrV6::new(group, port, 0, index));
        at.join_multicast_v6(&group, index).is_ok() && at.send_to(b"?", to).is_ok()
    };
    let Some(index) = (1..=INTERFACES_MAX).find(carries) else {
        skip("no IPv6 multicast");
        return;
    };
    assert_eq!(receive_from(&at).0, b"?");
    let to = format!("[{group}%{index}]:{port}");
    let mut client = Program::start(&[&["connect", "--udp", &to], &TWO[..]].concat());
    let hosts = [udp_socket("[::]:0"), udp_socket("[::]:0")];
    two_hosts_answer(&mut client, &at, [&hosts[0], &hosts[1]]);
}

/// Interfaces that are tried for one that carries groups.
const INTERFACES_MAX: u32 = 16;

#[test]
fn what_makes_no_sense_is_told_in_one_line() {
    let at = "127.0.0.1:7";
    for (more, line) in [
        (&["--count", "1", "--size", "23"][..], "--size 23: 24 to 65507 bytes"),
        (&["--timeout", "0s"], "--timeout 0s: an echo takes time"),
        (&["--interface", "127.0.0.1"], "--interface: 127.0.0.1:7 is no IPv4 multicast group"),
        (&["--hops", "2"], "--hops: 127.0.0.1:7 is no multicast group"),
    ] {
        Program::start(&[&["connect", "--udp", at], more].concat()).expect_failure(2, line);
    }
    for more in [&["--interval", "1s"][..], &["--size", "56"], &["--json"]] {
        assert_eq!(Program::start(&[&["connect", "--udp", at], more].concat()).exit(), 2);
    }
    assert_eq!(Program::start(&["connect", "--count", "1"]).exit(), 2);
    Program::start(&["connect", "--udp", at, "--count", "1", "--json=/nosuch/file"])
        .expect_failure(1, "--json /nosuch/file: No such file or directory (os error 2)");
}
