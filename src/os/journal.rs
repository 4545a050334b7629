//! Whether stderr is the journal: JOURNAL_STREAM, systemd.exec(5). It has its own time stamps.

use rustix::fs::fstat;
use std::env;

/// True where the journal's stream, as the service manager named it, still is our stderr: a child whose
/// stderr goes elsewhere inherits the variable all the same.
pub fn stderr_is_journal() -> bool {
    let Ok(stat) = fstat(rustix::stdio::stderr()) else { return false };
    env::var("JOURNAL_STREAM").is_ok_and(|stream| names(&stream, stat.st_dev, stat.st_ino))
}

/// Device and inode in decimal, with a colon between them.
fn names(stream: &str, device: u64, inode: u64) -> bool {
    let parsed = stream.split_once(':');
    parsed.is_some_and(|(d, i)| d.parse() == Ok(device) && i.parse() == Ok(inode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_numbers_must_fit() {
        assert!(names("9:4242", 9, 4242));
        for stream in ["", "9", "9:", ":4242", "9:4243", "8:4242", "9:4242:1", "x:y"] {
            assert!(!names(stream, 9, 4242), "{stream}");
        }
    }
}
