//! The secret that a server asks its peers for: read from a file, compared, and never shown. A
//! flag's value would stand in the process table for everybody.

use crate::os::Os;
use crate::visible::visible;
use std::fmt;
use std::path::Path;
use subtle::ConstantTimeEq;

/// Longest secret in bytes: a line that a peer sends before we know it must not take more.
pub const SECRET_BYTES_MAX: usize = 256;

/// Longest file, in bytes: the secret is its first line, and what stands behind it is not looked at.
const FILE_BYTES_MAX: usize = 4 * 1024;

/// The bit of a file's mode that lets everybody read it, inode(7).
const OTHERS_READ: u32 = 0o004;

/// A secret: 1 to [`SECRET_BYTES_MAX`] bytes without LF. `Debug` does not show it.
#[derive(Clone)]
pub struct Secret {
    /// Filled up with zeros: a comparison always looks at all of them.
    padded: [u8; SECRET_BYTES_MAX],
    len: usize,
}

impl Secret {
    /// The first line of a text, without its ending (LF or CRLF). Errors: half a line.
    pub fn of_text(text: &[u8]) -> Result<Self, String> {
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.len() {
            0 => Err("its first line is empty".to_owned()),
            1..=SECRET_BYTES_MAX => Ok(Secret { padded: padded(line), len: line.len() }),
            _ => Err(format!("its first line is longer than {SECRET_BYTES_MAX} bytes")),
        }
    }

    /// Reads it from a file, before the loop, and warns where everybody else can. Errors: one line.
    pub fn read<O: Os>(os: &mut O, path: &Path) -> Result<Self, String> {
        let shown = path.to_string_lossy();
        let shown = visible(&shown);
        let file = os.read_file(path, FILE_BYTES_MAX);
        let file = file.map_err(|error| format!("secret file {shown}: {error}"))?;
        if file.mode & OTHERS_READ != 0 {
            log::warn!("secret file {shown}: everybody on this host can read it; chmod o-r");
        }
        Secret::of_text(&file.bytes).map_err(|why| format!("secret file {shown}: {why}"))
    }

    /// Whether this is it. How long that takes tells nothing of the secret: all bytes are compared,
    /// and its length like them.
    pub fn is(&self, said: &[u8]) -> bool {
        let same_len = (said.len() as u64).ct_eq(&(self.len as u64));
        let front = &said[..said.len().min(SECRET_BYTES_MAX)];
        (padded(front).ct_eq(&self.padded) & same_len).into()
    }

    /// The line that says it, with its ending.
    pub fn line(&self) -> Vec<u8> {
        [&self.padded[..self.len], b"\n"].concat()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// `bytes`, at most as many as a secret may have, and zeros behind them.
fn padded(bytes: &[u8]) -> [u8; SECRET_BYTES_MAX] {
    let mut padded = [0; SECRET_BYTES_MAX];
    padded[..bytes.len()].copy_from_slice(bytes);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_first_line_without_its_ending() {
        for text in [&b"open sesame"[..], b"open sesame\n", b"open sesame\r\nand more\n"] {
            let secret = Secret::of_text(text).unwrap();
            assert!(secret.is(b"open sesame"));
            assert_eq!(secret.line(), b"open sesame\n");
        }
    }

    #[test]
    fn nothing_else_is_it() {
        let secret = Secret::of_text(b"open sesame").unwrap();
        for said in [&b""[..], b"open sesam", b"open sesame ", b"open sesame\0", b"Open sesame"] {
            assert!(!secret.is(said), "{said:?}");
        }
        let longest = Secret::of_text(&[b'x'; SECRET_BYTES_MAX]).unwrap();
        assert!(longest.is(&[b'x'; SECRET_BYTES_MAX]));
        assert!(!longest.is(&[b'x'; SECRET_BYTES_MAX + 1]));
    }

    #[test]
    fn an_empty_one_and_one_that_is_too_long_are_none() {
        let told = |text: &[u8]| Secret::of_text(text).unwrap_err();
        assert_eq!(told(b""), "its first line is empty");
        assert_eq!(told(b"\r\nsesame\n"), "its first line is empty");
        let long = [b'x'; SECRET_BYTES_MAX + 1];
        assert_eq!(told(&long), "its first line is longer than 256 bytes");
    }

    #[test]
    fn debug_does_not_show_it() {
        let shown = format!("{:?}", Secret::of_text(b"sesame"));
        assert_eq!(shown, "Ok(Secret)");
    }
}
