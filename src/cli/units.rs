//! Numbers with a unit as they are typed and shown: sizes and times. It knows no flag.

use bytesize::ByteSize;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The units that a size is shown in, the greatest first: its bytes and its name.
const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];

/// Bytes: typed as `64KiB`, `1MB` (1,000,000) or `4096`, shown as it can be typed, without loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(u64);

impl Size {
    pub(super) const fn bytes(bytes: u64) -> Self {
        Size(bytes)
    }

    pub(super) fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |&&(unit, _): &&(u64, &str)| self.0 > 0 && self.0.is_multiple_of(unit);
        match UNITS.iter().find(whole) {
            Some((unit, name)) => write!(out, "{}{name}", self.0 / unit),
            None => write!(out, "{}B", self.0),
        }
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size = text.parse::<ByteSize>().map(|size| Size(size.as_u64()));
        size.map_err(|_| "a size is like 64KiB, 1MB or 4096 (bytes)".to_owned())
    }
}

/// `1m30s`, `500ms`: one line of an error otherwise.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let unreadable = |_| "a time is like 30s, 1m30s or 500ms".to_owned();
    let signed: jiff::SignedDuration = text.parse().map_err(unreadable)?;
    Duration::try_from(signed).map_err(|_| "a time cannot be negative".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_shown_as_it_can_be_typed() {
        for (bytes, text) in
            [(65_536, "64KiB"), (1 << 20, "1MiB"), (3 << 30, "3GiB"), (56, "56B"), (0, "0B")]
        {
            assert_eq!(Size::bytes(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(Size::bytes(bytes)));
        }
        assert_eq!("1MB".parse(), Ok(Size::bytes(1_000_000)));
        assert_eq!("4096".parse(), Ok(Size::bytes(4_096)));
        assert!("64 cows".parse::<Size>().is_err());
    }

    #[test]
    fn a_time_needs_its_unit() {
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        for text in ["", "30", "s", "-1s", "30 cows"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
