//! Clients of a UDP echo: each its own socket, all on one loop. The handler of `udp`. Every datagram
//! carries a marker, so that its echo is known again; each client is a publisher whose lines come
//! back to one subscriber, all of us.

use super::account::histogram;
use super::account::measure::{Measure, Who};
use super::drive::{Driven, Failure, Live};
use super::load::marker::Run;
use super::options::Load;
use crate::handler::{Action, Datagram, Handler, PeerId, Signal};
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A datagram that is away for so long is lost; an echo that comes later was only late. Far above
/// any queue on one machine, and over a network as long as most protocols wait.
const LOST_AFTER: Duration = Duration::from_secs(1);

/// How often it is looked for those.
const SWEEP_EVERY: Duration = Duration::from_millis(50);

/// How long before a datagram's time the loop stops sleeping: its poll rounds up to whole
/// milliseconds.
const AWAKE_BEFORE: Duration = Duration::from_millis(1);

/// The clients.
pub(super) struct Clients {
    to: SocketAddr,
    /// The first one's socket, in the order they were bound.
    first: usize,
    burst: u32,
    run: Run,
    /// The latest that we were told.
    now: Instant,
    measure: Measure,
    clients: Vec<Client>,
    dirty: VecDeque<usize>,
    sweep_at: Instant,
    /// RFC 3550 §6.4.1, over all echoes, in ns.
    pub(super) jitter: Histogram<u64>,
    failure: Option<Failure>,
}

#[derive(Clone, Copy, Default)]
struct Client {
    queued: bool,
    /// The last echo's round trip, in ns; 0 before the first.
    rtt_ns: u64,
    jitter_ns: f64,
}

impl Clients {
    /// `count` of them, from socket `first` on.
    pub(super) fn new(
        to: SocketAddr,
        [first, count]: [usize; 2],
        run: Run,
        load: &Load,
        [start, now]: [Instant; 2],
    ) -> Self {
        let who = Who { subscribers: 1, publishers: count, overlap: 0, answering: false };
        Clients {
            to,
            first,
            burst: load.burst,
            run,
            now,
            measure: Measure::new(who, load, start, now),
            clients: vec![Client::default(); count],
            dirty: VecDeque::new(),
            sweep_at: start,
            jitter: histogram(super::account::DIGITS),
            failure: None,
        }
    }

    /// What came of it.
    pub(super) fn measured(self) -> (Measure, Histogram<u64>) {
        (self.measure, self.jitter)
    }

    fn queue(&mut self, client: usize) {
        if !std::mem::replace(&mut self.clients[client].queued, true) {
            self.dirty.push_back(client);
        }
    }

    fn queue_released(&mut self) {
        while let Some(client) = self.measure.released() {
            self.queue(client);
        }
    }

    fn sweep(&mut self, now: Instant) {
        for client in 0..self.clients.len() {
            self.measure.give_up(client, LOST_AFTER, now);
        }
        self.queue_released();
    }

    /// D is the change of the round trip, where RFC 3550 takes that of the one-way transit.
    fn note_jitter(&mut self, client: usize, rtt_ns: u64) {
        let client = &mut self.clients[client];
        if client.rtt_ns > 0 {
            let change = rtt_ns.abs_diff(client.rtt_ns) as f64;
            client.jitter_ns += (change - client.jitter_ns) / 16.0;
            self.jitter.saturating_record(client.jitter_ns as u64);
        }
        client.rtt_ns = rtt_ns;
    }
}

impl Driven for Clients {
    fn is_done(&self) -> bool {
        self.failure.is_some() || self.measure.is_complete(self.now)
    }

    fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn is_warm(&self) -> bool {
        self.measure.warm() <= self.now
    }

    fn live(&self) -> Live {
        Live::of(&self.measure, self.now)
    }
}

impl Handler for Clients {
    fn ended(&mut self, _: PeerId, _: &[u8], _: Instant) -> bool {
        true
    }

    fn datagram<'a>(&'a mut self, datagram: Datagram<'a>, now: Instant) -> Option<&'a [u8]> {
        self.now = now;
        let client = datagram.socket.checked_sub(self.first)?;
        match self.run.find(datagram.bytes)? {
            Ok(marker)
                if usize::from(marker.publisher) == client
                    && datagram.bytes.len() == self.run.line_bytes() =>
            {
                if let Some(rtt_ns) = self.measure.line(0, marker, now)
                    && self.measure.warm() <= now
                {
                    self.note_jitter(client, rtt_ns);
                }
                self.measure.delivered_last = now;
                self.queue_released();
            }
            _ => self.measure.checker.damaged(),
        }
        None
    }

    fn signalled(&mut self, signal: Signal, _: Instant) {
        if signal != Signal::Continue {
            self.failure = Some(Failure::Stopped(signal));
        }
    }

