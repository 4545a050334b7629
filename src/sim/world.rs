//! The real loop and the real server in a simulated world: clients that talk, stall and vanish,
//! from a seed, with the model checked as they read and the loop's invariants after every turn.
//!
//! A failure prints its seed. Replay it, with every call of the loop:
//! `REACTOR_SIM_SEED=4711 REACTOR_SIM_TRACE=1 cargo test --lib sim::world -- --nocapture`. More seeds:
//! `REACTOR_SIM_SEEDS=100000 cargo test --release --lib sim::world`.

mod checks;
mod start;

use super::kernel::SimOs;
use super::model::{Client, LOBBY, OPERATOR, SaidBy};
use super::random::Random;
use super::trace::Step;
use crate::handler::{CloseReason, Signal};
use crate::os::{Caught, Raise, Source};
use crate::reactor::{BUFFERS_TOTAL, Budgets, Reactor};
use crate::serve::{ConsoleMode, Options, STOP_WITHIN, Server, Slow};
use crate::wire::Protocol;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// Seeds that `cargo test` runs.
const SEEDS: u64 = 2_000;

/// Steps of a seed before it is calmed.
const STEPS: usize = 400;

/// Turns within which everything must be delivered once the faults have stopped.
/// A queue of one byte takes a turn for each byte of a log.
const CALM_TURNS_MAX: usize = 200_000;

/// Failing seeds that are collected before the test gives up: several tell more than one.
const FAILURES_MAX: usize = 10;

/// Who sends the datagrams that are answered.
const SENDER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9_000);

/// A sip is at most 3 bytes of the 500 that a gulp may be.
const SIP_DIVISOR: usize = 200;

/// Clients at once.
const CLIENTS_MAX: usize = 8;

struct World {
    reactor: Reactor<SimOs>,
    server: Server,
    random: Random,
    clients: Vec<Client>,
    protocol: Protocol,
    budgets: Budgets,
    options: Options,
    /// A send may find no room although the client has read: who is stalled is not certain.
    hard_to_send: bool,
    /// Lines that the operator typed.
    operator_said: u64,
    /// Datagrams that came in, less those whose echo went out.
    datagrams: Vec<Vec<u8>>,
    /// A datagram may be lost on its way in or out: a full queue, a failed send.
    datagrams_lost: bool,
    /// Where the echo is.
    echo: SocketAddr,
    /// Datagrams that came in and that no echo answers.
    guarded: u64,
}

/// What a run came to, for whoever compares two runs of a seed.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    trace: u64,
    turns: u64,
    deliveries: u64,
}

impl World {
    fn os(&mut self) -> &mut SimOs {
        self.reactor.os_mut()
    }

    /// How much each voice has put on its wire.
    fn said(&self) -> SaidBy {
        let clients = self.clients.iter().flat_map(|client| {
            client.said.iter().map(|(&room, &said)| ((client.number, room), said))
        });
        clients.chain([((OPERATOR, LOBBY), self.operator_said)]).collect()
    }

    /// Something happens outside, or the loop takes a turn.
    fn step(&mut self) -> Result<(), String> {
        let place = self.random.below(self.clients.len().max(1));
        let remote = self.clients.get(place).map(|client| client.remote);
        match (self.random.below(100), remote) {
            (0..=4, _) if self.clients.len() < CLIENTS_MAX => self.dial(),
            (5..=29, Some(_)) => self.talk(place),
            (30..=44, Some(remote)) => {
                self.os().deliver(remote);
            }
            (45..=59, Some(_)) => self.read(place)?,
            (60..=61, Some(_)) => self.clients[place].reading = self.random.below(3) > 0,
            (62, Some(_)) if self.random.below(3) == 0 => self.leave(place),
            (63, Some(remote)) if self.random.below(6) == 0 => {
                self.clients[place].ended = true;
                self.os().remote_reset(remote);
            }
            (64..=65, _) => self.datagram(),
            (66..=67, _) => self.operate(),
            (68, _) if self.random.below(4) == 0 => self.kick(),
            (68, _) => match self.random.below(3) {
                0 => self.os().catch(Caught::Resized),
                1 => self.os().catch(Caught::Raise(Raise::Stop)),
                _ => self.os().raise(Signal::Continue),
            },
            (70..=73, Some(_)) => self.ask(place),
            (69, _) => {
                let max = self.random.range(1..=300);
                drop(self.os().console_output(max));
                drop(self.os().log_output(usize::MAX));
            }
            _ => {
                self.turn()?;
            }
        }
        Ok(())
    }

