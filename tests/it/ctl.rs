//! `reactor ctl`: orders from scripts, exit codes, JSON.

use crate::control::{Place, controlled};
use crate::support::{Peer, Program, command};
use serde_json::Value;
use std::process::Stdio;

/// Runs `reactor ctl` with this control socket, and returns exit code, stdout and stderr.
fn ctl(place: &Place, args: &[&str]) -> (i32, String, String) {
    run(Program::start(&[&["ctl", "--control", place.text()], args].concat()))
}

fn run(mut program: Program) -> (i32, String, String) {
    program.end_input();
    let code = program.exit();
    (code, program.out.all(), program.err.text())
}

fn ok(text: &str) -> (i32, String, String) {
    (0, text.to_owned(), String::new())
}

#[test]
fn an_order_is_obeyed_with_its_slash_or_without_and_its_answer_printed() {
    let place = Place::new("ctl_order");
    let server = controlled(&place, &[]);
    let mut peer = Peer::join(server.tcp());
    assert_eq!(ctl(&place, &["/who"]), ok("#lobby, 1 member: guest1\n"));
    assert_eq!(ctl(&place, &["ping", "x"]), ok("pong: x\n"));
    assert_eq!(ctl(&place, &["all", "hello", "--json", "-x"]), ok(""));
    peer.expect_line("<operator> hello --json -x");
    let (code, stats, _) = ctl(&place, &["stats"]);
    assert!(code == 0 && stats.starts_with("peers: there 1, "), "{stats}");
    assert_eq!(ctl(&place, &["kick #1"]), ok("guest1 is kicked\n"));
    peer.expect_line("* kicked");
}

#[test]
fn what_the_server_refuses_is_exit_code_one_and_so_is_no_server() {
    let place = Place::new("ctl_refused");
    let no_server = format!(
        "reactor: connect unix:{}: No such file or directory (os error 2); is a server running with \
         --control, and at that path?\n",
        place.text()
    );
    assert_eq!(ctl(&place, &["stats"]), (1, String::new(), no_server));
    let _server = controlled(&place, &[]);
    let refused = |text: &str| (1, text.to_owned(), String::new());
    assert_eq!(ctl(&place, &["kick", "bob"]), refused("nobody is called bob\n"));
    assert_eq!(ctl(&place, &["stat"]), refused("no command /stat; did you mean /stats?\n"));
}

#[test]
fn lines_of_stdin_are_orders_where_none_was_typed() {
    let place = Place::new("ctl_stdin");
    let _server = controlled(&place, &[]);
    let mut program = Program::start(&["ctl", "--control", place.text()]);
    program.type_in("ping 1\n\n/kick bob\nping 2");
    let told = run(program);
    assert_eq!(told, (1, "pong: 1\nnobody is called bob\npong: 2\n".into(), String::new()));
}

#[test]
fn a_line_that_is_too_long_is_an_error_and_its_tail_no_order() {
    let place = Place::new("ctl_long");
    let server = controlled(&place, &[]);
    let _peer = Peer::join(server.tcp());
    let mut program = Program::start(&["ctl", "--control", place.text()]);
    program.type_in_all(["x".repeat(1024 * 1024), "kick #1\n".into()].concat());
    program.err.wait_for("reactor: stdin: a line is longer than 1048576 bytes");
    assert_eq!(program.exit(), 1);
    assert_eq!(ctl(&place, &["who"]), ok("#lobby, 1 member: guest1\n"));
}

#[test]
fn a_reader_that_has_enough_is_no_failure_but_an_order_that_was_refused_is() {
    let place = Place::new("ctl_enough");
    let _server = controlled(&place, &[]);
    for (order, code) in [("ping", 0), ("kick bob", 1)] {
        let (reader, writer) = crate::support::pipe();
        drop(reader);
        let mut command = command(&["ctl", "--control", place.text(), order]);
        command.stdout(writer);
        assert_eq!(Program::spawn(command).exit(), code, "{order}");
    }
}

#[test]
fn for_programs_an_answer_is_an_object_with_the_counters_as_fields() {
    let place = Place::new("ctl_json");
    let server = controlled(&place, &[]);
    let _peer = Peer::join(server.tcp());
    let (code, json, _) = ctl(&place, &["--json", "/stats"]);
    let value: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, json.lines().count()), (0, 1));
    assert_eq!(value["version"], 1);
    assert_eq!(value["order"], "/stats");
    assert_eq!(value["obeyed"], true);
    assert_eq!(value["stats"]["reactor_peers"], 1);
    assert_eq!(value["stats"]["reactor_control_peers"], 1);
    assert_eq!(value["stats"]["reactor_connections_accepted_total"], 2);
    assert_eq!(value["stats"]["reactor_echo_refused_total"]["own port"], 0);
    assert!(value["stats"]["reactor_turn_duration_seconds_bucket"]["+Inf"].as_u64() > Some(0));
    let (code, json, _) = ctl(&place, &["--json", "kick", "bob"]);
    let value: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((code, &value["obeyed"], &value["stats"]), (1, &Value::Bool(false), &Value::Null));
    assert_eq!(value["lines"], serde_json::json!(["nobody is called bob"]));
}

#[test]
fn the_schema_names_each_field() {
    let schema: Value = serde_json::from_str(include_str!("../../docs/ctl.schema.json")).unwrap();
    let place = Place::new("ctl_schema");
    let _server = controlled(&place, &[]);
    let (_, json, _) = ctl(&place, &["--json", "stats"]);
    let value: Value = serde_json::from_str(&json).unwrap();
    let fields =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(fields(&value), fields(&schema["properties"]));
}

#[test]
fn both_have_the_same_path_where_none_is_named() {
    let folder = std::env::temp_dir().join(format!("reactor-it-{}-run", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let with_folder = |args: &[&str]| {
        let mut command = command(args);
        command.env("XDG_RUNTIME_DIR", &folder);
        Program::spawn(command)
    };
    let mut server = with_folder(&["serve", "--tcp", ":0", "--console", "off", "--control"]);
    server.err.wait_for(&format!("listening unix {}/reactor.sock control", folder.display()));
    assert_eq!(run(with_folder(&["ctl", "ping"])), ok("pong\n"));
    assert_eq!(run(with_folder(&["ctl", "quit"])), ok(""));
    assert_eq!(server.exit(), 0);
    let _ = std::fs::remove_dir_all(&folder);
}

#[test]
fn an_abstract_name_which_everybody_could_connect_to_is_refused() {
    let why = "a path; an abstract name has no permissions, and a file of that name is ./@name";
    for args in [&["ctl", "--control", "@name", "ping"][..], &["serve", "--control", "@name"]] {
        Program::start(args).expect_failure(2, &format!("--control @name: {why}"));
    }
}

#[test]
fn without_a_path_to_guess_it_is_a_wrong_use() {
    for args in [&["ctl", "ping"][..], &["serve", "--control"]] {
        let mut command = command(args);
        command.env_remove("XDG_RUNTIME_DIR").stdin(Stdio::null());
        let line = "--control: name a PATH; there is no XDG_RUNTIME_DIR to have a default in";
        Program::spawn(command).expect_failure(2, line);
    }
}
