//! The real loop under a handler that does what the test says: how single phases follow each
//! other, where the worlds of `world` come by too seldom. What must not be here: chat, lines.

use super::faults::Faults;
use super::kernel::SimOs;
use super::remote::RemoteId;
use super::trace::Step;
use crate::handler::{
    Action, CloseReason, Datagram, Handler, OWNER_ALONE, Origin, PeerId, Signal, Slices, Taken,
    UnixAddress, UnixDatagram,
};
use crate::log_queue::LogQueue;
use crate::reactor::{Budgets, Reactor};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(5);

/// Owes each peer nothing but `owed` to the last that came, and remembers what it was told.
#[derive(Default)]
struct Puppet {
    last: Option<PeerId>,
    /// How that one came.
    origin: Option<Origin>,
    /// Bytes of the last that came, and of everybody.
    heard: (usize, usize),
    owed: Vec<u8>,
    actions: VecDeque<Action>,
    closed: Vec<CloseReason>,
}

impl Handler for Puppet {
    fn opened(&mut self, peer: PeerId, origin: Origin, _: Instant) {
        self.last = Some(peer);
        self.origin = Some(origin);
    }

    fn received(&mut self, peer: PeerId, bytes: &[u8], _: usize, _: Instant) -> Taken {
        self.heard.0 += if self.last == Some(peer) { bytes.len() } else { 0 };
        self.heard.1 += bytes.len();
        Taken { consumed: bytes.len(), hold: false }
    }

    fn ended(&mut self, _: PeerId, _: &[u8], _: Instant) -> bool {
        true
    }

    fn closed(&mut self, _: PeerId, why: CloseReason, _: Instant) {
        self.closed.push(why);
    }

    fn datagram<'a>(&'a mut self, datagram: Datagram<'a>, _: Instant) -> Option<&'a [u8]> {
        Some(datagram.bytes)
    }

    fn unix_datagram<'a>(&'a mut self, datagram: UnixDatagram<'a>, _: Instant) -> Option<&'a [u8]> {
        (*datagram.from != UnixAddress::Unnamed).then_some(datagram.bytes)
    }

    fn signalled(&mut self, _: Signal, _: Instant) {}

    fn next_action(&mut self, _: Instant) -> Option<Action> {
        self.actions.pop_front()
    }

    fn pending<'a>(&'a mut self, _: PeerId, slices: &mut Slices<'a>) {
        slices.push(&self.owed);
    }

    fn sent(&mut self, _: PeerId, n: usize, _: Instant) {
        self.owed.drain(..n);
    }
}

struct Stage {
    reactor: Reactor<SimOs>,
    puppet: Puppet,
}

impl Stage {
    fn new() -> Self {
        Self::with(Budgets::default())
    }

    fn with(budgets: Budgets) -> Self {
        let os = SimOs::with(1, Faults::none());
        let reactor = Reactor::with_budgets(os, LogQueue::new(), budgets);
        let mut stage = Stage { reactor, puppet: Puppet::default() };
        stage.os().doze(Some(Duration::from_millis(1)));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        stage.reactor.listen(&any.into(), OWNER_ALONE).expect("no listen fault exists");
        stage
    }

    fn os(&mut self) -> &mut SimOs {
        self.reactor.os_mut()
    }

    fn turns(&mut self, turns: usize) {
        for _ in 0..turns {
            self.reactor.turn(&mut self.puppet).expect("nothing breaks the loop here");
        }
    }

    /// Lets `ms` of the clock pass; a turn takes at most one.
    fn wait(&mut self, ms: u64) {
        for _ in 0..ms {
            self.os().advance(Duration::from_millis(1));
            self.turns(1);
        }
    }

    fn finish(&mut self) {
        let peer = self.puppet.last.expect("somebody came");
        let why = CloseReason::Done;
        self.puppet.actions.push_back(Action::Finish { peer, why, within: WITHIN });
    }

    /// So many that were accepted.
    fn peers(&mut self, count: usize) -> Vec<RemoteId> {
        let dial = |stage: &mut Self| {
            let remote = stage.os().dial_in(0).expect("the backlog is empty");
            stage.turns(2);
            remote
        };
        (0..count).map(|_| dial(self)).collect()
    }

    /// Puts bytes on a peer's wire, and as many of them into its queue as there is room for.
    fn send(&mut self, remote: RemoteId, bytes: &[u8]) {
        self.os().remote_send(remote, bytes);
        while self.os().deliver(remote) > 0 {}
    }

    fn background_console(&mut self) {
        self.os().console_background(true);
        self.reactor.open_console(&mut self.puppet).expect("there is a console");
        self.turns(3);
    }
}

#[test]
fn an_end_that_is_asked_for_behind_a_half_close_goes_on() {
    let mut stage = Stage::new();
    let remote = stage.os().dial_in(0).expect("the backlog is empty");
    stage.turns(3);
    let peer = stage.puppet.last.expect("it was accepted");
    stage.puppet.actions.push_back(Action::HalfClose(peer));
    stage.turns(3);
    assert!(stage.os().remote_saw_fin(remote));
    stage.finish();
    stage.turns(3);
    stage.os().remote_close(remote);
    while stage.os().deliver(remote) > 0 {}
    stage.turns(3);
    assert_eq!(stage.puppet.closed, [CloseReason::Done], "without waiting for any deadline");
}

