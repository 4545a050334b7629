//! What takes seconds outside takes none here: the hint about a missing newline, who is closed for
//! a flood, and clocks that stand still while the server does not read; and what needs addresses
//! that are not loopback's.

mod twins;

use super::*;
use crate::secret::Secret;
use crate::serve::{Crowd, FloodLimits};

const PEER: PeerId = PeerId { serial: 7, slot: 0 };

fn accepted(from: impl Into<SocketAddr>) -> Origin {
    Origin::Accepted { listener: 0, from: from.into().into() }
}

pub(in crate::serve) fn server(change: impl Fn(&mut Options)) -> Server {
    let mut options = Options::bare();
    change(&mut options);
    Server::new(&options)
}

/// The same with a listener of this kind.
pub(in crate::serve) fn listening(role: Role, change: impl Fn(&mut Options)) -> Server {
    let mut server = server(change);
    server.bound(0, role, SocketAddr::from(([127, 0, 0, 1], 65432)).into());
    server
}

struct Chatter {
    server: Server,
    start: Instant,
}

impl Chatter {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl Fn(&mut Options)) -> Self {
        let mut server = listening(Role::Chat, change);
        let start = Instant::now();
        server.opened(PEER, accepted(([127, 0, 0, 1], 1)), start);
        let mut chatter = Chatter { server, start };
        assert_eq!(chatter.told(), "* you are guest7\n");
        chatter
    }

    /// A read at `ms`, after what is due by then. `bytes` begin with what was not consumed.
    fn receive(&mut self, ms: u64, bytes: &[u8]) {
        self.wait_until(ms);
        let now = self.start + Duration::from_millis(ms);
        let taken = self.server.received(PEER, bytes, 0, now);
        assert!(!taken.hold);
    }

    /// The same of one that is held at some time; returns what is left of `bytes`.
    fn offer<'a>(&mut self, ms: u64, bytes: &'a [u8]) -> &'a [u8] {
        let now = self.start + Duration::from_millis(ms);
        let taken = self.server.received(PEER, bytes, 0, now);
        assert_eq!(taken.hold, taken.consumed < bytes.len());
        &bytes[taken.consumed..]
    }

    /// What the loop is asked for at `ms`, after what is due by then.
    fn wishes(&mut self, ms: u64) -> Vec<Action> {
        self.wait_until(ms);
        let now = self.start + Duration::from_millis(ms);
        std::iter::from_fn(|| self.server.next_action(now)).collect()
    }

    fn wait_until(&mut self, ms: u64) {
        let now = self.start + Duration::from_millis(ms);
        while self.server.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.server.expired(now);
        }
    }

    fn told(&mut self) -> String {
        let mut slices = Slices::new();
        self.server.pending(PEER, &mut slices);
        let told: Vec<u8> = slices.runs().iter().flat_map(|run| run.iter().copied()).collect();
        self.server.sent(PEER, told.len(), self.start);
        String::from_utf8(told).unwrap()
    }
}

const HINT: &str = "* no newline yet: end the line, or ask for --protocol raw\n";

#[test]
fn a_text_that_stood_for_two_seconds_gets_the_hint_once() {
    let mut chatter = Chatter::new();
    chatter.receive(0, b"a");
    chatter.receive(1_500, b"ab");
    chatter.wait_until(1_999);
    assert_eq!(chatter.told(), "");
    chatter.wait_until(2_000);
    assert_eq!(chatter.told(), HINT);
    chatter.receive(3_000, b"ab\nc");
    chatter.wait_until(9_000);
    assert_eq!(chatter.told(), "", "once in a life");
    chatter.wait_until(62_999);
    assert_eq!(chatter.told(), "");
    chatter.wait_until(63_000);
    assert_eq!(chatter.told(), "* closed: no newline for 60 s\n");
    assert_eq!(chatter.server.next_deadline(), None);
}

#[test]
fn a_line_that_ends_in_time_gets_none() {
    let mut chatter = Chatter::new();
    chatter.receive(0, b"a");
    chatter.receive(1_999, b"ab\n");
    chatter.wait_until(9_000);
    assert_eq!(chatter.told(), "");
}

/// A paste or a program: each read ends within a line, and no text stands for long.
#[test]
fn many_lines_that_come_in_pieces_for_many_seconds_get_none() {
    let mut chatter = Chatter::new();
    for ms in (0..60_000).step_by(700) {
        chatter.receive(ms, b"the end of one\nthe start of an");
    }
    assert_eq!(chatter.told(), "");
    // The last of them stands from 59,500 ms on.
    chatter.wait_until(61_499);
    assert_eq!(chatter.told(), "");
    chatter.wait_until(61_500);
    assert_eq!(chatter.told(), HINT);
}

