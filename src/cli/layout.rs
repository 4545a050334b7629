//! How help is laid out: under which heading each flag stands, and which of them `-h` shows. A flag
//! that is not named here stands under the heading it was declared with, in `--help` alone.

use super::environment::{on_each_arg, path_below, variable};
use super::examples::{EXAMPLES, Examples};
use clap::{Arg, Command, ValueHint};

/// Flags under one heading: those that `-h` shows too, and the others.
type Group = (&'static str, &'static [&'static str], &'static [&'static str]);

const SERVE: &[Group] = &[
    ("Addresses", &["tcp", "udp", "unix"], &["unix-dgram", "unix-mode", "ipv4", "ipv6"]),
    ("Chat", &["protocol", "console", "history"], &["rooms-max", "slow", "line-max", "log-bytes"]),
    (
        "Who may come in",
        &["allow", "deny", "peers-max", "secret-file"],
        &["access", "peers-per-address-max", "connect-rate"],
    ),
    ("Timeouts", &["idle-timeout"], &["stop-timeout", "stall-timeout", "line-timeout"]),
    (
        "What one peer may say",
        &[],
        &["messages-rate", "messages-burst", "bytes-rate", "bytes-burst", "flood-loopback"],
    ),
    ("UDP echo", &[], &["udp-rate", "udp-burst", "udp-any-port", "udp-group", "udp-broadcast"]),
    ("Memory and speed", &[], &["buffers-total", "send-buffer", "spin", "gather"]),
    ("As a service", &["control"], &["metrics", "pid-file", "port-file"]),
];

const CONNECT: &[Group] = &[
    (
        "The server",
        &["udp", "protocol", "reconnect", "secret-file"],
        &["ipv4", "ipv6", "bind", "connect-timeout"],
    ),
    ("The conversation", &["name", "eof", "timestamps", "transcript"], &["turn-timeout"]),
    (
        "With --udp, or with --count in a chat",
        &["count", "interval", "timeout", "size", "json"],
        &["rtt", "interface", "hops"],
    ),
];

const BENCH: &[Group] = &[
    (
        "Who",
        &["subscribers", "publishers", "all-to-all", "peers", "clients", "at-once"],
        &["overlap", "stalled"],
    ),
    (
        "How fast and how long",
        &["rate", "window", "burst", "duration", "messages", "size", "repeat"],
        &["warmup", "protocol"],
    ),
    ("Limits", &["slo", "ramp"], &[]),
    ("Which server", &["server", "pid"], &["ipv4", "ipv6"]),
    ("The report", &["json", "html"], &["hgrm"]),
];

const EVERYWHERE: &[Group] = &[("Every command", &["verbose", "quiet", "color"], &["log-format"])];

/// What the long help says of values.
const VALUES: &str = "\
Values: an ADDR is like 127.0.0.1:65432, [::1]:65432, chat.example:65432, :65432 (every address), or a \
host or a port alone. A TIME is like 30s, 1m30s or 500ms. A SIZE is like 64KiB (65,536 bytes), 64KB \
(64,000) or 4096. Flags without a value are off by default.";

/// What the long help and the manual pages say of the environment.
pub(super) const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "REACTOR_*",
        "Each flag that is not typed is taken from its variable: --udp-rate from REACTOR_UDP_RATE. What \
         is typed wins. A flag without a value takes true or false, -v a number, a flag that may be \
         repeated its values with commas between. Commands with the same flag share the variable. An \
         empty one is none, and one whose flag does not go with what is typed does not count.",
    ),
    (
        "RUST_LOG",
        "What is told on stderr, where neither -v nor -q is given: error, warn, info, debug.",
    ),
    (
        "NO_COLOR",
        "Where it is not empty: no colour with --color auto. CLICOLOR and CLICOLOR_FORCE count too.",
    ),
];

/// What the long help says of how programs end; the manual page says it too. A row each.
pub(super) const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "done; serve: stopped by /quit or a signal"),
    ("1", "it could not be done, or bench found a fault or a broken limit"),
    ("2", "what was typed, or a REACTOR_ variable, makes no sense"),
    ("128+N", "connect and bench: ended by signal N (Ctrl-C: 130)"),
];

