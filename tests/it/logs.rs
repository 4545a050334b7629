//! How log lines look: JSON for programs, priorities and no time stamps for the journal.

use crate::support::{Output, Peer, Program, command};
use rustix::process::Signal;
use serde_json::Value;

/// The first line that tells of this event.
fn event(err: &Output, name: &str) -> Value {
    let line = err.wait_for(&format!("\"event\":\"{name}\""));
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn every_line_is_one_json_event_with_its_fields() {
    let args = ["-v", "--log-format", "json", "serve", "--tcp", "127.0.0.1:0", "--console", "off"];
    let mut server = Program::start(&args);
    let listening = event(&server.err, "listening");
    assert_eq!(
        (&listening["transport"], &listening["service"], &listening["level"]),
        (&"tcp".into(), &"chat".into(), &"info".into())
    );
    let started = event(&server.err, "started");
    assert_eq!(
        (&started["version"], &started["pid"]),
        (&env!("CARGO_PKG_VERSION").into(), &server.id().into())
    );
    let at = listening["address"].as_str().unwrap();
    assert_eq!(listening["message"], format!("listening tcp {at} chat"));
    let mut peer = Peer::join(at.parse().unwrap());
    let opened = event(&server.err, "opened");
    assert_eq!((&opened["peer"], opened["from"].is_string()), (&1.into(), true));
    peer.say("/quit\n");
    peer.expect_end();
    drop(peer);
    let closed = event(&server.err, "closed");
    assert_eq!((&closed["peer"], &closed["why"]), (&1.into(), &"left".into()));
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    assert_eq!(event(&server.err, "stopping")["cause"], "SIGTERM");
    event(&server.err, "stopped");
    for line in server.err.text().lines() {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        for name in ["time", "level", "target", "message"] {
            assert!(told[name].is_string(), "{name} in {line}");
        }
    }
}

#[test]
fn the_last_error_is_an_event_too_however_quiet_the_log_is() {
    let mut server =
        Program::start(&["-q", "--log-format", "json", "serve", "--tcp", "192.0.2.1:9"]);
    assert_eq!(server.exit(), 1);
    let failed = event(&server.err, "failed");
    assert_eq!((&failed["code"], &failed["level"]), (&1.into(), &"error".into()));
    let message = failed["message"].as_str().unwrap();
    assert!(message.starts_with("reactor: bind tcp 192.0.2.1:9: "), "{message}");
}

/// As the service manager connects it: JOURNAL_STREAM names the stderr of the process.
#[test]
fn under_the_journal_lines_have_a_priority_and_no_time() {
    let script = "JOURNAL_STREAM=$(stat -L -c %d:%i /dev/fd/2) exec \"$0\" \"$@\"";
    let mut shell = command(&[]);
    let reactor = shell.get_program().to_owned();
    let mut sh = std::process::Command::new("sh");
    sh.arg("-c").arg(script).arg(reactor).env_remove("RUST_LOG");
    sh.args(["-v", "serve", "--tcp", "127.0.0.1:0", "--allow", "127.0.0.1"]);
    sh.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    sh.stderr(std::process::Stdio::piped());
    drop(std::mem::replace(&mut shell, sh));
    let mut server = Program::spawn(shell);
    let line = server.err.wait_for("listening tcp ");
    assert!(line.starts_with("<6>listening tcp 127.0.0.1:"), "{line}");
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    for line in server.err.text().lines() {
        let rest = line.strip_prefix("<6>").unwrap_or_else(|| panic!("no priority: {line}"));
        assert!(!rest.starts_with('['), "a time stamp: {line}");
    }
    // A child whose stderr is something else inherits the variable all the same.
    let mut other = command(&["-v", "serve", "--tcp", "127.0.0.1:0"]);
    other.env("JOURNAL_STREAM", "1:1");
    assert!(Program::spawn(other).err.wait_for("descriptor limit").starts_with("[20"));
}
