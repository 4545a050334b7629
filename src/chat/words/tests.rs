//! Tests of the words: what each becomes, and what is said to who gets one wrong.

use super::Speaker::{Operator, Peer};
use super::*;

fn name(text: &str) -> Name {
    names::check_called(text).unwrap()
}

fn hint(line: &str, who: Speaker) -> String {
    match parse(line, who) {
        Parsed::Wrong(hint) => hint,
        other => panic!("{line:?} is {other:?}"),
    }
}

fn assert_orders<const N: usize>(who: Speaker, lines: [(&str, Order<'_>); N]) {
    for (line, order) in lines {
        assert_eq!(parse(line, who), Parsed::Order(order), "{line:?}");
    }
}

#[test]
fn what_begins_with_no_slash_or_with_two_is_said() {
    for (line, said) in [
        ("hello", "hello"),
        ("", ""),
        (" /quit", " /quit"),
        ("//quit", "/quit"),
        ("//", "/"),
        ("///", "//"),
        ("a // b ", "a // b "),
    ] {
        for who in [Peer, Operator] {
            assert_eq!(parse(line, who), Parsed::Said(said), "{line:?}");
        }
    }
}

#[test]
fn a_peers_words_are_understood() {
    assert_orders(
        Peer,
        [
            ("/nick Bob", Order::Nick(name("Bob"))),
            ("/join #Rust", Order::Join("#rust".into())),
            ("/rooms", Order::Rooms),
            ("/who", Order::Who(None)),
            ("/who #lobby", Order::Who(Some("#lobby".into()))),
            ("/msg bob hi  there", Order::Msg { to: name("bob"), text: "hi  there" }),
            ("/msg guest7 hi", Order::Msg { to: name("guest7"), text: "hi" }),
            ("/msg Operator /me", Order::Msg { to: name("Operator"), text: "/me" }),
            ("/help", Order::Help),
            ("/quit", Order::Quit(None)),
            ("/quit so long", Order::Quit(Some("so long"))),
            ("/ping", Order::Ping(None)),
            ("/ping \u{1b}x", Order::Ping(Some("\u{1b}x"))),
        ],
    );
}

#[test]
fn the_operators_words_are_understood() {
    let bob = || Target::Name(name("bob"));
    let ban = |prefix, seconds: Option<u64>| Order::Ban {
        prefix,
        for_: seconds.map(Duration::from_secs),
    };
    assert_orders(
        Operator,
        [
            ("/all dinner is ready", Order::All("dinner is ready")),
            ("/kick bob", Order::Kick { whom: bob(), reason: None }),
            ("/kick bob too loud", Order::Kick { whom: bob(), reason: Some("too loud") }),
            ("/kick #812 x", Order::Kick { whom: Target::Serial(812), reason: Some("x") }),
            ("/mute bob", Order::Mute(bob())),
            ("/mute #1", Order::Mute(Target::Serial(1))),
            ("/ban 192.0.2.7", ban("192.0.2.7", None)),
            ("/ban 192.0.2.0/24 for 10m", ban("192.0.2.0/24", Some(600))),
            ("/ban 2001:db8::/128 FOR 1h 30m", ban("2001:db8::/128", Some(5400))),
            ("/unban 0.0.0.0/0", Order::Unban("0.0.0.0/0")),
            ("/bans", Order::Bans),
            ("/stats", Order::Stats { all: false }),
            ("/stats  ALL ", Order::Stats { all: true }),
            ("/top", Order::Top),
            ("/limits", Order::Limits(None)),
            ("/limits peers 100", Order::Limits(Some(("peers", "100")))),
            ("/drain", Order::Drain),
            ("/quit", Order::Quit(None)),
            ("/who #lobby", Order::Who(Some("#lobby".into()))),
        ],
    );
}

#[test]
fn space_around_and_capitals_do_not_matter() {
    let msg = Order::Msg { to: name("bob"), text: "a \t b" };
    for line in ["/MSG bob a \t b", "/msg \t bob  \ta \t b ", "/Msg\tbob\ta \t b\t"] {
        assert_eq!(parse(line, Peer), Parsed::Order(msg.clone()), "{line:?}");
    }
}

#[test]
fn arguments_that_are_missing_or_too_many_get_the_usage() {
    for (line, usage) in [
        ("/nick", "usage: /nick NAME"),
        ("/join ", "usage: /join #ROOM"),
        ("/rooms all", "usage: /rooms"),
        ("/msg", "usage: /msg NAME TEXT"),
        ("/msg bob", "usage: /msg NAME TEXT"),
        ("/ping a b", "usage: /ping [WORD]"),
        ("/all", "usage: /all TEXT"),
        ("/kick", "usage: /kick NAME|#SERIAL [REASON]"),
        ("/mute", "usage: /mute NAME|#SERIAL"),
        ("/ban", "usage: /ban ADDRESS[/PREFIX] [for 10m]"),
        ("/ban ::1 10m", "usage: /ban ADDRESS[/PREFIX] [for 10m]"),
        ("/ban ::1 for", "usage: /ban ADDRESS[/PREFIX] [for 10m]"),
        ("/unban", "usage: /unban ADDRESS[/PREFIX]"),
        ("/limits peers", "usage: /limits [NAME VALUE]"),
        ("/limits peers 1 2", "usage: /limits [NAME VALUE]"),
        ("/quit now", "usage: /quit"),
    ] {
        let who = if line.starts_with("/nick") { Peer } else { Operator };
        assert_eq!(hint(line, who), usage, "{line:?}");
    }
}

#[test]
fn arguments_that_are_malformed_get_the_reason() {
    let (reason, word) = ("x".repeat(REASON_BYTES_MAX + 1), "x".repeat(PING_BYTES_MAX + 1));
    for (line, says) in [
        ("/join lobby", "/join: a room's name begins with #"),
        ("/who a", "/who: a room's name begins with #"),
        ("/msg b*b hi", "/msg: a name has letters, digits, '-', '_' and '.': not '*'"),
        ("/kick #+1", "/kick: behind # stands a peer's number, as in #812"),
        ("/kick #99999999999999999999", "/kick: behind # stands a peer's number, as in #812"),
        ("/mute two words", "/mute: a name has letters, digits, '-', '_' and '.': not ' '"),
        ("/ban bob", "/ban: an address is like 192.0.2.7 or 2001:db8::7"),
        ("/ban 1.2.3", "/ban: an address is like 192.0.2.7 or 2001:db8::7"),
        ("/ban 1.2.3.4/33", "/ban: a prefix of that address has 0 to 32 bits"),
        ("/ban ::1/129", "/ban: a prefix of that address has 0 to 128 bits"),
        ("/unban ::1/", "/unban: a prefix of that address has 0 to 128 bits"),
        ("/ban ::1 for ever", "/ban: a time is like 90s, 10m or 1h30m"),
        ("/ban ::1 for -5m", "/ban: a time is like 90s, 10m or 1h30m"),
        ("/ban ::1 for 0s", "/ban: a ban lasts longer than that"),
        ("/ban ::1 for 8785h", "/ban: at most 8784h; without a time it lasts"),
        (&format!("/kick bob {reason}"), "/kick: a reason has at most 256 bytes"),
        (&format!("/ping {word}"), "/ping: a word has at most 64 bytes"),
    ] {
        assert_eq!(hint(line, Operator), says, "{line:?}");
    }
    assert_eq!(hint("/nick server", Peer), format!("/nick: {}", names::Refusal::Reserved));
    assert!(matches!(parse("/ban ::1 for 8784h", Operator), Parsed::Order(_)));
}

#[test]
fn a_word_of_the_other_speaker_is_not_obeyed() {
    for word in WORDS {
        for who in [Peer, Operator].into_iter().filter(|who| !word.is_for(*who)) {
            if words(who).any(|other| other.name == word.name) {
                continue;
            }
            let hint = hint(&format!("/{} x", word.name), who);
            assert!(hint.contains("the operator's alone") == (who == Peer), "{hint}");
        }
    }
}

#[test]
fn a_slip_gets_the_nearest_word() {
    for (line, meant) in [
        ("/jion #a", Some("join")),
        ("/nik bob", Some("nick")),
        ("/NCIK bob", Some("nick")),
        ("/hlpe", Some("help")),
        ("/masg x", Some("msg")),
        ("/exit", Some("quit")),
        ("/roms", Some("rooms")),
        ("/w", None),
        ("/me", None),
        ("/foo", None),
        ("/etc/passwd", None),
        ("/", None),
        ("/ nick", None),
        ("/kik bob", None), // the operator's
    ] {
        let hint = hint(line, Peer);
        let named = hint.split_once("did you mean /").map(|(_, word)| word);
        assert_eq!(named, meant.map(|word| format!("{word}?")).as_deref(), "{line}");
        assert_eq!(hint.contains("// says a line that begins with /"), meant.is_none());
    }
    assert_eq!(hint("/kik bob", Operator), "no command /kik; did you mean /kick?");
}

#[test]
fn every_hint_is_bounded_and_visible() {
    let tails =
        ["\u{1b}[2J", "\u{202e}", "\u{e0061}", "\r", "é", "a", "#", " ", "\t", "👨\u{200d}"];
    let starts = WORDS.iter().map(|word| format!("/{} ", word.name)).chain(["/".into()]);
    for start in starts {
        for (tail, count) in tails.iter().flat_map(|tail| [1, 30, 70_000].map(|n| (tail, n))) {
            let line = format!("{start}{}", tail.repeat(count));
            for who in [Peer, Operator] {
                let Parsed::Wrong(hint) = parse(&line, who) else { continue };
                assert!(hint.len() <= HINT_BYTES_MAX, "{hint}");
                assert!(visible(&hint) == hint && !hint.contains('\t'), "{hint:?}");
            }
        }
    }
    assert_eq!(cut("abc", 5), "abc");
    assert_eq!(cut("äöü", 5), "ä…");
}

#[test]
fn help_tells_each_word_that_one_may_say_on_a_short_line() {
    for who in [Peer, Operator] {
        let lines: Vec<String> = help(who).collect();
        assert_eq!(lines.len(), words(who).count());
        for (line, word) in lines.iter().zip(words(who)) {
            assert!(line.starts_with(&word.to_string()) && line.ends_with(word.help));
            assert!(line.is_ascii() && line.len() <= 78, "{line}");
        }
        assert!(lines.iter().map(|line| line.len() + 3).sum::<usize>() < 4096);
    }
    assert_eq!(help(Peer).next().unwrap(), "/nick NAME      take a name");
}

#[test]
fn no_speaker_has_two_words_of_one_name() {
    for who in [Peer, Operator] {
        for word in words(who) {
            assert_eq!(words(who).filter(|other| other.name == word.name).count(), 1);
            assert!(word.name.bytes().all(|byte| byte.is_ascii_lowercase()), "{}", word.name);
        }
    }
}
