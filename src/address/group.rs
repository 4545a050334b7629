//! A multicast group and the interface on which it is joined: `239.1.2.3`, `ff02::1%eth0`. The zone
//! is written as in an address (RFC 4007), for IPv4 too. What must not be here: joining.

use super::parse::{shown, zone};
use super::resolve::{Unresolved, scope_id};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A group, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// A multicast address.
    pub ip: IpAddr,
    /// The interface's index; 0 lets the system choose.
    pub interface: u32,
}

/// Why a text is no group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// It makes no sense.
    #[error(
        "\"{text}\": {cause}; write GROUP or GROUP%INTERFACE, \
         the group from 224.0.0.0 to 239.255.255.255 or from ff00:: on"
    )]
    Malformed {
        /// As typed, made visible and short.
        text: String,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no such interface.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
}

impl FromStr for Group {
    type Err = GroupError;

    /// Reads `GROUP` or `GROUP%INTERFACE`, and asks the system for the interface's index.
    fn from_str(text: &str) -> Result<Group, GroupError> {
        let malformed = |cause: String| GroupError::Malformed { text: shown(text), cause };
        let (ip, interface) = match text.split_once('%') {
            Some((ip, name)) => {
                (ip, Some(zone(name).map_err(|cause| malformed(cause.to_string()))?))
            }
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| malformed("this is no IP address".into()))?;
        let ip = ip.to_canonical();
        if !ip.is_multicast() {
            return Err(malformed("this is no multicast address".into()));
        }
        let interface = interface.as_ref().map_or(Ok(0), scope_id)?;
        Ok(Group { ip, interface })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.interface {
            0 => write!(f, "{}", self.ip),
            index => write!(f, "{}%{index}", self.ip),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_an_address_and_an_interface() {
        for (text, ip, interface) in [
            ("239.1.2.3", "239.1.2.3", 0),
            ("224.0.0.251%7", "224.0.0.251", 7),
            ("ff02::1%3", "ff02::1", 3),
            ("::ffff:239.1.2.3", "239.1.2.3", 0),
        ] {
            let expected = Group { ip: ip.parse().unwrap(), interface };
            assert_eq!(text.parse(), Ok(expected), "{text}");
            assert_eq!(expected.to_string().parse(), Ok(expected));
        }
    }

    #[test]
    fn a_refusal_is_one_visible_line() {
        for text in
            ["", "127.0.0.1", "::1", "tea", "239.1.2.3%", "239.1.2.3:80", "\x1b\n", "%", "%1"]
        {
            let error = text.parse::<Group>().unwrap_err().to_string();
            assert!(error.chars().all(|c| !c.is_control()) && error.len() < 300, "{error:?}");
        }
        let unknown = "239.1.2.3%no-such".parse::<Group>().unwrap_err();
        assert!(matches!(unknown, GroupError::Unresolved(_)), "{unknown}");
    }
}
