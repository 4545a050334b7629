//! The loop's limits over a simulated system, one behaviour a test, with a handler that owes and
//! keeps what it is told to. What the server makes of them is in `world`.

use super::faults::Faults;
use super::kernel::SimOs;
use super::remote::RemoteId;
use crate::handler::{
    Action, CloseReason, Handler, OWNER_ALONE, Origin, PeerId, Signal, Slices, Taken,
};
use crate::log_queue::LogQueue;
use crate::reactor::{Limits, Reactor};
use crate::serve::{PEER_BYTES, Server};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// More than any simulated queue holds.
static PLENTY: [u8; 1 << 20] = [b'x'; 1 << 20];

const STALL_TIMEOUT: Duration = Duration::from_secs(1);

/// Owes bytes, consumes nothing, and says that it holds `outboxes` for each whom it owes.
#[derive(Default)]
struct Keeper {
    opened: Vec<PeerId>,
    owed: BTreeMap<PeerId, usize>,
    outboxes: usize,
    dirty: VecDeque<PeerId>,
    actions: VecDeque<Action>,
    closed: Vec<(PeerId, CloseReason, Instant)>,
    /// Closes whoever comes.
    refuses: bool,
    /// Takes so much of what comes at once, and asks for the rest.
    bite: usize,
    taken: usize,
    /// Does not ask for the rest.
    holds: bool,
}

impl Handler for Keeper {
    fn opened(&mut self, peer: PeerId, _: Origin, _: Instant) {
        self.opened.push(peer);
        if self.refuses {
            self.actions.push_back(Action::Close(peer, CloseReason::Done));
        }
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], _: usize, _: Instant) -> Taken {
        let consumed = bytes.len().min(self.bite);
        self.taken += consumed;
        let hold = self.holds || consumed > 0 && consumed < bytes.len();
        if hold && !self.holds {
            self.actions.push_back(Action::Resume(peer));
        }
        Taken { consumed, hold }
    }

    fn ended(&mut self, _: PeerId, _: &[u8], _: Instant) -> bool {
        true
    }

    fn closed(&mut self, peer: PeerId, why: CloseReason, now: Instant) {
        self.owed.remove(&peer);
        self.closed.push((peer, why, now));
    }

    fn signalled(&mut self, _: Signal, _: Instant) {}

    fn next_dirty(&mut self) -> Option<PeerId> {
        self.dirty.pop_front()
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        self.actions.pop_front()
    }

    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        slices.push(&PLENTY[..self.owed.get(&peer).copied().unwrap_or(0).min(PLENTY.len())]);
    }

    fn sent(&mut self, peer: PeerId, n: usize, _: Instant) {
        *self.owed.get_mut(&peer).expect("it was owed something") -= n;
    }

    fn buffered(&self) -> usize {
        self.outboxes * self.owed.len()
    }
}

struct World {
    reactor: Reactor<SimOs>,
    keeper: Keeper,
    remotes: Vec<RemoteId>,
}

impl World {
    /// With so many peers, in the order of their serials.
    fn new(peers: usize, buffers_total: usize) -> Self {
        let mut os = SimOs::with(1, Faults::none());
        os.doze(Some(Duration::ZERO));
        let mut reactor = Reactor::new(os, LogQueue::new());
        reactor.set_limits(Limits { stall_timeout: STALL_TIMEOUT, buffers_total });
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        reactor.listen(&any.into(), OWNER_ALONE).expect("no listen fault exists");
        let mut world = World { reactor, keeper: Keeper::default(), remotes: Vec::new() };
        for _ in 0..peers {
            world.remotes.push(world.reactor.os_mut().dial_in(0).expect("a listener listens"));
        }
        while world.keeper.opened.len() < peers {
            world.turn();
        }
        world
    }

    fn turn(&mut self) {
        assert!(self.reactor.turn(&mut self.keeper).expect("no poll fault exists"));
        self.reactor.assert_limits();
    }

    fn now(&mut self) -> Instant {
        self.reactor.os_mut().clock()
    }

