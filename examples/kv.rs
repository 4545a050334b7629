//! A store of keys and values, in memory, for everybody who connects: `set KEY VALUE`, `get KEY`
//! and `del KEY`, a line each, and a line for each answer.
//!
//! ```text
//! cargo run --example kv -- 127.0.0.1:1718
//! printf 'set tea green\nget tea\n' | nc -N 127.0.0.1 1718
//! ```
//!
//! What this program need not care about, for the loop does: a line that comes in pieces, or a
//! thousand in one; an answer that is sent in part; who is read next, and for how long; whoever ends
//! its input before it has its answers; a reset; descriptors running out. What it has to say itself:
//! how long a line may be, how much it stores, how many answers may wait for one peer (who does not
//! take them is not read, `hold`, until it has, `Resume`) and how many bytes for all (`buffered`).

use reactor::handler::{Action, CloseReason, Handler, OWNER_ALONE, PeerId, Signal, Slices, Taken};
use reactor::log_queue::LogQueue;
use reactor::os::mio::{MioOs, Settings};
use reactor::reactor::Reactor;
use reactor::wire::{Lines, text};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const LINE_MAX: usize = 1024; // a key and its value
const KEYS_MAX: usize = 100_000; // 100 MB at most
const ANSWERS_MAX: usize = 64 * 1024; // bytes that wait for one peer; then it is not read
const WITHIN: Duration = Duration::from_secs(5); // to take the last ones

#[derive(Default)]
struct Store {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    answers: BTreeMap<PeerId, Vec<u8>>,
    buffered: usize, // bytes in all answers
    dirty: VecDeque<PeerId>,
    actions: VecDeque<Action>,
}

impl Store {
    fn obey(&mut self, line: &[u8]) -> Vec<u8> {
        let mut words = line.splitn(3, |&byte| byte == b' ');
        match (words.next(), words.next(), words.next()) {
            (Some(b"get"), Some(key), None) => self.values.get(key).cloned().unwrap_or_default(),
            (Some(b"del"), Some(key), None) => self.values.remove(key).unwrap_or_default(),
            (Some(b"set"), Some(_), Some(_)) if self.values.len() >= KEYS_MAX => "full".into(),
            (Some(b"set"), Some(key), Some(value)) => {
                self.values.insert(key.into(), value.into());
                "ok".into()
            }
            _ => "set KEY VALUE, get KEY or del KEY".into(),
        }
    }
}

impl Handler for Store {
    fn received(&mut self, peer: PeerId, bytes: &[u8], seen: usize, _: Instant) -> Taken {
        let mut lines = Lines::new(bytes, seen, LINE_MAX);
        let mut answers = self.answers.remove(&peer).unwrap_or_default();
        self.buffered -= answers.len();
        while answers.len() < ANSWERS_MAX
            && let Some(line) = lines.next()
        {
            let Ok(line) = line else {
                self.actions.push_back(Action::Close(peer, CloseReason::TooLong));
                break;
            };
            answers.extend([&*self.obey(text(line)), b"\n"].concat());
        }
        let hold = answers.len() >= ANSWERS_MAX;
        self.buffered += answers.len();
        self.answers.insert(peer, answers);
        self.dirty.push_back(peer);
        Taken { consumed: lines.consumed(), hold }
    }
    fn ended(&mut self, peer: PeerId, _: &[u8], _: Instant) -> bool {
        self.actions.push_back(Action::Finish { peer, why: CloseReason::Left, within: WITHIN });
        true
    }
    fn pending<'a>(&'a mut self, peer: PeerId, slices: &mut Slices<'a>) {
        slices.push(self.answers.get(&peer).map_or(&[], Vec::as_slice));
    }
    fn sent(&mut self, peer: PeerId, n: usize, _: Instant) {
        let Some(answers) = self.answers.get_mut(&peer) else { return };
        answers.drain(..n);
        self.buffered -= n;
        self.actions.extend(answers.is_empty().then_some(Action::Resume(peer)));
    }
    fn closed(&mut self, peer: PeerId, _: CloseReason, _: Instant) {
        self.buffered -= self.answers.remove(&peer).map_or(0, |answers| answers.len());
    }
    fn buffered(&self) -> usize {
        self.buffered
    }
    fn signalled(&mut self, signal: Signal, _: Instant) {
        if signal != Signal::Continue {
            self.actions.push_back(Action::Stop { within: Some(WITHIN) });
        }
    }
    fn next_dirty(&mut self) -> Option<PeerId> {
        self.dirty.pop_front()
    }
    fn next_action(&mut self, _: Instant) -> Option<Action> {
        self.actions.pop_front()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let at: SocketAddr = std::env::args().nth(1).unwrap_or("127.0.0.1:1718".into()).parse()?;
    let log = LogQueue::new();
    let mut reactor = Reactor::new(MioOs::new(Settings::default())?, log.clone());
    log.say(&format!("listening {}", reactor.listen(&at.into(), OWNER_ALONE)?));
    Ok(reactor.run(&mut Store::default())?)
}
