//! The descriptor limit of this process, getrlimit(2): every connection is a descriptor, and the
//! soft limit that a shell gives (1,024) is there for programs that use select(2). Raising it to
//! the hard limit is what systemd and Go recommend to a program that does not.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard one. Returns the soft limit before and
/// now; `u64::MAX` is no limit. Refused, the two are equal: a smaller house, not an error.
pub fn raise_descriptor_limit() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let before = limit.current.unwrap_or(u64::MAX);
    if limit.current == limit.maximum || setrlimit(Resource::Nofile, raised).is_err() {
        return (before, before);
    }
    (before, limit.maximum.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let (before, now) = raise_descriptor_limit();
        assert!(before <= now);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!((limit.current, now), (limit.maximum, limit.maximum.unwrap_or(u64::MAX)));
        assert_eq!(raise_descriptor_limit(), (now, now), "a second call changes nothing");
    }
}