    fn dial(&mut self) {
        if let Some(remote) = self.os().dial_in(0) {
            let number = self.clients.len();
            let now = self.os().clock();
            self.clients.push(Client::new(remote, number, now));
        }
    }

    fn talk(&mut self, place: usize) {
        let filler = match self.random.below(6) {
            0 => self.random.range(0..=self.options.rules.line_len_max - 30),
            _ => self.random.range(0..=20),
        };
        let client = &mut self.clients[place];
        // A line that is not on the wire whole must not count as said.
        if client.ended {
            return;
        }
        let line = client.line(filler);
        let remote = client.remote;
        if self.os().remote_send(remote, &line) < line.len() {
            self.clients[place].unsay();
        }
    }

    /// The end of input; by chance behind a last line that no newline ends, which counts.
    fn leave(&mut self, place: usize) {
        let client = &mut self.clients[place];
        let remote = client.remote;
        if !std::mem::replace(&mut client.ended, true) {
            let line = client.line(5);
            let unfinished = &line[..line.len() - 1];
            let says = self.random.below(2) == 0;
            if !says || self.os().remote_send(remote, unfinished) < unfinished.len() {
                self.clients[place].unsay();
            }
            self.os().remote_shutdown(remote);
        }
    }

    fn read(&mut self, place: usize) -> Result<(), String> {
        if self.clients[place].reading {
            let most = self.random.range(1..=500);
            // Every second one sips: what it takes frees too little for an event to tell of it.
            let max = if place % 2 == 1 { most.div_ceil(SIP_DIVISOR) } else { most };
            self.read_up_to(place, max)?;
        }
        Ok(())
    }

    fn read_up_to(&mut self, place: usize, max: usize) -> Result<usize, String> {
        let remote = self.clients[place].remote;
        self.clients[place].was_blocked |= self.os().remote_was_blocked(remote);
        let bytes = self.os().remote_recv(remote, max);
        if bytes.is_empty() {
            return Ok(0);
        }
        self.clients[place].read_at = self.os().clock();
        let said = self.said();
        let client = &mut self.clients[place];
        let heard = client.hear(&bytes, (self.protocol, self.options.rules.slow), &said);
        heard.map_err(|error| format!("client {place} heard {error}"))?;
        Ok(bytes.len())
    }

    fn datagram(&mut self) {
        if self.random.below(4) == 0 {
            return self.guarded_datagram();
        }
        let len = self.random.pick(&[0, 1, 32, 65_507]);
        let byte = self.datagrams.len() as u8;
        let from = SENDER;
        let bytes = vec![byte; len];
        if self.os().datagram_in(0, from, None, &bytes) {
            self.datagrams.push(bytes);
        }
    }

    /// From where, or to where, an answer would hit somebody who did not ask. Its length is its own,
    /// so that an echo of it is known.
    fn guarded_datagram(&mut self) {
        let source = |ip: [u8; 4], port| SocketAddr::from((ip, port));
        let everybody = [Ipv4Addr::new(224, 0, 0, 1), Ipv4Addr::BROADCAST].map(IpAddr::V4);
        let (from, to) = self.random.pick(&[
            (source([127, 0, 0, 9], self.echo.port()), None),
            (source([192, 0, 2, 1], 53), None),
            (source([224, 0, 0, 1], 9_000), None),
            (source([0, 1, 2, 3], 9_000), None),
            (SENDER, Some(everybody[0])),
            (SENDER, Some(everybody[1])),
        ]);
        if self.os().datagram_in(0, from, to, &[7; 33]) {
            self.guarded += 1;
        }
    }

    /// Each echo is one of the datagrams that came, once, whole, in their order, to its sender.
    fn check_echoes(&mut self) -> Result<(), String> {
        for sent in self.os().datagrams_out() {
            let place = self.datagrams.iter().position(|bytes| *bytes == sent.bytes);
            let place = place.filter(|_| sent.to == SENDER);
            let Some(place) = place else {
                return Err(format!("an echo of {} bytes that nobody sent", sent.bytes.len()));
            };
            // Those before it were dropped, which only a send that failed may do.
            self.datagrams_lost |= place > 0;
            self.datagrams.drain(..=place);
        }
        if self.datagrams_lost && self.reactor.stats().datagrams_dropped() == 0 {
            return Err("an echo was lost without being counted".into());
        }
        Ok(())
    }

