//! Unix-domain sockets, unix(7): addresses in and out, binding a path and taking it away again, who
//! is at the other end. What must not be here: the loop, or streams once they are open.
//!
//! The one decision, whether a path is a leftover that may be removed, is made here because it
//! consists of calls alone, and before the loop: the rule is that of nginx and systemd's
//! `RemoveOnStop`, made safe against a second program that starts at the same moment.

use super::stream::uninterrupted;
use crate::handler::{Credentials, UnixAddress};
use rustix::event::Timespec;
use rustix::fs::{FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

/// So often, and so far apart, is the lock of a folder asked for: half a second, which servers that start
/// together need for some hundred binds. Whoever has it for longer is none of us.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// A path that we bound. Dropped, it is removed where it is still ours: another program may have
/// put a socket of its own there.
#[derive(Debug)]
pub struct BoundPath {
    path: PathBuf,
    /// Device and inode number, which nothing else has while our socket is bound to it.
    inode: (u64, u64),
}

impl Drop for BoundPath {
    fn drop(&mut self) {
        // Nobody is left to be told of an error, and the next start removes what stays.
        if inode_at(&self.path).is_ok_and(|inode| inode == self.inode) {
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

impl BoundPath {
    /// A path that was bound just now, with these permissions: what the umask took comes back. Errors: what
    /// stands there is no socket, as where somebody has put a symlink there meanwhile.
    fn of(path: &Path, mode: Mode) -> io::Result<Self> {
        let there = rustix::fs::lstat(path)?;
        if !FileType::from_raw_mode(there.st_mode).is_socket() {
            return Err(io::Error::other(
                "something else took its place at once; it is left alone",
            ));
        }
        if Mode::from_raw_mode(there.st_mode) != mode {
            rustix::fs::chmod(path, mode)?; // follows a symlink: not done where nothing is to change
        }
        Ok(BoundPath { path: path.to_owned(), inode: inode_of(&there) })
    }
}

/// socket, bind, and `then`, which is listen(2) where the socket is to listen. Non-blocking.
///
/// Nobody can come in whom `mode` does not let in: Linux gives a path the permissions of the
/// socket's own inode less the umask (unix(7), fchmod(2)), so they are set before there is a path,
/// and those that the umask took come back behind it. Elsewhere the path has what the umask
/// leaves until then; a stream's connects are refused before listen(2).
///
/// A path where nobody answers is a leftover of a program that was killed: it is removed. Errors:
/// bind(2)'s; of a path that is in use, in words.
pub(super) fn bind(
    kind: Type,
    at: &UnixAddress,
    mode: u32,
    then: impl FnOnce(&Socket) -> io::Result<()>,
) -> io::Result<(Socket, Option<BoundPath>)> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    let address = sock_addr(at)?;
    let UnixAddress::Path(path) = at else {
        socket.bind(&address)?;
        then(&socket)?;
        return Ok((socket, None));
    };
    let mode = Mode::from_raw_mode(mode & 0o777);
    let lock = lock_beside(path);
    rustix::fs::fchmod(&socket, mode)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            remove_leftover(kind, path, &address, lock.is_some())?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    let bound = BoundPath::of(path, mode)?;
    then(&socket)?;
    Ok((socket, Some(bound)))
}

/// Keeps others of our kind from replacing what stands at a path while we look and act, and us from
/// replacing theirs: flock(2) of the directory, until it is dropped. None where that cannot be had. Waits
/// for another's, [`LOCK_TRIES`] times: before the loop it may.
pub(super) fn lock_beside(path: &Path) -> Option<OwnedFd> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(directory, flags, Mode::empty()).ok()?;
    for _ in 0..LOCK_TRIES {
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(Errno::WOULDBLOCK) => {}
            Err(_) => return None,
        }
        // A pause and no more: there is nothing to poll, and a signal may cut it short.
        let _ = rustix::event::poll(&mut [], Some(&LOCK_PAUSE));
    }
    None
}

/// Removes what stands at `path`, where it is a socket and a connect to it is refused.
fn remove_leftover(kind: Type, path: &Path, address: &SockAddr, locked: bool) -> io::Result<()> {
    let in_use = |why| Err(io::Error::new(ErrorKind::AddrInUse, why));
    let before = match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => return Ok(()),
        stat => stat?,
    };
    if !FileType::from_raw_mode(before.st_mode).is_socket() {
        return in_use("something stands there that is no socket; it is left alone");
    }
    let probe = Socket::new(Domain::UNIX, kind, None)?;
    probe.set_nonblocking(true)?;
    match uninterrupted(|| probe.connect(address)) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return in_use("a socket stands there that we may not try; it is left alone");
        }
        _ => return in_use("a program answers there; stop it, or take another path"),
    }
    if !locked {
        return in_use("a leftover stands there, but its directory is locked; remove it");
    }
    if rustix::fs::lstat(path).is_ok_and(|now| inode_of(&now) == inode_of(&before)) {
        rustix::fs::unlink(path)?;
    }
    Ok(())
}

