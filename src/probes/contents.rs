//! Which probe an echo answers, where it has no number in it: by its content, in order. Pure.

use super::{Account, Standing, WINDOW};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hasher};
use std::net::SocketAddr;
use std::time::Instant;

/// A digest of each probe in an account's window: 8 KiB, however long the contents are. Only the
/// host that is asked could make two contents of one digest, and it can lie anyway.
#[derive(Default)]
pub struct Contents {
    digests: VecDeque<u64>,
}

impl Contents {
    /// The next probe's content; once for each [`Account::sent`].
    pub fn sent(&mut self, bytes: &[u8]) {
        if self.digests.len() == WINDOW {
            self.digests.pop_front();
        }
        self.digests.push_back(digest(bytes));
    }

    /// The probe that `bytes` from `host` answer: of those with this content the oldest that is
    /// waited for, else the oldest that is overdue, else the oldest that was answered.
    pub fn find(
        &self,
        account: &Account,
        bytes: &[u8],
        host: SocketAddr,
        now: Instant,
    ) -> Option<u64> {
        let wanted = digest(bytes);
        let mut found: Option<(Standing, u64)> = None;
        for (sequence, &digest) in account.remembered().zip(&self.digests) {
            if digest == wanted
                && let Some(standing) = account.standing(sequence, host, now)
                && found.is_none_or(|(best, _)| standing < best)
            {
                found = Some((standing, sequence));
            }
        }
        found.map(|(_, sequence)| sequence)
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.write_usize(bytes.len());
    hasher.finish()
}
