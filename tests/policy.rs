//! What may be built into the program: `deny.toml`, checked without cargo-deny. The lists are read from
//! that file, the crates from `Cargo.lock` (all of them, whatever the platform) and from `cargo metadata`.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The texts of a list in `deny.toml`, one a line.
fn list(name: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let begin = text.find(&format!("\n{name} = [")).unwrap_or_else(|| panic!("no list {name}"));
    let body = &text[begin..][..text[begin..].find(']').unwrap()];
    let texts: BTreeSet<String> = body.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(texts.len() > 3, "{name}: {texts:?}");
    texts
}

/// Whether a licence can be kept by those that are allowed: SPDX, `OR`, `AND` and brackets.
fn is_allowed(licence: &str, allowed: &BTreeSet<String>) -> bool {
    // The slash is what crates wrote before SPDX.
    let licence = licence.replace('/', " OR ");
    either(licence.trim(), allowed)
}

fn either(expression: &str, allowed: &BTreeSet<String>) -> bool {
    split(expression, " OR ").into_iter().any(|part| {
        split(part, " AND ").into_iter().all(|part| {
            let part = part.trim();
            match part.strip_prefix('(').and_then(|part| part.strip_suffix(')')) {
                Some(inner) => either(inner, allowed),
                None => allowed.contains(part),
            }
        })
    })
}

/// At each `word` that stands in no bracket.
fn split<'a>(text: &'a str, word: &str) -> Vec<&'a str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 && text[at..].starts_with(word) => {
                parts.push(&text[start..at]);
                start = at + word.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

#[test]
fn no_banned_crate_is_in_the_lock_file_and_all_are_of_one_registry() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let banned = list("deny");
    let (mut crates, mut broken) = (0, Vec::new());
    for line in lock.lines() {
        if let Some(name) = line.strip_prefix("name = ") {
            crates += 1;
            let name = name.trim_matches('"');
            if banned.contains(name) {
                broken.push(name.to_owned());
            }
        }
        if let Some(source) = line.strip_prefix("source = ")
            && source != "\"registry+https://github.com/rust-lang/crates.io-index\""
        {
            broken.push(source.to_owned());
        }
    }
    assert!(crates > 50, "Cargo.lock was read: {crates}");
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn every_crate_has_a_licence_that_may_be_built_in() {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    if !metadata.status.success() {
        // Crates of other platforms need not be there to build for this one.
        eprintln!("skipped: cargo metadata knows no licences without a network");
        return;
    }
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let allowed = list("allow");
    let mut broken = BTreeMap::new();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "{}", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none told");
        if !is_allowed(licence, &allowed) {
            broken.insert(package["name"].to_string(), licence.to_owned());
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_licence_is_allowed_where_a_choice_or_all_of_a_sum_are() {
    let allowed: BTreeSet<String> = ["MIT", "Unicode-3.0"].map(str::to_owned).into();
    for (licence, is) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("Apache-2.0 OR MIT", true),
        ("Apache-2.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(GPL-3.0 OR Apache-2.0) AND Unicode-3.0", false),
        ("MITRE", false),
    ] {
        assert_eq!(is_allowed(licence, &allowed), is, "{licence}");
    }
}
