//! What a peer and a room may be called; pure. After UAX #31 (what letters are) and UTS #39 (which
//! may stand together): a name is written in one script, so that no Cyrillic `а` makes a second
//! `admin`. What looks alike within one script or across whole ones (`ｂｏｂ` in full width, `é` in
//! one piece and in two, an all Cyrillic `сору`) is told apart here and not refused.

use crate::visible::visible;
use std::fmt;
use unicode_ident::{is_xid_continue, is_xid_start};
use unicode_script::{Script, ScriptExtension};

/// Longest name in characters, marks counted, a room's `#` not. Room for full names, and for the
/// text behind them on a line of a terminal.
pub const NAME_LEN_MAX: usize = 32;

/// Longest name in bytes, as written: a character has at most 4.
pub const NAME_BYTES_MAX: usize = 4 * NAME_LEN_MAX;

/// So many marks may follow one letter (UTS #39, 5.4): more climb into the lines above.
const MARKS_MAX: usize = 4;

/// What may be mixed, for it is one way of writing (UTS #39, 5.1): Japanese, Korean, and Chinese
/// with its sounds.
const WRITINGS: [&[Script]; 3] = [
    &[Script::Han, Script::Hiragana, Script::Katakana],
    &[Script::Han, Script::Hangul],
    &[Script::Han, Script::Bopomofo],
];

/// What UAX #31 has beside letters, marks and digits, first and last: dots and ties, then what
/// shows nothing and would make two names of one (Default_Ignorable_Code_Point).
const NEITHER: [(char, char); 19] = [
    ('\u{b7}', '\u{b7}'),
    ('\u{387}', '\u{387}'),
    ('\u{203f}', '\u{2040}'),
    ('\u{2054}', '\u{2054}'),
    ('\u{30fb}', '\u{30fb}'),
    ('\u{fe33}', '\u{fe34}'),
    ('\u{fe4d}', '\u{fe4f}'),
    ('\u{ff3f}', '\u{ff3f}'),
    ('\u{ff65}', '\u{ff65}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{16fe4}', '\u{16fe4}'), // the one that Unicode has forgotten: a filler of Khitan
    ('\u{e0000}', '\u{e0fff}'),
];

/// A name that was checked. Two that fold alike are one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    written: String,
    folded: String,
}

impl Name {
    /// As its owner wrote it, to be shown: at most [`NAME_BYTES_MAX`] bytes.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What names are compared by, and found by.
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// Why a name was not taken: one line each, for the peer that wanted it. Short and visible,
/// whatever was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing was typed.
    #[error("a name has at least one character")]
    Empty,
    /// More than [`NAME_LEN_MAX`] characters.
    #[error("a name has at most {NAME_LEN_MAX} characters")]
    TooLong,
    /// No letter of a script, no ASCII digit, none of the three signs.
    #[error("a name has letters, digits, '-', '_' and '.': not {}", Shown(*.0))]
    Character(char),
    /// A combining mark that has no letter to stand on, or one too many.
    #[error("in a name at most {MARKS_MAX} marks follow a letter, and nothing else: not {}", Shown(*.0))]
    Mark(char),
    /// Digits and signs only.
    #[error("a name has at least one letter")]
    NoLetter,
    /// Letters of more than one script.
    #[error("a name is written in one script, not in several")]
    Mixed,
    /// It would pass for somebody else.
    #[error("operator, server, and guest with a number are nobody's to take")]
    Reserved,
    /// A room without its `#`.
    #[error("a room's name begins with #")]
    NoHash,
}

/// A name that a peer may take.
pub fn check(text: &str) -> Result<Name, Refusal> {
    let name = check_called(text)?;
    let guest = name.folded.strip_prefix("guest");
    let guest = guest.is_some_and(|n| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()));
    if guest || ["operator", "server"].contains(&name.folded()) {
        return Err(Refusal::Reserved);
    }
    Ok(name)
}

/// A name that somebody may be called by: the reserved ones too.
pub fn check_called(text: &str) -> Result<Name, Refusal> {
    check_alphabet(text)?;
    if !text.chars().any(is_letter) {
        return Err(Refusal::NoLetter);
    }
    Ok(Name { written: text.to_owned(), folded: fold(text) })
}

/// A room's name with its `#`, in lower case: that is how it is shown too.
pub fn check_room(text: &str) -> Result<String, Refusal> {
    let name = text.strip_prefix('#').ok_or(Refusal::NoHash)?;
    check_alphabet(name)?;
    let room = text.to_lowercase();
    // One letter grows, the Turkish İ: what is shown must be what can be joined.
    if room.chars().count() > 1 + NAME_LEN_MAX {
        return Err(Refusal::TooLong);
    }
    Ok(room)
}

/// Upper case first: `to_lowercase` alone leaves ſ, ς and ß beside s, σ and ss, and `gueſt1` would
/// be free. This is nearly Unicode's full case folding; it makes one of the Turkish ı and i too.
fn fold(text: &str) -> String {
    let upper = text.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}

