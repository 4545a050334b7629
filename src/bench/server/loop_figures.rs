//! What our own server's loop counts, read out of its answer to `/stats` (docs/PROTOCOL.md). Pure.

/// Counters since its start. Zero where the answer did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct LoopFigures {
    pub(in crate::bench) turns: u64,
    pub(in crate::bench) turn_us_max: u64,
    pub(in crate::bench) delivered: u64,
    pub(in crate::bench) receives: u64,
    pub(in crate::bench) sends: u64,
    pub(in crate::bench) blocked: u64,
    /// Answers to datagrams that its socket did not take.
    pub(in crate::bench) datagrams_dropped: u64,
    /// Datagrams that its guard left without an answer.
    pub(in crate::bench) datagrams_refused: u64,
}

impl LoopFigures {
    pub(super) fn parse(text: &str) -> Self {
        let line = |word: &str| text.lines().find(|line| line.contains(word)).unwrap_or_default();
        let number = |line: &str, word: &str| -> u64 {
            let rest = line.split_once(word).map_or("", |(_, rest)| rest);
            let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
            digits.parse().unwrap_or_default()
        };
        let (turns, messages) = (line(", turns "), line("* messages said "));
        let (calls, datagrams) = (line("; receives "), line("* datagrams in "));
        let echo = line("* echo answered ");
        LoopFigures {
            turns: number(turns, ", turns "),
            turn_us_max: number(turns, "longest turn "),
            delivered: number(messages, ", delivered "),
            receives: number(calls, "; receives "),
            sends: number(calls, ", sends "),
            blocked: number(calls, ", blocked "),
            datagrams_dropped: number(datagrams, ", would block ") + number(datagrams, ", failed "),
            datagrams_refused: number(echo, ", guarded ")
                + number(echo, "), limited ")
                + number(echo, ", muted ")
                + number(echo, ", not allowed "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_are_read_by_their_names() {
        let text = "* peers 2 (accepted 2, closed 0), turns 6, longest turn 161 us, \
                    longest wait 3 turns\n\
                    * messages said 5, delivered 7, missed 0, private not delivered 0, notices lost 0\n\
                    * bytes in 39, out 236; receives 4, sends 8, blocked 1\n\
                    * behind: 0 peers, at most 0 messages; throttled 4\n\
                    * datagrams in 9, out 5, would block 1, failed 2, dropped by the kernel 0, errors 0\n\
                    * echo answered 5, guarded 1 (own port 1, low port 0, source 0, group 0, broadcast 0), \
                    limited 0, muted 1 in 1 loops, not allowed 0\n\
                    * closes: none\n";
        let expected = LoopFigures {
            turns: 6,
            turn_us_max: 161,
            delivered: 7,
            receives: 4,
            sends: 8,
            blocked: 1,
            datagrams_dropped: 3,
            datagrams_refused: 2,
        };
        assert_eq!(LoopFigures::parse(text), expected);
        assert_eq!(LoopFigures::parse("other words"), LoopFigures::default());
    }
}
