//! The rows at the bottom: what they look like in a window of so many columns, and how many rows
//! they take when that changes; pure. What must not be here: when they are drawn, and bytes of others.

use crate::visible::visible;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of a piece of visible text: what the widest terminal makes of it. Some take a sequence
/// of characters for one picture, some for several; a row that is too short does no harm, one that
/// wraps does.
pub(super) fn columns_of(text: &str) -> usize {
    let each: usize = text.chars().map(|c| c.width().unwrap_or(0)).sum();
    text.width().max(each)
}

/// The input row as it is drawn.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct InputRow {
    /// What stands left of the cursor, the prompt first.
    pub(super) before: String,
    /// And right of it.
    pub(super) after: String,
    /// Columns of `before`.
    pub(super) cursor: usize,
}

/// The row for `text` with the cursor behind `cursor` of its characters, in `columns` columns, of
/// which the last stays free: a terminal may wrap when it is filled. Scrolled by half a row where
/// the text is longer, so that it does not move with every key.
pub(super) fn input_row(prompt: &str, text: &str, cursor: usize, columns: usize) -> InputRow {
    let room = columns.saturating_sub(1);
    let mut row = InputRow::default();
    // A prompt that leaves no room to type is cut.
    row.cursor += push_cut(&mut row.before, prompt, room / 2);
    let room = room - row.cursor;
    let at = text.char_indices().nth(cursor).map_or(text.len(), |(at, _)| at);
    let (left, right) = text.split_at(at);
    let left: Vec<(String, usize)> = left.graphemes(true).map(shown).collect();
    let width: usize = left.iter().map(|(_, width)| width).sum();
    let step = (room / 2).max(1);
    let mut hidden = width.saturating_sub(room).div_ceil(step) * step;
    let mut used = 0;
    for (piece, width) in &left {
        if hidden > 0 {
            hidden = hidden.saturating_sub(*width);
            continue;
        }
        row.before.push_str(piece);
        used += width;
    }
    row.cursor += used;
    let mut rest = room.saturating_sub(used);
    for (piece, width) in right.graphemes(true).map(shown) {
        if width > rest {
            break;
        }
        rest -= width;
        row.after.push_str(&piece);
    }
    row
}

/// One character of the line as the row shows it. A tab takes one column there.
fn shown(grapheme: &str) -> (String, usize) {
    let piece = match grapheme {
        "\t" => " ".to_owned(),
        _ => visible(grapheme).into_owned(),
    };
    let width = columns_of(&piece);
    (piece, width)
}

/// Appends as much of `text` as `room` columns hold; returns how many it took.
pub(super) fn push_cut(to: &mut String, text: &str, room: usize) -> usize {
    let mut used = 0;
    for (piece, width) in text.graphemes(true).map(shown) {
        if used + width > room {
            break;
        }
        to.push_str(&piece);
        used += width;
    }
    used
}

/// What stands at the bottom of the screen behind the last byte that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drawn {
    /// Columns of the status row, where there is one.
    pub(super) status: Option<usize>,
    /// Column of the cursor, in the input row.
    pub(super) cursor: usize,
}

impl Drawn {
    /// How many rows above the cursor's belong to it in a window of `columns`: where it has become
    /// narrower, the terminal has broken rows in two (most do).
    pub(super) fn rows_above(&self, columns: usize) -> usize {
        let columns = columns.max(1);
        let status = self.status.map_or(0, |width| width.div_ceil(columns).max(1));
        status + self.cursor / columns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str, cursor: usize, columns: usize) -> (String, String, usize) {
        let InputRow { before, after, cursor } = input_row("> ", text, cursor, columns);
        assert!(columns_of(&before) + columns_of(&after) < columns.max(1), "it would wrap");
        (before, after, cursor)
    }

    #[test]
    fn a_short_line_is_shown_whole() {
        assert_eq!(row("abc", 2, 20), ("> ab".into(), "c".into(), 4));
        assert_eq!(row("你e\u{301}", 1, 20), ("> 你".into(), "e\u{301}".into(), 4));
    }

    #[test]
    fn a_long_line_is_scrolled_so_that_the_cursor_is_seen() {
        // 7 columns for the line: 3 a step.
        assert_eq!(row("abcdefgh", 8, 10), ("> defgh".into(), "".into(), 7));
        assert_eq!(row("abcdefgh", 0, 10), ("> ".into(), "abcdefg".into(), 2));
        assert_eq!(row("你你你你你", 5, 10).1, "");
        assert_eq!(row("你你你你你", 0, 10).1, "你你你");
    }

    #[test]
    fn what_would_steer_the_terminal_is_made_visible() {
        assert_eq!(row("a\x1b\u{202e}\tb", 5, 40).0, "> a\\x1b\\u{202e} b");
    }

    #[test]
    fn every_cursor_in_every_window_fits() {
        let text = "a你e\u{301}👨\u{200d}👩\u{200d}👧\u{202e}x\t漢字 and more";
        for columns in 1..40 {
            for cursor in 0..=text.chars().count() {
                row(text, cursor, columns);
            }
        }
    }

    #[test]
    fn a_narrower_window_breaks_rows_in_two() {
        let drawn = Drawn { status: Some(30), cursor: 25 };
        assert_eq!([80, 30, 29, 10].map(|columns| drawn.rows_above(columns)), [1, 1, 2, 5]);
        assert_eq!(Drawn { status: None, cursor: 5 }.rows_above(80), 0);
    }
}
