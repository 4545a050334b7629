//! Text to [`Address`]: pure. No lookup, no socket, no clock; the same text always gives the same
//! result. IPv4 numbers are read here and not by the C library, which would send what it cannot
//! read (`256.1.1.1`) to a name server; the rules are those of inet_aton(3), and a test compares.

use super::{Address, Host, PORT_DEFAULT, Port, Zone};
use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;
use thiserror::Error;

/// Bytes of a host name: 253 is what RFC 1035's 255 bytes on the wire leave for text, and one more
/// for a final dot.
pub(super) const NAME_LEN_MAX: usize = 254;

/// Bytes between two dots of a host name. RFC 1035, section 2.3.4.
const LABEL_LEN_MAX: usize = 63;

/// Bytes of an interface's name: Linux has IFNAMSIZ, 16, with the closing zero.
pub(super) const ZONE_LEN_MAX: usize = 15;

/// Bytes of a service name. RFC 6335 allows 15; twice that, for files that are older than it.
pub(super) const SERVICE_LEN_MAX: usize = 30;

/// Bytes of malformed text that an error line repeats: the line then still fits two rows of a
/// terminal.
const TEXT_SHOWN_MAX: usize = 48;

/// What was typed is no address: a usage error. Its text is one printable line that shows what was
/// typed, escaped and cut to 48 bytes, says what is wrong with it, and which forms there are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("malformed address \"{text}\": {cause}; write HOST:PORT, [IPV6]:PORT, :PORT, HOST or PORT")]
pub struct AddressError {
    text: String,
    /// What is wrong with it.
    pub cause: Malformed,
}

/// What is wrong with a malformed address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// Nothing was typed.
    #[error("it is empty")]
    Empty,
    /// A bracket is not closed, or holds something else than an IPv6 address, or is not followed by
    /// a colon or the end.
    #[error("brackets hold one IPv6 address, and a colon or nothing follows them")]
    Brackets,
    /// Two colons or more outside brackets, and not an IPv6 address.
    #[error("only an IPv6 address has more than one colon, and with a port it stands in brackets")]
    Colons,
    /// All numbers, and not an IPv4 address.
    #[error("no IPv4 address has these numbers (the greatest is 255.255.255.255 or 4294967295)")]
    Number,
    /// A character that no host name has.
    #[error("a host name has no {0:?}")]
    Character(char),
    /// A part between dots is empty or too long, or all of it is too long.
    #[error("a host name has parts of 1 to 63 bytes, 253 bytes in all")]
    Name,
    /// After `%`.
    #[error("after % comes the name of an interface (1 to 15 bytes) or its number")]
    Zone,
    /// After the last colon.
    #[error("a port is a number from 0 to 65535 or the name of a service")]
    Port,
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads `HOST:PORT`, `[IPV6]:PORT`, `:PORT`, `HOST` or `PORT`, exactly: no blanks around it.
    ///
    /// A number alone is a port of 127.0.0.1 up to 65535, and a host above that. Digits mean
    /// what they mean to inet_aton(3): a leading 0 is octal, 0x is hexadecimal; a port is decimal.
    fn from_str(text: &str) -> Result<Address, AddressError> {
        address(text).map_err(|cause| AddressError { text: shown(text), cause })
    }
}

fn address(text: &str) -> Result<Address, Malformed> {
    if text.is_empty() {
        return Err(Malformed::Empty);
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, after) = rest.split_once(']').ok_or(Malformed::Brackets)?;
        let host = ipv6(inside, Malformed::Brackets)?;
        if after.is_empty() {
            return Ok(Address { host, port: Port::Number(PORT_DEFAULT) });
        }
        let after = after.strip_prefix(':').ok_or(Malformed::Brackets)?;
        return Ok(Address { host, port: port(after)? });
    }
    match text.rsplit_once(':') {
        None if is_digits(text) && port(text).is_ok() => {
            Ok(Address { host: Host::V4(Ipv4Addr::LOCALHOST), port: port(text)? })
        }
        None => Ok(Address { host: host(text)?, port: Port::Number(PORT_DEFAULT) }),
        Some((left, _)) if left.contains(':') => {
            Ok(Address { host: ipv6(text, Malformed::Colons)?, port: Port::Number(PORT_DEFAULT) })
        }
        Some((left, right)) => Ok(Address { host: host(left)?, port: port(right)? }),
    }
}

/// What stands before the only colon, or alone.
fn host(text: &str) -> Result<Host, Malformed> {
    match text {
        "" => Ok(Host::Any),
        "<broadcast>" => Ok(Host::Broadcast),
        _ if text.trim_end_matches('.').split('.').all(is_number) => {
            ipv4(text).map(Host::V4).ok_or(Malformed::Number)
        }
        _ => name(text),
    }
}

