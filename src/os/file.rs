//! A small file, read whole: open(2), fstat(2), read(2). Not of the loop's poll: epoll refuses
//! regular files, which are always ready.

use super::File;
use rustix::fs::{FileType, Mode, OFlags, RawMode, fstat, open};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Reads a regular file of at most `bytes_max` bytes. A FIFO or a device is refused, and is not
/// waited for: O_NONBLOCK makes the open return.
pub(super) fn read(path: &Path, bytes_max: usize) -> io::Result<File> {
    let file = open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
    let mode = fstat(&file)?.st_mode as RawMode;
    if FileType::from_raw_mode(mode) != FileType::RegularFile {
        return Err(io::Error::new(ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::new();
    // One byte more shows that there is more: the size that fstat tells may change.
    std::fs::File::from(file).take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        let why = format!("longer than {bytes_max} bytes");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(File { bytes, mode })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn place(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("reactor-file-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_file_is_read_whole_up_to_the_bound() {
        let path = place("whole");
        std::fs::write(&path, b"12345678").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let file = read(&path, 8).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((&file.bytes[..], file.mode & 0o777), (&b"12345678"[..], 0o640));
        let error = read(&path, 7).err().expect("it is longer");
        assert_eq!(error.to_string(), "longer than 7 bytes");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read(&path, 8).err().map(|error| error.kind()), Some(ErrorKind::NotFound));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_not_waited_for() {
        let path = place("fifo");
        let fifo = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(fifo.success());
        for path in [&*path, Path::new("/"), Path::new("/dev/null")] {
            let error = read(path, 8).err().expect("it is no regular file");
            assert_eq!(error.to_string(), "not a regular file", "{path:?}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
