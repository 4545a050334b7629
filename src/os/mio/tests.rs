//! `MioOs` against the real kernel on loopback: what the loop relies on, and what it must not.

use super::*;
use crate::handler::OWNER_ALONE;
use std::io::{Read, Write};
use std::net::TcpStream as StdStream;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it watches for what must not happen.
const SILENCE: Duration = Duration::from_millis(50);

fn peer(serial: u64) -> PeerId {
    PeerId { serial, slot: serial as u32 }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn at(address: &str) -> Endpoint {
    address.parse::<SocketAddr>().unwrap().into()
}

/// Where an IP listener is bound.
fn address_of(os: &MioOs, listener: &Listener) -> SocketAddr {
    os.listener_address(listener).unwrap().ip().unwrap()
}

/// Repeats `attempt` at each event until it no longer says `WouldBlock`.
fn until<T>(os: &mut MioOs, mut attempt: impl FnMut(&mut MioOs) -> io::Result<T>) -> io::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    let mut events = Vec::with_capacity(16);
    loop {
        match attempt(os) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => return result,
        }
        assert!(Instant::now() < deadline, "nothing happened in time");
        os.poll(&mut events, Some(SILENCE)).unwrap();
    }
}

/// Waits until `source` has shown all of `hints`, in one event or several.
fn until_hinted(os: &mut MioOs, source: Source, hints: Hints) {
    let deadline = Instant::now() + PATIENCE;
    let mut events = Vec::with_capacity(16);
    let mut seen = Hints::default();
    while seen.0 & hints.0 != hints.0 {
        assert!(Instant::now() < deadline, "{source:?} only showed {seen:?}");
        os.poll(&mut events, Some(SILENCE)).unwrap();
        let of_source = events.iter().filter(|event| event.source == source);
        seen = of_source.fold(seen, |seen, event| seen.with(event.hints));
    }
}

/// The events of `source` within a while.
fn hints_within(os: &mut MioOs, source: Source, time: Duration) -> Hints {
    let deadline = Instant::now() + time;
    let mut events = Vec::with_capacity(16);
    let mut seen = Hints::default();
    while Instant::now() < deadline {
        os.poll(&mut events, Some(time)).unwrap();
        let of_source = events.iter().filter(|event| event.source == source);
        seen = of_source.fold(seen, |seen, event| seen.with(event.hints));
    }
    seen
}

/// One accepted connection as peer #1, and its client.
fn pair(os: &mut MioOs) -> (Stream, StdStream) {
    let mut listener = os.listen(&local(0).into(), OWNER_ALONE, 0).unwrap();
    let client = StdStream::connect(address_of(os, &listener)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let (stream, from) = until(os, |os| os.accept(&mut listener, peer(1))).unwrap();
    assert_eq!(from, client.local_addr().unwrap().into());
    (stream, client)
}

fn would_block<T: std::fmt::Debug>(result: io::Result<T>) {
    assert_eq!(result.unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn bytes_go_both_ways_and_a_drained_stream_would_block() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let (mut stream, mut client) = pair(&mut os);
    let mut into = [0; 64];
    would_block(os.recv(&mut stream, &mut into));
    client.write_all(b"hello").unwrap();
    assert_eq!(until(&mut os, |os| os.recv(&mut stream, &mut into)).unwrap(), 5);
    would_block(os.recv(&mut stream, &mut into));
    let runs = [IoSlice::new(b"good "), IoSlice::new(b""), IoSlice::new(b"day")];
    assert_eq!(os.send(&mut stream, &runs).unwrap(), 8);
    client.read_exact(&mut into[..8]).unwrap();
    assert_eq!(&into[..8], b"good day");
}

#[test]
fn small_writes_are_not_held_back() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let (stream, client) = pair(&mut os);
    let listener = std::net::TcpListener::bind(local(0)).unwrap();
    let dialed =
        os.connect(&listener.local_addr().unwrap().into(), Some(local(0)), peer(2)).unwrap();
    for stream in [stream, dialed] {
        let Stream::Tcp(socket) = stream else { panic!("not a socket") };
        assert!(socket.nodelay().unwrap());
    }
    drop(client);
}

#[test]
fn an_accepted_connection_has_the_send_buffer_that_was_asked_for() {
    let size = |send_buffer| {
        let mut os = MioOs::new(Settings { send_buffer, ..Settings::default() }).unwrap();
        let (Stream::Tcp(socket), _client) = pair(&mut os) else { panic!("not a socket") };
        socket2::SockRef::from(&socket).send_buffer_size().unwrap()
    };
    let (own, small) = (size(0), size(8 * 1024));
    // Linux doubles it, socket(7); other systems give it as it is.
    assert!((8 * 1024..=16 * 1024).contains(&small), "{small}");
    assert!(own > small, "{own}");
}

#[test]
fn a_partial_read_is_followed_by_silence() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let (mut stream, mut client) = pair(&mut os);
    client.write_all(b"0123456789").unwrap();
    until_hinted(&mut os, source_of(peer(1)), Hints::READABLE);
    assert_eq!(os.recv(&mut stream, &mut [0; 4]).unwrap(), 4);
    assert_eq!(hints_within(&mut os, source_of(peer(1)), SILENCE), Hints::default());
    assert_eq!(os.recv(&mut stream, &mut [0; 64]).unwrap(), 6);
}

