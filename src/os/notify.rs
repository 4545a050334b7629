//! The service manager's socket: one datagram for each notice, sd_notify(3). By hand, since the crate
//! sd-notify makes a blocking socket for each and knows no abstract names. What must not be here: when
//! what is told.

use crate::handler::Notice;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use rustix::net::{sendto, socket_with};
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::ffi::OsStr;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// Whether a service manager wants to be told.
pub fn is_wanted() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|path| !path.is_empty())
}

/// How often the service manager wants to hear that we are alive, sd_watchdog_enabled(3): none where
/// it does not, or means another process.
pub fn watchdog() -> Option<Duration> {
    let var = |name| env::var(name).ok();
    watchdog_of(var("WATCHDOG_USEC"), var("WATCHDOG_PID"), std::process::id())
}

fn watchdog_of(usec: Option<String>, pid: Option<String>, own: u32) -> Option<Duration> {
    let usec = usec?.parse().ok().filter(|&usec| usec > 0)?;
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    ours.then(|| Duration::from_micros(usec))
}

/// The socket, and where it sends to.
pub(super) struct Manager {
    socket: OwnedFd,
    to: SocketAddrUnix,
}

impl Manager {
    /// That of NOTIFY_SOCKET: a path, or with `@` a name in Linux's abstract space, unix(7).
    pub(super) fn of_environment() -> io::Result<Self> {
        let path = env::var_os("NOTIFY_SOCKET").unwrap_or_default();
        let to = address(&path)?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        Ok(Manager { socket, to })
    }

    /// sendto; never blocks.
    pub(super) fn notify(&self, notice: &Notice) -> io::Result<()> {
        let text = text(notice, clock_gettime(ClockId::Monotonic));
        loop {
            match sendto(&self.socket, text.as_bytes(), SendFlags::NOSIGNAL, &self.to) {
                Err(Errno::INTR) => {}
                sent => return Ok(sent.map(drop)?),
            }
        }
    }
}

fn address(path: &OsStr) -> io::Result<SocketAddrUnix> {
    match path.as_bytes() {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        [b'@', name @ ..] if !name.is_empty() => Ok(SocketAddrUnix::new_abstract_name(name)?),
        [b'/', ..] => Ok(SocketAddrUnix::new(path)?),
        _ => Err(io::Error::new(ErrorKind::Unsupported, "NOTIFY_SOCKET: neither a path nor @name")),
    }
}

/// Lines `NAME=VALUE`. RELOADING wants the time of it: a reload that was asked for later is another.
fn text(notice: &Notice, now: rustix::time::Timespec) -> String {
    match notice {
        Notice::Ready(status) => format!("READY=1\nSTATUS={status}\n"),
        Notice::Reloading => {
            let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
            format!("RELOADING=1\nMONOTONIC_USEC={usec}\n")
        }
        Notice::Stopping(status) => format!("STOPPING=1\nSTATUS={status}\n"),
        Notice::Status(status) => format!("STATUS={status}\n"),
        Notice::Watchdog => "WATCHDOG=1\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::time::Timespec;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let text = |text: &str| Some(text.to_owned());
        let second = Some(Duration::from_secs(1));
        assert_eq!(watchdog_of(text("1000000"), None, 7), second);
        assert_eq!(watchdog_of(text("1000000"), text("7"), 7), second);
        assert_eq!(watchdog_of(text("1000000"), text("8"), 7), None);
        assert_eq!(watchdog_of(None, text("7"), 7), None);
        assert_eq!(watchdog_of(text("0"), None, 7), None);
        assert_eq!(watchdog_of(text("soon"), None, 7), None);
    }

    #[test]
    fn each_notice_is_the_lines_of_sd_notify() {
        let now = Timespec { tv_sec: 12, tv_nsec: 345_678_999 };
        let text = |notice| text(&notice, now);
        assert_eq!(text(Notice::Ready("a".into())), "READY=1\nSTATUS=a\n");
        assert_eq!(text(Notice::Reloading), "RELOADING=1\nMONOTONIC_USEC=12345678\n");
        assert_eq!(text(Notice::Stopping("b".into())), "STOPPING=1\nSTATUS=b\n");
        assert_eq!(text(Notice::Status("c".into())), "STATUS=c\n");
        assert_eq!(text(Notice::Watchdog), "WATCHDOG=1\n");
    }

    #[test]
    fn a_path_and_an_abstract_name_are_addresses_and_nothing_else_is() {
        assert!(address(OsStr::new("/run/notify")).is_ok());
        #[cfg(any(target_os = "linux", target_os = "android"))]
        assert!(address(OsStr::new("@notify")).is_ok());
        for path in ["", "@", "vsock:2:1", "notify"] {
            assert_eq!(address(OsStr::new(path)).unwrap_err().kind(), ErrorKind::Unsupported);
        }
    }

    #[test]
    fn a_socket_that_nobody_reads_is_never_waited_for() {
        let path = std::env::temp_dir().join(format!("reactor-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixDatagram::bind(&path).unwrap();
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).unwrap();
        let manager = Manager { socket, to: address(path.as_os_str()).unwrap() };
        let full = (0..100_000).find_map(|_| manager.notify(&Notice::Watchdog).err());
        assert_eq!(full.expect("its queue is full at last").kind(), ErrorKind::WouldBlock);
        let mut read = [0; 64];
        assert_eq!(listener.recv(&mut read).unwrap(), "WATCHDOG=1\n".len());
        std::fs::remove_file(&path).unwrap();
    }
}
