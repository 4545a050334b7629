//! Python's own `socket` module on the other side, over TCP and UDP: the tutorial's programs.

use crate::support::{Output, Program, skip};
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

/// A blocking chat server: it serves one peer, takes turns, and ends on an empty message.
const CHAT_SERVER: &str = r#"
import socket, sys
HOST, PORT = "127.0.0.1", int(sys.argv[1])
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
server.bind((HOST, PORT))
server.listen()
print("port", server.getsockname()[1], flush=True)
connection, address = server.accept()
while True:
    data = connection.recv(1024)
    if not data:
        break
    print("client:", data.decode(), flush=True)
    answer = sys.stdin.readline().rstrip("\n")
    if not answer:
        break
    connection.sendall(answer.encode())
connection.close()
server.close()
print("end", flush=True)
"#;

/// A blocking chat client: it speaks first.
const CHAT_CLIENT: &str = r#"
import socket, sys
HOST, PORT = "127.0.0.1", int(sys.argv[1])
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
client.connect((HOST, PORT))
while True:
    message = sys.stdin.readline().rstrip("\n")
    if not message:
        break
    client.sendall(message.encode())
    data = client.recv(1024)
    if not data:
        break
    print("server:", data.decode(), flush=True)
client.close()
print("end", flush=True)
"#;

const ECHO_CLIENT: &str = r#"
import socket, sys
HOST, PORT = "127.0.0.1", int(sys.argv[1])
client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
client.settimeout(20)
for size in (0, 1, 1400, 65507):
    client.sendto(b"x" * size, (HOST, PORT))
    data, address = client.recvfrom(65535)
    assert data == b"x" * size and address == (HOST, PORT), (size, len(data), address)
client.close()
print("end", flush=True)
"#;

const ECHO_SERVER: &str = r#"
import socket, sys
HOST, PORT = "127.0.0.1", int(sys.argv[1])
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((HOST, PORT))
print("port", server.getsockname()[1], flush=True)
while True:
    data, address = server.recvfrom(65535)
    server.sendto(data, address)
"#;

/// A running Python program, killed when it is dropped.
struct Python {
    child: Child,
    stdin: ChildStdin,
    out: Output,
}

impl Python {
    /// None, and a word about it, where there is no Python.
    fn start(program: &str, port: u16) -> Option<Self> {
        let mut command = Command::new("python3");
        command.args(["-c", program, &port.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            skip("no python3");
            return None;
        };
        let stdin = child.stdin.take().unwrap();
        let out = Output::of(child.stdout.take().unwrap());
        Some(Python { child, stdin, out })
    }

    fn type_in(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// The address that a server of ours told.
    fn at(&self) -> String {
        let line = self.out.wait_for("port ");
        format!("127.0.0.1:{}", line.strip_prefix("port ").unwrap())
    }

    /// Its end by itself, without an exception.
    fn expect_success(&mut self) {
        self.out.wait_for("end");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn pythons_chat_client_talks_to_our_server() {
    let mut server = Program::relay("raw");
    let Some(mut python) = Python::start(CHAT_CLIENT, server.tcp().port()) else { return };
    for n in 0..3 {
        python.type_in(&format!("question {n}"));
        server.out.expect_bytes(format!("question {n}"));
        server.type_in(format!("answer {n}\n"));
        python.out.wait_for(&format!("server: answer {n}"));
    }
    python.type_in("");
    python.expect_success();
    server.err.wait_for("closed #1: left");
}

#[test]
fn an_empty_message_of_our_operator_ends_pythons_client() {
    let mut server = Program::relay("raw");
    let Some(mut python) = Python::start(CHAT_CLIENT, server.tcp().port()) else { return };
    python.type_in("hello");
    server.out.expect_bytes("hello");
    server.type_in("\n");
    python.expect_success();
    assert_eq!(server.exit(), 0);
}

#[test]
fn our_client_talks_to_pythons_chat_server() {
    let Some(mut python) = Python::start(CHAT_SERVER, 0) else { return };
    let mut client = Program::start(&["connect", &python.at(), "--protocol", "raw"]);
    for n in 0..3 {
        client.type_in(format!("question {n}\n"));
        python.out.wait_for(&format!("client: question {n}"));
        python.type_in(&format!("answer {n}"));
        client.out.expect_bytes(format!("answer {n}"));
    }
    client.type_in("\n");
    assert_eq!(client.exit(), 0);
    python.expect_success();
}

#[test]
fn an_empty_message_of_pythons_server_ends_our_client() {
    let Some(mut python) = Python::start(CHAT_SERVER, 0) else { return };
    let mut client = Program::start(&["connect", &python.at(), "--protocol", "raw"]);
    client.type_in("hello\n");
    python.out.wait_for("client: hello");
    python.type_in("");
    python.expect_success();
    assert_eq!(client.exit(), 0);
}

#[test]
fn pythons_sendto_and_recvfrom_meet_our_echo() {
    let server = Program::start(&["serve", "--udp", "127.0.0.1:0"]);
    let Some(mut python) = Python::start(ECHO_CLIENT, server.udp().port()) else { return };
    python.expect_success();
}

#[test]
fn our_datagram_client_meets_pythons_recvfrom_and_sendto() {
    let Some(python) = Python::start(ECHO_SERVER, 0) else { return };
    let mut client = Program::start(&["connect", "--udp", &python.at()]);
    for line in ["one", "", "three"] {
        client.type_in(format!("{line}\n"));
        client.out.expect_line(line);
    }
    client.end_input();
    assert_eq!(client.exit(), 0);
}
