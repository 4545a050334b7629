//! [`Address`] to socket addresses: what the system has to be asked for. Names, services and zones
//! all go through getaddrinfo(3), so that the hosts file, NSS and the services file count as they
//! do for every other program. It may block for as long as resolv.conf(5) lets it (5 s a try by
//! default), so it must never be called from the loop.

use super::{Address, Family, Host, Port, Transport, Use, Zone};
use dns_lookup::{
    AddrFamily, AddrInfo, AddrInfoHints, LookupError, LookupErrorKind, SockType, getaddrinfo,
};
use rustix::net::{AddressFamily, SocketType, socket};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use thiserror::Error;

/// A well-formed address that comes to nothing here and now: a run-time error. Its text is one
/// printable line: the operation, the address, the cause, and what to try.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("resolve {address}: {cause}")]
pub struct ResolveError {
    /// As [`Address`] displays it.
    address: String,
    /// Why it comes to nothing.
    pub cause: Unresolved,
}

/// Why an address does not resolve.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unresolved {
    /// The system knows no such name, or could not find out.
    #[error("{reason}; {advice}")]
    Name {
        /// The system's words, gai_strerror(3).
        reason: String,
        /// What to try.
        advice: &'static str,
    },
    /// The name or the number is of the family that was not asked for; the flag that excludes it.
    #[error("it has no {} address; leave out {}", wanted(*.0), flag(*.0))]
    Family(Family),
    /// The services file has no such name for this transport.
    #[error("there is no {transport} service {service:?}; try a port number")]
    Service {
        /// The name, as it was typed.
        service: String,
        /// TCP and UDP have names of their own.
        transport: Transport,
    },
    /// `<broadcast>` to listen on.
    #[error(
        "<broadcast> is where to send, not where to listen; try an empty host, for every address"
    )]
    BroadcastServe,
    /// `<broadcast>` over a stream.
    #[error("a stream has one peer, and <broadcast> is everybody; try it with --udp")]
    BroadcastStream,
    /// Port 0 of another machine.
    #[error("nothing listens on port 0; try the port that the server has told")]
    PortZero,
    /// A link-local IPv6 address without a zone: the kernel would answer EINVAL.
    #[error("a link-local address needs its interface; try [{0}%eth0] with the interface's name")]
    ZoneMissing(Ipv6Addr),
    /// No interface has this name.
    #[error("this machine has no interface {0:?}; `ip link` lists them")]
    ZoneUnknown(String),
}

fn wanted(family: Family) -> &'static str {
    match family {
        Family::Any => "usable",
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}

fn flag(family: Family) -> &'static str {
    match family {
        Family::Any => "nothing",
        Family::V4 => "-4",
        Family::V6 => "-6",
    }
}

impl Address {
    /// All socket addresses that this address has, without repeats, in the resolver's order
    /// (RFC 6724, gai.conf(5)); never an empty list. A server binds each, a client tries one after
    /// the other. May block, see the file's head; the only bound on the count is the 64 KiB of a
    /// name server's answer.
    ///
    /// An empty host gives `[::]` to a server, which [`crate::os::Os::listen`] opens for IPv4 too,
    /// or `0.0.0.0` where IPv6 is missing or excluded. It gives loopback to a client, 127.0.0.1
    /// first: a server on every address and one on the default address both take it. Whoever
    /// sends to 255.255.255.255 (`<broadcast>`) must set SO_BROADCAST.
    ///
    /// # Errors
    /// Told to the user by the caller, before anything was opened; none is worth a retry but a
    /// [`Unresolved::Name`].
    pub fn resolve(
        &self,
        family: Family,
        transport: Transport,
        usage: Use,
    ) -> Result<Vec<SocketAddr>, ResolveError> {
        let told = |cause| ResolveError { address: self.to_string(), cause };
        let mut addresses = self.addresses(family, transport, usage).map_err(told)?;
        let port = self.port_number(transport).map_err(told)?;
        if port == 0 && usage == Use::Connect {
            return Err(told(Unresolved::PortZero));
        }
        addresses.iter_mut().for_each(|a| a.set_port(port));
        Ok(addresses)
    }

