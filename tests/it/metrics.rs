//! The metrics address, by raw requests: what is answered, what is refused, what is bounded.

use crate::control::Place;
use crate::support::{Peer, Program};
use reactor::serve::metrics::table::{Metric, metrics};
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};

/// A chat with a metrics address.
pub(super) fn measured(more: &[&str]) -> (Program, SocketAddr) {
    let flags = ["--console", "off", "--metrics", "127.0.0.1:0"];
    let server = Program::serve(&[&flags[..], more].concat());
    let line = server.err.wait_for(" metrics");
    let at = line.split(' ').nth(2).expect("an address is its third word");
    assert_eq!(line, format!("listening tcp {at} metrics"));
    let at = at.parse().expect("an address");
    (server, at)
}

/// Asks, and returns all that comes until the end.
fn ask(at: SocketAddr, request: &str) -> String {
    let mut peer = Peer::connect(at);
    peer.say(request);
    all(peer)
}

fn all(mut peer: Peer) -> String {
    let mut text = String::new();
    peer.stream.read_to_string(&mut text).expect("text, and an end");
    text
}

/// GET on a connection of its own: head and body.
pub(super) fn get(at: SocketAddr, path: &str) -> (String, String) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\n\r\n");
    let answer = ask(at, &request);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

fn first_line(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

/// The value of one sample.
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    let value = line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.parse());
    value.unwrap_or_else(|| panic!("no {name} in {text}")).expect("a number")
}

#[test]
fn metrics_count_what_happened() {
    let (server, at) = measured(&[]);
    let (mut one, mut two) = (Peer::join(server.tcp()), Peer::join(server.tcp()));
    one.expect_line(format!("* {} joined", two.name));
    for line in ["a\n", "b\n"] {
        one.say(line);
        two.expect_line(format!("<{}> {}", one.name, line.trim_end()));
    }
    drop(one);
    two.expect_line("* guest1 left");
    server.err.wait_for("closed #1: left");
    let (head, body) = get(at, "/metrics");
    assert_eq!(first_line(&head), "HTTP/1.1 200 OK");
    let kind = "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.lines().any(|line| line == kind), "{head}");
    let length = format!("Content-Length: {}", body.len());
    assert!(head.lines().any(|line| line == length), "{head}");
    assert!(body.ends_with("\n# EOF\n"));
    for (name, value) in [
        ("reactor_peers", 1.0),
        ("reactor_scrapers", 1.0),
        ("reactor_messages_said_total", 2.0),
        ("reactor_peers_closed_total{reason=\"left\"}", 1.0),
        ("reactor_connections_accepted_total", 3.0),
        ("reactor_draining", 0.0),
    ] {
        assert_eq!(sample(&body, name), value, "{name}");
    }
    let lags = sample(&body, "reactor_delivery_lag_seconds_count");
    assert_eq!(lags, 2.0, "a send for each line, and none for a notice");
    assert!(sample(&body, "reactor_delivery_lag_seconds_sum") < 20.0);
    let turns = sample(&body, "reactor_turns_total");
    let timed = sample(&body, "reactor_turn_duration_seconds_count");
    assert!(timed > 0.0 && (turns - timed - 1.0).abs() < 0.5, "{timed} of {turns} turns");
    let infinite = sample(&body, "reactor_turn_duration_seconds_bucket{le=\"+Inf\"}");
    assert_eq!(infinite, timed);
}

#[test]
fn each_word_of_the_table_is_exposed_with_its_kind_and_its_help() {
    let (_server, at) = measured(&[]);
    let (_, body) = get(at, "/metrics");
    for metric in metrics() {
        let name = metric.full_name();
        let family = name.strip_suffix("_total").unwrap_or(&name);
        let told = format!("# TYPE {family} {}", metric.kind.word());
        let absent = name == "reactor_datagrams_lost_total";
        assert!(absent || body.lines().any(|line| line == told), "{told}\n{body}");
        assert!(absent || body.contains(&format!("# HELP {family} {}", metric.help)), "{family}");
    }
}