#[test]
fn data_and_fin_come_with_the_ended_hint() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let (mut stream, mut client) = pair(&mut os);
    client.write_all(b"bye").unwrap();
    drop(client);
    until_hinted(&mut os, source_of(peer(1)), Hints::READABLE.with(Hints::ENDED));
    assert_eq!(os.recv(&mut stream, &mut [0; 64]).unwrap(), 3);
    assert_eq!(os.recv(&mut stream, &mut [0; 64]).unwrap(), 0);
}

/// tcp(7): the mark of urgent data ends a recv, and what stands behind it is never announced again.
#[cfg(target_os = "linux")]
#[test]
fn a_recv_that_stops_at_urgent_data_was_hinted() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let (mut stream, mut client) = pair(&mut os);
    client.write_all(b"before").unwrap();
    rustix::net::send(&client, b"!", rustix::net::SendFlags::OOB).unwrap();
    client.write_all(b"behind").unwrap();
    until_hinted(&mut os, source_of(peer(1)), Hints::READABLE.with(Hints::URGENT));
    hints_within(&mut os, source_of(peer(1)), SILENCE);
    assert_eq!(os.recv(&mut stream, &mut [0; 64]).unwrap(), 6);
    assert_eq!(hints_within(&mut os, source_of(peer(1)), SILENCE), Hints::default());
    assert_eq!(os.recv(&mut stream, &mut [0; 64]).unwrap(), 6);
}

#[test]
fn a_full_socket_takes_less_then_would_block_and_tells_when_there_is_room() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let (mut stream, mut client) = pair(&mut os);
    let block = vec![7; 1 << 20];
    let mut sent = 0;
    let refused = loop {
        match os.send(&mut stream, &[IoSlice::new(&block)]) {
            Ok(n) => sent += n,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    hints_within(&mut os, source_of(peer(1)), SILENCE);
    client.read_exact(&mut vec![0; sent]).unwrap();
    until_hinted(&mut os, source_of(peer(1)), Hints::WRITABLE);
    assert!(os.send(&mut stream, &[IoSlice::new(&block)]).unwrap() > 0);
}

#[test]
fn shutdown_ends_only_our_half() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let (mut stream, mut client) = pair(&mut os);
    os.shutdown(&mut stream);
    assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
    client.write_all(b"still").unwrap();
    assert_eq!(until(&mut os, |os| os.recv(&mut stream, &mut [0; 8])).unwrap(), 5);
    os.close(stream);
}

