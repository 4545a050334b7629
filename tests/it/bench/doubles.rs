//! Servers with known faults: they pass lines on, or echo datagrams, but for what is planted. On
//! threads, for they are the other side and not the program.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How a probe of the bench is told from a measured line: the publisher behind the run id.
const PROBE: &[u8] = b"F__";

/// What becomes of measured line `index`, counted from 0: what is passed on in its place.
pub(super) type Fault = Box<dyn FnMut(usize, Vec<u8>) -> Vec<Vec<u8>> + Send>;

/// A line server with a fault.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) fault: Option<Fault>,
    /// Each line is passed on so much later.
    pub(super) delay: Duration,
    /// Everything stands still once, at this line, for so long.
    pub(super) stall: Option<(usize, Duration)>,
    /// Told at the first measured line.
    pub(super) begun: Option<Sender<()>>,
}

enum Event {
    New(usize, TcpStream),
    Line(usize, Vec<u8>),
}

/// Starts one; it ends with the test's process.
pub(super) fn line_server(plan: Plan) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let (events, heard) = channel();
    std::thread::spawn(move || {
        for (id, peer) in listener.incoming().map_while(Result::ok).enumerate() {
            peer.set_nodelay(true).unwrap();
            let own = peer.try_clone().unwrap();
            let _ = events.send(Event::New(id, own));
            let events = events.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(peer);
                let mut line = Vec::new();
                while lines.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                    let _ = events.send(Event::Line(id, std::mem::take(&mut line)));
                }
            });
        }
    });
    std::thread::spawn(move || pass_on(&heard, plan));
    at
}

fn pass_on(heard: &Receiver<Event>, mut plan: Plan) {
    let mut peers: Vec<(usize, TcpStream)> = Vec::new();
    let mut waiting: Vec<(Instant, usize, Vec<u8>)> = Vec::new();
    let mut index = 0;
    loop {
        while let Some((due, ..)) = waiting.first()
            && *due <= Instant::now()
        {
            let (_, from, line) = waiting.remove(0);
            let others = peers.iter_mut().filter(|(id, _)| *id != from);
            // Who is gone hears nothing.
            others.for_each(|(_, peer)| drop(peer.write_all(&line)));
        }
        let next = waiting.first().map_or(Duration::from_secs(60), |(due, ..)| {
            due.saturating_duration_since(Instant::now())
        });
        let (from, line) = match heard.recv_timeout(next) {
            Ok(Event::New(id, peer)) => {
                peers.push((id, peer));
                continue;
            }
            Ok(Event::Line(from, line)) => (from, line),
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let measured = line.get(8..11).is_some_and(|publisher| publisher != PROBE);
        if !measured {
            waiting.push((Instant::now(), from, line));
            continue;
        }
        if let Some(begun) = plan.begun.take() {
            let _ = begun.send(());
        }
        if let Some((at, long)) = plan.stall
            && at == index
        {
            wait(long);
        }
        let lines = match &mut plan.fault {
            Some(fault) => fault(index, line),
            None => vec![line],
        };
        index += 1;
        let due = Instant::now() + plan.delay;
        waiting.extend(lines.into_iter().map(|line| (due, from, line)));
    }
}

/// Does nothing for so long.
pub(super) fn wait(long: Duration) {
    let (_nobody, never) = channel::<()>();
    let _ = never.recv_timeout(long);
}

/// An echo with a fault; it ends with the test's process.
pub(super) fn echo_server(mut fault: Fault) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    std::thread::spawn(move || echo(&socket, &mut fault));
    at
}

/// Echoes what comes, but for the fault.
pub(super) fn echo(socket: &UdpSocket, fault: &mut Fault) {
    let mut buffer = vec![0; 65_536];
    let mut index = 0;
    while let Ok((n, from)) = socket.recv_from(&mut buffer) {
        for datagram in fault(index, buffer[..n].to_vec()) {
            let _ = socket.send_to(&datagram, from);
        }
        index += 1;
    }
}