    /// Turns while so much time passes.
    fn run_for(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            self.reactor.os_mut().advance(Duration::from_millis(10));
            self.turn();
        }
    }

    fn owe(&mut self, place: usize, bytes: usize) -> PeerId {
        let peer = self.keeper.opened[place];
        self.keeper.owed.insert(peer, bytes);
        self.keeper.dirty.push_back(peer);
        self.turn();
        peer
    }

    /// So many bytes come in from a peer, and are kept.
    fn receive(&mut self, place: usize, bytes: usize) {
        let remote = self.remotes[place];
        self.reactor.os_mut().remote_send(remote, &PLENTY[..bytes]);
        while self.reactor.os_mut().deliver(remote) > 0 {
            self.turn();
        }
    }

    fn closed(&self) -> Vec<(PeerId, CloseReason)> {
        self.keeper.closed.iter().map(|&(peer, why, _)| (peer, why)).collect()
    }
}

#[test]
fn who_takes_no_byte_for_the_stall_timeout_is_closed_and_nobody_else() {
    let mut world = World::new(3, usize::MAX);
    let begun = world.now();
    let stalled = world.owe(0, usize::MAX);
    world.owe(1, 1); // which its queue takes: nothing is pending
    world.run_for(3 * STALL_TIMEOUT);
    assert_eq!(world.closed(), [(stalled, CloseReason::Stalled)]);
    let took = world.keeper.closed[0].2 - begun;
    assert!((STALL_TIMEOUT..STALL_TIMEOUT + Duration::from_millis(50)).contains(&took), "{took:?}");
}

/// One byte a time is far below what makes the queue count as writable again.
#[test]
fn who_takes_a_byte_now_and_then_is_not_closed_until_it_stops() {
    let mut world = World::new(1, usize::MAX);
    let slow = world.owe(0, usize::MAX);
    for _ in 0..20 {
        world.run_for(STALL_TIMEOUT * 3 / 4);
        let remote = world.remotes[0];
        assert_eq!(world.reactor.os_mut().remote_recv(remote, 1), b"x");
    }
    assert_eq!(world.closed(), []);
    world.run_for(3 * STALL_TIMEOUT);
    assert_eq!(world.closed(), [(slow, CloseReason::Stalled)]);
}

#[test]
fn who_is_no_longer_owed_anything_is_not_closed() {
    let mut world = World::new(1, usize::MAX);
    let peer = world.owe(0, usize::MAX);
    world.keeper.owed.insert(peer, 0);
    world.run_for(3 * STALL_TIMEOUT);
    assert_eq!(world.closed(), []);
}

#[test]
fn who_is_finishing_has_its_own_deadline() {
    let mut world = World::new(1, usize::MAX);
    let peer = world.owe(0, usize::MAX);
    let (why, within) = (CloseReason::Left, 5 * STALL_TIMEOUT);
    world.keeper.actions.push_back(Action::Finish { peer, why, within });
    world.run_for(4 * STALL_TIMEOUT);
    assert_eq!(world.closed(), []);
    world.run_for(2 * STALL_TIMEOUT);
    assert_eq!(world.closed(), [(peer, CloseReason::NotFlushed)]);
}

#[test]
fn past_the_total_the_largest_input_goes() {
    let mut world = World::new(3, 1_000);
    let stalled = world.owe(0, usize::MAX);
    world.receive(1, 300);
    world.receive(2, 600);
    assert_eq!(world.closed(), []);
    world.receive(1, 101);
    world.turn();
    let large = world.keeper.opened[2];
    assert_eq!(world.closed(), [(large, CloseReason::Buffers)], "{stalled} holds nothing");
    assert!((401..=1_000).contains(&world.reactor.kept_all()));
}

#[test]
fn past_the_total_who_is_blocked_for_longest_goes_where_outboxes_hold_most() {
    let mut world = World::new(3, 1_000);
    world.receive(2, 100);
    let first = world.owe(0, usize::MAX);
    world.run_for(STALL_TIMEOUT / 4);
    world.owe(1, usize::MAX);
    world.keeper.outboxes = 600;
    world.run_for(STALL_TIMEOUT / 4);
    assert_eq!(world.closed(), [(first, CloseReason::Buffers)]);
}

