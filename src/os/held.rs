//! A file that says something of a running process (its id, its ports): there is all of it or none,
//! it is locked while the process lives, and it goes with it. After pidfile_open(3) of the BSDs, which
//! locks too: a number in a file may belong to another process by now, a lock does not.

use super::unix::lock_beside;
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags, RawMode, Stat};
use rustix::fs::{fchmod, flock, fstat, open, rename, statat, unlink};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Readable for everybody, whatever the umask is: neither a process id nor a port is a secret.
const MODE: Mode = Mode::from_raw_mode(0o644);

/// A file that is there while this value is. Dropped, it removes the file, unless another stands in
/// its place by then.
#[derive(Debug)]
pub struct HeldFile {
    path: PathBuf,
    /// Open for its lock, and so that nobody else's file gets its inode.
    file: File,
}

/// Writes `bytes` under another name in the same folder, locks that file and renames it to `path`.
///
/// What stood there before is replaced, unless a process that lives holds it, or it is no regular file
/// (renaming over `/dev/null` would remove that).
pub(super) fn hold(path: &Path, bytes: &[u8]) -> io::Result<HeldFile> {
    let name = path.file_name();
    let name = name.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "names no file"))?;
    // Of two that start together only one finds nobody there.
    let _lock = lock_beside(path);
    refuse_held(path)?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    let hidden = path.with_file_name(hidden);
    // A process that had our id may have left one when it was killed. It goes, whatever it is, and what
    // another puts there in this moment is not written to.
    let _ = unlink(&hidden);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file: OwnedFd = open(&hidden, flags, MODE)?;
    // Where the file system knows no locks, an older server's file is replaced: no more than that.
    let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
    let mut file = File::from(file);
    let opened = fchmod(&file, MODE); // open(2) took the umask off
    let written = opened.map_err(io::Error::from).and_then(|()| file.write_all(bytes));
    let written = written.and_then(|()| Ok(rename(&hidden, path)?));
    if let Err(error) = written {
        let _ = unlink(&hidden);
        return Err(error);
    }
    Ok(HeldFile { path: path.to_owned(), file })
}

fn refuse_held(path: &Path) -> io::Result<()> {
    let there = match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(()),
        there => there?,
    };
    if FileType::from_raw_mode(there.st_mode as RawMode) != FileType::RegularFile {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    // Whoever may not read it cannot ask for its lock: the rename will tell what else is wrong.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = open(path, flags, Mode::empty()) else { return Ok(()) };
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            Err(io::Error::new(ErrorKind::ResourceBusy, "a running process holds it"))
        }
        _ => Ok(()),
    }
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        let there = statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW);
        if let (Ok(there), Ok(own)) = (there, fstat(self.file.as_fd()))
            && is_same(&there, &own)
        {
            let _ = unlink(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A folder of the test's own, without anything in it.
    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("reactor-held-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn a_held_file_is_there_whole_and_goes_with_its_holder() {
        let folder = folder("goes");
        let path = folder.join("pid");
        let held = hold(&path, b"42\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"42\n");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left");
        drop(held);
        fs::remove_dir(folder).expect("it is empty");
    }

    #[test]
    fn what_a_living_process_holds_is_not_replaced_and_what_a_dead_one_left_is() {
        let folder = folder("replaced");
        let path = folder.join("pid");
        let held = hold(&path, b"1\n").unwrap();
        let error = hold(&path, b"2\n").unwrap_err();
        assert_eq!(error.to_string(), "a running process holds it");
        assert_eq!(fs::read(&path).unwrap(), b"1\n");
        drop(held);
        fs::write(&path, "left behind").unwrap();
        drop(hold(&path, b"3\n").unwrap());
        fs::remove_dir(folder).expect("it is empty");
    }

    #[test]
    fn anothers_file_in_its_place_stays() {
        let folder = folder("anothers");
        let path = folder.join("pid");
        let held = hold(&path, b"1\n").unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "another's").unwrap();
        drop(held);
        assert_eq!(fs::read(&path).unwrap(), b"another's");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn of_many_that_start_together_one_holds_it() {
        let folder = folder("together");
        let path = folder.join("pid");
        for _ in 0..20 {
            let together = std::sync::Barrier::new(4);
            let held: Vec<_> = std::thread::scope(|scope| {
                let starts = [0; 4].map(|_| {
                    scope.spawn(|| {
                        together.wait();
                        hold(&path, b"1\n").ok()
                    })
                });
                starts.into_iter().filter_map(|start| start.join().unwrap()).collect()
            });
            assert_eq!(held.len(), 1);
            assert_eq!(fs::read(&path).unwrap(), b"1\n");
        }
        fs::remove_dir(folder).expect("it is empty");
    }

    #[test]
    fn it_is_readable_for_everybody_and_a_leftover_of_its_hidden_name_is_not_written_to() {
        use std::os::unix::fs::{MetadataExt, symlink};
        let folder = folder("hidden");
        let (path, theirs) = (folder.join("pid"), folder.join("theirs"));
        fs::write(&theirs, "kept").unwrap();
        fs::hard_link(&theirs, folder.join(format!(".pid.{}", std::process::id()))).unwrap();
        let held = hold(&path, b"1\n").unwrap();
        assert_eq!(fs::read(&theirs).unwrap(), b"kept");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        drop(held);
        symlink(&theirs, folder.join(format!(".pid.{}", std::process::id()))).unwrap();
        drop(hold(&path, b"1\n").unwrap());
        assert_eq!(fs::read(&theirs).unwrap(), b"kept");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_left_alone() {
        let folder = folder("regular");
        let link = folder.join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        // Not the device itself: were this broken, the test would replace it.
        for path in [&*link, &*folder] {
            assert_eq!(hold(path, b"1\n").unwrap_err().to_string(), "not a regular file");
        }
        assert_eq!(hold(Path::new("/"), b"").unwrap_err().to_string(), "names no file");
        fs::remove_dir_all(folder).unwrap();
    }
}