fn name(text: &str) -> Result<Host, Malformed> {
    // Letters of any alphabet: mDNS names have them (RFC 6762, section 16). Marks that turn or hide
    // text are no letters, so a name is safe to print.
    let foreign = |c: &char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if let Some(c) = text.chars().find(foreign) {
        return Err(Malformed::Character(c));
    }
    let mut labels = text.strip_suffix('.').unwrap_or(text).split('.');
    if text.len() > NAME_LEN_MAX || !labels.all(|l| (1..=LABEL_LEN_MAX).contains(&l.len())) {
        return Err(Malformed::Name);
    }
    Ok(Host::Name(text.to_owned()))
}

/// inet_aton(3): one to four numbers, each but the last a byte, the last as many bytes as are left.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut bits = 0u32;
    let mut bytes_left = 4u32;
    let mut parts = text.split('.').peekable();
    while let Some(part) = parts.next() {
        let number = number(part)?;
        if parts.peek().is_none() {
            let fits = u64::from(number) < 1u64 << (8 * bytes_left);
            return fits.then(|| Ipv4Addr::from_bits(bits | number));
        }
        bytes_left = bytes_left.checked_sub(1).filter(|&left| left > 0)?;
        bits |= u32::from(u8::try_from(number).ok()?) << (8 * bytes_left);
    }
    None
}

/// One part of an IPv4 address: decimal, octal after 0, hexadecimal after 0x.
fn number(part: &str) -> Option<u32> {
    if !is_number(part) {
        return None;
    }
    match (hexadecimal(part), part.strip_prefix('0')) {
        (Some(digits), _) => u32::from_str_radix(digits, 16).ok(),
        (None, None | Some("")) => part.parse().ok(),
        (None, Some(digits)) => u32::from_str_radix(digits, 8).ok(),
    }
}

/// True for what inet_aton(3) would at least begin to read; no host name consists of such parts.
fn is_number(part: &str) -> bool {
    match hexadecimal(part) {
        Some(digits) => !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => is_digits(part),
    }
}

fn hexadecimal(part: &str) -> Option<&str> {
    part.strip_prefix("0x").or_else(|| part.strip_prefix("0X"))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// An address without brackets, and its zone; `otherwise` if it is not one.
fn ipv6(text: &str, otherwise: Malformed) -> Result<Host, Malformed> {
    let (ip, after) = match text.split_once('%') {
        Some((ip, after)) => (ip, Some(after)),
        None => (text, None),
    };
    // A colon after the zone is a port outside brackets, or within them.
    if after.is_some_and(|after| after.contains(':')) {
        return Err(otherwise);
    }
    let ip: Ipv6Addr = ip.parse().map_err(|_| otherwise)?;
    match (ip.to_ipv4_mapped(), after) {
        (_, Some(after)) => Ok(Host::V6(ip, Some(zone(after)?))),
        (Some(ip), None) => Ok(Host::V4(ip)),
        (None, None) => Ok(Host::V6(ip, None)),
    }
}

/// Digits are an index, even if an interface should be named so.
pub(super) fn zone(text: &str) -> Result<Zone, Malformed> {
    if is_digits(text) {
        return text.parse().map(Zone::Number).map_err(|_| Malformed::Zone);
    }
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b'%' | b'[' | b']');
    if (1..=ZONE_LEN_MAX).contains(&text.len()) && text.bytes().all(plain) {
        Ok(Zone::Name(text.to_owned()))
    } else {
        Err(Malformed::Zone)
    }
}

fn port(text: &str) -> Result<Port, Malformed> {
    if is_digits(text) {
        return text.parse().map(Port::Number).map_err(|_| Malformed::Port);
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'+');
    if text.len() <= SERVICE_LEN_MAX
        && text.bytes().all(plain)
        && text.bytes().any(|b| b.is_ascii_alphabetic())
    {
        Ok(Port::Service(text.to_owned()))
    } else {
        Err(Malformed::Port)
    }
}

