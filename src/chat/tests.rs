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
    chat.sent(peer, bytes.len(), Instant::now());
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

fn hear(chat: &mut Chat, peer: PeerId, line: &str) {
    assert_eq!(chat.hear(peer, line.as_bytes(), Instant::now()), Said::Yes);
}

/// A chat whose peers have read their greetings.
fn quiet(rules: Rules, peers: u64) -> Chat {
    let mut chat = chat_with(rules, peers);
    (1..=peers).for_each(|serial| drop(take_all(&mut chat, peer(serial), 9_999)));
    chat
}

#[test]
fn a_rename_is_told_to_the_room_and_names_the_next_words() {
    let mut chat = quiet(rules(Protocol::Chat), 2);
    hear(&mut chat, peer(1), "/nick Ada");
    hear(&mut chat, peer(1), "hello");
    assert_eq!(take_all(&mut chat, peer(2), 7), "* guest1 is now Ada\n<Ada> hello\n");
    hear(&mut chat, peer(2), "/nick ADA");
    assert_eq!(take_all(&mut chat, peer(2), 999), "* ADA is taken\n");
    chat.leave(peer(1), None);
    hear(&mut chat, peer(2), "/nick ADA");
    assert!(take_all(&mut chat, peer(2), 999).starts_with("* you are ADA\n"));
}

#[test]
fn who_changes_rooms_gets_a_receipt_for_what_it_leaves_and_the_new_rooms_history() {
    let mut chat = quiet(Rules { history: 2, ..rules(Protocol::Chat) }, 3);
    hear(&mut chat, peer(3), "/join #dev");
    for text in ["one", "two", "three"] {
        hear(&mut chat, peer(3), text);
    }
    hear(&mut chat, peer(2), "said in the lobby");
    hear(&mut chat, peer(2), "and more");
    hear(&mut chat, peer(1), "own words do not count");
    let cut = take(&mut chat, peer(1), 5);
    assert_eq!(cut, b"* gue");
    hear(&mut chat, peer(1), "/join #dev");
    assert_eq!(
        take_all(&mut chat, peer(1), 9),
        "st3 left\n* you missed 2 messages: you left #lobby\n* you are in #dev, 2 members\n\
         <guest3> two\n<guest3> three\n* guest1 joined\n"
    );
}

#[test]
fn a_newcomer_gets_the_last_messages_but_notices_do_not_count() {
    let mut chat = quiet(Rules { history: 2, ..rules(Protocol::Chat) }, 2);
    for text in ["one", "two", "three"] {
        hear(&mut chat, peer(1), text);
    }
    chat.join(peer(3));
    assert_eq!(
        take_all(&mut chat, peer(3), 999),
        "* you are guest3\n<guest1> two\n<guest1> three\n* guest3 joined\n"
    );
}

#[test]
fn a_private_word_is_seen_by_both_and_by_nobody_else() {
    let mut chat = quiet(rules(Protocol::Chat), 3);
    hear(&mut chat, peer(1), "/msg guest2 psst");
    assert_eq!(take_all(&mut chat, peer(1), 999), "[to guest2] psst\n");
    assert_eq!(take_all(&mut chat, peer(2), 999), "[guest1] psst\n");
    assert_eq!(take_all(&mut chat, peer(3), 999), "");
}

#[test]
fn others_private_words_never_keep_a_peer_from_being_read() {
    let mut chat = quiet(rules(Protocol::Chat), 2);
    let mut refused = 0;
    for _ in 0..200 {
        hear(&mut chat, peer(1), "/msg guest2 sixty bytes of private words that nobody takes away");
        refused += take_all(&mut chat, peer(1), 9_999).matches("not delivered").count();
    }
    assert!(refused > 100, "the sender is told");
    assert!(!chat.holds(peer(2)), "and its victim is read");
}

#[test]
fn who_does_not_take_its_own_answers_is_not_read_until_it_does() {
    let mut chat = quiet(rules(Protocol::Chat), 1);
    let mut asked = 0;
    while chat.hear(peer(1), b"/ping a-word-of-some-length", Instant::now()) == Said::Yes {
        asked += 1;
    }
    assert!(asked > 50 && chat.holds(peer(1)));
    assert_eq!(take_all(&mut chat, peer(1), 999).lines().count(), asked);
    assert_eq!(chat.next_action(), Some(Action::Resume(peer(1))));
    assert_eq!(chat.buffered(), 0);
}

