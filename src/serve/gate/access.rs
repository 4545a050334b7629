//! Which addresses may come in: rules by prefix, from flags and from a file, and the form of that
//! file; pure. That the longest prefix decides is the rule of routing tables (RFC 1812, section
//! 5.2.4.3): the order of the lines means nothing.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Rules at once, of flags and file together: each accept and each datagram looks at all of them,
/// in some microseconds.
pub const RULES_MAX: usize = 1_000;

/// Longest access file, in bytes: [`RULES_MAX`] lines with the longest prefix, and comments.
pub const ACCESS_BYTES_MAX: usize = 128 * 1024;

/// What a rule says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It may come in.
    Allow,
    /// It may not. Greater: of two rules for one prefix this one stands.
    Deny,
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it says.
    pub verdict: Verdict,
    /// Of whom; without bits behind the prefix, and never a mapped IPv4 address.
    pub net: IpNet,
}

/// Why a text is no list of rules: one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The rules in force. Without one everybody may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    rules: Vec<Rule>,
    /// One of them allows: who is in none of them may not come in.
    closed: bool,
}

impl Access {
    /// Of these, whose order means nothing. Errors where they are more than [`RULES_MAX`].
    pub fn new(rules: Vec<Rule>) -> Result<Self, Wrong> {
        if rules.len() > RULES_MAX {
            return Err(Wrong(format!("{} rules: at most {RULES_MAX}", rules.len())));
        }
        let closed = rules.iter().any(|rule| rule.verdict == Verdict::Allow);
        Ok(Access { rules, closed })
    }

    /// These and more.
    pub fn with(&self, mut rules: Vec<Rule>) -> Result<Self, Wrong> {
        rules.extend_from_slice(&self.rules);
        Access::new(rules)
    }

