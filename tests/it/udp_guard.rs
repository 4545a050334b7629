//! What the echo does not answer, over real sockets. That nothing came is shown by what came later:
//! a marker behind it, or the server's own counters.

use crate::support::{Program, WITHIN, has_ipv6, receive_from, skip, udp_socket};
use rustix::process::Signal;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Instant;

/// So often the same bytes are answered, less one; `RETURNS_MAX` in `src/echo/loops.rs`.
const RETURNS_MAX: u64 = 10_000;

fn serve(more: &[&str]) -> Program {
    Program::start(&[&["-v", "serve", "--console", "commands"], more].concat())
}

/// What `/stats` says of the echo.
fn counts(server: &mut Program) -> String {
    let told = server.out.text().matches("* echo: answered").count();
    server.type_in("/stats\n");
    let line = server.out.wait_until("the counters", |bytes, _| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let mut lines = text.split_inclusive('\n').filter(|l| l.contains("* echo: answered"));
        lines.nth(told).filter(|line| line.ends_with('\n')).map(str::to_owned)
    });
    line.trim_end().trim_start_matches("* ").to_owned()
}

/// The number behind these words.
fn count(counts: &str, words: &str) -> u64 {
    let rest = counts.split(words).nth(1).unwrap_or_else(|| panic!("no {words} in {counts}"));
    let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap_or_else(|_| panic!("{words} in {counts}"))
}

fn expect_nothing(socket: &UdpSocket) {
    socket.set_nonblocking(true).unwrap();
    let nothing = socket.recv_from(&mut [0; 16]).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    socket.set_nonblocking(false).unwrap();
}

/// The server has been through everything that was sent before.
fn pass_marker(server: &Program) {
    let other = udp_socket("127.0.0.1:0");
    let to = SocketAddr::from(([127, 0, 0, 1], server.udp().port()));
    other.send_to(b"marker", to).unwrap();
    assert_eq!(receive_from(&other).0, b"marker");
}

/// A socket at a port below 1024, which takes a privilege.
fn low_port() -> Option<UdpSocket> {
    let socket = (600..1_000).find_map(|port| {
        let socket = UdpSocket::bind(("127.0.0.1", port));
        match socket {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Some(None),
            socket => socket.ok().map(Some),
        }
    });
    let socket = socket.flatten();
    match &socket {
        Some(socket) => socket.set_read_timeout(Some(WITHIN)).unwrap(),
        None => skip("ports below 1024 need a privilege"),
    }
    socket
}

#[test]
fn what_comes_from_a_port_below_1024_is_not_answered() {
    let Some(service) = low_port() else { return };
    let mut server = serve(&["--udp", "127.0.0.1:0"]);
    service.send_to(b"as a service would", server.udp()).unwrap();
    pass_marker(&server);
    expect_nothing(&service);
    assert_eq!(count(&counts(&mut server), "low port"), 1);
}

#[test]
fn it_is_answered_with_udp_any_port() {
    let Some(service) = low_port() else { return };
    let server = serve(&["--udp", "127.0.0.1:0", "--udp-any-port"]);
    service.send_to(b"a probe", server.udp()).unwrap();
    assert_eq!(receive_from(&service).0, b"a probe");
}

#[test]
fn what_comes_from_a_port_of_our_own_is_counted() {
    let mut server = serve(&["--udp", "127.0.0.1:0"]);
    let like_us = udp_socket(&format!("127.0.0.2:{}", server.udp().port()));
    like_us.send_to(b"echo me", server.udp()).unwrap();
    pass_marker(&server);
    expect_nothing(&like_us);
    let counts = counts(&mut server);
    assert_eq!((count(&counts, "answered"), count(&counts, "own port")), (1, 1), "{counts}");
}