    fn operate(&mut self) {
        if self.options.console == ConsoleMode::Chat {
            let line = format!("op r0 {} x\n", self.operator_said);
            self.operator_said += 1;
            self.os().console_type(line.as_bytes());
        }
    }

    /// A client asks for something that is answered to it alone, or goes to another room.
    fn ask(&mut self, place: usize) {
        let client = &self.clients[place];
        if self.protocol != Protocol::Chat || client.ended {
            return;
        }
        let (remote, number) = (client.remote, client.number);
        let room = self.random.below(usize::from(self.options.rules.rooms_max));
        let other = self.random.below(CLIENTS_MAX) + 1;
        let name = self.random.below(100);
        let line = match self.random.below(8) {
            0 | 1 if room == LOBBY => "/join #lobby\n".to_owned(),
            0 | 1 => format!("/join #r{room}\n"),
            2 => format!("/nick n{number}-{name}\n"),
            3 => "/who\n".to_owned(),
            4 => "/rooms\n".to_owned(),
            5 => format!("/ping {number}\n"),
            _ => format!("/msg guest{other} private {number} word\n"),
        };
        if self.os().remote_send(remote, line.as_bytes()) == line.len() && line.starts_with("/join")
        {
            self.clients[place].speaks_in = room;
        }
    }

    fn kick(&mut self) {
        let place = self.random.below(self.clients.len().max(1));
        let Some(client) = self.clients.get_mut(place) else { return };
        if let Some(serial) = client.serial
            && self.protocol == Protocol::Chat
            && self.options.console != ConsoleMode::Off
        {
            client.kicked = true;
            self.os().console_type(format!("/kick #{serial} out\n").as_bytes());
        }
    }

    fn turn(&mut self) -> Result<bool, String> {
        let turned = self.reactor.turn(&mut self.server);
        let going = turned.map_err(|error| format!("the loop ended: {error}"))?;
        for place in 0..self.clients.len() {
            let client = &self.clients[place];
            if !client.was_accepted() && self.reactor.os_mut().source_of(client.remote).is_some() {
                let said = self.said();
                self.clients[place].accepted(&said);
            }
        }
        self.check_echoes()?;
        self.check_thrown()?;
        self.check()?;
        Ok(going)
    }

    /// No more faults; everybody reads; everything that was sent arrives and is answered.
    fn calm(&mut self) -> Result<(), String> {
        self.os().calm();
        self.os().faults_mut().descriptors_max = usize::MAX;
        self.os().doze(None);
        self.clients.iter_mut().for_each(|client| client.reading = true);
        for _ in 0..CALM_TURNS_MAX {
            let mut moved = self.os().log_output(usize::MAX).len();
            moved += self.os().console_output(usize::MAX).len();
            for place in 0..self.clients.len() {
                let remote = self.clients[place].remote;
                moved += self.os().deliver(remote);
                moved += self.read_up_to(place, usize::MAX)?;
            }
            self.turn()?;
            if moved == 0 && self.os().idle_forever() {
                self.check_echoes()?;
                let guarded = self.server.echo_counts().guarded();
                if guarded != self.guarded {
                    return Err(format!("{guarded} datagrams guarded, not {}", self.guarded));
                }
                let dropped = self.reactor.stats().datagrams_dropped();
                return match self.datagrams.len() as u64 <= dropped {
                    true => Ok(()),
                    false => Err("a datagram was neither answered nor counted".into()),
                };
            }
        }
        Err("the loop does not come to rest".into())
    }

    /// A stop: within its time the loop ends, and everybody who reads has seen a FIN.
    fn stop(&mut self) -> Result<(), String> {
        let begun = self.os().clock();
        self.os().raise(Signal::Terminate);
        for _ in 0..CALM_TURNS_MAX {
            for place in 0..self.clients.len() {
                let remote = self.clients[place].remote;
                self.os().deliver(remote);
                self.read_up_to(place, usize::MAX)?;
                if self.os().remote_saw_fin(remote) && !self.clients[place].ended {
                    self.clients[place].ended = true;
                    self.os().remote_shutdown(remote);
                }
            }
            if !self.turn()? {
                let took = self.os().clock().saturating_duration_since(begun);
                if took > STOP_WITHIN + Duration::from_secs(2) {
                    return Err(format!("the stop took {took:?}"));
                }
                return self.check_stopped();
            }
        }
        Err("the stop does not end".into())
    }
}