    fn expired(&mut self, now: Instant) {
        self.now = now;
        let clients = self.measure.advance(now);
        self.measure.look_at_queue();
        for client in clients {
            self.queue(client % self.clients.len());
        }
        if self.sweep_at <= now {
            self.sweep_at = now + SWEEP_EVERY;
            self.sweep(now);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let next = self.measure.next(self.now, AWAKE_BEFORE);
        Some(next.map_or(self.sweep_at, |next| next.min(self.sweep_at)))
    }

    /// One burst a client, then it is the next one's turn.
    fn next_action(&mut self, _: Instant) -> Option<Action> {
        while let Some(client) = self.dirty.pop_front() {
            self.clients[client].queued = false;
            let mut bytes = Vec::new();
            for _ in 0..self.burst {
                let Some(marker) = self.measure.make(client, self.now) else { break };
                self.run.push_line(&mut bytes, marker);
            }
            if !bytes.is_empty() {
                self.queue(client);
                let stride = self.run.line_bytes();
                let socket = self.first + client;
                return Some(Action::SendTo { socket, to: self.to, bytes, stride });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::options::Length;
    use crate::handler::Hit;

    const MS: Duration = Duration::from_millis(1);

    fn clients(count: usize, rate: Option<u32>, window: Option<u32>, burst: u32) -> Clients {
        let now = Instant::now();
        let length = Length::Time(Duration::from_secs(1));
        let load = Load { rate, window, burst, warmup: Duration::ZERO, length };
        let to = "127.0.0.1:7".parse().unwrap();
        Clients::new(to, [2, count], Run::new(1, 32), &load, [now, now])
    }

    /// What is sent now: socket and bytes.
    fn sent(clients: &mut Clients) -> Vec<(usize, Vec<u8>)> {
        let mut all = Vec::new();
        while let Some(action) = clients.next_action(Instant::now()) {
            let Action::SendTo { socket, bytes, stride, .. } = action else { panic!("{action:?}") };
            assert_eq!(stride, 32);
            all.push((socket, bytes));
        }
        all
    }

    fn echo(clients: &mut Clients, socket: usize, bytes: &[u8], now: Instant) {
        let datagram = Datagram { socket, from: clients.to, to: None, hit: Hit::Own, bytes };
        assert_eq!(clients.datagram(datagram, now), None);
    }

    #[test]
    fn a_window_is_kept_by_each_client() {
        let mut clients = clients(2, None, Some(4), 2);
        let start = clients.now;
        clients.expired(start);
        let first = sent(&mut clients);
        let sockets: Vec<_> = first.iter().map(|(socket, bytes)| (*socket, bytes.len())).collect();
        assert_eq!(sockets, [(2, 64), (3, 64), (2, 64), (3, 64)]);
        echo(&mut clients, 2, &first[0].1[..32], start + MS);
        assert!(sent(&mut clients).is_empty(), "half a burst");
        echo(&mut clients, 2, &first[0].1[32..], start + MS);
        assert_eq!(sent(&mut clients).len(), 1);
    }

    #[test]
    fn jitter_is_that_of_rfc_3550() {
        let mut clients = clients(1, None, Some(1), 1);
        let mut now = clients.now;
        clients.expired(now);
        for rtt in [4, 20, 4] {
            let (socket, bytes) = sent(&mut clients).remove(0);
            now += rtt * MS;
            echo(&mut clients, socket, &bytes, now);
        }
        // Two changes of 16 ms: 1 ms, and then 1 + 15/16 ms.
        assert_eq!(clients.jitter.len(), 2);
        assert!(clients.jitter.max().abs_diff(1_937_500) < 2_000, "{}", clients.jitter.max());
    }

    #[test]
    fn an_echo_that_is_not_the_same_or_goes_astray_is_damage() {
        let mut clients = clients(2, Some(100), None, 1);
        let now = clients.now;
        clients.expired(now);
        let (socket, bytes) = sent(&mut clients).remove(0);
        echo(&mut clients, socket, &bytes[..31], now);
        echo(&mut clients, socket + 1, &bytes, now);
        echo(&mut clients, socket, b"somebody else's", now);
        assert_eq!(clients.measure.checker.finish().damaged, 2);
        echo(&mut clients, socket, &bytes, now);
        assert_eq!(clients.measure.checker.finish().delivered, 1);
    }

    #[test]
    fn what_is_lost_is_given_up_and_the_window_goes_on() {
        let mut clients = clients(1, None, Some(1), 1);
        let now = clients.now;
        clients.expired(now);
        assert_eq!(sent(&mut clients).len(), 1);
        clients.expired(now + LOST_AFTER / 2);
        assert!(sent(&mut clients).is_empty());
        clients.measure.warm();
        clients.expired(now + LOST_AFTER - MS);
        clients.expired(now + LOST_AFTER + SWEEP_EVERY);
        assert_eq!(clients.measure.checker.finish().lost, 1);
    }
}
