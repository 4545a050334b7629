//! A small correct loop over every fault: proof that the simulated kernel itself loses no edge and
//! no byte, and that a seed replays. Bugs planted in this loop show that the kernel finds them.

use super::*;
use crate::handler::OWNER_ALONE;
use crate::sim::random::Random;
use std::collections::VecDeque;
use std::mem;

/// A mistake that a loop can make.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// One read an event; what it leaves is forgotten.
    OneReadAnEvent,
    /// After a short send the rest is tried only with the next input.
    WriteEdgeIgnored,
    /// A listener out of descriptors is not tried again.
    AcceptNotRetried,
}

struct Conn {
    peer: PeerId,
    stream: StreamFd,
    readable: bool,
    writable: bool,
    ended: bool,
    out: VecDeque<u8>,
}

/// Echoes; closes when the input has ended and all is sent.
struct EchoLoop {
    os: SimOs,
    bug: Bug,
    listener: ListenerFd,
    acceptable: bool,
    conns: Vec<Option<Conn>>,
    serial: u64,
    /// Events met that name a former tenant of a slot that is taken again.
    stale: usize,
    events: Vec<Event>,
}

impl EchoLoop {
    fn new(mut os: SimOs, bug: Bug) -> Self {
        let listener =
            os.listen(&any_port().into(), OWNER_ALONE, 0).expect("no listen fault exists");
        let events = Vec::with_capacity(4);
        let conns = Vec::new();
        EchoLoop { os, bug, listener, acceptable: false, conns, serial: 0, stale: 0, events }
    }

    fn turn(&mut self) {
        // A listener that may be waited for in vain is tried again by timer.
        let timeout = self.acceptable.then_some(Duration::from_millis(100));
        let mut events = mem::take(&mut self.events);
        self.os.poll(&mut events, timeout).expect("the simulated poll never fails");
        for event in &events {
            self.note(event);
        }
        self.events = events;
        self.accept();
        for slot in 0..self.conns.len() {
            if let Some(conn) = self.conns[slot].take() {
                self.conns[slot] = self.serve(conn);
            }
        }
    }

    fn note(&mut self, event: &Event) {
        match event.source {
            Source::Listener(_) => self.acceptable = true,
            Source::Peer { slot, serial_low } => {
                if let Some(Some(conn)) = self.conns.get_mut(slot as usize) {
                    if conn.peer.serial as u32 != serial_low {
                        self.stale += 1;
                        return;
                    }
                    conn.readable |= event.hints.any(READABLE.with(ENDED));
                    conn.writable |= event.hints.any(WRITABLE);
                }
            }
            _ => {}
        }
    }

