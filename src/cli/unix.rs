//! Unix-domain sockets on the command line of `reactor serve`.

use super::Error;
use super::service::instead;
use crate::address::unix_address;
use crate::handler::{OWNER_ALONE, UnixAddress};
use crate::serve;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

/// The greatest permissions, chmod(1): a socket has no use for more bits.
const MODE_MAX: u32 = 0o777;

/// The flags of Unix sockets.
#[derive(Debug, Args)]
pub(super) struct UnixArgs {
    /// Serve chat at a Unix socket, too: a path, or @NAME (Linux); may be repeated [default: none].
    #[arg(long, value_name = "PATH", value_parser = parser())]
    unix: Vec<UnixAddress>,
    /// Answer datagrams at a Unix socket; may be repeated [default: none].
    #[arg(long, value_name = "PATH", value_parser = parser())]
    unix_dgram: Vec<UnixAddress>,
    /// Permissions of these paths, in octal: who may connect, or send.
    #[arg(long, value_name = "MODE", default_value = "600", value_parser = parse_mode)]
    unix_mode: u32,
}

impl UnixArgs {
    /// Whether one is to be served.
    pub(super) fn any(&self) -> bool {
        !self.unix.is_empty() || !self.unix_dgram.is_empty()
    }

    /// Of each kind of socket that is passed on there are no others.
    pub(super) fn options(
        &self,
        streams: Vec<UnixAddress>,
        datagrams: Vec<UnixAddress>,
    ) -> Result<serve::UnixOptions, Error> {
        let as_they_are = |asked: &[UnixAddress]| Ok(asked.to_vec());
        Ok(serve::UnixOptions {
            streams: instead("--unix", streams, &self.unix, as_they_are)?,
            datagrams: instead("--unix-dgram", datagrams, &self.unix_dgram, as_they_are)?,
            mode: self.unix_mode,
        })
    }
}

/// `600`, `0660`.
fn parse_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|&mode| mode <= MODE_MAX);
    let least = OWNER_ALONE;
    mode.ok_or_else(|| format!("permissions in octal such as {least:o} or 660, at most 777"))
}

/// A path as it was typed, which need not be UTF-8.
fn parser() -> impl TypedValueParser<Value = UnixAddress> {
    OsStringValueParser::new().try_map(|text| unix_address(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_octal() {
        for (text, mode) in [("600", 0o600), ("0660", 0o660), ("0", 0), ("777", 0o777)] {
            assert_eq!(parse_mode(text), Ok(mode));
        }
        for text in ["", "8", "1777", "-1", "u=rw"] {
            assert!(parse_mode(text).is_err(), "{text}");
        }
    }
}
