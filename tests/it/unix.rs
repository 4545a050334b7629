//! `serve --unix` and who comes by such a socket: the path, its permissions and its end; the same
//! rooms as over TCP; strangers (`socat`, `nc -U`, Python); `connect` and `bench`.

use crate::support::{Folder, Peer, Program, WITHIN, skip};
use rustix::process::Signal;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

/// A server of chat at `path`, and the socket is there.
fn serve(path: &str, more: &[&str]) -> Program {
    let server = Program::start(&[&["-v", "serve", "--unix", path], more].concat());
    server.err.wait_for(&format!("listening unix {path} chat"));
    server
}

/// A peer of such a server, greeted.
struct Guest {
    reader: BufReader<UnixStream>,
    name: String,
}

impl Guest {
    fn join(path: &str) -> Self {
        let stream = UnixStream::connect(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        stream.set_read_timeout(Some(WITHIN)).unwrap();
        let mut guest = Guest { reader: BufReader::new(stream), name: String::new() };
        let line = guest.line();
        guest.name = line.strip_prefix("* you are ").expect("a greeting").to_owned();
        guest
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("a line in time");
        line.trim_end_matches('\n').to_owned()
    }

    fn say(&mut self, text: &str) {
        self.reader.get_mut().write_all(text.as_bytes()).expect("the server reads");
    }
}

/// Its permissions, and that it is a socket.
fn mode(path: &str) -> u32 {
    let stat = fs::symlink_metadata(path).unwrap();
    assert!(stat.file_type().is_socket());
    stat.mode() & 0o7777
}

/// What a server that cannot bind says last.
fn refused(path: &str) -> String {
    let mut server = Program::start(&["serve", "--console", "off", "--unix", path]);
    let line = server.err.wait_for("reactor: bind unix ");
    assert_eq!(server.exit(), 1);
    line
}

/// Whether a tool is there; a word where it is not.
pub(super) fn has(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = std::env::split_paths(&path).any(|folder| folder.join(tool).exists());
    if !has {
        skip(&format!("no {tool} to talk to a Unix socket"));
    }
    has
}

/// A stranger says a line, and what it is told comes back; `* you are guestN` first.
fn stranger_says(command: &mut Command, server: &mut Guest, line: &str) {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the tool starts");
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut greeting = String::new();
    out.read_line(&mut greeting).unwrap();
    let name = greeting.trim_end().strip_prefix("* you are ").expect("a greeting").to_owned();
    assert_eq!(server.line(), format!("* {name} joined"));
    child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    assert_eq!(server.line(), format!("<{name}> {line}"));
    server.say("goodbye\n");
    let mut heard = String::new();
    out.read_line(&mut heard).unwrap();
    assert_eq!(heard, format!("<{}> goodbye\n", server.name));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(server.line(), format!("* {name} left"));
}

#[test]
fn peers_of_both_families_are_in_the_same_room() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let server = serve(&path, &["--tcp", "127.0.0.1:0"]);
    let mut far = Peer::join(server.tcp());
    let mut near = Guest::join(&path);
    far.expect_line(format!("* {} joined", near.name));
    near.say("hello\n");
    far.expect_line(format!("<{}> hello", near.name));
    far.say("hello yourself\n");
    assert_eq!(near.line(), format!("<{}> hello yourself", far.name));
}

#[test]
fn the_path_is_its_owners_alone_unless_a_mode_is_given() {
    let folder = Folder::new();
    let (own, all) = (folder.path("own"), folder.path("all"));
    let _own = serve(&own, &[]);
    // Bits that the umask takes from new files are there all the same.
    let _all = serve(&all, &["--unix-mode", "666"]);
    assert_eq!((mode(&own), mode(&all)), (0o600, 0o666));
}

#[test]
fn the_path_is_removed_at_the_end() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let mut server = serve(&path, &[]);
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    assert!(!Path::new(&path).exists());
}

#[test]
fn another_programs_socket_at_the_path_is_not_removed_at_the_end() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let mut server = serve(&path, &[]);
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    assert!(UnixStream::connect(&path).is_ok());
}

#[test]
fn a_leftover_of_a_killed_server_is_replaced() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let mut server = serve(&path, &[]);
    server.signal(Signal::KILL);
    server.status();
    let refused = UnixStream::connect(&path).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let _server = serve(&path, &[]);
    Guest::join(&path);
}

#[test]
fn a_live_server_keeps_its_path_and_its_peers() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let _server = serve(&path, &[]);
    let line = refused(&path);
    assert!(line.ends_with(": a program answers there; stop it, or take another path"), "{line}");
    Guest::join(&path);
}