/// A socket that answers everything with its own bytes, as another echo service does, until
/// nothing has come for a while: how many it got.
fn echo_until_silence(partner: &UdpSocket) -> u64 {
    partner.set_read_timeout(Some(std::time::Duration::from_millis(500))).unwrap();
    let (mut buffer, mut got, deadline) = ([0; 64], 0, Instant::now() + WITHIN);
    while let Ok((n, from)) = partner.recv_from(&mut buffer) {
        got += 1;
        partner.send_to(&buffer[..n], from).unwrap();
        assert!(Instant::now() < deadline, "the loop goes on after {got} rounds");
    }
    got
}

#[test]
fn a_loop_with_another_echo_service_ends_and_is_told() {
    let mut server = serve(&["--udp", "127.0.0.1:0"]);
    let partner = udp_socket("127.0.0.1:0");
    partner.send_to(b"again", server.udp()).unwrap();
    assert_eq!(echo_until_silence(&partner), RETURNS_MAX - 1);
    let counts = counts(&mut server);
    assert_eq!(count(&counts, "muted"), 1, "{counts}");
    assert!(counts.ends_with(", loops 1"), "{counts}");
    server.err.wait_for("echo: the same 5 bytes came from 127.0.0.1:");
}

#[test]
fn several_datagrams_that_go_round_are_all_stopped_and_others_are_still_answered() {
    let mut server = serve(&["--udp", "127.0.0.1:0"]);
    let partner = udp_socket("127.0.0.1:0");
    for which in 0..4u8 {
        partner.send_to(&[which], server.udp()).unwrap();
    }
    assert_eq!(echo_until_silence(&partner), 4 * (RETURNS_MAX - 1));
    assert!(counts(&mut server).ends_with(", loops 4"));
    pass_marker(&server);
}

/// One datagram from a false source, as only a raw socket sends it (raw(7)): the kernel fills in the
/// IP header's checksum, and a UDP checksum of 0 is none (RFC 768).
fn forge(from: SocketAddr, to: SocketAddr, bytes: &[u8]) -> bool {
    let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else { panic!("IPv4 alone") };
    let raw = Some(socket2::Protocol::from(255)); // IPPROTO_RAW: the header is ours
    let Ok(socket) = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::RAW, raw) else {
        skip("a raw socket needs a privilege");
        return false;
    };
    let udp_len = 8 + bytes.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend((20 + udp_len).to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 17, 0, 0]); // no fragment; 64 hops; UDP; checksum
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    for half in [from.port(), to.port(), udp_len, 0] {
        packet.extend(half.to_be_bytes());
    }
    packet.extend(bytes);
    let to = SocketAddr::from((*to.ip(), 0));
    socket.send_to(&packet, &to.into()).expect("the loopback takes it");
    true
}

/// What the guard is for: one datagram, with one server's address as its source, for the other.
#[test]
fn two_servers_that_were_made_to_echo_each_other_come_to_rest() {
    let (mut first, mut second) =
        (serve(&["--udp", "127.0.0.1:0"]), serve(&["--udp", "127.0.0.2:0"]));
    if !forge(first.udp(), second.udp(), b"ping-pong") {
        return;
    }
    let deadline = Instant::now() + WITHIN;
    let mut servers = [&mut first, &mut second];
    let muted = loop {
        assert!(Instant::now() < deadline, "they do not come to rest");
        let muted = servers.each_mut().map(|server| count(&counts(server), "muted"));
        if muted != [0, 0] {
            break muted;
        }
    };
    assert_eq!(muted.iter().sum::<u64>(), 1, "one datagram went round, one answer was withheld");
    // The second got it first, and so was the first to have had enough.
    let answered = servers.map(|server| count(&counts(server), "answered"));
    assert_eq!(answered, [RETURNS_MAX - 1; 2]);
}

#[test]
fn varied_traffic_at_full_speed_is_untouched() {
    let mut server = serve(&["--udp", "127.0.0.1:0"]);
    let socket = udp_socket("127.0.0.1:0");
    let mut buffer = [0; 16];
    for batch in 0..1_000u64 {
        for n in 0..20 {
            socket.send_to(&(batch * 20 + n).to_le_bytes(), server.udp()).unwrap();
        }
        for n in 0..20 {
            let (len, _) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..len], (batch * 20 + n).to_le_bytes());
        }
    }
    let counts = counts(&mut server);
    assert_eq!((count(&counts, "answered"), count(&counts, "muted")), (20_000, 0), "{counts}");
}