#[test]
fn a_terminal_in_the_background_is_tried_once_a_second_however_often_we_are_continued() {
    let mut stage = Stage::new();
    stage.background_console();
    for _ in 0..20 {
        stage.os().raise(Signal::Continue);
        stage.wait(7);
    }
    let before = stage.os().calls(Step::Recv);
    stage.wait(10_000);
    let tries = stage.os().calls(Step::Recv) - before;
    assert!((5..=21).contains(&tries), "{tries} in 10 to 20 seconds");
}

#[test]
fn a_console_that_finishes_in_the_background_has_all_its_time() {
    let mut stage = Stage::new();
    stage.os().sink_capacities(10, 1_000);
    stage.puppet.owed = vec![b'x'; 30];
    stage.background_console();
    stage.finish();
    stage.wait(2_000);
    assert_eq!(stage.puppet.closed, [], "the retry of stdin is no deadline of stdout");
    let mut shown = 0;
    for _ in 0..5 {
        shown += stage.os().console_output(100).len();
        stage.turns(3);
    }
    assert_eq!((shown, &stage.puppet.closed[..]), (30, &[CloseReason::Done][..]));
}

#[test]
fn datagrams_of_one_action_leave_cut_by_their_stride() {
    let mut stage = Stage::new();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    stage.reactor.bind_udp(any, false).expect("no bind fault exists");
    let to = SocketAddr::from(([127, 0, 0, 1], 7));
    for (bytes, stride) in [(&b"aabbc"[..], 2), (b"whole", 0), (b"whole", 9), (b"", 0)] {
        let bytes = bytes.to_vec();
        stage.puppet.actions.push_back(Action::SendTo { socket: 0, to, bytes, stride });
    }
    stage.turns(1);
    let sent: Vec<Vec<u8>> =
        stage.os().datagrams_out().into_iter().map(|sent| sent.bytes).collect();
    assert_eq!(sent, [&b"aa"[..], b"bb", b"c", b"whole", b"whole", b""]);
    assert_eq!(stage.reactor.stats().datagrams_out, 6);
}

/// A queue is longer than one read brings: the flooder is ready all the time.
#[test]
fn beside_a_flooding_peer_another_one_is_read_in_the_turn_in_which_it_is_ready() {
    let budgets = Budgets { scratch_bytes: 64, ..Budgets::default() };
    let mut stage = Stage::with(budgets);
    let peers = stage.peers(2); // the last one is the quiet one
    for n in 1..=50 {
        stage.send(peers[0], &[b'x'; 10_000]);
        stage.send(peers[1], b"y");
        let before = stage.puppet.heard;
        stage.turns(1);
        assert_eq!(stage.puppet.heard.0, n, "in this turn");
        let flood = stage.puppet.heard.1 - before.1 - 1;
        assert!((1..=64).contains(&flood), "one read of the flooder: {flood} bytes");
    }
    assert_eq!(stage.reactor.stats().wait_turns_max, 1, "the flooder's own rest");
}

/// The bound of ARCHITECTURE.md: as many turns as the others' reads fill, and no more.
#[test]
fn of_many_that_are_ready_at_once_each_is_read_within_their_number_by_the_budget() {
    const PEERS: usize = 40;
    const READS: usize = 4;
    let mut stage = Stage::with(Budgets { reads: READS, ..Budgets::default() });
    let peers = stage.peers(PEERS);
    for remote in &peers {
        stage.send(*remote, b"y");
    }
    for turn in 1..=PEERS / READS {
        stage.turns(1);
        assert_eq!(stage.puppet.heard.1, turn * READS);
    }
    assert_eq!(stage.reactor.stats().wait_turns_max, (PEERS / READS - 1) as u64);
}

/// The backlog is refilled before each turn, so that the listener is ready all the time.
#[test]
fn while_a_crowd_connects_a_ready_peer_is_read_in_the_turn_in_which_it_is_ready() {
    let mut stage = Stage::with(Budgets { accepts: 8, ..Budgets::default() });
    let peers = stage.peers(1);
    for turn in 1..=50 {
        while stage.os().dial_in(0).is_some() {}
        stage.send(peers[0], b"y");
        stage.turns(1);
        assert_eq!(stage.puppet.heard.1, turn, "in this turn");
        assert_eq!(stage.os().calls_this_turn(Step::Accept), 8);
    }
    assert_eq!(stage.reactor.stats().wait_turns_max, 0);
}