/// A server, what it is asked to do with whoever comes from these addresses, and what each is told.
fn knocks(crowd: Crowd, from: &[[u8; 4]]) -> Vec<(String, Option<Action>)> {
    let (mut server, now) =
        (listening(Role::Chat, |options| options.admission.crowd = crowd), Instant::now());
    let come = |(slot, &from): (usize, &[u8; 4])| {
        let peer = PeerId { serial: slot as u64 + 1, slot: slot as u32 };
        server.opened(peer, accepted((from, 1)), now);
        let mut slices = Slices::new();
        server.pending(peer, &mut slices);
        let last: Vec<u8> = slices.runs().iter().flat_map(|run| run.iter().copied()).collect();
        let last = String::from_utf8(last).unwrap().lines().last().unwrap_or("").to_owned();
        (last, server.next_action(now))
    };
    from.iter().enumerate().map(come).collect()
}

fn refused(serial: u64, why: CloseReason, told: &str) -> (String, Option<Action>) {
    let peer = PeerId { serial, slot: serial as u32 - 1 };
    let within = Duration::from_secs(2);
    (told.to_owned(), Some(Action::Finish { peer, why, within }))
}

const FAR: [u8; 4] = [192, 0, 2, 1];
const HERE: [u8; 4] = [127, 0, 0, 1];

#[test]
fn one_too_many_from_an_address_is_told_so_and_closed_and_loopback_is_not() {
    let limit = Crowd { per_address_max: 1, ..Crowd::default() };
    let came = knocks(limit, &[FAR, HERE, HERE, FAR]);
    assert!(came[1..3].iter().all(|(_, action)| action.is_none()), "{came:?}");
    let told = "* too many peers from your address";
    assert_eq!(came[3], refused(4, CloseReason::AddressFull, told));
}

#[test]
fn who_connects_too_often_is_told_so_and_closed_and_loopback_is_not() {
    let limit = Crowd { connect_rate: 1, ..Crowd::default() };
    let came = knocks(limit, &[FAR, HERE, HERE, FAR]);
    assert!(came[1..3].iter().all(|(_, action)| action.is_none()), "{came:?}");
    let told = "* too many connections from your address: try again later";
    assert_eq!(came[3], refused(4, CloseReason::TooFast, told));
}

#[test]
fn who_does_not_say_the_secret_in_time_is_told_so_and_closed() {
    let (mut server, start) = (listening(Role::Chat, |_| {}), Instant::now());
    server.gate.set_secret(Secret::of_text(b"sesame").unwrap());
    server.opened(PEER, accepted((FAR, 1)), start);
    let mut chatter = Chatter { server, start };
    assert_eq!(chatter.told(), "* say the secret: your first line\n");
    chatter.receive(1_000, b"ses");
    chatter.wait_until(29_999);
    assert_eq!((chatter.told(), chatter.server.next_action(chatter.start)), (String::new(), None));
    chatter.wait_until(30_000);
    assert_eq!(chatter.told(), "* the secret did not come in time\n");
    let action = chatter.server.next_action(chatter.start);
    let closes = matches!(action, Some(Action::Finish { why: CloseReason::NoSecret, .. }));
    assert!(closes, "{action:?}");
}

/// Outside it is bounded by the time for the secret; its clocks begin when it comes in.
#[test]
fn whoever_is_to_say_the_secret_has_no_clock_but_that_one() {
    let (mut server, start) = (
        listening(Role::Chat, |options| {
            options.idle_timeout = Some(Duration::from_secs(10));
            options.line_timeout = Duration::from_secs(5);
        }),
        Instant::now(),
    );
    server.gate.set_secret(Secret::of_text(b"sesame").unwrap());
    server.opened(PEER, accepted((FAR, 1)), start);
    let mut chatter = Chatter { server, start };
    chatter.receive(1_000, b"ses");
    assert_eq!(chatter.server.bounds.clocks.counts(), (0, 0));
    chatter.wait_until(29_000);
    assert_eq!(chatter.told(), "* say the secret: your first line\n");
    chatter.receive(29_000, b"sesame\n");
    assert_eq!(chatter.told(), "* you are guest7\n");
    chatter.wait_until(38_999);
    assert_eq!(chatter.told(), "");
    chatter.wait_until(39_000);
    assert_eq!(chatter.told(), "* closed: nothing sent for 10 s\n");
}

/// Ten a second, five at once, this host too.
fn flooded(options: &mut Options) {
    let (messages_rate, messages_burst) = (10, 5);
    options.flood =
        FloodLimits { messages_rate, messages_burst, loopback: true, ..FloodLimits::default() };
}