#[test]
fn a_refused_dial_is_told_by_connect_or_connected() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let closed = std::net::TcpListener::bind(local(0)).unwrap().local_addr().unwrap();
    for from in [None, Some(SocketAddr::from(([127, 0, 0, 2], 0)))] {
        let error = match os.connect(&closed.into(), from, peer(3)) {
            Err(error) => error,
            Ok(mut stream) => {
                until_hinted(&mut os, source_of(peer(3)), Hints::ENDED);
                os.connected(&mut stream).unwrap_err()
            }
        };
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}

#[test]
fn a_dial_connects_from_the_address_that_was_asked_for() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let listener = std::net::TcpListener::bind(local(0)).unwrap();
    let from = SocketAddr::from(([127, 0, 0, 2], 0));
    let to = listener.local_addr().unwrap();
    let mut stream = os.connect(&to.into(), Some(from), peer(4)).unwrap();
    let connected = until(&mut os, |os| match os.connected(&mut stream)? {
        true => Ok(true),
        false => Err(ErrorKind::WouldBlock.into()),
    });
    assert!(connected.unwrap());
    assert_eq!(listener.accept().unwrap().1.ip(), from.ip());
}

#[test]
fn the_unspecified_ipv6_listener_takes_ipv4_as_plain_ipv4() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let Ok(mut listener) = os.listen(&at("[::]:0"), OWNER_ALONE, 0) else { return };
    let port = address_of(&os, &listener).port();
    let client = StdStream::connect(local(port)).unwrap();
    let (_, from) = until(&mut os, |os| os.accept(&mut listener, peer(1))).unwrap();
    assert_eq!(from, client.local_addr().unwrap().into());
    assert!(matches!(from, Remote::Ip(SocketAddr::V4(_))));
}

#[test]
fn where_ipv6_only_is_asked_for_the_unspecified_listener_leaves_ipv4_alone() {
    let mut os = MioOs::new(Settings { ipv6_only: true, ..Settings::default() }).unwrap();
    let Ok(listener) = os.listen(&at("[::]:0"), OWNER_ALONE, 0) else { return };
    let port = address_of(&os, &listener).port();
    os.listen(&local(port).into(), OWNER_ALONE, 1).expect("the same port of IPv4 is free");
    let Ok(udp) = os.bind_udp("[::]:0".parse().unwrap(), false, 0) else { return };
    let port = os.udp_address(&udp).unwrap().port();
    os.bind_udp(local(port), false, 1).expect("the same port of IPv4 is free");
}

#[test]
fn any_other_ipv6_listener_leaves_ipv4_alone() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let Ok(listener) = os.listen(&at("[::1]:0"), OWNER_ALONE, 0) else { return };
    let port = address_of(&os, &listener).port();
    os.listen(&local(port).into(), OWNER_ALONE, 1).expect("the same port of IPv4 is free");
}