/// Length, characters and scripts; looks at no more than the longest name.
fn check_alphabet(text: &str) -> Result<(), Refusal> {
    match text.chars().take(NAME_LEN_MAX + 1).count() {
        0 => return Err(Refusal::Empty),
        1..=NAME_LEN_MAX => {}
        _ => return Err(Refusal::TooLong),
    }
    let mut marks_left = 0;
    for c in text.chars() {
        if is_letter(c) {
            marks_left = MARKS_MAX;
        } else if matches!(c, '0'..='9' | '-' | '_' | '.') {
            marks_left = 0;
        } else if !is_mark(c) {
            return Err(Refusal::Character(c));
        } else if marks_left == 0 {
            return Err(Refusal::Mark(c));
        } else {
            marks_left -= 1;
        }
    }
    if is_one_writing(text) { Ok(()) } else { Err(Refusal::Mixed) }
}

/// A letter that belongs to a script. Those that do not are mathematics (𝐬𝐞𝐫𝐯𝐞𝐫) and modifiers.
fn is_letter(c: char) -> bool {
    let scripts = ScriptExtension::from(c);
    let of_a_script = !scripts.is_empty() && !scripts.is_common() && !scripts.is_inherited();
    is_xid_start(c) && of_a_script && !is_neither(c)
}

/// Accents, vowel signs, viramas.
fn is_mark(c: char) -> bool {
    let continues = is_xid_continue(c) && !is_xid_start(c);
    let known = !ScriptExtension::from(c).is_empty();
    continues && known && !c.is_ascii() && !c.is_numeric() && !is_neither(c)
}

fn is_neither(c: char) -> bool {
    NEITHER.iter().any(|(first, last)| (*first..=*last).contains(&c))
}

/// Whether one script, or one way of writing that mixes some, has all characters. Digits, signs
/// and most accents are in each.
fn is_one_writing(text: &str) -> bool {
    let holds = |scripts: &&[Script]| {
        let has =
            |c| scripts.iter().any(|&script| ScriptExtension::from(c).contains_script(script));
        text.chars().all(has)
    };
    !ScriptExtension::for_str(text).is_empty() || WRITINGS.iter().any(holds)
}

