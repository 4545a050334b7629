//! What the command line says of itself and takes from the environment. The help of every command is
//! compared with the files in tests/help/; after a wanted change
//! `SNAPSHOTS=write cargo test --test it help::` writes them anew.

use super::support::{Program, command};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A terminal of today's least width; clap takes it where no descriptor is a terminal.
const COLUMNS: &str = "80";

/// Rows that brief help may have: what is seen without scrolling in a window of a usual size.
const BRIEF_ROWS: usize = 50;

fn run(args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = command(args);
    command.env("COLUMNS", COLUMNS).envs(env.iter().copied());
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("help is UTF-8")
}

/// Exit code 2, nothing on stdout; what stderr says.
fn refused(args: &[&str], env: &[(&str, &str)]) -> String {
    let output = run(args, env);
    assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    text(&output.stderr)
}

/// Every command by its words, the program itself first: one manual page each.
pub(super) fn commands() -> Vec<Vec<String>> {
    let dir =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("help-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let output = run(&["man", "--dir", dir.to_str().unwrap()], &[]);
    assert!(output.status.success(), "{output:?}");
    let names = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name());
    let mut commands: Vec<Vec<String>> = names
        .map(|name| {
            let name = name.to_str().unwrap().strip_suffix(".1").unwrap().to_owned();
            name.split('-').skip(1).map(str::to_owned).collect()
        })
        .collect();
    commands.sort();
    assert!(commands.len() > 8, "{commands:?}");
    commands
}

#[test]
fn the_help_of_every_command_is_as_the_files_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    let write = std::env::var("SNAPSHOTS").is_ok_and(|word| word == "write");
    let mut differing = Vec::new();
    let mut expected = Vec::new();
    for words in commands() {
        for (flag, form) in [("-h", "brief"), ("--help", "long")] {
            let args: Vec<&str> = words.iter().map(String::as_str).chain([flag]).collect();
            let output = run(&args, &[]);
            assert!(output.status.success(), "{output:?}");
            let help = text(&output.stdout);
            let name = [&["reactor".to_owned()], &words[..]].concat().join("-");
            let file = format!("{name}.{form}.txt");
            let path = folder.join(&file);
            if write {
                fs::write(&path, &help).unwrap();
            } else if fs::read_to_string(&path).unwrap_or_default() != help {
                differing.push(file.clone());
            }
            expected.push(file);
        }
    }
    for entry in fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        assert!(expected.contains(&file), "tests/help/{file} is of no command: remove it");
    }
    assert!(
        differing.is_empty(),
        "help differs from tests/help/ for {differing:?}; if that is wanted: \
         SNAPSHOTS=write cargo test --test it help:: and look at the diff"
    );
}

#[test]
fn brief_help_fits_a_screen() {
    for words in commands() {
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["-h"]).collect();
        let help = text(&run(&args, &[]).stdout);
        assert!(help.lines().count() <= BRIEF_ROWS, "{args:?}: {} rows", help.lines().count());
        for line in help.lines() {
            assert!(line.chars().count() <= 80, "{args:?}: {line}");
        }
    }
}

#[test]
fn long_help_names_the_variable_of_every_flag_and_the_exit_codes() {
    for words in commands() {
        let args: Vec<&str> = words.iter().map(String::as_str).chain(["--help"]).collect();
        let help = text(&run(&args, &[]).stdout);
        let joined = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for line in help.lines().map(str::trim_start).filter(|line| line.starts_with('-')) {
            let Some(flag) = line.split("--").nth(1) else { continue };
            let flag: String =
                flag.chars().take_while(|&c| c.is_ascii_alphanumeric() || c == '-').collect();
            let variable = format!("[env: REACTOR_{}]", flag.to_uppercase().replace('-', "_"));
            let of_clap = ["help", "version"].contains(&flag.as_str());
            assert_eq!(joined.contains(&variable), !of_clap, "{args:?}: {variable}");
        }
        for part in ["Exit codes:", "128+N", "RUST_LOG", "NO_COLOR", "REACTOR_*"] {
            assert!(help.contains(part), "{args:?}: {part}");
        }
    }
}

#[test]
fn what_is_nearly_right_is_answered_with_what_is_right() {
    for (args, right) in [
        (&["sreve"][..], "'serve'"),
        (&["bench", "fan"], "'fanout'"),
        (&["serve", "--udp-rat", "5"], "'--udp-rate'"),
        (&["serve", "--protocol", "chatt"], "'chat'"),
        (&["serve", "--console", "command"], "'commands'"),
        (&["completions", "bsh"], "'bash'"),
    ] {
        let told = refused(args, &[]);
        assert!(told.contains("similar") && told.contains(right), "{args:?}: {told}");
    }
    let told = refused(&["man", "sreve"], &[]);
    assert!(told.contains("serve"), "{told}");
}

#[test]
fn sizes_and_times_have_units() {
    let told = refused(&["serve", "--line-max", "64cows"], &[]);
    assert!(told.contains("a size is like 64KiB"), "{told}");
    let told = refused(&["serve", "--stop-timeout", "5"], &[]);
    assert!(told.contains("a time is like 30s"), "{told}");
}

/// Whether this `serve` on a free port tells such a line.
fn serves(args: &[&str], env: &[(&str, &str)], line: &str) {
    let mut command = command(&[&["serve"], args].concat());
    command.envs(env.iter().copied());
    Program::spawn(command).err.wait_for(line);
}

#[test]
fn a_variable_stands_for_the_flag_that_was_not_typed() {
    let env = [("REACTOR_TCP", "127.0.0.1:0"), ("REACTOR_PROTOCOL", "lines")];
    let mut command = command(&["serve"]);
    command.envs(env);
    let server = Program::spawn(command);
    let line = server.err.wait_for("listening tcp");
    assert!(line.ends_with(" lines"), "{line}");
    assert!(!server.err.text().contains("listening udp"), "{}", server.err.text());
}

