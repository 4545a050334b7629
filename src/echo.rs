//! The echo service: which datagram is answered and which is not. Pure.
//!
//! RFC 862: one answering datagram a datagram, with the same data. Never more than came in, so it
//! multiplies nothing. What comes from a port that is ours is not answered, wherever it comes from:
//! two echo services that answer each other do so for ever (CVE-2024-2169).

use std::net::SocketAddr;

/// The rules of one process's echo.
#[derive(Debug, Default)]
pub struct Echo {
    /// Ports that this process's UDP sockets are bound to.
    ports: Vec<u16>,
    refused: u64,
}

impl Echo {
    /// Tells of a socket of our own.
    pub fn bound(&mut self, at: SocketAddr) {
        self.ports.push(at.port());
    }

    /// Whether a datagram from there is answered. Port 0 cannot be answered.
    pub fn answers(&mut self, from: SocketAddr) -> bool {
        let answers = from.port() != 0 && !self.ports.contains(&from.port());
        self.refused += u64::from(!answers);
        answers
    }

    /// How many datagrams were not answered.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_a_port_of_ours_is_not_answered() {
        let mut echo = Echo::default();
        echo.bound("127.0.0.1:7000".parse().unwrap());
        echo.bound("[::1]:7001".parse().unwrap());
        for (from, answered) in [
            ("127.0.0.1:7002", true),
            ("127.0.0.1:7000", false),
            ("127.0.0.9:7001", false),
            ("[::1]:7000", false),
            ("192.0.2.1:7000", false),
            ("127.0.0.1:0", false),
        ] {
            assert_eq!(echo.answers(from.parse().unwrap()), answered, "{from}");
        }
        assert_eq!(echo.refused(), 5);
    }
}