#[test]
fn with_pause_nothing_is_lost_and_talkers_wait_for_the_slowest() {
    let slow = Rules { slow: Slow::Pause, ..rules(Protocol::Lines) };
    let mut chat = quiet(slow, 3);
    let (mut said, mut held) = (0, false);
    for _ in 0..200_000 {
        match say(&mut chat, peer(1), format!("{said}\n").as_bytes()) {
            Said::Yes => said += 1,
            Said::Hold => {
                assert!(chat.holds(peer(1)));
                let before = chat.rooms.get(LOBBY).log.end();
                drop(take_all(&mut chat, peer(2), 99_999)); // the fast one
                sweep(&mut chat);
                if chat.rooms.get(LOBBY).log.end() == before && chat.next_action().is_none() {
                    held = true;
                    break;
                }
                while chat.next_action().is_some() {}
                if chat.rooms.get(LOBBY).log.size() > LOG_BYTES / 10 * 9 {
                    held = true;
                    break;
                }
            }
            Said::TooLong => unreachable!(),
        }
    }
    assert!(held, "the room is full while one reader takes nothing");
    let got = take_all(&mut chat, peer(3), 4_000);
    let expected: String = (0..said).map(|number| format!("{number}\n")).collect();
    assert_eq!(got, expected, "every line, in order");
    take_all(&mut chat, peer(2), 99_999);
    if say(&mut chat, peer(1), b"on\n") == Said::Hold {
        sweep(&mut chat);
        assert_eq!(say(&mut chat, peer(1), b"on\n"), Said::Yes, "and the talk goes on");
    }
}

#[test]
fn who_holds_a_room_up_and_takes_next_to_nothing_is_closed() {
    let slow = Rules { slow: Slow::Pause, ..rules(Protocol::Lines) };
    let mut chat = quiet(slow, 2);
    let line = [b'x'; LINE_MAX];
    let start = Instant::now();
    for _ in 0..100_000 {
        if chat.say(peer(1), &line, start) == Said::Hold {
            sweep(&mut chat);
        }
    }
    let deadline = chat.next_deadline().expect("the room is held up");
    assert_eq!(deadline, start + slow.stall_timeout);
    take(&mut chat, peer(2), 4_000);
    chat.expired(deadline);
    let finish = |peer| Action::Finish { peer, why: CloseReason::Stalled, within: LAST_WORDS };
    let wishes: Vec<Action> = std::iter::from_fn(|| chat.next_action()).collect();
    assert!(wishes.contains(&finish(peer(2))) && !wishes.contains(&finish(peer(1))));
    sweep(&mut chat);
    assert_eq!(chat.say(peer(1), &line, deadline), Said::Yes);
}

/// It takes a line now and then, and each lets a line in.
#[test]
fn who_holds_a_room_up_and_lets_a_line_in_now_and_then_is_closed_too() {
    let slow = Rules { slow: Slow::Pause, ..rules(Protocol::Lines) };
    let mut chat = quiet(slow, 2);
    let line = [b'x'; LINE_MAX];
    let start = Instant::now();
    let mut said = Vec::new();
    for second in 0..3 * slow.stall_timeout.as_secs() {
        let now = start + Duration::from_secs(second);
        let mut lines = 0;
        while chat.say(peer(1), &line, now) == Said::Yes || chat.next_action().is_some() {
            lines += 1;
            sweep(&mut chat);
        }
        said.push(lines);
        if chat.next_deadline().is_some_and(|deadline| deadline <= now) {
            chat.expired(now);
        }
        if !chat.is_here(peer(2)) {
            assert!(said[1..].iter().all(|&lines| lines > 0), "{said:?}");
            assert!((60..=62).contains(&second), "closed after {second} s");
            return;
        }
        take(&mut chat, peer(2), LINE_MAX);
        sweep(&mut chat);
    }
    panic!("it is never closed: {said:?}");
}

/// The machine may have stood still before the sweep came to it.
#[test]
fn who_was_not_offered_what_is_wanted_holds_nobody_up() {
    let small = Rules { slow: Slow::Pause, log_bytes: 2_048, history: 9, ..rules(Protocol::Chat) };
    let mut chat = quiet(small, 3);
    let start = Instant::now();
    loop {
        while chat.say(peer(1), &[b'x'; LINE_MAX], start) == Said::Yes {}
        if chat.next_deadline().is_some() {
            break;
        }
        while let Some(dirty) = chat.next_dirty() {
            if dirty == peer(3) {
                take_all(&mut chat, dirty, 999);
            }
        }
    }
    chat.join(peer(4));
    chat.expired(start + small.stall_timeout);
    assert_eq!([2, 3, 4].map(|serial| chat.is_here(peer(serial))), [false, true, true]);
    for late in [3, 4] {
        assert!(take_all(&mut chat, peer(late), 999).contains("<guest1> xxx"), "{late}");
    }
}

#[test]
fn who_is_slow_while_nobody_waits_is_not_closed() {
    let slow = Rules { slow: Slow::Pause, ..rules(Protocol::Lines) };
    let mut chat = quiet(slow, 2);
    let start = Instant::now();
    while chat.say(peer(1), &[b'x'; LINE_MAX], start) == Said::Yes || chat.next_action().is_some() {
        sweep(&mut chat);
    }
    take(&mut chat, peer(2), LINE_MAX);
    sweep(&mut chat);
    chat.expired(chat.next_deadline().expect("somebody did wait"));
    assert!(chat.is_here(peer(2)));
}

