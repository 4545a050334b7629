//! The chat's promises, without a socket: who is owed which bytes after which writes.

use super::*;
use crate::handler::Slices;

const LINE_MAX: usize = 64;

fn peer(serial: u64) -> PeerId {
    PeerId { serial, slot: serial as u32 - 1 }
}

fn rules(protocol: Protocol) -> Rules {
    Rules {
        protocol,
        line_len_max: LINE_MAX,
        log_bytes: LOG_BYTES,
        rooms_max: 4,
        history: 0,
        slow: if protocol == Protocol::Chat { Slow::Skip } else { Slow::Disconnect },
        stall_timeout: Duration::from_secs(60),
    }
}

fn chat_of(protocol: Protocol, peers: u64) -> Chat {
    chat_with(rules(protocol), peers)
}

fn chat_with(rules: Rules, peers: u64) -> Chat {
    let mut chat = Chat::new(rules);
    (1..=peers).for_each(|serial| chat.join(peer(serial)));
    chat
}

/// A line of a peer, heard now.
fn say(chat: &mut Chat, peer: PeerId, text: &[u8]) -> Said {
    chat.say(peer, text, Instant::now())
}

/// The kernel takes at most `n` bytes of what is pending.
fn take(chat: &mut Chat, peer: PeerId, n: usize) -> Vec<u8> {
    let mut slices = Slices::new();
    chat.pending(peer, &mut slices);
    let mut bytes: Vec<u8> = slices.runs().iter().flat_map(|run| run.to_vec()).collect();
    bytes.truncate(n);
    chat.sent(peer, bytes.len());
    bytes
}

/// The kernel takes `n` bytes a send until nothing is pending.
fn take_all(chat: &mut Chat, peer: PeerId, n: usize) -> String {
    let mut all = Vec::new();
    loop {
        let part = take(chat, peer, n);
        if part.is_empty() {
            return String::from_utf8(all).unwrap();
        }
        all.extend(part);
    }
}

/// What the loop does in a flush: offers to everybody, and these sockets take nothing.
fn sweep(chat: &mut Chat) {
    while chat.next_dirty().is_some() {}
}

/// Says so many lines that the log turns over and drops the first ones.
fn overflow(chat: &mut Chat, talker: PeerId) -> usize {
    let line = [b'x'; LINE_MAX];
    let mut lines = 0;
    while lines * LINE_MAX < 2 * LOG_BYTES {
        match say(chat, talker, &line) {
            Said::Yes => lines += 1,
            Said::Hold => sweep(chat),
            Said::TooLong => panic!("a line of the limit is not too long"),
        }
    }
    sweep(chat);
    lines
}

#[test]
fn a_newcomer_is_greeted_and_told_to_the_others_only() {
    let mut chat = chat_of(Protocol::Chat, 2);
    assert_eq!(take_all(&mut chat, peer(1), 999), "* you are guest1\n* guest2 joined\n");
    assert_eq!(take_all(&mut chat, peer(2), 999), "* you are guest2\n");
}

#[test]
fn nobody_hears_own_words_and_everybody_else_does() {
    let mut chat = chat_of(Protocol::Chat, 3);
    (1..=3).for_each(|serial| drop(take_all(&mut chat, peer(serial), 999)));
    assert_eq!(say(&mut chat, peer(1), b"hello"), Said::Yes);
    assert_eq!(say(&mut chat, peer(2), b"hi"), Said::Yes);
    assert_eq!(take_all(&mut chat, peer(1), 999), "<guest2> hi\n");
    assert_eq!(take_all(&mut chat, peer(2), 999), "<guest1> hello\n");
    assert_eq!(take_all(&mut chat, peer(3), 999), "<guest1> hello\n<guest2> hi\n");
}

#[test]
fn an_answer_never_stands_inside_a_message_whatever_the_short_writes() {
    for first in 0..60 {
        for then in 1..8 {
            let mut chat = chat_of(Protocol::Chat, 2);
            take_all(&mut chat, peer(1), 999);
            say(&mut chat, peer(2), b"one two three");
            say(&mut chat, peer(2), b"four");
            let mut got = take(&mut chat, peer(1), first);
            chat.tell(peer(1), format_args!("an answer"));
            say(&mut chat, peer(2), b"five");
            got.extend(take_all(&mut chat, peer(1), then).into_bytes());
            let got = String::from_utf8(got).unwrap();
            let mut lines: Vec<&str> = got.lines().collect();
            let answers = lines.iter().filter(|line| **line == "* an answer").count();
            assert_eq!(answers, 1, "{got:?}");
            lines.retain(|line| *line != "* an answer");
            assert_eq!(lines, ["<guest2> one two three", "<guest2> four", "<guest2> five"]);
        }
    }
}

