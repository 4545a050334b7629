//! Sockets that a service manager has bound: they are served, from what waits in them on, and what
//! cannot be served is an error. A shell passes them on: whoever starts a child through `std` can give it
//! descriptors 0 to 2 and no others.

use crate::support::{Peer, Program, WITHIN, receive_from, udp_socket};
use rustix::process::Signal;
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};

/// `serve` with descriptors 3 and 4, as LISTEN_FDS says.
fn activated(first: impl Into<OwnedFd>, second: Option<OwnedFd>, args: &[&str]) -> Command {
    let count = if second.is_some() { 2 } else { 1 };
    let script = format!(
        "exec 3<&0 4>&1 </dev/null >/dev/null; [ {count} = 2 ] || exec 4>&-; \
         LISTEN_PID=$$ LISTEN_FDS={count} exec \"$0\" \"$@\""
    );
    let mut sh = Command::new("sh");
    sh.args(["-c", &script, env!("CARGO_BIN_EXE_reactor"), "-v", "serve", "--console", "off"]);
    sh.args(args).env_remove("RUST_LOG").env_remove("NOTIFY_SOCKET");
    sh.stdin(Stdio::from(first.into())).stderr(Stdio::piped());
    sh.stdout(second.map_or_else(Stdio::null, Stdio::from));
    sh
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

#[test]
fn inherited_sockets_are_served_and_replace_the_flags_of_their_kind() {
    let (tcp, udp) = (listener(), udp_socket("127.0.0.1:0"));
    let (tcp_at, udp_at) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    // Both come before anybody serves: they wait in the socket.
    let early = TcpStream::connect_timeout(&tcp_at, WITHIN).unwrap();
    let asker = udp_socket("127.0.0.1:0");
    asker.send_to(b"early", udp_at).unwrap();
    let mut server =
        Program::spawn(activated(tcp, Some(udp.into()), &["--tcp", "127.0.0.1:1", "--udp"]));
    assert_eq!((server.tcp(), server.udp()), (tcp_at, udp_at));
    for flag in ["--tcp", "--udp"] {
        server.err.wait_for(&format!("{flag} is left out"));
    }
    let mut peer = Peer::of(early);
    peer.greeted();
    assert_eq!(receive_from(&asker), (b"early".to_vec(), udp_at));
    server.signal(Signal::TERM);
    peer.expect_line("* the server is stopping");
    drop(peer);
    assert_eq!(server.exit(), 0);
}

#[test]
fn one_kind_alone_is_all_there_is_and_flags_of_another_are_added() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = udp.local_addr().unwrap();
    let mut server = Program::spawn(activated(udp, None, &["--tcp", "127.0.0.1:0"]));
    assert_eq!(server.udp(), at);
    Peer::join(server.tcp());
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);

    let tcp = listener();
    let mut server = Program::spawn(activated(tcp, None, &[]));
    Peer::join(server.tcp());
    server.signal(Signal::TERM);
    assert_eq!(server.exit(), 0);
    assert!(!server.err.text().contains("listening udp"), "no default where something is passed");
}