#[test]
fn what_is_no_socket_is_never_removed() {
    let folder = Folder::new();
    let (file, link) = (folder.path("file"), folder.path("link"));
    fs::write(&file, "kept").unwrap();
    symlink(folder.path("nothing"), &link).unwrap();
    for path in [&file, &link] {
        let line = refused(path);
        assert!(line.ends_with("that is no socket; it is left alone"), "{line}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"kept");
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_path_that_cannot_be_one_is_a_usage_error() {
    let long = "x".repeat(108);
    for (words, told) in [
        (["--unix", &long], "at most 107 bytes, this one has 108"),
        (["--unix", ""], "a Unix socket is a path such as"),
        (["--unix-mode", "8"], "permissions in octal"),
        (["--tcp", "unix:/chat"], "that is a Unix socket; serve it with --unix"),
    ] {
        let mut server = Program::start(&[&["serve"], &words[..]].concat());
        server.err.wait_for(told);
        assert_eq!(server.exit(), 2, "{words:?}");
    }
}

#[test]
fn the_operator_sees_which_process_came_and_peers_do_not() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let mut server = serve(&path, &["--console", "commands"]);
    let mut guest = Guest::join(&path);
    server.type_in("/who\n");
    let (pid, uid) = (std::process::id(), rustix::process::getuid().as_raw());
    server.out.wait_for(&format!("{} #1: pid {pid} uid {uid} gid ", guest.name));
    guest.say("/who\n");
    assert_eq!(guest.line(), format!("* #lobby, 1 member: {}", guest.name));
    guest.say("/time\n"); // whatever the answer is: no line of a process stands before it
    assert!(!guest.line().contains("pid"));
}

#[test]
fn rules_and_limits_by_address_are_not_for_peers_of_a_unix_socket_but_the_crowd_is() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let more = [
        "--deny",
        "all",
        "--peers-per-address-max",
        "1",
        "--connect-rate",
        "1",
        "--peers-max",
        "2",
    ];
    let _server = serve(&path, &more);
    let _two = [Guest::join(&path), Guest::join(&path)];
    let third = UnixStream::connect(&path).unwrap();
    third.set_read_timeout(Some(WITHIN)).unwrap();
    let mut line = String::new();
    BufReader::new(third).read_line(&mut line).unwrap();
    assert_eq!(line, "* too many peers\n");
}

#[test]
fn a_long_message_comes_whole_and_the_end_behind_it() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let _server = serve(&path, &["--line-max", "200KiB", "--log-bytes", "4MiB"]);
    let (mut reader, mut talker) = (Guest::join(&path), Guest::join(&path));
    assert_eq!(reader.line(), format!("* {} joined", talker.name));
    let text = "x".repeat(190 * 1024);
    talker.say(&text); // no line end: the end of input is one
    talker.reader.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(reader.line(), format!("<{}> {text}", talker.name));
    assert_eq!(reader.line(), format!("* {} left", talker.name));
}

#[test]
fn a_line_behind_descriptors_that_were_sent_along_is_heard_at_once() {
    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
    use std::io::IoSlice;
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd;
    let folder = Folder::new();
    let path = folder.path("chat");
    let server = serve(&path, &[]);
    let (mut reader, talker) = (Guest::join(&path), Guest::join(&path));
    assert_eq!(reader.line(), format!("* {} joined", talker.name));
    // While it stands still both lines come in, so that one read would end between them.
    server.signal(Signal::STOP);
    let stream = talker.reader.get_ref();
    let fds = [stream.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(stream, &[IoSlice::new(b"one\n")], &mut control, SendFlags::empty()).unwrap();
    { stream }.write_all(b"two\n").unwrap();
    server.signal(Signal::CONT);
    for word in ["one", "two"] {
        assert_eq!(reader.line(), format!("<{}> {word}", talker.name));
    }
}

#[test]
fn strangers_talk_there() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let _server = serve(&path, &["--history", "0"]);
    let mut guest = Guest::join(&path);
    if has("socat") {
        let to = format!("UNIX-CONNECT:{path}");
        stranger_says(Command::new("socat").args(["-", &to]), &mut guest, "hello from socat");
    }
    if has("nc") {
        stranger_says(Command::new("nc").args(["-U", &path]), &mut guest, "hello from nc");
    }
    if has("python3") {
        let program = "import socket, sys\n\
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)\n\
            s.connect(sys.argv[1])\n\
            f = s.makefile('rw', newline='\\n')\n\
            print(f.readline(), end='', flush=True)\n\
            f.write(sys.stdin.readline()); f.flush()\n\
            print(f.readline(), end='', flush=True)\n\
            sys.stdin.readline()\n";
        let mut python = Command::new("python3");
        stranger_says(python.args(["-c", program, &path]), &mut guest, "hello from Python");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_name_is_served_and_connected_to() {
    let name = format!("@reactor-test-{}", std::process::id());
    let _server = serve(&name, &[]);
    let mut client = Program::start(&["connect", &format!("unix:{name}")]);
    client.out.wait_for("* you are guest1");
    client.end_input();
    assert_eq!(client.exit(), 0);
    let line = refused(&name);
    assert!(line.contains("Address already in use"), "{line}");
}

#[test]
fn connect_tells_where_nobody_listens() {
    let folder = Folder::new();
    let path = folder.path("nothing");
    let mut client = Program::start(&["connect", &format!("unix:{path}")]);
    client.err.wait_for(&format!("reactor: unix:{path}: connect: No such file or directory"));
    assert_eq!(client.exit(), 1);
}

#[test]
fn a_client_finds_a_server_again_that_was_killed() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let mut server = serve(&path, &[]);
    let client = Program::start(&["connect", "--reconnect", &format!("unix:{path}")]);
    client.out.wait_for("* you are guest1");
    server.signal(Signal::KILL);
    server.status();
    client.err.wait_for("trying again in");
    let _server = serve(&path, &[]);
    client.err.wait_for(&format!("connected again to unix:{path}"));
}

#[test]
fn a_bench_measures_a_server_there() {
    let folder = Folder::new();
    let path = folder.path("chat");
    let _server = serve(&path, &["--protocol", "chat"]);
    let to = format!("unix:{path}");
    let words = "bench rtt --messages 20 --warmup 0s --server";
    let words: Vec<&str> = words.split(' ').chain([to.as_str()]).collect();
    let mut bench = Program::start(&words);
    bench.out.wait_for(&to);
    bench.status();
}
