//! What a delivery costs above the kernel: lines into the room's log, and out of it to each peer,
//! with sockets that take everything. The kernel's own part is 100 times as much; see many_peers.
//!
//! `cargo bench --bench broadcast`; `-- --quick` for a moment. Instructions are counted where
//! valgrind is installed.

mod pure;

use pure::Case;
use reactor::chat::{Chat, LOG_BYTES, Rules, Said, Slow};
use reactor::handler::{PeerId, Slices};
use reactor::wire::{LINE_LEN_MAX, Protocol};
use std::hint::black_box;
use std::time::{Duration, Instant};

fn id(slot: u32) -> PeerId {
    PeerId { serial: u64::from(slot) + 1, slot }
}

/// Each of `talkers` says `lines` lines of `len` bytes, then all peers are sent what they are owed:
/// one turn of the loop.
fn turn(peers: u32, talkers: u32, lines: u32, len: usize) -> Box<dyn FnMut()> {
    let mut chat = Chat::new(Rules {
        protocol: Protocol::Chat,
        line_len_max: LINE_LEN_MAX,
        log_bytes: LOG_BYTES,
        rooms_max: 1,
        history: 0,
        slow: Slow::Skip,
        stall_timeout: Duration::from_secs(60),
    });
    (0..peers).for_each(|slot| chat.join(id(slot)));
    let (line, now) = (vec![b'x'; len], Instant::now());
    let mut turn = move || {
        for _ in 0..lines {
            for talker in 0..talkers {
                assert_eq!(chat.say(id(talker), black_box(&line), now), Said::Yes);
            }
        }
        while let Some(peer) = chat.next_dirty() {
            let mut slices = Slices::new();
            chat.pending(peer, &mut slices);
            let n = black_box(slices.runs()).iter().map(|run| run.len()).sum();
            chat.sent(peer, n, now);
        }
        while chat.next_action().is_some() {}
    };
    turn(); // greetings and joins
    Box::new(turn)
}

fn main() {
    pure::main(&[
        Case { name: "1 line to 100", each: "100 deliveries", run: || turn(100, 1, 1, 64) },
        Case { name: "32 lines to 100", each: "3,200 deliveries", run: || turn(100, 1, 32, 64) },
        Case {
            name: "32 lines to 1,000",
            each: "32,000 deliveries",
            run: || turn(1_000, 1, 32, 64),
        },
        Case { name: "100 to 100", each: "9,900 deliveries", run: || turn(100, 100, 1, 64) },
    ]);
}
