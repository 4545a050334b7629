//! The forms of a bench's report, from tiny real runs.

use crate::support::Program;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// A run that takes a moment.
const TINY: [&str; 8] =
    ["bench", "fanout", "--subscribers", "3", "--messages", "5", "--rate", "200"];

/// A path of this test's own.
fn path(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bench_report");
    fs::create_dir_all(&folder).unwrap();
    folder.join(name).into_os_string().into_string().unwrap()
}

/// Runs to the end and returns the exit code, stdout and stderr.
fn run(args: &[&str]) -> (i32, String, String) {
    let mut program = Program::start(args);
    let code = program.exit();
    (code, program.out.all(), program.err.all())
}

/// Nothing was wrong but that this machine was busy: then a run rightly ends INVALID.
fn expect_good(code: i32, err: &str) {
    let busy = err.starts_with("reactor: INVALID: the bench was the bottleneck");
    assert!((code == 0 && err.is_empty()) || (busy && err.lines().count() == 1), "{code} {err}");
}

fn run_tiny(more: &[&str]) -> (i32, String, String) {
    run(&[&TINY[..], more].concat())
}

fn schema() -> Value {
    serde_json::from_str(include_str!("../../docs/bench.schema.json")).unwrap()
}

/// As much of JSON Schema as ours uses; and every field must be described.
fn check(value: &Value, schema: &Value, at: &str) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let is = |wanted: &Value| wanted == kind || (wanted == "number" && kind == "integer");
    match &schema["type"] {
        Value::Null => {}
        Value::Array(kinds) => assert!(kinds.iter().any(is), "{at}: {value}"),
        wanted => assert!(is(wanted), "{at}: {value} is no {wanted}"),
    }
    if let Some(wanted) = schema.get("const") {
        assert_eq!(value, wanted, "{at}");
    }
    if let Some(all) = schema["enum"].as_array() {
        assert!(all.contains(value), "{at}: {value}");
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{at} has no {name}");
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let described = schema["properties"].get(name).or(schema.get("additionalProperties"));
        let described = described.unwrap_or_else(|| panic!("{at}: {name} is not in the schema"));
        check(field, described, &format!("{at}.{name}"));
    }
    for item in value.as_array().into_iter().flatten() {
        check(item, &schema["items"], &format!("{at}[]"));
    }
}

#[test]
fn json_on_stdout_is_what_the_schema_says() {
    let (code, out, err) = run_tiny(&["--json"]);
    expect_good(code, &err);
    let report: Value = serde_json::from_str(&out).unwrap();
    check(&report, &schema(), "report");
    assert_eq!(report["command"][1], "fanout");
    assert_eq!(report["settings"]["subscribers"], "3");
    assert_eq!(report["curves"][0]["count"], 15);
}

#[test]
fn each_form_is_written_beside_the_text() {
    let [json, hgrm, html] = ["forms.json", "forms.hgrm", "forms.html"].map(path);
    let (code, out, err) = run_tiny(&["--json", &json, "--hgrm", &hgrm, "--html", &html]);
    expect_good(code, &err);
    assert!(out.contains("\ndeliveries a second  ") && out.contains("\n99.99 %  "), "{out}");
    let read = |path: &str| fs::read_to_string(path).unwrap();
    check(&serde_json::from_str(&read(&json)).unwrap(), &schema(), "report");
    assert!(read(&hgrm).contains("#[Unit    =           µs"));
    let page = read(&html);
    assert!(page.contains("</html>") && page.contains("<svg") && page.contains("forms.html"));
    assert!(!page.contains("http") && !page.contains("<script"));
}

#[test]
fn a_file_that_cannot_be_written_is_one_line_and_the_text_is_shown() {
    let (html, hgrm) = (path("no/such/folder.html"), path("written.hgrm"));
    let (code, out, err) = run_tiny(&["--html", &html, "--hgrm", &hgrm]);
    assert_eq!(code, 1);
    assert!(out.contains("deliveries a second"), "{out}");
    assert_eq!(err, format!("reactor: write {html}: No such file or directory (os error 2)\n"));
    assert!(fs::exists(hgrm).unwrap(), "the other file is written all the same");
}

#[test]
fn two_runs_are_compared_and_what_differs_is_warned_of() {
    let [a, b] = ["a.json", "b.json"].map(path);
    run_tiny(&["--json", &a]);
    run_tiny(&["--size", "100", "--json", &b]);
    let (code, out, err) = run(&["bench", "compare", &a, &b]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("\nwarning: size differs: A 64 bytes, B 100 bytes\n"), "{out}");
    assert!(out.contains("\nlatency from intended p99  ") && out.contains("B/A"), "{out}");
}

#[test]
fn what_cannot_be_compared_is_a_usage_error_in_one_line() {
    let [newer, broken, missing] = ["newer.json", "broken.json", "missing.json"].map(path);
    fs::write(&newer, "{\"version\": 2}").unwrap();
    fs::write(&broken, "no report").unwrap();
    for (file, why) in [
        (&newer, "its form is version 2; this program reads version 1"),
        (&broken, "not a bench report: expected ident at line 1 column 2"),
        (&missing, "No such file or directory (os error 2)"),
    ] {
        let (code, out, err) = run(&["bench", "compare", file, file]);
        assert_eq!((code, out.as_str()), (2, ""));
        assert_eq!(err, format!("reactor: {file}: {why}\n"));
    }
}
