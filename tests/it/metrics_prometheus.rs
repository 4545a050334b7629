//! The metrics address and a real Prometheus: it scrapes, and its own checker finds nothing wrong.
//! Skipped where it is not installed (Debian's package `prometheus`).

use crate::metrics::{get, measured};
use crate::support::{Output, Peer, Program, WITHIN, skip};
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A Prometheus in a folder of its own; both go with it.
struct Prometheus {
    child: Child,
    folder: PathBuf,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn is_there(tool: &str) -> bool {
    let mut command = Command::new(tool);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    let there = command.status().is_ok_and(|status| status.success());
    if !there {
        skip(&format!("no {tool}: metrics by a stranger"));
    }
    there
}

/// A port that is free now. Another process may take it before Prometheus does: then it ends.
fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn start(target: SocketAddr, at: SocketAddr) -> (Prometheus, Output) {
    let folder = std::env::temp_dir().join(format!("reactor-it-{}-prom", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let config = format!(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  \
         - job_name: reactor\n    static_configs:\n      - targets: ['{target}']\n"
    );
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    let mut child = Command::new("prometheus")
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=data")
        .arg(format!("--web.listen-address={at}"))
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("prometheus");
    let told = Output::of(child.stderr.take().expect("stderr is a pipe"));
    (Prometheus { child, folder }, told)
}

#[test]
fn a_real_prometheus_scrapes_it_and_finds_it_up() {
    if !is_there("prometheus") {
        return;
    }
    let (server, at): (Program, SocketAddr) = measured(&[]);
    let _peer = Peer::join(server.tcp());
    let web = free_port();
    let (_prometheus, told) = start(at, web);
    told.wait_for("Server is ready to receive web requests");
    server.err.wait_for("opened #2 from"); // the first scrape
    let until = Instant::now() + WITHIN;
    loop {
        // What it has scraped is to be found a moment later, which nothing tells.
        let (_, body) = get(web, "/api/v1/query?query=reactor_peers+and+on()+up%3D%3D1");
        if body.contains("\"__name__\":\"reactor_peers\"") && body.contains(",\"1\"]") {
            break;
        }
        assert!(Instant::now() < until, "not scraped: {body}");
    }
    let (_, body) = get(web, "/api/v1/query?query=reactor_turn_duration_seconds_bucket");
    assert!(body.contains("\"le\":\"+Inf\""), "{body}");
    let (_, metadata) = get(web, "/api/v1/metadata?metric=reactor_messages_said");
    assert!(metadata.contains("\"type\":\"counter\""), "{metadata}");
}

/// promtool knows the older text form, which has no `# EOF` and counters by their full names.
#[test]
fn its_own_checker_finds_nothing_wrong() {
    if !is_there("promtool") {
        return;
    }
    let (_server, at) = measured(&[]);
    let (_, body) = get(at, "/metrics");
    let mut older = String::new();
    for line in body.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT")) {
        let counter = line.strip_prefix("# TYPE ").and_then(|line| line.strip_suffix(" counter"));
        match counter {
            Some(name) => {
                let help = format!("# HELP {name} ");
                older = older.replace(&help, &format!("# HELP {name}_total "));
                older.push_str(&format!("# TYPE {name}_total counter\n"));
            }
            None => older.push_str(&format!("{line}\n")),
        }
    }
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    child.stdin.take().unwrap().write_all(older.as_bytes()).unwrap();
    let told = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success() && text.is_empty(), "{text}\n{older}");
}
