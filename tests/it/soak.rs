//! A long run of everything at once, over real sockets. Ignored by default: it takes `SOAK_S` seconds
//! (60 if unset), as in `SOAK_S=3600 cargo test --test it soak:: -- --ignored --nocapture`.

use crate::support::{Peer, Program, WITHIN, descriptors, hear_pong, resident, skip};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What the server may hold more at the end than at the start: what an allocator keeps of a peak.
const LEFT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Repeats something with the number of the time, until the run is over.
fn over_and_over(over: &AtomicBool, mut step: impl FnMut(usize)) -> usize {
    let mut n = 0;
    while !over.load(Ordering::Relaxed) {
        step(n);
        n += 1;
    }
    n
}

/// Comes, says something or nothing, leaves in one of the ways there are.
fn churn(at: SocketAddr, n: usize) {
    let Ok(mut stream) = TcpStream::connect_timeout(&at, WITHIN) else { return };
    let _ = stream.set_read_timeout(Some(WITHIN));
    let _ = match n % 5 {
        0 => Ok(()), // its greeting unread: a reset
        1 => stream.write_all(b"half a line"),
        2 => stream.write_all(b"/join #churn\nsomething\n/quit bye\n"),
        3 => stream.write_all(&vec![b'x'; 70_000]), // longer than a line may be
        _ => stream.shutdown(std::net::Shutdown::Write),
    };
    if n.is_multiple_of(2) {
        let _ = stream.read(&mut [0; 1024]);
    }
}

/// Joins the room of the floods, makes itself slow and reads nothing for a while.
fn stall(at: SocketAddr) {
    let Ok(mut stream) = TcpStream::connect_timeout(&at, WITHIN) else { return };
    let _ = set_socket_recv_buffer_size(&stream, 4096);
    let _ = stream.set_read_timeout(Some(Duration::from_millis(300)));
    let _ = stream.write_all(b"/join #flood\n");
    let mut byte = [0; 1];
    for _ in 0..10 {
        let _ = stream.read(&mut byte);
    }
}

/// The messages of one talker as its reader hears them: each once, in order. Receipts would be told.
fn expect_number(reader: &mut Peer, name: &str, n: usize) {
    loop {
        let line = reader.line();
        if line.starts_with("* guest") || line.starts_with("* slow down") {
            continue; // somebody else came or went
        }
        assert_eq!(line, format!("<{name}> {n}"), "lost, doubled or out of order");
        return;
    }
}

#[test]
#[ignore = "takes SOAK_S seconds"]
fn after_a_long_run_everything_is_as_it_was_at_the_start() {
    let seconds = std::env::var("SOAK_S").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let limits = ["--stall-timeout", "2s", "--line-timeout", "2s", "--buffers-total", "8MiB"];
    let args = ["serve", "--tcp", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--console", "commands"];
    let mut server = Program::start(&[&args[..], &limits].concat());
    let (at, udp, pid) = (server.tcp(), server.udp(), server.id());
    let mut reader = Peer::join(at);
    let mut talker = Peer::join(at);
    reader.say("/join #exact\n");
    talker.say("/join #exact\n");
    hear_pong(&mut reader);
    hear_pong(&mut talker);
    let Some(descriptors_before) = descriptors(pid) else { return skip("no /proc/PID/fd") };
    let before = resident(pid).expect("there is a /proc");
    let name = talker.name.clone();

    let over = AtomicBool::new(false);
    let begun = Instant::now();
    let [said, came, stalled, signals, datagrams] = thread::scope(|scope| {
        let over = &over;
        let server = &server;
        let churned: Vec<_> =
            (0..2).map(|_| scope.spawn(move || over_and_over(over, |n| churn(at, n)))).collect();
        let stalled = scope.spawn(move || over_and_over(over, |_| stall(at)));
        let flooded = scope.spawn(move || {
            let mut stream = TcpStream::connect_timeout(&at, WITHIN).unwrap();
            let mut drain = stream.try_clone().unwrap();
            let drained = scope.spawn(move || std::io::copy(&mut drain, &mut std::io::sink()));
            stream.write_all(b"/join #flood\n").unwrap();
            let block = format!("{}\n", "x".repeat(1_000)).repeat(20);
            over_and_over(over, |_| stream.write_all(block.as_bytes()).unwrap());
            stream.shutdown(std::net::Shutdown::Both).unwrap();
            let _ = drained.join().unwrap();
        });
        let signals = scope.spawn(move || {
            over_and_over(over, |n| {
                server.signal(Signal::CONT);
                if n % 100 == 0 {
                    server.signal(Signal::STOP);
                    server.signal(Signal::CONT);
                }
                thread::yield_now();
            })
        });
        let datagrams = scope.spawn(move || {
            let socket = crate::support::udp_socket("127.0.0.1:0");
            over_and_over(over, |n| {
                let sent = n.to_string();
                socket.send_to(sent.as_bytes(), udp).unwrap();
                assert_eq!(crate::support::receive_from(&socket).0, sent.as_bytes());
            })
        });
        // This one is the clock and the judge.
        let mut said = 0;
        while begun.elapsed() < Duration::from_secs(seconds) {
            for n in said..said + 10 {
                talker.say(format!("{n}\n"));
            }
            for n in said..said + 10 {
                expect_number(&mut reader, &name, n);
            }
            said += 10;
        }
        over.store(true, Ordering::Relaxed);
        flooded.join().unwrap();
        let came: usize = churned.into_iter().map(|thread| thread.join().unwrap()).sum();
        let [stalled, signals, datagrams] =
            [stalled, signals, datagrams].map(|thread| thread.join().unwrap());
        [said, came, stalled, signals, datagrams]
    });

    let deadline = Instant::now() + WITHIN;
    while descriptors(pid) != Some(descriptors_before) {
        assert!(Instant::now() < deadline, "descriptors: {:?}", descriptors(pid));
        hear_pong(&mut reader);
    }
    server.type_in("/rooms\n/stats\n");
    server.out.wait_for("* rooms: #exact 2, #lobby 0");
    let peers = server.out.wait_for("* peers 2 (accepted ");
    let numbers: Vec<usize> =
        peers.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
    assert_eq!(numbers[1] - numbers[2], 2, "accepted less closed: {peers}");
    let after = resident(pid).unwrap();
    let told = format!(
        "{} s: {said} messages heard once each, {came} came and went, {stalled} stalled, {signals} \
         signals, {datagrams} datagrams; memory {before} before, {after} after; {peers}\n",
        begun.elapsed().as_secs()
    );
    let _ = std::io::stderr().write_all(told.as_bytes());
    assert!(after <= before + LEFT_BYTES_MAX, "{told}");
    server.type_in("/quit\n");
    reader.expect_line("* the server is stopping");
    drop((reader, talker));
    assert_eq!(server.exit(), 0);
}
