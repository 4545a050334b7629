//! The house rules, checked on the source text: who may name whom (DESIGN §2), and what nobody
//! may. After TigerBeetle's tidy test. Comments and strings do not count, and where a rule is for
//! the program alone, neither do tests.

use std::fs;
use std::path::{Path, PathBuf};

/// The longest file. Most are under 250 lines; past 400 one looks again.
const LINES_MAX: usize = 550;

/// One source file.
struct Source {
    /// From the package's root, with forward slashes: `src/os/mio.rs`.
    path: String,
    text: String,
    /// Without comments and without what is in quotes.
    code: String,
    /// `code` without its `mod tests`; nothing where all of the file is a test.
    program: String,
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| walk(&root.join(folder), &mut paths));
    paths.sort();
    assert!(paths.len() > 10, "{folders:?}: only {paths:?}");
    let source = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        let code = code(&text);
        let program = program(&path, &code);
        Source { path, text, code, program }
    };
    paths.iter().map(source).collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            walk(&path, paths);
        } else if path.extension().is_some_and(|end| end == "rs") {
            paths.push(path);
        }
    }
}

/// `text` with comments and the insides of quotes left out.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_word = code.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let hashes = rest[1.min(rest.len())..].bytes().take_while(|&byte| byte == b'#').count();
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if c == 'r' && !after_word && rest[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = hashes + 2;
            rest[from..].find(&end).map_or(rest.len(), |at| from + at + end.len())
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' && is_char(rest) {
            quoted(rest, '\'')
        } else {
            code.push(c);
            c.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// Length of what stands in quotes at the front, with them.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A character in quotes, and not a lifetime.
fn is_char(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// The part of a file's code that is no test.
fn program(path: &str, code: &str) -> String {
    let all_test = path.starts_with("tests/")
        || path.starts_with("src/sim/")
        || path.ends_with("/tests.rs")
        || path.contains("/tests/");
    if all_test {
        return String::new();
    }
    let end = code.find("#[cfg(test)]\nmod tests {").unwrap_or(code.len());
    code[..end].to_owned()
}

/// Whether `word` stands in `code` as a word of its own.
fn has_word(code: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        !code[..at].ends_with(part_of_word) && !code[at + word.len()..].starts_with(part_of_word)
    })
}

/// Whether `code` names this crate: the word at the start of a path.
fn names_crate(code: &str, name: &str) -> bool {
    let part_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.match_indices(name).any(|(at, _)| {
        let rest = &code[at + name.len()..];
        !code[..at].ends_with(part_of_path)
            && (rest.starts_with("::") || rest.starts_with(';') || rest.starts_with(" as "))
    })
}

/// The modules of our own at the root of the crate that `code` names: `crate::a`, `crate::{a, b}`,
/// and in a file at the root also `super::a`.
fn names_modules<'a>(path: &str, code: &'a str) -> Vec<&'a str> {
    let at_the_root = path.matches('/').count() == 1 || path.ends_with("/mod.rs");
    let mut found = Vec::new();
    for prefix in ["crate::", "super::", "reactor::"] {
        let counts = match prefix {
            "super::" => at_the_root,
            "reactor::" => path == "src/main.rs",
            _ => true,
        };
        for (at, _) in code.match_indices(prefix).filter(|_| counts) {
            let rest = &code[at + prefix.len()..];
            match rest.strip_prefix('{') {
                Some(group) => found.extend(heads(group)),
                None => found.extend(head(rest)),
            }
        }
    }
    found
}

fn head(path: &str) -> Option<&str> {
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    (end > 0).then(|| &path[..end])
}

