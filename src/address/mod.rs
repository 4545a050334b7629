//! The socket vocabulary: a host and a port, in every form that people type, become addresses.
//!
//! Two steps, in two files. `parse` is pure: what was typed becomes an [`Address`] or a usage
//! error. `resolve` asks the system: an [`Address`] becomes socket addresses or a run-time error.
//! It may block (a name server answers or does not), so it is called before the loop starts and
//! never in it. Nothing here knows the loop, a peer or a flag's type; no socket is kept open.
//!
//! The forms come from the Python socket module (`''` is every address, `'<broadcast>'`, services
//! by name), from inet_aton(3) and getaddrinfo(3) (`127.1`, integers, hex), from RFC 3986 (an IPv6
//! address with a port stands in brackets) and from RFC 4007 (`%` and a zone).
//! `docs/ADDRESSES.md` shows them all in one table.

mod group;
mod parse;
mod resolve;
mod unix;

pub use group::{Group, GroupError};
pub use parse::{AddressError, Malformed};
pub use resolve::{ResolveError, Unresolved};
pub use unix::{UnixError, unix_address, with_prefix};

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The port that stands where none was given: that of the tutorial this program grew out of. It is
/// above the ports that Linux hands out by itself (32,768 to 60,999), so nothing takes it by chance.
pub const PORT_DEFAULT: u16 = 65432;

/// A host and a port as they were typed, and not yet looked up.
///
/// Invariant: its text, as `Display` writes it, is one printable line of at most 285 bytes, and
/// parses to an equal `Address`. An IPv4-mapped IPv6 address has become plain IPv4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: Host,
    port: Port,
}

impl Address {
    /// `127.0.0.1:65432`: what is served, and connected to, when nothing was said.
    pub const DEFAULT: Address =
        Address { host: Host::V4(Ipv4Addr::LOCALHOST), port: Port::Number(PORT_DEFAULT) };
}

/// The left side of the last colon.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    /// Nothing was typed: every address for a server, loopback for a client.
    Any,
    /// `<broadcast>`: everybody on the local network, 255.255.255.255.
    Broadcast,
    /// Numbers, in any form that inet_aton(3) takes.
    V4(Ipv4Addr),
    /// Never an IPv4-mapped address, unless it has a zone.
    V6(Ipv6Addr, Option<Zone>),
    /// 1 to [`parse::NAME_LEN_MAX`] bytes, all letters, digits, `-`, `_` and `.`.
    Name(String),
}

/// Which link a link-local address means. RFC 4007, section 11.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Zone {
    /// The interface's index; 0 is the system's default zone.
    Number(u32),
    /// The interface's name: 1 to [`parse::ZONE_LEN_MAX`] bytes of printable ASCII.
    Name(String),
}

/// The right side of the last colon.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Port {
    /// 0 lets the system choose, for a server.
    Number(u16),
    /// At most [`parse::SERVICE_LEN_MAX`] bytes, at least one letter. services(5)
    Service(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Any => Ok(()),
            Host::Broadcast => f.write_str("<broadcast>"),
            Host::V4(ip) => write!(f, "{ip}"),
            Host::V6(ip, None) => write!(f, "[{ip}]"),
            Host::V6(ip, Some(Zone::Number(zone))) => write!(f, "[{ip}%{zone}]"),
            Host::V6(ip, Some(Zone::Name(zone))) => write!(f, "[{ip}%{zone}]"),
            Host::Name(name) => f.write_str(name),
        }?;
        match &self.port {
            Port::Number(port) => write!(f, ":{port}"),
            Port::Service(service) => write!(f, ":{service}"),
        }
    }
}

/// Which addresses are wanted: the flags `-4` and `-6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Family {
    /// Neither flag: both kinds.
    #[default]
    Any,
    /// `-4`: IPv4 alone.
    V4,
    /// `-6`: IPv6 alone.
    V6,
}

impl Family {
    /// True where an address of this kind was not asked for.
    fn excludes(self, is_ipv4: bool) -> bool {
        match self {
            Family::Any => false,
            Family::V4 => !is_ipv4,
            Family::V6 => is_ipv4,
        }
    }
}

/// What the address will carry; a service name has a port for each, and they may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A stream: chat.
    Tcp,
    /// Datagrams: echo.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        })
    }
}

/// What will be done with the address. It decides what an empty host means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// bind(2): an empty host is every address of this machine, port 0 is any free port.
    Serve,
    /// connect(2) or sendto(2): an empty host is this machine, port 0 is an error.
    Connect,
}

/// gethostname: this machine's name, as the kernel knows it (uname(2)), for a banner or a log line.
/// Bytes that are not UTF-8 are replaced. At most 64 bytes on Linux, and not made safe for a
/// terminal; whether it resolves is another question.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_tutorials_address() {
        assert_eq!(Address::DEFAULT.to_string(), "127.0.0.1:65432");
        assert_eq!("127.0.0.1:65432".parse(), Ok(Address::DEFAULT));
    }

    #[test]
    fn host_name_is_what_the_kernel_says() {
        let name = host_name();
        assert!(!name.is_empty());
        if let Ok(kernel) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
            assert_eq!(name, kernel.trim_end());
        } else {
            println!("skipped: no /proc/sys/kernel/hostname");
        }
    }

    #[test]
    fn a_family_excludes_the_other_one_only() {
        for (family, excludes_ipv4, excludes_ipv6) in
            [(Family::Any, false, false), (Family::V4, false, true), (Family::V6, true, false)]
        {
            assert_eq!(family.excludes(true), excludes_ipv4, "{family:?}");
            assert_eq!(family.excludes(false), excludes_ipv6, "{family:?}");
        }
    }
}
