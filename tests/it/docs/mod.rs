//! The pages' commands, typed as they are printed, and what they print compared with what the page
//! shows. After Rust's own doctests and cram: the page is the test.
//!
//! A page is read as sections: from one heading, of any level, to the next. Each section is a scene:
//! a network of its own, so that every port of the page is free and no two scenes meet; a folder
//! of its own, in which the project's files are seen; `reactor` on the path. Its fenced blocks are
//! played in their order. What a block is says the line that opens it:
//!
//! | opened by | is |
//! |---|---|
//! | ```` ```console ```` | `$ command` lines, each run to its end by `sh`, and below each what it prints, all of it, stdout and stderr as they come |
//! | ```` ```console NAME ```` | a terminal that stays: one `$ command` that is left running, and what it shows at first; the scene goes on when that has come |
//! | ```` ```type NAME ```` | lines typed there; a line `^D` ends its input, `^C` interrupts it |
//! | ```` ```shows NAME ```` | what it shows next; the scene goes on when that has come |
//! | ```` ```sh ```` | a script, run to its end; it must succeed, and what it prints is not compared |
//! | ```` ```sh not-run WHY ```` | what cannot be run in a test, and why not |
//! | ```` ```python chat.py ````, any language and a name with a dot | a file of that name, written into the folder of this section and of those behind it |
//! | anything else | to be read, not run |
//!
//! In what is shown, `…` stands for any text within a line, and a line of `…` alone for any lines,
//! also none. A command that ends in `\` goes on in the next line. At the end of its scene a terminal is interrupted (SIGINT).
//! A section with `slow` behind one of these (```` ```console slow ````) is played in a copy of the project, with
//! the real cargo and a build folder of its own, and only when asked for:
//! `cargo test --test it docs:: -- --ignored`. In the others `cargo build` and `cargo run` take what was built with this test.
//!
//! To write a page: write the commands, run its test, and look at what it says came.
//! A further page gets a test below. A scene whose strangers (`nc`, `python3`) this machine lacks is skipped and told.

mod page;
mod stage;

use page::{Section, sections};
use stage::{Build, Stage};
use std::path::Path;
use std::{fs, thread};

#[test]
fn every_command_of_the_lessons_does_what_the_page_says() {
    holds("docs/LESSONS.md", Build::Tested);
}

#[test]
#[ignore = "builds the program once for each fault: some minutes"]
fn every_broken_program_of_the_lessons_does_what_the_page_says() {
    holds("docs/LESSONS.md", Build::Own);
}

/// Plays a page of the project.
fn holds(page: &'static str, build: Build) {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).expect(page);
    let (played, failed) = play(page, &text, build);
    assert!(played > 0, "{page}: nothing to play");
    assert!(failed.is_empty(), "of {played} sections not as the page says: {failed:#?}");
}

/// What the mechanism itself is tested with. It needs no stranger: it must be played everywhere.
const SAMPLE: &str = r#"
# One

```text hello.txt
hello
```

```console server
$ reactor serve --tcp --console commands
…
listening tcp 127.0.0.1:65432 chat
```

```console
$ printf '/nick Ann\n/quit\n' | reactor connect
* you are guest1
* you are Ann
* guest1 is now Ann
$ cat hello.txt \
  no-such.txt
hello
cat: no-such.txt: …
```

```type server
/who
```

```shows server
* #lobby, …
```

```type server
^C
```

## Two

```sh
cargo build
```

## Three

```console slow
$ cargo --version; ls -d src .git
cargo …
ls: cannot access '.git': …
src
```
"#;

#[test]
fn a_page_that_tells_the_truth_passes() {
    assert_eq!(play("sample", SAMPLE, Build::Tested), (2, Vec::new()));
}

#[test]
fn a_page_that_does_not_fails_with_each_section_that_lies() {
    let page = SAMPLE.replace("\nhello\ncat:", "\ngoodbye\ncat:").replace("cargo build", "false");
    let (played, failed) = play("sample", &page, Build::Tested);
    assert_eq!(
        (played, &*failed),
        (2, &["sample:2 One".to_owned(), "sample:37 Two".to_owned()][..])
    );
}

#[test]
#[ignore = "a slow scene, as those that build"]
fn a_slow_scene_has_the_real_cargo_and_a_copy_of_the_project() {
    assert_eq!(play("sample", SAMPLE, Build::Own), (1, Vec::new()));
}

/// Plays the page's scenes that are for this build, each whatever became of the others. How many,
/// and which failed; each has told why.
fn play(page: &'static str, text: &str, build: Build) -> (usize, Vec<String>) {
    let mut played = 0;
    let mut failed = Vec::new();
    for section in sections(text).unwrap_or_else(|error| panic!("{page}:{error}")) {
        if section.steps.is_empty() || section.slow != (build == Build::Own) {
            continue;
        }
        played += 1;
        let name = format!("{page}:{} {}", section.line, section.heading);
        // A thread of its own: its panic is its own.
        if thread::spawn(move || scene(page, &section, build)).join().is_err() {
            failed.push(name);
        }
    }
    (played, failed)
}

fn scene(page: &str, section: &Section, build: Build) {
    if let Some(mut stage) = Stage::set(page, section, build) {
        for step in &section.steps {
            stage.play(step);
        }
    }
}

#[test]
fn the_guide_tells_the_truth() {
    let page = include_str!("../../../docs/GUIDE.md");
    assert_eq!(play("docs/GUIDE.md", page, Build::Tested).1, [""; 0]);
}

#[test]
fn the_readme_tells_the_truth() {
    let page = include_str!("../../../README.md");
    assert_eq!(play("README.md", page, Build::Tested).1, [""; 0]);
}
