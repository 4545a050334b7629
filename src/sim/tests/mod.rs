//! The simulated kernel behaves as Linux does: one behaviour a test. `edges`: what epoll tells and
//! what it does not; `ends`: how connections begin and end; `sources`: datagrams, console, log,
//! signals; `echo`: a small correct loop over all faults, and replay.

use super::faults::Faults;
use super::kernel::{ListenerFd, SimOs, StreamFd};
use super::remote::RemoteId;
use crate::handler::{OWNER_ALONE, PeerId};
use crate::os::{Event, Hints, Os, Source};
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::time::Duration;

mod echo;
mod edges;
mod ends;
mod sources;

const READABLE: Hints = Hints::READABLE;
const WRITABLE: Hints = Hints::WRITABLE;
const ENDED: Hints = Hints::ENDED;
const BOTH: Hints = READABLE.with(WRITABLE);

/// A world with these faults; that the log can be written to has been told.
fn world(faults: Faults) -> SimOs {
    let mut os = SimOs::with(1, Faults::none());
    poll(&mut os);
    *os.faults_mut() = faults;
    os
}

/// A world without faults.
fn quiet() -> SimOs {
    world(Faults::none())
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn peer(slot: u32) -> PeerId {
    PeerId { serial: u64::from(slot) + 1, slot }
}

fn source(slot: u32) -> Source {
    Source::Peer { slot, serial_low: slot + 1 }
}

/// What one poll of zero length tells.
fn poll(os: &mut SimOs) -> Vec<Event> {
    poll_few(os, 1_024)
}

fn poll_few(os: &mut SimOs, capacity: usize) -> Vec<Event> {
    let mut events = Vec::with_capacity(capacity);
    os.poll(&mut events, Some(Duration::ZERO)).expect("the simulated poll never fails");
    events
}

fn event(source: Source, hints: Hints) -> Event {
    Event { source, hints }
}

/// A listener and one connection accepted as `peer(0)`, its first event told.
fn connected(os: &mut SimOs) -> (ListenerFd, StreamFd, RemoteId) {
    let mut listener =
        os.listen(&any_port().into(), OWNER_ALONE, 0).expect("no listen fault exists");
    let remote = os.dial_in(0).expect("the backlog is empty");
    let (stream, _) = os.accept(&mut listener, peer(0)).expect("one waits in the backlog");
    poll(os);
    (listener, stream, remote)
}

/// Everything that the remote end sent arrives.
fn deliver_all(os: &mut SimOs, remote: RemoteId) {
    while os.deliver(remote) > 0 {}
}

fn send(os: &mut SimOs, stream: &mut StreamFd, bytes: &[u8]) -> Result<usize, ErrorKind> {
    os.send(stream, &[IoSlice::new(bytes)]).map_err(|error| error.kind())
}

fn recv(os: &mut SimOs, stream: &mut StreamFd) -> Result<Vec<u8>, ErrorKind> {
    let mut bytes = [0; 64];
    let n = os.recv(stream, &mut bytes).map_err(|error| error.kind())?;
    Ok(bytes[..n].to_vec())
}

/// Sends until the queue is full; how many bytes it took.
fn fill(os: &mut SimOs, stream: &mut StreamFd) -> usize {
    let mut taken = 0;
    while let Ok(n) = send(os, stream, b"x") {
        taken += n;
    }
    taken
}
