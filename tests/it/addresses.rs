//! Addresses in every form, as docs/ADDRESSES.md has them, through the real binary.

use crate::support::{Peer, Program, has_ipv6, skip, udp_socket};
use std::net::SocketAddr;

#[test]
fn serve_takes_every_form_of_an_ipv4_address() {
    for form in ["127.0.0.1:0", "127.1:0", "2130706433:0", "0x7f.1:0", "0177.1:0"] {
        let server = Program::start(&["serve", "--tcp", form, "--udp", form]);
        for at in [server.tcp(), server.udp()] {
            assert_eq!(at.ip().to_string(), "127.0.0.1", "{form}");
        }
        Peer::join(server.tcp());
    }
}

#[test]
fn serve_takes_ipv6_in_brackets() {
    if !has_ipv6() {
        return;
    }
    let server = Program::start(&["serve", "--tcp", "[::1]:0"]);
    assert_eq!(server.tcp().ip().to_string(), "::1");
    Peer::join(server.tcp());
}

#[test]
fn an_empty_host_is_one_dual_stack_socket() {
    if !has_ipv6() {
        return;
    }
    let server = Program::start(&["serve", "--tcp", ":0"]);
    let at = server.tcp();
    assert_eq!(at.ip().to_string(), "::");
    let mut one = Peer::join(SocketAddr::from(([127, 0, 0, 1], at.port())));
    let two = Peer::join(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], at.port())));
    one.expect_line(format!("* {} joined", two.name));
    let listening = server.err.text().matches("listening ").count();
    assert_eq!(listening, 1);
}

#[test]
fn an_empty_host_with_4_or_6_is_of_that_family_alone() {
    let server = Program::start(&["serve", "-4", "--tcp", ":0"]);
    assert_eq!(server.tcp().ip().to_string(), "0.0.0.0");
    Peer::join(SocketAddr::from(([127, 0, 0, 1], server.tcp().port())));
    if has_ipv6() {
        let server = Program::start(&["serve", "-6", "--tcp", ":0"]);
        assert_eq!(server.tcp().ip().to_string(), "::");
        Peer::join(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], server.tcp().port())));
    }
}

#[test]
fn serve_binds_every_address_that_a_name_has() {
    use std::net::ToSocketAddrs;
    let Ok(found) = ("localhost", 0).to_socket_addrs() else {
        return skip("no localhost");
    };
    let mut wanted: Vec<_> = found.map(|at| at.ip()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut server = Program::start(&["serve", "--udp", "localhost:0"]);
    server.udp();
    server.type_in("/quit\n");
    assert_eq!(server.exit(), 0);
    let told = server.err.text();
    let bound = told.lines().filter_map(|line| line.strip_prefix("listening udp "));
    let at = |line: &str| line.split(' ').next().unwrap().parse::<SocketAddr>().unwrap().ip();
    let mut bound: Vec<_> = bound.map(at).collect();
    bound.sort_unstable();
    assert_eq!(bound, wanted, "{told}");
}

#[test]
fn connect_takes_every_form() {
    let server = Program::start(&["serve", "--tcp", "127.0.0.1:0"]);
    let port = server.tcp().port();
    let forms = [
        format!("{port}"),
        format!("127.0.0.1:{port}"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f.1:{port}"),
        format!(":{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
    ];
    for form in &forms {
        let mut client = Program::start(&["connect", form]);
        client.out.wait_for("* you are guest");
        client.end_input();
        assert_eq!(client.exit(), 0, "{form}");
    }
}

#[test]
fn connect_udp_takes_every_form() {
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let port = server.udp().port();
    for form in [format!("{port}"), format!("127.1:{port}"), format!(":{port}")] {
        let mut client = Program::start(&["connect", "--udp", &form]);
        client.type_in("echo\n");
        client.end_input();
        assert_eq!(client.exit(), 0, "{form}: {}", client.err.text());
        client.out.expect_line("echo");
    }
}

#[test]
fn a_family_that_an_address_does_not_have_is_refused() {
    for (args, line) in [
        (
            ["connect", "-6", "127.0.0.1:9000"],
            "resolve 127.0.0.1:9000: it has no IPv6 address; leave out -6",
        ),
        (
            ["connect", "-4", "[::1]:9000"],
            "resolve [::1]:9000: it has no IPv4 address; leave out -4",
        ),
    ] {
        Program::start(&args).expect_failure(1, line);
    }
}

#[test]
fn everybody_is_for_datagrams_of_connect_alone() {
    let everybody = "<broadcast>:9000";
    let stream = "a stream has one peer, and <broadcast> is everybody; try it with --udp";
    let listen =
        "<broadcast> is where to send, not where to listen; try an empty host, for every address";
    for (args, why) in [
        (&["connect", everybody][..], stream),
        (&["serve", "--tcp", everybody], listen),
        (&["serve", "--udp", everybody], listen),
    ] {
        Program::start(args).expect_failure(1, &format!("resolve {everybody}: {why}"));
    }
}

/// SO_BROADCAST is set: without it sendto(2) is refused with EACCES, and nobody could hear it.
#[test]
fn broadcast_reaches_an_echo_on_this_machine() {
    let server = Program::start(&["-vv", "serve", "--udp", "0.0.0.0:0"]);
    let port = server.udp().port();
    let mut client = Program::start(&["-vv", "connect", "--udp", &format!("<broadcast>:{port}")]);
    client.type_in("anybody?\n");
    let sent = client.err.wait_for(&format!("sendto 255.255.255.255:{port} 8 bytes"));
    assert!(!sent.contains("Permission denied"), "{sent}");
    if sent.contains("failed") {
        skip("no network to broadcast to");
    }
}

/// The documentation's own lines, one by one.
#[test]
fn every_malformed_address_of_the_documentation_is_refused_in_its_words() {
    let page = include_str!("../../docs/ADDRESSES.md");
    let mut tried = 0;
    for line in page.lines().filter(|line| line.starts_with("malformed address ")) {
        let typed = line.split('"').nth(1).unwrap();
        if typed.contains('\\') {
            continue; // an argument cannot hold a NUL
        }
        Program::start(&["connect", typed]).expect_failure(2, line);
        tried += 1;
    }
    assert!(tried > 10, "{tried} lines on the page");
}

#[test]
fn a_service_name_is_a_port_of_its_own_protocol() {
    let socket = udp_socket("127.0.0.1:0");
    drop(socket);
    Program::start(&["connect", "127.0.0.1:nosuch"]).expect_failure(
        1,
        "resolve 127.0.0.1:nosuch: there is no tcp service \"nosuch\"; try a port number",
    );
    let services = std::fs::read_to_string("/etc/services").unwrap_or_default();
    let echo = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("echo") && words.next() == Some("7/tcp")
    };
    if !services.lines().any(echo) {
        return skip("no service echo in /etc/services");
    }
    // Nobody listens there; what is told names the port.
    let mut client = Program::start(&["connect", "127.0.0.77:echo"]);
    assert_eq!(client.exit(), 1);
    assert!(client.err.text().contains("(127.0.0.77:7): connect: "), "{}", client.err.text());
}
