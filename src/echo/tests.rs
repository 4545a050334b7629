//! Which datagram is answered, and what is counted.

use super::*;

fn echo(rules: Rules) -> Echo {
    let mut echo = Echo::new(rules);
    echo.bound("127.0.0.1:7000".parse().unwrap());
    echo.bound("[::1]:7001".parse().unwrap());
    echo
}

fn datagram(from: &str, hit: Hit) -> Datagram<'static> {
    Datagram { socket: 0, from: from.parse().unwrap(), to: None, hit, bytes: b"x" }
}

/// Whether it is answered, and what it counts as.
fn asked(echo: &mut Echo, from: &str, hit: Hit) -> (bool, Counts) {
    let answered = echo.answers(&datagram(from, hit), Instant::now());
    (answered, std::mem::take(&mut echo.counts))
}

#[test]
fn the_source_decides() {
    let none = Counts::default();
    let own = Counts { own_port: 1, ..none };
    let low = Counts { low_port: 1, ..none };
    let source = Counts { source: 1, ..none };
    let fine = Counts { answered: 1, ..none };
    for (from, counts) in [
        ("127.0.0.1:7002", fine),
        ("127.255.1.2:7002", fine),
        ("192.0.2.1:1024", fine),
        ("[2001:db8::1]:7002", fine),
        ("127.0.0.1:7000", own),
        ("127.0.0.9:7001", own),
        ("[::1]:7000", own),
        ("192.0.2.1:7000", own),
        ("127.0.0.1:0", low),
        ("127.0.0.1:7", low),
        ("[::1]:53", low),
        ("192.0.2.1:1023", low),
        ("224.0.0.1:7002", source),
        ("239.255.255.250:7002", source),
        ("255.255.255.255:7002", source),
        ("0.0.0.0:7002", source),
        ("0.1.2.3:7002", source),
        ("[ff02::1]:7002", source),
        ("[::]:7002", source),
    ] {
        let expected = (counts == fine, counts);
        assert_eq!(asked(&mut echo(Rules::default()), from, Hit::Own), expected, "{from}");
    }
}

#[test]
fn low_ports_can_be_allowed_but_not_port_0() {
    let mut echo = echo(Rules { any_port: true, ..Rules::default() });
    assert!(asked(&mut echo, "127.0.0.1:7", Hit::Own).0);
    assert!(!asked(&mut echo, "127.0.0.1:0", Hit::Own).0);
    assert!(!asked(&mut echo, "127.0.0.1:7000", Hit::Own).0);
}

#[test]
fn what_hit_a_group_or_a_broadcast_address_is_answered_where_it_was_asked_for() {
    for (hit, rules, counts) in [
        (
            Hit::Multicast,
            Rules { groups: true, ..Rules::default() },
            Counts { group: 1, ..Counts::default() },
        ),
        (
            Hit::Broadcast,
            Rules { broadcast: true, ..Rules::default() },
            Counts { broadcast: 1, ..Counts::default() },
        ),
    ] {
        let closed = asked(&mut echo(Rules::default()), "127.0.0.1:7002", hit);
        assert_eq!(closed, (false, counts));
        assert!(asked(&mut echo(rules), "127.0.0.1:7002", hit).0);
    }
}

#[test]
fn a_prefix_is_limited_and_loopback_is_not() {
    let mut echo = echo(Rules { rate: 1, burst: 3, ..Rules::default() });
    let now = Instant::now();
    for _ in 0..10 {
        echo.answers(&datagram("192.0.2.1:9000", Hit::Own), now);
        echo.answers(&datagram("127.0.0.1:9000", Hit::Own), now);
        echo.answers(&datagram("[::1]:9000", Hit::Own), now);
    }
    assert_eq!(*echo.counts(), Counts { answered: 23, limited: 7, ..Counts::default() });
}

#[test]
fn a_loop_is_muted_and_counted_once_loopback_included() {
    let (mut echo, now) = (echo(Rules::default()), Instant::now());
    let returns = u64::from(loops::RETURNS_MAX);
    for _ in 0..returns + 5 {
        echo.answers(&datagram("127.0.0.1:9000", Hit::Own), now);
    }
    let counts = *echo.counts();
    let expected = Counts { answered: returns - 1, muted: 6, loops: 1, ..Counts::default() };
    assert_eq!(counts, expected);
}

/// Nothing that is not answered anyway gets a place in a table.
#[test]
fn what_is_guarded_costs_no_token() {
    let mut echo = echo(Rules { rate: 1, burst: 1, ..Rules::default() });
    let now = Instant::now();
    for _ in 0..10 {
        assert!(!echo.answers(&datagram("192.0.2.1:7", Hit::Own), now));
    }
    assert!(echo.answers(&datagram("192.0.2.1:9000", Hit::Own), now));
}

fn unix(from: &UnixAddress) -> UnixDatagram<'_> {
    UnixDatagram { socket: 0, from, bytes: b"x" }
}

#[test]
fn a_name_of_our_own_and_a_relative_path_are_not_answered() {
    let none = Counts::default();
    let own = Counts { own_port: 1, ..none };
    let source = Counts { source: 1, ..none };
    let fine = Counts { answered: 1, ..none };
    let path = |path: &str| UnixAddress::Path(path.into());
    let name = |name: &str| UnixAddress::Abstract(name.into());
    for (from, counts) in [
        (path("/run/client"), fine),
        (name("client"), fine),
        (path("/run/echo"), own),
        (name("echo"), own),
        (name("/run/echo"), fine),
        (path("client"), source),
        (path("../run/client"), source),
    ] {
        let mut echo = echo(Rules::default());
        echo.bound_unix(path("/run/echo"));
        echo.bound_unix(name("echo"));
        let answered = echo.answers_unix(&unix(&from), Instant::now());
        assert_eq!((answered, echo.counts), (counts == fine, counts), "{from}");
    }
}

#[test]
fn a_name_has_a_rate_of_its_own() {
    let mut echo = echo(Rules { rate: 10, burst: 5, ..Rules::default() });
    let now = Instant::now();
    for from in ["/run/one", "/run/other"] {
        let from = UnixAddress::Path(from.into());
        let answered = (0..20).filter(|_| echo.answers_unix(&unix(&from), now)).count();
        assert_eq!(answered, 5, "{from}");
    }
    assert_eq!((echo.counts.answered, echo.counts.limited), (10, 30));
}

#[test]
fn a_loop_with_a_name_is_recognised_where_there_is_no_rate() {
    let mut echo = echo(Rules { rate: 0, ..Rules::default() });
    let (from, now) = (UnixAddress::Path("/run/echo2".into()), Instant::now());
    let answered = (0..2 * loops::RETURNS_MAX).filter(|_| echo.answers_unix(&unix(&from), now));
    assert_eq!(answered.count(), loops::RETURNS_MAX as usize - 1);
    assert_eq!(echo.counts.loops, 1);
}
