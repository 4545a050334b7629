//! What a service manager sees of a server: the notices of sd_notify(3), and the files that say who
//! and where it is.

use crate::support::{Folder, Peer, Program, WITHIN, command};
use rustix::process::Signal;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::{Command, Stdio};

/// The service manager's end of the socket.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &str) -> Self {
        let socket = match path.strip_prefix('@') {
            Some(name) => UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name).unwrap()),
            None => UnixDatagram::bind(path),
        };
        let socket = socket.unwrap();
        socket.set_read_timeout(Some(WITHIN)).unwrap();
        Manager(socket)
    }

    /// The next notice that is not about peers.
    fn hears(&self) -> String {
        loop {
            let mut bytes = [0; 4096];
            let len = crate::support::uninterrupted(|| self.0.recv(&mut bytes)).expect("a notice");
            let text = std::str::from_utf8(&bytes[..len]).unwrap().to_owned();
            if !text.starts_with("STATUS=") {
                return text;
            }
        }
    }

    /// Waits for this status.
    fn hears_status(&self, status: &str) {
        loop {
            let mut bytes = [0; 4096];
            let len = crate::support::uninterrupted(|| self.0.recv(&mut bytes)).expect("a notice");
            if bytes[..len] == *format!("STATUS={status}\n").as_bytes() {
                return;
            }
        }
    }
}

fn managed(socket: &str, more: &[&str]) -> std::process::Command {
    let mut serve =
        command(&[&["serve", "--tcp", "127.0.0.1:0", "--console", "off"], more].concat());
    serve.env("NOTIFY_SOCKET", socket).env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    serve
}

#[test]
fn it_tells_that_it_is_ready_how_it_goes_and_that_it_stops() {
    let folder = Folder::new();
    for path in [folder.path("notify"), format!("@reactor-it-{}", std::process::id())] {
        let manager = Manager::at(&path);
        let mut server = Program::spawn(managed(&path, &[]));
        assert_eq!(manager.hears(), "READY=1\nSTATUS=0 peers in 1 room\n");
        let peer = Peer::join(server.tcp());
        manager.hears_status("1 peer in 1 room");
        server.signal(Signal::TERM);
        assert_eq!(manager.hears(), "STOPPING=1\nSTATUS=stopping: SIGTERM\n");
        drop(peer);
        assert_eq!(server.exit(), 0);
    }
}

#[test]
fn a_reload_is_told_with_its_time_and_its_end_and_without_a_file_too() {
    let folder = Folder::new();
    let (path, access) = (folder.path("notify"), folder.path("access"));
    fs::write(&access, "allow 127.0.0.1\n").unwrap();
    let manager = Manager::at(&path);
    for more in [&["--access", &*access][..], &[]] {
        let mut server = Program::spawn(managed(&path, more));
        assert!(manager.hears().starts_with("READY=1\n"));
        server.signal(Signal::HUP);
        let reloading = manager.hears();
        let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("RELOADING");
        assert!(usec.trim_end().parse::<u64>().is_ok_and(|usec| usec > 0), "{usec}");
        assert!(manager.hears().starts_with("READY=1\n"));
        Peer::join(server.tcp());
        server.signal(Signal::TERM);
        assert!(manager.hears().starts_with("STOPPING=1\n"));
        assert_eq!(server.exit(), 0);
    }
}

#[test]
fn an_idle_server_tells_that_it_lives_and_one_that_hangs_does_not() {
    let folder = Folder::new();
    let path = folder.path("notify");
    let manager = Manager::at(&path);
    let mut serve = managed(&path, &[]);
    serve.env("WATCHDOG_USEC", "100000");
    let server = Program::spawn(serve);
    assert!(manager.hears().starts_with("READY=1\n"));
    for _ in 0..5 {
        assert_eq!(manager.hears(), "WATCHDOG=1\n");
    }
    server.signal(Signal::STOP);
    // What it had sent before is read; then nothing comes for longer than two of them would take.
    manager.0.set_read_timeout(Some(std::time::Duration::from_millis(400))).unwrap();
    while manager.0.recv(&mut [0; 64]).is_ok() {}
    server.signal(Signal::CONT);
    manager.0.set_read_timeout(Some(WITHIN)).unwrap();
    assert_eq!(manager.hears(), "WATCHDOG=1\n");
}