#[test]
fn when_a_crowd_leaves_at_once_a_turn_closes_no_more_than_its_budget() {
    let mut stage = Stage::with(Budgets { closes: 8, ..Budgets::default() });
    let peers = stage.peers(40);
    for peer in &peers {
        stage.os().remote_reset(*peer);
    }
    for turn in 0..6 {
        stage.turns(1);
        // Read in the first turn, closed from the same one on.
        assert_eq!(stage.os().calls_this_turn(Step::Close), if turn < 5 { 8 } else { 0 });
    }
    assert_eq!(stage.reactor.connections(), 0);
}

/// Who goes comes first, and no event tells when that is done.
#[test]
fn who_comes_while_a_crowd_leaves_is_accepted_as_soon_as_the_crowd_is_closed() {
    let mut stage = Stage::with(Budgets { closes: 8, ..Budgets::default() });
    let peers = stage.peers(40);
    for peer in &peers {
        stage.os().remote_reset(*peer);
    }
    stage.turns(1);
    stage.os().dial_in(0).expect("the backlog is empty");
    stage.turns(3);
    assert_eq!(stage.reactor.stats().accepted, 40, "32, 24 and 16 were still to be closed");
    stage.turns(1);
    assert_eq!(stage.reactor.stats().accepted, 41);
}

#[test]
fn a_stop_whose_time_is_up_closes_a_budget_of_connections_a_turn_to_the_last() {
    let mut stage = Stage::with(Budgets { closes: 8, ..Budgets::default() });
    stage.peers(40);
    stage.puppet.actions.push_back(Action::Stop { within: Some(Duration::ZERO) });
    let mut turns = 1;
    while stage.reactor.turn(&mut stage.puppet).expect("nothing breaks the loop here") {
        turns += 1;
        assert!(turns < 10, "it goes on for ever");
    }
    assert_eq!((stage.reactor.connections(), stage.puppet.closed.len()), (0, 40));
    assert!(turns >= 5, "{turns} turns close no more than their budgets");
}

#[test]
fn in_a_storm_of_datagrams_a_ready_peer_is_read_in_the_turn_in_which_it_is_ready() {
    let mut stage = Stage::new();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    stage.reactor.bind_udp(any, false).expect("no bind fault exists");
    let peers = stage.peers(1);
    let from = SocketAddr::from(([127, 0, 0, 1], 9_000));
    for n in 1..=30 {
        for _ in 0..200 {
            stage.os().datagram_in(0, from, None, b"storm");
        }
        stage.send(peers[0], b"y");
        let before = stage.reactor.stats().datagrams_in;
        stage.turns(1);
        assert_eq!(stage.puppet.heard.1, n, "in this turn");
        let reads = stage.reactor.stats().datagrams_in - before;
        assert!(reads <= 64, "{reads} datagrams in a turn");
    }
    assert_eq!(stage.reactor.stats().wait_turns_max, 0);
}

/// One in two is lost; nobody behind it waits for that, and nothing pauses.
#[test]
fn a_connection_that_is_lost_at_accept_holds_up_nobody() {
    let mut stage = Stage::with(Budgets { accepts: 20, ..Budgets::default() });
    stage.os().faults_mut().aborted = 500;
    let dialed = (0..20).filter(|_| stage.os().dial_in(0).is_some()).count();
    stage.turns(1);
    let stats = *stage.reactor.stats();
    assert_eq!((stats.accepted + stats.accept_failed) as usize, dialed, "all in one turn");
    assert!(stats.accepted > 0 && stats.accept_failed > 0, "{stats:?}");
}

/// ENOBUFS and ENOMEM, as EMFILE: no event tells when that is over, so the clock does; until then
/// the loop sleeps, and who is there goes on.
#[test]
fn without_memory_accepting_pauses_the_peers_go_on_and_it_comes_back_by_itself() {
    let mut stage = Stage::new();
    let peers = stage.peers(1);
    stage.os().faults_mut().no_memory = 1_000;
    stage.os().dial_in(0).expect("the backlog is empty");
    stage.turns(1);
    for n in 1..=10 {
        stage.send(peers[0], b"y");
        stage.turns(1);
        assert_eq!(stage.puppet.heard.1, n);
    }
    stage.turns(1);
    let wait = stage.os().last_timeout().expect("a deadline");
    assert!(wait > Duration::ZERO && wait <= Duration::from_millis(100), "{wait:?}");
    stage.wait(1_000);
    let failed = stage.reactor.stats().accept_failed;
    assert!((5..=25).contains(&failed), "{failed} tries in one to two seconds");
    stage.os().faults_mut().no_memory = 0;
    stage.wait(1_000); // and what was drawn before comes to its end
    assert_eq!(stage.reactor.connections(), 2);
}

#[test]
fn a_deadline_that_passed_during_the_wait_is_kept_in_the_same_turn() {
    let mut stage = Stage::new();
    let to = SocketAddr::from(([10, 0, 0, 9], 9)).into();
    let timeout = Duration::from_millis(10);
    stage.puppet.actions.push_back(Action::Connect { to, from: None, timeout });
    stage.turns(1);
    stage.os().advance(timeout);
    stage.turns(1);
    assert_eq!(stage.puppet.closed, [CloseReason::DialTimeout]);
}

mod unix;
