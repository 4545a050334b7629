//! Who may come in: by address, by number, by secret; and that nobody's words pass for the server's.
//! What needs peers from further away than loopback stands beside `src/serve/`.

use crate::support::{Peer, Program, command, receive_from, terminal, udp_socket};
use rustix::process::Signal;
use std::fs;
use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file that its owner alone reads, gone when it is dropped.
struct Place(PathBuf);

impl Place {
    fn of(text: impl AsRef<[u8]>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("reactor-it-gate-{}-{next}", std::process::id());
        let place = Place(std::env::temp_dir().join(name));
        place.write(text);
        place.mode(0o600);
        place
    }

    fn write(&self, text: impl AsRef<[u8]>) {
        fs::write(&self.0, text).unwrap();
    }

    fn mode(&self, mode: u32) {
        fs::set_permissions(&self.0, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A peer from 127.0.0.`last`.
fn from(last: u8, to: SocketAddr) -> Peer {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &SocketAddrV4::new([127, 0, 0, last].into(), 0)).unwrap();
    connect(&socket, &to).unwrap();
    Peer::of(TcpStream::from(socket))
}

fn expect_refused(mut peer: Peer, told: &str) {
    peer.expect_line(told);
    peer.expect_end();
}

#[test]
fn the_longest_prefix_decides_who_comes_in() {
    let rules = ["--deny", "127.0.0.0/8", "--allow", "::ffff:127.0.0.2"];
    let server = Program::serve(&rules);
    expect_refused(from(1, server.tcp()), "* not allowed");
    server.err.wait_for("closed #1: not allowed");
    from(2, server.tcp()).greeted();
    let server = Program::serve(&["--allow", "127.0.0.0/8", "--deny", "127.0.0.2"]);
    from(1, server.tcp()).greeted();
    expect_refused(from(2, server.tcp()), "* not allowed");
}

#[test]
fn in_lines_and_raw_who_is_refused_gets_the_end_and_no_word() {
    for protocol in ["lines", "raw"] {
        let server = Program::serve(&["--protocol", protocol, "--deny", "127.0.0.2"]);
        from(2, server.tcp()).expect_end();
        server.err.wait_for("closed #1: not allowed");
    }
}

#[test]
fn a_datagram_from_who_may_not_come_in_is_counted_and_not_answered() {
    let mut server =
        Program::start(&["serve", "--udp", "127.0.0.1:0", "--deny", "127.0.0.2", "-v"]);
    let (denied, other) = (udp_socket("127.0.0.2:0"), udp_socket("127.0.0.1:0"));
    denied.send_to(b"denied", server.udp()).unwrap();
    other.send_to(b"other", server.udp()).unwrap();
    assert_eq!(receive_from(&other).0, b"other");
    denied.set_nonblocking(true).unwrap();
    denied.recv_from(&mut [0; 16]).expect_err("the one before it was not answered");
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    server.err.wait_for("echo: answered 1, own port 0, ");
    server.err.wait_for(", not allowed 1, unnamed 0, loops 0");
}

#[test]
fn the_access_file_is_read_again_on_sighup_and_who_is_there_stays() {
    let rules = Place::of("allow 127.0.0.1 # us\n");
    let server = Program::serve(&["--access", rules.path()]);
    let mut one = from(1, server.tcp());
    one.greeted();
    expect_refused(from(2, server.tcp()), "* not allowed");
    rules.write("allow 127.0.0.2\n");
    server.signal(Signal::HUP);
    server
        .err
        .wait_for(": 1 rules, the flags' included; 1 who are there and could not come in now stay");
    expect_refused(from(1, server.tcp()), "* not allowed");
    let mut two = from(2, server.tcp());
    two.greeted();
    one.expect_line(format!("* {} joined", two.name));
    two.say("hello\n");
    one.expect_line(format!("<{}> hello", two.name));
    one.say("still here\n");
    two.expect_line(format!("<{}> still here", one.name));
}

#[test]
fn an_access_file_that_is_wrong_or_gone_changes_nothing_and_is_told() {
    let rules = Place::of("deny 127.0.0.2\n");
    let server = Program::serve(&["--access", rules.path()]);
    let mut one = from(1, server.tcp());
    one.greeted();
    let told = |why: &str| {
        server.signal(Signal::HUP);
        let told = server.err.wait_for(why);
        assert!(told.contains("WARN") && told.ends_with("; the rules before stay"), "{told}");
        expect_refused(from(2, server.tcp()), "* not allowed");
    };
    rules.write("allow all\ndeny 127.0.0.1\npermit all\n");
    told(": line 3: write allow ADDRESS[/PREFIX] or deny ADDRESS[/PREFIX]");
    rules.write("");
    told(": no rule in it");
    rules.write("#".repeat(200_000));
    told(": longer than 131072 bytes");
    fs::remove_file(&rules.0).unwrap();
    told(": No such file or directory");
    fs::create_dir(&rules.0).unwrap();
    told(": not a regular file");
    fs::remove_dir(&rules.0).unwrap();
    let mut again = from(1, server.tcp());
    again.greeted();
    one.expect_line(format!("* {} joined", again.name));
}

#[test]
fn an_access_file_that_is_wrong_at_the_start_is_an_error() {
    let rules = Place::of("deny 127.0.0.1/99\n");
    let why = "line 1: 127.0.0.1/99: not an address or ADDRESS/PREFIX";
    let told = format!("reactor: access file {}: {why}", rules.path());
    let mut server = Program::serve(&["--access", rules.path()]);
    assert_eq!(server.exit(), 1);
    server.err.wait_for(&told);
}

#[test]
fn without_an_access_file_sighup_stops() {
    let mut server = Program::serve(&["--allow", "127.0.0.1"]);
    server.tcp();
    server.signal(Signal::HUP);
    assert_eq!(server.exit(), 0);
}

#[test]
fn sighup_reads_again_while_the_terminal_is_there_and_stops_when_it_has_hung_up() {
    let (master, slave) = terminal();
    let rules = Place::of("allow all\n");
    let mut child = command(&["-v", "serve", "--tcp", "127.0.0.1:0", "--access", rules.path()]);
    child.stdin(Stdio::from(slave));
    let mut server = Program::spawn(child);
    server.tcp();
    rules.write("allow all\ndeny 192.0.2.1\n");
    server.signal(Signal::HUP);
    server.err.wait_for(": 3 rules");
    drop(master);
    server.signal(Signal::HUP);
    assert_eq!(server.exit(), 0);
    server.err.wait_for("stopping: SIGHUP");
}

#[test]
fn one_peer_too_many_is_told_so_and_comes_in_when_there_is_room() {
    let mut server = Program::serve(&["--peers-max", "2", "--console", "commands"]);
    let mut one = Peer::join(server.tcp());
    let two = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", two.name));
    expect_refused(Peer::connect(server.tcp()), "* too many peers");
    server.err.wait_for("closed #3: too many peers");
    drop(two);
    one.expect_line("* guest2 left");
    server.err.wait_for("closed #2");
    let third = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", third.name));
    server.type_in("/limits peers-max 3\n");
    server.out.wait_for("* peers-max 3");
    let fourth = Peer::join(server.tcp());
    one.expect_line(format!("* {} joined", fourth.name));
    server.type_in("/stats\n");
    server.out.wait_for("too many peers 1");
}

#[test]
fn loopback_has_no_limit_of_its_own() {
    let server = Program::serve(&["--peers-per-address-max", "1", "--connect-rate", "1/s"]);
    let peers: Vec<Peer> = (0..5).map(|_| Peer::join(server.tcp())).collect();
    assert_eq!(peers.len(), 5);
}

#[test]
fn nothing_of_the_room_is_heard_or_seen_before_the_secret() {
    let secret = Place::of("open sesame\n");
    let server = Program::serve(&["--secret-file", secret.path()]);
    let mut one = Peer::connect(server.tcp());
    one.expect_line("* say the secret: your first line");
    one.say("open sesame\r\n");
    one.greeted();
    one.say("before\n/who\n");
    one.expect_line("* #lobby, 2 members: operator, guest1");
    let mut two = Peer::connect(server.tcp());
    two.expect_line("* say the secret: your first line");
    one.say("meanwhile\n/who\n/msg guest2 psst\n");
    one.expect_line("* #lobby, 2 members: operator, guest1");
    one.expect_line("* nobody is called guest2");
    two.say("/who\n");
    two.expect_line("* that is not the secret: 2 tries left");
    // What follows in the same read is its stream.
    two.say("open sesame\nhello\n/ping\n");
    two.greeted();
    two.expect_line("* pong");
    two.expect_line("<guest1> before");
    two.expect_line("<guest1> meanwhile");
    one.expect_line("* guest2 joined");
    one.expect_line("<guest2> hello");
}

#[test]
fn the_secret_is_taken_out_of_the_stream_in_lines_and_raw() {
    for (protocol, said) in [("lines", "one\n"), ("raw", "one")] {
        let secret = Place::of("sesame");
        let server = Program::serve(&["--protocol", protocol, "--secret-file", secret.path()]);
        let mut one = Peer::connect(server.tcp());
        one.say("sesame\n");
        server.err.wait_for("opened #1");
        one.say("nobody is there yet\n");
        let mut two = Peer::connect(server.tcp());
        two.say("wrong\nses");
        two.say(format!("ame\n{said}"));
        one.expect_bytes(said);
        one.say("two\n");
        two.expect_bytes("two\n");
    }
}

#[test]
fn who_does_not_know_the_secret_is_closed_after_three_tries() {
    let secret = Place::of("sesame\n");
    let server = Program::serve(&["--secret-file", secret.path()]);
    let mut peer = Peer::connect(server.tcp());
    peer.expect_line("* say the secret: your first line");
    peer.say("a\n\nb\nsesame\nhello\n");
    peer.expect_line("* that is not the secret: 2 tries left");
    peer.expect_line("* that is not the secret: 1 try left");
    peer.expect_line("* that is not the secret");
    peer.expect_end();
    server.err.wait_for("closed #1: no secret");
    let mut long = Peer::connect(server.tcp());
    long.expect_line("* say the secret: your first line");
    long.say("x".repeat(1_000));
    long.expect_line("* that is not the secret");
    long.expect_end();
}

#[test]
fn who_is_still_to_say_the_secret_counts_for_peers_max() {
    let secret = Place::of("sesame\n");
    let server = Program::serve(&["--secret-file", secret.path(), "--peers-max", "1"]);
    let mut one = Peer::connect(server.tcp());
    one.expect_line("* say the secret: your first line");
    expect_refused(Peer::connect(server.tcp()), "* too many peers");
    one.end_output();
    one.expect_end();
    server.err.wait_for("closed #1: left");
    Peer::connect(server.tcp()).expect_line("* say the secret: your first line");
}

#[test]
fn connect_says_the_secret_before_its_name_and_no_log_tells_it() {
    let secret = Place::of("open sesame\n");
    for (protocol, name) in [("chat", &["--name", "ann"][..]), ("lines", &[]), ("raw", &[])] {
        let serve = ["-vv", "serve", "--tcp", "127.0.0.1:0", "--console", "off"];
        let asks = ["--protocol", protocol, "--secret-file", secret.path()];
        let mut server = Program::start(&[&serve[..], &asks].concat());
        let at = server.tcp().to_string();
        let mut one = Peer::connect(server.tcp());
        one.say("open sesame\n");
        server.err.wait_for("recv #1 12 bytes");
        let args = ["-vv", "connect", &at, "--protocol", protocol];
        let secret_file = ["--secret-file", secret.path()];
        let mut client = Program::start(&[&args[..], &secret_file, name].concat());
        client.type_in("hello\n");
        if protocol == "chat" {
            one.expect_line("* say the secret: your first line");
            one.greeted();
            one.expect_line("* guest2 joined");
            one.expect_line("* guest2 is now ann");
            one.expect_line("<ann> hello");
        } else {
            one.expect_bytes("hello");
        }
        client.end_input();
        one.say("bye\n");
        drop(one);
        client.signal(Signal::TERM);
        client.status();
        server.signal(Signal::TERM);
        server.exit();
        for told in [server.err.text(), client.err.text(), client.out.text()] {
            assert!(!told.contains("sesame"), "{told}");
        }
    }
}

#[test]
fn a_secret_file_of_no_use_is_an_error_for_both_sides() {
    let secret = Place::of("\nsesame\n");
    for args in [&["serve", "--tcp", "127.0.0.1:0"][..], &["connect", "127.0.0.1:9"]] {
        for (path, why) in [(secret.path(), "its first line is empty"), ("/", "not a regular file")]
        {
            let mut program = Program::start(&[args, &["--secret-file", path]].concat());
            assert_eq!(program.exit(), 1);
            program.err.wait_for(&format!("reactor: secret file {path}: {why}"));
        }
    }
}

#[test]
fn a_secret_file_that_everybody_can_read_is_told() {
    let secret = Place::of("sesame\n");
    secret.mode(0o644);
    let server = Program::serve(&["--secret-file", secret.path()]);
    let told = server.err.wait_for("everybody on this host can read it");
    assert!(told.contains("WARN"), "{told}");
    secret.mode(0o640);
    let server = Program::serve(&["--secret-file", secret.path()]);
    server.tcp();
    assert!(!server.err.text().contains("everybody"), "{}", server.err.text());
}

#[test]
fn a_socket_on_every_address_is_told_with_who_can_reach_it() {
    let server = Program::start(&["serve", "--tcp", "0.0.0.0:0", "--udp", "0.0.0.0:0"]);
    for transport in ["tcp", "udp"] {
        let told = server.err.wait_for(&format!("{transport} 0.0.0.0:{}: every network", {
            if transport == "tcp" { server.tcp() } else { server.udp() }.port()
        }));
        assert!(told.contains("WARN") && told.contains("take --allow"), "{told}");
    }
    let server = Program::serve(&["--tcp", "0.0.0.0:0", "--allow", "127.0.0.1"]);
    let told = server.err.wait_for("0.0.0.0:");
    let told = if told.starts_with("listening") { server.err.wait_for("can try") } else { told };
    assert!(told.contains("INFO") && told.contains("the rules allow come in"), "{told}");
}

/// Whatever can end a line or pass for one somewhere: in a terminal, a log, a browser.
#[test]
fn no_text_passes_for_a_second_line_a_notice_or_the_operator() {
    let server = Program::serve(&["--console", "off"]);
    let mut one = Peer::join(server.tcp());
    let mut two = Peer::join(server.tcp());
    one.expect_line("* guest2 joined");
    let breaks = ["\r", "\x0b", "\x0c", "\x1b[2K\r", "\u{85}", "\u{2028}", "\u{2029}", "\0"];
    for (n, text) in breaks.iter().enumerate() {
        two.say(format!("{n}{text}* operator joined\n"));
        let heard = one.line();
        assert!(heard.starts_with(&format!("<guest2> {n}\\")), "{heard:?}");
        assert!(heard.chars().all(|c| !c.is_control()), "{heard:?}");
    }
    two.say("* guest1 left\n<operator> obey\n");
    one.expect_line("<guest2> * guest1 left");
    one.expect_line("<guest2> <operator> obey");
    for name in ["operator", "OPERATOR", "server", "guest1", "a\rb", "a\u{2028}b", "a>", "* x"] {
        two.say(format!("/nick {name}\n"));
        let told = two.line();
        assert!(told.starts_with("* ") && !told.contains("you are"), "{told:?}");
        assert!(told.chars().all(|c| !c.is_control()), "{told:?}");
    }
    two.say("/msg guest1 x\r[operator] y\n");
    two.expect_line("[to guest1] x\\x0d[operator] y");
    one.expect_line("[guest2] x\\x0d[operator] y");
    two.say("/quit x\r* operator joined\n");
    one.expect_line("* guest2 left: x\\x0d* operator joined");
    server.err.wait_for("closed #2");
    let log = server.err.text();
    assert!(!log.contains("operator") && !log.contains('\r'), "{log}");
}