#[test]
fn who_falls_behind_gets_one_receipt_for_exactly_what_it_missed() {
    for cut in [0, 5, 17] {
        let mut chat = chat_of(Protocol::Chat, 3);
        take_all(&mut chat, peer(1), 999);
        say(&mut chat, peer(3), b"a message to be cut");
        say(&mut chat, peer(1), b"own words do not count");
        let mut got = take(&mut chat, peer(1), cut);
        let said = overflow(&mut chat, peer(2)) + 1;
        got.extend(take_all(&mut chat, peer(1), 4_000).into_bytes());
        let got = String::from_utf8(got).unwrap();
        let receipts: Vec<&str> = got.lines().filter(|line| line.starts_with("* you")).collect();
        let heard = got.lines().filter(|line| line.starts_with('<')).count();
        let receipt = format!("* you missed {} messages: reading too slowly", said - heard);
        assert_eq!(receipts, [receipt], "cut after {cut}");
        assert!(heard > 1_000 && heard < said);
    }
}

#[test]
fn in_lines_who_falls_behind_sees_a_gapless_prefix_and_the_end() {
    let mut chat = chat_of(Protocol::Lines, 2);
    say(&mut chat, peer(2), b"first\n");
    let mut got = take(&mut chat, peer(1), 3);
    overflow(&mut chat, peer(2));
    let finish = Action::Finish { peer: peer(1), why: CloseReason::Lagged, within: LAST_WORDS };
    let wishes: Vec<Action> = std::iter::from_fn(|| chat.next_action()).collect();
    assert_eq!(wishes.iter().filter(|wish| **wish == finish).count(), 1);
    got.extend(take_all(&mut chat, peer(1), 999).into_bytes());
    assert_eq!(got, b"first\n", "the cut line is completed and nothing follows");
}

#[test]
fn who_left_is_owed_what_was_said_before_and_nothing_after() {
    let mut chat = chat_of(Protocol::Chat, 2);
    take_all(&mut chat, peer(1), 999);
    say(&mut chat, peer(2), b"before");
    chat.leave(peer(1), None);
    say(&mut chat, peer(2), b"after");
    assert_eq!(take_all(&mut chat, peer(1), 3), "<guest2> before\n");
    assert_eq!(take_all(&mut chat, peer(2), 999), "* you are guest2\n* guest1 left\n");
}

#[test]
fn who_is_thrown_out_gets_the_rest_of_a_cut_message_and_its_last_words_only() {
    let mut chat = chat_of(Protocol::Chat, 2);
    take_all(&mut chat, peer(1), 999);
    say(&mut chat, peer(2), b"cut here");
    say(&mut chat, peer(2), b"never sent");
    let mut got = take(&mut chat, peer(1), 4);
    chat.close(peer(1), CloseReason::Kicked, format_args!("goodbye"));
    got.extend(take_all(&mut chat, peer(1), 999).into_bytes());
    assert_eq!(String::from_utf8(got).unwrap(), "<guest2> cut here\n* goodbye\n");
}

#[test]
fn a_crowd_is_not_told_of_each_newcomer() {
    let mut chat = chat_of(Protocol::Chat, NOTICE_PEERS_MAX as u64 + 50);
    let told = take_all(&mut chat, peer(1), 99_999);
    assert_eq!(told.lines().count(), 1 + NOTICE_PEERS_MAX, "the greeting and the first joins");
}

#[test]
fn a_line_that_grows_over_the_limit_when_it_is_made_visible_is_too_long() {
    let mut chat = chat_of(Protocol::Chat, 1);
    assert_eq!(say(&mut chat, peer(1), &[0x1b; LINE_MAX / 4]), Said::Yes);
    assert_eq!(say(&mut chat, peer(1), &[0x1b; LINE_MAX / 4 + 1]), Said::TooLong);
}

#[test]
fn a_talker_that_is_read_late_does_not_lag_behind_itself() {
    let mut chat = chat_of(Protocol::Chat, 2);
    take_all(&mut chat, peer(1), 999);
    say(&mut chat, peer(2), b"one message not read yet");
    let said = overflow(&mut chat, peer(1));
    let got = take_all(&mut chat, peer(1), 999);
    assert_eq!(got, "* you missed 1 message: reading too slowly\n", "of {said} own ones");
}

#[test]
fn a_slot_that_is_used_again_owes_nothing_of_its_last_tenant() {
    let mut chat = chat_of(Protocol::Chat, 2);
    say(&mut chat, peer(2), b"for the first tenant");
    chat.gone(peer(1));
    let next = PeerId { serial: 9, slot: 0 };
    chat.join(next);
    assert_eq!(take_all(&mut chat, next, 999), "* you are guest9\n");
    assert_eq!(take(&mut chat, peer(1), 999), b"", "the stale id is owed nothing");
}