    /// The host alone, with port 0.
    fn addresses(
        &self,
        family: Family,
        transport: Transport,
        usage: Use,
    ) -> Result<Vec<SocketAddr>, Unresolved> {
        match &self.host {
            Host::Any => Ok(any(family, usage, ipv6_exists)),
            Host::Broadcast if usage == Use::Serve => Err(Unresolved::BroadcastServe),
            Host::Broadcast if transport == Transport::Tcp => Err(Unresolved::BroadcastStream),
            Host::Broadcast => one((Ipv4Addr::BROADCAST, 0).into(), family),
            Host::V4(ip) => one((*ip, 0).into(), family),
            Host::V6(ip, None) if ip.is_unicast_link_local() => Err(Unresolved::ZoneMissing(*ip)),
            Host::V6(ip, zone) => {
                let scope_id = zone.as_ref().map_or(Ok(0), scope_id)?;
                one(SocketAddrV6::new(*ip, 0, 0, scope_id).into(), family)
            }
            Host::Name(name) => named(name, family, lookup),
        }
    }

    /// The port's number, looked up if it is a service: getservbyname(3)'s question.
    fn port_number(&self, transport: Transport) -> Result<u16, Unresolved> {
        let service = match &self.port {
            Port::Number(port) => return Ok(*port),
            Port::Service(service) => service,
        };
        let socktype = match transport {
            Transport::Tcp => SockType::Stream,
            Transport::Udp => SockType::DGram,
        };
        // One family is enough to learn a port, and IPv4 is the one that is always there.
        let hints = AddrInfoHints {
            address: AddrFamily::Inet.into(),
            socktype: socktype.into(),
            ..AddrInfoHints::default()
        };
        getaddrinfo(None, Some(service), Some(hints))
            .ok()
            .and_then(|mut found| found.find_map(Result::ok))
            .map(|found| found.sockaddr.port())
            .ok_or_else(|| Unresolved::Service { service: service.clone(), transport })
    }
}

/// The one address that was typed, if its family was asked for.
fn one(address: SocketAddr, family: Family) -> Result<Vec<SocketAddr>, Unresolved> {
    if family.excludes(address.is_ipv4()) {
        return Err(Unresolved::Family(family));
    }
    Ok(vec![address])
}

