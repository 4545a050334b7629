//! The manual pages, rendered by the real programs.

use super::help::commands;
use super::support::{command, skip};
use std::io::Write;
use std::process::{Command, Stdio};

fn roff(words: &[String]) -> Vec<u8> {
    let words = words.iter().map(String::as_str);
    let args: Vec<&str> = ["man"].into_iter().chain(words).collect();
    let output = command(&args).output().expect("the binary runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    output.stdout
}

/// The page as a program shows it, and what it warns of; nothing where this machine lacks it.
fn rendered(program: &str, args: &[&str], page: &[u8]) -> Option<(String, String)> {
    let spawned = Command::new(program)
        .args(args)
        .env("MANWIDTH", "100")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        skip(&format!("no {program}: the manual pages are not rendered by it"));
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let page = page.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&page));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    assert!(output.status.success(), "{program}: {output:?}");
    let [text, warnings] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Some((text, warnings))
}

#[test]
fn man_shows_every_page_with_its_examples_first() {
    for words in commands() {
        let Some((text, _)) = rendered("man", &["-l", "-"], &roff(&words)) else { return };
        let name = [&["reactor".to_owned()], &words[..]].concat().join("-");
        assert!(text.contains(&name), "{name}: {text}");
        let at = |part: &str| {
            let found = text.lines().position(|line| line.trim_end() == part);
            found.unwrap_or_else(|| panic!("{name}: no {part} in {text}"))
        };
        let sections = [
            "NAME",
            "SYNOPSIS",
            "EXAMPLES",
            "DESCRIPTION",
            "EXIT STATUS",
            "ENVIRONMENT",
            "SEE ALSO",
        ];
        assert!(sections.map(at).is_sorted(), "{name}: {text}");
    }
}

#[test]
fn groff_and_mandoc_have_nothing_against_the_pages() {
    let pages: Vec<Vec<u8>> = commands().iter().map(|words| roff(words)).collect();
    let checks: [(&str, &[&str]); 2] =
        [("groff", &["-man", "-ww", "-Tutf8", "-z"]), ("mandoc", &["-T", "lint", "-W", "error"])];
    for (program, args) in checks {
        for page in &pages {
            let Some((text, warnings)) = rendered(program, args, page) else { break };
            assert_eq!((text.as_str(), warnings.as_str()), ("", ""), "{program}");
        }
    }
}

#[test]
fn the_page_of_a_command_names_its_flags_and_their_variables() {
    let page = String::from_utf8(roff(&["serve".to_owned()])).unwrap();
    let plain = page.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "");
    assert!(plain.contains("--line-max") && plain.contains("REACTOR_LINE_MAX"), "{plain}");
}
