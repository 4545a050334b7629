//! What takes seconds outside takes none here: the hint about a missing newline.

use super::*;
use crate::chat::{LOG_BYTES, Slow};

const PEER: PeerId = PeerId { serial: 7, slot: 0 };

struct Chatter {
    server: Server,
    start: Instant,
}

impl Chatter {
    fn new() -> Self {
        let mut server = Server::new(&Options {
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
            console: ConsoleMode::Off,
            stdout_is_terminal: false,
        });
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