/// A probe that says the same each time, with pauses as on a schedule or without.
#[test]
fn the_same_datagram_some_thousand_times_is_answered_each_time() {
    let mut server = serve(&["--udp", "127.0.0.1:0"]);
    let socket = udp_socket("127.0.0.1:0");
    let mut buffer = [0; 100];
    for _ in 0..5_000 {
        socket.send_to(&[b'x'; 64], server.udp()).unwrap();
        assert_eq!(socket.recv_from(&mut buffer).unwrap().0, 64);
    }
    assert_eq!(count(&counts(&mut server), "muted"), 0);
}

/// An address of this machine that is not the loopback's; asking for it sends nothing.
fn own_address() -> Option<std::net::IpAddr> {
    let socket = udp_socket("0.0.0.0:0");
    let known = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()).ok();
    let own = known.map(|at| at.ip()).filter(|ip| !ip.is_loopback());
    if own.is_none() {
        skip("no address but the loopback's");
    }
    own
}

#[test]
fn a_source_over_its_rate_is_not_answered_and_loopback_has_none() {
    let Some(own) = own_address() else { return };
    let rate = ["--udp", "0.0.0.0:0", "--udp-rate", "1", "--udp-burst", "3"];
    let mut server = serve(&rate);
    let socket = udp_socket(&SocketAddr::from((own, 0)).to_string());
    let began = Instant::now();
    for n in 0..100u8 {
        socket.send_to(&[n], (own, server.udp().port())).unwrap();
        pass_marker(&server);
    }
    let seconds = began.elapsed().as_secs() + 1;
    let counts = counts(&mut server);
    let limited = count(&counts, "limited");
    assert!(limited >= 97 - seconds && limited <= 97, "{counts} in {seconds} s");
    assert_eq!(count(&counts, "answered"), 200 - limited);
    assert_eq!(receive_from(&socket).0, [0]);
}

/// A datagram for everybody on the loopback, then one for the server alone.
fn hit_broadcast(server: &Program) -> (UdpSocket, SocketAddr) {
    let socket = udp_socket("127.0.0.1:0");
    socket.set_broadcast(true).unwrap();
    let all = SocketAddr::from(([127, 255, 255, 255], server.udp().port()));
    socket.send_to(b"anybody?", all).unwrap();
    (socket, all)
}

#[test]
fn what_was_sent_to_a_broadcast_address_is_not_answered() {
    let mut server = serve(&["--udp", "0.0.0.0:0"]);
    let (socket, _) = hit_broadcast(&server);
    pass_marker(&server);
    expect_nothing(&socket);
    let counts = counts(&mut server);
    assert!(counts.contains("broadcast 1,"), "{counts}");
}

#[test]
fn with_udp_broadcast_the_answer_comes_from_the_interfaces_own_address() {
    for any in ["0.0.0.0:0", "[::]:0"] {
        if any.starts_with('[') && !has_ipv6() {
            continue;
        }
        let server = serve(&["--udp", any, "--udp-broadcast"]);
        let (socket, _) = hit_broadcast(&server);
        let own = SocketAddr::from(([127, 0, 0, 1], server.udp().port()));
        assert_eq!(receive_from(&socket), (b"anybody?".to_vec(), own));
    }
}

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 7);

/// A socket that sends to groups on the loopback, and the index of that.
fn to_groups() -> Option<UdpSocket> {
    let socket = socket2::SockRef::from(&udp_socket("127.0.0.1:0")).try_clone().ok()?;
    let via = socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST);
    let sent = via.and_then(|()| socket.send_to(b"", &SocketAddr::from((GROUP, 9)).into()));
    if let Err(error) = sent {
        skip(&format!("no multicast on the loopback: {error}"));
        return None;
    }
    let socket = UdpSocket::from(socket);
    socket.set_read_timeout(Some(WITHIN)).unwrap();
    Some(socket)
}

