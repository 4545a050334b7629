//! Text to the address of a Unix-domain socket: a path, or `@NAME`; pure.

use crate::handler::UnixAddress;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use thiserror::Error;

/// What stands in front where an address of either kind can be typed.
const PREFIX: &[u8] = b"unix:";

/// The longest path in bytes: `sun_path` of unix(7) has 108, and the last one is a zero. Elsewhere
/// it may be shorter; bind(2) and connect(2) tell then.
pub(super) const PATH_LEN_MAX: usize = 107;

/// What was typed is no address of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnixError {
    /// Nothing was typed.
    #[error("a Unix socket is a path such as /run/reactor/chat.sock, or @NAME")]
    Empty,
    /// The system's limit.
    #[error("the path of a Unix socket has at most {PATH_LEN_MAX} bytes, this one has {0}")]
    TooLong(usize),
    /// The abstract namespace is Linux's.
    #[error("@NAME is for Linux alone; take a path")]
    NotHere,
}

/// Reads `PATH` or `@NAME`, with or without `unix:` in front. A file whose name begins with `@` is
/// written `./@NAME`.
pub fn unix_address(text: &OsStr) -> Result<UnixAddress, UnixError> {
    let bytes = text.as_bytes();
    let bytes = bytes.strip_prefix(PREFIX).unwrap_or(bytes);
    let (named, rest) = match bytes.strip_prefix(b"@") {
        Some(name) => (true, name),
        None => (false, bytes),
    };
    match rest.len() {
        0 => Err(UnixError::Empty),
        len if len > PATH_LEN_MAX => Err(UnixError::TooLong(len)),
        _ if !named => Ok(UnixAddress::Path(PathBuf::from(OsStr::from_bytes(rest)))),
        _ if cfg!(any(target_os = "linux", target_os = "android")) => {
            Ok(UnixAddress::Abstract(rest.to_owned()))
        }
        _ => Err(UnixError::NotHere),
    }
}

/// The address where `unix:` stands in front, none where it does not.
pub fn with_prefix(text: &str) -> Option<Result<UnixAddress, UnixError>> {
    text.as_bytes().starts_with(PREFIX).then(|| unix_address(OsStr::new(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<UnixAddress, UnixError> {
        unix_address(OsStr::new(text))
    }

    #[test]
    fn a_path_and_a_name_are_read_with_and_without_the_prefix() {
        let path = |path: &str| Ok(UnixAddress::Path(path.into()));
        assert_eq!(read("/run/chat"), path("/run/chat"));
        assert_eq!(read("unix:chat.sock"), path("chat.sock"));
        assert_eq!(read("./@chat"), path("./@chat"));
        if cfg!(target_os = "linux") {
            assert_eq!(read("@chat"), Ok(UnixAddress::Abstract(b"chat".to_vec())));
            assert_eq!(read("unix:@chat"), read("@chat"));
        }
        assert_eq!(with_prefix("127.0.0.1:1"), None);
        assert_eq!(with_prefix("unix:/a"), Some(path("/a")));
    }

    #[test]
    fn what_the_system_would_refuse_is_refused_with_its_reason() {
        assert_eq!([read(""), read("unix:"), read("@")], [const { Err(UnixError::Empty) }; 3]);
        assert!(read(&"x".repeat(PATH_LEN_MAX)).is_ok());
        assert_eq!(read(&"x".repeat(108)), Err(UnixError::TooLong(108)));
    }
}
