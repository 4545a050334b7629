//! What our own server's loop counts, read out of its answer to `/stats all` (docs/METRICS.md). Pure.

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
    /// `text`: a line for each sample, `NAME VALUE`, with what a notice begins with in front.
    pub(super) fn parse(text: &str) -> Self {
        let mut figures = LoopFigures::default();
        for line in text.lines() {
            let sample = line.strip_prefix("* ").and_then(|line| line.rsplit_once(' '));
            let Some((name, value)) = sample else { continue };
            let name = name.split('{').next().unwrap_or_default();
            let number: f64 = value.parse().unwrap_or_default();
            let (into, unit) = match name {
                "reactor_turns_total" => (&mut figures.turns, 1.0),
                "reactor_turn_longest_seconds" => (&mut figures.turn_us_max, 1e6),
                "reactor_messages_delivered_total" => (&mut figures.delivered, 1.0),
                "reactor_receives_total" => (&mut figures.receives, 1.0),
                "reactor_sends_total" => (&mut figures.sends, 1.0),
                "reactor_sends_blocked_total" => (&mut figures.blocked, 1.0),
                "reactor_datagrams_blocked_total" | "reactor_datagrams_failed_total" => {
                    (&mut figures.datagrams_dropped, 1.0)
                }
                "reactor_echo_refused_total" => (&mut figures.datagrams_refused, 1.0),
                _ => continue,
            };
            *into += (number * unit).round() as u64;
        }
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::metrics::table::{Metric, metrics};

    #[test]
    fn the_counters_are_read_by_their_names() {
        let text = "* reactor_turns_total 6\n* reactor_turn_longest_seconds 0.000161\n\
                    * reactor_messages_delivered_total 7\n* reactor_receives_total 4\n\
                    * reactor_sends_total 8\n* reactor_sends_blocked_total 1\n\
                    * reactor_datagrams_blocked_total 1\n* reactor_datagrams_failed_total 2\n\
                    * reactor_echo_refused_total{reason=\"own port\"} 1\n\
                    * reactor_echo_refused_total{reason=\"muted\"} 1\n\
                    * reactor_others_total 9\n";
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

    #[test]
    fn each_name_is_a_metric_of_the_server() {
        let names: Vec<String> = metrics().map(Metric::full_name).collect();
        let code = include_str!("loop_figures.rs");
        let program = code.split("#[cfg(test)]").next().unwrap_or_default();
        let read: Vec<&str> =
            program.split('"').filter(|text| text.starts_with("reactor_")).collect();
        assert_eq!(read.len(), 9);
        for name in read {
            assert!(names.iter().any(|known| known == name), "{name}");
        }
    }
}