#[test]
fn inherited_unix_sockets_are_served_and_their_paths_stay() {
    let folder = std::env::temp_dir().join(format!("reactor-activation-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    let [chat, echo, own] = ["chat", "echo", "own"].map(|name| folder.join(name));
    let (stream, dgram) = (UnixListener::bind(&chat).unwrap(), UnixDatagram::bind(&echo).unwrap());
    let mut server = Program::spawn(activated(stream, Some(dgram.into()), &[]));
    server.err.wait_for(&format!("listening unix {} chat", chat.display()));
    server.err.wait_for(&format!("listening unix-dgram {} echo", echo.display()));
    let mut peer = UnixStream::connect(&chat).unwrap();
    peer.set_read_timeout(Some(WITHIN)).unwrap();
    let mut greeting = [0; 10];
    peer.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"* you are ");
    let asker = UnixDatagram::bind(&own).unwrap();
    asker.set_read_timeout(Some(WITHIN)).unwrap();
    asker.send_to(b"ping", &echo).unwrap();
    let mut answer = [0; 10];
    assert_eq!(asker.recv(&mut answer).unwrap(), 4);
    server.signal(Signal::TERM);
    drop(peer);
    assert_eq!(server.exit(), 0);
    assert!(chat.exists() && echo.exists(), "they are the service manager's");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_socket_at_the_metrics_address_is_no_chat() {
    let (chat, metrics) = (listener(), listener());
    let [chat_at, metrics_at] = [&chat, &metrics].map(|socket| socket.local_addr().unwrap());
    let text = metrics_at.to_string();
    let server = Program::spawn(activated(chat, Some(metrics.into()), &["--metrics", &text]));
    assert_eq!(server.tcp(), chat_at);
    server.err.wait_for(&format!("listening tcp {metrics_at} metrics"));
    assert!(!server.err.text().contains(&format!("{metrics_at} chat")));
    let mut scraper = Peer::connect(metrics_at);
    scraper.say("GET /healthz HTTP/1.0\r\n\r\n");
    assert_eq!(scraper.line(), "HTTP/1.1 200 OK\r");
}

#[test]
fn a_socket_at_the_control_path_is_no_chat_and_must_be_the_owners_alone() {
    let place = crate::control::Place::new("activated");
    let socket = UnixListener::bind(&place.0).unwrap();
    // The service manager names it in another way than the flag.
    let folder = place.0.parent().unwrap();
    let flag = folder.join(".").join("..").join(folder.file_name().unwrap());
    let flag = flag.join(place.0.file_name().unwrap());
    let args = ["--control", flag.to_str().unwrap(), "--tcp", "127.0.0.1:0"];
    let set_mode = |mode| {
        std::fs::set_permissions(&place.0, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(0o660);
    let refused = Program::spawn(activated(socket.try_clone().unwrap(), None, &args));
    let needs = "the service manager's socket has mode 660; its unit needs SocketMode=0600";
    refused.expect_failure(1, &format!("--control {}: {needs}", place.text()));
    set_mode(0o600);
    let server = Program::spawn(activated(socket, None, &args));
    server.err.wait_for(&format!("listening unix {} control", place.text()));
    assert!(!server.err.text().contains("sock chat"));
    let mut desk = crate::control::Desk::connect(&place);
    desk.ask("ping", &["* pong", "ok"]);
    Peer::join(server.tcp());
}

#[test]
fn what_is_no_socket_to_serve_on_is_an_error_that_says_why() {
    let accepting = listener();
    let at = accepting.local_addr().unwrap();
    let connection = TcpStream::connect_timeout(&at, WITHIN).unwrap();
    let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
    connected.connect(at).unwrap();
    let neither = "neither a stream nor a datagram socket of IP or of the Unix domain";
    let cases: [(OwnedFd, &str); 3] = [
        (crate::support::file_of("text").into(), neither),
        (connection.into(), "a connection, and no listener: the socket unit needs Accept=no"),
        (connected.into(), "a connected datagram socket"),
    ];
    for (descriptor, why) in cases {
        let server = Program::spawn(activated(descriptor, None, &[]));
        server.expect_failure(1, &format!("LISTEN_FDS: descriptor 3: {why}"));
    }
}

#[test]
fn descriptors_that_are_meant_for_another_process_are_left_alone() {
    let mut serve = crate::support::command(&["serve", "--tcp", "127.0.0.1:0"]);
    serve.env("LISTEN_FDS", "1").env("LISTEN_PID", "1");
    let server = Program::spawn(serve);
    Peer::join(server.tcp());
}

#[test]
fn descriptors_that_are_meant_for_nobody_are_left_alone() {
    let mut serve = crate::support::command(&["serve", "--tcp", "127.0.0.1:0"]);
    serve.env("LISTEN_FDS", "1").env_remove("LISTEN_PID");
    let server = Program::spawn(serve);
    Peer::join(server.tcp());
}

#[test]
fn another_first_descriptor_is_refused() {
    let mut serve = activated(listener(), None, &[]);
    serve.env("LISTEN_FDS_FIRST_FD", "4");
    let why = "LISTEN_FDS_FIRST_FD is set: LISTEN_FDS begins at 3; unset it";
    Program::spawn(serve).expect_failure(1, why);
}

#[test]
fn systemds_own_tool_starts_it_when_somebody_connects() {
    if Command::new("systemd-socket-activate").arg("--version").output().is_err() {
        crate::support::skip("no systemd-socket-activate");
        return;
    }
    // An address that nothing else here uses: the port is still free when the tool binds it.
    let at = TcpListener::bind("127.0.77.1:0").unwrap().local_addr().unwrap();
    let mut tool = Command::new("systemd-socket-activate");
    tool.args(["-l", &at.to_string(), env!("CARGO_BIN_EXE_reactor"), "serve", "--console", "off"]);
    tool.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut server = Program::spawn(tool);
    server.err.wait_for("Listening on");
    let mut peer = Peer::join(at);
    crate::support::hear_pong(&mut peer);
    assert_eq!(server.tcp(), at);
    server.signal(Signal::TERM); // the tool has become the server
    peer.expect_line("* the server is stopping");
    drop(peer);
    assert_eq!(server.exit(), 0);
}
