//! Where a scene is played: its network, its folder, its terminals. All of it ends with the scene.

use super::page::{Section, Step, What, fits};
use crate::support::{Output, WITHIN, pipe, skip};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How long one command of a slow scene may take: a build, or a simulation, on a busy machine.
const SLOW_S: u64 = 900;

/// The chat's port, for machines on which a scene cannot have a network of its own.
const PORT: u16 = 65432;

const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Programs that a page may use and a machine may lack.
const STRANGERS: [&str; 14] = [
    "awk",
    "git",
    "make",
    "nc",
    "ncat",
    "patch",
    "python3",
    "redis-server",
    "seq",
    "socat",
    "strace",
    "telnet",
    "tmux",
    "wc",
];

/// In a quick scene this is cargo: what was built with this test is not built again.
const CARGO: &str = r#"#!/bin/sh
for word; do
    shift
    case $word in -q | --quiet) ;; *) set -- "$@" "$word" ;; esac
done
case "$1 $2" in
    "build "*) exit ;;
    "run --") shift 2; exec reactor "$@" ;;
    "run --example") name=$3; shift 3; [ "$1" != -- ] || shift; exec "$REACTOR_BUILT/examples/$name" "$@" ;;
esac
echo "cargo $*: only in a slow scene" >&2
exit 101
"#;

/// Whose programs a scene runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Build {
    /// Those that were built with this test.
    Tested,
    /// What the scene itself builds.
    Own,
}

pub(super) struct Stage {
    page: String,
    build: Build,
    network: Network,
    folder: PathBuf,
    path: String,
    /// The folder of the built programs.
    built: PathBuf,
    terminals: Vec<Terminal>,
    _turn: Option<MutexGuard<'static, ()>>,
}

/// A command that was left running.
struct Terminal {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    out: Output,
    /// It is our program, which must end when it is told to.
    ours: bool,
    /// So many of its lines have been compared.
    seen: usize,
}

impl Stage {
    /// Ready for the section's first step; none where this machine lacks something.
    pub(super) fn set(page: &str, section: &Section, build: Build) -> Option<Self> {
        let built = Path::new(env!("CARGO_BIN_EXE_reactor")).parent().expect("a folder").to_owned();
        if let Some(lacks) = lacks(section, &built, build) {
            skip(&format!("{page}, {:?}: no {lacks}", section.heading));
            return None;
        }
        let Some(network) = Network::new() else {
            skip(&format!("{page}, {:?}: port {PORT} is taken", section.heading));
            return None;
        };
        let mut stage = Stage {
            page: page.to_owned(),
            build,
            network,
            folder: PathBuf::new(),
            path: std::env::var("PATH").expect("a PATH"),
            built,
            terminals: Vec::new(),
            _turn: None,
        };
        match build {
            Build::Tested => stage.link_project(),
            Build::Own => stage.copy_project(),
        }
        Some(stage)
    }