#[test]
fn what_is_typed_wins_over_the_variable() {
    let env = [("REACTOR_PROTOCOL", "lines"), ("REACTOR_TCP", "no address")];
    serves(&["--tcp", "127.0.0.1:0", "--protocol", "raw"], &env, " raw");
}

#[test]
fn a_variable_of_a_repeatable_flag_has_values_between_commas() {
    let mut command = command(&["serve"]);
    command.env("REACTOR_UDP", "127.0.0.1:0,127.0.0.2:0");
    let server = Program::spawn(command);
    server.err.wait_for("listening udp 127.0.0.1:");
    server.err.wait_for("listening udp 127.0.0.2:");
}

#[test]
fn a_flag_without_a_value_takes_true_and_false() {
    let said = |word: &str| {
        let mut command = command(&["serve", "--tcp", "127.0.0.1:0"]);
        command.env("REACTOR_VERBOSE", word);
        let server = Program::spawn(command);
        server.err.wait_for("listening tcp");
        server.err.text().contains("descriptor limit")
    };
    assert_eq!((said("1"), said("0"), said("")), (true, false, false));
    let told = refused(&["serve"], &[("REACTOR_UDP_BROADCAST", "maybe")]);
    let start = "reactor: REACTOR_UDP_BROADCAST=maybe (for --udp-broadcast): true or false";
    assert!(told.starts_with(start) && told.lines().count() == 1, "{told}");
    // Off is as if it was not there: -4 would exclude it.
    let off = [("REACTOR_IPV6", "off"), ("REACTOR_IPV4", "true")];
    serves(&["--tcp", "localhost:0"], &off, "listening tcp 127.0.0.1:");
}

#[test]
fn a_wrong_variable_is_one_line_that_names_it() {
    for (args, name, value, why) in [
        (&["serve"][..], "REACTOR_UDP_RATE", "many", "invalid digit found in string"),
        (&["serve"], "REACTOR_LINE_MAX", "64cows", "a size is like"),
        (&["serve"], "REACTOR_STOP_TIMEOUT", "5", "a time is like"),
        (&["-q", "serve"], "REACTOR_PROTOCOL", "chatt", "one of chat, lines, raw"),
        (&["bench", "fanout"], "REACTOR_SUBSCRIBERS", "0", "0 is not in"),
        (&["connect"], "REACTOR_COLOR", "red", "one of auto, always, never"),
    ] {
        let told = refused(args, &[(name, value)]);
        assert_eq!(told.lines().count(), 1, "{told}");
        let start = format!("reactor: {name}={value} (for --");
        assert!(told.starts_with(&start) && told.contains(why), "{told}");
    }
}

#[test]
fn a_variable_gives_way_to_what_was_typed_and_excludes_it() {
    let env = [("REACTOR_QUIET", "true"), ("REACTOR_IPV6", "true")];
    serves(&["-v", "-4", "--tcp", "localhost:0"], &env, "descriptor limit");
    // Typed before the command's name.
    let mut before = command(&["-v", "serve", "--tcp", "127.0.0.1:0"]);
    before.env("REACTOR_QUIET", "true");
    Program::spawn(before).err.wait_for("descriptor limit");
}

#[test]
fn two_variables_that_exclude_each_other_are_wrong() {
    let told = refused(&["serve"], &[("REACTOR_IPV4", "1"), ("REACTOR_IPV6", "1")]);
    assert_eq!(told, "reactor: REACTOR_IPV4 and REACTOR_IPV6 exclude each other\n");
}

#[test]
fn a_variable_whose_flag_needs_another_counts_only_with_it() {
    let env = [("REACTOR_PID", "1"), ("REACTOR_INTERVAL", "wrong")];
    let told = refused(&["connect", "127.0.0.1:1"], &env);
    assert!(told.contains("REACTOR_INTERVAL=wrong"), "a wrong one is told anyway: {told}");
    // --interval needs --count, and neither is there: a line from stdin is echoed as ever.
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let to = server.udp().to_string();
    let echoed = |env: &[(&str, &str)]| {
        let mut client = command(&["connect", "--udp", &to]);
        client.envs(env.iter().copied());
        let mut client = Program::spawn(client);
        client.type_in("one\n");
        client.end_input();
        assert_eq!(client.exit(), 0);
        client.out.all()
    };
    assert_eq!(echoed(&[("REACTOR_INTERVAL", "10ms")]), "one\n");
    let counted = echoed(&[("REACTOR_INTERVAL", "10ms"), ("REACTOR_COUNT", "2")]);
    assert!(counted.contains("2 "), "{counted}");
}

#[test]
fn a_report_that_only_a_file_can_hold_is_not_written_to_a_file_named_dash() {
    for flag in ["--html", "--hgrm"] {
        let told = refused(&["bench", "fanout", flag, "-"], &[]);
        assert!(told.contains("only --json can go to stdout"), "{told}");
    }
}

#[test]
fn a_json_file_named_dash_is_stdout() {
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let to = server.udp().to_string();
    let output = run(&["connect", "--udp", "--count", "1", "--json=-", &to], &[]);
    assert!(output.status.success() && output.stdout.starts_with(b"{"), "{output:?}");
}

#[test]
fn the_server_that_bench_starts_takes_no_variable() {
    let args = ["bench", "rtt", "--messages", "10", "--warmup", "0s"];
    let output = run(&args, &[("REACTOR_ACCESS", "no such file")]);
    // Whether the figures may be believed is the machine's matter.
    assert!(text(&output.stdout).contains("latency"), "{output:?}");
}