    fn accept(&mut self) {
        while self.acceptable {
            let free = self.conns.iter().position(Option::is_none);
            let slot = free.unwrap_or(self.conns.len());
            let peer = PeerId { serial: self.serial + 1, slot: slot as u32 };
            match self.os.accept(&mut self.listener, peer) {
                Ok((stream, _)) => {
                    self.serial += 1;
                    let (readable, writable, ended, out) = (true, true, false, VecDeque::new());
                    let conn = Conn { peer, stream, readable, writable, ended, out };
                    match free {
                        Some(slot) => self.conns[slot] = Some(conn),
                        None => self.conns.push(Some(conn)),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.acceptable = false,
                Err(_) => {
                    self.acceptable = self.bug != Bug::AcceptNotRetried;
                    break; // a lost connection and a lack of descriptors are one to this loop
                }
            }
        }
    }

    /// Reads, then writes; `None` once closed.
    fn serve(&mut self, mut conn: Conn) -> Option<Conn> {
        let mut failed = false;
        let mut buffer = [0; 7];
        while conn.readable && !conn.ended && !failed {
            match self.os.recv(&mut conn.stream, &mut buffer) {
                Ok(0) => conn.ended = true,
                Ok(n) => {
                    conn.out.extend(&buffer[..n]);
                    conn.readable = self.bug != Bug::OneReadAnEvent;
                    conn.writable |= self.bug == Bug::WriteEdgeIgnored;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => conn.readable = false,
                Err(_) => failed = true,
            }
        }
        while conn.writable && !conn.out.is_empty() && !failed {
            let runs = [IoSlice::new(conn.out.make_contiguous())];
            match self.os.send(&mut conn.stream, &runs) {
                Ok(n) => drop(conn.out.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => conn.writable = false,
                Err(_) => failed = true,
            }
        }
        if self.bug == Bug::WriteEdgeIgnored {
            conn.writable = false;
        }
        if failed || (conn.ended && conn.out.is_empty()) {
            self.os.close(conn.stream);
            return None;
        }
        Some(conn)
    }

    /// Whatever is true and not queued, this loop must remember.
    fn check_edges(&self) {
        for conn in self.conns.iter().flatten() {
            let Conn { peer, readable, writable, .. } = conn;
            let name = Source::Peer { slot: peer.slot, serial_low: peer.serial as u32 };
            let now = self.os.conditions(name).expect("it is open");
            assert!(now.event_queued || !now.readable_now || *readable, "{peer}: input forgotten");
            assert!(now.event_queued || !now.writable_now || *writable, "{peer}: room forgotten");
        }
        let now = self.os.conditions(Source::Listener(0)).expect("it is never closed");
        assert!(now.event_queued || !now.readable_now || self.acceptable, "arrivals forgotten");
        let live = self.conns.iter().flatten().count();
        assert_eq!(self.os.open_descriptors(), live + 1);
        assert_eq!(self.os.all_conditions().len(), live + 3, "with signals and the log");
    }
}

/// A client: what it says, what it said and what it heard.
struct Client {
    remote: RemoteId,
    says: usize,
    said: Vec<u8>,
    heard: Vec<u8>,
}

/// Steps with faults and new clients.
const CALM_FROM: usize = 250;

/// Steps until everybody must have been served: a queue of one byte takes one step a byte.
const STEPS_MAX: usize = 4_000;

/// Runs one world to its end; its hash, and how many stale tokens hit a new tenant.
fn run(seed: u64, bug: Bug) -> (u64, usize) {
    let mut echo = EchoLoop::new(SimOs::new(seed), bug);
    let mut random = Random::new(!seed);
    let mut clients: Vec<Client> = Vec::new();
    for step in 0..STEPS_MAX {
        if step == CALM_FROM {
            echo.os.calm();
        }
        if clients.len() < 8 && step < CALM_FROM && random.chance(100) {
            clients.extend(echo.os.dial_in(0).map(|remote| {
                let says = random.below(300);
                Client { remote, says, said: Vec::new(), heard: Vec::new() }
            }));
        }
        for client in &mut clients {
            if random.chance(300) || step > CALM_FROM {
                act(&mut echo.os, client, &mut random);
            }
            if step > CALM_FROM && client.says == 0 {
                echo.os.remote_shutdown(client.remote);
            }
        }
        echo.turn();
        echo.check_edges();
        let done =
            |c: &Client| echo.os.remote_was_cut(c.remote) || echo.os.remote_saw_fin(c.remote);
        if step > CALM_FROM && echo.os.idle_forever() && clients.iter().all(done) {
            break;
        }
    }
    for client in &clients {
        let Client { remote, said, heard, .. } = client;
        assert!(said.starts_with(heard), "{remote:?} heard what it did not say");
        if !echo.os.remote_was_cut(*remote) {
            assert_eq!(heard.len(), said.len(), "{remote:?} was not served");
            assert!(echo.os.remote_saw_fin(*remote), "{remote:?} was not closed");
        }
    }
    assert!(echo.os.idle_forever(), "the loop keeps waking");
    (echo.os.trace_hash(), echo.stale)
}

/// A client's turn: says something, ends when all is said, reads.
fn act(os: &mut SimOs, client: &mut Client, random: &mut Random) {
    if client.says > 0 {
        let n = random.range(1..=client.says);
        let bytes: Vec<u8> = (0..n).map(|_| random.next() as u8).collect();
        let n = os.remote_send(client.remote, &bytes);
        client.said.extend(&bytes[..n]);
        client.says -= bytes.len();
        if client.says == 0 {
            os.remote_shutdown(client.remote);
        }
    } else if random.chance(20) {
        os.remote_shutdown(client.remote);
    }
    os.deliver(client.remote);
    client.heard.extend(os.remote_recv(client.remote, 100));
}

/// Runs worlds until one fails; whether one did.
fn found(bug: Bug, worlds: u64) -> bool {
    (0..worlds).any(|seed| std::panic::catch_unwind(|| run(seed, bug)).is_err())
}

#[test]
fn a_correct_loop_serves_everybody_in_every_world() {
    for seed in 0..500 {
        run(seed, Bug::None);
    }
}

#[test]
fn a_seed_replays() {
    let hashes: Vec<_> = (0..50).map(|seed| run(seed, Bug::None)).collect();
    assert_eq!(hashes, (0..50).map(|seed| run(seed, Bug::None)).collect::<Vec<_>>());
    assert!(hashes.windows(2).all(|pair| pair[0] != pair[1]), "other seeds are other worlds");
}

#[test]
fn stale_tokens_hit_new_tenants() {
    let stale: usize = (0..100).map(|seed| run(seed, Bug::None).1).sum();
    assert!(stale > 10, "{stale} in 100 worlds named a slot that had a new tenant");
}

#[test]
fn a_forgotten_rest_is_found() {
    assert!(found(Bug::OneReadAnEvent, 100));
}

#[test]
fn a_forgotten_write_edge_is_found() {
    assert!(found(Bug::WriteEdgeIgnored, 100));
}

#[test]
fn an_accept_that_is_not_retried_is_found() {
    assert!(found(Bug::AcceptNotRetried, 100));
}
