//! Where a socket is, in either family of addresses, and who is at the other end of one: plain data.
//! What must not be here: a socket, or a look at the file system. The words are those of ip(7),
//! unix(7) and its `ucred`.

use crate::visible::visible;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The permissions of a Unix socket's path that let its owner in and nobody else, inode(7): Linux
/// asks for write permission of whoever connects, or sends.
pub const OWNER_ALONE: u32 = 0o600;

/// The address of a socket. Displays as `127.0.0.1:5`, `unix:/path` or `unix:@name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// AF_INET or AF_INET6, ip(7), ipv6(7).
    Ip(SocketAddr),
    /// AF_UNIX, unix(7).
    Unix(UnixAddress),
}

/// The address of a Unix-domain socket, as unix(7) has them. Displays as `/path` or `@name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum UnixAddress {
    /// A path in the file system, of 1 to 107 bytes.
    Path(PathBuf),
    /// A name in the abstract namespace, which Linux alone has, without its leading zero byte; of
    /// at most 107 bytes. It is gone with its socket, and has no permissions.
    Abstract(Vec<u8>),
    /// None: most clients have none.
    Unnamed,
}

/// Who is at the other end of an accepted connection. Displays as `127.0.0.1:5`, or as
/// `unix pid 4711 uid 1000 gid 1000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remote {
    /// An address; IPv4-mapped ones are plain IPv4.
    Ip(SocketAddr),
    /// A process of this host.
    Unix(Credentials),
}

/// Who connected: `struct ucred` of unix(7), SO_PEERCRED. As it was at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The process; 0 where the system does not tell, or it is in another PID namespace.
    pub pid: i32,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

impl Endpoint {
    /// The address where it is one of IP.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Endpoint::Ip(at) => Some(*at),
            Endpoint::Unix(_) => None,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(at: SocketAddr) -> Self {
        Endpoint::Ip(at)
    }
}

impl From<UnixAddress> for Endpoint {
    fn from(at: UnixAddress) -> Self {
        Endpoint::Unix(at)
    }
}

impl From<SocketAddr> for Remote {
    fn from(from: SocketAddr) -> Self {
        Remote::Ip(from)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Ip(at) => at.fmt(f),
            Endpoint::Unix(at) => write!(f, "unix:{at}"),
        }
    }
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnixAddress::Path(path) => f.write_str(&visible(&path.to_string_lossy())),
            UnixAddress::Abstract(name) => {
                write!(f, "@{}", visible(&String::from_utf8_lossy(name)))
            }
            UnixAddress::Unnamed => f.write_str("(unnamed)"),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remote::Ip(from) => from.fmt(f),
            Remote::Unix(credentials) => write!(f, "unix {credentials}"),
        }
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Credentials { pid, uid, gid } = self;
        write!(f, "pid {pid} uid {uid} gid {gid}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_written_on_one_visible_line() {
        let unix = |at| Endpoint::Unix(at).to_string();
        assert_eq!(Endpoint::Ip(([127, 0, 0, 1], 5).into()).to_string(), "127.0.0.1:5");
        assert_eq!(unix(UnixAddress::Path("/run/a b".into())), "unix:/run/a b");
        assert_eq!(unix(UnixAddress::Abstract(b"chat".to_vec())), "unix:@chat");
        assert_eq!(unix(UnixAddress::Unnamed), "unix:(unnamed)");
        let hostile = unix(UnixAddress::Path("/a\n\u{1b}[2J".into()));
        assert!(!hostile.contains(['\n', '\u{1b}']), "{hostile:?}");
    }

    #[test]
    fn a_process_is_told_by_its_credentials() {
        let who = Remote::Unix(Credentials { pid: 7, uid: 1_000, gid: 100 });
        assert_eq!(who.to_string(), "unix pid 7 uid 1000 gid 100");
    }
}
