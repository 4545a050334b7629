//! `connect --transcript`: what stands in it, and files that take nothing.

use crate::connect::{accept, listener};
use crate::support::{Program, file_of, skip};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A path of the test's own that nothing is at.
fn path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("reactor-{}-{name}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

#[test]
fn what_is_shown_and_said_stands_in_it_line_by_line_and_is_appended() {
    let (listener, at) = listener();
    let path = path("transcript");
    for round in 1..=2 {
        let file = path.to_str().unwrap();
        let mut client = Program::start(&["connect", &at, "--transcript", file]);
        let mut server = accept(&listener);
        server.say("<ann> red \x1b[31m\nunfini");
        client.out.wait_until("all", |bytes, _| bytes.ends_with(b"unfini").then_some(()));
        client.type_in("hello\nbye");
        client.end_input();
        server.expect_bytes("hello\nbye");
        server.expect_end();
        drop(server);
        assert_eq!(client.exit(), 0);
        let one = "< <ann> red \\x1b[31m\n> hello\n< unfini\n> bye\n";
        assert_eq!(fs::read_to_string(&path).unwrap(), one.repeat(round));
    }
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "for its owner alone");
    fs::remove_file(&path).unwrap();
}

#[test]
fn messages_of_raw_are_a_line_each() {
    let (listener, at) = listener();
    let path = path("raw");
    let file = path.to_str().unwrap();
    let mut client = Program::start(&["connect", &at, "--protocol", "raw", "--transcript", file]);
    client.type_in("one\n");
    let mut server = accept(&listener);
    server.expect_bytes("one");
    server.say("two");
    drop(server);
    assert_eq!(client.exit(), 0);
    assert_eq!(fs::read_to_string(&path).unwrap(), "> one\n< two\n");
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_full_disk_is_told_once_and_the_client_goes_on() {
    if !PathBuf::from("/dev/full").exists() {
        return skip("no /dev/full");
    }
    let (listener, at) = listener();
    let mut client = Program::start(&["connect", &at, "--transcript", "/dev/full"]);
    let mut server = accept(&listener);
    server.say("one\n");
    client.err.wait_for("transcript: send: No space left on device (os error 28); it ends here");
    server.say("two\n");
    client.out.expect_line("one");
    client.out.expect_line("two");
    client.type_in("three\n");
    server.expect_bytes("three\n");
    drop(server);
    assert_eq!(client.exit(), 0);
    assert_eq!(client.err.text().matches("transcript").count(), 1);
}

#[test]
fn a_file_that_cannot_be_opened_is_told_in_one_line_before_anything_is_dialed() {
    let (_listener, at) = listener();
    let there = file_of(b"");
    let below = format!("/proc/self/fd/{}/file", there.as_raw_fd());
    let client = Program::start(&["connect", &at, "--transcript", "/nonexistent/file"]);
    client.expect_failure(1, "open /nonexistent/file: No such file or directory (os error 2)");
    let mut client = Program::start(&["connect", &at, "--transcript", &below]);
    assert_eq!(client.exit(), 1);
}