#[test]
fn the_page_lists_the_table_and_nothing_else() {
    let page = include_str!("../../docs/METRICS.md");
    let told: Vec<&str> = page.lines().filter(|line| line.starts_with("| `reactor_")).collect();
    let row = |metric: &Metric| {
        format!("| `{}` | {} | {} |", metric.full_name(), metric.kind.word(), metric.help)
    };
    let table: Vec<String> = metrics().map(row).collect();
    assert_eq!(told, table);
}

#[test]
fn health_and_readiness_are_told_and_a_drain_is_not_ready() {
    let place = Place::new("readyz");
    let (server, at) = measured(&["--control", place.text()]);
    let _peer = Peer::join(server.tcp());
    let told = |path| {
        let (head, body) = get(at, path);
        (first_line(&head).to_owned(), body)
    };
    let ok = "HTTP/1.1 200 OK".to_owned();
    assert_eq!(told("/healthz"), (ok.clone(), "ok\n".into()));
    assert_eq!(told("/readyz"), (ok.clone(), "ready\n".into()));
    let mut drain = Program::start(&["ctl", "--control", place.text(), "drain"]);
    assert_eq!(drain.exit(), 0);
    assert_eq!(told("/healthz"), (ok, "ok\n".into()));
    let unavailable = "HTTP/1.1 503 Service Unavailable".to_owned();
    assert_eq!(told("/readyz"), (unavailable, "draining\n".into()));
}

#[test]
fn what_is_not_served_is_told_by_its_code() {
    let (_server, at) = measured(&[]);
    for (request, code) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "404 Not Found"),
        (
            "POST /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "405 Method Not Allowed",
        ),
        ("GET /metrics HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("hello\r\n\r\n", "400 Bad Request"),
        (
            "PUT /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
            "413 Content Too Large",
        ),
    ] {
        let answer = ask(at, request);
        assert_eq!(first_line(&answer), format!("HTTP/1.1 {code}"), "{request}");
    }
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(9_000));
    assert_eq!(first_line(&ask(at, &long)), "HTTP/1.1 431 Request Header Fields Too Large");
}

#[test]
fn a_connection_is_used_again_and_requests_that_come_together_are_answered_in_order() {
    let (_server, at) = measured(&[]);
    let one = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let two = "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = "GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = ask(at, &format!("{one}{two}{last}"));
    let heads = answer.matches("HTTP/1.1 200 OK\r\n").count();
    assert_eq!(heads, 3, "{answer}");
    assert!(answer.contains("keep-alive\r\n\r\nok\nHTTP/1.1 "), "{answer}");
    assert!(answer.contains("keep-alive\r\n\r\nHTTP/1.1 "), "HEAD has a body: {answer}");
    assert!(answer.ends_with("close\r\n\r\nready\n"), "{answer}");
}

#[test]
fn an_end_of_input_behind_a_request_is_no_end_of_its_answer() {
    let (_server, at) = measured(&[]);
    let mut peer = Peer::connect(at);
    peer.say("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n");
    peer.end_output();
    assert!(all(peer).ends_with("# EOF\n"));
}

#[test]
fn scrapers_are_few_and_the_rest_is_closed() {
    let (server, at) = measured(&[]);
    let kept: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(at).unwrap()).collect();
    for number in 1..=8 {
        server.err.wait_for(&format!("opened #{number} from "));
    }
    let mut ninth = TcpStream::connect(at).unwrap();
    let end = ninth.read(&mut [0; 1]);
    assert!(matches!(end, Ok(0)) || end.is_err(), "{end:?}");
    server.err.wait_for("closed #9: too many peers");
    let _peer = Peer::join(server.tcp());
    drop(kept);
}

#[test]
fn the_rules_of_the_gate_hold_for_scrapers() {
    let (server, at) = measured(&["--deny", "127.0.0.1"]);
    let mut peer = TcpStream::connect(at).unwrap();
    let end = peer.read(&mut [0; 1]);
    assert!(matches!(end, Ok(0)) || end.is_err(), "{end:?}");
    server.err.wait_for("closed #1: not allowed");
}
