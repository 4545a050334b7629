//! System calls counted turn by turn: the real loop and the real chat over the simulated system do no
//! more than must be. `tests/it/calls.rs` counts those of the real binary. What must not be here:
//! what is said, which the model checks.

use super::epoll::LOOK;
use super::faults::Faults;
use super::kernel::SimOs;
use super::remote::RemoteId;
use super::trace::Step;
use crate::chat::{Chat, Rules, Said, Slow};
use crate::handler::{
    Action, CloseReason, Datagram, Handler, OWNER_ALONE, Origin, PeerId, Signal, Slices, Taken,
};
use crate::log_queue::LogQueue;
use crate::os::Os;
use crate::reactor::{Budgets, Reactor, Spin};
use crate::wire::{Lines, Protocol};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const LINE_LEN_MAX: usize = 1_000;

/// Lines to everybody else, and datagrams back, but for a question. One deadline, until it has
/// expired or a datagram came.
struct Relay {
    chat: Chat,
    due: Option<Instant>,
    expired: usize,
}

impl Handler for Relay {
    fn opened(&mut self, peer: PeerId, _: Origin, _: Instant) {
        self.chat.join(peer);
    }

    fn reads(&mut self, peer: PeerId, _: Instant) -> bool {
        !self.chat.holds(peer)
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], seen: usize, now: Instant) -> Taken {
        let mut lines = Lines::new(bytes, seen, LINE_LEN_MAX);
        for line in lines.by_ref() {
            let said = self.chat.say(peer, line.expect("lines are short"), now);
            assert_eq!(said, Said::Yes, "the log has room");
        }
        Taken { consumed: lines.consumed(), hold: false }
    }

    fn ended(&mut self, peer: PeerId, _: &[u8], _: Instant) -> bool {
        self.chat.leave(peer, None);
        true
    }

    fn closed(&mut self, peer: PeerId, _: CloseReason, _: Instant) {
        self.chat.gone(peer);
    }

    fn datagram<'a>(&'a mut self, datagram: Datagram<'a>, _: Instant) -> Option<&'a [u8]> {
        self.due = None;
        Some(if datagram.bytes == b"?" { b"!" } else { datagram.bytes })
    }

    fn signalled(&mut self, _: Signal, _: Instant) {}

    fn expired(&mut self, _: Instant) {
        self.expired += 1;
        self.due = None;
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        self.chat.next_dirty()
    }

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        self.chat.next_action()
    }

    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        self.chat.pending(peer, slices);
    }

    fn sent(&mut self, peer: PeerId, n: usize, now: Instant) {
        self.chat.sent(peer, n, now);
    }

    fn buffered(&self) -> usize {
        self.chat.buffered()
    }
}

struct World {
    reactor: Reactor<SimOs>,
    relay: Relay,
    peers: Vec<RemoteId>,
}

impl World {
    fn new(peers: usize, budgets: Budgets) -> Self {
        let mut os = SimOs::with(1, Faults::none());
        os.doze(Some(Duration::ZERO));
        let mut reactor = Reactor::with_budgets(os, LogQueue::new(), budgets);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        reactor.listen(&any.into(), OWNER_ALONE).expect("no listen fault exists");
        reactor.bind_udp(SocketAddr::from(([127, 0, 0, 1], 7_000)), false).expect("it is free");
        let rules = Rules {
            protocol: Protocol::Lines,
            line_len_max: LINE_LEN_MAX,
            log_bytes: 1 << 20,
            rooms_max: 1,
            history: 0,
            slow: Slow::Disconnect,
            stall_timeout: Duration::from_secs(60),
        };
        let relay = Relay { chat: Chat::new(rules), due: None, expired: 0 };
        let mut world = World { reactor, relay, peers: Vec::new() };
        for _ in 0..peers {
            let peer = world.os().dial_in(0).expect("a listener listens");
            world.peers.push(peer);
            world.turn();
        }
        while !world.os().idle_forever() {
            world.turn();
        }
        world
    }

    fn os(&mut self) -> &mut SimOs {
        self.reactor.os_mut()
    }

    /// A turn, in which one wait is made.
    fn turn(&mut self) {
        assert_eq!(self.polls_of_turn(), 1, "one wait a turn");
    }

    /// A turn of a loop that may look again before it sleeps: how often it polled.
    fn polls_of_turn(&mut self) -> u64 {
        let before = self.os().calls(Step::Poll);
        self.reactor.turn(&mut self.relay).expect("no poll fault exists");
        self.os().calls(Step::Poll) - before
    }

