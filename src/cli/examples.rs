//! The examples of help and of the manual pages, by command. Each is parsed by a test.

/// What it is for, and the line to type.
pub(super) type Examples = &'static [(&'static str, &'static str)];

/// By the command's path; the program itself has the empty one.
pub(super) const EXAMPLES: &[(&str, Examples)] = &[
    (
        "",
        &[
            ("Chat over TCP and echo over UDP, both on port 65432 of this host", "reactor serve"),
            ("Talk to it, from as many terminals as you like", "reactor connect"),
            ("How long a line takes to reach 100 peers", "reactor bench fanout --subscribers 100"),
        ],
    ),
    (
        "serve",
        &[
            ("Chat and echo on port 65432 of this host", "reactor serve"),
            (
                "Chat alone, on every address, for two networks",
                "reactor serve --tcp :65432 --allow 192.0.2.0/24 --allow 2001:db8::/32",
            ),
            ("UDP echo alone, on port 7777", "reactor serve --udp :7777"),
            (
                "Pass lines on between programs, with nobody at the console",
                "reactor serve --tcp :65432 --protocol lines --console off",
            ),
            (
                "Only for those who know a secret; who is silent for an hour is closed",
                "reactor serve --secret-file secret.txt --idle-timeout 1h",
            ),
        ],
    ),
    (
        "connect",
        &[
            ("Talk on the server of this host", "reactor connect"),
            (
                "Talk as Ann, elsewhere, again and again when the link breaks",
                "reactor connect --name Ann --reconnect chat.example:65432",
            ),
            (
                "Say one line from a script",
                "echo 'backup done' | reactor connect --eof exit chat.example:65432",
            ),
            (
                "Do datagrams come back, and how fast?",
                "reactor connect --udp --count 5 --interval 200ms chat.example:65432",
            ),
            (
                "Take turns with a peer that sends no newlines",
                "reactor connect --protocol raw 127.0.0.1:65433",
            ),
        ],
    ),
    (
        "bench",
        &[
            (
                "One peer speaks to 1,000, a server of our own",
                "reactor bench fanout --subscribers 1000",
            ),
            (
                "The round-trip time of a server that runs already",
                "reactor bench rtt --server 127.0.0.1:65432",
            ),
            ("Is it faster now?", "reactor bench compare before.json after.json"),
        ],
    ),
    (
        "ctl",
        &[
            ("The counters, for people", "reactor ctl stats"),
            ("And for programs", "reactor ctl --json stats"),
            ("Close a peer, and say why", "reactor ctl kick bob too loud"),
            (
                "Stop the server that has its control socket there",
                "reactor ctl --control /run/reactor/control.sock quit",
            ),
        ],
    ),
    (
        "bench fanout",
        &[
            (
                "100 lines a second to 1,000 peers, for 10 seconds",
                "reactor bench fanout --subscribers 1000 --rate 100 --duration 10s",
            ),
            ("As fast as it goes, with 64 lines on their way", "reactor bench fanout --window 64"),
            ("The greatest rate that keeps a limit", "reactor bench fanout --ramp --slo p99=20ms"),
            (
                "A page with pictures, and the figures for later",
                "reactor bench fanout --html fanout.html --json fanout.json",
            ),
        ],
    ),
    (
        "bench rtt",
        &[
            ("As fast as one message after the other goes", "reactor bench rtt"),
            (
                "Fail where one in a hundred takes longer than 5 ms",
                "reactor bench rtt --rate 50 --slo p99=5ms",
            ),
        ],
    ),
    ("bench idle", &[("What 5,000 silent peers cost", "reactor bench idle --peers 5000")]),
    (
        "bench connect",
        &[("Connections a second, 16 at a time", "reactor bench connect --at-once 16")],
    ),
    (
        "bench udp",
        &[
            ("1,000 datagrams a second from 16 clients", "reactor bench udp --rate 1000"),
            (
                "An echo that runs elsewhere, in bursts",
                "reactor bench udp --server 192.0.2.7:7 --burst 8 --size 512",
            ),
        ],
    ),
    (
        "bench compare",
        &[("Both are files of --json", "reactor bench compare before.json after.json")],
    ),
    (
        "completions",
        &[
            (
                "For bash, at its next start",
                "reactor completions bash > ~/.local/share/bash-completion/completions/reactor",
            ),
            ("For zsh, in a folder of its fpath", "reactor completions zsh > ~/.zfunc/_reactor"),
            ("For fish", "reactor completions fish > ~/.config/fish/completions/reactor.fish"),
        ],
    ),
    (
        "man",
        &[
            ("The page of serve, on the screen", "reactor man serve | man -l -"),
            ("All pages, for an installation", "reactor man --dir /usr/local/share/man/man1"),
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;

    /// The words of our program in a line of the shell: what comes before a pipe is of another, and
    /// redirections are the shell's.
    fn words(line: &str) -> Vec<&str> {
        let ours = line.split(" | ").find(|part| part.starts_with("reactor")).expect("our program");
        ours.split(" > ").next().unwrap().split_whitespace().collect()
    }

    #[test]
    fn each_example_is_a_command_line_of_its_command() {
        let tree = Cli::tree();
        for (path, examples) in EXAMPLES {
            for (what, line) in *examples {
                let words = words(line);
                assert!(
                    words.join(" ").starts_with(format!("reactor {path}").trim_end()),
                    "{line}"
                );
                let parsed = tree.clone().try_get_matches_from(&words);
                assert!(parsed.is_ok(), "{line}: {parsed:?}");
                assert!(!what.ends_with('.'), "{what}");
            }
        }
    }

    #[test]
    fn each_command_has_examples() {
        fn paths(command: &clap::Command, path: &str, found: &mut Vec<String>) {
            found.push(path.to_owned());
            for below in command.get_subcommands() {
                paths(below, &crate::cli::environment::path_below(path, below), found);
            }
        }
        let mut all = Vec::new();
        paths(&Cli::tree(), "", &mut all);
        for path in all {
            assert!(EXAMPLES.iter().any(|(of, _)| *of == path), "no examples for {path:?}");
        }
    }
}
