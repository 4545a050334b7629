//! What takes seconds outside takes none here, the hint about a missing newline; and what needs
//! addresses that are not loopback's.

use super::*;
use crate::chat::{LOG_BYTES, Slow};
use crate::echo;
use crate::secret::Secret;
use crate::serve::{Admission, ConsoleMode, Crowd};

const PEER: PeerId = PeerId { serial: 7, slot: 0 };

fn server(admission: Admission) -> Server {
    Server::new(&Options {
        tcp: Vec::new(),
        udp: Vec::new(),
        echo: echo::Rules::default(),
        udp_groups: Vec::new(),
        rules: Rules {
            protocol: Protocol::Chat,
            line_len_max: wire::LINE_LEN_MAX,
            log_bytes: LOG_BYTES,
            rooms_max: 1,
            history: 0,
            slow: Slow::Skip,
            stall_timeout: crate::serve::STALL_TIMEOUT,
        },
        buffers_total: crate::serve::BUFFERS_TOTAL,
        spin: Default::default(),
        gather: Duration::ZERO,
        admission,
        interfaces: Vec::new(),
        console: ConsoleMode::Off,
        stdout_is_terminal: false,
        terminal: false,
        color: false,
    })
}

struct Chatter {
    server: Server,
    start: Instant,
}

impl Chatter {
    fn new() -> Self {
        let mut server = server(Admission::default());
        let start = Instant::now();
        server.opened(PEER, Origin::Accepted(([127, 0, 0, 1], 1).into()), start);
        let mut chatter = Chatter { server, start };
        assert_eq!(chatter.told(), "* you are guest7\n");
        chatter
    }

    /// A read at `ms`, after what is due by then. `bytes` begin with what was not consumed.
    fn receive(&mut self, ms: u64, bytes: &[u8]) {
        self.wait_until(ms);
        self.server.received(PEER, bytes, 0, self.start + Duration::from_millis(ms));
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
    let (mut server, now) = (server(Admission { crowd, ..Admission::default() }), Instant::now());
    let come = |(slot, &from): (usize, &[u8; 4])| {
        let peer = PeerId { serial: slot as u64 + 1, slot: slot as u32 };
        server.opened(peer, Origin::Accepted((from, 1).into()), now);
        let mut slices = Slices::new();
        server.pending(peer, &mut slices);
        let last: Vec<u8> = slices.runs().iter().flat_map(|run| run.iter().copied()).collect();
        let last = String::from_utf8(last).unwrap().lines().last().unwrap_or("").to_owned();
        (last, server.next_action())
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
    let (mut server, start) = (server(Admission::default()), Instant::now());
    server.gate.set_secret(Secret::of_text(b"sesame").unwrap());
    server.opened(PEER, Origin::Accepted((FAR, 1).into()), start);
    let mut chatter = Chatter { server, start };
    assert_eq!(chatter.told(), "* say the secret: your first line\n");
    chatter.receive(1_000, b"ses");
    chatter.wait_until(29_999);
    assert_eq!((chatter.told(), chatter.server.next_action()), (String::new(), None));
    chatter.wait_until(30_000);
    assert_eq!(chatter.told(), "* the secret did not come in time\n");
    let action = chatter.server.next_action();
    let closes = matches!(action, Some(Action::Finish { why: CloseReason::NoSecret, .. }));
    assert!(closes, "{action:?}");
}
