//! `/ignore`: whose words are not shown. Done here and not in the server, so nobody else learns of
//! it. Pure. It goes by name: a new name that the server tells of is followed, and whoever takes an
//! ignored name over is ignored too.

use crate::chat::names;
use crate::count::Count;
use crate::terminal::paint::spoken;

/// Names that may be ignored at once: more than anybody types by hand.
const IGNORED_MAX: usize = 100;

/// Who is ignored.
#[derive(Default)]
pub(super) struct Ignore {
    list: Vec<Ignored>,
    /// The line that is being heard is not shown, nor are its further parts.
    hides: bool,
}

struct Ignored {
    /// As it is shown, and as it is compared.
    name: String,
    folded: String,
    /// Lines that were not shown.
    lines: u64,
}

impl Ignore {
    /// The arguments of `/ignore`, where `line` is that; the word in any case, as the server's are.
    pub(super) fn arguments(line: &str) -> Option<&str> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        word.eq_ignore_ascii_case("/ignore").then(|| rest.trim())
    }

    /// `/ignore`, with a name or without: what to tell.
    pub(super) fn obey(&mut self, name: &str) -> String {
        if name.is_empty() {
            return self.told();
        }
        let folded = match names::check_called(name) {
            Ok(name) => name.folded().to_owned(),
            Err(refusal) => return format!("/ignore: {refusal}"),
        };
        if let Some(at) = self.list.iter().position(|ignored| ignored.folded == folded) {
            let Ignored { name, lines, .. } = self.list.remove(at);
            return format!("{name} is shown again; not shown: {}", Count(lines, "line"));
        }
        if self.list.len() == IGNORED_MAX {
            return format!("/ignore: at most {IGNORED_MAX} names");
        }
        self.list.push(Ignored { name: name.to_owned(), folded, lines: 0 });
        format!("{name} is ignored; /ignore {name} again shows them")
    }

    /// A line of the server, or its front, or a further part of it: whether it is not to be shown.
    pub(super) fn hides(&mut self, line: &[u8], front: bool) -> bool {
        if !front || self.list.is_empty() {
            return self.hides && !front;
        }
        self.hides = false;
        let line = String::from_utf8_lossy(line);
        if let Some(notice) = line.strip_prefix("* ") {
            self.follow(notice);
        } else if let Some((front, name, _)) = spoken(&line)
            && !front.starts_with("[to")
            && let Some(ignored) = self.find(name)
        {
            ignored.lines += 1;
            self.hides = true;
        }
        self.hides
    }

    /// `bob is now eve`. No text of a peer stands in front of these words.
    fn follow(&mut self, notice: &str) {
        if let Some((old, new)) = notice.split_once(" is now ")
            && let (Some(ignored), Ok(name)) = (self.find(old), names::check_called(new))
        {
            ignored.folded = name.folded().to_owned();
            ignored.name = new.to_owned();
        }
    }

    fn find(&mut self, name: &str) -> Option<&mut Ignored> {
        let folded = names::check_called(name).ok()?.folded().to_owned();
        self.list.iter_mut().find(|ignored| ignored.folded == folded)
    }

    fn told(&self) -> String {
        let each =
            |ignored: &Ignored| format!("{} ({})", ignored.name, Count(ignored.lines, "line"));
        let names: Vec<String> = self.list.iter().map(each).collect();
        match names.is_empty() {
            true => "nobody is ignored; /ignore NAME".to_owned(),
            false => format!("ignored: {}", names.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_says_is_hidden_private_words_too_and_counted() {
        let mut ignore = Ignore::default();
        assert!(!ignore.hides(b"<Bob> hi", true));
        ignore.obey("bob");
        for (line, hidden) in [
            ("<Bob> hi", true),
            ("[Bob] psst", true),
            ("[to Bob] my own", false),
            ("<bobby> hi", false),
            ("<ann> <Bob> hi", false),
            ("* Bob left", false),
        ] {
            assert_eq!(ignore.hides(line.as_bytes(), true), hidden, "{line}");
        }
        assert_eq!(ignore.obey(""), "ignored: bob (2 lines)");
        assert_eq!(ignore.obey("BOB"), "bob is shown again; not shown: 2 lines");
        assert!(!ignore.hides(b"<Bob> hi", true));
    }

    #[test]
    fn all_parts_of_a_line_share_its_fate() {
        let mut ignore = Ignore::default();
        ignore.obey("guest7");
        assert!(ignore.hides(b"<guest7> long", true));
        assert!(ignore.hides(b"<ann> er", false));
        assert!(!ignore.hides(b"<ann> long", true));
        assert!(!ignore.hides(b"<guest7> er", false));
    }

    #[test]
    fn a_new_name_is_followed_and_no_text_passes_for_one() {
        let mut ignore = Ignore::default();
        ignore.obey("bob");
        ignore.hides(b"* bob left: ann is now bob", true);
        ignore.hides(b"* ann is now eve", true);
        assert!(!ignore.hides(b"<eve> hi", true));
        ignore.hides(b"* bob is now eve", true);
        assert!(ignore.hides(b"<eve> hi", true));
        assert!(!ignore.hides(b"<bob> hi", true));
    }

    #[test]
    fn the_list_is_bounded_and_holds_names_alone() {
        let mut ignore = Ignore::default();
        assert!(
            ignore.obey("two words").starts_with("/ignore: in a name") || ignore.list.is_empty()
        );
        (0..2 * IGNORED_MAX).for_each(|n| drop(ignore.obey(&format!("x{n}"))));
        assert_eq!(ignore.list.len(), IGNORED_MAX);
    }
}
