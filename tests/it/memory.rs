//! What the server takes of memory: a ceiling that is told at its start, and what is left of a crowd.

use crate::support::{Peer, Program, WITHIN, hear_pong, resident, skip};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use std::time::Instant;

const MIB: usize = 1024 * 1024;

/// What the allocator and the growth of a buffer may take beside what is counted: a buffer that
/// grows is twice as large as what stands in it at most.
const SLACK: usize = 2;

/// Slow readers, half lines and many rooms at once, more than the limits allow of each.
#[test]
fn under_attack_memory_stays_below_what_was_told_at_the_start() {
    let limits = ["--log-bytes", "256KiB", "--rooms-max", "2", "--buffers-total", "256KiB"];
    let more = ["--line-max", "32KiB", "--console", "off"];
    let server = Program::serve(&[&limits[..], &more].concat());
    let told = server.err.wait_for("memory for peers <= ");
    assert!(told.contains(": 2 x 256.0 KiB of logs, 256.0 KiB of buffers, "), "{told}");
    let mut witness = Peer::join(server.tcp());
    hear_pong(&mut witness);
    let Some(before) = resident(server.id()) else { return skip("no /proc/PID/status") };
    let ceiling = 2 * 256 * 1024 + 256 * 1024 + 300 * reactor::serve::PEER_BYTES;

    let mut crowd: Vec<Peer> = Vec::new();
    for room in 0..16 {
        for _ in 0..10 {
            let mut peer = Peer::join(server.tcp());
            set_socket_recv_buffer_size(&peer.stream, 4096).unwrap();
            peer.say(format!("/join #r{room}\n"));
            crowd.push(peer);
        }
    }
    let line = format!("{}\n", "x".repeat(16_000));
    let mut most = 0;
    for round in 0..40 {
        for (n, peer) in crowd.iter_mut().enumerate() {
            // Who is closed by a limit is closed; nobody of these ever reads.
            let _ = match n % 10 {
                0 => std::io::Write::write(&mut peer.stream, line.as_bytes()),
                1..=8 if round < 2 => {
                    std::io::Write::write(&mut peer.stream, &line.as_bytes()[..15_000])
                }
                _ => Ok(0),
            };
            peer.stream.set_nonblocking(true).unwrap();
        }
        hear_pong(&mut witness);
        most = most.max(resident(server.id()).unwrap());
    }
    let grown = most.saturating_sub(before);
    assert!(grown > MIB / 2, "{grown} bytes: the attack was none");
    assert!(grown <= SLACK * ceiling, "{grown} bytes, the ceiling is {ceiling}");
}

/// Three times, so that what is not given back adds up to 30 MB: the allocator may keep one crowd's
/// memory for the next one, and no more.
#[test]
fn crowds_of_a_thousand_that_came_and_went_leave_less_than_16_mib() {
    let (_, descriptors) = reactor::os::limit::raise_descriptor_limit();
    if descriptors < 1_500 {
        return skip("the descriptor limit is too low for 1,000 peers");
    }
    let server = Program::serve(&["--console", "off", "--history", "0"]);
    let mut witness = Peer::join(server.tcp());
    let Some(before) = resident(server.id()) else { return skip("no /proc/PID/status") };
    for round in 1..=3 {
        let mut crowd: Vec<Peer> = (0..1_000).map(|_| Peer::join(server.tcp())).collect();
        for peer in &mut crowd {
            peer.say("x".repeat(10_000)); // half a line, which is kept
        }
        hear_pong(&mut witness);
        drop(crowd);
        let deadline = Instant::now() + WITHIN;
        while server.err.text().matches(" INFO ] closed #").count() < round * 1_000 {
            assert!(Instant::now() < deadline, "they do not end");
            hear_pong(&mut witness);
        }
    }
    hear_pong(&mut witness);
    let left = resident(server.id()).expect("as before").saturating_sub(before);
    assert!(left < 16 * MIB, "{left} bytes are left");
}