/// The first words of a group's members, up to its closing brace.
fn heads(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' | ',' if depth == 0 => {
                found.extend(head(group[start..at].trim_start()));
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// Fails with all places that break a rule.
fn nobody(rule: &str, broken: impl IntoIterator<Item = String>) {
    let broken: Vec<String> = broken.into_iter().collect();
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

/// Only files under `home` name the crate `name`; tests too.
fn only_names(name: &str, home: &[&str]) {
    let stranger = |source: &Source| {
        let at_home = home.iter().any(|home| source.path.starts_with(home));
        (!at_home && names_crate(&source.code, name)).then(|| source.path.clone())
    };
    nobody(
        &format!("only {home:?} may name the crate {name}"),
        sources(&["src"]).iter().filter_map(stranger),
    );
}

/// The program's files under `who` do not name these modules of ours.
fn must_not_know(who: &[&str], modules: &[&str]) {
    let all = sources(&["src"]);
    let ours: Vec<&Source> =
        all.iter().filter(|source| who.iter().any(|who| source.path.starts_with(who))).collect();
    assert!(!ours.is_empty(), "{who:?}: no such file");
    let mut broken = Vec::new();
    for source in ours {
        for module in names_modules(&source.path, &source.program) {
            if modules.contains(&module) {
                broken.push(format!("{} names {module}", source.path));
            }
        }
    }
    nobody(&format!("{who:?} must not know {modules:?}"), broken);
}

/// No file under `folders` has one of these words; `of` says in which part of it.
fn no_word(folders: &[&str], words: &[&str], of: fn(&Source) -> &str) {
    let mut broken = Vec::new();
    for source in &sources(folders) {
        let has = |word: &&&str| has_word(of(source), word);
        broken.extend(words.iter().filter(has).map(|word| format!("{}: {word}", source.path)));
    }
    nobody(&format!("nobody writes {words:?}"), broken);
}

const ALL: [&str; 4] = ["src", "tests", "benches", "examples"];

const PURE: [&str; 15] = [
    "src/chat/",
    "src/echo/",
    "src/histogram.rs",
    "src/probes/",
    "src/serve/clocks.rs",
    "src/serve/flood.rs",
    "src/serve/gate/",
    "src/serve/memory.rs",
    "src/serve/metrics/exposition.rs",
    "src/serve/metrics/http.rs",
    "src/serve/metrics/table.rs",
    "src/terminal/",
    "src/timers.rs",
    "src/visible.rs",
    "src/wire.rs",
];

#[test]
fn only_os_names_mio_and_the_crates_of_the_system() {
    for name in ["mio", "socket2", "signal_hook", "signal_hook_mio", "quinn_udp", "nix", "listenfd"]
    {
        only_names(name, &["src/os/"]);
    }
}

#[test]
fn only_the_reactor_names_slab() {
    only_names("slab", &["src/reactor/"]);
}

#[test]
fn only_cli_and_main_name_clap() {
    only_names("clap", &["src/cli/", "src/main.rs"]);
}

#[test]
fn only_main_names_env_logger() {
    only_names("env_logger", &["src/main.rs"]);
}

#[test]
fn only_os_reads_the_clock() {
    let clocks = ["Instant::now", "SystemTime"];
    let reads = |source: &Source| {
        let reads = !source.path.starts_with("src/os/")
            && clocks.iter().any(|clock| source.program.contains(clock));
        reads.then(|| source.path.clone())
    };
    nobody("only src/os/ reads the clock", sources(&["src"]).iter().filter_map(reads));
}

#[test]
fn what_is_pure_knows_neither_the_system_nor_the_loop_nor_the_programs() {
    must_not_know(&PURE, &["os", "reactor", "serve", "connect", "bench", "cli"]);
}

#[test]
fn what_is_pure_names_no_socket() {
    let sockets = ["TcpStream", "TcpListener", "UdpSocket", "UnixStream", "Socket", "OwnedFd"];
    let mut broken = Vec::new();
    for source in &sources(&["src"]) {
        let pure = PURE.iter().any(|pure| source.path.starts_with(pure));
        let named = sockets.iter().filter(|word| pure && has_word(&source.program, word));
        broken.extend(named.map(|word| format!("{}: {word}", source.path)));
    }
    nobody("what is pure names no socket", broken);
}

#[test]
fn the_contract_knows_neither_the_system_nor_the_loop_nor_the_chat_nor_lines() {
    let above = ["os", "reactor", "chat", "wire", "echo", "serve", "connect", "bench", "cli"];
    must_not_know(&["src/handler.rs", "src/handler/"], &above);
}

#[test]
fn the_loop_knows_neither_the_chat_nor_lines_nor_the_programs() {
    must_not_know(&["src/reactor/"], &["chat", "wire", "echo", "serve", "connect", "bench", "cli"]);
}

#[test]
fn the_system_knows_neither_the_loop_nor_what_is_above_it() {
    let above = ["reactor", "chat", "wire", "echo", "serve", "connect", "bench", "cli"];
    must_not_know(&["src/os/"], &above);
}

#[test]
fn the_programs_know_no_part_of_the_system_but_its_trait() {
    let mut broken = Vec::new();
    for source in &sources(&["src"]) {
        let program = ["src/serve/", "src/connect/", "src/bench/"];
        let ours = program.iter().any(|folder| source.path.starts_with(folder));
        let named = ["MioOs", "os::mio", "os::stdio", "os::udp", "os::stream"];
        let named = named.iter().filter(|name| ours && source.program.contains(**name));
        broken.extend(named.map(|name| format!("{}: {name}", source.path)));
    }
    nobody("a program is generic over Os", broken);
}

/// Its order is random, and a seed must replay.
#[test]
fn nothing_iterates_a_hash_map() {
    no_word(&["src"], &["HashMap", "HashSet"], |source| &source.code);
}

/// They panic where stdout is gone, and they block. What is told goes through the log queue.
#[test]
fn the_program_prints_nothing_past_its_queues() {
    let macros = ["println", "eprintln", "print", "eprint", "dbg"];
    let prints = |source: &Source| {
        let prints = macros.iter().any(|name| {
            let call = format!("{name}!");
            source.program.match_indices(&call).any(|(at, _)| {
                !source.program[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            })
        });
        prints.then(|| source.path.clone())
    };
    nobody("nothing is printed past the queues", sources(&["src"]).iter().filter_map(prints));
}

#[test]
fn nothing_is_left_to_be_done() {
    let open = |source: &Source| {
        let open = ["todo!", "unimplemented!"].iter().any(|name| source.code.contains(name));
        open.then(|| source.path.clone())
    };
    nobody("no todo!", sources(&ALL).iter().filter_map(open));
}

/// Ids instead of sharing.
#[test]
fn nothing_is_shared_behind_rc_or_refcell() {
    no_word(&["src"], &["Rc", "RefCell"], |source| &source.code);
}

/// A sleep in the loop keeps everybody waiting, and in a test it proves nothing.
#[test]
fn nobody_sleeps() {
    let sleeps =
        |source: &Source| source.code.contains("thread::sleep").then(|| source.path.clone());
    nobody("nobody sleeps", sources(&ALL).iter().filter_map(sleeps));
}

#[test]
fn every_file_begins_by_saying_what_lives_in_it() {
    let bare = |source: &Source| (!source.text.starts_with("//! ")).then(|| source.path.clone());
    nobody("each file has a header", sources(&ALL).iter().filter_map(bare));
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let long = |source: &Source| {
        let lines = source.text.lines().count();
        (lines > LINES_MAX).then(|| format!("{}: {lines} lines", source.path))
    };
    let all = sources(&ALL);
    nobody(&format!("at most {LINES_MAX} lines"), all.iter().filter_map(long));
}

/// Its header says what it need not care about; that is told, and not part of what it takes.
#[test]
fn an_example_takes_less_than_a_hundred_lines() {
    let all = sources(&ALL);
    let long = |source: &&Source| {
        let lines = source.text.lines().filter(|line| !line.starts_with("//!")).count();
        source.path.starts_with("examples/") && lines >= 100
    };
    nobody("under 100 lines", all.iter().filter(long).map(|source| source.path.clone()));
}

#[test]
fn comments_and_quotes_are_no_code() {
    let text = "a // b\n/* c */ d(\"e \\\" f\", 'g', '\\'', r#\"h \" i\"#) 'j: k // l \"m\nn";
    assert_eq!(code(text), "a \n d(, , , ) 'j: k \nn");
}

#[test]
fn a_crate_is_told_from_a_module_of_the_same_name() {
    for (code, names) in [
        ("use mio::Poll;", true),
        ("use mio;", true),
        ("let poll = mio::Poll::new();", true),
        ("use crate::os::mio::MioOs;", false),
        ("pub mod mio;", true),
        ("let mio = 1;", false),
        ("use mio_more::X;", false),
    ] {
        assert_eq!(names_crate(code, "mio"), names, "{code}");
    }
}

#[test]
fn modules_are_found_in_every_form_of_a_path() {
    let code = "use crate::os::Os; use crate::{chat, wire::{self, Lines}, a::b}; crate::serve::run";
    assert_eq!(names_modules("src/x/y.rs", code), ["os", "chat", "wire", "a", "serve"]);
    assert_eq!(names_modules("src/x.rs", "use super::os::Os;"), ["os"]);
    assert_eq!(names_modules("src/x/y.rs", "use super::os::Os;"), [""; 0]);
}