/// Each turn brings more of them than a turn closes, so that there is always somebody to be closed.
#[test]
fn a_storm_of_refused_connects_does_not_keep_the_costliest_from_being_closed() {
    let mut world = World::new(1, 1_000);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    for _ in 0..2 {
        world.reactor.listen(&any.into(), OWNER_ALONE).expect("no listen fault exists");
    }
    let blocked = world.owe(0, usize::MAX);
    world.keeper.refuses = true;
    for turn in 0..40 {
        for dial in 0..24 {
            world.reactor.os_mut().dial_in(dial % 3);
        }
        world.turn();
        if turn == 10 {
            world.keeper.outboxes = 2_000;
        }
    }
    assert!(world.closed().contains(&(blocked, CloseReason::Buffers)));
}

/// A bound that nothing can restore must not keep the others from being read.
#[test]
fn where_nobody_can_be_closed_reading_goes_on() {
    let mut world = World::new(2, 1_000);
    world.owe(0, 1); // taken: it is not blocked, and stays in the count
    world.keeper.outboxes = 2_000;
    world.receive(1, 10);
    world.turn();
    let reader = world.keeper.opened[1];
    assert_eq!(world.closed(), [(reader, CloseReason::Buffers)], "all that it could do");
    world.run_for(STALL_TIMEOUT);
    assert!(world.reactor.os_mut().idle_forever(), "and it does not spin");
}

/// Turns until a stop is over, for which it has `within`, and how long it took. Whoever is told the end
/// ends too; `meanwhile` is done before each turn.
fn stop(
    world: &mut World,
    within: Duration,
    mut meanwhile: impl FnMut(&mut World),
) -> (usize, Duration) {
    let begun = world.now();
    world.keeper.actions.push_back(Action::Stop { within: Some(within) });
    for turns in 1..=2_000 {
        meanwhile(world);
        for remote in world.remotes.clone() {
            let os = world.reactor.os_mut();
            if os.remote_saw_fin(remote) {
                os.remote_shutdown(remote);
                os.deliver(remote);
            }
        }
        if !world.reactor.turn(&mut world.keeper).expect("no poll fault exists") {
            return (turns, world.now() - begun);
        }
    }
    panic!("the stop does not end");
}

#[test]
fn a_stop_reads_what_has_arrived_however_little_is_taken_at_once() {
    let mut world = World::new(2, usize::MAX);
    world.keeper.bite = 1;
    let remote = world.remotes[1];
    assert_eq!(world.reactor.os_mut().remote_send(remote, &PLENTY[..300]), 300);
    assert_eq!(world.reactor.os_mut().deliver(remote), 300);
    stop(&mut world, 5 * STALL_TIMEOUT, |_| ());
    assert_eq!(world.keeper.taken, 300);
}

#[test]
fn who_sends_without_end_does_not_hold_a_stop_up() {
    let mut world = World::new(2, usize::MAX);
    world.keeper.bite = usize::MAX;
    let (turns, _) = stop(&mut world, 5 * STALL_TIMEOUT, |world| {
        let remote = world.remotes[0];
        world.reactor.os_mut().remote_send(remote, &PLENTY);
        world.reactor.os_mut().deliver(remote);
    });
    assert!(turns < 100, "{turns}");
}

#[test]
fn a_stop_waits_for_who_is_held_for_half_of_its_time_and_sleeps_meanwhile() {
    let mut world = World::new(2, usize::MAX);
    world.keeper.holds = true;
    world.receive(1, 10);
    world.reactor.os_mut().doze(None);
    let within = 5 * STALL_TIMEOUT;
    let (turns, took) = stop(&mut world, within, |_| ());
    assert!((within / 2..within).contains(&took), "{took:?}");
    assert!(turns < 100, "{turns}");
}

/// The ceiling that is told at the start counts so much for each; a vector that grows may be half
/// empty.
#[test]
fn a_peer_takes_no_more_than_what_the_ceiling_counts() {
    let bytes = Reactor::<SimOs>::peer_bytes() + Server::peer_bytes();
    assert!(bytes <= PEER_BYTES, "{bytes} bytes");
    assert!(bytes >= PEER_BYTES / 2, "{bytes} bytes: the ceiling is too high");
}