/// What an empty host means.
fn any(family: Family, usage: Use, ipv6_exists: impl FnOnce() -> bool) -> Vec<SocketAddr> {
    let ipv6 = match family {
        Family::Any => ipv6_exists(),
        Family::V4 => false,
        Family::V6 => true,
    };
    let hosts: &[IpAddr] = match (usage, ipv6) {
        (Use::Serve, true) => &[IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
        (Use::Serve, false) => &[IpAddr::V4(Ipv4Addr::UNSPECIFIED)],
        (Use::Connect, true) if family == Family::V6 => &[IpAddr::V6(Ipv6Addr::LOCALHOST)],
        (Use::Connect, true) => &[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        (Use::Connect, false) => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
    };
    hosts.iter().map(|&host| SocketAddr::new(host, 0)).collect()
}

/// True where the kernel has IPv6 at all, whether or not an interface has such an address: it lets
/// us make a socket. ipv6(7)
fn ipv6_exists() -> bool {
    socket(AddressFamily::INET6, SocketType::STREAM, None).is_ok()
}

/// An interface's index. getaddrinfo(3) is if_nametoindex(3) without unsafe, for link-local
/// addresses only, so it is asked for one; it asks no name server about numbers and zones.
pub(super) fn scope_id(zone: &Zone) -> Result<u32, Unresolved> {
    match zone {
        Zone::Number(index) => Ok(*index),
        Zone::Name(name) => lookup(&format!("fe80::%{name}"), Family::V6)
            .ok()
            .and_then(|found| found.into_iter().find_map(|a| scope_of(&a)))
            .ok_or_else(|| Unresolved::ZoneUnknown(name.clone())),
    }
}

fn scope_of(address: &SocketAddr) -> Option<u32> {
    match address {
        SocketAddr::V6(v6) => Some(v6.scope_id()),
        SocketAddr::V4(_) => None,
    }
}

/// A name's addresses. Only the wanted family is asked for, so that a name server that chokes on
/// the other one does no harm; the other one is asked for to explain a failure.
fn named(
    name: &str,
    family: Family,
    mut lookup: impl FnMut(&str, Family) -> Result<Vec<SocketAddr>, LookupError>,
) -> Result<Vec<SocketAddr>, Unresolved> {
    let error = match lookup(name, family) {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    let for_now = error.as_ref().is_some_and(|e| matches!(e.kind(), LookupErrorKind::Again));
    if family != Family::Any && !for_now && lookup(name, Family::Any).is_ok_and(|a| !a.is_empty()) {
        return Err(Unresolved::Family(family));
    }
    let reason = error.map_or("the name has no address".to_owned(), |e| e.to_string());
    Err(unknown(name, &reason, for_now))
}

fn unknown(name: &str, reason: &str, for_now: bool) -> Unresolved {
    let reason = reason.strip_prefix("failed to lookup address information: ").unwrap_or(reason);
    let advice = match (for_now, name.is_ascii()) {
        (true, _) => "try again, or give the address in numbers",
        (false, true) => "check the spelling, or give the address in numbers",
        (false, false) => "try the name's ASCII form (xn--), or give the address in numbers",
    };
    Unresolved::Name { reason: reason.to_owned(), advice }
}

fn lookup(host: &str, family: Family) -> Result<Vec<SocketAddr>, LookupError> {
    let address = match family {
        Family::Any => 0,
        Family::V4 => AddrFamily::Inet.into(),
        Family::V6 => AddrFamily::Inet6.into(),
    };
    // Without a type each address would come three times, once for each kind of socket.
    let hints =
        AddrInfoHints { address, socktype: SockType::Stream.into(), ..AddrInfoHints::default() };
    Ok(unique(getaddrinfo(Some(host), None, Some(hints))?.filter_map(Result::ok)))
}

/// In order, each once: a hosts file may name one address on several lines.
fn unique(found: impl Iterator<Item = AddrInfo>) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for AddrInfo { sockaddr, .. } in found {
        if !addresses.contains(&sockaddr) {
            addresses.push(sockaddr);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: Transport = Transport::Udp;
    const TCP: Transport = Transport::Tcp;

    fn resolve(text: &str, family: Family, transport: Transport, usage: Use) -> String {
        let address: Address = text.parse().unwrap_or_else(|e| panic!("{e}"));
        match address.resolve(family, transport, usage) {
            Ok(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        }
    }

    fn service_port(service: &str, transport: Transport) -> Option<String> {
        let listed = std::fs::read_to_string("/etc/services").unwrap_or_default();
        let port = listed.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let (name, port) = (words.next()?, words.next()?);
            let port = port.strip_suffix(&format!("/{transport}"))?;
            (name == service).then(|| port.to_owned())
        });
        if port.is_none() {
            println!("skipped: /etc/services has no {service}/{transport}");
        }
        port
    }

    #[test]
    fn numbers_resolve_to_themselves() {
        for (text, expected) in [
            ("127.1:9000", "127.0.0.1:9000"),
            ("9000", "127.0.0.1:9000"),
            ("2130706433", "127.0.0.1:65432"),
            ("[::1]:9000", "[::1]:9000"),
            ("::1", "[::1]:65432"),
            ("[fe80::1%3]:9000", "[fe80::1%3]:9000"),
            ("[::ffff:10.0.0.1]:1", "10.0.0.1:1"),
        ] {
            for usage in [Use::Serve, Use::Connect] {
                assert_eq!(resolve(text, Family::Any, TCP, usage), expected, "{text}");
            }
        }
    }

    #[test]
    fn an_empty_host_is_every_address_for_a_server_and_loopback_for_a_client() {
        let table = [
            (Family::Any, Use::Serve, true, "[::]:0"),
            (Family::Any, Use::Serve, false, "0.0.0.0:0"),
            (Family::V4, Use::Serve, true, "0.0.0.0:0"),
            (Family::V6, Use::Serve, true, "[::]:0"),
            (Family::V6, Use::Serve, false, "[::]:0"),
            (Family::Any, Use::Connect, true, "127.0.0.1:0 [::1]:0"),
            (Family::Any, Use::Connect, false, "127.0.0.1:0"),
            (Family::V4, Use::Connect, true, "127.0.0.1:0"),
            (Family::V6, Use::Connect, true, "[::1]:0"),
        ];
        for (family, usage, ipv6, expected) in table {
            let found = any(family, usage, || ipv6);
            let found: Vec<_> = found.iter().map(ToString::to_string).collect();
            assert_eq!(found.join(" "), expected, "{family:?} {usage:?} IPv6 {ipv6}");
        }
    }

    #[test]
    fn an_empty_host_can_be_bound_on_this_machine() {
        let address: Address = ":0".parse().expect("a form of the table");
        let found = address.resolve(Family::Any, TCP, Use::Serve).expect("no lookup");
        assert_eq!(found.len(), 1);
        std::net::TcpListener::bind(found[0]).expect("bind");
    }

    #[test]
    fn a_name_resolves_to_all_its_addresses_once() {
        let address: Address = "localhost:9000".parse().expect("a form of the table");
        let found = address.resolve(Family::Any, TCP, Use::Connect).expect("hosts file");
        assert!(found.iter().all(|a| a.ip().is_loopback() && a.port() == 9000), "{found:?}");
        let once: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!(once.len(), found.len(), "{found:?}");
        assert_eq!(resolve("localhost:1", Family::V4, TCP, Use::Serve), "127.0.0.1:1");
    }

    #[test]
    fn repeats_are_dropped_and_the_order_is_kept() {
        let info = |text: &str| AddrInfo {
            flags: 0,
            address: 0,
            socktype: 0,
            protocol: 0,
            sockaddr: text.parse().expect(text),
            canonname: None,
        };
        let found =
            ["[::1]:0", "10.0.0.1:0", "[::1]:0", "10.0.0.1:0", "[fe80::1%2]:0", "[fe80::1%3]:0"];
        let kept: Vec<_> =
            unique(found.map(info).into_iter()).iter().map(|a| a.to_string()).collect();
        assert_eq!(kept, ["[::1]:0", "10.0.0.1:0", "[fe80::1%2]:0", "[fe80::1%3]:0"]);
    }

    /// EAI_NONAME and EAI_AGAIN of netdb.h, which the C libraries number differently.
    const NO_NAME: i32 = if cfg!(target_os = "linux") { -2 } else { 8 };
    const AGAIN: i32 = if cfg!(target_os = "linux") { -3 } else { 2 };

    /// What is told of a name that has the one address, if any, and which families were asked for.
    fn told(family: Family, has: Option<&str>, failure: i32) -> (String, Vec<Family>) {
        let mut asked = Vec::new();
        let outcome = named("nosuch", family, |_, family| {
            asked.push(family);
            let has: Option<SocketAddr> = has.map(|text| text.parse().expect(text));
            let found = has.filter(|a| !family.excludes(a.is_ipv4()));
            found.map(|a| vec![a]).ok_or_else(|| LookupError::new(failure))
        });
        (outcome.map_or_else(|e| e.to_string(), |found| format!("{found:?}")), asked)
    }

    #[test]
    fn only_the_wanted_family_is_asked_for() {
        for (family, has) in
            [(Family::Any, "10.0.0.1:0"), (Family::V4, "10.0.0.1:0"), (Family::V6, "[::1]:0")]
        {
            assert_eq!(told(family, Some(has), NO_NAME), (format!("[{has}]"), vec![family]));
        }
    }

    #[test]
    fn a_name_without_the_wanted_family_says_so() {
        let (line, _) = told(Family::V6, Some("10.0.0.1:0"), NO_NAME);
        assert_eq!(line, "it has no IPv6 address; leave out -6");
        let (line, _) = told(Family::V4, Some("[::1]:0"), NO_NAME);
        assert_eq!(line, "it has no IPv4 address; leave out -4");
        let (line, _) = told(Family::V4, None, NO_NAME);
        assert!(line.ends_with("; check the spelling, or give the address in numbers"), "{line}");
    }

    #[test]
    fn a_name_server_that_is_silent_is_not_asked_twice() {
        let (line, asked) = told(Family::V6, Some("10.0.0.1:0"), AGAIN);
        assert!(line.ends_with("; try again, or give the address in numbers"), "{line}");
        assert_eq!(asked, [Family::V6]);
    }

    #[test]
    fn a_zone_by_name_becomes_the_interfaces_index() {
        let Ok(index) = std::fs::read_to_string("/sys/class/net/lo/ifindex") else {
            println!("skipped: no /sys/class/net/lo");
            return;
        };
        let index = index.trim();
        for host in ["fe80::1", "2001:db8::1"] {
            assert_eq!(
                resolve(&format!("[{host}%lo]:9000"), Family::Any, TCP, Use::Connect),
                format!("[{host}%{index}]:9000")
            );
        }
    }

    #[test]
    fn a_service_has_a_port_for_each_transport() {
        for (service, transport) in [("echo", TCP), ("echo", UDP), ("ssh", TCP), ("tftp", UDP)] {
            if let Some(port) = service_port(service, transport) {
                assert_eq!(
                    resolve(&format!("127.1:{service}"), Family::Any, transport, Use::Serve),
                    format!("127.0.0.1:{port}")
                );
            }
        }
    }

    #[test]
    fn a_service_of_the_other_transport_is_unknown() {
        if service_port("tftp", UDP).is_some() {
            assert_eq!(
                resolve(":tftp", Family::Any, TCP, Use::Serve),
                "resolve :tftp: there is no tcp service \"tftp\"; try a port number"
            );
        }
    }

    #[test]
    fn broadcast_is_for_datagrams_out_only() {
        let broadcast =
            |family, transport, usage| resolve("<broadcast>:9", family, transport, usage);
        assert_eq!(broadcast(Family::Any, UDP, Use::Connect), "255.255.255.255:9");
        assert_eq!(broadcast(Family::V4, UDP, Use::Connect), "255.255.255.255:9");
        for refused in [
            broadcast(Family::Any, TCP, Use::Connect),
            broadcast(Family::Any, TCP, Use::Serve),
            broadcast(Family::Any, UDP, Use::Serve),
            broadcast(Family::V6, UDP, Use::Connect),
        ] {
            assert!(refused.starts_with("resolve <broadcast>:9: "), "{refused}");
        }
    }

    #[test]
    fn port_0_is_for_servers() {
        assert_eq!(resolve("0", Family::Any, TCP, Use::Serve), "127.0.0.1:0");
        for transport in [TCP, UDP] {
            let refused = resolve("0", Family::Any, transport, Use::Connect);
            assert!(refused.contains("port 0"), "{refused}");
        }
    }

    #[test]
    fn a_link_local_address_needs_a_zone_and_others_do_not() {
        assert!(resolve("fe80::1", Family::Any, TCP, Use::Serve).contains("needs its interface"));
        assert!(resolve("febf::1", Family::Any, TCP, Use::Serve).contains("needs its interface"));
        assert_eq!(resolve("[fec0::1]:1", Family::Any, TCP, Use::Serve), "[fec0::1]:1");
    }

    #[test]
    fn an_unknown_name_says_what_to_try() {
        let told = |name, reason, for_now| unknown(name, reason, for_now).to_string();
        assert_eq!(
            told("nosuch", "failed to lookup address information: No such name", false),
            "No such name; check the spelling, or give the address in numbers"
        );
        assert!(told("nosuch", "Busy", true).starts_with("Busy; try again"));
        assert!(told("büro", "No such name", false).contains("xn--"));
    }

    /// The page is what users read; each refusal on it must be one that the program makes.
    #[test]
    fn the_page_quotes_the_errors_as_they_are() {
        let page = include_str!("../../docs/ADDRESSES.md");
        let mut lines = 0;
        for (text, family, transport, usage) in [
            ("127.0.0.1:9000", Family::V6, TCP, Use::Serve),
            ("[::1]:9000", Family::V4, TCP, Use::Connect),
            ("<broadcast>:9000", Family::Any, TCP, Use::Serve),
            ("<broadcast>:9000", Family::Any, TCP, Use::Connect),
            ("<broadcast>:9000", Family::V6, UDP, Use::Connect),
            ("127.0.0.1:0", Family::Any, TCP, Use::Connect),
            ("[fe80::1]:9000", Family::Any, TCP, Use::Serve),
            ("[fe80::1%nope]:9000", Family::Any, TCP, Use::Serve),
            ("127.0.0.1:nosuch", Family::Any, TCP, Use::Connect),
            ("127.0.0.1:nosuch", Family::Any, UDP, Use::Connect),
        ] {
            let line = resolve(text, family, transport, usage);
            assert!(page.contains(&line), "docs/ADDRESSES.md lacks\n{line}");
            lines += 1;
        }
        for text in [
            "",
            "a b:9000",
            "*:9000",
            "/run/chat.sock",
            "tcp://host:9000",
            "localhost:",
            "localhost:65536",
            "256.1.1.1:9000",
            "4294967296",
            "[::1",
            "[127.0.0.1]:9000",
            "[fe80::1%]:9000",
            "fe80::1%eth0:9000",
            "a..b:9000",
            "host\0:9000",
        ] {
            let line = text.parse::<Address>().expect_err(text).to_string();
            assert!(page.contains(&line), "docs/ADDRESSES.md lacks\n{line}");
            lines += 1;
        }
        let quoted =
            page.lines().filter(|l| l.starts_with("resolve ") || l.starts_with("malformed "));
        assert_eq!(quoted.count(), lines + 1, "and one line in the system's words");
    }
}