fn inode_at(path: &Path) -> io::Result<(u64, u64)> {
    Ok(inode_of(&rustix::fs::lstat(path)?))
}

#[allow(clippy::unnecessary_cast)] // st_dev has another width elsewhere
fn inode_of(stat: &Stat) -> (u64, u64) {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// For socket2's calls. Errors: a path or a name that is too long.
pub(super) fn sock_addr(at: &UnixAddress) -> io::Result<SockAddr> {
    match at {
        UnixAddress::Path(path) => SockAddr::unix(path),
        UnixAddress::Abstract(name) => {
            let zero_first = [&[0], &name[..]].concat();
            SockAddr::unix(std::ffi::OsStr::from_bytes(&zero_first))
        }
        UnixAddress::Unnamed => Err(ErrorKind::InvalidInput.into()),
    }
}

/// For mio's calls. Errors: as above; a name where the system has none.
pub(super) fn to_std(at: &UnixAddress) -> io::Result<SocketAddr> {
    match at {
        UnixAddress::Path(path) => SocketAddr::from_pathname(path),
        UnixAddress::Abstract(name) => from_abstract_name(name),
        UnixAddress::Unnamed => Err(ErrorKind::InvalidInput.into()),
    }
}

/// From mio's calls.
pub(super) fn from_std(at: &SocketAddr) -> UnixAddress {
    match (at.as_pathname(), abstract_name(at)) {
        (Some(path), _) => UnixAddress::Path(path.to_owned()),
        (None, Some(name)) => UnixAddress::Abstract(name.to_owned()),
        (None, None) => UnixAddress::Unnamed,
    }
}

#[cfg(target_os = "linux")]
fn from_abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}
#[cfg(not(target_os = "linux"))]
fn from_abstract_name(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::new(ErrorKind::Unsupported, "only Linux has abstract names"))
}

#[cfg(target_os = "linux")]
fn abstract_name(at: &SocketAddr) -> Option<&[u8]> {
    std::os::linux::net::SocketAddrExt::as_abstract_name(at)
}
#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &SocketAddr) -> Option<&[u8]> {
    None
}

/// Who connected, as it was then: SO_PEERCRED, getpeereid(3).
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn credentials(socket: impl AsFd) -> io::Result<Credentials> {
    use nix::sys::socket::{getsockopt, sockopt};
    let peer = getsockopt(&socket, sockopt::PeerCredentials)?;
    Ok(Credentials { pid: peer.pid(), uid: peer.uid(), gid: peer.gid() })
}
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn credentials(socket: impl AsFd) -> io::Result<Credentials> {
    let (uid, gid) = nix::unistd::getpeereid(socket)?;
    Ok(Credentials { pid: 0, uid: uid.as_raw(), gid: gid.as_raw() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("reactor-os-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn a_lock_that_another_gives_back_soon_is_waited_for() {
        let folder = folder("waits");
        let path = folder.join("chat");
        let first = lock_beside(&path).expect("nobody has it");
        let (waiting, waits) = channel();
        let holder = std::thread::spawn(move || {
            // Nothing comes: a moment in which the other one finds it taken.
            let _ = waits.recv_timeout(Duration::from_millis(30));
            drop(first);
        });
        let second = lock_beside(&path);
        drop::<std::sync::mpsc::Sender<()>>(waiting);
        assert!(second.is_some(), "it was given back");
        holder.join().unwrap();
        assert!(
            lock_beside(&path).is_none(),
            "and one that stays taken is not waited for, for ever"
        );
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_took_the_place_of_a_bound_path_keeps_its_permissions() {
        let folder = folder("place");
        let (path, file) = (folder.join("chat"), folder.join("file"));
        fs::write(&file, "theirs").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&file, &path).unwrap();
        assert!(BoundPath::of(&path, Mode::from_raw_mode(0o666)).is_err());
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o640);
        assert!(path.is_symlink(), "it is left alone");
        fs::remove_dir_all(folder).unwrap();
    }
}
