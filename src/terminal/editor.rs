//! The line being typed and the lines typed before it; pure. What a key does to the text is
//! tui-input's business (moves by grapheme, words, kill and yank); bounds and history are here.
//! What must not be here: bytes, colours, columns.

use super::keys::Key;
use std::collections::VecDeque;
use tui_input::{Input, InputRequest};

/// Lines that the history keeps: more than anybody walks through with an arrow key.
pub const HISTORY_LINES_MAX: usize = 200;

/// Bytes of all of them together: lines may be long, and few are.
pub const HISTORY_BYTES_MAX: usize = 256 * 1024;

/// What a key came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edited {
    /// Nothing but perhaps another look of the line.
    Line,
    /// The key does nothing here.
    Nothing,
    /// Enter: the line, which is empty again.
    Entered(String),
    /// Enter on a line that was cut at its bound: it is dropped whole.
    TooLong,
    /// Ctrl-D on an empty line.
    End,
    /// Ctrl-L.
    Redraw,
}

/// The editor of one line.
#[derive(Debug)]
pub struct Editor {
    input: Input,
    /// Bytes that the line may have.
    line_len_max: usize,
    /// Text was dropped at the bound since the line was empty.
    cut: bool,
    history: VecDeque<String>,
    history_bytes: usize,
    /// Which line of the history stands in the input; its length for none.
    at: usize,
    /// The unfinished line, while one of the history stands in its place.
    draft: String,
}

impl Editor {
    /// An empty line, of at most `line_len_max` bytes.
    pub fn new(line_len_max: usize) -> Self {
        Editor {
            input: Input::default(),
            line_len_max,
            cut: false,
            history: VecDeque::new(),
            history_bytes: 0,
            at: 0,
            draft: String::new(),
        }
    }

    /// The line.
    pub fn text(&self) -> &str {
        self.input.value()
    }

    /// The cursor: characters (Unicode scalar values) in front of it.
    pub fn cursor(&self) -> usize {
        self.input.cursor()
    }

