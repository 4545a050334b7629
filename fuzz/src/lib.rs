//! What holds for every input of the parsers that strangers reach: one function each, which panics
//! where it does not. Each takes plain bytes. The fuzz targets call them with what libFuzzer makes
//! up, and `tests/parsers.rs` of the program with what a seed gives, so that `cargo test` has them.

use reactor::address::{Address, Group};
use reactor::chat::words::{self, HINT_BYTES_MAX, Parsed, Speaker};
use reactor::chat::{Chat, LOG_BYTES, Rules, Slow};
use reactor::handler::{Action, PeerId, Slices};
use reactor::serve::Access;
use reactor::serve::access::{self, RULES_MAX};
use reactor::visible::{visible, visible_into};
use reactor::wire::{Lines, Protocol, Refused, TooLong, text};
use std::time::{Duration, Instant};

/// Every way of cutting a stream into reads gives the same lines. The first byte is the longest
/// line, the second how the cuts lie, the rest the stream.
pub fn wire(input: &[u8]) {
    let [len_max, cut, stream @ ..] = input else { return };
    let (len_max, cut) = (usize::from(*len_max % 64) + 1, usize::from(*cut));
    let whole = split(stream, len_max, stream.len().max(1));
    for step in [1, 2, cut + 1] {
        assert_eq!(split(stream, len_max, step), whole, "in reads of {step} bytes");
    }
    // One by one from what is known of a line: no LF inside, not over the limit.
    let joined: Vec<u8> = whole.0.iter().flatten().flatten().copied().collect();
    assert!(joined.len() <= stream.len());
    for line in whole.0.iter().flatten() {
        let text = text(line);
        assert!(line.ends_with(b"\n") && !text.contains(&b'\n') && text.len() <= len_max);
    }
}

/// The lines (`None` for one that is too long), and the rest, of a stream that comes in reads of
/// `step` bytes.
type Split = (Vec<Option<Vec<u8>>>, Vec<u8>);

fn split(stream: &[u8], len_max: usize, step: usize) -> Split {
    let (mut lines, mut kept, mut refused) = (Vec::new(), Vec::new(), Refused::default());
    let mut seen = 0;
    for read in stream.chunks(step) {
        kept.extend_from_slice(read);
        let mut cut = Lines::skipping(&kept, seen, len_max, &mut refused);
        for line in cut.by_ref() {
            lines.push(match line {
                Ok(line) => Some(line.to_vec()),
                Err(TooLong) => None,
            });
        }
        let consumed = cut.consumed();
        kept.drain(..consumed);
        seen = kept.len();
        assert!(seen <= len_max + 1 + step, "{seen} bytes are kept");
    }
    let rest = refused.rest(&kept).to_vec();
    (lines, rest)
}

/// A line is said, obeyed or wrong, and a hint is one short visible line. The first byte is who
/// speaks.
pub fn words(input: &[u8]) {
    let [who, line @ ..] = input else { return };
    let who = if who % 2 == 0 { Speaker::Peer } else { Speaker::Operator };
    let line = String::from_utf8_lossy(line);
    match words::parse(&line, who) {
        Parsed::Said(said) => assert!(line.ends_with(said) && line.len() - said.len() <= 1),
        Parsed::Order(_) => {}
        Parsed::Wrong(hint) => {
            assert!(hint.len() <= HINT_BYTES_MAX, "{hint:?}");
            assert_eq!(visible(&hint), hint);
        }
    }
}

const PEERS: u32 = 3;

fn peer(slot: u32) -> PeerId {
    PeerId { serial: u64::from(slot) + 1, slot }
}

/// Three peers say lines, each led by a byte for who says it. Whatever is said: what each of them
/// is sent is whole visible lines that begin as the protocol has it, and no memory stays taken.
pub fn chat(input: &[u8]) {
    let mut chat = Chat::new(Rules {
        protocol: Protocol::Chat,
        line_len_max: 4_096,
        log_bytes: LOG_BYTES,
        rooms_max: 4,
        history: 3,
        slow: Slow::Skip,
        stall_timeout: Duration::from_secs(60),
    });
    let now = Instant::now();
    (0..PEERS).for_each(|slot| chat.join(peer(slot)));
    let mut there = [true; PEERS as usize];
    for line in input.split(|&byte| byte == b'\n').take(256) {
        let [who, line @ ..] = line else { continue };
        let slot = u32::from(*who) % PEERS;
        if there[slot as usize] && !line.is_empty() && line.len() <= 4_096 {
            chat.hear(peer(slot), line, now);
        }
        drain(&mut chat);
        while let Some(action) = chat.next_action() {
            if let Action::Finish { peer, why: _, .. } = action {
                chat.gone(peer);
                there[peer.slot as usize] = false;
            }
        }
    }
    for slot in (0..PEERS).filter(|&slot| there[slot as usize]) {
        chat.leave(peer(slot), None);
        drain(&mut chat);
        chat.gone(peer(slot));
    }
    assert_eq!(chat.buffered(), 0);
}

