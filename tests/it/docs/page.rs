//! A page as what is to be done: sections with steps, and the comparison with what came. Pure.

/// What stands for any text, or alone in its line for any lines.
const ANY: &str = "…";

/// From one heading to the next.
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) line: usize,
    /// To be played in a copy of the project, with the real cargo.
    pub(super) slow: bool,
    pub(super) steps: Vec<Step>,
}

/// One fenced block, and the line that opens it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) line: usize,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    /// Written into the scene's folder, and into those of the sections behind it.
    File { name: String, text: String },
    /// Must succeed.
    Script(String),
    /// Commands to their ends, each with the lines that it prints.
    Run(Vec<(String, Vec<String>)>),
    /// A terminal that stays, its command, and what it shows at first.
    Start { name: String, command: String, shows: Vec<String> },
    /// Lines for its stdin.
    Type { name: String, lines: Vec<String> },
    /// What it shows next.
    Shows { name: String, lines: Vec<String> },
}

/// The sections of a page; an error is a line's number and what is wrong there.
pub(super) fn sections(text: &str) -> Result<Vec<Section>, String> {
    let section = |line, heading: &str| Section {
        heading: heading.trim_matches(['#', ' ']).to_owned(),
        line,
        slow: false,
        steps: Vec::new(),
    };
    let mut found = vec![section(1, "")];
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let number = at + 1;
        if line.starts_with('#') {
            found.push(section(number, line));
        }
        let Some(info) = line.strip_prefix("```") else { continue };
        let mut body = Vec::new();
        loop {
            match lines.next() {
                Some((_, "```")) => break,
                Some((_, line)) => body.push(line.to_owned()),
                None => return Err(format!("{number}: the block has no end")),
            }
        }
        let words: Vec<&str> = info.split_whitespace().filter(|&word| word != "slow").collect();
        let now = found.last_mut().expect("the first is always there");
        now.slow |= info.split_whitespace().any(|word| word == "slow");
        if let Some(what) = step(&words, body).map_err(|why| format!("{number}: {why}"))? {
            now.steps.push(Step { line: number, what });
        }
    }
    let mut files: Vec<Step> = Vec::new();
    for section in found.iter_mut().filter(|section| !section.steps.is_empty()) {
        let here = section.steps.clone();
        section.steps.splice(..0, files.iter().cloned());
        files.extend(here.into_iter().filter(|step| matches!(step.what, What::File { .. })));
    }
    Ok(found)
}

fn step(words: &[&str], body: Vec<String>) -> Result<Option<What>, String> {
    let text = |body: &[String]| body.iter().map(|line| format!("{line}\n")).collect::<String>();
    Ok(Some(match *words {
        ["sh"] => What::Script(text(&body)),
        ["sh", "not-run", _, ..] => return Ok(None),
        ["console"] => What::Run(commands(body)?),
        ["console", name] => {
            let mut commands = commands(body)?;
            let (command, shows) = commands.pop().expect("it has one");
            if !commands.is_empty() {
                return Err("one command for a terminal that stays".to_owned());
            }
            What::Start { name: name.to_owned(), command, shows }
        }
        ["type", name] => What::Type { name: name.to_owned(), lines: body },
        ["shows", name] => What::Shows { name: name.to_owned(), lines: body },
        ["sh" | "console" | "type" | "shows", ..] => {
            return Err(format!("{}: not one of the forms of tests/it/docs", words.join(" ")));
        }
        [_, name] if name.contains('.') => What::File { name: name.to_owned(), text: text(&body) },
        _ => return Ok(None),
    }))
}

/// `$ command` lines, each with the lines up to the next.
fn commands(body: Vec<String>) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in body {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push((command.to_owned(), Vec::new())),
            (None, Some((command, shown))) if command.ends_with('\\') && shown.is_empty() => {
                command.pop();
                command.push_str(&line);
            }
            (None, Some((_, shown))) => shown.push(line),
            (None, None) => return Err("a console begins with `$ `".to_owned()),
        }
    }
    if found.is_empty() { Err("no command".to_owned()) } else { Ok(found) }
}