    /// A line is passed on, and from then on whoever sleeps sleeps as long as it wanted; what is
    /// due is so long after this.
    fn say_then_due_in(&mut self, due: Duration) {
        self.say(0, b"hello\n");
        self.turn();
        self.os().doze(None);
        self.relay.due = Some(self.os().now() + due);
    }

    fn say(&mut self, peer: usize, bytes: &[u8]) {
        let remote = self.peers[peer];
        assert_eq!(self.os().remote_send(remote, bytes), bytes.len());
        while self.os().deliver(remote) > 0 {}
    }

    /// How often each of these was called in this turn.
    fn calls<const N: usize>(&mut self, steps: [Step; N]) -> [u64; N] {
        steps.map(|step| self.os().calls_this_turn(step))
    }

    fn hears(&mut self, peer: usize) -> String {
        let remote = self.peers[peer];
        String::from_utf8(self.os().remote_recv(remote, usize::MAX)).expect("lines are text")
    }
}

/// All calls that a turn may make of a connection.
const OF_CONNECTIONS: [Step; 6] =
    [Step::Recv, Step::Send, Step::Accept, Step::Connected, Step::Shutdown, Step::Close];

#[test]
fn a_turn_is_a_recv_a_talker_and_a_send_a_peer_however_much_was_said() {
    let mut world = World::new(20, Budgets::default());
    for talker in 0..5 {
        for line in 0..3 {
            world.say(talker, format!("{talker} says {line}\n").as_bytes());
        }
    }
    world.turn();
    assert_eq!(world.calls(OF_CONNECTIONS), [5, 20, 0, 0, 0, 0]);
    world.turn();
    assert_eq!(world.calls(OF_CONNECTIONS), [0; 6], "a short read is drained");
    assert!(world.os().idle_forever(), "and it sleeps");
    for peer in 0..20 {
        let others = (0..5).filter(|&talker| talker != peer);
        let lines = others.flat_map(|talker| (0..3).map(move |n| format!("{talker} says {n}\n")));
        assert_eq!(world.hears(peer), lines.collect::<String>(), "own lines are left out");
    }
}

#[test]
fn a_read_that_fills_the_buffer_is_followed_by_one_in_the_next_turn() {
    let mut world = World::new(2, Budgets { scratch_bytes: 100, ..Budgets::default() });
    world.say(0, format!("{}\n", "x".repeat(99)).as_bytes());
    let mut turns = Vec::new();
    for _ in 0..3 {
        world.turn();
        turns.push(world.calls([Step::Recv, Step::Send]));
    }
    assert_eq!(turns, [[1, 1], [1, 0], [0, 0]]);
}

#[test]
fn a_turn_looks_at_the_clock_when_it_wakes_behind_a_recv_behind_a_send_and_at_its_end() {
    for spin in [Spin::Off, Spin::Auto] {
        let mut world = World::new(2, Budgets::default());
        world.reactor.pace_by(spin, Duration::ZERO);
        for _ in 0..2 {
            world.say(0, b"hello\n");
            world.turn();
            assert_eq!(world.calls([Step::Recv, Step::Send, Step::Now]), [1, 1, 4], "{spin:?}");
        }
        world.polls_of_turn();
        assert_eq!(world.calls([Step::Recv, Step::Send, Step::Now]), [0, 0, 2], "{spin:?}");
    }
}

#[test]
fn who_spins_looks_again_until_its_time_is_over_and_then_sleeps() {
    let mut world = World::new(2, Budgets::default());
    world.reactor.pace_by(Spin::For(10 * LOOK), Duration::ZERO);
    world.say_then_due_in(Duration::from_secs(1));
    let looks_at_the_clock = world.os().calls(Step::Now);
    assert_eq!(world.polls_of_turn(), 10 + 1);
    assert_eq!(world.os().calls(Step::Now) - looks_at_the_clock, 10 + 2);
    assert!(world.os().last_timeout() > Some(Duration::ZERO));
    assert_eq!(world.relay.expired, 1);
}

#[test]
fn who_spins_is_in_time_for_a_deadline() {
    let mut world = World::new(2, Budgets::default());
    world.reactor.pace_by(Spin::For(10 * LOOK), Duration::ZERO);
    world.say_then_due_in(5 * LOOK);
    assert_eq!(world.polls_of_turn(), 5 + 1);
    assert_eq!(world.os().last_timeout(), Some(Duration::ZERO));
    assert_eq!(world.relay.expired, 1);
}

#[test]
fn who_spins_sends_in_time_what_it_gathers() {
    let mut world = World::new(2, Budgets::default());
    world.reactor.pace_by(Spin::For(10 * LOOK), 5 * LOOK);
    world.say_then_due_in(Duration::from_secs(1));
    assert_eq!(world.calls([Step::Send]), [0], "it is gathered");
    assert_eq!(world.polls_of_turn(), 5 + 1);
    assert_eq!(world.calls([Step::Send]), [1]);
}