#[test]
fn a_manager_that_is_not_there_is_a_warning_and_no_end() {
    let folder = Folder::new();
    for (path, why) in [(folder.path("nobody"), "No such file"), ("vsock:2:1".into(), "neither")] {
        let mut server = Program::spawn(managed(&path, &[]));
        let told = server.err.wait_for("service manager: ");
        assert!(told.contains(why), "{told}");
        Peer::join(server.tcp());
        server.signal(Signal::TERM);
        assert_eq!(server.exit(), 0);
    }
}

#[test]
fn a_reload_stops_nobody_whose_manager_is_away_and_it_hears_of_it_when_it_is_back() {
    let folder = Folder::new();
    let path = folder.path("notify");
    let mut server = Program::spawn(managed(&path, &[]));
    server.err.wait_for("service manager: ");
    server.signal(Signal::HUP);
    Peer::join(server.tcp());
    let manager = Manager::at(&path);
    while !manager.hears().starts_with("RELOADING=1\n") {} // READY of the start may come first
    assert!(manager.hears().starts_with("READY=1\n"));
    server.signal(Signal::TERM);
    assert!(manager.hears().starts_with("STOPPING=1\n"));
    assert_eq!(server.exit(), 0);
    assert_eq!(server.err.text().matches("service manager: ").count(), 1, "{}", server.err.text());
}

#[test]
fn the_files_say_who_and_where_and_go_with_the_server() {
    let folder = Folder::new();
    let (pid, port) = (folder.path("pid"), folder.path("ports"));
    let files = ["--udp", "127.0.0.1:0", "--pid-file", &pid, "--port-file", &port];
    let notify = folder.path("notify");
    let manager = Manager::at(&notify);
    let mut server = Program::spawn(managed(&notify, &files));
    assert!(manager.hears().starts_with("READY=1\n"), "they are there before it is ready");
    assert_eq!(fs::read_to_string(&pid).unwrap(), format!("{}\n", server.id()));
    let ports = format!("tcp {} chat\nudp {} echo\n", server.tcp(), server.udp());
    assert_eq!(fs::read_to_string(&port).unwrap(), ports);
    // Nobody else gets a file that a living server holds.
    Program::start(&["-q", "serve", "--tcp", "127.0.0.1:0", "--pid-file", &pid])
        .err
        .wait_for(&format!("reactor: --pid-file {pid}: a running process holds it"));
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    assert!(!fs::exists(&pid).unwrap() && !fs::exists(&port).unwrap());
}

#[test]
fn a_file_that_a_killed_server_left_behind_is_replaced() {
    let folder = Folder::new();
    let pid = folder.path("pid");
    let serve = ["serve", "--tcp", "127.0.0.1:0", "--pid-file", &pid, "--console", "off"];
    for _ in 0..2 {
        let mut server = Program::start(&serve);
        Peer::join(server.tcp());
        assert_eq!(fs::read_to_string(&pid).unwrap(), format!("{}\n", server.id()));
        server.signal(Signal::KILL);
        server.status();
    }
    assert!(fs::exists(&pid).unwrap());
}

#[test]
fn the_files_are_readable_for_everybody_whatever_the_umask_is() {
    use std::os::unix::fs::MetadataExt;
    let folder = Folder::new();
    let pid = folder.path("pid");
    let mut sh = Command::new("sh");
    let serve = "umask 077; exec \"$0\" serve --console off --tcp 127.0.0.1:0 --pid-file \"$1\"";
    sh.args(["-c", serve, env!("CARGO_BIN_EXE_reactor"), &pid]);
    sh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let server = Program::spawn(sh);
    Peer::join(server.tcp());
    assert_eq!(fs::metadata(&pid).unwrap().mode() & 0o777, 0o644);
}