    /// A folder in which the project's files are seen, and a cargo that builds nothing.
    fn link_project(&mut self) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = format!("reactor-docs-{}-{number}", std::process::id());
        self.folder = std::env::temp_dir().join(folder);
        fs::create_dir(&self.folder).unwrap();
        for entry in fs::read_dir(PROJECT).unwrap().map(Result::unwrap) {
            if entry.file_name() != "target" && entry.file_name() != ".git" {
                symlink(entry.path(), self.folder.join(entry.file_name())).unwrap();
            }
        }
        let shims = self.folder.join(".bin");
        fs::create_dir(&shims).unwrap();
        fs::write(shims.join("cargo"), CARGO).unwrap();
        let all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(shims.join("cargo"), all).unwrap();
        self.path = format!("{}:{}:{}", shims.display(), self.built.display(), self.path);
    }

    /// A copy of the project, at the same place for each scene, so that what a patch leaves alone is
    /// not compiled again; one scene at a time.
    fn copy_project(&mut self) {
        static TURN: Mutex<()> = Mutex::new(());
        self._turn = Some(TURN.lock().unwrap_or_else(PoisonError::into_inner));
        self.built = self.built.parent().expect("of the target folder").join("docs");
        self.folder = self.built.join("project");
        let _ = fs::remove_dir_all(&self.folder); // of a run that was killed
        fs::create_dir_all(&self.folder).unwrap();
        let all = "Cargo.toml Cargo.lock src docs tests benches examples README.md";
        // -m: written now, so that cargo sees each change from the last scene, also one taken back.
        let copy = format!("cd \"$0\" && tar cf - {all} | tar xmf - -C \"$1\"");
        let mut command = Command::new("sh");
        command.args(["-c", &copy, PROJECT]).arg(&self.folder);
        assert!(command.status().unwrap().success(), "{copy}");
        self.path = format!("{}:{}", self.built.join("debug").display(), self.path);
    }

    pub(super) fn play(&mut self, step: &Step) {
        let at = format!("{}:{}", self.page, step.line);
        match &step.what {
            What::File { name, text } => fs::write(self.folder.join(name), text).unwrap(),
            What::Script(script) => {
                let (came, code) = self.run(&at, &format!("set -e\n{script}"));
                assert_eq!(code, 0, "{at}: {script}\nprinted:\n{came}");
            }
            What::Run(commands) => {
                for (command, shown) in commands {
                    let (came, _) = self.run(&at, command);
                    let lines: Vec<&str> = came.lines().collect();
                    let fit = fits(shown, &lines, true).is_some();
                    assert!(fit, "{at}: $ {command}\n{}", both(shown, &came));
                }
            }
            What::Start { name, command, shows } => {
                let terminal = self.start(name, command);
                self.terminals.push(terminal);
                self.expect(&at, name, shows);
            }
            What::Type { name, lines } => self.terminal(&at, name).type_in(&at, lines),
            What::Shows { name, lines } => self.expect(&at, name, lines),
        }
    }

    fn terminal(&mut self, at: &str, name: &str) -> &mut Terminal {
        let found = self.terminals.iter_mut().rev().find(|terminal| terminal.name == name);
        found.unwrap_or_else(|| panic!("{at}: no terminal {name} in this section"))
    }

    /// Waits until what is shown has come in that terminal, behind what was compared there before.
    fn expect(&mut self, at: &str, name: &str, shown: &[String]) {
        let terminal = self.terminal(at, name);
        let seen = terminal.seen;
        let told = format!("{at}: terminal {name} to show:\n{}\n", shown.join("\n"));
        let taken = terminal.out.wait_until(&told, |bytes, _| {
            let text = String::from_utf8_lossy(bytes);
            let lines: Vec<&str> = text.lines().skip(seen).collect();
            fits(shown, &lines, false)
        });
        terminal.seen += taken;
    }

    /// `sh` in this scene, with a process group of its own; both outputs are one pipe.
    fn shell(&self, before: &[&str], script: &str) -> (Command, File) {
        let words = [&self.network.enter[..], &[]].concat();
        let mut all = words.iter().map(String::as_str).chain(before.iter().copied());
        let mut command = Command::new(all.next().unwrap_or("sh"));
        command.args(all);
        if command.get_program() != "sh" {
            command.arg("sh");
        }
        let (read, write) = pipe();
        command.arg("-c").arg(script).stdout(write.try_clone().unwrap()).stderr(write);
        command.current_dir(&self.folder).env("PATH", &self.path).env_remove("RUST_LOG");
        command.env("REACTOR_BUILT", &self.built).process_group(0);
        if self.build == Build::Own {
            command.env("CARGO_TARGET_DIR", &self.built);
            command.env("GIT_CEILING_DIRECTORIES", &self.built); // the copy is in no repository
        }
        (command, read)
    }

    /// A command to its end: what it printed, and its exit code.
    fn run(&self, at: &str, script: &str) -> (String, i32) {
        let slow = self.build == Build::Own;
        let within = if slow { SLOW_S } else { WITHIN.as_secs() }.to_string();
        let (mut command, mut read) = self.shell(&["timeout", "-k1", &within], script);
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        drop(command); // and with it our copies of the pipe's end
        let mut came = Vec::new();
        read.read_to_end(&mut came).unwrap();
        let code = child.wait().unwrap().code().unwrap_or(-1);
        let came = String::from_utf8_lossy(&came).into_owned();
        assert_ne!(code, 124, "{at}: $ {script}\ndid not end in {within} s, after:\n{came}");
        (came, code)
    }

    fn start(&self, name: &str, script: &str) -> Terminal {
        let (mut command, read) = self.shell(&[], script);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        drop(command);
        let stdin = child.stdin.take();
        let ours = script.starts_with("reactor ");
        Terminal { name: name.to_owned(), child, stdin, out: Output::of(read), ours, seen: 0 }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.terminals.clear();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Terminal {
    fn type_in(&mut self, at: &str, lines: &[String]) {
        for line in lines {
            match &**line {
                "^D" => self.stdin = None,
                "^C" => self.signal(Signal::INT),
                line => {
                    let stdin = self.stdin.as_mut().unwrap_or_else(|| panic!("{at}: input ended"));
                    writeln!(stdin, "{line}").unwrap_or_else(|error| panic!("{at}: {error}"));
                }
            }
        }
    }

    /// To all that the command started.
    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(Pid::from_child(&self.child), signal); // it may have ended
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.signal(Signal::INT);
        let ended = |_: &[u8], ended: bool| ended.then_some(());
        // A child of socat's now and then hangs in its exit.
        if self.ours && !std::thread::panicking() {
            self.out.wait_until("the end of what was left running", ended);
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// A network that only this scene is on, with nothing but a loopback: the network of a process that
/// waits in it. Where the system gives none to us, this machine's own, one scene at a time.
struct Network {
    /// The words that put a command into it.
    enter: Vec<String>,
    holder: Option<Child>,
    _turn: Option<MutexGuard<'static, ()>>,
}

impl Network {
    /// None where it must be this machine's own and somebody else has the port.
    fn new() -> Option<Self> {
        // As root, or with a user namespace of its own where users may have one.
        Self::own("-n", &["-n"])
            .or_else(|| Self::own("-rn", &["-U", "-n", "--preserve-credentials"]))
            .or_else(|| {
                static TURN: Mutex<()> = Mutex::new(());
                let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
                TcpListener::bind(("127.0.0.1", PORT)).ok()?;
                Some(Network { enter: Vec::new(), holder: None, _turn: Some(turn) })
            })
    }

    fn own(unshare: &str, nsenter: &[&str]) -> Option<Self> {
        let mut command = Command::new("unshare");
        command.args([unshare, "sh", "-c", "ip link set lo up && echo up && exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = command.spawn().ok()?;
        let mut up = [0; 3];
        let is_up = holder.stdout.as_mut().expect("a pipe").read_exact(&mut up);
        if is_up.is_err() {
            let _ = holder.wait();
            return None;
        }
        let mut enter = vec!["nsenter".to_owned(), "-t".to_owned(), holder.id().to_string()];
        enter.extend(nsenter.iter().map(|&word| word.to_owned()));
        Some(Network { enter, holder: Some(holder), _turn: None })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            holder.stdin = None; // its cat ends
            let _ = holder.wait();
        }
    }
}

/// What the section needs and this machine has not.
fn lacks(section: &Section, built: &Path, build: Build) -> Option<String> {
    let mut text = String::new();
    for step in &section.steps {
        match &step.what {
            What::Script(script) => text.push_str(script),
            What::Run(commands) => commands.iter().for_each(|(command, _)| {
                text.push_str(command);
                text.push('\n');
            }),
            What::Start { command, .. } => {
                text.push_str(command);
                text.push('\n');
            }
            What::File { .. } | What::Type { .. } | What::Shows { .. } => {}
        }
    }
    let words: Vec<&str> =
        text.split(|c: char| c.is_whitespace() || "();|&\"'`".contains(c)).collect();
    let has = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    };
    let stranger = STRANGERS.into_iter().find(|name| words.contains(name) && !has(name));
    let example = words.windows(2).find_map(|pair| {
        let missing = build == Build::Tested
            && pair[0] == "--example"
            && !built.join("examples").join(pair[1]).exists();
        missing.then(|| format!("example {}: not built", pair[1]))
    });
    stranger.map(str::to_owned).or(example)
}

fn both(shown: &[String], came: &str) -> String {
    format!("is to print:\n{}\nand printed:\n{came}", shown.join("\n"))
}