#[test]
fn what_came_in_may_make_a_deadline_void() {
    let mut world = World::new(1, Budgets::default());
    world.say_then_due_in(LOOK);
    world.os().advance(LOOK);
    assert!(world.os().datagram_in(0, sender(1), None, b"x"));
    world.turn();
    assert_eq!(world.relay.expired, 0);
}

#[test]
fn the_clock_is_looked_at_for_each_send_or_for_as_many_as_a_look_is_for() {
    let looks = |sends_a_look| {
        let mut world = World::new(20, Budgets { sends_a_look, ..Budgets::default() });
        world.say(0, b"hello\n");
        world.turn();
        let [sends, looks] = world.calls([Step::Send, Step::Now]);
        assert_eq!(sends, 19);
        looks
    };
    // 64 sends a turn: looks before the 63rd, 56th and 48th that are left.
    assert_eq!(looks(1) - looks(8), 19 - 3);
}

#[test]
fn an_end_is_looked_for_once_more_because_a_hint_told_of_it() {
    let mut world = World::new(2, Budgets::default());
    let leaver = world.peers[0];
    world.os().remote_shutdown(leaver);
    world.say(0, b"");
    world.os().deliver(leaver);
    world.turn();
    assert_eq!(world.calls([Step::Recv]), [1]);
}

#[test]
fn a_datagram_alone_is_one_recvfrom_and_one_sendto() {
    let mut world = World::new(1, Budgets::default());
    let from = SocketAddr::from(([10, 0, 0, 3], 9_000));
    for _ in 0..3 {
        assert!(world.os().datagram_in(0, from, None, b"x"));
        world.turn();
        assert_eq!(world.calls([Step::RecvFrom, Step::SendTo]), [1, 1]);
        world.turn();
        assert_eq!(world.calls([Step::RecvFrom, Step::SendTo]), [0, 0], "a short batch is drained");
    }
}

/// A sender of datagrams.
fn sender(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 9_000))
}

#[test]
fn datagrams_of_a_batch_are_one_sendto_whoever_sent_them() {
    let mut world = World::new(1, Budgets::default());
    for n in [1, 1, 1, 2, 3, 4, 5, 6, 7, 8] {
        assert!(world.os().datagram_in(0, sender(n), None, &[n]));
    }
    world.turn();
    // Of 2, 4 and 8 reads, the last of which brings 4.
    assert_eq!(world.calls([Step::RecvFrom, Step::SendTo]), [3, 3]);
    let sent = world.os().datagrams_out();
    let back: Vec<_> = sent.iter().map(|sent| (sent.to, sent.bytes[0])).collect();
    assert_eq!(back, [1, 1, 1, 2, 3, 4, 5, 6, 7, 8].map(|n| (sender(n), n)));
}

#[test]
fn an_answer_that_is_no_echo_keeps_its_place_among_those_that_are() {
    let mut world = World::new(1, Budgets::default());
    for bytes in ["a", "b", "?", "c", "?", "?", "d"] {
        assert!(world.os().datagram_in(0, sender(1), None, bytes.as_bytes()));
    }
    world.turn();
    let sent = world.os().datagrams_out();
    let back: Vec<_> = sent.iter().map(|sent| sent.bytes.as_slice()).collect();
    assert_eq!(back, [&b"a"[..], b"b", b"!", b"c", b"!", b"!", b"d"]);
}

#[test]
fn behind_an_answer_that_is_not_taken_the_others_leave_and_each_is_counted() {
    let mut world = World::new(1, Budgets::default());
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..50 {
        let faults = world.os().faults_mut();
        (faults.short_send, faults.filtered, faults.pressure) = (300, 200, 20);
        let came: Vec<u8> = (1..=20).collect();
        for &n in &came {
            assert!(world.os().datagram_in(0, sender(n), None, &[n]));
        }
        world.turn();
        let back: Vec<u8> = world.os().datagrams_out().iter().map(|sent| sent.bytes[0]).collect();
        assert!(back.is_sorted_by(|a, b| a < b), "in order, and none twice: {back:?}");
        sent += back.len() as u64;
        refused += (came.len() - back.len()) as u64;
    }
    let stats = world.reactor.stats();
    assert_eq!((stats.datagrams_out, stats.datagrams_dropped()), (sent, refused));
    assert!(stats.datagrams_blocked > 0 && stats.datagrams_failed > 0 && sent > 0);
}
