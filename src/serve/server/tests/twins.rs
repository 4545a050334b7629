//! In `lines` the lines of a read go in together, unless the peer's rate is limited: then each is
//! weighed by itself. Two servers, one of each kind and with a rate that nobody reaches, must do the
//! same whatever comes.

use super::*;
use crate::random::Random;
use crate::serve::Slow;
use std::fmt::Write as _;

const SEEDS: u64 = 400;
const STEPS: u64 = 60;
const PEERS: usize = 4;

/// What the loop keeps of a peer.
#[derive(Default)]
struct Input {
    kept: Vec<u8>,
    seen: usize,
    held: bool,
    /// A hold has ended: what is kept is offered before any read.
    offer: bool,
    closed: bool,
}

struct Twin {
    server: Server,
    inputs: [Input; PEERS],
    /// All that it did, in words.
    did: String,
}

fn id(place: usize) -> PeerId {
    PeerId { serial: place as u64 + 1, slot: place as u32 }
}

fn joined(slices: &Slices<'_>) -> Vec<u8> {
    slices.runs().iter().flat_map(|run| run.iter().copied()).collect()
}

impl Twin {
    fn new(one_by_one: bool, rules: (Slow, usize, usize), now: Instant) -> Self {
        let (slow, log_bytes, line_len_max) = rules;
        let mut server = listening(Role::Chat, |options| {
            options.rules.protocol = Protocol::Lines;
            options.rules.slow = slow;
            options.rules.log_bytes = log_bytes;
            options.rules.line_len_max = line_len_max;
            options.flood = FloodLimits {
                messages_rate: if one_by_one { u32::MAX } else { 0 },
                messages_burst: u32::MAX,
                bytes_rate: 0,
                bytes_burst: 0,
                loopback: true,
            };
        });
        for place in 0..PEERS {
            server.opened(id(place), accepted(([127, 0, 0, 1], 1)), now);
        }
        assert_eq!(server.is_limited(id(0)), one_by_one);
        Twin { server, inputs: Default::default(), did: String::new() }
    }

    fn receive(&mut self, place: usize, fresh: &[u8], now: Instant) {
        let Twin { server, inputs, did } = self;
        let input = &mut inputs[place];
        if input.closed || input.held {
            return;
        }
        if std::mem::take(&mut input.offer) {
            input.seen = 0;
        } else if server.reads(id(place), now) {
            input.kept.extend_from_slice(fresh);
        } else {
            (input.held, input.seen) = (true, 0);
            return;
        }
        let taken = server.received(id(place), &input.kept, input.seen, now);
        write!(did, "{taken:?} ").unwrap();
        input.kept.drain(..taken.consumed);
        assert!(
            taken.hold || !input.kept.contains(&b'\n'),
            "a whole line is kept and not asked for"
        );
        input.held = taken.hold;
        input.seen = if taken.hold { 0 } else { input.kept.len() };
    }

    /// Sockets that take `room` bytes together.
    fn flush(&mut self, mut room: usize, now: Instant) {
        while let Some(peer) = self.server.next_dirty() {
            let mut slices = Slices::new();
            self.server.pending(peer, &mut slices);
            let owed = joined(&slices);
            let taken = owed.len().min(room);
            room -= taken;
            let text = String::from_utf8_lossy(&owed);
            write!(self.did, "{peer} is owed {text:?} and takes {taken} ").unwrap();
            if taken > 0 {
                self.server.sent(peer, taken, now);
            }
        }
    }

    fn act(&mut self, now: Instant) {
        while let Some(action) = self.server.next_action(now) {
            write!(self.did, "{action:?} ").unwrap();
            match action {
                Action::Resume(peer) => {
                    let input = &mut self.inputs[peer.slot as usize];
                    (input.held, input.offer) = (false, !input.kept.is_empty());
                }
                Action::Finish { peer, .. } => self.inputs[peer.slot as usize].closed = true,
                _ => {}
            }
        }
        let said = self.server.chat.counts.said;
        write!(self.did, "said {said}, log {}", self.server.log_size()).unwrap();
    }
}

#[test]
fn lines_that_go_in_together_do_what_they_do_one_by_one() {
    let (mut said, mut held, mut too_long) = (0, 0, 0);
    for seed in 0..SEEDS {
        let mut random = Random::new(seed);
        let slow = random.pick(&[Slow::Disconnect, Slow::Pause]);
        let rules = (slow, random.pick(&[1_024, 4_096, 65_536]), random.pick(&[5, 20, 100]));
        let start = Instant::now();
        let mut twins = [false, true].map(|one_by_one| Twin::new(one_by_one, rules, start));
        let longest = random.pick(&[300, 300, 300, 5_000]);
        for step in 0..STEPS {
            let now = start + Duration::from_millis(step);
            let (place, what, room) = (random.below(PEERS), random.below(10), random.below(400));
            let line_len = random.pick(&[2, 3, 8, 30]);
            let fresh: Vec<u8> = (0..random.below(longest))
                .map(|_| if random.below(line_len) == 0 { b'\n' } else { b'x' })
                .collect();
            for twin in &mut twins {
                twin.did.clear();
                match what {
                    0..=5 => twin.receive(place, &fresh, now),
                    6 if step % 3 == 0 => drop(twin.server.chat.mute(id(place))),
                    _ => twin.flush(room, now),
                }
                twin.act(now);
            }
            assert_eq!(twins[0].did, twins[1].did, "seed {seed}, step {step}");
        }
        let top = twins.each_mut().map(|twin| twin.server.chat.top(9, start));
        assert_eq!(top[0], top[1], "seed {seed}");
        said += twins[0].server.chat.counts.said;
        held += twins[0].inputs.iter().filter(|input| input.held).count();
        too_long += twins[0].inputs.iter().filter(|input| input.closed).count();
    }
    assert!(said > 20 * SEEDS && held > 0 && too_long > 0, "{said} {held} {too_long}");
}

#[test]
fn a_muted_peer_is_not_heard_in_lines_either() {
    let now = Instant::now();
    let mut twin = Twin::new(false, (Slow::Disconnect, 65_536, 100), now);
    twin.server.chat.mute(id(0));
    twin.receive(0, b"one\ntwo\n", now);
    twin.receive(1, b"three\n", now);
    let mut slices = Slices::new();
    twin.server.pending(id(2), &mut slices);
    assert_eq!(joined(&slices), b"three\n");
}
