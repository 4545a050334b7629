//! The real loop under a handler that does what the test says: how single phases follow each
//! other, where the worlds of `world` come by too seldom. What must not be here: chat, lines.

use super::faults::Faults;
use super::kernel::SimOs;
use super::trace::Step;
use crate::handler::{
    Action, CloseReason, Datagram, Handler, Origin, PeerId, Signal, Slices, Taken,
};
use crate::log_queue::LogQueue;
use crate::reactor::Reactor;
use crate::stats::Stats;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const WITHIN: Duration = Duration::from_secs(5);

/// Owes each peer nothing but `owed` to the last that came, and remembers what it was told.
#[derive(Default)]
struct Puppet {
    last: Option<PeerId>,
    owed: Vec<u8>,
    actions: VecDeque<Action>,
    closed: Vec<CloseReason>,
}

impl Handler for Puppet {
    fn opened(&mut self, peer: PeerId, _: Origin, _: Instant) {
        self.last = Some(peer);
    }

    fn reads(&mut self, _: PeerId) -> bool {
        true
    }

    fn received(&mut self, _: PeerId, bytes: &[u8], _: usize, _: Instant) -> Taken {
        Taken { consumed: bytes.len(), hold: false }
    }

    fn ended(&mut self, _: PeerId, _: &[u8], _: Instant) -> bool {
        true
    }

    fn closed(&mut self, _: PeerId, why: CloseReason, _: Instant) {
        self.closed.push(why);
    }

    fn datagram<'a>(&'a mut self, _: Datagram<'a>, _: Instant) -> Option<&'a [u8]> {
        None
    }

    fn signalled(&mut self, _: Signal, _: Instant) {}

    fn reported(&mut self, _: &Stats) {}
    fn buffered(&self) -> usize {
        0
    }
    fn expired(&mut self, _: Instant) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn next_dirty(&mut self) -> Option<PeerId> {
        None
    }

    fn next_action(&mut self) -> Option<Action> {
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
        let os = SimOs::with(1, Faults::none());
        let mut stage =
            Stage { reactor: Reactor::new(os, LogQueue::new()), puppet: Puppet::default() };
        stage.os().doze(Some(Duration::from_millis(1)));
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        stage.reactor.listen(any).expect("no listen fault exists");
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
