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

/// The server's own name can be made a sender's by whoever may write to the sender's directory.
#[test]
fn a_sender_whose_path_becomes_ours_does_not_make_it_answer_itself() {
    let folder = Folder::new();
    let path = folder.path("echo");
    let mut server = serve(&path);
    server.signal(Signal::STOP);
    client(&folder).send_to(b"for ever", &path).unwrap();
    std::fs::remove_file(folder.path("client")).unwrap();
    std::os::unix::fs::symlink(&path, folder.path("client")).unwrap();
    server.signal(Signal::CONT);
    // Its answer to itself is in its queue before this one is.
    let asker = UnixDatagram::bind(folder.path("asker")).unwrap();
    asker.set_read_timeout(Some(WITHIN)).unwrap();
    echoes(&asker, &path, &[b"behind it", b"and that"]);
    server.signal(Signal::TERM);
    server.err.wait_for("answered 3, own port 1,");
    assert_eq!(server.exit(), 0);
}

#[test]
fn a_relative_name_is_another_file_here_and_gets_no_answer() {
    let folder = Folder::new();
    let path = folder.path("echo");
    let mut server = serve(&path);
    let up = std::env::current_dir().unwrap().components().skip(1).map(|_| "../").collect();
    let relative: String = [up, folder.path("relative")[1..].to_owned()].concat();
    let sender = UnixDatagram::bind(relative).unwrap();
    sender.send_to(b"hello", &path).unwrap();
    echoes(&client(&folder), &path, &[b"behind it"]);
    server.signal(Signal::TERM);
    server.err.wait_for("source 1,");
    assert_eq!(server.exit(), 0);
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
