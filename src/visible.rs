//! Text that a terminal or a log can show without being steered by it; pure.
//!
//! Peers send what they like: an escape sequence can retitle a window, a CR can forge the line
//! before it, a bidi override can turn a name round (CVE-2021-42574, "Trojan Source"), a zero-width
//! space makes two names look like one. Such characters are made visible, not dropped: `\x1b` below
//! U+0080 and `\u{202e}` above it, Rust's own notation. A backslash stays itself, so the notation
//! is for the eye and not for parsing back. All other text stays byte for byte as it was.

use std::borrow::Cow;

/// The text with everything that steers or hides made visible. Borrowed where nothing had to be.
pub fn visible(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut before = None;
    for (at, c) in text.char_indices() {
        if !is_shown(c, before) {
            let mut out = String::with_capacity(text.len() + 16);
            out.push_str(&text[..at]);
            push_visible(&text[at..], before, &mut |piece| out.push_str(piece));
            return Cow::Owned(out);
        }
        before = Some(c);
    }
    Cow::Borrowed(text)
}

/// The same for bytes that may not be UTF-8: each maximal broken piece becomes one U+FFFD, as
/// `String::from_utf8_lossy` does it. Appends to `out`, which is valid UTF-8 thereafter if it was.
pub fn visible_into(bytes: &[u8], out: &mut Vec<u8>) {
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    let mut before = None;
    for chunk in bytes.utf8_chunks() {
        push_visible(chunk.valid(), before, &mut |piece| out.extend_from_slice(piece.as_bytes()));
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
            before = Some('\u{fffd}');
        }
    }
}

/// The fast path: printable ASCII and tab, which most lines are made of.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
}

/// Hands `text` on in runs, with what is not shown replaced. `before`: the character before it.
fn push_visible(text: &str, mut before: Option<char>, push: &mut dyn FnMut(&str)) {
    let mut start = 0;
    for (at, c) in text.char_indices() {
        let shown = is_shown(c, before);
        if !shown {
            push(&text[start..at]);
            start = at + c.len_utf8();
            match c as u32 {
                code @ ..0x80 => push(&format!("\\x{code:02x}")),
                code => push(&format!("\\u{{{code:x}}}")),
            }
        }
        // What is escaped shows nothing behind it: a run of tags stands in a flag or not at all.
        before = shown.then_some(c);
    }
    push(&text[start..]);
}

/// Whether `c` is shown as itself after `before`.
fn is_shown(c: char, before: Option<char>) -> bool {
    match c {
        '\t' => true,
        // C0, DEL and C1, among them CR, LF, VT, FF, ESC, CSI and NEL.
        _ if c.is_control() => false,
        // Soft hyphen, the marks and overrides of bidi (UAX #9), the two separators that break
        // lines, and what has no width: ZWSP, word joiner and the invisible operators, BOM,
        // the Mongolian vowel separator, the annotation marks.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'
        | '\u{200e}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0001}' => false,
        // The joiners belong to emoji and to Indic and Arabic writing; between ASCII they only hide.
        '\u{200c}' | '\u{200d}' => before.is_some_and(|b| !b.is_ascii() && is_shown(b, None)),
        // Tags spell the flags of regions after a black flag; elsewhere they are invisible text.
        '\u{e0020}'..='\u{e007f}' => {
            before.is_some_and(|b| matches!(b, '\u{1f3f4}' | '\u{e0020}'..='\u{e007e}'))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(text: &str) -> String {
        let mut bytes = Vec::new();
        visible_into(text.as_bytes(), &mut bytes);
        let shown = visible(text).into_owned();
        assert_eq!(String::from_utf8(bytes).unwrap(), shown, "the two forms agree");
        shown
    }

    #[test]
    fn every_control_is_made_visible_and_tab_is_not() {
        for code in (0..0x20).chain([0x7f]).filter(|code| *code != 9) {
            let c = char::from_u32(code).unwrap();
            assert_eq!(both(&format!("a{c}b")), format!("a\\x{code:02x}b"));
        }
        for code in 0x80..0xa0 {
            let c = char::from_u32(code).unwrap();
            assert_eq!(both(&format!("a{c}b")), format!("a\\u{{{code:x}}}b"));
        }
        assert_eq!(both("a\tb"), "a\tb");
    }

    #[test]
    fn what_turns_hides_or_breaks_is_made_visible() {
        let codes = (0x202a..=0x202e)
            .chain(0x2066..=0x2069)
            .chain([0x200e, 0x200f, 0x61c, 0x2028, 0x2029, 0xfeff, 0x200b, 0x2060, 0xad, 0x180e])
            .chain([0xfff9, 0xe0001, 0xe0041]);
        assert_eq!(both("a\u{e0041}\u{e0042}"), "a\\u{e0041}\\u{e0042}");
        for code in codes {
            let c = char::from_u32(code).unwrap();
            assert_eq!(both(&format!("ä{c}b")), format!("ä\\u{{{code:x}}}b"));
            assert_eq!(both(&c.to_string()), format!("\\u{{{code:x}}}"));
        }
    }

    #[test]
    fn ordinary_text_is_unchanged_and_borrowed() {
        let texts = [
            "",
            "plain ASCII, with \"quotes\", a \\ and a ~",
            "Grüße, naïve café, e\u{301}tude",
            "Καλημέρα κόσμε",
            "Привет, мир",
            "שלום עולם",
            "مرحبا بالعالم",
            "می\u{200c}خواهم",
            "नमस्ते क\u{94d}\u{200d}ष",
            "你好，世界",
            "こんにちは",
            "안녕하세요",
            "สวัสดี",
            "👍🏽 👨\u{200d}👩\u{200d}👧\u{200d}👦 ❤\u{fe0f}\u{200d}🔥 🇨🇭",
            "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
            "\u{a0}no-break\u{202f}space",
        ];
        for text in texts {
            assert!(matches!(visible(text), Cow::Borrowed(_)), "{text:?} is borrowed");
            assert_eq!(both(text), text);
        }
    }

    #[test]
    fn a_joiner_between_ascii_letters_is_made_visible() {
        assert_eq!(both("ad\u{200d}min"), "ad\\u{200d}min");
        assert_eq!(both("\u{200c}x"), "\\u{200c}x");
        assert_eq!(both("👨\u{200d}\u{200d}👩"), "👨\u{200d}\\u{200d}👩");
    }

    #[test]
    fn an_escape_sequence_loses_its_power() {
        assert_eq!(both("\x1b]0;owned\x07\x1b[2J"), "\\x1b]0;owned\\x07\\x1b[2J");
    }

    #[test]
    fn broken_utf8_becomes_replacement_characters() {
        let mut out = b"> ".to_vec();
        visible_into(b"a\xffb\xe2\x82\nc\xed\xa0\x80", &mut out);
        let expected =
            String::from_utf8_lossy(b"a\xffb\xe2\x82\nc\xed\xa0\x80").replace('\n', "\\x0a");
        assert_eq!(String::from_utf8(out).unwrap(), format!("> {expected}"));
    }

    /// Found by the seeds of `tests/parsers.rs`: a joiner behind a broken piece was escaped in
    /// bytes and shown in text.
    #[test]
    fn a_broken_piece_stands_before_a_joiner_as_the_character_that_it_becomes() {
        let mut out = Vec::new();
        visible_into(b"\xff\xe2\x80\x8d", &mut out);
        assert_eq!(out, "\u{fffd}\u{200d}".as_bytes());
        assert_eq!(visible("\u{fffd}\u{200d}"), "\u{fffd}\u{200d}");
    }
}