/// Everybody takes what is owed.
fn drain(chat: &mut Chat) {
    while let Some(peer) = chat.next_dirty() {
        let mut stream = Vec::new();
        loop {
            let mut slices = Slices::new();
            chat.pending(peer, &mut slices);
            let sent = slices.bytes();
            slices.runs().iter().for_each(|run| stream.extend_from_slice(run));
            if sent == 0 {
                break;
            }
            chat.sent(peer, sent, Instant::now());
        }
        let stream = String::from_utf8(stream).expect("what is sent is UTF-8");
        assert!(stream.is_empty() || stream.ends_with('\n'));
        for line in stream.split_terminator('\n') {
            assert_eq!(visible(line), line);
            assert!(["<", "[", "* "].iter().any(|start| line.starts_with(start)), "{line:?}");
        }
    }
}

/// An address or a group is refused in one short visible line, or its text is read back as itself.
pub fn address(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let is_line = |shown: &str, len_max| {
        assert!(shown.len() <= len_max && !shown.chars().any(char::is_control), "{shown:?}");
    };
    match text.parse::<Address>() {
        Ok(address) => {
            let shown = address.to_string();
            is_line(&shown, 285);
            assert_eq!(shown.parse(), Ok(address));
        }
        Err(error) => is_line(&error.to_string(), 600),
    }
    // An interface's name would be looked up.
    if text.bytes().filter(|&byte| byte == b'%').count() == 0 {
        match text.parse::<Group>() {
            Ok(group) => assert_eq!(group.to_string().parse(), Ok(group)),
            Err(error) => is_line(&error.to_string(), 600),
        }
    }
}

/// A text is refused as an access file in one short visible line, or it has rules. The lines of it
/// that are right alone are right together, and what they say, written again, is read as itself and
/// decides the same in any order.
pub fn access(input: &[u8]) {
    match access::parse(input) {
        Ok(rules) => assert!((1..=RULES_MAX).contains(&rules.len())),
        Err(error) => {
            let shown = error.to_string();
            assert!(shown.len() <= 600 && visible(&shown) == shown, "{shown:?}");
        }
    }
    let lines = input.split(|&byte| byte == b'\n').filter(|line| access::parse(line).is_ok());
    let lines: Vec<&[u8]> = lines.take(RULES_MAX / 2).collect(); // `all` is two rules
    if lines.is_empty() {
        return;
    }
    let rules = access::parse(&lines.join(&b'\n')).expect("each of them is right");
    let line = |rule: &access::Rule| format!("{:?} {}\n", rule.verdict, rule.net).to_lowercase();
    let written: String = rules.iter().map(line).collect();
    assert_eq!(access::parse(written.as_bytes()), Ok(rules.clone()));
    let turned = rules.iter().rev().copied().collect();
    let addresses: Vec<_> = rules.iter().take(16).map(|rule| rule.net.addr()).collect();
    let [there, back] = [rules, turned].map(|rules| Access::new(rules).expect("not too many"));
    for address in addresses {
        assert_eq!(there.admits(address), back.admits(address), "{address}");
    }
}

/// What is visible is UTF-8 without a line's end or another control byte but tab, is visible
/// again as it is, and says the same through both doors.
pub fn visible_text(input: &[u8]) {
    let mut shown = Vec::new();
    visible_into(input, &mut shown);
    let shown = String::from_utf8(shown).expect("visible text is UTF-8");
    assert!(shown.chars().all(|c| c == '\t' || !c.is_control()), "{shown:?}");
    assert_eq!(visible(&shown), shown);
    assert_eq!(visible(&String::from_utf8_lossy(input)), shown);
}
