//! The comparison with other servers, tiny: the floor and the load work together, the runner prints
//! its tables, and what is missing is told. The strangers themselves are not started.

/// What the load understands of each server has its tests beside it: an example runs none itself.
#[allow(dead_code, reason = "the load uses all of it")]
#[path = "../../benches/peers/load/protocol.rs"]
mod protocol;

use super::support::skip;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder that the binary was built into; examples are beside it.
fn built() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_reactor")).parent().expect("it is in a folder").to_owned()
}

/// Runs `benches/peers/run` on what was built with this test. None where Python or the examples are
/// missing: `cargo test` builds them, `cargo test --test it` does not.
fn run(args: &[&str], python: &str) -> Option<Output> {
    let built = built();
    if Command::new("python3").arg("--version").output().is_err() {
        skip("no python3 for benches/peers/run");
        return None;
    }
    if !["floor", "load"].iter().all(|name| built.join("examples").join(name).exists()) {
        skip("the examples floor and load are not built");
        return None;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/run");
    let mut command = Command::new(script);
    command
        .args(args)
        .env("PYTHON", python)
        .env("CARGO_TARGET_DIR", built.parent().expect("of the target folder"));
    command.env("PEERS_PROFILE", built.file_name().expect("debug or release"));
    Some(command.output().expect("the script starts"))
}

#[test]
fn the_runner_measures_the_floor_and_ours_and_prints_tables() {
    let only = "floor,reactor,reactor-chat,floor-spin,reactor-spin,reactor-gather,floor-udp,\
                floor-udp-poll,reactor-udp";
    let Some(output) = run(&["--quick", "--no-build", "--only", only], "python3") else { return };
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{err}{out}");
    for server in ["floor", "reactor", "reactor-chat"] {
        let rows = out.lines().filter(|line| line.starts_with(&format!("| {server} | ")));
        assert_eq!(rows.count(), 4, "{server}: a row in each table over TCP:\n{out}");
    }
    for server in ["floor-udp", "floor-udp-poll", "reactor-udp"] {
        let rows = out.lines().filter(|line| line.starts_with(&format!("| {server} | ")));
        assert_eq!(rows.count(), 3, "{server}: a row in each table over UDP:\n{out}");
    }
    for server in ["floor-spin", "reactor-spin", "reactor-gather"] {
        let rows = out.lines().filter(|line| line.starts_with(&format!("| {server} | ")));
        assert_eq!(rows.count(), 1, "{server}: a row where its trade shows:\n{out}");
    }
    assert!(out.contains("### All, as a ratio to the floor"), "{out}");
}

#[test]
fn a_server_that_is_not_installed_is_told_with_what_is_missing() {
    let nothing = ["--no-build", "--only", "asyncio", "--scenarios", "no such scenario"];
    let Some(output) = run(&nothing, "no-such-python") else { return };
    let out = String::from_utf8(output.stdout).unwrap();
    let skipped =
        "- Skipped: asyncio: no-such-python is not installed; Debian's package is python3";
    assert!(out.lines().any(|line| line == skipped), "{out}");
}