#[test]
fn with_udp_group_the_answer_comes_from_the_interfaces_own_address() {
    let Some(socket) = to_groups() else { return };
    let server = serve(&["--udp", "0.0.0.0:0", "--udp-group", &format!("{GROUP}%lo")]);
    let port = server.udp().port();
    pass_marker(&server);
    socket.send_to(b"anybody?", (GROUP, port)).unwrap();
    let own = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(receive_from(&socket), (b"anybody?".to_vec(), own));
}

/// Another program of the host has joined a group, and Linux gives what comes to every socket that
/// is bound to all addresses.
#[test]
fn what_was_sent_to_a_group_is_not_answered() {
    let Some(socket) = to_groups() else { return };
    let mut server = serve(&["--udp", "0.0.0.0:0"]);
    let joined = udp_socket("0.0.0.0:0");
    let interface = socket2::InterfaceIndexOrAddress::Address(Ipv4Addr::LOCALHOST);
    socket2::SockRef::from(&joined).join_multicast_v4_n(&GROUP, &interface).unwrap();
    socket.send_to(b"anybody?", (GROUP, server.udp().port())).unwrap();
    pass_marker(&server);
    expect_nothing(&socket);
    let counts = counts(&mut server);
    assert!(counts.contains("group 1,"), "{counts}");
}

#[test]
fn an_ipv6_group_is_answered_from_the_interfaces_own_address() {
    if !has_ipv6() {
        return;
    }
    let group: Ipv6Addr = "ff01::7707".parse().unwrap();
    let socket = udp_socket("[::1]:0");
    let via = socket2::SockRef::from(&socket).set_multicast_if_v6(1);
    let server = serve(&["--udp", "[::]:0", "--udp-group", &format!("{group}%lo")]);
    let port = server.udp().port();
    pass_marker(&server);
    if let Err(error) = via.and_then(|()| socket.send_to(b"anybody?", (group, port)).map(drop)) {
        return skip(&format!("no IPv6 multicast on the loopback: {error}"));
    }
    let own = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    assert_eq!(receive_from(&socket), (b"anybody?".to_vec(), own));
}

#[test]
fn a_group_that_nobody_would_hear_is_an_error() {
    let args = ["serve", "--udp", "127.0.0.1:0", "--udp-group", "239.1.2.3%lo", "--console", "off"];
    let mut server = Program::start(&args);
    assert_eq!(server.exit(), 1);
    server.err.wait_for("no --udp address gets it; listen on every address, --udp :PORT");
    Program::start(&["serve", "--udp", ":0", "--udp-group", "127.0.0.1"]).expect_failure(
        2,
        "--udp-group \"127.0.0.1\": this is no multicast address; write GROUP or GROUP%INTERFACE, \
         the group from 224.0.0.0 to 239.255.255.255 or from ff00:: on",
    );
}

/// While it is stopped its receive buffer fills up, and what finds no room is the kernel's to count.
#[test]
fn what_the_kernel_dropped_is_counted() {
    let mut server = serve(&["--udp", "127.0.0.1:0"]);
    let socket = udp_socket("127.0.0.1:0");
    pass_marker(&server);
    server.signal(Signal::STOP);
    // The 64 MiB that it asks for, which are given where we may, doubled as the kernel does.
    for n in 0..(128 << 20) / 8_000 + 200_u64 {
        let mut bytes = [0; 8_000];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        let _ = socket.send_to(&bytes, server.udp());
    }
    server.signal(Signal::CONT);
    counts(&mut server);
    let text = server.out.text();
    let line = text.lines().find(|line| line.contains("dropped by the kernel")).unwrap();
    assert!(count(line, "dropped by the kernel") > 0, "{line}");
}

#[test]
fn the_last_words_tell_what_became_of_the_datagrams() {
    let mut server = serve(&["--udp", "127.0.0.1:0"]);
    pass_marker(&server);
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    let line = server.err.wait_for("echo: answered 1, own port 0");
    assert!(line.contains("datagrams: in 1, out 1, would block 0, failed 0"), "{line}");
}
