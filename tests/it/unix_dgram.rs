//! `serve --unix-dgram`: an echo for whoever has a name, over real sockets.

use crate::support::{Folder, Program, WITHIN, skip};
use crate::unix::has;
use rustix::process::Signal;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

fn serve(path: &str) -> Program {
    let server = Program::start(&["-v", "serve", "--unix-dgram", path]);
    server.err.wait_for(&format!("listening unix-dgram {path} echo"));
    server
}

fn client(folder: &Folder) -> UnixDatagram {
    let client = UnixDatagram::bind(folder.path("client")).unwrap();
    client.set_read_timeout(Some(WITHIN)).unwrap();
    client
}

/// Waits for the echo of each.
fn echoes(client: &UnixDatagram, to: &str, datagrams: &[&[u8]]) {
    let mut into = vec![0; 256 * 1024];
    for &datagram in datagrams {
        client.send_to(datagram, to).unwrap();
        let (len, from) = client.recv_from(&mut into).expect("an echo in time");
        assert_eq!((&into[..len], from.as_pathname()), (datagram, Some(Path::new(to))));
    }
}

#[test]
fn each_datagram_comes_back_whole_from_the_path() {
    let folder = Folder::new();
    let path = folder.path("echo");
    let _server = serve(&path);
    echoes(&client(&folder), &path, &[b"hello", b"", &[7; 100_000], b"again"]);
}

#[test]
fn who_has_no_name_gets_no_answer_and_is_counted() {
    let folder = Folder::new();
    let path = folder.path("echo");
    let mut server = serve(&path);
    let nobody = UnixDatagram::unbound().unwrap();
    nobody.send_to(b"hello", &path).unwrap();
    echoes(&client(&folder), &path, &[b"behind it"]);
    server.signal(Signal::TERM);
    server.err.wait_for("unnamed 1");
    assert_eq!(server.exit(), 0);
    assert!(!Path::new(&path).exists(), "removed at the end");
}

#[test]
fn a_leftover_is_replaced_and_a_live_one_is_not() {
    let folder = Folder::new();
    let path = folder.path("echo");
    let mut first = serve(&path);
    let mut second = Program::start(&["serve", "--console", "off", "--unix-dgram", &path]);
    second.err.wait_for(": a program answers there");
    assert_eq!(second.exit(), 1);
    first.signal(Signal::KILL);
    first.status();
    let _server = serve(&path);
    echoes(&client(&folder), &path, &[b"hello"]);
}

#[test]
fn a_stranger_gets_its_echo() {
    let folder = Folder::new();
    let path = folder.path("echo");
    let _server = serve(&path);
    if has("python3") {
        let program = "import socket, sys\n\
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
            s.settimeout(20)\n\
            s.bind(sys.argv[2])\n\
            s.sendto(b'hello', sys.argv[1])\n\
            assert s.recvfrom(100) == (b'hello', sys.argv[1])\n";
        let own = folder.path("python");
        let ran = Command::new("python3").args(["-c", program, &path, &own]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
    if !cfg!(target_os = "linux") {
        return skip("abstract names are Linux's");
    }
    if has("python3") {
        // An empty name: Linux finds a free one in the abstract namespace (autobind).
        let program = "import socket, sys\n\
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\
            s.settimeout(20)\n\
            s.bind('')\n\
            s.sendto(b'hello', sys.argv[1])\n\
            assert s.recvfrom(100) == (b'hello', sys.argv[1])\n";
        let ran = Command::new("python3").args(["-c", program, &path]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
}