impl World {
    /// Everybody who was in got everything that was sent, and then the end.
    fn check_stopped(&mut self) -> Result<(), String> {
        for place in 0..self.clients.len() {
            self.read_up_to(place, usize::MAX)?;
            let client = &self.clients[place];
            let os = self.reactor.os_mut();
            let gone = os.remote_was_cut(client.remote) || os.remote_saw_reset(client.remote);
            let ended = os.remote_saw_fin(client.remote) && client.rest().is_empty();
            if client.was_accepted() && !gone && !ended && !client.was_blocked {
                return Err(format!("client {place}: the stop gave it no clean end"));
            }
        }
        Ok(())
    }
}

/// Runs one seed to its end.
fn run(seed: u64, trace: bool) -> Result<Outcome, String> {
    let mut world = World::new(seed)?;
    world.os().trace(trace);
    let result = (|| {
        for _ in 0..STEPS {
            world.step()?;
        }
        world.calm()?;
        world.check_complete()?;
        world.stop()
    })();
    for line in world.os().trace_lines() {
        eprintln!("{line}");
    }
    result?;
    Ok(Outcome {
        trace: world.os().trace_hash(),
        turns: world.os().turns(),
        deliveries: world.clients.iter().map(Client::heard).sum(),
    })
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn every_seed_keeps_the_promises() {
    if let Some(seed) = from_environment("REACTOR_SIM_SEED") {
        let outcome = run(seed, std::env::var_os("REACTOR_SIM_TRACE").is_some());
        return assert!(outcome.is_ok(), "seed {seed}: {outcome:?}");
    }
    let seeds = from_environment("REACTOR_SIM_SEEDS").unwrap_or(SEEDS);
    let (mut turns, mut deliveries, mut failures) = (0, 0, Vec::new());
    for seed in 0..seeds {
        match std::panic::catch_unwind(|| run(seed, false)) {
            Ok(Ok(outcome)) => {
                turns += outcome.turns;
                deliveries += outcome.deliveries;
            }
            Ok(Err(error)) => failures.push(format!("seed {seed}: {error}")),
            Err(_) => failures.push(format!("seed {seed}: a panic, see above")),
        }
        assert!(failures.len() < FAILURES_MAX, "{}", failures.join("\n"));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    println!("{seeds} seeds, {turns} turns, {deliveries} checked deliveries");
    assert!(deliveries > seeds * 10, "the worlds talk");
}

#[test]
fn a_seed_replays() {
    for seed in (0..SEEDS).step_by(100) {
        assert_eq!(run(seed, false), run(seed, false), "seed {seed}");
    }
}

/// Another echo service sends back whatever it gets. What goes round comes to rest, one datagram by
/// itself in a read or several in one (UDP_GRO), and what varies between them is answered.
#[test]
fn what_goes_round_between_two_echo_services_comes_to_rest() {
    for coalesced in [0, 500, 1_000] {
        let mut world = World::new(1).unwrap();
        world.os().calm();
        world.os().faults_mut().coalesced = coalesced;
        for which in 0..5 {
            world.os().datagram_in(0, SENDER, None, &[which; 4]);
        }
        let mut varied = 0u32;
        let mut round = 5;
        for _ in 0..CALM_TURNS_MAX {
            world.reactor.turn(&mut world.server).unwrap();
            let sent = world.os().datagrams_out();
            let came_round = sent.iter().filter(|sent| sent.bytes[3] != 0xff);
            round = came_round.map(|s| world.os().datagram_in(0, s.to, None, &s.bytes)).count();
            if round == 0 {
                break;
            }
            let fresh = (0xff00_0000 + varied).to_le_bytes();
            varied += u32::from(world.os().datagram_in(0, SENDER, None, &fresh));
        }
        assert_eq!(round, 0, "it goes on");
        world.reactor.turn(&mut world.server).unwrap();
        let counts = world.server.echo_counts();
        assert_eq!((counts.loops, counts.muted, counts.limited), (5, 5, 0));
        assert_eq!(counts.answered, 5 * 9_999 + u64::from(varied));
    }
}