/// The whole command line as help shows it.
pub(super) fn laid_out(tree: Command) -> Command {
    let tree = on_each_arg(tree, "", &|path, arg| hinted(placed(path, arg)));
    explained(tree, "")
}

/// The groups of the command at a path; those of bench hold for all its scenarios.
fn groups(path: &str) -> &'static [Group] {
    match path {
        "" => EVERYWHERE,
        "serve" => SERVE,
        "connect" => CONNECT,
        _ if path.starts_with("bench") => BENCH,
        _ => &[],
    }
}

fn placed(path: &str, arg: Arg) -> Arg {
    let Some(variable) = variable(&arg) else { return arg };
    let text = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let arg = arg.long_help(format!("{text} [env: {variable}]"));
    let name = arg.get_long().unwrap_or_default().to_owned();
    let mut order = 0;
    for &(heading, brief, more) in groups(path) {
        for (index, flag) in brief.iter().chain(more).enumerate() {
            order += 1;
            if *flag == name {
                let hidden = index >= brief.len();
                return arg.help_heading(heading).display_order(order).hide_short_help(hidden);
            }
        }
    }
    arg.hide_short_help(!groups(path).is_empty())
}

/// What a shell completes a value with.
fn hinted(arg: Arg) -> Arg {
    let word = arg.get_value_names().and_then(|names| names.first()).map(|name| name.to_string());
    match word.as_deref() {
        Some("FILE" | "A.json" | "B.json") => arg.value_hint(ValueHint::FilePath),
        Some("DIR") => arg.value_hint(ValueHint::DirPath),
        Some("ADDR") => arg.value_hint(ValueHint::Hostname),
        _ => arg,
    }
}

/// The examples of a command by its path: `bench udp`, and nothing for the program itself.
pub(super) fn examples(path: &str) -> Examples {
    EXAMPLES.iter().find(|(of, _)| *of == path).map_or(&[], |(_, examples)| examples)
}

/// The long help of the command at `path` and of those below it: examples first, and what holds for
/// every command at the end.
fn explained(command: Command, path: &str) -> Command {
    let mut long = command.get_about().map(ToString::to_string).unwrap_or_default();
    for (index, (what, line)) in examples(path).iter().enumerate() {
        let head = if index == 0 { "\n\nExamples:" } else { "" };
        long.push_str(&format!("{head}\n  {line}\n      {what}"));
    }
    let list = |rows: &[(&str, &str)], between: &str| -> String {
        rows.iter().map(|(word, what)| format!("\n  {word:<7}{between}{what}")).collect()
    };
    let (environment, codes) = (list(ENVIRONMENT, "\n          "), list(EXIT_CODES, " "));
    let ending = format!("{VALUES}\n\nEnvironment:{environment}\n\nExit codes:{codes}");
    let command = command.long_about(long).after_long_help(ending);
    command.mut_subcommands(|below| {
        let path = path_below(path, &below);
        explained(below, &path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn each_flag_of_the_layout_exists() {
        let tree = Cli::command();
        let longs = |command: &Command| -> Vec<String> {
            command.get_arguments().filter_map(|arg| arg.get_long().map(str::to_owned)).collect()
        };
        let bench = tree.find_subcommand("bench").unwrap();
        let scenarios: Vec<String> = bench.get_subcommands().flat_map(longs).collect();
        let of = |name: &str| longs(tree.find_subcommand(name).unwrap());
        for (groups, flags) in [
            (EVERYWHERE, longs(&tree)),
            (SERVE, of("serve")),
            (CONNECT, of("connect")),
            (BENCH, scenarios),
        ] {
            for flag in groups.iter().flat_map(|(_, brief, more)| brief.iter().chain(*more)) {
                assert!(flags.iter().any(|known| known == flag), "{flag}");
            }
        }
    }

    #[test]
    fn each_flag_with_a_value_says_its_default() {
        fn check(command: &Command) {
            for arg in command.get_opts() {
                let text = arg.get_long_help().or(arg.get_help()).map(ToString::to_string);
                let told = text.is_some_and(|text| text.contains("[default"));
                let is_told = told || !arg.get_default_values().is_empty();
                assert!(is_told, "{} --{}", command.get_name(), arg.get_id());
            }
            command.get_subcommands().for_each(check);
        }
        let mut tree = Cli::tree();
        tree.build();
        check(&tree);
    }
}
