//! The Debian package: built from this very binary, unpacked, and what it holds looked at and run.

use crate::support::{Folder, skip};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tool that this machine may lack.
fn has(tool: &str, arg: &str) -> bool {
    let has = Command::new(tool).arg(arg).output().is_ok();
    if !has {
        skip(&format!("no {tool}"));
    }
    has
}

fn text(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}{error}");
    said
}

fn packaging(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(name)
}

#[test]
fn the_debian_package_holds_what_a_service_needs_and_runs() {
    if !has("dpkg-deb", "--version") {
        return;
    }
    let folder = Folder::new();
    let binary = env!("CARGO_BIN_EXE_reactor");
    let mut build = Command::new(packaging("deb"));
    build.arg(binary).arg(folder.path("")).env("DEB_COMPRESSION", "none");
    let package = text(&mut build).trim_end().to_owned();
    let listed = text(Command::new("dpkg-deb").args(["--contents", &package]));
    for path in [
        "usr/bin/reactor",
        "etc/default/reactor",
        "usr/lib/systemd/system/reactor.service",
        "usr/lib/systemd/system/reactor.socket",
        "usr/share/man/man1/reactor.1.gz",
        "usr/share/man/man1/reactor-serve.1.gz",
        "usr/share/man/man1/reactor-bench-udp.1.gz",
        "usr/share/bash-completion/completions/reactor",
        "usr/share/zsh/vendor-completions/_reactor",
        "usr/share/fish/vendor_completions.d/reactor.fish",
        "usr/share/doc/reactor/copyright",
        "usr/share/doc/reactor/docs/SERVICE.md",
    ] {
        assert!(
            listed.lines().any(|line| line.ends_with(&format!("./{path}"))),
            "{path}: {listed}"
        );
    }
    let owners: Vec<&str> = listed.lines().filter(|line| !line.contains("root/root")).collect();
    assert!(owners.is_empty(), "{owners:?}");
    let control = text(Command::new("dpkg-deb").args(["--field", &package]));
    assert!(control.contains(concat!("Version: ", env!("CARGO_PKG_VERSION"), "-1\n")), "{control}");
    assert!(control.contains("Depends: libc6 (>= 2."), "{control}");
    let root = PathBuf::from(folder.path("root"));
    text(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&root));
    let version = text(Command::new(root.join("usr/bin/reactor")).arg("--version"));
    assert_eq!(version, concat!("reactor ", env!("CARGO_PKG_VERSION"), "\n"));
}

/// Every directive is known, and every value is one. What the units name is not installed here.
#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if !has("systemd-analyze", "--version") {
        return;
    }
    let units = [packaging("reactor.service"), packaging("reactor.socket")];
    let output = Command::new("systemd-analyze").arg("verify").args(units).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = ["/usr/bin/reactor is not executable", "'man reactor(1)' failed"];
    let ours =
        |line: &&str| line.contains("reactor.s") && !expected.iter().any(|e| line.contains(e));
    let wrong: Vec<&str> = said.lines().filter(ours).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}
