//! Colour: whether, and which; pure. A name has always the same colour, by its hash, from a palette
//! that can be read on dark and on light ground. Nothing is told by colour alone.

use anstyle::{AnsiColor, Effects, Style};
use std::io::Write as _;

/// `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Where the output is a terminal that can, and nobody asked for none.
    #[default]
    Auto,
    /// Whatever the environment says.
    Always,
    /// Never.
    Never,
}

/// Whether to colour, by the flag first and then by the environment: NO_COLOR (no-color.org), then
/// CLICOLOR_FORCE, CLICOLOR=0 and TERM=dumb (bixense.com/clicolors). `var` reads a variable.
pub fn is_wanted(choice: Choice, terminal: bool, var: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| var(name).is_some_and(|value| !value.is_empty());
    let on = |name| var(name).is_some_and(|value| !value.is_empty() && value != "0");
    match choice {
        Choice::Always => true,
        Choice::Never => false,
        Choice::Auto if set("NO_COLOR") => false,
        Choice::Auto if on("CLICOLOR_FORCE") => true,
        Choice::Auto => {
            terminal && can_move(&var) && var("CLICOLOR").is_none_or(|value| value != "0")
        }
    }
}

/// Whether the terminal understands escape sequences at all, by TERM.
pub fn can_move(var: impl Fn(&str) -> Option<String>) -> bool {
    var("TERM").is_some_and(|term| !term.is_empty() && term != "dumb")
}

/// Colours of names: the six that are neither background, each plain and bold. Blue is the bright
/// one: the other cannot be read on black.
const PALETTE: [AnsiColor; 6] = [
    AnsiColor::Green,
    AnsiColor::Yellow,
    AnsiColor::Magenta,
    AnsiColor::Cyan,
    AnsiColor::Red,
    AnsiColor::BrightBlue,
];

/// How a name is written: FNV-1a, which is small and the same in every run.
pub fn style_of(name: &str) -> Style {
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    // Of FNV the low bits are the weak ones.
    let at = (hash >> 8) as usize % (2 * PALETTE.len());
    let style = Style::new().fg_color(Some(PALETTE[at % PALETTE.len()].into()));
    if at >= PALETTE.len() { style.bold() } else { style }
}

/// The style of notices: what nobody said.
pub const NOTICE: Style = Style::new().effects(Effects::DIMMED);

/// The style of the own name.
pub const OWN: Style = Style::new().effects(Effects::BOLD);

/// Appends one line of a chat, visible text without its newline, with the name at its front
/// coloured: `<name> text`; a notice (`* text`) is dimmed, anything else stays as it is.
pub fn chat_line(line: &[u8], own: &str, out: &mut Vec<u8>) {
    if line.starts_with(b"* ") {
        return styled(NOTICE, line, out);
    }
    let name = line.strip_prefix(b"<").and_then(|rest| {
        let len = memchr::memmem::find(rest, b"> ")?;
        std::str::from_utf8(&rest[..len]).ok()
    });
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        return out.extend_from_slice(line);
    };
    let style = if name == own { OWN } else { style_of(name) };
    out.push(b'<');
    styled(style, name.as_bytes(), out);
    out.extend_from_slice(&line[1 + name.len()..]);
}

/// Appends `text` in this style.
pub fn styled(style: Style, text: &[u8], out: &mut Vec<u8>) {
    let _ = write!(out, "{style}");
    out.extend_from_slice(text);
    let _ = write!(out, "{style:#}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(choice: Choice, terminal: bool, set: &[(&str, &str)]) -> bool {
        is_wanted(choice, terminal, |name| {
            set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_flag_wins_over_the_environment_and_that_over_the_terminal() {
        let xterm = ("TERM", "xterm");
        assert!(wanted(Choice::Auto, true, &[xterm]));
        assert!(!wanted(Choice::Auto, false, &[xterm]));
        assert!(!wanted(Choice::Auto, true, &[xterm, ("NO_COLOR", "1")]));
        assert!(wanted(Choice::Auto, true, &[xterm, ("NO_COLOR", "")]));
        assert!(!wanted(Choice::Auto, true, &[("TERM", "dumb")]));
        assert!(!wanted(Choice::Auto, true, &[]));
        assert!(!wanted(Choice::Auto, true, &[xterm, ("CLICOLOR", "0")]));
        assert!(wanted(Choice::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!wanted(Choice::Auto, true, &[xterm, ("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
        assert!(wanted(Choice::Always, false, &[("NO_COLOR", "1")]));
        assert!(!wanted(Choice::Never, true, &[xterm, ("CLICOLOR_FORCE", "1")]));
    }

    #[test]
    fn a_name_has_one_colour_and_many_names_have_all() {
        let mut seen: Vec<Style> = (0..200).map(|n| style_of(&format!("guest{n}"))).collect();
        assert_eq!(style_of("alice"), style_of("alice"));
        seen.sort_by_key(|style| format!("{style}"));
        seen.dedup();
        assert_eq!(seen.len(), 2 * PALETTE.len());
    }

    #[test]
    fn the_name_alone_is_coloured_and_the_text_stays() {
        let painted = |line: &str| {
            let mut out = Vec::new();
            chat_line(line.as_bytes(), "me", &mut out);
            String::from_utf8(out).unwrap()
        };
        let style = style_of("a b");
        assert_eq!(painted("<a b> hi > there"), format!("<{style}a b{style:#}> hi > there"));
        assert_eq!(painted("<me> hi"), format!("<{OWN}me{OWN:#}> hi"));
        assert_eq!(painted("* a joined"), format!("{NOTICE}* a joined{NOTICE:#}"));
        assert_eq!(painted("<> x"), "<> x");
        assert_eq!(painted("<half"), "<half");
    }
}