/// Any text as a printable line of at most [`TEXT_SHOWN_MAX`] bytes and an ellipsis; never cut
/// within an escape.
pub(super) fn shown(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars() {
        let len_before = line.len();
        // Writing to a string cannot fail.
        let _ = write!(line, "{}", c.escape_debug());
        if line.len() > TEXT_SHOWN_MAX {
            line.truncate(len_before);
            line.push('…');
            break;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::ToSocketAddrs;

    fn cause(text: &str) -> Malformed {
        text.parse::<Address>().expect_err(text).cause
    }

    /// What was typed, and the one form in which it is written back.
    fn reads(table: &[(&str, &str)]) {
        for (typed, written) in table {
            let address: Address = typed.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(address.to_string(), *written, "{typed}");
            assert_eq!(written.parse(), Ok(address), "{written} parses back");
        }
    }

    #[test]
    fn host_and_port_are_split_at_the_last_colon() {
        reads(&[
            ("localhost:9000", "localhost:9000"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("chat.example.org.:65535", "chat.example.org.:65535"),
            ("my_host-1:00080", "my_host-1:80"),
            ("büro.local:1", "büro.local:1"),
            ("localhost:echo", "localhost:echo"),
        ]);
    }

    #[test]
    fn ipv6_with_a_port_stands_in_brackets() {
        reads(&[
            ("[::1]:9000", "[::1]:9000"),
            ("[::]:echo", "[::]:echo"),
            ("[::1]", "[::1]:65432"),
            ("[2001:DB8:0::1]:1", "[2001:db8::1]:1"),
        ]);
    }

    #[test]
    fn ipv6_without_brackets_is_a_bare_host_to_its_last_digit() {
        reads(&[
            ("::1", "[::1]:65432"),
            ("::1:9000", "[::1:9000]:65432"),
            ("fe80::1%eth0", "[fe80::1%eth0]:65432"),
        ]);
    }

    #[test]
    fn zones_are_names_or_numbers() {
        reads(&[
            ("[fe80::1%eth0]:9000", "[fe80::1%eth0]:9000"),
            ("[fe80::1%3]:9000", "[fe80::1%3]:9000"),
            ("[ff02::1%br-lan.7@x]:1", "[ff02::1%br-lan.7@x]:1"),
        ]);
        for text in ["[fe80::1%]:1", "[fe80::1%a b]:1", "[fe80::1%a/b]:1", "[fe80::1%4294967296]:1"]
        {
            assert_eq!(cause(text), Malformed::Zone, "{text}");
        }
        assert!(format!("[fe80::1%{}]:1", "x".repeat(15)).parse::<Address>().is_ok());
        assert_eq!(cause(&format!("[fe80::1%{}]:1", "x".repeat(16))), Malformed::Zone);
    }

    #[test]
    fn an_ipv4_mapped_address_is_ipv4() {
        reads(&[("[::ffff:10.0.0.1]:1", "10.0.0.1:1"), ("::ffff:10.0.0.1", "10.0.0.1:65432")]);
    }

    #[test]
    fn an_empty_host_is_kept_for_its_use_to_decide() {
        reads(&[(":9000", ":9000"), (":echo", ":echo"), (":0", ":0")]);
    }

    #[test]
    fn broadcast_is_a_word() {
        reads(&[("<broadcast>:9", "<broadcast>:9"), ("<broadcast>", "<broadcast>:65432")]);
        assert_eq!(cause("<any>:9"), Malformed::Character('<'));
    }

    #[test]
    fn a_bare_number_is_a_port_up_to_65535_and_a_host_above() {
        reads(&[
            ("0", "127.0.0.1:0"),
            ("9000", "127.0.0.1:9000"),
            ("65535", "127.0.0.1:65535"),
            ("65536", "0.1.0.0:65432"),
            ("2130706433", "127.0.0.1:65432"),
            ("4294967295", "255.255.255.255:65432"),
        ]);
        assert_eq!(cause("4294967296"), Malformed::Number);
    }

    #[test]
    fn numbers_mean_what_the_c_library_reads() {
        for text in [
            "127.1",
            "127.0.1",
            "1.2.65535",
            "1.16777215",
            "2130706433",
            "0x7f000001",
            "0X7F.1",
            "017700000001",
            "0177.0.0.01",
            "0",
            "00",
            "0.0.0.0",
            "255.255.255.255",
        ] {
            let ours: Address = format!("{text}:7").parse().unwrap_or_else(|e| panic!("{e}"));
            let theirs = (text, 7).to_socket_addrs().expect(text).next().expect(text);
            assert_eq!(ours.to_string(), theirs.to_string(), "{text}");
        }
    }

    #[test]
    fn numbers_that_are_no_address_are_never_taken_for_a_name() {
        for host in [
            "256.1.1.1",
            "1.2.3.4.5",
            "1.2.3.4.0",
            "1.2.65536",
            "1.16777216",
            "4294967296",
            "0x100000000",
            "08",
            "08.1.1.1",
            "127.0.0.1.",
            "99999999999999999999999",
            "0xff.0xff.0xff.0xfff",
        ] {
            assert_eq!(cause(&format!("{host}:1")), Malformed::Number, "{host}");
        }
    }

    #[test]
    fn parts_that_only_look_like_numbers_are_names() {
        reads(&[("1e100.net:1", "1e100.net:1"), ("web.1:1", "web.1:1"), ("0x:1", "0x:1")]);
    }

    #[test]
    fn a_port_is_a_number_or_has_a_letter() {
        reads(&[("a:x11-7", "a:x11-7"), ("a:0x50", "a:0x50")]);
        for text in ["a:", ":", "[::1]:", "a:65536", "a:-1", "a:+80", "a: 80", "a:80 ", "a:e\0o"] {
            assert_eq!(cause(text), Malformed::Port, "{text:?}");
        }
        assert!(format!(":{}", "s".repeat(30)).parse::<Address>().is_ok());
        assert_eq!(cause(&format!(":{}", "s".repeat(31))), Malformed::Port);
    }

    #[test]
    fn malformed_text_has_its_own_cause() {
        let table = [
            ("", Malformed::Empty),
            (" ", Malformed::Character(' ')),
            ("a b:1", Malformed::Character(' ')),
            ("a\0:1", Malformed::Character('\0')),
            ("a\x1b[0m:1", Malformed::Character('\x1b')),
            ("a\u{202e}b:1", Malformed::Character('\u{202e}')),
            ("*:1", Malformed::Character('*')),
            ("/run/chat.sock", Malformed::Character('/')),
            ("me@host:1", Malformed::Character('@')),
            ("tcp://host:1", Malformed::Colons),
            ("host:1:2", Malformed::Colons),
            ("::1::2", Malformed::Colons),
            ("fe80::1%eth0:9000", Malformed::Colons),
            ("[::1", Malformed::Brackets),
            ("[]:1", Malformed::Brackets),
            ("[::1]9000", Malformed::Brackets),
            ("[127.0.0.1]:1", Malformed::Brackets),
            ("[localhost]:1", Malformed::Brackets),
            ("::1]:1", Malformed::Colons),
            (".:1", Malformed::Name),
            ("a..b:1", Malformed::Name),
            (".a:1", Malformed::Name),
        ];
        for (text, expected) in table {
            assert_eq!(cause(text), expected, "{text:?}");
        }
    }

    #[test]
    fn names_are_bounded() {
        let label = "a".repeat(LABEL_LEN_MAX);
        let longest = format!("{label}.{label}.{label}.{}.", "a".repeat(61));
        assert_eq!(longest.len(), NAME_LEN_MAX);
        assert!(longest.parse::<Address>().is_ok());
        assert_eq!(cause(&format!("a{longest}")), Malformed::Name);
        assert_eq!(cause(&format!("a{label}")), Malformed::Name);
    }

    #[test]
    fn an_error_shows_the_text_escaped_and_cut() {
        let error = "\n\x1b[2J\u{202e}:1".parse::<Address>().expect_err("control characters");
        assert_eq!(
            error.to_string(),
            "malformed address \"\\n\\u{1b}[2J\\u{202e}:1\": a host name has no '\\n'; write \
             HOST:PORT, [IPV6]:PORT, :PORT, HOST or PORT"
        );
        assert_eq!(shown(&"x".repeat(48)), "x".repeat(48));
        assert_eq!(shown(&"x".repeat(49)), "x".repeat(48) + "…");
        assert_eq!(shown(&("x".repeat(47) + "\n")), "x".repeat(47) + "…");
    }

    #[test]
    fn mutated_text_never_panics_and_always_tells_one_line() {
        const SEEDS: [&str; 8] = [
            "localhost:9000",
            "[fe80::1%eth0]:echo",
            "127.1",
            "0x7f.1:1",
            "<broadcast>:9",
            "::1",
            "[::ffff:1.2.3.4]:65535",
            "4294967295:0",
        ];
        const PIECES: [&str; 20] = [
            ":", "[", "]", "%", ".", "0", "9", "x", "0x", "-", "é", "\0", "\u{202e}", " ", "\n",
            "<", "::", "65536", "fe80::", "💬",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15u64; // xorshift64: any seed but 0
        let mut below = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % n as u64).expect("less than n")
        };
        let mut parsed = 0;
        for _ in 0..100_000 {
            let mut text: Vec<char> = SEEDS[below(SEEDS.len())].chars().collect();
            for _ in 0..=below(4) {
                let at = below(text.len() + 1);
                let until = (at + below(3)).min(text.len());
                text.splice(at..until, PIECES[below(PIECES.len())].chars());
            }
            let text: String = text.into_iter().collect();
            match text.parse::<Address>() {
                Ok(address) => {
                    parsed += 1;
                    let written = address.to_string();
                    assert!(!written.contains(char::is_control), "{text:?} gives {written:?}");
                    assert_eq!(written.parse(), Ok(address), "{text:?} gives {written:?}");
                }
                Err(error) => {
                    let line = error.to_string();
                    assert!(line.len() < 240, "{line}");
                    assert!(
                        !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
                        "{line:?}"
                    );
                }
            }
        }
        assert!(parsed > 5_000, "only {parsed} mutants parsed: the test has gone blind");
    }
}