/// How many of the lines that `came` the lines that are `shown` take, from the first on; none where
/// they do not fit. `whole`: they must take all.
pub(super) fn fits(shown: &[String], came: &[&str], whole: bool) -> Option<usize> {
    let Some((first, rest)) = shown.split_first() else {
        return (!whole || came.is_empty()).then_some(0);
    };
    if first == ANY {
        let skip = |n: usize| fits(rest, &came[n..], whole).map(|taken| n + taken);
        return (0..=came.len()).find_map(skip);
    }
    let (next, later) = came.split_first()?;
    let same = is_line(first.trim_end(), next.trim_end());
    if same { fits(rest, later, whole).map(|taken| taken + 1) } else { None }
}

fn is_line(shown: &str, came: &str) -> bool {
    let Some((head, mut shown)) = shown.split_once(ANY) else { return shown == came };
    let Some(mut came) = came.strip_prefix(head) else { return false };
    while let Some((piece, rest)) = shown.split_once(ANY) {
        let Some(at) = came.find(piece) else { return false };
        (came, shown) = (&came[at + piece.len()..], rest);
    }
    came.ends_with(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_page_is_read_as_sections_with_steps() {
        let page = "```text z.txt\nzz\n```\n```sh\na\n```\n# One\n```console\n$ b\nc\n$ d \\\ne\n```\n## Two\n\
                    ```console server slow\n$ f\ng\n```\n```type server\nh\n```\n```text\ni\n```\n\
                    ```shows server\nj\n```\n```python k.py\nl\n```\n```sh not-run needs m\nn\n```\n";
        let found = sections(page).unwrap();
        let told: Vec<_> = found.iter().map(|s| (&*s.heading, s.line, s.slow)).collect();
        assert_eq!(told, [("", 1, false), ("One", 7, false), ("Two", 14, true)]);
        let what = |n: usize| found[n].steps.iter().map(|step| &step.what).collect::<Vec<_>>();
        let server = "server".to_owned();
        let kept = What::File { name: "z.txt".to_owned(), text: "zz\n".to_owned() };
        assert_eq!(what(0), [&kept, &What::Script("a\n".to_owned())]);
        let run = vec![("b".to_owned(), lines("c")), ("d e".to_owned(), Vec::new())];
        assert_eq!(what(1), [&kept, &What::Run(run)]);
        let start =
            What::Start { name: server.clone(), command: "f".to_owned(), shows: lines("g") };
        let typed = What::Type { name: server.clone(), lines: lines("h") };
        let shows = What::Shows { name: server, lines: lines("j") };
        let file = What::File { name: "k.py".to_owned(), text: "l\n".to_owned() };
        assert_eq!(what(2), [&kept, &start, &typed, &shows, &file]);
    }

    #[test]
    fn a_page_that_is_not_understood_is_told() {
        for (page, told) in [
            ("```sh\na", "1: the block has no end"),
            ("a\n```console\nb\n```", "2: a console begins with `$ `"),
            ("```console\n```", "1: no command"),
            ("```console a\n$ b\n$ c\n```", "1: one command for a terminal that stays"),
            ("```sh not-run\n```", "1: sh not-run: not one of the forms of tests/it/docs"),
        ] {
            assert_eq!(sections(page).err().as_deref(), Some(told), "{page}");
        }
    }

    #[test]
    fn what_is_shown_fits_what_came() {
        for (shown, came, whole, taken) in [
            ("a\nb", "a\nb", true, Some(2)),
            ("a", "a\nb", true, None),
            ("a", "a\nb", false, Some(1)),
            ("b", "a\nb", false, None),
            ("…\nb", "a\nb", false, Some(2)),
            ("…\nb\n…", "a\nb\nc\nd", true, Some(4)),
            ("…\nb", "a", false, None),
            ("…\na\nc", "a\nb\na\nc", true, Some(4)),
            ("x … y", "x 1 y", true, Some(1)),
            ("x … y", "x y", true, None),
            ("[… DEBUG] recv #… bytes", "[2026 DEBUG] recv #1 3 bytes", true, Some(1)),
            ("…a…b", "1a2a3b", true, Some(1)),
            ("a…", "ba", true, None),
            ("", "", true, Some(0)),
        ] {
            let came: Vec<&str> = came.lines().collect();
            assert_eq!(fits(&lines(shown), &came, whole), taken, "{shown} in {came:?}");
        }
    }
}
