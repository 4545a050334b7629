//! The scripts of `reactor completions`, loaded and asked by the real shells.

use super::support::{command, skip};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The script of a shell in a file of its own folder.
fn script(shell: &str, file: &str) -> PathBuf {
    let output = command(&["completions", shell]).output().expect("the binary runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let name = format!("completions-{shell}-{}", std::process::id());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(file);
    fs::write(&path, output.stdout).unwrap();
    path
}

/// What the shell prints for this program; nothing where this machine has no such shell.
fn ask(shell: &str, args: &[&str]) -> Option<String> {
    let asked = Command::new(shell).args(args).stdin(Stdio::null()).output();
    let Ok(output) = asked else {
        skip(&format!("no {shell}: its completions are not loaded"));
        return None;
    };
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{shell}: {output:?}");
    Some(String::from_utf8(output.stdout).expect("words are UTF-8"))
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let path = script("bash", "reactor.bash");
    let path = path.to_str().unwrap();
    // What bash does at a tab, without a terminal.
    let complete = |words: &str| {
        let program = format!(
            "source {path}; complete -p reactor >/dev/null || exit 1; \
             COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _reactor reactor \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        ask("bash", &["--norc", "-c", &program])
    };
    let Some(commands) = complete("reactor s") else { return };
    assert_eq!(commands, "serve\n");
    assert_eq!(complete("reactor serve --udp-r").unwrap(), "--udp-rate\n");
    assert_eq!(complete("reactor serve --protocol ''").unwrap(), "chat\nlines\nraw\n");
    assert_eq!(complete("reactor completions ba").unwrap(), "bash\n");
}

#[test]
fn zsh_loads_the_function_for_the_program() {
    let path = script("zsh", "_reactor");
    let folder = path.parent().unwrap().to_str().unwrap();
    let program = format!(
        "fpath=({folder} $fpath); autoload -Uz compinit; compinit -u -d {folder}/dump; \
         print $_comps[reactor]; autoload +X _reactor && print loaded"
    );
    let Some(said) = ask("zsh", &["-f", "-c", &program]) else { return };
    assert_eq!(said, "_reactor\nloaded\n");
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("((chat\\:"), "values of --protocol");
    assert!(text.contains("_files") && text.contains("_hosts"), "files and hosts");
}

#[test]
fn fish_completes_commands_flags_and_values() {
    let path = script("fish", "reactor.fish");
    let path = path.to_str().unwrap();
    let complete = |line: &str| {
        let program = format!("source {path}; complete --do-complete '{line}'");
        let said = ask("fish", &["--no-config", "-c", &program])?;
        Some(said.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect())
    };
    let Some(commands): Option<Vec<String>> = complete("reactor s") else { return };
    assert_eq!(commands, ["serve"]);
    assert_eq!(complete("reactor serve --udp-r").unwrap(), ["--udp-rate"]);
    assert_eq!(complete("reactor serve --protocol ").unwrap(), ["chat", "lines", "raw"]);
}

#[test]
fn each_shell_has_a_script() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(fs::metadata(script(shell, "script")).unwrap().len() > 1_000, "{shell}");
    }
}