#[test]
fn an_empty_room_is_gone_with_its_history_and_there_are_not_too_many() {
    let mut chat = quiet(Rules { rooms_max: 2, ..rules(Protocol::Chat) }, 2);
    hear(&mut chat, peer(1), "/join #dev");
    hear(&mut chat, peer(2), "/join #ops");
    assert!(take_all(&mut chat, peer(2), 999).contains("* there are enough rooms"));
    hear(&mut chat, peer(1), "/join #lobby");
    hear(&mut chat, peer(2), "/join #ops");
    assert!(take_all(&mut chat, peer(2), 999).contains("* you are in #ops, 1 member\n"));
}

#[test]
fn what_was_delivered_is_counted_without_own_words() {
    let mut chat = quiet(rules(Protocol::Chat), 3);
    let before = chat.counts.delivered;
    hear(&mut chat, peer(1), "one");
    hear(&mut chat, peer(2), "two");
    (1..=3).for_each(|serial| drop(take_all(&mut chat, peer(serial), 5)));
    assert_eq!(chat.counts.delivered - before, 4, "one to two peers, two to two");
}

#[test]
fn a_muted_talker_that_reads_nothing_cannot_fill_its_outbox() {
    let mut chat = quiet(rules(Protocol::Chat), 1);
    assert!(chat.mute(peer(1)));
    let said = (0..10_000).filter(|_| say(&mut chat, peer(1), b"x") == Said::Yes).count();
    assert!(said > 50 && chat.holds(peer(1)));
    assert!(chat.buffered() < ANSWERS_BYTES_MAX + 100, "{} bytes", chat.buffered());
}

/// A newcomer's history is older than the newcomer, and so late through nobody's fault.
#[test]
fn lag_is_the_oldest_message_of_a_send_and_no_history() {
    let start = Instant::now();
    let mut chat = chat_with(Rules { history: 10, ..rules(Protocol::Chat) }, 2);
    let hear = |chat: &mut Chat, to: PeerId, seconds: u64| {
        let mut slices = Slices::new();
        chat.pending(to, &mut slices);
        let bytes = slices.bytes();
        chat.sent(to, bytes, start + Duration::from_secs(seconds));
        chat.delivery.sum()
    };
    hear(&mut chat, peer(2), 0);
    assert_eq!(chat.delivery.count(), 0, "greetings and notices are not looked at");
    assert_eq!(chat.say(peer(1), b"one", start), Said::Yes);
    assert_eq!(chat.say(peer(1), b"two", start + Duration::from_secs(1)), Said::Yes);
    assert_eq!(hear(&mut chat, peer(2), 3), Duration::from_secs(3), "one look at both");
    chat.join(peer(3));
    assert_eq!(hear(&mut chat, peer(3), 100), Duration::from_secs(3), "its history");
    assert_eq!(chat.say(peer(1), b"three", start + Duration::from_secs(100)), Said::Yes);
    assert_eq!(hear(&mut chat, peer(3), 102), Duration::from_secs(5));
    assert_eq!(chat.delivery.count(), 2);
}

#[test]
fn of_ten_thousand_who_spoke_once_few_are_remembered_and_who_talks_is() {
    let mut chat = chat_of(Protocol::Lines, 10_000);
    for serial in 1..=10_000 {
        chat.note_spoke(peer(serial), 1);
        chat.note_spoke(peer(7_000), 1);
    }
    assert!(chat.spoke.len() <= 1_024, "{} are remembered", chat.spoke.len());
    let top = chat.top(1, Instant::now());
    assert_eq!(top, ["guest7000 #7000 said 10001 messages since the start"]);
}

#[test]
fn of_messages_that_came_together_a_full_room_takes_the_first_and_says_which_it_did_not() {
    let rules = Rules { log_bytes: 4_096, ..rules(Protocol::Lines) };
    let mut chat = chat_with(rules, 2);
    let (talker, reader) = (peer(1), peer(2));
    let lines: Vec<String> = (0..40).map(|number| format!("{number:063}\n")).collect();
    let mut left = lines.iter();
    let mut asked = 0;
    let together = left.by_ref().map(|line| line.as_bytes()).inspect(|_| asked += 1);
    assert_eq!(chat.say_all(talker, together, Instant::now()), Said::Hold);
    // A quarter of the log, and a line costs 64 bytes and its entry.
    let taken = 1_024 / (64 + log::ENTRY_BYTES);
    assert_eq!((asked, chat.counts.said), (taken + 1, taken as u64));
    assert_eq!(take_all(&mut chat, reader, 4_096), lines[..taken].concat());
    assert_eq!(take_all(&mut chat, talker, 4_096), "", "nobody hears itself");
    sweep(&mut chat);
    let rest = lines[taken..][..taken].iter().map(|line| line.as_bytes());
    assert_eq!(chat.say_all(talker, rest, Instant::now()), Said::Yes);
    assert_eq!(take_all(&mut chat, reader, 4_096), lines[taken..][..taken].concat());
    let talkers = chat.top(9, Instant::now()).join("\n");
    assert!(talkers.contains(&format!("said {} messages", 2 * taken)), "{talkers}");
}