    /// Puts text in at the cursor, whole characters, as far as the bound allows. One call for a
    /// run of characters: each costs the length of the line.
    pub fn insert(&mut self, text: &str) -> Edited {
        let room = self.line_len_max.saturating_sub(self.text().len());
        let fits = (0..=room.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
        let fits = fits.unwrap_or(0);
        self.cut |= fits < text.len();
        if fits == 0 {
            return Edited::Nothing;
        }
        let text = &text[..fits];
        let cursor = self.cursor();
        let at = self.text().char_indices().nth(cursor).map_or(self.text().len(), |(at, _)| at);
        let (before, after) = self.text().split_at(at);
        let line = [before, text, after].concat();
        let input = std::mem::take(&mut self.input);
        self.input = input.with_value(line).with_cursor(cursor + text.chars().count());
        Edited::Line
    }

    /// Does what the key asks for.
    pub fn press(&mut self, key: Key) -> Edited {
        let request = match key {
            Key::Char(c) => return self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Enter => return self.enter(),
            Key::Up | Key::Control('p') => return self.show_history(self.at.checked_sub(1)),
            Key::Down | Key::Control('n') => return self.show_history(Some(self.at + 1)),
            Key::Control('d') if self.text().is_empty() => return Edited::End,
            Key::Control('l') => return Edited::Redraw,
            Key::Left | Key::Control('b') => InputRequest::GoToPrevChar,
            Key::Right | Key::Control('f') => InputRequest::GoToNextChar,
            Key::WordLeft | Key::Alt('b' | 'B') => InputRequest::GoToPrevWord,
            Key::WordRight | Key::Alt('f' | 'F') => InputRequest::GoToNextWord,
            Key::Home | Key::Control('a') => InputRequest::GoToStart,
            Key::End | Key::Control('e') => InputRequest::GoToEnd,
            Key::Backspace => InputRequest::DeletePrevChar,
            Key::Delete | Key::Control('d') => InputRequest::DeleteNextChar,
            Key::Control('k') => InputRequest::DeleteTillEnd,
            Key::Control('u') => InputRequest::DeleteFromStart,
            Key::Control('w') => InputRequest::DeletePrevWord,
            Key::Alt('d' | 'D') => InputRequest::DeleteNextWord,
            Key::Control('y') => return self.yank(),
            Key::Control(_) | Key::Alt(_) => return Edited::Nothing,
        };
        match self.input.handle(request) {
            Some(_) => Edited::Line,
            None => Edited::Nothing,
        }
    }

    /// The line was not taken: it stands here again, as if Enter had not been pressed.
    pub fn put_back(&mut self, line: String) {
        if self.history.back() == Some(&line) {
            self.history.pop_back();
            self.history_bytes -= line.len();
        }
        self.at = self.history.len();
        self.replace(line);
    }

    /// The line, which is empty then; the history does not see it.
    pub fn take(&mut self) -> String {
        self.cut = false;
        self.input.value_and_reset()
    }

    fn enter(&mut self) -> Edited {
        let line = self.input.value_and_reset();
        self.draft.clear();
        let cut = std::mem::take(&mut self.cut);
        if !cut && !line.is_empty() {
            self.remember(&line);
        }
        self.at = self.history.len();
        if cut { Edited::TooLong } else { Edited::Entered(line) }
    }

    fn remember(&mut self, line: &str) {
        if self.history.back().is_some_and(|last| last == line) || line.len() > HISTORY_BYTES_MAX {
            return;
        }
        self.history.push_back(line.to_owned());
        self.history_bytes += line.len();
        while self.history.len() > HISTORY_LINES_MAX || self.history_bytes > HISTORY_BYTES_MAX {
            let Some(oldest) = self.history.pop_front() else { break };
            self.history_bytes -= oldest.len();
        }
    }

    fn show_history(&mut self, to: Option<usize>) -> Edited {
        let Some(to) = to.filter(|&to| to <= self.history.len() && to != self.at) else {
            return Edited::Nothing;
        };
        if self.at == self.history.len() {
            self.draft = self.text().to_owned();
        }
        self.at = to;
        let line = match self.history.get(to) {
            Some(line) => line.clone(),
            None => std::mem::take(&mut self.draft),
        };
        self.replace(line);
        Edited::Line
    }

    fn replace(&mut self, line: String) {
        self.input = std::mem::take(&mut self.input).with_value(line);
    }

    /// tui-input bounds no yank, so one that would make the line too long is taken back.
    fn yank(&mut self) -> Edited {
        let before = self.input.clone();
        match self.input.handle(InputRequest::Yank) {
            Some(_) if self.text().len() > self.line_len_max => {
                self.input = before;
                Edited::Nothing
            }
            Some(_) => Edited::Line,
            None => Edited::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(editor: &mut Editor, text: &str) {
        text.chars().for_each(|c| drop(editor.press(Key::Char(c))));
    }

    fn line(text: &str, keys: &[Key]) -> (String, usize) {
        let mut editor = Editor::new(1_000);
        typed(&mut editor, text);
        keys.iter().for_each(|&key| drop(editor.press(key)));
        (editor.text().to_owned(), editor.cursor())
    }

    #[test]
    fn keys_move_and_delete_by_what_one_sees_as_a_character() {
        let text = "a你e\u{301}👨\u{200d}👩\u{200d}👧";
        assert_eq!(line(text, &[Key::Backspace]), ("a你e\u{301}".into(), 4));
        assert_eq!(line(text, &[Key::Left, Key::Backspace]).0, "a你👨\u{200d}👩\u{200d}👧");
        assert_eq!(line(text, &[Key::Home, Key::Right, Key::Delete]).0, text.replace('你', ""));
        assert_eq!(line("ab", &[Key::Control('a'), Key::Control('f')]).1, 1);
        assert_eq!(line("ab", &[Key::Control('b'), Key::Control('d')]).0, "a");
    }

    #[test]
    fn words_are_moved_over_killed_and_put_back() {
        let keys = [Key::WordLeft, Key::Char('X')];
        assert_eq!(line("one two", &keys).0, "one Xtwo");
        assert_eq!(line("one two", &[Key::Home, Key::WordRight]).1, 4);
        assert_eq!(line("one two", &[Key::Control('w')]).0, "one ");
        assert_eq!(line("one two", &[Key::Home, Key::Alt('d')]).0, "two");
        let keys = [Key::Control('w'), Key::Home, Key::Control('y')];
        assert_eq!(line("one two", &keys).0, "twoone ");
        let keys = [Key::WordLeft, Key::Control('u'), Key::End, Key::Control('y')];
        assert_eq!(line("one two", &keys).0, "twoone ");
        let keys = [Key::WordLeft, Key::Control('k'), Key::Home, Key::Control('y')];
        assert_eq!(line("one two", &keys).0, "twoone ");
    }

    #[test]
    fn enter_gives_the_line_and_the_arrows_bring_it_again() {
        let mut editor = Editor::new(100);
        for text in ["one", "two", "two", ""] {
            typed(&mut editor, text);
            assert_eq!(editor.press(Key::Enter), Edited::Entered(text.into()));
        }
        typed(&mut editor, "draft");
        let mut seen = Vec::new();
        for key in [Key::Up, Key::Control('p'), Key::Up, Key::Down, Key::Control('n'), Key::Down] {
            editor.press(key);
            seen.push(editor.text().to_owned());
        }
        assert_eq!(seen, ["two", "one", "one", "two", "draft", "draft"]);
    }

    #[test]
    fn the_history_is_bounded_in_lines_and_bytes() {
        let mut editor = Editor::new(HISTORY_BYTES_MAX);
        for n in 0..2 * HISTORY_LINES_MAX {
            editor.insert(&n.to_string());
            editor.press(Key::Enter);
        }
        assert_eq!(editor.history.len(), HISTORY_LINES_MAX);
        editor.insert(&"x".repeat(HISTORY_BYTES_MAX));
        editor.press(Key::Enter);
        assert_eq!((editor.history.len(), editor.history_bytes), (1, HISTORY_BYTES_MAX));
    }

    #[test]
    fn a_line_past_its_bound_is_refused_whole() {
        let mut editor = Editor::new(4);
        assert_eq!(editor.insert("ää你"), Edited::Line);
        assert_eq!(editor.text(), "ää");
        assert_eq!(editor.press(Key::Enter), Edited::TooLong);
        typed(&mut editor, "abcd");
        editor.press(Key::Control('u'));
        editor.press(Key::Control('y'));
        assert_eq!(editor.press(Key::Control('y')), Edited::Nothing);
        assert_eq!(editor.press(Key::Enter), Edited::Entered("abcd".into()));
    }

    #[test]
    fn a_line_that_is_put_back_stands_there_again() {
        let mut editor = Editor::new(100);
        editor.insert("again");
        let Edited::Entered(line) = editor.press(Key::Enter) else { panic!("a line") };
        editor.put_back(line);
        assert_eq!((editor.text(), editor.cursor(), editor.history.len()), ("again", 5, 0));
        assert_eq!(editor.press(Key::Enter), Edited::Entered("again".into()));
    }

    #[test]
    fn control_d_ends_an_empty_line_alone() {
        assert_eq!(Editor::new(9).press(Key::Control('d')), Edited::End);
        assert_eq!(line("ab", &[Key::Control('d')]).0, "ab");
    }
}