/// A character in a hint: itself where it can be seen, else its number.
struct Shown(char);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(c) = *self;
        let mut bytes = [0; 4];
        let itself: &str = c.encode_utf8(&mut bytes);
        let seen = visible(itself) == itself && !is_mark(c) && !is_neither(c) && c != '\t';
        if seen { write!(f, "'{c}'") } else { write!(f, "U+{:04X}", u32::from(c)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Refusal {
        check(text).expect_err(text)
    }

    #[test]
    fn names_of_many_scripts_are_taken_as_written() {
        for text in [
            "bob",
            "Bob-2",
            "_x_",
            "9lives",
            "guest",
            "guest-1",
            "guestbook1",
            "operators",
            "R2.D2",
            "Jürgen",
            "e\u{301}tude",
            "Ελένη",
            "Пётр",
            "Հայկ",
            "დავით",
            "שָׁלוֹם",
            "مُحَمَّد",
            "می_خواهم",
            "हिन्दी",
            "தமிழ்",
            "ไทยคำ",
            "မြန်မာ",
            "ខ្មែរ",
            "አማርኛ",
            "བོད་".trim_end_matches('་'),
        ] {
            assert_eq!(check(text).map(|name| name.written().to_owned()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn the_length_is_counted_in_characters() {
        assert_eq!(refused(""), Refusal::Empty);
        for letter in ["a", "é", "語", "𠀋"] {
            assert!(check(&letter.repeat(NAME_LEN_MAX)).is_ok(), "{letter}");
            assert_eq!(refused(&letter.repeat(NAME_LEN_MAX + 1)), Refusal::TooLong);
        }
        assert_eq!("𠀋".repeat(NAME_LEN_MAX).len(), NAME_BYTES_MAX);
    }

    #[test]
    fn what_is_no_letter_digit_or_sign_is_refused() {
        let signs = " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}~\t\r\u{7f}\u{a0}€—☃😀";
        let foreign = "٣३３²½Ⓐ𝐬ℝ·・‿＿।་";
        for c in signs.chars().chain(foreign.chars()) {
            for text in [format!("a{c}"), format!("{c}a"), format!("a{c}b")] {
                assert_eq!(refused(&text), Refusal::Character(c), "{text:?}");
            }
        }
    }

    #[test]
    fn what_shows_nothing_is_refused() {
        for c in "\u{200b}\u{200c}\u{200d}\u{2060}\u{34f}\u{fe0f}\u{115f}\u{3164}\u{ffa0}\u{e0061}\
                  \u{e0100}\u{16fe4}\u{17b4}\u{180b}\u{202e}\u{ad}\u{feff}"
            .chars()
        {
            assert_eq!(refused(&format!("한{c}")), Refusal::Character(c), "{c:?}");
        }
    }

    #[test]
    fn a_mark_stands_behind_a_letter() {
        for text in ["\u{301}a", "a1\u{301}", "a-\u{301}", "a.\u{94d}"] {
            let mark = text.chars().find(|c| !c.is_ascii()).unwrap();
            assert_eq!(refused(text), Refusal::Mark(mark), "{text:?}");
        }
        let tower = |marks| format!("a{}b", "\u{301}".repeat(marks));
        assert!(check(&tower(MARKS_MAX)).is_ok());
        assert_eq!(refused(&tower(MARKS_MAX + 1)), Refusal::Mark('\u{301}'));
    }

    #[test]
    fn a_name_has_a_letter() {
        for text in ["1", "...", "-", "1234567890", "_1_"] {
            assert_eq!(refused(text), Refusal::NoLetter, "{text}");
        }
    }

    #[test]
    fn scripts_are_not_mixed() {
        for text in [
            "аdmin",
            "pаypal",
            "Ωmega",
            "bob_боб",
            "אb",
            "aか",
            "漢a",
            "か한",
            "カㄅ",
            "ㄅ한",
            "漢か한",
            "a\u{64e}",
            "क\u{9cd}",
            "aー",
        ] {
            assert_eq!(refused(text), Refusal::Mixed, "{text}");
        }
    }

    #[test]
    fn scripts_that_are_one_writing_are_mixed() {
        for text in [
            "漢字かなカナ",
            "ひらがなー",
            "東京タワー",
            "大韓민국",
            "漢ㄅ",
            "カか",
            "々か",
            "漢字-1",
        ] {
            assert!(check(text).is_ok(), "{text}: {:?}", check(text));
        }
    }

    #[test]
    fn nobody_takes_a_name_that_is_the_servers_to_give() {
        for text in
            ["guest1", "GUEST12", "Guest007", "gueſt1", "operator", "OPERATOR", "Server", "ſerver"]
        {
            assert_eq!(refused(text), Refusal::Reserved, "{text}");
            assert!(check_called(text).is_ok(), "{text} may be called");
        }
    }

    #[test]
    fn names_that_differ_in_case_fold_alike() {
        for (one, other) in [
            ("Bob", "bOB"),
            ("JÜRGEN", "jürgen"),
            ("ПЁТР", "пётр"),
            ("ΟΔΟΣ", "οδος"),
            ("οδοσ", "οδος"),
            ("straße", "STRASSE"),
            ("\u{212a}im", "kim"),
        ] {
            let (one, other) = (check(one).unwrap(), check(other).unwrap());
            assert_eq!(one.folded(), other.folded());
            assert_ne!(one.written(), other.written());
        }
        assert_ne!(check("bob").unwrap().folded(), check("bob1").unwrap().folded());
    }

    #[test]
    fn a_room_has_its_hash_and_is_folded() {
        for (text, room) in [
            ("#lobby", Ok("#lobby")),
            ("#Rust-1.95", Ok("#rust-1.95")),
            ("#2026", Ok("#2026")),
            ("#-", Ok("#-")),
            ("#ΟΔΟΣ", Ok("#οδος")),
            ("#guest1", Ok("#guest1")),
            ("lobby", Err(Refusal::NoHash)),
            ("", Err(Refusal::NoHash)),
            ("#", Err(Refusal::Empty)),
            ("##", Err(Refusal::Character('#'))),
            ("#a b", Err(Refusal::Character(' '))),
            ("#bоb", Err(Refusal::Mixed)),
            ("#\u{301}", Err(Refusal::Mark('\u{301}'))),
        ] {
            assert_eq!(check_room(text), room.map(str::to_owned), "{text}");
        }
        assert!(check_room(&format!("#{}", "a".repeat(NAME_LEN_MAX))).is_ok());
        assert_eq!(
            check_room(&format!("#{}", "a".repeat(NAME_LEN_MAX + 1))),
            Err(Refusal::TooLong)
        );
    }

    #[test]
    fn what_a_room_is_shown_as_can_be_joined() {
        for c in ('\0'..=char::MAX).filter(|c| is_letter(*c)) {
            let room = check_room(&format!("#{c}")).unwrap();
            assert_eq!(check_room(&room), Ok(room));
        }
        assert_eq!(check_room(&format!("#{}", "İ".repeat(NAME_LEN_MAX))), Err(Refusal::TooLong));
    }

    #[test]
    fn a_refusal_is_one_visible_line_whatever_was_typed() {
        // All planes that have a name's characters; those between are more Han and nothing.
        for c in ('\0'..'\u{20000}').chain('\u{e0000}'..='\u{e0fff}') {
            for text in [format!("{c}"), format!("1{c}"), format!("a{c}")] {
                if let Err(refusal) = check(&text) {
                    let line = refusal.to_string();
                    assert!(line.len() <= 100, "{line}");
                    assert!(!line.contains('\t') && visible(&line) == line, "{line}");
                }
            }
        }
        assert_eq!(
            refused("a!").to_string(),
            "a name has letters, digits, '-', '_' and '.': not '!'"
        );
        assert!(refused("a\u{1b}").to_string().ends_with("not U+001B"));
        assert!(refused("\u{301}").to_string().ends_with("not U+0301"));
    }
}