#[test]
fn a_taken_address_is_told() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let listener = os.listen(&local(0).into(), OWNER_ALONE, 0).unwrap();
    let taken = address_of(&os, &listener);
    assert_eq!(os.listen(&taken.into(), OWNER_ALONE, 1).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn the_backlog_holds_a_burst_that_nobody_accepts() {
    let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap_or_default();
    if somaxconn.trim().parse().unwrap_or(0) < 300 {
        return; // the system allows no more
    }
    let mut os = MioOs::new(Settings::default()).unwrap();
    let listener = os.listen(&local(0).into(), OWNER_ALONE, 0).unwrap();
    let at = address_of(&os, &listener);
    let burst: Vec<_> = (0..300)
        .map(|i| match StdStream::connect_timeout(&at, Duration::from_secs(1)) {
            Ok(client) => client,
            Err(error) => panic!("connection {i}: {error}"),
        })
        .collect();
    assert_eq!(burst.len(), 300);
}

#[test]
fn events_beyond_the_callers_room_come_with_the_next_call() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let mut listener = os.listen(&local(0).into(), OWNER_ALONE, 0).unwrap();
    let at = address_of(&os, &listener);
    let clients: Vec<_> = (0..5).map(|_| StdStream::connect(at).unwrap()).collect();
    let accept = |serial| until(&mut os, |os| os.accept(&mut listener, peer(serial))).unwrap();
    let streams: Vec<_> = (1..=5).map(accept).collect();
    let mut seen = std::collections::BTreeSet::new();
    let mut events = Vec::with_capacity(1);
    let deadline = Instant::now() + PATIENCE;
    while seen.len() < 5 {
        assert!(Instant::now() < deadline, "only {seen:?} were told");
        os.poll(&mut events, Some(SILENCE)).unwrap();
        assert!(events.len() <= 1);
        seen.extend(events.iter().filter_map(|event| match event.source {
            Source::Peer { slot, .. } => Some(slot),
            _ => None,
        }));
    }
    assert_eq!((streams.len(), clients.len()), (5, 5));
}

#[test]
fn signals_are_told_one_by_one_and_each_once() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    signal_hook::low_level::raise(SIGCONT).unwrap();
    signal_hook::low_level::raise(SIGTERM).unwrap();
    signal_hook::low_level::raise(SIGTERM).unwrap();
    until_hinted(&mut os, Source::Signals, Hints::READABLE);
    let mut told = vec![os.signal().unwrap(), os.signal().unwrap()];
    told.sort_by_key(|caught| *caught != Caught::Told(Signal::Terminate));
    assert_eq!(told, [Signal::Terminate, Signal::Continue].map(Caught::Told));
    assert_eq!(os.signal(), None);
}

#[test]
fn an_ignored_hangup_is_read_from_the_status_page() {
    let status =
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\tffffffffffffffff\n";
    assert!(ignored_in(status, SIGHUP));
    assert!(!ignored_in(status, SIGINT));
    assert!(!ignored_in("", SIGHUP));
}

#[test]
fn a_wait_without_events_ends_at_its_timeout() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    hints_within(&mut os, Source::Log, SILENCE); // stderr may be writable: told once
    let (before, mut events) = (os.now(), Vec::with_capacity(16));
    os.poll(&mut events, Some(Duration::from_millis(20))).unwrap();
    assert!(os.now() - before < PATIENCE);
}

/// One call on the listener instead of three on each accepted socket.
#[test]
fn keep_alive_and_the_user_timeout_are_on_and_accepted_sockets_have_them_from_their_listener() {
    let settings = Settings { user_timeout: Duration::from_secs(77), ..Settings::default() };
    let mut os = MioOs::new(settings).unwrap();
    let mut listener = os.listen(&local(0).into(), OWNER_ALONE, 0).unwrap();
    let at = address_of(&os, &listener);
    let dialed = os.connect(&at.into(), None, peer(1)).unwrap();
    let (accepted, _) = until(&mut os, |os| os.accept(&mut listener, peer(2))).unwrap();
    for stream in [dialed, accepted] {
        let Stream::Tcp(socket) = stream else { panic!("a TCP socket") };
        let socket = SockRef::from(&socket);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_EVERY);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(settings.user_timeout));
    }
}

#[test]
fn a_closed_listener_that_another_process_has_too_wakes_nobody() {
    let mut os = MioOs::new(Settings::default()).unwrap();
    let listener = os.listen(&local(0).into(), OWNER_ALONE, 0).unwrap();
    let at = address_of(&os, &listener);
    let Listener::Tcp(socket) = &listener else { panic!("{listener:?}") };
    let theirs = SockRef::from(socket).try_clone().unwrap();
    os.close_listener(listener);
    let _client = StdStream::connect(at).unwrap();
    assert_eq!(hints_within(&mut os, Source::Listener(0), SILENCE), Hints::default());
    drop(theirs);
}