#[test]
fn a_flooder_is_told_once_held_and_read_again_when_it_may_speak() {
    let mut chatter = Chatter::with(flooded);
    let lines = b"1\n2\n3\n4\n5\n6\n7\n";
    let rest = chatter.offer(0, lines);
    assert_eq!(rest, b"6\n7\n");
    let slow_down = "* slow down: you are read at 10 messages and 262144 bytes a second\n";
    assert_eq!(chatter.told(), slow_down);
    assert_eq!(chatter.wishes(99), []);
    assert!(!chatter.server.reads(PEER, chatter.start + Duration::from_millis(99)));
    assert_eq!(chatter.wishes(100), [Action::Resume(PEER)]);
    assert_eq!(chatter.offer(100, rest), b"7\n");
    assert_eq!(chatter.wishes(200), [Action::Resume(PEER)]);
    assert_eq!(chatter.offer(200, b"7\n"), b"");
    assert_eq!(chatter.told(), "", "once a flood");
}

#[test]
fn of_a_read_full_of_lines_each_turn_takes_some_and_the_next_goes_on() {
    let mut chatter = Chatter::new();
    let lines: Vec<u8> = (0..2_500).flat_map(|number| format!("{number}\n").into_bytes()).collect();
    let mut rest = &lines[..];
    for first in [1_024, 2_048] {
        rest = chatter.offer(0, rest);
        assert!(rest.starts_with(format!("{first}\n").as_bytes()));
        assert_eq!(chatter.wishes(0), [Action::Resume(PEER)]);
    }
    assert_eq!(chatter.offer(0, rest), b"");
    assert_eq!(chatter.wishes(0), []);
    assert_eq!(chatter.server.chat.counts.said, 2_500);
}

#[test]
fn who_floods_for_a_minute_is_closed_with_a_word() {
    let mut chatter = Chatter::with(flooded);
    let lines = b"x\n".repeat(20_000);
    let mut rest = &lines[..];
    let mut ended = None;
    for ms in (0..70_000).step_by(100) {
        let wishes = chatter.wishes(ms);
        let finish = |wish: &Action| matches!(wish, Action::Finish { .. });
        if let Some(Action::Finish { why, .. }) = wishes.into_iter().find(finish) {
            ended = Some((ms, why));
            break;
        }
        rest = chatter.offer(ms, rest);
    }
    assert_eq!(ended, Some((60_100, CloseReason::Flood)));
    assert!(chatter.told().ends_with("* closed: flooding\n"));
}

/// A muted peer that does not read its answers is held; its half line is not its fault then.
#[test]
fn the_line_clock_stands_still_while_the_server_does_not_read() {
    let mut chatter = Chatter::with(flooded);
    chatter.offer(0, b"1\n2\n3\n4\n5\n");
    chatter.receive(1, b"half");
    let now = chatter.start + Duration::from_millis(50);
    assert!(!chatter.server.reads(PEER, now), "no allowance: it is held");
    chatter.server.bounds.clocks.set_running(PEER, false, now); // and stays so, by a full room, say
    chatter.told();
    chatter.wait_until(59_000);
    assert_eq!(chatter.told(), "");
    let now = chatter.start + Duration::from_millis(59_000);
    chatter.server.bounds.clocks.set_running(PEER, true, now);
    chatter.wait_until(118_950);
    assert_eq!(chatter.told(), HINT);
    chatter.wait_until(118_951);
    assert_eq!(chatter.told(), "* closed: no newline for 60 s\n");
}

#[test]
fn at_a_stop_what_a_throttled_peer_had_sent_is_taken_and_nobody_is_closed_for_a_clock() {
    let mut chatter = Chatter::with(|options| {
        flooded(options);
        options.idle_timeout = Some(Duration::from_secs(1));
    });
    let rest = chatter.offer(0, b"1\n2\n3\n4\n5\n6\n7\n");
    assert_eq!(rest, b"6\n7\n");
    chatter.server.signalled(Signal::Terminate, chatter.start);
    let within = Some(STOP_WITHIN);
    assert_eq!(chatter.wishes(1), [Action::Resume(PEER), Action::Stop { within }]);
    assert_eq!(chatter.offer(1, rest), b"");
    assert_eq!(chatter.wishes(4_000), []);
}

#[test]
#[should_panic(expected = "each listener is told of")]
fn a_listener_that_nobody_told_of_is_not_taken_for_a_chat() {
    let mut server = server(|_| {});
    server.bound(1, Role::Control, SocketAddr::from(([127, 0, 0, 1], 1)).into());
}
