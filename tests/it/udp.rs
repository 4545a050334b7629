//! The echo over real sockets.

use crate::support::{Program, assert_equal, has_ipv6, receive_from, udp_socket};
use std::net::SocketAddr;

fn echo(at: &str) -> Program {
    let mut args = vec!["serve"];
    at.split(' ').for_each(|at| args.extend(["--udp", at]));
    Program::start(&args)
}

#[test]
fn a_datagram_of_every_size_comes_back_as_it_was() {
    let server = echo("127.0.0.1:0");
    let socket = udp_socket("127.0.0.1:0");
    for len in [0, 1, 1_400, 9_000, 65_507] {
        let sent: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        socket.send_to(&sent, server.udp()).unwrap();
        let (back, from) = receive_from(&socket);
        assert_equal(&back, &sent);
        assert_eq!((back.len(), from), (len, server.udp()));
    }
}

#[test]
fn an_ipv6_datagram_of_every_size_comes_back_too() {
    if !has_ipv6() {
        return;
    }
    let server = echo("[::1]:0");
    let socket = udp_socket("[::1]:0");
    for len in [0, 1_400, 65_507] {
        let sent = vec![7; len];
        socket.send_to(&sent, server.udp()).unwrap();
        assert_equal(&receive_from(&socket).0, &sent);
    }
}

#[test]
fn each_datagram_gets_one_answer_and_no_other() {
    let server = echo("127.0.0.1:0");
    let (one, two) = (udp_socket("127.0.0.1:0"), udp_socket("127.0.0.1:0"));
    for n in 0..20u8 {
        one.send_to(&vec![n; n.into()], server.udp()).unwrap();
        two.send_to(&[n, 0], server.udp()).unwrap();
    }
    for n in 0..20u8 {
        assert_eq!(receive_from(&one).0, vec![n; n.into()]);
        assert_eq!(receive_from(&two).0, [n, 0]);
    }
    one.send_to(b"marker", server.udp()).unwrap();
    assert_eq!(receive_from(&one).0, b"marker");
}

#[test]
fn the_answer_of_a_wildcard_socket_comes_from_the_address_that_was_hit() {
    let server = echo("0.0.0.0:0");
    let socket = udp_socket("127.0.0.1:0");
    for host in [[127, 0, 0, 2], [127, 0, 0, 3], [127, 0, 0, 1]] {
        let hit = SocketAddr::from((host, server.udp().port()));
        socket.send_to(b"where am I?", hit).unwrap();
        assert_eq!(receive_from(&socket), (b"where am I?".to_vec(), hit));
    }
}

#[test]
fn a_dual_stack_socket_answers_from_the_address_that_was_hit_in_both_families() {
    if !has_ipv6() {
        return;
    }
    let server = echo(":0");
    let port = server.udp().port();
    for (from, to) in [("127.0.0.1:0", "127.0.0.2"), ("[::1]:0", "[::1]")] {
        let socket = udp_socket(from);
        let hit: SocketAddr = format!("{to}:{port}").parse().unwrap();
        socket.send_to(b"both", hit).unwrap();
        assert_eq!(receive_from(&socket), (b"both".to_vec(), hit));
    }
}

/// Two echo services that answered each other would never end.
#[test]
fn what_comes_from_a_port_of_its_own_is_not_answered() {
    let server = echo("127.0.0.1:0");
    let like_us = udp_socket(&format!("127.0.0.2:{}", server.udp().port()));
    let other = udp_socket("127.0.0.1:0");
    like_us.send_to(b"echo me", server.udp()).unwrap();
    other.send_to(b"marker", server.udp()).unwrap();
    assert_eq!(receive_from(&other).0, b"marker");
    like_us.set_nonblocking(true).unwrap();
    let nothing = like_us.recv_from(&mut [0; 16]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn two_sockets_of_one_server_do_not_talk_to_each_other() {
    let server = echo("127.0.0.1:0 127.0.0.2:0");
    let at = server.err.wait_for("listening udp 127.0.0.2:");
    let second: SocketAddr = at.split(' ').nth(2).unwrap().parse().unwrap();
    let socket = udp_socket("127.0.0.1:0");
    for at in [server.udp(), second] {
        socket.send_to(b"x", at).unwrap();
        assert_eq!(receive_from(&socket), (b"x".to_vec(), at));
    }
}

/// The answer to a socket that is gone comes back as an ICMP error.
#[test]
fn an_icmp_error_is_not_fatal() {
    let server = echo("127.0.0.1:0");
    for _ in 0..20 {
        udp_socket("127.0.0.1:0").send_to(b"and gone", server.udp()).unwrap();
    }
    let socket = udp_socket("127.0.0.1:0");
    socket.send_to(b"still here?", server.udp()).unwrap();
    assert_eq!(receive_from(&socket).0, b"still here?");
}