    /// Whether this address, never a mapped one, may come in: the longest prefix that holds it
    /// decides, a denial where two are equally long; without one nobody may where any rule allows.
    pub fn admits(&self, address: IpAddr) -> bool {
        let holding = self.rules.iter().filter(|rule| rule.net.contains(&address));
        let nearest = holding.map(|rule| (rule.net.prefix_len(), rule.verdict)).max();
        match nearest {
            Some((_, verdict)) => verdict == Verdict::Allow,
            None => !self.closed,
        }
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// True where there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// The rules of a file. A line is `allow PREFIX`, `deny PREFIX`, or nothing; `#` begins a comment;
/// `all` is every address of both families. A text without a rule is wrong: a file that was emptied
/// by accident must not open the door. Errors name the line, are one line, and are visible text.
pub fn parse(text: &[u8]) -> Result<Vec<Rule>, Wrong> {
    let mut rules = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = String::from_utf8_lossy(line);
        let line = line.split('#').next().unwrap_or_default();
        let wrong = |why: &str| Wrong(format!("line {}: {why}", index + 1));
        let mut words = line.split_ascii_whitespace();
        let (verdict, prefix) = match (words.next(), words.next(), words.next()) {
            (None, ..) => continue,
            (Some("allow"), Some(prefix), None) => (Verdict::Allow, prefix),
            (Some("deny"), Some(prefix), None) => (Verdict::Deny, prefix),
            _ => return Err(wrong("write allow ADDRESS[/PREFIX] or deny ADDRESS[/PREFIX]")),
        };
        let nets = prefixes(prefix).map_err(|why| wrong(&why))?;
        rules.extend(nets.into_iter().map(|net| Rule { verdict, net }));
        if rules.len() > RULES_MAX {
            return Err(wrong(&format!("more than {RULES_MAX} rules")));
        }
    }
    if rules.is_empty() { Err(Wrong("no rule in it".to_owned())) } else { Ok(rules) }
}

/// What a rule may name: a prefix, or `all`.
pub fn prefixes(text: &str) -> Result<Vec<IpNet>, String> {
    if text == "all" {
        let both = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        return Ok(both.map(|any| IpNet::new_assert(any, 0)).to_vec());
    }
    prefix(text).map(|net| vec![net])
}

/// An address or a prefix. A mapped IPv4 address or prefix (RFC 4291, section 2.5.5.2) is the IPv4
/// one, as peers' addresses are. Errors: one line of visible text.
pub fn prefix(text: &str) -> Result<IpNet, String> {
    let net = text.parse::<IpAddr>().map(IpNet::from).or_else(|_| text.parse::<IpNet>());
    let shown = || text.escape_debug().take(64).collect::<String>();
    let net = net.map_err(|_| format!("{}: not an address or ADDRESS/PREFIX", shown()))?;
    let plain = match (net, net.prefix_len().checked_sub(96)) {
        (IpNet::V6(mapped), Some(len)) => mapped.addr().to_ipv4_mapped().map(|ip| (ip, len)),
        _ => None,
    };
    let plain = plain.and_then(|(ip, len)| IpNet::new(ip.into(), len).ok());
    Ok(plain.unwrap_or(net).trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn access(text: &str) -> Access {
        Access::new(parse(text.as_bytes()).unwrap()).unwrap()
    }

    fn told(text: &[u8]) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn without_a_rule_everybody_may_come_in() {
        assert!(Access::default().admits(ip("192.0.2.1")) && Access::default().admits(ip("::1")));
    }

    #[test]
    fn the_longest_prefix_decides_whatever_the_order() {
        for text in [
            "allow 10.0.0.0/8\ndeny 10.1.0.0/16\nallow 10.1.2.3",
            "allow 10.1.2.3\ndeny 10.1.0.0/16\nallow 10.0.0.0/8",
        ] {
            let access = access(text);
            assert!(access.admits(ip("10.2.0.1")) && access.admits(ip("10.1.2.3")), "{text}");
            assert!(!access.admits(ip("10.1.2.4")), "{text}");
        }
    }

    #[test]
    fn a_denial_wins_a_tie() {
        for text in ["allow 10.0.0.0/8\ndeny 10.9.9.9/8", "deny 10.0.0.0/8\nallow 10.0.0.0/8"] {
            assert!(!access(text).admits(ip("10.0.0.1")), "{text}");
        }
    }

    #[test]
    fn with_any_allow_the_others_may_not_come_in_and_with_denials_alone_they_may() {
        let allows = access("allow 10.0.0.0/8");
        assert!(!allows.admits(ip("11.0.0.1")) && !allows.admits(ip("::1")));
        let denies = access("deny 10.0.0.0/8");
        assert!(denies.admits(ip("11.0.0.1")) && denies.admits(ip("::1")));
        assert!(!denies.admits(ip("10.0.0.1")));
    }

    #[test]
    fn a_mapped_prefix_is_the_ipv4_one() {
        assert_eq!(prefix("::ffff:192.0.2.1"), prefix("192.0.2.1"));
        assert_eq!(prefix("::ffff:10.1.2.3/104"), prefix("10.0.0.0/8"));
        assert_eq!(prefix("::ffff:0.0.0.0/96"), prefix("0.0.0.0/0"));
        assert!(matches!(prefix("::/64"), Ok(IpNet::V6(_))));
        assert!(access("deny ::ffff:192.0.2.0/120").admits(ip("192.0.3.1")));
        assert!(!access("deny ::ffff:192.0.2.0/120").admits(ip("192.0.2.9")));
    }

    #[test]
    fn all_is_both_families() {
        let access = access("deny all\nallow 192.0.2.0/24");
        assert!(access.admits(ip("192.0.2.1")));
        assert!(!access.admits(ip("192.0.3.1")) && !access.admits(ip("2001:db8::1")));
    }

    #[test]
    fn comments_blank_lines_and_every_ending_pass() {
        let text =
            "# who\r\n\r\n  allow\t10.0.0.0/8   # the office\r\ndeny 10.0.0.1#him\n\nallow ::1";
        assert_eq!(parse(text.as_bytes()).unwrap().len(), 3);
        assert!(!access(text).admits(ip("10.0.0.1")));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let usage = "write allow ADDRESS[/PREFIX] or deny ADDRESS[/PREFIX]";
        for (text, line, why) in [
            ("allow ::1\nallow", 2, usage),
            ("permit ::1", 1, usage),
            ("Allow ::1", 1, usage),
            ("allow ::1 ::2", 1, usage),
            ("\n\nallow 10.0.0.1/33", 3, "10.0.0.1/33: not an address or ADDRESS/PREFIX"),
            ("allow a\x1bb", 1, "a\\u{1b}b: not an address or ADDRESS/PREFIX"),
            ("allow example.org", 1, "example.org: not an address or ADDRESS/PREFIX"),
        ] {
            assert_eq!(told(text.as_bytes()), format!("line {line}: {why}"), "{text:?}");
        }
        assert!(told(b"allow \xff").starts_with("line 1: "));
    }

    #[test]
    fn a_text_without_a_rule_is_wrong() {
        for text in ["", "\n", "# allow all\n"] {
            assert_eq!(told(text.as_bytes()), "no rule in it");
        }
    }

    #[test]
    fn rules_are_bounded() {
        let text = |rules: usize| "deny 192.0.2.1\n".repeat(rules);
        assert_eq!(parse(text(RULES_MAX).as_bytes()).unwrap().len(), RULES_MAX);
        let more = told(text(RULES_MAX + 1).as_bytes());
        assert_eq!(more, "line 1001: more than 1000 rules");
        let mut rules = parse(text(RULES_MAX).as_bytes()).unwrap();
        rules.extend_from_within(..1);
        assert_eq!(Access::new(rules).unwrap_err().to_string(), "1001 rules: at most 1000");
    }
}
